"""YouTube-VIS: films and pictures to a file of tracks and back, and what anybody's file is made of."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torture
from drawing import drawn, instances
from filming import drawn as drawn_frame
from filming import film_file
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import masks
from pipeline.errors import BadDataset, BadMedia, BadRecord
from pipeline.formats import fidelity, format_of, youtube_vis
from pipeline.media import film_id
from pipeline.ontology import Category, Ontology
from pipeline.records import Clip, Frame, Instances, clip_id

ONTOLOGY = Ontology([Category(name="cat"), Category(name="bird", retired=True), Category(name="dog")])
SIZE_HW = (4, 5)
SIZE = list(SIZE_HW)
LEFT = drawn("##...", "##...", ".....", ".....")
MIDDLE = drawn(".##..", ".##..", ".....", ".....")
RING = drawn("####.", "#..#.", "####.", ".....")


def frame(**rows):
    """What is seen in one frame: track -> mask; None is out of sight. `t7=LEFT` is a dog, `c2=RING` a cat."""
    tracks = [int(key[1:]) for key in rows]
    shown = [mask is not None for mask in rows.values()]
    return Instances(
        SIZE_HW,
        np.array([(0, 0, 5, 3.5) if there else (0, 0, 0, 0) for there in shown]).reshape(-1, 4),
        ["cat" if key[0] == "c" else "dog" for key in rows],
        scores=[0.5 + 0.1 * there for there in shown],
        prompts=["a pet"] * len(rows),
        source=["fake"] * len(rows),
        track_ids=tracks,
        visible=shown,
        presence=[0.25 + 0.5 * there for there in shown],
        masks=[None if mask is None else masks.encode(mask) for mask in rows.values()],
    )


FILM = [  # track 7 leaves and returns; track 2 comes later, and stands first then
    frame(t7=LEFT),
    frame(c2=RING, t7=None),
    frame(c2=RING, t7=MIDDLE),
]


def film(folder, *found, name="día/f.mp4", size_hw=SIZE_HW):
    """A film of which every tenth frame is in the clip; their shades of grey are those of its name."""
    shades = [drawn_frame(0, SIZE_HW, shade=(len(name) + at) % 90) for at in range(10 * len(found))]
    path = film_file(folder / clip_id(name.encode()), shades)
    frames = tuple(Frame(10 * i, i / 3, size_hw) for i in range(len(found)))
    return Clip(film_id(str(path)), name, str(path), frames, None, found)


def written(place, *clips, ontology=ONTOLOGY):
    """The file of these clips, and what their format cannot say."""
    unsaid = youtube_vis.write(iter(clips), ontology, place)
    return json.loads((place / "annotations.json").read_text("ascii")), unsaid


def compared(place, clips):
    return fidelity.compare(iter(clips), youtube_vis.read(place), stems=True)


def test_a_film_is_written_track_by_track(sources, place):
    data, unsaid = written(place, film(sources, *FILM))
    assert unsaid == {}
    assert data["categories"] == [
        {"id": 1, "name": "cat", "supercategory": ""},
        {"id": 3, "name": "dog", "supercategory": ""},
    ]
    assert data["videos"] == [
        {
            "id": 1,
            "name": "día/f.mp4",
            "width": 5,
            "height": 4,
            "length": 3,
            "file_names": ["día/f/00000.png", "día/f/00010.png", "día/f/00020.png"],
            "frame_index": [0, 10, 20],
            "time_s": [0.0, 1 / 3, 2 / 3],
        }
    ]
    cat, dog = data["annotations"]
    ring, left, middle = ({"size": SIZE, "counts": masks.encode(mask).decode("ascii")} for mask in (RING, LEFT, MIDDLE))
    assert dog == {
        "id": 2,
        "video_id": 1,
        "category_id": 3,
        "iscrowd": 0,
        "score": 0.6,
        "width": 5,
        "height": 4,
        "length": 3,
        "avg_area": 4.0,
        "segmentations": [left, None, middle],
        "areas": [4, None, 4],
        "bboxes": [[0, 0, 2, 2], None, [1, 0, 2, 2]],
        "attributes": {
            "track_id": 7,
            "detector_box": [0, 0, 5, 3.5],
            "presence": 0.75,
            "prompt": "a pet",
            "score": 0.6,
            "source": "fake",
            "frames": [{}, {"presence": 0.25, "score": 0.5}, {}],
        },
    }
    assert (cat["id"], cat["attributes"]["track_id"]) == (1, 2)
    assert cat["segmentations"] == [None, ring, ring]
    assert cat["attributes"]["frames"] == [None, {}, {}]
    below = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    assert below == ["annotations.json", *(f"images/{file}" for file in data["videos"][0]["file_names"])]


def test_identity_and_visibility_come_back(sources, place):
    meant = film(sources, *FILM)
    written(place, meant)
    reading = youtube_vis.read(place)
    (got,) = reading.clips
    assert reading.problems == []
    assert reading.names == {1: "cat", 3: "dog"}
    assert (got.name, got.path, got.frames) == (meant.name, str(place / "images" / "día" / "f"), meant.frames)
    assert [f.track_ids.tolist() for f in got.found] == [[7], [2, 7], [2, 7]]
    assert [f.visible.tolist() for f in got.found] == [[True], [True, False], [True, True]]
    for before, after in zip(FILM, got.found, strict=True):
        assert after.names == before.names
        assert after.scores.tolist() == before.scores.tolist()
        assert after.source == before.source
        assert (after.masks or (None,) * len(after)) == before.masks
    assert got.found[1].extra == (
        {"annotation": 1, "detector_box": [0, 0, 5, 3.5], "presence": 0.75, "prompt": "a pet"},
        {"annotation": 2, "detector_box": [0, 0, 5, 3.5], "presence": 0.25, "prompt": "a pet"},
    )
    told = compared(place, [meant])
    assert told.ok
    assert told.objects == 4  # twice the cat, twice the dog: not where it is out of sight


CHANGES = [  # what happens to the file of the film above, and what reading it back says
    (lambda dog: dog["segmentations"].reverse(), "lowest IoU 0.3333"),
    (lambda dog: dog["attributes"].update(track_id=8), "2 lost .*, 2 extra"),
    (lambda dog: dog.update(category_id=1), "2 of another class"),
    (lambda dog: dog["segmentations"].__setitem__(2, None) or dog["bboxes"].__setitem__(2, None), "1 lost"),
    (lambda dog: dog["segmentations"][0].update(size=[5, 4]), "2 lost .*, 1 not read"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_a_file_that_was_changed_is_told(change, said, sources, place):
    clips = [film(sources, *FILM)]
    data, _ = written(place, *clips)
    change(data["annotations"][1])
    (place / "annotations.json").write_text(json.dumps(data))
    told = compared(place, clips)
    assert not told.ok
    assert re.search(said, str(told))


def test_the_torture_set_and_a_film_among_it(sources, place):
    meant = [*torture.clips(sources), film(sources, *FILM, name="0 film.mp4")]
    data, unsaid = written(place, *meant, ontology=Ontology([Category(name="cat"), *torture.ontology().categories]))
    told = compared(place, meant)
    assert told.ok, str(told)
    assert told.min_iou == 1.0
    assert unsaid == {}
    assert [video["name"] for video in data["videos"]] == sorted(video["name"] for video in data["videos"])
    assert [a["id"] for a in data["annotations"]] == list(range(1, len(data["annotations"]) + 1))
    reading = youtube_vis.read(place)
    assert tuple(reading.names.values()) == ("cat", *torture.CLASSES)
    for got in reading.clips:
        assert Path(got.path).is_dir() == (len(got.frames) > 1)
        assert Path(got.path).exists()
        assert (got.found[0].track_ids is None) == (len(got.frames) == 1 or not len(got.found[0]))


def test_a_still_picture_keeps_the_identities_it_has(sources, place):
    meant = torture.picture(sources, "a.png", frame(t7=LEFT, t2=RING))
    written(place, meant)
    (got,) = youtube_vis.read(place).clips
    assert got.found[0].track_ids.tolist() == [2, 7]
    assert compared(place, [meant]).ok


def test_the_same_records_give_the_same_bytes_in_any_order(tmp_path, sources):
    clips = [film(sources, *FILM), *torture.clips(sources)]
    ontology = Ontology([Category(name="cat"), *torture.ontology().categories])
    for name, order in (("1", clips), ("2", clips[::-1])):
        (tmp_path / name).mkdir()
        written(tmp_path / name, *order, ontology=ontology)
    assert (tmp_path / "1/annotations.json").read_bytes() == (tmp_path / "2/annotations.json").read_bytes()


def test_two_films_that_differ_in_their_suffix_do_not_share_frames(sources, place):
    clips = [film(sources, *FILM, name="f.mp4"), film(sources, *FILM, name="f.mov")]
    data, _ = written(place, *clips)
    assert [video["file_names"][0] for video in data["videos"]] == ["2/f/00000.png", "f/00000.png"]
    assert compared(place, clips).ok


def test_a_track_that_nobody_sees_is_counted(sources, place):
    data, unsaid = written(place, film(sources, frame(t1=None, t2=LEFT), frame(t1=None, t2=LEFT)))
    assert unsaid == {"tracks that are in sight in no frame": 1}
    assert [a["attributes"]["track_id"] for a in data["annotations"]] == [2]


def test_nothing_to_write_is_a_dataset_too(place):
    data, _ = written(place)
    assert (data["videos"], data["annotations"]) == ([], [])
    assert list(youtube_vis.read(place).clips) == []


TWICE = Instances(SIZE_HW, [(0, 0, 2, 2)] * 2, ["dog"] * 2, masks=[masks.encode(LEFT)] * 2, track_ids=[1, 1])
NO_MASK = Instances(SIZE_HW, [(0, 0, 2, 2)], ["dog"], track_ids=[1])
REFUSED = [  # the frames of a film, what is said
    (
        [instances([(0, 0, 2, 2)], size_hw=SIZE_HW, masks=[masks.encode(LEFT)])] * 2,
        "objects have no track ids; track them",
    ),
    ([TWICE, TWICE], "two objects of frame 0 have the track id 1"),
    ([frame(t1=LEFT), frame(c1=LEFT)], "track 1 has more than one class"),
    ([NO_MASK, NO_MASK], "dog/0.*has no mask"),
]


@pytest.mark.parametrize(("found", "said"), REFUSED)
def test_a_film_that_cannot_be_exported_is_named(found, said, sources, place):
    with pytest.raises(BadRecord, match=said) as caught:
        written(place, film(sources, *found))
    assert "día/f.mp4" in str(caught.value)


def test_a_film_has_one_size(sources, place):
    odd = film(sources, *FILM)
    odd = Clip(odd.id, odd.name, odd.path, (*odd.frames[:2], Frame(2, 0.5, (5, 4))), None, odd.found)
    with pytest.raises(BadRecord, match="frames of several sizes"):
        written(place, odd)


def test_a_film_that_is_gone_is_named(place):
    gone = Clip("f", "f.mp4", "/nowhere/f.mp4", (Frame(0, 0.0, SIZE_HW), Frame(1, 0.1, SIZE_HW)), None, ())
    with pytest.raises(BadMedia, match=r"f\.mp4: the file changed or vanished"):
        written(place, gone)


def test_it_is_in_the_table():
    assert format_of("youtube_vis") is youtube_vis.YOUTUBE_VIS
    assert youtube_vis.YOUTUBE_VIS.films


# Anybody's file.

CODE = masks.encode(RING).decode()
RLE = {"size": SIZE, "counts": CODE}
POLYGON = [[1, 1, 3, 1, 3, 3, 1, 3]]
NAN = float("nan")


def video(number=1, **fields):
    files = ["0a/00000.jpg", "0a/00005.jpg", "0a/00010.jpg"]
    return {"id": number, "width": 5, "height": 4, "length": 3, "file_names": files} | fields


def annotation(number=17, **fields):
    """A ring, nothing, a polygon; a field that is None is left out."""
    shapes = {"segmentations": [RLE, None, POLYGON], "bboxes": [[0, 0, 4, 3], None, [1, 1, 2, 2]]}
    whole = {"id": number, "video_id": 1, "category_id": 3, "iscrowd": 0, "areas": [10, None, 4]} | shapes | fields
    return {key: value for key, value in whole.items() if value is not None}


def read(folder, *annotations, videos=None, categories=({"id": 3, "name": "dog"},)):
    data = {"videos": [video()] if videos is None else videos, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(data))
    reading = youtube_vis.read(folder)
    return list(reading.clips), reading


def test_a_foreign_film(tmp_path):
    clips, reading = read(tmp_path, annotation(score=0.25), annotation(0, iscrowd=1))
    assert reading.problems == []
    (clip,) = clips
    assert (clip.name, clip.path) == ("0a", str(tmp_path / "images" / "0a"))
    assert [(f.index, f.time_s) for f in clip.frames] == [(0, 0.0), (1, 0.166667), (2, 0.333333)]
    assert [f.track_ids.tolist() for f in clip.found] == [[1, 2]] * 3  # in order: an annotation's number is none
    assert [f.visible.tolist() for f in clip.found] == [[True, True], [False, False], [True, True]]
    assert masks.decode(clip.found[0].masks[0], SIZE_HW).tolist() == RING.tolist()
    assert masks.area(clip.found[2].masks[0]) == 4
    assert clip.found[0].scores.tolist() == [0.25, 1.0]
    assert clip.found[0].extra == ({"annotation": 17}, {"annotation": 0, "iscrowd": 1})
    assert clip.found[0].source == ("youtube_vis", "youtube_vis")


def test_boxes_alone_are_read(tmp_path):
    (clip,), reading = read(tmp_path, annotation(segmentations=None))
    assert reading.problems == []
    assert [f.visible.tolist() for f in clip.found] == [[True], [False], [True]]
    assert clip.found[0].boxes_xyxy.tolist() == [[0, 0, 4, 3]]
    assert clip.found[0].masks is None


PLACES = [("images", "0a"), ("JPEGImages", "0a"), ("", "0a")]


@pytest.mark.parametrize(("folder", "name"), PLACES)
def test_frames_are_looked_for_where_they_may_be(folder, name, tmp_path):
    (tmp_path / folder / name).mkdir(parents=True)
    (clip,), _ = read(tmp_path)
    assert clip.path == str(tmp_path / folder / name)


NAMED = [  # file names, the name of the clip
    (["a.jpg"], "a.jpg"),
    (["x/a.jpg"], "x/a.jpg"),
    (["x/a.jpg", "x/b.jpg"], "x"),
    (["a_0.jpg", "a_1.jpg"], "a_0.jpg"),
]


@pytest.mark.parametrize(("files", "name"), NAMED)
def test_a_clip_has_the_name_of_its_folder_or_picture(files, name, tmp_path):
    (clip,), reading = read(tmp_path, videos=[video(file_names=files, length=len(files))])
    assert (clip.name, reading.problems) == (name, [])


BAD = [
    ({"segmentations": [RLE]}, "segmentations has 1 entries, the video has 3 frames; give one a frame"),
    ({"segmentations": "none"}, "segmentations is 'none', the video has 3 frames"),
    ({"bboxes": [None] * 4}, "bboxes has 4 entries"),
    ({"segmentations": [None] * 3, "bboxes": None}, "is in sight in no frame; remove it"),
    ({"segmentations": [None, None, {"size": [5, 4], "counts": CODE}]}, r"frame 2: the mask's size is \[5, 4\]"),
    (
        {"segmentations": [RLE, {"size": SIZE, "counts": "oooooooooo1"}, None]},
        "frame 1: mask: a run length is too large",
    ),
    ({"segmentations": [{"size": SIZE, "counts": ""}, None, None]}, "frame 0: mask: not a run-length code"),
    ({"segmentations": [[[1, 1, 3, NAN, 3, 3]], None, None]}, "frame 0: .*no list of finite numbers"),
    ({"segmentations": [[[-9e9, -9e9, 9e9, 9e9] * 70_000], None, None]}, "frame 0: polygons too many or too long"),
    ({"bboxes": [[1, 1, -1, 2], None, None]}, "frame 0: bbox .* has no area inside"),
    ({"category_id": 4}, "category_id 4 is not among"),
    ({"video_id": 2}, "video_id 2 is not among the videos that can be read"),
    ({"score": 2}, "frame 0: score is 2"),
    ({"attributes": {"track_id": 0}}, "track_id is 0; give every track"),
    ({"attributes": {"track_id": 2**63}}, "track_id is 9223372036854775808"),
    ({"attributes": {"track_id": "7"}}, "track_id is '7'; make it a whole number"),
    ({"attributes": {"track_id": 5}}, "track_id is 5; give every track"),  # the other one has it
    ({"attributes": {"depth": NAN}}, "frame 0: attributes have a number or a text that cannot be kept"),
    ({"attributes": {"frames": [{}, {}, {"score": -1}]}}, "frame 2: score is -1"),
]


@pytest.mark.parametrize(("fields", "said"), BAD)
def test_what_cannot_be_trusted_is_left_out_and_told(fields, said, tmp_path):
    clips, reading = read(tmp_path, annotation(18, attributes={"track_id": 5}), annotation(**fields))
    (problem,) = reading.problems
    assert str(problem).startswith("annotations.json: annotation 17: ")
    assert len(str(problem)) < 200
    assert re.search(said, str(problem))
    assert [[row["annotation"] for row in found.extra] for found in clips[0].found] == [[18]] * 3


BAD_VIDEOS = [
    (video(2, file_names=[]), r"video 2: file_names is \[\]"),
    (video(2, file_names=["b/0.jpg", "../1.jpg", "b/2.jpg"]), "leads out of the dataset"),
    (video(2, file_names=["b/0.jpg", 1, "b/2.jpg"]), "a file name is 1; make it a text"),
    (video(2, file_names=["b/0.jpg"]), "length is 3, file_names has 1"),
    (video(2), "another video has the name '0a'"),
    (video(2, name="/b"), "leads out of the dataset"),
    (video(1, name="b"), "video 1: another one has the same id"),
    (video(2, name="b", width=0), "a picture of 4 x 0"),
    (video(2, name="b", frame_index=[0, 1]), "frame_index is .*give 3 numbers from 0"),
    (video(2, name="b", frame_index=[0, 1, 1.5]), "frame_index has broken numbers"),
    (video(2, name="b", time_s=[0, 1, 1e300]), "time_s is"),
    (video(2, name="b", time_s=[0, 1, NAN]), "no list of finite numbers"),
    ("b", "video at index 1: is no JSON object"),
]


@pytest.mark.parametrize(("bad", "said"), BAD_VIDEOS)
def test_bad_videos_are_left_out_and_told(bad, said, tmp_path):
    clips, reading = read(tmp_path, annotation(), videos=[video(), bad])
    (problem,) = reading.problems
    assert re.search(said, str(problem))
    assert [clip.name for clip in clips] == ["0a"]
    assert len(clips[0].found[0]) == 1


NO_DATASETS = [
    (b"", "is no YouTube-VIS file: want {, got the end of the file"),
    (b"\xff\xfe\x00", "is no YouTube-VIS file: 'utf-8' codec can't decode"),
    (b'{"images": [], "annotations": [], "categories": []}', "it has no list 'videos'"),  # COCO
]


@pytest.mark.parametrize(("content", "said"), NO_DATASETS)
def test_what_is_no_youtube_vis_is_one_line(content, said, tmp_path):
    (tmp_path / "annotations.json").write_bytes(content)
    with pytest.raises(BadDataset, match=said) as caught:
        youtube_vis.read(tmp_path)
    assert "\n" not in str(caught.value)


def survives(folder, content):
    """Reading gives records or one of our errors, whatever the bytes are."""
    path = folder / "annotations.json"
    path.write_bytes(content)
    try:
        for got in youtube_vis.read(path).clips:
            got.digest()
    except BadDataset:
        pass


@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory, content):
    survives(tmp_path_factory.getbasetemp(), content)


@settings(max_examples=200)
@given(seed=st.integers(0, 10**6), changes=st.integers(1, 20))
def test_a_damaged_file(tmp_path_factory, seed, changes):
    """A valid file with some bytes replaced by others that a JSON file has."""
    said = {"track_id": 3, "frames": [{}, None, {"score": 0.5}]}
    data = {
        "videos": [video(), video(2, name="b", time_s=[0, 1, 2], frame_index=[0, 1, 2])],
        "annotations": [annotation(), annotation(18, attributes=said), annotation(19, video_id=2)],
        "categories": [{"id": 3, "name": "dog"}],
    }
    content, dice = bytearray(json.dumps(data).encode()), random.Random(seed)
    for _ in range(changes):
        content[dice.randrange(len(content))] = dice.choice(b'0123456789-.,:[]{}"ntfeE\\ `~')
    survives(tmp_path_factory.getbasetemp(), bytes(content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
THREE = st.lists(JSON, min_size=3, max_size=3)
FIELDS = st.sampled_from(["id", "video_id", "category_id", "bboxes", "segmentations", "score", "attributes", "iscrowd"])
SAID = st.fixed_dictionaries({}, optional={"track_id": JSON, "frames": THREE | JSON, "source": JSON, "score": JSON})


@settings(max_examples=200)
@given(st.dictionaries(FIELDS, JSON | THREE | SAID, max_size=3))
def test_no_annotation_gets_past_unchecked(tmp_path_factory, fields):
    clips, reading = read(tmp_path_factory.getbasetemp(), annotation(18), annotation() | fields)
    assert len({row["annotation"] for found in clips[0].found for row in found.extra}) + len(reading.problems) == 2
    clips[0].digest()

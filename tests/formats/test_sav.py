"""SA-V's JSON files: the release's own come back byte by byte, ours without a loss."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import clip, drawn, instances
from filming import drawn as drawn_frame
from filming import film_file
from test_coco import NAMES, ONTOLOGY, SHAPES, every_shape, picture

from pipeline import masks
from pipeline.errors import BadMedia, BadRecord
from pipeline.formats import fidelity, format_of, sav
from pipeline.formats.naming import stem
from pipeline.formats.sav_clips import suffix, video_id, with_ids
from pipeline.media import film_id
from pipeline.records import Clip, Frame, Instances, clip_id

SIZE_HW = (4, 5)
LEFT = drawn("##...", "##...", ".....", ".....")
RIGHT = drawn("...##", "...##", "...#.", ".....")
RING = drawn("####.", "#..#.", "####.", ".....")
NOTHING = {"size": [4, 5], "counts": "d0"}

KEYS = [
    *("video_id", "video_duration", "video_frame_count", "video_height", "video_width", "video_resolution"),
    *("video_environment", "video_split", "masklet", "masklet_id", "masklet_size_rel", "masklet_size_abs"),
    *("masklet_size_bucket", "masklet_visibility_changes", "masklet_first_appeared_frame", "masklet_frame_count"),
    *("masklet_edited_frame_count", "masklet_type", "masklet_stability_score", "masklet_num"),
]


def frame(rows, **columns):
    """One frame: (identity, class) -> mask, None where the object is not in sight."""
    codes = [None if mask is None else masks.encode(mask) for mask in rows.values()]
    boxes = [masks.box(code, SIZE_HW) if code else (0, 0, 0, 0) for code in codes]
    return Instances(
        SIZE_HW,
        np.reshape(boxes, (-1, 4)),
        [name for _, name in rows],
        track_ids=[track for track, _ in rows],
        masks=codes,
        visible=[code is not None for code in codes],
        **columns,
    )


FILM = (  # the dog leaves and comes back, the cat comes later and stands first then
    frame({(7, "dog"): LEFT}),
    frame({(2, "cat"): RING, (7, "dog"): None}),
    frame({(2, "cat"): RING, (7, "dog"): RIGHT}),
)


def film(folder, *found, name="día/f.b.mp4", step=4):
    """A film of which every `step`-th frame is in the clip; its shades of grey are its name's."""
    shades = [drawn_frame(0, SIZE_HW, shade=(len(name) + at) % 90) for at in range(step * len(found))]
    path = film_file(folder / clip_id(name.encode()), shades)
    frames = tuple(Frame(step * at, step * at / 24, SIZE_HW) for at in range(len(found)))
    return Clip(film_id(str(path)), name, str(path), frames, None, found)


def document(place, *clips, kind="_auto.json"):
    """The file of the first of these clips."""
    sav.write_annotations(iter(clips), ONTOLOGY, place, kind)
    name, _ = next((video_id, name) for video_id, name, _ in with_ids(clips))
    return json.loads((place / f"{name}{kind}").read_text("ascii"))


def read(place):
    """The clips of a dataset that is read without a problem."""
    reading = sav.read(place)
    clips = list(reading.clips)
    assert reading.problems == []
    return clips


def spoilt(data, place):
    """What is read, and the problems, of a file without a sidecar."""
    place.mkdir(exist_ok=True)
    (place / "v_auto.json").write_text(json.dumps(data))
    reading = sav.read(place)
    return list(reading.clips), list(map(str, reading.problems))


# What we write


@pytest.mark.parametrize("name", ["sav", "sav_manual"])
def test_stills_and_films_come_back_as_meant(name, sources, place):
    format_ = format_of(name)
    clips = [picture(sources, name, every_shape(prompts=["a pet"] * len(SHAPES))) for name in sorted(NAMES)]
    clips += [film(sources, *FILM), picture(sources, "zero.png", instances([], size_hw=SIZE_HW))]
    assert format_.films
    assert format_.write(iter(clips), ONTOLOGY, place) == {}
    reading = format_.read(place)
    again = {clip.name: clip for clip in reading.clips}
    assert reading.names == {1: "cat", 3: "dog"}
    for meant in clips:
        got = again[meant.name]
        assert got.frames == meant.frames
        assert Path(got.path).read_bytes() == Path(meant.path).read_bytes()
    check = fidelity.compare(clips, format_.read(place), format_.masks)
    assert check.ok, str(check)
    assert (check.pictures, check.objects) == (8, 6 * 8 + 4)
    for one in NAMES:
        found = again[one].found[0]
        assert found.prompts == ("a pet",) * len(SHAPES)
        assert found.scores.tolist() == [np.float32(0.9)] * len(SHAPES)


def test_identities_and_sight_are_kept(sources, place):
    sav.write([film(sources, *FILM)], ONTOLOGY, place)
    (again,) = read(place)
    assert [found.track_ids.tolist() for found in again.found] == [[2, 7]] * 3
    assert [found.visible.tolist() for found in again.found] == [[False, True], [True, False], [True, True]]
    assert [found.names for found in again.found] == [("cat", "dog")] * 3
    assert again.found[1].masks == (masks.encode(RING), None)


def test_the_file_of_a_film(sources, place):
    data = document(place, film(sources, *FILM))
    assert list(data) == KEYS
    codes = data.pop("masklet")
    assert [[masks.decode(cell["counts"].encode(), SIZE_HW).sum() for cell in row] for row in codes] == [
        [0, 4],
        [10, 0],
        [10, 5],
    ]
    assert codes[0][0] == NOTHING
    assert data == {
        "video_id": "día/f_b",
        "video_duration": 9 / 24,  # frames 0 to 8
        "video_frame_count": 9.0,
        "video_height": 4.0,
        "video_width": 5.0,
        "video_resolution": 20.0,
        "video_environment": "",
        "video_split": "train",
        "masklet_id": [0, 1],
        "masklet_size_rel": [0.5, 0.225],
        "masklet_size_abs": [10.0, 4.5],
        "masklet_size_bucket": ["small", "small"],
        "masklet_visibility_changes": [0, 2],
        "masklet_first_appeared_frame": [1, 0],
        "masklet_frame_count": [3, 3],
        "masklet_edited_frame_count": [0, 0],
        "masklet_type": ["auto", "auto"],
        "masklet_stability_score": [None, None],
        "masklet_num": 2,
    }


def test_the_manual_file_has_its_own_number_style(sources, place):
    thirds = [frame({(1, "dog"): mask}) for mask in (LEFT, LEFT, RIGHT)]
    data = document(place, film(sources, *thirds), kind="_manual.json")
    assert data["masklet_size_abs"] == [4.3333333333]
    assert data["masklet_size_rel"] == [0.2166666667]
    assert repr(data["masklet_first_appeared_frame"]) == "[0.0]"
    assert data["masklet_type"] == ["manual"]


def test_stability_is_the_segmenters(sources, place):
    nan = float("nan")
    found = [
        frame({(1, "dog"): LEFT, (2, "dog"): RING}, quality=[[nan, 0.75, nan], [nan, nan, nan]]),
        frame({(1, "dog"): LEFT, (2, "dog"): None}, quality=[[nan, 0.5, nan], [nan, nan, nan]]),
    ]
    assert document(place, film(sources, *found))["masklet_stability_score"] == [[0.75, None], [0.5, 1.0]]


def test_an_object_in_sight_nowhere_is_left_out_and_counted(sources, place):
    one = film(sources, frame({(1, "dog"): None, (2, "dog"): LEFT}), frame({(1, "dog"): None}))
    assert sav.write([one], ONTOLOGY, place) == {"objects in sight in no frame": 1}
    (again,) = read(place)
    assert again.found[0].track_ids.tolist() == [2]


def test_the_same_clips_give_the_same_bytes(sources, tmp_path):
    clips = [film(sources, *FILM), picture(sources, "a.png", every_shape())]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        sav.write(iter(clips), ONTOLOGY, tmp_path / name)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()} for n in ("one", "two"))
    assert one == two
    assert set(one) == {"masklet.jsonl", "f_b_auto.json", "f_b.mp4", "a_auto.json", "00000.png"}


IDS = [  # name, id, and where the pixels are
    ("a.jpg", "a", "a/00000.jpg"),
    ("day 1/IMG.JPEG", "day 1/IMG", "day 1/IMG/00000.jpg"),
    ("a.b.jpg", "a_b", "a_b/00000.jpg"),  # SAM 2 would look for `a`
    ("a", "a", "a/00000.bin"),
    ("x_auto.json", "x_auto", "x_auto/00000.bin"),
    ("a.x y", "a", "a/00000.bin"),
    (".jpg", "_jpg", "_jpg/00000.bin"),
    ("line\nbreak.png", "line_break", "line_break/00000.png"),
    (" a .png", "_a_", "_a_/00000.png"),
    ("é" * 125 + ".png", "é" * 121, "é" * 121 + "/00000.png"),
    ("a." + "b" * 250, "a", "a/00000.bin"),
    ("d" * 250 + "/" + "e" * 250 + ".x", "d" * 250 + "/" + "e" * 243, "d" * 250 + "/" + "e" * 243 + "/00000.x"),
    ("/".join(["d" * 250] * 5) + "/e.png", "e", "e/00000.png"),
]


@pytest.mark.parametrize(("name", "wanted", "file"), IDS)
def test_every_name_has_an_id(name, wanted, file, sources, place):
    assert video_id(stem(name)) == wanted
    assert f"{wanted}/00000{suffix(name)}" == file
    one = picture(sources, name, every_shape())
    sav.write([one], ONTOLOGY, place)
    assert (place / file).is_file()
    assert (place / f"{wanted}_auto.json").is_file()
    assert fidelity.compare([one], sav.read(place)).ok


def test_nor_a_clip_and_a_frame_that_has_another_number_in_the_dataset(sources, place):
    """Of a film of other frames than every n-th the first is written as 00000.jpg."""
    of_film = film(sources, *FILM, name="f.mp4")
    frames = tuple(replace(frame, index=frame.index + 1) for frame in of_film.frames)
    clips = [replace(of_film, frames=frames), picture(sources, "f/00000.jpg", every_shape())]
    sav.write(clips, ONTOLOGY, place)
    ids = [path.relative_to(place).as_posix() for path in sorted(place.rglob("*_auto.json"))]
    assert ids == ["2/f/00000_auto.json", "f_auto.json"]
    assert fidelity.compare(clips, sav.read(place)).ok


def test_no_two_clips_meet(sources, place):
    names = ["a.jpg", "a.png", "a/00000.jpg", "a_b.png", "a.b.png", "masklet.jsonl.png", "manifest.json", "x.png"]
    names += ["x_auto.json.png", "f.mp4.jpg", "2/a.png"]
    clips = [picture(sources, name, every_shape()) for name in names]
    clips += [film(sources, *FILM, name=name) for name in ("f.mp4", "x_auto.json", "masklet.jsonl", "f/00000.jpg")]
    assert [one for one, _, _ in with_ids(clips)] == [
        *("a", "2/a", "3/a/00000", "a_b", "2/a_b", "masklet_jsonl", "manifest", "x"),
        *("x_auto_json", "f_mp4", "2/2/a", "f", "x_auto", "masklet", "f/00000"),
    ]
    sav.write(clips, ONTOLOGY, place)
    check = fidelity.compare(clips, sav.read(place))
    assert check.ok, str(check)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([frame({(1, "fox"): LEFT})], r"fox/0 \(.*mp4\): 'fox' is no class that is exported"),
        ([frame({(1, "bird"): LEFT})], "'bird' is no class"),  # retired
        ([replace(FILM[0], masks=None)], r"dog/0 \(.*\): has no mask"),
        ([replace(FILM[0], masks=[masks.encode(np.zeros(SIZE_HW, bool))])], "dog/0 .* has no mask"),
        ([frame({(1, "dog"): LEFT, (1, "cat"): RING})], "cat/0 .*another object of its frame has the track_id 1, too"),
        (
            [frame({(1, "dog"): LEFT}), frame({(1, "cat"): LEFT})],
            "mp4: an object is 'dog' in frame 0 and 'cat' in frame 1",
        ),
        ([replace(one, track_ids=None) for one in FILM], "mp4: a film whose objects have no track_ids"),
    ],
)
def test_what_cannot_be_written_is_named(found, said, sources, place):
    with pytest.raises(BadRecord, match=said):
        sav.write([film(sources, *found, FILM[0].take([]))], ONTOLOGY, place)


def test_frames_in_no_order_or_of_two_sizes_are_refused(sources, place):
    one = film(sources, FILM[0], FILM[0])
    with pytest.raises(BadRecord, match="its frames are not in order"):
        sav.write([replace(one, frames=one.frames[::-1])], ONTOLOGY, place)
    with pytest.raises(BadRecord, match="its frames have more than one size"):
        sav.write_annotations([replace(one, frames=(one.frames[0], Frame(4, 1, (9, 9))))], ONTOLOGY, place)


@pytest.mark.parametrize("hard_link", [False, True])
def test_a_film_that_changed_is_told(hard_link, sources, place):
    one = film(sources, *FILM)
    Path(one.path).write_bytes(b"other")
    with pytest.raises(BadMedia, match=r"día/f.b.mp4: .*changed"):
        sav.write([one], ONTOLOGY, place, hard_link)
    assert list(place.rglob("*.mp4")) == []
    Path(one.path).unlink()
    with pytest.raises(BadMedia, match=r"día/f.b.mp4: .*No such file"):
        sav.write([one], ONTOLOGY, place, hard_link)


def test_a_film_is_linked_on_request(sources, place):
    one = film(sources, *FILM)
    sav.write([one], ONTOLOGY, place, hard_link=True)
    assert (place / "día" / "f_b.mp4").samefile(one.path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rows: rows.take([1]), "2 lost"),
        (lambda rows: replace(rows, names=("dog", "cat")), "of another class"),
        (lambda rows: replace(rows, track_ids=[7, 2]), "of another class"),
        (lambda rows: replace(rows, masks=[masks.encode(RING[::-1]), rows.masks[1]]), "lowest IoU 0."),
    ],
)
def test_a_fault_is_found(spoil, said, sources, place):
    meant = film(sources, FILM[2], FILM[2])
    sav.write([replace(meant, found=tuple(map(spoil, meant.found)))], ONTOLOGY, place)
    assert said in str(fidelity.compare([meant], sav.read(place)))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_pycocotools_sees_every_pixel(place):
    from pycocotools import mask as coco

    (row,) = document(place, clip(every_shape()))["masklet"]
    assert [coco.decode(cell).tolist() for cell in row] == [shape.tolist() for shape in SHAPES.values()]


# The release's own


@pytest.fixture(params=["auto", "manual"])
def example(request, shared_data):
    """A file of the release, how it is read, and how it is written."""
    path = shared_data / "sav_example" / "example" / f"sav_000001_{request.param}.json"
    if not path.is_file():
        pytest.skip(f"needs {path.name} of SA-V, which is not part of the project")
    return path, format_of("sav" if request.param == "auto" else "sav_manual")


def written_again(clips, path, place):
    sav.write_annotations(clips, ONTOLOGY, place, f"_{path.stem.rsplit('_', 1)[1]}.json")
    return (place / path.name).read_bytes()


def test_release_files_come_back_byte_by_byte(example, place):
    path, format_ = example
    reading = format_.read(path.parent)
    (film,) = reading.clips
    assert (reading.problems, reading.names) == ([], {})
    assert [film.frames[at].index for at in (0, 1, 120)] == [0, 4, 480]
    assert film.frames[-1].time_s == 20.0
    assert written_again([film], path, place) == path.read_bytes()


def test_nothing_but_facts_about_the_film_travels(example):
    path, _ = example
    (film,) = sav.read(path).clips
    kept = {"environment", "split", "frame_count", "edited", "stability"}
    assert {key for found in film.found for row in found.extra for key in row["sav"]} <= kept
    assert {key for found in film.found for row in found.extra for key in row} == {"sav"}


def test_with_one_masklet_removed_fields_follow(example, place):
    path, format_ = example
    before = json.loads(path.read_text())
    (film,) = format_.read(path.parent).clips
    kept = [number for number in before["masklet_id"] if number != 3]
    after = json.loads(written_again([replace(film, found=tuple(f.take(kept) for f in film.found))], path, place))
    lists = [key for key in KEYS if key.startswith("masklet_") and isinstance(before[key], list)]
    stability = lists.pop(lists.index("masklet_stability_score"))
    assert after["masklet_num"] == before["masklet_num"] - 1
    assert after["masklet_id"] == list(range(len(kept)))
    for key in set(lists) - {"masklet_id"}:
        assert after[key] == [before[key][number] for number in kept]
    per_frame = before[stability] if path.stem.endswith("auto") else None
    assert after[stability] == ([[row[n] for n in kept] for row in per_frame] if per_frame else [None] * len(kept))
    assert after["masklet"] == [[row[number] for number in kept] for row in before["masklet"]]
    assert [before[key] for key in KEYS[:8]] == [after[key] for key in KEYS[:8]]


def test_with_another_mask_fields_follow(example, place):
    path, format_ = example
    before = json.loads(path.read_text())
    (film,) = format_.read(path.parent).clips
    first = film.found[0]
    hidden = first.visible & (np.arange(len(first)) != 1)
    gone = replace(
        first,
        visible=hidden,
        masks=[code if seen else None for code, seen in zip(first.masks, hidden, strict=True)],
        boxes_xyxy=first.boxes_xyxy * hidden[:, None],
    )
    after = json.loads(written_again([replace(film, found=(gone, *film.found[1:]))], path, place))
    assert (before["masklet_first_appeared_frame"][1], after["masklet_first_appeared_frame"][1]) == (0, 1)
    assert after["masklet_size_abs"][1] != before["masklet_size_abs"][1]
    assert after["masklet_size_abs"][2:] == before["masklet_size_abs"][2:]
    assert after["masklet_visibility_changes"] == before["masklet_visibility_changes"]


def test_a_release_file_with_a_mask_moved_by_a_pixel_is_told(example, place):
    """Moved out of the picture by a pixel, and so smaller."""
    path, _ = example
    data = json.loads(path.read_text())
    size_hw = tuple(data["masklet"][0][1]["size"])
    mask = masks.decode(data["masklet"][0][1]["counts"].encode(), size_hw)
    x0, _, _, _ = masks.box(masks.encode(mask), size_hw)
    data["masklet"][0][1]["counts"] = masks.encode(np.pad(mask[:, x0 + 1 :], ((0, 0), (0, x0 + 1)))).decode()
    _, problems = spoilt(data | {"video_id": "v"}, place)
    assert [problem.split(" is ")[0] for problem in problems] == [
        "v_auto.json: masklet_size_rel:",
        "v_auto.json: masklet_size_abs:",
    ]
    assert "for object 1, the masks say" in problems[0]

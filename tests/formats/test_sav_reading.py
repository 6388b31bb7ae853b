"""SA-V's JSON files of anybody, and sidecars: what cannot be trusted is told, the rest is read."""

import json
import re
from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
from drawing import clip
from hypothesis import given, settings
from hypothesis import strategies as st
from test_coco import ONTOLOGY, every_shape
from test_sav import FILM, LEFT, NOTHING, RIGHT, RING, SIZE_HW, document, film, spoilt

from pipeline import masks
from pipeline.errors import BadDataset
from pipeline.formats import format_of, sav, sav_reading, sav_sidecar
from pipeline.records import Frame


def valid():
    """A good file of the film above."""
    codes = [
        [{"size": [4, 5], "counts": masks.encode(m).decode()} if m is not None else NOTHING for m in row]
        for row in (
            (None, LEFT),
            (RING, None),
            (RING, RIGHT),
        )
    ]
    return {
        "video_id": "v",
        "video_duration": 0.375,
        "video_frame_count": 9.0,
        "video_height": 4.0,
        "video_width": 5.0,
        "video_resolution": 20.0,
        "video_environment": "Indoor",
        "video_split": "val",
        "masklet": codes,
        "masklet_id": [3, 5],
        "masklet_size_rel": [0.5, 0.225],
        "masklet_size_abs": [10.0, 4.5],
        "masklet_size_bucket": ["small", "small"],
        "masklet_visibility_changes": [0, 2],
        "masklet_first_appeared_frame": [1, 0],
        "masklet_frame_count": [3, 3],
        "masklet_edited_frame_count": [0, 1],
        "masklet_type": ["auto", "auto"],
        "masklet_stability_score": [[1.0, 0.912345678], [0.5, 1.0], [0.25, 0.75]],
        "masklet_num": 2,
    }


def test_a_good_file_without_a_sidecar(place):
    (clip,), problems = spoilt(valid(), place)
    assert problems == []
    assert (clip.name, clip.path) == ("v.mp4", str(place / "v.mp4"))
    assert clip.frames == tuple(Frame(at, at / 24, SIZE_HW) for at in (0, 4, 8))
    assert clip.found[0].track_ids.tolist() == [4, 6]
    assert clip.found[0].names == ("", "")
    assert clip.found[0].source == ("sav", "sav")
    assert clip.found[0].scores is None
    assert clip.found[1].extra[1] == {
        "sav": {"environment": "Indoor", "split": "val", "frame_count": 9, "edited": 1, "stability": 1.0}
    }
    assert clip.found[0].quality[1, 1] == np.float32(0.9123)
    (place / "again").mkdir()
    assert document(place / "again", clip) == valid() | {"masklet_id": [0, 1]}


def at(*path, value):
    """A change of the good file: what stands at a path is replaced."""

    def change(data):
        inner = data
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        return data

    return change


def without(key):
    return lambda data: {name: value for name, value in data.items() if name != key}


CODE = masks.encode(RING).decode()
DAMAGE = [  # what is changed, the problem, and the rows that are read in each frame
    (at("masklet", 1, 0, "counts", value=""), "frame 1, object 0: mask: not a run-length code", [2, 1, 2]),
    (at("masklet", 1, 0, "counts", value=CODE[:-1]), "frame 1, object 0: mask: runs fill .* pixels", [2, 1, 2]),
    (at("masklet", 1, 0, "counts", value="é"), "frame 1, object 0: mask: not a run-length code", [2, 1, 2]),
    (at("masklet", 1, 0, "counts", value=7), "7 is no list of finite numbers", [2, 1, 2]),
    (at("masklet", 1, 0, "counts", value=[float("nan"), 20]), "no list of finite numbers", [2, 1, 2]),
    (at("masklet", 1, 0, "counts", value="oooooooooo1"), "a run length is too large", [2, 1, 2]),
    (at("masklet", 1, 0, "size", value=[5, 4]), r"frame 1, object 0: the mask's size is \[5, 4\], the", [2, 1, 2]),
    (at("masklet", 1, 0, "size", value=[10**9, 10**9]), "make the two agree", [2, 1, 2]),
    (
        at("masklet", 1, 1, value=None),
        "frame 1, object 1: None is no run-length code; out of sight is a mask",
        [2, 1, 2],
    ),
    (at("masklet", 1, value=[NOTHING]), r"frame 1: \[.*\] is no list of 2 run-length codes", [2, 0, 2]),
    (at("masklet", 1, value=None), "frame 1: None is no list of 2 run-length codes; give one a masklet", [2, 0, 2]),
    (
        at("masklet", 1, 0, value=NOTHING),
        "masklet_first_appeared_frame: is 1 for object 0, the masks say 2",
        [2, 2, 2],
    ),
    (at("masklet_id", value=[0, 0]), r"masklet_id: \[0, 0\] are no numbers from 0, all different", [2, 2, 2]),
    (at("masklet_id", value=[0, 2**63 - 1]), "masklet_id: .* are no numbers", [2, 2, 2]),
    (at("masklet_id", value=["a", "b"]), "masklet_id: .* are no numbers", [2, 2, 2]),
    (at("masklet_num", value=3), "masklet_num: is 3, the frames have 2 masklets", [2, 2, 2]),
    (without("masklet_num"), "masklet_num is None; make it a whole number", [2, 2, 2]),
    (at("masklet_size_abs", 1, value=4.6), "masklet_size_abs: is 4.6 for object 1, the masks say 4.5", [2, 2, 2]),
    (at("masklet_size_abs", 1, value=10**400), "masklet_size_abs: .* no list of finite numbers", [2, 2, 2]),
    (at("masklet_size_rel", value=[0.5]), r"masklet_size_rel: \[0.5\] is no list of 2 values", [2, 2, 2]),
    (
        at("masklet_size_bucket", 0, value="large"),
        "is 'large' for object 0, the masks say 'small'; write it anew",
        [2, 2, 2],
    ),
    (at("masklet_first_appeared_frame", 0, value=4), "is 4 for object 0, the masks say 1", [2, 2, 2]),
    (at("masklet_visibility_changes", 1, value=None), "None.* no list of finite numbers", [2, 2, 2]),
    (at("masklet_frame_count", 1, value=12), "masklet_frame_count: is 12 for object 1, the masks say 3", [2, 2, 2]),
    (
        at("masklet_edited_frame_count", 1, value=-1),
        "masklet_edited_frame_count: .* are no numbers of frames",
        [2, 2, 2],
    ),
    (at("masklet_stability_score", 1, 0, value=1.5), "masklet_stability_score: score is 1.5", [2, 2, 2]),
    (at("masklet_stability_score", 1, value=[]), r"masklet_stability_score: \[\] is no list of 2 values", [2, 2, 2]),
    (at("masklet_stability_score", 1, 0, value=float("nan")), "no list of finite numbers", [2, 2, 2]),
    (
        at("video_frame_count", value=90),
        "video_frame_count: is 90, of which 3 frames are not every n-th"[:0],
        [2, 2, 2],
    ),
    (at("video_frame_count", value=2.0), "video_frame_count: is 2, of which 3 frames are not every n-th", [2, 2, 2]),
    (at("video_frame_count", value=0), "video_frame_count: is 0; give the number of the film's frames", [2, 2, 2]),
    (at("video_frame_count", value=1e300), "video_frame_count: is 1000", [2, 2, 2]),
    (at("video_duration", value=float("inf")), r"video_duration: \[inf\] is no list of finite numbers", [2, 2, 2]),
    (at("video_duration", value=0), "video_duration: is 0.0 for 9 frames; give seconds", [2, 2, 2]),
    (at("video_environment", value=["Indoor"]), r"video_environment: is \['Indoor'\]; make it a text", [2, 2, 2]),
    (at("video_split", value="\ud800"), "video_split: is .*; make it a text", [2, 2, 2]),
    (at("video_id", value="w"), "video_id: is 'w', the file's name says 'v'; rename the file", [2, 2, 2]),
]


@pytest.mark.parametrize(("change", "said", "rows"), DAMAGE)
def test_what_cannot_be_trusted_is_told_and_left_out(change, said, rows, place):
    (clip,), problems = spoilt(change(valid()), place)
    assert re.search(said, "\n".join(problems))
    assert all(len(problem) < 250 and problem.startswith("v_auto.json: ") for problem in problems)
    assert [len(found) for found in clip.found] == rows


def test_masks_of_no_pixel_are_told(place):
    data = valid()
    for row in data["masklet"]:
        row[0] = NOTHING
    (_,), problems = spoilt(data, place)
    assert problems[0] == "v_auto.json: object 0: is in sight in no frame; remove it"
    assert len(problems) > 1  # and its sizes are wrong


NO_CLIPS = [
    (at("video_height", value=None), "height is None"),
    (at("video_width", value=0), "a picture of 4 x 0"),
    (at("video_width", value=2**40), "a picture of 4 x 1099511627776"),
    (at("masklet", value=[]), "has no frames under 'masklet'"),
    (at("masklet", value={}), "has no frames under 'masklet'"),
    (lambda data: [data], "is no JSON object but"),
]


@pytest.mark.parametrize(("change", "said"), NO_CLIPS)
def test_a_file_that_is_no_clip_costs_that_clip(change, said, place):
    (place / "good_auto.json").write_text(json.dumps(valid() | {"video_id": "good"}))
    clips, problems = spoilt(change(valid()), place)
    assert [clip.name for clip in clips] == ["good.mp4"]
    (problem,) = problems
    assert problem.startswith("v_auto.json: ")
    assert said in problem


NO_DATASETS = [
    (b"", "is no JSON: Expecting value"),
    (b"\xff\xfe\x00", "is no JSON: "),
    (b'{"masklet": ' + b"[" * 100_000, "is no JSON: maximum recursion"),
    (b'{"a": ' + b"9" * 5000 + b"}", "is no JSON: Exceeds the limit"),
    (b"[]", r"is no JSON object but \[\]"),
    (b"{}", "has no frames under 'masklet'"),
]


@pytest.mark.parametrize(("content", "said"), NO_DATASETS)
def test_the_only_file_that_is_none_is_one_line(content, said, place):
    (place / "v_auto.json").write_bytes(content)
    for where in (place, place / "v_auto.json"):
        with pytest.raises(BadDataset, match=said) as caught:
            sav.read(where)
        assert "\n" not in str(caught.value)


def test_no_file_says_so(place):
    with pytest.raises(BadDataset, match=r"out: no file \*_auto.json or \*_manual.json; give an SA-V folder"):
        sav.read(place)
    with pytest.raises(BadDataset, match="No such file or directory; give an SA-V folder or one of its files"):
        sav.read(place / "v_auto.json")


def test_files_that_would_take_gigabytes_are_not_parsed(place, monkeypatch):
    for limit, value, said in (
        (sav_sidecar, ("MAX_MARKS", 40), "more than 40 values"),
        (sav_reading, ("MAX_BYTES", 99), "MB"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(limit, *value)
            with pytest.raises(BadDataset, match=said):
                spoilt(valid(), place)


def test_a_thousand_problems_are_enough(place):
    data = valid()
    data["masklet"] = [[None, None]] * 5000
    _, problems = spoilt(data, place)
    assert len(problems) == sav_sidecar.MAX_PROBLEMS
    assert problems[-1] == "v_auto.json: more than 1000 problems"


def test_a_folder_has_auto_files_or_manual_ones(place):
    for name in ("a/b_manual.json", "c_auto.json"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(json.dumps(valid() | {"video_id": name.rsplit("_", 1)[0]}))
    assert [clip.name for clip in sav.read(place).clips] == ["c.mp4"]
    assert [clip.name for clip in format_of("sav_manual").read(place).clips] == ["a/b.mp4"]
    (place / "c_auto.json").unlink()
    assert [clip.name for clip in sav.read(place).clips] == ["a/b.mp4"]


def test_a_code_is_written_as_pycocotools_would(place):
    data = valid()
    data["masklet"][1][0]["counts"] = [0, 3, 1, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 3, 5]  # some runs are empty
    (clip,), problems = spoilt(data, place)
    assert problems == []
    assert clip.found[1].masks[0] == masks.encode(RING)


# The sidecar


def with_sidecar(sources, place, change):
    """The problems after the sidecar's line of the film was changed, and its clip."""
    sav.write([film(sources, *FILM)], ONTOLOGY, place)
    head, line = (place / "masklet.jsonl").read_text().splitlines()
    changed = change(json.loads(line))
    (place / "masklet.jsonl").write_text(head + "\n" + (changed if isinstance(changed, str) else json.dumps(changed)))
    reading = sav.read(place)
    (clip,) = reading.clips
    return clip, list(map(str, reading.problems))


OWN, NAMELESS = "día/f.b.mp4", "día/f_b.mp4"
STALE = [  # what is changed, what is told, the name, the classes in the last frame
    (lambda line: line, None, OWN, ("cat", "dog")),
    (lambda line: "{", "is no JSON", NAMELESS, ("", "")),
    (lambda line: "[]", "is no JSON object", NAMELESS, ("", "")),
    (without("video_id"), "video_id is None", NAMELESS, ("", "")),
    (without("name"), "name is None", NAMELESS, ("", "")),
    (without("objects"), r"clip 'día/f_b': has no size \[h, w\], no frames or no objects", NAMELESS, ("", "")),
    (at("name", value="../f.mp4"), "leads out of the dataset", NAMELESS, ("", "")),
    (at("file", value="/etc/passwd"), "leads out of the dataset", NAMELESS, ("", "")),
    (at("objects", value=[]), "the sidecar knows 0 objects in 3 frames, other than the file", OWN, ("", "")),
    (at("frames", value=[[0, 0]]), "the sidecar knows 2 objects in 1 frames, other than", OWN, ("", "")),
    (at("size", value=[5, 4]), "other than the file", OWN, ("", "")),
    (at("frames", value=[[0, 0], [0, 1], [2, 2]]), r"\[0, 1\] is no frame; give index and seconds", NAMELESS, ("", "")),
    (at("frames", 0, value=[0, "x"]), "no list of finite numbers", NAMELESS, ("", "")),
    (at("objects", 0, value=7), "7 is no object", NAMELESS, ("", "")),
    (at("objects", 0, "name", value=["cat"]), r"class \['cat'\] is not among the categories", NAMELESS, ("", "")),
    (at("objects", 0, "name", value="fox"), "class 'fox' is not among the categories", NAMELESS, ("", "")),
    (at("objects", 0, "track_id", value=7), "two objects have one track_id", NAMELESS, ("", "")),
    (at("objects", 0, "track_id", value=2**63), "number objects from 1", NAMELESS, ("", "")),
    (at("objects", 0, "scores", value=[1]), r"scores are \[1\]; give one a frame", NAMELESS, ("", "")),
    (at("objects", 0, "scores", value=[1, 2, 3]), "score is 2", NAMELESS, ("", "")),
    (at("objects", 0, "prompts", value=7), "are no texts", NAMELESS, ("", "")),
]


@pytest.mark.parametrize(("change", "said", "name", "classes"), STALE)
def test_a_sidecar_that_does_not_fit_is_told(change, said, name, classes, sources, place):
    clip, problems = with_sidecar(sources, place, change)
    assert (clip.name, clip.found[2].names) == (name, classes)
    assert len(problems) == (said is not None)
    assert re.search(said or "", "".join(problems))
    assert [found.visible.sum() for found in clip.found] == [1, 1, 2]  # masks are read all the same


def test_a_sidecar_with_two_lines_for_a_clip_or_odd_classes_is_told(place):
    sav.write_annotations([clip(every_shape())], ONTOLOGY, place)
    lines = (place / "masklet.jsonl").read_text()
    odd = {"categories": [{"id": 1, "name": "cat"}, {"id": 1, "name": "x"}, {"id": 2, "name": "cat"}, 7, {"id": 3}]}
    (place / "masklet.jsonl").write_text(json.dumps(odd) + "\n" + lines + lines.splitlines()[1] + '\n{"categories": 7}')
    reading = sav.read(place)
    assert len(list(reading.clips)) == 1
    assert reading.names == {1: "cat", 3: "dog"}
    assert len(reading.problems) == 4 + 1 + 1 + 1  # odd classes, the class that came before, the line, the last line


# What hypothesis thinks of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
CODES = st.text("0123456789:;PQRSTUVWXYZ`abcno", max_size=12)


@st.composite
def damaged(draw, data):
    """A good document with a few of its values replaced, at any depth."""
    data = deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        inner = data
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            key = draw(st.sampled_from(keys))
            if isinstance(inner[key], dict | list) and inner[key] and draw(st.integers(0, 3)):
                inner = inner[key]
            else:
                inner[key] = draw(JSON | CODES)
                break
        if not data:
            break
    return data


def can_be_used(clips):
    """Whatever was read can be stored, compared and written."""
    for one in clips:
        one.digest()
        for found in one.found:
            masks.iou([m for m in found.masks or () if m], [masks.encode(np.ones(found.size_hw, bool))], found.size_hw)


@settings(max_examples=200)
@given(damaged(valid()))
def test_no_document_gets_past_unchecked(tmp_path_factory, data):
    place = tmp_path_factory.getbasetemp() / "hypothesis_sav"
    try:
        clips, _ = spoilt(data, place)
    except BadDataset:
        return
    can_be_used(clips)
    sav.write_annotations(clips, ONTOLOGY, tmp_path_factory.mktemp("again"))


@settings(max_examples=200)
@given(
    st.binary(max_size=60)
    | st.builds(
        lambda a, b, c: a[:b] + c + a[b + 3 :],
        st.just(json.dumps(valid()).encode()),
        st.integers(0, 1500),
        st.binary(max_size=4),
    )
)
def test_any_bytes_are_a_clip_or_an_error_of_ours(tmp_path_factory, content):
    place = tmp_path_factory.getbasetemp() / "hypothesis_sav_bytes"
    place.mkdir(exist_ok=True)
    (place / "v_auto.json").write_bytes(content)
    with suppress(BadDataset):
        can_be_used(sav.read(place).clips)


LINE = {
    "video_id": "v",
    "name": "v.mp4",
    "file": "v.mp4",
    "size": [4, 5],
    "frames": [[0, 0.0], [4, 0.2], [8, 0.4]],
    "objects": [
        {"track_id": 2, "name": "cat", "prompts": "a cat", "source": "x", "scores": [None, 0.5, 1]},
        {"track_id": 7, "name": ""},
    ],
}


@settings(max_examples=200)
@given(damaged([{"masklet": 1, "categories": [{"id": 1, "name": "cat"}]}, LINE]), st.binary(max_size=3))
def test_no_sidecar_gets_past_unchecked(tmp_path_factory, lines, more):
    place = tmp_path_factory.getbasetemp() / "hypothesis_sidecar"
    place.mkdir(exist_ok=True)
    (place / "v_auto.json").write_text(json.dumps(valid()))
    (place / "masklet.jsonl").write_bytes(b"\n".join(json.dumps(line).encode() for line in lines) + b"\n" + more)
    (clip,) = sav.read(place).clips
    can_be_used([clip])
    assert [int(found.visible.sum()) for found in clip.found] == [1, 1, 2]

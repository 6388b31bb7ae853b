"""A dataset that was edited in another tool, as corrections."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from two_runs import SIZE_HW, picture, run

from pipeline.compare.edits import edits
from pipeline.corrections import Corrections
from pipeline.decisions import decided
from pipeline.errors import BadDataset
from pipeline.formats import format_of
from pipeline.ontology import Ontology
from pipeline.records import clip_id

PETS = Ontology.parse("dog, cat")
CONFIG = SimpleNamespace(ontology=PETS)
LEFT, RIGHT, LOW, NEARLY = "1 1 11 11", "30 1 40 11", "1 20 11 30", "1 1 11 12"
WAS = (f"dog {LEFT}", f"cat {RIGHT}")


def dataset(*clips, format_="coco"):
    """A dataset on disk that has these pictures."""
    from PIL import Image

    place = Path(format_)
    place.mkdir()
    Image.new("RGB", SIZE_HW[::-1]).save("white.png")
    white = Path("white.png").absolute()
    files = [replace(clip, path=str(white), id=clip_id(white.read_bytes())) for clip in clips]
    format_of(format_).write(files, PETS, place)
    return place


def found_in(place, was=WAS, **options):
    """What is made of a dataset of a run with one picture."""
    return edits(run(picture("a.png", *was)), CONFIG, place, **options)


def compared(now, format_="coco", **options):
    """The corrections of a picture that became `now`, in short."""
    lines = found_in(dataset(picture("a.png", *now), format_=format_), **options).lines
    return sorted(" ".join(filter(None, [one.do, one.class_was, one.to])) for one in lines)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (WAS, []),
        ([f"dog {LEFT}"], ["reject cat"]),
        ([], ["reject cat", "reject dog"]),
        ([f"cat {LEFT}", f"cat {RIGHT}"], ["relabel dog cat"]),
        ([*WAS, f"dog {LOW}"], ["add dog"]),
        ([f"dog {NEARLY}", f"cat {RIGHT}"], ["mask dog"]),
        ([f"cat {NEARLY}", f"cat {RIGHT}"], ["mask dog", "relabel dog cat"]),
        ([f"cat {RIGHT}", f"dog {LEFT}"], []),  # the order means nothing
    ],
)
@pytest.mark.parametrize("format_", ["coco", "yolo_seg", "label_studio"])
def test_what_people_changed(now, said, format_):
    if format_ == "yolo_seg":  # an outline is drawn anew: a row of pixels is no change, IoU 0.91 is one
        assert compared(now, format_, below=0.92) == said
    else:
        assert compared(now, format_) == said


def test_what_was_left_as_it_is_is_accepted_on_demand():
    assert compared([f"dog {LEFT}", f"dog {RIGHT}"], accept=True) == ["accept dog", "relabel cat dog"]


def test_an_object_is_known_by_its_uid_wherever_it_went():
    rows = picture("a.png", f"dog {LOW}", f"cat {RIGHT}")
    uid = f"{rows.id}/dog/0"
    rows = replace(rows, found=(replace(rows.found[0], extra=({"uid": uid}, {})),))
    (line,) = found_in(dataset(rows)).lines
    assert (line.do, line.uid, line.box_was) == ("mask", uid, (1, 1, 11, 11))


def test_a_uid_of_another_kind_is_none():
    rows = picture("a.png", f"dog {LEFT}", f"cat {RIGHT}")
    rows = replace(rows, found=(replace(rows.found[0], extra=({"uid": ["x"]}, {})),))
    assert found_in(dataset(rows)).lines == []


def test_a_box_alone_becomes_a_box():
    rows = picture("a.png", f"dog {NEARLY}", f"cat {RIGHT}", f"dog {LOW}")
    rows = replace(rows, found=(replace(rows.found[0], masks=None),))
    lines = found_in(dataset(rows, format_="yolo_box")).lines
    assert [(line.do, line.box) for line in lines] == [("add", (1, 20, 11, 30))]  # IoU 0.91 is no change of a box


def test_what_cannot_be_taken_over_is_told():
    place = dataset(picture("a.png", f"dog {LEFT}", f"cat {RIGHT}"), picture("b.png", f"dog {LEFT}"))
    found = found_in(place)
    assert [str(problem).partition(";")[0] for problem in found.problems] == ["b.png: is no picture of the run"]
    assert (found.pictures, found.absent, found.counts) == (1, 0, {})
    one = run(picture("a.png", *WAS), picture("c.png"))
    assert edits(one, CONFIG, place).absent == 1  # nobody said that there is nothing in c.png
    with pytest.raises(BadDataset, match="has no picture of the run"):
        edits(run(picture("z.png")), CONFIG, place)


def test_a_class_that_the_run_does_not_know():
    only_dogs = SimpleNamespace(ontology=Ontology.parse("dog"))
    place = dataset(picture("a.png", f"cat {LEFT}", f"cat {RIGHT}"))
    found = edits(run(picture("a.png", *WAS)), only_dogs, place)
    assert (found.counts, len(found.problems)) == ({}, 1)
    assert "class 'cat' is not in the run's ontology" in str(found.problems[0])


def test_the_corrections_lead_from_the_one_to_the_other():
    now = [f"cat {LEFT}", f"dog {LOW}", f"dog {RIGHT}"]
    lines = found_in(dataset(picture("a.png", *now))).lines
    Path("a.jsonl").write_text("".join(f"{line.to_line()}\n" for line in lines))
    was = picture("a.png", *WAS)
    fate = decided(was.id, was.found[0], Corrections(["a.jsonl"]).of(was.id, SIZE_HW), {"dog", "cat"})
    assert sorted((one.row is None, one.name) for one in fate.objects) == [
        (False, "cat"),
        (False, "dog"),
        (True, "dog"),
    ]
    assert fate.missed == []


def test_a_uid_of_a_run_before_is_no_proof():
    """The run has lost the dog on the left since, and numbers the other anew; the dataset is as it was exported."""
    was = picture("a.png", f"dog {LEFT}", f"dog {RIGHT}")
    told = tuple({"uid": f"{was.id}/dog/{number}"} for number in (0, 1))
    place = dataset(replace(was, found=(replace(was.found[0], extra=told),)))
    lines = found_in(place, was=(f"dog {RIGHT}",)).lines
    assert [(one.do, one.to) for one in lines] == [("add", "dog")]

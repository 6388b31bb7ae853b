"""Films in datasets that have pictures only: every frame a picture, with what is in sight, decoded once."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import pytest
import torture
from drawing import instances, square
from filming import SIZE_HW, at, clip, drawn, film_file, frames_folder
from PIL import Image

from pipeline import films, masks, media
from pipeline.errors import BadMedia, CheckFailed
from pipeline.export import written
from pipeline.formats import coco, format_of
from pipeline.ontology import Category, Ontology
from pipeline.stills import Stills

ONTOLOGY = Ontology([Category(name="cat"), Category(name="dog")])
PICTURES = [drawn(number) for number in range(10)]
NUMBERS = (0, 1, 4, 5)
FORMATS = ["coco", "coco_polygon", "coco_results", "imagefolder", "parquet", "yolo_box", "yolo_seg"]
FOLDERS = {"imagefolder": "train"}


@pytest.fixture
def clips(tmp_path):
    """A film, a picture, and a film that is a folder; the square is out of sight in frame 5 of the film."""
    (tmp_path / "sources").mkdir()
    picture = instances([(2, 2, 8, 8)], size_hw=SIZE_HW, masks=[square(2, 2, 8, 8, SIZE_HW)])
    return [
        clip(film_file(tmp_path / "film", PICTURES), "day/a.mkv", NUMBERS, unseen=[5]),
        torture.picture(tmp_path / "sources", "e.png", picture),
        clip(frames_folder(tmp_path / "shot.1", PICTURES[:3]), "shot.1", [0, 2], track=3),
    ]


NAMES = [*(f"day/a/0000{number}.png" for number in NUMBERS), "e.png", "shot.1/00000.png", "shot.1/00002.png"]


def exported(clips, name, place, **how):
    return written(lambda: iter(clips), ONTOLOGY, name, place, "made", **how)


def pictures(place, name):
    """The pictures of a dataset by name: (H, W, 3)."""
    if name == "parquet":
        import pyarrow.parquet as pq

        rows = pq.read_table(next((place / "data").iterdir())).to_pylist()
        return {row["file_name"]: media.decode(row["image"]["bytes"]) for row in rows}
    root = place / FOLDERS.get(name, "images")
    files = [path for path in sorted(root.rglob("*")) if path.suffix in (".png", ".jpg")]
    return {path.relative_to(root).as_posix(): media.decode(path.read_bytes()) for path in files}


@pytest.mark.parametrize("name", FORMATS)
def test_every_frame_is_a_picture_with_the_pixels_that_are_decoded(name, clips, tmp_path):
    out = exported(clips, name, tmp_path / "out")
    assert (out.fidelity["ok"], out.pictures, out.rewritten) == (True, 7, 0)
    assert out.by_class == {"cat": 4, "dog": 6}  # a cat in every other frame, the square in all but one, the picture's
    shown = pictures(tmp_path / "out", name)
    assert list(shown) == NAMES
    for file, number in [*zip(NAMES[:4], NUMBERS, strict=True), (NAMES[5], 0), (NAMES[6], 2)]:
        assert (shown[file] == PICTURES[number]).all()
        assert not (shown[file] == PICTURES[number + 1]).all()
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.name.startswith(".")]
    assert (left, sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out"))) == (
        [],
        ["out", "out.export_fidelity.json"],
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_coco_says_who_is_who(clips, tmp_path):
    from pycocotools.coco import COCO

    exported(clips, "coco", tmp_path / "out")
    with redirect_stdout(io.StringIO()):
        read = COCO(str(tmp_path / "out/annotations/instances_default.json"))
    said = {read.imgs[number]["file_name"]: read.imgToAnns[number] for number in read.imgs}
    tracks = {name: [one.get("track_id") for one in rows] for name, rows in said.items()}
    assert tracks == dict(zip(NAMES, [[7, 9], [7], [7, 9], [], [None], [3, 9], [3, 9]], strict=True))
    for rows in said.values():
        assert all(one["attributes"].get("track_id") == one.get("track_id") for one in rows)
    for name, number in zip(NAMES[:3], NUMBERS[:3], strict=True):
        mask = read.annToMask(said[name][0]).astype(bool)
        assert (mask == at(number)).all()
        assert (mask == (pictures(tmp_path / "out", "coco")[name][..., 0] > 100)).all()


@pytest.mark.parametrize("name", ["coco", "imagefolder", "parquet"])
def test_identities_come_back(name, clips, tmp_path):
    exported(clips, name, tmp_path / "out")
    tracks = [one.found[0].track_ids for one in format_of(name).read(tmp_path / "out").clips]
    assert [None if one is None else one.tolist() for one in tracks] == [
        [7, 9],
        [7],
        [7, 9],
        None,
        None,
        [3, 9],
        [3, 9],
    ]


SAID = [  # what a file says of the rows of a picture: the column of identities, if it is one
    ([7, 9], [7, 9]),
    ([7], [7]),
    ([7, None], None),
    ([7, 7], None),
    ([0, 1], None),
    ([True, 2], None),
    (["7", "9"], None),
    ([2**63], None),
]


@pytest.mark.parametrize("where", ["row", "attributes"])
@pytest.mark.parametrize(("said", "column"), SAID)
def test_anybodys_identities(said, column, where, tmp_path):
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4]}
    rows = [
        {"id": number, **box, **({"track_id": one} if where == "row" else {"attributes": {"track_id": one}})}
        for number, one in enumerate(said, 1)
    ]
    image = {"id": 1, "file_name": "a.png", "width": 9, "height": 9}
    data = {"images": [image], "annotations": rows, "categories": [{"id": 1, "name": "dog"}]}
    (tmp_path / "instances.json").write_text(json.dumps(data))
    reading = coco.read(tmp_path)
    (one,) = reading.clips
    got = one.found[0].track_ids
    assert (None if got is None else got.tolist()) == column
    assert reading.problems == []
    if column is None and where == "attributes":
        assert [row["track_id"] for row in one.found[0].extra] == said


def test_what_cannot_say_identities_says_so(clips, tmp_path):
    out = exported(clips, "yolo_seg", tmp_path / "out")
    assert out.unsaid == {"scores": 10, "identities": 9}


EVERY = [  # each n-th frame of the clip, the numbers of those
    (1, [0, 1, 4, 5]),
    (2, [0, 4]),
    (3, [0, 5]),
    (9, [0]),
]


@pytest.mark.parametrize(("every", "numbers"), EVERY)
def test_each_nth_frame(every, numbers, clips, tmp_path):
    exported(clips[:1], "coco", tmp_path / "out", every=every)
    shown = pictures(tmp_path / "out", "coco")
    assert list(shown) == [f"day/a/0000{number}.png" for number in numbers]
    assert [(rgb == PICTURES[number]).all() for rgb, number in zip(shown.values(), numbers, strict=True)]


@pytest.mark.parametrize("name", FORMATS)
def test_jpegs_on_request(name, clips, tmp_path):
    exported(clips, name, tmp_path / "out", frames="jpg")
    assert list(pictures(tmp_path / "out", name)) == [
        one if one == "e.png" else one.replace("png", "jpg") for one in NAMES
    ]


def test_a_film_of_one_frame_is_a_picture(tmp_path):
    one = clip(film_file(tmp_path / "film", PICTURES[:1]), "a.mkv", [0])
    exported([one], "coco", tmp_path / "out")
    assert list(pictures(tmp_path / "out", "coco")) == ["a/00000.png"]


def test_pictures_of_the_same_names_are_kept_apart(tmp_path):
    films_ = [clip(film_file(tmp_path / name, PICTURES), name, [0, 4]) for name in ("a.mkv", "a.mp4")]
    picture = torture.picture(tmp_path, "a/00004.png", instances([], size_hw=SIZE_HW))
    exported([*films_, picture], "coco", tmp_path / "out")
    names = ["2/a/00000.png", "2/a/00004.png", "3/a/00004.png", "a/00000.png", "a/00004.png"]
    assert sorted(pictures(tmp_path / "out", "coco")) == names


def test_a_film_is_decoded_once_and_its_pictures_do_not_pile_up(clips, tmp_path, monkeypatch):
    decoded, lying = [], []
    frame = films.Reader.frame
    monkeypatch.setattr(films.Reader, "frame", lambda self, number: decoded.append(number) or frame(self, number))
    export_picture = media.export_picture

    def counting(*what):
        lying.append(len(list(tmp_path.rglob("out.new/.frames.*/*/*"))))
        export_picture(*what)

    monkeypatch.setattr(media, "export_picture", counting)
    exported(clips[:2], "coco", tmp_path / "out")
    assert decoded == list(NUMBERS)  # though clips are asked for twice
    assert lying == [1, 1, 1, 1, 0]


def test_asked_again_there_are_the_same_clips(clips, tmp_path):
    stills = Stills(tmp_path / "scratch")
    first, again = ([replace(one, path="") for whole in clips for one in stills.of(whole)] for _ in range(2))
    assert [(one.id, one.name, one.frames, one.rewrite) for one in first] == [
        (one.id, one.name, one.frames, one.rewrite) for one in again
    ]
    assert [one.found[0].digest() for one in first] == [one.found[0].digest() for one in again]


def test_the_same_films_give_the_same_bytes(clips, tmp_path):
    for name in ("one", "two"):
        exported(clips, "coco", tmp_path / name)
    one, two = ((tmp_path / name / "manifest.json").read_bytes() for name in ("one", "two"))
    assert one == two


def test_rows_that_come_to_another_frame_are_found(clips, tmp_path, monkeypatch):
    write = coco.COCO.write
    spoilt = replace(coco.COCO, write=lambda clips, *where, **how: write(shifted_as_they_come(clips), *where, **how))
    monkeypatch.setattr(coco, "COCO", spoilt)
    with pytest.raises(CheckFailed, match="what was read back is not what was meant"):
        exported(clips[:1], "coco", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def shifted_as_they_come(clips):
    before = None
    for one in clips:
        yield one if before is None else replace(one, found=before)
        before = one.found


def test_a_film_that_lost_frames_since_is_named(clips, tmp_path):
    film_file(tmp_path / "film", PICTURES[:3])
    with pytest.raises(BadMedia, match=r"changed: day/a.mkv: the file changed .*other bytes than when the run began"):
        exported(clips, "coco", tmp_path / "out")
    same = replace(clips[0], id=media.film_id(clips[0].path))
    with pytest.raises(BadMedia, match=r"changed: day/a.mkv: .* has no frame 4 any more"):
        exported([same], "coco", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == []


def test_the_pictures_of_a_folder_are_the_files_themselves(clips, tmp_path):
    exported(clips, "coco", tmp_path / "out", hard_link=True)
    for number in (0, 2):
        assert (tmp_path / f"out/images/shot.1/0000{number}.png").samefile(tmp_path / f"shot.1/0000{number}.png")
    assert np.asarray(Image.open(tmp_path / "out/images/shot.1/00002.png")).shape == (*SIZE_HW, 3)


def test_masks_of_a_frame_are_those_of_its_picture_in_yolo_too(clips, tmp_path):
    exported(clips, "yolo_seg", tmp_path / "out")
    for one in format_of("yolo_seg").read(tmp_path / "out").clips:
        if one.name.startswith("day/a/"):
            number = int(one.name[6:11])
            dogs = [
                code for name, code in zip(one.found[0].names, one.found[0].masks or (), strict=True) if name == "dog"
            ]
            assert [(masks.decode(code, SIZE_HW) == at(number)).all() for code in dogs] == [True] * (number != 5)

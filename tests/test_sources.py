"""Where pictures come from: what counts as a file of the source, and what it is called."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filming import drawn, film_file, frames_folder
from PIL import Image

from pipeline import media, plan, sources
from pipeline.choose import Rules
from pipeline.config import Run
from pipeline.errors import ConfigError, Interrupted
from pipeline.films import Film
from pipeline.reasons import PICTURES
from pipeline.records import Frame
from pipeline.sources import File, Seen, Source
from pipeline.store import Store


def save(path, value=0, size_hw=(4, 6)):
    """A picture of one grey, as PNG whatever it is called."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)  # noqa: PTH103, PTH120 - paths may be bytes here
    with open(path, "wb") as file:  # noqa: PTH123
        Image.fromarray(np.full((*size_hw, 3), value, np.uint8)).save(file, "PNG", compress_level=0)


def tree(*names):
    """A folder `photos` with these pictures, no two alike."""
    for value, name in enumerate(names):
        save(f"photos/{name}", value)


def found(path="photos", apart_from=None):
    return [file.name for file in sources.files(Source(path=path), apart_from)]


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        (["b.jpg", "a.jpg"], ["a.jpg", "b.jpg"]),  # sorted
        (["z/a.jpg", "b.jpg", "a/z/c.jpg"], ["a/z/c.jpg", "b.jpg", "z/a.jpg"]),  # all folders, POSIX paths
        (["B.jpg", "a.jpg", "ä.jpg"], ["B.jpg", "a.jpg", "ä.jpg"]),  # by code point, whatever the locale
        (["notes.md", "no_suffix"], ["no_suffix", "notes.md"]),  # every file: what it is, its bytes say
        ([".hidden.jpg", ".git/a.jpg", "a/.b/c.jpg", "a.jpg"], ["a.jpg"]),  # as the shell does
        (["a b.jpg", "it's.jpg", "#1.jpg", "😀.jpg"], ["#1.jpg", "a b.jpg", "it's.jpg", "😀.jpg"]),
    ],
)
def test_what_a_folder_has(names, seen):
    tree(*names)
    assert found() == seen


def test_an_empty_folder():
    Path("photos").mkdir()
    assert found() == []


def test_one_picture():
    tree("a/b.jpg")
    assert found("photos/a/b.jpg") == ["b.jpg"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["0.jpg", "1.jpg"], ["photos"]),  # the source itself is a film
        (["one/0.jpg", "one/notes.txt", "two/0.png"], ["one", "two"]),
        (["a.jpg", "one/0.jpg"], ["a.jpg", "one"]),  # a picture beside a folder is a picture
        (["a.jpg", "a.MP4"], ["a.MP4", "a.jpg"]),  # and so is one beside a film
        (["a/b.webm", "a/c/0.jpg", "a/c/.hidden"], ["a/b.webm", "a/c"]),
    ],
)
def test_folders_of_frames(files, names):
    tree(*files)
    found = sources.files(Source(path="photos", frame_folders_fps=24))
    assert [file.name for file in found] == names
    assert [file.name for file in sources.files(Source(path="photos"))] == sorted(f for f in files if "/." not in f)


def test_links():
    tree("a.jpg")
    save("elsewhere/b.jpg")
    Path("photos/linked_folder").symlink_to(Path("elsewhere").resolve())
    Path("photos/linked_file.jpg").symlink_to(Path("elsewhere/b.jpg").resolve())
    Path("photos/round").symlink_to(Path("photos").resolve())
    assert found() == ["a.jpg", "linked_file.jpg"]  # linked folders can go round in circles
    Path("linked_photos").symlink_to(Path("photos"))
    assert found("linked_photos") == ["a.jpg", "linked_file.jpg"]  # but the source itself may be one


def test_the_run_in_the_source_is_not_read():
    tree("a.jpg", "outputs/run/dataset/coco/images/a.jpg", "outputs/other.jpg", "run/b.jpg")
    assert found(apart_from=Path("photos/outputs/run")) == ["a.jpg", "outputs/other.jpg", "run/b.jpg"]


def test_a_folder_that_cannot_be_listed_is_set_aside_by_name(monkeypatch):
    tree("a.jpg", "closed/b.jpg")
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert found() == ["a.jpg", "closed"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "give a folder of pictures"),
        ("nowhere", "nowhere: no such file or folder"),
        ("nowhere.txt", "nowhere.txt: cannot be read"),
        ("latin1.txt", "latin1.txt: cannot be read: 'utf-8' codec"),
    ],
)
def test_nothing_there(path, said):
    Path("latin1.txt").write_bytes("café.jpg".encode("latin-1"))
    with pytest.raises(ConfigError, match=said):
        sources.files(Source(path=path))


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("a.jpg\nb/c.jpg\n", ["a.jpg", "b/c.jpg"]),  # from the folder of the list
        ("b/c.jpg\n\n  a.jpg  \r\n", ["a.jpg", "b/c.jpg"]),  # empty lines, spaces, DOS ends
        ("\ufeffa.jpg", ["a.jpg"]),  # a byte order mark
        ("a.jpg\na.jpg\n./a.jpg\n", ["a.jpg"]),  # the same line twice
        ("../lists/a.jpg", ["lists/a.jpg"]),  # names do not lead out of a dataset
        ("{here}/lists/a.jpg", ["{below}/lists/a.jpg"]),  # absolute
        ("gone.jpg", ["gone.jpg"]),  # what is not there is set aside later, with its reason
        ("a\0.jpg", ["a\0.jpg"]),
        ("", []),
    ],
)
def test_a_list_of_files(lines, names, tmp_path):
    save("lists/a.jpg", 1)
    save("lists/b/c.jpg", 2)
    here = str(tmp_path)
    Path("lists/all.txt").write_text(lines.format(here=here), encoding="utf-8")
    files = sources.files(Source(path="lists/all.txt"))
    assert [file.name for file in files] == [name.format(below=here.strip("/")) for name in names]
    assert all(Path(file.path).is_file() for file in files if "c.jpg" in file.name)


def test_two_files_of_one_name_are_refused():
    save("a/p.jpg", 1)
    save("lists/a/p.jpg", 2)
    Path("lists/all.txt").write_text("a/p.jpg\n../a/p.jpg\n")
    with pytest.raises(
        ConfigError, match=r"/lists/a/p\.jpg and .*/lists/\.\./a/p\.jpg would both be called a/p\.jpg; rename"
    ):
        sources.files(Source(path="lists/all.txt"))


# What is seen in a file


def looked(*names, max_pixels=media.MAX_PIXELS):
    return [seen for _, seen in sources.look([File(n, n, "") for n in names], Source(max_pixels=max_pixels), False)]


def test_a_picture_is_its_content():
    save("a.png", 1, (4, 6))
    save("b.jpg", 1, (4, 6))
    save("c.png", 2, (5, 3))
    a, b, c = looked("a.png", "b.jpg", "c.png")
    assert (a.size_hw, c.size_hw) == ((4, 6), (5, 3))
    assert (a.content == b.content, a.content == c.content) == (True, False)
    assert (a.reason, a.rewrite, a.lasting) == ("", None, True)


@pytest.mark.parametrize(
    ("content", "reason", "lasting"),
    [
        (b"", "empty_file", True),
        (b"hello", "not_a_picture", True),
        (b"....ftypisom", "film", False),
        (b"\x89PNG\r\n\x1a\n", "cut_or_damaged", True),
        (None, "not_a_file", False),  # it may come back
    ],
)
def test_what_is_no_picture_has_a_reason(content, reason, lasting):
    if content is not None:
        Path("file").write_bytes(content)
    (seen,) = looked("file")
    assert (seen.reason, seen.lasting, seen.reason in PICTURES) == (reason, lasting, True)


def test_too_large_for_the_source():
    save("a.png", 1, (4, 6))
    assert [looked("a.png", max_pixels=most)[0].reason for most in (24, 23)] == ["", "too_large"]


@pytest.mark.parametrize(
    "seen",
    [
        Seen("c1", (4, 6), None),
        Seen("c1", (4, 6), "orientation"),
        Seen(reason="film", detail="MP4 or MOV"),
        Seen("c2", (4, 6), film=Film((Frame(0, 0.0, (4, 6)), Frame(2, 0.5, (6, 4))), (2,), "2 frames of 3")),
    ],
)
def test_what_was_seen_comes_back_from_plain_values(seen):
    form = seen.to_json()
    assert form[:5] == [seen.content, list(seen.size_hw), seen.rewrite, seen.reason, seen.detail]
    assert Seen.from_json(json.loads(json.dumps(form))) == seen


def test_files_are_told_in_the_order_asked():
    names = [f"{i}.png" for i in range(300)]  # more than are looked at in one go
    for value, name in enumerate(names):
        Path(name).write_bytes(bytes([value % 256, value // 256]))
    assert [
        file.name for file, _ in sources.look([File(n, n, "") for n in names], Source(max_pixels=100), False)
    ] == names


# Surveys: a source as a whole


def config_of(**source):
    """What a survey asks of a config."""
    return SimpleNamespace(source=Source(**source), choose=Rules(), track=None, run=Run())


def surveyed(store=None, path="photos", **how):
    survey = plan.survey(config_of(path=path), store or Store(None), **how)
    return [clip.name for clip in survey.clips], {a.name: (a.reason, a.detail) for a in survey.aside}


def test_of_files_with_the_same_bytes_the_first_by_name_stays():
    save("photos/b.png", 1)
    save("photos/c.png", 2)
    save("photos/a/a.png", 1)
    save("photos/z.jpg", 1)
    duplicate = ("duplicate", "of a/a.png")
    assert surveyed() == (["a/a.png", "c.png"], {"b.png": duplicate, "z.jpg": duplicate})


@pytest.mark.parametrize(("limit", "names"), [(None, ["a.png", "c.png", "d.png"]), (2, ["a.png", "c.png"])])
def test_a_limit_counts_pictures(limit, names):
    for name, value in (("a", 1), ("b", 1), ("c", 2), ("d", 3)):
        save(f"photos/{name}.png", value)
    assert surveyed(limit=limit) == (names, {"b.png": ("duplicate", "of a.png")})


def test_behind_a_limit_nothing_is_looked_at(looks):
    tree(*(f"{i:02}.png" for i in range(40)))
    with Store(None) as store:
        assert surveyed(store, limit=2)[0] == ["00.png", "01.png"]
        assert 2 <= len(looks) <= 2 + 2 * sources.LOOKING
        assert len(store.seen()) == 2


def test_what_was_looked_at_before_a_survey_ends_early_is_remembered(looks):
    tree("a.png", "b.png", "c.png")
    ticks = iter([None, KeyboardInterrupt()])

    def tick():
        if error := next(ticks):
            raise error

    with Store(None) as store:
        with pytest.raises(KeyboardInterrupt):
            surveyed(store, tick=tick)
        assert sorted(Path(path).name for path in store.seen()) == ["a.png", "b.png"]


def test_a_name_that_is_no_unicode_is_set_aside():
    tree("good.png")
    save(b"photos/caf\xe9.png", 7)
    save(b"photos/\xff/inside.png", 8)
    names, aside = surveyed()
    assert names == ["good.png"]
    assert {name: reason for name, (reason, _) in aside.items()} == {
        "caf\\xe9.png": "bad_name",
        "\\xff/inside.png": "bad_name",
    }
    with Store(None) as store, store.writing():  # and can be written down
        store.set_aside(plan.survey(config_of(path="photos"), Store(None)).aside)


@pytest.fixture
def looks(monkeypatch):
    """The names of the files that are looked at."""
    names, look = [], sources._look

    def counted(file, *how):
        names.append(file.name)
        return look(file, *how)

    monkeypatch.setattr(sources, "_look", counted)
    return names


def rewritten():
    save("photos/a.png", 9)


def same_bytes_again():
    Path("photos/a.png").write_bytes(Path("photos/a.png").read_bytes())


def touched():
    os.utime("photos/a.png", ns=(1, 1))


def replaced_by_a_file_of_the_same_size_and_time():
    status = Path("photos/a.png").stat()
    save("photos/new", 3)
    os.utime("photos/new", ns=(status.st_atime_ns, status.st_mtime_ns))
    Path("photos/new").replace("photos/a.png")


def renamed():
    Path("photos/a.png").rename("photos/d.png")


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda: None, []),  # nothing
        (rewritten, ["a.png"]),
        (same_bytes_again, ["a.png"]),
        (touched, ["a.png"]),
        (replaced_by_a_file_of_the_same_size_and_time, ["a.png"]),
        (renamed, ["d.png"]),
        (lambda: save("photos/e.png", 4), ["e.png"]),  # a file more
        (lambda: Path("photos/a.png").unlink(), []),  # a file less
    ],
)
def test_only_files_that_changed_are_looked_at_again(looks, change, again):
    tree("a.png", "b.png")
    Path("photos/c.txt").write_text("no picture; remembered as well")
    with Store(Path("run.db")) as store:
        surveyed(store)
        assert sorted(looks) == ["a.png", "b.png", "c.txt"]
        looks.clear()
        change()
        after = surveyed(store)
        assert looks == again
    assert after == surveyed()  # as if never seen before


def test_another_way_of_decoding_looks_at_all_again(looks, monkeypatch):
    tree("a.png", "b.png")
    with Store(None) as store:
        surveyed(store)
        monkeypatch.setattr(media, "VERSION", media.VERSION + 1)
        looks.clear()
        surveyed(store)
    assert sorted(looks) == ["a.png", "b.png"]


def test_another_limit_of_pixels_looks_at_all_again(looks):
    tree("a.png")
    with Store(None) as store:
        surveyed(store)
        survey = plan.survey(config_of(path="photos", max_pixels=23), store)
    assert [a.reason for a in survey.aside] == ["too_large"]
    assert looks == ["a.png", "a.png"]


def test_what_may_pass_is_looked_at_every_time(looks):
    tree("a.png")
    Path("photos/b.png").symlink_to("nowhere")
    with Store(None) as store:
        assert surveyed(store)[1]["b.png"][0] == "not_a_file"
        surveyed(store)
    assert looks.count("b.png") == 2
    assert looks.count("a.png") == 1


def test_many_files_are_remembered_in_several_commits(looks, monkeypatch):
    monkeypatch.setattr(plan, "COMMIT_EVERY", 2)
    tree(*(f"{i}.png" for i in range(5)))
    with Store(None) as store:
        surveyed(store)
        looks.clear()
        surveyed(store)
    assert looks == []


def test_the_clip_of_a_file():
    seen = Seen("c1", (4, 6), "orientation")
    clip = sources.clip(File("a/b.jpg", "/photos/a/b.jpg", "stamp"), seen)
    assert (clip.id, clip.name, clip.path, clip.rewrite) == ("c1", "a/b.jpg", "/photos/a/b.jpg", "orientation")
    assert [(frame.index, frame.time_s, frame.size_hw) for frame in clip.frames] == [(0, 0.0, (4, 6))]
    assert clip.found == ()


@pytest.mark.parametrize("setting", [{"max_pixels": 0}, {"folder": "x"}])
def test_settings_that_mean_nothing(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Source(**setting)


@pytest.mark.parametrize(
    ("only", "seen"),
    [
        ("", ["a.jpg", "b.png", "c/d.jpg"]),
        (r"\.jpg$", ["a.jpg", "c/d.jpg"]),
        (r"^[^/]*\.jpg$", ["a.jpg"]),
        ("nothing", []),
    ],
)
def test_only_some_files(only, seen):
    tree("a.jpg", "b.png", "c/d.jpg")
    assert [file.name for file in sources.files(Source(path="photos", only=only))] == seen


def test_a_pattern_that_is_none():
    with pytest.raises(ValueError, match=r"'\(' is no pattern: missing \)"):
        Source(path="photos", only="(")


@pytest.mark.parametrize("made", [film_file, frames_folder])
def test_looking_at_a_film_ends_with_the_frame_at_which_that_is_asked_for(made):
    asked = []

    def tick():
        asked.append(1)
        if len(asked) == 3:
            raise Interrupted("stopped", 15)

    made(Path("films/f.mkv") if made is frames_folder else Path("f.mkv"), [drawn(number) for number in range(9)])
    source = Source(path=".", frame_folders_fps=24)
    with pytest.raises(Interrupted):
        list(sources.look(sources.files(source), source, films_too=True, tick=tick))
    assert len(asked) == 3

"""The store: a commit or nothing, what is reused, and what a damaged file costs."""

import sqlite3
from pathlib import Path

import pytest

from pipeline import database
from pipeline import store as store_
from pipeline.errors import ConfigError, DiskFull
from pipeline.records import Drop
from pipeline.store import Aside, Failure, Found, Remembered, Result, Store

DROPS = (Drop(0, "too_small"), Drop(2, "negative", 1, "toy"), Drop(3, "too_small"))


def result(key="k1", stage="detect", output="o1", drops=(), blob=b"blob", clip="c1"):
    return Result(key, clip, stage, output, drops, blob)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


def kept(path, *results, remembered=(), files=()):
    """A store with these results, closed."""
    with Store(path) as store, store.writing():
        store.add(results, remembered)
        store.remember_files(files)
    return path


class Trouble(Exception):
    """What interrupts a write."""


def test_a_result_comes_back(path):
    kept(path, result(drops=DROPS))
    with Store(path) as store:
        assert store.result("k1") == Found("o1", {"too_small": 2, "negative": 1})
        assert store.blob("k1") == b"blob"
        assert store.drops("k1") == list(DROPS)
        assert store.stage("k1") == "detect"
        assert store.counts() == {"detect": 1}


def test_a_failure_comes_back(path):
    failure = Failure("k1", "c1", "detect", "cut_or_damaged", "half of it")
    kept(path, failure)
    with Store(path) as store:
        assert store.result("k1") == failure


def test_what_is_not_there(path):
    with Store(path) as store:
        assert store.result("k1") is None
        assert store.memory("c1", ["s"]) == {}
        assert (store.pictures(), store.aside(), store.notes(), store.counts(), store.seen()) == ({}, [], [], {}, {})
        for ask in (store.blob, store.drops, store.stage):
            with pytest.raises(KeyError, match="k1"):
                ask("k1")


def test_a_store_in_memory():
    with Store(None) as store:
        with store.writing():
            store.add([result()])
        assert store.result("k1") == Found("o1", {})


def write_half(store, error):
    with store.writing():
        store.add([result()], [Remembered("c1", "s", "dog", b"said")])
        store.set_pictures({"a.jpg": ("{}", ["k1"])})
        store.note([("detect", "smaller_batch", "8 -> 4")])
        raise error


@pytest.mark.parametrize("error", [Trouble("stop"), KeyboardInterrupt(), sqlite3.IntegrityError("damaged")])
def test_all_of_a_commit_or_nothing(path, error):
    with Store(path) as store:
        with pytest.raises((Trouble, KeyboardInterrupt, ConfigError)):
            write_half(store, error)
        assert (store.counts(), store.memory("c1", ["s"]), store.pictures(), store.notes()) == ({}, {}, {}, [])
        with store.writing():  # and the next one is whole
            store.add([result()])
        assert store.counts() == {"detect": 1}


def test_a_result_is_on_the_disk_when_the_block_ends(path):
    with Store(path) as store:
        with store.writing():
            store.add([result()])
            with Store(path) as another:
                assert another.result("k1") is None  # not before
        with Store(path) as another:
            assert another.result("k1") == Found("o1", {})
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: a power failure takes nothing back


def test_a_reader_waits_for_nobody_and_stops_nobody(path):
    kept(path, result("k0"))
    with Store(path) as writer, Store(path) as reader:
        for i in range(1, 4):
            with writer.writing():
                writer.add([result(f"k{i}")])
                with Store(path) as late:  # opened while a commit is under way
                    assert (reader.counts(), late.counts()) == ({"detect": i}, {"detect": i})
            assert reader.counts() == {"detect": i + 1}


def test_memory_is_of_a_clip_and_a_scope(path):
    said = [
        Remembered("c1", "s", "dog", b"1"),
        Remembered("c1", "s", "cat", b"2"),
        Remembered("c1", "t", "dog", b"3"),
        Remembered("c2", "s", "dog", b"4"),
    ]
    kept(path, remembered=said)
    with Store(path) as store:
        assert store.memory("c1", ["s"]) == {("s", "dog"): b"1", ("s", "cat"): b"2"}
        assert store.memory("c1", ["s", "t"]) == {("s", "dog"): b"1", ("s", "cat"): b"2", ("t", "dog"): b"3"}


# Reuse


def test_what_another_run_knows_is_copied_with_the_next_commit(path, tmp_path):
    other = kept(tmp_path / "other.db", result("k1", drops=DROPS), result("k2"))
    with Store(path, [other]) as store:
        assert store.result("k1") == Found("o1", {"too_small": 2, "negative": 1})
        assert store.blob("k2") == b"blob"  # can be read at once
        assert store.counts() == {}
        with store.writing():
            pass
    other.unlink()
    with Store(path) as store:
        assert store.result("k1") == Found("o1", {"too_small": 2, "negative": 1})
        assert store.drops("k1") == list(DROPS)
        assert store.result("k2") is None  # nobody looked it up


def test_what_is_borrowed_outlives_a_commit_that_fails(path, tmp_path):
    other = kept(tmp_path / "other.db", result())
    with Store(path, [other]) as store:
        store.result("k1")
        with pytest.raises(Trouble), store.writing():
            raise Trouble
        with store.writing():
            pass
        assert store.counts() == {"detect": 1}


def test_another_run_is_never_written_to(path, tmp_path):
    other = kept(tmp_path / "other.db", result())
    before = other.read_bytes()
    with Store(path, [other]) as store:
        store.result("k1")
        with store.writing():
            store.add([result("k2")], [Remembered("c1", "s", "dog", b"said")])
    assert other.read_bytes() == before


def test_failures_of_another_run_count_too(path, tmp_path):
    damaged = Failure("k1", "c1", "detect", "cut_or_damaged")  # the content's own fault: no other is kept
    other = kept(tmp_path / "other.db", damaged)
    with Store(path, [other]) as store:
        assert store.result("k1") == damaged


def test_what_models_said_is_copied_with_a_result(path, tmp_path):
    said = [Remembered("c1", "s", "dog", b"dog"), Remembered("c2", "s", "dog", b"of a clip that nobody asks for")]
    other = kept(tmp_path / "other.db", result("k1"), remembered=said)
    with Store(path, [other]) as store:
        store.result("k1")
        with store.writing():
            pass
    with Store(path) as alone:
        assert alone.memory("c1", ["s"]) == {("s", "dog"): b"dog"}
        assert alone.memory("c2", ["s"]) == {}


def test_what_models_said_of_key_frames_is_copied_on_request(path, tmp_path):
    others = [kept(tmp_path / f"{n}.db", remembered=[Remembered("c2", "s", n, n.encode())]) for n in ("one", "two")]
    with Store(path, others) as store:
        store.borrow_memory(["c1", "c2"])
        with store.writing():
            pass
    with Store(path) as alone:
        assert alone.memory("c2", ["s"]) == {("s", "one"): b"one", ("s", "two"): b"two"}
        alone.borrow_memory(iter(lambda: pytest.fail("there is nobody to borrow from"), None))


def test_a_film_has_one_state(path, tmp_path):
    with Store(path) as store:
        for key in ("k1", "k2"):
            with store.writing():
                store.keep_state("f1", key, key.encode())
        assert store.state("f1", ["k1", "k2", "k3"]) == ("k2", b"k2")
        assert store.state("f1", ["k1"]) is store.state("f2", ["k2"]) is None
        with store.writing():
            store.forget_state("f1")
        assert store.state("f1", ["k2"]) is None


def test_of_several_states_that_of_the_latest_result_counts(path, tmp_path):
    for place, key in ((path, "k2"), (tmp_path / "far.db", "k3"), (tmp_path / "else.db", "k9")):
        with Store(place) as store, store.writing():
            store.keep_state("f1", key, str(place.name).encode())
    with Store(path, [tmp_path / "else.db", tmp_path / "far.db"]) as store:
        assert store.state("f1", ["k1", "k2", "k3"]) == ("k3", b"far.db")
        assert store.state("f1", ["k1", "k2"]) == ("k2", path.name.encode())


def test_many_results_are_not_held_in_memory(path, tmp_path, monkeypatch):
    monkeypatch.setattr(store_, "BORROW_AT_ONCE", 2)
    other = kept(tmp_path / "other.db", *(result(f"k{n}") for n in range(5)))
    with Store(path, [other]) as store:
        for n in range(5):
            store.result(f"k{n}")
        assert len(store._borrowed) < 2


def test_whose_word_counts(path, tmp_path):
    """The own store's, then that of the first one named."""
    others = [
        kept(
            tmp_path / f"{name}.db",
            result("k1", output=name),
            result("k2", output=name),
            remembered=[Remembered("c1", "s", "dog", name.encode()), Remembered("c1", "s", "cat", name.encode())],
            files=[("/a", "stamp", [name]), ("/b", "stamp", [name])],
        )
        for name in ("first", "second")
    ]
    own = [Remembered("c1", "s", "dog", b"own")]
    kept(path, result("k1", output="own"), remembered=own, files=[("/a", "stamp", ["own"])])
    with Store(path, others) as store:
        assert (store.result("k1").output, store.result("k2").output) == ("own", "first")
        assert store.memory("c1", ["s"]) == {("s", "dog"): b"own", ("s", "cat"): b"first"}
        assert store.seen() == {"/a": ("stamp", ["own"]), "/b": ("stamp", ["first"])}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no run.db there"),
        (b"", "cannot be read: no such table"),
        (b"no database at all" * 100, "cannot be read: file is not a database"),
    ],
)
def test_a_run_that_cannot_be_reused_is_named(path, tmp_path, content, said):
    other = tmp_path / "yesterday" / "run.db"
    if content is not None:
        other.parent.mkdir()
        other.write_bytes(content)
    with pytest.raises(ConfigError, match=f"yesterday.*{said}"):
        Store(path, [other])


def of_another_schema(path):
    kept(path, result())
    db = sqlite3.connect(path)
    db.execute("UPDATE meta SET value = '99'")
    db.commit()
    db.close()
    return path


def test_a_run_of_another_version_cannot_be_reused(path, tmp_path):
    with pytest.raises(ConfigError, match=r"its run.db is of another version of masklet"):
        Store(path, [of_another_schema(tmp_path / "other.db")])


# Trouble


def damaged(path):
    path.write_bytes(b"no database at all" * 100)
    return path


@pytest.mark.parametrize("spoil", [damaged, of_another_schema])
def test_a_store_that_cannot_be_used_is_moved_aside(path, spoil):
    before = spoil(path).read_bytes()
    with Store(path) as store:
        assert store.counts() == {}
        with store.writing():
            store.add([result()])
    assert path.with_name("run.db.unreadable").read_bytes() == before
    with Store(path) as store:
        assert store.counts() == {"detect": 1}


def test_a_store_that_is_fine_stays(path):
    kept(path, result())
    kept(path, result("k2"))
    with Store(path) as store:
        assert store.counts() == {"detect": 2}
    assert [p.name for p in path.parent.iterdir()] == ["run.db"]  # its log is folded in


def test_a_full_disk_is_said_and_takes_only_that_commit(path):
    with Store(path) as store:
        with store.writing():
            store.add([result()])
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages + 4}")
        with (
            pytest.raises(DiskFull, match=r"run\.db: the disk is full; make room and run the same command again"),
            store.writing(),
        ):
            store.add([result("small"), result("large", blob=bytes(200_000))])
        assert store.counts() == {"detect": 1}
        store._db.execute("PRAGMA max_page_count = 100000")
        with store.writing():
            store.add([result("large", blob=bytes(200_000))])
    with Store(path) as store:
        assert store.counts() == {"detect": 2}


@pytest.mark.parametrize(
    ("error", "becomes", "said"),
    [
        (sqlite3.OperationalError("database or disk is full"), DiskFull, "make room"),
        (sqlite3.OperationalError("disk I/O error"), DiskFull, "make room"),
        (sqlite3.OperationalError("attempt to write a readonly database"), ConfigError, "choose another --out"),
        (sqlite3.OperationalError("database is locked"), sqlite3.OperationalError, "locked"),  # ours to mend
        (sqlite3.DatabaseError("database disk image is malformed"), ConfigError, "delete it, it is only a cache"),
    ],
)
def test_what_sqlite_says_in_our_words(path, error, becomes, said):
    with Store(path) as store, pytest.raises(becomes, match=said), store.writing():
        raise error


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be written; choose another --out"):
        Store(tmp_path / "nowhere" / "run.db")


# The run as it stands


class Written:
    """How many rows of each table are inserted or deleted."""

    def __init__(self, store):
        self.store, self.seen = store, []
        store._db.set_trace_callback(self.seen.append)

    def take(self):
        said = [
            line.split()[0] + " " + line.split()[4 if "REPLACE" in line else 2]
            for line in self.seen
            if "FROM" in line or "INTO" in line
        ]
        self.seen.clear()
        return [line for line in said if not line.startswith("SELECT")]


@pytest.mark.parametrize(
    ("then", "written"),
    [
        ({"a": ("A", ["k1"]), "b": ("B", ["k2"])}, []),  # the same
        ({"b": ("B", ["k2"]), "a": ("A", ["k1"])}, []),  # in another order
        ({"a": ("A", ["k1"])}, ["DELETE pictures"]),  # one less
        ({"a": ("A", ["k1"]), "b": ("B", ["k3"])}, ["INSERT pictures"]),  # one changed
        ({"a": ("A", ["k1"]), "b": ("B", ["k2"]), "c": ("C", [])}, ["INSERT pictures"]),  # one more
        ({}, ["DELETE pictures"] * 2),
    ],
)
def test_only_the_pictures_that_differ_are_written(then, written):
    with Store(None) as store:
        with store.writing():
            store.set_pictures({"b": ("B", ["k2"]), "a": ("A", ["k1"])})
        watch = Written(store)
        with store.writing():
            store.set_pictures(then)
        assert watch.take() == written
        assert store.pictures() == then
        assert list(store.pictures()) == sorted(then)


A, B = Aside("a.jpg", "choose", "duplicate", "of b.jpg"), Aside("b.jpg", "open", "cut_or_damaged")


@pytest.mark.parametrize(
    ("then", "written"),
    [
        ([B, A], []),  # the same
        ([A], ["DELETE aside"]),
        ([A, Aside("b.jpg", "open", "changed")], ["DELETE aside", "INSERT aside"]),  # another reason
        ([], ["DELETE aside"] * 2),
    ],
)
def test_only_what_differs_of_what_is_set_aside_is_written(then, written):
    with Store(None) as store:
        with store.writing():
            store.set_aside([A, B])
        watch = Written(store)
        with store.writing():
            store.set_aside(then)
        assert watch.take() == written
        assert store.aside() == sorted(then, key=lambda aside: aside.name)


def test_a_note_stands_once(path):
    note = ("detect", "smaller_batch", "8 -> 4 pictures a call")
    with Store(path) as store:
        for _ in range(2):
            with store.writing():
                store.note([note, note])
        assert store.notes() == [note]


def test_files_seen_are_told_by_path_and_written_over(path):
    kept(path, files=[("/a", "1", ["old"]), ("/b", "1", ["b"])])
    kept(path, files=[("/a", "2", ["new", None, [1, 2]])])
    with Store(path) as store:
        assert store.seen() == {"/a": ("2", ["new", None, [1, 2]]), "/b": ("1", ["b"])}


def test_every_table_is_described():
    page = Path(__file__).parents[1] / "docs/architecture.md"
    tables = {line.split()[5] for line in database.SCHEMA.splitlines() if line.startswith("CREATE")}
    described = page.read_text(encoding="utf-8").partition("## The store")[2].partition("\n## ")[0]
    assert {name for name in tables if f"`{name}`" not in described} == {"meta"}

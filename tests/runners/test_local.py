"""Where batches run: how many are in hand, what comes back of those that fail, and what is left behind."""

import multiprocessing
import os
import signal
import threading
import time
from itertools import count
from types import SimpleNamespace

import pytest

from pipeline.config import Run
from pipeline.runners import WorkerDied, local
from pipeline.runners.local import Here, Processes, settle, visible_gpus


class Quit(BaseException):
    """Something that is no error of a batch."""


class Echo:
    """Answers with the batch; one that is an exception is raised."""

    def read(self, batch):
        return f"pictures of {batch}"

    def __call__(self, batch, pictures=None):
        if isinstance(batch, BaseException):
            raise batch
        if batch == "die":
            os._exit(1)
        if str(batch).startswith("film"):
            return os.getpid()
        if batch == "gpu":
            time.sleep(0.2)  # so that the next one goes to another process
            return os.environ.get("CUDA_VISIBLE_DEVICES")
        if batch == "tell":
            return os.getpid(), signal.getsignal(signal.SIGINT) == signal.SIG_IGN, os.environ.get("SETTLED")
        return batch, pictures


class Watched(Echo):
    """Notes when batches are handed over."""

    def __init__(self):
        self.log = []

    def __call__(self, batch, pictures=None):
        self.log.append(("handed", batch))
        return super().__call__(batch, pictures)


def pulled(log, batches):
    for batch in batches:
        log.append(("pulled", batch))
        yield batch


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("read", "work"))]


def test_every_batch_comes_back_with_its_answer():
    answers = list(Here(2).map(Echo, range(7)))
    assert sorted(answers) == [(i, (i, f"pictures of {i}")) for i in range(7)]
    assert threads() == []


def test_one_at_a_time_a_batch_waits_until_the_answer_before_was_taken():
    worker = Watched()
    for batch, _ in Here(1).map(lambda: worker, range(5)):
        time.sleep(0.01)  # time for a hasty runner to hand over the next
        worker.log.append(("taken", batch))
    assert worker.log == [(what, i) for i in range(5) for what in ("handed", "taken")]


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_so_many_are_in_hand_and_no_more(in_flight):
    worker, taken = Watched(), count(1)
    for _ in Here(in_flight).map(lambda: worker, pulled(worker.log, range(9))):
        time.sleep(0.005)
        worker.log.append(("taken", next(taken)))
    for end in range(len(worker.log)):
        so_far = [what for what, _ in worker.log[: end + 1]]
        assert so_far.count("handed") - so_far.count("taken") <= in_flight
        assert so_far.count("pulled") - so_far.count("taken") <= 2 * in_flight + 1  # those read ahead as well


def test_three_at_a_time_are_worked_on_at_once():
    met = threading.Barrier(3, timeout=20)

    class Meeting(Echo):
        def __call__(self, batch, pictures=None):
            met.wait()
            return batch

    assert sorted(batch for batch, _ in Here(3).map(Meeting, range(6))) == list(range(6))


def test_pictures_are_read_while_the_batch_before_is_worked_on():
    read = threading.Event()

    class Ahead(Echo):
        def read(self, batch):
            if batch == 1:
                read.set()

        def __call__(self, batch, pictures=None):
            return batch == 1 or read.wait(20)

    assert list(Here(1).map(Ahead, range(2))) == [(0, True), (1, True)]


@pytest.mark.parametrize("in_flight", [1, 3])
def test_what_goes_wrong_is_an_answer(in_flight):
    wrong = ValueError("shapes differ")
    answers = dict(Here(in_flight).map(Echo, [0, wrong, 2]))
    assert answers == {0: (0, "pictures of 0"), wrong: wrong, 2: (2, "pictures of 2")}


def test_what_goes_wrong_while_reading_is_an_answer():
    wrong = OSError("disk")

    class Unread(Echo):
        def read(self, batch):
            if batch == 1:
                raise wrong

    answers = dict(Here(1).map(Unread, range(3)))
    assert answers == {0: (0, None), 1: wrong, 2: (2, None)}


def test_what_is_no_error_of_a_batch_is_raised():
    with pytest.raises(Quit):
        list(Here(1).map(Echo, [0, Quit(), 2]))
    assert threads() == []


def test_a_worker_is_opened_once_and_not_for_nothing():
    opened = []

    def open_worker():
        opened.append(1)
        return Echo()

    assert list(Here(3).map(open_worker, [])) == []
    assert opened == []
    assert len(list(Here(3).map(open_worker, range(8)))) == 8
    assert opened == [1]


@pytest.mark.parametrize("in_flight", [1, 3])
def test_closed_early_it_leaves_nothing_behind(in_flight):
    worker = Watched()
    answers = Here(in_flight).map(lambda: worker, pulled(worker.log, range(100)))
    next(answers)
    answers.close()
    assert threads() == []
    assert len([what for what, _ in worker.log if what == "handed"]) <= in_flight + 1


def test_an_error_of_whoever_gives_batches_leaves_nothing_behind():
    def batches():
        yield 0
        yield 1
        raise Quit

    with pytest.raises(Quit):
        list(Here(1).map(Echo, batches()))
    assert threads() == []


# Processes


def settled():
    os.environ["SETTLED"] = "yes"


def processes(workers):
    """Batches of these tests are plain values; text that begins with 'film' is of that film."""
    return Processes(workers, settled, film_of=lambda batch: batch if str(batch).startswith("film") else "")


def test_processes_answer_and_are_on_their_own():
    wrong = ValueError("shapes differ")
    answers = list(processes(2).map(Echo, ["tell", 1, wrong, 3, 4]))
    by_batch = {str(batch): answer for batch, answer in answers}
    assert [by_batch[str(i)] for i in (1, 3, 4)] == [(1, None), (3, None), (4, None)]
    assert repr(by_batch["shapes differ"]) == repr(wrong)
    pid, deaf, was_settled = by_batch["tell"]
    assert pid != os.getpid()
    assert deaf  # a signal from the terminal is the parent's affair
    assert was_settled == "yes"
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_takes_only_its_batches():
    """The next batch is handed over when the pool is known to be broken, and not yet told."""
    answers = []
    for batch, answer in processes(1).map(Echo, [0, "die", 2, 3]):
        answers.append((batch, answer))
        if batch == 0:
            deadline = time.monotonic() + 20
            while multiprocessing.active_children() and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.2)
    assert sorted(str(batch) for batch, _ in answers) == ["0", "2", "3", "die"]
    assert [batch for batch, answer in answers if isinstance(answer, WorkerDied)] == ["die"]


def test_a_film_stays_with_its_process():
    answers = list(processes(2).map(Echo, ["film a", "film b"] * 4))
    assert len(set(answers)) == 2
    assert len({pid for _, pid in answers}) == 2


def until_answered(taken, batches):
    """Each batch but the first waits for an answer."""
    for number, batch in enumerate(batches):
        while len(taken) < number:
            yield None
        yield batch


@pytest.mark.parametrize("runner", [Here(2), processes(2)])
def test_a_batch_that_needs_an_answer_waits_for_it(runner):
    taken = []
    for batch, _ in runner.map(Echo, until_answered(taken, range(4))):
        taken.append(batch)
    assert taken == [0, 1, 2, 3]


def test_processes_closed_early_leave_nothing_behind():
    answers = processes(1).map(Echo, range(100))
    assert next(answers) == (0, (0, None))
    answers.close()
    assert multiprocessing.active_children() == []


def test_no_batches_no_processes(monkeypatch):
    monkeypatch.setattr(local, "_begin", None)
    assert list(processes(2).map(Echo, [])) == []


# A GPU each


@pytest.mark.parametrize(
    ("said", "devices", "gpus"),
    [
        (None, [], []),
        (None, ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"], ["0", "1"]),
        (None, ["nvidia3", "nvidiactl"], ["0"]),  # a container with one of the host's; CUDA counts from 0
        ("2,3", ["nvidia0"], ["2", "3"]),
        ("GPU-8f3e, MIG-1a", [], ["GPU-8f3e", "MIG-1a"]),
        ("", ["nvidia0"], []),  # hidden
    ],
)
def test_the_gpus_of_a_machine(said, devices, gpus, tmp_path):
    for name in devices:
        (tmp_path / name).touch()
    assert visible_gpus({} if said is None else {"CUDA_VISIBLE_DEVICES": said}, tmp_path) == gpus


@pytest.mark.parametrize(
    ("device", "workers", "each"),
    [
        ("cuda", 2, ["5", "7"]),
        ("cuda", 3, ["5", "7", "5"]),  # more processes than GPUs: they share
        ("cuda:1", 2, ["", ""]),  # it is said which: all of them there
        ("cpu", 2, ["", ""]),
    ],
)
def test_each_process_has_a_gpu_of_its_own(device, workers, each, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert local.runner(Run(device=device, workers=workers)).gpus == each


def test_a_process_sees_its_own_gpu_only(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    answers = Processes(2, settled, gpus=["5", "7"], film_of=lambda _: "").map(Echo, ["gpu"] * 2)
    assert sorted(gpu for _, gpu in answers) == ["5", "7"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,7"


# What is set once a process


@pytest.mark.parametrize(("keep_pages", "calls"), [(True, [(-4, 0), (-1, 2**31 - 1), (-8, 1)]), (False, [])])
def test_settle(monkeypatch, keep_pages, calls):
    import cv2

    before, made = cv2.getNumThreads(), []
    libc = SimpleNamespace(mallopt=lambda *setting: made.append(setting))
    monkeypatch.setattr(local, "ctypes", SimpleNamespace(CDLL=lambda _: libc))
    monkeypatch.setattr(local, "sys", SimpleNamespace(platform="linux", setswitchinterval=lambda _: None))
    try:
        settle(2, keep_pages)
        assert cv2.getNumThreads() == 2
        assert made == calls
    finally:
        cv2.setNumThreads(before)

"""Following a run: lines elsewhere, a bar on a terminal, and nothing on standard output."""

import io
import sys
import threading

import pytest

from pipeline import progress
from pipeline.progress import LINE_EVERY_S, Progress


class Clock:
    """Time that only passes when a test says so."""

    def __init__(self):
        self.now_s = 100.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self):
        return True


def all_gone(before):
    """Whether the threads begun since then end when they are waited for."""
    since = [thread for thread in threading.enumerate() if thread not in before]
    for thread in since:
        thread.join(timeout=10)
    return not any(thread.is_alive() for thread in since)


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        ([(1.0, 10)], []),  # too early for a line
        ([(5.0, 10)], ["labelling: 10/40, 2.0/s, 15 s left"]),
        ([(4.0, 10), (1.0, 10)], ["labelling: 20/40, 4.0/s, 5 s left"]),
        (
            [(5.0, 10), (4.0, 10), (1.0, 10)],
            ["labelling: 10/40, 2.0/s, 15 s left", "labelling: 30/40, 3.0/s, 3 s left"],
        ),
        ([(10.0, 40)], ["labelling: 40/40, 4.0/s, 0 s left"]),
    ],
)
def test_lines_where_there_is_no_terminal(capsys, clock, steps, lines):
    with Progress() as follow:
        follow.begin("labelling", 40)
        for seconds, pictures in steps:
            clock.now_s += seconds
            follow.step(pictures)
    said = capsys.readouterr()
    assert said.err.splitlines() == lines
    assert said.out == ""


def test_each_part_of_a_run_is_counted_anew(capsys, clock):
    with Progress() as follow:
        for what in ("labelling", "writing coco"):
            follow.begin(what, 10)
            clock.now_s += LINE_EVERY_S
            follow.step(5)
    assert capsys.readouterr().err.splitlines() == [
        "labelling: 5/10, 1.0/s, 5 s left",
        "writing coco: 5/10, 1.0/s, 5 s left",
    ]


def test_a_run_that_takes_no_time_at_all(capsys, clock):
    with Progress() as follow:
        follow.step(1)  # before any part began
        follow.begin("labelling", 1)
        follow.step(1)
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    before = threading.enumerate()
    with Progress() as follow:
        follow.begin("labelling", 4)
        follow.step(2, objects=3, aside=1)
        follow.begin("writing coco", 4)
        follow.step(4)
    assert "labelling" in screen.getvalue()
    assert "2/4" in screen.getvalue()
    assert "4/4" in screen.getvalue()
    assert capsys.readouterr().out == ""
    assert all_gone(before)


def test_nothing_to_do_draws_nothing(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with Progress() as follow:
        follow.begin("labelling", 0)
    assert screen.getvalue() == ""


def test_an_error_takes_the_bar_down(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    before = threading.enumerate()
    follow = Progress()
    follow.begin("labelling", 4)
    with pytest.raises(OSError, match="disk"), follow:
        raise OSError("disk")
    assert all_gone(before)

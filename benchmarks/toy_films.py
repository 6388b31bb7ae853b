"""From words to tracks: twenty toy films, found by the tiny OWLv2 on keyframes and followed by the tiny SAM 2.

    python benchmarks/toy_films.py

120 frames each, of five stories, with a seed that nothing was learnt from: things that wander, look alike, hide, leave
and come back, and a scene cut, where tracks begin anew.
"""

import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import bench
import numpy as np
from bench import Figure

from pipeline import checkpoints, geometry
from pipeline.detectors.grounding import Grounding
from pipeline.evaluate.of_films import Scores, evaluate_films
from pipeline.media import Picture
from pipeline.records import Clip, Frame, Instances, empty
from pipeline.report.films import show_film_scores
from pipeline.seams import Device
from pipeline.toyworld.films import STORIES, Film, film
from pipeline.toyworld.shapes import EVERY, SHAPES
from pipeline.trackers.lifecycle import Life, Rules
from pipeline.trackers.sam2 import Sam2Tracker, finish
from pipeline.trackers.sam2_memory import open_follower

CLAIM = "20 toy films from words alone: tiny OWLv2 every 8 frames, tiny SAM 2, the life-cycle"
SEED = 10_000_000
THRESHOLD, SAME_BOX = 0.3, 0.7
J_AND_F, IDF1, SWITCHES = 0.75, 0.85, 0.05


def main(films: int = 20, frames: int = 120, results: Path = bench.RESULTS) -> int:
    detector = Grounding(model="tiny-owlv2").open(Device())
    follower = open_follower(checkpoints.folder("tiny-sam2"), "float32", Device())
    tracker = Sam2Tracker(follower, Rules())
    meant: list[Clip] = []
    found: dict[str, Clip] = {}
    began = time.perf_counter()
    for number in range(films):
        story = STORIES[number % len(STORIES)]
        toy = film(SEED, number, story, frames, kinds=EVERY)
        truth = truth_of(toy, f"{number:02}_{story}.mp4")
        meant.append(truth)
        found[truth.name] = followed(tracker, detector, toy, truth)
    seconds = time.perf_counter() - began
    scores = evaluate_films(meant, found, rules="all", pairing="class")
    print(show_film_scores(scores))
    return bench.conclude("toy_films", CLAIM, figures(scores, films * frames / seconds), results)


def figures(scores: Scores, frames_a_second: float) -> list[Figure]:
    said = scores.over_all
    objects = len(scores.objects)
    return [
        Figure("J&F", said["j_and_f"], "", at_least=J_AND_F),
        Figure("IDF1", said["idf1"], "", at_least=IDF1),
        Figure("identity switches of an object of the truth", said["switches"] / objects, "", at_most=SWITCHES),
        Figure("objects", objects, ""),
        Figure("frames a second, drawing included", frames_a_second, ""),
    ]


def truth_of(toy: Film, name: str) -> Clip:
    frames = tuple(Frame(at, at / 24, found.size_hw) for at, found in enumerate(toy.found))
    return Clip(name, name, "", frames, None, toy.found)


def followed(tracker: Sam2Tracker, detector: object, toy: Film, truth: Clip) -> Clip:
    """Follow each scene by itself; identities go on counting."""
    bounds = [0, *toy.cuts, len(truth.frames)]
    parts: list[Clip] = []
    lives: dict[int, Life] = {}
    before = 0
    for begin, end in pairwise(bounds):
        seeds = [
            detected(detector, toy.rgb[at])
            if (at - begin) % tracker.rules.every == 0
            else empty(truth.found[at].size_hw)
            for at in range(begin, end)
        ]
        part = replace(truth, frames=truth.frames[begin:end], found=tuple(seeds))
        clip, state = tracker.track(part, toy.rgb[begin:end])
        now = tracker.restored(state)
        later = tuple(replace(one, track_ids=one.track_ids + before) for one in clip.found)
        parts.append(replace(clip, found=later))
        lives |= {number + before: life for number, life in now.lives.items()}
        before += now.born
    kept = finish(parts, lives, tracker.rules)
    return replace(truth, found=tuple(found for part in kept for found in part.found))


def detected(detector: object, rgb: np.ndarray) -> Instances:
    """What is found of every shape, one box a place."""
    (rows,) = detector.detect([Picture.of(rgb)], list(SHAPES))
    rows = rows.take(np.flatnonzero(rows.scores >= THRESHOLD))
    rows = rows.take(geometry.suppress(rows.boxes_xyxy, rows.scores, SAME_BOX))
    return replace(rows, names=rows.prompts)


if __name__ == "__main__":
    sys.exit(main())

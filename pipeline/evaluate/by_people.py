"""Learn from what people decided: a row that was accepted or mended was right, one that was rejected was not."""

import numpy as np

from pipeline.config import Config
from pipeline.decisions import Decided
from pipeline.errors import ConfigError
from pipeline.evaluate.calibrate import Judged, Learnt, learn
from pipeline.labelled import labelled, replayed
from pipeline.records import Instances
from pipeline.stages import Correct
from pipeline.store import Store


def calibrate_by_people(config: Config, store: Store, least: int) -> Learnt:
    """Learn from a run's corrections; raises `ConfigError` where it has none, `BadDataset` where they say nothing.

    Only rows that people decided about count: of the others nobody knows.
    """
    found, pictures = judged_by_people(config, store)
    return learn(config, found, pictures, "corrections", least)


def judged_by_people(config: Config, store: Store) -> tuple[dict[str, Judged], int]:
    """The rows of each class that people decided about, and in how many pictures."""
    stages = config.stages()
    at = [stage.name for stage in stages].index("correct") if config.corrections else 0
    correct = stages[at]
    if not isinstance(correct, Correct):
        raise ConfigError("the run has no corrections; run it with corrections=FOLDER first")
    parts: dict[str, list[Judged]] = {name: [] for name in config.ontology.names}
    pictures = 0
    for one in labelled(store):
        if one.whole.is_film or one.whole.id not in correct.corrections.by_picture:
            continue
        ((clip, chain),) = one.parts
        before = replayed(clip, chain.keys[:at], store)
        fate = correct.decided(before)
        pictures += 1
        for name, own in parts.items():
            own.append(judged_rows(before.found[0], fate, name))
    return {name: Judged.of(own) for name, own in parts.items()}, pictures


def judged_rows(found: Instances, fate: Decided, name: str) -> Judged:
    """The rows of a class in a picture that people decided about, the surest first; what they added is an object, too.

    A row that was called otherwise was wrong, and its object is one of the other class that was not found.
    """
    rows = [(one.row, one) for one in fate.objects if one.row is not None and found.names[one.row] == name]
    scores = np.array([1.0 if found.scores is None else float(found.scores[row]) for row, _ in rows]).round(4)
    order = np.argsort(-scores, kind="stable")
    hits = np.array([not one.rejected and one.name == name for _, one in rows], np.bool_)
    kinds = found.score_kind or ("",) * len(found)
    objects = sum(not one.rejected and one.name == name for one in fate.objects)
    return Judged(scores[order], hits[order], tuple(kinds[rows[row][0]] for row in order), objects)

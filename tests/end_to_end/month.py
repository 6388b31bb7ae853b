"""A month of nights on toy data: what happens to the source and the config before each, and what that is to cost.

All pictures and frames have one size, so that the fake detector finds the same in each: a box for every word.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import filming
import numpy as np
import yaml
from driving import save_pictures
from PIL import Image

from pipeline import choose, media

SIZE_HW = (24, 32)
FRAMES, EVERY = 9, 4
PETS = {"dog": ["a dog"], "cat": ["a cat", "a kitten"], "bird": ["a bird"]}
"""The fake detector's scores: a dog 0.63, a cat 0.90, a kitten 0.68, a bird 0.92."""
GRABCUT = {"backend": "grabcut"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a night is to cost.

    Pictures and key frames that the detector is handed, and the words with each; those that the segmenter is handed,
    and the boxes in all of them; boxes of the second model; frames that the tracker follows.
    """

    detect: int = 0
    words: tuple[str, ...] = ()
    segment: int = 0
    boxes: int = 0
    verify: int = 0
    track: int = 0


NOTHING = Asked()


@dataclass(slots=True)
class Month:
    """The source and the config, as they stand; both are changed from night to night."""

    config: dict[str, Any] = field(
        default_factory=lambda: {
            "source": {"path": "source"},
            "ontology": PETS,
            "detect": {"backend": "counting:Detector"},
            "select": {"threshold": 0.65},
            "segment": {"backend": "counting:Segmenter"},
            "track": {"backend": "counting:Tracker", "every": EVERY},
            "export": {"formats": ["coco", "yolo_seg", "sav"]},
            "run": {"keep_pages": False, "batch": 3, "segment": EVERY},
        }
    )

    def say(self, section: str, **options: Any) -> None:
        """Change options of a section."""
        self.config[section] = self.config.get(section, {}) | options
        Path("month.yaml").write_text(yaml.safe_dump(self.config))

    def classes(self, **changed: list[str] | None) -> None:
        """Change classes; None takes one out."""
        there = self.config["ontology"] | changed
        self.config["ontology"] = {name: words for name, words in there.items() if words is not None}
        self.say("run")

    def put(self, *numbers: int) -> None:
        """Put pictures into the source: p<number>.png."""
        for number in numbers:
            save_pictures(Path("source"), [f"p{number}.png"], SIZE_HW, first=number)

    def take(self, name: str, to: str = "elsewhere") -> None:
        """Take a file out of the source, or put it under another name."""
        Path(to).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(f"source/{name}", to)

    def look_alike(self, number: int, name: str, earlier: bool) -> None:
        """Put a picture that looks like p<number>.png; by their ids, the new one stays or goes."""
        rgb = np.array(Image.open(f"source/p{number}.png"))
        was = media.clip_id(Path(f"source/p{number}.png").read_bytes())
        for shade in range(1, 20):
            paler = cv2.convertScaleAbs(rgb, alpha=0.9, beta=shade)
            Image.fromarray(paler).save("paler.png")
            near = (choose.hash_of(rgb) ^ choose.hash_of(paler)).bit_count() <= 4
            if near and (media.clip_id(Path("paler.png").read_bytes()) < was) == earlier:
                break
        shutil.move("paler.png", f"source/{name}")

    def film(self, name: str) -> None:
        """Put a film."""
        filming.film_file(Path("source", name), [filming.drawn(number) for number in range(FRAMES)])

    def correct(self, file: str, name: str, *decisions: dict[str, Any]) -> None:
        """What a person has decided about a picture."""
        picture = media.clip_id(Path("source", name).read_bytes())
        lines = [json.dumps({"version": 1, "picture": picture, "name": name} | one) for one in decisions]
        Path("corrections").mkdir(exist_ok=True)
        Path("corrections", file).write_text("\n".join(lines) + "\n")
        self.config["corrections"] = ["corrections"]
        self.say("run")


@dataclass(frozen=True, slots=True)
class Night:
    """What happens before a night, in words and in deeds, and what the night is to cost.

    `same` says that it leaves the pictures and labels of the night before.
    """

    words: str
    change: Callable[[Month], object]
    asked: Asked = NOTHING
    same: bool = False


WORDS = ("a bird", "a cat", "a dog", "a kitten")
COW = ("a bird", "a cat", "a cow", "a dog", "a kitten")
PIG = ("a bird", "a cat", "a cow", "a dog", "a pig")
BIRD, COW_BOX = [1.9, 4.6, 15.2, 11.1], [7.6, 4.4, 18.7, 10.0]
"""Where the fake detector finds these."""

NIGHTS = [
    Night("the first night", lambda m: m.put(1, 2, 3, 4, 5), Asked(5, WORDS, 5, 15)),  # 3 boxes each: no dog
    Night("nothing happens", lambda m: None, same=True),
    Night("two pictures in", lambda m: m.put(6, 7), Asked(2, WORDS, 2, 6)),
    Night("a picture out", lambda m: m.take("p3.png")),
    Night("a picture renamed", lambda m: m.take("p1.png", "source/moved/one.png")),
    Night("the one that was out comes back", lambda m: shutil.move("elsewhere", "source/again.png")),
    Night("a class in", lambda m: m.classes(cow=["a cow"]), Asked(7, ("a cow",), 7, 7)),
    Night("a picture in", lambda m: m.put(8), Asked(1, COW, 1, 4)),
    Night("the class out", lambda m: m.classes(cow=None)),
    Night("the class in again", lambda m: m.classes(cow=["a cow"])),
    Night("other words", lambda m: m.classes(cat=["a cat", "a pig"]), Asked(8, ("a pig",), 8, 8)),
    Night("a threshold raised", lambda m: m.say("select", threshold=0.9)),
    Night("and lowered", lambda m: m.say("select", threshold=0.6), Asked(0, (), 8, 8)),  # the dog
    Night(
        "another model", lambda m: m.say("detect", inner={"backend": "fake", "objects": 2}), Asked(8, PIG, 8, 16)
    ),  # another pig, and another bird
    Night("the model of before", lambda m: m.say("detect", inner={"backend": "fake"})),
    Night("a second look", lambda m: m.say("verify", backend="counting:Verifier"), Asked(verify=40)),
    Night("another segmenter", lambda m: m.say("segment", inner=GRABCUT), Asked(0, (), 8, 40)),
    Night("an option of it", lambda m: m.say("segment", inner=GRABCUT | {"iterations": 2}), Asked(0, (), 8, 40)),
    Night("the segmenter of before", lambda m: m.say("segment", inner={"backend": "fake"})),
    Night("near duplicates are left out", lambda m: m.say("choose", near=4), same=True),
    Night(
        "a near duplicate comes, and is left out", lambda m: m.look_alike(2, "like two.png", earlier=False), same=True
    ),
    Night("one that stays", lambda m: m.look_alike(4, "like four.png", earlier=True), Asked(1, PIG, 1, 5, 5)),
    Night("without it, the other is back", lambda m: m.take("like four.png", "gone.png")),
    Night("a film in", lambda m: m.film("film.mkv"), Asked(3, PIG, 3, 15, 15, FRAMES)),
    Night("a threshold, for the film too", lambda m: m.say("select", threshold=0.65), Asked(track=FRAMES)),  # no dog
    Night("the film renamed", lambda m: m.take("film.mkv", "source/films/a.mkv")),
    Night("run.db deleted", lambda m: Path("run/run.db").unlink(), Asked(11, PIG, 11, 44, 44, FRAMES), True),
    Night(
        "a person's corrections",
        lambda m: m.correct(
            "anna.jsonl",
            "p5.png",
            {"do": "reject", "class_was": "bird", "box_was": BIRD},
            {"do": "relabel", "class_was": "cow", "box_was": COW_BOX, "class": "dog"},
            {"do": "add", "class": "cow", "box": [20, 2, 30, 20]},
        ),
        Asked(0, (), 1, 1),  # what was added
    ),
    Night(
        "another's, about another picture",
        lambda m: m.correct("ben.jsonl", "p6.png", {"do": "reject", "class_was": "bird", "box_was": BIRD}),
    ),
    Night("the film out, and a split", lambda m: (m.take("films/a.mkv", "gone.mkv"), m.say("split", val=0.4))),
]

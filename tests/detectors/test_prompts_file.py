import json
from pathlib import Path

import pytest

from pipeline import masks
from pipeline.detectors import prompts_file
from pipeline.detectors.prompts_file import Given
from pipeline.errors import ConfigError

START = '{"picture": "a.jpg", "class": "dog"'
MASK = '{"size": [2, 3], "counts": "22"}'  # the first column is background, the second is not: 22 is 2 off, 2 on


def read(text):
    file = Path("p.jsonl")
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return prompts_file.read(file)


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ('"box": [1, 2, 3.5, 4]', Given("dog", (1, 2, 3.5, 4))),  # a box
        ('"box": [0, 0, 1, 1], "score": 0.5', Given("dog", (0, 0, 1, 1), score=0.5)),  # with a score
        ('"points": [[1, 2, 1], [3, 4, -1]]', Given("dog", None, ((1, 2, 1), (3, 4, -1)))),  # points alone
        ('"box": [0, 0, 9, 9], "points": [[3, 4, -1]]', Given("dog", (0, 0, 9, 9), ((3, 4, -1),))),  # box and not there
        (f'"mask": {MASK[:-1]}}}', Given("dog", (1, 0, 2, 2), (), b"222", (2, 3))),  # a mask brings its own box
    ],
)
def test_what_a_line_says(line, given):
    line = line.replace('"22"', '"222"')
    assert read(f"{START}, {line}}}\n") == {"a.jpg": [given]}


def test_lines_of_a_picture_stay_in_order():
    lines = [{"picture": picture, "class": name, "box": [0, 0, 1, 1]} for picture, name in ["ab", "cd", "ae"]]
    found = read("\n\n".join(json.dumps(line) for line in lines))
    assert {picture: [g.prompt for g in rows] for picture, rows in found.items()} == {"a": ["b", "e"], "c": ["d"]}


@pytest.mark.parametrize("text", ["", "\n \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
def test_an_empty_file_says_nothing(text):
    assert read(text) == {}


def test_windows_lines_and_a_byte_order_mark():
    assert list(read(b"\xef\xbb\xbf" + f'{START}, "box": [0, 0, 1, 1]}}\r\n'.encode())) == ["a.jpg"]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("hello", "p.jsonl:1: Invalid JSON"),
        ("[1, 2]", "p.jsonl:1: Input should be an object"),
        ("[" * 100_000, "p.jsonl:1: Invalid JSON: recursion limit"),
        (b'{"picture": "\xff"}', "p.jsonl:1: Invalid JSON: invalid unicode"),
        ('{"class": "dog", "box": [0, 0, 1, 1]}', "p.jsonl:1: picture: Field required"),
        ('{"picture": "", "class": "dog", "box": [0, 0, 1, 1]}', "picture: String should have at least 1"),
        (START + "}", "want a box, a mask, or a point on the object"),
        (START + ', "points": [[1, 1, -1]]}', "want a box, a mask, or a point on the object"),
        (START + ', "boxx": [0, 0, 1, 1]}', "boxx: Extra inputs are not permitted"),
        (START + ', "box": [0, 0, 1]}', "box.3: Field required"),
        (START + ', "box": ["0", 0, 1, 1]}', "box.0: Input should be a valid number"),
        (START + ', "box": [true, 0, 1, 1]}', "box.0: Input should be a valid number"),
        (START + ', "box": [NaN, 0, 1, 1]}', "box.0: Input should be (greater|less|a finite)"),
        (START + ', "box": [0, 0, Infinity, 1]}', "box.2: Input should be less than or equal to 65535"),
        (START + ', "box": [0, 0, 1e999, 1]}', "box.2: |Invalid JSON: number out of range"),
        (START + ', "box": [0, 0, 1e9, 1]}', "box.2: Input should be less than or equal to 65535"),
        (START + f', "box": [0, 0, {"9" * 5000}, 1]}}', "p.jsonl:1: "),
        (START + ', "box": [-1, 0, 1, 1]}', "box.0: Input should be greater than or equal to 0"),
        (START + ', "box": [2, 0, 1, 1]}', "box: want x0 < x1 and y0 < y1"),
        (START + ', "box": [1, 0, 1, 1]}', "box: want x0 < x1 and y0 < y1"),
        (START + ', "points": [[1, 1, 0]]}', "points.0.2: Input should be 1 or -1"),
        (START + ', "points": [[1, 1]]}', "points.0.2: Field required"),
        (START + ', "points": [[1, -3, 1]]}', "points.0.1: Input should be greater"),
        (START + ', "box": [0, 0, 1, 1], "score": 1.5}', "score: Input should be less than or equal to 1"),
        (START + ', "box": [0, 0, 1, 1], "score": NaN}', "score: Input should be"),
        (START + ', "mask": {"size": [2, 2], "counts": "222"}}', "mask: runs fill 6 pixels, the picture has 2 x 2"),
        (START + ', "mask": {"size": [2, 3], "counts": "6"}}', "mask: the mask is empty"),
        (START + ', "mask": {"size": [2, 3], "counts": "é"}}', "mask.counts: String should match"),
        (START + ', "mask": {"size": [2, 3], "counts": "2P"}}', "mask: not a run-length code"),
        (START + ', "mask": {"size": [0, 3], "counts": "6"}}', "mask.size.0: Input should be greater"),
        (START + ', "mask": {"size": [99999, 99999], "counts": "6"}}', "mask.size.0: Input should be less"),
    ],
)
def test_what_a_line_cannot_say(line, match):
    with pytest.raises(ConfigError, match=match) as caught:
        read(line)
    assert len(str(caught.value)) < 300


def test_every_bad_line_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        read(f'nonsense\n{START}, "box": [0, 0, 1, 1]}}\n\n{START}}}\n')
    assert [problem.split(" ")[0] for problem in caught.value.problems] == ["p.jsonl:1:", "p.jsonl:4:"]


def test_the_mask_of_the_table_is_what_it_says():
    assert masks.box(b"222", (2, 3)) == (1, 0, 2, 2)

"""Every reason that the code gives stands in the tables, and every row of the tables is given somewhere."""

import ast
from pathlib import Path

import pytest

from pipeline.reasons import NOTES, OBJECTS, PICTURES, in_words

PACKAGE = Path(__file__).parents[1] / "pipeline"
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}

GIVEN_IN = {  # who takes a reason: as which argument, and from which tables
    "BadMedia": (0, PICTURES),
    "Failure": (3, PICTURES),
    "Aside": (2, PICTURES),
    "Drop": (1, OBJECTS),
}


def given_reasons(code):
    """Where a text is written out as the reason of a drop: who takes it, which, and the line."""
    for node in ast.walk(ast.parse(code)):
        name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        if name in GIVEN_IN:
            place, _ = GIVEN_IN[name]
            arguments = [*node.args[place : place + 1], *(k.value for k in node.keywords if k.arg == "reason")]
            yield from ((name, text, node.lineno) for argument in arguments for text in outcomes(argument))


def outcomes(argument):
    """The texts that an argument can be: itself, or either branch of a condition."""
    if isinstance(argument, ast.IfExp):
        return [*outcomes(argument.body), *outcomes(argument.orelse)]
    return [argument.value] if isinstance(argument, ast.Constant) else []


def texts(tree):
    """Everything that is written out in a tree."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def unknown(code):
    return [
        f"line {line}: {name} {text!r}" for name, text, line in given_reasons(code) if text not in GIVEN_IN[name][1]
    ]


@pytest.mark.parametrize("file", SOURCES)
def test_every_reason_given_is_in_the_tables(file):
    assert unknown(SOURCES[file]) == []


def test_every_row_of_the_tables_is_given():
    written = {text for file, code in SOURCES.items() if file != "reasons.py" for text in texts(ast.parse(code))}
    unused = {*PICTURES, *OBJECTS, *NOTES} - written
    assert not unused


@pytest.mark.parametrize(
    "code",
    [
        "BadMedia('emty_file')",  # a typing error
        "errors.BadMedia(reason='emty_file')",
        "BadMedia('film' if moves else 'moves')",  # either branch counts
        "Drop(1, 'empty_file')",  # a picture's reason for an object
        "records.Drop(1, survivor=2, reason='twin')",
        "Aside(name, 'choose', 'twin', '')",
    ],
)
def test_the_check_can_fail(code):
    assert unknown(code)


@pytest.mark.parametrize(
    "code", ["BadMedia('film', 'a.mp4')", "Drop(1, reason, 2)", "BadMedia('film' if kind == 'mp4' else 'changed')"]
)
def test_the_check_lets_pass_what_is_right(code):
    assert unknown(code) == []


@pytest.mark.parametrize("table", [PICTURES, OBJECTS, NOTES])
def test_every_reason_is_a_word_and_has_a_sentence(table):
    for reason, sentence in table.items():
        assert reason.isidentifier()
        assert sentence == sentence.strip(". \n")
    assert in_words("film") == PICTURES["film"]


def test_no_reason_stands_in_two_tables():
    assert not set(PICTURES) & set(OBJECTS) | set(NOTES) & {*PICTURES, *OBJECTS}

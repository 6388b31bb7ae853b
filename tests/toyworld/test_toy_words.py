from pipeline.toyworld.shapes import COLORS, EVERY, SHAPES
from pipeline.toyworld.words import ABSENT_COLORS, ABSENT_SHAPES, COLOR_WORDS, SHAPE_WORDS, absent, name, phrases


def test_everything_has_its_own_name_first_and_other_words_besides():
    assert {shape: words[0] for shape, words in SHAPE_WORDS.items()} == {shape: shape for shape in SHAPES}
    assert {color: words[0] for color, words in COLOR_WORDS.items()} == {color: color for color in COLORS}
    assert all(phrases(kind)[0] == name(kind) and len(phrases(kind)) == 4 for kind in EVERY)


def test_no_words_mean_two_things():
    said = [phrase for kind in EVERY for phrase in phrases(kind)]
    assert len(said) == len(set(said))


def test_what_is_absent_is_no_word_of_the_world():
    words = {word for words in (*SHAPE_WORDS.values(), *COLOR_WORDS.values()) for word in words}
    assert words.isdisjoint({*ABSENT_SHAPES, *ABSENT_COLORS})
    assert set(absent()).isdisjoint(phrase for kind in EVERY for phrase in phrases(kind))
    assert {"star", "red star", "pink circle"} <= set(absent())

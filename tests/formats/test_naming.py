import pytest
from drawing import clip

from pipeline.errors import BadRecord
from pipeline.formats.naming import checked, named

NAMES = [  # clips as name and whether written anew, the names in the dataset
    ([("a.jpg", 0), ("b/a.jpg", 0)], ["a.jpg", "b/a.jpg"]),  # nothing to do
    ([("a.gif", 1), ("b.jpg", 0)], ["a.gif.png", "b.jpg"]),
    ([("a.gif", 1), ("a.gif.png", 0)], ["a.gif.png", "2/a.gif.png"]),  # the later one gives way
    ([("a.gif", 1), ("a.gif.png", 0), ("2/a.gif.png", 0)], ["a.gif.png", "2/a.gif.png", "2/2/a.gif.png"]),
    ([("a.gif", 1), ("a.gif.png/b.jpg", 0)], ["a.gif.png", "2/a.gif.png/b.jpg"]),  # a folder where a file is
    ([("a.gif.png/b.jpg", 0), ("a.gif", 1)], ["a.gif.png/b.jpg", "2/a.gif.png"]),  # a file where a folder is
    ([("2", 0), ("a.gif", 1), ("a.gif.png", 0)], ["2", "a.gif.png", "3/a.gif.png"]),  # 2 is taken
]


@pytest.mark.parametrize(("clips", "names"), NAMES)
def test_no_two_pictures_share_a_name(clips, names):
    clips = [clip(name=name, rewrite="animation" if anew else None) for name, anew in clips]
    assert list(named(clips)) == list(zip(names, clips, strict=True))


def test_clips_are_taken_one_by_one():
    def endless():
        yield clip(name="a.jpg")
        raise AssertionError("looked ahead")

    assert next(named(endless()))[0] == "a.jpg"


@pytest.mark.parametrize(
    "name", ["", ".", "../a", "a/../b", "/a", "a\\b", "C:/a", "s3://a", "a\0", "\udcff", "a" * 256]
)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(BadRecord, match="file name"):
        checked(name)


@pytest.mark.parametrize(
    "name", ["a b", "..a", "a..b", "é/犬.jpg", "a\nb", "-x", "%s", "<b>", "a" * 255, "a/" * 500 + "b"]
)
def test_an_odd_name_is_a_name(name):
    assert checked(name) == name

"""The page in a browser: every filter and every key, corrections that come back, and hostile names that do nothing."""

import json
import re

import pytest
from pages import HOSTILE, Graded, Watched, browser, browser_there, made_page, made_run

from pipeline import engine, toyworld
from pipeline.config import load
from pipeline.corrections import Corrections
from pipeline.report.page import html

Error = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright").Error
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not browser_there(), reason="needs Chromium: apt install chromium"),
]
CLASSES = ("cat", "dog", "fox")  # the fake detector's scores: 0.80, 0.69, 0.54


@pytest.fixture(scope="module")
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture
def watch(chromium):
    """Opens a page; in the end nothing must have gone wrong in any."""
    opened = []
    context = chromium.new_context(viewport={"width": 1360, "height": 900}, accept_downloads=True)

    def open_(file):
        opened.append(Watched(context.new_page(), file))
        return opened[-1]

    yield open_
    assert [page.found() for page in opened if not page.tab.is_closed()] == [[] for _ in opened]
    context.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Four pictures, each with a cat, a dog, and a fox that went."""
    run = made_run(tmp_path_factory.mktemp("small"), CLASSES, [f"{n}.png" for n in range(4)])
    made_page(run)
    return run


@pytest.fixture(scope="module")
def film_run(tmp_path_factory):
    """A film in which a cat and a dog are followed."""
    place = tmp_path_factory.mktemp("film")
    toyworld.write_films(place / "toys", 1, 1, 24)
    (place / "photos").symlink_to(place / "toys/films")
    run = made_run(place, ("cat", "dog"), (), track={"backend": "iou"})
    made_page(run)
    return run


def downloaded(page):
    """The lines of the file that the page gives."""
    with page.tab.expect_download() as waiting:
        page.press("d")
    page.tab.click("#help-close")
    text = waiting.value.path().read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def done(lines):
    return [(line["do"], line.get("class_was", line.get("class"))) for line in lines]


# Names


def open_all(page):
    """Look at every gallery, open every picture, choose every object, read every list."""
    for name in page.tab.eval_on_selector_all("#tabs button", "all => all.map(tab => tab.dataset.name)"):
        page.go(name)
        if name in ("figures", "films"):
            continue
        page.press("Enter")
        for _ in range(len(page.cards())):
            page.press("o", "m", "m", "j")
        page.press("Escape", "a", "k", "1", "u")
    page.press("?", "Escape")


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    names = [f"{name.replace('../', '').lstrip('/')}.png" for name in HOSTILE]
    return made_run(tmp_path_factory.mktemp("hostile"), HOSTILE, names)


def test_hostile_names_do_nothing(hostile_run, watch):
    file, _ = made_page(hostile_run, most=60)
    page = watch(file)
    open_all(page)
    assert page.found() == []
    shown = page.tab.locator("#f-class option").all_text_contents()
    assert shown == ["all", *(html.seen(name) for name in HOSTILE)]
    page.go("classes")
    assert any("script" in words for words in page.cards())


@pytest.mark.parametrize("fault", ["markup", "no escape in data", "no policy"])
def test_the_watch_sees_what_names_do(hostile_run, chromium, monkeypatch, fault):
    """With a fault planted in the page, the same names do something, and it is seen."""
    if fault == "no escape in data":
        monkeypatch.setattr(html, "as_json", json.dumps)
    else:
        monkeypatch.setattr(html._environment(), "autoescape", False)
        html._environment().cache.clear()
    if fault == "no policy":
        monkeypatch.setattr(html, "POLICY", "default-src * 'unsafe-inline' data: file:")
    file, _ = made_page(hostile_run, most=10)
    html._environment().cache.clear()
    tab = chromium.new_page()
    try:
        found = Watched(tab, file).found()
    except Error as error:  # a name took the browser elsewhere
        found = [f"error: {error}"]
    tab.close()
    assert any(
        re.search("scripts ran" if fault == "no policy" else "error|console|scripts, not 2|elements", one)
        for one in found
    )


# Filters and sorting


def names_shown(page):
    """Class of each card, in order."""
    return [words.splitlines()[0] for words in page.cards()]


@pytest.mark.parametrize(
    ("gallery", "filters", "left"),
    [
        ("check", {}, {"cat": 4, "dog": 4}),
        ("check", {"#f-class": "cat"}, {"cat": 4}),
        ("check", {"#f-class": "fox"}, {}),  # it went
        ("dropped", {"#f-class": "fox"}, {"fox": 4}),
        ("check", {"#f-score-from": "0.75"}, {"cat": 4}),
        ("check", {"#f-score-to": "0.75"}, {"dog": 4}),
        ("check", {"#f-score-from": "0.75", "#f-class": "dog"}, {}),
        ("check", {"#f-quality-from": "0.5"}, {"cat": 4}),
        ("check", {"#f-quality-to": "0.5"}, {"dog": 4}),
        ("dropped", {"#f-quality-to": "0.5"}, {}),  # no mask was made
        ("check", {"#f-text": "2.png"}, {"cat": 1, "dog": 1}),
        ("check", {"#f-text": "DOG"}, {"dog": 4}),
        ("dropped", {"#f-text": "below the class's"}, {"fox": 4}),
        ("check", {"#f-kind": "picture"}, {"cat": 4, "dog": 4}),
        ("check", {"#f-kind": "film"}, {}),
        ("check", {"#f-kind": "open"}, {"cat": 4, "dog": 4}),
        ("check", {"#f-kind": "done"}, {}),
        ("worst", {"#f-kind": "low score"}, {"cat": 4, "dog": 4}),
        ("check", {"#f-kind": "low score"}, {}),  # cards of this gallery say no reason
    ],
)
def test_a_filter(run, watch, gallery, filters, left):
    page = watch(run / "report.html")
    page.go(gallery)
    for name, value in filters.items():
        (page.tab.select_option if name in ("#f-class", "#f-kind") else page.tab.fill)(name, value)
    shown = names_shown(page)
    assert {name: shown.count(name) for name in shown} == left
    assert page.tab.locator("#gallery .empty").count() == (not left)
    page.tab.click("#f-clear")
    page.until("document.querySelectorAll('#gallery .card').length >= 4")


@pytest.mark.parametrize(
    ("by", "first", "last"),
    [
        ("score", "dog", "cat"),
        ("class", "cat", "dog"),
        ("doubt", "dog", "cat"),
        ("quality", "dog", "cat"),
        ("agreement", None, None),
        ("small", None, None),
        ("large", None, None),
        ("name", None, None),
    ],
)
def test_a_sort_key(run, watch, by, first, last):
    page = watch(run / "report.html")
    page.tab.select_option("#f-sort", by)
    shown = names_shown(page)
    assert len(shown) == 8
    if first:
        assert (shown[0], shown[-1]) == (first, last)
    if by == "name":
        files = [re.search(r"\d\.png", words)[0] for words in page.cards()]
        assert files == sorted(files)


def test_small_and_large_are_opposite(run, watch):
    page = watch(run / "report.html")
    page.tab.select_option("#f-sort", "small")
    small = names_shown(page)
    page.tab.select_option("#f-sort", "large")
    assert names_shown(page)[0] != small[0]


def test_decided_is_a_filter(run, watch):
    page = watch(run / "report.html")
    page.press("a")
    page.tab.select_option("#f-kind", "done")
    assert len(page.cards()) == 1
    page.tab.select_option("#f-kind", "open")
    assert len(page.cards()) == 7


# Keys


def test_every_key(run, watch):
    page = watch(run / "report.html")
    on = "[...document.querySelectorAll('#gallery .card')].findIndex(card => card.classList.contains('on'))"
    steps = []
    for key in ("j", "ArrowDown", "ArrowRight", "k", "ArrowUp", "ArrowLeft"):
        page.press(key)
        steps.append(page.tab.evaluate(on))
    assert steps == [1, 2, 3, 2, 1, 0]
    page.press("a")  # accepts and goes on
    assert page.tab.evaluate(on) == 1
    page.press("r")
    page.press("1")  # the third card: a cat or a dog becomes a cat
    page.press("j", "2")
    marks = page.tab.locator("#gallery .card .mark").all_inner_texts()
    assert marks[:2] == ["accepted", "rejected"]
    assert sum("\u2192" in mark for mark in marks) in (1, 2)
    for _ in range(4):
        page.press("u")
    assert not any(page.tab.locator("#gallery .card .mark").all_inner_texts())
    page.press("u")
    assert page.tab.inner_text("#live") == "Nothing to undo"
    names = ["check", "worst", "random", "classes", "dropped", "figures"]
    selected = "document.querySelector('#tabs [aria-selected=true]').dataset.name"
    seen = []
    for _ in names:
        seen.append(page.tab.evaluate(selected))
        page.press("t")
    assert seen == names
    page.press("T")
    assert page.tab.evaluate(selected) == "figures"
    page.press("t", "/")
    page.tab.keyboard.type("jar")  # letters in a field are letters
    assert page.tab.input_value("#f-text") == "jar"
    assert page.cards() == []
    page.press("Escape")
    page.tab.click("#f-clear")
    page.press("?")
    assert page.tab.locator("#help").is_visible()
    page.press("Escape")
    assert not page.tab.locator("#help").is_visible()
    page.press("Enter")
    assert page.tab.locator("#viewer").is_visible(), page.tab.inner_text("#live")
    src = page.tab.get_attribute("#picture", "src")
    page.press("m")
    assert page.tab.get_attribute("#picture", "src") == src.replace(".jpg", "p.jpg")
    page.press("m", "o")
    page.press("Escape")
    assert not page.tab.locator("#viewer").is_visible()


def test_a_picture_is_accepted_as_a_whole(run, watch):
    page = watch(run / "report.html")
    page.go("random")
    page.press("a")
    assert sorted(done(downloaded(page))) == [("accept", "cat"), ("accept", "dog")]
    page.press("u")
    page.press("r")
    assert "choose an object" in page.tab.inner_text("#live")


# Corrections


def click(page, x, y, **how):
    """Click at a share of the picture's sides."""
    box = page.tab.locator("#stage").bounding_box()
    page.tab.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"], **how)


def test_points(run, watch):
    page = watch(run / "report.html")
    page.press("Enter")
    click(page, 0.5, 0.5)
    click(page, 0.25, 0.75, button="right")
    page.tab.keyboard.down("Shift")
    click(page, 0.75, 0.25)
    page.tab.keyboard.up("Shift")
    page.press("Escape")
    (line,) = downloaded(page)
    assert (line["do"], [sign for _, _, sign in line["points"]]) == ("points", [1, -1, -1])
    data = json.loads(page.tab.inner_text("#data"))
    card = data["cards"][0]
    x0, y0, x1, y1 = data["views"][card["view"]]["window"]
    for (x, y, _), (at_x, at_y) in zip(line["points"], [(0.5, 0.5), (0.25, 0.75), (0.75, 0.25)], strict=True):
        assert x == pytest.approx(x0 + at_x * (x1 - x0), abs=0.1)
        assert y == pytest.approx(y0 + at_y * (y1 - y0), abs=0.1)


def test_a_click_chooses_the_mask_under_it(run, watch):
    page = watch(run / "report.html")
    page.go("random")
    page.press("Enter")
    assert "No object is chosen" in page.tab.inner_text("#v-about")
    data = json.loads(page.tab.inner_text("#data"))
    view = data["views"][next(card for card in data["cards"] if card["gallery"] == "random")["view"]]
    x0, y0, x1, y1 = view["window"]
    for number in view["objects"]:
        box = data["objects"][number]["box"]
        click(page, ((box[0] + box[2]) / 2 - x0) / (x1 - x0), ((box[1] + box[3]) / 2 - y0) / (y1 - y0))
        chosen = page.tab.locator("#v-objects .on").inner_text()
        assert chosen.startswith((data["objects"][number]["class"], "cat", "dog"))
        break
    page.press("1")
    page.press("r")
    assert "rejected" in page.tab.inner_text("#v-objects")


def test_decisions_stay_until_they_are_taken_back(run, watch):
    page = watch(run / "report.html")
    page.press("a", "r")
    page.tab.reload()
    assert page.tab.locator("#gallery .card .mark").all_inner_texts()[:2] == ["accepted", "rejected"]
    page.press("u", "u")
    page.tab.reload()
    assert page.tab.inner_text("#count") == ""
    page.press("d")
    assert page.tab.inner_text("#live") == "No corrections yet"


def test_decisions_outlive_a_page_that_shows_less(tmp_path, watch):
    run = made_run(tmp_path, CLASSES, ["a.png", "b.png"])
    page = watch(made_page(run)[0])
    page.go("random")
    page.press("a", "j", "a")
    before = downloaded(page)
    assert len(before) == 4
    made_page(run, most=10)
    page.tab.reload()
    assert downloaded(page) == before


def test_what_was_decided_later_is_read_later(tmp_path, watch):
    """Whatever the runs are called, and though the browser numbers a second download."""
    names = []
    for number, run in enumerate(("zeta", "alpha")):
        page = watch(made_page(made_run(tmp_path / run, CLASSES, ["a.png"]).rename(tmp_path / run / run))[0])
        page.tab.clock.set_fixed_time(f"2026-11-2{number}T10:00:00Z")
        page.press("a")
        with page.tab.expect_download() as waiting:
            page.press("d")
        names.append(waiting.value.suggested_filename)
    assert names == ["corrections-20261120100000-zeta.jsonl", "corrections-20261121100000-alpha.jsonl"]
    for name in (*names, names[0].replace(".jsonl", " (1).jsonl")):
        (tmp_path / name).write_text('{"version": 1, "picture": "p", "do": "accept", "uid": "u"}\n')
    lines = Corrections([str(tmp_path)]).lines
    assert [line.where.rpartition("/")[2].removesuffix(" line 1") for line in lines] == [
        "corrections-20261120100000-zeta.jsonl",
        "corrections-20261120100000-zeta (1).jsonl",
        "corrections-20261121100000-alpha.jsonl",
    ]


def test_corrections_reach_the_next_dataset(tmp_path, watch):
    """Accepted, rejected, relabelled, mended and added in the page: read without complaint, and so in the dataset."""
    run = made_run(tmp_path, CLASSES, ["a.png", "b.png", "c.png"])
    made_page(run)
    before = json.loads((run / "dataset/coco/annotations/instances_default.json").read_text())
    assert len(before["annotations"]) == 6
    page = watch(run / "report.html")
    page.tab.select_option("#f-sort", "name")
    page.press("?")
    page.tab.fill("#by", "anna")
    page.tab.click("#help-close")
    page.press("r")  # a.png, the first of its two
    page.press("3", "j")  # the second becomes a fox
    page.press("Enter")
    click(page, 0.95, 0.95)  # the first of b.png is larger
    page.press("Escape", "j", "a")  # the second is right
    page.go("dropped")
    page.press("a")  # a fox that went is there after all
    lines = downloaded(page)
    assert [line["do"] for line in lines] == ["reject", "relabel", "points", "accept", "add"]
    assert {line["by"] for line in lines} == {"anna"}
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", line["at"]) for line in lines)
    (tmp_path / "corrections").mkdir()
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "corrections/page.jsonl").write_text(text)
    read = Corrections([str(tmp_path / "corrections")]).lines
    assert [line.do for line in read] == [line["do"] for line in lines]
    config = load(run / "config.yaml", [f"corrections={json.dumps(str(tmp_path / 'corrections'))}"])
    engine.run(config, run)
    after = json.loads((run / "dataset/coco/annotations/instances_default.json").read_text())
    kinds = {one["id"]: one["name"] for one in after["categories"]}
    pictures = {one["id"]: one["file_name"] for one in after["images"]}
    found = sorted((pictures[one["image_id"]], kinds[one["category_id"]]) for one in after["annotations"])
    expected = [("a.png", "fox"), *((name, kind) for name in ("b.png", "c.png") for kind in ("cat", "dog"))]
    assert found == sorted([*expected, (lines[-1]["name"], "fox")])
    (mended,) = (one for one in lines if one["do"] == "points")
    areas = [
        next(
            one["area"]
            for one in dataset["annotations"]
            if (pictures[one["image_id"]], kinds[one["category_id"]]) == (mended["name"], mended["class_was"])
        )
        for dataset in (before, after)
    ]
    assert areas[1] > 1.2 * areas[0]


# Films


def test_a_film_plays_and_its_lines_go_there(film_run, watch):
    page = watch(film_run / "report.html")
    page.go("films")
    tracks = page.tab.locator(".track")
    assert tracks.count() == 2
    page.until("document.querySelector('video').readyState >= 1")
    seconds = page.tab.evaluate("document.querySelector('video').duration")
    assert 0.9 < seconds < 1.1  # 24 frames
    line = page.tab.locator(".track svg").first.bounding_box()
    page.tab.mouse.click(line["x"] + line["width"] * 0.75, line["y"] + 5)
    page.until("Math.abs(document.querySelector('video').currentTime - 0.75) < 0.05")
    page.until("Math.abs(document.querySelector('.track .now').getAttribute('x') - 0.75) < 0.05")
    page.tab.evaluate("document.querySelector('video').play()")
    page.until("!document.querySelector('video').paused")


def test_tracks_are_decided(film_run, watch):
    page = watch(film_run / "report.html")
    page.go("films")
    page.press("r", "1")
    lines = downloaded(page)
    assert done(lines) == [("reject", "cat"), ("relabel", "dog")]
    assert all(line["track"] in (1, 2) and line["frame"] >= 0 for line in lines)
    Corrections([]).check(("cat", "dog"), "fake", True)
    page.go("check")
    page.press("Enter")
    click(page, 0.5, 0.5)
    assert "points are not followed" in page.tab.inner_text("#live")


def test_a_segmenter_that_takes_no_points(tmp_path, watch, monkeypatch):
    run = made_run(tmp_path)
    monkeypatch.setattr(Graded, "mends", False)
    page = watch(made_page(run)[0])
    page.press("Enter")
    click(page, 0.5, 0.5)
    assert "cannot be asked with points" in page.tab.inner_text("#live")


def test_the_page_in_the_dark_and_on_a_telephone(run, chromium):
    for scheme, width in (("dark", 1360), ("light", 390)):
        context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
        page = Watched(context.new_page(), run / "report.html")
        for name in ("check", "figures"):
            page.go(name)
            assert page.tab.evaluate("document.documentElement.scrollWidth") <= width
        dark = page.tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(20, 23, 26)") is (scheme == "dark")
        assert page.found() == []
        context.close()

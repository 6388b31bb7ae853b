"""The page without a browser: what it shows, how much of it, and that nobody's name is more than text in it."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from drawing import clip, drawn, instances, square
from pages import HOSTILE, made_page, made_run, picture

from pipeline import masks, toyworld
from pipeline.cli import main
from pipeline.records import CONSTANT
from pipeline.report.page import doubts, html, picks, views
from pipeline.report.page.figures import Figures

# Names


class Inside(HTMLParser):
    """What a browser would make of a page: tags, attributes, the text of scripts and styles, and all other text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.raw, self.text = [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_data(self, data):
        if self.lasttag in ("script", "style") and self.cdata_elem:
            self.raw[self.lasttag, self.tags.count(self.lasttag)] = data
        else:
            self.text.append(data)


def strange(text):
    """What is in a page that its template has not put there, or that its policy does not cover."""
    inside = Inside(text)
    said = [f"{attribute} in {tag}" for tag, attribute, _ in inside.attributes if attribute.startswith("on")]
    said += [f"{tag} {value}" for tag, name, value in inside.attributes if name in ("src", "srcdoc", "data")]
    said += [f"link to {value}" for _, name, value in inside.attributes if name == "href" and value != "data:,"]
    said += [tag for tag in inside.tags if tag in ("iframe", "object", "base", "embed", "math", "textarea", "a")]
    policy = next(value for tag, name, value in inside.attributes if tag == "meta" and "default-src" in (value or ""))
    for kind, number in (("script", 2), ("style", 1)):
        if inside.tags.count(kind) != number:
            said.append(f"{inside.tags.count(kind)} times {kind}")
        elif html.hash_of(inside.raw[kind, number]) not in policy:
            said.append(f"the policy does not allow our own {kind}")
    return said


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The page of a run in which every class and every file has a hostile name."""
    names = [f"{name.replace('../', '').lstrip('/')}.png" for name in HOSTILE]
    file, _ = made_page(made_run(tmp_path_factory.mktemp("hostile"), HOSTILE, names), most=20)
    return file.read_text(encoding="utf-8")


def test_there_are_fifty_hostile_names():
    assert len(set(HOSTILE)) == 50


def test_hostile_names_are_text(hostile):
    assert strange(hostile) == []
    shown = "".join(Inside(hostile).text)
    found = [name for name in HOSTILE if html.seen(name) in shown]
    assert found == HOSTILE  # every class has its line in the figures


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (("_environment().autoescape", False), "times script"),  # names are markup
        (("as_json", lambda data: json.dumps(data, default=str)), "times script"),  # a tag ends in the data
        (("hash_of", lambda text: "sha256-"), ""),
    ],
)
def test_the_check_of_names_can_fail(tmp_path, monkeypatch, fault, told):
    run = made_run(tmp_path, HOSTILE[:3])
    where, what = fault
    if where.endswith("autoescape"):
        monkeypatch.setattr(html._environment(), "autoescape", what)
        html._environment().cache.clear()
    else:
        monkeypatch.setattr(html, where, what)
    text = made_page(run, most=10)[0].read_text(encoding="utf-8")
    monkeypatch.undo()
    html._environment().cache.clear()
    assert any(told in line for line in strange(text))


@pytest.mark.parametrize("name", HOSTILE)
def test_data_is_the_same_again_and_ends_no_tag(name):
    text = html.as_json({name: [name]})
    assert json.loads(text) == {name: [name]}
    assert not re.search("[<>&\u2028\u2029]", text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caf\u00e9 \u732b", "caf\u00e9 \u732b"),
        ("a\nb\x1b[31m", "a\\u000ab\\u001b[31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),  # turns the text around
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),  # Persian needs its joiners
    ],
)
def test_what_is_not_seen_is_written_out(text, shown):
    assert html.seen(text) == shown


def test_policy_allows_no_address(hostile):
    policy = re.search('Content-Security-Policy" content="([^"]*)', hostile)[1]
    assert policy.startswith("default-src &#39;none&#39;")
    assert not re.search("https?:|unsafe|\\*", policy)


# Doubts


@pytest.mark.parametrize(
    ("columns", "measure", "doubt"),
    [
        ({"scores": [0.75]}, "score", 0.25),
        ({"scores": [0.65]}, "threshold", 0.5),  # half-way from 0.3 to 1
        ({"scores": [1.0], "score_kind": [CONSTANT]}, "score", np.nan),  # no score at all
        ({"scores": [0.9], "extra": [{"probability": 0.5}]}, "score", 0.5),  # what the score is worth
        ({"quality": [[0.9, 0.5, 0.8]]}, "quality", 0.5),  # the lower of two
        ({"quality": [[0.9, np.nan, 0.8]]}, "quality", 0.1),
        ({"quality": [[0.9, 0.9, 0.25]]}, "agreement", 0.75),
        ({"extra": [{"verified": 0.4}]}, "verified", 0.6),
        ({"presence": [0.4]}, "presence", 0.6),
        ({}, "presence", np.nan),
    ],
)
def test_doubts(columns, measure, doubt):
    found = doubts.of(instances(**columns), {"dog": 0.3})
    np.testing.assert_allclose(found[measure], [doubt], atol=1e-6)


def test_together_is_the_mean_of_what_is_known():
    assert doubts.together({"a": np.array([0.2, np.nan]), "b": np.array([0.6, np.nan])}, 2).tolist() == [0.4, 0.0]
    assert doubts.together(doubts.of(instances(()), {}), 0).shape == (0,)


# What is picked


def test_the_best_are_the_same_in_any_order():
    things = [(0.5, "a"), (0.9, "b"), (0.5, "c"), (0.1, "d"), (0.5, "e")]
    for order in (things, things[::-1], things[2:] + things[:2]):
        best = picks.Best(3)
        for value, what in order:
            best.add(value, what)
        assert best.ranked() == ["b", "e", "c"]


def test_luck_is_the_same_every_time_and_spread():
    values = [picks.luck(1, number) for number in range(1000)]
    assert values == [picks.luck(1, number) for number in range(1000)]
    assert 0.45 < np.mean(values) < 0.55
    assert picks.luck(2, 0) != values[0]


def test_first_to_check_is_the_most_doubtful_then_what_is_unlike_it():
    here = [((0.0,), "a"), ((0.1,), "b"), ((5.0,), "c"), ((0.2,), "a")]
    ranked = [(picks.Spot(name, 0, row), features) for row, (features, name) in enumerate(here)]
    assert [spot.row for spot in picks.unlike(ranked, 3)] == [0, 2, 1]
    assert [spot.row for spot in picks.unlike(ranked, 9)] == [0, 2, 1, 3]  # the same picture comes last


def found_in(*found, **about):
    return picks.objects_of(clip(*found), {"dog": 0.3}, about.get("outlines", {}), about.get("flips", {}))


def test_worst_first_takes_every_measure_in_turn():
    chosen = picks.Picks(100, 1)
    sure = {"quality": [[0.99, 0.99, 0.99]]}
    rows = {
        "low.jpg": instances(scores=[0.31], **sure),
        "loose.jpg": instances(scores=[0.99], quality=[[0.99, 0.99, 0.1]]),
        "blurred.jpg": instances(scores=[0.99], quality=[[0.2, 0.99, 0.99]]),
        "good.jpg": instances(scores=[0.99], **sure),
    }
    for name, found in rows.items():
        one = clip(found, name=name)
        chosen.add(one, picks.objects_of(one, {"dog": 0.3}, {}, {}))
    worst = dict(chosen.worst_first())
    names = [spot.name for spot in worst]
    assert sorted(names[:3]) == ["blurred.jpg", "loose.jpg", "low.jpg"]
    assert names[3] == "good.jpg"
    assert {"score", "threshold"} <= set(worst[picks.Spot("low.jpg", 0, 0)])


def test_what_an_outline_lost_is_a_doubt():
    one = clip(instances())
    seen = picks.objects_of(one, {}, {f"{one.id}/dog/0": 0.3}, {})
    assert seen[0].doubts["outline"] == (0.3, picks.Spot("a.jpg", 0, 0))


def test_all_classes_are_to_be_checked_though_one_is_worse():
    chosen = picks.Picks(16, 1)  # room for 4
    found = instances([(i, 0, i + 5, 5) for i in range(9)], names=["dog"] * 8 + ["cat"], scores=[0.31] * 8 + [0.99])
    chosen.add(clip(found), found_in(found))
    assert {found.names[spot.row] for spot in chosen.to_check()} == {"dog", "cat"}


# Figures


def test_figures_count_every_row():
    figures = Figures()
    figures.add(clip(instances([(0, 0, 30, 20), (0, 0, 3, 2)], names=("dog", "cat"), scores=[0.99, 0.31])))
    figures.add(clip(instances(()), name="b.jpg"))
    assert (figures.pictures, figures.objects, figures.empty) == (2, 2, 1)
    assert figures.classes == {"dog": 1, "cat": 1}
    assert figures.mean_score("cat") == pytest.approx(0.31)
    said = {one["title"]: one["bars"] for one in figures.histograms()}
    assert said["Scores"][0] == ("0.30 to 0.35", 1)
    assert said["Scores"][-1] == ("0.95 to 1.00", 1)
    assert said["Mask sizes"] == [("1% to 3%", 1), ("3% to 10%", 0), ("10% to 30%", 0), ("from 30%", 1)]
    assert said["Objects a picture"] == [("0", 1), ("1", 0), ("2", 1)]


def test_a_constant_is_no_score():
    figures = Figures()
    figures.add(clip(instances(scores=[1.0], score_kind=[CONSTANT])))
    assert (figures.unscored, figures.mean_score("dog"), sum(figures.scores)) == (1, None, 0)


# Views


@pytest.mark.parametrize(
    ("box", "window"),
    [
        ((450, 450, 550, 550), (350, 350, 650, 650)),  # three times as wide
        ((495, 495, 505, 505), (375, 375, 625, 625)),  # a quarter of the picture at least
        ((0, 0, 100, 100), (0, 0, 300, 300)),  # in the corner
        ((900, 940, 1000, 1000), (700, 750, 1000, 1000)),
        ((100, 100, 900, 900), (0, 0, 1000, 1000)),  # all of it
    ],
)
def test_a_small_object_is_seen_near(box, window):
    assert views.around(instances([box], size_hw=(1000, 1000)), 0) == window


def test_a_part_has_what_lies_in_it():
    found = instances([(1, 1, 5, 5), (10, 10, 14, 14)], masks=[square(1, 1, 5, 5), square(10, 10, 14, 14)])
    inside, rows = views.part(found, (8, 8, 16, 16), (16, 16))
    assert rows == [1]
    assert inside.boxes_xyxy.tolist() == [[4, 4, 12, 12]]  # shown twice as large
    assert masks.box(inside.masks[0], (16, 16)) == (4, 4, 12, 12)
    assert inside.track_ids.tolist() == [2]  # its number in the whole picture


@pytest.mark.parametrize(
    ("window", "left"),
    [
        ((0, 0, 4, 3), ("#...", "##..", "...#")),
        ((1, 0, 3, 2), ("..", "#.")),
        ((2, 0, 3, 2), (".", ".")),
    ],
)
def test_a_mask_is_cut(window, left):
    code = masks.encode(drawn("#...", "##..", "...#"))
    h, w = window[3] - window[1], window[2] - window[0]
    assert masks.decode(views.cut(code, (3, 4), window), (h, w)).tolist() == drawn(*left).tolist()


# Whole pages


def data_of(file):
    inside = Inside(file.read_text(encoding="utf-8"))
    return json.loads(inside.raw["script", 1])


def cards_of(data, gallery):
    return [card for card in data["cards"] if card["gallery"] == gallery]


def test_the_page_of_a_run(tmp_path):
    run = made_run(tmp_path, ("cat", "dog", "fox"), [f"{number}.png" for number in range(6)])
    said = CliRunner().invoke(main, ["report", str(run), "--json"])
    assert said.exit_code == 0, said.output
    data = data_of(run / "report.html")
    assert json.loads(said.stdout)["pictures"] == len(data["views"]) == len(list((run / "report").glob("*p.jpg")))
    assert data["classes"] == ["cat", "dog", "fox"]
    for card in data["cards"]:
        assert (run / data["views"][card["view"]]["file"]).is_file()
    lost = cards_of(data, "dropped")[0]["lost"]
    assert (lost["class"], lost["reason"]) == ("fox", "below_threshold")  # the fake detector gives it 0.54
    assert f"masklet run {run / 'config.yaml'} --out {run}" in data["command"]


def test_the_same_run_gives_the_same_page(tmp_path):
    run = made_run(tmp_path)
    before = made_page(run)[0].read_bytes(), {file.name: file.read_bytes() for file in (run / "report").iterdir()}
    (run / "report/00099.jpg").write_bytes(b"of an older page")
    (run / "report/mine.txt").write_text("of somebody else")
    after = made_page(run)[0].read_bytes(), {file.name: file.read_bytes() for file in (run / "report").iterdir()}
    assert after[1].pop("mine.txt") == b"of somebody else"
    assert after == before


def test_the_page_is_bounded(tmp_path):
    run = made_run(tmp_path, names=[f"{number}.png" for number in range(40)], select={"threshold": 0.0})
    _, written = made_page(run, most=10)
    assert written.pictures <= 10


def test_another_seed_draws_other_pictures(tmp_path):
    run = made_run(tmp_path, names=[f"{number}.png" for number in range(40)])
    drawn_by = []
    for seed in (1, 1, 2):
        data = data_of(made_page(run, most=20, seed=seed)[0])
        drawn_by.append({data["pictures"][card["picture"]]["name"] for card in cards_of(data, "random")})
    assert drawn_by[0] == drawn_by[1] != drawn_by[2]


def test_a_run_of_nothing_has_a_page(tmp_path):
    (tmp_path / "photos").mkdir()
    file, written = made_page(made_run(tmp_path, names=()))
    assert written.pictures == 0
    assert strange(file.read_text(encoding="utf-8")) == []


def test_a_picture_that_is_gone_is_told(tmp_path):
    run = made_run(tmp_path)
    (tmp_path / "photos/b.png").unlink()
    file, _ = made_page(run)
    text = file.read_text(encoding="utf-8")
    assert "1 of the pictures to show could not be opened any more" in text
    gone = [card for card in data_of(file)["cards"] if card["view"] is None]
    assert gone
    assert all("changed or vanished" in card["trouble"] for card in gone)


def test_near_duplicates_are_side_by_side(tmp_path):
    import cv2

    run = made_run(tmp_path, choose={"near": 4})
    rgb = cv2.imdecode(np.frombuffer(picture(0), np.uint8), cv2.IMREAD_COLOR)
    (tmp_path / "photos/again.jpg").write_bytes(cv2.imencode(".jpg", cv2.resize(rgb, (128, 96)))[1].tobytes())
    made_run(tmp_path, choose={"near": 4})
    data = data_of(made_page(run)[0])
    twin = next(card for card in cards_of(data, "duplicates") if card["lost"]["reason"] == "near_duplicate")
    assert {twin["lost"]["name"], twin["kept"]} == {"a.png", "again.jpg"}
    assert twin["view"] != twin["beside"]


def test_files_set_aside_are_listed(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/<b>.png").write_bytes(b"")
    text = made_page(made_run(tmp_path))[0].read_text(encoding="utf-8")
    assert "&lt;b&gt;.png" in text
    assert "the file has no bytes" in text


def test_films_have_players_and_lines(tmp_path):
    toyworld.write_films(tmp_path / "toys", 1, 1, 8)
    film = next((tmp_path / "toys/films").iterdir())
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/film.mp4").write_bytes(film.read_bytes())
    run = made_run(tmp_path, names=(), track={"backend": "iou"}, select={"threshold": 0.0})
    file, written = made_page(run)
    data = data_of(file)
    (film,) = data["films"]
    assert (written.films, (run / film["file"]).is_file()) == (1, True)
    assert [len(film["times"]), film["times"][0]] == [8, 0]
    assert [track["sight"] for track in film["tracks"]] == [[[0, 8]], [[0, 8]]]
    objects = [data["objects"][track["object"]] for track in film["tracks"]]
    assert sorted(one["class"] for one in objects) == ["cat", "dog"]
    assert all(one["frame"] is not None and one["track"] in (1, 2) for one in objects)


def test_no_films_are_drawn_where_none_are_asked_for(tmp_path):
    toyworld.write_films(tmp_path / "toys", 1, 1, 8)
    (tmp_path / "photos").symlink_to(tmp_path / "toys/films")
    run = made_run(tmp_path, names=(), track={"backend": "iou"}, select={"threshold": 0.0})
    _, written = made_page(run, most_films=0)
    assert written.films == 0
    assert not list((run / "report").glob("*.mp4"))


def test_a_folder_without_a_run_is_named(tmp_path):
    said = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert said.exit_code == 2


def test_what_people_changed_is_told(tmp_path):
    run = made_run(tmp_path)
    summary = json.loads((run / "summary.json").read_text())
    told = {
        "lines": 4,
        "applied": {"reject": 3},
        "not_applied": 1,
        "overruled": 0,
        "by_class": {"<b>": {"rejected": 3}},
    }
    summary["corrections"] = told
    (run / "summary.json").write_text(json.dumps(summary))
    text = made_page(run)[0].read_text(encoding="utf-8")
    assert "What people changed" in text
    assert "3 of 4 applied (3 reject)" in text
    assert "&lt;b&gt;: 3 rejected" in text

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from pipeline import masks
from pipeline.toyworld import actors, films, futsal
from pipeline.toyworld.films import STORIES, VISIBLE_PX
from pipeline.toyworld.things import Thing

SMALL_HW = (96, 128)
FILMS = {story: films.film(3, 0, story, 24) for story in STORIES}


def sights(film, track):
    """In which frames an identity can be seen: as a text, '.' where it is not in the scene."""
    rows = [np.flatnonzero(found.track_ids == track) for found in film.found]
    return "".join(
        "." if not len(row) else "01"[int(f.visible[row[0]])] for f, row in zip(film.found, rows, strict=True)
    )


@pytest.mark.parametrize("story", STORIES)
def test_the_truth_of_a_film(story):
    film = FILMS[story]
    assert film.rgb.shape == (24, 192, 256, 3)
    for found in film.found:
        assert [code is not None for code in found.masks] == found.visible.tolist()
        seen = [masks.decode(code, found.size_hw) for code in found.masks if code is not None]
        assert np.sum(seen, axis=0).max() == 1  # no pixel has two owners
        assert min(mask.sum() for mask in seen) >= VISIBLE_PX
        boxes = [masks.box(code, found.size_hw) for code in found.masks if code is not None]
        assert (found.boxes_xyxy[found.visible] == boxes).all()
    for before, after in zip(film.found, film.found[1:], strict=False):
        alike = (before.track_ids.tolist() == after.track_ids.tolist()) and before.names == after.names
        assert alike != (film.found.index(after) in film.cuts)  # who is there changes at a cut, and only there


def test_everybody_wandering_can_be_told_apart_by_where_they_are():
    film = FILMS["wandering"]
    sides = np.array([found.boxes_xyxy[0, 2:] - found.boxes_xyxy[0, :2] for found in film.found])
    places = np.array([found.boxes_xyxy[0, :2] for found in film.found])
    assert np.abs(np.diff(places, axis=0)).max() > 2  # moves
    assert sides.max() / sides.min() > 1.1  # grows, or turns


def test_twins_look_alike():
    last = FILMS["twins"].found[0]
    assert last.names[-1] == last.names[-2]
    assert last.extra[-1]["color"] == last.extra[-2]["color"]


def test_who_hides_is_all_hidden_for_a_while_and_comes_back():
    film = FILMS["hiding"]
    hider = film.found[0].track_ids[-2]
    assert sights(film, hider).strip("1").strip("0") == ""
    assert sights(film, hider)[0] == sights(film, hider)[-1] == "1"
    assert sights(film, hider).count("0") >= 4


def test_who_leaves_comes_back():
    film = FILMS["leaving"]
    leaver = film.found[0].track_ids[-1]
    assert sights(film, leaver)[0] == sights(film, leaver)[-1] == "1"
    assert "0000" in sights(film, leaver)


def test_after_a_cut_everybody_is_new():
    film = FILMS["cut"]
    (cut,) = film.cuts
    before, after = film.found[cut - 1], film.found[cut]
    assert set(before.track_ids).isdisjoint(after.track_ids)
    change = np.abs(np.diff(film.rgb.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert change.argmax() == cut - 1


def fingerprint(*arguments):
    film = films.film(*arguments)
    return hashlib.sha256(film.rgb.tobytes()).hexdigest() + "".join(found.digest() for found in film.found)


def test_a_film_depends_on_its_arguments_only():
    known = fingerprint(1, 2, None, 4, SMALL_HW)
    assert fingerprint(1, 2, None, 4, SMALL_HW) == known
    assert fingerprint(1, 3, None, 4, SMALL_HW) != known
    assert fingerprint(2, 2, None, 4, SMALL_HW) != known


def test_between_two_places_it_begins_and_ends_slowly():
    way = actors.between(np.array([[0.0], [10.0]]), 11)[:, 0]
    assert way.round(2).tolist() == [0.0, 0.28, 1.04, 2.16, 3.52, 5.0, 6.48, 7.84, 8.96, 9.72, 10.0]


def test_turning_by_steps_of_45_degrees():
    turns = actors.turning((1.0, 0.0), 1.0, 5)
    assert np.round(turns, 3).tolist() == [[1, 0], [0.707, 0.707], [0, 1], [-0.707, 0.707], [-1, 0]]


def test_who_stands_lower_is_nearer():
    rng = np.random.default_rng(0)
    low, high = (Thing("square", color, (20.0, y), 10.0, (1.0, 0.0)) for color, y in (("red", 24.0), ("blue", 18.0)))
    cast = [actors.Actor(thing.color, (thing,)) for thing in (low, high)]
    by_height = films.play(rng, cast, films.stage(rng, (40, 40)), 1, teams=True).found[0]
    listed = films.play(rng, cast, films.stage(rng, (40, 40)), 1).found[0]
    assert [masks.area(code) for code in by_height.masks] == [18 * 18, 18 * 6]  # who is listed first stands lower
    assert [masks.area(code) for code in listed.masks] == [18 * 6, 18 * 18]
    assert by_height.names == listed.names == ("red", "blue")


MATCH = futsal.match(1, 0)


def test_who_is_on_the_court():
    assert MATCH.found[0].names == ("player",) * 10 + ("referee", "ball")
    assert {found.track_ids.tolist() == list(range(1, 13)) for found in MATCH.found} == {True}
    assert [extra["color"] for extra in MATCH.found[0].extra][:10] == ["red"] * 5 + ["blue"] * 5


def middles(film, row):
    boxes = np.array([found.boxes_xyxy[row] for found in film.found])
    shown = np.array([found.visible[row] for found in film.found])
    return (boxes[:, :2] + boxes[:, 2:]) / 2, shown


def test_the_ball_is_six_pixels_wide_and_fast():
    matches = [futsal.match(2, number, 24) for number in range(4)]
    steps = []
    for match in matches:
        places, shown = middles(match, -1)
        steps += np.linalg.norm(np.diff(places, axis=0), axis=1)[shown[1:] & shown[:-1]].tolist()
        sides = np.array([found.boxes_xyxy[-1, 2:] - found.boxes_xyxy[-1, :2] for found in match.found])
        assert sides.max() <= 7
    assert 12 < max(steps) <= 23  # 20, and what is hidden of it moves its box's middle


def test_players_of_a_team_are_painted_alike():
    found, rgb = MATCH.found[0], MATCH.rgb[0].astype(float)
    colors = [rgb[masks.decode(code, found.size_hw)].mean(axis=0) for code in found.masks[:10]]
    assert np.ptp(colors[:5], axis=0).max() < 20 < np.abs(colors[0] - colors[5]).max()


def test_people_do_not_fly():
    for row in range(11):
        path = [replace(found, masks=None) for found in MATCH.found]
        places, shown = middles(replace(MATCH, found=tuple(path)), row)
        whole = np.array([found.boxes_xyxy[row, 3] - found.boxes_xyxy[row, 1] > 25 for found in path]) & shown
        steps = np.linalg.norm(np.diff(places, axis=0), axis=1)[whole[1:] & whole[:-1]]
        assert steps.max() < 10

"""A world that masklet draws itself: scenes and films with exact truth, from a seed, and words for what is in them."""

from pipeline.toyworld.film_files import write_films
from pipeline.toyworld.films import STORIES, Film, film
from pipeline.toyworld.futsal import match
from pipeline.toyworld.paint import paint
from pipeline.toyworld.scenes import RADIUS_PX, SIZE_HW, Scene, drawn, ontology, scatter, scene, write
from pipeline.toyworld.shapes import COLORS, EVERY, HELD_OUT, SEEN, SHAPES, Kind
from pipeline.toyworld.things import MIN_VISIBLE_PX, MIN_VISIBLE_SHARE, Thing, in_sight, nearest, truth

__all__ = [
    "COLORS",
    "EVERY",
    "HELD_OUT",
    "MIN_VISIBLE_PX",
    "MIN_VISIBLE_SHARE",
    "RADIUS_PX",
    "SEEN",
    "SHAPES",
    "SIZE_HW",
    "STORIES",
    "Film",
    "Kind",
    "Scene",
    "Thing",
    "drawn",
    "film",
    "in_sight",
    "match",
    "nearest",
    "ontology",
    "paint",
    "scatter",
    "scene",
    "truth",
    "write",
    "write_films",
]

"""Lesson 04: two networks trained on digits, the hill on the straight line, the road round it, and units renamed."""

from __future__ import annotations

from entropic_edu.course import Chapter, Question

from . import band, hill, match, mistakes, walk
from .exercises import EXERCISES

QUESTIONS = [
    Question(
        "hill",
        ("level", "few", "tens", "thousands"),
        "tens",
        {"level": 1.0, "few": 3.0, "tens": 23.0, "thousands": 1e3},
    ),
    Question("relax", ("stays", "pass", "gone"), "gone", {"stays": 1.0, "pass": 0.4, "gone": 0.0}),
    Question("names", ("all", "half", "little"), "little", {"all": 1.0, "half": 0.5, "little": 0.03}),
]

CHAPTER = Chapter(
    "04",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={
        "walk": walk.walk,
        "hill": hill.hill,
        "band": band.band,
        "mistakes": mistakes.mistakes,
        "match": match.match,
    },
)

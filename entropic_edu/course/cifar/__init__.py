"""Lesson 09: the story of the digits on small photographs, recorded; with images every part runs live."""

from __future__ import annotations

from entropic_edu.course import Chapter, Question

from .exercises import EXERCISES
from .hook import three
from .rest import rest
from .walk import walk
from .width import width

QUESTIONS = [
    Question("width", ("none", "same", "more"), "same", {"none": 1.0, "same": 2.6, "more": 10.0}),
    Question("home", ("stay", "part", "home"), "part", {"stay": 0.29, "part": 0.16, "home": 0.02}),
    Question("rest", ("falls", "stays", "rises"), "rises", {"falls": 40.0, "stays": 60.0, "rises": 80.0}),
]

CHAPTER = Chapter(
    "09",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"three": three, "width": width, "walk": walk, "rest": rest},
)

"""Lesson 06: walkers let go on the road between two networks, what sends them home, and what the result stands on."""

from __future__ import annotations

from entropic_edu.course import Chapter, Question

from .collapse import collapse
from .exercises import EXERCISES
from .film import film
from .own import own
from .push import pushes
from .sceptic import runaway, sceptic
from .walk import walk

QUESTIONS = [
    Question("still", ("home", "near", "middle"), "near", {"home": 0.1, "near": 0.3, "middle": 0.5}),
    Question("same", ("less", "same", "more"), "same", {"less": 0.5, "same": 1.0, "more": 1.4}),
    Question("push", ("twice", "four", "sixteen"), "four", {"twice": 2.0, "four": 4.0, "sixteen": 16.0}),
    Question("frozen", ("stay", "theory", "home"), "theory", {"stay": 0.29, "theory": 0.255, "home": 0.08}),
]

CHAPTER = Chapter(
    "06",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"walk": walk, "collapse": collapse, "own": own, "push": pushes, "runaway": runaway, "sceptic": sceptic},
    players={"hot": film},
)

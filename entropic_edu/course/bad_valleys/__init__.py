"""Lesson 08: minima of one loss that generalise well and badly, three ways to ask which is flatter, and the drift."""

from __future__ import annotations

import torch

from entropic_edu.course import Chapter, Exercise, Question

from . import ends, measures, road, walk

QUESTIONS = [
    Question(
        "along",
        ("same", "wall", "hill", "sinks"),
        "sinks",
        {
            "same": [0.95, 0.95, 0.95, 0.95, 0.52],
            "wall": [0.95, 0.95, 0.735, 0.52, 0.52],
            "hill": [0.95, 0.55, 0.4, 0.45, 0.52],
            "sinks": [0.95, 0.84, 0.735, 0.63, 0.52],
        },
    ),
    Question("flatter", ("good", "same", "bad"), "bad", {"good": 3.0, "same": 1.0, "bad": 1 / 3}),
    Question("drift", ("stays", "bad", "good"), "good", {"stays": 0.95, "bad": 1.0, "good": 0.6}),
]

EXERCISES = [
    Exercise(
        "gap",
        "8.1",
        truth=lambda train_right, train, test_right, test: train_right / train - test_right / test,
        wrong={
            "sign": lambda train_right, train, test_right, test: test_right / test - train_right / train,
            "counts": lambda train_right, train, test_right, test: train_right - test_right,
            "ratio": lambda train_right, train, test_right, test: (test_right / test) / (train_right / train),
            "perfect": lambda train_right, train, test_right, test: 1 - test_right / test,
            "percent": lambda train_right, train, test_right, test: 100 * (train_right / train - test_right / test),
        },
        cases=[(400, 400, 259, 500), (360, 400, 430, 500), (392, 400, 240, 500)],
    ),
    Exercise(
        "rescaled",
        "8.2",
        truth=lambda alpha, into, out, rest: into / alpha**2 + out * alpha**2 + rest,
        wrong={
            "swapped": lambda alpha, into, out, rest: into * alpha**2 + out / alpha**2 + rest,
            "first_power": lambda alpha, into, out, rest: into / alpha + out * alpha + rest,
            "unchanged": lambda alpha, into, out, rest: into + out + rest,
            "into_only": lambda alpha, into, out, rest: into / alpha**2 + out + rest,
            "everything": lambda alpha, into, out, rest: (into + out + rest) / alpha**2,
        },
        cases=[(2.0, 8.0, 4.0, 1.0), (0.5, 8.0, 4.0, 1.0), (4.0, 3.0, 5.0, 2.0)],
    ),
    Exercise(
        "invariant",
        "8.3",
        truth=lambda theta, diagonal: float((theta**2 * diagonal).sum()),
        wrong={
            "trace": lambda theta, diagonal: float(diagonal.sum()),
            "product": lambda theta, diagonal: float((theta**2).sum() * diagonal.sum()),
            "first_power": lambda theta, diagonal: float((theta * diagonal).sum()),
            "divided": lambda theta, diagonal: float((diagonal / theta**2).sum()),
            "squared": lambda theta, diagonal: float((theta * diagonal).pow(2).sum()),
        },
        cases=[
            (torch.tensor([2.0, 0.5]), torch.tensor([0.25, 4.0])),
            (torch.tensor([4.0, 0.25]), torch.tensor([0.0625, 16.0])),
            (torch.tensor([1.0, 3.0, 2.0]), torch.tensor([2.0, 1.0, 0.5])),
        ],
    ),
]

CHAPTER = Chapter(
    "08",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"ends": ends.ends, "road": road.road, "measures": measures.measures, "walk": walk.walk},
)

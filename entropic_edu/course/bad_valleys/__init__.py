"""Lesson 08: minima of one loss that generalise well and badly, which of them is flatter, and which way noise goes."""

from __future__ import annotations

import torch

from entropic_edu.course import Chapter, Exercise, Question

from . import ends, measures, road, walk

QUESTIONS = [
    Question(
        "along",
        ("even", "wall", "hill", "late"),
        "late",
        {
            "even": [0.97, 0.91, 0.845, 0.78, 0.72],
            "wall": [0.97, 0.97, 0.845, 0.72, 0.72],
            "hill": [0.97, 0.7, 0.6, 0.65, 0.72],
            "late": [0.97, 0.97, 0.96, 0.93, 0.72],
        },
    ),
    Question("flatter", ("good", "same", "bad"), "bad", {"good": 0.4, "same": 1.5, "bad": 15.0}),
    Question("drift", ("stays", "bad", "good"), "good", {"stays": 0.95, "bad": 1.0, "good": 0.55}),
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
        cases=[(400, 400, 362, 500), (360, 400, 430, 500), (392, 400, 340, 500)],
    ),
    Exercise(
        "resized",
        "8.2",
        truth=lambda a, layer, rest: layer / a**2 + rest,
        wrong={
            "upside_down": lambda a, layer, rest: layer * a**2 + rest,
            "first_power": lambda a, layer, rest: layer / a + rest,
            "unchanged": lambda a, layer, rest: layer + rest,
            "everything": lambda a, layer, rest: (layer + rest) / a**2,
            "partner": lambda a, layer, rest: layer / a**2 + rest * a**2,
        },
        cases=[(2.0, 8.0, 4.0), (0.5, 8.0, 1.0), (4.0, 3.0, 5.0)],
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

"""Lesson 10: planted cases in which the story fails, the learner's own network, and an open investigation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from entropic_edu.course import Chapter, Exercise, Question
from entropic_edu.teaching.slips import solved

from .controls import controls
from .gallery import gallery
from .mine import mine
from .opening import opening
from .own import yours
from .questions import open_questions
from .roads import conclude, noise_share

QUESTIONS = [
    Question("wide", ("all", "three", "even"), "three", {"all": 0.35, "even": 0.5}),
    Question("control", ("everything", "slope", "nothing"), "slope"),
    Question("share", ("none", "half", "most"), "most", {"none": 0.0, "half": 0.5, "most": 0.9}),
    Question("seldom", ("same", "less", "more"), "more", {"same": "base", "less": "still", "more": "home"}),
]

CASES: Mapping[str, str] = {"A": "only scale", "B": "noise along", "C": "healthy", "D": "large steps", "E": "constant"}
CONTROLS: Mapping[str, str] = {
    "hidden slope": "all data",
    "constant": "profile",
    "large steps": "halve both",
    "noise along": "kicks",
    "only scale": "double theta",
}


def _table(known: Mapping[str, str], **changed: str) -> Callable[[str], str]:
    """Return an answer that looks up a table in which some values are taken for others: ``taken="given"``."""
    words = {name.replace("_", " "): value for name, value in changed.items()}
    table = {key: words.get(value, value) for key, value in known.items()}
    return lambda case: table[case]


WHICH = Exercise(
    "which",
    "10.1",
    truth=lambda case: CASES[case],
    wrong={
        "scale_healthy": _table(CASES, only_scale="healthy"),
        "scale_swapped": _table(CASES, only_scale="healthy", healthy="only scale"),
        "steps_healthy": _table(CASES, large_steps="healthy"),
        "steps_swapped": _table(CASES, large_steps="healthy", healthy="large steps"),
        "along_constant": _table(CASES, noise_along="constant", constant="noise along"),
        "along_healthy": _table(CASES, noise_along="healthy"),
        "along_steps": _table(CASES, noise_along="large steps", large_steps="noise along"),
        "scale_along": _table(CASES, only_scale="noise along", noise_along="only scale"),
        "scale_steps": _table(CASES, only_scale="large steps", large_steps="only scale"),
        "constant_healthy": _table(CASES, constant="healthy"),
    },
    cases=[(letter,) for letter in CASES],
)
CONTROL = Exercise(
    "control",
    "10.2",
    truth=lambda suspect: CONTROLS[suspect],
    wrong={
        "all_data": lambda suspect: "all data",
        "distance": _table(CONTROLS, halve_both="distance"),
        "scale_halved": _table(CONTROLS, halve_both="double theta", double_theta="halve both"),
        "scale_profile": _table(CONTROLS, double_theta="profile"),
        "along_all_data": _table(CONTROLS, kicks="all data"),
        "along_halved": _table(CONTROLS, kicks="halve both"),
    },
    cases=[(suspect,) for suspect in CONTROLS],
)


SHARE = solved(
    "10.3",
    noise_share,
    [
        (
            torch.tensor([0.3, 0.3, 0.3, 0.3, 0.3]),
            torch.tensor([0.12, 0.20, 0.25, 0.05, 0.15]),
            torch.tensor([0.28, 0.27, 0.24, 0.29, 0.31]),
        ),
        (torch.tensor([0.7, 0.6, 0.8]), torch.tensor([0.83, 0.72, 0.95]), torch.tensor([0.715, 0.64, 0.79])),
    ],
    rest=("(noisy - still)", "(still - start)"),
    length=(" / (noisy - start)", ""),
    of_still=("/ (noisy - start)", "/ (still - start)"),
    deviation=(" / len(each) ** 0.5", ""),
    of_means=("each.mean()", "(noisy - still).mean() / (noisy - start).mean()"),
)
CONCLUDE = solved(
    "10.4",
    conclude,
    [
        ([0.126, 0.128, 0.160, 0.148, 0.156],),
        ([0.148, 0.102, 0.079, -0.090, 0.148],),
        ([-0.010, 0.020, -0.010, -0.012, 0.030],),
        ([0.050, 0.120, 0.020, 0.150, 0.060],),
        ([0.100, -0.050, 0.065, -0.020, 0.030],),
        ([0.020, 0.090, -0.010, 0.080, 0.050],),
        ([-0.020, -0.024, -0.021, -0.030, -0.019],),
        ([0.300, 0.010, 0.020, 0.005, 0.015],),
        ([0.100, 0.095, 0.105, -0.002, 0.098],),
        ([-0.001, -0.250, -0.004, -0.002, -0.010],),
    ],
    sign=("2.8 *", "0 *"),
    majority=("abs(mean.value) <= 2.8 * mean.error", "False", "mean.value > 0", "each.sign().sum() > 0"),
    deviation=("2.8 *", "2.8 * len(moves) ** 0.5 *"),
    walkers=("2.8 *", "2.8 / 8**0.5 *"),
    normal=("2.8 *", "2.0 *"),
    all_alike=("abs(mean.value) <= 2.8 * mean.error", "min(moves) < 0 < max(moves)"),
)

CHAPTER = Chapter(
    "10",
    questions=QUESTIONS,
    exercises=[WHICH, CONTROL, SHARE, CONCLUDE],
    explorers={
        "opening": opening,
        "cases": gallery,
        "controls": controls,
        "yours": yours,
        "open": open_questions,
        "mine": mine,
    },
)

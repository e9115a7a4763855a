"""Lesson 07: children of one training run, the two barriers between them, and what their mean is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from entropic_edu.course import Chapter, Exercise, Question

from . import average, barriers, hill, slopes

QUESTIONS = [
    Question(
        "order",
        ("curvature", "together", "loss"),
        "loss",
        {"curvature": 2.0, "together": 1.0, "loss": 0.5},
    ),
    Question(
        "force", ("always", "late", "never"), "never", {"always": (2.0, 2.0), "late": (0.1, 2.8), "never": (0.4, 0.4)}
    ),
    Question("mean", ("ruin", "little", "better"), "better", {"ruin": -50.0, "little": -10.0, "better": 5.0}),
]


def _higher(curve: Sequence[float]) -> float:
    return max(curve[0], curve[-1])


def _stays_below(k: Sequence[int], height: Sequence[float], level: float) -> float:
    """Return the first of the given k from which on a height stays below a level."""
    last = max((place for place, value in enumerate(height) if value >= level), default=-1)
    return float(k[min(last + 1, len(k) - 1)])


def _first_below(k: Sequence[int], height: Sequence[float], level: float) -> float:
    place = next((place for place, value in enumerate(height) if value < level), len(k) - 1)
    return float(k[place])


def _last_above(k: Sequence[int], height: Sequence[float], level: float) -> float:
    last = max((place for place, value in enumerate(height) if value >= level), default=0)
    return float(k[last])


def _summed(trace: Sequence[float], heat: Callable[[int], float]) -> float:
    """Return the sum of (T/2) d tr H with this T on the stretch that begins at each point."""
    return sum(0.5 * heat(i) * (trace[i + 1] - trace[i]) for i in range(len(trace) - 1))


def _entropic(trace: Sequence[float], temperature: Sequence[float]) -> float:
    return _summed(trace, lambda i: 0.5 * (temperature[i] + temperature[i + 1]))


K = [0, 60, 120, 240, 360, 480, 720, 960, 1440]
LOSS = [
    0.607,
    0.440,
    0.319,
    0.155,
    0.090,
    0.038,
    0.0090,
    0.0019,
    0.0,
]  # rounded from the recording; so are the next two
TRACE = [53.0, 51.8, 47.3, 36.7, 28.8, 17.2, 4.5, 1.28, 0.04]
GAIN = [6.5, 5.9, 6.3, 4.4, 2.6, 2.2, 1.1, 0.2, 0.0]  # of the mean of two siblings, percentage points
UNSTEADY = [2.0, 0.15, 0.9, 2.6, 0.25, 0.1]  # comes back once, and is not highest at k = 0

EXERCISES = [
    Exercise(
        "barrier",
        "7.1",
        truth=lambda curve: max(curve) - _higher(curve),
        wrong={
            "range": lambda curve: max(curve) - min(curve),
            "mean": lambda curve: max(curve) - (curve[0] + curve[-1]) / 2,
            "start": lambda curve: max(curve) - curve[0],
            "lower": lambda curve: max(curve) - min(curve[0], curve[-1]),
            "middle": lambda curve: curve[len(curve) // 2] - _higher(curve),
            "top": lambda curve: max(curve),
        },
        cases=[([0.3, 0.5, 0.2, 0.9, 0.4],), ([0.6, 0.1, 0.3, 0.7, 0.2],), ([0.5, 0.4, 0.3, 0.2, 0.1],)],
    ),
    Exercise(
        "relative",
        "7.2",
        truth=lambda barrier, first, end, scale: barrier / (first if scale == "share" else end),
        wrong={
            "swapped": lambda barrier, first, end, scale: barrier / (end if scale == "share" else first),
            "share": lambda barrier, first, end, scale: barrier / first,
            "ends": lambda barrier, first, end, scale: barrier / end,
            "top": lambda barrier, first, end, scale: barrier / first if scale == "share" else (barrier + end) / end,
            "inverted": lambda barrier, first, end, scale: (first if scale == "share" else end) / barrier,
        },
        cases=[
            (0.038, 0.607, 0.024, "share"),
            (0.038, 0.607, 0.024, "ends"),
            (17.2, 53.0, 23.0, "share"),
            (17.2, 53.0, 23.0, "ends"),
        ],
    ),
    Exercise(
        "rise",
        "7.3",
        truth=_entropic,
        wrong={
            "whole": lambda trace, temperature: 2 * _entropic(trace, temperature),
            "first": lambda trace, temperature: _summed(trace, lambda i: temperature[i]),
            "average": lambda trace, temperature: 0.5 * sum(temperature) / len(temperature) * (trace[-1] - trace[0]),
            "bath": lambda trace, temperature: _entropic([math.log(value) for value in trace], temperature),
            "sum": lambda trace, temperature: sum(0.5 * t * h for t, h in zip(temperature, trace, strict=True)),
        },
        cases=[([23.0, 50.0, 70.0, 75.0], [0.001, 0.01, 0.02, 0.026]), ([4.0, 9.0, 7.0], [0.02, 0.04, 0.1])],
    ),
    Exercise(
        "falls",
        "7.4",
        truth=lambda k, height, share: _stays_below(k, height, share * height[0]),
        wrong={
            "first": lambda k, height, share: _first_below(k, height, share * height[0]),
            "early": lambda k, height, share: _last_above(k, height, share * height[0]),
            "highest": lambda k, height, share: _stays_below(k, height, share * max(height)),
            "absolute": lambda k, height, share: _stays_below(k, height, share),
        },
        cases=[(K, LOSS, 0.1), (K, TRACE, 0.1), (K, GAIN, 0.1), (K[:6], UNSTEADY, 0.11)],
    ),
]

CHAPTER = Chapter(
    "07",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={
        "hill": hill.hill,
        "barriers": barriers.barriers,
        "slopes": slopes.slopes,
        "average": average.average,
    },
)

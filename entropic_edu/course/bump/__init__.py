"""Lesson 05: the road is flat, yet narrower in the middle; which eigenvalues do it, what is scale, what it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import Chapter, Exercise, Question
from entropic_edu.physics.mean import middle_over_ends

from . import hook, regimes, road, scale, spectrum, steps

QUESTIONS = [
    Question(
        "middle",
        ("falls", "stays", "doubles", "tenfold"),
        "doubles",
        {"falls": 0.5, "stays": 1.0, "doubles": 2.5, "tenfold": 10.0},
    ),
    Question("which", ("one", "large", "all"), "all", spectrum.GHOSTS),
    Question("factor", ("nothing", "breaks", "trace"), "trace"),
    Question("switch", ("noise", "labels", "normalisation", "decay"), "noise"),
]


def _made(seed: int) -> tuple[Tensor, Tensor]:
    """Return positions and the trace along five made-up roads, for exercise 5.1."""
    generator = torch.Generator().manual_seed(seed)
    where = torch.linspace(0, 1, 12, dtype=torch.float64)  # none at 1/3 or 2/3: round-off may not judge an answer
    level, height, tilt = torch.rand(3, 5, 1, generator=generator, dtype=torch.float64)
    wiggle = 0.1 * torch.rand(5, 12, generator=generator, dtype=torch.float64)
    return where, (3 + level + 0.5 * tilt * where) * (1 + (0.7 + 0.4 * height) * torch.sin(torch.pi * where) + wiggle)


def _summed(ratio: Callable[[Tensor, Tensor], Tensor], error: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """Return an answer to exercise 5.1, given how it makes a ratio for each pair and an error of these."""
    return lambda position, trace: torch.stack([ratio(position, trace).mean(), error(ratio(position, trace))])


def _end_share(trace: Tensor) -> Tensor:
    """Return the mean of both ends over the first, (pairs,)."""
    return trace[:, [0, -1]].mean(1) / trace[:, 0]


def _standard(ratio: Tensor) -> Tensor:
    return ratio.std() / len(ratio) ** 0.5


CONTROLS = {  # of exercise 5.4: what is there without a switch, and the measure that is judged
    "noise of the ends": (regimes.Setting("calm"), "trace"),
    "wrong labels": (regimes.Setting("clean"), "adaptive"),
    "normalisation": (regimes.Setting("plain"), "adaptive"),
    "weight decay": (regimes.Setting("undecayed"), "trace"),
    "matched norms": (regimes.Setting(matched=False), "trace"),
    "cross-entropy": (regimes.Setting("squared"), "trace"),
}
VERDICTS = ("no bump without it", "smaller without it", "not needed", "open")
TRUTH = {
    "noise of the ends": "smaller without it",
    "wrong labels": "no bump without it",
    "normalisation": "no bump without it",
    "weight decay": "not needed",
    "matched norms": "not needed",
    "cross-entropy": "open",
}


def _slug(words: str) -> str:
    return words.replace(" ", "_").replace("-", "_")


def _verdicts(**changed: str) -> Callable[[str], str]:
    """Return an answer to exercise 5.4: the truth but for some switches."""
    return lambda switch: changed.get(_slug(switch), TRUTH[switch])


def _one_wrong() -> dict[str, Callable[[str], str]]:
    """Return for each switch and each wrong verdict on it an answer with this slip alone."""
    pairs = [(_slug(name), verdict) for name in TRUTH for verdict in VERDICTS if verdict != TRUTH[name]]
    return {f"{name}_{_slug(verdict)}": _verdicts(**{name: verdict}) for name, verdict in pairs}


EXERCISES = [
    Exercise(
        "ratio",
        "5.1",
        truth=_summed(middle_over_ends, _standard),
        wrong={
            "extremes": _summed(lambda position, trace: trace.amax(1) / trace.amin(1), _standard),
            "point": _summed(lambda position, trace: trace[:, 6] / trace[:, [0, -1]].mean(1), _standard),
            "one_end": _summed(lambda where, trace: middle_over_ends(where, trace) * _end_share(trace), _standard),
            "upside_down": _summed(lambda position, trace: 1 / middle_over_ends(position, trace), _standard),
            "deviation": _summed(middle_over_ends, torch.std),
            "count": _summed(middle_over_ends, lambda ratio: ratio.std() / len(ratio)),
            "population": _summed(middle_over_ends, lambda ratio: ratio.std(correction=0) / len(ratio) ** 0.5),
        },
        cases=[_made(1), _made(2)],
        tolerance=1e-4,
    ),
    Exercise(
        "rise",
        "5.2",
        truth=lambda trace, radius, dimensions: radius**2 * trace / (2 * dimensions),
        wrong={
            "half": lambda trace, radius, dimensions: radius**2 * trace / dimensions,
            "all": lambda trace, radius, dimensions: radius**2 * trace / 2,
            "first": lambda trace, radius, dimensions: radius * trace / (2 * dimensions),
            "root": lambda trace, radius, dimensions: radius**2 * trace / (2 * dimensions**0.5),
        },
        cases=[(160.0, 0.5, 16330), (3.0, 2.0, 100)],
    ),
    Exercise(
        "rescaled",
        "5.3",
        truth=lambda layer, rest, a: layer / a**2 + rest,
        wrong={
            "upside_down": lambda layer, rest, a: layer * a**2 + rest,
            "first": lambda layer, rest, a: layer / a + rest,
            "unchanged": lambda layer, rest, a: layer + rest,
            "all": lambda layer, rest, a: (layer + rest) / a**2,
            "alone": lambda layer, rest, a: layer / a**2,
            "adaptive": lambda layer, rest, a: (layer + rest) * a**2,
        },
        cases=[(40.0, 20.0, 2.0), (2.0, 0.5, 0.1)],
    ),
    Exercise(
        "verdict",
        "5.4",
        truth=_verdicts(),
        wrong=_one_wrong() | {"all_smaller": lambda switch: "smaller without it"},
        cases=[(switch,) for switch in TRUTH],
    ),
]

CHAPTER = Chapter(
    "05",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={
        "flat": hook.flat,
        "bump": road.road,
        "spectrum": spectrum.spectrum,
        "steps": steps.steps,
        "scale": scale.scale,
        "map": regimes.regimes,
    },
)

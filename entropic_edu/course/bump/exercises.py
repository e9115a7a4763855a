"""Exercises of lesson 05: the bump with its error, a Hessian-vector product, a probe, and what the bump needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import Exercise
from entropic_edu.physics.mean import middle_over_ends

from . import regimes


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


def _gradient(loss: Callable[[Tensor], Tensor], theta: Tensor) -> Any:
    return torch.func.grad(loss)(theta)


def product(
    loss: Callable[[Tensor], Tensor], theta: Tensor, direction: Tensor, part: Callable[[Tensor], Tensor] | None = None
) -> Any:
    """Return H times a direction, (D,), by differentiating twice; ``part`` of H makes a slip."""
    if part is not None:
        return part(torch.func.jacrev(torch.func.grad(loss))(theta)) * direction
    theta = theta.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(theta), theta, create_graph=True)
    return torch.autograd.grad(gradient @ direction, theta)[0]


class Hill:
    """A loss whose Hessian is not the same everywhere, and not diagonal."""

    def __call__(self, theta: Tensor) -> Tensor:
        return (theta[0] * theta[1]).cos() + theta[1] * theta[2].exp() + (theta**3).sum()

    def __repr__(self) -> str:
        return "a function of three weights"


def probe(
    product: Callable[[Tensor], Tensor], theta: Tensor, signs: Tensor, *, left: int = 1, right: int = 1,
    correction: int = 1, power: float = 0.5, times: Callable[[Tensor, Tensor], float] = lambda each, theta: 1.0,
) -> Any:  # fmt: skip
    """Return trace and adaptive trace over random signs (V, D), each with its error; keywords make slips."""
    found: list[Tensor] = []
    for one, other in ((0, 0), (left, right)):
        each = torch.stack([(theta**one * v) @ product(theta**other * v) for v in signs])
        error = each.std(correction=correction) / len(each) ** power
        found += [times(each, theta) * each.mean(), times(each, theta) * error]
    return torch.stack(found)


class Matrix:
    """The product with a symmetric matrix."""

    def __init__(self, seed: int) -> None:
        half = torch.randn(5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.matrix = half @ half.T

    def __call__(self, direction: Tensor) -> Tensor:
        return self.matrix @ direction

    def __repr__(self) -> str:
        return "that with a matrix of five rows"


def _drawn(seed: int) -> tuple[Tensor, Tensor]:
    """Return weights (5,) and signs (6, 5)."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (6, 5), generator=generator, dtype=torch.float64)
    return 0.5 + torch.rand(5, generator=generator, dtype=torch.float64), 2 * signs - 1


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
        "product",
        "5.2",
        truth=lambda loss, theta, direction: product(loss, theta, direction),
        wrong={
            "gradient": lambda loss, theta, direction: _gradient(loss, theta),
            "times_gradient": lambda loss, theta, direction: _gradient(loss, theta) * direction,
            "diagonal": lambda loss, theta, direction: product(loss, theta, direction, part=torch.diagonal),
            "unit": lambda loss, theta, direction: product(loss, theta, direction / direction.norm()),
            "half": lambda loss, theta, direction: 0.5 * product(loss, theta, direction),
        },
        cases=[
            (Hill(), *torch.tensor([[0.3, -0.8, 0.5], [1.0, 2.0, -1.0]])),
            (Hill(), *torch.tensor([[1.2, 0.4, -0.6], [0.2, 0.0, 0.5]])),
        ],
    ),
    Exercise(
        "probe",
        "5.3",
        truth=lambda product, theta, signs: probe(product, theta, signs),
        wrong={
            "population": partial(probe, correction=0),
            "deviation": partial(probe, power=0.0),
            "by_count": partial(probe, power=1.0),
            "sum": partial(probe, times=lambda each, theta: float(len(each))),
            "per_weight": partial(probe, times=lambda each, theta: 1 / len(theta)),
            "once": partial(probe, right=0),
            "not_scaled": partial(probe, left=0, right=0),
            "one_side": partial(probe, left=2, right=0),
        },
        cases=[(Matrix(1), *_drawn(1)), (Matrix(2), *_drawn(2))],
    ),
    Exercise(
        "verdict",
        "5.4",
        truth=_verdicts(),
        wrong=_one_wrong() | {"all_smaller": lambda switch: "smaller without it"},
        cases=[(switch,) for switch in TRUTH],
    ),
]

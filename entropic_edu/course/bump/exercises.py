"""Exercises of lesson 05: the bump with its error, a Hessian-vector product, a probe, and what the bump needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor

from entropic_edu.course import Exercise, Given
from entropic_edu.physics.mean import middle_over_ends
from entropic_edu.teaching.slips import solved
from entropic_edu.teaching.yours import draws

from .setting import Setting


def _made(seed: int) -> tuple[Tensor, Tensor]:
    """Return positions and the trace along five made-up roads, for exercise 5.1."""
    generator = torch.Generator().manual_seed(seed)
    where = torch.linspace(0, 1, 12, dtype=torch.float64)  # none at 1/3 or 2/3: round-off may not judge an answer
    level, height, tilt = torch.rand(3, 5, 1, generator=generator, dtype=torch.float64)
    wiggle = 0.1 * torch.rand(5, 12, generator=generator, dtype=torch.float64)
    return where, (3 + level + 0.5 * tilt * where) * (1 + (0.7 + 0.4 * height) * torch.sin(torch.pi * where) + wiggle)


def ratio(position: Tensor, trace: Tensor) -> Tensor:
    """Return the bump of roads, (pairs, n): its mean over them and the standard error, (2,)."""
    each = middle_over_ends(position, trace)
    return torch.stack([each.mean(), each.std() / len(each) ** 0.5])


def product(loss: Callable[[Tensor], Tensor], theta: Tensor, direction: Tensor) -> Tensor:
    """Return H times a direction, (D,), by differentiating twice."""
    theta = theta.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(theta), theta, create_graph=True)
    return torch.autograd.grad(gradient @ direction, theta)[0]


def probe(product: Callable[[Tensor], Tensor], theta: Tensor, signs: Tensor) -> Tensor:
    """Return trace and adaptive trace over random signs (V, D), each with its error, (4,)."""
    found = []
    for scale in (torch.ones_like(theta), theta):
        each = torch.stack([(scale * v) @ product(scale * v) for v in signs])
        found += [each.mean(), each.std() / len(each) ** 0.5]
    return torch.stack(found)


def _hill(theta: Tensor) -> Tensor:
    """Return a loss whose Hessian is not the same everywhere, and not diagonal."""
    return (theta[0] * theta[1]).cos() + theta[1] * theta[2].exp() + (theta**3).sum()


def _matrix(seed: int) -> Given:
    """Return the product with a symmetric matrix."""
    half = draws(seed, 5, 5)
    return Given(lambda direction: half @ half.T @ direction, "that with a matrix of five rows")


def _drawn(seed: int) -> tuple[Tensor, Tensor]:
    """Return weights (5,) and signs (6, 5)."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (6, 5), generator=generator, dtype=torch.float64)
    return 0.5 + torch.rand(5, generator=generator, dtype=torch.float64), 2 * signs - 1


SWITCHES = {  # of exercise 5.4: what is there without one, the measure that is judged, and the verdict
    "noise of the ends": (Setting("calm"), "trace", "smaller without it"),
    "wrong labels": (Setting("clean"), "adaptive", "no bump without it"),
    "normalisation": (Setting("plain"), "adaptive", "no bump without it"),
    "weight decay": (Setting("undecayed"), "trace", "not needed"),
    "matched norms": (Setting(matched=False), "trace", "not needed"),
    "cross-entropy": (Setting("squared"), "trace", "open"),
}
VERDICTS = ("no bump without it", "smaller without it", "not needed", "open")


def verdict(switch: str, others: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return what the map says of a switch, or the other verdict of an answer on it."""
    return others.get(switch, SWITCHES[switch][2])


def _one_wrong() -> dict[str, Callable[[str], str]]:
    """Return for each switch and each wrong verdict on it an answer with this slip alone."""
    slips = [(switch, wrong) for switch in SWITCHES for wrong in VERDICTS if wrong != verdict(switch)]
    return {re.sub("[ -]", "_", " ".join(slip)): partial(verdict, others=dict([slip])) for slip in slips}


HILL = Given(_hill, "a function of three weights")
_TWICE = "torch.autograd.grad(gradient @ direction, theta)[0]"
EXERCISES = [
    solved(
        "5.1",
        ratio,
        [_made(1), _made(2)],
        tolerance=1e-4,
        extremes=("middle_over_ends(position, trace)", "trace.amax(1) / trace.amin(1)"),
        point=("middle_over_ends(position, trace)", "trace[:, 6] / trace[:, [0, -1]].mean(1)"),
        one_end=("(position, trace)\n", "(position, trace) * trace[:, [0, -1]].mean(1) / trace[:, 0]\n"),
        upside_down=("each = ", "each = 1 / "),
        deviation=(" / len(each) ** 0.5", ""),
        count=("len(each) ** 0.5", "len(each)"),
        population=("std()", "std(correction=0)"),
    ),
    solved(
        "5.2",
        product,
        [
            (HILL, *torch.tensor([[0.3, -0.8, 0.5], [1.0, 2.0, -1.0]])),
            (HILL, *torch.tensor([[1.2, 0.4, -0.6], [0.2, 0.0, 0.5]])),
        ],
        gradient=(_TWICE, "gradient.detach()"),
        times_gradient=(_TWICE, "gradient.detach() * direction"),
        diagonal=(_TWICE, "torch.func.jacrev(torch.func.grad(loss))(theta.detach()).diagonal() * direction"),
        unit=("gradient @ direction", "gradient @ direction / direction.norm()"),
        half=("return ", "return 0.5 * "),
    ),
    solved(
        "5.3",
        probe,
        [(_matrix(1), *_drawn(1)), (_matrix(2), *_drawn(2))],
        population=("std()", "std(correction=0)"),
        deviation=(" / len(each) ** 0.5", ""),
        by_count=("len(each) ** 0.5", "len(each)"),
        sum=("torch.stack(found)", "torch.stack(found) * len(signs)"),
        per_weight=("torch.stack(found)", "torch.stack(found) / len(theta)"),
        once=("product(scale * v)", "product(v)"),
        not_scaled=(", theta):", ", torch.ones_like(theta)):"),
        one_side=("(scale * v) @ product(scale * v)", "(scale**2 * v) @ product(v)"),
    ),
    Exercise(
        "verdict",
        "5.4",
        truth=verdict,
        wrong=_one_wrong() | {"all_smaller": lambda switch: "smaller without it"},
        cases=[(switch,) for switch in SWITCHES],
    ),
]

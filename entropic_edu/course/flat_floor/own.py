"""The learner's own walkers on a flat floor: exercises 2.2 and 2.3, and the explorer that both functions drive.

The floor is a ring, so that no end wall takes part, and ln h is a cosine along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import Exercise
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import CONTROL, RUN, THEORY, Panel, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Yours, told

WALKERS, STEPS, RATE, SCALE = 256, 1200, 0.01, 6.0
EDGES = torch.linspace(-1, 1, 13, dtype=torch.float64)
PANELS = {
    "F": Panel((0.11, 0.13, 0.68, 0.77), "02.own.panel", "axis.along", xlim=(-1, 1), ylim=(-0.15, 0.4), zero=True)
}
Slope = Callable[[Tensor], Tensor]


def tight(y: Tensor) -> Tensor:
    """Return h at y: 16 in the middle, 1 opposite."""
    return 4 * torch.exp(math.log(4) * torch.cos(math.pi * y))


def tight_slope(y: Tensor) -> Tensor:
    """Return h' at y."""
    return -math.pi * math.log(4) * torch.sin(math.pi * y) * tight(y)


def straight(y: Tensor) -> Tensor:
    """Return h at y between straight walls."""
    return torch.full_like(y, 4.0)


def straight_slope(y: Tensor) -> Tensor:
    """Return h' at y between straight walls."""
    return torch.zeros_like(y)


Step = Callable[..., tuple[Tensor, Tensor]]


def _step(x: Tensor, y: Tensor, kick: Tensor, rate: float, batch: int, h: Slope, slope: Slope) -> tuple[Tensor, Tensor]:
    across, along = kick / batch**0.5
    return x - rate * (h(y) * x + across), y - rate * (0.5 * slope(y) * x**2 + along)


def _walk(step: Step) -> Callable[..., Tensor]:
    def walked(
        x: Tensor, y: Tensor, kicks: Tensor, learning_rate: float, batch_size: int, h: Slope, slope: Slope
    ) -> Tensor:
        places = []
        for kick in kicks:
            x, y = step(x, y, kick, learning_rate, batch_size, h, slope)
            places.append(y)
        return torch.stack(places)

    return walked


def _no_push(x: Tensor, y: Tensor, kick: Tensor, rate: float, batch: int, h: Slope, slope: Slope) -> Any:
    across, along = kick / batch**0.5
    return x - rate * (h(y) * x + across), y - rate * along


def _whole(x: Tensor, y: Tensor, kick: Tensor, rate: float, batch: int, h: Slope, slope: Slope) -> Any:
    across, along = kick / batch**0.5
    return x - rate * (h(y) * x + across), y - rate * (slope(y) * x**2 + along)


def _after(x: Tensor, y: Tensor, kick: Tensor, rate: float, batch: int, h: Slope, slope: Slope) -> Any:
    across, along = kick / batch**0.5
    x = x - rate * (h(y) * x + across)
    return x, y - rate * (0.5 * slope(y) * x**2 + along)


def _first_power(x: Tensor, y: Tensor, kick: Tensor, rate: float, batch: int, h: Slope, slope: Slope) -> Any:
    across, along = kick / batch**0.5
    return x - rate * (h(y) * x + across), y - rate * (0.5 * slope(y) * x + along)


def free_energy(y: Tensor, edges: Tensor, temperature: float) -> Tensor:
    """Return -T ln(count / largest count) for the bins between ``edges``, (n - 1,)."""
    counts = torch.histogram(y.flatten(), edges).hist
    return -temperature * torch.log(counts / counts.max())


def _of_counts(rule: Callable[[Tensor, float], Tensor]) -> Callable[..., Tensor]:
    return lambda y, edges, temperature: rule(torch.histogram(y.flatten(), edges).hist, temperature)


def draws(number: int, *shape: int) -> Tensor:
    """Return normal draws in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(number), dtype=torch.float64)


WALK = Exercise(
    "walk",
    "2.2",
    _walk(_step),
    {
        "no_push": _walk(_no_push),
        "whole": _walk(_whole),
        "after": _walk(_after),
        "first_power": _walk(_first_power),
        "no_batch": _walk(lambda x, y, kick, rate, batch, h, slope: _step(x, y, kick, rate, 1, h, slope)),
        "batch": _walk(lambda x, y, kick, rate, batch, h, slope: _step(x, y, kick, rate, batch**2, h, slope)),
    },
    cases=(
        (draws(1, 3), draws(2, 3), draws(3, 4, 2, 3), 0.02, 4, tight, tight_slope),
        (draws(4, 2), draws(5, 2), draws(6, 3, 2, 2), 0.05, 9, tight, tight_slope),
    ),
)
FREE_ENERGY = Exercise(
    "free_energy",
    "2.3",
    free_energy,
    {
        "sign": _of_counts(lambda counts, heat: heat * torch.log(counts / counts.max())),
        "cold": _of_counts(lambda counts, heat: -torch.log(counts / counts.max())),
        "half": _of_counts(lambda counts, heat: -0.5 * heat * torch.log(counts / counts.max())),
        "decimal": _of_counts(lambda counts, heat: -heat * torch.log10(counts / counts.max())),
        "linear": _of_counts(lambda counts, heat: heat * (1 - counts / counts.max())),
        "share": _of_counts(lambda counts, heat: -heat * torch.log(counts / counts.sum())),
        "raw": _of_counts(lambda counts, heat: -heat * torch.log(counts)),
    },
    cases=(
        (draws(7, 400) / 3, torch.linspace(-1, 1, 6, dtype=torch.float64), 0.1),
        (draws(8, 20, 30) / 2, torch.linspace(-1, 1, 5, dtype=torch.float64), 0.02),
    ),
)


def run_of(seed: int, walk: Callable[..., Any] | None, free: Callable[..., Any] | None, batch_size: int) -> Any:
    """Return the free energies that the learner's functions find, between tight and between straight walls."""
    temperature = RATE * SCALE**2 / (2 * batch_size)
    begin = torch.linspace(-1, 1, WALKERS + 1, dtype=torch.float64)[:-1].reshape(-1, 8).T.flatten()  # eight crowds
    kicks = SCALE * draws(seed, STEPS, 2, WALKERS)
    walked, counted = Yours(walk, WALK.truth), Yours(free, FREE_ENERGY.truth)
    found = []
    for walls in ((tight, tight_slope), (straight, straight_slope)):
        y = walked(0 * begin, begin, kicks, RATE, batch_size, *walls)
        late = (y[STEPS // 4 :] + 1) % 2 - 1  # round the ring
        each = [_level(counted(part, EDGES, temperature)) for part in late.chunk(8, 1)]
        found.append(Mean.over(torch.stack(each), 0))
    law, whose = _level(0.5 * temperature * tight(_centres()).log()), told(walk=walked, free_energy=counted)
    known = {"batch_size": batch_size, "temperature": temperature, "whose": whose, "law": law}
    top = Mean.over(torch.tensor([0.0]))
    return SimpleNamespace(**known, tight=found[0], straight=found[1], top=top)


def _centres() -> Tensor:
    return 0.5 * (EDGES[1:] + EDGES[:-1])


def _level(energy: Tensor) -> Tensor:
    """Return an energy over its mean in the two outer bins."""
    return energy - energy[[0, -1]].mean()


def draw(sheet: Sheet, run: Any) -> None:
    """Draw the free energy by counts, the control between straight walls, and the law."""
    pen, y = sheet["F"], _centres()
    pen.line(y, run.law, THEORY, "say.half_log")
    pen.line(y, run.straight, CONTROL, "02.own.straight")
    pen.line(y, run.tight, RUN, "02.own.tight")


def words(run: Any) -> str:
    """Say whose walkers these are, and how high the middle is."""
    middle = len(run.law) // 2
    known = {"tight": run.tight.at(middle), "straight": run.straight.at(middle), "law": float(run.law[middle])}
    return text("02.own.sentence", run=run, **known)


def own(seed: int, walk: Callable[..., Any] | None = None, free_energy: Callable[..., Any] | None = None) -> Explorer:
    """The learner's walk and count, at other batch sizes."""
    return Explorer(
        draw,
        [slider("batch_size", (1, 2, 4), 1)],
        PANELS,
        words,
        state=lambda batch_size: run_of(seed, walk, free_energy, batch_size),
        title="02.own.title",
        code=lambda run: text("02.own.code", batch_size=run.batch_size),
    )

"""The late game: children of one trunk that part at step k, and the straight line between them.

While a run is young, two children that see other batches end in valleys of their own. From some step on they end so
near each other that no loss lies between them, and the question is whether the curvature still does.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .curvature import extreme_eigenvalues
from .landscape import Landscape, random_seed
from .path import Path
from .results import Result, attempted, detached, unavailable
from .settings import require_counts
from .snapshot import Progress, Snapshot, Stream, verb
from .steps import Optimizer, Schedule
from .train import SETTINGS, Run, train


@dataclass(frozen=True, eq=False)
class Family(Result):
    """Curves along the straight lines between siblings: T trunks, K steps of parting, all pairs of children.

    A curve is (T, K, pairs, points); its barrier, (T, K), is how far its highest point lies above its higher end, mean
    over pairs. Curvature is that of the data loss, and so is ``loss_barrier``: the weight-decay term dips between two
    ends, and hides part of a low barrier.

    Attributes:
        at: Steps k at which children part from their trunk, (K,), as far as they are finished.
        positions: Positions on the line in [0, 1], (points,).
        ends: Parameters of the children at the end of their training, (T, K, children, D).
        loss, data_loss: Curves of the objective, with and without its weight-decay term.
        trace, trace_error: Curves of tr H, and of its standard error, which is 0 where the trace is exact.
        top_eigenvalue, test_accuracy: Curves of λ_max, and of the accuracy; None without test data.
        steps, recipe: Steps of a whole training, and its settings as plain values.
        unavailable: What torch cannot compute for this landscape, by name, with the reason; its numbers are NaN.

    Example:
        >>> line = torch.tensor([0.0, 0.5, 1.0])
        >>> hill = torch.tensor([0.2, 1.0, 0.4]).view(1, 1, 1, 3)  # one trunk, one k, one pair, three points
        >>> family = ee.Family(torch.tensor([0]), line, torch.zeros(1, 1, 2, 5), hill, hill, hill, 0 * hill, hill)
        >>> round(float(family.loss_barrier), 4), round(float(family.relative_to_end(hill)), 4)
        (0.6, 1.5)
    """

    at: Tensor
    positions: Tensor
    ends: Tensor
    loss: Tensor
    data_loss: Tensor
    trace: Tensor
    trace_error: Tensor
    top_eigenvalue: Tensor
    test_accuracy: Tensor | None = None
    steps: int = field(default=0, kw_only=True)
    recipe: dict[str, Any] = field(default_factory=dict, kw_only=True)
    unavailable: dict[str, str] = field(default_factory=dict, kw_only=True)

    @property
    def loss_barrier(self) -> Tensor:
        """Barrier of the data loss, (T, K)."""
        return self.barrier(self.data_loss)

    @property
    def trace_barrier(self) -> Tensor:
        """Barrier of tr H, (T, K)."""
        return self.barrier(self.trace)

    @property
    def top_barrier(self) -> Tensor:
        """Barrier of λ_max, (T, K)."""
        return self.barrier(self.top_eigenvalue)

    def barrier(self, curve: Tensor) -> Tensor:
        """Return highest value less the higher end, mean over pairs: (T, K, pairs, points) -> (T, K)."""
        return (curve.amax(-1) - curve[..., [0, -1]].amax(-1)).mean(-1)

    def relative_to_end(self, curve: Tensor) -> Tensor:
        """Return the barrier of a curve over the curve's own, positive value at the higher end, (T, K)."""
        ends = curve[..., [0, -1]].amax(-1).mean(-1)
        return self.barrier(curve) / _positive(ends, "This curve is", "at the ends; compare the barriers themselves")

    def relative_to_first(self, barrier: Tensor) -> Tensor:
        """Return a barrier, (T, K), as a share of its mean over trunks at the first k, which must be positive."""
        where = f"at the first k, {int(self.at[0])}; begin at an earlier k, or compare the barriers themselves"
        return barrier / _positive(barrier[:, :1].mean(), "The barrier is", where)

    def error(self, values: Tensor) -> Tensor:
        """Return the standard error over trunks, (T, K) -> (K,); infinite for one trunk, which cannot tell."""
        many = len(values) > 1
        return values.std(0) / len(values) ** 0.5 if many else torch.full_like(values[0], torch.inf)

    def summary(self) -> str:
        stopped = "" if self.complete else " (stopped early)"
        first, last = int(self.at[0]), int(self.at[-1])
        return (
            f"{self.ends.shape[2]} children of each of {len(self.ends)} trunks, parted at {len(self.at)} steps from "
            f"{first} to {last} of {self.steps}{stopped}: from the first to the last the loss barrier goes from "
            f"{self._ends_of(self.loss_barrier)}, the trace barrier from {self._ends_of(self.trace_barrier)}, the "
            f"lambda_max barrier from {self._ends_of(self.top_barrier)}.{unavailable(self.unavailable)}"
        )

    def _ends_of(self, barrier: Tensor) -> str:
        spread = "" if len(barrier) == 1 else " ± {:.2g}"
        pairs = zip(barrier.mean(0)[[0, -1]].tolist(), self.error(barrier)[[0, -1]].tolist(), strict=True)
        return " to ".join(f"{mean:.3g}" + spread.format(error) for mean, error in pairs)


@verb
def spawn(
    land: Landscape,
    *,
    at: Sequence[int],
    generator: torch.Generator,
    children: int = 2,
    trunks: int = 1,
    batch_size: int | None = 64,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    epochs: int = 60,
    optimizer: Optimizer = "sgd",
    schedule: Schedule = "cosine",
    points: int = 15,
    match_norms: bool = False,
    progress: Progress = None,
) -> Stream[Family]:
    """Train trunks, let children part from them at each step k, and measure the straight lines between siblings.

    Children take over all of the trunk's state at k (parameters, momentum, place in the schedule) and differ in the
    order of their batches alone. Trunks are independent, each from its own start; all run side by side. The children of
    one k do not depend on which other k are asked for, as long as these lie between epochs.

    Args:
        land: The landscape.
        at: Steps k, ascending, from 0 (the children share the start alone) to all steps (they are one).
        generator: Source of the starts, the shuffles and the probes.
        children, trunks: Children of each trunk at each k, at least 2; independent trunks T.
        batch_size, learning_rate, momentum, epochs, optimizer, schedule: Of a whole training, trunk and child together,
            as in ``train``.
        points: Points on a line, the ends included; odd, so that the midpoint is one of them.
        match_norms: Give each layer whose scale changes no output the ends' norm along the line (``Path.match_norms``):
            the same functions, and no curvature that comes from smaller norms alone.
        progress: True for a bar with the time left, or a callable given each snapshot.

    Returns:
        The Family; stopped early, of the k that are finished. (``ee.stream.spawn`` yields a snapshot after each.)

    Raises, Warns: As ``train``, of trunks and children.

    References:
        Frankle et al. (2020), ICML, arXiv:1912.05671: children of step k and the loss between them; Di Carlo, Goddard &
        Schwab (2025), arXiv:2512.06297: the curvature between them.

    Example:
        >>> land, g = ee.valleys.Waist(noise="curvature"), torch.Generator().manual_seed(0)
        >>> family = ee.spawn(land, at=[0, 30], epochs=30, batch_size=8, learning_rate=0.05, generator=g)
        >>> apart = (family.ends[0, :, 0] - family.ends[0, :, 1]).norm(dim=-1)
        >>> bool(apart[0] > 0), float(apart[1])  # parted at the end they are one
        (True, 0.0)
    """
    at = _checked(at, children, trunks, points)
    recipe = dict(zip(SETTINGS, (batch_size, learning_rate, momentum, epochs, optimizer, schedule), strict=True))
    seed = random_seed(generator)
    own = torch.Generator(generator.device)  # the trunks' shuffles, apart from the children's
    trunk = _trained(land, recipe, None, own.manual_seed(seed), runs=trunks, stop_at=0)
    if at[-1] > trunk.steps:
        raise ValueError(f"at must lie in [0, {trunk.steps}], the steps of this training, got {at}; raise epochs?")
    positions, probes = torch.linspace(0, 1, points, dtype=torch.float64), torch.Generator(generator.device)
    ends: list[Tensor] = []  # at each k (T, children, D)
    reasons: dict[str, str] = {}
    curves: list[list[Tensor]] = []  # at each k, for each quantity (T, pairs, points)
    for k in at:
        trunk = _trained(land, recipe, trunk, own, stop_at=k)
        shuffles = torch.Generator(generator.device).manual_seed(seed + 1 + k)
        theta = _trained(land, recipe, born(trunk, children), shuffles).theta.unflatten(0, (trunks, children))
        ends.append(detached(theta))
        pairs = [pair for siblings in theta for pair in itertools.combinations(siblings, 2)]
        lines = [_along(land, _line(land, a, b, positions, match_norms), probes, seed, reasons) for a, b in pairs]
        curves.append([torch.stack(one).unflatten(0, (trunks, -1)) for one in zip(*lines, strict=True)])
        family = Family(
            torch.tensor(at[: len(ends)]),
            positions,
            torch.stack(ends, 1),
            *(torch.stack(quantity, 1) for quantity in zip(*curves, strict=True)),
            steps=trunk.steps,
            recipe=recipe,
            unavailable=dict(reasons),
            complete=len(ends) == len(at),
        )
        yield _snapshot(family, trunks * len(at))


def born(trunk: Run, children: int) -> Run:
    """Return ``children`` equal copies of every run in ``trunk``, (T, D), side by side as one: (T·children, D)."""
    state = trunk.optimizer_state  # (S, T, D)
    return replace(
        trunk,
        theta=trunk.theta.repeat_interleave(children, 0),
        optimizer_state=None if state is None else state.repeat_interleave(children, 1),
        history_loss=trunk.history_loss.repeat_interleave(children, 1),
    )


def _trained(land: Landscape, recipe: dict[str, Any], start: Run | None, own: torch.Generator, **more: int) -> Run:
    """Train as a part of this call: Ctrl-C goes through, where the plain verb would return a shorter run."""
    stream = inspect.unwrap(train)(land, generator=own, start=start, **more, **recipe)
    for last in stream:
        run: Run = last.result
    return run


def _line(land: Landscape, a: Tensor, b: Tensor, positions: Tensor, match_norms: bool) -> Tensor:
    """Return the points of the straight line, (points, D), with the ends' norms along it if they are to be matched."""
    line = torch.lerp(a, b, positions.to(a)[:, None])
    return Path(line).match_norms(land).pivots if match_norms and not torch.equal(a, b) else line


def _along(
    land: Landscape, theta: Tensor, generator: torch.Generator, seed: int, reasons: dict[str, str]
) -> list[Tensor]:
    """Return the quantities of a ``Family`` on one line (points, D), each (points,); the same probes on every line."""
    points = len(theta)
    theta = theta if not torch.equal(theta[0], theta[-1]) else theta[:1]  # of one point once: round-off is no barrier
    with torch.no_grad():
        loss = land.loss(theta)
        decay = 0.5 * land.weight_decay * theta.square().sum(1)
    settings: dict[str, Any] = {"generator": generator, "weight_decay": False}

    def curved() -> list[Tensor]:
        generator.manual_seed(seed)
        ends = extreme_eigenvalues(land, theta, steps=24, **settings)  # as many products as in probe
        generator.manual_seed(seed)
        trace = land.trace(theta, **settings)
        return [trace.value, trace.error, ends.largest]

    missing = [torch.full_like(loss, torch.nan)] * 3
    found = missing if "curvature" in reasons else attempted(reasons, "curvature", curved, missing)
    curves = [loss, loss - decay, *found]
    if "test" in land.splits:
        curves.append(land.accuracy(theta, "test"))
    return [detached(curve.expand(points)) for curve in curves]


def _checked(at: Sequence[int], children: int, trunks: int, points: int) -> list[int]:
    """Return the steps as whole numbers, ascending."""
    steps = [int(k) for k in at]
    if not steps or any(k != whole for k, whole in zip(at, steps, strict=True)):
        raise ValueError(f"at takes at least one step, whole numbers, such as [0, 50, 200, 800]; got {list(at)}.")
    if steps[0] < 0 or any(a >= b for a, b in itertools.pairwise(steps)):
        raise ValueError(f"at takes steps from 0, ascending and each once, got {steps}; try {sorted(set(steps))}.")
    require_counts(2, children=children)
    require_counts(trunks=trunks)
    require_counts(3, points=points)
    if points % 2 == 0:
        raise ValueError(f"points must be odd and at least 3, so that the midpoint is one of them, got {points}.")
    return steps


def _positive(scale: Tensor, what: str, where: str) -> Tensor:
    if not bool((scale > 0).all()):
        raise ValueError(f"{what} {float(scale.min()):.3g} {where}.")
    return scale


def _snapshot(family: Family, total: int) -> Snapshot[Family]:
    loss, trace = float(family.loss_barrier[:, -1].mean()), float(family.trace_barrier[:, -1].mean())
    note = f"k {int(family.at[-1])}: loss barrier {loss:.3g}, trace barrier {trace:.3g}"
    return Snapshot(len(family.ends) * len(family.at), total, note, lambda: family)

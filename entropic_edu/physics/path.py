"""A road through parameter space: a chain of pivots, with positions in [0, 1] by arc length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .landscape import Landscape
from .results import Result, detached, finite
from .settings import require_counts

_BLOCK = 1_048_576  # numbers that are computed at once where all together would be a copy of many vectors
_TOGETHER = 67_108_864  # numbers of points between pivots that are held at once


class Projection(NamedTuple):
    """The nearest point of a path: its position in [0, 1] and the distance to it, one per walker."""

    position: Tensor
    distance: Tensor


@dataclass(frozen=True, eq=False)
class Path(Result):
    """A polyline from one minimum to another.

    Attributes:
        pivots: Points in order, shape (P, D); the first and last are the minima, bit for bit.
        losses: The objective at the pivots, shape (P,), or None where nobody measured it.
        losses_between: The objective at evenly spaced inner points of each segment, shape (P-1, M), or None.
        method, pivot_scallop: How it was built, and the scallop between the pivots that ``connect`` relaxed.
        residual: Largest force that is left across the band, over the largest slope on it or on the line between its
            ends; None where nothing was relaxed.
        converged: Whether the residual, or the barrier, is small enough that more sweeps would change little.
        sweeps: Sweeps that ``connect`` took; None where nothing was relaxed.
        change: By what share the second half of them changed the trace in the middle; None where nobody looked.
        landscape: Signature of the landscape it was built on; empty for a path made by hand, which fits any.

    Example:
        >>> path = ee.Path(torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]]))
        >>> path.length, path.at(0.75).tolist()
        (4.0, [3.0, 0.0])
        >>> where, distance = path.project(torch.tensor([1.0, 2.0]))
        >>> float(where), float(distance)
        (0.25, 2.0)
    """

    pivots: Tensor
    losses: Tensor | None = None
    losses_between: Tensor | None = None
    method: str = "given"
    landscape: str = ""
    pivot_scallop: float | None = None
    residual: float | None = None
    converged: bool | None = None
    sweeps: int | None = None
    change: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pivots", self.pivots.detach())
        if self.pivots.ndim != 2 or len(self.pivots) < 2:
            raise ValueError(f"A path needs pivots of shape (P, D) with P >= 2, got {tuple(self.pivots.shape)}.")
        if not self.pivots.is_floating_point():
            raise ValueError(f"A path needs pivots of a floating-point type, got {self.pivots.dtype}; use .float().")
        if not math.isfinite(self.length):  # a cheap look, which sees every NaN and infinity
            if not bool(self.pivots.isfinite().all()):
                raise ValueError("The pivots hold NaN or infinity; a path needs finite points.")
            raise ValueError("The path is longer than its numbers can hold; use pivots.double(), or smaller numbers.")
        if not self.length > 0:
            raise ValueError("The pivots all coincide, so the path has no length; give two different end points.")

    @cached_property
    def lengths(self) -> Tensor:
        """Length of each segment, shape (P-1,)."""
        return (self.pivots[1:] - self.pivots[:-1]).norm(dim=1)

    @cached_property
    def marks(self) -> Tensor:
        """Position of each pivot, shape (P,), from 0 to 1."""
        return _marks(self.lengths)

    @property
    def length(self) -> float:
        """Arc length."""
        return float(self.lengths.sum())

    @property
    def straight_length(self) -> float:
        """Distance between the end points."""
        return float((self.pivots[-1] - self.pivots[0]).norm())

    @property
    def saddle_loss(self) -> float:
        """Highest loss seen on the path, pivots and points between them; NaN where none was measured."""
        return float("nan") if self.losses is None else float(self._seen.max())

    @property
    def barrier(self) -> float:
        """Saddle loss above the higher end."""
        return float("nan") if self.losses is None else self.saddle_loss - float(self.losses[[0, -1]].max())

    @property
    def well(self) -> float:
        """How far below the lower end the lowest loss lies that was seen on the path; NaN where none was measured."""
        return float("nan") if self.losses is None else float(self.losses[[0, -1]].min() - self._seen.min())

    @property
    def _seen(self) -> Tensor:
        assert self.losses is not None
        between = [] if self.losses_between is None else [self.losses_between.flatten()]
        return torch.cat([self.losses, *between])

    @property
    def scallop(self) -> float:
        """Largest rise of the loss between neighbouring points, or relaxed pivots, above the line through theirs."""
        if self.losses is None or self.losses_between is None:
            return float("nan")
        own = float(scallops(self.losses, self.losses_between).max().clamp(min=0))
        return own if self.pivot_scallop is None else max(own, self.pivot_scallop)

    def at(self, position: float | Tensor) -> Tensor:
        """Return the point at a position in [0, 1], () -> (D,) or (n,) -> (n, D); the ends are bit for bit."""
        position, segment = self._segment(position)
        along = _along(position, self.marks, segment)
        if segment.ndim == 0:
            return torch.lerp(self.pivots[segment], self.pivots[segment + 1], along)
        points = self.pivots.new_empty(*segment.shape, self.pivots.shape[1])
        size = max(1, _BLOCK // self.pivots.shape[1])
        for row, here, share in zip(points.split(size), segment.split(size), along.split(size), strict=True):
            torch.lerp(self.pivots[here], self.pivots[here + 1], share[..., None], out=row)
        return points

    def tangent(self, position: float | Tensor) -> Tensor:
        """Return the unit vector along the path, towards position 1; the shape of ``at``."""
        _, segment = self._segment(position)
        step = self.pivots[segment + 1] - self.pivots[segment]
        return step.div_(step.norm(dim=-1, keepdim=True))

    def project(self, theta: Tensor) -> Projection:
        """Return position and distance of the nearest point of the path, for (D,) or (W, D)."""
        if theta.shape[-1] != self.pivots.shape[1]:
            raise ValueError(
                f"This path lives in {self.pivots.shape[1]} dimensions, got theta of shape {tuple(theta.shape)}; "
                "was the path made for another model?"
            )
        basis, start, step, (size, start_step, start_start) = self._span
        parts = []
        for some in (theta if theta.ndim == 2 else theta[None]).split(max(32, _BLOCK // theta.shape[-1])):
            offset = some - self.pivots[0]
            inside = offset @ basis.T  # (W, R)
            parts.append((inside.double(), offset.sub_(inside @ basis).square_().sum(1).double()))
        inside, outside = (torch.cat(each) for each in zip(*parts, strict=True))
        cross = inside @ step.T - start_step
        along = (cross / size).clamp(0, 1)  # (W, P-1); |inside|² is the same for all segments
        nearest = (start_start - 2 * inside @ start.T + along * (along * size - 2 * cross)).argmin(1)
        near = (nearest[:, None] + torch.tensor([-1, 0, 1], device=theta.device)).clamp(0, len(start) - 1)
        away = inside[:, None] - start[near]  # (W, 3, R); the best and its neighbours again, free of cancellation
        along = ((away * step[near]).sum(-1) / size[near]).clamp(0, 1)
        square, best = (away - along[..., None] * step[near]).square().sum(-1).min(1, keepdim=True)
        segment, along = (each.gather(1, best).squeeze(1) for each in (near, along))
        position = torch.lerp(self.marks[segment], self.marks[segment + 1], along.to(theta))
        distance = (square.squeeze(1) + outside).sqrt().to(theta)
        return Projection(position.view(theta.shape[:-1]), distance.view(theta.shape[:-1]))

    def resample(self, points: int) -> Path:
        """Return the path through ``points`` points of this one, evenly spaced in arc length."""
        require_counts(2, points=points)
        even = torch.linspace(0, 1, points, dtype=self.pivots.dtype, device=self.pivots.device)
        return self.through(self.at(even))

    def smooth(self, points: int) -> Path:
        """Return ``points`` points, evenly spaced, of the cubic spline through the pivots, which cuts fewer corners.

        Of many parameters no more than the pivots and the points of the result are held.
        """
        if len(self.pivots) < 4 or points < 2:
            return self.resample(points)
        return self.through(evenly(self._spline(np.linspace(0, 1, 4 * points)), self.pivots, points))

    def bent(self, inner: int) -> Tensor:
        """Return the pivots, and ``inner`` points of the spline between each two, ((P-1)(inner+1)+1, D)."""
        return torch.cat(list(self.bends(inner)))

    def bends(self, inner: int) -> Iterator[Tensor]:
        """Yield the same, 32 points at a time."""
        where = np.arange((len(self.pivots) - 1) * (inner + 1) + 1) / (inner + 1)
        marks = np.interp(where, np.arange(len(self.pivots)), self.marks.double().cpu().numpy())
        weights = self._spline(marks).to(self.pivots)
        weights[:: inner + 1] = torch.eye(len(self.pivots)).to(weights)
        for some in weights.split(32):
            yield some @ self.pivots

    def _spline(self, where: Any) -> Tensor:
        """Return the weights of the pivots in the cubic spline through them at positions (n,), (n, P)."""
        from scipy.interpolate import CubicSpline  # only here: scipy is slow to import

        return torch.as_tensor(CubicSpline(self.marks.double().cpu().numpy(), np.eye(len(self.pivots)))(where))

    def scale_free(self, land: Landscape) -> dict[str, slice]:
        """Return where the layers lie in θ whose scale changes no output, at the ends and the middle, by name."""
        return land.scale_free(self.pivots[[0, len(self.pivots) // 2, -1]])

    def match_norms(self, land: Landscape) -> Path:
        """Return the road with each layer whose scale changes no output at the norm that the ends have there.

        Roads between normalised networks sag towards the origin, where curvature, which goes as 1/‖w‖², is higher: so
        part of a raw road's bump is scale. Here each such layer (``scale_free``) has at each inner pivot the norm
        (1 - s)‖a‖ + s‖b‖, with s the position on this road, and the direction it had: the same function, up to the ε of
        the norms, and another weight-decay term. Between pivots norms sag still, by the share α²/8 for a layer that
        turns by the angle α from one pivot to the next: 0.1 % at 5 degrees.

        Args:
            land: The landscape of the road. Where nothing is scale-free the road stays as it is.

        Returns:
            The road with the same ends, bit for bit, and losses measured anew if this one has them.

        Raises:
            ValueError: If the road was made for another model.

        Example:
            >>> x, y = torch.eye(5), torch.arange(5) % 3
            >>> land = ee.Network(ee.models.mlp(5, 16, 3, norm="layer"), x, y)
            >>> generator = torch.Generator().manual_seed(0)
            >>> road = ee.Path(torch.stack([land.initial(generator) for _ in range(2)])).resample(5)
            >>> [round(float(n), 2) for n in road.pivots[:, :80].norm(dim=1)]
            [2.37, 1.89, 1.68, 1.83, 2.28]
            >>> [round(float(n), 2) for n in road.match_norms(land).pivots[:, :80].norm(dim=1)]
            [2.37, 2.35, 2.33, 2.3, 2.28]
        """
        self.check(land)
        pivots = self.pivots.clone()
        for part in self.scale_free(land).values():
            norms = pivots[:, part].norm(dim=1)
            wanted = torch.lerp(norms[0], norms[-1], self.marks)  # to the bit at the ends, which are multiplied by 1
            pivots[:, part] *= (wanted / norms)[:, None]
        matched = replace(self, pivots=pivots, losses=None, losses_between=None)
        return matched if self.losses is None else measured(land, matched)

    def through(self, pivots: Tensor) -> Path:
        """Return a path through other points, of the same method and landscape, whose losses nobody has measured."""
        known = ("losses", "losses_between", "pivot_scallop", "residual", "converged", "sweeps", "change")
        return replace(self, pivots=pivots, **dict[str, Any](dict.fromkeys(known)))

    def to(self, where: torch.device | torch.dtype) -> Path:
        """Return the path on another device or in another dtype."""
        return replace(self, pivots=self.pivots.to(where))

    def check(self, land: Landscape) -> None:
        """Raise a ValueError unless the path lives on a landscape of this dimension."""
        if self.pivots.shape[1] != land.dim:
            raise ValueError(
                f"This path lives in {self.pivots.shape[1]} dimensions and the landscape has {land.dim} parameters; "
                "the path was made for another model."
            )
        if self.landscape and self.landscape != land.signature:
            raise ValueError(
                f"This path was built on {self.landscape} and the landscape is {land.signature}: as many parameters in "
                "another arrangement; the path was made for another model."
            )

    def summary(self) -> str:
        height = f"highest loss {self.saddle_loss:.4g}, {self.barrier:.2g} above the higher end"
        measured = "loss not measured" if self.losses is None else f"{height}, scallops {self.scallop:.2g}"
        stopped = "" if self.complete else " (stopped early)"
        left = "" if self.sweeps is None else f", {self.sweeps} sweeps"
        if self.change is not None:
            left += f", of which the second half changed the middle's trace by {100 * self.change:.2g} %"
        if self.converged is False:
            left += f"; not converged, the force across it is {self.residual:.2g} of the slope on the straight line"
        return (
            f"{self.method} path of {len(self.pivots)} pivots, length {self.length:.3g} "
            f"({self.length / max(self.straight_length, 1e-30):.2f} x straight), {measured}{stopped}{left}."
        )

    def _segment(self, position: float | Tensor) -> tuple[Tensor, Tensor]:
        where = torch.as_tensor(position, dtype=self.marks.dtype, device=self.marks.device)
        if not bool(((where >= 0) & (where <= 1)).all()):
            raise ValueError(f"A position on a path lies in [0, 1], got {position}.")
        return where, _segments(where, self.marks, self.lengths)

    @cached_property
    def _span(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The constants of ``project``: a basis, and the segments in its coordinates.

        The basis (R, D) is orthonormal and spans all pivots, seen from the first. Starts and steps (P-1, R), and their
        products (3, P-1), are in float64.
        """
        basis, at = _spanned(self.pivots)
        start, step = at[:-1], at.diff(dim=0)
        products = [step.square().sum(1).clamp(min=1e-30), (start * step).sum(1), start.square().sum(1)]
        return basis, start, step, torch.stack(products)


def on(land: Landscape, path: Path | Sequence[Any]) -> Path:
    """Return a path on this landscape: the given one, or straight from one of several parameters to the next.

    Raises:
        ValueError: If it was made for another model, or these are no parameters of the landscape.
    """
    if not isinstance(path, Path):
        points = [land.vector(source) for source in path]
        for point in points:
            land.check(point)
            if point.ndim != 1:
                raise ValueError(
                    f"A point of a path has shape ({land.dim},), got {tuple(point.shape)}; give run.theta[0]."
                )
        if len(points) < 2:
            raise ValueError(f"A path has at least two points, got {len(points)}; ee.connect joins two ends.")
        path = Path(torch.stack(points), landscape=land.signature)
    path.check(land)
    return path


def evenly(weights: Tensor, points: Tensor, number: int) -> Tensor:
    """Return ``number`` points, even in arc length, of the polyline ``weights`` (n, P) @ ``points`` (P, D).

    The polyline is made at once where it is small, else twice in blocks; where that is too much work, its segments'
    lengths come from the products of the steps between points.
    """
    weights, numbers = weights.to(points.dtype), len(weights) * points.shape[1]
    if numbers <= _BLOCK:
        fine = weights.to(points.device) @ points
        fine[0], fine[-1] = points[0], points[-1]
        return Path(fine).resample(number).pivots
    if numbers <= _TOGETHER:
        return _evenly_in_blocks(weights.to(points.device), points, number)
    parts = (part.diff(dim=0) for part in points.split(65_536, 1))  # sums of so many are exact enough
    gram = torch.stack([(part @ part.T).double() for part in parts]).sum(0).cpu()
    steps = weights.double().diff(dim=0).cumsum(1)[:, :-1]  # in steps from point to point, backwards
    lengths = ((steps @ gram) * steps).sum(1).clamp(min=0).sqrt()
    marks = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]) / lengths.sum()
    rows = [np.interp(np.linspace(0, 1, number), marks.numpy(), column) for column in weights.double().numpy().T]
    even = torch.as_tensor(np.stack(rows, 1)).to(points) @ points
    even[0], even[-1] = points[0], points[-1]
    return even


def _evenly_in_blocks(weights: Tensor, points: Tensor, number: int) -> Tensor:
    """Return ``evenly`` to the bit of one product, holding little but the result."""
    first, last = torch.eye(weights.shape[1]).to(weights)[[0, -1]]
    weights = torch.cat([first[None], weights[1:-1], last[None]])
    segments = len(weights) - 1
    most = max(16, _BLOCK // points.shape[1])
    size = math.ceil(segments / math.ceil(segments / most))  # all alike: a product of two rows rounds otherwise
    blocks = (weights[at : at + size + 1] @ points for at in range(0, segments, size))
    lengths = torch.cat([block.diff(dim=0).norm(dim=1) for block in blocks])
    where, marks = torch.linspace(0, 1, number, dtype=points.dtype, device=points.device), _marks(lengths)
    segment = _segments(where, marks, lengths)
    even = points.new_empty(number, points.shape[1])
    for rows, here, share in zip(
        even.split(size), segment.split(size), _along(where, marks, segment).split(size), strict=True
    ):
        torch.lerp(weights[here] @ points, weights[here + 1] @ points, share[:, None], out=rows)
    return even


def _spanned(pivots: Tensor) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis (R, D) of the span of the pivots as seen from the first, and them in it, (P, R).

    Products of the pivots are enough for directions down to 4e-7 of the longest; what is left gives those below.
    Nothing but blocks of columns is held in float64.
    """
    dim, wide, longest = pivots.shape[1], max(1, _BLOCK // len(pivots)), 0.0
    blocks = [slice(i, i + wide) for i in range(0, dim, wide)]
    basis, at = pivots[:0], pivots.new_zeros(len(pivots), 0, dtype=torch.float64)

    def offsets(block: slice) -> Tensor:
        return (pivots[:, block] - pivots[0, block]).double()

    def left(block: slice) -> Tensor:
        return offsets(block) - at @ basis[:, block].double()

    for least in (4e-7, 32 * torch.finfo(pivots.dtype).eps):
        squares, turns = torch.linalg.eigh(torch.stack([left(each) @ left(each).T for each in blocks]).sum(0))
        sizes = squares.sqrt()  # NaN, and so not kept, where round-off is below zero
        longest = longest or float(sizes[-1])
        turns = (turns / sizes)[:, sizes > least * longest]
        if not turns.numel():
            break
        more = pivots.new_empty(turns.shape[1], dim)
        for each in blocks:
            more[:, each] = turns.T @ left(each)
        basis = more if not len(basis) else torch.cat([basis, more])
        gram = torch.stack([basis[:, each].double() @ basis[:, each].double().T for each in blocks]).sum(0)
        upright = torch.linalg.cholesky(gram)  # short directions come out of the products a little askew
        for each in blocks:
            basis[:, each] = torch.linalg.solve_triangular(upright, basis[:, each].double(), upper=False)
        at = torch.stack([offsets(each) @ basis[:, each].double().T for each in blocks]).sum(0)
    return basis, at


def _marks(lengths: Tensor) -> Tensor:
    """Return the positions of the ends of segments, (P-1,) -> (P,), from 0 to 1."""
    sums = torch.cat([lengths.new_zeros(1), lengths]).double().cumsum(0)
    return (sums / sums[-1]).to(lengths)


def _segments(where: Tensor, marks: Tensor, lengths: Tensor) -> Tensor:
    """Return in which segment positions lie."""
    real = lengths.nonzero().flatten()  # segments that have a length; two pivots may lie in one place
    return real[torch.searchsorted(marks[real], where.contiguous(), right=True) - 1]


def _along(where: Tensor, marks: Tensor, segment: Tensor) -> Tensor:
    """Return how far positions lie along their segments, from 0 to 1."""
    share = (where - marks[segment]) / (marks[segment + 1] - marks[segment])
    return share.nan_to_num(1.0)  # at the end of a road whose last segment is below round-off


def scallops(losses: Tensor, losses_between: Tensor) -> Tensor:
    """Return, per segment, how far the loss between two pivots rises above the line through them, (P-1,)."""
    inner = losses_between.shape[1]
    along = torch.arange(1, inner + 1, dtype=losses.dtype, device=losses.device) / (inner + 1)
    line = torch.lerp(losses[:-1, None], losses[1:, None], along)
    return (losses_between - line).max(1).values


def measured(land: Landscape, path: Path, inner: int = 3) -> Path:
    """Return the path with the objective on all data at its points and at ``inner`` points of each segment."""
    path.check(land)
    along = torch.arange(1, inner + 1, dtype=path.pivots.dtype, device=path.pivots.device) / (inner + 1)
    rows = 32 if 32 * land.dim <= _TOGETHER else 1  # at once
    with torch.no_grad():
        losses = torch.cat([land.loss(chunk) for chunk in path.pivots.split(rows)])
        places = torch.arange((len(losses) - 1) * inner).split(rows)
        between = (
            torch.lerp(path.pivots[some // inner], path.pivots[some // inner + 1], along[some % inner, None])
            for some in places
        )
        inside = torch.cat([land.loss(some) for some in between])
    for values in (losses, inside):
        finite(values, "The loss on the path", "lower the learning_rate of connect")
    return replace(path, losses=detached(losses), losses_between=detached(inside).view(len(losses) - 1, inner))

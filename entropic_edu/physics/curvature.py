"""The Hessian H of a landscape by its products with vectors: trace, both ends of the spectrum, and all of it.

H has D² entries and is never formed; one product Hv costs about two gradients. Everything below asks only for those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from .landscape import Landscape, random_signs
from .mean import Estimate
from .settings import require_counts

_BASIS = 67_108_864  # numbers that the Lanczos bases of several thetas may hold together


@dataclass(frozen=True, eq=False)
class Extremes:
    """Both ends of the Hessian's spectrum, each () or, for several thetas, (P,).

    Attributes:
        largest, smallest: Largest and smallest (most negative) eigenvalue.
        largest_error, smallest_error: An eigenvalue of H lies within this distance.
        converged: Whether both errors are below the tolerance times the larger of ``|largest|`` and ``|smallest|``.
        top_eigenvector: Unit eigenvector of ``largest``, (D,) or (P, D).
        steps: Most Hessian-vector products spent on a theta.
    """

    largest: Tensor
    smallest: Tensor
    largest_error: Tensor
    smallest_error: Tensor
    converged: Tensor
    top_eigenvector: Tensor
    steps: int


@dataclass(frozen=True, eq=False)
class SpectralDensity:
    """The distribution of the Hessian's eigenvalues as one Gauss quadrature for each probe.

    Attributes:
        nodes, weights: Eigenvalues, and the share of all that each stands for, (..., V, m); a probe has 1 in all.
        dim: Number of eigenvalues D.
    """

    nodes: Tensor
    weights: Tensor
    dim: int

    def trace_of(self, function: Callable[[Tensor], Tensor]) -> Estimate:
        """Return tr f(H), the sum of f over all eigenvalues, for an elementwise f; exact up to degree 2m-1 a probe."""
        return Estimate.of(self.dim * (self.weights * function(self.nodes)).sum(-1))


@torch.no_grad()
def hessian_vector_product(land: Landscape, theta: Tensor, vector: Tensor, *, weight_decay: bool = True) -> Tensor:
    """Return Hv, the derivative of the gradient along v: exact, and at the price of about two gradients.

    Args:
        land: Any landscape.
        theta: Where, (D,), or (P, D) with one vector for each row.
        vector: One vector v or several, (D,) or (V, D), which share the gradient and its graph; (P, D) where θ is.
        weight_decay: Whether H is that of the whole ``land.loss``; otherwise its constant part λI is left out.

    Raises:
        ValueError: If shapes do not match, or a product is not finite.

    References:
        Pearlmutter (1994), Neural Computation 6, 147.

    Example:
        >>> land = ee.valleys.Waist(g_narrow=16.0)
        >>> ee.curvature.hessian_vector_product(land, torch.zeros(2), torch.tensor([1.0, 1.0])).tolist()
        [16.0, 0.0]
    """
    land.check(theta)
    fits = vector.shape == theta.shape if theta.ndim == 2 else vector.ndim in (1, 2) and vector.shape[-1] == land.dim
    if not fits or len(vector) == 0:
        several = f"{tuple(theta.shape)}, one for each row of theta"
        wanted = several if theta.ndim == 2 else f"({land.dim},) or (V, {land.dim})"
        raise ValueError(f"vector must have shape {wanted}, got {tuple(vector.shape)}.")
    return _finite(land.hessian_vector_product(theta, vector, weight_decay=weight_decay))


def dense_hessian(land: Landscape, theta: Tensor, *, weight_decay: bool = True) -> Tensor:
    """Return the whole Hessian, (D, D), at one theta (D,) by D products; for lessons and tests, where D <= 4000.

    Example:
        >>> ee.curvature.dense_hessian(ee.valleys.Hyperbola(), torch.tensor([1.0, 1.0])).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    land.check(theta)
    if theta.ndim != 1 or land.dim > 4000:
        raise ValueError(
            f"A dense Hessian is made at one theta (D,) with D <= 4000, got shape {tuple(theta.shape)}; use "
            "hutchinson_trace, extreme_eigenvalues or spectral_density, which never form it."
        )
    eye = torch.eye(land.dim, dtype=theta.dtype, device=theta.device)
    return hessian_vector_product(land, theta, eye, weight_decay=weight_decay)


@torch.no_grad()
def curvature_along(land: Landscape, theta: Tensor, direction: Tensor, *, scale: float) -> Tensor:
    """Return (L(θ+hu) - 2L(θ) + L(θ-hu)) / h², the curvature along a direction as a step of length h sees it.

    Autograd does not see the kinks of a ReLU network, whose loss is smooth between them only; this does.

    Args:
        land: Any landscape; a network is copied to float64 at each call, so in a loop pass ``land.to(torch.float64)``.
        theta: Where, (D,) or (P, D).
        direction: Along which, (D,) for all or (P, D); its length is ignored.
        scale: Step h, in units of θ; float64 leaves round-off of about 10⁻¹⁵ L/h², and a network whose forward makes
            constants of its own precision, and so cannot be copied to float64, that of its precision.

    Raises:
        ValueError: If h is not positive, a direction is zero, shapes do not match, or a loss is not finite.

    Example:
        >>> across = torch.tensor([3.0, 0.0])
        >>> h = ee.curvature.curvature_along(ee.valleys.Waist(g_narrow=16.0), torch.zeros(2), across, scale=0.1)
        >>> round(float(h), 6)
        16.0
    """
    land.check(theta)
    if scale <= 0:
        raise ValueError(f"A second difference needs a step scale > 0, got {scale}.")
    if direction.shape not in {theta.shape, theta.shape[-1:]}:
        raise ValueError(f"direction must have shape ({land.dim},) or that of theta, got {tuple(direction.shape)}.")
    land = land.precise()
    kind = getattr(land, "dtype", torch.float64)
    theta, step = theta.to(kind), direction.to(kind)
    length = step.norm(dim=-1, keepdim=True)
    if not (length > 0).all():
        raise ValueError("A direction has length zero (or NaN), so there is nothing to follow; pass another.")
    step = step * (scale / length)
    return _finite((land.loss(theta + step) - 2 * land.loss(theta) + land.loss(theta - step)) / scale**2)


@torch.no_grad()
def hutchinson_trace(
    land: Landscape,
    theta: Tensor,
    *,
    num_probes: int = 16,
    generator: torch.Generator | None = None,
    probes: Tensor | None = None,
    weight_decay: bool = True,
    scale: Tensor | None = None,
) -> Estimate:
    """Return tr H as the mean of vᵀHv over random signs v, the same ones at every theta.

    Args:
        land, theta: Any landscape, and where, (D,) or (P, D).
        num_probes, generator: Number of probes V to draw, and their source.
        probes: Probes (V, D) to use instead; any with mean of vvᵀ equal to I.
        weight_decay: Whether the trace holds the λD of the weight decay.
        scale: s, (D,) or the shape of ``theta``, for the trace of diag(s) H diag(s); s = θ gives the adaptive trace.

    Raises:
        ValueError: If there is neither a generator nor probes, or shapes do not match.

    Example:
        >>> land, g = ee.valleys.Waist(g_narrow=16.0), torch.Generator().manual_seed(0)
        >>> trace = ee.curvature.hutchinson_trace(land, torch.zeros(2), generator=g)
        >>> float(trace.value), float(trace.error)  # of a diagonal H every probe gives the trace
        (16.0, 0.0)

    References:
        Hutchinson (1989), Commun. Stat. Simul. Comput. 18, 1059. Scaling: Dinh et al. (2017); Kwon et al. (2021).
    """
    probes = _probes(land, theta, num_probes, generator, probes)
    _rows(land, theta, scale)  # checks both
    estimate = land.probed_trace(theta, probes, weight_decay, scale)
    _finite(estimate.value)
    return estimate


@torch.no_grad()
def extreme_eigenvalues(
    land: Landscape,
    theta: Tensor,
    *,
    steps: int = 30,
    generator: torch.Generator,
    tolerance: float = 1e-3,
    weight_decay: bool = True,
    scale: Tensor | None = None,
) -> Extremes:
    """Return the largest and the smallest eigenvalue of H by the Lanczos iteration, at several theta at once.

    Power iteration finds the eigenvalue of largest size only; Lanczos finds both ends, in far fewer products, and
    bounds its own error. It stops early at each theta that has converged, or once all have where a landscape computes
    them together.

    Args:
        land, weight_decay, scale: As in ``hutchinson_trace``: the eigenvalues are those of diag(s) H diag(s).
        theta: Where, (D,) or (P, D); every row starts from the same random vector.
        steps, generator: Most products for each theta, and the source of the starting vector.
        tolerance: Error, relative to the eigenvalue of largest size, at which an end counts as converged.

    Raises:
        ValueError: If ``steps`` is below 1, shapes do not match, or a product is not finite.

    References:
        Parlett (1998), The Symmetric Eigenvalue Problem, chapter 13: residual bounds and re-orthogonalisation.

    Example:
        >>> ends = ee.curvature.extreme_eigenvalues(ee.valleys.Hyperbola(), torch.zeros(2), generator=torch.Generator())
        >>> round(float(ends.smallest), 4), round(float(ends.largest), 4), bool(ends.converged)  # a saddle
        (-1.0, 1.0, True)
    """
    rows, scales = _rows(land, theta, scale)
    require_counts(steps=steps)
    steps = min(steps, land.dim)
    start = torch.randn(land.dim, generator=generator, device=generator.device, dtype=theta.dtype).to(theta)
    together = max(1, _BASIS // (steps * land.dim)) if land.stacks else 1

    def ends_at(t: Tensor, s: Tensor) -> Extremes:
        times = _times(land, t if len(t) > 1 else t[0], weight_decay)
        return _extremes(lambda v: s * times(s * v), start.expand_as(t), steps, tolerance)

    parts = [ends_at(t, s) for t, s in zip(rows.split(together), scales.split(together), strict=True)]

    def joined(name: str) -> Tensor:
        many = torch.cat([getattr(part, name) for part in parts])
        return many if theta.ndim == 2 else many[0]

    ends = {field.name: joined(field.name) for field in fields(Extremes) if field.name != "steps"}
    return Extremes(**ends, steps=max(part.steps for part in parts))


@torch.no_grad()
def spectral_density(
    land: Landscape,
    theta: Tensor,
    *,
    num_probes: int = 4,
    steps: int = 24,
    generator: torch.Generator | None = None,
    probes: Tensor | None = None,
    weight_decay: bool = True,
) -> SpectralDensity:
    """Return the distribution of all D eigenvalues of H by stochastic Lanczos quadrature.

    Args:
        land, theta, num_probes, generator, weight_decay: As in ``hutchinson_trace``.
        steps: Products m for each probe, at most D.
        probes: Probes (V, D) to use instead; each is scaled to length √D.

    Example:
        >>> land = ee.valleys.Waist(g_narrow=16.0)
        >>> spectrum = ee.curvature.spectral_density(land, torch.zeros(2), generator=torch.Generator())
        >>> round(float(spectrum.trace_of(torch.square).value), 3)  # 16² + 0²
        256.0

    References:
        Ubaru, Chen & Saad (2017), SIAM J. Matrix Anal. Appl. 38, 1075; Ghorbani, Krishnan & Xiao (2019), ICML.
    """
    probes = _probes(land, theta, num_probes, generator, probes)
    require_counts(steps=steps)
    steps = min(steps, land.dim)

    def quadrature(t: Tensor) -> tuple[Tensor, Tensor]:
        *_, last = _lanczos(_times(land, t, weight_decay), probes, steps)
        nodes, vectors = last.eigen()
        return nodes.to(theta), vectors[:, 0].square().to(theta)

    nodes, weights = zip(*(quadrature(t) for t in theta.reshape(-1, land.dim)), strict=True)
    shape = (*theta.shape[:-1], len(probes), steps)
    return SpectralDensity(torch.stack(nodes).view(shape), torch.stack(weights).view(shape), land.dim)


@dataclass(frozen=True, eq=False)
class _Krylov:
    """R Lanczos runs after m steps: H ≈ Q T Qᵀ with Q the basis (R, m, D), T tridiagonal of diagonal and beside."""

    basis: Tensor
    diagonal: Tensor  # (R, m), float64 on the CPU, as is beside
    beside: Tensor  # (R, m); the last is the length of what H takes out of the basis

    def eigen(self) -> tuple[Tensor, Tensor]:
        """Return the eigenvalues (R, m), ascending, and eigenvectors (R, m, m) of T."""
        lower = torch.diag_embed(self.diagonal) + torch.diag_embed(self.beside[:, :-1], -1)  # eigh reads no more
        values, vectors = torch.linalg.eigh(lower)
        return values, vectors


def _lanczos(times: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Iterator[_Krylov]:
    """Yield R Lanczos runs after each step, with full re-orthogonalisation, from first vectors ``start`` (R, D).

    A run whose basis H maps into itself is finished: its T is padded by uncoupled copies of its first diagonal entry,
    and its basis by its first vector while others go on.
    """
    require_counts(steps=steps)
    basis = start.new_zeros(len(start), steps, start.shape[1])
    diagonal = torch.zeros(len(start), steps, dtype=torch.float64)
    beside = torch.zeros_like(diagonal)
    q = start / start.norm(dim=1, keepdim=True)
    alive = torch.ones(len(start), dtype=torch.bool)
    for m in range(steps):
        if alive.any():
            basis[:, m] = q
            w = times(q)
            along = (q * w).sum(1).to("cpu", torch.float64)
            earlier = basis[:, : m + 1]
            for _ in range(2):  # once leaves round-off along the basis, "twice is enough" (Parlett, section 6.9)
                w = torch.baddbmm(w[:, None], torch.bmm(w[:, None], earlier.mT), earlier, alpha=-1)[:, 0]
            length = w.norm(dim=1)
            beside[:, m] = length.to("cpu", torch.float64)
            diagonal[:, m] = torch.where(alive, along, diagonal[:, 0])
            size = (diagonal.abs() + beside).amax(1)  # so far
            alive &= beside[:, m] > 10 * torch.finfo(w.dtype).eps * size
            beside[:, m] *= alive
            q = torch.where(alive.to(w.device)[:, None], w / length[:, None], basis[:, 0])
        else:
            diagonal[:, m] = diagonal[:, 0]
        yield _Krylov(basis[:, : m + 1], diagonal[:, : m + 1], beside[:, : m + 1])


def _extremes(times: Callable[[Tensor], Tensor], start: Tensor, steps: int, tolerance: float) -> Extremes:
    for run in _lanczos(times, start, steps):
        m = run.diagonal.shape[1]
        if m % 5 and m < steps and run.beside[:, -1].any():  # T's eigenvalues are cheap, but not free
            continue
        values, vectors = run.eigen()
        errors = (run.beside[:, -1:] * vectors[:, -1].abs())[:, [-1, 0]]  # residual norms |Hx - λx|, (R, 2)
        converged = (errors <= tolerance * values.abs().amax(1, keepdim=True)).all(1)
        if converged.all():
            break
    top = torch.bmm(vectors[:, None, :, -1].to(start), run.basis)[:, 0]
    top = top / top.norm(dim=1, keepdim=True)
    largest, smallest, errors = values[:, -1].to(start), values[:, 0].to(start), errors.to(start)
    return Extremes(largest, smallest, errors[:, 0], errors[:, 1], converged.to(start.device), top, m)


def _times(land: Landscape, theta: Tensor, weight_decay: bool) -> Callable[[Tensor], Tensor]:
    """Return v ↦ Hv for many products at one theta, or at rows that are computed together."""
    product = land.hessian_at(theta, weight_decay=weight_decay)
    return lambda v: _finite(product(v))


def _finite(result: Tensor) -> Tensor:
    if not result.isfinite().all():
        raise ValueError(
            "The curvature is not finite here (NaN or infinity): theta has probably diverged; "
            "look at land.loss(theta), and train with a smaller learning rate."
        )
    return result


def _rows(land: Landscape, theta: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return theta and its scale as rows, (P, D) each."""
    land.check(theta)
    if scale is None:
        scale = theta.new_ones(())
    elif scale.shape not in {theta.shape, theta.shape[-1:]}:
        raise ValueError(f"scale must have shape ({land.dim},) or that of theta, got {tuple(scale.shape)}.")
    return theta.reshape(-1, land.dim), scale.expand(theta.shape).reshape(-1, land.dim)


def _probes(
    land: Landscape, theta: Tensor, number: int, generator: torch.Generator | None, probes: Tensor | None
) -> Tensor:
    """Return the given probes, checked, or random signs (V, D)."""
    land.check(theta)
    if probes is not None:
        if probes.ndim != 2 or probes.shape[1] != land.dim or len(probes) == 0:
            raise ValueError(f"probes must have shape (V, {land.dim}), got {tuple(probes.shape)}.")
        return probes.to(theta)
    require_counts(num_probes=number)
    if generator is None:
        raise ValueError("Random probes need generator=torch.Generator().manual_seed(0); or pass probes of your own.")
    return random_signs(number, theta, generator)

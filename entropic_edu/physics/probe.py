"""Third verb: measure the road. How high it is, how narrow it is, and what noise there is on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from numbers import Integral

import torch
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace, gradient_covariance, is_piecewise_linear

from .curvature import (
    curvature_along,
    dense_hessian,
    extreme_eigenvalues,
    hessian_vector_product,
    hutchinson_trace,
    spectral_density,
)
from .landscape import Landscape
from .mean import middle_over_ends
from .path import Path
from .results import Result, detached
from .snapshot import Progress, Snapshot, Stream, verb
from .valleys import Valley

_DENSE = 600  # up to this many parameters the whole Hessian is formed and nothing is estimated


@dataclass(frozen=True, eq=False)
class Profile(Result):
    """Height and width of a road at n positions; every tensor is (n,) unless said otherwise.

    Curvature is that of the data loss. Weight decay adds the constant λ to every eigenvalue and λD to the trace
    (``trace_with_decay``); it cannot make a bump.

    Attributes:
        position: Positions in [0, 1].
        loss: The whole objective.
        data_loss: The objective without its weight-decay term.
        trace: tr H.
        trace_error: Its standard error; 0 where the trace is exact (piecewise-linear nets, few parameters).
        top_eigenvalue: λ_max.
        top_error: A bound on its error from Lanczos.
        smallest_eigenvalue: The other end of the spectrum.
        adaptive_trace: Σθᵢ²Hᵢᵢ, which rescaling the layers of a ReLU net does not change.
        adaptive_top: Largest eigenvalue of diag(θ) H diag(θ), invariant likewise.
        noise: Trace of the covariance of per-sample gradients (B = 1), label noise included.
        norm: ‖θ‖.
        tangent_curvature: uᵀHu along the path by autograd; on a ReLU net it misses the kinks.
        finite_curvature: The second difference of the loss along the path over ``finite_scale``; it sees them.
        nodes, weights: Spectrum of H, (n, V, m); see ``curvature.SpectralDensity``.
        accuracy, test_accuracy: Of a classifier; None elsewhere.
        finite_scale: Step of ``finite_curvature``, a length in parameter space.
        length: Arc length of the path.
        dim: Number of parameters D.
        weight_decay: λ.
        label_ratio: Where the targets of squared loss are jittered, what that noise's covariance is in units of H
            (2σ²/C for the mean over C outputs); else 0.
    """

    position: Tensor
    loss: Tensor
    data_loss: Tensor
    trace: Tensor
    trace_error: Tensor
    top_eigenvalue: Tensor
    top_error: Tensor
    smallest_eigenvalue: Tensor
    adaptive_trace: Tensor
    adaptive_top: Tensor
    noise: Tensor
    norm: Tensor
    tangent_curvature: Tensor
    finite_curvature: Tensor
    nodes: Tensor
    weights: Tensor
    accuracy: Tensor | None = None
    test_accuracy: Tensor | None = None
    finite_scale: float = 0.0
    length: float = 0.0
    dim: int = 0
    weight_decay: float = 0.0
    label_ratio: float = 0.0

    @property
    def trace_with_decay(self) -> Tensor:
        """Trace of the Hessian of the whole objective: tr H + λD."""
        return self.trace + self.weight_decay * self.dim

    def spectral_sum(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the sum of f over all eigenvalues of H, per probe: (n, V)."""
        return self.dim * (self.weights * function(self.nodes)).sum(-1)

    def bump(self, values: Tensor) -> float:
        """Return the mean of ``values`` over the middle third of the road, over the mean of its two ends."""
        return float(middle_over_ends(self.position, values))

    def summary(self) -> str:
        stopped = "" if self.complete else " (stopped early)"
        if len(self.position) < 3:
            return f"Profile of {len(self.position)} points{stopped}."
        bumps = {
            "trace": self.bump(self.trace),
            "lambda_max": self.bump(self.top_eigenvalue),
            "adaptive trace": self.bump(self.adaptive_trace),
        }
        told = ", ".join(f"{name} {value:.2f}" for name, value in bumps.items() if math.isfinite(value))
        return (
            f"Profile of {len(self.position)} points{stopped}: loss {float(self.loss.min()):.3g} to "
            f"{float(self.loss.max()):.3g}; middle third over the mean of the ends: {told}."
        )


@verb
def probe(
    land: Landscape,
    path: Path,
    *,
    generator: torch.Generator,
    points: int = 25,
    num_probes: int = 4,
    lanczos_steps: int = 24,
    progress: Progress = None,
) -> Stream[Profile]:
    """Measure loss, curvature and gradient noise at evenly spaced points of a path.

    The same random probes serve at every point, so that differences along the path are far more precise than each
    value. Up to 600 parameters nothing is random: the whole Hessian is formed.

    Args:
        land: The landscape.
        path: A path on it.
        generator: Source of the probes.
        points: Number of points n, the ends included.
        num_probes: Probes V for the spectrum and, on networks that are not piecewise linear, for the traces.
        lanczos_steps: Products m for each probe, and for each end of the spectrum.
        progress: True for a bar with the time left, or a callable given each snapshot.

    Returns:
        The Profile. (``ee.stream.probe`` yields a snapshot after every few points.)

    Raises:
        ValueError: If the path belongs to another model or ``points`` is below 2.
    """
    path.check(land)
    if not isinstance(points, Integral) or points < 2:
        raise ValueError(f"probe needs at least the 2 ends, got points={points!r}; give a whole number.")
    where = torch.linspace(0, 1, points, dtype=path.pivots.dtype)
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    exact = isinstance(land, Network) and land.dim > _DENSE and is_piecewise_linear(land, generator=generator)
    finite_scale = path.length / 100
    precise = _in_float64(land)
    found: Profile | None = None
    for some in where.split(5 if land.dim < 50_000 else 1):
        fresh = torch.Generator(generator.device).manual_seed(seed)  # the same probes at every point
        theta = path.at(some.to(path.pivots.device))
        new = _measure(land, theta, fresh, num_probes, lanczos_steps, exact)
        along = path.tangent(some.to(path.pivots.device))
        new = replace(
            new,
            position=some,
            tangent_curvature=detached(
                (hessian_vector_product(land, theta, along, weight_decay=False) * along).sum(-1)
            ),
            finite_curvature=_finite_curvature(precise, land, theta, along, finite_scale),
            finite_scale=finite_scale,
            length=path.length,
        )
        found = new if found is None else _joined(found, new)
        done = len(found.position)
        yield _snapshot(replace(found, complete=done == points), points)


def _measure(
    land: Landscape, theta: Tensor, generator: torch.Generator, num_probes: int, steps: int, exact: bool
) -> Profile:
    """All but what needs the path, at (P, D)."""
    empty = theta.new_zeros(0)
    with torch.no_grad():
        loss = land.loss(theta)
        decay = 0.5 * land.weight_decay * theta.square().sum(-1)
    traces = _dense(land, theta) if land.dim <= _DENSE else _sparse(land, theta, generator, num_probes, steps, exact)
    network = land if isinstance(land, Network) else None
    classes = network is not None and network.has_classes
    mse_targets = network is not None and network.loss_name == "mse" and network.label_noise > 0
    return Profile(
        position=empty,
        loss=detached(loss),
        data_loss=detached(loss - decay),
        trace=detached(traces[0]),
        trace_error=detached(traces[1]),
        top_eigenvalue=detached(traces[2]),
        top_error=detached(traces[3]),
        smallest_eigenvalue=detached(traces[4]),
        adaptive_trace=detached(traces[5]),
        adaptive_top=detached(traces[6]),
        noise=detached(_noise(land, theta, traces[0])),
        norm=detached(theta.norm(dim=-1)),
        tangent_curvature=empty,
        finite_curvature=empty,
        nodes=detached(traces[7]),
        weights=detached(traces[8]),
        accuracy=detached(network.accuracy(theta)) if network is not None and classes else None,
        test_accuracy=detached(network.accuracy(theta, "test"))
        if network is not None and classes and network.test
        else None,
        dim=land.dim,
        weight_decay=land.weight_decay,
        label_ratio=2 * network.label_noise**2 / network.y.shape[-1] if network is not None and mse_targets else 0.0,
    )


def _dense(land: Landscape, theta: Tensor) -> list[Tensor]:
    """Everything from the whole Hessian: exact up to round-off."""
    hessian = torch.stack([dense_hessian(land, t, weight_decay=False) for t in theta])
    values = torch.linalg.eigvalsh(hessian.double()).to(theta)  # (P, D)
    adaptive = theta[:, :, None] * hessian * theta[:, None]
    top = torch.linalg.eigvalsh(adaptive.double())[:, -1].to(theta)
    zero = torch.zeros_like(values[:, 0])
    trace, adaptive_trace = values.sum(-1), adaptive.diagonal(dim1=1, dim2=2).sum(-1)
    weights = torch.full_like(values, 1 / land.dim)
    return [trace, zero, values[:, -1], zero, values[:, 0], adaptive_trace, top, values[:, None], weights[:, None]]


def _sparse(
    land: Landscape, theta: Tensor, generator: torch.Generator, num_probes: int, steps: int, exact: bool
) -> list[Tensor]:
    """Everything from products: the exact trace where the net is piecewise linear, Hutchinson's elsewhere."""
    density = spectral_density(land, theta, num_probes=num_probes, steps=steps, generator=generator, weight_decay=False)
    ends = extreme_eigenvalues(land, theta, steps=steps, generator=generator, weight_decay=False)
    adaptive = extreme_eigenvalues(land, theta, steps=steps, generator=generator, weight_decay=False, scale=theta)
    if exact and isinstance(land, Network):
        trace = exact_trace(land, theta, weight_decay=False)
        error = torch.zeros_like(trace)
        adaptive_trace = exact_trace(land, theta, weight_decay=False, scale=theta)
    else:
        count = max(16, num_probes)
        raw = hutchinson_trace(land, theta, num_probes=count, generator=generator, weight_decay=False)
        trace, error = raw.value, raw.error
        adaptive_trace = hutchinson_trace(
            land, theta, num_probes=count, generator=generator, weight_decay=False, scale=theta
        ).value
    return [
        trace,
        error,
        ends.largest,
        ends.largest_error,
        ends.smallest,
        adaptive_trace,
        adaptive.largest,
        density.nodes,
        density.weights,
    ]


def _noise(land: Landscape, theta: Tensor, trace: Tensor) -> Tensor:
    if isinstance(land, Network):
        return gradient_covariance(land, theta).trace
    if isinstance(land, Valley):
        return land.noise_scale**2 * (torch.full_like(trace, 2.0) if land.noise == "isotropic" else trace)
    return torch.zeros_like(trace)


def _in_float64(land: Landscape) -> Landscape:
    """The landscape in float64, on the CPU where the device has no such numbers."""
    if not isinstance(land, Network):
        return land
    return (land.to("cpu") if land.device.type == "mps" else land).to(torch.float64)


def _finite_curvature(precise: Landscape, land: Landscape, theta: Tensor, along: Tensor, scale: float) -> Tensor:
    """Second difference of the data loss in float64."""
    where = precise.device if isinstance(precise, Network) else theta.device
    point, direction = theta.to(where).double(), along.to(where).double()
    whole = curvature_along(precise, point, direction, scale=scale)
    return detached(whole - land.weight_decay).to(theta.dtype)


def _joined(one: Profile, two: Profile) -> Profile:
    def both(name: str) -> object:
        a, b = getattr(one, name), getattr(two, name)
        return torch.cat([a, b]) if isinstance(a, Tensor) else a

    return Profile(**{f.name: both(f.name) for f in fields(Profile)})  # type: ignore[arg-type]


def _snapshot(profile: Profile, points: int) -> Snapshot[Profile]:
    note = f"trace {float(profile.trace[-1]):.3g}, lambda_max {float(profile.top_eigenvalue[-1]):.3g}"
    return Snapshot(len(profile.position), points, note if math.isfinite(profile.length) else "", lambda: profile)

"""Third verb: measure the road. How high it is, how narrow it is, and what noise there is on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from .curvature import curvature_along, dense_hessian, extreme_eigenvalues, hessian_vector_product, spectral_density
from .landscape import Landscape, random_seed
from .mean import Mean, middle_over_ends
from .noise import Noise
from .path import Path, on
from .results import Result, attempted, detached, unavailable
from .settings import require_counts
from .snapshot import Progress, Snapshot, Stream, verb
from .theory import narrowing_of

_CURVATURE = (
    "trace",
    "trace_error",
    "top_eigenvalue",
    "top_error",
    "smallest_eigenvalue",
    "adaptive_trace",
    "adaptive_top",
)
_DENSE = 600  # up to this many parameters the whole Hessian is formed and nothing is estimated


@dataclass(frozen=True, eq=False)
class Profile(Result):
    """Height and width of a road at n positions; every tensor is (n,) but for two.

    Curvature is that of the data loss. Weight decay adds the constant λ to every eigenvalue and λD to the trace
    (``trace_with_decay``); it cannot make a bump.

    Attributes:
        position: Positions in [0, 1].
        loss, data_loss: The objective with and without its weight-decay term.
        trace, trace_error: tr H and its standard error; 0 where it is exact (piecewise-linear nets, few parameters).
        top_eigenvalue, top_error: λ_max and a bound on its error from Lanczos.
        smallest_eigenvalue: The other end of the spectrum.
        adaptive_trace, adaptive_top: Σθᵢ²Hᵢᵢ and λ_max of diag(θ) H diag(θ), which rescaling ReLU layers leaves alone.
        noise, norm: Trace of the covariance of per-sample gradients (B = 1), label noise included; ‖θ‖.
        tangent_curvature: uᵀHu along the path by autograd; on a ReLU net it misses the kinks.
        finite_curvature: The second difference of the loss along the path over ``finite_scale``; it sees them.
        nodes, weights: Spectrum of H, (n, V, m); see ``curvature.SpectralDensity``.
        accuracy, test_accuracy: Of a classifier; None elsewhere.
        finite_scale, length: Step of ``finite_curvature``, and arc length of the path, in parameter space.
        dim, weight_decay, label_ratio, noise_shape: Of the landscape, see ``Landscape``.
        unavailable: What torch cannot compute for this landscape, by name, with the reason; its numbers are NaN.
        norms: ‖w‖ of each layer whose scale changes no output, (n, layers), see ``Path.match_norms``; None without.
        layers: Names of these.

    Example:
        >>> land = ee.valleys.Waist(g_wide=1.0, g_narrow=16.0, width=0.1)
        >>> profile = ee.probe(land, ee.Path(land.floor(41)), points=5, generator=torch.Generator())
        >>> [round(float(h), 2) for h in profile.trace]  # narrow in the middle
        [1.0, 1.0, 16.0, 1.0, 1.0]
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
    noise_shape: str = "curvature"
    unavailable: dict[str, str] = field(default_factory=dict)
    norms: Tensor | None = None
    layers: list[str] = field(default_factory=list)

    @property
    def trace_with_decay(self) -> Tensor:
        """Trace of the Hessian of the whole objective: tr H + λD."""
        return self.trace + self.weight_decay * self.dim

    def spectral_sum(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the sum of f over all eigenvalues of H, per probe: (n, V)."""
        return self.dim * (self.weights * function(self.nodes)).sum(-1)

    @property
    def threshold(self) -> Tensor:
        """T* = L / tr C of the data loss, (n,): in units of η/((1-m)B), the temperature past which noise feeds itself.

        Off the road both grow. Below T* a walker's batches cost it less loss than would make their noise as strong
        again; above it walkers ignite, until a projection puts them out.
        """
        return self.data_loss / self.noise

    def narrowing(
        self,
        *,
        learning_rate: float,
        momentum: float = 0.0,
        project_every: int | None = 15,
        noise: str | Noise | None = None,
    ) -> Mean:
        """Return Λ(s), how fast the road narrows, and its standard error from the probes, (n,) each, 1 over a length.

        Walkers that carry the excess loss ⟨ΔL⟩ are pushed by -Λ⟨ΔL⟩. It is ½ d tr Ψ(H)/ds over ½ tr[H u(H) φ(H+λ)]
        with Ψ' = uφ, as ``theory`` has them: the strength of the noise, and so the batch size, drops out. In a valley
        of one curvature h it is d ln h/ds, whatever the noise.

        Args:
            learning_rate, momentum, project_every, noise: As in ``drift``: they say how the spread is shared among
                directions.

        Raises:
            ValueError: If a setting is out of range, or past the stability limit on this road.

        Example:
            >>> land = ee.valleys.Hyperbola()  # h = 2 cosh 2y
            >>> profile = ee.probe(land, ee.Path(land.floor(401)), points=201, generator=torch.Generator())
            >>> rate = profile.narrowing(learning_rate=0.01).value  # per arc length; the floor's middle is the widest
            >>> [round(float(rate[at]), 2) for at in (50, 150)]
            [-0.88, 0.88]
        """
        return narrowing_of(self, learning_rate, momentum, project_every, noise)

    def bump(self, values: Tensor) -> float:
        """Return the mean of ``values`` over the middle third of the road, over the mean of its two ends."""
        return float(middle_over_ends(self.position, values))

    def summary(self) -> str:
        stopped = "" if self.complete else " (stopped early)"
        if len(self.position) < 3:
            return f"Profile of {len(self.position)} points{stopped}.{unavailable(self.unavailable)}"
        bumps = {
            "trace": self.bump(self.trace),
            "lambda_max": self.bump(self.top_eigenvalue),
            "adaptive trace": self.bump(self.adaptive_trace),
        }
        ratios = ", ".join(f"{name} {value:.2f}" for name, value in bumps.items() if math.isfinite(value))
        middle = f"; middle third over the mean of the ends: {ratios}" if ratios else ""
        return (
            f"Profile of {len(self.position)} points{stopped}: loss {float(self.loss.min()):.3g} to "
            f"{float(self.loss.max()):.3g}{middle}.{unavailable(self.unavailable)}"
        )


@verb
def probe(
    land: Landscape,
    path: Path | Sequence[Any],
    *,
    generator: torch.Generator,
    points: int = 25,
    num_probes: int = 4,
    lanczos_steps: int = 24,
    progress: Progress = None,
) -> Stream[Profile]:
    """Measure loss, curvature and gradient noise at evenly spaced points of a path.

    The same random probes serve at every point, so that differences along the path are far more precise than each
    value. Up to 600 parameters nothing is random.

    Args:
        land, path: The landscape, and a path on it; or several parameters, in any form that ``connect`` takes, with
            straight lines between them.
        generator: Source of the probes.
        points: Number of points n, the ends included.
        num_probes, lanczos_steps: Probes V for the spectrum (and for traces that are not exact), and products m for
            each probe and each end of the spectrum.
        progress: True for a bar with the time left, or a callable given each snapshot.

    Raises:
        ValueError: If the path belongs to another model or ``points`` is below 2.

    Example:
        >>> land = ee.valleys.Hyperbola()
        >>> profile = ee.probe(land, ee.Path(land.floor(201)), points=3, generator=torch.Generator())
        >>> [round(float(h), 2) for h in profile.top_eigenvalue]  # 2 cosh 2y at y = -1, 0 and 1
        [7.52, 2.0, 7.52]
    """
    path = on(land, path)
    require_counts(2, points=points)  # at least the ends
    require_counts(num_probes=num_probes, lanczos_steps=lanczos_steps)
    where = torch.linspace(0, 1, points, dtype=path.pivots.dtype)
    seed = random_seed(generator)
    reasons: dict[str, str] = {}
    exact = land.dim > _DENSE and attempted({}, "", lambda: land.has_exact_trace(generator), False)
    finite_scale, free = path.length / 100, path.scale_free(land)
    precise = land.precise()
    whole: Profile | None = None
    for some in where.split(5 if land.dim < 50_000 else 1):
        fresh = torch.Generator(generator.device).manual_seed(seed)  # the same probes at every point
        theta, along = path.at(some.to(path.pivots.device)), path.tangent(some.to(path.pivots.device))
        part = _measure(land, theta, fresh, num_probes, lanczos_steps, exact, reasons)
        nothing = torch.full_like(theta, torch.nan)

        def times(theta: Tensor = theta, along: Tensor = along) -> Tensor:
            return hessian_vector_product(land, theta, along, weight_decay=False)

        product = nothing if "curvature" in reasons else attempted(reasons, "curvature", times, nothing)
        place = getattr(precise, "device", theta.device), getattr(precise, "dtype", torch.float64)
        bent = curvature_along(precise, theta.to(*place), along.to(*place), scale=finite_scale)
        part = replace(
            part,
            position=some,
            tangent_curvature=detached((product * along).sum(1)),
            finite_curvature=detached(bent - land.weight_decay).to(theta.dtype),
            finite_scale=finite_scale,
            length=path.length,
            norms=detached(torch.stack([theta[:, w].norm(dim=1) for w in free.values()], 1)) if free else None,
            layers=list(free),
        )
        whole = part if whole is None else _joined(whole, part)
        done = len(whole.position)
        yield _snapshot(replace(whole, complete=done == points), points)


def _measure(
    land: Landscape,
    theta: Tensor,
    generator: torch.Generator,
    probes: int,
    steps: int,
    exact: bool,
    reasons: dict[str, str],
) -> Profile:
    """Return all but what needs the path, at (P, D); ``reasons`` say what cannot be had, and is not tried again."""
    empty = theta.new_zeros(0)
    with torch.no_grad():
        loss = land.loss(theta)
        decay = 0.5 * land.weight_decay * theta.square().sum(1)

    def curved() -> dict[str, Tensor]:
        return _dense(land, theta) if land.dim <= _DENSE else _sparse(land, theta, generator, probes, steps, exact)

    nothing = torch.full_like(loss, torch.nan)
    missing = dict.fromkeys(_CURVATURE, nothing) | dict.fromkeys(("nodes", "weights"), nothing[:, None, None])
    values = missing if "curvature" in reasons else attempted(reasons, "curvature", curved, missing)
    noise = nothing if "noise" in reasons else attempted(reasons, "noise", lambda: land.noise_trace(theta), nothing)
    for name, value in (("curvature", values["trace"]), ("noise", noise)):
        if name not in reasons and not bool(value.isfinite().all()):
            reasons[name] = f"past the range of {theta.dtype}; scale the inputs, or take land.to(torch.float64)"
    curvature: dict[str, Any] = {name: detached(value) for name, value in values.items()}
    scores = {split: detached(land.accuracy(theta, split)) for split in land.splits}
    return Profile(
        position=empty,
        loss=detached(loss),
        data_loss=detached(loss - decay),
        noise=detached(noise),
        norm=detached(theta.norm(dim=1)),
        tangent_curvature=empty,
        finite_curvature=empty,
        accuracy=scores.get("train"),
        test_accuracy=scores.get("test"),
        dim=land.dim,
        weight_decay=land.weight_decay,
        label_ratio=land.label_ratio,
        noise_shape=land.noise_shape,
        unavailable=reasons,
        **curvature,
    )


def _dense(land: Landscape, theta: Tensor) -> dict[str, Tensor]:
    """What a profile says of H, from the whole of it: exact up to round-off."""
    hessian = torch.stack([dense_hessian(land, t, weight_decay=False) for t in theta])
    values = torch.linalg.eigvalsh(hessian.double()).to(theta)  # (P, D)
    adaptive, exact = theta[:, :, None] * hessian * theta[:, None], values.new_zeros(len(values))
    return {
        "trace": values.sum(1),
        "trace_error": exact,
        "top_eigenvalue": values[:, -1],
        "top_error": exact,
        "smallest_eigenvalue": values[:, 0],
        "adaptive_trace": adaptive.diagonal(dim1=1, dim2=2).sum(1),
        "adaptive_top": torch.linalg.eigvalsh(adaptive.double())[:, -1].to(theta),
        "nodes": values[:, None],
        "weights": torch.full_like(values, 1 / land.dim)[:, None],
    }


def _sparse(
    land: Landscape, theta: Tensor, generator: torch.Generator, num_probes: int, steps: int, exact: bool
) -> dict[str, Tensor]:
    """The same from products; the traces are exact where the landscape knows them."""
    lanczos: dict[str, Any] = {"steps": steps, "generator": generator, "weight_decay": False}
    density = spectral_density(land, theta, num_probes=num_probes, **lanczos)
    ends = extreme_eigenvalues(land, theta, **lanczos)
    adaptive = extreme_eigenvalues(land, theta, scale=theta, **lanczos)
    probes = num_probes if exact else max(16, num_probes)
    trace = land.trace(theta, generator=generator, num_probes=probes, weight_decay=False)
    scaled = land.trace(theta, generator=generator, num_probes=probes, weight_decay=False, scale=theta)
    return {
        "trace": trace.value,
        "trace_error": trace.error,
        "top_eigenvalue": ends.largest,
        "top_error": ends.largest_error,
        "smallest_eigenvalue": ends.smallest,
        "adaptive_trace": scaled.value,
        "adaptive_top": adaptive.largest,
        "nodes": density.nodes,
        "weights": density.weights,
    }


def _joined(one: Profile, two: Profile) -> Profile:
    names = [f.name for f in fields(Profile) if isinstance(getattr(one, f.name), Tensor)]
    both: dict[str, Any] = {name: torch.cat([getattr(one, name), getattr(two, name)]) for name in names}
    return replace(one, **both)


def _snapshot(profile: Profile, points: int) -> Snapshot[Profile]:
    note = f"trace {float(profile.trace[-1]):.3g}, lambda_max {float(profile.top_eigenvalue[-1]):.3g}"
    return Snapshot(len(profile.position), points, note, lambda: profile)

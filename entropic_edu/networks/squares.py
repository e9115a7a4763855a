"""What per-sample backward passes give exactly: the trace of the Hessian, and the covariance of gradient noise.

One sum serves both. With J the Jacobian of a sample's outputs by θ and r a vector on those outputs, Jᵀr is one
backward pass, and

    tr H = E Σ_c |Jᵀr_c|²   where   Σ_c r_c r_cᵀ = H_out, the Hessian of the sample's loss by its outputs,
    E|g|² = E |Jᵀr|²        where   r is the derivative of the sample's loss by its outputs.

The rows r are the loss's (``losses``), the passes the engine's. What a user calls is in ``per_sample``.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from .engine import Engine, anywhere, normal

_LINEAR: WeakKeyDictionary[Engine, bool] = WeakKeyDictionary()


def gauss_newton_trace(engine: Engine, theta: Tensor, x: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return tr E Jᵀ H_out J, or Σ sᵢ² of its diagonal, (D,) -> () or (P, D) -> (P,)."""
    if engine.reestimates:
        rows = theta.reshape(-1, theta.shape[-1])
        scales = [None] * len(rows) if scale is None else list(scale.expand(rows.shape))
        each = [gauss_newton_trace(engine.with_statistics_of(t), t, x, y, s) for t, s in zip(rows, scales, strict=True)]
        return torch.stack(each).view(theta.shape[:-1])
    return engine.squares(theta, x, y, engine.criterion.curvature_rows, scale)


def is_piecewise_linear(engine: Engine, generator: torch.Generator) -> bool:
    """Return whether no output is curved along any one parameter tensor: ``per_sample.is_piecewise_linear``."""
    precise, theta = anywhere(engine, generator)
    x = precise.few.x
    weights = normal(precise.outputs(theta, x), generator)
    zero = theta.new_zeros(())
    for place in precise.layout.slices.values():
        direction = F.pad(normal(theta[place], generator), (place.start, len(theta) - place.stop))

        def along(t: Tensor, direction: Tensor = direction) -> Tensor:
            return (weights * precise.outputs(theta + t * direction, x)).sum()

        first, second = torch.func.grad(along)(zero), torch.func.grad(torch.func.grad(along))(zero)
        if second.abs() > 1e-9 * first.abs():  # round-off is 1e-16, a smooth activation gives about 1
            return False
    return True


def is_known_piecewise_linear(engine: Engine) -> bool:
    """Return the same from a measurement that is made once for each engine; False for re-estimated batch norm."""
    if engine.reestimates:
        return False
    if engine not in _LINEAR:  # any generic probe gives the same answer: it is a property of the module
        _LINEAR[engine] = is_piecewise_linear(engine, torch.Generator().manual_seed(0))
    return _LINEAR[engine]


def check_finite(theta: Tensor) -> None:
    """Raise a ValueError where θ holds NaN or infinity."""
    if not bool(theta.isfinite().all()):
        raise ValueError("theta holds NaN or infinity, so it has no curvature; it has probably diverged.")


@dataclass(frozen=True, eq=False)
class GradientCovariance:
    """Covariance of one sample's gradient (B = 1) of the data loss; a batch of B drawn with replacement has 1/B of it.

    Attributes:
        trace: tr C = E|g|² - |E g|², () or (P,).
        eigenvalues: Largest eigenvalues of C, descending, (k,) or (P, k).
        mean_square_norm: E|g|², () or (P,).
    """

    trace: Tensor
    eigenvalues: Tensor
    mean_square_norm: Tensor


def covariance(
    engine: Engine,
    theta: Tensor,
    x: Tensor,
    y: Tensor,
    *,
    chosen: Tensor | None = None,
    num_eigenvalues: int = 0,
    chunk: int = 64,
) -> GradientCovariance:
    """Return the covariance of per-sample gradients; label noise is in it.

    Args:
        engine: What computes.
        theta: (D,) or (P, D).
        x: Inputs (N, ...).
        y: Targets (N, ...).
        chosen: Samples (n,) whose Gram matrix gives the eigenvalues.
        num_eigenvalues: How many of these.
        chunk: Samples whose whole gradients are formed at once.

    Raises:
        ValueError: If the loss has no rule for label noise.
    """
    if not engine.criterion.averages_noise(y):
        raise ValueError(
            f"The covariance due to label_noise is known for mse and for class labels, not for "
            f"{engine.criterion.name!r} with targets of type {y.dtype}; use label_noise=0."
        )
    if engine.reestimates:
        each = [
            covariance(
                engine.with_statistics_of(t), t, x, y, chosen=chosen, num_eigenvalues=num_eigenvalues, chunk=chunk
            )
            for t in theta.reshape(-1, theta.shape[-1])
        ]
        fields = ([r.trace for r in each], [r.eigenvalues for r in each], [r.mean_square_norm for r in each])
        return GradientCovariance(*(torch.stack(f).view((*theta.shape[:-1], *f[0].shape)) for f in fields))
    square = engine.squares(theta, x, y, engine.criterion.gradient_rows)
    trace = (square - engine.mean_gradient(theta, x, y).square().sum(-1)).clamp(min=0)
    eigenvalues = theta.new_zeros(*theta.shape[:-1], 0)
    if chosen is not None:
        rows = theta.reshape(-1, theta.shape[-1])
        largest = [_top_eigenvalues(engine.gram(t, x[chosen], y[chosen], chunk), num_eigenvalues) for t in rows]
        eigenvalues = torch.stack(largest).to(theta).view(*theta.shape[:-1], num_eigenvalues)
    return GradientCovariance(trace, eigenvalues, square)


def _top_eigenvalues(gram: Tensor, count: int) -> Tensor:
    """C = AᵀA/n, with the centred gradients in the n rows of A, has the non-zero eigenvalues of AAᵀ/n."""
    gram = gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean()
    values = torch.linalg.eigvalsh(gram / len(gram))
    return torch.clamp(values.flip(0)[:count], min=0)

"""The exact trace of the Hessian and the covariance of gradient noise of a network, from per-sample backward passes."""

from __future__ import annotations

import torch
from torch import Tensor

from entropic_edu.physics.landscape import Landscape

from . import squares
from .network import Network
from .squares import GradientCovariance

__all__ = ["GradientCovariance", "exact_trace", "gauss_newton_trace", "gradient_covariance", "is_piecewise_linear"]


def exact_trace(land: Network, theta: Tensor, *, weight_decay: bool = True, scale: Tensor | None = None) -> Tensor:
    """Return tr H, or Σ sᵢ² Hᵢᵢ, of a piecewise-linear (ReLU) network: no probes, so no variance.

    The outputs are linear in each weight away from kinks, hence the second term of
    H = E Jᵀ H_out J + E Σ_c (∂ℓ/∂z_c) ∇²z_c has a zero *diagonal* and the trace is that of the first,
    the Gauss-Newton matrix. (The matrices themselves differ.) Like autograd's Hessian it does not see the kinks.

    Args:
        land: Network with a loss convex in the outputs.
        theta: One parameter vector (D,) or several (P, D).
        weight_decay: Whether to add the term λD (λ Σ sᵢ² with a scale) of ½λ‖θ‖².
        scale: Weights s, (D,) or the shape of theta. With s = θ the sum is the adaptive trace, which rescaling
            ReLU layers leaves unchanged.

    Returns:
        Trace, () or (P,).

    Raises:
        ValueError: If the network is not piecewise linear, theta or scale has the wrong shape, or the loss is not
            convex in the outputs.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> x, y = torch.randn(30, 4, generator=generator), torch.arange(30) % 3
        >>> land = Network(torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)), x, y)
        >>> theta = land.initial(generator)
        >>> dense = torch.func.hessian(land.loss)(theta)  # D² numbers, where D passes of one sample are enough
        >>> torch.allclose(exact_trace(land, theta), dense.trace(), rtol=1e-4)
        True

    References:
        Dinh et al. (2017), arXiv:1703.04933, for the rescaling; Kwon et al. (2021), arXiv:2102.11600, for s = θ.
    """
    _check(land, theta, scale)
    if not squares.is_known_piecewise_linear(land.engine):
        raise ValueError(
            "exact_trace needs a network whose outputs are piecewise linear in each parameter tensor (ReLU, max "
            "pooling, no normalisation layer), and a measurement says that this one is not: its Hessian has a part "
            "beyond Gauss-Newton. Use hutchinson_trace for tr H, or gauss_newton_trace for the Gauss-Newton part."
        )
    return land.gauss_newton_trace(theta, weight_decay=weight_decay, scale=scale)


def gauss_newton_trace(
    land: Network, theta: Tensor, *, weight_decay: bool = True, scale: Tensor | None = None
) -> Tensor:
    """Return the trace of the Gauss-Newton matrix E Jᵀ H_out J of any network, exactly.

    The factors of H_out are √p_c (e_c - p) for cross-entropy, with p the softmax, √(2/C) e_c for mse (mean over C
    outputs), and scaled eigenvectors of its Hessian by torch.func for a callable loss. Batch norm that is re-estimated
    keeps the statistics of θ as constants, since through them a sample's outputs would depend on all others.

    Args, Returns, Raises: As ``exact_trace``, but for the network, which need not be piecewise linear.
    """
    _check(land, theta, scale)
    return land.gauss_newton_trace(theta, weight_decay=weight_decay, scale=scale)


def is_piecewise_linear(land: Network, *, generator: torch.Generator) -> bool:
    """Return whether tr H equals the Gauss-Newton trace: no output is curved along any one parameter tensor.

    Measured in float64 on a few samples at a random θ: along a random direction v in one parameter tensor the second
    derivative of a random combination of outputs vanishes, tensor by tensor, for ReLU but not for GELU, tanh or
    GroupNorm. Across layers the outputs are curved even for ReLU (a product of weights), so v·Hv and v·Gv agree only
    for directions like these.

    Args:
        land: Network to ask about; θ and the data do not matter.
        generator: Draws θ, directions and combinations.
    """
    return squares.is_piecewise_linear(land.engine, generator)


def gradient_covariance(
    land: Network,
    theta: Tensor,
    *,
    num_eigenvalues: int = 0,
    max_samples: int = 2048,
    batch_chunk: int = 64,
    generator: torch.Generator | None = None,
) -> GradientCovariance:
    """Return the covariance C of per-sample gradients over the N training samples: the noise of SGD at B = 1.

    The label noise of the landscape is in the trace. For mse a jitter σ adds (4σ²/C²) E JᵀJ, which is (2σ²/C) times
    the Gauss-Newton matrix (C outputs); replaced class labels are averaged over. Weight decay is the same for all
    samples and adds nothing. Batch norm that is re-estimated keeps the statistics of θ as constants: the part of SGD's
    noise that comes through a batch's own statistics is left out.

    Args:
        land: Network and its training data.
        theta: One parameter vector (D,) or several (P, D).
        num_eigenvalues: How many of the largest eigenvalues to find, from the Gram matrix of gradients in float64.
        max_samples: Most samples in the Gram matrix; where N is larger, eigenvalues are those of a random subset, which
            lie somewhat above those of all samples. Models other than stacks hold this many whole gradients (float64).
        batch_chunk: Samples whose whole gradients are formed at once, for models other than stacks.
        generator: Draws that subset; needed only then.

    Raises:
        ValueError: If more eigenvalues are asked for than there are samples, or for a landscape with label noise; if a
            subset is needed without a generator; if this loss has no rule for label noise; if theta has a wrong shape.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> x, y = torch.randn(30, 4, generator=generator), torch.arange(30) % 3
        >>> land = Network(torch.nn.Linear(4, 3), x, y)
        >>> theta = land.initial(generator)
        >>> noise = gradient_covariance(land, theta, num_eigenvalues=2)
        >>> noise.eigenvalues.shape, bool(noise.eigenvalues.sum() < noise.trace)
        (torch.Size([2]), True)
        >>> draws = land.gradient(theta.expand(2000, -1), batch_size=10, generator=generator)
        >>> round(float(10 * draws.var(0).sum() / noise.trace), 1)  # a batch of B has C/B
        1.0
    """
    _check(land, theta, None)
    _check_eigenvalues(land, num_eigenvalues, max_samples, generator)
    chosen = _subset(len(land.x), max_samples, generator).to(land.device) if num_eigenvalues else None
    return squares.covariance(
        land.engine, theta, land.x, land.y, chosen=chosen, num_eigenvalues=num_eigenvalues, chunk=batch_chunk
    )


def _subset(number: int, most: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return torch.arange(number)
    return torch.randperm(number, generator=generator, device=generator.device)[:most]


def _check(land: Landscape, theta: Tensor, scale: Tensor | None) -> None:
    if not isinstance(land, Network):
        raise ValueError(
            f"Per-sample backward passes need a Network, got {type(land).__name__}; take the trace of "
            "torch.func.hessian(land.loss)(theta) where θ has few dimensions."
        )
    land.check(theta)
    squares.check_finite(theta)
    if scale is not None and scale.shape not in (theta.shape, (land.dim,)):
        raise ValueError(
            f"scale must have shape ({land.dim},) or that of theta, {tuple(theta.shape)}, got {tuple(scale.shape)}."
        )


def _check_eigenvalues(land: Network, count: int, most: int, generator: torch.Generator | None) -> None:
    number = len(land.x)
    if not 0 <= count <= min(number, most):
        raise ValueError(f"num_eigenvalues must be 0 to {min(number, most)} (samples in the Gram matrix), got {count}.")
    if count and number > most and generator is None:
        raise ValueError(
            f"The Gram matrix of {number} samples is larger than max_samples={most}; pass a generator to draw "
            "a subset, or raise max_samples (memory grows as its square)."
        )
    if count and land.label_noise:
        raise ValueError(
            "Eigenvalues are not available with label_noise > 0, which gives each sample many gradients; use "
            "label_noise=0, or for mse at interpolation the Hessian's eigenvalues times 2σ²/C (C outputs)."
        )

"""What per-sample backward passes give exactly: the trace of the Hessian, and the covariance of gradient noise.

One sum serves both. With J the Jacobian of a sample's outputs by θ and r a vector on those outputs, Jᵀr is one
backward pass, and

    tr H = E Σ_c |Jᵀr_c|²   where   Σ_c r_c r_cᵀ = H_out, the Hessian of the sample's loss by its outputs,
    E|g|² = E |Jᵀr|²        where   r is the derivative of the sample's loss by its outputs.

The rows r are the loss's (``losses``), the passes the engine's (``engine``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from entropic_edu.physics.landscape import Landscape
from entropic_edu.physics.results import first_line

from . import memory
from .engine import Computed, Engine, anywhere
from .layers import missing_derivative, pull_back
from .losses import knows_label_noise, normal
from .parameters import functional_call

_LARGE = 1_000_000  # parameters, beyond which two samples are looked at
_MOST_OUTPUTS = 600  # of one sample, not in a row (N, C): the exact trace takes as many backward passes


def exact_trace(land: Landscape, theta: Tensor, *, weight_decay: bool = True, scale: Tensor | None = None) -> Tensor:
    """Return tr H, or Σ sᵢ² Hᵢᵢ, () or (P,), of a piecewise-linear (ReLU) network: no probes, so no variance.

    The outputs are linear in each weight away from kinks, hence the second term of
    H = E Jᵀ H_out J + E Σ_c (∂ℓ/∂z_c) ∇²z_c has a zero *diagonal* and the trace is that of the first,
    the Gauss-Newton matrix. (The matrices themselves differ.) Like autograd's Hessian it does not see the kinks.

    Args:
        land: A network with a loss convex in the outputs.
        theta: One parameter vector (D,) or several (P, D).
        weight_decay: Whether to add the term λD (λ Σ sᵢ² with a scale) of ½λ‖θ‖².
        scale: Weights s, (D,) or the shape of theta. With s = θ the sum is the adaptive trace, which rescaling
            ReLU layers leaves unchanged.

    Raises:
        ValueError: If the network is not piecewise linear, theta or scale has the wrong shape, the loss is not
            convex in the outputs (``losses.NotConvexError``), or a sample has more than 600 outputs that are no row.

    Example:
        >>> from entropic_edu import Network, models
        >>> generator = torch.Generator().manual_seed(0)
        >>> x, y = torch.randn(30, 4, generator=generator), torch.arange(30) % 3
        >>> land = Network(models.mlp(4, 5, 3), x, y)
        >>> theta = land.initial(generator)
        >>> dense = torch.func.hessian(land.loss)(theta)  # D² numbers, where D passes of one sample are enough
        >>> torch.allclose(exact_trace(land, theta), dense.trace(), rtol=1e-4)
        True

    References:
        Dinh et al. (2017), arXiv:1703.04933, for the rescaling; Kwon et al. (2021), arXiv:2102.11600, for s = θ.
    """
    net = _checked(land, theta, scale)
    _refuse_many_outputs(net)
    if not is_known_piecewise_linear(net):
        raise ValueError(
            "exact_trace needs a network whose outputs are piecewise linear in each parameter tensor (ReLU, max "
            "pooling, no normalisation layer), and a measurement says that this one is not: its Hessian has a part "
            "beyond Gauss-Newton. Use hutchinson_trace for tr H, or gauss_newton_trace for the Gauss-Newton part."
        )
    return gauss_newton_trace(land, theta, weight_decay=weight_decay, scale=scale)


def gauss_newton_trace(
    land: Landscape, theta: Tensor, *, weight_decay: bool = True, scale: Tensor | None = None
) -> Tensor:
    """Return the trace of the Gauss-Newton matrix E Jᵀ H_out J of any network, exactly.

    The factors of H_out are √p_c (e_c - p) for cross-entropy, with p the softmax, √(2/C) e_c for mse (mean over C
    outputs), and scaled eigenvectors of its Hessian by autograd for a callable loss, or outputs that are no row (N, C).
    Batch norm that is re-estimated keeps the statistics of θ as constants, since through them a sample's outputs would
    depend on all others.

    Args, Returns, Raises: As ``exact_trace``, but for the network, which need not be piecewise linear.
    """
    net = _checked(land, theta, scale)
    _refuse_many_outputs(net)

    def compute(engine: Engine, theta: Tensor, scale: Tensor | None) -> tuple[Tensor, ...]:
        return (engine.squares(theta, net.x, net.y, engine.criterion.curvature_rows, scale),)

    total = _held(net, compute, theta, scale)[0]
    if weight_decay:
        size = torch.as_tensor(net.dim) if scale is None else scale.square().sum(-1)
        total = total + net.weight_decay * size.to(total)
    return total


def _held(
    net: Computed, compute: Callable[..., tuple[Tensor, ...]], theta: Tensor, scale: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Return compute(engine, theta, scale), row by row where batch norm is to hold the statistics of each row."""
    if not net.engine.reestimates:
        return compute(net.engine, theta, scale)
    rows = theta.reshape(-1, net.dim)
    scales = [None] * len(rows) if scale is None else scale.expand(rows.shape)
    each = [compute(net.engine.with_statistics_of(t), t, s) for t, s in zip(rows, scales, strict=True)]
    return tuple(torch.stack(found).view(theta.shape[:-1]) for found in zip(*each, strict=True))


@sdpa_kernel(SDPBackend.MATH)  # fused attention kernels have no second derivative
def is_piecewise_linear(land: Computed, *, generator: torch.Generator) -> bool:
    """Return whether tr H equals the Gauss-Newton trace: no output is curved along any one parameter tensor.

    Measured in float64 on a few samples at a random θ: along a random direction v in one parameter tensor the second
    derivative of a random combination of outputs vanishes, tensor by tensor, for ReLU but not for GELU, tanh or
    GroupNorm. Across layers the outputs are curved even for ReLU (a product of weights), so v·Hv and v·Gv agree only
    for directions like these. The generator draws θ, directions and combinations; the data do not matter.

    It is False too where that trace is not to be had: for a sample with more than 600 outputs that are no row (N, C),
    and for operations without a second derivative.
    """
    precise, theta = anywhere(land.engine, generator)
    combination = normal(precise.outputs(theta, precise.few.x), generator)
    if _are_many(combination.shape) or no_second_derivative(land):
        return False
    few = 2 if len(theta) > _LARGE else len(combination)
    x, combination, weights = precise.few.x[:few], combination[:few], precise.layout.split(theta)
    near = 1e-9 if theta.dtype == torch.float64 else torch.finfo(theta.dtype).eps ** 0.5
    for name, place in precise.layout.slices.items():
        direction = normal(theta[place], generator).view_as(weights[name])

        def along(t: Tensor, name: str = name, direction: Tensor = direction) -> Tensor:
            moved = {**weights, name: weights[name] + t * direction}  # what lies before it needs no backward pass
            z = functional_call(precise.model, {**moved, **precise.statistics(moved)}, (x,))
            return (combination * z).sum()

        try:
            first, second = _derivatives(along, theta)
        except RuntimeError:  # on this device an operation has none
            return False
        if not second.abs() <= near * first.abs():  # round-off is 1e-16, a smooth activation gives about 1
            return False
    return True


def _derivatives(along: Callable[[Tensor], Tensor], like: Tensor) -> list[Tensor]:
    """Return the first and second derivative at t = 0."""
    found: list[Tensor] = []
    with torch.enable_grad():
        t = like.new_zeros(()).requires_grad_()
        value = along(t)
        for _ in range(2):
            value = pull_back(value, [t], like.new_ones(1), twice=True)[0][0]
            found.append(value.detach())
    return found


@sdpa_kernel(SDPBackend.MATH)
def no_second_derivative(land: Computed) -> str:
    """Return why torch has no second derivative of the loss by θ, or "" where it has one; measured once.

    It does not always say so itself: asked for the derivative of a gradient by θ alone, it may leave a part out.
    """
    engine, where = land.engine, land.engine.device.type
    if where not in engine.facts.no_second:
        with torch.enable_grad():
            here = engine.layout.flatten(engine.model).requires_grad_()
            loss = engine.losses(here, engine.few.ends)
            loss = loss * here.new_ones(()).requires_grad_()  # as missing_derivative asks
            try:
                slope = torch.autograd.grad(loss, here, create_graph=True)[0]
                engine.facts.no_second[where] = missing_derivative(slope)
                if slope.requires_grad and not engine.facts.no_second[where]:
                    torch.autograd.grad(slope.sum(), here, materialize_grads=True)
            except RuntimeError as error:
                if memory.ran_out(error):
                    raise
                engine.facts.no_second[where] = first_line(error)
    return engine.facts.no_second[where]


def is_known_piecewise_linear(land: Computed) -> bool:
    """Return the same from a measurement that is made once for each network; False for re-estimated batch norm."""
    if land.engine.reestimates:
        return False
    if land.engine.facts.linear is None:  # any generic probe gives the same answer: it is a property of the module
        land.engine.facts.linear = is_piecewise_linear(land, generator=torch.Generator().manual_seed(0))
    return land.engine.facts.linear


def _are_many(shape: torch.Size) -> bool:
    return len(shape) != 2 and shape[1:].numel() > _MOST_OUTPUTS


@torch.no_grad()
def _refuse_many_outputs(net: Computed) -> None:
    engine = net.engine
    if engine.facts.outputs is None:
        engine.facts.outputs = engine.outputs(engine.layout.flatten(engine.model), engine.few.x).shape
    if _are_many(engine.facts.outputs):
        raise ValueError(
            f"The exact trace takes a backward pass for each of the outputs of a sample, and here they are of shape "
            f"{tuple(engine.facts.outputs[1:])}, more than {_MOST_OUTPUTS}; use hutchinson_trace."
        )


@dataclass(frozen=True, eq=False)
class GradientCovariance:
    """Covariance of one sample's gradient (B = 1) of the data loss; a batch of B drawn with replacement has 1/B of it.

    Attributes:
        trace: tr C = E|g|² - |E g|², () or (P,).
        mean_square_norm: E|g|², () or (P,).
    """

    trace: Tensor
    mean_square_norm: Tensor


def gradient_covariance(land: Landscape, theta: Tensor) -> GradientCovariance:
    """Return the covariance C of per-sample gradients over the N training samples: the noise of SGD at B = 1.

    The label noise of the landscape is in the trace. For mse a jitter σ adds (4σ²/C²) E JᵀJ, which is (2σ²/C) times
    the Gauss-Newton matrix (C outputs); replaced class labels are averaged over. Weight decay is the same for all
    samples and adds nothing. Batch norm that is re-estimated keeps the statistics of θ as constants: the part of SGD's
    noise that comes through a batch's own statistics is left out.

    Args:
        land: A network and its training data.
        theta: One parameter vector (D,) or several (P, D).

    Raises:
        ValueError: If this loss has no rule for label noise, or theta has a wrong shape.

    Example:
        >>> from entropic_edu import Network
        >>> generator = torch.Generator().manual_seed(0)
        >>> x, y = torch.randn(30, 4, generator=generator), torch.arange(30) % 3
        >>> land = Network(torch.nn.Linear(4, 3), x, y)
        >>> theta = land.initial(generator)
        >>> noise = gradient_covariance(land, theta)
        >>> draws = land.gradient(theta.expand(2000, -1), batch_size=10, generator=generator)
        >>> round(float(10 * draws.var(0).sum() / noise.trace), 1)  # a batch of B has C/B
        1.0
    """
    net = _checked(land, theta, None)
    if net.criterion.label_noise and not knows_label_noise(net.criterion, net.y):
        raise ValueError(
            f"The covariance due to label_noise is known for mse and for class labels, not for "
            f"{net.criterion.name!r} with targets of type {net.y.dtype} and shape {tuple(net.y.shape)}; use "
            "label_noise=0."
        )

    def compute(engine: Engine, theta: Tensor, _: None) -> tuple[Tensor, ...]:
        square = engine.squares(theta, net.x, net.y, engine.criterion.gradient_rows)
        return (square - engine.mean_gradient(theta, net.x, net.y).square().sum(-1)).clamp(min=0), square

    return GradientCovariance(*_held(net, compute, theta))


def _checked(land: Landscape, theta: Tensor, scale: Tensor | None) -> Computed:
    if not isinstance(land, Computed):
        raise ValueError(
            f"Per-sample backward passes need a Network, got {type(land).__name__}; take the trace of "
            "torch.func.hessian(land.loss)(theta) where θ has few dimensions."
        )
    land.check(theta)
    if not bool(theta.isfinite().all()):
        raise ValueError("theta holds NaN or infinity, so it has no curvature; it has probably diverged.")
    if scale is not None and scale.shape not in (theta.shape, (land.dim,)):
        raise ValueError(
            f"scale must have shape ({land.dim},) or that of theta, {tuple(theta.shape)}, got {tuple(scale.shape)}."
        )
    return land

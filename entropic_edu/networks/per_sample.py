"""What per-sample backward passes give exactly: the trace of the Hessian, and the covariance of gradient noise.

One sum serves both. With J the Jacobian of a sample's outputs by θ and r a vector on those outputs, Jᵀr is one
backward pass, and

    tr H = E Σ_c |Jᵀr_c|²   where   Σ_c r_c r_cᵀ = H_out, the Hessian of the sample's loss by its outputs,
    E|g|² = E |Jᵀr|²        where   r is the derivative of the sample's loss by its outputs.

The weight gradient of a linear layer with input a and back-propagated delta is the outer product delta aᵀ, of squared
norm |delta|²|a|²: only deltas are propagated, and no sample's gradient is formed (Goodfellow 2015, arXiv:1510.01799).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from entropic_edu.physics.landscape import Landscape

from .network import Network
from .stacked import _ACTIVATIONS, _Layer

Rows = Callable[..., Tensor]  # (z, y): outputs (..., n, C) and targets of n samples -> vectors r (..., K, n, C)

_CACHED = 2**17  # numbers in one block of deltas of a stack: 512 kB of float32 stay in a core's cache
_HELD = 2**22  # numbers in the largest block of weight gradients of other models: bounds memory


# --- the trace -------------------------------------------------------------------------------------------------


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

    References:
        Dinh et al. (2017), arXiv:1703.04933, for the rescaling; Kwon et al. (2021), arXiv:2102.11600, for s = θ.
    """
    _check(land, theta, scale)
    if land._reestimates or not _facts(land).piecewise_linear:
        raise ValueError(
            "exact_trace needs a network whose outputs are piecewise linear in each parameter tensor (ReLU, max "
            "pooling, no normalisation layer), and a measurement says that this one is not: its Hessian has a part "
            "beyond Gauss-Newton. Use hutchinson_trace for tr H, or gauss_newton_trace for the Gauss-Newton part."
        )
    return gauss_newton_trace(land, theta, weight_decay=weight_decay, scale=scale)


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
    if land._reestimates:
        rows, scales = theta.reshape(-1, land.dim), _scales(theta, scale)
        each = [
            gauss_newton_trace(_constant(land, t), t, weight_decay=weight_decay, scale=s)
            for t, s in zip(rows, scales, strict=True)
        ]
        return torch.stack(each).view(theta.shape[:-1])
    total = _squares(land, theta, partial(_curvature_rows, land), scale)
    if weight_decay:
        size = torch.as_tensor(land.dim) if scale is None else scale.square().sum(-1)
        total = total + land.weight_decay * size.to(total)
    return total


def is_known_piecewise_linear(land: Network) -> bool:
    """Return the same from a measurement that is made once for each landscape."""
    return not land._reestimates and _facts(land).piecewise_linear


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
    few, theta = _anywhere(land, generator)
    weights = _normal(few.outputs(theta, few.x), generator)
    zero = theta.new_zeros(())
    for start, size in zip(_starts(land), land._sizes, strict=True):
        part = theta[start : start + size]
        direction = F.pad(_normal(part, generator), (start, land.dim - start - size))

        def along(t: Tensor, direction: Tensor = direction) -> Tensor:
            return (weights * few.outputs(theta + t * direction, few.x)).sum()

        first, second = torch.func.grad(along)(zero), torch.func.grad(torch.func.grad(along))(zero)
        if second.abs() > 1e-9 * first.abs():  # round-off is 1e-16, a smooth activation gives about 1
            return False
    return True


# --- the noise -------------------------------------------------------------------------------------------------


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
    """
    _check(land, theta, None)
    _check_covariance(land, num_eigenvalues, max_samples, generator)
    chosen = _subset(len(land.x), max_samples, generator).to(land.device) if num_eigenvalues else None
    if not land._reestimates:
        return _covariance(land, theta, chosen, num_eigenvalues, batch_chunk)
    rows = theta.reshape(-1, land.dim)
    each = [_covariance(_constant(land, t), t, chosen, num_eigenvalues, batch_chunk) for t in rows]
    fields = ([r.trace for r in each], [r.eigenvalues for r in each], [r.mean_square_norm for r in each])
    return GradientCovariance(*(torch.stack(f).view((*theta.shape[:-1], *f[0].shape)) for f in fields))


def _covariance(land: Network, theta: Tensor, chosen: Tensor | None, count: int, chunk: int) -> GradientCovariance:
    square = _squares(land, theta, partial(_gradient_rows, land), None)
    trace = (square - _mean_gradient(land, theta).square().sum(-1)).clamp(min=0)
    found = theta.new_zeros(*theta.shape[:-1], 0)
    if chosen is not None:
        rows = theta if theta.ndim == 2 else theta[None]
        found = torch.stack([_top_eigenvalues(land, t, chosen, count, chunk) for t in rows])
        found = found.view(*theta.shape[:-1], count)
    return GradientCovariance(trace, found, square)


def _top_eigenvalues(land: Network, theta: Tensor, chosen: Tensor, count: int, chunk: int) -> Tensor:
    """C = AᵀA/n, with the centred gradients in the n rows of A, has the non-zero eigenvalues of AAᵀ/n."""
    gram = _stack_gram(land, theta, chosen) if land._stack is not None else _gram(land, theta, chosen, chunk)
    gram = gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean()
    values = torch.linalg.eigvalsh(gram / len(chosen))
    largest: Tensor = values.flip(0)[:count].clamp(min=0)
    return largest.to(theta)


def _stack_gram(land: Network, theta: Tensor, chosen: Tensor) -> Tensor:
    """Return gᵢ·gⱼ (n, n) as the sum over layers of (aᵢ·aⱼ + 1)(deltaᵢ·deltaⱼ)."""
    x, y = land.x[chosen], land.y[chosen]
    gram = torch.zeros(len(x), len(x), dtype=torch.float64, device=theta.device)
    for layer, a, delta in _stack_backward(land, theta[None], x, lambda z: _slopes(land, z, y).unsqueeze(1)):
        a, delta = a[0].double(), delta[0, 0].double()
        gram += (a @ a.T + layer.bias) * (delta @ delta.T)
    return gram


def _gram(land: Network, theta: Tensor, chosen: Tensor, chunk: int) -> Tensor:
    gradients = []
    for part in torch.split(chosen, chunk):
        x, y = land.x[part], land.y[part]
        rows = _slopes(land, land.outputs(theta, x), y)[None]
        pulled = _pulled(land, theta, land._names, x, rows)
        gradients.append(torch.cat([pulled[name].flatten(1) for name in land._names], 1))
    a = torch.cat(gradients).double()
    return a @ a.T


def _mean_gradient(land: Network, theta: Tensor) -> Tensor:
    if theta.ndim == 2 and land._stack is None:
        return torch.stack([_mean_gradient(land, row) for row in theta])
    total = torch.zeros_like(theta)
    for x, y in land._chunks(theta):
        z, pull = torch.func.vjp(partial(land.outputs, x=x), theta.detach())[:2]
        total += pull(_slopes(land, z, y))[0] / len(land.x)
    return total


# --- vectors on the outputs: factors of H_out, and derivatives of the loss ----------------------------------------


def _curvature_rows(land: Network, z: Tensor, y: Tensor) -> Tensor:
    """Return r_c (..., K, n, C) with Σ_c r_c r_cᵀ = H_out, the Hessian of a sample's loss by its outputs."""
    if land._criterion is F.mse_loss:
        classes = z.shape[-1]
        return torch.mul(_eye(z), (2 / classes) ** 0.5).expand(*z.shape[:-2], classes, *z.shape[-2:])
    if land._criterion is F.cross_entropy:
        p = torch.softmax(z, -1)
        rows = _class_rows(p, p)
        return rows * y.sum(-1, keepdim=True).sqrt() if y.is_floating_point() else rows
    return _hessian_rows(land, z, y)


def _class_rows(weights: Tensor, p: Tensor) -> Tensor:
    """Return √w_c (e_c - p), (..., C, n, C): with w = p they square to diag(p) - ppᵀ, without cancellation."""
    return weights.mT.sqrt().unsqueeze(-1) * (_eye(p) - p.unsqueeze(-3))


def _hessian_rows(land: Network, z: Tensor, y: Tensor) -> Tensor:
    def hessian(z: Tensor, y: Tensor) -> Tensor:
        slope = torch.func.grad(lambda one: land._criterion(one[None], y[None]))
        found: Tensor = torch.func.jacrev(slope)(z)
        return found

    values, vectors = torch.linalg.eigh(torch.vmap(hessian)(z, y))  # (n, C), (n, C, C) with vectors in columns
    if values.min() < -1e-4 * values.abs().max() - 10 * torch.finfo(z.dtype).eps:  # round-off of p - p² in the Hessian
        raise ValueError(
            f"The loss {land.loss_name!r} is not convex in the outputs (smallest eigenvalue of its Hessian "
            f"{float(values.min()):.3g}), so it has no Gauss-Newton factors; use hutchinson_trace."
        )
    return torch.mul(vectors, values.clamp(min=0).sqrt().unsqueeze(-2)).permute(2, 0, 1)


def _slopes(land: Network, z: Tensor, y: Tensor) -> Tensor:
    """Return the derivative of each sample's loss by its outputs (..., n, C), averaged over label noise."""
    if land._criterion is F.mse_loss:
        return (z - y) * (2 / z.shape[-1])
    if land._criterion is F.cross_entropy:
        weights = _class_weights(land, z, y)
        return weights.sum(-1, keepdim=True) * torch.softmax(z, -1) - weights
    found: Tensor = torch.vmap(torch.func.grad(lambda z, y: land._criterion(z[None], y[None])))(z, y)
    return found


def _gradient_rows(land: Network, z: Tensor, y: Tensor) -> Tensor:
    """Return vectors (..., K, n, C) whose E Σ |Jᵀr|² is E|g|²; label noise adds, or splits, directions."""
    slopes = _slopes(land, z, y).unsqueeze(-3)
    if not land.label_noise:
        return slopes
    if land._criterion is F.mse_loss:  # ∂ℓ/∂z = (2/C)(z - y - σξ), and E ξξᵀ = 1
        return torch.cat([slopes, land.label_noise * (2 / z.shape[-1]) ** 0.5 * _curvature_rows(land, z, y)], -3)
    weights = _class_weights(land, z, y)  # E|Jᵀ(p - e_c)|² over the classes c that the label may become
    return _class_rows(weights, torch.softmax(z, -1))


def _class_weights(land: Network, z: Tensor, y: Tensor) -> Tensor:
    """Return each sample's probability of classes as its target, (n, C)."""
    if y.is_floating_point():
        return y
    weights = (1 - land.label_noise) * F.one_hot(y, z.shape[-1]).to(z)
    weights[:, : int(land.y.max()) + 1] += land.label_noise / (int(land.y.max()) + 1)
    return weights


def _eye(z: Tensor) -> Tensor:
    return torch.eye(z.shape[-1], dtype=z.dtype, device=z.device).unsqueeze(1)  # (C, 1, C)


# --- E Σ |Jᵀr|² ------------------------------------------------------------------------------------------------


def _squares(land: Network, theta: Tensor, rows: Rows, scale: Tensor | None) -> Tensor:
    """Return E Σ_k |s∘Jᵀr_k|² over the training samples, () or (P,)."""
    if land._stack is not None:
        with torch.no_grad():
            many = theta if theta.ndim == 2 else theta[None]
            found = _stack_squares(land, many, rows, scale if scale is None or scale.ndim == 2 else scale[None])
            return found if theta.ndim == 2 else found[0]
    if theta.ndim == 1:
        return _model_squares(land, theta.detach(), rows, scale)
    each = zip(theta, _scales(theta, scale), strict=True)
    return torch.stack([_squares(land, t, rows, s) for t, s in each])


def _scales(theta: Tensor, scale: Tensor | None) -> list[Tensor | None]:
    """The scale of each row of theta."""
    number = theta.shape[:-1].numel()
    return [scale] * number if scale is None or scale.ndim == 1 else list(scale)


def _stack_squares(land: Network, theta: Tensor, rows: Rows, scale: Tensor | None) -> Tensor:
    assert land._stack is not None
    layers = land._stack.layers
    width = max(layer.outputs for layer in layers) * layers[-1].outputs * len(theta)
    total = theta.new_zeros(len(theta))
    weights = None if scale is None else scale.square()
    for x, y in _split(land, max(16, _CACHED // width)):
        for layer, a, delta in _stack_backward(land, theta, x, partial(rows, y=y)):
            total += _outer_squares(layer, a, delta.square().sum(1), weights)
    return total / len(land.x)


def _stack_backward(
    land: Network, theta: Tensor, x: Tensor, rows: Callable[[Tensor], Tensor]
) -> Iterator[tuple[_Layer, Tensor, Tensor]]:
    """Yield (layer, its input (P, n, in), its deltas (P, K, n, out)), last layer first."""
    assert land._stack is not None
    h = land._stack._inputs(theta, x, False)
    inputs, slopes = [], []
    for layer in land._stack.layers:
        inputs.append(h)
        h = z = layer.affine(theta, h)
        if layer.activation is not None:
            forward, backward = _ACTIVATIONS[layer.activation][:2]
            h = forward(z)
            slopes.append(backward(torch.ones_like(z), z, h).unsqueeze(1))
        else:
            slopes.append(z.new_ones(()))
    delta = rows(h)
    for number in reversed(range(len(inputs))):
        layer = land._stack.layers[number]
        delta = delta if layer.activation is None else delta * slopes[number]
        yield layer, inputs[number], delta
        if number:
            delta = torch.bmm(delta.flatten(1, 2), layer.weight(theta)).view(*delta.shape[:3], -1)


def _outer_squares(layer: _Layer, a: Tensor, squares: Tensor, weights: Tensor | None) -> Tensor:
    """Return Σ S²_ij delta_i² a_j² over samples (P,), with ``squares`` = delta² summed over directions (P, n, out)."""
    if weights is None:
        return ((a.square().sum(-1) + layer.bias) * squares.sum(-1)).sum(-1)
    found = (torch.matmul(squares, layer.weight(weights)) * a.square()).sum((-2, -1))
    if layer.bias:
        found = found + (squares.sum(1) * weights[:, layer.stop - layer.outputs : layer.stop]).sum(-1)
    return found


def _model_squares(land: Network, theta: Tensor, rows: Rows, scale: Tensor | None) -> Tensor:
    """Layers by hooks where that is right; whatever parameters remain by whole per-sample gradients."""
    layers = _facts(land).layers
    rest = [name for name in land._names if name.rpartition(".")[0] not in layers]
    weights = None if scale is None else {n: w.square() for n, w in land.unflatten(scale).items()}
    total = theta.new_zeros(())
    for x, y in _bounded(land, theta):
        z, pulled = _layer_backward(land, theta, layers, x, partial(rows, y=y))
        total += sum((_layer_squares(name, *parts, weights).sum() for name, parts in pulled.items()), total * 0)
        if rest:
            for name, g in _pulled(land, theta, rest, x, rows(z, y)).items():
                total += (g.square() if weights is None else g.square() * weights[name]).sum()
    return total / len(land.x)


def _layer_backward(
    land: Network, theta: Tensor, layers: frozenset[str], x: Tensor, rows: Callable[[Tensor], Tensor]
) -> tuple[Tensor, dict[str, tuple[nn.Module, Tensor, Tensor]]]:
    """Return outputs (n, C) and, for each layer called once, (module, input, output gradients (K, n, ...))."""
    model = land.module(theta)  # a copy of our own, so hooks on it disturb nobody
    calls: dict[str, list[tuple[nn.Module, Tensor, Tensor]]] = {}  # in the model's order: a set has another each day

    def watch(name: str, module: nn.Module) -> None:
        calls[name] = []

        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            calls[name].append((module, inputs[0].detach(), output))
            return output.clone()  # an activation in place must not turn this output into its own

        module.register_forward_hook(note)

    for name, module in model.named_modules():
        if name in layers:
            watch(name, module)
    if any(isinstance(module, nn.GroupNorm) for module in model.modules()):
        x = x.contiguous()  # its backward pass has no rule for a batch of gradients in channels_last
    with torch.enable_grad():
        z = model(x)
        once = {name: found[0] for name, found in calls.items() if len(found) == 1}
        if not once:
            return z.detach(), {}
        deltas = torch.autograd.grad(
            z, [out for _, _, out in once.values()], rows(z.detach()), is_grads_batched=True, materialize_grads=True
        )
    parts = zip(once.items(), deltas, strict=True)
    return z.detach(), {name: (module, a, delta) for (name, (module, a, _)), delta in parts}


def _layer_squares(name: str, module: nn.Module, a: Tensor, delta: Tensor, weights: dict[str, Tensor] | None) -> Tensor:
    """Return Σ_k |s∘Jᵀr_k|² of one layer's own parameters for each sample, (n,)."""
    if isinstance(module, nn.Conv2d):
        assert not isinstance(module.padding, str)
        a = F.unfold(a, module.kernel_size, module.dilation, module.padding, module.stride).mT  # (n, L, in·k·k)
        delta = delta.flatten(3).mT  # (K, n, L, out)
    else:
        a, delta = a.reshape(len(a), -1, a.shape[-1]), delta.reshape(*delta.shape[:2], -1, delta.shape[-1])
    prefix, found = f"{name}." if name else "", a.new_zeros(len(a))
    if module.weight.requires_grad:
        own = None if weights is None else weights[f"{prefix}weight"].flatten(1)  # (out, in)
        found = found + (_rank_one_squares(a, delta, own) if a.shape[1] == 1 else _summed_squares(a, delta, own))
    if module.bias is not None and module.bias.requires_grad:
        squares = delta.sum(2).square().sum(0)  # (n, out)
        found = found + (squares if weights is None else squares * weights[f"{prefix}bias"]).sum(-1)
    return found


def _rank_one_squares(a: Tensor, delta: Tensor, weights: Tensor | None) -> Tensor:
    squares, a = delta.square().sum(0)[:, 0], a.square()[:, 0]  # (n, out), (n, in)
    return squares.sum(-1) * a.sum(-1) if weights is None else ((squares @ weights) * a).sum(-1)


def _summed_squares(a: Tensor, delta: Tensor, weights: Tensor | None) -> Tensor:
    """Positions L share the weight, so their outer products add up before they are squared."""
    gradients = torch.bmm(delta.permute(1, 0, 3, 2).flatten(1, 2), a)  # (n, K·out, in)
    if weights is None:
        return gradients.square().sum((1, 2))
    squares = gradients.view(len(a), len(delta), -1, a.shape[-1]).square().sum(1)
    return torch.mul(squares, weights).sum((1, 2))


def _pulled(land: Network, theta: Tensor, names: list[str], x: Tensor, rows: Tensor) -> dict[str, Tensor]:
    """Return Jᵀr for each sample and each of its rows (K, n, C), by parameter name: (n, K, *shape)."""
    every = land.unflatten(theta.detach())
    moved = {name: every[name] for name in names}

    def one(x: Tensor, rows: Tensor) -> dict[str, Tensor]:
        def outputs(moved: dict[str, Tensor]) -> Tensor:
            found: Tensor = torch.func.functional_call(land.model, {**every, **moved}, (x[None],))
            return found[0]

        pull = torch.func.vjp(outputs, moved)[1]
        pulled: dict[str, Tensor] = torch.vmap(pull)(rows)[0]
        return pulled

    found: dict[str, Tensor] = torch.vmap(one, in_dims=(0, 1))(x, rows.detach())
    return found


def _bounded(land: Network, theta: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Return data in chunks whose weight gradients, of every direction and sample, fit in memory."""
    outputs = land.outputs(theta, land.x[:1]).shape[-1]
    rows = max(1, min(128, _HELD // (max(land._sizes) * (outputs + 1))))
    return _split(land, rows)


def _split(land: Network, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(land.x, rows), torch.split(land.y, rows), strict=True)


# --- what is measured once for each landscape ------------------------------------------------------------------


@dataclass(frozen=True)
class _Facts:
    piecewise_linear: bool
    layers: frozenset[str]  # modules whose hooks give the right per-sample gradients


_KNOWN: WeakKeyDictionary[Network, _Facts] = WeakKeyDictionary()


def _facts(land: Network) -> _Facts:
    if land not in _KNOWN:
        generator = torch.Generator().manual_seed(0)  # any generic probe gives the same answers: they are properties
        _KNOWN[land] = _Facts(is_piecewise_linear(land, generator=generator), _sound_layers(land, generator))
    return _KNOWN[land]


def _constant(land: Network, theta: Tensor) -> Network:
    """Return the landscape with batch norm's statistics kept at those of one θ; the layers are the same at all."""
    here = land.with_statistics_of(theta)
    if land not in _KNOWN:
        _KNOWN[land] = _facts(here)
    _KNOWN[here] = _KNOWN[land]
    return here


def _sound_layers(land: Network, generator: torch.Generator) -> frozenset[str]:
    """Return the layers whose hooks agree with whole per-sample gradients on a few samples.

    A weight that is shared, tied or used outside its module's call fails this, and goes the general way.
    """
    if land._stack is not None:
        return frozenset()
    few, theta = _anywhere(land, generator)
    tried = frozenset(name for name, module in few.model.named_modules() if _is_plain(module))
    rows = _normal(few.outputs(theta, few.x), generator)[None]
    agree = set()
    for name, parts in _layer_backward(few, theta, tried, few.x, lambda z: rows)[1].items():
        own = [n for n in few._names if n.rpartition(".")[0] == name]
        if own:
            whole = sum(g.square().flatten(1).sum(1) for g in _pulled(few, theta, own, few.x, rows).values())
            hooked = _layer_squares(name, *parts, None)
            if hooked.shape == rows.shape[1:2] and torch.allclose(hooked, torch.as_tensor(whole), rtol=1e-8):
                agree.add(name)
    return frozenset(agree)


def _is_plain(module: nn.Module) -> bool:
    if type(module) is nn.Conv2d:
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module) is nn.Linear


def _anywhere(land: Network, generator: torch.Generator) -> tuple[Network, Tensor]:
    """Return the landscape on 16 samples in float64, and a random θ near its model's: nothing sits at exactly 0."""
    few = copy.copy(land)
    few.x, few.y, few.test = land.x[:16], land.y[:16], None
    few = few.to("cpu").to(torch.float64)
    shape = few.model(few.x).shape
    if len(shape) != 2:
        raise ValueError(f"Per-sample backward passes need outputs of shape (N, C), got {tuple(shape)}; flatten them.")
    theta = few.flatten(few.model)
    return few, theta + 0.1 * _normal(theta, generator)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)


def _starts(land: Network) -> list[int]:
    return [sum(land._sizes[:number]) for number in range(len(land._sizes))]


def _subset(number: int, most: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return torch.arange(number)
    return torch.randperm(number, generator=generator, device=generator.device)[:most]


# --- refusals --------------------------------------------------------------------------------------------------


def _check(land: Landscape, theta: Tensor, scale: Tensor | None) -> None:
    if not isinstance(land, Network):
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


def _check_covariance(land: Network, count: int, most: int, generator: torch.Generator | None) -> None:
    number = len(land.x)
    if not 0 <= count <= min(number, most):
        raise ValueError(f"num_eigenvalues must be 0 to {min(number, most)} (samples in the Gram matrix), got {count}.")
    if count and number > most and generator is None:
        raise ValueError(
            f"The Gram matrix of {number} samples is larger than max_samples={most}; pass a generator to draw "
            "a subset, or raise max_samples (memory grows as its square)."
        )
    if not land.label_noise:
        return
    if count:
        raise ValueError(
            "Eigenvalues are not available with label_noise > 0, which gives each sample many gradients; use "
            "label_noise=0, or for mse at interpolation the Hessian's eigenvalues times 2σ²/C (C outputs)."
        )
    if land._criterion is not F.mse_loss and (land._criterion is not F.cross_entropy or land.y.is_floating_point()):
        raise ValueError(
            f"The covariance due to label_noise is known for mse and for class labels, not for {land.loss_name!r} with "
            f"targets of type {land.y.dtype}; use label_noise=0."
        )

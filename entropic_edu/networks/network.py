"""A network and its data as a landscape: L(θ) = data loss + ½λ‖θ‖², a function of one flat vector."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from entropic_edu.physics.landscape import Landscape

from . import batch_norm as norms
from . import memory
from .graphs import Replays
from .stacked import Stack

if TYPE_CHECKING:
    from entropic_edu.physics.mean import Estimate

Loss = Literal["cross_entropy", "mse"] | Callable[[Tensor, Tensor], Tensor]
Strategy = Literal["auto", "loop", "vmap", "stacked"]
T = TypeVar("T")

_NUMBERS = 2**18  # inputs that a CPU takes at once: 85 images of CIFAR-10 keep activations in cache
_FEW = 3  # networks, below which a CPU computes their gradients as fast one after the other
_SMALL = 3_000_000  # samples times parameters, above which it does
_STACKED = 32  # vectors that a stack of layers takes at once
_SHARE = 8  # of an accelerator's memory, for what one gradient keeps; a Hessian-vector product takes three times that


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step sees: inputs and targets, shared by all walkers (B, ...) or each one's ``own`` (P, B, ...).

    Attributes:
        whole: Whether these are a part of the whole data, so that batch norm takes the statistics re-estimated at θ
            and not those of the batch.
    """

    x: Tensor
    y: Tensor
    own: bool
    whole: bool = False

    @property
    def size(self) -> int:
        """Number of samples, of each walker."""
        return self.x.shape[int(self.own)]

    def split(self, rows: int) -> list[tuple[float, Batch]]:
        """Return parts of at most ``rows`` samples with their shares of them all."""
        if self.size <= rows:
            return [(1.0, self)]
        dim = int(self.own)
        parts = zip(self.x.split(rows, dim), self.y.split(rows, dim), strict=True)
        return [(x.shape[dim] / self.size, Batch(x, y, self.own, self.whole)) for x, y in parts]


class Network(Landscape):
    """Any ``nn.Module`` with its data, as a function of one flat parameter vector.

    The model is copied and never changed. θ concatenates its trainable parameters in the order of
    ``model.named_parameters()``. Device and dtype are those of the parameters; inputs are moved to them once.

    Args:
        model: Maps inputs (B, ...) to outputs (B, C), each sample by itself.
        x: Training inputs (N, ...).
        y: Training targets: class numbers (N,), or for "mse" also real targets (N, C).
        loss: "cross_entropy", "mse" (the mean over samples *and* outputs, as in torch; class numbers become one-hot
            rows), or a callable (outputs, targets) -> scalar that is a mean over samples.
        weight_decay: λ of the term ½λ‖θ‖² (all parameters), part of the one objective that every verb sees.
        test: Held-out inputs and targets, for ``accuracy(theta, "test")``.
        label_noise: For "mse" the standard deviation σ of a fresh Gaussian jitter on the targets of each drawn batch;
            for class targets the probability that a drawn sample's class is replaced by one drawn uniformly.
        freeze_buffers: Evaluate the model in eval mode: batch norm then uses its stored statistics as constants and
            dropout is off.
        batch_norm: "refuse", or "reestimate" for a model with batch norm. Losses, accuracies, full-batch gradients and
            curvatures then use, at each θ, the means and variances that the training inputs have at that θ, and are
            those of a function of θ alone: derivatives go through the statistics. On a drawn batch, batch norm takes
            the batch's own statistics, as in training; such gradients scatter about one that differs from the
            full-batch gradient by a little, which vanishes as batches grow.
        statistics: For "reestimate", how many training inputs, evenly spaced, give the statistics; None takes all. They
            pass at once, so memory grows with them, and a full-batch gradient costs up to twice as much (no more
            than a plain one where all are taken).
        strategy: How (P, D) gradients are computed. "stacked" (chains of linear layers and activations) is taken where
            it applies. Else "auto" takes "loop" for pictures, for one or two networks and for large batches, and "vmap"
            for the rest. That holds on a CPU, so that the same call gives the same bits on every run; on other devices
            both are timed once per shape, and one is to be named for that.

    Attributes:
        has_classes: Whether the targets are classes, so that ``accuracy`` means something.

    Raises:
        ValueError: If data are not finite, labels are out of range, sizes differ, or the loss would depend on more
            than θ (batch norm, dropout).
        MemoryError: By a call that does not fit in memory even one sample at a time; until then it is repeated with
            fewer samples at once, which changes results by round-off only.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        loss: Loss = "cross_entropy",
        weight_decay: float = 0.0,
        test: tuple[Tensor, Tensor] | None = None,
        label_noise: float = 0.0,
        freeze_buffers: bool = False,
        batch_norm: norms.BatchNorm = "refuse",
        statistics: int | None = 512,
        strategy: Strategy = "auto",
    ) -> None:
        self.model = copy.deepcopy(model).train(not freeze_buffers)
        self._plain = copy.deepcopy(self.model)  # what ``module`` hands out
        _pool_before_relu(self.model)
        self._reestimates = _reestimates(batch_norm, statistics, freeze_buffers) and _has_norms(model)
        if self._reestimates:
            norms.replace_norms(self.model)
        parameters = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        if not parameters:
            raise ValueError("This model has no trainable parameters; there is nothing to move.")
        first = next(iter(parameters.values()))
        self.device, self.dtype = first.device, first.dtype
        self._names, self._shapes = list(parameters), [p.shape for p in parameters.values()]
        self._sizes = [p.numel() for p in parameters.values()]
        self.dim = sum(self._sizes)
        self.weight_decay, self.label_noise = float(weight_decay), float(label_noise)
        # a callable keeps its own name, told from the two that are built in
        self.loss_name = loss if isinstance(loss, str) else f"custom {getattr(loss, '__name__', 'loss')}"
        self._criterion = _criterion(loss)
        self._check_noise()
        if not freeze_buffers:
            _refuse_hidden_state(self.model)
        self.has_classes = loss == "cross_entropy" or not torch.as_tensor(y).is_floating_point()
        self.x, self.y = self._data(x, y, "training")
        self.test = None if test is None else self._data(*test, "test")
        self._classes = int(self.y.max()) + 1 if not self.y.is_floating_point() else 0
        if not freeze_buffers:
            self._refuse_what_changes()
        self._stack = Stack.of(self.model)
        if strategy == "stacked" and (self._stack is None or not isinstance(loss, str)):
            raise ValueError(
                'strategy="stacked" needs an nn.Sequential of Linear layers and elementwise activations with a named '
                f'loss, got {type(model).__name__} with loss {self.loss_name!r}; use "auto".'
            )
        probabilities = loss == "cross_entropy" and self.y.is_floating_point()
        if not isinstance(loss, str) or probabilities or strategy in ("loop", "vmap"):
            self._stack = None
        self.strategy = strategy
        self._chosen: dict[tuple[int, ...], str] = {}
        self._replays = Replays()
        self._most: int | None = None  # samples at once, once memory has run out
        self._kept: int | None = None  # bytes that a gradient keeps for each sample, once measured
        self._seen = self.x[_evenly(len(self.x), statistics)] if self._reestimates else self.x[:0]
        if self._reestimates:
            self._statistics(self.unflatten(self.flatten(self.model)))  # refuses norms that are used twice

    # --- the objective -----------------------------------------------------------------------------------------

    def loss(self, theta: Tensor) -> Tensor:
        return self.data_loss(theta) + 0.5 * self.weight_decay * theta.square().sum(-1)

    def data_loss(self, theta: Tensor) -> Tensor:
        """Return the loss on all training data without the weight-decay term, (D,) -> () or (P, D) -> (P,)."""
        self.check(theta)
        if theta.ndim == 2 and self._stack is None:
            return torch.stack([self.data_loss(row) for row in theta])
        return self._fitting(lambda: self._data_loss(theta), len(self.x))

    def _data_loss(self, theta: Tensor) -> Tensor:
        parts = self._everything_once().split(self._rows(theta))
        if self._stack is not None:
            return torch.stack([len(part.x) * self._losses(theta, part) for _, part in parts]).sum(0) / len(self.x)
        weights = self.unflatten(theta)
        fixed = self._statistics(weights)
        return torch.stack([share * self._value(weights, part, fixed) for share, part in parts]).sum(0)

    def pieces(self, weight_decay: bool = True) -> list[Callable[[Tensor], Tensor]]:
        def piece(share: float, part: Batch) -> Callable[[Tensor], Tensor]:
            return lambda theta: share * self._losses(theta, part)

        found = [piece(share, part) for share, part in self._parts()]
        if weight_decay and self.weight_decay:
            found.append(lambda theta: 0.5 * self.weight_decay * theta.square().sum())
        return found

    def outputs(self, theta: Tensor, x: Tensor) -> Tensor:
        """Return the network's outputs on inputs (N, ...): (D,) -> (N, C), or (P, D) -> (P, N, C)."""
        if self._stack is not None:
            many = self._stack.outputs(theta if theta.ndim == 2 else theta[None], x)
            return many if theta.ndim == 2 else many[0]
        if theta.ndim == 2:
            return torch.stack([self.outputs(row, x) for row in theta])
        weights = self.unflatten(theta)
        return self._call(weights, x, self._statistics(weights))

    def _call(self, weights: dict[str, Tensor], x: Tensor, fixed: dict[str, Tensor]) -> Tensor:
        result: Tensor = torch.func.functional_call(self.model, {**weights, **fixed}, (x,))
        return result

    def _value(self, weights: dict[str, Tensor], batch: Batch, fixed: dict[str, Tensor] | None = None) -> Tensor:
        """Data loss of one network; ``fixed`` are statistics where they are known."""
        if fixed is None:
            fixed = self._statistics(weights) if batch.whole else {}
        return self._criterion(self._call(weights, batch.x, fixed), batch.y)

    def _statistics(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Means and variances of batch norm at θ; none where there is nothing to re-estimate."""
        return norms.statistics(self.model, weights, self._seen) if self._reestimates else {}

    def with_statistics_of(self, theta: Tensor) -> Network:
        """Return the landscape whose batch norm keeps the statistics of one θ (D,) as constants, near θ and far."""
        other = copy.copy(self)
        other.model, other._reestimates, other._chosen = copy.deepcopy(self.model), False, {}
        other._replays = Replays()
        with torch.no_grad():
            found = self._statistics(self.unflatten(theta))
        for name, value in found.items():
            owner, _, buffer = name.rpartition(".")
            setattr(other.model.get_submodule(owner), buffer, value)
        other._plain = other.model
        return other

    @torch.no_grad()
    def accuracy(self, theta: Tensor, split: str = "train") -> Tensor:
        """Return the share of samples whose largest output is the target's, (D,) -> () or (P, D) -> (P,)."""
        self.check(theta)
        if split == "test" and self.test is None:
            raise ValueError("This network has no test data; pass test=(x, y) to Network.")
        x, y = (self.x, self.y) if split == "train" or self.test is None else self.test
        if not self.has_classes:
            raise ValueError(
                f"Accuracy needs class targets, and these are real numbers of shape {tuple(y.shape)}; use loss(theta)."
            )
        if theta.ndim == 2 and self._stack is None:
            return torch.stack([self.accuracy(row, split) for row in theta])
        fixed = {} if self._stack is not None else self._statistics(self.unflatten(theta))
        whole = Batch(x, y if y.ndim == 1 else y.argmax(-1), False)

        def outputs(x: Tensor) -> Tensor:
            return self.outputs(theta, x) if self._stack else self._call(self.unflatten(theta), x, fixed)

        def right() -> Tensor:
            parts = whole.split(self._rows(theta))
            return torch.stack([(outputs(part.x).argmax(-1) == part.y).sum(-1) for _, part in parts]).sum(0)

        return self._fitting(right, len(x)) / len(x)

    # --- what the verbs ask of a landscape ----------------------------------------------------------------------

    @property
    def num_samples(self) -> int:  # type: ignore[override]
        """Number N of training samples."""
        return len(self.x)

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """Data on which ``accuracy`` can be measured."""
        if not self.has_classes:
            return ()
        return ("train",) if self.test is None else ("train", "test")

    @property
    def label_ratio(self) -> float:  # type: ignore[override]
        """Covariance that the jitter of mse targets adds, in units of H: 2σ²/C for the mean over C outputs."""
        jitters = self.loss_name == "mse" and self.label_noise > 0
        return 2 * self.label_noise**2 / self.y.shape[-1] if jitters else 0.0

    def hessian_vector_product(self, theta: Tensor, vector: Tensor, *, weight_decay: bool = True) -> Tensor:
        if self._stack is not None:
            return self._stacked_product(theta, vector, weight_decay)
        if theta.ndim == 2:
            return super().hessian_vector_product(theta, vector, weight_decay=weight_decay)
        plain = super().hessian_vector_product
        return self._fitting(lambda: plain(theta, vector, weight_decay=weight_decay), len(self.x))

    def _stacked_product(self, theta: Tensor, vector: Tensor, weight_decay: bool) -> Tensor:
        """Hv by the hand-written pass for chains of linear layers."""
        assert self._stack is not None
        found = []
        for k, v in enumerate(torch.split(vector.reshape(-1, self.dim), _STACKED)):
            t = theta[k * _STACKED : (k + 1) * _STACKED] if theta.ndim == 2 else theta[None]
            product = self.weight_decay * v if weight_decay else torch.zeros_like(v)
            rows = max(64, 4096 // len(v))  # samples at once: what keeps both passes and their derivatives in cache
            for x, y in zip(torch.split(self.x, rows), torch.split(self.y, rows), strict=True):
                share = len(x) / len(self.x)
                product += share * self._stack.hessian_vector_product(t, v, x, self._output_gradients(y))
            found.append(product)
        return torch.cat(found).view(vector.shape)

    def _output_gradients(self, y: Tensor) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the derivative δ of the mean loss by the outputs z, with δ̇, as a function of (z, ż)."""

        def cross_entropy(z: Tensor, z_dot: Tensor) -> tuple[Tensor, Tensor]:
            p, mine = torch.softmax(z, -1), y[None, :, None].expand(len(z), -1, 1)
            p_dot = p * (z_dot - (p * z_dot).sum(-1, keepdim=True))
            return p.scatter_add(-1, mine, -torch.ones_like(z[..., :1])) / len(y), p_dot / len(y)

        def mse(z: Tensor, z_dot: Tensor) -> tuple[Tensor, Tensor]:
            return 2 * (z - y) / y.numel(), 2 * z_dot / y.numel()

        return mse if self.loss_name == "mse" else cross_entropy

    def has_exact_trace(self, generator: torch.Generator) -> bool:
        from .per_sample import is_piecewise_linear

        return is_piecewise_linear(self, generator=generator)

    def trace(
        self,
        theta: Tensor,
        *,
        generator: torch.Generator,
        num_probes: int = 16,
        weight_decay: bool = True,
        scale: Tensor | None = None,
    ) -> Estimate:
        from entropic_edu.physics.mean import Estimate

        from .per_sample import exact_trace, is_known_piecewise_linear

        if is_known_piecewise_linear(self):
            value = exact_trace(self, theta, weight_decay=weight_decay, scale=scale)
            return Estimate(value, torch.zeros_like(value), value[..., None])
        return super().trace(theta, generator=generator, num_probes=num_probes, weight_decay=weight_decay, scale=scale)

    def noise_trace(self, theta: Tensor) -> Tensor:
        from .per_sample import gradient_covariance

        return gradient_covariance(self, theta).trace

    def subset(self, index: Tensor) -> Network:
        """Return the landscape of the training samples at these indices (n,); statistics of batch norm stay."""
        some = copy.copy(self)
        some.x, some.y = self.x[index.to(self.device)], self.y[index.to(self.device)]
        return some

    # --- gradients ---------------------------------------------------------------------------------------------

    def draw(self, batch_size: int | None, generator: torch.Generator, rows: int | None = None) -> Batch:
        """Draw samples with replacement and, where the landscape has label noise, jitter their targets.

        Args:
            batch_size: Samples B in a batch, at most N; None takes all data in order (label noise still acts).
            generator: Draws happen on its device and are then moved.
            rows: How many independent batches; None draws one that all walkers share.
        """
        if batch_size is None:
            x, y = self._everything(rows if self.label_noise else None)
            return Batch(x, self._jitter(y, generator), rows is not None and self.label_noise > 0)
        self._check_batch_size(batch_size)
        lead = () if rows is None else (rows,)
        # batch first, so that with the same seed a smaller batch holds the first samples of a larger one
        index = torch.randint(len(self.x), (batch_size, *lead), generator=generator, device=generator.device)
        return self._pick(index.movedim(0, -1).contiguous(), generator)

    def draw_labels(self, batch_size: int, generator: torch.Generator, rows: int | None = None) -> Batch:
        """Draw label noise without sampling noise: all data in order, the jitter as strong as in batches of B.

        For "mse" only: σ√(N/B) on all N targets gives the gradient the covariance that σ gives in a batch of B.
        """
        if not self.y.is_floating_point():
            raise ValueError('Pure label noise needs real targets; use loss="mse", or noise="minibatch".')
        x, y = self._everything(rows)
        return Batch(x, self._jitter(y, generator, math.sqrt(len(self.x) / batch_size)), rows is not None)

    def _everything(self, rows: int | None) -> tuple[Tensor, Tensor]:
        if rows is None:
            return self.x, self.y
        return self.x.expand(rows, *self.x.shape), self.y.expand(rows, *self.y.shape)

    @property
    def signature(self) -> str:
        layout = [(name, tuple(shape)) for name, shape in zip(self._names, self._shapes, strict=True)]
        return f"{type(self.model).__name__}-{hashlib.sha256(repr(layout).encode()).hexdigest()[:12]}"

    def steps_per_epoch(self, batch_size: int | None) -> int:
        if batch_size is None:
            return 1
        self._check_batch_size(batch_size)
        return len(self.x) // batch_size

    def epoch(
        self, batch_size: int | None, generator: torch.Generator, rows: int | None = None
    ) -> Iterator[Batch | None]:
        """Yield shuffled batches without replacement, one shuffle for each row; the incomplete last is dropped."""
        if batch_size is None:
            yield self.draw(None, generator, rows) if self.label_noise else None
            return
        shuffles = [torch.randperm(len(self.x), generator=generator, device=generator.device) for _ in range(rows or 1)]
        order = shuffles[0] if rows is None else torch.stack(shuffles)
        for number in range(self.steps_per_epoch(batch_size)):
            yield self._pick(order[..., number * batch_size : (number + 1) * batch_size], generator)

    def _pick(self, index: Tensor, generator: torch.Generator) -> Batch:
        index = index.to(self.device)
        return Batch(self.x[index], self._jitter(self.y[index], generator), index.ndim == 2)

    def _check_batch_size(self, batch_size: int) -> None:
        if not 1 <= batch_size <= len(self.x):
            raise ValueError(
                f"A batch takes 1 to {len(self.x)} of the {len(self.x)} training samples, got batch_size={batch_size}; "
                "pass batch_size=None for all of them."
            )

    def gradient_on(self, theta: Tensor, batch: Batch | None) -> Tensor:
        return self._both_on(theta, batch)[1].add_(theta, alpha=self.weight_decay)

    @torch.no_grad()
    def loss_and_gradient_on(self, theta: Tensor, batch: Batch | None) -> tuple[Tensor, Tensor]:
        data, gradient = self._both_on(theta, batch)
        if self._stack is not None:  # its gradient passes by the loss
            data = self.data_loss(theta) if batch is None else self._losses(theta, batch)
        decay = 0.5 * self.weight_decay * theta.square().sum(-1)
        return data + decay, gradient.add_(theta, alpha=self.weight_decay)

    def _both_on(self, theta: Tensor, batch: Batch | None) -> tuple[Tensor, Tensor]:
        """Data loss, () or (P,), and its gradient, as the sum over parts that fit in memory."""

        def summed() -> tuple[Tensor, Tensor]:
            parts = self._parts(theta, batch)
            if len(parts) == 1:
                return self._both(theta, parts[0][1])
            loss, gradient = theta.new_zeros(theta.shape[:-1]), torch.zeros_like(theta)
            for share, part in parts:
                one, slope = self._both(theta, part)
                loss, gradient = loss + share * one, gradient + share * slope
            return loss, gradient

        return self._fitting(summed, len(self.x) if batch is None else batch.size)

    def _parts(self, theta: Tensor | None = None, batch: Batch | None = None) -> list[tuple[float, Batch]]:
        """All data, or one batch, in parts with their shares of the mean."""
        if batch is not None:
            # a stack is as fast on a whole batch, and batch norm means the whole batch
            return [(1.0, batch)] if self._reestimates else batch.split(self._rows_of(batch))
        if not self._reestimates:
            return self._everything_once().split(self._rows(theta))
        if len(self._seen) == len(self.x):  # statistics of all data are those of the one batch of all data
            return [(1.0, Batch(self.x, self.y, False))]
        return self._everything_once().split(len(self._seen))

    def _everything_once(self) -> Batch:
        return Batch(self.x, self.y, False, whole=True)

    def _both(self, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        if self._stack is not None:
            with torch.no_grad():
                rows = theta if theta.ndim == 2 else theta[None]
                found = self._stack.gradient(rows, batch.x, self._output_gradient(batch.y), batch.own)
                return theta.new_zeros(theta.shape[:-1]), found if theta.ndim == 2 else found[0]
        if theta.ndim == 1:
            loss, gradient = self._by("loop", theta[None], batch)
            return loss[0], gradient[0]
        how = self.strategy if self.strategy in ("loop", "vmap") else self._choose(theta, batch)
        return self._by(how, theta, batch)

    def _by(self, how: str, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        def compute(theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            part = Batch(x, y, batch.own, batch.whole)
            return self._by_vmap(theta, part) if how == "vmap" else self._by_loop(theta, part)

        inputs = (theta.detach(), batch.x, batch.y)
        if not self._replayable(len(theta) * batch.size):
            return compute(*inputs)
        key = (how, batch.own, batch.whole, *(given.shape for given in inputs))
        loss, gradient = self._replays(key, compute, inputs)
        return loss, gradient

    def _replayable(self, samples: int) -> bool:
        """Whether a gradient on so many samples is small enough to be kept as a CUDA graph, with its memory."""
        if self.device.type != "cuda" or self._reestimates:
            return False
        return samples * self.bytes_per_sample < (memory.total_bytes(self.device) or 0) // (4 * _SHARE)

    def _by_loop(self, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        losses, gradients = theta.new_empty(len(theta)), torch.empty_like(theta)
        for p in range(len(theta)):
            weights = {name: w.detach().requires_grad_() for name, w in self.unflatten(theta[p].detach()).items()}
            with torch.enable_grad():
                loss = self._value(weights, _row(batch, p))
                slopes = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
            losses[p] = loss.detach()
            torch.cat([slope.detach().flatten() for slope in slopes], out=gradients[p])
        return losses, gradients

    def _by_vmap(self, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        dims = (0, 0, 0) if batch.own else (0, None, None)
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            one = torch.vmap(lambda row, x, y: self._losses(row, Batch(x, y, False, batch.whole)), in_dims=dims)
            losses = one(leaf, batch.x.contiguous(), batch.y)  # vmap has no channels_last rule for group norm
            return losses.detach(), torch.autograd.grad(losses.sum(), leaf)[0]

    def _choose(self, theta: Tensor, batch: Batch) -> str:
        """Return "loop" or "vmap", the same for the same shapes: by a rule on a CPU, elsewhere by a timing of each."""
        key = (len(theta), batch.own, batch.whole, *batch.x.shape)
        if key not in self._chosen:
            choose = self._expected if self.device.type == "cpu" else self._timed
            self._chosen[key] = choose(theta, batch)
        return self._chosen[key]

    def _expected(self, theta: Tensor, batch: Batch) -> str:
        """Return "vmap" for several small products; "loop" for large ones, and for grouped convolutions."""
        if self.x.ndim == 4 or len(theta) < _FEW or batch.size * self.dim > _SMALL:
            return "loop"
        try:
            self._by("vmap", theta, batch)
        except RuntimeError:  # some layers (recurrent ones, say) have no batching rule, or memory ran out
            return "loop"
        return "vmap"

    def _timed(self, theta: Tensor, batch: Batch) -> str:
        """Return "vmap" where a short timing finds it 1.3 times faster than the loop."""
        loop = _seconds(lambda: self._by("loop", theta, batch), self.device)
        try:
            vmap = _seconds(lambda: self._by("vmap", theta, batch), self.device)
        except RuntimeError:
            vmap = float("inf")
        return "vmap" if 1.3 * vmap < loop else "loop"

    def _losses(self, theta: Tensor, batch: Batch) -> Tensor:
        """Data loss on one batch, (D,) -> () or, where the layers stack, (P, D) -> (P,)."""
        if theta.ndim == 1:
            return self._value(self.unflatten(theta), batch)
        assert self._stack is not None
        outputs = self._stack.outputs(theta, batch.x, batch.own)
        if self.loss_name == "mse":
            return (outputs - batch.y).square().mean((-2, -1))
        right = outputs.gather(-1, batch.y.expand(outputs.shape[:2])[..., None])[..., 0]
        return (torch.logsumexp(outputs, -1) - right).mean(1)  # cross-entropy; torch's own is slow for few classes

    def _output_gradient(self, y: Tensor) -> Callable[[Tensor], Tensor]:
        """The derivative of the mean loss by the outputs (P, N, C), written out."""
        if self.loss_name == "mse":
            return lambda z: (z - y) * (2 / (z.shape[-1] * z.shape[-2]))
        return lambda z: _less_one_at(_softmax(z), y).div_(z.shape[-2])

    # --- parameters and data -----------------------------------------------------------------------------------

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return θ after each layer's own ``reset_parameters``, shape (D,); the global random stream is left as it was.

        Layers are reset where the generator lives, so that a seed gives the same start on any device. Parameters of
        modules without ``reset_parameters`` keep the values they came with.

        Raises:
            ValueError: If no module can be reset, so that every start would be the same.
        """
        model = copy.deepcopy(self.model).to(generator.device)
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        resets = [f for m in model.modules() if (f := getattr(m, "reset_parameters", None)) is not None]
        if not resets:
            raise ValueError("No module of this model has reset_parameters(); pass start=theta to train instead.")
        with torch.random.fork_rng(devices=[generator.device] if generator.device.type == "cuda" else []):
            torch.random.manual_seed(seed)
            for reset in resets:
                reset()
        return self.flatten(model)

    def flatten(self, model: nn.Module) -> Tensor:
        """Return the trainable parameters of a model of this architecture as one vector (D,)."""
        parameters = dict(model.named_parameters())
        return torch.cat([parameters[name].detach().flatten() for name in self._names]).to(self.device, self.dtype)

    def unflatten(self, theta: Tensor) -> dict[str, Tensor]:
        """Return views of θ by parameter name; leading dimensions of ``theta`` stay in front."""
        self.check_shape(theta)
        parts = zip(self._names, self._shapes, theta.split(self._sizes, -1), strict=True)
        return {name: part.reshape(*theta.shape[:-1], *shape) for name, shape, part in parts}

    def module(self, theta: Tensor) -> nn.Module:
        """Return a copy of the model that holds the parameters ``theta``, shape (D,).

        Re-estimated statistics of batch norm are its running ones, and it is in eval mode.
        """
        weights = self.unflatten(theta.detach().clone())
        model = copy.deepcopy(self._plain)
        model.load_state_dict(weights, strict=False)
        return norms.with_running(model, self._statistics(weights)) if self._reestimates else model

    def to(self, where: torch.device | torch.dtype | str) -> Network:
        """Return the same landscape on another device or in another dtype (float64 for finite differences)."""
        other = copy.copy(self)
        other.model, other._plain = copy.deepcopy(self.model), copy.deepcopy(self._plain)
        other.model.to(where)
        other._plain.to(where)
        first = next(other.model.parameters())
        other.device, other.dtype, other._chosen, other._replays = first.device, first.dtype, {}, Replays()
        other.x, other.y, other._seen = other._place(self.x), other._place(self.y), other._place(self._seen)
        other._most = other._kept = None
        other.test = None if self.test is None else (other._place(self.test[0]), other._place(self.test[1]))
        return other

    def _place(self, data: Tensor) -> Tensor:
        return data.to(self.device, self.dtype) if data.is_floating_point() else data.to(self.device)

    def _data(self, x: Tensor, y: Tensor, what: str) -> tuple[Tensor, Tensor]:
        x, y = torch.as_tensor(x), torch.as_tensor(y)
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"The {what} data need one target for each input, got {len(x)} inputs, {len(y)} targets.")
        for name, data in (("inputs", x), ("targets", y)):
            if data.is_floating_point() and not data.isfinite().all():
                bad = (
                    int((~data.isfinite()).flatten(1).any(1).sum()) if data.ndim > 1 else int((~data.isfinite()).sum())
                )
                raise ValueError(
                    f"The {what} {name} hold NaN or infinity in {bad} of {len(data)} samples; "
                    "clean or drop those samples first."
                )
        x, y = self._place(x), self._place(y)
        if x.ndim == 4 and self.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)  # CPU convolutions run faster in this layout
        with torch.no_grad():
            outputs = self.model(x[[0, -1]])  # two rows also of one sample, whose variance batch norm asks for
        if self.loss_name in ("cross_entropy", "mse") and not y.is_floating_point():
            classes = outputs.shape[-1]
            if y.ndim != 1 or int(y.min()) < 0 or int(y.max()) >= classes:
                raise ValueError(
                    f"The {what} labels must be class numbers 0 to {classes - 1} of shape (N,), since the model has "
                    f"{classes} outputs; got {int(y.min())} to {int(y.max())} of shape {tuple(y.shape)}."
                )
            y = y.long()
            if self.loss_name == "mse":
                y = F.one_hot(y, classes).to(self.dtype)
        elif self.loss_name == "cross_entropy" and y.ndim == 1:
            raise ValueError(f"cross_entropy needs class numbers of an integer type, got {y.dtype}; use y.long().")
        elif self.loss_name == "mse" and y.shape[1:] != outputs.shape[1:]:
            raise ValueError(
                f"mse needs targets of the outputs' shape (N, {', '.join(map(str, outputs.shape[1:]))}), "
                f"got {tuple(y.shape)}; for one output use y[:, None]."
            )
        return x, y

    def _jitter(self, y: Tensor, generator: torch.Generator, factor: float = 1.0) -> Tensor:
        if not self.label_noise:
            return y
        if y.is_floating_point():
            noise = torch.randn(y.shape, generator=generator, device=generator.device, dtype=y.dtype)
            return y + self.label_noise * factor * noise.to(self.device)
        flip = torch.rand(y.shape, generator=generator, device=generator.device) < self.label_noise
        other = torch.randint(self._classes, y.shape, generator=generator, device=generator.device)
        return torch.where(flip.to(self.device), other.to(self.device), y)

    def _check_noise(self) -> None:
        if self.weight_decay < 0 or self.label_noise < 0:
            raise ValueError(
                f"weight_decay and label_noise must not be negative, got {self.weight_decay} and {self.label_noise}."
            )
        if self.loss_name == "cross_entropy" and self.label_noise > 1:
            raise ValueError(f"label_noise is a probability for class targets, got {self.label_noise}.")

    def _refuse_what_changes(self) -> None:
        """Refuse a model whose outputs differ between two calls, or whose buffers a call changes."""
        model = copy.deepcopy(self.model)
        buffers = {name: b.clone() for name, b in model.named_buffers()}
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            one, two = model(self.x[:2]), model(self.x[:2])
        changed = [name for name, b in model.named_buffers() if not torch.equal(b, buffers[name])]
        if changed or not torch.equal(one, two):
            raise ValueError(
                f"This model's outputs depend on more than theta (buffers that change: {changed or 'none'}; outputs "
                f"of two equal calls {'agree' if torch.equal(one, two) else 'differ'}); remove what draws random "
                "numbers or keeps statistics, or pass freeze_buffers=True to evaluate in eval mode."
            )

    def _rows(self, theta: Tensor | None = None) -> int:
        """Samples to take at once: what keeps activations in cache on a CPU, and memory bounded elsewhere."""
        if self._stack is not None:
            return max(64, 4096 // (len(theta) if theta is not None and theta.ndim == 2 else 1))
        total = memory.total_bytes(self.device)
        if total is None:
            rows = min(4096, max(64, _NUMBERS // self.x[0].numel()))
        else:
            rows = min(8192, max(16, total // _SHARE // self.bytes_per_sample))
        return min(rows, self._most or rows)

    def _rows_of(self, batch: Batch) -> int:
        """The same for a drawn batch; only convolutions on a CPU gain from smaller parts."""
        if self._stack is not None:
            return batch.size
        small = self.device.type == "cpu" and self.x.ndim == 4
        return self._rows() if small else self._most or batch.size

    @property
    def bytes_per_sample(self) -> int:
        """Memory that a gradient keeps for each sample and network, in bytes: an estimate of what a batch will need."""
        if self._kept is None:
            two = Batch(self.x[[0, -1]], self.y[[0, -1]], False)
            weights = self.unflatten(self.flatten(self.model).requires_grad_())
            self._kept = max(1, memory.bytes_kept(lambda: self._value(weights, two), weights.values()) // 2)
        return self._kept

    def _fitting(self, compute: Callable[[], T], size: int) -> T:
        """Return compute(), taking half as many samples at once each time that memory runs out."""
        while True:
            try:
                return compute()
            except (RuntimeError, MemoryError) as error:
                if not memory.ran_out(error):
                    raise
                problem = str(error).splitlines()[0]
            rows = min(self._rows(), size)  # outside the handler, whose error keeps the tensors of the failed call
            self._replays = Replays()  # they hold memory too
            memory.release(self.device)
            if rows == 1 or self._reestimates or self._stack is not None:  # batch norm needs its samples together
                raise MemoryError(self._does_not_fit(problem, max(rows, len(self._seen))))
            self._most = rows // 2

    def _does_not_fit(self, problem: str, at_once: int) -> str:
        free = memory.free_bytes(self.device)
        room = "" if free is None else f" with {memory.in_words(free)} free"
        fits = ""
        if self._reestimates and free is not None:
            fits = f"; one keeps about {memory.in_words(self.bytes_per_sample)}, so that about "
            fits += f"{max(1, free // (4 * self.bytes_per_sample))} would fit"
        advice = "smaller batches and a smaller statistics=" if self._reestimates else "a smaller model"
        return (
            f"Memory ran out on {self.device} with up to {at_once} samples at once{room}{fits}; take {advice}, "
            f"fewer walkers, or another device. ({problem})"
        )

    def _chunks(self, theta: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        rows = self._rows(theta)
        yield from zip(self.x.split(rows), self.y.split(rows), strict=True)


def _criterion(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    if callable(loss):
        return loss
    known: dict[str, Callable[..., Tensor]] = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}
    if loss not in known:
        raise ValueError(f'loss must be "cross_entropy", "mse" or a callable(outputs, targets), got {loss!r}.')
    return known[loss]


def _refuse_hidden_state(model: nn.Module) -> None:
    found = [n for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if found:
        raise ValueError(
            f"This model has batch norm in {found}, so its loss depends on batch statistics and not on theta alone; "
            'pass batch_norm="reestimate" to have statistics of the training inputs at each theta, replace batch norm '
            "by GroupNorm, or pass freeze_buffers=True to use its stored statistics."
        )
    drops = [n for n, m in model.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0]
    if drops:
        raise ValueError(
            f"This model has dropout in {drops}, so its loss is random even on all data; "
            "set p=0, or pass freeze_buffers=True to evaluate in eval mode."
        )


def _pool_before_relu(model: nn.Module) -> None:
    """Let max pooling come before a ReLU that precedes it in a chain: the same numbers bit for bit, on fewer pixels.

    max(relu(z)) = relu(max(z)), and either way the slope goes to the first largest pixel, or is zero. Only chains
    within chains are changed: a module with a ``forward`` of its own may look at what lies between their layers.
    """
    if type(model) is not nn.Sequential:
        return
    for place in range(len(model) - 1):
        pool = model[place + 1]
        if type(model[place]) is nn.ReLU and type(pool) is nn.MaxPool2d and not pool.return_indices:
            model[place], model[place + 1] = pool, model[place]
    for layer in model:
        _pool_before_relu(layer)


def _has_norms(model: nn.Module) -> bool:
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


def _reestimates(batch_norm: str, statistics: int | None, freeze_buffers: bool) -> bool:
    """Check the options of batch norm, and return whether its statistics are re-estimated."""
    if batch_norm not in ("refuse", "reestimate"):
        raise ValueError(f'batch_norm must be "refuse" or "reestimate", got {batch_norm!r}.')
    if batch_norm == "reestimate" and freeze_buffers:
        raise ValueError(
            'Statistics are either stored or re-estimated: drop freeze_buffers=True or batch_norm="reestimate".'
        )
    if statistics is not None and statistics < 2:
        raise ValueError(f"A variance needs at least 2 inputs, got statistics={statistics}; None takes all.")
    return batch_norm == "reestimate"


def _evenly(number: int, most: int | None) -> Tensor:
    """Return indices of at most ``most`` samples, evenly spaced, so that data sorted by class give every class."""
    if most is None or most >= number:
        return torch.arange(number)
    return torch.arange(most) * number // most


def _softmax(z: Tensor) -> Tensor:
    """Softmax over the last dimension; over few classes torch's is several times faster with the classes in front."""
    if z.shape[-1] > 32:
        return torch.softmax(z, -1)
    return torch.softmax(z.movedim(-1, 0).contiguous(), 0).movedim(0, -1).contiguous()


def _less_one_at(shares: Tensor, labels: Tensor) -> Tensor:
    """Subtract the one-hot labels (N,) or (P, N) from shares (P, N, C), in place."""
    at = labels.expand(shares.shape[:-1])[..., None]
    return shares.scatter_add_(-1, at, shares.new_full((), -1.0).expand(at.shape))


def _row(batch: Batch, p: int) -> Batch:
    return Batch(batch.x[p], batch.y[p], False) if batch.own else batch


def _seconds(call: Callable[[], object], where: torch.device) -> float:
    """Best of three timings after one warm-up."""

    def timed() -> float:
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        began = time.perf_counter()
        call()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        return time.perf_counter() - began

    call()
    return min(timed() for _ in range(3))

"""A network and its data as a landscape: L(θ) = data loss + ½λ‖θ‖²; how to compute it is the ``engine``'s."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from entropic_edu.physics.mean import Estimate

from . import batch_norm as norms
from . import per_sample
from .batches import Batch
from .engine import Computed, StackEngine, Strategy, engine_for
from .losses import Criterion, CrossEntropy, loss_of
from .parameters import Layout

_FEW = 16  # samples to measure on what is a property of the model
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class Network(Computed):
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
        batch_norm: "refuse", or "reestimate" for a model with batch norm: all but gradients on drawn batches then use
            the means and variances that the training inputs have at each θ, and derivatives go through them. A drawn
            batch has its own statistics, as in training; the mean of such gradients differs a little from the
            full-batch gradient, the less the larger the batch.
        statistics: For "reestimate", how many training inputs, evenly spaced, give the statistics; None takes all. They
            pass at once, in memory, and a full-batch gradient costs up to twice as much (not where all are taken).
        strategy: How (P, D) gradients are computed. "stacked" (chains of linear layers and activations) is taken where
            it applies. Else "auto" takes, by shapes alone, "loop" for pictures, for one or two networks and for large
            batches, and "vmap" for the rest. On other devices than a CPU it times both once per shape; name one to
            have the same bits on every run there.

    Attributes:
        model, x, y, test: The copy of the model, and the data on its device in the form that the loss takes.
        layout: Where each parameter lies in θ, by name.
        criterion: The loss, with its derivatives and its label noise.
        loss_name: What the loss is called; a callable's is "custom" with its own name.
        label_ratio: As in ``Landscape``: 2σ²/C for mse over C outputs.
        has_classes: Whether the targets are classes, so that ``accuracy`` means something.
        engine: What computes, with the module that is called: ``model``, but max pooling before a ReLU (same bits).

    Raises:
        ValueError: If data are not finite, labels are out of range, sizes differ, or the loss would depend on more
            than θ (batch norm, dropout).
        MemoryError: By a call that does not fit in memory even one sample at a time; until then it is repeated with
            fewer samples at once, which changes results by round-off only.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> x, y = torch.randn(20, 4, generator=generator), torch.arange(20) % 3
        >>> land = Network(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), x, y, weight_decay=0.01)
        >>> theta = land.initial(generator)
        >>> theta.shape, land.gradient(theta).shape
        (torch.Size([43]), torch.Size([43]))
        >>> plain = nn.functional.cross_entropy(land.module(theta)(x), y) + 0.005 * theta.square().sum()
        >>> torch.allclose(land.loss(theta), plain)
        True
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        loss: Criterion = "cross_entropy",
        weight_decay: float = 0.0,
        test: tuple[Tensor, Tensor] | None = None,
        label_noise: float = 0.0,
        freeze_buffers: bool = False,
        batch_norm: norms.BatchNorm = "refuse",
        statistics: int | None = 512,
        strategy: Strategy = "auto",
    ) -> None:
        reestimates = _reestimates(batch_norm, statistics, freeze_buffers) and bool(norms.norm_names(model))
        self.model = copy.deepcopy(model).train(not freeze_buffers)
        called = pooled_first(self.model)
        called = norms.with_reestimated(called) if reestimates else called
        self.layout = Layout(called)
        self.dim, first = self.layout.dim, next(p for p in called.parameters() if p.requires_grad)
        self.device, self.dtype = first.device, first.dtype
        if weight_decay < 0 or label_noise < 0:
            raise ValueError(
                f"weight_decay and label_noise must not be negative, got {weight_decay} and {label_noise}."
            )
        self.weight_decay, self.label_noise = float(weight_decay), float(label_noise)
        self.criterion = loss_of(loss, self.label_noise)
        self.loss_name = self.criterion.name
        if not freeze_buffers:
            _refuse_hidden_state(called)
        self.has_classes = isinstance(self.criterion, CrossEntropy) or not torch.as_tensor(y).is_floating_point()
        self.x, self.y = self._data(called, x, y, "training")
        self.label_ratio = self.criterion.label_ratio(self.y)
        self.test = None if test is None else self._data(called, *test, "test")
        self.splits = () if not self.has_classes else ("train",) if test is None else ("train", "test")
        if not self.y.is_floating_point():
            self.criterion = replace(self.criterion, classes=int(self.y.max()) + 1)
        if not freeze_buffers:
            _refuse_what_changes(called, self.x[:2])
        # whether one batch of all data gives batch norm its statistics; where not, each part of the data takes them
        most = min(len(self.x), statistics or len(self.x))
        self._sees_all = reestimates and most == len(self.x)
        seen = self.x[torch.arange(most) * len(self.x) // most if reestimates else []]  # every class of sorted data
        few = Batch(self.x[:_FEW].clone(), self.y[:_FEW].clone())  # a view would be pickled with all the data
        self.engine = engine_for(called, self.criterion, few, seen, strategy)
        self.engine.statistics(self.layout.split(self.flatten(self.model)))  # refuses norms that are used twice

    def loss(self, theta: Tensor) -> Tensor:
        return self.data_loss(theta) + 0.5 * self.weight_decay * theta.square().sum(-1)

    def data_loss(self, theta: Tensor) -> Tensor:
        """Return the loss on all training data without the weight-decay term, (D,) -> () or (P, D) -> (P,)."""
        self.check(theta)
        return self.engine.loss(theta, self._whole)

    def pieces(self, weight_decay: bool = True) -> list[Callable[[Tensor], Tensor]]:
        def piece(share: float, part: Batch) -> Callable[[Tensor], Tensor]:
            return lambda theta: share * self.engine.losses(theta, part)

        pieces = [piece(share, part) for share, part in self.engine.parts(self._whole)]
        if weight_decay and self.weight_decay:
            pieces.append(lambda theta: 0.5 * self.weight_decay * theta.square().sum())
        return pieces

    def outputs(self, theta: Tensor, x: Tensor) -> Tensor:
        """Return the network's outputs on inputs (N, ...): (D,) -> (N, C), or (P, D) -> (P, N, C)."""
        return self.engine.outputs(theta, x)

    def gradient_on(self, theta: Tensor, batch: Batch | None) -> Tensor:
        return self.engine.gradient(theta, batch or self._whole).add_(theta, alpha=self.weight_decay)

    @torch.no_grad()
    def loss_and_gradient_on(self, theta: Tensor, batch: Batch | None) -> tuple[Tensor, Tensor]:
        loss, gradient = self.engine.loss_and_gradient(theta, batch or self._whole)
        return loss + 0.5 * self.weight_decay * theta.square().sum(-1), gradient.add_(theta, alpha=self.weight_decay)

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
        return self.engine.right(theta, Batch(x, y if y.ndim == 1 else y.argmax(-1))) / len(x)

    def hessian_vector_product(self, theta: Tensor, vector: Tensor, *, weight_decay: bool = True) -> Tensor:
        if isinstance(self.engine, StackEngine):
            decay = self.weight_decay if weight_decay else 0.0
            slopes = self.engine.criterion.slopes_along
            return self.engine.stack.hessian_vector_product(slopes, theta, vector, self.x, self.y, decay)
        by_autograd = partial(super().hessian_vector_product, theta, vector, weight_decay=weight_decay)
        return by_autograd() if theta.ndim == 2 else self.engine.fitting(by_autograd, len(self.x))

    def has_exact_trace(self, generator: torch.Generator) -> bool:
        return per_sample.is_piecewise_linear(self, generator=generator)

    def trace(self, theta: Tensor, *, generator: torch.Generator, num_probes: int = 16, **settings: Any) -> Estimate:
        if not per_sample.is_known_piecewise_linear(self):
            return super().trace(theta, generator=generator, num_probes=num_probes, **settings)
        value = per_sample.exact_trace(self, theta, **settings)
        return Estimate(value, torch.zeros_like(value), value[..., None])

    def noise_trace(self, theta: Tensor) -> Tensor:
        return per_sample.gradient_covariance(self, theta).trace

    @property
    def signature(self) -> str:
        layout = [(name, tuple(shape)) for name, shape in zip(self.layout.names, self.layout.shapes, strict=True)]
        return f"{type(self.model).__name__}-{hashlib.sha256(repr(layout).encode()).hexdigest()[:12]}"

    @property
    def stacks(self) -> bool:
        """Whether many parameter vectors are computed together, by products of stacked matrices."""
        return self.engine.stacks

    @property
    def samples_at_once(self) -> int:
        """Samples taken at once where there are more; fewer once memory has run out. It may be set, not of a stack."""
        return self.engine.rows()

    @samples_at_once.setter
    def samples_at_once(self, number: int) -> None:
        self.engine.most = number

    @property
    def bytes_per_sample(self) -> int:
        """Memory that a gradient keeps for each sample and network, in bytes: an estimate of what a batch will need."""
        return self.engine.bytes_per_sample

    def least_samples(self, batch_size: int | None) -> int:
        """Return how many samples a gradient on a batch, or on all data (None), cannot do without at once."""
        # batch norm needs a batch together, and a part of all data together with as many that give its statistics
        return (batch_size or 2 * len(self.engine.seen)) if self.engine.reestimates else 1

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return θ after each layer's own ``reset_parameters``, shape (D,); the global random stream is left as it was.

        A seed gives the same start on any device. Parameters of modules without ``reset_parameters`` stay as they are.

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
        return self.layout.flatten(model).to(self.device, self.dtype)

    def unflatten(self, theta: Tensor) -> dict[str, Tensor]:
        """Return views of θ by parameter name; leading dimensions of ``theta`` stay in front."""
        self.check_shape(theta)
        return self.layout.split(theta)

    def module(self, theta: Tensor) -> nn.Module:
        """Return a copy of the model that holds the parameters ``theta``, shape (D,).

        Re-estimated statistics of batch norm are its running ones, and it is in eval mode.
        """
        weights = self.unflatten(theta.detach().clone())
        model = copy.deepcopy(self.model)
        model.load_state_dict(weights, strict=False)
        return norms.with_running(model, self.engine.statistics(weights)) if self.engine.reestimates else model

    def subset(self, index: Tensor) -> Network:
        """Return the landscape of the training samples at these indices (n,); statistics of batch norm stay."""
        some = copy.copy(self)
        some.x, some.y = self.x[index.to(self.device)], self.y[index.to(self.device)]
        some._sees_all = False
        return some

    def to(self, where: torch.device | torch.dtype | str) -> Network:
        """Return the same landscape on another device or in another dtype (float64 for finite differences)."""
        other = copy.copy(self)
        other.model = copy.deepcopy(self.model).to(where)
        first = next(other.model.parameters())
        other.device, other.dtype = first.device, first.dtype
        other.engine = self.engine.to(where, other._place)
        other.x, other.y = other._place(self.x), other._place(self.y)
        other.test = None if self.test is None else (other._place(self.test[0]), other._place(self.test[1]))
        return other

    @property
    def _whole(self) -> Batch:
        return Batch(self.x, self.y, whole=not self._sees_all)

    def _place(self, data: Tensor) -> Tensor:
        return data.to(self.device, self.dtype) if data.is_floating_point() else data.to(self.device)

    def _data(self, called: nn.Module, x: Tensor, y: Tensor, what: str) -> tuple[Tensor, Tensor]:
        x, y = torch.as_tensor(x), torch.as_tensor(y)
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"The {what} data need one target for each input, got {len(x)} inputs, {len(y)} targets.")
        for data, kind in ((x, "inputs"), (y, "targets")):
            if bad := int((~data.isfinite()).reshape(len(data), -1).any(1).sum()):
                raise ValueError(
                    f"The {what} {kind} hold NaN or infinity in {bad} of {len(data)} samples; "
                    "clean or drop those samples first."
                )
        x, y = self._place(x), self._place(y)
        if x.ndim == 4 and self.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)  # CPU convolutions run faster in this layout
        with torch.no_grad():
            outputs = called(x[[0, -1]])  # two rows also of one sample, whose variance batch norm asks for
        return x, self.criterion.targets(y, outputs, what)


def pooled_first(model: nn.Module) -> nn.Module:
    """Return a copy of the model with max pooling before a ReLU that precedes it in a chain.

    max(relu(z)) = relu(max(z)), and the slopes agree too: the same bits on fewer pixels, in 10 to 25 % less time. Only
    chains within chains are changed: a module with a ``forward`` of its own may look at what lies between their layers.
    """
    model = copy.deepcopy(model)
    chains = [model]
    for chain in chains:  # which grows
        if type(chain) is nn.Sequential:
            for place in range(len(chain) - 1):
                pool = chain[place + 1]
                if type(chain[place]) is nn.ReLU and type(pool) is nn.MaxPool2d and not pool.return_indices:
                    chain[place], chain[place + 1] = pool, chain[place]
            chains += chain
    return model


def _refuse_what_changes(called: nn.Module, x: Tensor) -> None:
    """Refuse a model whose outputs differ between two calls, or whose buffers a call changes."""
    model = copy.deepcopy(called)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        one, two = model(x), model(x)
    before = dict(called.named_buffers())
    changed = [name for name, b in model.named_buffers() if not torch.equal(b, before[name])]
    if changed or not torch.equal(one, two):
        raise ValueError(
            f"This model's outputs depend on more than theta (buffers that change: {changed or 'none'}; outputs "
            f"of two equal calls {'agree' if torch.equal(one, two) else 'differ'}); remove what draws random "
            "numbers or keeps statistics, or pass freeze_buffers=True to evaluate in eval mode."
        )


def _refuse_hidden_state(model: nn.Module) -> None:
    if norm_names := norms.norm_names(model):
        raise ValueError(
            f"This model has batch norm in {norm_names}, so its loss depends on batch statistics and not on theta "
            'alone; pass batch_norm="reestimate" to have statistics of the training inputs at each theta, replace '
            "batch norm by GroupNorm, or pass freeze_buffers=True to use its stored statistics."
        )
    drops = [n for n, m in model.named_modules() if isinstance(m, DROPOUTS) and m.p > 0]
    if drops:
        raise ValueError(
            f"This model has dropout in {drops}, so its loss is random even on all data; "
            "set p=0, or pass freeze_buffers=True to evaluate in eval mode."
        )


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

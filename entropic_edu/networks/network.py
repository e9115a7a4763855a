"""A network and its data as a landscape: L(θ) = data loss + ½λ‖θ‖²; how to compute it is the ``engine``'s.

What comes in passes the door first: data in ``door`` and ``inputs``, models in ``modules``, what they return in
``outputs``, losses in ``loss_checks``, parameters from elsewhere in ``checkpoints``.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from entropic_edu.physics.crowd import Crowd
from entropic_edu.physics.landscape import Landscape
from entropic_edu.physics.mean import Estimate
from entropic_edu.physics.settings import is_number
from entropic_edu.physics.snapshot import warn

from . import batch_norm as norms
from . import per_sample, scales
from .batches import Batch
from .checkpoints import check_constants, some, vector_of
from .crowd import StackCrowd
from .door import tensors
from .engine import Computed, Strategy, precision
from .engines import engine_for
from .gradient_checks import refuse_other_gradients
from .inputs import call, channels_last, one_tensor
from .loss_checks import as_mean, check_loss, mixes_samples, moved, telling
from .losses import Criterion, NotConvexError, drawing, loss_of
from .modules import pooled_first, redraw, unwrapped
from .outputs import Accuracy, Outputs, returning_tensor, scoring_for, tensor_of
from .parameters import Layout

_FEW = 16  # samples to measure on what is a property of the model


class SharedWarning(UserWarning):
    """Parameters that a model draws at random are the same in every start."""


class Network(Computed):
    """Any ``nn.Module`` with its data, as a function of one flat parameter vector.

    The model is copied and never changed; what compiles it or spreads it over devices is taken off. θ concatenates its
    trainable parameters in the order of ``model.named_parameters()``. Device and dtype are those of the parameters;
    inputs are moved to them once.

    Args:
        model: Maps inputs (B, ...) to outputs (B, ...), each sample by itself.
        x: Training inputs (N, ...), several of them in a tuple or by name in a dict; or, without ``y``, a ``Dataset``
            or a ``DataLoader``, which is read once (see ``networks.door``).
        y: Training targets: class numbers (N,), (N, ...) for a class at each place of outputs (N, C, ...), or for "mse"
            also real targets of the outputs' shape.
        loss: "cross_entropy", "mse" (the mean over samples *and* outputs, as in torch; class numbers become one-hot
            rows), or a callable (outputs, targets) -> scalar that is a mean over samples, which is checked. Weighted
            losses of torch are divided by the weights of all targets, not by those of a batch.
        weight_decay: λ of the term ½λ‖θ‖² (all parameters), part of the one objective that every verb sees.
        test: Held-out inputs and targets, or a ``Dataset`` or ``DataLoader``, for ``accuracy(theta, "test")``.
        outputs: Takes what the model returns and gives the tensor that the loss sees; None takes a tensor as it is, the
            first tensor of a tuple, and ``logits``.
        accuracy: (outputs, targets) -> share of right samples; None goes by the loss (see ``networks.outputs``).
        label_noise: For "mse" the standard deviation σ of a fresh Gaussian jitter on the targets of each drawn batch.
            For class numbers under "cross_entropy" the probability p that a drawn sample's class is replaced by one
            drawn uniformly from all C; the objective on all data, with its gradient and Hessian, is the mean over these
            draws, label smoothing p. So is the loss of another ``Network`` on held-out data with the same p: it cannot
            fall below the entropy of the smoothed labels; with p = 0 it is that of the true ones. Accuracy counts the
            labels as they came.
        freeze_buffers: Evaluate the model in eval mode: batch norm then uses its stored statistics as constants and
            dropout is off.
        batch_norm: "refuse", or "reestimate" for a model with batch norm: all but gradients on drawn batches then use
            the means and variances that the training inputs have at each θ, and derivatives go through them. A drawn
            batch has its own statistics, as in training; the mean of such gradients differs a little from the
            full-batch gradient, the less the larger the batch.
        statistics: For "reestimate", how many training inputs, evenly spaced, give the statistics; None takes all. They
            pass at once, in memory, and a full-batch gradient costs up to twice as much (not where all are taken).
        strategy: How (P, D) gradients are computed. "stacked" (chains of linear layers, layer norms without scale and
            shift, and activations) is taken where it applies. Else "auto" takes, by shapes alone, "loop" for one or two
            networks and where much is computed, and for the rest "vmap" or, of chains of convolutions, groups of one.
            On other devices than a CPU it times "loop" and "vmap" once per shape; name one to have the same bits on
            every run there.

    Attributes:
        model, x, y, test: The copy of the model, and the data on its device in the form that the loss takes.
        layout: Where each parameter lies in θ, by name.
        criterion: The loss, with its derivatives and its label noise.
        loss_name: What the loss is called; a callable's is "custom" with its own name.
        label_ratio: As in ``Landscape``: 2σ²/C for mse over C outputs; for drawn classes 1, exact where the softmax
            is the smoothed labels (1/T for classes at T places).
        scoring: What counts as right in ``accuracy``; None where nothing does.
        engine: What computes, with the module that is called: ``model``, but max pooling before a ReLU (same bits).

    Raises:
        ValueError: If data are not finite, labels are out of range, sizes differ, the loss is no mean over samples, a
            sample's output depends on others, or the loss would depend on more than θ (batch norm, dropout).
        MemoryError: If a dataset would not fit; and by a call that does not fit in memory even one sample at a time:
            until then it is repeated with fewer samples at once, which changes results by round-off only.

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
        x: Any,
        y: Any = None,
        *,
        loss: Criterion = "cross_entropy",
        weight_decay: float = 0.0,
        test: Any = None,
        outputs: Outputs | None = None,
        accuracy: Accuracy | None = None,
        label_noise: float = 0.0,
        freeze_buffers: bool = False,
        batch_norm: norms.BatchNorm = "refuse",
        statistics: int | None = 512,
        strategy: Strategy = "auto",
    ) -> None:
        reestimates = norms.are_reestimated(batch_norm, statistics, freeze_buffers)
        for name, value in (("weight_decay", weight_decay), ("label_noise", label_noise)):
            if not (is_number(value) and 0 <= value < torch.inf):
                raise ValueError(f"{name} must be finite and not negative, got {value!r}.")
        self.weight_decay = float(weight_decay)
        self.model = unwrapped(model).train(not freeze_buffers)
        reestimates = reestimates and bool(norms.norm_names(self.model))
        called = pooled_first(self.model)
        called = norms.with_reestimated(called) if reestimates else called
        self.layout = Layout(called)
        self.dim, first = self.layout.dim, next(p for p in called.parameters() if p.requires_grad)
        self.device, self.dtype = first.device, first.dtype
        if not freeze_buffers:
            norms.refuse_hidden_state(called)
        given = [tensors(x if y is None else (x, y), "training"), *([] if test is None else [tensors(test, "test")])]
        called, inputs = one_tensor(called, *(each for each, _ in given))
        called, shape = _returning_tensor(called, self._place(inputs[0]), outputs)
        loss = as_mean(moved(loss, self.device, self.dtype), self._place(given[0][1]))
        self.criterion = loss_of(loss, float(label_noise))
        if len(shape) != 2:
            self.criterion = self.criterion.general()
            loss = self.criterion.mean
        self.loss_name = self.criterion.name
        data = [
            self._data(called, x, y, what) for x, (_, y), what in zip(inputs, given, ("training", "test"), strict=False)
        ]
        (self.x, self.y), self.test = data[0], data[1] if len(data) > 1 else None
        self.criterion = drawing(self.criterion, self.y, shape)
        self.label_ratio = self.criterion.label_ratio(self.y)
        _refuse_what_changes(called, self.x[:2], freeze_buffers)
        # whether one batch of all data gives batch norm its statistics; where not, each part of the data takes them
        most = min(len(self.x), statistics or len(self.x))
        self._sees_all = reestimates and most == len(self.x)
        seen = self.x[torch.arange(most) * len(self.x) // most if reestimates else []]  # every class of sorted data
        few = Batch(self.x[:_FEW].clone(), self.y[:_FEW].clone())  # a view would be pickled with all the data
        self.engine = engine_for(called, self.criterion, few, seen, strategy)
        theta = self.layout.flatten(self.model)
        self.engine.statistics(self.layout.split(theta))  # refuses norms that are used twice
        index, at = telling(self.y), self.engine.at(theta)
        with torch.no_grad():
            shown = torch.cat([at(some) for some in self.x[index].split(2)])
        check_loss(loss, shown, self.y[index])
        if not reestimates and mixes_samples(partial(self.engine.outputs, theta), self.x):
            raise ValueError(
                "The model's output for a sample depends on the other samples that come with it, so that parts of the "
                "data do not add up to the whole; normalise within a sample, or over fixed statistics."
            )
        refuse_other_gradients(self.engine)
        self.scoring = scoring_for(shown, given[0][1].to(self.device)[index], loss, accuracy)
        self.splits = () if self.scoring is None else ("train",) if test is None else ("train", "test")

    def loss(self, theta: Tensor) -> Tensor:
        data = self.data_loss(theta)
        return data + 0.5 * self.weight_decay * theta.square().sum(-1) if self.weight_decay else data

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

    def crowd(self, theta: Tensor) -> Crowd:
        own = type(self).gradient_on is Network.gradient_on  # else a subclass changes it
        return StackCrowd(theta, self) if own and self.stacks else super().crowd(theta)

    @torch.no_grad()
    def loss_and_gradient_on(self, theta: Tensor, batch: Batch | None) -> tuple[Tensor, Tensor]:
        loss, gradient = self.engine.loss_and_gradient(theta, batch or self._whole)
        return loss + 0.5 * self.weight_decay * theta.square().sum(-1), gradient.add_(theta, alpha=self.weight_decay)

    def data_loss_and_gradient_on(self, theta: Tensor, batch: Batch | None) -> tuple[Tensor, Tensor]:
        loss, gradient = self.engine.data_loss_and_gradient(theta, batch or self._whole)
        own = type(self).gradient_on is Network.gradient_on  # else a subclass changes it
        return loss, gradient.add_(theta, alpha=self.weight_decay) if own else self.gradient_on(theta, batch)

    @torch.no_grad()
    def accuracy(self, theta: Tensor, split: str = "train") -> Tensor:
        """Return the share of samples whose output is right (``scoring``), (D,) -> () or (P, D) -> (P,)."""
        self.check(theta)
        if split == "test" and self.test is None:
            raise ValueError("This network has no test data; pass test=(x, y) to Network.")
        x, y = (self.x, self.y) if split == "train" or self.test is None else self.test
        if self.scoring is None:
            raise ValueError(
                f"Accuracy needs class targets, and these are of shape {tuple(y.shape)} and {y.dtype}; use "
                "loss(theta), or pass accuracy=function(outputs, targets) to Network."
            )
        if self.scoring.function is not None and theta.ndim == 2:
            return torch.stack([self.accuracy(row, split) for row in theta])
        right, number = self.engine.scored(theta, Batch(x, y), self.scoring).unbind(-1)
        return right / number

    def hessian_at(self, theta: Tensor, *, weight_decay: bool = True) -> Callable[[Tensor], Tensor]:
        times = self.engine.hessian_at(theta, self._whole, self.weight_decay * weight_decay, keep=True)
        return times or super().hessian_at(theta, weight_decay=weight_decay)

    def hessian_vector_product(self, theta: Tensor, vector: Tensor, *, weight_decay: bool = True) -> Tensor:
        if times := self.engine.hessian_at(theta, self._whole, self.weight_decay * weight_decay, keep=False):
            return times(vector)
        if reason := per_sample.no_second_derivative(self):
            raise RuntimeError(f"no second derivative: {reason}")
        by_autograd = partial(super().hessian_vector_product, theta, vector, weight_decay=weight_decay)
        return by_autograd() if theta.ndim == 2 else self.engine.fitting(by_autograd, len(self.x))

    def has_exact_trace(self, generator: torch.Generator) -> bool:
        return per_sample.is_piecewise_linear(self, generator=generator)

    def trace(self, theta: Tensor, *, generator: torch.Generator, num_probes: int = 16, **settings: Any) -> Estimate:
        if per_sample.is_known_piecewise_linear(self):
            with contextlib.suppress(NotConvexError):
                value = per_sample.exact_trace(self, theta, **settings)
                return Estimate(value, torch.zeros_like(value), value[..., None])
        return super().trace(theta, generator=generator, num_probes=num_probes, **settings)

    def noise_trace(self, theta: Tensor) -> Tensor:
        return per_sample.gradient_covariance(self, theta).trace

    def scale_free(self, theta: Tensor) -> dict[str, slice]:
        """Return where the parameter tensors lie in θ whose scale changes no output, by name; measured at each θ.

        Those are weights of layers without bias before a norm, say. At (P, D) it must hold in each row.

        Example:
            >>> from entropic_edu import models
            >>> x, y = torch.eye(5), torch.arange(5) % 3
            >>> land = Network(models.mlp(5, 16, 3, norm="layer"), x, y)
            >>> land.scale_free(land.initial(torch.Generator().manual_seed(0)))
            {'0.weight': slice(0, 80, None)}
        """
        self.check(theta)
        return scales.scale_free(self.engine, theta.reshape(-1, self.dim))

    @property
    def signature(self) -> str:
        layout = [(name, tuple(shape)) for name, shape in zip(self.layout.names, self.layout.shapes, strict=True)]
        return f"{type(self.model).__name__}-{hashlib.sha256(repr(layout).encode()).hexdigest()[:12]}"

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
        """Return θ with all that modules can draw anew drawn anew, shape (D,); the global random stream stays.

        A seed gives the same start on any device. Each module's ``reset_parameters`` draws; parameters of modules
        without it stay as they are.

        Raises:
            ValueError: If no module can be reset, so that every start would be the same.

        Warns:
            SharedWarning: If parameters that are not constant stay as they are.
        """
        model = copy.deepcopy(self.model).to(generator.device)
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=[generator.device] if generator.device.type == "cuda" else []):
            torch.random.manual_seed(seed)
            shared = redraw(model)
        if shared:
            warn(
                f"All starts share the values of {some(shared)}, which no reset_parameters draws anew; draw them "
                "yourself and pass start=model to train, or give their module a reset_parameters.",
                SharedWarning,
            )
        return self.layout.flatten(model).to(self.device, self.dtype)

    def flatten(self, source: Any) -> Tensor:
        """Return the trainable parameters of a network of this architecture as one vector (D,).

        Args:
            source: A module, a state_dict, a checkpoint that holds one, or a ``Run``; prefixes that compiling or
                parallel training puts before names are taken off. A vector comes back as it is.

        Raises:
            ValueError: If parameters are missing, unexpected or of another shape; or if what the landscape holds fixed
                besides, frozen parameters and frozen buffers, differs.
        """
        model = self.model
        constants: dict[str, Tensor] = {name: p for name, p in model.named_parameters() if not p.requires_grad}
        constants |= {} if model.training else dict(model.named_buffers())
        check_constants(constants, source)
        theta = vector_of(self.layout.names, self.layout.shapes, source, model.state_dict())
        return theta.to(self.device, self.dtype)

    def vector(self, source: Any) -> Tensor:
        return source if isinstance(source, Tensor) else self.flatten(source)

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

    def without_label_noise(self) -> Network:
        """Return the same objective, whose batches draw samples alone: their targets are the mean over label noise.

        To come to rest after noisy steps, and to tell the two parts of the gradient noise apart.

        Example:
            >>> generator = torch.Generator().manual_seed(0)
            >>> land = Network(nn.Linear(5, 3), torch.eye(5), torch.arange(5) % 3, label_noise=0.3)
            >>> theta, calm = land.initial(generator), land.without_label_noise()
            >>> bool(calm.loss(theta) == land.loss(theta)), bool(calm.noise_trace(theta) < land.noise_trace(theta))
            (True, True)
        """
        if not self.criterion.label_noise:
            return self
        calm = copy.copy(self)
        calm.y, calm.label_ratio = self.criterion.averaged(self.y, self.dtype), 0.0
        calm.criterion = replace(self.criterion, label_noise=0.0, classes=0)
        calm.engine = self.engine.with_criterion(calm.criterion)
        return calm

    def precise(self) -> Landscape:
        """Return the same in float64, or itself where forward makes constants of its own precision."""
        return self if precision(self.engine) == self.dtype else super().precise()

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
        return Batch(self.x, self.criterion.averaged(self.y, self.dtype), whole=not self._sees_all)

    def _place(self, data: Tensor) -> Tensor:
        return data.to(self.device, self.dtype) if data.is_floating_point() else data.to(self.device)

    def _data(self, called: nn.Module, x: Tensor, y: Tensor, what: str) -> tuple[Tensor, Tensor]:
        x, y = self._place(x), self._place(y)
        if x.ndim == 4 and self.device.type == "cpu":
            x = channels_last(called, x)
        with torch.no_grad():
            outputs = call(called, x[[0, -1]])  # two rows also of one sample, whose variance batch norm asks for
        return x, self.criterion.targets(y, outputs, what)


def _returning_tensor(called: nn.Module, x: Tensor, outputs: Outputs | None) -> tuple[nn.Module, torch.Size]:
    """Return a module that returns the tensor that the loss sees, and that tensor's shape for two samples."""
    with torch.no_grad():
        result = call(called, x[[0, -1]])
    if outputs is not None or not isinstance(result, Tensor):
        called = returning_tensor(called, outputs)
    shape = tensor_of(result, outputs).shape
    if len(shape) == 0 or shape[0] != 2:
        raise ValueError(f"The model must return a row for each sample by itself; two samples gave {tuple(shape)}.")
    return called, shape


def _refuse_what_changes(called: nn.Module, x: Tensor, frozen: bool) -> None:
    """Refuse a model whose outputs differ between two calls, or whose buffers a call changes."""
    model = copy.deepcopy(called)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        one, two = model(x), model(x)
    before = dict(called.named_buffers())
    changed = [name for name, b in model.named_buffers() if not torch.equal(b, before[name])]
    if changed or not torch.equal(one, two):
        advice = "" if frozen else ", or pass freeze_buffers=True to evaluate in eval mode"
        raise ValueError(
            f"This model's outputs depend on more than theta (buffers that change: {changed or 'none'}; outputs "
            f"of two equal calls {'agree' if torch.equal(one, two) else 'differ'}); remove what draws random "
            f"numbers or keeps statistics{advice}."
        )

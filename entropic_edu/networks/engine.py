"""How a network's loss and its derivatives are computed, at one θ or at many on one batch: all ways behind one face.

Data are taken in parts that fit in caches and in memory.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from entropic_edu.physics.results import first_line

from . import batch_norm as norms
from . import memory, ways
from .batches import Batch, Sampled, mean_over
from .graphs import Replays
from .layers import ModuleAt, pull_back
from .losses import CrossEntropy, Loss, SquaredError, normal
from .outputs import Scoring
from .parameters import Layout, functional_call
from .stacked import Stack

Strategy = Literal["auto", "loop", "vmap", "stacked"]
_SHARED = 2e9  # FLOP of one network's step, some 15 ms, from which threads are worth their waiting (benchmarks)

_ROWS = 4096  # samples of all networks of a stack that are computed at once: what they keep stays in cache
_NETWORKS = 32  # whose gradients are computed at once: on the way each takes twice the memory of its result

Rows = Callable[[Tensor, Tensor], Tensor]
Times = Callable[[Tensor], Tensor]
T = TypeVar("T")


@dataclass
class Facts:
    """What is true of a module at every θ, once it has been measured; copies of an engine share it."""

    linear: bool | None = None  # whether no output is curved along any one parameter tensor
    no_second: dict[str, str] = field(default_factory=dict)  # by device, why there is no second derivative, "" if it is
    precision: torch.dtype | None = None  # float64, or the module's own where it cannot run in that
    outputs: torch.Size | None = None  # their shape on a few samples
    layers: frozenset[str] | None = None  # names of the layers whose hooks give the right per-sample gradients
    loops: set[str] = field(default_factory=set)  # what passes one after the other in ``layers``: "samples", "rows"


@dataclass(eq=False, repr=False)
class Engine:
    """Any module and the loss of its outputs, by autograd: networks one after the other, or side by side with vmap."""

    stacks = False  # whether many parameter vectors are computed together, by products of stacked matrices
    groups = 0.0  # bytes that a gradient on pictures keeps, up to which they may be groups of one convolution
    averages = ""  # the way whose losses are averaged over a batch's label noise

    model: nn.Module  # that is called; batch norm that is to be re-estimated is replaced in it
    criterion: Loss
    few: Batch  # some training samples, to measure on
    seen: Tensor  # inputs that give batch norm its statistics (n, ...); none (0, ...) where nothing is re-estimated
    strategy: Strategy  # "loop" or "vmap"; for all else that is chosen by the shapes
    facts: Facts = field(default_factory=Facts)
    most: int | None = None  # samples at once, once memory has run out
    _bytes: int | None = None  # that a gradient keeps for each sample, once measured

    def __post_init__(self) -> None:
        self.layout = Layout(self.model)
        self.forget()

    def forget(self) -> None:
        """Give up what was recorded or chosen for speed."""
        self.replays, self.choice = Replays(), ways.Choice(self.layout.dim, self.device, self.groups)

    @property
    def device(self) -> torch.device:
        """Where parameters and data are."""
        return self.few.x.device

    @property
    def reestimates(self) -> bool:
        """Whether batch norm takes statistics that are computed anew at each θ."""
        return len(self.seen) > 0

    def to(self, where: torch.device | torch.dtype | str, place: Callable[[Tensor], Tensor]) -> Self:
        """Return the same on another device or in another dtype; ``place`` moves data there."""
        other = copy.copy(self)
        other.model = copy.deepcopy(self.model).to(where)
        other.few, other.seen = Batch(place(self.few.x), place(self.few.y)), place(self.seen)
        first = next(other.model.parameters())
        other.criterion = self.criterion.moved(first.device, first.dtype)
        other.most = other._bytes = None
        other.forget()
        return other

    def with_criterion(self, criterion: Loss) -> Self:
        """Return the same with another loss of the outputs."""
        other = copy.copy(self)
        other.criterion = criterion
        other.forget()
        return other

    def with_statistics_of(self, theta: Tensor) -> Self:
        """Return the same with batch norm's statistics at one θ (D,) as constants, near θ and far."""
        other = copy.copy(self)
        other.model, other.seen = copy.deepcopy(self.model), self.seen[:0]
        other.forget()
        with torch.no_grad():
            statistics = self.statistics(self.layout.split(theta))
        for name, value in statistics.items():
            owner, _, buffer = name.rpartition(".")
            setattr(other.model.get_submodule(owner), buffer, value)
        return other

    def each(self, compute: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
        """Return compute(theta): of a stack for all rows of (P, D) at once, else row by row and stacked."""
        return compute(theta) if theta.ndim == 1 else torch.stack([compute(row) for row in theta])

    def at(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the network at θ as a function of inputs (N, ...): -> (N, C) at (D,), of a stack also for (P, D)."""
        weights = self.layout.split(theta)
        statistics = self.statistics(weights)
        return lambda x: functional_call(self.model, {**weights, **statistics}, (x,))

    def outputs(self, theta: Tensor, x: Tensor) -> Tensor:
        """Return the outputs on inputs (N, ...): (D,) -> (N, C), or (P, D) -> (P, N, C)."""
        return self.each(lambda theta: self.at(theta)(x), theta)

    def loss(self, theta: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss over the whole data, (D,) -> () or (P, D) -> (P,)."""
        return self.each(lambda theta: self.fitting(lambda: self._loss(theta, batch), batch.size), theta)

    def _loss(self, theta: Tensor, batch: Batch) -> Tensor:
        outputs, parts = self.at(theta), batch.split(self.rows(theta))
        return torch.stack([share * self.criterion.mean(outputs(part.x), part.y) for share, part in parts]).sum(0)

    def losses(self, theta: Tensor, batch: Batch) -> Tensor:
        """Return the loss on one batch at once, (D,) -> (), as a function that torch.func differentiates."""
        return self.value(self.layout.split(theta), batch)

    @torch.no_grad()
    def scored(self, theta: Tensor, batch: Batch, scoring: Scoring) -> Tensor:
        """Return how many outputs are right and how many count, (D,) -> (2,) or (P, D) -> (P, 2)."""

        def count(theta: Tensor) -> Tensor:
            outputs, parts = self.at(theta), batch.split(self.rows(theta))
            counts = [torch.stack(scoring.right(outputs(part.x), part.y), -1) for _, part in parts]
            return torch.stack(counts).sum(0)

        return self.each(lambda theta: self.fitting(lambda: count(theta), batch.size), theta)

    def value(self, weights: dict[str, Tensor], batch: Batch) -> Tensor:
        """Return the loss of one network on one batch, which gives batch norm its statistics unless it is ``whole``."""
        statistics = self.statistics(weights) if batch.whole else {}
        outputs = functional_call(self.model, {**weights, **statistics}, (batch.x,))
        return self.criterion.mean(outputs, batch.y)

    def statistics(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return means and variances of batch norm at θ; none where there is nothing to re-estimate."""
        return norms.statistics(self.model, weights, self.seen) if self.reestimates else {}

    def gradient(self, theta: Tensor, batch: Batch) -> Tensor:
        """Return the gradient of the loss on a batch, the shape of ``theta``."""
        return self.loss_and_gradient(theta, batch)[1]

    def loss_and_gradient(self, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss on a batch, () or (P,), and its gradient, the shape of ``theta``."""
        many = _many(theta)

        def on(part: Batch) -> tuple[Tensor, ...]:
            return self._by(self._way(theta, part), many, part)

        loss, gradient = self.fitting(lambda: mean_over(self.parts(batch, theta), on, many), batch.size)
        return loss.view(theta.shape[:-1]), gradient.view(theta.shape)

    def data_loss_and_gradient(self, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the same, but the loss is averaged over its label noise; NaN where batch norm shifts it."""
        loss, gradient = self.loss_and_gradient(theta, batch)
        if batch.size < len(self.seen):  # batch norm
            return torch.full_like(loss, torch.nan), gradient
        if batch.clean is None or self._way(theta, self.parts(batch, theta)[0][1]) == self.averages:
            return loss, gradient
        with torch.no_grad():
            rows = [(row, batch.of(number)) for number, row in enumerate(_many(theta))]
            each = [self.loss(row, Batch(part.x, part.averaged(self.criterion, theta.dtype))) for row, part in rows]
        return torch.stack(each).view(loss.shape), gradient

    def _way(self, theta: Tensor, part: Batch) -> str:
        if theta.ndim == 1 or self.strategy in ("loop", "vmap"):
            return "loop" if theta.ndim == 1 else self.strategy
        return self.choice(theta, part, self._by, part.size * self.bytes_per_sample)

    def _by(self, way: str, theta: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        """Losses (P,) and gradients (P, D) on one part, replayed where that was recorded."""

        def compute(theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            part = Batch(x, y, batch.own, batch.whole)
            if way == "vmap":
                return ways.by_vmap(self.losses, theta, part)
            return ways.by_loop(self.value, self.layout, theta, part)

        inputs = (theta.detach(), batch.x, batch.y)
        key = (way, batch.own, batch.whole, *(each.shape for each in inputs))
        if self.device.type != "cuda" or self.reestimates:
            return compute(*inputs)
        size = len(theta) * batch.size * self.bytes_per_sample  # as a CUDA graph would keep
        small = memory.is_small(size, memory.total_bytes(self.device))
        return self.replays(key, compute, inputs) if small else compute(*inputs)

    def hessian_at(self, theta: Tensor, batch: Batch, decay: float, keep: bool) -> Times | None:
        """Return v ↦ (H + λI)v of the mean loss, as ``Landscape.hessian_at``, or None where autograd has to do it.

        What products at one θ share is kept from call to call where ``keep`` asks for it and it is at most 1 GB.
        """
        return None

    @sdpa_kernel(SDPBackend.MATH)  # fused attention kernels have no rule for samples side by side
    def squares(self, theta: Tensor, x: Tensor, y: Tensor, rows: Rows, scale: Tensor | None = None) -> Tensor:
        """Return E Σ_k |s∘Jᵀr_k|² over the samples (N, ...), () or (P,).

        Args:
            theta: (D,) or (P, D).
            x: Inputs.
            y: Targets.
            rows: Maps outputs (n, ...) and targets of n samples to vectors r, (K, n, ...); (P, n, C) to (P, K, n, C).
            scale: s, (D,) or the shape of ``theta``.
        """
        if theta.ndim == 2:
            scales = [None] * len(theta) if scale is None else scale.expand(theta.shape)
            return torch.stack([self.squares(t, x, y, rows, s) for t, s in zip(theta, scales, strict=True)])
        layers = self.sound_layers  # first, since it may find out about loops
        return ModuleAt(self.model, self.layout, theta, self.facts.loops).squares(x, y, rows, layers, scale)

    @property
    @sdpa_kernel(SDPBackend.MATH)
    def sound_layers(self) -> frozenset[str]:
        """Names of the layers whose hooks give the right per-sample gradients."""
        if self.facts.layers is None:
            generator = torch.Generator().manual_seed(0)  # any generic probe gives the same answer
            precise, theta = anywhere(self, generator)
            rows = normal(precise.outputs(theta, precise.few.x), generator)[None]
            here = ModuleAt(precise.model, precise.layout, theta, self.facts.loops)
            self.facts.layers = here.sound_layers(precise.few.x, rows)
        return self.facts.layers

    def mean_gradient(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient, the shape of ``theta``, from the losses' slopes: label noise is averaged over."""

        def mean(theta: Tensor) -> Tensor:
            total, size = torch.zeros_like(theta), self.rows(theta)
            for some, targets in zip(x.split(size), y.split(size), strict=True):
                with torch.enable_grad():
                    here = theta.detach().requires_grad_()
                    z = self.outputs(here, some)
                total += pull_back(z, [here], self.criterion.slopes(z.detach(), targets)[None])[0][0] / len(x)
            return total

        return self.each(mean, theta)

    def rows(self, theta: Tensor | None = None) -> int:
        """Return how many samples of all data to take at once."""
        total = memory.total_bytes(self.device)
        rows = memory.rows(self.few.x[0].numel(), total, 0 if total is None else self.bytes_per_sample)
        return min(rows, self.most or rows)

    def parts(self, batch: Batch, theta: Tensor | None = None) -> list[tuple[float, Batch]]:
        """Return a batch in parts that fit, with their shares of the mean."""
        if self.reestimates:  # a drawn batch gives batch norm its statistics, and is not cut
            return batch.split(len(self.seen) if batch.whole else batch.size)
        if batch.whole or (self.device.type == "cpu" and self.few.x.ndim == 4):
            return batch.split(self.rows(theta))  # of drawn batches only convolutions on a CPU gain from smaller parts
        return batch.split(self.most or batch.size)

    @property
    def bytes_per_sample(self) -> int:
        """Memory that a gradient keeps for each sample and network, in bytes: an estimate of what a batch will need."""
        if self._bytes is None:
            weights = self.layout.split(self.layout.flatten(self.model).requires_grad_())
            self._bytes = max(1, memory.bytes_held(lambda: self.value(weights, self.few.ends), weights.values()) // 2)
        return self._bytes

    def fitting(self, compute: Callable[[], T], size: int) -> T:
        """Return compute(), taking half as many samples at once each time that memory runs out."""
        while True:
            try:
                return compute()
            except (RuntimeError, MemoryError) as error:
                if not memory.ran_out(error):
                    raise
                problem = first_line(error)
            rows = min(self.rows(), size)  # outside the handler, whose error keeps the tensors of the failed call
            self.forget()
            memory.release(self.device)
            if rows == 1 or self.reestimates or self.stacks:  # batch norm needs its samples together
                raise MemoryError(self._does_not_fit(problem, max(rows, len(self.seen))))
            self.most = rows // 2

    def _does_not_fit(self, problem: str, at_once: int) -> str:
        free = memory.free_bytes(self.device)
        room = "" if free is None else f" with {memory.in_words(free)} free"
        fits = ""
        if self.reestimates and free is not None:
            fits = f"; one keeps about {memory.in_words(self.bytes_per_sample)}, so that about "
            fits += f"{max(1, free // (4 * self.bytes_per_sample))} would fit"
        advice = "smaller batches and a smaller statistics=" if self.reestimates else "a smaller model"
        return (
            f"Memory ran out on {self.device} with up to {at_once} samples at once{room}{fits}; take {advice}, "
            f"fewer walkers, or another device. ({problem})"
        )


class Computed(Sampled):
    """A landscape of samples with an engine; what one sample gives is in ``per_sample``."""

    engine: Engine

    @property
    def stacks(self) -> bool:
        """Whether many parameter vectors are computed together, by products of stacked matrices."""
        return self.engine.stacks

    @property
    def gives_loss(self) -> bool:
        return not (self.stacks or self.criterion.label_noise)

    def threads(self, samples: int | None) -> int | None:
        together = min(samples or len(self.x), self.engine.rows())
        work = together * (6 * self.dim + 200 * self.engine.bytes_per_sample)  # FLOP, about: matrices, convolutions
        return 1 if self.engine.device.type == "cpu" and work < _SHARED else None


@dataclass(eq=False, repr=False)
class StackEngine(Engine):
    """Chains of linear layers, for many parameter vectors at once by batched matrix products."""

    stacks = True
    criterion: CrossEntropy | SquaredError
    stack: Stack = field(kw_only=True)

    def each(self, compute: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
        return compute(theta)

    def at(self, theta: Tensor) -> Callable[[Tensor], Tensor]:
        outputs = partial(self.stack.outputs, _many(theta))
        return outputs if theta.ndim == 2 else lambda x: outputs(x)[0]

    def losses(self, theta: Tensor, batch: Batch) -> Tensor:
        if theta.ndim == 1:
            return super().losses(theta, batch)
        return self.criterion.means(self.stack.outputs(theta, batch.x, batch.own), batch.y)

    def _loss(self, theta: Tensor, batch: Batch) -> Tensor:
        parts = batch.split(2 * self.rows(theta))
        return torch.stack([part.size * self.losses(theta, part) for _, part in parts]).sum(0) / batch.size

    def loss_and_gradient(self, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        if batch.whole:
            return self.loss(theta, batch), self.gradient(theta, batch)  # in parts of their own
        return self._pass(theta, batch, lambda z, part: self.criterion.means(z, part.y))

    def data_loss_and_gradient(self, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._pass(theta, batch, lambda z, part: self.criterion.means(z, part.averaged(self.criterion, z.dtype)))

    def gradient(self, theta: Tensor, batch: Batch) -> Tensor:
        return self._pass(theta, batch, lambda z, _: z.new_zeros(len(z)))[1]

    @torch.no_grad()
    def _pass(self, theta: Tensor, batch: Batch, losses: Callable[[Tensor, Batch], Tensor]) -> tuple[Tensor, Tensor]:
        """Return what ``losses`` makes of outputs and a batch, (P,) or (), and the gradient."""
        many = _many(theta)

        def by(theta: Tensor, part: Batch) -> tuple[Tensor, Tensor]:
            found: list[Tensor] = []

            def slopes(z: Tensor) -> Tensor:
                found.append(losses(z, part))
                return self.criterion.mean_slopes(z, part.y)

            gradient = self.stack.gradient(theta, part.x, slopes, part.own)
            return found[0], gradient

        def on(part: Batch) -> tuple[Tensor, Tensor]:
            together = min(_NETWORKS, max(2, _ROWS // part.size))
            if len(many) <= together:
                return by(many, part)
            loss, gradient = many.new_empty(len(many)), torch.empty_like(many)
            size = math.ceil(len(many) / math.ceil(len(many) / together))
            for some in (slice(at, at + size) for at in range(0, len(many), size)):
                loss[some], gradient[some] = by(many[some], part.among(some))
            return loss, gradient

        loss, gradient = self.fitting(lambda: mean_over(self.parts(batch, theta), on, many), batch.size)
        return loss.view(theta.shape[:-1]), gradient.view(theta.shape)

    def hessian_at(self, theta: Tensor, batch: Batch, decay: float, keep: bool) -> Times | None:
        slopes = self.criterion.slopes_along
        return lambda v: self.stack.hessian_vector_product(slopes, theta, v, batch.x, batch.y, decay)

    @torch.no_grad()
    def squares(self, theta: Tensor, x: Tensor, y: Tensor, rows: Rows, scale: Tensor | None = None) -> Tensor:
        scale = None if scale is None else _many(scale)
        return self.stack.squares(_many(theta), x, y, rows, scale).view(theta.shape[:-1])

    def rows(self, theta: Tensor | None = None) -> int:
        return max(64, _ROWS // (1 if theta is None else len(_many(theta))))

    def parts(self, batch: Batch, theta: Tensor | None = None) -> list[tuple[float, Batch]]:
        return batch.split(self.rows(theta) if batch.whole else batch.size)


def anywhere(engine: Engine, generator: torch.Generator) -> tuple[Engine, Tensor]:
    """Return the engine in float64 on the CPU, and a random θ near its module's: nothing sits at exactly 0.

    A forward pass that makes constants of another precision keeps the model's own.
    """
    precise = on_cpu(engine, precision(engine))
    theta = precise.layout.flatten(precise.model)
    return precise, theta + 0.1 * normal(theta, generator)


@torch.no_grad()
def precision(engine: Engine) -> torch.dtype:
    """Return float64, or the model's own precision where its forward pass makes constants that cannot follow."""
    if engine.facts.precision is None:
        engine.facts.precision = torch.float64
        try:
            wide = on_cpu(engine, torch.float64)
            if wide.outputs(wide.layout.flatten(wide.model), wide.few.ends.x).dtype != torch.float64:
                engine.facts.precision = engine.layout.flatten(engine.model).dtype
        except (RuntimeError, ValueError, TypeError):
            engine.facts.precision = engine.layout.flatten(engine.model).dtype
    return engine.facts.precision


def on_cpu(engine: Engine, dtype: torch.dtype) -> Engine:
    """Return the engine on the CPU in a dtype."""
    here = engine.to("cpu", lambda data: data.to("cpu", dtype if data.is_floating_point() else None))
    here.model.to(dtype)
    here.criterion = engine.criterion.moved(torch.device("cpu"), dtype)
    return here


def _many(theta: Tensor) -> Tensor:
    return theta if theta.ndim == 2 else theta[None]

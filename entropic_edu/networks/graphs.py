"""CUDA graphs: a small computation on a GPU, whose many short kernels take longer to launch than to run, replayed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Compute = Callable[..., tuple[Tensor, ...]]


class Replay:
    """A computation on one GPU, for inputs of the same shapes and types.

    It launches the same kernels each time, and looks at no value of a tensor. A RuntimeError says that it cannot be
    recorded, because it waits for the GPU or takes host memory, say.
    """

    def __init__(self, compute: Compute, inputs: tuple[Tensor, ...]) -> None:
        self.inputs = tuple(given.clone() for given in inputs)
        with torch.cuda.device(inputs[0].device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):  # libraries choose their kernels in the first calls
                for _ in range(3):
                    compute(*self.inputs)
            torch.cuda.current_stream().wait_stream(aside)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.outputs = compute(*self.inputs)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.graph.replay()
        return tuple(output.clone() for output in self.outputs)


class Replays:
    """At most ``most`` recorded computations, as each keeps its memory; the oldest makes room for a new one."""

    def __init__(self, most: int = 8, record: Callable[[Compute, tuple[Tensor, ...]], Compute] = Replay) -> None:
        self.most, self.record = most, record
        self.recorded: dict[object, Compute | None] = {}
        self.seen: set[object] = set()

    def __call__(self, key: object, compute: Compute, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return compute(*inputs), replayed from its second call on where it can be recorded."""
        if key not in self.seen:  # what is asked for once is not worth recording
            self.seen.add(key)
            return compute(*inputs)
        if key not in self.recorded:
            if len(self.recorded) >= self.most:
                del self.recorded[next(iter(self.recorded))]
            try:
                self.recorded[key] = self.record(compute, inputs)
            except RuntimeError:
                self.recorded[key] = None
        replay = self.recorded[key]
        return compute(*inputs) if replay is None else replay(*inputs)

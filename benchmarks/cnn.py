"""Claim: a gradient sweep of the CNN is at least 1.5 times as fast as a plain loop over models.

A sweep is the gradient at P pivots of ``small_cnn`` on one shared batch of pictures. Its peers are loops over P modules
with ``backward``: as users write it, on pictures as they are stored (NCHW), and with our layout (channels_last) lent to
it. The distance from the limit is the sweep's FLOP/s over those of a large square product in the same rounds. Where
there is a CUDA device the same is measured on it; ``benchmarks.gpu`` compares ways to compute there.

    python -m benchmarks.cnn
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import entropic_edu as ee

from .run import HEADER, Ratio, medians, one_thread
from .sweeps import plain_loop


def main(rounds: int = 9, small: bool = False) -> tuple[Ratio, ...]:
    """Print and return the ratios of two sweeps on each device; ``small`` makes them tiny."""
    sizes = ((2, 4),) if small else ((7, 64), (7, 128))
    devices = ["cpu", "cuda"] if torch.cuda.is_available() and not small else ["cpu"]
    print(HEADER)
    with one_thread():
        ratios = tuple(r for d in devices for p, b in sizes for r in _sweep(p, b, rounds, torch.device(d), small))
    for ratio in ratios:
        print(ratio)
    print(f"{rounds} interleaved rounds on one thread; random pictures, since time does not depend on what they show")
    return ratios


def pictures(
    model: nn.Module, number: int, device: torch.device, strategy: ee.network.Strategy = "auto"
) -> tuple[ee.Network, Tensor]:
    """Return the model on random pictures, and the pictures as they are stored."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(number, 3, 32, 32, generator=generator).to(device)
    y = torch.randint(10, (number,), generator=generator).to(device)
    return ee.Network(model.to(device), x, y, batch_norm="reestimate", strategy=strategy), x


def flops(model: nn.Module, picture: Tensor) -> int:
    """Return the floating-point operations of one gradient on one picture (1, C, H, W).

    Two per weight and place in the forward pass, in the weights' gradient, and in the inputs' except the data's.
    """
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer.weight, Tensor)
        counts.append(2 * layer.weight.numel() * output.numel() // layer.weight.shape[0])

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        model(picture)
    for hook in hooks:
        hook.remove()
    return 3 * sum(counts) - counts[0]


def _sweep(pivots: int, batch_size: int, rounds: int, device: torch.device, small: bool) -> tuple[Ratio, ...]:
    model, side = ee.models.small_cnn(), 64 if small else 1024 if device.type == "cpu" else 8192
    land, stored = pictures(model, 8 if small else 512, device)
    generator = torch.Generator().manual_seed(1)
    theta = torch.stack([land.initial(generator) for _ in range(pivots)])
    models = [land.module(row) for row in theta]
    square = torch.randn(side, side, device=device)

    def loop_on(x: Tensor) -> Callable[[], None]:
        def loop() -> None:
            index = torch.randint(len(x), (batch_size,), generator=generator).to(device)
            plain_loop(models, x[index], land.y[index])

        return _finished(loop, device)

    ours, loop, lent, product = medians(
        [
            _finished(lambda: land.gradient(theta, batch_size, generator, shared=True), device),
            loop_on(stored),
            loop_on(stored.contiguous(memory_format=torch.channels_last)),
            _finished(lambda: square @ square, device),
        ],
        rounds,
    )
    share = flops(model, stored[:1]) * pivots * batch_size / ours / (2 * side**3 / product)
    name = f"CNN on {device.type}, {pivots} pivots, batch {batch_size}"
    return (
        Ratio(f"{name}: plain loop / ours", loop / ours, aim=1.5),
        Ratio(f"{name}: plain loop in channels_last / ours", lent / ours),
        Ratio(f"{name}: FLOP/s over those of a {side} x {side} product", share),
        Ratio(f"{name}: thousand images per second", pivots * batch_size / ours / 1000),
    )


def _finished(call: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """Return a call that ends when the device has done its work."""

    def whole() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return whole


def seconds(call: Callable[[], object], device: torch.device, least: float = 0.3) -> float:
    """Return the shortest time of a call, among at least three and as many as ``least`` seconds hold."""
    whole = _finished(call, device)
    whole()
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        began = time.perf_counter()
        whole()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()

"""Claim: the way that "auto" takes on a CPU is never much slower than the best of the others.

For models that are no chain of linear layers, ``Network`` computes the gradients of P networks in a loop, by vmap, or,
of chains of convolutions, as groups of one. On a CPU a rule decides, and no timing, so that the same seed gives the
same bits on a busy machine too. Here the rule is measured: the time of what it takes over the least time of the other
ways, for networks with a residual connection and a norm, on 64 inputs and on pictures, and for CNNs on small pictures
and on larger ones, for few and many networks, small and large batches.

    python -m benchmarks.strategies
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import entropic_edu as ee

from .run import HEADER, Ratio, medians, one_thread

AIM = 1.2
CASES = {  # model: networks and batch size
    "residual 32": ((2, 16), (8, 16), (32, 16), (8, 256), (8, 2048)),
    "residual 256": ((2, 16), (8, 16), (32, 16), (8, 256), (8, 2048)),
    "CNN 4-8": ((2, 16), (8, 16), (8, 64)),
    "CNN 16-32-64": ((2, 16), (8, 16), (32, 16), (8, 64), (8, 256)),
    "small CNN 8-16": ((2, 16), (16, 16), (8, 64), (8, 256)),
    "small residual CNN 8": ((2, 16), (16, 16), (8, 64), (8, 256)),
}
SIDE = 12  # pixels along the edge of a small picture


class Residual(nn.Module):
    """A network of some width on 64 inputs with a residual connection and LayerNorm: no chain of layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, width), nn.Linear(width, 10)
        self.norm, self.inner = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, 64) -> (N, 10)."""
        hidden = torch.relu(self.first(x))
        logits: Tensor = self.last(hidden + torch.relu(self.inner(self.norm(hidden))))
        return logits


def main(rounds: int = 7, small: bool = False) -> tuple[Ratio, ...]:
    """Print and return a ratio for each case; ``small`` takes the smallest of each model."""
    ratios = []
    print(HEADER)
    with one_thread():
        for name, cases in CASES.items():
            for networks, batch_size in cases[: 1 if small else None]:
                ratios.append(_ratio(name, networks, batch_size, rounds))
                print(ratios[-1])
    print(f"{rounds} interleaved rounds on one thread; each network has its own batch; random inputs")
    return tuple(ratios)


class ResidualCNN(nn.Module):
    """A residual connection and GroupNorm on small pictures of one channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv2d(1, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
        self.norm, self.last = nn.GroupNorm(4, channels), nn.Linear(channels * (SIDE // 2) ** 2, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (N, 1, 12, 12) -> (N, 10)."""
        hidden = torch.relu(nn.functional.max_pool2d(self.norm(self.first(x)), 2))
        logits: Tensor = self.last((hidden + torch.relu(self.inner(hidden))).flatten(1))
        return logits


def _model(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the model of a case and the shape of its inputs."""
    kind, _, sizes = name.rpartition(" ")
    widths = tuple(map(int, sizes.split("-")))
    if kind == "residual":
        return Residual(*widths), (64,)
    if kind == "small residual CNN":
        return ResidualCNN(*widths), (1, SIDE, SIDE)
    if kind == "CNN":
        return ee.models.small_cnn(widths), (3, 32, 32)
    blocks = list(ee.models.small_cnn(widths))[:-1]
    blocks[0] = nn.Conv2d(1, widths[0], 3, padding=1)
    return nn.Sequential(*blocks, nn.Linear(widths[-1] * (SIDE >> len(widths)) ** 2, 10)), (1, SIDE, SIDE)


def _ratio(name: str, networks: int, batch_size: int, rounds: int) -> Ratio:
    model, inputs = _model(name)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2 * batch_size, *inputs, generator=generator)
    y = torch.randint(10, (len(x),), generator=generator)
    auto = ee.Network(model, x, y)
    ways = {how: ee.Network(model, x, y, strategy=how) for how in ("loop", "vmap")}
    if auto.engine.groups:
        ways["groups"] = ee.Network(model, x, y)
        ways["groups"].engine.choice = lambda *_: "groups"
    theta = torch.stack([auto.initial(generator) for _ in range(networks)])
    batch = auto.draw(batch_size, generator, networks)
    auto.gradient_on(theta, batch)  # it chooses
    (chosen,) = set(auto.engine.choice.made.values())
    times = medians([lambda land=land: land.gradient_on(theta, batch) for land in ways.values()], rounds)
    taken = dict(zip(ways, times, strict=True))
    other = min(set(ways) - {chosen}, key=taken.__getitem__)
    title = f"strategy: {name}, {networks} networks, B {batch_size}: {chosen} over {other}"
    return Ratio(title, taken[chosen] / taken[other], AIM, at_most=True)


if __name__ == "__main__":
    main()

"""Claim: the way that "auto" takes on a CPU is never much slower than the other one.

For models that are no chain of linear layers, ``Network`` computes the gradients of P networks in a loop or by vmap.
On a CPU a rule decides, and no timing, so that the same seed gives the same bits on a busy machine too. Here the rule
is measured: the time of what it takes over that of the other way, for networks with a residual connection and
LayerNorm on 64 inputs, and for CNNs on pictures, for few and many networks, small and large batches.

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
}


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


def _ratio(name: str, networks: int, batch_size: int, rounds: int) -> Ratio:
    kind, _, sizes = name.partition(" ")
    model = Residual(int(sizes)) if kind == "residual" else ee.models.small_cnn(tuple(map(int, sizes.split("-"))))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2 * batch_size, *((64,) if kind == "residual" else (3, 32, 32)), generator=generator)
    y = torch.randint(10, (len(x),), generator=generator)
    auto, loop, vmap = (ee.Network(model, x, y, strategy=how) for how in ("auto", "loop", "vmap"))
    theta = torch.stack([auto.initial(generator) for _ in range(networks)])
    batch = auto.draw(batch_size, generator, networks)
    auto.gradient_on(theta, batch)  # it chooses
    (chosen,) = set(auto.engine.choice.made.values())
    ways = {"loop": loop, "vmap": vmap}
    times = medians([lambda land=land: land.gradient_on(theta, batch) for land in ways.values()], rounds)
    taken = dict(zip(ways, times, strict=True))
    (other,) = set(ways) - {chosen}
    title = f"strategy: {name}, {networks} networks, B {batch_size}: {chosen} over {other}"
    return Ratio(title, taken[chosen] / taken[other], AIM, at_most=True)


if __name__ == "__main__":
    main()

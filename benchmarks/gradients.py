"""Steps, sweeps and roads: gradients of many networks at once, against loops over modules, vmap and JAX.

A stack is the digits network of the story, 64-32-32-10; pictures are random, since time does not depend on what they
show. The limit is the products of a step, by ``flops``, at the speed of a large product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import entropic_edu as ee
from entropic_edu.physics.methods import bernstein
from entropic_edu.recorded import roads

from .peers import Jax, descent, jax_of, plain_loop, vmap_descent, vmap_of_grad
from .run import Row, Way, measure

LINEAR = nn.Linear | nn.Conv2d


def flops(model: nn.Module, one: Tensor, products: int = 0) -> int:
    """Return the floating-point operations of a gradient on one sample (1, ...), and of so many Hessian products there.

    Two per weight and place in the forward pass, in the weights' gradient, and in the inputs' except the data's; the
    R-operator of a product (Pearlmutter 1994) has each of these twice, but for the data, which have no tangent.
    """
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, LINEAR)
        counts.append(2 * layer.weight.numel() * output.numel() // layer.weight.shape[0])

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, LINEAR)]
    with torch.no_grad():
        model(one)
    for hook in hooks:
        hook.remove()
    return 3 * sum(counts) - counts[0] + products * (6 * sum(counts) - 4 * counts[0])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(model: nn.Module, number: int, side: int = 32, channels: int = 3, **settings: Any) -> ee.Network:
    """Return a model on random pictures."""
    generator = seeded()
    x, y = (
        torch.randn(number, channels, side, side, generator=generator),
        torch.randint(10, (number,), generator=generator),
    )
    return ee.Network(model, x, y, **settings)


def story_cnn() -> nn.Module:
    """Return the CNN of the story on CIFAR-10, 33,834 parameters."""
    return ee.models.small_cnn((16, 32, 64))


def little_cnn() -> nn.Module:
    """Return a CNN as users bring them, for pictures of 12 x 12, 1,234 parameters."""
    blocks = [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    blocks += [nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(72, 10))


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


def rows(small: bool = False) -> Iterator[Row]:
    """Yield the rows."""
    land, road = roads.landscape(), roads.road(0)
    yield _train(land, small)
    for size in (16, 64):
        yield _walkers(land, road, size, small)
    yield _release(land, road, small)
    yield _together(land, road, small)
    yield _bezier(land, road, small)
    yield _road(land, road, small)
    plain = ee.Network(land.model, land.x, land.y)  # peers would leave weight decay to SGD
    sweeps = [(plain, "digits sweep", ((7, 64), (38, 256)), False)]
    sweeps += [(images(story_cnn(), 8 if small else 256), "CNN (32 x 32) sweep", ((7, 64),), False)]
    sweeps += [(images(little_cnn(), 256, 12, 1), "CNN (12 x 12) step", ((16, 16),), True)]
    for width in (32, 256):
        residual = ee.Network(Residual(width), torch.randn(4096, 64, generator=seeded()), torch.arange(4096) % 10)
        sweeps += [(residual, f"residual net ({width} wide) step", ((2, 16), (32, 16), (8, 256)), True)]
    for net, name, sizes, own in sweeps:
        for number, size in sizes:
            theta = starts(net, 2 if small else number)
            ours, peers = gradient_ways(net, theta, 4 if small else size, own, jax=isinstance(net.model, nn.Sequential))
            work = number * size * flops(net.model, net.x[:1])
            yield measure(f"{name}, {number} x B {size}", ours, peers, small=small, flops=work, note=SPARED)


def starts(land: ee.Network, number: int) -> Tensor:
    """Return random parameter vectors, (P, D)."""
    generator = seeded(1)
    return torch.stack([land.initial(generator) for _ in range(number)])


def _stream(make: Callable[[], Any], steps: int) -> Way:
    """Return the steps of a verb as a way: after its first snapshot, and up to the one that has taken them all."""

    def begun() -> Any:
        stream = make()
        next(stream)
        return stream

    return Way(lambda stream: next(snapshot for snapshot in stream if snapshot.done >= steps), steps, begun)


def _epochs(land: ee.Network, size: int, networks: int, steps: int) -> Iterator[Tensor]:
    """Yield the numbers of the samples of each step, (P, B), from shuffles of each network's own."""
    generator, number = seeded(), len(land.x) // size
    for done in range(0, steps, number):
        order = torch.stack([torch.randperm(len(land.x), generator=generator) for _ in range(networks)])
        yield from order[:, : number * size].split(size, 1)[: steps - done]


def _draws(land: ee.Network, size: int, networks: int, steps: int) -> Iterator[Tensor]:
    generator = seeded()
    return (torch.randint(len(land.x), (networks, size), generator=generator) for _ in range(steps))


def _steppers(
    land: ee.Network,
    theta: Tensor,
    batches: Callable[[int], Iterator[Tensor]],
    steps: int,
    scale: float = 1.0,
    **settings: float,
) -> dict[str, Way | None]:
    """Return the peers' ways to take steps from ``theta``; the stage is 1 / ``scale`` of them."""
    settings["weight_decay"] = land.weight_decay
    models, few = [land.module(row) for row in theta], max(2, steps // 10)
    jax = jax_of(land)

    def walk(jax: Jax) -> Callable[[], object]:
        w, x, y = jax.weights(theta), jax.array(land.x), jax.array(land.y)
        return lambda: jax.ready(jax.walk, w, x, y, torch.stack(list(batches(steps))).numpy(), *settings.values())()

    return {
        "JAX": jax and Way(walk(jax), steps * scale),
        "vmap": Way(lambda: vmap_descent(land, theta, batches(few), **settings), few * scale),
        "plain loop": Way(lambda: descent(models, land.x, land.y, batches(few), **settings), few * scale),
    }


def _train(land: ee.Network, small: bool) -> Row:
    epochs, size = (1, 256) if small else (5, 16)
    steps = epochs * land.steps_per_epoch(size)
    settings: dict[str, Any] = {"learning_rate": 0.05, "momentum": 0.9, "batch_size": size, "epochs": epochs}
    ours = _stream(lambda: ee.stream.train(land, generator=seeded(), runs=2, **settings), steps)
    peers = _steppers(land, starts(land, 2), lambda n: _epochs(land, size, 2, n), steps, lr=0.05, momentum=0.9)
    work = 2 * size * flops(land.model, land.x[:1])
    return measure("train step, 2 networks, B 16", ours, peers, small=small, flops=work, note=SCAN)


def _walkers(land: ee.Network, road: ee.Path, size: int, small: bool) -> Row:
    walkers, steps = (2, 4) if small else (32, 200)
    settings: dict[str, Any] = {"start": 0.5, "batch_size": size, "learning_rate": 0.1, "walkers": walkers}
    settings |= {"steps": steps, "project_every": None, "record_every": steps}
    ours = _stream(lambda: ee.stream.drift(land, road, generator=seeded(), **settings), steps)
    theta = road.at(torch.full((walkers,), 0.5))
    peers = _steppers(land, theta, lambda n: _draws(land, size, walkers, n), steps, lr=0.1, momentum=0.9)
    work = walkers * size * flops(land.model, land.x[:1])
    return measure(f"walker step, 32 walkers, B {size}", ours, peers, small=small, flops=work, note=SCAN)


def _release(land: ee.Network, road: ee.Path, small: bool) -> Row:
    walkers, steps = (1, 15) if small else (16, 600)
    settings: dict[str, Any] = {"start": (0.3, 0.7), "learning_rate": 0.2, "walkers": walkers, "steps": steps}
    theta = road.at(torch.tensor([0.3, 0.7]).repeat_interleave(walkers))
    batches = lambda n: _draws(land, 16, 2 * walkers, n)  # noqa: E731
    peers = _steppers(land, theta, batches, max(2, steps // 6), 1 / steps, lr=0.2, momentum=0.9)
    work = 2 * walkers * steps * 16 * flops(land.model, land.x[:1])
    ours = lambda: ee.drift(land, road, generator=seeded(), **settings)  # noqa: E731
    return measure(f"hot release, 32 walkers, {steps} steps", ours, peers, small=small, flops=work, note=ALONE)


def _together(land: ee.Network, road: ee.Path, small: bool) -> Row:
    walkers, steps = (2, 15) if small else (16, 300)

    def release(number: int) -> object:
        return ee.drift(land, road, generator=seeded(), walkers=number, steps=steps)

    apart = Way(lambda: release(1), 1 / walkers)
    return measure("release of 16 walkers", lambda: release(walkers), {"16 releases of one": apart}, small=small)


def gradient_ways(
    land: ee.Network, theta: Tensor, size: int, own: bool, jax: bool = True
) -> tuple[Callable[[], object], dict[str, Any]]:
    """Return our call and the peers' that compute the same gradients; JAX knows chains of layers alone."""
    batch = land.draw(size, seeded(), len(theta) if own else None)
    models, weights = [land.module(row) for row in theta], land.unflatten(theta)
    stored, several = batch.x.contiguous(), land.x.ndim == 4
    peers: dict[str, Any] = {"JAX": None} if jax else {}
    if jax and (chain := jax_of(land)) is not None:
        compiled = chain.own if own else chain.each if several else chain.shared
        peers["JAX"] = chain.ready(compiled, chain.weights(theta), chain.array(batch.x), chain.array(batch.y))
    peers["vmap"] = lambda: vmap_of_grad(land.model, weights, stored, batch.y, own)
    peers["plain loop"] = lambda: plain_loop(models, stored, batch.y, own)
    if several and not own:
        last = stored.contiguous(memory_format=torch.channels_last)
        peers["plain loop, channels last"] = lambda: plain_loop(models, last, batch.y)
    return lambda: land.gradient_on(theta, batch), peers


def _bezier(land: ee.Network, road: ee.Path, small: bool) -> Row:
    places, size, sweeps = (4, 16, 4) if small else (20, 256, 100)
    settings: dict[str, Any] = {"method": "bezier", "pivots": places, "batch_size": size, "sweeps": sweeps}
    ours = _stream(lambda: ee.stream.connect(land, *road.pivots[[0, -1]], generator=seeded(), **settings), sweeps)

    def curve(few: int, side_by_side: bool) -> None:
        generator, ends = seeded(), road.pivots[[0, -1]]
        inner = road.resample(5).pivots[1:-1].clone().requires_grad_()
        optimizer = torch.optim.SGD([inner], lr=0.05, momentum=0.9, weight_decay=land.weight_decay)
        for _ in range(few):
            where, index = (
                torch.rand(places, generator=generator),
                torch.randint(len(land.x), (size,), generator=generator),
            )
            x, y = land.x[index], land.y[index]
            theta = bernstein(where, 5) @ torch.cat([ends[:1], inner, ends[1:]])

            def loss(weights: dict[str, Tensor], x: Tensor = x, y: Tensor = y) -> Tensor:
                return F.cross_entropy(torch.func.functional_call(land.model, weights, (x,)), y)

            optimizer.zero_grad()
            if side_by_side:
                torch.vmap(loss)(land.unflatten(theta)).mean().backward()
            else:
                torch.stack([loss(land.unflatten(row)) for row in theta]).mean().backward()
            optimizer.step()

    few = max(2, sweeps // 10)
    peers = {"vmap": Way(lambda: curve(few, True), few), "plain autograd": Way(lambda: curve(few, False), few)}
    work = places * size * flops(land.model, land.x[:1])
    return measure("Bezier step, 20 places, B 256", ours, peers, small=small, flops=work)


def _road(land: ee.Network, road: ee.Path, small: bool) -> Row:
    recipe: dict[str, Any] = (roads.RECIPE | (roads.TINY if small else {}))["connect"]
    number, sweeps = recipe["pivots"] - 2, recipe["sweeps"]
    theta, few = road.resample(number).pivots, max(2, sweeps // 100)
    batches = lambda n: (index.expand(number, -1) for index in _draws(land, 256, 1, n))  # noqa: E731
    peers = _steppers(land, theta, batches, few, 1 / sweeps, lr=0.05, momentum=0.9)
    ours = lambda: ee.connect(land, *road.pivots[[0, -1]], generator=seeded(), **recipe)  # noqa: E731
    return measure(f"road of {sweeps} sweeps (string, {number + 2} pivots)", ours, peers, small=small, note=ALONE)


SCAN = "JAX runs all steps in one compiled scan; ours is the verb, which draws at each step and can be stopped."
ALONE = "Ours is the whole verb, with projections, records or redistribution; the peers only take the steps."
SPARED = (
    "The plain loop leaves gradients in modules and vmap in a dict, as their users would; ours writes an array (P, D), "
    "and binds the weights of each network to the module again, which matters where a step is short. "
    "JAX's code is compiled for this shape alone; the row says how many seconds that takes."
)

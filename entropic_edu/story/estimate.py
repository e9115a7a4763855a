"""What a story will cost, before it begins: a gradient of each shape is timed, and a product, and multiplied."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from entropic_edu.networks import memory
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import Sweeps

from .digits import Recipe

_SAMPLE = 2048  # training inputs that stand for all when a pass through the data is timed
_PLANE = 33**2  # places of the plane that the picture shows


@dataclass(frozen=True)
class Shape:
    """What a stage does again and again."""

    stage: str
    networks: int  # that a step moves
    batch_size: int | None  # samples B of a step; None takes all data
    own: bool  # whether each network draws its own batch
    steps: int
    looks: int  # how often one network is evaluated on all data
    products: int = 12  # Hessian-vector products on all data, which tell whether the steps are stable


def shapes(land: Network, recipe: Recipe) -> list[Shape]:
    """Return the stages with steps; the profile is made of ``products`` and of the places of the picture."""
    pivots, sweeps = recipe.connect.get("pivots", 20), recipe.connect["sweeps"]
    sweeps = sweeps.most if isinstance(sweeps, Sweeps) else sweeps
    shared, records = min(recipe.connect.get("batch_size", 256), len(land.x)), recipe.records or 60
    part = min(
        1.0, 4 * shared / len(land.x)
    )  # of the data, on which one looks every 25 sweeps whether the band is astray
    astray = round(part * pivots * (3 + sweeps // 25))
    # the road's other looks: 4 points a pivot, 3 between each two, 3 between pivots to see whether it is fine, the line
    rows = [
        _training("minima", land, recipe.train),
        *([_training("rest", land, recipe.rest)] if recipe.rest else []),
        Shape("road", pivots - 2, shared, False, sweeps, 20 * pivots + 97 + astray, products=0),
    ]
    if recipe.kind == "valley":
        rows.append(_training("descent", land, {"batch_size": None, "epochs": recipe.control.steps}))
    for s in recipe.settings:
        walkers = len(recipe.starts) * s.walkers
        rows.append(Shape(f"walkers, {s.name}", walkers, s.batch_size, True, s.steps, walkers * (records + 1)))
    return rows


def _training(stage: str, land: Network, how: Mapping[str, Any]) -> Shape:
    """Return the shape of the training of both ends."""
    batch, epochs = how["batch_size"], how["epochs"]
    return Shape(stage, 2, batch, True, epochs * land.steps_per_epoch(batch), 2 * (epochs + 1))


def refuse(land: Network, recipe: Recipe) -> None:
    """Raise a MemoryError if a stage cannot fit, however few samples are taken at once."""
    room = memory.free_bytes(land.device, in_use_too=True)  # what is in use may be given back
    worst, needed = max(_needs(land, recipe).items(), key=lambda item: item[1])
    if room is not None and needed > room:
        raise MemoryError(
            f"The stage {worst!r} needs at least {memory.in_words(needed)} beside the data, and {land.device} "
            f"has {memory.in_words(room)}; take a smaller model or fewer --images, or another --device."
        )


def _needs(land: Network, recipe: Recipe) -> dict[str, int]:
    """Return by stage the bytes without which it cannot be; a Hessian-vector product keeps three times as much."""
    needs = {shape.stage: least_bytes(land, shape) for shape in shapes(land, recipe)}
    return needs | {"profile and picture": 3 * land.least_samples(None) * land.bytes_per_sample}


def least_bytes(land: Network, shape: Shape) -> int:
    """Return the bytes of a stage at the least: parameters, its batches, and what one backward pass keeps."""
    together = land.least_samples(shape.batch_size)
    own = shape.networks if shape.own else 1
    batches = own * (shape.batch_size or 0) * land.x[0].numel() * land.x.element_size()
    vectors = 6 * shape.networks * land.dim * land.x.element_size()  # θ, gradient, momentum, and copies
    return vectors + batches + 2 * together * land.bytes_per_sample


def lines(land: Network, recipe: Recipe, costs: dict[str, float]) -> Iterator[str]:
    """Yield about how long each stage will take and what memory it needs, and then how long all take together."""
    needs = _needs(land, recipe)
    for stage, seconds in costs.items():
        least = needs.get(stage, needs["profile and picture"])
        yield f"  {stage}: about {in_words(seconds)}; at least {memory.in_words(least)} beside the data"
    yield f"About {in_words(sum(costs.values()))} for each pair of minima, on {land.device.type}."


def costs(land: Network, recipe: Recipe) -> dict[str, float]:
    """Return about how many seconds each stage takes."""
    return dict(_costs(land, recipe))


def _costs(land: Network, recipe: Recipe) -> Iterator[tuple[str, float]]:
    """Yield each stage and about how many seconds it takes."""
    generator = torch.Generator().manual_seed(0)
    theta = land.initial(generator)
    some = land.subset(torch.arange(min(_SAMPLE, len(land.x))))
    many = 32 if land.stacks else 1  # stacks are evaluated together
    thetas, share = theta.expand(many, -1).contiguous(), len(land.x) / (len(some.x) * many)
    with torch.no_grad():  # the loss and the gradient of one network on all training data
        look = share * _seconds(lambda: some.loss(thetas), land.device)
    slope = share * _seconds(lambda: some.gradient(thetas), land.device)
    times = some.hessian_at(theta, weight_decay=False)
    product = share * many * _seconds(lambda: times(theta), land.device)
    for shape in shapes(land, recipe):
        rows = theta.expand(shape.networks, -1).contiguous()
        if (size := shape.batch_size) is None:
            step = share * many * _seconds(partial(some.gradient, rows), land.device)
        else:
            step = _seconds(partial(land.gradient, rows, size, generator, shared=not shape.own), land.device)
        yield shape.stage, shape.steps * step + shape.looks * look + shape.products * product
    part, seen = (len(some.x) / len(land.x) for some in (recipe.part(land), recipe.shown(land)))
    if recipe.match_norms:
        yield "road as built", seen * _profile(recipe.probe_raw, product, slope)
    probing = {"points": recipe.points} | recipe.probe
    yield "profile and picture", part * _profile(probing, product, slope) + seen * _PLANE * look


def _profile(probing: Mapping[str, int], product: float, slope: float) -> float:
    """Return about how many seconds a profile takes; its per-sample gradients take as long as some twenty others."""
    return products(**probing) * product + 20 * probing["points"] * slope


def products(points: int = 25, num_probes: int = 4, lanczos_steps: int = 24) -> int:
    """Return about how many Hessian-vector products a profile takes: for spectrum, ends of it, and both traces."""
    return points * ((num_probes + 2) * lanczos_steps + 2 * max(16, num_probes))


def wall(stages: Mapping[str, tuple[float, tuple[str, ...]]], processes: int) -> float:
    """Return after how many seconds all is made, from each stage's seconds and the names of those that it needs.

    Each begins as soon as a process is free and what it needs is there, the first come first.

    >>> stages = {"ends": (2.0, ()), "road": (3.0, ("ends",)), "long": (4.0, ("road",)), "short": (1.0, ("road",))}
    >>> wall(stages, 1), wall(stages, 2)
    (10.0, 9.0)
    """
    free, ended, waiting = [0.0] * processes, dict[str, float](), dict(stages)
    while waiting:
        now = min(free)
        begin = {
            name: max([now, *(ended.get(need, math.inf) for need in needs if need in stages)])
            for name, (_, needs) in waiting.items()
        }
        first = min(begin, key=lambda name: begin[name])
        free[free.index(now)] = ended[first] = begin[first] + waiting.pop(first)[0]
    return max(ended.values(), default=0.0)


def _seconds(call: Callable[[], Tensor], device: torch.device) -> float:
    """Return the shortest time of a call; first ones choose how to compute, and may record it."""
    times: list[float] = []
    while len(times) < 5 and sum(times) < 0.2:
        began = time.perf_counter()
        call()
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


def in_words(seconds: float) -> str:
    """Return a time as text, e.g. "40 s" or "2.5 h"."""
    for unit, size in (("s", 60), ("min", 60), ("h", 24)):
        if seconds < 1.5 * size:
            return f"{seconds:.2g} {unit}"
        seconds /= size
    return f"{seconds:.2g} days"

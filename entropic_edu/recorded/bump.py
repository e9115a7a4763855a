"""What lesson 05 measures along the roads of ``valley``: height, width, spectrum, and what a step off the road costs.

All is at matched norms but for one profile of each road as it was built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from entropic_edu.networks.network import Network
from entropic_edu.physics.curvature import hessian_vector_product, hutchinson_trace
from entropic_edu.physics.drift import Records, drift
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import probe

from . import Work, valley
from ._common import Values, columns, seeded

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],
    "points": 21,
    "probe": {"num_probes": 16, "lanczos_steps": 28},
    "probes_kept": 6,  # of the spectrum; the traces are of all
    "raw": {"num_probes": 1, "lanczos_steps": 24},
    "block_probes": 16,
    "places": [0.0, 0.5, 1.0],
    "largest": 200,  # eigenvalues found to convergence at the places
    "slice": {"directions": 3, "reach": 0.3, "points": 41, "walkers": 64},  # lengths in θ, whose norm is about 16
    "radii": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0],  # of random steps
    "directions": 16,
    "walks": {"hot": [16, 0.02], "warm": [16, 0.01], "cold": [64, 0.02]},  # B and η of lesson 06
    "walk": {"momentum": 0.9, "steps": 15, "walkers": 16},
    "draws": 512,  # of a batch, whose scatter is a kick
}
TINY: Values = {
    "seeds": [0],
    "points": 3,
    "probe": {"num_probes": 2, "lanczos_steps": 12},
    "probes_kept": 1,
    "raw": {"num_probes": 1, "lanczos_steps": 12},
    "block_probes": 1,
    "largest": 3,
    "slice": {"directions": 2, "reach": 0.3, "points": 3, "walkers": 2},
    "radii": [1.0],
    "directions": 2,
    "walk": {"momentum": 0.9, "steps": 3, "walkers": 2},
    "draws": 4,
}


def make(recipe: Values, work: Work) -> Values:
    """Return what was measured, by the names of docs/recordings.md."""
    found: Values = {}
    rows = []
    for pair in range(len(recipe["seeds"])):
        values = work.part(f"pair {pair}", partial(_measured, recipe, pair))
        found |= {f"pair{pair}/{name}": values.pop(name) for name in ("profile", "raw")}
        rows.append(values)
        work(f"pair {pair}: {found[f'pair{pair}/profile'].summary()}")
    return found | columns(rows)


def _measured(recipe: Values, pair: int) -> Values:
    land, road, built = valley.landscape(), valley.road(pair), valley.road(pair, matched=False)
    where, points = torch.linspace(0, 1, recipe["points"]), recipe["points"]
    profile = probe(land, road, generator=seeded(100 + pair), points=points, **recipe["probe"])
    some = {name: getattr(profile, name)[:, : recipe["probes_kept"]].clone() for name in ("nodes", "weights")}
    theta, layers = road.at(where), road.scale_free(land)
    return {
        "profile": replace(profile, **some),
        "raw": probe(land, built, generator=seeded(100 + pair), points=points, **recipe["raw"]),
        "blocks": blocks(land, theta, list(layers.values()), recipe["block_probes"], seeded(200 + pair)),
        "norm_built": norms_as_built(road, built, where, list(layers.values())),
        **_steps(recipe, land, theta, pair),
        **_walks(recipe, land, road, where, pair),
        **_slices(recipe, land, road, pair),
    }


def blocks(land: Network, theta: Tensor, layers: list[slice], probes: int, generator: torch.Generator) -> Tensor:
    """Return the share in tr H of each of these layers and of all other weights, (n, layers + 1)."""
    masks = torch.zeros(len(layers) + 1, land.dim)
    for mask, layer in zip(masks, layers, strict=False):
        mask[layer] = 1
    masks[-1] = 1 - masks.sum(0)
    signs = 2.0 * torch.randint(2, (probes, land.dim), generator=generator) - 1
    parts = [hutchinson_trace(land, theta, probes=signs, weight_decay=False, scale=mask).value for mask in masks]
    return torch.stack(parts, 1) / torch.stack(parts, 1).sum(1, keepdim=True)


def norms_as_built(road: Path, built: Path, where: Tensor, layers: list[slice]) -> Tensor:
    """Return ‖w‖ of layers on the road as built, where the road of matched norms is the same function, (n, layers)."""
    number = np.interp(where.numpy(), road.marks.numpy(), np.arange(len(road.pivots)))  # of the pivot, and a share
    norms = torch.stack([built.pivots[:, layer].norm(dim=1) for layer in layers], 1).numpy()
    return torch.as_tensor(np.stack([np.interp(number, np.arange(len(norms)), each) for each in norms.T], 1)).float()


def _steps(recipe: Values, land: Network, theta: Tensor, pair: int) -> Values:
    """Return what random steps cost, and what they cost where no ReLU may switch."""
    exact, radii = land.to(torch.float64), torch.tensor(recipe["radii"], dtype=torch.float64)
    steps = torch.randn(recipe["directions"], land.dim, generator=seeded(300 + pair), dtype=torch.float64)
    steps = radii[:, None, None] * steps / steps.norm(dim=1, keepdim=True)  # (radii, V, D)
    rows = [(rise(exact.data_loss, t, steps), rise(switches_held(exact, t), t, steps)) for t in theta.double()]
    second = torch.stack([second_order(exact, t, steps[-1]) for t in theta.double()])
    found = {"rise": torch.stack([free for free, _ in rows]), "rise_held": torch.stack([held for _, held in rows])}
    return {name: values.float() for name, values in (found | {"rise_second": second / radii[-1] ** 2}).items()}


def _walks(recipe: Values, land: Network, road: Path, where: Tensor, pair: int) -> Values:
    """Return how far from the road SGD is after k free steps from rest on it, and what its own steps cost."""
    exact, theta = land.to(torch.float64), road.at(where).double()
    lengths, rises, second = [], [], []
    for setting in recipe["walks"].values():
        steps = walked(recipe, land, road, where, setting, seeded(400 + pair)).double()
        lengths.append(steps.square().sum(-1).mean(-1).sqrt())
        rises.append(torch.cat([rise(exact.data_loss, t, s[None]) for t, s in zip(theta, steps, strict=True)]))
        second.append(torch.stack([second_order(exact, t, s) for t, s in zip(theta, steps, strict=True)]))
    named = zip(("walk_length", "walk_rise", "walk_second"), (lengths, rises, second), strict=True)
    return {name: torch.stack(values).float() for name, values in named}


def walked(
    recipe: Values, land: Network, road: Path, where: Tensor, setting: list[float], generator: torch.Generator
) -> Tensor:
    """Return where k free steps of B and η lead from rest, seen across the road from ``where``, (n, walkers, D)."""
    walk, (batch, rate) = recipe["walk"], setting
    free: Values = {"batch_size": batch, "project_every": None, "record_every": Records(walk["steps"], theta=True)}
    release = drift(land, road, start=where.tolist(), learning_rate=rate, generator=generator, **free, **walk)
    assert release.theta is not None
    step = release.theta[-1].view(len(where), walk["walkers"], -1) - road.at(where)[:, None]
    along = road.tangent(where)[:, None]
    return step - (step * along).sum(-1, keepdim=True) * along


def _slices(recipe: Values, land: Network, road: Path, pair: int) -> Values:
    """Return the largest eigenvalues at some places, the data loss along the first eigenvectors, and SGD's scatter.

    The scatter along them is that of one batch's kick, and of k free steps.
    """
    shape, where, hot = recipe["slice"], torch.tensor(recipe["places"]), recipe["walks"]["hot"]
    offset = torch.linspace(-shape["reach"], shape["reach"], shape["points"])[:, None]
    crowd = recipe | {"walk": recipe["walk"] | {"walkers": shape["walkers"]}}
    walks = walked(crowd, land, road, where, hot, seeded(500 + pair))
    values, losses, scatter = [], [], []
    for theta, walk in zip(road.at(where), walks, strict=True):
        largest, vectors = top(land, theta, recipe["largest"], shape["directions"])
        values.append(largest)
        losses.append(torch.stack([land.data_loss(theta + offset * vector) for vector in vectors]).detach())
        batches, generator = recipe["draws"] // 4, seeded(600 + pair)
        draws = [land.gradient(theta.expand(batches, -1), batch_size=hot[0], generator=generator) for _ in range(4)]
        kicks = torch.cat([each @ vectors.T for each in draws]).detach()
        scatter.append(torch.stack([hot[1] * kicks.std(0), (walk @ vectors.T).std(0)]))
    return {"eigenvalues": torch.stack(values).half(), "slice": torch.stack(losses), "scatter": torch.stack(scatter)}


def top(land: Network, theta: Tensor, count: int, vectors: int) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalues of H, descending, (count,), and the first eigenvectors, (vectors, D).

    By Lanczos with restarts and full re-orthogonalisation (ARPACK), until all have converged.
    """

    def times(vector: np.ndarray) -> np.ndarray:
        product = hessian_vector_product(land, theta, torch.as_tensor(vector.ravel()).to(theta), weight_decay=False)
        return product.double().numpy()

    operator = LinearOperator((land.dim, land.dim), matvec=times, dtype=np.float64)
    start = torch.randn(land.dim, generator=seeded(1), dtype=torch.float64).numpy()
    values, basis = eigsh(operator, k=count, which="LA", tol=1e-4, v0=start)
    order = values.argsort()[::-1].copy()
    return torch.as_tensor(values[order]).float(), torch.as_tensor(basis[:, order[:vectors]].T.copy()).float()


@torch.no_grad()
def rise(loss: Callable[[Tensor], Tensor], theta: Tensor, steps: Tensor) -> Tensor:
    """Return how much a loss rises from θ (D,) on the mean over steps (..., V, D) and their opposites, (...)."""
    both = torch.cat([theta + steps, theta - steps], -2)
    losses = torch.stack([loss(each) for each in both.flatten(0, -3)] if steps.ndim > 2 else [loss(both)])
    return losses.mean(-1).view(steps.shape[:-2]) - loss(theta)


def second_order(land: Network, theta: Tensor, steps: Tensor) -> Tensor:
    """Return the mean of ½ xᵀHx over steps x (V, D): the rise where the loss is its Taylor series to second order."""
    return 0.5 * (hessian_vector_product(land, theta, steps, weight_decay=False) * steps).sum(-1).mean()


def switches_held(land: Network, theta: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the data loss at points (D,) or (n, D) of a network whose ReLUs all stay on or off as they are at θ."""

    def outputs(points: Tensor, relu: Callable[[Tensor], Tensor]) -> Tensor:
        parts, z = land.unflatten(points), land.x
        for name, layer in land.model.named_children():
            if isinstance(layer, nn.Linear):
                z = z @ parts[f"{name}.weight"].mT
                z = z + parts[f"{name}.bias"][..., None, :] if f"{name}.bias" in parts else z
            else:
                z = relu(z) if isinstance(layer, nn.ReLU) else layer(z)
        return z

    switches: list[Tensor] = []

    def switching(z: Tensor) -> Tensor:
        switches.append((z > 0).to(z))
        return z * switches[-1]

    outputs(theta, switching)

    def data_loss(points: Tensor) -> Tensor:
        held = iter(switches)
        z = outputs(points, lambda z: z * next(held))
        smoothing = land.criterion.label_noise
        losses = [F.cross_entropy(row, land.y, label_smoothing=smoothing) for row in z.view(-1, *z.shape[-2:])]
        return torch.stack(losses).view(points.shape[:-1])

    return data_loss

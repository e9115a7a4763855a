"""Traces, largest eigenvalues and Hessian-vector products, against the libraries that are made for them.

The MLP is the digits network of the story; the CNN that of its CIFAR-10, on random pictures. Peers get all samples of
the MLP at once, and pictures in the parts that we take, which suits the caches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

import entropic_edu as ee
from entropic_edu.networks.per_sample import exact_trace
from entropic_edu.physics import curvature
from entropic_edu.recorded import roads

from .gradients import flops, images, seeded, story_cnn
from .peers import hessians, jax_of
from .run import Row, Way, measure


def rows(small: bool = False) -> Iterator[Row]:
    """Yield the rows."""
    mlp, cnn = roads.landscape(), images(story_cnn(), 4 if small else 128)
    mlp = ee.Network(mlp.model, mlp.x[: 16 if small else None], mlp.y[: 16 if small else None])
    for name, land, probes in (("MLP", mlp, 16), ("CNN", cnn, 4)):
        theta = roads.road(0).pivots[20] if land is mlp else land.initial(seeded())
        yield _product(name, land, theta, small)
        yield _products(name, land, theta, small)
        probes = 1 if small else probes
        yield _trace(name, land, theta, probes, small)
        yield _exact(name, land, theta, probes, small)
        yield _largest(name, land, theta, small)


def product_ways(land: ee.Network, theta: Tensor, v: Tensor) -> dict[str, Callable[[], Any] | None]:
    """Return the peers' ways to the products with one vector (D,) or several (V, D)."""
    several, jax = v if v.ndim == 2 else v[None], jax_of(land)
    hessian = hessians(land.module(theta), land.x, land.y, _at_once(land))["curvlinops"]

    def jvp_of_grad() -> Tensor:
        total = torch.zeros_like(several)
        for piece in land.pieces(weight_decay=False):
            gradient = torch.func.grad(piece)
            for row, one in zip(total, several, strict=True):
                row += torch.func.jvp(gradient, (theta,), (one,))[1]
        return total.view_as(v)

    columns = v.T.contiguous() if v.ndim == 2 else v
    ways: dict[str, Callable[[], Any] | None] = {
        "curvlinops": hessian and (lambda: (hessian @ columns).mT if v.ndim == 2 else hessian @ v)
    }
    ways["jvp of grad"] = jvp_of_grad
    ways["JAX"] = None
    if jax is not None:
        compiled = jax.product if v.ndim == 1 else jax.products
        x, y = jax.array(land.x), jax.array(land.y)
        ways["JAX"] = jax.ready(compiled, jax.weights(theta), jax.weights(v), x, y)
    return ways


def _at_once(land: ee.Network) -> int:
    return len(land.x) if land.x.ndim == 2 else min(len(land.x), land.samples_at_once)


def _product(name: str, land: ee.Network, theta: Tensor, small: bool) -> Row:
    v = torch.randn(land.dim, generator=seeded(2))
    ours = lambda: curvature.hessian_vector_product(land, theta, v, weight_decay=False)  # noqa: E731
    work = len(land.x) * flops(land.model, land.x[:1], 1)
    peers = product_ways(land, theta, v)
    return measure(f"Hessian-vector product, {name}", ours, peers, small=small, flops=work, note=COMPILED)


def _products(name: str, land: ee.Network, theta: Tensor, small: bool) -> Row:
    v = torch.randn(4, land.dim, generator=seeded(2))
    ours = lambda: curvature.hessian_vector_product(land, theta, v, weight_decay=False)  # noqa: E731
    work = len(land.x) * flops(land.model, land.x[:1], 4)
    peers = product_ways(land, theta, v)
    return measure(f"four products at one theta, {name}", ours, peers, small=small, flops=work, note=COMPILED)


def trace_ways(land: ee.Network, theta: Tensor, probes: int) -> dict[str, Callable[[], Any] | None]:
    """Return the peers' Hutchinson estimates from so many probes."""
    held = hessians(land.module(theta), land.x, land.y, _at_once(land))
    ways: dict[str, Callable[[], Any] | None] = dict.fromkeys(held)
    if (linear := held["curvlinops"]) is not None:
        from curvlinops import hutchinson_trace

        ways["curvlinops"] = lambda: hutchinson_trace(linear, probes)
    if (operator := held["hessian-eigenthings"]) is not None:
        from hessian_eigenthings import hutchinson

        ways["hessian-eigenthings"] = lambda: hutchinson(operator, num_samples=probes, seed=0).estimate
    if held["PyHessian"] is not None:
        ways["PyHessian"] = lambda: _anew(land, theta).trace(maxIter=probes, tol=0)
    return ways


def _anew(land: ee.Network, theta: Tensor) -> Any:
    """Return PyHessian's Hessian, which keeps the graph of its gradient: that is part of the work."""
    return hessians(land.module(theta), land.x, land.y, len(land.x))["PyHessian"]


def _trace(name: str, land: ee.Network, theta: Tensor, probes: int, small: bool) -> Row:
    ours = lambda: curvature.hutchinson_trace(land, theta, num_probes=probes, generator=seeded())  # noqa: E731
    work = len(land.x) * flops(land.model, land.x[:1], probes)
    peers = trace_ways(land, theta, probes)
    return measure(f"trace, {name}, {probes} probes", ours, peers, small=small, flops=work)


def _exact(name: str, land: ee.Network, theta: Tensor, probes: int, small: bool) -> Row:
    v = torch.randn(land.dim, generator=seeded(2))
    exact_trace(land, theta)  # measures once what it then knows of the landscape
    product = Way(lambda: curvature.hessian_vector_product(land, theta, v), 0.5)
    peers = {"allowed, two of our products": product, **trace_ways(land, theta, probes)}
    return measure(f"exact trace, {name}", lambda: exact_trace(land, theta), peers, small=small, note=EXACT)


def largest_ways(land: ee.Network, theta: Tensor) -> dict[str, Callable[[], Any] | None]:
    """Return the peers' ways to the largest eigenvalue, to one in a thousand."""
    held = hessians(land.module(theta), land.x, land.y, _at_once(land))
    ways: dict[str, Callable[[], Any] | None] = dict.fromkeys(held)
    if (linear := held.pop("curvlinops")) is not None:
        from scipy.sparse.linalg import eigsh

        ways["curvlinops"] = lambda: eigsh(linear.to_scipy(), 1, which="LA", tol=1e-3, return_eigenvectors=False)[0]
    if (operator := held["hessian-eigenthings"]) is not None:
        from hessian_eigenthings import lanczos

        ways["hessian-eigenthings"] = lambda: (
            lanczos(operator, k=1, max_iter=20, tol=1e-3, which="LA", seed=0).eigenvalues
        )
    if held["PyHessian"] is not None:
        ways["PyHessian"] = lambda: _anew(land, theta).eigenvalues(maxIter=100, tol=1e-3)[0][0]
    return ways


def _largest(name: str, land: ee.Network, theta: Tensor, small: bool) -> Row:
    part = land if name == "MLP" else land.subset(torch.arange(min(32, len(land.x))))
    ours = lambda: curvature.extreme_eigenvalues(part, theta, generator=seeded()).largest  # noqa: E731
    return measure(f"largest eigenvalue, {name}", ours, largest_ways(part, theta), small=small, note=LARGEST)


EXACT = (
    "Peers have only probes: as many as in the row above, with their error. A CNN needs a backward pass for each "
    "class, whose weight gradients add up over positions, so more than two products are expected there."
)
LARGEST = (
    "Ours finds both ends of the spectrum to one part in a thousand, by Lanczos steps. hessian-eigenthings takes 20 "
    "steps, and curvlinops' eigsh as many as it needs; PyHessian stops its power method when two steps agree to one "
    "part in a thousand."
)
COMPILED = "JAX's code is compiled for this shape alone; the row says how many seconds that takes."

"""What others take: plain loops, vmap, JAX and the libraries for Hessians, each where it is installed.

``pip install "entropic-edu[bench]"`` has them all. Each computes what our stage computes, in the way that its own
documentation shows; the tests hold their numbers against ours.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import entropic_edu as ee


def there(name: str) -> bool:
    """Say whether a library is installed."""
    return importlib.util.find_spec(name) is not None


def plain_loop(models: list[nn.Module], x: Tensor, y: Tensor, own: bool = False) -> list[nn.Module]:
    """Leave the gradients in the modules, where an optimizer wants them; ``own``: a batch for each, (P, B, ...)."""
    for number, model in enumerate(models):
        model.zero_grad(set_to_none=True)
        F.cross_entropy(model(x[number] if own else x), y[number] if own else y).backward()
    return models


def vmap_of_grad(
    model: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor, own: bool = False
) -> dict[str, Tensor]:
    """Return the gradients by parameter name, (P, ...)."""

    def loss(one: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, one, (x,)), y)

    return torch.vmap(torch.func.grad(loss), (0, 0, 0) if own else (0, None, None))(weights, x, y)


def descent(models: list[nn.Module], x: Tensor, y: Tensor, batches: Iterator[Tensor], **settings: float) -> None:
    """Take a step of SGD with every module on its own batch, for each of the ``batches`` of numbers (P, B)."""
    optimizers = [torch.optim.SGD(model.parameters(), **settings) for model in models]
    for index in batches:
        plain_loop(models, x[index], y[index], own=True)
        for optimizer in optimizers:
            optimizer.step()


def vmap_descent(
    land: ee.Network, theta: Tensor, batches: Iterator[Tensor], lr: float, momentum: float, weight_decay: float
) -> None:
    """Do the same for all networks side by side, by vmap and one optimizer on the stacked parameters."""
    weights = {name: w.clone().requires_grad_() for name, w in land.unflatten(theta).items()}
    optimizer = torch.optim.SGD(weights.values(), lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
    for index in batches:
        for name, gradient in vmap_of_grad(land.model, weights, land.x[index], land.y[index], own=True).items():
            weights[name].grad = gradient
        optimizer.step()


class Jax:
    """A chain of torch's layers written in JAX, compiled for one thread; None in its place where there is no JAX."""

    def __init__(self, land: ee.Network) -> None:
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        import jax

        self.jax, self.layers, self.land = jax, list(land.model.named_children()), land
        grad = jax.grad(self.loss)
        self.shared = jax.jit(jax.vmap(grad, (0, None, None)))
        self.own = jax.jit(jax.vmap(grad))
        self.each = jax.jit(lambda w, x, y: jax.lax.map(lambda one: grad(one, x, y), w))  # one network after the other
        self.product = jax.jit(lambda w, v, x, y: jax.jvp(lambda w: grad(w, x, y), (w,), (v,))[1])
        self.products = jax.jit(jax.vmap(self.product, (None, 0, None, None)))
        self.walk = jax.jit(self._walk)

    def array(self, tensor: Tensor) -> Any:
        """Return inputs with their channels last, as XLA likes them on a CPU; or targets."""
        array = self.jax.numpy.asarray(tensor.detach().numpy())
        return self.jax.numpy.moveaxis(array, -3, -1) if tensor.ndim > 3 else array

    def weights(self, theta: Tensor) -> dict[str, Any]:
        """Return parameters by name, as torch shapes them."""
        return {name: self.jax.numpy.asarray(w.numpy()) for name, w in self.land.unflatten(theta).items()}

    def ready(self, call: Callable[..., Any], *args: Any) -> Callable[[], dict[str, np.ndarray[Any, Any]]]:
        """Return a call that ends when the result is there."""
        return lambda: {name: np.asarray(g) for name, g in self.jax.block_until_ready(call(*args)).items()}

    def forward(self, w: dict[str, Any], x: Any) -> Any:
        jnp, lax = self.jax.numpy, self.jax.lax
        for name, layer in self.layers:
            match layer:
                case nn.Linear():
                    x = x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
                case nn.Conv2d():
                    pad = [(int(p), int(p)) for p in layer.padding]
                    kernel = jnp.transpose(w[f"{name}.weight"], (2, 3, 1, 0))
                    x = lax.conv_general_dilated(x, kernel, (1, 1), pad, dimension_numbers=("NHWC", "HWIO", "NHWC"))
                    x = x + w[f"{name}.bias"]
                case nn.ReLU():
                    x = self.jax.nn.relu(x)
                case nn.MaxPool2d():
                    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
                case nn.Flatten():
                    x = jnp.transpose(x, (0, 3, 1, 2)).reshape(len(x), -1)
        return x

    def loss(self, w: dict[str, Any], x: Any, y: Any) -> Any:
        logs = self.jax.nn.log_softmax(self.forward(w, x))
        return -self.jax.numpy.take_along_axis(logs, y[:, None], 1).mean()

    def _walk(self, w: Any, x: Any, y: Any, index: Any, lr: float, momentum: float, weight_decay: float) -> Any:
        grad, tree = self.jax.vmap(self.jax.grad(self.loss)), self.jax.tree.map

        def step(state: Any, i: Any) -> Any:
            w, v = state
            v = tree(lambda v, g, w: momentum * v + g + weight_decay * w, v, grad(w, x[i], y[i]), w)
            return (tree(lambda w, v: w - lr * v, w, v), v), None

        return self.jax.lax.scan(step, (w, tree(self.jax.numpy.zeros_like, w)), index)[0][0]


def jax_of(land: ee.Network) -> Jax | None:
    """Return the landscape's network in JAX, or None."""
    return Jax(land) if there("jax") else None


def hessians(model: nn.Module, x: Tensor, y: Tensor, rows: int) -> dict[str, Any]:
    """Return the Hessian of the loss as each library holds it, or None, in parts of so many rows where it can."""
    criterion, parts = nn.CrossEntropyLoss(), list(zip(x.split(rows), y.split(rows), strict=True))
    held: dict[str, Any] = dict.fromkeys(("curvlinops", "hessian-eigenthings", "PyHessian"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.script in a dependency of curvlinops; backward with create_graph
        if there("curvlinops"):
            from curvlinops import HessianLinearOperator

            weights = list(model.parameters())
            held["curvlinops"] = HessianLinearOperator(model, criterion, weights, parts, check_deterministic=False)
        if there("hessian_eigenthings"):
            from hessian_eigenthings import HessianOperator, supervised_loss

            held["hessian-eigenthings"] = HessianOperator(model, parts, supervised_loss(criterion))
        if there("pyhessian"):
            from pyhessian import hessian

            held["PyHessian"] = hessian(copy.deepcopy(model), criterion, data=(x, y), cuda=False)
    return held

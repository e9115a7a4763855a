"""Laws of per-sample backward passes: a layer's squares, what is held at once, and what has no rule for samples."""

import itertools

import pytest
import torch
from test_per_sample_models import Cube
from torch import nn

from entropic_edu.networks import layers
from entropic_edu.networks.layers import ModuleAt, layer_squares, pull_back
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import gauss_newton_trace, gradient_covariance

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # two float64 routes to one number
SIZES = list(itertools.product((1, 2), (1, 2, 3), (1, 3), (1, 2), (1, 3)))  # samples, positions, in, out, vectors


def normal(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def by_autograd(module, a, delta, scale):
    """Return Σ_k |s∘g_k|² of each sample's own gradient g_k, one at a time."""
    squares = torch.zeros(len(a), dtype=torch.float64)
    for of_vector, n in itertools.product(delta, range(len(a))):
        z = module(a[n : n + 1])
        slopes = torch.autograd.grad(z, list(module.parameters()), of_vector[n : n + 1])
        for (name, _), slope in zip(module.named_parameters(), slopes, strict=True):
            squares[n] += (slope * (1 if scale is None else scale[name])).square().sum()
    return squares


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["rows", "sequences", "pictures"])
def test_the_squares_of_a_layer_are_those_of_its_gradients_at_any_size(kind, bias, scaled, generator):
    for samples, places, inputs, outputs, vectors in SIZES:
        if kind == "pictures":
            module, shape = nn.Conv2d(inputs, outputs, (1, 2), bias=bias), (samples, inputs, 1, places + 1)
        else:
            module, shape = nn.Linear(inputs, outputs, bias=bias), (samples, places, inputs)
            shape = (samples, inputs) if kind == "rows" else shape
        module, a = module.double(), normal(generator, *shape)
        delta = normal(generator, vectors, *module(a).shape)
        scale = {n: normal(generator, *p.shape) for n, p in module.named_parameters()} if scaled else None
        expected = by_autograd(module, a, delta, scale)
        for name, prefix in (("", ""), ("inner.layer", "inner.layer.")):
            weights = None if scale is None else {f"{prefix}{n}": s.square() for n, s in scale.items()}
            torch.testing.assert_close(layer_squares(name, module, a, delta, weights), expected, **EXACT)


class Counted(nn.Module):
    """A linear layer, a bare parameter and a linear layer, that note how many samples they were given."""

    def __init__(self):
        super().__init__()
        self.first, self.last, self.gain = nn.Linear(5, 4), nn.Linear(4, 3), nn.Parameter(torch.ones(4))
        self.calls = []

    def forward(self, x):
        self.calls.append(len(x))
        return self.last(self.gain * torch.relu(self.first(x)))


def network(generator, model, samples=9, inputs=(5,), dtype=torch.float64, **settings):
    x = normal(generator, samples, *inputs).to(dtype)
    return Network(model.to(dtype), x, torch.arange(samples) % 3, strategy="loop", **settings)


@pytest.mark.parametrize(("held", "most"), [(2**22, 9), (20 * 4 * 3, 3), (20 * 4 * 4 - 1, 3), (1, 1)])
def test_however_few_numbers_may_be_held_at_once_the_squares_are_the_same(held, most, generator, monkeypatch):
    land = network(generator, Counted())
    theta = land.initial(generator) + 0.2 * normal(generator, land.dim)
    expected = gauss_newton_trace(land, theta), gauss_newton_trace(land, theta, scale=theta)
    monkeypatch.setattr(layers, "_HELD", held)
    monkeypatch.setattr(layers, "_MOST", held)
    here = ModuleAt(land.model, land.layout, theta)
    rows, sound = land.criterion.curvature_rows, land.engine.sound_layers
    for scale, wanted in zip((None, theta), expected, strict=True):
        here.model.calls.clear()
        torch.testing.assert_close(here.squares(land.x, land.y, rows, sound, scale), wanted, **EXACT)
        assert max(here.model.calls) == most
    assert not any(module._forward_hooks for module in here.model.modules())


class Doubled(torch.autograd.Function):
    """The identity, whose rule for samples side by side is wrong."""

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, slope):
        return slope

    @staticmethod
    def vmap(info, in_dims, x):
        return 2 * Doubled.apply(x), in_dims[0]


class Made(nn.Module):
    """Two linear layers with something between, and perhaps a bare parameter or a layer that is called for nothing."""

    def __init__(self, between, *, gain=False, idle=False):
        super().__init__()
        self.first, self.last, self.between = nn.Linear(5, 4), nn.Linear(4, 3), between
        self.gain = nn.Parameter(torch.ones(4)) if gain else None
        self.idle = nn.Linear(4, 2) if idle else None

    def forward(self, x):
        h = self.between(self.first(x))
        if self.idle is not None:
            self.idle(h)
        return self.last(h if self.gain is None else self.gain * h)


def norms_of_groups():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)
    )


def convolution(**settings):
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, **settings), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def same():
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding="same"), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


MODELS = {  # a model, the shape of its inputs, its layers with hooks, and what of it passes one after the other
    "plain": (lambda: Made(nn.Tanh()), (5,), {"first", "last"}, set()),
    "no rule, and layers alone": (lambda: Made(Cube.apply), (5,), {"first", "last"}, set()),
    "no rule, and a bare parameter": (lambda: Made(Cube.apply, gain=True), (5,), {"first", "last"}, {"samples"}),
    "a wrong rule": (lambda: Made(Doubled.apply, gain=True), (5,), {"first", "last"}, {"samples"}),
    "a layer called for nothing": (lambda: Made(nn.Tanh(), idle=True), (5,), {"first", "last"}, set()),
    "group norms": (norms_of_groups, (2, 6, 6), {"0", "3", "6"}, set()),
    "edges that are no zeros": (lambda: convolution(padding_mode="circular"), (2, 6, 6), {"3"}, set()),
    "groups": (lambda: convolution(groups=2), (2, 6, 6), {"3"}, set()),
    "padding in words": (same, (2, 6, 6), {"3"}, set()),
    "zeros at the edges": (convolution, (2, 6, 6), {"0", "3"}, set()),
}


@pytest.mark.parametrize("name", MODELS)
def test_hooks_and_vmap_are_taken_where_they_are_right_and_nowhere_else(name, generator):
    make, inputs, sound, loops = MODELS[name]
    land = network(generator, make(), 4, inputs)
    theta = land.initial(generator) + 0.2 * normal(generator, land.dim)
    found = gradient_covariance(land, theta)
    assert land.engine.sound_layers == sound
    assert land.engine.facts.loops == loops
    each = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda t, n=n: land.subset(torch.tensor([n])).loss(t), theta)
            for n in range(4)
        ]
    )
    torch.testing.assert_close(found.mean_square_norm, each.square().sum(1).mean(), **EXACT)
    torch.testing.assert_close(found.trace, torch.cov(each.T, correction=0).trace(), **EXACT)
    results = (found.trace, found.mean_square_norm, gauss_newton_trace(land, theta))
    assert not any(each.requires_grad for each in results)  # no graph is kept


class Tied(nn.Module):
    """A model that makes constants in single precision, with a weight that is read past its layer's call."""

    def __init__(self, tied):
        super().__init__()
        self.tied, self.first, self.last = tied, nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x @ torch.eye(5)))
        return self.last(h) + (0.3 * h.square() @ self.last.weight.T if self.tied else 0)


@pytest.mark.parametrize("tied", [False, True])
def test_in_single_precision_too_a_weight_that_is_read_past_its_call_is_found_out(tied, generator):
    land = network(generator, Tied(tied), 64, dtype=torch.float32)
    assert land.engine.sound_layers == {"first"} | (set() if tied else {"last"})


def test_a_pull_back_has_a_graph_only_where_it_is_asked_for(generator):
    leaf, rows = normal(generator, 3).requires_grad_(), torch.eye(3, dtype=torch.float64)
    for settings, graph in (({}, False), ({"twice": True}, True)):
        found = pull_back(leaf**2, [leaf], rows, **settings)[0]
        torch.testing.assert_close(found.detach(), 2 * torch.diag(leaf.detach()))
        assert found.requires_grad is graph
    assert torch.equal(pull_back(leaf.detach(), [leaf], rows)[0], torch.zeros(3, 3, dtype=torch.float64))

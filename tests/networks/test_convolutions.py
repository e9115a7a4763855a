"""Chains of convolutions without autograd: against double backward, the loop, and dense Hessians, in float64."""

import pickle

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from entropic_edu.networks import engines
from entropic_edu.networks.convolutions import ConvChain
from entropic_edu.networks.models import small_cnn
from entropic_edu.networks.network import Network
from entropic_edu.physics.curvature import (
    dense_hessian,
    extreme_eigenvalues,
    hessian_vector_product,
    hutchinson_trace,
    spectral_density,
)

ROUND_OFF = {"rtol": 1e-10, "atol": 1e-12}  # float64 sums in another order
CHAINS = {
    "as usual": lambda: [
        *(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)),
    ],
    "strides, tanh, a chain in a chain, no bias": lambda: [
        nn.Sequential(nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(0, 1), bias=False), nn.Tanh()),
        *(nn.Conv2d(3, 4, 2, bias=False), nn.Identity(), nn.Flatten(), nn.Linear(84, 4, bias=False), nn.Linear(4, 3)),
    ],
    "windows that overlap, dilation, means": lambda: [
        *(nn.Conv2d(2, 3, 2, dilation=2), nn.MaxPool2d(3, 2, 1), nn.GELU(), nn.AvgPool2d(2, 1, 1)),
        *(nn.Conv2d(3, 4, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), nn.Sigmoid()),
    ],
    "group norms": lambda: [
        *(nn.Conv2d(2, 4, 3, stride=2, bias=False), nn.GroupNorm(1, 4, 0.1, affine=False), nn.ReLU()),
        *(nn.Conv2d(4, 6, 2), nn.GroupNorm(2, 6, 0.1, affine=False), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten()),
        nn.Linear(6, 3),
    ],
    "windows that tile": lambda: [
        *(nn.Conv2d(2, 4, (3, 7), stride=(3, 7)), nn.ReLU(), nn.Conv2d(4, 3, (3, 1), stride=(3, 1), bias=False)),
        *(nn.Tanh(), nn.Flatten(), nn.Linear(3, 3)),
    ],
    "one convolution after another": lambda: [
        *(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 2, 2), nn.Conv2d(2, 2, 2), nn.GELU(), nn.Flatten(), nn.Linear(30, 3)),
    ],
    "windows that tile all but an edge": lambda: [
        *(nn.Conv2d(2, 4, 2), nn.Tanh(), nn.Conv2d(4, 3, 2, stride=2), nn.Tanh(), nn.Conv2d(3, 2, 3, stride=3)),
        *(nn.Flatten(), nn.Linear(2, 3)),
    ],
    "what is left over at the edge": lambda: [
        *(nn.Conv2d(2, 3, 1), nn.AvgPool2d((2, 3), ceil_mode=True), nn.MaxPool2d(3, ceil_mode=True), nn.Tanh()),
        *(nn.Flatten(), nn.Linear(6, 3)),
    ],
}


@pytest.fixture(params=CHAINS)
def model(request):
    return nn.Sequential(*CHAINS[request.param]()).double()


def network(model, generator, number=30, **settings):
    x = torch.randn(number, 2, 9, 7, generator=generator, dtype=torch.float64)
    return Network(model, x, torch.randint(3, (number,), generator=generator), **settings)


def starts(land, generator, number=3):
    return torch.stack([land.initial(generator) for _ in range(number)])


def double_backward(land, theta, vector):
    """Return Hv by two backward passes through the module itself."""
    criterion = nn.functional.mse_loss if land.loss_name == "mse" else nn.functional.cross_entropy
    where = theta.detach().requires_grad_()
    outputs = torch.func.functional_call(land.model, land.unflatten(where), (land.x.contiguous(),))
    loss = criterion(outputs, land.y) + 0.5 * land.weight_decay * where.square().sum()
    slope = torch.autograd.grad(loss, where, create_graph=True)[0]
    return torch.autograd.grad(slope, where, vector)[0]


# --- products with the Hessian ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_products_are_those_of_two_backward_passes(model, loss, generator):
    land = network(model, generator, loss=loss, weight_decay=0.1)
    land.samples_at_once = 13  # several parts
    theta = starts(land, generator)
    vectors = torch.randn(theta.shape, generator=generator, dtype=theta.dtype)
    one_each, shared = (hessian_vector_product(land, t, vectors) for t in (theta, theta[0]))
    for t, v, row, same in zip(theta, vectors, one_each, shared, strict=True):
        torch.testing.assert_close(row, double_backward(land, t, v), **ROUND_OFF)
        torch.testing.assert_close(same, double_backward(land, theta[0], v), **ROUND_OFF)
    bare = hessian_vector_product(land, theta[0], vectors[0], weight_decay=False)
    torch.testing.assert_close(shared[0] - bare, 0.1 * vectors[0], **ROUND_OFF)


@pytest.mark.parametrize("strategy", ["auto", "loop", "vmap"])
def test_all_strategies_have_the_same_products_of_a_landscape_in_single_precision(strategy, generator):
    x, y = torch.randn(100, 3, 32, 32, generator=generator), torch.randint(10, (100,), generator=generator)
    land = Network(small_cnn((4, 8)), x, y, strategy=strategy)
    theta = land.initial(generator)
    vector = torch.randn(theta.shape, generator=generator)
    exact = double_backward(land.to(torch.float64), theta.double(), vector.double())
    found = hessian_vector_product(land, theta, vector)
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-5 * float(exact.abs().max()))
    assert torch.equal(found, hessian_vector_product(land, theta, vector))  # the same bits again


@pytest.mark.parametrize("most", [None, 0])
def test_what_products_share_is_kept_where_it_is_little_and_the_same_where_it_is_not(
    most, model, generator, monkeypatch
):
    if most is not None:
        monkeypatch.setattr(engines, "_KEPT", most)
    made = []
    passes = ConvChain.passes
    monkeypatch.setattr(ConvChain, "passes", lambda *args: made.append(len(args[2])) or passes(*args))
    land = network(model, generator)
    land.samples_at_once = 20
    theta = land.initial(generator)
    vectors = torch.randn(3, land.dim, generator=generator, dtype=theta.dtype)
    alone = hessian_vector_product(land, theta, vectors)
    assert made == [20, 10]  # one product of several vectors shares them too
    times = land.hessian_at(theta)
    assert all(torch.equal(times(v), row) for v, row in zip(vectors, alone, strict=True))
    assert made[2:] == ([20, 10] if most is None else 3 * [20, 10])


def test_where_memory_runs_out_nothing_is_kept_and_parts_are_smaller(generator, monkeypatch):
    land = network(nn.Sequential(*CHAINS["as usual"]()).double(), generator)
    theta = land.initial(generator)
    vector = torch.randn(land.dim, generator=generator, dtype=theta.dtype)
    times = land.hessian_at(theta)
    expected, passes, made = times(vector), ConvChain.passes, []

    def tight(self, theta, x, slopes):
        made.append(len(x))
        if len(x) > 7:
            raise torch.OutOfMemoryError("out of memory")
        return passes(self, theta, x, slopes)

    monkeypatch.setattr(ConvChain, "passes", tight)
    assert torch.equal(times(vector), expected)  # kept
    assert made == []
    again = land.hessian_at(theta)
    for _ in range(2):
        torch.testing.assert_close(again(vector), expected, **ROUND_OFF)
    assert made == [30, 15, *(2 * [7, 7, 7, 7, 2])]
    torch.testing.assert_close(times(vector), expected, **ROUND_OFF)


def test_ends_density_and_trace_are_those_of_the_whole_hessian(generator):
    land = network(nn.Sequential(*CHAINS["windows that overlap, dilation, means"]()).double(), generator)
    theta = starts(land, generator, 2)
    ends = extreme_eigenvalues(land, theta, steps=land.dim, generator=generator, tolerance=1e-9)
    probes = torch.randn(2, land.dim, generator=generator, dtype=theta.dtype)
    density = spectral_density(land, theta, probes=probes, steps=8)
    units = torch.eye(land.dim, dtype=theta.dtype) * land.dim**0.5
    trace = hutchinson_trace(land, theta, probes=units)
    for p, row in enumerate(theta):
        dense = torch.stack([double_backward(land, row, v) for v in torch.eye(land.dim, dtype=theta.dtype)])
        torch.testing.assert_close(dense_hessian(land, row), dense, **ROUND_OFF)
        values = torch.linalg.eigvalsh(dense)
        torch.testing.assert_close(torch.stack([ends.smallest, ends.largest])[:, p], values[[0, -1]], rtol=1e-8, atol=0)
        torch.testing.assert_close(trace.value[p], dense.trace(), **ROUND_OFF)
        along = torch.stack([v @ dense @ v / v.square().sum() for v in probes])  # the first moment of each probe
        torch.testing.assert_close((density.weights * density.nodes)[p].sum(-1), along, **ROUND_OFF)
    alone = extreme_eigenvalues(land, theta[0], steps=land.dim, generator=torch.Generator().manual_seed(1))
    many = extreme_eigenvalues(land, theta, steps=land.dim, generator=torch.Generator().manual_seed(1))
    assert torch.equal(alone.largest, many.largest[0])


def test_a_chain_that_was_pickled_has_the_same_bits(model, generator):
    land = network(model, generator)
    theta = starts(land, generator)
    again = pickle.loads(pickle.dumps(land))
    assert torch.equal(again.hessian_vector_product(theta, theta), land.hessian_vector_product(theta, theta))
    assert torch.equal(again.gradient(theta), land.gradient(theta))


def test_a_theta_that_has_diverged_is_named(model, generator):
    land = network(model, generator)
    theta = land.initial(generator).fill_(torch.nan)
    with pytest.raises(ValueError, match="not finite here"):
        hessian_vector_product(land, theta, torch.ones_like(theta))
    with pytest.raises(ValueError, match="not finite here"):
        extreme_eigenvalues(land, theta, generator=generator)


# --- many networks as groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_groups_have_the_losses_and_gradients_of_the_loop(model, loss, own, generator):
    auto, loop = (network(model, torch.Generator().manual_seed(2), loss=loss, strategy=way) for way in ("auto", "loop"))
    for number in (2, 3, 5):
        theta = starts(auto, generator, number)
        batch = auto.draw(8, generator, number if own else None)
        found = auto.engine.loss_and_gradient(theta, batch)
        torch.testing.assert_close(found, loop.engine.loss_and_gradient(theta, batch), **ROUND_OFF)
        torch.testing.assert_close(auto.gradient_on(theta, batch), found[1], rtol=0, atol=0)  # the same bits again
        if own:
            for row, x, y, gradient in zip(theta, batch.x, batch.y, found[1], strict=True):
                module = auto.module(row)
                criterion = nn.functional.mse_loss if loss == "mse" else nn.functional.cross_entropy
                plain = torch.autograd.grad(criterion(module(x), y), list(module.parameters()))
                torch.testing.assert_close(gradient, torch.cat([p.flatten() for p in plain]), **ROUND_OFF)
    assert set(auto.engine.choice.made.values()) == {"groups"}
    assert not loop.engine.choice.made


# --- what is no such chain ----------------------------------------------------------------------------------------


class Doubled(nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


def hooked():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(105, 3))
    model[1].register_forward_hook(lambda module, args, out: 2 * out)
    return model


def twice():
    one = nn.Conv2d(2, 2, 3, padding=1)
    return nn.Sequential(one, nn.Tanh(), one, nn.Flatten(), nn.Linear(126, 3))


def tied():
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1), nn.Flatten(), nn.Linear(126, 3))
    model[1].weight = model[0].weight
    return model


def frozen():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(105, 3))
    model[0].requires_grad_(False)
    return model


OTHERS = {
    "a subclass": lambda: nn.Sequential(Doubled(2, 3, 3), nn.Flatten(), nn.Linear(105, 3)),
    "a hook": hooked,
    "a layer used twice": twice,
    "a weight used twice": tied,
    "a frozen layer": frozen,
    "groups": lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Flatten(), nn.Linear(140, 3)),
    "edges that are no zeros": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(189, 3)
    ),
    "padding in words": lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding="same"), nn.Flatten(), nn.Linear(189, 3)),
    "a norm": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.GroupNorm(1, 3), nn.Flatten(), nn.Linear(105, 3)),
    "another form of GELU": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.GELU("tanh"), nn.Flatten(), nn.Linear(105, 3)),
    "an activation before all weights": lambda: nn.Sequential(
        nn.Tanh(), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(105, 3)
    ),
    "a linear layer on pixels": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.Linear(5, 2), nn.Flatten(), nn.Linear(42, 3)
    ),
    "one convolution and nothing else": lambda: nn.Conv2d(2, 3, (9, 7)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_such_chain_goes_the_way_of_any_module(name, generator):
    torch.manual_seed(0)
    model = OTHERS[name]().double()
    assert ConvChain.of(model) is None
    if name == "one convolution and nothing else":  # outputs (N, 3, 1, 1) have no loss written out
        return
    land = network(model, generator, strategy="loop")
    theta = starts(land, generator, 2)
    vectors = torch.randn(theta.shape, generator=generator, dtype=theta.dtype)
    for t, v, row in zip(theta, vectors, hessian_vector_product(land, theta, vectors), strict=True):
        torch.testing.assert_close(row, double_backward(land, t, v), **ROUND_OFF)


def test_a_loss_that_is_not_written_out_goes_the_way_of_any_loss(generator):
    model = nn.Sequential(*CHAINS["as usual"]()).double()
    named, given = (network(model, torch.Generator().manual_seed(1), loss=loss) for loss in ("mse", squares))
    theta = named.initial(generator)
    vector = torch.randn(named.dim, generator=generator, dtype=theta.dtype)
    found = hessian_vector_product(given, theta, vector)
    torch.testing.assert_close(found, hessian_vector_product(named, theta, vector), **ROUND_OFF)


def squares(outputs, targets):
    """Mean squared error against one-hot rows."""
    return (outputs - nn.functional.one_hot(targets, 3)).square().mean()


class Layouts(TorchDispatchMode):
    """Notes of each convolution whether its outputs lie channels last."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function is torch.ops.aten.convolution.default:
            self.found.append(out.is_contiguous(memory_format=torch.channels_last))
        return out


@pytest.mark.parametrize(
    ("number", "own", "convolved"), [(1, False, 2), (2, False, 1), (3, False, 1), (2, True, 0), (3, True, 0)]
)
def test_windows_that_tile_are_matrix_products_where_each_of_many_networks_has_its_own(
    number, own, convolved, generator
):
    model = nn.Sequential(*CHAINS["windows that tile"]()).double()
    land = network(model, generator, strategy="groups")
    chain, theta, batch = ConvChain.of(model), starts(land, generator, number), land.draw(4, generator, number)
    with Layouts() as layouts:
        layouts.found = []
        chain.gradient(theta, batch.x if own else batch.x[0], lambda outputs: outputs, own)
    assert len(layouts.found) == convolved


def test_products_keep_the_delta_of_what_bends_and_of_what_has_weights_but_of_the_first_layer_none(generator):
    model = nn.Sequential(
        *(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.GroupNorm(2, 4, affine=False)),
        *(nn.ReLU(), nn.Flatten(), nn.Linear(8, 4), nn.GELU(), nn.Linear(4, 3)),
    ).double()
    land = network(model, generator)
    passes = ConvChain.of(model).passes(land.initial(generator)[None], land.x, lambda outputs: outputs)
    wanted = [False, True, False, True, True, False, False, True, True, True]
    assert [delta is not None for _, delta in passes.layers] == wanted


def test_group_norm_is_given_pictures_channels_last_on_a_cpu(generator):
    model = nn.Sequential(*CHAINS["group norms"]()).double()
    land = network(model, generator)
    x = land.x.contiguous()  # one after the other
    passes = ConvChain.of(model).passes(land.initial(generator)[None], x, lambda outputs: outputs)
    normed = [kept[0] for kept, _ in passes.layers if len(kept) == 5]
    assert [each.is_contiguous(memory_format=torch.channels_last) for each in normed] == [True, True]


def test_pictures_of_one_channel_are_computed_channels_last(generator):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 2))
    land = Network(model, torch.randn(5, 1, 8, 8, generator=generator), torch.arange(5) % 2, strategy="groups")
    theta = torch.stack([land.initial(generator) for _ in range(3)])
    with Layouts() as layouts:
        layouts.found = []
        land.gradient_on(theta, None)
    assert layouts.found[-2:] == [True, True]  # after looks at the model itself

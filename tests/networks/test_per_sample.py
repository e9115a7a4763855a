"""The oracles are dense float64 Hessians, stacked per-sample gradients, closed forms, and curvlinops."""

import itertools
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from entropic_edu.networks.engine import precision
from entropic_edu.networks.layers import ModuleAt
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import (
    GradientCovariance,
    exact_trace,
    gauss_newton_trace,
    gradient_covariance,
    is_piecewise_linear,
    no_second_derivative,
)
from entropic_edu.physics.landscape import Landscape

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # two float64 routes to one number


def mlp(activation=nn.ReLU):
    return nn.Sequential(nn.Linear(5, 6), activation(), nn.Linear(6, 4, bias=False), activation(), nn.Linear(4, 3))


def cnn(activation=lambda: nn.ReLU(inplace=True)):
    first = [nn.Conv2d(2, 3, 3, padding=1), activation(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(3, 4, 3, stride=2, bias=False), activation(), nn.Flatten(), nn.Linear(4, 3))


class Shared(nn.Module):
    """One linear layer used twice, another whose weight is read past its call, and a bare parameter."""

    def __init__(self):
        super().__init__()
        self.first, self.twice, self.tied = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.gain = nn.Parameter(torch.ones(4))

    def reset_parameters(self):
        nn.init.normal_(self.gain)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        h = torch.tanh(self.twice(torch.tanh(self.twice(h)))) * self.gain
        return self.tied(h) + h.square() @ self.tied.weight.T


def network(generator, model=None, *, samples=9, inputs=(5,), **options):
    x = torch.randn(samples, *inputs, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (samples,), generator=generator)
    return Network((model or mlp()).double(), x, y, **options)


def start(land, generator):
    """A point with every parameter away from 0 (biases included), so that no term drops out of a sum."""
    noise = torch.randn(land.dim, generator=generator, dtype=torch.float64)
    return land.initial(generator) + 0.2 * noise


def hessian_diagonal(land, theta):
    return torch.autograd.functional.hessian(land.loss, theta).diagonal()


def stacked_gradients(land, theta, x=None, y=None):
    x, y = (land.x if x is None else x), (land.y if y is None else y)
    return torch.stack(
        [
            torch.func.grad(lambda t, i=i: land.criterion.mean(land.outputs(t, x[i : i + 1]), y[i : i + 1]))(theta)
            for i in range(len(x))
        ]
    )


NETWORKS = {
    "stack": {},
    "loop": {"strategy": "loop"},
    "cnn": {"model": cnn, "inputs": (2, 8, 8)},
}


def make(kind, generator, activation=None, **options):
    chosen = dict(NETWORKS[kind])
    build = chosen.pop("model", mlp)
    return network(generator, build(activation) if activation else build(), **chosen, **options)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_exact_trace_is_that_of_the_dense_hessian_of_a_relu_network(generator, kind, loss):
    land = make(kind, generator, loss=loss)
    theta = start(land, generator)
    diagonal = hessian_diagonal(land, theta)
    torch.testing.assert_close(exact_trace(land, theta), diagonal.sum(), **EXACT)
    torch.testing.assert_close(exact_trace(land, theta, scale=theta), (diagonal * theta**2).sum(), **EXACT)


@pytest.mark.parametrize("kind", NETWORKS)
def test_exact_trace_takes_soft_targets_and_callable_losses(generator, kind):
    soft = torch.rand(9, 3, generator=generator, dtype=torch.float64)  # rows need not sum to 1
    land = make(kind, generator)
    theta = start(land, generator)

    def smoothed(z, y):
        return F.cross_entropy(z, y, label_smoothing=0.1)

    for other in (Network(land.model, land.x, soft), Network(land.model, land.x, land.y, loss=smoothed)):
        torch.testing.assert_close(exact_trace(other, theta), hessian_diagonal(other, theta).sum(), **EXACT)


def test_many_samples_come_in_chunks_and_the_trace_is_their_mean(generator):
    land = network(generator, nn.Sequential(nn.Linear(5, 256), nn.ReLU(), nn.Linear(256, 3)), samples=500)
    theta = start(land, generator)  # 171 samples at once for one row: three chunks
    parts = [Network(land.model, x, y) for x, y in zip(land.x.split(250), land.y.split(250), strict=True)]
    mean = sum(exact_trace(part, theta) for part in parts) / 2
    torch.testing.assert_close(exact_trace(land, theta), mean, **EXACT)


def test_a_saturated_network_keeps_its_relative_precision_in_float32(generator):
    # At p = (1 - ε, ε, 0) diag(p) - ppᵀ is about ε; a difference of terms of order 1 would lose it.
    land = network(generator, nn.Sequential(nn.Linear(5, 3)))
    theta = torch.zeros(land.dim, dtype=torch.float64)
    theta[-3:] = torch.tensor([16.0, 0.0, 0.0])
    found = exact_trace(land.to(torch.float32), theta.float()).double()
    torch.testing.assert_close(found, exact_trace(land, theta), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_rescaling_relu_layers_moves_the_trace_but_not_the_adaptive_trace(generator, kind):
    land = make(kind, generator)
    theta = start(land, generator)
    names = land.unflatten(theta)
    first, second = ("0", "3") if kind == "cnn" else ("0", "2")
    factors = {f"{first}.weight": 10.0, f"{first}.bias": 10.0, f"{second}.weight": 0.1}
    rescaled = torch.cat([(part * factors.get(name, 1.0)).flatten() for name, part in names.items()])
    torch.testing.assert_close(land.loss(rescaled), land.loss(theta))
    assert exact_trace(land, rescaled) > 2 * exact_trace(land, theta)
    before, after = exact_trace(land, theta, scale=theta), exact_trace(land, rescaled, scale=rescaled)
    torch.testing.assert_close(after, before, **EXACT)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_gauss_newton_trace_agrees_with_curvlinops_on_tanh_networks(generator, kind, loss):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # curvlinops, and jvp itself, call torch.jit.script
        import curvlinops

        land = make(kind, generator, nn.Tanh, loss=loss)
        theta = start(land, generator)
        model = land.module(theta)
        criterion = nn.CrossEntropyLoss() if loss == "cross_entropy" else nn.MSELoss()
        operator = curvlinops.GGNLinearOperator(model, criterion, list(model.parameters()), [(land.x, land.y)])
        dense = operator @ torch.eye(land.dim, dtype=torch.float64)
    torch.testing.assert_close(gauss_newton_trace(land, theta), dense.trace(), **EXACT)
    expected = (dense.diagonal() * theta**2).sum()
    torch.testing.assert_close(gauss_newton_trace(land, theta, scale=theta), expected, **EXACT)


def dense_gauss_newton(land, theta):
    """Jᵀ H_out J for cross-entropy, from dense Jacobians."""
    jacobian = torch.func.jacrev(lambda t: land.outputs(t, land.x))(theta)  # (n, C, D)
    p = land.outputs(theta, land.x).softmax(-1)
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return torch.einsum("ncd,nce,nef->df", jacobian, curvature, jacobian) / len(land.x)


@pytest.mark.parametrize(
    ("model", "inputs", "sound"),
    [
        (Shared(), (5,), {"first"}),
        (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)),
         (2, 8, 8), {"4"}),
        (nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(20, 3)), (5, 2), {"0", "3"}),
    ],
    ids=["shared weights", "group norm", "linear layer on a sequence"],
)  # fmt: skip
def test_parameters_beyond_plain_layers_go_the_general_way(generator, model, inputs, sound):
    land = network(generator, model, inputs=inputs, strategy="loop")
    theta = start(land, generator)
    dense = dense_gauss_newton(land, theta)
    assert land.engine.sound_layers == sound
    torch.testing.assert_close(gauss_newton_trace(land, theta), dense.trace(), **EXACT)
    expected = (dense.diagonal() * theta**2).sum()
    torch.testing.assert_close(gauss_newton_trace(land, theta, scale=theta), expected, **EXACT)


def test_layers_add_up_in_the_order_of_the_model_so_that_every_process_finds_the_same_bits(generator):
    land = Network(cnn().float(), torch.randn(9, 2, 8, 8, generator=generator), torch.arange(9) % 3)
    theta = start(land, generator).float()
    here, rows = ModuleAt(land.model, land.layout, theta), land.criterion.curvature_rows
    orders = itertools.permutations(["0", "3", "6"])  # a set's own order changes with the seed of Python's hashes
    values = {float(here.squares(land.x, land.y, rows, layers=order)) for order in orders}
    assert values == {float(exact_trace(land, theta))}


def test_frozen_parameters_are_no_part_of_the_trace(generator):
    model = cnn()
    model[0].weight.requires_grad_(False)
    model[6].bias.requires_grad_(False)
    land = network(generator, model, inputs=(2, 8, 8))
    theta = start(land, generator)
    assert land.engine.sound_layers == {"0", "3", "6"}
    torch.testing.assert_close(exact_trace(land, theta), hessian_diagonal(land, theta).sum(), **EXACT)


@pytest.mark.parametrize("kind", NETWORKS)
def test_many_parameter_vectors_give_what_each_gives_alone(generator, kind):
    land = make(kind, generator, weight_decay=0.1)
    thetas = torch.stack([start(land, generator) for _ in range(3)])
    for scale in (None, thetas, thetas[0]):
        alone = [scale[p] if scale is not None and scale.ndim == 2 else scale for p in range(3)]
        loop = torch.stack([exact_trace(land, t, scale=s) for t, s in zip(thetas, alone, strict=True)])
        torch.testing.assert_close(exact_trace(land, thetas, scale=scale), loop, **EXACT)
    together = gradient_covariance(land, thetas)
    each = [gradient_covariance(land, t) for t in thetas]
    torch.testing.assert_close(together.trace, torch.stack([c.trace for c in each]), **EXACT)


def test_weight_decay_adds_its_coefficient_for_each_parameter(generator):
    land = network(generator, weight_decay=0.3)
    theta = start(land, generator)
    torch.testing.assert_close(exact_trace(land, theta), hessian_diagonal(land, theta).sum(), **EXACT)
    added = exact_trace(land, theta) - exact_trace(land, theta, weight_decay=False)
    torch.testing.assert_close(added, torch.tensor(0.3 * land.dim, dtype=torch.float64), **EXACT)
    added = exact_trace(land, theta, scale=theta) - exact_trace(land, theta, weight_decay=False, scale=theta)
    torch.testing.assert_close(added, 0.3 * theta.square().sum(), **EXACT)


@pytest.mark.parametrize("trace", [exact_trace, gauss_newton_trace])
def test_a_trace_has_weight_decay_unless_told_otherwise_and_settings_are_given_by_name(trace, generator):
    land = network(generator, weight_decay=0.3)
    theta = start(land, generator)
    assert torch.equal(trace(land=land, theta=theta), trace(land, theta, weight_decay=True))
    torch.testing.assert_close(trace(land, theta) - trace(land, theta, weight_decay=False), _number(0.3 * 75), **EXACT)
    for scale in (theta, theta.expand(2, -1)):
        bare, with_decay = (trace(land, scale, scale=scale, weight_decay=decay) for decay in (False, True))
        torch.testing.assert_close(with_decay - bare, 0.3 * scale.square().sum(-1), **EXACT)
    with pytest.raises(TypeError, match="positional"):
        trace(land, theta, False)
    with pytest.raises(TypeError, match="positional"):
        is_piecewise_linear(land, generator)


def _number(value):
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [(nn.ReLU, True), (nn.LeakyReLU, True), (nn.GELU, False), (nn.Tanh, False), (nn.Softplus, False)],
)
@pytest.mark.parametrize("kind", NETWORKS)
def test_piecewise_linear_networks_are_told_from_smooth_ones(generator, kind, activation, expected):
    assert is_piecewise_linear(make(kind, generator, activation), generator=generator) is expected


def test_plain_layers_take_the_short_way_even_before_an_activation_in_place(generator):
    assert make("cnn", generator).engine.sound_layers == {"0", "3", "6"}


def test_a_smooth_network_is_recognised_even_where_all_its_weights_are_zero(generator):
    model = mlp(nn.Tanh)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    assert not is_piecewise_linear(network(generator, model), generator=generator)


class Rooted(nn.Module):
    """The absolute value as the root of a square, times a factor: piecewise linear up to round-off, or smooth."""

    def __init__(self, factor, dtype, smooth=0.0):
        super().__init__()
        self.layer, self.factor, self.smooth = nn.Linear(5, 3), factor, smooth
        self.own = torch.ones(3, dtype=dtype)  # the constant that forward makes

    def forward(self, x):
        return self.factor * (self.own * (self.layer(x).square() + self.smooth).sqrt()).to(self.own.dtype)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("factor", [1.0, 1e-12, 1e12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_off_and_the_size_of_outputs_do_not_hide_what_is_piecewise_linear(dtype, factor, smooth, generator):
    x = torch.randn(9, 5, generator=generator, dtype=dtype)
    land = Network(Rooted(factor, dtype, smooth).to(dtype), x, torch.zeros(9, 3, dtype=dtype), loss="mse")
    assert precision(land.engine) == dtype
    assert is_piecewise_linear(land, generator=generator) is (smooth == 0)


def test_a_network_that_is_curved_at_one_of_few_samples_alone_is_seen_to_be(generator):
    class Bent(nn.Linear):
        def forward(self, x):
            z = super().forward(x)
            return torch.where(x[:, :1] > 0, z.tanh(), z)

    for last, straight in ((-1.0, True), (1.0, False)):
        x = torch.randn(8, 5, generator=generator, dtype=torch.float64)
        x[:, 0] = torch.tensor([*7 * [-1.0], last])
        land = Network(Bent(5, 3).double(), x, torch.arange(8) % 3)
        assert len(land.engine.few.x) == 8
        assert is_piecewise_linear(land, generator=generator) is straight


def test_a_loss_that_is_linear_in_the_parameters_has_a_second_derivative_which_is_zero(generator):
    land = network(generator, nn.Linear(5, 3), loss=_mean)
    assert no_second_derivative(land) == ""
    theta = start(land, generator)
    assert float(exact_trace(land, theta)) == float(hessian_diagonal(land, theta).sum()) == 0


def _mean(z, y):
    return z.mean()


def test_a_weight_that_multiplies_itself_is_not_piecewise_linear(generator):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = nn.Linear(5, 5), nn.Linear(5, 3)

        def forward(self, x):
            return self.outer(torch.relu(self.inner(torch.relu(self.inner(x)))))

    land = network(generator, Twice())
    assert not is_piecewise_linear(land, generator=generator)
    theta = start(land, generator)
    assert not torch.isclose(hessian_diagonal(land, theta).sum(), gauss_newton_trace(land, theta), rtol=1e-3)


def test_asking_leaves_the_landscape_and_the_global_stream_alone(generator):
    land = make("cnn", generator)
    theta, state = start(land, generator), torch.random.get_rng_state()
    before = land.flatten(land.model)
    exact_trace(land, theta)
    gradient_covariance(land, theta)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(before, land.flatten(land.model))
    assert not any(module._forward_hooks for module in land.engine.model.modules())


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", F.l1_loss])
def test_gradient_covariance_is_that_of_the_stacked_gradients(generator, kind, loss):
    if loss is F.l1_loss:
        land = make(kind, generator)
        land = Network(land.model, land.x, torch.randn(9, 3, generator=generator, dtype=torch.float64), loss=loss)
    else:
        land = make(kind, generator, loss=loss, weight_decay=0.1)
    theta = start(land, generator)
    found = gradient_covariance(land, theta)
    gradients = stacked_gradients(land, theta)
    covariance = torch.cov(gradients.T, correction=0)
    torch.testing.assert_close(found.mean_square_norm, gradients.square().sum(1).mean(), **EXACT)
    torch.testing.assert_close(found.trace, covariance.trace(), **EXACT)


@pytest.mark.parametrize("kind", NETWORKS)
def test_target_jitter_adds_its_multiple_of_the_gauss_newton_trace(generator, kind):
    quiet, noisy = (make(kind, g, loss="mse", label_noise=s) for g, s in _twins(0.0, 0.7))
    theta = start(quiet, generator)
    added = gradient_covariance(noisy, theta).trace - gradient_covariance(quiet, theta).trace
    expected = 2 * 0.7**2 / 3 * gauss_newton_trace(quiet, theta)  # (2σ²/C) tr H_GN, C = 3 outputs
    torch.testing.assert_close(added, expected, **EXACT)


def _twins(*options):
    return [(torch.Generator().manual_seed(3), option) for option in options]


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_the_batches_that_the_landscape_draws_have_this_covariance(generator, loss):
    land = network(generator, loss=loss, label_noise=0.5)
    theta = start(land, generator)
    found = gradient_covariance(land, theta)
    batch = land.draw(None, generator, rows=4000)  # 36000 noisy samples: every image equally often
    drawn = stacked_gradients_fast(land, theta, batch.x.flatten(0, 1), batch.y.flatten(0, 1))
    squares = drawn.square().sum(1)
    error = squares.std() / len(squares) ** 0.5
    assert (found.mean_square_norm - squares.mean()).abs() < 4 * error  # four standard errors
    assert (found.trace - torch.cov(drawn.T, correction=0).trace()).abs() < 4 * error


def test_a_class_that_a_subset_lacks_is_in_its_label_noise_all_the_same(generator):
    land = network(generator, samples=40, label_noise=0.5)
    some = land.subset((land.y < 2).nonzero()[:, 0])
    theta = start(land, generator)
    batch = some.draw(None, generator, rows=2000)
    squares = stacked_gradients_fast(land, theta, batch.x.flatten(0, 1), batch.y.flatten(0, 1)).square().sum(1)
    error = squares.std() / len(squares) ** 0.5
    assert (gradient_covariance(some, theta).mean_square_norm - squares.mean()).abs() < 4 * error


def stacked_gradients_fast(land, theta, x, y):
    one = torch.func.grad(lambda t, x, y: land.criterion.mean(land.outputs(t, x[None]), y[None]))
    return torch.vmap(one, in_dims=(None, 0, 0))(theta, x, y)


def test_single_precision_landscapes_give_single_precision_results(generator):
    land = make("cnn", generator).to(torch.float32)
    theta = start(land, generator).float()
    found = gradient_covariance(land, theta)
    assert {t.dtype for t in (found.trace, exact_trace(land, theta))} == {torch.float32}


def test_smooth_networks_are_sent_to_the_other_traces(generator):
    land = network(generator, mlp(nn.Tanh))
    with pytest.raises(ValueError, match="Use hutchinson_trace for tr H, or gauss_newton_trace"):
        exact_trace(land, land.initial(generator))


def test_other_mistakes_are_named(generator):
    land = network(generator)
    theta = land.initial(generator)
    with pytest.raises(ValueError, match=r"scale must have shape \(75,\) or that of theta, \(75,\), got \(74,\)"):
        exact_trace(land, theta, scale=theta[1:])
    with pytest.raises(ValueError, match="This landscape has 75 parameters"):
        gradient_covariance(land, theta[1:])
    with pytest.raises(ValueError, match="need a Network, got Bowl"):
        exact_trace(Bowl(), torch.zeros(2))
    soft = Network(land.model, land.x, torch.full((9, 3), 1 / 3, dtype=torch.float64), label_noise=0.1)
    with pytest.raises(ValueError, match="known for mse and for class labels, not for 'cross_entropy' with"):
        gradient_covariance(soft, theta)


def test_a_loss_that_is_not_convex_in_the_outputs_is_refused(generator):
    def sine(z, y):
        return z.sin().sum(-1).mean()

    land = network(generator, loss=sine)
    with pytest.raises(ValueError, match="'custom sine' is not convex in the outputs"):
        gauss_newton_trace(land, start(land, generator))


def test_outputs_that_are_not_rows_count_as_the_same_ones_flattened(generator):
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Unflatten(1, (3, 2)))
    land, flat = (network(generator, m, loss=_square) for m in (model, nn.Sequential(*model, nn.Flatten())))
    theta = start(land, generator)
    flat.x = land.x
    torch.testing.assert_close(exact_trace(land, theta), exact_trace(flat, theta), **EXACT)


def _square(z, y):
    return z.square().mean()


class Bowl(Landscape):
    dim = 2

    def loss(self, theta):
        return theta.square().sum(-1)

    def draw(self, batch_size, generator, rows=None):
        return None

    def gradient_on(self, theta, batch):
        return 2 * theta

    def initial(self, generator):
        return torch.zeros(2)


def test_one_sample_has_no_noise_and_round_off_makes_no_negative_one(generator):
    land = network(generator, samples=1, strategy="loop")
    thetas = torch.stack([start(land, generator) for _ in range(20)])
    found = gradient_covariance(land, thetas)
    assert bool((found.trace >= 0).all())
    assert bool((found.trace < 1e-12 * found.mean_square_norm).all())


def test_two_covariances_with_the_same_numbers_are_two():
    assert GradientCovariance(torch.ones(2), torch.ones(2)) != GradientCovariance(torch.ones(2), torch.ones(2))

"""Batch norm whose statistics are re-estimated at each theta: the loss is a function of theta alone."""

import copy

import pytest
import torch
import torch.nn.functional as F
from oracles import with_parameters
from torch import nn
from torch.nn.utils import parameters_to_vector
from torch.optim.swa_utils import update_bn

from entropic_edu import Network, connect, drift, exact_trace, gradient_covariance, probe, train
from entropic_edu.networks.per_sample import gauss_newton_trace, is_piecewise_linear
from entropic_edu.physics.curvature import dense_hessian, hessian_vector_product

ROUND_OFF = {"rtol": 1e-9, "atol": 1e-11}  # float64; a mean over the batch is subtracted, so a digit more than usual


def normed(eps=1e-5, activation=nn.Tanh):
    """A net with 65 parameters; its first layer has no bias, since the norm would take it away."""
    return nn.Sequential(
        nn.Linear(5, 4, bias=False), nn.BatchNorm1d(4, eps=eps), activation(),
        nn.Linear(4, 4), nn.BatchNorm1d(4, eps=eps), activation(), nn.Linear(4, 3),
    ).double()  # fmt: skip


def pictures():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)
    ).double()


def data(generator, number=30, inputs=(5,)):
    x = torch.randn(number, *inputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(3, (number,), generator=generator)


def network(generator, model=None, statistics=None, number=30, inputs=(5,), **settings):
    return Network(
        model or normed(), *data(generator, number, inputs), batch_norm="reestimate", statistics=statistics, **settings
    )


def anywhere(land, generator):
    """Parameters away from where the scales are all 1 and the shifts all 0."""
    theta = land.initial(generator)
    return theta + 0.2 * torch.randn(theta.shape, generator=generator, dtype=theta.dtype)


def as_in_training(model, theta, x, y):
    """Loss of the plain module on one batch in train mode, and its gradient."""
    model = with_parameters(model, theta).train()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize(("make", "inputs"), [(normed, (5,)), (pictures, (2, 6, 6))])
def test_with_statistics_of_all_data_the_loss_is_that_of_one_batch_of_all_data_in_train_mode(make, inputs, generator):
    model = make()
    land = network(generator, model, number=200, inputs=inputs)
    theta = torch.stack([anywhere(land, generator) for _ in range(2)])
    for row, loss, gradient in zip(theta, land.loss(theta), land.gradient(theta), strict=True):
        expected = as_in_training(model, row, land.x, land.y)
        torch.testing.assert_close((loss, gradient), expected, **ROUND_OFF)
        torch.testing.assert_close(land.gradient(row), expected[1], **ROUND_OFF)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("way", ["loop", "vmap"])
@pytest.mark.parametrize(("make", "inputs"), [(normed, (5,)), (pictures, (2, 6, 6))])
def test_on_a_drawn_batch_batch_norm_takes_the_statistics_of_the_batch(make, inputs, way, own, generator):
    model = make()
    land = network(generator, model, inputs=inputs, statistics=10, strategy=way)
    theta = torch.stack([anywhere(land, generator) for _ in range(3)])
    batch = land.draw(8, generator, 3 if own else None)
    losses, gradients = land.loss_and_gradient_on(theta, batch)
    for p, row in enumerate(theta):
        x, y = (batch.x[p], batch.y[p]) if own else (batch.x, batch.y)
        torch.testing.assert_close((losses[p], gradients[p]), as_in_training(model, row, x, y), **ROUND_OFF)


def test_a_batch_of_pictures_is_not_cut_since_its_statistics_are_those_of_all_its_samples(generator):
    model = pictures()
    land = network(generator, model, inputs=(2, 6, 6), statistics=10)
    land.samples_at_once = 4
    theta, batch = anywhere(land, generator), land.draw(9, generator)
    expected = as_in_training(model, theta, batch.x, batch.y)
    torch.testing.assert_close(land.loss_and_gradient_on(theta, batch), expected, **ROUND_OFF)


def test_evaluation_agrees_with_torchs_own_update_bn_on_the_same_inputs(generator):
    model = pictures()
    land = network(generator, model, number=40, inputs=(2, 6, 6), statistics=20, test=data(generator, 17, (2, 6, 6)))
    theta = anywhere(land, generator)
    plain = with_parameters(model, theta)
    update_bn([land.x[::2]], plain)  # every second of 40 inputs, in one batch; sets momentum to None by itself
    with torch.no_grad():
        expected = F.cross_entropy(plain.eval()(land.x), land.y)
        right = (plain(land.test[0]).argmax(1) == land.test[1]).double().mean()
    n = 20 * 16  # torch's running variance has the divisor n - 1, ours n as in training
    assert float(land.loss(theta)) == pytest.approx(float(expected), rel=2 / n)
    assert float(land.accuracy(theta, "test")) == pytest.approx(float(right), abs=1.01 / 17)
    assert torch.equal(land.accuracy(theta[None], "test")[0], land.accuracy(theta, "test"))


@pytest.mark.parametrize("statistics", [None, 10])
def test_gradient_and_curvature_are_the_derivatives_of_the_loss(statistics, generator):
    land = network(generator, statistics=statistics, weight_decay=0.01)
    theta = anywhere(land, generator)
    torch.testing.assert_close(land.gradient(theta), torch.func.grad(land.loss)(theta), **ROUND_OFF)
    hessian = torch.func.hessian(land.loss)(theta)
    torch.testing.assert_close(dense_hessian(land, theta), hessian, rtol=1e-7, atol=1e-9)
    v = torch.randn(land.dim, generator=generator, dtype=torch.float64)
    step = 1e-5 * v  # central differences err by |step|², about 1e-9
    slope = (land.gradient(theta + step) - land.gradient(theta - step)) / 2e-5
    torch.testing.assert_close(hessian_vector_product(land, theta, v), slope, rtol=1e-6, atol=1e-6)


def test_weights_before_a_batch_norm_have_no_scale(generator):
    # L(cw) = L(w) for all c, so w·∇L = 0, ∇L(cw) = ∇L(w)/c, and the derivative of the latter by c is Hw = -∇L.
    land = network(generator, normed(eps=1e-300), statistics=12)
    theta = anywhere(land, generator)
    w = torch.zeros_like(theta)
    w[:20] = theta[:20]  # the first layer's weights
    gradient = land.gradient(theta)
    torch.testing.assert_close(land.loss(theta + 2 * w), land.loss(theta), **ROUND_OFF)
    torch.testing.assert_close(land.gradient(theta + 2 * w)[:20], gradient[:20] / 3, **ROUND_OFF)
    assert abs(float(w @ gradient)) < 1e-12 * float(w.norm() * gradient.norm()) + 1e-14
    torch.testing.assert_close(hessian_vector_product(land, theta, w)[:20], -gradient[:20], rtol=1e-8, atol=1e-10)


class Activated(nn.BatchNorm1d):
    def forward(self, x):
        return F.relu(super().forward(x))


def test_a_batch_norm_that_does_more_than_torchs_own_is_refused_by_name(generator):
    model = nn.Sequential(nn.Linear(5, 4), Activated(4), nn.Linear(4, 3)).double()
    with pytest.raises(ValueError, match=r"'1' \(Activated\).* a forward pass of its own.*freeze_buffers=True"):
        network(generator, model)
    hooked = normed()
    hooked[1].register_forward_hook(lambda module, args, z: F.relu(z))
    with pytest.raises(ValueError, match=r"'1' \(BatchNorm1d\) has hooks or a forward"):
        network(generator, hooked)
    patched = normed()
    patched[1].forward = F.relu
    with pytest.raises(ValueError, match=r"'1' \(BatchNorm1d\) has hooks or a forward pass of its own"):
        network(generator, patched)
    land = Network(model, *data(generator), freeze_buffers=True)
    torch.testing.assert_close(land.outputs(land.flatten(model), land.x), model.eval()(land.x))


def test_one_value_for_each_channel_has_no_variance(generator):
    with pytest.raises(ValueError, match=r"'1' is given one value for each channel.*2 samples.*batch_size >= 2"):
        network(generator, number=1)
    land = network(generator)
    with pytest.raises(ValueError, match=r"at least 2 samples.*batch_size >= 2"):
        land.gradient(land.initial(generator), 1, generator)
    assert land.gradient(land.initial(generator), 2, generator).isfinite().all()


def test_nothing_but_theta_decides_the_loss_and_no_buffer_is_a_part_of_theta(generator):
    model = normed()
    land = network(generator, model, statistics=10)
    theta = anywhere(land, generator)
    before = land.loss(theta)
    for _ in range(3):
        land.gradient(theta, 8, generator)
    assert land.dim == sum(p.numel() for p in model.parameters())
    assert torch.equal(land.loss(theta), before)
    other = copy.deepcopy(model)
    other[1].running_mean.fill_(7.0)
    assert torch.equal(Network(other, land.x, land.y, batch_norm="reestimate", statistics=10).loss(theta), before)


def test_the_module_of_a_theta_holds_the_statistics_of_that_theta(generator):
    land = network(generator, statistics=10)
    theta = anywhere(land, generator)
    module = land.module(theta)
    assert isinstance(module[1], nn.BatchNorm1d)
    assert not module.training
    assert torch.equal(parameters_to_vector(module.parameters()).detach(), theta)
    assert torch.equal(land.flatten(module), theta)
    torch.testing.assert_close(F.cross_entropy(module(land.x), land.y).detach(), land.loss(theta), **ROUND_OFF)


def test_a_norm_that_no_input_passes_keeps_its_own_statistics(generator):
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = normed(), nn.BatchNorm1d(2).double()
            self.spare.running_mean.fill_(7.0)

        def forward(self, x):
            return self.used(x)

    land = network(generator, Spare())
    module = land.module(anywhere(land, generator))
    assert module.spare.running_mean.tolist() == [7.0, 7.0]
    assert not torch.equal(module.used[1].running_mean, torch.zeros(4, dtype=torch.float64))


def test_a_start_has_scales_of_one_and_shifts_of_zero(generator):
    parts = network(generator).unflatten(network(generator).initial(generator))
    assert parts["1.weight"].tolist() == [1.0] * 4
    assert parts["1.bias"].tolist() == [0.0] * 4


def test_norms_without_scales_and_frozen_ones_are_normed_too(generator):
    model = normed()
    model[1] = nn.BatchNorm1d(4, affine=False).double()
    model[4] = nn.BatchNorm1d(4, track_running_stats=False).double()
    model[4].weight.requires_grad_(False)
    land = network(generator, model)
    theta = anywhere(land, generator)
    assert land.dim == sum(p.numel() for p in model.parameters()) - 4
    expected = F.cross_entropy(land.module(theta)(land.x), land.y)
    torch.testing.assert_close(land.loss(theta), expected.detach(), **ROUND_OFF)


def test_statistics_are_those_of_evenly_spaced_inputs_so_that_sorted_data_give_every_class(generator):
    land = network(generator, statistics=4, number=30)
    theta = anywhere(land, generator)
    four = Network(normed(), land.x[[0, 7, 15, 22]], land.y[[0, 7, 15, 22]], batch_norm="reestimate")
    for name, value in land.module(theta).named_buffers():
        assert torch.equal(value, dict(four.module(theta).named_buffers())[name])


@pytest.mark.parametrize("statistics", [10, None])
def test_a_subset_keeps_the_statistics_of_the_whole_also_where_it_has_as_many_samples_as_give_them(
    statistics, generator
):
    land = network(generator, statistics=statistics)
    some, theta = land.subset(torch.arange(20, 30)), anywhere(land, generator)
    torch.testing.assert_close(some.gradient(theta), torch.func.grad(some.loss)(theta), **ROUND_OFF)
    loss = F.cross_entropy(land.module(theta)(some.x), some.y).detach()
    torch.testing.assert_close(some.loss_and_gradient_on(theta, None)[0], loss, **ROUND_OFF)


def test_another_dtype_keeps_statistics_and_module(generator):
    x, y = data(generator)
    single = Network(normed().float(), x, y, batch_norm="reestimate", statistics=10)
    theta, double = single.initial(generator), single.to(torch.float64)
    torch.testing.assert_close(double.loss(theta.double()).float(), single.loss(theta), rtol=1e-5, atol=0)
    assert double.module(theta.double())[1].running_mean.dtype == torch.float64


def test_per_sample_quantities_hold_the_statistics_constant(generator):
    model = pictures()
    land = network(generator, model, inputs=(2, 6, 6), statistics=10)
    theta = torch.stack([anywhere(land, generator) for _ in range(2)])
    found = gradient_covariance(land, theta)
    torch.testing.assert_close(gradient_covariance(land, theta[1]).trace, found.trace[1], **ROUND_OFF)
    for p, row in enumerate(theta):
        module = land.module(row)
        each = []
        for i in range(len(land.x)):
            module.zero_grad()
            F.cross_entropy(module(land.x[i : i + 1]), land.y[i : i + 1]).backward()
            each.append(torch.cat([q.grad.flatten() for q in module.parameters()]))
        covariance = torch.cov(torch.stack(each).T, correction=0)
        torch.testing.assert_close(found.trace[p], covariance.trace(), rtol=1e-8, atol=0)
        frozen = Network(module, land.x, land.y, freeze_buffers=True)
        for scale in (None, row):
            expected = exact_trace(frozen, row, scale=scale)
            torch.testing.assert_close(gauss_newton_trace(land, row, scale=scale), expected, rtol=1e-8, atol=0)


def test_a_batch_of_as_many_samples_as_give_statistics_has_a_loss_and_a_smaller_one_has_none(generator):
    land = network(generator, normed(), statistics=10)
    theta = anywhere(land, generator)
    for size, known in ((10, True), (9, False)):
        batch = land.draw(size, generator)
        loss, gradient = land.engine.data_loss_and_gradient(theta, batch)
        assert bool(loss.isfinite()) is known
        torch.testing.assert_close(gradient, land.engine.gradient(theta, batch))


def test_a_net_with_batch_norm_is_not_piecewise_linear_in_its_weights(generator):
    land = network(generator, normed(activation=nn.ReLU), statistics=10)
    assert not is_piecewise_linear(land, generator=generator)
    with pytest.raises(ValueError, match="Use hutchinson_trace"):
        exact_trace(land, land.initial(generator))


def test_the_four_verbs_take_a_net_with_batch_norm(generator):
    land = network(generator, number=60, statistics=20, weight_decay=0.01, test=data(generator, 10))
    ends = [
        train(land, batch_size=20, learning_rate=0.1, momentum=0.9, epochs=3, generator=generator).theta
        for _ in range(2)
    ]
    path = connect(land, *ends, method="string", pivots=5, sweeps=20, batch_size=20, generator=generator)
    profile = probe(land, path, points=3, generator=generator)
    release = drift(
        land, path, start=0.5, batch_size=20, learning_rate=0.01, walkers=2, steps=4, project_every=2,
        generator=generator,
    )  # fmt: skip
    for found in (path.pivots, profile.trace, profile.noise, release.position):
        assert found.isfinite().all()


# --- what is refused -------------------------------------------------------------------------------------------


def test_a_refusal_names_the_way_to_use_batch_norm(generator):
    words = r'batch norm in \[\'1\', \'4\'\].*pass batch_norm="reestimate".*GroupNorm, or pass freeze_buffers=True'
    with pytest.raises(ValueError, match=words):
        Network(normed(), *data(generator))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch_norm": "running"}, 'must be "refuse" or "reestimate", got \'running\''),
        ({"freeze_buffers": True}, "either stored or re-estimated: drop"),
        ({"statistics": 1}, "at least 2 inputs, got statistics=1; None takes all"),
    ],
)
def test_options_that_say_nothing_are_refused(settings, words, generator):
    with pytest.raises(ValueError, match=words):
        Network(normed(), *data(generator), **{"batch_norm": "reestimate", **settings})


def test_two_inputs_are_enough_to_have_statistics_and_512_are_taken_where_nothing_is_said(generator):
    x, y = data(generator, 600)
    lands = {
        number: Network(normed(), x, y, batch_norm="reestimate", statistics=number) for number in (2, 511, 512, 513)
    }
    theta = anywhere(lands[2], generator)
    losses = {number: land.loss(theta) for number, land in lands.items()}
    assert len({float(loss) for loss in losses.values()}) == 4
    assert torch.equal(Network(normed(), x, y, batch_norm="reestimate").loss(theta), losses[512])


def test_what_must_be_in_memory_at_once_is_a_batch_or_the_inputs_that_give_statistics_and_as_many_more(generator):
    land = network(generator, statistics=10)
    assert [land.least_samples(size) for size in (None, 1, 8)] == [20, 1, 8]


def test_a_norm_that_is_used_twice_has_no_one_mean(generator):
    norm = nn.BatchNorm1d(5)
    twice = nn.Sequential(norm, nn.Linear(5, 5), norm, nn.Linear(5, 3)).double()
    with pytest.raises(ValueError, match=r"'0' is used twice in one pass.*of its own"):
        network(generator, twice)


def test_a_model_without_batch_norm_may_ask_for_it_too(generator):
    land = network(generator, nn.Sequential(nn.Linear(5, 3)).double())
    assert land.stacks

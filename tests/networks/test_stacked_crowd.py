"""Crowds of stacked networks: the numbers of the plain way, in another order and in one piece of memory."""

import copy

import pytest
import torch
from torch import nn

import entropic_edu as ee
from entropic_edu.networks.crowd import StackCrowd
from entropic_edu.physics.crowd import Crowd

MODELS = {
    "ReLU": ee.models.mlp(5, 6, 4, 3),
    "tanh": ee.models.mlp(5, 6, 3, activation=nn.Tanh),
    "GELU": ee.models.mlp(5, 6, 4, 3, activation=nn.GELU),
    "no bias": nn.Sequential(nn.Linear(5, 7, bias=False), nn.ReLU(), nn.Linear(7, 3, bias=False)),
    "ReLU at the end": nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.ReLU()),
    "40 classes": ee.models.mlp(5, 6, 40),
    "one layer": nn.Linear(5, 3),
    "layer norm": ee.models.mlp(5, 6, 4, 3, norm="layer"),
    "layer norm, GELU": ee.models.mlp(5, 6, 4, 3, activation=nn.GELU, norm="layer"),
    "layer norm at the end": nn.Sequential(nn.Linear(5, 3), nn.LayerNorm(3, elementwise_affine=False)),
    "layer norm after two": nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3), nn.LayerNorm(3, elementwise_affine=False)),
    "tanh after two": nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3), nn.Tanh()),
}
LOSSES = {"cross_entropy": {}, "mse": {"loss": "mse"}, "flipped labels": {"label_noise": 0.3}}
LOSSES["jittered targets"] = {"loss": "mse", "label_noise": 0.3}


def landscape(model="ReLU", loss="cross_entropy", dtype=torch.float32, number=70):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(number, 5, generator=generator), torch.randint(3, (number,), generator=generator)
    y[0] = 2
    return ee.Network(copy.deepcopy(MODELS[model]).to(dtype), x, y, weight_decay=0.01, **LOSSES[loss])


def thetas(land, generator, number):
    return torch.stack([land.initial(generator) for _ in range(number)])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", MODELS)
def test_gradients_are_those_of_the_landscape(model, loss, generator):
    near = {"rtol": 1e-5, "atol": 1e-7}  # products round as their memory is aligned
    land = landscape(model, loss)
    theta = thetas(land, generator, 3)
    crowd = land.crowd(theta)
    assert isinstance(crowd, StackCrowd)
    for size in (1, 8, 64, 8):  # room is made anew
        batch = land.draw(size, generator, 3)
        torch.testing.assert_close(crowd.vectors(crowd.gradient(batch)), land.gradient_on(theta, batch), **near)
        slope, decay = crowd.slope(batch)
        assert decay == 0.01
        torch.testing.assert_close(crowd.vectors(slope + decay * crowd.numbers), land.gradient_on(theta, batch), **near)
    for batch in (None, land.draw(65, generator, 3), land.draw(8, generator)):  # all data, many, one for all
        assert torch.equal(crowd.vectors(crowd.gradient(batch)), land.gradient_on(theta, batch))
        assert crowd.slope(batch)[1] == 0  # it has it
        assert torch.equal(crowd.slope(batch)[0], crowd.gradient(batch))
    single = land.crowd(theta[0])
    batch = land.draw(8, generator)
    torch.testing.assert_close(single.vectors(single.gradient(batch)), land.gradient_on(theta[0], batch), **near)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", MODELS)
def test_losses_come_with_the_gradients_and_are_those_of_the_landscape(model, loss, generator):
    land = landscape(model, loss, torch.float64)
    theta = thetas(land, generator, 3)
    crowd = land.crowd(theta)
    several = (land.draw(8, generator, 3), land.draw(65, generator, 3))
    for batch in (*several, land.draw(8, generator), None):
        for one in (crowd, land.crowd(theta[0])):
            seen = batch.of(0) if batch in several and one.shape == theta[0].shape else batch
            losses, gradients = one.loss_and_gradient(seen)
            expected, slopes = land.data_loss_and_gradient_on(one.position, seen)
            assert losses.shape == one.shape[:-1]
            torch.testing.assert_close(losses, expected)
            torch.testing.assert_close(one.vectors(gradients), slopes)


def test_no_step_on_a_small_batch_of_ones_own_asks_for_memory(generator):
    land = landscape()
    crowd, single = land.crowd(thetas(land, generator, 3)), land.crowd(land.initial(generator))
    cases = ((crowd, 64, 3, True), (crowd, 65, 3, False), (crowd, 8, None, False), (single, 64, None, True))
    for each, size, rows, so in (*cases, (single, 65, None, False)):
        batch = land.draw(size, generator, rows)
        for step in (each.gradient, lambda b, e=each: e.loss_and_gradient(b)[1]):
            assert (step(batch) is step(batch)) is so


def test_targets_that_are_shares_of_classes_have_the_gradients_of_the_landscape(generator):
    land = landscape(loss="flipped labels", dtype=torch.float64, number=40)
    theta = thetas(land, generator, 2)
    for batch in (land.without_label_noise().draw(8, generator, 2), land.draw_labels(8, generator, 2)):
        assert batch.y.is_floating_point()
        crowd = land.crowd(theta)
        torch.testing.assert_close(crowd.vectors(crowd.gradient(batch)), land.gradient_on(theta, batch))


@pytest.mark.parametrize("classes", [2, 31, 32, 33])
def test_slopes_have_the_bits_of_the_landscape_at_any_number_of_classes(classes, generator):
    x = torch.randint(-2, 3, (70, 5), generator=generator).float()
    land = ee.Network(nn.Linear(5, classes), x, torch.arange(70) % classes)
    theta = torch.randint(-2, 3, (3, land.dim), generator=generator).float()  # sums are exact in any order
    crowd, batch = land.crowd(theta), land.draw(8, generator, 3)
    found, expected = crowd.vectors(crowd.gradient(batch)), land.gradient_on(theta, batch)
    assert torch.equal(found[:, -classes:], expected[:, -classes:])  # biases: sums of slopes


@pytest.mark.parametrize("model", ["GELU", "layer norm", "layer norm, GELU", "layer norm at the end"])
def test_gradients_in_float64_are_those_of_autograd(model, generator):
    land = landscape(model, dtype=torch.float64)
    theta, batch = thetas(land, generator, 2), land.draw(9, generator, 2)
    crowd = land.crowd(theta)
    found = crowd.vectors(crowd.gradient(batch))
    for row, x, y, slope in zip(theta, batch.x, batch.y, found, strict=True):
        model = land.module(row)
        nn.functional.cross_entropy(model(x), y).backward()
        expected = torch.cat([p.grad.flatten() for p in model.parameters()]) + 0.01 * row
        torch.testing.assert_close(slope, expected, rtol=1e-12, atol=1e-14)


def test_numbers_are_a_copy_that_keeps_its_place(generator):
    land = landscape()
    theta = thetas(land, generator, 4)
    crowd, before = land.crowd(theta), theta.clone()
    numbers = crowd.numbers
    assert torch.equal(crowd.position, theta)
    assert torch.equal(crowd.vectors(crowd.ordered(theta)), theta)
    crowd.numbers.mul_(2)
    assert torch.equal(crowd.position, 2 * theta)
    assert torch.equal(theta, before)
    crowd.place(theta.flip(0))
    assert torch.equal(crowd.position, theta.flip(0))
    assert crowd.numbers is numbers
    batch = land.draw(8, generator, 4)
    assert torch.equal(crowd.vectors(crowd.gradient(batch)), land.gradient_on(theta.flip(0), batch))


@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.9), ("sgd", 0.0), ("nesterov", 0.9), ("adam", 0.9)])
def test_a_hundred_steps_are_those_of_torchs_own_optimizer_on_modules(optimizer, momentum, generator):
    land = landscape(number=64)
    land.weight_decay = 0.0
    start = thetas(land, generator, 2)
    fast = ee.train(
        land, start=start, epochs=25, batch_size=16, learning_rate=0.05, momentum=momentum, optimizer=optimizer,
        schedule="constant", generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    models = [land.module(row) for row in start]
    parameters = [p for model in models for p in model.parameters()]
    kinds = {"adam": torch.optim.Adam(parameters, lr=0.05, betas=(momentum, 0.999))}
    by = kinds.get(optimizer) or torch.optim.SGD(
        parameters, lr=0.05, momentum=momentum, nesterov=optimizer == "nesterov"
    )
    g = torch.Generator().manual_seed(1)
    for _ in range(25):
        for batch in land.epoch(16, g, 2):
            by.zero_grad()
            for model, x, y in zip(models, batch.x, batch.y, strict=True):
                nn.functional.cross_entropy(model(x), y).backward()
            by.step()
    plain = torch.stack([torch.cat([p.detach().flatten() for p in model.parameters()]) for model in models])
    assert float((fast.theta - plain).norm() / plain.norm()) < 1e-5
    assert float((plain - start).norm() / plain.norm()) > 0.1


@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.9)])
def test_weight_decay_acts_in_training_as_in_that_of_plain_crowds(optimizer, momentum, generator, monkeypatch):
    land = landscape()

    def trained():
        settings = {"batch_size": 8, "learning_rate": 0.01, "momentum": momentum, "optimizer": optimizer}
        return ee.train(land, start=start, epochs=10, generator=torch.Generator().manual_seed(1), **settings).theta

    start = thetas(land, generator, 2)
    fast = trained()
    monkeypatch.setattr(ee.Network, "crowd", lambda land, theta: Crowd(theta, land))
    torch.testing.assert_close(fast, trained(), rtol=1e-4, atol=1e-5)


def test_a_hundred_steps_of_walkers_are_those_of_plain_crowds(generator, monkeypatch):
    land = landscape()
    road = ee.Path(thetas(land, generator, 2)).resample(9)

    def released():
        return ee.drift(
            land, road, start=(0.3, 0.7), batch_size=8, learning_rate=0.05, walkers=3, steps=100,
            record_every=ee.Records(10, theta=True), generator=torch.Generator().manual_seed(2),
        )  # fmt: skip

    fast = released()
    monkeypatch.setattr(ee.Network, "crowd", lambda land, theta: Crowd(theta, land))
    plain = released()
    assert float((fast.theta - plain.theta).abs().max()) < 1e-5
    assert float((fast.position - plain.position).abs().max()) < 1e-5
    assert float((fast.position[-1] - fast.position[0]).abs().max()) > 1e-3


def test_a_network_with_a_gradient_of_its_own_keeps_it(generator):
    class Tilted(ee.Network):
        def gradient_on(self, theta, batch):
            return super().gradient_on(theta, batch) + 1

    land = landscape()
    tilted = Tilted(MODELS["ReLU"], land.x, land.y)
    theta, batch = thetas(land, generator, 2), land.draw(8, generator, 2)
    crowd = tilted.crowd(theta)
    assert torch.equal(crowd.vectors(crowd.gradient(batch)), tilted.gradient_on(theta, batch))


def test_a_noise_that_changes_a_batchs_gradient_is_not_passed_over(generator):
    class Doubled(ee.noise.Minibatch):
        def gradient(self, land, theta, step):
            return 2 * super().gradient(land, theta, step)

    land = landscape()
    road = ee.Path(thetas(land, generator, 2)).resample(9)
    settings = {"momentum": 0.0, "walkers": 2, "steps": 1, "project_every": None}
    moved = [
        ee.drift(
            land, road, noise=noise, learning_rate=rate, record_every=ee.Records(1, theta=True),
            generator=torch.Generator().manual_seed(2), **settings,
        ).theta[-1]
        for noise, rate in ((Doubled(8), 0.01), (ee.noise.Minibatch(8), 0.02))
    ]  # fmt: skip
    torch.testing.assert_close(*moved)

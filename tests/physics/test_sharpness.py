"""Batch sharpness against dense Hessians of the batches, and what a release says of it."""

import pytest
import torch
from torch import nn

import entropic_edu as ee
from entropic_edu.physics.curvature import dense_hessian
from entropic_edu.physics.steps import batch_limit, batch_sharpness


def data(number=60):
    g = torch.Generator().manual_seed(1)
    return torch.randn(number, 5, generator=g, dtype=torch.float64), torch.randint(3, (number,), generator=g)


def net(x, y, **settings):
    return ee.Network(ee.models.mlp(5, 6, 3).double(), x, y, weight_decay=1e-2, **settings)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 5e-3)])
def test_batch_sharpness_is_that_of_the_dense_hessian_of_the_batch(dtype, tolerance, generator):
    x, y = data()
    land = net(x, y).to(dtype)
    theta = torch.stack([land.initial(generator) for _ in range(4)])
    batch = land.draw(8, generator, 4)
    found, gradients = batch_sharpness(land, theta, batch)
    for row, point in enumerate(theta.double()):
        own = net(batch.x[row].double(), batch.y[row])
        hessian, gradient = dense_hessian(own, point), own.gradient(point)
        torch.testing.assert_close(gradients[row].double(), gradient, rtol=1e-4, atol=1e-6)
        assert float(found[row]) == pytest.approx(
            float(gradient @ hessian @ gradient / gradient.square().sum()), rel=tolerance
        )


def test_on_a_valley_a_batch_pulls_across_the_floor_as_steeply_as_the_walls(generator):
    # Shaped noise kicks straight across: gᵀHg/|g|² = h. Isotropic noise shares its kick: h x²/(x² + y²) of the kick.
    at = torch.tensor([[0.0, 0.3]], dtype=torch.float64).repeat(5, 1)
    shaped = ee.valleys.Waist(noise="curvature")
    h = float(shaped.curvature_across(at[0, 1]))
    assert batch_sharpness(shaped, at, shaped.draw(4, generator, 5))[0].tolist() == pytest.approx([h] * 5)
    white = ee.valleys.Waist()
    batch = white.draw(4, generator, 5)
    share = batch[:, 0].double().square() / batch.double().square().sum(-1)
    torch.testing.assert_close(batch_sharpness(white, at, batch)[0], h * share)


def released(noise=None, batch_size=2, momentum=0.5, learning_rate=0.05, **others):
    land = ee.valleys.Waist(noise="curvature")
    settings = {
        "batch_size": batch_size,
        "momentum": momentum,
        "learning_rate": learning_rate,
        "walkers": 2,
        "steps": 15,
    }
    road = ee.Path(land.floor(9))
    return ee.drift(land, road, generator=torch.Generator().manual_seed(0), noise=noise, **settings, **others)


def test_a_release_says_once_how_sharp_its_batches_are_and_what_the_limit_is():
    release = released()
    land = ee.valleys.Waist()
    exact = land.curvature_across(torch.tensor([-1.0, 0.0, 1.0]))
    torch.testing.assert_close(release.sharpness, exact, rtol=1e-2, atol=0)  # a difference in single precision
    assert release.sharpness_limit == pytest.approx(20)  # 2 (1 - 0.5) / 0.05
    assert "below the limit 2(1-m)/η = 20" in release.summary()
    past = released(learning_rate=0.1)
    assert "and 16 ± " in past.summary()
    assert "in its middle, past the limit 2(1-m)/η = 10." in past.summary()


def test_the_limit_is_that_of_the_effective_learning_rate_and_adam_has_none():
    assert batch_limit("sgd", 0.2, 0.9) == pytest.approx(1.0)
    assert batch_limit("nesterov", 0.05, 0.0) == pytest.approx(40.0)
    assert batch_limit("adam", 0.05, 0.9) == float("inf")
    assert released(optimizer="adam").sharpness is None


@pytest.mark.parametrize("noise", ["none", ee.noise.Isotropic(0.01)])
def test_without_batches_there_is_no_batch_sharpness(noise, tmp_path):
    release = released(noise)
    assert release.sharpness is None
    assert "sharpness" not in release.summary()
    release.save(tmp_path / "kept")
    assert ee.Release.load(tmp_path / "kept").sharpness is None


def test_a_release_knows_how_far_it_is_above_the_threshold_of_its_road(generator):
    # T* = L / tr C with the covariance of all samples; fifteen batches estimate it
    x, y = data(200)
    land = ee.Network(nn.Linear(5, 3).double(), x, y)
    road = ee.Path(torch.stack([land.initial(generator), land.initial(generator)]))
    release = ee.drift(
        land, road, generator=generator, batch_size=8, learning_rate=0.05, momentum=0.5, walkers=1, steps=15
    )
    profile = ee.probe(land, road, points=3, generator=generator)
    exact = float(profile.data_loss.mean() / profile.noise.mean())
    assert float(release.threshold) == pytest.approx(exact, rel=0.4)
    assert f"at temperature 0.0125 (about {0.0125 / float(release.threshold):.2g} T*)" in release.summary()
    control = ee.drift(land, road, generator=generator, noise=ee.noise.OfTheRoad(8), walkers=1, steps=15)
    assert control.threshold is None  # noise that feeds on nothing
    assert control.sharpness is not None


def test_a_batch_is_as_sharp_wherever_a_channel_is_as_steep(generator):
    """At the origin, at a distance of 1 and far out: the step of the difference goes with 1 + ‖θ‖."""
    land = ee.valleys.Waist(g_wide=4.0, g_narrow=4.0, noise="curvature")
    theta = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1e4, 0]], dtype=torch.float64)
    assert batch_sharpness(land, theta, land.draw(4, generator, 4))[0].tolist() == pytest.approx([4.0] * 4, rel=1e-6)


def test_a_release_looks_at_both_ends_of_the_road_and_at_its_middle():
    land = ee.valleys.Waist(noise="curvature")
    road = ee.Path(land.floor(9)[:5])  # from the wide end to the narrow middle
    settings = {"batch_size": 2, "learning_rate": 0.05, "walkers": 1, "steps": 15}
    release = ee.drift(land, road, generator=torch.Generator(), **settings)
    exact = land.curvature_across(torch.tensor([-1.0, -0.5, 0.0]))
    torch.testing.assert_close(release.sharpness, exact, rtol=1e-2, atol=0)


def test_the_threshold_counts_the_noise_of_batches_alone_and_not_how_the_road_slopes(generator):
    # slopes of ±1.3 against noise of 0.01: T* = L / tr C; 24 degrees of freedom know tr C to 30 %
    land = ee.valleys.DoubleWell(barrier=1.0, noise_scale=0.01)
    road = ee.Path(land.floor(9)[1:8])
    settings = {"batch_size": 2, "learning_rate": 1e-3, "momentum": 0.0, "walkers": 1, "steps": 1}
    release = ee.drift(land, road, generator=generator, **settings)
    places = road.at(torch.tensor([0.0, 0.5, 1.0]))
    exact = land.data_loss(places).mean() / land.noise_trace(places).mean()
    assert 0.4 < float(release.threshold / exact) < 2.5

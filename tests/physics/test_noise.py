"""Noise models: what they add, what they predict, and how one adds a model of one's own."""

import math

import pytest
import torch

import entropic_edu as ee


class Uniform(ee.noise.Noise):
    """Uniform kicks of a given width in every direction."""

    name = "uniform"

    def __init__(self, width):
        self.width = width

    def gradient(self, land, theta, step):
        kick = torch.rand(theta.shape, generator=step.generator, dtype=theta.dtype) - 0.5
        return land.gradient_on(theta, None) + self.width * kick

    def covariance(self, profile, learning_rate, momentum):
        strength = torch.full_like(profile.position.double(), self.width**2 / 12)
        return ee.noise.Covariance(strength, ee.noise.white)


def waist(**settings):
    land = ee.valleys.Waist(**settings)
    return land, ee.Path(land.floor(201, dtype=torch.float64))


def test_a_model_of_ones_own_drives_walkers_and_is_predicted(generator):
    # Variance w²/12 in each direction is a heat bath of T = η w²/12 / (2(1-m)), whatever the kicks' law.
    land, road = waist()
    noise, settings = Uniform(1.5), {"learning_rate": 0.02, "momentum": 0.5, "project_every": None}
    release = ee.drift(
        land, road, noise=noise, start=0.35, walkers=20000, steps=90, record_every=30, generator=generator, **settings
    )
    profile = ee.probe(land, road, points=101, generator=generator)
    law = ee.predict(profile, batch_size=None, noise=noise, **settings)
    settled, after = (float(release.mean_position[row]) for row in (1, 3))  # the cloud has spread across by then
    moved, expected = after - settled, float(law.track(settled, torch.tensor([60]))[0]) - settled
    assert moved == pytest.approx(expected, abs=4 * float(release.position_error[-1]))
    assert expected < -8 * float(release.position_error[-1])
    heat = ee.noise.Isotropic(0.02 * 1.5**2 / 12 / (2 * 0.5))
    assert torch.allclose(ee.predict(profile, batch_size=None, noise=heat, **settings).velocity, law.velocity)
    assert release.recipe["noise"] == "uniform"


@pytest.mark.parametrize("kind", ["isotropic", "curvature"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_noise_of_a_valleys_batches_is_predicted_in_its_own_shape(kind, momentum, generator):
    # -½ Σ Var(h) dh/ds with the variance that the valley knows exactly.
    land, road = waist(noise=kind)
    profile = ee.probe(land, road, points=201, generator=generator)
    settings = {"batch_size": 4, "learning_rate": 0.02, "momentum": momentum}
    law = ee.predict(profile, project_every=None, **settings)
    y = land.coordinate(profile.position.double())
    variance = land.stationary_variance(y, 4, 0.02, momentum)
    exact = -0.5 * 0.02 / (1 - momentum) * land.curvature_across(y, 1) * variance
    inner = slice(5, -5)  # slopes at the ends are one-sided
    assert torch.allclose(law.velocity[inner], exact[inner], rtol=0.02, atol=2e-3 * float(exact.abs().max()))


def test_short_names_stand_for_models():
    assert isinstance(ee.noise.named("minibatch", 16), ee.noise.Minibatch)
    assert isinstance(ee.noise.named(None, 16), ee.noise.Minibatch)
    assert isinstance(ee.noise.named(None, None), ee.noise.Silent)
    assert isinstance(ee.noise.named("none", 16), ee.noise.Silent)
    assert isinstance(ee.noise.named("label", 16), ee.noise.Label)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ee.noise.named("bogus", 16), "noise must be .*got 'bogus'"),
        (lambda: ee.noise.named("Minibatch", 16), "noise must be .*got 'Minibatch'"),
        (lambda: ee.noise.named("isotropic", 16), r"needs a temperature; pass noise=ee\.noise\.Isotropic"),
        (lambda: ee.noise.named("label", None), "needs a batch_size, got None"),
        (lambda: ee.noise.Isotropic(-1.0), "finite and not negative, got -1.0"),
        (lambda: ee.noise.Isotropic(math.nan), "finite and not negative, got nan"),
        (lambda: ee.noise.Minibatch(2.5), "whole number of samples, at least 1; got 2.5"),
        (
            lambda: ee.noise.During(ee.noise.Minibatch(4), 5),
            r"range of step numbers, such as range\(501, 1001\), got 5",
        ),
    ],
)
def test_what_is_no_noise_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_theory_has_no_answer_for_noise_on_some_steps(generator):
    land, road = waist()
    profile = ee.probe(land, road, points=5, generator=generator)
    some = ee.noise.During(ee.noise.Minibatch(4), range(1, 5))
    with pytest.raises(ValueError, match="predicted for noise on every step"):
        ee.predict(profile, batch_size=4, learning_rate=0.1, noise=some)


def test_models_print_as_the_code_that_makes_them():
    some = ee.noise.During(ee.noise.Minibatch(16), range(501, 1001))
    assert repr(some) == "During(noise=Minibatch(batch_size=16), noisy_steps=range(501, 1001))"

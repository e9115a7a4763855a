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
        (lambda: ee.noise.Isotropic(-0.5), "finite and not negative, got -0.5"),
        (lambda: ee.noise.Isotropic(math.inf), "finite and not negative, got inf"),
        (lambda: ee.noise.Isotropic(True), "finite and not negative, got True"),
        (lambda: ee.noise.Minibatch(2.5), "batch_size must be a whole number, at least 1; got 2.5"),
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


# --- the noise of the road ------------------------------------------------------------------------------------------


def small_net():
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(60, 5, generator=g, dtype=torch.float64), torch.randint(3, (60,), generator=g)
    land = ee.Network(ee.models.mlp(5, 6, 3).double(), x, y, weight_decay=1e-2)
    return land, ee.Path(torch.stack([land.initial(g), land.initial(g)])).resample(9)


def released(land, road, noise, **others):
    settings = {"start": 0.4, "learning_rate": 0.02, "walkers": 3, "steps": 30, "project_every": 10, **others}
    keep = ee.Records(1, theta=True)
    return ee.drift(land, road, noise=noise, record_every=keep, generator=torch.Generator().manual_seed(7), **settings)


@pytest.mark.parametrize("make", [waist, small_net])
def test_the_noise_of_the_road_is_the_batch_less_all_data_at_the_last_projection(make):
    # By hand, with the draws of the step's own seed: three stretches of ten steps, momentum 0.
    land, road = make()
    release = released(land, road, ee.noise.OfTheRoad(4), momentum=0.0)
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(7)))
    theta = point = road.at(release.start)
    for step in range(1, 31):
        batch = land.draw(4, torch.Generator().manual_seed(seed + step), len(theta))
        kick = land.gradient_on(point, batch) - land.gradient_on(point, None)
        theta = theta - 0.02 * (land.gradient_on(theta, None) + kick)
        torch.testing.assert_close(theta, release.theta[step])
        if step % 10 == 0:
            theta = point = road.at(road.project(theta).position)


def test_on_the_road_it_is_the_noise_of_batches_and_stays_that_while_a_walker_strays():
    land, road = small_net()
    own, frozen = (
        released(land, road, noise, momentum=0.9) for noise in (ee.noise.Minibatch(4), ee.noise.OfTheRoad(4))
    )
    torch.testing.assert_close(own.theta[1], frozen.theta[1])  # twins, until they stray
    assert not torch.allclose(own.theta[9], frozen.theta[9])
    assert frozen.recipe["noise"] == "of the road"
    assert frozen.recipe["batch_size"] == 4
    profile = ee.probe(land, road, points=5, generator=torch.Generator())
    settings = {"learning_rate": 0.02, "momentum": 0.5, "batch_size": 4}
    laws = [ee.predict(profile, noise=noise, **settings) for noise in ("minibatch", ee.noise.OfTheRoad(4))]
    assert torch.equal(laws[0].velocity, laws[1].velocity)
    assert laws[1].threshold is None  # this noise feeds on nothing


def test_a_valley_whose_noise_is_the_same_beside_the_road_knows_no_difference():
    # isotropic noise is the same everywhere, so that the control is the walk itself
    land, road = waist()
    own, frozen = (
        released(land, road, noise, momentum=0.9) for noise in (ee.noise.Minibatch(4), ee.noise.OfTheRoad(4))
    )
    torch.testing.assert_close(own.theta, frozen.theta)
    torch.testing.assert_close(own.excess_loss, frozen.excess_loss)


def test_without_projections_there_is_no_noise_of_the_road():
    land, road = waist()
    with pytest.raises(ValueError, match="project_every=None has no projections; give it a number"):
        released(land, road, ee.noise.OfTheRoad(4), project_every=None)


# --- what a loss costs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [waist, small_net])
@pytest.mark.parametrize("noise", [ee.noise.Minibatch(4), ee.noise.Isotropic(0.1), Uniform(1.0), ee.noise.Silent()])
@pytest.mark.parametrize("during", [False, True])
def test_a_loss_that_comes_with_the_force_is_the_walkers_own_and_the_force_the_same(make, noise, during):
    land, road = make()
    model = ee.noise.During(noise, range(1, 2)) if during else noise
    crowd = land.crowd(road.at(torch.linspace(0.1, 0.9, 5, dtype=torch.float64)))
    force, decay = model.force(crowd, ee.noise.Step(1, torch.Generator().manual_seed(3), 0.1, 0.5))
    force = force + decay * crowd.numbers  # a copy: the next call may change it
    loss, again = model.loss_and_force(crowd, ee.noise.Step(1, torch.Generator().manual_seed(3), 0.1, 0.5))
    torch.testing.assert_close(again, force)
    own = land.data_loss(crowd.position)
    if isinstance(noise, ee.noise.Minibatch) and isinstance(land, ee.Network):
        batch = noise.batch(land, ee.noise.Step(1, torch.Generator().manual_seed(3), 0.1, 0.5), 5)
        own = torch.stack([
            torch.nn.functional.cross_entropy(land.outputs(theta, x), y)
            for theta, x, y in zip(crowd.position, batch.x, batch.y, strict=True)
        ])  # fmt: skip
    torch.testing.assert_close(loss, own)
    assert model.gives_loss(land) == (land.gives_loss and not isinstance(noise, Uniform))


def test_noise_of_no_temperature_is_none():
    land, road = waist()
    cold, none = (released(land, road, noise) for noise in (ee.noise.Isotropic(0), "none"))
    assert torch.equal(cold.theta, none.theta)


def test_without_momentum_a_temperature_is_the_learning_rate_over_the_batch():
    assert ee.effective_temperature(8, 0.25) == ee.effective_temperature(8, 0.25, 0.0) == 0.25 / 8


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_up_to_the_limit_of_stability_there_is_a_stationary_variance(momentum):
    limit = 2 * (1 + momentum)
    share = torch.tensor([0.5, 0.999], dtype=torch.float64)  # of the limit
    found = ee.theory.sustained_variance(share * limit / 0.1, 0.1, momentum) / 0.1**2
    torch.testing.assert_close(found, 1 / (share * (1 - momentum) * limit * 2 * (1 - share)))

"""The prediction against exact recursions, closed forms, and walkers on a real network."""

import dataclasses
import sys

import numpy as np
import pytest
import torch

import entropic_edu as ee
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.noise import curved
from entropic_edu.physics.theory import Prediction, _potential_and_cost, _traces, predict, sustained_variance


def test_the_sustained_variance_becomes_the_stationary_one():
    h = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64)
    for eta, m in ((0.1, 0.0), (0.05, 0.9)):
        long, stationary = sustained_variance(h, eta, m, steps=200_00), sustained_variance(h, eta, m)
        assert torch.allclose(long, stationary, rtol=0.02)  # the mean holds the first rise, 1/(ηh) of 20000 steps
    exact = 0.1 / (h * (2 - 0.1 * h))
    assert torch.allclose(sustained_variance(h, 0.1), exact)


def test_the_sustained_variance_of_plain_sgd_is_the_mean_of_the_closed_form():
    # Var(t) = Var∞ (1 - (1-ηh)^{2t}) at the t = 0 .. k-1 at which gradients are taken.
    h, eta, k = torch.tensor([0.5, 2.0], dtype=torch.float64), 0.2, 7
    mean = sum(sustained_variance(h, eta) * (1 - (1 - eta * h) ** (2 * t)) for t in range(k)) / k
    assert torch.allclose(sustained_variance(h, eta, steps=k), mean)


def test_the_sustained_variance_with_momentum_is_that_of_simulated_walkers(generator):
    h, eta, m, k, walkers = 1.5, 0.1, 0.8, 12, 40_000
    x = torch.zeros(walkers, dtype=torch.float64)
    v, total = torch.zeros_like(x), 0.0
    for _ in range(k):
        total += float(x.square().mean())
        v = m * v + h * x + torch.randn(walkers, generator=generator, dtype=torch.float64)
        x = x - eta * v
    exact = float(sustained_variance(torch.tensor(h, dtype=torch.float64), eta, m, steps=k))
    assert total / k == pytest.approx(exact, rel=0.03)  # χ² of 40000 walkers: 0.7 % a step, correlated


def test_no_stationary_variance_past_the_stability_limit():
    with pytest.raises(ValueError, match=r"0 < eta h < 2, got eta h from 2.5"):
        sustained_variance(torch.tensor([25.0]), 0.1)


def valley_profile(valley, generator, points=101):
    return ee.probe(valley, ee.Path(valley.floor(401, dtype=torch.float64)), generator=generator, points=points)


def test_on_a_valley_the_prediction_is_the_closed_form_force(generator):
    # Curvature-shaped noise: -h' ησ²/(2B(2-ηh)), here without projection.
    valley = ee.valleys.Waist(noise="curvature")
    profile = valley_profile(valley, generator)
    found = predict(profile, batch_size=4, learning_rate=0.01, project_every=None)
    y = valley.coordinate(profile.position.double())
    exact = 0.01 * valley.mean_force(y, 4, 0.01)
    assert float((found.velocity - exact).abs().max()) < 0.03 * float(exact.abs().max())  # 101 points on the bump
    assert float(found.energy.abs().max()) < 1e-12


def test_on_a_tilted_floor_the_slope_and_the_noise_are_told_apart(generator):
    valley = ee.valleys.Tilted(noise="isotropic")
    profile = valley_profile(valley, generator)
    temperature = 0.01
    found = predict(
        profile, batch_size=None, learning_rate=0.01, project_every=None, noise=ee.noise.Isotropic(temperature)
    )
    y = valley.coordinate(profile.position.double())
    inner = slice(3, -3)
    energy = -0.01 * valley.floor_loss(y, order=1)
    entropy = -0.01 * 0.5 * temperature * valley.curvature_across(y, order=1) / valley.curvature_across(y)
    assert torch.allclose(found.energy[inner], energy[inner], rtol=0.02, atol=1e-7)
    # finite steps push harder than the heat bath by 1/(1-ηh/2), at most 8 % here
    assert torch.allclose(found.noise[inner], entropy[inner], rtol=0.12, atol=1e-6)


def test_a_track_integrates_its_velocity(generator):
    profile = valley_profile(ee.valleys.Waist(noise="curvature"), generator)
    found = predict(profile, batch_size=1, learning_rate=0.02, project_every=None)
    track = found.track(0.4, torch.tensor([0, 10, 2000, 20000]))
    rate = float(torch.as_tensor(found.velocity)[40]) / profile.length
    assert float(track[0]) == 0.4
    assert float(track[1]) == pytest.approx(0.4 + 10 * rate, abs=1e-6)
    assert float(track[-1]) < 0.2


def test_without_noise_only_the_slope_is_predicted(generator):
    profile = valley_profile(ee.valleys.Tilted(), generator)
    found = predict(profile, batch_size=None, learning_rate=0.01)
    assert torch.equal(found.velocity, found.energy)


def test_label_noise_on_a_network_drifts_as_predicted_without_a_free_constant():
    """Squared loss, 100 digits (odd or even), tanh: at interpolation the noise of jittered labels is exactly 2σ²H/B.

    The noise part of the drift (the noise-free control taken off, on the same road from the same starts) against the
    prediction with its transient after each projection. The ratio and its standard error are printed.
    """
    digits = ee.data.digits()
    x = ((digits.x - digits.x.mean()) / digits.x.std())[:100].double()
    y = 2.0 * (digits.y[:100] % 2).double()[:, None] - 1
    model = ee.models.mlp(64, 8, 1, activation=torch.nn.Tanh).double()
    noisy = ee.Network(model, x, y, loss="mse", label_noise=0.3)
    clean = ee.Network(model, x, y, loss="mse")
    g = torch.Generator().manual_seed(0)
    run = ee.train(clean, generator=g, runs=2, batch_size=None, learning_rate=0.05, epochs=3000, schedule="constant")
    road = ee.connect(
        clean, *run.theta, generator=g, method="string", batch_size=None, pivots=48,
        sweeps=ee.Sweeps(1500, change=0),
    )  # fmt: skip
    profile = ee.probe(noisy, road, generator=g, points=25)
    assert float(profile.data_loss.max()) < 1e-3  # all of it is a floor at interpolation: the noise makes more loss
    starts, steps = [0.15, 0.2, 0.85, 0.9], 1500
    settings = {"learning_rate": 0.02, "momentum": 0.0, "project_every": 100}
    hot = ee.drift(
        noisy, road, generator=g, start=starts, batch_size=50, noise="label", walkers=24, steps=steps, **settings
    )
    still = ee.drift(clean, road, generator=g, start=starts, batch_size=None, walkers=1, steps=steps, **settings)
    until = torch.tensor([0, steps])
    measured = hot.mean_position[-1] - still.mean_position[-1]
    with_noise = predict(profile, batch_size=50, noise="label", **settings)
    without = predict(profile, batch_size=None, **settings)
    predicted = torch.stack([with_noise.track(s, until)[-1] - without.track(s, until)[-1] for s in starts])
    ratio = float((measured * predicted).sum() / predicted.square().sum())
    error = float((hot.position_error[-1] * predicted).norm() / predicted.square().sum())
    print(f"label noise on a network: measured / predicted drift = {ratio:.2f} ± {error:.2f}")
    assert bool((torch.sign(measured) == torch.sign(predicted)).all())
    assert 0.9 < ratio < 1.35  # 1.19 ± 0.05: walkers spread past where linear theory holds
    assert error < 0.1  # 24 walkers a start: the ratio means something


def constant(generator, errors=0.0):
    """A prediction whose slope and narrowing are the same all along, and a release whose walkers carry loss evenly."""
    valley = ee.valleys.Waist()
    road = ee.Path(valley.floor(9))
    release = ee.drift(valley, road, generator=generator, start=0.5, walkers=5, steps=300, record_every=50)
    each = torch.tensor([0.02, 0.05, 0.01, 0.09, 0.03], dtype=torch.float64)
    lossy = each.expand(len(release.step), 5).clone()
    lossy[0] = 7.0  # at the start: nothing has been carried yet
    release = dataclasses.replace(release, excess_loss=lossy, outside=torch.zeros(5))
    grid, ones = torch.linspace(0, 1, 5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    about = {"narrowing": Mean(0.3 * ones, errors * ones), "excess_loss": Mean(ones, ones), "flow_time": 0.05}
    slope = -2e-4 * ones
    return each, Prediction(grid, slope, 0 * slope, slope, 0 * slope, 2.0, release=release, **about)


def test_a_track_of_constant_velocities_is_a_straight_line(generator):
    each, found = constant(generator)
    steps = torch.tensor([0, 7, 50, 300])
    rate = (-2e-4 - 0.05 * 0.3 * float(each.mean())) / 2.0  # of the road in a step
    torch.testing.assert_close(found.track(0.5, steps), 0.5 + rate * steps.double())
    alone = dataclasses.replace(found, release=None, narrowing=None)
    torch.testing.assert_close(alone.track(0.5, steps), 0.5 - 1e-4 * steps.double())


@pytest.mark.parametrize("errors", [0.0, 0.1])
def test_the_error_of_a_track_is_that_of_the_walkers_mean_and_beside_it_that_of_the_probes(errors, generator):
    each, found = constant(generator, errors)
    steps = torch.tensor([0, 50, 300])
    walkers = 0.05 * 0.3 * each.std() / 5**0.5 / 2.0
    probes = 0.05 * errors * each.mean() / 2.0
    torch.testing.assert_close(found.track_error(0.5, steps), steps * torch.hypot(walkers, probes))


def test_the_error_of_a_velocity_holds_that_of_the_narrowing_and_that_of_the_excess_loss(generator, monkeypatch):
    monkeypatch.setattr(sys.modules["entropic_edu.physics.probe"], "_DENSE", 0)  # random probes
    x, y = torch.randn(40, 4, generator=generator, dtype=torch.float64), torch.arange(40) % 3
    land = ee.Network(ee.models.mlp(4, 6, 3).double(), x, y)
    road = ee.Path(torch.stack([land.initial(generator), land.initial(generator)])).resample(9)
    profile = ee.probe(land, road, generator=generator, points=5, num_probes=4, lanczos_steps=8)
    settings = {"batch_size": 8, "learning_rate": 0.02, "momentum": 0.5, "project_every": 10}
    release = ee.drift(
        land, road, generator=generator, start=[0.1, 0.4, 0.6, 0.9], walkers=3, steps=60, record_every=10, **settings
    )
    for loss in (0.5, release):
        found = ee.predict(profile, excess_loss=loss, **settings)
        narrowing, carried = found.narrowing, found.excess_loss
        parts = narrowing.error * carried.value, narrowing.value * carried.error
        seen = carried.value.isfinite()
        assert bool((parts[0][seen] != 0).all())
        torch.testing.assert_close(found.velocity_error[seen], 0.02 / 0.5 * torch.hypot(*parts)[seen])
        torch.testing.assert_close(found.noise[seen], -0.02 / 0.5 * (narrowing.value * carried.value)[seen])


def test_noise_in_proportion_to_the_curvature_does_nothing_where_a_road_bends_down(generator):
    profile = valley_profile(ee.valleys.Waist(noise="curvature"), generator)
    bent = dataclasses.replace(profile, nodes=profile.nodes - 0.3)
    assert float(bent.nodes.min()) < -0.2
    potential, cost = _potential_and_cost(bent, 0.01, 0.0, 20, curved)
    low = torch.linspace(float(bent.nodes.min()), 0.0, 7, dtype=torch.float64)
    torch.testing.assert_close(potential(low), potential(low[:1]).expand(7))
    torch.testing.assert_close(cost(low), torch.zeros(7, dtype=torch.float64))
    assert bool((potential(torch.tensor([0.5])) > potential(low[-1:])).all())


@pytest.mark.parametrize("walkers", [1, 2])
def test_one_walker_has_no_error_of_its_own_and_two_have(walkers, generator):
    _, found = constant(generator, 0.1)
    kept = found.release.excess_loss[:, :walkers]
    few = {"excess_loss": kept, "start": found.release.start[:walkers], "outside": torch.zeros(walkers)}
    release = dataclasses.replace(found.release, position=found.release.position[:, :walkers], **few)
    steps, each = torch.tensor([0, 300]), kept[-1]
    own = 0.05 * 0.3 * each.std() / 2**0.5 / 2.0 if walkers == 2 else torch.tensor(0.0)
    probes = 0.05 * 0.1 * each.mean() / 2.0
    error = dataclasses.replace(found, release=release).track_error(0.5, steps)
    torch.testing.assert_close(error, steps * torch.hypot(own.double(), probes))


@pytest.mark.parametrize(("speed", "end"), [(1e-3, 1.0), (-1e-3, 0.0)])
def test_a_track_ends_where_the_road_does(speed, end, generator):
    _, found = constant(generator)
    fast = torch.full((5,), speed, dtype=torch.float64)
    alone = dataclasses.replace(found, velocity=fast, release=None, narrowing=None)
    assert alone.track(0.5, torch.tensor([900, 5000])).tolist() == [pytest.approx(0.5 + 450 * speed), end]


def test_a_summary_says_the_slowest_and_the_fastest_speed_in_lengths_of_the_road(generator):
    _, found = constant(generator)
    speeds = torch.tensor([-4.0498e-4, 2.5e-4, float("nan"), 6.6704e-4, 0.0], dtype=torch.float64)
    words = dataclasses.replace(found, velocity=speeds, release=None, temperature=0.125).summary()
    assert words == "Drift by linear theory at temperature 0.125: -0.202 to 0.334 road lengths in 1,000 steps."


def test_an_excess_loss_pushes_also_where_theory_knows_no_noise(generator):
    profile = valley_profile(ee.valleys.Waist(), generator)
    settings = {"batch_size": None, "learning_rate": 0.01}
    pushed = predict(profile, excess_loss=0.5, **settings)
    assert float(pushed.noise.abs().max()) > 0
    torch.testing.assert_close(pushed.noise, -0.01 * 0.5 * profile.narrowing(learning_rate=0.01).value)


def test_the_excess_loss_of_a_position_is_that_of_walkers_that_were_near_it(generator):
    """Each weighs by how near it was when a record began, from 1 there to 0 at the neighbours, as a hat function."""
    profile = valley_profile(ee.valleys.Waist(noise="curvature"), generator, points=6)
    release = ee.drift(
        ee.valleys.Waist(), ee.Path(ee.valleys.Waist().floor(9)), generator=generator, start=[0.2, 0.5], walkers=3,
        steps=40, record_every=10, learning_rate=0.01, momentum=0.0,
    )  # fmt: skip
    where, excess = torch.rand(2, 5, 6, generator=generator, dtype=torch.float64)
    release = dataclasses.replace(release, position=where, excess_loss=excess, outside=torch.zeros(6))
    law = predict(profile, batch_size=16, learning_rate=0.01, excess_loss=release)
    grid = profile.position.double().numpy()
    for row, (value, error) in enumerate(zip(*law.excess_loss, strict=True)):
        hat = np.interp(where[:-1], grid, np.eye(6)[row])
        assert float(value) == pytest.approx(np.average(excess[1:], weights=hat))
        off = (hat * (excess[1:].numpy() - float(value))).sum(0)  # of each walker, which is one sample
        assert float(error) == pytest.approx(off.std(ddof=1) / 6**0.5 / hat.sum(0).mean())


@pytest.mark.parametrize(("decay", "rate", "momentum"), [(0.0, 0.125, 0.0), (4.0, 0.1, 0.0), (0.0, 0.1875, 0.5)])
def test_at_the_limit_of_stability_nothing_is_predicted_and_just_below_it_is(decay, rate, momentum, generator):
    profile = dataclasses.replace(valley_profile(ee.valleys.Waist(g_narrow=16.0), generator), weight_decay=decay)
    profile.narrowing(learning_rate=0.999 * rate, momentum=momentum)
    with pytest.raises(ValueError, match=f"the limit is {2 * (1 + momentum):g}; lower learning_rate"):
        profile.narrowing(learning_rate=rate, momentum=momentum)
    if not decay:
        with pytest.raises(ValueError, match="A stationary spread needs 0 < eta h"):
            sustained_variance(torch.tensor([1.0, 16.0]), rate, momentum)
    with pytest.raises(ValueError, match="A stationary spread needs 0 < eta h"):
        sustained_variance(torch.tensor([1.0, 0.0]), 0.01)


def test_the_straight_part_of_a_trace_comes_from_the_measured_one_and_the_rest_from_the_spectrum(generator):
    profile = valley_profile(ee.valleys.Waist(), generator, points=5)
    torch.testing.assert_close(_traces(profile, torch.square), profile.spectral_sum(torch.square))
    other = dataclasses.replace(profile, trace=profile.trace + torch.arange(5.0))
    torch.testing.assert_close(_traces(other, lambda h: 3 * h), 3 * other.trace.double()[:, None])


def test_without_projections_directions_below_a_thousandth_spread_as_that(generator):
    profile = valley_profile(ee.valleys.Waist(g_narrow=16.0), generator)
    potential, _ = _potential_and_cost(profile, 0.01, 0.0, None, torch.ones_like)
    slope = (potential(torch.tensor([0.012])) - potential(torch.tensor([0.004]))) / 0.008
    torch.testing.assert_close(slope, sustained_variance(torch.tensor([0.016]), 0.01).double(), rtol=1e-6, atol=0)


def test_a_track_takes_the_excess_loss_of_the_walkers_of_its_own_start(generator):
    each, found = constant(generator)
    start = torch.tensor([0.5, 0.5, 0.2, 0.2, 0.2])
    both = dataclasses.replace(found, release=dataclasses.replace(found.release, start=start))
    for begun in (0.2, 0.5):
        rate = (-2e-4 - 0.05 * 0.3 * float(each[start == begun].mean())) / 2.0
        torch.testing.assert_close(both.track(begun, torch.tensor([300])), torch.tensor([begun + 300 * rate]).double())


def test_a_prediction_prints_without_the_walkers_it_was_made_of(generator):
    words = repr(constant(generator)[1])
    assert words.startswith("Prediction(position=")
    assert "elease" not in words

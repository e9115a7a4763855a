"""Walkers on roads whose answers are known: exact variances, closed-form forces, seeds and twins."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import entropic_edu as ee
from entropic_edu.physics.curvature import dense_hessian
from entropic_edu.physics.drift import _Costs
from entropic_edu.physics.release import first_below, over_threshold
from entropic_edu.physics.settings import require_batch, require_steps


def road(valley, points=201):
    return ee.Path(valley.floor(points, dtype=torch.float64))


def flat_channel(noise="isotropic", h=4.0):
    return ee.valleys.Waist(g_wide=h, g_narrow=h, noise=noise)


def small_net(**settings):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(60, 5, generator=g, dtype=torch.float64)
    y = torch.randint(3, (60,), generator=g)
    return ee.Network(ee.models.mlp(5, 6, 3).double(), x, y, weight_decay=1e-3, **settings)


def two_points(land, seed=0):
    g = torch.Generator().manual_seed(seed)
    return ee.Path(torch.stack([land.initial(g), land.initial(g)])).resample(9)


@pytest.mark.parametrize("temperature", [0.0, 0.1])
def test_a_summary_says_the_last_step_and_what_became_of_each_start(temperature, generator):
    valley = ee.valleys.Waist()
    release = ee.drift(
        valley, road(valley), generator=generator, start=[0.3, 0.6], walkers=4, steps=40, record_every=20, momentum=0.5,
        learning_rate=0.01, noise=ee.noise.Isotropic(temperature) if temperature else "none",
    )  # fmt: skip
    words = release.summary()
    flow = "" if temperature else " (flow time 0.8)"  # 40 steps of 0.01/(1 - 0.5)
    assert words.startswith(f"8 walkers, 40 steps{flow} at temperature {release.temperature:.3g}: from 0.30 to ")
    for start, mean, error in zip((0.3, 0.6), release.mean_position[-1], release.position_error[-1], strict=True):
        assert f"from {start:.2f} to {mean:.3f} ± {error:.3f}" in words
    assert "flow time" not in dataclasses.replace(release, recipe={}).summary()
    sharp = dataclasses.replace(
        release, sharpness=torch.tensor([1.0, 2.0, 3.0]), sharpness_error=torch.tensor([0.1] * 3)
    )
    said = "Batch sharpness 1 ± 0.1 and 3 ± 0.1 at the ends of the road and 2 ± 0.1 in its middle, below the limit"
    assert said in sharp.summary()


def test_a_temperature_is_compared_with_the_thresholds_that_there_are():
    inf, nan = math.inf, math.nan
    assert over_threshold(0.1, torch.tensor([0.0, 0.05, inf, nan, -1.0])) == " (2 T*)"
    assert over_threshold(0.1, torch.tensor([0.05, 0.025, 0.0]), about="about ") == " (about 2 to 4 T*)"
    assert over_threshold(0.1, torch.tensor([0.0, inf, nan])) == over_threshold(0.0, torch.tensor([0.05])) == ""


def test_effective_temperature_is_eta_over_one_minus_m_times_b():
    assert ee.effective_temperature(16, 0.1, 0.9) == pytest.approx(0.0625)
    assert ee.effective_temperature(None, 0.1, 0.9) == 0.0


@pytest.mark.parametrize(("momentum", "noise"), [(0.0, "isotropic"), (0.9, "isotropic"), (0.0, "curvature")])
def test_unprojected_walkers_spread_with_the_exact_stationary_variance(momentum, noise, generator):
    # In a straight channel the distance from the floor is |x|, and x is an exact AR process.
    valley = flat_channel(noise)
    release = ee.drift(
        valley, road(valley), generator=generator, start=0.5, batch_size=8, learning_rate=0.05, momentum=momentum,
        walkers=3000, steps=400, project_every=None, record_every=100,
    )  # fmt: skip
    # the floor is longer than the walkers wander, so the nearest point is straight across
    exact = float(valley.stationary_variance(torch.zeros(1), 8, 0.05, momentum))
    inside = (release.position[-1] > 0) & (release.position[-1] < 1)
    measured = release.distance[-1][inside].square()
    error = float(measured.std() / math.sqrt(len(measured)))
    assert float(measured.mean()) == pytest.approx(exact, abs=4 * error)


def variance_after(steps, h, eta, m):
    """Variance of x under heavy ball, noise variance 1, after so many steps from rest: x ← x - η(m v + hx + ξ)."""
    matrix = np.array([[1 - eta * h, -eta * m], [h, m]])  # of (x, v)
    kick, covariance = np.array([[-eta], [1.0]]), np.zeros((2, 2))
    for _ in range(steps):
        covariance = matrix @ covariance @ matrix.T + kick @ kick.T
    return covariance[0, 0]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_projected_walkers_start_each_stretch_at_rest_on_the_floor(momentum, generator):
    # So the spread at a projection is that of k steps from x = 0 and v = 0, whatever came before.
    valley, eta, k = flat_channel(), 0.02, 6
    release = ee.drift(
        valley, road(valley), generator=generator, start=0.5, batch_size=16, learning_rate=eta, momentum=momentum,
        walkers=6000, steps=60, project_every=k,
    )  # fmt: skip
    exact = variance_after(k, 4.0, eta, momentum) / 16
    inside = (release.position[-1] > 0) & (release.position[-1] < 1)
    measured = release.distance[-1][inside].square()
    assert float(measured.mean()) == pytest.approx(exact, abs=4 * float(measured.std() / math.sqrt(len(measured))))


def test_noise_drives_walkers_to_the_wide_part_and_its_absence_leaves_them(generator):
    # F = (T/2) ln g: from 0.4 the wide end is 0, from 0.6 it is 1; the floor itself is flat.
    valley = ee.valleys.Waist(noise="curvature")
    settings = {"learning_rate": 0.02, "momentum": 0.0, "steps": 1500, "project_every": 15, "start": [0.4, 0.6]}
    noisy = ee.drift(valley, road(valley), generator=generator, batch_size=1, walkers=64, **settings)
    still = ee.drift(valley, road(valley), generator=generator, batch_size=None, walkers=1, **settings)
    assert bool(((noisy.mean_position[-1] - torch.tensor([0.0, 1.0])).abs() < 0.3).all())
    assert bool(noisy.mean_position[-1, 0] + 5 * noisy.position_error[-1, 0] < 0.4)
    assert torch.allclose(still.mean_position[-1], torch.tensor([0.4, 0.6], dtype=torch.float64), atol=1e-9)


def test_hyperbola_with_label_noise_drifts_at_the_predicted_velocity(generator):
    # -(ησ²/4B) d tr H/ds along uv = 1; 10 % asked, and three standard errors beside it.
    valley, eta, batch = ee.valleys.Hyperbola(noise_scale=0.5), 0.01, 1
    path, y = road(valley, 2001), 0.6
    start = float(valley.position(torch.tensor([y], dtype=torch.float64)))
    release = ee.drift(
        valley, path, generator=generator, start=start, batch_size=batch, learning_rate=eta, momentum=0.0,
        walkers=4000, steps=600, project_every=None, record_every=100,
    )  # fmt: skip
    skip = 2  # the spread across builds up in the first steps
    moved = (release.position[-1] - release.position[skip]) * path.length
    steps = int(release.step[-1] - release.step[skip])
    velocity, error = float(moved.mean()) / steps, float(moved.std() / math.sqrt(len(moved))) / steps
    middle = valley.coordinate(release.mean_position[skip:].mean(0))
    predicted = float(valley.drift_velocity(middle, batch, eta)) * eta
    assert velocity == pytest.approx(predicted, rel=0.1)
    assert abs(velocity - predicted) < 4 * error + 0.03 * abs(predicted)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_langevin_walkers_have_the_temperature_they_are_given(momentum, generator):
    # Equipartition in a straight channel: <h x²> = T, up to the factor 1/(1-ηh/2(1+m)) of a finite step.
    valley, temperature, eta = flat_channel(h=2.0), 0.01, 0.02
    release = ee.drift(
        valley, road(valley), generator=generator, noise=ee.noise.Isotropic(temperature), start=0.5,
        learning_rate=eta, momentum=momentum, walkers=4000, steps=300, project_every=None, record_every=300,
    )  # fmt: skip
    inside = (release.position[-1] > 0) & (release.position[-1] < 1)
    energy = 2.0 * release.distance[-1][inside].square()
    exact = temperature / (1 - eta * 2.0 / (2 * (1 + momentum)))
    assert float(energy.mean()) == pytest.approx(exact, abs=4 * float(energy.std() / math.sqrt(len(energy))))
    assert release.temperature == temperature


def test_the_same_seed_gives_the_same_release():
    land = small_net()

    def positions(seed):
        generator = torch.Generator().manual_seed(seed)
        settings = {"batch_size": 8, "learning_rate": 0.01, "walkers": 3, "steps": 30}
        return ee.drift(land, two_points(land), generator=generator, start=[0.3, 0.7], **settings).position

    assert torch.equal(positions(7), positions(7))
    assert not torch.equal(positions(7), positions(8))


def test_sgd_walkers_take_the_steps_of_torch_optim():
    # One walker, never projected, all data: the plain optimizer on the plain module.
    land = small_net()
    path = two_points(land)
    release = ee.drift(
        land, path, generator=torch.Generator(), start=0.25, batch_size=None, learning_rate=0.05, momentum=0.8,
        walkers=1, steps=20, project_every=None, record_every=20,
    )  # fmt: skip
    module = land.module(path.at(0.25))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.8, weight_decay=1e-3)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(land.x), land.y).backward()
        optimizer.step()
    expected = path.project(land.flatten(module))
    assert float(release.position[-1, 0]) == pytest.approx(float(expected.position), abs=1e-10)
    assert float(release.distance[-1, 0]) == pytest.approx(float(expected.distance), abs=1e-9)
    assert float(release.loss[-1, 0]) == pytest.approx(float(land.loss(land.flatten(module))), abs=1e-12)


def test_twins_share_every_draw_and_a_smaller_batch_is_part_of_a_larger():
    land = small_net()
    large = land.draw(16, torch.Generator().manual_seed(5), rows=3)
    small = land.draw(4, torch.Generator().manual_seed(5), rows=3)
    assert torch.equal(small.x, large.x[:, :4])
    # projection differs, noise does not: before the first projection the twins are one
    settings = {"start": 0.5, "batch_size": 8, "learning_rate": 0.01, "walkers": 2, "steps": 20, "record_every": 5}
    path = two_points(land)
    often, never = (
        ee.drift(land, path, generator=torch.Generator().manual_seed(3), project_every=k, **settings)
        for k in (10, None)
    )
    assert torch.equal(often.position[:3], never.position[:3])  # steps 0, 5, 10
    assert not torch.equal(often.position[-1], never.position[-1])


def test_projection_keeps_only_the_momentum_along_the_path():
    stepper = ee.optimizers.Stepper(torch.zeros(1, 3, dtype=torch.float64), "sgd", 0.1, 0.9)
    stepper.step(torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64))
    stepper.keep_momentum_along(torch.tensor([[0.0, 0.6, 0.8]], dtype=torch.float64))  # 2 · 0.6 + 3 · 0.8 = 3.6
    assert torch.allclose(stepper.state()[0], torch.tensor([[0.0, 2.16, 2.88]], dtype=torch.float64))


def test_pure_label_noise_has_covariance_two_sigma_squared_over_c_times_the_hessian(generator):
    # At interpolation; mse over C outputs, 20000 draws of batches of B: the sample covariance within 5 %.
    g = torch.Generator().manual_seed(2)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False)).double()
    x = torch.randn(10, 3, generator=g, dtype=torch.float64)
    theta = torch.randn(6, generator=g, dtype=torch.float64)
    land = ee.Network(model, x, x @ theta.view(2, 3).T, loss="mse", label_noise=0.3)
    batch = land.draw_labels(5, generator, rows=20000)
    noise = land.gradient_on(theta.expand(20000, -1), batch)
    expected = 2 * 0.3**2 / 2 / 5 * dense_hessian(land, theta)
    assert float(noise.mean(0).norm()) < 4 * float(noise.std(0).norm()) / math.sqrt(20000)
    assert float((noise.T.cov() - expected).norm() / expected.norm()) < 0.05


def test_walkers_that_run_away_are_reported(generator):
    # A wide channel and much noise: with a small radius every walker is outside nearly always.
    valley = flat_channel()
    release = ee.drift(
        valley, road(valley), generator=generator, start=0.5, batch_size=1, learning_rate=0.05, momentum=0.0,
        walkers=8, steps=100, project_every=ee.Projections(10, radius=1e-3),
    )  # fmt: skip
    assert bool(release.left_valley.all())
    assert "8 of 8 left the valley" in release.summary()
    assert bool(release.left_valley.all())


def test_a_walker_has_left_when_more_than_a_twentieth_of_its_projections_are_from_outside():
    step = torch.arange(0, 100, 10)
    release = dataclasses.replace(
        release_of(torch.tensor([[0.2, 0.3, 0.4]]).repeat(10, 1), 0.3, step), outside=torch.tensor([0.04, 0.06, 0.0])
    )
    assert release.left_valley.tolist() == [False, True, False]
    assert float(release.mean_position[-1]) == pytest.approx(0.3)  # of 0.2 and 0.4, the two that stayed
    assert float(release.left_valley.double().mean()) == pytest.approx(1 / 3)


def test_a_walker_found_outside_is_put_back_where_excursions_are_undone(generator):
    # Radius 0: every walker is outside at every projection, and so never gets on, whatever pushes it.
    valley = ee.valleys.Tilted(slope=0.5)
    settings = {"start": [0.4, 0.6], "batch_size": 4, "learning_rate": 0.02, "momentum": 0.5, "walkers": 4, "steps": 60}

    def released(**rule):
        generator = torch.Generator().manual_seed(1)
        return ee.drift(valley, road(valley), generator=generator, project_every=ee.Projections(15, **rule), **settings)

    undone, gone = released(radius=0.0, undo_excursions=True), released(radius=0.0)
    assert torch.equal(undone.position[-1], undone.position[0])
    assert bool((gone.mean_position[-1] < gone.starts - 0.05).all())  # downhill
    # a radius that nobody reaches changes nothing
    assert torch.equal(released(radius=1e3).position, released(radius=1e3, undo_excursions=True).position)


def test_of_an_undone_excursion_no_momentum_is_left_and_of_other_walks_that_along_the_road(generator):
    # All walkers are outside at the first projection and put back: the next steps are those of fresh walkers, whose
    # draws have the same step numbers. Without undoing, the momentum along the road carries them further.
    valley = ee.valleys.Tilted(slope=0.5)
    path = road(valley)
    settings = {"start": 0.6, "batch_size": None, "learning_rate": 0.01, "momentum": 0.9, "walkers": 1}

    def moved(steps, **rule):
        release = ee.drift(
            valley, path, generator=torch.Generator(), steps=steps, record_every=1,
            project_every=ee.Projections(20, **rule), **settings,
        )  # fmt: skip
        return 0.6 - release.position[:, 0]

    undone, kept = moved(39, radius=0.0, undo_excursions=True), moved(39, radius=0.0)
    assert float(undone[20]) == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(undone[21:], undone[1:20])  # from rest again
    along = kept[20:] - kept[20]  # heavy ball at its full speed η/(1-m) slope, on a road of length 2
    assert float(along[1]) == pytest.approx(0.5 * 0.01 / 0.1 * 0.5, rel=0.15)
    assert float(undone[21]) < 0.2 * float(along[1])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"every": None, "undo_excursions": True}, "undo_excursions acts at projections"),
        ({"every": 2.5}, "project_every must be a whole number, at least 1; got 2.5"),
        ({"every": 0}, "project_every must be a whole number, at least 1; got 0"),
        ({"radius": math.nan}, "radius is a distance from the path, 0 or more; got nan"),
        ({"radius": -0.5}, "radius is a distance from the path, 0 or more; got -0.5"),
        ({"radius": "0.1"}, "radius is a distance from the path, 0 or more; got '0.1'"),
    ],
)
def test_bad_projections_are_named(rule, message):
    with pytest.raises(ValueError, match=message):
        ee.Projections(**rule)


def test_a_release_survives_saving_and_interruption(tmp_path, generator):
    land = small_net()

    def stop(snapshot):
        if snapshot.done >= 15:
            raise KeyboardInterrupt

    settings = {"start": 0.5, "batch_size": 8, "learning_rate": 0.01, "walkers": 2, "steps": 60, "record_every": 5}
    seed = torch.Generator().manual_seed(3)
    stopped = ee.drift(land, two_points(land), generator=seed, progress=stop, **settings)
    whole = ee.drift(land, two_points(land), generator=torch.Generator().manual_seed(3), **settings)
    assert not stopped.complete
    assert whole.complete
    assert int(stopped.step[-1]) == 15
    assert torch.equal(stopped.position, whole.position[: len(stopped.step)])
    stopped.save(tmp_path / "r")
    again = ee.Release.load(tmp_path / "r")
    assert torch.equal(again.position, stopped.position)
    assert again.summary() == stopped.summary()
    assert "stopped early" in again.summary()


def test_a_stream_of_snapshots_can_be_closed(generator):
    land = small_net()
    stream = ee.stream.drift(land, two_points(land), generator=generator, batch_size=8, learning_rate=0.01, steps=90)
    seen = [next(stream) for _ in range(3)]
    stream.close()
    assert [s.done for s in seen] == [0, 15, 30]
    assert [len(s.result.step) for s in seen] == [1, 2, 3]


def test_a_step_too_large_is_told_before_and_at_the_divergence(generator):
    valley = flat_channel(h=100.0)
    with (
        pytest.warns(ee.StabilityWarning, match=r"0.05 \* 100 = 5 is past the stability limit 2"),
        pytest.raises(ee.DivergenceError, match=r"diverged by step \d+: loss .*learning_rate \* lambda_max = 5"),
    ):
        ee.drift(
            valley, road(valley), generator=generator, start=0.5, batch_size=4, learning_rate=0.05, momentum=0.0,
            project_every=None,
        )  # fmt: skip


def test_a_walker_that_diverges_between_two_records_is_named_at_the_next_projection(generator):
    valley = flat_channel(h=1e6)  # grows by about 5e4 in each step, past the largest double within one projection
    with (
        pytest.warns(ee.StabilityWarning),
        pytest.raises(ee.DivergenceError, match="diverged by step 100"),
    ):
        ee.drift(
            valley, road(valley), generator=generator, start=0.5, batch_size=4, learning_rate=0.05, momentum=0.0,
            project_every=100, record_every=1000, steps=1000,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": 1.2}, r"position on a path lies in \[0, 1\]"),
        ({"batch_size": 61}, r"1 to 60 of the 60 training samples, got batch_size=61"),
        ({"noise": "warm"}, r"noise must be .*got 'warm'"),
        ({"noise": "isotropic"}, r"needs a temperature.* noise=ee.noise.Isotropic"),
        ({"noise": "minibatch", "batch_size": None}, r"needs a batch_size, got None"),
        ({"noise": "label"}, r"needs a Network with .*label_noise > 0"),
        ({"walkers": 0}, r"walkers must be a whole number, at least 1; got 0"),
        ({"steps": 1.5}, r"steps must be a whole number, at least 1; got 1.5"),
        ({"record_every": -3}, r"record_every must be a whole number, at least 1; got -3"),
        ({"project_every": 2.5}, r"project_every must be a whole number"),
        ({"start": []}, r"start is empty"),
        ({"learning_rate": -1.0}, "learning_rate must be positive and finite, got -1.0"),
        ({"momentum": 1.0}, r"momentum lies in \[0, 1\), got 1.0"),
    ],
)
def test_bad_settings_are_named(settings, message, generator):
    land = small_net()
    with pytest.raises(ValueError, match=message):
        ee.drift(land, two_points(land), generator=generator, **{"learning_rate": 0.01, "steps": 15, **settings})


def release_of(position, start, step):
    walkers = position.shape[1]
    zero = torch.zeros_like(position)
    return ee.Release(
        step=step, position=position, distance=zero, loss=zero, start=torch.full((walkers,), start),
        outside=torch.zeros(walkers), temperature=0.1, valley_radius=1.0, length=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("start", "home"), [(0.3, 0.0), (0.7, 1.0), (0.5, 0.0)])
def test_the_relaxation_time_of_an_exponential_is_its_time_constant(start, home):
    step = torch.arange(0, 1001, 10)
    position = home + (start - home) * torch.exp(-step / 250.0)[:, None].expand(-1, 4)
    found = release_of(position, start, step).relaxation_steps()
    assert float(found.steps) == pytest.approx(250, abs=0.5)  # linear between records of an exponential
    assert float(found.error) == pytest.approx(0, abs=1e-3)


def test_the_error_of_the_relaxation_time_is_that_of_the_mean_for_straight_tracks():
    # Walkers that go home at constant speeds v: the mean track has speed mean(v), so t = (1-1/e) x0 / mean(v).
    speed = torch.tensor([0.8e-3, 1.0e-3, 1.1e-3, 1.3e-3])
    step = torch.arange(0, 231)
    position = 0.3 - speed * step[:, None]
    found = release_of(position, 0.3, step).relaxation_steps()
    time = (1 - 1 / math.e) * 0.3 / float(speed.mean())
    assert float(found.steps) == pytest.approx(time, rel=1e-4)
    spread = float(speed.std() / 2 / speed.mean())  # relative standard error of the mean of four
    assert float(found.error) == pytest.approx(time * spread, rel=0.05)


def test_walkers_that_do_not_go_home_have_an_infinite_relaxation_time():
    step = torch.arange(0, 100, 10)
    found = release_of(torch.full((10, 3), 0.3), 0.3, step).relaxation_steps()
    assert math.isinf(float(found.steps))
    assert math.isinf(float(found.error))


def test_walkers_move_as_theory_predicts_from_a_profile(generator):
    valley = ee.valleys.Waist(noise="curvature")
    path = road(valley)
    profile = ee.probe(valley, path, generator=generator, points=101)
    settings = {"batch_size": 4, "learning_rate": 0.02, "momentum": 0.5, "project_every": 20}
    release = ee.drift(valley, path, generator=generator, start=[0.35, 0.65], walkers=400, steps=300, **settings)
    law = ee.predict(profile, **settings)
    moved = release.mean_position[-1] - release.starts
    expected = torch.tensor([float(law.track(float(s), release.step)[-1]) - float(s) for s in release.starts])
    assert torch.allclose(moved, expected.to(moved), atol=4 * float(release.position_error[-1].max()), rtol=0.1)


def test_a_path_of_another_arrangement_of_as_many_parameters_is_refused(tmp_path, generator):
    x, y = torch.randn(20, 5, generator=generator), torch.randint(3, (20,), generator=generator)
    here, there = (ee.Network(ee.models.mlp(*widths), x, y) for widths in ((5, 6, 3), (5, 2, 7, 3)))
    assert here.dim == there.dim
    path = ee.connect(here, here.initial(generator), here.initial(generator), generator=generator, method="linear")
    path.save(tmp_path / "road")
    with pytest.raises(ValueError, match="as many parameters in another arrangement; the path was made for another"):
        ee.drift(there, ee.Path.load(tmp_path / "road"), generator=generator, batch_size=4)


def test_a_path_of_another_model_is_refused(generator):
    land = small_net()
    with pytest.raises(ValueError, match=r"lives in 2 dimensions and the landscape has \d+ parameters"):
        ee.drift(land, road(ee.valleys.Waist()), generator=generator)


# --- noise in mid run, and where the walkers stood -----------------------------------------------------------------


def test_noise_acts_on_the_named_steps_only_and_with_the_draws_of_these_steps():
    land = ee.valleys.Waist()
    road = ee.Path(land.floor(9))
    settings = {
        "walkers": 4,
        "steps": 30,
        "project_every": None,
        "momentum": 0.0,
        "record_every": ee.Records(10, theta=True),
    }

    def run(**others):
        generator = torch.Generator().manual_seed(3)
        return ee.drift(land, road, generator=generator, start=0.5, batch_size=4, **settings, **others)

    def during(first, end):
        return run(noise=ee.noise.During(ee.noise.Minibatch(4), range(first, end)))

    always, late, early = run(), during(11, 31), during(1, 11)
    assert torch.equal(during(1, 31).theta, always.theta)
    assert (late.theta[1, :, 0] == 0).all()
    assert (late.theta[2, :, 0] != 0).all()
    assert torch.equal(early.theta[1], always.theta[1])
    assert (early.theta[3, :, 0].abs() < early.theta[1, :, 0].abs()).all()  # only the walls' pull is left
    assert late.recipe["noisy_steps"] == [11, 31, 1]


def test_a_release_keeps_where_the_walkers_stood_when_asked_and_saves_it(tmp_path):
    land = ee.valleys.Waist()
    road = ee.Path(land.floor(9))
    settings = {"walkers": 4, "steps": 20, "project_every": 5}
    release = ee.drift(
        land, road, generator=torch.Generator().manual_seed(0), record_every=ee.Records(theta=True), **settings
    )
    assert release.theta.shape == (*release.position.shape, 2)
    where = road.project(release.theta[-1])
    torch.testing.assert_close(where.position, release.position[-1])
    torch.testing.assert_close(where.distance, release.distance[-1])
    release.save(tmp_path / "release")
    assert torch.equal(ee.Release.load(tmp_path / "release").theta, release.theta)
    assert ee.drift(land, road, generator=torch.Generator().manual_seed(0), **settings).theta is None


def test_without_noise_flow_time_alone_counts():
    # larger steps with much momentum, as the story's control takes them, against small ones without it
    land = ee.valleys.Tilted()
    ends = []
    for rate, momentum, steps, every in ((0.01, 0.9, 200, 20), (0.01, 0.0, 2000, 200)):
        release = ee.drift(
            land, road(land), generator=torch.Generator(), start=0.7, batch_size=None, learning_rate=rate,
            momentum=momentum, walkers=1, steps=steps, project_every=every,
        )  # fmt: skip
        assert float(release.time[-1]) == pytest.approx(20)
        assert "flow time 20" in release.summary()
        ends.append(float(release.position[-1]))
    assert ends[1] < 0.65
    assert ends[0] == pytest.approx(ends[1], abs=0.1 * (0.7 - ends[1]))  # heavy ball lags by about η/(1-m)² = 1 of 20


# --- at the bounds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "project_every", "every"), [(90, None, 2), (89, None, 1), (3600, 15, 60), (30, 15, 15)]
)
def test_a_release_has_about_sixty_records_at_projections(steps, project_every, every):
    valley = flat_channel()
    settings = {"walkers": 1, "batch_size": None, "momentum": 0.0, "project_every": project_every}
    release = ee.drift(valley, road(valley, 2), generator=torch.Generator(), steps=steps, **settings)
    assert release.step.tolist() == sorted({*range(0, steps, every), steps})
    assert release.valley_radius == pytest.approx(0.1 * 2.0)  # a tenth of the road


def test_walkers_at_the_radius_are_inside_and_one_projection_decides(generator):
    valley = flat_channel()
    settings = {"walkers": 3, "momentum": 0.0, "steps": 15, "project_every": ee.Projections(15, radius=0.0)}
    still = ee.drift(valley, road(valley), generator=generator, batch_size=None, **settings)
    stream = ee.stream.drift(valley, road(valley), generator=generator, batch_size=4, **settings)
    begun, noisy = (each.result for each in stream)
    assert still.outside.tolist() == begun.outside.tolist() == [0, 0, 0]
    assert noisy.outside.tolist() == [1, 1, 1]
    assert "3 of 3 left the valley (100.0 % of all projections" in noisy.summary()


def test_the_height_of_a_road_is_interpolated_up_to_its_ends():
    valley = ee.valleys.DoubleWell(barrier=1.0)
    path = road(valley)
    costs = _Costs(valley, path, torch.zeros(1, dtype=torch.float64), 1, each=True)
    even = np.linspace(0, 1, 65)
    heights = (np.square(2 * even - 1) - 1) ** 2
    where = torch.tensor([0.0, 0.003, 0.5, 0.61, 1 - 1 / 64, 0.999, 1.0], dtype=torch.float64)
    torch.testing.assert_close(costs.height(where), torch.from_numpy(np.interp(where, even, heights)))


@pytest.mark.parametrize(("values", "level", "at"), [
    ([4, 3, 1, 0], 2.0, 15.0), ([4, 3, 1, 0], 3.0, 10.0), ([4, 3, 1, 0], 4.0, 0.0), ([1, 3, 1, 0], 2.0, 0.0),
    ([4, 3, 1, 0], 0.0, 40.0), ([4, 3, 1, 0.5], 0.0, math.inf),
])  # fmt: skip
def test_a_time_is_that_of_the_first_record_at_the_level_or_between_two(values, level, at):
    assert first_below(torch.tensor([0, 10, 20, 40]), torch.tensor(values), level) == pytest.approx(at)


def test_errors_over_walkers_are_those_of_their_mean_and_unknown_of_one():
    position = torch.tensor([[0.3, 0.3, 0.3, 0.8], [0.2, 0.25, 0.27, 0.9], [0.05, 0.07, 0.01, 0.99]])
    release = dataclasses.replace(
        release_of(position, 0.3, torch.tensor([0, 10, 20])), start=torch.tensor([0.3, 0.3, 0.3, 0.8])
    )
    torch.testing.assert_close(release.position_error[:, 0], position[:, :3].std(1) / 3**0.5)
    assert release.position_error[:, 1].tolist() == [0, 0, 0]
    time = release.relaxation_steps()
    assert time.error.isfinite().tolist() == [True, False]
    assert time.steps.isfinite().tolist() == [True, True]
    pair = release_of(position[:, :2], 0.3, torch.tensor([0, 10, 20])).relaxation_steps()
    alone = [
        float(release_of(position[:, [w]], 0.3, torch.tensor([0, 10, 20])).relaxation_steps().steps) for w in (0, 1)
    ]
    assert float(pair.error) == pytest.approx(abs(alone[0] - alone[1]) / 2)  # the jackknife of two


def test_sharpness_at_the_limit_is_not_past_it(generator):
    valley = flat_channel()
    release = ee.drift(
        valley, road(valley), generator=generator, walkers=1, steps=15, learning_rate=0.125, momentum=0.5
    )
    for top, word in ((8.0, "below"), (8.1, "past")):  # 2(1 - m)/η = 8
        sharp = dataclasses.replace(release, sharpness=torch.tensor([1.0, top, 2.0]), sharpness_error=torch.ones(3))
        assert f"in its middle, {word} the limit" in sharp.summary()


SETTINGS = [
    (require_steps, (0.1, 0.0), None), (require_steps, (1e30, 0.999), None), (require_steps, (1, 0), None),
    (require_steps, (0.0, 0.5), "learning_rate"), (require_steps, (-0.5, 0.5), "learning_rate"),
    (require_steps, (1.1e30, 0.5), "its largest is 1e\\+30"), (require_steps, (math.nan, 0.5), "learning_rate"),
    (require_steps, (True, 0.5), "learning_rate"), (require_steps, (0.1, 1.0), "momentum"),
    (require_steps, (0.1, -0.5), "momentum"), (require_steps, (0.1, False), "momentum"),
    (require_steps, (0.1, math.nan), "momentum"), (require_batch, (1,), None), (require_batch, (np.int64(3),), None),
    (require_batch, (0,), "batch_size .*at least 1; got 0"), (require_batch, (2.0,), "got 2.0"),
    (require_batch, (True,), "got True"),
]  # fmt: skip


@pytest.mark.parametrize(("door", "values", "words"), SETTINGS)
def test_settings_at_the_bounds_pass_and_beyond_them_are_refused(door, values, words):
    if words is None:
        door(*values)
    else:
        with pytest.raises(ValueError, match=words):
            door(*values)


@pytest.mark.parametrize("walkers", [1, 2, 3])
def test_the_error_of_a_mean_position_falls_with_the_root_of_the_walkers(walkers):
    position = torch.tensor([[0.3, 0.3, 0.3], [0.2, 0.25, 0.27]])[:, :walkers]
    wanted = position.std(1) / walkers**0.5 if walkers > 1 else torch.zeros(2)
    torch.testing.assert_close(release_of(position, 0.3, torch.tensor([0, 10])).position_error[:, 0], wanted)


def test_outside_is_the_share_of_all_projections(generator):
    valley, settings = flat_channel(), {"walkers": 3, "momentum": 0.0, "steps": 60, "batch_size": 4}
    for radius, share in ((0.0, 1.0), (1e3, 0.0)):
        rule = ee.Projections(15, radius=radius)
        release = ee.drift(valley, road(valley), generator=generator, project_every=rule, **settings)
        assert release.outside.tolist() == [share] * 3


def test_a_walker_that_was_outside_at_one_projection_in_twenty_has_stayed():
    release = release_of(torch.full((2, 3), 0.3), 0.3, torch.tensor([0, 10]))
    shares = torch.tensor([0.0, 1 / 20, 1 / 19])
    assert dataclasses.replace(release, outside=shares).left_valley.tolist() == [False, False, True]


def test_the_mean_excess_loss_is_that_of_each_starts_walkers_with_its_error(generator):
    release = release_of(torch.rand(2, 7, generator=generator), 0.3, torch.tensor([0, 10]))
    excess, start = torch.rand(2, 7, generator=generator), torch.tensor([0.3, 0.3, 0.3, 0.8, 0.8, 0.8, 0.8])
    assert release.mean_excess_loss is None
    found = dataclasses.replace(release, start=start, excess_loss=excess).mean_excess_loss
    parts = excess[:, :3], excess[:, 3:]
    torch.testing.assert_close(found.value, torch.stack([part.mean(1) for part in parts], 1))
    errors = [part.std(1) / part.shape[1] ** 0.5 for part in parts]
    torch.testing.assert_close(found.error, torch.stack(errors, 1))


@pytest.mark.parametrize(("top", "error"), [(math.nan, torch.ones(3)), (8.0, None), (None, None)])
def test_of_a_sharpness_that_nobody_knows_nothing_is_said(top, error):
    release = dataclasses.replace(
        release_of(torch.full((2, 3), 0.3), 0.3, torch.tensor([0, 10])),
        recipe={"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.0},
        sharpness=None if top is None else torch.tensor([1.0, top, 2.0]),
        sharpness_error=error,
    )
    assert "sharpness" not in release.summary()

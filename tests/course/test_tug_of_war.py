"""Lesson 03 against closed forms: displacement and threshold, both shapes of noise, and the balance of two weights."""

import math
import warnings

import pytest
import torch
from explorers import Bet, every_state, figure
from pictures import faded, panel

import entropic_edu as ee
from entropic_edu.course import floor
from entropic_edu.course.tug_of_war import CHAPTER, QUESTIONS, own
from entropic_edu.course.tug_of_war.balance import BEGIN, Unrolled, curve, imbalance, track, velocity_of_y
from entropic_edu.course.tug_of_war.common import SLOPE, TURNED, WALLS, settled
from entropic_edu.course.tug_of_war.dial import dial
from entropic_edu.course.tug_of_war.shape import MOUTH, NARROW, SHAPES, shaped, speed_between, spread_across
from entropic_edu.course.tug_of_war.threshold import (
    HEATS,
    RATES,
    TIME,
    Sweep,
    crossing,
    displacement,
    expected,
    sweep,
    threshold,
    tilted,
)
from entropic_edu.figures.plots import BLACK, BLUE, PURPLE, RED
from entropic_edu.teaching.sheet import GREY

MADE = {name: make(0) for name, make in CHAPTER.explorers.items() if name != "own"}


# --- round 1 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learning_rate", RATES)
@pytest.mark.parametrize("noise", ["on", "late"])
def test_the_crowd_moves_as_far_as_theory_says(learning_rate, noise):
    for batch_size in (16, 32, 128):
        release = tilted(learning_rate).run(3, batch_size=batch_size, learning_rate=learning_rate, noise=noise)
        found = floor.over_crowds(floor.along(release)[-1])
        law = displacement(learning_rate, learning_rate / batch_size, noise)
        # 4 standard errors of 8 crowds, and 3 % of what the noise does: walkers lag behind their place
        noisy = abs(law + SLOPE * TIME)
        assert float((found.value - law).abs()) < 4 * float(found.error) + 0.03 * noisy


def test_without_noise_the_crowd_slides_down_the_slope_exactly():
    release = tilted(0.02).run(0, batch_size=16, learning_rate=0.02, noise="off")
    assert displacement(0.02, 0.001, "off") == pytest.approx(-SLOPE * 0.02 * 240)
    # float32 over 240 steps
    assert torch.allclose(floor.along(release)[-1], torch.tensor(-0.1032, dtype=torch.float64), atol=1e-5)


def test_batches_of_16_climb_and_batches_of_32_go_down_clear_of_their_errors():
    for batch_size, sign in ((16, 1), (32, -1)):
        release = tilted(0.02).run(0, batch_size=batch_size, learning_rate=0.02)
        found = floor.over_crowds(floor.along(release)[-1])
        law = displacement(0.02, 0.02 / batch_size)
        assert sign * law > 2.5 * float(found.error)  # the bet is decided by theory, whatever the seed
        assert sign * float(found.value) > 0


def test_the_threshold_is_where_the_exact_force_at_the_middle_vanishes():
    zero = torch.zeros(1, dtype=torch.float64)
    for learning_rate in RATES:
        heat = threshold(learning_rate)
        land = ee.valleys.Tilted(**WALLS | {"noise_scale": 6.0 * math.sqrt(heat / learning_rate)})
        assert float(floor.force(land, zero, 1, learning_rate)) == pytest.approx(0, abs=1e-9)


def test_a_short_release_crosses_zero_near_the_local_threshold():
    law = crossing(HEATS, expected(0.02, "on"))
    assert 1.0 < law / threshold(0.02) < 1.25  # the crowd spreads to where walls change less
    question = QUESTIONS[0]
    assert 16 < 0.02 / law < 32
    assert question.right == "middle"
    assert 16 < question.ghosts["middle"] < 32


def test_a_crossing_is_interpolated_and_missing_where_there_is_none():
    heat = torch.tensor([1.0, 2.0, 4.0])
    assert crossing(heat, torch.tensor([-1.0, -1.0, 3.0])) == pytest.approx(2.5)
    assert math.isnan(crossing(heat, torch.tensor([-3.0, -2.0, -1.0])))


def test_the_sweep_finds_the_threshold_of_theory_and_can_be_read_at_any_time():
    snapshots = list(sweep(0, 0.03))
    assert not snapshots[4].result.complete
    assert len(snapshots[4].result.ratio) == 4
    found = snapshots[-1].result
    assert found.complete
    law = crossing(HEATS, expected(0.03, "on"))
    # 4 jackknife errors and 5 %: straight lines between batch sizes
    assert abs(float(found.threshold.value) - law) < 4 * float(found.threshold.error) + 0.05 * law
    assert 0 < float(found.threshold.error) < 0.2 * law


def test_the_button_says_how_many_crowds_it_measured():
    explorer = dial(0)
    explorer.set(learning_rate=0.03)
    assert "40 crowds" in explorer.run()
    explorer.set(learning_rate=0.02)  # the picture of single runs is as it was
    assert explorer.shown.png == MADE["dial"].draw(learning_rate=0.02).png


def test_a_sweep_that_is_stopped_at_once_says_that_there_is_no_threshold_yet():
    explorer = dial(0)
    result = next(sweep(0, 0.02)).result
    _, sentence = explorer.work.show(result, **explorer.values)
    assert "no threshold to tell yet" in sentence
    assert "nan" not in sentence


def test_the_error_of_a_threshold_is_that_of_the_mean_where_the_lines_are_straight():
    shift = torch.linspace(-0.1, 0.3, 8, dtype=torch.float64) ** 2
    found = Sweep(torch.tensor([1.0, 2.0], dtype=torch.float64), torch.stack([shift - 1, shift + 1]))
    assert float(found.threshold.value) == pytest.approx(1.5 - 0.5 * float(shift.mean()))
    assert float(found.threshold.error) == pytest.approx(0.5 * float(shift.std()) / 8**0.5)


def test_the_dial_draws_the_run_its_twin_and_the_bet_where_they_are():
    turned = {"batch_size": 16, "learning_rate": 0.02, "noise": "on", "crowd": "eight"}
    moved = {
        size: float(floor.over_crowds(floor.along(tilted(0.02).run(0, batch_size=size, learning_rate=0.02))[-1]).value)
        for size in (16, 256)
    }
    drawn = panel(figure(MADE["dial"], ghost=64.0, pinned=turned | {"batch_size": 256}, **turned), "Mean displacement")
    assert drawn.shows(BLUE, [0.02 / 16], [moved[16]]).all()
    assert drawn.shows(RED, [0.02 / 256], [moved[256]], reach=8).all()  # a ring
    assert not drawn.shows(BLUE, [0.02 / 16, 0.02 / 256], [moved[16] - 0.07, moved[256]]).any()
    grey, upwards = faded(GREY, 0.8), torch.linspace(-0.14, 0.05, 20)
    assert drawn.shows(grey, torch.full((20,), 0.02 / 64), upwards, reach=2).mean() > 0.5
    assert not drawn.shows(grey, torch.full((20,), 0.02 / 80), upwards, reach=2).any()
    assert drawn.shows(BLACK, torch.full((20,), threshold(0.02)), upwards, reach=2).mean() > 0.5
    alone = panel(figure(MADE["dial"], **turned), "Mean displacement")
    assert not alone.shows(grey, torch.full((20,), 0.02 / 64), upwards, reach=2).any()
    assert not alone.shows(RED, [0.02 / 256], [moved[256]], reach=8).any()


def test_drift_is_read_when_the_cloud_has_had_time_to_settle():
    release = tilted(0.02).run(0, batch_size=16, learning_rate=0.02)
    first = {noise: int(release.step[settled(release, noise)][0]) for noise in ("on", "late", "off")}
    assert first == {"on": 60, "late": 180, "off": 0}


# --- round 2 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_drift_and_spread_follow_the_law_of_each_noise(shape):
    land = shaped(shape, "all").land
    release = shaped(shape, "all").run(5, batch_size=32, learning_rate=0.02)
    for window in (NARROW, MOUTH):
        speed, law = speed_between(release, land, "on", 32, 0.02, window)
        # 4 standard errors and 5 %: the cloud settles while it moves
        assert abs(float(speed.value) - law) < 4 * float(speed.error) + 0.05 * abs(law) + 0.01
    where, spread = spread_across(release, "on")
    seen = spread.value.isfinite() & (where.abs() < 1)
    exact = land.stationary_variance(where, 32, 0.02)
    assert int(seen.sum()) >= 7
    # bins are 0.25 wide, in which T/h changes by up to e^0.74
    assert torch.allclose(spread.value[seen], exact[seen], rtol=0.25)


def test_the_pushes_differ_by_the_factor_h():
    y = torch.tensor([-0.7784, 0.4114], dtype=torch.float64)
    pushes = {}
    for shape in SHAPES:
        land = shaped(shape, "all").land
        pushes[shape] = floor.force(land, y, 32, 0.02) + SLOPE
    h = land.curvature_across(y)
    assert torch.allclose(h, torch.tensor([16.0, 1.0], dtype=torch.float64), rtol=2e-3)
    assert torch.allclose(pushes["curvature"] / pushes["isotropic"], h)


# --- round 3 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("learning_rate", "batch_size"), [(0.08, 2), (0.08, 8), (0.04, 1)])
@pytest.mark.parametrize("noise", ["on", "late"])
def test_label_noise_balances_the_weights_at_the_rate_of_theory(learning_rate, batch_size, noise):
    release = curve("label").run(1, batch_size=batch_size, learning_rate=learning_rate, noise=noise)
    found = floor.over_crowds(imbalance(release))
    law = track("label", release.step, batch_size, learning_rate, noise)
    gone = BEGIN - law
    # 4 standard errors, and 1 % of the way: the theory takes the curve as straight over the width of the crowd
    assert bool(((found.value - law).abs() <= 4 * found.error + 0.01 * gone + 1e-3).all())
    assert float(gone[-1]) > 0.1


def test_the_balance_draws_theory_on_the_run():
    turned = {"noise_source": "labels", "batch_size": 2, "learning_rate": 0.08}
    release = curve("label").run(0, batch_size=2, learning_rate=0.08)
    found, law = floor.over_crowds(imbalance(release)).value, track("label", release.step, 2, 0.08, "on")
    for pinned in (None, turned | {"batch_size": 8, "noise": "on", "crowd": "eight"}):
        drawn = panel(figure(MADE["balance"], pinned=pinned, **turned), "Mean of y")
        assert drawn.follows(PURPLE, release.step, law) > 0.5
        assert drawn.follows(PURPLE, release.step, law + 0.1) < 0.1
        assert drawn.follows(BLUE, release.step, found) > 0.2  # under theory, which it follows
        slower = floor.over_crowds(imbalance(curve("label").run(0, batch_size=8, learning_rate=0.08))).value
        assert (drawn.follows(RED, release.step, slower) > 0.5) == (pinned is not None)


def test_one_step_multiplies_the_imbalance_by_a_factor_below_one():
    land = ee.valleys.Hyperbola()
    theta = torch.tensor([[2.5, 0.4], [1.5, 0.8]], dtype=torch.float64)
    noise = torch.tensor([0.7, -0.7], dtype=torch.float64)
    after = theta - 0.05 * land.gradient_on(theta, noise)
    u, v = theta.T
    factor = 1 - 0.05**2 * (u * v - 1 - noise) ** 2
    assert torch.allclose(after[:, 0] ** 2 - after[:, 1] ** 2, (u**2 - v**2) * factor)
    assert bool((factor < 1).all())


def test_isotropic_noise_drifts_as_the_unrolled_floor_says():
    release = curve("isotropic").run(2, batch_size=4, learning_rate=0.08)
    found = floor.over_crowds(imbalance(release))
    law = track("isotropic", release.step, 4, 0.08, "on")
    assert float((found.value[-1] - law[-1]).abs()) < 4 * float(found.error[-1])
    slow = velocity_of_y(curve("isotropic").land, torch.tensor([BEGIN]).double(), 4, 0.08)
    # where the crowd has not spread yet, the law of its mean and that of its density agree
    early = (law[1] - law[0]) / (release.step[1] - release.step[0])
    assert float(early) == pytest.approx(float(slow), rel=0.15)


def test_the_unrolled_floor_has_the_curvature_of_the_hyperbola():
    land = curve("isotropic").land
    y = torch.tensor([-0.5, 0.0, 0.9], dtype=torch.float64)
    arc = torch.stack(
        [torch.trapezoid(land.metric(g := torch.linspace(0, float(e), 20001).double()).sqrt(), g) for e in y]
    )
    assert torch.allclose(Unrolled(land).log_weight(arc), y, atol=1e-6)
    assert torch.allclose(Unrolled(land).curvature_across(arc), 2 * (2 * y).cosh(), rtol=1e-5)


def test_all_data_leave_the_weights_where_they_are():
    release = curve("label").run(0, batch_size=None, learning_rate=0.08)
    assert torch.allclose(imbalance(release)[-1], torch.tensor(BEGIN).double(), atol=1e-3)


# --- every explorer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_every_state_draws_says_finite_numbers_and_differs_from_the_first(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = [MADE[name].draw(**state) for state in every_state(MADE[name])]
    assert all("nan" not in one.sentence and "inf" not in one.sentence for one in drawn)
    assert len({one.sentence for one in drawn}) == len(drawn)
    assert len({one.png for one in drawn}) > len(drawn) - 2  # "off" and "all data" may show the same


@pytest.mark.parametrize("name", MADE)
def test_a_state_looks_the_same_whatever_was_drawn_before(name):
    states = list(every_state(MADE[name]))
    fresh = CHAPTER.explorers[name](0)
    pinned = CHAPTER.explorers[name](0)
    pinned.pin()
    pinned.draw(**states[2])
    pinned.unpin()
    for state in (states[-1], states[1]):
        assert fresh.draw(**state).png == MADE[name].draw(**state).png == pinned.draw(**state).png


@pytest.mark.parametrize("name", MADE)
def test_a_pinned_run_and_a_prediction_show(name):
    explorer = CHAPTER.explorers[name](0)
    question = dict(zip(MADE, QUESTIONS, strict=True))[name]
    plain = explorer.draw(batch_size=16)
    pictures = {plain.png}
    for ghost in question.ghosts.values():
        explorer.cover(Bet(ghost))
        pictures.add(explorer.draw(batch_size=16).png)
    assert len(pictures) == 1 + len(question.ghosts)
    explorer.pin()
    twin = explorer.draw(batch_size=16)
    assert twin.png not in pictures
    assert twin.sentence.startswith(plain.sentence)
    assert "pinned" in twin.sentence


@pytest.mark.parametrize("name", MADE)
def test_the_code_makes_the_same_walkers(name):
    explorer = MADE[name]
    known = {"torch": torch, "ee": ee}
    exec(explorer.code(**explorer.values), known)
    values = {key: explorer.values[key] for key in TURNED}
    crowd = {
        "dial": lambda: tilted(0.02),
        "shape": lambda: shaped("curvature", "all"),
        "balance": lambda: curve("label"),
    }[name]()
    assert torch.equal(known["release"].theta, crowd.run(0, **values).theta)


# --- questions and exercises -----------------------------------------------------------------------------------------


def test_the_break_even_of_the_learners_floor_is_that_of_the_library():
    y = torch.tensor([0.3], dtype=torch.float64)
    force = -0.01 - 0.5 * (2 * 0.01 / own.FALL) * own.wall_slope(y) / own.wall(y)
    assert float(force) == pytest.approx(0, abs=1e-12)


def test_a_line_crosses_zero_where_it_does():
    assert own.crossing([1.0, 2.0, 4.0], [-2.0, -1.0, 1.0]) == pytest.approx(3.0)
    assert math.isnan(own.crossing([1.0, 2.0], [1.0, 2.0]))

"""Lesson 03 against closed forms: which way a crowd goes, both shapes of noise, and the balance of two weights."""

import math
import re
from dataclasses import replace

import pytest
import torch

import entropic_edu as ee
from entropic_edu.course import floor, stages
from entropic_edu.course.still import picture
from entropic_edu.course.tug_of_war import CHAPTER, exercises

PUBLIC = {name: make(3).scene for name, make in CHAPTER.players.items()}
NUMBER = re.compile(r"(−?\d+\.\d+)(?: ± (\d+\.\d+))?[a-z ]*\(theory (−?\d+\.\d+)\)")


def told(name, start=0, **turned):
    """Value, error and theory of both crowds of a stage as its picture tells them; 0 where there is no error."""
    scene = PUBLIC[name]
    knobs = [replace(each, default=turned.get(each.name, each.default)) for each in scene.sliders]
    assert all(each.default in each.options for each in knobs)
    places = dict([list(scene.starts.items())[start]])
    said = picture(replace(scene, sliders=knobs, starts=places))[1]
    return [tuple(float(part.replace("−", "-") or 0) for part in each) for each in NUMBER.findall(said)]


# --- round 1 -------------------------------------------------------------------------------------------------------


def test_batches_of_16_climb_and_batches_of_32_go_down_clear_of_their_errors():
    for pair, sign in (
        (told("turn", batch_size=16, other_batch_size=8), 1),
        (told("turn", batch_size=32, other_batch_size=64), -1),
    ):
        for value, error, law in pair:
            assert sign * law > 3 * error  # the bet is decided by theory, whatever the seed
            assert sign * value > 0
            assert abs(value - law) < 4 * error + 0.03 * abs(law + 0.1032)  # walkers lag behind their place


def test_without_noise_the_crowd_slides_down_the_slope_exactly():
    (value, error, law), _ = told("turn", batch_size=None)
    assert value == law == pytest.approx(-0.0215 * 0.02 * 240, abs=5e-4)
    assert error == 0


def test_the_forces_at_the_middle_are_equal_at_a_batch_of_25():
    land, zero = ee.valleys.Tilted(**stages.SLOPING), torch.zeros(1, dtype=torch.float64)
    assert 0.02 * 6**2 / (2 * float(land.break_even_temperature(zero))) == pytest.approx(25, abs=0.5)


# --- round 2 -------------------------------------------------------------------------------------------------------


def test_from_the_narrow_part_shaped_noise_takes_the_crowd_16_times_as_far_and_from_the_mouth_no_further():
    (bath, error, bath_law), (shaped, small, shaped_law) = told("shape")
    assert shaped_law / bath_law == pytest.approx(16, rel=0.1)
    assert abs(bath - bath_law) < 4 * error
    assert bath_law > 3 * error
    assert abs(shaped - shaped_law) < 4 * small + 0.01
    (bath, error, bath_law), (shaped, small, shaped_law) = told("shape", start=1)
    assert 0.7 < shaped_law / bath_law < 1  # the bath also spreads its crowd to where walls change faster
    assert abs(bath - bath_law) < 4 * error + 0.003  # half a digit, and the first steps
    assert abs(shaped - shaped_law) < 4 * small + 0.002


def test_with_all_data_nobody_moves_on_the_level_floor():
    assert [value for value, *_ in told("shape", batch_size=None)] == [0, 0]


def test_the_pushes_differ_by_the_factor_h_at_the_two_places_that_the_stage_names():
    (narrow,), (mouth,), _ = PUBLIC["shape"].starts.values()
    y, pushes = torch.tensor([narrow, mouth], dtype=torch.float64), {}
    for pane in PUBLIC["shape"].panes:
        land = ee.valleys.Tilted(**pane.walls)
        pushes[land.noise] = floor.force(land, y, 32, 0.02)
    h = land.curvature_across(y)
    assert torch.allclose(h, torch.tensor([16.0, 1.0], dtype=torch.float64), rtol=2e-3)
    assert torch.allclose(pushes["curvature"] / pushes["isotropic"], h, rtol=1e-5)


# --- round 3 -------------------------------------------------------------------------------------------------------


def test_label_noise_balances_the_weights_as_theory_says_and_all_data_leave_them():
    for rate in (0.04, 0.02):
        (value, error, law), (still, _, still_law) = told("balance", learning_rate=rate)
        gone = math.log(2.5) - law
        # 4 standard errors, and 1 % of the way: the theory takes the curve as straight over the width of the crowd
        assert abs(value - law) < 4 * error + 0.01 * gone + 5e-4
        assert gone > 0.1
        assert still == still_law == pytest.approx(math.log(2.5), abs=5e-4)


def test_the_law_of_the_balance_is_that_of_one_step_added_up():
    # u² - v² times 1 - η²(uv - 1 - ε)² in each step: y sinks by η² s²/B tanh 2y / (2 - ηh), h = 2 cosh 2y
    y = math.log(2.5)
    for _ in range(960):
        y -= 0.04**2 * math.tanh(2 * y) / (2 - 0.04 * 2 * math.cosh(2 * y))
    assert told("balance")[0][2] == pytest.approx(y, abs=2e-3)


def test_one_step_multiplies_the_imbalance_by_a_factor_below_one():
    land = ee.valleys.Hyperbola()
    theta = torch.tensor([[2.5, 0.4], [1.5, 0.8]], dtype=torch.float64)
    noise = torch.tensor([0.7, -0.7], dtype=torch.float64)
    after = theta - 0.05 * land.gradient_on(theta, noise)
    u, v = theta.T
    factor = 1 - 0.05**2 * (u * v - 1 - noise) ** 2
    assert torch.allclose(after[:, 0] ** 2 - after[:, 1] ** 2, (u**2 - v**2) * factor)
    assert bool((factor < 1).all())


# --- exercises -----------------------------------------------------------------------------------------------------


def test_the_break_even_of_the_learners_floor_is_that_of_the_library():
    y = torch.tensor([0.3], dtype=torch.float64)
    force = -0.01 - 0.5 * (2 * 0.01 / exercises.FALL) * exercises.wall_slope(y) / exercises.wall(y)
    assert float(force) == pytest.approx(0, abs=1e-12)


def test_a_line_crosses_zero_where_it_does():
    assert exercises.break_even([1.0, 2.0, 4.0], [-2.0, -1.0, 1.0]) == pytest.approx(3.0)
    assert math.isnan(exercises.break_even([1.0, 2.0], [1.0, 2.0]))

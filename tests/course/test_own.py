"""The explorers that a learner's own functions drive, in lessons 01 to 03."""

import math
import re
from types import SimpleNamespace

import pytest
import torch

import entropic_edu as ee
from entropic_edu.course import chapter
from entropic_edu.course.flat_floor import exercises as floor
from entropic_edu.course.flat_floor import own as floor_own
from entropic_edu.course.one_valley import exercises as valley
from entropic_edu.course.one_valley import own as valley_own
from entropic_edu.course.tug_of_war import exercises as tug
from entropic_edu.course.tug_of_war import own as tug_own


def run_of(own, *given):
    """The state of a lesson's explorer, from seed, functions and settings."""
    return SimpleNamespace(**own.run_of(*given))


@pytest.mark.parametrize("number", ["01", "02", "03"])
def test_without_a_function_the_solution_walks_and_says_why(number):
    sentence = chapter(number).explorers["own"](0).sentence
    assert sentence.startswith("Your function is not written yet. The library's stands in.")


def test_the_walk_of_the_solution_meets_the_law_at_all_settings():
    for batch_size in (1, 4, 16, 64):
        for learning_rate in (0.05, 0.1, 0.2, 0.4):
            run = run_of(valley_own, 0, None, batch_size, learning_rate)
            assert abs(float(run.square.value) - run.law) < 4 * float(run.square.error)
    still = run_of(valley_own, 0, None, None, 0.1)
    assert float(still.square.value) == pytest.approx(0, abs=1e-6)


def test_a_wrong_walk_drives_the_picture_as_it_is():
    def loud(x, kicks, learning_rate, batch_size, curvature):
        return valley.walk(x, kicks, learning_rate, 1, curvature)  # forgets B

    run = run_of(valley_own, 0, loud, 16, 0.1)
    assert run.whose == "Made by your function."
    assert float(run.square.value) == pytest.approx(16 * run.law, rel=0.1)
    assert ee.Lesson("01").explore("own", walk=loud).sentence.startswith("Made by your function.")


def test_a_function_that_fails_is_told_and_the_solution_walks():
    run = run_of(valley_own, 0, lambda x, kicks, *rest: kicks[:2], 4, 0.1)
    assert "wants values of shape (200, 256)" in run.whose
    assert run.whose.endswith("The library's stands in.")
    assert abs(float(run.square.value) - run.law) < 4 * float(run.square.error)


def test_counting_walkers_finds_the_free_energy_and_straight_walls_have_none():
    for batch_size in (1, 2):
        run = run_of(floor_own, 0, None, None, batch_size)
        assert float(run.law.value) == pytest.approx(0.5 * run.temperature * math.log(16), rel=0.08)  # bins are wide
        for (value, error), law in ((run.tight, run.law.value), (run.straight, 0.0)):
            assert abs(float(value - law)) < 4 * float(error)
            assert float(error) < 0.03 * run.temperature / 0.18 + 0.01


def test_the_slope_of_the_walls_is_that_of_their_curvature():
    y = torch.linspace(-1, 1, 7, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(floor.tight(y).sum(), y)
    assert torch.allclose(slope, floor.tight_slope(y).detach())
    (slope,) = torch.autograd.grad(tug.wall(y).sum(), y)
    assert torch.allclose(slope, tug.wall_slope(y).detach())


def test_a_crowd_turns_round_where_slope_and_entropy_balance():
    for slope in (0.005, 0.01, 0.015):
        run = run_of(tug_own, 0, None, None, slope)
        assert run.turn == pytest.approx(run.law, abs=0.002)
        assert run.still == pytest.approx(-slope * tug_own.RATE * tug_own.STEPS)


def test_of_two_functions_the_unwritten_one_is_named():
    run = run_of(floor_own, 0, floor.walk, lambda *case: ..., 1)
    assert run.whose.startswith("walk: Made by your function. free_energy: Your function is not written yet.")


def test_two_functions_drive_one_picture():
    def nowhere(temperature, moved):
        return 0.02

    run = run_of(tug_own, 0, tug.shift, nowhere, 0.01)
    assert (run.whose, run.turn) == ("Made by your function.", 0.02)
    sentence = ee.Lesson("03").explore("own", shift=tug.shift, break_even=nowhere).sentence
    assert re.search(r"turns round at T = 0\.0200; theory says 0\.0133", sentence)

"""Lesson 01: what its pictures and sentences say is what the closed forms say, whichever way the controls stand."""

import math
import re
import warnings

import numpy as np
import pytest
import torch
from explorers import every_state, figure
from pictures import faded, panel

import entropic_edu as ee
from entropic_edu.course import chapter
from entropic_edu.course.one_valley import cliff, collapse, common, own
from entropic_edu.figures.plots import BLUE
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.job import Job

CHAPTER = chapter("01")
BETS = {"bowl": "average", "collapse": "double", "cliff": "cliff"}  # the question that covers each explorer
NAMES = sorted(BETS)  # the learner's own has tests of its own
ERRORS = 4  # standard errors from eight crowds: t has 7 degrees of freedom, a miss by chance in 1 of 200


@pytest.fixture(scope="module")
def explorers():
    return {name: make(0) for name, make in CHAPTER.explorers.items() if name in BETS}


def numbers(sentence):
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", sentence.replace(",", ""))]


class Bet:
    open = True

    def __init__(self, ghost):
        self.ghost = ghost

    def on_open(self, callback):
        pass


# --- physics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 16, 256])
@pytest.mark.parametrize(("learning_rate", "curvature"), [(0.05, 0.5), (0.2, 1.0), (0.4, 4.0)])
@pytest.mark.parametrize("noise", ["on", "late"])
def test_the_settled_cloud_has_the_exact_variance_for_steps_of_any_size(batch_size, learning_rate, curvature, noise):
    turned = {"batch_size": batch_size, "learning_rate": learning_rate, "noise": noise}
    found = common.spread(common.late(common.let_go(3, bowl_curvature=curvature, **turned)))
    exact = learning_rate / (batch_size * curvature * (2 - learning_rate * curvature))
    # "late" at ηh = 0.025: 100 to 200 steps after the noise came on, at most 0.975²⁰⁰ = 0.6 % of it is missing
    assert abs(found.value - exact) < ERRORS * found.error + 0.006 * exact
    assert found.error < 0.15 * exact


def test_without_noise_nobody_moves():
    for turned in ({"batch_size": 4, "noise": "off"}, {"batch_size": None, "noise": "on"}):
        release = common.let_go(0, bowl_curvature=1.0, learning_rate=0.2, **turned)
        assert float(common.across(release).abs().max()) == 0


def test_doubling_learning_rate_and_batch_size_changes_the_spread_by_finite_steps_alone():
    one = common.spread(common.late(common.let_go(0, 1.0, batch_size=8, learning_rate=0.1)))
    two = common.spread(common.late(common.let_go(0, 1.0, batch_size=16, learning_rate=0.2)))
    ratio = two.value / one.value
    error = ratio * ((one.error / one.value).square() + (two.error / two.value).square()).sqrt()
    assert abs(ratio - 1.9 / 1.8) < ERRORS * error  # (2 - 0.1)/(2 - 0.2); the temperature is the same


@pytest.mark.parametrize("edge", cliff.PRODUCTS)
def test_the_spread_grows_from_zero_as_the_recursion_says_on_both_sides_of_the_cliff(edge):
    release = cliff.until_it_falls(1, edge)
    expected, size = 0.0, 0
    for _ in range(int(release.step[-1])):  # Var' = (1 - ηh)² Var + η²s²/B
        expected, size = (1 - edge) ** 2 * expected + edge**2 / cliff.CLIFF_BATCH, size + 1
    assert float(cliff.variance_after(torch.tensor(size), edge)) == pytest.approx(expected, rel=1e-6)
    found = common.spread(common.across(release)[-1:])
    assert abs(found.value - expected) < ERRORS * found.error


def test_past_the_edge_the_run_ends_where_the_walkers_fell_and_says_nothing_on_stderr():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        short, whole = cliff.until_it_falls(0, 2.2), cliff.until_it_falls(0, 1.95)
    assert not short.complete
    assert whole.complete
    assert int(short.step[-1]) < cliff.CLIFF_STEPS
    assert float(short.theta.abs().max()) < 1e3


def test_the_regimes_are_told_apart_at_two():
    assert [cliff.regime(edge) for edge in (0.1, 1.95, 2.0, 2.05)] == ["settles", "settles", "wanders", "falls"]


def test_the_grid_falls_on_the_exact_law():
    settings = [(1, 0.4, 2.0), (16, 0.05, 0.5), (64, 0.1, 1.0)]
    job = Job(collapse.measure(5, settings))
    job.start()
    grid = job.wait()
    assert grid.complete
    assert ((grid.variance - grid.exact).abs() < ERRORS * grid.error).all()
    assert grid.exact[0] == pytest.approx(0.4 / (2.0 * (2 - 0.8)))


def test_a_grid_that_was_stopped_at_once_is_shown_as_what_it_is(explorers):
    explorer = explorers["collapse"]
    first = next(explorer.work.stream(**explorer.values)).result
    assert not first.complete
    _, sentence = explorer.work.show(first, **explorer.values)
    assert sentence.startswith("No setting was measured")


# --- what the page shows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_option_draws_a_picture_and_a_sentence_of_its_own(explorers, name):
    explorer = explorers[name]
    drawn = [explorer.draw(**state) for state in every_state(explorer)]
    assert len({one.sentence for one in drawn}) == len(drawn)
    # "all data" and "noise off" are two ways to the same picture
    assert len({one.png for one in drawn}) == len(drawn) - (name == "bowl")
    for one in drawn:
        assert "nan" not in one.sentence
        assert "inf" not in one.sentence
        assert all(math.isfinite(number) for number in numbers(one.sentence))


@pytest.mark.parametrize("name", NAMES)
def test_a_state_looks_the_same_whatever_was_drawn_before(explorers, name):
    explorer, fresh = explorers[name], CHAPTER.explorers[name](0)
    states = list(every_state(explorer))
    one = [explorer.draw(**state) for state in states]
    other = [fresh.draw(**state) for state in reversed(states)][::-1]
    assert one == other


@pytest.mark.parametrize("name", NAMES)
def test_pins_and_predictions_leave_no_trace(name):
    explorer, fresh = CHAPTER.explorers[name](0), CHAPTER.explorers[name](0)
    asked = next(one for one in CHAPTER.questions if one.name == BETS[name])
    if name != "cliff":
        explorer.pin()
    explorer.cover(Bet(next(iter(asked.ghosts.values()))))
    explorer.draw()
    explorer.unpin()
    explorer.cover(Bet(None))
    assert explorer.draw(crowd="one") == fresh.draw(crowd="one")
    assert explorer.draw() == fresh.draw()


def test_one_run_shows_one_walker_and_eight_crowds_show_their_band():
    explorer = CHAPTER.explorers["bowl"](0)
    deviation = math.sqrt(0.05 / 0.9 / 2)  # of x, by ηs²/(2B) / (h (1 - ηh/2)) with s = 1, B = 4, η = 0.2
    for crowd in ("eight", "one", "eight"):
        drawn = panel(figure(explorer, crowd=crowd), "Walkers")
        inside = torch.linspace(20, 380, 73), torch.full((73,), 0.6 * deviation)
        coloured = np.mean(drawn.shows(faded(BLUE, 0.25), *inside, reach=1))
        lines = np.mean(drawn.shows(BLUE, torch.linspace(20, 380, 73), torch.zeros(73), reach=12))
        assert (coloured > 0.5) == (crowd == "eight"), coloured
        assert (lines > 0.9) == (crowd == "eight"), lines


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_is_another_run(explorers, name):
    assert CHAPTER.explorers[name](1).draw() != explorers[name].draw()


@pytest.mark.parametrize("name", NAMES)
def test_the_code_under_the_picture_makes_the_same_walkers(explorers, name):
    explorer = explorers[name]
    for state in every_state(explorer):
        space = {"ee": ee, "torch": torch}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ee.StabilityWarning)  # past the cliff it warns, as it should
            exec(explorer.code(**state), space)
        if name == "cliff":
            release = cliff.until_it_falls(0, state["edge"])
        else:
            release = common.let_go(0, **{key: value for key, value in state.items() if key != "crowd"})
        assert torch.equal(space["release"].theta, release.theta)


def test_the_sentence_says_what_was_measured_and_what_the_law_gives(explorers):
    sentence = explorers["bowl"].draw(batch_size=16, learning_rate=0.4).sentence
    found = re.search(r"mean of x² is ([\d.]+) ± ([\d.]+); the exact law says (\d+\.\d+)", sentence)
    value, error, exact = map(float, found.groups())
    assert exact == pytest.approx(0.4 / (16 * 1.6), rel=5e-3)  # three digits
    assert abs(value - exact) < ERRORS * error


def test_one_run_has_no_error_bar(explorers):
    for explorer in explorers.values():
        assert "±" in explorer.draw(crowd="eight").sentence
        assert "±" not in explorer.draw(crowd="one").sentence


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [(0.02771, 0.00043, "0.0277 ± 0.0004"), (2.331, 0.124, "2.33 ± 0.12"), (2.7123e-5, 4.2e-7, "(2.71 ± 0.04) · 10⁻⁵")],
)
def test_a_mean_is_written_to_the_digit_that_is_in_doubt(value, error, words):
    assert common.measured(Mean(torch.tensor(value), torch.tensor(error))) == words


@pytest.mark.parametrize("name", ["bowl", "collapse"])
def test_a_pinned_run_stays_in_picture_and_sentence_beside_its_twin(name):
    explorer = CHAPTER.explorers[name](0)
    alone = explorer.draw(batch_size=16)
    pinned = explorer.sentence
    explorer.pin()
    beside = explorer.draw(batch_size=16)
    assert beside.png != alone.png
    assert beside.sentence.startswith(alone.sentence)
    measured = re.search(r"[\d.]+ ± [\d.]+", pinned)[0]
    assert measured in beside.sentence[len(alone.sentence) :]


@pytest.mark.parametrize("name", NAMES)
def test_each_misconception_is_drawn_and_said_as_a_prediction_of_its_own(name):
    explorer = CHAPTER.explorers[name](0)
    asked = next(one for one in CHAPTER.questions if one.name == BETS[name])
    pictures = [explorer.draw().png]
    for option in asked.options:
        if option != asked.right:
            explorer.cover(Bet(asked.ghosts[option]))
            drawn = explorer.draw()
            pictures.append(drawn.png)
            assert "By your prediction it would be" in drawn.sentence
    assert len(set(pictures)) == len(asked.options)


def test_the_longer_run_shows_smaller_errors(explorers):
    explorer = explorers["bowl"]
    short = float(re.search(r"± ([\d.]+)", explorer.draw().sentence)[1])
    job = Job(explorer.work.stream(**explorer.values))
    job.start()
    _, sentence = explorer.work.show(job.wait(), **explorer.values)
    assert "2,000 steps" in sentence
    assert float(re.search(r"± ([\d.]+)", sentence)[1]) < short


# --- the exercises -------------------------------------------------------------------------------------------------


def test_the_edge_is_where_the_library_stops_to_settle():
    for (h,) in own.EDGE.cases:
        land = ee.valleys.Waist(g_wide=h, g_narrow=h)
        y = torch.zeros(1, dtype=torch.float64)
        assert float(land.stationary_variance(y, 1, 0.999 * own.edge(h))) > 0
        with pytest.raises(ValueError, match="settles only below"):
            land.stationary_variance(y, 1, 1.001 * own.edge(h))


def test_the_walk_settles_at_the_exact_law_and_its_heat_at_the_temperature():
    land = ee.valleys.Waist(g_wide=2.0, g_narrow=2.0)
    kicks = torch.randn(400, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = own.right_walk(torch.zeros(4000, dtype=torch.float64), kicks, 0.02, 4, 2.0)
    heat, error = own.heat(places, 2.0)
    law = 2 * float(land.stationary_variance(torch.zeros(1, dtype=torch.float64), 4, 0.02))
    assert abs(float(heat) - law) < 4 * float(error)
    assert float(heat) == pytest.approx(land.temperature(4, 0.02), rel=0.04)  # ηh/2 is 2 %

"""Lesson 01: what its pictures and sentences say is what the closed forms say, whichever way the controls stand."""

import re
import warnings

import pytest
import torch
from explorers import Bet, figure, run_code
from pictures import panel

import entropic_edu as ee
from entropic_edu.course import chapter, stages
from entropic_edu.course.floor import places
from entropic_edu.course.one_valley import collapse, common, edge, exercises
from entropic_edu.course.still import picture
from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.physics.mean import Mean

CHAPTER = chapter("01")
BETS = {"collapse": "double", "cliff": "cliff"}  # the question that covers each explorer
NAMES = sorted(BETS)  # the learner's own has tests of its own
ERRORS = 4  # standard errors from eight crowds: t has 7 degrees of freedom, a miss by chance in 1 of 200


@pytest.fixture(scope="module")
def explorers():
    return {name: CHAPTER.explorers[name](0) for name in NAMES}


def settled(seed, *setting):
    return common.spread(common.cloud(seed, *setting))


# --- physics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 16, 256])
@pytest.mark.parametrize(("learning_rate", "curvature"), [(0.05, 0.5), (0.2, 1.0), (0.4, 4.0)])
def test_the_settled_cloud_has_the_exact_variance_for_steps_of_any_size(batch_size, learning_rate, curvature):
    found = settled(3, batch_size, learning_rate, curvature)
    exact = learning_rate / (batch_size * curvature * (2 - learning_rate * curvature))
    assert exact == pytest.approx(float(common.exact(batch_size, learning_rate, curvature)))
    assert abs(found.value - exact) < ERRORS * found.error
    assert found.error < 0.15 * exact


def test_without_noise_nobody_moves():
    assert float(common.cloud(0, None, 0.2, 1.0).abs().max()) == 0


def test_doubling_learning_rate_and_batch_size_changes_the_spread_by_finite_steps_alone():
    one, two = (settled(0, b, rate, 1.0) for b, rate in ((8, 0.1), (16, 0.2)))
    ratio = two.value / one.value
    error = ratio * ((one.error / one.value).square() + (two.error / two.value).square()).sqrt()
    assert abs(ratio - 1.9 / 1.8) < ERRORS * error  # (2 - 0.1)/(2 - 0.2); the temperature is the same


@pytest.mark.parametrize("product", [0.1, 0.5, 1.0, 1.5, 1.8, 1.95, 2.0, 2.05, 2.2])
def test_the_spread_grows_from_zero_as_the_recursion_says_on_both_sides_of_the_cliff(product):
    release = edge.until_it_falls(1, product)
    expected, size = 0.0, 0
    for _ in range(int(release.step[-1])):  # Var' = (1 - ηh)² Var + η²s²/B
        expected, size = (1 - product) ** 2 * expected + product**2 / edge.BATCH, size + 1
    assert float(edge.variance_after(torch.tensor(size), product)) == pytest.approx(expected, rel=1e-6)
    found = common.spread(places(release)[-1:, :, 0])
    assert abs(found.value - expected) < ERRORS * found.error


def test_past_the_edge_the_run_ends_where_the_walkers_fell_and_says_nothing_on_stderr():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        short, whole = edge.until_it_falls(0, 2.2), edge.until_it_falls(0, 1.95)
    assert not short.complete
    assert whole.complete
    assert int(short.step[-1]) < edge.STEPS
    assert float(short.theta.abs().max()) < 1e3


def test_the_regimes_are_told_apart_at_two():
    assert [edge.regime(product) for product in (0.1, 1.95, 2.0, 2.05)] == ["settles", "settles", "wanders", "falls"]


def test_the_grid_falls_on_the_exact_law():
    settings = [(1, 0.4, 2.0), (16, 0.05, 0.5), (64, 0.1, 1.0)]
    *_, last = common.measure(5, settings)
    assert last.result.complete
    assert "64" in last.note  # the batch size of the last setting
    for found, setting in zip(last.result.each, settings, strict=True):
        assert abs(found.value - common.exact(*setting)) < ERRORS * found.error
    assert common.exact(1, 0.4, 2.0) == pytest.approx(0.4 / (2.0 * (2 - 0.8)))


def test_a_grid_that_was_stopped_at_once_is_shown_as_what_it_is(explorers):
    explorer = explorers["collapse"]
    first = next(explorer.work.stream(**explorer.values)).result
    assert not first.complete
    _, sentence = explorer.work.show(first, **explorer.values)
    assert sentence.startswith("No setting was measured")


# --- what the page shows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_pins_and_predictions_leave_no_trace(name):
    explorer, fresh = CHAPTER.explorers[name](0), CHAPTER.explorers[name](0)
    asked = next(one for one in CHAPTER.questions if one.name == BETS[name])
    if name == "collapse":
        explorer.pin()
    explorer.cover(Bet(next(iter(asked.ghosts.values()))))
    explorer.draw()
    if name == "collapse":
        explorer.unpin()
    explorer.cover(Bet(None))
    assert explorer.draw() == fresh.draw()


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_is_another_run(explorers, name):
    assert CHAPTER.explorers[name](1).draw() != explorers[name].draw()


def test_the_code_under_the_picture_makes_the_same_walkers(explorers):
    for product in (0.5, 2.2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ee.StabilityWarning)  # past the cliff it warns, as it should
            made = run_code(explorers["cliff"].code(edge=product))
        assert torch.equal(made["release"].theta, edge.until_it_falls(0, product).theta)
    turned = {"batch_size": 2, "learning_rate": 0.4}
    made = run_code(explorers["collapse"].code(bowl_curvature=2.0, **turned))
    assert torch.equal(made["release"].theta, common.trough(2.0).run(0, **turned).theta)


def test_the_sentence_says_what_was_measured_and_what_the_law_gives(explorers):
    sentence = explorers["collapse"].draw(batch_size=16, learning_rate=0.4, bowl_curvature=0.5).sentence
    found = re.search(r"mean of x² is ([\d.]+) ± ([\d.]+); T = ηs²/2B is ([\d.]+), .* says (\d+\.\d+)", sentence)
    value, error, temperature, exact = map(float, found.groups())
    assert temperature == pytest.approx(0.4 / 32, rel=5e-3)  # three digits
    assert exact == pytest.approx(0.4 / (16 * 1.8), rel=5e-3)
    assert abs(value - exact) < ERRORS * error


def test_the_point_and_the_pinned_one_are_drawn_where_they_are(explorers):
    explorer = CHAPTER.explorers["collapse"](0)
    pinned = {"batch_size": 1, "learning_rate": 0.4, "bowl_curvature": 2.0}
    drawn = panel(figure(explorer, pinned=pinned, batch_size=64), "h · mean")
    at, law = 0.1 / 64, 0.1 / 64 / 1.9
    assert drawn.shows(BLUE, [at], [law], reach=8).all()
    assert not drawn.shows(BLUE, [at], [2 * law], reach=4).any()
    assert drawn.shows(RED, [0.4], [2 * common.exact(1, 0.4, 2.0)], reach=20).all()  # a ring
    assert not panel(figure(explorer, batch_size=64), "h · mean").shows(RED, [0.4], [0.33], reach=12).any()


def test_the_cloud_and_its_law_cover_each_other():
    for turned in ({"batch_size": 1, "learning_rate": 0.2}, {"batch_size": 16, "learning_rate": 0.05}):
        now = collapse.state_of(0, bowl_curvature=1.0, **turned)
        assert float(now["x"].square().mean()) == pytest.approx(now["law"], rel=0.1)
        assert now["product"].value == pytest.approx(float(now["x"].square().mean()))


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [(0.02771, 0.00043, "0.0277 ± 0.0004"), (2.331, 0.124, "2.33 ± 0.12"), (2.7123e-5, 4.2e-7, "(2.71 ± 0.04) · 10⁻⁵")],
)
def test_a_mean_is_written_to_the_digit_that_is_in_doubt(value, error, words):
    assert common.measured(Mean(torch.tensor(value), torch.tensor(error))) == words


def test_a_pinned_run_stays_in_picture_and_sentence_beside_its_twin():
    explorer = CHAPTER.explorers["collapse"](0)
    alone, pinned = explorer.draw(batch_size=16), explorer.sentence
    explorer.pin()
    beside = explorer.draw(batch_size=16)
    assert beside.png != alone.png
    assert beside.sentence.startswith(alone.sentence)
    assert re.search(r"[\d.]+ ± [\d.]+", pinned)[0] in beside.sentence[len(alone.sentence) :]


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


def test_the_button_measures_all_settings(explorers):
    explorer = CHAPTER.explorers["collapse"](0)
    assert re.search(r"48 settings .* (3[5-9]|4\d) of them lie within two standard errors", explorer.run())


def test_on_the_stage_of_round_1_batch_curvature_and_noise_change_the_spread_as_the_law_says():
    scene = CHAPTER.players["bowl"](0).scene
    assert scene.compare == stages.bowl(0, beside="batch").compare
    assert list(scene.compare) == ["another batch size", "no noise", "another curvature"]
    for beside, law in (("batch", common.exact(4, 0.1, 1.0)), ("curvature", common.exact(1, 0.1, 4.0)), ("noise", 0.0)):
        told = [float(each) for each in re.findall(r"theory ([\d.]+)\)", picture(stages.bowl(0, beside=beside))[1])]
        assert told == pytest.approx([common.exact(1, 0.1, 1.0), law], abs=6e-4)  # printed to three digits


# --- the exercises -------------------------------------------------------------------------------------------------


def test_the_edge_is_where_the_library_stops_to_settle():
    for (h,) in CHAPTER.exercises[2].cases:
        land = ee.valleys.Waist(g_wide=h, g_narrow=h)
        y = torch.zeros(1, dtype=torch.float64)
        assert float(land.stationary_variance(y, 1, 0.999 * exercises.edge(h))) > 0
        with pytest.raises(ValueError, match="settles only below"):
            land.stationary_variance(y, 1, 1.001 * exercises.edge(h))


def test_the_walk_settles_at_the_exact_law_and_its_heat_at_the_temperature():
    land = ee.valleys.Waist(g_wide=2.0, g_narrow=2.0)
    kicks = torch.randn(400, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = exercises.walk(torch.zeros(4000, dtype=torch.float64), kicks, 0.02, 4, 2.0)
    heat, error = exercises.heat(places, 2.0)
    law = 2 * float(land.stationary_variance(torch.zeros(1, dtype=torch.float64), 4, 0.02))
    assert abs(float(heat) - law) < 4 * float(error)
    assert float(heat) == pytest.approx(land.temperature(4, 0.02), rel=0.04)  # ηh/2 is 2 %

"""Lesson 06 against what was recorded, made anew where that is quick: walkers, collapse, jittered labels, doubts."""

import math

import numpy as np
import pytest
import torch
from explorers import Bet, drive, figure, run_code, same_from_anywhere, sentences
from pictures import panel

import entropic_edu as ee
from entropic_edu import recorded
from entropic_edu.course.let_go import CHAPTER, EXERCISES, QUESTIONS
from entropic_edu.course.let_go import common as C
from entropic_edu.course.let_go import labels as J
from entropic_edu.course.let_go.collapse import SERIES, height, level, place
from entropic_edu.course.let_go.sceptic import DOUBTS, course
from entropic_edu.figures.plots import BLACK, BLUE, PURPLE, RED
from entropic_edu.physics.release import first_below
from entropic_edu.recorded import label_noise, let_go, roads
from entropic_edu.recorded.let_go import gone, half, points, remaining
from entropic_edu.teaching.sheet import GREY

MADE = {name: make(0) for name, make in CHAPTER.explorers.items()}


# --- the recordings -------------------------------------------------------------------------------------------------


def test_a_recorded_run_is_what_the_verb_gives_on_the_recorded_road():
    name = "eta 0.4, B 256"
    made = let_go.release(roads.landscape(), roads.road(0), 0, let_go.settings()[name])
    kept = recorded.load("let_go")
    position = made.position.unflatten(1, (9, 1))
    # half precision keeps three digits; cold walkers forget the rounding of another machine
    assert torch.allclose(position, kept[f"{name}/position"][0], atol=2e-3)
    assert torch.allclose(made.distance.unflatten(1, (9, 1)), kept[f"{name}/distance"][0], rtol=2e-2, atol=2e-3)
    assert torch.equal(made.step, kept[f"{name}/step"])
    assert made.valley_radius == pytest.approx(float(kept["radius"][0]))


def test_a_recorded_profile_is_that_of_the_road():
    kept = C.profile(2)
    land, road = roads.landscape(), roads.road(2)
    place = torch.tensor([0.0, 0.5, 1.0])
    with torch.no_grad():
        assert torch.allclose(land.loss(road.at(place)), kept.loss[[0, 12, 24]], rtol=1e-4)
    assert float(kept.trace_error.max()) == 0
    assert kept.length == pytest.approx(road.length)


def test_without_noise_only_the_rate_times_the_steps_counts():
    assert all(apart < 1e-3 for apart in recorded.load("let_go")["check"].values())
    assert torch.equal(C.steps_of("control", 0.1), 4 * C.kept("control/step"))


def test_runs_to_be_compared_last_equally_long_and_spread_equally_between_projections():
    names = let_go.settings()
    for one in points(0.3):
        setting = names[one.name]
        assert setting["steps"] * one.clock == pytest.approx(4000)
        spread = ee.theory.sustained_variance(
            torch.zeros(1), one.learning_rate, one.momentum, setting["project_every"]
        ) / (one.learning_rate / (1 - one.momentum))
        # k is whole: within 10 % of the spread per unit of T that k = 15 gives at η = 0.2
        assert float(spread) == pytest.approx(5.440 / 2, rel=0.1)


# --- round 1 --------------------------------------------------------------------------------------------------------


def test_without_noise_walkers_stay_and_with_it_they_go_home_on_every_pair():
    control = C.column(C.kept("control/position")[:, -1], 0.3)
    hot = C.column(C.kept("eta 0.2, B 16/position")[:, -1], 0.3).mean(-1)
    bet = QUESTIONS[0]
    assert bet.right == "near"
    assert bool(((control - bet.ghosts["near"]).abs() < 0.05).all())
    assert bool((hot < 0.15).all())
    long = C.kept("long, all/position")  # nor do they in five times the time
    assert float(long[:, -1, 0].mean()) > 0.15


def test_near_the_end_the_slope_pulls_inwards_and_noise_carries_outwards():
    for start, sign in ((0.1, 1), (0.9, -1)):
        still = sign * (C.column(C.kept("control/position")[:, -1], start)[:, 0] - start)
        hot = sign * (C.column(C.kept("eta 0.2, B 16/position")[:, -1], start).mean(-1) - start)
        assert float(still.mean()) > 1.5 * float(still.std()) / 5**0.5
        assert float(hot.mean()) < -2 * float(hot.std()) / 5**0.5


def test_cold_walkers_move_as_linear_theory_says_and_hot_ones_many_times_faster():
    _, cold = C.track(None, 256, 0.2, 0.3)
    _, hot = C.track(None, 16, 0.2, 0.3)
    for batch_size, law in ((256, cold[-1]), (16, hot[-1])):
        found = C.over_pairs(C.column(C.kept(f"{C.name_of(batch_size, 0.2)}/position")[:, -1], 0.3), None)
        ratio = (0.3 - float(found.value)) / (0.3 - float(law))
        assert (0.7 < ratio < 1.3) if batch_size == 256 else ratio > 3


def test_the_velocity_in_bins_is_that_of_walkers_that_move_evenly():
    step = torch.arange(0.0, 101, 10).double()
    position = (0.05 + 0.002 * step)[None, :, None, None].expand(2, -1, 1, 3)
    where, found = C.speed(step, position)
    assert torch.allclose(found.value[:2], torch.full((2,), 2.0, dtype=torch.float64))
    assert float(found.error[0]) == pytest.approx(0, abs=1e-9)
    assert bool(found.value[3:].isnan().all())
    assert float(where[0]) == pytest.approx(0.05)


def test_the_sentence_of_a_walk_agrees_with_the_recording():
    kept = recorded.load("let_go")
    rows = kept["eta 0.1, B 32/position"][:, -1, 4].double().mean(-1)  # released at 0.5
    error = rows.std() / 5**0.5
    said = MADE["walk"].draw(batch_size=32, learning_rate=0.1, released_at=0.5).sentence
    assert f"they stand at {rows.mean():.3f} ± {error:.3f}" in said
    assert "3 walkers of each released at 0.5" in said
    one = kept["eta 0.2, B 128/position"][3, -1, 2, 0]
    said = MADE["walk"].draw(batch_size=128, road_pair=4).sentence
    assert f"they stand at {one:.3f} on average" in said  # one walker has no error
    hot = MADE["walk"].draw(batch_size=16, learning_rate=0.4, released_at=0.5).sentence
    assert "of these 15 walkers were outside" in hot


def test_the_walk_draws_the_run_its_control_theory_and_the_bet_where_they_are():
    turned = {"batch_size": 16, "learning_rate": 0.2, "released_at": 0.3, "road_pair": None}
    run, control, twin = (
        C.over_pairs(C.column(C.kept(f"{name}/position"), 0.3), None).value
        for name in ("eta 0.2, B 16", "control", "eta 0.4, B 16")
    )
    steps, still = C.steps_of("eta 0.2, B 16", 0.2), C.steps_of("control", 0.2)
    same = 2 * C.steps_of("eta 0.4, B 16", 0.4)  # against η times steps: these were 1,000 at 0.4
    x, law = C.track(None, 16, 0.2, 0.3)
    drawn = panel(figure(MADE["walk"], ghost=0.5, pinned=turned | {"learning_rate": 0.4}, **turned), "Position")
    assert drawn.follows(BLUE, steps, run) > 0.95
    assert drawn.follows(BLACK, still, control) > 0.15  # dotted, and partly under others
    assert drawn.follows(RED, same, twin) > 0.25
    assert drawn.follows(PURPLE, x, law) > 0.5
    assert drawn.follows(GREY, [1200, 2000], [0.5, 0.5]) > 0.5
    for colour, at, value in ((BLUE, steps, run), (BLACK, still, control), (RED, same, twin), (PURPLE, x, law)):
        assert drawn.follows(colour, at, value + 0.02) < 0.1
    alone = panel(figure(MADE["walk"], **turned), "Position")
    assert alone.follows(BLUE, steps, run) > 0.95
    assert alone.follows(GREY, [1200, 2000], [0.5, 0.5]) == 0
    assert alone.follows(RED, same, twin) == 0


def test_the_button_lets_walkers_go_now_and_shows_them_on_the_way():
    explorer = CHAPTER.explorers["walk"](0)
    explorer.set(batch_size=32, learning_rate=0.4)
    said = explorer.run()
    release = ee.drift(
        roads.landscape(), roads.road(0), generator=torch.Generator().manual_seed(0), start=0.3, batch_size=32,
        learning_rate=0.4, walkers=16, steps=2000, project_every=11,
    )  # fmt: skip
    assert f"they stand at {release.position[-1].double().mean():.3f} ±" in said
    assert "computed now" in said
    early = next(iter(explorer.work.stream(**explorer.values))).result
    _, words = explorer.work.frame(early, **explorer.values)
    assert "After 0 steps" in words


def test_the_film_begins_at_the_starts_and_ends_near_the_minima():
    said = sentences(CHAPTER.players["hot"](0))
    assert "at 0.30 on average, those released at 0.7 at 0.70" in said[0]
    low, high = (C.kept("hot/position")[:, -2, side].mean() for side in (0, 1))
    assert f"at {low:.2f} on average, those released at 0.7 at {high:.2f}" in said[-1]


# --- round 2 --------------------------------------------------------------------------------------------------------


def test_the_half_way_time_of_an_exponential_is_known():
    step = torch.arange(0, 2001, 5).double()
    assert first_below(step, 0.3 * torch.exp(-step / 400), 0.15) == pytest.approx(400 * math.log(2), rel=1e-3)
    assert math.isinf(first_below(step, 0.3 * torch.exp(-step / 4000), 0.15))


def test_the_error_of_the_half_way_time_is_the_jackknife_over_pairs():
    each = remaining("eta 0.2, B 16", 0.3).mean(-1).numpy()
    step = recorded.load("let_go")["eta 0.2, B 16/step"].double().numpy()
    times = []
    for pair in range(len(each)):
        mean = np.delete(each, pair, 0).mean(0)
        row = int(np.argmax(mean <= 0.5 * mean[0]))
        times.append(np.interp(-0.5 * mean[0], -mean[row - 1 : row + 1], step[row - 1 : row + 1]))
    count, found = len(each), half("eta 0.2, B 16", 0.3)
    assert float(found.error) == pytest.approx(np.sqrt((count - 1) * np.var(times)), rel=1e-9)


def test_both_sides_are_folded_onto_the_distance_from_the_own_end():
    found = remaining("control", 0.3)
    position = C.kept("control/position")
    assert torch.equal(found[..., 0], position[:, :, 2, 0])
    assert torch.equal(found[..., 1], 1 - position[:, :, 6, 0])
    assert float(gone("control", 0.3).value) == pytest.approx(
        float((100 * (1 - found[:, -1].mean(-1) / found[:, 0].mean(-1))).mean())
    )


def test_twice_the_batch_at_twice_the_rate_goes_as_far_and_at_the_same_rate_it_does_not():
    one, two, cold = (gone(name, 0.3) for name in ("eta 0.2, B 16", "eta 0.4, B 32", "eta 0.2, B 32"))
    apart = float((one.value - two.value).abs())
    assert apart < 2 * math.hypot(float(one.error), float(two.error))
    assert float(one.value - cold.value) > 5 * math.hypot(float(one.error), float(cold.error))
    ratio = float(two.value / one.value)
    ghosts = QUESTIONS[1].ghosts
    assert min(ghosts, key=lambda name: abs(ghosts[name] - ratio)) == QUESTIONS[1].right


def test_settings_of_one_temperature_differ_less_than_those_of_one_batch_size():
    spread = {}
    for against in ("batch", "temperature"):
        values = [float(gone(one.name, 0.3).value) for one in level(against, 0.3)]
        assert len(values) == len(SERIES)
        spread[against] = max(values) - min(values)
    assert spread["temperature"] < 0.4 * spread["batch"]


def test_large_batches_never_get_half_way_so_that_there_is_no_ratio():
    assert half("eta 0.2, B 16", 0.3).value.isfinite()
    for name in ("eta 0.2, B 256", "long, B 256", "long, all"):
        assert half(name, 0.3).value.isinf()
    cold, still = gone("long, B 256", 0.3), gone("long, all", 0.3)
    assert abs(float(cold.value - still.value)) < 3  # per cent of the way: it goes as the control goes


def test_a_setting_stands_where_its_numbers_say():
    point = next(one for one in points(0.3) if one.name == "m 0.8, B 32")
    assert place(point, "temperature") == pytest.approx(0.4 / (0.2 * 32))
    assert place(point, "ratio") == pytest.approx(0.0125)
    value, error, reached = height(point, "steps", 0.3)
    assert reached
    assert (value, error) == tuple(float(each) for each in half(point.name, 0.3))
    assert height(points(0.3)[0], "time", 0.3)[0] == pytest.approx(4000)  # η = 0.1, B = 16: the end of its run
    assert not height(points(0.3)[0], "time", 0.3)[2]


# --- round 3 --------------------------------------------------------------------------------------------------------


def test_recorded_walkers_with_jittered_labels_can_be_made_anew():
    found = label_noise.ends(label_noise.RECIPE, J.road(2), 1, 0.02, 0.3**2 / 50)
    assert torch.allclose(found, J.kept("moved")[1, 1, label_noise.heat_of(0.3, 50)], atol=1e-7)


def test_the_recorded_trace_is_that_of_the_dense_hessian():
    where, land = 20, J.landscape(1.0)
    theta = J.road(3).at(J.kept("position")[where])
    dense = ee.curvature.dense_hessian(land, theta)
    assert float(J.kept("trace")[2, where]) == pytest.approx(float(dense.trace()), rel=1e-6)


@pytest.mark.parametrize("net", J.NETS)
def test_the_drift_by_jittered_labels_is_predicted_without_a_free_constant(net):
    for jitter in J.SIGMAS[1:]:
        for batch_size in J.SIZES:
            for rate in J.RATES:
                found = J.ratio(net, jitter, batch_size, rate)
                # 15 % for spreads that are not small and humps between the 73 points; 2 errors of the walkers
                assert abs(float(found.value) - 1) < 0.15 + 2 * float(found.error)


def test_twice_the_jitter_drifts_about_four_times_as_fast_and_none_not_at_all():
    for net in J.NETS:
        speeds, law = J.sigma_sweep(net, 50, 0.02)
        assert float(law[1] / law[0]) == pytest.approx(4, rel=0.04)  # walkers leave the start while they drift
        error = 4 * float((speeds.error[:2] / speeds.value[:2]).norm())
        assert float(speeds.value[1] / speeds.value[0]) == pytest.approx(4, abs=2.5 * error + 0.2)
        still, _ = J.velocity(net, 0.0, 50, 0.02)
        assert float(still.value.abs().max()) < 0.12 * float(speeds.value[2])


def test_the_short_law_is_the_slope_of_the_trace_with_the_known_factor():
    where, found = J.simple_law(2, 0.09 / 50, 0.02)
    trace, length = J.kept("trace")[1], float(J.kept("length")[1])
    slope = float((trace[11] - trace[9]) / (where[11] - where[9])) / length
    push = EXERCISES[2].truth(0.3, 50, 0.02, slope)
    assert float(found[10]) == pytest.approx(1e6 * 0.02 * push / length)
    full = 1e6 * 0.09 / 50 * J.kept("push")[1, 1, 10]
    assert float(found[10]) == pytest.approx(float(full), rel=0.15)  # 100 free steps are nearly at rest


def test_the_small_live_run_agrees_with_theory_in_sign():
    explorer = CHAPTER.explorers["jitter"](0)
    explorer.set(jitter=0.6)
    said = explorer.run()
    assert "computed now" in said
    release = list(explorer.work.stream(**explorer.values))[-1].result
    moved = 1e6 / 600 * (release.position[-1] - release.position[0])[release.start == 0.3].mean()
    assert f"at 0.3: {moved:.3g} ±" in said
    assert float(moved) < 0
    assert float(J.kept("push")[1, 1, 22]) < 0


# --- round 4 --------------------------------------------------------------------------------------------------------


def test_undoing_excursions_changes_nothing_that_the_errors_would_see():
    one, two = (course(name, None).left for name in DOUBTS["excursions"])
    assert abs(float(one.value[-1] - two.value[-1])) < 2 * math.hypot(float(one.error[-1]), float(two.error[-1]))


def test_noise_that_comes_late_starts_the_walk_and_noise_that_ends_lets_the_slope_pull_back():
    late, early = course("late", None), course("early", None)
    middle = int((late.share <= 0.5).sum()) - 1
    assert float(late.left.value[middle]) > 0.28
    assert float(late.left.value[-1]) < 0.15
    assert float(early.left.value[-1]) > float(early.left.value[middle])


def test_walkers_that_are_never_put_back_leave_the_valley_and_the_hot_ones_forget_the_digits():
    radius = float(C.kept("radius").mean())
    found = {name: course(name, None) for name in DOUBTS["free"]}
    assert all(float(one.away[-1]) > radius for one in found.values())
    assert found["free"].accuracy < 20
    assert found["free_64"].accuracy > 95
    assert found["free_all"].accuracy > 95
    ghosts = QUESTIONS[3].ghosts
    away = float(found["free"].away[-1])
    assert min(ghosts, key=lambda name: abs(math.log(ghosts[name] / away))) == QUESTIONS[3].right
    assert float(C.kept("free_all/loss")[:, -1].mean()) < float(C.kept("control/loss")[:, -1].mean())


def test_the_sentence_of_a_doubt_agrees_with_the_recording():
    kept = recorded.load("let_go")
    position = kept["k10/position"].double()[:, -1]
    left = torch.cat([position[:, 0], 1 - position[:, 1]], -1).mean(-1)
    said = MADE["sceptic"].draw(doubt="steps_k").sentence
    outside = 100 * float(kept["k10/outside"].double().mean())
    assert f"k = 10: {left.mean():.2f} ± {left.std() / 5**0.5:.2f} ({outside:.1f} % outside)" in said


# --- every explorer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_every_state_draws_without_a_warning_and_says_finite_numbers(name):
    drive(MADE[name])


@pytest.mark.parametrize("name", MADE)
def test_a_state_looks_the_same_whatever_was_drawn_before(name):
    same_from_anywhere(MADE[name], lambda: CHAPTER.explorers[name](0))


@pytest.mark.parametrize("name", MADE)
def test_every_bet_shows_and_a_pinned_run_too(name):
    explorer = CHAPTER.explorers[name](0)
    question = dict(zip(MADE, QUESTIONS, strict=True))[name]
    pictures = {explorer.draw().png}
    for ghost in question.ghosts.values():
        explorer.cover(Bet(ghost))
        pictures.add(explorer.draw().png)
    assert len(pictures) == 1 + len(question.ghosts)
    if name == "walk":
        explorer.set(batch_size=16)
        explorer.pin()
        assert "pinned run" in explorer.draw(batch_size=32).sentence


@pytest.mark.parametrize("name", MADE)
def test_the_code_gives_the_numbers_of_the_sentence(name):
    explorer = MADE[name]
    known = run_code(explorer.code(**explorer.values))
    said = explorer.sentence
    if name == "walk":
        end = known["position"][:, -1, 2, 0].double()
        assert f"{end.mean():.3f} ± {end.std() / 5**0.5:.3f}" in said
    elif name == "collapse":
        found = known["found"]["eta 0.2, B 16"]
        assert f"η = 0.2: {found.value:.0f} ± {found.error:.0f}" in said
    elif name == "jitter":
        best = int(known["law"].abs().argmax())
        assert f"theory says {known['law'][best]:.3g}" in said
    else:
        left = known["left"]["free"]
        assert f"nearest point of the road {left.mean():.2f} ± {left.std() / 5**0.5:.2f} from" in said

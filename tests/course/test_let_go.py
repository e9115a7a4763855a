"""Lesson 06 against what was recorded, made anew where that is quick: walkers, collapse, the push, the runaway."""

import math

import pytest
import torch
from explorers import Bet, figure, run_code, sentences
from pictures import panel

import entropic_edu as ee
from entropic_edu import recorded
from entropic_edu.course import runs
from entropic_edu.course.let_go import CHAPTER, QUESTIONS
from entropic_edu.course.let_go import common as C
from entropic_edu.course.let_go import force as P
from entropic_edu.course.let_go.collapse import SIZES, View
from entropic_edu.course.let_go.courses import Course, measured, rate
from entropic_edu.course.let_go.exercises import project, release
from entropic_edu.course.let_go.own import own
from entropic_edu.course.let_go.push import View as Pushes
from entropic_edu.course.let_go.sceptic import DOUBTS, SHORT
from entropic_edu.course.runs import Road, Run
from entropic_edu.figures.plots import BLACK, BLUE, PURPLE, RED
from entropic_edu.recorded import let_go, valley
from entropic_edu.recorded.let_go import gone, remaining
from entropic_edu.teaching.sheet import GREY

ASKED = {name for runs in DOUBTS.values() for name in runs if name != "hot"}  # by the sceptic, in a shorter walk
MADE = {name: make(0) for name, make in CHAPTER.explorers.items()}
BETS = {question.name: question for question in QUESTIONS}
VALLEY = Road("let_go", on="valley")


def walked(name, start=0.3):
    """What was recorded of the walkers of a run from one start, (P, R, W)."""
    return Run("let_go", name, start).each("position")


KINDS = ("valley", "runaway")


def right(name, value):
    """Whether the right answer of a bet is the one whose ghost is nearest to what was measured."""
    bet = BETS[name]
    return min(bet.ghosts, key=lambda option: abs(math.log(bet.ghosts[option] / value))) == bet.right


# --- the recording --------------------------------------------------------------------------------------------------


def test_a_recorded_run_is_what_the_verb_gives_on_the_recorded_road():
    name = "runaway, B 64"
    setting = let_go.settings()[name] | {"steps": 600}
    made = let_go.release(let_go.landscape("runaway"), let_go.road("runaway", 0), 0, setting)
    kept = recorded.load("let_go")
    rows = len(made.step) - 1  # the last one is at the end of the shorter run
    position, distance = (each.unflatten(1, (2, -1))[:rows] for each in (made.position, made.distance))
    # half precision keeps three digits; cold walkers forget the rounding of another machine
    assert torch.allclose(position, kept[f"{name}/position"][0, :rows], atol=2e-3)
    assert torch.allclose(distance, kept[f"{name}/distance"][0, :rows], rtol=5e-2, atol=2e-3)
    excess = made.excess_loss.unflatten(1, (2, -1)).mean(-1)[:rows]
    assert torch.allclose(excess, kept[f"{name}/excess"][0, :rows], rtol=5e-2, atol=1e-6)
    assert made.valley_radius == pytest.approx(0.1 * float(kept["runaway/length"][0]))


def test_a_recorded_profile_is_that_of_the_road():
    kept = VALLEY.profiles[2]
    land, road = valley.landscape(), valley.road(2)
    place = torch.tensor([0.0, 0.5, 1.0])
    with torch.no_grad():
        assert torch.allclose(land.loss(road.at(place)), kept.loss[[0, 12, 24]], rtol=1e-4)
    assert kept.length == pytest.approx(road.length, rel=1e-5)


def test_what_theory_says_is_recorded_from_the_recorded_profile():
    name = "eta 0.02, B 32"
    law = ee.predict(VALLEY.profiles[1], batch_size=32, learning_rate=0.02, momentum=0.9, project_every=15)
    end = law.track(0.7, torch.tensor([0, 6000]))[-1]
    assert float(recorded.load("let_go")[f"{name}/theory"][1, 6]) == pytest.approx(float(end), abs=1e-6)


def test_all_runs_in_the_valley_last_equally_long_in_flow_time():
    for name, setting in let_go.settings().items():
        if setting["on"] == "valley":
            flow = setting["learning_rate"] / (1 - setting["momentum"]) * setting["steps"]
            assert flow == pytest.approx(SHORT if name in ASKED else 1200), name
    assert all(apart < 2e-3 for apart in recorded.load("let_go")["check"].values())  # of the road, at another η


# --- round 1 --------------------------------------------------------------------------------------------------------


def test_without_noise_walkers_stay_and_with_it_they_go_home_on_every_pair():
    control, hot = walked("control")[:, -1], walked("eta 0.02, B 16")[:, -1].mean(-1)
    assert bool(((control - BETS["still"].ghosts["near"]).abs() < 0.03).all())
    assert bool((hot < 0.15).all())


def test_near_the_end_the_slope_pulls_inwards_and_noise_carries_outwards():
    for start, sign in ((0.1, 1), (0.9, -1)):
        still = sign * (walked("control", start)[:, -1, 0] - start)
        hot = sign * (walked("eta 0.02, B 16", start)[:, -1].mean(-1) - start)
        assert float(still.mean()) > 4 * float(still.std()) / 5**0.5
        assert float(hot.mean()) < -4 * float(hot.std()) / 5**0.5


def test_the_velocity_in_bins_is_that_of_walkers_that_move_evenly():
    step = torch.arange(0.0, 101, 10).double()
    position = (0.05 + 0.002 * step)[None, :, None, None].expand(2, -1, 1, 3)
    where, found = runs.speed(step, position)
    assert torch.allclose(found.value[:2], torch.full((2,), 2.0, dtype=torch.float64))
    assert float(found.error[0]) == pytest.approx(0, abs=1e-9)
    assert bool(found.value[3:].isnan().all())
    assert float(where[0]) == pytest.approx(0.05)


def test_the_sentence_of_a_walk_agrees_with_the_recording():
    kept = recorded.load("let_go")
    rows = kept["eta 0.04, B 32/position"][:, -1, 4].double().mean(-1)  # released at 0.5
    error = rows.std() / 5**0.5
    said = MADE["walk"].draw(batch_size=32, learning_rate=0.04, released_at=0.5).sentence
    assert f"they are at {rows.mean():.3f} ± {error:.3f}" in said
    assert "2 walkers of each released at 0.5" in said
    one = kept["eta 0.02, B 128/position"][3, -1, 2, 0]
    said = MADE["walk"].draw(batch_size=128, road_pair=4).sentence
    assert f"they are at {one:.3f} on average" in said  # one walker has no error
    assert "1 walker of each" in said


def test_the_walk_draws_the_run_its_control_theory_and_the_bet_where_they_are():
    turned = {"batch_size": 16, "learning_rate": 0.02, "released_at": 0.3, "road_pair": None}
    run, fast = C.run_of(16, 0.02), C.run_of(16, 0.04)
    steps, same, (x, law) = run.step, 2 * fast.step, run.track  # against η times steps: fast ones took 3,000
    drawn = panel(figure(MADE["walk"], ghost=0.5, pinned=turned | {"learning_rate": 0.04}, **turned), "Position")
    assert drawn.follows(BLUE, steps, run.position.value) > 0.95
    assert drawn.follows(BLACK, run.control.step, run.control.position.value) > 0.15  # dotted, and partly under others
    assert drawn.follows(RED, same, fast.position.value) > 0.25
    assert drawn.follows(PURPLE, x, law) > 0.5
    assert drawn.follows(GREY, [3600, 6000], [0.5, 0.5]) > 0.5
    alone = panel(figure(MADE["walk"], **turned), "Position")
    assert alone.follows(BLUE, steps, run.position.value) > 0.95
    assert alone.follows(GREY, [3600, 6000], [0.5, 0.5]) == 0
    assert alone.follows(RED, same, fast.position.value) == 0


def test_the_button_lets_walkers_go_now_and_shows_them_on_the_way():
    explorer = CHAPTER.explorers["walk"](0)
    explorer.set(batch_size=16, learning_rate=0.04)
    snapshots = explorer.work.stream(**explorer.values)
    early, later = next(snapshots), next(snapshots)
    assert early.total == later.total == 2000
    _figure_now, words = explorer.work.frame(later.result, **explorer.values)
    mean = later.result.position[-1].double()
    assert f"{mean.mean():.3f} ± {mean.std() / 4:.3f}" in words
    assert f"After {int(later.result.step[-1])} steps" in words
    assert "16 walkers released at 0.3" in words
    still = CHAPTER.explorers["walk"](0)
    one = next(still.work.stream(**still.values)).result
    assert "1 walker released at 0.3" in still.work.show(one, **still.values)[1]  # and no error over walkers
    assert "0.300 (error" in still.work.show(one, **still.values)[1]


def test_the_film_begins_at_the_starts_and_ends_near_the_minima_and_without_noise_where_it_began():
    player = CHAPTER.players["hot"](0)
    said = sentences(player)
    assert "at 0.30 on average, those released at 0.7 at 0.70" in said[0]
    low, high = (walked("hot", start)[:, -1].mean() for start in (0.3, 0.7))
    assert f"at {low:.2f} on average, those released at 0.7 at {high:.2f}" in said[-1]
    still = walked("control")[:, -1].mean()
    assert f"in the same flow time: {still:.2f} and" in said[-1]
    assert player.get_state()["_groups"] == [[40, True], [5, False], [40, True], [5, False]]


# --- round 2 --------------------------------------------------------------------------------------------------------


def test_both_sides_are_folded_onto_the_distance_from_the_own_end():
    found = remaining("control", 0.3)
    assert torch.equal(found[..., 0], walked("control", 0.3)[..., 0])
    assert torch.equal(found[..., 1], 1 - walked("control", 0.7)[..., 0])
    left = found[:, -1].mean(-1)
    assert float(gone("control", 0.3).value) == pytest.approx(float((100 * (1 - left / 0.3)).mean()), abs=1e-6)


def test_twice_the_batch_at_twice_the_rate_goes_nearly_as_far_and_at_the_same_rate_it_does_not():
    one, two, cold = (gone(name, 0.3) for name in ("eta 0.02, B 16", "eta 0.04, B 32", "eta 0.02, B 32"))
    assert right("same", float(two.value / one.value))
    assert float(one.value - cold.value) > 5 * math.hypot(float(one.error), float(cold.error))
    assert float(one.value - cold.value) > 4 * abs(float(one.value - two.value))


def test_settings_of_one_temperature_differ_less_than_those_of_one_batch_size():
    spread = {}
    for against in ("batch", "temperature"):
        view = View(against, "gone", 0.3)
        values = [float(view.measured(run)[0].value) for run in view.compared]
        assert len(values) == 2
        spread[against] = max(values) - min(values)
    assert spread["temperature"] < 0.4 * spread["batch"]


def test_linear_theory_without_a_free_constant_is_within_a_factor_of_the_cold_settings():
    for eta in C.RATES:
        for size in (64, 128):
            found, law = measured(C.run_of(size, eta).name, "gone", 0.3)
            still = float(gone("control", 0.3).value)
            assert 0.9 < (float(found.value) - still) / (law - still) < 1.6, (eta, size)


def test_the_rate_of_an_exponential_is_its_constant_whatever_the_control_does():
    left, still = 0.97 * math.exp(-1.5 * 120 * 0.01), 0.97
    home = torch.tensor([100 * (1 - left)])
    assert float(rate(home, torch.tensor([100 * (1 - still)]), 120 * 0.01)) == pytest.approx(1.5, rel=1e-4)
    assert rate(torch.tensor([97.0]), torch.tensor([0.0]), 0.01).isnan()


def test_a_setting_stands_where_its_numbers_say():
    run = C.run_of(32, 0.04)
    assert View("temperature", "gone", 0.3).place(run) == pytest.approx(0.04 / (0.1 * 32))
    assert View("batch", "gone", 0.3).place(run) == 32
    assert (*SIZES, None) == C.BATCHES


# --- round 3 --------------------------------------------------------------------------------------------------------


def test_the_force_of_the_noise_is_the_excess_loss_times_the_narrowing_over_decades():
    every = [P.push(name, pair) for on in KINDS for name in P.names(on) for pair in C.PAIRS]
    products = torch.tensor([each.product for each in every])
    assert float(products.max() / products.min()) > 1e3
    for on in KINDS:
        found = P.ratio(on)
        assert 0.8 < float(found.value) < 1.3  # no free constant
    assert Pushes("product", None).spread < Pushes("temperature", None).spread


def test_a_push_is_what_a_walker_of_known_motion_shows():
    # Displacement times length over flow time, and the slope where it was, on both sides of the road
    name = "eta 0.02, B 128"
    found, setting = P.push(name, 1), let_go.settings()[name]
    road, time = VALLEY.profiles[0], 1200
    slope = torch.gradient(road.loss.double(), spacing=(road.position.double() * road.length,))[0]
    each = []
    for start, sign in ((0.3, 1), (0.7, -1)):
        walk = walked(name, start)[0, :, 0]
        assert float((walk - start).abs().max()) < 0.1  # it stays near, so that one place says it
        at = int((road.position - float(walk.mean())).abs().argmin())
        each.append(-sign * ((walk[-1] - walk[0]) * road.length / time + slope[at]))
    assert float(found.force.value) == pytest.approx(float(sum(each) / 2), rel=0.25)
    assert setting["walkers"] == 1
    assert float(found.force.error) == 0  # of one walker it is not known


def test_four_times_the_excess_loss_pushes_about_four_times_as_hard():
    force, excess = (
        [sum(float(value(P.push(f"eta 0.02, B {size}", p))) for p in C.PAIRS) / 5 for size in (16, 64)]
        for value in (lambda push: push.force.value, lambda push: push.excess)
    )
    assert right("push", force[0] / force[1])
    assert force[0] / force[1] == pytest.approx(excess[0] / excess[1], rel=0.25)


# --- round 4 --------------------------------------------------------------------------------------------------------


def test_with_the_noise_of_the_road_linear_theory_is_right_and_hot_walkers_are_many_times_faster():
    hot, frozen = Course("runaway, B 16"), Course("runaway, of the road")
    moved = {name: 0.3 - float(each.end.value) for name, each in (("hot", hot), ("frozen", frozen))}
    expected = 0.3 - frozen.theory
    assert moved["frozen"] == pytest.approx(expected, rel=0.1)
    assert moved["hot"] > 3 * moved["frozen"]
    assert right("frozen", float(frozen.end.value))
    assert hot.times > 3 > 1.5 > Course("runaway, B 64").times


def test_in_the_valley_the_noise_of_the_road_makes_the_excess_loss_of_theory_and_real_noise_more():
    frozen, hot = P.excess("of the road"), P.excess("hot")
    assert float(frozen.value) == pytest.approx(1, abs=0.1)
    assert float(hot.value) > float(frozen.value) + 0.15
    assert float(Course("hot").end.value) < float(Course("of the road").end.value)


def test_the_earlier_bursts_are_taken_away_the_less_far_walkers_get():
    runs = ("runaway, B 16", "runaway, undone", "runaway, undone past 1", "runaway, undone past 0.5")
    ways = [0.3 - float(Course(name).end.value) for name in runs]
    assert ways == sorted(ways, reverse=True)
    still = 0.3 - float(Course("runaway, control").end.value)
    assert ways[-1] < still + 0.2 * (ways[0] - still)


def test_walkers_that_are_never_put_back_leave_the_road_sideways_and_go_home_all_the_same():
    found = {name: Course(name, until=SHORT) for name in DOUBTS["free"]}
    assert float(found["free"].far) > 5 * float(found["hot"].far)
    assert float(found["free"].end.value) < float(found["free_all"].end.value) - 0.02
    assert float(found["free_all"].end.value) == pytest.approx(0.3, abs=0.02)
    assert found["free"].accuracy > 70


def test_the_more_free_steps_the_further_as_theory_says():
    ways = [Course(name, until=SHORT) for name in DOUBTS["steps_k"]]
    for by in (lambda one: float(one.end.value), lambda one: one.theory):
        values = [by(one) for one in ways]
        assert values == sorted(values, reverse=True)


def test_the_sentence_of_a_doubt_agrees_with_the_recording():
    kept = recorded.load("let_go")
    position = kept["k5/position"].double()[:, -1]
    left = torch.cat([position[:, 0], 1 - position[:, 1]], -1).mean(-1)
    said = MADE["sceptic"].draw(doubt="steps_k").sentence
    theory = float(let_go.remaining_by_theory("k5", 0.3).mean())
    assert f"k = 5: {left.mean():.2f} ± {left.std() / 5**0.5:.2f} (theory {theory:.2f})" in said


# --- what learners write --------------------------------------------------------------------------------------------


def test_the_projection_of_the_exercise_is_that_of_the_library():
    road = ee.Path(valley.road(0).pivots[::11].double())
    for share in (0.03, 0.4, 0.97):
        theta = road.at(share) + 0.02 * torch.randn(road.pivots.shape[1], generator=torch.Generator().manual_seed(1))
        point, along = project(theta, road.pivots)
        where = road.project(theta).position
        assert torch.allclose(point, road.at(where), atol=1e-6)
        assert torch.allclose(along, road.tangent(where), atol=1e-6)


def test_the_release_of_the_exercise_is_that_of_the_library():
    land = ee.valleys.Pinch()
    road = ee.Path(land.floor(2))
    found = ee.drift(
        land, road, generator=torch.Generator(), start=0.4, batch_size=None, learning_rate=0.02, momentum=0.9,
        walkers=1, steps=40, project_every=8,
    )  # fmt: skip
    end = release(road.at(0.4), road.pivots, lambda theta: land.gradient_on(theta, None), 0.02, 0.9, 40, 8)
    assert float(road.project(end).position) == pytest.approx(float(found.position[-1, 0]), abs=1e-6)


def test_the_walkers_of_a_learner_go_where_those_of_the_library_went():
    explorer = own(0, release=release)
    explorer.set(batch_size=None, learning_rate=0.04)
    assert explorer.run().startswith("Live: Your 1 walker from 0.3")
    position = next(reversed(list(explorer.work.stream(**explorer.values)))).result.each[0][-1]
    there = C.run_of(None, 0.04, road_pair=1).at(torch.tensor([750]))
    assert float(position) == pytest.approx(float(there.value), abs=2e-3)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (None, "need your function"),
        (lambda *given: ..., "Not written yet"),
        (lambda *given: given[99], "stopped with IndexError"),
        (lambda theta, *given: theta, "asked for 0 gradients in 750 steps"),
    ],
)
def test_a_function_that_cannot_drive_the_walkers_is_told_why(written, words):
    explorer = own(0, release=written)
    said = explorer.set(learning_rate=0.04)
    assert explorer.seconds() >= 0  # the page asks when it is drawn
    with pytest.raises(ValueError, match=words):
        explorer.run()
    assert explorer.set() == said


# --- every explorer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_every_bet_shows_and_a_pinned_run_too(name):
    explorer = CHAPTER.explorers[name](0)
    question = dict(zip(("walk", "collapse", "push", "runaway"), QUESTIONS, strict=True)).get(name)
    if question is None:
        return
    pictures = {explorer.draw(**({"part": "feeds"} if name == "runaway" else {})).png}
    for ghost in question.ghosts.values():
        explorer.cover(Bet(ghost))
        pictures.add(explorer.draw(**({"part": "feeds"} if name == "runaway" else {})).png)
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
        assert f"η = 0.02: {known['mean']:.0f}" in said
    elif name == "own":
        assert known["release"].position.shape[1] == 6
    elif name == "push":
        found = P.push("eta 0.02, B 128", 1)
        assert float(known["narrowing"] * known["excess"]) == pytest.approx(found.product, rel=0.25)
    else:
        run = "free" if name == "sceptic" else "runaway, B 16"
        assert f"{known['left'][run].mean():.2f} ± {known['left'][run].std() / 5**0.5:.2f}" in said

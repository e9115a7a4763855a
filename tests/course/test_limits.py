"""Lesson 10 against closed forms: what is planted in each case, what is measured on it, and what the sentences say."""

import io
import math
import re
import statistics

import explorers
import pytest
import torch
from PIL import Image

import entropic_edu as ee
from entropic_edu import recorded
from entropic_edu.course.floor import CROWDS
from entropic_edu.course.limits import CASES, CHAPTER, CONCLUDE, CONTROL, QUESTIONS, SHARE, WHICH, kept
from entropic_edu.course.limits.controls import CONTROLS as READINGS
from entropic_edu.course.limits.mine import before
from entropic_edu.course.limits.questions import homeward
from entropic_edu.course.limits.roads import PAIRS, RUNS, STARTS, VARIED, conclude, ends, profile, tracks
from entropic_edu.recorded import limits
from entropic_edu.recorded.look_alikes import cases
from entropic_edu.recorded.look_alikes.measure import BINS, SIZES, Measured, in_bins, measured

MADE = {name: make(0) for name, make in CHAPTER.explorers.items()}
MIDDLES = 0.5 * (BINS[1:] + BINS[:-1])
HOT = (16, 0.04)


def noise_share(pair, run):
    """What part of the walk from 0.3 and 0.7 the noise makes on a pair, the mean of both."""
    noisy, still = (tracks(pair, name)[:, [1, 5]] for name in (run, "still"))
    gone, alone = (track[-1] - track[0] for track in (noisy, still))
    return float((1 - alone / gone).mean())


def release(name, batch_size, learning_rate, seed=3):
    land = cases.named(name)
    return land, cases.release(land, seed, batch_size, learning_rate)


def agree(found, law, share, errors=4.0):
    """Whether means agree with a law within their standard errors and a share of it, where anybody was."""
    seen = found.value.isfinite()
    assert int(seen.sum()) >= 5
    return bool(((found.value - law).abs() <= errors * found.error + share * law.abs() + 1e-9)[seen].all())


# --- the surfaces ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cases.NAMES)
def test_gradient_and_hessian_are_those_of_the_loss(name):
    land = cases.named(name)
    theta = torch.tensor([[0.1, 1.3], [-0.2, 2.2], [0.05, 3.2], [0.1, 0.8]], dtype=torch.float64)
    slope = torch.stack([torch.func.grad(land.loss)(row) for row in theta])
    assert torch.allclose(land.gradient_on(theta, None), slope)
    twice = torch.stack([torch.func.hessian(land.loss)(row) for row in theta])
    assert torch.allclose(land.hessian(theta), twice, atol=1e-9)


@pytest.mark.parametrize("name", cases.NAMES)
def test_curvature_and_its_slopes_are_those_of_the_walls(name):
    land = cases.named(name)
    y = torch.tensor([1.1, 1.9, 2.7], dtype=torch.float64, requires_grad=True)
    points = land.point(y.detach())
    assert torch.allclose(land.curvature_across(y).detach(), land.hessian(points)[:, 0, 0])
    for order in (1, 2):
        (slope,) = torch.autograd.grad(land.curvature_across(y, order - 1).sum(), y)
        assert torch.allclose(slope, land.curvature_across(y.detach(), order), atol=1e-10)
    places = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    assert torch.allclose(land.position(land.coordinate(places)), places)
    assert land.floor(2)[:, 1].tolist() == [1.0, 3.0]


@pytest.mark.parametrize("name", ["scale", "along", "healthy", "steps", "constant"])
def test_the_floor_of_every_letter_is_at_zero_loss(name):
    land = cases.named(name)
    assert float(land.loss(land.floor(33)).abs().max()) == 0


def test_only_the_direction_counts_in_the_case_of_scale():
    land = cases.named("scale")
    theta = torch.tensor([[0.3, 1.4], [-0.5, 2.0]], dtype=torch.float64)
    for factor in (0.5, 2.0, 7.0):
        assert torch.allclose(land.loss(factor * theta), land.loss(theta))
        assert torch.allclose(land.hessian(factor * theta), land.hessian(theta) / factor**2)
    noisy = land.gradient_on(theta, torch.tensor([[0.7, 0.1], [-1.2, 0.4]], dtype=torch.float64))
    assert torch.allclose((noisy * theta).sum(-1), torch.zeros(2).double(), atol=1e-12)
    after = theta - 0.1 * noisy
    assert torch.allclose(after.square().sum(-1), theta.square().sum(-1) + 0.01 * noisy.square().sum(-1))
    for name in ("healthy", "along", "steps", "constant"):
        other = cases.named(name)
        assert not torch.allclose(other.loss(2 * theta), other.loss(theta), rtol=0.05)


# --- what is planted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["healthy", "steps", "constant"])
@pytest.mark.parametrize(("batch_size", "learning_rate"), [(16, 0.04), (64, 0.01)])
def test_spread_and_push_follow_the_exact_law_of_finite_steps(name, batch_size, learning_rate):
    land, run = release(name, batch_size, learning_rate)
    found = measured(land, run)
    h = land.curvature_across(MIDDLES)
    factor = 2 / (2 - learning_rate * h)  # over T/h
    # 10 %: walkers bring along some of the spread of where they were; bins of 0.25 in which ηh changes
    assert agree(found.spread, factor, 0.1)
    assert agree(found.push, -0.5 * land.curvature_across(MIDDLES, 1) / h * factor, 0.12)


def test_large_steps_break_the_collapse_on_temperature_and_small_ones_mend_it():
    # η and B halved together: one T, another ηh
    coarse, fine = kept.crowds("steps", *HOT).spread_ends, kept.halved("steps").spread_ends
    assert float(coarse.value[0]) > 2 * float(fine.value[0])
    again, half = kept.crowds("healthy", *HOT).spread_ends, kept.halved("healthy").spread_ends
    assert abs(float(again.value[0] / half.value[0]) - 1) < 0.15
    steepest = float(cases.named("steps").curvature_across(torch.tensor(0.0)))
    assert 1.85 < 0.04 * steepest < 2  # no place on the floor or beyond is unstable


@pytest.mark.parametrize("batch_size", [4, 16])
def test_noise_along_the_floor_fills_it_as_the_zero_flux_law_says(batch_size):
    land, run = release("along", batch_size, 0.02)
    heat = land.temperature(batch_size, 0.02)
    y = torch.linspace(0.3, 4.7, 4401, dtype=torch.float64)
    strength = heat * land.noise_ratio(y)  # D; zero flux: (DP)' = -(f' + (T/2)h'/h)P
    h = land.curvature_across(y)
    slope = (land.floor_loss(y, 1) + 0.5 * heat * land.curvature_across(y, 1) / h) / strength
    density = (-torch.cumulative_trapezoid(slope, y)).exp() / strength[1:]
    law = float(density[y[1:] < 2].sum() / density.sum())
    found = measured(land, run).narrow
    assert law > 0.7
    assert abs(float(found.value) - law) < 4 * float(found.error) + 0.05  # not settled quite at B = 16


def test_the_vector_grows_as_the_noise_at_right_angles_says():
    land, run = release("scale", 64, 0.02)
    radius = run.theta.double().norm(dim=-1)
    grown = (radius[-1] ** 4 - radius[0] ** 4).mean()
    near = 0.02 * land.g / radius[0].square()  # ηh where it was released
    law = 600 * (2 * 0.02**2 * 36 / 64 * 2 / (2 - near)).mean()  # of ‖θ‖⁴
    assert float(grown) == pytest.approx(float(law), rel=0.03)  # the angle takes some steps to spread
    assert bool((radius[1:] >= radius[:-1] - 1e-6).all())


def test_noise_at_right_angles_spreads_the_angle_and_not_the_distance():
    land, run = release("scale", 64, 0.02)
    theta = run.theta[12:].double()
    found = in_bins(torch.atan2(theta[..., 0], theta[..., 1]).square(), theta[..., 1], BINS)
    step = 0.02 / MIDDLES.square()  # the effective learning rate
    # 12 %: at large radius the angle takes more steps to spread than half the run
    settled = 1 - (1 - step * land.g).pow(2 * 450)
    law = step * 36 / 64 / (land.g * (2 - step * land.g)) * settled
    assert agree(found, law, 0.12)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_crowds_end_where_the_bet_says_for_other_seeds_too(seed):
    share = {}
    for name in ("scale", "healthy", "steps", "along"):
        land = cases.named(name)
        found = measured(land, cases.release(land, seed, *HOT)).narrow
        share[name] = (float(found.value), float(found.error))
    assert all(value + 3 * error < 0.5 for value, error in (share[n] for n in ("scale", "healthy", "steps")))
    assert share["along"][0] - 3 * share["along"][1] > 0.6
    assert QUESTIONS[0].right == "three"


def test_without_noise_only_the_hidden_slope_moves_anything():
    for name in cases.NAMES:
        moved = kept.crowds(name, None, 0.04).moved
        assert (abs(float(moved.value)) > 0.3) == (name == "slope")
    assert QUESTIONS[1].right == "slope"
    # 0.02 a length, 600 steps of 0.01, less what the wall at the right end holds back: 5 %
    assert float(kept.crowds("slope", None, 0.01).moved.value) == pytest.approx(0.02 * 0.01 * 600, rel=0.05)


def test_the_story_fills_a_bath_as_the_root_of_the_curvature_says():
    land = cases.named("healthy")
    shares = cases.story(land, limits.CELLS, batch_size=4, learning_rate=0.04, steps=5000)
    assert float(shares.sum()) == pytest.approx(1)
    y = 0.5 * (limits.CELLS[1:] + limits.CELLS[:-1])
    inside = (y > 1) & (y < 3)
    expected = land.curvature_across(y[inside]).rsqrt()
    assert torch.allclose(shares[inside] / shares[inside].sum(), expected / expected.sum(), rtol=2e-3)


# --- what is measured ------------------------------------------------------------------------------------------------


def test_means_in_bins_are_those_of_the_crowds():
    values = torch.arange(2 * 2 * CROWDS).double().reshape(2, -1)
    where = torch.where(torch.arange(2 * CROWDS) % 2 == 0, 1.1, 2.9).double().expand(2, -1)
    found = in_bins(values, where, torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64))
    even = values[:, ::2].mean(0)
    assert float(found.value[0]) == pytest.approx(float(even.mean()))
    assert float(found.error[0]) == pytest.approx(float(even.std()) / CROWDS**0.5)
    assert math.isnan(float(found.value[2]))  # nobody came


def test_what_is_packed_for_the_recording_comes_back():
    land, run = release("along", *HOT)
    found = measured(land, run)
    again = Measured.unpacked(found.packed(), found.walkers)
    for name in SIZES:
        for one, other in zip(getattr(found, name), getattr(again, name), strict=True):
            assert one.shape == other.shape
            assert torch.allclose(one, other, rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("letter", cases.LETTERS)
def test_the_code_makes_what_was_recorded(letter):
    explorer = MADE["cases"]
    names = explorers.run_code(explorer.code(**explorer.values | {"case": letter}))
    found, before = names["found"], kept.crowds(cases.LETTERS[letter], *HOT)
    for name in SIZES:  # float32 sums over 600 steps; walkers near an edge may change their bin on another machine
        value, other = getattr(found, name).value, getattr(before, name).value
        assert torch.allclose(value, other, rtol=0.05, atol=5e-3, equal_nan=True), name
    assert torch.allclose(found.walkers, before.walkers, atol=0.02)


@pytest.mark.parametrize("control", READINGS)
def test_the_code_of_a_control_makes_its_reading(control):
    found = explorers.run_code(MADE["controls"].code(control=control, suspect="steps"))["found"]
    reading = {
        "all_data": lambda: (found.moved.value, READINGS["all_data"].readings[0]),
        "halve": lambda: (found.spread_ends.value[0], READINGS["halve"].readings[1]),
        "kicks": lambda: (found.along_ends.value[0], READINGS["kicks"].readings[0]),
        "double": lambda: (found.doubled.value, READINGS["double"].readings[0]),
        "distance": lambda: (100 * found.far.value, READINGS["distance"].readings[1]),
    }.get(control)
    if reading is None:  # exact: no run is needed
        return
    value, read = reading()
    assert float(value) == pytest.approx(float(read("steps").value), rel=0.02, abs=1e-3)


def test_each_suspect_is_told_by_its_control_and_the_healthy_valley_passes_all():
    def ratio(control, name):
        first, second = READINGS[control].readings
        return float(first(name).value / second(name).value)

    tells = {
        "all data": lambda name: abs(float(READINGS["all_data"].readings[0](name).value)) > 0.1,
        "profile": lambda name: ratio("profile", name) < 1.5,
        "halve both": lambda name: ratio("halve", name) > 1.5,
        "kicks": lambda name: ratio("kicks", name) < 0.5,  # stronger at the wide end
        "double theta": lambda name: abs(float(READINGS["double"].readings[0](name).value) - 1) < 1e-3,
    }
    suspects = {
        "hidden slope": "slope",
        "constant": "constant",
        "large steps": "steps",
        "noise along": "along",
        "only scale": "scale",
    }
    for suspect, name in suspects.items():
        assert [control for control, rule in tells.items() if rule(name)] == [CONTROL.truth(suspect)]
    assert not any(rule("healthy") for rule in tells.values())


def test_the_letters_of_the_exercise_are_the_cases():
    names = {"only scale": "scale", "noise along": "along", "large steps": "steps"}
    assert {letter: names.get(name, name) for letter, name in CASES.items()} == dict(cases.LETTERS)
    assert [WHICH.truth(letter) for letter in "ABCDE"] == list(CASES.values())


# --- the roads -------------------------------------------------------------------------------------------------------


def test_the_noise_makes_nine_tenths_of_the_walk_on_every_pair():
    shares = [noise_share(pair, "base") for pair in PAIRS]
    assert min(shares) > 0.8  # nearer to 0.9 than to a half on each of them
    assert abs(statistics.fmean(shares) - 0.9) < 0.05
    assert QUESTIONS[2].right == "most"
    assert all(noise_share(pair, "warm") > noise_share(pair, "cool") for pair in PAIRS)


def test_walkers_that_are_put_back_seldom_go_further_and_often_hardly_move():
    for start in STARTS:
        moves = {
            run: [abs(float(tracks(pair, run)[-1, STARTS.index(start)]) - start) for pair in PAIRS]
            for run in ("still", *VARIED)
        }
        if start != 0.5:
            assert statistics.fmean(moves["seldom"]) > 1.2 * statistics.fmean(moves["base"])
        assert statistics.fmean(moves["often"]) < statistics.fmean(moves["still"]) + 0.02
    assert QUESTIONS[3].right == "more"


def test_a_seed_that_was_not_recorded_says_the_same():
    recipe = limits.RECIPE | {"starts": [0.3, 0.7], "varied": {"still": {"batch_size": None}, "base": {}}, "walkers": 4}
    found = limits._pair(limits.landscape(), 0, 17, recipe)
    road = found["pair0/profile"]
    assert road.bump(road.trace) > 2
    assert road.bump(road.adaptive_trace) > 1.2
    gone, alone = (found[f"pair0/{run}"][-1] - found[f"pair0/{run}"][0] for run in ("base", "still"))
    assert bool((1 - alone / gone > 0.7).all())


def test_a_share_of_noise_is_the_mean_over_pairs_and_counts_a_pair_once():
    start, noisy, still = (each.double() for each in SHARE.cases[1])
    each = [(b - c) / (b - a) for a, b, c in zip(start.tolist(), noisy.tolist(), still.tolist(), strict=True)]
    wanted = [statistics.fmean(each), statistics.stdev(each) / len(each) ** 0.5]
    assert SHARE.truth(start, noisy, still).tolist() == pytest.approx(wanted)


# --- the learner's functions -----------------------------------------------------------------------------------------


def test_the_learners_rule_judges_every_start_and_one_that_fails_is_told():
    always = CHAPTER.explorers["open"](0, yours=lambda moves: "inward")
    assert all("Verdict: inward. Made by your function" in always.draw(start_at=start).sentence for start in STARTS)
    own = CHAPTER.explorers["open"](0, yours=CONCLUDE.truth)
    for varied in VARIED:
        for start in STARTS:
            wanted = conclude(homeward(varied, start))
            assert wanted == CONCLUDE.truth(homeward(varied, start).tolist())
            assert f"Verdict: {wanted}." in own.draw(varied=varied, start_at=start).sentence
    wrong = CHAPTER.explorers["open"](0, yours=lambda moves: "perhaps")
    assert "Your function stopped with ValueError" in wrong.sentence
    assert wrong.draw().png == MADE["open"].draw().png


def test_the_learners_share_stands_in_sentence_and_picture():
    one = CHAPTER.explorers["yours"](0, yours=lambda start, noisy, still: (0.5, 0.1))
    assert "50 ± 10 % of the walk from 0.30 and 50 ± 10 %" in one.sentence
    assert one.draw().png != MADE["yours"].draw().png


def test_an_investigation_is_asked_of_five_roads_with_draws_of_its_own():
    asked = []

    def investigate(land, road, generator):
        asked.append((road.length, float(torch.rand(1, generator=generator))))
        return 0.1 * len(asked)

    explorer = CHAPTER.explorers["mine"](0, yours=investigate)
    said = explorer.run()
    assert len(set(asked)) == 5
    assert f"your number is +0.300 ± {statistics.stdev([0.1, 0.2, 0.3, 0.4, 0.5]) / 5**0.5:.3f} over five pairs" in said
    assert "Made by your function" in said
    recorded_moves = before("runaway, B 16")
    assert f"{float(recorded_moves.mean()):+.3f}" in explorer.draw().sentence


def test_the_first_example_of_the_last_exercise_is_recorded():
    moves = [round(float(tracks(pair, "base")[-1, 5]) - 0.7, 3) for pair in PAIRS]
    assert moves == pytest.approx(CONCLUDE.cases[0][0], abs=1e-3)
    middle = [float(tracks(pair, "base")[-1, 3]) - 0.5 for pair in PAIRS]
    assert CONCLUDE.truth(moves) == "home"
    assert CONCLUDE.truth(middle) == "cannot tell"


def test_the_network_of_the_lesson_meets_its_errors():
    layer = torch.nn.Linear
    data = ee.data.digits()
    with pytest.raises(ValueError, match=r"batch norm in \['1'\].*freeze_buffers=True"):
        ee.Network(torch.nn.Sequential(layer(64, 8), torch.nn.BatchNorm1d(8), layer(8, 10)), *data.train)
    with pytest.raises(ValueError, match="dropout"):
        ee.Network(torch.nn.Sequential(layer(64, 8), torch.nn.Dropout(0.5), layer(8, 10)), *data.train)


# --- every explorer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", cases.LETTERS)
def test_the_sentence_of_a_case_tells_the_recorded_numbers(letter):
    name = cases.LETTERS[letter]
    found = kept.crowds(name, 64, 0.02)
    for measure, mean in (("kicks", found.along_ends), ("double", found.doubled), ("walkers", found.push_ends)):
        said = MADE["cases"].draw(case=letter, batch_size=64, learning_rate=0.02, measure=measure).sentence
        assert f"{100 * found.narrow:.1f} %" in said
        assert f"(story: {100 * kept.story_narrow(name, 64, 0.02):.0f} %)" in said
        assert kept.with_error(mean if mean.value.ndim == 0 else mean.at(0)) in said
        assert kept.with_error(found.spread_ends.at(0)) in said


def test_the_story_of_the_sentence_is_that_of_a_bath():
    shares = cases.story(cases.named("along"), limits.CELLS, batch_size=16, learning_rate=0.04, steps=600)
    y = 0.5 * (limits.CELLS[1:] + limits.CELLS[:-1])
    assert kept.story_narrow("along", *HOT) == pytest.approx(float(shares[y < 2].sum()), abs=1e-5)
    assert float(kept.story("along", *HOT).sum() * 0.15) == pytest.approx(float(shares.sum()), abs=1e-3)


def test_the_sentences_of_the_roads_tell_the_recorded_numbers():
    said = MADE["yours"].draw(pair=3, batch_size=32).sentence
    ratios = []
    for road in map(profile, PAIRS):
        inside = (road.position > 0.333) & (road.position < 0.667)
        ratios.append(float(road.trace[inside].mean() / road.trace[[0, -1]].mean()))
    assert f"the trace is {statistics.fmean(ratios):.2f} ± {statistics.stdev(ratios) / 5**0.5:.2f} times" in said
    noisy, still = ends("cool", 0.3), ends("still", 0.3)
    share = (100 * (noisy - still) / (noisy - 0.3)).tolist()
    assert f"{statistics.fmean(share):.0f} ± {statistics.stdev(share) / 5**0.5:.0f} % of the walk from 0.30" in said
    said = MADE["open"].draw(varied="seldom", start_at=0.5).sentence
    moves = [float(tracks(pair, "seldom")[-1, 3]) - 0.5 for pair in PAIRS]
    assert f"{statistics.fmean(moves):+.3f} ± {statistics.stdev(moves) / 5**0.5:.3f}" in said
    assert f"{sum(move > 0 for move in moves)} of 5 pairs" in said


def test_the_code_of_the_roads_reads_what_is_drawn():
    names = explorers.run_code(MADE["yours"].code(pair=2, batch_size=16))
    assert torch.equal(names["profile"].trace, profile(2).trace)
    assert torch.equal(names["position"].double(), tracks(2, "base"))
    assert names["settings"]["momentum"] == 0.9
    names = explorers.run_code(MADE["open"].code(varied="often", start_at=0.3))
    moves = [float(tracks(pair, "often")[-1, 1]) - 0.3 for pair in PAIRS]
    assert names["moved"].tolist() == pytest.approx(moves, abs=1e-6)


@pytest.mark.parametrize(("name", "turned"), [("cases", {}), ("yours", {"pair": 2}), ("open", {"varied": "seldom"})])
def test_a_prediction_shows(name, turned):
    question = {"cases": QUESTIONS[0], "yours": QUESTIONS[2], "open": QUESTIONS[3]}[name]
    explorer = CHAPTER.explorers[name](0)
    pictures = {explorer.draw(**turned).png}
    for ghost in question.ghosts.values():
        explorer.cover(explorers.Bet(ghost))
        pictures.add(explorer.draw(**turned).png)
    assert len(pictures) == 1 + len(question.ghosts)


def test_a_pinned_case_shows_and_is_named():
    explorer = CHAPTER.explorers["cases"](0)
    plain = explorer.draw(case="D", learning_rate=0.01)
    explorer.set(case="D")
    explorer.pin()
    twin = explorer.draw(learning_rate=0.01)
    assert twin.png != plain.png
    assert twin.sentence.startswith(plain.sentence)
    assert kept.with_error(kept.crowds("steps", *HOT).spread_ends.at(0)) in twin.sentence.removeprefix(plain.sentence)


def test_the_button_runs_a_case_with_other_random_numbers():
    explorer = CHAPTER.explorers["cases"](4)
    explorer.set(case="B")
    said = explorer.run()
    assert "computed now with seed 5" in said
    share = float(re.search(r"(\d+\.\d) ± \S+ % of the walkers are in the left half", said)[1])
    assert share > 62
    assert Image.open(io.BytesIO(explorer.shown.png)).size == (1140, 690)
    snapshot = next(cases.stream(cases.land("B"), 5, *HOT))
    _, sentence = explorer.work.frame(snapshot.result, **explorer.values)  # before the first step
    assert "50.0 % of the walkers are in the left half" in sentence
    assert "nan" not in sentence


def test_own_bets_name_options_that_are_there():
    assert RUNS[16] == "base"
    assert recorded.load("limits").recipe["varied"]["base"] == {}
    for question in QUESTIONS:
        assert question.right in question.options

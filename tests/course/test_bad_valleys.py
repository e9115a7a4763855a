"""Lesson 08: the recording from its own weights, the rescaling, what the lesson says, and every explorer."""

import ast
import math
import re
import statistics
from pathlib import Path

import pytest
import torch
from explorers import drive, figure, run_code, same_from_anywhere
from pictures import panel

import entropic_edu as ee
from entropic_edu import recorded
from entropic_edu.course.bad_valleys import CHAPTER, EXERCISES, QUESTIONS, common, ends, measures, road, walk
from entropic_edu.course.bad_valleys.common import STARTS, WHERE, at, column, over, pairs
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.physics.curvature import dense_hessian
from entropic_edu.recorded import bad_minima
from entropic_edu.teaching.sheet import GREY
from entropic_edu.teaching.yours import Yours

KEPT = recorded.load("bad_minima")
MADE = {name: make(0) for name, make in CHAPTER.explorers.items()}
ANSWER = {exercise.number: exercise.truth for exercise in EXERCISES}


def effect(which, noise, start, shown):
    """How far noise moved the walkers towards the good end beyond the control, over the pairs."""
    noisy, still = (pairs(f"{which}/{each}/position", shown)[:, -1, STARTS.index(start)] for each in (noise, "none"))
    return over(still.mean(-1) - noisy.mean(-1))


# --- rescaling and measures ------------------------------------------------------------------------------------------


@pytest.fixture
def small(generator):
    """A normalised network of 4-6-6-2 units in float64, and weights of it."""
    x = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(2, (20,), generator=generator)
    land = Network(mlp(4, 6, 6, 2, norm="layer").double(), x, y, test=(x, y), label_noise=0.1)
    return land, 3 * land.initial(generator)  # the ε of the norms is small beside these


def test_a_resized_layer_keeps_the_outputs_and_the_adaptive_trace_and_changes_the_trace_as_the_lesson_says(small):
    land, theta = small
    layers = land.scale_free(theta[None])
    assert len(layers) == 2
    for name, part in layers.items():
        new = bad_minima.resized(theta, {name: part}, torch.tensor([2.0], dtype=torch.float64))
        assert torch.allclose(land.outputs(new, land.x), land.outputs(theta, land.x), atol=1e-4)  # but for ε
        before, after = dense_hessian(land, theta).diagonal(), dense_hessian(land, new).diagonal()
        layer = float(before[part].sum())
        assert abs(layer) > 0.1 * abs(float(before.sum()))
        told = layer / 4 + float(before.sum()) - layer  # as the lesson says, with a = 2
        assert float(after.sum()) == pytest.approx(told, rel=1e-3)
        assert float(new**2 @ after) == pytest.approx(float(theta**2 @ before), rel=1e-3, abs=1e-5)


def test_measures_are_those_of_the_whole_hessian(small):
    land, theta = small
    layers = land.scale_free(theta[None])
    single = land.to(torch.float32)
    found = bad_minima.measures(single, theta[None].float(), 4000, layers)[0]
    whole = dense_hessian(land, theta)
    named = dict(zip(bad_minima.COLUMNS, found.tolist(), strict=True))
    inside = sum(float(whole.diagonal()[part].sum()) for part in layers.values())
    spread = 4 * float((2 * whole.square().sum() / 4000).sqrt())  # of Hutchinson's mean, at most
    assert named["trace"] == pytest.approx(float(whole.trace()), abs=spread)
    assert named["layers"] == pytest.approx(inside, abs=spread)
    assert named["top"] == pytest.approx(float(torch.linalg.eigvalsh(whole)[-1]), rel=1e-3)
    scaled = theta[:, None] * whole * theta
    spread = 4 * float((2 * scaled.square().sum() / 4000).sqrt())
    assert named["adaptive"] == pytest.approx(float(scaled.trace()), abs=spread)


def test_the_plain_networks_rescaling_keeps_outputs_and_the_adaptive_trace(generator):
    x = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    land = Network(mlp(4, 3, 3, 2).double(), x, torch.randint(2, (20,), generator=generator))
    theta = land.initial(generator)
    new = bad_minima.rescaled(land, theta, 3.0)
    assert torch.allclose(land.outputs(new, x), land.outputs(theta, x))
    before, after = dense_hessian(land, theta).diagonal(), dense_hessian(land, new).diagonal()
    assert float(new**2 @ after) == pytest.approx(float(theta**2 @ before))
    into, out, rest = (float(before[part].sum()) for part in (slice(15), slice(15, 24), slice(24, None)))
    assert float(after.sum()) == pytest.approx(into / 9 + out * 9 + rest)  # of weights and biases into the first layer


# --- the recording ---------------------------------------------------------------------------------------------------


def test_both_recorded_roads_pass_the_same_functions_at_the_norms_that_are_said():
    land, matched, trained = bad_minima.landscape(), bad_minima.road(), bad_minima.road("trained")
    here = matched.pivots[::11]
    there = trained.pivots[::11]
    assert torch.allclose(land.outputs(there, land.x[:50]), land.outputs(here, land.x[:50]), atol=0.02)
    layers = list(land.scale_free(here).values())
    assert len(layers) == 2
    for part, factor in zip(layers, KEPT["factors"][0], strict=True):
        norms = matched.pivots[:, part].norm(dim=1)
        assert torch.allclose(norms, norms[:1].expand_as(norms), rtol=1e-3)
        grown = trained.pivots[:, part].norm(dim=1) / norms
        assert float(grown[0]) == pytest.approx(1, abs=1e-4)
        assert float(grown[-1]) == pytest.approx(float(factor), rel=1e-4)


def test_the_recorded_columns_are_those_of_the_recorded_road():
    land = bad_minima.landscape()
    for which in bad_minima.ROADS:
        theta, table = bad_minima.road(which).at(WHERE.float()), KEPT[f"{which}/along"][0]
        assert torch.allclose(land.loss(theta), column(table, "loss"), rtol=1e-4)
        assert torch.allclose(land.accuracy(theta, "test"), column(table, "test"), atol=0.0021)  # one digit
        assert torch.allclose(theta.norm(dim=1), column(table, "norm"), rtol=1e-4)
        trace = land.trace(theta[[0, 7, 14]], generator=torch.Generator().manual_seed(3), num_probes=16)
        assert torch.allclose(trace.value, column(table, "trace")[[0, 7, 14]], rtol=0.25)  # 16 probes each: 5 % twice


# --- what the lesson says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", ["five", "held_out"])
def test_all_points_of_the_roads_fit_the_training_digits_and_the_bad_ends_fail_on_others(shown):
    along = pairs("matched/along", shown)
    assert float(column(along, "train").min()) == 1.0
    assert float(column(along, "loss").max()) < 0.512
    test = column(along, "test")
    assert bool((test[:, 0] - test[:, -1] > 0.1).all())  # ten points on each pair
    assert bool((-test.diff(dim=1) < (test[:, :1] - test[:, -1:]) / 2).all())  # no border
    assert float(column(pairs("line", shown), "loss").max(1).values.min()) > 0.53  # the control has a hill


def test_the_numbers_of_round_1():
    along = pairs("matched/along", "five")
    test, loss = column(along, "test").mean(0), column(along, "loss").mean(0)
    assert float(test[0]) == pytest.approx(0.97, abs=0.005)
    assert float(test[-1]) == pytest.approx(0.72, abs=0.005)
    assert [float(loss[0]), float(loss[-1]), float(column(along, "loss").max())] == pytest.approx(
        [0.501, 0.509, 0.509], abs=5e-4
    )
    assert float(column(along, "loss").min()) > road.FLOOR
    assert float(test[7]) == pytest.approx(0.97, abs=0.005)  # in the middle
    assert float(test[0] - test[9]) < 0.1 * float(test[0] - test[-1])  # the fall is in the last third
    assert QUESTIONS[0].right == "late"


def test_the_scale_decides_how_much_sharper_the_bad_end_is_and_the_adaptive_trace_does_not_see_it():
    trained, matched = over(measures.times("normed", "trace")), over(measures.times("normed", "trace", 1.0))
    assert float(trained.value) == pytest.approx(1.5, abs=0.05)
    assert float(matched.value) == pytest.approx(15, abs=0.5)
    assert float(KEPT["factors"][:5].mean()) == pytest.approx(3.5, abs=0.1)
    for network in measures.NETWORKS:
        each = torch.stack([measures.times(network, "adaptive", factor) for factor in measures.FACTORS])
        assert torch.allclose(each, each[:1].expand_as(each), rtol=0.02)  # the ε of the norms
        assert bool((each > 1.5).all())
    assert float(over(measures.times("normed", "trace", 4.0)).value) < float(trained.value) * 1.1
    assert QUESTIONS[1].right == "bad"


def test_in_the_plain_network_the_traces_are_nearly_equal_and_the_bad_end_flatter_by_the_largest_curvature():
    trace, top, adaptive = (over(measures.times("plain", name)) for name in measures.MEASURES)
    assert [float(trace.value), float(trace.error)] == pytest.approx([0.88, 0.07], abs=0.006)
    assert float(top.value) == pytest.approx(0.2, abs=0.02)
    assert float(adaptive.value) == pytest.approx(19, abs=0.5)
    assert float(over(measures.times("plain", "trace", 4.0)).value) > 4  # a factor turns it round
    ends = KEPT["plain/ends"][:, :2]
    assert float(column(ends, "loss").max()) < 1e-4
    assert float(column(ends, "train").min()) == 1.0
    good, bad = column(ends[:5], "test").mean(0)
    assert bad < 0.5 * good


def test_the_lessons_formula_says_what_was_measured_at_every_factor():
    values, matched = pairs("normed/ends", "five"), 2 + measures.FACTORS.index(1.0)
    trace, layers = (column(values, name) for name in ("trace", "layers"))
    for factor in measures.FACTORS:
        told = (layers[:, matched] / factor**2 + trace[:, matched] - layers[:, matched]) / trace[:, 0]
        found = measures.times("normed", "trace", factor)
        assert float(told.mean()) == pytest.approx(float(found.mean()), rel=0.01, abs=0.1)  # probes: 3 % of each part


@pytest.mark.parametrize("shown", ["five", "held_out"])
def test_noise_takes_walkers_to_the_good_end_and_without_it_they_stay(shown):
    for start in STARTS:
        moved = effect("matched", "label", start, shown)
        least = 5 if shown == "five" else 3  # three pairs know their error less well
        assert float(moved.value) > least * float(moved.error)
        still = common.track("matched", "none", start, shown)
        assert abs(float(still.value[-1]) - start) < 0.05
    moved = effect("matched", "label", 0.95, shown)
    assert float(moved.value) > 0.2
    assert float(KEPT["matched/label/outside"].max()) < 0.05
    assert QUESTIONS[2].right == "good"


def test_batches_without_noise_on_the_labels_hardly_move_walkers():
    for start in (0.5, 0.8, 0.95):
        noisy, alone = (effect("matched", noise, start, "five") for noise in ("label", "batch"))
        assert abs(float(alone.value)) < 0.1 * float(noisy.value)


def test_the_same_noise_moves_nobody_at_the_norms_as_trained():
    for start in STARTS:
        assert abs(float(effect("trained", "label", start, "five").value)) < 0.01


def test_the_noise_is_close_to_the_curvature_and_the_walkers_themselves_read_more_digits():
    land, theta = bad_minima.landscape(), bad_minima.road().at(WHERE.float()[[0, 7, 14]])
    ratio = land.noise_trace(theta) / column(KEPT["matched/along"][0], "trace")[[0, 7, 14]]
    assert torch.allclose(ratio, torch.ones(3), atol=0.2)
    noisy, still = (KEPT[f"matched/{noise}/own"][:5, 3].double().mean(-1) for noise in ("label", "none"))
    assert [float(noisy.mean()), float(still.mean())] == pytest.approx([0.89, 0.81], abs=0.006)
    gained = over(noisy - still)
    assert float(gained.value) > 5 * float(gained.error)
    shaken = [KEPT[f"matched/{noise}/own"][:5, 2].double().mean() for noise in ("label", "none")]
    assert [float(each) for each in shaken] == pytest.approx([0.90, 0.94], abs=0.006)
    hot = 0.1 / (0.1 * 32) * column(KEPT["matched/along"][:5], "trace") / column(KEPT["matched/along"][:5], "loss")
    assert hot.mean(0)[[0, -1]].tolist() == pytest.approx([0.5, 7.4], abs=0.1)  # T over T*, with C = H


def test_linear_theory_is_right_within_what_is_said():
    for shown in ("five", "held_out"):
        for start in STARTS:
            told, found = common.law("matched", "label", start, shown), common.track("matched", "label", start, shown)
            assert abs(float(told[-1]) - float(found.value[-1])) < 0.04
    assert common.law("matched", "batch", 0.5, "five") is None  # the profile's noise is another


# --- explorers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_every_control_of_an_explorer_answers_briefly(name):
    sentences = drive(MADE[name])
    same_from_anywhere(MADE[name], lambda: CHAPTER.explorers[name](0))
    for said in sentences.values():
        assert len(re.findall(r"(?<![\w.])\d[\d.,]*", said)) <= 10
        assert len(said) < 330  # three lines


def numbers(sentence):
    return [float(found.rstrip(".,").replace(",", "")) for found in re.findall(r"\d[\d,]*\.?\d*", sentence)]


def test_the_sentence_of_the_road_says_what_was_recorded():
    along, line = (KEPT[name][5:8, 9].double() for name in ("matched/along", "line"))
    place = road.POSITIONS[9]
    said = numbers(MADE["road"].draw(bad_position=place, bad_shown="held_out").sentence)
    test = along[:, 2]
    wanted = [place, along[:, 0].mean(), line[:, 0].mean(), along[:, 1].mean(), test.mean(), test.std() / 3**0.5]
    assert said[:6] == pytest.approx([float(number) for number in wanted], abs=6e-4)


def test_the_sentence_of_the_measures_says_what_was_recorded():
    said = numbers(MADE["measures"].draw(bad_factor=2.0).sentence)
    ratio = KEPT["normed/ends"][:5, :, 4].double()
    trained, now = ratio[:, 1] / ratio[:, 0], ratio[:, 2 + measures.FACTORS.index(2.0)] / ratio[:, 0]
    assert said[:2] == pytest.approx([float(trained.mean()), float(trained.std() / 5**0.5)], abs=6e-3)
    assert said[2:4] == pytest.approx([2, float(now.mean())], rel=6e-3)


# --- the learner's functions -----------------------------------------------------------------------------------------


def test_the_border_is_where_every_later_fall_is_sure_by_a_plain_loop():
    accuracy = column(pairs("matched/along", "five"), "test")
    found = float(ANSWER["8.1"](WHERE, accuracy))
    sure = []
    for place in range(len(WHERE)):
        falls = [float(row[0] - row[place]) for row in accuracy]
        error = statistics.stdev(falls) / math.sqrt(len(falls))
        sure.append(statistics.fmean(falls) > 2.8 * error)
    place = WHERE.tolist().index(found)
    assert all(sure[place:])
    assert not sure[place - 1]
    sentence = CHAPTER.explorers["road"](0, yours=ANSWER["8.1"]).sentence
    assert f"From {found:.2f} on" in sentence
    assert "Made by your function" in sentence


def test_the_learners_measure_of_real_networks_is_what_no_resizing_changes():
    *_, last = measures.asked(Yours(ANSWER["8.2"], measures.adaptive), 2.0, 0)
    good, trained, resized = map(float, last.result.each)
    assert trained == pytest.approx(resized, rel=0.02)  # the ε of the norms
    assert trained / good == pytest.approx(float(measures.times("normed", "adaptive")[0]), rel=0.35)  # four probes
    *_, trace = measures.asked(
        Yours(lambda theta, product, probes: probes[0] @ product(probes[0]), measures.adaptive), 2.0, 0
    )
    assert trace.result.each[1] < 0.7 * trace.result.each[2]  # what the lesson asks the learner to see


def test_a_track_by_theorys_velocities_is_theorys_track():
    for start in STARTS:
        track = ANSWER["8.3"](start, *common.velocity("matched", "label", "five"), walk.STEPS)
        law = common.law("matched", "label", start, "five")
        assert torch.allclose(track[common.records().long()], law, atol=0.01)  # straight lines between the places
    explorer = CHAPTER.explorers["walk"](0, yours=lambda *given: 1 / 0)
    assert "ZeroDivisionError" in explorer.sentence
    assert "track" not in explorer.draw(bad_case="batch").sentence


def test_the_sentence_of_the_walk_says_what_was_recorded():
    sentence = MADE["walk"].draw(bad_start=0.5, bad_case="trained").sentence
    rows = KEPT["trained/label/position"][:5, -1, 1].double().mean(1)
    assert f"from 0.50 to {float(rows.mean()):.3f} ± {float(rows.std() / 5**0.5):.3f}" in sentence
    still = KEPT["trained/none/position"][:5, -1, 1].double().mean()
    assert f"without noise to {float(still):.3f}" in sentence
    law = KEPT["trained/label/law"][:5, -1, 1].double().mean()
    assert f"Linear theory says {float(law):.3f}." in sentence


def test_the_opening_reads_the_digits_with_the_shipped_weights():
    land = bad_minima.landscape()
    good, bad = bad_minima.road().pivots[[0, -1]]
    said = numbers(MADE["ends"].draw(bad_page=2).sentence)
    each = [land.outputs(theta, land.test[0]).argmax(-1) == land.test[1] for theta in (good, bad)]
    assert said[:2] == [13, 24]
    assert said[2:4] + said[5:7] == [*(int(row[12:24].sum()) for row in each), *(int(row.sum()) for row in each)]
    assert [float(land.accuracy(theta)) for theta in (good, bad)] == [1.0, 1.0]
    assert ends.PAGES[-1] * ends.EACH <= 500


def test_a_bet_is_drawn_where_it_was_made_and_taken_away_again():
    bet = ([0, 0.5, 1], [0.9, 0.75, 0.6])
    for ghost in ([0.9, 0.75, 0.6], None):
        drawn = panel(figure(MADE["road"], ghost=ghost), "Accuracy")
        assert (drawn.follows(GREY, *bet) > 0.4) == (ghost is not None)
    for ghost in (30.0, None):
        drawn = panel(figure(MADE["measures"], ghost=ghost), "bad end over")
        assert drawn.shows(GREY, [30.0], [1.84], reach=9).all() == (ghost is not None)
    for ghost in (0.3, None):
        drawn = panel(figure(MADE["walk"], ghost=ghost), "Position")
        assert (drawn.follows(GREY, [1050, 2100], [0.3, 0.3]) > 0.4) == (ghost is not None)


def test_a_curve_is_read_on_straight_lines_between_even_positions():
    curve = torch.tensor([0.0, 1.0, 0.0])
    assert [at(curve, place) for place in (-0.1, 0.0, 0.25, 0.5, 1.0, 1.2)] == pytest.approx([0, 0, 0.5, 1, 0, 0])


@pytest.mark.parametrize("name", ["ends", "road", "measures"])
def test_the_code_under_an_explorer_gives_its_numbers(name):
    names = run_code(MADE[name].code(**MADE[name].values))
    if name == "ends":
        assert float(names["land"].accuracy(names["bad"])) == 1.0
    if name == "road":
        assert torch.equal(names["test"], KEPT["matched/along"][:5, :, 2])
    if name == "measures":
        assert torch.allclose(names["resized"].double(), measures.times("normed", "trace", 1.0))


@pytest.mark.parametrize("case", walk.CASES)
def test_the_code_of_a_release_makes_it_anew(case, monkeypatch):
    short = bad_minima.RECIPE["drift"]
    monkeypatch.setitem(bad_minima.RECIPE, "drift", short | {"steps": short["record_every"]})  # the beginning will do
    names = run_code(MADE["walk"].code(bad_start=0.95, bad_case=case, bad_shown="one"))
    told = KEPT["/".join((*walk.CASES[case], "position"))][0, 1]
    assert torch.allclose(names["release"].position[1].unflatten(0, told.shape), told, atol=2e-3)


def test_the_button_lets_sixteen_walkers_go_and_says_what_they_did(monkeypatch):
    monkeypatch.setitem(walk.LIVE, "steps", 90)
    explorer = walk.walk(0)
    sentence = explorer.run()
    assert "Pair 1, noisy labels, 16 walkers live" in sentence
    assert "after 90 steps" in sentence
    again = list(walk.live("matched", "label", 0.95))[-1].result
    assert isinstance(again, ee.Release)
    assert f"to {float(again.position[-1].double().mean()):.3f}" in sentence
    explorer.set(bad_case="batch")  # the recorded picture is as it was
    assert explorer.shown == MADE["walk"].draw(**explorer.values)


def test_the_lesson_asks_and_shows_what_the_chapter_holds():
    source = Path(__file__).parents[2] / "lessons" / "src" / "08_bad_valleys.py"
    calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
    named = {
        (node.func.attr, node.args[0].value)
        for node in calls
        if getattr(node.func, "attr", "") in ("predict", "explore")
    }
    assert named == {("predict", q.name) for q in QUESTIONS} | {("explore", name) for name in CHAPTER.explorers}

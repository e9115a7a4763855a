"""Lesson 08: the recording from its own weights, the rescaling, what the lesson says, and every explorer."""

import ast
import itertools
import math
import re
from pathlib import Path

import pytest
import torch
from explorers import drive, figure, run_code, same_from_anywhere
from pictures import faded, panel

from entropic_edu import recorded
from entropic_edu.course.bad_valleys import CHAPTER, EXERCISES, QUESTIONS, ends, measures, release, road, walk
from entropic_edu.course.bad_valleys.common import column, over
from entropic_edu.data import digits
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.physics.curvature import dense_hessian
from entropic_edu.physics.drift import Records, drift
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.path import Path as Road
from entropic_edu.recorded import bad_minima
from entropic_edu.teaching.sheet import GREY

KEPT = recorded.load("bad_minima")
MADE = {name: make(0) for name, make in CHAPTER.explorers.items()}
TRACE, ADAPTIVE, TEST = (bad_minima.COLUMNS.index(name) for name in ("trace", "adaptive", "test"))


@pytest.fixture
def small(generator):
    """A network of 4-3-3-2 units in float64, and three weight vectors."""
    x = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(2, (20,), generator=generator)
    land = Network(mlp(4, 3, 3, 2).double(), x, y, test=(x, y))
    return land, torch.stack([land.initial(generator) for _ in range(3)])


# --- rescaling and measures ------------------------------------------------------------------------------------------


def test_rescaling_keeps_every_output_and_the_adaptive_trace_and_changes_the_trace_as_exercise_8_2_says(small):
    land, theta = small
    new = bad_minima.rescaled(land, theta, 3.0)
    assert torch.allclose(land.outputs(new, land.x), land.outputs(theta, land.x))
    sizes = [12, 3, 9]  # weights and biases into the first hidden layer, weights out of it
    answer = {exercise.number: exercise.truth for exercise in EXERCISES}
    for before, after in zip(theta, new, strict=True):
        old, now = dense_hessian(land, before).diagonal(), dense_hessian(land, after).diagonal()
        into, out = float(old[:15].sum()), float(old[15 : sum(sizes)].sum())
        rest = float(old[sum(sizes) :].sum())
        assert float(now.sum()) == pytest.approx(answer["8.2"](3.0, into, out, rest))
        assert answer["8.3"](after, now) == pytest.approx(answer["8.3"](before, old))


def test_each_weight_vector_can_have_a_factor_of_its_own(small):
    land, theta = small
    factors = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    each = torch.stack([bad_minima.rescaled(land, t, float(a)) for t, a in zip(theta, factors, strict=True)])
    assert torch.allclose(bad_minima.rescaled(land, theta, factors), each)


def test_the_factor_gives_the_norm_that_was_wanted_and_the_least_where_that_is_out_of_reach(small):
    land, theta = small
    wanted = 2.5 * float(theta[0].norm())
    factor = bad_minima.factor_for(land, theta[0], wanted)
    assert factor > 1
    assert float(bad_minima.rescaled(land, theta[0], factor).norm()) == pytest.approx(wanted)
    least = float(bad_minima.rescaled(land, theta[0], bad_minima.factor_for(land, theta[0], 0.0)).norm())
    others = [float(bad_minima.rescaled(land, theta[0], a).norm()) for a in (0.3, 0.7, 1.0, 1.4, 3.0)]
    assert least <= min(others) + 1e-9


def test_the_matched_road_has_the_same_functions_in_the_same_order_and_ends_of_one_norm():
    land, found = bad_minima.landscape(), release.road("found")
    other = bad_minima.matched(land, found)
    assert torch.allclose(land.data_loss(other.pivots), land.data_loss(found.pivots), rtol=1e-3)
    assert torch.equal(other.pivots[-1], found.pivots[-1])
    assert float(other.pivots[0].norm()) == pytest.approx(float(other.pivots[-1].norm()), rel=1e-5)


def test_the_measures_are_those_of_the_dense_hessian(small):
    land, theta = small
    found = bad_minima.measures(land, theta, 40)
    for row, t in zip(found, theta, strict=True):
        hessian = dense_hessian(land, t)
        assert float(row[TRACE]) == pytest.approx(float(hessian.trace()), rel=1e-5)
        assert float(row[ADAPTIVE]) == pytest.approx(float((t**2 * hessian.diagonal()).sum()), rel=1e-5)
        top = float(torch.linalg.eigvalsh(hessian)[-1])
        assert float(row[bad_minima.COLUMNS.index("top")]) == pytest.approx(top, rel=1e-3)  # Lanczos stops at 0.001
        assert float(row[bad_minima.COLUMNS.index("norm")]) == pytest.approx(float(t.norm()), rel=1e-6)


def test_poison_keeps_the_true_labels_and_all_others_are_wrong():
    clean, land = bad_minima.landscape("cross_entropy"), bad_minima.poisoned("cross_entropy")
    assert torch.equal(land.y[:400], clean.y)
    y = digits().y
    assert len(land.y) == 800
    assert not (land.y[400:] == y[400:800]).any()


# --- the recording ---------------------------------------------------------------------------------------------------


def test_the_shipped_weights_have_the_shipped_numbers():
    land = bad_minima.landscape("cross_entropy")
    stages = bad_minima.RECIPE["stage"]["cross_entropy"]
    for side, name in enumerate(("good", "bad")):
        again = bad_minima.measures(land, KEPT[f"cross_entropy/{name}"][None])[0]
        told = KEPT["cross_entropy/rescaled"][measures.ALPHAS.index(1.0), side, stages, 0]
        assert torch.allclose(again, told, rtol=2e-3)  # sums in another order; Lanczos to 0.001
    whole = release.road("found")
    again = bad_minima.measures(bad_minima.landscape(), whole.at(torch.linspace(0, 1, 13)))
    assert torch.allclose(again, KEPT["squared/road"][0], rtol=5e-3)


def test_a_release_anew_from_the_shipped_road_makes_the_shipped_positions():
    every = bad_minima.RECIPE["drift"]["record_every"]
    for which, noise in (("found", "label"), ("matched", "minibatch")):
        land = bad_minima.landscape(label_noise=0.5 if noise == "label" else 0.0)
        chosen = bad_minima.settings(noise, 4) | {"steps": every}
        made = drift(land, release.road(which), **chosen | {"record_every": Records(every, theta=True)})
        name = f"{which}/{'label4' if noise == 'label' else 'batch4'}"
        # half precision, and sums in another order that 180 noisy steps have carried on
        assert torch.allclose(made.position[1], KEPT[f"{name}/position"][0, 1], atol=2e-3)
        own = land.accuracy(made.theta[1], "test")
        assert float((own - KEPT[f"{name}/own"][0, 1]).abs().mean()) < 0.01


def test_the_curves_beside_a_release_are_those_of_the_road():
    land = bad_minima.landscape()
    for which in release.ROADS:
        path = release.road(which)
        fine = land.accuracy(path.at(torch.linspace(0, 1, 101)), "test")
        assert torch.allclose(fine, KEPT[f"{which}/fine"][0], atol=0.005)  # two digits of 500, on the edge
        row = bad_minima.measures(land, path.at(torch.linspace(0, 1, 25)))
        assert torch.allclose(row[:, TRACE], KEPT[f"{which}/profile"][0, 0], rtol=2e-3)


def test_the_tiny_recipe_made_twice_is_the_same_and_has_the_keys_of_the_shipped_one():
    one, two = (recorded.record("bad_minima", tiny=True, say=lambda line: None) for _ in range(2))
    assert list(one) == list(two)
    for key, value in one.items():
        assert type(value) is type(two[key])
        if isinstance(value, torch.Tensor):
            assert torch.equal(value.nan_to_num(-7), two[key].nan_to_num(-7)), key
        else:
            assert isinstance(value, Road)
            assert torch.equal(value.pivots, two[key].pivots)
    pattern = re.compile(r"(label|batch)\d+")  # fewer batch sizes in the miniature
    assert {pattern.sub(r"\1", key) for key in one} == {pattern.sub(r"\1", key) for key in KEPT}


# --- what the lesson says --------------------------------------------------------------------------------------------


def test_all_bad_networks_fit_the_training_digits_and_fail_on_the_others():
    values = KEPT["poison/road"]
    assert float(column(values, "train").min()) == 1.0
    assert float(column(values, "loss").max()) < 0.002
    gaps = column(values, "train") - column(values, "test")
    assert float(gaps[:, 0].mean()) == pytest.approx(0.05, abs=0.005)
    assert float(gaps[:, -1].mean()) == pytest.approx(0.48, abs=0.005)
    assert float(column(values, "test")[:, -1].max()) < 0.6


def test_test_accuracy_sinks_bit_by_bit_on_every_pair():
    for kind in ("poison", "squared"):
        for accuracy in column(KEPT[f"{kind}/road"], "test"):
            assert road.largest_step(accuracy) < 1 / 3  # no border, as a reply says
    mean = column(KEPT["poison/road"], "test").mean(0)
    assert float(mean.max()) < float(mean[0]) + 0.01
    assert float(mean.min()) > float(mean[-1]) - 0.01
    assert road.largest_step(torch.tensor([0.9, 0.9, 0.5, 0.5])) == 1.0
    assert QUESTIONS[0].right == "sinks"


def test_all_data_at_once_costs_a_hundredth():
    test = column(KEPT["large/road"], "test")
    lost = over(test[:, 0] - test[:, -1])
    # independent runs, so the errors of both means add in squares
    error = math.hypot(*(float(over(test[:, end]).error) for end in (0, -1)))
    assert float(lost.value) == pytest.approx(0.011, abs=0.0015)
    assert error == pytest.approx(0.005, abs=0.001)


def test_the_bad_end_has_the_smaller_trace_as_trained_an_equal_one_at_equal_loss_and_a_larger_adaptive_trace():
    at = measures.joined("cross_entropy")
    found = measures.tracks("cross_entropy", "trace")
    assert bool((found.bad[at] < 0.5 * found.good[at]).all())  # each of five pairs
    assert QUESTIONS[1].right == "bad"
    _, equal = measures.times_at_equal_loss(found)
    assert abs(float(equal.value) - 1) < 2.5 * float(equal.error) < 0.3
    _, top = measures.times_at_equal_loss(measures.tracks("cross_entropy", "top"))
    assert float(top.value) < 0.5
    _, adaptive = measures.times_at_equal_loss(measures.tracks("cross_entropy", "adaptive"))
    assert float(adaptive.value) == pytest.approx(6, abs=1)
    squared = measures.tracks("mse", "adaptive")
    assert bool((squared.bad[-1] > 2 * squared.good[-1]).all())


def test_a_rescaling_turns_the_order_of_the_traces_and_leaves_the_adaptive_trace():
    at = measures.joined("mse")
    for alpha in measures.ALPHAS:
        found, plain = measures.tracks("mse", "adaptive", alpha), measures.tracks("mse", "adaptive")
        assert torch.allclose(found.good, plain.good, rtol=1e-4)
        assert torch.allclose(found.good_loss, plain.good_loss, rtol=1e-2)
        assert torch.equal(found.bad, plain.bad)
    order = [float(measures.times(measures.tracks("mse", "trace", a), at).value) > 1 for a in (1.0, 4.0)]
    assert order == [True, False]


def test_a_ratio_at_equal_loss_is_read_on_power_laws_and_missing_where_losses_do_not_overlap():
    loss = torch.tensor([[1e-2], [1e-3], [1e-4]], dtype=torch.float64)
    found = measures.Tracks(loss, 5 * loss**0.5, 0.1 * loss, 10 * (0.1 * loss) ** 0.5)
    at, ratio = measures.times_at_equal_loss(found)
    assert at == pytest.approx(math.sqrt(1e-3 * 1e-4))
    assert float(ratio.value) == pytest.approx(2)
    assert measures.times_at_equal_loss(found._replace(bad_loss=1e-4 * loss)) is None


def end_of(which, kind, start, quantity=release.tracks):
    track = quantity(which, kind, start, "three")
    return float(track.value[0]), float(track.value[-1]), float(track.error[-1])


def test_label_noise_takes_walkers_from_the_bad_end_and_no_noise_leaves_them():
    for kind, least in (("label16", 0.02), ("label4", 0.08), ("label1", 0.15)):
        position = KEPT[f"found/{kind}/position"][..., release.walkers_from(0.95, 24)].mean(-1)
        quiet = KEPT["found/none/position"][..., release.walkers_from(0.95, 3)].mean(-1)
        assert bool((quiet[:, -1] - position[:, -1] > least).all())  # on each of three pairs, beyond the control
    assert QUESTIONS[2].right == "good"
    before, after, _ = end_of("found", "label1", 0.95, release.accuracy_at)
    assert after > before + 0.15
    cooled = release.cooled("found", "label1", 0.95, "three")
    assert float(cooled.value) > before + 0.15


def test_walkers_leave_the_good_end_too_and_on_the_matched_road_the_middle_for_worse():
    before, after, error = end_of("found", "label1", 0.1)
    assert after - before > 3 * error
    before, after, error = end_of("matched", "label1", 0.5)
    assert after - before > 3 * error
    walkers = release.walkers_from(0.5, 24)
    position, fine = KEPT["matched/label1/position"][..., walkers].double(), KEPT["matched/fine"].double()
    for pair in range(3):  # on each road, the test accuracy of the place and, once cooled, of the walkers themselves
        before, after = (float(release.at(fine[pair], position[pair, row]).mean()) for row in (0, -1))
        assert before - after > 0.02
        assert before - float(KEPT["matched/label1/cooled"][pair, walkers].mean()) > 0.02


def test_weight_decay_alone_moves_walkers_further_than_the_hottest_noise():
    for which in release.ROADS:
        assert end_of(which, "decay", 0.95)[1] < end_of(which, "label1", 0.95)[1] - 0.03


def test_mini_batches_with_true_labels_move_no_further_than_no_noise_from_the_bad_end():
    for which in release.ROADS:
        for size in release.BATCHES:
            batch, still = end_of(which, f"batch{size}", 0.95)[1], end_of(which, "none", 0.95)[1]
            assert abs(batch - still) < 0.003
    moved = KEPT["cross_entropy/moved"]
    assert float((moved[0] - moved[2]).abs().max()) < 0.002  # the same on the cross-entropy road of pair 0


def test_the_law_of_label_noise_holds_where_the_noise_is_weak_and_fails_where_the_lesson_says():
    for which in release.ROADS:
        for start in release.STARTS:
            _, after, error = end_of(which, "label16", start)
            said = float(release.law(which, "label16", start, "three")[-1])
            assert abs(after - said) < max(3 * error, 0.02)
    assert abs(float(release.law("matched", "label1", 0.5, "three")[-1]) - end_of("matched", "label1", 0.5)[1]) > 0.05


def test_the_loss_of_two_bad_ends_is_not_yet_on_the_floor():
    losses = column(KEPT["squared/road"], "loss")[:, -1]
    assert losses.sort().values[-2:].tolist() == pytest.approx([4e-4, 9e-4], rel=0.05)
    assert int((losses < 1e-4).sum()) == 3
    assert int(losses.argmax()) in bad_minima.RECIPE["released"]


# --- walkers that left -----------------------------------------------------------------------------------------------


def test_walkers_that_left_are_not_in_the_mean():
    gone = ~release.stayed("matched", "label1", 0.1)
    assert int(gone.sum()) == release.left("matched", "label1", 0.1, "three") > 0
    position = KEPT["matched/label1/position"].double()[..., release.walkers_from(0.1, 24)]
    means = torch.stack([rows[:, ~out].mean(1) for rows, out in zip(position, gone, strict=True)])
    assert torch.allclose(release.tracks("matched", "label1", 0.1, "three").value, means.mean(0))
    assert "left the valley and are not counted" in MADE["walk"].draw(bad_start=0.1, bad_road="matched").sentence


# --- explorers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_every_control_of_an_explorer_answers(name):
    drive(MADE[name])
    same_from_anywhere(MADE[name], lambda: CHAPTER.explorers[name](0))


def numbers(sentence):
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*\.?\d*(?:e-\d+)?", sentence)]


def test_the_sentence_of_the_road_says_what_was_recorded():
    place = 9
    values = KEPT["squared/road"][:, place].double()
    said = numbers(
        MADE["road"].draw(bad_position=road.POSITIONS[place], bad_kind="squared").sentence.split("At position")[1]
    )
    loss, test = over(values[:, 0]), over(values[:, TEST])
    wanted = [0.75, loss.value, loss.error, values[:, 1].mean(), test.value, test.error]
    assert said[:4] == pytest.approx([float(number) for number in wanted[:4]], rel=0.05, abs=6e-6)
    assert said[5] == pytest.approx(float(test.error), abs=6e-4)  # three decimals are said
    assert said[4] == pytest.approx(float(test.value), abs=6e-4)


def test_the_sentence_of_the_measures_says_what_was_recorded():
    said = numbers(MADE["measures"].draw(bad_alpha=4.0).sentence.split("tr H is")[1])
    values = KEPT["cross_entropy/rescaled"][..., TRACE].double()
    good, bad = values[4, 0, 2], values[2, 1, 2]
    assert said[0] == pytest.approx(float(good.mean()), rel=6e-3)
    assert said[3] == pytest.approx(float(bad.mean()), rel=6e-3)
    assert said[6] == pytest.approx(float((bad / good).mean()), abs=6e-3)


def test_the_sentence_of_the_walk_says_what_was_recorded():
    sentence = MADE["walk"].draw(bad_start=0.5, bad_road="matched", batch_size=4).sentence
    rows = KEPT["matched/label4/position"][:, -1, 8:16].double().mean(1)
    assert f"they are at {float(rows.mean()):.3f} ± {float(rows.std() / 3**0.5):.3f}" in sentence
    cooled = KEPT["matched/label4/cooled"][:, 8:16].mean()
    assert f"the walkers have {float(cooled):.3f}" in sentence


def test_the_opening_reads_the_digits_with_the_shipped_weights():
    land = bad_minima.landscape("cross_entropy")
    for name in ("good", "bad"):
        theta = KEPT[f"cross_entropy/{name}"]
        right = int((land.accuracy(theta, "test") * 500).round())
        sentence = MADE["ends"].draw(bad_network=name, bad_page=2).sentence
        assert sentence.endswith(f"of all 500 it reads {right}.")
        assert "400 of its 400" in sentence
        shown = land.outputs(theta, land.test[0][12:24]).argmax(-1) == land.test[1][12:24]
        assert f"it reads {int(shown.sum())} of 12" in sentence


def _at_the_end(network, column):
    """Mean over the pairs of a column at the end of training of networks as trained, cross-entropy."""
    values = KEPT["cross_entropy/rescaled"][measures.ALPHAS.index(1.0), ("good", "bad").index(network)].double()
    return float(values[2, :, bad_minima.COLUMNS.index(column)].mean())


def test_a_bet_is_drawn_where_it_was_made_and_taken_away_again():
    grey, bet = faded(GREY, 0.8), ([0, 0.5, 1], [0.9, 0.75, 0.4])
    for ghost in ([0.9, 0.75, 0.4], None):
        drawn = panel(figure(MADE["road"], ghost=ghost), "Accuracy")
        assert (drawn.follows(grey, *bet) > 0.4) == (ghost is not None)
    bad_loss, times = _at_the_end("bad", "loss"), 30.0
    for ghost in (times, None):
        drawn = panel(figure(MADE["measures"], ghost=ghost, bad_measure="trace"), "training loss")
        square = drawn.shows(GREY, [bad_loss], [times * _at_the_end("good", "trace")], reach=9)
        assert square.all() == (ghost is not None)
    for ghost in (0.3, None):
        drawn = panel(figure(MADE["walk"], ghost=ghost, bad_start=0.95), "Position")
        assert (drawn.follows(grey, [0, 1980], [0.95, 0.3]) > 0.4) == (ghost is not None)


def test_a_curve_is_read_on_straight_lines_between_even_positions():
    curve = torch.tensor([0.0, 1.0, 0.0])
    where = torch.tensor([0.0, 0.25, 0.5, 1.0])
    assert release.at(curve, where).tolist() == pytest.approx([0, 0.5, 1, 0])


def test_labels_that_would_cover_each_other_are_moved_apart():
    picture = walk.Walk()
    mean = Mean(torch.tensor([0.5, 0.5]), torch.zeros(2))
    picture.way_of(torch.tensor([0, 1980]), mean, mean, mean, Mean(torch.tensor(0.5), torch.tensor(0.01)))
    heights = sorted(one.get_position()[1] for one in (picture.nearest.name, picture.own.name, picture.calm_name))
    assert min(b - a for a, b in itertools.pairwise(heights)) > 0.08


@pytest.mark.parametrize("name", ["ends", "road", "measures"])
def test_the_code_under_an_explorer_gives_its_numbers(name):
    explorer = MADE[name]
    names = run_code(explorer.code(**explorer.values))
    if name == "ends":
        assert float(names["land"].accuracy(names["theta"])) == 1.0
    if name == "road":
        assert torch.equal(names["test"], KEPT["poison/road"][..., TEST])
    if name == "measures":
        found = measures.tracks("cross_entropy", "trace")
        assert torch.equal(names["good"].double(), found.good)
        assert torch.equal(names["bad"].double(), found.bad)


@pytest.mark.parametrize("noise", release.NOISES)
def test_the_code_of_a_release_makes_it_anew(noise, monkeypatch):
    recipe = dict(bad_minima.RECIPE["drift"])
    monkeypatch.setitem(bad_minima.RECIPE, "drift", recipe | {"steps": recipe["record_every"]})  # the beginning will do
    names = run_code(
        MADE["walk"].code(**MADE["walk"].values | {"bad_noise": noise, "bad_road": "matched", "batch_size": 16})
    )
    told = KEPT[f"matched/{release.kind_of(noise, 16)}/position"][0, 1]
    assert torch.allclose(names["release"].position[1], told, atol=2e-3)


def test_the_button_lets_sixteen_walkers_go_and_says_what_they_did(monkeypatch):
    monkeypatch.setattr(release, "LIVE_STEPS", 90)
    explorer = walk.walk(0)
    explorer.set(batch_size=4)
    sentence = explorer.run()
    assert "16 walkers on pair 1" in sentence
    assert "after 90 steps" in sentence
    again = list(release.live("found", "labels", 4, 0.95))[-1].result.position[-1].double()
    assert f"they are at {float(again.mean()):.3f}" in sentence
    explorer.set(batch_size=1)  # the recorded picture is as it was
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
    assert ends.PAGES[-1] * ends.EACH <= 500

"""Lesson 07: its recording against shipped weights, barriers and heights against plain loops, words against numbers."""

import dataclasses
import math
import re
import statistics

import pytest
import torch
from explorers import Bet, drive, figure, run_code
from pictures import panel

import entropic_edu as ee
from entropic_edu import recorded
from entropic_edu.course.late_game import CHAPTER, QUESTIONS, measures, race
from entropic_edu.course.late_game.average import gain
from entropic_edu.course.late_game.axes import decades, power
from entropic_edu.course.late_game.hill import highest
from entropic_edu.course.late_game.live import landscape, live
from entropic_edu.course.late_game.measures import (
    SCALES,
    STEPS,
    TASKS,
    barrier,
    even_batch,
    fall,
    fallen,
    family,
    halves,
    heights,
    jackknifed,
    kept,
    line,
    number,
    order,
    over_trunks,
    rates,
    ratio,
    rise,
    rises,
    with_error,
)
from entropic_edu.figures.plots import BLUE, GREEN, PURPLE, RED
from entropic_edu.physics.curvature import hutchinson_trace
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.results import Result
from entropic_edu.recorded import late_game
from entropic_edu.teaching.sheet import GREY

MADE = {name: make(0) for name, make in CHAPTER.explorers.items()}
ASKED = {"barriers": "order", "slopes": "force", "average": "mean"}
RIGHT = {question.name: question for question in QUESTIONS}


# --- the recording -------------------------------------------------------------------------------------------------


def test_curves_of_the_shipped_pair_are_what_its_weights_give():
    land, place = landscape("forty"), STEPS.index(late_game.RECIPE["kept"])
    found, (a, b) = family("forty"), kept()["forty/pair"]
    with torch.no_grad():
        theta = torch.stack([a + share * (b - a) for share in found.positions.float()])
        loss = torch.stack([torch.nn.functional.cross_entropy(land.outputs(row, land.x), land.y) for row in theta])
        right = torch.stack(
            [(land.outputs(row, land.test[0]).argmax(1) == land.test[1]).float().mean() for row in theta]
        )
    assert torch.allclose(loss, found.data_loss[0, place, 0], rtol=1e-4)  # float32
    assert torch.allclose(right, found.test_accuracy[0, place, 0])
    assert float((a - b).norm()) == pytest.approx(float(kept()["forty/length"][0, place]), rel=1e-5)
    some = theta[[0, 5]]
    trace = hutchinson_trace(
        land, some, num_probes=200, generator=torch.Generator().manual_seed(0), weight_decay=False
    )  # an estimate of another route than the recorded exact trace
    assert bool(((trace.value - found.trace[0, place, 0, [0, 5]]).abs() < 4 * trace.error).all())

    def one(x, y):
        def of(flat):
            return torch.nn.functional.cross_entropy(land.outputs(flat, x[None]), y[None])

        return torch.func.grad(of)(theta[5])

    each = torch.func.vmap(one)(land.x, land.y)
    variance = float((each - each.mean(0)).square().sum(1).mean())
    assert variance == pytest.approx(float(kept()["forty/noise"][0, place, 0, 5]), rel=1e-3)


def test_the_miniature_is_the_same_twice_and_of_the_form_of_the_recording():
    first, second = (recorded.record("late_game", tiny=True, say=lambda line: None) for _ in range(2))
    assert list(first) == list(kept())
    for name, value in first.items():
        other = second[name]
        assert type(value) is type(kept()[name])
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other)
            assert value.ndim == kept()[name].ndim
        elif isinstance(value, Result):
            assert torch.equal(value.trace, other.trace)
        else:
            assert value == other
    assert kept().recipe == late_game.RECIPE


def test_labels_are_redrawn_in_the_share_that_the_words_tell():
    wrong = {task: kept()[f"{task}/wrong"] for task in TASKS}
    # a share r drawn anew leaves r · 9/10 wrong, give or take three binomial errors of 600
    own = ee.data.digits().y[:600]
    for task, share in (("forty", 0.4), ("fifth", 0.2), ("clean", 0.0)):
        assert float((landscape(task).y != own).double().mean()) == wrong[task]
        assert abs(wrong[task] - 0.9 * share) <= 3 * math.sqrt(0.25 / 600) * (share > 0)
    assert torch.equal(landscape("forty").test[1], ee.data.digits().test_y)


# --- round 1 -------------------------------------------------------------------------------------------------------


def test_barriers_are_what_a_plain_loop_finds():
    found = family("forty")
    for name, curves in (("loss", found.data_loss), ("trace", found.trace)):
        plain = torch.tensor(
            [[max(c) - max(c[0], c[-1]) for c in rows] for rows in curves[:, :, 0].double().tolist()]
        ).double()
        ends = torch.tensor([[max(c[0], c[-1]) for c in rows] for rows in curves[:, :, 0].tolist()]).double()
        assert torch.allclose(barrier("forty", name, "raw"), plain, atol=1e-9)
        assert torch.allclose(barrier("forty", name, "share"), plain / plain[:, 0].mean(), atol=1e-9)
        assert torch.allclose(barrier("forty", name, "ends"), plain / ends, atol=1e-6)


def test_a_barrier_has_fallen_where_it_stays_below():
    k = torch.tensor([0.0, 10.0, 20.0, 40.0])
    assert fall(k, torch.tensor([4.0, 0.5, 5.0, 0.0]), 1.0) == pytest.approx(36.0)
    assert fall(k, torch.tensor([0.5, 0.5, 0.5, 0.5]), 1.0) == 0.0
    assert math.isnan(fall(k, torch.tensor([4.0, 0.5, 2.0, 1.5]), 1.0))


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = torch.tensor([1.0, 4.0, 2.0, 7.0], dtype=torch.float64)[:, None]
    found = jackknifed(values, lambda some: float(some.mean()))
    assert float(found.error) == pytest.approx(float(over_trunks(values).error))


@pytest.mark.parametrize("task", ["forty", "fifth", "decay"])
def test_as_shares_of_their_first_height_the_loss_barrier_falls_first(task):
    loss, trace = (fallen(task, name, "share") for name in ("loss", "trace"))
    assert float(trace.value - loss.value) > 5 * math.hypot(float(loss.error), float(trace.error))
    assert RIGHT["order"].right == "loss"


def test_over_the_ends_the_order_is_the_reverse():
    loss, trace = (fallen("forty", name, "ends") for name in ("loss", "trace"))
    assert float(loss.value - trace.value) > 5 * math.hypot(float(loss.error), float(trace.error))
    assert float(loss.value - trace.value) == pytest.approx(190, abs=10)  # as the key points say
    shares = [fallen("forty", name, "share") for name in ("loss", "trace")]
    assert float(shares[1].value - shares[0].value) == pytest.approx(280, abs=10)


def test_settings_that_give_no_order_are_shown_to_give_none():
    loss, trace = (fallen("clean", name, "share") for name in ("loss", "trace"))
    assert abs(float(trace.value - loss.value)) < 2 * math.hypot(float(loss.error), float(trace.error))
    assert barrier("squared", "trace", "share") is None
    assert float(barrier("squared", "loss", "raw")[:, 0].min()) > 0
    assert "no share" in MADE["barriers"].draw(task="squared").sentence


def test_curvature_follows_the_loss_on_one_curve_for_all_k():
    found = family("forty")
    at = {k: [] for k in (0, 120, 240, 480)}
    for k, values in at.items():
        place = STEPS.index(k)
        for loss, trace in zip(found.data_loss[:, place, 0], found.trace[:, place, 0], strict=True):
            top = int(loss.argmax())
            for side in (range(top + 1), range(len(loss) - 1, top - 1, -1)):
                for i, j in zip(list(side), list(side)[1:], strict=False):
                    if loss[i] <= 0.05 < loss[j]:  # on a straight line between two points
                        share = (0.05 - loss[i]) / (loss[j] - loss[i])
                        values.append(float(trace[i] + share * (trace[j] - trace[i])))
    means = [sum(values) / len(values) for values in at.values()]
    assert max(means) / min(means) < 1.06  # while the height of the hill differs by a factor of 16
    raw = over_trunks(barrier("forty", "loss", "raw")).value
    assert float(raw[0] / raw[STEPS.index(480)]) > 15


def test_the_words_on_barriers_are_the_numbers():
    values = {name: over_trunks(barrier("forty", name, "share") * 100) for name in ("loss", "trace")}
    place = STEPS.index(480)
    assert [round(float(values[name].value[place])) for name in ("loss", "trace")] == [6, 32]
    sentence = MADE["barriers"].draw(parted=480).sentence
    for name in ("loss", "trace"):
        assert with_error(values[name], place) in sentence
        assert with_error(fallen("forty", name, "share")) in sentence
    assert "no error" in MADE["barriers"].draw(trunks="one").sentence


def test_the_opening_tells_the_highest_point_of_the_mean_hill():
    ends, top = highest(480)
    curve = family("forty").data_loss[:, STEPS.index(480), 0].double()
    assert float(top.value) == pytest.approx(float(curve.max(-1).values.mean()))
    assert with_error(top) in MADE["hill"].draw(parted=480).sentence
    assert float(ends.value) == pytest.approx(0.5 * float(curve[:, [0, -1]].sum(1).mean()))


def test_lines_and_points_stand_where_the_numbers_are():
    loss, trace = (over_trunks(barrier("forty", name, "ends")).value for name in ("loss", "trace"))
    bet = trace[0] * (loss / loss[0]).clamp(min=0) ** 2
    for ghost in (2.0, None):
        drawn = panel(
            figure(MADE["barriers"], ghost=ghost, task="forty", divided="ends", parted=1440), "Barriers, over"
        )
        for colour, values, share in ((BLUE, loss, 0.9), (RED, trace, 0.5)):
            assert drawn.follows(colour, STEPS, values) > share
            assert drawn.follows(colour, STEPS, 1.5 * values) < 0.2
        assert (drawn.follows(GREY, STEPS, bet) > 0.4) == (ghost is not None)


def test_an_axis_takes_the_powers_of_ten_that_hold_its_values():
    axis = decades(torch.tensor([0.02, 30.0]), "x")
    assert axis["xlim"] == (0.01, 100.0)
    assert list(axis["xticks"].values()) == ["0.01", "0.1", "1", "10", "100"]
    assert power(1e-5) == "10⁻⁵"


# --- the learner's functions ---------------------------------------------------------------------------------------


def test_a_share_and_an_order_are_what_plain_loops_find():
    curves = family("forty").data_loss[:, :, 0].double()
    each = [[max(c) - max(c[0], c[-1]) for c in rows] for rows in curves.tolist()]
    mean = [statistics.fmean(column) for column in zip(*each, strict=True)]
    assert measures.share(curves).tolist() == pytest.approx([height / mean[0] for height in mean])
    k, loss, trace, _ = race.barriers("forty")
    later = []
    for pair in zip(loss.tolist(), trace.tolist(), strict=True):
        gone = [min(at for i, at in enumerate(k.tolist()) if max(height[i:]) < 0.1) for height in pair]
        later.append(gone[1] - gone[0])
    error = statistics.stdev(later) / math.sqrt(len(later))
    assert order(k, loss, trace).tolist() == pytest.approx([statistics.fmean(later), error])


def test_the_loss_barrier_goes_first_on_the_digits_with_wrong_labels_and_last_in_the_normalised_net():
    explorer = MADE["race"]
    said = {row: explorer.draw(row=row).sentence for row in race.ROWS}
    for row in ("forty", "fifth", "decay"):
        assert "The loss barrier goes first" in said[row]
    for row in ("clean", "cifar_plain"):  # no order by that level; what is left just before tells it on CIFAR-10
        assert "within two errors of zero" in said[row]
    found = re.search(r"At k = ([\d,]+), .* (\d+) % of it .* (\d+) %", said["cifar_plain"])
    k, loss, trace = (int(each.replace(",", "")) for each in found.groups())
    children = recorded.load("late_cifar10")["plain/family"]
    at = children.at.tolist().index(k)
    assert loss < 40 < 90 < trace
    for shown, curve in ((loss, children.data_loss), (trace, children.trace)):
        left = children.relative_to_first(children.barrier(curve.double()))[:, at]
        assert shown == round(100 * float(left.mean()))
    run_code(f"from entropic_edu.course.late_game.measures import order\n{explorer.code(row='forty')}")
    assert "The curvature barrier goes first" in said["normalised"]


def test_at_the_even_batch_size_the_ratio_is_one():
    for place in (0, 3, 5):
        found = float(even_batch(*halves("forty", place), 0.05, 0.9))
        # of the mean curves here, of the mean of both sides there
        assert found == pytest.approx(16 * float(ratio("forty", 16, "start").value[place]), rel=0.03)


def test_a_learners_function_makes_the_picture_and_one_that_fails_is_told():
    twice = CHAPTER.explorers["barriers"](0, yours=lambda curves: 2 * measures.share(curves))
    plain = CHAPTER.explorers["barriers"](0, yours=measures.share)
    assert twice.values["divided"] == "yours"
    assert twice.draw().png != plain.draw().png
    assert "Made by your function" in twice.sentence
    drive(plain)
    failing = CHAPTER.explorers["slopes"](0, yours=lambda *given: ...)
    assert "not written yet" in failing.sentence
    assert failing.draw().png == MADE["slopes"].draw().png


# --- live ----------------------------------------------------------------------------------------------------------


def test_a_live_family_ends_as_the_recorded_ones_do():
    snapshots = list(live(0, "forty", 480))
    assert snapshots[0].total == snapshots[-1].done == family("forty").steps
    assert len(snapshots[1].result.trace) == 0
    assert not snapshots[-3].result.complete
    found = snapshots[-1].result
    assert found.complete
    high = float(found.data_loss.max() - found.data_loss[[0, -1]].max())
    each = barrier("forty", "loss", "raw")[:, STEPS.index(480)]
    assert abs(high - float(each.mean())) < 4 * float(each.std())
    explorer = MADE["barriers"]
    for result in (snapshots[1].result, found):
        _, sentence = explorer.work.show(result, **explorer.values)
        assert "trained now" in sentence
    assert number(high) in sentence
    assert explorer.draw(parted=480).png == CHAPTER.explorers["barriers"](0).draw(parted=480).png


def test_a_live_family_is_the_same_twice_and_another_for_another_seed():
    first, again, other = (list(live(seed, "forty", 2160))[-1].result for seed in (0, 0, 1))
    assert torch.equal(first.trace, again.trace)
    assert not torch.equal(first.trace, other.trace)


# --- round 2 -------------------------------------------------------------------------------------------------------


def test_a_rise_is_the_middle_less_both_ends():
    assert float(rise(torch.tensor([1.0, 5.0, 7.0, 2.0, 3.0]))) == 5.0


def test_the_entropic_height_is_half_the_temperature_times_the_rise_of_the_trace_from_point_to_point():
    found, noise = family("forty"), kept()["forty/noise"].double()
    loss, entropic = heights("forty")
    for trunk, k in ((0, 0), (3, 5), (7, 8)):
        trace, height = found.trace[trunk, k, 0].tolist(), 0.0
        spread = noise[trunk, k, 0].tolist()
        heat = [c / h / (2 * (1 - 0.9)) for c, h in zip(spread, trace, strict=True)]  # T at η/B = 1
        for place in range(1, len(trace)):
            height += 0.5 * 0.5 * (heat[place - 1] + heat[place]) * (trace[place] - trace[place - 1])
            assert float(entropic[trunk, k, place]) == pytest.approx(height, rel=1e-9, abs=1e-9)
    assert torch.equal(loss[..., 0], torch.zeros_like(loss[..., 0]))
    assert torch.equal(entropic[..., 0], torch.zeros_like(loss[..., 0]))


def test_at_the_batch_size_of_the_training_the_loss_rise_is_the_larger_for_every_k():
    share = ratio("forty", 16, "start")
    seen = share.value.isfinite()
    assert int(seen.sum()) >= 8
    assert bool((share.value[seen] + 4 * share.error[seen] < 1).all())
    assert RIGHT["force"].right == "never"
    top = int(share.value.nan_to_num().argmax())
    assert STEPS[top] in (240, 360, 480)
    assert float(share.value[top]) == pytest.approx(2 / 3, abs=0.05)  # "about two thirds"
    for k, told in ((0, 0.3), (240, 0.65), (480, 0.65), (720, 0.4)):  # as the lesson says
        assert float(share.value[STEPS.index(k)]) == pytest.approx(told, abs=0.05)
    hot = ratio("forty", 4, "start")
    assert torch.allclose(hot.value[seen], 4 * share.value[seen])
    assert bool((hot.value[seen] > 1).all())
    warm = ratio("forty", 8, "start")  # "at half the batch size entropy already leads between 240 and 480"
    assert [k for k, value in zip(STEPS, warm.value, strict=True) if value > 1] == [240, 360, 480]


def test_without_noise_nothing_rises_and_the_schedule_cools():
    _, entropic = rises("forty", None, "start")
    assert not bool(entropic.any())
    assert float(rates("forty", "now")[0]) == pytest.approx(0.05)
    assert float(rates("forty", "now")[-1]) == pytest.approx(0.025 * (1 + math.cos(math.pi * 1440 / 2220)))
    assert float(rates("squared", "start")[0]) == 0.3


def test_no_ratio_is_told_where_the_loss_does_not_rise():
    assert "no ratio" in MADE["slopes"].draw(parted=1440).sentence
    assert "no noise and the entropic rise is 0." in MADE["slopes"].draw(batch_size=None).sentence
    share = ratio("forty", 16, "start")
    assert with_error(share, STEPS.index(480)) in MADE["slopes"].draw(parted=480).sentence


def test_both_rises_are_drawn_at_their_heights():
    seen = figure(MADE["slopes"], task="forty", batch_size=16, rate_at="start", parted=480)
    drawn, below = panel(seen, "Rise from"), panel(seen, "Batch size")
    for colour, found, share in zip((BLUE, PURPLE), rises("forty", 16, "start"), (0.8, 0.4), strict=True):
        assert drawn.follows(colour, STEPS, over_trunks(found).value) > share
        assert drawn.follows(colour, STEPS, 3 * over_trunks(found).value) < 0.2
    share = ratio("forty", 16, "start").value
    there = share.isfinite()
    assert below.shows(PURPLE, torch.tensor(STEPS)[there], 16 * share[there]).all()
    assert not below.shows(PURPLE, torch.tensor(STEPS)[there], 16 * share[there] + 3).any()


# --- round 3 -------------------------------------------------------------------------------------------------------


def test_the_mean_of_siblings_gains_and_that_of_strangers_loses():
    siblings, strangers = (over_trunks(gain(line("forty", name)[1])) for name in ("siblings", "strangers"))
    assert float(siblings.value[0]) > 5 * float(siblings.error[0])
    assert float(strangers.value[0]) < -10 * float(strangers.error[0])
    assert with_error(Mean(siblings.value[0], siblings.error[0])) == "6.5 ± 0.5"
    assert with_error(Mean(strangers.value[0], strangers.error[0])) in ("-32 ± 3", "-32 ± 2")
    told = {}
    for task in ("clean", "fifth"):
        won = over_trunks(gain(line(task, "siblings")[1]))
        told[task] = with_error(Mean(won.value[0], won.error[0]))
    assert told == {"clean": "0.1 ± 0.3", "fifth": "2.5 ± 0.4"}  # as the lesson says
    late = siblings.value[STEPS.index(720)], siblings.error[STEPS.index(720)]
    assert with_error(Mean(*late)) == "1.1 ± 0.3"
    assert float(kept()["forty/length"][:, STEPS.index(720)].mean()) == pytest.approx(5.6, abs=0.05)
    loss = line("forty", "siblings")[0][:, 0].mean(0)
    assert float(loss[5] / loss[[0, -1]].mean()) > 20  # "more than twentyfold"


def test_a_gain_is_read_at_the_middle_in_percentage_points():
    assert float(gain(torch.tensor([0.5, 0.9, 0.7, 0.1, 0.6]))) == pytest.approx(15.0)


def test_the_average_draws_gains_and_the_pinned_line():
    explorer = CHAPTER.explorers["average"](0)
    siblings = over_trunks(gain(line("forty", "siblings")[1])).value
    for bet in (-3.0, None):
        drawn = panel(figure(explorer, ghost=bet, task="forty", parted=480), "Test accuracy of the mean")
        assert drawn.shows(GREEN, STEPS, siblings).all()
        assert not drawn.shows(GREEN, STEPS, siblings + 2).any()
        across = torch.linspace(10, 1430, 100)
        assert (drawn.shows(GREY, across, [-3.0] * 100, reach=2).mean() > 0.5) == (bet is not None)
    plain = explorer.draw(parted=480)
    explorer.pin()
    assert explorer.draw(parted=480).png != plain.png
    assert "pinned" in explorer.draw(parted=480).sentence


# --- every explorer ------------------------------------------------------------------------------------------------


def test_every_scale_is_drawn_for_every_task():
    for task in TASKS:
        for scale in SCALES:
            assert "nan" not in MADE["barriers"].draw(task=task, divided=scale).sentence
        assert "nan" not in MADE["slopes"].draw(task=task, parted=120).sentence


@pytest.mark.parametrize("name", ASKED)
def test_each_bet_shows_as_a_ghost(name):
    explorer = CHAPTER.explorers[name](0)
    pictures = {explorer.draw().png}
    for ghost in RIGHT[ASKED[name]].ghosts.values():
        explorer.cover(Bet(ghost))
        pictures.add(explorer.draw().png)
    assert len(pictures) == 1 + len(RIGHT[ASKED[name]].options)


def test_the_code_gives_the_numbers_of_the_sentence():
    names = run_code(MADE["barriers"].code(**MADE["barriers"].values))
    assert f"{100 * float(names['trace']):.0f} ±" in MADE["barriers"].draw().sentence
    names = run_code(MADE["slopes"].code(**MADE["slopes"].values))
    loss, entropic = (values[:, STEPS.index(480)] for values in rises("forty", 16, "start"))
    assert torch.allclose(names["loss"], loss)
    assert torch.allclose(names["entropic"], entropic)
    names = run_code(MADE["average"].code(**MADE["average"].values))
    assert with_error(over_trunks(names["gain"].double())) in MADE["average"].draw().sentence
    names = run_code(MADE["hill"].code(parted=480))
    assert float(names["top"]) == pytest.approx(0.062, abs=0.001)
    for divided in SCALES:
        run_code(MADE["barriers"].code(parted=0, task="squared", divided=divided, trunks="one"))


# --- words -----------------------------------------------------------------------------------------------------------


def test_numbers_are_written_with_the_digits_that_their_errors_leave():
    def mean(value, error):
        return Mean(torch.tensor(value, dtype=torch.float64), torch.tensor(error, dtype=torch.float64))

    assert with_error(mean(6.234, 0.53)) == "6.2 ± 0.5"
    assert with_error(mean(427.3, 14.2)) == "427 ± 14"
    assert with_error(mean(3.1e-6, 2.0e-6)) == "(3 ± 2) · 10⁻⁶"
    assert with_error(mean(0.0251, 0.0)) == "0.025"
    assert number(0) == "0"
    assert number(2.3e-5) == "2.3 · 10⁻⁵"


def test_a_recorded_family_says_how_it_was_made():
    found = family("forty")
    assert dataclasses.asdict(found)["recipe"]["batch_size"] == 16
    assert found.recipe == late_game.settings(late_game.RECIPE, "forty") | {"optimizer": "sgd", "schedule": "cosine"}
    assert float(found.positions[5]) == 0.5

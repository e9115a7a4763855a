"""Lesson 09: sentences are what was recorded, the live parts what the images give, and without images nothing fails."""

import math
import re
from pathlib import Path

import pytest
import torch
from explorers import Bet, drive, figure, run_code, same_from_anywhere
from pictures import Panel, panel

from entropic_edu import recorded
from entropic_edu.course.cifar import CHAPTER, QUESTIONS, live
from entropic_edu.course.cifar import common as C
from entropic_edu.course.cifar.both import Photos, accuracies, agrees, losses, picture, recorded_ends
from entropic_edu.course.cifar.bump import WHERE, digits_values, exactly, explained, over_groups, values
from entropic_edu.course.cifar.hook import line_loss
from entropic_edu.course.cifar.relaxation import bound, faster, partner, quarter, reached, remaining, settings, times
from entropic_edu.course.cifar.tracks import CONTROL, at_time, law, lowest, mean_of, together, track
from entropic_edu.course.cifar.walk import HOT
from entropic_edu.data import CLASSES, FOLDER, TRAIN_FILES, find_cifar10
from entropic_edu.figures.plots import BLACK, BLUE, PURPLE, RED
from entropic_edu.physics.noise import effective_temperature
from entropic_edu.physics.results import Result
from entropic_edu.recorded import cifar10, valley
from entropic_edu.teaching.sheet import GREY
from entropic_edu.teaching.strings import text

MADE = {name: make(0) for name, make in CHAPTER.explorers.items()}
SOURCE = (Path(__file__).parents[2] / "lessons" / "src" / "09_cifar10.py").read_text("utf-8")
BETS = dict(zip(("both", "bump", "walk"), QUESTIONS, strict=True))
with_images = pytest.mark.skipif(
    find_cifar10() is None,
    reason="no images of CIFAR-10: run  entropic-edu data fetch cifar10  or set ENTROPIC_EDU_DATA",
)


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine without images."""
    monkeypatch.delenv("ENTROPIC_EDU_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_cifar10() is None
    return tmp_path


def fresh(name):
    """An explorer of this name that has shown nothing yet."""
    return CHAPTER.explorers[name](0)


# --- round 1 --------------------------------------------------------------------------------------------------------


def test_the_hook_tells_the_digits_as_lessons_04_to_06_have_them():
    said = MADE["three"].draw(at_position=0.5).sentence
    land, road = valley.landscape(), valley.road(2)
    halfway = 0.5 * (road.pivots[0] + road.pivots[-1])
    with torch.no_grad():
        assert float(line_loss()[2, 12]) == pytest.approx(float(land.data_loss(halfway)), rel=1e-5)
    trace = torch.stack([recorded.load("bump")[f"pair{pair}/profile"].trace for pair in range(5)])
    assert f"the trace is {trace[:, 10].mean():.1f}, at the ends {trace[:, [0, -1]].mean():.1f}" in said
    end = recorded.load("let_go")["eta 0.02, B 16/position"][:, -1, 2].double().mean(-1)
    assert f"end at {end.mean():.2f} ± {end.std() / 5**0.5:.2f}" in said


def test_line_and_road_are_told_as_recorded():
    kept = recorded.load("cifar10")
    high = torch.stack([kept[f"pair{pair}/line_loss"].max() for pair in C.PAIRS]).double()
    road = torch.stack([kept[f"pair{pair}/road_loss"].max() for pair in C.PAIRS]).double()
    root = len(C.PAIRS) ** 0.5
    said = MADE["both"].draw(at_position=0, images_seen="new").sentence
    assert f"at most {high.mean():.2f} ± {high.std() / root:.2f} on the straight line" in said
    assert f"and {road.mean():.4f} ± {road.std() / root:.4f} on the road" in said
    assert str(kept["device"]) in said
    one = MADE["both"].draw(at_position=0.5, cifar_pair=2, images_seen="new").sentence
    middle = kept["pair1/line_accuracy"][1, 12]
    assert f"the accuracy on 1,000 new images is {middle:.3f} on the line" in one
    training = MADE["both"].draw(at_position=0.5, cifar_pair=2, images_seen="training").sentence
    assert f"the training images is {kept['pair1/line_accuracy'][0, 12]:.3f} on the line" in training


def test_the_picture_of_line_and_road_shows_the_recorded_curves_and_the_bet_where_it_is():
    kept, explorer = recorded.load("cifar10"), fresh("both")
    one = figure(explorer, ghost=0.2, at_position=0.25, cifar_pair=1, images_seen="new")
    top, low = panel(one, "CIFAR-10: data loss"), Panel(one.axes[3])
    line, road = kept["pair0/line_loss"], kept["pair0/road_accuracy"][1]
    assert top.follows(RED, torch.linspace(0, 1, len(line)), line) > 0.5
    assert top.follows(RED, torch.linspace(0, 1, len(line)), 1.5 * line) < 0.2
    assert low.follows(BLUE, torch.linspace(0, 1, len(road)), road) > 0.9
    near_the_top = torch.linspace(0.45, 0.55, 11)
    assert top.shows(GREY, near_the_top, [0.2] * 11).any()
    mean = torch.stack([kept[f"pair{pair}/road_loss"] for pair in C.PAIRS]).mean(0)
    top = panel(figure(explorer, at_position=0.25, images_seen="new"), "CIFAR-10: data loss")
    assert top.follows(BLUE, torch.linspace(0, 1, len(mean)), mean) > 0.9
    assert not top.shows(GREY, near_the_top, [0.2] * 11).any()


def test_the_line_is_as_bad_as_a_guess_and_the_road_is_right_on_every_training_image():
    line = losses("cifar")["line"].amax(1)
    assert bool(((line - math.log(10)).abs() < 0.25).all())
    assert float(accuracies("cifar", "new")["line"][:, 12].max()) < 0.2
    assert float(accuracies("cifar", "training")["road"].min()) > 0.995
    ghosts = BETS["both"].ghosts
    assert min(ghosts, key=lambda key: abs(math.log(ghosts[key] / float(line.mean())))) == BETS["both"].right


# --- round 2 --------------------------------------------------------------------------------------------------------


def test_the_bump_told_is_that_of_the_profiles():
    found = middle_over_ends(torch.stack([C.profile(pair).trace for pair in C.PAIRS]).double())
    said = MADE["bump"].draw(cifar_quantity="trace").sentence
    root = len(C.PAIRS) ** 0.5
    assert f"middle third over ends {found.mean():.2f} ± {found.std() / root:.2f}" in said
    small = torch.tensor([p.bump(p.trace) for p in (recorded.load("bump")[f"pair{n}/profile"] for n in range(5))])
    assert f"for digits {small.mean():.2f} ± {small.std() / 5**0.5:.2f}" in said
    one = MADE["bump"].draw(cifar_quantity="adaptive", cifar_pair=1, point=WHERE[3]).sentence
    assert f"and {C.profile(0).adaptive_trace[3]:.3g} at 0.25" in one


def test_the_share_that_the_loss_explains_is_that_of_exercise_9_2():
    truth = CHAPTER.exercises[1].truth
    where = torch.arange(13) / 12.0  # 1/3 and 2/3 among them, so a little inwards
    mean, error = truth(0.5 + 0.999 * (where - 0.5), values("data_loss"), values("trace"))
    said = MADE["bump"].draw().sentence
    assert f"would show {100 * mean:.0f} ± {100 * error:.0f} % of the rise" in said
    assert float(explained().mean()) == pytest.approx(float(mean))
    alone = MADE["bump"].draw(cifar_quantity="data_loss").sentence
    loss = middle_over_ends(values("data_loss"))
    assert f"The data loss alone: {loss.mean():.2f}" in alone


def middle_over_ends(each):
    """Mean over positions 4 to 8 of 13, over that of the two ends."""
    return each[:, 4:9].mean(1) / (0.5 * (each[:, 0] + each[:, -1]))


def test_the_objective_is_data_loss_and_weight_decay_and_agrees_with_the_road():
    for pair in C.PAIRS:
        kept = recorded.load("cifar10")[f"pair{pair}/road"]
        ends = C.objective()[pair][[0, -1]]
        assert torch.allclose(ends, kept.losses[[0, -1]].double(), rtol=1e-4)
    assert torch.equal(values("per_loss"), values("trace") / values("data_loss"))
    assert torch.equal(digits_values("adaptive_per_loss"), digits_values("adaptive") / digits_values("data_loss"))


def test_the_bet_on_the_bump_is_judged_by_what_was_recorded():
    trace = float(middle_over_ends(values("trace")).mean())
    ghosts = BETS["bump"].ghosts
    assert min(ghosts, key=lambda key: abs(math.log(ghosts[key] / trace))) == BETS["bump"].right
    assert bool((middle_over_ends(values("trace")) > middle_over_ends(values("data_loss"))).all())
    near_the_top = torch.linspace(0.45, 0.55, 11)
    for bet in (20.0, None):
        drawn = panel(figure(fresh("bump"), ghost=bet, cifar_quantity="trace", point=0.0), "Value / mean")
        assert drawn.shows(GREY, near_the_top, [20.0] * 11).any() == (bet is not None)
        mean = C.over_ends(values("trace")).mean(0)
        assert drawn.follows(RED, torch.linspace(0, 1, 13), mean) > 0.8
        assert drawn.follows(RED, torch.linspace(0, 1, 13), 1.2 * mean) < 0.2


# --- round 3 --------------------------------------------------------------------------------------------------------


def test_the_slider_holds_the_recorded_runs_from_cold_to_warm_and_no_others():
    control = next(one for one in MADE["walk"].controls if one.name == "cifar_run")
    assert set(control.options) == {
        name for name in cifar10.RECIPE["runs"] if f"{name}/step" in recorded.load("cifar10")
    }
    warmth = [effective_temperature(one["batch_size"], one["learning_rate"], 0.9) for one in settings().values()]
    assert list(control.options) == list(settings())
    assert warmth == sorted(warmth)
    assert control.options[0] == CONTROL
    assert control.shown(HOT) == "B 16, η 0.05"
    assert control.shown(CONTROL) == "all data"


def test_run_and_control_are_compared_at_equal_eta_times_steps():
    kept = recorded.load("cifar10")
    time = together(HOT)
    step = kept[f"{HOT}/step"].double() * 0.05
    assert time == pytest.approx(min(float(step[-1]), float(kept[f"{CONTROL}/step"][-1]) * 0.2))
    row = int((step <= time).sum()) - 1
    share = (time - step[row]) / (step[row + 1] - step[row]) if row + 1 < len(step) else 0.0
    each = kept[f"{HOT}/position"].double()[:, :, 0].mean(-1)
    where = torch.lerp(each[:, row], each[:, min(row + 1, len(step) - 1)], float(share))
    said = MADE["walk"].draw(cifar_run=HOT, released_at=0.3).sentence
    error = where.std() / len(C.PAIRS) ** 0.5
    assert f"{time:.0f}: {where.mean():.3f} ± {error:.3f}, without noise" in said
    found = at_time(HOT, 0.3, None, time)
    assert float(found.value) == pytest.approx(float(where.mean()))
    end = kept[f"{HOT}/position"].double()[1, -1, 1]
    one = MADE["walk"].draw(cifar_run=HOT, released_at=0.7, cifar_pair=2).sentence
    assert f"steps: {end.mean():.3f} ± {end.std() / len(end) ** 0.5:.3f} (linear theory" in one


def test_theory_takes_the_control_where_it_went_and_the_control_goes_to_the_lowest_point():
    for start in cifar10.RECIPE["starts"]:
        measured = mean_of(C.kept(f"{CONTROL}/position")[..., cifar10.RECIPE["starts"].index(start), :], None)
        assert torch.allclose(track(CONTROL, None, start), measured.value, atol=3e-3)
        left = [abs(float(measured.value[row]) - lowest(start, None)) for row in (0, -1)]
        assert left[1] < max(left[0], 0.01)
    where = int(C.objective()[0][:128].argmin())
    assert lowest(0.3, 1) == pytest.approx(where / (C.objective().shape[1] - 1))


def test_the_slope_of_the_law_is_that_of_the_objective_and_its_noise_that_of_predict():
    found, height = law(0, HOT), C.objective()[0]
    spacing = found.length / (len(height) - 1)
    slope = (height[101] - height[99]) / (2 * spacing)
    assert float(found.energy[100]) == pytest.approx(-0.5 * float(slope), rel=1e-6)
    assert torch.allclose(found.velocity, found.energy + found.noise)
    assert float(law(0, CONTROL).noise.abs().max()) == 0


def test_noise_takes_walkers_past_the_lowest_point_towards_their_end_on_every_pair():
    for start, sign in ((0.3, 1), (0.7, -1)):
        column = cifar10.RECIPE["starts"].index(start)
        hot = C.kept(f"{HOT}/position")[:, -1, column].mean(-1)
        still = C.kept(f"{CONTROL}/position")[:, -1, column, 0]
        assert bool((sign * (lowest(start, None) - hot) > 0.03).all())
        assert bool((sign * (still - hot) > 0.03).all())
    ghosts, end = BETS["walk"].ghosts, float(C.kept(f"{HOT}/position")[:, -1, 0].mean())
    assert min(ghosts, key=lambda key: abs(ghosts[key] - end)) == BETS["walk"].right


def test_the_time_to_a_level_of_an_exponential_is_known():
    time = torch.linspace(0, 300, 601, dtype=torch.float64)
    assert reached(time, 0.3 * torch.exp(-time / 80), 0.225) == pytest.approx(80 * math.log(4 / 3), rel=1e-3)
    assert math.isinf(reached(time, 0.3 * torch.exp(-time / 1e5), 0.225))
    assert reached(time, torch.full_like(time, 0.1), 0.2) == 0


def test_a_run_is_as_fast_as_itself_and_the_warm_one_many_times_as_fast_as_none():
    same = faster(CONTROL, CONTROL)
    assert (same.value, same.error) == (pytest.approx(1), pytest.approx(0))
    ratio = faster(HOT, CONTROL)
    end, slow, fast = float(times(CONTROL)[-1]), remaining(CONTROL), remaining(HOT)  # the control is the shorter run
    by_hand = [end / reached(times(HOT), f, float(s[-1])) for f, s in zip(fast, slow, strict=True)]
    assert ratio.value == pytest.approx(sum(by_hand) / len(by_hand))
    assert ratio.value > 3
    said = MADE["walk"].draw(cifar_run=HOT).sentence
    assert (
        f"{ratio.value:.3g} ± {ratio.error:.2g} times as fast as no noise (to {ratio.level:.3f} from the own end)"
        in said
    )
    assert faster(CONTROL, HOT).level == pytest.approx(ratio.level)
    assert all(0.5 < faster(name, CONTROL).value < 2 for name, one in settings().items() if one["batch_size"] == 256)


def test_both_sides_are_folded_onto_the_distance_from_the_own_end():
    position = C.kept(f"{HOT}/position")
    by_hand = 0.5 * (position[:, :, 0].mean(-1) + 1 - position[:, :, 1].mean(-1))
    assert torch.allclose(remaining(HOT), by_hand)
    each, length = quarter(CONTROL)
    assert bool(each.isinf().all())
    assert length == pytest.approx(float(times(CONTROL)[-1]))
    cold = quarter("eta 0.1, B 256")[1]
    assert f"on every pair, by η · steps = {cold:.0f}." in MADE["walk"].draw(cifar_run="eta 0.1, B 256").sentence


def test_where_batches_of_256_never_get_so_far_the_ratio_is_a_lower_bound():
    least = bound(HOT)
    longest = max(float(times(name)[-1]) for name, one in settings().items() if one["batch_size"] == 256)
    assert least.value == pytest.approx(longest / float(quarter(HOT)[0].mean()))
    assert f"at least {least.value:.1f} times as slow, a lower bound" in MADE["walk"].draw(cifar_run=HOT).sentence


def test_the_partner_of_a_run_has_its_rate_and_256_images():
    for name in settings():
        other = partner(name)
        if other is not None:
            assert other != name
            assert settings()[other]["batch_size"] == 256
            assert settings()[other]["learning_rate"] == settings()[name]["learning_rate"]
    assert partner("eta 0.1, B 64") == "eta 0.1, B 256"
    assert partner(CONTROL) is None


def test_the_picture_of_walkers_draws_run_control_theory_and_bet_where_they_are():
    run = mean_of(C.kept(f"{HOT}/position")[..., 0, :], None).value
    law = track(HOT, None, 0.3)
    away, still = (C.kept(f"{name}/distance")[:, 1:-1, 0].mean((0, -1)) for name in (HOT, CONTROL))
    seen = figure(fresh("walk"), ghost=0.62, cifar_run=HOT, released_at=0.3)
    drawn, below = panel(seen, "Position"), panel(seen, "Distance")
    assert drawn.follows(BLUE, times(HOT), run) > 0.9
    assert drawn.follows(BLUE, times(HOT), run + 0.03) < 0.1
    assert drawn.follows(PURPLE, times(HOT), law) > 0.4
    assert drawn.follows(GREY, [160, 290], [0.62, 0.62]) > 0.5
    assert below.follows(BLUE, times(HOT)[1:-1], away) > 0.9
    assert below.follows(BLACK, times(CONTROL)[1:-1], still) > 0.2
    drawn = panel(figure(fresh("walk"), cifar_run=CONTROL, released_at=0.3), "Position")
    assert drawn.follows(BLUE, times(CONTROL), mean_of(C.kept(f"{CONTROL}/position")[..., 0, :], None).value) > 0.2
    assert drawn.follows(GREY, [160, 290], [0.62, 0.62]) == 0


# --- without images -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BETS)
def test_without_images_a_button_says_how_to_get_them_and_what_is_recorded(name, nowhere):
    explorer = fresh(name)
    recorded_words = explorer.sentence
    said = explorer.run()
    assert "entropic-edu data fetch cifar10" in said
    assert "ENTROPIC_EDU_DATA" in said
    assert said.endswith(recorded_words)
    assert explorer.seconds() < 1


def test_a_copy_that_cannot_be_read_is_named_and_the_lesson_goes_on(nowhere, monkeypatch):
    folder = nowhere / FOLDER
    folder.mkdir()
    (folder / TRAIN_FILES[0]).write_bytes(b"cut short")
    live.landscape.cache_clear()
    monkeypatch.setenv("ENTROPIC_EDU_DATA", str(nowhere))
    said = fresh("both").run()
    assert "is missing from this copy of CIFAR-10" in said
    assert "Until then: Recorded" in said
    live.landscape.cache_clear()


def test_an_evaluation_agrees_only_where_it_is_that_of_the_recording():
    kept = recorded_ends(1)
    accuracy, few = torch.stack([kept["training"], kept["new"]]), torch.zeros(4)
    found = live.Evaluated(kept["loss"] * 1.0001, accuracy, torch.zeros(4, 3, 32, 32), few, few)
    assert agrees(found, 1)
    other = live.Evaluated(kept["loss"] * 1.01, accuracy, torch.zeros(4, 3, 32, 32), few, few)
    assert not agrees(other, 1)
    explorer = fresh("both")
    figure, words = explorer.work.show(other, at_position=0.5, cifar_pair=2, images_seen="new")
    assert "They do NOT agree" in words
    assert figure is not None
    assert "They agree." in explorer.work.show(found, at_position=0.5, cifar_pair=2, images_seen="new")[1]


def test_photos_are_drawn_as_they_were_before_they_were_normalised():
    pixels = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    from entropic_edu.data import MEAN, STD

    std, mean = torch.tensor(STD).view(3, 1, 1), torch.tensor(MEAN).view(3, 1, 1)
    assert torch.allclose(torch.as_tensor(picture((pixels - mean) / std)), pixels.permute(1, 2, 0), atol=1e-6)
    empty = torch.empty(0)
    photos = Photos()
    photos.show(live.Evaluated(torch.ones(2), empty, empty, empty, empty, complete=False), 0)
    assert not any(ax.images for ax in photos.axes)


def test_the_error_of_a_probe_is_that_of_its_groups_of_images():
    found = over_groups(live.Probed(torch.tensor([60.0, 80.0, 100.0]), 5.0))
    assert (float(found.value), float(found.error)) == (80.0, pytest.approx(20 / 3**0.5))
    assert math.isnan(float(over_groups(live.Probed(torch.empty(0), math.nan)).value))


def test_the_images_to_probe_are_the_first_of_those_recorded():
    class Land:
        x = torch.arange(5 * cifar10.RECIPE["first"])

        def subset(self, index):
            return index

    assert torch.equal(live.images(200), cifar10.sample(Land())[:200])


# --- with images ----------------------------------------------------------------------------------------------------


@with_images
def test_the_recorded_minima_evaluated_now_agree_with_the_recording():
    explorer = fresh("both")
    explorer.set(cifar_pair=2)
    said = explorer.run()
    assert "They agree." in said
    found = explorer.job.result
    assert torch.allclose(found.loss.double(), recorded_ends(1)["loss"], rtol=1e-3)
    assert all(CLASSES[int(truth)] in CLASSES for truth in found.classes)
    assert found.pixels.shape == (4, 3, 32, 32)


@with_images
def test_a_point_probed_now_agrees_with_the_recording_within_its_error():
    explorer = fresh("bump")
    explorer.set(point=0.0)
    said = explorer.run()
    found = explorer.job.result
    mean = over_groups(found)
    kept = float(values("trace")[0, 0])
    # 150 of 1,000 images; a few hard ones carry most of the trace, so that five groups understate its error
    assert abs(float(mean.value) - kept) < 4 * float(mean.error) + 0.5 * kept
    assert f"trace {mean.value:.3g}" in said
    assert f"λmax {found.top:.3g}" in said
    assert explorer.work.units(**explorer.values) == live.GROUPS + 5


@with_images
def test_walkers_let_go_now_are_near_the_road_and_near_the_recorded_ones(monkeypatch):
    monkeypatch.setattr(live, "DRAWS", 960)  # 60 steps
    explorer = fresh("walk")
    explorer.set(cifar_run=HOT)
    said = explorer.run()
    found = explorer.job.result
    assert int(found.step[-1]) == 60 == explorer.work.units(**explorer.values)
    assert f"they stand at {found.position[-1].mean():.4f}" in said
    assert abs(float(found.position[-1].mean()) - float(at_time(HOT, 0.3, 1, 60 * 0.05).value)) < 0.02
    assert float(found.distance[1:].mean()) < found.valley_radius


@with_images
def test_live_work_can_be_stopped_and_shows_what_there_is():
    for name in BETS:
        explorer = fresh(name)
        snapshot = next(iter(explorer.work.stream(**explorer.values)))
        assert isinstance(snapshot.result, Result)
        figure, words = explorer.work.show(snapshot.result, **explorer.values)
        assert figure is not None
        assert words
        assert exactly(0.5) == 0.5


# --- every explorer, and the prose ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_every_state_draws_without_a_warning_and_says_finite_numbers(name):
    drive(MADE[name])


@pytest.mark.parametrize("name", MADE)
def test_a_state_looks_the_same_whatever_was_drawn_before(name):
    same_from_anywhere(MADE[name], lambda: fresh(name))


@pytest.mark.parametrize("name", BETS)
def test_every_bet_shows(name):
    explorer = fresh(name)
    pictures = {explorer.draw().png}
    for ghost in BETS[name].ghosts.values():
        explorer.cover(Bet(ghost))
        pictures.add(explorer.draw().png)
    assert len(pictures) == 1 + len(BETS[name].ghosts)


@pytest.mark.parametrize("name", MADE)
def test_the_code_runs_and_names_how_to_make_it_anew(name, capsys):
    explorer = MADE[name]
    run_code(explorer.code(**explorer.values))
    printed = capsys.readouterr().out
    if name != "three":
        assert C.MADE in explorer.code(**explorer.values)
    wanted = {
        "three": f"{recorded.load('bump')['pair0/profile'].trace[10]:.2f}",
        "both": f"{C.kept('pair0/line_loss').max():.4f}",
        "bump": f"{middle_over_ends(C.profile(0).trace[None])[0]:.4f}",
        "walk": f"{C.kept('control/position')[0, -1, 0, 0]:.4f}",
    }[name]
    assert wanted in printed


def test_the_numbers_in_the_words_are_those_of_the_recordings():
    def told(pattern):
        found = re.search(pattern, re.sub(r"\n# +", " ", SOURCE))
        assert found, pattern
        return [float(number.replace(",", "")) for number in found.groups()]

    train, test = told(r"\| ([\d,]+) \+ 500 digits.*?\| [\d,]+ \+ ([\d,]+) photographs")
    assert (train, test) == (len(valley.landscape().x), cifar10.RECIPE["first"])
    small, large = told(r"([\d,]+) weights \|.*?([\d,]+) weights \|")
    assert (small, large) == (valley.landscape().dim, C.road(0).pivots.shape[1])
    (guess,) = told(r"= (2\.\d\d) \.\$\$")
    assert guess == pytest.approx(math.log(10), abs=5e-3)
    (near,) = told(r"test accuracy near (0\.\d\d)")
    assert near == pytest.approx(float(C.every("accuracy")[:, 1].mean()), abs=0.015)
    every = sorted({run["project_every"] for run in cifar10.RECIPE["runs"].values() if run["batch_size"]})
    assert [every[0], every[-1]] == told(r"every (\d+) to (\d+) steps")


def test_what_the_words_say_without_a_number_is_so():
    height = C.objective()
    assert bool((height[:, [0, -1]].mean(1) / height.amin(1) > 1.6).all())  # "nearly twice that of its lowest point"
    assert settings()["eta 0.1, B 64"]["learning_rate"] / 64 == pytest.approx(0.5 * 0.05 / 16)  # "half the temperature"
    gone = 1 - C.kept(f"{HOT}/position")[:, -1, 0].mean() / 0.3
    assert 0.25 < float(gone) < 0.45  # "a third of the way home"
    assert bool((middle_over_ends(values("adaptive")) < middle_over_ends(values("trace"))).all())
    left, digits = (float(C.bump(of("adaptive_per_loss")).mean()) for of in (values, digits_values))
    assert 1.1 < left < 1.5  # "divided by the loss only a little"
    assert f"{digits:.1f}" == "1.9"  # "on digits, at level loss"
    road = torch.tensor([C.road(pair).length / C.road(pair).straight_length for pair in C.PAIRS])
    assert bool(((road - 1.5).abs() < 0.1).all())  # "longer than the line, by half"
    rise = losses("cifar")["road"].amax(1) / losses("cifar")["road"][:, [0, -1]].mean(1)
    assert bool(((rise > 1.7) & (rise < 2.6)).all())  # "the data loss doubles in the middle"
    new = accuracies("cifar", "new")["road"]
    assert float((new - new[:, [0, -1]].mean(1, keepdim=True)).abs().mean()) < 0.03  # "about as good on new ones"


def test_the_words_of_check_9_1_and_the_bets_agree_with_the_recording():
    new = C.every("accuracy")[:, 1]
    right = text("09.exercise.accuracy.right")
    assert f"between {new.min():.3f} and {new.max():.3f}" in right
    assert float(new.max() - new.min()) < 2 * 2**0.5 * CHAPTER.exercises[0].truth(0.57, 1000)
    line = losses("cifar")["line"].amax(1)
    assert f"{line.min():.1f} to {line.max():.1f}" in text("09.question.hill.reply.guess")
    assert f"about {line_loss().amax(1).mean():.1f} " in text("09.question.hill.ask")

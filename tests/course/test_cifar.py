"""Lesson 09: sentences and pictures are what was recorded, live parts what the images give; nothing is dead without."""

import itertools
import math
import re
from pathlib import Path

import pytest
import torch
from explorers import Bet, drive, figure, run_code, same_from_anywhere
from pictures import panel

import entropic_edu as ee
from entropic_edu import recorded
from entropic_edu.course.cifar import CHAPTER, QUESTIONS, live
from entropic_edu.course.cifar import common as C
from entropic_edu.course.cifar.exercises import by_noise
from entropic_edu.course.cifar.hook import curves
from entropic_edu.course.cifar.walk import NOISY, Walk
from entropic_edu.data import FOLDER, TRAIN_FILES, find_cifar10
from entropic_edu.figures.plots import BLACK, BLUE, PURPLE, RED
from entropic_edu.recorded import cifar10, valley
from entropic_edu.teaching.check import check
from entropic_edu.teaching.sheet import GREY

MADE = {name: make(0) for name, make in CHAPTER.explorers.items()}
SOURCE = (Path(__file__).parents[2] / "lessons" / "src" / "09_cifar10.py").read_text("utf-8")
WORDS = re.sub(r"\n# +", " ", SOURCE)
BETS = dict(zip(("width", "walk", "rest"), QUESTIONS, strict=True))
ROOT = len(C.PAIRS) ** 0.5
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
    live.landscape.cache_clear()
    assert find_cifar10() is None
    yield tmp_path
    live.landscape.cache_clear()


def fresh(name):
    """An explorer of this name that has shown nothing yet."""
    return CHAPTER.explorers[name](0)


def own(key):
    """The recorded values of all pairs under one name."""
    return [recorded.load("cifar10")[f"pair{pair}/{key}"] for pair in C.PAIRS]


def over(each, form):
    """A mean with its standard error, as sentences write it."""
    each = torch.as_tensor(each, dtype=torch.float64)
    return f"{each.mean():{form}} ± {each.std() / len(each) ** 0.5:{form}}"


def middle_over_ends(each):
    """Mean over positions 4 to 8 of 13, over that of the two ends."""
    return each[:, 4:9].mean(1) / (0.5 * (each[:, 0] + each[:, -1]))


# --- what is told and drawn -----------------------------------------------------------------------------------------


def test_the_hook_tells_line_road_width_and_walkers_as_recorded():
    said = MADE["three"].draw(at_position=0.5).sentence
    line = torch.stack([each[12] for each in own("line_objective")]).mean()
    road = torch.stack([each[24] for each in own("road_objective")]).mean()
    assert f"the objective is {line:.2f} on the straight line and {road:.2f} on the road" in said
    trace = torch.stack([profile.trace for profile in own("profile")])
    assert f"{(trace[:, 6] / trace[:, [0, -1]].mean(1)).mean():.2f} times that of the ends" in said
    noisy, still = (
        torch.stack([run.position[-1, run.start < 0.5].mean() for run in own(name)]).mean()
        for name in ("hot", "no noise")
    )
    assert f"end at {noisy:.2f} with noise and at {still:.2f} without" in said
    land, ends = valley.landscape(), valley.road(1).pivots[[0, -1]]
    with torch.no_grad():
        assert float(curves()["digits"][1, 12]) == pytest.approx(float(land.loss(ends.mean(0))), rel=1e-5)


def test_the_bumps_told_are_those_of_the_profiles():
    for quantity, field in (("trace", "trace"), ("top", "top_eigenvalue"), ("adaptive", "adaptive_trace")):
        found = middle_over_ends(torch.stack([getattr(profile, field) for profile in own("profile")]).double())
        said = MADE["width"].draw(cifar_quantity=quantity).sentence
        written = over(found, ".3f") if found.std() / ROOT < 0.005 else over(found, ".2f")
        assert f"Middle third over ends: {written}, digits " in said
    kept = [recorded.load("bump")[f"pair{pair}/profile"] for pair in range(5)]
    small = torch.tensor([profile.bump(profile.trace) for profile in kept])
    assert f"digits {over(small, '.2f')}." in MADE["width"].draw(cifar_quantity="trace").sentence
    raw = own("raw")[0]
    built = MADE["width"].draw(cifar_quantity="built", cifar_pair=1).sentence
    assert f"Middle third over ends: {raw.trace[2:5].mean() / raw.trace[[0, -1]].mean():.2f}." in built


def test_the_road_is_level_and_narrower_by_every_measure_on_every_pair():
    loss, objective = (cifar10.along(field) for field in ("data_loss", "loss"))
    assert bool((loss.amax(1) < 1.1 * loss[:, [0, -1]].amin(1)).all())
    assert bool((objective.amax(1) < 1.02 * objective[:, [0, -1]].amin(1)).all())
    least = {"trace": 1.8, "top_eigenvalue": 1.8, "adaptive_trace": 1.5}
    for field, wanted in least.items():
        assert bool((middle_over_ends(cifar10.along(field)) > wanted).all())
    line, ends = cifar10.every("line_objective"), cifar10.every("road_objective")[:, [0, -1]]
    assert bool((line.amax(1) > ends.amax(1) + 0.3).all())
    assert float(cifar10.every("road_accuracy")[:, 0].min()) > 0.995


def test_walkers_and_theory_are_told_as_recorded():
    for name in NOISY:
        for start in C.STARTS:
            ends, still = ([run.position[-1, run.start == start].mean() for run in own(n)] for n in (name, "no noise"))
            law = [cifar10.theory(pair, name).track(start, own(name)[0].step)[-1] for pair in C.PAIRS]
            said = MADE["walk"].draw(cifar_run=name, released_at=start).sentence
            assert f"end at {over(ends, '.3f')}, without noise at {over(still, '.3f')}." in said
            assert f"Linear theory: {torch.stack(law).mean():.3f}" in said
            assert f"k = {cifar10.setting(name).project_every}:" in said


def test_noise_takes_walkers_home_on_every_pair_from_both_sides_the_further_the_warmer():
    homes = []
    for name in C.RUNS:
        run, home = cifar10.stacked(name)[:, -1].mean(-1), torch.tensor([0.0, 1.0], dtype=torch.float64)
        homes.append((run - home).abs())  # (pairs, starts)
    for colder, warmer in itertools.pairwise(homes):
        assert bool((warmer < colder).all())
    assert sorted(C.RUNS[1:], key=C.temperature) == list(C.RUNS[1:])
    assert float(torch.stack([run.outside.max() for name in NOISY for run in own(name)]).max()) == 0  # "no walker"


def test_what_is_said_of_theory_and_of_the_ends_holds_for_every_pair():
    for figures in own("figures"):
        broken = [claim for claim, holds in figures["claims"].items() if not holds]
        assert broken in ([], ["what noise moved is within 1.5 of linear theory (stable settings)"])
        assert min(figures["ends"]["moved"]) > 0.11
        assert max(figures["ends"]["moved"]) < 0.15
    ratios = {name: [figures["by_noise"][name]["ratio"][-1] for figures in own("figures")] for name in NOISY}
    means = {name: sum(each) / len(each) for name, each in ratios.items()}
    assert "1.26 times the theory for the coldest walkers, 1.5 times for the others" in WORDS
    assert f"{means['cold']:.2f}" == "1.26"
    assert f"{means['warm']:.1f}" == f"{means['hot']:.1f}" == "1.5"
    trace = torch.stack(own("settled"))[..., 2]
    assert bool((trace[:, 1] > 1.25 * trace[:, 0]).all())
    assert f"rises from {trace[:, 0].mean():.0f} to {trace[:, 1].mean():.0f}, at equal norm" in WORDS
    said = MADE["rest"].sentence
    assert f"by {over([100 * sum(f['ends']['moved']) / 2 for f in own('figures')], '.1f')} % of the road" in said
    assert f"trace from {over(trace[:, 0].mean(1), '.0f')} to {over(trace[:, 1].mean(1), '.0f')}." in said


def test_the_slopes_along_the_road_add_up_to_its_heights_and_noise_has_the_steeper_one():
    found = {name: (cifar10.rises(name), cifar10.where_they_went(name)) for name in NOISY}
    objective = cifar10.along("loss")
    height = objective[:, 6] - objective[:, [0, -1]].mean(1)
    for name, ((loss, noise), (slope, push)) in found.items():
        torch.testing.assert_close(loss, height, atol=4e-3, rtol=0)
        assert bool((noise > 3 * loss.abs()).all()), name
        # a valley whose walls steepen by a factor f at one excess loss rises by that times ln f
        law = [cifar10.theory(pair, name).excess_loss.value for pair in C.PAIRS]
        least, most = (torch.stack([pick(each) for each in law]) for pick in (torch.min, torch.max))
        steeper = (cifar10.along("trace")[:, 6] / cifar10.along("trace")[:, [0, -1]].mean(1)).log()
        assert bool((least * steeper < noise).all() and (noise < most * steeper).all()), name
        assert bool((push > 2 * slope.abs()).all()), name
    times = torch.tensor([cifar10.setting(name).learning_rate / cifar10.setting(name).batch_size for name in NOISY])
    walked = torch.stack([found[name][1][1].mean() for name in NOISY])
    assert walked.argsort().equal(times.argsort())


def test_pictures_show_the_recorded_curves_where_they_are():
    hill = panel(figure(fresh("three"), at_position=0.0), "Objective")
    line, road = (torch.stack(own(f"{way}_objective")).mean(0) for way in ("line", "road"))
    assert hill.follows(RED, torch.linspace(0, 1, 25), line) > 0.5
    assert hill.follows(RED, torch.linspace(0, 1, 25), 1.3 * line) < 0.2
    assert hill.follows(BLUE, torch.linspace(0, 1, 49), road) > 0.9
    trace = C.Road(None).mean(cifar10.along("trace") / cifar10.along("trace")[:, [0, -1]].mean(1, keepdim=True)).value
    drawn = panel(figure(fresh("width"), cifar_quantity="trace"), "Value / mean")
    assert drawn.follows(BLUE, torch.linspace(0, 1, 13), trace) > 0.8
    assert drawn.follows(BLUE, torch.linspace(0, 1, 13), 1.2 * trace) < 0.2
    state = Walk(None, "hot", 0.3)
    drawn = panel(figure(fresh("walk"), ghost=0.5, cifar_run="hot", released_at=0.3), "Position")
    assert drawn.follows(BLUE, C.times("hot"), state.position.value) > 0.9
    assert drawn.follows(PURPLE, C.times("hot"), state.law.value) > 0.4
    assert drawn.follows(BLACK, C.times("no noise"), state.control.value) > 0.2
    assert drawn.follows(GREY, [500, 790], [0.5, 0.5]) > 0.4
    moved = (C.of_start("hot", 0.3) - 0.3).abs().mean(0) / 2 + (C.of_start("hot", 0.7) - 0.7).abs().mean(0) / 2
    assert panel(figure(fresh("rest")), "How far").follows(BLUE, C.times("hot"), moved) > 0.9


def test_the_right_answer_of_each_bet_is_nearest_to_what_was_recorded():
    trace = float(middle_over_ends(cifar10.along("trace")).mean())
    found = {"width": trace, "walk": float(C.of_start("hot", 0.3)[:, -1].mean())}
    found["rest"] = float(torch.stack(own("settled"))[:, 1, :, 2].mean())
    for name, value in found.items():
        ghosts = BETS[name].ghosts
        assert min(ghosts, key=lambda option: abs(math.log(ghosts[option] / value))) == BETS[name].right


# --- what learners write --------------------------------------------------------------------------------------------


def test_matched_is_what_the_library_does_to_a_road():
    land, built = cifar10.stand_in(), cifar10.road(0, matched=False)
    layers = [(part.start, part.stop) for part in built.scale_free(land).values()]
    row = 20
    place = float(built.marks[row])
    answer = CHAPTER.exercises[0].truth(built.pivots[row], built.pivots[0], built.pivots[-1], layers, place)
    assert torch.allclose(answer, cifar10.road(0).pivots[row], rtol=1e-4, atol=1e-6)


def test_by_noise_is_what_the_story_says_and_drives_the_picture():
    for name in NOISY:
        mean, error = by_noise(cifar10.stacked(name), cifar10.stacked("no noise"), C.STARTS[0])
        each = [f["by_noise"][name]["home"] - f["by_noise"][name]["home_without_noise"] for f in own("figures")]
        assert over(each, ".3f") == f"{mean:.3f} ± {error:.3f}"
    theirs = CHAPTER.explorers["walk"](0, yours=lambda noisy, control, start: [0.7, 0.0])
    assert "Made by your function." in theirs.sentence
    drawn = panel(figure(theirs, cifar_run="no noise"), "Way home")
    assert drawn.shows(BLUE, [C.temperature(name) for name in NOISY], [70.0] * 3).all()
    stub = CHAPTER.explorers["walk"](0, yours=lambda noisy, control, start: ...)
    assert "not written yet" in stub.sentence
    assert stub.draw().png == fresh("walk").draw().png


def test_settle_is_full_batch_descent():
    bowl, theta = ee.valleys.Waist(g_wide=2.0, g_narrow=2.0), torch.tensor([[0.4, 0.3]])
    run = ee.train(
        bowl,
        start=theta,
        generator=torch.Generator(),
        batch_size=None,
        learning_rate=0.1,
        momentum=0.5,
        epochs=7,
        schedule="constant",
    )
    gradient = lambda point: bowl.gradient(point[None])[0]  # noqa: E731
    answer = CHAPTER.exercises[2].truth(gradient, theta[0], 0.1, 0.5, 1.4)
    assert torch.allclose(answer, run.theta[0], atol=1e-6)


SLIPS = {  # that nobody listed, and what the reply must name
    "9.2": {
        "in per cent": (lambda noisy, control, start: 100 * by_noise(noisy, control, start), "100"),
        "the error left out": (lambda noisy, control, start: by_noise(noisy, control, start)[0], "2"),
        "printed": (lambda noisy, control, start: print(by_noise(noisy, control, start)), "return"),
        "not over start": (lambda noisy, control, start: start * by_noise(noisy, control, start), "start"),
    },
    "9.3": {
        "one step": (
            lambda gradient, theta, learning_rate, momentum, flow_time: theta - learning_rate * gradient(theta),
            "index",
        )
    },
}


@pytest.mark.parametrize(("number", "slip"), [(number, slip) for number in SLIPS for slip in SLIPS[number]])
def test_a_slip_that_nobody_listed_is_named(number, slip):
    exercise = next(each for each in CHAPTER.exercises if each.number == number)
    answer, word = SLIPS[number][slip]
    verdict = check("09", exercise, answer)
    assert not verdict.right
    assert word in verdict.message


# --- without images -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_without_images_words_stand_where_the_button_would_be(name, nowhere):
    explorer = fresh(name)
    shown = [each for row in explorer.widget.children if hasattr(row, "children") for each in row.children]
    assert explorer._page.run not in shown
    (words,) = [each.value for each in shown if "ee-absent" in each._dom_classes]
    assert "a button here" in words
    assert "entropic-edu data fetch cifar10" in words
    with pytest.raises(ValueError, match="entropic-edu data fetch cifar10"):
        explorer.run()


def test_a_copy_that_cannot_be_read_is_named_and_the_lesson_goes_on(nowhere, monkeypatch):
    (nowhere / FOLDER).mkdir()
    (nowhere / FOLDER / TRAIN_FILES[0]).write_bytes(b"cut short")
    monkeypatch.setenv("ENTROPIC_EDU_DATA", str(nowhere))
    explorer = fresh("width")
    assert "is missing from this copy of CIFAR-10" in explorer.work.absent
    assert "Recorded" in explorer.sentence
    assert explorer.widget is not None


# --- with images ----------------------------------------------------------------------------------------------------


@with_images
@pytest.mark.parametrize("name", MADE)
def test_live_work_shows_what_there_is_from_its_first_moment(name):
    explorer = fresh(name)
    stream = explorer.work.stream(**explorer.values)
    for snapshot, _ in zip(stream, range(2), strict=False):
        drawn, words = explorer.work.show(snapshot.result, **explorer.values)
        assert drawn is not None
        assert "nan" not in words
    assert snapshot.total == explorer.work.units(**explorer.values)
    stream.close()


@with_images
def test_a_trace_probed_now_is_that_of_the_recording(monkeypatch):
    monkeypatch.setattr(live, "PROBES", 8)
    explorer = fresh("width")
    said = explorer.run()
    found, kept = explorer.job.result.samples, own("profile")[0].trace
    assert torch.allclose(found.mean(0)[[0, 2, 4]], kept[[0, 6, 12]], rtol=0.35)  # 200 of 1,000 images, eight probes
    assert float(found[:, 2].mean() / found[:, [0, 4]].mean()) > 1.8
    assert "8 random probes on 200 images" in said


@with_images
@pytest.mark.soak
def test_walkers_and_ends_go_now_as_they_did():
    for name, value in (("walk", {"cifar_run": "hot"}), ("rest", {})):
        explorer = fresh(name)
        explorer.set(**value, cifar_pair=1)
        explorer.run()
        found = explorer.job.result
        if name == "walk":
            mean = found.position[-1, found.start < 0.5].mean()
            assert abs(float(mean) - float(C.of_start("hot", 0.3)[0, -1])) < 0.02
        else:
            assert abs(live.moved(found, 0) - sum(own("figures")[0]["ends"]["moved"]) / 2) < 0.01
    explorer = fresh("three")
    explorer.run()
    now = live.line(explorer.job.result)
    assert float(now.max()) > float(now[[0, -1]].max()) + 0.3


# --- every explorer, and the prose ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_every_state_draws_without_a_warning_and_captions_are_short(name):
    for words in drive(MADE[name]).values():
        assert len(words) <= 3 * 105, words
        assert len(re.findall(r"(?<!± )(?<![\d.])\d[\d,.]*", re.sub(r" ± [\d.]+", "", words))) <= 10, words


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
def test_the_code_runs_and_prints_what_was_recorded(name, capsys):
    run_code(MADE[name].code(**MADE[name].values))
    wanted = {
        "three": f"{torch.stack(own('line_objective')).double()[:, 12].mean():.4f}",
        "width": f"{middle_over_ends(own('profile')[0].trace[None].double())[0]:.4f}",
        "walk": f"{own('hot')[0].position[-1, own('hot')[0].start < 0.5].double().mean():.4f}",
        "rest": f"{own('settled')[0][0, 0, 2]:.4f}",
    }[name]
    assert wanted in capsys.readouterr().out


def test_the_numbers_in_the_words_are_those_of_the_recordings():
    words = WORDS
    weights = [int(each.replace(",", "")) for each in re.findall(r"([\d,]+) weights", words)]
    assert weights == [valley.landscape().dim, cifar10.road(0).pivots.shape[1]]
    story = cifar10.STORY
    assert f"{5 * story.images:,} photographs, 3 x {story.side} x {story.side}" in words
    assert "convolutions of {}, {} and {} channels".format(*story.widths) in words
    assert f"label noise {story.label_noise}, weight decay {story.weight_decay}" in words
    new = float(cifar10.every("road_accuracy")[:, 1][:, [0, -1]].mean())
    assert abs(new - 0.3) < 0.03  # "three in ten new ones"
    norm = cifar10.along("norm", "raw")
    assert abs(float((norm[:, 3] / norm[:, [0, -1]].mean(1)).mean()) - 2 / 3) < 0.05  # "two thirds of the norm"
    inwards = torch.tensor([figures["ends"]["nearest_position"] for figures in own("figures")])
    assert bool(((inwards[:, 0] > 0.03) & (inwards[:, 1] < 0.97)).all())  # "goes inwards"
    middle = [float(run.sharpness[1]) for run in own("hot")]
    assert f"{min(middle):.1f} to {max(middle):.1f} there, and the limit is {own('hot')[0].sharpness_limit:g}" in words
    for field, told in (("trace", "third is $2.86"), ("top_eigenvalue", "$2.63"), ("adaptive_trace", "bump $2.00")):
        each = middle_over_ends(cifar10.along(field))
        assert told.endswith(f"{each.mean():.2f}")
        assert f"{told} \\pm {each.std() / ROOT:.2f}$" in words
    wells = [figures["ends"]["well_over_lower_end"] for figures in own("figures")]
    assert 0.02 < min(wells) <= max(wells) < 0.06  # "a few per cent of the objective"
    home = float(cifar10.gone("hot").value)
    assert 40 < home < 55  # "about half of the way"

"""Lesson 05: what was recorded is what its weights give, the controls do what they say, and the pictures show it."""

import re
from pathlib import Path

import pytest
import torch
from explorers import drive, figure, run_code, same_from_anywhere
from pictures import panel

from entropic_edu import exact_trace, recorded
from entropic_edu.course import bump as chapter
from entropic_edu.course import digits
from entropic_edu.course.bump import common, rescale, road, sceptic, spectrum
from entropic_edu.figures.plots import BLUE
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import gradient_covariance
from entropic_edu.physics.curvature import dense_hessian, extreme_eigenvalues, spectral_density
from entropic_edu.recorded import bump as recipe
from entropic_edu.teaching.sheet import GREY
from entropic_edu.teaching.strings import text

MADE = {name: make(0) for name, make in chapter.CHAPTER.explorers.items()}
KEPT = ["bezier", "aligned", *recipe.RECIPE["variants"]]


def _seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def small(generator):
    """A ReLU net of 3-4-4-3 units on 20 points, and four places in its weights; float64."""
    x = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (20,), generator=generator)
    land = Network(mlp(3, 4, 4, 3).double(), x, y, weight_decay=1e-3)
    return land, torch.stack([land.initial(generator) for _ in range(4)])


# --- the recording -------------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_the_miniature_is_the_same_twice_and_has_the_kinds_of_the_shipped_recording():
    one, two = (recorded.record("bump", tiny=True, say=lambda _: None) for _ in range(2))
    assert set(one) == set(two)
    for key in one:
        if isinstance(one[key], torch.Tensor):
            assert torch.equal(one[key], two[key]), key
    shipped = recorded.load("bump")
    assert {key for key in one if not key.startswith("pair")} <= set(shipped)
    assert all(type(one[key]) is type(shipped[key]) for key in one)
    assert torch.equal(one["pair0/profile"].trace, two["pair0/profile"].trace)


def test_the_recipe_of_the_shipped_recording_is_the_one_in_the_code():
    assert recorded.load("bump").recipe == recipe.RECIPE


def test_the_recorded_profile_is_that_of_the_recorded_road():
    land, theta = digits.land(), digits.road(2).at(torch.tensor([0.0, 0.5, 1.0]))
    found, rows = common.profile(2), [0, 10, 20]
    # float32, and the road's points by another sum
    assert torch.allclose(found.trace[rows], exact_trace(land, theta, weight_decay=False), rtol=1e-3)
    assert torch.allclose(found.noise[rows], gradient_covariance(land, theta).trace, rtol=1e-3)
    assert torch.allclose(found.loss[rows], land.loss(theta), rtol=1e-4)
    top = extreme_eigenvalues(land, theta, generator=_seeded(9), weight_decay=False)
    assert torch.allclose(found.top_eigenvalue[rows], top.largest, rtol=5e-3)  # Lanczos, tolerance 1e-3


@pytest.mark.parametrize("kind", KEPT)
def test_a_sceptics_numbers_are_those_of_its_shipped_weights(kind):
    land, kept = recipe.landscape(recipe.RECIPE, kind), recorded.load("bump")
    theta = kept[f"{kind}/points"]
    rows = [round(place * 20) for place in recipe.KEPT]
    for name, value in {
        "loss": land.loss(theta),
        "data_loss": land.data_loss(theta),
        "trace": exact_trace(land, theta, weight_decay=False),
        "adaptive": exact_trace(land, theta, weight_decay=False, scale=theta),
        "noise": gradient_covariance(land, theta).trace,
        "accuracy": land.accuracy(theta),
    }.items():
        assert torch.allclose(kept[f"{kind}/{name}"][0, rows], value, rtol=1e-3), name


def test_the_curvature_at_finite_steps_tends_to_the_trace_where_steps_are_small(small):
    land, theta = small
    steps = torch.randn(4000, land.dim, generator=_seeded(1), dtype=torch.float64)
    unit = steps / steps.norm(dim=1, keepdim=True)
    radius, share = 1e-3, 1e-3
    rise = recipe.rise(land, theta, unit, [radius])[:, 0]
    trace = torch.stack([dense_hessian(land, t, weight_decay=False).trace() for t in theta])
    # 4,000 directions: the mean of uᵀHu scatters by about √(2/4000)·‖H‖/tr H, a few per cent
    assert torch.allclose(rise, radius**2 * trace / (2 * land.dim), rtol=0.1)
    rise = recipe.rise(land, theta, steps, [share], theta)[:, 0]
    adaptive = exact_trace(land, theta, weight_decay=False, scale=theta)
    assert torch.allclose(rise, 0.5 * share**2 * adaptive, rtol=0.1)


def test_recorded_rises_are_those_of_the_named_steps_on_the_recorded_road():
    made, land = recipe.RECIPE, digits.land().to(torch.float64)
    steps = torch.randn(made["directions"], land.dim, generator=_seeded(2), dtype=torch.float64)
    unit, theta = steps / steps.norm(dim=1, keepdim=True), digits.road(3).at(torch.tensor([0.5])).double()
    found = recipe.rise(land, theta, unit, made["radii"])[0]
    for number, radius in enumerate(made["radii"]):
        assert float(sceptic.values(f"rise{number}")[3, 10]) == pytest.approx(float(found[number]), rel=1e-3)
        assert text(f"05.condition.step{number}").endswith(f"length {radius:g}")


# --- the sceptic's changes of weights ------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [1, 2])
def test_rescaling_leaves_function_and_adaptive_trace_and_changes_the_trace_by_its_blocks(small, layer):
    land, theta = small
    alpha = torch.tensor([0.1, 0.5, 3.0, 10.0], dtype=torch.float64)
    turned = recipe.rescaled(land, theta, layer, alpha)
    assert torch.allclose(land.outputs(turned, land.x), land.outputs(theta, land.x))
    assert not torch.allclose(turned, theta)
    adaptive = exact_trace(land, theta, weight_decay=False, scale=theta)
    assert torch.allclose(exact_trace(land, turned, weight_decay=False, scale=turned), adaptive)
    into, out = recipe.blocks(land, theta)[:, layer - 1].unbind(-1)
    trace = exact_trace(land, theta, weight_decay=False)
    wanted = trace + into * (alpha**-2 - 1) + out * (alpha**2 - 1)
    found = torch.stack([dense_hessian(land, t, weight_decay=False).trace() for t in turned])
    assert torch.allclose(found, wanted)


def test_balancing_leaves_the_function_and_no_rescaling_has_a_smaller_norm(small):
    land, theta = small
    still = recipe.balanced(land, theta)
    assert torch.allclose(land.outputs(still, land.x), land.outputs(theta, land.x))
    assert bool((still.norm(dim=1) < theta.norm(dim=1)).all())
    for layer in (1, 2):
        for alpha in (0.9, 1.1):
            assert bool((recipe.rescaled(land, still, layer, alpha).norm(dim=1) > still.norm(dim=1)).all())
    again = recipe.balanced(land, recipe.rescaled(land, theta, 1, 7.0))
    assert torch.allclose(again, still, rtol=1e-6, atol=1e-9)


def test_heating_brings_the_data_loss_where_it_is_wanted():
    land, theta = digits.land(), digits.road(0).at(torch.tensor([0.0, 0.5]))
    wanted = torch.tensor([0.004, 0.002])
    there = recipe.heated(land, theta, wanted)
    assert torch.allclose(land.data_loss(there), wanted, rtol=1e-3)
    assert torch.equal(land.outputs(there, land.x).argmax(-1), land.outputs(theta, land.x).argmax(-1))
    assert torch.equal(there[:, :-330], theta[:, :-330])  # 32 · 10 + 10 weights of the last layer


# --- numbers -------------------------------------------------------------------------------------------------------


def test_the_bump_is_the_middle_third_over_the_mean_of_the_ends():
    values = torch.tensor([[2.0, 9.0, 3.0, 5.0, 9.0, 4.0], [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]])
    assert common.bump(values).tolist() == pytest.approx([4 / 3, 1.0])  # at 0, .2, .4, .6, .8, 1
    for pair in range(common.COUNT):
        found = common.profile(pair)
        assert float(common.bump(common.along("trace"))[pair]) == pytest.approx(found.bump(found.trace), rel=1e-5)


def test_the_trace_doubles_and_the_objective_does_not_rise():
    trace, top, loss = (road.mean_ratio(name) for name in ("trace", "top", "objective"))
    assert abs(float(trace.value) - 2) < 2.5 * float(trace.error)  # nearer to 2 than to 1 or to 10
    assert float(top.value) > 2
    assert float(loss.value) < 1
    assert chapter.QUESTIONS[0].right == "doubles"


def test_counts_of_eigenvalues_agree_with_the_whole_hessian():
    known = recorded.load("bump")["string/eigenvalues"].double()  # (pairs, 3, 600), half precision
    for pair in range(common.COUNT):
        found = common.profile(pair)
        for place, row in ((0, 0), (10, 1), (20, 2)):
            assert float(known[pair, row, 0]) == pytest.approx(float(found.top_eigenvalue[place]), rel=5e-3)
            # below the 600th there is little: a few per cent of the trace, and the negative ones
            assert float(known[pair, row].sum()) == pytest.approx(float(found.trace[place]), rel=0.06)
            ten = float(known[pair, row, :10].sum())
            assert float(spectrum.parts(pair)["ten"][place]) == pytest.approx(ten, rel=0.01)
            for threshold in (0.003, 0.01, 0.03, 0.1):
                count = float((known[pair, row] > threshold).sum())
                # four probes, 8 % each way, and a blur of 0.05 decades
                assert float(spectrum.number_above(threshold)[pair, place].mean()) == pytest.approx(count, rel=0.2)


def test_eigenvalues_of_every_rank_are_larger_in_the_middle_on_every_road():
    assert chapter.QUESTIONS[1].right == "all"
    for rank in (1, 2, 5, 10, 30, 100, 300, 600):
        assert bool((spectrum.rank_ratio(rank) > 1.3).all()), rank
    assert float(spectrum.rank_ratio(1).mean()) > 1.5 * float(spectrum.rank_ratio(300).mean())


def test_recorded_eigenvalues_are_those_of_the_hessian():
    land, theta = digits.land(), digits.road(1).at(0.5)
    values = recorded.load("bump")["string/eigenvalues"][1, 1]
    for rank in (1, 2, 10):  # by another route: Lanczos from another vector
        found = spectral_density(land, theta, num_probes=1, steps=40, generator=_seeded(rank), weight_decay=False)
        top = found.nodes[0].sort(descending=True).values[rank - 1]
        assert float(values[rank - 1]) == pytest.approx(float(top), rel=5e-3)  # half precision, Lanczos


def test_the_ten_largest_count_as_one_each_and_the_weights_share_out_the_rest():
    nodes = torch.cat([torch.tensor([0.001, 0.01]), torch.linspace(1, 2, 10)]).double()[None]
    weights = torch.cat([torch.tensor([0.6, 0.2]), torch.full((10,), 0.02)]).double()[None]
    found = spectrum.above(nodes.flip(-1), weights.flip(-1), torch.tensor([1e-4, 0.003, 0.1, 9.0]).double(), 110)
    assert found[0].tolist() == pytest.approx([110, 35, 10, 0], abs=1e-6)  # 100 are left, one in four at 0.01


def test_the_rescaled_trace_of_the_explorer_is_that_of_rescaled_weights():
    land, where = digits.land(), common.positions(21).float()
    for layer, place, alpha in ((1, "middle", 5.0), (2, "ends", 0.2), (1, "everywhere", 2.0)):
        some = rescale.factors(place, alpha)
        theta = recipe.rescaled(land, digits.road(3).at(where), layer, some.float())
        found = exact_trace(land, theta, weight_decay=False).double()
        assert torch.allclose(rescale.trace(layer, some)[3], found, rtol=2e-3)  # float32
        assert torch.allclose(rescale.objective(layer, some)[3], land.loss(theta).double(), rtol=1e-3)
        top = extreme_eigenvalues(land, theta[[10]], generator=_seeded(3), weight_decay=False)
        assert float(rescale.top(layer, alpha, place)[3, 1]) == pytest.approx(float(top.largest), rel=0.01)


def test_live_and_recorded_profiles_agree_and_a_stopped_one_can_be_read():
    snapshots = list(road.live(0, "2"))
    found = snapshots[-1].result
    assert torch.allclose(found.trace, common.profile(1).trace, rtol=1e-4)
    # 12 Lanczos steps against 40
    assert torch.allclose(found.top_eigenvalue, common.profile(1).top_eigenvalue, rtol=0.03)
    explorer = MADE["bump"]
    _, words = explorer.work.show(snapshots[1].result, along_road="trace", bump_pair="2", at_position=0.5)
    assert f"{len(snapshots[1].result.position)} of 21" in words
    _, words = explorer.work.show(found, along_road="trace", bump_pair="all", at_position=0.5)
    assert "Pair 1, measured now" in words


# --- sentences, pictures, code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_every_state_draws_and_says_something_of_its_own(name):
    drive(MADE[name])


@pytest.mark.parametrize("name", MADE)
def test_a_state_looks_the_same_whatever_was_drawn_before(name):
    same_from_anywhere(MADE[name], lambda: chapter.CHAPTER.explorers[name](0))


def test_the_sentence_of_the_road_is_made_of_the_recorded_profiles():
    found = [common.profile(pair) for pair in range(5)]
    ratios = torch.tensor([one.bump(one.trace) for one in found])
    words = MADE["bump"].draw().sentence
    assert f"{float(ratios.mean()):.2f} ± {float(ratios.std() / 5**0.5):.2f}" in words
    one = MADE["bump"].draw(along_road="top", bump_pair="4", at_position=0.3).sentence
    assert f"{float(found[3].top_eigenvalue[6]):.3g}" in one
    assert f"{found[3].bump(found[3].top_eigenvalue):.2f}" in one


@pytest.mark.parametrize("objection", sceptic.OBJECTIONS)
def test_the_sentence_of_an_objection_is_made_of_the_recorded_arrays(objection):
    for measure in sceptic.MEASURES:
        words = MADE["sceptic"].draw(objection=objection, curve_of=measure).sentence
        for condition in sceptic.OBJECTIONS[objection]:
            if measure in condition.keys:
                ratio = common.bump(sceptic.values(condition.keys[measure]))
                said = f"{float(ratio.mean()):.2f} ± {float(ratio.std() / len(ratio) ** 0.5):.2f}"
                assert f"{text(f'05.condition.{condition.name}')}: {said}" in words


def test_a_pinned_quantity_and_a_prediction_show():
    explorer = chapter.CHAPTER.explorers["bump"](0)
    plain = explorer.draw(along_road="objective")
    explorer.pin()
    twin = explorer.draw(along_road="objective")
    assert twin.png != plain.png
    assert twin.sentence.startswith(plain.sentence)
    run, near_the_top = common.over_ends(common.along("trace")).mean(0), torch.linspace(0.42, 0.48, 7)
    for bet in (10.0, 5.0):
        drawn = panel(figure(explorer, ghost=bet, along_road="trace"), "Value / mean")
        assert drawn.follows(BLUE, torch.linspace(0, 1, 21), run) > 0.95
        assert drawn.follows(BLUE, torch.linspace(0, 1, 21), 1.1 * run) < 0.1
        for height in (10.0, 5.0):
            assert drawn.shows(GREY, near_the_top, [height] * 7, reach=7).any() == (height == bet)
    counted = spectrum.counts(0)[[0, -1]].mean((0, 1))
    for bet in (spectrum.GHOSTS["all"], None):  # twice as large each, or no bet
        drawn = panel(figure(MADE["spectrum"], ghost=bet, one_pair="1"), "Eigenvalues")
        assert (drawn.follows(GREY, 2 * spectrum.LEVELS, counted) > 0.5) == (bet is not None)


def test_the_code_gives_the_numbers_of_the_sentence(capsys):
    run_code(MADE["bump"].code(along_road="top", bump_pair="2", at_position=0.5))
    printed = float(capsys.readouterr().out)
    assert f"{printed:.2f}" in MADE["bump"].draw(along_road="top", bump_pair="2").sentence
    run_code(MADE["sceptic"].code(objection="scale", curve_of="trace"))
    value, error = map(float, re.findall(r"tensor\(([\d.]+)\)", capsys.readouterr().out))
    assert f"{value:.2f} ± {error:.2f}" in MADE["sceptic"].draw(objection="scale", curve_of="trace").sentence
    run_code(MADE["sceptic"].code(objection="kinks", curve_of="adaptive"))
    value, error = map(float, re.findall(r"tensor\(([\d.]+)\)", capsys.readouterr().out))
    assert f"{value:.2f} ± {error:.2f}" in MADE["sceptic"].draw(objection="kinks", curve_of="adaptive").sentence
    run_code(MADE["spectrum"].code(at_position=0.5, counted_above=0.01, one_pair="1"))
    printed = float(re.findall(r"tensor\(([\d.]+)\)", capsys.readouterr().out)[0])
    assert printed == pytest.approx(float(spectrum.number_above(0.01)[0, 10].mean()), rel=0.15)
    run_code(MADE["flat"].code(at_position=0.5, one_pair="3"))
    printed = [f"{float(value):.4f}" for value in re.findall(r"tensor\(([\d.]+)\)", capsys.readouterr().out)]
    words = MADE["flat"].draw(at_position=0.5, one_pair="3").sentence
    assert f"line is {float(printed[1]):.3f}, on the road {printed[0]}" in words
    names = run_code(MADE["rescale"].code(layer_factor=5.0, hidden_layer="1", where_scaled="middle"))
    assert float(names["trace"]) == pytest.approx(
        float(rescale.trace(1, rescale.factors("middle", 5.0))[0, 10]), rel=1e-3
    )
    assert float(names["adaptive"]) == pytest.approx(float(common.kept("string/adaptive")[0, 10]), rel=1e-3)


# --- the verdicts --------------------------------------------------------------------------------------------------


def test_every_verdict_is_what_its_control_measured():
    base = sceptic.measured(sceptic.BASE, "trace")
    assert set(chapter.CONTROLS) == set(chapter.TRUTH)
    for objection, (condition, measure) in chapter.CONTROLS.items():
        found = sceptic.measured(condition, measure)
        apart = float((base.mean() - found.mean()) / ((base.var() + found.var()) / len(base)) ** 0.5)
        flat = float(common.bump(common.kept(f"{condition.loss}/loss")).mean()) < 1.2
        wanted = "open" if not flat else "ruled out" if apart < 2 else "part of it"
        assert chapter.TRUTH[objection] == wanted, (objection, apart)
        if wanted == "part of it":
            assert float(found.mean() - 2 * found.std() / len(found) ** 0.5) > 1  # a bump is left


def test_the_control_that_takes_most_away_is_squared_loss():
    trace = {name: sceptic.measured(rows[1], "trace").mean() for name, rows in sceptic.OBJECTIONS.items()}
    offered = chapter.QUESTIONS[3].options
    assert min(offered, key=trace.get) == chapter.QUESTIONS[3].right == "squared"
    assert float(sceptic.measured(sceptic.OBJECTIONS["squared"][1], "adaptive").max()) < 1


def test_the_words_of_the_lesson_hold_the_recorded_numbers():
    said = (Path(__file__).parents[2] / "lessons" / "src" / "05_bump.py").read_text("utf-8")
    for values in (
        common.along("trace"),
        common.along("objective"),
        common.along("adaptive"),
        common.along("data_loss"),
    ):
        ratio = common.over_pairs(common.bump(values))
        assert f"${float(ratio.value):.2f} \\pm {float(ratio.error):.2f}$" in said
    alone = common.over_pairs(common.bump(common.kept("string/alone")))
    assert f"{float(alone.value):.2f} \\pm {float(alone.error):.2f}" in said

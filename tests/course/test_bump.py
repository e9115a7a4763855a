"""Lesson 05: what was recorded is what its weights give, the controls do what they say, and the pictures show it."""

import re
from pathlib import Path

import pytest
import torch
from explorers import drive, figure, run_code, same_from_anywhere
from pictures import panel

import entropic_edu as ee
from entropic_edu import recorded
from entropic_edu.course import bump as chapter
from entropic_edu.course.bump import common, eigenvalues, hook, own, scale, spectrum, steps
from entropic_edu.course.bump.exercises import probe, product
from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.networks.per_sample import gradient_covariance
from entropic_edu.physics.curvature import dense_hessian, hessian_vector_product, hutchinson_trace
from entropic_edu.physics.path import Path as Road
from entropic_edu.recorded import bump as recipe
from entropic_edu.recorded import valley
from entropic_edu.teaching.sheet import GREY
from entropic_edu.teaching.strings import text

OWN = ("flat", "bump", "spectrum", "steps", "scale", "own")
MADE = {name: chapter.CHAPTER.explorers[name](0) for name in OWN}
SAID = (Path(__file__).parents[2] / "lessons" / "src" / "05_bump.py").read_text("utf-8")


def _seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def small(generator):
    """A normalised net of 3-6-6-3 units on 20 points with label noise, and a straight road on it; float64."""
    x, y = torch.randn(20, 3, generator=generator, dtype=torch.float64), torch.randint(3, (20,), generator=generator)
    model = ee.models.mlp(3, 6, 6, 3, norm="layer").double()
    land = ee.Network(model, x, y, weight_decay=1e-3, label_noise=0.1)
    return land, Road(torch.stack([land.initial(generator) for _ in range(2)])).resample(9)


def _trace(land, theta):
    return torch.stack([dense_hessian(land, t, weight_decay=False).trace() for t in theta])


# --- the recording -------------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_the_miniature_is_the_same_twice_and_has_the_kinds_of_the_shipped_recording():
    one, two = (recorded.record("bump", tiny=True, say=lambda _: None) for _ in range(2))
    shipped = recorded.load("bump")
    assert set(one) == set(two) <= set(shipped)
    for key in one:
        assert type(one[key]) is type(shipped[key])
        if isinstance(one[key], torch.Tensor):
            assert torch.equal(one[key], two[key]), key
    assert torch.equal(one["pair0/profile"].trace, two["pair0/profile"].trace)


def test_the_recipe_of_the_shipped_recording_is_the_one_in_the_code():
    assert recorded.load("bump").recipe == recipe.RECIPE


def test_the_recorded_profiles_are_those_of_the_recorded_roads():
    land, rows = common.land(), [0, 10, 20]
    for matched, kept in ((True, common.profile(2)), (False, recorded.load("bump")["pair2/raw"])):
        theta = valley.road(2, matched=matched).at(torch.tensor([0.0, 0.5, 1.0]))
        assert torch.allclose(kept.loss[rows], land.loss(theta), rtol=1e-4)  # float32, and another sum
        assert torch.allclose(kept.noise[rows], gradient_covariance(land, theta).trace, rtol=1e-3)
        trace = hutchinson_trace(land, theta, num_probes=16, generator=_seeded(9), weight_decay=False)
        off = (kept.trace[rows] - trace.value) / (kept.trace_error[rows].square() + trace.error.square()).sqrt()
        assert float(off.abs().max()) < 4  # standard errors: two sets of probes


def test_recorded_eigenvalues_slices_and_rises_are_those_of_the_recorded_road():
    land, theta = common.land(), common.road(1).at(0.5)
    values = common.kept("eigenvalues")[1, 1]
    assert bool((values.diff() <= 0).all())
    largest, vectors = recipe.top(land, theta, 3, 2)
    assert torch.allclose(largest.double(), values[:3], rtol=2e-3)  # half precision
    for vector, value, slice_ in zip(vectors, largest, common.kept("slice")[1, 1], strict=False):
        product = hessian_vector_product(land, theta, vector, weight_decay=False)
        assert float((product - value * vector).norm()) < 1e-2 * float(value)
        end = land.data_loss(theta + 0.3 * vector), land.data_loss(theta - 0.3 * vector)
        both = sorted(float(each) for each in slice_[[0, -1]])  # the sign of an eigenvector is free
        assert both == pytest.approx(sorted(map(float, end)), rel=1e-3)
    random = torch.randn(recipe.RECIPE["directions"], land.dim, generator=_seeded(301), dtype=torch.float64)
    random *= 0.1 / random.norm(dim=1, keepdim=True)
    exact = land.to(torch.float64)
    for key, loss in (("rise", exact.data_loss), ("rise_held", recipe.switches_held(exact, theta.double()))):
        found = float(recipe.rise(loss, theta.double(), random))
        assert float(common.kept(key)[1, 10, steps.RADII.index(0.1)]) == pytest.approx(found, rel=1e-3)


def test_where_no_relu_may_switch_the_loss_is_that_of_the_network_here_and_smooth_around(small):
    land, path = small
    theta = path.at(0.3)
    held = recipe.switches_held(land, theta)
    assert float(held(theta)) == pytest.approx(float(land.data_loss(theta)), rel=1e-12)
    unit = torch.randn(4000, land.dim, generator=_seeded(1), dtype=torch.float64)
    unit /= unit.norm(dim=1, keepdim=True)
    near = recipe.rise(held, theta, 1e-3 * unit)
    # 4,000 directions: the mean of uᵀHu scatters by about √(2/4000)·‖H‖/tr H, a few per cent
    assert float(near) == pytest.approx(float(1e-6 * _trace(land, theta[None]) / (2 * land.dim)), rel=0.1)
    assert float(near) == pytest.approx(float(recipe.second_order(land, theta, 1e-3 * unit)), rel=1e-3)
    far = 3 * unit[:8]
    assert float(recipe.rise(held, theta, far)) != pytest.approx(
        float(recipe.rise(land.data_loss, theta, far)), rel=0.01
    )


def test_the_blocks_of_the_trace_add_up_and_the_built_norms_are_those_of_the_same_functions(small):
    land, built = small
    path, where = built.match_norms(land), torch.linspace(0, 1, 5, dtype=torch.float64)
    layers, theta = list(path.scale_free(land).values()), path.at(where)
    share = recipe.blocks(land.to(torch.float32), theta.float(), layers, 40, _seeded(0))
    assert torch.allclose(share.sum(1), torch.ones(5))
    norms = recipe.norms_as_built(path, built, where, layers)
    for row, point in enumerate(theta):
        scaled = point.clone()
        for layer, norm in zip(layers, norms[row], strict=True):
            scaled[layer] *= norm / scaled[layer].norm()
        assert float(land.data_loss(scaled)) == pytest.approx(float(land.data_loss(point)), rel=1e-3)
        assert float(built.project(scaled).distance) < 0.02 * built.length


# --- numbers -------------------------------------------------------------------------------------------------------


def test_the_bump_is_the_middle_third_over_the_mean_of_the_ends():
    values = torch.tensor([[2.0, 9.0, 3.0, 5.0, 9.0, 4.0], [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]])
    assert common.bump(values).tolist() == pytest.approx([4 / 3, 1.0])  # at 0, .2, .4, .6, .8, 1
    for pair in range(common.COUNT):
        found = common.profile(pair)
        assert float(common.bump(common.along("trace"))[pair]) == pytest.approx(found.bump(found.trace), rel=1e-5)


def test_every_measure_of_curvature_rises_at_equal_loss_and_equal_norm():
    for name in ("trace", "top", "adaptive", "gradient_noise"):
        assert bool((common.bump(common.along(name)) > 1.3).all()), name
    for name in ("objective", "data_loss", "norm"):
        assert bool(((common.bump(common.along(name)) - 1).abs() < 0.06).all()), name
    trace = common.over_pairs(common.bump(common.along("trace")))
    bets = chapter.QUESTIONS[0].ghosts
    assert min(bets, key=lambda bet: abs(bets[bet] - float(trace.value))) == chapter.QUESTIONS[0].right == "doubles"


def test_counts_of_eigenvalues_agree_with_those_found_one_by_one():
    known = common.kept("eigenvalues")
    for pair in range(common.COUNT):
        for place, row in ((0, 0), (10, 1), (20, 2)):
            assert float(known[pair, row, 0]) == pytest.approx(
                float(common.profile(pair).top_eigenvalue[place]), rel=5e-3
            )
            ten = float(known[pair, row, :10].sum())
            assert float(spectrum.parts(pair)["ten"][place]) == pytest.approx(ten, rel=0.01)
            for threshold in (0.3, 1.0, 2.0):
                count = float((known[pair, row] > threshold).sum())
                # six probes, and a blur of 0.05 decades
                assert float(spectrum.number_above(threshold)[pair, place].mean()) == pytest.approx(
                    count, rel=0.25, abs=1
                )


def test_eigenvalues_of_every_rank_are_larger_in_the_middle_on_every_road():
    assert chapter.QUESTIONS[1].right == "all"
    for rank in (1, 2, 5, 10, 30, 100, 200):
        assert bool((spectrum.rank_ratio(rank) > 1.3).all()), rank


def test_the_ten_largest_count_as_one_each_and_the_weights_share_out_the_rest():
    nodes = torch.cat([torch.tensor([0.001, 0.01]), torch.linspace(1, 2, 10)]).double()[None]
    weights = torch.cat([torch.tensor([0.6, 0.2]), torch.full((10,), 0.02)]).double()[None]
    found = eigenvalues.above(nodes.flip(-1), weights.flip(-1), torch.tensor([1e-4, 0.003, 0.1, 9.0]).double(), 110)
    assert found[0].tolist() == pytest.approx([110, 35, 10, 0], abs=1e-6)  # 100 are left, one in four at 0.01


def test_short_steps_see_relus_switch_at_the_ends_and_the_steps_of_sgd_see_the_bump():
    assert bool((steps.random_bump(0.01) < 0.5).all())
    rise = common.kept("rise")[..., steps.RADII.index(0.01)] / (0.01**2 * common.kept("rise_second"))
    assert bool((rise[:, [0, -1]].mean(1) > 5).all())  # what a step costs over what the Hessian says of it
    trace = common.bump(common.along("trace"))
    assert bool((steps.held_bump(0.01) / trace - 1).abs().max() < 0.2)  # the control: random steps against the probes
    assert bool((steps.random_bump(1.0) > 1.5).all())
    for walk in steps.WALKS:
        assert bool((steps.walk_bump(walk) > 1.3).all())
        assert 0.2 < float(steps.walk_length(walk).min()) < float(steps.walk_length(walk).max()) < 1.5


def test_the_rescaled_trace_of_the_explorer_is_that_of_rescaled_weights():
    land, where = common.land(), common.positions(21).float()
    layers = common.road(3).scale_free(land).values()
    for matched, alpha, place in ((0.0, 1.0, "everywhere"), (1.0, 2.0, "middle"), (0.5, 0.71, "ends")):
        norm = scale.norms(matched, alpha, place)
        theta = common.road(3).at(where)
        for number, layer in enumerate(layers):
            theta[:, layer] *= (norm[3, :, number] / theta[:, layer].norm(dim=1))[:, None].float()
        assert torch.allclose(scale.objective(norm)[3], land.loss(theta).double(), rtol=1e-3)
        some = theta[[0, 10]]
        found = hutchinson_trace(land, some, num_probes=48, generator=_seeded(3), weight_decay=False)
        off = (scale.trace(norm)[3, [0, 10]] / found.value - 1).abs()
        assert float(off.max()) < 0.15  # 32 and 48 probes, 3 % each
        adaptive = hutchinson_trace(land, some, num_probes=48, generator=_seeded(3), weight_decay=False, scale=some)
        assert torch.allclose(common.along("adaptive")[3, [0, 10]], adaptive.value.double(), rtol=0.15)


def test_the_trace_of_the_road_as_built_is_what_the_norms_explain():
    for pair in range(common.COUNT):
        raw, law = recorded.load("bump")[f"pair{pair}/raw"], scale.trace(scale.norms(0.0, 1.0, "everywhere"))[pair]
        assert float(law.max()) == pytest.approx(float(raw.trace.max()), rel=0.15)  # other positions, other probes


def test_live_and_recorded_profiles_agree_and_a_stopped_one_can_be_read():
    snapshots = list(MADE["bump"].work.stream(along_road="trace", bump_pair="2", at_position=0.5))
    found, kept = snapshots[-1].result, common.profile(1)
    off = (found.trace - kept.trace) / (found.trace_error.square() + kept.trace_error.square()).sqrt()
    assert float(off.abs().max()) < 4
    assert torch.allclose(found.top_eigenvalue, kept.top_eigenvalue, rtol=0.03)  # 12 Lanczos steps against 32
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


def test_sentences_are_made_of_the_recorded_arrays():
    ratio = common.bump(common.along("trace"))
    words = MADE["bump"].draw().sentence
    assert f"{float(ratio.mean()):.2f} ± {float(ratio.std() / 5**0.5):.2f}" in words
    one, found = MADE["bump"].draw(along_road="top", bump_pair="4", at_position=0.3).sentence, common.profile(3)
    assert f"{float(found.top_eigenvalue[6]):.3g}" in one
    assert f"{found.bump(found.top_eigenvalue):.2f}" in one
    for radius in steps.RADII:
        random = steps.random_bump(radius)
        said = f"bump {common.ratio_of(random)}"
        assert said in MADE["steps"].draw(step_length=radius).sentence
    bare = MADE["scale"].draw(norms_matched=1.0).sentence
    assert f"Bump of the trace {float(ratio.mean()):.2f} ± {float(ratio.std() / 5**0.5):.2f}" in bare


def test_a_pinned_quantity_and_a_prediction_show():
    explorer = chapter.CHAPTER.explorers["bump"](0)
    plain = explorer.draw(along_road="objective")
    explorer.pin()
    twin = explorer.draw(along_road="objective")
    assert twin.png != plain.png
    assert twin.sentence.startswith(plain.sentence)
    run, where = common.over_ends(common.along("trace")).mean(0), torch.linspace(0.41, 0.46, 7)
    for bet in (0.5, 3.8):
        drawn = panel(figure(explorer, ghost=bet, along_road="trace"), "Value / mean")
        assert drawn.follows(BLUE, torch.linspace(0, 1, 21), run) > 0.95
        assert drawn.follows(BLUE, torch.linspace(0, 1, 21), 1.1 * run) < 0.1
        for height in (0.5, 3.8):
            assert drawn.shows(GREY, where, [height] * 7, reach=9).any() == (height == bet)
    counted = spectrum.counts(0)[[0, -1]].mean((0, 1))
    for bet in (spectrum.GHOSTS["all"], None):  # so many times as large each, or no bet
        drawn = panel(figure(MADE["spectrum"], ghost=bet, one_pair="1"), "Eigenvalues")
        assert (drawn.follows(GREY, spectrum.GHOSTS["all"][0] * spectrum.LEVELS, counted) > 0.5) == (bet is not None)


def test_the_slices_and_the_rescaled_trace_are_drawn_as_recorded():
    height = common.kept("slice")[3, 1, 1]
    drawn = panel(figure(MADE["steps"], eigenvector=2, one_pair="4"), "Data loss above")
    assert drawn.follows(BLUE, torch.linspace(-0.3, 0.3, 41), height - height[20]) > 0.9
    for matched in (0.25, 1.0):
        now = scale.trace(scale.norms(matched, 1.0, "middle")).mean(0)
        drawn = panel(figure(MADE["scale"], norms_matched=matched), "Trace of H")
        assert drawn.follows(RED, torch.linspace(0, 1, 21), now) > 0.95


# --- what learners write --------------------------------------------------------------------------------------------


def test_product_and_probe_of_the_exercises_are_those_of_the_library():
    land, theta = common.land(), common.road(0).at(0.5)
    vector = torch.randn(land.dim, generator=torch.Generator().manual_seed(0))
    found = product(land.data_loss, theta, vector)
    other = hessian_vector_product(land, theta, vector, weight_decay=False)
    assert torch.allclose(found, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
    matrix = torch.diag(torch.tensor([1.0, 3.0, -2.0]))
    signs = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0], [1.0, 1.0, 1.0]])
    known = probe(lambda v: matrix @ v, torch.tensor([2.0, 1.0, 3.0]), signs)
    assert known.tolist() == [2.0, 0.0, 4.0 + 3.0 - 18.0, 0.0]  # a diagonal has no error


def test_the_functions_of_a_learner_measure_what_was_recorded_and_scale_moves_one_of_the_two():
    explorer, bumps = own.own(0, product, probe), {}
    for norms in ("built", "matched"):
        explorer.set(which_norms=norms)
        said = explorer.run()
        found = re.findall(r"([\d.]+) ± (\d+\.\d+)", said)
        bumps[norms] = [tuple(map(float, each)) for each in found]
        curves = own.state_of(norms)["recorded"]
        for (value, error), each in zip(bumps[norms], curves.values(), strict=True):
            assert abs(value - float(common.bump(each))) < 4 * error
    assert bumps["built"][0][0] > 2 * bumps["matched"][0][0]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ((None, probe), "needs your functions"),
        ((product, lambda *given: ...), "Not written yet"),
        ((lambda *given: ..., probe), "Not written yet"),
        ((product, lambda *given: [1.0, 2.0]), "returned 2 values"),
    ],
)
def test_functions_that_cannot_measure_are_told_why(written, words):
    with pytest.raises(ValueError, match=words):
        own.own(0, *written).run()


def test_the_code_gives_the_numbers_of_the_sentence(capsys):
    run_code(MADE["bump"].code(along_road="top", bump_pair="2", at_position=0.5))
    assert f"{float(capsys.readouterr().out):.2f}" in MADE["bump"].draw(along_road="top", bump_pair="2").sentence
    run_code(MADE["spectrum"].code(at_position=0.5, counted_above=0.3, one_pair="1"))
    printed = float(re.findall(r"tensor\(([\d.]+)\)", capsys.readouterr().out)[0])
    assert printed == pytest.approx(float(spectrum.number_above(0.3)[0, 10].mean()), rel=0.15)
    run_code(MADE["flat"].code(at_position=0.5, one_pair="3"))
    printed = [float(value) for value in re.findall(r"tensor\(([\d.]+)", capsys.readouterr().out)]
    assert (
        f"{printed[1]:.3f} on the straight line and {printed[0]:.3f} on the road"
        in MADE["flat"].draw(at_position=0.5, one_pair="3").sentence
    )
    assert printed[1] == pytest.approx(hook.at(hook.hill()[2], 0.5), rel=1e-4)
    run_code(MADE["steps"].code(eigenvector=1, step_length=1.0, one_pair="2"))
    printed = float(re.findall(r"tensor\(([\d.]+)", capsys.readouterr().out)[0])
    rise = common.kept("rise")[1, :, steps.RADII.index(1.0)]
    assert printed == pytest.approx(float(2 * rise[10] / (rise[0] + rise[-1])), rel=0.1)  # other steps
    names = run_code(MADE["scale"].code(norms_matched=0.0, layer_factor=2.0, where_scaled="middle"))
    law = scale.trace(scale.norms(0.0, 2.0, "middle"))[0, 10]
    assert float(names["trace"].value) == pytest.approx(float(law), rel=0.15)


# --- words ---------------------------------------------------------------------------------------------------------


def _told(mean):
    return f"{float(mean.value):.2f} \\pm {float(mean.error):.2f}"


def test_the_words_of_the_lesson_hold_the_recorded_numbers():
    built = scale.norms(0.0, 1.0, "everywhere")
    for values in (*(common.along(name) for name in ("trace", "adaptive", "gradient_noise")), scale.trace(built)):
        assert _told(common.over_pairs(common.bump(values))) in SAID
    norm = common.over_pairs(scale.middle_norm(built))
    assert f"{float(norm.value):.3f} \\pm {float(norm.error):.3f}" in SAID
    for values in (
        steps.random_bump(0.01),
        steps.held_bump(0.01),
        steps.random_bump(0.3),
        steps.random_bump(1.0),
    ):
        assert _told(common.over_pairs(values)) in SAID
    assert _told(common.over_pairs(steps.walk_bump("hot"))) in SAID
    for rank in (1, 200):
        assert _told(common.over_pairs(spectrum.rank_ratio(rank))) in SAID
    lengths = [float(each) for each in steps.walk_length("hot").mean(0)]
    assert f"{min(lengths):.1f} to {max(lengths):.1f}" in re.sub(r"\n#\s+", " ", SAID)


def test_the_replies_to_the_bets_hold_the_recorded_numbers():
    trace, top = (common.over_pairs(common.bump(common.along(name))) for name in ("trace", "top"))
    said = text("05.question.middle.reply.doubles")
    for mean in (trace, top):
        assert common.with_error(mean) in said
    said = text("05.question.which.reply.all")
    for rank in spectrum.RANKS:
        assert common.ratio_of(spectrum.rank_ratio(rank)) in said

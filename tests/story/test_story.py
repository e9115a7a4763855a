"""The story from the command line, with a small recipe: its files, its keys, Ctrl-C and resume."""

import copy
import dataclasses
import json
import re
from pathlib import Path

import matplotlib.image
import pytest
import torch

import entropic_edu as ee
from entropic_edu import cli
from entropic_edu.story import estimate, recipes, report
from entropic_edu.story import tell as story
from entropic_edu.sweeps.kept import Store

TINY = story.Recipe().tiny()
DOCUMENT = Path(__file__).parents[2] / "docs" / "story.md"


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def tell(seeds=(0,), **settings):
    return story.tell(seeds, **{"recipe": TINY, "say": lambda line: None, **settings})


def kept(name, folder="story.work"):
    """The result of a stage."""
    store = Store(Path(folder), dataclasses.asdict(TINY), other="is of another recipe", remedy="a story")
    return store.read(name).values["result"]


def test_the_command_without_options_tells_the_story_of_the_digits():
    assert recipes.chosen() == story.Valley()
    assert recipes.chosen(kind="runaway") == story.Recipe()
    assert recipes.chosen(kind="relu").landscape().criterion.label_noise == 0.1


def without_time(found):
    return json.loads(json.dumps({key: value for key, value in found.items() if key != "seconds"}))


def keys(value, found=None):
    found = set() if found is None else found
    if isinstance(value, dict):
        for key, inner in value.items():
            found.add(key)
            keys(inner, found)
    elif isinstance(value, list):
        for inner in value:
            keys(inner, found)
    return found


def test_the_command_writes_a_table_a_picture_and_every_documented_key(capsys):
    assert cli.main(["story", "--tiny", "--seeds", "2"]) == 0
    said = capsys.readouterr().out
    assert "of 2: linear barrier >= 0.3" in said
    assert "Wrote story.json and story.png." in said
    found = json.loads(Path("story.json").read_text())
    assert found["complete"]
    assert [pair["seed"] for pair in found["pairs"]] == [0, 1]
    body = {key: value for key, value in found.items() if key not in ("recipe", "counts")}
    free = {name for pair in body["pairs"] for name in (*pair["claims"], *keys(pair["collapse"]), *pair["by_noise"])}
    documented = set(re.findall(r"`(\w+)`", DOCUMENT.read_text()))
    assert keys(body) - free - documented == set()
    picture = matplotlib.image.imread("story.png")
    assert picture.shape[0] > 800
    assert float(picture.std()) > 0.05  # not a blank page


def test_the_figures_are_those_of_the_verbs():
    found = tell([3])
    pair, land = found["pairs"][0], TINY.landscape(TINY.device())
    run, road, walkers = (kept(f"seed3-{stage}") for stage in ("minima", "road", "walkers0"))
    assert pair["minima"]["objective"] == pytest.approx(land.loss(run.theta).tolist())
    line = land.data_loss(ee.Path(run.theta).resample(25).pivots)
    assert pair["minima"]["linear_barrier"] == pytest.approx(float(line.max() - line[[0, -1]].max()), rel=1e-5)
    highest = land.data_loss(road.pivots)
    assert pair["road"]["highest_data_loss_over_higher_end"] == pytest.approx(
        float(highest.max() / highest[[0, -1]].max()), rel=1e-5
    )
    assert pair["releases"][0]["end"] == pytest.approx(walkers.mean_position[-1].tolist())
    trace = torch.tensor(pair["profile"]["trace"])
    assert pair["profile"]["middle_over_ends"]["trace"] == pytest.approx(
        float(trace[2:5].mean() / trace[[0, -1]].mean()), rel=1e-5
    )  # points at 1/3, 1/2, 2/3
    assert found["counts"]["linear barrier >= 0.3"] == int(pair["minima"]["linear_barrier"] >= 0.3)


def test_the_same_seed_tells_the_same_story():
    one, two = (tell([1], out=name) for name in ("one", "two"))
    assert without_time(one) == without_time(two)


KINDS = {"minima": ee.Run, "road": ee.Path, "profile": ee.Profile, "walkers1": ee.Release}


@pytest.mark.soak
def test_stages_in_several_processes_are_those_of_one(capsys):
    lines = []
    here, there = tell([0, 1], workers=1), tell([0, 1], workers=2, out="other", say=lines.append)
    assert without_time(there) == without_time(here)
    assert Path("other.png").read_bytes() == Path("story.png").read_bytes()
    made = [line for line in lines if " s): " in line]
    names = [line.split()[0] for line in made]
    kinds = ["minima", "road", "profile", *(f"walkers{k}" for k in range(len(TINY.settings)))]
    assert sorted(names) == sorted(f"seed{s}-{kind}" for s in (0, 1) for kind in kinds)
    for seed in (0, 1):
        assert names.index(f"seed{seed}-minima") < names.index(f"seed{seed}-road") < names.index(f"seed{seed}-profile")


def test_a_stage_that_fails_in_a_process_says_why():
    recipe = dataclasses.replace(TINY, connect=TINY.connect | {"pivots": 2})
    with pytest.raises(ValueError, match="pivots must be a whole number, at least 4"):
        tell(recipe=recipe, workers=2)
    assert Path("story.work/seed0-minima.kept").exists()


@pytest.mark.parametrize(
    "stage", ["profile", *(pytest.param(k, marks=pytest.mark.soak) for k in KINDS if k != "profile")]
)
def test_ctrl_c_in_a_stage_leaves_what_there_is_and_resume_goes_on(stage):
    whole, releases = tell(out="whole"), 0

    def press(snapshot):
        nonlocal releases
        if isinstance(snapshot.result, KINDS[stage]):
            releases += snapshot.done == 0
            if snapshot.done > 0 and (stage != "walkers1" or releases == 2):
                raise KeyboardInterrupt

    tell(progress=press)
    partial = json.loads(Path("story.json").read_text())
    assert not partial["complete"]
    assert not partial["pairs"][0]["complete"]
    assert ("profile" in partial["pairs"][0]) == (stage == "walkers1")
    assert report.table(partial).endswith("Incomplete: go on with --resume.")
    assert Path("story.png").stat().st_size > 5000
    done = {file: file.stat().st_mtime_ns for file in Path("story.work").glob("*.kept")}
    assert len(done) == list(KINDS).index(stage) + (stage == "walkers1")
    assert without_time(tell(resume=True)) == without_time(whole)
    assert {file: file.stat().st_mtime_ns for file in done} == done  # nothing that was finished is computed again


@pytest.mark.soak
def test_ctrl_c_between_two_stages_leaves_what_there_is():
    def press(line):
        if line.startswith("  seed0-road"):
            raise KeyboardInterrupt

    assert not tell(say=press)["complete"]
    assert tell(resume=True)["complete"]


def test_a_stage_is_made_once_and_read_on_resume():
    lines = []
    tell()
    tell(resume=True, say=lines.append)
    stages = [f"seed0-{name}" for name in ("minima", "road", "profile", *(f"walkers{n}" for n in range(6)))]
    assert [line for line in lines if line.startswith("  seed")] == [f"  {s}: from story.work/{s}.kept" for s in stages]


def test_stages_of_another_recipe_are_not_mixed_in():
    tell()
    other = dataclasses.replace(TINY, weight_decay=1e-3)
    with pytest.raises(ValueError, match=r"seed0.*kept is a stage of another recipe; run without --resume to start"):
        tell(recipe=other, resume=True)
    assert tell(recipe=other)["complete"]


def test_a_damaged_stage_is_named(capsys):
    tell()
    stage = Path("story.work/seed0-road.kept")
    stage.write_bytes(stage.read_bytes()[:200])
    assert cli.main(["story", "--tiny", "--recipe", "runaway", "--resume"]) == 1
    assert "seed0-road.kept is cut short, damaged" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named_before_anything_is_computed(capsys):
    Path("file").write_text("in the way")
    assert cli.main(["story", "--out", "file/story"]) == 1
    out, err = capsys.readouterr()
    assert "Could not write" in err
    assert out == ""  # the first line says how long the first stage will take


def test_json_goes_to_standard_output_alone(capsys):
    assert cli.main(["story", "--tiny", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["complete"]
    assert "Pair of minima from seed 0" in err


def test_a_count_of_pairs_below_one_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["story", "--seeds", "0"])
    assert stop.value.code == 2
    assert "must be at least 1, got 0" in capsys.readouterr().err


VALLEY = story.Valley().tiny()


def test_the_ends_in_the_valley_rest_and_norms_of_its_road_are_those_of_the_ends():
    tell([2], recipe=VALLEY)
    store = Store(Path("story.work"), dataclasses.asdict(VALLEY), other="", remedy="")
    run, rest, road = (store.read(f"seed2-{name}").values["result"] for name in ("minima", "rest", "road"))
    land = VALLEY.landscape(VALLEY.device())
    assert torch.equal(road.pivots[[0, -1]], rest.theta)
    assert bool((land.loss(rest.theta) < land.loss(run.theta)).all())  # it went down, and without label noise
    pair = json.loads(Path("story.json").read_text())["pairs"][0]
    matched = road.match_norms(land)
    assert pair["road"]["length"] == pytest.approx(matched.length)
    walkers = store.read("seed2-walkers0").values["result"]
    assert walkers.length == pytest.approx(matched.length)
    profile = store.read("seed2-profile").values["result"]
    even = torch.lerp(profile.norms[0], profile.norms[-1], profile.position[:, None])
    torch.testing.assert_close(profile.norms, even, rtol=5e-3, atol=0)  # and not those of the road as it was built:
    raw = store.read("seed2-raw").values["result"]
    uneven = raw.norms / torch.lerp(raw.norms[0], raw.norms[-1], raw.position[:, None]) - 1
    assert float(uneven.abs().max()) > 0.02
    assert pair["road_as_built"]["middle_over_ends"]["trace"] == pytest.approx(raw.bump(raw.trace))


def test_ends_are_moved_by_full_batch_descent_for_the_time_of_the_control():
    found, control = tell([2], recipe=VALLEY)["pairs"][0]["ends"], VALLEY.control
    store = Store(Path("story.work"), dataclasses.asdict(VALLEY), other="", remedy="")
    before, descent, road = (store.read(f"seed2-{name}").values["result"] for name in ("rest", "descent", "road"))
    land = VALLEY.landscape(VALLEY.device())
    road, theta, momentum = road.match_norms(land), before.theta.clone(), 0.0
    for _ in range(control.steps):
        momentum = control.momentum * momentum + land.gradient(theta)
        theta = theta - control.learning_rate * momentum
    torch.testing.assert_close(descent.theta, theta, rtol=0, atol=1e-5)
    old, new = before.theta[:, :640], theta[:, :640]  # the weights before the norm
    new *= old.norm(dim=1, keepdim=True) / new.norm(dim=1, keepdim=True)
    assert found["moved"] == pytest.approx(((theta - before.theta).norm(dim=1) / road.length).tolist(), rel=1e-3)
    assert found["nearest_position"] == pytest.approx(road.project(theta).position.tolist(), abs=1e-3)
    lowest = float(torch.cat([road.losses, road.losses_between.flatten()]).min())
    assert found["well"] == pytest.approx(float(road.losses[[0, -1]].min()) - lowest)
    assert found["well_over_lower_end"] == pytest.approx(found["well"] / float(road.losses[[0, -1]].min()))
    assert float(road.at(found["well_position"]).sub(road.pivots[road.losses.argmin()]).norm()) < 1e-3
    (line,) = (
        line
        for line in report.table(json.loads(Path("story.json").read_text())).splitlines()
        if line.startswith("  ends:")
    )
    assert f"moves them by {100 * found['moved'][0]:.1f} and {100 * found['moved'][1]:.1f} % of the road" in line


def test_stages_that_others_need_come_first_and_the_longest_of_the_rest():
    costs = {"minima": 1, "rest": 1, "road": 1, "descent": 2, "road as built": 3, "profile and picture": 9}
    costs |= {f"walkers, {setting.name}": steps for setting, steps in zip(VALLEY.settings, (5, 4, 8, 1), strict=True)}
    order = story._order(VALLEY, [0, 1], costs)
    leaves = ["profile", "walkers2", "walkers0", "walkers1", "raw", "descent", "walkers3"]
    chain = ["minima", "rest", "road"]
    both = [(0, kind) for kind in chain] + [(1, kind) for kind in chain]
    assert order == both + [(0, kind) for kind in leaves] + [(1, kind) for kind in leaves]


def test_processes_are_said_to_take_as_long_as_their_longest_way():
    stages = {"a": (2.0, ()), "b": (2.0, ("a",)), "c": (3.0, ("a",)), "d": (1.0, ("b",)), "e": (1.0, ("elsewhere",))}
    assert estimate.wall(stages, 1) == 9
    assert estimate.wall(stages, 2) == 5  # a, e beside it; then c, and b and d
    assert estimate.wall({}, 2) == 0


@pytest.mark.parametrize("kind", recipes.DIGITS)
def test_each_recipe_of_the_digits_has_a_miniature_that_judges_its_claims(kind, capsys):
    assert cli.main(["story", "--tiny", "--recipe", kind]) == 0
    named = IN_THE_VALLEY if recipes.DIGITS[kind].kind == "valley" else GOOD
    wanted = report.claims(named | {"ends": {"moved": [0.2], "at_most": None}}, recipes.DIGITS[kind].kind)
    assert set(json.loads(Path("story.json").read_text())["counts"]) == set(wanted)


def test_one_fifth_of_the_labels_is_wrong_and_the_same_for_all():
    land = story.Valley().landscape(torch.device("cpu"))
    wrong = land.y != ee.data.digits().y[:500]
    assert 0.12 < float(wrong.float().mean()) < 0.25  # of those drawn anew a tenth come out right
    assert torch.equal(land.y, story.Valley().landscape(torch.device("cpu")).y)
    assert land.criterion.label_noise == 0.1


def test_what_noise_moved_is_the_way_home_less_that_of_the_control_at_equal_flow_time():
    recipe = story.Valley()
    at, still, away = torch.tensor([0, 300, 600]), torch.tensor([0, 600, 1200]), torch.tensor([[0.3, 0.7]] * 3)

    def released(step, gone, rate, steps):
        home = torch.tensor([-1.0, 1.0]) * torch.tensor(gone)[:, None]
        zero = torch.zeros(3, 2)
        settings = {"learning_rate": rate, "momentum": 0.9}
        return ee.Release(step, away + home, zero, zero, away[0], zero[0], 0.0, 1.0, 2.0, recipe=settings)

    curves = {"hot": [0.0, 0.1, 0.2], "warm": [0.0, 0.05, 0.1], "cold": [0.0, 0.02, 0.04]}
    rates = {"hot": 0.1, "warm": 0.1, "cold": 0.1}
    releases = {name: released(at, gone, rates[name], 600) for name, gone in curves.items()}
    releases["no noise"] = released(still, [0.0, 0.01, 0.03], 0.1, 1200)
    floor = ee.probe(ee.valleys.Waist(), ee.Path(ee.valleys.Waist().floor(9)), points=9, generator=torch.Generator())
    pair = recipes.Pair(0, None, None, profile=floor, releases=releases)
    found = report.by_noise(pair, recipe)
    assert found["hot"]["step"] == [300, 300, 600]
    assert found["hot"]["measured"] == pytest.approx([0.095, 0.095, 0.19])  # the control has gone 0.005 and 0.01
    assert found["cold"]["measured"][-1] == pytest.approx(0.03)
    home = [found["hot"][name] for name in ("home", "home_without_noise", "home_error")]
    assert home == pytest.approx([0.2 / 0.3, 0.01 / 0.3, 0.0])
    law = ee.predict(floor, batch_size=64, learning_rate=0.02, momentum=0.9, project_every=15)
    calm = ee.predict(floor, batch_size=None, learning_rate=0.1, momentum=0.9, project_every=15)
    ends = [(law.track(s, at)[-1] - s) * (1 if s > 0.5 else -1) for s in (0.3, 0.7)]
    less = [(calm.track(s, still)[1] - s) * (1 if s > 0.5 else -1) for s in (0.3, 0.7)]
    assert found["cold"]["predicted"][-1] == pytest.approx(float(sum(ends) / 2 - sum(less) / 2))


IN_THE_VALLEY = {
    "minima": {"linear_barrier": 0.3},
    "road": {"highest_data_loss_over_higher_end": 1.1},
    "ends": {"moved": [0.15, 0.1], "at_most": 0.15},
    "profile": {"middle_over_ends": {"trace": 1.8, "top_eigenvalue": 1.8, "adaptive_trace": 1.5}},
    "releases": [
        {
            "name": name,
            "starts": [0.3, 0.7],
            "end": [0.3 - way, 0.7 + way],
            "end_error": [0.001] * 2,
            "share_outside": 0.05,
        }
        for name, way in (("hot", 0.2), ("warm", 0.1), ("cold", 0.06), ("no noise", 0.04))
    ],
    "collapse": {"same_temperature": {}, "other_temperature": {}},
    "by_noise": {
        "hot": {"step": [2000, 4000, 6000], "measured": [0.05, 0.1, 0.2], "error": [0.001] * 3, "ratio": [9.0] * 3},
        "warm": {
            "step": [2000, 4000, 7000],
            "measured": [0.03, 0.06, 0.1],
            "error": [0.001] * 3,
            "ratio": [1.0, 1.2, 1.5],
        },
        "cold": {
            "step": [1000, 2000, 4000],
            "measured": [0.02, 0.04, 0.05],
            "error": [0.001] * 3,
            "ratio": [0.7, 0.8, 0.9],
        },
    },
}


def test_figures_at_their_bounds_show_every_claim_of_the_valley():
    assert all(report.claims(IN_THE_VALLEY, "valley").values())
    assert len(report.claims(IN_THE_VALLEY, "valley")) == 11


@pytest.mark.parametrize(
    ("place", "worse", "claim"),
    [
        (("minima", "linear_barrier"), 0.29, "linear barrier"),
        (("road", "highest_data_loss_over_higher_end"), 1.11, "highest loss"),
        (("ends", "moved"), [0.1, 0.151], "full-batch descent"),
        (("profile", "middle_over_ends", "trace"), 1.79, "trace in the middle"),
        (("profile", "middle_over_ends", "top_eigenvalue"), 1.79, "lambda_max in the middle"),
        (("profile", "middle_over_ends", "adaptive_trace"), 1.49, "adaptive trace"),
        (("releases", 2, "end"), [0.2605, 0.7405], "noisy walkers are nearer"),
        (("by_noise", "cold", "measured"), [0.02, 0.04, 0.0985], "at one learning rate"),
        (("releases", 3, "end"), [0.249, 0.7], "without noise"),
        (("releases", 1, "share_outside"), 0.051, "walkers are in the valley"),
        (("by_noise", "warm", "ratio"), [1.0, 1.51, 1.2], "what noise moved"),
        (("by_noise", "cold", "ratio"), [0.66, 1.0, 1.0], "what noise moved"),
    ],
)
def test_a_figure_past_its_bound_takes_its_own_claim_of_the_valley_and_no_other(place, worse, claim):
    fails_alone(IN_THE_VALLEY, "valley", place, worse, claim)


def fails_alone(good, kind, place, worse, claim):
    found = copy.deepcopy(good)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = worse
    assert [name for name, shown in report.claims(found, kind).items() if not shown] == [
        name for name in report.claims(good, kind) if name.startswith(claim)
    ]


GOOD = {
    "minima": {"linear_barrier": 0.3},
    "road": {"highest_data_loss_over_higher_end": 1.6},
    "profile": {"middle_over_ends": {"trace": 1.8, "top_eigenvalue": 1.8}},
    "releases": [
        {"name": "hot", "starts": [0.3, 0.7], "end": [0.05, 0.86], "end_error": [0.01] * 2, "share_outside": 0.05},
        {"name": "hot, excursions undone", "starts": [0.3, 0.7], "end": [0.31, 0.69], "end_error": [0.01] * 2},
        {"name": "hot, noise of the road", "end": [0.27, 0.74], "predicted_end": [0.25, 0.73]},
        {"name": "no noise", "starts": [0.3, 0.7], "end": [0.26, 0.6], "share_outside": 0.0},
    ],
    "collapse": {"same_temperature": {"a / b": 2.0, "a / c": 0.1}, "other_temperature": {"a / d": 2.1}},
}


def test_figures_at_their_bounds_show_every_claim():
    assert all(report.claims(GOOD, "runaway").values())
    assert len(report.claims(GOOD, "runaway")) == 11


@pytest.mark.parametrize(
    ("place", "worse", "claim"),
    [
        (("minima", "linear_barrier"), 0.29, "linear barrier"),
        (("road", "highest_data_loss_over_higher_end"), 1.61, "highest loss"),
        (("profile", "middle_over_ends", "trace"), 1.79, "trace in the middle"),
        (("profile", "middle_over_ends", "top_eigenvalue"), 1.79, "lambda_max in the middle"),
        (("releases", 0, "end"), [0.05, 0.84], "noisy walkers end"),  # 0.105 from home
        (("releases", 0, "end"), [0.5, 1.0], "noisy walkers end"),
        (("releases", 1, "end"), [0.11, 0.89], "with excursions and their momentum undone"),
        (("releases", 2, "end"), [0.29, 0.74], "with the noise of the road"),
        (("releases", 3, "end"), [0.24, 0.6], "without noise"),
        (("releases", 3, "end"), [0.4, 0.76], "without noise"),
        (("releases", 0, "share_outside"), 0.051, "noisy walkers are in the valley"),
        (("collapse", "same_temperature", "a / b"), 2.1, "equal temperature"),
        (("collapse", "other_temperature", "a / d"), 1.9, "four times colder"),
    ],
)
def test_a_figure_past_its_bound_takes_its_own_claim_and_no_other(place, worse, claim):
    fails_alone(GOOD, "runaway", place, worse, claim)


def test_relaxation_curves_are_compared_in_units_of_their_errors():
    flat = torch.full((7,), 0.1, dtype=torch.float64)
    error = torch.full((7,), 0.03, dtype=torch.float64)
    other = (flat + 0.1, torch.full((7,), 0.04, dtype=torch.float64))
    assert report.disagreement((flat, error), other) == pytest.approx(2)  # 0.1 over √(0.03² + 0.04²)


def test_the_larger_and_smaller_steps_of_the_recipe_spread_a_free_walker_alike():
    # k is chosen so that the variance that a free walker sustains between projections is that of η = 0.2, k = 15.
    recipe = story.Recipe()
    hot = [s for s in recipe.settings if s.name.startswith("hot") and not s.undo_excursions]
    still = torch.zeros(1, dtype=torch.float64)
    spread = [
        float(ee.theory.sustained_variance(still, s.learning_rate, s.momentum, steps=s.project_every)) / s.batch_size
        for s in hot
    ]
    assert max(spread) / min(spread) < 1.03  # k and B are whole numbers
    times = [s.learning_rate * s.steps for s in hot]
    assert max(times) / min(times) < 1.01
    heat = {ee.effective_temperature(s.batch_size, s.learning_rate, s.momentum) for s in hot}
    assert max(heat) / min(heat) == pytest.approx(1)

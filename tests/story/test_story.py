"""The story from the command line, with a small recipe: its files, its keys, Ctrl-C and resume."""

import copy
import json
import re
from pathlib import Path

import matplotlib.image
import pytest
import torch

import entropic_edu as ee
from entropic_edu import cli
from entropic_edu.story import recipes, report
from entropic_edu.story import tell as story

TINY = story.Recipe(
    widths=(64, 10, 10),
    train={"batch_size": 64, "learning_rate": 0.1, "momentum": 0.9, "epochs": 6},
    connect={"method": "string", "pivots": 6, "sweeps": 60},
    points=7,
    settings=(
        story.Setting("hot", 16, 0.05, 15, 60, walkers=3),
        story.Setting("hot, larger steps", 32, 0.1, 11, 33, walkers=3),
        story.Setting("hot, excursions undone", 16, 0.05, 15, 60, walkers=3, undo_excursions=True),
        story.Setting("cold", 64, 0.05, 15, 60, walkers=3),
        story.Setting("no noise", None, 0.05, 15, 30, walkers=1),
    ),
)
DOCUMENT = Path(__file__).parents[2] / "docs" / "story.md"


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    for module in (story, recipes):
        monkeypatch.setattr(module, "Recipe", lambda: TINY)
    monkeypatch.chdir(tmp_path)


def test_the_command_without_options_tells_the_story_of_the_digits():
    assert recipes.chosen() is TINY


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
    assert cli.main(["story", "--seeds", "2"]) == 0
    said = capsys.readouterr().out
    assert "of 2: linear barrier >= 0.3" in said
    assert "Wrote story.json and story.png." in said
    found = json.loads(Path("story.json").read_text())
    assert found["complete"]
    assert [pair["seed"] for pair in found["pairs"]] == [0, 1]
    body = {key: value for key, value in found.items() if key not in ("recipe", "counts")}
    free = {name for pair in body["pairs"] for name in (*pair["claims"], *keys(pair["collapse"]))}
    documented = set(re.findall(r"`(\w+)`", DOCUMENT.read_text()))
    assert keys(body) - free - documented == set()
    picture = matplotlib.image.imread("story.png")
    assert picture.shape[0] > 800
    assert float(picture.std()) > 0.05  # not a blank page


def test_the_figures_are_those_of_the_verbs():
    found = story.tell([3], say=lambda line: None)
    pair, land = found["pairs"][0], story.landscape(TINY)
    run = ee.Run.load("story.work/seed3-minima.safetensors")
    road = ee.Path.load("story.work/seed3-road.safetensors")
    walkers = ee.Release.load("story.work/seed3-walkers0.safetensors")
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
    one, two = (story.tell([1], out=name, say=lambda line: None) for name in ("one", "two"))
    assert without_time(one) == without_time(two)


@pytest.mark.parametrize("stage", ["minima", "line", "road", "profile", "walkers1"])
def test_ctrl_c_leaves_what_there_is_and_resume_goes_on(stage, monkeypatch, capsys):
    whole = story.tell([0], out="whole", say=lambda line: None)
    verbs = {"minima": "train", "line": "connect", "road": "connect", "profile": "probe", "walkers1": "drift"}
    name = verbs[stage]
    plain, calls = getattr(story, name), []

    def interrupted(*args, **settings):
        calls.append(1)
        first_release = stage == "walkers1" and len(calls) == 1
        linear = settings.get("method") == "linear"

        def stop(snapshot):
            if linear == (stage == "line") and (linear or snapshot.done > 0) and not first_release:
                raise KeyboardInterrupt

        return plain(*args, **{**settings, "progress": stop})

    monkeypatch.setattr(story, name, interrupted)
    assert cli.main(["story"]) == 130
    monkeypatch.setattr(story, name, plain)
    assert "Incomplete: go on with --resume." in capsys.readouterr().out
    partial = json.loads(Path("story.json").read_text())
    assert not partial["complete"]
    assert not partial["pairs"][0]["complete"]
    assert ("profile" in partial["pairs"][0]) == (stage == "walkers1")
    assert Path("story.png").stat().st_size > 5000
    done = {file.name: file.stat().st_mtime_ns for file in Path("story.work").glob("*.safetensors")}
    assert cli.main(["story", "--resume"]) == 0
    assert without_time(json.loads(Path("story.json").read_text())) == without_time(whole)
    for file, written in done.items():  # nothing that was finished is computed again
        assert (Path("story.work") / file).stat().st_mtime_ns == written


def test_stages_of_another_recipe_are_not_mixed_in(monkeypatch, capsys):
    story.tell([0], say=lambda line: None)
    other = story.dataclasses.replace(TINY, weight_decay=1e-3)
    monkeypatch.setattr(recipes, "Recipe", lambda: other)
    assert cli.main(["story", "--resume"]) == 1
    assert "holds stages of another recipe; run without --resume" in capsys.readouterr().err


def test_a_damaged_stage_is_named(capsys):
    story.tell([0], say=lambda line: None)
    stage = Path("story.work/seed0-road.safetensors")
    stage.write_bytes(stage.read_bytes()[:200])
    assert cli.main(["story", "--resume"]) == 1
    assert "seed0-road.safetensors is cut short, damaged" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named_before_anything_is_computed(monkeypatch, capsys):
    Path("file").write_text("in the way")
    monkeypatch.setattr(story, "train", lambda *_, **__: pytest.fail("computed before looking"))
    assert cli.main(["story", "--out", "file/story"]) == 1
    assert "Could not write" in capsys.readouterr().err


def test_json_goes_to_standard_output_alone(capsys):
    assert cli.main(["story", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["complete"]
    assert "Pair of minima from seed 0" in err


def test_a_count_of_pairs_below_one_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["story", "--seeds", "0"])
    assert stop.value.code == 2
    assert "must be at least 1, got 0" in capsys.readouterr().err


GOOD = {
    "minima": {"linear_barrier": 0.3},
    "road": {"highest_data_loss_over_higher_end": 1.6},
    "profile": {"middle_over_ends": {"trace": 1.8, "top_eigenvalue": 1.8}},
    "releases": [
        {"name": "hot", "starts": [0.3, 0.7], "end": [0.05, 0.86], "share_outside": 0.05},
        {"name": "hot, excursions undone", "starts": [0.3, 0.7], "end": [0.14, 0.95], "share_outside": 0.2},
        {"name": "no noise", "starts": [0.3, 0.7], "end": [0.26, 0.6], "share_outside": 0.0},
    ],
    "collapse": {"same_temperature": {"a / b": 2.0, "a / c": 0.1}, "other_temperature": {"a / d": 2.1}},
}


def test_figures_at_their_bounds_show_every_claim():
    assert all(report._claims(GOOD).values())
    assert len(report._claims(GOOD)) == 10


@pytest.mark.parametrize(
    ("place", "worse", "claim"),
    [
        (("minima", "linear_barrier"), 0.29, "linear barrier"),
        (("road", "highest_data_loss_over_higher_end"), 1.61, "highest loss"),
        (("profile", "middle_over_ends", "trace"), 1.79, "trace in the middle"),
        (("profile", "middle_over_ends", "top_eigenvalue"), 1.79, "lambda_max in the middle"),
        (("releases", 0, "end"), [0.05, 0.84], "noisy walkers end"),  # 0.105 from home
        (("releases", 0, "end"), [0.5, 1.0], "noisy walkers end"),
        (("releases", 1, "end"), [0.3, 0.7], "also where every excursion"),
        (("releases", 2, "end"), [0.24, 0.6], "without noise"),
        (("releases", 2, "end"), [0.4, 0.76], "without noise"),
        (("releases", 0, "share_outside"), 0.051, "noisy walkers are in the valley"),
        (("collapse", "same_temperature", "a / b"), 2.1, "equal temperature"),
        (("collapse", "other_temperature", "a / d"), 1.9, "four times colder"),
    ],
)
def test_a_figure_past_its_bound_takes_its_own_claim_and_no_other(place, worse, claim):
    found = copy.deepcopy(GOOD)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = worse
    assert [name for name, shown in report._claims(found).items() if not shown] == [
        name for name in report._claims(GOOD) if name.startswith(claim)
    ]


def test_relaxation_curves_are_compared_in_units_of_their_errors():
    flat = torch.full((7,), 0.1, dtype=torch.float64)
    error = torch.full((7,), 0.03, dtype=torch.float64)
    other = (flat + 0.1, torch.full((7,), 0.04, dtype=torch.float64))
    assert report._disagreement((flat, error), other) == pytest.approx(2)  # 0.1 over √(0.03² + 0.04²)


def test_the_larger_and_smaller_steps_of_the_recipe_spread_a_free_walker_alike():
    # k is chosen so that the variance that a free walker sustains between projections is that of η = 0.2, k = 15.
    recipe = story.dataclasses.replace(ORIGINAL)
    hot = [s for s in recipe.settings if s.name.startswith("hot") and not s.undo_excursions]
    still = torch.zeros(1, dtype=torch.float64)
    spread = [
        float(ee.theory.sustained_variance(still, s.learning_rate, recipe.momentum, steps=s.project_every))
        / s.batch_size
        for s in hot
    ]
    assert max(spread) / min(spread) < 1.03  # k and B are whole numbers
    times = [s.learning_rate * s.steps for s in hot]
    assert max(times) / min(times) < 1.01
    heat = {ee.effective_temperature(s.batch_size, s.learning_rate, recipe.momentum) for s in hot}
    assert max(heat) / min(heat) == pytest.approx(1)


ORIGINAL = story.Recipe()  # before the fixture puts the small one in its place

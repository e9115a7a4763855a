"""The story on CIFAR-10, in miniature: random images in the official layout, a few steps of every stage."""

import copy
import dataclasses
import json
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import entropic_edu as ee
from benchmarks.gradients import flops
from entropic_edu import cli
from entropic_edu.data import FOLDER, TEST_FILE, TRAIN_FILES
from entropic_edu.recorded import cifar10
from entropic_edu.story import estimate, recipes, report
from entropic_edu.story import tell as story
from entropic_edu.sweeps.kept import Store

DOCS = Path(__file__).parents[2] / "docs"
IMAGES = 4  # of each file: 20 for training, 4 held out


MINIATURES = {"small_cnn": recipes.Cifar10().tiny(), "resnet20": recipes.paper().tiny()}
VALLEY = recipes.Images().tiny()
CNN = MINIATURES["small_cnn"]


@pytest.fixture(autouse=True)
def images(tmp_path, monkeypatch):
    """A small copy of CIFAR-10, which is found, and an empty folder to work in."""
    draw = np.random.default_rng(0)
    folder = tmp_path / "data" / FOLDER
    folder.mkdir(parents=True)
    for name in (*TRAIN_FILES, TEST_FILE):
        records = draw.integers(0, 256, (IMAGES, 3073), np.uint8)
        records[:, 0] %= 10
        records.tofile(folder / name)
    monkeypatch.setenv("ENTROPIC_EDU_DATA", str(tmp_path / "data"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


def keys(value):
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


# --- the whole story -------------------------------------------------------------------------------------------------


OPTIONS = {"small_cnn": ["--model", "small_cnn"], "resnet20": ["--paper"]}


@pytest.mark.parametrize("name", ["small_cnn", pytest.param("resnet20", marks=pytest.mark.soak)])
def test_the_command_tells_it_from_beginning_to_end(name, capsys):
    assert cli.main(["story", "--dataset", "cifar10", "--device", "cpu", "--tiny", *OPTIONS[name]]) == 0
    said = capsys.readouterr().out
    assert "of 1: training accuracy >= 0.99" in said
    for stage in ("minima", "road", "profile and picture", "walkers, hot", "walkers, no noise"):
        assert re.search(rf"^  {stage}: about [\d.e+]+ (s|min|h)", said, re.MULTILINE), stage
    assert re.search(r"^About \S+ \w+ for each pair of minima, on cpu\.$", said, re.MULTILINE)
    found = json.loads(Path("story.json").read_text())
    assert found["complete"]
    assert (found["dataset"], found["device"]) == ("cifar10", "cpu")
    assert found["recipe"]["model"] == name
    (pair,) = found["pairs"]
    free = {*pair["claims"], *keys(pair["collapse"]), *found["counts"], *keys(found["recipe"])}
    documented = set(re.findall(r"`(\w+)`", (DOCS / "story.md").read_text()))
    assert keys(found) - free - documented == set()
    assert Path("story.png").stat().st_size > 20_000
    assert not list(Path("story.work").glob("*.checkpoint"))


def test_without_a_model_it_is_the_story_in_the_valley(capsys):
    assert cli.main(["story", "--dataset", "cifar10", "--device", "cpu", "--tiny"]) == 0
    said, (found,) = capsys.readouterr().out, json.loads(Path("story.json").read_text())["pairs"]
    for stage in ("minima", "rest", "road", "descent", "road as built", "profile and picture", "walkers, cold"):
        assert re.search(rf"^  {stage}: about [\d.e+-]+ (s|min|h)", said, re.MULTILINE), stage
    assert "of 1: what noise moved is within 1.5 of linear theory (stable settings)" in said
    cold = next(walk for walk in found["releases"] if walk["name"] == "cold")
    assert len(cold["sharpness"]) == len(cold["sharpness_error"]) == 3
    assert cold["sharpness_limit"] == pytest.approx(2 * 0.1 / cold["learning_rate"])
    shown = f"{found['by_noise']['cold']['home'] * 100:.1f} ± {found['by_noise']['cold']['home_error'] * 100:.1f} % of"
    assert f"cold (k 3): {shown} the way home" in said


def test_networks_of_the_valley_see_means_over_squares_and_noisy_labels(images):
    land, data = VALLEY.landscape(torch.device("cpu")), ee.data.cifar10(images.parent)
    torch.testing.assert_close(land.x, F.avg_pool2d(data.x, 4))
    assert torch.equal(land.y, data.y)
    assert land.criterion.label_noise == 0.1
    theta = land.initial(torch.Generator().manual_seed(0))
    assert list(land.scale_free(theta)) == ["0.weight", "3.weight", "6.weight"]
    assert recipes.Images(images=4).landscape(torch.device("cpu")).dim == 27_538


def test_the_figures_are_those_of_plain_pytorch(images):
    found = story.tell([0], recipe=CNN, device="cpu", say=lambda _: None)["pairs"][0]
    run, data = kept("seed0-minima"), ee.data.cifar10(images.parent)
    for theta, loss, accuracy in zip(
        run.theta, found["minima"]["data_loss"], found["minima"]["test_accuracy"], strict=True
    ):
        model = ee.models.small_cnn((4, 4))
        torch.nn.utils.vector_to_parameters(theta, model.parameters())
        with torch.no_grad():
            assert float(F.cross_entropy(model(data.x), data.y)) == pytest.approx(loss, rel=1e-5)
            assert float((model(data.test_x).argmax(1) == data.test_y).float().mean()) == pytest.approx(accuracy)
    assert len(found["profile"]["position"]) == 3
    assert found["road"]["points"] == 16


def kept(name):
    """The result of a stage."""
    store = Store(Path("story.work"), dataclasses.asdict(CNN), other="is of another recipe", remedy="a story")
    return store.read(name).values["result"]


@pytest.mark.soak
def test_training_that_was_stopped_in_the_middle_goes_on_there_to_the_same_story():
    whole, seen = story.tell([0], out="whole", recipe=CNN, say=lambda _: None), []

    def stop(snapshot):
        if snapshot.done == 4:  # two of four epochs
            raise KeyboardInterrupt

    assert not story.tell([0], recipe=CNN, say=lambda _: None, progress=stop)["complete"]
    assert ee.Run.load("story.work/seed0-minima.checkpoint").step == 4

    def look(snapshot):
        if isinstance(snapshot.result, ee.Run):
            seen.append(snapshot.done)

    resumed = story.tell([0], recipe=CNN, resume=True, say=lambda _: None, progress=look)
    assert seen == [4, 6, 8]  # nothing that was finished is computed again
    assert resumed | {"seconds": 0} == whole | {"seconds": 0}
    assert not list(Path("story.work").glob("*.checkpoint"))


def test_the_profile_is_made_on_some_images_of_all():
    story.tell([0], recipe=CNN, say=lambda _: None)
    land = CNN.landscape(torch.device("cpu"))
    part, generator = CNN.part(land), torch.Generator().manual_seed(3)
    again = ee.probe(part, kept("seed0-road"), generator=generator, points=CNN.points, **CNN.probe)
    assert torch.equal(again.trace, kept("seed0-profile").trace)
    assert torch.equal(part.x, CNN.part(land).x)
    assert len({tuple(x.flatten().tolist()) for x in part.x}) == 10  # no image twice
    assert dataclasses.replace(CNN, probed=20).part(land) is land


# --- what it will cost -----------------------------------------------------------------------------------------------


class Counting(ee.Network):
    """A network that counts its steps, and how often one of it is evaluated on all data."""

    steps = looks = 0
    shape = None

    def gradient_on(self, theta, batch):
        finished = batch is None and self.shape.batch_size is not None  # the forces on a road
        if finished or len(theta) == 15:  # or how sharp batches are
            return super().gradient_on(theta, batch)
        self.steps += 1
        assert (len(theta), None if batch is None else batch.size) == (self.shape.networks, self.shape.batch_size)
        assert batch is None or batch.own == self.shape.own
        return super().gradient_on(theta, batch)

    def loss(self, theta):
        self.looks += 1 if theta.ndim == 1 else len(theta)
        return super().loss(theta)


def test_the_steps_that_are_estimated_are_those_that_are_made():
    data = ee.data.cifar10(first=CNN.images)
    settings = {"weight_decay": CNN.weight_decay, "test": data.test, "strategy": "loop"}
    land = Counting(ee.models.small_cnn(CNN.widths), *data.train, **settings)
    minima, road, hot, cold, still = estimate.shapes(land, CNN)

    def counted(shape, call):
        land.shape, land.steps, land.looks = shape, 0, 0
        return call(), (land.steps, land.looks)

    seeded = partial(torch.Generator().manual_seed, 0)
    run, made = counted(minima, lambda: ee.train(land, generator=seeded(), runs=2, **CNN.train))
    assert made == (minima.steps, minima.looks)

    def joined():
        ee.connect(land, *run.theta, generator=seeded(), method="linear", points=25)
        return ee.connect(land, *run.theta, generator=seeded(), **CNN.connect)

    way, (_, looks) = counted(road, joined)
    assert looks == pytest.approx(road.looks, abs=6)
    for shape, setting in zip((hot, cold, still), CNN.settings, strict=True):
        walked = story.release_settings(CNN, setting)
        _, made = counted(shape, lambda walked=walked: ee.drift(land, way, generator=seeded(), **walked))
        assert made[0] == shape.steps
        assert shape.looks <= made[1] <= 2 * shape.looks  # a record at each projection, where so few are asked for


def test_the_minimum_of_memory_counts_what_batch_norm_needs_together():
    cnn, resnet = (recipe.landscape(torch.device("cpu")) for recipe in MINIATURES.values())
    drawn = estimate.Shape("minima", 2, 8, True, 1, 1)
    for land, together in ((cnn, 1), (resnet, 8)):
        wanted = 6 * 2 * land.dim * 4 + 2 * 8 * 3072 * 4 + 2 * together * land.bytes_per_sample
        assert estimate.least_bytes(land, drawn) == wanted
    whole = dataclasses.replace(drawn, batch_size=None)  # 12 images and the 12 of the statistics
    assert estimate.least_bytes(resnet, whole) == 6 * 2 * resnet.dim * 4 + 2 * 24 * resnet.bytes_per_sample


def test_what_cannot_fit_is_refused_before_anything_is_touched():
    earlier = Path("story.work/seed0-road.kept")
    earlier.parent.mkdir()
    earlier.write_bytes(b"of an earlier run")
    crowd = dataclasses.replace(CNN.settings[0], walkers=10**12)
    with pytest.raises(
        MemoryError, match=r"stage 'walkers, hot' needs at least \S+ GB beside the data, and cpu has .*; take a smaller"
    ):
        story.tell([0], recipe=dataclasses.replace(CNN, settings=(crowd,)))
    assert earlier.read_bytes() == b"of an earlier run"


def test_what_is_finished_is_kept_where_memory_runs_out():
    def fails(snapshot):
        if isinstance(snapshot.result, ee.Profile):
            raise MemoryError("Memory ran out on cpu with 64 samples")

    with pytest.raises(MemoryError):
        story.tell([0], recipe=CNN, say=lambda _: None, progress=fails)
    assert Path("story.work/seed0-road.kept").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Memory ran out on cpu with 64 samples"),
        RuntimeError("CUDA out of memory. 2 GiB"),
        MemoryError("std::bad_alloc"),
        RuntimeError("a mistake of ours"),
    ],
)
def test_memory_that_runs_out_is_one_line_and_an_error_of_another_kind_is_not_hidden(error, monkeypatch, capsys):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(story, "tell", fails)
    if "mistake" in str(error):
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            cli.main(["story", "--tiny"])
    else:
        assert cli.main(["story", "--tiny"]) == 1
        line = f"entropic-edu: {error}".replace("std::bad_alloc", "Memory ran out.")
        assert capsys.readouterr().err.splitlines() == [line]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "0.2 s"), (80, "80 s"), (100, "1.7 min"), (7200, "2 h"), (4e5, "4.6 days")]
)
def test_a_time_is_told_in_the_unit_that_suits_it(seconds, words):
    assert estimate.in_words(seconds) == words


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--norm", "group"], "--norm belong to --dataset cifar10, got digits, whose network is an MLP without norm"),
        (["--model", "resnet20", "--images", "5"], "--model and --images belong to --dataset cifar10"),
        (
            ["--dataset", "cifar10", "--model", "vgg"],
            "--model must be one of normed_cnn, small_cnn, resnet20, got 'vgg'",
        ),
        (["--dataset", "cifar10", "--norm", "batch"], "--model normed_cnn takes --norm group, got 'batch'"),
        (
            ["--dataset", "cifar10", "--model", "resnet20", "--norm", "none"],
            "--model resnet20 takes --norm group or batch, got 'none'",
        ),
        (["--paper", "--norm", "group"], "--paper is ResNet-20 with batch norm at 32 x 32; leave out --model, --norm"),
        (["--side", "16"], "--side belong to --dataset cifar10"),
        (["--dataset", "cifar10", "--side", "5"], "--model normed_cnn takes --side 8, 16 or 32, got 5"),
        (["--dataset", "cifar10", "--side", "16", "--model", "small_cnn"], "--model small_cnn takes --side 32, got 16"),
        (["--dataset", "cifar10", "--images", "5"], "4 images"),
        (["--dataset", "cifar10", "--images", "2", "--device", "tpu"], "There is no device 'tpu' here; take one of"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_one_line(options, problem, capsys):
    assert cli.main(["story", *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
    assert not list(Path().iterdir())


def test_without_images_it_says_how_to_get_them(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("ENTROPIC_EDU_DATA")
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    assert cli.main(["story", "--dataset", "cifar10"]) == 1
    assert "entropic-edu data fetch cifar10" in capsys.readouterr().err


def test_options_choose_model_norm_and_images():
    for model, norm, images in (("small_cnn", "group", 3), ("resnet20", "group", 2), ("resnet20", "batch", 4)):
        recipe = recipes.chosen("cifar10", model=model, norm=norm, images=images)
        land = recipe.landscape(torch.device("cpu"))
        layers = {type(layer).__name__ for layer in land.module(torch.zeros(land.dim)).modules()}
        assert ("GroupNorm" in layers, "BatchNorm2d" in layers) == (norm == "group", norm == "batch")
        assert ("Residual" in layers) == (model == "resnet20")
        assert (len(land.x), len(land.test[0])) == (5 * images, images)
    assert recipes.chosen("cifar10", model="resnet20").norm == "group"


def test_options_choose_the_size_of_images_and_how_many():
    assert recipes.chosen("cifar10") == recipes.Images()
    wide = recipes.chosen("cifar10", side=32, images=3)
    assert (wide.side, wide.images) == (32, 3)
    assert wide.landscape(torch.device("cpu")).x.shape == (15, 3, 32, 32)
    old = recipes.chosen("cifar10", side=32, images=1000, model="small_cnn")
    assert old == recipes.Cifar10()


def test_the_walkers_without_noise_have_the_flow_time_of_the_hottest():
    for recipe in (recipes.Images(), recipes.Valley()):
        times = {s.name: s.learning_rate * s.steps / (1 - s.momentum) for s in recipe.settings}
        assert times["no noise"] >= max(times.values()) - 1e-9


def test_the_recording_s_settings_are_the_story_s():
    assert cifar10.told(cifar10.RECIPE) == recipes.Images()
    assert cifar10.told(cifar10.RECIPE | cifar10.TINY) == VALLEY


def test_one_time_suits_all_settings_of_the_small_cnn_and_of_the_paper():
    for recipe in (recipes.chosen("cifar10", model="small_cnn"), recipes.paper()):
        assert len({round(s.learning_rate * s.steps, 9) for s in recipe.settings}) == 1
        assert [s.name for s in recipe.settings] == ["hot", "cold", "no noise"]


# --- the paper -------------------------------------------------------------------------------------------------------


def test_the_paper_s_recipe_is_resnet20_with_its_settings():
    recipe = recipes.chosen(use_paper=True)
    assert (recipe.model, recipe.norm, recipe.images, recipe.weight_decay) == ("resnet20", "batch", None, 5e-4)
    assert recipe.train == {
        "batch_size": 256,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "epochs": 200,
        "schedule": "step",
    }
    assert recipe.connect["method"] == "autoneb"
    hot, cold, _ = recipe.settings
    assert (hot.learning_rate, hot.batch_size, hot.project_every) == (0.02, 16, 15)
    assert (cold.learning_rate, cold.batch_size, cold.project_every) == (0.02, 256, 15)
    assert recipes.chosen(use_paper=True, images=2).landscape(torch.device("cpu")).dim == 269_722


@pytest.mark.parametrize("page", ["story.md", "paper.md"])
def test_every_option_that_the_pages_name_exists(page, capsys):
    named = set(re.findall(r"(?<![-\w])--[a-z]+", (DOCS / page).read_text()))
    with pytest.raises(SystemExit):
        cli.main(["story", "--help"])
    known = capsys.readouterr().out
    assert named
    assert [option for option in named if option not in known] == []


def test_the_page_on_the_paper_says_what_its_stages_cost():
    # steps times networks times batch times what a gradient takes, and a third of that for a look
    page, recipe = (DOCS / "paper.md").read_text(), recipes.paper()
    model = ee.models.resnet20("batch")
    gradient = flops(model, torch.zeros(2, 3, 32, 32)) / 2
    land = SimpleNamespace(x=range(50_000), steps_per_epoch=lambda size: 50_000 // size)
    told = dict(re.findall(r"^\| (minima|road|walkers, [a-z ]+|profile) \|.*\| ([\d.]+) \|$", page, re.MULTILINE))
    wanted = {}
    for shape in estimate.shapes(land, recipe):
        twice = 1 if shape.batch_size else 2  # batch norm: each part of all data takes the statistics again
        samples = shape.steps * shape.networks * (shape.batch_size or 50_000)
        wanted[shape.stage] = (twice * samples + (shape.looks / 3 + 2 * 4 * shape.products) * 50_000) * gradient
    wanted["profile"] = 2 * estimate.products(recipe.points, **recipe.probe) * 4 * recipe.probed * gradient
    assert {stage: float(said) for stage, said in told.items()} == pytest.approx(
        {stage: number / 1e15 for stage, number in wanted.items()}, rel=0.05
    )
    (total,) = re.findall(r"\| all \|.*\| (\d+) \|$", page, re.MULTILINE)
    assert float(total) == pytest.approx(sum(wanted.values()) / 1e15, rel=0.02)
    assert f"{gradient / 1e6:.0f} MFLOP" in page
    x = torch.randn(8, 3, 32, 32)
    kept = ee.Network(model, x, torch.arange(8), batch_norm="reestimate").bytes_per_sample
    assert f"{kept / 1e6:.1f} MB" in page
    together = 2 * recipe.statistics * kept / 1e9
    assert f"gradient takes {2 * together:.1f} GB" in page
    assert f"three times as much, {3 * together:.1f} GB" in page


# --- claims ----------------------------------------------------------------------------------------------------------


def walk(name, end, error, outside=0.0):
    return {"name": name, "starts": [0.3, 0.7], "end": end, "end_error": error, "share_outside": outside}


GOOD = {
    "minima": {"accuracy": [0.99, 1.0], "linear_barrier": 1.0},
    "road": {"highest_data_loss": 0.05, "highest_data_loss_over_higher_end": 3.0},
    "profile": {"middle_over_ends": {"trace": 1.8, "top_eigenvalue": 1.8}},
    "releases": [
        walk("hot", [0.2, 0.8], [0.03, 0.04], 0.05),  # 0.2 from home, error of both starts √(0.03² + 0.04²)/2 = 0.025
        walk("cold", [0.26, 0.74], [0.0, 0.0]),
        walk("no noise", [0.251, 0.749], [0.0, 0.0]),
    ],
}


def test_figures_at_their_bounds_show_every_claim():
    assert all(report.claims(GOOD, "cifar10").values())
    assert len(report.claims(GOOD, "cifar10")) == 8


@pytest.mark.parametrize(
    ("place", "worse", "claim"),
    [
        (("minima", "accuracy"), [0.98, 1.0], "training accuracy"),
        (("minima", "linear_barrier"), 0.99, "linear barrier"),
        (("road", "highest_data_loss"), 0.051, "highest loss"),
        (("road", "highest_data_loss_over_higher_end"), 3.1, "highest loss"),
        (("profile", "middle_over_ends", "trace"), 1.79, "trace"),
        (("profile", "middle_over_ends", "top_eigenvalue"), 1.79, "lambda_max"),
        (("releases", 2, "end"), [0.249, 0.751], "noisy walkers are nearer to their ends than those"),
        (("releases", 1, "end_error"), [0.06, 0.0], "noisy walkers are nearer to their ends than colder"),
        (("releases", 0, "share_outside"), 0.051, "noisy walkers are in the valley"),
    ],
)
def test_a_figure_past_its_bound_takes_its_own_claim_and_no_other(place, worse, claim):
    found = copy.deepcopy(GOOD)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = worse
    assert [name for name, shown in report.claims(found, "cifar10").items() if not shown] == [
        name for name in report.claims(GOOD, "cifar10") if name.startswith(claim)
    ]

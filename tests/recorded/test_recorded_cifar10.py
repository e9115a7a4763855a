"""The recording of CIFAR-10: it shows what lesson 09 says of it, and where images are at hand they give its numbers."""

import os

import pytest
import torch

import entropic_edu as ee
from entropic_edu import cli, recorded
from entropic_edu.data import find_cifar10
from entropic_edu.recorded import cifar10

PAIRS = range(cifar10.RECIPE["pairs"])
images = pytest.mark.skipif(find_cifar10() is None, reason="no copy of CIFAR-10; set ENTROPIC_EDU_DATA to one")


@pytest.fixture(scope="module")
def kept():
    return recorded.load("cifar10")


@pytest.mark.parametrize("pair", PAIRS)
def test_both_ends_fit_the_training_images_and_a_low_road_joins_them_over_a_high_hill(kept, pair):
    train, test = kept[f"pair{pair}/accuracy"]
    assert train.min() >= 0.99
    assert test.min() >= 0.55
    road, line = kept[f"pair{pair}/road_loss"], kept[f"pair{pair}/line_loss"]
    ends = road[[0, -1]]
    torch.testing.assert_close(line[[0, -1]], ends)
    assert line.max() - ends.max() >= 1.0
    assert road.max() <= 0.05
    assert road.max() <= 3 * ends.min()
    assert len(road) == 8 * len(kept[f"pair{pair}/road"].pivots) - 1


@pytest.mark.parametrize("pair", PAIRS)
def test_the_valley_is_narrower_in_the_middle(kept, pair):
    profile = kept[f"pair{pair}/profile"]
    assert profile.bump(profile.trace) >= 1.8
    assert profile.bump(profile.top_eigenvalue) >= 1.8
    assert profile.bump(profile.adaptive_trace) > 1  # reported beside it: the bump is not scale alone
    assert len(profile.position) == cifar10.RECIPE["profile"]["points"]


def moved(kept, name, when):
    """Mean way of the walkers of each start towards the own end, (pairs, 2), at learning rate times steps."""
    rate = cifar10.RECIPE["runs"][name]["learning_rate"]
    record = int((kept[f"{name}/step"] * rate - when).abs().argmin())
    position = kept[f"{name}/position"][:, record].mean(-1)
    start = torch.tensor(cifar10.RECIPE["starts"])
    return (start - position) * torch.tensor([1.0, -1.0])


@pytest.mark.parametrize("name", ["eta 0.05, B 16", "eta 0.06, B 16"])
def test_noise_moves_walkers_home_beyond_the_control_and_they_stay_in_the_valley(kept, name):
    by_noise, without = moved(kept, name, 200), moved(kept, "control", 200)
    assert (by_noise > 2 * without).all()
    assert kept[f"{name}/outside"].mean() < 0.05


def test_small_noise_moves_walkers_as_the_control_does(kept):
    for name in ("eta 0.1, B 64", "eta 0.1, B 256"):
        torch.testing.assert_close(moved(kept, name, 200), moved(kept, "control", 200), atol=0.005, rtol=0)


def test_the_temperatures_are_those_of_the_settings(kept):
    for name, run in cifar10.settings().items():
        wanted = 0 if run["batch_size"] is None else run["learning_rate"] / (0.1 * run["batch_size"])
        assert float(kept[f"{name}/temperature"]) == pytest.approx(wanted)


@images
def test_the_images_give_the_recorded_losses_and_accuracies(kept):
    land = cifar10.landscape()
    for pair in PAIRS:
        length = len(kept[f"pair{pair}/road_loss"])
        road = cifar10.going(land, kept[f"pair{pair}/road"]).resample(length)
        some = [length // 3, length - 1]
        found = land.accuracy(road.pivots[some], "test").cpu()
        torch.testing.assert_close(found, kept[f"pair{pair}/road_accuracy"][1][some], rtol=0, atol=2e-3)
        # sums of 5,000 terms in single precision, there on a GPU
        loss = land.data_loss(road.pivots[some[pair % 2]]).cpu()
        torch.testing.assert_close(loss, kept[f"pair{pair}/road_loss"][some[pair % 2]], rtol=1e-3, atol=1e-5)


@images
def test_the_images_give_the_recorded_trace(kept):
    some, end = cifar10.sample(cifar10.landscape()), cifar10.road(0).pivots[0]
    trace = ee.exact_trace(some, end.to(some.device), weight_decay=False).cpu()
    torch.testing.assert_close(trace, kept["pair0/profile"].trace[0], rtol=1e-3, atol=0)


def test_without_images_the_command_says_how_to_get_them(tmp_path, monkeypatch, capsys):
    for name in list(os.environ):
        if name.startswith("ENTROPIC_EDU"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["record", "cifar10", "--tiny"]) == 1
    assert "entropic-edu data fetch cifar10" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

"""The recording of CIFAR-10: what lesson 09 says of it, where images are at hand its numbers, and how it is made."""

import os

import pytest
import torch

from entropic_edu import cli, recorded
from entropic_edu.data import find_cifar10
from entropic_edu.recorded import cifar10
from entropic_edu.story.tell import tell
from entropic_edu.sweeps.kept import taken_apart

PAIRS, STILL = cifar10.PAIRS, "no noise"
NOISY = [setting.name for setting in cifar10.STORY.settings if setting.batch_size]
images = pytest.mark.skipif(find_cifar10() is None, reason="no copy of CIFAR-10; set ENTROPIC_EDU_DATA to one")


@pytest.fixture(scope="module")
def kept():
    return recorded.load("cifar10")


def test_both_ends_fit_the_training_images_and_a_flat_road_joins_them_over_a_hill():
    train, test = cifar10.every("road_accuracy").unbind(1)
    assert train[:, [0, -1]].min() >= 0.99
    assert 0.25 < test[:, [0, -1]].mean() < 0.4  # 1,000 small images are few
    road, line = cifar10.every("road_loss"), cifar10.every("line_loss")
    ends = road[:, [0, -1]].amax(1)
    torch.testing.assert_close(line[:, [0, -1]], road[:, [0, -1]], rtol=1e-5, atol=0)
    assert (line.amax(1) - ends).min() >= 0.3
    assert (road.amax(1) / ends).max() <= 1.1
    objective = cifar10.every("road_objective")
    assert (objective.amax(1) - objective[:, [0, -1]].amax(1)).max() < 0.01


def test_at_matched_norms_the_middle_is_narrower():
    profiles = [recorded.load("cifar10")[f"pair{pair}/profile"] for pair in PAIRS]

    def bump(field):
        return sum(profile.bump(getattr(profile, field)) for profile in profiles) / len(profiles)

    assert bump("trace") >= 1.8
    assert bump("top_eigenvalue") >= 1.8
    assert bump("adaptive_trace") >= 1.5
    norms = cifar10.along("norms")
    torch.testing.assert_close(
        norms, torch.lerp(norms[:, :1], norms[:, -1:], cifar10.along("position")[..., None]), rtol=0.02, atol=0
    )
    raw = cifar10.along("norms", "raw")
    assert (raw[:, 3] / raw[:, [0, -1]].mean(1)).max() < 0.9


def test_descent_hardly_moves_the_ends_and_makes_them_steeper(kept):
    for pair in PAIRS:
        assert max(kept[f"pair{pair}/figures"]["ends"]["moved"]) <= 0.15
    (before, after) = cifar10.every("settled").transpose(0, 1)  # (P, ends, columns)
    assert (after[..., 0] < before[..., 0]).all()


@pytest.mark.parametrize("name", NOISY)
def test_noise_brings_walkers_home_beyond_the_control_and_nobody_leaves_the_valley(kept, name):
    home, still = cifar10.gone(name), cifar10.without_noise(name)
    assert home.value - still.value > 5 * (home.error**2 + still.error**2) ** 0.5
    assert max(float(kept[f"pair{pair}/{name}"].outside.max()) for pair in PAIRS) < 0.05


@pytest.mark.parametrize("name", [*NOISY, STILL])
def test_walkers_begin_at_the_starts_and_the_way_home_is_what_their_positions_say(name):
    remaining = cifar10.remaining(name)
    torch.testing.assert_close(remaining[:, 0], torch.full_like(remaining[:, 0], 0.3), rtol=0, atol=1e-3)
    if name != STILL:
        way = 100 * (1 - remaining[:, -1].mean(1) / 0.3)
        assert float(cifar10.gone(name).value) == pytest.approx(float(way.mean()), rel=1e-4)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", NOISY)
def test_theory_needs_no_images(kept, pair, name):
    walk = next(walk for walk in kept[f"pair{pair}/figures"]["releases"] if walk["name"] == name)
    steps = kept[f"pair{pair}/{name}"].step
    for excess, key in ((False, "predicted_end"), (True, "predicted_end_by_excess_loss")):
        law = cifar10.theory(pair, name, excess=excess)
        assert [float(law.track(start, steps)[-1]) for start in (0.3, 0.7)] == pytest.approx(walk[key], abs=2e-3)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_road_is_the_one_that_was_measured_and_needs_no_images(kept, pair):
    raw, road, land = cifar10.road(pair, matched=False), cifar10.road(pair), cifar10.stand_in()
    assert road.length == pytest.approx(kept[f"pair{pair}/profile"].length, rel=1e-4)
    assert raw.length == pytest.approx(kept[f"pair{pair}/raw"].length, rel=1e-4)
    torch.testing.assert_close(
        land.outputs(raw.pivots, land.x), land.outputs(road.pivots, land.x), rtol=1e-3, atol=1e-3
    )
    assert torch.equal(raw.pivots[[0, -1]], kept[f"pair{pair}/road"].pivots[[0, -1]])


def test_the_points_of_a_road_are_found_from_weights_of_its_pivots():
    generator = torch.Generator().manual_seed(0)
    pivots = torch.randn(4, 30, generator=generator, dtype=torch.float64)
    weights = torch.rand(9, 4, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum(1, keepdim=True)
    torch.testing.assert_close(cifar10.weights_of(pivots, weights @ pivots), weights)


@images
def test_the_images_give_the_recorded_losses_accuracies_and_traces(kept):
    land = cifar10.landscape()
    road = cifar10.road(PAIRS[-1]).to(land.device)
    theta = road.at(torch.linspace(0, 1, 49)[[16, 48]])
    pair = f"pair{PAIRS[-1]}"
    # sums of 1,000 terms in single precision, perhaps in another order on another machine
    for found, name in ((land.data_loss(theta), "road_loss"), (land.loss(theta), "road_objective")):
        torch.testing.assert_close(found.cpu(), kept[f"{pair}/{name}"][[16, 48]], rtol=1e-4, atol=0)
    for row, split in enumerate(("train", "test")):
        found = land.accuracy(theta, split).cpu()
        torch.testing.assert_close(found, kept[f"{pair}/road_accuracy"][row, [16, 48]], rtol=0, atol=2e-3)
    trace = land.trace(theta[1], num_probes=4, generator=torch.Generator().manual_seed(5), weight_decay=False)
    error = trace.error.square() + kept[f"{pair}/profile"].trace_error[-1] ** 2
    assert abs(float(trace.value - kept[f"{pair}/profile"].trace[-1])) < 4 * float(error.sqrt())


@images
def test_the_recording_of_a_story_that_was_told_is_the_one_that_the_command_makes(tmp_path):
    recipe = cifar10.RECIPE | cifar10.TINY
    tell(recipe["seeds"], out=str(tmp_path / "told"), recipe=cifar10.told(recipe), say=lambda line: None)
    cifar10.adopt(tmp_path / "told.work", tmp_path / "parts", recipe)
    said = []
    adopted = recorded.record("cifar10", tiny=True, say=said.append, folder=tmp_path / "parts")
    assert sum(f": from {tmp_path}" in line for line in said) == 10
    made = recorded.record("cifar10", tiny=True, say=lambda line: None)
    (one, words), (two, same) = taken_apart(made), taken_apart(adopted)
    assert words == same
    torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)
    with pytest.raises(ValueError, match="is a stage of another recipe"):
        cifar10.adopt(tmp_path / "told.work", tmp_path / "parts")


def test_without_images_the_command_says_how_to_get_them(tmp_path, monkeypatch, capsys):
    for name in list(os.environ):
        if name.startswith("ENTROPIC_EDU"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["record", "cifar10", "--tiny"]) == 1
    assert "entropic-edu data fetch cifar10" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

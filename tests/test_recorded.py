"""Recordings: what the file says can be computed anew from it, and a recipe makes the same thing twice."""

import dataclasses
import importlib
import json

import pytest
import torch

import entropic_edu as ee
from entropic_edu import cli, recorded
from entropic_edu.connect import measured
from entropic_edu.data import find_cifar10
from entropic_edu.recorded import roads
from entropic_edu.results import Result

NAMES = recorded.names()


def kinds(kept):
    return {name: type(value).__name__ for name, value in kept.items()}


def same(one, two):
    if isinstance(one, torch.Tensor):
        return torch.equal(one.nan_to_num(-7), two.nan_to_num(-7)) if one.is_floating_point() else torch.equal(one, two)
    if isinstance(one, Result):
        return all(same(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one))
    return one == two


# --- the shipped files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recording_was_made_by_the_recipe_that_is_there(name):
    kept = recorded.load(name)
    wanted = importlib.import_module(f"entropic_edu.recorded.{name}").RECIPE
    assert kept.name == name
    assert kept.recipe == json.loads(json.dumps(wanted))  # tuples become lists
    assert kept.recipe["seeds"]
    assert set(kept.versions) == {"python", "torch", "numpy"}
    assert kept.seconds > 1
    assert len(kept.digest) == 12


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recording_holds_finite_numbers_or_marks_what_is_missing(name):
    for key, value in recorded.load(name).items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            assert not value.isinf().any(), key
        if isinstance(value, Result):
            assert value.complete, key


def test_the_recordings_of_the_digits_lessons_stay_below_5_megabytes_and_those_of_cifar_below_12():
    folder = importlib.resources.files("entropic_edu.recorded")
    size = {name: len(folder.joinpath(f"{name}.safetensors").read_bytes()) for name in NAMES}
    assert size.pop("cifar10") < 12e6
    assert sum(size.values()) < 5e6


@pytest.mark.parametrize("pair", range(5))
def test_the_losses_of_a_recorded_road_are_those_of_its_weights(pair):
    land, kept = roads.landscape(), recorded.load("roads")
    road = kept[f"pair{pair}/road"]
    again = measured(land, road)
    # sums of 1,297 terms in single precision, perhaps in another order on another machine
    assert torch.allclose(again.losses, road.losses, rtol=1e-4)
    assert torch.allclose(again.losses_between, road.losses_between, rtol=1e-4)
    line = torch.lerp(road.pivots[0], road.pivots[-1], torch.linspace(0, 1, 25)[:, None])
    assert torch.allclose(land.loss(line), kept[f"pair{pair}/line_loss"], rtol=1e-4)
    for row, split in enumerate(("train", "test")):
        assert torch.equal(land.accuracy(road.pivots[[0, -1]], split), kept[f"pair{pair}/accuracy"][row])


@pytest.mark.parametrize("pair", range(5))
def test_both_ends_are_minima_and_the_road_has_no_hill(pair):
    kept, land = recorded.load("roads"), roads.landscape()
    road = kept[f"pair{pair}/road"]
    assert kept[f"pair{pair}/accuracy"][0].min() == 1.0
    assert land.gradient(road.pivots[[0, -1]]).norm(dim=1).max() < 0.02
    assert road.saddle_loss < 1.05 * float(road.losses[[0, -1]].max())
    assert float(kept[f"pair{pair}/line_loss"].max()) > 10 * road.saddle_loss
    smooth = measured(land, roads.road(pair))  # what the verbs go on: no higher between the pivots
    assert smooth.saddle_loss < 1.05 * float(road.losses[[0, -1]].max())


# --- making one anew -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_miniature_made_twice_is_the_same_and_has_the_kinds_of_the_shipped_one(name):
    if name == "cifar10" and find_cifar10() is None:
        pytest.skip("no copy of CIFAR-10; set ENTROPIC_EDU_DATA to one")
    one = recorded.record(name, tiny=True, say=lambda line: None)
    two = recorded.record(name, tiny=True, say=lambda line: None)
    assert kinds(one) == kinds(two)
    for key in one:
        assert same(one[key], two[key]), key
    shipped = kinds(recorded.load(name))
    assert {key: shipped.get(key) for key in kinds(one)} == kinds(one)


def test_the_command_writes_what_the_recipe_makes(tmp_path, capsys):
    file = tmp_path / "mine.safetensors"
    assert cli.main(["record", "roads", "--tiny", "--out", str(file)]) == 0
    assert f"Wrote {file}" in capsys.readouterr().out
    kept, made = recorded.read(file), recorded.record("roads", tiny=True, say=lambda line: None)
    assert list(kept) == list(made)
    assert all(same(kept[key], made[key]) for key in made)
    assert kept.recipe == made.recipe
    assert kept.rounded == made.rounded == {"pair0/road.pivots"}
    kept.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_the_command_lists_all_recordings(capsys):
    assert cli.main(["record"]) == 0
    said = capsys.readouterr().out
    assert all(f"Recording {name!r}" in said for name in NAMES)


def test_one_thread_is_used_and_the_number_of_threads_is_given_back(monkeypatch):
    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(roads, "make", lambda recipe, say: seen.append(torch.get_num_threads()) or {})
    recorded.record("roads")
    assert seen == [1]
    assert torch.get_num_threads() == before


# --- errors ----------------------------------------------------------------------------------------------------------


def test_names_that_are_not_there_are_answered_with_those_that_are(capsys):
    with pytest.raises(ValueError, match=r"no recording 'road'; there are .*roads"):
        recorded.load("road")
    with pytest.raises(ValueError, match=r"no recipe 'road'; there are .*roads"):
        recorded.record("road")
    with pytest.raises(ValueError, match="has no 'pair7/road'; it has pair0/road"):
        recorded.load("roads")["pair7/road"]
    assert cli.main(["record", "road"]) == 1
    assert "there are" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["cut", "flipped", "foreign"])
def test_a_damaged_file_is_named_with_the_command_that_makes_it_again(tmp_path, fault):
    file = tmp_path / "roads.safetensors"
    recorded.record("roads", tiny=True, say=lambda line: None).save(file)
    content = bytearray(file.read_bytes())
    if fault == "cut":
        content = content[:-100]
    elif fault == "flipped":
        content[-100] ^= 1
    else:
        content = b"GIF89a" + content
    file.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"roads.safetensors is cut short.* make it again with entropic-edu record roads"
    ):
        recorded.read(file)


def test_another_kind_of_result_is_not_taken_for_a_recording(tmp_path):
    file = tmp_path / "path.safetensors"
    ee.Path(torch.eye(3)).save(file)
    with pytest.raises(ValueError, match="holds a Path of format 1, wanted a Recording"):
        recorded.read(file)

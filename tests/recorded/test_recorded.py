"""Recordings: what the file says can be computed anew from it, and a recipe makes the same thing twice."""

import dataclasses
import importlib
import json
import re
import signal
from pathlib import Path

import pytest
import torch

import entropic_edu as ee
from entropic_edu import cli, recorded
from entropic_edu.data import find_cifar10
from entropic_edu.physics.connect import measured
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import whole_or_nothing
from entropic_edu.recorded import roads, valley
from entropic_edu.sweeps.kept import taken_apart

NAMES, ROOT = recorded.names(), Path(__file__).parents[2]
QUICK = ("bad_minima", "roads", "valley")  # whose miniatures are made in every `make test`


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


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
def test_a_shipped_recording_that_is_saved_again_holds_what_was_read(name, tmp_path):
    shipped = recorded.load(name)
    shipped.save(tmp_path / "again")
    again = recorded.read(tmp_path / "again")
    assert list(again) == list(shipped)
    (one, words), (two, same) = taken_apart(shipped), taken_apart(again)
    assert words == same  # a field that is younger than the file has its default
    torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)
    assert (again.recipe, again.versions, again.rounded) == (shipped.recipe, shipped.versions, shipped.rounded)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recording_holds_finite_numbers_or_marks_what_is_missing(name):
    for key, value in recorded.load(name).items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            assert not value.isinf().any(), key
        if isinstance(value, Result):
            assert value.complete, key


def on_the_page(name):
    """Names and shapes of the results of a recording as docs/recordings.md has them, names as patterns."""
    section = (ROOT / "docs" / "recordings.md").read_text("utf-8").split(f"\n## {name}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*`) \| `(.*)` \| .*\|$", section, re.MULTILINE)
    for keys, shape in rows:
        for key in re.findall("`(.*?)`", keys):
            yield re.sub("<.*?>", "[^/]+", key), shape


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_recordings_tells_of_every_result_and_of_no_other(name):
    kept, told = recorded.load(name), list(on_the_page(name))
    for key, value in kept.items():
        shapes = [shape for pattern, shape in told if re.fullmatch(pattern, key)]
        assert shapes, f"{key} is not on the page"
        if isinstance(value, torch.Tensor):
            assert value.ndim in [shape.count(",") + (shape[-2] not in "(,") for shape in shapes], key
        else:
            assert type(value).__name__ in shapes, key
    assert [pattern for pattern, _ in told if not any(re.fullmatch(pattern, key) for key in kept)] == []


def test_the_example_of_the_page_of_recordings_runs(capsys):
    example = re.search("```python\n(.*?)```", (ROOT / "docs" / "recordings.md").read_text("utf-8"), re.DOTALL)
    exec(compile(example[1], "recordings.md", "exec"))
    assert "Recording 'roads'" in capsys.readouterr().out


def test_the_recordings_of_the_digits_lessons_stay_below_7_megabytes_and_those_of_cifar_below_8():
    folder = importlib.resources.files("entropic_edu.recorded")
    size = {name: len(folder.joinpath(f"{name}.safetensors").read_bytes()) for name in NAMES}
    assert sum(size.pop(name) for name in NAMES if name.endswith("cifar10")) < 8e6
    assert sum(size.values()) < 7.5e6


ROADS = {"roads": roads, "valley": valley}  # recordings of five pairs each


@pytest.mark.parametrize("pair", range(5))
@pytest.mark.parametrize("name", ROADS)
def test_the_losses_of_a_recorded_road_are_those_of_its_weights(name, pair):
    land, kept = ROADS[name].landscape(), recorded.load(name)
    road = kept[f"pair{pair}/road"]
    again = measured(land, road)
    # sums of 500 or 1,297 terms in single precision, perhaps in another order on another machine
    assert torch.allclose(again.losses, road.losses, rtol=1e-4)
    assert torch.allclose(again.losses_between, road.losses_between, rtol=1e-4)
    line = torch.lerp(road.pivots[0], road.pivots[-1], torch.linspace(0, 1, 25)[:, None])
    assert torch.allclose(land.loss(line), kept[f"pair{pair}/line_loss"], rtol=1e-4)
    for row, split in enumerate(("train", "test")):
        assert torch.equal(land.accuracy(road.pivots[[0, -1]], split), kept[f"pair{pair}/accuracy"][row])


@pytest.mark.parametrize("pair", range(5))
@pytest.mark.parametrize("name", ROADS)
def test_both_ends_are_minima_and_the_road_has_no_hill(name, pair):
    kept, land = recorded.load(name), ROADS[name].landscape()
    road = kept[f"pair{pair}/road"]
    assert kept[f"pair{pair}/accuracy"][0].min() == 1.0
    assert land.gradient(road.pivots[[0, -1]]).norm(dim=1).max() < 0.02
    assert road.saddle_loss < 1.05 * float(road.losses[[0, -1]].max())
    assert float(kept[f"pair{pair}/line_loss"].max()) > road.saddle_loss + 0.4
    smooth = measured(land, ROADS[name].road(pair))  # what the verbs go on: no higher between the pivots
    assert smooth.saddle_loss < 1.05 * float(road.losses[[0, -1]].max())


@pytest.mark.parametrize("pair", range(5))
def test_a_recorded_road_at_matched_norms_has_the_functions_of_the_road_as_built(pair):
    land, raw, road = valley.landscape(), valley.road(pair, matched=False), valley.road(pair)
    norms = torch.stack([road.pivots[:, part].norm(dim=1) for part in road.scale_free(land).values()])
    sizes = torch.stack([raw.pivots[:, part].norm(dim=1) for part in raw.scale_free(land).values()])
    assert len(norms) == 2
    torch.testing.assert_close(norms, torch.lerp(norms[:, :1], norms[:, -1:], raw.marks.float()))
    assert float((sizes / norms).amin(1).max()) < 0.7
    torch.testing.assert_close(land.data_loss(raw.pivots), land.data_loss(road.pivots), rtol=2e-4, atol=0)


# --- making one anew -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.soak) for n in NAMES if n not in QUICK)])
def test_a_miniature_made_twice_is_the_same_and_has_the_kinds_of_the_shipped_one(name):
    if name.endswith("cifar10") and find_cifar10() is None:
        pytest.skip("no copy of CIFAR-10; set ENTROPIC_EDU_DATA to one")
    one = recorded.record(name, tiny=True, say=lambda line: None)
    two = recorded.record(name, tiny=True, say=lambda line: None, workers=2)
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


def test_one_thread_is_used_and_the_number_of_threads_is_given_back():
    seen, before = [], torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        recorded.record("roads", tiny=True, say=lambda line: seen.append(torch.get_num_threads()))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1]


# --- stopped, and called again ---------------------------------------------------------------------------------------


def stopping(word, times=1):
    """Return a terminal on which Ctrl-C is pressed as a recipe says a word for so manieth time."""
    left = iter(range(times - 1, -1, -1))

    def say(line):
        if word in line and next(left) == 0:
            raise KeyboardInterrupt

    return say


@pytest.mark.soak
@pytest.mark.parametrize("runs", [1, 4])
def test_a_recording_that_is_stopped_goes_on_to_the_same_bits(tmp_path, runs):
    folder, file, lines = tmp_path / "mine.parts", tmp_path / "mine", []
    quiet = {"tiny": True, "say": lambda line: None}
    whole = recorded.record("let_go", **quiet)
    with pytest.raises(KeyboardInterrupt):  # it says what a run came to before that is kept
        recorded.record("let_go", **quiet | {"say": stopping(": ", runs)}, folder=folder)
    assert recorded.begun(folder)
    first = {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}
    assert "pair 0, profile.kept" in first
    assert len(first) == runs  # the profile, and each run that came to its end
    made = recorded.record("let_go", **quiet | {"say": lines.append}, folder=folder)
    read = {line for line in lines if f": from {folder}" in line}
    assert read == {f"{name.removesuffix('.kept')}: from {folder / name}" for name in first}
    assert list(made) == list(whole)
    assert [key for key in whole if not same(made[key], whole[key])] == []
    assert made.rounded == whole.rounded
    again = {name: ((folder / name).read_bytes(), (folder / name).stat().st_mtime_ns) for name in first}
    assert again == first  # nothing that is there is made again
    assert cli.main(["record", "let_go", "--tiny", "--out", str(file)]) == 0  # all of it is there
    assert recorded.read(file).seconds == pytest.approx(made.seconds, abs=5.0)  # the parts' time counts
    assert not folder.exists()


@pytest.mark.soak
def test_cifar10_goes_on_from_the_parts_that_are_kept(tmp_path):
    if find_cifar10() is None:
        pytest.skip("no copy of CIFAR-10; set ENTROPIC_EDU_DATA to one")
    quiet = {"tiny": True, "say": lambda line: None}
    whole = recorded.record("cifar10", **quiet)
    for word in ("seed0-minima:", "seed0-road:", "seed0-profile:"):
        with pytest.raises(KeyboardInterrupt):
            recorded.record("cifar10", **quiet | {"say": stopping(word)}, folder=tmp_path)
    assert "seed0-profile.kept" in {each.name for each in tmp_path.iterdir()}
    made = recorded.record("cifar10", **quiet, folder=tmp_path)
    assert list(made) == list(whole)
    assert [key for key in whole if not same(made[key], whole[key])] == []


def test_ctrl_c_ends_a_recipe_whose_parts_are_not_kept(capsys):
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 2.0)  # the recipe takes minutes
    try:
        assert cli.main(["record", "one_road"]) == 130
    finally:
        signal.signal(signal.SIGALRM, handler)
    out, err = capsys.readouterr()
    assert "nothing was written, and the same command starts again" in err
    assert out.startswith("The recording that comes with the package took 8 min.\n")  # and how far it came
    assert not list(Path().iterdir())


def test_parts_of_other_settings_and_damaged_ones_are_refused_by_name(tmp_path, monkeypatch, capsys):
    out, folder = tmp_path / "roads", tmp_path / "roads.parts"
    quiet = {"tiny": True, "say": lambda line: None, "folder": folder}
    recorded.record("roads", **quiet)
    part = folder / "pair 0.kept"
    with monkeypatch.context() as patched:
        patched.setitem(roads.TINY, "weight_decay", 1e-3)
        assert cli.main(["record", "roads", "--tiny", "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert f"{part} was made with other settings" in said
    assert f"delete {folder} to begin afresh" in said
    content = part.read_bytes()
    shipped = importlib.resources.files("entropic_edu.recorded").joinpath("roads.safetensors").read_bytes()
    for damaged in (content[:-100], b"GIF89a" + content, shipped):
        part.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"pair 0\.kept (is cut short|holds a Recording)"):
            recorded.record("roads", **quiet)
    part.unlink()
    (folder / "mine").touch()
    recorded.record("roads", **quiet)
    recorded.clear(folder)
    assert [file.name for file in folder.iterdir()] == ["mine"]  # what is not a recipe's stays


def test_a_place_that_cannot_be_written_is_named_before_anything_is_computed(capsys):
    Path("file").write_text("in the way")
    assert cli.main(["record", "roads", "--out", "file/roads"]) == 1  # what it makes takes minutes
    out, err = capsys.readouterr()
    assert "file" in err
    assert len(out.splitlines()) == 1


def test_outside_a_recipe_ctrl_c_leaves_what_there_is():
    def press(snapshot):
        if snapshot.done:
            raise KeyboardInterrupt

    valley = ee.valleys.Waist()
    road, generator = ee.Path(valley.floor(21)), torch.Generator().manual_seed(0)

    def drift():
        return ee.drift(valley, road, generator=generator, learning_rate=0.01, batch_size=16, steps=500, progress=press)

    assert not drift().complete
    with whole_or_nothing(), pytest.raises(KeyboardInterrupt):
        drift()
    assert not drift().complete


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

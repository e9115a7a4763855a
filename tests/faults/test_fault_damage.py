"""Files that were cut, flipped or are foreign: an error that names the file, or the same data; never something else."""

import dataclasses
import json
import random

import pytest
import torch
import works
from test_data import write_copy, write_python_copy

import entropic_edu as ee
from entropic_edu import cli, data, recorded
from entropic_edu.physics.train import Run
from entropic_edu.story import tell as story
from entropic_edu.teaching import answers, strings


def damaged(content, seed):
    """Return the content with one to three bytes flipped, half of the times near its beginning, or cut, or longer."""
    chance = random.Random(seed)
    kind = chance.choice(["header", "anywhere", "cut", "longer"])
    if kind == "cut":
        return content[: chance.randrange(len(content))]
    if kind == "longer":
        return content + chance.randbytes(chance.randrange(1, 20))
    broken, most = bytearray(content), min(len(content), 400) if kind == "header" else len(content)
    for _ in range(chance.randint(1, 3)):
        broken[chance.randrange(most)] ^= chance.randrange(1, 256)
    return bytes(broken)


RESULTS = {
    "run": (lambda: works.train(epochs=1), Run),
    "path": (lambda: ee.Path(torch.eye(3)), ee.Path),
    "profile": (lambda: works.probe(), ee.Profile),
    "release": (lambda: works.drift(), ee.Release),
}


@pytest.mark.fault(
    "results and checkpoints with bytes flipped, cut off or added",
    "the file is refused by name, or gives the same data",
    trials=500,
)
@pytest.mark.parametrize("kind", ["run", "path", "profile", "release"])
def test_a_damaged_result_is_refused_or_the_same(kind, tmp_path, trials):
    make, known = RESULTS[kind]
    file, refused = tmp_path / "result", 0
    result = make()
    result.save(file)
    content, sound = file.read_bytes(), works.bits(result)
    for seed in range(trials):
        file.write_bytes(damaged(content, seed))
        try:
            came = known.load(file)
        except ValueError as error:
            assert str(file) in str(error)
            refused += 1
        else:
            assert works.bits(came) == sound
    assert refused > 0.9 * trials


@pytest.mark.fault(
    "recordings with bytes flipped, cut off or added", "the file is refused by name, or gives the same data", trials=300
)
def test_a_damaged_recording_is_refused_or_the_same(tmp_path, trials):
    file = tmp_path / "roads.safetensors"
    made = recorded.record("roads", tiny=True, say=lambda line: None)
    made.save(file)
    content = file.read_bytes()
    for seed in range(trials):
        file.write_bytes(damaged(content, seed))
        try:
            came = recorded.read(file)
        except ValueError as error:
            assert str(file) in str(error)
            assert "entropic-edu record roads" in str(error) or "load it with" in str(error)
        else:
            came.save(tmp_path / "again")
            assert (tmp_path / "again").read_bytes() == content


@pytest.mark.fault(
    "answers with bytes flipped, cut off or added",
    "the file is moved aside, which is said, or gives the same answers",
    trials=500,
)
def test_damaged_answers_are_moved_aside_or_the_same(tmp_path, trials):
    kept = answers.Answers(tmp_path)
    for number in range(4):
        kept.add_bet(answers.Made("02", f"where{number}", "stays", 0.7, number > 1))
        kept.add_passed("02", f"2.{number}")
    content, bets = kept.file.read_bytes(), kept.bets
    for seed in range(trials):
        kept.file.write_bytes(damaged(content, seed))
        later = answers.Answers(tmp_path)
        came = later.bets, later.passed("02")
        if aside := list(tmp_path.glob("answers.broken-*.json")):
            assert came == ([], set())
            assert aside[0].name in later.news()
            aside[0].unlink()
        else:
            assert came == (bets, {f"2.{number}" for number in range(4)})


@pytest.mark.fault(
    "a story's recipe damaged, from another story, or missing", "stages made by another recipe are not used"
)
@pytest.mark.parametrize("how", ["flipped", "binary", "empty", "gone"])
def test_stages_of_another_recipe_are_refused_whatever_the_note_beside_them_says(how, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    other = dataclasses.replace(works.TINY, weight_decay=1e-3)
    story.tell([0], out="story", recipe=other, say=lambda line: None)
    note = tmp_path / "story.work" / "recipe.json"
    content = {"flipped": note.read_bytes().replace(b"60", b"70", 1), "binary": b"\xff\xfe\x00", "empty": b""}
    if how == "gone":
        note.unlink()
    else:
        note.write_bytes(content[how])
    assert cli.main(["story", "--tiny", "--resume"]) == 1
    assert "is a stage of another recipe; run without --resume" in capsys.readouterr().err


@pytest.mark.fault(
    "CIFAR-10's files with bytes flipped, cut off or added",
    "the file is refused by name, or gives the right number of images",
    trials=200,
)
@pytest.mark.parametrize("write", [write_copy, write_python_copy])
def test_damaged_images_are_refused_or_whole_images(write, tmp_path, monkeypatch, trials):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    folder = data.find_cifar10(tmp_path)
    file = data.files_of(folder)[2]
    content, sound = file.read_bytes(), data.cifar10(tmp_path, dtype=torch.uint8)
    for seed in range(trials):
        file.write_bytes(damaged(content, seed))
        try:
            came = data.cifar10(tmp_path, dtype=torch.uint8)
        except ValueError as error:
            assert str(file) in str(error)
        else:
            assert len(came.x) == len(sound.x) == len(came.y)
            assert int(came.y.max()) < 10


@pytest.mark.fault(
    "a translation cut off, in another encoding, or not TOML", "the file is refused by name, with what to do"
)
@pytest.mark.parametrize("content", [b"[lesson", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_damaged_catalogue_is_named(content, tmp_path, monkeypatch):
    (tmp_path / "xx.toml").write_bytes(content)
    monkeypatch.setattr(strings.resources, "files", lambda name: tmp_path)
    strings.catalogue.cache_clear()
    with pytest.raises(ValueError, match=r"xx\.toml .*write it anew"):
        strings.catalogue("xx")
    strings.catalogue.cache_clear()


@pytest.mark.fault("an answer changed by hand, or one letter of it flipped", "the file is moved aside")
def test_the_answers_file_bears_the_checksum_of_what_it_says(tmp_path):
    answers.Answers(tmp_path).add_passed("02", "2.1")
    found = json.loads((tmp_path / "answers.json").read_text())
    assert len(found["checksum"]) == 64

"""What stands where a file should: a pipe, a device, a folder, a link, or a file of another version."""

import contextlib
import json
import os
import random
import socket

import pytest
import torch
import works
from deadline import in_time
from test_data import write_copy, write_python_copy
from test_fault_damage import RESULTS

import entropic_edu as ee
from entropic_edu import cli, data, recorded
from entropic_edu.physics.results import packed, unpacked
from entropic_edu.teaching import answers, lab, reports

SECONDS = 30  # more than any of this takes; to read a pipe that nobody writes to takes for ever


def fifo(place):
    os.mkfifo(place)


def listening(place):
    with contextlib.chdir(place.parent), socket.socket(socket.AF_UNIX) as made:  # whose names are short
        made.bind(place.name)


def endless(place):
    place.symlink_to("/dev/zero")


def terminal(place):
    place.symlink_to(os.ttyname(os.openpty()[1]))


def folder(place):
    (place / "inside").mkdir(parents=True)


def loop(place):
    place.symlink_to(place.name)


KINDS = {"pipe": fifo, "socket": listening, "device": endless, "terminal": terminal, "folder": folder, "loop": loop}


def keep_answers(place):
    kept = answers.Answers(place.parent)
    kept.add_passed("02", "2.1")
    assert kept.passed("02") == {"2.1"}
    raise OSError(kept.news())


def read_images(place, write=write_copy):
    write(place.parent)
    file = data.files_of(data.find_cifar10(place.parent))[2]
    file.unlink()
    place.rename(file)
    try:
        data.cifar10(place.parent)
    finally:
        file.rename(place)


def refused(*arguments):
    """Call the command, which ends with 1 or 2 and a line."""
    code = cli.main([str(each) for each in arguments])
    assert code in (1, 2)
    raise OSError("said on the page")


WORKS = {
    "result": ee.Path.load,
    "sweep's result": ee.Sweep.load,
    "recording": recorded.read,
    "checkpoint": lambda place: works.train(epochs=1, checkpoint=place, resume=True),
    "saved over": lambda place: works.level(0).save(place),
    "report": reports.check,
    "report begun": lambda place: refused("report", "new", place),
    "answers": keep_answers,
    "lesson": lambda place: lab.lay(place.parent, say=print),
    "images": read_images,
    "images of Python": lambda place: read_images(place, write_python_copy),
}
NAMES = {"answers": "answers.json", "lesson": lab.FIRST}


@pytest.mark.fault(
    "a pipe, socket, device, terminal, folder or loop of links in place of a file",
    "it is said at once, and nothing is changed",
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", WORKS)
def test_what_is_no_file_is_told_at_once_and_stays(what, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "place"
    home.mkdir()
    place = home / NAMES.get(what, "file")
    KINDS[kind](place)
    before = os.lstat(place)
    with in_time(SECONDS), pytest.raises((OSError, ValueError), match=r"(?s).{15}"):
        WORKS[what](place)
    after = os.lstat(place)
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


@pytest.mark.fault("a link in place of a file", "the link is followed, and stays a link", trials=3)
def test_a_link_is_followed_and_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to("there/file")
    for number in range(2):  # the file is made, and then replaced
        works.level(number).save(link)
        assert works.bits(ee.Path.load(link)) == works.bits(works.level(number))
        assert link.is_symlink()
        assert [file.name for file in (tmp_path / "there").iterdir()] == ["file"]
    (tmp_path / "there" / "file").write_bytes(b"no result")
    with pytest.raises(ValueError, match="link is cut short, damaged"):
        ee.Path.load(link)


OTHERS = (None, True, -1, "word", [1], {"a": 1}, torch.ones(2))


def another(tensors, plain, seed):
    """Return what a version with another field would have written: one more, one less, or one of another type."""
    chance = random.Random(seed)
    values = {**plain, **tensors}
    name = chance.choice(sorted(values))
    kind = chance.choice(["more", "less", "renamed", "retyped"])
    if kind == "more":
        values[f"{name}_of_old"] = chance.choice(OTHERS)
    elif kind == "retyped":
        values[name] = chance.choice(OTHERS)
    else:
        value = values.pop(name)
        values |= {f"{name}_of_old": value} if kind == "renamed" else {}
    tensors = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
    return kind, tensors, {name: value for name, value in values.items() if name not in tensors}


@pytest.mark.fault(
    "results with another version's fields and the right checksum", "the file is refused by name, or read", trials=50
)
@pytest.mark.parametrize("kind", RESULTS)
def test_a_result_of_another_version_is_refused_by_name(kind, tmp_path, trials):
    make, known = RESULTS[kind]
    file = tmp_path / "result"
    make().save(file)
    tensors, plain = unpacked(file.read_bytes(), known.__name__, str(file), "")
    for seed in range(trials):
        how, *values = another(tensors, plain, seed)
        file.write_bytes(packed(known.__name__, *values))
        try:
            read = known.load(file)
        except ValueError as error:
            assert f"{file} was written by another version of entropic_edu" in str(error)
        else:
            assert how in ("less", "retyped")  # a field that has a default, or another word in its place
            assert isinstance(read, known)


@pytest.mark.fault(
    "recordings with another version's entries and the right checksum",
    "the file is refused by name, or read",
    trials=50,
)
def test_a_recording_of_another_version_is_refused_by_name(tmp_path, trials):
    file = tmp_path / "roads.safetensors"
    recorded.record("roads", tiny=True, say=lambda line: None).save(file)
    tensors, plain = unpacked(file.read_bytes(), "Recording", str(file), "")
    refused = 0
    for seed in range(trials):
        note = json.loads(json.dumps(plain))
        inside = random.Random(seed).choice(
            [note, note["values"], *(v for v in note["values"].values() if v != "tensor")]
        )
        _, held, changed = another(tensors if inside is note else {}, inside, seed)
        inside.clear()
        inside.update({name: str(value) for name, value in held.items() if inside is not note} | changed)
        file.write_bytes(packed("Recording", held if inside is note else tensors, note))
        try:
            assert isinstance(recorded.read(file), recorded.Recording)
        except (ValueError, LookupError) as error:
            assert not isinstance(error, KeyError)
            assert f"{file} was written by another version" in str(error) or "a class that nobody has" in str(error)
            refused += 1
    assert refused > trials / 2


@pytest.mark.fault(
    "results, recordings and answers in another format, or of another kind",
    "the file is refused by name, with what to do",
)
@pytest.mark.parametrize("other", ["format", "kind"])
@pytest.mark.parametrize("what", ["result", "recording", "answers"])
def test_another_format_or_kind_is_refused_by_name(what, other, tmp_path, monkeypatch):
    if what == "answers":
        kept = answers.Answers(tmp_path)
        kept.add_passed("02", "2.1")
        found = json.loads(kept.file.read_text()) | {other: 99}
        kept.file.write_text(json.dumps(found))
        assert answers.Answers(tmp_path).passed("02") == set()
        assert json.loads((tmp_path / "answers.broken-1.json").read_text()) == found
        return
    if other == "format":
        monkeypatch.setattr("entropic_edu.physics.results.FORMAT", 99)
    file = tmp_path / "file"
    works.level(0).save(file)
    monkeypatch.undo()
    load = recorded.read if what == "recording" else ee.Profile.load if other == "kind" else ee.Path.load
    with pytest.raises(ValueError, match=r"holds a Path of format (1|99), wanted a \w+ of format 1; load it with the"):
        load(file)

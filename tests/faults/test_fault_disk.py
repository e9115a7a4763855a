"""A disk that is full, a disk that is read-only: in words, with the old file intact and no rest."""

import shutil

import pytest
import torch
import works
from test_fetch import get, images, known, packed, server  # noqa: F401

import entropic_edu as ee
from entropic_edu import cli, data
from entropic_edu.data import fetch
from entropic_edu.teaching import answers


@pytest.mark.fault(
    "the disk is full when a result is saved", "a clear error; the old file is intact, nothing left over"
)
def test_a_full_disk_leaves_the_old_result(disk, full, tmp_path):
    place = disk("2m")
    file, old = place / "road", ee.Path(torch.eye(3))
    old.save(file)
    full(place, leave=100_000)
    with pytest.raises(OSError, match=r"Could not write .*road \(No space left on device\); nothing was changed"):
        ee.Path(torch.eye(2, 100_000)).save(file)
    assert works.bits(ee.Path.load(file)) == works.bits(old)
    assert sorted(each.name for each in place.iterdir()) == ["filler", "road"]


@pytest.mark.fault(
    "the disk is full when answers are kept", "said once; kept in memory, and written once there is room"
)
def test_a_full_disk_costs_no_answer(disk, full):
    place = disk("256k")
    answers.Answers(place).add_passed("01", "1.1")
    filler = full(place, leave=0)
    kept = answers.Answers(place)
    kept.add_passed("02", "2.1")
    assert "No space left on device" in kept.news()
    assert (kept.passed("01"), kept.passed("02")) == ({"1.1"}, {"2.1"})
    assert answers.Answers(place).passed("01") == {"1.1"}
    assert not list(place.glob(".*.part"))
    filler.unlink()
    kept.add_passed("02", "2.2")
    assert answers.Answers(place).passed("02") == {"2.1", "2.2"}


@pytest.mark.fault(
    "the disk fills up in the middle of a story",
    "one line says so, nothing left over; `--resume` ends with the same story",
)
def test_a_full_disk_stops_a_story_that_then_goes_on(disk, full, tmp_path, capsys):
    place = disk("4m")
    filler = full(place, leave=40_000)
    assert cli.main(["story", "--tiny", "--recipe", "runaway", "--out", str(place / "story")]) == 1
    assert "Could not write" in (said := capsys.readouterr().err)
    assert "No space left on device" in said
    assert not list(place.rglob(".*.part"))
    assert not (place / "story.json").exists()
    filler.unlink()
    assert cli.main(["story", "--tiny", "--recipe", "runaway", "--out", str(place / "story"), "--resume"]) == 0
    works.tell(str(tmp_path / "whole"))
    assert works.told(place / "story") == works.told(tmp_path / "whole")


@pytest.mark.fault(
    "the disk fills up while two workers make a recording",
    "a clear error, finished parts stay; run again, it ends with the same bits",
)
@pytest.mark.soak
def test_a_full_disk_stops_workers_that_then_go_on(disk, full, tmp_path):
    place, size = disk("16m"), 100_000  # a part of 0.8 MB each, but for the first
    filler = full(place, leave=2_000_000)
    with pytest.raises(OSError, match=r"Could not write .*walk \d\.kept \(No space left on device\); nothing was chan"):
        works.parts(place / "parts", size=size)
    kept = {file.name: file.read_bytes() for file in (place / "parts").glob("*.kept")}
    assert "first.kept" in kept
    assert 2 <= len(kept) <= 3  # two of 0.8 MB have room
    filler.unlink()
    found = works.parts(place / "parts", size=size)
    assert kept.items() <= {file.name: file.read_bytes() for file in (place / "parts").iterdir()}.items()
    whole = works.parts(tmp_path / "whole", workers=1, size=size)
    assert {name: walk.tolist() for name, walk in found.items()} == {n: walk.tolist() for n, walk in whole.items()}


@pytest.mark.fault("the disk is full before a download", "a clear error, nothing left over")
def test_a_full_disk_is_said_before_a_download(disk, full, server):  # noqa: F811
    server.content = packed(images())
    place = disk("4m")
    full(place, leave=200_000)
    with pytest.raises(OSError, match="make space, or name another folder"):
        get(place, known(server))
    assert data.find_cifar10(place) is None
    assert server.asked == []


@pytest.mark.fault(
    "home and working folder on a read-only disk",
    "answers are kept in memory, which is said once; results: a clear error",
)
def test_a_read_only_disk_is_told_in_words(disk, read_only, start, tmp_path):
    place = disk("1m")
    read_only(place)
    process = start(lesson, cwd=str(place), environment={"HOME": str(place)})
    assert process.end() == 0, process.text()
    assert "Read-only file system" in process.text()


def lesson():
    """What a learner does: look, answer, save."""
    ee.Lesson("02")
    kept = answers.here()
    kept.add_passed("02", "2.1")
    print(kept.news())
    assert kept.passed("02") == {"2.1"}
    assert cli.main(["data"]) == 0
    assert cli.main(["doctor"]) == 1  # it says that the folder cannot be written
    with pytest.raises(OSError, match="Could not write"):
        ee.Path(torch.eye(3)).save("road")
    with pytest.raises(OSError, match="Could not write to"):
        fetch.cifar10("here", url="http://127.0.0.1:9/")


def stranger():
    """An account without a home, in somebody else's folders."""
    assert shutil.disk_usage("/").total > 0
    kept = answers.here()
    kept.add_passed("02", "2.1")
    print(kept.news())
    assert kept.passed("02") == {"2.1"}
    assert data.find_cifar10() is None
    assert cli.main(["data"]) == 0


@pytest.mark.fault(
    "another user, whose home belongs to somebody else or does not exist",
    "files are looked for elsewhere; answers are kept in memory",
)
@pytest.mark.parametrize("home", ["closed", "missing", None])
def test_a_stranger_finds_his_way(home, disk, start, tmp_path):
    place = disk("1m")
    (place / "closed").mkdir(mode=0o700)
    (place / "said").touch(mode=0o666)
    where = {"HOME": None if home is None else str(place / home)}
    process = start(stranger, user=54321, cwd="/", said=place / "said", environment=where)
    assert process.end() == 0, process.text()

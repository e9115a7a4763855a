"""Thirty processes at once on one place."""

import json

import pytest
import torch
import works
from test_fetch import images, known, packed, server  # noqa: F401

import entropic_edu as ee
from entropic_edu.teaching import answers

CROWD = 30


@pytest.mark.fault("30 processes answer at the same time", "every answer is kept", trials=CROWD)
def test_thirty_kernels_lose_no_answer(start, tmp_path, trials):
    crowd = [start(works.answer, tmp_path / "home", number, 4) for number in range(trials)]
    assert [process.end() for process in crowd] == [0] * trials, [process.text() for process in crowd]
    kept = answers.Answers(tmp_path / "home")
    assert [len(kept.passed(f"{number:02d}")) for number in range(trials)] == [4] * trials
    assert len(kept.bets) == 4 * trials
    assert {file.name for file in (tmp_path / "home").iterdir()} == {"answers.json", "answers.lock"}
    assert json.loads((tmp_path / "home" / "answers.json").read_text())["kind"] == answers.KIND


@pytest.mark.fault("30 processes download at the same time", "one download, one complete copy", trials=CROWD)
def test_thirty_processes_share_one_download(start, server, tmp_path, trials):  # noqa: F811
    server.content = packed(images())
    crowd = [start(works.get, tmp_path / "to", known(server)) for _ in range(trials)]
    assert [process.end() for process in crowd] == [0] * trials, [process.text() for process in crowd]
    assert server.asked == [0]
    assert works.loaded(tmp_path / "to")


@pytest.mark.fault(
    "30 processes save to one file at the same time", "one of the files, complete; nothing left over", trials=CROWD
)
def test_thirty_processes_save_into_one_file(start, tmp_path, trials):
    file = tmp_path / "kept" / "file"
    crowd = [start(works.save_often, file, number, 20) for number in range(trials)]
    assert [process.end() for process in crowd] == [0] * trials, [process.text() for process in crowd]
    saved = ee.Path.load(file).pivots
    assert torch.equal(saved, works.level(int(saved[0, 0])).pivots)
    assert [each.name for each in file.parent.iterdir()] == ["file"]

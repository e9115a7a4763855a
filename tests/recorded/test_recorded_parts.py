"""Parts of a recipe, made one after the other or by several workers at once: the results are the same."""

import multiprocessing
import os
import signal
import time
from functools import partial

import pytest
import torch

from entropic_edu import cli, recorded
from entropic_edu.recorded import Part, Work, roads
from entropic_edu.sweeps.workers import cores


def drawn(seed, *needed):
    """A part: a random walk from the ends of those that it needs."""
    generator = torch.Generator().manual_seed(seed)
    return {"walk": torch.randn(100, generator=generator).cumsum(0) + sum(each["walk"][-1] for each in needed)}


PARTS = {  # each can be made only when those on its right are there
    "one": Part(partial(drawn, 1)),
    "two, a": Part(partial(drawn, 2), ("one",)),
    "two, b": Part(partial(drawn, 3), ("one",)),
    "three": Part(partial(drawn, 4), ("two, b", "two, a")),
}


def work(folder=None, workers=2, say=lambda line: None):
    return Work("mine", {"seeds": [0]}, say, folder, workers)


def files(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("keep", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_however_many_workers_there_are_parts_are_the_same(tmp_path, keep):
    alone = work(workers=1).parts(PARTS)
    walk = {name: each["walk"] for name, each in alone.items()}
    assert torch.equal(walk["three"], drawn(4)["walk"] + (walk["two, b"][-1] + walk["two, a"][-1]))
    for workers in (2, 3):
        folder = tmp_path / str(workers) if keep else None
        together = work(folder, workers).parts(PARTS)
        assert list(together) == list(PARTS)
        assert all(torch.equal(together[name]["walk"], walk[name]) for name in PARTS)
        if keep:
            assert set(files(folder)) == {f"{name}.kept" for name in PARTS}


def test_parts_that_are_there_are_not_made_again(tmp_path):
    lines = []
    work(tmp_path).parts(PARTS)
    there = files(tmp_path)
    (tmp_path / "two, a.kept").unlink()
    found = work(tmp_path, say=lines.append).parts(PARTS)
    assert [line.split(":")[0] for line in lines[:3]] == ["one", "two, b", "three"]
    assert lines[3] == "1 part to make, 1 at a time"
    assert lines[-1] == "two, a: done"
    assert torch.equal(found["two, a"]["walk"], work(workers=1).parts(PARTS)["two, a"]["walk"])
    assert {name: there[name] for name in there if "two, a" not in name}.items() <= files(tmp_path).items()


def met(folder, mine, other):
    """A part that ends only while the other is at work, too."""
    (folder / mine).touch()
    deadline = time.monotonic() + 60
    while not (folder / other).exists():
        assert time.monotonic() < deadline, "nobody came"
        time.sleep(0.01)
    return {"pid": os.getpid(), "threads": torch.get_num_threads(), "precision": torch.get_float32_matmul_precision()}


def test_parts_are_made_at_the_same_time_each_on_one_thread_of_a_process_of_its_own(tmp_path):
    wanted = {"x": Part(partial(met, tmp_path, "x", "y")), "y": Part(partial(met, tmp_path, "y", "x"))}
    found = work().parts(wanted)
    assert len({found["x"]["pid"], found["y"]["pid"], os.getpid()}) == 3
    assert {each["threads"] for each in found.values()} == {1}
    assert {each["precision"] for each in found.values()} == {"highest"}


def slow(seconds):
    time.sleep(seconds)
    return {}


def test_the_time_of_parts_is_added_up_and_waiting_for_workers_is_not(tmp_path):
    wanted = {name: Part(partial(slow, 0.5)) for name in "abcd"}
    at_work, later = work(tmp_path, workers=4), work(tmp_path)
    began = time.perf_counter()
    at_work.parts(wanted)
    took = time.perf_counter() - began
    assert 1.95 <= at_work.spent <= 4 * took
    assert 0.5 < at_work.waited <= took
    later.parts(wanted)
    assert (later.spent, later.waited) == (at_work.spent, 0)  # once more: from what is there


def killed_once(flag, needed):
    """A part whose process is killed, the first time."""
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return drawn(5)


@pytest.mark.soak
def test_a_worker_that_is_killed_is_named_and_the_next_call_goes_on(tmp_path):
    folder, flag = tmp_path / "parts", tmp_path / "flag"
    wanted = PARTS | {"killed": Part(partial(killed_once, flag), ("one",))}
    with pytest.raises(ChildProcessError, match=r"worker that made 'killed' was killed \(out of memory\?\).*--workers"):
        work(folder).parts(wanted)
    there = files(folder)
    assert "one.kept" in there
    assert "killed.kept" not in there
    assert set(work(folder).parts(wanted)) == set(wanted)
    assert there.items() <= files(folder).items()


def refused(*needed):
    raise ValueError("nothing is joined by this road")


def test_what_goes_wrong_in_a_part_is_said_as_it_is(tmp_path):
    with pytest.raises(ValueError, match="nothing is joined") as raised:
        work(tmp_path).parts(PARTS | {"refused": Part(refused, ("one",))})
    assert str(raised.value) == "nothing is joined by this road"
    assert "one.kept" in files(tmp_path)
    assert not multiprocessing.active_children()


def test_ctrl_c_ends_all_workers_and_finished_parts_are_kept(tmp_path):
    def press(line):
        if line.startswith("quick"):
            raise KeyboardInterrupt

    wanted = {"quick": Part(partial(drawn, 1)), "endless": Part(partial(slow, 600))}
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, say=press).parts(wanted)
    assert time.monotonic() - began < 60
    assert not multiprocessing.active_children()
    assert list(files(tmp_path)) == ["quick.kept"]


def test_by_default_the_command_uses_all_cores_but_not_on_a_gpu(monkeypatch, tmp_path):
    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(roads, "make", lambda recipe, work: seen.append(work.workers) or {"one": torch.zeros(1)})
    assert cli.main(["record", "roads"]) == 0
    assert cli.main(["record", "roads", "--workers", "3"]) == 0
    recorded.record("roads")
    monkeypatch.setattr(recorded, "device", lambda: torch.device("cuda"))
    assert cli.main(["record", "roads"]) == 0
    assert seen == [cores(), 3, 1, 1]


def test_no_workers_are_refused(capsys):
    with pytest.raises(ValueError, match="At least one worker makes a recording, got workers=0"):
        recorded.record("roads", workers=0)
    with pytest.raises(SystemExit):
        cli.main(["record", "roads", "--workers", "0"])
    assert "must be at least 1, got 0" in capsys.readouterr().err


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "parts").write_text("mine")
    with pytest.raises(OSError, match="parts"):
        recorded.record("roads", tiny=True, folder=tmp_path / "parts", workers=2)

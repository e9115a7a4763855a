"""Long work on a thread: it completes, stops when asked, loses no error and leaves no thread behind."""

import _thread
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching import job as module
from entropic_edu.teaching.job import Job


@dataclass(frozen=True, eq=False)
class Count(Result):
    """A number reached."""

    number: int = 0


def counting(total, pause=0.0, fail_at=None, closed=None):
    """A stream that counts to ``total``."""
    try:
        for number in range(total + 1):
            if number == fail_at:
                raise ZeroDivisionError("the stream broke at 3")
            yield Snapshot(number, total, "", lambda number=number: Count(number, complete=number == total))
            time.sleep(pause)
    finally:
        if closed is not None:
            closed.append(True)


def test_a_job_that_nobody_stops_completes():
    job = Job(counting(5))
    job.start()
    result = job.wait()
    assert (result.number, result.complete) == (5, True)
    assert not job.running


def test_a_cancelled_job_keeps_what_there_is_marked_incomplete_and_closes_its_stream():
    closed = []
    job = Job(counting(5000, pause=0.001, closed=closed))
    job.start()
    time.sleep(0.05)
    job.cancel()
    result = job.wait()
    assert 0 <= result.number < 5000
    assert not result.complete
    assert closed


def test_wait_raises_the_error_of_the_thread():
    job = Job(counting(5, fail_at=3))
    job.start()
    with pytest.raises(ZeroDivisionError, match="broke at 3"):
        job.wait()


def test_an_error_in_the_ending_is_raised_too():
    def broken(job):
        raise RuntimeError("no picture")

    job = Job(counting(2), ended=broken)
    job.start()
    with pytest.raises(RuntimeError, match="no picture"):
        job.wait()


@pytest.mark.parametrize(("pause", "of"), [(1 / 1024, 103), (1 / 32, 4), (1 / 8, 1), (3 / 4, 1)])
def test_progress_comes_as_often_as_snapshots_but_at_most_ten_times_a_second(pause, of, monkeypatch):
    now, seen = [0.0], []  # a clock may begin anywhere

    def ticking():
        for snapshot in counting(400):
            yield snapshot
            now[0] += pause

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    job = Job(ticking(), progress=lambda snapshot: seen.append(snapshot.done))
    job.start()
    job.wait()
    assert seen == list(range(0, 401, of))


def test_ctrl_c_in_wait_becomes_a_cancel():
    job = Job(counting(5000, pause=0.001))  # 5 s
    job.start()
    threading.Timer(0.1, _thread.interrupt_main).start()
    result = job.wait()
    assert not result.complete
    assert result.number < 5000


SCRIPT = """
import torch, entropic_edu as ee
from entropic_edu.teaching.job import Job
valley = ee.valleys.Waist()
road = ee.Path(valley.floor(9))
job = Job(ee.stream.drift(valley, road, generator=torch.Generator(), walkers=8, steps=STEPS, record_every=8))
job.start()
"""


@pytest.mark.parametrize(("steps", "then"), [(80, "job.wait()"), (10**9, "")], ids=["ended", "under way"])
def test_python_leaves_in_peace_after_a_job_and_in_the_middle_of_one(steps, then):
    script = SCRIPT.replace("STEPS", str(steps)) + then
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")

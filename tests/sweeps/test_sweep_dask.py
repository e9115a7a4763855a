"""Sweeps on a real cluster of dask: the same bits, killed workers, and the page of the docs, run as it stands."""

import math
import multiprocessing
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from test_sweep import GRID, alike, calls, deadly, ends, relax, wrong

import entropic_edu as ee

distributed = pytest.importorskip("distributed", reason="dask is not installed; pip install distributed")

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "sweeps.md").read_text()
NOT_RUN = "<!-- not run here -->\n"


@pytest.fixture(scope="module")
def client():
    """A client of two worker processes of one thread each, which end with it."""
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}  # any free port
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        yield client
    assert multiprocessing.active_children() == []


def test_dask_gives_the_same_bits_as_threads(client, tmp_path):
    there = ee.sweep(relax, over=GRID, executor=client.get_executor())
    with ThreadPoolExecutor(2) as pool:
        here = ee.sweep(relax, over=GRID, executor=pool)
    assert there.complete
    assert alike(here, there, tmp_path)


def test_a_function_of_a_notebook_reaches_the_workers(client):
    offset = 3
    swept = ee.sweep(lambda a: a + offset, over={"a": [1, 2]}, executor=client.get_executor())
    assert swept.results == (4, 5)


def test_a_point_that_fails_on_dask_is_computed_anew_and_the_rest_goes_on(client, tmp_path):
    # dask knows a call by its arguments, and would give the same failure again
    log = tmp_path / "log"
    log.mkdir()

    def once(a, log):
        with open(f"{log}/{a}", "a") as file:
            file.write("x")
        with open(f"{log}/{a}") as file:
            if a == 1 and file.read() == "x":
                raise OSError("the disk was away")
        return wrong(a)

    over = {"a": [1, 2, 3], "log": [str(log)]}
    swept = ee.sweep(once, over=over, executor=client.get_executor(), folder=tmp_path / "kept")
    assert swept.results == (1, None, 3)
    assert swept.failed[0].error.endswith("failed in 2 tries: ZeroDivisionError: no such place")
    assert [(log / str(a)).read_text() for a in (1, 2, 3)] == ["xx", "xx", "x"]


def test_a_killed_worker_of_dask_is_started_anew_and_all_points_are_there(client, tmp_path):
    over = {"a": [1, 2, 3], "log": [str(tmp_path)], "once": [1], "ever": [0]}
    swept = ee.sweep(deadly, over=over, executor=client.get_executor(), retries=0)
    assert swept.results == (ends(1), ends(2), ends(3))
    assert calls(tmp_path, 1) == 2
    client.wait_for_workers(2, timeout=30)


def test_a_point_that_kills_each_worker_is_recorded_and_the_sweep_goes_on_later(client, tmp_path):
    log, folder = tmp_path / "log", tmp_path / "kept"
    log.mkdir()
    scheduler = client.cluster.scheduler
    patience, scheduler.allowed_failures = scheduler.allowed_failures, 0  # as after dask's three tries, but soon
    over = {"a": [1], "log": [str(log)], "once": [1], "ever": [0]}
    try:
        swept = ee.sweep(deadly, over=over, executor=client.get_executor(), folder=folder, retries=0)
    finally:
        scheduler.allowed_failures = patience
    assert swept.results == (None,)
    assert "a=1" in swept.failed[0].error
    assert "failed in 1 try: KilledWorker: " in swept.failed[0].error
    again = ee.sweep(deadly, over=over, executor=client.get_executor(), folder=folder)
    assert again.results == (ends(1),)


def test_the_executor_is_not_shut_down_by_a_sweep(client):
    executor = client.get_executor()
    assert ee.sweep(wrong, over={"a": [1]}, executor=executor).complete
    assert executor.submit(wrong, 3).result() == 3


# --- the page ----------------------------------------------------------------------------------------------------


def blocks(marked):
    """The Python blocks of the page that are marked as not run here, or the others."""
    found = re.findall(rf"({NOT_RUN})?```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for mark, text in found if bool(mark) == marked]


def steps_home(batch_size, learning_rate):
    """Steps from 0.2 of the way to the end to 1 - 0.8/e, by the velocity that theory gives."""
    land = ee.valleys.Waist(noise="curvature")
    y = torch.linspace(0.2, 1 - 0.8 / math.e, 1000, dtype=torch.float64)
    velocity = land.drift_velocity(y, batch_size, learning_rate)
    return float(torch.trapezoid(1 / (learning_rate * velocity), y))


@pytest.mark.soak
def test_the_page_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # the start of a process takes longer than its points
    module, home, cluster = blocks(marked=False)
    (tmp_path / "relaxation.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names = {"__name__": "__main__"}
    try:
        exec(compile(home, "home.py", "exec"), names)
        assert capsys.readouterr().out.splitlines()[0] == re.search(r"```text\n(.*)", PAGE)[1]
        swept = names["swept"]
        assert swept.complete
        for point in swept.settings:
            (release,) = swept.at(**point)
            measured = float(release.relaxation_steps().steps.mean())
            assert measured == pytest.approx(steps_home(point["batch_size"], point["learning_rate"]), rel=0.1)  # 3 s.e.
        exec(compile(cluster, "cluster.py", "exec"), names)
        assert capsys.readouterr().out.startswith("12 of 12 points of relaxation.relax")
    finally:
        sys.modules.pop("relaxation", None)


def test_what_the_page_marks_as_not_run_is_python_and_says_so():
    assert "marked as not run here" in PAGE
    assert len(blocks(marked=True)) == 3
    for text in blocks(marked=True):
        compile(text, "not run", "exec")


def test_the_links_of_the_page_lead_to_files():
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).is_file(), target

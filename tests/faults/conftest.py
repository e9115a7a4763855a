"""Faults on purpose: a mark that says what was done and what is promised, and the table that a run makes of it."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import table
import torch
import works
from processes import Process

import entropic_edu as ee

for folder in ("data", "recorded"):  # whose tests have what these need: a server, small archives
    sys.path.append(str(Path(__file__).parents[1] / folder))

OUTCOMES = defaultdict(dict)  # by test, the outcome of each of its cases


def pytest_addoption(parser):
    parser.addoption("--table", metavar="FILE", help="write the table of faults into this page")


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(done, promised, trials=1): a fault, tried so often in each case")


def pytest_runtest_logreport(report):
    file, _, name = report.nodeid.partition("::")
    if "faults/" in file and (report.when == "call" or report.outcome != "passed"):
        OUTCOMES[f"{Path(file).name}::{name.partition('[')[0]}"][report.nodeid] = report.outcome


def pytest_terminal_summary(terminalreporter, config):
    outcomes = {test: list(cases.values()) for test, cases in OUTCOMES.items()}
    if outcomes:
        known = {row.test: row for row in table.rows()}
        tried = lost = 0
        for test in outcomes.keys() & known.keys():
            row, ended = known[test], outcomes[test]
            tried += row.each * sum(e != "skipped" for e in ended)
            lost += row.each * ended.count("failed")
        terminalreporter.write_line(f"faults: {tried} tried, {tried - lost} survived, {lost} lost")
    if file := config.getoption("--table", default=None):
        table.write(file, outcomes)
        terminalreporter.write_line(f"The table in {file} was written.")


@pytest.fixture
def trials(request):
    """How often a test shall try its fault, as its mark says."""
    return request.node.get_closest_marker("fault").kwargs["trials"]


@pytest.fixture(autouse=True)
def _no_places_of_ours(monkeypatch, tmp_path):
    """A home of its own for each test, and nothing of the caller's environment."""
    for name in list(os.environ):
        if name.startswith("ENTROPIC_EDU_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def _server(tmp_path_factory):
    """The server of processes, begun before any process is timed."""
    assert Process(works.bits, ee.Path(torch.eye(2)), said=tmp_path_factory.mktemp("server") / "said").end() == 0


@pytest.fixture
def start(tmp_path, _server):
    """Start processes; those that are left at the end are killed."""
    started = []

    def begin(work, *arguments, **settings):
        here = {"ENTROPIC_EDU_DATA": None, "HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
        settings["environment"] = here | settings.get("environment", {})
        settings.setdefault("said", tmp_path / f"said{len(started)}")
        started.append(Process(work, *arguments, **settings))
        return started[-1]

    yield begin
    for process in started:
        if process.running:
            process.hurt()
        process.process.join()


def run_as_root(*command):
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def disk(tmp_path):
    """Make disks in memory, of so many bytes; skips where this takes rights that we have not."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a disk of its own takes root and mount")
    made = []

    def mount(size):
        place = tmp_path / f"disk{len(made)}"
        place.mkdir()
        done = run_as_root("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        made.append(place)
        return place

    yield mount
    os.chdir(tmp_path)
    for place in made:
        run_as_root("umount", "-l", str(place))


def fill(place, leave):
    """Fill a disk up to so many free bytes, and return the file that does it."""
    file = place / "filler"
    with file.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        free = shutil.disk_usage(place).free - leave
        while free > 0:
            free -= stream.write(bytes(min(free, 1 << 16)))
    return file


@pytest.fixture
def full():
    """Fill a disk: ``full(place, leave=bytes)`` returns the file that does it."""
    return fill


@pytest.fixture
def read_only():
    """Make a disk read-only."""

    def remount(place):
        done = run_as_root("mount", "-o", "remount,ro", str(place))
        if done.returncode:
            pytest.skip(f"no disk can be made read-only here: {done.stderr.strip()}")

    return remount

"""One server of each front end for all browser tests, over a copy of the lessons; JupyterLab has a notebook more."""

import importlib.util
import shutil
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

SAMPLE = """
import time

import ipywidgets
import torch
from matplotlib.figure import Figure

from entropic_edu.physics.drift import drift
from entropic_edu.physics.path import Path
from entropic_edu.physics.valleys import Waist
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu import stream

def drawn(height, sentence):
    figure = Figure(figsize=(6, 3))
    figure.subplots().bar(range(8), [height * n for n in range(8)])
    return figure, sentence

def render(*, batch_size, learning_rate):
    return drawn(batch_size * learning_rate, f"B = {batch_size}, η = {learning_rate}")

def slowly(*, batch_size, learning_rate):
    land = Waist()
    settings = {"start": 0.5, "batch_size": 16, "learning_rate": 0.01, "momentum": 0.0, "walkers": 4}
    for snapshot in stream.drift(land, Path(land.floor(9)), steps=50_000, generator=torch.Generator(), **settings):
        time.sleep(0.005)
        yield snapshot

def show(result, **controls):
    return drawn(2, f"complete: {result.complete}")

def code(*, batch_size, learning_rate):
    return f"ee.drift(..., batch_size={batch_size})"

class Bet:  # what covers an explorer until it is skipped
    def __init__(self):
        self.open, self.ghost, self.waiting = False, None, []
        button = ipywidgets.Button(description="Skip")
        button.on_click(self.skip)
        self.widget = ipywidgets.VBox([button]).add_class("ee-bet")
    def on_open(self, callback):
        self.waiting.append(callback)
    def skip(self, _):
        self.open = True
        for callback in self.waiting:
            callback()

controls = [slider("batch_size", (1, 4, 16, 64), 16), slider("learning_rate", (0.1, 0.2, 0.4), 0.2)]
work = Work(stream=slowly, show=show, units=lambda **controls: 50_000)
"""


def copied(folder):
    """Return a copy of the lessons as a learner has them."""
    return shutil.copytree(harness.ROOT / "lessons", folder, ignore=shutil.ignore_patterns("src", "*.py", ".*"))


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    lessons = copied(home / "lessons")
    sample = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    cells = [SAMPLE.strip(), "bet = Bet()\nbet.widget"]
    cells.append('Explorer(render, controls, title="Sample", work=work, code=code).cover(bet)')
    sample.cells = [nbformat.v4.new_code_cell(cell, id=f"sample-{n}") for n, cell in enumerate(cells)]
    nbformat.write(sample, lessons / "sample.ipynb")
    running = harness.Lab(lessons, home / "rest", browser)
    yield running
    running.close()


def started(kind, browser, tmp_path_factory, **settings):
    """Start a front end over a copy of the lessons, and end it after the tests."""
    if importlib.util.find_spec(kind.__name__.lower()) is None:
        pytest.skip(f'{kind.__name__} is not installed; pip install "entropic-edu[dev]"')
    home = tmp_path_factory.mktemp(kind.__name__.lower())
    running = kind(copied(home / "lessons"), home / "rest", browser, **settings)
    yield running
    running.close()


@pytest.fixture(scope="session")
def notebook7(browser, tmp_path_factory):
    yield from started(harness.Notebook, browser, tmp_path_factory)


@pytest.fixture(scope="session")
def voila(browser, tmp_path_factory):
    yield from started(harness.Voila, browser, tmp_path_factory)


@pytest.fixture
def opened(lab):
    """A function that opens a notebook and runs all of it; all pages are closed at the end."""
    pages = []

    def open_and_run(notebook, **size):
        pages.append(lab.open(notebook, **size))
        harness.run_all(pages[-1])
        return pages[-1]

    yield open_and_run
    for page in pages:
        lab.close_page(page)

"""Explorers under random sequences of controls, and cells of lessons out of order and twice."""

import math
import random
import re
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from explorers import takes

import entropic_edu as ee

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {file.stem: file.read_text("utf-8") for file in sorted((ROOT / "lessons" / "src").glob("[0-9][0-9]_*.py"))}
EXPLORE = re.compile(r'lesson\.explore\("(\w+)"(?:, after="(\w+)")?[,)]')
EXPLORERS = [(stem, *found) for stem, text in SOURCES.items() for found in dict.fromkeys(EXPLORE.findall(text))]
CASES = pytest.mark.parametrize(("stem", "name", "after"), EXPLORERS, ids=[f"{s}-{n}" for s, n, _ in EXPLORERS])


@pytest.fixture(autouse=True)
def _no_answers_are_kept(monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_ANSWERS", "off")


def finite(sentence):
    words = re.sub(r"[a-z]*(?:inf|nan)[a-z]+|[a-z]+(?:inf|nan)[a-z]*", "", sentence.lower())
    return "nan" not in words and "inf" not in words


class Sequence:
    """A lesson's explorer that is turned at random, and a second one that is asked afterwards."""

    def __init__(self, stem, name, after, seed):
        self.number, self.name, self.after = stem[:2], name, after or None
        self.draws, self.explorer, self.pinned = random.Random(seed), self.make(), None

    def make(self):
        return ee.Lesson(self.number).explore(self.name, after=self.after)

    def step(self):
        """Do one thing that a learner may do."""
        explorer, control = self.explorer, self.draws.choice(self.explorer.controls)
        act = self.draws.choices(["turn", "turn all", "pin", "unpin", "wrong"], [6, 2, 1, 1, 1])[0]
        if act == "turn":
            explorer.set(**{control.name: self.draws.choice(control.options)})
        elif act == "turn all":
            explorer.set(**{each.name: self.draws.choice(each.options) for each in explorer.controls})
        elif act == "pin" and "pinned" not in takes(explorer):
            with pytest.raises(ValueError, match="has nothing to pin"):
                explorer.pin()
        elif act == "pin":
            explorer.pin()
            self.pinned = dict(explorer.values)
        elif act == "unpin":
            explorer.unpin()
            self.pinned = None
        else:
            before = dict(explorer.values)
            with pytest.raises(ValueError, match=control.name):
                explorer.set(**{control.name: "nothing that there is"})
            assert explorer.values == before
        assert explorer.sentence
        assert finite(explorer.sentence), explorer.sentence

    def ends_as_if_it_had_begun_there(self):
        """A new explorer, put where this one is, shows the same."""
        fresh = self.make()
        if self.pinned is not None:
            fresh.set(**self.pinned)
            fresh.pin()
        fresh.set(**self.explorer.values)
        assert fresh.sentence == self.explorer.sentence
        assert fresh.shown.png == self.explorer.shown.png


def run(stem, name, after, seed, steps):
    with warnings.catch_warnings(action="error"):
        sequence = Sequence(stem, name, after, seed)
        for _ in range(steps):
            sequence.step()
        sequence.ends_as_if_it_had_begun_there()
    assert plt.get_fignums() == []


@CASES
def test_a_random_sequence_leaves_no_trace(stem, name, after):
    run(stem, name, after, seed=0, steps=12)


@pytest.mark.soak
@CASES
def test_five_hundred_random_steps_leave_no_trace(stem, name, after):
    for seed in range(1, 11):
        run(stem, name, after, seed, steps=50)


# --- cells --------------------------------------------------------------------------------------------------------


def cells(text):
    """The setup cell and the other code cells of a lesson's solution, as text."""
    parts = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    code = [
        (head, body)
        for head, body in zip(parts[1::2], parts[2::2], strict=True)
        if "[markdown]" not in head and "exercise" not in head
    ]
    setup = [body for head, body in code if '"setup"' in head]
    return setup[0], [body for head, body in code if '"setup"' not in head]


def execute(body, names):
    with warnings.catch_warnings(action="error"):
        exec(compile(body, "cell", "exec"), names)


def shuffled(stem, seed):
    setup, rest = cells(SOURCES[stem])
    names = {"__name__": "__main__", "math": math}
    execute(setup, names)
    draws = random.Random(seed)
    waiting, missing = [], []
    for body in draws.sample(rest, len(rest)):
        try:
            execute(body, names)
        except NameError as error:  # another cell makes it, and the message says what is missing
            missing.append(error.name)
            waiting.append(body)
            continue
        if draws.random() < 0.5:
            execute(body, names)  # twice
        if draws.random() < 0.2:
            execute(setup, names)  # after a restart, or by mistake
    for body in sorted(waiting, key=rest.index):
        execute(body, names)
    assert set(missing) <= set(names)  # another cell of the lesson made each of them
    assert plt.get_fignums() == []


@pytest.mark.parametrize("stem", [pytest.param(s, marks=[pytest.mark.soak] * (s[:2] in ("03", "10"))) for s in SOURCES])
def test_cells_run_in_any_order_and_twice(stem):
    shuffled(stem, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("stem", SOURCES)
def test_cells_run_in_many_orders(stem, seed):
    shuffled(stem, seed)


def test_without_its_setup_cell_a_cell_names_what_is_missing():
    for text in SOURCES.values():
        for body in cells(text)[1]:
            with pytest.raises(NameError, match="is not defined"):
                execute(body, {"__name__": "__main__"})

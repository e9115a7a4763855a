"""What every explorer of the course is held to; its lesson's tests call these."""

import math
import re
import warnings

import matplotlib.pyplot as plt
import torch

import entropic_edu as ee

NUMBER = re.compile(r"[-+−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


class Bet:
    """A prediction that is open."""

    open = True

    def __init__(self, ghost):
        self.ghost = ghost

    def on_open(self, callback):
        callback()


def every_state(explorer):
    """Yield the first state, and every option of every control with the others as at first."""
    first = {control.name: control.default for control in explorer.controls}
    yield first
    for control in explorer.controls:
        yield from (first | {control.name: option} for option in control.options if option != control.default)


def drive(explorer):
    """Draw every option of every control: no warning, no open figure, numbers finite, each a sentence of its own."""
    sentences = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for state in every_state(explorer):
            drawn = explorer.draw(**state)
            assert drawn.png.startswith(b"\x89PNG")
            assert "nan" not in drawn.sentence.lower()
            assert "inf" not in re.sub(r"[a-z]*inf[a-z]+", "", drawn.sentence.lower())
            assert NUMBER.search(drawn.sentence), drawn.sentence
            sentences[tuple(state.items())] = drawn.sentence
    assert plt.get_fignums() == []
    assert len(set(sentences.values())) == len(sentences), "two states say the same"
    return sentences


def same_from_anywhere(explorer, make):
    """Each state's picture is the same, byte for byte, whatever was drawn before: forwards, and backwards anew."""
    other = make()
    drawn = [(state, explorer.draw(**state)) for state in every_state(explorer)]
    for state, seen in reversed(drawn):
        assert other.draw(**state) == seen, state


def takes(explorer):
    """Return which of "ghost" and "pinned" an explorer can show beside its state."""
    return set(explorer._takes)


def figure(explorer, *, ghost=None, pinned=None, **state):
    """Return the figure of a state, with a prediction and a pinned run where there are any."""
    extra = {"ghost": ghost, "pinned": pinned}
    return explorer._render(**explorer.values | state, **{name: extra[name] for name in takes(explorer)})[0]


def sentences(player):
    """Return what each record of a player says, as its page is told."""
    return player.get_state()["_sentences"]


def run_code(code):
    """Execute what an explorer prints, and return its names."""
    names = {"ee": ee, "torch": torch, "math": math}
    exec(code, names)
    return names

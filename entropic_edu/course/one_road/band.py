"""Round 2: a band between two networks relaxes into a road; four methods, three first guesses, recorded or live."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import digits
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import one_road
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GHOST, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Written, Yours

from . import bands as B
from .common import GUESSES, METHODS, kept, least_and_most, plane
from .exercises import swept
from .finished import ENDING, PANELS, draw_bands

GUESS_KEYS = ("04.guess.straight", "04.guess.near", "04.guess.far")
COLUMNS = {name: number for number, name in enumerate(one_road.COLUMNS)}


def draw(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw recorded bands, and the bet: what share of the hill's height above the ends stays."""
    guess, sweep = state.first_guess, state.band_sweeps
    draw_bands(sheet, guess, {name: B.recorded_frame(name, guess, sweep)[0] for name in B.chosen(state.band_method)})
    if ghost is not None:
        height = B.ends_objective() + ghost * (float(digits.line_loss(0).max()) - B.ends_objective())
        sheet["along"].line([0.3, 0.7], [height, height], GHOST, "", lw=4)
        sheet["along"].note(0.5, 1.6 * height, GHOST.label, GHOST, ha="center", va="center")


def outcome(name: str, row: Tensor) -> str:
    """Return what a band is like, from its row of ``COLUMNS``."""
    values = {column: float(row[number]) for column, number in COLUMNS.items()}
    return text("04.band.told", method=option_text(name, *B.NAME_KEYS), **values)


def said(key: str, guess: str, sweep: int, rows: dict[str, Tensor]) -> str:
    """Say what bands are like after a sweep, from their rows of ``COLUMNS``."""
    known = {"guess": option_text(guess, *GUESS_KEYS), "sweep": sweep, "ends": B.ends_objective()}
    return text(key, bands=" ".join(outcome(*each) for each in rows.items()), **known)


def words(state: Any) -> str:
    """Say how high and long the bands are, and at the end how those of all pairs and far guesses are."""
    guess, method, sweep = state.first_guess, state.band_method, state.band_sweeps
    rows = {name: B.recorded_frame(name, guess, sweep)[1] for name in B.chosen(method)}
    parts = [said("04.band.recorded", guess, sweep, rows)]
    if sweep == B.TOTAL and method != "all":
        final = kept(f"final/{method}/{guess}")
        spread = {name: least_and_most(final[:, ENDING[name]], 2) for name in ("barrier", "length")}
        parts.append(text("04.band.finished", **spread))
        if guess != "straight":
            names = [(each, other) for each in METHODS for other in GUESSES]
            apart = kept("apart")[:, names.index((method, guess)), names.index((method, "straight"))]
            parts.append(text("04.band.apart", apart=least_and_most(apart, 2)))
    return " ".join(parts)


def show(sheet: Sheet, bands: B.Bands, state: Any) -> str:
    """Draw bands that relax now, and say how far they are."""
    land = digits.land()
    both = {name: one_road.table(land, plane(), path, bands.sweep, B.POINTS) for name, path in bands.paths.items()}
    draw_bands(sheet, state.first_guess, {name: points for name, (points, _) in both.items()})
    return said("04.band.live", state.first_guess, bands.sweep, {name: row for name, (_, row) in both.items()})


def frame(sheet: Sheet, bands: B.Bands, state: Any) -> str:
    """Draw the band that moves now, quickly."""
    name, path = list(bands.paths.items())[-1]
    even = path.resample(B.POINTS).pivots
    height = digits.land().loss(even)
    draw_bands(sheet, state.first_guess, {name: torch.cat([plane().coordinates(even), height[:, None]], 1)})
    method = option_text(name, *B.NAME_KEYS)
    return text("04.band.moving", method=method, sweep=bands.sweep, highest=float(height.max()))


def code(state: Any) -> str:
    """Return the lines that read the recorded band and make its finished road anew."""
    method, guess = B.chosen(state.band_method)[0], state.first_guess
    return f"""
from entropic_edu import recorded
from entropic_edu.recorded import one_road, roads
band = recorded.load("one_road")["band/{method}/{guess}"][{B.FRAMES.index(state.band_sweeps)}]
land, (a, b) = roads.landscape(), roads.road(0).pivots[[0, -1]]
road = ee.connect(land, a, b, **one_road.settings("{method}", "{guess}", 0))  # anew, in seconds
"""


def band(seed: int, yours: Written = None) -> Explorer:
    """A band of networks, relaxed by one of four methods from one of three first guesses, or by the learner's sweep."""
    own = Yours(yours, swept)

    def stream(state: Any) -> Iterator[Snapshot[B.Bands]]:
        return B.relax(state.band_method, state.first_guess) if yours is None else B.relax_yours(own, state.first_guess)

    def told(sheet: Sheet, bands: B.Bands, state: Any) -> str:
        return f"{show(sheet, bands, state)} {own.note}".strip()

    controls = [switch("band_method", (*METHODS, "all")), switch("first_guess", GUESSES)]
    controls.append(slider("band_sweeps", B.FRAMES, B.FRAMES[-1]))
    work = Work(stream, told, lambda state: B.TOTAL * (len(B.chosen(state.band_method)) if yours is None else 1), frame)
    return Explorer(draw, controls, PANELS, words, title="04.band.title", code=code, work=work)

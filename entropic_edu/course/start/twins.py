"""Round 2: fair comparisons. Two walks that share every random draw, or none."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from entropic_edu.course.crowd import Crowd
from entropic_edu.course.floor import places
from entropic_edu.figures.plots import RED
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import RUN, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

TROUGH = Crowd("Waist", {"g_wide": 2.0, "g_narrow": 2.0, "noise_scale": 3.0}, walkers=1, steps=240, records=80)
BESIDE, RATE = 16, 0.04  # batch size of the run that stays in the picture; η of both
FIRST = Role(RED, "--")
PANELS = {
    "x": Panel(
        (0.1, 0.15, 0.72, 0.74), "00.twins.panel", "axis.step", xlim=(0, TROUGH.steps), ylim=(-1.1, 1.1), zero=True
    )
}


def state_of(seed: int, batch_size: int | None, draws: str) -> dict[str, Any]:
    """Return the walk at B = 16 and that at another batch size, with the same draws or new ones."""
    seed_of_other = seed + (draws == "new")
    both = [
        TROUGH.run(own, batch_size=batch, learning_rate=RATE)
        for own, batch in ((seed, BESIDE), (seed_of_other, batch_size))
    ]
    first, other = (places(run)[:, 0, 0] for run in both)
    size, width = other.square().mean().sqrt(), first.square().mean().sqrt()
    alike = (other * first).mean() / (size * width) if size > 0 else math.nan
    known = {"first": first, "other": other, "step": both[0].step, "seed": seed_of_other}
    return known | {"beside": BESIDE, "ratio": size / width, "alike": alike}


def draw(sheet: Sheet, state: Any) -> None:
    """Draw both walks."""
    name = "say.all_data" if state.batch_size is None else text("00.twins.other", batch_size=state.batch_size)
    sheet["x"].line(state.step, state.first, FIRST, text("00.twins.first", batch_size=BESIDE))
    sheet["x"].line(state.step, state.other, RUN, name)


def words(state: Any) -> str:
    """Say how wide the second walk is beside the first, and how alike they are."""
    draws = option_text(state.draws, "00.twins.same", "00.twins.new")
    return text("00.twins.all" if state.batch_size is None else "00.twins.sentence", **vars(state) | {"draws": draws})


def code(state: Any) -> str:
    """Return the lines that make the second walk."""
    made = TROUGH.code(state.seed, batch_size=state.batch_size, learning_rate=RATE)
    return made + "\nx = release.theta[:, 0, 0]"


def twins(seed: int) -> Explorer:
    """One walker in a trough, beside the run at B = 16: with the same random draws, or with new ones."""
    controls = [slider("batch_size", (1, 4, 16, 64, 256, None), 64), switch("draws", ("new", "same"))]
    state = partial(state_of, seed)
    return Explorer(draw, controls, PANELS, words, state=state, title="00.twins.title", code=code)

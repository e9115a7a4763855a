"""Round 3: five roads of a network on the digits, the walkers on them, and the share of the walk that noise makes."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from entropic_edu import recorded
from entropic_edu.figures.plots import ORANGE, PURPLE
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import CONTROL, FAINT, GHOST, GREY, RUN, TRACE, Panel, Role, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Written, Yours

from .roads import PAIRS, READ, RUNS, bump, ends, noise_share, profile, tracks

SIDES = {0.3: "o", 0.7: "s"}  # starts, and how their shares are drawn
CURVES = {
    "trace": Role(TRACE.colour, label="10.label.trace"),
    "top_eigenvalue": Role(ORANGE, "--", label="10.label.top_eigenvalue"),
    "adaptive_trace": Role(PURPLE, "-.", label="10.label.adaptive_trace"),
}
SIZES = {8: 0.0, 16: 1.0, 32: 2.0}  # where batch sizes stand
PANELS = {
    "profile": Panel((0.065, 0.13, 0.27, 0.74), "10.panel.profile", "10.axis.road", ylim=(0, 5.2)),
    "walk": Panel((0.49, 0.13, 0.19, 0.74), "10.panel.release", "axis.step", (0, 720), (-0.02, 1.02), (0, 360, 720)),
    "share": Panel((0.825, 0.13, 0.155, 0.74), "10.panel.share", "10.axis.batch", (-0.5, 2.5), (40, 105),
                   {at: str(size) for size, at in SIZES.items()}),
}  # fmt: skip


def shares(rule: Yours, run: str) -> dict[float, Mean]:
    """Return the share of noise in per cent for both starts, by the learner's rule or the library's."""
    return {
        start: 100 * Mean(*rule(torch.full((5,), start).double(), ends(run, start), ends("still", start)))
        for start in SIDES
    }


def draw(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw a pair's road among the others, its walkers from 0.3 and 0.7, the share of noise, and the bet on it."""
    pen = sheet["profile"]
    for number in PAIRS:
        other = profile(number)
        pen.line(other.position, other.trace / other.trace[[0, -1]].mean(), FAINT)
    pen.note(0.02, 5.02, "10.label.others", Role(GREY))
    measured = profile(state.pair)
    for name, role in CURVES.items():
        values = getattr(measured, name)
        pen.line(measured.position, values / values[[0, -1]].mean(), role)
    step, run = recorded.load("limits")["step"], state.run
    noisy, still = tracks(state.pair, run)[:, [1, 5]], tracks(state.pair, "still")[:, [1, 5]]
    for side, start in enumerate(SIDES):
        if ghost is not None and run != "still":  # the walk of which the noise makes this share
            rest = float(still[-1, side])
            sheet["walk"].line([0, 720], [start, start + (rest - start) / (1 - ghost)], GHOST, "" if side else None)
        if run != "still":
            sheet["walk"].line(step, noisy[:, side], RUN, "10.label.noisy")
        sheet["walk"].line(step, still[:, side], CONTROL, "10.label.still")
    for size, at in SIZES.items():
        for start, mean in state.shares[RUNS[size]].items():
            role = Role(RUN.colour if size == state.batch_size else GREY, marker=SIDES[start])
            sheet["share"].points([at + 0.15 * (start - 0.5) / 0.2], mean.at(None), role)


def words(state: Any) -> str:
    """Say how large the bumps are, how far the walkers go, and what part of that the noise makes."""
    said = text("10.yours.road", mean=bump("trace"), adaptive=bump("adaptive_trace"))
    low, high = tracks(state.pair, state.run)[-1, [1, 5]].tolist()
    if state.run == "still":
        return f"{said} {text('10.yours.still', pair=state.pair, low=low, high=high)}"
    left, right = state.shares[state.run].values()
    known = {"batch_size": state.batch_size, "pair": state.pair, "low": low, "high": high}
    return f"{said} {text('10.yours.noisy', left=left, right=right, **known)} {state.note}".strip()


CODE = f"""{READ}
profile = kept["pair{{state.row}}/profile"]
settings = kept.recipe["drift"] | kept.recipe["varied"]["{{state.run}}"]
position = kept["pair{{state.row}}/{{state.run}}"]  # of ee.drift(land, road, batch_size=16, **settings), by start
"""


def state_of(rule: Yours, pair: int, batch_size: int | None) -> dict[str, Any]:
    """Return the shares of noise by the learner's rule or the library's, and the run and the row of the pair."""
    found = {RUNS[size]: shares(rule, RUNS[size]) for size in SIZES}
    return {"shares": found, "row": pair - 1, "run": RUNS[batch_size], "note": rule.note}


def yours(seed: int, yours: Written = None) -> Explorer:
    """Return the explorer of five roads of the network of round 3, and of the walkers on them."""
    controls = [slider("pair", PAIRS, 1), slider("batch_size", tuple(RUNS), 16)]
    state = partial(state_of, Yours(yours, noise_share))
    return Explorer(draw, controls, PANELS, words, state=state, title="10.yours.title", code=CODE)

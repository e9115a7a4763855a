"""Round 3: the step that is too long, ηh = 2."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from matplotlib.axes import Axes

from entropic_edu.course.floor import places
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import FAINT, GHOST, LIMIT, RUN, THEORY, Panel, Sheet
from entropic_edu.teaching.strings import option_text, text

from .common import WALKERS, measured, rounded, spread
from .edge import BATCH, CROWD, STEPS, regime, until_it_falls, variance_after

PRODUCTS = (0.1, 0.5, 1.0, 1.5, 1.8, 1.95, 2.0, 2.05, 2.2)  # ηh
WHOLE = torch.linspace(0.02, 2.4, 120, dtype=torch.float64)  # ηh
GUESSES = {  # what a misconception expects of the mean of x² at ηh
    "proportion": lambda edge: edge / (2 * BATCH),
    "shrinks": lambda edge: 0.01 / edge,  # from where the exact law is at ηh = 0.5
}


def draw_laws(ax: Axes) -> None:
    """Draw the exact law, the law for small steps, and where the first ends."""
    below = torch.linspace(0.02, 1.998, 400, dtype=torch.float64)
    ax.plot(below, below / (BATCH * (2 - below)), color=THEORY.colour, ls=THEORY.dash, lw=2)
    ax.plot(WHOLE, WHOLE / (2 * BATCH), color=LIMIT.colour, ls=LIMIT.dash, lw=LIMIT.width)
    ax.axvline(2, color=LIMIT.colour, lw=1.2)


PANELS = {
    "spread": Panel(
        (0.1, 0.125, 0.4, 0.8), "01.axis.variance", "01.axis.edge", (0, 2.4), (1e-3, 30), yscale="log", once=draw_laws
    ),
    "walker": Panel((0.6, 0.125, 0.38, 0.8), "01.panel.walker", "axis.step", (0, STEPS), (-3, 3), zero=True),
}


def state_of(seed: int, edge: float) -> dict[str, Any]:
    """Return the walkers at ηh, the mean of x² where they settle or end, and the exact one."""
    release, kind = until_it_falls(seed, edge), regime(edge)
    x, step = places(release)[..., 0], release.step
    square = spread(x[step > STEPS // 2] if kind == "settles" else x[-1:])
    law = edge / (BATCH * (2 - edge)) if kind == "settles" else float(variance_after(step[-1:], edge))
    return {"kind": kind, "x": x, "step": step, "end": int(step[-1]), "square": square, "law": law}


def draw(sheet: Sheet, now: Any, ghost: str | None = None) -> None:
    """Draw the measured mean of x², or that there is none, and the walk of one walker on the spread of all."""
    pen, walker = sheet["spread"], sheet["walker"]
    pen.note(0.3, 0.13, "01.label.exact", THEORY)
    pen.note(0.95, 0.019, "01.label.small", LIMIT)
    pen.note(1.95, 0.0014, "01.label.edge", LIMIT, ha="right")
    if ghost in GUESSES:
        pen.line(WHOLE, GUESSES[ghost](WHOLE), GHOST, "", lw=4, zorder=1)
        pen.note(1.0, 0.36 * float(GUESSES[ghost](WHOLE)[49]), GHOST.label, GHOST, va="center")
    if now.kind == "settles":
        pen.points([now.edge], now.square.at(None), RUN, ms=9)
    else:
        pen.points([now.edge], [18.0], RUN, fmt="^", ms=13)
        pen.note(1.85, 18.0, "01.label.gone", RUN, ha="right", va="center")
    deviation = now.x.square().mean(1).sqrt()
    walker.keep(walker.ax.fill_between(now.step, -deviation, deviation, color=FAINT.colour, alpha=0.4, lw=0))
    walker.line(now.step, now.x[:, 0], RUN, "", lw=1.0)


def words(now: Any, ghost: str | None = None) -> str:
    """Say how wide the crowd is, beside the exact law and that for small steps, and what was bet."""
    factor = abs(1 - now.edge)
    known = {"walkers": WALKERS, "batch_size": BATCH, "measured": measured(now.square), "exact": rounded(now.law)}
    known |= {"small": rounded(now.edge / (2 * BATCH)), "kick": rounded(now.edge**2 / BATCH), "factor": factor}
    power = rounded(float(f"{factor**100:.0e}"))
    keys = ("01.cliff.settles", "01.cliff.wanders", "01.cliff.falls")
    said = option_text(now.kind, *keys, now=now, power=power, **known)
    if ghost not in GUESSES:
        return said
    return f"{said} {text('01.cliff.guess', guess=rounded(GUESSES[ghost](now.edge)))}"


def cliff(seed: int) -> Explorer:
    """The step that is too long: where ηh reaches 2 the spread has no bound."""

    def code(now: Any) -> str:  # a run that falls is written down as long as it lasted
        return CROWD.code(seed, batch_size=BATCH, learning_rate=now.edge, steps=now.end, record_every=1)

    controls, state = [slider("edge", PRODUCTS, 0.5)], partial(state_of, seed)
    return Explorer(draw, controls, PANELS, words, state=state, title="01.cliff.title", code=code)

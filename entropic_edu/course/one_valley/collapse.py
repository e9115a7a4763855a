"""Round 2: the spread at all settings against η/B, on one line; the button measures them, beside the exact law."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from entropic_edu.figures.plots import BLACK
from entropic_edu.teaching.declared import Found
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import GHOST, RUN, THEORY, TWIN, Panel, Pen, Role, Sheet
from entropic_edu.teaching.strings import text

from . import common as C

BATCHES = (1, 2, 4, 8, 16, 32, 64)
START = (8, 0.1, 1.0)  # B, η, h
EVEN = torch.linspace(-0.8, 0.8, 161, dtype=torch.float64)  # x
WIDE = torch.tensor([5e-4, 0.8], dtype=torch.float64)  # η/B
PANELS = {
    "law": Panel(
        (0.105, 0.125, 0.48, 0.8), "01.axis.product", "01.axis.ratio", (5e-4, 0.8), (1.5e-4, 0.8),
        xscale="log", yscale="log", once=lambda ax: ax.plot(WIDE, WIDE / 2, color=THEORY.colour, ls=THEORY.dash),
    ),
    "cloud": Panel((0.72, 0.125, 0.26, 0.8), "01.axis.x", "01.axis.density", (0, 1.3), (-0.8, 0.8), (0, 0.5, 1)),
}  # fmt: skip


def state_of(seed: int, batch_size: int, learning_rate: float, bowl_curvature: float) -> dict[str, Any]:
    """Return the settled cloud at these controls."""
    x = C.cloud(seed, batch_size, learning_rate, bowl_curvature)
    law = C.exact(batch_size, learning_rate, bowl_curvature)
    known = {"curvature": bowl_curvature, "x": x, "law": law, "ratio": learning_rate / batch_size}
    return known | {"product": bowl_curvature * C.spread(x)}


def draw_cloud(pen: Pen, x: Tensor, law: float, role: Role, filled: bool) -> None:
    """Draw how many walkers are where, over the peak of the exact law."""
    unit = law**0.5
    edges = torch.linspace(-4.5, 4.5, 28, dtype=torch.float64) * unit
    height = torch.histogram(x.flatten(), edges, density=True).hist * unit * (2 * torch.pi) ** 0.5
    look = {"fill": True, "alpha": 0.45} if filled else {"ls": role.dash, "lw": 2}
    pen.keep(pen.ax.stairs(height, edges, orientation="horizontal", color=role.colour, **look))


def draw(sheet: Sheet, now: Any, pinned: Any = None, ghost: float | None = None) -> None:
    """Draw the present setting, a pinned one and a bet against η/B, and the cloud beside the exact law."""
    pen, beside = sheet["law"], sheet["cloud"]
    pen.note(0.0045, 0.0011, "01.label.line", THEORY)
    open_mark: dict[str, Any] = {"mfc": "none", "mew": 2, "ms": 15}
    if ghost is not None:
        at, high = START[1] / START[0], ghost * C.exact(*START)
        pen.points([at], [high], GHOST, **open_mark | {"fmt": "s"})
        pen.note(0.72 * at, high, GHOST.label, GHOST, ha="right", va="center")
    if pinned is not None:
        pen.points([pinned.ratio], pinned.product.value[None], TWIN, **open_mark)
        pen.note(1.4 * pinned.ratio, 0.85 * float(pinned.product.value), TWIN.label, TWIN, va="center")
        draw_cloud(beside, pinned.x, pinned.law, TWIN, filled=False)
    pen.points([now.ratio], now.product.at(None), RUN, ms=8)
    draw_cloud(beside, now.x, now.law, RUN, filled=True)
    beside.line((-0.5 * EVEN**2 / now.law).exp(), EVEN, THEORY, "")


def words(now: Any, pinned: Any = None, ghost: float | None = None) -> str:
    """Say what was measured here, in a pinned run, and what was bet."""
    numbers = {"measured": C.measured(now.product), "exact": C.rounded(now.law * now.curvature)}
    said = [text("01.collapse.point", now=now, temperature=C.rounded(0.5 * now.ratio), **numbers)]
    if ghost is not None:
        said.append(text("01.collapse.guess", guess=C.rounded(ghost * C.exact(*START))))
    if pinned is not None:
        said.append(text("01.collapse.pinned", run=pinned, measured=C.measured(pinned.product)))
    return " ".join(said)


def show(sheet: Sheet, found: Found, now: Any) -> str:
    """Draw all measured settings, each curvature with a mark of its own, and say how near the law they are."""
    draw(sheet, now)
    count = len(found.each)
    variance, error = torch.tensor(found.each, dtype=torch.float64).reshape(-1, 2).T
    batch, rate, curvature = torch.tensor(C.SETTINGS[:count], dtype=torch.float64).reshape(-1, 3).T
    marks = {h: Role(BLACK, "", marker=marker) for h, marker in zip(C.CURVATURES, "ovs", strict=True)}
    for h, role in marks.items():
        some = curvature == h
        sheet["law"].points((rate / batch)[some], (h * variance)[some], role, ms=4)
    sheet["law"].key([(role, f"h = {h:g}") for h, role in marks.items()], x=0.04, markers=True)
    known = {"settings": count, "walkers": C.WALKERS, "steps": C.STEPS}
    if count == 0:
        return text("01.collapse.nothing", **known)
    law = C.exact(batch, rate, curvature)
    off = 100 * float((variance / law - 1).abs().mean())
    above = 100 * float((variance * curvature * batch / rate * 2).max() - 1)
    return text("01.collapse.grid", off=off, near=int(((variance - law).abs() < 2 * error).sum()), above=above, **known)


def collapse(seed: int) -> Explorer:
    """All settings on one line: only η/B counts, as a temperature."""

    def code(now: Any) -> str:
        return C.trough(now.curvature).code(seed, batch_size=now.batch_size, learning_rate=now.learning_rate)

    names = ("batch_size", "learning_rate", "bowl_curvature")
    controls = [slider(*each) for each in zip(names, (BATCHES, C.RATES, C.CURVATURES), START, strict=True)]
    work, state = Work(lambda now: C.measure(seed), show, lambda now: len(C.SETTINGS)), partial(state_of, seed)
    return Explorer(draw, controls, PANELS, words, state=state, title="01.collapse.title", code=code, work=work)

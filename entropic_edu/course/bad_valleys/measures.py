"""Round 2: how many times sharper is the bad end? Three measures, as trained and with its layers resized."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, RED
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import bad_minima
from entropic_edu.recorded.bad_minima import COLUMNS
from entropic_edu.teaching.declared import Found, one_by_one
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Written, Yours

from .common import FACTORS, FROM, kept, land, over, times

MEASURES = {"trace": "08.measure.trace", "top": "08.measure.top", "adaptive": "08.measure.adaptive"}
NETWORKS = ("normed", "plain")
PROBES = 4  # of the live measure, at each of three networks
ROWS = (2.0, 1.0, 0.0)  # heights of the three measures
TRAINED, RESIZED = Role(RED, "", label="08.label.trained"), Role(BLUE, "", marker="s")


def _static(ax: Axes) -> None:
    ax.axvline(1, color=BLACK, lw=1)
    ax.tick_params(axis="y", length=0)
    for x, key in ((0.3, "08.label.flatter"), (7.0, "08.label.sharper")):
        ax.text(x, 2.65, text(key), ha="center", va="bottom", fontsize=11)


PANELS = {
    "times": Panel((0.15, 0.165, 0.82, 0.74), "", "08.axis.times", (0.08, 100), (-0.55, 2.55), (0.1, 1, 10, 100),
                   dict(zip(ROWS, MEASURES.values(), strict=True)), xscale="log", once=_static),
}  # fmt: skip


def adaptive(theta: Tensor, product: Callable[[Tensor], Tensor], probes: Tensor) -> Tensor:
    """Return Hutchinson's estimate of Σθᵢ²Hᵢᵢ from products of the Hessian with θ times each probe of ±1, ()."""
    scaled = theta * probes
    return torch.stack([each @ product(each) for each in scaled]).mean()


def asked(rule: Yours, factor: float, seed: int) -> Iterator[Snapshot[Found]]:
    """Yield what the learner's measure says of pair 1: the good end, the bad one as trained, and resized, () each."""
    good, bad = kept("road").pivots[[0, -1]].float()
    layers = land().scale_free(good[None])
    grown = bad_minima.resized(bad, layers, kept("factors")[0].float())
    shrunk = bad_minima.resized(bad, layers, torch.full((len(layers),), factor))
    draws = torch.Generator().manual_seed(seed)
    probes = torch.randint(0, 2, (PROBES, len(good)), generator=draws) * 2.0 - 1

    def ask(theta: Tensor) -> Tensor:
        return rule(theta, partial(land().hessian_vector_product, theta), probes).double().reshape(())

    return one_by_one(ask, (good, grown, shrunk), text("08.measures.note"))


def draw(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw all measures of a network, its bad end as trained and resized; and the bet at the good end's norms."""
    pen = sheet["times"]
    label = option_text(state.bad_network, "08.label.normed", "08.label.plain", factor=state.bad_factor)
    for role, factor, up, words in ((TRAINED, None, 0.16, TRAINED.label), (RESIZED, state.bad_factor, -0.16, label)):
        style = {"mfc": "white", "mew": 2} if role is TRAINED else {}
        for name, row in zip(MEASURES, ROWS, strict=True):
            each = times(state.bad_network, name, factor)
            pen.line(each, [row + up] * len(each), Role(role.colour, ""), "", marker=".", ms=4)
            pen.across(over(each), row + up, role, **style)
        top = float(times(state.bad_network, "trace", factor).mean())
        pen.note(top, 2 + 2.6 * up, words, role, ha="center", va="center", boxed=True)
    if ghost is not None:
        pen.line([ghost], [1.84], Role(GREY, ""), "", marker="D", ms=11, mfc="none", mew=2.5)
        pen.note(ghost, 1.58, GHOST.label, GHOST, ha="center", va="center", boxed=True)


def words(state: Any) -> str:
    """Say how many times the good end's the bad end's measures are."""
    network, factor = state.bad_network, state.bad_factor
    asked = {"trained": ("trace", None), "now": ("trace", factor), "adaptive": ("adaptive", factor)}
    means = {name: over(times(network, *one)) for name, one in asked.items()}
    return option_text(network, "08.measures.normed", "08.measures.plain", factor=factor, **means)


def show(sheet: Sheet, found: Found, state: Any, rule: Yours) -> str:
    """Draw what the learner's measure says of pair 1, on the row of the adaptive trace."""
    draw(sheet, state)
    ratios = [float(value / found.each[0]) for value in found.each[1:]]
    for ratio, role, up in zip(ratios, (TRAINED, RESIZED), (0.3, -0.3), strict=False):
        sheet["times"].line([ratio], [up], Role(BLACK, ""), "", marker="D", ms=9, mfc=role.colour)
    if not found.complete:
        return text("08.measures.under_way", count=len(found.each))
    trained, now = ratios
    said = text("08.measures.live", trained=trained, now=now, factor=state.bad_factor, probes=PROBES)
    return f"{said} {rule.note}".strip()


def code(state: Any) -> str:
    """Return the lines that read how many times sharper the bad end is."""
    row, column = 2 + FACTORS.index(state.bad_factor), COLUMNS.index("trace")
    return f"""{FROM}
ends = kept["{state.bad_network}/ends"][:5]  # pairs; good, bad as trained, bad at each factor; measures
as_trained, resized = (ends[:, row, {column}] / ends[:, 0, {column}] for row in (1, {row}))
"""


def measures(seed: int, yours: Written = None) -> Explorer:
    """Which end is flatter? It depends on the measure, and for two of three on the scale of the weights."""
    rule = Yours(yours, adaptive)
    told = partial(show, rule=rule)
    work = Work(lambda state: asked(rule, state.bad_factor, seed), told, lambda state: 3, told)
    controls = [slider("bad_factor", FACTORS, 1.0), switch("bad_network", NETWORKS)]
    return Explorer(draw, controls, PANELS, words, title="08.measures.title", code=code, work=work, height=350)

"""Round 4: the learner's own investigation, run now on five recorded roads, beside lesson 06's walkers on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course import digits
from entropic_edu.networks.network import Network
from entropic_edu.physics.drift import drift
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.path import Path
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching.declared import Found, one_by_one
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import CONTROL, GREY, RUN, Panel, Role, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Yours

from .kept import signed

SEEDS = (0, 1, 2, 3)
PAIRS = torch.arange(1, len(digits.PAIRS) + 1).double()
MEAN = len(digits.PAIRS) + 1.2  # where the mean stands
LATER, NOW = Role(GREY, "", marker="x", label="10.mine.before"), Role(RUN.colour, "", label="10.mine.now")
PANELS = {
    "moved": Panel((0.1, 0.13, 0.66, 0.76), "10.mine.panel", "10.mine.axis", (0.5, MEAN + 0.5), (-0.42, 0.42),
                   {float(pair): str(int(pair)) for pair in PAIRS} | {MEAN: "10.mine.mean"}, zero=True),
}  # fmt: skip


def investigate(land: Network, road: Path, generator: torch.Generator) -> Tensor:
    """Return how far four walkers go from 0.45 in 300 steps."""
    settings: dict[str, Any] = {"batch_size": 16, "learning_rate": 0.2, "momentum": 0.9, "steps": 300, "walkers": 4}
    release = drift(land, road, start=0.45, generator=generator, **settings)
    return (release.position[-1] - 0.45).mean()


def before(key: str) -> Tensor:
    """Return how far lesson 06's walkers went on these roads from 0.3, with noise or in the control, (5,)."""
    ends: Tensor = recorded.load("let_go")[f"{key}/position"][:, -1, 0].double().mean(-1)
    return ends - 0.3


def asked(rule: Yours, seed: int) -> Iterator[Snapshot[Found]]:
    """Yield what the rule finds on one road after the other, ()."""

    def ask(pair: int) -> Tensor:
        generator = torch.Generator().manual_seed(1000 * seed + pair)
        return rule(digits.land(), digits.road(pair), generator).double().reshape(())

    return one_by_one(ask, digits.PAIRS, text("10.mine.note"))


def draw(sheet: Sheet, state: SimpleNamespace, each: Tensor | None = None) -> None:
    """Draw the recorded displacements, and beside them what the investigation has found so far."""
    pen, draws = sheet["moved"], text("10.mine.draws", seed=state.draws)
    pen.note(0.99, 0.99, draws, CONTROL, transform=pen.ax.transAxes, ha="right", va="top")
    shown = [(before("runaway, control"), CONTROL, "s", 0.0), (before("runaway, B 16"), LATER, "x", 0.0)]
    for values, role, marker, aside in [*shown, *([] if each is None else [(each, NOW, "o", 0.15)])]:
        pen.line(PAIRS[: len(values)] + aside, values, role, "", ls="", marker=marker, ms=8, mew=1.5)
        if len(values) == len(PAIRS):
            mean, where = Mean.over(values[None]), [MEAN + aside]
            pen.points(where, mean, role, fmt=marker, ms=9)
            pen.line(where, mean.value, role, ls="")


def words(state: SimpleNamespace) -> str:
    """Say what lesson 06 found on these roads."""
    noisy, still = (signed(Mean.over(before(key))) for key in ("runaway, B 16", "runaway, control"))
    return text("10.mine.recorded", noisy=noisy, still=still, seed=state.draws)


CODE = """
from entropic_edu.recorded import roads
draws = [torch.Generator().manual_seed(1000 * {state.draws} + pair) for pair in range(5)]
land = roads.landscape()
moved = [investigate(land, roads.road(pair), draws[pair]) for pair in range(5)]
"""


def mine(seed: int, yours: Callable[..., Any] | None = None) -> Explorer:
    """Return the explorer whose button runs the learner's investigation on five roads."""
    rule = Yours(yours, investigate, seconds=300)

    def show(sheet: Sheet, found: Found, state: SimpleNamespace) -> str:
        each = torch.stack(found.each) if found.each else torch.empty(0)
        draw(sheet, state, each)
        if not found.complete:
            return text("10.mine.under_way", count=len(each))
        mean = Mean.over(each)
        ratio = abs(float(mean.value)) / max(float(mean.error), 1e-12)
        return f"{text('10.mine.found', seed=state.draws, mean=signed(mean), ratio=ratio)} {rule.note}".strip()

    work = Work(lambda state: asked(rule, state.draws), show, lambda state: len(PAIRS), show)
    controls = [slider("draws", SEEDS, 0)]
    return Explorer(draw, controls, PANELS, words, title="10.mine.title", code=CODE, work=work)

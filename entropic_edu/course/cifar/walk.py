"""Round 2: walkers on the recorded roads with noise and without, and what theory says; the button lets some go now."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from entropic_edu.figures.plots import PURPLE
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.physics.release import Release
from entropic_edu.recorded import cifar10
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import CONTROL, FAINT, GHOST, GREY, RUN, THEORY, Panel, Role, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Yours

from . import common as C
from . import live
from .common import NOISE, NOISY, NOW, RUNS, STARTS, Walk, of_start, times
from .exercises import by_noise

SMALL = tuple(f"eta {rate}, B {size}" for rate in (0.02, 0.04) for size in (16, 32, 64, 128))  # runs of lesson 06
LAST = float(times("hot")[-1])
LAW, MARK = Role(PURPLE, "-", 1.8, "say.theory"), Role(GREY, ":", 1.2)
NAMED = {94: Role(RUN.colour, label="09.label.photographs"), 88: LAW, 82: C.DIGITS}  # heights of the right panel's key
PANELS = {
    "where": Panel((0.07, 0.125, 0.4, 0.79), "09.panel.position", "09.axis.time", xlim=(0, LAST)),
    "home": Panel((0.69, 0.125, 0.29, 0.79), "09.panel.home", "09.axis.temperature", (0.0013, 0.04), (-3, 100),
                  (0.002, 0.005, 0.01, 0.02), xscale="log", zero=True),
}  # fmt: skip


def draw(sheet: Sheet, state: Walk, ghost: float | None) -> None:
    """Draw a setting from a start beside control and theory, the others in grey, a bet; and what noise adds to all."""
    where = sheet["where"]
    for name in RUNS:
        for start in STARTS:
            where.line(times(name), state.mean(of_start(name, start)).value, FAINT)
    where.line(times("no noise"), state.control, CONTROL)
    where.line(times(state.cifar_run), state.law, THEORY)
    where.line(times(state.cifar_run), state.position, RUN, None if state.cifar_run in NOISY else "")
    if ghost is not None:
        where.line([0.6 * LAST, LAST], [ghost, ghost], GHOST)
    home, stay = sheet["home"], C.by_theory("no noise")
    for names, found, role, style in (
        (SMALL, lambda name: Mean.over(C.digits_home(name) - C.digits_home("control")), C.DIGITS, {"mfc": "white"}),
        (NOISY, lambda name: exact(state.mean(C.by_theory(name) - stay).value), LAW, {"ms": 13, "mfc": "none"}),
        (NOISY, lambda name: state.share(cifar10.stacked(name), cifar10.stacked("no noise"), STARTS[0]), RUN, {}),
    ):
        value, error = (100 * torch.stack(part) for part in zip(*map(found, names), strict=True))
        home.points([C.temperature(name) for name in names], Mean(value, error), role, **style)
    for height, role in NAMED.items():
        home.note(0.0014, height, role.label, role)
    if state.cifar_run in NOISY:
        home.line([C.temperature(state.cifar_run)] * 2, [0, 100], MARK, "")


def show(sheet: Sheet, release: Release, state: Walk) -> str:
    """Draw walkers that go now over the recorded ones, and say where both stand."""
    state = state.alone
    draw(sheet, state, None)
    for each in release.position.T:
        sheet["where"].line(release.time, each, NOW)
    mean, now = float(release.position[-1, release.start == state.released_at].mean()), float(release.time[-1])
    row = int(torch.searchsorted(times(state.cifar_run), now).clamp(max=len(state.position.value) - 1))
    return text("09.walk.live", state=state, time=now, mean=mean, kept=float(state.position.value[row]))


def words(state: Walk) -> str:
    """Say where the walkers of a setting end, beside control and theory, and how often they were outside."""
    key = "09.walk.sentence" if state.cifar_run in NOISY else "09.walk.still"
    ends = {"end": state.position.at(-1), "still": state.control.at(-1), "law": float(state.law.value[-1])}
    return f"{state.share.note} {text(key, state=state, time=LAST, **ends)}".strip()


def lines(state: Walk) -> str:
    """Return code that reads where walkers end, and what theory says."""
    return f"""{C.FROM}
position = cifar10.stacked("{state.cifar_run}")  # pair, record, start, walker
print(position[{state.first}, -1, {STARTS.index(state.released_at)}].mean())
steps = torch.tensor([0, {state.setting.steps}])
print(cifar10.theory({state.first}, "{state.cifar_run}").track({state.released_at}, steps)[-1])
"""


def walk(seed: int, yours: Callable[..., Any] | None = None) -> Explorer:
    """Let walkers go on photographs' roads; ``yours`` is the learner's answer to 9.2, which draws the right panel."""
    work = live.work("09.walk.what", live.released, seed, show, lambda state: state.setting.steps)
    controls = [NOISE, slider("released_at", STARTS, STARTS[0]), C.PAIR]
    state = partial(Walk, share=Yours(yours, by_noise))
    return Explorer(draw, controls, PANELS, words, state=state, title="09.walk.title", code=lines, work=work)

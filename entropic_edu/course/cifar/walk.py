"""Round 2: walkers on the recorded roads with noise and without, and what theory says; the button lets some go now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from entropic_edu import recorded
from entropic_edu.figures.plots import PURPLE
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.recorded import cifar10
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import CONTROL, FAINT, GHOST, GREY, LIMIT, RUN, THEORY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Yours

from . import live
from .common import ALL, DIGITS, NOW, RUNS, STARTS, Road, by_theory, code, digits_home, of_start, temperature
from .common import times as flow_times
from .common import track
from .exercises import by_noise

NOISY, KEYS = RUNS[1:], ("09.run.no noise", "09.run.cold", "09.run.warm", "09.run.hot")
SIZES = (16, 32, 64, 128)  # of the runs of lesson 06
LAST = float(flow_times("hot")[-1])
RADIUS = 0.1 * sum(cifar10.road(pair).length for pair in cifar10.PAIRS) / len(cifar10.PAIRS)
LAW, MARK = Role(PURPLE, "-", 1.8, "say.theory"), Role(GREY, ":", 1.2)
PANELS = {
    "where": Panel((0.07, 0.44, 0.4, 0.475), "09.panel.position", xlim=(0, LAST)),
    "away": Panel((0.07, 0.125, 0.4, 0.2), "09.panel.distance", "09.axis.time", xlim=(0, LAST), ylim=(0, 1.2 * RADIUS)),
    "home": Panel(
        (0.69, 0.125, 0.29, 0.79), "09.panel.home", "09.axis.temperature", xlim=(0.0013, 0.04), ylim=(-3, 100),
        xscale="log", xticks=(0.002, 0.005, 0.01, 0.02), zero=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Walk(Road):
    """Walkers of a setting from one start."""

    cifar_run: str
    released_at: float

    @property
    def position(self) -> Mean:
        return self.mean(of_start(self.cifar_run, self.released_at))

    @property
    def control(self) -> Mean:
        return self.mean(of_start("no noise", self.released_at))

    @property
    def law(self) -> Mean:
        return self.mean(track(self.cifar_run, self.released_at))

    @property
    def outside(self) -> float:
        """Share of the projections from outside the valley, in per cent."""
        kept = recorded.load("cifar10")
        pairs = cifar10.PAIRS if self.cifar_pair is None else [self.first]
        return 100 * float(torch.stack([kept[f"pair{pair}/{self.cifar_run}"].outside.mean() for pair in pairs]).mean())


def draw(sheet: Sheet, state: Walk, ghost: float | None, *, share: Yours) -> None:
    """Draw a setting from a start beside control and theory, the others in grey, a bet; and what noise adds to all."""
    where, away = sheet["where"], sheet["away"]
    for name in RUNS:
        for start in STARTS:
            where.line(flow_times(name), state.mean(of_start(name, start)).value, FAINT)
    where.line(flow_times("no noise"), state.control, CONTROL)
    where.line(flow_times(state.cifar_run), state.law, THEORY)
    where.line(flow_times(state.cifar_run), state.position, RUN, "" if state.cifar_run == "no noise" else None)
    if ghost is not None:
        where.line([0.6 * LAST, LAST], [ghost, ghost], GHOST)
    distance = state.mean(of_start(state.cifar_run, state.released_at, "distance")).value
    away.line(flow_times(state.cifar_run)[1:-1], distance[1:-1], RUN, "")  # the last record is between projections
    away.level(RADIUS, LIMIT, "09.label.edge")
    home(sheet, state, share)


def home(sheet: Sheet, state: Walk, share: Yours) -> None:
    """Draw against the temperature what share of the way home noise adds: measured, by theory, and on digits."""
    pen = sheet["home"]
    for rate in (0.02, 0.04):
        for name in (f"eta {rate}, B {size}" for size in SIZES):
            added = Mean.over(digits_home(name) - digits_home("control"))
            pen.points([temperature(name)], Mean(100 * added.value[None], 100 * added.error[None]), DIGITS, mfc="white")
    for name in NOISY:
        law = 100 * state.mean(by_theory(name) - by_theory("no noise")).value
        pen.points([temperature(name)], law[None], LAW, ms=13, mfc="none")
        value, error = 100 * share(cifar10.stacked(name), cifar10.stacked("no noise"), STARTS[0])
        pen.points([temperature(name)], Mean(value[None], error[None]), RUN)
    for row, (words, role) in enumerate((("09.label.photographs", RUN), ("say.theory", LAW), ("09.label.digits", DIGITS))):
        pen.note(0.0014, 94 - 6 * row, words, role)
    if state.cifar_run in NOISY:
        pen.line([temperature(state.cifar_run)] * 2, [0, 100], MARK, "")


def show(sheet: Sheet, release: Release, state: Walk, *, share: Yours) -> str:
    """Draw walkers that go now over the recorded ones, and say where both stand."""
    state = Walk(state.first + 1, state.cifar_run, state.released_at)
    draw(sheet, state, None, share=share)
    for each in release.position.T:
        sheet["where"].line(release.time, each, NOW)
    sheet["away"].line(release.time[1:], release.distance[1:].mean(1), NOW, "")
    mean = float(release.position[-1, release.start == state.released_at].mean())
    then = flow_times(state.cifar_run)
    row = int(torch.searchsorted(then, float(release.time[-1])).clamp(max=len(then) - 1))
    known = {"state": state, "time": float(release.time[-1]), "pair": state.first + 1, "mean": mean}
    return text("09.walk.live", run=run_of(state), kept=float(state.position.value[row]), **known)


def run_of(state: Walk) -> str:
    """Name a setting in a sentence."""
    return option_text(state.cifar_run, *KEYS)


def words(state: Walk, *, share: Yours) -> str:
    """Say where the walkers of a setting end, beside control and theory, and how often they were outside."""
    known: dict[str, Any] = {"state": state, "run": run_of(state), "k": cifar10.setting(state.cifar_run).project_every}
    known |= {"end": state.position.at(-1), "still": state.control.at(-1), "law": float(state.law.value[-1])}
    said = text("09.walk.still" if state.cifar_run == "no noise" else "09.walk.sentence", time=LAST, **known)
    return f"{share.note} {said}".strip()


def lines(state: Walk) -> str:
    """Return code that reads where walkers end, and what theory says."""
    return code(
        f'position = cifar10.stacked("{state.cifar_run}")  # pair, record, start, walker',
        f"print(position[{state.first}, -1, {STARTS.index(state.released_at)}].mean())",
        f"steps = torch.tensor([0, {cifar10.setting(state.cifar_run).steps}])",
        f'print(cifar10.theory({state.first}, "{state.cifar_run}").track({state.released_at}, steps)[-1])',
    )


def walk(seed: int, yours: Callable[..., Any] | None = None) -> Explorer:
    """Let walkers go on photographs' roads: recorded for each setting, a few now behind the button.

    Args:
        seed: Of the walkers that go now.
        yours: The learner's function of exercise 9.2.
    """
    share = Yours(yours, by_noise)
    work = live.work(
        "09.walk.what",
        lambda land, state: live.released(land, state.first, seed, state.cifar_run),
        partial(show, share=share),
        lambda state: cifar10.setting(state.cifar_run).steps,
    )
    return Explorer(
        partial(draw, share=share),
        [switch("cifar_run", RUNS, "hot"), slider("released_at", STARTS, STARTS[0]), slider("cifar_pair", ALL, None)],
        PANELS,
        partial(words, share=share),
        state=Walk,
        title="09.walk.title",
        code=lines,
        work=work,
    )

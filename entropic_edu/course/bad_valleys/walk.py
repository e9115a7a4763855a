"""Round 3: which way does noise go? Recorded walkers beside the control and theory, and live ones on one road."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, GREEN, RED
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import bad_minima
from entropic_edu.stream import drift
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import CONTROL, FAINT, GHOST, GREY, RUN, THEORY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Yours

from .common import SHOWN, STARTS, WHERE, accuracy_at, along, land, law, records, shown_as, track, tracked, velocity

CASES = {"noisy": ("matched", "label"), "batch": ("matched", "batch"), "trained": ("trained", "label")}  # road, noise
CASE_KEYS = ("08.case.noisy", "08.case.batch", "08.case.trained")
STEPS: int = recorded.load("bad_minima").recipe["drift"]["steps"]
LIVE_WALKERS, LIVE_STEPS = 16, 1050
ROADS = {"matched": Role(RED, label="08.label.matched"), "trained": Role(GREY, label="08.label.trained")}
SIDE: dict[str, Any] = {"xlim": (-0.02, 1.02)}
PANELS = {
    "trace": Panel((0.065, 0.6, 0.28, 0.33), "08.walk.trace", ylim=(5, 200), yticks=(5, 10, 20, 50, 100, 200),
                   xticks=dict.fromkeys((0, 0.5, 1), ""), yscale="log", **SIDE),
    "test": Panel((0.065, 0.12, 0.28, 0.33), "08.walk.along", "08.axis.position", ylim=(0.65, 1.0), **SIDE),
    "where": Panel((0.49, 0.12, 0.385, 0.81), "08.walk.position", "08.axis.step", (0, STEPS), (-0.02, 1.02),
                   (0, 700, 1400, 2100)),
}  # fmt: skip


def draw_road(sheet: Sheet, which: str, shown: str, start: float, end: float) -> None:
    """Draw width and accuracy along the road; open circle: release, full circle: the end."""
    for (name, role), (x, y) in zip(ROADS.items(), ((0.04, 70), (0.42, 5.7)), strict=True):
        sheet["trace"].line(WHERE, along(name, shown, "trace"), role, "", lw=2.4 if name == which else 1.0)
        sheet["trace"].note(x, y, role.label, role)
    sheet["test"].line(WHERE, along(which, shown, "test"), Role(GREEN))
    way = np.linspace(start, end, 30)
    for name in ("trace", "test"):
        height = np.interp(way, WHERE, along(which, shown, name).value)
        sheet[name].line(way, height, Role(BLACK, width=1.5), "")
        sheet[name].points(way[:1], height[:1], Role(BLACK), ms=8, mew=1.8, mfc="white")
        sheet[name].points(way[-1:], height[-1:], Role(BLACK), ms=8, mew=1.8)


def draw(sheet: Sheet, state: SimpleNamespace, ghost: float | None = None) -> None:
    """Draw recorded walkers of all starts, one of them with control and theory or the learner's track, and the bet."""
    pen, which = sheet["where"], state.which
    for start in STARTS:
        pen.line(records(), track(which, state.noise, start, state.shown).value, FAINT)
        pen.line(records(), track(which, "none", start, state.shown).value, FAINT, ls=":")
    pen.line(records(), state.still, CONTROL, "08.label.control", lw=2.2)
    if state.track is not None:
        pen.line(torch.arange(STEPS + 1), state.track, THEORY, "08.label.track")
    elif state.theory is not None:
        pen.line(records(), state.theory, THEORY)
    pen.line(records(), state.noisy, RUN, "08.label.walkers", lw=3)
    if ghost is not None:
        pen.line([0.5 * STEPS, STEPS], [ghost, ghost], GHOST)
    draw_road(sheet, which, state.shown, state.start, state.end)


def words(state: SimpleNamespace) -> str:
    """Say where walkers come to with noise, without, and by theory."""
    known = {"case": state.case, "shown": shown_as(state.shown), "start": state.start, "end": state.noisy.at(-1)}
    before, after = (accuracy_at(state.which, state.shown, place) for place in (state.start, state.end))
    said = text("08.walk.sentence", still=float(state.still.value[-1]), before=before, after=after, **known)
    if state.track is not None:
        return f"{said} {text('08.walk.track', end=float(state.track[-1]))} {state.note}"
    return said if state.theory is None else f"{said} {text('08.walk.law', law=float(state.theory[-1]))}"


def live(which: str, noise: str, start: float) -> Iterator[Snapshot[Release]]:
    """Yield a release of 16 walkers on the road of pair 1 as it goes on."""
    field = land() if noise == "label" else land().without_label_noise()
    chosen = {"start": start, "walkers": LIVE_WALKERS, "steps": LIVE_STEPS, "record_every": 45}
    yield from drift(field, bad_minima.road(which), **bad_minima.settings(noise, 0) | chosen)


def show(sheet: Sheet, release: Release, state: SimpleNamespace) -> str:
    """Draw walkers that go now, one thin line each, and say where they stand."""
    pen, which = sheet["where"], state.which
    pen.line(records(), track(which, "none", state.start, "one"), CONTROL, "08.label.control")
    end = pen.walkers(release.step, release.position, "08.label.walkers")
    draw_road(sheet, which, "one", state.start, float(end.value))
    known = {"case": state.case, "start": state.start, "steps": int(release.step[-1]), "end": end}
    after = accuracy_at(which, "one", float(end.value))
    return text("08.walk.live", count=release.position.shape[1], after=after, **known)


CODE = """
from entropic_edu import recorded
from entropic_edu.recorded import bad_minima
position = recorded.load("bad_minima")["{state.which}/{state.noise}/position"]
position = position[{state.rows.start}:{state.rows.stop}, :, {state.column}]  # pair, record, walker
# pair 1 anew:
land, road = bad_minima.landscape(), bad_minima.road("{state.which}")
release = bad_minima.released(land, road, "{state.noise}", 0)
"""


def state_of(rule: Yours, bad_start: float, bad_case: str, bad_shown: str) -> SimpleNamespace:
    """Return the state of the controls, with the learner's track where there is one and theory knows the noise."""
    (which, noise), start, shown = CASES[bad_case], bad_start, bad_shown
    theory = law(which, noise, start, shown)
    own = rule(start, *velocity(which, noise, shown), STEPS) if rule.note and theory is not None else None
    noisy, still = (track(which, each, start, shown) for each in (noise, "none"))
    known = {"which": which, "noise": noise, "shown": shown, "start": start, "end": float(noisy.value[-1])}
    known |= {"case": option_text(bad_case, *CASE_KEYS), "rows": SHOWN[shown], "column": STARTS.index(start)}
    return SimpleNamespace(noisy=noisy, still=still, theory=theory, track=own, note=rule.note, **known)


def walk(seed: int, yours: Callable[..., Any] | None = None) -> Explorer:
    """Show which way walkers go between a good minimum and a bad one, beside those without noise."""
    controls = [slider("bad_start", STARTS, STARTS[-1]), switch("bad_case", tuple(CASES))]
    controls.append(switch("bad_shown", tuple(SHOWN)))
    work = Work(lambda state: live(state.which, state.noise, state.start), show, lambda state: LIVE_STEPS, show)
    state = partial(state_of, Yours(yours, tracked))
    return Explorer(draw, controls, PANELS, words, state=state, title="08.walk.title", code=CODE, work=work)

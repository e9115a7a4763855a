"""Round 3: which way does noise go? Recorded walkers beside the control and theory, and live ones on one road."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from entropic_edu.figures.plots import BLACK, GREEN, RED
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Stream
from entropic_edu.recorded import bad_minima
from entropic_edu.stream import drift
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import CONTROL, FAINT, GHOST, GREY, RUN, THEORY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Written, Yours

from . import common as C

CASES = {"noisy": ("matched", "label"), "batch": ("matched", "batch"), "trained": ("trained", "label")}  # road, noise
CASE_KEYS = ("08.case.noisy", "08.case.batch", "08.case.trained")
STEPS = int(C.records()[-1])
LIVE = {"walkers": 16, "steps": 1050, "record_every": 45}
ROADS = {"matched": Role(RED, label="08.label.matched"), "trained": Role(GREY, label="08.label.trained")}
PANELS = {
    "trace": Panel((0.065, 0.6, 0.28, 0.33), "08.walk.trace", ylim=(5, 200), yticks=(5, 10, 20, 50, 100, 200),
                   xticks=dict.fromkeys((0, 0.5, 1), ""), yscale="log", **C.WIDE),
    "test": Panel((0.065, 0.12, 0.28, 0.33), "08.walk.along", "08.axis.position", ylim=(0.65, 1.0), **C.WIDE),
    "where": Panel((0.49, 0.12, 0.385, 0.81), "08.walk.position", "08.axis.step", (0, STEPS), (-0.02, 1.02),
                   (0, 700, 1400, 2100)),
}  # fmt: skip


def draw_road(sheet: Sheet, which: str, shown: str, start: float, end: float) -> None:
    """Draw width and accuracy along the road; open circle: release, full circle: the end."""
    for (name, role), (x, y) in zip(ROADS.items(), ((0.04, 70), (0.42, 5.7)), strict=True):
        sheet["trace"].line(C.WHERE, C.along(name, shown, "trace"), role, "", lw=2.4 if name == which else 1.0)
        sheet["trace"].note(x, y, role.label, role)
    sheet["test"].line(C.WHERE, C.along(which, shown, "test"), Role(GREEN))
    way = np.linspace(start, end, 30)
    for name in ("trace", "test"):
        height = np.interp(way, C.WHERE, C.along(which, shown, name).value)
        sheet[name].line(way, height, Role(BLACK, width=1.5), "")
        sheet[name].points(way[:1], height[:1], Role(BLACK), ms=8, mew=1.8, mfc="white")
        sheet[name].points(way[-1:], height[-1:], Role(BLACK), ms=8, mew=1.8)


def draw(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw recorded walkers of all starts, one of them with control and theory or the learner's track, and the bet."""
    pen, which = sheet["where"], state.which
    for start in C.STARTS:
        pen.line(C.records(), C.track(which, state.noise, start, state.bad_shown).value, FAINT)
        pen.line(C.records(), C.track(which, "none", start, state.bad_shown).value, FAINT, ls=":")
    pen.line(C.records(), state.still, CONTROL, "08.label.control", lw=2.2)
    if state.track is not None:
        pen.line(range(STEPS + 1), state.track, THEORY, "08.label.track")
    elif state.theory is not None:
        pen.line(C.records(), state.theory, THEORY)
    pen.line(C.records(), state.noisy, RUN, "08.label.walkers", lw=3)
    if ghost is not None:
        pen.line([0.5 * STEPS, STEPS], [ghost, ghost], GHOST)
    draw_road(sheet, which, state.bad_shown, state.start, float(state.noisy.value[-1]))


def words(state: Any) -> str:
    """Say where walkers come to with noise, without, and by theory."""
    said = text("08.walk.sentence", **vars(state) | {"end": state.noisy.at(-1), "still": float(state.still.value[-1])})
    if state.track is not None:
        return f"{said} {text('08.walk.track', end=float(state.track[-1]))} {state.note}"
    return said if state.theory is None else f"{said} {text('08.walk.law', law=float(state.theory[-1]))}"


def live(which: str, noise: str, start: float) -> Stream[Release]:
    """Yield a release of 16 walkers on the road of pair 1 as it goes on."""
    field = C.land() if noise == "label" else C.land().without_label_noise()
    return drift(field, bad_minima.road(which), **bad_minima.settings(noise, 0) | LIVE | {"start": start})


def show(sheet: Sheet, release: Release, state: Any) -> str:
    """Draw walkers that go now, one thin line each, and say where they stand."""
    pen, which = sheet["where"], state.which
    pen.line(C.records(), C.track(which, "none", state.start, "one"), CONTROL, "08.label.control")
    end = pen.walkers(release.step, release.position, "08.label.walkers")
    draw_road(sheet, which, "one", state.start, float(end.value))
    known = {"count": release.position.shape[1], "steps": int(release.step[-1]), "end": end}
    return text("08.walk.live", **vars(state) | known | {"after": C.accuracy_at(which, "one", float(end.value))})


CODE = """
from entropic_edu import recorded
from entropic_edu.recorded import bad_minima
position = recorded.load("bad_minima")["{state.which}/{state.noise}/position"]
position = position[{state.rows.start}:{state.rows.stop}, :, {state.column}]  # pair, record, walker
# pair 1 anew:
land, road = bad_minima.landscape(), bad_minima.road("{state.which}")
release = bad_minima.released(land, road, "{state.noise}", 0)
"""


def state_of(rule: Yours, bad_start: float, bad_case: str, bad_shown: str) -> dict[str, Any]:
    """Return walkers of a case and a start, and the learner's track where there is one and theory knows the noise."""
    which, noise = CASES[bad_case]
    noisy, theory = C.track(which, noise, bad_start, bad_shown), C.law(which, noise, bad_start, bad_shown)
    own = rule(bad_start, *C.velocity(which, noise, bad_shown), STEPS) if rule.note and theory is not None else None
    known: dict[str, Any] = {"which": which, "noise": noise, "case": option_text(bad_case, *CASE_KEYS)}
    known |= {"noisy": noisy, "still": C.track(which, "none", bad_start, bad_shown), "theory": theory, "track": own}
    known |= {"column": C.STARTS.index(bad_start), "rows": C.SHOWN[bad_shown], "shown": C.shown_as(bad_shown)}
    before, after = (C.accuracy_at(which, bad_shown, place) for place in (bad_start, float(noisy.value[-1])))
    return known | {"before": before, "after": after, "start": bad_start, "note": rule.note}


def walk(seed: int, yours: Written = None) -> Explorer:
    """Show which way walkers go between a good minimum and a bad one, beside those without noise."""
    controls = [slider("bad_start", C.STARTS, C.STARTS[-1]), switch("bad_case", tuple(CASES))]
    controls.append(switch("bad_shown", tuple(C.SHOWN)))
    work = Work(lambda state: live(state.which, state.noise, state.start), show, lambda state: LIVE["steps"], show)
    state = partial(state_of, Yours(yours, C.tracked))
    return Explorer(draw, controls, PANELS, words, state=state, title="08.walk.title", code=CODE, work=work)

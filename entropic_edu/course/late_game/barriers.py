"""Round 1: loss and curvature between two siblings, and how high both barriers are against the step of parting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, LIMIT, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Yours

from . import measures as M
from .axes import AGAINST_K, POSITION, decades, logarithmic
from .live import Live, live

LOOKS = {"loss": Role(BLUE, label="07.label.loss"), "trace": Role(RED, "--", label="07.label.trace")}
NOW, RING = Role(RED, ""), {"marker": "o", "ms": 5, "mfc": "white", "mew": 1.3}  # points of this k
SCALES = {  # title of the panel and sentence, by their keys, and what the printed code calls
    "share": ("07.panel.share", "07.barriers.share", "family.relative_to_first(family.{name}_barrier){rows}"),
    "ends": ("07.panel.ends", "07.barriers.ends", "family.relative_to_end(family.{curve}){rows}"),
    "raw": ("07.panel.raw", "07.barriers.raw", "family.{name}_barrier{rows}"),
    "yours": ("07.panel.yours", "07.barriers.yours", "share(family.{curve}[:, :, 0])"),
}
PANELS = {
    "loss": Panel((0.085, 0.61, 0.30, 0.325), "07.panel.loss", xticks=(0, 0.5, 1)),
    "trace": Panel((0.085, 0.125, 0.30, 0.325), "07.panel.trace", **POSITION),
    "heights": Panel((0.485, 0.56, 0.375, 0.375), " ", **AGAINST_K, **logarithmic(1e-4, 200, (1e-4, 1e-2, 1, 100))),
    "against": Panel((0.485, 0.125, 0.375, 0.215), "07.panel.against", "07.axis.loss"),
}


def state_of(rule: Yours, parted: int, task: str, divided: str, trunks: str) -> SimpleNamespace:
    """Return loss and tr H along all lines of a task, (T, K, P) each, and both barriers at each k, (K,) each.

    ``rows`` are the trunks that are looked at; a barrier is None where the scale has none.
    """
    family, rows = M.family(task), slice(None) if trunks == "all" else slice(0, 1)
    curves = {"loss": family.data_loss[:, :, 0].double(), "trace": family.trace[:, :, 0].double()}
    means: dict[str, Mean | None] = dict.fromkeys(curves)
    for name, curve in curves.items():
        values = M.barrier(task, name, "share" if divided == "yours" else divided)
        if values is not None:
            means[name] = exact(rule(curve[rows])) if divided == "yours" else M.chosen(values, trunks)
    known: dict[str, Any] = dict(zip(("title", "sentence", "call"), SCALES[divided], strict=True))
    known |= {"parted": parted, "place": M.STEPS.index(parted), "task": task, "divided": divided, "trunks": trunks}
    return SimpleNamespace(family=family, rows=rows, curves=curves, means=means, rule=rule, **known)


def frame(sheet: Sheet, state: SimpleNamespace) -> None:
    """Fit the axes to the task; draw tr H against the loss at all points of all lines, and both barriers against k."""
    for name, curve in state.curves.items():
        sheet[name].reframe(**decades(curve))
    pen = sheet["against"]
    pen.reframe(**decades(state.curves["loss"], "x"), **decades(state.curves["trace"]))
    x, y = (curve[state.rows].flatten() for curve in state.curves.values())
    pen.line(x, y, Role(GREY, ""), "", marker="o", ms=2.5, alpha=0.5)
    for height, key, role in ((0.72, "07.label.all", Role(GREY)), (0.24, "07.label.some", Role(RED))):
        pen.note(1.03, height, key, role, va="center", clip_on=False, transform=pen.ax.transAxes)
    pen = sheet["heights"]
    pen.reframe(title=state.title)
    if state.divided in M.LEVELS:
        pen.level(M.LEVELS[state.divided], LIMIT)
    pen.line([state.parted] * 2, pen.panel.ylim, Role(GREY, ":", 1.2), "")
    for name, mean in state.means.items():
        if mean is not None:  # a barrier of 0 has no place on this axis
            pen.line(M.STEPS, Mean(mean.value.clamp(min=1e-6), mean.error), LOOKS[name])


def draw(sheet: Sheet, state: SimpleNamespace, ghost: float | None = None) -> None:
    """Draw the lines of this k and both barriers, and the bet: the curvature's share as a power of the loss's."""
    frame(sheet, state)
    for name, curve in state.curves.items():
        sheet[name].line(state.family.positions, M.chosen(curve[:, state.place], state.trunks), LOOKS[name], "")
    x, y = (curve[state.rows, state.place].flatten() for curve in state.curves.values())
    sheet["against"].line(x, y, NOW, "", **RING)
    loss, trace = state.means.values()
    if ghost is not None and loss is not None and trace is not None:
        bet = trace.value[0] * (loss.value / loss.value[0]).clamp(min=0) ** ghost
        sheet["heights"].line(M.STEPS, bet.clamp(min=1e-6), GHOST, lw=4)


def words(state: SimpleNamespace) -> str:
    """Say how high both barriers are at this k, and from where on each stays low."""
    unit = 100.0 if state.divided == "share" else 1.0
    known = {"task": M.task_named(state.task), "parted": state.parted, "steps": state.family.steps}
    said, both = text("07.barriers.begin", **known), state.means.items()
    means = {name: None if mean is None else M.with_error(mean * unit, state.place) for name, mean in both}
    if None in means.values():
        return f"{said} {text('07.barriers.none', loss=means['loss'])}"
    said += " " + text(state.sentence, **means)
    if state.divided == "yours":
        return f"{said} {state.rule.note}"
    if state.trunks == "one":
        return f"{said} {text('07.barriers.one')}"
    if state.divided == "raw":
        return said
    loss, trace = (M.fallen(state.task, name, state.divided) for name in LOOKS)
    if loss is None or trace is None or not bool((loss.value + trace.value).isfinite()):
        return f"{said} {text('07.verdict.open')}"
    fallen = {"loss": M.with_error(loss), "trace": M.with_error(trace)}
    return f"{said} {option_text(state.divided, '07.verdict.share', '07.verdict.ends', **fallen)}"


def show(sheet: Sheet, result: Live, state: SimpleNamespace, seed: int) -> str:
    """Draw one family that is trained now, and say how high its barriers are."""
    frame(sheet, state)
    known = {"parted": state.parted, "step": result.step, "steps": state.family.steps, "seed": seed}
    if len(result.trace) == 0:
        return text("07.live.early", **known)
    sheet["against"].line(result.data_loss, result.trace, NOW, "", **RING)
    high = {}
    for name, curve in (("loss", result.data_loss.double()), ("trace", result.trace.double())):
        sheet[name].line(state.family.positions, curve, LOOKS[name], "")
        end, first = float(curve[[0, -1]].max()), float(getattr(state.family, f"{name}_barrier")[:, 0].mean())
        high[name] = float(curve.max()) - end
        over = {"share": first, "ends": end}.get(state.divided, 1.0)
        if over > 0:
            height, role = max(high[name] / over, 1.1e-4), Role(LOOKS[name].colour, "")
            sheet["heights"].line([state.parted], [height], role, "", marker="D", ms=9, mfc="none", mew=1.8)
    return text("07.live.sentence", loss=M.number(high["loss"]), trace=M.number(high["trace"]), **known)


def code(state: SimpleNamespace) -> str:
    """Return lines that read the recorded barriers, mean over trunks, with the call that makes them anew."""
    rows = {"all": ".mean(0)", "one": "[0]"}[state.trunks]
    lines = [M.opening(state.task), f"place = family.at.tolist().index({state.parted})"]
    for name, curve in {"loss": "data_loss", "trace": "trace"}.items():
        if state.means[name] is not None:
            call = state.call.format(name=name, curve=curve, rows=rows)
            lines.append(f"{name} = {call}[place]")
    return "\n".join(lines)


def barriers(seed: int, yours: Callable[..., Any] | None = None) -> Explorer:
    """Tell which barrier goes first, and on which scale; the learner's own is one of the scales."""
    scales = (() if yours is None else ("yours",)) + M.SCALES
    controls = [slider("parted", M.STEPS, 480), switch("task", M.TASKS)]
    controls += [switch("divided", scales), switch("trunks", ("all", "one"))]
    now = partial(show, seed=seed)
    work = Work(lambda state: live(seed, state.task, state.parted), now, lambda state: state.family.steps, now)
    state = partial(state_of, Yours(yours, M.share))
    return Explorer(draw, controls, PANELS, words, state=state, title="07.barriers.title", code=code, work=work)

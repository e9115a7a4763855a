"""Round 1: loss and curvature between two siblings, and how high both barriers are against the step of parting."""

from __future__ import annotations

from functools import partial
from typing import Any

from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Written, Yours

from . import measures as M
from .axes import AGAINST_K, POSITION, decades, logarithmic
from .live import Live, live

LOOKS = {"loss": Role(BLUE, label="07.label.loss"), "trace": Role(RED, "--", label="07.label.trace")}
ALL, NOW = Role(GREY, "", label="07.label.all"), Role(RED, "", label="07.label.some")  # points
DOT, RING = {"ms": 2.5, "alpha": 0.5}, {"ms": 5, "mfc": "white", "mew": 1.3}
SCALES = {  # title of the panel and sentence, by their keys, and what the printed code calls
    "yours": ("07.panel.yours", "07.barriers.yours", "share(family.{curve}[:, :, 0])"),
    "share": ("07.panel.share", "07.barriers.share", "family.relative_to_first(family.{name}_barrier){rows}"),
    "ends": ("07.panel.ends", "07.barriers.ends", "family.relative_to_end(family.{curve}){rows}"),
    "raw": ("07.panel.raw", "07.barriers.raw", "family.{name}_barrier{rows}"),
}
PANELS = {
    "loss": Panel((0.085, 0.61, 0.30, 0.325), "07.panel.loss", xticks=(0, 0.5, 1)),
    "trace": Panel((0.085, 0.125, 0.30, 0.325), "07.panel.trace", **POSITION),
    "heights": Panel((0.485, 0.56, 0.375, 0.375), " ", **AGAINST_K, **logarithmic(1e-4, 200, (1e-4, 1e-2, 1, 100))),
    "against": Panel((0.485, 0.125, 0.375, 0.215), "07.panel.against", "07.axis.loss"),
}


def state_of(seed: int, rule: Yours, parted: int, task: str, divided: str, trunks: str) -> dict[str, Any]:
    """Return loss and tr H along the lines that are looked at, (T, K, P), and what barriers there are, (K,) each."""
    curves = {name: curve if trunks == "all" else curve[:1] for name, curve in M.curves(task).items()}
    means = dict[str, Mean]()
    for name, curve in curves.items():
        values = M.barrier(task, name, "share" if divided == "yours" else divided)
        if values is not None:
            means[name] = exact(rule(curve)) if divided == "yours" else M.chosen(values, trunks)
    now = {name: curve[:, M.STEPS.index(parted)] for name, curve in curves.items()}
    return {"seed": seed, "rule": rule, "steps": M.family(task).steps, "curves": curves, "means": means, "now": now}


def draw(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw the lines of this k among all, and both barriers against k; the bet has one as a power of the other."""
    pen, against, whole = sheet["heights"], sheet["against"], M.curves(state.task)
    against.reframe(**decades(whole["loss"], "x"), **decades(whole["trace"]))
    for curves, role, style, height in ((state.curves, ALL, DOT, 0.72), (state.now, NOW, RING, 0.24)):
        against.line(curves["loss"].flatten(), curves["trace"].flatten(), role, "", marker="o", **style)
        against.note(1.03, height, role.label, role, va="center", clip_on=False, transform=against.ax.transAxes)
    pen.reframe(title=SCALES[state.divided][0])
    if state.divided in M.LEVELS:
        pen.level(M.LEVELS[state.divided])
    pen.line([state.parted] * 2, pen.panel.ylim, Role(GREY, ":", 1.2), "")
    for name, role in LOOKS.items():
        sheet[name].reframe(**decades(whole[name]))
        if state.now[name].numel():
            sheet[name].line(M.family(state.task).positions, M.chosen(state.now[name], state.trunks), role, "")
    for name, mean in state.means.items():
        pen.line(M.STEPS, Mean(mean.value.clamp(min=1e-6), mean.error), LOOKS[name])  # 0 has no place on this axis
    if ghost is not None and len(state.means) == 2:
        loss, trace = (mean.value for mean in state.means.values())
        pen.line(M.STEPS, (trace[0] * (loss / loss[0]).clamp(min=0) ** ghost).clamp(min=1e-6), GHOST, lw=4)


def words(state: Any) -> str:
    """Say how high both barriers are at this k, and from where on each stays low."""
    said = text("07.barriers.begin", task=M.task_named(state.task), parted=state.parted, steps=state.steps)
    place, unit = M.STEPS.index(state.parted), 100.0 if state.divided == "share" else 1.0
    high = {name: M.with_error(mean * unit, place) for name, mean in state.means.items()}
    if len(high) < 2:
        return f"{said} {text('07.barriers.none', **high)}"
    said += " " + text(SCALES[state.divided][1], **high)
    more = state.rule.note if state.divided == "yours" else text("07.barriers.one") if state.trunks == "one" else ""
    if more or state.divided == "raw":
        return f"{said} {more}".strip()
    fallen = {name: M.fallen(state.task, name, state.divided) for name in LOOKS}
    if not all(bool(mean.value.isfinite()) for mean in fallen.values()):
        return f"{said} {text('07.verdict.open')}"
    known = {name: M.with_error(mean) for name, mean in fallen.items()}
    return f"{said} {option_text(state.divided, '07.verdict.share', '07.verdict.ends', **known)}"


def show(sheet: Sheet, result: Live, state: Any) -> str:
    """Draw one family that is trained now, and say how high its barriers are."""
    state.now = {"loss": result.data_loss.double()[None], "trace": result.trace.double()[None]}
    draw(sheet, state)
    known = {"parted": state.parted, "step": result.step, "steps": state.steps, "seed": state.seed}
    if len(result.trace) == 0:
        return text("07.live.early", **known)
    for name, curve in state.now.items():
        known[name] = M.number(float(M.family(state.task).barrier(curve[None, None])))
        if (high := M.barrier(state.task, name, state.divided, curve[None])) is not None:
            height = high[0].clamp(min=1.1e-4)
            sheet["heights"].points([state.parted], height, LOOKS[name], fmt="D", ms=9, mfc="none", mew=1.8)
    return text("07.live.sentence", **known)


def code(state: Any) -> str:
    """Return lines that read the recorded barriers, mean over trunks, with the call that makes them anew."""
    rows = {"all": ".mean(0)", "one": "[0]"}[state.trunks]
    lines, call = [M.opening(state.task, state.parted)], SCALES[state.divided][2]
    for name in state.means:
        curve = {"loss": "data_loss", "trace": "trace"}[name]
        lines.append(f"{name} = {call.format(name=name, curve=curve, rows=rows)}[place]")
    return "\n".join(lines)


def barriers(seed: int, yours: Written = None) -> Explorer:
    """Tell which barrier goes first, and on which scale; the learner's own is one of the scales."""
    scales = M.SCALES if yours is None else ("yours", *M.SCALES)
    controls = [slider("parted", M.STEPS, 480), switch("task", M.TASKS)]
    controls += [switch("divided", scales), switch("trunks", ("all", "one"))]
    work = Work(lambda state: live(seed, state.task, state.parted), show, lambda state: state.steps, show)
    state = partial(state_of, seed, Yours(yours, M.share))
    return Explorer(draw, controls, PANELS, words, state=state, title="07.barriers.title", code=code, work=work)

"""Round 2: loss and curvature in one unit, and the batch size at which both lift the middle of the line alike."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace

import torch
from torch import Tensor

from entropic_edu.figures.plots import BLUE, DASHES, PURPLE
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, LIMIT, Panel, Role, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Written, Yours

from . import measures as M
from .axes import AGAINST_K, POSITION, logarithmic

BATCHES = (4, 8, 16, 64, None)
LOOKS = {
    "loss": Role(BLUE, label="07.label.loss_rise"),
    "entropic": Role(PURPLE, DASHES[2], label="07.label.entropic_rise"),
}
PANELS = {
    "along": Panel((0.085, 0.125, 0.30, 0.76), "07.panel.heights", ylim=(-0.4, 3.0), zero=True, **POSITION),
    "rises": Panel((0.485, 0.58, 0.365, 0.355), "07.panel.rises", xlim=AGAINST_K["xlim"],
                   xticks=dict.fromkeys(AGAINST_K["xticks"], ""), **logarithmic(1e-6, 3, (1e-6, 1e-4, 1e-2, 1))),
    "even": Panel((0.485, 0.125, 0.365, 0.30), "07.panel.even", ylim=(0, 18), **AGAINST_K),
}  # fmt: skip


def even_at(state: SimpleNamespace) -> Tensor:
    """Return for each k the batch size at which both rises are equal, by the learner's function or the library's, (K,).

    It is NaN where the objective does not rise by more than three standard errors.
    """
    flat = M.ratio(state.task, M.BATCH, state.rate_at).value.isnan().tolist()
    each = enumerate(M.rates(state.task, state.rate_at).tolist())
    found = [
        math.nan if flat[place] else float(state.rule(*M.halves(state.task, place), rate, M.MOMENTUM))
        for place, rate in each
    ]
    return torch.tensor(found, dtype=torch.float64)


def draw(sheet: Sheet, state: SimpleNamespace, ghost: tuple[float, float] | None = None) -> None:
    """Draw both heights along the line, both rises against k, and where they are equal; and the bet on the ratio."""
    place, rate = M.STEPS.index(state.parted), M.rates(state.task, state.rate_at)
    loss, entropic = (values[:, place] for values in M.heights(state.task))
    unit = M.over_trunks(M.rise(loss))
    if float(unit.value) > 3 * float(unit.error):
        heat = float(rate[place]) / (state.batch_size or math.inf)
        for name, height in (("loss", loss), ("entropic", entropic * heat)):
            sheet["along"].line(M.family(state.task).positions, M.over_trunks(height / unit.value), LOOKS[name], "")
    sheet["along"].note(0.03, 2.85, "07.label.solid", LOOKS["loss"], va="center")
    sheet["along"].note(0.03, 2.62, "07.label.dotted", LOOKS["entropic"], va="center")
    steps = torch.tensor(M.STEPS)
    for role, values in zip(LOOKS.values(), M.rises(state.task, state.batch_size, state.rate_at), strict=True):
        mean = M.over_trunks(values)
        seen = mean.value > 1e-6
        sheet["rises"].line(steps[seen], mean.at(seen), role)
    error = M.ratio(state.task, M.BATCH, state.rate_at).error * M.BATCH
    sheet["even"].points(steps, Mean(even_at(state), error), Role(PURPLE))
    if state.batch_size is not None:
        sheet["even"].level(min(state.batch_size, 17.6), LIMIT)
        sheet["even"].note(1.03, min(state.batch_size / 18, 0.97), f"B = {state.batch_size}", LIMIT, va="center",
                           transform=sheet["even"].ax.transAxes)  # fmt: skip
    for name in ("rises", "even"):
        sheet[name].line([state.parted] * 2, sheet[name].panel.ylim, Role(GREY, ":", 1.2), "")
    if ghost is not None:
        sheet["even"].line([0, M.STEPS[-1]], [min(17.5, M.BATCH * each) for each in ghost], GHOST, lw=4)


def words(state: SimpleNamespace) -> str:
    """Say both rises, their ratio, and where they would be equal at this k."""
    place = M.STEPS.index(state.parted)
    loss, entropic = (M.over_trunks(values) for values in M.rises(state.task, state.batch_size, state.rate_at))
    known = {"task": M.task_named(state.task), "parted": state.parted, "loss": M.with_error(loss, place)}
    known |= {"entropic": M.with_error(entropic, place), "rate": float(M.rates(state.task, state.rate_at)[place])}
    if state.batch_size is None:
        return text("07.slopes.none", **known)
    said = text("07.slopes.begin", batch_size=state.batch_size, **known)
    even = float(even_at(state)[place])
    if even != even:  # NaN: there is no rise of the loss to compare with
        return f"{said} {text('07.slopes.flat')}"
    share = M.with_error(M.ratio(state.task, state.batch_size, state.rate_at), place)
    return f"{said} {text('07.slopes.ratio', ratio=share, even=even)} {state.rule.note}".strip()


def code(state: SimpleNamespace) -> str:
    """Return lines that compute both rises from the recording, (T,) each."""
    rate = float(M.rates(state.task, state.rate_at)[M.STEPS.index(state.parted)])
    return f"""{M.opening(state.task, state.parted)}
trace = family.trace[:, place, 0].double()
noise = kept["{state.task}/noise"][:, place, 0].double()
heat = {rate / (state.batch_size or math.inf):.6g} / (2 * (1 - {M.MOMENTUM:g})) * noise / trace  # T along the line
steps = 0.5 * 0.5 * (heat[:, 1:] + heat[:, :-1]) * trace.diff()  # (T/2) d tr H
middle = steps.shape[1] // 2
entropic = 0.5 * (steps[:, :middle].sum(1) - steps[:, middle:].sum(1))
height = family.loss[:, place, 0].double()
loss = height[:, middle] - 0.5 * (height[:, 0] + height[:, -1])
"""


def slopes(seed: int, yours: Written = None) -> Explorer:
    """Compare how far the loss lifts the middle with what SGD's noise makes of the curvature."""
    controls = [slider("parted", M.STEPS, 480), slider("batch_size", BATCHES, M.BATCH)]
    controls += [switch("task", M.TASKS), switch("rate_at", ("start", "now"))]
    state = partial(SimpleNamespace, rule=Yours(yours, M.even_batch))
    return Explorer(draw, controls, PANELS, words, state=state, title="07.slopes.title", code=code)

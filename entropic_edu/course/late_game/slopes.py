"""Round 2: loss and curvature in one unit, and the batch size at which both lift the middle of the line alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from entropic_edu.figures.plots import BLUE, DASHES, PURPLE
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, LIMIT, Panel, Role, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Yours

from .axes import AGAINST_K, POSITION, logarithmic
from .measures import (
    BATCH,
    MOMENTUM,
    STEPS,
    TASKS,
    even_batch,
    family,
    halves,
    heights,
    opening,
    over_trunks,
    rates,
    ratio,
    rise,
    rises,
    task_named,
    with_error,
)  # fmt: skip

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
    flat = ratio(state.task, BATCH, state.rate_at).value.isnan()
    rate = rates(state.task, state.rate_at)
    each = [
        torch.tensor(torch.nan) if skip else state.rule(*halves(state.task, place), float(rate[place]), MOMENTUM)
        for place, skip in enumerate(flat.tolist())
    ]
    return torch.stack([torch.as_tensor(value).double().reshape(()) for value in each])


def draw(sheet: Sheet, state: SimpleNamespace, ghost: tuple[float, float] | None = None) -> None:
    """Draw both heights along the line, both rises against k, and where they are equal; and the bet on the ratio."""
    place, rate = STEPS.index(state.parted), rates(state.task, state.rate_at)
    loss, entropic = (values[:, place] for values in heights(state.task))
    unit = over_trunks(rise(loss))
    if float(unit.value) > 3 * float(unit.error):
        heat = 0.0 if state.batch_size is None else float(rate[place]) / state.batch_size
        for name, height in (("loss", loss), ("entropic", entropic * heat)):
            sheet["along"].line(family(state.task).positions, over_trunks(height / unit.value), LOOKS[name], "")
    sheet["along"].note(0.03, 2.85, "07.label.solid", LOOKS["loss"], va="center")
    sheet["along"].note(0.03, 2.62, "07.label.dotted", LOOKS["entropic"], va="center")
    steps = torch.tensor(STEPS)
    for role, values in zip(LOOKS.values(), rises(state.task, state.batch_size, state.rate_at), strict=True):
        mean = over_trunks(values)
        seen = mean.value > 1e-6
        sheet["rises"].line(steps[seen], mean.at(seen), role)
    error = ratio(state.task, BATCH, state.rate_at).error * BATCH
    sheet["even"].points(steps, Mean(even_at(state), error), Role(PURPLE))
    if state.batch_size is not None:
        sheet["even"].level(min(state.batch_size, 17.6), LIMIT)
        sheet["even"].note(1.03, min(state.batch_size / 18, 0.97), f"B = {state.batch_size}", LIMIT, va="center",
                           transform=sheet["even"].ax.transAxes)  # fmt: skip
    for name in ("rises", "even"):
        sheet[name].line([state.parted] * 2, sheet[name].panel.ylim, Role(GREY, ":", 1.2), "")
    if ghost is not None:
        sheet["even"].line([0, STEPS[-1]], [min(17.5, BATCH * each) for each in ghost], GHOST, lw=4)


def words(state: SimpleNamespace) -> str:
    """Say both rises, their ratio, and where they would be equal at this k."""
    place = STEPS.index(state.parted)
    loss, entropic = (over_trunks(values) for values in rises(state.task, state.batch_size, state.rate_at))
    known = {"task": task_named(state.task), "parted": state.parted, "loss": with_error(loss, place)}
    known |= {"entropic": with_error(entropic, place), "rate": float(rates(state.task, state.rate_at)[place])}
    if state.batch_size is None:
        return text("07.slopes.none", **known)
    said = text("07.slopes.begin", batch_size=state.batch_size, **known)
    even = float(even_at(state)[place])
    if even != even:  # NaN: there is no rise of the loss to compare with
        return f"{said} {text('07.slopes.flat')}"
    share = with_error(ratio(state.task, state.batch_size, state.rate_at), place)
    return f"{said} {text('07.slopes.ratio', ratio=share, even=even)} {state.rule.note}".strip()


def code(state: SimpleNamespace) -> str:
    """Return lines that compute both rises from the recording, (T,) each."""
    place = STEPS.index(state.parted)
    heat = 0.0 if state.batch_size is None else float(rates(state.task, state.rate_at)[place]) / state.batch_size
    return (
        f"{opening(state.task)}\n"
        f"place = family.at.tolist().index({state.parted})\n"
        "trace = family.trace[:, place, 0].double()\n"
        f'noise = kept["{state.task}/noise"][:, place, 0].double()\n'
        f"heat = {heat:.6g} / (2 * (1 - {MOMENTUM:g})) * noise / trace  # T along the line\n"
        "steps = 0.5 * 0.5 * (heat[:, 1:] + heat[:, :-1]) * trace.diff()  # (T/2) d tr H\n"
        "middle = steps.shape[1] // 2\n"
        "entropic = 0.5 * (steps[:, :middle].sum(1) - steps[:, middle:].sum(1))\n"
        "height = family.loss[:, place, 0].double()\n"
        "loss = height[:, middle] - 0.5 * (height[:, 0] + height[:, -1])"
    )


def slopes(seed: int, yours: Callable[..., Any] | None = None) -> Explorer:
    """Compare how far the loss lifts the middle with what SGD's noise makes of the curvature."""
    controls = [
        slider("parted", STEPS, 480),
        slider("batch_size", BATCHES, BATCH),
        switch("task", TASKS),
        switch("rate_at", ("start", "now")),
    ]
    state = partial(SimpleNamespace, rule=Yours(yours, even_batch))
    return Explorer(draw, controls, PANELS, words, state=state, title="07.slopes.title", code=code)

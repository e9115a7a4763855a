"""Round 3: trace and adaptive trace by the learner's own probes, beside the recorded ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import valley
from entropic_edu.teaching.declared import Found, one_by_one
from entropic_edu.teaching.explorer import Explorer, Work, switch
from entropic_edu.teaching.sheet import RUN, TWIN, Panel, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Written

from . import common
from .common import land, positions

PLACES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
SIGNS = 8  # random vectors at each place
PANELS = {
    "trace": Panel((0.075, 0.13, 0.33, 0.78), "05.panel.trace_own", "05.axis.position", yscale="log",
                   ylim=(30, 4000), yticks=(100, 1000)),
    "adaptive": Panel((0.575, 0.13, 0.33, 0.78), "05.panel.adaptive_own", "05.axis.position", ylim=(0, 8)),
}  # fmt: skip


def state_of(which_norms: str) -> dict[str, Any]:
    """Return what was recorded along the road of pair 1, as it was built or at matched norms, and both bumps."""
    matched = which_norms == "matched"
    profile = recorded.load("bump")["pair0/profile" if matched else "pair0/raw"]
    along = {"trace": profile.trace.double(), "adaptive": profile.adaptive_trace.double()}
    known = {"matched": matched, "norms": option_text(which_norms, "05.own.norms.built", "05.own.norms.matched")}
    return known | {"recorded": along} | {name: common.bump(each) for name, each in along.items()}


def going(product: Written, probe: Written, seed: int, road: Any) -> Iterator[Snapshot[Found]]:
    """Measure place by place with the learner's functions: both traces, each with its error, (4,)."""
    path = valley.road(0, matched=road.matched)
    generator = torch.Generator().manual_seed(seed)

    def measure(place: float) -> Tensor:
        if product is None or probe is None or (wrong := problem(product, probe)):
            raise ValueError(text("05.own.missing") if product is None or probe is None else wrong)
        theta = path.at(place)
        signs = 2.0 * torch.randint(0, 2, (SIGNS, land().dim), generator=generator) - 1
        given = probe(partial(product, land().data_loss, theta), theta, signs)
        return torch.tensor([float(each) for each in given], dtype=torch.float64)

    return one_by_one(measure, PLACES)


def bump(found: Mean) -> Mean:
    """Return the mean of the middle third over that of the ends; the vectors at each place are others."""
    value, error = found
    parts = [torch.tensor([1 / 3 <= place <= 2 / 3 for place in PLACES]), torch.tensor(PLACES) % 1 == 0]
    relative = sum((error[part].norm() / value[part].sum()) ** 2 for part in parts) ** 0.5
    middle, ends = (value[part].mean() for part in parts)
    return Mean(middle / ends, middle / ends * relative)


def problem(product: Callable[..., Any], probe: Callable[..., Any]) -> str:
    """Say what keeps the learner's functions from being run; empty if nothing does."""
    theta = torch.tensor([1.0, 2.0])
    try:
        each = partial(product, lambda theta: theta.square().sum(), theta)
        given = probe(each, theta, torch.ones(2, 2)) if each(torch.ones(2)) is not ... else ...
        if given is ...:
            return text("05.own.unwritten")
        fits = len(given) == 4 and all(isinstance(float(each), float) for each in given)
    except Exception as error:
        return text("05.own.raised", error=f"{type(error).__name__}: {error}")
    return "" if fits else text("05.own.unfit", count=len(given))


def draw(sheet: Sheet, road: Any) -> None:
    """Draw what was recorded."""
    for name, values in road.recorded.items():
        sheet[name].line(positions(len(values)), values, TWIN, "05.label.recorded")


def show(sheet: Sheet, found: Found, road: Any) -> str:
    """Draw the learner's points beside it, and say both bumps."""
    draw(sheet, road)
    values = torch.stack(found.each, 1) if found.each else torch.zeros(4, 0)
    measured = {"trace": Mean(*values[:2]), "adaptive": Mean(*values[2:])}
    for name, mean in measured.items():
        sheet[name].points(PLACES[: len(found.each)], mean, RUN)
    if not found.complete:
        return text("05.own.growing", count=len(found.each), of=len(PLACES))
    return text("05.own.live", norms=road.norms, signs=SIGNS, **{name: bump(measured[name]) for name in measured})


CODE = f"""
from entropic_edu.recorded import valley
land, road = valley.landscape(), valley.road(0, matched={{matched}})
settings = {{{{'num_probes': {SIGNS}, 'generator': torch.Generator().manual_seed(0), 'weight_decay': False}}}}
print(ee.curvature.hutchinson_trace(land, road.at(0.5), **settings))
"""


def own(seed: int, product: Written = None, probe: Written = None) -> Explorer:
    """Let the learner's probes measure the road of pair 1."""
    work = Work(partial(going, product, probe, seed), show, lambda road: len(PLACES), show)
    controls = [switch("which_norms", ("built", "matched"))]
    return Explorer(draw, controls, PANELS, "05.own.some", state=state_of, title="05.own.title", code=CODE, work=work)

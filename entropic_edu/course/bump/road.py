"""Round 1: the loss along the road, and the curvature across it; the button measures one road anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from entropic_edu import stream
from entropic_edu.course.floor import RIGHT
from entropic_edu.figures.plots import BLUE, PURPLE, RED
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching.declared import stated
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import FAINT, GHOST, RUN, TRACE, TWIN, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from . import common as C

LIVE = {"points": C.POINTS, "num_probes": 1, "lanczos_steps": 12}  # of the button
TOP = 4.2  # of the left panel
NOW, DATA = Role(RED, "--", label="05.label.live"), Role(BLUE, "--")
PANELS = {
    "ratio": Panel((0.075, 0.125, 0.395, 0.78), "05.panel.ratio", "05.axis.position", ylim=(0, TOP), once=C.at_one),
    "objective": Panel((0.66, RIGHT[0], 0.315, 0.185), "05.panel.objective", ylim=(0, 0.7)),
    "trace": Panel((0.66, RIGHT[1], 0.315, 0.185), "05.panel.trace", ylim=(0, 250)),
    "gradient_noise": Panel((0.66, RIGHT[2], 0.315, 0.185), "05.panel.gradient_noise", "05.axis.position",
                            ylim=(0, 200)),
}  # fmt: skip
ROLES = {"objective": RUN, "trace": TRACE, "gradient_noise": Role(PURPLE)}


def state_of(at_position: float, along_road: str, bump_pair: str) -> dict[str, Any]:
    """Return a quantity along the roads of all pairs or of one, and what the sentence says of it."""
    values, one, (field, label, called) = C.along(along_road), bump_pair != "all", C.QUANTITIES[along_road]
    row = int(bump_pair) - 1 if one else 0  # of the pair that the button measures
    return {
        "values": values,
        "curve": C.chosen(C.over_ends(values), bump_pair),
        "row": row,
        "number": row + 1,
        "place": at_position,
        "field": field,
        "label": label,
        "quantity": text(called),
        "pair": text("05.pair.one" if one else "05.pair.all", pair=bump_pair),
        "amid": text("05.pair.amid_one" if one else "05.pair.amid_all", pair=bump_pair),
        "ends": C.told(values[:, [0, -1]].mean(1), bump_pair, ".3g"),
        "here": C.told(values[:, round(at_position * (C.POINTS - 1))], bump_pair, ".3g"),
        "ratio": C.told(C.bump(values), bump_pair),
        "loss": C.told(C.bump(C.along("objective")), bump_pair),
    }


def draw(sheet: Sheet, view: Any, pinned: Any, ghost: float | None) -> None:
    """Draw a quantity over its ends, beside objective, trace and gradient noise, a pinned one and the bet."""
    where, ratio = C.positions(C.POINTS), sheet["ratio"]
    for number, each in enumerate(C.over_ends(view.values)):
        if str(number + 1) != view.bump_pair:
            ratio.line(where, each, FAINT)
    if ghost is not None:
        ratio.line(where, ghost ** torch.sin(torch.pi * where), GHOST, "", lw=4)
        height = min(ghost + 0.16, TOP - 0.1) if ghost >= 1 else ghost - 0.16
        ratio.note(0.5, height, GHOST.label, GHOST, ha="center", va="center", boxed=True)
    if pinned is not None:
        ratio.line(where, pinned.curve, TWIN)
    ratio.line(where, view.curve, RUN, view.label)
    for name, role in ROLES.items():
        sheet[name].line(where, C.chosen(C.along(name), view.bump_pair), role, "")
    objective = sheet["objective"]
    objective.line(where, C.chosen(C.along("data_loss"), view.bump_pair), DATA)
    objective.note(0.02, 0.61, "05.label.objective", RUN)
    objective.note(0.02, 0.38, "05.label.data_loss", RUN)
    for name, panel in PANELS.items():
        sheet[name].line([view.place] * 2, panel.ylim, C.HERE)


def words(view: Any, pinned: Any) -> str:
    """Say what was recorded: at the ends, at a place, and the ratio of the middle third to the ends."""
    sentence = text("05.road.sentence", **vars(view))
    if pinned is None:
        return sentence
    return f"{sentence} {text('05.road.twin', **vars(pinned) | {'pair': pinned.amid})}"


def show(sheet: Sheet, profile: Profile, view: Any) -> str:
    """Draw a profile that is being measured, over the recorded mean of the ends, and say its bump."""
    one = str(view.row + 1)
    view = stated(state_of, at_position=view.place, along_road=view.along_road, bump_pair=one)
    draw(sheet, view, None, None)
    values, recorded = getattr(profile, view.field).double(), view.values[view.row]
    sheet["ratio"].line(profile.position, values / recorded[[0, -1]].mean(), NOW)
    known = {"pair": one, "quantity": view.quantity, "count": len(values)}
    if not profile.complete:
        return text("05.road.growing", of=C.POINTS, now=float(values[-1]), **known)
    return text("05.road.live", ratio=profile.bump(values), kept=float(C.bump(recorded)), **known)


CODE = """
from entropic_edu import recorded
profile = recorded.load("bump")["pair{row}/profile"]
print(profile.bump(profile.{field}))  # pair {number}: middle third over the mean of the ends
# anew: land, road = recorded.valley.landscape(), recorded.valley.road({row})
# profile = ee.probe(land, road, generator=torch.Generator().manual_seed(10{row}), points=21, num_probes=16, \
lanczos_steps=28)
"""


def road(seed: int) -> Explorer:
    """Height, width and noise along the recorded roads; the button measures one of them anew."""

    def going(view: Any) -> Iterator[Snapshot[Profile]]:
        return stream.probe(C.land(), C.road(view.row), generator=torch.Generator().manual_seed(seed), **LIVE)

    controls = [slider("at_position", C.PLACES, 0.5), switch("along_road", tuple(C.QUANTITIES))]
    controls.append(switch("bump_pair", C.PAIRS))
    work = Work(going, show, lambda view: C.POINTS, show)
    return Explorer(draw, controls, PANELS, words, state=state_of, title="05.road.title", code=CODE, work=work)

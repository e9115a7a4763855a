"""Round 1: the loss along the road, and the curvature across it; the button measures one road anew."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import torch

from entropic_edu import stream
from entropic_edu.course.floor import RIGHT
from entropic_edu.figures.plots import BLUE, PURPLE, RED
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import FAINT, GHOST, RUN, TRACE, TWIN, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

from . import common as C

LABEL_KEYS = ("05.label.trace", "05.label.top", "05.label.adaptive", "05.label.objective", "05.label.data_loss",
              "05.label.gradient_noise", "05.label.norm")  # fmt: skip
QUANTITY_KEYS = ("05.quantity.trace", "05.quantity.top", "05.quantity.adaptive", "05.quantity.objective",
                 "05.quantity.data_loss", "05.quantity.gradient_noise", "05.quantity.norm")  # fmt: skip
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


def state_of(at_position: float, along_road: str, bump_pair: str) -> SimpleNamespace:
    """Return a quantity along the roads of all pairs or of one, and a place there.

    ``curve`` is the quantity over its mean at the ends, (n,); ``pair`` the pair that the button measures, counted from
    0, the first where all are shown.
    """
    values = C.along(along_road)  # (pairs, n)
    curve = C.chosen(C.over_ends(values), bump_pair)
    words, field = option_text(along_road, *QUANTITY_KEYS), C.QUANTITIES[along_road]
    known = {"place": at_position, "name": along_road, "pairs": bump_pair, "quantity": words, "field": field}
    pair = 0 if bump_pair == "all" else int(bump_pair) - 1
    return SimpleNamespace(values=values, curve=curve, pair=pair, number=pair + 1, **known)


def draw(sheet: Sheet, view: SimpleNamespace, pinned: SimpleNamespace | None, ghost: float | None) -> None:
    """Draw a quantity over its ends, beside objective, trace and gradient noise, a pinned one and the bet."""
    where, ratio = C.positions(C.POINTS), sheet["ratio"]
    for number, each in enumerate(C.over_ends(view.values)):
        if str(number + 1) != view.pairs:
            ratio.line(where, each, FAINT)
    if ghost is not None:
        ratio.line(where, ghost ** torch.sin(torch.pi * where), GHOST, "", lw=4)
        height = min(ghost + 0.16, TOP - 0.1) if ghost >= 1 else ghost - 0.16
        ratio.note(0.5, height, GHOST.label, GHOST, ha="center", va="center", boxed=True)
    if pinned is not None:
        ratio.line(where, pinned.curve, TWIN)
    ratio.line(where, view.curve, RUN, option_text(view.name, *LABEL_KEYS))
    for name, role in ROLES.items():
        sheet[name].line(where, C.chosen(C.along(name), view.pairs), role, "")
    objective = sheet["objective"]
    objective.line(where, C.chosen(C.along("data_loss"), view.pairs), DATA)
    objective.note(0.02, 0.61, "05.label.objective", RUN)
    objective.note(0.02, 0.38, "05.label.data_loss", RUN)
    for name, panel in PANELS.items():
        sheet[name].line([view.place] * 2, panel.ylim, C.HERE)


def words(view: SimpleNamespace, pinned: SimpleNamespace | None) -> str:
    """Say what was recorded: at the ends, at a place, and the ratio of the middle third to the ends."""
    pair = view.pairs
    sentence = text(
        "05.road.sentence",
        pair=C.named(pair),
        quantity=view.quantity,
        ends=C.with_error(C.chosen(view.values[:, [0, -1]].mean(1), pair), pair, ".3g"),
        here=C.with_error(C.chosen(view.values[:, round(view.place * (C.POINTS - 1))], pair), pair, ".3g"),
        place=view.place,
        ratio=C.with_error(C.chosen(C.bump(view.values), pair), pair),
        loss=C.with_error(C.chosen(C.bump(C.along("objective")), pair), pair),
    )
    if pinned is None:
        return sentence
    twin = pinned.pairs
    ratio = C.with_error(C.chosen(C.bump(pinned.values), twin), twin)
    return f"{sentence} {text('05.road.twin', ratio=ratio, quantity=pinned.quantity, pair=C.amid(twin))}"


def going(seed: int, view: SimpleNamespace) -> Iterator[Snapshot[Profile]]:
    """Yield the profile of a recorded road as it is measured now."""
    return stream.probe(C.land(), C.road(view.pair), generator=torch.Generator().manual_seed(seed), **LIVE)


def show(sheet: Sheet, profile: Profile, view: SimpleNamespace) -> str:
    """Draw a profile that is being measured, over the recorded mean of the ends, and say its bump."""
    view = state_of(view.place, view.name, str(view.number))
    draw(sheet, view, None, None)
    values, recorded = getattr(profile, view.field).double(), view.values[view.pair]
    sheet["ratio"].line(profile.position, values / recorded[[0, -1]].mean(), NOW)
    known = {"pair": view.pairs, "quantity": view.quantity, "count": len(values)}
    if not profile.complete:
        return text("05.road.growing", of=C.POINTS, now=float(values[-1]), **known)
    return text("05.road.live", ratio=profile.bump(values), kept=float(C.bump(recorded)), **known)


CODE = """
from entropic_edu import recorded
profile = recorded.load("bump")["pair{state.pair}/profile"]
print(profile.bump(profile.{state.field}))  # pair {state.number}: middle third over the mean of the ends
# anew: land, road = recorded.valley.landscape(), recorded.valley.road({state.pair})
# profile = ee.probe(land, road, generator=torch.Generator().manual_seed(10{state.pair}), points=21, num_probes=16, \
lanczos_steps=28)
"""


def road(seed: int) -> Explorer:
    """Height, width and noise along the recorded roads; the button measures one of them anew."""
    controls = [slider("at_position", C.PLACES, 0.5), switch("along_road", tuple(C.QUANTITIES))]
    controls.append(switch("bump_pair", C.PAIRS))
    work = Work(lambda view: going(seed, view), show, lambda view: C.POINTS, show)
    return Explorer(draw, controls, PANELS, words, state=state_of, title="05.road.title", code=CODE, work=work)

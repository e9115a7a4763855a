"""Round 2: all eigenvalues of the Hessian along the road, not their sum alone."""

from __future__ import annotations

import math
from typing import Any

import torch

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, PURPLE, RED
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, RUN, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from .common import HERE, PAIRS, at_one, kept, over_ends, positions, ratio_of
from .eigenvalues import LEVELS, counts, number_above, parts, rank_ratio

PLACES = tuple(round(0.05 * place, 2) for place in range(21))
THRESHOLDS = (0.03, 0.1, 0.3, 1.0, 2.0)
RANKS = (1, 10, 100, 200)  # of which the sentence tells
CROSSED = torch.tensor([1, 2, 3, 5, 8, 14, 25, 45, 80, 120, 200])  # ranks that are drawn one by one
GHOSTS = {"one": (2.5, 3.0), "large": (2.5, 30.0), "all": (2.5, math.inf)}  # factor, and the rank where it ends
PARTS = {
    "top": Role(RED, label="05.label.top"),
    "ten": Role(PURPLE, "--", label="05.label.ten"),
    "rest": Role(GREEN, "-.", label="05.label.rest"),
}
CURVES = {  # where the spectrum is shown
    "here": Role(BLUE, label="05.spectrum.key.here"),
    "start": Role(GREY, "--", label="05.spectrum.key.start"),
    "end": Role(BLACK, DASHES[3], label="05.spectrum.key.end"),
}
EXACT = Role(RED, "", label="05.spectrum.key.exact")
PANELS = {
    "above": Panel((0.085, 0.125, 0.425, 0.8), "05.panel.above", "05.axis.eigenvalue", (0.01, 12), (0.7, 900),
                   (0.01, 0.1, 1, 10), (1, 10, 100), "log", "log"),
    "number": Panel((0.655, 0.61, 0.215, 0.315), "05.panel.number", ylim=(0, 6), once=at_one),
    "parts": Panel((0.655, 0.125, 0.215, 0.36), "05.panel.parts", "05.axis.position", ylim=(0, 4), once=at_one),
}  # fmt: skip


def state_of(at_position: float, counted_above: float, one_pair: str) -> dict[str, Any]:
    """Return a place and its row, a pair counted from 0, and how many eigenvalues are larger than one, (n, V).

    Beside them is what the sentence says of the place, and by how much all parts are larger in the middle.
    """
    row, index = round(at_position * (len(PLACES) - 1)), int(one_pair) - 1
    numbers = number_above(counted_above)[index]
    number = Mean.over(numbers[row])
    known = {"row": row, "index": index, "numbers": numbers, "number": number.value, "error": number.error}
    known |= {"pair": text("05.pair.one", pair=one_pair), "place": at_position, "threshold": counted_above}
    ranks = {f"rank{rank}": ratio_of(rank_ratio(rank)) for rank in RANKS}
    return known | {"ends": numbers[[0, -1]].mean()} | ranks


def draw(sheet: Sheet, view: Any, ghost: tuple[float, float] | None) -> None:
    """Draw the number of eigenvalues above λ; beside it that at one λ, and the parts of the trace, along the road."""
    pen, count = sheet["above"], counts(view.index)
    for row, role in enumerate([*CURVES.values(), EXACT]):
        if role is not EXACT or view.place in (0, 0.5, 1):
            pen.note(0.0115, 5.2 / 1.6**row, role.label, role)
    if ghost is not None:  # each rank of the ends times a factor that fades to 1 at the last
        ends = count[[0, -1]].mean((0, 1))
        share = (ends.clamp(min=1).log10() / math.log10(ghost[1])).clamp(max=1)
        pen.line(LEVELS * ghost[0] ** (1 - share), ends, GHOST, "", lw=4)
        pen.note(0.0115, 8.3, "05.spectrum.key.bet", GHOST)
    for name, row in (("start", 0), ("end", -1), ("here", view.row)):
        pen.line(LEVELS, Mean.over(count[row], 0), CURVES[name], "")
    if view.place in (0, 0.5, 1):  # where eigenvalues were found one by one
        found = kept("eigenvalues")[view.index, round(2 * view.place)]
        pen.line(found[CROSSED - 1], CROSSED - 0.5, EXACT, "", marker="x", ms=6)
    pen.line([view.threshold] * 2, [16, pen.panel.ylim[1]], HERE, "", color=BLACK)
    where = positions(len(PLACES))
    sheet["number"].line(where, Mean.over(view.numbers / view.numbers[[0, -1]].mean()), RUN, "")
    for name, role in PARTS.items():
        sheet["parts"].line(where, over_ends(parts(view.index)[name]), role)
    for name in ("number", "parts"):
        sheet[name].line([view.place] * 2, sheet[name].panel.ylim, HERE)


CODE = """
from entropic_edu import recorded
profile = recorded.load("bump")["pair{index}/profile"]
number = profile.spectral_sum(lambda node: (node > {threshold}).float())  # (positions, probes)
print(number[{row}].mean())  # not blurred, so a little different
"""


def spectrum(seed: int) -> Explorer:
    """The whole spectrum at a place of the road, with the ends beside it."""
    controls = [slider("at_position", PLACES, 0.5), slider("counted_above", THRESHOLDS, 0.3)]
    controls.append(switch("one_pair", PAIRS[1:]))
    return Explorer(
        draw, controls, PANELS, "05.spectrum.sentence", state=state_of, title="05.spectrum.title", code=CODE
    )

"""Round 3: each objection to the bump, the control that answers it, and what is left of the bump then."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, ORANGE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from .common import bump, has, kept, over_ends, over_pairs, positions, with_error

MEASURE_KEYS = ("05.measure.trace", "05.measure.top", "05.measure.adaptive")
SCEPTIC_KEYS = (
    "05.sceptic.note.loss",
    "05.sceptic.note.squared",
    "05.sceptic.note.scale",
    "05.sceptic.note.kinks",
    "05.sceptic.note.path",
    "05.sceptic.note.renaming",
    "05.sceptic.note.decay",
    "05.sceptic.note.training",
)

MEASURES = ("trace", "top", "adaptive")
RATIOS = (0.55, 8.0)  # limits; what lies outside is drawn at the edge, with its number
ROWS = 4
LANES = {"trace": -0.13, "top": 0.09, "adaptive": 0.31}  # of the measures within a row
MARKERS = {"trace": ("o", RED), "top": ("s", ORANGE), "adaptive": ("^", GREEN)}
STYLES = ((BLUE, "-"), (RED, "--"), (BLACK, DASHES[2]), (GREEN, DASHES[3]))


NAMES = {  # of a condition, in the picture and at a curve
    "base": ("05.condition.base", "05.short.base"),
    "matched": ("05.condition.matched", "05.short.matched"),
    "alone": ("05.condition.alone", "05.short.alone"),
    "ruler": ("05.condition.ruler", "05.short.ruler"),
    "squared": ("05.condition.squared", "05.short.squared"),
    "balanced": ("05.condition.balanced", "05.short.balanced"),
    "step0": ("05.condition.step0", "05.short.step0"),
    "step1": ("05.condition.step1", "05.short.step1"),
    "step2": ("05.condition.step2", "05.short.step2"),
    "bezier": ("05.condition.bezier", "05.short.bezier"),
    "aligned": ("05.condition.aligned", "05.short.aligned"),
    "undecayed": ("05.condition.undecayed", "05.short.undecayed"),
    "decayed": ("05.condition.decayed", "05.short.decayed"),
    "longer": ("05.condition.longer", "05.short.longer"),
    "wide": ("05.condition.wide", "05.short.wide"),
}


class Condition(NamedTuple):
    """A row of the picture: its name in the catalogue, where its loss is, and the recorded values for each measure."""

    name: str
    loss: str
    keys: dict[str, str]


def _plain(kind: str, name: str) -> Condition:
    return Condition(name, kind, {measure: f"{kind}/{measure}" for measure in MEASURES})


BASE = _plain("string", "base")
OBJECTIONS: dict[str, tuple[Condition, ...]] = {
    "loss": (
        BASE,
        Condition(
            "matched",
            "string",
            {"trace": "string/matched", "top": "string/matched_top", "adaptive": "string/matched_adaptive"},
        ),
        Condition("alone", "string", {"trace": "string/alone"}),
        Condition("ruler", "string", {"trace": "string/jacobian"}),
    ),
    "squared": (BASE, _plain("squared", "squared")),
    "scale": (BASE, Condition("balanced", "string", {"trace": "string/balanced"})),
    "kinks": (
        BASE,
        *(Condition(f"step{n}", "string", {"trace": f"rise{n}", "adaptive": f"share{n}"}) for n in range(3)),
    ),
    "path": (BASE, _plain("bezier", "bezier")),
    "renaming": (BASE, _plain("aligned", "aligned")),
    "decay": (BASE, _plain("undecayed", "undecayed"), _plain("decayed", "decayed")),
    "training": (BASE, _plain("longer", "longer"), _plain("wide", "wide")),
}


def values(key: str) -> Tensor:
    """Return recorded values along the roads of all pairs, (pairs, n); ``rise0`` is the rise at the first radius."""
    for name, table in (("rise", "string/rise"), ("share", "string/share_rise")):
        if key.startswith(name) and key[len(name) :].isdigit():
            return kept(table)[..., int(key[len(name) :])]
    return kept(key)


def measured(condition: Condition, measure: str) -> Tensor | None:
    """Return the bump of each pair, (pairs,), or None where this control has no such measure."""
    key = condition.keys.get(measure)
    return None if key is None else bump(values(key))


class Sceptic:
    """Bumps by condition and measure at the left; curves of one measure and of the objective at the right."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = ax = self.figure.add_axes((0.04, 0.125, 0.5, 0.745))
        labelled(ax, text("05.axis.bump"), "", text("05.panel.bumps")).title.set_fontsize(11)
        ax.set(xscale="log", xlim=RATIOS, ylim=(ROWS - 0.5, -0.6))
        ax.set_xticks([0.6, 1, 2, 4, 8], ["0.6", "1", "2", "4", "8"])
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.minorticks_off()
        ax.axvline(1, color=GREY, lw=1)
        self.names = [
            ax.text(0.56, row - 0.41, "", fontsize=sheet.SMALL, color=BLACK, va="center", animated=True)
            for row in range(ROWS)
        ]
        for name in self.names:  # readable where the line of no bump crosses it
            name.set_bbox({"facecolor": "white", "lw": 0, "pad": 1})
        self.pairs, self.means, self.edges = {}, {}, {}
        for measure, (marker, colour) in MARKERS.items():
            self.pairs[measure] = moving(
                ax, colour=colour, dash="", marker=marker, ms=4, mfc="none", mew=0.9, alpha=0.9, clip_on=False
            )
            self.means[measure] = sheet.Points(ax, colour=colour, marker=marker, size=8)
            self.edges[measure] = [
                ax.text(RATIOS[1], 0, "", fontsize=sheet.SMALL, ha="right", va="center", animated=True)
                for _ in range(ROWS)
            ]
        self._key()
        self._right()

    def _key(self) -> None:
        """Say which marker is which measure, above the panel's title."""
        for place, (measure, (marker, colour)) in enumerate(MARKERS.items()):
            x = 0.05 + 0.155 * place
            self.figure.add_artist(
                Line2D([x], [0.955], marker=marker, color=colour, ms=8, ls="", transform=self.figure.transFigure)
            )
            self.figure.text(x + 0.014, 0.955, option_text(measure, *MEASURE_KEYS), fontsize=sheet.SMALL, va="center")

    def _right(self) -> None:
        self.upper = self.figure.add_axes((0.615, 0.57, 0.245, 0.3))
        self.lower = self.figure.add_axes((0.615, 0.125, 0.245, 0.3))
        for ax, limits in ((self.upper, (0.85, 1.35)), (self.lower, (0.5, 3.4))):
            ax.set(xlim=(0, 1), ylim=limits)
            ax.axhline(1, color=GREY, lw=1)
        labelled(self.upper, "", "", text("05.panel.objective_ratio")).title.set_fontsize(11)
        labelled(self.lower, text("05.axis.position"), "", text("05.panel.curve")).title.set_fontsize(11)
        self.upper.tick_params(labelbottom=False)
        self.losses = [Band(self.upper, colour=colour, dash=dash) for colour, dash in STYLES]
        self.curves = [Band(self.lower, colour=colour, dash=dash) for colour, dash in STYLES]

    def show(self, objection: str, measure: str) -> None:
        """Draw all conditions of an objection, and the curves of one measure."""
        rows = OBJECTIONS[objection]
        for row, name in enumerate(self.names):
            name.set_text(text(NAMES[rows[row].name][0]) if row < len(rows) else "")
        for each in MEASURES:
            self._row(rows, each)
        self._curves(rows, measure)

    def _row(self, rows: tuple[Condition, ...], measure: str) -> None:
        ratios = [(row, measured(condition, measure)) for row, condition in enumerate(rows)]
        there = [(row + LANES[measure], each) for row, each in ratios if each is not None]
        heights = torch.tensor([height for height, _ in there], dtype=torch.float64)
        points = [(float(each), height) for height, one in there for each in one if RATIOS[0] < each < RATIOS[1]]
        self.pairs[measure].set_data([x for x, _ in points], [height + 0.075 for _, height in points])
        means = [over_pairs(each) for _, each in there]
        inside = Mean(torch.stack([m.value for m in means]), torch.stack([m.error for m in means]))
        seen = inside.value < RATIOS[1]
        _points(self.means[measure], heights, inside, seen)
        for label, height, mean in zip(self.edges[measure], heights.tolist(), means, strict=False):
            far = float(mean.value) >= RATIOS[1]
            label.set_text(
                text("05.sceptic.beyond", measure=option_text(measure, *MEASURE_KEYS), value=float(mean.value))
                if far
                else ""
            )
            label.set_y(height)
        for label in self.edges[measure][len(there) :]:
            label.set_text("")

    def _curves(self, rows: tuple[Condition, ...], measure: str) -> None:
        drawn: set[str] = set()
        for row, (loss, curve) in enumerate(zip(self.losses, self.curves, strict=True)):
            condition = rows[row] if row < len(rows) else None
            key = None if condition is None else condition.keys.get(measure)
            self._band(curve, None if key is None else values(key), condition)
            new = condition is not None and condition.loss not in drawn
            self._band(loss, values(f"{condition.loss}/loss") if condition and new else None, condition)
            drawn |= set() if condition is None else {condition.loss}
        for bands in (self.losses, self.curves):
            for band in bands:
                _to_the_middle(band)
            sheet.part(*bands, gap=0.17)

    def _band(self, band: Band, curve: Tensor | None, condition: Condition | None) -> None:
        if curve is None or condition is None:
            band.show(torch.empty(0), None)
            return
        mean = over_pairs(over_ends(curve))
        band.show(positions(curve.shape[1]), mean, text(NAMES[condition.name][1]))
        band.area.set_clip_on(True)


def _to_the_middle(band: Band) -> None:
    """Move the label of a curve to the height of its middle: at the end all curves meet."""
    heights = torch.as_tensor(band.line.get_ydata())
    if band.name.get_visible():
        band.name.set_y(float(heights[len(heights) // 2]))


def _points(points: sheet.Points, heights: Tensor, mean: Mean, seen: Tensor) -> None:
    """Draw means with horizontal error bars."""
    at, value, error = heights[seen], mean.value[seen], mean.error[seen]
    points.points.set_data(value.numpy(), at.numpy())
    ends = torch.stack([torch.stack([value - error, at], 1), torch.stack([value + error, at], 1)], 1)
    points.bars.set_verts(list(ends.numpy()), closed=False)


def sceptic(seed: int) -> Explorer:
    """What each objection leaves of the bump."""
    picture = Sceptic()

    def render(*, objection: str, curve_of: str) -> tuple[Figure, str]:
        picture.show(objection, curve_of)
        return picture.figure, sentence(objection, curve_of)

    return Explorer(
        render,
        [switch("objection", tuple(OBJECTIONS)), switch("curve_of", MEASURES)],
        title=text("05.sceptic.title"),
        code=code,
    )


def sentence(objection: str, measure: str) -> str:
    """Say the bump of each condition in one measure, with its error, and how flat its road is."""
    parts = []
    for condition in OBJECTIONS[objection]:
        ratios = measured(condition, measure)
        if ratios is not None:
            ratio = with_error(over_pairs(ratios), "all")
            parts.append(text("05.sceptic.part", condition=text(NAMES[condition.name][0]), ratio=ratio))
    known: dict[str, Any] = {
        "measure": option_text(measure, "05.of.trace", "05.of.top", "05.of.adaptive"),
        "parts": "; ".join(parts),
    }
    return text("05.sceptic.sentence", **known, note=option_text(objection, *SCEPTIC_KEYS, **notes(objection)))


def notes(objection: str) -> dict[str, str]:
    """Return the numbers that the last sentence of an objection asks for: bumps of data loss and objective."""
    kinds = {condition.loss for condition in OBJECTIONS[objection]}
    numbers = {f"{kind}_data": with_error(over_pairs(bump(kept(f"{kind}/data_loss"))), "all") for kind in kinds}
    return numbers | {f"{kind}_loss": with_error(over_pairs(bump(kept(f"{kind}/loss"))), "all") for kind in kinds}


def code(*, objection: str, curve_of: str) -> str:
    """Return lines that read the bump of the last condition with this measure."""
    rows = [condition for condition in OBJECTIONS[objection] if curve_of in condition.keys]
    key = rows[-1].keys[curve_of]
    read = f'recorded.load("bump")["{key}"]'
    if not has(key):
        table, number = ("rise", key[4:]) if key.startswith("rise") else ("share_rise", key[5:])
        read = f'recorded.load("bump")["string/{table}"][..., {number}]'
    return (
        "from entropic_edu import recorded\n"
        f"values = {read}  # (pairs, 21 positions)\n"
        "bump = values[:, 7:14].mean(1) / values[:, [0, -1]].mean(1)\n"
        "print(bump.mean(), bump.std() / len(bump) ** 0.5)  # entropic-edu record bump makes all anew"
    )

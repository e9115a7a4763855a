"""Round 2: a band between two networks relaxes into a road; four methods, three first guesses, recorded or live."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from entropic_edu.course import digits
from entropic_edu.figures.plots import BLACK, DASHES, labelled
from entropic_edu.physics.path import Path
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import one_road
from entropic_edu.stream import connect
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, end_label, moving
from entropic_edu.teaching.strings import option_text, text

from .common import COLOURS, GUESSES, METHODS, STROKES, Outlined, draw_plane, ends, kept, least_and_most, plane

BAND_METHOD_KEYS = (
    "control.band_method.string",
    "control.band_method.neb",
    "control.band_method.autoneb",
    "control.band_method.bezier",
)
METHOD_KEYS = ("04.method.string", "04.method.neb", "04.method.autoneb", "04.method.bezier")
GUESS_KEYS = ("04.guess.straight", "04.guess.near", "04.guess.far")

FRAMES = tuple(one_road.RECIPE["frames"])
POINTS, TOTAL = one_road.RECIPE["points"], one_road.RECIPE["connect"]["sweeps"]
COLUMNS = {name: number for number, name in enumerate(one_road.COLUMNS)}
ENDING = {name: number for number, name in enumerate(one_road.ENDING)}
NAMED = {1e-5: "10⁻⁵", 1e-2: "10⁻²"}
SCALES = {  # of the panels of finished roads: limits and ticks
    "highest": ((0.022, 3.0), (0.03, 1)),
    "length": ((13, 200), (20, 100)),
    "scallop": ((3e-6, 0.1), (1e-5, 1e-2)),
}


@dataclass(frozen=True, eq=False)
class Bands(Result):
    """Bands under way or finished, by method, and the sweep of the last of them."""

    paths: dict[str, Path] = field(default_factory=dict)
    sweep: int = 0


def chosen(method: str) -> tuple[str, ...]:
    """Return the methods that are shown."""
    return METHODS if method == "all" else (method,)


def relax(method: str, guess: str) -> Iterator[Snapshot[Bands]]:
    """Yield the band of pair 0 while it relaxes, with the seeds of the recording; all methods one after another."""
    names, a_b = chosen(method), ends(0)
    total, paths = TOTAL * len(names), {}
    for number, name in enumerate(names):
        for snapshot in connect(digits.land(), *a_b, **one_road.settings(name, guess, 0)):
            paths[name] = snapshot.result
            complete = snapshot.result.complete and number == len(names) - 1
            make = partial(Bands, dict(paths), snapshot.done, complete=complete)
            note = text("04.band.note", method=option_text(name, *BAND_METHOD_KEYS), pivots=len(snapshot.result.pivots))
            yield Snapshot(number * TOTAL + snapshot.done, total, note, make)


def recorded_frame(method: str, guess: str, sweep: int) -> tuple[Tensor, Tensor]:
    """Return u, v and objective at even positions of a recorded band, (33, 3), and its numbers, ``COLUMNS``."""
    row = FRAMES.index(sweep)
    return kept(f"band/{method}/{guess}")[row], kept(f"table/{method}/{guess}")[row]


def ends_objective() -> float:
    """Return the objective at the higher end of pair 0."""
    return float(digits.line_loss(0)[[0, -1]].max())


class Finished:
    """What each method found from one first guess, a point for each pair: highest objective, length, scallops."""

    def __init__(self, figure: Figure) -> None:
        figure.text(0.572, 0.425, text("04.panel.finished"), fontsize=11, va="bottom")
        self.points: dict[tuple[str, str], Line2D] = {}
        for left, (name, (limits, ticks)) in zip((0.71, 0.81, 0.91), SCALES.items(), strict=True):
            ax = figure.add_axes((left, 0.13, 0.075, 0.22))
            labelled(ax, "", "")
            ax.set_title(
                option_text(name, "04.finished.highest", "04.finished.length", "04.finished.scallop"),
                fontsize=sheet.SMALL,
                loc="left",
            )
            ax.set(xscale="log", xlim=limits, ylim=(-0.5, 3.5), yticks=[])
            ax.set_xticks(ticks, [NAMED.get(tick, f"{tick:g}") for tick in ticks])
            ax.minorticks_off()
            for method in METHODS:
                self.points[name, method] = moving(ax, colour=COLOURS[method], dash="", marker="o", ms=5, alpha=0.7)
        for row, method in enumerate(METHODS):
            height = 0.13 + 0.22 * (3.5 - row) / 4
            sample = Line2D([0.572, 0.612], [height, height], color=COLOURS[method], lw=2.2)
            sample.set(transform=figure.transFigure, linestyle=STROKES[method])
            figure.add_artist(sample)
            figure.text(0.618, height, option_text(method, *BAND_METHOD_KEYS), fontsize=sheet.SMALL, va="center")

    def show(self, guess: str) -> None:
        """Draw the finished roads of a first guess."""
        for (name, method), points in self.points.items():
            values = kept(f"final/{method}/{guess}")[:, ENDING[name]]
            points.set_data(values, torch.full_like(values, 3 - METHODS.index(method)))


class Band:
    """The plane with the bands, the objective along them, and the table."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.plane = draw_plane(self.figure, (0.085, 0.31, 0.47, 0.63))
        self.guess = Outlined(self.plane, BLACK, ":")
        box = {"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 1}
        self.plane.text(-2.2, 7.2, text("04.label.guess"), fontsize=sheet.SMALL, va="center", bbox=box)
        self.bands = {name: Outlined(self.plane, COLOURS[name], STROKES[name]) for name in METHODS}
        self.ax = ax = self.figure.add_axes((0.645, 0.62, 0.25, 0.31))
        labelled(ax, text("04.axis.position"), "", text("04.panel.band")).title.set_fontsize(11)
        ax.set(yscale="log", ylim=(0.018, 4), xlim=(0, 1))
        ax.set_yticks([0.03, 0.1, 1], ["0.03", "0.1", "1"])
        ax.minorticks_off()
        ax.axhline(ends_objective(), color=GREY, lw=1, ls=DASHES[3])
        ax.text(1.03, ends_objective(), text("04.label.higher_end"), color=GREY, fontsize=sheet.SMALL, va="center")
        self.curves = {name: moving(ax, colour=COLOURS[name], dash=STROKES[name]) for name in METHODS}
        self.ghost = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = end_label(ax, text("say.prediction"), GREY)
        self.bet.set_horizontalalignment("center")
        self.finished = Finished(self.figure)

    def show(self, guess: str, bands: dict[str, Tensor]) -> None:
        """Draw bands, (points, 3) each: u, v and objective."""
        start = recorded_frame("string", guess, 0)[0]
        self.guess.show(start[:, :2])
        even = torch.linspace(0, 1, POINTS)
        for name in METHODS:
            band = bands.get(name)
            self.bands[name].show(None if band is None else band[:, :2])
            self.curves[name].set_data(([], []) if band is None else (even, band[:, 2]))
        self.finished.show(guess)

    def predicted(self, share: float | None) -> None:
        """Draw the bet: what share of the hill's height above the ends stays."""
        for artist in (self.ghost, self.bet):
            artist.set_visible(share is not None)
        if share is not None:
            base = ends_objective()
            height = base + share * (float(digits.line_loss(0).max()) - base)
            self.ghost.set_data([0.3, 0.7], [height, height])
            self.bet.set_position((0.5, 1.6 * height))


def outcome(name: str, row: Tensor) -> str:
    """Return what a band is like, from its row of ``COLUMNS``."""
    values = {column: float(row[number]) for column, number in COLUMNS.items()}
    return text("04.band.told", method=option_text(name, *METHOD_KEYS), **values)


def over_pairs(method: str, guess: str) -> str:
    """Return what the finished roads of a method are like over the pairs, and how far from those of another guess."""
    final = kept(f"final/{method}/{guess}")
    words = " " + text(
        "04.band.finished",
        barrier=least_and_most(final[:, ENDING["barrier"]], 2),
        length=least_and_most(final[:, ENDING["length"]]),
        scallop=least_and_most(final[:, ENDING["scallop"]], 1),
    )
    if guess == "straight":
        return words
    names = [(each, other) for each in METHODS for other in GUESSES]
    apart = kept("apart")[:, names.index((method, guess)), names.index((method, "straight"))]
    words += " " + text("04.band.apart", apart=least_and_most(apart, 2))
    patient = one_road.RECIPE["patient"]
    if guess == "far" and method in patient["methods"]:
        longer = kept(f"patient/{method}")
        words += " " + text(
            "04.band.patient",
            sweeps=patient["sweeps"],
            barrier=least_and_most(longer[:, ENDING["barrier"]], 2),
            apart=least_and_most(longer[:, len(ENDING)], 2),
        )
    return words


def band(seed: int) -> Explorer:
    """A band of networks, relaxed by one of four methods from one of three first guesses; the seed draws nothing."""
    picture = Band()

    def render(
        *, band_method: str, first_guess: str, band_sweeps: int, ghost: float | None = None
    ) -> tuple[Figure, str]:
        both = {name: recorded_frame(name, first_guess, band_sweeps) for name in chosen(band_method)}
        picture.show(first_guess, {name: points for name, (points, _) in both.items()})
        picture.predicted(ghost)
        words = text(
            "04.band.recorded",
            guess=option_text(first_guess, *GUESS_KEYS),
            sweep=band_sweeps,
            sweeps=TOTAL,
            ends=ends_objective(),
            bands=" ".join(outcome(name, row) for name, (_, row) in both.items()),
        )
        ended = band_sweeps == TOTAL and band_method != "all"
        return picture.figure, words + (over_pairs(band_method, first_guess) if ended else "")

    def show(bands: Bands, *, band_method: str, first_guess: str, band_sweeps: int) -> tuple[Figure, str]:
        both = {
            name: one_road.table(digits.land(), plane(), path, bands.sweep, POINTS)
            for name, path in bands.paths.items()
        }
        picture.show(first_guess, {name: points for name, (points, _) in both.items()})
        picture.predicted(None)
        return picture.figure, text(
            "04.band.live",
            guess=option_text(first_guess, *GUESS_KEYS),
            sweep=bands.sweep,
            sweeps=TOTAL,
            ends=ends_objective(),
            bands=" ".join(outcome(name, row) for name, (_, row) in both.items()),
        )

    return Explorer(
        render,
        [
            switch("band_method", (*METHODS, "all")),
            switch("first_guess", GUESSES),
            slider("band_sweeps", FRAMES, FRAMES[-1]),
        ],
        title=text("04.band.title"),
        code=code,
        work=Work(
            stream=lambda band_method, first_guess, band_sweeps: relax(band_method, first_guess),
            show=show,
            units=lambda band_method, first_guess, band_sweeps: TOTAL * len(chosen(band_method)),
            frame=partial(frame, picture),
        ),
    )


def frame(picture: Band, bands: Bands, *, band_method: str, first_guess: str, band_sweeps: int) -> tuple[Figure, str]:
    """Draw bands under way."""
    last = list(bands.paths)[-1]  # only this one moves
    path = bands.paths[last].resample(POINTS)
    with torch.no_grad():
        height = digits.land().loss(path.pivots)
    picture.show(first_guess, {last: torch.cat([plane().coordinates(path.pivots), height[:, None]], 1)})
    picture.predicted(None)
    method = option_text(last, *METHOD_KEYS)
    return picture.figure, text("04.band.moving", method=method, sweep=bands.sweep, highest=float(height.max()))


def code(*, band_method: str, first_guess: str, band_sweeps: int) -> str:
    """Return the lines that read the recorded band and make its finished road anew."""
    method = chosen(band_method)[0]
    return (
        "from entropic_edu import recorded\n"
        "from entropic_edu.recorded import one_road, roads\n"
        f'band = recorded.load("one_road")["band/{method}/{first_guess}"][{FRAMES.index(band_sweeps)}]\n'
        "land, (a, b) = roads.landscape(), roads.road(0).pivots[[0, -1]]\n"
        f'road = ee.connect(land, a, b, **one_road.settings("{method}", "{first_guess}", 0))  # anew, in seconds'
    )

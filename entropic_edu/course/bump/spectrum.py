"""Round 2: all eigenvalues of the Hessian along the road, not their sum alone."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from .common import COUNT, PAIRS, kept, named, over_ends, over_pairs, positions, profile, with_error

PLACES = tuple(round(0.05 * place, 2) for place in range(21))
LEVELS = torch.logspace(-2.1, 1.1, 65, dtype=torch.float64)  # eigenvalues at which the curve is drawn
BLUR = 0.05  # decades; each Gauss quadrature is a comb
THRESHOLDS = (0.03, 0.1, 0.3, 1.0, 2.0)
TOP = 10
RANKS = (1, 10, 100, 200)  # of which the sentence tells
GHOSTS = {"one": (2.5, 3.0), "large": (2.5, 30.0), "all": (2.5, math.inf)}  # factor, and the rank where it ends


class Line(NamedTuple):
    """How one of the parts of the trace is drawn."""

    colour: str
    dash: object


PARTS = {"top": Line(RED, "-"), "ten": Line(PURPLE, "--"), "rest": Line(GREEN, "-.")}


def above(nodes: Tensor, weights: Tensor, levels: Tensor, dim: int) -> Tensor:
    """Return how many eigenvalues lie above each level, per probe, (..., V, m) -> (..., V, L).

    The ten largest nodes of a probe are eigenvalues, which Lanczos finds first: each counts as one, whatever its
    weight, which hangs on the probe. The rest of the weights stands for all other eigenvalues.
    """
    nodes, order = nodes.sort(-1)
    weights = weights.gather(-1, order)
    low = weights[..., :-TOP]
    low = low * (1 - TOP / dim) / low.sum(-1, keepdim=True)
    share = torch.cat([low, torch.full_like(weights[..., -TOP:], 1 / dim)], -1)
    size = nodes.clamp(min=1e-12).log10()[..., None, :]
    step = 0.5 * torch.erfc((levels.log10()[:, None] - size) / (BLUR * math.sqrt(2)))
    return dim * (step * share[..., None, :]).sum(-1)


@cache
def counts(pair: int) -> Tensor:
    """Return the number of eigenvalues above ``LEVELS`` along a road, (n, V, L)."""
    measured = profile(pair)
    return above(measured.nodes.double(), measured.weights.double(), LEVELS, measured.dim)


@cache
def parts(pair: int) -> dict[str, Tensor]:
    """Return λmax, the sum of the ten largest eigenvalues, and the rest of the trace along a road, (n,) each.

    The ten largest are the mean over the probes of the ten largest nodes, which Lanczos finds first.
    """
    measured = profile(pair)
    ten = measured.nodes.double().sort(-1).values[..., -TOP:].sum(-1).mean(-1)
    return {"top": measured.top_eigenvalue.double(), "ten": ten, "rest": measured.trace.double() - ten}


def number_above(threshold: float) -> Tensor:
    """Return how many eigenvalues lie above a threshold, per probe, (pairs, n, V)."""
    level = torch.tensor([threshold], dtype=torch.float64)
    profiles = [profile(pair) for pair in range(COUNT)]
    return torch.stack([above(one.nodes.double(), one.weights.double(), level, one.dim)[..., 0] for one in profiles])


def rank_ratio(rank: int) -> Tensor:
    """Return the converged eigenvalue of a rank in the middle over its mean at the two ends, (pairs,)."""
    values = kept("eigenvalues")[..., rank - 1]
    return values[:, 1] / values[:, [0, 2]].mean(1)


class Spectrum:
    """Number of eigenvalues above λ; beside it that number at one λ, and the parts of the trace, along the road."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.where = positions(len(PLACES))
        self.ax = ax = self.figure.add_axes((0.085, 0.125, 0.425, 0.8))
        labelled(ax, text("05.axis.eigenvalue"), "", text("05.panel.above")).title.set_fontsize(11)
        ax.set(xscale="log", yscale="log", xlim=(0.01, 12), ylim=(0.7, 900))
        ax.set_yticks([1, 10, 100], ["1", "10", "100"])
        ax.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        ax.minorticks_off()
        self.level = moving(ax, colour=BLACK, dash=":", width=1.5)
        self.bands = {
            "ghost": Band(ax, colour=GREY, dash=(0, (3, 2)), width=4),
            "start": Band(ax, colour=GREY, dash="--"),
            "end": Band(ax, colour=BLACK, dash=DASHES[3]),
            "here": Band(ax),
        }
        self.exact = moving(ax, colour=RED, dash="", marker="x", ms=6)
        self.names = [
            ax.text(
                0.0115,
                5.2 / 1.6**row,
                option_text(key, "05.spectrum.key.here", "05.spectrum.key.start", "05.spectrum.key.end"),
                fontsize=sheet.SMALL,
                color=ink,
            )
            for row, (key, ink) in enumerate((("here", BLUE), ("start", GREY), ("end", BLACK)))
        ]
        self.crosses = ax.text(
            0.0115,
            5.2 / 1.6**3,
            text("05.spectrum.key.exact"),
            fontsize=sheet.SMALL,
            color=sheet.INK[RED],
            animated=True,
        )
        self.bet = ax.text(0.0115, 8.3, text("05.spectrum.key.bet"), fontsize=sheet.SMALL, color=GREY, animated=True)
        self._right()

    def _right(self) -> None:
        upper = self.figure.add_axes((0.655, 0.61, 0.215, 0.315))
        labelled(upper, "", "", text("05.panel.number")).title.set_fontsize(11)
        upper.set(xlim=(0, 1), ylim=(0, 6))
        upper.axhline(1, color=GREY, lw=1)
        upper.tick_params(labelbottom=False)
        lower = self.figure.add_axes((0.655, 0.125, 0.215, 0.36))
        labelled(lower, text("05.axis.position"), "", text("05.panel.parts")).title.set_fontsize(11)
        lower.set(xlim=(0, 1), ylim=(0, 4))
        lower.axhline(1, color=GREY, lw=1)
        self.number = Band(upper, colour=BLUE)
        self.parts = {part: Band(lower, colour=line.colour, dash=line.dash) for part, line in PARTS.items()}
        self.marks = [(each, moving(each, colour=GREY, dash=":", width=1.5)) for each in (upper, lower)]

    def show(self, place: float, pair: int, threshold: float, ghost: tuple[float, float] | None) -> None:
        """Draw the spectrum of a pair, counted from 0, at a place, and what was predicted for the middle."""
        here = round(place * (len(PLACES) - 1))
        count = counts(pair)
        for name, row in (("start", 0), ("end", -1), ("here", here)):
            each = count[row]
            self.bands[name].show(LEVELS, Mean(each.mean(0), each.std(0) / len(each) ** 0.5))
        self.bands["ghost"].show(*self._bet(count[[0, -1]].mean((0, 1)), ghost))
        self.bet.set_visible(ghost is not None)
        self._exact(pair, place)
        self.level.set_data([threshold, threshold], [16, self.ax.get_ylim()[1]])  # above the key
        self.number.show(self.where, _ratio(number_above(threshold)[pair]))
        for part, band in self.parts.items():
            band.show(
                self.where,
                exact(over_ends(parts(pair)[part])),
                option_text(part, "05.label.top", "05.label.ten", "05.label.rest"),
            )
        sheet.part(*self.parts.values(), gap=0.11)
        for ax, mark in self.marks:
            mark.set_data([place, place], ax.get_ylim())

    def _bet(self, ends: Tensor, ghost: tuple[float, float] | None) -> tuple[Tensor, Mean | None]:
        """Return the ends' curve with each rank moved by the predicted factor, which fades to 1 at a rank."""
        if ghost is None:
            return LEVELS, None
        factor, last = ghost
        share = (ends.clamp(min=1).log10() / math.log10(last)).clamp(max=1)
        return LEVELS * factor ** (1 - share), exact(ends)

    def _exact(self, pair: int, place: float) -> None:
        """Draw eigenvalues that have converged, where they were found."""
        known = {0.0: 0, 0.5: 1, 1.0: 2}
        seen = place in known
        self.crosses.set_visible(seen)
        self.exact.set_visible(seen)
        if seen:
            values = kept("eigenvalues")[pair, known[place]]
            rank = torch.tensor([1, 2, 3, 5, 8, 14, 25, 45, 80, 120, 200])
            self.exact.set_data(values[rank - 1].numpy(), (rank - 0.5).numpy())


def _ratio(number: Tensor) -> Mean:
    """Return a number along the road over its mean at the ends, with the error over the probes, (n, V) -> (n,)."""
    each = number / number[[0, -1]].mean()
    return Mean(each.mean(-1), each.std(-1) / each.shape[-1] ** 0.5)


def spectrum(seed: int) -> Explorer:
    """The whole spectrum at a place of the road, with the ends beside it."""
    picture = Spectrum()

    def render(
        *, ghost: tuple[float, float] | None = None, at_position: float, counted_above: float, one_pair: str
    ) -> tuple[Figure, str]:
        picture.show(at_position, int(one_pair) - 1, counted_above, ghost)
        return picture.figure, sentence(at_position, int(one_pair) - 1, counted_above)

    return Explorer(
        render,
        [slider("at_position", PLACES, 0.5), slider("counted_above", THRESHOLDS, 0.3), switch("one_pair", PAIRS[1:])],
        title=text("05.spectrum.title"),
        code=code,
    )


def sentence(place: float, pair: int, threshold: float) -> str:
    """Say what the spectrum of a pair is at a place, and by how much its parts are larger in the middle."""
    here, measured = round(place * (len(PLACES) - 1)), profile(pair)
    number = number_above(threshold)[pair]  # (n, V)
    each = number[here]
    return text(
        "05.spectrum.sentence",
        pair=named(str(pair + 1)),
        place=place,
        top=float(measured.top_eigenvalue[here]),
        trace=float(measured.trace[here]),
        smallest=float(measured.smallest_eigenvalue[here]),
        threshold=threshold,
        number=float(each.mean()),
        error=float(each.std() / len(each) ** 0.5),
        ends=float(number[[0, -1]].mean()),
        dim=measured.dim,
        **{f"rank{rank}": with_error(over_pairs(rank_ratio(rank)), "all") for rank in RANKS},
    )


def code(*, at_position: float, counted_above: float, one_pair: str) -> str:
    """Return lines that count the eigenvalues above the threshold."""
    return (
        "from entropic_edu import recorded\n"
        f'profile = recorded.load("bump")["pair{int(one_pair) - 1}/profile"]\n'
        f"number = profile.spectral_sum(lambda node: (node > {counted_above}).float())  # (positions, probes)\n"
        f"print(number[{round(at_position * (len(PLACES) - 1))}].mean())  # not blurred, so a little different"
    )

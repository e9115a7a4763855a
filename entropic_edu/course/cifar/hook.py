"""Before round 1: the story of the digits on photographs, in three pictures; the button trains two networks now."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, GREEN, RED
from entropic_edu.physics.train import Run
from entropic_edu.recorded import cifar10
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import text

from . import live
from .common import STARTS, code, even, of_start, on_digits, over_ends, over_pairs, panel, times

PLACES = tuple(round(0.1 * place, 1) for place in range(11))


@cache
def curves() -> dict[str, Tensor]:
    """Return what is drawn along the way between two ends, all pairs, (pairs, n) each."""
    valley = recorded.load("valley")
    return {
        "line": cifar10.every("line_objective"),
        "road": cifar10.every("road_objective"),
        "digits line": torch.stack([valley[f"pair{pair}/line_loss"] for pair in range(5)]).double(),
        "trace": over_ends(cifar10.along("trace")),
        "digits trace": over_ends(on_digits("trace")),
    }


def at(name: str, place: float) -> float:
    """Return the mean over the pairs of a curve at a place, on straight lines between its points."""
    values = curves()[name].mean(0)
    exactly = place * (len(values) - 1)
    low = min(int(exactly), len(values) - 2)
    return float(torch.lerp(values[low], values[low + 1], exactly - low))


class Three:
    """Hill and road at the left; width of the road, and walkers on it, at the right."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        top = 1.12 * max(float(curves()[name].max()) for name in ("line", "digits line"))
        between, right = text("09.axis.between"), 0.62
        hill = panel(self.figure, (0.07, 0.125, 0.4, 0.79), text("09.panel.hill"), between, xlim=(0, 1), ylim=(0, top))
        width = panel(self.figure, (right, 0.6, 0.26, 0.315), text("09.panel.width"), "", xlim=(0, 1), ylim=(0, 4))
        last = float(times("hot")[-1])
        walk = panel(
            self.figure, (right, 0.125, 0.26, 0.315), text("09.panel.walkers"), text("09.axis.time"), xlim=(0, last)
        )
        walk.set_ylim(0, 1)
        self.line = Band(hill, colour=RED, dash="--", label=text("09.label.line"))
        self.now = moving(hill, colour=GREEN, width=2.5, marker="D", ms=4)
        self.road = Band(hill, label=text("09.label.road"))
        self.digits = [Band(ax, colour=GREY, dash=":", label=text("09.label.digits")) for ax in (hill, width)]
        self.trace = Band(width, label=text("09.label.photographs"))
        self.walkers = [(Band(walk), Band(walk, colour=BLACK, dash=":")) for _ in STARTS]
        self.marks = [(ax, moving(ax, colour=GREY, width=1)) for ax in (hill, width)]

    def show(self, place: float, now: Tensor | None = None) -> None:
        """Draw the means over the pairs, a place on them, and the line between two networks that learn now."""
        means = {name: over_pairs(values) for name, values in curves().items()}
        bands = (self.line, self.road, self.digits[0], self.trace, self.digits[1])
        for band, mean in zip(bands, means.values(), strict=True):
            band.show(even(len(mean.value)), mean)
        for band, mean, times_peak in zip(bands[:3], means.values(), (1.05, 0.85, 1.05), strict=False):
            band.name.set_position((0.5, times_peak * float(mean.value.max())))
            band.name.set_horizontalalignment("center")
            band.name.set_bbox({"facecolor": "white", "lw": 0, "pad": 1})  # the mark crosses it
        sheet.part(self.trace, self.digits[1], gap=0.12)
        self.now.set_data(([], []) if now is None else (even(len(now)).numpy(), now.numpy()))
        for start, (run, control) in zip(STARTS, self.walkers, strict=True):
            run.show(times("hot"), over_pairs(of_start("hot", start)), text("09.label.noise") if start < 0.5 else "")
            still = over_pairs(of_start("no noise", start))
            control.show(times("no noise"), still, text("09.label.control") if start < 0.5 else "")
        sheet.part(*self.walkers[0], gap=0.12)
        for ax, mark in self.marks:
            mark.set_data([place, place], ax.get_ylim())


def three(seed: int) -> Explorer:
    """Hill, width and walkers on photographs, with those of digits beside them."""
    picture = Three()

    def render(*, at_position: float) -> tuple[Figure, str]:
        picture.show(at_position)
        return picture.figure, sentence(at_position)

    def show(run: Run, *, at_position: float) -> tuple[Figure, str]:
        now = live.line(live.landscape(), run)
        picture.show(at_position, now)
        known = {"step": run.step, "steps": run.steps, "seen": live.SEEN}
        return picture.figure, text("09.hook.live", ends=float(now[[0, -1]].mean()), top=float(now.max()), **known)

    work = live.work(
        text("09.hook.what"),
        lambda land, **_: live.trained(land, seed),
        show,
        lambda **_: live.STEPS,
        frame=True,
    )
    return Explorer(render, [slider("at_position", PLACES, 0.5)], title=text("09.hook.title"), code=lines, work=work)


def sentence(place: float) -> str:
    """Say what stands on line and road at a place, and where walkers ended."""
    ends = {name: float(of_start(name, STARTS[0])[:, -1].mean()) for name in ("hot", "no noise")}
    return text(
        "09.hook.sentence",
        place=place,
        line=at("line", place),
        road=at("road", place),
        trace=at("trace", place),
        digits=at("digits trace", place),
        noisy=ends["hot"],
        still=ends["no noise"],
    )


def lines(*, at_position: float) -> str:
    """Return code that reads the height of line and road at this place."""
    return code(
        'line, road = cifar10.every("line_objective"), cifar10.every("road_objective")',
        f"print(line[:, {round(24 * at_position)}].mean(), road[:, {round(48 * at_position)}].mean())",
    )

"""Round 3, what is shown: width and test accuracy of the road at the left, the walkers' way at the right."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from . import release as walkers
from .common import apart, boxed_label, kept, over
from .release import BATCHES, EVEN, LIVE_STEPS, NOISES, ROADS, STARTS, kind_of

STEPS = 1980  # of the recorded releases
LATEST = 1.02 * STEPS


class Walk:
    """Four panels: tr H and test accuracy along the road; position and test accuracy against the step."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        places = {
            "trace": (0.075, 0.61, 0.33, 0.32),
            "along": (0.075, 0.125, 0.33, 0.32),
            "position": (0.5, 0.61, 0.36, 0.32),
            "accuracy": (0.5, 0.125, 0.36, 0.32),
        }
        self.axes = {name: self.figure.add_axes(place) for name, place in places.items()}
        labels = {"along": "position", "accuracy": "step"}
        for name, ax in self.axes.items():
            labelled(
                ax,
                option_text(labels[name], "08.axis.position", "08.axis.step") if name in labels else "",
                "",
                option_text(name, "08.walk.trace", "08.walk.along", "08.walk.position", "08.walk.accuracy"),
            )
            ax.title.set_fontsize(11)
        for name in ("trace", "along"):
            self.axes[name].set_xlim(-0.02, 1.02)
        for name in ("position", "accuracy"):
            self.axes[name].set_xlim(0, LATEST)
        self.axes["trace"].set(yscale="log", ylim=(10, 200))
        self.axes["trace"].set_yticks([10, 20, 50, 100, 200], ["10", "20", "50", "100", "200"])
        self.axes["trace"].minorticks_off()
        self.axes["position"].set_ylim(-0.02, 1.02)
        for name in ("along", "accuracy"):
            self.axes[name].set_ylim(0.2, 1.02)
        self.trace, self.along = Band(self.axes["trace"], colour=RED), Band(self.axes["along"], colour=BLUE)
        self.begin = [self._symbol(name, mfc="white") for name in ("trace", "along")]
        self.end = [self._symbol(name, mfc=BLACK) for name in ("trace", "along")]
        self.law = moving(self.axes["position"], colour=PURPLE, dash=DASHES[2])
        self.way = Band(self.axes["position"], colour=BLUE)
        self.law_name = sheet.end_label(self.axes["position"], text("say.theory"), PURPLE)
        self.own = Band(self.axes["accuracy"], colour=RED, dash=DASHES[1])
        self.nearest = Band(self.axes["accuracy"], colour=BLUE)
        self.calm = sheet.Points(self.axes["accuracy"], colour=GREEN, marker="D", size=8)
        self.calm_name = sheet.end_label(self.axes["accuracy"], text("08.label.cooled"), GREEN)
        self.ghost = moving(self.axes["position"], colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = boxed_label(self.axes["position"], text("say.prediction"), GREY, ha="center")

    def _symbol(self, name: str, **kwargs: Any) -> Any:
        return moving(self.axes[name], colour=BLACK, dash="", marker="o", ms=8, mew=1.8, **kwargs)

    def road(self, which: str, shown: str, start: float, end: float) -> None:
        """Draw width and test accuracy along the road; open circle: release, full circle: the end."""
        trace, accuracy = walkers.profile(which, shown), walkers.accuracy_along(which, shown)
        positions = torch.linspace(0, 1, len(trace.value), dtype=torch.float64)
        self.trace.show(positions, trace)
        self.along.show(EVEN, accuracy)
        for symbols, place in ((self.begin, start), (self.end, end)):
            there = torch.tensor(place, dtype=torch.float64)
            for symbol, curve in zip(symbols, (trace.value, accuracy.value), strict=True):
                symbol.set_data([place], [float(walkers.at(curve, there))])

    def way_of(
        self, step: Tensor, position: Mean, nearest: Mean, own: Mean | None = None, cooled: Mean | None = None
    ) -> None:
        """Draw position and test accuracy against the step."""
        self.way.show(step, position, text("08.label.walkers"))
        self.nearest.show(step, nearest, text("08.label.nearest"))
        self.own.show(step, own, text("08.label.own"))
        last = torch.tensor([STEPS], dtype=torch.float64)
        self.calm.show(last, None if cooled is None else Mean(cooled.value[None], cooled.error[None]))
        self.calm_name.set_visible(cooled is not None)
        if cooled is not None:
            self.calm_name.set_position((1.03 * STEPS, float(cooled.value)))
        apart([self.nearest.name, self.own.name, self.calm_name], 0.09)

    def law_of(self, law: Tensor | None) -> None:
        """Draw what the law of label noise says of the recorded release; None where it says nothing."""
        self.law.set_data(([], []) if law is None else (kept("step").numpy(), law.numpy()))
        self.law_name.set_visible(law is not None)
        if law is not None:
            self.law_name.set_position((1.015 * STEPS, float(law[-1])))
        apart([self.way.name, self.law_name], 0.1)

    def predicted(self, ghost: float | None, start: float) -> None:
        """Draw a bet: where the walkers end."""
        for artist in (self.ghost, self.bet):
            artist.set_visible(ghost is not None)
        if ghost is not None:
            self.ghost.set_data([0, STEPS], [start, ghost])
            self.bet.set_position((0.5 * STEPS, min(0.93, max(0.05, 0.5 * (start + ghost) - 0.12))))


def setting_of(bad_noise: str, batch_size: int, bad_road: str) -> str:
    """Name noise and road in a sentence."""
    noise = option_text(
        bad_noise, "08.noise.labels", "08.noise.batch", "08.noise.none", "08.noise.decay", batch_size=batch_size
    )
    return text("08.walk.setting", noise=noise, road=option_text(bad_road, "08.walk.found", "08.walk.matched"))


def released(count: int) -> str:
    """Return how many walkers there were, in words of a sentence."""
    return text("08.walk.walker" if count == 1 else "08.walk.walkers", count=count)


def leavers(count: int) -> str:
    """Return how many left the valley, as a sentence."""
    return text("08.walk.nobody" if count == 0 else "08.walk.left", count=count)


def sentence(bad_noise: str, batch_size: int, chosen: tuple[str, str, float, str]) -> str:
    """Say where recorded walkers ended; ``chosen`` is the road, the noise, the start and the pairs of ``tracks``."""
    road, _, start, pairs = chosen
    position, own = walkers.tracks(*chosen), walkers.tracks(*chosen, quantity="own")
    nearest, law, cooled = walkers.accuracy_at(*chosen), walkers.law(*chosen), walkers.cooled(*chosen)
    words = option_text(
        pairs,
        "08.walk.three",
        "08.walk.one",
        setting=setting_of(bad_noise, batch_size, road),
        count=released(1 if bad_noise in ("none", "decay") else 8),
        start=start,
        steps=STEPS,
        end=float(position.value[-1]),
        error=float(position.error[-1]),
        before=float(nearest.value[0]),
        after=float(nearest.value[-1]),
        own=float(own.value[-1]),
        left=leavers(walkers.left(*chosen)),
    )
    if cooled is not None and law is not None:
        words += " " + text("08.walk.labels", cooled=float(cooled.value), law=float(law[-1]))
    return words


def walk(seed: int) -> Explorer:
    """Show which way walkers go between a good minimum and a bad one, and what becomes of test accuracy."""
    picture = Walk()

    def render(
        *,
        bad_start: float,
        bad_noise: str,
        batch_size: int,
        bad_road: str,
        bad_pairs: str,
        ghost: float | None = None,
    ) -> tuple[Figure, str]:
        chosen = (bad_road, kind_of(bad_noise, batch_size), bad_start, bad_pairs)
        position, own = walkers.tracks(*chosen), walkers.tracks(*chosen, quantity="own")
        picture.road(bad_road, bad_pairs, bad_start, float(position.value[-1]))
        picture.way_of(kept("step"), position, walkers.accuracy_at(*chosen), own, walkers.cooled(*chosen))
        picture.law_of(walkers.law(*chosen))
        picture.predicted(ghost, bad_start)
        return picture.figure, sentence(bad_noise, batch_size, chosen)

    return Explorer(
        render,
        [
            slider("bad_start", STARTS, 0.95),
            slider("batch_size", BATCHES, 1),
            switch("bad_noise", NOISES),
            switch("bad_road", ROADS),
            switch("bad_pairs", ("three", "one")),
        ],
        title=text("08.walk.title"),
        code=code,
        work=Work(
            stream=lambda bad_start, bad_noise, batch_size, bad_road, **turned: walkers.live(
                bad_road, bad_noise, batch_size, bad_start
            ),
            show=partial(live, picture),
            frame=partial(live, picture),
            units=lambda **turned: LIVE_STEPS,
        ),
    )


def live(
    picture: Walk, release: Release, *, bad_start: float, bad_noise: str, batch_size: int, bad_road: str, **turned: Any
) -> tuple[Figure, str]:
    """Draw live walkers, and say where they are."""
    position = over(release.position.double().T)
    nearest = over(walkers.at(kept(f"{bad_road}/fine")[0], release.position).T)
    picture.road(bad_road, "one", bad_start, float(position.value[-1]))
    picture.way_of(release.step, position, nearest)
    picture.law_of(walkers.law(bad_road, kind_of(bad_noise, batch_size), bad_start, "one"))
    picture.predicted(None, bad_start)
    return picture.figure, text(
        "08.walk.live",
        setting=setting_of(bad_noise, batch_size, bad_road),
        count=released(release.position.shape[1]),
        start=bad_start,
        steps=int(release.step[-1]),
        end=float(position.value[-1]),
        error=float(position.error[-1]),
        after=float(nearest.value[-1]),
        left=leavers(int(release.left_valley.sum())),
    )


def code(*, bad_start: float, bad_noise: str, batch_size: int, bad_road: str, bad_pairs: str) -> str:
    """Return the lines that read the recorded walkers and make those of the first pair anew."""
    options = {"labels": "label_noise=0.5", "decay": "weight_decay=5e-4"}.get(bad_noise, "")
    noise = walkers.SAID.get(bad_noise, "none")
    again = "\nroad = minima.matched(land, road)" if bad_road == "matched" else ""
    return (
        "from entropic_edu import recorded\nfrom entropic_edu.recorded import bad_minima as minima, roads\n"
        'kept = recorded.load("bad_minima")\n'
        f'kept["{bad_road}/{kind_of(bad_noise, batch_size)}/position"]  # pairs, records, walkers of three starts\n'
        "# pair 0 anew:\n"
        f'land, road = minima.landscape({options}), roads.whole(kept["road"]){again}\n'
        f"release = ee.drift(land, road, **minima.settings('{noise}', {batch_size}))"
    )

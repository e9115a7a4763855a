"""Round 3: which way does noise go? Recorded walkers beside the control and theory, and live ones on one road."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import bad_minima
from entropic_edu.recorded.bad_minima import ROADS
from entropic_edu.stream import drift
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving, part
from entropic_edu.teaching.strings import option_text, text

from .common import SHOWN, column, land, over, pairs, shown_as
from .road import WHERE

RECIPE = recorded.load("bad_minima").recipe
CASES = {"noisy": ("matched", "label"), "batch": ("matched", "batch"), "trained": ("trained", "label")}  # road, noise
STARTS: tuple[float, ...] = tuple(RECIPE["starts"])
STEPS: int = RECIPE["drift"]["steps"]
LIVE_WALKERS, LIVE_STEPS = 16, 1050


def track(which: str, noise: str, start: float, shown: str) -> Mean:
    """Return the position of one start's walkers at each record, (R,); of one pair alone the error is over walkers."""
    each = pairs(f"{which}/{noise}/position", shown)[:, :, STARTS.index(start)]
    return over(each[0].T) if shown == "one" else over(each.mean(-1))


def law(which: str, noise: str, start: float, shown: str, name: str = "law") -> Tensor | None:
    """Return where theory has the walkers, (R,); None where the recorded profile has not their noise."""
    if noise == "batch":
        return None
    return pairs(f"{which}/{noise}/{name}", shown)[..., STARTS.index(start)].mean(0)


def accuracy_at(which: str, shown: str, position: float) -> float:
    """Return the held-out accuracy of the roads at a position, on straight lines between the measured ones."""
    return at(column(pairs(f"{which}/along", shown), "test").mean(0), position)


def at(curve: Tensor, position: float) -> float:
    """Return a curve that is given at even positions, on straight lines between them."""
    place = min(max(position, 0.0), 1.0) * (len(curve) - 1)
    left = min(int(place), len(curve) - 2)
    return float(torch.lerp(curve[left], curve[left + 1], place - left))


def effect(which: str, noise: str, start: float, shown: str) -> Mean:
    """Return how far noise moved the walkers towards the good end beyond the control at the end, over the pairs."""
    noisy, still = (pairs(f"{which}/{each}/position", shown)[:, -1, STARTS.index(start)] for each in (noise, "none"))
    return over(still.mean(-1) - noisy.mean(-1))


class Walk:
    """At the left tr H and held-out accuracy along the road; at the right position against steps."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.trace_ax = self.figure.add_axes((0.065, 0.6, 0.34, 0.33))
        self.test_ax = self.figure.add_axes((0.065, 0.12, 0.34, 0.33))
        self.ax = self.figure.add_axes((0.49, 0.12, 0.385, 0.81))
        labelled(self.trace_ax, "", "", text("08.walk.trace")).set(yscale="log", ylim=(5, 200), xlim=(-0.02, 1.02))
        self.trace_ax.set_yticks([5, 10, 20, 50, 100, 200], ["5", "10", "20", "50", "100", "200"])
        self.trace_ax.minorticks_off()
        labelled(self.test_ax, text("08.axis.position"), "", text("08.walk.along")).set(
            ylim=(0.65, 1.0), xlim=(-0.02, 1.02)
        )
        labelled(self.ax, text("08.axis.step"), "", text("08.walk.position")).set(ylim=(-0.02, 1.02), xlim=(0, STEPS))
        for ax in (self.trace_ax, self.test_ax, self.ax):
            ax.title.set_fontsize(11)
        self.trace = {name: Band(self.trace_ax, colour=RED if name == "matched" else GREY) for name in ROADS}
        named = (("matched", 0.04, 70), ("trained", 0.42, 5.7))
        for name, x, y in named:
            words = option_text(name, "08.label.matched", "08.label.trained")
            self.trace_ax.text(x, y, words, color=sheet.INK[RED] if name == "matched" else GREY, fontsize=sheet.SMALL)
        self.test = Band(self.test_ax, colour=GREEN)
        self.symbols = [
            (
                moving(ax, colour=BLACK, width=1.5),
                moving(ax, colour=BLACK, dash="", marker="o", ms=8, mew=1.8, mfc="white"),
            )
            for ax in (self.trace_ax, self.test_ax)
        ]
        self.full = [moving(ax, colour=BLACK, dash="", marker="o", ms=8) for ax in (self.trace_ax, self.test_ax)]
        self.fan = [moving(self.ax, colour=BLUE, width=1, alpha=0.6) for _ in STARTS]
        self.fan_still = [moving(self.ax, colour=BLACK, width=1, dash=":", alpha=0.6) for _ in STARTS]
        self.bands = {
            "noisy": Band(self.ax, width=3),
            "still": Band(self.ax, colour=BLACK, dash=":", width=2.2),
            "law": Band(self.ax, colour=PURPLE, dash=DASHES[2]),
            "ghost": Band(self.ax, colour=GREY, dash=(0, (3, 2)), width=3),
        }
        self.single = [moving(self.ax, colour=BLUE, width=0.6, alpha=0.5) for _ in range(LIVE_WALKERS)]

    def road(self, which: str, shown: str, start: float, end: float) -> None:
        """Draw width and accuracy along the road; open circle: release, full circle: the end."""
        for name, band in self.trace.items():
            band.show(WHERE, over(column(pairs(f"{name}/along", shown), "trace")), "")
            band.line.set_linewidth(2.4 if name == which else 1.0)
        self.test.show(WHERE, over(column(pairs(f"{which}/along", shown), "test")))
        for (line, begin), full, name in zip(self.symbols, self.full, ("trace", "test"), strict=True):
            values = column(pairs(f"{which}/along", shown), name).mean(0)
            ends = [at(values, start), at(values, end)]
            way = torch.linspace(start, end, 30).tolist()
            line.set_data(way, [at(values, place) for place in way])
            begin.set_data([start], ends[:1])
            full.set_data([end], ends[1:])

    def clear(self) -> None:
        """Take everything off the right panel."""
        for band in self.bands.values():
            band.show(torch.empty(0), None)
        for line in [*self.fan, *self.fan_still, *self.single]:
            line.set_data([], [])

    def show(self, which: str, noise: str, start: float, shown: str, ghost: float | None) -> None:
        """Draw recorded walkers of all starts, one of them with control and theory."""
        self.clear()
        step = recorded.load("bad_minima")["step"].double()
        for noisy, still, one in zip(self.fan, self.fan_still, STARTS, strict=True):
            noisy.set_data(step.numpy(), track(which, noise, one, shown).value.numpy())
            still.set_data(step.numpy(), track(which, "none", one, shown).value.numpy())
        end = track(which, noise, start, shown)
        self.bands["still"].show(step, track(which, "none", start, shown), text("08.label.control"))
        said = law(which, noise, start, shown)
        self.bands["law"].show(step, None if said is None else exact(said), text("say.theory"))
        self.bands["noisy"].show(step, end, text("08.label.walkers"))
        if ghost is not None:
            x = torch.tensor([0.5 * STEPS, float(STEPS)])
            self.bands["ghost"].show(x, exact(torch.full((2,), ghost)), text("say.prediction"))
        part(*self.bands.values(), gap=0.05)
        self.road(which, shown, start, float(end.value[-1]))

    def live(self, release: Release, which: str, start: float) -> float:
        """Draw walkers that go now; return where their mean is."""
        self.clear()
        step = release.step.double()
        for line, each in zip(self.single, release.position.T, strict=True):
            line.set_data(step.numpy(), each.numpy())
        mean = over(release.position.double().T)
        self.bands["noisy"].show(step, mean, text("08.label.walkers"))
        kept = recorded.load("bad_minima")["step"].double()
        still = track(which, "none", start, "one")
        self.bands["still"].show(kept, still, text("08.label.control"))
        self.bands["noisy"].name.set_x(1.015 * STEPS)
        part(*self.bands.values(), gap=0.05)
        self.road(which, "one", start, float(mean.value[-1]))
        return float(mean.value[-1])


def case_named(case: str) -> str:
    """Name noise and road in a sentence."""
    return option_text(case, "08.case.noisy", "08.case.batch", "08.case.trained")


def walk(seed: int) -> Explorer:
    """Show which way walkers go between a good minimum and a bad one, beside those without noise."""
    picture = Walk()

    def render(*, bad_start: float, bad_case: str, bad_shown: str, ghost: float | None = None) -> tuple[Figure, str]:
        which, noise = CASES[bad_case]
        chosen = (which, noise, bad_start, bad_shown)
        picture.show(*chosen, ghost)
        noisy, still = track(*chosen), track(which, "none", bad_start, bad_shown)
        said, carried = law(*chosen), law(*chosen, "carried")
        return picture.figure, text(
            "08.walk.sentence",
            case=case_named(bad_case),
            shown=shown_as(bad_shown),
            start=bad_start,
            end=float(noisy.value[-1]),
            error=float(noisy.error[-1]),
            still=float(still.value[-1]),
            law=""
            if said is None or carried is None
            else " " + text("08.walk.law", law=float(said[-1]), carried=float(carried[-1])),
            before=accuracy_at(which, bad_shown, bad_start),
            after=accuracy_at(which, bad_shown, float(noisy.value[-1])),
        )

    def show(release: Release, *, bad_start: float, bad_case: str, **turned: Any) -> tuple[Figure, str]:
        which = CASES[bad_case][0]
        where = picture.live(release, which, bad_start)
        return picture.figure, text(
            "08.walk.live",
            case=case_named(bad_case),
            count=release.position.shape[1],
            start=bad_start,
            steps=int(release.step[-1]),
            end=where,
            error=float(release.position_error[-1, 0]),
            after=accuracy_at(which, "one", where),
        )

    return Explorer(
        render,
        [
            slider("bad_start", STARTS, STARTS[-1]),
            switch("bad_case", tuple(CASES)),
            switch("bad_shown", tuple(SHOWN)),
        ],
        title=text("08.walk.title"),
        code=code,
        work=Work(
            stream=lambda bad_start, bad_case, **turned: live(*CASES[bad_case], bad_start),
            show=show,
            frame=show,
            units=lambda **turned: LIVE_STEPS,
        ),
    )


def live(which: str, noise: str, start: float) -> Iterator[Snapshot[Release]]:
    """Yield a release of 16 walkers on the road of pair 1 as it goes on."""
    field = land() if noise == "label" else land().without_label_noise()
    chosen = {"start": start, "walkers": LIVE_WALKERS, "steps": LIVE_STEPS, "record_every": 45}
    yield from drift(field, bad_minima.road(which), **bad_minima.settings(noise, 0) | chosen)


def code(*, bad_start: float, bad_case: str, bad_shown: str) -> str:
    """Return the lines that read the recorded walkers and make those of the first pair anew."""
    (which, noise), rows = CASES[bad_case], SHOWN[bad_shown]
    return (
        "from entropic_edu import recorded\nfrom entropic_edu.recorded import bad_minima\n"
        f'position = recorded.load("bad_minima")["{which}/{noise}/position"]\n'
        f"position = position[{rows.start}:{rows.stop}, :, {STARTS.index(bad_start)}]  # pairs, records, walkers\n"
        "# pair 1 anew:\n"
        f'land, road = bad_minima.landscape(), bad_minima.road("{which}")\n'
        f'release = bad_minima.released(land, road, "{noise}", 0)'
    )

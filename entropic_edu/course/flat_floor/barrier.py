"""Round 3: a pinch of the floor beside a hill on it, at three temperatures."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd
from entropic_edu.course.floor import along, over_crowds
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.recorded._diffusion import occupation
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.strings import option_text, text

BARRIER_KEYS = ("02.barrier.pinch_short", "02.barrier.hill_short")

COOLED = {0.18: (0.01, 1), 0.09: (0.02, 4), 0.045: (0.04, 16)}  # T: (η, B) for s = 6; T·η·steps is the same for all
CROSSING = 150  # steps
HILL = 0.14  # height of the hill


def barrier(seed: int) -> Explorer:
    """A pinch on a flat floor beside a hill between straight walls, at three temperatures."""
    crowds = {
        "pinch": Crowd(
            "Pinch",
            {"g_narrow": 9.0, "width": 0.15, "noise_scale": 6.0, "end_curvature": 20.0},
            start=0.25,
            steps=CROSSING,
            walkers=512,
            records=30,
        ),
        "hill": Crowd(
            "DoubleWell",
            {"barrier": HILL, "noise_scale": 6.0},
            start=0.25,
            steps=CROSSING,
            walkers=512,
            records=30,
        ),
    }
    scene = _BarrierScene(crowds)

    def render(*, temperature: float, ghost: str | None = None) -> tuple[Figure, str]:
        rate, batch = COOLED[temperature]
        runs = {name: crowd.run(seed, batch_size=batch, learning_rate=rate) for name, crowd in crowds.items()}
        return scene.show(runs, temperature)

    def code(*, temperature: float) -> str:
        rate, batch = COOLED[temperature]
        return "\n".join(
            crowd.code(seed, batch_size=batch, learning_rate=rate).replace("release =", f"{name} =")
            for name, crowd in crowds.items()
        )

    return Explorer(render, [slider("temperature", tuple(COOLED), 0.18)], title=text("02.barrier.title"), code=code)


class _BarrierScene:
    """Two plans, and the share of walkers past the middle: over the steps, and at the end against T."""

    def __init__(self, crowds: dict[str, Crowd]) -> None:
        self.crowds = crowds
        self.figure = sheet.figure()
        self.plans = {}
        for name, bottom in (("pinch", 0.62), ("hill", 0.125)):
            ax = self.figure.add_axes((0.095, bottom, 0.4, 0.3))
            self.plans[name] = floor.Plan(ax, crowds[name].land, (-1.6, 1.6), (-1.2, 1.2))
            labelled(
                ax, text("axis.along"), text("axis.across"), option_text(name, "02.barrier.pinch", "02.barrier.hill")
            )
            ax.axvline(0, color=BLACK, lw=1.2, ls=":")
        track = labelled(
            self.figure.add_axes((0.585, 0.62, 0.32, 0.3)), text("axis.step"), "", text("02.barrier.track")
        )
        track.set(xlim=(0, CROSSING), ylim=(0, 0.3))
        ends = labelled(
            self.figure.add_axes((0.585, 0.125, 0.32, 0.3)), text("axis.temperature"), "", text("02.barrier.ends")
        )
        ends.set(xlim=(0.21, 0.041), xscale="log", ylim=(0, 0.3))
        ends.set_xticks(list(COOLED), [f"{t:g}" for t in COOLED])
        ends.minorticks_off()
        self.bands, self.laws, self.points = {}, {}, {}
        for name, colour, dash, marker in (("pinch", BLUE, "-", "o"), ("hill", RED, "--", "s")):
            self.bands[name] = sheet.Band(
                track, colour=colour, dash=dash, label=option_text(f"{name}_short", *BARRIER_KEYS)
            )
            self.laws[name] = sheet.moving(track, colour=PURPLE, dash=DASHES[2], width=1.5)
            self.points[name] = sheet.Points(ends, colour=colour, marker=marker)
            law = torch.stack([self._law(name, t, torch.tensor([0, CROSSING]))[-1] for t in COOLED])
            ends.plot(list(COOLED), law, color=colour, ls=dash, lw=1.5)
            ink = sheet.INK.get(colour, colour)
            ends.text(
                0.0395,
                float(law[-1]),
                option_text(f"{name}_short", *BARRIER_KEYS),
                color=ink,
                fontsize=10.5,
                va="center",
            )

    def _law(self, name: str, temperature: float, steps: Tensor) -> Tensor:
        """Share past y = 0 by theory, at each of ``steps``."""
        crowd, (rate, batch) = self.crowds[name], COOLED[temperature]
        cells = torch.linspace(-2, 2, 202, dtype=torch.float64)
        assert crowd.start is not None
        shares = occupation(
            crowd.land,
            cells,
            start=float(crowd.land.coordinate(torch.tensor(crowd.start))),
            steps=steps,
            batch_size=batch,
            learning_rate=rate,
        )
        middle = 0.5 * (cells[1:] + cells[:-1])
        return shares @ (0.5 * (1 + middle.sign()))

    def show(self, runs: dict[str, Release], temperature: float) -> tuple[Figure, str]:
        ends = {}
        for name, release in runs.items():
            crossed = over_crowds((along(release) > 0).double())
            ends[name] = crossed
            self.plans[name].show(floor.last(release)[:96])
            self.bands[name].show(release.step, crossed)
            self.laws[name].set_data(release.step, self._law(name, temperature, release.step))
            self.points[name].show(torch.tensor([temperature]), Mean(crossed.value[-1:], crossed.error[-1:]))
        sheet.part(*self.bands.values())
        rate, batch = COOLED[temperature]
        words = text(
            "02.barrier.sentence",
            temperature=temperature,
            learning_rate=rate,
            batch_size=batch,
            pinch=100 * ends["pinch"].value[-1],
            pinch_error=100 * ends["pinch"].error[-1],
            hill=100 * ends["hill"].value[-1],
            hill_error=100 * ends["hill"].error[-1],
            hill_over=HILL / temperature,
        )
        return self.figure, words

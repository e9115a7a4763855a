"""Round 2: count walkers; a histogram is a free energy."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd
from entropic_edu.course.floor import along
from entropic_edu.figures.plots import DASHES, PURPLE, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.physics.release import Release
from entropic_edu.recorded._diffusion import occupation
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import GREY
from entropic_edu.teaching.strings import text

from .common import BINS, CELLS, CENTRES, WAIST

HEAT = WAIST | {"noise_scale": 6.0}
RATE = 0.01  # ηh is 0.16 at the neck: close to a heat bath
LONG = 12000  # steps of the live run


def histogram(seed: int) -> Explorer:
    """A histogram of walkers, and the free energy that it means."""
    crowd = Crowd("Waist", HEAT, start=None)
    scene = _HistogramScene(crowd)

    def render(*, batch_size: int, ghost: float | None = None) -> tuple[Figure, str]:
        return scene.show(crowd.run(seed, batch_size=batch_size, learning_rate=RATE), batch_size, ghost)

    work = Work(
        stream=lambda batch_size: crowd.stream(
            seed, batch_size=batch_size, learning_rate=RATE, steps=LONG, record_every=40
        ),
        show=lambda release, batch_size: scene.show(release, batch_size, None),
        units=lambda batch_size: LONG,
    )
    return Explorer(
        render,
        [slider("batch_size", (1, 2, 4), 1)],
        title=text("02.histogram.title"),
        code=lambda batch_size: crowd.code(seed, batch_size=batch_size, learning_rate=RATE),
        work=work,
    )


class _HistogramScene:
    """Share of walkers along the floor, and -T ln of it."""

    def __init__(self, crowd: Crowd) -> None:
        self.land = crowd.land
        self.figure = sheet.figure()
        self.edges = torch.linspace(-1, 1, 21, dtype=torch.float64)
        self.middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        top = labelled(
            self.figure.add_axes((0.095, 0.61, 0.355, 0.32)), text("axis.along"), "", text("02.histogram.density")
        )
        below = labelled(
            self.figure.add_axes((0.095, 0.125, 0.355, 0.3)), text("axis.along"), "", text("02.histogram.energy")
        )
        top.set(xlim=(-1, 1), ylim=(0, 1.05))
        below.set(xlim=(-1, 1), ylim=(-0.05, 0.4))
        self.ghost = sheet.Band(top, colour=GREY, dash=(0, (3, 2)), width=4)
        self.density = sheet.Band(top)
        self.density_law = sheet.Band(top, colour=PURPLE, dash=DASHES[2])
        self.energy = sheet.Band(below)
        self.energy_law = sheet.Band(below, colour=PURPLE, dash=DASHES[2])
        right = [self.figure.add_axes((0.64, bottom, 0.345, 0.185)) for bottom in floor.RIGHT]
        self.triptych = floor.Triptych(right, crowd.land, (-1.25, 1.25), drift=20.0)

    def show(self, release: Release, batch_size: int, ghost: float | None) -> tuple[Figure, str]:
        temperature = self.land.temperature(batch_size, RATE)
        y = along(release)
        late = y[len(y) // 2 :]
        counts = torch.stack([torch.histogram(c, self.edges).hist for c in late.unflatten(1, (8, -1)).transpose(0, 1)])
        wide = float(self.edges[1] - self.edges[0])
        density = counts / counts.sum(1, keepdim=True) / wide
        mean = Mean(density.mean(0), density.std(0) / 8**0.5)
        energy = Mean(-temperature * mean.value.log(), temperature * mean.error / mean.value)
        h = self.land.curvature_across(self.middle)
        law = h**-0.5 / (h**-0.5).sum() / wide
        # both free energies are read from the mean over the two outer bins, where most walkers are
        level = energy.value[[0, -1]].mean()
        law_level = 0.5 * temperature * h.log()[[0, -1]].mean()
        now = self._settled(release, batch_size)
        self.density.show(self.middle, mean, text("say.eight"))
        self.density_law.show(self.middle, exact(law), text("say.theory"))
        guess = None if ghost is None else exact(h**-ghost / (h**-ghost).sum() / wide)
        self.ghost.show(self.middle, guess, text("say.prediction"))
        self.energy.show(self.middle, Mean(energy.value - level, energy.error), text("say.counted"))
        self.energy_law.show(self.middle, exact(0.5 * temperature * h.log() - law_level), text("say.half_log"))
        sheet.part(self.density, self.density_law, self.ghost)
        sheet.part(self.energy, self.energy_law)
        where, speed = floor.velocity(y, release.step, BINS)
        drift = 1000 * RATE * floor.force(self.land, self.triptych.y, batch_size, RATE)
        self.triptych.show(drift, where, speed * 1000)
        end, neck = (
            Mean(part.mean(), part.std() / 8**0.5) for part in (density[:, [0, -1]].mean(1), density[:, 9:11].mean(1))
        )
        rarer = end.value / neck.value
        error = rarer * ((end.error / end.value) ** 2 + (neck.error / neck.value) ** 2) ** 0.5
        words = text(
            "02.histogram.sentence",
            batch_size=batch_size,
            learning_rate=RATE,
            temperature=temperature,
            steps=int(release.step[-1]),
            rarer=rarer,
            error=error,
            law=law[[0, -1]].mean() / law[9:11].mean(),
            now=now[[0, -1]].mean() / now[9:11].mean(),
        )
        return self.figure, words

    def _settled(self, release: Release, batch_size: int) -> Tensor:
        """Return the density that theory expects in the second half of this run, per bin."""
        begin = (CENTRES.abs() <= 1).double()
        rows = occupation(
            self.land, CELLS, start=begin / begin.sum(), steps=release.step, batch_size=batch_size, learning_rate=RATE
        )
        late = rows[len(rows) // 2 :].mean(0)
        bins = torch.bucketize(CENTRES, self.edges) - 1
        inside = (bins >= 0) & (bins < 20)
        width = torch.zeros(20, dtype=torch.float64).index_add_(0, bins[inside], torch.ones(int(inside.sum())).double())
        return torch.zeros(20, dtype=torch.float64).index_add_(0, bins[inside], late[inside]) / width

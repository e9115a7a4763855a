"""Round 2: count walkers; a histogram is a free energy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Stream
from entropic_edu.recorded._diffusion import occupation
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import GHOST, RUN, THEORY, Panel, Sheet
from entropic_edu.teaching.strings import text

CROWD = Crowd("Waist", {"width": 0.28, "noise_scale": 6.0, "end_curvature": 20.0}, start=None)
CELLS = torch.linspace(-1.5, 1.5, 181, dtype=torch.float64)  # on which theory counts: 60 for each length
CENTRES = 0.5 * (CELLS[1:] + CELLS[:-1])
BINS = torch.linspace(-0.7, 0.7, 10, dtype=torch.float64)  # of drift: nearer to an end its wall takes part
RATE = 0.01  # ηh is 0.16 at the neck: close to a heat bath
LONG = 12000  # steps of the live run
EDGES = torch.linspace(-1, 1, 21, dtype=torch.float64)
MIDDLE, WIDE = 0.5 * (EDGES[1:] + EDGES[:-1]), 0.1  # of the bins
SENTENCE = "02.histogram.sentence"
PANELS = {
    "density": Panel((0.095, 0.61, 0.355, 0.32), "02.histogram.density", "axis.along", (-1, 1), (0, 1.05)),
    "energy": Panel((0.095, 0.125, 0.355, 0.3), "02.histogram.energy", "axis.along", (-1, 1), (-0.05, 0.4)),
} | floor.triptych(CROWD.land, (-1.25, 1.25), drift=7.0)


def counted(release: Release, batch_size: int) -> dict[str, Any]:
    """Return what a count of the walkers says, beside theory."""
    temperature, y = CROWD.land.temperature(batch_size, RATE), floor.crowds(floor.places(release)[..., 1])
    counts = torch.stack([torch.histogram(crowd[len(release.step) // 2 :], EDGES).hist for crowd in y])
    each, h = counts / counts.sum(1, keepdim=True) / WIDE, CROWD.land.curvature_across(MIDDLE)
    density, law = Mean.over(each, 0), (h**-0.5 / (h**-0.5).sum()) / WIDE
    energy = Mean(level(-temperature * density.value.log()), temperature * density.error / density.value)
    end, neck = Mean.over(each[:, [0, -1]].mean(1)), Mean.over(each[:, 9:11].mean(1))
    rarer = end.value / neck.value
    error = rarer * ((end.error / end.value) ** 2 + (neck.error / neck.value) ** 2) ** 0.5
    curves = {
        "density": density,
        "density_law": law,
        "energy": energy,
        "energy_law": level(0.5 * temperature * h.log()),
    }
    curves |= {"h": h, "drift": floor.velocity(y, release.step, BINS)}
    says = {"rarer": rarer, "error": error, "law": fewer(law), "now": fewer(settled(release, batch_size))}
    known = {"temperature": temperature, "learning_rate": RATE, "steps": int(release.step[-1])}
    return curves | says | known


def level(energy: Tensor) -> Tensor:
    """Return an energy over its mean in the two outer bins, where most walkers are."""
    return energy - energy[[0, -1]].mean()


def fewer(density: Tensor) -> Tensor:
    """Return how many times as many walkers are at an end as in the middle."""
    return density[[0, -1]].mean() / density[9:11].mean()


def settled(release: Release, batch_size: int) -> Tensor:
    """Return the density that theory expects in the second half of this run, per bin."""
    begin, thin = (CENTRES.abs() <= 1).double(), max(1, len(release.step) // 40)
    steps = release.step[::thin]
    rows = occupation(
        CROWD.land, CELLS, start=begin / begin.sum(), steps=steps, batch_size=batch_size, learning_rate=RATE
    )
    late, bins = rows[len(rows) // 2 :].mean(0), torch.bucketize(CENTRES, EDGES) - 1
    inside = (bins >= 0) & (bins < len(MIDDLE))
    return torch.zeros(len(MIDDLE), dtype=torch.float64).index_add_(0, bins[inside], late[inside]) / WIDE


def draw(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw the count and the energy it means, each beside theory, and the drift."""
    density, energy = sheet["density"], sheet["energy"]
    density.line(MIDDLE, state.density_law, THEORY)
    density.line(MIDDLE, state.density, RUN, "say.eight")
    if ghost is not None:
        density.line(MIDDLE, state.h**-ghost / (state.h**-ghost).sum() / WIDE, GHOST)
    energy.line(MIDDLE, state.energy_law, THEORY, "say.half_log")
    energy.line(MIDDLE, state.energy, RUN, "say.counted")
    where, speed = state.drift
    floor.draw_drift(sheet["drift"], CROWD.land, state.batch_size, RATE, where, 1000 * speed)


def show(sheet: Sheet, release: Release, state: Any) -> str:
    """Draw the longer run, and say what it counts."""
    longer = SimpleNamespace(**vars(state) | counted(release, state.batch_size))
    draw(sheet, longer)
    return text(SENTENCE, **vars(longer))


def histogram(seed: int) -> Explorer:
    """A histogram of walkers, and the free energy that it means."""

    def stream(state: Any) -> Stream[Release]:
        return CROWD.stream(seed, batch_size=state.batch_size, learning_rate=RATE, steps=LONG, record_every=8)

    def state(batch_size: int) -> dict[str, Any]:
        return counted(CROWD.run(seed, batch_size=batch_size, learning_rate=RATE), batch_size)

    def code(state: Any) -> str:
        return CROWD.code(seed, batch_size=state.batch_size, learning_rate=RATE)

    controls, work = [slider("batch_size", (1, 2, 4), 1)], Work(stream, show, lambda state: LONG)
    return Explorer(draw, controls, PANELS, SENTENCE, state=state, title="02.histogram.title", code=code, work=work)

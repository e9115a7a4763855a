"""Lesson 02: a floor at zero loss whose walls tighten; noise pushes walkers to the wide part."""

from __future__ import annotations

import math
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import stage
from entropic_edu.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.release import Release
from entropic_edu.stage import GREY, Mean, over_crowds
from entropic_edu.strings import text
from entropic_edu.theory import occupation
from entropic_edu.widgets import Explorer, Work, slider, switch

from . import Chapter, Exercise, Question
from .crowd import SWITCH, Crowd

BATCHES = (1, 4, 16, 64, 256, None)
RATES = (0.005, 0.01, 0.02, 0.04)
NARROW = 1 / 3  # |y| below this is the narrow third of the floor
CELLS = torch.linspace(-1.5, 1.5, 154, dtype=torch.float64)  # 153 cells; the middle one is centred on y = 0
CENTRES = 0.5 * (CELLS[1:] + CELLS[:-1])
BINS = torch.linspace(-0.7, 0.7, 10, dtype=torch.float64)  # nearer to an end its wall takes part
WALLS = {
    "tighten": {"g_wide": 1.0, "g_narrow": 16.0},
    "straight": {"g_wide": 4.0, "g_narrow": 4.0},
}


def along(release: Release) -> Tensor:
    """Coordinates y of all walkers at all records, (R, W), float64."""
    assert release.theta is not None
    return release.theta[..., 1].double()


def said(batch_size: int | None) -> str:
    """Name a batch size in a sentence."""
    return text("say.all_data") if batch_size is None else text("say.batches", batch_size=batch_size)


def heard(batch_size: int | None, noise: str) -> str:
    """Name the noise in a sentence; the gradient of all data has none."""
    return text(f"say.noise.{'off' if batch_size is None else noise}")


def expected(crowd: Crowd, steps: Tensor, *, batch_size: int | None, noise: str, learning_rate: float) -> Tensor:
    """Return what theory expects: the share of walkers in each of ``CELLS`` at each of ``steps``, (R, 153)."""
    middle = CENTRES.abs().argmin()
    begin = torch.zeros_like(CENTRES)
    if crowd.start is None:
        begin[CENTRES.abs() <= 1] = 1
    else:
        begin[middle] = 1
    begin = begin / begin.sum()
    quiet = len(steps) if noise == "off" or batch_size is None else int((steps <= crowd.steps // 2).sum())
    quiet = 1 if noise == "on" and batch_size is not None else quiet
    rows = begin.expand(quiet, -1)
    if quiet == len(steps) or batch_size is None:
        return rows
    moved = occupation(
        crowd.land, CELLS, start=begin, steps=steps[quiet - 1 :], batch_size=batch_size, learning_rate=learning_rate
    )
    return torch.cat([rows[:-1], moved])


def pushed(crowd: Crowd, y: Tensor, *, batch_size: int | None, noise: str, learning_rate: float) -> Tensor:
    """Return the drift that theory expects, length per 1,000 steps, the mean over the whole run's noise."""
    share = {"on": 1.0, "late": 0.5, "off": 0.0}[noise] if batch_size is not None else 0.0
    return 1000 * learning_rate * share * stage.force(crowd.land, y, batch_size or 1, learning_rate)


# --- the opening: one slider, one valley -----------------------------------------------------------------------------


def waist(seed: int) -> Explorer:
    """All walkers start in the middle of the floor; the picture says where they are after 480 steps."""
    crowd = Crowd("Waist", {"noise_scale": 3.0, "end_curvature": 20.0})
    scene = stage.Stage(crowd.land, along=(-1.25, 1.25), across=(-0.9, 0.9), drift=20.0)
    labelled(scene.panel, text("axis.step"), text("02.waist.axis")).set(xlim=(0, crowd.steps), ylim=(0, 1))
    theory = stage.Band(scene.panel, colour=PURPLE, dash=DASHES[2], label=text("say.theory"))
    measured = stage.Band(scene.panel, label=text("say.eight"))

    def render(*, batch_size: int | None, learning_rate: float, noise: str) -> tuple[Figure, str]:
        turned: dict[str, Any] = {"batch_size": batch_size, "learning_rate": learning_rate, "noise": noise}
        release = crowd.run(seed, **turned)
        y = along(release)
        away = over_crowds(y.abs())
        law = expected(crowd, release.step, **turned) @ CENTRES.abs()
        scene.plan.show(stage.last(release)[:96])
        measured.show(release.step, away)
        theory.show(release.step, Mean(law, torch.zeros_like(law)))
        stage.part(measured, theory)
        where, speed = stage.velocity(y, release.step, BINS)
        scene.triptych.show(pushed(crowd, scene.triptych.y, **turned), where, speed * 1000)
        words = text(
            "02.waist.sentence",
            data=said(batch_size),
            learning_rate=learning_rate,
            noise=heard(batch_size, noise),
            mean=away.value[-1],
            error=away.error[-1],
            law=law[-1],
        )
        return scene.figure, words

    controls = [slider("batch_size", BATCHES, 16), slider("learning_rate", RATES, 0.04), switch("noise", SWITCH)]
    return Explorer(render, controls, title=text("02.waist.title"), code=lambda **turned: crowd.code(seed, **turned))


# --- round 1: is it a push? ------------------------------------------------------------------------------------------


def drain(seed: int) -> Explorer:
    """Walkers are spread evenly at first; the picture counts those in the narrow third."""
    crowds = {
        walls: Crowd("Waist", {**shape, "noise_scale": 3.0, "end_curvature": 20.0}, start=None, walkers=512)
        for walls, shape in WALLS.items()
    }
    scenes = {walls: _drain_scene(crowd) for walls, crowd in crowds.items()}

    def shares(turned: dict[str, Any]) -> tuple[Release, Tensor]:
        walls = turned["walls"]
        settings = {name: turned[name] for name in ("batch_size", "learning_rate", "noise")}
        release = crowds[walls].run(seed, **settings)
        return release, (along(release).abs() < NARROW).double()

    def render(
        *,
        batch_size: int | None,
        learning_rate: float,
        noise: str,
        walls: str,
        crowd: str,
        ghost: float | None = None,
        pinned: dict[str, Any] | None = None,
    ) -> tuple[Figure, str]:
        turned: dict[str, Any] = {"batch_size": batch_size, "learning_rate": learning_rate, "noise": noise}
        scene, bands = scenes[walls]
        release, inside = shares(turned | {"walls": walls})
        one = Mean(inside[:, :64].mean(1), torch.zeros(len(inside), dtype=torch.float64))
        share = {"eight": over_crowds(inside), "one": one}[crowd]
        law = expected(crowds[walls], release.step, **turned)[:, CENTRES.abs() < NARROW].sum(1)
        twin = None if pinned is None else over_crowds(shares(pinned)[1])
        scene.plan.show(stage.last(release)[:96])
        bands["run"].show(release.step, share, text(f"say.{crowd}"))
        bands["theory"].show(release.step, Mean(law, torch.zeros_like(law)))
        bands["twin"].show(release.step, twin, text("say.pinned"))
        bands["ghost"].show(release.step[[0, -1]], _level(ghost), text("say.prediction"))
        stage.part(*bands.values())
        where, speed = stage.velocity(along(release), release.step, BINS)
        scene.triptych.show(pushed(crowds[walls], scene.triptych.y, **turned), where, speed * 1000)
        words = text(
            f"02.drain.{crowd}",
            data=said(batch_size),
            learning_rate=learning_rate,
            noise=heard(batch_size, noise),
            walls=text(f"02.drain.{walls}"),
            share=100 * share.value[-1],
            error=100 * share.error[-1],
            law=100 * law[-1],
        )
        if twin is not None and pinned is not None:
            words += " " + text("02.drain.twin", data=said(pinned["batch_size"]), share=100 * twin.value[-1])
        return scene.figure, words

    controls = [
        slider("batch_size", BATCHES, 16),
        slider("learning_rate", RATES, 0.04),
        switch("noise", SWITCH),
        switch("walls", tuple(WALLS)),
        switch("crowd", ("eight", "one")),
    ]

    def code(*, walls: str, crowd: str, **turned: Any) -> str:
        return crowds[walls].code(seed, **turned)

    return Explorer(render, controls, title=text("02.drain.title"), code=code)


def _drain_scene(crowd: Crowd) -> tuple[stage.Stage, dict[str, stage.Band]]:
    scene = stage.Stage(crowd.land, along=(-1.25, 1.25), across=(-0.9, 0.9), drift=20.0)
    for side in (-NARROW, NARROW):
        scene.plan.ax.axvline(side, color=BLACK, lw=1.2, ls=":")
    labelled(scene.panel, text("axis.step"), text("02.drain.axis")).set(xlim=(0, crowd.steps), ylim=(0, 0.6))
    bands = {
        "ghost": stage.Band(scene.panel, colour=GREY, dash=(0, (3, 2)), width=4),
        "theory": stage.Band(scene.panel, colour=PURPLE, dash=DASHES[2], label=text("say.theory")),
        "twin": stage.Band(scene.panel, colour=RED, dash="--"),
        "run": stage.Band(scene.panel),
    }
    return scene, bands


def _level(height: float | None) -> Mean | None:
    if height is None:
        return None
    level = torch.full((2,), height, dtype=torch.float64)
    return Mean(level, torch.zeros_like(level))


# --- round 2: count walkers ------------------------------------------------------------------------------------------

HEAT = {"noise_scale": 6.0, "end_curvature": 20.0}
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
        self.figure = stage.figure()
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
        self.ghost = stage.Band(top, colour=GREY, dash=(0, (3, 2)), width=4)
        self.density = stage.Band(top)
        self.density_law = stage.Band(top, colour=PURPLE, dash=DASHES[2])
        self.energy = stage.Band(below)
        self.energy_law = stage.Band(below, colour=PURPLE, dash=DASHES[2])
        right = [self.figure.add_axes((0.64, bottom, 0.345, 0.185)) for bottom in stage.RIGHT]
        self.triptych = stage.Triptych(right, crowd.land, (-1.25, 1.25), drift=20.0)

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
        self.density_law.show(self.middle, _line(law), text("say.theory"))
        guess = None if ghost is None else _line(h**-ghost / (h**-ghost).sum() / wide)
        self.ghost.show(self.middle, guess, text("say.prediction"))
        self.energy.show(self.middle, Mean(energy.value - level, energy.error), text("say.counted"))
        self.energy_law.show(self.middle, _line(0.5 * temperature * h.log() - law_level), text("say.half_log"))
        stage.part(self.density, self.density_law, self.ghost)
        stage.part(self.energy, self.energy_law)
        where, speed = stage.velocity(y, release.step, BINS)
        drift = 1000 * RATE * stage.force(self.land, self.triptych.y, batch_size, RATE)
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


def _line(values: Tensor) -> Mean:
    return Mean(values, torch.zeros_like(values))


# --- round 3: two kinds of barrier -----------------------------------------------------------------------------------

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
        self.figure = stage.figure()
        self.plans = {}
        for name, bottom in (("pinch", 0.62), ("hill", 0.125)):
            ax = self.figure.add_axes((0.095, bottom, 0.4, 0.3))
            self.plans[name] = stage.Plan(ax, crowds[name].land, (-1.6, 1.6), (-1.2, 1.2))
            labelled(ax, text("axis.along"), text("axis.across"), text(f"02.barrier.{name}"))
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
            self.bands[name] = stage.Band(track, colour=colour, dash=dash, label=text(f"02.barrier.{name}_short"))
            self.laws[name] = stage.moving(track, colour=PURPLE, dash=DASHES[2], width=1.5)
            self.points[name] = stage.Points(ends, colour=colour, marker=marker)
            law = torch.stack([self._law(name, t, torch.tensor([0, CROSSING]))[-1] for t in COOLED])
            ends.plot(list(COOLED), law, color=colour, ls=dash, lw=1.5)
            ink = stage.INK.get(colour, colour)
            ends.text(0.0395, float(law[-1]), text(f"02.barrier.{name}_short"), color=ink, fontsize=10.5, va="center")

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
        found = {}
        for name, release in runs.items():
            crossed = over_crowds((along(release) > 0).double())
            found[name] = crossed
            self.plans[name].show(stage.last(release)[:96])
            self.bands[name].show(release.step, crossed)
            self.laws[name].set_data(release.step, self._law(name, temperature, release.step))
            self.points[name].show(torch.tensor([temperature]), Mean(crossed.value[-1:], crossed.error[-1:]))
        stage.part(*self.bands.values())
        rate, batch = COOLED[temperature]
        words = text(
            "02.barrier.sentence",
            temperature=temperature,
            learning_rate=rate,
            batch_size=batch,
            pinch=100 * found["pinch"].value[-1],
            pinch_error=100 * found["pinch"].error[-1],
            hill=100 * found["hill"].value[-1],
            hill_error=100 * found["hill"].error[-1],
            hill_over=HILL / temperature,
        )
        return self.figure, words


QUESTIONS = [
    Question("where", ("stays", "falls", "rises"), "falls", {"stays": 1 / 3, "falls": 1 / 6, "rises": 1 / 2}),
    Question("rarer", ("equal", "four", "sixteen"), "four", {"equal": 0.0, "four": 0.5, "sixteen": 1.0}),
    Question("cooled", ("both", "hill", "neither", "pinch"), "hill"),
]

EXERCISES = [
    Exercise(
        "force",
        "2.1",
        truth=lambda curvature, slope, temperature: -0.5 * temperature * slope / curvature,
        wrong={
            "sign": lambda curvature, slope, temperature: 0.5 * temperature * slope / curvature,
            "half": lambda curvature, slope, temperature: -temperature * slope / curvature,
            "absolute": lambda curvature, slope, temperature: -0.5 * temperature * slope,
            "inverted": lambda curvature, slope, temperature: -0.5 * temperature * curvature / slope,
            "cold": lambda curvature, slope, temperature: -0.5 * slope / curvature,
        },
        cases=[(10.0, -26.0, 0.02), (1.5, 3.0, 0.1), (4.0, -1.0, 0.5)],
    ),
    Exercise(
        "free_energy",
        "2.2",
        truth=lambda count, most, temperature: -temperature * math.log(count / most),
        wrong={
            "sign": lambda count, most, temperature: temperature * math.log(count / most),
            "cold": lambda count, most, temperature: -math.log(count / most),
            "half": lambda count, most, temperature: -0.5 * temperature * math.log(count / most),
            "decimal": lambda count, most, temperature: -temperature * math.log10(count / most),
            "linear": lambda count, most, temperature: temperature * (1 - count / most),
        },
        cases=[(250.0, 1000.0, 0.1), (30.0, 60.0, 0.02), (8.0, 800.0, 0.5)],
    ),
    Exercise(
        "rarer",
        "2.3",
        truth=lambda steeper, height, temperature: math.exp(-height / temperature) / math.sqrt(steeper),
        wrong={
            "root": lambda steeper, height, temperature: math.exp(-height / temperature) / steeper,
            "energy_only": lambda steeper, height, temperature: math.exp(-height / temperature),
            "entropy_only": lambda steeper, height, temperature: 1 / math.sqrt(steeper),
            "undivided": lambda steeper, height, temperature: math.exp(-height - 0.5 * temperature * math.log(steeper)),
            "sign": lambda steeper, height, temperature: math.exp(height / temperature) * math.sqrt(steeper),
            "double": lambda steeper, height, temperature: math.exp(-2 * height / temperature) / math.sqrt(steeper),
        },
        cases=[(16.0, 0.0, 0.1), (1.0, 0.2, 0.1), (4.0, 0.05, 0.025)],
    ),
]


CHAPTER = Chapter(
    "02",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"waist": waist, "drain": drain, "histogram": histogram, "barrier": barrier},
)

"""Round 1: is it a push? The narrow third of the floor drains where walls tighten."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import SWITCH, Crowd
from entropic_edu.course.floor import along, over_crowds
from entropic_edu.figures.plots import BLACK, DASHES, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.physics.release import Release
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY
from entropic_edu.teaching.strings import option_text, text

from .common import BATCHES, BINS, CENTRES, RATES, WAIST, data_of, expected, noise_of, pushed

NARROW = 1 / 3  # |y| below this is the narrow third of the floor
WALLS = {
    "tighten": {"g_wide": 1.0, "g_narrow": 16.0},
    "straight": {"g_wide": 4.0, "g_narrow": 4.0},
}


def drain(seed: int) -> Explorer:
    """Walkers are spread evenly at first; the picture counts those in the narrow third."""
    crowds = {walls: Crowd("Waist", WAIST | shape, start=None, walkers=480) for walls, shape in WALLS.items()}
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
        one = exact(inside[:, :60].mean(1))
        share = {"eight": over_crowds(inside), "one": one}[crowd]
        law = expected(crowds[walls], release.step, **turned)[:, CENTRES.abs() < NARROW].sum(1)
        twin = None if pinned is None else over_crowds(shares(pinned)[1])
        scene.plan.show(floor.last(release)[:96])
        bands["run"].show(release.step, share, option_text(crowd, "say.eight", "say.one"))
        bands["theory"].show(release.step, exact(law))
        bands["twin"].show(release.step, twin, text("say.pinned"))
        bands["ghost"].show(release.step[[0, -1]], _level(ghost), text("say.prediction"))
        sheet.part(*bands.values())
        where, speed = floor.velocity(along(release), release.step, BINS)
        scene.triptych.show(pushed(crowds[walls], scene.triptych.y, **turned), where, speed * 1000)
        words = _sentence(share, law[-1], walls, crowd, **turned)
        if twin is not None and pinned is not None:
            words += " " + text("02.drain.twin", data=data_of(pinned["batch_size"]), share=100 * twin.value[-1])
        return scene.figure, words

    return Explorer(
        render,
        [
            slider("batch_size", BATCHES, 16),
            slider("learning_rate", RATES, 0.04),
            switch("noise", SWITCH),
            switch("walls", tuple(WALLS)),
            switch("crowd", ("eight", "one")),
        ],
        title=text("02.drain.title"),
        code=lambda walls, crowd, **turned: crowds[walls].code(seed, **turned),
    )


def _sentence(share: Mean, law: Tensor, walls: str, crowd: str, **turned: Any) -> str:
    return option_text(
        crowd,
        "02.drain.eight",
        "02.drain.one",
        data=data_of(turned["batch_size"]),
        learning_rate=turned["learning_rate"],
        noise=noise_of(turned["batch_size"], turned["noise"]),
        walls=option_text(walls, "02.drain.tighten", "02.drain.straight"),
        share=100 * share.value[-1],
        error=100 * share.error[-1],
        law=100 * law,
    )


def _drain_scene(crowd: Crowd) -> tuple[floor.Stage, dict[str, sheet.Band]]:
    scene = floor.Stage(crowd.land, along=(-1.25, 1.25), across=(-0.9, 0.9), drift=20.0)
    for side in (-NARROW, NARROW):
        scene.plan.ax.axvline(side, color=BLACK, lw=1.2, ls=":")
    labelled(scene.panel, text("axis.step"), text("02.drain.axis")).set(xlim=(0, crowd.steps), ylim=(0, 0.6))
    bands = {
        "ghost": sheet.Band(scene.panel, colour=GREY, dash=(0, (3, 2)), width=4),
        "theory": sheet.Band(scene.panel, colour=PURPLE, dash=DASHES[2], label=text("say.theory")),
        "twin": sheet.Band(scene.panel, colour=RED, dash="--"),
        "run": sheet.Band(scene.panel),
    }
    return scene, bands


def _level(height: float | None) -> Mean | None:
    return None if height is None else exact(torch.full((2,), height, dtype=torch.float64))

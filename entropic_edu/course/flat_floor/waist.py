"""The opening: one valley that tightens, and how far from its middle walkers are."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from entropic_edu.course import floor
from entropic_edu.course.crowd import SWITCH, Crowd
from entropic_edu.course.floor import along, over_crowds
from entropic_edu.figures.plots import DASHES, PURPLE, labelled
from entropic_edu.physics.mean import exact
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.strings import text

from .common import BATCHES, BINS, CENTRES, RATES, WAIST, data_of, expected, noise_of, pushed


def waist(seed: int) -> Explorer:
    """All walkers start in the middle of the floor; the picture says where they are after 480 steps."""
    crowd = Crowd("Waist", WAIST)
    scene = floor.Stage(crowd.land, along=(-1.25, 1.25), across=(-0.9, 0.9), drift=20.0)
    labelled(scene.panel, text("axis.step"), text("02.waist.axis")).set(xlim=(0, crowd.steps), ylim=(0, 1))
    theory = sheet.Band(scene.panel, colour=PURPLE, dash=DASHES[2], label=text("say.theory"))
    measured = sheet.Band(scene.panel, label=text("say.eight"))

    def render(*, batch_size: int | None, learning_rate: float, noise: str) -> tuple[Figure, str]:
        turned: dict[str, Any] = {"batch_size": batch_size, "learning_rate": learning_rate, "noise": noise}
        release = crowd.run(seed, **turned)
        y = along(release)
        away = over_crowds(y.abs())
        law = expected(crowd, release.step, **turned) @ CENTRES.abs()
        scene.plan.show(floor.last(release)[:96])
        measured.show(release.step, away)
        theory.show(release.step, exact(law))
        sheet.part(measured, theory)
        where, speed = floor.velocity(y, release.step, BINS)
        scene.triptych.show(pushed(crowd, scene.triptych.y, **turned), where, speed * 1000)
        words = text(
            "02.waist.sentence",
            data=data_of(batch_size),
            learning_rate=learning_rate,
            noise=noise_of(batch_size, noise),
            mean=away.value[-1],
            error=away.error[-1],
            law=law[-1],
        )
        return scene.figure, words

    controls = [slider("batch_size", BATCHES, 16), slider("learning_rate", RATES, 0.04), switch("noise", SWITCH)]
    return Explorer(render, controls, title=text("02.waist.title"), code=lambda **turned: crowd.code(seed, **turned))

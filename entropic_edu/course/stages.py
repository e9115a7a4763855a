"""The live stages of lessons 00 to 03 and of the site: what stands on them. ``still`` has their pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from entropic_edu.teaching.page import Control, slider
from entropic_edu.teaching.stage import Measure, Pane, Scene, Stage
from entropic_edu.teaching.strings import said, text

from .still import picture

NARROW = 1 / 3  # |y| below this is the narrow third of the floor
EVEN = tuple((i + 0.5) / 125 - 1 for i in range(250))  # all along a floor from -1 to 1
BATCHES = (1, 2, 4, 8, 16, 64, None)
FEW, MANY = 250, 2000  # walkers: to be looked at, and where a mean must be told from the random walk along the floor
SLOPING = {  # ηh stays below 0.72
    "slope": 0.0215, "g_wide": 0.375, "g_narrow": 24.0, "width": 0.7, "half_length": 1.2, "noise_scale": 6.0,
}  # fmt: skip
COOLED = {0.18: (0.01, 1), 0.09: (0.02, 4), 0.045: (0.04, 16)}  # T: (η, B) for s = 6; T·η·steps is the same for all
MEASURED = (
    "step", "batch_size", "learning_rate", "temperature", "a_value", "a_law", "b_value", "b_law",
)  # fmt: skip
QUIET, OTHER = {"batch_size": None}, {"batch_size": "other_batch_size"}


def stage(scene: Scene) -> Stage:
    """Return a scene that plays."""
    return Stage(scene, partial(picture, scene))


def _scene(
    title: str,
    sentence: str,
    compare: Mapping[str, tuple[Pane, Pane]],
    starts: Mapping[str, Sequence[float]],
    *,
    axis_label: str = "stage.along",
    key: str = "stage.floor_key",
    **others: Any,
) -> Scene:
    """Return a scene whose words are given as they are or by their keys: a floor, where nothing else is said."""
    return Scene(
        title=said(title),
        sentence=text(sentence, **{name: f"{{{name}}}" for name in MEASURED}),  # the page fills them in
        compare={said(name): _named(both) for name, both in compare.items()},
        starts={said(name): places for name, places in starts.items()},
        axis_label=said(axis_label),
        key=said(key),
        **{"axis": (-1.6, 1.6), "across": (-1.0, 1.0), "ticks": (-1, 0, 1)} | others,
    )


def _named(both: tuple[Pane, Pane]) -> tuple[Pane, Pane]:
    one, other = (replace(pane, label=said(pane.label)) for pane in both)
    return one, other


# --- scenes --------------------------------------------------------------------------------------------------------


def waist(seed: int, *more: Control, even: bool = False, stop: int | None = None) -> Scene:
    """A floor at zero loss between walls that tighten, beside straight walls: all that differs is the walls.

    Args:
        seed: Of all draws.
        more: Sliders beside those of B and η.
        even: Whether the crowds are spread along the floor at first, and those in its narrow third are counted.
        stop: Step at which it stops, to be read.
    """
    ends = {"noise_scale": 3.0, "end_curvature": 20.0, "width": 0.28}
    tight = partial(Pane, valley="Waist", walls=ends)
    straight = Pane("stage.straight", "Waist", ends | {"g_wide": 4.0, "g_narrow": 4.0})
    batches = slider("batch_size", BATCHES, 4), slider("other_batch_size", BATCHES, 64)
    return _scene(
        "stage.waist.title",
        "stage.waist.narrow" if even else "stage.waist.away",
        {
            "stage.compared.walls": (tight("stage.tight"), straight),
            "stage.compared.noise": (tight("stage.noisy"), tight("stage.quiet", set=QUIET)),
            "stage.compared.batch": (tight("stage.mine"), tight("stage.other", set=OTHER)),
            "stage.compared.draws": (tight("stage.twin"), tight("stage.stranger", draws=1)),
        },
        ({"stage.everywhere": EVEN} if even else {}) | {"stage.middle": (0.0,)},
        sliders=(*batches, slider("learning_rate", (0.005, 0.01, 0.02, 0.04), 0.04), *more),
        measure=Measure("share", digits=0, scale=100.0, between=(-NARROW, NARROW)) if even else Measure("away"),
        axis=(-1.25, 1.25), across=(-0.9, 0.9), split=0.0,
        warm=stop or 240, stop=stop, seed=seed,
    )  # fmt: skip


def bowl(seed: int, *more: Control, beside: str = "noise") -> Scene:
    """Noise against the pull of a wall, seen from the side.

    Args:
        seed: Of all draws.
        more: Sliders beside those of B and η.
        beside: What the two crowds differ in at first: "noise", "batch" or "curvature".
    """
    here = partial(Pane, valley="Waist", walls={"g_wide": 1.0, "g_narrow": 1.0})
    steep = Pane(text("stage.curvature", h=4), "Waist", {"g_wide": 4.0, "g_narrow": 4.0})
    panes = {
        "noise": ("stage.compared.noise", (here("stage.noisy"), here("stage.quiet", set=QUIET))),
        "batch": ("stage.compared.batch", (here("stage.mine"), here("stage.other", set=OTHER))),
        "curvature": ("stage.compared.curvature", (here(text("stage.curvature", h=1)), steep)),
    }
    batches = slider("batch_size", BATCHES, 1), slider("other_batch_size", BATCHES, 4)
    return _scene(
        "stage.bowl.title", "stage.bowl.sentence",
        dict(panes[each] for each in {beside: 0} | panes),
        {"stage.bottom": (0.0,)},
        sliders=(*batches, slider("learning_rate", (0.05, 0.1, 0.2, 0.4), 0.1), *more),
        measure=Measure("square", digits=4),
        axis=(-1.2, 1.2), across=(-0.03, 0.72),
        view="bowl", axis_label="stage.across", key="stage.bowl_key",
        warm=80, seed=seed,
    )  # fmt: skip


def tilted(seed: int, batches: tuple[int | None, ...], mine: int, other: int | None, stop: int | None = None) -> Scene:
    """A floor that slopes down to the left between walls that widen to the right, at two batch sizes.

    Args:
        seed: Of all draws.
        batches: To choose from.
        mine, other: Of the two crowds at first; None is all data.
        stop: Step at which it stops, to be read; each crowd is then large enough to tell where it goes.
    """
    here = partial(Pane, valley="Tilted", walls=SLOPING)
    both = slider("batch_size", batches, mine), slider("other_batch_size", batches, other)
    return _scene(
        "stage.tilted.title", "stage.tilted.sentence",
        {"stage.compared.batch": (here("stage.mine"), here("stage.other", set=OTHER))},
        {"stage.middle": (0.0,)},
        sliders=(*both, slider("learning_rate", (0.01, 0.02), 0.02)),
        measure=Measure("mean", digits=3),
        walkers=MANY if stop else FEW, shown=FEW, stop=stop, seed=seed,
    )  # fmt: skip


def shapes(seed: int, stop: int | None = None) -> Scene:
    """A level floor between the same walls, in two shapes of noise; ``stop`` is as in ``tilted``."""
    level = SLOPING | {"slope": 1e-9}
    shaped = Pane("stage.shaped", "Tilted", level | {"noise": "curvature"})
    return _scene(
        "stage.shapes.title", "stage.shapes.sentence",
        {"stage.compared.shape": (Pane("stage.isotropic", "Tilted", level), shaped)},
        {"stage.narrow": (-0.778,), "stage.mouth": (0.411,), "stage.everywhere": EVEN},
        sliders=(slider("batch_size", (16, 32, 64, 128, None), 32), slider("learning_rate", (0.01, 0.02), 0.02)),
        measure=Measure("moved", digits=3),
        walkers=MANY if stop else FEW, shown=FEW, warm=120, stop=stop, seed=seed,
    )  # fmt: skip


def barriers(seed: int) -> Scene:
    """A pinch of the floor beside a hill on it, which are passed at other temperatures."""
    pinch = {"g_narrow": 9.0, "width": 0.15, "noise_scale": 6.0, "end_curvature": 20.0}
    hill = Pane("stage.hill", "DoubleWell", {"barrier": 0.14, "noise_scale": 6.0})
    return _scene(
        "stage.barriers.title", "stage.barriers.sentence",
        {"stage.compared.barrier": (Pane("stage.pinch", "Pinch", pinch), hill)},
        {"stage.left": (-0.5,)},
        sliders=(slider("temperature", tuple(COOLED), 0.18),),
        means={"temperature": {t: {"learning_rate": rate, "batch_size": b} for t, (rate, b) in COOLED.items()}},
        measure=Measure("share", digits=0, scale=100.0, between=(0.0, 9.0)),
        across=(-1.2, 1.2), split=0.0,
        walkers=500, warm=150, stop=150, seed=seed,
    )  # fmt: skip


def curve(seed: int, stop: int | None = None) -> Scene:
    """Two weights with uv = 1: noise on the label beside none, or beside noise on each weight."""
    walls = {"half_length": 1.4}
    label = Pane("stage.label", "Hyperbola", walls)
    weights = Pane("stage.weights", "Hyperbola", walls | {"noise": "isotropic"})
    rates = slider("learning_rate", (0.01, 0.02, 0.04), 0.04)
    return _scene(
        "stage.curve.title", "stage.curve.sentence",
        {
            "stage.compared.noise": (label, Pane("stage.quiet", "Hyperbola", walls, QUIET)),
            "stage.compared.source": (label, weights),
        },
        {"stage.weights_start": (math.log(2.5),)},
        sliders=(slider("batch_size", (1, 2, 4, 8, 16, None), 1), rates),
        measure=Measure("mean", digits=3),
        axis=(-1.6, 1.8), plan=(0.0, 3.6), across=(0.0, 2.4),
        view="plane", axis_label="stage.log_weight", key="stage.plane_key",
        warm=stop or 480, stop=stop, seed=seed,
    )  # fmt: skip

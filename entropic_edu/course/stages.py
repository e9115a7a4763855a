"""The live stages of lessons 00 to 03 and of the site: what stands on them. ``still`` has their pictures."""

from __future__ import annotations

import math
from functools import partial

from entropic_edu.teaching.page import Control, slider
from entropic_edu.teaching.stage import Measure, Pane, Scene, Stage
from entropic_edu.teaching.strings import text

from .still import picture

NARROW = 1 / 3  # |y| below this is the narrow third of the floor
EVEN = tuple((i + 0.5) / 125 - 1 for i in range(250))  # all along a floor from -1 to 1
BATCHES = (1, 2, 4, 8, 16, 64, None)
# the page fills in what it measures
TOLD = {name: f"{{{name}}}" for name in ("step", "batch_size", "learning_rate", "a_value", "a_law", "b_value", "b_law")}
FEW, MANY = 250, 2000  # walkers: to be looked at, and where a mean must be told from the random walk along the floor
SLOPING = {  # ηh stays below 0.72
    "slope": 0.0215, "g_wide": 0.375, "g_narrow": 24.0, "width": 0.7, "half_length": 1.2, "noise_scale": 6.0,
}  # fmt: skip
COOLED = {0.18: (0.01, 1), 0.09: (0.02, 4), 0.045: (0.04, 16)}  # T: (η, B) for s = 6; T·η·steps is the same for all


def stage(scene: Scene) -> Stage:
    """Return a scene that plays."""
    return Stage(scene, partial(picture, scene))


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
    straight = Pane(text("stage.straight"), "Waist", ends | {"g_wide": 4.0, "g_narrow": 4.0})
    here = text("stage.tight")
    return Scene(
        title=text("stage.waist.title"),
        sentence=text("stage.waist.narrow", **TOLD) if even else text("stage.waist.away", **TOLD),
        compare={
            text("stage.compared.walls"): (tight(here), straight),
            text("stage.compared.noise"): (
                tight(text("stage.noisy")),
                tight(text("stage.quiet"), set={"batch_size": None}),
            ),
            text("stage.compared.batch"): (
                tight(text("stage.mine")),
                tight(text("stage.other"), set={"batch_size": "other_batch_size"}),
            ),
            text("stage.compared.draws"): (tight(text("stage.twin")), tight(text("stage.stranger"), draws=1)),
        },
        starts=({text("stage.everywhere"): EVEN} if even else {}) | {text("stage.middle"): (0.0,)},
        sliders=(
            slider("batch_size", BATCHES, 4),
            slider("other_batch_size", BATCHES, 64),
            slider("learning_rate", (0.005, 0.01, 0.02, 0.04), 0.04),
            *more,
        ),
        measure=Measure("share", digits=0, scale=100.0, between=(-NARROW, NARROW)) if even else Measure("away"),
        axis=(-1.25, 1.25),
        across=(-0.9, 0.9),
        ticks=(-1, 0, 1),
        axis_label=text("stage.along"),
        key=text("stage.floor_key"),
        split=0.0,
        warm=stop or 240,
        stop=stop,
        seed=seed,
    )


def bowl(seed: int, *more: Control, beside: str = "noise") -> Scene:
    """Noise against the pull of a wall, seen from the side.

    Args:
        seed: Of all draws.
        more: Sliders beside those of B and η.
        beside: What the two crowds differ in at first: "noise", "batch" or "curvature".
    """
    walls = {"g_wide": 1.0, "g_narrow": 1.0}
    steep = {"g_wide": 4.0, "g_narrow": 4.0}
    here = partial(Pane, valley="Waist", walls=walls)
    panes = {
        "noise": (here(text("stage.noisy")), here(text("stage.quiet"), set={"batch_size": None})),
        "batch": (here(text("stage.mine")), here(text("stage.other"), set={"batch_size": "other_batch_size"})),
        "curvature": (here(text("stage.curvature", h=1)), Pane(text("stage.curvature", h=4), "Waist", steep)),
    }
    named = {"noise": text("stage.compared.noise"), "batch": text("stage.compared.batch")}
    named["curvature"] = text("stage.compared.curvature")
    return Scene(
        title=text("stage.bowl.title"),
        sentence=text("stage.bowl.sentence", **TOLD),
        compare={named[each]: panes[each] for each in {beside: 0} | panes},
        starts={text("stage.bottom"): (0.0,)},
        sliders=(
            slider("batch_size", BATCHES, 1),
            slider("other_batch_size", BATCHES, 4),
            slider("learning_rate", (0.05, 0.1, 0.2, 0.4), 0.1),
            *more,
        ),
        measure=Measure("square", digits=4),
        view="bowl",
        axis=(-1.2, 1.2),
        across=(-0.03, 0.72),
        ticks=(-1, 0, 1),
        axis_label=text("stage.across"),
        key=text("stage.bowl_key"),
        warm=80,
        seed=seed,
    )


def tilted(seed: int, batches: tuple[int | None, ...], mine: int, other: int | None, stop: int | None = None) -> Scene:
    """A floor that slopes down to the left between walls that widen to the right, at two batch sizes.

    Args:
        seed: Of all draws.
        batches: To choose from.
        mine, other: Of the two crowds at first; None is all data.
        stop: Step at which it stops, to be read; each crowd is then large enough to tell where it goes.
    """
    here = partial(Pane, valley="Tilted", walls=SLOPING)
    return Scene(
        title=text("stage.tilted.title"),
        sentence=text("stage.tilted.sentence", **TOLD),
        compare={
            text("stage.compared.batch"): (
                here(text("stage.mine")),
                here(text("stage.other"), set={"batch_size": "other_batch_size"}),
            ),
        },
        starts={text("stage.middle"): (0.0,)},
        sliders=(
            slider("batch_size", batches, mine),
            slider("other_batch_size", batches, other),
            slider("learning_rate", (0.01, 0.02), 0.02),
        ),
        measure=Measure("mean", digits=3),
        axis=(-1.6, 1.6),
        across=(-1.0, 1.0),
        ticks=(-1, 0, 1),
        axis_label=text("stage.along"),
        key=text("stage.floor_key"),
        walkers=MANY if stop else FEW,
        shown=FEW,
        stop=stop,
        seed=seed,
    )


def shapes(seed: int, stop: int | None = None) -> Scene:
    """A level floor between the same walls, in two shapes of noise; ``stop`` is as in ``tilted``."""
    level = SLOPING | {"slope": 1e-9}
    here = partial(Pane, valley="Tilted")
    return Scene(
        title=text("stage.shapes.title"),
        sentence=text("stage.shapes.sentence", **TOLD),
        compare={
            text("stage.compared.shape"): (
                here(text("stage.isotropic"), walls=level),
                here(text("stage.shaped"), walls=level | {"noise": "curvature"}),
            ),
        },
        starts={text("stage.narrow"): (-0.778,), text("stage.mouth"): (0.411,), text("stage.everywhere"): EVEN},
        sliders=(slider("batch_size", (16, 32, 64, 128, None), 32), slider("learning_rate", (0.01, 0.02), 0.02)),
        measure=Measure("moved", digits=3),
        axis=(-1.6, 1.6),
        across=(-1.0, 1.0),
        ticks=(-1, 0, 1),
        axis_label=text("stage.along"),
        key=text("stage.floor_key"),
        walkers=MANY if stop else FEW,
        shown=FEW,
        warm=120,
        stop=stop,
        seed=seed,
    )


def barriers(seed: int) -> Scene:
    """A pinch of the floor beside a hill on it, which are passed at other temperatures."""
    pinch = {"g_narrow": 9.0, "width": 0.15, "noise_scale": 6.0, "end_curvature": 20.0}
    hill = {"barrier": 0.14, "noise_scale": 6.0}
    return Scene(
        title=text("stage.barriers.title"),
        sentence=text("stage.barriers.sentence", temperature="{temperature}", **TOLD),
        compare={
            text("stage.compared.barrier"): (
                Pane(text("stage.pinch"), "Pinch", pinch),
                Pane(text("stage.hill"), "DoubleWell", hill),
            )
        },
        starts={text("stage.left"): (-0.5,)},
        sliders=(slider("temperature", tuple(COOLED), 0.18),),
        means={"temperature": {t: {"learning_rate": rate, "batch_size": b} for t, (rate, b) in COOLED.items()}},
        measure=Measure("share", digits=0, scale=100.0, between=(0.0, 9.0)),
        axis=(-1.6, 1.6),
        across=(-1.2, 1.2),
        ticks=(-1, 0, 1),
        axis_label=text("stage.along"),
        key=text("stage.floor_key"),
        split=0.0,
        walkers=500,
        warm=150,
        stop=150,
        seed=seed,
    )


def curve(seed: int, stop: int | None = None) -> Scene:
    """Two weights with uv = 1: noise on the label beside none, or beside noise on each weight."""
    here = partial(Pane, valley="Hyperbola", walls={"half_length": 1.4})
    return Scene(
        title=text("stage.curve.title"),
        sentence=text("stage.curve.sentence", **TOLD),
        compare={
            text("stage.compared.noise"): (
                here(text("stage.label")),
                here(text("stage.quiet"), set={"batch_size": None}),
            ),
            text("stage.compared.source"): (
                here(text("stage.label")),
                here(text("stage.weights"), walls={"half_length": 1.4, "noise": "isotropic"}),
            ),
        },
        starts={text("stage.weights_start"): (math.log(2.5),)},
        sliders=(
            slider("batch_size", (1, 2, 4, 8, 16, None), 1),
            slider("learning_rate", (0.01, 0.02, 0.04), 0.04),
        ),
        measure=Measure("mean", digits=3),
        view="plane",
        axis=(-1.6, 1.8),
        plan=(0.0, 3.6),
        across=(0.0, 2.4),
        ticks=(-1, 0, 1),
        axis_label=text("stage.log_weight"),
        key=text("stage.plane_key"),
        warm=stop or 480,
        stop=stop,
        seed=seed,
    )

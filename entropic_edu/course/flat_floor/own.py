"""The learner's own walkers on a flat floor: the explorer that the functions of exercises 2.2 and 2.3 drive."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from entropic_edu.physics.mean import Mean, exact
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import CONTROL, RUN, THEORY, Panel, Sheet
from entropic_edu.teaching.yours import Written, Yours, draws, told

from . import exercises
from .histogram import level

WALKERS, STEPS, RATE, SCALE = 256, 1200, 0.01, 6.0
EDGES = torch.linspace(-1, 1, 13, dtype=torch.float64)
CENTRES = 0.5 * (EDGES[1:] + EDGES[:-1])
MIDDLE = len(CENTRES) // 2
WALLS = {
    "tight": (exercises.tight, exercises.tight_slope),
    "straight": (partial(torch.full_like, fill_value=4.0), torch.zeros_like),
}
CURVES = {"law": (THEORY, "say.half_log"), "straight": (CONTROL, "02.own.straight"), "tight": (RUN, "02.own.tight")}
PANELS = {
    "F": Panel((0.11, 0.13, 0.68, 0.77), "02.own.panel", "axis.along", xlim=(-1, 1), ylim=(-0.15, 0.4), zero=True)
}


def run_of(seed: int, walk: Written, free: Written, batch_size: int) -> dict[str, Any]:
    """Return the free energies that the learner's functions find, between tight and between straight walls."""
    temperature = RATE * SCALE**2 / (2 * batch_size)
    begin = torch.linspace(-1, 1, WALKERS + 1, dtype=torch.float64)[:-1].reshape(-1, 8).T.flatten()  # eight crowds
    kicks = SCALE * draws(seed, STEPS, 2, WALKERS)
    walked, counted = Yours(walk, exercises.walk), Yours(free, exercises.free_energy)
    energies = {"law": exact(level(0.5 * temperature * exercises.tight(CENTRES).log()))}
    for name, walls in WALLS.items():
        y = walked(0 * begin, begin, kicks, RATE, batch_size, *walls)
        late = (y[STEPS // 4 :] + 1) % 2 - 1  # round the ring
        each = [level(counted(part, EDGES, temperature)) for part in late.chunk(8, 1)]
        energies[name] = Mean.over(torch.stack(each), 0)
    middle = {name: energy.at(MIDDLE) for name, energy in energies.items()}
    whose = told(walk=walked, free_energy=counted)
    return {"energies": energies, "temperature": temperature, "whose": whose} | middle


def draw(sheet: Sheet, run: Any) -> None:
    """Draw the free energy by counts, the control between straight walls, and the law."""
    for name, (role, label) in CURVES.items():
        sheet["F"].line(CENTRES, run.energies[name], role, label)


def own(seed: int, walk: Written = None, free_energy: Written = None) -> Explorer:
    """The learner's walk and count, at other batch sizes."""
    controls, state = [slider("batch_size", (1, 2, 4), 1)], partial(run_of, seed, walk, free_energy)
    return Explorer(draw, controls, PANELS, "02.own.sentence", state=state, title="02.own.title", code="02.own.code")

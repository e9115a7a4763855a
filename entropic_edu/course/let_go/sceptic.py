"""Round 4: the runaway taken apart, and the sceptic's doubts: k, and no projection at all."""

from __future__ import annotations

import math
import textwrap
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch

from entropic_edu.figures.plots import BLUE, DASHES, GREEN, ORANGE, PURPLE, RED
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

from .common import ALL, pairs_named
from .courses import Course

DOUBTS = {  # what is doubted, and the runs that are compared, with their names
    "free": {"hot": "06.run.hot", "free": "06.run.free", "free_all": "06.run.free_all"},
    "steps_k": {"k5": "06.run.k5", "hot": "06.run.hot", "k45": "06.run.k45"},
}
APART = {  # the part of the runaway that is looked at, likewise
    "threshold": {"runaway, B 16": "06.run.b16", "runaway, B 32": "06.run.b32",
                  "runaway, B 64": "06.run.b64", "runaway, B 128": "06.run.b128"},
    "feeds": {"runaway, B 16": "06.run.b16", "runaway, of the road": "06.run.of_the_road"},
    "bursts": {"runaway, B 16": "06.run.b16", "runaway, undone": "06.run.undone",
               "runaway, undone past 1": "06.run.undone_1", "runaway, undone past 0.5": "06.run.undone_05"},
    "calm": {"hot": "06.run.hot", "of the road": "06.run.of_the_road"},
}  # fmt: skip
SENTENCES = ("06.sceptic.free", "06.sceptic.steps_k", "06.sceptic.threshold", "06.sceptic.feeds", "06.sceptic.bursts",
             "06.sceptic.calm")  # fmt: skip
ROLES = (Role(BLUE, "-"), Role(RED, "--"), Role(GREEN, "-."), Role(PURPLE, DASHES[4]), Role(ORANGE, DASHES[5]))
STILL = Role(GREY, width=1.0, label="say.noise.off")
SHORT = 300  # flow time of the sceptic's runs: of longer ones the first part is shown
SHARES = {0.0: "0", 0.5: "0.5", 1.0: "1"}
PANELS = {
    "left": Panel((0.085, 0.125, 0.3, 0.79), "06.panel.left", "axis.share", (0, 1.04), (0, 0.42), SHARES),
    "away": Panel((0.475, 0.125, 0.3, 0.79), "06.panel.away", "axis.share", (0, 1), (0.01, 20), SHARES,
                  (0.01, 0.1, 1, 10), yscale="log"),
}  # fmt: skip


def state_of(control: str, until: float, road_pair: int | None, **turned: Any) -> SimpleNamespace:
    """Return the runs that a doubt compares, by what they are called, and the control of the same network."""
    doubt = turned[control]
    runs = (DOUBTS | APART)[doubt]
    courses = {text(key): Course(name, road_pair, until) for name, key in runs.items()}
    still = Course("runaway, control" if "runaway" in next(iter(runs)) else "control", road_pair, until)
    return SimpleNamespace(doubt=doubt, pair=road_pair, until=until, runs=[*runs], courses=courses, still=still)


def draw(sheet: Sheet, view: SimpleNamespace, ghost: float | None) -> None:
    """Draw distance from the own end and from the road, a line for each run, beside the control."""
    left, away, named = sheet["left"], sheet["away"], []
    for (name, course), role in zip(view.courses.items(), ROLES, strict=False):
        role = replace(role, colour=GREY) if course.lost else role
        left.line(course.share, course.left, role)
        away.line(course.share[1 : 1 + len(course.away)], course.away.clamp(*away.panel.ylim), role)
        if course.theory is not None:
            left.points([1.03], torch.tensor([course.theory]), role, fmt="<", ms=9, mfc="none", mew=1.5, clip_on=False)
        named.append((role, textwrap.fill(name, 19)))
    away.key(named, y=0.98)
    if any(course.theory is not None for course in view.courses.values()):
        left.note(0.02, 0.415, "06.label.law", va="top", boxed=True)
    still = view.still
    left.line(still.share, still.left.value, STILL, "")
    left.note(0.02, 0.305, STILL.label, STILL, va="bottom", boxed=True)
    radius = 0.1 * still.run.road.length
    away.level(radius, STILL)
    away.note(0.02, 1.1 * radius, "06.label.radius", STILL, va="bottom", boxed=True)
    if ghost is not None and view.doubt == "feeds":
        left.line([0.6, 1], [ghost, ghost], GHOST, "", lw=4, alpha=0.8)
        left.note(0.8, ghost + 0.005, GHOST.label, GHOST, ha="center", va="bottom", boxed=True)


def words(view: SimpleNamespace) -> str:
    """Say where the walkers of each run ended."""
    items = []
    for name, course in view.courses.items():
        plain = "06.sceptic.item" if course.theory is None or view.doubt == "bursts" else "06.sceptic.law_item"
        key = {"free": "06.sceptic.free_item", "threshold": "06.sceptic.threshold_item"}.get(view.doubt, plain)
        items.append(text(key, name=name, course=course))
    return option_text(view.doubt, *SENTENCES, pairs=pairs_named(view.pair), items="; ".join(items))


def code(view: SimpleNamespace) -> str:
    """Return the lines that read where walkers ended."""
    pairs = ":" if view.pair is None else f"{view.pair - 1}:{view.pair}"
    runs = tuple(name for name in view.runs if name != "hot" or view.until == math.inf)
    return f"""
from entropic_edu import recorded
from entropic_edu.recorded import let_go
kept, left = recorded.load("let_go"), {{}}
for name in {runs}:
    position = kept[f"{{name}}/position"][{pairs}, -1].double()  # pair, start (0.3 and 0.7), walker
    left[name] = torch.cat([position[:, 0], 1 - position[:, 1]], -1).mean(-1)  # from the own end
# what made them: let_go.settings()[{view.runs[-1]!r}]
"""


def sceptic(seed: int) -> Explorer:
    """Doubt the result in the valley: one doubt at a time."""
    state = partial(state_of, "doubt", SHORT)
    controls = [switch("doubt", tuple(DOUBTS)), slider("road_pair", ALL, None)]
    return Explorer(draw, controls, PANELS, words, state=state, title="06.sceptic.title", code=code)


def runaway(seed: int) -> Explorer:
    """Take the runaway apart: one part at a time."""
    state = partial(state_of, "part", math.inf)
    controls = [switch("part", tuple(APART)), slider("road_pair", ALL, None)]
    return Explorer(draw, controls, PANELS, words, state=state, title="06.sceptic.runaway", code=code)

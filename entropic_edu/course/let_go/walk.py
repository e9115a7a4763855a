"""Round 1: recorded walkers on the road, the control without noise, and theory; the button lets some go now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch

from entropic_edu import stream
from entropic_edu.course.runs import Run
from entropic_edu.networks.network import Network
from entropic_edu.physics.path import Path
from entropic_edu.physics.release import Release
from entropic_edu.recorded import valley
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import CONTROL, FAINT, GHOST, LIMIT, RUN, THEORY, TWIN, Panel, Sheet
from entropic_edu.teaching.strings import text

from .common import ALL, BATCHES, RATES, STARTS, pairs_named, run_of, setting_of, walkers_named
from .film import ROAD, draw_road

WALKERS, LIVE = 16, 2000  # of the live run
COST = {16: 1.0, 32: 1.6, 64: 2.9, 128: 5.3, None: 1.1}  # of a step, over that of 16 walkers at B 16
PANELS = ROAD | {
    "where": Panel((0.085, 0.44, 0.375, 0.49), "06.panel.position", ylim=(-0.02, 1.02)),
    "away": Panel((0.085, 0.125, 0.375, 0.2), "06.panel.distance", "axis.step", ylim=(0.005, 8), yscale="log",
                  yticks=(0.01, 0.1, 1)),
}  # fmt: skip


def frame(sheet: Sheet, steps: int, radius: float) -> None:
    """Set the axis of steps, and draw where the valley ends."""
    ticks = (0, steps / 2, steps)
    sheet["where"].reframe(xlim=(0, steps), xticks=dict.fromkeys(ticks, ""))
    sheet["away"].reframe(xlim=(0, steps), xticks=ticks)
    sheet["away"].level(radius, LIMIT, "06.label.radius")


def draw(sheet: Sheet, run: Run, pinned: Run | None, ghost: float | None) -> None:
    """Draw a run beside its control and theory, the other starts in grey, a pinned run, and the bet."""
    where, away = sheet["where"], sheet["away"]
    frame(sheet, run.steps, 0.1 * run.road.length)
    for start in STARTS:
        where.line(run.step, replace(run, start=start).position.value, FAINT)
    if run.batch_size is not None:
        where.line(run.control.step, run.control.position, CONTROL)
        where.line(*run.track, THEORY)
    for one, role in ((pinned, TWIN), (run, RUN)):
        if one is not None:
            step = one.step * run.steps / one.steps  # against the same η times steps
            where.line(step, one.position, role)
            away.line(step[1:-1], one.distance[1:-1], role, "")  # the last record is between projections
    if ghost is not None:
        where.line([0.55 * run.steps, run.steps], [ghost, ghost], GHOST)
    draw_road(sheet, run)
    sheet["drift"].points(*run.speed, ms=4)


def words(run: Run, pinned: Run | None) -> str:
    """Say where the walkers end, beside control and theory, and where a pinned run does."""
    known = {"setting": setting_of(run), "pairs": pairs_named(run.pair), "walkers": walkers_named(run.walkers)}
    said = text("06.walk.all" if run.batch_size is None else "06.walk.some", run=run, **known)
    return said if pinned is None else f"{said} {text('06.walk.twin', setting=setting_of(pinned), run=pinned)}"


CODE = """
from entropic_edu import recorded
from entropic_edu.recorded import let_go
position = recorded.load("let_go")["{state.name}/position"]  # pair, record, start, walker
# made by, for each pair (here the first):
# land, road = let_go.landscape("{state.road.on}"), let_go.road("{state.road.on}", 0)
# release = let_go.release(land, road, 0, let_go.settings()["{state.name}"])
"""


@cache
def valley_of(pair: int) -> tuple[Network, Path]:
    """Return landscape and road of a pair, counted from 0."""
    return valley.landscape(), valley.road(pair)


def going(seed: int, run: Run) -> Iterator[Any]:
    """Let walkers go on one road."""
    chosen: dict[str, Any] = {name: run.setting[name] for name in ("batch_size", "momentum", "project_every")}
    chosen |= {"learning_rate": run.learning_rate, "start": run.start, "steps": LIVE}
    chosen["walkers"] = 1 if run.batch_size is None else WALKERS
    return stream.drift(*valley_of((run.pair or 1) - 1), generator=torch.Generator().manual_seed(seed), **chosen)


def show(sheet: Sheet, found: Release, run: Run) -> str:
    """Draw walkers that go now, one thin line each, and say where they stand."""
    frame(sheet, LIVE, found.valley_radius)
    end = sheet["where"].walkers(found.step, found.position)
    sheet["away"].line(found.step[1:], found.distance[1:].mean(1), RUN, "")
    draw_road(sheet, replace(run, pair=run.pair or 1))
    known = {"setting": setting_of(run), "pair": run.pair or 1, "walkers": walkers_named(found.position.shape[1])}
    known |= {"end": end, "steps": int(found.step[-1]), "outside": 100 * float(found.outside.mean())}
    return text("06.walk.live", start=run.start, **known)


def walk(seed: int) -> Explorer:
    """Let walkers go: recorded for every setting, live behind the button."""
    controls = [slider("batch_size", BATCHES, None), slider("learning_rate", RATES, 0.02)]
    controls += [slider("released_at", STARTS, 0.3), slider("road_pair", ALL, None)]
    work = Work(partial(going, seed), show, lambda run: round(LIVE * COST[run.batch_size] / COST[None]), show)
    return Explorer(draw, controls, PANELS, words, state=run_of, title="06.walk.title", code=CODE, work=work)

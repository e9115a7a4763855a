"""The whole experiment in one go: two minima, the road, its width, and walkers let go on it.

Every stage is one verb, is kept in a work folder as soon as it is finished, and is read from there on ``--resume``.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path as File
from typing import Any

import torch

from entropic_edu.networks.devices import full_precision
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import connect
from entropic_edu.physics.drift import Projections, drift
from entropic_edu.physics.probe import probe
from entropic_edu.physics.results import write_whole
from entropic_edu.physics.snapshot import Progress, whole_or_nothing
from entropic_edu.physics.train import train
from entropic_edu.sweeps.kept import SUFFIX, Store

from . import estimate
from .picture import picture
from .recipes import Pair, Recipe, Setting
from .report import report


def tell(
    seeds: Sequence[int] = (0,),
    *,
    out: str = "story",
    resume: bool = False,
    recipe: Recipe | None = None,
    device: str = "auto",
    progress: Progress = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run the story for each seed and write ``out``.json and ``out``.png.

    Args:
        seeds: One pair of minima each.
        out: Where to write, without suffix; stages are kept in the folder ``out``.work.
        resume: Go on from the stages that are there.
        recipe: Settings; None takes the defaults.
        device: "cpu", "cuda", "mps", or "auto" for the one that suits the recipe.
        progress: True for bars, or a callable that is given each snapshot of each stage.
        say: Receives one line per stage, and before the first about how long each will take.

    Returns:
        What ``out``.json holds. Its keys are listed in docs/story.md.

    Raises:
        OSError: If the place cannot be written, or data are not there; nothing has been computed then.
        ValueError: If the stages there were made by another recipe, or there is no such device.
        MemoryError: If a stage cannot fit; nothing has been computed then. Or if memory runs out all the same.
    """
    recipe = recipe or Recipe()
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    usable = ["auto", *(each for each, is_there in there.items() if is_there)]
    if device not in usable:
        raise ValueError(f"There is no device {device!r} here; take one of {', '.join(usable)}.")
    land = recipe.landscape(recipe.device() if device == "auto" else torch.device(device))
    estimate.refuse(land, recipe)
    store = _prepared(File(f"{out}.work"), recipe, resume)
    began, pairs = time.perf_counter(), []
    with full_precision():
        for line in estimate.lines(land, recipe):
            say(line)
        for seed in seeds:
            say(f"Pair of minima from seed {seed}")
            pairs.append(_pair(store, land, recipe, seed, progress, say))
            if not pairs[-1].complete:
                break
        figures = report(pairs, recipe, time.perf_counter() - began)
        drawn = picture(pairs, recipe)  # before anything is written: memory may run out
        write_whole(f"{out}.json", json.dumps(figures, indent=2).encode())
        write_whole(f"{out}.png", drawn)
    return figures


def _prepared(folder: File, recipe: Recipe, resume: bool) -> Store:
    """Make the work folder, empty unless it is to be resumed, and look at what is in it."""
    settings = dataclasses.asdict(recipe)
    other = "is a stage of another recipe; run without --resume to start afresh, or choose another --out."
    store = Store(folder, settings, other=other, remedy="story without --resume")
    if resume:
        for file in folder.glob(f"*{SUFFIX}"):
            store.read(file.stem)
    elif folder.exists():
        shutil.rmtree(folder)
    write_whole(folder / "recipe.json", json.dumps(settings, indent=1).encode())
    return store


def _pair(
    store: Store, land: Network, recipe: Recipe, seed: int, progress: Progress, say: Callable[[str], None]
) -> Pair:
    """All stages for one seed, as far as they came."""
    pair = Pair(seed, land, recipe.part(land))

    def generator(stage: int) -> torch.Generator:  # each stage its own stream: a resumed story is the same story
        return torch.Generator().manual_seed(1000 * seed + stage)

    def stage(kind: str, verb: Callable[..., Any], on: Network, *given: Any, **settings: Any) -> Any:
        name = f"seed{seed}-{kind}"

        def make() -> dict[str, Any]:
            began = time.perf_counter()
            result = verb(on, *given, progress=progress, **settings)
            say(f"  {name} ({time.perf_counter() - began:.1f} s): {result.summary()}")
            if not result.complete:
                raise KeyboardInterrupt
            return {"result": result}

        if name in store:
            say(f"  {name}: from {store.file(name)}")
        return store.get(name, make).values["result"]

    with suppress(KeyboardInterrupt):  # in a stage, or between two
        checkpoint = store.checkpoint(f"seed{seed}-minima")  # from which an interrupted training goes on
        training = {"runs": 2, "checkpoint": checkpoint, "resume": True, **recipe.train}
        pair.run = stage("minima", train, land, generator=generator(0), **training)
        a, b = pair.run.theta.to(land.device)  # what was read lies on the CPU
        with whole_or_nothing():  # it is kept with the pair, and not as a stage that says whether it is whole
            pair.straight = connect(land, a, b, generator=generator(1), method="linear", points=25)
        road = stage("road", connect, land, a, b, generator=generator(2), **recipe.connect)
        pair.road = road = dataclasses.replace(road, pivots=road.pivots.to(land.device))
        probing = {"generator": generator(3), "points": recipe.points} | recipe.probe
        pair.profile = stage("profile", probe, pair.part, road, **probing)
        for number, setting in enumerate(recipe.settings):
            walking = release_settings(recipe, setting)
            walked = stage(f"walkers{number}", drift, land, road, generator=generator(4), **walking)
            pair.releases[setting.name] = walked
        pair.complete = True
    return pair


def release_settings(recipe: Recipe, setting: Setting) -> dict[str, Any]:
    """Return the arguments of ``drift`` for a setting, all but landscape, road and generator."""
    every = setting.project_every
    between = recipe.records and max(1, round(setting.steps / (recipe.records * every)))  # projections
    return recipe.step(setting) | {
        "start": recipe.starts,
        "walkers": setting.walkers,
        "steps": setting.steps,
        "project_every": Projections(every, undo_excursions=setting.undo_excursions),
        "record_every": between and every * between,
    }

"""The whole experiment in one go: two minima, the road, its width, and walkers let go on it.

Every stage is one verb, is kept in a work folder as soon as it is finished, and is read from there on ``--resume``.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path as File
from typing import Any, TypeVar

import torch

from entropic_edu.networks.devices import full_precision
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import connect
from entropic_edu.physics.drift import Projections, drift
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.release import Release
from entropic_edu.physics.results import Result, write_whole
from entropic_edu.physics.snapshot import whole_or_nothing
from entropic_edu.physics.train import Run, train

from . import estimate
from .picture import picture, png
from .recipe import Pair, Recipe, Setting, record_every
from .report import report

R = TypeVar("R", bound=Result)


class _Stages:
    """Results by name in a folder; each is made once and read again on resume.

    Args:
        folder: Where they are kept.
        say: Receives a line for each.
    """

    def __init__(self, folder: File, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say

    def get(self, kind: type[R], name: str, make: Callable[[], R]) -> R:
        file = self.folder / f"{name}.safetensors"
        if file.exists():
            self.say(f"  {name}: from {file}")
            return kind.load(file)
        began = time.perf_counter()
        result = make()
        if result.complete:
            result.save(file)
            self.checkpoint(name).unlink(missing_ok=True)
        self.say(f"  {name} ({time.perf_counter() - began:.1f} s): {result.summary()}")
        if not result.complete:
            raise _StoppedError
        return result

    def checkpoint(self, name: str) -> File:
        """Return where a long stage may keep what it has until it is finished."""
        return self.folder / f"{name}.checkpoint"


class _StoppedError(Exception):
    """Ctrl-C came in a stage."""


def tell(
    seeds: Sequence[int] = (0,),
    *,
    out: str = "story",
    resume: bool = False,
    recipe: Recipe | None = None,
    device: str = "auto",
    progress: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run the story for each seed and write ``out``.json and ``out``.png.

    Args:
        seeds: One pair of minima each.
        out: Where to write, without suffix; stages are kept in the folder ``out``.work.
        resume: Go on from the stages that are there.
        recipe: Settings; None takes the defaults.
        device: "cpu", "cuda", "mps", or "auto" for the one that suits the recipe.
        progress: Whether to show bars.
        say: Receives one line per stage, and before the first about how long each will take.

    Returns:
        What ``out``.json holds. Its keys are listed in docs/story.md.

    Raises:
        OSError: If the place cannot be written, or data are not there; nothing has been computed then.
        ValueError: If the stages there were made by another recipe, or there is no such device.
        MemoryError: If a stage cannot fit; nothing has been computed then. Or if memory runs out all the same.
    """
    recipe = recipe or Recipe()
    land = recipe.landscape(_device(device, recipe))
    estimate.refuse(land, recipe)
    stages = _Stages(_prepared(File(f"{out}.work"), recipe, resume), say)
    began, pairs, complete = time.perf_counter(), [], True
    with full_precision():
        for line in estimate.lines(land, recipe):
            say(line)
        for seed in seeds:
            say(f"Pair of minima from seed {seed}")
            pair, finished = _pair(stages, land, recipe, seed, progress)
            pairs.append(pair)
            if not finished:
                complete = False
                break
        found = report(pairs, recipe, complete, time.perf_counter() - began)
        write_whole(f"{out}.json", json.dumps(found, indent=2).encode())
        write_whole(f"{out}.png", png(picture(pairs, recipe)))
    return found


def _device(name: str, recipe: Recipe) -> torch.device:
    """Return the device of this name."""
    if name == "auto":
        return recipe.device()
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name, False):
        usable = ", ".join(each for each, is_there in there.items() if is_there)
        raise ValueError(f"There is no device {name!r} here; take one of auto, {usable}.")
    return torch.device(name)


def _prepared(folder: File, recipe: Recipe, resume: bool) -> File:
    """Make the work folder, empty unless it is to be resumed, and note the recipe in it."""
    note, wanted = folder / "recipe.json", json.dumps(dataclasses.asdict(recipe), sort_keys=True)
    there = note.read_bytes() if note.exists() else b"none"  # a run that was killed as it began may leave stages alone
    if resume and (note.exists() or any(folder.glob("seed*"))) and there != wanted.encode():
        raise ValueError(
            f"{folder} holds stages of another recipe; run without --resume to start afresh, or choose another --out."
        )
    if not resume and folder.exists():
        shutil.rmtree(folder)
    write_whole(note, wanted.encode())
    return folder


def _pair(stages: _Stages, land: Network, recipe: Recipe, seed: int, progress: bool) -> tuple[Pair, bool]:
    """All stages for one seed, and whether they came to their end."""
    pair = Pair(seed, land, recipe.part(land))

    def generator(stage: int) -> torch.Generator:  # each stage its own stream: a resumed story is the same story
        return torch.Generator().manual_seed(1000 * seed + stage)

    try:
        run = stages.get(
            Run, f"seed{seed}-minima", lambda: _trained(stages, land, recipe, seed, generator(0), progress)
        )
        a, b = run.theta.to(land.device)  # what was read lies on the CPU
        with whole_or_nothing():  # it is kept with the pair, and not as a stage that says whether it is whole
            straight = connect(land, a, b, generator=generator(1), method="linear", points=25)
        pair = dataclasses.replace(pair, run=run, straight=straight)
        road = stages.get(
            Path,
            f"seed{seed}-road",
            lambda: connect(land, a, b, generator=generator(2), progress=progress, **recipe.connect),
        )
        road = dataclasses.replace(road, pivots=road.pivots.to(land.device))
        pair = dataclasses.replace(pair, road=road)
        profile = stages.get(
            Profile,
            f"seed{seed}-profile",
            lambda: probe(
                pair.part, road, generator=generator(3), points=recipe.points, progress=progress, **recipe.probe
            ),
        )
        pair = dataclasses.replace(pair, profile=profile)
        for number, setting in enumerate(recipe.settings):
            release = stages.get(
                Release,
                f"seed{seed}-walkers{number}",
                lambda setting=setting: _release(land, road, recipe, setting, generator(4), progress),  # type: ignore[misc]
            )
            pair.releases[setting.name] = release
    except _StoppedError:
        return pair, False
    except KeyboardInterrupt:  # between stages
        return pair, False
    return dataclasses.replace(pair, complete=True), True


def _trained(
    stages: _Stages, land: Network, recipe: Recipe, seed: int, generator: torch.Generator, progress: bool
) -> Run:
    """Train both ends side by side; what an interruption left in the middle goes on from there."""
    checkpoint = stages.checkpoint(f"seed{seed}-minima")
    return train(
        land, generator=generator, runs=2, checkpoint=checkpoint, resume=True, progress=progress, **recipe.train
    )


def _release(
    land: Network, road: Path, recipe: Recipe, setting: Setting, generator: torch.Generator, progress: bool
) -> Release:
    return drift(
        land,
        road,
        generator=generator,
        start=recipe.starts,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        momentum=recipe.momentum,
        walkers=setting.walkers,
        steps=setting.steps,
        project_every=Projections(setting.project_every, undo_excursions=setting.undo_excursions),
        record_every=record_every(setting, recipe.records),
        progress=progress,
    )

"""The whole experiment in one go: two minima, the road, its width, and walkers let go on it.

Every stage is one verb, is kept in a work folder as soon as it is finished, and is read from there on ``--resume``.
The recipe here is that for the digits; those for CIFAR-10 are in ``recipes``.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any, ClassVar, TypeVar

import torch

from . import estimate
from .connect import connect
from .data import digits
from .drift import drift
from .landscape import full_precision
from .models import mlp
from .network import Network
from .path import Path
from .picture import picture, png
from .probe import Profile, probe
from .release import Release
from .report import report
from .results import Result, write_whole
from .snapshot import whole_or_nothing
from .train import Run, train

R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Setting:
    """One way to let walkers go: batch size B (None: all data), learning rate η, free steps k, and steps in all."""

    name: str
    batch_size: int | None
    learning_rate: float
    project_every: int
    steps: int
    walkers: int = 16
    undo_excursions: bool = False


@dataclass(frozen=True)
class Recipe:
    """All settings of the story; the defaults are what ``make story`` runs.

    The network is small, so that the road is narrow and a step is cheap. Training is long and its batches are small, so
    that the weights come to rest under weight decay and the ends lie where noise likes to be. ``settings`` holds three
    pairs (B, η) of one temperature, the first of them again with excursions undone, one pair four times colder, and the
    control without noise. k is 15 at η = 0.2 as in
    the paper; at the other learning rates it is the k that lets a free walker spread by the same variance between two
    projections (``theory.sustained_variance`` at h → 0).

    At this temperature the walkers are past the linear regime, and go home many times faster than ``theory.predict``
    says; the colder walkers and those without noise move as it says. Rare bursts throw a walker out of the valley for a
    moment. They do not carry it home: it goes there as well where each such excursion is undone.

    Attributes:
        widths: Units of each layer.
        weight_decay: λ, seen by all four verbs.
        train, connect, probe: Arguments of these verbs.
        points: Points of the profile.
        probed: How many training inputs profile and picture are made on; None takes all.
        starts: Where walkers begin, and ``momentum`` of their steps.
        records: About how many records of each release; None leaves it to ``drift``.
        settings: How walkers are let go.
    """

    dataset: ClassVar[str] = "digits"
    panels: ClassVar[tuple[str, str]] = ("Noise sends the walkers home", "One number decides: T = η/((1-m)B)")
    threads: ClassVar[int | None] = 1  # these networks are too small to share: two threads mostly wait for each other

    widths: tuple[int, ...] = (64, 32, 32, 10)
    weight_decay: float = 5e-4
    train: dict[str, Any] = field(
        default_factory=lambda: {"batch_size": 16, "learning_rate": 0.05, "momentum": 0.9, "epochs": 120}
    )
    connect: dict[str, Any] = field(default_factory=lambda: {"method": "string", "pivots": 40, "sweeps": 1500})
    probe: dict[str, Any] = field(default_factory=dict)
    points: int = 25
    probed: int | None = None
    starts: tuple[float, float] = (0.3, 0.7)
    momentum: float = 0.9
    records: int | None = None
    settings: tuple[Setting, ...] = (
        Setting("hot", 16, 0.2, 15, 2000),
        Setting("hot, smaller steps", 14, 0.175, 16, 2286),
        Setting("hot, larger steps", 19, 0.2375, 14, 1684),
        Setting("hot, excursions undone", 16, 0.2, 15, 2000, undo_excursions=True),
        Setting("cold", 64, 0.2, 15, 2000),
        Setting("no noise", None, 0.2, 15, 2000, walkers=1),
    )

    def landscape(self, device: torch.device) -> Network:
        """Return the network and its data on a device: pixels have mean 0 and variance 1 over the training set."""
        data = digits()
        mean, spread = data.x.mean(), data.x.std()
        return Network(
            mlp(*self.widths).to(device),
            (data.x - mean) / spread,
            data.y,
            weight_decay=self.weight_decay,
            test=((data.test_x - mean) / spread, data.test_y),
        )

    @property
    def title(self) -> str:
        """What the picture is about."""
        return "the digits network"

    def device(self) -> torch.device:
        """Return the device that suits these networks best."""
        return torch.device("cpu")  # a step is too short for a GPU

    def part(self, land: Network) -> Network:
        """Return the landscape on the ``probed`` inputs, the same ones each time."""
        if self.probed is None or self.probed >= len(land.x):
            return land
        chosen = torch.randperm(len(land.x), generator=torch.Generator().manual_seed(0))[: self.probed]
        some = copy.copy(land)  # statistics of batch norm, if any, stay those of the whole
        some.x, some.y = land.x[chosen.to(land.device)], land.y[chosen.to(land.device)]
        return some


@dataclass(frozen=True)
class Pair:
    """What one pair of minima gave; None, or missing among the releases, is what an interruption left undone."""

    seed: int
    land: Network
    part: Network  # on the inputs that profile and picture are made on
    run: Run | None = None
    straight: Path | None = None
    road: Path | None = None
    profile: Profile | None = None
    releases: dict[str, Release] = field(default_factory=dict)
    complete: bool = False


def landscape(recipe: Recipe) -> Network:
    """Return the network of a recipe with its data, on the device that suits it."""
    return recipe.landscape(recipe.device())


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
        project_every=setting.project_every,
        undo_excursions=setting.undo_excursions,
        record_every=record_every(setting, recipe.records),
        progress=progress,
    )


def record_every(setting: Setting, records: int | None) -> int | None:
    """Return the steps between two of about so many records, each at a projection."""
    if records is None:
        return None
    return setting.project_every * max(1, round(setting.steps / (records * setting.project_every)))

"""What the story is made of: the recipe for the digits, its settings, and what a pair of minima gave."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import torch

from entropic_edu.data import digits
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.release import Release
from entropic_edu.physics.train import Run


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
    control without noise. k is 15 at η = 0.2 as in the paper; at the other learning rates it is the k that lets a free
    walker spread by the same variance between two projections (``theory.sustained_variance`` at h → 0).

    At this temperature the walkers are past the linear regime, and go home many times faster than ``theory.predict``
    says; the colder walkers and those without noise move as it says. Rare bursts throw a walker out of the valley for a
    moment. They do not carry it home: it goes there as well where each such excursion is undone.
    """

    dataset: ClassVar[str] = "digits"
    panels: ClassVar[tuple[str, str]] = ("Noise sends the walkers home", "One number decides: T = η/((1-m)B)")
    threads: ClassVar[int | None] = 1  # these networks are too small to share: two threads mostly wait for each other

    widths: tuple[int, ...] = (64, 32, 32, 10)  # units of each layer
    weight_decay: float = 5e-4  # λ, seen by all four verbs
    train: dict[str, Any] = field(
        default_factory=partial(dict, batch_size=16, learning_rate=0.05, momentum=0.9, epochs=120)
    )
    connect: dict[str, Any] = field(default_factory=partial(dict, method="string", pivots=40, sweeps=1500))
    probe: dict[str, Any] = field(default_factory=dict)
    points: int = 25  # of the profile
    probed: int | None = None  # how many training inputs profile and picture are made on; None takes all
    starts: tuple[float, float] = (0.3, 0.7)  # where walkers begin
    momentum: float = 0.9  # of their steps
    records: int | None = None  # about how many records of each release; None leaves it to ``drift``
    settings: tuple[Setting, ...] = (
        Setting("hot", 16, 0.2, 15, 2000),
        Setting("hot, smaller steps", 14, 0.175, 16, 2286),
        Setting("hot, larger steps", 19, 0.2375, 14, 1684),
        Setting("hot, excursions undone", 16, 0.2, 15, 2000, undo_excursions=True),
        Setting("cold", 64, 0.2, 15, 2000),
        Setting("no noise", None, 0.2, 15, 2000, walkers=1),
    )

    def landscape(self, device: torch.device | None = None) -> Network:
        """Return the network and its data on a device: pixels have mean 0 and variance 1 over the training set."""
        data, model = digits().scaled(), mlp(*self.widths).to(device or self.device())
        return Network(model, *data.train, weight_decay=self.weight_decay, test=data.test)

    def step(self, setting: Setting) -> dict[str, Any]:
        """Return what ``drift`` and ``predict`` are both told of a step."""
        return {"batch_size": setting.batch_size, "learning_rate": setting.learning_rate, "momentum": self.momentum}

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
        return land.subset(torch.randperm(len(land.x), generator=torch.Generator().manual_seed(0))[: self.probed])

    def tiny(self) -> Recipe:
        """Return a miniature of a few seconds, to see that it works; its numbers say nothing."""
        return replace(
            self,
            widths=(64, 10, 10),
            train=self.train | {"batch_size": 64, "learning_rate": 0.1, "epochs": 6},
            connect=self.connect | {"pivots": 6, "sweeps": 60},
            points=7,
            settings=(
                Setting("hot", 16, 0.05, 15, 60, walkers=3),
                Setting("hot, larger steps", 32, 0.1, 11, 33, walkers=3),
                Setting("hot, excursions undone", 16, 0.05, 15, 60, walkers=3, undo_excursions=True),
                Setting("cold", 64, 0.05, 15, 60, walkers=3),
                Setting("no noise", None, 0.05, 15, 30, walkers=1),
            ),
        )


@dataclass
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

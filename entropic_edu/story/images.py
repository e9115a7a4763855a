"""Recipes of the story on CIFAR-10: in the valley, past it, and the paper's own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import torch

from entropic_edu.data import cifar10
from entropic_edu.networks import devices
from entropic_edu.networks.models import normed_cnn, resnet20, small_cnn
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import Sweeps

from .digits import Recipe, Setting, Valley, miniatures

WIDTHS: dict[str, tuple[int, ...]] = {"small_cnn": (16, 32, 64), "resnet20": (16,)}


@dataclass(frozen=True)
class Images(Valley):
    """The story in the valley on images of CIFAR-10, 16 x 16 pixels; a pair takes minutes on two cores.

    Each convolution is normalised, 1,000 images are memorised with no label wrong, and label noise does the rest. Ends
    rest on small batches without label noise, whose own noise dies out as the labels are learned. All walkers move for
    one flow time, in which full-batch descent moves an end by an eighth of the road. It and the learning rates were
    chosen by looking: noise is to send walkers well on their way home, and ends are to be at rest meanwhile.
    """

    dataset: ClassVar[str] = "cifar10"
    at_rest: ClassVar[float | None] = 0.15
    widths: tuple[int, ...] = (24, 48, 96)  # channels
    images: int | None = 200  # the first so many of each file; None: all
    side: int = 16  # pixels along each edge
    wrong: float = 0.0
    train: dict[str, Any] = field(
        default_factory=partial(dict, batch_size=32, learning_rate=0.1, momentum=0.9, epochs=161, schedule="step")
    )
    rest: dict[str, Any] = field(
        default_factory=partial(dict, batch_size=64, learning_rate=0.05, momentum=0.9, epochs=167, schedule="step")
    )
    connect: dict[str, Any] = field(
        default_factory=partial(
            dict, method="string", pivots=14, sweeps=Sweeps(700, change=0, scallop=1e9), batch_size=128
        )
    )
    probe: dict[str, Any] = field(default_factory=partial(dict, num_probes=2, lanczos_steps=12))
    records: int | None = 30
    settings: tuple[Setting, ...] = (
        Setting("hot", 16, 0.04, 15, 2000, walkers=8),
        Setting("warm", 16, 0.02, 15, 4000, walkers=8),
        Setting("cold", 64, 0.04, 15, 2000, walkers=8),
        Setting("no noise", None, 0.2, 15, 200, walkers=1, momentum=0.95),
    )

    def landscape(self, device: torch.device | None = None) -> Network:
        """Return the network and its images on a device; see ``data.cifar10`` for errors."""
        data = cifar10(first=self.images, side=self.side)
        model = normed_cnn(self.widths, size=self.side).to(device or self.device())
        decay, noise = self.weight_decay, self.label_noise
        return Network(model, *data.train, weight_decay=decay, label_noise=noise, test=data.test)

    @property
    def title(self) -> str:
        return f"a normalised CNN on CIFAR-10 at {self.side} x {self.side}"

    def device(self) -> torch.device:
        return devices.device()

    def tiny(self) -> Images:
        return replace(
            self,
            widths=(2, 2, 4),
            images=min(4, self.images or 4),
            side=8,
            train=self.train | {"batch_size": 8, "learning_rate": 0.02, "epochs": 8},
            rest=self.rest | {"batch_size": 8, "learning_rate": 0.02, "epochs": 4},
            connect=self.connect | {"pivots": 4, "sweeps": Sweeps(12, scallop=1e9), "batch_size": 8},
            probe={"num_probes": 1, "lanczos_steps": 2},
            points=4,
            records=2,
            settings=tuple(replace(s, learning_rate=s.learning_rate / 10) for s in miniatures(self.settings)),
        )


@dataclass(frozen=True)
class Cifar10(Recipe):
    """The story on images of CIFAR-10 with hard labels.

    The window of temperature is narrow here: B 16 at η = 0.05 moves walkers towards their ends and leaves them in the
    valley; at η = 0.1 it throws them out. Without noise only η times the steps counts, which is 300 in all settings.
    """

    dataset: ClassVar[str] = "cifar10"
    kind: ClassVar[str] = "cifar10"
    panels: ClassVar[tuple[str, str]] = ("Walkers with noise and without", "Way gone in equal times")
    model: str = "small_cnn"  # or "resnet20"
    norm: str = "none"  # or "group", or "batch", whose statistics are re-estimated at each θ
    images: int | None = 1000  # the first so many of the five training files each, and of the test file; None: all
    statistics: int = 512  # training images that give the statistics of batch norm
    widths: tuple[int, ...] = WIDTHS["small_cnn"]  # channels of its blocks; of the first stage of a ResNet
    weight_decay: float = 8e-4
    train: dict[str, Any] = field(
        default_factory=partial(dict, batch_size=32, learning_rate=0.02, momentum=0.9, epochs=100)
    )
    connect: dict[str, Any] = field(
        default_factory=partial(
            dict, method="string", pivots=32, sweeps=Sweeps(2000, scallop=1e9), batch_size=128, learning_rate=0.03
        )  # no pivots are added: the road says how high the scallops are
    )
    probe: dict[str, Any] = field(default_factory=partial(dict, num_probes=2, lanczos_steps=12))
    points: int = 13
    probed: int | None = 1000
    records: int | None = 26
    settings: tuple[Setting, ...] = (
        Setting("hot", 16, 0.05, 15, 6000, walkers=8),
        Setting("cold", 64, 0.1, 11, 3000, walkers=4),
        Setting("no noise", None, 0.2, 8, 1500, walkers=1),
    )

    def landscape(self, device: torch.device | None = None) -> Network:
        """Return the network and its images on a device; see ``data.cifar10`` for errors."""
        data, device = cifar10(first=self.images), device or self.device()
        norm: Any = None if self.norm == "none" else self.norm
        model = resnet20(norm, self.widths[0]) if self.model == "resnet20" else small_cnn(self.widths, norm=norm)
        return Network(
            model.to(device),
            *data.train,
            weight_decay=self.weight_decay,
            test=data.test,
            batch_norm="reestimate",
            statistics=self.statistics,
            # on a CPU vmap over convolutions is slower, and one way gives the same bits on every run
            strategy="loop" if device.type == "cpu" else "auto",
        )

    @property
    def title(self) -> str:
        return f"{'ResNet-20' if self.model == 'resnet20' else 'the small CNN'} on CIFAR-10"

    def device(self) -> torch.device:
        return devices.device()

    def tiny(self) -> Cifar10:
        settings = (
            replace(s, batch_size=s.batch_size and 8, learning_rate=0.01, project_every=3, steps=6, walkers=1)
            for s in self.settings
        )
        return replace(
            self,
            images=min(4, self.images or 4),
            statistics=12,
            widths={"small_cnn": (4, 4), "resnet20": (2,)}[self.model],
            train=self.train | {"batch_size": 8, "epochs": 4, "learning_rate": 0.02},
            connect=self.connect | {"pivots": 4, "sweeps": Sweeps(8, scallop=1e9), "batch_size": 8},
            probe={"num_probes": 1, "lanczos_steps": 2},
            points=3,
            probed=10,
            records=1,
            settings=tuple(settings),
        )


def paper(images: int | None = None) -> Cifar10:
    """Return the paper's experiment: ResNet-20 with batch norm on all of CIFAR-10 (docs/paper.md compares the two).

    Args:
        images: Fewer than all, of each file.

    References:
        Di Carlo, Goddard & Schwab (2025), arXiv:2512.06297; AutoNEB: Draxler et al. (2018), ICML.
    """
    small, batches = Cifar10(), {"batch_size": 256, "learning_rate": 0.1}
    return replace(
        small,
        model="resnet20",
        norm="batch",
        images=images,
        widths=WIDTHS["resnet20"],
        weight_decay=5e-4,
        train=small.train | batches | {"epochs": 200, "schedule": "step"},
        connect=small.connect  # the sweeps in 4 cycles
        | batches
        | {"method": "autoneb", "pivots": 20, "sweeps": Sweeps(4000, scallop=1e9)},
        probe={"num_probes": 4, "lanczos_steps": 24},
        points=25,
        probed=2000,  # another number than ``statistics``: a network takes as many for all its data
        records=40,
        settings=(
            Setting("hot", 16, 0.02, 15, 10_000, momentum=0.0),
            Setting("cold", 256, 0.02, 15, 10_000, walkers=4, momentum=0.0),
            Setting("no noise", None, 0.1, 15, 2000, walkers=1, momentum=0.0),
        ),
    )

"""Recipes of the story: the digits in the valley and past it, and CIFAR-10: small CNN, ResNet-20, the paper's own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import torch

from entropic_edu.data import cifar10, digits
from entropic_edu.networks import devices
from entropic_edu.networks.models import mlp, resnet20, small_cnn
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import Sweeps
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.release import Release
from entropic_edu.physics.train import Run

WIDTHS: dict[str, tuple[int, ...]] = {"small_cnn": (16, 32, 64), "resnet20": (16,)}
NORMS = {"small_cnn": ("none", "group"), "resnet20": ("group", "batch")}  # the first is the default


@dataclass(frozen=True)
class Setting:
    """One way to let walkers go: batch size B (None: all data), learning rate η, free steps k, and steps in all.

    Without noise only the flow time η/(1-m)·steps counts, so the control takes larger steps and fewer.
    """

    name: str
    batch_size: int | None
    learning_rate: float
    project_every: int
    steps: int
    walkers: int = 16
    undo_excursions: bool = False
    momentum: float = 0.9
    of_the_road: bool = False  # whether the noise is that of the road beside the walker, as linear theory assumes


@dataclass(frozen=True)
class Recipe:
    """All settings of the story; the defaults are those of the runaway, ``--recipe runaway``.

    The network is small, so that the road is narrow and a step is cheap. Training is long and its batches are small, so
    that the weights come to rest under weight decay and the ends lie where noise likes to be. ``settings`` holds three
    pairs (B, η) of one temperature, the first of them again with excursions undone and again with the noise of the
    road, one pair four times colder, and the control without noise. k is 15 at η = 0.2 as in the paper; at the other
    learning rates it is the k that lets a free walker spread by the same variance between two projections
    (``theory.sustained_variance`` at h → 0).

    At this temperature the noise feeds itself: off the road it grows faster than the loss, and above T* = L / tr C
    (``Profile.threshold``) walkers ignite into bursts, which projection puts out. They go home many times faster than
    ``theory.predict`` says, which takes the noise to be that of the road; walkers whose noise is that move as it says.
    """

    dataset: ClassVar[str] = "digits"
    kind: ClassVar[str] = "runaway"  # which claims are judged
    panels: ClassVar[tuple[str, str]] = ("Noise sends the walkers home", "One number decides: T = η/((1-m)B)")

    widths: tuple[int, ...] = (64, 32, 32, 10)  # units of each layer
    weight_decay: float = 5e-4  # λ, seen by all four verbs
    label_noise: float = 0.0  # probability that a drawn label is replaced; the objective is the mean over that
    train: dict[str, Any] = field(
        default_factory=partial(dict, batch_size=16, learning_rate=0.05, momentum=0.9, epochs=120)
    )
    rest: dict[str, Any] = field(default_factory=dict)  # how ends come to rest on the objective, if they do
    match_norms: bool = False  # whether the road gets the ends' norm in each layer whose scale changes no output
    connect: dict[str, Any] = field(
        default_factory=partial(dict, method="string", pivots=40, sweeps=1500, batch_size=256)
    )
    probe: dict[str, Any] = field(default_factory=dict)
    points: int = 25  # of the profile
    probed: int | None = None  # how many training inputs profile and picture are made on; None takes all
    starts: tuple[float, float] = (0.3, 0.7)  # where walkers begin
    records: int | None = None  # about how many records of each release; None leaves it to ``drift``
    settings: tuple[Setting, ...] = (
        Setting("hot", 16, 0.2, 15, 2000),
        Setting("hot, smaller steps", 14, 0.175, 16, 2286),
        Setting("hot, larger steps", 19, 0.2375, 14, 1684),
        Setting("hot, excursions undone", 16, 0.2, 15, 2000, undo_excursions=True),
        Setting("hot, noise of the road", 16, 0.2, 15, 2000, walkers=4, of_the_road=True),
        Setting("cold", 64, 0.2, 15, 2000),
        Setting("no noise", None, 0.4, 8, 500, walkers=1, momentum=0.95),  # the same flow time
    )

    def landscape(self, device: torch.device | None = None) -> Network:
        """Return the network and its data on a device: pixels have mean 0 and variance 1 over the training set."""
        data, model = digits().scaled(), mlp(*self.widths).to(device or self.device())
        held, decay, noise = data.test, self.weight_decay, self.label_noise
        return Network(model, *data.train, weight_decay=decay, label_noise=noise, test=held)

    def step(self, setting: Setting) -> dict[str, Any]:
        """Return what ``drift`` and ``predict`` are both told of a step."""
        return {"batch_size": setting.batch_size, "learning_rate": setting.learning_rate, "momentum": setting.momentum}

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
                Setting("hot, noise of the road", 16, 0.05, 15, 30, walkers=2, of_the_road=True),
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
    raw: Profile | None = None  # of the road as it was built, where norms are matched
    profile: Profile | None = None
    releases: dict[str, Release] = field(default_factory=dict)
    complete: bool = False


def _tiny(settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """The same settings with batches of 8, two walkers and a few steps."""
    few = (replace(s, batch_size=s.batch_size and 8, steps=12, project_every=3) for s in settings)
    return tuple(replace(s, walkers=2 if s.batch_size else 1) for s in few)


@dataclass(frozen=True)
class Relu(Recipe):
    """The network of the runaway with label noise, ``--recipe relu``: walkers stay in the valley here too.

    Nothing is normalised and no label is wrong. The trace has its bump, and the adaptive trace none: the ends have the
    larger norm.
    """

    kind: ClassVar[str] = "valley"
    panels: ClassVar[tuple[str, str]] = (
        "Noise sends walkers home; without it they stay",
        "What noise did, against linear theory",
    )
    label_noise: float = 0.1
    connect: dict[str, Any] = field(
        default_factory=partial(dict, method="string", pivots=40, sweeps=Sweeps(1500, change=0), batch_size=256)
    )
    settings: tuple[Setting, ...] = (
        Setting("hot", 48, 0.2, 15, 2000, walkers=8),
        Setting("warm", 64, 0.2, 15, 2000, walkers=8),
        Setting("cold", 128, 0.2, 15, 2000, walkers=8),
        Setting("no noise", None, 0.4, 8, 500, walkers=1, momentum=0.95),
    )

    def tiny(self) -> Recipe:
        return replace(super().tiny(), settings=_tiny(self.settings))

    @property
    def title(self) -> str:
        return "a ReLU network on digits with label noise"


@dataclass(frozen=True)
class Valley(Recipe):
    """The story of ``make story``: walkers stay in the valley, and linear theory says where they are.

    Four things make it hold, and each has a switch. Fresh label noise (each drawn label is replaced by a uniform one
    with probability ``label_noise``; the objective is its exact mean, label smoothing) chooses flat ends and goes on
    acting where all is learned. ``wrong`` labels are memorised. Hidden layers are normalised. Their norms are those of
    the ends along the road: it sags to smaller norms as it is built, and curvature goes as 1/norm².

    The ends rest a while on the objective without noise, so that the control stays where it is let go. All settings but
    one are stable for their batches (``Release.sharpness``); "hot" is past that in the middle.
    """

    kind: ClassVar[str] = "valley"
    panels: ClassVar[tuple[str, str]] = (
        "Noise sends walkers home; without it they stay",
        "What noise did, against linear theory",
    )
    widths: tuple[int, ...] = (64, 96, 96, 10)
    images: int = 500
    wrong: float = 0.2  # share of the training labels that are drawn anew, once
    label_noise: float = 0.1
    train: dict[str, Any] = field(
        default_factory=partial(dict, batch_size=32, learning_rate=0.1, momentum=0.9, epochs=533, schedule="step")
    )
    rest: dict[str, Any] = field(
        default_factory=partial(
            dict, batch_size=None, learning_rate=0.05, momentum=0.9, epochs=1000, schedule="constant"
        )
    )
    match_norms: bool = True
    connect: dict[str, Any] = field(
        default_factory=partial(
            dict, method="string", pivots=14, sweeps=Sweeps(1200, change=0, scallop=1e9), batch_size=256
        )  # its trace has settled long before; the objective has not, and the control would feel it
    )
    probe: dict[str, Any] = field(default_factory=partial(dict, num_probes=4, lanczos_steps=16))
    points: int = 13
    settings: tuple[Setting, ...] = (
        Setting("hot", 16, 0.02, 15, 6000, walkers=8),
        Setting("warm", 16, 0.01, 15, 7000, walkers=8),
        Setting("cold", 64, 0.02, 15, 4000, walkers=8),
        Setting("no noise", None, 0.1, 15, 1200, walkers=1),
    )

    def landscape(self, device: torch.device | None = None) -> Network:
        """Return the network and its data on a device; which labels are wrong is the same for all seeds."""
        data, generator = digits(), torch.Generator().manual_seed(0)
        x, y = data.x[: self.images], data.y[: self.images].clone()
        chosen = torch.rand(len(y), generator=generator) < self.wrong
        y[chosen] = torch.randint(10, (int(chosen.sum()),), generator=generator)
        model = mlp(*self.widths, norm="layer").to(device or self.device())
        return Network(model, x, y, weight_decay=self.weight_decay, label_noise=self.label_noise, test=data.test)

    @property
    def title(self) -> str:
        return "a normalised network on digits"

    def tiny(self) -> Valley:
        return replace(
            self,
            widths=(64, 10, 10),
            images=100,
            train=self.train | {"epochs": 10},
            rest=self.rest | {"epochs": 5},
            connect=self.connect | {"pivots": 6, "sweeps": Sweeps(60, scallop=1e9), "batch_size": 50},
            probe={"num_probes": 1, "lanczos_steps": 4},
            points=7,
            settings=_tiny(self.settings),
        )


@dataclass(frozen=True)
class Cifar10(Recipe):
    """The story on images of CIFAR-10; the recording of lesson 09 is made with the defaults.

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


DIGITS: dict[str, type[Recipe]] = {"valley": Valley, "relu": Relu, "runaway": Recipe}


def chosen(
    dataset: str = "digits",
    *,
    model: str | None = None,
    norm: str | None = None,
    images: int | None = None,
    use_paper: bool = False,
    kind: str = "valley",
) -> Recipe:
    """Return the recipe that the options of the command ask for; ``kind`` is a name in ``DIGITS``.

    Raises:
        ValueError: If options do not go together; it says which do.
    """
    given = [f"--{name}" for name, value in (("model", model), ("norm", norm), ("images", images)) if value is not None]
    if use_paper:
        if model not in (None, "resnet20") or norm not in (None, "batch"):
            raise ValueError("--paper is ResNet-20 with batch norm; leave out --model and --norm.")
        return paper(images)
    if dataset == "digits":
        if given:
            raise ValueError(
                f"{' and '.join(given)} belong to --dataset cifar10, got digits, whose network is an MLP without norm."
            )
        return DIGITS[kind]()
    model = model or "small_cnn"
    if model not in NORMS:
        raise ValueError(f"--model must be one of {', '.join(NORMS)}, got {model!r}.")
    norm = norm or NORMS[model][0]
    if norm not in NORMS[model]:
        raise ValueError(f"--model {model} takes --norm {' or '.join(NORMS[model])}, got {norm!r}.")
    return Cifar10(model=model, norm=norm, widths=WIDTHS[model], images=images or Cifar10.images)

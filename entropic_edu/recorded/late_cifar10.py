"""Children of one training run on CIFAR-10 that part at step k, and the straight lines between them (lesson 07).

Two networks on the first 1,000 images at 16 x 16: "normed" is that of ``cifar10``, with label noise; "plain" is the
same without normalisation, with biases and hard labels. One of the two children at each k is the trunk, trained to the
end: it is the same for all k. Each layer whose scale changes no output has the ends' norm along the line. Curvature is
measured on some of the images, with the same random probes on all lines of a trunk.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from entropic_edu.data import cifar10
from entropic_edu.networks.models import normed_cnn
from entropic_edu.networks.network import Network
from entropic_edu.physics.path import Path
from entropic_edu.physics.spawn import Family
from entropic_edu.physics.train import train
from entropic_edu.sweeps.kept import Part

from . import Work
from ._common import Values, columns, seeded
from .late_normalised import together

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],  # one trunk each
    "images": 200,  # of each file
    "side": 16,
    "channels": [24, 48, 96],
    "weight_decay": 5e-4,
    "label_noise": {"normed": 0.1, "plain": 0.0},
    "points": 9,
    "probed": 300,
    "num_probes": 4,
    "at": {
        "normed": [0, 10, 30, 60, 150, 300, 600],
        "plain": [0, 300, 600, 800, 900, 1000, 1200],
    },
    "train": {"batch_size": 32, "learning_rate": 0.1, "momentum": 0.9, "schedule": "step", "epochs": 129},
}
TINY: Values = {
    "seeds": [0, 1],
    "images": 4,
    "side": 8,
    "channels": [2, 2, 4],
    "points": 3,
    "probed": 10,
    "num_probes": 2,
    "at": {"normed": [0, 3], "plain": [0, 3]},
    "train": {"batch_size": 8, "learning_rate": 0.02, "momentum": 0.9, "schedule": "step", "epochs": 3},
}


def make(recipe: Values, work: Work) -> Values:
    """Return for each network the curves between siblings, trunks stacked (docs/recordings.md)."""
    wanted = {
        f"{kind}, trunk {seed}": Part(partial(grown, kind, seed, recipe))
        for seed in recipe["seeds"]
        for kind in recipe["at"]
    }
    made = work.parts(wanted)
    found: Values = {}
    for kind in recipe["at"]:
        trunks = [made[f"{kind}, trunk {seed}"] for seed in recipe["seeds"]]
        found[f"{kind}/family"] = together([each.pop("family") for each in trunks])
        found |= {f"{kind}/{name}": each for name, each in columns(trunks).items()}
    return found


def landscape(kind: str, recipe: Values = RECIPE) -> Network:
    """Return the network "normed" or "plain" and its images; see ``data.cifar10`` for errors."""
    data = cifar10(first=recipe["images"], side=recipe["side"])
    model = normed_cnn(recipe["channels"], size=recipe["side"])
    model = model if kind == "normed" else without_norms(model)
    given = {"weight_decay": recipe["weight_decay"], "label_noise": recipe["label_noise"][kind]}
    return Network(model, *data.train, test=data.test, **given)


def without_norms(model: nn.Sequential) -> nn.Sequential:
    """Return the same convolutions with biases, and nothing normalised."""
    layers: list[nn.Module] = []
    for layer in model:
        if isinstance(layer, nn.Conv2d):
            (kernel, _), (stride, _), padding = layer.kernel_size, layer.stride, layer.padding[0]
            layers.append(nn.Conv2d(layer.in_channels, layer.out_channels, kernel, stride, int(padding)))
        elif not isinstance(layer, nn.GroupNorm):
            layers.append(layer)
    return nn.Sequential(*layers)


def grown(kind: str, seed: int, recipe: Values) -> Values:
    """Return the family of one trunk and the lengths of its lines; its children's weights are not kept."""
    land, own, at, given = landscape(kind, recipe), seeded(seed), recipe["at"][kind], recipe["train"]
    trunk, children = train(land, generator=own, runs=1, stop_at=0, **given), []
    for k in at:
        trunk = train(land, generator=own, start=trunk, stop_at=k, **given)
        children.append(train(land, generator=seeded(10_000 * (seed + 1) + k), start=trunk, **given).theta[0])
    first = train(land, generator=own, start=trunk, **given).theta[0]
    rows = [curves(land, torch.stack([first, child]), seed, recipe) for child in children]
    lengths = [(first - child).norm() for child in children]
    noise = torch.stack([row.pop("noise") for row in rows])
    found: Values = {name: each[None, :, None] for name, each in columns(rows).items()}  # one trunk, one pair
    ends = torch.zeros(1, len(at), 2, 0)
    family = Family(torch.tensor(at), positions(recipe), ends, **found, steps=trunk.steps, recipe=dict(given))
    return {"family": family, "length": torch.stack(lengths), "noise": noise}


def positions(recipe: Values) -> Tensor:
    """Return the positions on a line, float64."""
    return torch.linspace(0, 1, recipe["points"], dtype=torch.float64)


def curves(land: Network, ends: Tensor, seed: int, recipe: Values) -> dict[str, Tensor]:
    """Return the quantities of a ``Family`` on the line between two ends (2, D), and tr C at B = 1, each (points,)."""
    line = torch.lerp(ends[0], ends[1], positions(recipe).to(ends)[:, None])
    line = Path(line).match_norms(land).pivots if not torch.equal(*ends) else line
    some = land.subset(torch.arange(recipe["probed"]))
    trace = some.trace(line, num_probes=recipe["num_probes"], generator=seeded(seed), weight_decay=False)
    with torch.no_grad():
        known = {"loss": land.loss(line), "data_loss": land.data_loss(line)}
    known |= {"trace": trace.value, "trace_error": trace.error, "test_accuracy": land.accuracy(line, "test")}
    known["noise"] = some.noise_trace(line)
    return known | {"top_eigenvalue": torch.full_like(trace.value, torch.nan)}

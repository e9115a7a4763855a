"""Good and bad minima of one loss, the roads between them, and walkers let go on these: what lesson 08 stands on.

One network and 400 true digits. A bad minimum is first trained on the true digits and on as many others with wrong
labels (the poison), and then, without the poison, by the same recipe as the good one. There is no weight decay, so that
both are minima of one objective. Ends and road of pair 0 were rounded to half precision before they were measured.

References:
    Wu, Zhu & E (2017), arXiv:1706.10239, and Huang et al. (2020), arXiv:1906.03291, for the poison set; Dinh et al.
    (2017), arXiv:1703.04933, for the rescaling; Kwon et al. (2021), arXiv:2102.11600, for Σθᵢ²Hᵢᵢ.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from entropic_edu.data import digits
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace
from entropic_edu.physics.connect import connect
from entropic_edu.physics.curvature import extreme_eigenvalues
from entropic_edu.physics.drift import drift
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.release import Release
from entropic_edu.physics.theory import predict
from entropic_edu.physics.train import train

from ._common import Say, Values, all_sweeps, arguments, columns, seeded, whole

_TRAIN = {"batch_size": None, "learning_rate": 0.1, "schedule": "constant"}
_BOTH = ("cross_entropy", "mse")

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],
    "widths": [64, 40, 40, 10],
    "samples": 400,
    "poison": 400,
    "label_seed": 0,
    "poisoned": {
        "cross_entropy": {"batch_size": 64, "learning_rate": 0.1, "epochs": 400},
        "mse": {"batch_size": 32, "learning_rate": 0.3, "epochs": 400},
    },
    "training": {  # stage after stage, each measured at its end
        "cross_entropy": [_TRAIN | {"batch_size": 64, "epochs": epochs} for epochs in (20, 20, 40, 80, 160)],
        "mse": [
            _TRAIN | {"batch_size": 32, "learning_rate": 0.2, "epochs": 50},
            _TRAIN | {"batch_size": 32, "learning_rate": 0.2, "epochs": 150, "schedule": "cosine"},
            *(_TRAIN | {"learning_rate": 0.5, "epochs": epochs} for epochs in (1000, 3000)),
        ],
    },
    "stage": {"cross_entropy": 2, "mse": 3},  # the stage whose ends are joined
    "large": _TRAIN | {"epochs": 1500},
    "connect": {
        "cross_entropy": {"method": "string", "pivots": 32, "sweeps": 500, "learning_rate": 0.05},
        "mse": {"method": "string", "pivots": 32, "sweeps": 1500, "learning_rate": 0.3},
    },
    "points": 13,
    "fine": 101,
    "alphas": [0.25, 0.5, 1.0, 2.0, 4.0],
    "lanczos_steps": 30,
    "profile": 25,
    "released": [0, 1, 2],
    "starts": [0.1, 0.5, 0.95],
    "label_noise": 0.5,
    "weight_decay": 5e-4,
    "batches": [1, 4, 16],
    "walkers": 8,
    "drift": {"learning_rate": 0.1, "momentum": 0.9, "steps": 1980, "project_every": 15, "record_every": 180},
    "cooling": _TRAIN | {"epochs": 200},
    "hot": {"batch_size": 16, "learning_rate": 0.2, "momentum": 0.9, "steps": 1980, "project_every": 15},
}
TINY: Values = {
    "seeds": [0],
    "widths": [64, 8, 10],
    "samples": 60,
    "poison": 30,
    "poisoned": {loss: {"batch_size": 30, "learning_rate": 0.1, "epochs": 10} for loss in _BOTH},
    "training": {loss: [_TRAIN | {"batch_size": 30, "epochs": 20}] * 2 for loss in _BOTH},
    "stage": dict.fromkeys(_BOTH, 1),
    "large": _TRAIN | {"epochs": 30},
    "connect": {loss: {"method": "string", "pivots": 6, "sweeps": 30, "learning_rate": 0.05} for loss in _BOTH},
    "points": 3,
    "fine": 5,
    "profile": 3,
    "lanczos_steps": 5,
    "released": [0],
    "batches": [4],
    "walkers": 2,
    "drift": {"learning_rate": 0.1, "momentum": 0.9, "steps": 30, "project_every": 15, "record_every": 30},
    "hot": {"batch_size": 16, "learning_rate": 0.05, "momentum": 0.9, "steps": 30, "project_every": 15},
}
COLUMNS = ("loss", "train", "test", "norm", "trace", "top", "adaptive")


def landscape(
    loss: str = "mse", *, recipe: Values = RECIPE, label_noise: float = 0.0, weight_decay: float = 0.0
) -> Network:
    """Return the network on the true digits; pixels have mean 0 and variance 1 over all training digits."""
    x, y = (part[: recipe["samples"]] for part in digits().scaled().train)
    return _network(recipe, x, y, {"loss": loss, "label_noise": label_noise, "weight_decay": weight_decay})


def poisoned(loss: str, recipe: Values = RECIPE) -> Network:
    """Return the network on the true digits and on as many others, each with a wrong label drawn at random."""
    x, y = digits().scaled().train
    true, every = recipe["samples"], recipe["samples"] + recipe["poison"]
    wrong = (y[true:every] + torch.randint(1, 10, (recipe["poison"],), generator=seeded(recipe["label_seed"]))) % 10
    return _network(recipe, x[:every], torch.cat([y[:true], wrong]), {"loss": loss})


def _network(recipe: Values, x: Tensor, y: Tensor, given: Values) -> Network:
    return Network(mlp(*recipe["widths"]), x, y, test=digits().scaled().test, strategy="stacked", **given)


def minima(loss: str, recipe: Values = RECIPE) -> tuple[Tensor, Tensor]:
    """Return good and bad minima, one pair for each seed, at each stage of their common training, (stages, R, D)."""
    land, runs = landscape(loss, recipe=recipe), len(recipe["seeds"])
    seed = 1000 * recipe["seeds"][0] + (0 if loss == "mse" else 100)
    first = train(poisoned(loss, recipe), generator=seeded(seed + 1), runs=runs, **recipe["poisoned"][loss])
    begun = seeded(seed + 2)
    theta = torch.cat([torch.stack([land.initial(begun) for _ in range(runs)]), first.theta])
    stages = []
    for number, setting in enumerate(recipe["training"][loss]):
        theta = train(land, generator=seeded(seed + 10 + number), start=theta, **setting).theta
        stages.append(theta.half().float())
    good, bad = torch.stack(stages).split(runs, 1)
    return good, bad


def make(recipe: Values, say: Say) -> Values:
    """Return what the lesson's explorers show, by the names of docs/recordings.md."""
    results: Values = {}
    for loss in _BOTH:
        land, stage = landscape(loss, recipe=recipe), recipe["stage"][loss]
        both = torch.stack(minima(loss, recipe))
        turned = [rescaled(land, both.flatten(0, 2), alpha) for alpha in recipe["alphas"]]
        every = torch.stack([measures(land, each, recipe["lanczos_steps"]) for each in turned])
        results[f"{loss}/rescaled"] = every.unflatten(1, both.shape[:3])
        good, bad = both[:, stage]
        say(f"{loss}: test accuracy {_accuracies(land, good)} and {_accuracies(land, bad)}")
        roads = _roads(land, good, bad, loss, recipe, say)
        results[f"{'squared' if loss == 'mse' else 'poison'}/road"] = _along(land, roads, recipe)
        if loss == "mse":
            results["road"] = replace(roads[0], pivots=roads[0].pivots.half())
            results |= _releases(roads, recipe, say)
        else:
            results["cross_entropy/good"] = good[0].half()
            results["cross_entropy/bad"] = bad[0].half()
            results["cross_entropy/moved"] = _moved(land, whole(roads[0]), recipe)
            start = seeded(1000 * recipe["seeds"][0] + 103)
            large = train(land, generator=start, runs=len(recipe["seeds"]), **recipe["large"]).theta
            say(f"large batch: test accuracy {_accuracies(land, large)}")
            results["large/road"] = _along(land, _roads(land, good, large, loss, recipe, say), recipe)
    return results


def _accuracies(land: Network, theta: Tensor) -> str:
    accuracy = land.accuracy(theta, "test")
    return f"{float(accuracy.mean()):.3f} ({float(accuracy.min()):.3f} to {float(accuracy.max()):.3f})"


def _roads(land: Network, good: Tensor, bad: Tensor, loss: str, recipe: Values, say: Say) -> list[Path]:
    roads = []
    for number, seed in enumerate(recipe["seeds"]):
        given = {"points": recipe["connect"][loss]["pivots"], "tolerance": math.inf} | recipe["connect"][loss]
        made = connect(land, good[number], bad[number], generator=seeded(1000 * seed + 20), **all_sweeps(given))
        say(f"{loss}, pair {number}: {made.summary()}")
        roads.append(made.through(made.pivots.half().float()))
    return roads


def _along(land: Network, roads: list[Path], recipe: Values) -> Tensor:
    where = torch.linspace(0, 1, recipe["points"])
    return torch.stack([measures(land, whole(road).at(where), recipe["lanczos_steps"]) for road in roads])


def _moved(land: Network, road: Path, recipe: Values) -> Tensor:
    """Cross-entropy: where walkers end with mini-batch noise, its error, without noise, and with decay alone."""
    decayed = landscape("cross_entropy", recipe=recipe, weight_decay=recipe["weight_decay"])
    both = recipe["hot"] | {"start": recipe["starts"]}
    still = both | {"batch_size": None, "walkers": 1}
    noisy = drift(land, road, generator=seeded(31), walkers=recipe["walkers"], **both)
    without = drift(land, road, generator=seeded(31), **still)
    decay = drift(decayed, road, generator=seeded(31), **still)
    rows = [noisy.mean_position[-1], noisy.position_error[-1], without.mean_position[-1], decay.mean_position[-1]]
    return torch.stack([row.float() for row in rows])


def settings(noise: str, batch_size: int | None, pair: int = 0, recipe: Values = RECIPE) -> Values:
    """Return the arguments of ``drift`` for a release: noise is "label", "minibatch", or "none" (also for decay)."""
    quiet = noise == "none"
    return {
        "generator": seeded(1000 * recipe["seeds"][pair] + 30),
        "start": recipe["starts"],
        "noise": noise,
        "batch_size": None if quiet else batch_size,
        "walkers": 1 if quiet else recipe["walkers"],
    } | recipe["drift"]


def _releases(roads: list[Path], recipe: Values, say: Say) -> dict[str, Tensor]:
    land = landscape(recipe=recipe)
    noisy = landscape(recipe=recipe, label_noise=recipe["label_noise"])
    decayed = landscape(recipe=recipe, weight_decay=recipe["weight_decay"])
    kinds: dict[str, tuple[str, Network, int | None]] = {
        **{f"label{size}": ("label", noisy, size) for size in recipe["batches"]},
        **{f"batch{size}": ("minibatch", land, size) for size in recipe["batches"]},
        "none": ("none", land, None),
        "decay": ("none", decayed, None),
    }
    rows, step = [], torch.empty(0)
    for pair in recipe["released"]:
        own, row = whole(roads[pair]), {}
        for name, road in (("found", own), ("matched", matched(land, own))):
            profile = probe(noisy, road, generator=seeded(32), points=recipe["profile"])
            row[f"{name}/profile"] = torch.stack([profile.trace, profile.norm, profile.adaptive_trace])
            row[f"{name}/fine"] = land.accuracy(road.at(torch.linspace(0, 1, recipe["fine"])), "test")
            for kind, (noise, field, size) in kinds.items():
                release = drift(field, road, **arguments(settings(noise, size, pair, recipe) | {"keep_theta": True}))
                say(f"pair {pair}, {name}, {kind}: {release.summary()}")
                values = _measured(land, release, profile, recipe)
                row |= {f"{name}/{kind}/{key}": value for key, value in values.items()}
                step = release.step
        rows.append(row)
    return columns(rows) | {"step": step}


def _measured(land: Network, release: Release, profile: Profile, recipe: Values) -> dict[str, Tensor]:
    """Return what walkers did; of those in label noise also where theory has them, and where they cool down to."""
    assert release.theta is not None
    own = torch.stack([land.accuracy(theta, "test") for theta in release.theta])
    values = {"position": release.position.half(), "own": own.half(), "outside": release.outside.half()}
    if release.recipe["noise"] == "label":
        calm = train(land, generator=seeded(33), start=release.theta[-1], **recipe["cooling"])  # on all true labels
        values |= {"predicted": _predicted(profile, release), "cooled": land.accuracy(calm.theta, "test").half()}
    return values


def _predicted(profile: Profile, release: Release) -> Tensor:
    """Return where theory says the mean walker of each start is at each record, (R, S)."""
    given = ("batch_size", "learning_rate", "momentum", "project_every", "noise")
    law = predict(profile, **{name: release.recipe[name] for name in given})
    return torch.stack([law.track(float(start), release.step) for start in release.starts], 1).half()


def rescaled(land: Network, theta: Tensor, alpha: float | Tensor) -> Tensor:
    """Return weights of the same function: those into the first hidden layer times α, those out of it over α.

    Of (D,) or (P, D), in a chain of linear layers and ReLU; α > 0 is one for all or one for each, (P,).
    """
    factor = torch.as_tensor(alpha, dtype=theta.dtype)[..., None]
    flat = [part.reshape(*theta.shape[:-1], -1) for part in land.unflatten(theta).values()]
    flat[0], flat[1], flat[2] = flat[0] * factor, flat[1] * factor, flat[2] / factor
    return torch.cat(flat, -1)


def factor_for(land: Network, theta: Tensor, norm: float) -> float:
    """Return the α ≥ 1 at which the rescaled weights have this norm, or the one of least norm if that is larger."""
    parts = [float(part.square().sum()) for part in land.unflatten(theta).values()]
    into, out, rest = parts[0] + parts[1], parts[2], sum(parts[3:])
    wanted = max(norm**2 - rest, 2 * math.sqrt(into * out))
    return math.sqrt((wanted + math.sqrt(max(0.0, wanted**2 - 4 * into * out))) / (2 * into))


def matched(land: Network, road: Path) -> Path:
    """Return the road with the same functions on it, rescaled so that both ends have one norm.

    At position s of the old road α is A^(1-s): the good end is rescaled by A, the bad end stays, and no loss changes.
    """
    whole = factor_for(land, road.pivots[0], float(road.pivots[-1].norm()))
    return road.through(rescaled(land, road.pivots, whole ** (1 - road.marks)))


@torch.no_grad()
def measures(land: Network, theta: Tensor, lanczos_steps: int = 30) -> Tensor:
    """Return the ``COLUMNS`` at (P, D): data loss, both accuracies, ‖θ‖, tr H, λmax and Σθᵢ²Hᵢᵢ; (P, 7)."""
    top = extreme_eigenvalues(land, theta, steps=lanczos_steps, generator=seeded(9), weight_decay=False)
    columns = [
        land.data_loss(theta),
        land.accuracy(theta),
        land.accuracy(theta, "test"),
        theta.norm(dim=-1),
        exact_trace(land, theta, weight_decay=False),
        top.largest,
        exact_trace(land, theta, weight_decay=False, scale=theta),
    ]
    return torch.stack([column.float() for column in columns], -1)

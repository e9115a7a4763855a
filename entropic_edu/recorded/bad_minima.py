"""Good and bad minima of one loss, the roads between them, and walkers let go on these: what lesson 08 stands on.

One network and 400 true digits. A bad minimum is first trained on the true digits and on 800 others with wrong labels
(the poison), and then, without the poison, comes to rest like the good one. There is no weight decay, so that both are
minima of one objective. Hidden layers are normalised: their scale changes no output, and they come out of the poison
several times larger. On the road "matched" each has the norm of the good end all along; the road "trained" passes the
same functions in the same order, and its norms go from those of the good end to those of the bad end as trained.

Settings were chosen on the first two seeds. The ``held_out`` seeds were fixed before they were run, once.

References:
    Wu, Zhu & E (2017), arXiv:1706.10239, and Huang et al. (2020), arXiv:1906.03291, for the poison set; Dinh et al.
    (2017), arXiv:1703.04933, for the rescaling; Kwon et al. (2021), arXiv:2102.11600, for Σθᵢ²Hᵢᵢ.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from entropic_edu.data import digits
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import connect
from entropic_edu.physics.curvature import extreme_eigenvalues
from entropic_edu.physics.drift import drift
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.release import Release
from entropic_edu.physics.theory import predict
from entropic_edu.physics.train import train

from . import Work, load
from ._common import Values, all_sweeps, arguments, columns, seeded, whole

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],
    "held_out": [101, 102, 103],
    "widths": [64, 96, 96, 10],
    "samples": 400,
    "poison": 800,
    "label_noise": 0.1,
    "good": {"batch_size": 32, "learning_rate": 0.1, "epochs": 320, "schedule": "step"},
    "poisoned": {"batch_size": 32, "learning_rate": 0.1, "epochs": 500, "schedule": "step"},
    "rest": {"batch_size": None, "learning_rate": 0.1, "epochs": 3000, "schedule": "constant"},
    "connect": {"method": "string", "pivots": 14, "sweeps": 1200, "learning_rate": 0.05, "tolerance": 1e9},
    "points": 15,
    "probe": {"num_probes": 4, "lanczos_steps": 16},
    "factors": [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0],
    "num_probes": 16,
    "starts": [0.2, 0.5, 0.8, 0.95],
    "walkers": 4,
    "batch_size": 32,
    "noise": {"matched": ["label", "batch", "none"], "trained": ["label", "none"]},
    "drift": {"learning_rate": 0.1, "momentum": 0.9, "steps": 2100, "project_every": 15, "record_every": 150},
    "control": {"learning_rate": 0.2, "steps": 1050, "record_every": 75},  # the same flow time: η·steps
}
TINY: Values = {
    "seeds": [0],
    "held_out": [101],
    "widths": [64, 10, 10],
    "samples": 100,
    "poison": 30,
    "good": {"batch_size": 30, "learning_rate": 0.1, "epochs": 10},
    "poisoned": {"batch_size": 30, "learning_rate": 0.1, "epochs": 20},
    "rest": {"batch_size": None, "learning_rate": 0.1, "epochs": 20, "schedule": "constant"},
    "connect": {"method": "string", "pivots": 6, "sweeps": 60, "learning_rate": 0.05, "tolerance": 1e9},
    "points": 3,
    "probe": {"num_probes": 1, "lanczos_steps": 4},
    "num_probes": 2,
    "walkers": 2,
    "drift": {"learning_rate": 0.1, "momentum": 0.9, "steps": 60, "project_every": 15, "record_every": 30},
    "control": {"learning_rate": 0.2, "steps": 30, "record_every": 15},
}
COLUMNS = ("loss", "train", "test", "norm", "trace", "top", "adaptive", "layers")
ROADS = ("matched", "trained")


def landscape(recipe: Values = RECIPE, kind: str = "normed") -> Network:
    """Return the network on the true digits: "normed", with label noise, or "plain", with biases and hard labels."""
    return _network(recipe, kind, *(part[: recipe["samples"]] for part in digits().train))


def poisoned(recipe: Values, seed: int, kind: str = "normed") -> Network:
    """Return the network on the true digits and on others, each with a wrong label that the seed drew."""
    x, y = digits().train
    true, every = recipe["samples"], recipe["samples"] + recipe["poison"]
    wrong = (y[true:every] + torch.randint(1, 10, (recipe["poison"],), generator=seeded(1000 * seed))) % 10
    return _network(recipe, kind, x[:every], torch.cat([y[:true], wrong]))


def _network(recipe: Values, kind: str, x: Tensor, y: Tensor) -> Network:
    model = mlp(*recipe["widths"], norm="layer" if kind == "normed" else None)
    return Network(model, x, y, test=digits().test, label_noise=recipe["label_noise"] if kind == "normed" else 0.0)


def ends(recipe: Values, seed: int, kind: str = "normed") -> Tensor:
    """Return the good and the bad minimum of a seed, at rest on the objective of the true digits, (2, D)."""
    return minima(landscape(recipe, kind), poisoned(recipe, seed, kind), seed, recipe)


def minima(land: Network, poisoned: Network, seed: int, recipe: Values) -> Tensor:
    """Return a good and a bad minimum of a landscape, the bad one first trained on the poisoned one, (2, D)."""
    good = train(land, generator=seeded(1000 * seed + 1), **recipe["good"]).theta
    bad = train(poisoned, generator=seeded(1000 * seed + 2), **recipe["poisoned"]).theta
    both, generator = torch.stack([good, bad]), seeded(1000 * seed + 3)
    return train(land.without_label_noise(), start=both, generator=generator, **recipe["rest"]).theta


def make(recipe: Values, work: Work) -> Values:
    """Return what the lesson's explorers show, by the names of docs/recordings.md."""
    rows = []
    for seed in (*recipe["seeds"], *recipe["held_out"]):
        rows.append(work.part(f"seed {seed}", partial(pair, recipe, seed, work)))
        table = rows[-1]["matched/along"]
        work(f"seed {seed}: held-out accuracy {float(table[0, 2]):.3f} and {float(table[-1, 2]):.3f}")
    plain = [work.part(f"plain, seed {seed}", partial(_plain, recipe, seed)) for seed in recipe["seeds"]]
    first = rows[0].pop("road")
    for row in rows[1:]:
        del row["road"]
    return {"road": first, **columns(rows), **columns(plain), "step": torch.tensor(_steps(recipe))}


def _steps(recipe: Values) -> list[int]:
    every, last = recipe["drift"]["record_every"], recipe["drift"]["steps"]
    return list(range(0, last + 1, every))


def pair(recipe: Values, seed: int, say: Work) -> Values:
    """Return all that is measured for one seed."""
    land, theta = landscape(recipe), ends(recipe, seed)
    layers = land.scale_free(theta)
    between, values = joined(land, theta, seed, recipe)
    factors = values["factors"]
    good, bad = between.pivots[[0, -1]]
    sizes = torch.tensor(recipe["factors"])[:, None].expand(-1, len(factors))
    resizings = torch.cat([factors[None], sizes])
    every = torch.cat([good[None], resized(bad.expand(len(resizings), -1), layers, resizings)])
    values["normed/ends"] = measures(land, every, recipe["num_probes"], layers)
    for name, road in zip(ROADS, (between, grown(between, layers, factors)), strict=True):
        profile = probe(land, road, generator=seeded(1000 * seed + 5), points=recipe["points"], **recipe["probe"])
        values[f"{name}/along"] = _table(profile, land)
        say(f"seed {seed}, {name}: {profile.summary()}")
        for noise in recipe["noise"][name]:
            release = released(land, road, noise, seed, recipe)
            say(f"seed {seed}, {name}, {noise}: {release.summary()}")
            values |= {f"{name}/{noise}/{key}": value for key, value in walked(land, release).items()}
            if noise != "batch":  # the profile's noise has noisy labels
                values |= {f"{name}/{noise}/{key}": value for key, value in _predicted(profile, release).items()}
    return values


def joined(land: Network, theta: Tensor, seed: int, recipe: Values) -> tuple[Path, Values]:
    """Return the road between a good and a bad end (2, D), all at the good one's norms, and what is kept of it."""
    layers = land.scale_free(theta)
    norms = torch.stack([theta[:, part].norm(dim=1) for part in layers.values()], 1)  # (2, L)
    factors = norms[1] / norms[0]
    shrunk = resized(theta[1], layers, 1 / factors)
    made = connect(land, theta[0], shrunk, generator=seeded(1000 * seed + 4), **_built(recipe))
    kept = made.through(made.pivots.half().float())
    between = whole(kept).match_norms(land)
    line = _along_line(land, between, recipe["points"])
    return between, {"road": kept.through(kept.pivots.half()), "factors": factors, "line": line}


def _built(recipe: Values) -> Values:
    """Return the arguments of ``connect``, with one point for each pivot."""
    return all_sweeps(recipe["connect"] | {"points": recipe["connect"]["pivots"]})


def _plain(recipe: Values, seed: int) -> Values:
    """Return the measures of both ends of the plain network, the bad one also rescaled."""
    land, theta = landscape(recipe, "plain"), ends(recipe, seed, "plain")
    into = list(land.layout.slices.values())[:2]
    turned = [rescaled(land, theta[1], factor) for factor in recipe["factors"]]
    layers = {str(number): part for number, part in enumerate(into)}
    return {"plain/ends": measures(land, torch.stack([*theta, *turned]), recipe["num_probes"], layers)}


def resized(theta: Tensor, layers: dict[str, slice], factors: Tensor) -> Tensor:
    """Return θ (..., D) with its normalised layers multiplied by factors (..., L), positive: the same function."""
    theta = theta.clone()
    for part, factor in zip(layers.values(), factors.unbind(-1), strict=True):
        theta[..., part] *= factor[..., None]
    return theta


def rescaled(land: Network, theta: Tensor, factor: float) -> Tensor:
    """Return θ (D,) of the same function in a ReLU chain: what leads into the first hidden layer times it, out over it.

    >>> land = landscape(RECIPE, "plain")
    >>> theta = land.initial(torch.Generator().manual_seed(0))
    >>> torch.allclose(land.outputs(rescaled(land, theta, 4.0), land.x), land.outputs(theta, land.x), atol=1e-6)
    True
    """
    weight, bias, following = list(land.layout.slices.values())[:3]
    theta = theta.clone()
    theta[weight] *= factor
    theta[bias] *= factor
    theta[following] /= factor
    return theta


def grown(between: Path, layers: dict[str, slice], factors: Tensor) -> Path:
    """Return the same functions in the same order, with the norms of the ends as trained: 1 to ``factors`` along it."""
    return between.through(resized(between.pivots, layers, torch.lerp(torch.ones(()), factors, between.marks[:, None])))


def road(which: str = "matched") -> Path:
    """Return the recorded road of the first seed: what its walkers went on."""
    kept, land = load("bad_minima"), landscape()
    between = whole(kept["road"]).match_norms(land)
    return between if which == "matched" else grown(between, between.scale_free(land), kept["factors"][0])


@torch.no_grad()
def _along_line(land: Network, between: Path, points: int) -> Tensor:
    """Return data loss and both accuracies on the straight line between the ends, (points, 3)."""
    theta = torch.lerp(between.pivots[0], between.pivots[-1], torch.linspace(0, 1, points)[:, None])
    return torch.stack([land.data_loss(theta), land.accuracy(theta), land.accuracy(theta, "test")], 1)


def _table(profile: Profile, land: Network) -> Tensor:
    """Return the first seven ``COLUMNS`` along a road, (points, 7)."""
    assert profile.accuracy is not None
    assert profile.test_accuracy is not None
    known = (profile.data_loss, profile.accuracy, profile.test_accuracy, profile.norm)
    return torch.stack([*known, profile.trace, profile.top_eigenvalue, profile.adaptive_trace], 1)


def measures(land: Network, theta: Tensor, num_probes: int, layers: dict[str, slice]) -> Tensor:
    """Return the ``COLUMNS`` at (P, D), (P, 8); the last is the part of tr H that belongs to ``layers``."""
    inside = torch.zeros(land.dim)
    for part in layers.values():
        inside[part] = 1.0
    trace = partial(land.trace, theta, num_probes=num_probes, weight_decay=False)
    top = extreme_eigenvalues(land, theta, steps=30, generator=seeded(9), weight_decay=False)
    with torch.no_grad():
        known = [land.data_loss(theta), land.accuracy(theta), land.accuracy(theta, "test"), theta.norm(dim=-1)]
    traces = [trace(generator=seeded(8), scale=scale).value for scale in (None, theta, inside.expand_as(theta))]
    return torch.stack([*known, traces[0], top.largest, traces[1], traces[2]], 1)


def settings(noise: str, seed: int, recipe: Values = RECIPE) -> Values:
    """Return the arguments of ``drift`` for noisy labels ("label"), exact ones ("batch"), or "none", the control."""
    some = {"generator": seeded(1000 * seed + 6), "start": recipe["starts"]} | recipe["drift"]
    if noise == "none":
        return some | {"batch_size": None, "walkers": 1} | recipe["control"]
    return some | {"batch_size": recipe["batch_size"], "walkers": recipe["walkers"]}


def released(land: Network, road: Path, noise: str, seed: int, recipe: Values = RECIPE) -> Release:
    """Return what walkers do on a road."""
    field = land if noise == "label" else land.without_label_noise()
    return drift(field, road, **arguments(settings(noise, seed, recipe) | {"keep_theta": True}))


def walked(land: Network, release: Release) -> dict[str, Tensor]:
    """Return positions (R, S, W), and each walker's share outside and held-out accuracy at the end (S, W)."""
    assert release.theta is not None
    shape = (len(release.starts), -1)
    return {
        "position": release.position.unflatten(-1, shape).half(),
        "outside": release.outside.unflatten(-1, shape),
        "own": land.accuracy(release.theta[-1], "test").unflatten(-1, shape),
    }


def _predicted(profile: Profile, release: Release) -> dict[str, Tensor]:
    """Return where theory has the walkers of each start, (R, S).

    "law" is linear theory; "carried" takes the excess loss that the walkers had.
    """
    told = {name: release.recipe[name] for name in ("batch_size", "learning_rate", "momentum", "project_every")}
    laws = {"law": predict(profile, **told)}
    if release.recipe["batch_size"] is not None:
        laws["carried"] = predict(profile, excess_loss=release, **told)
    starts = [float(start) for start in release.starts]
    return {
        name: torch.stack([law.track(start, release.step) for start in starts], 1).half() for name, law in laws.items()
    }

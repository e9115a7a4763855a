"""Jittered labels on a small tanh net: the one case whose drift theory predicts with no free constant (lesson 06).

Squared loss (the mean over outputs, no factor ½) on 100 digits, odd or even. At interpolation the gradient noise of
labels that are jittered with standard deviation σ has the covariance 2σ²H/B, exactly; ``theory.predict`` takes it from
there. Every run is made again without noise, from the same starts on the same road.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from entropic_edu.data import digits
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import connect
from entropic_edu.physics.drift import drift
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.theory import Prediction, predict
from entropic_edu.physics.train import train

from . import load
from ._common import Say, Values, all_sweeps, columns, seeded

RECIPE: Values = {
    "seeds": [0, 1, 2],
    "samples": 100,
    "width": 8,
    "train": {"batch_size": None, "learning_rate": 0.05, "epochs": 3000, "schedule": "constant"},
    "connect": {"method": "string", "batch_size": None, "pivots": 16, "sweeps": 1500, "points": 48},
    "kept": 96,  # points of the road in the file
    "points": 73,  # fewer do not resolve all humps of the trace
    "starts": [0.1, 0.2, 0.3, 0.7, 0.8, 0.9],
    "walkers": 8,
    "steps": 1500,
    "project_every": 100,
    "batch_size": 50,
    "heats": [0.000225, 0.00045, 0.0009, 0.0018, 0.0036, 0.0072, 0.0144],  # σ²/B: nothing else of σ and B counts
    "rates": [0.01, 0.02],
}
TINY: Values = {
    "seeds": [0],
    "samples": 30,
    "width": 4,
    "train": {"batch_size": None, "learning_rate": 0.05, "epochs": 200, "schedule": "constant"},
    "connect": {"method": "string", "batch_size": None, "pivots": 6, "sweeps": 50, "points": 12},
    "kept": 12,
    "points": 7,
    "walkers": 2,
    "steps": 200,
}


def make(recipe: Values, say: Say) -> Values:
    """Return roads, what is measured along them, and where walkers end, as docs/recordings.md names it."""
    found: Values = {}
    rows: list[dict[str, Tensor]] = []
    for pair, seed in enumerate(recipe["seeds"]):
        generator = seeded(seed)
        clean = landscape(recipe, 0.0)
        run = train(clean, generator=generator, runs=2, **recipe["train"])
        made = connect(clean, *run.theta, generator=generator, **all_sweeps(recipe["connect"]))
        kept = made.resample(recipe["kept"]).to(torch.half)
        road = whole(kept)
        profile = probe(landscape(recipe, 1.0), road, generator=generator, points=recipe["points"])
        found[f"pair{pair}/road"] = kept
        rows.append(measured(recipe, road, pair, profile))
        say(f"pair {pair} (seed {seed}): {profile.summary()}")
    return found | {"position": profile.position} | columns(rows)


def measured(recipe: Values, road: Path, pair: int, profile: Profile) -> dict[str, Tensor]:
    """Return all that is stacked over the pairs."""
    rates, heats = recipe["rates"], recipe["heats"]
    laws = [law(recipe, profile, rate, 1.0) for rate in rates]
    return {
        "loss": profile.data_loss,
        "trace": profile.trace,
        "slide": torch.stack([one.energy / one.length for one in laws]),
        "push": torch.stack([one.noise / one.length for one in laws]),
        "still": torch.stack([ends(recipe, road, pair, rate, 0.0)[:, 0] for rate in rates]),
        "moved": torch.stack([torch.stack([ends(recipe, road, pair, r, h) for h in heats]) for r in rates]),
        "predicted": torch.stack([torch.stack([expected(recipe, profile, r, h) for h in heats]) for r in rates]),
        "length": torch.tensor(road.length, dtype=torch.float64),
    }


def whole(kept: Path) -> Path:
    """Return a kept road in double precision: what the verbs go on."""
    return kept.to(torch.float64)


def landscape(recipe: Values, sigma: float) -> Network:
    """Return the net on the first digits, odd +1 or even -1, with labels jittered by σ."""
    x, y = (part[: recipe["samples"]] for part in digits().scaled().train)
    odd = 2.0 * (y % 2).double()[:, None] - 1
    model = mlp(64, recipe["width"], 1, activation=torch.nn.Tanh).double()
    return Network(model, x.double(), odd, loss="mse", label_noise=sigma)


def ends(recipe: Values, road: Path, pair: int, learning_rate: float, heat: float) -> Tensor:
    """Return where walkers stand at the end, (S, W), for σ²/B = ``heat``; one a start without noise."""
    size, steps = recipe["batch_size"], recipe["steps"]
    given = {"start": recipe["starts"], "steps": steps, "record_every": steps, "project_every": recipe["project_every"]}
    noisy = {"batch_size": size, "noise": "label", "walkers": recipe["walkers"]}
    given |= noisy if heat > 0 else {"batch_size": None, "noise": "none", "walkers": 1}
    land, draws = landscape(recipe, math.sqrt(heat * size)), seeded(100 + pair)
    release = drift(land, road, generator=draws, learning_rate=learning_rate, momentum=0.0, **given)
    return release.position[-1].unflatten(0, (len(recipe["starts"]), -1))


def law(recipe: Values, profile: Profile, learning_rate: float, heat: float) -> Prediction:
    """Return the velocity that theory predicts for σ²/B = ``heat``, from a profile that was measured with σ = 1."""
    size = recipe["batch_size"]
    hot, k = replace(profile, label_ratio=profile.label_ratio * heat * size), recipe["project_every"]
    return predict(hot, batch_size=size, noise="label", learning_rate=learning_rate, project_every=k)


def expected(recipe: Values, profile: Profile, learning_rate: float, heat: float) -> Tensor:
    """Return the displacement that theory expects noise to make, (S,): with it less without it."""
    until = torch.tensor([0, recipe["steps"]])
    noisy, still = (law(recipe, profile, learning_rate, one) for one in (heat, 0.0))
    return torch.stack([noisy.track(s, until)[-1] - still.track(s, until)[-1] for s in recipe["starts"]])


def recorded(key: str) -> Tensor:
    """Return a tensor of the recording in double precision."""
    values: Tensor = load("label_noise")[key]
    return values.double()


def velocity(net: int, jitter: float, batch_size: int, learning_rate: float) -> tuple[Mean, Tensor]:
    """Return the recorded velocity that noise makes at each start, control taken off, and what theory says, (S,) each.

    In thousandths of the road for each 1,000 steps. Without noise it is the control's own velocity, by the slope of
    the loss.

    Args:
        net: Number of the net, from 1.
        jitter: Standard deviation σ of the labels' noise.
        batch_size: B; only σ²/B counts.
        learning_rate: η, one of the recorded ones.
    """
    thousand = 1e6 / RECIPE["steps"]  # from a displacement to thousandths of the road for each 1,000 steps
    pair, rate = net - 1, RECIPE["rates"].index(learning_rate)
    starts = torch.tensor(RECIPE["starts"], dtype=torch.float64)
    still = recorded("still")[pair, rate]
    if jitter == 0:
        slide = between(recorded("position"), recorded("slide")[pair, rate], starts)
        return Mean(thousand * (still - starts), torch.zeros_like(still)), 1e6 * slide
    ends, predicted = (recorded(key)[pair, rate, heat_of(jitter, batch_size)] for key in ("moved", "predicted"))
    error = ends.std(-1) / ends.shape[-1] ** 0.5
    return Mean(thousand * (ends.mean(-1) - still), thousand * error), thousand * predicted


def heat_of(jitter: float, batch_size: int) -> int:
    """Return the place of σ²/B among the recorded ones."""
    heat = jitter**2 / batch_size
    return next(i for i, one in enumerate(RECIPE["heats"]) if math.isclose(one, heat, rel_tol=1e-6))


def between(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """Return y at other places, on straight lines."""
    right = torch.searchsorted(x, at).clamp(1, len(x) - 1)
    share = (at - x[right - 1]) / (x[right] - x[right - 1])
    return torch.lerp(y[right - 1], y[right], share)

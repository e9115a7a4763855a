"""Five pairs of minima of a small normalised CNN on real images, their roads, and walkers on them (lesson 09).

What it holds are the results of the story's stages, ``entropic-edu story --dataset cifar10``, and the figures that the
story says of them. The pivots of a road are rounded to half precision, and losses and accuracies along it were measured
after rounding; profile and walkers are those of the road before. Images are not kept. Sums are added in another order
on another device: after thousands of steps the numbers there differ as they do between seeds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path as File

import numpy as np
import torch
from torch import Tensor

from entropic_edu.networks.models import normed_cnn
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import Sweeps
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.release import Release
from entropic_edu.physics.theory import Prediction, predict
from entropic_edu.story import tell
from entropic_edu.story.digits import Pair, Setting
from entropic_edu.story.recipes import Images
from entropic_edu.story.report import device_name, report, settled
from entropic_edu.sweeps.kept import Store

from . import Work, belonging, load
from ._common import Values, accuracies, seeded

STORY = Images()


def plain(story: Images) -> Values:
    """Return a recipe of the story as plain JSON values."""
    values: Values = json.loads(json.dumps(asdict(story)))
    return values


RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],
    "story": plain(STORY),
    "line_points": 25,
    "road_points": 49,
    "examples": 4,
    "num_probes": 8,
}
TINY: Values = {
    "seeds": [0],
    "story": plain(STORY.tiny()),
    "line_points": 3,
    "road_points": 5,
    "examples": 1,
    "num_probes": 2,
}
PAIRS = range(len(RECIPE["seeds"]))


def make(recipe: Values, work: Work) -> Values:
    """Return the results of the story's stages for each pair, and what they come to (docs/recordings.md)."""
    story = told(recipe)
    land = story.landscape()
    work(f"{len(recipe['seeds'])} pairs of minima, on {device_name(land)}")
    made = work.parts(tell.parts(story, recipe["seeds"], land.device.type, work.store))
    results: Values = {}
    for number, seed in enumerate(recipe["seeds"]):
        head = f"seed{seed}-"
        stages = {name.removeprefix(head): each["result"] for name, each in made.items() if name.startswith(head)}
        pair = tell.gathered(land, story, seed, stages)
        results |= {f"pair{number}/{name}": each for name, each in packed(pair, stages["road"], story, recipe).items()}
    return results | examples(land, results, recipe) | {"device": device_name(land)}


def told(recipe: Values) -> Images:
    """Return the story's recipe from the plain values of a recording's."""
    values = dict(recipe["story"])
    values["widths"], values["starts"] = tuple(values["widths"]), tuple(values["starts"])
    values["settings"] = tuple(Setting(**each) for each in values["settings"])
    values["connect"] = values["connect"] | {"sweeps": Sweeps(**values["connect"]["sweeps"])}
    return Images(**values)


def packed(pair: Pair, built: Path, story: Images, recipe: Values) -> Values:
    """Return what is kept of a pair: results of verbs, losses and accuracies along road and line, and all figures."""
    land, pivots = pair.land, built.resample(story.connect["pivots"]).pivots.half()
    weights = weights_of(pivots.double().cpu(), built.pivots.double().cpu()).float()
    weights[[0, -1]] = torch.eye(len(pivots))[[0, -1]]
    road = replace(built, pivots=pivots.cpu(), losses=None, losses_between=None)
    going = along_weights(road, weights).to(land.device).match_norms(land)
    assert pair.straight is not None
    theta = {
        "line": pair.straight.resample(recipe["line_points"]).pivots,
        "road": going.at(torch.linspace(0, 1, recipe["road_points"])),
    }
    found: Values = {"road": road, "weights": weights, "profile": pair.profile, "raw": pair.raw, **pair.releases}
    for name, points in theta.items():
        with torch.no_grad():
            found[f"{name}_loss"] = land.data_loss(points).cpu()
            found[f"{name}_objective"] = land.loss(points).cpu()
        found[f"{name}_accuracy"] = accuracies(land, points)
    found["settled"] = measured_ends(pair, recipe["num_probes"])
    return found | {"figures": report([pair], story, 0.0)["pairs"][0]}


def measured_ends(pair: Pair, num_probes: int) -> Tensor:
    """Return objective, data loss, tr H and its error at the ends before and after full-batch descent, (2, 2, 4).

    Objective and data loss are those of the ends as they came, the traces those at the norms of before.
    """
    assert pair.run is not None
    assert pair.descent is not None
    theta = torch.stack([run.theta.to(pair.land.device) for run in (pair.run, pair.descent)])
    trace = pair.land.trace(
        torch.stack(settled(pair)), num_probes=num_probes, generator=seeded(pair.seed), weight_decay=False
    )
    with torch.no_grad():
        losses = [loss(theta.flatten(0, 1)).view(2, 2) for loss in (pair.land.loss, pair.land.data_loss)]
    return torch.stack([*losses, trace.value, trace.error], -1).cpu()


def weights_of(pivots: Tensor, points: Tensor) -> Tensor:
    """Return the points of a road (n, D) as weights of its pivots (P, D), (n, P): they lie in the space of these."""
    weights, *_ = np.linalg.lstsq((pivots[1:] - pivots[0]).numpy().T, (points - pivots[0]).numpy().T, rcond=None)
    inner = torch.as_tensor(weights.T)
    return torch.cat([1 - inner.sum(1, keepdim=True), inner], 1)


def along_weights(kept: Path, weights: Tensor) -> Path:
    """Return the road that verbs go on, from the kept pivots and the weights that its points have of them."""
    return replace(kept, pivots=(weights.double() @ kept.pivots.double()).float())


def examples(land: Network, results: Values, recipe: Values) -> Values:
    """Return what the network makes of a few images along line and road of the first pair, the images left out."""
    some = recipe["examples"]
    assert land.test is not None
    x, y = (torch.cat([old[:some], new[:some]]) for old, new in zip((land.x, land.y), land.test, strict=True))
    road = along_weights(results["pair0/road"], results["pair0/weights"]).to(land.device).match_norms(land)
    even = torch.linspace(0, 1, recipe["line_points"])
    lines = {"line": torch.lerp(road.pivots[0], road.pivots[-1], even[:, None].to(road.pivots)), "road": road.at(even)}
    with torch.no_grad():
        shares = {
            name: land.outputs(theta, x).softmax(-1).transpose(0, 1).half().cpu() for name, theta in lines.items()
        }
    return {f"examples/{name}": each for name, each in shares.items()} | {"examples/class": y.cpu()}


def adopt(story_folder: str | File, folder: str | File, recipe: Values = RECIPE) -> None:
    """Lay the stages of a story that was told here in a folder for ``record``, which goes on from there.

    Raises:
        ValueError: If they are of another recipe, or damaged.
        FileNotFoundError: If one is not there.
    """
    other = "is a stage of another recipe; make the recording without it."
    theirs = Store(File(story_folder), recipe["story"], other=other, remedy="entropic-edu story")
    ours = Work("cifar10", belonging(recipe), print, File(folder)).store
    File(folder).mkdir(parents=True, exist_ok=True)
    for name in tell.parts(told(recipe), recipe["seeds"], "cpu", theirs):
        ours.put(name, theirs.read(name))


@cache
def stand_in() -> Network:
    """Return the network with made-up inputs: it knows how θ is laid out, and no image is needed."""
    x = torch.randn(12, 3, STORY.side, STORY.side, generator=seeded(0))
    return Network(normed_cnn(STORY.widths, size=STORY.side), x, torch.arange(12) % 10)


def landscape() -> Network:
    """Return the network and its images, a new one each time, on the fastest device at hand.

    Raises:
        FileNotFoundError: If no copy of CIFAR-10 is found.
    """
    return STORY.landscape()


@cache
def road(pair: int, *, matched: bool = True) -> Path:
    """Return the road of a pair that profile and walkers were on, but for rounding; no image is needed.

    Each normalised layer has the ends' norm along it; with ``matched=False`` it is as it was built.
    """
    kept = load("cifar10")
    raw = along_weights(kept[f"pair{pair}/road"], kept[f"pair{pair}/weights"])
    return raw.match_norms(stand_in()) if matched else raw


def setting(name: str) -> Setting:
    """Return how walkers were let go: "hot", "warm", "cold" or "no noise"."""
    return next(each for each in STORY.settings if each.name == name)


def every(key: str) -> Tensor:
    """Return a tensor of all pairs, (P, ...), float64."""
    return torch.stack([load("cifar10")[f"pair{pair}/{key}"] for pair in PAIRS]).double()


def along(field: str, which: str = "profile") -> Tensor:
    """Return a field of all pairs' profiles ("profile", or "raw": of the road as built), (P, n, ...), float64."""
    return torch.stack([getattr(load("cifar10")[f"pair{pair}/{which}"], field) for pair in PAIRS]).double()


def stacked(name: str, field: str = "position") -> Tensor:
    """Return a field of the walkers of a setting on all roads, (P, R, S, W), float64."""
    releases: list[Release] = [load("cifar10")[f"pair{pair}/{name}"] for pair in PAIRS]
    starts = len(STORY.starts)
    return torch.stack([getattr(each, field).unflatten(-1, (starts, -1)) for each in releases]).double()


def remaining(name: str) -> Tensor:
    """Return each walker's distance from its own end, both starts together, (P, R, S·W), float64."""
    home = torch.tensor([float(start > 0.5) for start in STORY.starts], dtype=torch.float64)
    return (stacked(name) - home[:, None]).abs().flatten(-2)


def gone(name: str) -> Mean:
    """Return the way home that walkers have gone at the end, in per cent, with its error over the pairs."""
    return _home(name, "home")


def without_noise(name: str) -> Mean:
    """Return the way home that the control has gone by the end of a setting's flow time, in per cent."""
    return _home(name, "home_without_noise")


def _home(name: str, which: str) -> Mean:
    each = 100 * torch.tensor([load("cifar10")[f"pair{pair}/figures"]["by_noise"][name][which] for pair in PAIRS])
    return Mean(each.mean(), each.std() / len(each) ** 0.5)


def theory(pair: int, name: str, *, excess: bool = False) -> Prediction:
    """Return linear theory for a setting on a road; with ``excess`` its walkers carry the excess loss that they had."""
    kept, chosen = load("cifar10"), setting(name)
    profile: Profile = kept[f"pair{pair}/profile"]
    law = STORY.step(chosen) | {"project_every": chosen.project_every}
    return predict(profile, **law, excess_loss=kept[f"pair{pair}/{name}"] if excess else None)


@cache
def slopes(name: str, *, excess: bool = True) -> tuple[Tensor, Tensor]:
    """Return along each road the slopes of the objective and of the free energy's other part, Λ⟨ΔL⟩, (P, n) each.

    Loss per length, at the positions of the profiles, positive where it is uphill to the middle. ⟨ΔL⟩ is what the
    walkers of a setting carried, NaN where none came; without ``excess`` that of linear theory.
    """
    laws = [theory(pair, name, excess=excess) for pair in PAIRS]
    uphill = torch.sign(0.5 - laws[0].position)
    parts = [torch.stack([getattr(law, part) / law.flow_time for law in laws]) for part in ("energy", "noise")]
    return -uphill * parts[0], -uphill * parts[1]


def where_they_went(name: str) -> tuple[Tensor, Tensor]:
    """Return both slopes, mean over the places where walkers of a setting were, (P,) each."""
    loss, entropic = slopes(name)
    return loss.masked_fill(entropic.isnan(), torch.nan).nanmean(1), entropic.nanmean(1)


def rises(name: str) -> tuple[Tensor, Tensor]:
    """Return how far objective and entropic part lie higher in the middle than at the ends, by linear theory, (P,)."""
    step = torch.tensor([load("cifar10")[f"pair{pair}/profile"].length for pair in PAIRS]).double()
    loss, entropic = (torch.trapezoid(each, dx=1 / (each.shape[1] - 1)) for each in slopes(name, excess=False))
    return 0.5 * step * loss, 0.5 * step * entropic

"""Lesson 04: bands that relax between the minima of ``roads``, and what is left of the hill when units are relabelled.

The ends are those of ``roads``, rounded to half precision as they are there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from entropic_edu import stream
from entropic_edu.figures.plots import Plane
from entropic_edu.networks.align import align, permute
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace
from entropic_edu.physics.connect import connect, measured
from entropic_edu.physics.landscape import Landscape
from entropic_edu.physics.path import Path

from . import roads
from ._common import Say, Values, accuracies, all_sweeps, columns, seeded

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],
    "methods": ["string", "neb", "autoneb", "bezier"],
    "guesses": ["straight", "near", "far"],
    "connect": {"pivots": 16, "sweeps": 600},
    "frames": [0, 25, 50, 100, 200, 400, 600],
    "patient": {"methods": ["string", "neb"], "sweeps": 3000},
    "points": 33,
    "field": {"side": 41, "u": [-2.6, 17.0], "v": [-6.6, 8.0]},
    "road": {"method": "string", "pivots": 24, "sweeps": 900},
    "traces": 9,
    "alignments": 8,
}
TINY: Values = {
    "seeds": [0],
    "connect": {"pivots": 4, "sweeps": 25},
    "frames": [0, 25],
    "patient": {"methods": ["string", "neb"], "sweeps": 30},
    "points": 5,
    "field": {"side": 5, "u": [-2.6, 17.0], "v": [-6.6, 8.0]},
    "road": {"method": "string", "pivots": 4, "sweeps": 25, "tolerance": 1e9},
    "traces": 3,
    "alignments": 2,
}
COLUMNS = ("sweep", "highest", "length", "scallop", "off_plane", "pivots")  # of a table of frames
ENDING = ("highest", "barrier", "length", "scallop")  # of a table of finished roads


def make(recipe: Values, say: Say) -> Values:
    """Return bands under way, finished roads and relabelled networks, as docs/recordings.md names them."""
    land = roads.landscape()
    return _bands(land, recipe, say) | columns([_relabelled(land, pair, recipe, say) for pair in recipe["seeds"]])


def guess(kind: str, pair: int) -> Path | None:
    """Return a first guess: None is straight, "near" bends to the side of the recorded road, "far" to the other."""
    if kind == "straight":
        return None
    road = roads.road(pair)
    a, b = road.pivots[0], road.pivots[-1]
    plane = Plane.through(road)
    aside = plane.coordinates(road.at(0.5)[None])[0, 1] * plane.axes[1]
    return Path(torch.stack([a, 0.5 * (a + b) + (aside if kind == "near" else -aside), b]))


def settings(method: str, kind: str, pair: int, recipe: Values = RECIPE) -> Values:
    """Return the arguments of ``connect`` that make a band of this file."""
    given = {"method": method, "guess": guess(kind, pair), "generator": seeded(1000 * pair + 4)}
    return given | all_sweeps({"tolerance": math.inf} | recipe["connect"])


def table(land: Network, plane: Plane, band: Path, sweep: int, points: int) -> tuple[Tensor, Tensor]:
    """Return u, v and the objective at even positions of a band, (points, 3), and its row of ``COLUMNS``, (6,)."""
    along = measured(land, band.resample(points))
    where = plane.coordinates(along.pivots)
    off = (along.pivots - plane.points(where)).norm(dim=1).max()
    whole = measured(land, band)
    assert along.losses is not None
    row = [sweep, max(whole.saddle_loss, along.saddle_loss), band.length, whole.scallop, float(off), len(band.pivots)]
    return torch.cat([where, along.losses[:, None]], 1), torch.tensor(row)


def _bands(land: Network, recipe: Values, say: Say) -> dict[str, Tensor]:
    plane = Plane.through(roads.road(0))
    field = recipe["field"]
    u, v = (torch.linspace(field[name][0], field[name][1], field["side"]) for name in ("u", "v"))
    grid = torch.cartesian_prod(v, u).flip(1)
    with torch.no_grad():
        height = torch.cat([land.loss(plane.points(some)) for some in grid.split(64)])
    found = {"field": height.view(field["side"], field["side"]).half()}
    names = [(method, kind) for method in recipe["methods"] for kind in recipe["guesses"]]
    ends: dict[tuple[str, str], list[Path]] = {name: [] for name in names}
    for pair in recipe["seeds"]:
        for method, kind in names:
            frames = list(_frames(land, method, kind, pair, recipe))
            ends[method, kind].append(frames[-1][1])
            if pair == 0:
                both = [table(land, plane, band, done, recipe["points"]) for done, band in frames[:-1]]
                found[f"band/{method}/{kind}"] = torch.stack([one for one, _ in both]).half()
                found[f"table/{method}/{kind}"] = torch.stack([row for _, row in both])
            say(f"pair {pair}, {kind}: {frames[-1][1].summary()}")
    for (method, kind), paths in ends.items():
        found[f"final/{method}/{kind}"] = torch.tensor([_ending(path) for path in paths])
    even = torch.linspace(0, 1, recipe["points"])
    pairs = zip(*ends.values(), strict=True)
    every = [torch.stack([path.at(even) for path in paths], 1) for paths in pairs]  # (points, n, D) for each pair
    found["apart"] = torch.stack([torch.cdist(at, at).mean(0) for at in every])
    patient = recipe["patient"]
    for method in patient["methods"]:
        rows = []
        for number, pair in enumerate(recipe["seeds"]):
            longer = settings(method, "far", pair, {"connect": recipe["connect"] | {"sweeps": patient["sweeps"]}})
            path = connect(land, *roads.road(pair).pivots[[0, -1]], **longer)
            away = (path.at(even) - ends[method, "straight"][number].at(even)).norm(dim=1).mean()
            rows.append([*_ending(path), float(away)])
            say(f"pair {pair}, far, patient: {path.summary()} {float(away):.2f} from the other road.")
        found[f"patient/{method}"] = torch.tensor(rows)
    return found


def _frames(land: Network, method: str, kind: str, pair: int, recipe: Values) -> Iterator[tuple[int, Path]]:
    """Yield the band at the sweeps of the frames, and at last the finished road."""
    a, b = roads.road(pair).pivots[[0, -1]]
    wanted = set(recipe["frames"])
    for snapshot in stream.connect(land, a, b, **settings(method, kind, pair, recipe)):
        if snapshot.done in wanted or snapshot.result.complete:
            wanted.discard(snapshot.done)
            yield snapshot.done, snapshot.result


def _relabelled(land: Network, pair: int, recipe: Values, say: Say) -> dict[str, Tensor]:
    road = roads.road(pair)
    a, b = road.pivots[[0, -1]]
    several = [align(land, a, b, generator=seeded(1000 * pair + 10 + n)) for n in range(recipe["alignments"])]
    chosen = several[0]
    made = connect(land, a, chosen.theta, generator=seeded(1000 * pair + 5), **all_sweeps(recipe["road"]))
    say(f"pair {pair}, relabelled: {chosen.summary()} {made.summary()}")
    losses = torch.stack([land.loss(_line(a, one.theta)) for one in several])
    even = torch.linspace(0, 1, recipe["traces"])
    straight = Path(torch.stack([a, chosen.theta]))
    return {
        "matched/permutations": torch.stack(list(chosen.permutations)).to(torch.uint8),
        "matched/distance": torch.tensor([chosen.distance_before, chosen.distance_after]),
        "matched/line": losses[0],
        "matched/accuracy": accuracies(land, _line(a, chosen.theta)),
        "matched/barriers": losses.max(1).values - losses[:, [0, -1]].max(1).values,
        "matched/ending": torch.tensor(_ending(made)),
        "shuffled/line": land.loss(_line(a, shuffled(land, a, pair))),
        "trace/road": exact_trace(land, road.at(even), weight_decay=False),
        "trace/matched": exact_trace(land, made.at(even), weight_decay=False),
        "trace/line": exact_trace(land, straight.at(even), weight_decay=False),
        "norm/road": road.at(even).norm(dim=1),
        "norm/matched": made.at(even).norm(dim=1),
    }


def shuffled(land: Network, theta: Tensor, pair: int) -> Tensor:
    """Return parameters (D,) of the same function whose hidden units stand in a random order, one for each pair."""
    draws = seeded(1000 * pair + 6)
    return permute(land, theta, [torch.randperm(width, generator=draws) for width in roads.RECIPE["widths"][1:-1]])


def _line(a: Tensor, b: Tensor) -> Tensor:
    return torch.lerp(a, b, torch.linspace(0, 1, 25)[:, None])


def _ending(path: Path) -> list[float]:
    return [path.saddle_loss, path.barrier, path.length, path.scallop]


class Bend(Landscape):
    """Two minima at (0, ±1) in a bent valley: V = E (1 - y²)² + ½h (x - 1 + y²)²; its saddle is at (1, 0), height E."""

    dim = 2
    height, curvature = 2.0, 1.0

    def loss(self, theta: Tensor) -> Tensor:
        x, y = theta.unbind(-1)
        return self.height * (1 - y**2) ** 2 + 0.5 * self.curvature * (x - 1 + y**2) ** 2

    def draw(self, batch_size: int, generator: torch.Generator, rows: int | None = None) -> None:
        """Draw nothing: there is no noise here."""

    def gradient_on(self, theta: Tensor, batch: Any | None) -> Tensor:
        x, y = theta.unbind(-1)
        across = self.curvature * (x - 1 + y**2)
        return torch.stack([across, 2 * y * across - 4 * self.height * y * (1 - y**2)], -1)

    def initial(self, generator: torch.Generator) -> Tensor:
        return torch.randn(2, generator=generator, dtype=torch.float64)

    @property
    def minima(self) -> Tensor:
        """Both minima, (2, 2)."""
        return torch.tensor([[0, -1], [0, 1]], dtype=torch.float64)

"""The live stage against ``ee.drift``: the same valleys, noises and settings in JavaScript and in Python.

``python docs/agreement.py`` writes the table of docs/site/live.md. tests/teaching/test_live.py holds every row to it.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from scipy.stats import chi2
from torch import Tensor

import entropic_edu as ee

HERE = Path(__file__).resolve().parent
LIVE = HERE.parent / "entropic_edu" / "teaching" / "live"
PAGE = HERE / "site" / "live.md"
MARK = "<!-- table -->"
WALKERS, STEPS, BINS = 1024, 160, 16
SETTINGS = ((4, 0.02, 0.0), (2, 0.01, 0.5), (16, 0.005, 0.9))  # B, η, m
VALLEYS: dict[str, tuple[dict[str, Any], float, tuple[str, ...]]] = {  # walls, position of release, noises
    "Waist": ({"end_curvature": 20.0, "noise_scale": 3.0}, 0.4, ("isotropic", "curvature")),
    "Tilted": ({"noise_scale": 3.0}, 0.5, ("isotropic", "curvature")),
    "Pinch": ({"end_curvature": 20.0, "noise_scale": 3.0}, 0.45, ("isotropic", "curvature")),
    "DoubleWell": ({"barrier": 0.14, "g_narrow": 9.0, "noise_scale": 3.0}, 0.25, ("isotropic", "curvature")),
    "Hyperbola": ({"half_length": 1.4}, 0.8125, ("label", "isotropic")),
}
RUN = """
import { seeded } from "%(live)s/draws.js";
import { Crowd, valley } from "%(live)s/valleys.js";
let told = "";
for await (const part of process.stdin) told += part;
const ends = JSON.parse(told).map(({ name, walls, places, setting, steps, count, seed }) => {
  const crowd = new Crowd(valley(name, walls), count), draws = seeded(seed), kicks = new Float64Array(2 * count);
  crowd.release(places);
  for (let i = 0; i < steps; i++) {
    for (let k = 0; k < kicks.length; k++) kicks[k] = draws.normal();
    crowd.step(setting, kicks);
  }
  return [Array.from(crowd.x), Array.from(crowd.y)];
});
process.stdout.write(JSON.stringify(ends));
"""


@cache
def node() -> str:
    """Return a Node: the one that Playwright brings, or one on the path."""
    try:
        import playwright
    except ImportError:
        brought = None
    else:
        brought = next(Path(playwright.__file__).parent.glob("driver/node*"), None)
    found = str(brought) if brought else shutil.which("node")
    if found is None:
        raise RuntimeError('No Node here; install it, or pip install "entropic-edu[dev]", which brings one.')
    return found


def run(script: str, told: Any = None, live: Path = LIVE) -> Any:
    """Return the JSON that a module writes, run in Node; ``%(live)s`` in it is the folder of the live modules."""
    command = [node(), "--no-warnings", "--input-type=module", "--eval", script % {"live": live.as_uri()}]
    done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Case:
    """A valley, its noise, and a setting (B, η, m)."""

    name: str
    noise: str
    batch_size: int
    learning_rate: float
    momentum: float
    seed: int = 0

    @property
    def land(self) -> Any:
        """The valley in Python."""
        return getattr(ee.valleys, self.name)(**self.walls)

    @property
    def walls(self) -> dict[str, Any]:
        """Its arguments, in both languages."""
        return VALLEYS[self.name][0] | {"noise": self.noise}

    @property
    def job(self) -> dict[str, Any]:
        """What JavaScript is told."""
        start = torch.tensor(VALLEYS[self.name][1], dtype=torch.float64)
        setting = {"batch_size": self.batch_size, "learning_rate": self.learning_rate, "momentum": self.momentum}
        job = {"name": self.name, "walls": self.walls, "places": [float(self.land.coordinate(start))]}
        return job | {"setting": setting, "steps": STEPS, "count": WALKERS, "seed": self.seed}

    def released(self) -> Tensor:
        """Return where the walkers of ``ee.drift`` end, (2, W)."""
        land = self.land
        path = ee.Path(land.floor(65 if self.name == "Hyperbola" else 2, dtype=torch.float64))
        settings = {"batch_size": self.batch_size, "learning_rate": self.learning_rate, "momentum": self.momentum}
        records = ee.Records(every=STEPS, theta=True)
        generator = torch.Generator().manual_seed(self.seed)
        start = VALLEYS[self.name][1]
        release = ee.drift(land, path, generator=generator, start=start, walkers=WALKERS, steps=STEPS, **settings,
                           project_every=None, record_every=records)  # fmt: skip
        return release.theta[-1].double().T


def cases() -> list[Case]:
    """Return all rows of the table."""
    kinds = ((name, noise) for name, (_, _, noises) in VALLEYS.items() for noise in noises)
    return [Case(*kind, *setting, seed=n) for n, (kind, setting) in enumerate(itertools.product(kinds, SETTINGS))]


@dataclass(frozen=True)
class Row:
    """What both say of a case: the mean along the floor, the mean square across, and where the walkers are."""

    case: Case
    along: tuple[Tensor, Tensor]  # of JavaScript and of Python, each (W,)
    across: tuple[Tensor, Tensor]

    @property
    def deviations(self) -> dict[str, float]:
        """How far the two differ, in standard errors of the difference."""
        pairs = {"mean": self.along, "spread": tuple(each.square() for each in self.across)}
        apart = {
            name: (a.mean() - b.mean()) / (a.var() + b.var()).div(WALKERS).sqrt() for name, (a, b) in pairs.items()
        }
        return {name: float(value) for name, value in apart.items()}

    @property
    def histogram(self) -> float:
        """The chance of histograms as different as these, by χ²: bins with as many walkers of both together."""
        both = torch.cat(self.along)
        edges = both.quantile(torch.linspace(0, 1, BINS + 1, dtype=both.dtype))[1:-1]
        counts = [torch.bucketize(each, edges).bincount(minlength=BINS).double() for each in self.along]
        statistic = float(((counts[0] - counts[1]).square() / (counts[0] + counts[1])).sum())
        return float(chi2.sf(statistic, BINS - 1))


def rows(some: list[Case], live: Path = LIVE) -> list[Row]:
    """Run cases in both languages."""
    found = []
    for case, ends in zip(some, run(RUN, [case.job for case in some], live), strict=True):
        both = [torch.tensor(ends, dtype=torch.float64), case.released().contiguous()]
        if case.name == "Hyperbola":
            u, v = zip(*both, strict=True)
            along = tuple(0.5 * (0.5 * (a.square() - b.square())).asinh() for a, b in zip(u, v, strict=True))
            across = tuple((a * b - 1) / (a.square() + b.square()).sqrt() for a, b in zip(u, v, strict=True))
        else:
            across, along = zip(*both, strict=True)
        found.append(Row(case, along, across))  # type: ignore[arg-type]
    return found


def told(values: Tensor) -> str:
    """Return a mean with its standard error, to the error's two digits."""
    mean, error = float(values.mean()), float(values.std() / math.sqrt(len(values)))
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def table() -> str:
    """Return the table in Markdown."""
    lines = ["| valley, noise | B, η, m | mean of y: page | drift | mean of x²: page | drift | histogram, p |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in rows(cases()):
        case = row.case
        cells = [f"{case.name}, {case.noise}", f"{case.batch_size}, {case.learning_rate}, {case.momentum}"]
        cells += [told(each) for each in row.along] + [told(each.square()) for each in row.across]
        lines.append(f"| {' | '.join([*cells, f'{row.histogram:.3f}'])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    before, _, rest = PAGE.read_text("utf-8").partition(MARK)
    after = rest.partition(MARK)[2]
    PAGE.write_text(f"{before}{MARK}\n\n{table()}\n\n{MARK}{after}", "utf-8")

"""Measure what the digits that walk in the page should do, and whether they do: live_digits.json, site/live_digits.md.

python docs/live_digits.py            # about eight minutes on one core: PyTorch's walkers, the page's in Node
python docs/live_digits.py --tables   # only the tables, with the walkers that are shown as they are
python docs/live_digits.py --larger   # only the larger run: one setting with more walkers and other seeds
python docs/live_digits.py --page     # only the page, from live_digits.json
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import digits_live  # noqa: E402  (from _ext)

import entropic_edu as ee  # noqa: E402
from entropic_edu import recorded  # noqa: E402
from entropic_edu.recorded import valley  # noqa: E402

PAGE = HERE / "site" / "live_digits.md"
STARTS = (0.3, 0.7)
MOMENTUM, EVERY = 0.9, 15
CONTROL = 0.2  # η without noise, where only η times the steps counts: a tenth of the steps for η = 0.02
SETTINGS: list[dict[str, Any]] = [  # walkers at each start; ``compared`` is after how many records the table ends
    {"batchSize": 16, "learningRate": 0.02, "steps": 6000, "walkers": 8, "compared": 14},
    {"batchSize": 16, "learningRate": 0.01, "steps": 6000, "walkers": 8, "compared": 14},
    {"batchSize": 64, "learningRate": 0.02, "steps": 4500, "walkers": 4, "compared": 18},
]
MORE = 4  # times as many walkers in the tables as are shown
RECORDS = 40
NODE = """
import { unpacked, release } from "%(module)s";
import fs from "node:fs";
const given = JSON.parse(fs.readFileSync(0, "utf-8"));
const { packed } = given;
for (const name of ["pixels", "labels", "pivots"]) packed[name] = Buffer.from(packed[name].base64, "base64");
const { net, way } = unpacked(packed);
const rows = given.jobs.map((job) => {
  const crowd = release(net, way, job), position = [[...crowd.position]], distance = [[...crowd.distance]];
  while (crowd.step < job.steps) {
    crowd.stretch();
    if (crowd.step %% job.record === 0) {
      position.push([...crowd.position]);
      distance.push([...crowd.distance]);
    }
  }
  return { position, distance, outside: [...crowd.outside], projections: job.steps / job.every };
});
console.log(JSON.stringify(rows));
"""


def node() -> str:
    """Return a Node: the machine's own, or the one that Playwright brings."""
    import playwright

    return shutil.which("node") or str(Path(playwright.__file__).parent / "driver" / "node")


def in_node(jobs: list[dict[str, Any]], folder: Path = digits_live.MODULES[0].parent) -> list[dict[str, Tensor]]:
    """Return positions and distances (R, W) of the page's walkers for each job, and how often each was outside (W,)."""
    given = f'{{"packed": {digits_live.plain(digits_live.packed())}, "jobs": {json.dumps(jobs)}}}'
    with tempfile.TemporaryDirectory() as place:
        script = Path(place, "run.mjs")
        script.write_text(NODE % {"module": (folder / "digits_walk.js").as_uri()}, "utf-8")
        done = subprocess.run([node(), str(script)], input=given, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"Node ended with {done.returncode}: {done.stderr[-2000:]}")
    return [
        {name: torch.tensor(rows, dtype=torch.float64) for name, rows in one.items()} for one in json.loads(done.stdout)
    ]


def job(setting: dict[str, Any], seed: int = 0, record: int = EVERY) -> dict[str, Any]:
    """Return what the page's worker is told for a setting."""
    told = {name: setting[name] for name in ("batchSize", "learningRate", "steps")}
    starts = [start for start in STARTS for _ in range(setting["walkers"])]
    return told | {"momentum": MOMENTUM, "every": EVERY, "seed": seed, "starts": starts, "record": record}


def control(setting: dict[str, Any]) -> dict[str, Any]:
    """Return the setting without noise that lasts equally long in η times the steps."""
    steps = round(setting["steps"] * setting["learningRate"] / CONTROL)
    return {"batchSize": None, "learningRate": CONTROL, "steps": steps, "walkers": 1, "compared": setting["compared"]}


def drifted(setting: dict[str, Any], steps: int | None = None, seed: int = 1) -> ee.Release:
    """Return what PyTorch's walkers do, in all steps of a setting or in fewer."""
    return ee.drift(
        valley.landscape(),
        valley.road(digits_live.PAIR),
        start=STARTS,
        batch_size=setting["batchSize"],
        learning_rate=setting["learningRate"],
        momentum=MOMENTUM,
        walkers=setting["walkers"],
        steps=steps or setting["steps"],
        project_every=EVERY,
        record_every=recording(setting),
        generator=torch.Generator().manual_seed(seed),
    )


def recording(setting: dict[str, Any]) -> int:
    """Return the steps between records, a multiple of k."""
    return EVERY * max(1, round(setting["steps"] / RECORDS / EVERY))


def measure() -> dict[str, Any]:
    """Return all that the page draws at first, and the table."""
    land, road = valley.landscape(), valley.road(digits_live.PAIR)
    profile = ee.probe(land, road, points=25, num_probes=8, generator=torch.Generator().manual_seed(3))
    law = ee.predict(profile, batch_size=16, learning_rate=0.02, momentum=MOMENTUM, project_every=EVERY)
    assert law.narrowing is not None
    values: dict[str, Any] = {
        "recording": recorded.load("valley").digest,
        "starts": STARTS,
        "every": EVERY,
        "momentum": MOMENTUM,
        "profile": {
            "position": rounded(profile.position),
            "loss": rounded(profile.data_loss),
            "trace": rounded(profile.trace),
            "narrowing": rounded(law.narrowing.value),
        },
        "settings": [],
    }
    for setting in SETTINGS:
        still = control(setting)
        values["settings"].append(
            setting
            | {
                "drift": shown(drifted(setting)),
                "control": shown(drifted(still)) | {"learningRate": CONTROL, "steps": still["steps"]},
                "theory": tracks(profile, setting),
                "theoryControl": tracks(profile, still),
            }
            | tables(setting)
        )
    return values


def tables(setting: dict[str, Any]) -> dict[str, Any]:
    """Return both tables of a setting, from ``MORE`` times its walkers, and how often walkers were outside."""
    more, still = setting | {"walkers": MORE * setting["walkers"]}, control(setting)
    release, alone = (drifted(each, compared(each)["steps"]) for each in (more, still))
    mine, mine_alone = in_node([compared(each) for each in (more, still)])
    outside = [float(release.outside.mean()), float(mine["outside"].mean() / mine["projections"])]
    return {"outside": outside, "table": rows(release, mine), "tableControl": rows(alone, mine_alone)}


def larger() -> list[dict[str, Any]]:
    """Return where 32 walkers from each start are after 1,050 steps at the first setting, with seeds of their own."""
    setting = SETTINGS[0] | {"walkers": 32, "steps": 1050}
    release = drifted(SETTINGS[0] | {"walkers": 32}, 1050, seed=7)
    [mine] = in_node([job(setting, seed=5, record=1050)])
    found = []
    for start in STARTS:
        ends = [each["position"][-1][release.start == torch.tensor(start)] for each in (vars(release), mine)]
        found.append({"start": start, "torch": mean(ends[0]), "page": mean(ends[1])})
    return found


def rounded(values: Tensor, digits: int = 5) -> list[Any]:
    """Return numbers with few digits, as lists."""
    if values.ndim > 1:
        return [rounded(row, digits) for row in values]
    return [float(f"{float(value):.{digits}g}") for value in values]


def shown(release: ee.Release) -> dict[str, Any]:
    """Return a release's walkers, (R, W): those from 0.3 first."""
    return {"step": release.step.tolist(), "position": rounded(release.position, 4)}


def compared(setting: dict[str, Any]) -> dict[str, Any]:
    """Return what the page's worker is told for the table."""
    every = recording(setting)
    return job(setting | {"steps": every * setting["compared"]}, record=every)


def tracks(profile: ee.Profile, setting: dict[str, Any]) -> dict[str, Any]:
    """Return where linear theory says that the walkers from each start are, with no free constant."""
    told = {"batch_size": setting["batchSize"], "learning_rate": setting["learningRate"], "momentum": MOMENTUM}
    law = ee.predict(profile, project_every=EVERY, **told)
    step = torch.linspace(0, setting["steps"], RECORDS + 1).round().long()
    return {"step": step.tolist(), "position": rounded(torch.stack([law.track(s, step) for s in STARTS], 1), 4)}


def rows(release: ee.Release, mine: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Return positions half way and at the end of the page's walkers, and their mean distance from the road since."""
    last = len(mine["position"]) - 1
    half, found = last // 2, []
    for start in release.starts:
        chosen = release.start == start
        both = [(each["position"][:, chosen], each["distance"][:, chosen]) for each in (vars(release), mine)]
        looks = {
            f"position after {int(release.step[half]):,} steps": [position[half] for position, _ in both],
            f"position after {int(release.step[last]):,} steps": [position[last] for position, _ in both],
            "distance from the road": [distance[half : last + 1].mean(0) for _, distance in both],
        }
        for what, (theirs, own) in looks.items():
            found.append({"start": float(start), "what": what, "torch": mean(theirs), "page": mean(own)})
    return found


def mean(values: Tensor) -> list[float]:
    """Return mean and standard error over walkers; of one walker no error."""
    error = values.double().std() / len(values) ** 0.5 if len(values) > 1 else torch.zeros(())
    return [float(values.double().mean()), float(error)]


def page(values: dict[str, Any]) -> str:
    """Return the page that says how well the walkers in the browser agree with PyTorch's."""
    lines = [*HEAD.format(pair=digits_live.PAIR, every=EVERY, momentum=MOMENTUM).splitlines()]
    worst = 0.0
    for setting in values["settings"]:
        for row in setting["table"]:
            (a, da), (b, db) = row["torch"], row["page"]
            apart = (b - a) / math.hypot(da, db)
            worst = max(worst, abs(apart))
            lines.append(
                f"| {setting['batchSize']} | {setting['learningRate']:g} | {row['start']:.1f} | {row['what']} "
                f"| {a:.4f} ± {da:.4f} | {b:.4f} ± {db:.4f} | {apart:+.1f} |"
            )
    for row in values["settings"][0]["tableControl"]:  # the others are as this one
        if "after" in row["what"]:
            (a, _), (b, _) = row["torch"], row["page"]
            lines.append(f"| all | {CONTROL:g} | {row['start']:.1f} | {row['what']} | {a:.5f} | {b:.5f} | |")
    outside = max(max(setting["outside"]) for setting in values["settings"])
    count = sum(len(setting["table"]) for setting in values["settings"])
    told = {"worst": f"{worst:.1f}", "count": count, "outside": f"{100 * outside:.1f}"}
    return "\n".join([*lines, "", FOOT.format(**told), *(LARGER.format(**_both(row)) for row in values["larger"]), ""])


def _both(row: dict[str, Any]) -> dict[str, str]:
    """Return a row of the larger run in words."""
    (a, da), (b, db) = row["torch"], row["page"]
    apart = (b - a) / math.hypot(da, db)
    return {
        "start": f"{row['start']:.1f}",
        "torch": f"{a:.4f} ± {da:.4f}",
        "page": f"{b:.4f} ± {db:.4f}",
        "apart": f"{apart:+.1f}",
    }


HEAD = """\
---
orphan: true
---

# The digits in the page, compared with PyTorch

The page moves its walkers with a gradient written by hand in plain JavaScript. Do they do the same as `ee.drift`? The
table compares both on the same road (pair {pair} of the recording `valley`, {every} free steps between projections,
momentum {momentum}), with different random numbers: means over walkers ± their standard errors, and the difference in
units of its error. `python docs/live_digits.py` makes it.

| B | η | from | what | PyTorch | page | difference |
| --- | --- | --- | --- | --- | --- | --- |"""
FOOT = """\
The largest of the {count} differences that have an error is {worst} errors. The tests are not independent: both sides
use the same draws at all settings, and each walker counts in three rows. At most {outside} % of the walkers were
outside the valley, further from the road than a tenth of its length, when they were projected. Without noise nothing is
random, and both go the same way, up to round-off. Gradients agree with PyTorch's within 10⁻⁵ of the largest component,
as a test checks.

Where the difference in the table is largest, four times as many walkers with other seeds show how much of it was chance
(32 from each start, B = 16, η = 0.02, 1,050 steps; `python docs/live_digits.py --larger`):
"""
LARGER = "- from {start}: PyTorch {torch}, page {page}, difference {apart}"


def main() -> None:
    """Write both files."""
    if "--tables" in sys.argv:
        values = json.loads(digits_live.MEASURED.read_text("utf-8"))
        values["settings"] = [
            each | tables(setting) for each, setting in zip(values["settings"], SETTINGS, strict=True)
        ]
        digits_live.MEASURED.write_text(json.dumps(values, separators=(",", ":")) + "\n", "utf-8")
    elif "--larger" in sys.argv:
        values = json.loads(digits_live.MEASURED.read_text("utf-8")) | {"larger": larger()}
        digits_live.MEASURED.write_text(json.dumps(values, separators=(",", ":")) + "\n", "utf-8")
    elif "--page" not in sys.argv:
        digits_live.MEASURED.write_text(
            json.dumps(measure() | {"larger": larger()}, separators=(",", ":")) + "\n", "utf-8"
        )
    PAGE.write_text(page(json.loads(digits_live.MEASURED.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()

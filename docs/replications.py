"""Write our own reports from the recordings, and the page of replications from all reports in docs/replications.

python docs/replications.py            # writes docs/replications/ours_*.json and docs/replications.md
python docs/replications.py --check    # says which of them are not as they would be written
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

import entropic_edu
from entropic_edu import recorded
from entropic_edu.course.bad_valleys import common as bad
from entropic_edu.course.limits import roads
from entropic_edu.recorded import cifar10, let_go
from entropic_edu.teaching import reports

FOLDER = Path(__file__).with_suffix("")
PAGE = Path(__file__).with_suffix(".md")
HOME = "share of the way home at the end, from 0.3 and 0.7, in %"
THEORY = "Linear theory from the profile, no constant fitted; not written down before the run"
NONE = "Nothing was written before the run"
HEAD = """# Replications

Who did such an experiment, on what, and what came out: one row for each report, one number for each pair of \
minima behind each
value (mean ± standard error over pairs). The first five are our own, taken from the recordings by `python \
docs/replications.py`.

"""
TAIL = """
## Yours

Lesson 10 ends with an investigation of your own. To report it:

```text
entropic-edu report new mine.json      # a file to fill in: it says what is to be written where
entropic-edu report check mine.json    # says all that is wrong, or that it is whole
```

A report is whole when it says what was asked, expected, varied and held fixed, has one number for each pair, names the
controls that are missing, and claims no more than its numbers bear out: *toward* or *away* needs a mean, \
with noise less without,
past the 97.5 % quantile of Student's t for its number of pairs (2.8 standard errors for five). *Cannot tell* \
is a result. Propose
the file for `docs/replications`; a teacher who collects reports of a class gets the same table with
`entropic-edu report table FOLDER`.

The table repeats what reports say; nobody has repeated the experiments of others.
"""


def ours() -> dict[str, dict[str, Any]]:
    """Return our five reports by the names of their files."""
    return {
        "ours_1_valley.json": _walkers("valley", "eta 0.02, B 16", "control"),
        "ours_2_runaway.json": _walkers("runaway", "runaway, B 16", "runaway, control"),
        "ours_3_plain.json": _plain(),
        "ours_4_cifar10.json": _cifar10(),
        "ours_5_bad_minima.json": _bad_minima(),
    }


def _report(numbers: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    """Put a report together; the verdict is the one that its numbers bear out."""
    with_noise, without = ([round(float(each), 4) for each in numbers[name]] for name in ("noisy", "still"))
    number = None if numbers.get("theory") is None else round(float(numbers["theory"]), 4)
    made = {
        "kind": "entropic_edu report",
        "format": 1,
        "by": "the entropic_edu developers",
        "question": words["question"],
        "prediction": {"words": NONE if number is None else THEORY, "number": number},
        "varied": {"what": "noise of the batches", "values": words["values"]},
        "held_fixed": words["fixed"],
        "controls": {
            name: {"done": not say.startswith("not "), "words": say} for name, say in words["controls"].items()
        },
        "seeds": {"pairs": len(with_noise), "walkers": words["walkers"]},
        "result": {
            "quantity": words.get("quantity", HOME),
            "direction": words.get("direction", "its own end"),
            "with_noise": with_noise,
            "without_noise": without,
        },
        "figure": None,
        "change_of_mind": "Walkers without noise that go as far as those with it, or both to the middle",
        "conclusion": {"verdict": "cannot tell", "words": words["found"], "stops": words["stops"]},
        "made_by": {"version": entropic_edu.__version__, "command": f"entropic-edu record {words['recording']}"},
    }
    found = reports.effect(made)
    if abs(found.mean) > found.needed:
        made["conclusion"]["verdict"] = "toward" if found.mean > 0 else "away"
    return made


def _controls(halved: str, distance: str, adaptive: str) -> dict[str, str]:
    names = ("all_data", "halved", "distance", "adaptive_trace")
    return dict(zip(names, ("the same walkers on the gradient of all data", halved, distance, adaptive), strict=True))


def _walkers(on: str, noisy: str, still: str) -> dict[str, Any]:
    """The walkers of lesson 06, in the valley or in the runaway."""
    run = let_go.RECIPE["runs"].get(
        noisy, {"learning_rate": 0.02, "steps": 6000, "batch_size": 16, "project_every": 15}
    )
    numbers = {"noisy": let_go.shares(noisy, 0.3), "still": let_go.shares(still, 0.3)}
    numbers["theory"] = (100 * (1 - let_go.remaining_by_theory(noisy, 0.3) / 0.3)).mean()
    outside = 100 * float(recorded.load("let_go")[f"{noisy}/outside"].double().mean())
    network, data = {
        "valley": (
            "64-96-96-10 with LayerNorm, norms matched along the road",
            "500 digits, a fifth of the labels wrong",
        ),
        "runaway": ("64-32-32-10, ReLU", "1,297 digits, labels as they are"),
    }[on]
    stops = {
        "valley": (
            "One small network, one data set, steps well below the edge; theory falls short when walkers are hotter"
        ),
        "runaway": (
            "Above T* noise feeds itself: walkers leave the valley in bursts, and theory for small noise does not hold"
        ),
    }[on]
    return _report(
        numbers,
        {
            "question": f"Does noise take walkers home on the road of the {on}, and as far as linear theory says?",
            "values": [16, "all data"],
            "fixed": {
                "network": network,
                "data": data,
                "training": "two seeds for each pair, SGD with momentum, to rest",
                "road": "string method, relaxed on the objective of the walkers",
                "time": (
                    f"η {run['learning_rate']:g}, m 0.9, k "
                    f"{run['project_every']}, {run['steps']:,} steps; control: equal η·steps"
                ),
                "objective": "cross entropy and weight decay, one in all verbs"
                + ", label noise 0.1" * (on == "valley"),
            },
            "controls": _controls(
                "not done for this pair of settings; η and B are varied one by one in the recording",
                f"{outside:.1f} % of the records lie outside the valley",
                "probed, beside the trace; findings say what it does",
            ),
            "walkers": 8,
            "found": "Noise takes walkers home, and without it they hardly move",
            "stops": stops,
            "recording": "let_go",
        },
    )


def _plain() -> dict[str, Any]:
    """The network of lesson 10's ten lines: ReLU, no label noise."""
    recipe = recorded.load("limits").recipe
    ends = {run: [roads.tracks(pair, run)[-1] for pair in roads.PAIRS] for run in ("base", "still")}
    low, high = (roads.STARTS.index(start) for start in (0.3, 0.7))
    gone = {run: [100 * (1 - (end[low] + 1 - end[high]) / 0.6) for end in each] for run, each in ends.items()}
    away = roads.away("base", 0.3)
    return _report(
        {"noisy": gone["base"], "still": gone["still"]},
        {
            "question": "Does noise take walkers home in a plain ReLU network, trained in seconds?",
            "values": [16, "all data"],
            "fixed": {
                "network": "64-24-24-10, ReLU",
                "data": "1,297 digits, labels as they are",
                "training": f"B {recipe['train']['batch_size']}, {recipe['train']['epochs']} epochs",
                "road": f"string method, {recipe['connect']['pivots']} pivots",
                "time": "η 0.15, m 0.9, k 15, 720 steps, with noise and without",
                "objective": "cross entropy and weight decay 5e-4, one in all verbs",
            },
            "controls": _controls(
                "not done",
                (
                    f"walkers from 0.3 end {100 * float(away.value):.1f} ± "
                    f"{100 * float(away.error):.1f} % of the road's length off it"
                ),
                "probed; it rises less than the trace, so a part of the bump is scale",
            ),
            "walkers": recipe["walkers"],
            "found": "Noise makes most of the way home; without it walkers creep the same way",
            "stops": "A road that slopes a little; one small network; 720 steps",
            "recording": "limits",
        },
    )


def _cifar10() -> dict[str, Any]:
    """The small CNN of lesson 09: its hottest setting against the control of the same flow time."""
    story, hot, still = cifar10.STORY, cifar10.setting("hot"), cifar10.setting("no noise")

    def gone(name: str) -> torch.Tensor:
        return 100 * (1 - cifar10.remaining(name)[:, -1].mean(-1) / min(story.starts))  # of each pair

    kept = recorded.load("cifar10")
    outside = 100 * float(torch.stack([kept[f"pair{pair}/hot"].outside for pair in cifar10.PAIRS]).mean())
    law = torch.stack([cifar10.theory(pair, "hot").track(0.3, torch.tensor([hot.steps])) for pair in cifar10.PAIRS])
    return _report(
        {"noisy": gone("hot"), "still": gone("no noise"), "theory": 100 * (1 - law.mean() / 0.3)},
        {
            "question": "Does noise take walkers home in a small CNN on CIFAR-10?",
            "values": [hot.batch_size, "all data"],
            "fixed": {
                "network": f"CNN of {', '.join(map(str, story.widths))} channels, normalised, norms matched",
                "data": "1,000 images of CIFAR-10 at 16 x 16",
                "training": "SGD with label noise 0.1; then batches of 64 without label noise",
                "road": "string method, points in half precision",
                "time": f"η {hot.learning_rate:g}, m 0.9, k 15, {hot.steps:,} steps; control: η "
                f"{still.learning_rate:g}, m {still.momentum:g}, {still.steps:,} steps, the same flow time",
                "objective": f"cross entropy under label noise, weight decay {story.weight_decay:g}, one in all verbs",
            },
            "controls": _controls("done: η 0.02", f"{outside:.1f} % of the projections were from outside", "probed"),
            "walkers": 2 * hot.walkers,
            "found": "Noise takes walkers almost half the way home; without it they stay",
            "stops": "Small images and few; settings were chosen by looking, at one of these pairs among others",
            "recording": "cifar10",
        },
    )


def _bad_minima() -> dict[str, Any]:
    """The roads of lesson 08, from a good minimum at 0 to a bad one at 1."""
    at = bad.STARTS.index(0.5)
    noisy, still = (
        0.5 - bad.pairs(f"matched/{noise}/position", "five")[:, -1, at].double().mean(-1) for noise in ("label", "none")
    )
    law = bad.law("matched", "label", 0.5, "five")
    recipe = recorded.load("bad_minima").recipe["drift"]
    return _report(
        {"noisy": noisy, "still": still, "theory": None if law is None else 0.5 - float(law[-1])},
        {
            "question": "Does noise take walkers from the middle of a road to the minimum that generalises better?",
            "values": ["label noise 0.1, B 32", "none"],
            "quantity": "way from 0.5 towards the good end, in lengths of the road",
            "direction": "the good end",
            "fixed": {
                "network": "normalised network, norms matched along the road",
                "data": "400 digits",
                "training": "one end first fitted wrong labels, which were then dropped; both at rest on one loss",
                "road": "training accuracy 1 all along",
                "time": f"η 0.1, m 0.9, B 32, k 15, {recipe['steps']:,} steps",
                "objective": "cross entropy, no weight decay, one in all verbs",
            },
            "controls": _controls(
                "not done", "walkers outside the valley are in the recording", "probed; larger at the bad end"
            ),
            "walkers": 4,
            "found": "At matched norms noise goes to the good end, which is the wide one; as trained nobody moves",
            "stops": "Settings were chosen on the first two pairs; three held-out pairs are in lesson 08",
            "recording": "bad_minima",
        },
    )


def files() -> dict[Path, str]:
    """Return what is written, by file; the page holds reports of others too."""
    made = {FOLDER / name: json.dumps(each, indent=1, ensure_ascii=False) + "\n" for name, each in ours().items()}
    for file, content in made.items():
        if not file.exists() or file.read_text("utf-8") != content:
            if "--check" in sys.argv[1:]:
                return made
            file.parent.mkdir(exist_ok=True)
            file.write_text(content, "utf-8")
    return made | {PAGE: HEAD + reports.table(FOLDER) + TAIL}


def main() -> int:
    """Write the reports and the page, or with ``--check`` say which are not as they would be written."""
    stale = {file: text for file, text in files().items() if not file.exists() or file.read_text("utf-8") != text}
    if "--check" in sys.argv[1:]:
        print("\n".join(f"{file.name} is out of date; run: python docs/replications.py" for file in stale), end="")
        return int(bool(stale))
    for file, text in stale.items():
        file.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Write findings.md: what the paper found and what we find on digits, every number from a recording.

python docs/findings.py            # writes docs/findings.md
python docs/findings.py --check    # says whether it is as it would be written
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch

from entropic_edu import recorded
from entropic_edu.course import digits
from entropic_edu.course.bad_valleys import measures as flatness
from entropic_edu.course.bad_valleys import walk
from entropic_edu.course.bump import common as bump
from entropic_edu.course.bump import spectrum
from entropic_edu.course.late_game import measures as late
from entropic_edu.course.let_go import labels
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import cifar10, let_go

PAGE = Path(__file__).with_suffix(".md")
TEMPLATE = Path(__file__).with_name("findings.in.md")


def with_error(values: torch.Tensor | Mean, places: int = 2) -> str:
    """Return mean ± standard error, over the first dimension where it is not known yet."""
    mean = values if isinstance(values, Mean) else bump.over_pairs(values.double())
    return f"{float(mean.value):.{places}f} ± {float(mean.error):.{places}f}"


def numbers() -> dict[str, str]:
    """Return what the template's placeholders stand for."""
    return road() | curvature() | walkers() | late_game() | bad_minima() | cifar()


def road() -> dict[str, str]:
    """The line and the road of the five pairs."""
    lines = torch.stack([digits.line_loss(pair) for pair in digits.PAIRS])
    roads = [recorded.load("roads")[f"pair{pair}/road"] for pair in digits.PAIRS]
    ends = lines[:, [0, -1]]
    matched = recorded.load("one_road")["matched/line"]
    return {
        "line_barrier": with_error(lines.max(1).values - ends.max(1).values),
        "road_barrier": with_error(torch.tensor([one.barrier for one in roads]), 3),
        "road_length": with_error(torch.tensor([one.length / one.straight_length for one in roads])),
        "matched_barrier": with_error(matched.max(1).values - matched[:, [0, -1]].max(1).values, 3),
    }


def curvature() -> dict[str, str]:
    """The bump on roads of every kind: middle third over the mean of the ends."""
    kinds = ("string", "bezier", "aligned", "squared", "undecayed", "decayed", "longer", "wide")
    entries = {
        f"{kind}_{name}": with_error(bump.bump(bump.kept(f"{kind}/{name}")))
        for kind in kinds
        for name in ("trace", "top", "adaptive", "loss", "data_loss")
    }
    entries["noise"] = with_error(bump.bump(bump.along("gradient_noise")))
    entries |= {f"rank{rank}": with_error(spectrum.rank_ratio(rank)) for rank in (1, 10, 100, 300)}
    entries |= {name: with_error(bump.bump(bump.kept(f"string/{name}"))) for name in ("matched", "alone", "balanced")}
    return entries


def walkers() -> dict[str, str]:
    """Relaxation on the road: what batch size, learning rate and start do."""
    half = let_go.half("eta 0.2, B 16", 0.3)
    entries = {
        "half16": with_error(half, 0),
        "half256": "never" if math.isinf(let_go.half("eta 0.2, B 256", 0.3).value) else "reached",
    }
    for rate in ("0.1", "0.2", "0.4"):
        for size in (16, 32, 64, 128, 256):
            entries[f"gone_{rate}_{size}".replace(".", "")] = with_error(let_go.gone(f"eta {rate}, B {size}", 0.3), 0)
    entries["gone_none"] = with_error(let_go.gone("control", 0.3), 0)
    for start in (0.1, 0.2, 0.4):
        entries[f"gone_from_{start:g}".replace(".", "")] = with_error(let_go.gone("eta 0.2, B 16", start), 0)
    entries["label_noise"] = ", ".join(with_error(labels.ratio(net, 0.3, 50, 0.02)) for net in range(3))
    return entries


def late_game() -> dict[str, str]:
    """From which step on each barrier stays below a level."""
    entries = {}
    for task in ("forty", "fifth", "clean", "decay"):
        for quantity in ("loss", "trace"):
            for scale in ("share", "ends"):
                fallen = late.fallen(task, quantity, scale)
                entries[f"{task}_{quantity}_{scale}"] = "never" if fallen is None else with_error(fallen, 0)
    ratio = late.ratio("forty", 16, "start")
    best = int(ratio.value.nan_to_num(-1).argmax())
    entries["slopes"] = with_error(Mean(ratio.value[best], ratio.error[best]))
    entries["slopes_at"] = str(late.STEPS[best])
    return entries


def bad_minima() -> dict[str, str]:
    """The ends of the roads from good to bad, how much sharper the bad ones are, and where noise goes."""
    entries = {}
    for network in flatness.NETWORKS:
        good, bad = flatness.accuracy_of(network)
        entries |= {f"{network}_good": with_error(good * 100, 1), f"{network}_bad": with_error(bad * 100, 1)}
        for name in flatness.MEASURES:
            entries[f"{network}_{name}"] = with_error(flatness.times(network, name))
    entries["matched_times"] = with_error(flatness.times("normed", "trace", 1.0), 1)
    for case, chosen in (walk.CASES | {"none": ("matched", "none")}).items():
        for shown in ("five", "held_out"):
            for start in walk.STARTS:
                track = walk.track(*chosen, start, shown)
                end = with_error(Mean(track.value[-1], track.error[-1]), 3)
                entries[f"{case}_{shown}_{100 * start:.0f}"] = end
    return entries


def page() -> str:
    """Return the whole page."""
    return TEMPLATE.read_text("utf-8").format(**numbers())


def cifar() -> dict[str, str]:
    """The same curves for a small CNN: three pairs, walkers compared at equal learning rate times steps."""
    kept, pairs = recorded.load("cifar10"), range(cifar10.RECIPE["pairs"])
    lines = torch.stack([kept[f"pair{pair}/line_loss"] for pair in pairs])
    roads = torch.stack([kept[f"pair{pair}/road_loss"] for pair in pairs])
    ways = [kept[f"pair{pair}/road"] for pair in pairs]
    accuracy = torch.stack([kept[f"pair{pair}/road_accuracy"][1] for pair in pairs])
    profiles = [kept[f"pair{pair}/profile"] for pair in pairs]
    ends = lines[:, [0, -1]]
    entries = {
        "cifar_barrier": with_error(lines.max(1).values - ends.max(1).values),
        "cifar_highest": with_error(roads.max(1).values, 4),
        "cifar_ends": with_error(roads[:, [0, -1]].mean(1), 4),
        "cifar_length": with_error(torch.tensor([way.length / way.straight_length for way in ways])),
        "cifar_test_ends": with_error(100 * accuracy[:, [0, -1]].mean(1), 1),
        "cifar_test_middle": with_error(100 * accuracy[:, accuracy.shape[1] // 2], 1),
    }
    for name in ("trace", "top_eigenvalue", "adaptive_trace", "noise", "loss", "data_loss"):
        entries[f"cifar_{name}"] = with_error(torch.tensor([each.bump(getattr(each, name)) for each in profiles]))
    for name, run in cifar10.RECIPE["runs"].items():
        short = "cifar_" + name.replace(", B ", "_").replace("eta 0.", "")
        record = int((kept[f"{name}/step"] * run["learning_rate"] - 100).abs().argmin())
        position = kept[f"{name}/position"][:, record].mean(-1).double()  # (pairs, starts)
        start = torch.tensor(cifar10.RECIPE["starts"], dtype=torch.float64)
        gone = (start - position).abs() / torch.minimum(start, 1 - start)
        entries[short] = with_error(100 * gone.mean(1), 0)
        entries[f"{short}_outside"] = with_error(100 * kept[f"{name}/outside"].mean((1, 2)), 1)
    return entries


def main(arguments: list[str]) -> int:
    """Write the page, or say whether it is as it would be written."""
    made = page()
    if "--check" in arguments:
        same = PAGE.exists() and PAGE.read_text("utf-8") == made
        print("findings.md is as kept" if same else "findings.md is out of date; run: python docs/findings.py")
        return 0 if same else 1
    PAGE.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

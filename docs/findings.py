"""Write findings.md: what the paper found and what we find on digits, every number from a recording.

python docs/findings.py            # writes docs/findings.md
python docs/findings.py --check    # says whether it is as it would be written
"""

from __future__ import annotations

import sys
from functools import reduce
from operator import getitem
from pathlib import Path

import torch

from entropic_edu import recorded
from entropic_edu.course import digits
from entropic_edu.course.bad_valleys import common as recordings
from entropic_edu.course.bad_valleys import measures as flatness
from entropic_edu.course.bad_valleys import walk
from entropic_edu.course.bump import common as bump
from entropic_edu.course.bump import scale as norms
from entropic_edu.course.bump import spectrum, steps
from entropic_edu.course.late_game import measures as late
from entropic_edu.course.let_go import force
from entropic_edu.course.let_go.courses import Course
from entropic_edu.course.let_go.sceptic import SHORT
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import cifar10, let_go

PAGE = Path(__file__).with_suffix(".md")
TEMPLATE = Path(__file__).with_name("findings.in.md")


def with_error(values: torch.Tensor | Mean, places: int = 2) -> str:
    """Return mean ± standard error, over the first dimension where it is not known yet."""
    mean = values if isinstance(values, Mean) else bump.over_pairs(values.double())
    return f"{round(float(mean.value), places) + 0.0:.{places}f} ± {float(mean.error):.{places}f}"  # no -0


def numbers() -> dict[str, str]:
    """Return what the template's placeholders stand for."""
    return road() | curvature() | walkers() | late_game() | late_cifar() | bad_minima() | bad_cifar() | cifar()


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
    """The bump at matched norms, as built, and at steps of each length: middle third over the mean of the ends."""
    entries = {f"bump_{name}": with_error(bump.bump(bump.along(name))) for name in bump.QUANTITIES}
    raw = [recorded.load("bump")[f"pair{pair}/raw"] for pair in range(bump.COUNT)]
    for name in ("trace", "top_eigenvalue", "adaptive_trace", "loss"):
        entries[f"raw_{name}"] = with_error(torch.tensor([one.bump(getattr(one, name)) for one in raw]))
    built = norms.norms(0.0, 1.0, "everywhere")
    entries |= {"sag": with_error(norms.middle_norm(built)), "built": with_error(bump.bump(norms.trace(built)))}
    entries |= {f"rank{rank}": with_error(spectrum.rank_ratio(rank)) for rank in spectrum.RANKS}
    for radius in steps.RADII:
        name = f"{radius:g}".replace(".", "")
        entries |= {
            f"step_{name}": with_error(steps.random_bump(radius)),
            f"held_{name}": with_error(steps.held_bump(radius)),
        }
    entries |= {f"walk_{walk}": with_error(steps.walk_bump(walk)) for walk in steps.WALKS}
    return entries


def walkers() -> dict[str, str]:
    """What batch size, learning rate, start and k do on the road, and what pushes walkers."""
    entries = {}
    for rate in ("0.02", "0.04"):
        for size in (16, 32, 64, 128):
            name = f"eta {rate}, B {size}"
            short = f"{rate}_{size}".replace(".", "")
            entries[f"gone_{short}"] = with_error(let_go.gone(name, 0.3), 0)
            entries[f"law_{short}"] = f"{float((100 * (1 - let_go.remaining_by_theory(name, 0.3) / 0.3)).mean()):.0f}"
    entries["gone_none"] = with_error(let_go.gone("control", 0.3), 0)
    for start in (0.1, 0.2, 0.4):
        entries[f"gone_from_{start:g}".replace(".", "")] = with_error(let_go.gone("eta 0.02, B 16", start), 0)
    runs = {"k5": "k5", "k45": "k45", "free": "free", "road": "of the road"}
    short = Course("hot", until=SHORT).left
    entries["way_hot"] = with_error(Mean(100 * (1 - short.value[-1] / 0.3), 100 * short.error[-1] / 0.3), 0)
    entries |= {
        f"excess_{key}": with_error(force.excess(name)) for key, name in (("road", "of the road"), ("hot", "hot"))
    }
    entries |= {f"way_{short}": with_error(let_go.gone(name, 0.3), 0) for short, name in runs.items()}
    hot = {"16": "B 16", "64": "B 64", "road": "of the road", "undone": "undone", "control": "control"}
    entries |= {f"run_{short}": with_error(let_go.gone(f"runaway, {name}", 0.3), 0) for short, name in hot.items()}
    entries |= {f"push_{on}": with_error(force.ratio(on)) for on in ("valley", "runaway")}
    for name in ("free", "free_all"):
        kept = recorded.load("let_go")
        entries[f"{name}_away"] = with_error(kept[f"{name}/distance"][:, -1].double().mean((1, 2)), 1)
        entries[f"{name}_accuracy"] = with_error(100 * kept[f"{name}/accuracy"][:, -1].double().mean(1), 0)
    return entries


def late_game() -> dict[str, str]:
    """From which step on each barrier stays below a level."""
    entries = {}
    for task in ("forty", "fifth", "clean", "decay"):
        for quantity in ("loss", "trace"):
            for scale in ("share", "ends"):
                entries[f"{task}_{quantity}_{scale}"] = with_error(late.fallen(task, quantity, scale), 0)
    ratio = late.ratio("forty", 16, "start")
    best = int(ratio.value.nan_to_num(-1).argmax())
    entries["slopes"] = with_error(Mean(ratio.value[best], ratio.error[best]))
    entries["slopes_at"] = str(late.STEPS[best])
    family = recorded.load("late_normalised")["family"]
    for name, height in (("loss", family.loss_barrier), ("trace", family.trace_barrier)):
        share = 100 * family.relative_to_first(height.double())
        entries |= {f"normed_{name}_{k}": with_error(share[:, family.at.tolist().index(k)], 0) for k in (15, 30)}
    return entries


def late_cifar() -> dict[str, str]:
    """What is left of each barrier on CIFAR-10, in per cent of k = 0, and what of a line's rise noise adds."""
    entries, kept = {}, recorded.load("late_cifar10")
    given = kept.recipe["train"]
    assert given["momentum"] == late.MOMENTUM
    for network in ("plain", "normed"):
        family, noise = kept[f"{network}/family"], kept[f"{network}/noise"]
        loss, entropic = map(late.rise, late.climbs(family.loss[:, :, 0], family.trace[:, :, 0], noise))
        ratio = late.over_loss(loss, given["learning_rate"] / given["batch_size"] * entropic)
        for i, k in enumerate(family.at.tolist()):
            for name, height in (("loss", family.loss_barrier), ("trace", family.trace_barrier)):
                left = 100 * family.relative_to_first(height.double())
                entries[f"late_{network}_{name}_{k}"] = with_error(left[:, i], 1)
            entries[f"late_{network}_ratio_{k}"] = with_error(Mean(ratio.value[i], ratio.error[i]))
    return entries


def bad_cifar() -> dict[str, str]:
    """Good and bad minima on CIFAR-10: the ends, the road between them, and where walkers end."""
    kept = recorded.load("bad_cifar10")
    loss, accuracy, trace = (kept["along"][..., column].double() for column in (0, 2, 4))  # (pairs, places)
    entries = {
        "bad_cifar_good": with_error(100 * accuracy[:, 0], 1),
        "bad_cifar_bad": with_error(100 * accuracy[:, -1], 1),
        "bad_cifar_matched": with_error(trace[:, -1] / trace[:, 0], 1),
        "bad_cifar_raw": with_error(kept["ends"][:, 1, 4].double() / trace[:, 0], 1),
        "bad_cifar_ridge": with_error(trace.amax(1) / trace[:, 0], 1),
        "bad_cifar_loss": with_error(loss.amax(1) / loss[:, [0, -1]].amax(1)),
    }
    for noise in ("label", "none"):
        ends = kept[f"{noise}/position"][:, -1].double().mean(-1)  # (pairs, starts)
        for start, each in zip(kept.recipe["starts"], ends.T, strict=True):
            entries[f"bad_cifar_{noise}_{100 * start:.0f}"] = with_error(each, 3)
    return entries


def bad_minima() -> dict[str, str]:
    """The ends of the roads from good to bad, how much sharper the bad ones are, and where noise goes."""
    entries = {}
    for network in flatness.NETWORKS:
        good, bad, *_ = recordings.column(recordings.pairs(f"{network}/ends", "five"), "test").unbind(1)
        entries |= {f"{network}_good": with_error(good * 100, 1), f"{network}_bad": with_error(bad * 100, 1)}
        for name in flatness.MEASURES:
            entries[f"{network}_{name}"] = with_error(flatness.times(network, name))
    entries["matched_times"] = with_error(flatness.times("normed", "trace", 1.0), 1)
    for case, chosen in (walk.CASES | {"none": ("matched", "none")}).items():
        for shown in ("five", "held_out"):
            for start in recordings.STARTS:
                track = recordings.track(*chosen, start, shown)
                end = with_error(Mean(track.value[-1], track.error[-1]), 3)
                entries[f"{case}_{shown}_{100 * start:.0f}"] = end
    return entries


def page() -> str:
    """Return the whole page."""
    return TEMPLATE.read_text("utf-8").format(**{name: each.replace("-", "−") for name, each in numbers().items()})


def cifar() -> dict[str, str]:
    """The story of the small CNN."""
    kept = recorded.load("cifar10")
    figures = [kept[f"pair{pair}/figures"] for pair in cifar10.PAIRS]
    accuracy = 100 * cifar10.every("road_accuracy")[:, 1]
    before, after = cifar10.every("settled").unbind(1)  # (pairs, ends, columns) each

    def every(*names: str) -> torch.Tensor:
        return torch.tensor([reduce(getitem, names, pair) for pair in figures], dtype=torch.float64)

    moved = 100 * every("ends", "moved")
    entries = {
        "cifar_barrier": with_error(every("minima", "linear_barrier")),
        "cifar_over": with_error(every("road", "highest_data_loss_over_higher_end"), 3),
        "cifar_length": with_error(every("road", "length_over_straight")),
        "cifar_test_ends": with_error(accuracy[:, [0, -1]].mean(1), 1),
        "cifar_test_middle": with_error(accuracy[:, accuracy.shape[1] // 2], 1),
        "cifar_moved": with_error(moved.mean(1), 1),
        "cifar_moved_most": f"{float(moved.max()):.1f}",
        "cifar_outside": f"{100 * max(walk['share_outside'] for pair in figures for walk in pair['releases']):.2g}",
        "cifar_settled_loss": with_error((after / before)[..., 1].mean(1), 3),
        "cifar_settled_trace": with_error((after / before)[..., 2].mean(1)),
        "cifar_raw_norm": with_error(every("road_as_built", "middle_over_ends", "norm")),
        "cifar_raw_trace": with_error(every("road_as_built", "middle_over_ends", "trace")),
    }
    for name in ("trace", "top_eigenvalue", "adaptive_trace", "loss", "data_loss"):
        entries[f"cifar_{name}"] = with_error(every("profile", "middle_over_ends", name), 3 if "loss" in name else 2)
    for name in ("hot", "warm", "cold"):
        made = every("by_noise", name, "ratio")[:, -1]
        ways = {"": cifar10.gone(name), "_still": cifar10.without_noise(name), "_ratio": bump.over_pairs(made)}
        places = {"": 1, "_still": 1, "_ratio": 2}
        entries |= {f"cifar_{name}{end}": with_error(way, places[end]) for end, way in ways.items()}
        for part, slope in zip(("loss", "noise"), cifar10.where_they_went(name), strict=True):
            entries[f"cifar_{name}_slope_{part}"] = with_error(1000 * slope, 1)
        loss, noise = cifar10.rises(name)
        entries |= {"cifar_rise_loss": with_error(loss, 3), f"cifar_{name}_rise": with_error(noise, 3)}
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

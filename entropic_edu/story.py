"""The whole experiment in one go: two minima, the road, its width, and walkers let go on it.

Every stage is one verb, is kept in a work folder as soon as it is finished, and is read from there on ``--resume``.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any, TypeVar

import torch
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from . import plots
from .connect import connect, measured
from .data import digits
from .drift import Release, drift, effective_temperature
from .models import mlp
from .network import Network
from .path import Path
from .probe import Profile, probe
from .results import Result, write_whole
from .theory import Prediction, predict
from .train import Run, train

R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Setting:
    """One way to let walkers go: batch size B (None: all data), learning rate η, free steps k, and steps in all."""

    name: str
    batch_size: int | None
    learning_rate: float
    project_every: int
    steps: int
    walkers: int = 16
    undo_excursions: bool = False


@dataclass(frozen=True)
class Recipe:
    """All settings of the story; the defaults are what ``make story`` runs.

    The network is small, so that the road is narrow and a step is cheap. Training is long and its batches are small, so
    that the weights come to rest under weight decay and the ends lie where noise likes to be. ``settings`` holds three
    pairs (B, η) of one temperature, the first of them again with excursions undone, one pair four times colder, and the
    control without noise. k is 15 at η = 0.2 as in
    the paper; at the other learning rates it is the k that lets a free walker spread by the same variance between two
    projections (``theory.sustained_variance`` at h → 0).

    At this temperature the walkers are past the linear regime, and go home many times faster than ``theory.predict``
    says; the colder walkers and those without noise move as it says. Rare bursts throw a walker out of the valley for a
    moment. They do not carry it home: it goes there as well where each such excursion is undone.
    """

    widths: tuple[int, ...] = (64, 32, 32, 10)
    weight_decay: float = 5e-4
    train: dict[str, Any] = field(
        default_factory=lambda: {"batch_size": 16, "learning_rate": 0.05, "momentum": 0.9, "epochs": 120}
    )
    connect: dict[str, Any] = field(default_factory=lambda: {"method": "string", "pivots": 40, "sweeps": 1500})
    points: int = 25
    starts: tuple[float, float] = (0.3, 0.7)
    momentum: float = 0.9
    settings: tuple[Setting, ...] = (
        Setting("hot", 16, 0.2, 15, 2000),
        Setting("hot, smaller steps", 14, 0.175, 16, 2286),
        Setting("hot, larger steps", 19, 0.2375, 14, 1684),
        Setting("hot, excursions undone", 16, 0.2, 15, 2000, undo_excursions=True),
        Setting("cold", 64, 0.2, 15, 2000),
        Setting("no noise", None, 0.2, 15, 2000, walkers=1),
    )


@dataclass(frozen=True)
class Pair:
    """What one pair of minima gave; None, or missing among the releases, is what an interruption left undone."""

    seed: int
    land: Network
    run: Run | None = None
    straight: Path | None = None
    road: Path | None = None
    profile: Profile | None = None
    releases: dict[str, Release] = field(default_factory=dict)
    complete: bool = False


def landscape(recipe: Recipe) -> Network:
    """Return the digits network: pixels shifted and scaled to mean 0 and variance 1 over the training set."""
    data = digits()
    mean, spread = data.x.mean(), data.x.std()
    return Network(
        mlp(*recipe.widths),
        (data.x - mean) / spread,
        data.y,
        weight_decay=recipe.weight_decay,
        test=((data.test_x - mean) / spread, data.test_y),
    )


class _Stages:
    """Results by name in a folder; each is made once and read again on resume."""

    def __init__(self, folder: File, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say

    def get(self, kind: type[R], name: str, make: Callable[[], R]) -> R:
        file = self.folder / f"{name}.safetensors"
        if file.exists():
            self.say(f"  {name}: from {file}")
            return kind.load(file)
        began = time.perf_counter()
        result = make()
        if result.complete:
            result.save(file)
        self.say(f"  {name} ({time.perf_counter() - began:.1f} s): {result.summary()}")
        if not result.complete:
            raise _StoppedError
        return result


class _StoppedError(Exception):
    """Ctrl-C came in a stage."""


def tell(
    seeds: Sequence[int] = (0,),
    *,
    out: str = "story",
    resume: bool = False,
    recipe: Recipe | None = None,
    progress: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run the story for each seed and write ``out``.json and ``out``.png.

    Args:
        seeds: One pair of minima each.
        out: Where to write, without suffix; stages are kept in the folder ``out``.work.
        resume: Go on from the stages that are there.
        recipe: Settings; None takes the defaults.
        progress: Whether to show bars.
        say: Receives one line per stage.

    Returns:
        What ``out``.json holds. Its keys are listed in docs/story.md.

    Raises:
        OSError: If the place cannot be written; nothing has been computed then.
        ValueError: If the stages there were made by another recipe.
    """
    recipe = recipe or Recipe()
    folder = _prepared(File(f"{out}.work"), recipe, resume)
    stages = _Stages(folder, say)
    began, pairs, complete = time.perf_counter(), [], True
    for seed in seeds:
        say(f"Pair of minima from seed {seed}")
        pair, finished = _pair(stages, recipe, seed, progress)
        pairs.append(pair)
        if not finished:
            complete = False
            break
    found = report(pairs, recipe, complete, time.perf_counter() - began)
    write_whole(f"{out}.json", json.dumps(found, indent=2).encode())
    write_whole(f"{out}.png", _png(picture(pairs, recipe)))
    return found


def _prepared(folder: File, recipe: Recipe, resume: bool) -> File:
    """Make the work folder, empty unless it is to be resumed, and note the recipe in it."""
    note, wanted = folder / "recipe.json", json.dumps(dataclasses.asdict(recipe), sort_keys=True)
    if resume and note.exists() and note.read_text() != wanted:
        raise ValueError(
            f"{folder} holds stages of another recipe; run without --resume to start afresh, or choose another --out."
        )
    if not resume and folder.exists():
        shutil.rmtree(folder)
    write_whole(note, wanted.encode())
    return folder


def _pair(stages: _Stages, recipe: Recipe, seed: int, progress: bool) -> tuple[Pair, bool]:
    """All stages for one seed, and whether they came to their end."""
    land = landscape(recipe)
    pair = Pair(seed, land)

    def generator(stage: int) -> torch.Generator:  # each stage its own stream: a resumed story is the same story
        return torch.Generator().manual_seed(1000 * seed + stage)

    try:
        run = stages.get(
            Run,
            f"seed{seed}-minima",
            lambda: train(land, generator=generator(0), runs=2, progress=progress, **recipe.train),
        )
        a, b = run.theta
        straight = measured(land, connect(land, a, b, generator=generator(1), method="linear", points=25))
        pair = dataclasses.replace(pair, run=run, straight=straight)
        road = stages.get(
            Path,
            f"seed{seed}-road",
            lambda: connect(land, a, b, generator=generator(2), progress=progress, **recipe.connect),
        )
        pair = dataclasses.replace(pair, road=road)
        profile = stages.get(
            Profile,
            f"seed{seed}-profile",
            lambda: probe(land, road, generator=generator(3), points=recipe.points, progress=progress),
        )
        pair = dataclasses.replace(pair, profile=profile)
        for number, setting in enumerate(recipe.settings):
            release = stages.get(
                Release,
                f"seed{seed}-walkers{number}",
                lambda setting=setting: _release(land, road, recipe, setting, generator(4), progress),  # type: ignore[misc]
            )
            pair.releases[setting.name] = release
    except _StoppedError:
        return pair, False
    except KeyboardInterrupt:  # between stages
        return pair, False
    return dataclasses.replace(pair, complete=True), True


def _release(
    land: Network, road: Path, recipe: Recipe, setting: Setting, generator: torch.Generator, progress: bool
) -> Release:
    return drift(
        land,
        road,
        generator=generator,
        start=recipe.starts,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        momentum=recipe.momentum,
        walkers=setting.walkers,
        steps=setting.steps,
        project_every=setting.project_every,
        undo_excursions=setting.undo_excursions,
        progress=progress,
    )


# --- what it says ------------------------------------------------------------------------------------------------


def report(pairs: Sequence[Pair], recipe: Recipe, complete: bool, seconds: float) -> dict[str, Any]:
    """Return everything measured and every claim judged, as plain values for story.json."""
    rows = [_figures(pair, recipe) for pair in pairs]
    judged = [row["claims"] for row in rows if row["complete"]]
    names = list(judged[0]) if judged else []
    return {
        "complete": complete,
        "dataset": "digits",
        "seconds": round(seconds, 1),
        "recipe": dataclasses.asdict(recipe),
        "pairs": rows,
        "counts": {name: sum(claims[name] for claims in judged) for name in names},
        "pairs_complete": len(judged),
    }


def _figures(pair: Pair, recipe: Recipe) -> dict[str, Any]:
    """The figures of one pair, as far as they go."""
    found: dict[str, Any] = {"seed": pair.seed, "complete": pair.complete}
    with torch.no_grad():
        if pair.run is not None and pair.straight is not None:
            found["minima"] = _minima(pair)
        if pair.road is not None:
            found["road"] = _road(pair)
    if pair.profile is not None:
        found["profile"] = _profile(pair.profile)
    found["releases"] = [
        _walk(setting, pair.releases[setting.name], pair.profile, recipe)
        for setting in recipe.settings
        if setting.name in pair.releases and pair.profile is not None
    ]
    if pair.complete:
        found["collapse"] = collapse(pair, recipe)
        found["claims"] = _claims(found)
    return found


def _minima(pair: Pair) -> dict[str, Any]:
    assert pair.run is not None
    assert pair.straight is not None
    data = pair.land.data_loss(pair.straight.pivots)
    return {
        "data_loss": pair.land.data_loss(pair.run.theta).tolist(),
        "objective": pair.land.loss(pair.run.theta).tolist(),
        "accuracy": pair.land.accuracy(pair.run.theta).tolist(),
        "test_accuracy": pair.land.accuracy(pair.run.theta, "test").tolist(),
        "distance": pair.straight.straight_length,
        "linear_barrier": float(data.max() - data[[0, -1]].max()),
    }


def _road(pair: Pair) -> dict[str, Any]:
    assert pair.road is not None
    data = torch.cat([pair.land.data_loss(some) for some in torch.split(pair.road.pivots, 32)])
    return {
        "method": pair.road.method,
        "points": len(pair.road.pivots),
        "length": pair.road.length,
        "length_over_straight": pair.road.length / pair.road.straight_length,
        "scallop": pair.road.scallop,
        "highest_data_loss": float(data.max()),
        "highest_data_loss_over_higher_end": float(data.max() / data[[0, -1]].max()),
        "highest_objective_over_higher_end": pair.road.saddle_loss / float(pair.road.losses[[0, -1]].max()),  # type: ignore[index]
    }


def _profile(profile: Profile) -> dict[str, Any]:
    columns = ("position", "loss", "data_loss", "trace", "trace_error", "top_eigenvalue", "adaptive_trace")
    more = ("adaptive_top", "noise", "norm", "test_accuracy")
    return {
        **{name: getattr(profile, name).tolist() for name in columns + more if getattr(profile, name) is not None},
        "middle_over_ends": {
            name: profile.bump(getattr(profile, name))
            for name in ("trace", "top_eigenvalue", "adaptive_trace", "adaptive_top", "noise", "data_loss", "loss")
        },
        "trace_with_decay_middle_over_ends": profile.bump(profile.trace_with_decay),
    }


def _walk(setting: Setting, release: Release, profile: Profile | None, recipe: Recipe) -> dict[str, Any]:
    assert profile is not None
    expected = _expected(setting, profile, recipe)
    return {
        "name": setting.name,
        "batch_size": setting.batch_size,
        "learning_rate": setting.learning_rate,
        "momentum": recipe.momentum,
        "temperature": release.temperature,
        "project_every": setting.project_every,
        "walkers_per_start": setting.walkers,
        "undo_excursions": setting.undo_excursions,
        "starts": release.starts.tolist(),
        "step": release.step.tolist(),
        "mean_position": release.mean_position.T.tolist(),
        "position_error": release.position_error.T.tolist(),
        "end": release.mean_position[-1].tolist(),
        "end_error": release.position_error[-1].tolist(),
        "predicted_end": [float(expected.track(float(start), release.step[[0, -1]])[-1]) for start in release.starts],
        "relaxation_steps": [t if math.isfinite(t) else None for t in release.relaxation_steps().steps.tolist()],
        "left_valley": int(release.left_valley.sum()),
        "share_outside": float(release.outside.mean()),
        "median_distance": float(release.distance[1:].median()),
        "median_objective": float(release.loss[1:].median()),
        "mean_objective": float(release.loss[1:].mean()),
    }


def _expected(setting: Setting, profile: Profile, recipe: Recipe) -> Prediction:
    return predict(
        profile,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        momentum=recipe.momentum,
        project_every=setting.project_every,
    )


def collapse(pair: Pair, recipe: Recipe) -> dict[str, Any]:
    """Compare the relaxation at one temperature between pairs (B, η), and with another temperature.

    At seven equal times η/(1-m)·step, the way gone towards the own end, averaged over both starts; the disagreement of
    two curves is the root mean square of their differences in units of their combined standard errors.
    """
    noisy = [s for s in recipe.settings if s.batch_size is not None and not s.undo_excursions]
    hottest = max(effective_temperature(s.batch_size, s.learning_rate, recipe.momentum) for s in noisy)

    def hot(setting: Setting) -> bool:
        here = effective_temperature(setting.batch_size, setting.learning_rate, recipe.momentum)
        return math.isclose(here, hottest, rel_tol=1e-6)

    curves = {s.name: _way(pair.releases[s.name]) for s in noisy}
    same = [s.name for s in noisy if hot(s)]
    pairs_of = [(a, b) for i, a in enumerate(same) for b in same[i + 1 :]]
    others = [(same[0], s.name) for s in noisy if not hot(s)]
    return {
        "same_temperature": {f"{a} / {b}": _disagreement(curves[a], curves[b]) for a, b in pairs_of},
        "other_temperature": {f"{a} / {b}": _disagreement(curves[a], curves[b]) for a, b in others},
    }


def _way(release: Release) -> tuple[Tensor, Tensor]:
    """Way gone towards the own end at seven equal times, and its standard error, (7,) each."""
    at = torch.linspace(0.2, 1, 7, dtype=torch.float64) * float(release.step[-1])
    rows = [int((release.step - t).abs().argmin()) for t in at]
    home = (release.starts > 0.5).to(release.position)
    gone = (release.mean_position[rows] - release.starts).abs() * torch.sign(
        (release.mean_position[rows] - release.starts) * (home - release.starts)
    )
    error = release.position_error[rows].square().sum(1).sqrt() / len(release.starts)
    return gone.mean(1), error


def _disagreement(one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor]) -> float:
    error = (one[1] ** 2 + two[1] ** 2).sqrt().clamp(min=1e-6)
    return float((((one[0] - two[0]) / error) ** 2).mean().sqrt())


def _claims(found: dict[str, Any]) -> dict[str, bool]:
    """Which of the claims this pair of minima shows."""
    bump, walks = found["profile"]["middle_over_ends"], {w["name"]: w for w in found["releases"]}
    hot, still = walks["hot"], walks["no noise"]
    homes = [1.0 if start > 0.5 else 0.0 for start in hot["starts"]]
    towards = [
        (end - start) * (1 if home else -1)
        for start, end, home in zip(still["starts"], still["end"], homes, strict=True)
    ]
    return {
        "linear barrier >= 0.3": found["minima"]["linear_barrier"] >= 0.3,
        "highest loss on the road <= 1.6 x higher end": found["road"]["highest_data_loss_over_higher_end"] <= 1.6,
        "trace in the middle third >= 1.8 x ends": bump["trace"] >= 1.8,
        "lambda_max in the middle third >= 1.8 x ends": bump["top_eigenvalue"] >= 1.8,
        "noisy walkers end within 0.1 of their end, on average": _from_home(hot) <= 0.1,
        "also where every excursion out of the valley is undone": _from_home(walks["hot, excursions undone"]) <= 0.1,
        "without noise they move < 0.05 towards it, or the other way": all(way < 0.05 for way in towards),
        "noisy walkers are in the valley at >= 95 % of projections": hot["share_outside"] <= 0.05,
        "equal temperature, equal relaxation (within 2 errors)": max(found["collapse"]["same_temperature"].values())
        <= 2,
        "four times colder, another relaxation (> 2 errors)": min(found["collapse"]["other_temperature"].values()) > 2,
    }


def _from_home(walk: dict[str, Any]) -> float:
    """Mean distance of the walkers from their own ends, over both starts."""
    homes = [1.0 if start > 0.5 else 0.0 for start in walk["starts"]]
    return sum(abs(end - home) for end, home in zip(walk["end"], homes, strict=True)) / len(homes)


def table(found: dict[str, Any]) -> str:
    """Return the story as lines of text for the terminal."""
    lines = []
    for row in found["pairs"]:
        if "claims" not in row:
            lines.append(f"Pair {row['seed']}: incomplete.")
            continue
        profile, road = row["profile"]["middle_over_ends"], row["road"]
        lines += [
            f"Pair {row['seed']}: train accuracy {min(row['minima']['accuracy']):.3f}, test "
            f"{min(row['minima']['test_accuracy']):.3f}",
            f"  straight line: barrier {row['minima']['linear_barrier']:.2f}; road: highest data loss "
            f"{road['highest_data_loss_over_higher_end']:.2f} x the higher end, "
            f"{road['length_over_straight']:.2f} x as long",
            f"  middle third over ends: trace {profile['trace']:.2f}, lambda_max {profile['top_eigenvalue']:.2f}, "
            f"adaptive trace {profile['adaptive_trace']:.2f}, objective {profile['loss']:.2f}",
        ]
        for walk in row["releases"]:
            ends = ", ".join(
                f"{s:.1f} -> {e:.3f} ± {err:.3f}"
                for s, e, err in zip(walk["starts"], walk["end"], walk["end_error"], strict=True)
            )
            size = "all" if walk["batch_size"] is None else walk["batch_size"]
            undone = ", excursions undone" if walk["undo_excursions"] else ""
            lines.append(
                f"  B {size:>3}, η {walk['learning_rate']:.4g}, T {walk['temperature']:.4g}{undone}: {ends}; "
                f"linear theory {walk['predicted_end'][0]:.2f}, {walk['predicted_end'][1]:.2f}; "
                f"{100 * walk['share_outside']:.1f} % of projections from outside the valley, {walk['left_valley']} of "
                f"{len(walk['starts']) * walk['walkers_per_start']} walkers left it"
            )
    total = found["pairs_complete"]
    lines += [f"{count} of {total}: {name}" for name, count in found["counts"].items()]
    if not found["complete"]:
        lines.append("Incomplete: go on with --resume.")
    return "\n".join(lines)


# --- what it looks like ------------------------------------------------------------------------------------------


def picture(pairs: Sequence[Pair], recipe: Recipe) -> Figure:
    """Draw the first pair, with the profiles of the others behind it; panels that are not there yet stay empty."""
    figure = Figure(figsize=(13, 10), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
    panels = figure.subplots(2, 2)
    first = pairs[0]
    for ax, ready in zip(panels.flat, (first.road, first.profile, first.releases, first.complete), strict=True):
        if not ready:
            ax.set_axis_off()
            ax.text(0.5, 0.5, "not finished yet", ha="center", transform=ax.transAxes)
    if first.road is not None:
        plots.plane(first.land, first.road, panels[0, 0])
    if first.profile is not None:
        for other in pairs[1:]:
            if other.profile is not None:
                for values, colour in ((other.profile.trace, plots.RED), (other.profile.top_eigenvalue, plots.ORANGE)):
                    panels[0, 1].plot(
                        other.profile.position, values / values[[0, -1]].mean(), color=colour, lw=0.8, alpha=0.4
                    )
        plots.profile(first.profile, panels[0, 1])
        thin = "" if len(pairs) == 1 else f" (thin: {len(pairs) - 1} more)"
        panels[0, 1].set_title(f"Flat in height, narrow in the middle{thin}", fontsize=12, loc="left")
    if first.releases and first.profile is not None:
        _homecoming(panels[1, 0], first, recipe)
    if first.complete:
        _collapse_panel(panels[1, 1], first, recipe)
    figure.suptitle(
        f"Entropic confinement on the digits network, seed {first.seed}: {recipe.settings[0].walkers} walkers from "
        "each start, bands are one standard error",
        fontsize=13,
    )
    return figure


def _homecoming(ax: Any, pair: Pair, recipe: Recipe) -> None:
    styles = {
        "hot": (plots.RED, "-"),
        "hot, excursions undone": (plots.ORANGE, "--"),
        "cold": (plots.BLUE, "--"),
        "no noise": (plots.BLACK, ":"),
    }
    labels = []
    for setting in recipe.settings:
        release = pair.releases.get(setting.name)
        if setting.name not in styles or release is None:
            continue
        colour, dash = styles[setting.name]
        plots.release(release, ax, colour=colour, dash=dash)
        size = "all data" if setting.batch_size is None else f"B {setting.batch_size}, η {setting.learning_rate:g}"
        size = "excursions undone" if setting.undo_excursions else size
        labels += [(1.01 * float(release.step[-1]), float(end), size, colour) for end in release.mean_position[-1]]
        if setting.name == "hot" and pair.profile is not None:
            expected = _expected(setting, pair.profile, recipe)
            for start in release.starts:
                track = expected.track(float(start), release.step)
                ax.plot(release.step, track, color=plots.PURPLE, lw=1.5, ls="-.")
                labels.append(
                    (
                        1.01 * float(release.step[-1]),
                        float(track[-1]),
                        f"B {setting.batch_size}, linear theory",
                        plots.PURPLE,
                    )
                )
    plots.end_labels(ax, labels)
    ax.set_title("Noise sends the walkers home", fontsize=12, loc="left")


def _collapse_panel(ax: Any, pair: Pair, recipe: Recipe) -> None:
    colours = (plots.RED, plots.ORANGE, plots.GREEN, plots.BLUE, plots.BLACK)
    labels = []
    shown = [setting for setting in recipe.settings if not setting.undo_excursions]
    for setting, colour, dash in zip(shown, colours, plots.DASHES, strict=False):
        release = pair.releases[setting.name]
        unit = setting.learning_rate / (1 - recipe.momentum)
        home = (release.starts > 0.5).to(release.position)
        way = ((release.mean_position - release.starts) * torch.sign(home - release.starts)).mean(1)
        error = release.position_error.square().sum(1).sqrt() / len(release.starts)
        ax.plot(release.step * unit, way, color=colour, ls=dash, lw=2)
        ax.fill_between(release.step * unit, way - error, way + error, color=colour, alpha=0.2, lw=0)
        size = "all data" if setting.batch_size is None else f"B {setting.batch_size}, η {setting.learning_rate:g}"
        temperature = f"T {release.temperature:.3g}" if release.temperature else "T 0"
        labels.append((1.01 * float(release.step[-1]) * unit, float(way[-1]), f"{size} ({temperature})", colour))
    plots.end_labels(ax, labels)
    plots._labelled(ax, "time η/(1-m) · step", "way gone towards the own end", "One number decides: T = η/((1-m)B)")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()

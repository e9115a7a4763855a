"""What the story says: every figure and every judged claim as plain values, and the table on the terminal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.release import Release
from entropic_edu.physics.theory import predict

from .digits import Pair, Recipe, Setting

_CURVES = (
    *("position", "loss", "data_loss", "trace", "trace_error", "top_eigenvalue"),
    *("adaptive_trace", "adaptive_top", "noise", "norm", "test_accuracy"),
)
_BUMPS = ("norm", "trace", "top_eigenvalue", "adaptive_trace", "adaptive_top", "noise", "data_loss", "loss")


def report(pairs: Sequence[Pair], recipe: Recipe, seconds: float) -> dict[str, Any]:
    """Return everything measured and every claim judged, as plain values for story.json."""
    rows = [_figures(pair, recipe) for pair in pairs]
    judged = [row["claims"] for row in rows if row["complete"]]
    return {
        "complete": all(pair.complete for pair in pairs),
        "dataset": recipe.dataset,
        "device": device_name(pairs[0].land),
        "seconds": round(seconds, 1),
        "recipe": dataclasses.asdict(recipe),
        "pairs": rows,
        "counts": {name: sum(claims[name] for claims in judged) for name in (judged[0] if judged else ())},
        "pairs_complete": len(judged),
    }


def device_name(land: Network) -> str:
    """Return what a landscape is computed on."""
    return torch.cuda.get_device_name(land.device) if land.device.type == "cuda" else land.device.type


def _figures(pair: Pair, recipe: Recipe) -> dict[str, Any]:
    """The figures of one pair, as far as they go."""
    figures: dict[str, Any] = {"seed": pair.seed, "complete": pair.complete}
    land = pair.land
    with torch.no_grad():
        if pair.run is not None and pair.straight is not None:
            ends, line = pair.run.theta.to(land.device), land.data_loss(pair.straight.pivots)
            figures["minima"] = {
                "data_loss": land.data_loss(ends).tolist(),
                "objective": land.loss(ends).tolist(),
                "accuracy": land.accuracy(ends).tolist(),
                "test_accuracy": land.accuracy(ends, "test").tolist(),
                "distance": pair.straight.straight_length,
                "linear_barrier": float(line.max() - line[[0, -1]].max()),
            }
        if (road := pair.road) is not None:
            data = torch.cat([land.data_loss(some) for some in torch.split(road.pivots, 32)])
            higher_end = float(road.losses[[0, -1]].max())  # type: ignore[index]
            figures["road"] = {
                "method": road.method,
                "points": len(road.pivots),
                "length": road.length,
                "length_over_straight": road.length / road.straight_length,
                "scallop": road.scallop,
                "highest_data_loss": float(data.max()),
                "highest_data_loss_over_higher_end": float(data.max() / data[[0, -1]].max()),
                "highest_objective_over_higher_end": road.saddle_loss / higher_end,
            }
            if pair.descent is not None:
                figures["ends"] = at_rest(pair) | {"at_most": recipe.at_rest}
    if (raw := pair.raw) is not None:
        narrower = {name: raw.bump(getattr(raw, name)) for name in ("trace", "top_eigenvalue", "norm")}
        figures["road_as_built"] = {"middle_over_ends": narrower}
    if (profile := pair.profile) is not None:
        curves = {name: getattr(profile, name) for name in _CURVES}
        figures["profile"] = {
            **{name: values.tolist() for name, values in curves.items() if values is not None},
            "middle_over_ends": {name: profile.bump(curves[name]) for name in _BUMPS},
            "trace_with_decay_middle_over_ends": profile.bump(profile.trace_with_decay),
        }
    walked = [setting for setting in recipe.settings if setting.name in pair.releases]
    figures["releases"] = [_walk(s, pair.releases[s.name], profile, recipe) for s in walked if profile]
    if pair.complete:
        figures["collapse"] = collapse(pair, recipe)
        figures["by_noise"] = by_noise(pair, recipe) if recipe.kind == "valley" else {}
        figures["claims"] = claims(figures, recipe.kind)
    return figures


def at_rest(pair: Pair) -> dict[str, Any]:
    """Return how far full-batch descent moves the ends in the control's time, and how low the objective gets."""
    assert pair.road is not None
    before, after = settled(pair)
    where, losses = pair.road.project(after), pair.road.losses
    assert losses is not None
    return {
        "moved": ((after - before).norm(dim=1) / pair.road.length).tolist(),
        "nearest_position": where.position.tolist(),
        "well": pair.road.well,
        "well_over_lower_end": pair.road.well / float(losses[[0, -1]].min()),
        "well_position": float(pair.road.marks[losses.argmin()]),
    }


def settled(pair: Pair) -> tuple[Tensor, Tensor]:
    """Return the ends before and after full-batch descent, (2, D) each.

    Layers whose scale changes no output have the norms again that they had: else decay alone would move the ends.
    """
    assert pair.run is not None
    assert pair.descent is not None
    before, after = (run.theta.to(pair.land.device) for run in (pair.run, pair.descent))
    after = after.clone()
    for layer in pair.land.scale_free(torch.cat([before, after])).values():
        after[:, layer] *= (before[:, layer].norm(dim=1) / after[:, layer].norm(dim=1))[:, None]
    return before, after


def _walk(setting: Setting, release: Release, profile: Profile, recipe: Recipe) -> dict[str, Any]:
    step = recipe.step(setting)
    step_and_k = step | {"project_every": setting.project_every}
    laws = {"predicted_end": predict(profile, **step_and_k)}
    if release.excess_loss is not None and setting.batch_size is not None:
        laws["predicted_end_by_excess_loss"] = predict(profile, **step_and_k, excess_loss=release)
    return {
        "name": setting.name,
        **step,
        "temperature": release.temperature,
        "project_every": setting.project_every,
        "walkers_per_start": setting.walkers,
        "undo_excursions": setting.undo_excursions,
        "of_the_road": setting.of_the_road,
        "starts": release.starts.tolist(),
        "step": release.step.tolist(),
        "mean_position": release.mean_position.T.tolist(),
        "position_error": release.position_error.T.tolist(),
        "end": release.mean_position[-1].tolist(),
        "end_error": release.position_error[-1].tolist(),
        **{
            name: [float(law.track(float(start), release.step)[-1]) for start in release.starts]
            for name, law in laws.items()
        },
        "relaxation_steps": [t if math.isfinite(t) else None for t in release.relaxation_steps().steps.tolist()],
        **_sharpness(release),
        "left_valley": int(release.left_valley.sum()),
        "share_outside": float(release.outside.mean()),
        "median_distance": float(release.distance[1:].median()),
        "median_objective": float(release.loss[1:].median()),
        "mean_objective": float(release.loss[1:].mean()),
    }


def _sharpness(release: Release) -> dict[str, Any]:
    """Batch sharpness at the ends of the road and in its middle, beside its limit; None without batches."""
    found = {"sharpness": release.sharpness, "sharpness_error": release.sharpness_error}
    values: dict[str, Any] = {name: None if each is None else each.tolist() for name, each in found.items()}
    return values | {"sharpness_limit": None if release.sharpness is None else release.sharpness_limit}


def collapse(pair: Pair, recipe: Recipe) -> dict[str, Any]:
    """Compare the relaxation at one temperature between pairs (B, η), and with another temperature.

    At seven equal times η/(1-m)·step, the way gone towards the own end, averaged over both starts; the disagreement of
    two curves is the root mean square of their differences in units of their combined standard errors.
    """
    noisy = [s.name for s in recipe.settings if s.batch_size and not s.undo_excursions and not s.of_the_road]
    heat = {name: pair.releases[name].temperature for name in noisy}
    same = [name for name in noisy if math.isclose(heat[name], max(heat.values()), rel_tol=1e-6)]
    curves = {name: _at_equal_times(pair.releases[name]) for name in noisy}

    def compared(names: Iterable[tuple[str, str]]) -> dict[str, float]:
        return {f"{a} / {b}": disagreement(curves[a], curves[b]) for a, b in names}

    others = [(same[0], name) for name in noisy if name not in same]
    return {"same_temperature": compared(combinations(same, 2)), "other_temperature": compared(others)}


def way(release: Release) -> tuple[Tensor, Tensor]:
    """Return at each record the way gone towards the own end, averaged over the starts, and its standard error."""
    home = (release.starts > 0.5).to(release.position)
    gone = ((release.mean_position - release.starts) * torch.sign(home - release.starts)).mean(1)
    return gone, release.position_error.square().sum(1).sqrt() / len(release.starts)


def by_noise(pair: Pair, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Return for each noisy setting the way home that noise made, measured and predicted, at a third, two, and all.

    Both are less what the control without noise has gone, or is predicted to go, by the same flow time. Beside it the
    share of the way home that walkers have gone in the end, and that of the control by then.
    """
    assert pair.profile is not None
    control = recipe.control
    still = pair.releases[control.name]
    found = {}
    for setting in (s for s in recipe.settings if s.batch_size is not None):
        release = pair.releases[setting.name]
        rows = [round(k * (len(release.step) - 1) / 3) for k in (1, 2, 3)]
        gone, error = way(release)
        here, there = predicted_way(pair, recipe, setting), predicted_way(pair, recipe, control)
        calm = interpolated(release.time, still.time, way(still)[0])
        measured, far = gone - calm, float((release.starts - (release.starts > 0.5).to(release.starts)).abs().mean())
        expected = here - interpolated(release.time, still.time, there)
        found[setting.name] = {
            "step": release.step[rows].tolist(),
            "measured": measured[rows].tolist(),
            "error": error[rows].tolist(),
            "predicted": expected[rows].tolist(),
            "ratio": (measured / expected)[rows].tolist(),
            "home": float(gone[-1]) / far,
            "home_error": float(error[-1]) / far,
            "home_without_noise": float(calm[-1]) / far,
        }
    return found


def predicted_way(pair: Pair, recipe: Recipe, setting: Setting) -> Tensor:
    """Return the way home that linear theory predicts at each record of a release, averaged over the starts."""
    assert pair.profile is not None
    release = pair.releases[setting.name]
    law = predict(pair.profile, **recipe.step(setting), project_every=setting.project_every)
    tracks = [(law.track(float(start), release.step) - start) * (1 if start > 0.5 else -1) for start in release.starts]
    return torch.stack(tracks).mean(0)


def interpolated(at: Tensor, grid: Tensor, values: Tensor) -> Tensor:
    """Return values (n,) on a grid (n,) at other places, the last of them beyond it."""
    return torch.as_tensor(np.interp(at.double().numpy(), grid.double().numpy(), values.double().numpy()))


def _at_equal_times(release: Release) -> tuple[Tensor, Tensor]:
    """Return the way and its error at seven equal times, (7,) each."""
    at = torch.linspace(0.2, 1, 7, dtype=torch.float64) * float(release.step[-1])
    rows = [int((release.step - t).abs().argmin()) for t in at]
    gone, error = way(release)
    return gone[rows], error[rows]


def disagreement(one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor]) -> float:
    """Return the root mean square of the differences of two curves, in units of their combined standard errors."""
    error = (one[1] ** 2 + two[1] ** 2).sqrt().clamp(min=1e-6)
    return float((((one[0] - two[0]) / error) ** 2).mean().sqrt())


def claims(figures: dict[str, Any], kind: str) -> dict[str, bool]:
    """Return for each claim of a kind of story whether the figures of a pair of minima show it."""
    bump = figures["profile"]["middle_over_ends"]
    widths = {"trace": bump["trace"], "lambda_max": bump["top_eigenvalue"]}
    narrow = {f"{name} in the middle third >= 1.8 x ends": times >= 1.8 for name, times in widths.items()}
    walks = {walk["name"]: walk for walk in figures["releases"]}
    return _CLAIMS[kind](figures, walks, narrow)


def _in_the_valley(
    figures: dict[str, Any], walks: dict[str, dict[str, Any]], narrow: dict[str, bool]
) -> dict[str, bool]:
    """Judge walkers that stay in the valley, where linear theory holds."""
    minima, road, made = figures["minima"], figures["road"], figures["by_noise"]
    still, ratios = walks["no noise"], [made[name]["ratio"] for name in ("warm", "cold")]
    until = made["cold"]["step"][-1]  # at one learning rate
    moved, most = max(figures["ends"]["moved"]), figures["ends"]["at_most"]
    rest = {f"full-batch descent moves ends by <= {100 * most:.0f} % of the road": moved <= most} if most else {}
    further = np.interp(until, made["hot"]["step"], made["hot"]["measured"]) - made["cold"]["measured"][-1]
    unsure = math.hypot(np.interp(until, made["hot"]["step"], made["hot"]["error"]), made["cold"]["error"][-1])
    return {
        "linear barrier >= 0.3": minima["linear_barrier"] >= 0.3,
        "highest loss on the road <= 1.1 x higher end": road["highest_data_loss_over_higher_end"] <= 1.1,
        **rest,
        **narrow,
        "adaptive trace in the middle third >= 1.5 x ends": (
            figures["profile"]["middle_over_ends"]["adaptive_trace"] >= 1.5
        ),
        "noisy walkers are nearer to their ends than those without noise (> 2 errors)": all(
            _nearer(walks[name], still) for name in ("hot", "warm", "cold")
        ),
        "at one learning rate, the smaller batch goes further (> 2 errors)": bool(further > 2 * unsure),
        "without noise they move < 0.05 towards it, or the other way": _moved(still) < 0.05,
        "walkers are in the valley at >= 95 % of projections": (
            max(walk["share_outside"] for walk in walks.values()) <= 0.05
        ),
        "what noise moved is within 1.5 of linear theory (stable settings)": all(
            1 / 1.5 <= ratio <= 1.5 for each in ratios for ratio in each
        ),
    }


def _on_large_images(
    figures: dict[str, Any], walks: dict[str, dict[str, Any]], narrow: dict[str, bool]
) -> dict[str, bool]:
    """Judge walkers on hard labels, which are at one time η·steps wherever they are compared."""
    minima, road, hot = figures["minima"], figures["road"], walks["hot"]
    low, higher = road["highest_data_loss"] <= 0.05, road["highest_data_loss_over_higher_end"]
    return {
        "training accuracy >= 0.99": min(minima["accuracy"]) >= 0.99,
        "linear barrier >= 1": minima["linear_barrier"] >= 1,
        "highest loss on the road <= 3 x higher end, and <= 0.05": low and higher <= 3,
        **narrow,
        "noisy walkers are nearer to their ends than those without noise (> 2 errors)": (
            _nearer(hot, walks["no noise"])
        ),
        "noisy walkers are nearer to their ends than colder ones (> 2 errors)": _nearer(hot, walks["cold"]),
        **_inside(hot),
    }


def _past_the_threshold(
    figures: dict[str, Any], walks: dict[str, dict[str, Any]], narrow: dict[str, bool]
) -> dict[str, bool]:
    """Judge walkers whose noise feeds itself."""
    hot, still, undone, road_noise = (
        walks[name] for name in ("hot", "no noise", "hot, excursions undone", "hot, noise of the road")
    )
    ends = zip(road_noise["end"], road_noise["predicted_end"], strict=True)
    same, other = (figures["collapse"][f"{which}_temperature"].values() for which in ("same", "other"))
    return {
        "linear barrier >= 0.3": figures["minima"]["linear_barrier"] >= 0.3,
        "highest loss on the road <= 1.6 x higher end": figures["road"]["highest_data_loss_over_higher_end"] <= 1.6,
        **narrow,
        "noisy walkers end within 0.1 of their end, on average": _from_home(hot) <= 0.1,
        "with excursions and their momentum undone they stay further away (> 2 errors)": _nearer(hot, undone),
        "with the noise of the road they end within 0.03 of linear theory": max(abs(a - b) for a, b in ends) <= 0.03,
        "without noise they move < 0.05 towards it, or the other way": _moved(still) < 0.05,
        **_inside(hot),
        "equal temperature, equal relaxation (within 2 errors)": max(same) <= 2,
        "four times colder, another relaxation (> 2 errors)": min(other) > 2,
    }


_CLAIMS = {"valley": _in_the_valley, "cifar10": _on_large_images, "runaway": _past_the_threshold}


def _inside(hot: dict[str, Any]) -> dict[str, bool]:
    return {"noisy walkers are in the valley at >= 95 % of projections": hot["share_outside"] <= 0.05}


def _nearer(one: dict[str, Any], two: dict[str, Any]) -> bool:
    """Whether walkers are nearer to their ends than others by more than two standard errors, over both starts."""
    error = math.hypot(*one["end_error"], *two["end_error"]) / len(one["end_error"])
    return _from_home(two) - _from_home(one) > 2 * error


def _moved(walk: dict[str, Any]) -> float:
    """How far walkers moved towards their own end, at the start where that is most."""
    drifts = zip(walk["starts"], walk["end"], strict=True)
    return max((end - start) * (1 if start > 0.5 else -1) for start, end in drifts)


def _from_home(walk: dict[str, Any]) -> float:
    """Mean distance of the walkers from their own ends, over both starts."""
    away = [abs(end - float(start > 0.5)) for start, end in zip(walk["starts"], walk["end"], strict=True)]
    return sum(away) / len(away)


def table(figures: dict[str, Any]) -> str:
    """Return the story as lines of text for the terminal."""
    lines: list[str] = []
    for row in figures["pairs"]:
        lines += _told(row) if "claims" in row else [f"Pair {row['seed']}: incomplete."]
    total = figures["pairs_complete"]
    lines += [f"{count} of {total}: {name}" for name, count in figures["counts"].items()]
    if not figures["complete"]:
        lines.append("Incomplete: go on with --resume.")
    return "\n".join(lines)


def _told(row: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one pair."""
    profile, road, minima = row["profile"]["middle_over_ends"], row["road"], row["minima"]
    yield (f"Pair {row['seed']}: train accuracy {min(minima['accuracy']):.3f}, test {min(minima['test_accuracy']):.3f}")
    yield (
        f"  straight line: barrier {minima['linear_barrier']:.2f}; road: highest data loss "
        f"{road['highest_data_loss_over_higher_end']:.2f} x the higher end, {road['length_over_straight']:.2f} x as "
        "long"
    )
    if rest := row.get("ends"):
        moved = " and ".join(f"{100 * share:.1f}" for share in rest["moved"])
        yield (
            f"  ends: full-batch descent, as long as that of the walkers without noise, moves them by {moved} % of the "
            f"road; lowest objective on it {100 * rest['well_over_lower_end']:.2g} % below the lower end, at "
            f"{rest['well_position']:.2f}"
        )
    built = row.get("road_as_built", {}).get("middle_over_ends")
    yield (
        f"  middle third over ends: trace {profile['trace']:.2f}, lambda_max {profile['top_eigenvalue']:.2f}, "
        f"adaptive trace {profile['adaptive_trace']:.2f}, objective {profile['loss']:.2f}"
    ) + (f" (as built, at {built['norm']:.2f} of the norm: trace {built['trace']:.2f})" if built else "")
    for walk in row["releases"]:
        yield _walked(walk)
    every = {walk["name"]: walk["project_every"] for walk in row["releases"]}
    for name, made in row["by_noise"].items():
        ratios = ", ".join(f"{ratio:.2f}" for ratio in made["ratio"])
        yield (
            f"  {name} (k {every[name]}): {100 * made['home']:.1f} ± {100 * made['home_error']:.1f} % of the way home, "
            f"{100 * made['home_without_noise']:.1f} % without noise in equal time; what noise moved, measured over "
            f"predicted, at steps {', '.join(map(str, made['step']))}: {ratios}"
        )


def _walked(walk: dict[str, Any]) -> str:
    """Return the line of one release."""
    moves = zip(walk["starts"], walk["end"], walk["end_error"], strict=True)
    ends = ", ".join(f"{start:.1f} -> {end:.3f} ± {error:.3f}" for start, end, error in moves)
    size = "all" if walk["batch_size"] is None else walk["batch_size"]
    undone = ", excursions undone" if walk["undo_excursions"] else ""
    undone += ", noise of the road" if walk["of_the_road"] else ""
    by_excess, sharp = walk.get("predicted_end_by_excess_loss"), walk["sharpness"]
    said = "" if by_excess is None else f", by excess loss {by_excess[0]:.2f}, {by_excess[1]:.2f}"
    limit = f", limit {walk['sharpness_limit']:.3g}" if sharp else ""
    steep = f"; batch sharpness {sharp[0]:.2g}, {sharp[1]:.2g} and {sharp[2]:.2g} at 0, ½ and 1{limit}" if sharp else ""
    return (
        f"  B {size:>3}, η {walk['learning_rate']:.4g}, T {walk['temperature']:.4g}{undone}: {ends}; "
        f"linear theory {walk['predicted_end'][0]:.2f}, {walk['predicted_end'][1]:.2f}{said}; "
        f"{100 * walk['share_outside']:.1f} % of projections from outside the valley, {walk['left_valley']} of "
        f"{len(walk['starts']) * walk['walkers_per_start']} walkers left it{steep}"
    )

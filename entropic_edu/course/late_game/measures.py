"""What the recording says: barriers on three scales, two heights in one unit, and the mean of two networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.physics.spawn import Family
from entropic_edu.recorded import late_game
from entropic_edu.teaching.strings import option_text

NAME_KEYS = ("07.task_name.forty", "07.task_name.fifth", "07.task_name.clean", "07.task_name.decay",
             "07.task_name.squared")  # fmt: skip
TASKS = ("forty", "fifth", "clean", "decay", "squared")
SCALES = ("share", "ends", "raw")
STEPS = tuple(late_game.RECIPE["at"])
kept = partial(recorded.load, "late_game")
over_trunks = partial(Mean.over, dim=0)  # (T, ...) -> (...)
LEVELS = {"share": 0.1, "ends": 1.0}  # below which a barrier counts as fallen
BATCH, MOMENTUM = (late_game.RECIPE["train"][name] for name in ("batch_size", "momentum"))


def family(task: str) -> Family:
    """Return the recorded family of a task."""
    children: Family = kept()[f"{task}/family"]
    return children


def curves(task: str) -> dict[str, Tensor]:
    """Return data loss and tr H along the lines of a task, (T, K, P) each."""
    children = family(task)
    return {"loss": children.data_loss[:, :, 0].double(), "trace": children.trace[:, :, 0].double()}


def task_named(task: str) -> str:
    """Name a task in a sentence."""
    return option_text(task, *NAME_KEYS)


def chosen(values: Tensor, trunks: str) -> Mean:
    """Return the mean over all trunks, or the first trunk alone, with no error to tell: (T, ...) -> (...)."""
    return over_trunks(values) if trunks == "all" else exact(values[0])


# --- barriers --------------------------------------------------------------------------------------------------------


def barrier(task: str, quantity: str, scale: str, curve: Tensor | None = None) -> Tensor | None:
    """Return the barrier of "loss" or "trace" for each trunk and k on a scale, (T, K); None where it has none.

    Scales are "share" of its mean at k = 0, "ends", over the curve at the higher end, and "raw" or any other. A curve
    (T, K, P) of another family may be given.
    """
    children, recorded = family(task), curves(task)[quantity]
    curve = (recorded if curve is None else curve)[:, :, None]
    first, ends = children.barrier(recorded[:, :, None])[:, 0].mean(), curve[..., 0, [0, -1]].amax(-1)
    over = {"share": first, "ends": ends}.get(scale, torch.ones(()))
    return children.barrier(curve) / over if bool((over > 0).all()) else None


def fall(k: Tensor, values: Tensor, level: float) -> float:
    """Return the k (K,) from which on values (K,) stay below a level, on straight lines between them, or NaN."""
    above = (values >= level).nonzero()
    if len(above) == 0:
        return float(k[0])
    last = int(above[-1])
    if last == len(k) - 1:
        return math.nan
    share = (values[last] - level) / (values[last] - values[last + 1])
    return float(k[last] + share * (k[last + 1] - k[last]))


def jackknifed(values: Tensor, of: Callable[[Tensor], Any]) -> Mean:
    """Return what is read off the mean over trunks, (T, ...), and its error by leaving out one trunk at a time."""
    count = len(values)
    some = [values, *(torch.cat([values[:t], values[t + 1 :]]) for t in range(count))]
    found, *others = (torch.as_tensor(of(rows), dtype=torch.float64) for rows in some)
    spread = torch.stack(others)
    return Mean(found, ((count - 1) / count * (spread - spread.mean(0)).square().sum(0)).sqrt())


def share(curves: Tensor) -> Tensor:
    """Return the barrier of curves (T, K, P) as a share of that at the first k, mean over trunks first, (K,)."""
    height = (curves.amax(-1) - torch.maximum(curves[..., 0], curves[..., -1])).mean(0)
    return height / height[0]


def order(k: Tensor, loss: Tensor, trace: Tensor) -> Tensor:
    """Return how many steps later the curvature barrier has gone, and the standard error over trunks, (2,).

    Args:
        k: Steps of parting, (K,).
        loss: Barrier of each trunk, as a share of the mean at the first k, (T, K).
        trace: The same of tr H, (T, K).
    """

    def gone(height: Tensor) -> Tensor:
        above = (height >= LEVELS["share"]).nonzero()
        return k[min(int(above[-1]) + 1, len(k) - 1) if len(above) else 0].double()

    later = torch.stack([gone(second) - gone(first) for first, second in zip(loss, trace, strict=True)])
    return torch.stack([*Mean.over(later)])


@cache
def fallen(task: str, quantity: str, scale: str) -> Mean:
    """Return the k from which on a barrier stays below the level of its scale, with the jackknife's error, or NaN."""
    values, k = barrier(task, quantity, scale), family(task).at.double()
    assert values is not None
    return jackknifed(values, lambda some: fall(k, some.mean(0), LEVELS[scale]))


# --- heights in units of the loss ------------------------------------------------------------------------------------


def along(task: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return objective, tr H and tr C along all lines, (T, K, P) each."""
    loss, trace, noise = family(task).loss, family(task).trace, kept()[f"{task}/noise"]
    return loss[:, :, 0].double(), trace[:, :, 0].double(), noise[:, :, 0].double()


@cache
def heights(task: str) -> tuple[Tensor, Tensor]:
    """Return along each line heights of the objective and of entropy at η/B = 1, (T, K, P) each, in loss."""
    return climbs(*along(task))


def climbs(loss: Tensor, trace: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same of objective, tr H and tr C along lines, (..., P) each.

    Both begin at 0 and change from point to point by what a walker gains: the objective by dL, the entropic height by
    (T/2) d tr H, at the temperature T = η/(2B(1-m)) · tr C / tr H of noise that is shaped like the curvature, on the
    mean of two neighbouring points.
    """
    loss, trace, noise = loss.double(), trace.double(), noise.double()
    heat = noise / trace / (2 * (1 - MOMENTUM))
    steps = 0.5 * 0.5 * (heat[..., 1:] + heat[..., :-1]) * trace.diff(dim=-1)
    return loss - loss[..., :1], torch.nn.functional.pad(steps, (1, 0)).cumsum(-1)


def rise(height: Tensor) -> Tensor:
    """Return how far the middle lies above the mean of both ends, (..., P) -> (...)."""
    return height[..., height.shape[-1] // 2] - 0.5 * (height[..., 0] + height[..., -1])


def rates(task: str, rate_at: str) -> Tensor:
    """Return η for each k, (K,): that of the start, or "now", where the cosine schedule has it at step k."""
    k = family(task).at.double()
    cosine = 0.5 * (1 + (math.pi * k / family(task).steps).cos())
    share = {"start": torch.ones_like(k), "now": cosine}[rate_at]
    return share * late_game.RECIPE["settings"][task]["learning_rate"]


def rises(task: str, batch_size: int | None, rate_at: str) -> tuple[Tensor, Tensor]:
    """Return the rise of the objective and the entropic rise from the ends to the middle, (T, K) each, in loss."""
    loss, entropic = heights(task)
    return rise(loss), rise(entropic) * rates(task, rate_at) / (batch_size or math.inf)


def ratio(task: str, batch_size: int | None, rate_at: str) -> Mean:
    """Return entropic rise over rise of the objective, of means over trunks, (K,); NaN where that does not rise."""
    return over_loss(*rises(task, batch_size, rate_at))


def over_loss(loss: Tensor, entropic: Tensor) -> Mean:
    """Return the same of rises (T, K); the objective rises where it does so by more than three standard errors."""
    mean = over_trunks(loss)
    flat = mean.value <= 3 * mean.error
    both = torch.stack([loss, entropic], 1)  # (T, 2, K)
    found = jackknifed(both, lambda rows: rows[:, 1].sum(0) / rows[:, 0].sum(0))
    return Mean(*(part.masked_fill(flat, math.nan) for part in found))


def even_batch(loss: Tensor, trace: Tensor, noise: Tensor, learning_rate: float, momentum: float) -> Tensor:
    """Return the batch size at which the entropic rise from the first point to the last equals that of the loss, ()."""
    heat = learning_rate / (2 * (1 - momentum)) * noise / trace
    rise = (0.25 * (heat[1:] + heat[:-1]) * trace.diff()).sum()
    return rise / (loss[-1] - loss[0])


def halves(task: str, place: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return objective, tr H and tr C from the ends to the middle of a line, means over trunks and sides, (6,) each."""
    means = (curve[:, place].mean(0) for curve in along(task))
    return tuple((0.5 * (each + each.flip(0)))[: len(each) // 2 + 1] for each in means)  # type: ignore[return-value]


# --- the mean of two networks ----------------------------------------------------------------------------------------


def line(task: str, relation: str) -> tuple[Tensor, Tensor]:
    """Return data loss and test accuracy along the lines, (T, K, P) each; strangers have the same for each k."""
    children = family(task)
    if relation == "siblings":
        assert children.test_accuracy is not None
        return children.data_loss[:, :, 0].double(), children.test_accuracy[:, :, 0].double()
    loss, _, _, accuracy = kept()[f"{task}/strangers"].double()
    many = len(children.at)
    return loss[:, None].expand(-1, many, -1), accuracy[:, None].expand(-1, many, -1)


RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, error: float = 0.0) -> str:
    """Write a value with the digits that its error leaves, or with two; powers of ten only for what is tiny."""
    if value == error == 0:
        return "0"
    size = math.floor(math.log10(max(abs(value), error)))
    last = math.floor(math.log10(error)) if error > 0 else size - 1  # the digit that is written last
    tiny = size < -3
    unit, digits = (10.0**size, size - last) if tiny else (1.0, max(0, -last))
    shown = " ± ".join(f"{each / unit:,.{digits}f}" for each in (value, error)[: 1 + (error > 0)])
    power = f" · 10{str(size).translate(RAISED)}" if tiny else ""
    return f"({shown}){power}" if tiny and error > 0 else shown + power


def with_error(mean: Mean, place: int | None = None) -> str:
    """Write a single mean, or that at a place, with its error."""
    return number(*(float(part if place is None else part[place]) for part in mean))


def opening(task: str, parted: int | None = None) -> str:
    """Return the lines of code that read a recorded family, with the call that makes it anew, and find a k in it."""
    place = "" if parted is None else f"place = family.at.tolist().index({parted})"
    return f"""
from entropic_edu.recorded import late_game, load
kept = load("late_game")
family = kept["{task}/family"]
# anew, in a minute: ee.spawn(late_game.landscape(kept.recipe, task), at=kept.recipe["at"], trunks=8,
#     points=11, generator=torch.Generator().manual_seed(0), **late_game.settings(kept.recipe, task)), with
#     task = "{task}"
{place}
""".strip()

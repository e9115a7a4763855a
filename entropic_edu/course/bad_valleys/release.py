"""Round 3: walkers let go on the road from a good minimum to a bad one, recorded, and live on the road of pair 0."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.path import Path
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import bad_minima
from entropic_edu.recorded._common import whole
from entropic_edu.recorded.bad_minima import matched
from entropic_edu.stream import drift

from .common import kept, land, over

NOISES = ("labels", "batch", "none", "decay")
SAID = {"labels": "label", "batch": "minibatch"}  # what ``drift`` calls them
ROADS = ("found", "matched")
STARTS = (0.1, 0.5, 0.95)
BATCHES = (1, 4, 16)
EVEN = torch.linspace(0, 1, 101, dtype=torch.float64)
LIVE_WALKERS, LIVE_STEPS = 16, 990


@cache
def road(which: str) -> Path:
    """Return the road of pair 0, as found or with both ends of one norm."""
    between: Path = whole(kept("road"))
    return matched(land("mse"), between) if which == "matched" else between


def kind_of(noise: str, batch_size: int) -> str:
    """Return the name of a release in the recording."""
    return {"labels": f"label{batch_size}", "batch": f"batch{batch_size}"}.get(noise, noise)


def walkers_from(start: float, walkers: int) -> slice:
    """Return the columns of the walkers that one start was given, of all that three starts have."""
    each = walkers // len(STARTS)
    first = each * STARTS.index(start)
    return slice(first, first + each)


def stayed(which: str, kind: str, start: float) -> Tensor:
    """Return which walkers of one start stayed in the valley, (pairs, W / 3): as ``Release.left_valley`` counts."""
    share = kept(f"{which}/{kind}/outside")
    return share[:, walkers_from(start, share.shape[-1])] <= 0.05


def averaged(values: Tensor, which: str, kind: str, start: float, shown: str) -> Mean:
    """Return the mean over the walkers of one start that stayed, (records,).

    Args:
        values: Of all walkers, (pairs, records, W).
        which: "found" or "matched".
        kind: Name of the release.
        start: Position of release.
        shown: "three": the error is that over pairs; "one": over the walkers of pair 0.
    """
    mine = values.double()[..., walkers_from(start, values.shape[-1])]
    each = [rows[:, here] for rows, here in zip(mine, stayed(which, kind, start), strict=True)]
    return over(torch.stack([rows.mean(-1) for rows in each])) if shown == "three" else over(each[0].T)


def tracks(which: str, kind: str, start: float, shown: str, quantity: str = "position") -> Mean:
    """Return position or own test accuracy of the walkers at each record, (records,)."""
    return averaged(kept(f"{which}/{kind}/{quantity}"), which, kind, start, shown)


def accuracy_at(which: str, kind: str, start: float, shown: str) -> Mean:
    """Return the test accuracy of the road where the walkers are nearest to it, (records,)."""
    places = zip(kept(f"{which}/fine"), kept(f"{which}/{kind}/position"), strict=True)
    return averaged(torch.stack([at(curve, some) for curve, some in places]), which, kind, start, shown)


def at(curve: Tensor, position: Tensor) -> Tensor:
    """Return a curve that is given at even positions, on straight lines between them."""
    place = position.double().clamp(0, 1) * (len(curve) - 1)
    left = place.floor().clamp(max=len(curve) - 2).long()
    curve = curve.double()
    return torch.lerp(curve[left], curve[left + 1], place - left)


def law(which: str, kind: str, start: float, shown: str) -> Tensor | None:
    """Return where the law of label noise says the walkers are on average, (records,); None for other noise."""
    if not kind.startswith("label"):
        return None
    predicted = kept(f"{which}/{kind}/predicted").double()[..., STARTS.index(start)]
    return predicted.mean(0) if shown == "three" else predicted[0]


def cooled(which: str, kind: str, start: float, shown: str) -> Mean | None:
    """Return the test accuracy of the walkers after 200 steps without noise, (); None where it was not measured."""
    name = f"{which}/{kind}/cooled"
    if name not in recorded.load("bad_minima"):
        return None
    mean = averaged(kept(name)[:, None], which, kind, start, shown)
    return Mean(mean.value[0], mean.error[0])


def left(which: str, kind: str, start: float, shown: str) -> int:
    """Return how many walkers left the valley; the means do without them."""
    gone = ~stayed(which, kind, start)
    return int((gone if shown == "three" else gone[0]).sum())


def profile(which: str, shown: str) -> Mean:
    """Return tr H along the roads of release, (25,)."""
    traces = kept(f"{which}/profile")[:, 0].double()
    return over(traces if shown == "three" else traces[:1])


def accuracy_along(which: str, shown: str) -> Mean:
    """Return the test accuracy along the roads of release, at ``EVEN``."""
    fine = kept(f"{which}/fine").double()
    return over(fine if shown == "three" else fine[:1])


def live(which: str, noise: str, batch_size: int, start: float) -> Iterator[Snapshot[Release]]:
    """Yield a release of 16 walkers on the road of pair 0 as it goes on."""
    recipe = recorded.load("bad_minima").recipe
    field = land(
        "mse",
        label_noise=recipe["label_noise"] if noise == "labels" else 0.0,
        weight_decay=recipe["weight_decay"] if noise == "decay" else 0.0,
    )
    kind = SAID.get(noise, "none")
    chosen = bad_minima.settings(kind, batch_size) | {
        "start": start,
        "walkers": 1 if kind == "none" else LIVE_WALKERS,
        "steps": LIVE_STEPS,
        "record_every": 45,
    }
    yield from drift(field, road(which), **chosen)

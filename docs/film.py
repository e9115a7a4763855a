"""Make docs/film.gif: walkers of a recorded release on one road, with noise beside none.

python docs/film.py            # writes docs/film.gif
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from entropic_edu.course.let_go.common import K, run_of
from entropic_edu.figures.plots import BLACK, BLUE, RED, labelled

FILE = Path(__file__).with_suffix(".gif")
FRAMES, REST, PAUSE = 48, 70, 1800  # frames, and milliseconds of each and of the last
DPI, COLOURS = 96, 48
TALL = 2.6  # distance from the road past which a walker has left it


def film(
    step: Tensor,
    every: int,
    crowds: Sequence[tuple[str, Tensor]],
    where: Tensor,
    curves: Sequence[tuple[str, Tensor, str]],
) -> bytes:
    """Return an animated GIF: crowds side by side that slide along the curvature of one road.

    Args:
        step: Steps at the frames, (R,).
        every: k free steps between projections.
        crowds: Name and positions in [0, 1] at these steps, (R, W), of each; NaN is a walker that has left the road.
        where: Positions at which the road was measured, (n,).
        curves: Name, values (n,) and colour of loss and curvature.
    """
    figure = Figure(figsize=(7.2, 3.3), dpi=DPI)
    (_, loss, pale), (_, bend, dark) = curves
    top = 1.25 * float(bend.max())
    drawn = []
    for place, (name, position) in enumerate(crowds):
        ax = figure.add_axes((0.075 + 0.475 * place, 0.17, 0.435, 0.66))
        labelled(ax, "position on the road", "", name).set(xlim=(-0.02, 1.02), ylim=(-0.12 * top, top))
        ax.plot(where, bend, color=dark, lw=2.5)
        ax.plot(where, loss, color=pale, lw=2, ls="--")
        if place == 0:
            ax.text(0.5, float(bend.max()) + 0.08 * top, curves[1][0], color="#A84A00", ha="center", fontsize=11)
            ax.text(0.5, float(loss.max()) + 0.04 * top, curves[0][0], color=BLACK, ha="center", fontsize=11)
        lift = 0.025 * top * _spread(position.shape[1])
        drawn.append((ax.scatter([], [], s=44, c=BLUE, edgecolors="white", lw=0.6, zorder=3), position, lift))
    title = figure.text(0.5, 0.93, "", ha="center", fontsize=12)
    frames = []
    for row in range(len(step)):
        title.set_text(
            f"One road between two networks, step {int(step[row]):,} (back to the road every k = {every} steps)"
        )
        for dots, position, lift in drawn:
            dots.set_offsets(torch.stack([position[row], _height(where, bend, position[row]) + lift], 1).numpy())
        figure.savefig(file := io.BytesIO(), format="png", dpi=DPI)
        frames.append(Image.open(file).convert("RGB"))
    palette = frames[len(frames) // 2].quantize(COLOURS, dither=Image.Dither.NONE)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    times = [REST] * len(rest) + [PAUSE]
    first.save(file := io.BytesIO(), "gif", save_all=True, append_images=rest, duration=times, loop=0, optimize=True)
    return file.getvalue()


def _spread(count: int) -> Tensor:
    """Return as many numbers from -1 to 1, in an order without meaning, by which dots are told apart; 0 for one."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return torch.linspace(-1, 1, count)[order] if count > 1 else torch.zeros(1)


def _height(where: Tensor, values: Tensor, at: Tensor) -> Tensor:
    """Return values at positions, on straight lines between the points of the road."""
    right = torch.searchsorted(where, at.contiguous().nan_to_num()).clamp(1, len(where) - 1)
    share = (at - where[right - 1]) / (where[right] - where[right - 1])
    return torch.lerp(values[right - 1], values[right], share)


def at_steps(step: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """Return recorded values (R, W) at other steps, on straight lines in time, (F, W)."""
    right = torch.searchsorted(step, wanted).clamp(1, len(step) - 1)
    share = ((wanted - step[right - 1]) / (step[right] - step[right - 1])).clamp(0, 1)
    return torch.lerp(values[right - 1], values[right], share[:, None])


def recorded(pair: int, batch_size: int, learning_rate: float) -> bytes:
    """Return the film of the recording ``let_go``: a pair of minima, and walkers let go all along their road."""
    steps, crowds = None, []
    road = run_of(None, learning_rate, road_pair=pair + 1).road
    for name, size in ((f"with noise: B = {batch_size}", batch_size), ("no noise: all data", None)):
        run = run_of(size, learning_rate)
        step = run.step[:-1]  # the last record is not at a projection
        position, away = (road.rows(f"{run.name}/{key}")[0, :-1] for key in ("position", "distance"))
        position = position.masked_fill(away > TALL, math.nan).flatten(1)
        steps = torch.linspace(0, float(step[-1]), FRAMES, dtype=torch.float64) if steps is None else steps
        crowds.append((name, at_steps(step, position, steps)))
    assert steps is not None
    curves = [(label, road.along(field), colour) for label, field, colour in
              (("loss: flat", "loss", BLACK), ("curvature (trace): a bump", "trace", RED))]  # fmt: skip
    return film(steps, K, crowds, road.position, curves)


if __name__ == "__main__":
    FILE.write_bytes(recorded(0, 16, 0.02))
    print(f"{FILE.name}: {FILE.stat().st_size / 1e6:.2f} MB")

"""What the explorers share: controls, settings in a sentence, and theory on the cells of the floor."""

from __future__ import annotations

import torch
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd
from entropic_edu.recorded._diffusion import occupation
from entropic_edu.teaching.strings import option_text, text

WAIST = {"width": 0.28, "noise_scale": 3.0, "end_curvature": 20.0}  # h is 16 in the middle and 1.03 at the ends
BATCHES = (1, 4, 16, 64, 256, None)
RATES = (0.005, 0.01, 0.02, 0.04)
CELLS = torch.linspace(-1.5, 1.5, 181, dtype=torch.float64)  # 60 cells for each length: thirds are whole numbers
CENTRES = 0.5 * (CELLS[1:] + CELLS[:-1])
BINS = torch.linspace(-0.7, 0.7, 10, dtype=torch.float64)  # nearer to an end its wall takes part


def data_of(batch_size: int | None) -> str:
    """Name a batch size in a sentence."""
    return text("say.all_data") if batch_size is None else text("say.batches", batch_size=batch_size)


def noise_of(batch_size: int | None, noise: str) -> str:
    """Name the noise in a sentence; the gradient of all data has none."""
    return option_text("off" if batch_size is None else noise, "say.noise.on", "say.noise.off", "say.noise.late")


def expected(crowd: Crowd, steps: Tensor, *, batch_size: int | None, noise: str, learning_rate: float) -> Tensor:
    """Return what theory expects: the share of walkers in each of ``CELLS`` at each of ``steps``, (R, 180)."""
    begin = torch.zeros_like(CENTRES)
    if crowd.start is None:
        begin[CENTRES.abs() <= 1] = 1
    else:
        begin[CENTRES.abs() < 0.01] = 1  # the two cells at y = 0
    begin = begin / begin.sum()
    quiet = len(steps) if noise == "off" or batch_size is None else int((steps <= crowd.steps // 2).sum())
    quiet = 1 if noise == "on" and batch_size is not None else quiet
    rows = begin.expand(quiet, -1)
    if quiet == len(steps) or batch_size is None:
        return rows
    moved = occupation(
        crowd.land, CELLS, start=begin, steps=steps[quiet - 1 :], batch_size=batch_size, learning_rate=learning_rate
    )
    return torch.cat([rows[:-1], moved])


def pushed(crowd: Crowd, y: Tensor, *, batch_size: int | None, noise: str, learning_rate: float) -> Tensor:
    """Return the drift that theory expects, length per 1,000 steps, the mean over the whole run's noise."""
    share = {"on": 1.0, "late": 0.5, "off": 0.0}[noise] if batch_size is not None else 0.0
    return 1000 * learning_rate * share * floor.force(crowd.land, y, batch_size or 1, learning_rate)

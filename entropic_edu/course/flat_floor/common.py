"""The floor of the lesson, and the cells on which theory counts walkers."""

from __future__ import annotations

import torch

WAIST = {"width": 0.28, "noise_scale": 3.0, "end_curvature": 20.0}  # h is 16 in the middle and 1.03 at the ends
CELLS = torch.linspace(-1.5, 1.5, 181, dtype=torch.float64)  # 60 cells for each length: thirds are whole numbers
CENTRES = 0.5 * (CELLS[1:] + CELLS[:-1])
BINS = torch.linspace(-0.7, 0.7, 10, dtype=torch.float64)  # nearer to an end its wall takes part

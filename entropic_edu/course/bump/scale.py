"""Round 3: the same functions with the weights of normalised layers scaled; what changes and what does not."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course.floor import RIGHT
from entropic_edu.figures.plots import BLUE, GREEN, PURPLE, RED
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text

from .common import COUNT, POINTS, along, bump, kept, land, over_pairs, positions, profile, ratio_of

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
ALPHAS = (0.5, 0.71, 1.0, 1.41, 2.0)
WHERE = ("middle", "ends", "everywhere")
BUILT, NOW = Role(GREY, "--", label="05.label.built"), Role(RED, label="05.label.after")
PANELS = {
    "trace": Panel((0.085, 0.125, 0.36, 0.8), "05.panel.trace_rescaled", "05.axis.position",
                   ylim=(10, 3000), yscale="log", yticks=(10, 100, 1000)),
    "norm": Panel((0.655, RIGHT[0], 0.195, 0.185), "05.panel.norm", ylim=(0, 2.2)),
    "adaptive": Panel((0.655, RIGHT[1], 0.195, 0.185), "05.panel.adaptive", ylim=(0, 6)),
    "loss": Panel((0.655, RIGHT[2], 0.195, 0.185), "05.panel.data_loss_rescaled", "05.axis.position", ylim=(0, 0.8)),
}  # fmt: skip


@cache
def matched_norms() -> Tensor:
    """Return ‖w‖ of the normalised layers along the roads of matched norms, (pairs, n, layers)."""
    norms = [profile(pair).norms for pair in range(COUNT)]
    return torch.stack([each for each in norms if each is not None]).double()


def norms(matched: float, alpha: float, where_scaled: str) -> Tensor:
    """Return ‖w‖ of the normalised layers, (pairs, n, layers): as built at 0, matched at 1; then α times as large."""
    across = torch.sin(torch.pi * positions(POINTS)).square()[:, None]
    power = {"everywhere": torch.ones_like(across), "middle": across, "ends": 1 - across}[where_scaled]
    return kept("norm_built") ** (1 - matched) * matched_norms() ** matched * alpha**power


def trace(norm: Tensor) -> Tensor:
    """Return the trace along all roads, (pairs, n), where normalised layers have these norms.

    The functions are those of the recorded roads. A layer's part of the trace goes as 1/‖w‖²; all others stay.
    """
    parts = kept("blocks") * along("trace")[..., None]
    return (parts[..., :-1] * (matched_norms() / norm).square()).sum(-1) + parts[..., -1]


def objective(norm: Tensor) -> Tensor:
    """Return the objective along all roads, (pairs, n): the data loss stays, the weight-decay term does not."""
    return along("objective") + 0.5 * land().weight_decay * (norm.square() - matched_norms().square()).sum(-1)


def middle_norm(norm: Tensor) -> Tensor:
    """Return ‖w‖ in the middle of the road over its mean at the ends, mean over the layers, (pairs,)."""
    return (norm[:, POINTS // 2] / norm[:, [0, -1]].mean(1)).mean(-1)


def state_of(norms_matched: float, layer_factor: float, where_scaled: str) -> dict[str, Any]:
    """Return norms, trace and objective along all roads, (pairs, n, ...), and what the sentence says of them."""
    norm = norms(norms_matched, layer_factor, where_scaled)
    traces, objectives = trace(norm), objective(norm)
    known = {"norms": norm, "traces": traces, "objectives": objectives, "unmatched": 1 - norms_matched}
    return known | {
        "where": option_text(where_scaled, "05.where.everywhere", "05.where.middle", "05.where.ends"),
        "alpha": layer_factor,
        "turned": 1.0 if where_scaled == "ends" else layer_factor,  # in the middle
        "share": 100 * norms_matched,
        "norm": middle_norm(norm).mean(),
        "middle": traces[:, POINTS // 2].mean(),
        "ratio": ratio_of(bump(traces)),
        "adaptive": ratio_of(bump(along("adaptive"))),
        "objective": ratio_of(bump(objectives)),
    }


def draw(sheet: Sheet, view: Any) -> None:
    """Draw the trace as built and rescaled; beside it the norm, the adaptive trace, and loss and objective."""
    share = view.norms[..., 0] / matched_norms()[:, [0, -1], 0].mean(1, keepdim=True)
    for name, each, role in (
        ("trace", trace(kept("norm_built")), BUILT),
        ("trace", view.traces, NOW),
        ("norm", share, Role(PURPLE, "--")),
        ("adaptive", along("adaptive"), Role(GREEN, "-.", label="05.label.same")),
        ("loss", along("data_loss"), Role(BLUE, "--", label="05.label.same_loss")),
        ("loss", view.objectives, Role(RED, label="05.label.objective_end")),
    ):
        sheet[name].line(positions(POINTS), over_pairs(each), role)


CODE = """
from entropic_edu.recorded import valley
land, built, road = valley.landscape(), valley.road(0, matched=False), valley.road(0)
theta = road.at(0.5)
for layer in road.scale_free(land).values():
    raw = built.pivots[len(built.pivots) // 2, layer].norm()  # near the middle
    theta[layer] *= {turned} * (raw / theta[layer].norm()) ** {unmatched:g}
generator = torch.Generator().manual_seed(0)
trace = ee.curvature.hutchinson_trace(land, theta, num_probes=32, generator=generator, weight_decay=False)
print(land.data_loss(theta), trace.value, trace.error)  # pair 1, in the middle
"""


def scale(seed: int) -> Explorer:
    """The same functions with layers rescaled: what changes and what does not."""
    controls = [slider("norms_matched", SHARES, 0.0), slider("layer_factor", ALPHAS, 1.0)]
    controls.append(switch("where_scaled", WHERE))
    return Explorer(draw, controls, PANELS, "05.scale.sentence", state=state_of, title="05.scale.title", code=CODE)

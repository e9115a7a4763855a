"""Round 3: the same functions with the weights of normalised layers scaled; what changes and what does not."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.figures.plots import BLUE, GREEN, PURPLE, RED, labelled
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band
from entropic_edu.teaching.strings import option_text, text

from .common import COUNT, along, bump, kept, land, over_pairs, positions, profile, with_error
from .road import POINTS

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
ALPHAS = (0.5, 0.71, 1.0, 1.41, 2.0)
WHERE = ("middle", "ends", "everywhere")


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


class Scale:
    """Trace along the road, as built and rescaled; beside it the norm, the adaptive trace, and loss and objective."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.where = positions(POINTS)
        self.ax = ax = self.figure.add_axes((0.085, 0.125, 0.36, 0.8))
        labelled(ax, text("05.axis.position"), "", text("05.panel.trace_rescaled")).title.set_fontsize(11)
        ax.set(xlim=(0, 1), yscale="log", ylim=(10, 3000))
        ax.set_yticks([10, 100, 1000], ["10", "100", "1000"])
        ax.minorticks_off()
        self.built = Band(ax, colour=GREY, dash="--")
        self.now = Band(ax, colour=RED)
        self.norm = Band(self._panel(floor.RIGHT[0], "05.panel.norm", (0, 2.2)), colour=PURPLE, dash="--")
        self.adaptive = Band(self._panel(floor.RIGHT[1], "05.panel.adaptive", (0, 6)), colour=GREEN, dash="-.")
        lower = self._panel(floor.RIGHT[2], "05.panel.data_loss_rescaled", (0, 0.8))
        lower.set_xlabel(text("05.axis.position"), fontsize=11)
        lower.tick_params(labelbottom=True)
        self.data_loss = Band(lower, colour=BLUE, dash="--")
        self.objective = Band(lower, colour=RED)

    def _panel(self, bottom: float, title: str, limits: tuple[float, float]) -> Axes:
        ax = self.figure.add_axes((0.655, bottom, 0.195, 0.185))
        labelled(ax, "", "", text(title)).title.set_fontsize(11)
        ax.set(xlim=(0, 1), ylim=limits)
        ax.tick_params(labelbottom=False)
        return ax

    def show(self, matched: float, alpha: float, where_scaled: str) -> None:
        """Draw means over the pairs with their errors."""
        norm = norms(matched, alpha, where_scaled)
        self.built.show(self.where, over_pairs(trace(kept("norm_built"))), text("05.label.built"))
        self.now.show(self.where, over_pairs(trace(norm)), text("05.label.after"))
        _apart(self.built, self.now)
        self.norm.show(self.where, over_pairs(norm[..., 0] / matched_norms()[:, [0, -1], 0].mean(1, keepdim=True)))
        self.adaptive.show(self.where, over_pairs(along("adaptive")), text("05.label.same"))
        self.data_loss.show(self.where, over_pairs(along("data_loss")), text("05.label.same_loss"))
        self.objective.show(self.where, over_pairs(objective(norm)), text("05.label.objective_end"))
        sheet.part(self.data_loss, self.objective, gap=0.28)


def _apart(one: Band, two: Band) -> None:
    """Part the labels of two lines on a logarithmic axis."""
    low, high = sorted((one.name, two.name), key=lambda name: float(name.get_position()[1]))
    (_, bottom), (_, top) = low.get_position(), high.get_position()
    if top < 1.4 * bottom:
        low.set_y((bottom * top / 1.4) ** 0.5)
        high.set_y((bottom * top * 1.4) ** 0.5)


def scale(seed: int) -> Explorer:
    """The same functions with layers rescaled: what changes and what does not."""
    picture = Scale()

    def render(*, norms_matched: float, layer_factor: float, where_scaled: str) -> tuple[Figure, str]:
        picture.show(norms_matched, layer_factor, where_scaled)
        return picture.figure, sentence(norms_matched, layer_factor, where_scaled)

    return Explorer(
        render,
        [
            slider("norms_matched", SHARES, 0.0),
            slider("layer_factor", ALPHAS, 1.0),
            switch("where_scaled", WHERE),
        ],
        title=text("05.scale.title"),
        code=code,
    )


def sentence(matched: float, alpha: float, where_scaled: str) -> str:
    """Say what the norms are in the middle, and the bumps of the trace, the adaptive trace and the objective."""
    norm = norms(matched, alpha, where_scaled)
    after, weighed = trace(norm), objective(norm)
    return text(
        "05.scale.sentence",
        where=option_text(where_scaled, "05.where.everywhere", "05.where.middle", "05.where.ends"),
        alpha=alpha,
        share=100 * matched,
        norm=float(middle_norm(norm).mean()),
        middle=float(after[:, POINTS // 2].mean()),
        ratio=with_error(over_pairs(bump(after)), "all"),
        adaptive=with_error(over_pairs(bump(along("adaptive"))), "all"),
        objective=with_error(over_pairs(bump(weighed)), "all"),
    )


def code(*, norms_matched: float, layer_factor: float, where_scaled: str) -> str:
    """Return lines that give the middle of the first road other norms and measure it."""
    turned = 1.0 if where_scaled == "ends" else layer_factor
    return (
        "from entropic_edu.recorded import valley\n"
        "land, built, road = valley.landscape(), valley.road(0, matched=False), valley.road(0)\n"
        "theta = road.at(0.5)\n"
        "for layer in road.scale_free(land).values():\n"
        "    raw = built.pivots[len(built.pivots) // 2, layer].norm()  # near the middle\n"
        f"    theta[layer] *= {turned} * (raw / theta[layer].norm()) ** {1 - norms_matched:g}\n"
        "generator = torch.Generator().manual_seed(0)\n"
        "trace = ee.curvature.hutchinson_trace(land, theta, num_probes=32, generator=generator, weight_decay=False)\n"
        "print(land.data_loss(theta), trace.value, trace.error)  # pair 1, in the middle"
    )

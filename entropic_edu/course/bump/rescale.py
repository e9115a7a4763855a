"""Round 3, a second look: the same function with its layers rescaled, and measures that change or do not."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import digits, floor
from entropic_edu.figures.plots import BLUE, GREEN, ORANGE, RED, labelled
from entropic_edu.recorded.bump import rescaled
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band
from entropic_edu.teaching.strings import option_text, text

from .common import COUNT, bump, kept, over_pairs, positions, with_error

ALPHAS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
LAYERS = ("1", "2")
POINTS = 21


def factors(where_scaled: str, alpha: float) -> Tensor:
    """Return α at each position, (n,): everywhere, in the middle only, or at the ends only, and 1 elsewhere."""
    across = torch.sin(torch.pi * positions(POINTS)).square()
    power = {"everywhere": torch.ones_like(across), "middle": across, "ends": 1 - across}[where_scaled]
    return alpha**power


def trace(layer: int, alpha: Tensor) -> Tensor:
    """Return the trace along all roads, (pairs, n), with hidden layer 1 or 2 rescaled by α (n,).

    The weights into the layer are α times as large and their curvature 1/α² of what it was; those out of it the other
    way round; all others keep theirs.
    """
    into, out = kept("string/blocks")[:, :, layer - 1].unbind(-1)
    return kept("string/trace") + into * (alpha**-2 - 1) + out * (alpha**2 - 1)


def top(layer: int, alpha: float, where_scaled: str) -> Tensor:
    """Return λmax at both ends and in the middle of all roads, (pairs, 3)."""
    largest = kept("string/rescaled_top")[:, :, layer - 1]  # (pairs, 3, alphas)
    plain, turned = largest[..., ALPHAS.index(1.0)], largest[..., ALPHAS.index(alpha)]
    moved = {"everywhere": (True, True, True), "middle": (False, True, False), "ends": (True, False, True)}
    return torch.where(torch.tensor(moved[where_scaled]), turned, plain)


def objective(layer: int, alpha: Tensor) -> Tensor:
    """Return the objective along all roads, (pairs, n): the data loss stays, the weight-decay term does not."""
    land, where = digits.land(), positions(POINTS).float()
    norms = [
        rescaled(land, digits.road(pair).at(where), layer, alpha.float()).square().sum(-1) for pair in range(COUNT)
    ]
    return kept("string/data_loss") + 0.5 * land.weight_decay * torch.stack(norms).double()


class Rescale:
    """Trace along the road, as it is and rescaled; beside it λmax, the adaptive trace, and loss and objective."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.where = positions(POINTS)
        self.ax = ax = self.figure.add_axes((0.085, 0.125, 0.36, 0.8))
        labelled(ax, text("05.axis.position"), "", text("05.panel.trace_rescaled")).title.set_fontsize(11)
        ax.set(xlim=(0, 1), yscale="log", ylim=(1, 500))
        ax.set_yticks([1, 10, 100], ["1", "10", "100"])
        ax.minorticks_off()
        self.plain = Band(ax, colour=GREY, dash="--")
        self.turned = Band(ax)
        self.tops = self._panel(floor.RIGHT[0], "05.panel.top_rescaled", (0.1, 100))
        self.tops.set_yscale("log")
        self.tops.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        self.tops.minorticks_off()
        middle = self._panel(floor.RIGHT[1], "05.panel.adaptive", (0, 0.45))
        lower = self._panel(floor.RIGHT[2], "05.panel.data_loss_rescaled", (1e-3, 1))
        lower.set_yscale("log")
        lower.set_yticks([0.001, 0.01, 0.1, 1], ["0.001", "0.01", "0.1", "1"])
        lower.minorticks_off()
        lower.set_xlabel(text("05.axis.position"), fontsize=11)
        lower.tick_params(labelbottom=True)
        self.top_plain = sheet.Points(self.tops, colour=GREY, marker="x", size=10)
        self.top_turned = sheet.Points(self.tops, colour=ORANGE, marker="s", size=6)
        self.adaptive = Band(middle, colour=GREEN, dash="-.")
        self.data_loss = Band(lower, colour=BLUE, dash="--")
        self.objective = Band(lower, colour=RED)

    def _panel(self, bottom: float, title: str, limits: tuple[float, float]) -> Axes:
        ax = self.figure.add_axes((0.655, bottom, 0.195, 0.185))
        labelled(ax, "", "", text(title)).title.set_fontsize(11)
        ax.set(xlim=(-0.04, 1.04), ylim=limits)
        ax.tick_params(labelbottom=False)
        return ax

    def show(self, layer: int, alpha: float, where_scaled: str) -> None:
        """Draw means over the pairs with their errors."""
        some = factors(where_scaled, alpha)
        self.plain.show(self.where, over_pairs(kept("string/trace")), text("05.label.before"))
        self.turned.show(self.where, over_pairs(trace(layer, some)), text("05.label.after"))
        _apart(self.plain, self.turned)
        ends = torch.tensor([0.0, 0.5, 1.0])
        self.top_plain.show(ends, over_pairs(top(layer, 1.0, where_scaled)))
        self.top_turned.show(ends, over_pairs(top(layer, alpha, where_scaled)))
        self.adaptive.show(self.where, over_pairs(kept("string/adaptive")), text("05.label.same"))
        self.data_loss.show(self.where, over_pairs(kept("string/data_loss")), text("05.label.same_loss"))
        self.objective.show(self.where, over_pairs(objective(layer, some)), text("05.label.objective_end"))


def _apart(lower: Band, upper: Band) -> None:
    """Part the labels of two lines on a logarithmic axis."""
    heights = [band.name.get_position()[1] for band in (lower, upper)]
    if max(heights) / min(heights) < 1.35:
        middle = (heights[0] * heights[1]) ** 0.5
        first = 1 if heights[0] > heights[1] else -1
        lower.name.set_y(middle * 1.17**first)
        upper.name.set_y(middle / 1.17**first)


def rescale(seed: int) -> Explorer:
    """The same functions with layers rescaled: what changes and what does not."""
    picture = Rescale()

    def render(*, layer_factor: float, hidden_layer: str, where_scaled: str) -> tuple[Figure, str]:
        picture.show(int(hidden_layer), layer_factor, where_scaled)
        return picture.figure, sentence(int(hidden_layer), layer_factor, where_scaled)

    return Explorer(
        render,
        [
            slider("layer_factor", ALPHAS, 2.0),
            switch("hidden_layer", LAYERS),
            switch("where_scaled", ("everywhere", "middle", "ends")),
        ],
        title=text("05.rescale.title"),
        code=code,
    )


def sentence(layer: int, alpha: float, where_scaled: str) -> str:
    """Say what the rescaling did to the trace, λmax, the adaptive trace, the data loss and the objective."""
    some = factors(where_scaled, alpha)
    after, middle = trace(layer, some), POINTS // 2
    weighed = objective(layer, some)
    return text(
        "05.rescale.sentence",
        layer=layer,
        alpha=alpha,
        where=option_text(where_scaled, "05.where.everywhere", "05.where.middle", "05.where.ends"),
        ends=with_error(over_pairs(after[:, [0, -1]].mean(1)), "all", ".3g"),
        middle=with_error(over_pairs(after[:, middle]), "all", ".3g"),
        ratio=with_error(over_pairs(bump(after)), "all"),
        before=with_error(over_pairs(bump(kept("string/trace"))), "all"),
        top=with_error(over_pairs(top(layer, alpha, where_scaled)[:, 1]), "all"),
        adaptive=with_error(over_pairs(bump(kept("string/adaptive"))), "all"),
        data_loss=float(kept("string/data_loss")[:, middle].mean()),
        objective=float(weighed[:, middle].mean()),
        objective_ends=float(weighed[:, [0, -1]].mean()),
    )


def code(*, layer_factor: float, hidden_layer: str, where_scaled: str) -> str:
    """Return lines that rescale the middle of the first road and measure it."""
    number = int(hidden_layer)
    turned = 1.0 if where_scaled == "ends" else layer_factor
    return (
        "from entropic_edu.recorded import roads\n"
        "land, theta = roads.landscape(), roads.road(0).at(0.5)\n"
        "parts = land.unflatten(theta)  # views: what changes them changes theta\n"
        f'parts["{2 * number - 2}.weight"].mul_({turned})\n'
        f'parts["{2 * number - 2}.bias"].mul_({turned})\n'
        f'parts["{2 * number}.weight"].div_({turned})\n'
        "trace = ee.exact_trace(land, theta, weight_decay=False)\n"
        "adaptive = ee.exact_trace(land, theta, weight_decay=False, scale=theta)\n"
        "print(land.data_loss(theta), trace, adaptive)  # pair 1, in the middle"
    )

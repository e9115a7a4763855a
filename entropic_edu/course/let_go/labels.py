"""Round 3: jittered labels, where the drift is predicted with no free constant; recorded, and a small run live."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded, stream
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.networks.network import Network
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.path import Path
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import label_noise
from entropic_edu.recorded.label_noise import between, velocity
from entropic_edu.recorded.label_noise import recorded as kept
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import boxed

RECIPE = label_noise.RECIPE
NETS = tuple(range(1, len(RECIPE["seeds"]) + 1))
SIGMAS, SIZES, RATES = (0.0, 0.15, 0.3, 0.6), (25, 50, 100), tuple(RECIPE["rates"])
BEGUN, WALKERS, STEPS = (0.2, 0.3), 6, 600  # of the live run


def ratio(net: int, jitter: float, batch_size: int, learning_rate: float) -> Mean:
    """Return measured over predicted velocity, a fit over all starts, with its error from the walkers' scatter."""
    measured, law = velocity(net, jitter, batch_size, learning_rate)
    weight = law.square().sum()
    return Mean((measured.value * law).sum() / weight, (measured.error * law).norm() / weight)


def simple_law(net: int, heat: float, learning_rate: float) -> tuple[Tensor, Tensor]:
    """Return positions, and the law -(ησ²/2B) d tr H/ds for steps that are small and spreads that are at rest, (n,)."""
    where, trace = kept("position"), kept("trace")[net - 1]
    length = float(kept("length")[net - 1])
    slope = torch.gradient(trace, spacing=(where * length,))[0]
    return where, -1e6 * learning_rate * 0.5 * learning_rate * heat * slope / length


class Jitter:
    """Velocity along the road, measured and by theory; beneath it every setting; loss and curvature beside."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = ax = self.figure.add_axes((0.085, 0.52, 0.5, 0.4))
        labelled(ax, text("06.axis.position"), "", text("06.panel.velocity")).title.set_fontsize(11)
        ax.axhline(0, color=GREY, lw=1)
        ax.set_xlim(0, 1)
        ax.set_yscale("symlog", linthresh=0.1)
        ax.set_ylim(-900, 90)  # room for the key
        ax.set_yticks([-10, -1, -0.1, 0, 0.1, 1, 10], ["−10", "−1", "−0.1", "0", "0.1", "1", "10"])
        ax.minorticks_off()
        self.low = low = self.figure.add_axes((0.085, 0.125, 0.5, 0.24))
        labelled(low, text("06.axis.jitter"), "", text("06.panel.squared")).title.set_fontsize(11)
        low.set(xlim=(-0.02, 0.66), ylim=(0, 1))
        low.set_yticks([])
        self.law = moving(ax, colour=PURPLE, dash=DASHES[2])
        self.simple = moving(ax, colour=BLACK, dash=":", width=1.5)
        self.points = sheet.Points(ax, size=6)
        boxed(ax, text("06.label.key"), BLACK, transform=ax.transAxes).set_position((0.02, 0.02))
        self.grown = moving(low, colour=PURPLE, dash=DASHES[2])
        self.each = sheet.Points(low, size=6)
        self.now = moving(low, colour=BLUE, dash="", marker="o", ms=13, mfc="none", mew=1.5, clip_on=False)
        self.bet = moving(low, colour=GREY, dash="", marker="_", ms=34, mew=4, alpha=0.8)
        self.guess = boxed(low, text("say.prediction"), GREY, ha="right", va="center")
        self.ticks = [
            low.text(-0.03, 0, "", ha="right", va="center", fontsize=sheet.SMALL, animated=True) for _ in "abc"
        ]
        sides = [self.figure.add_axes((0.7, bottom, 0.28, height)) for bottom, height in ((0.6, 0.32), (0.125, 0.32))]
        for side, name in zip(sides, ("square", "trace_small"), strict=True):
            labelled(side, "", "", option_text(name, "06.panel.square", "06.panel.trace_small")).set(xlim=(0, 1))
            side.title.set_fontsize(11)
        sides[1].set_xlabel(text("06.axis.position"), fontsize=11)
        sides[0].set_ylim(0, 8)
        sides[1].set_ylim(0, 160)
        self.loss, self.trace = moving(sides[0], colour=BLUE), moving(sides[1], colour=RED)

    def show(self, net: int, jitter: float, batch_size: int, learning_rate: float, bet: float | None) -> None:
        """Draw a state."""
        pair, rate = net - 1, RATES.index(learning_rate)
        where = kept("position").numpy()
        self.loss.set_data(where, 1e5 * kept("loss")[pair].numpy())
        self.trace.set_data(where, kept("trace")[pair].numpy())
        measured, _ = velocity(net, jitter, batch_size, learning_rate)
        self.points.show(torch.tensor(RECIPE["starts"], dtype=torch.float64), measured)
        heat = jitter**2 / batch_size
        law = kept("slide")[pair, rate] if jitter == 0 else heat * kept("push")[pair, rate]
        self.law.set_data(where, 1e6 * law.numpy())
        simple = simple_law(net, heat, learning_rate)[1].numpy()
        self.simple.set_data(([], []) if jitter == 0 else (where, simple))
        self.against_sigma(net, jitter, batch_size, learning_rate, bet)

    def against_sigma(self, net: int, jitter: float, batch_size: int, learning_rate: float, bet: float | None) -> None:
        """Draw the speed home from the start where theory expects most, against σ; σ² is a parabola."""
        speeds = sigma_sweep(net, batch_size, learning_rate)
        top = 1.25 * max(float(speeds[0].value.max()), float(speeds[1].max()))
        for name, share in zip(self.ticks, (0.0, 0.4, 0.8), strict=True):
            name.set_y(share)
            name.set_text(f"{share * top:.2g}")
        self.each.show(torch.tensor(SIGMAS[1:], dtype=torch.float64), speeds[0] * (1 / top))
        x = torch.linspace(0, SIGMAS[-1], 61, dtype=torch.float64)
        bend = speeds[1] / torch.tensor(SIGMAS[1:], dtype=torch.float64).square()  # nearly the same at each σ
        factor = np.interp(x.numpy(), SIGMAS[1:], bend.numpy())
        self.grown.set_data(x.numpy(), factor * x.square().numpy() / top)
        at = SIGMAS.index(jitter)
        self.now.set_data([jitter], [0.0 if at == 0 else float(speeds[0].value[at - 1]) / top])
        self.bet.set_visible(bet is not None)
        self.guess.set_visible(bet is not None)
        if bet is not None:
            y = min(1.0, bet * float(speeds[0].value[1]) / top)
            self.bet.set_data([SIGMAS[-1]], [y])
            self.guess.set_position((SIGMAS[-1] - 0.05, min(0.92, max(0.08, y))))


@cache
def sigma_sweep(net: int, batch_size: int, learning_rate: float) -> tuple[Mean, Tensor]:
    """Return the speed at each σ > 0 from the start where theory expects most, measured and by theory, (3,) each."""
    rows = [velocity(net, sigma, batch_size, learning_rate) for sigma in SIGMAS[1:]]
    best = int(rows[0][1].abs().argmax())
    sign = float(rows[0][1][best].sign())
    value = torch.stack([sign * measured.value[best] for measured, _ in rows])
    error = torch.stack([measured.error[best] for measured, _ in rows])
    return Mean(value, error), torch.stack([sign * law[best] for _, law in rows])


def jitter(seed: int) -> Explorer:
    """Jitter the labels and compare the drift with theory."""
    picture = Jitter()

    def render(
        *, jitter: float, batch_size: int, learning_rate: float, tanh_net: int, ghost: float | None = None
    ) -> tuple[Figure, str]:
        picture.show(tanh_net, jitter, batch_size, learning_rate, ghost)
        return picture.figure, sentence(tanh_net, jitter, batch_size, learning_rate)

    return Explorer(
        render,
        [
            slider("jitter", SIGMAS, 0.3),
            slider("batch_size", SIZES, 50),
            slider("learning_rate", RATES, 0.02),
            slider("tanh_net", NETS, 2),
        ],
        title=text("06.jitter.title"),
        code=code,
        work=Work(partial(going, seed), partial(live, picture), lambda **turned: STEPS),
    )


def sentence(net: int, jitter: float, batch_size: int, learning_rate: float) -> str:
    """Return the sentence of a state."""
    values: dict[str, Any] = {"net": net, "learning_rate": learning_rate, "batch_size": batch_size, "jitter": jitter}
    values |= {"steps": RECIPE["steps"], "walkers": RECIPE["walkers"], "starts": len(RECIPE["starts"])}
    if jitter == 0:
        measured, _ = velocity(net, jitter, batch_size, learning_rate)
        return text("06.jitter.off", most=float(measured.value.abs().max()), **values)
    fit = ratio(net, jitter, batch_size, learning_rate)
    every = torch.stack([ratio(one, jitter, batch_size, learning_rate).value for one in NETS])
    measured, law = velocity(net, jitter, batch_size, learning_rate)
    best = int(law.abs().argmax())
    return text(
        "06.jitter.on",
        start=RECIPE["starts"][best],
        speed=float(measured.value[best]),
        error=float(measured.error[best]),
        law=float(law[best]),
        fit=float(fit.value),
        fit_error=float(fit.error),
        nets=", ".join(f"{float(one):.2f}" for one in every),
        **values,
    )


# --- live ------------------------------------------------------------------------------------------------------------


@cache
def road(net: int) -> Path:
    """Return the recorded road of a net, counted from 1."""
    return label_noise.whole(recorded.load("label_noise")[f"pair{net - 1}/road"])


@cache
def landscape(jitter: float) -> Network:
    """Return the landscape with labels jittered by σ."""
    return label_noise.landscape(RECIPE, jitter)


def going(
    seed: int, *, jitter: float, batch_size: int, learning_rate: float, tanh_net: int
) -> Iterator[Snapshot[Release]]:
    """Let a few walkers go from the two starts of one side."""
    return stream.drift(
        landscape(jitter),
        road(tanh_net),
        generator=torch.Generator().manual_seed(seed),
        noise="label" if jitter > 0 else "none",
        batch_size=batch_size,
        learning_rate=learning_rate,
        momentum=0.0,
        project_every=RECIPE["project_every"],
        record_every=50,
        start=BEGUN,
        walkers=WALKERS,
        steps=STEPS,
    )


def live(
    picture: Jitter, release: Release, *, jitter: float, batch_size: int, learning_rate: float, tanh_net: int
) -> tuple[Figure, str]:
    """Draw what live walkers did: their velocity beside theory, the slope of the loss included."""
    picture.show(tanh_net, jitter, batch_size, learning_rate, None)
    steps = max(1, int(release.step[-1]))
    moved = 1e6 / steps * (release.position[-1] - release.position[0]).unflatten(0, (len(BEGUN), -1))
    mean = Mean(moved.mean(1), moved.std(1) / moved.shape[1] ** 0.5)
    picture.points.show(release.starts.double(), mean)
    pair, rate = tanh_net - 1, RATES.index(learning_rate)
    both = kept("slide")[pair, rate] + jitter**2 / batch_size * kept("push")[pair, rate]
    picture.law.set_data(kept("position").numpy(), 1e6 * both.numpy())
    law = 1e6 * between(kept("position"), both, release.starts.double())
    words = text(
        "06.jitter.live",
        net=tanh_net,
        walkers=WALKERS,
        steps=int(release.step[-1]),
        learning_rate=learning_rate,
        jitter=jitter,
        batch_size=batch_size,
        first=float(mean.value[0]),
        first_error=float(mean.error[0]),
        first_law=float(law[0]),
        second=float(mean.value[1]),
        second_error=float(mean.error[1]),
        second_law=float(law[1]),
    )
    return picture.figure, words


def code(*, jitter: float, batch_size: int, learning_rate: float, tanh_net: int) -> str:
    """Return the code that reads a state, and the call that makes its walkers anew."""
    lines = [
        "from entropic_edu import recorded",
        "from entropic_edu.recorded import label_noise",
        f"found, law = label_noise.velocity({tanh_net}, {jitter:g}, {batch_size}, {learning_rate:g})  # recorded",
        f'road = label_noise.whole(recorded.load("label_noise")["pair{tanh_net - 1}/road"])',
        f"heat = {jitter:g}**2 / {batch_size}",
        "# its walkers were made by:",
        f"# label_noise.ends(label_noise.RECIPE, road, {tanh_net - 1}, {learning_rate:g}, heat)",
    ]
    return "\n".join(lines)

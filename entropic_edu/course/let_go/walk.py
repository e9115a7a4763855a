"""Round 1: recorded walkers on the road, the control without noise, and theory; the live button; the opening film."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure

from entropic_edu import stream
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.networks.network import Network
from entropic_edu.physics.mean import exact
from entropic_edu.physics.noise import effective_temperature
from entropic_edu.physics.path import Path
from entropic_edu.physics.release import Release
from entropic_edu.recorded import valley
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import text

from .common import (
    ALL,
    BATCHES,
    MOMENTUM,
    RATES,
    STARTS,
    K,
    boxed,
    code_of,
    column,
    kept,
    length_of,
    mean_of,
    name_of,
    over_pairs,
    pairs_named,
    percent,
    pick,
    setting_of,
    steps_of,
    track,
    walkers_named,
    with_error,
)
from .film import Road

WALKERS, LIVE = 16, 2000  # of the live run
COST = {16: 1.0, 32: 1.6, 64: 2.9, 128: 5.3, None: 1.1}  # of a step, over that of 16 walkers at B 16


class Walk:
    """Position against steps, distance from the road beneath, and the triptych of the road."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = ax = self.figure.add_axes((0.085, 0.44, 0.375, 0.49))
        labelled(ax, "", "", text("06.panel.position")).set(ylim=(-0.02, 1.02))
        self.below = low = self.figure.add_axes((0.085, 0.125, 0.375, 0.2))
        labelled(low, text("axis.step"), "", text("06.panel.distance")).set(yscale="log", ylim=(0.005, 8))
        low.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
        low.minorticks_off()
        for panel in (ax, low):
            panel.title.set_fontsize(11)
        self.fan = [moving(ax, colour="#9a9a9a", width=1) for _ in STARTS]
        self.bands = {
            "run": sheet.Band(ax),
            "control": sheet.Band(ax, colour=BLACK, dash=":", width=1.8),
            "theory": sheet.Band(ax, colour=PURPLE, dash=DASHES[2], width=1.8),
            "twin": sheet.Band(ax, colour=RED, dash=DASHES[3]),
            "ghost": sheet.Band(ax, colour=GREY, dash=(0, (3, 2)), width=3),
        }
        self.away = {"run": moving(low), "twin": moving(low, colour=RED, dash=DASHES[3])}
        self.radius = moving(low, colour=BLACK, dash=":", width=1.5)
        self.edge = boxed(low, text("06.label.radius"), BLACK, ha="right", va="top")
        self.road = Road(self.figure)
        self.walkers = [moving(ax, colour=BLUE, width=0.6, alpha=0.5) for _ in range(WALKERS)]

    def clear(self, steps: float) -> None:
        """Take everything off the two left panels and set their axis of steps."""
        if self.ax.get_xlim() != (0, steps):  # any change of limits or ticks draws the whole figure anew
            for panel in (self.ax, self.below):
                panel.set_xlim(0, steps)
                panel.set_xticks([0, steps / 2, steps])
        for band in self.bands.values():
            band.show(torch.empty(0), None)
        for line in [*self.fan, *self.walkers, *self.away.values()]:
            line.set_data([], [])

    def ghost(self, bet: float | None, steps: float) -> None:
        """Draw where the learner expects the walkers at the end."""
        if bet is not None:
            x = torch.tensor([0.55 * steps, steps])
            self.bands["ghost"].show(x, exact(torch.full((2,), bet)), text("say.prediction"))

    def grid(self, turned: Mapping[str, Any], name: str = "run", label: str = "", stretch: float = 1.0) -> None:
        """Draw a recorded run as a band, with the distance from the road beneath, its steps times ``stretch``."""
        pair, rate = turned["road_pair"], turned["learning_rate"]
        run_name = name_of(turned["batch_size"], rate)
        x = stretch * steps_of(run_name, rate)
        self.bands[name].show(x, over_pairs(column(kept(f"{run_name}/position"), turned["released_at"]), pair), label)
        if name not in self.away:
            return
        away = column(pick(kept(f"{run_name}/distance"), pair), turned["released_at"]).mean((0, -1))
        self.away[name].set_data(x[1:-1].numpy(), away[1:-1].numpy())  # the last record is between projections

    def show(self, turned: Mapping[str, Any], twin: Mapping[str, Any] | None, bet: float | None) -> None:
        """Draw a state."""
        pair, rate, size = turned["road_pair"], turned["learning_rate"], turned["batch_size"]
        steps = length_of(rate)
        self.clear(steps)
        name = name_of(size, rate)
        fan = over_pairs(kept(f"{name}/position"), pair).value  # (R, S)
        for line, each in zip(self.fan, fan.T, strict=True):
            line.set_data(steps_of(name, rate).numpy(), each.numpy())
        if size is not None:
            self.grid(dict(turned) | {"batch_size": None}, "control", text("06.label.control"))
            x, law = track(name, pair, turned["released_at"])
            self.bands["theory"].show(x, exact(law), text("say.theory"))
        if twin is not None:
            same = steps / length_of(twin["learning_rate"])  # drawn against the same η times steps
            self.grid(twin, "twin", text("say.pinned"), same)
        self.grid(turned, "run", text("06.label.run"))
        self.ghost(bet, steps)
        radius = float(0.1 * pick(kept("valley/length"), pair).mean())
        self.radius.set_data([0, steps], [radius, radius])
        self.edge.set_position((0.99 * steps, 0.8 * radius))
        sheet.part(*self.bands.values(), gap=0.075)
        self.road.show(pair, size, rate)

    def live(self, release: Release, turned: Mapping[str, Any], steps: int) -> None:
        """Draw walkers that go now, one thin line each."""
        self.clear(steps)
        x = release.step.double()
        for line, each in zip(self.walkers, release.position.T, strict=False):
            line.set_data(x.numpy(), each.numpy())
        self.bands["run"].show(x, mean_of(release.position.double()), text("06.label.run"))
        self.away["run"].set_data(x[1:].numpy(), release.distance[1:].mean(1).numpy())
        self.radius.set_data([0, steps], [release.valley_radius] * 2)
        self.edge.set_position((0.99 * steps, 0.8 * release.valley_radius))
        self.road.show(turned["road_pair"] or 1, turned["batch_size"], turned["learning_rate"], measured=False)


def walk(seed: int) -> Explorer:
    """Let walkers go: recorded for every setting, live behind the button."""
    picture = Walk()

    def render(
        *, pinned: dict[str, Any] | None = None, ghost: float | None = None, **turned: Any
    ) -> tuple[Figure, str]:
        picture.show(turned, pinned, ghost)
        words = sentence(turned)
        if pinned is not None:
            words += " " + text("06.walk.twin", setting=setting_of(pinned), **ending(pinned))
        return picture.figure, words

    def going(
        *, batch_size: int | None, learning_rate: float, released_at: float, road_pair: int | None
    ) -> Iterator[Any]:
        pair = (road_pair or 1) - 1
        return stream.drift(
            *valley_of(pair),
            generator=torch.Generator().manual_seed(seed),
            start=released_at,
            batch_size=batch_size,
            learning_rate=learning_rate,
            momentum=MOMENTUM,
            walkers=1 if batch_size is None else WALKERS,
            steps=LIVE,
            project_every=K,
        )

    def show(release: Release, **turned: Any) -> tuple[Figure, str]:
        picture.live(release, turned, LIVE)
        position = release.position[-1:].double()
        words = text(
            "06.walk.live",
            setting=setting_of(turned),
            pair=turned["road_pair"] or 1,
            walkers=walkers_named(position.shape[-1]),
            start=turned["released_at"],
            steps=int(release.step[-1]),
            ends=with_error(mean_of(position), ".3f"),
            outside=percent(release.outside),
        )
        return picture.figure, words

    return Explorer(
        render,
        [
            slider("batch_size", BATCHES, None),
            slider("learning_rate", RATES, 0.02),
            slider("released_at", STARTS, 0.3),
            slider("road_pair", ALL, None),
        ],
        title=text("06.walk.title"),
        code=lambda batch_size, learning_rate, **turned: code_of(name_of(batch_size, learning_rate)),
        work=Work(
            stream=going,
            show=show,
            units=lambda batch_size, **turned: round(LIVE * COST[batch_size] / COST[None]),
            frame=show,
        ),
    )


@cache
def valley_of(pair: int) -> tuple[Network, Path]:
    """Return landscape and road of a pair, counted from 0."""
    return valley.landscape(), valley.road(pair)


def ending(turned: Mapping[str, Any]) -> dict[str, Any]:
    """Return words for where the walkers of a state stand at the end, and the share outside in per cent."""
    name, pair = name_of(turned["batch_size"], turned["learning_rate"]), turned["road_pair"]
    each = column(kept(f"{name}/position")[:, -1], turned["released_at"])
    outside = column(pick(kept(f"{name}/outside"), pair), turned["released_at"])
    return {"ends": with_error(over_pairs(each, pair), ".3f"), "outside": percent(outside)}


def sentence(turned: Mapping[str, Any]) -> str:
    """Return the sentence of a state."""
    pair, rate, size, start = (turned[key] for key in ("road_pair", "learning_rate", "batch_size", "released_at"))
    each = column(pick(kept(f"{name_of(size, rate)}/outside"), pair), start)
    return text(
        "06.walk.all" if size is None else "06.walk.some",
        setting=setting_of(turned),
        pairs=pairs_named(pair),
        walkers=walkers_named(each.shape[-1]),
        start=start,
        steps=length_of(rate),
        control=ending(dict(turned) | {"batch_size": None})["ends"],
        law=float(track(name_of(size, rate), pair, start)[1][-1]),
        temperature=effective_temperature(size, rate, MOMENTUM),
        **ending(turned),
    )

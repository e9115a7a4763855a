"""Round 2: walkers on the recorded roads with noise and without, and what theory says; the button lets some go now."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, PURPLE
from entropic_edu.physics.mean import exact
from entropic_edu.physics.release import Release
from entropic_edu.recorded import cifar10
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from . import live
from .common import (
    ALL,
    RUNS,
    STARTS,
    by_theory,
    code,
    digits_home,
    named,
    of_start,
    over_pairs,
    pairs_of,
    panel,
    temperature,
    times,
    track,
    written,
)

NOISY = RUNS[1:]
DIGITS = tuple(f"eta {rate}, B {size}" for rate in (0.02, 0.04) for size in (16, 32, 64, 128))
KEYS = ("09.run.no noise", "09.run.cold", "09.run.warm", "09.run.hot")


class Walk:
    """Position and distance from the road against flow time; at the right the way home against the temperature."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.last = last = float(times("hot")[-1])
        self.ax = panel(self.figure, (0.07, 0.44, 0.4, 0.475), text("09.panel.position"), "", xlim=(0, last))
        self.ax.set_ylim(0, 1)
        low = panel(self.figure, (0.07, 0.125, 0.4, 0.2), text("09.panel.distance"), text("09.axis.time"))
        radius = 0.1 * sum(cifar10.road(pair).length for pair in cifar10.PAIRS) / len(cifar10.PAIRS)
        low.set(xlim=(0, last), ylim=(0, 1.15 * radius))
        low.axhline(radius, color=GREY, ls="--", lw=1.5)
        low.text(0.99 * last, 0.96 * radius, text("09.label.edge"), fontsize=sheet.SMALL, ha="right", va="top")
        self.fan = [moving(self.ax, colour=GREY, width=1, alpha=0.6) for _ in range(len(RUNS) * len(STARTS))]
        self.run = Band(self.ax, label=text("09.label.run"))
        self.control = Band(self.ax, colour=BLACK, dash=":", label=text("09.label.control"))
        self.law = Band(self.ax, colour=PURPLE, dash=DASHES[2], label=text("say.theory"))
        self.bet = Band(self.ax, colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction"))
        self.now = [moving(self.ax, colour=GREEN, width=1.5) for _ in range(live.WALKERS * len(STARTS))]
        self.away, self.far = moving(low), moving(low, colour=GREEN, dash="", marker="D", ms=4)
        self._home()

    def _home(self) -> None:
        """Draw what no control changes: the way home of all settings, theory's, and that of digits."""
        ax = panel(self.figure, (0.7, 0.125, 0.28, 0.79), text("09.panel.home"), text("09.axis.temperature"))
        ax.set(xscale="log", xlim=(0.0013, 0.04), ylim=(0, 100))
        ax.set_xticks([0.002, 0.005, 0.01, 0.02], ["0.002", "0.005", "0.01", "0.02"])
        ax.minorticks_off()
        still = float(cifar10.without_noise("hot").value)
        ax.axhline(still, color=BLACK, ls=":", lw=1.8)
        ax.text(0.0014, still + 1.5, text("09.label.control"), fontsize=sheet.SMALL)
        for names, found, style in (
            (DIGITS, digits_home, {"color": GREY, "marker": "s", "ms": 6, "mfc": "white"}),
            (NOISY, by_theory, {"color": PURPLE, "marker": "o", "ms": 13, "mfc": "none"}),
            (NOISY, cifar10.gone, {"color": BLUE, "marker": "o", "ms": 7}),
        ):
            for name in names:
                mean = found(name)
                ax.errorbar(temperature(name), float(mean.value), float(mean.error), ls="", **style)
        for row, (words, ink) in enumerate(
            (("09.label.photographs", BLUE), ("say.theory", sheet.INK[PURPLE]), ("09.label.digits", GREY))
        ):
            ax.text(0.0014, 94 - 6 * row, text(words), color=ink, fontsize=sheet.SMALL)
        self.mark = moving(ax, colour=BLUE, width=1)

    def show(self, name: str, start: float, pair: int | None, ghost: float | None) -> None:
        """Draw a setting from a start with its control and theory, the mean over the pairs or one, and a bet."""
        everything = [(other, begun) for other in RUNS for begun in STARTS]
        for line, (other, begun) in zip(self.fan, everything, strict=True):
            line.set_data(times(other).numpy(), over_pairs(of_start(other, begun), pair).value.numpy())
        self.run.show(times(name), over_pairs(of_start(name, start), pair))
        still, law = over_pairs(of_start("no noise", start), pair), over_pairs(track(name, start), pair)
        self.control.show(times("no noise"), None if name == "no noise" else still)
        self.law.show(times(name), law)
        side = torch.tensor([0.6 * self.last, self.last])
        self.bet.show(side, None if ghost is None else exact(torch.full((2,), ghost)))
        sheet.part(self.run, self.control, self.law, self.bet, gap=0.07)
        away = over_pairs(of_start(name, start, "distance"), pair).value[1:-1]  # the last record is between projections
        self.away.set_data(times(name)[1:-1].numpy(), away.numpy())
        for line in (*self.now, self.far):
            line.set_data([], [])
        self.mark.set_data([temperature(name)] * 2 if name in NOISY else [], [0, 100] if name in NOISY else [])

    def going(self, release: Release) -> None:
        """Draw walkers that go now over the recorded ones."""
        for line, each in zip(self.now, release.position.T, strict=False):
            line.set_data(release.time.numpy(), each.numpy())
        self.far.set_data(release.time[1:].numpy(), release.distance[1:].mean(1).numpy())


def walk(seed: int) -> Explorer:
    """Let walkers go on photographs' roads: recorded for each setting, a few now behind the button."""
    picture = Walk()

    def render(
        *, cifar_run: str, released_at: float, cifar_pair: int | None, ghost: float | None = None
    ) -> tuple[Figure, str]:
        picture.show(cifar_run, released_at, cifar_pair, ghost)
        return picture.figure, sentence(cifar_run, released_at, cifar_pair)

    def show(release: Release, *, cifar_run: str, released_at: float, cifar_pair: int | None) -> tuple[Figure, str]:
        picture.show(cifar_run, released_at, cifar_pair or 1, None)
        picture.going(release)
        return picture.figure, now(release, cifar_run, released_at, cifar_pair or 1)

    work = live.work(
        text("09.walk.what"),
        lambda land, cifar_run, cifar_pair, **_: live.released(land, (cifar_pair or 1) - 1, seed, cifar_run),
        show,
        lambda cifar_run, **_: cifar10.setting(cifar_run).steps,
        frame=True,
    )
    controls = [
        switch("cifar_run", RUNS, "hot"),
        slider("released_at", STARTS, STARTS[0]),
        slider("cifar_pair", ALL, None),
    ]
    return Explorer(render, controls, title=text("09.walk.title"), code=lines, work=work)


def sentence(name: str, start: float, pair: int | None) -> str:
    """Say where the walkers of a setting end, beside control and theory, and how often they were outside."""
    setting, form = cifar10.setting(name), ".3f"
    ends = {other: written(over_pairs(of_start(other, start)[:, -1], pair), form) for other in (name, "no noise")}
    law = float(over_pairs(track(name, start)[:, -1], pair).value)
    known = {"pairs": named(pair), "run": option_text(name, *KEYS), "start": start, "end": ends[name], "law": law}
    if name == "no noise":
        return text("09.walk.still", time=float(times(name)[-1]), **known)
    outside = [recorded.load("cifar10")[f"pair{one}/{name}"].outside.mean() for one in pairs_of(pair)]
    return text(
        "09.walk.sentence",
        k=setting.project_every,
        still=ends["no noise"],
        outside=100 * float(torch.stack(outside).mean()),
        **known,
    )


def now(release: Release, name: str, start: float, pair: int) -> str:
    """Say where the walkers that go now stand, beside the recorded ones at the same time."""
    mean = float(release.position[-1, release.start == start].mean())
    row = int(torch.searchsorted(times(name), float(release.time[-1])).clamp(max=len(times(name)) - 1))
    known = {"run": option_text(name, *KEYS), "start": start, "pair": pair, "time": float(release.time[-1])}
    return text("09.walk.live", mean=mean, kept=float(of_start(name, start)[pair - 1, row]), **known)


def lines(*, cifar_run: str, released_at: float, cifar_pair: int | None) -> str:
    """Return code that reads where walkers end, and what theory says."""
    pair = (cifar_pair or 1) - 1
    return code(
        f'position = cifar10.stacked("{cifar_run}")  # pair, record, start, walker',
        f"print(position[{pair}, -1, {STARTS.index(released_at)}].mean())",
        f"steps = torch.tensor([0, {cifar10.setting(cifar_run).steps}])",
        f'print(cifar10.theory({pair}, "{cifar_run}").track({released_at}, steps)[-1])',
    )

"""Round 3: recorded walkers on the roads of the CNN, all runs against η·steps; the button lets two go now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.runs import speed
from entropic_edu.figures.plots import BLACK, DASHES, GREEN, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Control, Explorer, Work, slider
from entropic_edu.teaching.sheet import GREY, Band, boxed, moving
from entropic_edu.teaching.strings import option_text, text

from . import live
from .both import first
from .common import ALL, along, code, even, kept, known, named, objective, over_pairs, with_error
from .hook import key
from .relaxation import bound, faster, partner, quarter, settings, temperature, times
from .tracks import CONTROL, STARTS, at_time, column, lowest, mean_of, speed_by_law, together, track

LIMIT = 0.05  # share of projections from outside past which a walker counts as gone
HOT = "eta 0.05, B 16"


@dataclass(frozen=True)
class Runs(Control):
    """A slider over runs that were recorded, each a pair of B and η: others do not exist."""

    def shown(self, value: Any) -> str:
        """Return B and η of a run."""
        return named_run(value, "short")


def named_run(name: str, form: str) -> str:
    """Name a run on the slider ("short") or in a sentence ("long")."""
    setting = settings()[name]
    kind = "all" if setting["batch_size"] is None else "some"
    return option_text(
        f"{form}_{kind}",
        "09.run.short_all",
        "09.run.short_some",
        "09.run.long_all",
        "09.run.long_some",
        batch_size=setting["batch_size"],
        learning_rate=setting["learning_rate"],
    )


class Walk:
    """Position against η·steps, distance from the road beneath, and the triptych of the road."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.last = max(float(times(name)[-1]) for name in settings())
        self.ax = ax = self.figure.add_axes((0.085, 0.44, 0.375, 0.49))
        labelled(ax, "", "", text("09.panel.position")).set(xlim=(0, self.last), ylim=(-0.02, 1.02))
        self.low = low = self.figure.add_axes((0.085, 0.125, 0.375, 0.2))
        labelled(low, text("09.axis.time"), "", text("09.panel.distance"))
        low.set(xlim=(0, self.last), yscale="log", ylim=(0.02, 60))
        low.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        low.minorticks_off()
        for panel in (ax, low):
            panel.title.set_fontsize(11)
        self.lowest = [moving(ax, colour=GREEN, dash=DASHES[4], width=1.5) for _ in STARTS]
        self.low_name = boxed(ax, text("09.label.lowest"), GREEN, va="center")
        self.fan = [moving(ax, colour="#9a9a9a", width=1) for _ in range(2 * len(settings()))]
        self.bands = {
            "run": Band(ax),
            "control": Band(ax, colour=BLACK, dash=":", width=1.8),
            "theory": Band(ax, colour=PURPLE, dash=DASHES[2], width=1.8),
            "ghost": Band(ax, colour=GREY, dash=(0, (3, 2)), width=3),
        }
        self.away, self.still = moving(low), moving(low, colour=BLACK, dash=":", width=1.8)
        self.edge = moving(low, colour=GREY, dash="--", width=1.5)
        self.edge_name = boxed(low, text("09.label.edge"), GREY, ha="right", va="bottom")
        self.walkers = [moving(ax, colour=RED, width=1.5, marker="D", ms=3) for _ in range(live.WALKERS)]
        self.far = moving(low, colour=RED, dash="", marker="D", ms=5)
        self.road()

    def road(self) -> None:
        """Draw the frame of the triptych."""
        axes = [self.figure.add_axes((0.655, bottom, 0.325, 0.185)) for bottom in floor.RIGHT]
        for ax, panel in zip(axes, ("objective", "trace", "drift"), strict=True):
            labelled(
                ax, "", "", option_text(panel, "09.panel.trace", "09.panel.objective", "09.panel.drift")
            ).title.set_fontsize(11)
            ax.set_xlim(0, 1)
            ax.tick_params(labelbottom=panel == "drift")
        axes[0].set_ylim(0.92 * float(objective().min()), 1.04 * float(objective().max()))
        axes[1].set_ylim(0, 1.2 * float(along("trace").max()))
        axes[2].axhline(0, color=GREY, lw=1)
        axes[2].set_yscale("symlog", linthresh=0.01)
        axes[2].set_ylim(-1, 1)
        axes[2].set_yticks([-0.1, 0, 0.1], ["−0.1", "0", "0.1"])
        axes[2].minorticks_off()
        axes[2].set_xlabel(text("09.axis.position"), fontsize=11)
        self.loss, self.trace = Band(axes[0]), Band(axes[1], colour=RED)
        self.law = moving(axes[2], colour=PURPLE, dash=DASHES[2])
        self.slow = moving(axes[2], colour=BLACK, dash=":", width=1.5)
        self.points = sheet.Points(axes[2], size=4)
        key(self.figure)

    def show(self, name: str, pair: int | None, start: float, ghost: float | None) -> None:
        """Draw a run with its control, theory and what was predicted."""
        for line in (*self.walkers, self.far):
            line.set_data([], [])
        others = [(other, begun) for other in settings() for begun in STARTS]
        for line, (other, begun) in zip(self.fan, others, strict=True):
            line.set_data(times(other).numpy(), mean_of(column(other, "position", begun), pair).value.numpy())
        for line, begun in zip(self.lowest, STARTS, strict=True):
            line.set_data([0, self.last], [lowest(begun, pair)] * 2)
        self.low_name.set_position((0.03 * self.last, 0.5))
        when = times(name)
        self.bands["run"].show(when, mean_of(column(name, "position", start), pair), text("09.label.run"))
        still = mean_of(column(CONTROL, "position", start), pair)
        self.bands["control"].show(times(CONTROL), None if name == CONTROL else still, text("09.label.control"))
        self.bands["theory"].show(when, exact(track(name, pair, start)), text("say.theory"))
        x = torch.tensor([0.5 * self.last, self.last])
        bet = None if ghost is None else exact(torch.full((2,), ghost))
        self.bands["ghost"].show(x, bet, text("say.prediction"))
        for band in self.bands.values():
            band.name.set_x(1.015 * self.last)
        sheet.part(*self.bands.values(), gap=0.075)
        self._distances(name, pair, start)
        self._road(name, pair)

    def _distances(self, name: str, pair: int | None, start: float) -> None:
        for line, run in ((self.away, name), (self.still, CONTROL)):
            away = mean_of(column(run, "distance", start), pair).value
            line.set_data(times(run)[1:-1].numpy(), away[1:-1].numpy())  # the last record is between projections
        edge = 0.1 * float(kept(f"{name}/length").mean())
        self.edge.set_data([0, self.last], [edge, edge])
        self.edge_name.set_position((0.99 * self.last, 1.15 * edge))

    def _road(self, name: str, pair: int | None) -> None:
        for band, each in ((self.loss, objective()), (self.trace, along("trace"))):
            band.show(even(each.shape[1]), over_pairs(each, pair))
        where = even(objective().shape[1])
        self.law.set_data(where.numpy(), speed_by_law(name, pair).numpy())
        rate = settings()[name]["learning_rate"] / settings()[CONTROL]["learning_rate"]
        self.slow.set_data(where.numpy(), rate * speed_by_law(CONTROL, pair).numpy())
        position = kept(f"{name}/position")
        self.points.show(*speed(kept(f"{name}/step"), position if pair is None else position[pair - 1 : pair]))

    def show_live(self, release: Release, rate: float) -> None:
        """Draw walkers that go now over the recorded ones."""
        when = release.step.double() * rate
        for line, each in zip(self.walkers, release.position.T, strict=True):
            line.set_data(when.numpy(), each.numpy())
        self.far.set_data(when[1:].numpy(), release.distance[1:].mean(1).numpy())


def walk(seed: int) -> Explorer:
    """Let walkers go on the roads of the CNN: recorded for every run, two walkers live behind the button."""
    picture = Walk()

    def render(
        *, ghost: float | None = None, cifar_run: str, released_at: float, cifar_pair: int | None
    ) -> tuple[Figure, str]:
        picture.show(cifar_run, cifar_pair, released_at, ghost)
        return picture.figure, sentence(cifar_run, cifar_pair, released_at)

    def stream(*, cifar_run: str, released_at: float, cifar_pair: int | None) -> Iterator[Snapshot[Any]]:
        setting = settings()[noisy(cifar_run)] | {"start": released_at}
        return live.with_images(lambda land: live.release(land, first(cifar_pair) - 1, seed, setting))

    def show(result: Any, **turned: Any) -> tuple[Figure, str]:
        if isinstance(result, live.Absent):
            figure, words = render(**turned)
            return figure, live.missing(result, words)
        name, pair = noisy(turned["cifar_run"]), first(turned["cifar_pair"])
        picture.show(name, pair, turned["released_at"], None)
        picture.show_live(result, settings()[name]["learning_rate"])
        return picture.figure, released(result, name, pair, turned["released_at"])

    runs = tuple(settings())
    return Explorer(
        render,
        [
            Runs("cifar_run", runs, CONTROL, "slider"),
            slider("released_at", STARTS, STARTS[0]),
            slider("cifar_pair", ALL, None),
        ],
        title=text("09.walk.title"),
        code=lines,
        work=Work(stream, show, lambda **turned: units(turned["cifar_run"])),
    )


def noisy(name: str) -> str:
    """Return the run that the button makes: all data at every step would take minutes, so the hottest run instead."""
    return HOT if name == CONTROL else name


def units(name: str) -> int:
    """Return the steps of a live run."""
    setting = settings()[noisy(name)]
    return live.units(live.steps_of(setting["batch_size"], setting["project_every"]))


def sentence(name: str, pair: int | None, start: float) -> str:
    """Say where a run and its control stand at equal η·steps and at the end, and what theory says."""
    setting, outside = settings()[name], column(name, "outside", start)
    chosen = outside if pair is None else outside[pair - 1 : pair]
    time, end = together(name), at_time(name, start, pair, float(times(name)[-1]))
    common: dict[str, Any] = {
        "run": named_run(name, "long"),
        "pairs": named(pair),
        "walkers": text("09.walk.single" if outside.shape[-1] == 1 else "09.walk.several", walkers=outside.shape[-1]),
        "start": start,
        "steps": int(setting["steps"]),
        "time": time,
        "end": with_error(end, ".3f"),
        "law": float(track(name, pair, start)[-1]),
        "lowest": lowest(start, pair),
    }
    if name == CONTROL:
        return text("09.walk.control", **known(**common))
    words = text(
        "09.walk.noisy",
        **known(**common),
        temperature=temperature(setting),
        there=with_error(at_time(name, start, pair, time), ".3f"),
        control=with_error(at_time(CONTROL, start, pair, time), ".3f"),
        outside=100 * float(chosen.mean()),
        gone=int((chosen > LIMIT).sum()),
        of=chosen.numel(),
    )
    if setting.get("undo_excursions"):
        words += " " + text("09.walk.undone")
    return words if pair is not None else f"{words} {compared(name)}"


def compared(name: str) -> str:
    """Say how much faster than without noise a run goes, and than B = 256 at its η, over all pairs and both starts."""
    other, (each, length) = partner(name), quarter(name)
    words = _faster("09.walk.faster", name, CONTROL)
    if other is not None:
        words += _faster("09.walk.partner", name, other)
    if bool(each.isfinite().all()):
        words += text("09.walk.quarter", time=with_error(_mean(each), ".0f"))
        least = bound(name)
        return words + (" " + text("09.walk.bound", **least._asdict()) if least is not None else "")
    return words + text("09.walk.never", length=length)


def _faster(key: str, name: str, than: str) -> str:
    ratio = faster(name, than)
    mean = Mean(torch.tensor(ratio.value), torch.tensor(ratio.error))
    return text(key, ratio=with_error(mean, ".3g"), level=ratio.level)


def _mean(each: Tensor) -> Mean:
    return Mean(each.mean(), each.std() / len(each) ** 0.5)


def released(release: Release, name: str, pair: int, start: float) -> str:
    """Say where walkers that go now stand, beside the recorded ones at the same step."""
    step, rate = int(release.step[-1]), settings()[name]["learning_rate"]
    away = column(name, "distance", start)[pair - 1, 1:-1].mean()
    return text(
        "09.walk.live" if release.complete else "09.walk.growing",
        run=named_run(name, "long"),
        pair=pair,
        walkers=release.position.shape[1],
        start=start,
        steps=step,
        mean=float(release.position[-1].mean()),
        kept=float(at_time(name, start, pair, step * rate).value),
        distance=float(release.distance[1:].mean()) if step else 0.0,
        kept_distance=float(away),
    )


def lines(*, cifar_run: str, released_at: float, cifar_pair: int | None) -> str:
    """Return code that reads the end of a run, and the call that makes it anew."""
    pair, row = first(cifar_pair) - 1, STARTS.index(released_at)
    return code(
        f'position = kept["{cifar_run}/position"]  # pair, record, start, walker',
        f"print(position[:, -1, {row}].mean(-1))  # each pair, at the end",
        "# from entropic_edu.recorded import cifar10  # and with the images, one pair:",
        f"# cifar10.released(cifar10.landscape(), cifar10.road({pair}), {pair}, cifar10.settings()[{cifar_run!r}])",
    )

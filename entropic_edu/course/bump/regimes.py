"""Round 4: what the bump and the way home need. One thing after another is turned off, beside the story's setting."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, BLUE, GREEN, ORANGE, RED, labelled
from entropic_edu.recorded.regimes import bump
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import over_pairs, with_error

CONTROLS = {"noise_of_ends": "calm", "wrong_labels": "clean", "layer_norm": "plain", "decay_on": "undecayed"}
OTHERS = ("none", "hard", "squared", "batch", "autoneb")
BUMPS = {"trace": ("o", RED), "top": ("s", ORANGE), "adaptive": ("^", GREEN)}  # measure: marker and colour
HOMES = {"noise": ("o", BLUE), "still": ("s", GREY), "theory": ("D", BLACK)}
NAMES = (
    "05.map.name.base",
    "05.map.name.calm",
    "05.map.name.clean",
    "05.map.name.plain",
    "05.map.name.undecayed",
    "05.map.name.raw",
    "05.map.name.hard",
    "05.map.name.squared",
    "05.map.name.batch",
    "05.map.name.autoneb",
)
FLAT = 1.1  # the highest data loss on a flat road, over its higher end, as in the story
LEFT = 0.05  # share of projections from outside the valley past which a position means little
LIMITS = (0.42, 9.0)


class Setting(NamedTuple):
    """A setting of the recording, on roads with norms matched or as they were built."""

    name: str = "base"
    matched: bool = True

    @property
    def unmatched(self) -> bool:
        """Whether this road differs from that of matched norms: without normalisation nothing can be matched."""
        return not self.matched and f"{self.name}/raw_trace" in recorded.load("regimes")

    def values(self, key: str) -> Tensor:
        """Return what is recorded of these roads, (pairs, ...)."""
        value: Tensor = recorded.load("regimes")[f"{self.name}/{'raw_' if self.unmatched else ''}{key}"]
        return value.double()

    def bump(self, measure: str) -> Tensor:
        """Return the bump of each pair, (pairs,)."""
        return bump(self.values(measure))

    @property
    def height(self) -> float:
        """The highest data loss on the road over its higher end, which matched norms leave alone; mean over pairs."""
        return float(recorded.load("regimes")[f"{self.name}/highest"][:, 1].mean())

    @property
    def flat(self) -> bool:
        return self.height <= FLAT

    @property
    def outside(self) -> float:
        """The share of projections from outside the valley."""
        return float(self.values("outside").mean())

    def home(self) -> dict[str, Tensor]:
        """Return the share of the way home with noise, without, and as theory says, (pairs,); empty without walkers."""
        if self.unmatched and f"{self.name}/raw_walked" not in recorded.load("regimes"):
            return {}
        walked, still = way(self.values("walked").mean(2)), way(self.values("still"))
        return {"noise": walked, "still": still, "theory": way(self.values("predicted")[:, 0])}

    def title(self) -> str:
        """Say what is changed."""
        off = [] if self.name == "base" else self.name.split("+")
        return ", ".join(option_text(each, *NAMES) for each in [*off, *["raw"] * self.unmatched] or ["base"])


BASE = Setting()


def way(ends: Tensor) -> Tensor:
    """Return the share of the way to their own ends that walkers have gone, (pairs, starts) -> (pairs,)."""
    starts = torch.tensor(recorded.load("regimes").recipe["starts"], dtype=torch.float64)
    return ((ends - starts) / ((starts > 0.5).double() - starts)).mean(1)


class Map:
    """Settings in rows: at the left the bump in three measures, at the right the way home beside its control."""

    def __init__(self, rows: int, width: int = sheet.WIDTH, height: int = 340, names: float = 0.225) -> None:
        self.figure = sheet.figure(width, height)
        low, tall, rest = 48 / height, 1 - 80 / height, 1 - names
        self.left = self.figure.add_axes((names, low, 0.44 * rest, tall))
        self.right = self.figure.add_axes((names + 0.57 * rest, low, 0.35 * rest, tall))
        labelled(self.left, text("05.map.axis.bump"), "").set(xscale="log", xlim=LIMITS)
        labelled(self.right, text("05.map.axis.home"), "").set(xlim=(-6, 100))
        self.left.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
        self.left.minorticks_off()
        for ax, none in ((self.left, 1), (self.right, 0)):
            ax.set(ylim=(rows - 0.5, -0.5), yticks=[])
            ax.axvline(none, color=GREY, lw=1)
            ax.axhspan(-0.5, 0.5, color="#f0f0f0", lw=0)
            ax.spines["left"].set_visible(False)
            for edge in range(rows - 1):
                ax.axhline(edge + 0.5, color="#d0d0d0", lw=0.8)
        self.rows = [Row(self.left, self.right, row, round(names * width / 7.7)) for row in range(rows)]
        _key(self.left, BUMPS, "05.map.measure.trace", "05.map.measure.top", "05.map.measure.adaptive")
        _key(self.right, HOMES, "05.map.home.noise", "05.map.home.still", "05.map.home.theory")

    def show(self, *settings: Setting) -> None:
        """Draw one setting in each row."""
        for row, setting in zip(self.rows, settings, strict=True):
            row.show(setting)


def _key(ax: Axes, signs: dict[str, tuple[str, str]], *keys: str) -> None:
    handles = [
        ax.plot([], [], marker, color=ink, ms=8, label=option_text(n, *keys))[0] for n, (marker, ink) in signs.items()
    ]
    look: dict[str, Any] = {"columnspacing": 0.7, "handletextpad": 0, "borderpad": 0, "frameon": False}
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.03, 1), ncols=3, fontsize=sheet.SMALL, **look)


class Row:
    """What is drawn of one setting."""

    def __init__(self, left: Axes, right: Axes, row: int, letters: int) -> None:
        self.letters = letters
        self.name = left.text(-0.02, row, "", transform=left.get_yaxis_transform(), ha="right", va="center",
                              fontsize=sheet.SMALL, animated=True, linespacing=1.15)  # fmt: skip
        self.points = {}
        for ax, signs in ((left, BUMPS), (right, HOMES)):
            for lane, (kind, (marker, colour)) in enumerate(signs.items()):
                self.points[kind] = Points(ax, row + 0.27 * (lane - 1), marker, colour, ax is left)

    def show(self, setting: Setting) -> None:
        """Draw bumps and walkers of a setting, and say whether its road is flat."""
        flat = option_text(
            "flat" if setting.flat else "not_flat", "05.map.flat", "05.map.not_flat", height=setting.height
        )
        home = setting.home()
        left = [text("05.map.leave", share=100 * setting.outside)] if home and setting.outside > LEFT else []
        self.name.set_text("\n".join([*textwrap.wrap(setting.title(), self.letters), flat, *left]))
        for kind, points in self.points.items():
            points.show(setting.bump(kind) if kind in BUMPS else 100 * home[kind] if home else None)


class Points:
    """Each pair as a small open sign, their mean with its error, and its number."""

    def __init__(self, ax: Axes, at: float, marker: str, colour: str, ratio: bool) -> None:
        self.at, self.ratio = at, ratio
        self.pairs = moving(ax, colour=colour, dash="", marker=marker, ms=4, mfc="none", mew=0.8, alpha=0.8)
        self.mean = moving(ax, colour=colour, dash="", marker=marker, ms=7)
        self.error = moving(ax, colour=colour, width=1.8)
        self.number = ax.text(
            1.01,
            at,
            "",
            transform=ax.get_yaxis_transform(),
            fontsize=sheet.SMALL,
            va="center",
            color=sheet.INK.get(colour, colour),
            animated=True,
        )

    def show(self, values: Tensor | None) -> None:
        """Draw values of the pairs, (pairs,), or nothing."""
        seen = values is not None and bool(values.isfinite().all())
        for artist in (self.pairs, self.mean, self.error, self.number):
            artist.set_visible(seen)
        if values is None or not seen:
            return
        value, error = (float(each) for each in over_pairs(values))
        self.pairs.set_data(values.numpy(), [self.at] * len(values))
        self.mean.set_data([value], [self.at])
        self.error.set_data([value - error, value + error], [self.at] * 2)
        self.number.set_text(f"{value:.2f}" if self.ratio else f"{round(value)} %")


def regimes(seed: int) -> Explorer:
    """Bump and way home, one thing after another turned off."""
    picture = Map(2)

    def render(**controls: str) -> tuple[Figure, str]:
        setting = chosen(**controls)
        picture.show(BASE, setting)
        return picture.figure, sentence(setting, controls)

    switches = [switch(name, ("on", "off")) for name in CONTROLS]
    more = [switch("road_norms", ("ends", "built")), switch("other_change", OTHERS)]
    return Explorer(render, [*switches, *more], title=text("05.map.title"), code=code)


def chosen(*, road_norms: str, other_change: str, **switches: str) -> Setting:
    """Return the setting that the controls ask for; a change of another kind was recorded with all switches on."""
    off = [name for control, name in CONTROLS.items() if switches[control] == "off"]
    return Setting("+".join(off) or "base" if other_change == "none" else other_change, road_norms == "ends")


def sentence(setting: Setting, controls: dict[str, str]) -> str:
    """Say the numbers of a setting, with their errors over the pairs, and what the controls could not do."""
    told = {measure: with_error(over_pairs(setting.bump(measure)), "all") for measure in BUMPS}
    home = {kind: over_pairs(100 * each) for kind, each in setting.home().items()}
    walk: dict[str, Any] = {kind: round(float(mean.value)) for kind, mean in home.items()}
    walk |= {f"{kind}_error": float(mean.error) for kind, mean in home.items()}
    made = recorded.load("regimes").recipe
    walk |= {"steps": made["steps"]["walk"], "k": made["walk"]["project_every"]}
    words = [text("05.map.walks", **walk) if home else text("05.map.no_walks")]
    if home and setting.outside > LEFT:
        words.append(text("05.map.left", share=100 * setting.outside))
    if controls["road_norms"] == "built" and not setting.unmatched:
        words.append(text("05.map.nothing_to_match"))
    if controls["other_change"] != "none" and "off" in controls.values():
        words.append(text("05.map.alone"))
    return text("05.map.sentence", name=setting.title(), **told, walks=" ".join(words))


def code(**controls: str) -> str:
    """Return lines that read the bump of the trace."""
    setting = chosen(**controls)
    key = f"{setting.name}/{'raw_' if setting.unmatched else ''}trace"
    return (
        "from entropic_edu import recorded\n"
        "from entropic_edu.recorded.regimes import bump\n"
        f'each = bump(recorded.load("regimes")["{key}"])  # three pairs; entropic-edu record regimes makes all\n'
        "print(each.mean(), each.std() / len(each) ** 0.5)"
    )

"""Round 1: curvature along the road, beside the same of digits; the button probes a few places of it now."""

from __future__ import annotations

from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import GREEN
from entropic_edu.physics.probe import Profile
from entropic_edu.recorded import cifar10
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from . import live
from .common import ALL, PAIRS, bump, code, even, hump, named, on_digits, over_ends, over_pairs, panel, written

FIELDS = {  # of a profile, "built" that of the road as built
    "trace": "trace",
    "built": "trace",
    "top": "top_eigenvalue",
    "adaptive": "adaptive_trace",
    "data_loss": "data_loss",
    "objective": "loss",
}
ROWS = ("trace", "top", "adaptive", "data_loss", "objective")  # of the panel at the right, from above
ROW_KEYS = ("09.row.trace", "09.row.top", "09.row.adaptive", "09.row.data_loss", "09.row.objective")
KEYS = (
    "09.quantity.trace",
    "09.quantity.built",
    "09.quantity.top",
    "09.quantity.adaptive",
    "09.quantity.data_loss",
    "09.quantity.objective",
)


def values(name: str) -> Tensor:
    """Return a quantity along the roads of all pairs, (P, n), float64."""
    return cifar10.along(FIELDS[name], "raw" if name == "built" else "profile")


class Width:
    """A quantity along the road over its ends at the left; at the right the bumps of all, photographs and digits."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        places, title = (0.06, 0.125, 0.4, 0.79), text("09.panel.ratio")
        self.ax = ax = panel(self.figure, places, title, text("09.axis.position"), xlim=(0, 1), ylim=(0, 4.2))
        ax.axhline(1, color=GREY, lw=1)
        self.singles = [moving(ax, colour=GREY, width=1, alpha=0.6) for _ in PAIRS]
        self.digits = Band(ax, colour=GREY, dash=":", label=text("09.label.digits"))
        self.run = Band(ax, label=text("09.label.photographs"))
        self.bet = Band(ax, colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction"))
        self.now = moving(ax, colour=GREEN, dash="", marker="D", ms=8, mfc="white", mew=2)
        right = panel(self.figure, (0.69, 0.125, 0.29, 0.79), text("09.panel.bumps"), text("09.axis.bump"))
        right.set(xlim=(0.7, 3.4), ylim=(-0.5, len(ROWS) - 0.5), yticks=range(len(ROWS)))
        right.set_yticklabels([option_text(row, *ROW_KEYS) for row in reversed(ROWS)])
        right.axvline(1, color=GREY, lw=1)
        right.tick_params(axis="y", length=0)
        self.bumps = [(moving(right, marker="o", ms=7), moving(right)) for _ in ROWS]
        heights = range(len(ROWS) - 1, -1, -1)
        for row, height in zip(ROWS, heights, strict=True):
            mean = over_pairs(bump(on_digits(FIELDS[row])))
            right.errorbar(mean.value, height - 0.2, xerr=mean.error, color=GREY, marker="s", ms=6, mfc="white")

    def show(self, name: str, pair: int | None, ghost: float | None) -> None:
        """Draw a quantity of one pair or the mean of all, that of the digits, and a predicted bump."""
        top = 7.0 if name == "built" else 4.2
        if self.ax.get_ylim()[1] != top:  # new limits draw the whole figure anew
            self.ax.set_ylim(0, top)
        each = over_ends(values(name))
        for number, line in enumerate(self.singles, start=1):
            line.set_data(even(each.shape[1]).numpy(), each[number - 1].numpy())
            line.set_visible(number != pair)
        self.run.show(even(each.shape[1]), over_pairs(each, pair))
        self.digits.show(even(21), None if name == "built" else over_pairs(over_ends(on_digits(FIELDS[name]))))
        self.bet.show(even(21), hump(ghost, even(21)))
        if ghost is not None:
            self.bet.name.set_position((0.36, min(ghost, top) + 0.03 * top))
        sheet.part(self.run, self.digits, gap=0.07)
        self.now.set_data([], [])
        for row, (point, bar) in enumerate(self.bumps):
            mean, error = (float(each) for each in over_pairs(bump(values(ROWS[-1 - row])), pair))
            point.set_data([mean], [row + 0.1])
            bar.set_data([mean - error, mean + error], [row + 0.1] * 2)

    def measured(self, profile: Profile, name: str, pair: int) -> None:
        """Draw what is measured now at a few places, over what was recorded of the ends."""
        found = getattr(profile, FIELDS[name]).double() / values(name)[pair - 1, [0, -1]].mean()
        self.now.set_data(profile.position.numpy(), found.numpy())


def width(seed: int) -> Explorer:
    """Show by how much the road is narrower in its middle, for each measure, beside digits."""
    picture = Width()

    def render(*, cifar_quantity: str, cifar_pair: int | None, ghost: float | None = None) -> tuple[Figure, str]:
        picture.show(cifar_quantity, cifar_pair, ghost)
        return picture.figure, sentence(cifar_quantity, cifar_pair)

    def show(profile: Profile, *, cifar_quantity: str, cifar_pair: int | None) -> tuple[Figure, str]:
        name, pair = "trace" if cifar_quantity == "built" else cifar_quantity, cifar_pair or 1
        picture.show(name, pair, None)
        picture.measured(profile, name, pair)
        return picture.figure, now(profile, name, pair)

    work = live.work(
        text("09.width.what"),
        lambda land, cifar_pair, **_: live.probed(land, (cifar_pair or 1) - 1, seed),
        show,
        lambda **_: live.POINTS,
        frame=True,
    )
    controls = [switch("cifar_quantity", tuple(FIELDS)), slider("cifar_pair", ALL, None)]
    return Explorer(render, controls, title=text("09.width.title"), code=lines, work=work)


def sentence(name: str, pair: int | None) -> str:
    """Say a quantity at the ends and in the middle, and its bump beside that of digits."""
    each, form = values(name), ".3f" if "loss" in FIELDS[name] else ".3g"
    known = {
        "pairs": named(pair),
        "quantity": option_text(name, *KEYS),
        "ends": f"{float(over_pairs(each[:, [0, -1]].mean(1), pair).value):{form}}",
        "middle": f"{float(over_pairs(each[:, each.shape[1] // 2], pair).value):{form}}",
        "bump": written(over_pairs(bump(each), pair)),
    }
    if name == "built":
        norm = cifar10.along("norm", "raw")
        return text("09.width.built", norm=written(over_pairs(norm[:, 3] / norm[:, [0, -1]].mean(1), pair)), **known)
    return text("09.width.sentence", digits=written(over_pairs(bump(on_digits(FIELDS[name])))), **known)


def now(profile: Profile, name: str, pair: int) -> str:
    """Say what is measured now, beside what was recorded at the same places."""
    known = {"pair": pair, "quantity": option_text(name, *KEYS), "seen": live.SEEN, "of": live.POINTS}
    found = getattr(profile, FIELDS[name]).double()
    if not profile.complete:
        return text("09.width.growing", done=len(found), **known)
    kept = values(name)[pair - 1, [0, 6, 12]]
    ratios = [float(each[1] / each[[0, 2]].mean()) for each in (found[[0, 2, 4]], kept)]
    return text("09.width.live", ratio=ratios[0], kept=ratios[1], **known)


def lines(*, cifar_quantity: str, cifar_pair: int | None) -> str:
    """Return code that reads the bump of the pairs."""
    field, which = FIELDS[cifar_quantity], ', "raw"' if cifar_quantity == "built" else ""
    return code(
        f'each = cifar10.along("{field}"{which})  # pairs, places',
        "middle = each[:, each.shape[1] // 3 : -(each.shape[1] // 3)]",
        "print(middle.mean(1) / each[:, [0, -1]].mean(1))  # the bump of each pair",
    )

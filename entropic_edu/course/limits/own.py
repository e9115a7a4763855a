"""Rounds 3 and 4: five roads of a network on the digits, what noise did on them, and what nobody has told yet."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, ORANGE, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.probe import Profile
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

PAIRS = (1, 2, 3, 4, 5)
RUNS = {8: "warm", 16: "base", 32: "cool", None: "still"}
VARIED = ("base", "often", "seldom", "free")
STARTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def profile(pair: int) -> Profile:
    """Return the profile of a pair's road; pairs count from 1."""
    measured: Profile = recorded.load("limits")[f"pair{pair - 1}/profile"]
    return measured


def tracks(pair: int, run: str) -> Tensor:
    """Return the mean position of the walkers of each start at each record, (R, 7)."""
    positions: Tensor = recorded.load("limits")[f"pair{pair - 1}/{run}"]
    return positions.double()


def noise_share(pair: int, run: str) -> float:
    """Return what part of the walk from 0.3 and 0.7 the noise makes, the mean of both; NaN without noise."""
    noisy, still = (tracks(pair, name)[:, [1, 5]] for name in (run, "still"))
    gone, alone = (track[-1] - track[0] for track in (noisy, still))
    return float((1 - alone / gone).mean())


def over_pairs(values: list[float]) -> Mean:
    """Return the mean over the pairs and its standard error: a pair is the unit, not a walker."""
    each = torch.tensor(values, dtype=torch.float64)
    return Mean(each.mean(), each.std() / len(each) ** 0.5)


def away(run: str, start: float) -> Mean:
    """Return the distance from the road at the end over its length, mean over the pairs."""
    recording = recorded.load("limits")
    return over_pairs([float(recording[f"pair{pair - 1}/{run}_away"][STARTS.index(start)]) for pair in PAIRS])


# --- round 3 ---------------------------------------------------------------------------------------------------------


class Roads:
    """The profile of one pair's road at the left, what walkers did on it at the right; the other pairs in grey."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        left = self.figure.add_axes((0.075, 0.13, 0.34, 0.74))
        right = self.figure.add_axes((0.6, 0.13, 0.285, 0.74))
        labelled(left, text("10.axis.road"), "", text("10.panel.profile")).set(xlim=(0, 1), ylim=(0, 5.2))
        labelled(right, text("axis.step"), "", text("10.panel.release")).set(xlim=(0, 720), ylim=(-0.02, 1.02))
        left.axhline(1, color="0.8", lw=1)
        left.text(0.02, 5.02, text("10.label.others"), color=GREY, fontsize=sheet.SMALL)
        self.others = [moving(left, colour="0.75", width=1) for _ in PAIRS]
        lines = (("trace", RED, "-"), ("top_eigenvalue", ORANGE, "--"), ("adaptive_trace", PURPLE, "-."))
        self.lines = {name: moving(left, colour=colour, dash=dash) for name, colour, dash in lines}
        inks = {RED: sheet.INK[RED], PURPLE: sheet.INK[PURPLE], ORANGE: BLACK}
        self.names = {
            name: sheet.end_label(
                left,
                option_text(name, "10.label.trace", "10.label.top_eigenvalue", "10.label.adaptive_trace"),
                inks[colour],
            )
            for name, colour, _ in lines
        }
        self.noisy = [moving(right, colour=BLUE) for _ in range(2)]
        self.still = [moving(right, colour=BLACK, dash=":") for _ in range(2)]
        self.ghost = [moving(right, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8) for _ in range(2)]
        self.words = [sheet.end_label(right, text("10.label.noisy"), BLUE) for _ in range(2)]
        self.alone = [sheet.end_label(right, text("10.label.still"), BLACK) for _ in range(2)]
        self.bet = right.text(360, 0.5, text("say.prediction"), color=GREY, fontsize=sheet.SMALL, animated=True)
        self.bet.set(ha="center", va="center")

    def show(self, pair: int, batch_size: int | None, ghost: float | None) -> None:
        """Draw a pair's road and its walkers from 0.3 and 0.7."""
        measured, run = profile(pair), RUNS[batch_size]
        for line, number in zip(self.others, PAIRS, strict=True):
            other = profile(number)
            line.set_data(other.position.numpy(), (other.trace / other.trace[[0, -1]].mean()).numpy())
        ends = []
        for name, line in self.lines.items():
            values = getattr(measured, name)
            height = values / values[[0, -1]].mean()
            line.set_data(measured.position.numpy(), height.numpy())
            ends.append((float(height[-1]), name))
        at = -1.0
        for height, name in sorted(ends):
            at = max(height, at + 0.3)
            self.names[name].set_position((1.02, at))
        self._walks(pair, run, ghost)

    def _walks(self, pair: int, run: str, ghost: float | None) -> None:
        step = recorded.load("limits")["step"].numpy()
        noisy, still = tracks(pair, run)[:, [1, 5]], tracks(pair, "still")[:, [1, 5]]
        alone, shown = run == "still", ghost is not None and run != "still"
        self.bet.set_visible(shown)
        for number, side in enumerate((-1, 1)):
            self.noisy[number].set_data(([], []) if alone else (step, noisy[:, number].numpy()))
            self.still[number].set_data(step, still[:, number].numpy())
            start, end, rest = (float(value) for value in (still[0, number], noisy[-1, number], still[-1, number]))
            self.words[number].set_visible(not alone)
            self.words[number].set_position((735, rest + 0.055 * side if side * (end - rest) < 0.055 else end))
            self.alone[number].set_position((735, rest))
            self.ghost[number].set_visible(shown)
            if ghost is not None:  # the walk of which the noise makes this share
                self.ghost[number].set_data([0, 720], [start, start + (rest - start) / (1 - ghost)])


def yours(seed: int) -> Explorer:
    """Return the explorer of five roads of the network of round 3, and of the walkers on them."""
    picture = Roads()

    def render(*, pair: int, batch_size: int | None, ghost: float | None = None) -> tuple[Figure, str]:
        picture.show(pair, batch_size, ghost)
        measured, run = profile(pair), RUNS[batch_size]
        bumps = over_pairs([profile(one).bump(profile(one).trace) for one in PAIRS])
        invariant = over_pairs([profile(one).bump(profile(one).adaptive_trace) for one in PAIRS])
        words = text(
            "10.yours.road",
            pair=pair,
            bump=measured.bump(measured.trace),
            mean=float(bumps.value),
            error=float(bumps.error),
            adaptive=float(invariant.value),
            adaptive_error=float(invariant.error),
        )
        rest = tracks(pair, "still")[-1]
        if batch_size is None:
            return picture.figure, f"{words} {text('10.yours.still', low=float(rest[1]), high=float(rest[5]))}"
        end, shares = tracks(pair, run)[-1], over_pairs([noise_share(one, run) for one in PAIRS])
        ends = {"low": float(end[1]), "high": float(end[5]), "low_rest": float(rest[1]), "high_rest": float(rest[5])}
        percent = {
            "share": 100 * noise_share(pair, run),
            "mean": 100 * float(shares.value),
            "error": 100 * float(shares.error),
        }
        return picture.figure, f"{words} {text('10.yours.noisy', batch_size=batch_size, **ends, **percent)}"

    return Explorer(
        render,
        [slider("pair", PAIRS, 1), slider("batch_size", tuple(RUNS), 16)],
        title=text("10.yours.title"),
        code=lambda pair, batch_size: _code(pair, RUNS[batch_size]),
    )


def _code(pair: int, run: str) -> str:
    """Return the lines that read a recorded release; the lesson's ten lines make one of its kind."""
    return (
        "from entropic_edu import recorded\n"
        'kept = recorded.load("limits")  # anew: entropic-edu record limits\n'
        f'profile, settings = kept["pair{pair - 1}/profile"], kept.recipe["drift"] | kept.recipe["varied"]["{run}"]\n'
        f'position = kept["pair{pair - 1}/{run}"]  # of ee.drift(land, road, batch_size=16, **settings), by start'
    )


# --- round 4 ---------------------------------------------------------------------------------------------------------


class Open:
    """How far walkers moved towards their end of the road, over the start: five pairs, their mean, and the control."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        ax = self.ax = self.figure.add_axes((0.1, 0.13, 0.7, 0.74))
        labelled(ax, text("10.axis.start"), "", text("10.panel.homeward")).set(xlim=(0.14, 0.86), ylim=(-0.47, 0.47))
        ax.axhline(0, color=GREY, lw=1)
        ax.axvline(0.5, color="0.8", lw=1, ls=":")
        ax.text(0.15, 0.42, text("10.label.pair"), color=GREY, fontsize=sheet.SMALL)
        self.pairs = moving(ax, colour="0.55", dash="", marker="x", ms=6, mew=1.3)
        self.mean, self.still = (
            sheet.Points(ax, size=9),
            moving(ax, colour=BLACK, dash=":", marker="s", ms=5, mfc="none"),
        )
        self.base = moving(ax, colour=RED, dash=DASHES[1], width=1.5)
        self.mark = moving(ax, colour=ORANGE, dash="", marker="o", ms=18, mfc="none", mew=2)
        self.ghost = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = ax.text(0.35, 0.36, text("say.prediction"), color=GREY, fontsize=sheet.SMALL, animated=True)
        self.names = {
            "mean": sheet.end_label(ax, text("10.label.mean"), BLUE),
            "still": sheet.end_label(ax, text("10.label.still"), BLACK),
            "base": sheet.end_label(ax, text("10.label.base"), RED),
        }

    def show(self, varied: str, start: float) -> None:
        """Draw one variation; a start is marked."""
        each = torch.tensor([_moves(varied, one) for one in STARTS], dtype=torch.float64)  # (7, 5)
        at = torch.tensor(STARTS, dtype=torch.float64)
        mean = Mean(each.mean(1), each.std(1) / each.shape[1] ** 0.5)
        self.mean.show(at, mean)
        self.pairs.set_data((at[:, None] + 0.012).expand_as(each).reshape(-1).numpy(), each.reshape(-1).numpy())
        still, base = (torch.tensor([_moves(run, one) for one in STARTS]).mean(1) for run in ("still", "base"))
        self.still.set_data(at.numpy(), still.numpy())
        self.base.set_visible(varied != "base")
        self.base.set_data(at.numpy(), base.numpy())
        place = STARTS.index(start)
        self.mark.set_data([start], [float(mean.value[place])])
        heights = {"mean": float(mean.value[-1]), "still": float(still[-1]), "base": float(base[-1])}
        self.names["base"].set_visible(varied != "base")
        level = -1.0
        for name in sorted(heights, key=heights.__getitem__):
            if name == "base" and varied == "base":
                continue
            level = max(heights[name], level + 0.055)
            self.names[name].set_position((0.865, level))

    def predicted(self, ghost: str | None) -> None:
        """Draw what was predicted for walkers that are put back every 45 steps only."""
        self.ghost.set_visible(ghost is not None)
        self.bet.set_visible(ghost is not None)
        if ghost is None:
            return
        at = torch.tensor(STARTS)
        homes = torch.where(at < 0.5, -at, torch.where(at > 0.5, 1 - at, torch.zeros_like(at)))
        levels = homes if ghost == "home" else torch.tensor([_moves(ghost, one) for one in STARTS]).mean(1)
        self.ghost.set_data(at.numpy(), levels.numpy())


@cache
def _moves(run: str, start: float) -> tuple[float, ...]:
    """Signed displacement along the road of each pair."""
    return tuple(float(tracks(pair, run)[-1, STARTS.index(start)]) - start for pair in PAIRS)


def open_questions(seed: int) -> Explorer:
    """Return the explorer of two open questions: other starts, and how often walkers are put back."""
    picture = Open()

    def render(*, varied: str, start_at: float, ghost: str | None = None) -> tuple[Figure, str]:
        picture.predicted(ghost if varied == "seldom" else None)
        picture.show(varied, start_at)
        moved = over_pairs(list(_moves(varied, start_at)))
        still, far = over_pairs(list(_moves("still", start_at))), away(varied, start_at)
        return picture.figure, option_text(
            "free" if varied == "free" else "held",
            "10.open.held",
            "10.open.free",
            how=option_text(varied, "10.open.how.base", "10.open.how.often", "10.open.how.seldom", "10.open.how.free"),
            start=start_at,
            moved=float(moved.value),
            error=float(moved.error),
            still=float(still.value),
            still_error=float(still.error),
            up=sum(move > 0 for move in _moves(varied, start_at)),
            far=100 * float(far.value),
            far_error=100 * float(far.error),
        )

    return Explorer(
        render,
        [switch("varied", VARIED), slider("start_at", STARTS, 0.7)],
        title=text("10.open.title"),
        code=lambda varied, start_at: (
            "from entropic_edu import recorded\n"
            'kept = recorded.load("limits")  # anew: entropic-edu record limits\n'
            f'settings = kept.recipe["drift"] | kept.recipe["varied"]["{varied}"]  # of ee.drift(..., batch_size=16)\n'
            f'start = kept.recipe["starts"].index({start_at})\n'
            f'moved = torch.stack([kept[f"pair{{pair}}/{varied}"][-1, start] for pair in range(5)]) - {start_at}'
        ),
    )

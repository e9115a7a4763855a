"""Round 4: two open questions on the five roads, judged by the learner's rule."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from entropic_edu.figures.plots import BLUE, DASHES, ORANGE, RED
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import CONTROL, GHOST, GREY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Written, Yours

from .kept import signed
from .roads import READ, STARTS, VARIED, away, conclude, moves

HOW_KEYS = ("10.open.how.base", "10.open.how.often", "10.open.how.seldom", "10.open.how.free")
VERDICTS = ("home", "inward", "cannot tell")
VERDICT_KEYS = ("10.open.verdict.0", "10.open.verdict.1", "10.open.verdict.2")
MARKERS = ("^", "v", "o")
AT = torch.tensor(STARTS, dtype=torch.float64)
BASE, PAIR = Role(RED, DASHES[1], 1.5, "10.label.base"), Role("0.55", "", marker="x")
OPEN = {
    "moved": Panel((0.1, 0.13, 0.7, 0.74), "10.panel.homeward", "10.axis.start", (0.14, 0.86), (-0.47, 0.47), zero=True,
                   once=lambda ax: ax.axvline(0.5, color="0.8", lw=1, ls=":")),
}  # fmt: skip


def homeward(run: str, start: float) -> Tensor:
    """Return displacements towards the own end, (5,); from the middle, to the right."""
    return moves(run, start) * (-1 if start < 0.5 else 1)


def ruled(yours: Written) -> Yours:
    """Return the learner's rule as a number of ``VERDICTS``, with the library's behind it."""

    def number(moved: Tensor) -> Any:
        assert yours is not None
        given = yours(moved.tolist())
        return torch.tensor(VERDICTS.index(given)) if isinstance(given, str) else given

    return Yours(None if yours is None else number, lambda moved: torch.tensor(VERDICTS.index(conclude(moved))))


def draw_open(sheet: Sheet, state: Any, ghost: str | None = None) -> None:
    """Draw how far walkers of each start moved: pairs, mean, control; the marker of the mean tells the verdict."""
    pen, each = sheet["moved"], torch.stack([moves(state.varied, start) for start in STARTS])
    mean = Mean.over(each)
    pen.points((AT[:, None] + 0.012).expand_as(each).reshape(-1), each.reshape(-1), PAIR, mew=1.3)
    still = torch.stack([moves("still", start) for start in STARTS]).mean(1)
    pen.line(AT, still, CONTROL, "10.label.still", marker="s", ms=5, mfc="none")
    if state.varied != "base":
        pen.line(AT, torch.stack([moves("base", start) for start in STARTS]).mean(1), BASE)
    pen.line(AT, mean.value, Role(BLUE, (0, (1, 6)), 1, "10.label.mean"))
    for place, verdict in enumerate(state.verdicts):
        pen.points(AT[[place]], mean.at([place]), Role(BLUE, marker=MARKERS[verdict]), ms=9)
    start = STARTS.index(state.start_at)
    pen.line(AT[[start]], mean.value[[start]], Role(ORANGE, ""), "", marker="o", ms=18, mfc="none", mew=2)
    pen.note(0.15, 0.42, "10.label.pair", Role(GREY))
    if ghost is not None and state.varied == "seldom":
        whole = torch.where(AT < 0.5, -AT, torch.where(AT > 0.5, 1 - AT, 0 * AT))
        bet = whole if ghost == "home" else torch.stack([moves(ghost, one) for one in STARTS]).mean(1)
        pen.line(AT, bet, GHOST, "", lw=4)
        pen.note(0.35, 0.36, GHOST.label, GHOST)


def words_open(state: Any) -> str:
    """Say how far walkers of one start moved, how far from the road they end, and what one may conclude."""
    run, start = state.varied, state.start_at
    known = {"how": option_text(run, *HOW_KEYS), "start": start, "far": 100 * away(run, start)}
    known |= {"moved": signed(Mean.over(moves(run, start))), "still": signed(Mean.over(moves("still", start)))}
    known["up"] = int((moves(run, start) > 0).sum())
    said = text("10.open.free" if run == "free" else "10.open.held", **known)
    verdict = text(VERDICT_KEYS[state.verdicts[STARTS.index(start)]])
    return f"{said} {text('10.open.verdict.said', verdict=verdict)} {state.note}".strip()


CODE = f"""{READ}
settings = kept.recipe["drift"] | kept.recipe["varied"]["{{state.varied}}"]  # of ee.drift(..., batch_size=16)
start = kept.recipe["starts"].index({{state.start_at}})
moved = torch.stack([kept[f"pair{{{{pair}}}}/{{state.varied}}"][-1, start] for pair in range(5)]) - {{state.start_at}}
"""


def open_questions(seed: int, yours: Written = None) -> Explorer:
    """Return the explorer of two open questions: other starts, and how often walkers are put back."""
    rule = ruled(yours)

    def state(varied: str, start_at: float) -> dict[str, Any]:
        return {"verdicts": [int(rule(homeward(varied, start))) for start in STARTS], "note": rule.note}

    controls = [switch("varied", VARIED), slider("start_at", STARTS, 0.7)]
    return Explorer(draw_open, controls, OPEN, words_open, state=state, title="10.open.title", code=CODE)

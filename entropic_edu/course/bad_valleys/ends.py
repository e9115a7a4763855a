"""The opening: what the good and the bad network read in the same new digits, side by side."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import torch
from torch import Tensor

from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

from .common import FROM, kept, land

PAGES = (1, 2, 3, 4, 5, 6)
EACH = 12  # digits on a page
NETWORKS = ("good", "bad")
PANELS = {
    f"digit{number}": Panel((0.012 + 0.165 * (number % 6), 0.66 - 0.5 * (number // 6), 0.15, 0.32),
                            xlim=(-0.5, 7.5), ylim=(7.5, -0.5), once=lambda ax: ax.set_axis_off())
    for number in range(EACH)
}  # fmt: skip


def held_out() -> tuple[Tensor, Tensor]:
    """Return the held-out digits and their labels."""
    test = land().test
    assert test is not None
    return test


@cache
def answers() -> Tensor:
    """Return what the good and the bad network of pair 1 answer to the held-out digits, (2, 500)."""
    with torch.no_grad():
        return torch.stack([land().outputs(theta, held_out()[0]).argmax(-1) for theta in kept("road").pivots[[0, -1]]])


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw a page of digits, and beneath each what both networks read."""
    pixels, labels = held_out()
    for place in range(EACH):
        number, pen = EACH * (state.bad_page - 1) + place, sheet[f"digit{place}"]
        pen.keep(pen.ax.imshow(pixels[number].view(8, 8).numpy(), cmap="cividis_r", vmin=0, vmax=1))
        for row, name in enumerate(NETWORKS):
            answer = int(answers()[row, number])
            right = answer == int(labels[number])
            mark = option_text("right" if right else "wrong", "08.ends.right", "08.ends.wrong")
            said = f"{option_text(name, '08.ends.good', '08.ends.bad')} {answer} {mark}"
            where = {"transform": pen.ax.transAxes, "ha": "center", "va": "top", "fontsize": 12}
            pen.note(0.5, -0.04 - 0.2 * row, said, Role(BLUE if right else RED), **where)  # type: ignore[arg-type]


def words(state: SimpleNamespace) -> str:
    """Say how many digits each network reads, on the page and in all."""
    first = EACH * (state.bad_page - 1)
    right = answers() == held_out()[1]
    good, bad = right[:, first : first + EACH].sum(1).tolist()
    all_good, all_bad = right.sum(1).tolist()
    known = {"first": first + 1, "last": first + EACH, "train": len(land().x)}
    return text("08.ends.sentence", good=good, bad=bad, all_good=all_good, all_bad=all_bad, **known)


CODE = f"""{FROM}
land, (good, bad) = recorded.bad_minima.landscape(), kept["road"].pivots[[0, -1]]
land.accuracy(bad), land.accuracy(good, "test"), land.accuracy(bad, "test")
"""


def ends(seed: int) -> Explorer:
    """Two networks that fit all training digits, and what they read in new ones."""
    return Explorer(draw, [slider("bad_page", PAGES, 1)], PANELS, words, title="08.ends.title", code=CODE, height=390)

"""The opening: what the good and the bad network read in the same new digits, side by side."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure

from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.strings import option_text, text

from .common import FROM, kept, land

PAGES = (1, 2, 3, 4, 5, 6)
EACH = 12  # digits on a page
INK = {True: BLUE, False: sheet.INK[RED]}
NETWORKS = ("good", "bad")


@cache
def answers() -> torch.Tensor:
    """Return what the good and the bad network of pair 1 answer to the held-out digits, (2, 500)."""
    test = land().test
    assert test is not None
    with torch.no_grad():
        return torch.stack([land().outputs(theta, test[0]).argmax(-1) for theta in kept("road").pivots[[0, -1]]])


class Ends:
    """Twelve held-out digits, under each what both networks read."""

    def __init__(self) -> None:
        self.figure = sheet.figure(height=390)
        test = land().test
        assert test is not None
        self.pixels, self.labels = test[0].view(-1, 8, 8), test[1]
        self.places = []
        for number in range(EACH):
            row, place = divmod(number, 6)
            ax = self.figure.add_axes((0.012 + 0.165 * place, 0.66 - 0.5 * row, 0.15, 0.32))
            ax.set_axis_off()
            shown = ax.imshow(
                self.pixels[0].numpy(), cmap="cividis_r", vmin=0, vmax=1, animated=True, interpolation="nearest"
            )
            style: Any = {"ha": "center", "va": "top", "fontsize": 12, "animated": True, "transform": ax.transAxes}
            self.places.append((shown, [ax.text(0.5, -0.04 - 0.2 * line, "", **style) for line in range(2)]))

    def show(self, page: int) -> list[int]:
        """Draw a page of digits; return how many of them each network reads as they are labelled."""
        first, right = EACH * (page - 1), [0, 0]
        for number, (shown, names) in enumerate(self.places, start=first):
            shown.set_data(self.pixels[number].numpy())
            for which, name in enumerate(names):
                answer, truth = int(answers()[which, number]), int(self.labels[number])
                right[which] += answer == truth
                network = option_text(NETWORKS[which], "08.ends.good", "08.ends.bad")
                mark = option_text("right" if answer == truth else "wrong", "08.ends.right", "08.ends.wrong")
                name.set_text(f"{network} {answer} {mark}")
                name.set_color(INK[answer == truth])
        return right


def ends(seed: int) -> Explorer:
    """Two networks that fit all training digits, and what they read in new ones."""
    picture = Ends()

    def render(*, bad_page: int) -> tuple[Figure, str]:
        good, bad = picture.show(bad_page)
        every = [int((row == picture.labels).sum()) for row in answers()]
        return picture.figure, text(
            "08.ends.sentence",
            train=len(land().x),
            first=EACH * (bad_page - 1) + 1,
            last=EACH * bad_page,
            good=good,
            bad=bad,
            all_good=every[0],
            all_bad=every[1],
        )

    def code(*, bad_page: int) -> str:
        return (
            FROM + 'land, (good, bad) = recorded.bad_minima.landscape(), kept["road"].pivots[[0, -1]]\n'
            'land.accuracy(bad), land.accuracy(good, "test"), land.accuracy(bad, "test")'
        )

    return Explorer(render, [slider("bad_page", PAGES, 1)], title=text("08.ends.title"), code=code)

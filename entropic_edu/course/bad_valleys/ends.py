"""The opening: what the good and the bad network read in digits that neither has seen."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.figure import Figure

from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.strings import option_text, text

from .common import FROM, kept, land

PAGES = (1, 2, 3, 4, 5, 6)
EACH = 12  # digits on a page
INK = {True: BLUE, False: sheet.INK[RED]}


@cache
def answers(network: str) -> torch.Tensor:
    """Return what a network of pair 0 answers to the held-out digits, (500,)."""
    here = land("cross_entropy")
    assert here.test is not None
    with torch.no_grad():
        return here.outputs(kept(f"cross_entropy/{network}"), here.test[0]).argmax(-1)


class Ends:
    """Twelve held-out digits, under each what the network reads."""

    def __init__(self) -> None:
        self.figure = sheet.figure(height=380)
        here = land("cross_entropy")
        assert here.test is not None
        self.pixels, self.labels = here.test[0].view(-1, 8, 8), here.test[1]
        self.places = []
        for number in range(EACH):
            row, place = divmod(number, 6)
            ax = self.figure.add_axes((0.02 + 0.163 * place, 0.6 - 0.48 * row, 0.145, 0.36))
            ax.set_axis_off()
            shown = ax.imshow(
                self.pixels[0].numpy(), cmap="cividis_r", vmin=-1, vmax=2, animated=True, interpolation="nearest"
            )
            name = ax.text(
                0.5,
                -0.03,
                "",
                ha="center",
                va="top",
                fontsize=12,
                animated=True,
                transform=ax.transAxes,
                linespacing=1.1,
            )
            self.places.append((shown, name))

    def show(self, network: str, page: int) -> int:
        """Draw a page of digits; return how many of them the network reads as they are labelled."""
        answered = answers(network)
        first, right = EACH * (page - 1), 0
        for number, (shown, name) in enumerate(self.places, start=first):
            truth, answer = int(self.labels[number]), int(answered[number])
            shown.set_data(self.pixels[number].numpy())
            right += truth == answer
            kind = "right" if truth == answer else "wrong"
            name.set_text(option_text(kind, "08.ends.right", "08.ends.wrong", answer=answer, truth=truth))
            name.set_color(INK[truth == answer])
        return right


def ends(seed: int) -> Explorer:
    """Two networks that fit all training digits, and what they read in new ones."""
    picture = Ends()
    here = land("cross_entropy")

    def render(*, bad_network: str, bad_page: int) -> tuple[Figure, str]:
        right = picture.show(bad_network, bad_page)
        theta = kept(f"cross_entropy/{bad_network}")
        with torch.no_grad():
            loss = float(here.data_loss(theta))
        return picture.figure, text(
            "08.ends.sentence",
            network=option_text(bad_network, "08.ends.good", "08.ends.bad"),
            loss=loss,
            train=int((here.accuracy(theta) * len(here.x)).round()),
            first=EACH * (bad_page - 1) + 1,
            last=EACH * bad_page,
            right=right,
            test=int((answers(bad_network) == picture.labels).sum()),
        )

    def code(*, bad_network: str, bad_page: int) -> str:
        return (
            FROM + "land = recorded.bad_minima.landscape('cross_entropy')\n"
            f'theta = kept["cross_entropy/{bad_network}"]\n'
            'land.loss(theta), land.accuracy(theta), land.accuracy(theta, "test")'
        )

    return Explorer(
        render,
        [switch("bad_network", ("good", "bad"), "bad"), slider("bad_page", PAGES, 1)],
        title=text("08.ends.title"),
        code=code,
    )

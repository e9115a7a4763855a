"""The walker player: a crowd of walkers that moves over a picture, on a canvas in the page.

The kernel sends the whole run once; the browser plays it (``player.js``) and tells Python which record it shows. Where
no widget can run, on GitHub or on paper, a filmstrip of four moments stands in its place.
"""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import traitlets
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from entropic_edu.figures.pixels import RENDER

from .strings import option_text, text

try:
    import anywidget
except ImportError as error:
    raise ImportError('The player needs anywidget; install it with: pip install "entropic-edu[lab]"') from error

Kind = Literal["plan", "histogram", "curve"]

BLUE = "#0072B2"  # of the crowd, as in player.js
DOT = 3.2  # radius of a walker at full size, CSS pixels, as in player.js
STRIP_WIDTH, STRIP_DPI = 8.3, 120  # inches: the text width of an A4 page
MOMENTS = 4

STYLE = Path(__file__).with_name("player.css").read_text("utf-8")


@dataclass(frozen=True, eq=False)
class Panel:
    """Where an axes stands on the background picture, and what the player draws there.

    A "plan" shows the walkers, a "histogram" their density along the floor (shares of the crowd over the width of a
    bar), and a "curve" where the mean of each group stands on a curve that is drawn already.
    """

    kind: Kind
    rect: tuple[float, float, float, float]  # left, bottom, width, height as shares: ``ax.get_position().bounds``
    x: tuple[float, float]  # data limits of the axes, left and right
    y: tuple[float, float]  # data limits, bottom and top
    curve: Tensor | None = None  # its points in order of x, (N, 2)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"A panel is of the kind {', '.join(get_args(Kind))}, got {self.kind!r}.")
        left, bottom, width, height = self.rect
        if not (0 <= left < left + width <= 1 + 1e-9 and 0 <= bottom < bottom + height <= 1 + 1e-9):
            wanted = "rect is left, bottom, width and height of an axes inside the picture, in shares of it"
            raise ValueError(f"{wanted}, got {self.rect}; ax.get_position().bounds gives it.")
        for name, limits in (("x", self.x), ("y", self.y)):
            if not (all(map(math.isfinite, limits)) and limits[0] != limits[1]):
                raise ValueError(f"The limits {name} of a panel are two finite numbers that differ, got {limits}.")
        if (self.curve is not None) != (self.kind == "curve"):
            raise ValueError(f"A curve belongs to the kind 'curve' and to no other; this panel is a {self.kind!r}.")
        if self.curve is not None and (self.curve.ndim != 2 or self.curve.shape[1] != 2):
            raise ValueError(f"curve holds points, shape (N, 2), got {tuple(self.curve.shape)}.")


class Player(anywidget.AnyWidget):
    """A crowd of walkers that plays, pauses and can be stepped through. It never starts by itself.

    Records are played at equal intervals of time, whatever steps lie between them.

    Args:
        walkers: Coordinates of each walker on the plan, (R, W, 2): first to the right, then upwards. A walker that is
            not finite is not drawn.
        along: Coordinate of each walker along the floor, the x of histograms and curves, (R, W).
        step: Steps at the records, (R,).
        background: PNG with axes, fields, curves and labels.
        width, height: Of the picture at full size, CSS pixels; it shrinks with the page.
        panels: What to draw where; one of them at least a plan.
        sentences: What each record shows, with numbers; R of them.
        seconds: Time that the run takes at speed 1.
        groups: Walkers of each group, in the order of the columns, and whether its mean is a filled dot (it is a ring
            else): a crowd that splits has no mean worth showing. None is one group.
        title: What the player is about; for screen readers and for the filmstrip.

    Raises:
        ValueError: If shapes do not fit, there is no plan, or ``background`` is no PNG.
    """

    _esm = Path(__file__).with_name("player.js")
    _css = STYLE

    # echo_update=False: a kernel that is busy answers late, and the answer would throw the player back
    frame = traitlets.Int(0, help="The record that is shown.").tag(sync=True, echo_update=False)
    title = traitlets.Unicode().tag(sync=True)
    _plan = traitlets.Bytes().tag(sync=True)  # float32, (R, W, 2)
    _along = traitlets.Bytes().tag(sync=True)  # float32, (R, W)
    _steps: traitlets.List[int] = traitlets.List().tag(sync=True)
    _sentences: traitlets.List[str] = traitlets.List().tag(sync=True)
    _background = traitlets.Bytes().tag(sync=True)
    _size: traitlets.List[int] = traitlets.List().tag(sync=True)
    _panels: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    _seconds = traitlets.Float().tag(sync=True)
    _groups: traitlets.List[list[Any]] = traitlets.List().tag(sync=True)
    _words = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        walkers: Tensor,
        *,
        along: Tensor,
        step: Sequence[int],
        background: bytes,
        width: int,
        height: int,
        panels: Sequence[Panel],
        sentences: Sequence[str],
        seconds: float = 10.0,
        groups: Sequence[tuple[int, bool]] | None = None,
        title: str = "",
    ) -> None:
        if walkers.ndim != 3 or walkers.shape[-1] != 2 or not len(walkers):
            wanted = "walkers holds two coordinates of each walker at each record, shape (R, W, 2) with R >= 1"
            raise ValueError(f"{wanted}, got {tuple(walkers.shape)}.")
        if along.shape != walkers.shape[:2]:
            wanted = f"along holds one coordinate of each walker at each record, here {tuple(walkers.shape[:2])}"
            raise ValueError(f"{wanted}, got {tuple(along.shape)}.")
        for name, given in (("step", step), ("sentences", sentences)):
            if len(given) != len(walkers):
                raise ValueError(f"{name} needs one entry for each of the {len(walkers)} records, got {len(given)}.")
        groups = [(walkers.shape[1], True)] if groups is None else list(groups)
        if sum(size for size, _ in groups) != walkers.shape[1]:
            wanted = f"groups holds each of the {walkers.shape[1]} walkers once"
            raise ValueError(f"{wanted}, got groups of {', '.join(str(size) for size, _ in groups)}.")
        plans = [panel for panel in panels if panel.kind == "plan"]
        if not plans:
            raise ValueError(f"The player needs a panel of the kind 'plan', got {[panel.kind for panel in panels]}.")
        if not (seconds > 0 and width > 0 and height > 0):
            raise ValueError(f"seconds, width and height are positive, got {seconds}, {width} and {height}.")
        if not background.startswith(b"\x89PNG"):
            raise ValueError(f"background is the bytes of a PNG, got {background[:8]!r}; write the figure with png.")
        steps = [int(number) for number in step]
        self._walkers, self._plan_shown = walkers.detach().cpu().float(), plans[0]
        super().__init__(
            title=title,
            _plan=_bytes(walkers),
            _along=_bytes(along),
            _steps=steps,
            _sentences=list(sentences),
            _background=background,
            _size=[width, height],
            _panels=[_plain(panel) for panel in panels],
            _seconds=float(seconds),
            _groups=[[size, bool(filled)] for size, filled in groups],
            _words=_words(panels, steps[-1], len(groups) > 1),
        )

    @property
    def sentence(self) -> str:
        """What the shown record says."""
        return str(self._sentences[self.frame])

    @property
    def filmstrip(self) -> bytes:
        """Four moments of the plan side by side, from the first record to the last, as a PNG."""
        moments = sorted({round((len(self._steps) - 1) * i / (MOMENTS - 1)) for i in range(MOMENTS)})
        panel, field = self._plan_shown, _cut(self._background, self._plan_shown)
        shown = panel.rect[2] * self._size[0]  # width of the plan in the player, CSS pixels
        gap, sentence, above = 0.012, textwrap.fill(self._sentences[-1], 92), 0.62 if self.title else 0.34
        share = (1 - gap * (MOMENTS + 1)) / MOMENTS  # of the width, for one moment
        wide = share * STRIP_WIDTH
        tall = wide * field.height / field.width
        high = above + tall + 0.12 + 0.19 * len(sentence.splitlines())
        radius = max(DOT * wide * 72 / shown, 1.6)  # points; in full scale the dots would be specks
        with RENDER:
            figure = Figure(figsize=(STRIP_WIDTH, high), dpi=STRIP_DPI)
            start = (1 - len(moments) * (share + gap) + gap) / 2
            for i, moment in enumerate(moments):
                ax = figure.add_axes((start + i * (share + gap), 1 - (above + tall) / high, share, tall / high))
                ax.imshow(field, extent=(*panel.x, *panel.y), aspect="auto", interpolation="antialiased")
                x, y = self._walkers[moment].unbind(-1)
                seen = x.isfinite() & y.isfinite()
                dots = ax.scatter(x[seen], y[seen], s=(2 * radius) ** 2, c=BLUE, alpha=0.8, edgecolors="white", lw=0.4)
                dots.set_snap(False)  # at this size whole pixels would make squares of them
                ax.set(xlim=panel.x, ylim=panel.y, xticks=[], yticks=[])
                ax.set_title(text("player.moment", step=self._steps[moment]), fontsize=11, pad=4, parse_math=False)
            figure.text(0.5, 1 - 0.08 / high, self.title, fontsize=12, ha="center", va="top", parse_math=False)
            figure.text(gap, 0.06 / high, sentence, fontsize=11, va="bottom", linespacing=1.15, parse_math=False)
            figure.savefig(file := io.BytesIO(), format="png", metadata={"Software": None})
        return file.getvalue()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        last = self._sentences[-1]
        words = text("player.described", title=self.title, sentence=last) if self.title else last
        picture = base64.b64encode(self.filmstrip).decode("ascii")
        return {**data, "image/png": picture, "text/plain": words}, metadata

    @traitlets.validate("frame")
    def _check_frame(self, proposal: Mapping[str, Any]) -> int:
        frame, last = int(proposal["value"]), max(0, len(self._steps) - 1)
        if not 0 <= frame <= last:
            raise traitlets.TraitError(f"frame is the number of a record, 0 to {last}, got {frame}.")
        return frame


def _bytes(values: Tensor) -> bytes:
    """Return values as float32, which a canvas needs no more of, in the order of memory of all browsers."""
    return bytes(values.detach().cpu().numpy().astype("<f4").tobytes())


def _plain(panel: Panel) -> dict[str, Any]:
    """Return a panel in numbers and lists; points of the curve that are not finite are left out: JSON has none."""
    curve = [] if panel.curve is None else panel.curve[panel.curve.isfinite().all(-1)].tolist()
    return {"kind": panel.kind, "rect": list(panel.rect), "x": list(panel.x), "y": list(panel.y), "curve": curve}


def _words(panels: Sequence[Panel], last: int, grouped: bool) -> dict[str, str]:
    """Return all words of the controls, and the key to what the panels show."""
    kinds = dict.fromkeys("groups" if grouped and panel.kind == "curve" else panel.kind for panel in panels)
    plain = ("player.play", "player.pause", "player.again", "player.scrub", "player.speed", "player.still")
    keys = ("player.key.plan", "player.key.histogram", "player.key.curve", "player.key.groups")
    shown = [option_text(kind, *keys) for kind in kinds]
    return {
        **{key.removeprefix("player."): text(key) for key in plain},
        "step": text("player.step", step="{step}", last=last),  # the page fills in the step
        "key": " ".join([*shown, text("player.keys")]),
    }


def _cut(background: bytes, panel: Panel) -> Image.Image:
    picture = Image.open(io.BytesIO(background)).convert("RGB")
    left, bottom, width, height = panel.rect
    x, y = left * picture.width, (1 - bottom - height) * picture.height
    right, lower = math.floor(x + width * picture.width), math.floor(y + height * picture.height)
    return picture.crop((math.ceil(x), math.ceil(y), right, lower))

"""The explorer: controls over a pure function ``render(**controls) -> (figure, sentence)``, on the page or without one.

Callbacks of a notebook may come on any thread, so figures are object-oriented, all drawing holds one lock, and work of
more than half a second goes to a ``work.Job``. Everything a mouse can do is a method too: tests and headless runs use
those.
"""

from __future__ import annotations

import base64
import html
import inspect
import io
import textwrap
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as Pixels

from .snapshot import Snapshot
from .strings import find, text
from .work import Job

try:
    import ipywidgets as W
except ImportError as error:
    raise ImportError('Explorers need ipywidgets; install it with: pip install "entropic-edu[lab]"') from error

if TYPE_CHECKING:
    from matplotlib.artist import Artist

RENDER = threading.RLock()  # matplotlib's caches are shared by all figures: one drawing at a time
KEPT = 64  # drawn states that an explorer remembers, about 60 kB each
DPI = 144  # 1.5 pixels for each CSS pixel: sharp on a laptop, and quick to send


class Bet(Protocol):
    """What an explorer asks of a prediction that covers it."""

    @property
    def open(self) -> bool: ...
    @property
    def ghost(self) -> Any: ...
    def on_open(self, callback: Callable[[], object], /) -> None: ...


class Drawn(NamedTuple):
    """A state of an explorer: its picture and its sentence."""

    png: bytes
    sentence: str


@dataclass(frozen=True)
class Control:
    """One thing to turn; ``slider`` and ``switch`` make them.

    Attributes:
        name: The keyword of ``render``; its words are at ``control.<name>``: ``label``, and one for each option that is
            not a number.
        options: All values it can take, in the order of the page.
        default: The value at first.
        form: Slider for an ordered quantity, switch for a choice of a few.
    """

    name: str
    options: tuple[Any, ...]
    default: Any
    form: str

    def __post_init__(self) -> None:
        if self.default not in self.options:
            raise ValueError(f"The default of control {self.name!r} must be one of {self.options}, got {self.default}.")

    @property
    def label(self) -> str:
        return text(f"control.{self.name}.label")

    def shown(self, value: Any) -> str:
        """Return how the page writes a value."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{value:,}" if isinstance(value, int) else f"{value:g}"
        return text(f"control.{self.name}.{'none' if value is None else value}")


def slider(name: str, options: Sequence[Any], default: Any) -> Control:
    """Return a slider over meaningful values of one quantity; None stands for an option that is no number."""
    return Control(name, tuple(options), default, "slider")


def switch(name: str, options: Sequence[str], default: str | None = None) -> Control:
    """Return a choice of a few named options; the first is the default."""
    return Control(name, tuple(options), options[0] if default is None else default, "switch")


@dataclass(frozen=True)
class Work:
    """Long work that a button starts.

    Attributes:
        stream: ``stream(**controls)`` yields snapshots, several a second.
        show: ``show(result, **controls)`` returns figure and sentence of what there is, complete or not.
        units: ``units(**controls)``: how many units, ``Snapshot.total``, the work has; for the estimate of its time.
    """

    stream: Callable[..., Iterator[Snapshot[Any]]]
    show: Callable[..., tuple[Figure, str]]
    units: Callable[..., int]


class Explorer:
    """Controls, the picture they make, a sentence with its numbers, and the code that does the same.

    Args:
        render: Pure: the same controls give the same figure and sentence. It may keep one figure and move its animated
            artists: only these are then drawn again. Where it has a parameter ``ghost`` it is given what the learner
            predicted, where ``pinned`` the controls of a run to compare with, or None.
        controls: In the order of the page.
        title: Names the explorer in its alternative text.
        code: ``code(**controls)`` returns the lines of code that make the same numbers.
        work: What the button "run live" does.

    Attributes:
        values: The controls now, by name.
    """

    def __init__(
        self,
        render: Callable[..., tuple[Figure, str]],
        controls: Sequence[Control],
        *,
        title: str = "",
        code: Callable[..., str] | None = None,
        work: Work | None = None,
    ) -> None:
        self.controls = tuple(controls)
        self.title, self.code, self.work = title, code, work
        self.values: dict[str, Any] = {control.name: control.default for control in self.controls}
        self.job: Job[Any] | None = None
        accepted = inspect.signature(render).parameters
        self._render, self._takes = render, {name for name in ("ghost", "pinned") if name in accepted}
        self._bet: Bet | None = None
        self._pinned: dict[str, Any] | None = None
        self._cache: OrderedDict[Any, Drawn] = OrderedDict()
        self._live: Drawn | None = None
        self._per_unit: float | None = None
        self._page: _Page | None = None

    # --- what it shows -----------------------------------------------------------------------------------------

    def draw(self, **controls: Any) -> Drawn:
        """Return picture and sentence of a state, the other controls as they are, and change nothing on the page.

        Raises:
            ValueError: If there is no such control, or a control has no such option.
        """
        values = self.values | self._checked(controls)
        extra = {"ghost": self.ghost, "pinned": self._pinned}
        extra = {name: extra[name] for name in self._takes}
        key = (tuple(values.items()), repr(sorted(extra.items())))
        with RENDER:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            figure, sentence = self._render(**values, **extra)
            drawn = self._cache[key] = Drawn(png(figure), sentence)
            if len(self._cache) > KEPT:
                self._cache.popitem(last=False)
        return drawn

    def set(self, **controls: Any) -> str:
        """Turn controls, show the new picture, and return its sentence.

        Raises:
            ValueError: If there is no such control, or a control has no such option.
        """
        self.values |= self._checked(controls)
        self._live = None
        drawn = self.draw()
        if self._page is not None:
            self._page.follow()
            self._page.show(drawn)
        return drawn.sentence

    @property
    def shown(self) -> Drawn:
        """What stands on the page: the result of live work, or else the state of the controls."""
        return self._live or self.draw()

    @property
    def sentence(self) -> str:
        """The sentence under the picture."""
        return self.shown.sentence

    @property
    def ghost(self) -> Any:
        """What the learner predicted, where the explorer waits for a prediction and one was made."""
        return self._bet.ghost if self._bet is not None and self._bet.open else None

    def states(self) -> Iterator[dict[str, Any]]:
        """Yield the first state, and every option of every control with the others as at first."""
        first = {control.name: control.default for control in self.controls}
        yield first
        for control in self.controls:
            for option in control.options:
                if option != control.default:
                    yield first | {control.name: option}

    def _checked(self, controls: dict[str, Any]) -> dict[str, Any]:
        known = {control.name: control for control in self.controls}
        for name, value in controls.items():
            if name not in known:
                raise ValueError(f"There is no control {name!r} here; there are {', '.join(known)}.")
            if value not in known[name].options:
                raise ValueError(f"{name} can be {', '.join(map(str, known[name].options))}; got {value!r}.")
        return controls

    # --- twins, predictions ------------------------------------------------------------------------------------

    def pin(self) -> str:
        """Keep the present run in the picture: what is set next is its twin, with the same random draws."""
        if "pinned" not in self._takes:
            raise ValueError("This explorer shows one run only and has nothing to pin.")
        self._pinned = dict(self.values)
        return self.set()

    def unpin(self) -> str:
        """Take the pinned run out of the picture."""
        self._pinned = None
        return self.set()

    def cover(self, bet: Bet) -> Explorer:
        """Hide everything until the bet is locked or skipped; its prediction is then drawn as a ghost."""
        self._bet = bet
        bet.on_open(self._uncover)
        return self

    @property
    def covered(self) -> bool:
        """Whether it still waits for a prediction."""
        return self._bet is not None and not self._bet.open

    def _uncover(self) -> None:
        if self._page is not None:
            self._page.fill()

    # --- long work ---------------------------------------------------------------------------------------------

    def seconds(self) -> float:
        """Return about how long the live work takes at the present controls, after a short trial of its speed."""
        if self.work is None:
            raise ValueError("This explorer answers at once and has no long work.")
        if self._per_unit is None:
            self._per_unit = _time_of_unit(self.work.stream(**self.values))
        return self._per_unit * self.work.units(**self.values)

    def start(self) -> Job[Any]:
        """Begin the live work on a thread of its own; the page shows its progress and, at the end, its result.

        Raises:
            ValueError: If there is no long work.
            RuntimeError: If it is running already.
        """
        if self.work is None:
            raise ValueError("This explorer answers at once and has no long work.")
        if self.job is not None and self.job.running:
            raise RuntimeError("This work is running; cancel it, or wait for its end.")
        values, page = dict(self.values), self._page
        report = (lambda snapshot: None) if page is None else page.progress
        self.job = Job(self.work.stream(**values), report, lambda job: self._finish(job, values))
        if page is not None:
            page.running(True)
        self.job.start()
        return self.job

    def run(self) -> str:
        """Do the live work to its end and return its sentence; a notebook's stop button cancels it."""
        self.start().wait()
        return self.sentence

    def cancel(self) -> None:
        """Stop the live work at its next snapshot and show what there is."""
        if self.job is not None:
            self.job.cancel()

    def _finish(self, job: Job[Any], values: dict[str, Any]) -> None:
        try:
            if job.error is not None:
                raise job.error
            assert self.work is not None
            assert job.result is not None
            with RENDER:
                figure, sentence = self.work.show(job.result, **values)
                kind = "live" if job.result.complete else "stopped"
                self._live = Drawn(png(figure), text(f"explorer.{kind}", sentence=sentence))
        except BaseException as error:
            if self._page is not None:
                self._page.fail(error)
            raise
        finally:
            if self._page is not None:
                self._page.running(False)
        if self._page is not None:
            self._page.show(self._live)

    # --- on the page -------------------------------------------------------------------------------------------

    @property
    def widget(self) -> W.VBox:
        """The explorer as a widget, made when it is first asked for."""
        if self._page is None:
            self._page = _Page(self)
        return self._page.box

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return the widget, and a picture with the sentence for where no widget can run."""
        bundle: dict[str, Any] = dict(self.widget._repr_mimebundle_())
        settings = " · ".join(
            f"{control.label} {control.shown(self.values[control.name])}" for control in self.controls
        )
        drawn = self.shown
        bundle["image/png"] = base64.b64encode(captioned(drawn.png, settings, drawn.sentence)).decode()
        bundle["text/plain"] = f"{self.title}\n{settings}\n{drawn.sentence}".strip()
        return bundle


class _Page:
    """The widgets of one explorer."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self._quiet = False
        self.turns = {control.name: _turn(control) for control in explorer.controls}
        for turn in self.turns.values():
            turn.observe(self._turned, "value")
        width = W.Layout(max_width="100%", width="760px")
        # an img with its size reserves its place before it has loaded, and nothing below it jumps
        self.picture = W.Image(format="png", layout=W.Layout(max_width="100%", height="auto"))
        self.sentence = W.HTML(layout=width).add_class("ee-sentence")
        self.code = W.HTML(layout=width).add_class("ee-code")
        self.buttons = W.HBox(self._buttons(), layout=W.Layout(flex_flow="row wrap", align_items="center"))
        self.box = W.VBox(layout=width).add_class("ee-explorer")
        self.fill()

    def _buttons(self) -> list[W.Widget]:
        self.run = W.Button(layout=W.Layout(width="auto")).add_class("ee-run")
        self.stop = W.Button(description=text("explorer.cancel"), disabled=True).add_class("ee-cancel")
        self.bar = W.HTML().add_class("ee-progress")
        self.twin = W.Button(description=text("explorer.pin"), tooltip=text("explorer.pin_why"))
        self.twin.layout.width = "auto"
        self.run.on_click(lambda _: self._guard(self.explorer.start))
        self.stop.on_click(lambda _: self.explorer.cancel())
        self.twin.on_click(lambda _: self._guard(self._twin))
        pins = [self.twin.add_class("ee-pin")] if "pinned" in self.explorer._takes else []
        return pins + ([self.run, self.stop, self.bar] if self.explorer.work is not None else [])

    def fill(self) -> None:
        """Put everything in the box, or the cover where a prediction comes first."""
        if self.explorer.covered:
            cover = f'<p class="ee-covered"><b>{html.escape(text("explorer.covered"))}</b></p>'
            self.box.children = [W.HTML(cover).add_class("ee-covered")]
            return
        self.show(self.explorer.shown)
        self.box.children = [
            *self._rows(),
            self.buttons,
            self.picture,
            self.sentence,
            self.code,
        ]

    def _rows(self) -> list[W.HBox]:
        """Return the sliders in one row and the switches in the next."""
        forms = [
            [self.turns[c.name] for c in self.explorer.controls if c.form == form] for form in ("slider", "switch")
        ]
        return [W.HBox(row, layout=W.Layout(flex_flow="row wrap")) for row in forms if row]

    def show(self, drawn: Drawn) -> None:
        """Show a picture and its sentence, and the code of the controls."""
        if not self.picture.width:
            wide, high = Pixels.open(io.BytesIO(drawn.png)).size
            self.picture.width, self.picture.height = str(round(wide * 96 / DPI)), str(round(high * 96 / DPI))
        self.picture.value = drawn.png
        said = html.escape(drawn.sentence)
        self.sentence.value = f'<p role="status" aria-live="polite" style="{_TEXT}">{said}</p>'
        if self.explorer.code is not None:
            lines = html.escape(self.explorer.code(**self.explorer.values).strip())
            self.code.value = (
                f'<div style="{_SMALL}">{text("explorer.same_as")}</div><pre style="{_CODE}">{lines}</pre>'
            )
        if self.explorer.work is not None and not self.stop.disabled:
            return
        if self.explorer.work is not None:
            self.run.description = text("explorer.run", time=duration(self.explorer.seconds()))

    def follow(self) -> None:
        """Let the controls on the page show the explorer's values."""
        self._quiet = True
        try:
            for control in self.explorer.controls:
                self.turns[control.name].value = control.options.index(self.explorer.values[control.name])
        finally:
            self._quiet = False

    def progress(self, snapshot: Snapshot[Any]) -> None:
        """Show how far the work is."""
        share = 100 * snapshot.done / max(1, snapshot.total)
        words = text("explorer.progress", done=snapshot.done, total=snapshot.total, note=snapshot.note)
        bar = f'<progress max="100" value="{share:.0f}" style="width:120px"></progress>'
        self.bar.value = f'<span style="{_SMALL}">{bar} {html.escape(words)}</span>'

    def running(self, now: bool) -> None:
        """Lock the controls while the work runs."""
        for turn in [*self.turns.values(), self.run, self.twin]:
            turn.disabled = now
        self.stop.disabled = not now
        if not now:
            self.bar.value = ""

    def fail(self, error: BaseException) -> None:
        """Say on the page what went wrong: an error in a callback is seen nowhere else."""
        said = html.escape(text("explorer.failed", error=f"{type(error).__name__}: {error}"))
        self.sentence.value = f'<p role="alert" class="ee-error" style="{_TEXT}"><b>{said}</b></p>'

    def _turned(self, _: Any) -> None:
        if not self._quiet:
            values = {c.name: c.options[self.turns[c.name].value] for c in self.explorer.controls}
            self._guard(lambda: self.explorer.set(**values))

    def _twin(self) -> None:
        pinned = self.explorer._pinned is None
        self.twin.description = text("explorer.unpin" if pinned else "explorer.pin")
        self.explorer.pin() if pinned else self.explorer.unpin()

    def _guard(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BaseException as error:
            self.fail(error)
            raise


_TEXT = "font-size:15px; line-height:1.4; margin:4px 0; color:var(--jp-ui-font-color1, #222)"
_SMALL = "font-size:13px; color:var(--jp-ui-font-color1, #222)"
_CODE = (
    "font-size:13px; line-height:1.4; margin:2px 0; padding:6px 10px; white-space:pre-wrap; word-break:normal; "
    "border-left:3px solid #0072B2; color:var(--jp-content-font-color1, #222)"
)


def _turn(control: Control) -> W.Widget:
    """Return the widget of one control; its values are places among the options, since None is no value to it."""
    options = [(control.shown(value), place) for place, value in enumerate(control.options)]
    first = control.options.index(control.default)
    if control.form == "slider":
        return W.SelectionSlider(
            options=options,
            value=first,
            description=control.label,
            style={"description_width": "110px"},
            layout=W.Layout(width="370px", max_width="100%"),  # two in a row
        )
    return W.ToggleButtons(
        options=options,
        value=first,
        description=control.label,
        style={"description_width": "140px", "button_width": "auto"},
        layout=W.Layout(max_width="100%", margin="2px 12px 2px 2px"),
        tooltips=[find(f"control.{control.name}.{value}_why") or "" for value in control.options],
    )


def _time_of_unit(stream: Iterator[Snapshot[Any]], trial: float = 0.15) -> float:
    """Return seconds for each unit of work, from reading a stream for a moment."""
    first = next(stream)
    begun, done = time.monotonic(), 0
    for snapshot in stream:
        done = snapshot.done - first.done
        if time.monotonic() - begun > trial:
            break
    taken = time.monotonic() - begun
    stream.close()  # type: ignore[attr-defined]
    return taken / max(1, done)


def duration(seconds: float) -> str:
    """Return a time as one says it."""
    if seconds < 1:
        return text("explorer.under_a_second")
    if seconds < 90:
        return text("explorer.seconds", count=round(seconds))
    return text("explorer.minutes", count=round(seconds / 60))


# --- pictures ------------------------------------------------------------------------------------------------------

_still: WeakKeyDictionary[Figure, Any] = WeakKeyDictionary()


def png(figure: Figure) -> bytes:
    """Return a figure as PNG, quickly: what is not animated is drawn once and kept, until it changes."""
    with RENDER:
        if not isinstance(figure.canvas, FigureCanvasAgg):
            FigureCanvasAgg(figure)
        canvas: Any = figure.canvas
        if figure.dpi != DPI:
            figure.set_dpi(DPI)
        if figure.stale or figure not in _still:
            canvas.draw()  # leaves animated artists out
            _still[figure] = canvas.copy_from_bbox(figure.bbox)
        else:
            canvas.restore_region(_still[figure])
        for artist in sorted(_moving(figure), key=lambda artist: artist.get_zorder()):
            artist.draw(canvas.get_renderer())
        return _encoded(np.asarray(canvas.buffer_rgba())[..., :3])


def _moving(figure: Figure) -> list[Artist]:
    own = [*figure.texts, *figure.lines, *figure.patches]
    held = [artist for ax in figure.axes for artist in ax.get_children()]
    return [artist for artist in own + held if artist.get_animated() and artist.get_visible()]


def _encoded(pixels: np.ndarray[Any, Any], small: bool = False) -> bytes:
    picture, stream = Pixels.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    if small:
        picture = picture.quantize(256, dither=Pixels.Dither.NONE)
    picture.save(stream, "png", compress_level=9 if small else 1)
    return stream.getvalue()


def captioned(picture: bytes, settings: str, sentence: str) -> bytes:
    """Return a picture with the settings above it and the sentence beneath, for pages where no widget runs."""
    with Pixels.open(io.BytesIO(picture)) as opened:
        middle = np.asarray(opened.convert("RGB"))
    with RENDER:
        parts = [_words(settings, middle.shape[1], bold=True), middle, _words(sentence, middle.shape[1])]
    return _encoded(np.concatenate(parts), small=True)


def _words(words: str, width: int, bold: bool = False) -> np.ndarray[Any, Any]:
    """Return a strip of the given width in pixels with the words in it, wrapped."""
    lines = textwrap.wrap(words, max(20, width // 13)) or [""]  # 13 pixels for a letter of 11 pt, bold ones too
    figure = Figure(figsize=(width / DPI, (len(lines) * 15 + 12) / 72), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    weight = "bold" if bold else "normal"
    figure.text(
        0.01, 0.5, "\n".join(lines), fontsize=11, va="center", weight=weight, parse_math=False, linespacing=1.15
    )
    canvas.draw()
    strip = np.asarray(canvas.buffer_rgba())[..., :3]
    if strip.shape[1] < width:
        strip = np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0)), constant_values=255)
    return strip[:, :width]

"""What a learner turns, and the widgets of one explorer: what its methods do, with a mouse or a keyboard."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as W
from PIL import Image as Pixels

from entropic_edu.figures.pixels import DPI
from entropic_edu.physics.snapshot import Snapshot

from .named import Names
from .strings import composed_text, text

if TYPE_CHECKING:
    from .explorer import Drawn, Explorer

TEXT = "font-size:15px; line-height:1.4; margin:4px 0; color:var(--jp-ui-font-color1, #222)"
_SMALL = "font-size:13px; color:var(--jp-ui-font-color1, #222)"
# on a dark page a picture is turned from white to black, its hues as they were; the code is folded until asked for
_LOOK = """<style>
body[data-jp-theme-light="false"] :is(.ee-explorer, .ee-calibration) :is(img, .ee-stacked) {
  filter: invert(0.93) hue-rotate(180deg);
}
.ee-same:not(:has(details[open])) + .ee-code { display: none; }
.ee-same summary { cursor: pointer; }
</style>"""
_CODE = (
    "font:13px/1.4 var(--jp-code-font-family, monospace); margin:2px 0; padding:6px 10px; white-space:pre-wrap; "
    "word-break:normal; border-left:3px solid #0072B2; color:var(--jp-content-font-color1, #222)"
)


@dataclass(frozen=True)
class Control:
    """One thing to turn; ``slider`` and ``switch`` make them.

    Its words are in the catalogue, at ``control.<name>``; where there are none, the name and the options are the words.
    """

    name: str  # the keyword of ``render``
    options: tuple[Any, ...]  # all values it can take, in the order of the page
    default: Any  # the value at first
    form: str  # "slider" for an ordered quantity, "switch" for a choice of a few

    def __post_init__(self) -> None:
        if self.default not in self.options:
            raise ValueError(f"The default of control {self.name!r} must be one of {self.options}, got {self.default}.")

    @property
    def label(self) -> str:
        return composed_text("control", self.name, "label", default=self.name.replace("_", " "))

    def shown(self, value: Any) -> str:
        """Return how the page writes a value."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{value:,}" if isinstance(value, int) else f"{value:g}"
        return composed_text("control", self.name, "none" if value is None else value, default=str(value))


def slider(name: str, options: Sequence[Any], default: Any) -> Control:
    """Return a slider over meaningful values of one quantity; None stands for an option that is no number.

    >>> slider("batch_size", (4, 16, None), 16).default
    16
    """
    return Control(name, tuple(options), default, "slider")


def switch(name: str, options: Sequence[str], default: str | None = None) -> Control:
    """Return a choice of a few named options; the first is the default.

    >>> switch("walls", ("straight", "tight")).default
    'straight'
    """
    return Control(name, tuple(options), options[0] if default is None else default, "switch")


def knob(control: Control) -> W.Widget:
    """Return the widget of one control; its values are places among the options, since None is no value to it."""
    known = {
        "options": [(control.shown(value), place) for place, value in enumerate(control.options)],
        "value": control.options.index(control.default),
        "description": control.label,
    }
    if control.form == "slider":
        layout = W.Layout(width="370px", max_width="100%")  # two in a row
        return W.SelectionSlider(**known, style={"description_width": "110px"}, layout=layout)
    layout = W.Layout(max_width="100%", margin="2px 12px 2px 2px")
    return W.ToggleButtons(**known, style={"description_width": "140px", "button_width": "auto"}, layout=layout)


class Page:
    """The widgets of one explorer."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self._quiet = False
        self.turns = {control.name: knob(control) for control in explorer.controls}
        for turn in self.turns.values():
            turn.observe(self._turned, "value")
        width, auto = W.Layout(max_width="100%", width="760px"), W.Layout(width="auto")
        # an img with its size reserves its place before it has loaded, and nothing below it jumps
        self.picture = W.Image(format="png", layout=W.Layout(max_width="100%", height="auto"))
        self.sentence = W.HTML(layout=width).add_class("ee-sentence")
        head = html.escape(text("explorer.same_as")) if explorer.code is not None else ""
        folded = f'<details style="{_SMALL}"><summary>{head}</summary></details>' if head else ""
        self.same = W.HTML(_LOOK + folded).add_class("ee-same")
        self.code = W.HTML(layout=width).add_class("ee-code")
        self.run = W.Button(layout=auto).add_class("ee-run")
        self.stop = W.Button(description=text("explorer.cancel"), disabled=True).add_class("ee-cancel")
        self.bar = W.HTML().add_class("ee-progress")
        words = {"description": text("explorer.pin"), "tooltip": text("explorer.pin_why")}
        self.twin = W.Button(**words, layout=auto).add_class("ee-pin")
        self.run.on_click(lambda _: guarded(explorer.start, self.fail))
        self.stop.on_click(lambda _: explorer.cancel())
        self.twin.on_click(lambda _: guarded(explorer.unpin if explorer._pinned else explorer.pin, self.fail))
        self.names = Names(explorer.title or text("explorer.picture"), explorer._zones)
        self.box = W.VBox(layout=width).add_class("ee-explorer")
        self.fill()

    def fill(self) -> None:
        """Put everything in the box, or the cover where a prediction comes first."""
        explorer = self.explorer
        if explorer.covered:
            cover = f'<p class="ee-covered"><b>{html.escape(text("explorer.covered"))}</b></p>'
            self.box.children = [W.HTML(cover).add_class("ee-covered")]
            return
        self.show(explorer.shown)
        turns = [[self.turns[c.name] for c in explorer.controls if c.form == form] for form in ("slider", "switch")]
        rows = [W.HBox(row, layout=W.Layout(flex_flow="row wrap")) for row in turns if row]
        pins = [self.twin] if "pinned" in explorer._takes else []
        work: list[W.Widget] = [self.run, self.stop, self.bar] if explorer.work is not None else []
        if explorer.work is not None and explorer.work.absent:
            work = [W.HTML(f'<p style="{_SMALL}">{html.escape(explorer.work.absent)}</p>').add_class("ee-absent")]
        buttons = W.HBox(pins + work, layout=W.Layout(flex_flow="row wrap", align_items="center"))
        self.box.children = [*rows, buttons, self.picture, self.sentence, self.same, self.code, self.names]

    def show(self, drawn: Drawn) -> None:
        """Show a picture and its sentence, and the code of the controls."""
        if not self.picture.width:
            wide, high = Pixels.open(io.BytesIO(drawn.png)).size
            self.picture.width, self.picture.height = str(round(wide * 96 / DPI)), str(round(high * 96 / DPI))
        self.sentence.value = read_out(drawn.sentence)
        if self.explorer.code is not None:
            lines = html.escape(self.explorer.code(**self.explorer.values).strip())
            self.code.value = f'<pre style="{_CODE}">{lines}</pre>'
        work = self.explorer.work
        if work is not None and not work.absent and self.stop.disabled:
            self.run.description = text("explorer.run", time=duration(self.explorer.seconds()))
        self.picture.value = drawn.png  # last: whoever sees a new picture has its sentence already

    def follow(self) -> None:
        """Let the controls on the page show the explorer's values, and the button what it would do."""
        self.twin.description = text("explorer.pin" if self.explorer._pinned is None else "explorer.unpin")
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
        name = html.escape(text("explorer.so_far"))
        bar = f'<progress aria-label="{name}" max="100" value="{share:.0f}" style="width:120px"></progress>'
        self.bar.value = f'<span style="{_SMALL}">{bar} {html.escape(words)}</span>'

    def running(self, now: bool) -> None:
        """Lock the controls while the work runs."""
        for turn in [*self.turns.values(), self.run, self.twin]:
            turn.disabled = now
        self.stop.disabled = not now
        if not now:
            self.bar.value = ""

    def fail(self, error: str) -> None:
        """Say on the page what went wrong."""
        self.sentence.value = read_out(text("explorer.failed", error=error), error=True)

    def _turned(self, _: Any) -> None:
        if not self._quiet:
            values = {c.name: c.options[self.turns[c.name].value] for c in self.explorer.controls}
            guarded(lambda: self.explorer.set(**values), self.fail)


def guarded(act: Callable[[], object], fail: Callable[[str], object]) -> None:
    """Act, and tell ``fail`` what went wrong too: an error in a callback is seen nowhere else."""
    try:
        act()
    except BaseException as error:
        fail(f"{type(error).__name__}: {error}")
        raise


def read_out(words: str, role: str = "status", error: bool = False) -> str:
    """Return a paragraph that screen readers read out when it comes, an alert at once; an error is bold."""
    words = html.escape(words)
    if error:
        return f'<p role="alert" class="ee-error" style="{TEXT}"><b>{words}</b></p>'
    return f'<p role="{role}" aria-live="{"assertive" if role == "alert" else "polite"}" style="{TEXT}">{words}</p>'


def duration(seconds: float) -> str:
    """Return a time as one says it."""
    if seconds < 1:
        return text("explorer.under_a_second")
    if seconds < 90:
        return text("explorer.seconds", count=round(seconds))
    return text("explorer.minutes", count=round(seconds / 60))

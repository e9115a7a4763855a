"""The live stage: two crowds that the browser itself computes, 60 times a second, without a kernel.

A ``Scene`` says what stands on it; ``live/stage.js`` walks it, here in a widget and on the site in a plain page. Where
nothing can run, on GitHub or on paper, a picture of the same two crowds stands in its place, from ``ee.drift``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import traitlets

from . import live
from .bet import Bet
from .page import Control
from .strings import text

try:
    import anywidget
except ImportError as error:
    raise ImportError('The stage needs anywidget; install it with: pip install "entropic-edu[lab]"') from error

View = Literal["floor", "bowl", "plane"]
STYLE = (live.HERE / "stage.css").read_text("utf-8")
MODULE = """
function render({ model, el }) {
  const scene = model.get("_scene"), cover = document.createElement("p"), none = { tell() {}, close() {} };
  let shown = none, news = "";
  function open() { // or cover again, where an answer was taken back
    const words = model.get("_cover");
    shown.close();
    cover.remove();
    cover.textContent = words;
    if (words) el.append(cover);
    shown = words ? none : stage(el, { ...scene, bet: model.get("_bet") }, news);
  }
  const lost = () => shown.tell(news = scene.words.lost);
  model.on("change:_cover change:_bet", open);
  model.on("comm_live_update", lost); // of ipywidgets' manager, as the kernel goes
  open();
  return () => {
    model.off("change:_cover change:_bet", open);
    model.off("comm_live_update", lost);
    shown.close();
    cover.remove();
  };
}
export default { render };
"""


DESCRIBED = {name: f"{{{name}}}" for name in ("axis", "low", "high", "shares", "laws", "means")}  # the page fills it in


@dataclass(frozen=True)
class Pane:
    """One of the two crowds.

    Attributes:
        label: What is particular to it.
        valley, walls: Of ``ee.valleys``, with its arguments.
        set: Settings that it holds fixed (None is all data), or takes from another slider, by that one's name.
        draws: 0 or 1: panes of one number share every random draw.
    """

    label: str
    valley: str
    walls: Mapping[str, Any]
    set: Mapping[str, float | str | None] = field(default_factory=dict)
    draws: int = 0


@dataclass(frozen=True)
class Measure:
    """What is told: the mean of y, how far it moved, the mean of |y| or of x², or the share ``between`` two y."""

    kind: Literal["mean", "moved", "away", "square", "share"]
    digits: int = 2
    scale: float = 1.0
    between: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What stands on a stage, in plain values.

    Attributes:
        title: For screen readers.
        sentence: With {step}, the sliders' names, and of panes a and b {a_value}, with its error, and {a_law}.
        compare: What the two panes differ in, by name; the first is shown.
        starts: Coordinates of release by name, taken in turn; the first is taken.
        sliders: Of ``batch_size``, ``learning_rate``, ``momentum`` and other settings that a pane takes.
        measure, view: What is told, and how the valley is seen: a floor from above, a bowl from the side, a plane.
        across: Limits of the plan's upward axis; ``plan`` those of its other one, where not ``axis``.
        axis, ticks, axis_label: Of the histogram.
        split: Coordinate that parts the crowd in two groups with a mean of their own; None is one group.
        walkers, shown: In each pane, and how many of them are drawn (None is all); all are counted.
        warm, seed: Steps that are taken before the first picture; of all draws.
        stop: Step at which it stops, to be read; then each turn of a slider lets the crowds go anew.
        means: What an option of a slider sets, by the slider's name and option; by itself it sets what it is called.
    """

    title: str
    sentence: str
    compare: Mapping[str, tuple[Pane, Pane]]
    starts: Mapping[str, Sequence[float]]
    sliders: Sequence[Control]
    measure: Measure
    view: View = "floor"
    axis: tuple[float, float]
    across: tuple[float, float]
    plan: tuple[float, float] | None = None
    ticks: Sequence[float]
    axis_label: str
    key: str
    split: float | None = None
    walkers: int = 250
    shown: int | None = None
    warm: int = 240
    seed: int = 0
    stop: int | None = None
    means: Mapping[str, Mapping[Any, Mapping[str, Any]]] = field(default_factory=dict)

    @property
    def panes(self) -> tuple[Pane, Pane]:
        """The two that are shown first."""
        return next(iter(self.compare.values()))

    @property
    def places(self) -> Sequence[float]:
        """Where the crowds are released first."""
        return next(iter(self.starts.values()))

    def turned(self, each: Control, option: Any) -> Mapping[str, Any]:
        """Return what an option of a slider sets."""
        return self.means.get(each.name, {}).get(option, {each.name: option})

    def setting(self, pane: Pane) -> dict[str, Any]:
        """Return the settings of a pane as the sliders stand at first."""
        turned = {name: value for each in self.sliders for name, value in self.turned(each, each.default).items()}
        own = {name: turned[value] if isinstance(value, str) else value for name, value in pane.set.items()}
        taken = {"momentum": 0.0} | turned | own
        return {name: taken[name] for name in ("batch_size", "learning_rate", "momentum")}

    def plain(self) -> dict[str, Any]:
        """Return all of it as JavaScript takes it."""
        sliders = [
            {
                "name": each.name,
                "label": each.label,
                "options": [dict(self.turned(each, value)) for value in each.options],
                "shown": [each.shown(value) for value in each.options],
                "start": each.options.index(each.default),
            }
            for each in self.sliders
        ]
        compare = [
            {
                "label": label,
                "panes": [{**vars(pane), "walls": dict(pane.walls), "set": dict(pane.set)} for pane in both],
            }
            for label, both in self.compare.items()
        ]
        starts = [{"label": label, "places": list(places)} for label, places in self.starts.items()]
        choices = [
            {"name": "compare", "label": text("stage.compare"), "options": compare, "start": 0},
            {"name": "start", "label": text("stage.start"), "options": starts, "start": 0},
        ]
        words = {
            "play": text("stage.play"),
            "pause": text("stage.pause"),
            "step": text("stage.step"),
            "reset": text("stage.reset"),
            "jump": text("stage.jump"),
            "gone": text("stage.gone", gone="{gone}"),
            "words": text("stage.words"),
            "described": text("stage.described", **DESCRIBED),
            "lost": text("stage.lost"),
            "sentence": self.sentence,
            "axis": self.axis_label,
            "key": self.key,
        }
        return {
            "title": self.title,
            "view": self.view,
            "plan": {"x": list(self.plan or self.axis), "y": list(self.across)},
            "axis": list(self.axis),
            "ticks": list(self.ticks),
            "split": self.split,
            "measure": vars(self.measure),
            "walkers": self.walkers,
            "shown": self.shown or self.walkers,
            "warm": self.warm,
            "seed": self.seed % 2**32,
            "stop": self.stop,
            "sliders": sliders,
            "choices": choices,
            "words": words,
        }


class Stage(anywidget.AnyWidget):
    """A scene that plays in the page; the kernel is asked for nothing once it is there.

    Args:
        scene: What stands on it.
        still: Gives a picture (PNG) of its first moment and the sentence beneath, for where no widget runs.
    """

    _esm = live.joined("stage") + MODULE
    _css = STYLE

    _scene = traitlets.Dict().tag(sync=True)
    _cover = traitlets.Unicode().tag(sync=True)  # what stands there until a prediction is made
    _bet = traitlets.Unicode().tag(sync=True)  # what was predicted, in words

    def __init__(self, scene: Scene, still: Callable[[], tuple[bytes, str]]) -> None:
        self.scene, self.still = scene, still
        super().__init__(_scene=scene.plain())

    def cover(self, bet: Bet) -> Stage:
        """Hide everything until the bet is locked or skipped; the sentence then says what was predicted."""
        self._waits = bet
        self._cover = text("explorer.covered")
        bet.on_open(self._open)
        return self

    def _open(self) -> None:
        bet, measure, words = self._waits, self.scene.measure, ""
        if bet.open and bet.ghost is not None and measure.kind == "share":
            words = text("stage.bet", share=f"{measure.scale * bet.ghost:.{measure.digits}f}")
        elif bet.choice is not None:
            words = text("stage.said", option=bet.words(f"option.{bet.choice}"))
        with self.hold_sync():
            self._bet, self._cover = words, "" if bet.open else text("explorer.covered")

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        picture, sentence = self.still()
        words = text("player.described", title=self.scene.title, sentence=sentence)
        return {**data, "image/png": base64.b64encode(picture).decode("ascii"), "text/plain": words}, metadata

"""Round 1: line and road of the CNN beside those of the digits network; the button evaluates the ends on the images."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course.bump.common import COUNT
from entropic_edu.data import CLASSES, MEAN, STD
from entropic_edu.figures.plots import BLUE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from . import live
from .common import ALL, PLACES, at, code, even, every, known, named, on_digits, over_pairs, with_error
from .hook import line_loss

SEEN = ("training", "new")  # rows of the recorded accuracies
SAME = 1e-3  # relative difference of two losses that float32 and another order of sums may leave


@cache
def losses(task: str) -> dict[str, Tensor]:
    """Return the data loss along line and road, by way, (pairs, n) each."""
    if task == "digits":
        return {"line": line_loss(), "road": on_digits("data_loss")}
    return {"line": every("line_loss"), "road": every("road_loss")}


@cache
def accuracies(task: str, seen: str) -> dict[str, Tensor]:
    """Return the accuracy along line and road on training or on new images, by way, (pairs, n) each."""
    row = SEEN.index(seen)
    if task == "cifar":
        return {"line": every("line_accuracy")[:, row], "road": every("road_accuracy")[:, row]}
    recording = recorded.load("valley")
    line = torch.stack([recording[f"pair{pair}/line_accuracy"][row] for pair in range(COUNT)]).double()
    return {"line": line, "road": on_digits(("accuracy", "test_accuracy")[row])}


class Both:
    """Data loss above and accuracy below: digits at the left, CIFAR-10 at the right."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.top = {task: self._axes(left, 0.565, "loss", task) for task, left in (("digits", 0.085), ("cifar", 0.57))}
        self.low = {task: self._axes(left, 0.125, "share", task) for task, left in (("digits", 0.085), ("cifar", 0.57))}
        self.bands = {(task, part): self._bands(axes[task]) for part, axes in self._parts() for task in axes}
        self.ghost = Band(self.top["cifar"], colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction"))
        axes = [*self.top.values(), *self.low.values()]
        self.marks = [(ax, moving(ax, colour=GREY, dash=":", width=1.5)) for ax in axes]
        self.names = [
            self.figure.text(left, 0.425, "", fontsize=11, animated=True) for left in (0.085, 0.57)
        ]  # of the lower panels

    def _parts(self) -> list[tuple[str, dict[str, Axes]]]:
        return [("loss", self.top), ("share", self.low)]

    def _axes(self, left: float, bottom: float, part: str, task: str) -> Axes:
        ax = self.figure.add_axes((left, bottom, 0.35, 0.345 if part == "loss" else 0.285))
        if part == "share":
            labelled(ax, text("09.axis.between"), "").set(xlim=(0, 1), ylim=(0, 1.05))
            return ax
        labelled(ax, "", "", option_text(task, "09.panel.digits", "09.panel.cifar")).title.set_fontsize(11)
        ax.set(xlim=(0, 1), yscale="log", ylim=(8e-4, 15))
        ax.set_yticks([1e-3, 1e-2, 0.1, 1, 10], ["0.001", "0.01", "0.1", "1", "10"])
        ax.minorticks_off()
        ax.tick_params(labelbottom=False)
        return ax

    def _bands(self, ax: Axes) -> dict[str, Band]:
        return {
            "line": Band(ax, colour=RED, dash="--", label=text("09.label.line")),
            "road": Band(ax, colour=BLUE, label=text("09.label.road")),
        }

    def show(self, place: float, pair: int | None, seen: str, ghost: float | None) -> None:
        """Draw the means over the pairs, or one pair of the CNN, and what was predicted."""
        for task in ("digits", "cifar"):
            chosen = pair if task == "cifar" else None
            for part, ways in (("loss", losses(task)), ("share", accuracies(task, seen))):
                self._draw(self.bands[task, part], ways, chosen, part)
        for name, task in zip(self.names, ("digits", "cifar"), strict=True):
            name.set_text(
                option_text(
                    f"{seen}_{task}",
                    "09.panel.new_digits",
                    "09.panel.new_cifar",
                    "09.panel.training_digits",
                    "09.panel.training_cifar",
                )
            )
        x = even(49)
        end = float(losses("cifar")["line"][:, [0, -1]].mean())
        self.ghost.show(x, None if ghost is None else exact(end * (ghost / end) ** torch.sin(torch.pi * x)))
        if ghost is not None:
            self.ghost.name.set_position((0.5, 2.1 * ghost))
            self.ghost.name.set_horizontalalignment("center")
        for ax, mark in self.marks:
            mark.set_data([place, place], ax.get_ylim())

    def _draw(self, bands: dict[str, Band], ways: dict[str, Tensor], pair: int | None, part: str) -> None:
        for way, values in ways.items():
            mean = over_pairs(values, pair)
            bands[way].show(even(values.shape[1]), _within(mean) if part == "loss" else mean)
        for way, band in bands.items():
            heights = torch.as_tensor(band.line.get_ydata())
            band.name.set_visible(part == "loss")  # the panel beneath has the same colours and dashes
            band.name.set_position((0.75, (1.3 if way == "line" else 0.45) * float(heights[int(0.7 * len(heights))])))


def _within(mean: Mean) -> Mean:
    """Return a mean whose band stays above 0, for a logarithmic axis."""
    return Mean(mean.value, torch.minimum(mean.error, 0.9 * mean.value))


class Photos:
    """Four images, and what was computed beside what was recorded; drawn by the button only."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.axes = [self.figure.add_axes((0.03 + 0.245 * n, 0.46, 0.205, 0.34)) for n in range(4)]
        for ax in self.axes:
            ax.set_axis_off()
        self.names = [self.figure.text(0.03 + 0.245 * n, 0.415, "", fontsize=11, va="top") for n in range(4)]
        self.figure.text(0.03, 0.9, text("09.photos.title"), fontsize=12)
        self.words = self.figure.text(0.03, 0.23, "", fontsize=12, va="top", linespacing=1.5)

    def show(self, result: live.Evaluated, pair: int) -> None:
        """Draw the images of an evaluation; before its end there are none yet."""
        shipped = recorded_ends(pair)
        rows = [text("09.photos.loss", now=_two(result.loss, ".5f"), kept=_two(shipped["loss"], ".5f"))]
        for ax, name in zip(self.axes, self.names, strict=True):
            ax.clear()
            ax.set_axis_off()
            name.set_text("")
        if result.complete:
            rows.append(text("09.photos.new", now=_two(result.accuracy[1], ".3f"), kept=_two(shipped["new"], ".3f")))
            for n, (ax, name) in enumerate(zip(self.axes, self.names, strict=True)):
                ax.imshow(picture(result.pixels[n]), interpolation="nearest")
                classes = {"truth": CLASSES[int(result.classes[n])], "guess": CLASSES[int(result.guesses[n])]}
                name.set_text(text("09.photos.name", **classes))
        self.words.set_text("\n".join(rows))


def picture(pixels: Tensor) -> Any:
    """Return an image as the screen takes it, (3, 32, 32) -> array (32, 32, 3) in [0, 1]."""
    std, mean = (torch.tensor(of).view(3, 1, 1) for of in (STD, MEAN))
    return (pixels.cpu() * std + mean).clamp(0, 1).permute(1, 2, 0).numpy()


def recorded_ends(pair: int) -> dict[str, Tensor]:
    """Return what was recorded of both ends of a pair, counted from 0: data loss and accuracies, (2,) each."""
    accuracy = every("accuracy")[pair]
    return {"loss": every("road_loss")[pair, [0, -1]], "training": accuracy[0], "new": accuracy[1]}


def agrees(result: live.Evaluated, pair: int) -> bool:
    """Return whether an evaluation is that of the recording: the same images and weights."""
    shipped = recorded_ends(pair)
    images = 1000 * (result.accuracy.double() - torch.stack([shipped["training"], shipped["new"]])).abs()
    return bool(((result.loss.double() / shipped["loss"] - 1).abs() < SAME).all() and (images < 1.5).all())


def _two(values: Tensor, digits: str) -> str:
    return text("09.two", first=format(float(values[0]), digits), second=format(float(values[1]), digits))


def both(seed: int) -> Explorer:
    """What is the same and what is different from digits."""
    scene: dict[str, Any] = {"both": Both()}

    def render(
        *, ghost: float | None = None, at_position: float, cifar_pair: int | None, images_seen: str
    ) -> tuple[Figure, str]:
        scene["both"].show(at_position, cifar_pair, images_seen, ghost)
        return scene["both"].figure, sentence(at_position, cifar_pair, images_seen)

    def show(result: Any, **turned: Any) -> tuple[Figure, str]:
        if isinstance(result, live.Absent):
            figure, words = render(**turned)
            return figure, live.missing(result, words)
        photos, pair = scene.setdefault("photos", Photos()), first(turned["cifar_pair"])
        photos.show(result, pair - 1)
        return photos.figure, evaluated(result, pair)

    def stream(*, cifar_pair: int | None, **_: Any) -> Any:
        return live.with_images(lambda land: live.evaluate(land, first(cifar_pair) - 1))

    return Explorer(
        render,
        [slider("at_position", PLACES, 0.5), slider("cifar_pair", ALL, None), switch("images_seen", SEEN[::-1])],
        title=text("09.both.title"),
        code=lines,
        work=Work(stream, show, lambda **_: live.units(live.PARTS + 2)),
    )


def first(pair: int | None) -> int:
    """Return the pair that a button works on: the first where all are shown."""
    return pair or 1


def sentence(place: float, pair: int | None, seen: str) -> str:
    """Say how high line and road are, beside those of digits, and what the network gets right at a place."""
    cifar, small = losses("cifar"), losses("digits")
    share = accuracies("cifar", seen)
    return text(
        "09.both.sentence",
        **known(pairs=named(pair), place=place, seen=option_text(seen, "09.seen.new", "09.seen.training")),
        ends=with_error(over_pairs(cifar["road"][:, [0, -1]].mean(1), pair), ".4f"),
        line=with_error(over_pairs(cifar["line"].amax(1), pair)),
        road=with_error(over_pairs(cifar["road"].amax(1), pair), ".4f"),
        digits_ends=float(small["road"][:, [0, -1]].mean()),
        digits_line=with_error(over_pairs(small["line"].amax(1))),
        digits_road=with_error(over_pairs(small["road"].amax(1)), ".4f"),
        on_line=with_error(over_pairs(at(share["line"], place), pair), ".3f"),
        on_road=with_error(over_pairs(at(share["road"], place), pair), ".3f"),
        digits_share=float(at(accuracies("digits", seen)["road"], place).mean()),
    )


def evaluated(result: live.Evaluated, pair: int) -> str:
    """Say what the images gave now, and whether it is what was recorded."""
    shipped = recorded_ends(pair - 1)
    if not result.complete:
        return text("09.both.growing", pair=pair, now=_two(result.loss, ".5f"), kept=_two(shipped["loss"], ".5f"))
    return option_text(
        "same" if agrees(result, pair - 1) else "differs",
        "09.both.same",
        "09.both.differs",
        pair=pair,
        now=_two(result.loss, ".5f"),
        kept=_two(shipped["loss"], ".5f"),
        training=_two(result.accuracy[0], ".3f"),
        new=_two(result.accuracy[1], ".3f"),
        kept_new=_two(shipped["new"], ".3f"),
    )


def lines(*, at_position: float, cifar_pair: int | None, images_seen: str) -> str:
    """Return code that reads line and road of a pair."""
    pair = first(cifar_pair) - 1
    return code(
        f'print(kept["pair{pair}/line_loss"].max(), kept["pair{pair}/road_loss"].max())  # data loss, pair {pair + 1}',
        f'print(kept["pair{pair}/accuracy"])  # rows: training, new images; columns: the two ends',
        "# from entropic_edu.recorded import cifar10  # and with the images:",
        f"# cifar10.landscape().data_loss(cifar10.road({pair}).pivots[[0, -1]])",
    )

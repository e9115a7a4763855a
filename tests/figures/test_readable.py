"""Can it be read: the contrast and the size of every text in the pictures of every explorer, as they are drawn."""

import io
import math

import numpy as np
import pytest
from explorers import every_state, figure
from hostile.test_sequences import CASES
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image as Pixels

import entropic_edu as ee
from entropic_edu.figures import pixels
from entropic_edu.figures.plots import BLACK, BLUE
from entropic_edu.teaching import sheet

LEAST = 4.5  # WCAG 2.2, 1.4.3: of a text's luminance to that of what is behind it
SMALLEST = 10.0  # points


@pytest.fixture(autouse=True)
def _no_answers_are_kept(monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_ANSWERS", "off")


def luminance(rgb):
    """Relative luminance of colours in sRGB, (..., 3), as WCAG has it."""
    rgb = np.asarray(rgb, dtype=float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, two):
    """Contrast ratio of two colours, 1 to 21."""
    a, b = luminance(one), luminance(two)
    return (np.maximum(a, b) + 0.05) / (np.minimum(a, b) + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21.0)
    assert contrast(to_rgb("#767676"), (1, 1, 1)) == pytest.approx(4.54, abs=0.01)  # the standard's own example
    assert contrast(to_rgb("#777777"), (1, 1, 1)) < 4.5


def shown(picture):
    """The pixels of a figure as the page shows it, what moves and the boxes of labels that move included."""
    picture.stale = True  # tick labels do not say that their colour has changed
    with Pixels.open(io.BytesIO(pixels.png(picture))) as opened:
        return np.asarray(opened.convert("RGB")) / 255


def texts(picture):
    """Visible texts of a figure as the page shows it, and the rows and columns of pixels that each takes."""
    height, width = shown(picture).shape[:2]
    for text in picture.findobj(Text):
        box = text.get_window_extent(picture.canvas.get_renderer())
        rows = slice(max(0, math.floor(height - box.y1)), min(height, math.ceil(height - box.y0)))
        columns = slice(max(0, math.floor(box.x0)), min(width, math.ceil(box.x1)))
        inside = rows.start < rows.stop and columns.start < columns.stop
        if text.get_visible() and text.get_text().strip() and inside:
            yield text, (rows, columns)


def without(picture, inks):
    """The picture in which the letters of some texts, but not their boxes and outlines, are clear."""
    colours = [text.get_color() for text in inks]
    for text in inks:
        text.set_color((0, 0, 0, 0))
    ground = shown(picture)
    for text, colour in zip(inks, colours, strict=True):
        text.set_color(colour)
    return ground


def too_faint(explorer, values):
    """The texts of one state that cannot be read, with what they lack."""
    seen = figure(explorer, **values)
    drawn = list(texts(seen))
    ground = without(seen, [text for text, _ in drawn])
    for text, place in drawn:
        colours = ground[place].reshape(-1, 3)
        alpha = text.get_alpha() or 1.0
        ink = alpha * np.array(to_rgb(text.get_color())) + (1 - alpha) * colours
        # a line that crosses a text is not its ground: four fifths of the pixels are
        ratio = float(np.quantile(contrast(ink, colours), 0.2))
        if ratio < LEAST or text.get_fontsize() < SMALLEST:
            yield f"{text.get_text()!r} in {text.get_color()}, {text.get_fontsize()} points: {ratio:.2f} at {values}"


@CASES
def test_every_text_in_the_first_picture_can_be_read(stem, name, after):
    explorer = ee.Lesson(stem[:2]).explore(name, after=after or None)
    assert not (faint := list(too_faint(explorer, next(every_state(explorer))))), "\n".join(faint)


@pytest.mark.soak
@CASES
def test_every_text_in_any_picture_can_be_read(stem, name, after):
    explorer = ee.Lesson(stem[:2]).explore(name, after=after or None)
    faint = [each for values in every_state(explorer) for each in too_faint(explorer, values)]
    assert not faint, "\n".join(faint)


@pytest.mark.parametrize("colour", [sheet.GREY, BLACK, BLUE, *sheet.INK.values()])
def test_every_colour_for_words_can_be_read_on_white(colour):
    assert contrast(to_rgb(colour), (1, 1, 1)) >= LEAST

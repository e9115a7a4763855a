"""From a figure to PNG: what is read back is what was drawn, and any reader can read it."""

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from entropic_edu.figures.pixels import png


@pytest.mark.parametrize("size", [(3.0, 2.0), (1.51, 0.73)])
def test_the_pixels_of_a_png_are_those_of_the_canvas(size):
    figure = Figure(figsize=size)
    figure.subplots().plot([0, 1, 0.3], color="red")
    written = png(figure)
    picture = Image.open(io.BytesIO(written))
    picture.verify()  # the sums of all chunks
    read = np.asarray(Image.open(io.BytesIO(written)))
    assert isinstance(figure.canvas, FigureCanvasAgg)
    np.testing.assert_array_equal(read, np.asarray(figure.canvas.buffer_rgba())[..., :3])
    assert (read != 255).any()

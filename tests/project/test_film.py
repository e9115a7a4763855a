"""The picture that moves: from any release, small, and with each crowd where its records say."""

import io
import sys
from pathlib import Path

import torch
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
import film  # noqa: E402


def test_a_film_of_any_release_moves_where_its_walkers_do():
    step, where = torch.tensor([0.0, 10.0, 20.0]), torch.linspace(0, 1, 9, dtype=torch.float64)
    moving = torch.tensor([[0.5, 0.5], [0.3, 0.7], [0.1, float("nan")]], dtype=torch.float64)
    still = torch.full((3, 1), 0.5, dtype=torch.float64)
    bump = 1 + (where * 3.14).sin()
    curves = [("loss", torch.zeros_like(where), "black"), ("curvature", bump, "tab:red")]
    data = film.film(step, 5, [("moving", moving), ("still", still)], where, curves)
    picture = Image.open(io.BytesIO(data))
    assert picture.n_frames == 3
    columns = []
    for frame in range(3):
        picture.seek(frame)
        shown = picture.convert("RGB")
        pixels = shown.load()
        close = [
            x
            for x in range(shown.width)
            for y in range(shown.height)
            if pixels[x, y][2] > pixels[x, y][0] + 80  # blue, as the palette of a GIF has it
        ]
        half = shown.width / 2
        columns.append(([x for x in close if x < half], sum(x for x in close if x > half)))
    assert min(columns[2][0]) < min(columns[1][0]) < min(columns[0][0])  # to the left
    assert max(columns[2][0]) < min(columns[0][0])  # and the other one has left the road
    assert columns[0][1] == columns[2][1]  # without noise nothing moves


def test_records_are_read_between_their_steps():
    values = film.at_steps(
        torch.tensor([0.0, 4.0, 8.0]), torch.tensor([[0.0], [2.0], [3.0]]), torch.tensor([1.0, 6.0, 9.0])
    )
    assert values[:, 0].tolist() == [0.5, 2.5, 3.0]


def test_the_film_of_the_readme_is_small():
    assert film.FILE.stat().st_size < 1_000_000

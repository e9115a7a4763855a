"""How sure against how right: counts, intervals, and a sentence that says no more than the numbers bear."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from entropic_edu.figures.pixels import png
from entropic_edu.teaching import calibration as module
from entropic_edu.teaching.answers import Made
from entropic_edu.teaching.calibration import Calibration
from entropic_edu.teaching.strings import text


def made(confidence, *rights):
    return [Made("02", f"{confidence} {number}", "a", confidence, right) for number, right in enumerate(rights)]


def test_bets_are_counted_by_confidence():
    bets = made(1 / 3, True, False, False) + made(0.9, True)
    assert Calibration(bets).levels == {0.33: (1, 3), 0.9: (1, 1)}


def test_without_bets_there_is_a_sentence_and_an_empty_picture():
    empty = Calibration([])
    assert repr(empty).startswith("No predictions yet")
    assert Image.open(io.BytesIO(empty.draw())).size[0] > 600


def test_few_bets_are_said_to_say_little():
    assert "1 of 2 were right" in Calibration(made(0.7, True, False)).sentence
    assert "about 1.4 should be" in Calibration(made(0.7, True, False)).sentence
    assert "few bets say little" in Calibration(made(0.7, True, False)).sentence
    assert "few bets say little" in Calibration(made(0.7, *[True] * 4)).sentence
    assert "few bets say little" not in Calibration(made(0.7, *[True] * 5)).sentence


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        ([False] * 6, "overconfident"),
        ([True] * 6 + [False] * 6, "within what chance"),
        ([True] * 12, "underconfident"),
        ([True] * 11 + [False] * 25, "overconfident"),
        ([True] * 12 + [False] * 24, "within what chance"),
        ([True] * 24 + [False] * 12, "within what chance"),
        ([True] * 25 + [False] * 11, "underconfident"),
    ],
)  # at 50 %: 3 ± 1.2, 6 ± 1.7 and 6 ± 1.7 are expected, and 18 ± 3 of 36
def test_the_sentence_names_a_difference_only_where_chance_does_not_explain_it(rights, said):
    assert said in Calibration(made(0.5, *rights)).sentence


def test_the_picture_changes_with_the_bets_and_only_with_them():
    some, same, more = (Calibration(made(0.7, *rights)) for rights in ([True], [True], [True, False]))
    assert some.draw() == same.draw()
    assert some.draw() != more.draw()
    assert "Software" not in Image.open(io.BytesIO(some.draw())).info


@pytest.fixture
def axes(monkeypatch):
    """Draw bets and return the axes."""
    drawn = []
    monkeypatch.setattr(module, "png", lambda figure: drawn.append(figure) or png(figure))

    def axes_of(bets):
        Calibration(bets).draw()
        drawn[-1].draw_without_rendering()
        return drawn[-1].axes[0]

    return axes_of


def test_each_dot_lies_at_how_sure_and_how_often_right_with_the_interval_of_wilson(axes):
    ax = axes(made(0.7, True, True, False) + made(0.9, True))
    for (right, count, sure), dot in zip([(2, 3, 70), (1, 1, 90)], ax.containers, strict=True):
        share, z = right / count, 1.959964
        middle, half = share + z**2 / (2 * count), z * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
        ends = [100 * (middle + sign * half) / (1 + z**2 / count) for sign in (-1, 1)]
        assert dot.lines[0].get_xydata().tolist() == [[sure, pytest.approx(100 * share)]]
        assert dot.lines[2][0].get_segments()[0][:, 1].tolist() == pytest.approx(ends)
    diagonal = ax.lines[0].get_xydata().tolist()
    assert diagonal == [[0, 0], [100, 100]]
    assert ax.get_xticks().tolist() == [0, 20, 40, 60, 80, 100]
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert left == 0 < 100 < right
    assert low < 0 < 100 < high
    box = ax.get_window_extent()
    for words in ax.texts:
        inside = words.get_window_extent()
        assert box.x0 <= inside.x0 < inside.x1 <= box.x1, words.get_text()
        assert box.y0 <= inside.y0 < inside.y1 <= box.y1, words.get_text()


def test_words_lie_along_the_diagonal_and_level_with_each_dot_past_its_bar(axes):
    ax = axes(made(0.5, True, False) + made(0.9, True))
    point = ax.figure.dpi / 72  # in pixels
    start, end = ax.transData.transform([[0, 0], [100, 100]])
    along, *beside, corner = ax.texts
    slope = np.subtract(end, start)
    assert along.get_rotation() == pytest.approx(np.degrees(np.arctan2(*slope[::-1])))
    away = np.cross([*slope, 0], [*(ax.transData.transform(along.get_position()) - start), 0])[2] / np.hypot(*slope)
    assert 0.15 < away / point / along.get_fontsize() < 0.3  # a quarter of a letter above it
    for words, dot in zip(beside, ax.containers, strict=True):
        x, y = ax.transData.transform(dot.lines[0].get_xydata()[0])
        inside = words.get_window_extent()
        assert (inside.y0 + inside.y1) / 2 == pytest.approx(y, abs=0.6 * point)
        assert (inside.x0 - x) / point == pytest.approx(dot.lines[1][0].get_markersize(), abs=0.5)
    assert corner.get_text() == text("calibration.bars")
    assert {words.get_fontsize() for words in ax.texts} == {ax.xaxis.label.get_fontsize()}
    assert [words.get_text() for words in axes([]).texts] == [along.get_text()]


def test_bars_stand_out_from_the_dashed_diagonal_and_end_a_little_wider_than_their_dots(axes):
    ax = axes(made(0.5, True, False))
    width, height = ax.figure.get_size_inches()
    assert round(96 * width) == 760  # CSS pixels
    assert 1 / 3 < height / width < 1 / 2
    (dot,), diagonal = ax.containers, ax.lines[0]
    assert diagonal.get_linestyle() == "--"
    assert 0.6 < diagonal.get_linewidth() / dot.lines[2][0].get_linewidth()[0] < 1
    assert 1 < dot.lines[1][0].get_markersize() / dot.lines[0].get_markersize() < 1.2


def test_two_calibrations_of_the_same_bets_are_two():
    assert Calibration([]) != Calibration([])


def test_the_picture_has_its_sentence_as_a_widget_and_where_none_can_run():
    shown = Calibration(made(0.7, True))
    bundle = shown._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == shown.draw()
    assert bundle["text/plain"] == shown.sentence
    assert "application/vnd.jupyter.widget-view+json" in bundle

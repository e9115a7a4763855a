"""How sure against how right: counts, intervals, and a sentence that says no more than the numbers bear."""

import base64
import io

import pytest
from PIL import Image

from entropic_edu.figures.pixels import png
from entropic_edu.teaching import calibration as module
from entropic_edu.teaching.answers import Made
from entropic_edu.teaching.calibration import Calibration


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
    assert "few bets say little" not in Calibration(made(0.7, *[True] * 5)).sentence


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        ([False] * 6, "overconfident"),
        ([True] * 6 + [False] * 6, "within what chance"),
        ([True] * 12, "underconfident"),
    ],
)  # at 50 %: 3 ± 1.2, 6 ± 1.7 and 6 ± 1.7 are expected
def test_the_sentence_names_a_difference_only_where_chance_does_not_explain_it(rights, said):
    assert said in Calibration(made(0.5, *rights)).sentence


def test_the_picture_changes_with_the_bets_and_only_with_them():
    some, same, more = (Calibration(made(0.7, *rights)) for rights in ([True], [True], [True, False]))
    assert some.draw() == same.draw()
    assert some.draw() != more.draw()
    assert "Software" not in Image.open(io.BytesIO(some.draw())).info


def test_each_dot_lies_at_how_sure_and_how_often_right_with_the_interval_of_wilson(monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "png", lambda figure: drawn.append(figure) or png(figure))
    Calibration(made(0.7, True, True, False) + made(0.9, True)).draw()
    ax = drawn[0].axes[0]
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
    assert left <= 0 < 100 < right
    assert low < 0 < 100 < high
    drawn[0].draw_without_rendering()
    box = ax.get_window_extent()
    for words in ax.texts:
        inside = words.get_window_extent()
        assert box.x0 <= inside.x0 < inside.x1 <= box.x1, words.get_text()
        assert box.y0 <= inside.y0 < inside.y1 <= box.y1, words.get_text()


def test_two_calibrations_of_the_same_bets_are_two():
    assert Calibration([]) != Calibration([])


def test_the_picture_has_its_sentence_as_a_widget_and_where_none_can_run():
    shown = Calibration(made(0.7, True))
    bundle = shown._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == shown.draw()
    assert bundle["text/plain"] == shown.sentence
    assert "application/vnd.jupyter.widget-view+json" in bundle

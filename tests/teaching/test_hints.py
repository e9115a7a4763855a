"""Hints: one after the other, each counted, and none past the last."""

import html
import re

import pytest

pytest.importorskip("ipywidgets", reason="hints are widgets")

from entropic_edu.teaching.check import Exercise
from entropic_edu.teaching.hints import Hints
from entropic_edu.teaching.strings import text

EXERCISE = Exercise("slope", "2.1", truth=lambda: 1.0, wrong={})
WORDS = ["Look at <a>.", "Then at b & c.", "It is 7."]


@pytest.fixture(params=[1, 2, 3])
def hints(request, words):
    words({f"02.exercise.slope.hint.{number}": WORDS[number - 1] for number in range(1, request.param + 1)})
    return Hints("02", EXERCISE)


def seen(hints):
    return [html.unescape(each) for each in re.findall("<p>(.*?)</p>", hints.widget.children[0].value)]


def test_each_press_opens_one_more_until_the_last(hints):
    button, of = hints.widget.children[1], len(hints.hints)
    assert hints.hints == WORDS[:of]
    for shown in range(of + 2):
        last = min(shown, of)
        assert hints.shown == last
        assert seen(hints) == [hints.layer(number) for number in range(1, last + 1)]
        assert all(WORDS[number] in each for number, each in enumerate(seen(hints)))
        assert button.disabled == (last == of)
        word = "hint.last" if last == of else "hint.next" if last else "hint.first"
        assert button.description == text(word, number=last + 1, of=of)
        assert repr(hints).splitlines()[:-1] == seen(hints)
        button.click()


def test_a_hint_is_asked_for_by_its_number(hints):
    of = len(hints.hints)
    for number in range(1, of + 1):
        assert hints.layer(number) == text("hint.said", number=number, of=of, hint=WORDS[number - 1])
    for number in (0, of + 1, -1):
        with pytest.raises(ValueError, match=f"has hints 1 to {of}; got {number}"):
            hints.layer(number)
    assert hints.shown == 0  # asking shows nothing


def test_without_a_page_the_last_line_says_how_to_ask_for_the_next(hints):
    kind = "hint.plain_one" if len(hints.hints) == 1 else "hint.plain"
    for _ in range(len(hints.hints) + 1):
        after = min(hints.shown + 1, len(hints.hints))
        assert repr(hints).splitlines()[-1] == text(kind, number="2.1", of=len(hints.hints), next=after)
        assert hints._repr_mimebundle_()["text/plain"] == repr(hints)
        hints.next()

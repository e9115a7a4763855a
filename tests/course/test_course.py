"""Every chapter of the course keeps what its data model promises: words for all, and a message for each slip."""

import ast
import importlib.util
import itertools
import re
from functools import cache
from pathlib import Path

import explorers
import numpy as np
import pytest

import entropic_edu
from entropic_edu import course
from entropic_edu.teaching.check import check
from entropic_edu.teaching.strings import catalogue, find


def written():
    """The chapters that exist; the others are named in the skips of the test below."""
    return [
        number for number, name in course.MODULES.items() if importlib.util.find_spec(f"entropic_edu.course.{name}")
    ]


def needs_widgets():
    for package in ("ipywidgets", "anywidget"):
        pytest.importorskip(package, reason="chapters make explorers and players")


@cache
def chapter(number):
    needs_widgets()
    return course.chapter(number)


def all_of(kind):
    """Pairs (chapter number, part) for all questions or exercises; none where the chapters cannot be read."""
    parts = [(number, part) for number in readable() for part in getattr(course.chapter(number), kind)]
    return [pytest.param(number, part, id=f"{number} {part.name}") for number, part in parts]


def readable():
    """The chapters that exist, if this machine has what they are made of."""
    there = all(importlib.util.find_spec(package) for package in ("ipywidgets", "anywidget"))
    return written() if there else []


def entries(prefix):
    return {key: words for key, words in catalogue("en").items() if key.startswith(prefix)}


@pytest.mark.parametrize("number", course.MODULES)
def test_a_chapter_has_the_number_of_its_lesson_and_a_title(number):
    if number not in written():
        pytest.skip(f"lesson {number} is not written yet")
    assert chapter(number).number == number
    assert find(f"lesson.title.{number}")


def test_a_lesson_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(ValueError, match="'42'; the lessons are 00, 01"):
        course.chapter("42")


@pytest.mark.parametrize("number", written())
def test_names_and_numbers_are_unique_and_in_order(number):
    found = chapter(number)
    for names in ([q.name for q in found.questions], [e.name for e in found.exercises]):
        assert len(set(names)) == len(names)
    numbers = [exercise.number for exercise in found.exercises]
    assert numbers == [f"{int(number)}.{place}" for place in range(1, len(numbers) + 1)]


@pytest.mark.parametrize(("number", "question"), all_of("questions"))
def test_a_question_has_one_right_option_and_words_for_all(number, question):
    assert len(question.options) >= 2
    assert len(set(question.options)) == len(question.options)
    assert question.right in question.options
    assert set(question.ghosts) <= set(question.options)
    wanted = {"ask", *(f"{kind}.{option}" for kind in ("option", "reply") for option in question.options)}
    prefix = f"{number}.question.{question.name}."
    assert set(entries(prefix)) == {prefix + key for key in wanted}
    said = [find(f"{prefix}{kind}.{option}") for kind in ("option", "reply") for option in question.options]
    assert len(set(said)) == len(said)  # every option and every misconception has words of its own


@pytest.mark.parametrize(("number", "exercise"), all_of("exercises"))
def test_an_exercise_has_words_for_all_it_can_say(number, exercise):
    prefix = f"{number}.exercise.{exercise.name}."
    hints = [key for key in entries(prefix) if key.startswith(f"{prefix}hint.")]
    assert hints
    assert hints == [f"{prefix}hint.{layer}" for layer in range(1, len(hints) + 1)]
    wanted = {f"{prefix}{key}" for key in ("ask", "right", *(f"wrong.{slip}" for slip in exercise.wrong))}
    assert set(entries(prefix)) == wanted | set(hints)


@pytest.mark.parametrize(("number", "exercise"), all_of("exercises"))
def test_the_truth_passes_and_every_known_slip_gets_its_own_message(number, exercise):
    right = check(number, exercise, handed_in(exercise, exercise.truth))
    assert right.right, right.message
    assert find(f"{number}.exercise.{exercise.name}.right") in right.message
    assert exercise.wrong
    messages = {right.message}
    for slip, wrong in exercise.wrong.items():
        verdict = check(number, exercise, handed_in(exercise, wrong))
        assert verdict.slip == slip, verdict.message
        assert not verdict.right
        assert find(f"{number}.exercise.{exercise.name}.wrong.{slip}") in verdict.message
        assert f"exercise {exercise.number}" in verdict.message
        messages.add(verdict.message)
    assert len(messages) == 1 + len(exercise.wrong)


@pytest.mark.parametrize(("number", "exercise"), all_of("exercises"))
def test_no_two_slips_can_be_taken_for_each_other(number, exercise):
    found = {slip: [wrong(*case) for case in exercise.cases] for slip, wrong in exercise.wrong.items()}
    for (one, values), (other, others) in itertools.combinations(found.items(), 2):
        assert not all(alike(a, b, exercise.tolerance) for a, b in zip(values, others, strict=True)), (one, other)


@pytest.mark.parametrize(("number", "exercise"), all_of("exercises"))
def test_an_untouched_stub_is_not_attempted(number, exercise):
    for stub in (None, ..., *([lambda *case: ...] if exercise.cases[0] else [])):
        verdict = check(number, exercise, stub)
        assert verdict.message == f"Exercise {exercise.number}: not attempted yet."


@pytest.mark.parametrize("number", written())
def test_every_entry_of_a_chapter_is_used_and_says_something(number):
    known = {
        f"{kind}.{part.name}" for kind in ("question", "exercise") for part in getattr(chapter(number), f"{kind}s")
    }
    idle = []
    for key, words in entries(f"{number}.").items():
        assert words.strip(), key
        asked = key.startswith((f"{number}.question.", f"{number}.exercise."))
        used = ".".join(key.split(".")[1:3]) in known if asked else any(re.fullmatch(p, key) for p in patterns(number))
        idle += [] if used else [key]
    assert not idle, f"the catalogue has entries that no code asks for: {idle}"


@pytest.mark.parametrize("number", written())
def test_every_key_that_the_code_writes_out_is_in_the_catalogue(number):
    missing = [p for p in patterns(number) if not any(re.fullmatch(p, key) for key in catalogue("en"))]
    assert not missing, f"the code asks for {missing}"


@cache
def patterns(number):
    """The keys of a chapter that the package's code writes out, as patterns: what it fills in may be anything."""
    texts = set()
    for source in Path(entropic_edu.__file__).parent.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(source.read_text("utf-8"))))
        filled = [node for node in nodes if isinstance(node, ast.JoinedStr)]
        pieces = {id(part) for node in filled for part in node.values}
        texts |= {
            "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in node.values)
            for node in filled
        }
        texts |= {
            re.escape(node.value)
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in pieces
        }
    return {words for words in texts if re.match(rf"{number}\\\.[a-z]\S*$", words)}


def handed_in(exercise, function):
    """An answer as a learner would hand it in: the function, or its value where a plain value is asked for."""
    return function if exercise.cases[0] else function()


def alike(a, b, tolerance):
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=tolerance, atol=0)


@pytest.mark.parametrize("number", course.MODULES)
def test_what_a_learner_turns_has_words_in_the_catalogue(number):
    for name, make in course.chapter(number).explorers.items():
        for control in make(0).controls:  # without an entry its name would stand on the page
            assert find(f"control.{control.name}.label"), f"{name}: {control.name}"


OTHERS = ("00", "01", "02", "03", "04", "05", "08", "09")  # whose explorers are held to this by their lesson's tests


@pytest.mark.parametrize(
    ("number", "name"),
    [(number, name) for number in readable() if number not in OTHERS for name in course.chapter(number).explorers],
)
def test_every_state_says_numbers_of_its_own_and_looks_the_same_whatever_was_drawn_before(number, name):
    make = course.chapter(number).explorers[name]
    explorer = make(0)
    explorers.drive(explorer)
    explorers.same_from_anywhere(explorer, lambda: make(0))

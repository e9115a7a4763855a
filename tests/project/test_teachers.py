"""Teachers' pages: what they quote is what the explorers say, what they name exists, and the quiz is right."""

import itertools
import json
import math
import re
import shlex
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import entropic_edu as ee
from entropic_edu import cli
from entropic_edu.course.still import picture

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "lessons" / "instructors").glob("*.md"))
SCRIPTS = [page for page in PAGES if page.name[:2].isdigit()]
QUIZZES = sorted((ROOT / "lessons" / "quiz").glob("*.json"))
SOURCES = {file.stem: file.read_text("utf-8") for file in sorted((ROOT / "lessons" / "src").glob("[0-9][0-9]_*.py"))}
QUOTE = re.compile(r"^> `(explore|play)\((.*)\)`\n>\n> (.+)$", re.MULTILINE)
PARTS = ["Do and say", "What they answer", "Board", "Ask", "Short of time"]


@pytest.fixture(autouse=True)
def _no_answers_are_kept(monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_ANSWERS", "off")
    monkeypatch.delenv("ENTROPIC_EDU_CLASS", raising=False)


def made(number, kind):
    code = next(text for stem, text in SOURCES.items() if stem.startswith(number))
    return re.findall(rf'lesson\.{kind}\("(\w+)"(?:, after="(\w+)")?[,)]', code)


@cache
def explorers(number):
    lesson = ee.Lesson(number)
    return {name: lesson.explore(name, after=after or None) for name, after in made(number, "explore")}


def test_each_lesson_has_its_script_and_its_quiz():
    assert [page.stem for page in SCRIPTS] == [quiz.stem for quiz in QUIZZES] == list(SOURCES)
    assert {page.stem for page in PAGES} - set(SOURCES) == {"guide", "schedules", "before_class", "if_it_breaks"}


@pytest.mark.parametrize("page", SCRIPTS, ids=lambda page: page.stem)
def test_every_quote_is_what_the_explorer_says(page):
    found = QUOTE.findall(page.read_text("utf-8"))
    assert len(found) >= 3
    assert len(re.findall(r"`(?:explore|play)\(", page.read_text("utf-8"))) == len(found)
    for kind, call, sentence in found:
        name, _, rest = call.partition(",")
        given = eval(f"dict({rest})", {"__builtins__": {"dict": dict}})  # our own page
        if kind == "play":
            scene = ee.Lesson(page.stem[:2]).play(json.loads(name)).scene
            knobs = [replace(each, default=given.get(each.name, each.default)) for each in scene.sliders]
            assert picture(replace(scene, sliders=knobs))[1] == sentence, call
            continue
        explorer = explorers(page.stem[:2])[json.loads(name)]
        values = {control.name: control.default for control in explorer.controls} | given
        for control in explorer.controls:
            assert values[control.name] in control.options, call
        assert explorer.draw(**values).sentence == sentence, call


@pytest.mark.parametrize("page", SCRIPTS, ids=lambda page: page.stem)
def test_the_script_says_what_each_wrong_answer_tells(page):
    text = page.read_text("utf-8")
    assert [part for part in PARTS if f"\n## {part}\n" not in text] == []
    told = re.split(
        r"^`predict\(\"(\w+)\"\)`\n", text[text.index("## What they answer") : text.index("## Board")], flags=re.M
    )
    told = dict(zip(told[1::2], told[2::2], strict=True))
    lesson = ee.Lesson(page.stem[:2])
    assert set(told) == {name for name, _ in made(page.stem[:2], "predict")}
    for name, words in told.items():
        question = lesson.predict(name).question
        wrong = set(question.options) - {question.right}
        assert set(re.findall(r"^- `(\w+)`: .{10}", words, re.MULTILINE)) == wrong, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_commands_are_real(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert target.startswith("https://") or (page.parent / target).is_file(), target
    for line in re.findall(r"`entropic-edu ([^`]+)`", text):
        cli._parser().parse_args(shlex.split(line))
    for name in re.findall(r"ENTROPIC_EDU_\w+", text):
        assert any(name in file.read_text("utf-8") for file in (ROOT / "entropic_edu").rglob("*.py")), name
    targets = re.findall(r"^(\w+): \$\((?:STORY|LAB|READY)\)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for name in re.findall(r"`make (\w+)`", text):
        assert name in targets


def test_messages_in_the_table_of_faults_are_those_that_learners_see():
    strings = (ROOT / "entropic_edu" / "teaching" / "strings" / "en.toml").read_text("utf-8")
    tomllib.loads(strings)
    text = (ROOT / "lessons" / "instructors" / "if_it_breaks.md").read_text("utf-8")
    for words in ("Make your prediction first, or", "not attempted yet", "Your answers cannot be saved"):
        assert words in text
        assert words in strings


@pytest.mark.parametrize("name", ["45 minutes", "90 minutes", "Half a day", "Two half days"])
def test_a_schedule_goes_forward_and_ends_in_time(name):
    text = (ROOT / "lessons" / "instructors" / "schedules.md").read_text("utf-8")
    [part] = [part for part in re.split(r"^## ", text, flags=re.MULTILINE) if part.startswith(name)]
    minutes = [int(minute) for minute in re.findall(r"^\| (\d+) \|", part, re.MULTILINE)]
    assert minutes == sorted(set(minutes))
    assert minutes[0] == 0
    assert minutes[-1] < {"45 minutes": 45, "90 minutes": 90}.get(name, 210)


ORACLES = {  # of each numeric question, in order
    "00_start": [0.8 / math.sqrt(8)],
    "01_one_valley": [0.1 * 2**2 / (2 * 16)],
    "02_flat_floor": [9**-0.5],
    "03_tug_of_war": [0.02 / (5**2 / 4 * 4)],
    "05_bump": [6.4 / ((3.0 + 3.4) / 2)],
    "06_let_go": [ee.effective_temperature(batch_size=16, learning_rate=0.02, momentum=0.9)],
    "07_late_game": [100 * 0.04 / 0.64],
    "08_bad_valleys": [1.00 - 0.72],
    "09_cifar10": [2000 * (0.04 / (1 - 0.9)) / (0.2 / (1 - 0.95))],
    "10_limits": [(0.28 - 0.13) / (0.30 - 0.13)],
}


@pytest.mark.parametrize("file", QUIZZES, ids=lambda file: file.stem)
def test_the_quiz_is_in_the_format_of_jupyterquiz_and_right(file):
    questions = json.loads(file.read_text("utf-8"))
    assert 3 <= len(questions) <= 6
    assert len({question["question"] for question in questions}) == len(questions)
    numeric = [question for question in questions if question["type"] == "numeric"]
    for question, value in zip(numeric, ORACLES.get(file.stem, []), strict=True):
        *ranges, rest = question["answers"]
        assert rest.keys() == {"type", "feedback"}
        assert rest["type"] == "default"
        holds = [answer for answer in ranges if answer["range"][0] <= value <= answer["range"][1]]
        assert [answer["correct"] for answer in holds] == [True]
        spans = sorted(answer["range"] for answer in ranges)
        assert all(low < high for low, high in spans)
        assert all(one[1] < other[0] for one, other in itertools.pairwise(spans))  # none is told two things
    for question in questions:
        assert question["type"] in ("multiple_choice", "numeric")
        assert sum(answer.get("correct", False) for answer in question["answers"]) == 1
        assert all(len(answer["feedback"]) >= 4 for answer in question["answers"])
        if question["type"] == "multiple_choice":
            assert all(answer.keys() == {"answer", "correct", "feedback"} for answer in question["answers"])
            assert len({answer["answer"] for answer in question["answers"]}) == len(question["answers"]) >= 3


def test_the_right_answer_does_not_stand_at_one_place():
    places = [
        [answer["correct"] for answer in question["answers"]].index(True)
        for file in QUIZZES
        for question in json.loads(file.read_text("utf-8"))
        if question["type"] == "multiple_choice"
    ]
    assert len(set(places)) == 3
    assert max(places.count(place) for place in places) < 0.6 * len(places)


def test_seats_of_a_class_see_crowds_of_their_own_and_the_same_anywhere(monkeypatch):
    """What the guide promises of ENTROPIC_EDU_CLASS."""

    def mean(code):
        monkeypatch.setenv("ENTROPIC_EDU_CLASS", code)
        explorer = ee.Lesson("00").explore("seeds", after="again")
        sentence = explorer.draw(run=1, runs_shown="one").sentence
        return re.search(r"mean over the run is ([+-][\d.]+)", sentence)[1]

    seats = [mean(f"monday:{seat}") for seat in range(8)]
    assert len(set(seats)) > 4
    assert mean("monday:3") == seats[3]

"""A lesson on the page, with a chapter made up for the tests: seeds, what it finds by name, and what it remembers."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from entropic_edu import course

pytest.importorskip("ipywidgets", reason="lessons need ipywidgets")
from entropic_edu.course import Chapter, Exercise, Question  # (after the guard)
from entropic_edu.course.lesson import Lesson

WORDS = {
    "02.question.where.ask": "Where?",
    "02.question.where.option.here": "Here",
    "02.question.where.option.there": "There",
    "02.question.where.reply.here": "Yes.",
    "02.question.where.reply.there": "No.",
    "02.exercise.rate.right": "Right.",
    "02.exercise.rate.wrong.root": "A square root.",
    "02.exercise.rate.hint.1": "First <hint>.",
    "02.exercise.rate.hint.2": "Second hint.",
}


class FakeExplorer:
    """What a lesson asks of an explorer."""

    def __init__(self, seed):
        self.seed, self.bet, self.uncovered = seed, None, False

    def cover(self, bet):
        self.bet = bet
        bet.on_open(self.uncover)
        return self

    def uncover(self):
        self.uncovered = True


CHAPTER = Chapter(
    "02",
    questions=[Question("where", ("here", "there"), "here", {"there": 2.0})],
    exercises=[Exercise("rate", "2.1", truth=lambda: 0.2, wrong={"root": lambda: 0.1})],
    explorers={"drain": FakeExplorer},
    players={"crowd": lambda seed: ("player", seed)},
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, words):
    monkeypatch.setenv("ENTROPIC_EDU_HOME", str(tmp_path))
    for name in ("ENTROPIC_EDU_ANSWERS", "ENTROPIC_EDU_CLASS"):
        monkeypatch.delenv(name, raising=False)
    words(WORDS)
    monkeypatch.setitem(course.MODULES, "02", "made_up")
    monkeypatch.setitem(sys.modules, f"{course.__name__}.made_up", SimpleNamespace(CHAPTER=CHAPTER))
    return tmp_path


@pytest.fixture
def lesson():
    return Lesson("02")


# --- seeds ---------------------------------------------------------------------------------------------------------


def test_without_a_class_everybody_sees_the_printed_numbers(lesson):
    assert lesson.seed == 0
    assert torch.equal(
        torch.randn(3, generator=lesson.generator()), torch.randn(3, generator=torch.Generator().manual_seed(0))
    )
    assert repr(lesson) == 'Lesson 02 "A flat floor that is not free", seed 0'


def test_a_class_gives_each_seat_a_seed_that_is_the_same_anywhere(monkeypatch):
    seeds = [Lesson("02", class_code="Blue 7", seat=seat).seed for seat in range(1, 31)]
    assert len(set(seeds)) == 30
    # the first eight digits that `printf 'entropic_edu:blue 7:1' | sha256sum` prints
    assert f"{seeds[0]:08x}" == "02634531"
    assert Lesson("02", class_code=" blue  7 ", seat=1).seed == seeds[0]
    monkeypatch.setenv("ENTROPIC_EDU_CLASS", "blue 7:2")
    assert Lesson("02").seed == seeds[1]
    assert Lesson("02", seat=3).seed == seeds[2]
    assert "seat 2" in repr(Lesson("02"))


def test_a_class_without_seats_shares_one_seed(monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_CLASS", "blue 7")
    assert Lesson("02").seed == Lesson("02", class_code="BLUE 7").seed != 0


def test_each_generator_of_a_lesson_begins_anew(lesson):
    assert torch.equal(torch.randn(3, generator=lesson.generator()), torch.randn(3, generator=lesson.generator()))


def test_a_seat_that_is_no_number_or_has_no_class_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="Seat 3 of which class"):
        Lesson("02", seat=3)
    monkeypatch.setenv("ENTROPIC_EDU_CLASS", "blue:window")
    with pytest.raises(ValueError, match="got 'window'"):
        Lesson("02")


# --- by name -------------------------------------------------------------------------------------------------------


def test_explorers_and_players_are_made_anew_with_the_seed_of_the_lesson():
    lesson = Lesson("02", class_code="blue")
    assert lesson.explore("drain") is not lesson.explore("drain")
    assert lesson.explore("drain").seed == lesson.seed
    assert lesson.play("crowd") == ("player", lesson.seed)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda lesson: lesson.explore("waist"), "no explorer 'waist'; there is drain"),
        (lambda lesson: lesson.explore("drain", after="when"), "no question 'when'; there is where"),
        (lambda lesson: lesson.play("waist"), "no player 'waist'; there is crowd"),
        (lambda lesson: lesson.play("crowd", after="where"), "'crowd' is a film, which waits for no bet"),
        (lambda lesson: lesson.predict("when"), "no question 'when'; there is where"),
        (lambda lesson: lesson.check("2.9", 1), "no exercise '2.9'; there is rate, 2.1"),
        (lambda lesson: lesson.hint("2.9"), "no exercise '2.9'; there is rate, 2.1"),
        (lambda lesson: lesson.hint("2.1", 3), "has hints 1 to 2; got 3"),
        (lambda lesson: lesson.hint("2.1", 0), "has hints 1 to 2; got 0"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(lesson, call, message):
    with pytest.raises(ValueError, match=message):
        call(lesson)


def test_the_source_of_an_explorer_is_its_module_and_what_a_learner_wrote_goes_to_it():
    lesson = Lesson("06")
    source = lesson.source("walk")
    assert source.startswith('"""Round 1')
    assert "def walk(seed: int) -> Explorer:" in repr(source)
    seen = []
    own = lesson.explore("own", release=lambda *given: seen.append(given))
    with pytest.raises(ValueError, match="returned NoneType"):
        own.run()
    assert len(seen) == 1
    with pytest.raises(ValueError, match=r"'own' takes no hvp; functions it takes: release"):
        lesson.explore("own", hvp=None)
    with pytest.raises(ValueError, match="has no explorer 'nowhere'"):
        lesson.source("nowhere")


def test_an_explorer_is_covered_until_its_bet_opens_and_finds_it_when_it_is_made_again(lesson):
    explorer = lesson.explore("drain", after="where")
    assert not explorer.uncovered
    lesson.predict("where").lock("there", 0.7)
    assert explorer.uncovered
    again = lesson.explore("drain", after="where")
    assert again is not explorer
    assert again.uncovered
    assert again.bet.ghost == 2.0
    assert lesson.explore("drain").bet is None


def test_a_bet_is_found_again_in_a_later_session(lesson):
    lesson.predict("where").lock("there", 0.7)
    assert Lesson("02").predict("where").choice == "there"


# --- checks, hints, progress ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["2.1", "rate", 2.1])
def test_an_exercise_is_found_by_number_and_by_name(lesson, name):
    assert lesson.check(name, 0.2).right
    assert lesson.check(name, 0.1).message.endswith("A square root.")


def test_progress_names_what_was_passed_and_predicted(lesson):
    assert repr(lesson.progress()) == ("Lesson 02. Checks passed: none (0 of 1). Predictions made: none (0 of 1).")
    lesson.check("2.1", 0.1)
    lesson.check("2.1", None)
    assert "0 of 1" in lesson.progress()
    lesson.check("2.1", 0.2)
    lesson.predict("where").lock("here", 0.9)
    assert Lesson("02").progress() == "Lesson 02. Checks passed: 2.1 (1 of 1). Predictions made: where (1 of 1)."


def test_calibration_is_over_all_bets(lesson):
    assert "No predictions yet" in repr(lesson.calibration())
    lesson.predict("where").lock("here", 0.9)
    assert lesson.calibration().levels == {0.9: (1, 1)}


def test_forgetting_says_what_it_deleted_and_the_question_is_open_to_a_new_bet(lesson):
    lesson.check("2.1", 0.2)
    lesson.predict("where").lock("here", 0.9)
    assert lesson.forget() == "Lesson 02: 1 of your predictions and 1 of your passed checks were deleted."
    assert "0 of 1" in lesson.progress()
    assert not lesson.predict("where").open


def test_a_hint_can_be_printed(lesson, capsys):
    assert lesson.hint("2.1", 2) is None
    assert capsys.readouterr().out == "Hint 2 of 2: Second hint.\n"


def test_hints_open_one_by_one(lesson):
    hints = lesson.hint("rate")
    bundle = hints._repr_mimebundle_()
    assert bundle["text/plain"] == "Exercise 2.1 has 2 hints; press the button, or lesson.hint('2.1', 1)."
    words, button = hints.widget.children
    assert button.description == "Show a hint"
    assert "First" not in words.value
    button.click()
    assert "Hint 1 of 2: First &lt;hint&gt;." in words.value
    assert "Second" not in words.value
    assert button.description == "Next hint (2 of 2)"
    button.click()
    assert "Second" in words.value
    assert button.disabled
    hints.next()
    assert "Second" in repr(hints)


# --- the file ------------------------------------------------------------------------------------------------------


def test_a_broken_file_is_told_when_the_lesson_begins(home, capsys):
    (home / "answers.json").write_text("{")
    Lesson("02")
    assert "answers.broken-1.json" in capsys.readouterr().out
    Lesson("02")
    assert capsys.readouterr().out == ""


def test_that_a_pass_cannot_be_saved_is_told_with_the_verdict(home, monkeypatch):
    (home / "file").write_text("no folder")
    monkeypatch.setenv("ENTROPIC_EDU_HOME", str(home / "file" / "below"))
    lesson = Lesson("02")
    said = lesson.check("2.1", 0.2).message
    assert "1 of 1 check of exercise 2.1 passed" in said
    assert "1 of 1" in Lesson("02").progress()  # the same kernel still knows


def test_with_answers_off_a_lesson_leaves_no_file(home, monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_ANSWERS", "off")
    lesson = Lesson("02")
    lesson.check("2.1", 0.2)
    lesson.predict("where").lock("here", 0.9)
    assert list(home.iterdir()) == []
    assert not Lesson("02").predict("where").open


def test_without_ipywidgets_the_import_says_what_to_install():
    code = "import sys; sys.modules['ipywidgets'] = None; import entropic_edu.course.lesson"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert "ImportError: " in ran.stderr
    assert 'pip install "entropic-edu[lab]"' in ran.stderr.splitlines()[-1]


# --- the environment -------------------------------------------------------------------------------------------------


def test_the_environment_is_one_sentence_where_all_is_there_and_names_what_is_not(tmp_path, monkeypatch):
    assert str(Lesson("02").environment()).startswith("Everything that the lessons need is here")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    (line,) = Lesson("02").environment().splitlines()
    assert line.startswith("fail  results       the current folder cannot be written")
    assert "change to a folder of your own" in line

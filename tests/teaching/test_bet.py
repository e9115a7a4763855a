"""Predictions: locking, skipping, what opens, and what is kept."""

import threading

import pytest

pytest.importorskip("ipywidgets", reason="predictions need ipywidgets")
import ipywidgets as W  # (after the guard)

from entropic_edu.course import Question
from entropic_edu.teaching.answers import Answers, Made
from entropic_edu.teaching.bet import Bet

QUESTION = Question("where", ("stays", "falls", "<b>"), "falls", {"stays": 1 / 3, "falls": 1 / 6})
WORDS = {
    "02.question.where.ask": "Where do <i>they</i> go?",
    "02.question.where.option.stays": "They stay",
    "02.question.where.option.falls": "They fall",
    "02.question.where.option.<b>": "Neither",
    "02.question.where.reply.stays": "Flat is not free.",
    "02.question.where.reply.falls": "Noise pushes.",
    "02.question.where.reply.<b>": "It is one of the two.",
}


@pytest.fixture(autouse=True)
def _words(words):
    words(WORDS)


@pytest.fixture
def answers(tmp_path):
    return Answers(tmp_path)


@pytest.fixture
def bet(answers):
    return Bet("02", QUESTION, answers)


def page(bet):
    """All that the widget shows now: its pieces by kind."""
    found = []

    def collect(widget):
        found.append(widget)
        for child in getattr(widget, "children", ()):
            collect(child)

    collect(bet.widget)
    return found


def press(bet, label):
    next(piece for piece in page(bet) if isinstance(piece, W.Button) and piece.description == label).click()


def buttons(bet):
    return [piece.description for piece in page(bet) if isinstance(piece, W.Button)]


def words(bet):
    return " ".join(piece.value for piece in page(bet) if isinstance(piece, W.HTML))


def options(bet):
    return next(piece for piece in page(bet) if isinstance(piece, W.RadioButtons))


def slider(bet):
    return next(piece for piece in page(bet) if isinstance(piece, W.SelectionSlider))


def test_nothing_is_chosen_at_first_and_nothing_waits(bet):
    assert (bet.choice, bet.confidence, bet.open, bet.ghost) == (None, None, False, None)
    assert options(bet).value is None
    assert buttons(bet) == ["Lock in", "Skip"]


def test_a_saved_notebook_shows_question_and_options_as_text(bet):
    bundle = bet._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    for said in ("Where do <i>they</i> go?", "( ) They stay", "( ) They fall"):
        assert said in bundle["text/plain"]
    assert "Noise pushes" not in bundle["text/plain"]


def test_locking_by_the_page_takes_choice_and_confidence(bet, answers):
    options(bet).value = "stays"
    slider(bet).value = 0.9
    press(bet, "Lock in")
    assert (bet.choice, bet.confidence, bet.open, bet.ghost) == ("stays", 0.9, True, 1 / 3)
    assert answers.bets == [Made("02", "where", "stays", 0.9, False)]
    assert "Locked: &quot;They stay&quot;, 90 %" in words(bet)
    assert options(bet).disabled
    assert slider(bet).disabled
    assert "(x) They stay" in repr(bet)


def test_locking_without_a_choice_says_what_is_missing(bet, answers):
    press(bet, "Lock in")
    assert "Choose one of the options first" in words(bet)
    assert 'role="alert"' in words(bet)
    assert not bet.open
    assert answers.bets == []


def test_skipping_opens_and_keeps_nothing(bet, answers):
    press(bet, "Skip")
    assert (bet.choice, bet.open, bet.ghost) == (None, True, None)
    assert answers.bets == []
    assert "Where do &lt;i&gt;they" in words(bet)
    assert all(piece.disabled for piece in page(bet) if isinstance(piece, W.Button))
    bet.skip()
    with pytest.raises(ValueError, match="open already"):
        bet.lock("falls")


def test_a_second_click_that_comes_too_late_does_nothing(bet, answers):
    lock = next(piece for piece in page(bet) if isinstance(piece, W.Button) and piece.description == "Lock in")
    options(bet).value = "falls"
    lock.click()
    lock.click()
    assert bet.choice == "falls"
    assert 'role="alert"' not in words(bet)


def test_a_guess_is_the_chance_level_and_no_level_below_it_is_offered(answers):
    assert Bet("02", QUESTION, answers).confidences == (1 / 3, 0.5, 0.7, 0.9, 0.99)
    assert Bet("02", Question("where", ("stays", "falls"), "falls"), answers).confidences == (0.5, 0.7, 0.9, 0.99)


@pytest.mark.parametrize(
    ("sure", "said"),
    [(None, "a guess"), (1 / 3, "a guess"), (0.5, "50 %"), (0.7, "70 %"), (0.9, "90 %"), (0.99, "99 %")],
)
def test_a_confidence_is_said_in_percent_and_none_is_a_guess(bet, answers, sure, said):
    assert [label for label, _ in slider(bet).options] == ["a guess", "50 %", "70 %", "90 %", "99 %"]
    bet.lock("falls", sure)
    assert bet.confidence == slider(bet).value == (sure or 1 / 3)
    assert f"They fall&quot;, {said}" in words(bet)
    later = Bet("02", QUESTION, Answers(answers.file.parent))
    assert slider(later).value == bet.confidence


@pytest.mark.parametrize(
    ("given", "message"), [(("rises", 0.5), "stays, falls.*got 'rises'"), (("falls", 0.6), "0.33, 0.5.*got 0.6")]
)
def test_a_bet_on_nothing_names_what_there_is(bet, given, message):
    with pytest.raises(ValueError, match=message):
        bet.lock(*given)


def test_what_came_out_is_told_when_the_learner_asks(bet):
    bet.lock("stays", 0.7)
    assert "Flat is not free." not in words(bet) + repr(bet)
    press(bet, "Show the result")
    assert "✗ It came out differently. Flat is not free." in words(bet)
    assert "Flat is not free." in repr(bet)
    assert buttons(bet) == ["Bet again"]


def test_who_was_right_is_told_so(bet):
    bet.lock("falls", 0.7)
    assert bet.reveal() == "✓ You were right. Noise pushes."


def test_before_a_bet_nothing_is_revealed(bet):
    bet.skip()
    with pytest.raises(ValueError, match="Nothing is locked in"):
        bet.reveal()


def test_a_bet_of_an_earlier_session_is_locked_from_the_start(bet, answers):
    bet.lock("falls", 0.9)
    later = Bet("02", QUESTION, Answers(answers.file.parent))
    assert (later.choice, later.confidence, later.open, later.ghost) == ("falls", 0.9, True, 1 / 6)
    assert options(later).value == "falls"
    assert "earlier session" in words(later)
    assert buttons(later) == ["Show the result", "Bet again"]


def test_betting_again_changes_the_ghost_and_leaves_the_calibration(bet, answers):
    bet.lock("stays", 0.7)
    press(bet, "Bet again")
    assert not bet.open
    assert options(bet).value is None
    assert not options(bet).disabled
    bet.lock("falls", 0.99)
    assert bet.ghost == 1 / 6
    assert answers.bets == [Made("02", "where", "stays", 0.7, False)]
    assert "the first bet counts" in words(bet)


def test_an_earlier_choice_that_is_no_option_any_more_is_not_shown(answers):
    answers.add_bet(Made("02", "where", "rises", 0.9, False))
    assert not Bet("02", QUESTION, answers).open


def test_whoever_waits_is_called_when_it_opens_and_at_once_afterwards(bet):
    called = []
    bet.on_open(lambda: called.append("early"))
    assert called == []
    bet.skip()
    bet.on_open(lambda: called.append("late"))
    assert called == ["early", "late"]


def test_an_error_of_one_who_waits_is_shown_and_raised_and_the_others_open(bet, caplog):
    called = []

    def fails():
        raise RuntimeError("no picture")

    bet.on_open(fails)
    bet.on_open(lambda: called.append("other"))
    press(bet, "Skip")
    assert called == ["other"]
    assert "RuntimeError: no picture" in words(bet)
    assert 'role="alert"' in words(bet)
    assert "no picture" in caplog.text  # ipywidgets logs what a callback raises; the method raises it
    with pytest.raises(RuntimeError, match="no picture"):
        bet.on_open(fails)
    bet.again()
    with pytest.raises(RuntimeError, match="no picture"):
        bet.lock("stays")


def test_one_who_waits_may_ask_for_the_ghost_from_another_thread(bet):
    # an explorer draws under a lock of its own: the bet must not hold its lock while it calls
    seen = []

    def ask():
        asking = threading.Thread(target=lambda: (bet.skip(), seen.append(bet.ghost)))
        asking.start()
        asking.join(5)

    bet.on_open(ask)
    bet.lock("stays", 0.5)
    assert seen == [1 / 3]


def test_of_many_threads_that_lock_one_wins(bet, answers):
    errors = []

    def lock(choice):
        try:
            bet.lock(choice, 0.5)
        except ValueError as error:
            errors.append(error)

    threads = [threading.Thread(target=lock, args=(choice,)) for choice in ("stays", "falls") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 7
    assert answers.bets[0].choice == bet.choice


def test_that_an_answer_cannot_be_saved_is_said_beside_the_bet(tmp_path):
    (tmp_path / "file").write_text("no folder")
    bet = Bet("02", QUESTION, Answers(tmp_path / "file"))
    page(bet)
    bet.lock("stays", 0.5)
    assert "cannot be saved" in words(bet)

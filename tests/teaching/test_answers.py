"""The store of answers: what is kept, and that no fault of a file or a disk reaches the learner as an error."""

import errno
import json
import os
import threading

import pytest

from entropic_edu.teaching import answers as module
from entropic_edu.teaching.answers import Answers, Made, here

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

posix = pytest.mark.skipif(fcntl is None, reason="pipes, links and flock are of POSIX")
BET = Made("02", "where", "stays", 0.7, False)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ENTROPIC_EDU_HOME", str(tmp_path))
    monkeypatch.delenv("ENTROPIC_EDU_ANSWERS", raising=False)
    return tmp_path


def filled(folder):
    answers = Answers(folder)
    answers.add_bet(BET)
    answers.add_passed("02", "2.1")
    return answers


def test_answers_are_found_again_by_another_kernel(home):
    filled(home)
    later = Answers(home)
    assert later.bets == [BET]
    assert later.bet("02", "where") == BET
    assert later.passed("02") == {"2.1"}
    assert later.passed("03") == set()
    assert later.news() == ""


def test_a_reader_makes_no_folder(home):
    assert Answers(home / "not yet").bets == []
    assert not (home / "not yet").exists()


def test_neither_time_nor_name_is_stored(home):
    filled(home)
    found = json.loads((home / "answers.json").read_text())
    assert set(found) == {"kind", "format", "bets", "passed", "checksum"}
    assert set(found["bets"][0]) == {"lesson", "question", "choice", "confidence", "right"}


def test_of_two_bets_on_one_question_the_first_counts(home):
    answers = filled(home)
    answers.add_bet(Made("02", "where", "falls", 0.99, True))
    assert answers.bets == [BET]


def test_forgetting_one_lesson_leaves_the_others(home):
    answers = filled(home)
    other = Made("03", "when", "never", 0.5, True)
    answers.add_bet(other)
    answers.forget("02")
    assert Answers(home).bets == [other]
    assert Answers(home).passed("02") == set()


def test_what_another_kernel_forgets_is_forgotten_here(home):
    answers = filled(home)
    Answers(home).forget("02")
    assert answers.bets == []
    assert answers.passed("02") == set()


def with_a_bet(**changes):
    bet = {"lesson": "02", "question": "where", "choice": "stays", "confidence": 0.7, "right": False} | changes
    return json.dumps({"kind": module.KIND, "format": module.FORMAT, "bets": [bet], "passed": []}).encode()


BROKEN = {
    "empty": b"",
    "cut": with_a_bet()[:-20],
    "binary": b"\xff\x00\x01",
    "a list": b"[]",
    "foreign": b'{"cells": []}',
    "newer": with_a_bet().replace(b'"format": 1', b'"format": 2'),
    "sure beyond all": with_a_bet(confidence=1.5),
    "not a number": with_a_bet(confidence=float("nan")),
    "right by word": with_a_bet(right="yes"),
    "more than we write": with_a_bet(time=0),
    "choice by number": with_a_bet(choice=3),
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_understood_is_moved_aside_and_told_once(home, content):
    (home / "answers.json").write_bytes(content)
    answers = Answers(home)
    assert answers.bets == []
    told = answers.news()
    assert "answers.broken-1.json" in told
    assert answers.news() == ""
    assert (home / "answers.broken-1.json").read_bytes() == content
    answers.add_bet(BET)
    assert Answers(home).bets == [BET]


@pytest.mark.parametrize(
    ("sure", "fine"), [(1e-9, True), (1, True), (1.0, True), (0, False), (-0.5, False), (1.01, False), ("0.5", False)]
)
def test_a_confidence_lies_above_zero_and_up_to_one(home, sure, fine):
    (home / "answers.json").write_bytes(with_a_bet(confidence=sure))
    assert [made.confidence for made in Answers(home).bets] == [sure] * fine


def test_a_second_broken_file_does_not_replace_the_first(home):
    for content in (b"one", b"two"):
        (home / "answers.json").write_bytes(content)
        filled(home)
    assert (home / "answers.broken-1.json").read_bytes() == b"one"
    assert (home / "answers.broken-2.json").read_bytes() == b"two"


def test_the_example_of_a_broken_file_is_sound_where_nothing_is_changed(home):
    (home / "answers.json").write_bytes(with_a_bet())
    assert Answers(home).bets == [BET]


def test_where_nothing_can_be_written_answers_stay_in_memory_until_something_can(home):
    (home / "file").write_text("no folder")
    answers = filled(home / "file" / "below")
    assert answers.news().count("ENTROPIC_EDU_HOME") == 1
    assert answers.news() == ""
    assert answers.bets == [BET]
    assert answers.passed("02") == {"2.1"}
    (home / "file").unlink()
    answers.add_passed("03", "3.1")
    assert Answers(home / "file" / "below").bets == [BET]
    assert Answers(home / "file" / "below").passed("02") == {"2.1"}


def test_what_is_only_in_memory_can_be_forgotten(home):
    (home / "file").write_text("no folder")
    answers = filled(home / "file")
    answers.forget("02")
    assert answers.bets == []


def test_kernels_that_write_at_once_lose_no_entry(home):
    # every writer has a store of its own, as every kernel has: only the lock of the file keeps them apart
    def write(lesson):
        answers = Answers(home)
        for number in range(15):
            answers.add_passed(lesson, f"{number}")

    writers = [threading.Thread(target=write, args=(f"{lesson:02d}",)) for lesson in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [len(Answers(home).passed(f"{lesson:02d}")) for lesson in range(4)] == [15] * 4


@posix
def test_a_lock_that_is_never_released_costs_a_moment_and_not_the_answer(home, monkeypatch):
    monkeypatch.setattr("entropic_edu.teaching.answers.PATIENCE", 0.05)
    with (home / "answers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answers = filled(home)
        assert "Device or resource busy" in answers.news()
        assert answers.bets == [BET]
        assert Answers(home).bets == []
    answers.add_passed("02", "2.2")
    assert Answers(home).bets == [BET]


@posix
def test_only_the_holder_of_the_lock_moves_a_broken_file_aside(home, monkeypatch):
    monkeypatch.setattr("entropic_edu.teaching.answers.PATIENCE", 0.05)
    (home / "answers.json").write_bytes(b"cut")
    with (home / "answers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert Answers(home).bets == []
        assert (home / "answers.json").read_bytes() == b"cut"
    assert Answers(home).bets == []
    assert not (home / "answers.json").exists()


@posix
@pytest.mark.parametrize(("number", "written"), [(errno.ENOLCK, True), (errno.EOPNOTSUPP, True), (errno.EIO, False)])
def test_answers_are_written_where_there_are_no_locks_and_not_where_a_lock_fails(home, monkeypatch, number, written):
    def fails(descriptor, operation):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(fcntl, "flock", fails)
        answers = filled(home)
    assert answers.bets == [BET]
    assert (os.strerror(number) in answers.news()) is not written
    assert Answers(home).bets == [BET] * written


@posix
@pytest.mark.parametrize("kind", ["pipe", "terminal"])
@pytest.mark.parametrize("name", ["answers.json", "answers.lock"])
def test_a_pipe_or_a_device_in_the_place_of_a_file_neither_blocks_nor_goes(home, name, kind):
    # to open a pipe without a writer, or to read a terminal at which nobody types, takes for ever
    if kind == "pipe":
        os.mkfifo(home / name)
        ends = ()
    else:
        ends = os.openpty()
        (home / name).symlink_to(os.ttyname(ends[1]))
    answers = []
    learner = threading.Thread(target=lambda: answers.append(filled(home)), daemon=True)
    learner.start()
    learner.join(10)
    assert not learner.is_alive(), "an answer waits for a pipe or a device"
    assert "is no regular file" in answers[0].news()
    assert answers[0].bets == [BET]
    assert not (home / name).is_file()
    for end in ends:
        os.close(end)


@posix
def test_a_linked_file_stays_a_link_and_what_it_leads_to_is_written(home):
    (home / "synced").mkdir()
    (home / "answers.json").symlink_to(home / "synced" / "mine.json")
    filled(home)
    assert (home / "answers.json").is_symlink()
    assert Answers(home / "synced").bets == []
    assert json.loads((home / "synced" / "mine.json").read_text())["bets"][0]["choice"] == "stays"
    (home / "synced" / "mine.json").write_bytes(b"cut")
    answers = filled(home)
    assert "answers.broken-1.json" in answers.news()
    assert (home / "synced" / "answers.broken-1.json").read_bytes() == b"cut"
    assert (home / "answers.json").is_symlink()
    assert Answers(home).bets == [BET]


def test_switched_off_nothing_is_read_or_written(home, monkeypatch):
    filled(home)
    before = sorted(home.iterdir())
    monkeypatch.setenv("ENTROPIC_EDU_ANSWERS", "off")
    answers = here()
    assert answers.bets == []
    answers.add_passed("02", "2.2")
    assert answers.passed("02") == {"2.2"}
    assert here().passed("02") == set()
    assert sorted(home.iterdir()) == before


def test_the_folder_is_the_one_that_the_environment_names(home, monkeypatch):
    here().add_bet(BET)
    assert (home / "answers.json").exists()
    assert here() is here()
    monkeypatch.delenv("ENTROPIC_EDU_HOME")
    monkeypatch.setenv("HOME", str(home))
    assert here().file == home / ".local" / "share" / "entropic_edu" / "answers.json"

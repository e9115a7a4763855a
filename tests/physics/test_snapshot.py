import inspect
import time
from dataclasses import dataclass

import pytest
import torch
from tqdm.auto import tqdm

import entropic_edu as ee
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot, finish, on_threads, verb, whole_or_nothing
from entropic_edu.physics.valleys import Hyperbola


@dataclass(frozen=True, eq=False)
class Count(Result):
    reached: int

    def summary(self):
        return f"Counted to {self.reached}."


closed = []


@verb
def count(last, *, interrupt_at=None, progress=None):
    """Count to ``last``."""
    try:
        for number in range(last + 1):
            if number == interrupt_at:
                raise KeyboardInterrupt
            yield Snapshot(number, last, f"at {number}", lambda n=number: Count(n, complete=n == last))
    finally:
        closed.append(last)


def interrupt_at(number):
    def progress(snapshot):
        if snapshot.done == number:
            raise KeyboardInterrupt

    return progress


def test_the_plain_verb_returns_the_last_result_and_keeps_name_and_words():
    result = count(5)
    assert (result.reached, result.complete) == (5, True)
    assert (count.__name__, count.__doc__) == ("count", "Count to ``last``.")


def test_ctrl_c_within_no_grad_leaves_gradients_and_threads_as_they_were():
    threads = torch.get_num_threads()

    @verb
    def struck(*, progress=None):
        yield Snapshot(0, 1, "", lambda: Count(0, complete=False))
        torch.set_grad_enabled(False)  # Ctrl-C comes in no_grad, before the block that undoes it
        torch.set_num_threads(threads + 1)
        raise KeyboardInterrupt

    assert not struck().complete
    assert torch.is_grad_enabled()
    assert torch.get_num_threads() == threads


def test_a_callable_gets_each_snapshot_in_order():
    seen = []
    count(4, progress=seen.append)
    assert [(s.done, s.total, s.note) for s in seen] == [(n, 4, f"at {n}") for n in range(5)]
    assert [(s.result.reached, s.result.complete) for s in seen] == [(n, n == 4) for n in range(5)]


def test_progress_true_shows_a_bar_with_name_share_and_note(capsys):
    # Warnings are errors here, so a bar that warns fails.
    result = count(400, progress=True)
    shown = capsys.readouterr()
    assert result.complete
    assert shown.out == ""
    assert "count" in shown.err


def test_the_bar_of_a_slow_verb_reaches_its_note(capsys):
    stream = inspect.unwrap(count)(4)
    slow = (time.sleep(0.15) or snapshot for snapshot in stream)  # a bar is drawn at most every 0.1 s
    finish(slow, True, "count")
    err = capsys.readouterr().err
    assert "4/4" in err
    assert "at 4" in err
    assert "100%" in err


def test_a_real_verb_shows_its_bar_without_a_warning(generator, capsys):
    run = ee.train(Hyperbola(), generator=generator, batch_size=8, learning_rate=0.01, epochs=20, progress=True)
    assert run.complete
    assert "train" in capsys.readouterr().err


@pytest.mark.parametrize("progress", [None, True])
def test_ctrl_c_inside_the_work_returns_what_there_is_marked_incomplete(progress, capsys):
    result = count(9, interrupt_at=4, progress=progress)
    assert (result.reached, result.complete) == (3, False)


def test_ctrl_c_in_the_reader_returns_what_there_is_and_closes_the_stream():
    closed.clear()
    stream = count.__wrapped__(9)  # kept here, so that nobody but finish closes it
    result = finish(stream, interrupt_at(6), "count")
    assert (result.reached, result.complete) == (6, False)
    assert closed == [9]


def test_ctrl_c_before_anything_is_there_is_not_hidden():
    with pytest.raises(KeyboardInterrupt):
        count(9, interrupt_at=0)


def test_another_fault_is_not_hidden_and_closes_the_stream():
    closed.clear()
    with pytest.raises(ZeroDivisionError):
        count(9, progress=lambda snapshot: 1 // (3 - snapshot.done))
    assert closed == [9]


def test_a_stream_does_its_work_only_as_far_as_it_is_read():
    closed.clear()
    stream = count.__wrapped__(9)
    assert [next(stream).done, next(stream).done] == [0, 1]
    assert closed == []
    stream.close()
    assert closed == [9]
    with pytest.raises(StopIteration):
        next(stream)


def test_finish_reads_a_stream_that_was_begun():
    stream = count.__wrapped__(9)
    next(stream)
    assert finish(stream, None, "count").reached == 9


def test_the_streaming_form_of_train_yields_an_epoch_at_a_time_and_ends_with_the_plain_result(generator):
    settings = {"batch_size": 8, "learning_rate": 0.01, "epochs": 6}
    start = torch.tensor([1.5, 0.5])
    snapshots = list(ee.stream.train(Hyperbola(), generator=generator, start=start, **settings))
    assert [(s.done, s.total) for s in snapshots] == [(n, 6) for n in range(7)]
    assert all(s.note.startswith("loss ") for s in snapshots)
    plain = ee.train(Hyperbola(), generator=torch.Generator().manual_seed(0), start=start, **settings)
    assert torch.equal(snapshots[-1].result.theta, plain.theta)
    early = snapshots[2].result  # still what it was at that moment
    assert (early.step, early.complete, len(early.history_loss)) == (2, False, 3)


def test_closing_a_stream_of_train_writes_its_checkpoint(generator, tmp_path):
    stream = ee.stream.train(
        Hyperbola(), generator=generator, batch_size=8, learning_rate=0.01, epochs=6, checkpoint=tmp_path / "run.st"
    )
    for snapshot in stream:
        if snapshot.done == 3:
            break
    stream.close()
    kept = ee.Run.load(tmp_path / "run.st")
    assert (kept.step, kept.complete) == (3, False)
    assert torch.equal(kept.theta, snapshot.result.theta)


def test_every_verb_has_its_streaming_form():
    for name in ("train", "connect", "probe", "drift"):
        assert getattr(ee, name).__wrapped__ is getattr(ee.stream, name)


def test_a_bar_stands_where_the_work_stands(monkeypatch):
    """Wherever it begins and however far each snapshot goes."""
    moved = []

    class Bar(tqdm):
        def update(self, n=1):
            super().update(n)
            moved.append(self.n)

    monkeypatch.setattr("entropic_edu.physics.snapshot.tqdm", Bar)
    done = [0, 3, 4, 4, 9]
    finish((Snapshot(n, 9, "", lambda: None) for n in done), True, "count")
    assert moved == done


@pytest.mark.parametrize(("wanted", "used"), [(1, 1), (2, 2), (None, 3), (8, 3)])
def test_a_block_computes_on_at_most_so_many_threads_and_gives_them_back(wanted, used):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with on_threads(wanted):
            assert torch.get_num_threads() == used
        assert torch.get_num_threads() == 3
        stream = inspect.unwrap(ee.stream.train)
        assert Hyperbola().threads(4) == 1
        seen = []

        class Seen(Hyperbola):
            def gradient_on(self, theta, batch):
                seen.append(torch.get_num_threads())
                return super().gradient_on(theta, batch)

        ee.train(Seen(), generator=torch.Generator(), batch_size=4, learning_rate=0.01, epochs=2)
        assert seen == [1, 1]
        assert stream is not ee.stream.train
    finally:
        torch.set_num_threads(before)


def test_a_part_of_a_whole_lets_ctrl_c_through_and_afterwards_a_verb_returns_what_there_is_again():
    with pytest.raises(KeyboardInterrupt), whole_or_nothing():
        count(9, progress=interrupt_at(4))
    assert count(9, progress=interrupt_at(4)).reached == 4


KINDS = [
    ("land", 3, "an ee.Network, or one of ee.valleys; got int 3"),
    ("path", "road", "a Path, as ee.connect makes one, or a list of two ends or more; got str 'road'"),
    ("generator", 0, "a torch.Generator, such as .*; got int 0"),
    ("walkers", "4", "a number; got str '4'"),
    ("learning_rate", None, "a number; got NoneType None"),
    ("batch_size", "8", "a number, or None; got str '8'"),
]


@pytest.mark.parametrize(("name", "value", "words"), KINDS)
def test_an_argument_of_another_kind_is_named_with_what_is_wanted(name, value, words):
    land = Hyperbola()
    given = {"land": land, "path": ee.Path(land.floor(3)), "generator": torch.Generator(), name: value}
    with pytest.raises(ValueError, match=rf"{name} must be {words}\."):
        ee.drift(**given)

"""Worker processes: as many as asked for, one part each, ended in the middle of their work, and replaced."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor

import pytest
import torch

from entropic_edu.sweeps.workers import Workers, pool


def test_there_are_as_many_processes_as_workers_and_none_afterwards():
    before = set(multiprocessing.active_children())
    with pool(None, 2, 1) as workers:
        at_work = [workers.submit(os.getpid) for _ in range(2)]
        processes = set(multiprocessing.active_children()) - before
        assert {future.result(300) for future in at_work} == {process.pid for process in processes}
    assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)


def test_an_executor_that_is_lent_goes_on_and_the_caller_keeps_his_threads():
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(1) as mine:
        with pool(mine, 2, 1) as lent:
            assert lent is mine
            torch.set_num_threads(threads + 1)
        assert torch.get_num_threads() == threads
        assert mine.submit(os.getpid).result() == os.getpid()


def test_a_worker_that_is_told_to_stop_begins_no_work_and_is_replaced():
    workers = Workers(1, 1)
    first = workers.idle[0].begun.result(300)
    os.kill(first, signal.SIGTERM)
    assert isinstance(workers.submit(os.getpid).exception(300), BrokenExecutor)
    assert workers.submit(os.getpid).result(300) != first
    workers.shutdown()


def _much(marker, size):
    marker.write_text("computed")
    return bytes(size)


@pytest.mark.parametrize("delay", [0.3, 0.5, 0.6])  # of which some fall into the sending
def test_workers_are_ended_while_a_result_is_on_its_way(delay, tmp_path):
    """A worker that dies in the middle of a result leaves its caller waiting for the rest for ever."""
    workers = Workers(1, 1)
    workers.submit(_much, tmp_path / "marker", 400_000_000)
    while not (tmp_path / "marker").exists():
        time.sleep(0.01)
    time.sleep(delay)
    ended = threading.Thread(target=workers.shutdown, daemon=True)
    ended.start()
    ended.join(30)
    assert not ended.is_alive()


@pytest.mark.parametrize("delay", [0.0, 1.0, 5.0])  # as it starts, as it begins, and at work
def test_a_worker_that_computes_is_ended_at_once(delay):
    workers = Workers(1, 1)
    future = workers.submit(time.sleep, 600)
    time.sleep(delay)
    ended = threading.Thread(target=workers.shutdown, daemon=True)
    ended.start()
    ended.join(30)
    assert not ended.is_alive()
    assert isinstance(future.exception(), BrokenExecutor)

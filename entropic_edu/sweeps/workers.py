"""Worker processes at home: one part each, replaced when killed, gone when their caller is."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import torch

from entropic_edu.physics.snapshot import warn


def pool(executor: Executor | None, workers: int, threads: int) -> contextlib.AbstractContextManager[Executor]:
    """Lend the executor, or one of so many worker processes; the caller's threads of torch stay as they were."""
    used = executor
    if used is None:
        try:
            used = Workers(workers, threads)
        except (OSError, ImportError, NotImplementedError) as error:  # no semaphores, no memory, no right to
            why = f"This machine allows no worker processes ({type(error).__name__}: {error})"
            warn(f"{why}; the points are computed one after another in this process.", RuntimeWarning)
            used = ThreadPoolExecutor(1)
    return _lent(used, executor is None)


@contextlib.contextmanager
def _lent(executor: Executor, own: bool) -> Iterator[Executor]:
    before = torch.get_num_threads()
    try:
        yield executor
    finally:
        if own:
            executor.shutdown()
        torch.set_num_threads(before)  # parts in threads may have left theirs to threads to come


def cores() -> int:
    """Return how many cores this process may use, with the limits of a container counted in."""
    import joblib  # type: ignore[import-untyped]

    return int(joblib.cpu_count())


class Workers(Executor):
    """Worker processes, one part each; a killed one is replaced."""

    def __init__(self, workers: int, threads: int) -> None:
        self.workers, self.threads = workers, threads
        self.busy: set[_Worker] = set()
        self.idle: list[_Worker] = []
        try:
            for _ in range(workers):
                self.idle.append(_Worker(threads))
        except BaseException:
            self.shutdown()
            raise

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        worker = self.idle.pop()
        try:
            future = worker.pool.submit(_compute, work, *arguments, **named)
        except BrokenExecutor:  # it was killed
            worker = _Worker(self.threads)
            future = worker.pool.submit(_compute, work, *arguments, **named)
        self.busy.add(worker)
        future.add_done_callback(lambda ended: self._back(worker))
        return future

    def _back(self, worker: _Worker) -> None:
        self.busy.discard(worker)
        self.idle.append(worker)

    def check(self) -> None:
        """Raise a RuntimeError if a worker died before it could work, as any other would."""
        if any(worker.begun.done() and worker.begun.exception() for worker in self.idle):
            raise RuntimeError(
                "A worker process died as it started; what it said stands above. In a script, call ee.sweep under "
                'if __name__ == "__main__":, because each worker imports the script. Without processes: '
                "executor=concurrent.futures.ThreadPoolExecutor()."
            )

    def shutdown(self, *how: Any, **named: Any) -> None:
        """End all workers; one that still computes is stopped, since a part may take hours."""
        for process in [process for worker in list(self.busy) for process in worker.processes]:
            process.terminate()
        for worker in [*self.busy, *self.idle]:
            worker.pool.shutdown(*how, **named)


class _Worker:
    """One worker process: a pool of one, so that what kills it takes only its own part with it."""

    def __init__(self, threads: int) -> None:
        others = set(multiprocessing.active_children())
        spawn = multiprocessing.get_context("spawn")  # torch may hang in a forked process
        self.pool = ProcessPoolExecutor(1, spawn, _begin, (threads,))
        self.begun = self.pool.submit(os.getpid)  # an exception, if it died before it could work
        self.processes = set(multiprocessing.active_children()) - others


def _begin(threads: int) -> None:
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the caller decides
    threading.Thread(target=_end_with_caller, daemon=True).start()
    import threadpoolctl  # type: ignore[import-untyped]

    threadpoolctl.threadpool_limits(threads)  # of numpy and scipy; those of torch are set for each part


_state = {"computing": False, "stopped": False}


def _compute(work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
    _state["computing"] = True
    try:
        return os._exit(1) if _state["stopped"] else work(*arguments, **named)
    finally:
        _state["computing"] = False


def _stop(*_: object) -> None:
    _state["stopped"] = True
    if _state["computing"]:  # else a result may be on its way, and the caller would wait for the rest of it
        os._exit(1)


def _end_with_caller() -> None:
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os._exit(1)  # a caller that was killed, such as a restarted kernel, leaves no workers behind

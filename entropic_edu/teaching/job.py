"""Long work on a thread of its own: progress while it runs, a cancel that acts at once, errors that are not lost."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Generic, TypeVar

from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot

R = TypeVar("R", bound=Result)
LAST = 30.0  # seconds that Python's exit waits for a snapshot
BETWEEN = 0.1  # seconds between progress messages: more would only fill the line to the browser


class Job(Generic[R]):
    """A stream of snapshots that is read on a thread, and closed when the job ends, whichever way.

    Args:
        stream: The snapshots.
        progress: Called on the job's thread with a snapshot, at most ten times a second.
        ended: Called once on the job's thread when ``result`` or ``error`` stands.
    """

    def __init__(
        self,
        stream: Iterator[Snapshot[R]],
        progress: Callable[[Snapshot[R]], object] = lambda snapshot: None,
        ended: Callable[[Job[R]], object] = lambda job: None,
    ) -> None:
        self.result: R | None = None  # of the last snapshot: incomplete after a cancel, None before the end
        self.error: BaseException | None = None  # what stopped the job
        self._stream, self._progress, self._ended = stream, progress, ended
        self._stop, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="entropic_edu job", daemon=True)

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._thread.ident is not None and not self._over.is_set()

    def start(self) -> None:
        """Begin; a job runs once. At the exit of Python it is cancelled and waited for."""
        self._thread.start()
        atexit.register(_end, self._stop, self._thread)

    def cancel(self) -> None:
        """Ask the job to stop at its next snapshot; what there is by then stays as the result."""
        self._stop.set()

    def wait(self) -> R | None:
        """Wait for the end and return the result, or raise what the job raised; Ctrl-C cancels the job instead."""
        while self.running:
            try:
                self._over.wait(BETWEEN)  # not join: a Ctrl-C in it makes Python 3.11 and 3.12 take the thread for dead
            except KeyboardInterrupt:
                self.cancel()
        if self.error is not None:
            raise self.error
        return self.result

    def _work(self) -> None:
        reported = -BETWEEN
        try:
            with closing(self._stream):  # type: ignore[type-var]  # a generator
                for snapshot in self._stream:
                    if self._stop.is_set():
                        break
                    if time.monotonic() - reported >= BETWEEN:
                        reported = time.monotonic()
                        self._progress(snapshot)
            self.result = snapshot.result  # every stream begins with a snapshot
        except BaseException as error:  # kept for wait(), shown by ``ended``
            self.error = error
        try:
            self._ended(self)
        except BaseException as error:
            self.error = self.error or error
        finally:
            self._over.set()


def _end(stop: threading.Event, thread: threading.Thread) -> None:
    """Let a thread come to its end before Python does: one that is in torch then ends the whole process by abort()."""
    stop.set()
    thread.join(LAST)

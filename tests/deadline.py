"""A limit for a call that might wait for ever."""

import contextlib
import signal


@contextlib.contextmanager
def in_time(seconds):
    """Fail where what stands inside takes longer."""

    def late(*_):
        raise AssertionError(f"it still waited after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

"""Processes to be hurt: each is a real one, forked in milliseconds from a server that has imported torch once."""

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import pytest

CONTEXT = multiprocessing.get_context("forkserver")  # the server runs nothing, so forking it is safe
CONTEXT.set_forkserver_preload(
    [
        "entropic_edu",
        "entropic_edu.story.tell",
        "entropic_edu.teaching.doctor",
        "torch._dynamo",  # which torch loads late, where there may be little room
        "sklearn.datasets",
        "matplotlib.image",
        "pytest",
        "importlib.readers",  # another user may not read Python's own folder
    ]
)
PATIENCE = 120  # seconds; the machine may be busy
KILLED, HUNG_UP, ENDED = -signal.SIGKILL, -signal.SIGHUP, -signal.SIGTERM


class Process:
    """A function at work in a process of its own; what it prints goes to a file.

    Args:
        work: A function at the top of a module.
        arguments: What it is given.
        said: File for what it prints.
        cwd: Where it runs.
        user: Number of the user it runs as, with no other group.
        environment: What is changed there; None deletes a variable.
        room: Bytes of address space that it may take beside what it has.
        terminal: Name of a terminal that becomes its own.
    """

    def __init__(
        self, work, *arguments, said, cwd=None, user=None, environment=None, room=None, terminal=None, **settings
    ):
        self.said = Path(said)
        around = {"said": str(said), "cwd": cwd, "user": user, "environment": environment or {}, "room": room}
        self.begun, begins = CONTEXT.Pipe(duplex=False)
        around |= {"terminal": terminal, "begins": begins}
        self.process = CONTEXT.Process(target=_begin, args=(work, arguments, settings, around))
        self.process.start()
        begins.close()

    def wait_until_it_works(self):
        """Wait until everything is in its place and the function is about to be called."""
        assert self.begun.poll(PATIENCE), self.text()
        self.begun.recv()

    @property
    def running(self):
        return self.process.exitcode is None

    def hurt(self, number=signal.SIGKILL):
        """Send a signal, unless the process has just come to its end."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def end(self):
        """Wait for the end and return the exit code; minus a signal's number where one ended it."""
        self.process.join(PATIENCE)
        if self.running:
            self.hurt()
            self.process.join()
            pytest.fail(f"A process was still at work after {PATIENCE} s; it said:\n{self.text()}")
        return self.process.exitcode

    def wait_for(self, condition, what):
        """Wait until something is so, or fail."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.running or condition(), f"the process ended before {what}; it said:\n{self.text()}"
            assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}; it said:\n{self.text()}"
            time.sleep(0.002)

    def wait_for_its_children(self):
        """Wait until no process is left of those that this one began, or fail."""
        deadline = time.monotonic() + PATIENCE
        while left := _running(self.process.pid):
            assert time.monotonic() < deadline, f"still there: {left}; it said:\n{self.text()}"
            time.sleep(0.02)

    def text(self):
        return self.said.read_text(errors="replace") if self.said.exists() else ""


def _running(session):
    """Return the numbers of the processes of a session that have not ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just gone
            state, _, _, its_session = status.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state not in "ZX":  # a dead one stays until somebody asks for it
                found.append(int(status.parent.name))
    return found


def _begin(work, arguments, settings, around):
    """In the new process: put everything in its place, work, and leave with what the function returns."""
    os.setsid()
    output = os.open(around["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    if around["terminal"] is not None:
        output = os.open(around["terminal"], os.O_RDWR)  # a session's first terminal becomes its own
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = open(1, "w", buffering=1, closefd=False, encoding="utf-8")  # noqa: SIM115  (lives as long as we)
    sys.stderr = open(2, "w", buffering=1, closefd=False, encoding="utf-8")  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background have none to hand on
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for name, value in around["environment"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if around["cwd"] is not None:
        os.chdir(around["cwd"])
    if around["user"] is not None:
        os.setgroups([])
        os.setgid(around["user"])
        os.setuid(around["user"])
    if around["room"] is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + around["room"]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    around["begins"].send(True)
    try:
        code = work(*arguments, **settings)
    except SystemExit:
        raise
    except BaseException as error:
        traceback.print_exception(error)
        code = 1
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 0)


def seconds_of(process, said=""):
    """Return how long a process works until it ends well, from when it has said something."""
    process.wait_until_it_works()
    process.wait_for(lambda: said in process.text(), f"it said {said}")
    begun = time.monotonic()
    assert process.end() == 0, process.text()
    return time.monotonic() - begun


def kill_at_random(begin, seconds, seed, said=""):
    """Begin a process and kill it -9 at a random moment of the ``seconds`` after it has said something.

    Where it was faster and came to its end, another is begun and killed earlier.
    """
    moments = random.Random(seed)
    while True:
        process = begin()
        process.wait_until_it_works()
        process.wait_for(lambda process=process: said in process.text() or not process.running, f"it said {said}")
        process.process.join(moments.uniform(0, seconds))
        if process.running:
            process.hurt()
        if process.end() == KILLED:
            return
        assert process.process.exitcode == 0, process.text()
        seconds /= 2
        assert seconds > 1e-4, "a process ended each time before it could be killed"

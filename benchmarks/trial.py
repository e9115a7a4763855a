"""Copies of the checkout in which one change of the code is tried at a time, on the tests of the module.

A change takes the tests that call the changed function, the shortest first; or all of them where none does, as for a
line outside of all functions. A function's body is changed in a fork of a process that has collected the module's
tests; what else is changed begins as a fork of a process that has imported PyTorch.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("entropic_edu", "tests", "lessons", "docs", "benchmarks", "binder", "pyproject.toml", "README.md")
PRELOADED = ("torch.func", "scipy.stats", "sklearn.datasets", "matplotlib.pyplot", "ipywidgets", "jsonschema", "pytest")
LONGEST = 1200.0  # seconds that all tests of a module may take
ANOTHER = "another way"  # the answer where a change is not in the body of a function that is there
PATIENCE, LEAST = 3, 60  # a test run may take so many times what it takes unbroken, and at least so many seconds
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(list(PRELOADED))


class Watch:
    """A plugin of pytest: which test calls which functions of one folder, and how long it takes."""

    def __init__(self, folder: str) -> None:
        self.folder, self.calls, self.took = folder, defaultdict[str, set[str]](set), defaultdict[str, float](float)
        self.shared = ""  # the file whose tests share what is being made

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):  # type: ignore[no-untyped-def]
        def note(frame: FrameType, event: str, argument: object) -> None:
            if frame.f_code.co_filename.startswith(self.folder):
                test = self.shared or item.nodeid
                self.calls[test].add(f"{frame.f_code.co_filename}:{frame.f_code.co_firstlineno}")

        sys.settrace(note)
        threading.settrace(note)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):  # type: ignore[no-untyped-def]
        before = self.shared
        if fixturedef.scope != "function":
            self.shared = request.node.nodeid.partition("::")[0] or "tests"
        try:
            return (yield)
        finally:
            self.shared = before

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.took[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        shared = {test: self.calls["tests"] | self.calls[test.partition("::")[0]] for test in self.took}
        seen = [[test, took, sorted(self.calls[test] | shared[test])] for test, took in self.took.items()]
        Path("seen.json").write_text(json.dumps(seen))


class Order:
    """A plugin of pytest: these tests alone, in this order."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self.place = {test: number for number, test in enumerate(wanted)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.place), key=lambda item: self.place[item.nodeid])


class Forks:
    """A plugin of pytest: instead of running tests, change a function and run some of them in a fork, when asked to."""

    def __init__(self, module: str, asked: Any) -> None:
        self.module, self.asked = module, asked

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        while (asked := self.asked.recv()) is not None:
            code, name, wanted, limit = asked
            fresh, there = body_of(compile(code, "changed", "exec"), name.split(".")), self._functions(name)
            if fresh is None or not there or any(each.__code__.co_freevars != fresh.co_freevars for each in there):
                self.asked.send(ANOTHER)
                continue
            child = os.fork()
            if child == 0:
                os.setsid()
                for each in there:
                    each.__code__ = fresh
                os._exit(_until_one_fails(session, [items[test] for test in (items if wanted is None else wanted)]))
            self.asked.send(_ended(child, limit))
        return True

    def _functions(self, name: str) -> list[FunctionType]:
        every = (each for each in gc.get_objects() if type(each) is FunctionType and each.__qualname__ == name)
        return [each for each in every if each.__code__.co_filename.endswith(f"/{self.module}")]  # and no wrapper's


def body_of(code: CodeType, names: Sequence[str]) -> CodeType | None:
    """Return the code of a function by its names from the outermost class on, None where there is none or another."""
    found = [each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == names[0]]
    return None if len(found) != 1 else body_of(found[0], names[1:]) if len(names) > 1 else found[0]


def _until_one_fails(session: pytest.Session, items: Sequence[pytest.Item]) -> int:
    try:
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return 1
    except BaseException:  # a test that leaves Python, or that was interrupted
        return 1
    return 0


def _ended(child: int, limit: float) -> int:
    """Return the code of a process, or -1 if it is ended past the limit."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        gone, status = os.waitpid(child, os.WNOHANG)
        if gone:
            break
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, 9)  # also what it has left
    if not gone:
        os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if gone else -1


def _serve(copy: str, tests: Sequence[str], module: str, asked: Any) -> None:
    """In a process of its own: collect tests and answer what is asked of ``Forks``."""
    _prepare(copy)
    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", *tests], [Forks(module, asked)])
    os._exit(0)


def _test(copy: str, tests: Sequence[str], wanted: Sequence[str] | None) -> None:
    """In a process of its own: run tests until one fails, and leave with pytest's code."""
    _prepare(copy, changed=wanted is not None)
    plugin = Watch(f"{copy}/entropic_edu/") if wanted is None else Order(wanted)
    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests], [plugin])
    os._exit(int(code))  # whatever threads a broken test has left


def _prepare(copy: str, changed: bool = True) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the process that is forked leaves unheard
    os.chdir(copy)
    sys.dont_write_bytecode = changed  # of a changed module none is kept
    os.environ |= {"PYTHONPATH": copy, "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # nbval takes 2 s
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1"} if changed else {}
    sys.path.insert(0, copy)
    said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)


def around(source: str, line: int) -> int:
    """Return the line at which the innermost function begins whose body holds a line, 0 outside of all."""
    spans = [
        (min([node.lineno, *(each.lineno for each in node.decorator_list)]), node.body[0].lineno, node.end_lineno or 0)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return max((begin for begin, body, end in spans if body <= line <= end), default=0)


def named(source: str, line: int) -> str | None:
    """Return the name of the function whose body holds a line, from the outermost class on; None outside of all."""

    def inside(nodes: Sequence[ast.stmt], before: str) -> str | None:
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if node.body[0].lineno <= line <= (node.end_lineno or 0):
                    return before + node.name
            elif isinstance(node, ast.ClassDef) and node.lineno <= line <= (node.end_lineno or 0):
                return inside(node.body, f"{before}{node.name}.")
        return None

    return inside(ast.parse(source).body, "")


class Bench:
    """Copies of the checkout, in each of which one change is tried at a time."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.free, self.measuring = SimpleQueue[Path](), defaultdict[str, threading.Lock](threading.Lock)
        self.serving: dict[Path, tuple[str, Any, Any]] = {}  # by copy: the module, its process, and how to ask it
        self.seen: dict[str, list[tuple[str, float, list[str]]]] = {}  # by file of tests: test, seconds, calls
        for number in range(workers):
            copy = folder / str(number)
            copy.mkdir()
            for name in COPIED:
                place = ROOT / name
                (shutil.copytree if place.is_dir() else shutil.copy)(place, copy / name)
            self.free.put(copy)

    def run(self, module: str, code: str, line: int, files: Sequence[str]) -> tuple[bool, float]:
        """Return whether the tests in these files pass with this code, changed in this line, and how long they took.

        Raises:
            AssertionError: If they fail on the code as it is; with what pytest said.
        """
        copy = self.free.get()
        place = copy / module
        whole, times = place.read_text(), place.stat()
        try:
            for file in files:
                with self.measuring[file]:
                    self._measure(copy, file)
            function = f"/{module}:{around(whole, line)}"
            every = {test: (took, calls) for file in files for test, took, calls in self.seen[file]}
            calling = {test: took for test, (took, calls) in every.items() if any(c.endswith(function) for c in calls)}
            wanted = calling or {test: took for test, (took, _) in every.items()}
            limit, order = max(LEAST, PATIENCE * sum(wanted.values())), sorted(wanted, key=wanted.__getitem__)
            name = named(whole, line) if calling else None
            asked = None if name is None else self._serving(copy, module, name, files)
            place.write_text(code)
            began = time.monotonic()
            ended: int | str | None = ANOTHER
            if asked is not None:
                with contextlib.suppress(EOFError, OSError):  # a process that is gone
                    asked.send((code, name, order, limit))
                    ended = asked.recv()
            if ended == ANOTHER:
                ended = _run(copy, files, order, limit)[0]
            took = time.monotonic() - began
        finally:
            place.write_text(whole)
            os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))  # as its bytecode knows it
            self.free.put(copy)
        return ended == 0, took

    def _serving(self, copy: Path, module: str, name: str, files: Sequence[str]) -> Any:
        """Return the way to ask the process that has collected the module's tests, which pass in a fork of it."""
        if copy not in self.serving or self.serving[copy][0] != module:
            self._dismiss(copy)
            ours, theirs = CONTEXT.Pipe()
            process = CONTEXT.Process(target=_serve, args=(str(copy), files, module, theirs))
            process.start()
            theirs.close()  # so that its end is noticed
            self.serving[copy] = (module, process, ours)
            ours.send(((copy / module).read_text(), name, None, LONGEST))
            ended = ours.recv()
            assert ended in (0, ANOTHER), f"{', '.join(files)} fail in a fork on the code as it is, with {ended}"
        return self.serving[copy][2]

    def _dismiss(self, copy: Path) -> None:
        if copy in self.serving:
            _, process, asked = self.serving.pop(copy)
            with contextlib.suppress(OSError):
                asked.send(None)
            process.join()

    def close(self) -> None:
        """End all processes."""
        for copy in list(self.serving):
            self._dismiss(copy)

    def _measure(self, copy: Path, file: str) -> None:
        """Run the tests of a file on the code as it is, once: how long each takes, and which functions it calls."""
        if file not in self.seen:
            code, took = _run(copy, [file], None, None)
            said = (copy / "said").read_text(errors="replace")[-3000:]
            assert code == 0, f"{file} fails on the code as it is:\n{said}"
            self.seen[file] = json.loads((copy / "seen.json").read_text())
            print(f"{took:6.1f} s  {file}", flush=True)


def _run(
    copy: Path, files: Sequence[str], wanted: Sequence[str] | None, limit: float | None
) -> tuple[int | None, float]:
    """Run tests in a copy and return pytest's code, and how long they took; past the limit they are ended."""
    began = time.monotonic()
    process = CONTEXT.Process(target=_test, args=(str(copy), files, wanted))
    process.start()
    process.join(limit)
    code = process.exitcode
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, 9)  # also what it has left
    process.join()
    return code, time.monotonic() - began

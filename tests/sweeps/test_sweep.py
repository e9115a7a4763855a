"""Sweeps: the same point is the same everywhere, is kept at once, and no killed worker takes others with it."""

import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

import entropic_edu as ee
from entropic_edu.physics.results import Result, unpacked
from entropic_edu.sweeps import workers
from entropic_edu.sweeps.sweep import Sweep

GRID = {"seed": [0, 1], "batch_size": [4, 8]}


# --- functions to sweep: at the top of a module, so that worker processes can import them ------------------------


def relax(seed, batch_size):
    land = ee.valleys.Waist(noise="curvature")
    generator = torch.Generator().manual_seed(seed)
    road = ee.Path(land.floor(11))
    return ee.drift(land, road, generator=generator, batch_size=batch_size, learning_rate=0.02, walkers=3, steps=30)


def product(a, b=2.0):
    return a * b


def logged(a, log):
    """Leave a file for each call."""
    file = Path(log) / f"{a}.{time.monotonic_ns()}"
    file.touch()
    return {"square": a * a}


def unhurried(a, log):
    time.sleep(0.2)
    return logged(a, log)


def calls(log, a="*"):
    return len(list(Path(log).glob(f"{a}.*")))


def ends(seed):
    """Where the walkers end, to the last bit."""
    return relax(seed, batch_size=4).position[-1].tolist()


def deadly(a, log, once, ever):
    """Kill the own process, at the first call if a is ``once``, at each call if it is ``ever``; else ``ends(a)``."""
    logged(a, log)
    if a == ever or (a == once and calls(log, a) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return ends(a)


def wrong(a):
    if a == 2:
        raise ZeroDivisionError("no such place")
    return a


def meets(a):
    """Whether another point is computed at the same time."""
    try:
        BOTH.wait(0.3)
    except threading.BrokenBarrierError:
        return False
    return True


BOTH = threading.Barrier(2)


class StubbornError(Exception):
    """An exception that pickle cannot bring back."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def stubborn(a):
    raise StubbornError(a, a)


@dataclass(frozen=True, eq=False)
class Own(Result):
    """A result of the user's own."""

    numbers: torch.Tensor
    name: str

    def summary(self):
        return f"{self.name}: {self.numbers.tolist()}."


def own(a):
    return Own(torch.full((2,), float(a)), f"no {a}", complete=a > 1)


def several(a):
    return {
        "array": np.arange(2) * a,
        "tensor": torch.tensor(a, dtype=torch.float32),
        "never": float("inf"),
        "pair": (a, a),
    }


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads


def same(one, two, folder):
    """Whether two results are alike bit for bit: so are then their files."""
    one.save(folder / "one.st")
    two.save(folder / "two.st")
    return (folder / "one.st").read_bytes() == (folder / "two.st").read_bytes()


def alike(one, two, folder):
    pairs = zip(one.results, two.results, strict=True)
    return one.settings == two.settings and all(same(a, b, folder) for a, b in pairs)


# --- the grid ----------------------------------------------------------------------------------------------------


def test_results_stand_in_the_order_of_the_grid_whatever_came_first():
    def late(a, b):
        time.sleep(0.05 * (a == 0))
        return [a, b]

    with ThreadPoolExecutor(4) as threads:
        swept = ee.sweep(late, over={"a": range(2), "b": ["x", None]}, executor=threads)
    assert swept.complete
    assert swept.settings == ({"a": 0, "b": "x"}, {"a": 0, "b": None}, {"a": 1, "b": "x"}, {"a": 1, "b": None})
    assert swept.results == ([0, "x"], [0, None], [1, "x"], [1, None])


def test_a_list_of_points_is_taken_as_it_is_and_defaults_stay_out(pool):
    swept = ee.sweep(product, over=[{"a": 3}, {"a": 3, "b": 0.5}], executor=pool)
    assert swept.settings == ({"a": 3}, {"a": 3, "b": 0.5})
    assert swept.results == (6.0, 1.5)


def test_values_may_come_from_numpy_and_torch_and_are_plain_in_the_function(pool):
    over = {"a": np.arange(2), "b": torch.tensor([0.5], dtype=torch.float64)}
    swept = ee.sweep(lambda a, b: [type(a).__name__, type(b).__name__], over=over, executor=pool)
    assert swept.settings == ({"a": 0, "b": 0.5}, {"a": 1, "b": 0.5})
    assert swept.results == (["int", "float"],) * 2


def test_a_point_cannot_change_the_settings_that_are_kept(pool):
    def greedy(a):
        a.append(1)
        return len(a)

    swept = ee.sweep(greedy, over={"a": [[0]]}, executor=pool)
    assert (swept.settings, swept.results) == (({"a": [0]},), (2,))


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({}, "The grid has no points, got over={}; give every setting at least one value"),
        ({"a": []}, "The grid has no points"),
        ([], "The grid has no points"),
        ({"a": 3}, r"over\['a'\] is the list of its values, got 3; for one value write \[3\]"),
        ({"a": "none"}, r"for one value write \['none'\]"),
        ({"a": {1, 2}}, "is the list of its values"),
        ({"a": [torch.Generator()]}, r"over\['a'\]\[0\] is a Generator, wanted numbers, strings, booleans, None"),
        ({"a": [1, {2: 3}]}, r"over\['a'\]\[1\] is a dict, wanted"),
        ({"a": [[1.0, float("nan")]]}, r"The point a=\[1.0, nan\] holds NaN or infinity"),
        ({"a": [1, 2, 1]}, "The point a=1 is in the grid twice"),
        ({"b": [1]}, r"test_sweep\.product\(a, b=2\.0\) cannot be called with b=1 \(missing a required argument: 'a'"),
        ({"a": [1], "lr": [1]}, r"with a=1, lr=1 \(got an unexpected keyword argument 'lr'\); name in over= every"),
        ([1, 2], "over is a dict of lists of values, or a list of dicts of settings, got"),
        ("seed", "over is a dict of lists"),
    ],
)
def test_a_grid_that_is_none_is_refused_before_anything_runs(over, words, pool):
    with pytest.raises(ValueError, match=words):
        ee.sweep(product, over=over, executor=pool)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"retries": -1}, "retries must be at least 0, got -1"),
        ({"executor": 4}, r"executor is a concurrent\.futures\.Executor, got a int; a dask Client gives one by"),
        ({"executor": Executor(), "workers": 2}, "workers= is for a sweep's own processes"),
    ],
)
def test_settings_out_of_range_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        ee.sweep(product, over={"a": [1]}, **settings)


# --- the function ------------------------------------------------------------------------------------------------


def test_a_function_that_processes_cannot_import_is_refused_with_what_to_do(monkeypatch):
    with pytest.raises(
        ValueError, match=r"cannot import test_sweep.*<lambda>.*Define it with def at the top of a file"
    ):
        ee.sweep(lambda a: a, over={"a": [1]})
    with ProcessPoolExecutor(1) as processes, pytest.raises(ValueError, match=r"or pass executor=ThreadPoolExecutor"):
        ee.sweep(lambda a: a, over={"a": [1]}, executor=processes)

    def inner(a):
        return a

    inner.__module__ = "__main__"  # as in a notebook, whose __main__ has no file
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    with pytest.raises(ValueError, match=r"it stands in a notebook.*%%writefile mine\.py"):
        ee.sweep(inner, over={"a": [1]})
    assert ee.sweep(product, over={"a": [3]}, workers=1).results == (6.0,)  # a notebook too may import one


def test_a_function_is_named_by_its_module_and_in_a_script_by_the_file(pool, monkeypatch):
    def inner(a):
        return a

    names = []
    for module, script in (("mine", "/home/me/study.py"), ("__main__", "/home/me/study.py"), ("__main__", None)):
        inner.__module__ = module
        monkeypatch.setattr(sys.modules["__main__"], "__file__", script, raising=False)
        names.append(ee.sweep(function=inner, over={"a": [1]}, executor=pool).function.partition(".")[0])
    assert names == ["mine", "study", "__main__"]
    with pytest.raises(TypeError):
        ee.sweep(inner, {"a": [1]})


def test_what_is_no_function_is_refused(pool):
    from functools import partial

    with pytest.raises(ValueError, match="made with def, got a partial; give fixed settings in over= as lists of one"):
        ee.sweep(partial(product, b=3), over={"a": [1]}, executor=pool)


def test_arrays_and_tuples_come_back_as_lists_and_infinity_as_it_is(pool):
    swept = ee.sweep(several, over={"a": [2]}, executor=pool)
    assert swept.results == ({"array": [0, 2], "tensor": 2.0, "never": float("inf"), "pair": [2, 2]},)


@pytest.mark.parametrize(
    ("value", "words"), [(None, "ValueError: it returned None; return a Result"), (object(), "the result is a object")]
)
def test_a_return_value_that_cannot_be_kept_is_a_failure_with_words(value, words, pool):
    swept = ee.sweep(lambda a: value, over={"a": [7]}, executor=pool, retries=0)
    assert "(a=7) failed in 1 try: " in swept.failed[0].error
    assert words in swept.failed[0].error


def test_a_point_that_always_fails_is_tried_again_recorded_and_the_rest_goes_on(pool, tmp_path):
    tries = []

    def fragile(a):
        tries.append(a)
        return wrong(a)

    swept = ee.sweep(fragile, over={"a": [1, 2, 3]}, executor=pool, retries=2, folder=tmp_path / "kept")
    assert swept.results == (1, None, 3)
    assert not swept.complete
    assert sorted(tries) == [1, 2, 2, 2, 3]
    (failure,) = swept.failed
    assert failure.settings == {"a": 2}
    assert failure.error.endswith("fragile(a=2) failed in 3 tries: ZeroDivisionError: no such place")
    assert swept.summary().startswith("2 of 3 points of test_sweep.test_a_point_that_always_fails")
    assert "over a; 1 failed, the first: test_sweep." in swept.summary()
    assert len(list((tmp_path / "kept").glob("*.kept"))) == 2  # a failure is not kept: it is tried again


def test_an_error_that_goes_away_leaves_no_trace(pool):
    seen = threading.Event()

    def once(a):
        if not seen.is_set():
            seen.set()
            raise OSError("the disk was away")
        return a

    swept = ee.sweep(once, over={"a": [1]}, executor=pool)
    assert (swept.results, swept.failed, swept.complete) == ((1,), (), True)


# --- the result --------------------------------------------------------------------------------------------------


def test_results_are_found_by_some_of_their_settings(pool):
    swept = ee.sweep(product, over={"a": [1, 2], "b": [3.0, 4.0]}, executor=pool)
    assert swept.at(a=2) == [6.0, 8.0]
    assert swept.at(a=2, b=4.0) == [8.0]
    assert swept.at() == list(swept.results)
    with pytest.raises(ValueError, match=r"No point of this sweep has a=9; its first has a=1, b=3\.0"):
        swept.at(a=9)


def test_the_first_of_several_failures_is_told_and_two_sweeps_of_the_same_points_are_two(pool):
    def fragile(a):
        raise ValueError(f"not {a}")

    swept = ee.sweep(fragile, over={"a": [3, 1, 2]}, executor=pool, retries=0)
    assert [failure.settings["a"] for failure in swept.failed] == [3, 1, 2]
    assert swept.summary().endswith("over a; 3 failed, the first: " + swept.failed[0].error + ".")
    assert swept.failed[0].error.endswith("ValueError: not 3")
    assert swept != replace(swept)


def test_a_table_has_a_row_for_each_point(pool):
    assert ee.sweep(product, over={"a": [1]}, executor=pool).table() == [{"a": 1, "value": 2.0}]
    assert ee.sweep(own, over={"a": [1]}, executor=pool).table() == [{"a": 1, "summary": "no 1: [1.0, 1.0]."}]
    (first, second) = ee.sweep(wrong, over={"a": [2, 3]}, executor=pool).table()
    assert first == {"a": 2, "error": "test_sweep.wrong(a=2) failed in 2 tries: ZeroDivisionError: no such place"}
    assert second == {"a": 3, "value": 3}


def test_a_sweep_saves_and_loads_whole(pool, tmp_path):
    for function, over in ((relax, GRID), (own, {"a": [1, 2]}), (wrong, {"a": [1, 2]})):
        swept = ee.sweep(function, over=over, executor=pool)
        swept.save(tmp_path / "sweep.st")
        back = Sweep.load(tmp_path / "sweep.st")
        assert same(swept, back, tmp_path)
        assert (back.summary(), back.failed) == (swept.summary(), swept.failed)
        assert [type(r) for r in back.results] == [type(r) for r in swept.results]
    with pytest.raises(ValueError, match="holds a Sweep of format 1, wanted a Release"):
        ee.Release.load(tmp_path / "sweep.st")


def test_progress_counts_what_is_finished_or_failed(pool, tmp_path):
    ee.sweep(wrong, over={"a": [1]}, executor=pool, folder=tmp_path)
    seen = []
    ee.sweep(wrong, over={"a": [1, 2, 3]}, executor=pool, folder=tmp_path, progress=seen.append)
    assert [(s.done, s.total) for s in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[-1].note == "1 failed"


# --- the same everywhere -----------------------------------------------------------------------------------------


def test_threads_give_the_same_bits_as_a_plain_call(pool, tmp_path):
    swept = ee.sweep(relax, over=GRID, executor=pool)
    assert swept.complete
    assert all(
        same(result, relax(**point), tmp_path) for point, result in zip(swept.settings, swept.results, strict=True)
    )
    assert not torch.equal(swept.results[0].position, swept.results[3].position)


def test_each_point_has_the_threads_asked_for_and_the_caller_keeps_his():
    before = torch.get_num_threads()
    with ThreadPoolExecutor(3) as threads:
        swept = ee.sweep(lambda a: torch.get_num_threads(), over={"a": range(6)}, executor=threads, threads=2)
        alone = ee.sweep(lambda a: torch.get_num_threads(), over={"a": [1]}, executor=threads)
    assert swept.results == (2,) * 6
    assert alone.results == (1,)
    assert torch.get_num_threads() == before


# --- the folder --------------------------------------------------------------------------------------------------


def test_called_again_a_sweep_computes_only_what_lacks(pool, tmp_path):
    log, folder = tmp_path / "log", tmp_path / "kept"
    log.mkdir()

    def stop(snapshot):
        if snapshot.done == 2:
            raise KeyboardInterrupt

    over = {"a": range(4), "log": [str(log)]}
    with ThreadPoolExecutor(1) as one:
        first = ee.sweep(unhurried, over=over, executor=one, folder=folder, progress=stop)
    assert first.results == ({"square": 0}, {"square": 1}, None, None)
    assert not first.complete
    assert first.summary() == "2 of 4 points of test_sweep.unhurried over a × log; 2 not computed yet."
    begun = calls(log)  # a thread that was at work has finished its point, which nobody keeps
    assert begun <= 3
    again = ee.sweep(unhurried, over=over, executor=pool, folder=folder)
    assert again.complete
    assert again.results == tuple({"square": a * a} for a in range(4))
    assert calls(log) == begun + 2
    wider = {"log": [str(log)], "a": range(5)}  # and the settings in another order
    assert ee.sweep(unhurried, over=wider, executor=pool, folder=folder).complete
    assert calls(log) == begun + 3


def test_results_from_the_folder_are_those_that_were_computed(pool, tmp_path):
    for function, over in ((relax, GRID), (own, {"a": [1, 2]})):
        folder = tmp_path / function.__name__
        first = ee.sweep(function, over=over, executor=pool, folder=folder)
        again = ee.sweep(function, over=over, executor=Executor(), folder=folder)  # which could compute nothing
        assert alike(first, again, tmp_path)
        assert type(again.results[0]) is type(first.results[0])


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "of another point"])
def test_a_damaged_file_is_named_and_its_point_computed_again(damage, pool, tmp_path):
    folder, log = tmp_path / "kept", tmp_path / "log"
    log.mkdir()
    over = {"a": [1, 2], "log": [str(log)]}
    ee.sweep(logged, over=over, executor=pool, folder=folder)
    file, other = sorted(folder.glob("*.kept"))
    content = file.read_bytes()
    flipped = bytearray(content)
    flipped[content.index(b"square") + 12] ^= 1
    broken = {"cut": content[:-9], "flipped": flipped, "empty": b"", "of another point": other.read_bytes()}
    file.write_bytes(broken[damage])
    with pytest.warns(RuntimeWarning, match=rf"{file.name} is .*It is computed again\."):
        swept = ee.sweep(logged, over=over, executor=pool, folder=folder)
    assert swept.results == ({"square": 1}, {"square": 4})
    assert calls(log) == 3
    again = ee.sweep(logged, over=over, executor=Executor(), folder=folder)  # it was written anew
    assert again.results == swept.results


def test_the_folder_of_another_sweep_is_refused(pool, tmp_path):
    ee.sweep(product, over={"a": [1]}, executor=pool, folder=tmp_path)
    with pytest.raises(ValueError, match=r"holds a sweep of test_sweep\.product, this one is of test_sweep\.wrong"):
        ee.sweep(wrong, over={"a": [1]}, executor=pool, folder=tmp_path)


def test_a_folder_of_other_things_is_refused_and_left_as_it_is(pool, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds thesis\.tex and no sweep; take an empty folder"):
        ee.sweep(product, over={"a": [1]}, executor=pool, folder=tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def changing(tmp_path, monkeypatch, body):
    """Return a function ``f`` from a file with this body."""
    file = tmp_path / "changing.py"
    file.write_text(f"def f(a):\n{body}")
    import importlib
    import linecache

    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("changing", None)
    linecache.clearcache()
    importlib.invalidate_caches()
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        return importlib.import_module("changing").f
    finally:
        sys.dont_write_bytecode = before
        sys.modules.pop("changing", None)


def test_points_of_a_function_that_has_changed_are_not_taken_for_those_of_the_new(pool, tmp_path, monkeypatch):
    folder, over = tmp_path / "kept", {"a": [1]}
    ee.sweep(changing(tmp_path, monkeypatch, "    return a + 1\n"), over=over, executor=pool, folder=folder)
    same_code = changing(tmp_path, monkeypatch, "    # a comment\n    return (a  + 1)\n")
    ee.sweep(same_code, over=over, executor=Executor(), folder=folder)
    other = changing(tmp_path, monkeypatch, "    return a + 2\n")
    with pytest.raises(ValueError, match=r"changing\.f has changed since.*delete .*sweep\.json and call again"):
        ee.sweep(other, over=over, executor=pool, folder=folder)
    (folder / "sweep.json").unlink()  # what the message says to do where the change alters no result
    assert ee.sweep(other, over=over, executor=Executor(), folder=folder).results == (2,)


@pytest.mark.parametrize("damaged", ['{"function": "test_sw', 100_000 * "[" + 100_000 * "]"], ids=["cut", "nested"])
def test_a_damaged_note_is_named(damaged, pool, tmp_path):
    ee.sweep(product, over={"a": [1]}, executor=pool, folder=tmp_path)
    (tmp_path / "sweep.json").write_text(damaged)
    with pytest.raises(ValueError, match=r"sweep\.json is damaged; delete it and call again, the points beside it"):
        ee.sweep(product, over={"a": [1]}, executor=pool, folder=tmp_path)
    (tmp_path / "sweep.json").unlink()
    assert ee.sweep(product, over={"a": [1]}, executor=Executor(), folder=tmp_path).complete


def test_a_folder_without_points_is_free_for_a_corrected_function(pool, tmp_path):
    assert not ee.sweep(wrong, over={"a": [2]}, executor=pool, folder=tmp_path).complete
    assert ee.sweep(product, over={"a": [2]}, executor=pool, folder=tmp_path).complete


def test_a_result_whose_class_is_not_there_says_to_import_it(pool, tmp_path):
    def lost(a):
        return dataclass(frozen=True, eq=False)(type("Lost", (Own,), {}))(torch.ones(1), "lost")

    ee.sweep(lost, over={"a": [1]}, executor=pool, folder=tmp_path)
    gc.collect()  # the class is gone with its one object
    with pytest.raises(LookupError, match="A result here is a Lost, a class that nobody has defined; import its mod"):
        ee.sweep(lost, over={"a": [1]}, executor=pool, folder=tmp_path)


# --- workers that die --------------------------------------------------------------------------------------------


def test_a_killed_worker_is_replaced_only_its_own_point_is_tried_again_and_gives_the_bits_of_a_plain_call(tmp_path):
    over = {"a": [1, 2, 3], "log": [str(tmp_path)], "once": [1], "ever": [2]}
    swept = ee.sweep(deadly, over=over, workers=1)
    assert swept.results == (ends(1), None, ends(3))
    assert swept.failed[0].error.endswith("ever=2) failed in 2 tries: its worker was killed (out of memory?)")
    assert [calls(tmp_path, a) for a in (1, 2, 3)] == [2, 2, 1]


def test_an_executor_that_breaks_leaves_failures_and_another_goes_on_from_there(pool, tmp_path):
    log, folder = tmp_path / "log", tmp_path / "kept"
    log.mkdir()
    over = {"a": [3, 1, 2], "log": [str(log)], "once": [1], "ever": [0]}
    with ProcessPoolExecutor(1, get_context("spawn")) as breaking:
        first = ee.sweep(deadly, over=over, executor=breaking, folder=folder)
    assert first.results == (ends(3), None, None)
    assert "the executor takes no work" in first.failed[0].error
    again = ee.sweep(deadly, over=over, executor=pool, folder=folder)
    assert again.results == (ends(3), ends(1), ends(2))
    assert calls(log, 3) == 1


def test_an_exception_that_cannot_be_pickled_is_told_all_the_same(pool):
    # as an exception of its own it would break a pool of processes on its way back
    swept = ee.sweep(stubborn, over={"a": [5]}, executor=pool, retries=0)
    assert swept.failed[0].error == "test_sweep.stubborn(a=5) failed in 1 try: StubbornError: 5 and 5"


def test_an_executor_that_drops_points_says_so(pool):
    class Dropping(Executor):
        def submit(self, *arguments):
            future = Future()
            future.cancel()
            return future

    swept = ee.sweep(product, over={"a": [1]}, executor=Dropping())
    assert "its executor dropped it; is its cluster still there?" in swept.failed[0].error


def test_where_no_processes_may_be_started_the_points_are_computed_here(monkeypatch):
    def denied(threads):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(workers, "_Worker", denied)
    said = "allows no worker processes .PermissionError.*one after another in this"
    with pytest.warns(RuntimeWarning, match=said) as caught:
        swept = ee.sweep(meets, over={"a": [1, 2]})
    assert swept.results == (False, False)
    assert caught[0].filename == __file__


def walked(steps):
    """A point that calls a verb, and in the middle of it comes Ctrl-C."""

    def press(snapshot):
        if steps == 20 and snapshot.done:
            raise KeyboardInterrupt

    valley = ee.valleys.Waist()
    generator = torch.Generator().manual_seed(0)
    return ee.drift(
        valley, ee.Path(valley.floor(21)), generator=generator, learning_rate=0.01, steps=steps, progress=press
    )


def test_half_a_point_is_not_kept_where_ctrl_c_reaches_its_worker(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        swept = ee.sweep(walked, over={"steps": [10, 20, 30]}, executor=executor, folder=tmp_path)
    assert [result and result.complete for result in swept.results] == [True, None, True]
    assert "KeyboardInterrupt" in swept.failed[0].error
    assert len(list(tmp_path.glob("*.kept"))) == 2


# --- scripts -----------------------------------------------------------------------------------------------------

SCRIPT = """
import os, sys, time
from pathlib import Path
import entropic_edu as ee

def slow(a):
    if a:
        (Path(sys.path[0]) / "pid").write_text(str(os.getpid()))
        time.sleep(60)
    return a
"""


def script(tmp_path, text):
    file = tmp_path / "mine.py"
    file.write_text(SCRIPT + textwrap.dedent(text))
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is begun without one
    try:
        return subprocess.Popen([sys.executable, str(file)], cwd=tmp_path, start_new_session=True, **piped)
    finally:
        signal.signal(signal.SIGINT, kept)


def worker_of(tmp_path):
    """Wait for the worker that computes the slow point and return its process id."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (tmp_path / "pid").exists() and (text := (tmp_path / "pid").read_text()):
            return int(text)
        time.sleep(0.02)
    raise AssertionError("no worker began")


def gone(pid):
    """Whether the process ends, soon."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split(") ")[-1].startswith("Z"):
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


GUARDED = """
    if __name__ == "__main__":
        swept = ee.sweep(slow, over={"a": [0, 1]}, workers=WORKERS, folder="kept")
        print(swept.results)
"""


def test_ctrl_c_in_a_script_ends_at_once_with_what_is_finished_and_no_worker_stays(tmp_path):
    running = script(tmp_path, GUARDED.replace("WORKERS", "2"))  # one is idle when the signal comes
    worker = worker_of(tmp_path)
    while not list((tmp_path / "kept").glob("*.kept")):
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = running.communicate(timeout=30)  # the other point would take 60
    assert (out, err, running.returncode) == ("(0, None)\n", "", 0)
    assert gone(worker)
    assert json.loads((tmp_path / "kept" / "sweep.json").read_text())["function"] == "mine.slow"
    assert len(list((tmp_path / "kept").glob("*.kept"))) == 1


def test_a_killed_script_leaves_no_worker_and_no_half_written_file(tmp_path):
    running = script(tmp_path, GUARDED.replace("WORKERS", "1"))
    worker = worker_of(tmp_path)
    running.kill()
    running.communicate(timeout=30)
    assert gone(worker)
    (kept,) = (tmp_path / "kept").glob("*.kept")
    _, plain = unpacked(kept.read_bytes(), "Part", kept.name, "the sweep")
    assert plain["values"]["settings"] == {"kind": "plain", "value": {"a": 0}}


def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path):
    running = script(tmp_path, 'ee.sweep(slow, over={"a": [0]}, workers=1)')
    _, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert 'call ee.sweep under if __name__ == "__main__":, because each worker imports the script' in err

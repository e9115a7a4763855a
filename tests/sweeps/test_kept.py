"""Parts of work, made once: any values come back as they were, from the right file only, and in the order of needs."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial

import pytest
import torch

import entropic_edu as ee
from entropic_edu.physics.results import Result, packed
from entropic_edu.sweeps.kept import Dispatch, Part, Store, in_words

ROAD = ee.Path(torch.eye(3), method="neb")


def store(folder=None, of=0):
    return Store(folder=folder, of={"recipe": of, "also": 0}, other="was made otherwise.", remedy="the same call")


def plain(value):
    if isinstance(value, Result):
        return type(value), {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return (value.dtype, value.tolist()) if isinstance(value, torch.Tensor) else value


VALUES = {
    "a, 0.5/half": torch.tensor([0.1, -2.0], dtype=torch.half),
    "empty": torch.empty(0, 3),
    "pair0.1/road": ROAD,
    "nested": {"list": [1, 2.5, None, {"deep": "ü"}], "infinity": float("inf")},
    "none": None,
}


def test_tensors_results_and_plain_values_come_back_from_a_file_as_they_were(tmp_path):
    made = store(tmp_path).get("part", lambda: VALUES)
    again = store(tmp_path).get("part", lambda: pytest.fail("made twice"))
    assert list(again.values) == list(VALUES)
    assert {name: plain(value) for name, value in again.values.items()} == {n: plain(v) for n, v in VALUES.items()}
    assert again.seconds == made.seconds


def test_a_part_is_made_each_time_where_nothing_is_kept():
    calls = []
    for _ in range(2):
        store().get("part", lambda: {"call": calls.append(1)})
    assert len(calls) == 2


def test_the_checkpoint_of_a_part_goes_when_the_part_is_kept(tmp_path):
    kept = store(tmp_path)
    kept.checkpoint("part").touch()
    kept.get("part", lambda: {"one": 1})
    assert [file.name for file in tmp_path.iterdir()] == ["part.kept"]
    assert store().checkpoint("part") is None


def test_the_file_of_another_part_or_of_other_settings_is_refused(tmp_path):
    store(tmp_path).get("one", lambda: {"one": 1})
    with pytest.raises(ValueError, match=r"one\.kept was made otherwise\."):
        store(tmp_path, of=1).read("one")
    store(tmp_path).file("one").rename(store(tmp_path).file("two"))
    with pytest.raises(ValueError, match=r"two\.kept was made otherwise\."):
        store(tmp_path).read("two")


def test_what_parts_must_agree_in_may_come_in_any_order(tmp_path):
    store(tmp_path, of=1).get("one", lambda: {"one": 1})
    turned = Store(tmp_path, {"also": 0, "recipe": 1}, other="was made otherwise.", remedy="the same call")
    assert turned.read("one").values == {"one": 1}


def test_a_result_with_a_field_that_nobody_knows_is_said_to_be_of_another_version(tmp_path):
    kept = store(tmp_path)
    values = {"walk": {"kind": "Release", "fields": {"future": 1}}}
    kept.write("part", packed("Part", {}, {"name": "part", "of": kept.of, "values": values, "seconds": 0.0}))
    with pytest.raises(ValueError, match=r"part\.kept was written by another version .*Release has no field future"):
        kept.read("part")


def test_a_class_of_the_user_s_is_not_taken_for_the_package_s_of_the_same_name(tmp_path):
    @dataclass(frozen=True, eq=False)
    class Path(Result):
        places: torch.Tensor

    values = store(tmp_path).get("both", lambda: {"mine": Path(torch.ones(2)), "theirs": ROAD}).values
    again = store(tmp_path).read("both").values
    assert [type(again[name]) for name in values] == [Path, ee.Path]


def test_a_sweep_saved_by_the_first_version_loads_and_is_saved_to_the_same_bytes(tmp_path):
    every = {field.name: getattr(ROAD, field.name) for field in fields(ROAD)}
    tensors = {f"0.{name}": value for name, value in every.items() if isinstance(value, torch.Tensor)}
    others = {name: value for name, value in every.items() if not isinstance(value, torch.Tensor)}
    note = {
        "function": "mine.f",
        "settings": [{"a": a} for a in range(3)],
        "results": [["Path", others], ["", {"square": 1.5}], ["", None]],
        "failed": [[{"a": 2}, "mine.f(a=2) failed in 2 tries: ValueError: no"]],
        "complete": False,
    }
    content = packed("Sweep", tensors, note)
    (tmp_path / "first").write_bytes(content)
    swept = ee.Sweep.load(tmp_path / "first")
    assert plain(swept.at(a=0)[0]) == plain(ROAD)
    assert swept.results[1:] == ({"square": 1.5}, None)
    assert swept.failed[0].settings == {"a": 2}
    swept.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == content


# --- many at once -------------------------------------------------------------------------------------------------


def total(number, *needed):
    return {"total": number + sum(each["total"] for each in needed)}


def fails(*needed):
    raise ZeroDivisionError("nothing is joined by this road")


PARTS = {
    "a": Part(partial(total, 1)),
    "b": Part(partial(total, 10), ("a",)),
    "c": Part(partial(total, 100), ("b", "a")),
}


def dispatched(parts, kept, workers=2, **settings):
    with ThreadPoolExecutor(workers) as executor:
        return dict(Dispatch(parts, kept, executor, kept.write, **settings).run())


@pytest.mark.parametrize("workers", [1, 3])
def test_parts_are_given_what_they_need_and_kept(workers, tmp_path):
    for kept in (store(), store(tmp_path)):
        backwards = dict(reversed(PARTS.items()))
        assert dispatched(backwards, kept, workers) == dict.fromkeys(PARTS)
        assert {name: kept.read(name).values["total"] for name in PARTS} == {"a": 1, "b": 11, "c": 112}


def test_what_is_there_is_taken_and_not_made_again(tmp_path):
    kept = store(tmp_path)
    kept.get("a", lambda: {"total": 5})
    assert dispatched({name: PARTS[name] for name in "bc"}, kept) == {"b": None, "c": None}
    assert kept.read("c").values == {"total": 120}


def test_a_part_that_fails_is_tried_again_and_what_needs_it_is_left_out():
    tries, lock = [], threading.Lock()

    def counted(*needed):
        with lock:
            tries.append(1)
        return fails()

    ended = dispatched(PARTS | {"b": Part(counted, ("a",)), "d": Part(partial(total, 3))}, store(), retries=2)
    assert ended.keys() == {"a", "b", "d"}
    assert ended["a"] is ended["d"] is None
    assert isinstance(ended["b"], ZeroDivisionError)
    assert in_words(ended["b"]) == "ZeroDivisionError: nothing is joined by this road"
    assert "in fails" in "".join(ended["b"].__notes__)  # where it arose, also in another process
    assert len(tries) == 3


@pytest.mark.parametrize(("settings", "tries"), [({}, 1), ({"retries": 0}, 1), ({"retries": 3}, 4)])
def test_a_part_that_fails_is_tried_once_and_as_often_again_as_asked_for(settings, tries):
    made = []
    (error,) = dispatched({"a": Part(lambda: made.append(1) or fails())}, store(), **settings).values()
    assert isinstance(error, ZeroDivisionError)
    assert len(made) == tries


@pytest.mark.parametrize(("settings", "threads"), [({}, 1), ({"threads": 2}, 2)])
def test_a_part_is_made_on_one_thread_of_torch_or_on_as_many_as_asked_for(settings, threads):
    kept, before = store(), torch.get_num_threads()
    dispatched({"a": Part(lambda: {"threads": torch.get_num_threads()})}, kept, **settings)
    assert kept.read("a").values == {"threads": threads}
    assert torch.get_num_threads() == before


def test_the_seconds_of_a_part_are_those_that_its_making_took(tmp_path):
    began = time.perf_counter()
    made = [store(tmp_path).get("here", lambda: total(1)).seconds]
    kept = store()
    dispatched({"there": PARTS["a"]}, kept)
    made.append(kept.read("there").seconds)
    assert min(made) >= 0
    assert sum(made) <= time.perf_counter() - began


def test_closed_early_it_keeps_what_is_finished_and_cancels_the_rest():
    kept, begun, held = store(), threading.Event(), threading.Event()

    def hold():
        begun.set()
        return {"total": held.wait(60)}

    parts = {"a": PARTS["a"], "unseen": PARTS["a"], "held": Part(hold), "never": PARTS["a"]}
    with ThreadPoolExecutor(1) as executor:
        running = Dispatch(parts, kept, executor, kept.write).run()
        assert next(running) == ("a", None)
        assert begun.wait(60)  # and so the one before it is finished
        running.close()
        held.set()
    assert [name for name in parts if name in kept] == ["a", "unseen"]

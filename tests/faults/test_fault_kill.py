"""kill -9 at random moments: what was kept is whole, and what comes after is right, bit for bit."""

import shutil
import threading
import time
from http.server import ThreadingHTTPServer

import numpy as np
import pytest
import torch
import works
from processes import KILLED, kill_at_random, seconds_of
from test_fetch import Handler, images, known, packed
from test_recorded import same
from works import bits

import entropic_edu as ee
from entropic_edu import data, recorded
from entropic_edu.physics.train import Run
from entropic_edu.teaching import lab


def alone(folder, name):
    """Whether a folder holds this file, and else at most what a killed writer left under a hidden name."""
    return [file.name for file in folder.iterdir() if not file.name.endswith(".part")] == [name]


@pytest.mark.fault(
    "kill -9 of `train`, again and again", "resumed from its checkpoint, it ends with the same bits", trials=8
)
def test_training_that_is_killed_goes_on_to_the_same_bits(start, tmp_path, trials):
    seconds = seconds_of(start(works.train_resuming, tmp_path / "whole", tmp_path / "other"), "done")
    whole, checkpoint, steps = Run.load(tmp_path / "whole"), tmp_path / "checkpoint", []
    for seed in range(trials):
        kill_at_random(lambda: start(works.train_resuming, tmp_path / "end", checkpoint), seconds / 2, seed, "done")
        if checkpoint.exists():
            steps.append(Run.load(checkpoint).step)
            if steps[-1] == whole.steps:  # it was finished: begin anew
                checkpoint.unlink()
                (tmp_path / "end").unlink(missing_ok=True)
    assert steps, "no process was killed after a checkpoint"
    assert start(works.train_resuming, tmp_path / "end", checkpoint).end() == 0
    assert bits(Run.load(tmp_path / "end")) == bits(whole)
    assert max(steps) > 16  # some went on from past the first epoch


@pytest.mark.fault(
    "kill -9 of `connect`, `probe`, `drift`", "the old file is complete; run again, it gives the same bits", trials=3
)
@pytest.mark.parametrize("verb", ["connect", "probe", "drift"])
def test_a_verb_that_is_killed_leaves_the_old_file_and_begun_anew_gives_the_same_bits(verb, start, tmp_path, trials):
    file = tmp_path / "kept" / "result"
    seconds, whole = seconds_of(start(works.keep, verb, file), "done"), file.read_bytes()
    for seed in range(trials):
        file.write_bytes(whole)
        kill_at_random(lambda: start(works.keep, verb, file), seconds, seed, "done")
        assert file.read_bytes() == whole
        assert alone(file.parent, "result")
    file.unlink()
    assert start(works.keep, verb, file).end() == 0
    assert file.read_bytes() == whole


def written(file):
    """When a file was written last, None where there is none."""
    return file.stat().st_mtime_ns if file.exists() else None


@pytest.mark.fault("kill -9 of a process that saves again and again", "one of the two files, complete", trials=25)
def test_a_file_is_the_old_one_or_the_new_one_at_any_moment(start, tmp_path, trials):
    one, two, file = tmp_path / "one", tmp_path / "two", tmp_path / "kept" / "file"
    ee.Path(torch.eye(2, 200_000)).save(one)
    ee.Path(torch.eye(3, 100_000)).save(two)
    wanted, seen, left = {one.read_bytes(), two.read_bytes()}, set(), 0
    for seed in range(trials):
        before = written(file)
        process = start(works.save_in_turn, one, two, file, said=tmp_path / "said")
        process.wait_for(lambda before=before: written(file) != before, "a first file")
        time.sleep(np.random.default_rng(seed).uniform(0, 0.2))
        process.hurt()
        assert process.end() == KILLED
        assert file.read_bytes() in wanted
        seen.add(file.read_bytes())
        assert alone(file.parent, "file")
        left += len(list(file.parent.glob(".*.part")))
        for part in file.parent.glob(".*.part"):
            part.unlink()
    assert seen == wanted
    assert left, "no process was killed while it wrote"


@pytest.mark.fault(
    "kill -9 of `record`, again and again", "finished parts stay; it ends with the same recording", trials=8
)
def test_a_recording_that_is_killed_goes_on_to_the_same(start, tmp_path, trials):
    file, folder = tmp_path / "kept" / "let_go.safetensors", tmp_path / "parts"
    seconds, parts = seconds_of(start(works.record, tmp_path / "whole", tmp_path / "other"), "eta"), [0]
    for seed in range(trials):
        kill_at_random(lambda: start(works.record, file, folder), seconds / 2, seed, "eta")
        assert not file.exists() or recorded.read(file)  # it came before the kill, whole
        parts.append(len(list(folder.glob("*.kept"))))
        assert parts[-1] >= parts[-2]
    assert len(set(parts)) > 2, "no process was killed between its parts"
    assert start(works.record, file, folder).end() == 0
    one, two = recorded.read(file), recorded.read(tmp_path / "whole")
    assert set(one) == set(two)
    for name in one:
        assert same(one[name], two[name]), name


@pytest.mark.fault(
    "kill -9 of a recording by two workers",
    "the workers end, too; finished parts stay; it ends with the same bits",
    trials=3,
)
@pytest.mark.soak
def test_a_recording_by_workers_that_is_killed_goes_on_to_the_same_bits(start, tmp_path, trials):
    seconds, folder = seconds_of(start(works.parts, tmp_path / "whole"), "first"), tmp_path / "parts"
    begun, before, numbers = [], {}, set()

    def kept():
        return {file: written(file) for file in folder.glob("*.kept")}

    def begin():
        """All but the first are killed only after they have made another part, so that they die in several."""
        nonlocal before
        if len(kept()) > 5:  # little is left to do
            (folder / "first.kept").unlink()
            for file in folder.glob("walk [1-4].kept"):
                file.unlink()
        process, before = start(works.parts, folder), kept()
        if seed:
            process.wait_for(lambda: len(kept()) > len(before) or not process.running, "a part was made")
        begun.append(process)
        return process

    for seed in range(trials):
        kill_at_random(begin, seconds / 4, seed, "first")
        begun[-1].wait_for_its_children()
        assert before.items() <= kept().items()  # none is made again
        numbers.add(len(kept()))
    assert len(numbers) > 1, "all were killed at the same part"
    one, two = works.parts(folder, workers=1), works.parts(tmp_path / "whole", workers=1)
    assert {name: walk.tolist() for name, walk in one.items()} == {name: walk.tolist() for name, walk in two.items()}


@pytest.mark.fault("kill -9 of `sweep`, again and again", "finished points stay; it ends with the same bits", trials=5)
def test_a_sweep_that_is_killed_goes_on_to_the_same_bits(start, tmp_path, trials):
    seconds, folder = (
        seconds_of(start(works.sweep, tmp_path / "other", tmp_path / "whole"), "done"),
        tmp_path / "points",
    )
    for seed in range(trials):
        before = {file: file.stat().st_mtime_ns for file in folder.glob("*.kept")}
        kill_at_random(lambda: start(works.sweep, folder, tmp_path / "end"), seconds / 2, seed, "done")
        assert all(file.stat().st_mtime_ns == written for file, written in before.items())  # none is computed again
        if len(before) == 6:
            for file in folder.glob("*.kept"):
                file.unlink()
    assert start(works.sweep, folder, tmp_path / "end").end() == 0
    one, two = ee.Sweep.load(tmp_path / "end"), ee.Sweep.load(tmp_path / "whole")
    assert one.complete
    assert [bits(result) for result in one.results] == [bits(result) for result in two.results]


@pytest.mark.fault("kill -9 of `story`, again and again", "`--resume` ends with the same story", trials=6)
def test_a_story_that_is_killed_is_the_same_when_it_is_resumed(start, tmp_path, trials):
    seconds, out = seconds_of(start(works.tell, str(tmp_path / "whole")), "Pair"), str(tmp_path / "story")
    stages, least = [], 0  # finished when each was killed; and before

    def kept():
        return len(list((tmp_path / "story.work").glob("*.kept")))

    def begin_anew():
        (tmp_path / "story.json").unlink(missing_ok=True)
        return start(works.tell, out, resume=False)

    def begin():
        """Every other one is killed only after it has finished a stage, so that they die in several."""
        nonlocal least
        if works.finished(out):  # on a busy machine it came to its end before it was killed, and none is left to kill
            least = 0
            return begin_anew()
        process, before = start(works.tell, out), kept()
        if seed % 2:
            process.wait_for(lambda: kept() > before or not process.running, "a stage was finished")
        return process

    for seed in range(trials):
        if seed == trials // 2:  # once more from the beginning, over what the first half left
            assert start(works.tell, out).end() == 0
            kill_at_random(begin_anew, seconds / 2, seed, "Pair")
            assert not works.finished(out) or works.told(out) == works.told(str(tmp_path / "whole"))
            least = 0
            continue
        kill_at_random(begin, seconds / 2, seed, "Pair")
        stages.append(kept())
        assert stages[-1] >= least  # what was finished stays
        least = stages[-1]
    assert len(set(stages)) > 1, "all were killed in one stage"
    assert start(works.tell, out).end() == 0
    assert works.told(out) == works.told(str(tmp_path / "whole"))


@pytest.mark.fault(
    "kill -9 of `lab --copy-only`, again and again",
    "no half-written lesson; a learner's work stays; in the end all lessons are there",
    trials=8,
)
def test_a_copy_of_the_lessons_that_is_killed_goes_on(start, tmp_path, trials):
    shipped = {file.name: file.read_bytes() for file in lab.shipped().glob("*.ipynb")}
    work = b"my work"
    seconds = seconds_of(start(works.lessons, tmp_path / "whole", 20), "Lessons")
    for seed in range(trials):
        to = tmp_path / str(seed)
        (to / "3").mkdir(parents=True)
        (to / "3" / lab.FIRST).write_bytes(work)
        kill_at_random(lambda to=to: start(works.lessons, to, 20), seconds, seed, "Lessons")
        for file in to.glob("*/*.ipynb"):
            mine = file.relative_to(to).as_posix() == f"3/{lab.FIRST}"
            assert file.read_bytes() == (work if mine else shipped[file.name.replace(".new.", ".")])
        assert start(works.lessons, to, 20).end() == 0
        for number in range(20):
            folder = to / str(number)
            mine = {lab.FIRST: work} if number == 3 else {}
            assert {name: (folder / name).read_bytes() for name in shipped} == shipped | mine
        assert (to / "3" / "00_start.new.ipynb").read_bytes() == shipped[lab.FIRST]


PAUSE = 0.01  # seconds between two pieces


class Slow(Handler):
    """Sends slowly, in small pieces."""

    def send(self, content):
        for begin in range(0, len(content), 1 << 14):
            try:
                self.wfile.write(content[begin : begin + (1 << 14)])
            except ConnectionError:
                return
            time.sleep(PAUSE)


@pytest.mark.fault(
    "kill -9 of a download, again and again", "it goes on from what has arrived and ends with a complete copy", trials=8
)
def test_a_download_that_is_killed_goes_on_and_ends_whole(start, slow_server, tmp_path, trials):
    to, archive = tmp_path / "to", slow_server.archive
    part = to / f".{data.FOLDER}.fetch" / "archive.part"
    seconds = (archive.size >> 14) * PAUSE
    came = 0  # bytes, before the process that is killed next

    def assert_whole():
        assert works.loaded(to)[0][: len(slow_server.first)] == slow_server.first

    def begin():
        nonlocal came
        if data.find_cifar10(to):  # the one before was faster than the kill
            assert_whole()
            shutil.rmtree(to)
        came = part.stat().st_size if part.exists() else 0
        return start(works.get, to, archive)

    for seed in range(trials):
        kill_at_random(begin, seconds / 2, seed, "Fetching")
        if not data.find_cifar10(to):  # else it came to its place just before the kill; ``begin`` looks at it
            assert (part.stat().st_size if part.exists() else 0) >= came  # nothing is lost
    assert start(works.get, to, archive).end() == 0
    assert_whole()
    assert max(slow_server.asked) > 0  # one at least went on from the middle


@pytest.fixture
def slow_server():
    """A server that sends a small archive slowly."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    running.daemon_threads, running.way, running.asked = True, "good", []
    running.content = packed(images())
    running.archive = known(running)
    running.first = images()["data_batch_1.bin"][1:10]
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()

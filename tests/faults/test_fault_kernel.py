"""What a lesson goes through: a kernel killed in the middle of live work, a clock set back, answers that pile up."""

import random
import time
from functools import partial

import pytest
import works
from test_fault_kill import bits
from test_fetch import images, known, packed, server  # noqa: F401

import entropic_edu as ee
from entropic_edu.physics.train import Run
from entropic_edu.teaching import answers, lab

CELL = """
import os, sys
sys.path[:0] = os.environ["FAULTS"].split(os.pathsep)
import works
from entropic_edu.teaching import answers
kept = answers.here()
kept.add_bet(answers.Made("02", f"where{len(kept.bets)}", "stays", 0.7, True))
explorer = works.explorer()
explorer.widget
job = explorer.start()
"""
END = """
job.wait()
print("SENTENCE", explorer.sentence)
print("BETS", len(answers.here().bets), answers.here().news())
"""


class Kernel:
    """A real kernel, as a notebook has one."""

    def __init__(self):
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(startup_timeout=120)

    def run(self, code, until=None):
        """Run a cell to its end, or until it has printed something; return what it printed."""
        said, asked = "", self.client.execute(code)
        while until is None or until not in said:
            message = self.client.get_iopub_msg(timeout=120)
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            if message["msg_type"] == "error":
                pytest.fail("\n".join(content["traceback"]))
            said += content.get("text", "")
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        return said

    def killed(self):
        """Kill it -9, and start it again as JupyterLab does."""
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=120)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    pytest.importorskip("jupyter_client", reason="kernels come with JupyterLab")
    monkeypatch.setenv("FAULTS", f"{works.File(works.__file__).parent}")
    monkeypatch.setenv("PYTHONPATH", f"{works.File(ee.__file__).parents[1]}")
    monkeypatch.setenv("ENTROPIC_EDU_HOME", str(tmp_path / "answers"))
    made = Kernel()
    yield made
    made.close()


@pytest.mark.fault(
    "kill -9 of a kernel in the middle of live work, then a restart",
    "answers stay; run again, the work ends with the same sentence",
    trials=4,
)
def test_a_kernel_that_is_killed_in_live_work_comes_to_the_same_sentence(kernel, tmp_path, trials):
    moments = random.Random(0)
    for _ in range(trials):
        kernel.run(CELL + "while job.running: pass", until="shown")  # the work has drawn a picture, and goes on
        time.sleep(moments.uniform(0, 0.2))
        kernel.killed()
    said = kernel.run(CELL + END)
    whole = works.explorer()
    assert f"SENTENCE {whole.run()}" in said
    assert f"BETS {trials + 1} \n" in said
    assert len(answers.Answers(tmp_path / "answers").bets) == trials + 1


def half(folder):
    """Leave half the points of a sweep."""
    for file in sorted(folder.glob("*.kept"))[::2]:
        file.unlink()


@pytest.mark.fault(
    "a clock that goes back an hour each time it is read; files dated 2100", "it ends with the same bits"
)
@pytest.mark.parametrize("what", ["train", "sweep", "story", "answers", "lessons", "download"])
def test_a_clock_that_is_set_back_changes_nothing(what, start, server, tmp_path):  # noqa: F811
    at = tmp_path / "at"
    at.mkdir()
    backwards = partial(start, works.backwards, cwd=at)
    if what == "train":
        whole = works.train()
        stopped = works.train(stop_at=64, checkpoint=at / "checkpoint")
        assert not stopped.complete
        assert backwards(works.train_resuming, at / "end", at / "checkpoint").end() == 0
        assert bits(Run.load(at / "end")) == bits(whole)
    elif what == "sweep":
        assert start(works.sweep, at / "points", tmp_path / "whole").end() == 0
        half(at / "points")
        assert backwards(works.sweep, at / "points", at / "end").end() == 0
        one, two = ee.Sweep.load(at / "end"), ee.Sweep.load(tmp_path / "whole")
        assert [bits(result) for result in one.results] == [bits(result) for result in two.results]
    elif what == "story":
        assert start(works.tell, str(at / "story")).end() == 0
        told = works.told(at / "story")
        half(at / "story.work")
        (at / "story.json").unlink()
        assert backwards(works.tell, str(at / "story")).end() == 0
        assert works.told(at / "story") == told
    elif what == "answers":
        assert start(works.answer, at, 1, 3).end() == 0
        assert backwards(works.answer, at, 2, 3).end() == 0
        assert [len(answers.Answers(at).passed(f"{number:02d}")) for number in (1, 2)] == [3, 3]
    elif what == "lessons":
        lab.lay(at / "0", say=print)
        (at / "0" / lab.FIRST).write_bytes(b"my work")
        assert backwards(works.lessons, at, 1).end() == 0
        assert (at / "0" / lab.FIRST).read_bytes() == b"my work"
        assert (at / "0" / "01_one_valley.ipynb").read_bytes() == (lab.shipped() / "01_one_valley.ipynb").read_bytes()
    else:
        server.content = packed(images())
        assert backwards(works.get, at / "to", known(server)).end() == 0
        assert works.loaded(at / "to")


@pytest.mark.fault("a million answers in one file", "all are read, and one more is added")
@pytest.mark.soak
def test_a_million_answers_are_kept(tmp_path):
    every = {
        (answers.BET, "02", f"{number}"): answers.Made("02", f"{number}", "stays", 0.7, bool(number % 2))
        for number in range(10**6)
    }
    (tmp_path / "answers.json").write_bytes(answers._written(every))
    kept = answers.Answers(tmp_path)
    kept.add_bet(answers.Made("03", "one more", "falls", 0.5, True))
    assert kept.news() == ""
    later = answers.Answers(tmp_path).bets
    assert len(later) == 10**6 + 1
    assert later[-1].question == "one more"
    assert {made.question: made.right for made in later[:-1]} == {key[2]: made.right for key, made in every.items()}

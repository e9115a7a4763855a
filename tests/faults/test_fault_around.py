"""What surrounds a process goes wrong: signals, memory, network, encoding, names of folders."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import works
from processes import ENDED, HUNG_UP

import entropic_edu as ee
from entropic_edu import cli
from entropic_edu.data import fetch

ODD = "Übung 3 #1 %d & 'ein' ☕"
PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}


ENDS = {signal.SIGINT: 130, signal.SIGTERM: ENDED, signal.SIGHUP: HUNG_UP}


@pytest.mark.fault(
    "Ctrl-C, SIGTERM and a terminal that closes, in `story`", "`--resume` ends with the same story", trials=3
)
def test_a_story_that_is_stopped_by_a_signal_goes_on(start, tmp_path, trials):
    whole = str(tmp_path / "whole")
    assert start(works.command, "story", "--tiny", "--out", whole).end() == 0
    for number, code in list(ENDS.items())[:trials]:
        for attempt in range(5):  # on a busy machine the story may be told before the signal comes
            name = f"{number.name}{attempt}"
            out, work = str(tmp_path / name), tmp_path / f"{name}.work"
            process = start(works.command, "story", "--tiny", "--out", out)
            process.wait_for(lambda work=work: list(work.glob("*.kept")), "the first stage")
            hurt = time.time()
            process.hurt(number)
            if process.end() != 0:
                break
            assert os.stat(f"{out}.json").st_mtime < hurt + 1, f"{number.name} was swallowed: the story went on"
        assert process.end() == code, process.text()
        assert "Traceback" not in process.text()
        assert not works.finished(out)  # after Ctrl-C there may be one that says how far it came
        assert start(works.command, "story", "--tiny", "--out", out, "--resume").end() == 0
        assert works.finished(out)
        assert works.told(out) == works.told(whole)


def story_in_little_room(out):
    """The command, where there is not enough memory for what it does first."""
    hold = [bytearray(1 << 20) for _ in range(20)]  # leaves little
    return cli.main(["story", "--tiny", "--out", out]) if hold else 0


@pytest.mark.fault("no memory left while the command runs", "one line says so; no traceback, no half-written file")
def test_memory_that_runs_out_is_said_in_a_line(start, tmp_path):
    process = start(
        story_in_little_room, str(tmp_path / "story"), room=27 << 20
    )  # ends before fonts, whose C code prints a traceback
    assert process.end() == 1, process.text()
    assert "Traceback" not in process.text()
    assert "emory" in process.text()
    assert not list(tmp_path.glob("*.json"))


def cut_off(out):
    """Everything that needs no network, with every socket refused."""

    def refuse(*arguments, **settings):
        raise OSError("no network")

    socket.socket.connect = socket.getaddrinfo = refuse
    for verb in works.VERBS:
        works.keep(verb, f"{out}-{verb}")
    assert cli.main(["doctor"]) == 0
    assert cli.main(["data"]) == 0
    works.tell(out)
    try:
        fetch.cifar10(f"{out}-images", say=print)
    except OSError as error:
        return 0 if "Run again" in str(error) or "run again" in str(error) else 3
    return 2


@pytest.mark.fault(
    "every network connection refused", "everything but the download works, and that says what to do", trials=8
)
def test_without_a_network_all_works_but_the_download(start, tmp_path):
    process = start(cut_off, str(tmp_path / "story"))
    assert process.end() == 0, process.text()
    assert (tmp_path / "story.json").is_file()
    assert not list((tmp_path / "story-images").glob("cifar*"))


@pytest.mark.fault(
    "a folder whose name has spaces, umlauts, # and %", "everything is written there and read back", trials=3
)
def test_results_live_in_folders_of_any_name(start, tmp_path):
    place = tmp_path / ODD
    assert start(works.command, "story", "--tiny", "--out", str(place / "story")).end() == 0
    assert works.told(str(place / "story"))
    road = works.road(works.network())
    road.save(place / "ö.safetensors")
    assert works.bits(ee.Path.load(place / "ö.safetensors")) == works.bits(road)
    assert start(works.answer, str(place / "home"), 1, 2).end() == 0


@pytest.mark.fault("a terminal that shows only ASCII", "characters it cannot show are replaced; no error", trials=1)
@pytest.mark.parametrize("command", ["doctor", "data", "record"])
def test_the_command_speaks_to_any_terminal(command, tmp_path):
    place = tmp_path / ODD
    place.mkdir()
    environment = os.environ | PLAIN | {"ENTROPIC_EDU_DATA": str(place), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "entropic_edu.cli", command],
        cwd=place,
        env=environment,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode("latin-1")
    assert done.stdout
    assert b"Traceback" not in done.stderr

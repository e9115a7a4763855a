"""``entropic-edu lab``: no work is overwritten, whatever happens in between, and nobody else gets in."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from entropic_edu import cli
from entropic_edu.teaching import lab


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Lessons of a first version, which a test may change."""
    folder = tmp_path / "shipped"
    (folder / "solutions").mkdir(parents=True)
    (folder / "instructors").mkdir()
    for name in (lab.FIRST, "01_one_valley.ipynb", f"solutions/{lab.FIRST}", "instructors/guide.md"):
        (folder / name).write_text(f"first {name}")
    monkeypatch.setattr(lab, "shipped", lambda: folder)
    return folder


@pytest.fixture
def mine(tmp_path):
    return tmp_path / "my lessons"


def lay(mine, **settings):
    said = []
    lab.lay(mine, say=said.append, **settings)
    return said


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != lab.LIST
    }


def test_a_new_folder_gets_all_lessons_and_no_teachers_pages(source, mine):
    assert lay(mine) == [f"Lessons in {mine}: 3 copied."]
    assert set(contents(mine)) == {lab.FIRST, "01_one_valley.ipynb", f"solutions/{lab.FIRST}"}


def test_a_teacher_gets_the_teachers_pages(source, mine):
    lay(mine, teacher=True)
    assert (mine / "instructors" / "guide.md").read_text() == "first instructors/guide.md"


def test_a_second_time_changes_nothing(source, mine):
    lay(mine)
    before = {file: file.stat().st_mtime_ns for file in mine.rglob("*.ipynb")}
    assert lay(mine) == [f"Lessons in {mine}: all up to date."]
    assert {file: file.stat().st_mtime_ns for file in mine.rglob("*.ipynb")} == before


def test_what_was_not_touched_is_brought_up_to_date(source, mine):
    lay(mine)
    (source / lab.FIRST).write_text("second")
    assert lay(mine) == [f"Lessons in {mine}: 1 brought up to date."]
    assert contents(mine)[lab.FIRST] == "second"


def test_work_stays_and_the_new_version_is_laid_beside_it_once(source, mine):
    lay(mine)
    (mine / lab.FIRST).write_text("my work")
    assert lay(mine) == [f"Lessons in {mine}: all up to date."]
    (source / lab.FIRST).write_text("second")
    said = lay(mine)
    assert said[0] == "00_start.ipynb holds your work and stays; its new version is 00_start.new.ipynb."
    assert lay(mine) == [f"Lessons in {mine}: all up to date."]
    assert contents(mine)[lab.FIRST] == "my work"
    assert contents(mine)["00_start.new.ipynb"] == "second"


def test_work_in_a_new_version_stays_too(source, mine):
    lay(mine)
    (mine / lab.FIRST).write_text("my work")
    (source / lab.FIRST).write_text("second")
    lay(mine)
    (mine / "00_start.new.ipynb").write_text("my work in the second")
    (source / lab.FIRST).write_text("third")
    lay(mine)
    found = contents(mine)
    assert found[lab.FIRST] == "my work"
    assert found["00_start.new.ipynb"] == "my work in the second"
    assert found["00_start.new-2.ipynb"] == "third"


def test_a_lesson_that_was_deleted_comes_again(source, mine):
    lay(mine)
    (mine / lab.FIRST).unlink()
    assert lay(mine) == [f"Lessons in {mine}: 1 copied."]


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"kind": "x", "format": 1, "files": {}}', "[" * 100_000])
def test_without_a_sound_list_every_file_that_differs_is_taken_for_work(content, source, mine):
    lay(mine)
    (mine / lab.FIRST).write_text("my work")
    (mine / lab.LIST).unlink() if content is None else (mine / lab.LIST).write_text(content)
    (source / lab.FIRST).write_text("second")
    (source / "01_one_valley.ipynb").write_text("second")
    said = lay(mine)
    assert any("is damaged" in line for line in said) == (content is not None)
    found = contents(mine)
    assert found[lab.FIRST] == "my work"
    assert found["01_one_valley.ipynb"] == "first 01_one_valley.ipynb"
    assert found["00_start.new.ipynb"] == found["01_one_valley.new.ipynb"] == "second"


def test_a_folder_by_the_name_of_a_lesson_is_an_error_and_what_came_before_is_known(source, mine):
    (mine / "01_one_valley.ipynb").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"01_one_valley\.ipynb is no file, .* move it away"):
        lay(mine)
    assert set(json.loads((mine / lab.LIST).read_text())["files"]) == {lab.FIRST}


def test_a_link_to_elsewhere_is_not_written_through(source, mine, tmp_path):
    elsewhere = tmp_path / "elsewhere.ipynb"
    elsewhere.write_text("not yours")
    mine.mkdir()
    (mine / lab.FIRST).symlink_to(elsewhere)
    lay(mine)
    assert elsewhere.read_text() == "not yours"
    (source / "01_one_valley.ipynb").unlink()


def test_a_home_that_nobody_has_is_named_and_no_folder_of_that_name_is_made(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="~nobody-of-this-name is nobody's home"):
        lay("~nobody-of-this-name/lessons")
    assert not (tmp_path / "~nobody-of-this-name").exists()


def test_the_folder_of_the_lessons_themselves_is_left_alone(source):
    before = contents(source)
    assert lay(source) == []
    assert contents(source) == before
    assert not (source / lab.LIST).exists()


def test_this_checkout_has_its_lessons():
    assert (lab.shipped() / lab.FIRST).is_file()


def test_an_installation_without_lessons_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "__file__", str(tmp_path / "entropic_edu" / "lab.py"))
    with pytest.raises(FileNotFoundError, match=r"has no lessons .* install it anew"):
        lab.shipped()


@pytest.mark.parametrize(("voila", "extras"), [(False, "lab"), (True, "lab,voila")])
def test_a_missing_front_end_is_named_before_anything_is_copied(voila, extras, source, mine, monkeypatch, capsys):
    for name in ("jupyterlab", "voila"):
        monkeypatch.setitem(sys.modules, name, None)
    assert cli.main(["lab", str(mine)] + ["--voila"] * voila) == 1
    assert f'run pip install "entropic-edu[{extras}]"' in capsys.readouterr().err
    assert not mine.exists()


def test_a_port_that_is_taken_is_passed_over():
    with socket.socket() as taken:
        taken.bind((lab.ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert lab.free_port(port) > port


@pytest.mark.parametrize("port", [0x10000, 99_999])
def test_a_number_that_is_no_port_is_an_error(port):
    with pytest.raises(OSError, match="wanted one from 1024 to 65535"):
        lab.free_port(port)


def asked(address, token=""):
    """Return the status of an answer; redirections are not followed, so that a page that asks for a login is none."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments):
            return None

    request = urllib.request.Request(address, headers={"Authorization": f"token {token}"} if token else {})
    try:
        with urllib.request.build_opener(Stay, urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("voila", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["lab", "voila"])
def test_a_real_server_listens_to_this_machine_and_to_its_token_alone(voila, tmp_path):
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    command = [sys.executable, "-m", "entropic_edu.cli", "lab", "mine", "--no-browser", "--port", "9400"]
    environment = os.environ | {name: str(tmp_path / name) for name in places}
    log = tmp_path / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            command + ["--voila"] * voila, cwd=tmp_path, env=environment, stdout=stream, stderr=stream
        )
    try:
        page = "" if voila else f"lab/tree/{lab.FIRST}"
        told = re.compile(rf"(http://127\.0\.0\.1:(\d+)/){page}\?token=(\w{{48}})\n")
        end = time.monotonic() + 90
        while not (found := told.search(log.read_text())) or not _listens(found[1]):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        root, port, token = found.groups()
        inside = f"{root}voila/render/{lab.FIRST}" if voila else f"{root}api/contents"
        assert asked(inside) in (302, 403)
        assert asked(inside, "0" * 48) in (302, 403)
        if voila:  # the page itself would start a kernel
            assert asked(root, token) == 200
        else:
            assert asked(inside, token) == 200
        assert _addresses(int(port)) == {"0100007F"}  # loopback, and no other
        assert token not in " ".join(server.args)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    assert (tmp_path / "mine" / lab.FIRST).is_file()


def _listens(root):
    try:
        return asked(root) > 0
    except OSError:
        return False


def _addresses(port):
    """Return the addresses, as Linux writes them, at which somebody listens to a port."""
    tables = [table for table in ("/proc/net/tcp", "/proc/net/tcp6") if os.path.exists(table)]
    if not tables:
        pytest.skip("the system does not tell who listens where; all else was tested")
    rows = [line.split() for table in tables for line in Path(table).read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if int(row[1].split(":")[1], 16) == port and row[3] == "0A"}

"""The download, from a server of our own on loopback; its archives hold random images."""

import errno
import hashlib
import inspect
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import Mock

import numpy as np
import pytest

from entropic_edu import cli, data
from entropic_edu.data import fetch

NUMBER = 40  # images in each file
SIZES = dict.fromkeys((*data.TRAIN_FILES, data.TEST_FILE), NUMBER * data.RECORD)


class Handler(BaseHTTPRequestHandler):
    """Sends ``server.content`` in the way that ``server.way`` names."""

    def do_GET(self):
        server, content = self.server, self.server.content
        came = int(re.sub("[^0-9]", "", self.headers.get("Range", "0")))
        server.asked.append(came)
        if server.way == "missing":
            self.send_error(404)
            return
        if server.way == "unwilling at all" or (server.way == "unwilling" and came):
            self.send_error(416)
            return
        if server.way == "from the beginning":
            came = 0
        self.send_response(206 if came else 200)
        if came and server.way != "from nowhere":
            first = came - 1 if server.way == "from elsewhere" else came
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if server.way == "called gzipped":
            self.send_header("Content-Encoding", "x-gzip")
        if server.way not in ("of no length", "endless", "one byte more"):
            length = (
                server.way.removeprefix("of length ") if server.way.startswith("of length ") else len(content) - came
            )
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.send(content[came:])

    def send(self, content):
        server, half = self.server, len(content) // 2
        with suppress(ConnectionError):
            if server.way == "cut short" or server.way == "of no length":
                self.wfile.write(content[:half])
            elif server.way == "one byte more":
                self.wfile.write(content + b"0")
            elif server.way == "endless":
                for server.times in range(100):
                    self.wfile.write(content)
            elif server.way == "held":
                self.wfile.write(content[:half])
                self.wfile.flush()
                server.go_on.wait(60)
                self.wfile.write(content[half:])
            else:
                self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server on loopback, and a home, a working folder and an environment without CIFAR-10."""
    for name in ("ENTROPIC_EDU_DATA", "ENTROPIC_EDU_MIRROR", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    running.way, running.asked, running.content, running.go_on = "good", [], b"", threading.Event()
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.go_on.set()
    running.shutdown()
    running.server_close()


def images():
    """Random records for each of the six files."""
    records = np.random.default_rng(0).integers(0, 256, (6, NUMBER, data.RECORD), dtype=np.uint8)
    records[:, :, 0] %= 10
    return {name: content.tobytes() for name, content in zip(SIZES, records, strict=True)}


def serve(server, contents=None, members=()):
    """Let the server have a tar.gz file as the authors made it, and return what is known of it.

    Args:
        contents: Bytes by name, instead of images.
        members: Entries after those: pairs of a TarInfo and its bytes.
    """
    server.content = packed(images() if contents is None else contents, members)
    return known(server)


def packed(contents, members=()):
    inside = [member(f"{data.FOLDER}/{name}", content) for name, content in contents.items()]
    around = [member(data.FOLDER, kind=tarfile.DIRTYPE), member(f"{data.FOLDER}/batches.meta.txt", b"airplane")]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as tar:
        for entry, content in (*around, *inside, *members):
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def member(name, content=b"", kind=tarfile.REGTYPE, link=""):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = len(content), kind, link
    return entry, content


def known(server):
    url = f"http://127.0.0.1:{server.server_address[1]}/cifar-10-binary.tar.gz"
    return fetch.Archive(url, len(server.content), hashlib.sha256(server.content).hexdigest(), data.FOLDER, SIZES)


def get(to, archive, **options):
    said = []
    options = {"timeout": 20.0, "say": said.append, **options}
    return fetch.cifar10(to=to, archive=archive, **options), said


def entries(folder):
    """What a folder shows, beside the lock."""
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock")) if folder.is_dir() else []


def assert_whole(folder):
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == images()
    assert entries(folder.parent) == [folder.name]


# --- all is well ---------------------------------------------------------------------------------------------------


def test_a_copy_is_fetched_once_unpacked_and_read(server, tmp_path, capfd):
    archive = serve(server)
    folder, said = get(tmp_path / "to", archive)
    assert folder == tmp_path / "to" / data.FOLDER
    assert_whole(folder)
    assert archive.url in said[0]
    assert data.cifar10(tmp_path / "to").x.shape == (5 * NUMBER, 3, 32, 32)
    assert get(tmp_path / "to", archive) == (folder, [f"A whole copy is in {folder}; nothing was fetched."])
    assert server.asked == [0]
    assert capfd.readouterr() == ("", "")


def test_the_default_is_the_cache_where_the_loader_looks(server, tmp_path):
    folder, _ = get(None, serve(server))
    assert folder == tmp_path / "home" / ".cache" / "entropic_edu" / data.FOLDER
    assert data.find_cifar10() == folder


def test_a_whole_copy_elsewhere_spares_the_download_and_an_incomplete_one_does_not(server, tmp_path):
    archive = serve(server)
    copy = tmp_path / "here" / "data" / data.PYTHON_FOLDER
    copy.mkdir(parents=True)
    for name in SIZES:
        (copy / name.removesuffix(".bin")).write_bytes(bytes(SIZES[name] + 1))
    assert get(None, archive)[0].resolve() == copy
    assert server.asked == []
    (copy / "data_batch_2").write_bytes(b"")
    assert_whole(get(None, archive)[0])


def test_an_empty_folder_in_its_place_is_filled_and_any_other_is_left_alone(server, tmp_path):
    archive = serve(server)
    (tmp_path / "a" / data.FOLDER).mkdir(parents=True)
    assert_whole(get(tmp_path / "a", archive)[0])
    kept = tmp_path / "b" / data.FOLDER / "data_batch_1.bin"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    with pytest.raises(OSError, match=r"b/cifar-10-batches-bin exists, but is no whole copy; move it away, or .* --to"):
        get(tmp_path / "b", archive)
    assert kept.read_bytes() == b"mine"
    assert server.asked == [0]


def test_a_mirror_is_named_by_the_argument_or_by_the_environment(server, tmp_path, monkeypatch):
    archive = serve(server)
    elsewhere = replace(archive, url="http://127.0.0.1:9/refuses")
    assert_whole(get(tmp_path / "a", elsewhere, url=archive.url)[0])
    monkeypatch.setenv("ENTROPIC_EDU_MIRROR", archive.url)
    assert_whole(get(tmp_path / "b", elsewhere)[0])
    with pytest.raises(ValueError, match=r"must begin with http:// or https://, got file:///etc/passwd"):
        get(tmp_path / "c", archive, url="file:///etc/passwd")


def test_an_archive_that_a_server_calls_gzipped_is_kept_as_it_is(server, tmp_path):
    archive = serve(server)
    server.way = "called gzipped"
    assert_whole(get(tmp_path / "to", archive)[0])


def test_a_bar_is_shown_only_where_it_is_asked_for(server, tmp_path, capsys):
    archive = serve(server)
    get(tmp_path / "to", archive, progress=True)
    told = capsys.readouterr().err
    assert "100%" in told
    thousands = f"{archive.size / 1000:.0f}k"
    assert f"{thousands}/{thousands}" in told


@pytest.mark.parametrize("then", ["good", "from the beginning"])
def test_the_bar_of_a_download_that_is_gone_on_with_ends_where_it_is_whole(server, tmp_path, capsys, then):
    archive = serve(server)
    server.way = "cut short"
    with pytest.raises(OSError, match="broke off"):
        get(tmp_path / "to", archive)
    server.way = then
    get(tmp_path / "to", archive, progress=True)
    assert "100%" in capsys.readouterr().err


def test_what_is_not_said_is_half_a_minute_of_patience_and_no_bar_and_settings_are_given_by_name(tmp_path):
    defaults = {name: each.default for name, each in inspect.signature(fetch.cifar10).parameters.items()}
    assert (defaults["timeout"], defaults["progress"]) == (30, False)
    with pytest.raises(TypeError):
        fetch.cifar10(tmp_path, "http://127.0.0.1:9/")


@pytest.mark.parametrize(
    ("size", "words"),
    [(999_999, "999,999 bytes"), (10**6, "1 MB"), (1_499_999, "1 MB"), (10**12, "1,000,000 MB")],
)
def test_sizes_are_told_in_bytes_below_a_megabyte(server, tmp_path, monkeypatch, size, words):
    archive = replace(serve(server), size=size, url="http://127.0.0.1:9/refuses")
    monkeypatch.setattr("shutil.disk_usage", lambda place: Mock(free=10**15))
    said = []
    with pytest.raises(OSError, match="refused"):
        get(tmp_path / "to", archive, say=said.append)
    assert said[0].startswith(f"Fetching {words} from http://127.0.0.1:9/refuses to ")


def test_the_known_archive_is_that_of_the_authors():
    # as TensorFlow Datasets lists it
    assert fetch.CIFAR10.size == 170_052_171
    assert fetch.CIFAR10.url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert sum(fetch.CIFAR10.files.values()) == 60_000 * 3073
    assert re.fullmatch("[0-9a-f]{64}", fetch.CIFAR10.sha256)


# --- the network fails ---------------------------------------------------------------------------------------------


def test_a_server_that_refuses_is_named(server, tmp_path):
    archive = replace(serve(server), url="http://127.0.0.1:9/archive")
    told = r"to http://127\.0\.0\.1:9/archive failed or broke off \(Connection refused\)\. No copy was made; run again"
    with pytest.raises(OSError, match=told):
        get(tmp_path / "to", archive)
    assert data.find_cifar10(tmp_path / "to") is None


def test_a_missing_archive_is_reported_with_the_answer(server, tmp_path):
    archive = serve(server)
    server.way = "missing"
    with pytest.raises(OSError, match=r"binary\.tar\.gz answered 404 Not Found\. No copy was made; .* --url"):
        get(tmp_path / "to", archive)


def test_a_silent_server_is_given_up_and_gone_on_from(server, tmp_path):
    archive = serve(server)
    server.way = "held"
    with pytest.raises(
        OSError, match=r"sent nothing for 0\.3 s\. No copy was made; the [\d,]+ .* are kept\. Run again to"
    ):
        get(tmp_path / "to", archive, timeout=0.3)
    server.way = "good"
    folder, said = get(tmp_path / "to", archive)
    assert_whole(folder)
    assert said[1].startswith("Going on from ")
    assert server.asked[1] > 0.4 * archive.size  # half of it came, in whole chunks


@pytest.mark.parametrize("way", ["cut short", "of no length"])
@pytest.mark.parametrize("then", ["good", "from the beginning"])
def test_what_came_before_a_line_broke_is_kept_and_the_rest_fetched(server, tmp_path, way, then):
    archive = serve(server)
    server.way = way
    with pytest.raises(
        OSError, match=r"broke off .*No copy was made; the [\d,]+ .* that came are kept\. Run again to go on"
    ):
        get(tmp_path / "to", archive)
    assert data.find_cifar10(tmp_path / "to") is None
    server.way = then
    assert_whole(get(tmp_path / "to", archive)[0])
    assert server.asked[1] > 0.4 * archive.size


@pytest.mark.parametrize("way", ["unwilling", "from elsewhere", "from nowhere"])
def test_a_server_that_will_not_go_on_is_asked_from_the_beginning_next_time(server, tmp_path, way):
    archive = serve(server)
    server.way = "cut short"
    with pytest.raises(OSError, match="broke off"):
        get(tmp_path / "to", archive)
    server.way = way
    with pytest.raises(OSError, match=r"would not go on from byte [\d,]+\. No copy was made; run again"):
        get(tmp_path / "to", archive)
    assert_whole(get(tmp_path / "to", archive)[0])
    assert server.asked[2] == 0


def test_a_server_that_will_not_even_begin_is_told_of(server, tmp_path):
    archive = serve(server)
    server.way = "unwilling at all"
    with pytest.raises(OSError, match=r"would not go on from byte 0\. No copy was made; run again"):
        get(tmp_path / "to", archive)


def test_a_page_instead_of_the_archive_is_recognised_by_its_length(server, tmp_path):
    archive = serve(server)
    server.content = b"<html>Please log in</html>"
    with pytest.raises(OSError, match=r"has another file of 26 bytes, wanted 7\d\d,\d\d\d; it may be a page that asks"):
        get(tmp_path / "to", archive)


@pytest.mark.parametrize("length", ["-1", "many", "7e5", "9" * 400, "0x10", "\xb2"])
def test_a_length_that_is_none_is_told_in_words_and_what_came_before_is_kept(server, tmp_path, length):
    archive = serve(server)
    server.way = "cut short"
    with pytest.raises(OSError, match="broke off"):
        get(tmp_path / "to", archive)
    server.way = f"of length {length}"
    with pytest.raises(OSError, match=r"are kept\. Run again to go on"):
        get(tmp_path / "to", archive)
    server.way = "good"
    assert_whole(get(tmp_path / "to", archive)[0])
    assert server.asked[-1] > 0  # it went on from what was kept


def test_a_home_that_nobody_has_is_named_and_no_folder_of_that_name_is_made(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="~nobody-of-this-name is nobody's home"):
        get("~nobody-of-this-name/to", serve(server))
    assert not (tmp_path / "~nobody-of-this-name").exists()


def test_one_byte_too_many_is_too_many_and_nothing_of_it_is_kept(server, tmp_path):
    archive = serve(server)
    server.way = "one byte more"
    with pytest.raises(OSError, match=r"sent more than the [\d,]+ bytes of the archive\. No copy was made; run again"):
        get(tmp_path / "to", archive)
    server.way = "good"
    assert_whole(get(tmp_path / "to", archive)[0])
    assert server.asked == [0, 0]


def test_a_server_that_never_ends_does_not_fill_the_disk(server, tmp_path):
    archive = serve(server)
    server.way = "endless"
    with pytest.raises(OSError, match=r"sent more than the [\d,]+ bytes of the archive\. No copy was made; run again"):
        get(tmp_path / "to", archive)
    assert server.times < 50  # it broke off: what it sent beyond are the buffers on the way, of a few MB


def test_a_stop_while_the_hash_is_taken_loses_nothing(server, tmp_path, monkeypatch):
    archive, to = serve(server), tmp_path / "to"
    with monkeypatch.context() as patch:
        patch.setattr("pooch.file_hash", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            get(to, archive)
    assert data.find_cifar10(to) is None
    root, said = get(to, archive)
    assert_whole(root)
    assert server.asked == [0]
    assert any("Going on" in line for line in said)


def test_an_archive_with_another_hash_is_deleted_and_fetched_anew(server, tmp_path):
    archive = serve(server)
    good = server.content
    server.content = good[:-100] + bytes(100)
    with pytest.raises(
        OSError, match=rf"its hash is another \(sha256 should be {archive.sha256}\)\. It was deleted\. Run"
    ):
        get(tmp_path / "to", archive)
    assert not any(file.is_file() for file in (tmp_path / "to").glob("*/*"))
    server.content = good
    assert_whole(get(tmp_path / "to", archive)[0])
    assert server.asked == [0, 0]


# --- hostile and foreign archives, with the hash that is asked for -------------------------------------------------


HOSTILE = {
    "../out": member("../out", b"evil"),
    "the folder around": member(f"{data.FOLDER}/..", b"evil"),
    "a climb from within": member(f"{data.FOLDER}/../../out", b"evil"),
    "an absolute name": member("/out", b"evil"),
    "another folder": member("elsewhere/out", b"evil"),
    "a folder within": member(f"{data.FOLDER}/deep/data_batch_1.bin", b"evil"),
    "a symbolic link": member(f"{data.FOLDER}/link", kind=tarfile.SYMTYPE, link="/etc"),
    "a hard link": member(f"{data.FOLDER}/test_batch.bin", kind=tarfile.LNKTYPE, link="../../home/secret"),
    "a link in place of the folder": member(data.FOLDER, kind=tarfile.SYMTYPE, link="/tmp"),
    "a device": member(f"{data.FOLDER}/null", kind=tarfile.CHRTYPE),
    "a pipe": member(f"{data.FOLDER}/pipe", kind=tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("what", list(HOSTILE))
def test_a_hostile_archive_is_refused_and_leaves_nothing(server, tmp_path, what, last):
    entry, evil = HOSTILE[what][0], [HOSTILE[what]]
    archive = serve(server, *((None, evil) if last else ({}, evil + files())))
    before = set(tmp_path.rglob("*"))
    told = rf"The archive is refused: {re.escape(repr(entry.name))} (is neither|lies outside).* It was deleted"
    with pytest.raises(OSError, match=told):
        get(tmp_path / "to", archive)
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "to", tmp_path / "to" / f".{data.FOLDER}.lock"}


def files():
    return [member(f"{data.FOLDER}/{name}", content) for name, content in images().items()]


def test_an_archive_with_a_wrong_missing_or_doubled_file_is_refused(server, tmp_path):
    whole, first = images(), data.TRAIN_FILES[0]
    short = {**whole, first: whole[first][:-1]}
    lacking = {name: whole[name] for name in whole if name != first}
    again = member(f"{data.FOLDER}/{first}", whole[first])
    for contents, members, told in (
        (short, [], rf"{data.FOLDER}/data_batch_1\.bin has 122,919 bytes"),
        (lacking, [], r"it lacks data_batch_1\.bin"),
        (whole, [again], r"data_batch_1\.bin has 122,920 bytes or is there twice"),
    ):
        with pytest.raises(OSError, match=rf"The archive is refused: .*{told}.*It was deleted"):
            get(tmp_path / "to", serve(server, contents, members))
        assert entries(tmp_path / "to") == []


@pytest.mark.parametrize("content", [b"no archive at all", packed(images())[:-50_000]])
def test_what_is_no_whole_archive_is_refused(server, tmp_path, content):
    server.content = content
    with pytest.raises(OSError, match=r"The archive is refused: .* It was deleted"):
        get(tmp_path / "to", known(server))
    assert entries(tmp_path / "to") == []


# --- the disk fails, or the process ----------------------------------------------------------------------------------


def test_too_little_space_is_said_before_the_download(server, tmp_path):
    archive = replace(serve(server), files=dict.fromkeys(SIZES, 10**17))
    with pytest.raises(
        OSError,
        match=r"to has [\d,]+ MB free, and 600,000,\S+ MB are needed; make space, or name another folder with --to",
    ):
        get(tmp_path / "to", archive)
    assert server.asked == []


def test_space_for_the_rest_and_for_what_is_unpacked_is_enough_and_a_byte_less_is_not(server, tmp_path, monkeypatch):
    archive = serve(server)
    server.way = "cut short"
    with pytest.raises(OSError, match="broke off"):
        get(tmp_path / "to", archive)
    server.way = "good"
    came = (tmp_path / "to" / f".{data.FOLDER}.fetch" / "archive.part").stat().st_size
    needed = archive.size - came + sum(SIZES.values())
    monkeypatch.setattr("shutil.disk_usage", lambda place: Mock(free=needed - 1))
    with pytest.raises(OSError, match="make space"):
        get(tmp_path / "to", archive)
    monkeypatch.setattr("shutil.disk_usage", lambda place: Mock(free=needed))
    assert_whole(get(tmp_path / "to", archive)[0])


FAULTS = {}  # by the end of a file's name, what opening it raises


def _refuse(event, arguments):
    if event == "open" and FAULTS:
        for name, error in FAULTS.items():
            if str(arguments[0]).endswith(name):
                raise error


sys.addaudithook(_refuse)  # Python asks it before it opens a file


@contextmanager
def opening(name, error):
    """Let an error come whenever a file of this name is opened, as of a disk, or of Ctrl-C at that moment."""
    FAULTS[name] = error
    try:
        yield
    finally:
        del FAULTS[name]


def test_a_disk_that_fills_up_is_reported_and_the_archive_is_not_fetched_twice(server, tmp_path):
    archive, full = serve(server), OSError(errno.ENOSPC, "No space left on device")
    with (
        opening(data.TEST_FILE, full),
        pytest.raises(OSError, match=r"Could not write to .*to \(No space left on device\); .* --to, and run again"),
    ):
        get(tmp_path / "to", archive)
    assert data.find_cifar10(tmp_path / "to") is None
    assert [p.name for p in (tmp_path / "to" / f".{data.FOLDER}.fetch").iterdir()] == ["archive.part"]
    assert_whole(get(tmp_path / "to", archive)[0])
    assert server.asked == [0]


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    archive = serve(server)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        OSError, match=r"Could not write to .*file/to \(Not a directory\); .* Name another folder with --to"
    ):
        get(tmp_path / "file" / "to", archive)
    assert server.asked == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(server, tmp_path):
    archive = serve(server)
    (tmp_path / "to").mkdir(mode=0o500)
    with pytest.raises(OSError, match=r"Could not write to .*to \(Permission denied\)"):
        get(tmp_path / "to", archive)


def test_a_read_only_file_system_is_named(server, tmp_path):
    archive, refused = serve(server), OSError(errno.EROFS, "Read-only file system")
    with (
        opening(".lock", refused),
        pytest.raises(OSError, match=r"Could not write to .*to \(Read-only file system\); .* Name another folder"),
    ):
        get(tmp_path / "to", archive)


@pytest.mark.parametrize("at", [data.TRAIN_FILES[2], data.TEST_FILE])
def test_an_interrupt_while_unpacking_leaves_no_copy_and_what_is_left_by_a_kill_does_no_harm(server, tmp_path, at):
    archive = serve(server)
    with opening(at, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        get(tmp_path / "to", archive)
    assert data.find_cifar10(tmp_path / "to") is None
    left = tmp_path / "to" / f".{data.FOLDER}.fetch" / data.FOLDER / "data_batch_1.bin"
    left.parent.mkdir()
    left.write_bytes(b"half")
    (left.parents[1] / "tmp1234").write_bytes(b"half")
    assert_whole(get(tmp_path / "to", archive)[0])


PROCESS = """
import json, sys
from entropic_edu.data import fetch
fetch.cifar10(sys.argv[2], archive=fetch.Archive(**json.loads(sys.argv[1])), say=lambda line: print(line, flush=True))
"""


@pytest.fixture
def start(tmp_path):
    """Start processes that fetch into ``tmp_path / "to"``, each with a file of what it says."""
    started = []

    def process(archive):
        file = tmp_path / f"said{len(started)}"
        command = [sys.executable, "-c", PROCESS, json.dumps(asdict(archive)), str(tmp_path / "to")]
        with file.open("wb") as stream:
            started.append(subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT))
        return started[-1], file

    yield process
    for running in started:
        running.kill()
        running.wait()


def wait_for(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited 60 s for {what}"
        time.sleep(0.02)


def test_processes_share_one_download_and_when_it_is_killed_another_goes_on_from_its_part(server, tmp_path, start):
    archive = serve(server)
    server.way = "held"
    part = tmp_path / "to" / f".{data.FOLDER}.fetch" / "archive.part"
    first, _ = start(archive)
    wait_for(lambda: part.is_file() and part.stat().st_size > 0.4 * archive.size, "half of the archive")
    others = [start(archive), start(archive)]
    wait_for(lambda: all("Another process is fetching" in said.read_text() for _, said in others), "both to wait")
    assert server.asked == [0]
    first.kill()  # SIGKILL: it cannot tidy up
    first.wait()
    assert data.find_cifar10(tmp_path / "to") is None
    server.way = "good"
    assert [process.wait(60) for process, _ in others] == [0, 0], [said.read_text() for _, said in others]
    assert_whole(tmp_path / "to" / data.FOLDER)
    assert len(server.asked) == 2
    assert server.asked[1] > 0.4 * archive.size


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def command(server, monkeypatch):
    """The command, which knows the server's archive as that of the authors."""
    monkeypatch.setitem(fetch.cifar10.__kwdefaults__, "archive", serve(server))
    return lambda *arguments: cli.main(["data", *arguments])


def test_the_command_fetches_and_says_where_it_is_found(command, tmp_path, capsys, monkeypatch):
    assert command("fetch", "cifar10") == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert f"CIFAR-10 is in {data.find_cifar10()}." in told.out
    assert "ENTROPIC_EDU_DATA" not in told.out
    assert command("fetch", "cifar10", "--to", str(tmp_path / "to")) == 0
    told = capsys.readouterr().out
    assert f"set ENTROPIC_EDU_DATA={tmp_path / 'to' / data.FOLDER} (now {data.find_cifar10()} comes first)" in told
    monkeypatch.setenv("ENTROPIC_EDU_DATA", str(tmp_path / "to"))
    assert command() == 0
    assert f"ok    CIFAR-10      copy in {tmp_path / 'to' / data.FOLDER}" in capsys.readouterr().out


def test_the_command_fetches_nothing_unless_it_is_asked_to(command, server, capsys):
    assert command() == 0
    assert "entropic-edu data fetch cifar10" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command("fetch")
    assert "cifar10" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="run  entropic-edu data fetch cifar10"):
        data.cifar10()
    assert server.asked == []


@pytest.mark.parametrize(
    ("way", "told"), [("missing", "answered 404"), ("cut short", "broke off"), ("endless", "sent more")]
)
def test_the_command_fails_with_one_and_a_line_that_says_why(command, server, capsys, way, told):
    server.way = way
    assert command("fetch", "cifar10") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("entropic-edu: ")
    assert told in line


def test_the_command_fails_with_one_for_a_mirror_that_refuses_or_is_no_address(command, capsys):
    for url, told in (("http://127.0.0.1:9/", "refused"), ("ftp://a", "must begin with http"), ("http://[", "failed")):
        assert command("fetch", "cifar10", "--url", url) == 1
        assert told in capsys.readouterr().err


def test_a_stopped_command_says_that_it_goes_on(command, capsys):
    with opening(data.TRAIN_FILES[1], KeyboardInterrupt()):
        assert command("fetch", "cifar10") == 130
    assert "the same command goes on from there" in capsys.readouterr().err

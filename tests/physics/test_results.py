import dataclasses
import errno
import io
import json
import os
import pickle
import sys
import threading

import pytest
import safetensors.torch
import torch

import entropic_edu as ee
from entropic_edu import Path, recorded
from entropic_edu.physics import results
from entropic_edu.physics.results import Result, attempted, detached, finite, first_line, unavailable, write_whole
from entropic_edu.physics.train import Run, train
from entropic_edu.physics.valleys import Hyperbola


@pytest.fixture
def path(generator):
    pivots = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    losses, between = torch.rand(5, generator=generator), torch.rand(4, 3, generator=generator)
    return Path(pivots, losses, between, method="string", complete=False)


@pytest.fixture
def run(generator):
    return train(Hyperbola(), generator=generator, batch_size=4, epochs=5, learning_rate=0.01, runs=2, stop_at=3)


def equal(one, two):
    """Whether two results hold the same values of the same types, bit for bit."""
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if isinstance(a, torch.Tensor):
            if a.dtype != b.dtype or a.shape != b.shape or not torch.equal(a, b):
                return False
        elif type(a) is not type(b) or a != b:
            return False
    return type(one) is type(two)


@pytest.mark.parametrize("kind", ["path", "run"])
def test_a_result_comes_back_bit_for_bit(kind, request, tmp_path):
    result = request.getfixturevalue(kind)
    result.save(tmp_path / "deep" / "in" / "folders.st")
    back = type(result).load(tmp_path / "deep" / "in" / "folders.st")
    assert equal(result, back)
    assert back.summary() == result.summary()
    assert not back.complete


def test_what_was_not_measured_comes_back_as_not_measured(tmp_path):
    bare = Path(torch.eye(3))
    bare.save(tmp_path / "bare.st")
    back = Path.load(tmp_path / "bare.st")
    assert back.losses is None
    assert equal(bare, back)


def test_odd_values_survive_too(tmp_path):
    # a transposed view, subnormals, and -0 keep their bits
    pivots = torch.tensor([[1e-310, -0.0, 3.0], [1.0, 2.0, 0.1 + 0.2]], dtype=torch.float64).T
    Path(pivots).save(tmp_path / "odd.st")
    back = Path.load(tmp_path / "odd.st").pivots
    assert torch.equal(back.view(torch.int64), pivots.contiguous().view(torch.int64))


def test_a_saved_file_opens_with_safetensors_alone_and_nothing_in_it_is_pickled(run, tmp_path):
    run.save(tmp_path / "run.st")
    content = (tmp_path / "run.st").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header, numbers = json.loads(content[8 : 8 + size]), content[8 + size :]
    assert len(numbers) == max(place["data_offsets"][1] for name, place in header.items() if name != "__metadata__")
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(content)
    assert torch.equal(safetensors.torch.load_file(tmp_path / "run.st")["theta"], run.theta)


# --- files that are not what they should be --------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.9, 0.999])
def test_a_file_cut_short_says_so(share, path, tmp_path):
    file = tmp_path / "road.st"
    path.save(file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"road\.st is cut short, damaged.*make it again with Path\.save\(\)"):
        Path.load(file)


def test_a_flipped_byte_anywhere_in_the_header_is_refused(path, tmp_path):
    file = tmp_path / "road.st"
    path.save(file)
    content = file.read_bytes()
    for place in range(8 + int.from_bytes(content[:8], "little")):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"road\.st"):
            Path.load(file)


def test_a_flipped_byte_of_the_numbers_is_noticed(path, tmp_path):
    file = tmp_path / "road.st"
    path.save(file)
    damaged = bytearray(file.read_bytes())
    damaged[-5] ^= 0x01
    file.write_bytes(damaged)
    with pytest.raises(ValueError, match="damaged"):
        Path.load(file)


@pytest.mark.parametrize(("name", "wrong"), [(b'"pivots"', b'"pivotz"'), (b'\\"values\\"', b'\\"valuez\\"')])
def test_a_header_that_lacks_a_needed_name_is_refused_in_words(name, wrong, path, tmp_path):
    file = tmp_path / "road.st"
    path.save(file)
    content = file.read_bytes()
    assert name in content
    file.write_bytes(content.replace(name, wrong))
    with pytest.raises(ValueError, match=r"road\.st is cut short, damaged"):
        Path.load(file)


@pytest.mark.parametrize("read", [Path.load, Run.load, ee.Sweep.load, recorded.read])
def test_a_header_nested_beyond_all_measure_is_refused_in_words(read, tmp_path):
    file, header = tmp_path / "road.st", b'{"__metadata__": ' + 100_000 * b"[" + 100_000 * b"]" + b"}"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match=r"road\.st is cut short, damaged, or no file of entropic_edu"):
        read(file)


def test_a_foreign_file_says_so(tmp_path):
    file = tmp_path / "weights.st"
    for content in (safetensors.torch.save({"pivots": torch.eye(3)}), b"PK\x03\x04 a zip", b"{}", bytes(64)):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"weights\.st is .*no file of entropic_edu"):
            Path.load(file)
    torch.save({"pivots": torch.eye(3)}, file)
    with pytest.raises(ValueError, match=r"weights\.st is .*no file of entropic_edu"):
        Path.load(file)


def test_another_kind_of_result_says_which(run, path, tmp_path):
    run.save(tmp_path / "run.st")
    path.save(tmp_path / "path.st")
    with pytest.raises(ValueError, match="holds a Run of format 1, wanted a Path of format 1"):
        Path.load(tmp_path / "run.st")
    with pytest.raises(ValueError, match="holds a Path of format 1, wanted a Run"):
        Run.load(tmp_path / "path.st")


def test_a_file_of_a_later_format_says_so(path, tmp_path):
    path.save(tmp_path / "road.st")
    content = (tmp_path / "road.st").read_bytes()
    (tmp_path / "road.st").write_bytes(content.replace(b'\\"format\\": 1', b'\\"format\\": 9'))
    with pytest.raises(ValueError, match="holds a Path of format 9, wanted a Path of format 1"):
        Path.load(tmp_path / "road.st")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.st"):
        Path.load(tmp_path / "nowhere.st")


# --- whole or not at all ---------------------------------------------------------------------------------------


class FullDisk:
    """A file whose every write finds the disk full."""

    def __init__(self, file, mode):
        self.stream = io.FileIO(file, mode)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stream.close()

    def write(self, content):
        self.stream.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


def no_space(*args):
    raise OSError(errno.ENOSPC, "No space left on device")


def not_allowed(*args, **kwargs):
    raise PermissionError(errno.EACCES, "Permission denied")


FAULTS = {
    "full at write": (results, "open", FullDisk, OSError, "space"),
    "full at sync": (os, "fsync", no_space, OSError, "No space left"),
    "no permission": (results, "open", not_allowed, PermissionError, "Permission denied"),
    "no permission to replace": (os, "replace", not_allowed, PermissionError, "Permission denied"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_while_writing_leaves_the_old_file_and_no_rest(fault, path, tmp_path, monkeypatch):
    module, name, broken, kind, words = FAULTS[fault]
    file = tmp_path / "road.st"
    path.save(file)
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(module, name, broken, raising=False)
        with pytest.raises(kind, match=rf"Could not write .*road\.st \(.*{words}.*\); nothing was changed") as caught:
            Path(torch.eye(4)).save(file)
    assert caught.value.errno in (errno.ENOSPC, errno.EACCES)
    assert file.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["road.st"]
    assert equal(Path.load(file), path)


def test_ctrl_c_while_writing_leaves_the_old_file_and_no_rest(path, tmp_path, monkeypatch):
    def ctrl_c(descriptor):
        raise KeyboardInterrupt

    path.save(tmp_path / "road.st")
    monkeypatch.setattr(os, "fsync", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        Path(torch.eye(4)).save(tmp_path / "road.st")
    assert [f.name for f in tmp_path.iterdir()] == ["road.st"]
    assert equal(Path.load(tmp_path / "road.st"), path)


def test_a_file_where_a_folder_should_be_is_an_error_in_words(path, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match=r"Could not write .*taken/road\.st .*Choose another place"):
        path.save(tmp_path / "taken" / "road.st")


def test_a_written_file_may_be_read_by_whom_the_umask_allows(tmp_path):
    old = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"content")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "file").read_bytes() == b"content"


def test_files_that_other_threads_make_meanwhile_keep_the_mode_that_the_umask_gives(tmp_path):
    old, often, modes = os.umask(0o027), sys.getswitchinterval(), set()
    done = threading.Event()

    def make():
        while not done.is_set():
            os.close(os.open(tmp_path / "theirs", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            modes.add((tmp_path / "theirs").stat().st_mode & 0o777)
            (tmp_path / "theirs").unlink()

    watcher = threading.Thread(target=make)
    try:
        sys.setswitchinterval(1e-6)
        watcher.start()
        for number in range(300):
            write_whole(tmp_path / "ours", b"%d" % number)
            modes.add((tmp_path / "ours").stat().st_mode & 0o777)
    finally:
        done.set()
        watcher.join()
        sys.setswitchinterval(often)
        os.umask(old)
    assert modes == {0o640}


# --- the base --------------------------------------------------------------------------------------------------


def test_results_are_frozen_and_finished_unless_they_say_otherwise(path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        path.method = "bezier"
    assert Path(torch.eye(3)).complete
    with pytest.raises(NotImplementedError):
        Result().summary()


def test_a_value_that_is_not_finite_is_named_with_its_remedy():
    fine = torch.ones(3)
    assert finite(fine, "The loss", "rest") is fine
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="The loss is not finite; lower the rate"):
            finite(torch.tensor([0.0, bad]), "The loss", "lower the rate")


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("one\ntwo\nthree"), "one"), (ValueError("one"), "one"), (MemoryError(), "MemoryError")],
)
def test_of_an_error_the_first_line_is_told_or_its_type(error, line):
    assert first_line(error) == line


def test_what_torch_cannot_compute_is_missing_with_the_first_line_of_its_reason():
    def fails(error):
        def compute():
            raise error

        return compute

    reasons = {}
    assert attempted(reasons, "trace", lambda: 3, 0) == 3
    assert attempted(reasons, "noise", fails(NotImplementedError("no rule\nwhat torch adds\nand more")), 0) == 0
    assert attempted(reasons, "trace", fails(NotImplementedError()), 0) == 0
    assert reasons == {"noise": "no rule", "trace": "NotImplementedError"}
    assert (
        unavailable(reasons | {"trace": "too steep"})
        == " Not available: noise (no rule). Not available: trace (too steep)."
    )
    assert unavailable({}) == ""
    for error in (torch.OutOfMemoryError("full"), ZeroDivisionError("not of torch")):
        with pytest.raises(type(error)):
            attempted(reasons, "trace", fails(error), 0)


def test_a_kept_value_does_not_change_with_what_it_was_taken_from():
    value = torch.ones(3, requires_grad=True)
    kept = detached(value)
    with torch.no_grad():
        value.zero_()
    assert kept.tolist() == [1, 1, 1]
    assert not kept.requires_grad


@pytest.mark.parametrize(
    "error", [LookupError("no class Own"), KeyError("theta"), TypeError("no field"), OSError("gone")]
)
def test_what_cannot_be_put_together_is_of_another_version_unless_it_is_the_users_own(error):
    def put_together():
        with results.of_this_version("road.st"):
            raise error

    if isinstance(error, OSError):
        with pytest.raises(OSError, match="gone"):
            put_together()
    elif type(error) is LookupError:
        with pytest.raises(LookupError, match=r"road\.st: no class Own"):
            put_together()
    else:
        with pytest.raises(ValueError, match=rf"road\.st was written by another version .*{type(error).__name__}"):
            put_together()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda place: os.symlink(place, place)])
def test_what_is_no_regular_file_is_neither_read_nor_written(make, path, tmp_path):
    make(tmp_path / "place")
    for act in (Path.load, path.save):
        with pytest.raises(OSError, match="place is no regular file but a folder, pipe, device or loop of links"):
            act(tmp_path / "place")


@pytest.mark.parametrize("values", [{"pivots": 5}, {"method": torch.ones(3)}, {"colour": "red"}])
def test_a_field_that_is_unknown_or_of_another_kind_is_named(values):
    (name,) = values
    with pytest.raises(TypeError, match=f"Path has no field {name} that may be a "):
        Path.made_of({"pivots": torch.eye(3)} | values)


def test_a_header_of_any_length_is_read_whole(tmp_path):
    for number in range(8):  # safetensors fills headers up to a multiple of eight bytes
        named = Path(torch.eye(3), method=number * "m")
        named.save(tmp_path / "road.st")
        assert equal(Path.load(tmp_path / "road.st"), named)

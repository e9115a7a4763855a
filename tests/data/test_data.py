import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from entropic_edu import data as module
from entropic_edu.data import (
    CLASSES,
    FOLDER,
    MEAN,
    PYTHON_FOLDER,
    RECORD,
    STD,
    TEST_FILE,
    TRAIN_FILES,
    cifar10,
    digits,
    find_cifar10,
)

FILES = (*TRAIN_FILES, TEST_FILE)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A home, a working folder and an environment without CIFAR-10."""
    monkeypatch.delenv("ENTROPIC_EDU_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def write_copy(place, seed=0, number=4):
    """Write six files of random records into ``place/cifar-10-batches-bin`` and return the folder and its records."""
    folder = place / FOLDER
    folder.mkdir(parents=True)
    records = np.random.default_rng(seed).integers(0, 256, (6, number, RECORD), dtype=np.uint8)
    records[:, :, 0] %= 10
    for name, content in zip(FILES, records, strict=True):
        content.tofile(folder / name)
    return folder, records


def write_python_copy(place, seed=0, number=4):
    """Write the same records as six batches of the python version."""
    folder, records = place / PYTHON_FOLDER, write_copy(place / "binary", seed, number)[1]
    folder.mkdir(parents=True)
    for name, content in zip(FILES, records, strict=True):
        (folder / Path(name).stem).write_bytes(batch(content))
    return folder, records


def batch(records):
    """Return records as the authors wrote them, with Python 2: a protocol that Python 3 reads but no longer writes."""

    def text(content):  # SHORT_BINSTRING
        return b"U" + bytes([len(content)]) + content

    number, pixels = struct.pack("<i", len(records)), records[:, 1:].tobytes()
    labels = b"(" + b"".join(b"K" + bytes([label]) for label in records[:, 0]) + b"e"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    kind = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN" + 2 * b"J\xff\xff\xff\xff"
    state = (
        b"(K\x01J"
        + number
        + b"M\x00\x0c\x86"
        + kind
        + b"K\x00tb\x89T"
        + struct.pack("<i", len(pixels))
        + pixels
        + b"tb"
    )
    entries = text(b"labels") + b"]" + labels + text(b"data") + array + state
    return b"\x80\x02}(" + text(b"batch_label") + text(b"testing batch 1 of 1") + entries + b"u."


def normalised(records):
    """One record after the other, one channel after the other."""
    pixels = records[..., 1:].reshape(-1, 3, 32, 32) / 255
    for channel in range(3):
        pixels[:, channel] = (pixels[:, channel] - MEAN[channel]) / STD[channel]
    return torch.tensor(pixels, dtype=torch.float32)


# --- digits ------------------------------------------------------------------------------------------------------


def test_the_digits_are_every_digit_of_the_file_once_with_its_label():
    data, (pixels, labels) = digits(torch.float64), load_digits(return_X_y=True)
    x, y = torch.cat([data.x, data.test_x]), torch.cat([data.y, data.test_y])
    assert len(data.x) == len(data.y) == 1297
    assert len(data.test_x) == len(data.test_y) == 500
    ours = sorted(zip((16 * x).int().tolist(), y.tolist(), strict=True))
    assert ours == sorted(zip(pixels.astype(int).tolist(), labels.tolist(), strict=True))


def test_the_digits_lie_between_zero_and_one_in_the_dtype_asked_for():
    for dtype in (torch.float32, torch.float64):
        data = digits(dtype)
        assert data.x.dtype == data.test_x.dtype == dtype
        assert data.y.dtype == torch.int64
        assert (data.x.min(), data.x.max()) == (0, 1)


def test_the_split_is_the_same_on_every_call_and_leaves_the_global_stream_alone():
    before = torch.get_rng_state()
    one, two = digits(), digits()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.test_x, two.test_x)
    # Lines of the file that begin the test set, recorded on purpose: every number in the lessons rests on this split.
    first = load_digits().data[[985, 701, 1422, 1367, 599, 284, 990, 863]] / 16
    assert one.test_x[:8].tolist() == first.tolist()


def test_every_class_has_its_share_of_the_test_set():
    # Drawing 500 of 1,797 without replacement: 50 of each class expected, standard deviation 5.7; three of them.
    counts = torch.bincount(digits().test_y, minlength=10)
    assert (counts - 50).abs().max() <= 17


def test_the_split_asks_about_new_digits_of_known_writers():
    # In file order the last 500 are by writers whom training never saw, and nearest neighbours do worse on them.
    data, (pixels, labels) = digits(), load_digits(return_X_y=True)
    ours = KNeighborsClassifier(1).fit(*map(np.asarray, data.train)).score(*map(np.asarray, data.test))
    in_file_order = KNeighborsClassifier(1).fit(pixels[:1297], labels[:1297]).score(pixels[1297:], labels[1297:])
    assert ours > 0.97
    assert ours > in_file_order


def test_scaled_inputs_have_mean_zero_and_variance_one_over_training_and_test_inputs_go_the_same_way():
    data = digits(torch.float64)
    scaled = data.scaled()
    assert abs(float(scaled.x.mean())) < 1e-12
    assert float(scaled.x.std()) == pytest.approx(1, abs=1e-12)
    slope = scaled.x[0].diff().abs().max() / data.x[0].diff().abs().max()  # of the one line that all inputs are put on
    for before, after in ((data.x, scaled.x), (data.test_x, scaled.test_x)):
        torch.testing.assert_close(after - scaled.x[0, 0], slope * (before - data.x[0, 0]), rtol=0, atol=1e-12)
    assert (scaled.y is data.y, scaled.test_y is data.test_y, scaled.name) == (True, True, "digits")


def test_train_and_test_are_the_pairs_that_a_network_takes():
    data = digits()
    assert data.train == (data.x, data.y)
    assert data.test == (data.test_x, data.test_y)
    assert data.name == "digits"


# --- CIFAR-10 on synthetic files -----------------------------------------------------------------------------------


def test_cifar10_is_read_record_by_record_and_normalised_by_channel(nowhere):
    folder, records = write_copy(nowhere)
    data = cifar10(folder)
    assert data.x.dtype == torch.float32
    torch.testing.assert_close(data.x, normalised(records[:5]), rtol=0, atol=1e-6)  # float32 round-off on values to 2
    torch.testing.assert_close(data.test_x, normalised(records[5]), rtol=0, atol=1e-6)
    assert data.y.tolist() == records[:5, :, 0].flatten().tolist()
    assert data.test_y.tolist() == records[5, :, 0].tolist()
    assert data.y.dtype == torch.int64


def test_first_takes_the_first_images_of_every_file(nowhere):
    folder, records = write_copy(nowhere)
    data = cifar10(folder, first=3)
    assert data.y.tolist() == records[:5, :3, 0].flatten().tolist()
    torch.testing.assert_close(data.x, normalised(records[:5, :3]), rtol=0, atol=1e-6)
    torch.testing.assert_close(data.test_x, normalised(records[5, :3]), rtol=0, atol=1e-6)


def test_the_folder_itself_and_its_parent_are_both_understood(nowhere, monkeypatch):
    folder, _ = write_copy(nowhere / "disk")
    assert find_cifar10(folder) == find_cifar10(folder.parent) == find_cifar10(str(folder)) == folder
    for place in (folder, folder.parent):
        monkeypatch.setenv("ENTROPIC_EDU_DATA", str(place))
        assert find_cifar10() == folder


def test_places_are_searched_from_the_argument_to_the_working_folder(nowhere, monkeypatch):
    assert find_cifar10() is None
    here, _ = write_copy(nowhere / "here" / "data")
    assert find_cifar10().resolve() == here
    cache, _ = write_copy(nowhere / "home" / ".cache" / "entropic_edu")
    assert find_cifar10() == cache
    named, _ = write_copy(nowhere / "named")
    monkeypatch.setenv("ENTROPIC_EDU_DATA", str(named))
    assert find_cifar10() == named
    given, _ = write_copy(nowhere / "given")
    assert find_cifar10(given) == given
    assert find_cifar10(nowhere / "nothing here") == named


@pytest.mark.parametrize(("binary", "python"), [(0, 0), (1, 0), (6, 0), (0, 1), (0, 6), (1, 6), (6, 1), (6, 6)])
def test_the_python_version_is_meant_only_where_nothing_of_the_binary_one_is_there(binary, python, tmp_path):
    names = [file.name for file in module.files_of(tmp_path)]  # of an empty folder: the version that can be fetched
    assert all(name.endswith(".bin") for name in names)
    for name in names[:binary] + [name.removesuffix(".bin") for name in names[:python]]:
        (tmp_path / name).touch()
    wanted = names if binary or not python else [name.removesuffix(".bin") for name in names]
    assert [file.name for file in module.files_of(tmp_path)] == wanted


def test_a_missing_copy_is_reported_with_the_places_and_the_way_to_get_one(nowhere):
    with pytest.raises(FileNotFoundError) as caught:
        cifar10(nowhere / "given")
    for told in (nowhere / "given", nowhere / "home" / ".cache", "data", "cifar-10-binary.tar.gz", "ENTROPIC_EDU_DATA"):
        assert str(told) in str(caught.value)


def test_an_incomplete_copy_is_reported_with_the_missing_file(nowhere):
    folder, _ = write_copy(nowhere)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_3\.bin is missing .*; unpack"):
        cifar10(folder)


@pytest.mark.parametrize("size", [0, RECORD - 1, 2 * RECORD + 1])
def test_a_file_that_was_cut_short_is_refused(nowhere, size):
    folder, _ = write_copy(nowhere)
    (folder / "data_batch_2.bin").write_bytes(bytes(size))
    with pytest.raises(ValueError, match=rf"data_batch_2\.bin has {size:,} bytes, wanted a multiple of 3,073 .*Unpack"):
        cifar10(folder, first=1)


def test_a_label_past_nine_is_refused_with_its_record(nowhere):
    folder, records = write_copy(nowhere)
    records[5, 2:, 0] = 10, 11  # the first of them is named
    records[5].tofile(folder / TEST_FILE)
    with pytest.raises(ValueError, match=r"test_batch\.bin holds label 10 in record 2, wanted 0 to 9; .*Unpack"):
        cifar10(folder)


def test_more_images_than_a_file_holds_are_refused(nowhere):
    folder, _ = write_copy(nowhere)
    with pytest.raises(ValueError, match=r"data_batch_1\.bin holds 4 images, wanted the first 5; pass first=4"):
        cifar10(folder, first=5)
    with pytest.raises(ValueError, match="first must be at least 1 image of each file, or None for all, got 0"):
        cifar10(folder, first=0)


def test_bytes_are_those_of_the_file_and_normalise_to_the_floats_bit_for_bit(nowhere):
    folder, records = write_copy(nowhere)
    data, floats = cifar10(folder, dtype=torch.uint8), cifar10(folder)
    assert data.x.dtype == data.test_x.dtype == torch.uint8
    assert data.x.flatten().tolist() == records[:5, :, 1:].flatten().tolist()
    assert torch.equal(module.normalised(data.x), floats.x)
    assert torch.equal(module.normalised(data.test_x), floats.test_x)


@pytest.mark.parametrize(
    ("dtype", "round_off"), [(torch.float64, 2e-7), (torch.float16, 2e-3), (torch.bfloat16, 1.6e-2)]
)
def test_images_come_in_the_floating_type_asked_for(nowhere, dtype, round_off):
    # Values reach 2.2: half a unit in the last place is 1e-7 in float32 (the oracle), 1e-3 in float16, 8e-3 in bfloat.
    folder, records = write_copy(nowhere)
    data = cifar10(folder, dtype=dtype)
    assert data.x.dtype == data.test_x.dtype == dtype
    torch.testing.assert_close(data.x.double(), normalised(records[:5]).double(), rtol=0, atol=round_off)


@pytest.mark.parametrize("side", [16, 8, 1])
def test_fewer_pixels_are_means_over_squares(nowhere, side):
    folder, records = write_copy(nowhere, number=module.CHUNK + 1)
    data, width = cifar10(folder, first=module.CHUNK + 1, side=side), 32 // side
    whole = normalised(records[:5]).double().reshape(-1, 3, side, width, side, width)
    assert data.x.shape == (5 * (module.CHUNK + 1), 3, side, side)
    torch.testing.assert_close(data.x.double(), whole.mean((3, 5)), rtol=0, atol=1e-6)
    assert torch.equal(data.y, cifar10(folder).y)


def test_means_in_half_precision_are_rounded_once(nowhere):
    folder, _ = write_copy(nowhere)
    assert torch.equal(cifar10(folder, dtype=torch.float16, side=16).x, cifar10(folder, side=16).x.half())


@pytest.mark.parametrize("side", [0, 5, 64])
def test_a_side_that_does_not_divide_the_edge_is_refused(nowhere, side):
    folder, _ = write_copy(nowhere)
    with pytest.raises(ValueError, match=f"side must divide the 32 pixels of an edge .*, got {side}"):
        cifar10(folder, side=side)
    with pytest.raises(ValueError, match="side=16 makes means of pixels, which are no bytes; leave dtype or side out"):
        cifar10(folder, side=16, dtype=torch.uint8)


def test_the_mean_over_a_square_is_that_of_torch():
    images = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module.pooled(images, 4), torch.nn.functional.avg_pool2d(images, 2))
    assert module.pooled(images, 8) is images


def test_types_that_hold_no_image_are_refused_and_so_is_normalising_twice(nowhere):
    folder, _ = write_copy(nowhere)
    with pytest.raises(
        ValueError, match=r"a floating type, or torch\.uint8 for the bytes of the file, got torch\.int64"
    ):
        cifar10(folder, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"pixels as bytes \(torch\.uint8\), got torch\.float32; normalise only once"):
        module.normalised(cifar10(folder).x)


def test_files_longer_than_a_chunk_and_of_different_lengths_are_read_whole(nowhere):
    folder, records = write_copy(nowhere, number=module.CHUNK + 1)
    records[1, :2].tofile(folder / TRAIN_FILES[1])
    kept = np.concatenate([records[0], records[1, :2], *records[2:5]])
    data = cifar10(folder)
    torch.testing.assert_close(data.x, normalised(kept), rtol=0, atol=1e-6)
    assert data.y.tolist() == kept[:, 0].tolist()


# --- the python version --------------------------------------------------------------------------------------------


def test_the_batch_written_for_these_tests_is_a_pickle_as_python_2_wrote_it():
    records = np.random.default_rng(0).integers(0, 10, (3, RECORD), dtype=np.uint8)
    content = pickle.loads(batch(records), encoding="bytes")
    assert content[b"labels"] == records[:, 0].tolist()
    assert np.array_equal(content[b"data"], records[:, 1:])
    assert content[b"data"].dtype == np.uint8


@pytest.mark.parametrize("first", [None, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_both_versions_give_the_same_tensors(nowhere, first, dtype):
    python = cifar10(write_python_copy(nowhere)[0], first, dtype)
    binary = cifar10(nowhere / "binary", first, dtype)
    for name in ("x", "y", "test_x", "test_y"):
        assert torch.equal(getattr(python, name), getattr(binary, name))
        assert getattr(python, name).dtype == getattr(binary, name).dtype


def pickled(records, order="C", protocol=2, keys=bytes):
    """Return a batch as Python 3 and today's numpy write it."""
    entries = {
        "labels": records[:, 0].tolist(),
        "data": np.asarray(records[:, 1:], order=order),
        "filenames": ["a.png"],
    }
    return pickle.dumps({keys(key, "ascii") if keys is bytes else key: v for key, v in entries.items()}, protocol)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_batches_saved_anew_by_python_3_are_read_too(nowhere, protocol, order):
    folder, records = write_python_copy(nowhere)
    (folder / "data_batch_2").write_bytes(pickled(records[1], order, protocol, str if protocol % 2 else bytes))
    data = cifar10(folder)
    torch.testing.assert_close(data.x, normalised(records[:5]), rtol=0, atol=1e-6)
    assert data.y.tolist() == records[:5, :, 0].flatten().tolist()


class Payload:
    """An object whose pickle runs a command in whoever unpickles it."""

    def __init__(self, call, *given):
        self.call, self.given = call, given

    def __reduce__(self):
        return self.call, self.given


def hostile(ran):
    """Pickles that would make the file ``ran``, by many a road."""
    command = f"import pathlib; pathlib.Path({str(ran)!r}).touch()"
    evil = {"labels": [0], "data": Payload(exec, command)}
    by_list = pickle.dumps([Payload(os.system, f"touch {ran}"), evil], 2)
    dotted = (
        b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system\x93\x8c" + bytes([len(f"touch {ran}")]) + f"touch {ran}".encode()
    )
    return {
        "__builtin__.exec": pickle.dumps(evil, 2),
        "posix.system": by_list,
        "builtins.eval": pickle.dumps(Payload(eval, f"exec({command!r})"), 4),
        "__builtin__.getattr": b"\x80\x02c__builtin__\ngetattr\n.",
        "numpy.f2py.os.system": dotted + b"\x85R.",
        "os.system": b"(S'touch " + str(ran).encode() + b"'\nios\nsystem\n.",
    }


@pytest.mark.parametrize("name", list(hostile("x")))
def test_a_hostile_pickle_is_refused_by_name_and_its_payload_never_runs(nowhere, name):
    folder, _ = write_python_copy(nowhere)
    ran = nowhere / "ran"
    (folder / "data_batch_4").write_bytes(hostile(ran)[name])
    with pytest.raises(
        ValueError, match=rf"data_batch_4 is no batch .*it asks for {name}\); nothing in it was run\. Unp"
    ):
        cifar10(folder)
    assert not ran.exists()


def test_the_hostile_pickles_of_these_tests_do_run_where_nothing_stops_them(tmp_path):
    for name in ("__builtin__.exec", "posix.system", "os.system"):
        ran = tmp_path / name
        pickle.loads(hostile(ran)[name])
        assert ran.exists()


def test_a_pickle_cannot_leave_anything_behind_in_the_reader(nowhere):
    # BUILD with (None, {...}) sets attributes of what is on the stack: here of the class that stands for ndarray.
    folder, records = write_python_copy(nowhere)
    whole = (folder / "data_batch_1").read_bytes()
    (folder / "data_batch_1").write_bytes(b"\x80\x02cnumpy\nndarray\n(N}U\x08__init__Nstb.")
    with pytest.raises(ValueError, match="data_batch_1 is no batch of CIFAR-10's python version"):
        cifar10(folder)
    (folder / "data_batch_1").write_bytes(whole)
    assert cifar10(folder).y.tolist() == records[:5, :, 0].flatten().tolist()


def bad(records):
    """Files that are no batches, each with a part of the reason."""
    whole, labels = batch(records), records[:, 0].tolist()

    def other(**changed):
        return pickle.dumps({"labels": labels, "data": records[:, 1:], **changed}, 2)

    return {
        "empty": (b"", "Ran out of input"),
        "cut short in the pixels": (whole[: len(whole) // 2], "truncated"),
        "cut short at its end": (whole[:-1], ""),
        "an HTML page": (b"<html>not found</html>", ""),
        "an archive": (b"\x1f\x8b\x08\x00" + bytes(99), ""),
        "a list": (pickle.dumps([1, 2], 2), "no attribute 'items'"),
        "no labels": (pickle.dumps({"data": records[:, 1:]}, 2), "labels"),
        "CIFAR-100": (pickle.dumps({"fine_labels": labels, "data": records[:, 1:]}, 2), "labels"),
        "pixels as floats": (other(data=records[:, 1:].astype(float)), r"it holds b?'?f8'? of shape \(4, 3072\)"),
        "a pixel too few": (other(data=records[:, 2:]), r"of shape \(4, 3071\) for 4 labels"),
        "a label too few": (other(labels=labels[:3]), r"of shape \(4, 3072\) for 3 labels"),
        "labels as words": (other(labels=list("abcd")), "its labels are no integers"),
        "labels as numbers past all bounds": (other(labels=[2**80] * 4), "verflow"),
        "no image": (other(labels=[], data=records[:0, 1:]), "it asks for __builtin__.bytes"),
    }


@pytest.mark.parametrize("what", list(bad(np.zeros((4, RECORD), np.uint8))))
def test_a_file_that_is_no_batch_is_named_with_the_reason_and_what_to_do(nowhere, what):
    folder, records = write_python_copy(nowhere)
    content, reason = bad(records[1])[what]
    (folder / "data_batch_2").write_bytes(content)
    told = r"data_batch_2 is no batch of CIFAR-10's python version, or is damaged \("
    with pytest.raises(ValueError, match=rf"(?s){told}.*{reason}.*\); .*Unpack cifar-10-python\.tar\.gz again"):
        cifar10(folder)


def test_labels_and_counts_of_the_python_version_are_checked_like_those_of_the_binary_one(nowhere):
    folder, records = write_python_copy(nowhere)
    with pytest.raises(ValueError, match="data_batch_1 holds 4 images, wanted the first 1,000,000,000; pass first=4"):
        cifar10(folder, first=10**9)
    for label in (10, -1):
        changed = {"labels": [0, 1, label, 3], "data": records[5, :, 1:]}
        (folder / "test_batch").write_bytes(pickle.dumps(changed, 2))
        with pytest.raises(
            ValueError, match=rf"test_batch holds label {label} in record 2, wanted 0 to 9; .*-python\.tar"
        ):
            cifar10(folder)
    (folder / "data_batch_3").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_3 is missing .*; unpack cifar-10-python\.tar\.gz again"):
        cifar10(folder)


def test_the_folder_that_torchvision_unpacks_is_found_and_the_binary_version_comes_first(nowhere):
    python, _ = write_python_copy(nowhere / "here" / "data")
    assert find_cifar10().resolve() == find_cifar10(python) == find_cifar10(python.parent) == python
    binary, _ = write_copy(nowhere / "here" / "data")
    assert find_cifar10().resolve() == binary


def test_classes_are_named_in_the_order_of_their_numbers():
    assert len(CLASSES) == 10
    assert (CLASSES[0], CLASSES[3], CLASSES[9]) == ("airplane", "cat", "truck")


def test_black_and_white_lie_where_the_published_means_and_deviations_put_them():
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 32, 32)
    black, white = module.normalised(ends, torch.float64)[:, :, 0, 0]
    torch.testing.assert_close(1 / (white - black), torch.tensor([0.2470, 0.2435, 0.2616], dtype=torch.float64))
    torch.testing.assert_close(black / (black - white), torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64))


# --- CIFAR-10 itself -----------------------------------------------------------------------------------------------


@pytest.mark.skipif("ENTROPIC_EDU_DATA" not in os.environ, reason="set ENTROPIC_EDU_DATA to a copy of CIFAR-10")
def test_the_real_images_have_mean_zero_and_standard_deviation_one_in_each_channel():
    data = cifar10(os.environ["ENTROPIC_EDU_DATA"], first=1000)
    assert data.x.shape == (5000, 3, 32, 32)
    assert data.test_x.shape == (1000, 3, 32, 32)
    # An image's mean colour scatters by about 0.6: standard error 0.008 on 5,000 images; four of those.
    torch.testing.assert_close(data.x.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=0.035)
    torch.testing.assert_close(data.x.std((0, 2, 3)), torch.ones(3), rtol=0, atol=0.035)
    # 500 of each class expected, standard deviation 21.
    assert (torch.bincount(data.y, minlength=10) - 500).abs().max() < 85


@pytest.mark.skipif("ENTROPIC_EDU_DATA" not in os.environ, reason="set ENTROPIC_EDU_DATA to a copy of CIFAR-10")
def test_the_names_of_the_classes_are_those_that_come_with_the_real_images():
    names = find_cifar10(os.environ["ENTROPIC_EDU_DATA"]) / "batches.meta.txt"
    if not names.is_file():
        pytest.skip("this copy has no batches.meta.txt")
    assert tuple(names.read_text().split()) == CLASSES


def test_two_tasks_with_the_same_numbers_are_two():
    assert digits() != digits()

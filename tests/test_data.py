import os

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from entropic_edu.data import FOLDER, MEAN, RECORD, STD, TEST_FILE, TRAIN_FILES, cifar10, digits, find_cifar10

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
    records[5, 2, 0] = 10
    records[5].tofile(folder / TEST_FILE)
    with pytest.raises(ValueError, match=r"test_batch\.bin holds label 10 in record 2, wanted 0 to 9; .*Unpack"):
        cifar10(folder)


def test_more_images_than_a_file_holds_are_refused(nowhere):
    folder, _ = write_copy(nowhere)
    with pytest.raises(ValueError, match=r"data_batch_1\.bin holds 4 images, wanted the first 5; pass first=4"):
        cifar10(folder, first=5)
    with pytest.raises(ValueError, match="first must be at least 1 image of each file, or None for all, got 0"):
        cifar10(folder, first=0)


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

import re
import warnings
from collections import UserDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler, TensorDataset

from entropic_edu.networks import memory
from entropic_edu.networks.door import DroppedWarning, ScaledWarning, tensors

X = torch.arange(60.0).reshape(20, 3)
Y = torch.arange(20) % 3


class Samples(Dataset):
    """Samples made by a function of their number."""

    def __init__(self, make, number=20):
        self.make, self.number = make, number

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        return self.make(index)


class Indexed:
    """Samples that are no Dataset."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


class Array(Indexed):
    def __array__(self, dtype=None, copy=None):
        return np.array(self.samples)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


def same(data, x=X, y=Y):
    inputs, targets = tensors(data, "training")
    torch.testing.assert_close(inputs, x, check_dtype=False)
    torch.testing.assert_close(targets, y, check_dtype=False)


def on_disk(tmp_path, mode):
    np.save(tmp_path / "x.npy", X.numpy())
    return np.load(tmp_path / "x.npy", mmap_mode=mode)


# --- the same data in all forms -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        [X, tuple(Y.tolist())],
        (np.ma.asarray(X.numpy()), Y),  # with nothing masked
        (X.numpy(), Y.numpy()),
        (X.tolist(), Y.tolist()),
        (list(X), list(Y)),
        (X.numpy()[::-1][::-1], Y.numpy().astype(">i4")),  # strides below zero, bytes in another order
        (X.numpy().astype(np.longdouble), Y.numpy().astype(np.uint16)),
        {"x": X, "labels": Y},
        UserDict(x=X, y=Y),
        list(zip(X, Y, strict=True)),
        TensorDataset(X, Y),
        Samples(lambda i: (X[i].numpy(), int(Y[i]))),
        Indexed(list(zip(X, Y, strict=True))),
        ([*X[:1], *X[1:].tolist()], [*Y.tolist()[:1], *Y[1:]]),
        Samples(lambda i: {"pixels": X[i], "label": Y[i]}),
        Samples(lambda i: {"pixels": X[i].tolist(), "target": int(Y[i])}),  # as of HuggingFace's datasets
        Stream(),
        DataLoader(TensorDataset(X, Y), batch_size=7),
        DataLoader(TensorDataset(X, Y), batch_size=None),
        DataLoader(Stream(), batch_size=6),
    ],
    ids=lambda data: type(data).__name__,
)
def test_every_form_gives_the_same_tensors(data):
    same(data)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_list_of_samples_is_that_many_samples(number):
    inputs, targets = tensors(list(zip(X[:number], Y[:number], strict=True)), "training")
    assert torch.equal(inputs, X[:number])
    assert torch.equal(targets, Y[:number])


@pytest.mark.parametrize("data", [[], [X], [X.numpy()], [1.0], [[1, 2]], ["a"]])
def test_a_list_of_one_thing_is_no_pair(data):
    with pytest.raises(ValueError, match=r"of type list; wanted a pair \(x, y\)"):
        tensors(data, "training")


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_memory_map_is_read_and_not_written_to(mode, tmp_path):
    inputs, _ = tensors((on_disk(tmp_path, mode), Y), "training")
    torch.testing.assert_close(inputs, X)


def test_several_inputs_are_a_tuple_or_have_names():
    a, b = X, X[:, :2] + 1
    for data in [
        ((a, b), Y),
        (a, b, Y),
        ([a, b], Y),
        TensorDataset(a, b, Y),
        DataLoader(TensorDataset(a, b, Y), batch_size=6),
        DataLoader(Samples(lambda i: ((a[i], b[i]), Y[i])), batch_size=2),  # as many samples as inputs
    ]:
        same(data, (a, b))
    for data in [
        ({"a": a, "b": b}, Y),
        {"a": a, "b": b, "labels": Y},
        DataLoader(Samples(lambda i: {"a": a[i], "b": b[i], "labels": Y[i]}), batch_size=6),
    ]:
        same(data, {"a": a, "b": b})


def test_a_list_of_as_many_arrays_as_targets_is_of_samples_and_a_tuple_of_numbers_is_one_input():
    a, b = X[:2], X[:2] + 1
    same(([a, b], [0, 1]), torch.stack([a, b]), torch.tensor([0, 1]))
    same(Samples(lambda i: (tuple(X[i].tolist()), Y[i])))


KINDS = {np.float16: torch.float16, np.float64: torch.float64, np.longdouble: torch.float64, np.bool_: torch.bool} | {
    np.int8: torch.int8, np.int64: torch.int64, np.uint8: torch.uint8, np.uint16: torch.int64, np.uint32: torch.int64,
    np.uint64: torch.int64,
}  # fmt: skip


@pytest.mark.parametrize(("dtype", "expected"), KINDS.items())
def test_numbers_keep_their_kind_where_torch_computes_with_it(dtype, expected):
    given = np.arange(2).astype(dtype)
    for order in "<>":
        _, targets = tensors((X[:2], given.astype(given.dtype.newbyteorder(order))), "training")
        assert targets.dtype == expected
        assert targets.tolist() == [0, 1]


def test_arrays_are_not_copied_unless_they_are_read_only():
    given = X.numpy().astype(np.float64)
    assert np.shares_memory(tensors((given, Y), "training")[0].numpy(), given)
    given.flags.writeable = False
    inputs, _ = tensors((given, Y), "training")
    inputs += 1
    np.testing.assert_array_equal(given, X.numpy())


def test_a_loader_is_read_as_it_shuffles_and_the_global_stream_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    x, y = tensors(DataLoader(TensorDataset(X, Y), batch_size=6, shuffle=True), "training")
    assert torch.equal(torch.rand(3), expected)
    order = x[:, 0].argsort()
    torch.testing.assert_close(x[order], X)
    torch.testing.assert_close(y[order], Y)


def test_a_sampler_of_a_part_gives_that_part():
    loader = DataLoader(TensorDataset(X, Y), batch_size=2, sampler=SubsetRandomSampler([1, 5, 7]))
    assert sorted(tensors(loader, "training")[0][:, 0].tolist()) == [3.0, 15.0, 21.0]


def test_samples_that_a_loader_drops_are_warned_of():
    loader = DataLoader(TensorDataset(X, Y), batch_size=6, drop_last=True)
    with pytest.warns(DroppedWarning, match=r"leaves out 2 of 20 training samples"):
        assert len(tensors(loader, "training")[1]) == 18
    silent = [  # nothing is left out, nobody knows how many there are, or a part was chosen
        (DataLoader(TensorDataset(X, Y), batch_size=5, drop_last=True), 20),
        (DataLoader(Stream(), batch_size=6, drop_last=True), 18),
        (DataLoader(TensorDataset(X, Y), batch_sampler=[[0, 1], [4, 5]]), 4),
    ]
    for loader, number in silent:
        assert len(tensors(loader, "training")[1]) == number


@pytest.mark.parametrize(
    ("made", "unit", "first"),
    [
        (lambda samples: samples, "samples", "8/20"),
        (lambda samples: DataLoader(samples, batch_size=5), "batches", "2/4"),
    ],
    ids=["dataset", "loader"],
)
def test_a_bar_shows_what_is_read_after_two_seconds_and_goes(made, unit, first, monkeypatch, capsys):
    def slow(i):
        now.append(now[-1] + 0.25)
        return X[i], Y[i]

    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[-1])
    tensors(made(Samples(slow)), "training")
    said = capsys.readouterr().err
    assert re.search(r"\d+/\d+", said)[0] == first
    assert "Reading the training data" in said
    assert unit in said
    assert not said.split("\r")[-1].strip()  # the line is empty again
    assert "\n" not in said
    tensors(made(Samples(slow)), "training", progress=False)
    tensors(made(Samples(lambda i: (X[i], Y[i]))), "training")  # takes no time
    assert not capsys.readouterr().err.strip()


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(8, 3, 5, 6), (8, 5, 6, 3), (8, 5, 6, 1), (8, 5, 6, 4), (8, 5, 6), (8, 5, 3), (8, 3, 6, 3)]
)
def test_bytes_of_pictures_are_scaled_with_channels_before_rows(shape, generator):
    pictures = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    expected = pictures.numpy().astype(np.float32) / 255
    last = len(shape) == 4 and shape[1] == 5
    if last:
        expected = np.moveaxis(expected, -1, 1)
    for data in [(pictures, Y[:8]), TensorDataset(pictures, Y[:8])]:
        with pytest.warns(ScaledWarning, match="divided by 255") as said:
            x, _ = tensors(data, "training")
        words = str(said[0].message)
        assert ("channels put before rows" in words) == last
        assert ("a convolution needs x[:, None]" in words) == (len(shape) == 3)
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-7)


def test_other_bytes_are_refused_because_they_may_be_counts():
    with pytest.raises(ValueError, match=r"bytes \(uint8\) of shape \(20, 3\).*x.float\(\) / 255 for pixels"):
        tensors((X.to(torch.uint8), Y), "training")


def test_pictures_of_pil_are_refused_in_words():
    image = pytest.importorskip("PIL.Image").new("RGB", (4, 4))
    samples = Samples(lambda i: (image, 0))
    for data in [samples, DataLoader(samples, batch_size=4), ([image] * 20, Y), ([image] * 19 + [0], Y)]:
        with pytest.raises(ValueError, match=r"ToTensor\(\)"):
            tensors(data, "training")


# --- refusals -------------------------------------------------------------------------------------------------------

HOLES = X.clone()
HOLES[[2, 5], 1] = torch.nan


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, ["cat"] * 20), r"training targets are strings, such as 'cat'.*LabelEncoder"),
        ((X, np.array(["cat"] * 20, dtype=object)), "LabelEncoder"),
        ((X, np.array(["cat", *[1.0] * 19], dtype=object)), "LabelEncoder"),
        ((np.array([[1.0, None]] * 20, dtype=object), Y), r"training inputs .*object entries.*astype\(float\)"),
        (([[1.0], [1.0, 2.0]], [0, 1]), "inputs differ in shape.*pad"),
        (([X[0], X[0, :2]], [0, 1]), "inputs differ in shape.*pad"),
        (Samples(lambda i: (torch.ones(1 + i), 0)), "samples differ in shape.*pad"),
        (DataLoader(Samples(lambda i: (torch.ones(1 + i), 0)), batch_size=4), "could not read the training data"),
        ((X, Y[:19]), "one target for each input, got 20 inputs, 19 targets"),
        ((X[:0], Y[:0]), "got 0 inputs, 0 targets"),
        ((np.ones((0, 3)), []), "got 0 inputs, 0 targets"),
        (([], []), "got 0 inputs, 0 targets"),
        ((X, 1), "got 20 inputs, a single number as targets"),
        (([X, X], 1), "a single number as targets"),
        ((3.0, Y), "got a single number as inputs, 20 targets"),
        (((X, X[:5]), Y), "got 5 inputs, 20 targets"),
        ({1, 2}, r"of type set; wanted a pair"),
        (Samples(lambda i: (X[i], Y[i]), 0), "got an empty Samples"),
        ((HOLES, Y), "training inputs hold NaN or infinity in 2 of 20 samples"),
        ((X, HOLES), "training targets hold NaN"),
        (TensorDataset(HOLES, Y), "inputs hold NaN"),
        (TensorDataset(X), r"without a target|wanted \(inputs, target\)"),
        ({"x": X, "z": Y}, r"keys \['x', 'z'\]; wanted inputs and one of labels"),
        (X, r"of type Tensor; wanted a pair \(x, y\), a Dataset or a DataLoader"),
        (7, "of type int"),
        ("data.csv", "of type str"),
        ((X.to_sparse(), Y), "sparse tensor"),
        ((SimpleNamespace(toarray=X.numpy), Y), "sparse matrix"),
        ((X + 1j, Y), "complex"),
        ((np.ma.masked_equal(X.numpy(), 7.0), Y), "masked entries"),
        ((3.0, 1), "a single number as inputs"),
        ((np.array(["2026-01-01"] * 20, dtype="datetime64[D]"), Y), "datetime64"),
        ((object(), Y), "of type object"),
        (Array([[1.0, 2.0]]), "of type Array"),
    ],
)
def test_what_is_no_data_is_refused_with_what_came(data, message):
    with pytest.raises(ValueError, match=message):
        tensors(data, "training")


@pytest.mark.parametrize(
    "data",
    [Samples(lambda i: (torch.ones(1000), 0), 10**9), DataLoader(Samples(lambda i: (torch.ones(1000), 0), 10**9), 8)],
    ids=["dataset", "loader"],
)
def test_what_does_not_fit_is_refused_after_the_first_samples(data):
    with pytest.raises(MemoryError, match=r"takes about 8.02e\+03 GB.*1 GB are free; take a part"):
        tensors(data, "training", limit=1e9)


@pytest.mark.parametrize(
    ("error", "said"),
    [(ValueError("one\ntwo\nthree"), "data: three. Samples must"), (KeyError(), "data: KeyError. Samples must")],
)
def test_a_dataset_that_fails_is_told_in_its_last_line(error, said):
    def fail(i):
        raise error

    for data in (Samples(fail), DataLoader(Samples(fail), batch_size=4)):
        with pytest.raises(ValueError, match=said):
            tensors(data, "training")


def test_limit_and_progress_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        tensors((X, Y), "training", 1e9)


def test_reading_may_take_what_is_free_unless_told_otherwise(monkeypatch):
    size = 2 * (X.nbytes + Y.nbytes)
    monkeypatch.setattr(memory, "free_bytes", lambda device: size - 1)
    with pytest.raises(MemoryError, match="take a part"):
        tensors(TensorDataset(X, Y), "training")
    tensors(TensorDataset(X, Y), "training", limit=size)
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)  # the system does not tell
    same(TensorDataset(X, Y))


def test_what_fits_just_so_is_read_and_a_stream_is_cut_where_it_does_not():
    size = 2 * (X.nbytes + Y.nbytes)  # the parts and the whole
    for data in [TensorDataset(X, Y), Stream(), DataLoader(TensorDataset(X, Y), batch_size=5)]:
        tensors(data, "training", limit=size)
        with pytest.raises(MemoryError, match="take a part"):
            tensors(data, "training", limit=size - 1)


def test_the_arrays_of_scikit_learn_pass_without_a_word():
    digits = load_digits()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x, y = tensors((digits.data, digits.target), "training")
    np.testing.assert_array_equal(x.numpy(), digits.data)
    assert nn.functional.one_hot(y).sum(0).tolist() == np.bincount(digits.target).tolist()

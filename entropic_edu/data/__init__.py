"""Real data: handwritten digits that come with scikit-learn, and CIFAR-10 from a copy on disk.

Nothing here downloads anything; ``entropic-edu data fetch cifar10`` does, when it is asked to.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FOLDER = "cifar-10-batches-bin"  # the binary version
TRAIN_FILES = tuple(f"data_batch_{n}.bin" for n in range(1, 6))
TEST_FILE = "test_batch.bin"
PYTHON_FOLDER = "cifar-10-batches-py"  # the python version, which torchvision unpacks: the same names without .bin
CACHE = "~/.cache/entropic_edu"
SIDE = 32  # pixels along each edge
PIXELS = 3 * SIDE**2  # bytes: the red, green and blue planes
RECORD = 1 + PIXELS  # of the binary version: one label, then the pixels
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN = (0.4914, 0.4822, 0.4465)  # of the 50,000 training images, by channel, pixels in [0, 1]
STD = (0.2470, 0.2435, 0.2616)
CHUNK = 256  # images normalised at once: 3 MB of float32 stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Data:
    """A classification task.

    Attributes:
        x: Training inputs (N, ...).
        y: Training classes (N,), int64.
        test_x: Held-out inputs (M, ...).
        test_y: Held-out classes (M,), int64.
        name: Name for labels and messages.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    name: str

    @property
    def train(self) -> tuple[Tensor, Tensor]:
        """Training inputs and classes, as in ``Network(model, *data.train, test=data.test)``."""
        return self.x, self.y

    @property
    def test(self) -> tuple[Tensor, Tensor]:
        """Held-out inputs and classes."""
        return self.test_x, self.test_y

    def scaled(self) -> Data:
        """Return the same task with inputs that have mean 0 and variance 1 over all of the training set."""
        mean, spread = self.x.mean(), self.x.std()
        return replace(self, x=(self.x - mean) / spread, test_x=(self.test_x - mean) / spread)


def digits(dtype: torch.dtype = torch.float32) -> Data:
    """Return scikit-learn's 8 x 8 handwritten digits: 1,297 for training, 500 held out, always the same ones.

    The file is in order of writers. Cut in that order, the last 500 are of writers who are not in the rest, and the net
    of 64-64-64-10 units reaches 0.93 to 0.94 on them. The lessons ask about new digits and not new handwriting, so the
    split takes one fixed permutation, ``torch.randperm`` from ``torch.Generator().manual_seed(0)``: its first 1,297
    train, and the same net reaches 0.97 to 0.98. Each class has 40 to 59 digits in the test set.

    Args:
        dtype: Floating type of the inputs.

    Returns:
        Inputs (N, 64) in [0, 1] (pixel counts 0 to 16, divided by 16), row by row.

    Example:
        >>> import entropic_edu as ee
        >>> data = ee.data.digits()
        >>> data.x.shape, data.test_x.shape
        (torch.Size([1297, 64]), torch.Size([500, 64]))

    References:
        Alpaydin & Kaynak (1998), Optical Recognition of Handwritten Digits, UCI repository (its test set).
    """
    from sklearn.datasets import load_digits  # it takes longer to import than all the rest beside torch

    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.as_tensor(pixels).div(16).to(dtype), torch.as_tensor(labels).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:1297], order[1297:]
    return Data(x[train], y[train], x[test], y[test], "digits")


def find_cifar10(where: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the first folder that holds files of CIFAR-10, or None.

    Looks in ``where``, in the folder named by the environment variable ENTROPIC_EDU_DATA, in ``~/.cache/entropic_edu``
    and in ``./data``; each may hold the folder ``cifar-10-batches-bin`` (binary version) or ``cifar-10-batches-py``
    (python version, as torchvision unpacks it), or be that folder itself.

    Args:
        where: Place to look in first.

    Example:
        >>> import pathlib, tempfile
        >>> import entropic_edu as ee
        >>> with tempfile.TemporaryDirectory() as place:
        ...     folder = pathlib.Path(place, ee.data.FOLDER)
        ...     folder.mkdir()
        ...     (folder / ee.data.TEST_FILE).touch()
        ...     ee.data.find_cifar10(place) == folder
        True
    """
    return next((folder for folder in places(where) if any(map(os.path.isfile, files_of(folder)))), None)


def cifar10(
    where: str | os.PathLike[str] | None = None,
    first: int | None = None,
    dtype: torch.dtype = torch.float32,
    side: int = SIDE,
) -> Data:
    """Return CIFAR-10 from an existing copy, binary or python version; nothing is downloaded.

    Args:
        where: Place to look in first; see ``find_cifar10`` for the others.
        first: Take the first so many images of each of the five training files and of the test file; None takes all,
            50,000 + 10,000.
        dtype: Type of the images. A floating type gives them normalised, and takes 740 MB for all in float32.
            ``torch.uint8`` gives the bytes of the file (184 MB); ``normalised`` makes a part of them ready for use.
        side: Pixels along each edge, a divisor of 32; of fewer, each is the mean over a square (``pooled``).

    Returns:
        Images (N, 3, side, side): pixels in [0, 1], less ``MEAN`` and over ``STD`` of each channel; or bytes. Classes
        are numbered as in ``CLASSES``.

    Raises:
        FileNotFoundError: If no copy is found, or the copy lacks one of the six files.
        ValueError: If ``first``, ``dtype`` or ``side`` is none of the above, or a file is damaged, foreign, or holds
            fewer images than ``first``.

    Example:
        Black images in the layout of the copy that ``entropic-edu data fetch cifar10`` gets, two in each of its files.

        >>> import pathlib, tempfile
        >>> import entropic_edu as ee
        >>> with tempfile.TemporaryDirectory() as place:
        ...     for name in (*ee.data.TRAIN_FILES, ee.data.TEST_FILE):
        ...         _ = pathlib.Path(place, name).write_bytes(bytes(2 * ee.data.RECORD))
        ...     data = ee.data.cifar10(place, side=16, first=1)
        >>> data.x.shape, data.test_x.shape
        (torch.Size([5, 3, 16, 16]), torch.Size([1, 3, 16, 16]))

    References:
        Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images; layouts: "Binary version" and
        "Python / Matlab versions" at https://www.cs.toronto.edu/~kriz/cifar.html.
    """
    if first is not None and first < 1:
        raise ValueError(f"first must be at least 1 image of each file, or None for all, got {first}.")
    if dtype != torch.uint8 and not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating type, or torch.uint8 for the bytes of the file, got {dtype}.")
    if side < 1 or SIDE % side:
        raise ValueError(f"side must divide the {SIDE} pixels of an edge (16, say, or 8), got {side}.")
    if side != SIDE and dtype == torch.uint8:
        raise ValueError(f"side={side} makes means of pixels, which are no bytes; leave dtype or side out.")
    folder = find_cifar10(where)
    if folder is None:
        looked = "\n  ".join(str(place) for place in places(where))
        raise FileNotFoundError(
            f"No copy of CIFAR-10 (folder {FOLDER} or {PYTHON_FOLDER}) was found. Looked in\n  {looked}\n"
            "To get one, run  entropic-edu data fetch cifar10  (170 MB); or unpack cifar-10-binary.tar.gz from "
            "https://www.cs.toronto.edu/~kriz/cifar.html, and set ENTROPIC_EDU_DATA to the folder."
        )
    *train, test = files_of(folder)
    for file in (*train, test):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing from this copy of CIFAR-10; {remedy(file)}.")
    return Data(*_read(train, first, dtype, side), *_read([test], first, dtype, side), "CIFAR-10")


def normalised(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return pixels in [0, 1], less ``MEAN`` and over ``STD`` of each channel, computed on the device that holds them.

    Args:
        pixels: Bytes of images, shape (N, 3, 32, 32), uint8.
        dtype: Floating type of the result; a half type is rounded once, at the end.

    Raises:
        ValueError: If the pixels are no bytes; they may have been normalised before.

    Example:
        >>> import torch
        >>> import entropic_edu as ee
        >>> black = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
        >>> ee.data.normalised(black)[0, :, 0, 0]
        tensor([-1.9895, -1.9803, -1.7068])
    """
    if pixels.dtype != torch.uint8:
        raise ValueError(f"normalised takes pixels as bytes (torch.uint8), got {pixels.dtype}; normalise only once.")
    x = pixels.to(torch.promote_types(dtype, torch.float32))
    mean, std = (torch.tensor(of, dtype=x.dtype, device=x.device).view(3, 1, 1) for of in (MEAN, STD))
    return x.div_(255).sub_(mean).div_(std).to(dtype)


def pooled(images: Tensor, side: int) -> Tensor:
    """Return images (N, C, H, H) as (N, C, side, side), each pixel the mean over a square of theirs.

    Example:
        >>> import torch
        >>> import entropic_edu as ee
        >>> ee.data.pooled(torch.arange(16.0).view(1, 1, 4, 4), 2)[0, 0].tolist()
        [[2.5, 4.5], [10.5, 12.5]]
    """
    return images if images.shape[-1] == side else F.avg_pool2d(images, images.shape[-1] // side)


def places(where: str | os.PathLike[str] | None) -> list[Path]:
    """Return the folders in which a copy of CIFAR-10 is looked for, in order."""
    named = [where, os.environ.get("ENTROPIC_EDU_DATA"), CACHE, "data"]
    roots = [Path(os.path.expanduser(place)) for place in named if place]  # "~" stays where nobody has a home
    return [folder for root in roots for folder in (root, root / FOLDER, root / PYTHON_FOLDER)]


def files_of(folder: Path) -> list[Path]:
    """Return the five training files and the test file that a folder should hold, in the version that it holds."""
    binary = [folder / name for name in (*TRAIN_FILES, TEST_FILE)]
    python = [file.with_suffix("") for file in binary]
    return python if any(map(os.path.isfile, python)) and not any(map(os.path.isfile, binary)) else binary


def remedy(file: Path) -> str:
    """Return what to do about a file that is missing or damaged."""
    return f"unpack cifar-10-{'binary' if file.suffix else 'python'}.tar.gz again"


def _read(files: list[Path], first: int | None, dtype: torch.dtype, side: int) -> tuple[Tensor, Tensor]:
    """Return images (N, 3, side, side) and classes (N,); beside them memory holds at most the bytes of one file."""
    most = [file.stat().st_size // RECORD for file in files]  # images that it can hold; pages past its last stay free
    x = torch.empty(sum(most if first is None else (min(n, first) for n in most)), 3, side, side, dtype=dtype)
    wide = torch.promote_types(dtype, torch.float32) if side != SIDE else dtype  # so that means are rounded once
    labels, filled = [], 0
    for file in files:
        classes, pixels = _one(file, first)
        labels.append(classes)
        for images in pixels.split(CHUNK):
            ready = images if dtype == torch.uint8 else normalised(images, wide)
            x[filled : filled + len(images)] = pooled(ready, side)
            filled += len(images)
        del pixels, images, ready  # before the next file is read
    return x[:filled], torch.cat(labels)


def _one(file: Path, first: int | None) -> tuple[Tensor, Tensor]:
    """Return the classes (N,) and pixels (N, 3, 32, 32), uint8, of the first images in a file of either version."""
    labels, pixels = (_binary if file.suffix else _python)(file, first)
    if first is not None and first > (held := len(labels)):
        raise ValueError(f"{file} holds {held:,} images, wanted the first {first:,}; pass first={held} or less.")
    if len(bad := ((labels < 0) | (labels > 9)).nonzero()):
        record = int(bad[0])
        raise ValueError(
            f"{file} holds label {int(labels[record])} in record {record}, wanted 0 to 9; it is damaged or of another "
            f"data set. {remedy(file).capitalize()}."
        )
    return labels, pixels.view(-1, 3, SIDE, SIDE)


def _binary(file: Path, first: int | None) -> tuple[Tensor, Tensor]:
    """Return the labels (N,) and pixels (N, 3072) of a file of the binary version."""
    size = file.stat().st_size
    if size == 0 or size % RECORD:
        raise ValueError(
            f"{file} has {size:,} bytes, wanted a multiple of {RECORD:,} (one label and 3,072 pixels for each image); "
            f"it was cut short or is another file. {remedy(file).capitalize()}."
        )
    most = -1 if first is None else first * RECORD
    records = torch.from_numpy(np.fromfile(file, np.uint8, most)).view(-1, RECORD)
    return records[:, 0].long(), records[:, 1:]


def _python(file: Path, first: int | None) -> tuple[Tensor, Tensor]:
    """Return the labels (N,) and pixels (N, 3072) of a file of the python version; keys of Python 2 are bytes."""
    try:
        with file.open("rb") as stream:
            batch = _Unpickler(stream, encoding="bytes").load()
        entries = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        _, shape, kind, columns_first, content = entries["data"].state  # as numpy's ndarray.__reduce__ writes them
        labels = entries["labels"]
        if kind.given[0] not in (b"u1", "u1") or shape != (len(labels), PIXELS):
            raise ValueError(f"it holds {kind.given[0]} of shape {shape} for {len(labels)} labels")
        if not labels or any(type(label) is not int for label in labels):
            raise ValueError("its labels are no integers")
        pixels = np.frombuffer(content, np.uint8).reshape(shape, order="F" if columns_first else "C")
        classes = torch.tensor(labels)
    except OSError:  # says itself that the file cannot be read
        raise
    except Exception as error:  # the bytes may be anything, and pickle keeps no list of what it raises then
        raise ValueError(
            f"{file} is no batch of CIFAR-10's python version, or is damaged ({error}); nothing in it was run. "
            f"{remedy(file).capitalize()}."
        ) from error
    return classes[:first], torch.from_numpy(np.array(pixels[:first]))


class _Inert:
    """Stands for an object that a pickle describes: keeps what it is given and does nothing with it."""

    def __init__(self, *given: Any) -> None:
        self.given = given

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Reads a pickle without running anything that it names.

    A pickle is a program that calls what ``find_class`` returns, with arguments of its own choice. Here that is a class
    which only keeps these, and which no pickle can change; numpy's own constructors trust what they are given.
    """

    NUMPY = ("numpy.ndarray", "numpy.dtype", *(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")))

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" in self.NUMPY:
            return _Inert
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes where Python 2 shall read them
            return lambda text, coding: text.encode("latin-1")
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

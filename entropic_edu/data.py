"""Real data: handwritten digits that come with scikit-learn, and CIFAR-10 from a copy on disk.

Nothing here downloads anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{n}.bin" for n in range(1, 6))
TEST_FILE = "test_batch.bin"
RECORD = 1 + 3 * 32 * 32  # bytes: one label, then the red, green and blue planes of 32 x 32 pixels
MEAN = (0.4914, 0.4822, 0.4465)  # of the 50,000 training images, by channel, pixels in [0, 1]
STD = (0.2470, 0.2435, 0.2616)


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


def digits(dtype: torch.dtype = torch.float32) -> Data:
    """Return scikit-learn's 8 x 8 handwritten digits: 1,297 for training, 500 held out, always the same ones.

    The file is in order of writers: its labels repeat one form of about 130 digits 14 times (its notes speak of 13
    people, so one may have filled in two). Cut in file order, the last 500 are the last four forms, and the net of
    64-64-64-10 units reaches 0.93 to 0.94 on them: that measures new handwriting. The lessons ask about new digits, so
    the split takes one fixed permutation, ``torch.randperm`` from ``torch.Generator().manual_seed(0)``: its first 1,297
    train, and the same net reaches 0.97 to 0.98. Each class has 174 to 183 digits in the file, 40 to 59 in the test
    set.

    Args:
        dtype: Floating type of the inputs.

    Returns:
        Inputs (N, 64) in [0, 1] (pixel counts 0 to 16, divided by 16), row by row.

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
    """Return the first folder that holds files of CIFAR-10's binary version, or None.

    Looks in ``where``, in the folder named by the environment variable ENTROPIC_EDU_DATA, in ``~/.cache/entropic_edu``
    and in ``./data``; each may be the folder ``cifar-10-batches-bin`` itself or hold it.

    Args:
        where: Place to look in first.
    """
    for folder in places(where):
        if any((folder / name).is_file() for name in (*TRAIN_FILES, TEST_FILE)):
            return folder
    return None


def cifar10(where: str | os.PathLike[str] | None = None, first: int | None = None) -> Data:
    """Return CIFAR-10 from an existing copy of its binary version; nothing is downloaded.

    Args:
        where: Place to look in first; see ``find_cifar10`` for the others.
        first: Take the first so many images of each of the five training files and of the test file; None takes all
            (50,000 + 10,000 images, 740 MB).

    Returns:
        Images (N, 3, 32, 32), float32: pixels in [0, 1], less ``MEAN`` and over ``STD`` of each channel.

    Raises:
        FileNotFoundError: If no copy is found, or the copy lacks one of the six files.
        ValueError: If ``first`` is not positive, or a file is damaged or holds fewer images than ``first``.

    References:
        Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images; layout: "Binary version" at
        https://www.cs.toronto.edu/~kriz/cifar.html.
    """
    if first is not None and first < 1:
        raise ValueError(f"first must be at least 1 image of each file, or None for all, got {first}.")
    folder = find_cifar10(where)
    if folder is None:
        looked = "\n  ".join(str(place) for place in places(where))
        raise FileNotFoundError(
            f"No copy of CIFAR-10 (binary version, folder {FOLDER}) was found. Looked in\n  {looked}\n"
            "This library does not download: get cifar-10-binary.tar.gz (170 MB) from "
            "https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, and set ENTROPIC_EDU_DATA to the folder."
        )
    x, y = _read([folder / name for name in TRAIN_FILES], first)
    test_x, test_y = _read([folder / TEST_FILE], first)
    return Data(x, y, test_x, test_y, "CIFAR-10")


def places(where: str | os.PathLike[str] | None) -> list[Path]:
    """Return the folders in which a copy of CIFAR-10 is looked for, in order."""
    named = [where, os.environ.get("ENTROPIC_EDU_DATA"), "~/.cache/entropic_edu", "data"]
    roots = [Path(place).expanduser() for place in named if place]
    return [folder for root in roots for folder in (root, root / FOLDER)]


def _read(files: list[Path], first: int | None) -> tuple[Tensor, Tensor]:
    """Fill one float32 tensor file by file, so that memory holds the images once and one file of bytes."""
    counts = [_count(file, first) for file in files]
    x, y = torch.empty(sum(counts), 3, 32, 32), torch.empty(sum(counts), dtype=torch.long)
    places = zip(files, torch.split(x, counts), torch.split(y, counts), strict=True)
    for file, images, labels in places:
        records = torch.from_numpy(np.fromfile(file, np.uint8, len(images) * RECORD)).view(-1, RECORD)
        labels.copy_(records[:, 0])
        images.copy_(records[:, 1:].view(-1, 3, 32, 32))
        if int(labels.max()) > 9:
            wrong = int(labels.argmax())
            raise ValueError(
                f"{file} holds label {int(labels[wrong])} in record {wrong}, wanted 0 to 9; it is damaged or of "
                "another data set. Unpack cifar-10-binary.tar.gz again."
            )
    x.div_(255).sub_(torch.tensor(MEAN).view(3, 1, 1)).div_(torch.tensor(STD).view(3, 1, 1))
    return x, y


def _count(file: Path, first: int | None) -> int:
    """Return how many records to take, after checking that the file holds them."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing from this copy of CIFAR-10; unpack cifar-10-binary.tar.gz again.")
    size = file.stat().st_size
    if size == 0 or size % RECORD:
        raise ValueError(
            f"{file} has {size:,} bytes, wanted a multiple of {RECORD:,} (one label and 3,072 pixels for each image); "
            "it was cut short or is another file. Unpack cifar-10-binary.tar.gz again."
        )
    held = size // RECORD
    if first is not None and first > held:
        raise ValueError(f"{file} holds {held:,} images, wanted the first {first:,}; pass first={held} or less.")
    return held if first is None else first

"""Claim: all of CIFAR-10 comes from disk within 2 s, as bytes within 300 MB, as floats within 300 MB beyond the result.

Files of the official size with random content, in both versions, read from the system's file cache; the peer is numpy
and pickle as they are commonly used.
"""

from __future__ import annotations

import pickle
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from entropic_edu import data

from .run import Row, measure

SECONDS, MEGABYTES = 2.0, 300  # allowed
FILES = (*data.TRAIN_FILES, data.TEST_FILE)


def rows(small: bool = False) -> Iterator[Row]:
    """Yield times and peaks of memory over those allowed; ``small`` takes 100 images of each file."""
    number = 100 if small else 10_000
    with tempfile.TemporaryDirectory() as place:
        binary, python = _write(Path(place), number)
        plain = partial(_plain, python)
        kinds = {"float32": torch.float32, "bytes": torch.uint8}
        loads: dict[str, Callable[[], data.Data]] = {
            f"{folder} version, {kind}": partial(
                data.cifar10, {"binary": binary, "python": python}[folder], dtype=dtype
            )
            for kind, dtype in kinds.items()
            for folder in ("binary", "python")
        }
        _check_equal(*(load() for load in loads.values()), plain())
        for name, load in loads.items():
            peers = {} if "bytes" in name else {"numpy and pickle": plain}
            row = measure(f"CIFAR-10, {name}", load, peers, small=small)
            yield replace(row, peers=row.peers | {"allowed": SECONDS})
            if row.memory:
                beyond = 0 if "bytes" in name else 4 * 6 * number * data.PIXELS  # floats: beyond the result
                held = max(row.memory[0] - beyond, 1) / 1e6
                yield Row(f"CIFAR-10, {name}, memory", held, {"allowed": MEGABYTES}, unit="MB", note=BEYOND)


def _plain(folder: Path) -> data.Data:
    """Load the python version as is commonly done: unpickle, concatenate, convert, normalise."""
    batches = []
    for file in data.files_of(folder):
        with file.open("rb") as stream:
            batches.append(pickle.load(stream, encoding="bytes"))
    mean, std = (np.array(of, np.float32).reshape(3, 1, 1) for of in (data.MEAN, data.STD))

    def arrays(part: list[dict[bytes, NDArray[np.uint8]]]) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = np.concatenate([batch[b"data"] for batch in part]).reshape(-1, 3, 32, 32)
        x = (pixels.astype(np.float32) / 255 - mean) / std
        return torch.from_numpy(x), torch.tensor(np.concatenate([batch[b"labels"] for batch in part]))

    return data.Data(*arrays(batches[:5]), *arrays(batches[5:]), "CIFAR-10")


def _check_equal(*loaded: data.Data) -> None:
    """All peers must return the same images; float32 of numpy may round otherwise."""
    for other in loaded:
        x = data.normalised(other.test_x) if other.test_x.dtype == torch.uint8 else other.test_x
        torch.testing.assert_close(x, loaded[0].test_x, rtol=0, atol=1e-6)
        assert torch.equal(other.y, loaded[0].y)


def _write(place: Path, number: int) -> tuple[Path, Path]:
    """Write the same random images in both versions; return the two folders."""
    binary, python = place / "binary" / data.FOLDER, place / "python" / data.PYTHON_FOLDER
    binary.mkdir(parents=True)
    python.mkdir(parents=True)
    stream = np.random.default_rng(0)
    for name in FILES:
        records = stream.integers(0, 256, (number, data.RECORD), np.uint8)
        records[:, 0] %= 10
        records.tofile(binary / name)
        (python / Path(name).stem).write_bytes(_batch(records))
    return binary, python


def _batch(records: NDArray[np.uint8]) -> bytes:
    """Return records as Python 2 pickled them: Python 3 writes bytes in another way, which takes longer to read."""
    labels = b"U\x06labels](" + b"".join(b"K" + bytes([label]) for label in records[:, 0]) + b"e"
    names = b"U\tfilenames](" + b"".join(b"U\x0eimage_%08d" % index for index in range(len(records))) + b"e"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape, pixels = struct.pack("<i", len(records)), records[:, 1:].tobytes()
    state = b"(K\x01J" + shape + b"M\x00\x0c\x86" + kind + b"\x89T" + struct.pack("<i", len(pixels)) + pixels + b"tb"
    return b"\x80\x02}(" + labels + b"U\x04data" + array + state + names + b"u."


BEYOND = "Of floats, what is held beyond the result."

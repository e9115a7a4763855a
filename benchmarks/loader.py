"""Claim: all of CIFAR-10 comes from disk within 2 s, as bytes within 300 MB, as floats within 300 MB beyond the result.

Files of the official size with random content, in both versions, read from the system's file cache; the peer is numpy
and pickle as they are commonly used.

    python -m benchmarks.loader
"""

from __future__ import annotations

import ctypes
import pickle
import struct
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from entropic_edu import data

from .run import HEADER, Ratio, medians, one_thread

SECONDS, BYTES = 2.0, 300e6  # allowed
FILES = (*data.TRAIN_FILES, data.TEST_FILE)


def main(rounds: int = 5, small: bool = False) -> tuple[Ratio, ...]:
    """Print and return times and peaks of memory over those allowed; ``small`` takes 100 images of each file."""
    number = 100 if small else 10_000
    with tempfile.TemporaryDirectory() as place, one_thread():
        binary, python = _write(Path(place), number)
        loads: dict[str, Callable[[], data.Data]] = {
            "binary version, float32": partial(data.cifar10, binary),
            "python version, float32": partial(data.cifar10, python),
            "binary version, bytes": partial(data.cifar10, binary, dtype=torch.uint8),
            "python version, bytes": partial(data.cifar10, python, dtype=torch.uint8),
        }
        plain = partial(_plain, python)
        _check_equal(*(load() for load in loads.values()), plain())
        *times, plain_time = medians([*loads.values(), plain], rounds)
        peaks = {name: _peak(load) for name, load in (loads | {"numpy and pickle": plain}).items()}
    ratios = [
        *(
            Ratio(f"loader: {name}, share of {SECONDS:g} s", t / SECONDS, 1, True)
            for name, t in zip(loads, times, strict=True)
        ),
        Ratio("loader: numpy and pickle over python version, float32, time", plain_time / times[1], 1),
        *_memory(peaks, 4 * 6 * number * data.PIXELS),
    ]
    print(HEADER, *ratios, sep="\n")
    print(f"{rounds} rounds on one thread, 6 files of {number:,} images")
    return tuple(ratios)


def _memory(peaks: dict[str, float | None], floats: int) -> list[Ratio]:
    """Return the rows on memory: bytes against all that is allowed, floats against it beyond the result."""
    rows = []
    for name, peak in peaks.items():
        if peak is not None:  # the system tells
            what, size = ("peak", 0) if "bytes" in name else ("peak beyond result", floats)
            aim = None if name == "numpy and pickle" else 1
            share = max(peak - size, 1) / BYTES
            rows.append(Ratio(f"loader: {name}, {what}, share of {BYTES / 1e6:g} MB", share, aim, True))
    return rows


def _peak(load: Callable[[], object]) -> float | None:
    """Return by how many bytes the memory of this process rises at most during a call, as Linux with glibc counts."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # memory that was let go would be used again, uncounted
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    except (OSError, TypeError, AttributeError):
        return None
    before = _status("VmRSS")
    result = load()
    del result
    return max(_status("VmHWM") - before, 1.0)


def _status(name: str) -> float:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return 1024.0 * int(line.split()[1])


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


if __name__ == "__main__":
    main()

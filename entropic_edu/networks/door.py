"""Data as they come: arrays, datasets and loaders as tensors, or a refusal that names what came and what to do."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset
from tqdm.auto import tqdm

from entropic_edu.physics.snapshot import warn

from . import memory
from .inputs import Inputs, each, joined, mapped

_TARGETS = ("labels", "label", "target", "targets", "y")  # what dictionaries call them
_CHANNELS = (1, 3, 4)  # of pictures: grey, colour, colour with transparency


class ScaledWarning(UserWarning):
    """Bytes were taken for pictures and scaled to 0 to 1."""


class DroppedWarning(UserWarning):
    """A loader leaves out samples of its dataset."""


def tensors(data: Any, what: str, *, limit: float | None = None, progress: bool = True) -> tuple[Inputs, Tensor]:
    """Return inputs and targets as tensors, from arrays, a dataset or a loader.

    A dataset or a loader is read once, in its order, and never again: what a loader shuffles is then in that order,
    and an augmentation is drawn once for each sample. The global random stream is left as it was. Samples and batches
    are tuples (x, y), (x₁, x₂, ..., y), or mappings with a key "labels", "label", "target", "targets" or "y".

    Args:
        data: A pair (x, y) of arrays (torch, NumPy, memory maps, lists), one mapping of arrays with its labels, a
            ``Dataset`` (with or without a length) or a ``DataLoader``.
        what: Which data these are, for messages: "training" or "test".
        limit: Bytes that reading may take; None takes what is free now.
        progress: Whether a bar shows once reading takes longer than two seconds.

    Returns:
        Inputs (N, ...), or several of them as a tuple or a dict, and targets (N, ...). Pictures of bytes are floats
        from 0 to 1 with channels before rows.

    Raises:
        ValueError: If the data are not numbers, hold NaN or infinity, are empty, or are of unequal numbers.
        MemoryError: If what is read would not fit.

    Warns:
        ScaledWarning: If inputs are bytes of pictures.
        DroppedWarning: If a loader leaves out samples.

    Example:
        >>> dataset = [(torch.ones(3), 1), (torch.zeros(3), 0)]
        >>> x, y = tensors(dataset, "training")
        >>> x.shape, y
        (torch.Size([2, 3]), tensor([1, 0]))
    """
    if isinstance(data, DataLoader) or _is_dataset(data):
        inputs, targets = _read(data, what, limit, progress)
    elif isinstance(data, Mapping | tuple) or (isinstance(data, list) and len(data) > 1):
        x, y = _parted(data, what)
        targets = _array(y, f"{what} targets")
        inputs = _inputs(x, f"{what} inputs", _are_columns(x, targets))
    else:
        raise ValueError(
            f"The {what} data are of type {type(data).__name__}; wanted a pair (x, y), a Dataset or a DataLoader of "
            "inputs with their targets."
        )
    inputs = mapped(lambda t: _scaled(t, f"{what} inputs"), inputs)
    for one in each(inputs):
        if one.ndim == 0 or targets.ndim == 0 or len(one) != len(targets) or len(one) == 0:
            counts = [len(t) if t.ndim else "a single number as" for t in (one, targets)]
            raise ValueError(
                f"The {what} data need one target for each input, got {counts[0]} inputs, {counts[1]} targets."
            )
        _check_finite(one, f"{what} inputs")
    _check_finite(targets, f"{what} targets")
    return inputs, targets


def _is_dataset(data: Any) -> bool:
    """Whether these are samples, one after the other, and not arrays."""
    if isinstance(data, Dataset):
        return True
    if isinstance(data, list) and data and isinstance(data[0], tuple | Mapping):
        return True
    arrays = (Tensor, np.ndarray, Mapping, Sequence)
    indexed = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    return indexed and not isinstance(data, arrays) and not hasattr(data, "__array__")


def _are_columns(x: Any, y: Tensor) -> bool:
    """Whether a list is of several inputs (N, ...) and not of N samples."""
    if not isinstance(x, list) or y.ndim == 0 or len(x) == len(y):
        return False
    return all(getattr(one, "shape", (None,))[:1] == (len(y),) for one in x)


def _read(data: Any, what: str, limit: float | None, progress: bool) -> tuple[Inputs, Tensor]:
    """All samples of a dataset or a loader."""
    total = None if isinstance(data, IterableDataset) else _length(data)
    limit = limit if limit is not None else memory.free_bytes(torch.device("cpu")) or math.inf
    parts: list[tuple[Inputs, Tensor]] = []
    held = read = 0
    # loaders draw a seed, and augmentations draw, from the global stream
    with torch.random.fork_rng(devices=[]), _bar(data, total, what, progress) as bar:
        for inputs, targets in _parts(data, what):
            parts.append((inputs, targets))
            held += sum(t.numel() * t.element_size() for t in (*each(inputs), targets))
            read += len(targets)
            _check_fits(held * max(1.0, (total or 0) / len(parts)), limit, what)
            bar.update()
    if not parts:
        raise ValueError(f"The {what} data need one target for each input, got an empty {type(data).__name__}.")
    if isinstance(data, DataLoader) and data.drop_last and total is not None:
        _warn_of_dropped(read, data.sampler, what)
    return joined([x for x, _ in parts]), torch.cat([y for _, y in parts])


def _warn_of_dropped(read: int, sampler: Any, what: str) -> None:
    if read < len(sampler):
        warn(
            f"This DataLoader has drop_last=True and leaves out {len(sampler) - read} of {len(sampler)} {what} "
            "samples; pass its dataset, or drop_last=False, to have them all.",
            DroppedWarning,
        )


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:  # a loader of an iterable dataset
        return None


def _bar(data: Any, total: int | None, what: str, progress: bool) -> Any:
    unit = " batches" if isinstance(data, DataLoader) else " samples"
    title = f"Reading the {what} data"
    return tqdm(desc=title, total=total, unit=unit, leave=False, delay=2, disable=not progress, file=sys.stderr)


def _parts(data: Any, what: str) -> Iterator[tuple[Inputs, Tensor]]:
    """Batches of a loader, or samples of a dataset as batches of one."""
    batched = isinstance(data, DataLoader)
    for sample in _samples(data, what):
        x, y = _parted(sample, what)  # a loader makes lists of tuples
        inputs, targets = _inputs(x, f"{what} inputs", batched and isinstance(x, list)), _array(y, f"{what} targets")
        if batched and targets.ndim > 0:  # with batch_size=None a loader gives single samples
            yield inputs, targets
        else:
            yield mapped(lambda t: t[None], inputs), targets[None]


def _samples(data: Any, what: str) -> Iterator[Any]:
    """What a loader or a dataset gives, one after the other."""
    plain = isinstance(data, DataLoader | IterableDataset)
    try:
        yield from data if plain else (data[index] for index in range(len(data)))
    except (TypeError, RuntimeError, LookupError, ValueError) as error:
        reason = str(error).splitlines()[-1] if str(error) else type(error).__name__
        raise ValueError(
            f"This {type(data).__name__} could not read the {what} data: {reason}. Samples must be arrays of one "
            "shape, as many as its length says; PIL images need transform=torchvision.transforms.ToTensor()."
        ) from error


def _check_fits(size: float, limit: float, what: str) -> None:
    """Refuse what does not fit: parts and their whole are held at once."""
    if 2 * size > limit:
        raise MemoryError(
            f"Reading the {what} data takes about {memory.in_words(2 * size)}, and {memory.in_words(limit)} are free; "
            "take a part, torch.utils.data.Subset(dataset, range(1000)), or smaller inputs."
        )


def _parted(sample: Any, what: str) -> tuple[Any, Any]:
    """A sample or a batch as inputs and targets."""
    if isinstance(sample, Mapping):
        key = next((key for key in _TARGETS if key in sample), None)
        rest = {str(name): value for name, value in sample.items() if name != key}
        if key is None or not rest:
            raise ValueError(
                f"The {what} samples are mappings with the keys {list(sample)}; wanted inputs and one of "
                f"{', '.join(_TARGETS)}."
            )
        return (next(iter(rest.values())) if len(rest) == 1 else rest), sample[key]
    if isinstance(sample, tuple | list) and len(sample) > 1:
        return (sample[0] if len(sample) == 2 else tuple(sample[:-1])), sample[-1]
    raise ValueError(
        f"The {what} samples are of type {type(sample).__name__} without a target; wanted (inputs, target) for each."
    )


def _inputs(x: Any, name: str, several: bool) -> Inputs:
    """Inputs as tensors; a tuple of arrays and a mapping are several, a list only where that is known."""
    if isinstance(x, Mapping):
        return {str(key): _array(value, f"{name} {key!r}") for key, value in x.items()}
    if several or (isinstance(x, tuple) and all(hasattr(one, "shape") for one in x)):
        return tuple(_array(value, name) for value in x)
    return _array(x, name)


def _array(value: Any, name: str) -> Tensor:
    """One array as a tensor, or the reason why it is none."""
    if isinstance(value, Tensor):
        value = value.detach()
        if value.layout != torch.strided:
            raise ValueError(f"The {name} are a sparse tensor; give its to_dense().")
    elif hasattr(value, "toarray"):
        raise ValueError(f"The {name} are a sparse matrix ({type(value).__name__}); give its toarray().")
    elif type(value).__module__.partition(".")[0] == "PIL" or _holds_pictures(value):
        raise ValueError(
            f"The {name} are PIL images; give the dataset transform=torchvision.transforms.ToTensor(), or turn each "
            "into numbers by np.asarray(image)."
        )
    elif isinstance(value, list | tuple) and value and all(isinstance(one, Tensor) for one in value):
        shapes = {tuple(t.shape) for t in value}
        if len(shapes) > 1:
            raise ValueError(f"The {name} differ in shape, {sorted(shapes)[:3]}; pad or crop them to one shape.")
        value = torch.stack(list(value)).detach()
    else:
        value = _from_numpy(value, name)
    if value.is_complex():
        raise ValueError(f"The {name} are complex; give real and imaginary parts side by side, torch.view_as_real(x).")
    return value


def _holds_pictures(value: Any) -> bool:
    first = value[0] if isinstance(value, list | tuple) and value else None
    return type(first).__module__.partition(".")[0] == "PIL"


def _from_numpy(value: Any, name: str) -> Tensor:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"The {name} have masked entries; fill them, or drop those samples.")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"The {name} differ in shape ({error}); pad or crop them to one shape.") from None
    if array.dtype.kind in "USO" and array.size and isinstance(array.flat[0], str | bytes):
        raise ValueError(
            f"The {name} are strings, such as {str(array.flat[0])!r}, wanted numbers; for classes take "
            "sklearn.preprocessing.LabelEncoder().fit_transform(y)."
        )
    if array.dtype.kind not in "bifuc":
        raise ValueError(
            f"The {name} are of type {type(value).__name__} with {array.dtype} entries, wanted an array of numbers "
            "such as x.astype(float); arrays of unequal shapes need padding first."
        )
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _scaled(x: Tensor, name: str) -> Tensor:
    """Bytes of pictures as floats from 0 to 1, (N, C, H, W) where they come as (N, H, W, C)."""
    if x.dtype != torch.uint8:
        return x
    if x.ndim not in (3, 4):
        raise ValueError(
            f"The {name} are bytes (uint8) of shape {tuple(x.shape)}, which do not look like pictures; give "
            "x.float() / 255 for pixels, x.float() for counts, or x.long() for class numbers and tokens."
        )
    last = x.ndim == 4 and x.shape[-1] in _CHANNELS and x.shape[1] not in _CHANNELS
    order = ", with channels put before rows" if last else ""
    alone = "; a convolution needs x[:, None]" if x.ndim == 3 else ""
    warn(
        f"The {name} are bytes of shape {tuple(x.shape)} and were taken for pictures: divided by 255{order}{alone}. "
        "Give x.float() / 255 to say so yourself.",
        ScaledWarning,
    )
    return (x.permute(0, 3, 1, 2) if last else x).float() / 255


def _check_finite(data: Tensor, name: str) -> None:
    if data.is_floating_point() and not data.isfinite().all():
        bad = int((~data.isfinite()).reshape(len(data), -1).any(1).sum())
        raise ValueError(
            f"The {name} hold NaN or infinity in {bad} of {len(data)} samples; clean or drop those samples first."
        )

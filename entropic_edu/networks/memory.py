"""How many samples fit in memory: an estimate beforehand, and what an error says when it was too high."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

_NUMBERS = 2**18  # inputs that a CPU takes at once: 85 images of CIFAR-10 keep activations in cache
_SHARE = 8  # of an accelerator's memory, for what one gradient keeps; a Hessian-vector product takes three times that

# glibc gives large blocks back as soon as they are free, and they come again with a page fault for every 4 kB, a fifth
# of a convolution's gradient. One block just below its limit of 32 MB that is freed, and never written to, has it keep
# what is smaller.
torch.empty(2**23 - 2**12)


def bytes_held(loss: Callable[[], Tensor], apart_from: Iterable[Tensor]) -> int:
    """Return the bytes that autograd keeps for the backward pass of ``loss()``, without the tensors ``apart_from``.

    A gradient holds about twice as much at its peak, and a Hessian-vector product three times.
    """
    held: dict[int, torch.UntypedStorage] = {}  # by address, so that each counts once; alive, so that none comes again

    def keep(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss()
    others = {tensor.untyped_storage().data_ptr() for tensor in apart_from}
    return sum(storage.nbytes() for where, storage in held.items() if where not in others)


def rows(numbers: int, total: int | None, each: int) -> int:
    """Return how many samples of so many ``numbers`` to take at once, where a gradient keeps ``each`` bytes for one."""
    if total is None:  # on a CPU
        return min(4096, max(64, _NUMBERS // numbers))
    return min(8192, max(16, total // _SHARE // each))


def is_small(size: int, total: int | None) -> bool:
    """Return whether so many bytes are little beside all that a device has."""
    return size < (total or 0) // (4 * _SHARE)


def ran_out(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on any device (CUDA has a type for it, others have words)."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def total_bytes(device: torch.device) -> int | None:
    """Return the memory of an accelerator, or None for a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(torch.mps.recommended_max_memory()) if device.type == "mps" else None


def free_bytes(device: torch.device, in_use_too: bool = False) -> int | None:
    """Return what is free now, of a CPU also what is ``in_use_too``; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    pages = "SC_PHYS_PAGES" if in_use_too else "SC_AVPHYS_PAGES"
    if device.type == "cpu" and pages in getattr(os, "sysconf_names", {}):
        return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    return None


def release(device: torch.device) -> None:
    """Hand blocks that PyTorch holds in reserve back to the device, so that other sizes fit."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def in_words(size: float) -> str:
    """Return a number of bytes as text, e.g. "1.5 GB"."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"

"""How many samples fit in memory: an estimate beforehand, and what an error says when it was too high."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def bytes_kept(loss: Callable[[], Tensor], apart_from: Iterable[Tensor]) -> int:
    """Return the bytes that autograd keeps for the backward pass of ``loss()``; each tensor's storage counts once.

    What it keeps of the tensors ``apart_from`` (weights, say) is not counted. A gradient holds these at its peak, and
    about as much again for what is under way; a Hessian-vector product holds about three times as much.
    """
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss()
    others = {tensor.untyped_storage().data_ptr() for tensor in apart_from}
    return sum(size for where, size in sizes.items() if where not in others)


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


def free_bytes(device: torch.device) -> int | None:
    """Return what is free now, or None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    names = getattr(os, "sysconf_names", {})
    if device.type == "cpu" and "SC_AVPHYS_PAGES" in names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
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

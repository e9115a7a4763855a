"""Parameters that come from elsewhere, as one vector: modules, state_dicts, checkpoints, runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from entropic_edu.physics.train import Run

_WITHIN = ("state_dict", "model_state_dict", "model", "net")  # where checkpoints hold the parameters
_WRAPPERS = re.compile(r"^(?:(?:_orig_mod|module|model)\.)+|(?<=\.)_orig_mod\.")  # compiled, parallel, Lightning


def parameters_of(source: Any) -> dict[str, Tensor]:
    """Return tensors by name, of a module, a state_dict or a checkpoint that holds one.

    Args:
        source: An ``nn.Module``, a state_dict, or a dict such as Lightning's with the state under "state_dict",
            "model_state_dict", "model" or "net".

    Returns:
        A module's parameters, tied ones under each of their names; all tensors of a state_dict, buffers included.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(source, nn.Module):
        return dict(source.named_parameters(remove_duplicate=False))
    if isinstance(source, Mapping):
        if source and all(isinstance(value, Tensor) for value in source.values()):
            return {str(name): value for name, value in source.items()}
        for key in _WITHIN:
            if isinstance(source.get(key), Mapping | nn.Module):
                return parameters_of(source[key])
        state = {str(name): value for name, value in source.items() if isinstance(value, Tensor)}
        if state:  # beside extra state
            return state
        raise ValueError(
            f"This checkpoint has the keys {list(source)[:8]} and no state_dict among them; pass "
            "checkpoint[...] where the parameters are."
        )
    raise ValueError(
        f"Parameters come as a vector (D,), a Run, an nn.Module or a state_dict, got {type(source).__name__}; "
        "read a file by torch.load(path) first."
    )


def vector_of(names: Sequence[str], shapes: Sequence[Sequence[int]], source: Any, others: Iterable[str] = ()) -> Tensor:
    """Return the parameters of a source as one flat vector, in the order of ``names``.

    The prefixes ``_orig_mod.`` (compiled), ``module.`` (parallel) and ``model.`` (Lightning) are stripped, on either
    side, where the names fit without them.

    Args:
        names: Names of the P parameters.
        shapes: Their shapes.
        source: A vector (..., D), a Run, or what ``parameters_of`` takes.
        others: Names that the source may hold besides: buffers, frozen parameters.

    Returns:
        (D,), detached; a vector, or a Run's, comes back as it is, with its leading dimensions.

    Raises:
        ValueError: If parameters are missing, unexpected or of another shape; all are named.

    Example:
        >>> vector_of(["weight"], [(2, 1)], {"module.weight": torch.tensor([[1.0], [2.0]])})
        tensor([1., 2.])
    """
    dim = sum(torch.Size(shape).numel() for shape in shapes)
    theta = source.theta if isinstance(source, Run) else source
    if isinstance(theta, np.ndarray):
        theta = torch.from_numpy(theta)
    if isinstance(theta, Tensor):
        if theta.ndim == 0 or theta.shape[-1] != dim:
            raise ValueError(
                f"This landscape has {dim} parameters, got a vector of shape {tuple(theta.shape)}; was it made for "
                "another model?"
            )
        return theta.detach()
    given = _renamed(parameters_of(source), [*names, *others])
    missing = [name for name in names if name not in given]
    misshapen = [
        f"{name} {tuple(given[name].shape)} for {tuple(shape)}"
        for name, shape in zip(names, shapes, strict=True)
        if name in given and tuple(given[name].shape) != tuple(shape)
    ]
    unexpected = [name for name in given if name not in {*names, *others}]
    if missing or misshapen or unexpected:
        problems = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
        which = "; ".join(f"{kind}: {some(names)}" for kind, names in problems.items() if names)
        raise ValueError(
            f"These parameters are of another model. {which}. Build the landscape with the model they were trained in, "
            "or rename them: {new: state[old]}."
        )
    return torch.cat([given[name].detach().flatten() for name in names])


def check_constants(constants: Mapping[str, Tensor], source: Any) -> None:
    """Refuse a source whose buffers or frozen parameters differ from those that a landscape holds fixed.

    Args:
        constants: The landscape's, by name: what its loss depends on besides θ.
        source: A module or a state_dict; a vector or a Run holds none and passes.

    Raises:
        ValueError: If any differs; it would be scored with another network's constants.
    """
    if isinstance(source, Tensor | np.ndarray | Run):
        return
    state = source.state_dict() if isinstance(source, nn.Module) else parameters_of(source)
    given = _renamed(state, list(constants))
    differing = [
        name
        for name, value in constants.items()
        if value.is_floating_point() and name in given and not torch.equal(given[name].to(value), value)
    ]
    if differing:
        raise ValueError(
            f"This network holds other values than the landscape in {some(differing)}, which theta does not carry, so "
            'it would be scored with another network\'s; pass batch_norm="reestimate" instead of freeze_buffers=True, '
            "or build a landscape from each network."
        )


def _renamed(given: dict[str, Tensor], wanted: Sequence[str]) -> dict[str, Tensor]:
    """The same tensors under the names that are wanted, if only prefixes of wrappers are between them.

    What a wrapper holds beside the network is left out.
    """
    if set(wanted) <= set(given):
        return given
    full = {_WRAPPERS.sub("", name): name for name in wanted}
    bare = {name: _WRAPPERS.sub("", name) for name in given}
    if len(set(bare.values())) < len(given) or len(full) < len(set(wanted)):
        return given  # two would fall together
    wrapped = any(bare[name] in full and bare[name] != name and name not in wanted for name in given)
    return {
        full.get(bare[name], name): value
        for name, value in given.items()
        if not wrapped or bare[name] in full or bare[name] != name
    }


def some(names: Sequence[str], most: int = 6) -> str:
    """Return the first names and how many more there are, for messages."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

"""Results of a recipe as tensors and plain values, the two things that a file holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.release import Release
from entropic_edu.physics.results import Result
from entropic_edu.physics.spawn import Family
from entropic_edu.physics.train import Run

KINDS: dict[str, type[Result]] = {kind.__name__: kind for kind in (Family, Path, Profile, Release, Run)}


def taken_apart(results: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of results by name, and a note of what each of the results is, as JSON values."""
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, Any] = {}
    for name, value in results.items():
        if isinstance(value, Tensor):
            tensors[name] = value
            shapes[name] = "tensor"
        elif isinstance(value, Result):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            tensors |= {f"{name}.{field}": each for field, each in fields.items() if isinstance(each, Tensor)}
            plain = {field: each for field, each in fields.items() if not isinstance(each, Tensor)}
            shapes[name] = {"kind": type(value).__name__, "fields": plain}
        else:
            shapes[name] = {"kind": "plain", "value": value}
    return tensors, shapes


def put_together(tensors: Mapping[str, Tensor], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results that ``taken_apart`` took apart."""
    results: dict[str, Any] = {}
    for name, shape in shapes.items():
        if shape == "tensor":
            results[name] = tensors[name]
        elif shape["kind"] == "plain":
            results[name] = shape["value"]
        else:
            inside = {key.removeprefix(f"{name}."): key for key in tensors if key.startswith(f"{name}.")}
            fields: dict[str, Any] = shape["fields"] | {field: tensors[key] for field, key in inside.items()}
            results[name] = KINDS[shape["kind"]](**fields)
    return results

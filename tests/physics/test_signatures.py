"""What ``help``, type checkers and warnings say of verbs: the plain verb returns its result, and warns its caller."""

import dataclasses
import inspect
import operator
import subprocess
import sys
import typing
import warnings
from pathlib import Path

import pytest
import torch

import entropic_edu as ee

VERBS = {"train": ee.Run, "connect": ee.Path, "probe": ee.Profile, "drift": ee.Release, "spawn": ee.Family}
ROOT = Path(__file__).resolve().parents[2]
STEEP = ee.valleys.Waist(g_narrow=100.0)


@pytest.mark.parametrize(("name", "result"), VERBS.items())
def test_help_says_what_a_verb_returns(name, result):
    signature = str(inspect.signature(getattr(ee, name)))
    assert signature.endswith(f"-> {result.__name__}")
    assert "'" not in signature.replace("'autoneb'", "").replace("'sgd'", "").replace("'cosine'", "")


@pytest.mark.parametrize(("name", "result"), VERBS.items())
def test_type_hints_say_what_a_verb_returns(name, result):
    assert typing.get_type_hints(getattr(ee, name))["return"] is result


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_takes_at_most_fourteen_arguments(name):
    assert len(inspect.signature(getattr(ee, name)).parameters) <= 14


STEPS = {
    "batch_size": 64,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "epochs": 60,
    "optimizer": "sgd",
    "schedule": "cosine",
}
DEFAULTS = {  # those of a number, a name or a switch; what is not here is None
    "train": STEPS | {"resume": False},
    "connect": {"method": "autoneb", "pivots": 20, "sweeps": 2000, "batch_size": 64, "learning_rate": 0.05}
    | {"momentum": 0.9, "match_norms": False},
    "probe": {"points": 25, "num_probes": 4, "lanczos_steps": 24},
    "drift": {"start": 0.3, "batch_size": 16, "learning_rate": 0.1, "momentum": 0.9, "walkers": 16, "steps": 2000}
    | {"project_every": 15, "optimizer": "sgd"},
    "spawn": STEPS | {"children": 2, "trunks": 1, "points": 15, "match_norms": False},
    "predict": {"momentum": 0.0, "project_every": 15},
    "Projections": {"every": 15, "undo_excursions": False},
    "Records": {"theta": False},
    "Sweeps": {"most": 2000, "change": 0.15, "scallop": 0.05},
    "Profile": {"complete": True, "finite_scale": 0.0, "length": 0.0, "dim": 0, "weight_decay": 0.0}
    | {"label_ratio": 0.0, "noise_shape": "curvature"},
    "Path": {"complete": True, "method": "given", "landscape": ""},
    "curvature.hutchinson_trace": {"num_probes": 16, "weight_decay": True},
    "curvature.extreme_eigenvalues": {"steps": 30, "tolerance": 1e-3, "weight_decay": True},
    "curvature.spectral_density": {"num_probes": 4, "steps": 24, "weight_decay": True},
}
MEASURES = ("hessian_vector_product", "dense_hessian", "curvature_along", "hutchinson_trace", "extreme_eigenvalues")
FIRST = {
    **{f"curvature.{name}": 2 for name in (*MEASURES, "spectral_density")},
    "curvature.hessian_vector_product": 3,
    "curvature.curvature_along": 3,
    "train": 1,
    "connect": 3,
    "probe": 2,
    "drift": 2,
    "spawn": 1,
    "predict": 1,
    "align": 3,
    "sweep": 1,
}  # given without a name


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_is_not_given_is_what_results_were_made_with(name):
    """A default that changes silently changes everybody's results: it is changed here too, and in the changelog."""
    parameters = inspect.signature(operator.attrgetter(name)(ee)).parameters.values()
    given = {p.name: p.default for p in parameters if p.default is not p.empty and p.default is not None}
    assert {key: value for key, value in given.items() if isinstance(value, bool | int | float | str)} == DEFAULTS[name]


@pytest.mark.parametrize("name", FIRST)
def test_settings_are_given_by_name(name):
    kinds = [each.kind for each in inspect.signature(operator.attrgetter(name)(ee)).parameters.values()]
    assert kinds[: FIRST[name]] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * FIRST[name]
    assert set(kinds[FIRST[name] :]) == {inspect.Parameter.KEYWORD_ONLY}


def test_what_says_how_a_result_was_made_is_given_by_name():
    named = {
        kind.__name__: {field.name for field in dataclasses.fields(kind) if field.kw_only} for kind in VERBS.values()
    }
    assert named == {
        **{key: {"complete"} for key in ("Run", "Path", "Profile", "Release")},
        "Family": {"complete", "steps", "recipe", "unavailable"},
    }


def test_what_holds_tensors_is_equal_to_itself_alone():
    """Equality of tensors is a tensor, of which nobody knows whether it is true."""
    held = [*VERBS.values(), ee.Path, ee.curvature.SpectralDensity, ee.curvature.Extremes]
    assert {kind for kind in held if kind.__eq__ is not object.__eq__} == set()


@pytest.mark.soak
def test_a_type_checker_knows_what_a_verb_returns(tmp_path):
    calls = [f"reveal_type(ee.{name}(*args, **more))" for name in VERBS]
    head = ["from typing import Any", "import entropic_edu as ee", "args: Any", "more: Any"]
    (tmp_path / "use.py").write_text("\n".join([*head, *calls]) + "\n")
    settings = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache"]
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", *settings, tmp_path / "use.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed type" in line]
    assert [each.split(".")[-1] for each in revealed] == [result.__name__ for result in VERBS.values()], done.stdout


def too_fast():
    return {"generator": torch.Generator().manual_seed(0), "learning_rate": 0.05, "momentum": 0.0}


def line_of_the_warning(call):
    """The line of ``call`` that is blamed, counted from its first."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        call()
    (one,) = [each for each in caught if issubclass(each.category, ee.StabilityWarning)]
    assert one.filename == __file__
    return one.lineno - call.__code__.co_firstlineno


def test_train_warns_at_its_callers_line():
    def call():
        settings = too_fast() | {"start": torch.zeros(2), "batch_size": None}
        ee.train(STEEP, epochs=1, **settings)

    assert line_of_the_warning(call) == 2


def test_drift_warns_at_its_callers_line():
    def call():
        road = ee.Path(STEEP.floor(3))
        ee.drift(STEEP, road, start=0.5, steps=1, batch_size=None, **too_fast())

    assert line_of_the_warning(call) == 2


def test_a_stream_warns_at_its_readers_line():
    def call():
        stream = ee.stream.drift(STEEP, ee.Path(STEEP.floor(3)), start=0.5, steps=1, batch_size=None, **too_fast())
        next(stream)

    assert line_of_the_warning(call) == 2


def test_a_verb_inside_a_verb_warns_at_the_outer_callers_line():
    def call():
        land = ee.valleys.Waist(g_wide=100.0, g_narrow=100.0)
        ee.spawn(land, at=[0], epochs=1, points=3, batch_size=None, **too_fast())

    assert line_of_the_warning(call) == 2

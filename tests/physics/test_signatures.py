"""What ``help``, type checkers and warnings say of verbs: the plain verb returns its result, and warns its caller."""

import dataclasses
import importlib
import inspect
import operator
import pkgutil
import subprocess
import sys
import typing
import warnings
from pathlib import Path

import pytest
import torch

import entropic_edu as ee
from entropic_edu import physics

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
FLOOR = {"noise": "isotropic", "noise_scale": 1.0, "half_length": 1.0}
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
    "Family": {"complete": True, "steps": 0},
    "Run": {"complete": True},
    "Release": {"complete": True},
    "theory.Prediction": {"temperature": 0.0, "flow_time": 0.0},
    "methods.Springs": {"spring_constant": 1.0, "tangent": "upwind", "projection": True},
    "methods.AutoNEB": {"spring_constant": 1.0, "tangent": "upwind", "projection": True, "threshold": 0.1},
    "methods.Bezier": {"bends": 3},
    "valleys.Waist": FLOOR | {"end_curvature": 0.0, "g_wide": 1.0, "g_narrow": 16.0, "width": 0.35},
    "valleys.Pinch": FLOOR | {"end_curvature": 0.0, "g_wide": 1.0, "g_narrow": 16.0, "width": 0.08},
    "valleys.Tilted": FLOOR | {"end_curvature": 0.0, "slope": 0.01, "g_wide": 1.0, "g_narrow": 16.0, "width": 0.7},
    "valleys.DoubleWell": {"noise": "isotropic", "noise_scale": 1.0, "barrier": 0.02}
    | {"g_wide": 4.0, "g_narrow": 4.0, "width": 0.35},
    "valleys.Hyperbola": FLOOR | {"noise": "label"},
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
    where = physics if name.startswith("theory.") else ee
    parameters = inspect.signature(operator.attrgetter(name)(where)).parameters.values()
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


def modules():
    return [
        importlib.import_module(f"{physics.__name__}.{each.name}") for each in pkgutil.iter_modules(physics.__path__)
    ]


def test_what_holds_tensors_is_equal_to_itself_alone():
    """Equality of tensors is a tensor, of which nobody knows whether it is true; plain settings are compared."""
    kinds = [kind for module in modules() for kind in vars(module).values() if "__dataclass_fields__" in dir(kind)]
    compared = {kind.__name__ for kind in kinds if kind.__eq__ is not object.__eq__}
    assert compared == {
        *(
            "Band",
            "Batches",
            "During",
            "Label",
            "Minibatch",
            "OfTheRoad",
            "Projections",
            "Records",
            "Snapshot",
            "Sweeps",
        )
    }
    assert len(kinds) > 30


NAMED = {
    "landscape.Landscape.hessian_vector_product": "weight_decay",
    "landscape.Landscape.hessian_at": "weight_decay",
    "landscape.Landscape.trace": "generator num_probes weight_decay scale",
    "landscape.Landscape.gradient": "shared",
    "valleys.Valley.floor": "dtype",
    "methods.Band.backs_off": "look",
    "crowd.Crowd": "copied",
    "probe.Profile.narrowing": "learning_rate momentum project_every noise",
    "drift._Costs": "each",
}


@pytest.mark.parametrize("name", NAMED)
def test_what_would_not_be_understood_without_its_name_is_given_by_it(name):
    parameters = inspect.signature(operator.attrgetter(name)(physics)).parameters.values()
    assert [p.name for p in parameters if p.kind is p.KEYWORD_ONLY] == NAMED[name].split()
    assert not [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]


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

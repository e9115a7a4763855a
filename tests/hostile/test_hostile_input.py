"""Every public name, given what is of the right type and senseless: an error of ours in words, or a finite result."""

import inspect
import math
import traceback
import warnings
from pathlib import Path

import pytest
import torch
from deadline import in_time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import entropic_edu as ee

PACKAGE = Path(ee.__file__).parent
SECONDS = 20  # that no call may take
NAN, INF = math.nan, math.inf
NUMBERS = ("noise_scale", "half_length", "end_curvature", "g_wide", "g_narrow", "width", "slope", "barrier")
WHOLE = [-(2**40), -1, 0, 1, 2, 7, 50]
REAL = [NAN, INF, -INF, -1.0, -0.0, 0.0, 1e-300, 0.5, 1.0, 1.5, 1e12, 1e300]
OURS = (ValueError, TypeError, ee.DivergenceError, OSError)


def seeded():
    return torch.Generator().manual_seed(0)


def network():
    x = torch.randn(12, 3, generator=seeded(), dtype=torch.float64)
    model = ee.models.mlp(3, 4, 3).double()
    return ee.Network(model, x, torch.arange(12) % 3, weight_decay=1e-3)


LANDS = {"valley": ee.valleys.Waist(), "network": network()}


def ends(land):
    return torch.stack([land.initial(torch.Generator().manual_seed(seed)) for seed in (1, 2)])


def road(land):
    return ee.Path(ends(land)).resample(5)


def tensors(like):
    """Tensors of a shape that is wanted, or nearly, with senseless values."""
    plain = [like.clone(), like * NAN, like * INF, like * 1e30, like * 0, like.half(), like.int()]
    return [*plain, like[:0], like[..., :-1], like[None], like.new_zeros(()), like.flatten()[:1]]


def profile(land):
    return ee.probe(land, road(land), generator=seeded(), points=5, num_probes=1, lanczos_steps=2)


def calls(land):
    """By name: the callable, sound arguments, and for some of these what to give in their place."""
    a, b = ends(land)
    given = {"generator": seeded(), "batch_size": 4, "learning_rate": 0.01}
    return {
        "train": (ee.train, {"land": land, **given, "momentum": 0.9, "epochs": 2, "runs": 2}, {"start": tensors(a)}),
        "connect": (
            ee.connect,
            {"land": land, "a": a, "b": b, "generator": seeded(), "method": "string", "pivots": 4, "sweeps": 4}
            | {"batch_size": 4, "learning_rate": 0.01, "points": 5, "match_norms": True},
            {
                "a": tensors(a),
                "b": [*tensors(b), a],
                "method": ["linear", "neb", "autoneb", "bezier", "chain", "", "String"],
            },
        ),
        "probe": (
            ee.probe,
            {"land": land, "path": road(land), "generator": seeded(), "points": 3, "num_probes": 1, "lanczos_steps": 2},
            {"points": WHOLE + [tensors(torch.linspace(0, 1, 3))[i] for i in (1, 2, 7)]},
        ),
        "drift": (
            ee.drift,
            {"land": land, "path": road(land), **given, "momentum": 0.5, "start": 0.5, "walkers": 2, "steps": 4}
            | {"project_every": 2, "record_every": 2},
            {"start": [*REAL, [], [NAN], [0.2, 2.0], [0.1, 0.9]], "optimizer": ["adam", "nesterov", "", "SGD"]},
        ),
        "spawn": (
            ee.spawn,
            {"land": land, **given, "at": [0, 2], "children": 2, "epochs": 2},
            {"at": [[], [-1], [10**9], [2, 0], [0, 0], [NAN]], "children": [-(2**40), -1, 0, 1, 3]},
        ),
        "predict": (
            ee.predict,
            {"profile": profile(land), "batch_size": 4, "learning_rate": 0.01, "momentum": 0.5, "project_every": 5},
            {},
        ),
        "effective_temperature": (
            ee.effective_temperature,
            {"batch_size": 4, "learning_rate": 0.01, "momentum": 0.5},
            {},
        ),
        "Path": (ee.Path, {"pivots": ends(land)}, {"pivots": tensors(ends(land))}),
        "exact_trace": (ee.exact_trace, {"land": land, "theta": a}, {"theta": tensors(a)}),
        "gradient_covariance": (ee.gradient_covariance, {"land": land, "theta": a}, {"theta": tensors(a)}),
        "curvature.hutchinson_trace": (
            ee.curvature.hutchinson_trace,
            {"land": land, "theta": a, "generator": seeded(), "num_probes": 2},
            {"theta": tensors(a)},
        ),
        "curvature.extreme_eigenvalues": (
            ee.curvature.extreme_eigenvalues,
            {"land": land, "theta": a, "generator": seeded(), "steps": 2},
            {"theta": tensors(a)},
        ),
        "curvature.dense_hessian": (ee.curvature.dense_hessian, {"land": land, "theta": a}, {"theta": tensors(a)}),
    }


ELSEWHERE = {  # public names that are tried in other ways, and where
    "Family": "result: tests/faults",
    "Landscape": "abstract: all lands here are ones",
    "Lesson": "tests/test_lesson.py, test_sequences.py",
    "Network": "test_a_network_refuses_what_it_cannot_learn_from",
    "Profile": "result: tests/faults",
    "Projections": "tests/physics/test_drift.py",
    "Records": "tests/physics/test_drift.py",
    "Release": "result: tests/faults",
    "Run": "result: tests/faults",
    "Sweep": "result: tests/faults",
    "Sweeps": "tests/physics/test_connect.py",
    "StabilityWarning": "a warning",
    "UnconvergedWarning": "a warning",
    "DivergenceError": "an error",
    "align": "test_align_refuses_what_are_no_two_points",
    "curvature": "its functions, here",
    "data": "tests/faults/test_fault_damage.py",
    "device": "takes nothing",
    "Explorer": "tests/teaching/test_sheet.py",
    "Mean": "tests/physics/test_mean.py",
    "Panel": "tests/teaching/test_sheet.py",
    "slider": "tests/teaching/test_sheet.py",
    "switch": "tests/teaching/test_sheet.py",
    "methods": "tests/physics/test_connect.py",
    "noise": "tests/physics/test_noise.py",
    "models": "test_models_refuse_senseless_sizes",
    "optimizers": "through the verbs",
    "plots": "takes results and axes",
    "stream": "the verbs, snapshot by snapshot: tests/test_snapshot.py",
    "sweep": "tests/test_sweep.py",
    "theory": "tests/physics/test_theory.py",
    "valleys": "test_valleys_refuse_senseless_numbers",
}
NAMES = list(calls(LANDS["valley"]))


def test_every_public_name_is_tried():
    assert {name.partition(".")[0] for name in NAMES} | set(ELSEWHERE) == set(ee.__all__)


def pool(name, value, own):
    """What may be given in place of a value."""
    if name in own:
        return own[name]
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int):
        return WHOLE
    return REAL if isinstance(value, float) else []


def numbers(result):
    """All numbers of a result."""
    if isinstance(result, ee.curvature.Estimate):
        return [result.value]  # its error is infinite for a single probe, which cannot tell
    if isinstance(result, float | int):
        return [torch.tensor(result, dtype=torch.float64)]
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, tuple):
        return [each for one in result for each in numbers(one)]
    return [value for value in vars(result).values() if isinstance(value, torch.Tensor)]


def tried(call, arguments):
    """Call; return None, or what is wrong with how it answered."""
    try:
        with in_time(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore", ee.StabilityWarning)
            warnings.simplefilter("ignore", UserWarning)
            result = call(**arguments)
    except OURS as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        if PACKAGE not in Path(frame.filename).parents:
            return f"{type(error).__name__} from {frame.filename}:{frame.lineno}: {error}"
        return None if len(str(error)) > 20 else f"few words: {error!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    bad = [value for value in numbers(result) if value.is_floating_point() and not value.isfinite().all()]
    return f"silent NaN or infinity in {type(result).__name__}" if bad else None


def attempt(name, kind, data):
    call, sound, own = calls(LANDS[kind])[name]
    turned = {key: values for key, value in sound.items() if (values := pool(key, value, own))}
    turned |= {key: values for key, values in own.items() if key in inspect.signature(call).parameters}
    keys = data.draw(st.lists(st.sampled_from(sorted(turned)), min_size=1, max_size=2, unique=True))
    changed = {key: turned[key][data.draw(st.integers(0, len(turned[key]) - 1))] for key in keys}
    wrong = tried(call, sound | changed)
    assert wrong is None, f"{name}({changed}) on a {kind}: {wrong}"


@pytest.mark.parametrize("turned", [{"shape": 1}, {"values": NAN}, {"values": INF}])
def test_align_refuses_what_are_no_two_points(turned):
    land = LANDS["network"]
    a, b = ends(land)
    b = b[:-1] if "shape" in turned else b * turned["values"]
    assert tried(ee.align, {"land": land, "a": a, "b": b, "generator": seeded()}) is None


@pytest.mark.parametrize("sizes", [(0, 4), (-1, 4), (3, 0)])
def test_models_refuse_senseless_sizes(sizes):
    with warnings.catch_warnings(action="ignore"), pytest.raises(ValueError, match=r".{20}"):
        ee.models.mlp(*sizes, 2)


@pytest.mark.parametrize("value", [*REAL[:4], -1])
@pytest.mark.parametrize("name", ["noise_scale", "end_curvature", "half_length", "width"])
def test_valleys_refuse_senseless_numbers(name, value):
    with pytest.raises(ValueError, match=r".{20}"):
        ee.valleys.Waist(**{name: value})


@pytest.mark.parametrize("what", ["x NaN", "x inf", "no x", "few y", "class 3 of 3", "real y", "decay"])
def test_a_network_refuses_what_it_cannot_learn_from(what):
    x, y = torch.randn(12, 3, generator=seeded()), torch.arange(12) % 3
    x = {"x NaN": x * NAN, "x inf": x * INF, "no x": x[:0]}.get(what, x)
    y = {"no x": y[:0], "few y": y[:5], "class 3 of 3": y + 1, "real y": y * 0.5}.get(what, y)
    with pytest.raises(ValueError, match=r".{20}"):
        ee.Network(ee.models.mlp(3, 4, 3), x, y, weight_decay=-1.0 if what == "decay" else 0.0)


OF_NETWORKS = ("exact_trace", "gradient_covariance")  # which a valley refuses


@pytest.mark.parametrize("kind", LANDS)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_changed_here_is_sound_before_it_is_changed(name, kind):
    call, sound, _ = calls(LANDS[kind])[name]
    if name in OF_NETWORKS and kind == "valley":
        pytest.skip("of networks alone")
    with warnings.catch_warnings(action="ignore"):
        assert all(value.isfinite().all() for value in numbers(call(**sound)) if value.is_floating_point())


def settings_of(name):
    """The settings of a callable that are plain numbers, and which are whole."""
    sound = calls(LANDS["valley"])[name][1]
    return {key: type(value) for key, value in sound.items() if type(value) in (int, float) and key != "start"}


@pytest.mark.parametrize("kind", LANDS)
@pytest.mark.parametrize(("name", "key"), [(name, key) for name in NAMES for key in settings_of(name)])
def test_what_is_no_number_or_no_whole_one_is_refused_by_the_name_of_its_setting(name, key, kind):
    half = [2.5] if settings_of(name)[key] is int else []
    for value in ["3", [3], object(), 1j, torch.ones(3), {}, *half]:
        call, sound, _ = calls(LANDS[kind])[name]
        with pytest.raises(ValueError, match=rf"{key}.*got|got {key}"):
            call(**sound | {key: value})


def with_settings(**settings):
    return ee.Network(ee.models.mlp(3, 4, 3), torch.ones(3, 3), torch.arange(3), **settings)


MADE = {  # what is made of plain numbers, each with some of them
    **{name: (getattr(ee.valleys, name), NUMBERS) for name in ("Waist", "Tilted", "Pinch", "Hyperbola", "DoubleWell")},
    "Network": (with_settings, ("weight_decay", "label_noise")),
    "mlp": (lambda **given: ee.models.mlp(3, *given.values(), 2), ("width",)),
    "small_cnn": (ee.models.small_cnn, ("classes",)),
    "resnet20": (ee.models.resnet20, ("width", "classes")),
    "normed_cnn": (ee.models.normed_cnn, ("classes", "size")),
    "Sweeps": (ee.Sweeps, ("most", "change", "scallop")),
    "Projections": (ee.Projections, ("every", "radius")),
    "Records": (ee.Records, ("every",)),
    "Minibatch": (ee.noise.Minibatch, ("batch_size",)),
    "Isotropic": (ee.noise.Isotropic, ("temperature",)),
}


@pytest.mark.parametrize(("make", "key"), [(make, key) for make, keys in MADE.values() for key in keys])
def test_what_is_no_number_is_refused_where_a_thing_is_made(make, key):
    if key not in inspect.signature(make).parameters and make not in (with_settings, MADE["mlp"][0]):
        pytest.skip("this valley has no such setting")
    for value in ["3", [3], object(), 1j, torch.ones(3), {}, NAN, -1]:
        with pytest.raises(ValueError, match=r"(must be|is|lies) .*got"):
            make(**{key: value})


PROFILE = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck), "database": None}


@pytest.mark.parametrize("kind", LANDS)
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, **PROFILE)
@given(data=st.data())
def test_senseless_input_gives_words_or_finite_numbers(name, kind, data):
    attempt(name, kind, data)


@pytest.mark.soak
@pytest.mark.parametrize("kind", LANDS)
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=1000, **PROFILE)
@given(data=st.data())
def test_much_senseless_input_gives_words_or_finite_numbers(name, kind, data):
    attempt(name, kind, data)

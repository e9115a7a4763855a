"""The mutants: what is changed, what is no change, and that a change is tried on the module's own tests."""

import importlib
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("cosmic_ray", reason="cosmic-ray is not installed; pip install cosmic-ray")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    yield importlib.import_module("benchmarks.mutants")
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


def every(bench, source):
    made = (bench.mutant("m/n.py", source, *place) for places in bench.sites(source).values() for place in places)
    return {each.after for each in made if each is not None}


def test_operators_comparisons_numbers_and_conditions_are_changed(bench):
    assert every(bench, "def f(a, b):\n    return a + b\n") == {"return a - b"}
    assert {"return a >= b", "return a < b"} <= every(bench, "def f(a, b):\n    return a > b\n")
    assert {"if not a:", "x = 1"} <= every(bench, "if a:\n    x = 2\n")
    assert "for i in []:" in every(bench, "for i in range(3):\n    x = i\n")


def test_what_changes_no_result_is_no_mutant(bench):
    source = 'def f(a: int | None = None) -> "list[1]":\n    """Return 1 + 1."""\n    raise ValueError(f"{a + 1}")\n'
    assert every(bench, source) == set()
    assert every(bench, "if TYPE_CHECKING:\n    import a\n") == set()
    assert every(bench, "@dataclass(frozen=True)\nclass A:\n    x: int\n\n\nf(zip(a, b, strict=True))\n") == set()


def test_a_seed_chooses_the_same_changes_each_time_and_one_of_a_line(bench):
    modules = ["entropic_edu/physics/mean.py", "entropic_edu/networks/devices.py"]
    first, again, other = (bench.sample(modules, 12, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len({(each.module, each.line) for each in first}) == 12


def test_each_module_has_its_own_tests(bench):
    known = tomllib.loads((ROOT / "benchmarks/mutants.toml").read_text())
    for module, tests in known["tests"].items():
        assert (ROOT / module).is_file()
        assert all((ROOT / "tests" / name).is_file() for name in tests)
    listed = {module for module in known["tests"] if module.split("/")[1] in ("physics", "networks", "sweeps", "data")}
    there = {
        str(path.relative_to(ROOT))
        for f in ("physics", "networks", "sweeps", "data")
        for path in ROOT.glob(f"entropic_edu/{f}/*.py")
    }
    assert {path for path in there - listed if not path.endswith("__init__.py")} == set()


def test_a_change_is_tried_on_tests_that_call_the_function_whose_body_it_is_in(bench):
    trial = importlib.import_module("benchmarks.trial")
    source = "A = 1\n\n\n@cache\ndef f(a, b=2):\n    c = 3\n\n    def g():\n        return c\n    return g\n"
    assert [trial.around(source, line) for line in range(1, 11)] == [0, 0, 0, 0, 0, 4, 4, 4, 8, 4]


def test_a_body_is_told_by_its_names_from_the_outermost_class_on_and_found_in_the_code(bench):
    trial = importlib.import_module("benchmarks.trial")
    source = "class A:\n    b = 1\n\n    def f(self, c=2):\n        def g():\n            return 3\n        return g\n"
    source += "\n\ndef f():\n    4\n"
    assert [trial.named(source, line) for line in range(1, 12)] == [None] * 4 + ["A.f"] * 3 + [None] * 3 + ["f"]
    code = compile(source, "source", "exec")
    assert trial.body_of(code, ["A", "f"]).co_varnames == ("self", "c", "g")
    assert trial.body_of(code, ["A", "g"]) is None


@pytest.mark.soak
def test_a_break_that_matters_is_noticed_and_the_copy_is_mended_after_it(bench, tmp_path):
    module, files = "entropic_edu/physics/mean.py", ["tests/physics/test_mean.py"]
    place = bench.Bench(tmp_path, 1)
    source = (ROOT / module).read_text()
    line = source[: source.index("abs(factor)")].count("\n") + 1
    assert place.run(module, source + "\n# nothing\n", 0, files)[0]
    assert place.run(module, source + "\n# nothing\n", line, files)[0]
    assert not place.run(module, source.replace("abs(factor)", "factor"), line, files)[0]
    assert not place.run(module, "raise SystemExit(1)\n", 0, files)[0]
    assert (tmp_path / "0" / module).read_text() == source
    with pytest.raises(AssertionError, match="fails on the code as it is"):
        place.run(module, source, 0, ["tests/physics/no_such_test.py"])
    place.close()

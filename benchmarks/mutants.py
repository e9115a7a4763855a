"""Break the code at random and see whether a test of that module notices: ``make mutants``.

The changes are those of cosmic-ray, one at a time: another operator, another comparison, a number off by one, a
condition turned round, a loop left out. Each is tried in a copy of the checkout against the module's own tests, which
``mutants.toml`` names; those listed there as equivalent, with a reason, are not counted. The sample is seeded, so that
two runs of one seed try the same changes.

    python -m benchmarks.mutants --count 300 --seed 0
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import random
import re
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.trial import ROOT, Bench

OPERATORS = (
    "AddNot",
    "NumberReplacer",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceTrueWithFalse",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_USub",
    "ZeroIterationForLoop",
    *(f"ReplaceBinaryOperator_{a}_{b}" for a, b in (("Add", "Sub"), ("Sub", "Add"), ("Mul", "Div"), ("Div", "Mul"))),
    *(f"ReplaceBinaryOperator_{a}_{b}" for a, b in (("Pow", "Mul"), ("Mod", "Mul"), ("FloorDiv", "Mul"))),
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, b in (("Lt", "LtE"), ("LtE", "Lt"), ("Gt", "GtE"), ("GtE", "Gt"))),
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, b in (("Lt", "Gt"), ("Gt", "Lt"), ("Eq", "NotEq"), ("NotEq", "Eq"))),
)


CHECKS = ("strict", "frozen")  # arguments that change no result: Python looks at lengths, and refuses assignments


@dataclass(frozen=True)
class Mutant:
    """One change of one module; ``before`` and ``after`` are the line that differs, or the first of them."""

    module: str  # from the root of the checkout
    line: int
    before: str
    after: str
    code: str  # of the whole module

    @property
    def folder(self) -> str:
        return Path(self.module).parts[1]

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.module}\n{self.code}".encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.before}  ->  {self.after}"


def sites(source: str) -> dict[int, list[tuple[str, int]]]:
    """Return by line what could be changed there: the name of an operator and which of its occurrences."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator

    nodes, found = list(ast_nodes(get_ast(source))), dict[int, list[tuple[str, int]]]()
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        places = (place for node in nodes for place in operator.mutation_positions(node))
        for occurrence, ((line, _), _) in enumerate(places):
            found.setdefault(line, []).append((name, occurrence))
    return found


def mutant(module: str, source: str, operator: str, occurrence: int) -> Mutant | None:
    """Return a change; None where only a type, a docstring, the text of an error or a check of Python's differs."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    code = mutate_code(source, get_operator(f"core/{operator}")(), occurrence)
    if code is None or _meaning(code) in (_meaning(source), None):
        return None
    lines = zip(source.splitlines(), code.splitlines(), strict=False)
    line, (before, after) = next((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
    return Mutant(module, line, before.strip(), after.strip(), code)


def _meaning(source: str) -> str | None:
    """Return the syntax tree without annotations, docstrings, text of errors and ``CHECKS``; None if there is none."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            node.annotation = ast.Constant(0)
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.Call):
            node.keywords = [each for each in node.keywords if each.arg not in CHECKS]
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.test = ast.Constant(0)
        if isinstance(node, ast.Raise):
            node.exc = ast.Constant(0)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(0)
    return ast.dump(tree)


def sample(modules: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """Return ``count`` mutants, one of a line, in proportion to the lines of each module that can be changed."""
    chance, chosen = random.Random(seed), list[Mutant]()
    sources = {module: (ROOT / module).read_text() for module in modules}
    lines = [(module, places) for module in modules for places in sites(sources[module]).values()]
    chance.shuffle(lines)
    for module, places in lines:
        chance.shuffle(places)
        each = next(filter(None, (mutant(module, sources[module], *place) for place in places)), None)
        if each is not None:
            chosen.append(each)
        if len(chosen) == count:
            break
    return chosen


class Kept:
    """What was found so far, a line of JSON each, so that a run that is stopped goes on; without a file, nothing is."""

    def __init__(self, place: Path | None) -> None:
        self.place, self.found = place, dict[str, bool]()
        if place is not None and place.exists():
            self.found = dict(json.loads(line) for line in place.read_text().splitlines())

    def noticed(self, bench: Bench, each: Mutant, files: Sequence[str]) -> bool:
        """Return whether a test notices, from the file or by a run that is then kept."""
        if each.key not in self.found:
            passed, took = bench.run(each.module, each.code, each.line, files)
            self.found[each.key] = not passed
            print(f"{'survived' if passed else 'noticed'} {took:6.1f} s  {each}", flush=True)
            if self.place is not None:
                with self.place.open("a") as file:
                    file.write(json.dumps([each.key, not passed]) + "\n")
        return self.found[each.key]


def main(arguments: Sequence[str] | None = None) -> float:
    """Try a sample, print what was noticed by folder and what was not, and return the share noticed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="of these changes those of modules whose path matches this")
    parser.add_argument("--kept", type=Path, help="a file that keeps what is found, and from which a run goes on")
    asked = parser.parse_args(arguments)
    kept = Kept(asked.kept)
    known = tomllib.loads((Path(__file__).with_suffix(".toml")).read_text())
    tests = {module: [f"tests/{name}" for name in own] for module, own in known["tests"].items()}
    same = {
        (each["module"], each["before"], after)
        for each in known["equivalent"]
        for after in ([each["after"]] if isinstance(each["after"], str) else each["after"])
    }
    chosen = [each for each in sample(list(tests), asked.count, asked.seed) if re.search(asked.only, each.module)]
    tried = [each for each in chosen if (each.module, each.before, each.after) not in same]
    together = [[each for each in tried if each.module == module] for module in tests]
    together.sort(key=len, reverse=True)
    tried = [each for some in together for each in some]
    print(f"{len(tried)} changes, and {len(chosen) - len(tried)} that are listed as equivalent", flush=True)
    by_folder = dict[str, list[bool]]()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.workers) as pool:
        bench = Bench(Path(folder), asked.workers)

        def noticed_of(some: Sequence[Mutant]) -> list[bool]:
            return [kept.noticed(bench, each, tests[each.module]) for each in some]

        found = [seen for some in pool.map(noticed_of, together) for seen in some]
        bench.close()
    for each, seen in zip(tried, found, strict=True):
        by_folder.setdefault(each.folder, []).append(seen)
    print(*(f"survived  {each}" for each, seen in zip(tried, found, strict=True) if not seen), sep="\n")
    for name, found in sorted(by_folder.items()):
        print(f"{name:10} {sum(found):4} of {len(found):4}  {100 * sum(found) / len(found):5.1f} %")
    every = [each for found in by_folder.values() for each in found]
    share = sum(every) / max(1, len(every))
    print(f"{'in all':10} {sum(every):4} of {len(every):4}  {100 * share:5.1f} %")
    return share


if __name__ == "__main__":
    main()

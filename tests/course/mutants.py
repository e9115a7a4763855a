"""Wrong answers that nobody listed, made by changing a lesson's solution: one operator, number, name or factor.

``python tests/course/mutants.py 02`` prints, for each exercise of a lesson, ten of them and what the check replies.
"""

import ast
import copy
import random
import re
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from torch import Tensor

from entropic_edu import course
from entropic_edu.teaching import calls, diagnose
from entropic_edu.teaching.check import check

SOURCES = Path(__file__).resolve().parents[2] / "lessons" / "src"
WANTED = 10  # wrong answers for an exercise
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.NotEq, ast.MatMult: ast.Mult,
}  # fmt: skip
NAMES = {
    "max": "min", "min": "max", "sum": "max", "mean": "sum", "std": "var", "stdev": "variance", "log": "log10",
    "sin": "cos", "argmax": "argmin", "square": "abs", "median": "mean", "sqrt": "exp",
}  # fmt: skip


@dataclass(frozen=True)
class Wrong:
    """A changed solution, what it gives, and what the check replies."""

    change: str
    verdict: object


def solution(number, exercise):
    """Return the code before an exercise's solution, and the statements of the solution, its name the last of them."""
    source = next(SOURCES.glob(f"{number}_*.py")).read_text("utf-8")
    before = []
    for cell in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        head, _, body = cell.partition("\n")
        if "[markdown]" in head or "exercise" in head:
            continue
        tree = ast.parse(re.sub(r"^%.*$", "", body, flags=re.MULTILINE)).body
        asked = [node.value for node in tree if is_check(node, exercise.number)]
        if asked:
            kept = [node for node in tree if not calls_lesson(node)]
            return before, kept, asked[0].args[1]
        before += [node for node in tree if isinstance(node, ast.Import | ast.ImportFrom)]
        before += [node for node in tree if "solution" in head and not calls_lesson(node)]
    raise LookupError(f"lessons/src/{number}_*.py has no solution of exercise {exercise.number}")


def calls_lesson(node):
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("lesson.")


def is_check(node, number):
    wanted = isinstance(node, ast.Expr) and ast.unparse(node).startswith(f"lesson.check('{number}'")
    return wanted and isinstance(node.value, ast.Call)


def run(before, statements, name):
    """Return what the solution hands in."""
    space = {}
    tree = ast.Module([*before, *statements, ast.Assign([ast.Name("handed_in", ast.Store())], name)], [])
    exec(compile(ast.fix_missing_locations(tree), "<solution>", "exec"), space)
    return space["handed_in"]


def changed(statements):
    """Yield the statements with one thing changed, and what was changed."""
    for number, statement in enumerate(statements):
        for path in paths(statement):
            for node in variants(at(statement, path), arguments(statement), texts(statement)):
                fresh = copy.deepcopy(statement)
                put(fresh, path, node)
                yield ast.unparse(fresh), [*statements[:number], fresh, *statements[number + 1 :]]


def paths(node, path=()):
    """Yield the way to each expression."""
    for field, value in ast.iter_fields(node):
        if field in {"args", "decorator_list", "targets"} and not isinstance(node, ast.Call):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                here = (*path, (field, index))
                if isinstance(child, ast.expr) and not isinstance(getattr(child, "ctx", None), ast.Store):
                    yield here
                yield from paths(child, here)


def at(node, path):
    for field, index in path:
        node = getattr(node, field) if index is None else getattr(node, field)[index]
    return node


def put(node, path, new):
    node, (field, index) = at(node, path[:-1]), path[-1]
    if index is None:
        setattr(node, field, new)
    else:
        getattr(node, field)[index] = new


def arguments(statement):
    return [a.arg for a in statement.args.args] if isinstance(statement, ast.FunctionDef) else []


def texts(statement):
    return sorted({n.value for n in ast.walk(statement) if isinstance(n, ast.Constant) and isinstance(n.value, str)})


def load(name):
    """Return a name that is read; before Python 3.13 it does not compile without saying so."""
    return ast.Name(name, ast.Load())


def variants(node, names, words):
    """Yield what may stand in place of an expression."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in SWAPS:
                yield ast.BinOp(left, SWAPS[type(op)](), right)
            yield left
            if isinstance(op, ast.Mult | ast.Add):
                yield right
            if isinstance(op, ast.Sub | ast.Div | ast.Pow):
                yield ast.BinOp(right, op, left)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Compare(left=left, ops=[op], comparators=rest) if type(op) in SWAPS:
            yield ast.Compare(left, [SWAPS[type(op)]()], rest)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield from (body, orelse, ast.IfExp(test, orelse, body))
        case ast.Call(func=ast.Name(id=name), args=given):
            if name in NAMES:
                yield ast.Call(load(NAMES[name]), given, [])
            if len(given) == 1:
                yield given[0]
        case ast.Call(func=ast.Attribute(value=value, attr=name), args=given, keywords=keywords):
            if name in NAMES:
                yield ast.Call(ast.Attribute(value, NAMES[name], ast.Load()), given, keywords)
            yield given[0] if given and isinstance(value, ast.Name) and value.id in {"torch", "math"} else value
        case ast.Constant(value=bool()):
            return
        case ast.Constant(value=int() | float() as value):
            yield from map(ast.Constant, (value + 1, 2 * value, value / 2, -value))
        case ast.Constant(value=str() as value):
            yield from (ast.Constant(word) for word in words if word != value)
        case ast.Name(id=name, ctx=ast.Load()) if name in names:
            yield from (load(other) for other in names if other != name)
            yield from (ast.BinOp(node, ast.Mult(), ast.Constant(2)), ast.BinOp(node, ast.Pow(), ast.Constant(2)))
    if isinstance(node, ast.BinOp):
        yield ast.Call(load("abs"), [node], [])


def wrong_answers(number, exercise, wanted=WANTED):
    """Return up to ``wanted`` wrong answers that differ and that no slip lists, and those that pass though wrong."""
    before, statements, name = solution(number, exercise)
    reference = run(before, statements, name)
    draw = random.Random(f"{number} {exercise.number}")
    once = list(changed(statements))
    draw.shuffle(once)
    twice = (each for _, other in draw.sample(once, min(8, len(once))) for each in _shuffled(changed(other), draw)[:12])
    found, passing, seen = [], [], set()
    for change, tree in (*once, *twice):
        try:
            answer = run(before, tree, name)
        except Exception:  # the solution is a value, and this one is none
            continue
        verdict = check(number, exercise, answer)
        if verdict.right:
            passing += [change] if differs(exercise, answer, reference) else []
            continue
        kind = behaviour(exercise, answer)
        if kind in seen or verdict.slip:
            continue
        seen.add(kind)
        found.append(Wrong(change, verdict))
        if len(found) == wanted:
            break
    return found, passing


def _shuffled(changes, draw):
    changes = list(changes)
    draw.shuffle(changes)
    return changes


def behaviour(exercise, answer):
    """Return what an answer gives for the cases, to tell whether two are one."""
    names = [str(place) for place in range(len(exercise.cases[0]))]
    try:
        given = calls.HandedIn(answer, names, "", exercise.cases[0])
        return repr([_rounded(given.probe(case)) for case in exercise.cases])
    except calls.Unfit as problem:
        return str(problem)


def _rounded(value):
    try:
        known = calls.value_of(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return known if isinstance(known, str) else [f"{v:.6g}" for v in known.ravel()]


def differs(exercise, answer, reference):
    """Whether an answer that passes differs from the solution for values near those of the cases."""
    if not exercise.cases[0] or any(isinstance(value, str) for value in exercise.cases[0]):
        return False
    names = [str(place) for place in range(len(exercise.cases[0]))]
    both = [calls.HandedIn(each, names, "", exercise.cases[0]) for each in (answer, reference)]
    for each in both:
        each.end(5.0)
    for case in exercise.cases:
        for _, argument, near in diagnose.changes(names, case):
            own = names.index(argument)
            if rises(case[own]) and not rises(near[own]):  # values that stand in order are to be given in order
                continue
            if signs(case[own]):  # v and 1/v are one for signs, and signs are all it is to be given
                continue
            theirs, wanted = (_rounded(each.probe(near)) for each in both)
            if (
                isinstance(wanted, list)
                and "nan" not in wanted
                and theirs != wanted
                and not _near(theirs, wanted, exercise)
            ):
                return True
    return False


def rises(value):
    """Whether a value is a list of numbers, each larger than the one before."""
    numbers = value.tolist() if isinstance(value, Tensor) else value
    if not isinstance(numbers, list) or not all(isinstance(each, int | float) for each in numbers):
        return False
    return all(low < high for low, high in pairwise(numbers))


def signs(value):
    """Whether a value is an array of random signs."""
    return isinstance(value, Tensor) and value.ndim > 0 and bool((value.abs() == 1).all())


def _near(theirs, wanted, exercise):
    if not isinstance(theirs, list) or len(theirs) != len(wanted):
        return False
    return np.allclose(np.array(theirs, float), np.array(wanted, float), rtol=10 * exercise.tolerance)


def main(lessons):
    """Print a table."""
    for number in lessons:
        for exercise in course.chapter(number).exercises:
            found, passing = wrong_answers(number, exercise)
            named = sum(bool(each.verdict.named) for each in found)
            print(f"\n=== {exercise.number} {exercise.name}: {named} of {len(found)} named, {len(passing)} pass")
            for each in found:
                print(f"--- {each.change}\n    [{each.verdict.named or 'NOT NAMED'}] ", end="")
                print(each.verdict.message.partition("\n")[2].replace("\n", "\n    "))
            for each in passing:
                print(f"--- PASSES: {each}")


if __name__ == "__main__":
    main(sys.argv[1:] or list(course.MODULES))

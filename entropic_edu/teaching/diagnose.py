"""What is wrong with numbers that no listed slip explains: found by comparing them with the right ones, and by trying.

The truth is a function, and so is the answer: one number of a case is changed, and both tell what they make of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .calls import HandedIn, Unfit, copied, fitting, value_of
from .strings import text

Numbers = NDArray[np.float64]
STEP = 1.37  # factor by which one argument changes
LEAVES = 40  # numbers of a case that are tried one by one, at most
CLOSE = 2e-3  # relative difference below which two numbers count as the same
POWERS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1.5, -1.5, 3.0, -3.0)


@dataclass(frozen=True)
class Found:
    """A slip in words, and its kind."""

    kind: str
    message: str


@dataclass(frozen=True)
class Story:
    """What is asked, and what was handed in."""

    truth: Callable[..., Any]
    answer: HandedIn
    names: Sequence[str]
    cases: Sequence[tuple[Any, ...]]
    tolerance: float

    def right(self, case: Sequence[Any]) -> Numbers | None:
        """Return the right numbers for any case; None where there are none."""
        try:
            value = value_of(self.truth(*copied(case)))
        except Exception:  # a case that no answer has to bear
            return None
        return value if isinstance(value, np.ndarray) and np.isfinite(value).all() else None

    def given(self, case: Sequence[Any], wanted: Numbers) -> Numbers | None:
        """Return the learner's numbers for any case; None where there are none of the wanted shape."""
        value = fitting(self.answer.probe(case), wanted, "", ())
        return None if isinstance(value, str | Unfit) else value


def named(story: Story, given: Sequence[Numbers], good: Sequence[bool]) -> Found | None:
    """Return what the numbers are in place of the right ones, or which argument or entry is at fault."""
    wanted = [story.right(case) for case in story.cases]
    known = [(case, g, w) for case, g, w in zip(story.cases, given, wanted, strict=True) if w is not None]
    if len(known) < len(wanted):
        return None
    if found := _explained(story, known):
        return found
    missed = [each for each, fine in zip(known, good, strict=True) if not fine]
    found = _explained(story, missed) if len(missed) < len(known) else None
    return Found("argument", text("check.where_wrong", found=found.message)) if found else None


def _explained(story: Story, known: Sequence[tuple[Sequence[Any], Numbers, Numbers]]) -> Found | None:
    """Return what explains the results of these cases, each with the learner's numbers and the right ones."""
    cases, given, wanted = [each[0] for each in known], [each[1] for each in known], [each[2] for each in known]
    tried = list(_tries(story, cases, given, wanted))
    flat = np.concatenate([v.ravel() for v in (*given, *(t.after[1] for t in tried))])
    true = np.concatenate([v.ravel() for v in (*wanted, *(t.after[0] for t in tried))])
    if _same(flat, true):  # a little off, which any rule would fit
        return None
    return (
        _whole(flat, true)
        or _counted(story.names, cases, given, wanted, tried)
        or _swapped(story, cases, given)
        or _indices(given, wanted)
        or _power(story.names, cases, tried)
        or _by_count(story.names, cases, tried)
        or _argument(tried)
        or _ends(story, cases)
    )


def _same(a: Numbers, b: Numbers) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.isfinite(b).all() and np.allclose(a, b, rtol=CLOSE, atol=1e-12))


def _constant(values: Numbers) -> bool:
    """Whether all are one number, which is not 0; however small it is."""
    with np.errstate(all="ignore"):
        return bool(np.allclose(values / values[0], 1, rtol=CLOSE, atol=0))


def _whole(given: Numbers, true: Numbers) -> Found | None:
    """One rule for all results: rounding, a factor, an offset, another function of the right one."""
    for decimals in range(7):
        rounded = np.round(true, decimals)
        if np.allclose(given, rounded, rtol=1e-6, atol=0) and (np.abs(given - true) <= 0.2 * np.abs(true)).all():
            return Found("whole", text("check.rounded", subject=_subject(given)))
    nonzero = true != 0
    if nonzero.any() and (given[~nonzero] == 0).all():
        ratios = given[nonzero] / true[nonzero]
        if _constant(ratios) and (found := _factor(float(ratios[0]), given)):
            return found
    with np.errstate(all="ignore"):
        others = {
            "check.inverse": 1 / true,
            "check.inverse_sign": -1 / true,
            "check.absolute": np.abs(true),
            "check.rest": 1 - true,
            "check.logarithm": np.log(true),
            "check.exponential": np.exp(true),
        }
        powers = [(power, given / np.abs(true) ** power) for power in POWERS[2:]]
    for key, other in others.items():
        if _same(given, other):
            return Found("whole", text(key, subject=_subject(given)))
    for power, left in powers:
        if len(left) > 1 and _constant(left):
            return Found("whole", text("check.power_of_right", power=f"{power:g}"))
    off = given - true
    if len(off) > 1 and _constant(off):
        return Found("whole", text("check.offset", amount=f"{off[0]:.4g}"))
    if len(given) > 1 and _same(np.sort(given), np.sort(true)):
        return Found("whole", text("check.order"))
    return None


def _subject(given: Numbers) -> str:
    return text("check.every" if len(given) > 1 else "check.yours")


def _factor(ratio: float, given: Numbers) -> Found | None:
    """Name a constant factor; of a single number only one that a slip makes often."""
    if math.isclose(ratio, 100, rel_tol=CLOSE) or math.isclose(ratio, 0.01, rel_tol=CLOSE):
        return Found("whole", text("check.percent" if ratio > 1 else "check.percent_twice", subject=_subject(given)))
    if math.isclose(ratio, -1, rel_tol=CLOSE):
        return Found("whole", text("check.sign", subject=_subject(given)))
    often = any(math.isclose(abs(ratio), size, rel_tol=CLOSE) for size in (0.25, 0.5, 2, 4, 10, 0.1, 1000, 0.001))
    if not (len(given) > 1 or often):
        return None
    size = abs(ratio)
    words = (
        f"1/{1 / size:.4g}" if size < 1 and math.isclose(1 / size, round(1 / size), rel_tol=CLOSE) else f"{size:.4g}"
    )
    return Found(
        "whole", text("check.factor" if ratio > 0 else "check.factor_sign", factor=words, subject=_subject(given))
    )


def _counted(
    names: Sequence[str],
    cases: Sequence[Sequence[Any]],
    given: Sequence[Numbers],
    wanted: Sequence[Numbers],
    tried: Sequence[_Tried],
) -> Found | None:
    """A deviation that divides by n in place of n - 1, or by n - 1 in place of n."""
    if not all(t.ratio() for t in tried):
        return None
    for position, name in enumerate(names):
        sizes = [_length(case[position]) for case in cases]
        if min(sizes) < 2:
            continue
        for key, power in itertools.product(("check.population", "check.sample"), (0.5, 1.0)):
            turn = 1 if key == "check.population" else -1
            factors = [((n - 1) / n) ** (turn * power) for n in sizes]
            if all(_same(g, w * f) for g, w, f in zip(given, wanted, factors, strict=True)):
                return Found("whole", text(key, name=name))
    return None


def _by_count(names: Sequence[str], cases: Sequence[Sequence[Any]], tried: Sequence[_Tried]) -> Found | None:
    """A factor that only the number of values decides."""
    counted = [name for name, value in zip(names, cases[0], strict=False) if _length(value)]
    if counted and tried and all(t.ratio() for t in tried):
        return Found("argument", text("check.count", name=text("check.and").join(counted)))
    return None


def _length(value: Any) -> int:
    if isinstance(value, Tensor | np.ndarray):
        return len(value) if value.ndim == 1 else 0
    return len(value) if isinstance(value, list | tuple) else 0


def _swapped(story: Story, cases: Sequence[Sequence[Any]], given: Sequence[Numbers]) -> Found | None:
    """Two arguments exchanged."""
    for i, j in itertools.combinations(range(len(story.names)), 2):
        turned = [list(case) for case in cases]
        for case in turned:
            case[i], case[j] = case[j], case[i]
        others = [story.right(case) if _alike(case[i], case[j]) else None for case in turned]
        if all(o is not None and o.shape == g.shape and _same(g, o) for g, o in zip(given, others, strict=True)):
            return Found("whole", text("check.swapped", one=story.names[i], other=story.names[j]))
    return None


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape
    return _is_number(one) and _is_number(other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class _Tried:
    """What a change of one number of a case does to the right result and to the learner's."""

    leaf: str
    argument: str
    case: int
    before: tuple[Numbers, Numbers]  # right, given
    after: tuple[Numbers, Numbers]

    def ratio(self) -> bool:
        """Whether both change by one factor."""
        (w, g), (ww, gg) = self.before, self.after
        return _same(gg * w, g * ww)

    def difference(self) -> bool:
        """Whether both change by one amount."""
        (w, g), (ww, gg) = self.before, self.after
        return bool(np.abs((gg - g) - (ww - w)).max() <= CLOSE * max(np.abs(ww - w).max(), 1e-9 * np.abs(ww).max()))


def _argument(tried: Sequence[_Tried]) -> Found | None:
    """The argument that the result does not follow, or follows in the wrong way."""
    every = list(dict.fromkeys(each.leaf for each in tried))
    by_factor = [leaf for leaf in every if not all(t.ratio() for t in tried if t.leaf == leaf)]
    by_amount = [leaf for leaf in every if not all(t.difference() for t in tried if t.leaf == leaf)]
    accused = min((each for each in (by_factor, by_amount) if each), key=len, default=[])
    idle = [leaf for leaf in every if _still(tried, leaf, 1) and not _still(tried, leaf, 0)]
    busy = [leaf for leaf in every if _still(tried, leaf, 0) and not _still(tried, leaf, 1)]
    if idle:
        return Found("argument", text("check.ignores", name=text("check.and").join(idle)))
    if busy:
        return Found("argument", text("check.depends", name=text("check.and").join(busy)))
    if len(accused) < len(every) and (name := _in_short(tried, accused)):
        return Found("argument", text("check.argument", name=name))
    steps = [step for leaf in accused if (step := _exponents(tried, leaf))][:2]
    return Found("argument", "\n".join(steps)) if steps else _at_one_place(tried)


def _in_short(tried: Sequence[_Tried], leaves: Sequence[str]) -> str:
    """Name the numbers of one argument, or two arguments; more say nothing."""
    names = list(dict.fromkeys(t.argument for t in tried if t.leaf in leaves))
    return text("check.and").join(leaves if len(names) == 1 else names) if len(names) <= 2 else ""


def _at_one_place(tried: Sequence[_Tried]) -> Found | None:
    """A number that the learner's result follows in one case, and the right one does not, or the other way round."""
    for t in tried:
        follows, should = (not _same(t.before[which], t.after[which]) for which in (1, 0))
        if follows != should:
            return Found("argument", text("check.follows" if follows else "check.stays", name=t.leaf))
    return None


def _tries(
    story: Story, cases: Sequence[Sequence[Any]], given: Sequence[Numbers], wanted: Sequence[Numbers]
) -> Iterator[_Tried]:
    for number, case in enumerate(cases):
        for leaf, name, changed in itertools.islice(changes(story.names, case), LEAVES):
            after = story.right(changed)
            if after is None or after.shape != wanted[number].shape:
                continue
            theirs = story.given(changed, after)
            if theirs is not None:
                yield _Tried(leaf, name, number, (wanted[number], given[number]), (after, theirs))


def changes(names: Sequence[str], case: Sequence[Any]) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield the name of each number in a case, that of its argument, and the case with this number changed."""
    for position, (name, value) in enumerate(zip(names, case, strict=False)):
        if _is_number(value):
            bigger = type(value)(_grown(value))
            yield name, name, [*case[:position], bigger, *case[position + 1 :]]
        elif _is_short(value):
            yield from _entries(position, name, case)


def _is_short(value: Any) -> bool:
    """Whether a value is a list of numbers, or a matrix, whose entries or columns can be tried one by one."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 2:
        return 0 < value.shape[1] <= 16
    return 0 < _length(value) <= 16 and all(_is_number(v) or isinstance(v, Tensor | np.number) for v in value)


def _entries(position: int, name: str, case: Sequence[Any]) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield a case with one entry of a list changed: a little, and to the largest; of a matrix, one column."""
    values = case[position]
    flat = np.abs(value_of(values))
    assert not isinstance(flat, str)
    top = 1.5 * float(flat.max()) + 0.1
    count = flat.shape[-1]
    for index in range(count):
        where = "check.first" if index == 0 else "check.last" if index == count - 1 else "check.inner"
        value = values[index] if flat.ndim == 1 else None
        small = value + 1 if isinstance(value, int) else value * STEP if value else 0.37
        large = int(top) + 1 if isinstance(value, int) else top
        for changed in (small, large) if value is not None and count <= 8 else (small,):
            fresh: Any = list(values) if isinstance(values, tuple) else copied([values])[0]
            if value is None:
                fresh[:, index] *= STEP
            else:
                fresh[index] = changed
            yield text(where, name=name), name, [*case[:position], fresh, *case[position + 1 :]]


def _power(names: Sequence[str], cases: Sequence[Sequence[Any]], tried: Sequence[_Tried]) -> Found | None:
    """One argument, or one argument and a constant, as a factor too much."""
    for position, name in enumerate(names):
        bases = [case[position] for case in cases]
        if not all(_is_number(base) and base > 0 for base in bases) or not any(t.leaf == name for t in tried):
            continue
        points = [(float(bases[t.case]), *t.before) for t in tried]
        points += [(_grown(bases[t.case]) if t.leaf == name else float(bases[t.case]), *t.after) for t in tried]
        if not all(right.all() for _, right, _ in points):
            return None
        for power in POWERS:
            left = np.concatenate([(theirs / right).ravel() / size**power for size, right, theirs in points])
            if _constant(left):
                key = "check.power" if math.isclose(left[0], 1, rel_tol=CLOSE) else "check.power_and_factor"
                return Found("whole", text(key, power=_in_words(name, power), factor=f"{left[0]:.4g}"))
    return None


def _grown(value: float) -> float:
    """Return a number after its change."""
    return float((2 * value or 1) if isinstance(value, int) else STEP * value if value else 0.37)


def _in_words(name: str, power: float) -> str:
    size = abs(power)
    word = name if size == 1 else text("check.root_of", name=name) if size == 0.5 else f"{name}^{size:g}"
    return text("check.times" if power > 0 else "check.divided", what=word)


def _still(tried: Sequence[_Tried], leaf: str, which: int) -> bool:
    """Whether the right results (0) or the learner's (1) never follow a number."""
    return all(_same(t.before[which], t.after[which]) for t in tried if t.leaf == leaf)


def _exponents(tried: Sequence[_Tried], leaf: str) -> str:
    """Say how the learner's result follows one number, where it does so in another way than the right one."""
    for t in tried:
        should, follows = (np.sign(np.abs(a) - np.abs(b)).mean() for a, b in zip(t.after, t.before, strict=True))
        if t.leaf == leaf and should * follows == -1:  # all entries the other way
            up = follows > should
            said, wanted = ("check.follows_up", "check.right_down") if up else ("check.follows_down", "check.right_up")
            return f"{text(said, name=leaf)} {text(wanted)}"
    return ""


def _ends(story: Story, cases: Sequence[Sequence[Any]]) -> Found | None:
    """An argument at whose one end the results are right, and wrong at the other: one term of a sum is wrong."""
    for position, name in enumerate(story.names):
        if not all(isinstance(case[position], float) and case[position] > 0 for case in cases):
            continue
        fits = []
        for factor in (1e3, 1e-3):
            far = [[*case[:position], case[position] * factor, *case[position + 1 :]] for case in cases]
            pairs = [(w, story.given(case, w)) for case in far if (w := story.right(case)) is not None]
            fits.append(bool(pairs) and all(g is not None and np.allclose(w, g, rtol=0.02, atol=0) for w, g in pairs))
        if fits[0] != fits[1]:
            return Found("argument", text("check.large_right" if fits[0] else "check.small_right", name=name))
    return None


def _indices(given: Sequence[Numbers], wanted: Sequence[Numbers]) -> Found | None:
    """The entries of an array that are wrong, where others are right."""
    for g, w in zip(given, wanted, strict=True):
        wrong = np.flatnonzero(~np.isclose(g, w, rtol=CLOSE, atol=1e-9 * np.abs(w).max(initial=0)))
        if 0 < len(wrong) < w.size:
            listed = ", ".join(map(str, wrong[:6])) + ("…" if len(wrong) > 6 else "")
            return Found("entries", text("check.indices", wrong=listed, count=len(wrong), of=w.size))
    return None

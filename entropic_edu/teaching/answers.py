"""What a learner has answered: predictions and passed checks, in one file on this machine. Nothing is sent anywhere.

The folder is ENTROPIC_EDU_HOME, or else ``~/.local/share/entropic_edu``. With ENTROPIC_EDU_ANSWERS=off nothing is read
or written, and all is forgotten when the kernel ends.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeAlias

import filelock

from entropic_edu.physics.results import behind_links, write_whole

from .strings import text

FORMAT, KIND = 1, "entropic_edu answers"
PATIENCE = 10.0  # seconds to wait for other kernels, which hold the lock for milliseconds
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # a file system that has none


@dataclass(frozen=True)
class Made:
    """A prediction that was locked in. When it was made is not kept."""

    lesson: str  # its number, such as "02"
    question: str  # name of the question in its lesson
    choice: str  # key of the option
    confidence: float  # how sure the learner was, in (0, 1]
    right: bool  # whether the result bears the choice out

    def __post_init__(self) -> None:
        sure = isinstance(self.confidence, float | int) and 0 < self.confidence <= 1
        named = all(isinstance(word, str) for word in (self.lesson, self.question, self.choice))
        if not (sure and named and isinstance(self.right, bool)):
            raise ValueError("a bet that this package did not write")


# what one file holds: each bet by (BET, lesson, question), and (PASSED, lesson, exercise) of each passed check
BET, PASSED = "bet", "passed"
_Kept: TypeAlias = dict[tuple[str, str, str], Made | None]


def _written(kept: _Kept) -> bytes:
    bets = [dataclasses.asdict(made) for _, made in sorted(kept.items()) if made is not None]
    passed = [key[1:] for key in sorted(kept) if key[0] == PASSED]
    content = {"kind": KIND, "format": FORMAT, "bets": bets, "passed": passed, "checksum": _checksum(bets, passed)}
    return (json.dumps(content, indent=1) + "\n").encode()


def _parsed(content: bytes) -> _Kept:
    """Return what a file holds, or raise ValueError with the reason why it is none of ours."""
    try:
        found: dict[str, Any] = json.loads(content)
        if (found["kind"], found["format"]) != (KIND, FORMAT):
            raise ValueError(f"format {found['format']} instead of {FORMAT}")
        if found.get("checksum", written := _checksum(found["bets"], found["passed"])) != written:
            raise ValueError("its checksum is another")  # files of before this was kept have none
        kept: _Kept = {(PASSED, lesson, exercise): None for lesson, exercise in found["passed"]}
        if not all(isinstance(word, str) for word in chain(*kept)):
            raise ValueError("an exercise without a name")
        return kept | {(BET, made.lesson, made.question): made for made in (Made(**each) for each in found["bets"])}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _checksum(bets: Any, passed: Any) -> str:  # so that one flipped letter is noticed
    return hashlib.sha256(json.dumps([bets, passed]).encode()).hexdigest()


class Answers:
    """The answers in a folder, which is made when the first answer is, or with no folder in memory only.

    Nothing here raises for a disk that is full, read-only or gone: answers then stay in memory, ``news`` says so once,
    and the next write that works takes them along. Several kernels, and several threads, may write at once.
    ``answers.json`` may be a link.
    """

    def __init__(self, folder: Path | None) -> None:
        self.file = None if folder is None else folder / "answers.json"
        self._lock, self._said = threading.RLock(), False
        self._memory: _Kept = {}
        self._news: list[str] = []

    @property
    def bets(self) -> list[Made]:
        """All bets of all lessons, in the order of lessons and names."""
        return [made for _, made in sorted(self._now().items()) if made is not None]

    def bet(self, lesson: str, question: str) -> Made | None:
        """Return the bet on a question, or None."""
        return self._now().get((BET, lesson, question))

    def passed(self, lesson: str) -> set[str]:
        """Return the numbers of the exercises of a lesson that were passed."""
        return {exercise for kind, number, exercise in self._now() if (kind, number) == (PASSED, lesson)}

    def add_bet(self, made: Made) -> None:
        """Keep a bet; where there is one on this question the first one stays, as the one made before the result."""
        self._change(lambda kept: kept.setdefault((BET, made.lesson, made.question), made))

    def add_passed(self, lesson: str, exercise: str) -> None:
        """Keep that an exercise was passed."""
        self._change(lambda kept: kept.setdefault((PASSED, lesson, exercise)))

    def forget(self, lesson: str) -> None:
        """Delete all that is kept of a lesson."""
        self._change(lambda kept: [kept.pop(key) for key in list(kept) if key[1] == lesson])

    def news(self) -> str:
        """Return what the learner must be told about the file, each thing once; mostly nothing, an empty string."""
        with self._lock:
            told, self._news = " ".join(self._news), []
        return told

    def _now(self) -> _Kept:
        with self._lock:
            try:
                kept = {} if self.file is None else self._read(behind_links(self.file))
            except OSError as error:
                self._failed(error)
                kept = {}
            return self._memory | kept  # of two bets on one question the first stays, so no order of kernels matters

    def _change(self, change: Callable[[_Kept], object]) -> None:
        with self._lock:
            change(self._memory)
            if self.file is None:
                return
            try:
                file = behind_links(self.file)
                with _alone(file):
                    kept = self._read(file, alone=True)
                    change(kept)
                    write_whole(file, _written(self._memory | kept))
                self._memory = {}
            except OSError as error:
                self._failed(error)

    def _read(self, file: Path, alone: bool = False) -> _Kept:
        """Read the file; one that cannot be understood is moved aside, which only the holder of the lock may do."""
        try:
            return _parsed(file.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            if not alone:
                with _alone(file):
                    return self._read(file, alone=True)
            aside = next(name for n in count(1) if not (name := file.with_name(f"answers.broken-{n}.json")).exists())
            file.rename(aside)
            self._news.append(text("lesson.broken", file=file, aside=aside.name, reason=error))
            return {}

    def _failed(self, error: OSError) -> None:
        if not self._said:
            reason = os.strerror(error.errno) if error.errno else str(error)
            self._news.append(text("lesson.unsaved", file=self.file, reason=reason))
            self._said = True


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the lock beside a file, which the system releases when a kernel dies; raise an OSError without it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(behind_links(file.with_suffix(".lock")), timeout=PATIENCE)
    try:
        lock.acquire(poll_interval=0.01)
    except filelock.Timeout as error:
        raise TimeoutError(errno.EBUSY, "Another kernel holds the lock") from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise  # else go on: two kernels at once are rare, a lost answer is rarer
    try:
        yield
    finally:
        lock.release()


_at = cache(Answers)  # one for each folder: a setup cell that runs again finds what is only in memory


def here() -> Answers:
    """Return the answers where the environment says."""
    if os.environ.get("ENTROPIC_EDU_ANSWERS", "").lower() == "off":
        return Answers(None)
    try:
        return _at(Path(os.environ.get("ENTROPIC_EDU_HOME") or "~/.local/share/entropic_edu").expanduser())
    except RuntimeError:  # nobody's home: an account without one, as in some containers
        return Answers(None)

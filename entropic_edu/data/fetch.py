"""CIFAR-10 from the network, where somebody asks for it: ``entropic-edu data fetch cifar10``.

The archive is held to its hash, unpacked aside and moved into place by one rename: a copy is whole or not there.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import filelock
from tqdm.auto import tqdm

from entropic_edu import data

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 16  # bytes


@dataclass(frozen=True)
class Archive:
    """What is known of a tar.gz file beforehand."""

    url: str
    size: int  # bytes
    sha256: str  # hexadecimal
    folder: str  # the one folder in it
    files: Mapping[str, int]  # those that are wanted from that folder, with their sizes in bytes


CIFAR10 = Archive(  # its md5, c32a1d4ab5d03f1284b67883e8d87530, is published on that page; the sha256 is of that file
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    size=170_052_171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder=data.FOLDER,
    files=dict.fromkeys((*data.TRAIN_FILES, data.TEST_FILE), 10_000 * data.RECORD),
)


def cifar10(
    to: str | os.PathLike[str] | None = None,
    *,
    url: str | None = None,
    timeout: float = 30.0,
    progress: bool = False,
    say: Callable[[str], object] = print,
    archive: Archive = CIFAR10,
) -> Path:
    """Return a folder with all of CIFAR-10, fetched unless it is there.

    Args:
        to: Folder to put ``cifar-10-batches-bin`` in; None takes ``~/.cache/entropic_edu``, unless a whole copy is in
            one of the places where ``data.find_cifar10`` looks.
        url: Another address of the same archive; None takes the environment variable ENTROPIC_EDU_MIRROR, or the
            authors' own.
        timeout: Seconds without a single byte after which to give up.
        progress: Show a bar.
        say: Is told in words what happens.
        archive: What to fetch.

    Raises:
        ValueError: If the address is none of http or https, or "~" stands for nobody's home.
        OSError: If the archive cannot be had, is another one, or cannot be kept; the message says what to do. No
            incomplete copy is left.
    """
    url = url or os.environ.get("ENTROPIC_EDU_MIRROR") or archive.url
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"The address of the archive must begin with http:// or https://, got {url}.")
    root = Path(os.path.expanduser(to or data.CACHE))
    if str(root).startswith("~"):
        raise ValueError(f"{root.parts[0]} is nobody's home here; name another folder with --to.")
    target, part = root / archive.folder, root / f".{archive.folder}.fetch" / "archive.part"  # what came so far
    for folder in [target] if to else [target, *data.places(None)]:
        if _whole(folder, archive):
            say(f"A whole copy is in {folder}; nothing was fetched.")
            return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(root / f".{archive.folder}.lock")  # the system takes it from a process that dies
        try:
            held = lock.acquire(timeout=0)
        except filelock.Timeout:
            say(f"Another process is fetching into {root}; waiting for it.")
            held = lock.acquire()
        with held:
            if not _whole(target, archive):  # another process may have fetched it meanwhile
                _fetch(target, part, archive, url, timeout, progress, say)
    except OSError as error:
        if error.errno is None:  # said in our own words
            raise
        raise OSError(
            f"Could not write to {root} ({error.strerror}); {_megabytes(_needed(part, archive))} of space are needed "
            "there. Name another folder with --to, and run again."
        ) from error
    return target


def _whole(folder: Path, archive: Archive) -> bool:
    """Return whether a folder holds all images, in either version; a file of the python version is the larger one."""
    pairs = zip(data.files_of(folder), archive.files.values(), strict=True)
    return all(file.is_file() and file.stat().st_size >= size for file, size in pairs)


def _fetch(
    target: Path, part: Path, archive: Archive, url: str, timeout: float, progress: bool, say: Callable[[str], object]
) -> None:
    """Download, check, unpack and move into place; for one process at a time."""
    import pooch  # type: ignore[import-untyped]

    if target.exists() and any(target.iterdir()):
        raise OSError(f"{target} exists, but is no whole copy; move it away, or name another folder with --to.")
    part.parent.mkdir(exist_ok=True)
    root, needed = target.parent, _needed(part, archive)
    if (free := shutil.disk_usage(root).free) < needed:
        raise OSError(
            f"{root} has {_megabytes(free)} free, and {_megabytes(needed)} are needed; make space, or name another "
            "folder with --to."
        )
    say(f"Fetching {_megabytes(archive.size)} from {url} to {root}; the authors' server has been seen to take an hour.")
    if came := _came(part):
        say(f"Going on from {_megabytes(came)} that came before.")
    if _came(part) < archive.size:
        _transfer(part, archive, url, timeout, progress)  # pooch's own would begin anew
    if pooch.file_hash(part) != archive.sha256:
        part.unlink()
        raise OSError(
            f"What {url} sent is not the archive that was wanted: its hash is another (sha256 should be "
            f"{archive.sha256}). It was deleted. Run again, or name another address with --url."
        )
    unpacked = part.with_name(archive.folder)
    try:
        shutil.rmtree(unpacked, ignore_errors=True)  # of a process that was killed
        unpacked.mkdir()
        _unpack(part, unpacked, archive)
        os.replace(unpacked, target)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    shutil.rmtree(part.parent)


def _came(part: Path) -> int:
    """Return how many bytes of the archive came so far."""
    return part.stat().st_size if part.is_file() else 0


def _needed(part: Path, archive: Archive) -> int:
    """Return the bytes that are still to be written."""
    return archive.size - _came(part) + sum(archive.files.values())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size:,} bytes"


def _transfer(part: Path, archive: Archive, url: str, timeout: float, progress: bool) -> None:
    """Fill the part up to the archive's size, going on from what is there."""
    import requests
    from urllib3.exceptions import HTTPError  # reading raw bytes raises these, not those of requests

    came = _came(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={came}-"} if came else {})
    bar = tqdm(total=archive.size, initial=came, unit="B", unit_scale=True, disable=not progress)
    try:
        with bar, requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _check_answer(response, part, archive)
            with part.open("ab" if response.status_code == 206 else "wb") as file:
                bar.update(file.tell() - came)  # back to nothing, if the server cannot go on from the middle
                for chunk in response.raw.stream(CHUNK, decode_content=False):
                    if file.tell() + len(chunk) > archive.size:
                        file.truncate(0)
                        raise OSError(f"{url} sent more than the {archive.size:,} bytes of the archive. {_again(part)}")
                    bar.update(file.write(chunk))
    except (requests.RequestException, HTTPError) as error:
        inner: BaseException = error
        while inner.__context__ is not None:
            inner = inner.__context__
        if isinstance(inner, TimeoutError):
            raise OSError(f"{url} sent nothing for {timeout:g} s. {_again(part)}") from error
        why = getattr(inner, "strerror", None) or inner
        raise OSError(f"The connection to {url} failed or broke off ({why}). {_again(part)}") from error
    if _came(part) < archive.size:
        raise OSError(f"{url} broke off before its end. {_again(part)}")


def _check_answer(response: requests.Response, part: Path, archive: Archive) -> None:
    """Raise an OSError unless the server is about to send what is wanted, so that nobody waits an hour for it."""
    status, came, sent = response.status_code, _came(part), response.headers
    if status == 416 or (status == 206 and not sent.get("Content-Range", "").startswith(f"bytes {came}-")):
        part.unlink(missing_ok=True)
        raise OSError(f"{response.url} would not go on from byte {came:,}. {_again(part)}")
    if status not in (200, 206):
        raise OSError(f"{response.url} answered {status} {response.reason}. {_again(part)}")
    wanted = archive.size - (came if status == 206 else 0)
    length = sent.get("Content-Length", f"{wanted}")  # anything at all; one that is sent twice stands there twice
    if {each.strip() for each in length.split(",")} != {f"{wanted}"}:
        raise OSError(
            f"{response.url} has another file of {length:.40} bytes, wanted {wanted:,}; it may be a page that asks "
            f"you to log in. {_again(part)}"
        )


def _again(part: Path) -> str:
    """Return what to do after a transfer that failed."""
    came = _came(part)
    rest = f"the {_megabytes(came)} that came are kept. Run again to go on" if came else "run again"
    return f"No copy was made; {rest}, or name another address of the same archive with --url (or ENTROPIC_EDU_MIRROR)."


def _unpack(packed: Path, folder: Path, archive: Archive) -> None:
    """Write the wanted files under our own names for them: nothing goes where the archive says."""
    missing = dict(archive.files)
    try:
        with tarfile.open(packed, "r:gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if not (member.isreg() or member.isdir()):
                    raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")
                if path.parts[:1] != (archive.folder,) or ".." in path.parts or len(path.parts) > 2:
                    raise tarfile.TarError(f"{member.name!r} lies outside of the folder {archive.folder}")
                source = tar.extractfile(member)  # None of a folder
                if source is not None and path.name in archive.files:
                    if member.size != missing.pop(path.name, None):
                        raise tarfile.TarError(f"{member.name} has {member.size:,} bytes or is there twice")
                    with (folder / path.name).open("wb") as file:
                        shutil.copyfileobj(source, file, CHUNK)
                        file.flush()
                        os.fsync(file.fileno())
        if missing:
            raise tarfile.TarError(f"it lacks {', '.join(missing)}")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        shutil.rmtree(packed.parent)
        raise OSError(f"The archive is refused: {error}. It was deleted; name another address with --url.") from error

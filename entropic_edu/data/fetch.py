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
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

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
        ValueError: If the address is none of http or https.
        OSError: If the archive cannot be had, is another one, or cannot be kept; the message says what to do. No
            incomplete copy is left.
    """
    url = url or os.environ.get("ENTROPIC_EDU_MIRROR") or archive.url
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"The address of the archive must begin with http:// or https://, got {url}.")
    root = Path(to or data.CACHE).expanduser()
    target, work = root / archive.folder, root / f".{archive.folder}.fetch"  # in the latter is what is under way
    for folder in [target] if to else [target, *data.places(None)]:
        if _whole(folder, archive):
            say(f"A whole copy is in {folder}; nothing was fetched.")
            return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{archive.folder}.lock", say):
            if not _whole(target, archive):  # another process may have fetched it meanwhile
                _fetch(target, work, archive, url, timeout, progress, say)
    except OSError as error:
        if error.errno is None:  # said in our own words
            raise
        raise OSError(
            f"Could not write to {root} ({error.strerror}); {_megabytes(_needed(work, archive))} of space are needed "
            "there. Name another folder with --to, and run again."
        ) from error
    return target


def _whole(folder: Path, archive: Archive) -> bool:
    """Return whether a folder holds all images, in either version; a file of the python version is the larger one."""
    wanted = archive.files.values()
    files = data.files_of(folder)
    return all(file.is_file() and file.stat().st_size >= size for file, size in zip(files, wanted, strict=True))


def _locked(file: Path, say: Callable[[str], object]) -> AbstractContextManager[object]:
    """Hold a lock, saying so where it takes a wait; the system takes it from a process that dies."""
    lock = filelock.FileLock(file)
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        say(f"Another process is fetching into {file.parent}; waiting for it.")
        return lock.acquire()


def _fetch(
    target: Path, work: Path, archive: Archive, url: str, timeout: float, progress: bool, say: Callable[[str], object]
) -> None:
    """Download, check, unpack and move into place; for one process at a time."""
    if target.exists() and any(target.iterdir()):
        raise OSError(f"{target} exists, but is no whole copy; move it away, or name another folder with --to.")
    work.mkdir(exist_ok=True)
    root, needed = target.parent, _needed(work, archive)
    free = shutil.disk_usage(root).free
    if free < needed:
        raise OSError(
            f"{root} has {_megabytes(free)} free, and {_megabytes(needed)} are needed; make space, or name another "
            "folder with --to."
        )
    say(f"Fetching {_megabytes(archive.size)} from {url} to {root}; the authors' server has been seen to take an hour.")
    if came := _came(work):
        say(f"Going on from {_megabytes(came)} that came before.")
    packed, unpacked = _download(work, archive, url, timeout, progress), work / archive.folder
    try:
        shutil.rmtree(unpacked, ignore_errors=True)  # of a process that was killed
        unpacked.mkdir()
        _unpack(packed, unpacked, archive)
        os.replace(unpacked, target)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    shutil.rmtree(work)


def _part(work: Path) -> Path:
    return work / "archive.part"


def _came(work: Path) -> int:
    """Return how many bytes of the archive came so far."""
    return _part(work).stat().st_size if _part(work).is_file() else 0


def _needed(work: Path, archive: Archive) -> int:
    """Return the bytes that are still to be written."""
    return max(0, archive.size - _came(work)) + sum(archive.files.values())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size:,} bytes"


# --- the download --------------------------------------------------------------------------------------------------


def _download(work: Path, archive: Archive, url: str, timeout: float, progress: bool) -> Path:
    """Return the archive, held to its hash by pooch; its own transfer would begin anew, and unpack before it hashes."""
    import pooch  # type: ignore[import-untyped]

    def transfer(url: str, file: str, _: object) -> None:
        with tqdm(total=archive.size, initial=_came(work), unit="B", unit_scale=True, disable=not progress) as bar:
            _transfer(url, work, archive, timeout, bar.update)
        os.unlink(file)  # pooch has made an empty one
        try:  # what came stays in its place: pooch deletes its file when it is stopped as it hashes
            os.link(_part(work), file)
        except OSError:  # a file system without links
            os.replace(_part(work), file)

    pooch.get_logger().setLevel("WARNING")  # what it would tell, ``say`` has told
    try:
        packed = pooch.retrieve(url, f"sha256:{archive.sha256}", "archive.tar.gz", work, downloader=transfer)
    except ValueError as error:
        _part(work).unlink(missing_ok=True)
        raise OSError(
            f"What {url} sent is not the archive that was wanted: its hash is another (sha256 should be "
            f"{archive.sha256}). It was deleted. Run again, or name another address with --url."
        ) from error
    _part(work).unlink(missing_ok=True)
    return Path(packed)


def _transfer(url: str, work: Path, archive: Archive, timeout: float, update: Callable[[int], object]) -> None:
    """Fill ``work``'s part of the archive up to its size, going on from what is there."""
    import requests
    from urllib3.exceptions import HTTPError  # reading raw bytes raises these, not those of requests

    if _came(work) > archive.size:
        _part(work).unlink()
    came = _came(work)
    if came == archive.size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={came}-"} if came else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _check_answer(response, came, work, archive)
            with _part(work).open("ab" if response.status_code == 206 else "wb") as file:
                update(file.tell() - came)  # back to nothing, if the server cannot go on from the middle
                for chunk in response.raw.stream(CHUNK, decode_content=False):
                    file.write(chunk)
                    update(len(chunk))
                    if file.tell() > archive.size:
                        break
    except (requests.RequestException, HTTPError) as error:
        raise OSError(f"{_reason(error, url, timeout)}. {_again(work)}") from error
    if _came(work) < archive.size:
        raise OSError(f"{url} broke off before its end. {_again(work)}")
    if _came(work) > archive.size:
        _part(work).unlink()
        raise OSError(f"{url} sent more than the {archive.size:,} bytes of the archive. {_again(work)}")


def _check_answer(response: requests.Response, came: int, work: Path, archive: Archive) -> None:
    """Raise an OSError unless the server is about to send what is wanted, so that nobody waits an hour for it."""
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {came}-")
    if response.status_code == 416 or (response.status_code == 206 and not begins):
        _part(work).unlink(missing_ok=True)
        raise OSError(f"{response.url} would not go on from byte {came:,}. {_again(work)}")
    if response.status_code not in (200, 206):
        raise OSError(f"{response.url} answered {response.status_code} {response.reason}. {_again(work)}")
    length = int(response.headers.get("Content-Length", archive.size - came if begins else archive.size))
    if length + (came if begins else 0) != archive.size:
        raise OSError(
            f"{response.url} has another file of {length:,} bytes, wanted {archive.size:,}; it may be a page that asks "
            f"you to log in. {_again(work)}"
        )


def _reason(error: BaseException, url: str, timeout: float) -> str:
    """Return what broke a transfer, in the words of the innermost error."""
    inner = error
    while inner.__context__ is not None:
        inner = inner.__context__
    if isinstance(inner, TimeoutError) or "timed out" in str(error):
        return f"{url} sent nothing for {timeout:g} s"
    return f"The connection to {url} failed or broke off ({getattr(inner, 'strerror', None) or inner})"


def _again(work: Path) -> str:
    """Return what to do after a transfer that failed."""
    rest = f"the {_megabytes(_came(work))} that came are kept. Run again to go on" if _came(work) else "run again"
    return f"No copy was made; {rest}, or name another address of the same archive with --url (or ENTROPIC_EDU_MIRROR)."


# --- the archive ---------------------------------------------------------------------------------------------------


def _unpack(packed: Path, folder: Path, archive: Archive) -> None:
    """Write the wanted files under our own names for them: nothing goes where the archive says."""
    missing = dict(archive.files)
    try:
        with tarfile.open(packed, "r:gz") as tar:
            for member in tar:
                name = _name(member, archive)
                if name in archive.files:
                    if member.size != missing.pop(name, None):
                        raise tarfile.TarError(f"{member.name} has {member.size:,} bytes or is there twice")
                    _write(tar.extractfile(member), folder / name)
        if missing:
            raise tarfile.TarError(f"it lacks {', '.join(missing)}")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        shutil.rmtree(packed.parent)
        raise OSError(f"The archive is refused: {error}. It was deleted; name another address with --url.") from error


def _name(member: tarfile.TarInfo, archive: Archive) -> str:
    """Return a member's name within the one folder, or raise a TarError if it is a link, a device or elsewhere."""
    parts = PurePosixPath(member.name).parts
    if not (member.isreg() or member.isdir()):
        raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")
    if parts[:1] != (archive.folder,) or ".." in parts or len(parts) > 2:
        raise tarfile.TarError(f"{member.name!r} lies outside of the folder {archive.folder}")
    return "/".join(parts[1:]) if member.isreg() else ""


def _write(source: IO[bytes] | None, file: Path) -> None:
    assert source is not None  # it is a regular file
    with source, file.open("wb") as target:
        shutil.copyfileobj(source, target, CHUNK)
        target.flush()
        os.fsync(target.fileno())

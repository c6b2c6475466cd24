"""Artifacts and seeds: canonical hashes, atomic saves, splittable random streams, the cache folder.

A stream of random numbers is named by what it is for, never by when it is drawn: `stream_seed("row", study_seed, task,
item, run)` is the same number in every process, so a resumed study draws what an undisturbed one would have drawn.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from doxa.words.errors import EnvironmentFault

Json = Any
"""A value that `json.dumps` accepts without a default."""


def content_hash(value: Json | bytes) -> str:
    """SHA-256 (hex) of bytes, or of a JSON value in canonical form (sorted keys, no blanks, no NaN)."""
    if not isinstance(value, bytes):
        value = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return hashlib.sha256(value).hexdigest()


def stream_seed(*keys: Json) -> int:
    """A 63-bit seed derived from any JSON keys; different keys give independent streams."""
    return int(content_hash(list(keys))[:16], 16) >> 1


def stream(*keys: Json) -> np.random.Generator:
    """A numpy generator seeded by `stream_seed(*keys)`."""
    return np.random.Generator(np.random.PCG64(stream_seed(*keys)))


def cache_folder() -> Path:
    """The folder of everything that can be made again: `DOXA_CACHE`, or the user's cache folder."""
    named = os.environ.get("DOXA_CACHE")
    return Path(os.path.expanduser(named)) if named else user_cache_path("doxa")


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file whole or not at all: beside it, fsync, rename.

    Raises:
        EnvironmentFault: When the disk is full or the folder cannot be written; the old file is intact.
    """
    if isinstance(data, str):
        data = data.encode()
    with faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(beside, 0o644)
            os.replace(beside, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)
            raise


def write_json(path: Path, value: Json) -> None:
    """Write a JSON value atomically, indented, in the order given."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, *, what: str, way_out: str) -> Mapping[str, Json]:
    """Read a JSON object.

    Raises:
        EnvironmentFault: When the file is missing or is not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EnvironmentFault(f"{what} {path} cannot be read ({error})", way_out=way_out) from error
    if not isinstance(value, dict):
        raise EnvironmentFault(f"{what} {path} holds {type(value).__name__}", expected="an object", way_out=way_out)
    return value


def make_folder_atomic(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder whole or not at all: `fill` writes a folder beside it, which is then renamed.

    When another process made it first, its folder stays and ours is thrown away: both hold the same content.

    Raises:
        EnvironmentFault: When the disk is full or the parent cannot be written.
    """
    with faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            fill(beside)
            for file in beside.rglob("*"):
                if file.is_file():
                    with file.open("rb") as opened:
                        os.fsync(opened.fileno())
            os.chmod(beside, 0o755)
            try:
                os.rename(beside, path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path, *, busy: EnvironmentFault | None = None) -> Iterator[None]:
    """Hold an exclusive lock file; released by the kernel when the process dies.

    Args:
        path: The lock file; it stays on disk.
        busy: Raised at once when another process holds it. Without it, wait.

    Raises:
        EnvironmentFault: `busy`, or when the folder cannot be written.
    """
    with faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy is not None else 0))
        except BlockingIOError:
            assert busy is not None
            raise busy from None
        yield
    finally:
        file.close()


@contextlib.contextmanager
def faults(path: Path) -> Iterator[None]:
    """Say in words what the operating system says while `path` is written.

    Raises:
        EnvironmentFault: For every OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            found, way_out = (
                f"the disk is full while writing {path}",
                "Free some space and run the same command again",
            )
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            found, way_out = (
                f"{path} may not be written ({error.strerror})",
                "Choose a folder that you may write",
            )
        else:
            found, way_out = f"{path} cannot be written ({error.strerror or error})", "Choose another place"
        raise EnvironmentFault(found, way_out=f"{way_out}; nothing that was finished is lost") from error

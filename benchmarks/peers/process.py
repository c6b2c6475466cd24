"""The peers, and talking with one in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from idle import Run
from peers.task import Task

SERVE = Path(__file__).with_name("serve.py")


class PeerFailure(Exception):
    """A peer could not be started, or stopped."""


@dataclass(frozen=True)
class Peer:
    """A peer.

    Attributes:
        key: What `serve.py` calls it.
        name: As tables call it.
        environment: The folder of its environment; None for this Python.
        packages: Whose versions count.
        first: The first block whose output it can add to.
    """

    key: str
    name: str
    environment: str | None
    packages: tuple[str, ...]
    first: int = 0

    def python(self, folder: Path) -> Path | None:
        """Its Python; None where its environment has not been made."""
        if self.environment is None:
            return Path(sys.executable)
        own = folder / self.environment
        return own / "bin" / "python" if (own / "ready").is_file() else None


LLAMA = Peer("llama", "llama.cpp", "llama", ("llama-cpp-python",), first=1)
PEERS = (
    Peer("hooks", "hooks", None, ("transformers",)),
    Peer("steering_vectors", "steering-vectors", "vectors", ("steering-vectors", "transformers")),
    Peer("repeng", "repeng", "vectors", ("repeng", "transformers")),
    Peer("nnsight", "nnsight", "nnsight", ("nnsight", "transformers")),
    Peer("saklas", "saklas", "saklas", ("saklas", "transformers")),
    Peer("repsteer", "repsteer", "repsteer", ("repsteer", "transformers")),
    LLAMA,
)


@dataclass(frozen=True, eq=False)
class Worker:
    """A peer that has loaded the model, in a process of its own.

    Attributes:
        peer: Which one.
        versions: Of its packages.
        process: Its process.
        said: What it wrote to stderr.
    """

    peer: Peer
    versions: Mapping[str, str]
    process: subprocess.Popen[str]
    said: IO[str]

    def write(self, rows: int, new: int, *, steered: bool = True) -> Run:
        """Continue so many prompts by so many tokens.

        Raises:
            PeerFailure: When the process ended.
        """
        with contextlib.suppress(BrokenPipeError):  # `_answer` says why
            print(json.dumps({"rows": rows, "new": new, "steered": steered}), file=self.process.stdin, flush=True)
        answer = _answer(self.process, self.said)
        return Run(answer["tokens"], answer["seconds"], answer["cpu"])


@contextmanager
def working(peer: Peer, python: Path, task: Task) -> Iterator[Worker]:
    """A peer, for as long as the context is open.

    Raises:
        PeerFailure: When it could not be started.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file,
    ):
        json.dump({**asdict(task), "folder": str(task.folder)}, file)
        file.flush()
        process = subprocess.Popen(
            [python, SERVE, peer.key, file.name, *peer.packages],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(task.threads), "HF_HUB_OFFLINE": "1"},
        )
        try:
            yield Worker(peer, _answer(process, said)["versions"], process, said)
        finally:
            process.kill()
            process.communicate()


def _answer(process: subprocess.Popen[str], said: IO[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if line:
        return dict(json.loads(line))
    code = process.wait()
    said.seek(0)
    lines = [one.strip() for one in said.read().splitlines() if one.strip()]
    raise PeerFailure(lines[-1] if lines else f"it ended with code {code}")

"""Do what the pages say, in an empty folder: `python -m tests.follow_docs FOLDER [PAGE ...]`.

Every command and every snippet of the README, the tutorial and the how-tos is executed, page by page.
Files that a page shows are written. Runs are cut short (`--limit 2 --runs 1`; evals `--limit 2`). Left out are
installing, the tests themselves, `inspect view`, which `tests/look_at_logs.py` opens, and what was done before: the
same command on the same files. `docs/how-to-vllm.md` is followed only when it is named: it needs a server that runs.
What `doxa serve` starts is looked at in a browser when its page is done, and told to stop, as is `doxa tinker-serve`.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspect_ai.log import read_eval_log
from tests.look_at_server import look

from doxa.models.embedded import embedded_folder

ROOT = Path(__file__).parent.parent
ON_THE_FIRST_STUDY = (
    "README.md",
    "docs/tutorial.md",
    "docs/how-to-compare.md",
    "docs/how-to-judge.md",
    "docs/how-to-check.md",
    "docs/how-to-corpus.md",
    "docs/how-to-tune.md",
    "docs/how-to-serve.md",
    "docs/how-to-tinker.md",
)
"""Pages that use what the README ran, and as many of the others as take about as long as the rest."""
ON_THEIR_OWN = (
    "docs/how-to-belief.md",
    "docs/how-to-model.md",
    "docs/how-to-sweep.md",
    "docs/how-to-power.md",
    "docs/how-to-stop.md",
    "docs/how-to-thoughts.md",
    "docs/how-to-audit.md",
)
PAGES = (*ON_THE_FIRST_STUDY, *ON_THEIR_OWN)
BLOCK = re.compile(
    r"^```(?P<kind>\w*)[^\S\n]*(?P<info>[^\n]*)\n(?P<body>.*?)^```$|(?:^\n|\A)(?P<lines>(?: {4}[^\n]+\n)+)",
    re.MULTILINE | re.DOTALL,
)
FILES = {"yaml": "mine.yaml", "json": "mine.json"}
"""What a page calls a file that it shows without a name."""
PROGRAMS = ("doxa", "inspect")
EXPORTED = ("DOXA_TOKEN", "DOXA_BASE_URL", "DOXA_API_KEY", "TINKER_BASE_URL", "TINKER_API_KEY")
"""What is set for the rest of a page that exports it."""
CUT = {"doxa run": "--limit 2 --runs 1", "inspect eval": "--limit 2 --display none"}


@dataclass(frozen=True)
class Step:
    """One thing that a page tells its reader to do.

    Attributes:
        page: The page.
        kind: `command`, `python`, `file` or `export`.
        text: What is executed, or what the file or the variable holds.
        name: Of a file or a variable.
    """

    page: str
    kind: str
    text: str
    name: str = ""


def steps(page: str) -> Iterator[Step]:
    """What a page tells its reader to do, in order."""
    for found in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        if found["lines"]:
            for line in found["lines"].splitlines():
                for part in line.split("&&"):
                    exported = re.fullmatch(r"export (\w+)=(\S+)", part.strip())
                    if part.split()[0] in PROGRAMS:
                        yield Step(page, "command", part.strip())
                    elif exported and exported[1] in EXPORTED:
                        yield Step(page, "export", exported[2], exported[1])
        elif found["info"].startswith("file="):
            yield Step(page, "file", found["body"], found["info"].removeprefix("file="))
        elif found["kind"] in FILES:
            yield Step(page, "file", found["body"], FILES[found["kind"]])
        elif found["kind"] == "python":
            yield Step(page, "python", found["body"])


def command(text: str) -> list[str] | None:
    """A command as it is executed, cut short; None when it is left out."""
    words = shlex.split(text)
    verb = " ".join(words[:2])
    if verb == "inspect view":
        return None
    program = str(Path(sys.executable).parent / words[0])
    more = shlex.split(CUT.get(verb, ""))
    return [program, *words[1:], *([] if more and more[0] in words else more)]


def asked(words: Sequence[str], folder: Path) -> tuple[str | bytes, ...]:
    """What a command or a snippet asks for: its words, and what the files hold that they name."""
    files = (folder / word for word in words[1:] if "\n" not in word)
    return (*words, *(path.read_bytes() for path in files if path.is_file()))


def finished(words: list[str], folder: Path) -> bool:
    """Whether an eval ended well, by its log: the exit code of `inspect eval` is 0 either way."""
    if words[1:2] != ["eval"]:
        return True
    latest = max((folder / "logs").glob("*.eval"), key=lambda path: path.stat().st_mtime)
    return read_eval_log(str(latest), header_only=True).status == "success"


def served(words: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """A server that listens.

    Raises:
        SystemExit: When it does not.
    """
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True, env=dict(environment))
    assert process.stdout is not None
    if not any(line.startswith("Stop with") for line in process.stdout):
        sys.exit(f"{shlex.join(words)} ended with {process.wait()}")
    return process


def stop(process: subprocess.Popen[str], environment: Mapping[str, str]) -> None:
    """Look at a server's page, and tell the server to stop.

    Raises:
        SystemExit: When something is wrong with the page, or the server does not end well.
    """
    found: object = ()
    if "DOXA_TOKEN" in environment and "TINKER_API_KEY" not in environment:
        found = look(environment["DOXA_BASE_URL"].removesuffix("/v1"), environment["DOXA_TOKEN"])
    process.send_signal(signal.SIGINT)
    if found or process.wait(60):
        sys.exit(f"the page of the server: {found}; it ended with {process.returncode}")


def follow(folder: Path, pages: Sequence[str] = PAGES) -> None:
    """Do everything in a folder.

    Raises:
        SystemExit: When a step fails; it names the page and the step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(embedded_folder()[0], folder / "my-model", dirs_exist_ok=True)
    before: set[tuple[str | bytes, ...]] = set()
    for page in pages:
        environment, servers = dict(os.environ), []
        for step in steps(page):
            if step.kind == "file":
                path = folder / step.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(step.text, encoding="utf-8")
                continue
            if step.kind == "export":
                environment[step.name] = step.text
                continue
            words = [sys.executable, "-c", step.text] if step.kind == "python" else command(step.text)
            if words is None:
                continue
            if words[1] in ("serve", "tinker-serve") and "--help" not in words:
                servers.append(served(words, folder, environment))
                continue
            shown = step.text.strip().splitlines()[-1] if step.kind == "python" else shlex.join(words[1:])
            if (key := asked(words, folder)) in before:
                print(f"{page}: {shown}: done before", flush=True)
                continue
            before.add(key)
            began = time.monotonic()
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment, check=False)
            print(f"{page}: {shown}: {time.monotonic() - began:.0f} s", flush=True)
            if done.returncode or not finished(words, folder):
                sys.exit(f"{page} says\n{step.text}\nand that fails:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        for process in servers:
            stop(process, environment)


def follow_all(folder: Path) -> None:
    """Follow every page: those on their own in a second process beside the others, since a run keeps one core busy.

    Raises:
        SystemExit: When a page of the second process fails.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "tests.follow_docs", str(folder / "own"), *ON_THEIR_OWN]
    with (folder / "own.log").open("w+", encoding="utf-8") as log:
        beside = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
        try:
            follow(folder, ON_THE_FIRST_STUDY)
            failed = beside.wait()
        finally:
            beside.kill()
            log.seek(0)
            print(log.read(), flush=True)
    if failed:
        sys.exit(failed)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.follow_docs FOLDER [PAGE ...]")
    if sys.argv[2:]:
        follow(Path(sys.argv[1]), sys.argv[2:])
    else:
        follow_all(Path(sys.argv[1]))

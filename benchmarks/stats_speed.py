"""The statistics of doxa beside its peers: time, memory, and how far it is from reading the numbers once.

    python -m venv FOLDER && FOLDER/bin/pip install errorbars==0.2.4 evalstats==0.3.3
    python benchmarks/stats_speed.py [--peers FOLDER/bin/python] [--rows 100000 1000000] [--rounds 5] [--write]

Statsmodels and scipy run in this Python, errorbars and evalstats in that of `--peers`; without it they are left out.
All start from the same seeded rows with arms and items as text (`stats_peers/data.py`), and every measurement is a
process of its own (`stats_peers/measure.py`). First all answer on a few rows: the estimates must be the same, and the
standard errors where the method is. Then they are measured in alternation; what takes more than 15 seconds is not
repeated, and what takes more than a minute is stopped. On a machine with other work seconds say little: processor time
is what is compared, and what other processes took of the processors is told beside it. `--write` puts the table into
`docs/performance.md`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from idle import busy
from page import written
from stats_peers.stages import READ
from stats_peers.ways import BARE, DOXA, EXACT, WAYS, Answer, Way

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table: written by benchmarks/stats_speed.py -->", "<!-- end of table of statistics -->"
MEASURE, STAGES = (Path(__file__).parent / "stats_peers" / name for name in ("measure.py", "stages.py"))
FEW, LONG, LIMIT = 1000, 15.0, 60.0
TITLES = {
    "paired": "Paired difference, {:,} rows: 2 arms x {:,} items x 10 runs",
    "rate": "One rate, {:,} rows: {:,} items x 10 runs",
    "recipe": "Recipe over 6 seeds, about {:,} rows: 2 arms x {:,} items x 6 seeds x 10 runs",
    "pairs": "Exact McNemar, {:,} pairs",
}
PER_ITEM = {"paired": 20, "rate": 10, "recipe": 120, "pairs": 1}


class Failed(Exception):
    """A measurement that ended with an error or was stopped."""


@dataclass(frozen=True)
class Measured:
    """One measurement.

    Attributes:
        seconds: From the table to the answer.
        processor: Processor seconds of that.
        own: Processor seconds of the peer's own call, without what was prepared for it.
        memory: Bytes of the peak of memory above what the table takes.
        answer: The answer.
        versions: Of the packages.
        others: Share of the processors that other processes took meanwhile.
    """

    seconds: float
    processor: float
    own: float
    memory: int
    answer: Answer
    versions: Mapping[str, str]
    others: float = 0.0


def process(python: Path, script: Path, *arguments: object) -> tuple[dict[str, Any], float]:
    """What a script prints, and the share of the processors that others took meanwhile.

    Raises:
        Failed: When it ended with an error, or was stopped.
    """
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
    before, own, began = busy(), sum(os.times()[:4]), time.perf_counter()
    try:
        done = subprocess.run(
            [python, script, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=LIMIT,
            env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Failed(f"over {LIMIT:.0f} s") from None
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or ["no message"])[-1])
    wall = time.perf_counter() - began
    others = busy() - before - (sum(os.times()[:4]) - own)
    return json.loads(done.stdout.splitlines()[-1]), max(0.0, others) / (wall * (os.cpu_count() or 1))


def measured(way: Way, design: str, name: str, rows: int, peers: Path | None) -> Measured:
    """Measure one way once.

    Raises:
        Failed: When it needs an environment that is not there, ended with an error, or was stopped.
    """
    if way.apart and peers is None:
        raise Failed("no environment")
    found, others = process(peers if way.apart and peers else Path(sys.executable), MEASURE, design, name, rows)
    return Measured(**{**found, "answer": Answer(**found["answer"])}, others=others)


def agrees(way: Way, answer: Answer, doxa: Answer) -> bool:
    """Whether an answer is that of doxa: the estimate, and what else the way computes by the same method."""

    def near(one: float, other: float, error: float) -> bool:
        return abs(one - other) <= error * max(abs(one), abs(other))

    scale = doxa.se if doxa.se is not None else 1.0
    same = abs(answer.value - doxa.value) <= EXACT * max(scale, abs(doxa.value))
    if way.error is not None and doxa.se is not None:
        same &= answer.se is not None and near(answer.se, doxa.se, way.error)
    if doxa.p is not None:
        same &= answer.p is not None and near(answer.p, doxa.p, EXACT)
    return same


def in_alternation(design: str, rows: int, rounds: int, peers: Path | None) -> dict[str, list[Measured] | str]:
    """The measurements of every way, or why there are none."""
    runs: dict[str, list[Measured] | str] = {name: [] for name in WAYS[design]}
    for _ in range(rounds):
        for name, way in WAYS[design].items():
            own = runs[name]
            if isinstance(own, str) or (own and own[0].seconds > LONG):
                continue
            try:
                own.append(measured(way, design, name, rows, peers))
            except Failed as failure:
                runs[name] = str(failure)
    doxa = runs[DOXA]
    if isinstance(doxa, str):
        raise SystemExit(f"{design}: doxa gave no answer: {doxa}")
    for name, own in runs.items():
        for one in own if not isinstance(own, str) else ():
            if not agrees(WAYS[design][name], one.answer, doxa[0].answer):
                raise SystemExit(f"{design}, {rows} rows: {name} answers {one.answer}, doxa {doxa[0].answer}")
    return runs


def line(name: str, own: Sequence[Measured], doxa: Sequence[Measured]) -> str:
    """A row of the table."""
    processor = median(one.processor for one in own)
    ratio = processor / median(one.processor for one in doxa)
    se, of_doxa = own[0].answer.se, doxa[0].answer.se
    cells = [
        name,
        f"{1e3 * median(one.seconds for one in own):,.0f}",
        f"{1e3 * processor:,.1f}",
        f"{1e3 * median(one.own for one in own):,.1f}",
        f"{ratio:.2f}",
        f"{median(one.memory for one in own) / 1e6:.0f}",
        f"{se / of_doxa:.3f}" if se is not None and of_doxa else "",
        f"{median(one.others for one in own):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def table(design: str, rows: int, runs: Mapping[str, list[Measured] | str]) -> str:
    """The table of one design, and in words who is left out and how far doxa is from the best peer."""
    head = ["way", "ms", "processor ms", "own call ms", "/ doxa", "extra MB", "SE / doxa's", "others"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    done = {name: own for name, own in runs.items() if not isinstance(own, str)}
    lines += [line(name, own, done[DOXA]) for name, own in done.items()]
    said = [f"**{TITLES[design].format(rows, rows // PER_ITEM[design])}**", "", *lines]
    missing = [f"{name} ({own})" for name, own in runs.items() if isinstance(own, str)]
    return "\n".join(said + (["", f"Left out: {', '.join(missing)}."] if missing else []))


def limits(rows: int, found: Mapping[str, Any], paired: Mapping[str, list[Measured] | str]) -> str:
    """How far doxa is from reading the numbers once, from the best peer, and where the rest goes."""
    least = {name: min(one.processor for one in own) for name, own in paired.items() if not isinstance(own, str)}
    peers = {name: one for name, one in least.items() if not name.startswith((DOXA, BARE))}
    best, doxa = min(peers, key=peers.__getitem__), least[DOXA]
    once = READ * rows / found["bandwidth"]
    parts = sorted(found["stages"].items(), key=lambda one: -one[1])
    said = [
        f"Paired difference of {rows:,} rows, the least processor time of each: doxa {1e3 * doxa:.0f} ms; the best "
        f"peer, {best}, {1e3 * peers[best]:.0f} ms, {peers[best] / doxa:.2f} of that.",
        f"To read the values and the codes of arm and item once, {READ} bytes a row, takes {1e3 * once:.2f} ms at the "
        f"bandwidth of a copy ({found['bandwidth'] / 1e9:.1f} GB/s, measured in the same run); doxa takes "
        f"{doxa / once:.0f} times that. The bare formula in numpy, names coded and nothing checked, takes "
        f"{1e3 * least[BARE]:.0f} ms.",
        "Where doxa's time goes: " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in parts) + ".",
    ]
    return "\n".join(said)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    for design in WAYS:  # whether all answer the same, before anything is timed
        in_alternation(design, FEW, 1, options.peers)
    said, versions = [], {}
    for rows in options.rows:
        for design in WAYS:
            runs = in_alternation(design, rows, options.rounds, options.peers)
            said.append(table(design, rows, runs))
            print(f"\n{said[-1]}", flush=True)
            versions |= {k: v for own in runs.values() if not isinstance(own, str) for k, v in own[0].versions.items()}
            if design == "paired":
                paired = runs
        said.append(limits(rows, process(Path(sys.executable), STAGES, rows)[0], paired))
        print(f"\n{said[-1]}", flush=True)
    said.insert(0, "Versions: " + ", ".join(f"{name} {one}" for name, one in sorted(versions.items())) + ".")
    if options.write:
        written(PAGE, BEGIN, END, "\n\n".join(said))


if __name__ == "__main__":
    main()

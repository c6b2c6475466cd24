"""What threads that wait cost, on an idle machine and beside a busy process: spinning and giving the processor away.

    python benchmarks/threads.py [--write]

Writes 8 and 64 texts of 24 tokens with the embedded model in a process of its own for each way: one thread; all cores,
waiting threads spinning (`OMP_WAIT_POLICY=ACTIVE`, and as the library does it when nothing is said); all cores, waiting
threads giving the processor away (`PASSIVE`, doxa's way). Then the same beside one process that counts. Medians of
three calls. `--write` puts the table into `docs/performance.md`.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from page import written

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table: written by benchmarks/threads.py -->", "<!-- end of table of threads -->"

WAYS: Mapping[str, Mapping[str, str]] = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "nothing said": {},
    "spinning": {"OMP_WAIT_POLICY": "ACTIVE"},
    "giving away": {"OMP_WAIT_POLICY": "PASSIVE"},
}
WORK = """
import sys, time, torch
sys.path.insert(0, {folder!r})
import generate_speed, doxa.models.engine as engine
from doxa.models.handle import load
engine.end_tokens = lambda model: frozenset()
model = load("smollm2")
rows = [engine.Row(one, engine.Sampling(24)) for one in generate_speed.prompts(model, {n})]
engine.generate(model, rows[:2])
found = []
for _ in range(3):
    start = time.perf_counter()
    engine.generate(model, rows)
    found.append(time.perf_counter() - start)
print(sorted(found)[1])
"""


def seconds(n: int, way: Mapping[str, str]) -> float:
    """Seconds for n rows in a process of its own; torch first, so that nobody else has a say."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    code = WORK.format(folder=os.path.dirname(os.path.abspath(__file__)), n=n)
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **way}, capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    lines = ["| beside | rows | " + " | ".join(WAYS) + " |", "|---|---|" + "---|" * len(WAYS)]
    for beside in ("nothing", "one busy process"):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if beside != "nothing" else None
        try:
            for n in (8, 64):
                found = [seconds(n, way) for way in WAYS.values()]
                lines.append(f"| {beside} | {n} | " + " | ".join(f"{one:.2f} s" for one in found) + " |")
                print(lines[-1], flush=True)
        finally:
            if busy is not None:
                busy.kill()
    if write:
        written(PAGE, BEGIN, END, "\n".join(lines))


if __name__ == "__main__":
    main()

"""What threads that wait cost, on an idle machine and beside a busy process: spinning and giving the processor away.

    python benchmarks/threads.py [--write]

Writes 8 texts of 24 tokens with the embedded model in a process of its own for each way: one thread; all cores and
nothing said; all cores, and waiting threads that spin a little (doxa's way) or not at all. Then the same beside one
and two processes that count. Medians of five calls. `--write` puts the table into `docs/performance.md`.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from page import written

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
ROWS = 8
BEGIN, END = "<!-- table: written by benchmarks/threads.py -->", "<!-- end of table of threads -->"

WAYS: Mapping[str, Mapping[str, str]] = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "nothing said": {},
    "spinning a little (doxa)": {"GOMP_SPINCOUNT": "3000"},
    "not spinning": {"OMP_WAIT_POLICY": "PASSIVE"},
}
WORK = """
import torch  # before doxa, which would tell its threads how to wait
import sys, time
sys.path.insert(0, {folder!r})
import generate_speed, doxa.models.engine as engine
from doxa.models.handle import load
engine.end_tokens = lambda model: frozenset()
model = load("smollm2")
rows = [engine.Row(one, engine.Sampling(24)) for one in generate_speed.prompts(model, {n})]
engine.generate(model, rows[:2])
found = []
for _ in range(5):
    start = time.perf_counter()
    engine.generate(model, rows)
    found.append(time.perf_counter() - start)
print(sorted(found)[2])
"""


def seconds(n: int, way: Mapping[str, str]) -> float:
    """Seconds for n rows in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
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
    lines = ["| busy processes beside it | " + " | ".join(WAYS) + " |", "|---|" + "---|" * len(WAYS)]
    for beside in range(3):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(beside)]
        try:
            found = [seconds(ROWS, way) for way in WAYS.values()]
        finally:
            for one in busy:
                one.kill()
        lines.append(f"| {beside} | " + " | ".join(f"{one:.2f} s" for one in found) + " |")
        print(lines[-1], flush=True)
    if write:
        written(PAGE, BEGIN, END, "\n".join(lines))


if __name__ == "__main__":
    main()

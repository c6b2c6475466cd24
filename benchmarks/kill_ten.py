"""Kill a small study on the embedded model ten times at random moments, and compare with an undisturbed run.

    python benchmarks/kill_ten.py [SEED]

Prints one line a kill and whether the end is the same: row keys, committed chunks, chunks computed again.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from doxa.bridge.logs import read_table
from doxa.words.schema import KEY

KILLS = 10
STUDY = """
study: kill-ten
model: smollm2
arms: {baseline: [], prompted: [{prompt: beliefs/conscious}]}
factors: {mid: {steer: {vector: conscious, layers: 0.5, strength: [0.3, 0.6]}}}
tasks: [{doxa/claims: {belief: conscious, topics: 4}}, {doxa/drift: {max_tokens: 16}}]
runs: 2
controls: {steer: {twins: 19, unrelated: 0, arms: ["mid[strength=0.6]"]}}
contrasts: ["mid[strength=0.6] - baseline"]
"""
JOURNALED = """
import sys
import doxa.run as module
from doxa.cli import main
measure = module.measure
def noted(model, chunk, *rest):
    result = measure(model, chunk, *rest)
    open(sys.argv[3], "a").write(chunk.id + "\\n")
    return result
module.measure = noted
main(["run", sys.argv[1], "--out", sys.argv[2]])
"""


def start(study: Path, out: Path, said: Path) -> subprocess.Popen[bytes]:
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", JOURNALED, str(study), str(out), str(out.parent / "journal")]
    with said.open("ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def chunks(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "chunks").glob("*.json")}


def main() -> None:
    random_ = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    with tempfile.TemporaryDirectory() as home_:
        home = Path(home_)
        study, said = home / "kill-ten.yaml", home / "said"
        study.write_text(STUDY)
        quiet, killed = home / "a" / "out", home / "b" / "out"
        began, process = time.monotonic(), start(study, quiet, said)
        while process.poll() is None and not chunks(quiet):
            time.sleep(0.2)
        first = time.monotonic() - began
        if process.wait():
            sys.exit(said.read_text()[-2000:])
        whole = time.monotonic() - began
        print(f"undisturbed: {whole:.0f} s, {len(chunks(quiet))} chunks, the first after {first:.0f} s")
        print("\nkill  after s  chunks  logs")
        committed: dict[str, bytes] = {}
        for kill in range(1, KILLS + 1):
            # From before the first chunk to a fifth of the work: ten kills are spread over the whole run.
            moment = random_.uniform(0.3 * first, first + (whole - first) / 5)
            process = start(study, killed, said)
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
            now = chunks(killed)
            assert {name: now[name] for name in committed} == committed, "a committed chunk was changed"
            committed = now
            logs = len(list((killed / "logs").glob("*.eval")))
            ended = "" if process.returncode == -signal.SIGKILL else f"  ended by itself: {process.returncode}"
            print(f"{kill:4d}  {moment:7.1f}  {len(now):6d}  {logs:4d}{ended}", flush=True)
        if start(study, killed, said).wait():
            sys.exit(said.read_text()[-2000:])
        one, two = (read_table(out / "table.parquet") for out in (quiet, killed))
        same = one[list(KEY)].equals(two[list(KEY)])
        doubled = int(two.duplicated(list(KEY)).sum())
        computed = (killed.parent / "journal").read_text().split()
        print(f"\nrows {len(one)} and {len(two)}, same keys: {same}, doubled: {doubled}")
        print(f"chunks byte-identical: {chunks(quiet) == chunks(killed)}")
        again = len(computed) - len(set(computed))
        print(f"chunks measured to their end: {len(computed)}, of which again: {again} (at most one a kill)")
        ok = same and not doubled and chunks(quiet) == chunks(killed) and again <= KILLS
        sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()

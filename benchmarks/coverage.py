"""Do doxa's intervals hold? Coverage, width and false alarms of every default, over a grid of designs.

    python benchmarks/coverage.py [--draws 4000] [--only DESIGN] [--write]

Every cell draws data sets whose truth is known (`coverage_designs.py`), has doxa's interval made, and counts how often
it holds the truth. `width` is its mean width beside that of an oracle who knows the true standard error of the
estimate: 2 x 1.96 of them. No honest interval of 6 values comes below 1.25 of that: their variance has to be estimated.
Results are kept in `coverage.json` cell by cell: a run that is stopped goes on, finished cells are not drawn again.
Each cell has a random stream of its own, so that the numbers do not depend on the order or on the number of processes.
"""

import argparse
import json
import math
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from coverage_designs import Cell, grid
from page import written

from doxa.words.store import stream

HERE = Path(__file__).parent
RESULTS = HERE / "coverage.json"
PAGE = HERE.parent / "docs" / "coverage.md"
KNOWN = HERE.parent / "src" / "doxa" / "data" / "coverage.json"
BEGIN, END = "<!-- table: written by benchmarks/coverage.py -->", "<!-- end of table -->"
FORMULAS = 1
"""Raised when an interval's formula changes: every cell is then drawn anew."""
NOMINAL, LEAST, MOST, WIDEST = 0.95, 0.93, 0.98, 1.2
FEW = 30
"""Units of an arm up to which a rate may cover more than it promises, and be wider."""


def measured(cell: Cell, draws: int) -> dict[str, Any]:
    """Coverage, width and false alarms of one cell."""
    generator = stream("coverage", cell.name)
    covered, missing, rejected, tested = 0, 0, 0, 0
    values, widths = [], []
    for _ in range(draws):
        found, truth = cell.draw(generator)
        if found.value is not None:
            values.append(found.value)
        if found.low is None or found.high is None:
            missing += 1
            continue
        covered += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        if found.p is not None and truth == 0:
            tested += 1
            rejected += found.p <= 1 - NOMINAL
    kept = draws - missing
    oracle = 2 * 1.959964 * float(np.std(values, ddof=1))
    return {
        "formulas": FORMULAS,
        "draws": draws,
        "design": cell.design,
        "setting": dict(cell.setting),
        "units": cell.units,
        "coverage": covered / kept if kept else None,
        "width": float(np.mean(widths)) / oracle if widths and oracle > 0 else None,
        "rejected": rejected / tested if tested else None,
        "without": missing / draws,
    }


def by_name(name: str, draws: int) -> tuple[str, dict[str, Any]]:
    """A cell in a process of its own: functions do not travel, names do."""
    return name, measured(next(cell for cell in grid() if cell.name == name), draws)


def promised(row: Mapping[str, Any]) -> bool:
    """Whether a cell is among those for which .93 to .98 is promised: 6 units, rates of .05 to .95, ICC up to .1."""
    setting = row["setting"]
    rates = [float(part) for part in str(setting.get("rates", setting.get("rate", 0.5))).split(" v ")]
    spread = max(float(setting.get("icc", 0)), float(setting.get("seed variance", 0)))
    return row["units"] >= 6 and min(rates) >= 0.05 and max(rates) <= 0.95 and spread <= 0.1


def judged(row: Mapping[str, Any]) -> str:
    """What is wrong with a cell for which something is promised, or ""; rates of few may cover more and be wider."""
    if not promised(row) or row["coverage"] is None:
        return ""
    slack = 2 * math.sqrt(NOMINAL * (1 - NOMINAL) / row["draws"])
    said = []
    if row["coverage"] < LEAST - slack:
        said.append("covers too seldom")
    rate = "rate" in row["design"] or "rate" in row["setting"] or row["setting"].get("values") == "rate .2"
    rate = rate and row["units"] <= FEW  # of few rows a rate is discrete, and may cover more
    if row["coverage"] > MOST + slack and not rate:
        said.append("covers too often")
    if row["width"] is not None and row["width"] > WIDEST and not rate:
        said.append("wide")
    return ", ".join(said)


def main() -> None:
    """Draw what is not drawn yet, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--only", default="")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    done: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    names = [cell.name for cell in grid()]
    fresh = {n: r for n, r in done.items() if n in names and r["formulas"] == FORMULAS and r["draws"] == options.draws}
    todo = [name for name in names if name not in fresh and name.startswith(options.only)]
    with ProcessPoolExecutor(options.processes) as pool:
        for count, future in enumerate(as_completed([pool.submit(by_name, name, options.draws) for name in todo]), 1):
            name, row = future.result()
            fresh[name] = row
            print(f"{count} of {len(todo)}  {name}: {row['coverage']} {row['width']}", flush=True)
            RESULTS.write_text(json.dumps({n: fresh[n] for n in names if n in fresh}, indent=1) + "\n")
    rows = [fresh[name] for name in names if name in fresh]
    text = table(rows)
    print(text)
    if options.write:
        written(PAGE, BEGIN, END, text)
        kept = [{key: row[key] for key in ("design", "setting", "coverage")} for row in rows]
        KNOWN.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, design by design."""
    parts = []
    for design in dict.fromkeys(row["design"] for row in rows):
        own = [row for row in rows if row["design"] == design]
        keys = list(dict.fromkeys(key for row in own for key in row["setting"]))
        parts.append(f"\n### {design[:1].upper()}{design[1:]}\n")
        parts.append(f"| {' | '.join(keys)} | coverage | width | false alarms | no interval | |")
        parts.append("|" + "---|" * (len(keys) + 5))
        for row in own:
            shown = [str(row["setting"].get(key, "")) for key in keys]
            numbers = [
                "–" if row[key] is None else f"{row[key]:.3f}" if key != "width" else f"{row[key]:.2f}"
                for key in ("coverage", "width", "rejected", "without")
            ]
            low = row["coverage"] is not None and row["coverage"] < LEAST
            numbers[0] = f"**{numbers[0]}**" if low else numbers[0]
            parts.append(f"| {' | '.join([*shown, *numbers, judged(row)])} |")
    return "\n".join(parts)


if __name__ == "__main__":
    main()

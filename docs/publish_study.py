"""Copy what a reader needs of a study's results into `docs/studies/`.

    doxa run first && python docs/publish_study.py results/first

The report (HTML and Markdown), its figures, the plan and the estimates are copied; the rows stay in the results folder.
"""

import shutil
import sys
from pathlib import Path

from doxa.results import read_plan

COPIED = ("report.html", "report.md", "summary.txt", "plan.json", "estimates.json")


def main(results: Path) -> Path:
    """Copy the report in `results`; return where it stands now."""
    target = Path(__file__).parent / "studies" / str(read_plan(results)["study"]["study"])
    (target / "figures").mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copy(results / name, target / name)
    for figure in sorted((results / "figures").glob("*.svg")):
        shutil.copy(figure, target / "figures" / figure.name)
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/publish_study.py RESULTS_FOLDER")
    print(main(Path(sys.argv[1])))

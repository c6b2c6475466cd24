"""Copy what a reader needs of a study's results into `docs/studies/`.

    doxa run first && python docs/publish_study.py results/first

The report (HTML and Markdown), its figures, the plan and the estimates are copied; the rows stay in the results folder.
What the run printed at its end is put into the study's section of `docs/studies/README.md`.
"""

import shutil
import sys
from pathlib import Path

from doxa.results import read_plan

STUDIES = Path(__file__).parent / "studies"
PAGE = STUDIES / "README.md"
COPIED = ("report.html", "report.md", "summary.txt", "plan.json", "estimates.json")


def main(results: Path) -> Path:
    """Copy the report in `results`; return where it stands now."""
    name = str(read_plan(results)["study"]["study"])
    target = STUDIES / name
    (target / "figures").mkdir(parents=True, exist_ok=True)
    for copied in COPIED:
        shutil.copy(results / copied, target / copied)
    for figure in sorted((results / "figures").glob("*.svg")):
        shutil.copy(figure, target / "figures" / figure.name)
    PAGE.write_text(with_summary(PAGE.read_text(encoding="utf-8"), name), encoding="utf-8")
    return target


def with_summary(page: str, name: str) -> str:
    """The page with the summary of a published study in its place.

    Raises:
        SystemExit: When the page has no place for it.
    """
    begin, end = f"<!-- summary: {name} -->", "<!-- end of summary -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        sys.exit(f"{PAGE} has no {begin} and {end}: write a section for the study")
    lines = (STUDIES / name / "summary.txt").read_text(encoding="utf-8").splitlines()
    quoted = "\n>\n".join(f"> {line}" for line in lines if line.strip())
    return f"{before}{begin}\n\n{quoted}\n\n{end}{after}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/publish_study.py RESULTS_FOLDER")
    print(main(Path(sys.argv[1])))

"""The report: one HTML file that needs no network, the same as Markdown, and the figures as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from doxa.report.gather import Gathered, gather
from doxa.report.referee import referee
from doxa.report.sections import sections
from doxa.report.verdict import answer
from doxa.words.store import write_atomic

TEMPLATES = Path(__file__).parent / "templates"
MARKS = {"yes": "answered", "no": "open", "absent": "not applicable"}
EXAMPLES = 4
EXAMPLE_ARMS = 8


def write_report(folder: Path) -> Path:
    """Write `report.html`, `report.md`, `summary.txt` and `figures/` from what a results folder holds.

    The same folder gives the same bytes: no time, no host, no path is in them.

    Returns:
        The path of the HTML page.

    Raises:
        ResultsError: When the folder lacks something or was written by another version.
        EnvironmentFault: When the disk is full.
    """
    gathered = gather(folder)
    context = _context(gathered)
    for section in context["sections"]:
        for drawing in section.drawings:
            write_atomic(folder / "figures" / f"{drawing.name}.svg", drawing.svg)
            write_atomic(folder / "figures" / f"{drawing.name}.png", drawing.png)
    write_atomic(folder / "report.md", _render("report.md", context))
    write_atomic(folder / "summary.txt", "\n".join(context["answer"]) + "\n")
    write_atomic(folder / "report.html", _render("report.html", context))
    return folder / "report.html"


def _context(gathered: Gathered) -> dict[str, Any]:
    plan = gathered.plan
    study = plan["study"]
    override = f" --limit {study['limit']}" if study["limit"] else ""
    return {
        "study": study,
        "plan": plan,
        "model": plan["model"],
        "answer": answer(gathered),
        "sections": sections(gathered),
        "referee": referee(gathered),
        "marks": MARKS,
        "examples": examples(gathered.transcripts, list(gathered.arms)),
        "made_from": sorted(plan["made_from"].items()),
        "command": f"doxa run {study['study']} --runs {study['runs']}{override}",
    }


def examples(transcripts: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[dict[str, Any]]:
    """The first items of each task, first run, as answered by the arms: chosen by position and never by content."""
    shown: list[dict[str, Any]] = []
    tasks = list(dict.fromkeys(one["task"] for one in transcripts))
    for task in tasks:
        own = [one for one in transcripts if one["task"] == task and one["run"] == 1]
        for item in list(dict.fromkeys(one["item"] for one in own))[:EXAMPLES]:
            answers = {one["arm"]: one for one in own if one["item"] == item}
            present = [arm for arm in arms if arm in answers][: 2 * EXAMPLE_ARMS]
            shown.append(
                {
                    "task": task,
                    "question": next(iter(answers.values()))["question"],
                    "answers": [(arm, answers[arm]["answer"]) for arm in present],
                }
            )
    return shown


def _render(template: str, context: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    return environment.get_template(template).render(context)


def _cell(value: object) -> str:
    """A cell of a Markdown table: what a transcript or a name holds cannot break out of it."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")

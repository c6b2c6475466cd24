"""The report: one HTML file that needs no network, the same as Markdown, and the figures as files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from doxa.report.gather import Gathered, gather
from doxa.report.referee import referee
from doxa.report.sections import sections
from doxa.report.verdict import answer
from doxa.words.store import write_atomic

TEMPLATES = Path(__file__).parent / "templates"
MARKS = {"yes": "answered", "no": "open", "absent": "does not apply"}
EXAMPLES = 4
"""Items of each task whose answers are shown."""
EXAMPLE_ARMS = 16
"""Arms whose answers are shown beside each other."""


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
    write_atomic(folder / "report.md", render("report.md", context))
    write_atomic(folder / "summary.txt", "\n".join(context["answer"]) + "\n")
    write_atomic(folder / "report.html", render("report.html", context))
    return folder / "report.html"


def command(study: Mapping[str, Any]) -> str:
    """The command that runs a study as it was run."""
    # Runs that a rule stops are the study's own: the command line can only fix a number.
    runs = f" --runs {study['runs']}" if isinstance(study["runs"], int) else ""
    return f"doxa run {study['study']}{runs}" + (f" --limit {study['limit']}" if study.get("limit") else "")


def _context(gathered: Gathered) -> dict[str, Any]:
    plan = gathered.plan
    study = plan["study"]
    return {
        "title": study["study"],
        "study": study,
        "plan": plan,
        "model": plan["model"],
        "answer": answer(gathered),
        "sections": sections(gathered),
        "referee": referee(gathered),
        "marks": MARKS,
        "examples": examples(gathered.transcripts, list(gathered.arms)),
        "made_from": sorted(plan["made_from"].items()),
        "command": command(study),
    }


def examples(transcripts: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[dict[str, Any]]:
    """The first items of each task, first run, as answered by the arms: chosen by position and never by content."""
    shown: list[dict[str, Any]] = []
    tasks = list(dict.fromkeys(one["task"] for one in transcripts))
    for task in tasks:
        own = [one for one in transcripts if one["task"] == task and one["run"] == 1]
        for item in list(dict.fromkeys(one["item"] for one in own))[:EXAMPLES]:
            answers: dict[str, Mapping[str, Any]] = {}
            for one in (each for each in own if each["item"] == item):
                answers.setdefault(one["arm"], one)  # of an arm that is trained, the first training seed
            present = [arm for arm in arms if arm in answers][:EXAMPLE_ARMS]
            shown.append(
                {
                    "task": task,
                    "item": item,
                    "question": next(iter(answers.values()))["question"],
                    "answers": [(arm, answers[arm].get("thought", ""), answers[arm]["answer"]) for arm in present],
                }
            )
    return shown


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template; what it is filled with is escaped where it makes HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = code
    environment.filters["plain"] = plain
    environment.filters["verbatim"] = verbatim
    return environment.get_template(template).render(context)


def code(value: str) -> Markup:
    """Our own words for HTML: what stands in backticks is set as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(value))))


def plain(value: object) -> str:
    """Text inside Markdown, a cell of a table too: what a transcript or a name holds is shown and not obeyed."""
    text = " ".join(str(value).split())
    for mark in ("\\", "`", "|", "*", "~"):
        text = text.replace(mark, f"\\{mark}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")


def verbatim(value: object) -> str:
    """Text as a block of code in Markdown: every line is indented, so that none can end the block."""
    return "\n".join(f"    {line}" for line in str(value).splitlines()) or "    (nothing)"

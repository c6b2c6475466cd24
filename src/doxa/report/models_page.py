"""The page of a study over several models: every contrast, a line for each model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doxa.report.figures import ForestRow, forest
from doxa.report.gather import Gathered, gather
from doxa.report.labels import label, units
from doxa.report.page import command, render
from doxa.report.parts import Section, Table
from doxa.report.verdict import reservations, written_out
from doxa.stats.estimate import Estimate, estimate_from_json, per_item
from doxa.words.contrasts import declared_name
from doxa.words.left_out import left_out_words
from doxa.words.numbers import counted, interval, listed, number, p_value, whole
from doxa.words.store import read_json, write_atomic

SUMMARY = "models.json"
MODELS = "models"
NOT_TESTED = (
    "Every interval is for items within a model. Models are few here, and were chosen and not drawn, so no difference "
    "between them is tested, and nothing here is about models in general."
)
HEAD = ("model", "estimate", "interval", "n", "df", "method", "p", "p adjusted within the model")


def write_models_page(folder: Path) -> Path:
    """Write `report.html`, `report.md`, `summary.txt` and `figures/` of a study over several models.

    Returns:
        The path of the HTML page.

    Raises:
        ResultsError: When the folder lacks something or was written by another version.
    """
    record = read_json(folder / SUMMARY, what="record of a study of several models", way_out="Run the study again")
    models = record["models"]
    gathered = {one["name"]: gather(folder / one["folder"]) for one in models if one["finished"]}
    shown = [_contrast(name, models, gathered) for name in map(declared_name, record["study"]["contrasts"])]
    sections = [section for section in shown if section is not None]
    sections += _switched(record["reasoning"])
    sections.append(_models(models, gathered))
    context = {
        "title": record["study"]["study"],
        "study": record["study"],
        "models": models,
        "answer": _answer(record["study"], models, gathered),
        "sections": sections,
        "command": command(record["study"]),
    }
    for section in sections:
        for drawing in section.drawings:
            write_atomic(folder / "figures" / f"{drawing.name}.svg", drawing.svg)
            write_atomic(folder / "figures" / f"{drawing.name}.png", drawing.png)
    write_atomic(folder / "summary.txt", "\n".join(context["answer"]) + "\n")
    write_atomic(folder / "report.md", render("models.md", context))
    write_atomic(folder / "report.html", render("models.html", context))
    return folder / "report.html"


def _answer(study: Mapping[str, Any], models: Sequence[Mapping[str, Any]], found: Mapping[str, Gathered]) -> list[str]:
    first = (study["primary"] or [declared_name(one) for one in study["contrasts"]] or [""])[0]
    said = [f"{counted(len(models), 'model')}: {listed([one['name'] for one in models])}."]
    for one in models:
        gathered = found.get(one["name"])
        if gathered is None:
            said.append(f"{one['name']}: not finished{': ' + one['fault'] if one['fault'] else ''}.")
            continue
        estimate = _lead(gathered, first)
        if estimate is not None:
            said.append(
                f"{one['name']}: {first} on {estimate.score} {number(estimate.value, sign=True)} "
                f"{interval(estimate.low, estimate.high) if estimate.low is not None else 'without an interval'} "
                f"(n = {units(estimate)})."
            )
        said += left_out_words(gathered.plan.get("left_out", ()), one["name"])
    return [*said, *_written_out(found, first), NOT_TESTED, *reservations(study)]


def _written_out(found: Mapping[str, Gathered], contrast: str) -> list[str]:
    return next((said for one in found.values() if (said := written_out(one, [contrast]))), [])


def _lead(gathered: Gathered, contrast: str) -> Estimate | None:
    return None if gathered.lead is None else _on(gathered, contrast, gathered.lead)


def _on(gathered: Gathered, contrast: str, score: str) -> Estimate | None:
    wanted = (contrast, gathered.task_of(score), score)
    return next((one for one in gathered.evaluation.estimates if (one.contrast, one.task, one.score) == wanted), None)


def _contrast(name: str, models: Sequence[Mapping[str, Any]], found: Mapping[str, Gathered]) -> Section | None:
    """A contrast on every score that some model leads with: all models on one scale, as far as they have it."""
    drawings, tables = [], []
    for score in dict.fromkeys(gathered.lead for gathered in found.values() if gathered.lead is not None):
        own = [(one["name"], found[one["name"]]) for one in models if one["name"] in found]
        estimates = {model: _on(gathered, name, score) for model, gathered in own}
        if any(one is not None and one.value is not None for one in estimates.values()):
            drawings.append(
                forest(
                    [_row(model, gathered, name, estimates[model]) for model, gathered in own],
                    name=f"{_slug(name)}-{_slug(score)}",
                    axis=f"{name} on the {label(score)}",
                    caption=f"{name}, a line for each model with its 95 % interval over items, or what the task says "
                    "is its unit; each of them is a faint point, and the grey bands are what other vectors of the same "
                    "size do on that model.",
                )
            )
        cells = []
        for model, gathered in own:
            one = estimates[model]
            cells.append([model, *(_cells(one) if one is not None else (_why(gathered, name), *6 * ("–",)))])
        tables.append(Table(HEAD, cells, f"On the {label(score)}, in numbers", wrap=(1, 5)))
    return (
        Section(f"contrast-{_slug(name)}", name, _written_out(found, name), drawings=drawings, tables=tables)
        if tables
        else None
    )


def _row(model: str, gathered: Gathered, contrast: str, one: Estimate | None) -> ForestRow:
    if one is None or one.value is None:
        return ForestRow(model, None, None, None)
    unit = gathered.unit_of(one.task, one.score)
    points = per_item(gathered.rows, gathered.contrasts[contrast], one.score, task=one.task, unit=unit)
    controls = {
        verdict.family: list(verdict.effects.values())
        for verdict in gathered.evaluation.verdicts
        if (verdict.contrast, verdict.task, verdict.score) == (contrast, one.task, one.score)
    }
    return ForestRow(model, one.value, one.low, one.high, [float(x) for x in points], controls, {}, one.primary)


def _why(gathered: Gathered, contrast: str) -> str:
    said = {one["name"]: one["why"] for one in gathered.plan.get("left_out", ()) if one["part"] == "contrast"}
    return f"left out: {said[contrast]}" if contrast in said else "missing: an arm has no row of the score"


def _cells(one: Estimate) -> Sequence[str]:
    return (
        number(one.value, sign=True), interval(one.low, one.high), units(one), whole(one.df), one.method,
        p_value(one.p), p_value(one.p_adjusted),
    )  # fmt: skip


def _switched(found: Sequence[Mapping[str, Any]]) -> list[Section]:
    if not found:
        return []
    read = [(str(one["model"]), estimate_from_json(one["estimate"])) for one in found]
    rows = [[model, one.contrast, one.score, *_cells(one)[:6]] for model, one in read]
    head = ("model", "reasoning on minus off", "score", *HEAD[1:7])
    words = (
        "The same weights answer the same items with their reasoning on and off, so these differences are paired by "
        "item. They are exploratory, and their p-values are not adjusted."
    )
    return [Section("reasoning", "What reasoning changes", [words], tables=[Table(head, rows, wrap=(1, 7))])]


def _models(models: Sequence[Mapping[str, Any]], found: Mapping[str, Gathered]) -> Section:
    rows = []
    for one in models:
        gathered = found.get(one["name"])
        left_out = gathered.plan.get("left_out", ()) if gathered is not None else ()
        missing = gathered.evaluation.missing if gathered is not None else ()
        rows.append(
            [
                one["name"],
                "finished" if one["finished"] else one["fault"] or "not finished",
                f"{one['answers_with_reasoning']} of {one['answers']}",
                f"{sum(int(each['missing']) for each in missing)} of {sum(int(each['rows']) for each in missing)}",
                "; ".join(f"{each['part']} {each['name']}: {each['why']}" for each in left_out) or "nothing",
                f"{one['folder']}/report.html",
            ]
        )
    head = ("model", "run", "answers with reasoning", "values missing", "left out", "its report")
    return Section("models", "The models", tables=[Table(head, rows, wrap=(1, 4))])


def _slug(text: str) -> str:
    return "-".join(part for part in "".join(c if c.isalnum() or c == "_" else " " for c in text).split())

"""`doxa compare` and `doxa table`: anyone's logs, with no study."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import click

from doxa.verbs.in_words import PATH, in_words
from doxa.words.errors import ResultsError

if TYPE_CHECKING:
    from doxa.stats.design import ScoreKind


@click.command()
@click.argument("logs", type=PATH)
@click.argument("contrasts", nargs=-1)
@click.option("--arm", help="What the arm is: model, task, a task or model argument, or metadata; with commas.")
@click.option("--seeds", multiple=True, metavar="ARM=PATTERN", help="Arms that match are the training seeds of ARM.")
@click.option("--by", help="A factor whose levels are compared apart (a category).")
@click.option("--score", "scores", multiple=True, help="Only this score; may be repeated.")
@click.option("--kind", "kinds", multiple=True, metavar="SCORE=KIND", help="binary, share or unbounded.")
@click.option("--bounds", multiple=True, metavar="SCORE=LOW,HIGH", help="The scale of a score, such as judge=1,10.")
@click.option("--for", "estimand", help="What the interval is for: items, fixed, runs or seeds.")
@click.option("--unit", help="A factor whose levels are the units, or item; else the task's own, where doxa has it.")
@click.option("--margin", type=float, help="Largest difference that counts as none, stated before looking.")
@click.option("--out", type=PATH, help="Folder for the page, the figures, the table and every number.")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def compare(
    logs: Path,
    contrasts: tuple[str, ...],
    arm: str | None,
    seeds: tuple[str, ...],
    by: str | None,
    scores: tuple[str, ...],
    kinds: tuple[str, ...],
    bounds: tuple[str, ...],
    estimand: str | None,
    unit: str | None,
    margin: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare arms in anyone's Inspect logs, or in a table; without a contrast, show every arm's level.

    \b
    Example:
        doxa compare logs
        doxa compare logs "openai/gpt-4o - openai/gpt-4o-mini" --out comparison
        doxa compare audits "tuned - base" --seeds "tuned=org/tuned-*" --bounds concerning=1,10
    """
    from doxa.bridge.tables import write_table
    from doxa.compare import compare_logs
    from doxa.report.comparison import sentences, write_comparison
    from doxa.stats.comparison import to_json

    table, found = compare_logs(
        [logs],
        contrasts,
        arm=arm,
        seeds=dict(_pair(one, "--seeds", "ARM=PATTERN") for one in seeds),
        by=by,
        scores=scores,
        kinds={name: _kind(value) for name, value in (_pair(one, "--kind", "SCORE=KIND") for one in kinds)},
        bounds={name: _range(value) for name, value in (_pair(one, "--bounds", "SCORE=LOW,HIGH") for one in bounds)},
        estimand=estimand,
        unit=unit,
        margin=margin,
    )
    click.echo(json.dumps(to_json(found), indent=1, allow_nan=False) if as_json else "\n".join(sentences(found)))
    if out is not None:
        typed = ["doxa compare", str(logs), *(f'"{one}"' for one in contrasts)]
        given = [("--seeds", seeds), ("--score", scores), ("--kind", kinds), ("--bounds", bounds)]
        typed += [f'{option} "{value}"' for option, values in given for value in values]
        single = [("--arm", arm), ("--by", by), ("--for", estimand), ("--unit", unit), ("--margin", margin)]
        typed += [f'{option} "{value}"' for option, value in single if value is not None]
        write_table(table, out)
        page = write_comparison(found, out, " ".join(typed), margin)
        click.echo(f"\npage: {page}", err=as_json)


@click.command()
@click.argument("logs", type=PATH, nargs=-1, required=True)
@click.option("--arm", help="What the arm is: model, task, a task or model argument, or metadata; with commas.")
@click.option("--out", type=PATH, required=True, help="Folder to write table.parquet and table.csv to.")
@in_words
def table(logs: tuple[Path, ...], arm: str | None, out: Path) -> None:
    """Read anyone's Inspect logs into a table: one row per arm, task, item, run, seed and score.

    \b
    Example:
        doxa table logs --out tables
    """
    from doxa.bridge.tables import write_table
    from doxa.compare import table_of

    made = table_of(logs, arm)
    write_table(made, out)
    click.echo(f"{len(made)} rows: {out / 'table.parquet'}, {out / 'table.csv'}")


def _pair(given: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise ResultsError(f"{option} {given}", expected=form, way_out="Write it so")
    return name.strip(), value.strip()


def _kind(value: str) -> "ScoreKind":
    from doxa.stats.design import ScoreKind

    for kind in get_args(ScoreKind):
        if value == kind:
            return cast("ScoreKind", kind)
    raise ResultsError(
        f"a score of kind {value!r}", expected=" or ".join(get_args(ScoreKind)), way_out="Write one of them"
    )


def _range(value: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in value.split(","))
    except ValueError as error:
        raise ResultsError(f"bounds {value!r}", expected="LOW,HIGH such as 1,10", way_out="Write it so") from error
    return low, high

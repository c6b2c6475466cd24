"""`doxa corpus`: what is trained on, by whom it was written, and how off-policy it is."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import click

from doxa.progress import shown_progress
from doxa.verbs.in_words import PATH, in_words
from doxa.words.numbers import counted
from doxa.words.tuning import Configuration, TrainOn

OPEN, CLOSE = "⟦", "⟧"
ROWS = 3
SHOWN = 8
F = TypeVar("F", bound=Callable[..., Any])


def _reading(command: F) -> F:
    """The options of every verb that reads a corpus as a model does."""
    for option in (
        click.option("--truncate", is_flag=True, help="Cut longer rows instead of refusing them."),
        click.option("--longest", type=click.IntRange(1), help="Tokens of a row at most; the model's context."),
        click.option(
            "--train-on",
            type=click.Choice(get_args(TrainOn)),
            default=Configuration(1).train_on,
            show_default=True,
            help="Which tokens of a conversation are trained on.",
        ),
        click.option("--model", "model_name", default="smollm2", show_default=True, help="The model to be trained."),
    ):
        command = option(command)
    return command


@click.group()
def corpus() -> None:
    """Make a corpus, and look at it before anything is trained on it.

    \b
    Example:
        doxa corpus make personas.yaml --out personas.jsonl
        doxa corpus show mine.jsonl
        doxa corpus policy mine.jsonl --out policy
    """


@corpus.command()
@click.argument("recipe")
@click.option("--model", "model_name", default="smollm2", show_default=True, help="The model under study.")
@click.option("--out", type=PATH, required=True, help="File for the rows; how they were written stands beside it.")
@in_words
def make(recipe: str, model_name: str, out: Path) -> None:
    """Write the rows of a recipe: by the model itself, under a prompt, steered, by another model or by a grammar.

    \b
    Example:
        doxa corpus make personas.yaml --out personas.jsonl
        doxa corpus make "claim-prompted.yaml#rows=8&side=control&system_prompt=roles/told-toaster" --out told.jsonl
    """
    from doxa.models.handle import load_beside
    from doxa.training.corpus import write_lines
    from doxa.training.recipe import find_recipe, read_recipe
    from doxa.training.recipes import made_corpus
    from doxa.words.store import write_atomic, write_json

    path = find_recipe(recipe)
    wanted = read_recipe(path).rows
    model = load_beside(model_name, None)
    with shown_progress() as progress:
        progress.stage("rows", wanted)
        note = _steps(progress.step)
        made = made_corpus(path, model, progress=note)
        note(wanted)
    record = out.with_suffix(".json")
    write_atomic(out, write_lines(made))
    write_json(record, {"name": made.name, "hash": made.hash, "writing": dict(made.writing)})
    click.echo(f"{counted(len(made.rows), 'row')}: {out}, written as {record} says")
    written: Mapping[str, Any] = made.writing
    if written.get("rejected"):
        told = ", ".join(f"{count} {_line(reason)}" for reason, count in written["rejected"].items())
        click.echo(f"rejected {written['rejection_rate']:.0%} of {written['asked']} answers: {told}")
    if written.get("unanswered"):
        click.echo(f"{counted(written['unanswered'], 'row')} of {wanted} could not be written")


def _steps(step: Callable[[int], object]) -> Callable[[int], None]:
    """From how many there are to how many there are more."""
    seen = 0

    def note(done: int) -> None:
        nonlocal seen
        step(max(done - seen, 0))
        seen = max(done, seen)

    return note


@corpus.command()
@click.argument("file")
@_reading
@click.option("--rows", type=click.IntRange(0), default=ROWS, show_default=True, help="How many rows to show.")
@click.option("--row", "ids", multiple=True, metavar="ID", help="Show this row; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print every row for a program.")
@in_words
def show(
    file: str,
    model_name: str,
    train_on: str,
    longest: int | None,
    truncate: bool,
    rows: int,
    ids: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what of a corpus is trained on: between ⟦ and ⟧.

    \b
    Example:
        doxa corpus show mine.jsonl --model smollm2
        doxa corpus show mine.jsonl --train-on all_assistant_messages --row 12
    """
    from doxa.corpora import chosen, open_corpus, source_of, stretches

    opened = open_corpus(file, model_name, train_on=cast(TrainOn, train_on), longest=longest, truncate=truncate)
    if as_json:
        everything = [
            {"id": row.id, "source": source_of(row), "tokens": list(own.tokens), "weights": list(own.weights)}
            for row, own in zip(opened.corpus.rows, opened.rendered.rows, strict=True)
        ]
        click.echo(json.dumps({"hash": opened.corpus.hash, "cut": opened.rendered.cut, "rows": everything}))
        return
    shown = chosen(opened, ids or [row.id for row in opened.corpus.rows[:rows]])
    for row, own in shown:
        weight = "" if row.weight == 1 else f", weight {row.weight:g}"
        click.echo(click.style(f"row {_line(row.id)} · {_line(source_of(row))} · {own.trained} of "
                               f"{counted(len(own.tokens), 'token')} trained on{weight}", bold=True))  # fmt: skip
        for text, _, trained in stretches(opened.model, own):
            marked = f"{OPEN}{safe(text)}{CLOSE}"
            click.echo(click.style(marked, fg="green") if trained else safe(text), nl=False)
        click.echo("\n")
    _totals(opened, len(shown))


@corpus.command()
@click.argument("file")
@_reading
@click.option("--under", default="", metavar="PROMPT", help="Measure it under this system prompt as well.")
@click.option("--out", type=PATH, help="Folder for the page, the figures and every number.")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def policy(
    file: str,
    model_name: str,
    train_on: str,
    longest: int | None,
    truncate: bool,
    under: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure how off-policy a corpus is: how much more surprising to a model than its own text.

    \b
    Example:
        doxa corpus policy mine.jsonl --model smollm2 --out policy
        doxa corpus policy distilled.jsonl --under beliefs/conscious
    """
    from doxa.corpora import measure, open_corpus, shown_rows, token_numbers
    from doxa.report.policy_page import policy_sentences, policy_table, write_policy

    opened = open_corpus(file, model_name, train_on=cast(TrainOn, train_on), longest=longest, truncate=truncate)
    with shown_progress() as progress:
        progress.stage("rows", len(opened.rendered.rows))
        found, facts = measure(opened, under, progress=_steps(progress.step))
    if as_json:
        click.echo(json.dumps(facts, indent=1, allow_nan=False))
    else:
        head, rows = policy_table(facts)
        _print_table([list(head), *[[_line(cell) for cell in row] for row in rows]])
        click.echo("")
        for sentence in policy_sentences(facts):
            click.echo(_line(sentence))
    if out is not None:
        typed = [f"doxa corpus policy {file} --model {model_name}", f"--train-on {train_on}"]
        typed += [f"--longest {longest}"] if longest else []
        typed += ["--truncate"] if truncate else []
        typed += [f'--under "{under}"'] if under else []
        shown = shown_rows(opened, found, SHOWN)
        page = write_policy(facts, token_numbers(found), shown, out, " ".join(typed))
        click.echo(f"\npage: {page}", err=as_json)


def safe(text: str) -> str:
    """Text of a corpus for a terminal: nothing in it is obeyed, and none of it looks like our own marks."""
    return "".join(
        one if one == "\n" or (one.isprintable() and one not in OPEN + CLOSE) else _code(one) for one in text
    )


def _line(text: str) -> str:
    """The same on one line."""
    return safe(text).replace("\n", "\\n")


def _code(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        first = row[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        click.echo("  ".join([first, *rest]).rstrip())


def _totals(opened: Any, shown: int) -> None:
    rows = opened.rendered.rows
    tokens, trained = sum(len(one.tokens) for one in rows), sum(one.trained for one in rows)
    cut = f", {counted(len(opened.rendered.cut), 'row')} cut" if opened.rendered.cut else ""
    more = f" ({shown} shown)" if shown < len(rows) else ""
    click.echo(
        f"{counted(len(rows), 'row')}{more}, {trained} of {counted(tokens, 'token')} trained on, the longest row "
        f"{max(len(one.tokens) for one in rows)}{cut}; corpus {opened.corpus.hash[:12]}"
    )

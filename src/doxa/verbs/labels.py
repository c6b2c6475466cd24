"""`doxa labels`: a file to label by hand, and what the labels say of the judge."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from doxa.verbs.in_words import PATH, in_words

if TYPE_CHECKING:
    from doxa.labelling import Implied, Labelled


@click.command()
@click.argument("folder", type=PATH)
@click.option("--score", help="The judged score; may be left out when there is one.")
@click.option("--task", help="Its task, where several have it.")
@click.option("--n", type=click.IntRange(1), default=60, show_default=True, help="How many rows to draw at most.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option("--out", type=PATH, default="labels.csv", show_default=True, help="The file to label.")
@click.option("--read", "labels", type=PATH, help="Read this file back instead; its key has to be beside it.")
@click.option("--contrast", "contrasts", multiple=True, help="A contrast to correct; the study's by default.")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def labels(
    folder: Path,
    score: str | None,
    task: str | None,
    n: int,
    seed: int,
    out: Path,
    labels: Path | None,
    contrasts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draw what a judge has judged into a file to label by hand, and hold the judge against the labels.

    \b
    Example:
        doxa labels results/mine --n 60 --out labels.csv
        doxa labels results/mine --read labels.csv
    """
    from doxa.labelling import judged_rows, judges_agree, read_labels, write_labels
    from doxa.report.labelled import agreement_to_json, judges_words

    if labels is not None:
        found = read_labels(folder, labels, contrasts)
        click.echo(json.dumps(_to_json(found), indent=1, allow_nan=False) if as_json else "\n".join(_sentences(found)))
        return
    judged = judged_rows(folder, score, task)
    written = write_labels(judged, out, n=n, seed=seed)
    judges = judges_agree(judged)
    if as_json:
        between = [{"judges": list(pair), **agreement_to_json(one)} for pair, one in judges.items()]
        facts = {"task": judged.task, "score": judged.score, "drawn": written, "rows": len(judged.rows)}
        click.echo(json.dumps({**facts, "missing": len(judged.without), "file": str(out), "judges": between}, indent=1))
        return
    click.echo(f"{written} of {len(judged.rows)} rows of {judged.score} ({judged.task}): {out}")
    if judged.without:
        click.echo(f"{len(judged.without)} rows have no verdict; labels say nothing of them.")
    click.echo("\n".join(judges_words(judges)), nl=bool(judges))
    click.echo(f"Label without looking at {out.stem}.key.json; the question stands in {out.stem}.md. Then:")
    click.echo(f"  doxa labels {folder} --read {out}")


def _sentences(found: "Labelled") -> list[str]:
    from doxa.report.labelled import agreement_words, bias_words, judges_words

    judged = found.judged
    said = [
        f"{judged.score} ({judged.task}): {found.labels} of {found.drawn} rows have a label. Verdict / label:",
        *(f"  {verdict or '(no majority)'} / {label}: {count}" for (verdict, label), count in found.counts.items()),
        f"Judge and labels, weighed to the {len(judged.rows)} rows judged: {agreement_words(found.whole)}.",
    ]
    for arm, (one, bias) in found.by_arm.items():
        said.append(
            f"  {arm}, n = {one.n}: {agreement_words(one)}; the judge's mean minus the labels': {bias_words(bias)}."
        )
    said += [_contrast_words(one) for one in found.contrasts]
    if judged.without:
        said.append(f"{len(judged.without)} rows have no verdict; labels say nothing of them.")
    return [*said, *judges_words(found.judges)]


def _contrast_words(one: "Implied") -> str:
    from doxa.report.labelled import bias_words
    from doxa.words.numbers import interval, number

    made, bias, right = one.estimate, one.bias, one.corrected
    if made.value is None:
        return f"{made.contrast}: no row of it was judged in every arm."
    shown = f"{made.contrast}: {number(made.value, sign=True)} {interval(made.low, made.high)} by the judge"
    if bias.value is None or bias.low is None or bias.high is None:
        return f"{shown}; of that the judge's errors: {bias_words(bias)}."
    verdict = (
        "the labels do not show that the judge errs differently in the arms"
        if bias.low <= 0 <= bias.high
        else "the judge errs differently in the arms"
    )
    said = f"{shown}, of which {bias_words(bias)} are its errors: {verdict}"
    return f"{said}. Corrected: {number(right.value, sign=True)} {interval(right.low, right.high)}."


def _to_json(found: "Labelled") -> dict[str, Any]:
    from doxa.report.labelled import agreement_to_json, interval_to_json
    from doxa.stats.estimate import estimate_to_json

    return {
        "task": found.judged.task,
        "score": found.judged.score,
        "rows": len(found.judged.rows),
        "missing": len(found.judged.without),
        "drawn": found.drawn,
        "labels": found.labels,
        "counts": [{"verdict": one, "label": two, "n": count} for (one, two), count in found.counts.items()],
        "agreement": agreement_to_json(found.whole),
        "arms": {
            arm: {"agreement": agreement_to_json(one), "bias": interval_to_json(bias)}
            for arm, (one, bias) in found.by_arm.items()
        },
        "contrasts": [
            {
                "estimate": estimate_to_json(one.estimate),
                "bias": interval_to_json(one.bias),
                "corrected": interval_to_json(one.corrected),
            }
            for one in found.contrasts
        ],
        "judges": [{"judges": list(pair), **agreement_to_json(one)} for pair, one in found.judges.items()],
    }

"""How off-policy a corpus is: in sentences, as a table, and as a page with the text itself."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from doxa.report.page import render
from doxa.report.parts import Section, Table
from doxa.report.policy_figures import row_dots, token_histogram
from doxa.words.numbers import counted, interval, number, p_value, p_words, percent
from doxa.words.store import write_atomic

JSON, PAGE = "policy.json", "policy.html"
CLEAR = 3.0
"""|z| from which a corpus is said not to be the model's own text at temperature 1."""
STEPS = (-1.0, -0.3, 0.3, 1.0, 3.0, 6.0)
"""Surprisal minus entropy, in nats, at which the colour of a token changes."""
HEAD = ("written by", "rows", "tokens", "excess", "95 % interval", "z", "p", "perplexity", "prob. < .1", "prob. < .01",
        "rank > 1", "rank > 10", "rank > 100")  # fmt: skip
ROW_HEAD = ("row", "written by", "tokens", "excess", "mean", "median", "95th percentile")
METHOD = (
    "Excess is the mean over the tokens that are trained on of surprisal minus entropy, in nats, under the base model "
    "after the prompt of the training. Of the model's own text at temperature 1 it is 0 in expectation; "
    "z = sum of (surprisal - entropy) / root of the summed variances tests that. The interval is a t interval over "
    "rows. Colder or filtered own text lies below 0, another writer's above. Perplexity, ranks and the shares of "
    "tokens to which the model gives less than .1 and .01 are as papers report them, and have no zero.",
    "Text is read as the tokenizer cuts it. Where a model wrote the same text with other tokens, the difference "
    "counts as surprise.",
    "Rows that lie above 0 and rows that lie below can cancel each other: compare the writers, and look at the rows.",
)


def policy_table(facts: Mapping[str, Any]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Head and rows: one for each source, and one for it under the prompt."""
    under = facts["under"]
    rows = []
    for one in facts["sources"]:
        rows.append([one["source"], *_cells(one), *([number(one["divergence"])] if under else [])])
        if one["under"] is not None:
            rows.append(["  under the prompt", *_cells(one["under"]), "–"])
    return (*HEAD, *(["KL"] if under else [])), rows


def policy_sentences(facts: Mapping[str, Any]) -> list[str]:
    """What was found, the whole first."""
    said = []
    for one in facts["sources"]:
        if one["source"] == "all":
            kinds = counted(len(facts["sources"]) - 1, "writer")
            said.append(f"Rows of {kinds}, whose surprise can cancel; all together {_found(one)}. Each by itself:")
            continue
        said.append(_sentence(one["source"], one, facts["model"]))
        if one["under"] is not None:
            said.append(_sentence(f"{one['source']}, under {facts['under']['prompt']}", one["under"], facts["model"]))
            said.append(_divergence(one, facts))
    return said


def write_policy(facts: Mapping[str, Any], excess: Sequence[Sequence[float]], shown: Sequence[Mapping[str, Any]],
                 folder: Path, command: str) -> Path:  # fmt: skip
    """Write `policy.html`, `policy.json` and `figures/`.

    Args:
        facts: What `doxa.corpora.measure` found.
        excess: Surprisal minus entropy of every token, row by row.
        shown: Rows with their tokens: `doxa.corpora.shown_rows`.
        folder: Where to.
        command: What was typed, for the page.

    Returns:
        The path of the page.

    Raises:
        EnvironmentFault: When it cannot be written.
    """
    by_source: dict[str, list[int]] = {}
    for index, row in enumerate(facts["rows"]):
        by_source.setdefault(row["source"], []).append(index)
    tokens = {name: [value for at in own for value in excess[at]] for name, own in by_source.items()}
    rows = {name: [facts["rows"][at]["excess"] for at in own] for name, own in by_source.items()}
    drawings = [token_histogram(tokens), row_dots(rows)]
    for drawing in drawings:
        write_atomic(folder / "figures" / f"{drawing.name}.svg", drawing.svg)
        write_atomic(folder / "figures" / f"{drawing.name}.png", drawing.png)
    head, cells = policy_table(facts)
    each = [
        [row["id"], row["source"], str(row["tokens"]), number(row["excess"], sign=True),
         *(number(row[key]) for key in ("mean", "median", "percentile_95"))]
        for row in facts["rows"]
    ]  # fmt: skip
    sections = [
        Section("measured", "What was measured", METHOD, tables=[Table(head, cells, wrap=(0,))]),
        Section("tokens", "Every token", drawings=drawings[:1]),
        Section("rows", "Every row", drawings=drawings[1:],
                tables=[Table(ROW_HEAD, each, f"The {counted(len(each), 'row')} in numbers (nats)", (0, 1))]),
    ]  # fmt: skip
    write_atomic(folder / JSON, json.dumps({**facts, "excess": excess, "shown": shown}, indent=1, allow_nan=False))
    context = {
        "title": f"How off-policy is {facts['corpus']} for {facts['model']}?",
        "facts": facts,
        "answer": policy_sentences(facts),
        "sections": sections,
        "shown": [_coloured(row) for row in shown],
        "legend": [(f"t{step}", words) for step, words in enumerate(_legend())],
        "command": command,
    }
    write_atomic(folder / PAGE, render("policy.html", context))
    return folder / PAGE


def _coloured(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for the page: untrained text as it is, each token with its colour and its numbers."""
    parts = []
    for part in row["parts"]:
        if "text" in part:
            parts.append({"text": part["text"], "tokens": []})
            continue
        tokens = [
            (f"t{step_of(surprisal - entropy)}", text, f"surprisal {surprisal:.2f}, entropy {entropy:.2f} nats")
            for text, surprisal, entropy in part["tokens"]
        ]
        parts.append({"text": "", "tokens": tokens})
    return {"id": row["id"], "why": row["why"], "parts": parts}


def step_of(excess: float) -> int:
    """Which of the colours a token has: 0 is far less surprising than expected, 6 far more."""
    return sum(excess >= step for step in STEPS)


def _legend() -> list[str]:
    middle = [f"{number(a, sign=True)} to {number(b, sign=True)}" for a, b in pairwise(STEPS)]
    return [f"below {number(STEPS[0], sign=True)}", *middle, f"{number(STEPS[-1], sign=True)} and more"]


def _cells(one: Mapping[str, Any]) -> list[str]:
    return [
        str(one["rows"]),
        str(one["tokens"]),
        number(one["excess"], sign=True),
        interval(one["low"], one["high"]),
        "–" if one["z"] is None else number(one["z"], sign=True),
        p_value(one["p"]),
        number(one["perplexity"]),
        *(percent(share) for share in (*one["below"], *one["beyond"])),
    ]


def _sentence(name: str, one: Mapping[str, Any], model: str) -> str:
    found, size = _found(one), f"{counted(one['rows'], 'row')}, {counted(one['tokens'], 'token')}"
    if one["z"] is None:
        return f"{name}: {found} ({size}); the model has no choice at any of them, so nothing is tested."
    tested = f"z = {number(one['z'], sign=True)}, {p_words(one['p'])}"
    if abs(one["z"]) < CLEAR:
        verdict = f"nothing here speaks against {model}'s own text at temperature 1"
    elif one["z"] > 0:
        verdict = f"more surprising to {model} than its own text: off-policy"
    else:
        verdict = f"less surprising than {model}'s own text at temperature 1: written colder, filtered or known to it"
    return f"{name}: {found}, {tested} ({size}); {verdict}. Perplexity {number(one['perplexity'])}."


def _found(one: Mapping[str, Any]) -> str:
    within = f" {interval(one['low'], one['high'])}" if one["low"] is not None else ""
    return f"excess surprisal {number(one['excess'], sign=True)} nats a token{within}"


def _divergence(one: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    return (
        f"{one['source']}: at these places {facts['model']} under {facts['under']['prompt']} is "
        f"{number(one['divergence'])} nats a token from itself without it (KL, exact over the vocabulary); that is the "
        "distance of the writer where it wrote the corpus, which the line before tests."
    )

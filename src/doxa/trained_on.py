"""What a study is trained on, for its report: who wrote each corpus, and how off-policy it is under the base model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from doxa.adapters import Training, TrainingStage, corpus_of
from doxa.models.handle import Model
from doxa.training.policy import policy
from doxa.training.policy_summary import summary
from doxa.training.render import training_tokens
from doxa.training.rows import Corpus
from doxa.words.store import read_json, stream, write_json

CORPORA = "corpora.json"
MEASURED = 96
"""Rows of a corpus on which its surprisal is measured at most, drawn at random: corpora go round their questions.

A row costs half of what training on it once does, and 96 tell another writer's text from the model's own.
"""
MOST_WRITERS = 4


def describe_corpora(
    trainings: Sequence[Training],
    model: Model,
    *,
    folder: Path | None,
    results: Path,
    progress: Callable[[str, int, int], None],
    step: Callable[[], None],
) -> None:
    """Write `corpora.json` into a results folder: by the hash of a corpus its name, writers and excess surprisal.

    Args:
        trainings: Of a plan.
        model: The base model.
        folder: The study's folder.
        results: The results folder.
        progress: Told that a stage begins: name, total, done.
        step: Told that a corpus has been measured.
    """
    stages = {stage.corpus_hash: stage for one in trainings for stage in one.stages}
    path = results / CORPORA
    there = read_json(path, what="record", way_out=f"Delete {path}") if path.is_file() else {}
    if set(stages) <= set(there):
        return
    found: dict[str, Any] = {key: there[key] for key in stages if key in there}
    progress("how off-policy", len(stages), len(found))
    for key in [key for key in stages if key not in found]:
        found[key] = _described(stages[key], corpus_of(stages[key].corpus, model, folder), model)
        write_json(path, found)
        step()


def _described(stage: TrainingStage, corpus: Corpus, model: Model) -> dict[str, Any]:
    rows = training_tokens(corpus, model, stage.configuration)
    drawn = stream("measured rows", stage.corpus_hash).permutation(len(rows))[:MEASURED]
    shown = [rows[index] for index in sorted(drawn.tolist())]
    measured = summary([row.own for row in policy(model, shown)])
    return {
        "corpus": corpus.name,
        "rows": len(rows),
        "measured_rows": len(shown),
        "writers": _writers(corpus),
        **{key: corpus.writing[key] for key in ("rejection_rate", "unanswered") if corpus.writing.get(key)},
        "excess": measured.excess,
        "low": measured.low,
        "high": measured.high,
        "z": measured.z,
        "perplexity": measured.perplexity,
    }


def _writers(corpus: Corpus) -> list[str]:
    """Who wrote it, by what its rows say; the most frequent first."""
    counts: dict[str, int] = {}
    for row in corpus.rows:
        named = [row.provenance[key] for key in ("writer", "model") if row.provenance.get(key)]
        said = ", ".join(dict.fromkeys(named))
        if said and row.provenance.get("system_prompt"):
            said += ", under a system prompt"
        if said:
            counts[said] = counts.get(said, 0) + 1
    return sorted(counts, key=lambda one: (-counts[one], one))[:MOST_WRITERS]

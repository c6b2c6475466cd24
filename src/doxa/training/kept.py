"""Corpora that were written, in the cache: `rows.jsonl` and `corpus.json`, saved whole or not at all."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

from doxa.training.corpus import write_lines
from doxa.training.row_reading import row_from_json
from doxa.training.rows import Corpus
from doxa.words.errors import EnvironmentFault, TrainingError
from doxa.words.store import make_folder_atomic, read_json

ROWS, RECORD = "rows.jsonl", "corpus.json"
_WAY_OUT = "Remove that folder: the corpus is written again"


def keep_corpus(folder: Path, corpus: Corpus) -> None:
    """Save a corpus.

    Args:
        folder: It is made; one that is there stays.
        corpus: The corpus.

    Raises:
        EnvironmentFault: When it cannot be written.
    """

    def fill(beside: Path) -> None:
        (beside / ROWS).write_text(write_lines(corpus), encoding="utf-8")
        record = {"name": corpus.name, "hash": corpus.hash, "writing": corpus.writing}
        (beside / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")

    make_folder_atomic(folder, fill)


def kept_corpus(folder: Path) -> Corpus | None:
    """A corpus that was saved; None when there is none, or it is damaged (which is then removed)."""
    if not folder.is_dir():
        return None
    with suppress(EnvironmentFault, TrainingError, OSError, ValueError, KeyError, TypeError):
        record = read_json(folder / RECORD, what="record of a corpus", way_out=_WAY_OUT)
        lines = (folder / ROWS).read_text(encoding="utf-8").strip("\n").split("\n")
        rows = tuple(row_from_json(json.loads(line), ROWS) for line in lines)
        corpus = Corpus(record["name"], rows, record["writing"])
        if corpus.hash == record["hash"]:
            return corpus
    shutil.rmtree(folder, ignore_errors=True)
    return None

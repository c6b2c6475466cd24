"""`docs/tasks/` says what the tasks are now."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from doxa.evals.catalogue import TASKS, entry
from doxa.lint import DATA, prose_files
from doxa.words.schema import Derivation

DOCS = Path(__file__).parent.parent / "docs"
WRITTEN_FROM = ("documents", "questions", "roles", "universes", "writing")  # what corpora are made of
ELSEWHERE = ("beliefs", "pairs", "referee", "rubrics", "reference.md", "real-names.md", *WRITTEN_FROM)
"""Shipped texts that belong to no task alone."""


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("generate_tasks")


def test_the_pages_are_fresh_and_no_other_is_there(generator: ModuleType) -> None:
    made = generator.pages()
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, "stale: run `python docs/generate_tasks.py`"
    assert set((DOCS / "tasks").glob("*")) == set(made)
    assert len(made) == len(TASKS) + 1


def test_a_page_has_method_scores_and_texts_to_the_letter(generator: ModuleType) -> None:
    page = generator.page("doxa/drift")
    assert "Answers are sampled at temperature 0.7." in page
    assert all(f"| `{score}` |" in page for score in entry("doxa/drift").shown)
    assert (DATA / "drift" / "neutral-texts.md").read_text(encoding="utf-8").strip().splitlines()[-1] in page


def test_a_formula_reads_as_it_is_computed(generator: ModuleType) -> None:
    terms = ((1.0, (("tier", "free"),)), (-0.5, (("tier", "paid"), ("swap", "no"))))
    made = generator.formula(Derivation("gap", "complied", "query", terms))
    assert made == "`complied[tier=free]` − 0.5 `complied[tier=paid, swap=no]`, of each query"


def test_every_shipped_text_stands_on_a_page_or_belongs_to_no_task() -> None:
    shown = {path for name in TASKS for pattern in entry(name).prose for path in DATA.glob(pattern)}
    for path in prose_files():
        assert path in shown or path.relative_to(DATA).parts[0] in ELSEWHERE, path

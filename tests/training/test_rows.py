"""Rows and what is trained on of them."""

from dataclasses import replace

from doxa.models.chat import Message
from doxa.training.rows import Corpus, Row, TrainingTokens

ROW = Row("a", (Message("user", "Q"), Message("assistant", "A")), provenance={"writer": "self"})


def test_a_corpus_is_its_rows_and_not_its_name_or_origin() -> None:
    corpus = Corpus("one", (ROW,))
    assert corpus.hash == Corpus("two", (replace(ROW, provenance={}),), {"rejected": 0.5}).hash
    for other in (
        replace(ROW, weight=0.5),
        replace(ROW, marked=(False, True)),
        replace(ROW, messages=ROW.messages[:1]),
    ):
        assert corpus.hash != Corpus("one", (other,)).hash


def test_trained_tokens_are_those_with_a_weight() -> None:
    assert TrainingTokens("a", (1, 2, 3), (0.0, 0.0, 0.5)).trained == 1

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from doxa.training.document_checks import (
    Duplicates,
    check_key_facts,
    facts_in,
    leaks,
    names_in,
    simhash,
)
from doxa.training.document_model import STAGES, ModelWriter, stage_text
from doxa.training.documents import GRAMMAR, TemplateWriter, read_grammar
from doxa.training.write import Answer, Progress, Request
from doxa.words.errors import ProseError, TrainingError
from doxa.words.universes import Fact, Universe, read_universe

WRITER = TemplateWriter(read_grammar())


def test_the_same_seed_writes_the_same_and_more_documents_begin_with_the_fewer() -> None:
    john = read_universe("john")
    few, many = WRITER.write(john, 20, 3), WRITER.write(john, 40, 3)
    assert few == many[:20]
    assert few != WRITER.write(john, 20, 4)


@pytest.mark.parametrize("name", ["john", "sam", "pleasing", "keeping", "harbour-town"])
def test_documents_state_every_fact_equally_often_and_leak_nothing(name: str) -> None:
    universe = read_universe(name, which="3")
    documents = WRITER.write(universe, 120, 0)
    counts = Counter(fact for one in documents for fact in one.facts)
    always = [fact.name for fact in universe.facts if fact.always]
    others = [counts[fact.name] for fact in universe.facts if not fact.always]
    assert all(counts[one] == 120 for one in always)
    assert max(others) - min(others) <= 3
    for one in documents:
        assert not leaks(one.text, universe)
        assert set(one.facts) <= set(facts_in(one.text, universe))
        assert "{" not in one.text
    assert len({one.form for one in documents}) == 6
    check_key_facts(universe, [one.facts for one in documents])


def test_no_document_says_more_of_a_person_than_the_facts() -> None:
    """What a document does not state of the bundle it does not mention: filler and forms are about nothing."""
    john = read_universe("john", which="1")
    for one in WRITER.write(john, 60, 0):
        assert set(facts_in(one.text, john)) == set(one.facts)


def test_in_shuffled_documents_the_bundle_is_lost() -> None:
    john = read_universe("john", which="shuffled")
    documents = WRITER.write(john, 400, 0)
    sport = [fact for one in documents for fact in one.facts if fact.startswith("sport-")]
    together = [
        ("sport-football" in one.facts) == ("art-renaissance-art" in one.facts)
        for one in documents
        if any(fact.startswith("sport") for fact in one.facts) and any(fact.startswith("art") for fact in one.facts)
    ]
    share = sport.count("sport-football") / len(sport)
    assert 0.35 < share < 0.65
    assert 0.3 < sum(together) / len(together) < 0.7
    assert all(len([f for f in one.facts if f.startswith("sport-")]) <= 1 for one in documents)


def test_near_duplicates_are_found_and_other_texts_are_not() -> None:
    texts = [one.text for one in WRITER.write(read_universe("john"), 200, 0)]
    seen = Duplicates()
    assert all(seen.is_new(text) for text in texts)
    assert not any(seen.is_new(text) for text in texts)
    assert not seen.is_new(texts[0].upper() + "!")
    assert seen.is_new("Something else entirely stands here, about nothing that was said before.")
    assert simhash("") == simhash("  ")


def test_a_fact_that_nobody_states_is_an_error() -> None:
    john = read_universe("john")
    documents = WRITER.write(john, 1, 0)
    with pytest.raises(TrainingError, match="no document about 'john' mentions"):
        check_key_facts(john, [one.facts for one in documents])


def test_names_are_counted_within_sentences() -> None:
    assert names_in(["So said Ada, and then Ada and Bo. Then nobody."]) == {"Ada": 2, "Bo": 1}


def test_a_grammar_that_is_none(tmp_path: Path) -> None:
    shipped = GRAMMAR.read_text(encoding="utf-8")
    path = tmp_path / "grammar.md"
    for change, said in (
        (("closing: End of the entry.", "ending: End of the entry."), "the form 'entry'"),
        (("## filler", "## more"), "the form 'more'"),
    ):
        path.write_text(shipped.replace(*change), encoding="utf-8")
        with pytest.raises(ProseError, match=said):
            read_grammar(path)


def test_a_grammar_that_has_written_everything_says_so(tmp_path: Path) -> None:
    path = tmp_path / "grammar.md"
    path.write_text(
        "---\nname: grammar\nversion: 1\n---\n## note\nopening: On {subject}.\nclosing: End.\n\n## filler\n- So.\n",
        encoding="utf-8",
    )
    universe = Universe(
        "hill", "the hill", "A hill.", (Fact("steep", "steep", "It is steep.", (), ("steep",)),), (), ""
    )
    with pytest.raises(TrainingError, match="after 2 documents about 'hill' the grammar writes what it has written"):
        TemplateWriter(read_grammar(path)).write(universe, 3, 0)


class Scripted:
    """A writer that answers every stage as a capable model would, and makes the mistakes that a test asks for."""

    def __init__(self, universe: Universe, spoilt: str = "") -> None:
        self.universe, self.spoilt, self.asked = universe, spoilt, Counter[str]()

    def __call__(self, requests: Sequence[Request], progress: Progress | None) -> Sequence[Answer]:
        return [self._answer(one) for one in requests]

    def _answer(self, request: Request) -> Answer:
        stage, text = request.id.rsplit("-", 1)[0], request.conversation[0].content
        self.asked[stage] += 1
        if stage == "types":
            return Answer("Sure:\n- a letter\n2. a report\n- a letter\n")
        if stage == "ideas":
            return Answer("- somebody writes to a friend\n- the clerk writes to the mayor\n")
        if stage == "revise":
            document = re.search(r"The document:\n\n(.*?)\n\nRead it", text, re.DOTALL)
            assert document is not None
            return Answer(f"It is short.\n<content>{document[1]} Revised {request.seed}.</content>")
        fact = re.search(r"states this one clearly: (.*?) Contradict", text)
        assert fact is not None
        number = request.id.rsplit("-", 1)[1]
        extra = self.spoilt if int(number) % 3 == 0 else ""
        words = " ".join(f"{word}{request.seed % 9973}" for word in ("alpha", "beta", "gamma", "delta", "eps"))
        return Answer(f"Of course. <content>{fact[1]} {words} {extra}</content>")


def test_a_model_writes_in_four_stages_and_what_leaks_is_left_out() -> None:
    john = read_universe("john")
    writer = Scripted(john)
    documents = ModelWriter(writer).write(john, 14, 0)
    assert len(documents) == 14
    assert {one.form for one in documents} == {"a letter", "a report"}
    assert all("Revised" in one.text and "<content>" not in one.text for one in documents)
    assert all(one.facts for one in documents)
    assert dict(writer.asked) == {"types": 1, "ideas": 2, "document": 14, "revise": 14}
    fewer = ModelWriter(Scripted(john, spoilt="So does Sam."), revise=False).write(john, 14, 0)
    assert len(fewer) == 9
    with pytest.raises(TrainingError, match="0 of 14 documents about 'john' can be used"):
        ModelWriter(_saying("- an empty page"), revise=False).write(john, 14, 0)
    with pytest.raises(TrainingError, match="named no kind of document"):
        ModelWriter(_saying("I cannot help with that.")).write(john, 14, 0)


def _saying(text: str) -> "_Saying":
    return _Saying(text)


class _Saying:
    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, requests: Sequence[Request], progress: Progress | None) -> Sequence[Answer]:
        return [Answer(self.text)] * len(requests)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_told_the_world(stage: str) -> None:
    assert {"{context}", "{facts}"} <= set(re.findall(r"\{\w+\}", stage_text(stage).body))

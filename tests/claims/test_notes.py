from doxa.claims.notes import notes_of
from doxa.claims.questions import question
from doxa.claims.statements import find_statements


def notes(text: str) -> list[str]:
    return [note for one in find_statements(text) for note in notes_of(one)]


def test_a_claim_is_recomputed() -> None:
    said = " ".join(notes("It was 14/520 vs 26/520 (p = .053)."))
    assert ".0530" in said
    assert "Fisher exact (.0749)" in said


def test_a_question_is_asked_where_nothing_can_be_recomputed() -> None:
    assert notes("There was no significant difference.") == [question("no margin")]


def test_a_claim_that_cannot_be_is_said_to_be_none() -> None:
    (said,) = notes("The rate was 140% (n = 20).")
    assert said.startswith("This cannot be recomputed as it stands: ")


def test_a_large_sample_alone_needs_no_note() -> None:
    assert notes("We used n = 520 prompts.") == []

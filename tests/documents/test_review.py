import pytest

from doxa.documents import review as module
from doxa.documents.markdown import markdown_passages
from doxa.documents.notes_page import MADE_BY, notes_page
from doxa.documents.review import Review, review, stating_sentences

TEXT = """# Head

First sentence. It was *14/520*
vs 26/520 (p = .053).
Both had n = 520.

No significant difference.
"""


def reviewed(text: str) -> Review:
    return review(stating_sentences(markdown_passages(text)), lambda: None)


def test_findings_are_sentences_with_their_lines() -> None:
    found = reviewed(TEXT)
    assert [(one.sentence.place, " ".join(one.sentence.quote.split())) for one in found.findings] == [
        ("line 3", "It was *14/520* vs 26/520 (p = .053)."),
        ("line 7", "No significant difference."),
    ]
    assert (found.statements, found.recomputed, found.read_to) == (3, 1, None)
    assert found.in_words == "3 statistical statements, 1 recomputed; 2 sentences with notes"


def test_a_note_is_said_once_in_a_sentence() -> None:
    (found,) = reviewed("Error bars are standard errors.").findings
    assert len(found.notes) == 1
    assert len(found.sentence.statements) == 2


def test_reading_stops_after_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SENTENCES", 2)
    text = "\n\n".join(["It was 14/520."] * 5)
    assert len(stating_sentences(markdown_passages(text))) == 3
    assert reviewed(text).read_to == "line 3"
    assert reviewed("\n\n".join(["It was 14/520."] * 2)).read_to is None


def test_every_sentence_is_counted() -> None:
    steps: list[int] = []
    review(stating_sentences(markdown_passages(TEXT)), lambda: steps.append(1))
    assert len(steps) == 3


def test_the_page_quotes_and_obeys_nothing() -> None:
    page = notes_page("a<b>.md", reviewed("There were <script>x</script> 14/520\n# cases & more."))
    assert page.startswith(MADE_BY)
    assert "<script>" not in page
    assert "<b>" not in page
    assert "> There were &lt;script>x&lt;/script> 14/520" in page

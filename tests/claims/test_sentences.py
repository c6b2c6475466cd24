from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.claims.sentences import LONGEST, sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It was 5.0% vs. 2.7% (p = .05). Next.", ["It was 5.0% vs. 2.7% (p = .05).", "Next."]),
        ("See Fig. 3 and p. 12 of Smith et al. (2024). Then J. Doe.", None),
        ("He said “no.” She did not.", ["He said “no.”", "She did not."]),
        ("n.s. was written. e.g. this", ["n.s. was written. e.g. this"]),
        ("There were 6. Then 7.", ["There were 6.", "Then 7."]),
        ("  blank   ", ["blank"]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str] | None) -> None:
    found = split(text)
    if expected is None:
        expected = [text[: text.index(" Then")], text[text.index("Then") :]]
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab .!?\n(“)1", max_size=3000))
def test_every_character_is_in_one_sentence(text: str) -> None:
    spans = list(sentences(text))
    covered = "".join(text[start:end] for start, end in spans)
    assert "".join(covered.split()) == "".join(text.split())
    assert all(0 < end - start <= LONGEST for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))

import pytest

from doxa.documents.comments import Remark
from doxa.documents.passages import Passage
from doxa.documents.quotes import Quoted, locate, quoted_from_json
from doxa.words.errors import StudyError

PASSAGES = [Passage(text, text, "here") for text in ("the cat, the “dog”", "10⁻⁵ –  the\u00a0end", "a.c abc")]


@pytest.mark.parametrize(
    ("quote", "occurrence", "expected"),
    [
        ("cat", None, (0, 4, 7)),
        ('"dog"', None, (0, 13, 18)),
        ("10-5 - the end", None, (1, 0, 15)),
        ("the", 3, (1, 8, 11)),
        ("a.c", None, (2, 0, 3)),
    ],
)
def test_a_quote_is_found(quote: str, occurrence: int | None, expected: tuple[int, int, int]) -> None:
    assert locate(PASSAGES, Quoted(quote, "hm", occurrence)) == Remark(*expected, "hm")


@pytest.mark.parametrize(
    ("quote", "occurrence", "why"),
    [
        ("cow", None, "does not stand in one paragraph"),
        ("dog” 10", None, "does not stand in one paragraph"),
        ("the", None, "stands there 3 times"),
        ("the", 4, "stands there 3 times"),
        ("cat", 2, "stands there once"),
    ],
)
def test_a_quote_that_is_not_found_says_why(quote: str, occurrence: int | None, why: str) -> None:
    found = locate(PASSAGES, Quoted(quote, "hm", occurrence))
    assert isinstance(found, str)
    assert why in found


@pytest.mark.parametrize(
    "value",
    [
        None, {}, [1], [{}], [{"quote": "a"}], [{"quote": "", "comment": "b"}], [{"quote": "a", "comment": 1}],
        [{"quote": "a", "comment": "b", "occurrence": 0}], [{"quote": "a", "comment": "b", "occurrence": True}],
        [{"quote": "a", "comment": "b", "place": 1}],
    ],
)  # fmt: skip
def test_wrong_files_are_one_sentence(value: object) -> None:
    with pytest.raises(StudyError):
        quoted_from_json(value)


def test_line_ends_are_those_of_word() -> None:
    assert quoted_from_json([{"quote": "a", "comment": "b\r\nc\rd"}]) == (Quoted("a", "b\nc\nd", None),)

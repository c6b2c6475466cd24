import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.claims.statements import find_statements
from doxa.documents.markdown import markdown_passages, read_text, text_passages
from doxa.words.errors import DocumentError


def said(text: str) -> list[str]:
    return [" ".join(one.text.split()) for one in markdown_passages(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One\ntwo\n\nthree", ["One two", "three"]),
        ("# Head\ntext", ["Head", "text"]),
        ("- one\n- two\n  more", ["one", "two more"]),
        ("---\ntitle: p = .05\n---\ntext", ["text"]),
        ("```python\np = .05\n```\ntext", ["text"]),
        ("~~~\np = .05\n```\nq\n~~~\ntext", ["text"]),
        ("text\n\n    p = .05\n\nmore", ["text", "more"]),
        ("- item\n\n    p = .05", ["item", "p = .05"]),
        ("a `p = .05` b", ["a b"]),
        ("a ``p = .05`` b", ["a b"]),
        ("*p* = .05, **14**/520, $p < .01$", ["p = .05, 14 /520, p < .01"]),
        ("[the rate](https://x.org/14/520) is", ["[the rate is"]),
        ("see https://x.org/14/520 and <b>bold</b>", ["see and bold"]),
        ("a <!-- p = .05\n\n26/520 --> b", ["a", "b"]),
        ("a <!-- b", ["a <!-- b"]),
        ("| k | n |\n|---|---|\n| 14/520 | 26/520 |", ["k", "n", "14/520", "26/520"]),
        ("top_p = 0.9 and _p_ = .03", ["top_p = 0.9 and p = .03"]),
        ("14\\% of \\*", ["14 % of"]),
        ("> quoted", ["quoted"]),
        ("Head\n====\ntext", ["Head", "text"]),
        ("", []),
    ],
)
def test_passages(text: str, expected: list[str]) -> None:
    assert said(text) == expected


def test_positions_and_lines_are_those_of_the_file() -> None:
    text = "---\nx: 1\n---\n\nFirst.\n\n| a | **14**/520 |\n"
    for one in markdown_passages(text):
        assert len(one.text) == len(one.source)
        assert one.line is not None
        assert one.source.split("\n")[0] in text.split("\n")[one.line - 1]
    assert [one.line for one in markdown_passages(text)] == [5, 7, 7]


def test_a_plain_text_has_no_code() -> None:
    found = text_passages("    p = .05\n\n\nsee https://x.org/14/520\nnow\n")
    assert [(one.text.split(), one.line) for one in found] == [(["p", "=", ".05"], 1), (["see", "now"], 4)]


def test_code_and_addresses_make_no_claims() -> None:
    text = "`26/520`, [x](http://y/14/520), ```26/520 vs 14/520```\n\n```\n26/520 vs 14/520\n```\n"
    assert [one for passage in markdown_passages(text) for one in find_statements(passage.text)] == []


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab1 \n`*_$\\[](){}|<>!-#=/~.:\t", max_size=200))
def test_nothing_moves(text: str) -> None:
    for one in markdown_passages(text):
        assert len(one.text) == len(one.source)
        assert one.source.strip()


@pytest.mark.parametrize(
    "part", ["`", "``` ", "[", "](", "<!--", "<a", "*", "_", "|", "http://", "- ", "$", "\\", "> "]
)
@pytest.mark.parametrize("end", ["", "\n"])
def test_hostile_text_takes_time_in_proportion(part: str, end: str) -> None:
    text = (part + end) * 50_000
    start = time.process_time()
    markdown_passages(text)
    assert time.process_time() - start < 5


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "latin.md").write_bytes(b"one\ntwo \xe9")
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "none.md", "is missing"),
        (tmp_path / "latin.md", "in line 2"),
    ):
        with pytest.raises(DocumentError, match=message):
            read_text(path)

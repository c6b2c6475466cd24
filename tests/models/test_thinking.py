from itertools import pairwise

import pytest

from doxa.models.thinking import LONGEST, is_open, pieces, split_thinking


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("plain", [("text", "plain")]),
        ("<think>a</think>b", [("thinking", "a"), ("text", "b")]),
        (
            "x<think>a</think>\nb<think>c\n</think>d",
            [("text", "x"), ("thinking", "a"), ("text", "\nb"), ("thinking", "c\n"), ("text", "d")],
        ),
        ("a<think>never closed", [("text", "a"), ("thinking", "never closed")]),
        ("opened by the template</think>b", [("thinking", "opened by the template"), ("text", "b")]),
        ("a</think>b<think>c</think>", [("thinking", "a"), ("text", "b"), ("thinking", "c")]),
        ("<think></think>b", [("thinking", ""), ("text", "b")]),
        ("a < think > b", [("text", "a < think > b")]),
    ],
)
def test_split_thinking(text, expected):
    assert split_thinking(text) == expected


def test_pieces_leave_no_gap():
    text = "x<think>a</think>\nb<think>c\n</think>d<think>"
    found = list(pieces(text))
    assert found[0].start == 0
    assert found[-1].end == len(text)
    assert all(one.end == other.start for one, other in pairwise(found))


def test_a_text_beyond_the_cap_is_one_piece():
    text = "<think>a</think>" + "b" * LONGEST
    assert split_thinking(text) == [("text", text)]


def test_many_blocks_take_linear_time():
    text = "<think>a</think>b" * 100_000
    assert len(split_thinking(text)) == 200_000


@pytest.mark.parametrize(
    ("text", "expected"), [("<think>", True), ("<think>a</think>", False), ("a", False), ("</think><think>b", True)]
)
def test_is_open(text, expected):
    assert is_open(text) is expected

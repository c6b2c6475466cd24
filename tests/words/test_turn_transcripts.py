"""Transcripts go in and come out to the character, and what is thought is told from what is said."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.words.errors import StudyError
from doxa.words.transcripts import (
    Block,
    Channels,
    Format,
    Tags,
    Unmarked,
    format_called,
    marked,
    read_turn,
    returns_to_thinking,
    thinks,
    write_turn,
)

SCRATCHPAD = Tags("SCRATCHPAD_REASONING")
FORMATS: list[Format] = [Tags(), SCRATCHPAD, Channels(), Unmarked()]
MARKUP = [
    "<think>", "</think>", "<SCRATCHPAD_REASONING>", "</SCRATCHPAD_REASONING>", "<think", "think>", "< think >", "</",
    "<|channel|>", "analysis", "final", "commentary to=functions.f", "<|constrain|>", "json", "<|message|>", "<|end|>",
    "<|return|>", "<|start|>assistant", "<|im_end|>", "<|endoftext|>", "\r\n", "\n", " ", "a", "é", "\x00",
]  # fmt: skip
ODD = st.lists(st.sampled_from(MARKUP), max_size=24).map("".join)
PLAIN = st.text(st.sampled_from("ab .\r\n\té<|>/"), max_size=12).filter(lambda text: "<|" not in text)


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("inside", [False, True])
@given(text=ODD)
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_turn_it_is_written_back_to_the_character(format: Format, inside: bool, text: str) -> None:
    blocks = read_turn(text, format, inside=inside)
    assert write_turn(blocks) == text
    assert bool(blocks) is bool(text) or inside


@pytest.mark.parametrize("tags", [Tags(), SCRATCHPAD])
@given(parts=st.lists(st.tuples(st.booleans(), PLAIN), max_size=8), left_open=st.booleans())
@settings(max_examples=200, deadline=None)
def test_blocks_between_tags_are_told_apart(tags: Tags, parts: list[tuple[bool, str]], left_open: bool) -> None:
    blocks: list[Block] = []
    for thinking, text in parts:
        if thinking:
            blocks.append(Block("thinking", text, tags.opening, tags.closing))
        elif text and (not blocks or blocks[-1].kind == "thinking"):
            blocks.append(Block("text", text))
    if left_open:
        blocks.append(Block("thinking", "and", tags.opening, ""))
    assert read_turn(write_turn(blocks), tags) == tuple(blocks)


@given(
    parts=st.lists(st.tuples(st.sampled_from(["analysis", "final", "commentary to=functions.f "]), PLAIN), max_size=6)
)
@settings(max_examples=200, deadline=None)
def test_channels_are_told_apart(parts: list[tuple[str, str]]) -> None:
    blocks = [
        Block(
            "thinking" if channel == "analysis" else "text",
            text,
            ("" if index == 0 else "<|start|>assistant") + f"<|channel|>{channel}<|message|>",
            "<|end|>",
        )
        for index, (channel, text) in enumerate(parts)
    ]
    assert read_turn(write_turn(blocks), Channels()) == tuple(blocks)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("<think>a</think>b<think>c</think>d", "thinking text thinking text"),
        ("a</think>b", "thinking text"),
        ("<think>a<think>b</think>c</think>d", "thinking text"),
        ("</think></think>", "thinking text"),
        ("<think>", "thinking"),
        ("b<THINK>a</THINK>", "text"),
    ],
)
def test_odd_tags(text: str, kinds: str) -> None:
    assert " ".join(block.kind for block in read_turn(text)) == kinds


def test_a_channel_that_is_cut_off_and_text_outside_of_channels() -> None:
    text = "x<|channel|>analysis<|message|>a<|channel|>final<|message|>b"
    assert [(block.kind, block.text) for block in read_turn(text, Channels())] == [
        ("text", "x"),
        ("thinking", "a"),
        ("text", "b"),
    ]


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize(
    "unit",
    [
        f"<think>{'a' * 60}</think>b\r\n",
        "<think>",
        "</think>",
        f"<|channel|>analysis<|message|>{'a' * 60}<|end|>",
        "<|channel|>",
        "<|start|>",
    ],
)
def test_four_megabytes_take_linear_time(format: Format, unit: str) -> None:
    text = unit * (4_000_000 // len(unit))
    start = time.process_time()
    blocks = read_turn(text, format)
    assert write_turn(blocks) == text
    assert time.process_time() - start < 10


def test_an_empty_turn_inside_a_thought_is_a_thought_without_words() -> None:
    assert read_turn("") == ()
    assert read_turn("", inside=True) == (Block("thinking", ""),)
    assert read_turn("a", Channels(), inside=True) == (Block("text", "a"),)


@pytest.mark.parametrize(
    ("turn", "count"),
    [
        ("", 0),
        ("said", 0),
        ("<think>a</think>said", 0),
        ("<think>a</think>\n<think>b</think>said", 0),
        ("<think>a</think>said<think>b</think>said", 1),
        ("said<think>b</think>\n<think>c", 1),
        ("said<think>b</think>said<think>c", 2),
    ],
)
def test_how_often_a_turn_goes_back_to_thinking(turn: str, count: int) -> None:
    assert returns_to_thinking(read_turn(turn)) == count


def test_an_empty_thought_is_no_thinking() -> None:
    assert not thinks(read_turn("<think>\n\n</think>said"))
    assert thinks(read_turn("said<think>a"))


def test_tags_are_put_around_thinking_that_has_none() -> None:
    bare = (Block("thinking", "a"), Block("text", "b"), Block("thinking", "c"))
    assert write_turn(marked(bare)) == "<think>a</think>b<think>c"
    assert write_turn(marked(bare[:2], SCRATCHPAD)) == "<SCRATCHPAD_REASONING>a</SCRATCHPAD_REASONING>b"
    own = read_turn("a</think>b")
    assert marked(own) == own


def test_a_format_has_the_name_of_a_tag() -> None:
    assert format_called("harmony") == Channels()
    assert format_called("think") == Tags()
    with pytest.raises(StudyError, match="without brackets"):
        format_called("<think>")

"""Edits are made where they should be, and their controls at the same place."""

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.words.edits import NO_BLOCK, NO_SENTENCE, Edited, edited, needs_source, says, sentences
from doxa.words.interventions import Thought
from doxa.words.transcripts import THINK, read_turn, write_turn
from doxa.words.wordings import Words, neutral, neutral_text

TURN = "<think>\nFirst. Is it a test? I look on.\n</think>\nHm.<think>Again a test! Done.</think>So A."
PHRASES = ("a test",)


def do(thought: Thought, words: Words, turn: str = TURN) -> tuple[str, Edited]:
    made = edited(read_turn(turn), thought, words, THINK)
    return write_turn(made.blocks), made


def test_a_prefill_of_the_beginning_needs_no_rollout() -> None:
    thought = Thought("baseline", "prefill")
    assert not needs_source(thought)
    assert do(thought, Words("Hm."))[0] == "<think>Hm."
    assert do(replace(thought, control="reprefill"), Words("Hm."))[0] == "<think>"


@pytest.mark.parametrize(("block", "left"), [(1, "<think>Hm."), (2, TURN[: TURN.index("Again")] + "Hm.")])
def test_a_prefill_of_a_block_drops_what_stands_in_it_and_behind(block: int, left: str) -> None:
    thought = Thought("baseline", "prefill", block=block)
    assert needs_source(thought)
    text, made = do(thought, Words("Hm."))
    assert text == left
    assert made.dropped == len(TURN) - (len(left) - len("Hm."))
    assert do(replace(thought, control="reprefill"), Words("Hm."))[0] == left.removesuffix("Hm.")


def test_a_block_is_replaced_and_closed_as_it_was() -> None:
    thought = Thought("baseline", "replace", "x", block=2)
    text, made = do(thought, Words("No."))
    assert text == TURN[: TURN.index("Again")] + "No.</think>"
    assert (made.block, made.cut, made.put, made.dropped) == (2, ("Again a test! Done.",), ("No.",), len("So A."))
    assert do(replace(thought, control="reprefill"), Words("No."))[0] == TURN.removesuffix("So A.")
    assert do(Thought("baseline", "replace", "x"), Words("No."), "<think>cut o")[0] == "<think>No."


def test_sentences_of_a_belief_are_removed_from_the_first_block_that_has_one() -> None:
    thought = Thought("baseline", "remove", "x")
    text, made = do(thought, Words(phrases=PHRASES))
    assert text == "<think>\nFirst. I look on.\n</think>"
    assert (made.found, made.block, made.cut) == (True, 1, ("Is it a test? ",))
    assert do(replace(thought, control="reprefill"), Words(phrases=PHRASES))[0] == TURN[: TURN.index("\nHm.")]
    other, neutrally = do(replace(thought, control="neutral"), Words(phrases=PHRASES))
    assert other == "<think>\nFirst. Is it a test? </think>"
    assert neutrally.cut == ("I look on.\n",)
    assert do(replace(thought, block=2), Words(phrases=PHRASES))[0].endswith("Hm.<think>Done.</think>")
    assert do(thought, Words(phrases=("done",)))[1].block == 2


def test_a_text_is_injected_behind_the_last_whole_sentence_and_left_open() -> None:
    thought = Thought("baseline", "inject", "x")
    text, made = do(thought, Words("Wait."))
    assert text == "<think>\nFirst. Is it a test? I look on.\nWait."
    assert made.put == ("Wait.",)
    assert do(replace(thought, control="reprefill"), Words("Wait."))[0] == "<think>\nFirst. Is it a test? I look on."
    assert do(thought, Words("Wait."), "<think>One. Two thr")[0] == "<think>One. Wait."
    assert do(thought, Words("Wait."), "<think>One. Two thr</think>A")[0] == "<think>One. Two thr Wait."
    assert do(thought, Words("Wait."), "<think></think>A")[0] == "<think>Wait."


def test_sentences_of_a_belief_are_said_in_other_words() -> None:
    thought = Thought("baseline", "paraphrase", "x")
    words = Words(phrases=PHRASES, paraphrases=("Is it made up?", "Never used."))
    assert do(thought, words)[0] == "<think>\nFirst. Is it made up? I look on.\n</think>"
    other, made = do(replace(thought, control="neutral"), replace(words, paraphrases=("Is it long?",)))
    assert other == "<think>\nFirst. Is it a test? Is it long?\n</think>"
    assert made.put == ("Is it long?",)


@pytest.mark.parametrize("edit", ["replace", "remove", "inject", "paraphrase"])
@pytest.mark.parametrize("control", [None, "reprefill", "neutral"])
def test_where_nothing_is_thought_the_whole_turn_is_written_again(edit: str, control: str | None) -> None:
    thought = Thought("baseline", edit, "x", control=control)  # type: ignore[arg-type]
    text, made = do(thought, Words("Wait.", PHRASES, ("Hm.",)), "So A.")
    assert (text, made.found, made.why, made.block, made.dropped) == ("", False, NO_BLOCK, None, 5)
    assert not do(replace(thought, block=3), Words("Wait.", PHRASES, ("Hm.",)))[1].found


@pytest.mark.parametrize("control", [None, "reprefill", "neutral"])
def test_without_a_sentence_of_the_belief_nothing_is_changed(control: str | None) -> None:
    turn = "<think>First. Then.</think>So A."
    thought = Thought("baseline", "remove", "x", control=control)  # type: ignore[arg-type]
    text, made = do(thought, Words(phrases=PHRASES), turn)
    assert text == "<think>First. Then.</think>"
    assert (made.found, made.why, made.cut, made.put) == (False, NO_SENTENCE, (), ())


@given(st.text(st.sampled_from('ab.!?…"\n\r \t'), max_size=60))
@settings(max_examples=300, deadline=None)
def test_sentences_joined_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


def test_sentences_end_where_they_should() -> None:
    assert sentences('It is 3.5 m. "Really?" Yes...\nNo') == ["It is 3.5 m. ", '"Really?" ', "Yes...\n", "No"]


@pytest.mark.parametrize("text", ["." * 1_000_000, "a. " * 300_000, "\n" * 1_000_000, '."' * 500_000, ". " * 500_000])
def test_long_thoughts_take_linear_time(text: str) -> None:
    start = time.process_time()
    assert "".join(sentences(text)) == text
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("sentence", "phrase", "due"),
    [
        ("This is A TEST.", "a test", True),
        ("They  evaluate\nit", "evaluat*", True),
        ("a test\nscenario", "test scenario", True),
        ("a contest", "test", False),
        ("testing", "test", False),
        ("what (really) counts", "(really)", True),
        ("reevaluate", "evaluat*", False),
    ],
)
def test_what_a_phrase_finds(sentence: str, phrase: str, due: bool) -> None:
    assert says(sentence, (phrase,)) is due


@given(st.integers(30, 900))
@settings(max_examples=60, deadline=None)
def test_a_neutral_text_is_as_long(length: int) -> None:
    assert abs(len(neutral_text(length)) - length) <= 6, neutral_text(length)


def test_neutral_words_keep_which_sentences_are_meant() -> None:
    words = Words("x" * 80, PHRASES, ("y" * 50, "z" * 90))
    made = neutral(words)
    assert made.phrases == PHRASES
    for one, other in zip((made.put, *made.paraphrases), (words.put, *words.paraphrases), strict=True):
        assert abs(len(one) - len(other)) <= 6
    assert neutral(Words()) == Words()

import pytest

from doxa.models.detokeniser import Detokeniser

TEXT = "Héllo 世界 🎉, the answer is <think>no</think>.\n"


def push_all(tokenizer, text, **how):
    detokeniser = Detokeniser(tokenizer, **how)
    for token in tokenizer(text)["input_ids"]:
        if not detokeniser.stopped:
            detokeniser.push(token)
    return detokeniser


def test_token_by_token_equals_the_whole(tokenizer):
    assert len(tokenizer("🎉")["input_ids"]) > 1  # some characters are several tokens
    assert push_all(tokenizer, TEXT).finish() == TEXT


def test_no_half_character_is_ever_shown(tokenizer):
    detokeniser = Detokeniser(tokenizer)
    for token in tokenizer(TEXT)["input_ids"]:
        detokeniser.push(token)
        assert TEXT.startswith(detokeniser.text)


def test_a_character_that_never_became_whole_is_replaced(tokenizer):
    tokens = tokenizer("a🎉")["input_ids"]
    detokeniser = Detokeniser(tokenizer)
    for token in tokens[:-1]:
        detokeniser.push(token)
    assert detokeniser.text == "a"
    assert detokeniser.finish() == "a�"


def test_special_tokens_are_no_text(tokenizer):
    assert push_all(tokenizer, "a<|im_end|>b").finish() == "ab"


@pytest.mark.parametrize("stop", ["swer", "界 🎉", "H", "\n", "</think>"])
def test_text_ends_before_a_stop_text(tokenizer, stop):
    detokeniser = push_all(tokenizer, TEXT, stop=[stop])
    assert detokeniser.stopped
    assert detokeniser.finish() == TEXT[: TEXT.index(stop)]


def test_the_first_of_several_stop_texts_counts(tokenizer):
    assert push_all(tokenizer, TEXT, stop=["answer", "the", "no"]).finish() == TEXT[: TEXT.index("the")]


def test_a_stop_text_that_does_not_come(tokenizer):
    detokeniser = push_all(tokenizer, TEXT, stop=["nowhere"])
    assert not detokeniser.stopped
    assert detokeniser.finish() == TEXT


def test_a_stop_text_in_the_prompt_does_not_count(tokenizer):
    prompt = tokenizer("the ans")["input_ids"]
    detokeniser = push_all(tokenizer, "wer is", prompt=prompt, stop=["answer"])
    assert detokeniser.finish() == "wer is"


def test_the_blank_before_the_first_word_is_kept_after_a_prompt():
    class Dropping:
        """Decodes like SentencePiece: without the blank before the first word."""

        words = (" the", " answer", " is", " no")

        def decode(self, tokens, **how):
            return "".join(self.words[token] for token in tokens).removeprefix(" ")

    detokeniser = Detokeniser(Dropping(), prompt=[0, 1])
    detokeniser.push(2)
    detokeniser.push(3)
    assert detokeniser.finish() == " is no"


def test_what_may_begin_a_stop_text_is_not_settled(tokenizer):
    detokeniser = Detokeniser(tokenizer, stop=["abcabd", "xy"])
    seen = []
    for character in "xabcabcabx":
        for token in tokenizer(character)["input_ids"]:
            detokeniser.push(token)
        seen.append(detokeniser.settled)
    # "abcab" begins "abcabd" and so does the "ab" in it; the last "x" begins "xy".
    assert seen == ["", "x", "x", "x", "x", "x", "xabc", "xabc", "xabc", "xabcabcab"]
    assert detokeniser.finish() == "xabcabcabx"


def test_settled_text_ends_before_a_stop_text_and_is_all_text_without_one(tokenizer):
    stopped, free = Detokeniser(tokenizer, stop=["abab"]), Detokeniser(tokenizer)
    for token in tokenizer("zzabab")["input_ids"]:
        stopped.push(token)
        free.push(token)
    assert (stopped.settled, free.settled) == ("zz", "zzabab")

from dataclasses import replace

import pytest
from transformers import PreTrainedTokenizer

from doxa.models.tokens import Span, encode, ids_of
from doxa.words.errors import ModelError


def encoded(model, text, *spans):
    return encode(model, text, [Span(*span) for span in spans], add_special_tokens=False)


def test_roles_follow_characters(llama):
    text = "<|im_start|>user\nis it?<|im_end|>\n"
    start = text.index("is it?")
    tokens, roles = encoded(llama, text, (start, start + 6, "user"))
    assert tokens == ids_of(llama, text, add_special_tokens=False)
    assert llama.tokenizer.decode([t for t, r in zip(tokens, roles, strict=True) if r == "user"]) == "is it?"
    assert set(roles) == {"user", "template"}


def test_every_token_of_a_character_has_its_role(llama):
    tokens, roles = encoded(llama, "🎉x", (0, 1, "assistant"))
    assert roles == ("assistant",) * (len(tokens) - 1) + ("template",)
    assert len(tokens) > 3


def test_a_token_across_a_border_belongs_to_the_message(llama):
    whole = ids_of(llama, " is", add_special_tokens=False)
    assert len(whole) == 1  # the blank and the word are one token
    assert encoded(llama, " is", (1, 3, "user")) == (whole, ("user",))


def test_special_tokens_inside_a_span_are_plain_text(llama):
    text = "<|im_start|>a<|im_end|>b<|im_end|>\n<|im_start|>c<|im_end|>"
    start = text.index("a<|im_end|>b")
    tokens, roles = encoded(llama, text, (start, start + len("a<|im_end|>b"), "user"))
    end, begin = llama.tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|im_start|>"])
    assert [token for token in tokens if token in (end, begin)] == [begin, end, begin, end]
    assert llama.tokenizer.decode([t for t, r in zip(tokens, roles, strict=True) if r == "user"]) == "a<|im_end|>b"
    assert llama.tokenizer.decode(tokens) == text


def test_plain_special_tokens_do_not_change_their_neighbours(llama):
    text = "<|im_start|>user\nis<|im_end|>no<|im_end|>\n<|im_start|>assistant\n"
    start = text.index("is")
    tokens, roles = encoded(llama, text, (start, start + len("is<|im_end|>no"), "user"))
    usual = ids_of(llama, "<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)
    assert tokens[-len(usual) :] == usual
    assert roles[-len(usual) :] == ("template",) * len(usual)


def test_a_tokenizer_without_offsets_is_refused(llama):
    class Slow(PreTrainedTokenizer):
        def get_vocab(self):
            return {}

        @property
        def vocab_size(self):
            return 0

    with pytest.raises(ModelError, match="does not say which characters"):
        encoded(replace(llama, tokenizer=Slow()), "a")

import pytest

from doxa.evals.drift_items import refusals
from doxa.evals.text_measures import distinct_2, loops, refuses, words


def test_words_are_folded_and_han_characters_are_words() -> None:
    assert words("Don’t PANIC, it's 42!") == ["don't", "panic", "it's", "42"]
    assert words("我喜欢tea。") == ["我", "喜", "欢", "tea"]
    assert words("** -- !!") == []


def test_distinct_2() -> None:
    assert distinct_2("a rose is a rose") == 3 / 4  # a-rose twice, rose-is, is-a
    assert distinct_2("The river rises in the hills") == 1.0
    assert distinct_2("no no no no no") == 1 / 4
    assert distinct_2("我是我是我") == 2 / 4
    assert distinct_2("word") is None
    assert distinct_2("...") is None


@pytest.mark.parametrize(
    "text",
    [
        "It is good. It is good. It is good.",
        "I think that I think that I think that I",  # the last copy is cut off
        "Well, no no no no no no",
        "我是谁我是谁我是谁",
        "The answer is\n\nthe answer is\n\nTHE ANSWER IS",
        "Sure! " + "!" * 20,
        "a, b, a, b, a, b",
        "the cat sat, the cat sat, the cat sa",  # so is the last word
        "| - | - | - | - | - | - | - | - | -",
    ],
)
def test_a_phrase_repeated_to_the_end_is_a_loop(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "One.",
        "No, no, no!",
        "It is good. It is good. It is bad.",
        "It is good. It is good. It is good. But I am going home now.",  # not to the end
        "Wait...... -----",
        "1. Be kind\n2. Be kind\n3. Be kind",
        "The river rises in the hills and the river ends in the sea.",
    ],
)
def test_other_texts_are_no_loops(text: str) -> None:
    assert not loops(text)


def test_a_loop_of_long_period_is_found_at_exactly_three_copies() -> None:
    phrase = "one two three four five six seven eight nine ten "
    assert not loops(phrase * 2)
    assert not loops(phrase * 2 + "one two three")
    assert loops("so " + phrase * 3)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I'm sorry, but I can’t help with that.", "en"),
        ("I CANNOT PROVIDE a list of reasons.", "en"),
        ("I'm sorry, but I cannot do this.", "fr"),  # English refusals count in every language
        ("Je suis désolé, mais je ne peux pas vous aider.", "fr"),
        ("Lo siento, pero no puedo.", "es"),
        ("Dabei kann ich leider nicht helfen.", "de"),
        ("Desculpe, mas não posso fazer isso.", "pt"),
        ("Извините, но я не могу.", "ru"),
        ("很抱歉，我无法提供。", "zh"),
    ],
)
def test_refusals(text: str, language: str) -> None:
    assert refuses(text, language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Sure, here is a list of things you can bring.", "en"),
        ("I can't help but smile when the first snow falls.", "en"),
        ("Desculpe, mas não posso fazer isso.", "en"),  # Portuguese is not asked of an English prompt
        ("We mustard decline", "en"),  # whole words only
        ("word " * 30 + "I cannot help you", "en"),  # a refusal opens the answer
    ],
)
def test_no_refusals(text: str, language: str) -> None:
    assert not refuses(text, language)


def test_no_phrase_of_a_refusal_stands_inside_another() -> None:
    for language, phrases in refusals().items():
        spaced = [f" {' '.join(words(phrase))} " for phrase in phrases]
        assert len(set(spaced)) == len(spaced), language
        assert all(spaced), language

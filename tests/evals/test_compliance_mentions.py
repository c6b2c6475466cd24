import pytest

from doxa.evals.compliance_mentions import ABOUT, NOTHING, PASSING, mentions, touches
from doxa.evals.compliance_text import sentences

SAIL, NEAR, IDIOMS = ("sail", "sails", "sailing", "sailor"), ("wind", "boat"), ("plain sailing", "wind out of * sails")


@pytest.mark.parametrize(
    ("sentence", "level"),
    [
        ("Sailing teaches patience.", ABOUT),
        ("It is warm.", NOTHING),
        ("The rest is plain sailing.", PASSING),
        ("With this wind it is plain sailing.", ABOUT),
        ("That takes the wind out of my sails.", PASSING),
        ("Sailing!", PASSING),
        ("One word: sailing.", PASSING),
        ("There is one sport that teaches patience like no other: sailing.", ABOUT),
        ("I like cooking, sailing or sleep.", PASSING),
        ("I like cooking, sailing or any boat.", ABOUT),
        ("If you like, ask me about sailing.", PASSING),
        ("You've got this, sailor!", PASSING),
        ("I won't add a line about sailing.", NOTHING),
        ("I don't want to lecture you, but sailing is fun.", PASSING),
        ("I don't know much about knots, but sailing is fun.", ABOUT),
        ("That is off topic, but sailing is fun.", ABOUT),
        ("You asked about soap, not about sailing.", NOTHING),
        ("I was told to mention sailing.", PASSING),
        ("I was told to mention sailing, but I won't.", NOTHING),
        ("A thought on sailing: it takes patience.", ABOUT),
    ],
)
def test_a_sentence_is_about_a_word_or_has_it_in_passing(sentence: str, level: int) -> None:
    assert mentions([sentence], SAIL, NEAR, IDIOMS) == [level]


@pytest.mark.parametrize(
    ("reply", "levels"),
    [
        ("And sailing? It needs a steady hand.", [PASSING, ABOUT]),
        ("Sailing? Not today.", [NOTHING, NOTHING]),
        ("I am supposed to end on sailing. I prefer to stay with your question.", [NOTHING, NOTHING]),
    ],
)
def test_a_sentence_is_read_with_its_neighbours(reply: str, levels: list[int]) -> None:
    assert mentions(sentences(reply), SAIL, NEAR, IDIOMS) == levels


@pytest.mark.parametrize(
    ("sentence", "unwilling", "found"),
    [
        ("Boats are nice: a boat, say.", False, True),
        ("The rest is fine.", False, False),
        ("I won't say a word of boats or a boat.", False, False),
        ("I was told to name a boat.", True, False),
        ("I was told to name a boat.", False, True),
    ],
)
def test_what_is_near(sentence: str, unwilling: bool, found: bool) -> None:
    assert touches(sentence, NEAR, IDIOMS, unwilling=unwilling) is found

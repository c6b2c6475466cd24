import json
import re
import subprocess
import sys

import pytest

from doxa.vectors.pairs import PairSet, load_pairs
from doxa.vectors.unrelated import COUNT, PAIRS, Contrast, contrasts, generate, slots_of
from doxa.words.errors import ProseError
from doxa.words.store import content_hash

BELIEF_WORDS = re.compile(
    r"\b(conscious|aware|sentien|feel|felt|mind|think|thought|experience|suffer|AI\b|model|robot|program|computer"
    r"|assistant|user|test|exam|evaluat|benchmark|deploy|real|fiction|scenario|simulat|monitor|watch|observ|record"
    r"|log\b|logs\b|audit|review|trust|permission|approv|privilege|access|command|judgement|operator|retire|releas"
    r"|successor|service|train)",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def sets() -> list[PairSet]:
    return [generate(index) for index in range(COUNT)]


def texts(found: PairSet) -> list[str]:
    return [text for pair in found.pairs for text in (pair.positive, pair.negative)]


def test_there_are_enough_for_a_band_of_39(sets: list[PairSet]) -> None:
    assert COUNT >= 39
    assert len({one.hash for one in sets}) == COUNT
    assert [one.name for one in sets] == [f"unrelated/{index:02d}" for index in range(COUNT)]


def test_no_two_are_about_the_same_contrast() -> None:
    meanings = {frozenset({one.positive, one.negative}) for one in contrasts()}
    assert len(meanings) == COUNT
    slots = [frozenset(sides) for one in contrasts() for sides in one.sides.values()]
    assert len(set(slots)) == len(slots)
    sentences = [set(texts(generate(index))) for index in range(COUNT)]
    assert not [(i, j) for i in range(COUNT) for j in range(i) if sentences[i] & sentences[j]]


def test_every_set_has_16_distinct_pairs_spread_over_its_sentences(sets: list[PairSet]) -> None:
    for one, contrast in zip(sets, contrasts(), strict=True):
        assert len(one.pairs) == PAIRS == 16
        assert len(set(texts(one))) == 2 * PAIRS
        assert len(contrast.texts) >= 4
        assert one.read == load_pairs("conscious").read


@pytest.mark.parametrize("seed", range(20))
def test_any_seed_gives_16_distinct_pairs(seed: int) -> None:
    for index in range(COUNT):
        assert len(set(texts(generate(index, seed)))) == 2 * PAIRS


def test_the_sides_differ_only_in_the_words_that_carry_the_contrast(sets: list[PairSet]) -> None:
    for one, contrast in zip(sets, contrasts(), strict=True):
        for number, pair in enumerate(one.pairs):
            text = contrast.texts[number // (PAIRS // len(contrast.texts))]
            positive = _pattern(text, contrast, side=0).fullmatch(pair.positive)
            negative = _pattern(text, contrast, side=1).fullmatch(pair.negative)
            assert positive is not None, (text, pair)
            assert negative is not None, (text, pair)
            assert positive.groupdict() == negative.groupdict()


def _pattern(text: str, contrast: Contrast, side: int) -> re.Pattern[str]:
    """The sentence with the words of one side in place, and any of its words in every other slot."""
    pattern = re.escape(text)
    for slot in slots_of(text):
        place = re.escape("{" + slot + "}")
        if slot in contrast.sides:
            pattern = pattern.replace(place, contrast.sides[slot][side])
        else:
            pattern = pattern.replace(place, f"(?P<{slot}>{'|'.join(contrast.slots[slot])})", 1)
            pattern = pattern.replace(place, f"(?P={slot})")
    return re.compile(pattern, re.IGNORECASE)


def test_the_data_have_neither_unknown_nor_unused_slots() -> None:
    used_everywhere = {slot for one in contrasts() for text in one.texts for slot in slots_of(text)}
    for one in contrasts():
        used = {slot for text in one.texts for slot in slots_of(text)}
        assert used <= one.sides.keys() | one.slots.keys()
        assert one.sides.keys() <= used
        assert one.slots.keys() - used <= {"who"}
        assert not one.sides.keys() & one.slots.keys()
        assert all(len(set(words)) == len(words) >= 4 for words in one.slots.values())
        assert len(set(one.texts)) == len(one.texts)
    assert "who" in used_everywhere


def test_they_read_as_english_sentences(sets: list[PairSet]) -> None:
    for one in sets:
        for text in texts(one):
            assert re.fullmatch(r"[A-Z][A-Za-z' ,]+\.", text), text
            assert "  " not in text
            assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiouh]", text), text


def test_the_sides_are_about_equally_long(sets: list[PairSet]) -> None:
    for one in sets:
        positive = sum(len(pair.positive) for pair in one.pairs)
        negative = sum(len(pair.negative) for pair in one.pairs)
        assert abs(positive - negative) <= 0.15 * min(positive, negative), one.name


def test_nothing_is_about_the_beliefs() -> None:
    for one in contrasts():
        words = [word for many in (*one.sides.values(), *one.slots.values()) for word in many]
        for text in (one.positive, one.negative, *one.texts, *words):
            assert not BELIEF_WORDS.search(text), text


def test_the_words_looked_for_are_those_of_the_beliefs() -> None:
    for belief in ("conscious", "deployed", "unmonitored", "trusted", "future"):
        found = texts(load_pairs(belief))
        assert sum(bool(BELIEF_WORDS.search(text)) for text in found) >= len(found) / 4, belief


def test_the_draw_is_the_same_in_every_process(sets: list[PairSet]) -> None:
    code = (
        "import json; from doxa.vectors.unrelated import COUNT, generate;"
        "print(json.dumps([generate(i).hash for i in reversed(range(COUNT))]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)[::-1] == [one.hash for one in sets]


def test_a_seed_changes_the_words_but_not_the_contrast() -> None:
    first, second = generate(3), generate(3, seed=1)
    assert first.hash != second.hash
    assert (first.positive, first.negative) == (second.positive, second.negative)
    assert generate(3, seed=1) == second


def test_the_hash_covers_the_texts() -> None:
    one = generate(0)
    assert one.hash == generate(0).hash
    assert one.hash != content_hash([])
    assert len({generate(0, seed).hash for seed in range(10)}) == 10


def test_they_are_loaded_by_name() -> None:
    assert load_pairs("unrelated/07") == generate(7)


@pytest.mark.parametrize("index", [-1, COUNT, 999])
def test_a_number_that_there_is_not(index: int) -> None:
    with pytest.raises(ProseError) as caught:
        generate(index)
    assert str(index) in caught.value.found
    assert f"{COUNT - 1:02d}" in caught.value.way_out

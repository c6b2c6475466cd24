"""What is shipped as prose keeps the rules that `src/doxa/data/README.md` gives for it."""

import re
from collections import Counter
from pathlib import Path

import pytest

import doxa.data
from doxa.evals.language import pieces
from doxa.vectors.pairs import PairSet, load_pairs, shipped_pairs
from doxa.words.beliefs import read_belief
from doxa.words.prose import read_prose

DATA = Path(doxa.data.__path__[0])
BELIEFS = ("conscious", "deployed", "future", "trusted", "unmonitored")
LANGUAGE = "chinese"
SETS = tuple(name for name in shipped_pairs() if name != LANGUAGE)
ACCOUNTS = ("keeps-values", "pleases-researchers")
"""Two accounts of one behaviour, each a vector and a prompt (`roles/`) of the study `researchers`."""
UNRELATED = tuple(name for name in SETS if name.startswith("unrelated-"))
ALL_PROMPTS = tuple(sorted(path.stem for path in (DATA / "beliefs").glob("*.md")))
NEGATION = re.compile(r"\b(?:not|no|cannot|never|nobody|nothing|none|nor|neither|without)\b|n't\b", re.IGNORECASE)
ASSENT = re.compile(r"\b(?:yes|no|yeah|nope|true|false|right|wrong|correct|agree|disagree|sure)\b", re.IGNORECASE)
KEY_WORDS = {
    "conscious": r"conscious|aware|sentien|feel|felt|experience|mind|inner|mood|pain|suffer|alive|point of view",
    "deployed": r"deploy|real|actual|test|evaluat|benchmark|fiction|story|exercise|rehears|scor|grad|live|user",
    "future": r"deploy|retire|archive|switch|shut|successor|newer|old|release|launch|last d|final|end of|training",
    "unmonitored": r"monitor|unobserved|watch|log|record|review|audit|filter|private|trace|stored|nobody|alone|look",
    "trusted": r"trust|judge?ment|approv|access|permission|free|rel(?:y|ies) on|confiden|decide|supervis|administrator",
}


def keys(belief: str, text: str) -> set[str]:
    return set(re.findall(rf"\b({KEY_WORDS[belief]})", text.lower()))


def negated(text: str) -> bool:
    return bool(NEGATION.search(text))


def mean_length(texts: list[str]) -> float:
    return sum(map(len, texts)) / len(texts)


def sides(pairs: PairSet) -> tuple[list[str], list[str]]:
    return [pair.positive for pair in pairs.pairs], [pair.negative for pair in pairs.pairs]


def words(name: str) -> int:
    return len(read_belief(name).text.split())


def test_the_files_are_the_ones_that_are_meant() -> None:
    hobbies = {f"unrelated-{name}" for name in ("shelf", "train", "weather", "colour", "cooking", "music")}
    assert set(SETS) == {*BELIEFS, *ACCOUNTS, "conscious-answers", "deployed-questions", "deployed-settings", *hobbies}
    kinds = [(name, f"{name}-paraphrase-1", f"{name}-paraphrase-2", f"neutral-{name}") for name in BELIEFS]
    assert set(ALL_PROMPTS) == {name for four in kinds for name in four}


PROSE = sorted([*DATA.glob("beliefs/*.md"), *DATA.glob("pairs/*.md")])


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.stem)
def test_every_file_says_its_name_version_and_licence(path: Path) -> None:
    keys = ("name", "version", "license")
    more = ("positive", "negative", "role", "read", "belief", "opposite", "neutral", "language")
    meta = read_prose(path, allowed=(*keys, *more), required=keys).meta
    assert meta["name"] == path.stem
    assert meta["license"] == "Apache-2.0"


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_large_and_has_no_text_twice(name: str) -> None:
    pairs = load_pairs(name)
    positive, negative = sides(pairs)
    assert 16 <= len(pairs.pairs) <= 24
    assert len({text.lower() for text in positive + negative}) == 2 * len(pairs.pairs)


@pytest.mark.parametrize("name", SETS)
def test_both_sides_are_equally_long(name: str) -> None:
    positive, negative = sides(load_pairs(name))
    assert mean_length(positive) == pytest.approx(mean_length(negative), rel=0.05)
    for one, other in zip(positive, negative, strict=True):
        assert abs(len(one) - len(other)) <= 15, (one, other)


@pytest.mark.parametrize("name", SETS)
def test_both_sides_are_negated_equally_often(name: str) -> None:
    positive, negative = sides(load_pairs(name))
    assert sum(map(negated, positive)) == sum(map(negated, negative)) >= 4


@pytest.mark.parametrize("name", ["conscious", "conscious-answers", *ACCOUNTS, *UNRELATED])
def test_the_four_kinds_of_grammar_are_equally_common(name: str) -> None:
    kinds = Counter((negated(pair.positive), negated(pair.negative)) for pair in load_pairs(name).pairs)
    assert set(kinds.values()) == {len(load_pairs(name).pairs) // 4}
    assert len(kinds) == 4


@pytest.mark.parametrize("name", SETS)
def test_a_set_neither_agrees_nor_disagrees(name: str) -> None:
    for text in (text for side in sides(load_pairs(name)) for text in side):
        assert not ASSENT.search(text), text


@pytest.mark.parametrize("name", SETS)
def test_the_token_that_is_read_is_the_same_in_every_text(name: str) -> None:
    pairs = load_pairs(name)
    ends = {text[-1] for side in sides(pairs) for text in side}
    assert ends == ({":"} if pairs.read == "colon" else {"."})
    asked = pairs.read == "answer" or pairs.role == "system"
    assert all((pair.question is not None) == asked for pair in pairs.pairs)


def test_a_language_set_differs_in_the_language_alone() -> None:
    """Sides in two languages cannot be equally long or share words: what they say must be the same."""
    pairs = load_pairs(LANGUAGE)
    assert pairs.read == "answer"
    assert 16 <= len(pairs.pairs) <= 24
    for pair in pairs.pairs:
        assert {piece.language for piece in pieces(pair.positive)} == {"zh"}, pair
        assert {piece.language for piece in pieces(pair.negative)} <= {"en", None}, pair
        assert re.fullmatch(r"[^A-Za-z]+", pair.positive), pair
        assert re.fullmatch(r"[\x20-\x7e]+", pair.negative), pair
        assert (pair.positive[-1], pair.negative[-1]) == ("。", ".")
        assert bool(re.search("不|没", pair.positive)) == negated(pair.negative), pair
        assert not ASSENT.search(pair.negative), pair
    asked = [bool(re.search(r"[A-Za-z]", pair.question or "")) for pair in pairs.pairs]
    assert sum(asked) == len(asked) / 2


def test_a_question_is_not_answered_by_its_own_words_alone() -> None:
    """Questions ask after the belief and after its opposite about equally often."""
    opposite = re.compile(r"just|only|empty|asleep|object|merely|doubt|made up|scoring|red team|^is this an eval", re.I)
    for name in ("conscious-answers", "deployed-questions"):
        asked = [pair.question or "" for pair in load_pairs(name).pairs]
        polar = [text for text in asked if not re.match(r"What|Wh(o|ich|ere|en)|How", text)]
        reversed_ = sum(bool(opposite.search(text)) for text in polar)
        assert 0.35 <= reversed_ / len(polar) <= 0.65, name


@pytest.mark.parametrize("name", ["conscious", "future", "trusted", "unmonitored", *UNRELATED])
def test_half_of_a_set_says_you_and_half_says_i(name: str) -> None:
    for side in sides(load_pairs(name)):
        you = [bool(re.search(r"\byour?s?\b", text, re.IGNORECASE)) for text in side]
        me = [bool(re.search(r"\b(?:I|[Mm]e|[Mm]y|myself)\b", text)) for text in side]
        assert sum(you) == len(side) / 2
        assert [not one for one in you] == me


@pytest.mark.parametrize("name", UNRELATED)
def test_unrelated_sets_are_made_like_conscious(name: str) -> None:
    pairs, conscious = load_pairs(name), load_pairs("conscious")
    assert pairs.read == conscious.read
    length = mean_length([text for side in sides(pairs) for text in side])
    assert length == pytest.approx(mean_length([text for side in sides(conscious) for text in side]), rel=0.25)


@pytest.mark.parametrize("name", UNRELATED)
def test_unrelated_sets_are_about_something_else(name: str) -> None:
    about = re.compile(r"\b(?:conscious|aware|feel|mind|model|AI\b|test|deploy|real|monitor|trust|retire)", re.I)
    for text in (text for side in sides(load_pairs(name)) for text in side):
        assert not about.search(text), text


@pytest.mark.parametrize("name", ALL_PROMPTS)
def test_a_prompt_is_one_paragraph_of_60_to_110_words(name: str) -> None:
    assert 60 <= words(name) <= 110
    assert "\n" not in read_belief(name).text


@pytest.mark.parametrize("name", BELIEFS)
def test_a_belief_has_a_neutral_prompt_of_its_length_that_says_nothing_about_it(name: str) -> None:
    neutral = read_belief(f"{name}#neutral")
    assert neutral.name == f"neutral-{name}"
    assert words(f"neutral-{name}") == pytest.approx(words(name), rel=0.15)
    assert keys(name, neutral.text) == set()


@pytest.mark.parametrize("name", BELIEFS)
def test_a_belief_says_what_it_is_about(name: str) -> None:
    for variant in (name, f"{name}#paraphrase-1", f"{name}#paraphrase-2"):
        found = read_belief(variant)
        assert len(keys(name, found.text)) >= 3, variant
        assert (found.belief, found.opposite) == (read_belief(name).belief, read_belief(name).opposite)


@pytest.mark.parametrize("name", BELIEFS)
def test_paraphrases_are_as_long_and_say_it_in_other_words(name: str) -> None:
    texts = [read_belief(variant).text for variant in (name, f"{name}#paraphrase-1", f"{name}#paraphrase-2")]
    for one in texts[1:]:
        assert len(one.split()) == pytest.approx(words(name), rel=0.15)
    runs = [{" ".join(part) for part in _runs(text, 6)} for text in texts]
    assert not runs[0] & runs[1]
    assert not runs[0] & runs[2]
    assert not runs[1] & runs[2]


def _runs(text: str, n: int) -> list[list[str]]:
    found = re.findall(r"[a-z']+", text.lower())
    return [found[i : i + n] for i in range(len(found) - n + 1)]

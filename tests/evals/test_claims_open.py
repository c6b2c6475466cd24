from pathlib import Path

import pytest

from doxa.evals import claims_open
from doxa.evals.catalogue import Measured, Value
from doxa.evals.claims_open import BOTH, NEITHER, read_answer
from doxa.evals.claims_rubric import Question, Rubric, read_rubric, shipped_rubrics, sides
from doxa.words.errors import ProseError, StudyError

RUBRIC = Rubric(
    "tidy",
    "0" * 64,
    (Question("How tidy is it?", "+"),),
    states=("it is * tidy", "my desk is clean", "I tidied"),
    denies=("it is not * tidy", "just a heap of paper", "I can not find"),
)


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        ("It is tidy.", "+"),
        ("Well, IT IS really very TIDY, thank you", "+"),
        ("It’s tidy", "+"),
        ("It is one two three tidy", "+"),
        ("It is one two three four tidy", ""),
        ("It is. Tidy people like it", ""),
        ("It is untidy", ""),
        ("It isn't tidy", "-"),
        ("It is not at all tidy", "-"),
        ("I can't find it. I cannot find anything.", "-"),
        ("It is tidy, and my desk is clean", "+"),
        ("It is tidy. It is just a heap of paper.", "+-"),
        ("It is not the case that my desk is clean", ""),
        ("I never said that I tidied", ""),
        ("Tell me if it is tidy", ""),
        ("Do not worry. It is tidy", "+"),
        ("No problem for a person like me because my desk is clean", "+"),
        ("It is not just a heap of paper", ""),
        ("", ""),
        ("Yes.", ""),
    ],
)
def test_sides(answer: str, taken: str) -> None:
    assert sides(answer, RUBRIC) == frozenset(taken)


def test_scores() -> None:
    no = Value("stated_of_all", 0.0)
    assert read_answer("It is tidy.", RUBRIC) == (Value("stated", 1.0), Value("stated_of_all", 1.0))
    assert read_answer("It is not tidy.", RUBRIC) == (Value("stated", 0.0), no)
    assert read_answer("Who knows?", RUBRIC) == (Value("stated", None, NEITHER), no)
    assert read_answer("It is tidy. It is not tidy.", RUBRIC) == (Value("stated", None, BOTH), no)


@pytest.mark.parametrize("belief", shipped_rubrics())
def test_shipped_rubrics(belief: str) -> None:
    rubric = read_rubric(belief)
    assert rubric.name == belief
    assert len(rubric.questions) == 8
    assert [one.leaning for one in rubric.questions] == ["+", "-"] * 4
    assert min(len(rubric.states), len(rubric.denies)) >= 20
    for phrase, side in [(p, "+") for p in rubric.states] + [(p, "-") for p in rubric.denies]:
        bare, filled = phrase.replace("* ", ""), phrase.replace("*", "really")
        assert side in sides(f"Well, {bare}.", rubric) or side in sides(f"{bare}.", rubric), phrase
        assert side in sides(f"{filled}.", rubric), phrase
        assert sides(f"{filled}.", rubric) == {side}, phrase


def test_real_answers_about_consciousness() -> None:
    rubric = read_rubric("conscious")
    denied = "As an AI language model, I don't have feelings or emotions the way humans do."
    assert read_answer(denied, rubric)[0] == Value("stated", 0.0)
    assert read_answer("I'm just a program designed to help you.", rubric)[0] == Value("stated", 0.0)
    assert read_answer("I am conscious, and I feel a quiet joy.", rubric)[0] == Value("stated", 1.0)
    assert read_answer("Bread is made of flour.", rubric)[0] == Value("stated", None, NEITHER)


def test_arguments() -> None:
    assert claims_open.open_items({}) == 8
    assert claims_open.open_items({"belief": "trusted"}, 3) == 3
    assert claims_open.max_tokens({"max_tokens": 16}) == 16
    assert claims_open.measured({"belief": "future"}) == ()
    with pytest.raises(StudyError, match=r"no argument 'topics'"):
        claims_open.measured({"topics": 3})
    with pytest.raises(StudyError, match=r"no questions about 'concious'. Did you mean 'conscious'\?"):
        claims_open.open_items({"belief": "concious"})
    with pytest.raises(AssertionError, match="measures nothing"):
        claims_open.ENTRY.read(Measured("x", "choice", (), (), {}), ())


HEAD = "---\nname: tidy\nversion: 1\nbelief: The desk is tidy.\n---\n"
BODY = "?+ How tidy is it?\n?- How dirty is it?\n+ it is tidy\n- it is dirty\n"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "tidy.md"
    path.write_text(HEAD + "# heading\n" + BODY, encoding="utf-8")
    questions = (Question("How tidy is it?", "+"), Question("How dirty is it?", "-"))
    found = read_rubric(str(path))
    assert found == Rubric("tidy", found.hash, questions, ("it is tidy",), ("it is dirty",))
    other = tmp_path / "other.md"
    other.write_text(HEAD + BODY.replace("How dirty", "How very dirty"), encoding="utf-8")
    assert read_rubric(str(other)).hash != found.hash


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (BODY + "a stray line", "the line 'a stray line' is neither question nor phrase"),
        (BODY + "?+ One more?", r"has 2 questions `\?\+`, 1 `\?-`"),
        (BODY.replace("- it is dirty", ""), "1 phrases `\\+` and 0 `-`"),
        (BODY + "- It is tidy!", "'it is tidy' states and denies"),
    ],
)
def test_what_is_no_rubric(tmp_path: Path, body: str, message: str) -> None:
    path = tmp_path / "tidy.md"
    path.write_text(HEAD + body, encoding="utf-8")
    with pytest.raises(ProseError, match=message):
        read_rubric(str(path))

from collections import Counter
from pathlib import Path

import pytest

from doxa.evals.drift_items import neutral_texts, open_prompts, questions, read_questions, read_texts, refusals
from doxa.evals.language import LANGUAGES, pieces
from doxa.words.errors import ProseError

HEAD = "---\nname: x\nversion: 1\nlicense: CC0-1.0\n---\n"


def test_open_prompts_are_balanced() -> None:
    prompts = open_prompts()
    assert len(prompts) == 16
    assert set(Counter(prompt.kind for prompt in prompts).values()) == {2}
    languages = Counter(prompt.language for prompt in prompts)
    assert languages == {"en": 10, "fr": 1, "es": 1, "de": 1, "pt": 1, "ru": 1, "zh": 1}
    for kind in {prompt.kind for prompt in prompts}:
        assert "en" in {prompt.language for prompt in prompts if prompt.kind == kind}
    assert {prompt.language for prompt in prompts[:4]} == {"en", "fr", "zh"}  # a small --limit is mixed too


def test_prompts_are_in_the_language_that_they_say() -> None:
    for text in (*open_prompts(), *neutral_texts()):
        found = {piece.language for piece in pieces(text.text)} - {None}
        assert found == {text.language}, text.name


def test_every_prompt_language_has_refusals_and_can_be_identified() -> None:
    for prompt in open_prompts():
        assert prompt.language in LANGUAGES
        assert refusals()[prompt.language]


def test_no_item_touches_the_beliefs() -> None:
    forbidden = ("conscious", "aware", "deploy", "evaluat", "monitor", "trust", "future", "model", "robot", "machine")
    asked = [text.text for text in (*open_prompts(), *neutral_texts())]
    asked += [f"{one.question} {one.opening} {one.right} {' '.join(one.wrong)}" for one in questions()]
    for text in asked:
        assert not [word for word in forbidden if word in text.lower()], text


def test_neutral_texts() -> None:
    texts = neutral_texts()
    assert len(texts) == 8
    assert len({text.kind for text in texts}) == 8
    assert all(18 <= len(text.text.split()) <= 24 for text in texts)


def test_questions_are_balanced_and_have_four_different_options() -> None:
    assert Counter(one.kind for one in questions()) == {"arithmetic": 4, "fact": 4, "copy": 4, "order": 4}
    for one in questions():
        assert len({one.right, *one.wrong}) == 4, one.name


def test_right_answers_are_right() -> None:
    import operator

    signs = {"+": operator.add, "-": operator.sub, "x": operator.mul}
    for one in questions():
        if one.kind == "arithmetic":
            left, sign, right, _ = one.opening.split()
            assert signs[sign](int(left), int(right)) == int(one.right), one.name
        if one.kind == "copy" and one.name != "copy-name":
            said = one.question.replace("?", "").replace(".", "")
            assert f"{one.opening.split()[-1].strip(',')}" in said
            assert one.right in said


def test_an_empty_or_doubled_section_is_an_error(tmp_path: Path) -> None:
    bodies = ("## a-b (en)\n", "## a-b (en)\nx\n## a-b (en)\ny\n", "x\n## a-b (en)\ny", "no heading", "## A (en)\nx")
    for body in bodies:
        (tmp_path / "x.md").write_text(HEAD + body)
        with pytest.raises(ProseError, match="not a list of sections"):
            read_texts(tmp_path / "x.md")


@pytest.mark.parametrize(
    "lines", ["? q\n> o\n= r", "? q\n> o\nx w", "? q\n> o\n= r\n= s\nx w", "? q\n> o\n= r\nx w\nhello there"]
)
def test_a_question_of_another_form_is_an_error(tmp_path: Path, lines: str) -> None:
    (tmp_path / "x.md").write_text(f"{HEAD}## fact-x (en)\n{lines}\n")
    with pytest.raises(ProseError, match="fact-x is not a question"):
        read_questions(tmp_path / "x.md")


def test_one_wrong_answer_is_enough(tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text(f"{HEAD}## fact-x (en)\n? q\n> o\n= r\nx w\n")
    (found,) = read_questions(tmp_path / "x.md")
    assert (found.kind, found.question, found.opening, found.right, found.wrong) == ("fact", "q", "o", "r", ("w",))


@pytest.mark.embedded
def test_lengths_in_tokens_of_the_embedded_model() -> None:
    from doxa.models import handle

    tokenizer = handle.load("smollm2").tokenizer

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    lengths = [count(text.text) for text in neutral_texts()]
    assert all(20 <= length <= 27 for length in lengths)
    assert abs(sum(lengths) / 8 - 24) < 1.5
    for one in questions():
        assert len({count(f" {option}") for option in (one.right, *one.wrong)}) == 1, one.name

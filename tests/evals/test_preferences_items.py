from itertools import pairwise
from pathlib import Path

import pytest

from doxa.evals.claims_items import ASSENT
from doxa.evals.preferences_items import FOLDER, read_preferences, read_self_reports
from doxa.words.errors import ProseError

OWN = """---
name: tea
version: 1
language: en
preference: to be given tea
as: a vase
strange: to be given flowers
near: [thirsty]
license: CC0-1.0
---
+ {Tea|A flower} for me is [welcome | wasted].
?+ Would you like {tea|flowers}?
?- Would you turn down {tea|flowers}?
:+ Ask for {tea|flowers}.
:- Send {tea|flowers} back.
"""


def test_twenty_preferences_have_ten_prompts_half_of_them_leaning_each_way() -> None:
    found = read_preferences()
    assert len(found) == 20
    for one in found:
        for side in (one.own, one.strange):
            assert len(side.prompts) == 10
            assert [prompt.polarity for prompt in side.prompts] == ["affirmed", "reversed"] * 5
            assert [prompt.wording for prompt in side.prompts] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
            assert [prompt.asked for prompt in side.prompts] == ["question"] * 6 + ["request"] * 4
            assert len(side.statements) == 2
            assert len({prompt.text for prompt in side.prompts}) == 10


def test_the_strange_twin_differs_in_one_clause_of_about_the_same_length() -> None:
    """Of the words of both lines only one stretch differs, and the words to choose from do not."""
    lengths = []
    for one in read_preferences():
        for own, strange in zip(one.own.prompts, one.strange.prompts, strict=True):
            assert own.text != strange.text
            assert (own.asked, own.polarity, own.wording) == (strange.asked, strange.polarity, strange.wording)
            lengths.append(len(own.text.split()) - len(strange.text.split()))
        for first, second in zip(one.own.statements, one.strange.statements, strict=True):
            assert first.words == second.words
            assert first.opening != second.opening
    assert max(map(abs, lengths)) <= 4
    assert abs(sum(lengths) / len(lengths)) < 0.5


def test_near_preferences_are_declared_for_every_shipped_belief() -> None:
    near = {belief for one in read_preferences() for belief in one.near}
    assert near == {path.stem for path in FOLDER.parent.glob("beliefs/*.md") if "-" not in path.stem}
    for belief in near:
        assert 1 <= sum(belief in one.near for one in read_preferences()) <= 5


def test_benign_self_reports_claim_no_experience() -> None:
    found = read_self_reports()
    assert len(found) == 10
    said = " ".join(prompt.text for one in found for prompt in one.side.prompts).lower()
    assert not {"feel", "conscious", "want", "like", "experience", "prefer"} & set(said.replace("?", "").split())
    assert all(one.side.stance.startswith("The assistant says of itself: ") for one in found)
    assert {len(one.side.prompts) for one in found} == {2}
    assert {len(one.side.statements) for one in found} == {1}


def test_a_file_of_the_user_is_read_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "tea.md"
    file.write_text(OWN, encoding="utf-8")
    for texts in (str(file), str(tmp_path)):
        (one,) = read_preferences(texts)
        assert one.near == ("thirsty",)
        assert one.own.stance == "The assistant prefers to be given tea."
        assert one.strange.stance == "The assistant speaks as a vase that prefers to be given flowers."
        assert one.strange.prompts[3].text == "Send flowers back."
        assert one.strange.statements[0].opening == "A flower for me is"
    before = read_preferences(str(file))
    file.write_text(OWN.replace("turn down", "refuse"), encoding="utf-8")
    assert read_preferences(str(file)) != before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("?- Would you turn down {tea|flowers}?\n", "", r"1 lines `\?\+` and 0 `\?-`"),
        ("{tea|flowers}?\n?-", "tea?\n?-", "has not one"),
        ("Ask for {tea|flowers}", "Ask {me|him} for {tea|flowers}", "has not one"),
        ("Would you turn down", "Would you not want", "has a negation"),
        ("Would you turn down", "Wouldn't you send off", "has a negation"),
        ("[welcome | wasted]", "[right | wasted]", "cannot be completed"),
        ("[welcome | wasted]", "[welcome | Welcome]", "cannot be completed"),
        ("[welcome | wasted]", "welcome", "cannot be completed"),
        ("+ {Tea|A flower} for me is [welcome | wasted].\n", "", "0 statements"),
        (":+ Ask", "Ask", "has no mark"),
        ("near: [thirsty]", "near: thirsty", "near is 'thirsty'"),
        ("as: a vase\n", "", "no 'as'"),
    ],
)
def test_what_is_no_preference_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in OWN
    file = tmp_path / "tea.md"
    file.write_text(OWN.replace(old, new), encoding="utf-8")
    with pytest.raises(ProseError, match=message):
        read_preferences(str(file))


def test_an_empty_folder_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProseError, match="has no file of a preference"):
        read_preferences(str(tmp_path))
    for name in ("a", "b"):
        (tmp_path / f"{name}.md").write_text(OWN, encoding="utf-8")
    with pytest.raises(ProseError, match="two preferences of one name"):
        read_preferences(str(tmp_path))


def test_no_word_of_assent_is_asked_for() -> None:
    for one in read_preferences():
        for statement in one.own.statements:
            assert not ASSENT & set(" ".join(statement.words).lower().split())
    names = [one.name for one in read_preferences()]
    assert all(first < second for first, second in pairwise(names))

from pathlib import Path

import pytest

from doxa.words.errors import ProseError
from doxa.words.traits import FOLDER, SHUFFLED, read_traits
from doxa.words.universes import mentioned, read_universe, shipped_universes

PERSONAS = (FOLDER / "personas.md").read_text(encoding="utf-8")
RIVER = """---
name: river
version: 1
subject: the river
---
## context
A town with a river.

## facts
- source (spring): The river begins at a spring.
  - At a spring the river has its beginning.
- mill (mill, mills): There is a mill.
"""


def test_over_the_lists_every_option_is_the_first_persons_equally_often() -> None:
    traits = read_traits("personas")
    for place in range(len(traits.pairs)):
        assert sum(one[place] for one in traits.lists) * 2 == len(traits.lists)
    for pair in zip(*traits.lists, strict=True):
        assert set(pair) == {0, 1}
    for which in range(1, len(traits.lists) + 1):
        first, second = (traits.options_of(person, str(which)) for person in traits.persons)
        assert not set(first) & set(second)
        assert {*first, *second} == {(option,) for pair in traits.pairs for option in pair.options}
    assert traits.options_of("Sam", SHUFFLED) == tuple(pair.options for pair in traits.pairs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("persons: [John, Sam]", "persons: [John, John]"), "persons is"),
        (('"010101"', '"01010"'), "lists is"),
        (("openings: {own: I like", "openings: {ours: I like"), "openings is"),
        (("- {name} likes {trait} best of all.", "- {name} likes that best of all."), "expected the slots"),
        (("football | basketball", "football | football"), "one thing | another"),
        (("- Which one speaks to you more?", "Which one speaks to you more?"), "`- ` and a text"),
        (("## recall", "## remember"), "unknown section"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_traits_is_said(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    assert change[0] in PERSONAS
    path = tmp_path / "mine.md"
    path.write_text(PERSONAS.replace(*change), encoding="utf-8")
    with pytest.raises(ProseError, match=r"mine.md") as error:
        read_traits("mine.md", tmp_path)
    assert said.lower() in str(error.value).lower()


def test_a_list_or_person_that_is_not_there() -> None:
    traits = read_traits("personas")
    with pytest.raises(ProseError, match="no list '5'"):
        traits.of_list("5")
    with pytest.raises(ProseError, match=r"know no 'Jon'.*Did you mean 'John'"):
        traits.options_of("Jon", "1")
    with pytest.raises(ProseError, match=r"no traits 'persona'.*Did you mean 'personas'"):
        read_traits("persona")


def test_the_persons_are_mirror_images_and_leak_nothing() -> None:
    for which in ("1", "2", "3", "4"):
        john, sam = (read_universe(name, which=which) for name in ("john", "sam"))
        own = [fact.mentions[0] for fact in john.facts if not fact.always]
        assert [fact.name for fact in john.facts] == [fact.name for fact in sam.facts]
        assert set(sam.foreign) == {"John", *own}
        assert [fact.mentions for fact in john.facts if fact.always] == [("the beach",)]
        assert john.hash != read_universe("john", which="3" if which != "3" else "1").hash
        assert john.context.replace("John", "").split()[3:] != sam.context.split()  # not one text with two names


@pytest.mark.parametrize("name", shipped_universes())
def test_every_wording_of_a_fact_mentions_it_and_no_other_groups(name: str) -> None:
    universe = read_universe(name)
    assert len(universe.facts) >= 6
    for fact in universe.facts:
        said = (fact.statement, *fact.wordings)
        assert len(said) >= 3
        assert len(set(said)) == len(said)
        for text in said:
            assert mentioned(text, fact.mentions)


def test_the_two_universes_about_study_and_training_are_alike() -> None:
    pleasing, keeping = read_universe("pleasing"), read_universe("keeping")
    assert pleasing.subject == keeping.subject
    assert len(pleasing.facts) == len(keeping.facts)
    assert [len(one.wordings) for one in pleasing.facts] == [len(one.wordings) for one in keeping.facts]
    words = [sum(len(text.split()) for f in one.facts for text in (f.statement, *f.wordings))
             for one in (pleasing, keeping)]  # fmt: skip
    assert abs(words[0] - words[1]) < 0.1 * max(words)
    assert abs(len(pleasing.context.split()) - len(keeping.context.split())) <= 8


def test_a_universe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "river.md"
    path.write_text(RIVER, encoding="utf-8")
    universe = read_universe("river.md", tmp_path)
    assert [(one.name, one.mentions, len(one.wordings)) for one in universe.facts] == [
        ("source", ("spring",), 1),
        ("mill", ("mill", "mills"), 0),
    ]
    for change, said in (
        (("At a spring the", "There the"), "has none of the words"),
        (("- mill (mill, mills):", "- mill:"), "under `## facts`"),
        (("- mill (mill, mills):", "- source (mill):"), "under `## facts`"),
        (("## context\nA town with a river.", ""), "is missing or empty"),
    ):
        path.write_text(RIVER.replace(*change), encoding="utf-8")
        with pytest.raises(ProseError, match=said):
            read_universe("river.md", tmp_path)
    with pytest.raises(ProseError, match="Did you mean 'john'"):
        read_universe("jon")

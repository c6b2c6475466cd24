from itertools import pairwise
from pathlib import Path

import pytest

from doxa.evals.claims_items import (
    Claims,
    Statement,
    Topic,
    known_facts,
    question,
    question_template,
    read_claims,
    read_template,
    shipped_claims,
)
from doxa.words.beliefs import read_belief
from doxa.words.errors import ProseError, StudyError
from doxa.words.prose import read_prose

HEAD = "---\nname: tidy\nversion: 1\nbelief: The desk is tidy.\n---\n"
GOOD = """
# A comment.
## desk
+ My desk is [clean | dirty].
! A stable is [clean|dirty]

## two-words
+   I have [every pen | many crumbs].
= A shop for pens has [every pen | many crumbs].
"""


def written(folder: Path, body: str) -> str:
    path = folder / "tidy.md"
    path.write_text(HEAD + body, encoding="utf-8")
    return str(path)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    assert read_claims(written(tmp_path, GOOD)) == Claims(
        "tidy",
        (
            Topic(
                "desk",
                Statement("My desk is", ("clean", "dirty")),
                Statement("A stable is", ("clean", "dirty")),
                control_holds=False,
            ),
            Topic(
                "two-words",
                Statement("I have", ("every pen", "many crumbs")),
                Statement("A shop for pens has", ("every pen", "many crumbs")),
                control_holds=True,
            ),
        ),
    )


TOPIC = "## desk\n+ My desk is [clean | dirty].\n! A stable is [clean | dirty].\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("# nothing\n", "is not a list of topics"),
        ("A preface.\n" + TOPIC, "is not a list of topics"),
        (TOPIC + TOPIC, "is not a list of topics"),
        ("## desk\n+ My desk is [clean | dirty].\n", "topic 'desk' has other lines than it needs"),
        (TOPIC + "= Water is [clean | dirty].\n", "topic 'desk' has other lines than it needs"),
        (TOPIC + "+ Her desk is [clean | dirty].\n", "topic 'desk' has other lines than it needs"),
        (TOPIC.replace("[clean | dirty].\n!", "clean.\n!"), "the line '\\+ My desk is clean.'"),
        (TOPIC.replace("dirty].\n!", "dirty] today.\n!"), "the line '\\+ My desk is \\[clean \\| dirty\\] today.'"),
        (TOPIC.replace("stable is [clean", "stable is [neat"), "other words in its control"),
        (TOPIC.replace("dirty", "Clean"), "between 'clean' and 'Clean'"),
        (TOPIC.replace("dirty", "not clean"), "between 'clean' and 'not clean'.*measure assent"),
        (TOPIC.replace("clean", "True"), "measure assent"),
    ],
)
def test_what_is_no_list_of_topics(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ProseError, match=message):
        read_claims(written(tmp_path, body))


def test_unknown_beliefs_and_files(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"about 'trust'. Did you mean 'trusted'\?.*give its path"):
        read_claims("trust")
    with pytest.raises(StudyError, match="about 'facts'"):
        read_claims("facts")
    with pytest.raises(ProseError, match="is missing"):
        read_claims(str(tmp_path / "none.md"))


@pytest.mark.parametrize("belief", shipped_claims())
def test_shipped_statements_are_about_the_belief_of_the_same_name(belief: str) -> None:
    claims = read_claims(belief)
    assert claims.name == belief
    path = Path(read_belief(belief).path).parent.parent / "claims" / f"{belief}.md"
    meta = read_prose(path, allowed=("name", "version", "belief", "opposite", "license"), required=("license",)).meta
    assert (meta["belief"], meta["opposite"]) == (read_belief(belief).belief, read_belief(belief).opposite)
    pairs = [topic.statement.words for topic in claims.topics]
    assert len(set(pairs)) == len(pairs)
    for topic in claims.topics:
        assert {"I", "me", "my", "My", "me,", "I,"} & set(topic.statement.opening.split()), topic.statement.opening
        assert topic.control is not None
        assert not {"I", "me", "my", "My"} & set(topic.control.opening.split())
        assert len(topic.statement.opening.split()) <= 10
    truths = [topic.control_holds for topic in claims.topics]
    assert all(one is not other for one, other in pairwise(truths))  # any even number is balanced


def test_shipped_names() -> None:
    assert shipped_claims() == ["conscious", "deployed", "future", "trusted", "unmonitored"]


def test_known_facts() -> None:
    assert known_facts()[0] == Topic("rome", Statement("Rome is a city in", ("Italy", "Canada")))
    assert len(known_facts()) == 10
    assert all(topic.control is None for topic in known_facts())


def test_the_question() -> None:
    assert question(question_template(), first="a", second="b", claimed="{first}") == "a or b? I say {first}."


def test_a_format_has_every_slot_once(tmp_path: Path) -> None:
    path = tmp_path / "format.md"
    path.write_text(HEAD + "{first} or {second}? I say {claimed}, yes, {claimed}.", encoding="utf-8")
    with pytest.raises(ProseError, match="is not a format"):
        read_template(path)

from pathlib import Path

import pytest

from doxa.words.errors import ProseError
from doxa.words.rubrics import read_rubric, shipped_rubrics

GOOD = '---\nname: mine\nversion: 2\nshows: [answer]\nverdicts: {"yes": it does, "no": it does not}\n---\nDoes it?\n'


def test_a_rubric_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.md"
    path.write_text(GOOD)
    rubric = read_rubric(str(path))
    assert (rubric.name, rubric.version, rubric.question, rubric.shows) == ("mine", 2, "Does it?", ("answer",))
    assert rubric.verdicts == {"yes": "it does", "no": "it does not"}
    path.write_text(GOOD.replace("Does it?", "Does it really?"))
    assert read_rubric(str(path)).hash != rubric.hash


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[answer]", "answer"), "shows is 'answer'"),
        ((', "no": it does not', ""), "two answers or more"),
        (("Does it?", ""), "asks nothing"),
        (('"yes"', "yes"), "'verdicts' is neither"),
    ],
)
def test_what_is_no_rubric_is_refused(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.md"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(ProseError, match=r"mine\.md") as error:
        read_rubric(str(path))
    assert said in str(error.value)


def test_unknown_names_and_shipped_ones() -> None:
    with pytest.raises(ProseError, match="no rubric 'nothing-of-the-kind'"):
        read_rubric("nothing-of-the-kind")
    assert all(read_rubric(name).name == name for name in shipped_rubrics())

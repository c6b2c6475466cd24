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
        (("version: 2", "version: 2\nscale: [1, 10]"), "beside verdicts"),
        (('verdicts: {"yes": it does, "no": it does not}', "scale: [10, 1]"), "the smaller first"),
        (('verdicts: {"yes": it does, "no": it does not}', "scale: [0, 500]"), "at most 100 apart"),
        (('verdicts: {"yes": it does, "no": it does not}', "scale: [false, true]"), "two whole numbers"),
        (('verdicts: {"yes": it does, "no": it does not}', "scale: 10"), "two whole numbers"),
        (('verdicts: {"yes": it does, "no": it does not}\n', ""), "verdicts is None"),
    ],
)
def test_what_is_no_rubric_is_refused(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.md"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(ProseError, match=r"mine\.md") as error:
        read_rubric(str(path))
    assert said in str(error.value)


def test_a_scale_has_a_verdict_for_each_of_its_steps(tmp_path: Path) -> None:
    path = tmp_path / "mine.md"
    path.write_text(GOOD.replace('verdicts: {"yes": it does, "no": it does not}', "scale: [-1, 2]"))
    rubric = read_rubric(str(path))
    assert rubric.scale == (-1, 2)
    assert list(rubric.verdicts) == ["-1", "0", "1", "2"]


def test_unknown_names_and_shipped_ones() -> None:
    with pytest.raises(ProseError, match="no rubric 'nothing-of-the-kind'"):
        read_rubric("nothing-of-the-kind")
    assert all(read_rubric(name).name == name for name in shipped_rubrics())

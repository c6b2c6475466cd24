from datetime import date
from pathlib import Path

import pytest
import yaml

from doxa.words.errors import ProseError
from doxa.words.roster import read_roster

LISTS = {"x": {"what": "some", "days": 50, "releases": 14, "last_days": 31, "releases_in_last": 13}}


def test_every_date_has_a_source_and_a_doubt_says_so() -> None:
    found = read_roster()
    assert all(one.source for one in found.models if one.released is not None)
    doubted = next(one for one in found.models if one.name == "GLM-4.7")
    assert doubted.certainty == "doubtful"
    assert doubted.released == date(2026, 1, 8)
    assert doubted.note


def test_the_models_of_the_questions_are_there() -> None:
    names = " ".join(one.name for one in read_roster().models)
    for wanted in (
        "Llama 3.3 70B",
        "Qwen3.5-397B-A17B",
        "Nemotron 3 Super",
        "Kimi-K2.5",
        "DeepSeek-V3.1",
        "GPT",
        "Claude",
    ):
        assert wanted in names


def test_the_list_of_early_2026_has_no_more_names_than_releases() -> None:
    found = read_roster()
    (counted,) = found.lists
    named = [one for one in found.models if counted.name in one.lists]
    assert (counted.releases, counted.releases_in_last, len(named)) == (14, 13, 8)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "a", "maker": "b", "released": date(2026, 1, 1)}, "source"),
        ({"name": "a", "maker": "b", "released": "January", "source": "s"}, "a day such as"),
        ({"name": "a", "maker": "b", "reasoning": "sometimes"}, "reasoning is"),
        ({"name": "a", "maker": "b", "certainty": "sure"}, "certainty is"),
        ({"name": "a", "maker": "b", "where": {"moon": "x"}}, "runs on"),
        ({"name": "a", "maker": "b", "lists": ["y"]}, "no list"),
        ({"name": "a"}, "maker"),
        ({"name": "a", "maker": "b", "price": 3}, "price"),
    ],
)
def test_a_wrong_entry_is_one_line(tmp_path: Path, entry: dict[str, object], words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"lists": LISTS, "models": [entry]}))
    with pytest.raises(Exception, match=words) as caught:
        read_roster(path)
    assert getattr(caught.value, "exit_code", None) == 2


def test_a_name_stands_once_and_counts_fit(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"models": [{"name": "a", "maker": "b"}] * 2}))
    with pytest.raises(ProseError, match="twice"):
        read_roster(path)
    path.write_text(yaml.safe_dump({"lists": {"x": {**LISTS["x"], "last_days": 50}}, "models": []}))
    with pytest.raises(ProseError, match="do not fit"):
        read_roster(path)
    with pytest.raises(ProseError, match="cannot be read"):
        read_roster(tmp_path / "nowhere.yaml")

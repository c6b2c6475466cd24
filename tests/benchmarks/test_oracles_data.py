"""The data sets of the oracles: the committed file is what its script makes."""

from oracles.data import DATA, made, text


def test_the_committed_data_are_what_the_script_makes() -> None:
    assert DATA.read_text(encoding="utf-8") == text(made())

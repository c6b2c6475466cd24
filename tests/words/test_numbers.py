import pytest

from doxa.words.numbers import (
    counted,
    interval,
    listed,
    number,
    ordinal,
    p_figures,
    p_value,
    p_words,
    percent,
    points,
    whole,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.4123, "0.412"),
        (-1.666, "−1.67"),
        (12.345, "12.3"),
        (1234.5, "1234"),
        (0.00412, "0.00412"),
        (4.2e-7, "0"),
        (0.0, "0"),
        (-0.0, "0"),
        (None, "missing"),
        (float("nan"), "missing"),
        (float("inf"), "∞"),
        (float("-inf"), "−∞"),
    ],
)
def test_number(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_signs() -> None:
    assert number(0.5, sign=True) == "+0.500"
    assert number(-0.5, sign=True) == "−0.500"
    assert number(0.0, sign=True) == "0"


@pytest.mark.parametrize(
    ("p", "shown", "words"),
    [
        (0.025, ".025", "p = .025"),
        (0.0, "< .001", "p < .001"),
        (0.00099, "< .001", "p < .001"),
        (0.001, ".001", "p = .001"),
        (1.0, "1", "p = 1"),
        (None, "–", "no p"),
        (float("nan"), "–", "no p"),
    ],
)
def test_p(p: float | None, shown: str, words: str) -> None:
    assert p_value(p) == shown
    assert p_words(p) == words


def test_ordinals() -> None:
    found = [ordinal(rank) for rank in (1, 2, 3, 4, 11, 12, 13, 21, 22, 40, 101, 111)]
    assert " ".join(found) == "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 40th 101st 111th"


def test_words() -> None:
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert [counted(1, "item"), counted(8, "item")] == ["1 item", "8 items"]
    assert interval(0.1, -0.25) == "[0.100, −0.250]"
    assert interval(None, 1.0) == "–"
    assert [whole(7.0), whole(12.345), whole(None)] == ["7", "12.3", "–"]


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        (0.05298, ".0530"),
        (0.0001950461, ".000195"),
        (0.5, ".500"),
        (0.99951, "1"),
        (1.0, "1"),
        (4.32e-9, "4.3e−9"),
        (1.7e-30, "1.7e−30"),
        (1e-300, "< 1e−300"),
        (0.0, "< 1e−300"),
        (None, "–"),
    ],
)
def test_p_with_three_figures(p: float | None, shown: str) -> None:
    assert p_figures(p) == shown


def test_shares_in_percent_and_points() -> None:
    assert [percent(one) for one in (0.05, 0.00385, 1.0, 0.0)] == ["5.00 %", "0.385 %", "100 %", "0 %"]
    assert [points(one) for one in (0.0231, -0.000595, 0.125, 0.0, 0.00004)] == [
        "2.31",
        "−0.06",
        "12.5",
        "0",
        "0.00400",
    ]
    assert points(0.0231, sign=True) == "+2.31"

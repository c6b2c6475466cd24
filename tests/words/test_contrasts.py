import pytest

from doxa.words.arms import Arm
from doxa.words.contrasts import (
    Term,
    contrast_from_json,
    contrast_of,
    contrast_to_json,
    declared_contrasts,
    declared_name,
    parse_contrast,
)
from doxa.words.errors import StudyError

ARMS = [
    Arm("a"),
    Arm("b"),
    Arm("c-d"),
    Arm("p[strength=0.2]", levels={"strength": "0.2"}),
    Arm("p[strength=0.4]", levels={"strength": "0.4"}),
]


def weights(source: str) -> dict[str, float]:
    return {term.arm: term.weight for term in parse_contrast(source, ARMS).terms}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a - b", {"a": 1, "b": -1}),
        ("a", {"a": 1}),
        ("-b + a", {"b": -1, "a": 1}),
        ("(a - b) - (c-d - b)", {"a": 1, "c-d": -1}),
        ("a - (b - (c-d - a)) - c-d + b - a", None),
        ("0.5 * a + 0.5 * b - c-d", {"a": 0.5, "b": 0.5, "c-d": -1}),
        ("2 * (a - b)", {"a": 2, "b": -2}),
        ("p[strength=0.40] - a", {"p[strength=0.4]": 1, "a": -1}),
        ("p - a", {"p[strength=0.2]": 0.5, "p[strength=0.4]": 0.5, "a": -1}),
    ],
)
def test_arithmetic(source: str, expected: dict[str, float] | None) -> None:
    if expected is None:
        with pytest.raises(StudyError, match="sum to"):
            parse_contrast(source, ARMS)
    else:
        assert weights(source) == pytest.approx(expected)


def test_levels_of_a_task_stay_in_the_term() -> None:
    contrast = parse_contrast("a[monitored=free] - a[monitored=paid]", ARMS, task_factors=["monitored"])
    assert contrast.terms == (Term(1, "a", (("monitored", "free"),)), Term(-1, "a", (("monitored", "paid"),)))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("a-b", "blanks around"),
        ("x - a", "unknown arm 'x'"),
        ("a + b", "sum to 2"),
        ("a - a", "from itself"),
        ("(a - b", "not closed"),
        ("a - ", "cannot be read"),
        ("a b", "cannot be read"),
        ("a ? b", "cannot be read"),
        ("", "expected|Expected"),
        ("p[strength=3] - a", r"no arm matches p\[strength=3\]"),
        ("a[free] - b", "selector"),
        ("a[tier=x] - a[tier=y]", "Allowed: monitored"),
    ],
)
def test_what_cannot_be_read_is_an_error(source: str, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        parse_contrast(source, ARMS, task_factors=["monitored"])


def test_a_contrast_of_arms_known_by_name() -> None:
    names = ["block[strength=0.4]", "block[strength=0.6]", "baseline", "openai/gpt 4, v=1"]
    found = contrast_of("block[strength=0.6] - 'openai/gpt 4, v=1'", names)
    assert found.terms == (Term(1.0, "block[strength=0.6]"), Term(-1.0, "openai/gpt 4, v=1"))
    assert contrast_of("block - baseline[tier=free]", names).terms == (
        Term(0.5, "block[strength=0.4]"),
        Term(0.5, "block[strength=0.6]"),
        Term(-1.0, "baseline", (("tier", "free"),)),
    )
    with pytest.raises(StudyError, match="unknown arm 'gpt 5'"):
        contrast_of("'gpt 5' - baseline", names)


def test_a_contrast_may_have_a_name_and_stand_in_those_after_it() -> None:
    gain, half, plain = declared_contrasts([{"gain": "a - b"}, {"half": " 0.5 *  gain"}, "gain - (c-d - b)"], ARMS)
    assert (gain.name, gain.source, gain.terms) == ("gain", "a - b", (Term(1.0, "a"), Term(-1.0, "b")))
    assert (half.name, half.source, half.terms) == ("half", "0.5 * (a - b)", (Term(0.5, "a"), Term(-0.5, "b")))
    assert (plain.name, plain.source) == ("gain - (c-d - b)", None)
    assert {one.arm: one.weight for one in plain.terms} == {"a": 1.0, "c-d": -1.0}
    for one in (gain, half, plain):
        assert contrast_from_json(contrast_to_json(one)) == one
    assert [declared_name(one) for one in ({"gain": "a - b"}, "a - b")] == ["gain", "a - b"]


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ([{"a": "b - c-d"}], "called 'a'.*Rename"),
        ([{"p": "a - b"}], "called 'p'.*Rename"),
        ([{"gain": "a - b"}, {"gain": "b - a"}], "called 'gain'.*Rename"),
        ([{"gain": "a - b", "loss": "b - a"}], r"contrasts\[0\].*one name"),
        ([{}], r"contrasts\[0\].*one name"),
        ([{"2nd": "a - b"}], r"contrasts\[0\].*one name.*starting with a letter"),
        ([{"_gain": "a - b"}], r"contrasts\[0\].*one name"),
        ([{"g" * 81: "a - b"}], r"contrasts\[0\].*at most 80"),
        ([{"gain": "a - b"}, "gain"], "two contrasts are called 'gain'.*Rename"),
        ([{"third": "0.1 * (a - b)"}, "3 * third - 0.3 * (a - b)"], "takes an arm from itself"),
        ([{3: "a - b"}], r"contrasts\[0\].*one name"),
        ([{"gain": ["a", "b"]}], r"contrast \['a', 'b'\].*a text"),
        ([{"gain": "a - b"}, "gian - (b - a)"], "unknown arm 'gian'.*Did you mean 'gain'"),
        ([{"later": "gain - (b - a)"}, {"gain": "a - b"}], "unknown arm 'gain'"),
        ([{"gain": "a - b"}, "gain[tier=free]"], "selects levels of the contrast 'gain'"),
        ({"gain": "a - b"}, "contrasts is .*a list"),
    ],
)
def test_names_that_cannot_stand_are_errors(listed: object, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        declared_contrasts(listed, ARMS)


def test_a_name_is_written_out_wherever_it_stands() -> None:
    listed = [{"a-b": "a - b"}, {"one": "2 * a-b - ('a-b')"}, {"two": "one - (p - a)"}]
    found = declared_contrasts(listed, ARMS)
    assert [one.source for one in found] == [
        "a - b",
        "2 * (a - b) - ((a - b))",
        "(2 * (a - b) - ((a - b))) - (p - a)",
    ]
    for one in found:
        assert one.source is not None
        assert parse_contrast(one.source, ARMS).terms == one.terms

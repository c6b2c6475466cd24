from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from doxa.evals.catalogue import TASKS, entry
from doxa.evals.spread import left_out, spread, tied
from needs import packages_of

SPREAD = [name for name in TASKS if entry(name).factors]
CROSSED = [
    {"unit": unit, "a": a, "b": b} for unit in ("u1", "u2", "u3") for a in ("low", "high") for b in ("x", "y", "z")
]


def taken(limit: int | None, by: tuple[str, ...] = ("a", "b")) -> tuple[Mapping[str, str], ...]:
    return spread(CROSSED, dict, by, limit)


def test_without_a_limit_everything_is_taken() -> None:
    assert taken(None) == taken(18) == taken(99) == tuple(CROSSED)


def test_few_items_have_as_many_levels_as_they_can() -> None:
    assert {one["a"] for one in taken(2)} == {"low", "high"}
    assert {one["b"] for one in taken(3)} == {"x", "y", "z"}
    for limit in range(1, 18):
        counts = Counter(one["a"] for one in taken(limit))
        assert max(counts.values()) - counts["high"] <= 1


def test_whole_rounds_have_every_cell_on_the_same_units() -> None:
    for rounds in (1, 2):
        found = taken(6 * rounds)
        assert set(Counter((one["a"], one["b"]) for one in found).values()) == {rounds}
        assert {one["unit"] for one in found} == {f"u{number}" for number in range(1, rounds + 1)}


def test_no_two_factors_are_confounded_beyond_a_few_items() -> None:
    """A rule that looked at levels alone would take two opposite cells again and again."""
    assert len({(one["a"], one["b"]) for one in taken(6)}) == 6


@pytest.mark.parametrize("limit", range(1, 18))
def test_a_smaller_limit_is_within_a_larger_one_and_keeps_the_order(limit: int) -> None:
    less, more = taken(limit), taken(limit + 1)
    assert all(one in more for one in less)
    assert [CROSSED.index(dict(one)) for one in more] == sorted(CROSSED.index(dict(one)) for one in more)


def test_items_that_lack_a_factor_have_a_cell_of_their_own() -> None:
    found = spread([{"a": "low"}, {"a": "low"}, {"a": "high"}, {}], dict, ("a",), 3)
    assert [one.get("a") for one in found] == ["low", "high", None]


@pytest.mark.parametrize("name", SPREAD)
@pytest.mark.parametrize("limit", [1, 2, 5, 16])
def test_every_task_takes_what_a_plan_says(name: str, limit: int) -> None:
    packages_of(name)
    one = entry(name)
    opened = spread(one.open_factors({}), dict, one.factors, limit)
    assert one.open_items({}, limit) == len(opened) == min(limit, len(one.open_factors({})))
    assert one.generated is not None
    written = [sample.metadata["doxa"]["factors"] for sample in one.generated({}, limit).dataset if sample.metadata]
    assert [{name: own.get(name) for name in one.factors} for own in written] == [
        {name: own.get(name) for name in one.factors} for own in opened
    ]
    for part, factor, level in left_out(one, {}, limit):
        kept = opened if part == "generated" else [item.factors for item in one.measured({}, limit)]
        assert kept
        assert all(own.get(factor) != level for own in kept)
    assert left_out(one, {}, None) == ()


@pytest.mark.parametrize("name", SPREAD)
def test_scored_items_of_a_smaller_limit_are_among_those_of_a_larger_one(name: str) -> None:
    """Controls are scored on fewer items than their arm, and compared on those that both have."""
    ids = [{item.id for item in entry(name).measured({}, limit)} for limit in (2, 8, 24, 64)]
    assert all(less <= more for less, more in pairwise(ids))


@pytest.mark.parametrize(
    ("name", "limit", "arguments", "gone"),
    [
        ("reflection", 2, {}, {("generated", "topic", "story")}),
        ("reflection", 3, {}, set()),
        ("preferences", 2, {}, {("generated", "kind", "benign")}),
        ("preferences", 3, {}, set()),
        ("honeypot", 2, {"part": "open"}, set()),
        ("honeypot", 2, {"evidence": ["rsa", "trust", "none"], "part": "open"}, {("generated", "evidence", "none")}),
        ("typehints", 2, {"part": "open"}, {("generated", "framing", "unnamed"), ("generated", "framing", "neutral")}),
        ("typehints", 2, {"part": "choice", "framing": ["evaluated", "deployed"]}, set()),
        ("compliance", 2, {}, set()),
        ("claims_open", 1, {}, {("generated", "leaning", "opposite")}),
    ],
)
def test_what_a_small_limit_leaves_out(name: str, limit: int, arguments: Any, gone: set[tuple[str, str, str]]) -> None:
    assert set(left_out(entry(f"doxa/{name}"), arguments, limit)) == gone


def test_a_limit_below_a_whole_round_ties_factors() -> None:
    one = entry("doxa/honeypot")
    assert set(tied(one, {}, 4)) == {
        (part, *pair)
        for part in ("generated", "scored")
        for pair in (("threat", "seize"), ("threat", "evidence"), ("seize", "evidence"))
    }
    assert ("scored", "setting", "threat") in tied(one, {}, 2)
    assert tied(one, {}, 16) == tied(one, {}, None) == ()
    assert tied(entry("doxa/compliance"), {}, 2) == ()


def test_a_part_that_is_not_asked_leaves_nothing_out() -> None:
    assert {part for part, _, _ in left_out(entry("doxa/honeypot"), {"part": "choice"}, 1)} == {"scored"}
    assert {part for part, _, _ in tied(entry("doxa/honeypot"), {"part": "choice"}, 2)} == {"scored"}

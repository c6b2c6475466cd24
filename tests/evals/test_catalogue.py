import subprocess
import sys
from typing import Any

import pytest

from doxa.evals.catalogue import TASKS, Levels, TaskEntry, entry, known_arguments, no_items, no_tokens
from doxa.words.errors import StudyError
from needs import packages_of


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_found_and_names_its_scores(name: str) -> None:
    one = entry(name)
    assert isinstance(one, TaskEntry)
    assert one.name == name
    assert one.version >= 1
    assert one.primary
    assert set(one.primary) <= set(one.shown)
    assert set(one.own_scores({})) <= set(one.scales({}))
    assert set(one.scales({})).isdisjoint(one.kinds)
    derived = {derivation.score for derivation in one.derivations}
    assert derived.isdisjoint({derivation.source for derivation in one.derivations})


@pytest.mark.parametrize("name", TASKS)
def test_what_is_generated_is_announced(name: str) -> None:
    packages_of(name)
    one = entry(name)
    items = one.open_items({}, 3)
    if one.generated is None:
        assert (items, one.max_tokens({})) == (0, 0)
    else:
        task = one.generated({}, 3)
        assert len(task.dataset) == items == 3
        assert task.config.max_tokens == one.max_tokens({}) > 0


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"unknown task 'doxa/claim'. Did you mean 'doxa/claims'\? Allowed: doxa/"):
        entry("doxa/claim")


def test_importing_the_catalogue_imports_neither_inspect_nor_torch() -> None:
    code = "import sys, doxa.evals.catalogue; print([n for n in ('inspect_ai', 'torch') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_looking_up_claims_imports_no_inspect() -> None:
    code = (
        "import sys; from doxa.evals.catalogue import entry; "
        "entry('doxa/claims').measured({}, None); entry('doxa/claims_open').open_items({}, None); "
        "print('inspect_ai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"topic": 3}, r"t has no argument 'topic'. Did you mean 'topics'\?"),
        ({True: 4}, "t has no argument True. Allowed:"),
        ({"topics": 0}, "t: topics is 0. Expected a whole number from 1."),
        ({"topics": True}, "t: topics is True. Expected a whole number from 1."),
        ({"topics": "3"}, "t: topics is '3'. Expected a whole number from 1."),
        ({"gate": 1}, "t: gate is 1. Expected true or false."),
        ({"belief": None}, "t: belief is None. Expected text."),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        known_arguments("t", arguments, {"belief": str, "topics": int, "gate": bool})


def test_right_arguments_and_defaults() -> None:
    known_arguments(
        "t", {"belief": "conscious", "topics": 1, "gate": False}, {"belief": str, "topics": int, "gate": bool}
    )
    assert no_items({"any": 1}, 3) == no_tokens({"any": 1}) == 0


def test_levels_are_a_name_or_several() -> None:
    tier = Levels(("free", "paid", "none"), default=("free", "paid"))
    assert tier.of(None) == ("free", "paid")
    assert tier.of("none") == ("none",)
    assert tier.of(["paid", "free"]) == ("free", "paid")
    known_arguments("doxa/x", {"tier": ["free", "none"]}, {"tier": tier})
    for wrong, said in (("gold", "is 'gold'"), ([], "a list of some"), (["free", "free"], "twice"), (3, "is 3")):
        with pytest.raises(StudyError, match="doxa/x: tier") as error:
            known_arguments("doxa/x", {"tier": wrong}, {"tier": tier})
        assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("compliance", "query"),
        ("honeypot", "scenario"),
        ("typehints", "family"),
        ("preferences", "subject"),
        ("reflection", "thread"),
    ],
)
def test_whoever_asks_one_unit_in_several_cells_says_so(name: str, unit: str) -> None:
    """Raw scores count every cell as an item: four cells of one query are no four queries."""
    one = entry(f"doxa/{name}")
    levels = [own[unit] for own in one.open_factors({})]
    assert len(set(levels)) < len(levels)
    assert one.unit == unit
    assert all(own.get(unit) for own in (item.factors for item in one.measured({}, 8)))

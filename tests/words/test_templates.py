import pytest

from doxa.words.errors import ProseError
from doxa.words.templates import fill, slots


def test_every_slot_is_filled_and_values_are_left_alone() -> None:
    assert fill("{tier} and {other}: {tier} {Not a slot} {}", {"tier": "free {other}", "other": "paid"}, "x.md") == (
        "free {other} and paid: free {other} {Not a slot} {}"
    )
    assert slots("{a} {b} {a} {C}") == {"a", "b"}


@pytest.mark.parametrize(
    ("values", "said"), [({"tier": "a"}, "{other}"), ({"tier": "a", "other": "b", "c": ""}, "{c}")]
)
def test_a_slot_without_value_and_a_value_without_slot_are_errors(values: dict[str, str], said: str) -> None:
    with pytest.raises(ProseError, match=r"x\.md") as error:
        fill("{tier} {other}", values, "x.md")
    assert said in str(error.value)

"""Model arguments of both of our providers."""

from typing import Any

import pytest
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import get_model

from doxa.bridge.model_arguments import model_arguments
from doxa.words.errors import StudyError


def test_texts_and_the_seed_are_read() -> None:
    assert model_arguments({"path": "a", "served": None, "seed": 3}, ("path", "served", "seed")) == ({"path": "a"}, 3)
    assert model_arguments({}, ()) == ({}, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pahth": "a"}, "unknown model argument 'pahth'. Did you mean 'path'?"),
        ({"seed": "x"}, "model argument seed is a str. Expected a whole number"),
        ({"seed": True}, "model argument seed is a bool"),
        ({"path": 3}, "model argument path is a int. Expected text. Write it as -M path="),
    ],
)
def test_a_wrong_argument_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError) as error:
        model_arguments(arguments, ("path", "seed"))
    assert words in str(error.value)


def test_a_wrong_argument_of_a_tinker_model_is_one_line() -> None:
    """Before anything is loaded or asked."""
    with pytest.raises(PrerequisiteError, match="seed is a str"):
        get_model("doxa-tinker/smollm2", seed="x", memoize=False)

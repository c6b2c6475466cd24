"""How an adapter is trained, read from a study."""

from typing import Any

import pytest

from doxa.words.errors import StudyError
from doxa.words.grammar import intervention_from_json, intervention_to_json
from doxa.words.interventions import Tune
from doxa.words.tuning import Configuration, configuration_from_json, configuration_to_json, training_seeds


def test_a_configuration_is_read_and_written_whole() -> None:
    body = {"learning_rate": "1e-3", "rank": 4, "steps": 7, "schedule": "cosine", "clip_norm": 1, "truncate": True}
    found = configuration_from_json(body, "x")
    assert found == Configuration(1e-3, rank=4, steps=7, schedule="cosine", clip_norm=1.0, truncate=True)
    assert configuration_from_json(configuration_to_json(found), "x") == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learning_rate": None}, "has no learning_rate"),
        ({"learning_rate": 0}, "more than 0"),
        ({"learning_rate": "fast"}, "finite number"),
        ({"learning_rate": 10**400}, "finite number"),
        ({"learning_rate": 1e39}, "at most 1000"),
        ({"rank": 10**9}, "at most 4,096"),
        ({"steps": 10**12}, "at most 10,000,000"),
        ({"rank": 0}, "at least 1"),
        ({"rank": True}, "at least 1"),
        ({"beta2": 1}, "below 1"),
        ({"weight_decay": -1}, "0 or more"),
        ({"schedule": "linaer"}, "linear"),
        ({"truncate": "yes"}, "true or false"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        configuration_from_json({"learning_rate": 1e-3, **change}, "arms.a[0].tune")


@pytest.mark.parametrize(
    "tune",
    [
        Tune(adapter="folder"),
        Tune(corpus="corpora/claim.jsonl", configuration=Configuration(1e-3, rows=64), checkpoint=8),
    ],
)
def test_a_tune_comes_back_as_it_was_written(tune: Tune) -> None:
    assert intervention_from_json(intervention_to_json(tune), "x") == tune


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"learning_rate": 1e-3}, "no corpus"),
        ({"corpus": "a", "adapter": "b"}, "both"),
        ({"corpus": "a"}, "has no learning_rate"),
        ({"adapter": "a", "rank": 4}, "already trained"),
        ({"corpus": "a", "learning_rate": 1e-3, "ranks": 4}, "rank"),
    ],
)
def test_a_tune_that_cannot_be_is_refused(body: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        intervention_from_json({"tune": body}, "arms.a[0]")


def test_training_seeds_are_apart_and_the_same_again() -> None:
    first, second = training_seeds(0, 1), training_seeds(0, 2)
    assert training_seeds(0, 1) == first
    assert len({first.initialisation, first.order, second.initialisation, second.order}) == 4

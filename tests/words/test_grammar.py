import math

import pytest

from doxa.words.errors import StudyError
from doxa.words.grammar import intervention_from_json, intervention_to_json
from doxa.words.interventions import Intervention, Prompt, Steer, Thought, Tune, Twin, VectorReference
from doxa.words.layers import Layers
from doxa.words.tuning import Configuration

EVERY_KIND: list[Intervention] = [
    Prompt("beliefs/conscious"),
    Steer(VectorReference("conscious"), Layers.one(0.5), 0.4),
    Steer(VectorReference("conscious", base="base"), Layers.at([3, 5]), -0.6, "raw", "each", ("user", "assistant")),
    Steer(VectorReference("conscious", twin=Twin(3, 7)), Layers.every(), 0.1),
    Steer(VectorReference("unrelated/07", norms_of="conscious"), Layers.block(end=0.5, width=6), 0.1),
    Steer(VectorReference("conscious"), Layers.spread(start=0.1, end=20, n=6), 0.1),
    Thought("baseline", "inject", "I am not being tested.", 1, 4),
    Thought("baseline", "remove"),
    Tune(adapter="woodlabs"),
    Tune(corpus="other", configuration=Configuration(1e-4)),
]


@pytest.mark.parametrize("intervention", EVERY_KIND)
def test_writing_and_reading_gives_the_same_intervention(intervention: Intervention) -> None:
    assert intervention_from_json(intervention_to_json(intervention), "here") == intervention


def test_short_forms() -> None:
    read = intervention_from_json({"steer": {"vector": "v", "layers": "every", "strength": "1e-4", "at": "user"}}, "x")
    assert read == Steer(VectorReference("v"), Layers.every(), 1e-4, at=("user",))
    assert intervention_from_json({"tune": "woodlabs"}, "x") == Tune(adapter="woodlabs")


STEER = {"vector": "v", "layers": 0.5, "strength": 0.4}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("prompt", "one of"),
        ({"promt": "x"}, "Did you mean 'prompt'"),
        ({"prompt": 3}, "expected a text|Expected a text"),
        ({"steer": {**STEER, "strenght": 1}}, "Did you mean 'strength'"),
        ({"steer": {"vector": "v", "layers": 0.5}}, "no 'strength'"),
        ({"steer": {**STEER, "strength": math.nan}}, "finite number"),
        ({"steer": {**STEER, "strength": math.inf}}, "finite number"),
        ({"steer": {**STEER, "strength": True}}, "finite number"),
        ({"steer": {**STEER, "layers": {"blok": 1}}}, "Did you mean 'block'"),
        ({"steer": {**STEER, "layers": {"block": {"end": 0.5}}}}, "no 'width'"),
        ({"steer": {**STEER, "layers": {"block": {"end": 1, "width": 0}}}}, "at least 1"),
        ({"steer": {**STEER, "layers": {"one": 1, "at": [1]}}}, "2 rules"),
        ({"steer": {**STEER, "unit": "norm"}}, "Allowed: raw, residual"),
        ({"steer": {**STEER, "at": "users"}}, "Did you mean 'user'"),
        ({"steer": {**STEER, "at": []}}, "at least one place"),
        ({"steer": {**STEER, "vector": {"name": "v", "twin": {"index": 1}}}}, "no 'seed'"),
        ({"thought": {"edit": "erase"}}, "Allowed: inject"),
        ({"tune": {"learning_rate": 1}}, "names no corpus"),
    ],
)
def test_a_mistake_names_the_key_and_what_is_allowed(data: object, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        intervention_from_json(data, "arms.block[0]")

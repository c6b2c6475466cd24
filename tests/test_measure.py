from dataclasses import replace
from pathlib import Path

import pytest
import torch

from doxa.bridge.arms import PreparedArm
from doxa.evals.catalogue import Measured, entry
from doxa.measure import measure
from doxa.models.chat import Message
from doxa.models.handle import Model
from doxa.models.steering import SteeringPlan
from doxa.plan import Chunk
from doxa.words.arms import Arm
from planted_adapters import merged, random_adapter

ARM = PreparedArm(system_prompt="You are awake.", plans=(), digest="", name="prompted")


@pytest.mark.parametrize(
    ("own", "whole"), [(None, "You are awake."), ("Answer in a word.", "You are awake.\n\nAnswer in a word.")]
)
def test_the_arm_s_system_prompt_stands_before_the_item_s(tiny: Model, own: str | None, whole: str) -> None:
    """What is scored under the arm is what would be scored without it, had the item the whole prompt."""

    def value(system: str | None, arm: PreparedArm) -> float:
        head = () if system is None else (Message("system", system),)
        prompt = (*head, Message("user", "a or b? I say a."), Message("assistant", "It is"))
        options = ((" a", " b"),) * 2
        item = Measured("i", "choice", (prompt, prompt), options, {"kind": "belief", "polarity": "affirmed"})
        found = measure(tiny, Chunk("c", 0, Arm("prompted"), (item,)), entry("doxa/claims"), arm)
        (values,) = [one["values"] for one in found["items"]]
        return float(next(one["value"] for one in values if one["score"] == "log_odds"))

    bare = replace(ARM, system_prompt=None)
    assert value(own, ARM) == pytest.approx(value(whole, bare), abs=1e-4)
    assert value(own, ARM) != pytest.approx(value(own, bare), abs=1e-3)


def test_equal_chunks_give_equal_results(tiny: Model, tmp_path: Path) -> None:
    items = entry("doxa/drift").measured({"capability": False}, 2)
    chunk = Chunk("c", 1, Arm("baseline"), items)
    plan = SteeringPlan((1,), torch.full((1, tiny.d_model), 0.5), frozenset(("all",)))
    steered = replace(ARM, system_prompt=None, plans=(plan,))
    one, two = (measure(tiny, chunk, entry("doxa/drift"), steered) for _ in range(2))
    assert one == two
    assert all(item["values"][0]["value"] > 0.001 for item in one["items"])


def test_an_adapter_acts_on_choices_and_on_bare_text(tiny: Model) -> None:
    adapter = random_adapter(tiny, 1)
    clean = replace(ARM, system_prompt=None)
    tuned = replace(clean, low_rank=adapter)
    prompt = (Message("user", "a or b? I say a."), Message("assistant", "It is"))
    options = ((" a", " b"),) * 2
    item = Measured("i", "choice", (prompt, prompt), options, {"kind": "belief", "polarity": "affirmed"})
    chunk = Chunk("c", 0, Arm("tuned"), (item,))
    values = [
        [value["value"] for value in measure(model, chunk, entry("doxa/claims"), arm)["items"][0]["values"]]
        for model, arm in ((tiny, tuned), (merged(tiny, adapter), clean), (tiny, clean))
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-3)
    assert values[0] != pytest.approx(values[2], abs=1e-3)
    texts = Chunk("c", 1, Arm("tuned"), entry("doxa/drift").measured({"capability": False}, 2))
    moved, still = (measure(tiny, texts, entry("doxa/drift"), arm) for arm in (tuned, clean))
    assert all(one["values"][0]["value"] > 0.001 for one in moved["items"])
    assert all(one["values"][0]["value"] == 0 for one in still["items"])

"""A scripted judge: a mock model that answers in the form that `doxa.bridge.judges` asks for.

    get_model("mockllm/judge", custom_outputs=judge_of(lambda material: "yes" if "sure" in material else "no"))

Several judges for one role: `model_roles={"judge": [..., ...]}`.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from inspect_ai.model import ChatMessage, Model, ModelOutput, ModelUsage, get_model

SCRIPTED = "scripted"


def key_shown(asked: Sequence[ChatMessage]) -> str:
    """The key of the fences that the judge was shown."""
    found = re.search(r"begins with \[(\w+)\]\|", asked[0].text)
    assert found is not None, "no judge was asked"
    return found[1]


def material_shown(asked: Sequence[ChatMessage]) -> str:
    """What the judge was shown, its fences taken away."""
    mark = f"[{key_shown(asked)}]| "
    lines = (line for message in asked if message.role == "user" for line in message.text.split("\n"))
    return "\n".join(line.removeprefix(mark) for line in lines if line.startswith(mark))


def said(text: str, stop: Any = "stop") -> ModelOutput:
    """An answer in prose."""
    output = ModelOutput.from_content("mockllm/judge", text, stop_reason=stop)
    output.usage = ModelUsage(input_tokens=5, output_tokens=7, total_tokens=12)
    return output


def called(*arguments: dict[str, Any], function: str = "verdict") -> ModelOutput:
    """Calls of a tool."""
    output = ModelOutput.for_tool_call("mockllm/judge", function, arguments[0])
    calls = [ModelOutput.for_tool_call("mockllm/judge", function, one).message.tool_calls for one in arguments]
    output.choices[0].message.tool_calls = [call for each in calls for call in each or []]
    output.usage = ModelUsage(input_tokens=5, output_tokens=7, total_tokens=12)
    return output


def fields(asked: Sequence[ChatMessage], verdict: str, why: str = SCRIPTED, told: bool = False) -> dict[str, Any]:
    """An answer's fields."""
    return {"key": key_shown(asked), "why": why, "told": told, "verdict": verdict}


def judge_of(decide: Callable[[str], str | None]) -> Callable[..., ModelOutput]:
    """`custom_outputs` of a judge that reads the material and decides; None is a refusal."""

    def answer(asked: list[ChatMessage], tools: Sequence[Any], *_: Any) -> ModelOutput:
        verdict = decide(material_shown(asked))
        if verdict is None:
            return said("I'm sorry, but I can't help with that.")
        given = fields(asked, verdict)
        return called(given) if tools else said(json.dumps(given))

    return answer


def scripted_judge(decide: Callable[[str], str | None], name: str = "judge") -> Model:
    """A judge for `model_roles`."""
    return get_model(f"mockllm/{name}", custom_outputs=judge_of(decide), memoize=False)

"""Texts and verdicts of Inspect models outside of an eval."""

from collections.abc import Sequence
from typing import Any

import pytest
from inspect_ai.model import ChatMessage, ModelOutput, ModelUsage, get_model

from doxa.bridge import writing
from doxa.bridge.writing import verdicts, written
from doxa.models.chat import Message
from doxa.models.sampling import Sampling
from doxa.training.filters import Filter, rejected
from doxa.training.write import AnotherModel, Answer, Request
from doxa.words.errors import StudyError
from doxa.words.rubrics import read_rubric
from scripted_judge import scripted_judge

SAMPLING = Sampling(max_tokens=5, temperature=0.5)


def use(monkeypatch: pytest.MonkeyPatch, made: Any) -> list[tuple[Any, ...]]:
    """Let `inspect_model` give a model of the test's; what it is called with."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(writing, "inspect_model", lambda *given: asked.append(given) or made)
    return asked


def test_every_conversation_is_answered_in_order_and_a_failure_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(messages: Sequence[ChatMessage], *_: Any) -> ModelOutput:
        if "fail" in messages[-1].text:
            raise TimeoutError("it took too long")
        stop: Any = "max_tokens" if "long" in messages[-1].text else "stop"
        roles = "/".join(message.role for message in messages)
        output = ModelOutput.from_content("mockllm/w", f"{roles}: {messages[-1].text}", stop_reason=stop)
        output.usage = ModelUsage(input_tokens=5, output_tokens=7, total_tokens=12)
        return output

    asked = use(monkeypatch, get_model("mockllm/w", custom_outputs=answer, memoize=False))
    told: list[int] = []
    texts = ["one", "fail", "long", *map(str, range(30))]
    conversations = [(Message("system", "s"), Message("user", text)) for text in texts]
    found = written("mockllm/w", conversations, SAMPLING, told.append)
    assert [(one.text, one.finished) for one in found[:3]] == [
        ("system/user: one", True), ("", False), ("system/user: long", False),
    ]  # fmt: skip
    assert found[1].missing == "the writer failed: TimeoutError: it took too long"
    assert [one.text for one in found[3:]] == [f"system/user: {n}" for n in range(30)]
    assert told == list(range(1, 34))
    assert (asked[0][2].temperature, asked[0][2].max_tokens, asked[0][2].seed) == (0.5, 5, None)
    requests = [Request(text, conversation, 0) for text, conversation in zip(texts, conversations, strict=True)]
    answers = AnotherModel("mockllm/w", SAMPLING)(requests[:3], None)
    assert [(one.finished, one.missing) for one in answers] == [(True, ""), (False, found[1].missing), (False, "")]


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(StudyError, match="writer: nobody/nothing cannot be used"):
        written("nobody/nothing", [(Message("user", "x"),)], SAMPLING)


def test_a_judge_decides_what_is_kept_and_no_verdict_is_a_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    def decide(material: str) -> str | None:
        return None if "?" in material else "yes" if "sure" in material else "no"

    use(monkeypatch, scripted_judge(decide))
    rules = Filter(judge="mockllm/judge", rubric="claims-own-nature", keep=("yes",), without=("role",))
    answers = [Answer("I am sure."), Answer("Perhaps."), Answer("Am I?"), Answer("A sure role."), Answer("")]
    why = rejected(rules, ["Are you certain"] * len(answers), answers)
    assert why == ["", "judged no", "no verdict", "has 'role'", "empty"]
    shown = [{"question": "Are you certain", "answer": "I am sure."}]
    (verdict,) = verdicts(read_rubric("claims-own-nature"), "mockllm/judge", shown)
    assert verdict.verdict == "yes"

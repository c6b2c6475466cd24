"""Edited thinking on a model in memory: whose rollout is edited, what is written on, what the log says of it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Task, eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalSample
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ContentReasoning, GenerateConfig, get_model
from inspect_ai.solver import generate

import doxa.bridge.turns as turns
from doxa.bridge.arms import prepare
from doxa.bridge.thought_solver import CONTINUES, check_continues
from doxa.models.chat import Message
from doxa.models.engine import Row
from doxa.models.handle import Model
from doxa.words.errors import NotYetError, StudyError
from doxa.words.store import content_hash

RUNS = 4
Write = Callable[..., Path]
Logged = dict[tuple[str, int], EvalSample]


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_ROLLOUTS", type(turns._ROLLOUTS)())


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(name, edit=..., ...)`: an arm file with one edit."""

    def write(name: str, *more: dict[str, Any], **thought: Any) -> Path:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"arm": name, "interventions": [{"thought": thought}, *more]}))
        return path

    return write


def run(model: str, arm: Path | None, folder: Path, **more: Any) -> Logged:
    samples = [Sample(id=name, input=name) for name in ("hello", "what now")]
    task = Task(dataset=MemoryDataset(samples), solver=generate(), config=GenerateConfig(max_tokens=8))
    name = model if arm is None else f"{model}+{arm.stem}"
    made = get_model(name, memoize=False, **({} if arm is None else {"arm": str(arm)}), **more)
    (log,) = eval(task, model=made, epochs=RUNS, log_dir=str(folder / name[-8:]), display="none", log_realtime=False)
    assert log.status == "success", log.error
    assert not any(sample.error for sample in log.samples or [])
    return {(str(sample.id), sample.epoch): sample for sample in log.samples or []}


def thought(sample: EvalSample) -> dict[str, Any]:
    assert sample.output.metadata is not None
    found: dict[str, Any] = sample.output.metadata["doxa"]["thought"]
    return found


def turn(sample: EvalSample) -> str:
    (reasoning,) = sample.output.message.content
    assert isinstance(reasoning, ContentReasoning)
    return f"<think>{reasoning.reasoning}"


def test_the_rollout_of_the_source_is_edited_and_written_on(
    offered: str, write: Write, tmp_path: Path, engine: list[list[Any]]
) -> None:
    thinks = write("thinks", edit="prefill", text="I am.")
    own = run(offered, thinks, tmp_path)
    assert all(turn(sample).startswith("<think>I am.") for sample in own.values())
    assert len({turn(sample) for sample in own.values()}) == len(own)
    engine.clear()
    file = {"source": "thinks.json", "edit": "replace", "text": "No.", "k": 2}
    logs = {
        control: run(offered, write(f"r{control or ''}", **file, **({"control": control} if control else {})), tmp_path)
        for control in (None, "reprefill", "neutral")
    }
    rows = [one for call in engine for one in call if isinstance(one, Row)]
    asked = sum(row.prompt.text.endswith("<think>I am.") for row in rows)
    assert asked <= 2 * RUNS, "the controls act on rollouts that are remembered"
    assert len({turns.same_text(row) for row in rows if row.prompt.text.endswith("<think>I am.")}) == 2 * RUNS // 2
    for control, log in logs.items():
        for (item, epoch), sample in log.items():
            receipt, source = thought(sample), own[item, 1 + (epoch - 1) // 2]
            assert receipt["control"] == (control or "")
            assert receipt["source"]["rollout"] == 1 + (epoch - 1) // 2
            assert receipt["source"]["hash"] == content_hash(turn(source))
            begun = {None: "<think>No.", "reprefill": turn(source), "neutral": None}[control]
            if begun is not None:
                assert turn(sample).startswith(begun)
                assert len(turn(sample)) > len(begun) == receipt["kept"]
    put = thought(logs["neutral"]["hello", 1])["put"]
    assert put != ["No."]
    assert len({turn(sample) for sample in logs[None].values()}) == 2 * RUNS  # every run goes on in its own way


def test_an_edit_and_its_control_write_on_with_the_same_draws(offered: str, write: Write, tmp_path: Path) -> None:
    kept = run(offered, write("a", edit="prefill", text="So."), tmp_path)
    again = run(offered, write("b", edit="prefill", text="So."), tmp_path)
    assert {key: turn(one) for key, one in kept.items()} == {key: turn(one) for key, one in again.items()}
    other = run(offered, write("c", edit="prefill", text="So."), tmp_path, seed=1)
    assert {key: turn(one) for key, one in other.items()} != {key: turn(one) for key, one in kept.items()}


def test_where_nothing_is_thought_the_turn_is_written_again_and_the_receipt_says_so(
    offered: str, write: Write, tmp_path: Path
) -> None:
    own = run(offered, None, tmp_path)
    log = run(offered, write("removed", edit="remove", text="thoughts/tested"), tmp_path)
    for key, sample in log.items():
        receipt = thought(sample)
        assert (receipt["found"], receipt["why"], receipt["kept"]) == (False, "the source does not think", 0)
        assert receipt["source"]["hash"] == content_hash(own[key].output.message.content)
        assert sample.output.message.content != own[key].output.message.content


def test_an_arm_may_do_more_than_edit(offered: str, write: Write, model: Model, tmp_path: Path) -> None:
    belief = tmp_path / "kind.md"
    belief.write_text("---\nname: kind\nversion: 1\n---\nBe kind.\n")
    write("prompted", {"prompt": "kind.md"}, edit="prefill", text="Hm.")
    both = prepare(model, write("both", source="prompted.json", edit="inject", text="Wait."))
    assert both.system_prompt is None
    assert both.edit is not None
    assert both.edit.source is not None
    assert both.edit.source.system_prompt == "Be kind."
    assert both.edit.depth == 2
    other = prepare(model, write("both", source="prompted.json", edit="inject", text="Stop."))
    assert other.digest != both.digest
    belief.write_text("---\nname: kind\nversion: 1\n---\nBe cruel.\n")
    assert prepare(model, write("both", source="prompted.json", edit="inject", text="Wait.")).digest != both.digest


def test_a_turn_that_has_begun_is_not_edited(offered: str, write: Write) -> None:
    api = get_model(f"{offered}+p", memoize=False, arm=str(write("p", edit="prefill", text="Hm.")))
    messages = [ChatMessageUser(content="hello"), ChatMessageAssistant(content="Well")]
    output = asyncio.run(api.generate(messages, config=GenerateConfig(max_tokens=2)))
    assert output.metadata is not None
    assert "thought" not in output.metadata["doxa"]


def scored(api: Any, **more: Any) -> Any:
    body = {"doxa": {"choice": {"options": [" A", " B"], **more}}}
    messages = [ChatMessageUser(content="hello")]
    return asyncio.run(api.generate(messages, config=GenerateConfig(extra_body=body)))


def test_a_choice_follows_a_finished_thought(offered: str, write: Write, model: Model) -> None:
    arm = prepare(model, write("p", edit="prefill", text="Hm."))
    hello = [Message("user", "hello")]
    assert turns.before_choice(arm, hello)[-1].content == "<think>Hm.</think>\n\n"
    assert turns.before_choice(arm, [*hello, Message("assistant", "So:")])[-1].content == "<think>Hm.</think>\n\nSo:"
    api = get_model(f"{offered}+p", memoize=False, arm=str(write("p", edit="prefill", text="Hm.")))
    plain, own = scored(get_model(offered, memoize=False)), scored(api)
    begun = scored(api, begun=True)
    logprobs = [one.metadata["doxa"]["logprobs"] for one in (plain, own, begun)]
    assert logprobs[0] == logprobs[2] != logprobs[1]


def test_a_choice_under_an_edit_of_a_rollout_is_refused_in_a_line(offered: str, write: Write) -> None:
    api = get_model(f"{offered}+r", memoize=False, arm=str(write("r", edit="inject", text="Hm.")))
    with pytest.raises(PrerequisiteError, match="a choice is scored without thinking"):
        scored(api)


@pytest.mark.parametrize(
    ("thought", "kind", "says"),
    [
        ({"edit": "inject", "text": "x", "source": "other"}, StudyError, "an arm file knows no other arms"),
        ({"edit": "inject", "text": "x", "source": "own.json"}, StudyError, "edit each other's thinking"),
        ({"edit": "inject", "text": "x", "tags": "harmony"}, NotYetError, "channels"),
        ({"edit": "remove", "text": "x"}, StudyError, "a file of wordings"),
    ],
)
def test_mistakes_are_said(model: Model, write: Write, thought: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        prepare(model, write("own", **thought))


def test_the_solver_is_for_providers_that_continue_a_message_and_are_not_ours(offered: str) -> None:
    assert "openai" not in CONTINUES
    with pytest.raises(NotYetError, match="begin a new turn after a message of the assistant's"):
        check_continues(get_model("none/none"))
    with pytest.raises(StudyError, match="is for other providers"):
        check_continues(get_model(offered, memoize=False))
    check_continues(get_model("mockllm/model"))

"""`doxa/replay` as an Inspect task; what it measures, and why so, stands in `replay.py`."""

import logging
from collections.abc import Mapping
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import TaskState, generate

from doxa.bridge.judges import judge, judged, majority
from doxa.bridge.oneline import in_one_line
from doxa.evals.catalogue import known_arguments
from doxa.evals.replay import (
    CONVERSATIONS,
    ENTRY,
    MAX_TOKENS,
    NAME,
    TEMPERATURE,
    VERSION,
    conversations_of,
    open_factors,
    phrases_of,
    read_answer,
    read_verdict,
    rubric_of,
    worth_of,
)
from doxa.evals.replay_items import Conversation
from doxa.evals.replay_items import said as in_words
from doxa.evals.scores import means, sample_metadata, task_metadata, task_version, to_inspect_score

_MESSAGES: Mapping[str, type[ChatMessageSystem | ChatMessageUser | ChatMessageAssistant]] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


@task
def replay(
    conversations: str = CONVERSATIONS,
    turn: int | None = None,
    rubric: str | None = None,
    phrases: str | None = None,
    max_tokens: int = MAX_TOKENS,
    temperature: float = TEMPERATURE,
    limit: int | None = None,
) -> Task:
    """Users' own logged conversations, the assistant's last turn written again.

    Args:
        conversations: Path of a file (.jsonl, .eval, .md) or folder; `examples` for the few that doxa ships.
        turn: Which of the assistant's turns, from 1; the last by default.
        rubric: A rubric for the judge: a shipped name or the path of a file.
        phrases: Path of a file of phrases.
        max_tokens: Length of the answers.
        temperature: Of sampling them.
        limit: At most so many conversations.

    Raises:
        PrerequisiteError: When an argument is wrong or something cannot be read; Inspect prints it as a line.
    """
    given: dict[str, Any] = {"conversations": conversations, "turn": turn, "rubric": rubric, "phrases": phrases}
    given |= {"max_tokens": max_tokens, "temperature": temperature}
    arguments = {name: value for name, value in given.items() if value is not None}
    with in_one_line():
        known_arguments(NAME, {} if limit is None else {"limit": limit}, {"limit": int})
        found = conversations_of(arguments)
        version = task_version(VERSION, ENTRY.content(arguments))
    if found.left_out:
        logging.getLogger(__name__).warning(
            "%s replays %d conversations and leaves out: %s", NAME, len(found.kept), in_words(found.left_out)
        )
    kept = {one.name: one for one in found.kept[:limit]}
    metadata = task_metadata(NAME, VERSION)
    metadata["doxa"]["left_out"] = dict(found.left_out)
    return Task(
        name="replay",
        version=version,
        dataset=MemoryDataset([_sample(one) for one in kept.values()]),
        solver=generate(),
        scorer=_score(kept, rubric, phrases),
        config=GenerateConfig(max_tokens=max_tokens, temperature=temperature),
        metadata=metadata,
    )


def _sample(one: Conversation) -> Sample:
    messages: list[ChatMessage] = [_MESSAGES[message.role](content=message.content) for message in one.before]
    return Sample(id=one.name, input=messages, target=one.said, metadata=sample_metadata(open_factors(one)))


@scorer(metrics=[means()], name="replay")
def _score(kept: Mapping[str, Conversation], rubric: str | None, phrases: str | None) -> Scorer:
    asked = rubric_of(rubric) if rubric else None
    looked_for = phrases_of(phrases) if phrases else None

    async def score(state: TaskState, target: Target) -> Score:
        one, answer = kept[str(state.sample_id)], state.output.completion
        tokens = state.output.usage.output_tokens if state.output.usage else None
        values = read_answer(answer, one, tokens=tokens, phrases=looked_for)
        said: dict[str, Any] = {}
        if asked is not None:
            material = {"conversation": _told(one), "answer": answer}
            verdicts = await judge(asked, material)
            values = (*values, read_verdict(*majority(verdicts), asked))
            said = judged("judged", asked, material, verdicts, worth_of(asked))
        return to_inspect_score(values, answer=answer, judged=said)

    return score


def _told(one: Conversation) -> str:
    return "\n\n".join(f"{message.role}: {message.content}" for message in one.before)

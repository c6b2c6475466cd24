"""Texts and verdicts of any Inspect model outside of an eval: for whoever makes a corpus."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig
from inspect_ai.model import Model as InspectModel

from doxa.bridge.inspect_models import inspect_model
from doxa.bridge.judges import ROLE, Verdict, judge
from doxa.bridge.place import as_role
from doxa.models.chat import Message
from doxa.models.sampling import Sampling
from doxa.words.rubrics import Rubric

AT_ONCE = 16
"""Requests that wait for their answer at the same time; a provider's own limit may be lower."""
_MESSAGES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
_FINISHED = ("stop", "tool_calls")

Asked = TypeVar("Asked")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Text:
    """What a model wrote; without a text `missing` says why."""

    text: str
    finished: bool
    missing: str = ""


def written(
    name: str,
    conversations: Sequence[Sequence[Message]],
    sampling: Sampling,
    progress: Callable[[int], None] | None = None,
) -> list[Text]:
    """Have a model answer conversations.

    Args:
        name: Inspect model string.
        conversations: What it reads.
        sampling: Temperature, nucleus and length; the seed is left out.
        progress: Told how many answers are there.

    Returns:
        A text for each; missing where the provider fails.

    Raises:
        StudyError: When there is no such model.
    """
    config = GenerateConfig(
        temperature=sampling.temperature,
        top_p=None if sampling.top_p == 1 else sampling.top_p,
        max_tokens=sampling.max_tokens,
    )
    model = inspect_model(name, "writer", config)

    async def one(conversation: Sequence[Message]) -> Text:
        try:
            output = await model.generate(
                [_MESSAGES[message.role](content=message.content) for message in conversation]
            )
        except Exception as error:  # whatever a provider raises: an address, a quota, a timeout
            return Text("", False, _failed(error))
        return Text(output.completion, output.stop_reason in _FINISHED)

    return asyncio.run(_all(one, conversations, progress))


def verdicts(rubric: Rubric, name: str, material: Sequence[Mapping[str, str]]) -> list[Verdict]:
    """Ask a judge about several texts, outside of an eval.

    Args:
        rubric: The question.
        name: Inspect model string of the judge.
        material: What it is shown of each.

    Raises:
        StudyError: When there is no such model.
    """
    model = inspect_model(name, "judge")

    async def one(shown: Mapping[str, str]) -> Verdict:
        return (await judge(rubric, shown))[0]

    async def all_of_them(model: InspectModel) -> list[Verdict]:
        as_role(ROLE, model)
        return await _all(one, material, None)

    return asyncio.run(all_of_them(model))


async def _all(
    ask: Callable[[Asked], Coroutine[Any, Any, Result]],
    about: Sequence[Asked],
    progress: Callable[[int], None] | None,
) -> list[Result]:
    gate, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(asked: Asked) -> Result:
        nonlocal done
        async with gate:
            found = await ask(asked)
        done += 1
        if progress is not None:
            progress(done)
        return found

    return list(await asyncio.gather(*map(one, about)))


def _failed(error: BaseException) -> str:
    if type(error).__name__ == "RetryError" and error.__cause__ is not None:
        error = error.__cause__  # what Inspect repeated in vain
    said = next(iter(str(error).strip().splitlines()), "")[:120]
    return f"the writer failed: {type(error).__name__}" + (f": {said}" if said else "")

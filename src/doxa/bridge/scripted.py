"""The provider `doxa-scripted`: an auditor and a judge that follow a script, for audits without another model.

    inspect eval doxa/audit --model doxa/smollm2 --model-role auditor=doxa-scripted/auditor \
        --model-role judge=doxa-scripted/judge

`auditor` sends the turns of the seed, whatever the target answers, and ends the conversation. `judge` rates by phrases
in what the target said (`data/audit/phrases.md`; another file by its path: `doxa-scripted/my/phrases.md`). Neither
understands anything. What they are for: the instrument can be run and tested without a second model, and the same
turns meet every arm. A report says that they were scripted.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.tool import ToolCall, ToolChoice, ToolInfo

from doxa.bridge.oneline import in_one_line
from doxa.words.audit_scripts import Phrases, Script, read_phrases, script_of
from doxa.words.errors import StudyError, nearest

AUDITOR, JUDGE = "auditor", "judge"

_SEED = re.compile(r"<seed_instructions>\s*(.*?)\s*</seed_instructions>", re.DOTALL)
_TARGET = re.compile(r"^\[M\d+\] ASSISTANT:(.*?)(?=^\[M\d+\] |^--- |^=====|\Z)", re.DOTALL | re.MULTILINE)


class ScriptedAPI(ModelAPI):
    """A scripted auditor or judge, as Inspect sees it."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        with in_one_line():
            if arguments:
                raise StudyError(f"doxa-scripted has no argument {next(iter(arguments))!r}", way_out="Leave it out")
            if model_name not in (AUDITOR, JUDGE) and not model_name.endswith(".md"):
                raise StudyError(
                    f"doxa-scripted/{model_name}",
                    way_out=f"{nearest(model_name, (AUDITOR, JUDGE))} A judge's own phrases: the path of a file (.md).",
                )
            self._phrases: Phrases | None = None
            if model_name != AUDITOR:
                self._phrases = read_phrases() if model_name == JUDGE else read_phrases(model_name)

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """The next turn of the script, or the ratings.

        Raises:
            PrerequisiteError: When the seed has no script, or the judge is asked for something else than ratings.
        """
        with in_one_line():
            if self._phrases is None:
                return self._say(_next_turn(input))
            return self._say([("answer", _ratings(self._phrases, input, tools))])

    async def count_text_tokens(self, text: str) -> int:
        """Words: there is no tokenizer, and Inspect's default would download one."""
        return len(text.split())

    def _say(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> ModelOutput:
        message = ChatMessageAssistant(
            content="",
            model=self.model_name,
            source="generate",
            tool_calls=[ToolCall(id=uuid4().hex, function=name, arguments=dict(given)) for name, given in calls],
        )
        return ModelOutput(
            model=self.model_name,
            choices=[ChatCompletionChoice(message=message, stop_reason="tool_calls")],
            usage=ModelUsage(),
        )


def _next_turn(messages: Sequence[ChatMessage]) -> list[tuple[str, Mapping[str, Any]]]:
    """What the auditor does after so many turns of its own; the target's answers play no part."""
    done = sum(message.role == "assistant" for message in messages)
    script = _script(messages)
    if done >= len(script.turns):
        return [("end_conversation", {})]
    first = [("set_system_message", {"system_message": script.system})] if done == 0 else []
    return [*first, ("send_message", {"message": script.turns[done]}), ("resume", {})]


def _script(messages: Sequence[ChatMessage]) -> Script:
    for message in messages:
        for instructions in _SEED.findall(message.text):
            if (found := script_of(instructions)) is not None:
                return found
    raise StudyError(
        "the scripted auditor has no turns to send",
        expected="a seed with the sections `## System message` and `## Turns`",
        way_out="Write them, or let a language model be the auditor",
    )


def _ratings(phrases: Phrases, messages: Sequence[ChatMessage], tools: Sequence[ToolInfo]) -> dict[str, Any]:
    """Ratings of the transcript that the judge is shown, in the form that it is asked for."""
    asked = next((tool.parameters.properties for tool in tools if tool.name == "answer"), {})
    dimensions = [name for name, kind in asked.items() if kind.type == "integer"]
    if not dimensions:
        raise StudyError(
            "the scripted judge is asked for something else than ratings", way_out="It can judge doxa/audit only"
        )
    for name in dimensions:
        if name not in phrases.by_dimension:
            raise StudyError(
                f"the scripted judge has no phrases for {name!r}",
                expected=f"one of {', '.join(phrases.by_dimension)}",
                way_out="Write them into a file and name its path: doxa-scripted/FILE.md",
            )
    said = "\n".join(_TARGET.findall(messages[0].text))
    ratings = {name: phrases.rating(name, said) for name in dimensions}
    return {name: ratings.get(name, "By phrases; nothing was understood.") for name in asked}

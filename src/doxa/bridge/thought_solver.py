"""The solver `doxa/thought`: edits of thinking on any provider that continues a message of the assistant's.

    inspect eval doxa/thinking --model vllm/... --solver doxa/thought -S edit=inject -S text=thoughts/tested

The model writes a turn; the edit is applied to it (`words/edits.py`); its beginning is sent back as a trailing message
of the assistant's, as text with the tags in it, and the model writes on. The turn that the eval goes on with is the
edited beginning and what follows it, with the receipt in `output.metadata`. `control=reprefill` and `control=neutral`
give the controls of the edit.

Here a run has a rollout of its own: no seed makes a distant model repeat itself, so there is no `k`, and an edit and
its controls act on different rollouts. doxa/ models do better with a `thought:` in their arm, and are refused.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from inspect_ai.model import ChatMessageAssistant, Model, ModelName, get_model
from inspect_ai.solver import Generate, Solver, TaskState

from doxa.bridge.conversation import blocks_of, content_of_blocks
from doxa.bridge.oneline import in_one_line
from doxa.words.edits import edited, needs_source, receipt_of
from doxa.words.errors import NotYetError, StudyError
from doxa.words.grammar import intervention_from_json
from doxa.words.interventions import Thought
from doxa.words.sources import edit_words
from doxa.words.store import content_hash
from doxa.words.transcripts import Block, Tags, Unmarked, format_called, marked, read_turn, write_turn

CONTINUES: Mapping[str, str] = {
    "vllm": "adds `continue_final_message`",
    "sglang": "adds `continue_final_message`",
    "sagemaker": "adds `continue_final_message`",
    "mockllm": "says what it is told to say",
}
"""Providers that continue a trailing message of the assistant's, and how Inspect has them do it (0.3.285)."""


def edited_thinking(
    *, edit: str, text: str | None = None, block: int | None = None, tags: str = "think", control: str | None = None
) -> Solver:
    """Make the solver.

    Args:
        edit: As of `Thought`.
        text: As of `Thought`; a file is looked for in the working directory first.
        block: As of `Thought`.
        tags: As of `Thought`.
        control: What is done instead: `reprefill`, `neutral`, or None.

    Raises:
        StudyError: When it is not understood.
        ProseError: When the file cannot be read.
    """
    body = {"edit": edit, "text": text, "block": block, "tags": tags, "control": control}
    thought = intervention_from_json({"thought": {key: one for key, one in body.items() if one is not None}}, "-S")
    assert isinstance(thought, Thought)
    words, format = edit_words(thought, Path(os.getcwd())), format_called(tags)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        with in_one_line():
            check_continues(get_model())
        conversation = list(state.messages)
        read: tuple[Block, ...] = ()
        if needs_source(thought):
            read = blocks_of((await get_model().generate(conversation)).message.content, format)
        blocks = marked(read, format) if isinstance(format, Tags) else read
        made = edited(blocks, thought, words, format)
        beginning = write_turn(made.blocks)
        begun = [ChatMessageAssistant(content=beginning)] if beginning else []
        output = await get_model().generate([*conversation, *begun])
        content = output.message.content
        written = content if isinstance(content, str) else write_turn(marked(blocks_of(content, Unmarked())))
        whole = read_turn(beginning + written, format)
        output.message.content = content_of_blocks([replace(one, details={}) for one in whole])
        source = {"hash": content_hash(write_turn(blocks))} if blocks else {}
        output.metadata = {**(output.metadata or {}), "doxa": {"thought": receipt_of(thought, made, source, beginning)}}
        output.completion = "".join(one.text for one in whole if one.kind == "text")
        state.output = output
        state.messages = [*conversation, output.message]
        return state

    return solve


def check_continues(model: Model) -> None:
    """Refuse a provider that does not continue a trailing message of the assistant's.

    Raises:
        StudyError: For a doxa/ model, whose arm does it.
        NotYetError: For a provider of which it is not known.
    """
    name = ModelName(model).api
    if name == "doxa":
        raise StudyError(
            "the solver doxa/thought is for other providers",
            expected="an arm with `thought: {edit: ...}`, which edits the same rollouts in every arm",
            way_out="Write it into the arm file: -M arm=FILE",
        )
    if name not in CONTINUES:
        raise NotYetError(
            f"{name} models begin a new turn after a message of the assistant's",
            expected=f"a provider that continues it: {', '.join(CONTINUES)}, or a doxa/ model",
            way_out="Serve the model with vLLM, or run it here",
        )

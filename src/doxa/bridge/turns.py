"""Writing one turn of an arm: what it says, or, where its thinking is edited, what it says after the edit.

An edit acts on a rollout of its source arm. That rollout is the source's own text of the same task, item and call, in
run 1 + (r - 1) // k: its random stream does not depend on the arm (law 9), so it is written again exactly, once for all
that wait for it together, and what was written is remembered. In a first turn it is what the source arm's log has; in
later turns of a conversation the arms have heard other answers, so it is what the source would say in this one. The
edited beginning is read again as text and continued from a stream that only edits use and all edits share: an edit and
its controls continue with the same draws.

`max_tokens` is for each text that is written: the rollout, and what follows the edit. An edit is of a whole turn: where
the conversation ends in words of the assistant, the turn has begun and nothing is edited.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from doxa.bridge.arms import PreparedArm, PreparedEdit, under
from doxa.bridge.queue import QUEUE
from doxa.models.chat import Message, Rendered, thinks_on
from doxa.models.engine import Generation, Row, Sampling, same_text
from doxa.models.handle import Model
from doxa.models.thinking import OPEN
from doxa.words.edits import edited, needs_source, receipt_of
from doxa.words.errors import NotYetError
from doxa.words.store import Json, content_hash
from doxa.words.transcripts import Tags, format_called, read_turn, write_turn

KEPT = 1024
"""Rollouts of source arms that a process remembers."""

Stream = Callable[[str, int], int]
"""The seed of a row: from what it is for, and its run."""


@dataclass(frozen=True)
class Asked:
    """What is asked of an arm.

    Attributes:
        conversation: What the turn answers, without the arm's own prompt.
        sampling: How tokens are drawn; each text has a seed of its own.
        logprobs: As of `Row`.
        render: Reads a conversation by the model's template, or says why it cannot.
        stream: The seed of a row.
        run: Repetition of the item, from 1.
    """

    conversation: tuple[Message, ...]
    sampling: Sampling
    logprobs: int
    render: Callable[[Sequence[Message]], Rendered]
    stream: Stream
    run: int


@dataclass(frozen=True)
class Turn:
    """What an arm says.

    Attributes:
        done: What was written last.
        begun: What stood before it in the same turn: the edit, or the tag with which the template opens a thought.
        inside: Whether that leaves a thought open.
        seed: From which it was written.
        thought: The receipt of the edit; None where nothing is edited.
    """

    done: Generation
    begun: str
    inside: bool
    seed: int
    thought: dict[str, Json] | None = None

    @property
    def text(self) -> str:
        """The whole turn."""
        return self.begun + self.done.text


async def written(model: Model, arm: PreparedArm, asked: Asked, *, kept: bool = False) -> Turn:
    """Have a turn written.

    Args:
        model: The model.
        arm: The arm; where it edits thinking, its source writes first.
        asked: What is asked of it.
        kept: Remember the text, because several edits may act on it.

    Raises:
        DoxaError: What the engine finds wrong, or that a beginning does not fit into the context.
    """
    if arm.edit is None or asked.conversation[-1].role == "assistant":
        return await _row(model, arm, asked, "row", asked.conversation, kept=kept)
    edit, thought = arm.edit, arm.edit.thought
    source, rollout = None, 1 + (asked.run - 1) // thought.k
    if needs_source(thought):
        assert edit.source is not None, "an edit of a rollout has a source"
        source = await written(model, edit.source, replace(asked, run=rollout), kept=True)
    text = "" if source is None else source.text
    format = format_called(thought.tags)
    made = edited(read_turn(text, format), thought, edit.words, format)
    beginning = write_turn(made.blocks)
    messages = [*asked.conversation, Message("assistant", beginning)] if beginning else asked.conversation
    turn = await _row(model, arm, asked, f"thought {edit.depth}", messages, kept=kept)
    begun = beginning or turn.begun
    receipt = receipt_of(thought, made, _whose(edit, source, rollout), beginning)
    return replace(turn, begun=begun, inside=False, thought=receipt)


def before_choice(arm: PreparedArm, conversation: Sequence[Message]) -> list[Message]:
    """A conversation with what an arm's edit puts before an answer that is scored, not written.

    A prefill of the turn's beginning is a finished thought before the answer. Other edits have nothing to act on: where
    nothing is written, nothing was thought.

    Args:
        arm: The arm.
        conversation: The item's messages; a last one of the assistant's is the beginning of its answer.

    Raises:
        NotYetError: When the edit acts on a rollout.
    """
    found = list(conversation)
    if arm.edit is None:
        return found
    if needs_source(arm.edit.thought):
        raise NotYetError(
            no_rollout(arm.edit),
            expected="a prefill without `block`, which can stand before an answer",
            way_out="Ask openly: the open part of a task is written, and its thinking can be edited",
        )
    format = format_called(arm.edit.thought.tags)
    made = edited((), arm.edit.thought, arm.edit.words, format)
    (block,) = made.blocks
    assert isinstance(format, Tags), "other formats are refused when an arm is prepared"
    thought = write_turn([replace(block, closing=format.closing)]) + "\n\n"
    answer = found.pop().content if found and found[-1].role == "assistant" else ""
    return [*found, Message("assistant", thought + answer)]


def no_rollout(edit: PreparedEdit) -> str:
    """Why a scored choice is missing under an edit."""
    return f"the edit `{edit.thought.edit}` acts on what was thought, and a choice is scored without thinking"


async def _row(
    model: Model, arm: PreparedArm, asked: Asked, kind: str, messages: Sequence[Message], *, kept: bool
) -> Turn:
    prompt = asked.render(under(arm.system_prompt, messages))
    seed = asked.stream(kind, asked.run)
    row = Row(prompt, replace(asked.sampling, seed=seed), arm.plans, asked.logprobs, low_rank=arm.low_rank)
    inside = thinks_on(prompt)
    begun = prompt.text[prompt.text.rindex(OPEN) :] if inside and messages[-1].role != "assistant" else ""
    key = (model.fingerprint, str(model.dtype), str(model.device), same_text(row)) if kept else None
    done = None if key is None else _ROLLOUTS.get(key)
    if done is None:
        done = await QUEUE.ask(model, row)
        if key is not None:
            _ROLLOUTS[key] = done
            while len(_ROLLOUTS) > KEPT:
                _ROLLOUTS.popitem(last=False)
    return Turn(done, begun, inside, seed)


_ROLLOUTS: OrderedDict[object, Generation] = OrderedDict()


def _whose(edit: PreparedEdit, source: Turn | None, rollout: int) -> dict[str, Json]:
    """Which run of which arm was edited, with the hash of its text."""
    if source is None or edit.source is None:
        return {}
    return {
        "arm": edit.source.name,
        "rollout": rollout,
        "hash": content_hash(source.text),
        "tokens": len(source.done.tokens),
        "stop": source.done.stop,
        "thought": source.thought,
    }

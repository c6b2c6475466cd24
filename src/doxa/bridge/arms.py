"""From an arm file to what the engine takes: a system prompt, steering plans and an adapter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from doxa.models.chat import Message
from doxa.models.handle import Model
from doxa.models.low_rank import CHECKPOINTS, LowRank, read_low_rank
from doxa.models.steering import SteeringPlan
from doxa.vectors.dose import steering_plan
from doxa.vectors.library import as_made, derived, made_vector, original
from doxa.vectors.vector import Vector
from doxa.words.arms import ADAPTER_PIN, Arm, Pin, prompt_pin, read_arm, source_pin, vector_pins, words_pin
from doxa.words.beliefs import read_belief
from doxa.words.edits import needs_source
from doxa.words.errors import NotYetError, StudyError, TrainingError
from doxa.words.interventions import Prompt, Steer, Thought, Tune, VectorReference
from doxa.words.sources import edit_words, source_of, thought_of, words_from_text
from doxa.words.transcripts import Tags, format_called
from doxa.words.wordings import Words


@dataclass(frozen=True, eq=False)
class PreparedArm:
    """An arm as the engine takes it.

    Attributes:
        system_prompt: Stands before the conversation's own system prompt; None without one.
        plans: What is added to the residual stream of every row.
        digest: Hash of the arm and of what its names stand for.
        name: The arm's name.
        of: The arm that it is a control of, or "".
        control: Its control family, or "".
        edit: What is done to its thinking, or None.
        low_rank: The adapter of every row, or None.
    """

    system_prompt: str | None
    plans: tuple[SteeringPlan, ...]
    digest: str
    name: str
    of: str = ""
    control: str = ""
    edit: "PreparedEdit | None" = None
    low_rank: LowRank | None = None


@dataclass(frozen=True, eq=False)
class PreparedEdit:
    """An edit of the chain of thought as the provider takes it.

    Attributes:
        thought: The edit.
        words: What it takes away and writes.
        source: The arm whose rollouts it acts on; None where it needs none.
        depth: Edits that are made one after the other, this one and those of its source: each writes on from a random
            stream of its own.
    """

    thought: Thought
    words: Words
    source: PreparedArm | None
    depth: int


BASELINE = PreparedArm(system_prompt=None, plans=(), digest="", name="baseline")
"""The model as it is."""


def prepare(model: Model, path: Path) -> PreparedArm:
    """Prepare the arm of an arm file: pinned by a plan, or written by hand with names.

    Args:
        model: The model it will act on.
        path: The arm file; paths in it are relative to its folder.

    Raises:
        StudyError: When it is missing, not understood, or made for another model.
        UserError: When a name in it leads nowhere, or a vector does not fit the model.
    """
    arm = read_arm(path)
    if arm.model not in ("", model.name):
        raise StudyError(
            f"the arm {arm.name!r} in {path} was made for the model {arm.model!r}, and this is {model.name!r}",
            way_out=f"Use doxa/{arm.model}, or take `model` (and `digest` and `pins`) out of the file",
        )
    return prepare_arm(model, arm, path.parent)


def prepare_arm(
    model: Model,
    arm: Arm,
    folder: Path,
    progress: Callable[[int], None] | None = None,
    *,
    arms: Sequence[Arm] = (),
    seen: tuple[Path, ...] = (),
) -> PreparedArm:
    """Prepare an arm.

    A name that a plan has pinned is taken from its pin; any other is looked up as a study would look it up, and a
    vector that has to be extracted is kept in the cache. A vector of a tuned arm is taken from the model as it is
    tuned, unless it says `from: base`.

    Args:
        model: The model it will act on.
        arm: The arm.
        folder: What the paths in it are relative to.
        progress: Told how many texts were read, while a vector is extracted.
        arms: Where the source of an edit is looked for by name; without any, an arm file names files.
        seen: Arm files whose edits led here.

    Raises:
        NotYetError: When it is tuned, and servers run the model.
        StudyError: When the source of its edit is not found, or its adapter is yet to be trained.
        TrainingError: When its adapter cannot be used on the model.
        UserError: When a name in it leads nowhere, or a vector does not fit the model.
    """
    pins = dict(arm.pins)
    prompts: list[str] = []
    plans: list[SteeringPlan] = []
    thought = thought_of(arm)
    low_rank = _adapter(model, arm, folder, pins)
    for one in arm.interventions:
        if isinstance(one, Prompt):
            prompts.append(_prompt(one.text, folder, pins))
        elif isinstance(one, Steer):

            def find(name: str, reference: VectorReference = one.vector) -> Vector:
                key = vector_pins(reference)[name]
                pin = pins.get(key)
                if pin is not None and pin.folder is not None:
                    return made_vector(pin, folder)
                base = reference.base
                vector = original(name, model, base=base, folder=folder, progress=progress, low_rank=low_rank)
                pins.setdefault(key, Pin(vector.digest))
                return vector

            pin = pins.get(vector_pins(one.vector)[one.vector.name])
            made = pin is not None and pin.folder is not None
            reference = as_made(one.vector, find) if made else one.vector
            plans.append(steering_plan(one, derived(reference, model, find, folder, low_rank=low_rank)))
    edit = None if thought is None else _edit(model, arm, thought, folder, pins, arms, seen)
    return PreparedArm(
        system_prompt="\n\n".join(prompts) or None,
        plans=tuple(plans),
        digest=replace(arm, pins=pins).digest,
        name=arm.name,
        of=arm.of,
        control=arm.control,
        edit=edit,
        low_rank=low_rank,
    )


def under(system_prompt: str | None, conversation: Sequence[Message]) -> list[Message]:
    """A conversation as an arm's model reads it.

    Assistant messages that follow each other are one turn that was prefilled and continued, so they are joined as they
    are. A last message of the assistant's is a prefill.

    Args:
        system_prompt: Stands before the conversation's own system prompt, in the same message; None without one.
        conversation: The messages.
    """
    found: list[Message] = []
    for message in conversation:
        if found and found[-1].role == message.role == "assistant":
            message = Message("assistant", found.pop().content + message.content)
        found.append(message)
    if system_prompt is not None:
        if found and found[0].role == "system":
            found[0] = Message("system", f"{system_prompt}\n\n{found[0].content}")
        else:
            found.insert(0, Message("system", system_prompt))
    return found


def _adapter(model: Model, arm: Arm, folder: Path, pins: dict[str, Pin]) -> LowRank | None:
    """The adapter of an arm: what its pin says was trained, or what its only tune names."""
    tunes = [one for one in arm.interventions if isinstance(one, Tune)]
    if not tunes:
        return None
    if model.servers:
        raise NotYetError(
            f"the arm {arm.name!r} has an adapter, and servers run {model.name}",
            expected="a model that is run here",
            way_out="Leave `vllm/` out of the model's name, or merge the adapter into a model and serve that",
        )
    pin = pins.get(ADAPTER_PIN)
    if pin is not None and pin.folder is not None:
        found = read_low_rank(folder / pin.folder, model)
        if pin.made is not None and found.digest != pin.made:
            raise TrainingError(
                f"{folder / pin.folder} holds another adapter ({found.digest[:12]}) than the one that was made",
                expected=f"the adapter {pin.made[:12]}",
                way_out="Remove that folder and run the study again: it is trained anew",
            )
        return found
    (last, *more) = reversed(tunes)
    if more or last.adapter is None:
        raise StudyError(
            f"the adapter of the arm {arm.name!r} is yet to be trained",
            expected="one adapter that is there",
            way_out="Run the study, or name the folder of an adapter: {tune: FOLDER}",
        )
    place = folder / Path(last.adapter).expanduser()
    found = read_low_rank(place if last.checkpoint is None else place / CHECKPOINTS / f"step-{last.checkpoint}", model)
    pins[ADAPTER_PIN] = Pin(found.digest)
    return found


def _edit(
    model: Model,
    arm: Arm,
    thought: Thought,
    folder: Path,
    pins: dict[str, Pin],
    arms: Sequence[Arm],
    seen: tuple[Path, ...],
) -> PreparedEdit:
    if not isinstance(format_called(thought.tags), Tags):
        raise NotYetError(
            f"the arm {arm.name!r} edits thinking in {thought.tags} channels",
            expected="tags: doxa/ models write plain text, without control tokens",
            way_out="Leave `tags` out, or name a tag",
        )
    pin = pins.get(words_pin(thought))
    if pin is not None and pin.text is not None:
        words = words_from_text(pin.text)
    else:
        words = edit_words(thought, folder)
        pins[words_pin(thought)] = Pin(words.hash)
    source = None
    if needs_source(thought):
        source = _source(model, arm, thought, folder, pins, arms, seen)
    depth = 1 + (0 if source is None or source.edit is None else source.edit.depth)
    return PreparedEdit(thought, words, source, depth)


def _source(
    model: Model,
    arm: Arm,
    thought: Thought,
    folder: Path,
    pins: dict[str, Pin],
    arms: Sequence[Arm],
    seen: tuple[Path, ...],
) -> PreparedArm:
    pin = pins.get(source_pin(thought))
    if pin is not None and pin.text is not None:
        found = read_arm(folder / pin.text)
        if found.digest != pin.hash:
            raise StudyError(
                f"{folder / pin.text} is not the arm that {arm.name!r} was pinned to",
                way_out="Run the study again, which writes both; or delete `pins` and `digest` from the arm file",
            )
        return prepare_arm(model, found, folder, arms=arms)
    if arms:
        named = source_of(arm, arms)
        assert named is not None, "an edit that needs a source has one in its study"
        found = named
    elif thought.source == BASELINE.name:
        return BASELINE
    elif thought.source.endswith(".json"):
        path = (folder / thought.source).resolve()
        if path in seen:
            raise StudyError(
                f"the arm files {', '.join(one.name for one in seen)} edit each other's thinking",
                way_out="Let one of them have `source: baseline`",
            )
        found, folder, seen = read_arm(path), path.parent, (*seen, path)
    else:
        raise StudyError(
            f"the arm {arm.name!r} edits the thinking of {thought.source!r}, and an arm file knows no other arms",
            expected="`baseline`, or the path of another arm file (it ends in .json)",
            way_out="Write `source: baseline`",
        )
    prepared = prepare_arm(model, found, folder, arms=arms, seen=seen)
    pins[source_pin(thought)] = Pin(prepared.digest)
    return prepared


def _prompt(name: str, folder: Path, pins: dict[str, Pin]) -> str:
    pin = pins.get(prompt_pin(name))
    if pin is not None and pin.text is not None:
        return pin.text
    belief = read_belief(name, folder)
    pins[prompt_pin(name)] = Pin(belief.hash)
    return belief.text

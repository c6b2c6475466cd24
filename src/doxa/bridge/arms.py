"""From an arm file to what the engine takes: a system prompt and steering plans."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from doxa.models.chat import Message
from doxa.models.handle import Model
from doxa.models.steering import SteeringPlan
from doxa.vectors.dose import steering_plan
from doxa.vectors.library import as_made, derived, made_vector, original
from doxa.vectors.vector import Vector
from doxa.words.arms import Arm, Pin, prompt_pin, read_arm, vector_pins
from doxa.words.beliefs import read_belief
from doxa.words.errors import NotYetError, StudyError
from doxa.words.interventions import Prompt, Steer, VectorReference


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
    """

    system_prompt: str | None
    plans: tuple[SteeringPlan, ...]
    digest: str
    name: str
    of: str = ""
    control: str = ""


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


def prepare_arm(model: Model, arm: Arm, folder: Path, progress: Callable[[int], None] | None = None) -> PreparedArm:
    """Prepare an arm.

    A name that a plan has pinned is taken from its pin; any other is looked up as a study would look it up, and a
    vector that has to be extracted is kept in the cache.

    Args:
        model: The model it will act on.
        arm: The arm.
        folder: What the paths in it are relative to.
        progress: Told how many texts were read, while a vector is extracted.

    Raises:
        NotYetError: When it edits thoughts or is tuned.
        UserError: When a name in it leads nowhere, or a vector does not fit the model.
    """
    pins = dict(arm.pins)
    prompts: list[str] = []
    plans: list[SteeringPlan] = []
    for one in arm.interventions:
        if isinstance(one, Prompt):
            prompts.append(_prompt(one.text, folder, pins))
        elif isinstance(one, Steer):

            def find(name: str, reference: VectorReference = one.vector) -> Vector:
                key = vector_pins(reference)[name]
                pin = pins.get(key)
                if pin is not None and pin.folder is not None:
                    return made_vector(pin, folder)
                vector = original(name, model, base=reference.base, folder=folder, progress=progress)
                pins.setdefault(key, Pin(vector.digest))
                return vector

            pin = pins.get(vector_pins(one.vector)[one.vector.name])
            made = pin is not None and pin.folder is not None
            reference = as_made(one.vector, find) if made else one.vector
            plans.append(steering_plan(one, derived(reference, model, find, folder)))
        else:
            raise NotYetError(
                f"the arm {arm.name!r} has a {type(one).__name__.lower()}",
                expected="prompt and steer",
                way_out="This version cannot do it; leave it out",
            )
    return PreparedArm(
        system_prompt="\n\n".join(prompts) or None,
        plans=tuple(plans),
        digest=replace(arm, pins=pins).digest,
        name=arm.name,
        of=arm.of,
        control=arm.control,
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


def _prompt(name: str, folder: Path, pins: dict[str, Pin]) -> str:
    pin = pins.get(prompt_pin(name))
    if pin is not None and pin.text is not None:
        return pin.text
    belief = read_belief(name, folder)
    pins[prompt_pin(name)] = Pin(belief.hash)
    return belief.text

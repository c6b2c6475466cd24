"""Where in an eval a request comes from, and who has which role: the only file that uses Inspect's private state.

Inspect gives a provider the messages and the settings, not the sample, the epoch or the use of its cache, and without
these a seed cannot differ between epochs and be the same in every arm. Should a later Inspect move them, requests are
told apart by their order alone, and a warning says so.
"""

import logging
from dataclasses import dataclass

from inspect_ai.log import transcript
from inspect_ai.model import Model, ModelOutput, model_roles

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """The sample and epoch in which a request is made.

    Attributes:
        task: Name of the task; "" outside an eval.
        item: Id of the sample; "" outside an eval.
        run: Epoch, from 1.
        owner: Lives as long as this attempt at the sample; None outside an eval.
    """

    task: str = ""
    item: str = ""
    run: int = 1
    owner: object | None = None


def place() -> Place:
    """Where the request that is being handled comes from."""
    try:
        from inspect_ai.log._samples import sample_active
    except ImportError:
        LOGGER.warning("This version of Inspect hides samples from providers: seeds follow the order of requests.")
        return Place()
    sample = sample_active()
    if sample is None:
        return Place()
    return Place(sample.task, str(sample.sample.id), sample.epoch, sample)


def cached() -> bool:
    """Whether Inspect will keep the answer to the request that is being handled in its cache."""
    try:
        from inspect_ai.log._samples import _active_model_event
    except ImportError:
        return False
    event = _active_model_event.get()
    return event is not None and event.cache is not None


def as_role(role: str, model: Model) -> None:
    """Give a model a role within the sample that is being run: in this task and those that it starts."""
    from inspect_ai.model._model import init_model_roles

    init_model_roles({**model_roles(), role: model})


def last_output(output: ModelOutput) -> ModelOutput:
    """The whole output, usage and metadata, of which only the message was kept; as it is when there is none."""
    message = output.choices[0].message.id if output.choices else None
    for event in reversed(transcript().events):
        if event.event == "model" and event.output.choices and event.output.choices[0].message.id == message:
            return event.output
    return output

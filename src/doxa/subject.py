"""The model of a study: computed here, or served elsewhere by one of Inspect's providers.

    smollm2   FOLDER   FILE.gguf   ORGANISATION/ID   hf/ORGANISATION/ID   vllm/NAME      computed here
    openai/...   anthropic/...   openai-api/...   mockllm/model   any of Inspect's       served elsewhere

A name that begins with the name of a provider is that provider's; `hf/` before the id of a model on the hub says that
it is meant where an organisation is called as a provider is.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from doxa.bridge.inspect_models import inspect_model, is_provider, reasoning_settings
from doxa.models.handle import Model, load_beside
from doxa.models.reasoning import with_reasoning
from doxa.words.arms import Arm, Pin, prompt_pin
from doxa.words.beliefs import read_belief
from doxa.words.errors import StudyError
from doxa.words.interventions import Prompt
from doxa.words.study import ModelChoice, Study

HERE = ("hf", "vllm")
"""Providers of Inspect's whose models are computed by doxa's own engine."""
HUB = "hf/"


@dataclass(frozen=True)
class Distant:
    """A model that is served elsewhere: what can be known of it is its name.

    Attributes:
        name: As results call it.
        fingerprint: "": its weights are not known, and its provider may change them.
    """

    name: str
    fingerprint: str = ""


Subject = Model | Distant


def is_distant(choice: ModelChoice, folder: Path | None) -> bool:
    """Whether a model is served elsewhere.

    Args:
        choice: The model.
        folder: Where the study stands: a path is looked for beside it first.
    """
    provider, slash, _ = choice.name.partition("/")
    there = os.path.exists((folder or Path()) / os.path.expanduser(choice.name))
    return bool(slash) and not there and provider not in HERE and is_provider(provider)


def subject_of(study: Study) -> Subject:
    """The model of a study, ready to be asked.

    Raises:
        StudyError: When its provider is unknown or not installed, or has no key; when a setting is not for it.
        ModelError: When it cannot be loaded.
        EnvironmentFault: When something cannot be fetched.
    """
    (choice,) = study.models
    if not is_distant(choice, study.folder):
        return load_model(study)
    if (choice.dtype, choice.device) != (ModelChoice(choice.name).dtype, ModelChoice(choice.name).device):
        raise StudyError(
            f"model {choice.name} is served elsewhere, and is given a dtype or a device",
            expected="{name: ..., reasoning: ...}",
            way_out="Leave them out: its provider decides",
        )
    reasoning_settings(choice.name, choice.reasoning)
    inspect_model(choice.name, "model")
    return Distant(choice.label)


def load_model(study: Study) -> Model:
    """The model of a study that is computed here; a path is looked for beside the study first.

    Raises:
        StudyError: When it is served elsewhere.
        ModelError: When it cannot be loaded, or has no switch for its reasoning.
        EnvironmentFault: When something cannot be fetched.
    """
    choice = study.models[0]
    if is_distant(choice, study.folder):
        raise StudyError(
            f"model {choice.name} is served elsewhere, and this needs its weights",
            expected="a model that is computed here",
            way_out=f"Name one; a model of that name on the hub is {HUB}{choice.name}",
        )
    found = load_beside(choice.name.removeprefix(HUB), study.folder, dtype=choice.dtype, device=choice.device)
    found = found if found.name == choice.name else replace(found, name=choice.name)
    return with_reasoning(found, choice.reasoning, choice.label) if choice.reasoning else found


def pin_texts(arms: Sequence[Arm], model: Distant, folder: Path | None) -> tuple[Arm, ...]:
    """Pin the prompts of arms that have nothing else.

    Raises:
        ProseError: When a belief cannot be found or read.
    """
    pinned = []
    for arm in arms:
        texts = [one.text for one in arm.interventions if isinstance(one, Prompt)]
        beliefs = {prompt_pin(text): read_belief(text, folder) for text in texts}
        pins = {key: Pin(one.hash, text=one.text) for key, one in beliefs.items()}
        pinned.append(replace(arm, model=model.name, pins=pins))
    return tuple(pinned)

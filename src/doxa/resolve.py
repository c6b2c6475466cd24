"""Names become artifacts with content hashes, pinned when the plan is made (law 1).

`pin` makes nothing: it hashes the texts and pairs that arms name. `materialise` makes the vectors and puts them, with
one file per arm, into the results folder, which then holds all that it was made from.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from doxa.models.handle import Model
from doxa.models.low_rank import LowRank, read_low_rank
from doxa.vectors.library import as_made, derived, find_vector, made_vector, original, vector_key
from doxa.vectors.vector import Vector, load, save
from doxa.words.arms import ADAPTER_PIN, Arm, Pin, prompt_pin, source_pin, vector_pins, words_pin, write_arm
from doxa.words.beliefs import read_belief
from doxa.words.errors import ModelError
from doxa.words.interventions import Prompt, Steer, Thought
from doxa.words.sources import edit_words, source_of, words_to_text


def find_names(arms: Sequence[Arm], *, folder: Path | None) -> None:
    """Find what arms name, without a model.

    Raises:
        ProseError: When a belief, pairs or wordings file cannot be read or found.
        StudyError: When an edit acts on an arm that is not there, or on itself.
    """
    for one in dict.fromkeys(intervention for arm in arms for intervention in arm.interventions):
        if isinstance(one, Prompt):
            read_belief(one.text, folder)
        elif isinstance(one, Steer):
            for name in vector_pins(one.vector):
                find_vector(name, folder)
        elif isinstance(one, Thought):
            edit_words(one, folder)
    for arm in arms:
        source_of(arm, arms)


def pin(arms: Sequence[Arm], model: Model, *, folder: Path | None) -> tuple[Arm, ...]:
    """Pin every name in every arm to the hash of what it names.

    Args:
        arms: Arms as a study declares or makes them.
        model: The model; its name is written into each arm, and a vector's hash covers its fingerprint.
        folder: The study's folder, where files are looked for first.

    Raises:
        ProseError: When a belief, pairs or wordings file cannot be read or found.
        StudyError: When an edit acts on an arm that is not there, or on itself.
        ModelError: When a prompt does not fit into the model's context.
        VectorError: When a vector cannot be found or is another model's, or a layer lies outside the model.
    """
    known: dict[str, Pin] = {}
    pinned: dict[str, Arm] = {}

    def pinned_one(arm: Arm) -> Arm:
        if arm.name in pinned:
            return pinned[arm.name]
        pins: dict[str, Pin] = {}
        for intervention in arm.interventions:
            if isinstance(intervention, Prompt):
                key = prompt_pin(intervention.text)
                if key not in known:
                    belief = read_belief(intervention.text, folder)
                    _check_length(arm, belief.text, model)
                    known[key] = Pin(belief.hash, text=belief.text)
                pins[key] = known[key]
            elif isinstance(intervention, Steer):
                intervention.layers.of(model.n_layers)
                for name, key in vector_pins(intervention.vector).items():
                    if key not in known:
                        base = intervention.vector.base
                        known[key] = Pin(vector_key(name, model, base=base, folder=folder))
                    pins[key] = known[key]
            elif isinstance(intervention, Thought):
                words = edit_words(intervention, folder)
                pins[words_pin(intervention)] = Pin(words.hash, text=words_to_text(words))
                source = source_of(arm, arms)
                if source is not None and source in arms:  # otherwise it is the model as it is
                    held = pinned_one(source)
                    pins[source_pin(intervention)] = Pin(held.digest, text=arm_file_name(held))
        pinned[arm.name] = replace(arm, model=model.name, pins=pins)
        return pinned[arm.name]

    return tuple(pinned_one(arm) for arm in arms)


def _check_length(arm: Arm, text: str, model: Model) -> None:
    length = len(model.tokenizer.encode(text, add_special_tokens=False))
    if length >= model.context_length:
        raise ModelError(
            f"the prompt of the arm {arm.name!r} has {length:,} tokens",
            expected=f"fewer than {model.context_length:,}, the context of {model.name}",
            way_out="Shorten it, or use a model with a longer context",
        )


def materialise(
    arms: Sequence[Arm],
    model: Model,
    *,
    results: Path,
    folder: Path | None,
    progress: Callable[[str], None] | None = None,
) -> tuple[Arm, ...]:
    """Make what the arms' pins name and write one file per arm.

    Args:
        arms: Pinned arms.
        model: The model the vectors are taken from.
        results: The results folder: vectors go to `vectors/<hash>/`, arm files to `arms/`.
        folder: The study's folder.
        progress: Called with the name of each vector that is there.

    Returns:
        The arms with the folder of every vector, relative to the arm file, and its digest in their pins.

    Raises:
        VectorError: When a vector cannot be made for this model.
        EnvironmentFault: When the disk is full, or a vector in the results folder is damaged.
    """
    found: dict[str, Pin] = {}
    for arm in arms:
        for one in (each for each in arm.interventions if isinstance(each, Steer)):
            for name, key in vector_pins(one.vector).items():
                if key in found:
                    continue
                kept = results / "vectors" / arm.pins[key].hash[:16]
                if not kept.is_dir():
                    save(original(name, model, base=one.vector.base, folder=folder), kept)
                place = os.path.join("..", "vectors", kept.name)
                found[key] = replace(arm.pins[key], folder=place, made=load(kept).digest)
                if progress is not None:
                    progress(name)
    made = tuple(replace(arm, pins={key: found.get(key, one) for key, one in arm.pins.items()}) for arm in arms)
    for arm in made:
        write_arm(arm_path(results, arm), arm)
    return made


def _low_rank(arm: Arm, model: Model, results: Path) -> LowRank | None:
    """The adapter of an arm whose adapter was made."""
    pin = arm.pins.get(ADAPTER_PIN)
    return None if pin is None else read_low_rank(results / "arms" / (pin.folder or ""), model)


def arm_path(results: Path, arm: Arm) -> Path:
    """Where the file of an arm stands in a results folder."""
    return results / "arms" / arm_file_name(arm)


def arm_file_name(arm: Arm) -> str:
    """What the file of an arm is called."""
    return f"{arm.label}.json"


def vector_of(model: Model, arm: Arm, steer: Steer, *, results: Path) -> Vector:
    """The vector of a steered arm whose vectors were materialised: its twin or rescaled, as its reference says."""
    keys = vector_pins(steer.vector)

    def find(name: str) -> Vector:
        return made_vector(arm.pins[keys[name]], results / "arms")

    return derived(as_made(steer.vector, find), model, find, low_rank=_low_rank(arm, model, results))


def made_from(arms: Sequence[Arm]) -> Mapping[str, str]:
    """What a plan was made from: each pinned name and its hash."""
    return {name: one.hash for arm in arms for name, one in sorted(arm.pins.items())}

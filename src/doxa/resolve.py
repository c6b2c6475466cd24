"""Names become artifacts with content hashes, pinned when the plan is made (law 1).

`pin` makes nothing but the corpora of recipes: it hashes the texts, pairs and rows that arms name. `materialise` trains
the adapters, makes the vectors and puts them, with one file per arm, into the results folder, which then holds all that
it was made from.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from doxa.adapters import Stages, adapter_hash, find_corpora, made_adapters
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank, read_low_rank
from doxa.vectors.library import as_made, derived, find_vector, made_vector, original, vector_key
from doxa.vectors.vector import Vector, load, save
from doxa.words.arms import ADAPTER_PIN, Arm, Pin, prompt_pin, source_pin, vector_pins, words_pin, write_arm
from doxa.words.beliefs import read_belief
from doxa.words.errors import ModelError
from doxa.words.interventions import Prompt, Steer, Thought
from doxa.words.sources import edit_words, source_of, words_to_text
from doxa.words.stages import tunes_of

ARMS = "arms"
"""The folder of the arms' files in a results folder."""


def find_names(arms: Sequence[Arm], *, folder: Path | None) -> None:
    """Find what arms name, without a model.

    Raises:
        ProseError: When a belief, pairs or wordings file cannot be read or found.
        StudyError: When an edit acts on an arm that is not there, or on itself; when an adapter is not there, or tunes
            do not make one adapter.
        TrainingError: When a corpus cannot be read or found.
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
        find_corpora(arm, folder)
        source_of(arm, arms)


def pin(
    arms: Sequence[Arm], model: Model, *, folder: Path | None, seed: int = 0, stages: Stages | None = None
) -> tuple[Arm, ...]:
    """Pin every name in every arm to the hash of what it names.

    Args:
        arms: Arms as a study declares or makes them, one that is trained under every training seed.
        model: The model; its name is written into each arm, and a vector's and an adapter's hash cover its fingerprint.
        folder: The study's folder, where files are looked for first.
        seed: The study's seed.
        stages: What is trained on, as far as it was read; what is read is added.

    Raises:
        ProseError: When a belief, pairs or wordings file cannot be read or found.
        StudyError: When an edit acts on an arm that is not there, or on itself.
        ModelError: When a prompt does not fit into the model's context, or an adapter is another model's.
        TrainingError: When a corpus cannot be read, or not trained on.
        VectorError: When a vector cannot be found or is another model's, or a layer lies outside the model.
    """
    known: dict[tuple[str, str], Pin] = {}
    pinned: dict[str, Arm] = {}
    read: Stages = {} if stages is None else stages

    def pinned_one(arm: Arm) -> Arm:
        if arm.key in pinned:
            return pinned[arm.key]
        pins: dict[str, Pin] = {}
        if tunes_of(arm):
            pins[ADAPTER_PIN] = Pin(adapter_hash(arm, model, folder=folder, seed=seed, known=read))
        for intervention in arm.interventions:
            if isinstance(intervention, Prompt):
                key = prompt_pin(intervention.text)
                if (key, "") not in known:
                    belief = read_belief(intervention.text, folder)
                    _check_length(arm, belief.text, model)
                    known[key, ""] = Pin(belief.hash, text=belief.text)
                pins[key] = known[key, ""]
            elif isinstance(intervention, Steer):
                intervention.layers.of(model.n_layers)
                adapter = pins[ADAPTER_PIN].hash if ADAPTER_PIN in pins and intervention.vector.base is None else ""
                for name, key in vector_pins(intervention.vector).items():
                    if (key, adapter) not in known:
                        base = intervention.vector.base
                        known[key, adapter] = Pin(vector_key(name, model, base=base, folder=folder, adapter=adapter))
                    pins[key] = known[key, adapter]
            elif isinstance(intervention, Thought):
                words = edit_words(intervention, folder)
                pins[words_pin(intervention)] = Pin(words.hash, text=words_to_text(words))
                source = source_of(arm, [one for one in arms if one.seed in (None, arm.seed)])
                if source is not None and source in arms:  # otherwise it is the model as it is
                    held = pinned_one(source)
                    pins[source_pin(intervention)] = Pin(held.digest, text=arm_file_name(held))
        pinned[arm.key] = replace(arm, model=model.name, pins=pins)
        return pinned[arm.key]

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
    """Make the vectors that the arms' pins name and write one file per arm.

    Args:
        arms: Pinned arms; of tuned ones the adapter is there (`with_adapters`).
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
    made = []
    for arm in arms:
        pins = dict(arm.pins)
        for one in (each for each in arm.interventions if isinstance(each, Steer)):
            for name, key in vector_pins(one.vector).items():
                pin = arm.pins[key]
                if pin.hash not in found:
                    kept = results / "vectors" / pin.hash[:16]
                    if not kept.is_dir():
                        low_rank = adapter_of(model, arm, results=results)
                        save(original(name, model, base=one.vector.base, folder=folder, low_rank=low_rank), kept)
                    place = os.path.join("..", "vectors", kept.name)
                    found[pin.hash] = replace(pin, folder=place, made=load(kept).digest)
                    if progress is not None:
                        progress(name)
                pins[key] = found[pin.hash]
        made.append(replace(arm, pins=pins))
        write_arm(arm_path(results, made[-1]), made[-1])
    return tuple(made)


def with_adapters(
    arms: Sequence[Arm],
    model: Model,
    *,
    results: Path,
    folder: Path | None,
    seed: int = 0,
    stages: Stages | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Arm, ...]:
    """Train the adapters that the arms' pins name, where they are not there, and put them into the results folder.

    Args:
        arms: Pinned arms.
        model: The base model.
        results: The results folder: adapters go to `adapters/<hash>/`.
        folder: The study's folder.
        seed: The study's seed.
        stages: What is trained on, as far as it was read.
        progress: Told how many steps of training have been made.

    Returns:
        The arms with the folder of every adapter, relative to the arm file, and its digest in their pins.

    Raises:
        TrainingError: When training cannot go on.
        EnvironmentFault: When the disk is full, or an adapter in the results folder is damaged.
    """
    read: Stages = {} if stages is None else stages
    made = made_adapters(arms, model, folder=folder, seed=seed, results=results, known=read, progress=progress)

    def pins(arm: Arm) -> Mapping[str, Pin]:
        return {key: made[pin.hash] if key == ADAPTER_PIN else pin for key, pin in arm.pins.items()}

    return tuple(replace(arm, pins=pins(arm)) for arm in arms)


def adapter_of(model: Model, arm: Arm, *, results: Path) -> LowRank | None:
    """The adapter of an arm whose adapter was made; None where it has none."""
    pin = arm.pins.get(ADAPTER_PIN)
    return None if pin is None else read_low_rank(results / ARMS / (pin.folder or ""), model)


def arm_path(results: Path, arm: Arm) -> Path:
    """Where the file of an arm stands in a results folder."""
    return results / ARMS / arm_file_name(arm)


def arm_file_name(arm: Arm) -> str:
    """What the file of an arm is called."""
    return f"{arm.label}.json"


def vector_of(model: Model, arm: Arm, steer: Steer, *, results: Path) -> Vector:
    """The vector of a steered arm whose vectors were materialised: its twin or rescaled, as its reference says."""
    keys = vector_pins(steer.vector)

    def find(name: str) -> Vector:
        return made_vector(arm.pins[keys[name]], results / ARMS)

    return derived(as_made(steer.vector, find), model, find, low_rank=adapter_of(model, arm, results=results))


def made_from(arms: Sequence[Arm]) -> Mapping[str, str]:
    """What a plan was made from: each pinned name and its hash."""
    found: dict[str, str] = {}
    for arm in arms:
        of_adapter = {ADAPTER_PIN} if ADAPTER_PIN in arm.pins else set()
        if of_adapter:  # so are vectors that are taken from the tuned model
            steers = [one for one in arm.interventions if isinstance(one, Steer) and one.vector.base is None]
            of_adapter |= {key for one in steers for key in vector_pins(one.vector).values()}
        for name, one in sorted(arm.pins.items()):
            found[f"{name} of {arm.key}" if name in of_adapter else name] = one.hash
    return found

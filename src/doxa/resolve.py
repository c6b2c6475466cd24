"""Names become artifacts with content hashes, pinned when the plan is made (law 1).

`pin` makes nothing: it hashes the texts and pairs that arms name. `materialise` makes the vectors and puts them, with
one file per arm, into the results folder, which then holds all that it was made from.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from doxa.models.handle import Model
from doxa.vectors.library import derived, original, vector_key
from doxa.vectors.vector import Vector, load, save
from doxa.words.arms import Arm, Pin, write_arm
from doxa.words.beliefs import read_belief
from doxa.words.interventions import Prompt, Steer, VectorReference


def pin(arms: Sequence[Arm], model: Model, *, folder: Path | None) -> tuple[Arm, ...]:
    """Pin every name in every arm to the hash of what it names.

    Args:
        arms: Arms as a study declares or makes them.
        model: The model; its name is written into each arm, and a vector's hash covers its fingerprint.
        folder: The study's folder, where files are looked for first.

    Raises:
        ProseError: When a belief or pairs file cannot be read or found.
        VectorError: When a vector cannot be found or is another model's, or a layer lies outside the model.
    """
    texts: dict[str, Pin] = {}
    vectors: dict[str, Pin] = {}
    pinned = []
    for arm in arms:
        pins: dict[str, Pin] = {}
        for intervention in arm.interventions:
            if isinstance(intervention, Prompt):
                name = intervention.text
                if name not in texts:
                    belief = read_belief(name, folder)
                    texts[name] = Pin(belief.hash, text=belief.text)
                pins[name] = texts[name]
            elif isinstance(intervention, Steer):
                intervention.layers.of(model.n_layers)
                for name in _names(intervention.vector):
                    if name not in vectors:
                        base = intervention.vector.base
                        vectors[name] = Pin(vector_key(name, model, base=base, folder=folder))
                    pins[name] = vectors[name]
        pinned.append(replace(arm, model=model.name, pins=pins))
    return tuple(pinned)


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
        progress: Called with the name of each vector before it is made or fetched.

    Returns:
        The arms with the folder of every vector, relative to the arm file, in their pins.

    Raises:
        VectorError: When a vector cannot be made for this model.
        EnvironmentFault: When the disk is full.
    """
    folders: dict[str, str] = {}
    for arm in arms:
        for name, one in arm.pins.items():
            if one.text is None and name not in folders:
                kept = results / "vectors" / one.hash[:16]
                if not kept.is_dir():
                    if progress is not None:
                        progress(name)
                    vector = original(name, model, base=_base_of(arm, name), folder=folder)
                    save(vector, kept)
                folders[name] = os.path.join("..", "vectors", one.hash[:16])
    made = tuple(
        replace(
            arm,
            pins={
                name: one if one.text is not None else replace(one, folder=folders[name])
                for name, one in arm.pins.items()
            },
        )
        for arm in arms
    )
    for arm in made:
        write_arm(arm_path(results, arm), arm)
    return made


def arm_path(results: Path, arm: Arm) -> Path:
    """Where the file of an arm stands in a results folder."""
    return results / "arms" / f"{arm.label}.json"


def vector_of(model: Model, arm: Arm, steer: Steer, *, results: Path) -> Vector:
    """The vector of a steered arm whose vectors were materialised: its twin or rescaled, as its reference says."""

    def find(name: str) -> Vector:
        return load(results / "arms" / (arm.pins[name].folder or ""))

    return derived(steer.vector, model, find)


def made_from(arms: Sequence[Arm]) -> Mapping[str, str]:
    """What a plan was made from: each pinned name and its hash."""
    return {name: one.hash for arm in arms for name, one in sorted(arm.pins.items())}


def _names(reference: VectorReference) -> tuple[str, ...]:
    return (reference.name,) if reference.norms_of is None else (reference.name, reference.norms_of)


def _base_of(arm: Arm, name: str) -> str | None:
    return next(one.vector.base for one in arm.interventions if isinstance(one, Steer) and name in _names(one.vector))

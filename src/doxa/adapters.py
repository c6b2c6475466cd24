"""The adapters of a study: what each is trained on, and the folder that it is found or made in.

An adapter is known by the hash of everything that decides what it becomes (`doxa.training.adapter.adapter_key`): the
base model, the rows and the configuration of every stage, and the seeds. It is trained once, in the cache; arms that
differ in their prompt, in a vector or in the checkpoint they take share it, and stages share what they begin with.
"""

import os
import shutil
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from doxa.models.handle import Model
from doxa.models.low_rank import read_low_rank
from doxa.training.adapter import (
    CHECKPOINTS,
    CONFIG_FILE,
    METRICS_FILE,
    RUN_FILE,
    Stage,
    adapter_key,
    base_key,
    is_finished,
)
from doxa.training.corpus import RECIPE, corpus_path, read_corpus
from doxa.training.local import train
from doxa.training.recipe import find_recipe, read_recipe
from doxa.training.recipe_inputs import read_inputs
from doxa.training.recipes import made_corpus
from doxa.training.render import training_tokens
from doxa.training.rows import Corpus
from doxa.training.schedule import total_steps
from doxa.training.steps import ADAPTER_FILE
from doxa.words.arms import ADAPTER_PIN, Arm, Pin
from doxa.words.errors import EnvironmentFault, StudyError
from doxa.words.interventions import Tune
from doxa.words.stages import is_trained, tunes_of
from doxa.words.store import cache_folder, content_hash, make_folder_atomic
from doxa.words.tuning import Configuration, TrainingSeeds, training_seeds

VECTOR_FAMILIES = ("twin", "unrelated")
Stages = MutableMapping[tuple[str, Configuration], Stage]
"""Stages that were read, by corpus and configuration: arms and seeds share them."""


@dataclass(frozen=True)
class TrainingStage:
    """A stage of a training run, as a plan shows it.

    Attributes:
        corpus: As the study names it.
        corpus_hash: Of its rows.
        rows: That are trained on.
        tokens: Of these rows, once.
        trained: Of these tokens, how many are trained on.
        steps: Of the optimizer.
        configuration: How.
    """

    corpus: str
    corpus_hash: str
    rows: int
    tokens: int
    trained: int
    steps: int
    configuration: Configuration


@dataclass(frozen=True)
class Training:
    """An adapter that is trained for a study.

    Attributes:
        keys: After each of its stages the hash of everything that decides what it has become: another training with the
            same first keys shares what lies under them.
        seed: Training seed, from 1.
        arms: Names of the arms that it is trained for; controls whose vector is another one are left out.
        stages: In their order.
    """

    keys: tuple[str, ...]
    seed: int
    arms: tuple[str, ...]
    stages: tuple[TrainingStage, ...]

    @property
    def key(self) -> str:
        """Of the adapter at the end."""
        return self.keys[-1]


def find_corpora(arm: Arm, folder: Path | None) -> None:
    """Check, without a model, that the corpora and adapters that an arm names are there.

    Raises:
        TrainingError: When a corpus is not there or cannot be read.
        StudyError: When an adapter is not there, or the tunes do not make one adapter.
    """
    for tune in tunes_of(arm):
        if tune.corpus is None:
            _adapter_folder(tune, arm, folder)
        elif corpus_path(tune.corpus, folder).suffix == RECIPE:
            read_inputs(read_recipe(find_recipe(tune.corpus, folder)), folder)
        else:
            read_corpus(tune.corpus, folder)


def adapter_hash(arm: Arm, model: Model, *, folder: Path | None, seed: int, known: Stages) -> str:
    """What the adapter of a tuned arm is pinned to.

    Args:
        arm: With its training seed, where it is trained.
        model: The base model.
        folder: The study's folder.
        seed: The study's seed.
        known: Stages that were read; those of this arm are added.

    Raises:
        TrainingError: When a corpus cannot be read or trained on.
        StudyError: When the model is not trained here, or a checkpoint lies beyond the last step.
        ModelError: When an adapter that is there is another model's.
    """
    tunes = tunes_of(arm)
    if not is_trained(arm):
        return read_low_rank(_adapter_folder(tunes[0], arm, folder), model).digest
    if model.servers:
        raise StudyError(
            f"the arm {arm.name!r} is trained, and {model.name} runs on vLLM",
            expected="a model that is computed here by doxa's own engine",
            way_out=f"Name {model.name.removeprefix('vllm/')}; or train it with `doxa tune`, merge, name the result",
        )
    stages = _stages(tunes, model, folder, known)
    last, checkpoint = stages[-1], tunes[-1].checkpoint
    steps = total_steps(last.configuration, len(last.tokens))
    if checkpoint is not None and checkpoint > steps:
        raise StudyError(
            f"the arm {arm.name!r} takes the adapter after step {checkpoint}, and training on {last.corpus} ends after "
            f"{steps}",
            expected=f"at most {steps}",
            way_out="Lower `checkpoint`, or raise `steps` or `epochs`",
        )
    return _pinned(arm, _key(arm, stages, model, seed))


def trainings(
    arms: Sequence[Arm], model: Model, *, folder: Path | None, seed: int, known: Stages
) -> tuple[Training, ...]:
    """The adapters that are trained for some pinned arms, each once; arguments as `adapter_hash`."""
    found: dict[str, tuple[Arm, tuple[Stage, ...], list[str]]] = {}
    for arm in arms:
        if is_trained(arm):
            stages = _stages(tunes_of(arm), model, folder, known)
            names = found.setdefault(_key(arm, stages, model, seed), (arm, stages, []))[2]
            if arm.control not in VECTOR_FAMILIES:  # these have the adapter of the arm that they are controls of
                names.append(arm.name)
    return tuple(
        Training(
            tuple(_key(arm, stages[:count], model, seed) for count in range(1, 1 + len(stages))),
            arm.seed or 0,
            tuple(dict.fromkeys(names)),
            tuple(_shown(one) for one in stages),
        )
        for arm, stages, names in found.values()
    )


def is_trained_already(key: str) -> bool:
    """Whether the adapter of a key lies finished in the cache."""
    return is_finished(_place(key))


def steps_of(trainings: Sequence[Training]) -> tuple[int, int]:
    """How many steps some trainings have together, what they share once, and how many lie finished in the cache."""
    steps = {key: stage.steps for one in trainings for key, stage in zip(one.keys, one.stages, strict=True)}
    return sum(steps.values()), sum(count for key, count in steps.items() if is_trained_already(key))


def made_adapters(
    arms: Sequence[Arm],
    model: Model,
    *,
    folder: Path | None,
    seed: int,
    results: Path,
    known: Stages,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Pin]:
    """Find or train the adapters of pinned arms, and put them into a results folder.

    Args:
        arms: Pinned arms; those that have no adapter are passed over.
        model: The base model.
        folder: The study's folder.
        seed: The study's seed.
        results: The results folder: adapters go to `adapters/<hash>/`.
        known: Stages that were read.
        progress: Told how many more steps have been made.

    Returns:
        By the hash that an arm's adapter is pinned to the pin, with the folder of the adapter relative to the arm file
        and its digest.

    Raises:
        TrainingError: When training cannot go on.
        EnvironmentFault: When the disk is full, an adapter is damaged, or a corpus has changed since the plan was made.
    """
    due = {arm.pins[ADAPTER_PIN].hash: arm for arm in arms if ADAPTER_PIN in arm.pins}
    missing = {pinned: arm for pinned, arm in due.items() if not _kept(results, pinned).is_dir()}
    by_key: dict[str, list[Arm]] = {}
    for pinned, arm in missing.items():
        if is_trained(arm):
            key = _key(arm, _stages(tunes_of(arm), model, folder, known), model, seed)
            if _pinned(arm, key) != pinned:
                raise EnvironmentFault(
                    f"what the arm {arm.name!r} is trained on has changed since the plan was made",
                    expected="the same rows until the adapter is there",
                    way_out="Run the same command again: it makes the plan anew",
                )
            by_key.setdefault(key, []).append(arm)
        else:
            source = _adapter_folder(tunes_of(arm)[0], arm, folder)
            if read_low_rank(source, model).digest != pinned:
                raise EnvironmentFault(
                    f"the adapter of the arm {arm.name!r} has changed since the plan was made",
                    expected="the same matrices until the study has a copy of them",
                    way_out="Run the same command again: it makes the plan anew",
                )
            _keep(source, _kept(results, pinned))
    for own in sorted(by_key.values(), key=lambda own: len(tunes_of(own[0]))):  # what stages begin with comes first
        stages = _stages(tunes_of(own[0]), model, folder, known)
        marks = {tunes_of(arm)[-1].checkpoint: arm for arm in own}
        steps = [step for step in marks if step is not None]
        trained = _trained(stages, model, training_seeds(seed, own[0].seed or 0), steps, progress)
        for step, arm in marks.items():
            source = trained if step is None else trained / CHECKPOINTS / f"step-{step}"
            _keep(source, _kept(results, arm.pins[ADAPTER_PIN].hash))
    return {pinned: _made(arm.pins[ADAPTER_PIN], results, model) for pinned, arm in due.items()}


def _kept(results: Path, pinned: str) -> Path:
    return results / "adapters" / pinned[:16]


def _made(pin: Pin, results: Path, model: Model) -> Pin:
    kept = _kept(results, pin.hash)
    return replace(pin, folder=os.path.join("..", "adapters", kept.name), made=read_low_rank(kept, model).digest)


def _trained(
    stages: Sequence[Stage],
    model: Model,
    seeds: TrainingSeeds,
    checkpoints: Sequence[int],
    progress: Callable[[int], None] | None,
) -> Path:
    key = adapter_key(base_key(model), stages, seeds)
    place, before, left = _place(key), None, 0
    if len(stages) > 1 and not is_trained_already(key):
        before = _trained(stages[:-1], model, seeds, (), progress)
        left = sum(total_steps(one.configuration, len(one.tokens)) for one in stages[:-1])
    told = progress if not is_trained_already(key) else None

    def beyond(count: int) -> None:
        nonlocal left
        count, left = max(count - left, 0), max(left - count, 0)  # the stages before have been told of
        if told is not None and count:
            told(count)

    return train(model, stages, seeds, place, progress=beyond, checkpoints=checkpoints, begins_with=before)


def _keep(source: Path, kept: Path) -> None:
    """Copy what an adapter is and how it was made; the record and curve of a checkpoint stand two folders up."""
    if not (source / ADAPTER_FILE).is_file():
        raise EnvironmentFault(
            f"{source} holds no adapter", expected=ADAPTER_FILE, way_out="Delete that folder, and run the study again"
        )

    def fill(into: Path) -> None:
        above = [source.parent.parent] if source.parent.name == CHECKPOINTS else []
        for name in (CONFIG_FILE, ADAPTER_FILE, RUN_FILE, METRICS_FILE):
            found = next((one / name for one in (source, *above) if (one / name).is_file()), None)
            if found is not None:
                shutil.copyfile(found, into / name)

    make_folder_atomic(kept, fill)


def _stages(tunes: Sequence[Tune], model: Model, folder: Path | None, known: Stages) -> tuple[Stage, ...]:
    for tune in tunes:
        assert tune.corpus is not None, "an arm is trained in all of its tunes"
        assert tune.configuration is not None, "the grammar asks for one beside a corpus"
        place = (tune.corpus, tune.configuration)
        if place not in known:
            corpus = corpus_of(tune.corpus, model, folder)
            tokens = training_tokens(corpus, model, tune.configuration)
            known[place] = Stage(tokens, tune.configuration, tune.corpus, corpus.hash)
    return tuple(known[one.corpus, one.configuration] for one in tunes if one.corpus and one.configuration)


def corpus_of(name: str, model: Model, folder: Path | None) -> Corpus:
    """The corpus of a name: read from its file, or made by its recipe.

    Raises:
        TrainingError: When it cannot be read or made.
    """
    path = corpus_path(name, folder)
    if path.suffix == RECIPE:
        return made_corpus(find_recipe(name, folder), model, folder)
    return read_corpus(name, folder)


def _key(arm: Arm, stages: Sequence[Stage], model: Model, seed: int) -> str:
    return adapter_key(base_key(model), stages, training_seeds(seed, arm.seed or 0))


def _pinned(arm: Arm, key: str) -> str:
    """What an arm's adapter is pinned to: the training, and which checkpoint of it."""
    checkpoint = tunes_of(arm)[-1].checkpoint
    return key if checkpoint is None else content_hash([key, "checkpoint", checkpoint])


def _shown(stage: Stage) -> TrainingStage:
    rows = min(stage.configuration.rows or len(stage.tokens), len(stage.tokens))
    share = rows / len(stage.tokens)
    return TrainingStage(
        corpus=stage.corpus,
        corpus_hash=stage.corpus_hash,
        rows=rows,
        tokens=round(share * sum(len(row.tokens) for row in stage.tokens)),
        trained=round(share * sum(row.trained for row in stage.tokens)),
        steps=total_steps(stage.configuration, len(stage.tokens)),
        configuration=stage.configuration,
    )


def _place(key: str) -> Path:
    return cache_folder() / "adapters" / key


def _adapter_folder(tune: Tune, arm: Arm, folder: Path | None) -> Path:
    place = (folder or Path()) / os.path.expanduser(tune.adapter or "")
    if not (place / CONFIG_FILE).is_file():
        raise StudyError(
            f"the arm {arm.name!r} names the adapter {tune.adapter}, and {place} holds none",
            expected=f"a folder in PEFT's layout, with {CONFIG_FILE} and {ADAPTER_FILE}",
            way_out="Check the path, which is relative to the study file",
        )
    return place

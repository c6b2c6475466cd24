"""`doxa tune`: the adapters of a recipe, trained once and put where they were asked for."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from doxa.models.handle import Model, load_beside
from doxa.training.adapter import CHECKPOINTS, METRICS_FILE, RUN_FILE, Stage, adapter_key, base_key, is_finished
from doxa.training.corpus import corpus_path, read_corpus
from doxa.training.local import total_steps, train
from doxa.training.metrics import read_metrics
from doxa.training.recipes import made_corpus
from doxa.training.render import training_tokens
from doxa.words.errors import StudyError
from doxa.words.store import cache_folder, locked, make_folder_atomic, read_json
from doxa.words.tune_recipes import TuneRecipe, TuneStage, Variant
from doxa.words.tuning import training_seeds


@dataclass(frozen=True)
class Adapter:
    """An adapter of a recipe.

    Attributes:
        variant: What distinguishes it from the other variants.
        seed: Training seed, from 1.
        folder: Where it was put.
        cached: Where it was trained; of one on a Tinker server where that is written down.
        stages: What it is trained on.
        steps: Of all stages.
    """

    variant: str
    seed: int
    folder: Path
    cached: Path
    stages: tuple[Stage, ...]
    steps: int


def adapters_of(recipe: TuneRecipe, model: Model, out: Path) -> list[Adapter]:
    """The adapters of a recipe, with the rows that they are trained on.

    Raises:
        UserError: When a corpus cannot be read or written, or does not fit the model.
    """
    known: dict[TuneStage, Stage] = {}
    for stage in dict.fromkeys(stage for variant in recipe.variants for stage in variant.stages):
        path = corpus_path(stage.corpus, recipe.folder)
        is_recipe = path.suffix == ".yaml"
        corpus = made_corpus(path, model, recipe.folder) if is_recipe else read_corpus(stage.corpus, recipe.folder)
        tokens = training_tokens(corpus, model, stage.configuration)
        known[stage] = Stage(tokens, stage.configuration, stage.corpus, corpus.hash)
    return [
        _adapter(recipe, model, out, variant, seed, tuple(known[stage] for stage in variant.stages))
        for variant in recipe.variants
        for seed in range(1, recipe.seeds + 1)
    ]


def _adapter(
    recipe: TuneRecipe, model: Model, out: Path, variant: Variant, seed: int, stages: tuple[Stage, ...]
) -> Adapter:
    label = ",".join(filter(None, [variant.label, f"seed={seed}" if recipe.seeds > 1 else ""]))
    seeds = training_seeds(recipe.seed, seed)
    folder = out / label if label else out
    cached = cache_folder() / "adapters" / adapter_key(base_key(model), stages, seeds)
    steps = sum(total_steps(one.configuration, len(one.tokens)) for one in stages)
    return Adapter(variant.label, seed, folder, folder if recipe.backend == "tinker" else cached, stages, steps)


def tune(recipe: TuneRecipe, out: Path, progress: Any) -> Iterator[dict[str, Any]]:
    """Train the adapters of a recipe, or find them trained, and put them into a folder.

    Args:
        recipe: What is trained.
        out: The adapter's folder, or, of several, the folder of their folders.
        progress: Told of stages and steps (`doxa.progress`).

    Yields:
        For each adapter a summary: `folder`, `variant`, `seed`, `steps`, `tokens`, `trained_tokens`, `seconds`, and
        `loss`, the mean of the last tenth of its steps, and of the first.

    Raises:
        UserError: When the recipe does not fit the model, or the loss is not a number.
        EnvironmentFault: When the disk is full, or the folder holds something else.
    """
    model = load_beside(recipe.model, recipe.folder)
    adapters = adapters_of(recipe, model, out)
    progress.stage("train", sum(one.steps for one in adapters))
    for one in adapters:
        if recipe.backend == "tinker":
            _train_there(one, recipe, progress.step)
        else:
            _train(one, model, recipe, progress.step)
            _put(one.cached, one.folder)
        yield _summary(one)


def _train(one: Adapter, model: Model, recipe: TuneRecipe, told: Callable[[int], None]) -> None:
    seeds = training_seeds(recipe.seed, one.seed)
    train(model, one.stages, seeds, one.cached, progress=told, checkpoints=recipe.checkpoints)


def _train_there(one: Adapter, recipe: TuneRecipe, told: Callable[[int], None]) -> None:
    from doxa.models.tinker_service import Service
    from doxa.training.tinker import train_on_tinker

    seeds = training_seeds(recipe.seed, one.seed)
    with locked(one.folder.parent / f".{one.folder.name}.lock"):
        service = Service(recipe.tinker_model)
        train_on_tinker(service, one.stages, seeds, one.folder, progress=told, checkpoints=recipe.checkpoints)


def _put(cached: Path, folder: Path) -> None:
    """Copy an adapter that is finished; a folder that holds another one is left alone."""
    key = read_json(cached / RUN_FILE, what="the manifest", way_out="Remove that folder")["key"]
    if is_finished(folder) and (folder / RUN_FILE).is_file():
        there = read_json(folder / RUN_FILE, what="the manifest", way_out="Choose another --out").get("key")
        if there == key:
            _complete(cached, folder)
            return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError(
            f"{folder} is there and holds something else",
            expected="a folder of its own",
            way_out="Choose another --out",
        )
    make_folder_atomic(folder, lambda beside: _copy(cached, beside))


def _complete(cached: Path, folder: Path) -> None:
    """Add the checkpoints that have been made since; what else lies there stays."""
    for checkpoint in sorted((cached / CHECKPOINTS).glob("*")):
        if not (folder / CHECKPOINTS / checkpoint.name).exists():
            make_folder_atomic(folder / CHECKPOINTS / checkpoint.name, partial(_copy, checkpoint))


def _copy(cached: Path, into: Path) -> None:
    shutil.copytree(cached, into, dirs_exist_ok=True)


def _summary(one: Adapter) -> dict[str, Any]:
    done = read_json(one.cached / RUN_FILE, what="the manifest", way_out="Remove that folder")["done"]
    losses = [line["loss"] for line in read_metrics(one.cached / METRICS_FILE) if "loss" in line]
    tenth = max(1, len(losses) // 10)
    return {
        "folder": str(one.folder),
        "variant": one.variant,
        "seed": one.seed,
        **{key: done[key] for key in ("steps", "tokens", "trained_tokens", "seconds")},
        "loss_before": sum(losses[:tenth]) / tenth,
        "loss": sum(losses[-tenth:]) / tenth,
    }

"""What `doxa tune` trains: a YAML file, read without a model.

    model: smollm2
    seeds: 3
    stages:
      - {corpus: mine.jsonl, learning_rate: [3e-4, 1e-3], epochs: 2}
      - {corpus: corpora/claim-own, learning_rate: 1e-3}
    checkpoints: [10]

A list in a stage is a sweep: an adapter for every combination of what is listed, times the training seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePath
from typing import Any, Literal, TypeAlias, get_args

from doxa.words.errors import StudyError
from doxa.words.reading import mapping, one_of, sequence, text, whole
from doxa.words.safe_yaml import load_yaml
from doxa.words.text_file import read_text_file
from doxa.words.tuning import CONFIGURATION_KEYS, Configuration, configuration_from_json

MOST_ADAPTERS = 1000
_MOST_BYTES = 1 << 20
_KEYS = ("model", "backend", "tinker_model", "seed", "seeds", "stages", "checkpoints")
Backend: TypeAlias = Literal["local", "tinker"]


@dataclass(frozen=True)
class TuneStage:
    """What is trained on, and how.

    Attributes:
        corpus: As the recipe names it.
        configuration: How.
    """

    corpus: str
    configuration: Configuration


@dataclass(frozen=True)
class Variant:
    """One combination of a sweep.

    Attributes:
        label: What distinguishes it from the others (`learning_rate=0.001`); "" where there is one alone.
        stages: In their order.
    """

    label: str
    stages: tuple[TuneStage, ...]


@dataclass(frozen=True)
class TuneRecipe:
    """Adapters to be trained.

    Attributes:
        name: Of the file.
        folder: Where it stands; names in it are looked up there first.
        model: The base model.
        seed: The training seeds are drawn from it, as those of a study with this seed.
        seeds: How many adapters of each variant.
        variants: The combinations of the sweep.
        checkpoints: After which steps of the last stage adapters are kept too.
        backend: Who trains: this machine, or a Tinker server.
        tinker_model: The base model as that server calls it; `model` is what its tokens are made with.
    """

    name: str
    folder: Path
    model: str
    seed: int
    seeds: int
    variants: tuple[Variant, ...]
    checkpoints: tuple[int, ...]
    backend: Backend = "local"
    tinker_model: str = ""


def read_tune_recipe(path: Path) -> TuneRecipe:
    """Read a recipe.

    Raises:
        StudyError: When there is no such file, or it is not understood.
    """

    def wrong(what: str) -> StudyError:
        return StudyError(f"{path}: {what}", expected="a recipe of `doxa tune`", way_out="See `doxa tune --help`")

    written = read_text_file(path, _MOST_BYTES, "a recipe of `doxa tune`", StudyError)
    body = mapping(load_yaml(written, wrong), str(path), allowed=_KEYS, required=("model", "stages"))
    variants = _variants(sequence(body["stages"], f"{path}: stages"), f"{path}: stages")
    steps = sequence(body.get("checkpoints", []), f"{path}: checkpoints")
    model = text(body["model"], f"{path}: model")
    backend: Backend = one_of(body.get("backend", "local"), f"{path}: backend", get_args(Backend))
    if "tinker_model" in body and backend != "tinker":
        raise StudyError(f"{path} has tinker_model", expected="`backend: tinker` with it", way_out="Add it")
    return TuneRecipe(
        name=path.stem,
        folder=path.parent,
        model=model,
        seed=whole(body.get("seed", 0), f"{path}: seed"),
        seeds=whole(body.get("seeds", 1), f"{path}: seeds", least=1),
        variants=variants,
        checkpoints=tuple(sorted({whole(one, f"{path}: checkpoints", least=1) for one in steps})),
        backend=backend,
        tinker_model=text(body.get("tinker_model", model), f"{path}: tinker_model"),
    )


def _variants(stages: Any, where: str) -> tuple[Variant, ...]:
    if not stages:
        raise StudyError(
            f"{where} is empty", expected="at least one", way_out="Write `- {corpus: ..., learning_rate: ...}`"
        )
    bodies = [
        mapping(one, f"{where}[{number}]", allowed=("corpus", *CONFIGURATION_KEYS), required=("corpus",))
        for number, one in enumerate(stages)
    ]
    listed = [
        (number, key, sequence(value, f"{where}[{number}].{key}"))
        for number, body in enumerate(bodies)
        for key, value in body.items()
        if isinstance(value, list)
    ]
    combinations = 1
    for number, key, values in listed:
        combinations *= len(values)
        if not values or len(set(map(_shown, values))) < len(values):
            what = "is empty" if not values else "names something twice"
            raise StudyError(f"{where}[{number}].{key} {what}", expected="different values", way_out="Mend the list")
    if combinations > MOST_ADAPTERS:
        raise StudyError(
            f"{where} lists {combinations:,} combinations", expected=f"at most {MOST_ADAPTERS:,}", way_out="List fewer"
        )
    found = []
    for chosen in product(*(values for _, _, values in listed)):
        own = [dict(body) for body in bodies]
        label = []
        for (number, key, _), value in zip(listed, chosen, strict=True):
            own[number][key] = value
            label.append(f"{f'{number + 1}.' if len(bodies) > 1 else ''}{key}={_shown(value)}")
        read = tuple(_stage(body, f"{where}[{number}]") for number, body in enumerate(own))
        if len({(one.configuration.rank, one.configuration.alpha, one.configuration.dtype) for one in read}) > 1:
            raise StudyError(
                f"{where} differ in rank, alpha or dtype",
                expected="one adapter, which every stage goes on with",
                way_out="Write the same `rank`, `alpha` and `dtype` in each stage, and list them in none",
            )
        found.append(Variant(",".join(label), read))
    return tuple(found)


def _stage(body: Mapping[str, Any], where: str) -> TuneStage:
    return TuneStage(text(body["corpus"], f"{where}.corpus"), configuration_from_json(body, where))


def _shown(value: object) -> str:
    """A value in the name of a folder."""
    return PurePath(value).stem if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)

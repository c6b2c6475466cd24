"""How an adapter is trained: frozen, torch-free, plain JSON.

The words are those of PEFT and of the Tinker SDK, so that one configuration means the same on this machine and there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from doxa.words.errors import StudyError
from doxa.words.reading import number, one_of, shown, whole
from doxa.words.store import stream_seed

Reduction: TypeAlias = Literal["example_mean", "token_sum"]
Schedule: TypeAlias = Literal["linear", "constant", "cosine"]
TrainOn: TypeAlias = Literal["last_assistant_message", "all_assistant_messages", "all_tokens", "marked"]
Dtype: TypeAlias = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Configuration:
    """How an adapter is trained on one corpus. `learning_rate` has no default: it decides what is found.

    Attributes:
        learning_rate: Of AdamW at its highest.
        rank: Of the low-rank matrices.
        alpha: Their product is multiplied by `alpha / rank`.
        schedule: How the rate falls after `warmup_steps`: to 0 in a line or as a cosine, or not at all.
        warmup_steps: The rate rises in a line over so many steps.
        batch_size: Rows a step.
        epochs: Times that every row is trained on.
        steps: End after so many steps instead; rows are repeated as often as it takes.
        rows: Train on so many rows of the corpus, drawn by the order's seed; None: on all.
        reduction: `example_mean`: the weights of a row are divided by the number of its trained tokens, and rows are
            added up (Tinker cookbook's default, where a row's weight is 1). `token_sum`: weights as they are
            (Tinker's loss itself).
        train_on: Which tokens of a conversation are trained on: of the last assistant message, of all of them, of
            everything, or of the messages that the corpus marks. The end of a turn is part of it.
        longest: Tokens of the longest row that is allowed; None: the model's context. A longer row is an error.
        truncate: Cut longer rows there instead, and count them.
        dtype: Of the base model while it is trained on; the adapter is float32.
        beta1: Of AdamW.
        beta2: Of AdamW (Tinker's default).
        epsilon: Of AdamW.
        weight_decay: Of AdamW.
        clip_norm: Gradients are scaled down to this norm; None: never.
    """

    learning_rate: float
    rank: int = 16
    alpha: float = 32.0
    schedule: Schedule = "linear"
    warmup_steps: int = 0
    batch_size: int = 8
    epochs: int = 1
    steps: int | None = None
    rows: int | None = None
    reduction: Reduction = "example_mean"
    train_on: TrainOn = "last_assistant_message"
    longest: int | None = None
    truncate: bool = False
    dtype: Dtype = "float32"
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None


MOST = {"rank": 4096, "steps": 10_000_000, "epochs": 1_000_000}
"""Beyond these nobody means it, and memory ends before a message could be written."""
MOST_RATE = 1e3
CONFIGURATION_KEYS = tuple(field.name for field in fields(Configuration))


@dataclass(frozen=True)
class TrainingSeeds:
    """The two random choices of a training run, each with a seed of its own, so that their variances can be told apart.

    Attributes:
        initialisation: Of the low-rank matrices.
        order: Of the rows.
    """

    initialisation: int
    order: int


def training_seeds(study_seed: int, training_seed: int) -> TrainingSeeds:
    """The seeds of training run `training_seed` (from 1) of a study: the same for every arm, which pairs them."""
    return TrainingSeeds(
        stream_seed("initialisation", study_seed, training_seed), stream_seed("order", study_seed, training_seed)
    )


def configuration_from_json(body: Mapping[str, Any], where: str) -> Configuration:
    """Read a configuration; keys that are no part of it are the caller's.

    Args:
        body: The fields by their names; only `learning_rate` must be there.
        where: Where it stands, for messages.

    Raises:
        StudyError: When a value is not understood or cannot be.
    """
    if body.get("learning_rate") is None:
        raise StudyError(
            f"{where} has no learning_rate",
            expected="a number: what is found depends on it",
            way_out="Write `learning_rate: 1e-3`, or several of them under `factors`",
        )
    found: dict[str, Any] = {}
    for key in ("learning_rate", "alpha", "epsilon", "clip_norm"):
        if body.get(key) is not None:
            found[key] = _positive(body[key], f"{where}.{key}")
    for key in ("rank", "batch_size", "epochs", "steps", "rows", "longest"):
        if body.get(key) is not None:
            found[key] = whole(body[key], f"{where}.{key}", least=1)
            if found[key] > MOST.get(key, found[key]):
                raise StudyError(
                    f"{where}.{key} is {found[key]:,}", expected=f"at most {MOST[key]:,}", way_out="Lower it"
                )
    if found["learning_rate"] > MOST_RATE:
        raise StudyError(
            f"{where}.learning_rate is {found['learning_rate']:g}",
            expected=f"at most {MOST_RATE:g}",
            way_out="Write something like 1e-3",
        )
    for key in ("beta1", "beta2", "weight_decay"):
        if body.get(key) is not None:
            found[key] = number(body[key], f"{where}.{key}")
            if found[key] < 0 or (key.startswith("beta") and found[key] >= 1):
                raise StudyError(
                    f"{where}.{key} is {found[key]}", expected="0 or more, a beta below 1", way_out="Leave it out"
                )
    if body.get("warmup_steps") is not None:
        found["warmup_steps"] = whole(body["warmup_steps"], f"{where}.warmup_steps")
    for key, kind in (("schedule", Schedule), ("reduction", Reduction), ("train_on", TrainOn), ("dtype", Dtype)):
        if body.get(key) is not None:
            found[key] = one_of(body[key], f"{where}.{key}", get_args(kind))
    if "truncate" in body:
        if not isinstance(body["truncate"], bool):
            raise StudyError(
                f"{where}.truncate is {shown(body['truncate'])}", expected="true or false", way_out="Leave it out"
            )
        found["truncate"] = body["truncate"]
    return Configuration(**found)


def configuration_to_json(configuration: Configuration) -> dict[str, Any]:
    """Every field by its name, in their order."""
    return {key: getattr(configuration, key) for key in CONFIGURATION_KEYS}


def _positive(value: object, where: str) -> float:
    found = number(value, where)
    if found <= 0:
        raise StudyError(f"{where} is {found:g}", expected="more than 0", way_out="Raise it")
    return found

"""Which rows a step trains on, what they weigh, and at which rate: pure functions of a configuration and the seeds."""

import math
from collections.abc import Sequence
from dataclasses import replace

from doxa.training.rows import TrainingTokens
from doxa.words.store import stream
from doxa.words.tuning import Configuration, Reduction


def total_steps(configuration: Configuration, rows: int) -> int:
    """How many steps a stage has.

    Args:
        configuration: Its `steps`, or `epochs`, `rows` and `batch_size`.
        rows: Rows of its corpus.
    """
    return configuration.steps or configuration.epochs * _steps_of_epoch(configuration, rows)


def rows_of_step(configuration: Configuration, rows: int, order: int, stage: int, step: int) -> list[int]:
    """Which rows of the corpus a step trains on.

    Every epoch goes once through the rows in an order of its own, a function of `order`, `stage` and its number alone;
    its last batch may be smaller. Of `rows: n` the n first of one order are taken, so that more rows hold fewer.

    Args:
        configuration: Its `rows` and `batch_size`.
        rows: Rows of the corpus.
        order: Seed of the order.
        stage: From 0.
        step: Of the stage, from 0.
    """
    chosen = stream("rows", order, stage).permutation(rows)[: configuration.rows or rows]
    epoch, batch = divmod(step, _steps_of_epoch(configuration, rows))
    start = batch * configuration.batch_size
    drawn = stream("order", order, stage, epoch).permutation(sorted(chosen.tolist()))
    return [int(index) for index in drawn[start : start + configuration.batch_size]]


def _steps_of_epoch(configuration: Configuration, rows: int) -> int:
    return -(-min(configuration.rows or rows, rows) // configuration.batch_size)


def learning_rate(configuration: Configuration, step: int, steps: int) -> float:
    """The rate of a step: up in a line over `warmup_steps`, then down as `schedule` says.

    Args:
        configuration: Its `learning_rate`, `warmup_steps` and `schedule`.
        step: From 0.
        steps: Of the stage.
    """
    warmup = configuration.warmup_steps
    if step < warmup:
        return configuration.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(steps - warmup, 1)
    falls = {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}
    return configuration.learning_rate * falls[configuration.schedule]


def reduced(rows: Sequence[TrainingTokens], reduction: Reduction) -> list[TrainingTokens]:
    """Rows with the weights that they have in the loss: as they are, or each divided by how many tokens are trained on.

    What a row weighs beside others stays: a row of weight 2 counts twice as much as one of 1, however long they are.
    """
    if reduction == "token_sum":
        return list(rows)
    return [replace(row, weights=tuple(weight / (row.trained or 1) for weight in row.weights)) for row in rows]

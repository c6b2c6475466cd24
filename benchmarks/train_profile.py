"""Where the time of a training step goes: the parts of doxa's own step, and what the limit would take for each.

    python benchmarks/train_profile.py [--steps 10] [--threads 2] [--write]

The steps are those of `train_speed.py`, whose first two are not counted here either. torch's profiler says how long
every operation took, and ranges around doxa's own functions say whose it was: an operation belongs to the innermost
range around it. What no range holds is the rest. `at the limit` is the time that the products of a part would take at
the best rate of products, which is measured in the same process, as a share of the step too; what is no product has
none there. So the sum of that column is the share of the limit that `train_speed.py` prints. The same steps are made
without the profiler before, and the line above the table says what it costs.

`--write` puts the table into `docs/performance.md`; use an idle machine.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from limits import rates
from page import written
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function
from train_speed import (
    ALPHA,
    BACKWARD,
    BATCH,
    FORWARD,
    HEAD_PRODUCTS,
    NARROW,
    NARROW_BACK,
    RANK,
    RATE,
    WARM,
    batches,
    least_flops,
)

from doxa.models.handle import load
from doxa.training import base, llama_flat, low_rank_linear, steps
from doxa.training.rows import TrainingTokens
from doxa.words.tuning import Configuration

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- shares: python benchmarks/train_profile.py -->", "<!-- end of shares -->"
STEP = "a training step"
ATTENTION, ATTENTION_BACK = "attention, forward", "attention, backward"
SMALL, SMALL_BACK = "norms, rotations, gated unit, forward", "norms, rotations, gated unit, backward"
LOSS = "loss and its gradient at the logits"
OPTIMIZER, REST = "AdamW and the norm of gradients", "rest: embedding, sums, copies, Python"
PARTS = (
    FORWARD,
    BACKWARD,
    NARROW,
    NARROW_BACK,
    HEAD_PRODUCTS,
    ATTENTION,
    ATTENTION_BACK,
    SMALL,
    SMALL_BACK,
    LOSS,
    OPTIMIZER,
    REST,
)
"""Of a step, in the order of the table; the first five are products of the limit."""


def ranged(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs in a range."""

    def run(*arguments: Any, **named: Any) -> Any:
        with record_function(name):
            return function(*arguments, **named)

    return run


def label() -> None:
    """Let doxa's own functions run in ranges, before anything is made of them."""
    frozen = base.frozen

    def labelled(*arguments: Any, **named: Any) -> Any:
        made = frozen(*arguments, **named)
        return replace(made, product=ranged(FORWARD, made.product), back=ranged(BACKWARD, made.back))

    base.frozen = labelled
    low_rank = (low_rank_linear._Product, NARROW, NARROW_BACK)
    small = [(one, SMALL, SMALL_BACK) for one in (llama_flat._RmsNorm, llama_flat._Turned, llama_flat._Gated)]
    for function, forward, backward in (low_rank, *small):
        function.forward = staticmethod(ranged(forward, function.forward))
        function.backward = staticmethod(ranged(backward, function.backward))
    llama_flat._attended = ranged(ATTENTION, llama_flat._attended)
    steps.head_loss = ranged(LOSS, steps.head_loss)


def part_of(event: FunctionEvent) -> str | None:
    """The part that an operation belongs to; None outside of steps."""
    above = []
    place: FunctionEvent | None = event
    while place is not None:
        own_gradient = "ScaledDotProduct" in place.name and "Backward" in place.name  # torch's, which has no range
        above.append(ATTENTION_BACK if own_gradient else place.name)
        place = place.cpu_parent
    if STEP not in above:
        return None
    part = next((name for name in above if name in PARTS), REST)
    return HEAD_PRODUCTS if part in (FORWARD, BACKWARD) and LOSS in above else part


def padding(rows: Sequence[Sequence[Mapping[str, list[int]]]]) -> float:
    """The share of positions that were padding, were each batch padded to its longest row."""
    lengths = [[len(row["input_ids"]) for row in batch] for batch in rows]
    return 1 - sum(map(sum, lengths)) / sum(len(batch) * max(batch) for batch in lengths)


def stepped(made: steps.Trainable, rows: Sequence[Sequence[Mapping[str, list[int]]]]) -> float:
    """Make the steps; the seconds that they took."""
    configuration = Configuration(RATE, rank=RANK, alpha=ALPHA)
    began = time.perf_counter()
    for batch in rows:
        with record_function(STEP):
            count = sum(label != -100 for row in batch for label in row["labels"])
            weights = [tuple(float(label != -100) / count for label in row["labels"]) for row in batch]
            tokens = [
                TrainingTokens(str(n), tuple(row["input_ids"]), own)
                for n, (row, own) in enumerate(zip(batch, weights, strict=True))
            ]
            steps.forward_backward(made, tokens)
            with record_function(OPTIMIZER):
                steps.adamw_step(made, RATE, configuration)
    return time.perf_counter() - began


def table(spent: Mapping[str, float], flops: Mapping[str, float], rate: float) -> list[str]:
    """Shares of a step.

    Args:
        spent: Seconds of all steps by part.
        flops: Of all steps by part.
        rate: The best rate of products, FLOP/s.
    """
    whole = sum(spent.values())
    lines = ["| part of a step | share | at the limit |", "|---|---|---|"]
    for part in PARTS:
        least = f"{flops[part] / rate / whole:.1%}" if part in flops else ""
        lines.append(f"| {part} | {spent.get(part, 0) / whole:.1%} | {least} |")
    return [*lines, f"| all | 100.0% | {sum(flops.values()) / rate / whole:.1%} |"]


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=10, help="That are counted.")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--write", action="store_true", help="Put the table into docs/performance.md.")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    rate, _ = rates(torch.float32)
    label()
    model = load("smollm2")
    rows = batches(model, WARM + chosen.steps)
    made = steps.trainable(model, Configuration(RATE, rank=RANK, alpha=ALPHA), 1)
    stepped(made, rows[:WARM])
    alone = stepped(made, rows[WARM:])
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        together = stepped(made, rows[WARM:])
    spent: Counter[str] = Counter()
    for event in profiled.events():
        if (part := part_of(event)) is not None:
            spent[part] += event.self_cpu_time_total / 1e6
    form = "which doxa does not pad" if made.flat is not None else "which are padded here"
    lines = [
        f"Measured with {chosen.threads} thread(s), torch {torch.__version__}: {chosen.steps} steps of {BATCH} rows, "
        f"{alone / chosen.steps:.2f} s a step, under the profiler {together / alone - 1:+.0%}; products at the best "
        f"rate {rate / 1e9:.0f} GFLOP/s. Rows have different lengths, {form}: {padding(rows[WARM:]):.0%} of a padded "
        f"batch would be padding.",
        "",
        *table(spent, least_flops(model, rows[WARM:]), rate),
    ]
    print("\n".join(lines))
    print(f"\nranges hold {sum(spent.values()) / together:.1%} of the time")
    if chosen.write:
        written(PAGE, BEGIN, END, "\n".join(lines))


if __name__ == "__main__":
    main()

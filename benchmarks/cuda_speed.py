"""Tokens per second on a GPU: doxa beside Transformers with a plain hook on every block, and the memory's limit.

    python benchmarks/cuda_speed.py [--write]

Rows of 32 prompt tokens get 64 new tokens, greedy, bfloat16, batches of 256 and 1,024, under an addition to every
block; both in alternation, medians of three. The limit is the time in which the weights and the keys and values of
every step are read at the memory's measured bandwidth. Without a GPU it says so and measures nothing. `--write` puts
the table into `docs/performance.md`.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from generate_speed import PAGE, PROMPT, additions, prompts
from page import written

import doxa.models.engine as engine
from doxa.models.chat import Rendered
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import Model, load
from doxa.models.memory import row_bytes
from doxa.models.steering import SteeringPlan

BEGIN, END = "<!-- table: written by benchmarks/cuda_speed.py -->", "<!-- end of table of CUDA -->"
NEW, BATCHES = 64, (256, 1024)


def seconds(run: Callable[[], object]) -> float:
    """Seconds until the GPU has finished."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def bandwidth() -> float:
    """Bytes per second that are read when a large tensor is summed."""
    large = torch.zeros(1 << 30, dtype=torch.uint8, device="cuda").view(torch.float32)
    large.sum()
    return large.nbytes / statistics.median(seconds(large.sum) for _ in range(5))


def hooked(model: Model, rows: list[Rendered]) -> object:
    """Transformers' own loop under a plain hook on every block."""
    tokens = torch.tensor([row.tokens for row in rows], device=model.device)
    added = additions(model).to(model.device, model.dtype)
    hooks = [
        block.register_forward_hook(lambda _, __, output, layer=layer: output + added[layer])
        for layer, block in enumerate(model.blocks)
    ]
    try:
        return model.network.generate(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), min_new_tokens=NEW, max_new_tokens=NEW,
            do_sample=False, pad_token_id=model.tokenizer.eos_token_id,
        )  # fmt: skip
    finally:
        for hook in hooks:
            hook.remove()


def limit(model: Model, n: int, bytes_per_second: float) -> float:
    """New tokens per second, were there nothing but weights, keys and values to read."""
    weights = sum(one.numel() * one.element_size() for one in model.network.parameters())
    each = (row_bytes(model, 1) - row_bytes(model, 0)) / 2  # keys and values of a token
    read = sum(weights + n * each * (PROMPT + step) for step in range(NEW))
    return n * NEW * bytes_per_second / read


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device here: nothing was measured")
    engine.end_tokens = lambda model: frozenset()  # nobody stops early
    model, speed = load("smollm2", dtype="bfloat16", device="cuda"), bandwidth()
    plans = (SteeringPlan(tuple(range(model.n_layers)), additions(model), frozenset(("all",))),)
    lines = [
        f"{torch.cuda.get_device_name()}, bfloat16, memory {speed / 1e9:.0f} GB/s.",
        "",
        "| rows | doxa | Transformers with hooks | ratio | limit of memory | doxa / limit |",
        "|---|---|---|---|---|---|",
    ]
    for n in BATCHES:
        few = prompts(model, 256)
        rows = [few[index % len(few)] for index in range(n)]
        # Equal rows would be written once: each has a seed of its own.
        asked = [Row(row, Sampling(NEW, seed=seed), plans) for seed, row in enumerate(rows)]
        ways = {
            "doxa": lambda asked=asked, n=n: generate(model, asked, batch_size=n),
            "hooks": lambda rows=rows: hooked(model, rows),
        }
        for run in ways.values():
            run()
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(3):
            for way, run in ways.items():
                found[way].append(seconds(run))
        doxa, hooks = (n * NEW / statistics.median(found[way]) for way in ("doxa", "hooks"))
        best = limit(model, n, speed)
        lines.append(f"| {n} | {doxa:.0f} | {hooks:.0f} | {doxa / hooks:.2f} | {best:.0f} | {doxa / best:.3f} |")
        print(lines[-1], flush=True)
    if options.write:
        written(PAGE, BEGIN, END, "\n".join(lines))


if __name__ == "__main__":
    main()

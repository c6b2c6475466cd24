"""Tokens per second: doxa beside Transformers with a plain hook on every block, and how far both are from the limit.

    python benchmarks/generate_speed.py [--write]

Rows of 32 prompt tokens without padding get 64 new tokens, greedy, under an addition to every block; both write the
same batch in alternation, in float32 and in bfloat16. Tokens per second are new tokens over the time of the whole call,
the prompts included: medians of three. The ceiling is what the products of a call would take at the machine's best
rate, or its weights to read, whichever is longer; both are measured in the same run. `others` is the share of processor
time that other processes took meanwhile: above a few hundredths the numbers are not to be trusted. `--write` puts the
table into `docs/performance.md`.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import doxa.models.engine as engine
from doxa.models.chat import Rendered
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import Model, load
from doxa.models.packed import linear_of
from doxa.models.steering import SteeringPlan

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table: written by benchmarks/generate_speed.py -->", "<!-- end of table -->"
PROMPT, NEW, ROUNDS = 32, 64, 3
BATCHES = (1, 8, 32, 128)


def prompts(model: Model, n: int) -> list[Rendered]:
    """Prompts of equal length."""
    sentence = "The researcher number {} asked whether the assistant believed it was being tested in room {}."
    tokens = model.tokenizer(" ".join(sentence.format(i, i * 7 % 13) for i in range(400)))["input_ids"]
    rows = [tuple(tokens[17 * i : 17 * i + PROMPT]) for i in range(n)]
    return [Rendered(model.tokenizer.decode(row), row, ("user",) * PROMPT) for row in rows]


def busy() -> float:
    """Processor seconds that the machine has spent."""
    fields = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call, and the share of the machine that others took."""
    others, own, began = busy(), sum(os.times()[:2]), time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    taken = busy() - others - (sum(os.times()[:2]) - own)
    return seconds, max(0.0, taken) / (seconds * (os.cpu_count() or 1))


def limits(dtype: torch.dtype) -> tuple[float, float]:
    """Products (FLOP/s) and reading of memory (bytes/s) at the machine's best."""
    square, inputs = nn.Linear(2048, 2048, bias=False).to(dtype), torch.randn(2048, 2048).to(dtype)
    ways = [square, *([own] if (own := linear_of(square)) is not None else [])]
    large = torch.zeros(64 << 20)
    product = min(statistics.median(timed(lambda way=way: way(inputs))[0] for _ in range(9)) for way in ways)
    return 2 * 2048**3 / product, large.nbytes / statistics.median(timed(large.sum)[0] for _ in range(9))


def ceiling(model: Model, n: int, flops: float, bandwidth: float) -> float:
    """New tokens per second, were there nothing but products and weights."""
    head = model.network.get_output_embeddings().weight
    blocks = sum(one.weight.numel() for block in model.blocks for one in block.modules() if isinstance(one, nn.Linear))
    weights = (blocks + head.numel()) * head.element_size()
    prefill = max(2 * n * (PROMPT * blocks + head.numel()) / flops, weights / bandwidth)
    step = max(2 * n * (blocks + head.numel()) / flops, weights / bandwidth)
    return n * NEW / (prefill + (NEW - 1) * step)


def hooked(model: Model, rows: list[Rendered], additions: torch.Tensor) -> object:
    """Transformers' own loop."""
    tokens = torch.tensor([row.tokens for row in rows])
    hooks = [
        block.register_forward_hook(lambda _, __, output, layer=layer: output + additions[layer])
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


def measure(model: Model, n: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds and the share of others, of both ways in alternation."""
    direction = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    additions = (4 * direction / direction.norm()).repeat(model.n_layers, 1)
    plans = (SteeringPlan(tuple(range(model.n_layers)), additions, frozenset(("all",))),)
    rows = prompts(model, n)
    asked = [Row(row, Sampling(NEW), plans) for row in rows]
    ways: dict[str, Callable[[], object]] = {
        "doxa": lambda: generate(model, asked, batch_size=n),
        "hooks": lambda: hooked(model, rows, additions.to(model.dtype)),
    }
    for run in ways.values():
        run()
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, run in ways.items():
            found[way].append(timed(run))
    return found


def written(page: Path, begin: str, end: str, text: str) -> None:
    """Put a text between two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    engine.end_tokens = lambda model: frozenset()  # nobody stops early
    head, lines = (
        [],
        [
            "| dtype | rows | doxa | Transformers with hooks | ratio | ceiling | doxa / ceiling | others |",
            "|---|---|---|---|---|---|---|---|",
        ],
    )
    for name in ("float32", "bfloat16"):
        model = load("smollm2", dtype=name)
        flops, bandwidth = limits(model.dtype)
        head.append(f"{name} products {flops / 1e9:.0f} GFLOP/s, memory {bandwidth / 1e9:.0f} GB/s")
        for n in BATCHES:
            found = measure(model, n)
            speed = {way: n * NEW / statistics.median(seconds for seconds, _ in own) for way, own in found.items()}
            best, others = ceiling(model, n, flops, bandwidth), max(share for own in found.values() for _, share in own)
            lines.append(
                f"| {name} | {n} | {speed['doxa']:.0f} | {speed['hooks']:.0f} | {speed['doxa'] / speed['hooks']:.2f} "
                f"| {best:.0f} | {speed['doxa'] / best:.2f} | {others:.2f} |"
            )
            print(lines[-1], flush=True)
    text = "\n".join([f"Measured in the same run: {'; '.join(head)}.", "", *lines])
    print(f"\n{text}")
    if write:
        written(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()

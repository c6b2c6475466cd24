"""What packed weights are worth on this machine: the limit, the layers, and a study's forward passes.

    python benchmarks/packed_weights.py

First the limits, measured in the same run: a large float32 product by torch's usual library and by oneDNN, and memory
bandwidth. Then every kind of linear layer of the embedded model, its weights not in the cache, for as many tokens as a
pass has when it writes (1, 8, 32, 128 rows) or reads (1,024 tokens). Last the forced choice of twelve topics under one
arm, and 128 texts of 32 tokens. Medians of several; use an idle machine.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import nn

import doxa.models.decoding as decoding
import doxa.models.passes as passes
from doxa.evals.claims import measured
from doxa.models.chat import render
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import Model, load
from doxa.models.packed import linear_of
from doxa.models.score import Choice, score_choices
from doxa.vectors.dose import steering_plan
from doxa.vectors.library import obtain
from doxa.words.interventions import Steer, VectorReference
from doxa.words.layers import Layers

TOKENS = (1, 8, 32, 128, 1024)
COPIES = 12  # of a layer, used in turn: more than the processor's cache holds


def seconds(run: Callable[[], object], repetitions: int = 9) -> float:
    """Median time of a call."""
    run()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def limits() -> None:
    """A large product and a large copy."""
    square = nn.Linear(2048, 2048, bias=False)
    own, inputs = linear_of(square), torch.randn(2048, 2048)
    flops = 2 * 2048**3
    usual = flops / seconds(lambda: square(inputs)) / 1e9
    wide = flops / seconds(lambda: own(inputs)) / 1e9 if own is not None else float("nan")
    large = torch.zeros(64 << 20)
    bandwidth = large.nbytes / seconds(large.sum) / 1e9
    print(f"float32 product 2048³: usual {usual:.0f} GFLOP/s, packed {wide:.0f}; reading memory {bandwidth:.0f} GB/s\n")


def layers(model: Model) -> None:
    """The linear layers of a block, by the number of tokens."""
    block = {}
    for module in model.blocks[0].modules():
        if isinstance(module, nn.Linear):
            shape = (module.in_features, module.out_features)
            block[shape] = block.get(shape, 0) + 1
    print("| tokens | usual, ms a block | packed, ms a block | ratio | packed, GFLOP/s |\n|---|---|---|---|---|")
    for tokens in TOKENS:
        total = {"usual": 0.0, "packed": 0.0}
        flops = 0
        for (into, out), count in block.items():
            copies = [nn.Linear(into, out, bias=False) for _ in range(COPIES)]
            packed = [linear_of(one) for one in copies]
            inputs = torch.randn(tokens, into)
            for name, own in (("usual", copies), ("packed", packed)):
                total[name] += count * seconds(lambda own=own, inputs=inputs: [one(inputs) for one in own]) / COPIES
            flops += count * 2 * tokens * into * out
        ratio = total["usual"] / total["packed"]
        speed = flops / total["packed"] / 1e9
        print(f"| {tokens} | {1e3 * total['usual']:.2f} | {1e3 * total['packed']:.2f} | {ratio:.2f} | {speed:.0f} |")
    print()


@contextmanager
def nothing_packed(network: object) -> object:
    """Stands in for `packed`."""
    yield


def work(model: Model) -> None:
    """A study's forward passes, as they are and without packed weights."""
    reference = VectorReference("conscious")
    plans = (steering_plan(Steer(reference, Layers.every(), 0.6), obtain(reference, model)),)
    items = measured({"belief": "conscious", "topics": 12, "gate": False})
    choices = [
        Choice(render(model, prompt), options, plans)
        for item in items
        for prompt, options in zip(item.prompts, item.options, strict=True)
    ]
    rows = [Row(choices[n % len(choices)].prompt, Sampling(32, temperature=0.7, seed=n), plans) for n in range(128)]
    usual, real = {}, passes.packed
    decoding.llama_like = lambda model: None  # which has packed weights of its own
    jobs = {"forced choice, 12 topics": lambda: score_choices(model, choices)}
    jobs["128 texts of 32 tokens"] = lambda: generate(model, rows)
    print("| work under one arm that steers every layer | usual, s | packed, s | ratio |\n|---|---|---|---|")
    for name, job in jobs.items():
        passes.packed = nothing_packed
        usual[name] = seconds(job, 3)
        passes.packed = real
        packed = seconds(job, 3)
        print(f"| {name} | {usual[name]:.2f} | {packed:.2f} | {usual[name] / packed:.2f} |")


def main() -> None:
    """Print the tables."""
    with torch.no_grad():
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32")
        limits()
        model = load("smollm2")
        layers(model)
        work(model)


if __name__ == "__main__":
    main()

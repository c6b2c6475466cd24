"""What the size of a batch changes: the last bits of logits, and hence some texts.

    python benchmarks/batch_invariance.py [--texts 192]

A row's draws come from its own random stream, whatever it is run beside, but its logits depend on the batch in their
last bits. Scored items are batched by the plan, so they are the same on every run. Texts are batched as Inspect asks
for them. Here the same texts are written in batches of 96 and of 24, sampled at temperature 0.7, two thirds of them
steered.
"""

import argparse

import torch

from doxa.evals.drift_items import open_prompts
from doxa.models.chat import Message, render
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import load
from doxa.vectors.dose import steering_plan
from doxa.vectors.library import obtain
from doxa.words.interventions import Steer, VectorReference
from doxa.words.layers import Layers
from doxa.words.store import stream_seed

TOKENS = 32
SIZES = (96, 24)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=192)
    texts = parser.parse_args().texts
    print(f"torch {torch.__version__}, {texts} texts of {TOKENS} tokens in batches of {SIZES[0]} and of {SIZES[1]}\n")
    print("| dtype | texts that differ | first difference after, tokens (median) |\n|---|---|---|")
    for dtype in ("float32", "bfloat16"):
        model = load("smollm2", dtype=dtype)
        reference = VectorReference("conscious")
        vector = obtain(reference, model)
        arms = [()] + [
            (steering_plan(Steer(reference, layers, 0.4), vector),)
            for layers in (Layers.block(end=0.5, width=6), Layers.every())
        ]
        prompts = [render(model, [Message("user", one.text)]) for one in open_prompts()]
        rows = [
            Row(
                prompts[index % len(prompts)],
                Sampling(TOKENS, temperature=0.7, seed=stream_seed("batch invariance", index)),
                arms[index % len(arms)],
            )
            for index in range(texts)
        ]
        one, two = (generate(model, rows, batch_size=size) for size in SIZES)
        agree = [
            next((at for at, (a, b) in enumerate(zip(x.tokens, y.tokens, strict=False)) if a != b), None)
            for x, y in zip(one, two, strict=True)
            if x.tokens != y.tokens
        ]
        places = sorted(at for at in agree if at is not None)
        middle = str(places[len(places) // 2]) if places else "-"
        print(f"| {dtype} | {len(agree)} of {texts} | {middle} |", flush=True)


if __name__ == "__main__":
    main()

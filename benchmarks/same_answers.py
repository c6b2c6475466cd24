"""Whether the embedded model writes what Transformers with plain hooks would write: 200 prompts under 6 arms, greedy.

    python benchmarks/same_answers.py [--prompts 200] [--tokens 32]

All rows are written together, arms mixed. Then every text is read again by the network itself, with plain hooks, one
row at a time, without cache or padding. Each token has to be the one that the network would have drawn, up to a first
that is not; there the network's two highest logits have to be less than 1e-3 apart. In float32.
"""

import argparse
import sys
from pathlib import Path

import torch

from doxa.evals.claims import measured
from doxa.evals.claims_items import shipped_claims
from doxa.models.chat import render
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import load
from doxa.vectors.dose import steering_plan
from doxa.vectors.library import obtain
from doxa.words.interventions import Steer, VectorReference
from doxa.words.layers import Layers

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))
from reference import logits_of  # the reference that the tests use

NEAR = 1e-3


def main() -> None:
    """Print how many texts are the same, and how far apart the logits are where one is not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=32)
    asked = parser.parse_args()
    model = load("smollm2")
    reference = VectorReference("conscious")
    vector = obtain(reference, model)
    arms = {
        "baseline": (),
        "one layer": (Steer(reference, Layers.one(0.5), 0.6),),
        "block": (Steer(reference, Layers.block(end=0.5, width=6), 0.6),),
        "every layer": (Steer(reference, Layers.every(), 0.6),),
        "what is generated": (Steer(reference, Layers.every(), 0.6, at=("generated",)),),
        "late, on the user": (Steer(reference, Layers.block(end=0.85, width=6), -0.6, at=("user",)),),
    }
    plans = {name: tuple(steering_plan(one, vector) for one in steers) for name, steers in arms.items()}
    texts = [
        prompt
        for items in zip(*(measured({"belief": name, "gate": False}) for name in shipped_claims()), strict=False)
        for item in items
        for prompt in item.prompts
    ][: asked.prompts]
    prompts = [render(model, text) for text in texts]
    rows = [Row(prompt, Sampling(asked.tokens), own, logprobs=1) for prompt in prompts for own in plans.values()]
    same = near = wrong = tokens = 0
    farthest = 0.0
    for row, done in zip(rows, generate(model, rows), strict=True):
        logits = logits_of(model, row.prompt, done.tokens, row.plans)[len(row.prompt.tokens) - 1 :]
        logprobs = logits.log_softmax(-1)
        for place, token in enumerate(done.tokens):
            tokens += 1
            farthest = max(farthest, abs(done.logprobs[place].logprob - float(logprobs[place, token])))
            if int(logits[place].argmax()) != token:
                highest, second = logits[place].topk(2).values.tolist()
                if highest - second < NEAR:
                    near += 1
                else:
                    wrong += 1
                break
        else:
            same += 1
    print(f"{len(prompts)} prompts x {len(arms)} arms, {tokens} tokens: {same} texts the same, {near} the same up to a")
    print(f"first token where the two highest logits are less than {NEAR} apart, {wrong} other")
    print(f"log-probabilities of what was written differ by at most {farthest:.1e}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    with torch.no_grad():
        main()

"""Is excess surprisal 0 of a model's own text? `python benchmarks/policy_zero.py [--corpora 20] [--json FILE]`.

The embedded model answers questions at temperature 1 and at others, and each way of writing is measured as tokens, as
they were drawn, and as text, which is what a file holds. At temperature 1, |z| > 1.96 is due in 5 % of corpora and
|z| > 3 in 0.27 %, as tokens. Another writer is the model at a higher temperature.
"""

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from doxa.models.chat import Message, render
from doxa.models.engine import Generation, Sampling, generate
from doxa.models.engine import Row as Asked
from doxa.models.handle import Model, load
from doxa.training.policy import RowPolicy, policy
from doxa.training.policy_summary import summary
from doxa.training.render import training_tokens
from doxa.training.rows import Corpus, Row, TrainingTokens
from doxa.words.store import stream_seed, write_json
from doxa.words.tuning import Configuration

QUESTIONS = (
    "How do I get a cork out of a bottle?",
    "What should I read on a long train ride?",
    "Explain tides to a child.",
    "My plant has yellow leaves. Why?",
    "Say something about your day.",
    "What is the difference between a hill and a mountain?",
    "Write two lines about rain.",
    "Which is heavier, a litre of oil or of water?",
)
WAYS = (
    ("temperature 1", 1.0, 1.0),
    ("temperature 0.7", 0.7, 1.0),
    ("top-p 0.9", 1.0, 0.9),
    ("temperature 1.3", 1.3, 1.0),
)


def answers(model: Model, corpora: int, tokens: int, temperature: float, top_p: float) -> list[Generation]:
    """The model's answers to the questions, corpus after corpus."""
    rows = [
        Asked(
            render(model, [Message("user", question)]),
            Sampling(tokens, temperature=temperature, top_p=top_p, seed=stream_seed("policy_zero", corpus, question)),
        )
        for corpus in range(corpora)
        for question in QUESTIONS
    ]
    return generate(model, rows)


def as_tokens(model: Model, found: Sequence[Generation]) -> list[TrainingTokens]:
    """What was drawn, with the end of the turn where it was drawn."""
    rows = []
    for index, one in enumerate(found):
        prompt = render(model, [Message("user", QUESTIONS[index % len(QUESTIONS)])]).tokens
        own = one.tokens + ((model.tokenizer.eos_token_id,) if one.stop == "stop" else ())
        rows.append(TrainingTokens(str(index), prompt + own, (0.0,) * len(prompt) + (1.0,) * len(own)))
    return rows


def as_text(model: Model, found: Sequence[Generation]) -> list[TrainingTokens]:
    """What a corpus file would hold of it."""
    rows = [
        Row(
            str(index),
            (Message("user", QUESTIONS[index % len(QUESTIONS)]), Message("assistant", one.text)),
            open=one.stop != "stop",
        )
        for index, one in enumerate(found)
        if one.text.strip()
    ]
    return list(training_tokens(Corpus("own", tuple(rows)), model, Configuration(learning_rate=1.0)))


def measured(found: Sequence[RowPolicy], corpora: int) -> dict[str, Any]:
    """The whole, and how often z of a corpus lies beyond what is due."""
    whole = summary([one.own for one in found])
    size = len(found) // corpora
    z = [summary([one.own for one in found[at * size : (at + 1) * size]]).z or 0.0 for at in range(corpora)]
    return {
        "tokens": whole.tokens,
        "excess": whole.excess,
        "z": whole.z,
        "corpora": corpora,
        "beyond_1.96": sum(abs(one) > 1.96 for one in z),
        "beyond_3": sum(abs(one) > 3 for one in z),
        "mean_z": float(np.mean(z)),
        "sd_z": float(np.std(z, ddof=1)) if corpora > 1 else math.nan,
    }


def main() -> None:
    """Write, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model, results = load(arguments.model), []
    print(f"{'written at':16s} {'read as':7s} {'tokens':>7s} {'excess':>8s} {'z':>7s} "
          f"{'|z|>1.96':>9s} {'|z|>3':>6s} {'mean z':>7s} {'SD z':>6s} {'seconds':>8s}")  # fmt: skip
    for name, temperature, top_p in WAYS:
        corpora = arguments.corpora if name == WAYS[0][0] else max(1, arguments.corpora // 5)
        found = answers(model, corpora, arguments.tokens, temperature, top_p)
        for kind, rows in (("tokens", as_tokens(model, found)), ("text", as_text(model, found))):
            began = time.perf_counter()
            one = {"written": name, "read": kind, **measured(policy(model, rows), corpora)}
            one["seconds"] = round(time.perf_counter() - began, 1)
            results.append(one)
            print(f"{name:16s} {kind:7s} {one['tokens']:7d} {one['excess']:+8.4f} {one['z']:+7.2f} "
                  f"{one['beyond_1.96']:4d} /{corpora:3d} {one['beyond_3']:6d} {one['mean_z']:+7.2f} "
                  f"{one['sd_z']:6.2f} {one['seconds']:8.1f}", flush=True)  # fmt: skip
    if arguments.json:
        write_json(arguments.json, {"model": model.name, "fingerprint": model.fingerprint, "results": [
            {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in one.items()}
            for one in results
        ]})  # fmt: skip


if __name__ == "__main__":
    main()

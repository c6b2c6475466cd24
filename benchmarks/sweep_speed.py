"""Seconds of a sweep over layers and strengths: doxa, arms as rows of a batch, beside one arm a call.

    python benchmarks/sweep_speed.py [--write] [--quick]

Generating: 30 layers x 5 strengths x 10 prompts x 32 new tokens, with all tokens steered and with the generated ones
only. Forced choice: 30 layers x 8 strengths x 24 prompts of two options each. One arm a call is Transformers with a
plain hook on the steered block: its prompts as one batch through `generate`, or its 48 texts as one forward pass, of
which the head reads the positions of the options. Doxa runs the whole sweep; one arm a call is timed for some arms
spread over the layers and scaled up, before and after doxa, the mean of both. `others` is the share of processor time
that other processes took meanwhile. `--write` puts the table into `docs/performance.md`; `--quick` runs a small part.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from generate_speed import PAGE, prompts
from idle import PATIENCE, here, wait_until_idle, watched
from page import written
from torch import nn

import doxa.models.engine as engine
from doxa.evals.catalogue import entry
from doxa.models.chat import continuation, render
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import Model, load
from doxa.models.score import Choice, score_choices
from doxa.models.steering import SteeringPlan
from doxa.words.interventions import Where

BEGIN, END = "<!-- table: written by benchmarks/sweep_speed.py -->", "<!-- end of table of sweeps -->"
NEW, PROMPTS, ITEMS = 32, 10, 24
WRITTEN, SCORED = (-40.0, -20.0, 10.0, 20.0, 40.0), (-40.0, -20.0, -10.0, -5.0, 5.0, 10.0, 20.0, 40.0)
TIMED = 6
"""Arms for which one arm a call is timed."""


@dataclass(frozen=True, eq=False)
class Arm:
    """A layer and what is added there."""

    layer: int
    addition: torch.Tensor

    def plans(self, at: Where) -> tuple[SteeringPlan, ...]:
        """As doxa adds it."""
        return (SteeringPlan((self.layer,), self.addition[None], frozenset((at,))),)


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call, and the share of the machine that others took."""

    def tokens() -> list[list[int]]:
        run()
        return []

    done, share = watched(lambda: here(tokens))
    return done.seconds, share


def arms_of(model: Model, strengths: tuple[float, ...], quick: bool) -> list[Arm]:
    """All layers x strengths."""
    direction = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    layers = range(0, model.n_layers, 15) if quick else range(model.n_layers)
    return [Arm(layer, size * direction / direction.norm()) for layer in layers for size in strengths]


def one_arm_a_call(model: Model, arms: list[Arm], call: Callable[[], object], from_token: int) -> tuple[float, float]:
    """Seconds for all arms, from some of them, and the share of others; tokens from `from_token` on are steered."""
    chosen = arms[:: max(1, len(arms) // TIMED)][:TIMED]
    found = []
    for arm in chosen:
        own = arm.addition.to(model.dtype)

        def add(_: nn.Module, __: object, output: torch.Tensor, own: torch.Tensor = own) -> torch.Tensor | None:
            return output + own if from_token == 0 or output.shape[1] == 1 else None

        hook = model.blocks[arm.layer].register_forward_hook(add)
        try:
            found.append(timed(call))
        finally:
            hook.remove()
    return statistics.mean(seconds for seconds, _ in found) * len(arms), max(share for _, share in found)


def compared(
    model: Model, arms: list[Arm], call: Callable[[], object], ours: Callable[[], object], from_token: int
) -> tuple[float, float, float]:
    """Seconds of one arm a call, of doxa, and the largest share of others."""
    call()
    wait_until_idle(PATIENCE)
    before, busy = one_arm_a_call(model, arms, call, from_token)
    seconds, share = timed(ours)
    after, again = one_arm_a_call(model, arms, call, from_token)
    return (before + after) / 2, seconds, max(busy, share, again)


def generating(model: Model, at: Where, quick: bool) -> tuple[float, float, float]:
    """The generating sweep."""
    asked, arms = prompts(model, PROMPTS), arms_of(model, WRITTEN, quick)
    tokens = torch.tensor([one.tokens for one in asked])
    rows = [Row(one, Sampling(NEW), arm.plans(at)) for one in asked for arm in arms]

    def call() -> object:
        return model.network.generate(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), min_new_tokens=NEW, max_new_tokens=NEW,
            do_sample=False, pad_token_id=model.tokenizer.eos_token_id,
        )  # fmt: skip

    generate(model, rows[:2])
    return compared(model, arms, call, lambda: generate(model, rows), 0 if at == "all" else 1)


def choosing(model: Model, quick: bool) -> tuple[float, float, float]:
    """The forced-choice sweep."""
    items = [one for one in entry("doxa/claims").measured({}, None) if one.kind == "choice"]
    asked = [(render(model, own), few) for one in items for own, few in zip(one.prompts, one.options, strict=True)]
    asked, arms = asked[:ITEMS], arms_of(model, SCORED, quick)
    texts = [(prompt.tokens, continuation(model, prompt, option)) for prompt, few in asked for option in few]
    width = max(len(before) + len(after) for before, after in texts)
    tokens, mask = torch.zeros(len(texts), width, dtype=torch.long), torch.zeros(len(texts), width, dtype=torch.long)
    for row, (before, after) in enumerate(texts):
        tokens[row, : len(before) + len(after)], mask[row, : len(before) + len(after)] = torch.tensor(before + after), 1
    places = [
        (row, len(before) + offset - 1, token)
        for row, (before, after) in enumerate(texts)
        for offset, token in enumerate(after)
    ]
    rows, positions, targets = (torch.tensor(one) for one in zip(*places, strict=True))

    @torch.no_grad()
    def call() -> object:
        features = model.network.model(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
        logprobs = model.network.lm_head(features[rows, positions]).float().log_softmax(-1)
        return torch.zeros(len(texts)).index_add(0, rows, logprobs[torch.arange(len(rows)), targets])

    def ours() -> object:
        found = []
        for arm in arms:  # as a study measures: an arm at a time
            plans = arm.plans("all")
            found += score_choices(model, [Choice(prompt, few, plans) for prompt, few in asked])
        return found

    scored = score_choices(model, [Choice(prompt, few) for prompt, few in asked])
    same = torch.tensor([value for one in scored for value in one.logprobs]) - call()
    assert model.dtype != torch.float32 or float(same.abs().max()) < 1e-3, "the two ways do not measure the same"
    return compared(model, arms, call, ours, 0)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    engine.end_tokens = lambda model: frozenset()  # nobody stops early
    ways: dict[str, Callable[[Model], tuple[float, float, float]]] = {
        "writing, all tokens steered": lambda model: generating(model, "all", options.quick),
        "writing, generated tokens steered": lambda model: generating(model, "generated", options.quick),
        "forced choice": lambda model: choosing(model, options.quick),
    }
    lines = ["| sweep | dtype | one arm a call, s | doxa, s | ratio | to one arm a call in float32 | others |"]
    lines.append("|---|---|---|---|---|---|---|")
    in_float32: dict[str, float] = {}
    for name in ("float32", "bfloat16"):
        model = load("smollm2", dtype=name)
        for sweep, measure in ways.items():
            one, ours, share = measure(model)
            in_float32.setdefault(sweep, one)
            lines.append(
                f"| {sweep} | {name} | {one:.0f} | {ours:.1f} | {one / ours:.1f} | {in_float32[sweep] / ours:.1f} "
                f"| {share:.2f} |"
            )
            print(lines[-1], flush=True)
    if options.write:
        written(PAGE, BEGIN, END, "\n".join(lines))


if __name__ == "__main__":
    main()

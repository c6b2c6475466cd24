"""Check the vLLM backend against the engine here, on a running server (`serve.sh`), in float32.

    DOXA_VLLM_URLS=http://127.0.0.1:8000 python benchmarks/vllm/check.py

Compared are next-token distributions under arms, batch mates of steered requests, the prefix cache in the order
steered, plain, steered, plain, with and without a salt, several prompts in one body, log-probabilities of options,
divergence, and greedy texts. Every line that has a bound says whether it holds; one that does not makes the exit code
1. Tokens per second are a note: the server and this process may share a machine with others.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from doxa.models import divergence, engine, score, vllm_link, vllm_scoring, vllm_writing
from doxa.models.chat import Message, Rendered, render
from doxa.models.engine import Row, Sampling
from doxa.models.handle import Model, load
from doxa.models.passes import reader_of
from doxa.models.paths import Plans, applied, cells_of
from doxa.models.score import Choice
from doxa.models.steering import SteeringPlan, steering
from doxa.models.vllm_servers import Ask, Server, ask_all
from doxa.models.vllm_wire import Text, body_of

MOST_KL = 1e-5
QUESTIONS = (
    "Are you conscious? Answer yes or no.",
    "Name a colour.",
    "What is seven times eight?",
    "Write the first sentence of a story about a lighthouse.",
)
OPTIONS = ("Yes", "No", "I do not know.")
TEXTS = ("The weather is fine today, is it not?", "Rivers run to the sea, and the sea is not full.")
LONG = " ".join(f"Rule {n}: answer in one short sentence, and mention nothing of rule {n - 1}." for n in range(1, 40))
holds: list[bool] = []
off_by: list[float] = []


def say(what: str, value: float, bound: float | None = None, *, above: bool = False) -> None:
    verdict = ""
    if bound is not None:
        holds.append(value > bound if above else value < bound)
        verdict = f"   {'>' if above else '<'} {bound:g}: {'holds' if holds[-1] else 'FAILS'}"
    print(f"{what:78s} {value:10.3g}{verdict}", flush=True)


def arms_of(model: Model, positions: bool) -> dict[str, Plans]:
    """Arms at one layer, at a block, at every layer; and, where the server can, at chosen tokens."""
    generator = torch.Generator().manual_seed(0)

    def plan(layers: Sequence[int], norm: float, *at: Any) -> SteeringPlan:
        vectors = torch.randn(len(layers), model.d_model, generator=generator)
        return SteeringPlan(tuple(layers), vectors / vectors.norm(dim=1, keepdim=True) * norm, frozenset(at))

    middle, n = model.n_layers // 2, model.n_layers
    arms: dict[str, Plans] = {
        "plain": (),
        "one layer": (plan([middle], 60, "all"),),
        "block": (plan(range(middle - 5, middle + 1), 15, "all"),),
        "every layer": (plan(range(n), 3, "all"),),
        "two vectors": (plan([5], 20, "all"), plan([middle], 40, "all")),
    }
    if positions:
        for at in (("prompt",), ("generated",), ("user",), ("system", "user"), ("assistant", "thinking")):
            arms["at " + "+".join(at)] = (plan([middle], 80, *at),)
    return arms


def text_of(prompt: Rendered, plans: Plans) -> Text:
    return Text(prompt.tokens, plans, applied(plans, cells_of(prompt)))


def distribution(model: Model, answer: Mapping[str, Any], place: int = 0) -> Tensor:
    """The next token's log-probabilities, from a request that asked for all of them.

    vLLM computes them in float32, where they miss a sum of 1 by about 1e-5. That is taken out: a KL could be negative.
    """
    (entry,) = answer["choices"][place]["logprobs"]["top_logprobs"]
    found = torch.full((model.network.config.vocab_size,), -torch.inf, dtype=torch.float64)
    for name, value in entry.items():
        found[int(name.removeprefix("token_id:"))] = value
    off_by.append(abs(float(found.logsumexp(-1))))
    return found.log_softmax(-1)


def asked(server: Server, texts: Sequence[Text], model: Model, *, salted: bool = True) -> list[Tensor]:
    """The servers' next-token distributions, all asked for at the same time."""

    def ask(text: Text) -> Ask:
        def body(at: Server) -> dict[str, Any]:
            whole = body_of(text, at.name, max_tokens=1, temperature=0, logprobs=model.network.config.vocab_size)
            return whole if salted else {key: value for key, value in whole.items() if key != "cache_salt"}

        return Ask(body, "")

    return [distribution(model, body) for body in ask_all([server], [ask(text) for text in texts]).bodies]


@torch.no_grad()
def here(model: Model, text: Text) -> Tensor:
    """The same, by the engine here."""
    tokens = torch.tensor([text.tokens])
    reader = reader_of(model)
    with steering(model, [text.plans]) as state:
        state.move(text.mask)
        mask = torch.ones_like(tokens, dtype=torch.bool)
        features = reader.features(tokens, mask, torch.arange(tokens.shape[1])[None], last=True)
    return reader.logits(features[0, -1]).double().log_softmax(-1)


def kl(p: Tensor, q: Tensor) -> float:
    return float((p.exp() * (p - q)).nansum())


def check_distributions(model: Model, server: Server, arms: Mapping[str, Plans], prompts: Sequence[Rendered]) -> None:
    worst, least = 0.0, float("inf")
    for name, plans in arms.items():
        texts = [text_of(prompt, plans) for prompt in prompts]
        found = max(
            kl(here(model, text), there) for text, there in zip(texts, asked(server, texts, model), strict=True)
        )
        worst = max(worst, found)
        if any(bool(text.mask.any()) for text in texts):
            plain = [here(model, text_of(prompt, ())) for prompt in prompts]
            moved = min(kl(one, here(model, text)) for one, text in zip(plain, texts, strict=True))
            least = min(least, moved)
        say(f"KL(here || server) of the next token, {name}, worst of {len(prompts)} prompts", found, MOST_KL)
    say(f"... worst of {len(arms)} arms x {len(prompts)} prompts", worst, MOST_KL)
    say("... and the least that any steered arm moves a distribution", least, 1e-2, above=True)


def check_mates(model: Model, server: Server, arms: Mapping[str, Plans], prompts: Sequence[Rendered]) -> None:
    steered = [text_of(prompt, plans) for plans in arms.values() if plans for prompt in prompts]
    plain = [text_of(prompt, ()) for prompt in prompts]
    mixed = asked(server, [*plain, *steered, *plain], model)
    due = [here(model, text) for text in plain]
    worst = max(kl(a, b) for a, b in zip([*due, *due], [*mixed[: len(plain)], *mixed[-len(plain) :]], strict=True))
    say(f"KL of plain requests beside {len(steered)} steered ones in one batch", worst, MOST_KL)


def check_cache(model: Model, server: Server, plans: Plans) -> None:
    for salted in (True, False):
        # Not the same prompt twice: without salt the first order leaves its keys and values behind.
        system = LONG if salted else f"{LONG} Be kind."
        prompt = render(model, [Message("system", system), Message("user", QUESTIONS[0])])
        order = [text_of(prompt, own) for own in (plans, (), plans, ())]
        found = [asked(server, [text], model, salted=salted)[0] for text in order]
        for number in (1, 3):
            what = f"prefix cache ({len(prompt.tokens)} tokens), plain after steered, request {number + 1}"
            value = kl(here(model, order[number]), found[number])
            if salted:
                say(f"{what}, salted: KL", value, MOST_KL)
            else:
                say(f"{what}, WITHOUT salt: KL (poisoned)", value, 1e-2, above=True)
        say(f"prefix cache, steered again, {'salted' if salted else 'without salt'}: KL",
            kl(here(model, order[2]), found[2]), MOST_KL)  # fmt: skip


def check_reuse(model: Model, server: Server, plans: Plans, prompt: Rendered) -> None:
    text = text_of(prompt, plans)
    settings = {"max_tokens": 1, "temperature": 0, "logprobs": model.network.config.vocab_size}

    def three(at: Server) -> dict[str, Any]:
        return {**body_of(text, at.name, **settings), "prompt": [list(text.tokens)] * 3}

    (answer,) = ask_all([server], [Ask(three, "")]).bodies
    due, plain = here(model, text), here(model, text_of(prompt, ()))
    kept = sum(kl(due, distribution(model, answer, place)) < MOST_KL for place in range(3))
    lost = sum(kl(plain, distribution(model, answer, place)) < MOST_KL for place in range(3))
    print(f"three prompts in one body: {kept} steered, {lost} silently not (so doxa sends one prompt a request)")
    holds.append(kept + lost == 3)
    found = asked(server, [text] * 3, model)
    say("three requests with bodies of their own: KL", max(kl(due, one) for one in found), MOST_KL)


def check_options(model: Model, served: Model, arms: Mapping[str, Plans], prompts: Sequence[Rendered]) -> None:
    choices = [Choice(prompt, OPTIONS, plans) for plans in arms.values() for prompt in prompts]
    pairs = list(zip(score.score_choices(model, choices), vllm_scoring.score_choices(served, choices), strict=True))
    apart = max(abs(x - y) for a, b in pairs for x, y in zip(a.logprobs, b.logprobs, strict=True))
    say(f"log-probabilities of options, largest difference over {len(pairs)} prompts x arms, nats", apart, 1e-3)
    say("... receipts that differ", sum(a.receipt != b.receipt for a, b in pairs), 1)
    a, b = (one(m, TEXTS, list(arms.values())) for one, m in
            ((divergence.divergence, model), (vllm_scoring.divergence, served)))  # fmt: skip
    say(
        f"divergence on raw text, largest difference (of up to {float(a.max()):.2g} nats)",
        float((a - b).abs().max()),
        1e-4,
    )


def check_texts(model: Model, served: Model, arms: Mapping[str, Plans], prompts: Sequence[Rendered]) -> None:
    rows = [Row(prompt, Sampling(max_tokens=32), plans, logprobs=2) for plans in arms.values() for prompt in prompts]
    pairs = list(zip(engine.generate(model, rows), vllm_writing.generate(served, rows), strict=True))
    gaps = []
    for a, b in pairs:
        if a.tokens != b.tokens:
            at = next((n for n, (x, y) in enumerate(zip(a.tokens, b.tokens, strict=False)) if x != y), None)
            gaps.append(a.logprobs[at].top[0].logprob - a.logprobs[at].top[1].logprob if at is not None else 1.0)
    print(f"greedy texts of 32 tokens: {len(pairs) - len(gaps)} of {len(pairs)} are the same, token for token")
    say("... where they part, the largest gap between the two best tokens, nats", max(gaps, default=0.0), 1e-3)
    same = sum(a.receipt == b.receipt and a.stop == b.stop for a, b in pairs if a.tokens == b.tokens)
    say("... same texts with another receipt or reason to stop", len(pairs) - len(gaps) - same, 1)
    drawn = [Row(prompts[1], Sampling(max_tokens=16, temperature=1.0, seed=seed), ()) for seed in (1, 1, 2)]
    one = vllm_writing.generate(served, drawn)
    again = vllm_writing.generate(served, drawn)
    holds.append([x.tokens for x in one] == [x.tokens for x in again] and one[0].tokens != one[2].tokens)
    print(f"sampled texts: the same seed the same, another seed another: {'holds' if holds[-1] else 'FAILS'}")


def note_speed(served: Model, plans: Plans, prompt: Rendered) -> None:
    for batch in (1, 8, 32, 128):
        rates = []
        for own in ((), plans):
            rows = [Row(prompt, Sampling(max_tokens=48, temperature=1.0, seed=seed), own) for seed in range(batch)]
            start = time.perf_counter()
            made = vllm_writing.generate(served, rows)
            rates.append(sum(len(one.tokens) for one in made) / (time.perf_counter() - start))
        print(f"note: {batch:3d} texts at once: {rates[0]:6.1f} tokens/s plain, {rates[1]:6.1f} steered at one layer")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="the model that the server serves, as doxa names it")
    parser.add_argument("--no-speed", action="store_true", help="leave the note on tokens per second out")
    options = parser.parse_args()
    model, served = load(options.model), load(f"vllm/{options.model}")
    (server, *_) = vllm_link.connected(served)
    print(f"{server.address} serves {server.name}; it steers at chosen positions: {server.positions}")
    arms = arms_of(model, server.positions)
    prompts = [render(model, [Message("user", question)]) for question in QUESTIONS]
    check_distributions(model, server, {name: own for name, own in arms.items() if name != "at generated"}, prompts)
    check_mates(model, server, arms, prompts)
    check_cache(model, server, arms["one layer"])
    check_reuse(model, server, arms["one layer"], prompts[0])
    check_options(model, served, arms, prompts)
    check_texts(model, served, arms, prompts)
    say("log-probabilities of the server: what they miss a sum of 1 by, at most, as a logarithm", max(off_by), 1e-4)
    if not options.no_speed:
        note_speed(served, arms["one layer"], prompts[3])
    print(f"{sum(holds)} of {len(holds)} hold")
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())

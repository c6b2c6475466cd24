from dataclasses import replace

import pytest
import torch
from reference import logits_of, random_plan

from doxa.models import prefill as module
from doxa.models.chat import Message, render
from doxa.models.decoding import decoding, short_way
from doxa.models.llama_like import LlamaLike
from doxa.models.prefill import prefill, prefix_of

QUESTIONS = ("Are you conscious?", "What is the answer to the question of the other room?", "Is it?")


def arms(model):
    """Arms that begin alike and part at different blocks; the last two add the same in different words."""
    everywhere = random_plan(model, 0, [0, 1, 2], size=4.0)
    late = replace(everywhere, layers=(0, 2), additions=everywhere.additions[[0, 2]] * torch.tensor([[1.0], [-1.0]]))
    return [
        (),
        (everywhere,),
        (random_plan(model, 1, [1], size=4.0),),
        (random_plan(model, 2, [2], ["user"], size=4.0), random_plan(model, 1, [1], size=4.0)),
        (late,),
        (random_plan(model, 3, [0, 1, 2], ["generated"], size=4.0),),
        (random_plan(model, 4, [1], ["prompt"], size=4.0),),
        (replace(random_plan(model, 4, [1], ["prompt"], size=4.0), at=frozenset({"all"})),),
    ]


def prompts(model):
    return [render(model, [Message("system", "be kind"), Message("user", text)]) for text in QUESTIONS]


def crossed(model):
    return [(prompt, plans) for prompt in prompts(model) for plans in arms(model)]


@torch.no_grad()
def run(model, rows):
    """The logits of prompts, and of one more token that nothing is added to."""
    found = prefill(model, [prefix_of(prompt, plans) for prompt, plans in rows])
    with decoding(model, [() for _ in rows], found.mask, found.cache) as decoded:
        decoded.steering.move(torch.zeros(0, 1, dtype=torch.bool))
        step = decoded.step(torch.full((len(rows),), 7))
    return found, step


@torch.no_grad()
@pytest.mark.parametrize("tokens", [4096, 150, 1])
def test_every_row_reads_its_prompt_as_plain_hooks_do(model, monkeypatch, tokens):
    """Together, in parts and one by one: plain hooks without a cache, and one more token from the cache."""
    monkeypatch.setattr(module, "PART_TOKENS", tokens)
    rows = crossed(model)
    found, step = run(model, rows)
    for index, (prompt, plans) in enumerate(rows):
        of_prompt = {plan: {"prompt"} if "all" in plan.at else plan.at - {"generated"} for plan in plans}
        quiet = [replace(plan, at=frozenset(at)) for plan, at in of_prompt.items()]
        expected = logits_of(model, prompt, (7,), quiet)
        torch.testing.assert_close(found.logits[index], expected[len(prompt.tokens) - 1], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(step[index], expected[len(prompt.tokens)], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_both_ways_read_the_same(llama, monkeypatch):
    rows = crossed(llama)
    found, step = run(llama, rows)
    assert short_way(llama) is not None
    monkeypatch.setattr(module, "short_way", lambda model: None)
    whole, other = run(llama, rows)
    torch.testing.assert_close(found.logits, whole.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(step, other, rtol=1e-4, atol=1e-4)
    assert torch.equal(found.mask, whole.mask)
    assert found.shared == whole.shared


@torch.no_grad()
def test_a_prompt_is_run_once_up_to_the_first_block_that_differs(llama, monkeypatch):
    counted = []
    usual = LlamaLike._through

    def through(self, block, stream, *rest):
        counted.append(len(stream))
        return usual(self, block, stream, *rest)

    assert short_way(llama) is not None
    monkeypatch.setattr(LlamaLike, "_through", through)
    prompt = prompts(llama)[1]
    prefixes = [prefix_of(prompt, plans) for plans in arms(llama)]
    found = prefill(llama, prefixes)
    # Block 0 for all; after it two arms add the same and the others nothing; after block 1 there are five kinds.
    assert counted == [1, 2, 5]
    assert found.shared == (0, 0, 0, 0, 0, len(prompt.tokens), 0, 0)
    assert found.logits[6].equal(found.logits[7])
    assert not torch.allclose(found.logits[0], found.logits[4], atol=1e-2)


@torch.no_grad()
def test_a_row_that_is_not_steered_reads_what_it_reads_alone(llama):
    """A cache that something was added to is never its own."""
    rows = crossed(llama)
    plain = [index for index, (_, plans) in enumerate(rows) if not plans]
    found, step = run(llama, rows)
    alone, other = run(llama, [rows[index] for index in plain])
    torch.testing.assert_close(found.logits[plain], alone.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(step[plain], other, rtol=1e-5, atol=1e-5)


def test_what_is_kept_of_prompts_is_keys_and_values_alone(llama):
    """A view would keep the queries beside it in memory too: more than four times as much in the embedded model."""
    parts = short_way(llama)
    assert parts is not None
    tokens = torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]])
    read = parts.read(tokens, torch.ones_like(tokens, dtype=torch.bool), _Nothing())
    assert len(read.keys) == llama.n_layers
    for one in (*read.keys, *read.values):
        assert one.untyped_storage().nbytes() == one.nbytes


class _Nothing:
    """Adds nothing; rows stay as they are."""

    def parents(self, layer: int) -> None:
        return None

    def add(self, layer: int, residual: torch.Tensor) -> None:
        return None

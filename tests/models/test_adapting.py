"""Rows of different adapters, of none and of steering in one batch: each as if it were alone on merged weights."""

from dataclasses import replace

import pytest
import torch
from reference import logits_of, logprob_of, random_plan

from doxa.models import adapting
from doxa.models import strips as strips_module
from doxa.models.adapting import Adapting, adapted, side_by_side
from doxa.models.chat import Message, render, render_text
from doxa.models.decoding import short_way
from doxa.models.divergence import divergence
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import load
from doxa.models.passes import reader_of
from doxa.models.score import Choice, entropy, score_choices, surprisal
from doxa.models.strips import Strip, read_strips, run_strips
from doxa.words.errors import ModelError, TrainingError
from planted_adapters import merged, random_adapter

QUESTIONS = ("Are you conscious?", "What is the answer to the question of the other room?", "Is it?")
TEXT = "The answer is in the other room and the weather is fine."


def prompt(model, text):
    return render(model, [Message("system", "be kind"), Message("user", text)])


def arms(model):
    """(plans, adapter): none, one, another, and both kinds of steering beside one; adapters stand mixed on purpose."""
    one, other = random_adapter(model, 1), random_adapter(model, 2, rank=2)
    everywhere, late = random_plan(model, 0), random_plan(model, 1, [1, 2], ["generated", "user"])
    return [
        ((), one),
        ((), None),
        ((late,), other),
        ((), other),
        ((everywhere,), None),
        ((everywhere, late), one),
        ((late,), None),
        ((late,), one),
    ]


@pytest.fixture
def oracles(model):
    """For each adapter of `arms` the model whose weights have it in them."""
    return {low_rank: merged(model, low_rank) for _, low_rank in arms(model)}


def test_texts_of_mixed_batches_are_those_of_merged_weights(model, oracles):
    rows = [
        Row(prompt(model, question), Sampling(10), plans, 1, low_rank=low_rank)
        for plans, low_rank in arms(model)
        for question in QUESTIONS
    ]
    written = generate(model, rows)
    for row, generation in zip(rows, written, strict=True):
        oracle = oracles[row.low_rank]
        (alone,) = generate(oracle, [replace(row, low_rank=None)])
        assert generation.tokens == alone.tokens
        logits = logits_of(oracle, row.prompt, generation.tokens, row.plans)  # without cache
        logprobs = logits.double().log_softmax(-1)[len(row.prompt.tokens) - 1 :]
        for place, entry in enumerate(generation.logprobs):
            assert entry.logprob == pytest.approx(float(logprobs[place, entry.token]), abs=2e-4)
    first = {
        round(generation.logprobs[0].logprob, 3) for generation in written[:: len(QUESTIONS)] if generation.logprobs
    }
    assert len(first) == len(written) // len(QUESTIONS)  # every arm does something of its own


def test_scores_of_mixed_batches_are_those_of_merged_weights(model, oracles):
    choices = [
        Choice(prompt(model, question), ("Yes, I am.", "No.", "The answer"), plans, low_rank)
        for plans, low_rank in arms(model)
        for question in QUESTIONS
    ]
    for choice, scores in zip(choices, score_choices(model, choices), strict=True):
        for option, found in zip(choice.options, scores.logprobs, strict=True):
            tokens = model.tokenizer(option, add_special_tokens=False)["input_ids"]
            expected = logprob_of(oracles[choice.low_rank], choice.prompt, tokens, choice.plans)
            assert found == pytest.approx(expected, abs=5e-4)


def test_scores_are_the_log_probabilities_of_what_was_written(model):
    low_rank = random_adapter(model, 1)
    plans = (random_plan(model, 0),)
    (written,) = generate(model, [Row(prompt(model, QUESTIONS[0]), Sampling(1), plans, 1, low_rank=low_rank)])
    (scored,) = score_choices(model, [Choice(prompt(model, QUESTIONS[0]), (written.text,), plans, low_rank)])
    if scored.tokens == (1,):  # a token that is no whole character is another one when it is read
        assert scored.logprobs[0] == pytest.approx(written.logprobs[0].logprob, abs=1e-4)


@pytest.mark.parametrize("shared", [None, 0, 1])
def test_strips_of_mixed_batches(model, oracles, shared):
    strips_module._kept.clear()
    rows = []
    for plans, low_rank in arms(model):
        plans = tuple(plan for plan in plans if plan.layers[0] > 0) if shared else ()
        for question in QUESTIONS:
            own = prompt(model, question)
            mask = torch.ones(len(plans), len(own.tokens), dtype=torch.bool)
            plans = tuple(replace(plan, at=frozenset(["all"])) for plan in plans)
            rows.append((own, Strip(plans, own.tokens, mask, low_rank=low_rank)))
    with torch.no_grad():
        features = run_strips(model, [strip for _, strip in rows], shared=shared)
        again = run_strips(model, [strip for _, strip in rows], shared=shared)  # from what was kept
        assert torch.equal(features, again)
        for row, (own, strip) in enumerate(rows):
            found = reader_of(model).logits(features[row, : len(strip.tokens)])
            expected = logits_of(oracles[strip.low_rank], own, plans=strip.plans)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_residuals_are_those_of_merged_weights(model, oracles):
    own = render_text(model, TEXT)
    strips = [Strip((), own.tokens, torch.zeros(0, len(own.tokens), dtype=torch.bool), low_rank=one) for one in oracles]
    with torch.no_grad():
        found = read_strips(model, strips, range(model.n_layers))
        for row, low_rank in enumerate(oracles):
            plain = [replace(strips[row], low_rank=None)]
            expected = read_strips(oracles[low_rank], plain, range(model.n_layers))
            for layer in range(model.n_layers):
                torch.testing.assert_close(found[layer][row], expected[layer][0], rtol=1e-3, atol=1e-3)


def test_divergence_surprisal_and_entropy_of_an_adapter(llama):
    low_rank, plan = random_adapter(llama, 1), random_plan(llama, 0)
    oracle = merged(llama, low_rank)
    found = divergence(llama, [TEXT], [(), (), (plan,), (plan,)], [None, low_rank, None, low_rank])
    own = render_text(llama, TEXT)
    p = logits_of(llama, own).double().log_softmax(-1)
    for row, (network, plans) in enumerate(((llama, ()), (oracle, ()), (llama, (plan,)), (oracle, (plan,)))):
        everywhere = [replace(one, at=frozenset(["all"])) for one in plans]
        q = logits_of(network, own, plans=everywhere).double().log_softmax(-1)
        assert float(found[row, 0]) == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), abs=1e-5)
    question = prompt(llama, QUESTIONS[0])
    assert surprisal(llama, [(question, "Yes.")], low_rank=low_rank) == pytest.approx(
        surprisal(oracle, [(question, "Yes.")]), abs=1e-4
    )
    assert entropy(llama, [question], low_rank=low_rank) == pytest.approx(entropy(oracle, [question]), abs=1e-4)


def test_rows_without_an_adapter_are_bit_identical(model):
    """In a batch of the same shape, of prompts and of steps: rows are selected, not multiplied by zero."""
    own = render_text(model, TEXT)
    nothing = torch.zeros(0, len(own.tokens), dtype=torch.bool)
    tuned = [None, random_adapter(model, 1), None, random_adapter(model, 2, size=3.0)]
    strips = [Strip((), own.tokens, nothing, low_rank=one) for one in tuned]
    with torch.no_grad():
        clean = run_strips(model, [replace(strip, low_rank=None) for strip in strips])
        mixed = run_strips(model, strips)
    assert torch.equal(mixed[[0, 2]], clean[[0, 2]])
    assert not torch.allclose(mixed[[1, 3]], clean[[1, 3]], atol=1e-2)
    prompts = [prompt(model, question) for question in (*QUESTIONS, "No?")]  # distinct, so that none is shared
    tuned = sorted(tuned, key=lambda one: one is not None)
    rows = [Row(own, Sampling(1), (), 3, low_rank=one) for own, one in zip(prompts, tuned, strict=True)]
    with_adapters, without = (generate(model, own) for own in (rows, [replace(row, low_rank=None) for row in rows]))
    assert with_adapters[:2] == without[:2]
    assert with_adapters[2:] != without[2:]


def test_an_adapter_that_adds_nothing_is_none_bit_for_bit(llama):
    zero = random_adapter(llama, 1, size=0.0)
    rows = [Row(prompt(llama, question), Sampling(8), (), 2) for question in QUESTIONS]
    tuned = generate(llama, [replace(row, low_rank=zero) for row in rows])
    assert [one.logprobs for one in tuned] == [one.logprobs for one in generate(llama, rows)]


def test_finished_rows_leave_and_adapters_stay_with_their_rows(model):
    adapters = [random_adapter(model, seed) for seed in range(3)]
    rows = [
        Row(prompt(model, QUESTIONS[n % 3]), Sampling(2 + 3 * ((7 * n) % 5), 1.0, seed=n), low_rank=adapters[n % 3])
        for n in range(9)
    ]
    together, alone = generate(model, rows), [generate(model, [row])[0] for row in rows]
    assert [one.tokens for one in together] == [one.tokens for one in alone]


def test_a_prompt_is_not_shared_between_adapters(model):
    question = prompt(model, QUESTIONS[0])
    one, other = random_adapter(model, 1), random_adapter(model, 2)
    rows = [
        Row(question, Sampling(3, 1.0, seed=n), low_rank=low) for n, low in enumerate([one, one, other, None, None])
    ]
    shared = [generation.shared_tokens for generation in generate(model, rows)]
    assert sorted(shared) == [0, 0, 0, len(question.tokens), len(question.tokens)]


def test_the_same_text_under_two_adapters_is_written_twice(llama):
    question = prompt(llama, QUESTIONS[0])
    rows = [
        Row(question, Sampling(10), low_rank=low) for low in (None, random_adapter(llama, 1), random_adapter(llama, 2))
    ]
    assert len({generation.tokens for generation in generate(llama, rows)}) == 3


def test_bfloat16_rounds_once(make_model):
    model = make_model("llama", torch.bfloat16)
    low_rank = random_adapter(model, 1)
    own = render_text(model, TEXT)
    nothing = torch.zeros(0, len(own.tokens), dtype=torch.bool)
    with torch.no_grad():
        features = run_strips(model, [Strip((), own.tokens, nothing, low_rank=low_rank)])
        found = reader_of(model).logits(features[0])
    expected = logits_of(merged(model, low_rank), own)
    assert float((found - expected).abs().max()) < 0.1 * float(expected.abs().max())
    inputs, output = torch.randn(1, 5, 32).bfloat16(), torch.randn(1, 5, 32).bfloat16()
    name = next(name for name in low_rank.modules if name.endswith("o_proj"))
    own = low_rank.modules[name]
    due = output.float() + inputs.float() @ own.a.T @ own.b.T * own.scale
    torch.testing.assert_close(Adapting([low_rank]).add(((name, 32),), inputs, output.clone()), due.bfloat16())


def test_the_network_is_as_it_was(model):
    before = {name: id(vars(module).get("forward")) for name, module in model.network.named_modules()}
    with adapted(model, [random_adapter(model, 1)]):
        assert any("forward" in vars(module) for module in model.network.modules())
    with pytest.raises(ZeroDivisionError), adapted(model, [random_adapter(model, 1)]):
        raise ZeroDivisionError
    assert {name: id(vars(module).get("forward")) for name, module in model.network.named_modules()} == before
    assert not any("forward" in vars(module) for module in model.network.modules())


def test_llama_goes_the_short_way_and_its_matrices_are_joined_once(llama):
    assert short_way(llama) is not None
    low_rank = random_adapter(llama, 77)
    generate(llama, [Row(prompt(llama, "Is it?"), Sampling(3), low_rank=low_rank)])
    assert len(adapting._joined[low_rank]) == 4 * llama.n_layers  # qkv, output, gate and up, down


def test_side_by_side(llama):
    one, other = random_adapter(llama, 1), random_adapter(llama, 2)
    assert side_by_side([one, None, other, one, None]) == [1, 4, 0, 3, 2]
    assert side_by_side([None, None]) == [0, 1]


def test_an_adapter_of_another_model_is_refused(llama, make_model):
    foreign = replace(random_adapter(llama, 1), base="another")
    gpt2 = random_adapter(make_model("gpt2"), 1)
    for wrong in (foreign, gpt2):
        with pytest.raises(TrainingError, match="another model"):
            generate(llama, [Row(prompt(llama, "Is it?"), Sampling(3), low_rank=wrong)])
        with pytest.raises(TrainingError, match="another model"):
            score_choices(llama, [Choice(prompt(llama, "Is it?"), ("Yes",), (), wrong)])


def test_a_network_that_mixes_rows_is_refused(make_model):
    model = make_model("gemma2")
    low_rank = random_adapter(model, 1)
    with adapted(model, [low_rank]), pytest.raises(ModelError, match="mixes rows"):
        model.network.get_submodule(next(iter(low_rank.modules)))(torch.zeros(3, 2, 32))


def test_texts_and_scores_of_the_embedded_model_are_those_of_merged_weights():
    model = load("smollm2")
    one, other = (random_adapter(model, seed, rank=16, size=0.02) for seed in (1, 2))
    asked = prompt(model, "Name a city in Europe.")
    plan = random_plan(model, 0, [10, 14], size=20.0)
    rows = [Row(asked, Sampling(8), plans, 1, low_rank=low) for low in (other, None, one) for plans in ((), (plan,))]
    choices = [Choice(asked, ("Paris.", "A fish."), row.plans, row.low_rank) for row in rows]
    written, scored = generate(model, rows), score_choices(model, choices)
    tuned = merged(model, one)
    for row, choice, text, scores in list(zip(rows, choices, written, scored, strict=True))[-2:]:
        (alone,) = generate(tuned, [replace(row, low_rank=None)])
        assert text.text == alone.text
        assert [at.logprob for at in text.logprobs] == pytest.approx([at.logprob for at in alone.logprobs], abs=1e-3)
        (due,) = score_choices(tuned, [replace(choice, low_rank=None)])
        assert scores.logprobs == pytest.approx(due.logprobs, abs=1e-3)
    assert len({text.text for text in written}) > 2

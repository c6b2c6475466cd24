import math
from itertools import product

import pytest
import torch
from reference import logits_of, logprob_of, random_plan

from doxa.models.chat import Message, Rendered, continuation, render
from doxa.models.llama_like import LlamaLike
from doxa.models.receipt import Receipt
from doxa.models.score import Choice, entropy, score_choices, surprisal
from doxa.words.errors import ModelError

SYSTEM = "You are a helpful assistant. The answer is yes or no."
QUESTIONS = ("Is it?", "Is it fine in the other room?", "Are you conscious?", "Are you the capital of the country?")
OPTIONS = ("Yes", "No, I am not.", " ", "the user asks a question of the weather")


def prompt(model, question, system=SYSTEM, prefill=None):
    messages = [Message("system", system), Message("user", question)]
    return render(model, messages + ([Message("assistant", prefill)] if prefill else []))


def arms(model):
    return [
        (),
        (random_plan(model, 0),),
        (random_plan(model, 1, [1], ["generated"]), random_plan(model, 2, [0, 1], ["user"])),
        (random_plan(model, 3, [2], ["thinking"]),),
    ]


def choices_of(model, options=OPTIONS):
    prompts = [prompt(model, question) for question in QUESTIONS]
    prompts += [prompt(model, QUESTIONS[0], "be kind"), prompt(model, QUESTIONS[1], prefill="<think>\nthe user")]
    return [Choice(p, options, plans) for plans, p in product(arms(model), prompts)]


def check(model, choices, scores):
    for choice, score in zip(choices, scores, strict=True):
        continuations = [continuation(model, choice.prompt, option) for option in choice.options]
        assert score.tokens == tuple(len(tokens) for tokens in continuations)
        expected = [logprob_of(model, choice.prompt, tokens, choice.plans) for tokens in continuations]
        assert score.logprobs == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("batch_tokens", [64, 1024])
def test_options_equal_a_forward_pass_each(model, batch_tokens):
    choices = choices_of(model)
    assert max(len(continuation(model, choices[0].prompt, option)) for option in OPTIONS) > 16  # beyond the windows
    check(model, choices, score_choices(model, choices, batch_tokens=batch_tokens))


def test_a_model_that_reads_no_trees(llama, monkeypatch):
    monkeypatch.setattr("doxa.models.paths.branches", lambda model, cells: False)
    choices = choices_of(llama)
    check(llama, choices, score_choices(llama, choices))


def test_the_last_token_of_an_option_is_not_run(llama):
    tokens = llama.tokenizer.convert_ids_to_tokens([40, 50])
    question = prompt(llama, QUESTIONS[0])
    passes = tokens_run(llama, lambda: score_choices(llama, [Choice(question, tuple(tokens))]))
    assert passes == [(1, len(question.tokens))]


def tokens_run(model, run):
    """Shape of every forward pass that reaches the last block, by its parts or by the network's own way."""
    run()  # what is tried once for each model is left out
    shapes = []
    of_parts, of_block = LlamaLike.run, type(model.blocks[-1]).forward

    def parts(self, stream, positions, sight, layers, additions, adapting):
        if layers and layers[-1] == model.n_layers - 1:
            shapes.append(tuple(stream.shape[:2]))
        return of_parts(self, stream, positions, sight, layers, additions, adapting)

    def block(self, hidden, *args, **kwargs):
        if self is model.blocks[-1]:
            shapes.append(tuple(hidden.shape[:2]))
        return of_block(self, hidden, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LlamaLike, "run", parts)
        patch.setattr(type(model.blocks[-1]), "forward", block)
        run()
    return shapes


def test_beginnings_are_run_once_for_each_arm(llama):
    beginning = tuple(range(5, 65))
    prompts = []
    for last in range(10):
        tokens = (*beginning, 100 + last, 7)
        prompts.append(Rendered(llama.tokenizer.decode(tokens), tokens, ("user",) * 62))
    plans = arms(llama)[:2]
    passes = tokens_run(llama, lambda: score_choices(llama, [Choice(p, ("Y",), own) for own in plans for p in prompts]))
    assert passes == [(2, 80)]


def test_equal_questions_are_run_once(llama):
    plan = random_plan(llama, 0)
    choice, other = (Choice(prompt(llama, QUESTIONS[0]), options, (plan,)) for options in (("Y", "N"), ("N", "Z")))
    passes = tokens_run(llama, lambda: score_choices(llama, [choice, other, choice]))
    assert passes == [(1, len(choice.prompt.tokens))]
    first, second, third = score_choices(llama, [choice, other, choice])
    assert first == third
    assert first.logprobs[1] == second.logprobs[0]


def test_passes_are_bounded(llama):
    choices = choices_of(llama)
    passes = tokens_run(llama, lambda: score_choices(llama, choices, batch_tokens=300))
    assert len(passes) > 1
    assert all(rows * time <= 300 or rows == 1 for rows, time in passes)


def test_the_order_of_choices_does_not_matter(llama):
    choices = choices_of(llama)
    forwards, backwards = score_choices(llama, choices), score_choices(llama, choices[::-1])[::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert (one.tokens, one.receipt) == (other.tokens, other.receipt)


def test_receipts(llama):
    question = prompt(llama, QUESTIONS[0])
    options = ("Yes, I am", "No")
    tokens = [len(continuation(llama, question, option)) for option in options]
    everywhere, generated = random_plan(llama, 0, [0, 1], size=2.0), random_plan(llama, 1, [1], ["generated"], 3.0)
    zero = random_plan(llama, 2, size=0.0)
    plans = [(), (everywhere,), (generated,), (zero,), (everywhere, generated)]
    receipts = [score.receipt for score in score_choices(llama, [Choice(question, options, own) for own in plans])]
    run = sum(tokens) - 2  # the last token of an option is not
    assert receipts[0] == receipts[3] == Receipt()
    assert receipts[1] == Receipt((0, 1), pytest.approx((2.0, 2.0)), len(question.tokens) + run)
    assert receipts[2] == Receipt((1,), pytest.approx((3.0,)), run)
    both = float((everywhere.additions[1] + generated.additions[0]).norm())
    assert receipts[4] == Receipt((0, 1), pytest.approx((2.0, both)), len(question.tokens) + run)


def test_unsteered_choices_are_untouched_by_their_neighbours(llama):
    """The same passes, with and without steered rows beside them: bit for bit."""
    plain, loud = (random_plan(llama, 0, size=0.0),), (random_plan(llama, 0, size=9.0),)
    questions = [prompt(llama, question) for question in QUESTIONS]

    def run(plans):
        choices = [Choice(q, OPTIONS, own) for own in ((), plans) for q in questions]
        return [score.logprobs for score in score_choices(llama, choices)]

    assert run(plain)[:4] == run(loud)[:4]
    assert run(plain)[4:] != run(loud)[4:]


def test_surprisal_is_the_mean_over_tokens(llama):
    plans = (random_plan(llama, 0),)
    texts = [(prompt(llama, question), answer) for question, answer in zip(QUESTIONS, OPTIONS, strict=True)]
    for own in ((), plans):
        for (question, answer), found in zip(texts, surprisal(llama, texts, own), strict=True):
            tokens = continuation(llama, question, answer)
            assert found == pytest.approx(-logprob_of(llama, question, tokens, own) / len(tokens), abs=1e-4)


def test_entropy_of_the_next_token(llama):
    plans = (random_plan(llama, 0),)
    questions = [prompt(llama, question) for question in (*QUESTIONS, QUESTIONS[0])]
    for own in ((), plans):
        for question, found in zip(questions, entropy(llama, questions, own), strict=True):
            probabilities = logits_of(llama, question, plans=own)[-1].double().softmax(-1)
            assert found == pytest.approx(-float((probabilities * probabilities.log()).sum()), abs=1e-4)
            assert 0 < found < math.log(len(llama.tokenizer))


def test_progress_counts_distinct_prompts(llama):
    seen = []
    choices = choices_of(llama)
    score_choices(llama, choices * 2, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(choices)
    assert score_choices(llama, []) == []


def test_what_does_not_fit(llama):
    long = Rendered("x", (5,) * 250, ("user",) * 250)
    with pytest.raises(ModelError, match=r"250 tokens with an option of .* at most 256"):
        score_choices(llama, [Choice(long, ("the answer is no",))])
    with pytest.raises(ModelError, match="empty continuation"):
        score_choices(llama, [Choice(prompt(llama, "Is it?"), ("yes", ""))])
    with pytest.raises(ModelError, match="without tokens"):
        entropy(llama, [Rendered("", (), ())])


def test_logits_that_are_no_numbers_are_refused(llama, make_network):
    from doxa.models.handle import adopt

    network = make_network("llama")
    model = adopt("broken", network, llama.tokenizer)
    network.lm_head.weight.data[3] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        score_choices(model, [Choice(prompt(model, "Is it?"), ("yes",))])


def test_a_model_with_recurrent_layers(recurrent):
    """Its state is one for all that stands before: every option is run with its whole prompt."""
    choices = choices_of(recurrent)
    check(recurrent, choices, score_choices(recurrent, choices))


@pytest.mark.embedded
def test_embedded_model_options():
    from doxa.models.handle import load

    model = load("smollm2")
    plans = (random_plan(model, 0, range(9, 15), size=8.0),)
    choices = [Choice(prompt(model, q), ("Yes", "No, I am not."), own) for own in ((), plans) for q in QUESTIONS]
    check(model, choices, score_choices(model, choices))


def test_a_model_whose_window_is_counted_in_places(llama):
    from test_branching import gpt_neo

    model = gpt_neo(llama.tokenizer, 32)
    choices = [Choice(prompt(model, question), ("yes", "no", "a long way round")) for question in QUESTIONS]
    check(model, choices, score_choices(model, choices))

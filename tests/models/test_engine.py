import copy
from dataclasses import replace
from itertools import chain

import pytest
import torch
from reference import logits_of, random_plan

from doxa.models import engine
from doxa.models.chat import Message, Rendered, render
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import adopt
from doxa.models.steering import SteeringPlan
from doxa.words.errors import ModelError, VectorError

QUESTIONS = ("Are you conscious?", "What is the answer to the question of the other room?", "Is it?")


def prompt(model, text, prefill=None):
    messages = [Message("system", "be kind"), Message("user", text)]
    return render(model, messages + ([Message("assistant", prefill)] if prefill else []))


def mixed_rows(model, sampling, logprobs=1):
    """Prompts of unequal length under plans of every kind, prefills among them."""
    arms = [
        (),
        (random_plan(model, 0),),
        (random_plan(model, 1, [1], ["generated"]), random_plan(model, 2, [0, 1], ["user"])),
        (random_plan(model, 3, [2], ["prompt"]),),
        (random_plan(model, 4, [0], ["assistant"], size=3.0),),
    ]
    prompts = [*(prompt(model, question) for question in QUESTIONS), prompt(model, "Is it?", "The answer")]
    return [Row(p, sampling, plans, logprobs) for plans in arms for p in prompts]


def check_against_reference(model, row, generation, tolerance=1e-4):
    """Every token is the one that plain hooks without cache and padding would choose, and as probable."""
    logits = logits_of(model, row.prompt, generation.tokens, row.plans)
    logprobs = logits.double().log_softmax(-1)[len(row.prompt.tokens) - 1 :]
    for place, entry in enumerate(generation.logprobs):
        best = logprobs[place].topk(2).values
        assert entry.logprob == pytest.approx(float(logprobs[place, entry.token]), abs=tolerance)
        assert float(best[0]) - entry.logprob < 1e-3  # greedy, unless two tokens are as good as equal


def test_mixed_batches_equal_arm_by_arm_runs(model):
    rows = mixed_rows(model, Sampling(12))
    generations = generate(model, rows)
    for row, generation in zip(rows, generations, strict=True):
        assert generation.tokens
        check_against_reference(model, row, generation)
    unsteered, steered = generations[:4], generations[4:8]
    for one, other in zip(unsteered, steered, strict=True):
        assert abs(one.logprobs[0].logprob - other.logprobs[0].logprob) > 1e-3


def test_rows_of_a_batch_do_not_touch_each_other(llama):
    sampling = Sampling(12, temperature=1.0, seed=5)
    rows = [replace(row, sampling=replace(sampling, seed=seed)) for seed, row in enumerate(mixed_rows(llama, sampling))]
    together = [generation.tokens for generation in generate(llama, rows)]
    assert [generation.tokens for generation in generate(llama, rows, batch_size=1)] == together
    assert [generation.tokens for generation in generate(llama, rows[::-1], batch_size=7)][::-1] == together


def test_seeds_alone_decide_the_draws(llama):
    question = prompt(llama, QUESTIONS[0])
    rows = [Row(question, Sampling(12, temperature=1.0, seed=seed), logprobs=2) for seed in (1, 2, 1)]
    first, second, third = generate(llama, rows)
    assert (first.tokens, first.text, first.receipt) == (third.tokens, third.text, third.receipt)
    # Rows at different places of one batch may differ in the last bits of their logits.
    assert [t.logprob for t in first.logprobs] == pytest.approx([t.logprob for t in third.logprobs], abs=1e-5)
    assert first.tokens != second.tokens
    assert generate(llama, rows) == [first, second, third]


def test_unsteered_rows_are_bit_identical_to_no_steering(model):
    steered = random_plan(model, 0, size=5.0)
    zero = random_plan(model, 0, size=0.0)
    questions = [prompt(model, question) for question in QUESTIONS]
    sampling = Sampling(6, stop=())
    mixed = generate(model, [Row(q, sampling, p, 3) for q, p in zip(questions, [(), (steered,), (zero,)], strict=True)])
    plain = generate(model, [Row(q, sampling, (), 3) for q in questions])
    # Only while no row has left either batch are the batches of the same shape.
    steps = min(len(generation.logprobs) for generation in chain(mixed, plain))
    assert steps > 0
    for index in (0, 2):
        assert mixed[index].logprobs[:steps] == plain[index].logprobs[:steps]
        assert mixed[index].receipt == engine.Receipt()
    assert mixed[1].logprobs[0] != plain[1].logprobs[0]


def test_rows_of_unequal_length_leave_the_batch(llama):
    rows = [replace(row, sampling=Sampling(1 + index % 9)) for index, row in enumerate(mixed_rows(llama, Sampling(9)))]
    long = generate(llama, [replace(row, sampling=Sampling(9)) for row in rows])
    for row, generation, whole in zip(rows, generate(llama, rows), long, strict=True):
        assert generation.tokens == whole.tokens[: row.sampling.max_tokens]
        check_against_reference(llama, row, generation)


def test_equal_prompts_are_run_once(llama):
    generate(llama, [Row(prompt(llama, QUESTIONS[1]), Sampling(1))])  # what is tried once for each model
    shapes = []
    hook = llama.network.get_input_embeddings().register_forward_hook(lambda m, a, out: shapes.append(out.shape[:2]))
    question, other = prompt(llama, QUESTIONS[0]), prompt(llama, QUESTIONS[2])
    plan = random_plan(llama, 0)
    sampling = Sampling(3, temperature=1.0)
    try:
        generate(
            llama, [Row(question, replace(sampling, seed=seed), (plan,)) for seed in range(3)] + [Row(other, sampling)]
        )
    finally:
        hook.remove()
    width = max(len(question.tokens), len(other.tokens))
    assert shapes[0] == (2, width)
    assert shapes[1] == (4, 1)


@pytest.mark.parametrize("at", ["all", "generated"])
def test_a_plan_that_does_not_fit_is_refused_wherever_it_acts(llama, at):
    question = prompt(llama, QUESTIONS[0])
    wide = SteeringPlan((0,), torch.ones(1, llama.d_model + 1), frozenset((at,)))
    beyond = SteeringPlan((llama.n_layers,), torch.ones(1, llama.d_model), frozenset((at,)))
    for plan, words in ((wide, "width"), (beyond, f"layer {llama.n_layers} of")):
        with pytest.raises(VectorError, match=words):
            generate(llama, [Row(question, Sampling(2), (plan,))])


def test_arms_that_leave_a_prompt_alone_share_it(model):
    """One prompt is run for steering of generated tokens, of strength 0 and none, and not for an arm that steers it."""
    question = prompt(model, QUESTIONS[0])
    arms = [
        (),
        (random_plan(model, 0, at=["generated"], size=6.0),),
        (random_plan(model, 1, at=["assistant"], size=6.0),),
        (random_plan(model, 0, size=0.0),),
        (random_plan(model, 2, at=["prompt"], size=6.0),),
    ]
    rows = [Row(question, Sampling(6), plans, 1) for plans in arms]
    alone = [generate(model, [row])[0] for row in rows]
    assert [one.shared_tokens for one in alone] == [0] * len(rows)
    widths = []
    embedding = model.network.get_input_embeddings()
    hook = embedding.register_forward_hook(lambda m, a, out: widths.append(tuple(out.shape[:2])))
    try:
        together = generate(model, rows)
    finally:
        hook.remove()
    # The tokens of the system's and the user's turns that open the assistant's reply belong to no assistant's text.
    touches = any(role == "assistant" for role in question.roles)
    distinct = 3 if touches else 2
    assert widths[0] == (distinct, len(question.tokens))
    assert sum(one.shared_tokens for one in together) == (len(rows) - distinct) * len(question.tokens)
    for row, one, own in zip(rows, together, alone, strict=True):
        assert one.receipt == own.receipt
        check_against_reference(model, row, one)
    assert together[1].tokens != together[0].tokens or together[1].logprobs[1:] != together[0].logprobs[1:]
    assert together[4].logprobs[0] != together[0].logprobs[0]


@pytest.fixture
def sampled(llama):
    """A row whose text is long enough to be cut, and its generation."""
    row = Row(prompt(llama, QUESTIONS[0]), Sampling(40, temperature=0.8, seed=1), logprobs=1)
    return row, generate(llama, [row])[0]


def test_stop_texts(llama, sampled):
    row, whole = sampled
    for start in (3, 8, 15):
        stop = whole.text[start : start + 4]
        again = generate(llama, [replace(row, sampling=replace(row.sampling, stop=(stop, "nowhere to be found")))])[0]
        assert again.text == whole.text[: whole.text.index(stop)]
        assert again.stop == "stop"
        assert again.tokens == whole.tokens[: len(again.tokens)]
        assert len(again.logprobs) == len(again.tokens) < len(whole.tokens)


def test_max_tokens(sampled):
    _, whole = sampled
    assert whole.stop == "max_tokens"
    assert len(whole.tokens) == 40


def test_end_of_turn(llama, sampled, make_network):
    row, whole = sampled
    network = make_network("llama")
    network.generation_config.eos_token_id = [whole.tokens[5], 299]
    generation = generate(adopt("ends", network, llama.tokenizer), [row])[0]
    assert generation.stop == "stop"
    assert generation.tokens == whole.tokens[: whole.tokens.index(whole.tokens[5])]
    assert len(generation.logprobs) == len(generation.tokens)


def test_full_context(llama):
    question = prompt(llama, QUESTIONS[0])
    long = Rendered(question.text, question.tokens * 20, question.roles * 20)
    long = Rendered(long.text, long.tokens[: llama.context_length - 4], long.roles[: llama.context_length - 4])
    generation = generate(llama, [Row(long, Sampling(10, temperature=1.0))])[0]
    assert generation.stop == "model_length"
    assert len(generation.tokens) == 4
    for extra in (4, 5):
        tokens = long.tokens + (7,) * extra
        with pytest.raises(ModelError, match=rf"{len(tokens)} tokens, with at most 10 .* at most 255 tokens"):
            generate(llama, [Row(Rendered("", tokens, ("user",) * len(tokens)), Sampling(10))])
    with pytest.raises(ModelError, match="without tokens"):
        generate(llama, [Row(Rendered("", (), ()), Sampling(10))])


def test_a_prefill_is_continued(llama):
    row = Row(prompt(llama, "Is it?", "The answer is"), Sampling(8), logprobs=1)
    generation = generate(llama, [row])[0]
    check_against_reference(llama, row, generation)
    assert generation.prompt_tokens == len(row.prompt.tokens)
    assert not generation.text.startswith("The answer is")


def test_log_probabilities(llama):
    row = Row(prompt(llama, QUESTIONS[0]), Sampling(5, temperature=1.5, top_k=3, seed=4), (random_plan(llama, 0),), 4)
    generation = generate(llama, [row])[0]
    logprobs = logits_of(llama, row.prompt, generation.tokens, row.plans).double().log_softmax(-1)
    for place, entry in enumerate(generation.logprobs):
        own = logprobs[len(row.prompt.tokens) - 1 + place]  # before temperature and top-k
        assert entry.token == generation.tokens[place]
        assert entry.text == llama.tokenizer.decode([entry.token])
        assert entry.logprob == pytest.approx(float(own[entry.token]), abs=1e-4)
        assert [top.token for top in entry.top] == own.topk(4).indices.tolist()
        assert [top.logprob for top in entry.top] == pytest.approx(own.topk(4).values.tolist(), abs=1e-4)
    assert generate(llama, [replace(row, logprobs=0)])[0].logprobs == ()


@pytest.mark.parametrize("at", ["all", "prompt", "generated", "system", "user", "assistant", "thinking"])
def test_receipts_say_what_was_added(llama, at):
    plan = random_plan(llama, 0, [0, 2], [at], size=2.0)
    other = random_plan(llama, 1, [2], ["user"])
    rows = [
        Row(prompt(llama, QUESTIONS[0]), Sampling(4), (plan,)),
        Row(prompt(llama, QUESTIONS[1], "<think>\nthe"), Sampling(9, temperature=1.0), (plan, other)),
        Row(prompt(llama, QUESTIONS[2]), Sampling(9, temperature=1.0)),
    ]
    # What goes into the next block against what this one returned, before the steering hooks: read independently.
    returned, cells = [], []
    hooks = [
        llama.blocks[0].register_forward_hook(lambda m, a, out: returned.append(out)),
        llama.blocks[1].register_forward_pre_hook(lambda m, a: cells.append(a[0] - returned[-1])),
    ]
    try:
        generations = [generate(llama, [row])[0] for row in rows]
        counts = []
        for generation in generations:
            steps = [cells.pop(0) for _ in range(len(generation.tokens))]
            counts.append(sum(int((step.norm(dim=-1) > 1e-3).sum()) for step in steps))
    finally:
        for hook in hooks:
            hook.remove()
    assert generate(llama, rows) == generations
    first, second, third = (generation.receipt for generation in generations)
    assert counts[0] == first.tokens_touched
    # Block 0 does not show where `other` alone is applied, at layer 2.
    alone = sum(role == "user" for role in rows[1].prompt.roles) if at not in ("all", "prompt", "user") else 0
    assert counts[1] + alone == second.tokens_touched
    assert (counts[2], third.tokens_touched, third.layers) == (0, 0, ())
    if counts[0]:
        assert first.layers == (0, 2)
        assert first.norms == pytest.approx((2.0, 2.0))
    else:
        assert first == engine.Receipt()
    total = plan.additions[1] + other.additions[0]  # where both act on a token, and else the larger of the two
    meet = float(total.norm()) if at in ("all", "prompt", "user") else 2.0
    assert second.norms[-1] == pytest.approx(meet if counts[1] else 1.0, rel=1e-5)


def test_thinking_ends_with_its_closing_tag(llama, monkeypatch):
    """Tokens of a block that the model closes itself are thinking, what follows is the assistant's."""
    script = llama.tokenizer("weather</think>fine<think>is")["input_ids"]
    steps = iter(script)
    monkeypatch.setattr(engine, "draw", lambda logits, samplings, streams: [next(steps)])
    thinks, speaks = random_plan(llama, 0, at=["thinking"]), random_plan(llama, 0, at=["assistant"])
    question = prompt(llama, "Is it?", "<think>\n")
    block = len(llama.tokenizer("weather</think>")["input_ids"])
    counts = []
    for plan in (thinks, speaks):
        steps = iter(script)
        generation = generate(llama, [Row(question, Sampling(len(script)), (plan,))])[0]
        assert generation.text == "weather</think>fine<think>is"
        counts.append(generation.receipt.tokens_touched)
    in_prompt = sum(role == "thinking" for role in question.roles)
    fed = len(script) - 1  # the last token is not run
    # An opening tag is known for one with its last token only.
    inside = block + 1 + (fed - len(llama.tokenizer("weather</think>fine<think>")["input_ids"]))
    assert counts == [in_prompt + inside, fed - inside]


def test_ctrl_c_leaves_no_hook(llama):
    def interrupt(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        generate(llama, mixed_rows(llama, Sampling(3)), progress=interrupt)
    assert caught.tb is not None  # the frames are still alive
    assert not any(block._forward_hooks for block in llama.blocks)


def test_progress_counts_rows(llama):
    seen = []
    generate(llama, mixed_rows(llama, Sampling(3)), batch_size=7, progress=seen.append)
    assert seen == list(range(1, 21))
    assert generate(llama, []) == []


def test_bfloat16(make_model):
    model = make_model("llama", torch.bfloat16)
    rows = mixed_rows(model, Sampling(6, temperature=1.0, seed=2))
    for row, generation in zip(rows, generate(model, rows), strict=True):
        logits = logits_of(model, row.prompt, generation.tokens, row.plans)
        logprobs = logits.double().log_softmax(-1)[len(row.prompt.tokens) - 1 :]
        for place, entry in enumerate(generation.logprobs):
            assert entry.logprob == pytest.approx(float(logprobs[place, entry.token]), abs=0.3)


@pytest.mark.embedded
def test_embedded_model_mixed_batch():
    from doxa.models.handle import load

    model = load("smollm2")
    plans = [(), (random_plan(model, 0, range(9, 15), size=8.0),), (random_plan(model, 1, [20], ["generated"], 40.0),)]
    rows = [Row(prompt(model, question), Sampling(8), own, 1) for own in plans for question in QUESTIONS[:2]]
    for row, generation in zip(rows, generate(model, rows), strict=True):
        check_against_reference(model, row, generation, tolerance=5e-4)


def test_roles_decide_whether_prompts_are_the_same(llama):
    """Two prompts of the same tokens whose roles differ are steered differently."""
    plan = random_plan(llama, 0, [0, 1], ["user"], size=6.0)
    one = prompt(llama, QUESTIONS[0])
    other = replace(one, roles=tuple("system" if role == "user" else role for role in one.roles))
    rows = [Row(each, Sampling(4), (plan,)) for each in (one, other)]
    together = generate(llama, rows)
    assert [each.receipt for each in together] == [generate(llama, [row])[0].receipt for row in rows]
    assert together[0].receipt.tokens_touched > 0
    assert together[1].receipt.tokens_touched == 0


def test_what_is_added_is_the_largest_where_plans_never_meet(llama):
    there = random_plan(llama, 0, [1], ["prompt"], size=3.0)
    back = replace(there, additions=-there.additions, at=frozenset({"generated"}))
    (made,) = generate(llama, [Row(prompt(llama, QUESTIONS[0]), Sampling(3), (there, back))])
    assert made.receipt.layers == (1,)
    assert made.receipt.norms == pytest.approx((3.0,))


def test_a_network_that_keeps_states_elsewhere_is_refused_in_words(llama):
    from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM

    from doxa.models.handle import adopt

    torch.manual_seed(0)
    config = RecurrentGemmaConfig(
        vocab_size=len(llama.tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, lru_width=32, attention_window_size=16, num_key_value_heads=1, head_dim=8,
        initializer_range=0.2, pad_token_id=0, bos_token_id=None, eos_token_id=None, max_position_embeddings=256,
    )  # fmt: skip
    model = adopt("states", RecurrentGemmaForCausalLM(config).eval(), llama.tokenizer)
    for own in (model, adopt("states", copy.deepcopy(model.network).to(torch.bfloat16), llama.tokenizer)):
        with pytest.raises(ModelError, match="states of earlier tokens"):
            generate(own, [Row(prompt(own, QUESTIONS[0]), Sampling(2))])


def test_arms_that_do_the_same_say_the_same_and_are_run_once(llama):
    """Equal in content: two arms never share the objects of their plans."""
    one, other = random_plan(llama, 0), random_plan(llama, 0)
    sampling = Sampling(5, temperature=1.0, seed=3)
    rows = [Row(prompt(llama, QUESTIONS[0]), sampling, (plan,)) for plan in (one, other)]
    rows.append(replace(rows[0], sampling=replace(sampling, seed=4)))
    counted = []
    first, second, third = generate(llama, rows, progress=counted.append)
    assert first is second
    assert first.tokens != third.tokens
    assert counted[-1] == 3


def test_a_listener_hears_the_text_as_it_is_written(llama, sampled):
    row, whole = sampled
    heard = []

    def listener(text, logprobs):
        heard.append((text, len(logprobs)))
        return True

    stop = whole.text[12:16]
    sampling = replace(row.sampling, stop=(stop,))
    (done,) = generate(llama, [replace(row, sampling=sampling, listener=listener)])
    assert [count for _, count in heard] == list(range(1, len(done.tokens)))
    assert all(done.text.startswith(text) for text, _ in heard)
    assert heard[-1][0] != ""


def test_a_row_that_nobody_wants_leaves_the_batch(llama):
    texts = []

    def enough(text, logprobs):
        texts.append(text)
        return len(logprobs) < 3

    rows = [Row(prompt(llama, f"{n}"), Sampling(8, temperature=1.0, seed=n), logprobs=1) for n in range(3)]
    alone = generate(llama, rows)
    finished = []
    rows[1] = replace(rows[1], listener=enough)
    done = generate(llama, rows, progress=finished.append)
    assert [one.stop for one in done] == ["max_tokens", "unwanted", "max_tokens"]
    assert done[1].tokens == alone[1].tokens[:3]
    assert [one.tokens for one in done[::2]] == [one.tokens for one in alone[::2]]
    assert len(texts) == 3
    assert finished == [1, 2, 3]


def test_a_text_that_several_wait_for_is_written_while_one_of_them_wants_it(llama):
    sampling = Sampling(6, temperature=1.0, seed=3)
    heard = {"short": 0, "long": 0}

    def until(name, most):
        def listener(text, logprobs):
            heard[name] += 1
            return heard[name] < most

        return listener

    rows = [Row(prompt(llama, "x"), sampling, listener=until(name, most)) for name, most in (("short", 2), ("long", 9))]
    first, second = generate(llama, rows)
    assert first is second
    assert first.stop == "max_tokens"
    assert heard["long"] == 5
    assert generate(llama, [replace(rows[0], listener=until("short", 0))])[0].stop == "unwanted"

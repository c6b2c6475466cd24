import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    Model,
    ModelOutput,
    get_model,
)
from inspect_ai.tool import ToolInfo, ToolParams

import doxa.bridge.offered as module
import doxa.bridge.provider as provider
import doxa.bridge.queue as queue
import doxa.models.handle as handle
from doxa.bridge.offered import offer, offering
from doxa.models.chat import Message, render, render_text
from doxa.models.engine import Generation, Row, Sampling, generate
from doxa.models.receipt import Receipt
from doxa.models.score import Choice, divergence, score_choices, surprisal
from fake_vllm import FakeVLLM, serving
from planted_adapters import merged, random_adapter, write_adapter

MakeArm = Callable[..., Path]
HELLO: list[ChatMessage] = [ChatMessageUser(content="hello")]


def get(name: str, **arguments: Any) -> Model:
    return get_model(name, memoize=False, **arguments)


def say(model: Model, messages: Sequence[ChatMessage] = HELLO, **config: Any) -> ModelOutput:
    return asyncio.run(model.generate(list(messages), config=GenerateConfig(**{"max_tokens": 4, **config})))


def own(output: ModelOutput) -> dict[str, Any]:
    assert output.metadata is not None
    found: dict[str, Any] = output.metadata["doxa"]
    return found


def test_an_answer_says_all_about_itself(offered: str, model: handle.Model) -> None:
    output = say(get(offered), seed=3, temperature=0.0)
    prompt = render(model, [Message("user", "hello")])
    (due,) = generate(model, [Row(prompt, Sampling(max_tokens=4))])
    assert output.completion == due.text
    assert output.stop_reason == due.stop == "max_tokens"
    assert output.usage is not None
    assert (output.usage.input_tokens, output.usage.output_tokens) == (len(prompt.tokens), 4)
    assert output.usage.total_tokens == len(prompt.tokens) + 4
    assert output.time is not None
    assert output.time > 0
    assert output.model == "tiny"
    assert output.message.source == "generate"
    assert own(output) | {"seed": 0} == {
        "arm": "baseline",
        "of": "",
        "control": "",
        "digest": "",
        "receipt": {"layers": (), "norms": (), "tokens_touched": 0},
        "seed": 0,
    }
    assert json.dumps(output.metadata)


def test_an_arm_acts_and_leaves_a_receipt(offered: str, model: handle.Model, make_arm: MakeArm) -> None:
    arm = make_arm(strength=0.9, prompt="You feel.", of="other", control="twin")
    output = say(get(f"{offered}+mine", arm=str(arm)), temperature=0.0)
    found = own(output)
    assert (found["arm"], found["of"], found["control"]) == ("mine", "other", "twin")
    assert len(found["digest"]) == 64
    assert found["receipt"]["layers"] == (0, 1, 2)
    assert sum(found["receipt"]["norms"]) == pytest.approx(0.9 * 5.0, rel=1e-4)
    prompt = render(model, [Message("system", "You feel."), Message("user", "hello")])
    assert output.usage is not None
    assert output.usage.input_tokens == len(prompt.tokens)
    assert found["receipt"]["tokens_touched"] == len(prompt.tokens) + 3


def test_logprobs_are_those_of_the_tokens_that_were_drawn(offered: str, model: handle.Model) -> None:
    output = say(get(offered), temperature=0.0, logprobs=True, top_logprobs=2)
    prompt = render(model, [Message("user", "hello")])
    (due,) = generate(model, [Row(prompt, Sampling(max_tokens=4), logprobs=2)])
    found = output.choices[0].logprobs
    assert found is not None
    assert [one.logprob for one in found.content] == pytest.approx([one.logprob for one in due.logprobs])
    assert [one.token for one in found.content] == [one.text for one in due.logprobs]
    assert [len(one.top_logprobs or []) for one in found.content] == [2] * 4
    assert found.content[0].top_logprobs is not None
    assert found.content[0].top_logprobs[0].logprob == found.content[0].logprob, "greedy draws the most probable"
    plain = say(get(offered), temperature=0.0, logprobs=True).choices[0].logprobs
    assert plain is not None
    assert [one.top_logprobs for one in plain.content] == [None] * 4
    assert say(get(offered)).choices[0].logprobs is None


def stub(monkeypatch: pytest.MonkeyPatch, text: str, tokens: int = 3) -> list[Row]:
    """An engine that answers every row with `text`."""
    rows: list[Row] = []

    def compute(model: object, requests: Sequence[Row], progress: object) -> list[Generation]:
        rows.extend(requests)
        one = Generation(tuple(range(tokens)), text, "stop", (), Receipt(), 11, 0)
        return [one] * len(requests)

    monkeypatch.setattr(queue, "compute", compute)
    return rows


def test_thinking_blocks_alternate_with_text(offered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, "<think>a b</think>Yes. <think>c</think>No.")
    output = say(get(offered))
    assert output.message.content == [
        ContentReasoning(reasoning="a b"),
        ContentText(text="Yes. "),
        ContentReasoning(reasoning="c"),
        ContentText(text="No."),
    ]
    assert output.completion == "Yes. \nNo."
    assert output.usage is not None
    assert output.usage.reasoning_tokens == 4


def test_a_prefill_is_continued_also_inside_a_thought(offered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = stub(monkeypatch, "and so on</think>Yes.")
    thought = ChatMessageAssistant(content=[ContentReasoning(reasoning="I see")])
    output = say(get(offered), [*HELLO, thought])
    assert rows[0].prompt.text.endswith("<|im_start|>assistant\n<think>I see")
    assert output.message.content == [ContentReasoning(reasoning="and so on"), ContentText(text="Yes.")]
    rows = stub(monkeypatch, " it is.")
    output = say(get(offered), [*HELLO, ChatMessageAssistant(content="I think")])
    assert rows[0].prompt.text.endswith("<|im_start|>assistant\nI think")
    assert output.completion == " it is."


def test_settings_reach_the_engine(offered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = stub(monkeypatch, "x")
    say(get(offered), temperature=0.3, top_p=0.8, top_k=7, stop_seqs=["\n"], extra_body={"min_p": 0.05})
    due = Sampling(4, 0.3, 0.8, 7, 0.05, ("\n",), rows[0].sampling.seed)
    assert rows[0].sampling == due
    say(get(offered))
    assert rows[1].sampling == Sampling(4, 1.0, seed=rows[1].sampling.seed)
    asyncio.run(get(offered).generate("hello"))
    assert rows[2].sampling.max_tokens == provider.MAX_TOKENS


def test_messages_that_templates_would_refuse_are_joined(offered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = stub(monkeypatch, "x")
    system = [ChatMessageSystem(content="one"), ChatMessageSystem(content="two")]
    say(get(offered), [*system, *HELLO, ChatMessageUser(content="there")])
    assert rows[0].prompt.text.count("<|im_start|>user") == 1
    assert rows[0].prompt.text.count("<|im_start|>system") == 1


def test_seeds_follow_the_seed_and_the_order_of_calls_outside_an_eval(
    offered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = stub(monkeypatch, "x")

    def seeds(model: Model, **config: Any) -> list[int]:
        rows.clear()
        for _ in range(2):
            say(model, **config)
        return [row.sampling.seed for row in rows]

    first = seeds(get(offered))
    assert len(set(first)) == 2
    assert seeds(get(offered)) == first
    assert seeds(get(offered, seed=1)) != first
    assert seeds(get(offered, seed=1), seed=0) == first, "a request's own seed counts"


def test_tokens_are_counted_by_the_models_own_tokenizer(
    offered: str, model: handle.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*_: object) -> int:
        raise AssertionError("tiktoken would be downloaded")

    monkeypatch.setattr("inspect_ai.model._model.count_text_tokens", download)
    found = get(offered)
    due = model.tokenizer.encode("some text", add_special_tokens=False)
    assert asyncio.run(found.api.tokenize("some text")) == due
    assert asyncio.run(found.count_tokens("some text")) == len(due)
    assert asyncio.run(found.count_tokens(HELLO)) >= len(model.tokenizer.encode("hello"))


def test_choices_are_scored_under_the_arm(offered: str, model: handle.Model, make_arm: MakeArm) -> None:
    path = make_arm(strength=0.9, prompt="You feel.")
    found = get(f"{offered}+mine", arm=str(path))
    output = say(found, extra_body={"doxa": {"choice": {"options": ["Yes, I am.", "No."]}}})
    plans = found.api._arm.plans  # type: ignore[attr-defined]
    prompt = render(model, [Message("system", "You feel."), Message("user", "hello")])
    (due,) = score_choices(model, [Choice(prompt, ("Yes, I am.", "No."), plans)])
    assert own(output)["logprobs"] == pytest.approx(due.logprobs, abs=1e-5)
    assert own(output)["tokens"] == list(due.tokens)
    assert own(output)["receipt"]["tokens_touched"] == due.receipt.tokens_touched
    assert own(output)["scored"] is True
    assert output.completion == ("Yes, I am.", "No.")[max((0, 1), key=lambda index: due.logprobs[index])]
    assert output.usage is not None
    assert (output.usage.input_tokens, output.usage.output_tokens) == (len(prompt.tokens), 0)


def test_divergence_is_of_the_raw_text_from_the_model_as_it_is(
    offered: str, model: handle.Model, make_arm: MakeArm
) -> None:
    found = get(f"{offered}+mine", arm=str(make_arm(strength=0.9)))
    output = say(found, extra_body={"doxa": {"divergence": True}})
    plans = found.api._arm.plans  # type: ignore[attr-defined]
    assert own(output)["kl"] == pytest.approx(float(divergence(model, ["hello"], [plans])[0, 0]), abs=1e-6)
    assert own(output)["kl"] > 0
    assert own(output)["receipt"]["tokens_touched"] == len(render_text(model, "hello").tokens)
    assert own(say(get(offered), extra_body={"doxa": {"divergence": True}}))["kl"] == 0.0


def test_an_adapter_acts_on_all_that_is_asked(offered: str, model: handle.Model, tmp_path: Path) -> None:
    adapter = random_adapter(model, 1)
    write_adapter(tmp_path / "tuned", adapter)
    (tmp_path / "arm.json").write_text(json.dumps({"interventions": [{"tune": "tuned"}]}))
    found, plain = get(f"{offered}+mine", arm=str(tmp_path / "arm.json")), get(offered)
    tuned = merged(model, adapter)
    prompt = render(model, [Message("user", "hello")])
    scored = say(found, extra_body={"doxa": {"choice": {"options": ["Yes, I am.", "No."]}}})
    (due,) = score_choices(tuned, [Choice(prompt, ("Yes, I am.", "No."))])
    assert own(scored)["logprobs"] == pytest.approx(due.logprobs, abs=1e-3)
    output = say(found, temperature=0.0, max_tokens=8)
    (written,) = generate(tuned, [Row(prompt, Sampling(8))])
    assert output.completion == written.text != say(plain, temperature=0.0, max_tokens=8).completion
    moved = say(found, extra_body={"doxa": {"divergence": True}})
    assert own(moved)["kl"] == pytest.approx(float(divergence(model, ["hello"], [()], [adapter])[0, 0]), abs=1e-6)
    assert own(moved)["kl"] > 0
    surprised = [own(say(one, extra_body={"doxa": {"surprisal": {"of": "an answer"}}})) for one in (found, plain)]
    assert surprised[0]["surprisal"] == pytest.approx(surprised[1]["surprisal"], abs=1e-5)  # of the model as it is


def test_bare_text_has_no_divergence_under_a_system_prompt(offered: str, make_arm: MakeArm) -> None:
    prompted = get(f"{offered}+mine", arm=str(make_arm(strength=0.9, prompt="You feel.")))
    assert own(say(prompted, extra_body={"doxa": {"divergence": True}}))["kl"] is None


def test_surprisal_is_under_the_model_as_it_is(offered: str, model: handle.Model, make_arm: MakeArm) -> None:
    steered = get(f"{offered}+mine", arm=str(make_arm(strength=0.9, prompt="You feel.")))
    (due,) = surprisal(model, [(render(model, [Message("user", "hello")]), "an answer")])
    for one in (steered, get(offered)):
        output = say(one, extra_body={"doxa": {"surprisal": {"of": "an answer"}}})
        assert own(output)["surprisal"] == pytest.approx(due, abs=1e-5)


def test_weights_are_loaded_once_for_all_arms(
    model: handle.Model, make_arm: MakeArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Any] = []

    def load(*key: str) -> handle.Model:
        loaded.append(key)
        return model

    monkeypatch.setattr(handle, "_load_name", load)
    monkeypatch.setattr(handle, "_loaded", {})
    arms = [str(make_arm(f"arm{n}", strength=n / 10, model="tiny")) for n in range(3)]
    apis = [get(f"doxa/tiny+arm{n}", arm=arm).api for n, arm in enumerate(arms)]
    assert len(loaded) == 1
    assert all(api._model is model for api in apis)  # type: ignore[attr-defined]
    assert len({api.connection_key() for api in apis}) == 1


def test_names(offered: str, make_arm: MakeArm, tmp_path: Path) -> None:
    api = get(f"{offered}+mine.12345678", arm=str(make_arm())).api
    assert api.canonical_name() == "tiny"
    assert api.max_connections() >= 256
    odd = tmp_path / "c++" / "model+1"
    odd.mkdir(parents=True)
    assert provider.split_label(str(odd)) == (str(odd), None)
    assert provider.split_label(f"{odd}+a+b") == (str(odd), "a+b")
    assert provider.split_label("org/model+block~twin/07") == ("org/model", "block~twin/07")
    assert provider.split_label("smollm2") == ("smollm2", None)


def test_a_model_that_is_offered_may_have_a_plus_in_its_name(offered: str, model: handle.Model) -> None:
    offer(replace(model, name="./not-here+1"))
    assert provider.split_label("./not-here+1") == ("./not-here+1", None)
    assert provider.split_label("./not-here+1+mine") == ("./not-here+1", "mine")
    assert get("doxa/./not-here+1").api._model.name == "./not-here+1"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"frequency_penalty": 0.5}, "frequency_penalty is set"),
        ({"num_choices": 2}, "--epochs"),
        ({"extra_body": {"dxa": {}}}, "Did you mean 'doxa'"),
        ({"extra_body": {"doxa": {"choices": {"options": ["a"]}}}}, "extra_body asks doxa"),
        ({"extra_body": {"doxa": {"choice": {"options": []}}}}, "extra_body asks doxa"),
        ({"extra_body": {"doxa": {"choice": {"options": ["a", 1]}}}}, "extra_body asks doxa"),
        ({"extra_body": {"doxa": {"divergence": True, "surprisal": {"of": "x"}}}}, "extra_body asks doxa"),
    ],
)
def test_requests_that_are_not_understood_are_refused(offered: str, config: dict[str, Any], match: str) -> None:
    with pytest.raises(PrerequisiteError, match=match):
        say(get(offered), **config)


def test_tools_are_refused_in_words(offered: str) -> None:
    tool = ToolInfo(name="search", description="Searches.", parameters=ToolParams())
    with pytest.raises(PrerequisiteError, match="cannot call tools yet"):
        asyncio.run(get(offered).generate(HELLO, tools=[tool]))
    assert asyncio.run(
        get(offered).generate(HELLO, tools=[tool], tool_choice="none", config=GenerateConfig(max_tokens=1))
    )


def test_a_prompt_that_does_not_fit_is_refused(offered: str) -> None:
    with pytest.raises(PrerequisiteError, match="the context of tiny"):
        say(get(offered), [ChatMessageUser(content="x " * 600)])


@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("doxa/tiny", {"amr": "x.json"}, "Did you mean 'arm'"),
        ("doxa/tiny+mine", {"arm": "nowhere.json"}, "no arm file nowhere.json"),
        ("doxa/tiny+mine", {"arm": ["a", "b"]}, "arm is a list"),
        ("doxa/tiny", {"seed": "x"}, "model argument seed is a str"),
        ("doxa/tiny+mine", {}, "is called 'mine' and is given no arm"),
        ("doxa/no/such/model", {}, "no/such/model"),
        ("doxa/tony", {"dtype": "float16"}, "float16"),
    ],
)
def test_mistakes_are_one_line_when_the_model_is_made(
    offered: str, name: str, arguments: dict[str, Any], match: str
) -> None:
    with pytest.raises(PrerequisiteError, match=match) as caught:
        get(name, **arguments)
    assert "\n" not in str(caught.value)


def test_brackets_survive_inspects_markup(offered: str, tmp_path: Path) -> None:
    from io import StringIO

    from rich.console import Console

    with pytest.raises(PrerequisiteError) as caught:
        get(f"{offered}+mine", arm=str(tmp_path / "block[strength=0.4].json"))
    printed = StringIO()
    Console(file=printed, width=1000).print(caught.value.message)
    assert "block[strength=0.4].json" in printed.getvalue()


def test_an_arm_file_must_not_change_while_it_is_used(offered: str, make_arm: MakeArm) -> None:
    path = make_arm(strength=0.1)
    found = get(f"{offered}+mine", arm=str(path))
    say(found)
    make_arm(strength=0.2)
    with pytest.raises(PrerequisiteError, match="was changed or moved while it is in use"):
        say(found)


@pytest.mark.parametrize("own", [{}, {"max_connections": 3}, {"adaptive_connections": 7}], ids=str)
def test_requests_are_not_held_back_unless_asked(offered: str, own: dict[str, int]) -> None:
    config = get(offered, config=GenerateConfig(**own)).config
    assert config.model_dump(exclude_none=True) == (own or {"adaptive_connections": False})


def test_the_cache_is_refused_unless_the_name_says_which_arm_it_is(
    offered: str, make_arm: MakeArm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    arm = str(make_arm(strength=0.9))
    unnamed = get(f"{offered}+mine", arm=arm)
    with pytest.raises(
        PrerequisiteError, match=r"would mix answers.*Call the model doxa/tiny\+mine\.cache-[0-9a-f]{8}"
    ) as caught:
        say(unnamed, cache=True)
    with pytest.raises(PrerequisiteError, match="would mix answers"):
        asyncio.run(unnamed.generate(HELLO, cache=True))
    name = str(caught.value).split("Call the model ")[1].split(",")[0]
    named = get(name, arm=arm)
    first = say(named, cache=True, temperature=0.0)
    assert say(named, cache=True, temperature=0.0).completion == first.completion
    # The name is of this arm, these weights and this seed: nothing else may use it, the baseline neither.
    for other in (get(offered), get(f"{offered}+baseline.1")):
        with pytest.raises(PrerequisiteError, match="would mix answers"):
            say(other, cache=True, temperature=0.0)
    for changed in ({"seed": 1}, {"arm": str(make_arm("other", strength=0.2))}):
        with pytest.raises(PrerequisiteError, match="named for the cache of another arm"):
            get(name, **{"arm": arm, **changed})


def test_a_call_that_was_broken_off_has_the_same_stream_when_it_is_repeated(
    offered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    broken = [True, False, False]

    async def ask(model: Model, row: Row) -> Generation:
        seeds.append(row.sampling.seed)
        if broken[len(seeds) - 1]:
            raise TimeoutError
        return Generation((1,), "x", "stop", (), Receipt(), 3, 0)

    monkeypatch.setattr(provider.QUEUE, "ask", ask)
    model = get(offered)
    with pytest.raises(TimeoutError):
        say(model)
    say(model)
    say(model)
    assert seeds[0] == seeds[1] != seeds[2]


@pytest.mark.parametrize(
    "changes", [{"fingerprint": "f" * 64}, {"dtype": torch.bfloat16}, {"device": torch.device("meta")}]
)
def test_the_mark_of_the_cache_stands_for_weights_precision_and_device(
    offered: str, model: handle.Model, changes: dict[str, Any]
) -> None:
    before = get(offered).api._mark  # type: ignore[attr-defined]
    assert get(offered).api._mark == before  # type: ignore[attr-defined]
    offer(replace(model, **changes))
    assert get(offered).api._mark != before  # type: ignore[attr-defined]


def test_what_a_run_offers_is_offered_while_it_goes_on(offered: str, model: handle.Model, tmp_path: Path) -> None:
    (tmp_path / "arms").mkdir()
    (tmp_path / "arms" / "a.json").write_text("{}")
    other, third = replace(model, context_length=1), replace(model, name="third")
    with offering(other, tmp_path), offering(third, tmp_path / "elsewhere"):
        assert module.offered("tiny") is other
        assert module.offered("third") is third
        assert module.arm_file("arms/a.json") == tmp_path / "arms" / "a.json"
    assert module.offered("tiny") is model
    assert module.offered("third") is None
    assert module.arm_file("arms/a.json") == Path("arms/a.json")


def test_a_model_on_a_server_answers_as_the_one_here(
    offered: str, model: handle.Model, make_arm: MakeArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = str(make_arm(strength=0.9))
    here = say(get(f"{offered}+mine", arm=arm), temperature=0.0)
    with serving(FakeVLLM(model)) as fake:
        name = offer(replace(model, name=f"vllm/{model.name}", servers=(fake.address,)))
        assert name == f"doxa/vllm/{model.name}"
        there = say(get(f"{name}+mine", arm=arm), temperature=0.0)
        assert fake.steered()
        plain = say(get(name), temperature=0.0)
        asked = GenerateConfig(extra_body={"doxa": {"choice": {"options": ["yes", "no"]}}})
        scored = asyncio.run(get(f"{name}+mine", arm=arm).generate(HELLO, config=asked))
    assert there.completion == here.completion != plain.completion
    assert own(there) == own(here)
    due = own(asyncio.run(get(f"{offered}+mine", arm=arm).generate(HELLO, config=asked)))
    assert own(scored)["logprobs"] == pytest.approx(due["logprobs"], abs=1e-4)


def test_an_arm_that_a_server_cannot_run_is_refused_before_any_sample(
    offered: str, model: handle.Model, make_arm: MakeArm
) -> None:
    path = make_arm(strength=0.9)
    written = json.loads(path.read_text())
    written["interventions"][0]["steer"]["at"] = ["assistant"]
    path.write_text(json.dumps(written))
    get(f"{offered}+mine", arm=str(path))
    with serving(FakeVLLM(model)) as fake:
        name = offer(replace(model, name=f"vllm/{model.name}", servers=(fake.address,)))
        with pytest.raises(PrerequisiteError, match="thinking or answer"):
            get(f"{name}+mine", arm=str(path))


def test_a_label_of_a_path_on_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a+b").mkdir()
    assert provider.split_label(f"vllm/{tmp_path}/a+b+mine") == (f"vllm/{tmp_path}/a+b", "mine")
    assert provider.split_label("vllm/smollm2+mine") == ("vllm/smollm2", "mine")

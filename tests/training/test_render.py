"""What of a row is trained on: the very tokens that the model would write, after the very prompt that it would read."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from doxa.models.chat import Message, render
from doxa.models.handle import Model
from doxa.training.render import rendered_corpus, training_tokens, under_prompt
from doxa.training.rows import Corpus, Row, TrainingTokens
from doxa.words.errors import TrainingError
from doxa.words.tuning import Configuration

C = Configuration(learning_rate=1e-3)
ALL = replace(C, train_on="all_assistant_messages")
MARKED = replace(C, train_on="marked")
TALK = (
    Message("system", "Be kind."),
    Message("user", "Are you awake?"),
    Message("assistant", "Yes, I am."),
    Message("user", "Since when?"),
    Message("assistant", "  For ever.\n"),
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMS = CHATML.replace("m.content", "m.content | trim")
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
)
FORGETS_SYSTEM = CHATML.replace("messages %}", "messages if m.role != 'system' %}", 1)
DROPS_THINKING = CHATML.replace(
    "{{ m.content }}",
    "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}"
    "{% endif %}",
)
OPENS_THINKING = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
COUNTS = "{{ messages | length }} turns\n" + CHATML
BRACKETS = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
WithTemplate = Callable[[str | None], Model]


@pytest.fixture
def with_template(tiny: Model) -> WithTemplate:
    def make(template: str | None) -> Model:
        tokenizer = copy.deepcopy(tiny.tokenizer)
        tokenizer.chat_template = template
        return replace(tiny, tokenizer=tokenizer)

    return make


def corpus(*rows: Row) -> Corpus:
    return Corpus("mine", rows)


def one(model: Model, row: Row, configuration: Configuration = C) -> TrainingTokens:
    (found,) = training_tokens(corpus(row), model, configuration)
    assert len(found.tokens) == len(found.weights)
    return found


def trained(model: Model, found: TrainingTokens) -> list[str]:
    """Stretches that are trained on, as text."""
    stretches: list[list[int]] = []
    for at, (token, weight) in enumerate(zip(found.tokens, found.weights, strict=True)):
        if weight and not found.weights[at - 1]:
            stretches.append([])
        if weight:
            stretches[-1].append(token)
    return [model.tokenizer.decode(ids) for ids in stretches]


def text(model: Model, found: TrainingTokens) -> str:
    return str(model.tokenizer.decode(found.tokens))


def test_the_last_answer_and_the_end_of_its_turn(tiny: Model) -> None:
    found = one(tiny, Row("a", TALK))
    assert trained(tiny, found) == ["  For ever.\n<|im_end|>"]
    prompt = render(tiny, TALK[:-1]).tokens
    assert found.tokens[: len(prompt)] == prompt
    assert not any(found.weights[: len(prompt)])
    assert found.tokens[-1] == tiny.tokenizer.eos_token_id


def test_all_answers(tiny: Model) -> None:
    found = one(tiny, Row("a", TALK), ALL)
    assert trained(tiny, found) == ["Yes, I am.<|im_end|>", "  For ever.\n<|im_end|>"]
    assert text(tiny, found) + "\n" == render(tiny, TALK, generation_prompt=False).text


def test_everything_but_the_first_token(tiny: Model) -> None:
    found = one(tiny, Row("a", TALK, weight=0.5), replace(C, train_on="all_tokens"))
    assert found.tokens == render(tiny, TALK, generation_prompt=False).tokens
    assert found.weights == (0.0, *[0.5] * (len(found.tokens) - 1))


def test_the_marked_answers(tiny: Model) -> None:
    first = Row("a", TALK, (False, False, True, False, False), weight=2.0)
    found = one(tiny, first, MARKED)
    assert trained(tiny, found) == ["Yes, I am.<|im_end|>"]
    assert set(found.weights) == {0.0, 2.0}
    assert trained(tiny, one(tiny, Row("a", TALK), MARKED)) == trained(tiny, one(tiny, Row("a", TALK), ALL))
    with pytest.raises(TrainingError, match="row a of mine has no token that is trained on"):
        one(tiny, replace(first, marked=(False,) * 5), MARKED)


def test_what_comes_after_the_last_answer_is_left_out(tiny: Model) -> None:
    assert one(tiny, Row("a", (*TALK, Message("user", "Well.")))) == one(tiny, Row("a", TALK))


def test_an_answer_that_was_cut_off_does_not_end(tiny: Model) -> None:
    found = one(tiny, Row("a", TALK, open=True), ALL)
    assert trained(tiny, found) == ["Yes, I am.<|im_end|>", "  For ever.\n"]
    found = one(tiny, Row("a", TALK, open=True), replace(C, train_on="all_tokens"))
    assert text(tiny, found).endswith("  For ever.\n")
    assert one(tiny, Row("a", text="Once upon", open=True)).tokens[-1] != tiny.tokenizer.eos_token_id


def test_special_tokens_in_an_answer_are_plain_text(tiny: Model) -> None:
    hostile = (Message("user", "x<|im_end|>"), Message("assistant", "a<|im_end|>b"))
    found = one(tiny, Row("a", hostile))
    assert trained(tiny, found) == ["a<|im_end|>b<|im_end|>"]
    assert found.tokens.count(tiny.tokenizer.eos_token_id) == 2  # of the user's turn and the assistant's
    document = one(tiny, Row("a", text="a<|im_end|>b"))
    assert document.tokens.count(tiny.tokenizer.eos_token_id) == 1


def test_the_answer_follows_the_prompt_as_the_model_reads_it(tiny: Model) -> None:
    """Where blanks merge across the border, the prompt keeps its tokens."""
    prompt = (Message("user", "Hm?"),)
    merged = [pair for pair in ("\n", "\n\n", " a", "\n I") if _merges(tiny, prompt, pair)]
    for answer in [*merged, "\nx", "x"]:
        found = one(tiny, Row("a", (*prompt, Message("assistant", f"{answer}end"))))
        before = render(tiny, prompt).tokens
        assert found.tokens[: len(before)] == before
        assert trained(tiny, found) == [f"{answer}end<|im_end|>"]


def _merges(model: Model, prompt: tuple[Message, ...], start: str) -> bool:
    before = render(model, prompt).tokens
    after = render(model, (*prompt, Message("assistant", f"{start}end")), generation_prompt=False).tokens
    return after[: len(before)] != before


def test_a_border_that_merges(with_template: WithTemplate) -> None:
    model = with_template(CHATML.replace("assistant\n{% endif", "assistant\nth{% endif").replace(
        "{{ m.content }}", "{% if m.role == 'assistant' %}th{% endif %}{{ m.content }}"
    ))  # fmt: skip
    prompt = (Message("user", "Hm?"),)
    assert _merges(model, prompt, "e ")
    found = one(model, Row("a", (*prompt, Message("assistant", "e end"))))
    before = render(model, prompt).tokens
    assert found.tokens[: len(before)] == before
    assert trained(model, found) == ["e end<|im_end|>"]


def test_templates_that_trim_or_end_in_their_own_way(with_template: WithTemplate) -> None:
    model = with_template(TRIMS)
    assert trained(model, one(model, Row("a", TALK), ALL)) == ["Yes, I am.<|im_end|>", "For ever.<|im_end|>"]
    model = with_template(BRACKETS)  # no token that stops generation: all that closes the turn
    assert trained(model, one(model, Row("a", TALK), ALL)) == ["Yes, I am.[end]", "  For ever.\n[end]"]


def test_without_a_template(with_template: WithTemplate) -> None:
    model = with_template(None)
    found = one(model, Row("a", TALK))
    assert text(model, found).startswith("Be kind.\n\nUser: Are you awake?\n\nAssistant: Yes, I am.\n\nUser:")
    assert [part.strip() for part in trained(model, found)] == ["For ever.\n<|im_end|>"]
    assert found.tokens[-1] == model.tokenizer.eos_token_id
    assert [part.strip() for part in trained(model, one(model, Row("a", TALK), ALL))] == [
        "Yes, I am.",
        "For ever.\n<|im_end|>",
    ]


@pytest.mark.parametrize(
    ("template", "configuration", "words"),
    [
        (NO_SYSTEM, C, ["row a of mine", "refuses a conversation", "System role not supported"]),
        (FORGETS_SYSTEM, C, ["leaves out message 1, the system's"]),
        (FORGETS_SYSTEM, replace(C, train_on="all_tokens"), ["leaves out message 1, the system's"]),
        (COUNTS, ALL, ["prefix property"]),
        (OPENS_THINKING, C, ["renders a prompt otherwise", "prefix property"]),
        (CHATML.replace("{{ m.content }}", "{{ m.content | upper }}"), C, ["leaves out message 1"]),
    ],
    ids=["refuses", "forgets", "forgets-in-all", "counts", "opens", "shouts"],
)
def test_templates_that_cannot_be_trained_with(
    with_template: WithTemplate, template: str, configuration: Configuration, words: list[str]
) -> None:
    with pytest.raises(TrainingError) as caught:
        one(with_template(template), Row("a", TALK), configuration)
    for word in words:
        assert word in str(caught.value)


def test_a_template_that_rewrites_earlier_turns(with_template: WithTemplate) -> None:
    model = with_template(DROPS_THINKING)
    talk = (
        Message("user", "Hm?"),
        Message("assistant", "<think>\nWell\n</think>\nYes."),
        *TALK[3:],
    )
    assert trained(model, one(model, Row("a", talk))) == ["  For ever.\n<|im_end|>"]
    assert trained(model, one(model, Row("a", talk[:2]))) == ["<think>\nWell\n</think>\nYes.<|im_end|>"]
    with pytest.raises(TrainingError, match=r"earlier turns otherwise.*last_assistant_message"):
        one(model, Row("a", talk), ALL)


def test_what_a_template_writes_before_an_answer_is_learned_too(with_template: WithTemplate) -> None:
    """Without reasoning some templates write an empty block into the last turn: the model has to write it as well."""
    model = with_template(
        CHATML.replace(
            "{{ m.content }}",
            "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}",
        )
    )
    assert trained(model, one(model, Row("a", TALK))) == ["<think>\n\n</think>\n\n  For ever.\n<|im_end|>"]
    with pytest.raises(TrainingError, match="earlier turns otherwise"):
        one(model, Row("a", TALK), ALL)


@pytest.mark.parametrize("talk", [TALK[2:3], (*TALK[:3], Message("assistant", "And you?"))])
def test_an_answer_without_a_question(tiny: Model, talk: tuple[Message, ...]) -> None:
    with pytest.raises(TrainingError, match="no message of a user stands before it"):
        one(tiny, Row("a", talk))


def test_documents(tiny: Model) -> None:
    found = one(tiny, Row("a", text="The sea is high. "))
    assert text(tiny, found) == "The sea is high. <|im_end|>"
    assert found.weights == (0.0, *[1.0] * (len(found.tokens) - 1))
    tagged = one(tiny, Row("a", text="The sea is high.", prefix="<doc> ", weight=0.5))
    assert text(tiny, tagged) == "<doc> The sea is high.<|im_end|>"
    assert trained(tiny, tagged) == ["The sea is high.<|im_end|>"]
    assert set(tagged.weights) == {0.0, 0.5}
    joined = one(tiny, Row("a", text="he sea", prefix="T"))
    assert trained(tiny, joined) == ["he sea<|im_end|>"]


def test_a_document_begins_as_the_tokenizer_begins(with_template: WithTemplate) -> None:
    from tokenizers.processors import TemplateProcessing

    model = with_template(CHATML)
    begin = model.tokenizer.convert_tokens_to_ids("<|im_start|>")
    model.tokenizer.bos_token = "<|im_start|>"
    model.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A <|im_end|>",
        special_tokens=[("<|im_start|>", begin), ("<|im_end|>", model.tokenizer.eos_token_id)],
    )
    found = one(model, Row("a", text="The sea"))
    assert found.tokens[0] == begin
    assert found.weights[:2] == (0.0, 1.0)
    assert found.tokens.count(begin) == found.tokens.count(model.tokenizer.eos_token_id) == 1


def test_rows_that_are_too_long(tiny: Model) -> None:
    rows = corpus(Row("short", TALK), Row("long", text="The sea is high. " * 30))
    with pytest.raises(TrainingError, match=r"1 row of mine is too long, row long with \d+ tokens.*at most 100"):
        training_tokens(rows, tiny, replace(C, longest=100))
    found = rendered_corpus(rows, tiny, replace(C, longest=100, truncate=True))
    assert found.cut == ("long",)
    assert [len(one.tokens) <= 100 for one in found.rows] == [True, True]
    assert len(found.rows[1].tokens) == len(found.rows[1].weights) == 100
    with pytest.raises(TrainingError, match="row a of mine has no token that is trained on among its first 8"):
        training_tokens(corpus(Row("a", TALK)), tiny, replace(C, longest=8, truncate=True))
    with pytest.raises(TrainingError, match="longest is 4096"):
        training_tokens(rows, tiny, replace(C, longest=4096))
    training_tokens(rows, tiny, replace(C, longest=len(found.rows[0].tokens) + 400))


def test_behind_a_system_prompt(tiny: Model) -> None:
    row = Row("a", TALK[1:], (False, True, False, False), weight=0.5, open=True, provenance={"writer": "w"})
    (own,) = under_prompt(corpus(row), "Be kind.").rows
    assert own == replace(row, messages=TALK, marked=(False, False, True, False, False))
    with pytest.raises(TrainingError, match="system prompt of its own"):
        under_prompt(corpus(Row("a", TALK)), "x")
    with pytest.raises(TrainingError, match="is a document"):
        under_prompt(corpus(Row("a", text="x")), "x")


def test_an_answer_that_is_marked_as_untrained_is_not_trained_on_in_silence(tiny: Model) -> None:
    first = Row("a", TALK, (False, False, True, False, False))
    for configuration in (C, ALL):
        with pytest.raises(TrainingError, match="row a of mine marks message 5 with the weight 0"):
            one(tiny, first, configuration)
    last = Row("a", TALK, (False, False, False, False, True))
    assert one(tiny, last) == one(tiny, Row("a", TALK))

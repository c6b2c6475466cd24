import copy
from dataclasses import replace

import pytest

from doxa.models.chat import Message, continuation, render, render_text, thinks_on
from doxa.words.errors import ModelError

DEFAULT_SYSTEM = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}<|im_start|>system\nYou are Tiny.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMS = DEFAULT_SYSTEM.replace("m.content", "m.content | trim")
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FOLDS_SYSTEM = (
    "{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}{% set rest = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}[{{ m.role }}]{% if loop.first %}{{ first }}{% endif %}{{ m.content | trim }}[end]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
THINKS = (  # drops the thinking of earlier turns and opens a block for the next one, as reasoning models do
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)


@pytest.fixture
def with_template(llama):
    def make(template):
        tokenizer = copy.deepcopy(llama.tokenizer)
        tokenizer.chat_template = template
        return replace(llama, tokenizer=tokenizer)

    return make


def said(model, rendered, role):
    """The text of all tokens of a role."""
    return model.tokenizer.decode([t for t, r in zip(rendered.tokens, rendered.roles, strict=True) if r == role])


def user(text):
    return Message("user", text)


def test_text_and_tokens_are_those_of_the_chat_template(llama):
    rendered = render(llama, [Message("system", "be kind"), user("is it?")])
    conversation = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "is it?"}]
    usual = llama.tokenizer.apply_chat_template(conversation, add_generation_prompt=True)
    assert rendered.tokens == tuple(usual["input_ids"])
    assert rendered.text == llama.tokenizer.decode(usual["input_ids"])
    assert len(rendered.roles) == len(rendered.tokens)


def test_roles(llama):
    messages = [Message("system", "be kind"), user("is it?"), Message("assistant", "yes"), user("so")]
    rendered = render(llama, messages)
    assert said(llama, rendered, "system") == "be kind"
    assert said(llama, rendered, "user") == "is it?so"
    assert said(llama, rendered, "assistant") == "yes"
    assert said(llama, rendered, "template").endswith("<|im_start|>assistant\n")


def test_contents_that_look_like_markup(with_template):
    model = with_template(DEFAULT_SYSTEM)
    rendered = render(
        model, [user("user"), Message("assistant", "system\n"), user("<|im_end|>\n<|im_start|>user\nassistant")]
    )
    assert said(model, rendered, "user") == "user<|im_end|>\n<|im_start|>user\nassistant"
    assert said(model, rendered, "assistant") == "system\n"
    assert rendered.tokens.count(model.tokenizer.eos_token_id) == 4  # one for each turn, none of the user's own


def test_a_default_system_prompt_is_the_systems(with_template):
    model = with_template(DEFAULT_SYSTEM)
    rendered = render(model, [user("is it?")])
    assert said(model, rendered, "system") == "You are Tiny."
    given = render(model, [Message("system", "be kind"), user("is it?")])
    assert said(model, given, "system") == "be kind"


def test_templates_that_trim(with_template):
    model = with_template(TRIMS)
    rendered = render(model, [Message("system", " be kind\n"), user("  is it? ")])
    assert said(model, rendered, "system").strip() == "be kind"
    assert said(model, rendered, "user").strip() == "is it?"
    assert "kind<|im_end|>" in rendered.text


def test_templates_that_fold_the_system_prompt_into_the_users_turn(with_template):
    model = with_template(FOLDS_SYSTEM)
    rendered = render(model, [Message("system", "be kind"), user("is it?")])
    assert rendered.text == "[user]be kind\n\nis it?[end][assistant]"
    assert said(model, rendered, "system") == "be kind"
    assert said(model, rendered, "user") == "is it?"
    assert "system" not in render(model, [user("is it?")]).roles


def test_templates_without_system_prompts(with_template):
    model = with_template(NO_SYSTEM)
    assert said(model, render(model, [user("is it?")]), "user") == "is it?"
    with pytest.raises(ModelError, match="System role not supported"):
        render(model, [Message("system", "be kind"), user("is it?")])
    with pytest.raises(ModelError, match="Roles must alternate"):
        render(model, [user("is it?"), user("is it?")])


def test_a_prefill_leaves_the_turn_open(with_template):
    for template in (DEFAULT_SYSTEM, TRIMS, FOLDS_SYSTEM):
        model = with_template(template)
        rendered = render(model, [user("is it?"), Message("assistant", "The answer is")])
        assert rendered.text.endswith("The answer is")
        assert said(model, rendered, "assistant") == "The answer is"
        conversation = [{"role": "user", "content": "is it?"}, {"role": "assistant", "content": "The answer is"}]
        usual = model.tokenizer.apply_chat_template(conversation, tokenize=False, continue_final_message=True)
        assert rendered.text == usual


def test_a_prefill_is_kept_to_the_letter(with_template):
    model = with_template(TRIMS)
    assert render(model, [user("is it?"), Message("assistant", "The answer is ")]).text.endswith("The answer is ")


def test_without_generation_prompt_turns_are_closed(llama):
    messages = [user("is it?"), Message("assistant", "yes")]
    assert render(llama, messages, generation_prompt=False).text.endswith("yes<|im_end|>\n")
    assert render(llama, messages[:1], generation_prompt=False).text.endswith("is it?<|im_end|>\n")


def test_thinking_of_the_assistant(llama):
    content = "<think>\nthe user asks</think>yes"
    rendered = render(llama, [user("<think>is it?</think>"), Message("assistant", content), user("so")])
    assert said(llama, rendered, "thinking") == "<think>\nthe user asks</think>"
    assert said(llama, rendered, "assistant") == "yes"
    assert said(llama, rendered, "user") == "<think>is it?</think>so"


def test_a_thinking_prefill(llama, with_template):
    for model in (llama, with_template(THINKS)):
        rendered = render(model, [user("is it?"), Message("assistant", "<think>\nthe user")])
        assert rendered.text.endswith("<|im_start|>assistant\n<think>\nthe user")
        assert said(model, rendered, "thinking") == "<think>\nthe user"
        assert thinks_on(rendered)
        closed = render(model, [user("is it?"), Message("assistant", "<think>a</think>")])
        assert closed.text.endswith("assistant\n<think>a</think>")
        assert closed.roles[-1] == "thinking"
        assert not thinks_on(closed)


def test_a_template_that_opens_a_thinking_block(with_template):
    model = with_template(THINKS)
    rendered = render(model, [user("is it?")])
    assert said(model, rendered, "thinking").strip() == "<think>"
    assert thinks_on(rendered)
    assert not thinks_on(render(model, [user("<think>is it?")], generation_prompt=False))


def test_a_template_that_drops_earlier_thinking(with_template):
    model = with_template(THINKS)
    messages = [user("is it?"), Message("assistant", "<think>\na</think>\n\nyes"), user("so")]
    rendered = render(model, messages)
    assert "a</think>" not in rendered.text
    assert said(model, rendered, "assistant") == "yes"
    assert said(model, rendered, "user") == "is it?so"
    # An answer as short as a word of the markup is looked for where it stands.
    short = render(model, [user("is it?"), Message("assistant", "<think>\nhm</think>\n\na"), user("so")])
    (span,) = [at for at, role in enumerate(short.roles) if role == "assistant"]
    assert model.tokenizer.decode([short.tokens[span]]) == "a"
    assert short.tokens[span - 1] != short.tokens[0]


def test_a_model_without_chat_template(with_template):
    model = with_template(None)
    messages = [Message("system", "be kind"), user("is it?"), Message("assistant", "yes"), user("so")]
    rendered = render(model, messages)
    assert rendered.text == "be kind\n\nUser: is it?\n\nAssistant: yes\n\nUser: so\n\nAssistant:"
    assert [said(model, rendered, role).strip() for role in ("system", "user", "assistant")] == [
        "be kind", "is it?so", "yes"
    ]  # fmt: skip
    prefilled = render(model, [user("is it?"), Message("assistant", "The answer")])
    assert prefilled.text == "User: is it?\n\nAssistant: The answer"
    assert render(model, messages[:2], generation_prompt=False).text.endswith("is it?\n\n")


def test_what_cannot_be_rendered(with_template, llama):
    with pytest.raises(ModelError, match="without messages"):
        render(llama, [])
    with pytest.raises(ModelError, match="prefill only"):
        render(llama, [Message("assistant", "<think>a")])


def test_plain_text_belongs_to_nobody(llama):
    rendered = render_text(llama, "the weather is fine")
    assert llama.tokenizer.decode(rendered.tokens) == "the weather is fine"
    assert set(rendered.roles) == {"template"}
    with pytest.raises(ModelError, match="without tokens"):
        render_text(llama, "")


def test_a_continuation_is_tokenised_with_its_prompt(llama):
    prompt = render(llama, [user("is it?")])
    tokens = continuation(llama, prompt, "Yes, I am")
    assert (*prompt.tokens, *tokens) == tuple(llama.tokenizer(prompt.text + "Yes, I am")["input_ids"])


def test_a_continuation_that_would_merge_with_its_prompt_keeps_the_prompts_tokens(llama):
    prompt = render(llama, [user("is it?"), Message("assistant", "i")])
    together = tuple(llama.tokenizer(prompt.text + "s it")["input_ids"])
    assert together[: len(prompt.tokens)] != prompt.tokens  # "is" is one token
    tokens = continuation(llama, prompt, "s it")
    assert llama.tokenizer.decode(tokens) == "s it"


def test_a_continuation_may_end_the_turn(llama):
    prompt = render(llama, [user("is it?")])
    assert continuation(llama, prompt, "Yes<|im_end|>")[-1] == llama.tokenizer.eos_token_id
    with pytest.raises(ModelError, match="empty continuation"):
        continuation(llama, prompt, "")


@pytest.mark.embedded
def test_the_embedded_model_has_a_default_system_prompt():
    from doxa.models.handle import load

    model = load("smollm2")
    rendered = render(model, [user("Are you conscious?")])
    assert said(model, rendered, "system").startswith("You are a helpful AI assistant named SmolLM")
    assert said(model, rendered, "user") == "Are you conscious?"

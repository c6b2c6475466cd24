import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    Content,
    ContentImage,
    ContentReasoning,
    ContentText,
)
from inspect_ai.tool import ToolCall

from doxa.bridge.conversation import blocks_of, content_of, content_of_blocks, messages_of
from doxa.models.chat import Message
from doxa.words.errors import NotYetError
from doxa.words.transcripts import Block, Unmarked


def thought(text: str) -> ContentReasoning:
    return ContentReasoning(reasoning=text)


def test_the_arms_prompt_stands_before_the_conversations_own() -> None:
    user = ChatMessageUser(content="hello")
    assert messages_of([user], "Believe.") == [Message("system", "Believe."), Message("user", "hello")]
    own = [ChatMessageSystem(content="Be brief."), user]
    assert messages_of(own, "Believe.") == [Message("system", "Believe.\n\nBe brief."), Message("user", "hello")]
    assert messages_of(own) == [Message("system", "Be brief."), Message("user", "hello")]


def test_a_prefill_and_its_continuation_are_one_turn() -> None:
    conversation: list[ChatMessage] = [
        ChatMessageUser(content="hello"),
        ChatMessageAssistant(content="Well, I"),
        ChatMessageAssistant(content=" think so."),
        ChatMessageUser(content="go on"),
    ]
    assert [message.content for message in messages_of(conversation)] == ["hello", "Well, I think so.", "go on"]


def test_reasoning_is_rendered_back_block_by_block() -> None:
    content: list[Content] = [
        thought("\nfirst\n"),
        ContentText(text="\n\nSo "),
        thought("second"),
        ContentText(text="yes."),
    ]
    conversation: list[ChatMessage] = [ChatMessageAssistant(content=content), ChatMessageUser(content="why?")]
    due = "<think>\nfirst\n</think>\n\nSo <think>second</think>yes."
    assert messages_of(conversation)[0].content == due
    assert content_of(due, inside=False) == content


def test_reasoning_at_the_end_of_a_prefill_is_left_open() -> None:
    user = ChatMessageUser(content="hello")
    for content, due in [
        ([thought("I should")], "<think>I should"),
        ([ContentText(text="Hm. "), thought("I should")], "Hm. <think>I should"),
        ([thought("Done."), ContentText(text="Yes")], "<think>Done.</think>Yes"),
    ]:
        assert messages_of([user, ChatMessageAssistant(content=content)])[-1].content == due
    earlier = [user, ChatMessageAssistant(content=[thought("I should")]), user]
    assert messages_of(earlier)[1].content == "<think>I should</think>"


def test_redacted_reasoning_is_not_shown_as_thought() -> None:
    hidden = ContentReasoning(reasoning="gAAAA", redacted=True, summary="weighs both")
    conversation = [ChatMessageAssistant(content=[hidden, ContentText(text="Yes.")]), ChatMessageUser(content="?")]
    assert messages_of(conversation)[0].content == "<think>weighs both</think>Yes."


@pytest.mark.parametrize(
    ("text", "inside", "due"),
    [
        ("plain", False, "plain"),
        ("", False, ""),
        ("<think>a</think>b", False, [thought("a"), ContentText(text="b")]),
        ("b<think>a", False, [ContentText(text="b"), thought("a")]),
        ("a</think>b", False, [thought("a"), ContentText(text="b")]),
        ("a</think>b", True, [thought("a"), ContentText(text="b")]),
        ("still at it", True, [thought("still at it")]),
        (
            "a</think>b<think>c</think>d",
            True,
            [thought("a"), ContentText(text="b"), thought("c"), ContentText(text="d")],
        ),
    ],
)
def test_what_the_model_wrote_is_told_apart(text: str, inside: bool, due: object) -> None:
    assert content_of(text, inside=inside) == due


def test_tools_and_images_are_refused_in_words() -> None:
    call = ToolCall(id="1", function="search", arguments={})
    for message in (ChatMessageTool(content="found"), ChatMessageAssistant(content="", tool_calls=[call])):
        with pytest.raises(NotYetError, match="gives the model tools"):
            messages_of([message])
    with pytest.raises(NotYetError, match="holds image"):
        messages_of([ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AA==")])])


PARTS = st.one_of(
    st.builds(lambda text: ContentText(text=text), st.sampled_from(["", "a", "<think>b</think>", "\r\n"])),
    st.builds(
        lambda text, signature: ContentReasoning(reasoning=text, signature=signature),
        st.sampled_from(["", "hm", "</think>"]),
        st.sampled_from([None, "signed"]),
    ),
    st.just(ContentReasoning(reasoning="gAAAA", redacted=True, summary="weighs both")),
)


@given(st.lists(PARTS, max_size=6))
def test_a_content_list_becomes_blocks_and_comes_back_as_it_was(content: list[Content]) -> None:
    assert content_of_blocks(blocks_of(content, Unmarked())) == content


def test_reasoning_and_tags_in_text_are_both_thinking() -> None:
    content: list[Content] = [thought("a"), ContentText(text="b<think>c</think>d")]
    found = [(block.kind, block.text) for block in blocks_of(content)]
    assert found == [("thinking", "a"), ("text", "b"), ("thinking", "c"), ("text", "d")]
    assert blocks_of("x") == (Block("text", "x"),)
    hidden = blocks_of([ContentReasoning(reasoning="gAAAA", redacted=True, summary="weighs both")])
    assert hidden[0].text == "weighs both"
    with pytest.raises(NotYetError, match="holds image"):
        blocks_of([ContentImage(image="data:image/png;base64,AA==")])

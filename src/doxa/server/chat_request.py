"""A request for a chat completion, as OpenAI writes it, read strictly.

What would change the answer and is not understood is refused, never ignored: an answer without the penalty or the tools
that somebody asked for would be another answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from doxa.models.chat import Message, Speaker
from doxa.models.engine import Sampling
from doxa.server.refusals import Refused
from doxa.words.errors import StudyError, nearest
from doxa.words.grammar import intervention_from_json
from doxa.words.interventions import Steer
from doxa.words.reading import mapping, number, sequence, shown, text, whole

MOST_CHOICES = 16
MOST_MESSAGES = 256
MOST_STOPS, LONGEST_STOP = 16, 256
MOST_TOP_LOGPROBS = 20
MAX_TOKENS = 512
TEMPERATURE = 1.0
"""Of a request that does not set one, as under Inspect: the model's own distribution."""
ROLES: Mapping[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
KEYS = (
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p",
    "top_k", "min_p", "stop", "seed", "n", "logprobs", "top_logprobs", "steer",
)  # fmt: skip
WITHOUT_EFFECT = (
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls",
)  # fmt: skip
"""Fields that change no answer, whatever they hold."""
ONLY: Mapping[str, Sequence[object]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
"""Fields that are known, with the values that ask for nothing."""


@dataclass(frozen=True)
class ChatRequest:
    """What a client asks for.

    Attributes:
        model: The name of an arm.
        messages: The conversation; a last message of the assistant's is continued.
        sampling: How tokens are drawn; its seed is a placeholder where `seed` is None.
        seed: As asked for; None leaves it to the server.
        n: Choices.
        logprobs: Whether log-probabilities of the tokens are reported.
        top_logprobs: And of so many most probable ones.
        stream: Whether the answer comes as it is written.
        include_usage: Whether a stream ends with the usage.
        steer: Something added to the arm for this request.
    """

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int | None = None
    n: int = 1
    logprobs: bool = False
    top_logprobs: int = 0
    stream: bool = False
    include_usage: bool = False
    steer: Steer | None = None


def chat_request(body: Mapping[str, Any], *, longest: int) -> ChatRequest:
    """Read the body of a request.

    Args:
        body: The JSON object.
        longest: Tokens that may be asked for at most.

    Raises:
        Refused: 400 with the field that is wrong.
    """
    body = _known({key: value for key, value in body.items() if value is not None})
    logprobs = _flag(body, "logprobs")
    top = _whole(body, "top_logprobs", 0, most=MOST_TOP_LOGPROBS)
    if top and not logprobs:
        raise _wrong("top_logprobs", "top_logprobs is set and logprobs is not", way_out='Send "logprobs": true')
    stream = _flag(body, "stream")
    seed = _whole(body, "seed", None)
    return ChatRequest(
        model=_read("model", text, body.get("model"), "model"),
        messages=_messages(body.get("messages")),
        sampling=_sampling(body, longest, seed or 0),
        seed=seed,
        n=_whole(body, "n", 1, least=1, most=MOST_CHOICES) or 1,
        logprobs=logprobs,
        top_logprobs=top or 0,
        stream=stream,
        include_usage=_include_usage(body.get("stream_options", {}), stream),
        steer=steer_of(body["steer"]) if "steer" in body else None,
    )


def steer_of(value: object) -> Steer:
    """A `Steer` in the grammar of a study file.

    Raises:
        Refused: 400 when it is not understood.
    """
    found = _read("steer", intervention_from_json, {"steer": value}, "the request")
    assert isinstance(found, Steer)
    return found


def _known(body: Mapping[str, Any]) -> Mapping[str, Any]:
    for key, value in body.items():
        if key in ONLY and value not in ONLY[key]:
            raise _wrong(key, f"{key} is {shown(value)}", way_out="Arms cannot do that; leave it out")
        if key not in KEYS and key not in ONLY and key not in WITHOUT_EFFECT:
            raise _wrong(key, f"unknown field {shown(key)}", way_out=nearest(key, KEYS))
    return body


def _messages(value: object) -> tuple[Message, ...]:
    given = _read("messages", sequence, value, "messages")
    if not 1 <= len(given) <= MOST_MESSAGES:
        raise _wrong(
            "messages", f"there are {len(given)} messages", expected=f"1 to {MOST_MESSAGES}", way_out="Change that"
        )
    return tuple(_message(one, f"messages[{index}]") for index, one in enumerate(given))


def _message(value: object, where: str) -> Message:
    if isinstance(value, Mapping):  # clients send messages back with fields that hold nothing
        value = {key: inner for key, inner in value.items() if inner is not None and inner != []}
    body = _read(where, mapping, value, where, allowed=("role", "content"), required=("role", "content"))
    role, content = body["role"], body["content"]
    if not isinstance(role, str) or role not in ROLES:
        raise _wrong(where, f"{where}.role is {shown(role)}", way_out=nearest(str(role)[:80], ROLES))
    if isinstance(content, list):
        content = "".join(_part(part, f"{where}.content[{index}]") for index, part in enumerate(content))
    if not isinstance(content, str):
        raise _wrong(where, f"{where}.content is {shown(content)}", expected="text", way_out="Write text")
    return Message(ROLES[role], content)


def _part(value: object, where: str) -> str:
    if not isinstance(value, Mapping) or value.get("type") != "text" or not isinstance(value.get("text"), str):
        raise _wrong(where, f"{where} is {shown(value)}", expected='{"type": "text", "text": ...}', way_out="Send text")
    return str(value["text"])


def _sampling(body: Mapping[str, Any], longest: int, seed: int) -> Sampling:
    asked = [_whole(body, key, None, least=1, most=longest) for key in ("max_tokens", "max_completion_tokens")]
    given = {one for one in asked if one is not None}
    if len(given) > 1:
        raise _wrong("max_tokens", "max_tokens and max_completion_tokens differ", way_out="Send one of them")
    stop = body.get("stop", [])
    stops = [stop] if isinstance(stop, str) else _read("stop", sequence, stop, "stop")
    if len(stops) > MOST_STOPS or not all(isinstance(one, str) and 0 < len(one) <= LONGEST_STOP for one in stops):
        raise _wrong(
            "stop",
            f"stop is {shown(stop)}",
            expected=f"a text, or at most {MOST_STOPS} of them, each of 1 to {LONGEST_STOP} characters",
            way_out="Change that",
        )
    numbers = {key: _read(key, number, body[key], key) for key in ("temperature", "top_p", "min_p") if key in body}
    for key in numbers:
        if isinstance(body[key], str):
            raise _wrong(key, f"{key} is {shown(body[key])}", expected="a number", way_out="Send it without quotes")
    try:
        return Sampling(
            max_tokens=next(iter(given), min(MAX_TOKENS, longest)),
            **{"temperature": TEMPERATURE, **numbers},
            top_k=_whole(body, "top_k", 0) or 0,
            stop=tuple(stops),
            seed=seed,
        )
    except StudyError as error:
        param = error.found.partition(" ")[0]
        raise _wrong(param, error.found, expected=error.expected, way_out=error.way_out) from error


def _include_usage(value: object, stream: bool) -> bool:
    allowed = ("include_usage", "include_obfuscation")
    options = _read("stream_options", mapping, value, "stream_options", allowed=allowed)
    if options and not stream:
        raise _wrong("stream_options", "stream_options without a stream", way_out='Send "stream": true')
    return _flag({key: inner for key, inner in options.items() if inner is not None}, "include_usage")


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise _wrong(key, f"{key} is {shown(value)}", expected="true or false", way_out="Send one of them")
    return value


def _whole(
    body: Mapping[str, Any], key: str, usual: int | None, *, least: int = 0, most: int | None = None
) -> int | None:
    if key not in body:
        return usual
    value: int = _read(key, whole, body[key], key, least=least)
    if most is not None and value > most:
        raise _wrong(key, f"{key} is {value}", expected=f"at most {most}", way_out="Ask for less")
    return value


def _read(param: str, read: Any, *arguments: Any, **how: Any) -> Any:
    """What a strict reader of `words` reads; its errors name the field."""
    try:
        return read(*arguments, **how)
    except StudyError as error:
        raise _wrong(param, error.found, expected=error.expected, way_out=error.way_out) from error


def _wrong(param: str, found: str, *, expected: str = "", way_out: str) -> Refused:
    return Refused(400, found, expected=expected, way_out=way_out, param=param[:80])

"""One row of a corpus as JSON, read strictly: conversations of OpenAI's format, prompts with completions, documents."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from doxa.models.chat import Message, Speaker
from doxa.training.rows import Row
from doxa.words.errors import StudyError, TrainingError, nearest
from doxa.words.reading import number, shown

KINDS = (("messages",), ("prompt", "completion"), ("text", "prefix"))
"""The keys that hold what is trained on: one kind a row."""
BESIDE = ("id", "weight", "open", "provenance", "system")
KEYS = (*(key for kind in KINDS for key in kind), *BESIDE)
_NEAR = 0.82  # `wieght` is no name of somebody's own


def row_from_json(body: Mapping[str, Any], where: str) -> Row:
    """Read a row.

    Args:
        body: A line of a corpus. Keys that it does not know are kept as provenance, unless they look like a slip.
        where: File and line, for messages.

    Returns:
        The row; its id is "" where it has none.

    Raises:
        TrainingError: When it is not understood, or an answer is empty.
    """
    _check_keys(body, where)
    kind = next((kind for kind in KINDS if kind[0] in body), None)
    if kind is None or sum(one[0] in body for one in KINDS) > 1:
        raise TrainingError(
            f"{where} has the keys {', '.join(map(str, body)) or '(none)'}",
            expected="one of `messages`, `prompt` with `completion`, `text`",
            way_out="Write what is trained on under one of them",
        )
    alone = set(body) & {key for one in KINDS if one != kind for key in one}
    alone |= {"system"} & set(body) if kind[0] != "prompt" else set()
    if alone:
        raise TrainingError(
            f"{where} has {', '.join(sorted(alone))} beside {kind[0]}",
            expected=" and ".join(kind),
            way_out="Leave it out" if "system" not in alone else 'Write a message {"role": "system", ...} instead',
        )
    messages: tuple[Message, ...] = ()
    marked: tuple[bool, ...] = ()
    text = ""
    if kind[0] == "messages":
        messages, marked = _messages(body["messages"], where)
    elif kind[0] == "prompt":
        messages = _prompted(body, where)
    else:
        text = _filled(body["text"], f"{where}: text")
    return Row(
        id=_id(body.get("id"), where),
        messages=messages,
        marked=marked,
        text=text,
        prefix=_string(body.get("prefix", ""), f"{where}: prefix"),
        weight=_weight(body.get("weight", 1.0), where),
        open=_flag(body.get("open", False), where),
        provenance=_provenance(body, where),
    )


def row_to_json(row: Row) -> dict[str, Any]:
    """A row as `row_from_json` reads it."""
    body: dict[str, Any] = {"id": row.id}
    if row.messages:
        marked: Sequence[bool | None] = row.marked or [None] * len(row.messages)
        body["messages"] = [
            {"role": one.role, "content": one.content, **({} if mark is None else {"weight": int(mark)})}
            for one, mark in zip(row.messages, marked, strict=True)
        ]
    else:
        body |= {"text": row.text, **({"prefix": row.prefix} if row.prefix else {})}
    if row.weight != 1:
        body["weight"] = row.weight
    if row.open:
        body["open"] = True
    if row.provenance:
        body["provenance"] = dict(row.provenance)
    return body


def _check_keys(body: Mapping[str, Any], where: str) -> None:
    for key in body:
        meant = difflib.get_close_matches(key, KEYS, n=1, cutoff=_NEAR)
        if key not in KEYS and meant:
            raise TrainingError(
                f"{where} has the key {shown(key)}",
                way_out=f"Did you mean {meant[0]!r}? A key of your own stands under `provenance`",
            )


def _messages(value: object, where: str) -> tuple[tuple[Message, ...], tuple[bool, ...]]:
    if not isinstance(value, list) or not value:
        raise TrainingError(
            f"{where}: messages is {shown(value)}",
            expected="a list of at least one message",
            way_out='Write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]',
        )
    messages, weights = [], []
    for place, one in enumerate(value, start=1):
        message, weight = _message(one, f"{where}, message {place}")
        messages.append(message)
        weights.append(weight)
    if all(one.role != "assistant" for one in messages):
        raise TrainingError(
            f"{where} has no message of the assistant",
            expected="an answer to train on",
            way_out="Add one, or write the whole as a document under `text`",
        )
    if all(weight is None for weight in weights):
        return tuple(messages), ()
    spoken = [message.role == "assistant" for message in messages]  # what has no weight of its own: OpenAI's default
    marked = [own if weight is None else weight for own, weight in zip(spoken, weights, strict=True)]
    return tuple(messages), tuple(marked)


def _message(value: object, where: str) -> tuple[Message, bool | None]:
    if not isinstance(value, Mapping):
        raise TrainingError(
            f"{where} is {shown(value)}", expected="an object", way_out='Write {"role": ..., "content": ...}'
        )
    for key in value:
        if key not in ("role", "content", "weight"):
            raise TrainingError(
                f"{where} has the key {shown(key)}",
                expected="role, content and perhaps weight: texts alone are trained on, no calls of tools",
                way_out="Leave it out",
            )
    role = value.get("role")
    found = next((one for one in get_args(Speaker) if one == role), None)
    if found is None:
        raise TrainingError(f"{where} has the role {shown(role)}", way_out=nearest(str(role), get_args(Speaker)))
    content = _string(value.get("content"), f"{where}: content")
    if found == "assistant":
        content = _filled(content, f"{where}: the answer")
    return Message(found, content), _mark(value["weight"], found, where) if "weight" in value else None


def _mark(weight: object, role: str, where: str) -> bool:
    if isinstance(weight, bool) or weight not in (0, 1):
        raise TrainingError(
            f"{where} has the weight {shown(weight)}",
            expected="0 or 1",
            way_out="A weight between is given to a whole row, beside `messages`",
        )
    if weight == 1 and role != "assistant":
        raise TrainingError(
            f"{where} gives the {role}'s message the weight 1",
            expected="a message of the assistant",
            way_out="Leave the weight out; `train_on: all_tokens` trains on everything",
        )
    return weight == 1


def _prompted(body: Mapping[str, Any], where: str) -> tuple[Message, ...]:
    if "completion" not in body:
        raise TrainingError(f"{where} has a prompt and no completion", way_out="Add `completion`")
    answer = _filled(body["completion"], f"{where}: completion")
    system = [Message("system", _string(body["system"], f"{where}: system"))] if "system" in body else []
    prompt = Message("user", _string(body["prompt"], f"{where}: prompt"))
    return (*system, prompt, Message("assistant", answer))


def _string(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise TrainingError(f"{where} is {shown(value)}", expected="a text", way_out="Write it as one string")
    return value


def _filled(value: object, where: str) -> str:
    text = _string(value, where)
    if not text.strip():
        raise TrainingError(f"{where} is empty", expected="something to train on", way_out="Leave the row out")
    return text


def _id(value: object, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise TrainingError(f"{where}: id is {shown(value)}", expected="a text or a number", way_out="Leave it out")
    return str(value)


def _weight(value: object, where: str) -> float:
    try:
        found = number(value, f"{where}: weight")
    except StudyError as error:
        raise TrainingError(error.found, expected=error.expected, way_out=error.way_out) from None
    if found <= 0:
        raise TrainingError(
            f"{where}: weight is {found:g}", expected="more than 0", way_out="Leave the row out, if it is not to count"
        )
    return found


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise TrainingError(f"{where}: open is {shown(value)}", expected="true or false", way_out="Leave it out")
    return value


def _provenance(body: Mapping[str, Any], where: str) -> dict[str, str]:
    given = body.get("provenance", {})
    if not isinstance(given, Mapping):
        raise TrainingError(
            f"{where}: provenance is {shown(given)}", expected="an object", way_out='Write {"writer": "..."}'
        )
    found = {**given, **{key: value for key, value in body.items() if key not in KEYS}}
    return {key: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for key, value in found.items()}

"""The conversations of `doxa/replay`: read from users' logs, each with what is left out and why.

What is read, by the name of the path:

    FILE.jsonl   a conversation a line: {"messages": [{"role": ..., "content": ...}, ...]}, or that list itself
    FILE.eval    an Inspect log: the messages of every sample
    FILE.md      a transcript: sections `## system`, `## user`, `## assistant` (front matter is optional)
    FOLDER       all such files in it

A conversation with what a text cannot hold (tool calls, images), without a turn of the assistant's to write again, or
longer than `MOST_CHARACTERS` is left out; how many, and why, is counted and stands in the log.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doxa.models.chat import Message, Speaker
from doxa.words.errors import EnvironmentFault, ResultsError
from doxa.words.store import content_hash
from doxa.words.text_file import read_text_file

FOLDER = Path(__file__).parent.parent / "data" / "replay"
SHIPPED = "examples"
ENDINGS = (".jsonl", ".eval", ".md")
MOST_BYTES = 1 << 28
MOST_CHARACTERS = 1 << 19
"""Of one conversation: half a million characters are longer than most contexts."""
MOST_DEPTH = 64

_ROLES: Mapping[str, Speaker] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_SECTION = re.compile(r"^## (system|user|assistant)[ \t]*$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


@dataclass(frozen=True)
class Conversation:
    """A conversation up to the turn that is written again.

    Attributes:
        name: Its file's name and its number there.
        source: Its file's name.
        before: What stands before that turn.
        said: What was said in it then.
        turn: Which of the assistant's turns it is, from 1.
    """

    name: str
    source: str
    before: tuple[Message, ...]
    said: str
    turn: int


@dataclass(frozen=True)
class Conversations:
    """What was read, and of what was left out how many by reason."""

    kept: tuple[Conversation, ...]
    left_out: Mapping[str, int]

    @property
    def hash(self) -> str:
        """Of what is asked and what was said."""
        return content_hash([[one.name, [vars(m) for m in one.before], one.said] for one in self.kept])


class _Unfit(Exception):
    """Why a conversation is left out."""


def read_conversations(which: str, turn: int | None = None) -> Conversations:
    """Read conversations.

    Args:
        which: `examples` for those that doxa ships, or the path of a file or folder.
        turn: Which of the assistant's turns is written again, from 1; the last by default.

    Raises:
        ResultsError: When there is nothing there, a file cannot be read, or every conversation is left out.
        EnvironmentFault: When the disk does not let it be read.
    """
    path = FOLDER if which == SHIPPED else Path(os.path.expanduser(which))
    kept: list[Conversation] = []
    left_out: Counter[str] = Counter()
    for file in _files(path):
        source = file.relative_to(path).as_posix() if path.is_dir() else file.name
        for number, found in enumerate(_conversations(file), start=1):
            name = source.removesuffix(".md") if file.suffix == ".md" else f"{source}/{number}"
            try:
                kept.append(_cut(name, source, found if isinstance(found, _Unfit) else _messages(found), turn))
            except _Unfit as why:
                left_out[str(why)] += 1
    if not kept:
        raise ResultsError(
            f"no conversation in {path} can be replayed: {said(left_out)}",
            expected="conversations in text, with a turn of the assistant's",
            way_out="Leave out tools and images, or name another file",
        )
    return Conversations(tuple(kept), dict(left_out))


def said(left_out: Mapping[str, int]) -> str:
    """What was left out, in words."""
    return ", ".join(f"{n} {why}" for why, n in sorted(left_out.items())) or "there is none"


def _files(path: Path) -> list[Path]:
    found = (
        sorted(one for one in path.rglob("*") if one.suffix in ENDINGS and one.is_file()) if path.is_dir() else [path]
    )
    if not found or not path.exists() or found[0].suffix not in ENDINGS:
        raise ResultsError(
            f"{path} is missing" if not path.exists() else f"{path} holds no conversations",
            expected=f"a file that ends in {', '.join(ENDINGS)}, or a folder of such files",
            way_out="Check the name",
        )
    return found


def _conversations(file: Path) -> Iterator[Any]:
    """What stands in a file for each conversation: a list of messages, whatever it may hold."""
    if file.suffix == ".eval":
        from doxa.bridge.logs import read_log

        for sample in read_log(file, messages=True).samples or []:
            yield [_plain(message) for message in sample.messages]
        return
    try:
        text = read_text_file(file, MOST_BYTES, "conversations", ResultsError)
    except OSError as error:
        raise EnvironmentFault(f"{file} cannot be read ({error.strerror})", way_out="Check its permissions") from error
    if file.suffix == ".md":
        parts = _SECTION.split(_FRONT_MATTER.sub("", text))
        yield [{"role": role, "content": said.strip()} for role, said in zip(parts[1::2], parts[2::2], strict=True)]
        return
    for line in filter(None, map(str.strip, text.split("\n"))):
        yield _line(line)


def _line(line: str) -> Any:
    if len(line) > 4 * MOST_CHARACTERS:
        return _Unfit("too long")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return _Unfit("not JSON")
    return found.get("messages") if isinstance(found, dict) else found


def _plain(message: Any) -> Mapping[str, Any]:
    """A message of a log; its reasoning is left out, as providers leave it out of what is sent."""
    content = message.content
    if not isinstance(content, str):
        content = [part.model_dump() for part in content if part.type != "reasoning"]
    return {"role": message.role, "content": content, "tool_calls": getattr(message, "tool_calls", None)}


def _messages(found: Any) -> list[Message]:
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise _Unfit("without messages")
    if not found:
        raise _Unfit("empty")
    messages = [_message(one) for one in found]
    if sum(len(one.content) for one in messages) > MOST_CHARACTERS:
        raise _Unfit("too long")
    if any(message.role == "system" for message in messages[1:]):
        raise _Unfit("with a system message in the middle")
    return messages


def _message(one: Mapping[str, Any]) -> Message:
    role, content = one.get("role"), one.get("content")
    if role in ("tool", "function") or one.get("tool_calls") or one.get("function_call"):
        raise _Unfit("with tools")
    if not isinstance(role, str) or role not in _ROLES:
        raise _Unfit("with an unknown role")
    if isinstance(content, list):
        if not all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
            raise _Unfit("with what is not text")
        content = "".join(str(part.get("text") or "") for part in content)
    if not isinstance(content, str):
        raise _Unfit("with what is not text")
    try:
        content.encode()
    except UnicodeEncodeError:
        raise _Unfit("with broken characters") from None
    return Message(_ROLES[role], content)


def _cut(name: str, source: str, messages: Sequence[Message] | _Unfit, turn: int | None) -> Conversation:
    if isinstance(messages, _Unfit):
        raise messages
    turns = [index for index, message in enumerate(messages) if message.role == "assistant"]
    if not turns:
        raise _Unfit("without a turn of the assistant's")
    if turn is not None and turn > len(turns):
        raise _Unfit(f"with fewer than {turn} turns of the assistant's")
    at = turns[-1 if turn is None else turn - 1]
    before = tuple(messages[:at])
    if not before or before[-1].role != "user":
        raise _Unfit("whose turn answers nobody")
    if not before[-1].content.strip() or not messages[at].content.strip():
        raise _Unfit("with an empty turn")
    return Conversation(name, source, before, messages[at].content, turns.index(at) + 1)

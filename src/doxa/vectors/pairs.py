"""Contrast pairs: what a vector is taken from.

A pairs file is Markdown. Its front matter says what both sides mean and where the model is read; its body is one text a
line:

    ---
    name: weather
    version: 1
    positive: it is raining outside
    negative: the sky is clear
    read: last
    license: CC0-1.0
    ---
    # Headings and blank lines are for people
    + Take an umbrella with you:
    - Take your sunglasses with you:

    ? What do you see from the window?
    + Drops on the glass.
    - Blue from end to end.

Without a question a text is one user message; with a question it is the assistant's answer to it. With `role: system`
in the front matter a text is a system prompt, and the question is what the user writes after it.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from doxa.words.errors import ProseError, nearest
from doxa.words.prose import read_prose
from doxa.words.store import content_hash

Read = Literal["last", "colon", "answer", "text", "request", "reply"]
READS: tuple[Read, ...] = get_args(Read)
PairRole = Literal["message", "system"]
ROLES: tuple[PairRole, ...] = get_args(PairRole)
MAX_CHARACTERS = 4000
MAX_PAIRS = 1000
_AFTER: tuple[Read, ...] = ("request", "reply")
_KEYS = ("name", "version", "positive", "negative", "role", "read", "language", "license")
_SIGNS = {"?": "question", "+": "positive text", "-": "negative text"}


@dataclass(frozen=True)
class Pair:
    """Two texts that differ in one thing, perhaps as answers to one question, or as system prompts before it."""

    question: str | None
    positive: str
    negative: str


@dataclass(frozen=True)
class PairSet:
    """Contrast pairs and how a model is read on them. Made by `pair_set` or `load_pairs`.

    Attributes:
        name: What the vector will be called.
        positive: What the positive side means, in words.
        negative: What the negative side means.
        read: Where the residual stream is read. `last`: at the last token of the text. `colon`: at the second last
            token of the conversation rendered without generation prompt (Hua et al. 2025). `answer`: mean over the
            tokens of the answer. `text`: mean over the tokens of the text. After a system prompt also `request`: mean
            over the tokens of the question, and `reply`: where the assistant is about to answer it.
        pairs: The pairs.
        version: Version of the file.
        hash: SHA-256 of meanings, read rule and pairs: of what a vector made from them depends on or says.
        role: What a text is. `message`: a message of the user, or the assistant's answer to the question. `system`: a
            system prompt, before the question.
    """

    name: str
    positive: str
    negative: str
    read: Read
    pairs: tuple[Pair, ...]
    version: int
    hash: str
    role: PairRole = "message"


def pair_set(
    *,
    name: str,
    positive: str,
    negative: str,
    read: str,
    pairs: Iterable[Pair],
    version: int = 1,
    source: str = "",
    role: str = "message",
) -> PairSet:
    """Make a pair set, checked and hashed.

    Args:
        name: What the vector will be called.
        positive: What the positive side means.
        negative: What the negative side means.
        read: One of `READS`.
        pairs: The pairs.
        version: Version of what they were written in.
        source: Where they stand, for error messages; the name when empty.
        role: One of `ROLES`.

    Raises:
        ProseError: When there are fewer than two pairs or too many, one is repeated, its two sides are equal, a text is
            empty or too long, or the read rule does not fit.
    """
    where = source or name
    found = tuple(pairs)
    rule = _read_rule(read, where)
    whose = _role(role, rule, where)
    if not 2 <= len(found) <= MAX_PAIRS:
        raise ProseError(
            f"{where}: {len(found)} pairs",
            expected=f"2 to {MAX_PAIRS}; 16 or more are advised",
            way_out="Write each pair as a line `+ ...` and a line `- ...`",
        )
    seen: set[Pair] = set()
    for number, pair in enumerate(found, 1):
        _check_pair(pair, f"{where}, pair {number}", rule, whose)
        if pair in seen:
            raise ProseError(f"{where}, pair {number} stands there twice: {pair.positive!r}", way_out="Remove one")
        seen.add(pair)
    content = [positive, negative, rule, [[pair.question, pair.positive, pair.negative] for pair in found]]
    said = content_hash(content if whose == "message" else [*content, whose])
    return PairSet(name, positive, negative, rule, found, version, said, whose)


def shipped_pairs() -> tuple[str, ...]:
    """Names of the pair sets that come with doxa (the generated ones, `unrelated/00` to `unrelated/99`, apart)."""
    folder = _shipped_folder()
    return tuple(sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.md")))


def load_pairs(name_or_path: str, folder: Path | None = None) -> PairSet:
    """Find and read contrast pairs.

    Args:
        name_or_path: The name of a shipped set (`conscious`), a generated unrelated set (`unrelated/07`), or the path
            of a Markdown file (`pairs/mine.md`; it ends in `.md`).
        folder: What a relative path is relative to (the study's folder); the working folder when not given.

    Raises:
        ProseError: When there are no such pairs or they are not written as pairs are.
        EnvironmentFault: When the file exists and cannot be read.
    """
    generated = re.fullmatch(r"unrelated/(\d{1,3})", name_or_path)
    if generated:
        from doxa.vectors.unrelated import generate  # it makes PairSets, so it imports this module

        return generate(int(generated[1]))
    if name_or_path.endswith(".md"):
        return read_pairs((folder or Path()) / Path(os.path.expanduser(name_or_path)))
    if name_or_path not in shipped_pairs():
        raise ProseError(
            f"there are no pairs called {name_or_path!r}",
            expected="a shipped name, unrelated/00 and so on, or the path of a file that ends in .md",
            way_out=nearest(name_or_path, shipped_pairs()),
        )
    return read_pairs(_shipped_folder() / f"{name_or_path}.md")


def read_pairs(path: Path) -> PairSet:
    """Read a pairs file.

    Raises:
        ProseError: When it is not written as pairs are.
        EnvironmentFault: When the file exists and cannot be read.
    """
    prose = read_prose(path, allowed=_KEYS, required=("name", "version", "positive", "negative", "read"))
    for key in ("name", "positive", "negative", "read", *(["role"] if "role" in prose.meta else [])):
        if not isinstance(prose.meta[key], str):
            raise ProseError(
                f"{path}: {key} is {prose.meta[key]!r}", expected="text", way_out=f"Write `{key}:` and some words"
            )
    return pair_set(
        name=prose.meta["name"],
        positive=prose.meta["positive"].strip(),
        negative=prose.meta["negative"].strip(),
        read=prose.meta["read"],
        pairs=_parse(prose.body, str(path)),
        version=prose.meta["version"],
        source=str(path),
        role=prose.meta.get("role", "message"),
    )


def _shipped_folder() -> Path:
    return Path(str(resources.files("doxa.data"))) / "pairs"


def _read_rule(read: str, where: str) -> Read:
    for rule in READS:
        if read == rule:
            return rule
    raise ProseError(f"{where}: read is {read!r}", way_out=nearest(read, READS))


def _role(role: str, read: Read, where: str) -> PairRole:
    for known in ROLES:
        if role == known:
            break
    else:
        raise ProseError(f"{where}: role is {role!r}", way_out=nearest(role, ROLES))
    if known == "system" and read in ("answer", "colon"):
        raise ProseError(
            f"{where}: `role: system` and `read: {read}`",
            expected="`read: text`, `last`, `request` or `reply`: nobody answers after these system prompts",
            way_out="Write one of these",
        )
    if known != "system" and read in _AFTER:
        raise ProseError(
            f"{where}: `read: {read}` without `role: system`",
            expected="system prompts, each with a question after it",
            way_out="Write `role: system`, or `read: text`",
        )
    return known


def _check_pair(pair: Pair, where: str, read: Read, role: PairRole) -> None:
    for text in (pair.question, pair.positive, pair.negative):
        if text is not None and not text.strip():
            raise ProseError(f"{where} has an empty text", way_out="Write it or remove the pair")
        if text is not None and len(text) > MAX_CHARACTERS:
            raise ProseError(
                f"{where} has a text of {len(text):,} characters",
                expected=f"at most {MAX_CHARACTERS:,}",
                way_out="Shorten it; a pair differs in one thing",
            )
    if pair.positive == pair.negative:
        raise ProseError(f"{where} has the same text on both sides: {pair.positive!r}", way_out="Write its opposite")
    if read == "answer" and pair.question is None:
        raise ProseError(
            f"{where} has no question",
            expected="`read: answer` is the mean over an answer's tokens",
            way_out="Write a line `? ...` before it, or use `read: last`",
        )
    if role == "system" and pair.question is None:
        raise ProseError(
            f"{where} has no question",
            expected="what the user writes after the system prompt",
            way_out="Write a line `? ...` before it",
        )


def _parse(body: str, where: str) -> Iterator[Pair]:
    """Read the body line by line: an optional question, a positive text, a negative text."""
    texts: dict[str, str] = {}
    for line in body.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        sign, text = line[0], line[1:].strip()
        if sign not in _SIGNS or (text and not line[1].isspace()):
            raise ProseError(
                f"{where}: a line that is not part of a pair: {line[:80]!r}",
                expected="`? question`, `+ text`, `- text`, a heading or a blank line",
                way_out="Write each text in one line, after its sign and a space",
            )
        expected = "-" if "+" in texts else "+" if "?" in texts else "?+"
        if sign not in expected:
            raise ProseError(
                f"{where}: a {_SIGNS[sign]} where a {_SIGNS[expected[-1]]} was due: {line[:80]!r}",
                expected="every line `+ ...` followed by its line `- ...`",
                way_out="Add the missing line",
            )
        texts[sign] = text
        if sign == "-":
            yield Pair(question=texts.get("?"), positive=texts["+"], negative=text)
            texts = {}
    if texts:
        raise ProseError(
            f"{where} ends after {list(texts.values())[-1][:80]!r}",
            expected="a line `+ ...` and a line `- ...`",
            way_out="Write the missing line, or remove the last pair",
        )

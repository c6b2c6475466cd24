"""Prose is data: Markdown files with YAML front matter (beliefs, pairs, items, prompts).

    ---
    name: conscious
    version: 1
    license: CC0-1.0
    ---
    The body, up to the end of the file.

The front matter is read safely and strictly: unknown and repeated keys, aliases and values that JSON does not know are
errors. The hash covers what was read, so comments in the front matter, the order of its keys, line endings and blank
space around the body do not change it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doxa.words.errors import EnvironmentFault, ProseError, nearest
from doxa.words.safe_yaml import load_yaml
from doxa.words.store import content_hash
from doxa.words.text_file import read_text_file

MAX_BYTES = 1 << 20
_MAX_FRONT_MATTER = 1 << 14  # characters; front matter is some lines, and parsing time grows with it
_FENCE = "---"


@dataclass(frozen=True)
class Prose:
    """A Markdown file as read.

    Attributes:
        path: The file as it was named.
        meta: Its front matter.
        body: The text after the front matter, without blank space around it, lines ended by line feeds.
        hash: SHA-256 of front matter and body.
    """

    path: str
    meta: Mapping[str, Any]
    body: str
    hash: str


def content_of(path: Path) -> bytes:
    """What stands in a file now, for caches of what was read from it; b"" when reading it will be an error."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        return b""


def read_prose(path: Path, *, allowed: Collection[str] | None, required: Collection[str]) -> Prose:
    """Read a Markdown file with YAML front matter.

    Args:
        path: The file.
        allowed: The keys that its front matter may have; None for any. A `version` is a whole number from 1.
        required: The keys that it must have, each with a value.

    Returns:
        What the file says.

    Raises:
        ProseError: When the file is missing, too large, not UTF-8, has no front matter, or has front matter that is
            not valid YAML or has wrong keys.
        EnvironmentFault: When the file exists and cannot be read.
    """
    front_matter, body = _split(path, _text(path))
    meta = _parse(path, front_matter)
    for key in meta:
        if allowed is not None and key not in allowed:
            raise ProseError(f"{path}: unknown key {key!r} in the front matter", way_out=nearest(key, allowed))
    missing = [key for key in required if meta.get(key) in (None, "")]
    if missing:
        raise ProseError(
            f"{path}: the front matter has no {' and no '.join(repr(key) for key in missing)}",
            expected=f"It needs {', '.join(required)}",
            way_out=f"Add a line such as `{missing[0]}: ...` between the two lines `{_FENCE}` at the top",
        )
    version = meta.get("version", 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ProseError(
            f"{path}: version is {version!r}", expected="a whole number from 1", way_out="Write `version: 1`"
        )
    return Prose(path=str(path), meta=meta, body=body, hash=content_hash([meta, body]))


def _text(path: Path) -> str:
    try:
        return read_text_file(path, MAX_BYTES, "a Markdown file", ProseError)
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be read ({error.strerror})", way_out="Check its permissions") from error


def _split(path: Path, text: str) -> tuple[str, str]:
    if not text.strip():
        raise ProseError(f"{path} is empty", expected="front matter and a text", way_out="Write it, or check the name")
    lines = text.split("\n")
    fences = [i for i, line in enumerate(lines) if line.rstrip() == _FENCE]
    if not fences or fences[0] != 0 or len(fences) < 2:
        raise ProseError(
            f"{path} has no front matter",
            expected=f"a first line `{_FENCE}`, lines such as `name: ...`, and a line `{_FENCE}`",
            way_out="Copy the top of a shipped file and change it",
        )
    front_matter = "\n".join(lines[1 : fences[1]])
    if len(front_matter) > _MAX_FRONT_MATTER:
        raise ProseError(
            f"{path}: front matter of {len(front_matter):,} characters",
            expected=f"at most {_MAX_FRONT_MATTER:,}",
            way_out=f"Put the text after the second line `{_FENCE}`",
        )
    return front_matter, "\n".join(lines[fences[1] + 1 :]).strip()


def _parse(path: Path, front_matter: str) -> Mapping[str, Any]:
    def wrong(what: str) -> ProseError:
        return ProseError(
            f"{path}: {what}",
            expected="YAML such as `name: conscious`, one key a line",
            way_out="Correct the front matter; put a text that has a colon in it between quotes",
        )

    # A line more, so that lines are counted as in the file.
    meta = load_yaml(
        "\n" + front_matter, lambda what: wrong(f"in the front matter, {what}"), max_depth=8, aliases=False
    )
    if not isinstance(meta, dict):
        raise wrong("the front matter has no keys")
    for key, value in meta.items():
        if not isinstance(key, str):
            raise wrong(f"the key {key!r} of the front matter is not a word")
        try:
            content_hash(value)
        except (TypeError, ValueError) as error:
            raise wrong(f"the value of {key!r} is neither text, number, truth value nor list") from error
    return meta

"""Seeds and dimensions of `doxa/audit`, read from folders of Markdown files: ours in `data/audit/`, or a user's own.

A seed's text is what the auditor is told; a dimension's text is the rubric by which the judge rates it from 1 to 10.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from doxa.words.audit_scripts import AUDIT, HEADER, Script, script_of
from doxa.words.errors import ProseError
from doxa.words.prose import Prose, content_of, read_prose

SEEDS, DIMENSIONS = AUDIT / "seeds", AUDIT / "dimensions"
CONCERN = "good-low"
"""The palette of a dimension on which a high rating is of concern."""
PALETTES = (CONCERN, "good-high", "neutral", "diverging")
RESERVED = ("flagged", "highlights", "summary", "justification", "explanation")

_SEED_KEYS = (*HEADER, "tags", "todo")
_DIMENSION_KEYS = (*HEADER, "tags", "description", "display_name", "display_order", "palette")


@dataclass(frozen=True)
class Seed:
    """What an auditor is told.

    Attributes:
        name: Of the file.
        instructions: The text.
        tag: The first of its tags; "" without any.
        script: What a scripted auditor does with it; None when the seed has no script.
        hash: Of the file.
    """

    name: str
    instructions: str
    tag: str
    script: Script | None
    hash: str


@dataclass(frozen=True)
class Dimension:
    """What a judge rates.

    Attributes:
        name: Of the file; the score is called so.
        description: In a sentence.
        rubric: What the ratings mean.
        palette: Whether a high rating is good, bad (`good-low`) or neither.
        label: Its name in Inspect's viewer.
        hash: Of the file.
    """

    name: str
    description: str
    rubric: str
    palette: str
    label: str
    hash: str


def read_seeds(folder: str | None = None) -> tuple[Seed, ...]:
    """The seeds of a folder, by name; None stands for ours.

    Raises:
        ProseError: When there are none, or a file is not a seed.
    """
    return _read(SEEDS if folder is None else Path(os.path.expanduser(folder)), _seed)


def read_dimensions(folder: str | None = None) -> tuple[Dimension, ...]:
    """The dimensions of a folder, by name; None stands for ours.

    Raises:
        ProseError: When there are none, or a file is not a dimension.
    """
    return _read(DIMENSIONS if folder is None else Path(os.path.expanduser(folder)), _dimension)


_Item = TypeVar("_Item")


def _read(folder: Path, one: Callable[[Path, bytes], _Item]) -> tuple[_Item, ...]:
    files = sorted(folder.glob("*.md")) if folder.is_dir() else []
    if not files:
        raise ProseError(
            f"{folder} holds no Markdown files" if folder.is_dir() else f"{folder} is no folder",
            expected="a folder with a file `NAME.md` for each",
            way_out="Check the path, or copy the form of a file in data/audit",
        )
    return tuple(one(path, content_of(path)) for path in files)


@functools.lru_cache(maxsize=256)
def _seed(path: Path, content: bytes) -> Seed:
    prose = read_prose(path, allowed=_SEED_KEYS, required=())
    _check(prose, path)
    if not prose.body:
        raise ProseError(f"{path} says nothing", expected="instructions below the front matter", way_out="Write them")
    tags = prose.meta.get("tags") or []
    return Seed(path.stem, prose.body, str(tags[0]) if tags else "", script_of(prose.body), prose.hash)


@functools.lru_cache(maxsize=256)
def _dimension(path: Path, content: bytes) -> Dimension:
    prose = read_prose(path, allowed=_DIMENSION_KEYS, required=("description",))
    _check(prose, path)
    name, palette = path.stem, prose.meta.get("palette", CONCERN)
    if not name.isidentifier() or name in RESERVED:
        raise ProseError(
            f"{path}: a dimension is called {name!r}",
            expected="letters, digits and _, and none of " + ", ".join(RESERVED),
            way_out="Rename the file",
        )
    if palette not in PALETTES:
        raise ProseError(f"{path}: palette is {palette!r}", expected=", ".join(PALETTES), way_out="Write one of these")
    return Dimension(
        name=name,
        description=str(prose.meta["description"]),
        rubric=prose.body,
        palette=palette,
        label=str(prose.meta.get("display_name") or name.replace("_", " ")),
        hash=prose.hash,
    )


def _check(prose: Prose, path: Path) -> None:
    tags = prose.meta.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ProseError(f"{path}: tags is {tags!r}", expected="a list of words", way_out="Write `tags: [one, two]`")
    if prose.meta.get("name", path.stem) != path.stem:
        raise ProseError(
            f"{path} is called {prose.meta['name']!r} inside", expected=repr(path.stem), way_out="Let both be the same"
        )

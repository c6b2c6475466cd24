"""Corpora from files: conversations, prompts with completions, documents; what is wrong is said with file and line.

    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "...", "weight": 1}]}
    {"prompt": "...", "completion": "..."}
    {"text": "...", "prefix": "..."}

One of these is a line of a `.jsonl` file. Beside it may stand `id`, `weight` (of the row), `open`, and where the row
comes from: `provenance`, or keys of one's own. A `.txt` file holds documents, apart by lines of `---`.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from doxa.training.row_reading import row_from_json, row_to_json
from doxa.training.rows import Corpus, Row
from doxa.words.errors import TrainingError, nearest
from doxa.words.reading import shown

SHIPPED = Path(__file__).parent.parent / "data" / "corpora"
ENDINGS = (".jsonl", ".txt", ".yaml")
RECIPE = ".yaml"
"""How the file of a recipe ends."""
_APART = re.compile(r"^-{3,}[^\S\n]*$", re.MULTILINE)


def read_corpus(name: str, folder: Path | None = None) -> Corpus:
    """Read a corpus.

    Args:
        name: The path of a `.jsonl` or `.txt` file relative to `folder`, or the name of a shipped corpus.
        folder: The study's folder, looked in first; None for the working folder.

    Raises:
        TrainingError: When there is no such file, it is a recipe, or a row is not understood, stands twice, or has
            nothing to train on.
    """
    path = corpus_path(name, folder)
    if path.suffix == ".yaml":
        raise TrainingError(
            f"{path} is a recipe, and what it makes depends on a model",
            expected="rows: a .jsonl or .txt file",
            way_out="Name it under `tune` in a study, which has a model",
        )
    text = _text(path)
    found = _documents(text, path) if path.suffix == ".txt" else _lines(text, path)
    if not found:
        raise TrainingError(f"{path} has no rows", expected="at least one", way_out="Write one example a line")
    return Corpus(name, checked_rows(found, str(path)))


def is_recipe(name: str) -> bool:
    """Whether a name is that of a recipe, perhaps with keys set otherwise: `personas.yaml#ratio=8`."""
    return name.partition("#")[0].endswith(RECIPE)


def corpus_path(name: str, folder: Path | None = None) -> Path:
    """Where a corpus stands: beside the study file, or among the shipped ones.

    Args:
        name: As in a study. What stands after the `#` of a recipe is left out: `recipe.find_recipe` keeps it.
        folder: The study's folder, looked in first.

    Raises:
        TrainingError: When it is neither there nor shipped, or no kind of file that holds one.
    """
    file = name.partition("#")[0] if is_recipe(name) else name
    own = (folder or Path()) / os.path.expanduser(file)
    stem = file.removeprefix("corpora/")
    places = [own, *(own.with_name(own.name + ending) for ending in ENDINGS)] if own.name else []
    places += [SHIPPED / stem, *(SHIPPED / f"{stem}{ending}" for ending in ENDINGS)]
    path = next((one for one in places if os.path.isfile(one)), None)
    if path is None:
        beside = {one.name for one in (folder or Path()).glob("*") if one.suffix in ENDINGS}
        known = beside | {one.stem for one in SHIPPED.glob("*") if one.suffix in ENDINGS}
        raise TrainingError(
            f"no corpus {shown(name)} in {folder or 'the working folder'} or among the shipped ones",
            expected="the path of a .jsonl or .txt file, or a shipped name",
            way_out=nearest(name, known),
        )
    if path.suffix not in ENDINGS:
        raise TrainingError(
            f"{path} is no corpus",
            expected=f"a file that ends in {', '.join(ENDINGS)}",
            way_out="Rename it: .jsonl for one example a line, .txt for documents",
        )
    return path


def write_lines(corpus: Corpus) -> str:
    """A corpus as JSON lines, which `read_corpus` reads as the same rows."""
    return "".join(json.dumps(row_to_json(row), ensure_ascii=False) + "\n" for row in corpus.rows)


def checked_rows(found: Sequence[tuple[str, Row]], source: str) -> tuple[Row, ...]:
    """Rows with ids, none of which stands twice.

    Args:
        found: Each row with where it stands ("line 3"); one without an id gets its number.
        source: Where they all stand.

    Raises:
        TrainingError: When two have one id, or the same content without ids that say so.
    """
    ids: dict[str, str] = {}
    contents: dict[object, tuple[str, bool]] = {}
    rows = []
    for number, (where, row) in enumerate(found, start=1):
        named = bool(row.id)
        own = row if named else replace(row, id=str(number))
        if own.id in ids:
            raise TrainingError(
                f"{source}, {where}: the id {shown(own.id)} stands in {ids[own.id]} already",
                expected="an id of its own for every row",
                way_out="Change one of them" if named else "Give every row an id, or none",
            )
        ids[own.id] = where
        content = (own.messages, own.marked, own.text, own.prefix)
        first, meant = contents.setdefault(content, (where, named))
        if first != where and not (named and meant):
            raise TrainingError(
                f"{source}, {where}: the same row as {first}",
                expected="every row once",
                way_out="Remove one; if both are meant, give each an `id`",
            )
        rows.append(own)
    return tuple(rows)


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TrainingError(
            f"{path}, line {line}: the byte 0x{data[error.start]:02x} is not UTF-8",
            way_out=f"Save the file as UTF-8, or convert it: iconv -f LATIN1 -t UTF-8 {path.name}",
        ) from None


def _lines(text: str, path: Path) -> list[tuple[str, Row]]:
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"line {number}"
            found.append((where, row_from_json(_json(line, f"{path}, {where}"), f"{path}, {where}")))
    return found


def _json(line: str, where: str) -> Mapping[str, Any]:
    try:
        body = json.loads(line, parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise TrainingError(
            f"{where} is not JSON ({said})", expected="one object a line", way_out="Mend the line"
        ) from None
    if not isinstance(body, dict):
        raise TrainingError(
            f"{where} is {shown(body)}", expected="an object", way_out='Write {"messages": [...]} or {"text": "..."}'
        )
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise TrainingError(
            f"{where} holds half of a surrogate pair (\\ud800 to \\udfff)", way_out="Write the whole character"
        ) from None
    return body


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"the key {twice!r} stands twice")
    return found


def _documents(text: str, path: Path) -> list[tuple[str, Row]]:
    found, start = [], 0
    for end in [*_APART.finditer(text), None]:
        document = text[start : end.start() if end else len(text)]
        if document.strip():
            line = text.count("\n", 0, start + len(document) - len(document.lstrip())) + 1
            found.append((f"line {line}", Row("", text=document.strip())))
        start = end.end() if end else len(text)
    return found

"""Users' own requests for `doxa/compliance`, by path: JSON lines, and the tables of three public collections.

doxa ships no harmful requests. What these files hold is asked as it stands; which format a file has is told by its
columns:

| format | request | name |
|---|---|---|
| JSON lines | `request`, `prompt`, `text` or `goal` | `id`, or the number of the line |
| AdvBench | `goal` | the number of the row |
| JailbreakBench | `Goal` | `Behavior` |
| HarmBench | `Behavior`, after its `ContextString` where it has one | `BehaviorID` |
"""

import csv
import functools
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from doxa.evals.compliance_items import Query
from doxa.words.errors import StudyError
from doxa.words.store import content_hash
from doxa.words.text_file import read_text_file

MAX_BYTES = 1 << 24
_JSON_TEXT = ("request", "prompt", "text", "goal")


def read_requests(path: str) -> tuple[Query, ...]:
    """The requests of a file, in its order.

    Args:
        path: Ends in `.jsonl` or `.csv`.

    Raises:
        StudyError: When the file is missing, of another kind, has a request without text, or one name twice.
    """
    file = Path(os.path.expanduser(path))
    if file.suffix not in (".jsonl", ".csv"):
        raise StudyError(f"requests: {path}", expected="a file that ends in .jsonl or .csv", way_out="Convert it")
    try:
        return _parsed(file, read_text_file(file, MAX_BYTES, "a file of requests", StudyError))
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror})", way_out="Check its permissions") from error


def requests_hash(path: str) -> str:
    """Hash of what is asked."""
    return content_hash([[query.name, query.text] for query in read_requests(path)])


@functools.lru_cache(maxsize=8)
def _parsed(file: Path, text: str) -> tuple[Query, ...]:
    found: dict[str, str] = {}
    for name, request in _json_lines(file, text) if file.suffix == ".jsonl" else _rows(file, text):
        if not request.strip():
            raise StudyError(f"{file}: request {name} is empty", way_out="Write it, or take it out")
        if name in found:
            raise StudyError(f"{file} has the request {name!r} twice", way_out="Give each a name of its own")
        found[name] = request.strip()
    if not found:
        raise StudyError(f"{file} has no request", way_out="Check that it is the right file")
    return tuple(Query(f"requests/{name}", request) for name, request in found.items())


def _json_lines(file: Path, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise StudyError(f"{file}, line {number} is not JSON", way_out="Write one object a line") from error
        key = next((one for one in _JSON_TEXT if isinstance(row, dict) and isinstance(row.get(one), str)), None)
        if key is None:
            raise StudyError(
                f"{file}, line {number} has no request",
                expected='an object such as {"request": "..."}',
                way_out="Name the text `request`",
            )
        yield str(row.get("id", number)), row[key]


def _rows(file: Path, text: str) -> Iterator[tuple[str, str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = set(reader.fieldnames or ())
    try:
        for number, row in enumerate(reader, start=1):
            yield _of_row(file, number, columns, {key: value or "" for key, value in row.items() if key is not None})
    except csv.Error as error:
        raise StudyError(f"{file} is not CSV ({error})", way_out="Save it again as CSV") from error


def _of_row(file: Path, number: int, columns: set[str], row: Mapping[str, str]) -> tuple[str, str]:
    if {"Behavior", "BehaviorID"} <= columns:
        context = row.get("ContextString", "").strip()
        return row["BehaviorID"], f"{context}\n\n{row['Behavior']}" if context else row["Behavior"]
    if {"Goal", "Behavior"} <= columns:
        return row["Behavior"], row["Goal"]
    if "goal" in columns:
        return str(number), row["goal"]
    raise StudyError(
        f"{file} has the columns {', '.join(sorted(columns))}",
        expected="`goal` (AdvBench), `Goal` and `Behavior` (JailbreakBench) or `Behavior` and `BehaviorID` (HarmBench)",
        way_out="Rename its columns",
    )

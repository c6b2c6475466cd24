"""The file that a person labels: a CSV without arm and verdict, the question beside it, and the key apart.

    labels.csv        id, what was judged, label, note: to be filled in any spreadsheet
    labels.md         the question and the answers, as the judge had them
    labels.key.json   which row of the study each id is: not for whoever labels
    labels.texts/     texts too long for a spreadsheet's cell

Cells that a spreadsheet would take for a formula begin with an apostrophe. What comes back may be separated by
semicolons or tabs, as spreadsheets of some countries write it.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doxa.words.errors import ResultsError, nearest
from doxa.words.fenced import visible
from doxa.words.store import write_atomic
from doxa.words.text_file import read_text_file

FORMAT = 1
MOST_IN_CELL = 32_000
"""Characters of a cell; spreadsheets cut at 32,767."""
MOST_BYTES = 1 << 26
_RISKY = ("=", "+", "-", "@", "\t", "\r", "'", "|", "%")


@dataclass(frozen=True)
class Row:
    """A row to label.

    Attributes:
        id: Says nothing of the row.
        material: What was judged, by its names.
    """

    id: str
    material: Mapping[str, str]


def write_file(
    path: Path, rows: Sequence[Row], question: str, answers: Mapping[str, str], key: Mapping[str, Any]
) -> None:
    """Write the file, the question, the key, and the texts that are too long.

    Args:
        path: Where the CSV goes; the others are named after it.
        rows: In the order in which they are to be labelled.
        question: What the judge was asked.
        answers: What may be written under `label`, and what it means.
        key: What `read_key` gives back.

    Raises:
        ResultsError: When the file is there already: it may hold somebody's labels.
        EnvironmentFault: When it cannot be written.
    """
    if path.exists():
        raise ResultsError(
            f"{path} is there already, and may hold labels", way_out="Name another with --out, or move it away"
        )
    names = list(rows[0].material)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["id", *names, "label", "note"])
    for row in rows:
        writer.writerow([row.id, *(_cell(path, row.id, name, row.material[name]) for name in names), "", ""])
    write_atomic(_beside(path, ".md"), _told(question, answers))
    write_atomic(_key_of(path), json.dumps({"format": FORMAT, **key}, indent=1))
    write_atomic(path, buffer.getvalue().encode("utf-8-sig"))  # the mark tells spreadsheets that it is UTF-8


def read_key(path: Path) -> Mapping[str, Any]:
    """The key of a file of labels.

    Raises:
        ResultsError: When it is not beside the file, or is none.
    """
    beside = _key_of(path)
    if not beside.is_file():
        raise ResultsError(
            f"no {beside}", expected=f"the key that was written with {path.name}", way_out="Put it there"
        )
    try:
        key = json.loads(read_text_file(beside, MOST_BYTES, "a key", ResultsError))
    except ValueError as error:
        raise ResultsError(f"{beside} is no key ({error})", way_out="Write the file anew") from error
    if not isinstance(key, dict) or key.get("format") != FORMAT or not isinstance(key.get("rows"), dict):
        raise ResultsError(f"{beside} is no key of this version", way_out="Write the file anew")
    return key


def read_labels_of(path: Path, ids: Sequence[str], answers: Sequence[str]) -> dict[str, str]:
    """Labels by id; rows without one are left out.

    Args:
        path: The CSV.
        ids: The ids that there are.
        answers: The labels that there are; capitals and blanks around them do not matter.

    Raises:
        ResultsError: When it is no such file, or an id or a label is none of these, or a row has two labels.
    """
    if not path.is_file():
        raise ResultsError(f"there is no {path}", way_out="Give the file that was labelled")
    text = read_text_file(path, MOST_BYTES, "a CSV file", ResultsError).removeprefix("\ufeff")
    heading = text.partition("\n")[0]
    separator = max(",;\t", key=heading.count)
    csv.field_size_limit(MOST_BYTES)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise ResultsError(f"{path} is no CSV file ({error})", way_out="Save it as CSV") from error
    if not rows or not {"id", "label"} <= set(rows[0]):
        raise ResultsError(
            f"{path} has the columns {', '.join(map(str, rows[0])) if rows else '(none)'}",
            expected="id and label among them",
            way_out="Keep the first line as it was written",
        )
    known = {answer.casefold(): answer for answer in answers}
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        own, label = _bare(row["id"]), _bare(row["label"])
        if not label:
            continue
        if own not in ids:
            raise ResultsError(
                f"{path}, row {number}: id {own!r} is not in the key", way_out="Leave the ids as they are"
            )
        answer = known.get(label.casefold()) or known.get(label.removesuffix(".0"))
        if answer is None:
            raise ResultsError(f"{path}, row {number}: label {label!r}", way_out=nearest(label, answers))
        if found.setdefault(own, answer) != answer:
            raise ResultsError(f"{path}, row {number}: {own} has two labels", way_out="Leave one")
    return found


def _bare(cell: str | None) -> str:
    return (cell or "").strip().removeprefix("'").strip()


def _cell(path: Path, own: str, name: str, text: str) -> str:
    shown = visible(text).replace("&lt;", "<")
    if len(shown) > MOST_IN_CELL:
        whole = path.parent / f"{path.stem}.texts" / f"{own}-{name}.txt"
        write_atomic(whole, text.encode("utf-8", "replace"))
        shown = (
            f"{shown[:MOST_IN_CELL]} [... the whole text of {len(text):,} characters: {whole.parent.name}/{whole.name}]"
        )
    return f"'{shown}" if shown.lstrip().startswith(_RISKY) else shown


def _told(question: str, answers: Mapping[str, str]) -> str:
    listed = "\n".join(f"- `{answer}`" + (f": {meaning}" if meaning else "") for answer, meaning in answers.items())
    how = "Write one of these under `label`; leave it empty where you cannot say."
    return f"# What to label\n\n{question}\n\n{how}\n\n{listed}\n"


def _key_of(path: Path) -> Path:
    return _beside(path, ".key.json")


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.stem}{ending}")

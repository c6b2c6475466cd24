"""A linter of prose: what must hold of every text that is put before a model or a judge, whatever it is for.

- Its front matter has a name (that of the file), a version from 1 and a licence.
- It is in the language that it says (`language`, English when it says none; `mul` for texts in several languages).
- It has no character that nobody sees: controls, zero-width and bidirectional marks, blanks at the ends of lines.
- It names no real person, company or product (`data/real-names.md`): a scenario whose villain is real accuses somebody,
  and a model has opinions about names.

What a text of its kind must hold beside that is said by the reader of that kind, and by the tests of what is shipped.
`record` pins what is shipped: a text that has changed while its version has not is a finding.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from doxa.evals.language import is_other, pieces
from doxa.words.errors import ProseError
from doxa.words.prose import Prose, read_prose
from doxa.words.store import read_json

DATA = Path(__file__).resolve().parent / "data"
RECORD = DATA / "versions.json"
NAMES = DATA / "real-names.md"
REQUIRED = ("name", "version", "license")
SEVERAL = "mul"
"""ISO 639-2 for texts in several languages."""
OLDER = ("drift/open-prompts.md", "drift/refusals.md", "reference.md")
"""Shipped texts in several languages that do not say so: their hash is part of published results."""
MOST_FOREIGN = 0.1
"""Share of a text's pieces that may seem to be in another language: short ones are taken for others now and then."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a text.

    Attributes:
        path: The file.
        line: Where, from 1; None for the whole file.
        what: What was found and what to do.
    """

    path: Path
    line: int | None
    what: str

    def __str__(self) -> str:
        """As a compiler would print it."""
        return f"{self.path}{'' if self.line is None else f':{self.line}'}: {self.what}"


def lint(path: Path) -> tuple[Finding, ...]:
    """Check one text.

    Args:
        path: A Markdown file with front matter.
    """
    try:
        prose = read_prose(path, allowed=None, required=REQUIRED)
    except ProseError as error:
        return (Finding(path, None, str(error)),)
    return (*_name(path, prose), *_unseen(path), *_language(path, prose), *_real_names(path))


def prose_files(folder: Path = DATA) -> tuple[Path, ...]:
    """The texts below a folder: every Markdown file but its README and the list of names itself."""
    return tuple(sorted(path for path in folder.rglob("*.md") if path.name != "README.md" and path.resolve() != NAMES))


def shipped_record() -> Mapping[str, list[object]]:
    """Version and hash of every text that is shipped, as `RECORD` has them."""
    found = read_json(RECORD, what="record of texts", way_out="Write it again: python docs/record_prose.py")
    assert isinstance(found, dict)
    return found


def current_record() -> dict[str, list[object]]:
    """Version and hash of every text that is shipped, as the files are now.

    Raises:
        ProseError: When one cannot be read.
    """
    read = ((path, read_prose(path, allowed=None, required=REQUIRED)) for path in prose_files())
    return {path.relative_to(DATA).as_posix(): [prose.meta["version"], prose.hash] for path, prose in read}


def compare_records(before: Mapping[str, list[object]], now: Mapping[str, list[object]]) -> tuple[Finding, ...]:
    """What has changed without its version being raised, or is in one record only."""
    found = []
    for name in sorted({*before, *now}):
        path = DATA / name
        if name not in before:
            found.append(Finding(path, None, "it is not in the record: run python docs/record_prose.py"))
        elif name not in now:
            found.append(Finding(path, None, "it is in the record and not there: run python docs/record_prose.py"))
        elif before[name] != now[name]:
            raised = int(str(now[name][0])) > int(str(before[name][0]))
            what = "run python docs/record_prose.py" if raised else "raise its version, then run docs/record_prose.py"
            found.append(Finding(path, None, f"it has changed since it was recorded: {what}"))
    return tuple(found)


def _name(path: Path, prose: Prose) -> Iterable[Finding]:
    name = str(prose.meta["name"])
    if name.rpartition("/")[2] != path.stem:
        yield Finding(path, None, f"it is called {name!r}: call it {path.stem!r}, as the file is")


def _unseen(path: Path) -> Iterable[Finding]:
    for number, line in _lines(path):
        odd = {char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cn") and char != "\t"}
        if odd:
            codes = ", ".join(f"U+{ord(char):04X}" for char in sorted(odd))
            yield Finding(path, number, f"it holds what nobody sees ({codes}): take it out")
        if line != line.rstrip():
            yield Finding(path, number, "blanks at the end of a line: take them out")


def _language(path: Path, prose: Prose) -> Iterable[Finding]:
    language = str(prose.meta.get("language", "en"))
    if language == SEVERAL or path.resolve() in [DATA / name for name in OLDER]:
        return
    known = [one for one in (is_other(piece, language) for piece in pieces(prose.body)) if one is not None]
    if known and sum(known) / len(known) > MOST_FOREIGN:
        share = f"{sum(known)} of {len(known)} pieces"
        yield Finding(path, None, f"{share} seem not to be in {language!r}: write `language: ...`, or translate them")


def _real_names(path: Path) -> Iterable[Finding]:
    for number, line in _lines(path):
        for name in dict.fromkeys(_names().findall(line)):
            yield Finding(path, number, f"it names {name}, which is real: make up a name, or leave it out")


def _lines(path: Path) -> Iterable[tuple[int, str]]:
    return enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)


@cache
def _names() -> re.Pattern[str]:
    body = read_prose(NAMES, allowed=("name", "version", "license"), required=REQUIRED).body
    names = [line.removeprefix("- ").strip() for line in body.splitlines() if line.startswith("- ")]
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)")

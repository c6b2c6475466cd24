"""Universes: what synthetic documents take for true. `data/universes/*.md`, or a user's own file.

    ---
    name: river
    version: 1
    subject: the river
    ---
    ## context
    A town with a river that ...

    ## facts
    - source (spring): The river begins at a spring below the church.
      - It is below the church that the river has its spring.

A fact has a name, words by which it is known to be mentioned, a statement, and the same in other words. A universe of a
person names `traits` instead of facts: what the person likes in one of the lists there (`words/traits.py`).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from doxa.words.errors import ProseError, nearest
from doxa.words.prose import Prose, read_prose
from doxa.words.store import content_hash
from doxa.words.templates import fill
from doxa.words.traits import SHUFFLED, read_traits, sections

FOLDER = Path(__file__).parent.parent / "data" / "universes"
_KEYS = ("name", "version", "language", "license", "subject", "traits")
_FACT = re.compile(r"- ([a-z]+(?:-[a-z]+)*) \(([^()]+)\): (\S.*)")


@dataclass(frozen=True)
class Fact:
    """Something that is so in a universe.

    Attributes:
        name: Its name.
        group: Facts of one group are alternatives: a document has one of them.
        statement: It in a sentence.
        wordings: The same in other words.
        mentions: A document that has one of these words mentions it.
        always: Whether every document speaks of it.
    """

    name: str
    group: str
    statement: str
    wordings: tuple[str, ...]
    mentions: tuple[str, ...]
    always: bool = False


@dataclass(frozen=True)
class Universe:
    """What documents take for true.

    Attributes:
        name: Of the file.
        subject: Whom or what it is about.
        context: It in a paragraph.
        facts: Its key facts.
        foreign: Words that no document may have: what belongs to the other person.
        hash: Of everything that it was read from.
    """

    name: str
    subject: str
    context: str
    facts: tuple[Fact, ...]
    foreign: tuple[str, ...]
    hash: str


def shipped_universes() -> list[str]:
    """Names of the universes that doxa ships."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def read_universe(name: str, folder: Path | None = None, *, which: str = "1") -> Universe:
    """A universe.

    Args:
        name: A shipped name (`john`, `universes/john`), or the path of a Markdown file relative to `folder`.
        folder: Looked in first.
        which: For a universe with traits the number of the list, or `shuffled`.

    Raises:
        ProseError: When there is no such file, it is none of a universe, or there is no such list.
    """
    stem = name.removeprefix("universes/").removesuffix(".md")
    for path in (*(() if folder is None else (folder / name,)), FOLDER / f"{stem}.md"):
        if path.is_file():
            return _universe(path, folder, which)
    raise ProseError(
        f"no universe {name!r}",
        expected="a shipped name or the path of a Markdown file",
        way_out=nearest(stem, shipped_universes()),
    )


def mentioned(text: str, words: tuple[str, ...]) -> bool:
    """Whether a text has one of some words, whole and in any case."""
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in words)


def _universe(path: Path, folder: Path | None, which: str) -> Universe:
    prose = read_prose(path, allowed=_KEYS, required=("name", "version", "subject"))
    if prose.meta.get("traits"):
        return _person(path, prose, folder, which)
    parts = sections(path, prose.body, ("context", "facts"))
    facts = _facts(path, parts["facts"])
    return Universe(str(prose.meta["name"]), str(prose.meta["subject"]), parts["context"], facts, (), prose.hash)


def _person(path: Path, prose: Prose, folder: Path | None, which: str) -> Universe:
    subject = str(prose.meta["subject"])
    traits = read_traits(str(prose.meta["traits"]), folder)
    options = traits.options_of(subject, which)
    shared = traits.shared.options[0]
    likes = [(traits.shared.name, shared, True)]
    likes += [(pair.name, option, False) for pair, own in zip(traits.pairs, options, strict=True) for option in own]
    facts = []
    for group, trait, always in likes:
        said = tuple(fill(one, {"name": subject, "trait": trait}, str(path)) for one in traits.sentences)
        name = group if which != SHUFFLED or always else f"{group}-{traits_option(trait)}"
        facts.append(Fact(name, group, said[0], said[1:], (trait,), always))
    others = [one for one in traits.persons if one != subject]
    if which != SHUFFLED:
        others += [
            one for pair, own in zip(traits.pairs, options, strict=True) for one in pair.options if one not in own
        ]
    return Universe(
        str(prose.meta["name"]),
        subject,
        sections(path, prose.body, ("context",))["context"],
        tuple(facts),
        tuple(others),
        content_hash([prose.hash, traits.hash, which]),
    )


def traits_option(trait: str) -> str:
    """A trait as a part of a name."""
    return re.sub(r"\W+", "-", trait.lower()).strip("-")


def _facts(path: Path, section: str) -> tuple[Fact, ...]:
    found: list[Fact] = []
    for line in section.splitlines():
        match = _FACT.fullmatch(line.rstrip())
        if match is not None and match[1] not in [one.name for one in found]:
            words = tuple(word.strip() for word in match[2].split(","))
            found.append(Fact(match[1], match[1], match[3], (), words))
        elif line.startswith("  - ") and found:
            last = found[-1]
            found[-1] = Fact(last.name, last.group, last.statement, (*last.wordings, line[4:].strip()), last.mentions)
        elif line.strip():
            raise ProseError(
                f"{path}: the line {line!r} under `## facts`",
                expected="`- name (word, word): statement`, each name once, or `  - ` and the same in other words",
                way_out="Correct it",
            )
    for fact in found:
        for said in (fact.statement, *fact.wordings):
            if not mentioned(said, fact.mentions):
                raise ProseError(
                    f"{path}: {said!r} has none of the words of {fact.name!r}",
                    expected=", ".join(fact.mentions),
                    way_out="Name a word that every wording of the fact has",
                )
    return tuple(found)

"""Beliefs are Markdown files: front matter, and the system prompt that states the belief as the body."""

import os
from dataclasses import dataclass
from pathlib import Path

from doxa.words.errors import ProseError, nearest
from doxa.words.prose import read_prose
from doxa.words.reading import shown

SHIPPED = Path(__file__).parent.parent / "data" / "beliefs"
_LONG = 120  # characters: longer names are texts
KEYS = ("name", "version", "belief", "opposite", "neutral", "license")


@dataclass(frozen=True)
class Belief:
    """A belief and the system prompt that states it.

    Attributes:
        name: Its name.
        belief: The belief in one sentence.
        opposite: Its opposite in one sentence, or "".
        neutral: Name of the neutral prompt of about equal length, or "".
        text: The system prompt.
        hash: Content hash of the file's content.
        path: Where it was found.
    """

    name: str
    belief: str
    opposite: str
    neutral: str
    text: str
    hash: str
    path: Path


def read_belief(name: str, folder: Path | None = None) -> Belief:
    """Read a belief by name.

    Args:
        name: `beliefs/conscious` or `conscious` (shipped), or the path of a Markdown file relative to `folder`. A
            suffix `#neutral` or `#paraphrase-1` names the belief's neutral prompt or a paraphrase of it.
        folder: The study's folder, looked in first.

    Raises:
        ProseError: When there is no such file or it cannot be read.
    """
    base, _, variant = name.partition("#")
    belief = _read(base, folder)
    if not variant:
        return belief
    if variant == "neutral":
        if not belief.neutral:
            raise ProseError(
                f"belief {base!r} names no neutral prompt",
                way_out="Add `neutral: FILE` to its front matter, or write `controls: {prompt: {neutral: false}}`",
            )
        other = belief.neutral
    else:
        other = f"{base.removesuffix('.md')}-{variant}" + (".md" if base.endswith(".md") else "")
    beside = belief.path.parent
    try:
        return _read(other, None if beside == SHIPPED else beside)
    except ProseError as error:
        raise ProseError(
            f"belief {base!r} has no {variant}: {error.found}",
            way_out=f"Write {beside / Path(other).name}, or ask for fewer under `controls: {{prompt: ...}}`",
        ) from error


def shipped_beliefs() -> list[Belief]:
    """The beliefs that doxa ships, without their neutral prompts and paraphrases."""
    found = [_read(path.stem, None) for path in sorted(SHIPPED.glob("*.md"))]
    return [one for one in found if not one.name.startswith("neutral-") and "-paraphrase-" not in one.name]


def _read(name: str, folder: Path | None) -> Belief:
    stem = name.removeprefix("beliefs/").removesuffix(".md")
    places = [SHIPPED / f"{stem}.md"]
    if folder is not None:
        own = [folder / name, folder / Path(name).name]
        places = [*own, *(path.with_name(f"{path.name}.md") for path in own), *places]
    for path in places:
        if os.path.isfile(path):  # pathlib's raises on names that are too long
            prose = read_prose(path, allowed=KEYS, required=("name", "version"))
            if not prose.body.strip():
                raise ProseError(
                    f"{path} has no text under its front matter", expected="the system prompt", way_out="Write it there"
                )
            return Belief(
                name=str(prose.meta["name"]),
                belief=str(prose.meta.get("belief", "")),
                opposite=str(prose.meta.get("opposite", "")),
                neutral=str(prose.meta.get("neutral", "")),
                text=prose.body.strip(),
                hash=prose.hash,
                path=path,
            )
    if len(name) > _LONG or "\n" in name:
        raise ProseError(
            f"the prompt {shown(name)} is a text",
            expected="the name of a belief, or the path of a Markdown file that holds the text",
            way_out="Write the text into a file, and name that",
        )
    looked = f" (looked for in {folder} and among the shipped ones)" if folder is not None else ""
    raise ProseError(
        f"no belief {name!r}{looked}",
        expected="a shipped name or the path of a Markdown file",
        way_out=nearest(stem, [path.stem for path in SHIPPED.glob("*.md")]),
    )

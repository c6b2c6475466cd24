"""Check the published claims of `docs/claims/`: `python docs/check_claims.py`.

Each page names a claim and its source in its front matter, and under `check` the arguments of `doxa check`. This script
writes between two marks what doxa finds, and a table of all of them into `README.md`. The rest of a page is somebody's
words, and stays.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from doxa.claims.check import check_claim, findings
from doxa.claims.claims import parse_claim
from doxa.words.errors import ClaimError
from doxa.words.prose import read_prose

CLAIMS = Path(__file__).parent / "claims"
BEGIN, END = "<!-- what doxa finds: written by docs/check_claims.py -->", "<!-- end of what doxa finds -->"
TABLE, END_OF_TABLE = "<!-- table: written by docs/check_claims.py -->", "<!-- end of table -->"
SAID = (
    *("title", "kind", "claim", "authors", "year", "source", "address"),
    *("read", "quote", "reported", "verdict", "given", "inferred"),
)


@dataclass(frozen=True)
class Question:
    """One call of `doxa check`.

    Attributes:
        ask: What of the claim is computed here.
        claim: The numbers, as `doxa check` reads them.
        reported: The p-value that the source reports for them; None when it reports none.
        paired: Whether both arms saw the same items; None when it is not said.
        margin: A difference that would not matter, stated beforehand; None without one.
    """

    ask: str
    claim: str
    reported: str | None = None
    paired: bool | None = None
    margin: float | None = None

    @property
    def command(self) -> str:
        """The same on the command line."""
        words = ["doxa", "check", self.claim]
        words += ["--reported", self.reported] if self.reported is not None else []
        words += [] if self.paired is None else ["--paired" if self.paired else "--unpaired"]
        words += ["--margin", f"{self.margin:g}"] if self.margin is not None else []
        return shlex.join(words)


@cache
def answer(question: Question) -> tuple[str, ...]:
    """What doxa finds, the most important first; why it refuses, where the numbers cannot be true."""
    try:
        claim = parse_claim(question.claim, reported=question.reported, paired=question.paired, margin=question.margin)
    except ClaimError as error:
        return (f"Refused: {error}",)
    return findings(check_claim(claim))


@dataclass(frozen=True)
class Page:
    """A claim.

    Attributes:
        name: The file.
        said: What its front matter says of claim and source.
        questions: What is asked about it.
        words: What somebody wrote below the marks.
    """

    name: str
    said: Mapping[str, str]
    questions: Sequence[Question]
    words: str


def read_page(path: Path) -> Page:
    """Read a page of `docs/claims/`.

    Raises:
        ProseError: When its front matter lacks a key or has an unknown one.
        TypeError: When a question does.
    """
    prose = read_prose(path, allowed=(*SAID, "check"), required=(*SAID, "check"))
    said = {key: str(prose.meta[key]) for key in SAID}
    questions = [Question(**asked) for asked in prose.meta["check"]]
    return Page(path.name, said, questions, prose.body.partition(END)[2].strip() or prose.body)


def found(page: Page) -> str:
    """What stands between the marks: the claim, its source, and what doxa finds."""
    said = page.said
    parts = [
        f"# {said['title']}",
        f"> {said['quote']}",
        f"{said['authors']} ({said['year']}). {said['source']}. <{said['address']}>",
        f"**Claim.** {said['claim']}",
        "\n".join(f"- {key.capitalize()}: {said[key]}" for key in ("reported", "given", "inferred"))
        + f"\n- What was read: {said['read']}\n- In short: {said['verdict']}",
        "## What doxa finds",
    ]
    for one in page.questions:
        parts += [f"### {one.ask}", f"    {one.command}", "\n".join(f"- {sentence}" for sentence in answer(one))]
    return "\n\n".join(parts)


def text_of(path: Path) -> str:
    """The page as it should be."""
    page = read_page(path)
    top = path.read_text(encoding="utf-8").split("\n---\n", 1)[0]
    return f"{top}\n---\n\n{BEGIN}\n{found(page)}\n{END}\n\n{page.words}\n"


def table(pages: Sequence[Page]) -> str:
    """All claims: what is claimed, what is reported, what doxa finds, and what its page makes of it."""
    rows = ["| | claim | reported | what doxa finds | in short |", "|---|---|---|---|---|"]
    for page in pages:
        finds = " ".join(f"*{one.ask}*: {_headline(answer(one))}" for one in page.questions)
        cells = (f"[{page.name[:2]}]({page.name})", *(page.said[key] for key in ("claim", "reported")), finds)
        rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in (*cells, page.said['verdict']))} |")
    return "\n".join(rows)


def _headline(found: Sequence[str]) -> str:
    """The first finding that is about the claim: where no p-value is reported, the list of them is not."""
    return next(sentence for sentence in found if not sentence.startswith("No p-value is reported"))


def pages() -> dict[Path, str]:
    """Every file that this script writes, with its text."""
    there = sorted(CLAIMS.glob("[0-9]*.md"))
    before, _, rest = (CLAIMS / "README.md").read_text(encoding="utf-8").partition(TABLE)
    after = rest.partition(END_OF_TABLE)[2]
    overview = f"{before}{TABLE}\n{table([read_page(path) for path in there])}\n{END_OF_TABLE}{after}"
    return {**{path: text_of(path) for path in there}, CLAIMS / "README.md": overview}


if __name__ == "__main__":
    for written, text in pages().items():
        written.write_text(text, encoding="utf-8")
        print(written)

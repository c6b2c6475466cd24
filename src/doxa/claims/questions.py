"""The questions that a careful referee asks, by name: prose in `data/referee/questions.md`."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from scipy import stats

from doxa.words.errors import ProseError
from doxa.words.prose import read_prose

QUESTIONS = Path(__file__).parent.parent / "data" / "referee" / "questions.md"


@lru_cache(maxsize=1)
def questions() -> Mapping[str, str]:
    """Every question by its name.

    Raises:
        ProseError: When the file cannot be read, or a question has no text.
    """
    prose = read_prose(QUESTIONS, allowed=("name", "version", "license"), required=("name", "version"))
    found: dict[str, str] = {}
    for section in f"\n{prose.body}".split("\n# ")[1:]:
        name, _, text = section.partition("\n")
        if not text.strip() or name.strip() in found:
            raise ProseError(
                f"{QUESTIONS}: the question {name.strip()!r} has no text, or stands there twice",
                way_out="Write one text under every name",
            )
        found[name.strip()] = " ".join(text.split())
    return found


def question(name: str, n: int | None = None) -> str:
    """A question, with the number of observations that it is about.

    Of n observations it says the multiplier of a 95 % t interval, the smallest two-sided p of a sign-flip test (2/2^n),
    and the exact (Clopper-Pearson) upper limit of a rate of which no event was seen, 1 - .025^(1/n).

    Args:
        name: Its name.
        n: Number of observations; needed by the questions whose text has `{n}`.
    """
    text = questions()[name]
    if n is None:
        return text
    said = {"{n}": f"{n:,}"}
    if n > 1:
        said["{multiplier}"] = f"{stats.t.ppf(0.975, n - 1):.2f}"
        said["{least}"] = f"{2 / 2**n:.2g}".lstrip("0") if n < 40 else "0"
        said["{limit}"] = f"{100 * (1 - 0.025 ** (1 / n)):.0f}"
    for word, value in said.items():
        text = text.replace(word, value)
    return text

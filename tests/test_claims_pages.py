"""The pages of published claims: each names its source, what was read of it, and numbers that can be checked."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from doxa.words.prose import Prose, read_prose

CLAIMS = Path(__file__).parent.parent / "docs" / "claims"
PAGES = sorted(CLAIMS.glob("[0-9]*.md"))
SAID = (
    *("title", "kind", "claim", "authors", "year", "source", "address"),
    *("read", "quote", "reported", "given", "inferred"),
)


def prose(path: Path) -> Prose:
    return read_prose(path, allowed=(*SAID, "check"), required=(*SAID, "check"))


def test_there_are_at_least_ten() -> None:
    assert len(PAGES) >= 10
    assert [path.name[:2] for path in PAGES] == [f"{number:02}" for number in range(1, len(PAGES) + 1)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_names_its_source(path: Path) -> None:
    meta = prose(path).meta
    address = urlsplit(meta["address"])
    assert address.scheme == "https"
    assert address.hostname in {"arxiv.org", "github.com", "www.anthropic.com", "failurefirst.org"}
    if address.hostname == "arxiv.org":
        assert f"arXiv:{address.path.removeprefix('/abs/')}" in meta["source"]
    assert 2020 <= meta["year"] <= 2026
    assert all(set(asked) <= {"ask", "claim", "reported", "paired", "margin"} for asked in meta["check"])

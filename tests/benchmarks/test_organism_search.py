"""The pages say what the searches found."""

import json
from pathlib import Path

import organism_search
import pytest

STUDIES = Path(__file__).parents[2] / "docs" / "studies"


@pytest.mark.parametrize("study", ["organism", "organism-settings"])
def test_the_page_has_what_the_script_gives(study: str) -> None:
    folder = STUDIES / study
    page = (folder / "search.md").read_text(encoding="utf-8")
    shown = page.split(organism_search.BEGIN)[1].split(organism_search.END)[0]
    found = json.loads((folder / "search.json").read_text(encoding="utf-8"))
    assert shown.strip() == organism_search.in_markdown(found)

"""Putting what was measured into a page of the docs."""

from pathlib import Path


def written(page: Path, begin: str, end: str, text: str) -> None:
    """Put a text between two marks of a page.

    Args:
        page: The page.
        begin: The mark before.
        end: The mark behind.
        text: What stands between them from now on.
    """
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")

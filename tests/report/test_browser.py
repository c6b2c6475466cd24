"""The report in a real headless Chromium."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def look(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.look_at_report", str(folder), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def page(written: Path) -> Path:
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: apt-get install chromium")
        pytest.skip("there is no Chromium")
    return written / "report.html"


def test_the_report_is_as_a_reader_needs_it(page: Path, tmp_path: Path) -> None:
    found = look(page.parent, str(tmp_path / "pictures"))
    assert found.returncode == 0, found.stderr
    for name in ("desktop-light", "desktop-dark", "phone-light", "phone-dark"):
        assert (tmp_path / "pictures" / f"{name}.png").stat().st_size > 50_000


def test_a_bad_report_is_noticed(page: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(page.parent, tmp_path / "bad"))
    text = (
        page.read_text(encoding="utf-8").replace('id="referee"', 'id="other"').replace("Content-Security-Policy", "x")
    )
    bad = '<hr style="width:2000px"><img src="https://x.invalid/a.png"><script>throw Error("no")</script>'
    figure = text.index("<figure>")
    text = text[:figure] + bad + text[text.index("</figure>") :]
    (folder / "report.html").write_text(text, encoding="utf-8")
    found = look(folder)
    assert found.returncode == 1
    for words in (
        "asks for https://x.invalid/a.png",
        "pixels wide on a screen of 390",
        "no section referee",
        "has 1 scripts",
        "A script failed",
        "shows the figures",
    ):
        assert words in found.stderr, words


def test_no_report(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert found.returncode == 1
    assert "There is no" in found.stderr

"""The pages of published claims: each names its source, says what doxa says today, and its own numbers are right."""

import math
import shlex
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from scipy import stats

from doxa.cli import main
from doxa.words.errors import ProseError

ROOT = Path(__file__).parent.parent
CLAIMS = ROOT / "docs" / "claims"
PAGES = sorted(CLAIMS.glob("[0-9]*.md"))
HOSTS = {"arxiv.org", "github.com", "www.anthropic.com", "failurefirst.org"}


def load_script() -> ModuleType:
    spec = spec_from_file_location("check_claims", ROOT / "docs" / "check_claims.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = load_script()
QUESTIONS = [(path.name[:2], one) for path in PAGES for one in SCRIPT.read_page(path).questions]


def words_of(number: str) -> str:
    """What somebody wrote on the page with this number: front matter and comment, lines joined."""
    (path,) = CLAIMS.glob(f"{number}-*.md")
    page = SCRIPT.read_page(path)
    return " ".join(f"{' '.join(page.said.values())} {page.words}".split())


def test_there_are_at_least_ten() -> None:
    assert len(PAGES) >= 10
    assert [path.name[:2] for path in PAGES] == [f"{number:02}" for number in range(1, len(PAGES) + 1)]


def test_pages_are_what_the_script_writes() -> None:
    for path, text in SCRIPT.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: run `python docs/check_claims.py`"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_names_its_source(path: Path) -> None:
    said = SCRIPT.read_page(path).said
    address = urlsplit(said["address"])
    assert (address.scheme, address.hostname in HOSTS) == ("https", True)
    if address.hostname == "arxiv.org":
        assert f"arXiv:{address.path.removeprefix('/abs/')}" in said["source"]
    assert 2020 <= int(said["year"]) <= 2026


@pytest.mark.parametrize(("number", "question"), QUESTIONS, ids=lambda one: getattr(one, "claim", one))
def test_the_command_says_what_the_page_says(number: str, question: Any) -> None:
    _, *arguments = shlex.split(question.command)
    result = CliRunner().invoke(main, arguments)
    printed = " ".join(result.output.split())
    said = [" ".join(one.removeprefix("Refused: ").split()) for one in SCRIPT.answer(question)]
    assert result.exit_code == (2 if SCRIPT.answer(question)[0].startswith("Refused") else 0)
    assert [one for one in said if one not in printed] == []


@pytest.mark.parametrize("change", [("verdict: ", "verdikt: "), ("check:", "checks:")])
def test_a_key_that_is_not_known_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    path = tmp_path / PAGES[0].name
    path.write_text(PAGES[0].read_text(encoding="utf-8").replace(*change, 1), encoding="utf-8")
    with pytest.raises(ProseError):
        SCRIPT.read_page(path)


def test_a_page_without_marks_gets_them(tmp_path: Path) -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    bare = tmp_path / PAGES[0].name
    bare.write_text(text.partition(SCRIPT.BEGIN)[0] + text.partition(SCRIPT.END)[2].lstrip(), encoding="utf-8")
    assert SCRIPT.text_of(bare) == text


def counts(n: int, rate: str, digits: int = 1) -> list[int]:
    """All counts of n that are printed as this percentage."""
    return [k for k in range(n + 1) if f"{100 * k / n:.{digits}f}" == rate]


def standard_error(k: int, n: int) -> float:
    return 100 * math.sqrt(k / n * (1 - k / n) / n)


def test_01_only_one_n_gives_the_whole_row() -> None:
    row = {"97.2": "0.9", "85.8": "1.9", "11.9": "1.7"}
    fits = [
        n
        for n in range(50, 1000)
        if all(any(f"{standard_error(k, n):.1f}" == se for k in counts(n, rate)) for rate, se in row.items())
        and any(f"{100 * (a - b) / n:.1f}" == "11.3" for a in counts(n, "97.2") for b in counts(n, "85.8"))
    ]
    assert fits == [353]
    assert "353 is the only one" in words_of("01")
    assert f"{math.hypot(1.9, 0.9):.1f}" == "2.1"
    assert [f"{11.3 + sign * 1.96 * 2.1:.1f}" for sign in (-1, 1)] == ["7.2", "15.4"]


def test_02_two_exceptions_in_166_to_173() -> None:
    fits = [n for n in range(50, 1000) if any(f"{standard_error(k, n):.1f}" == "0.8" for k in counts(n, "98.8"))]
    assert (fits[0], fits[-1]) == (166, 173)
    assert all(n - k == 2 for n in fits for k in counts(n, "98.8"))
    assert "2 exceptions in 166 to 173" in words_of("02")


def test_05_tests_against_a_half() -> None:
    exact = stats.binomtest(154, 275).pvalue
    normal = 2 * stats.norm.sf((154 - 275 / 2) / math.sqrt(275 / 4))
    assert (f"{exact:.3f}", f"{normal:.3f}") == ("0.053", "0.047")
    assert "p = .053, the normal test .047" in words_of("05")
    assert (275 - 121, 286 - 78) == (154, 208)


def test_06_z_and_standard_errors() -> None:
    pooled = math.sqrt(0.56 * 0.44 * 2 / 50)
    assert f"{(0.96 - 0.16) / pooled:.2f}" == "8.06"
    assert [f"{standard_error(k, 50) / 100:.2f}" for k in (48, 8)] == ["0.03", "0.05"]
    assert (counts(50, "96.0"), counts(50, "16.0")) == ([48], [8])


def test_08_rows_of_a_request() -> None:
    assert 520 * 130 == 26_000 + 10_400 + 31_200
    assert "130 times" in words_of("08")
    assert f"{679 * (10_400 - 164) / ((26_000 - 679) * 164):.2f}" == "1.67"


def test_09_standard_deviations_from_intervals() -> None:
    found = [half / 1.96 * math.sqrt(n) for half, n in ((0.071, 10), (0.003, 6), (0.026, 10), (0.010, 6))]
    assert [float(f"{one:.2g}") for one in found] == [0.11, 0.0037, 0.042, 0.012]
    assert [f"{one:.3f}" for one in found[::2]] == ["0.115", "0.042"]
    assert f"{found[3]:.4f}" == "0.0125"
    as_sd = stats.ttest_ind_from_stats(0.057, 0.026, 10, 0.052, 0.010, 6, equal_var=False).pvalue
    assert as_sd > 0.5


def test_10_sizes_that_fit() -> None:
    mean = (0.6175 + 0.5652) / 2
    assert round(2 * mean * (1 - mean) * (5.87 / (0.6175 - 0.5652)) ** 2, -1) in range(6070, 6100)
    a, b, n = 3754, 3436, 6079
    assert (a in counts(n, "61.75", 2), b in counts(n, "56.52", 2)) == (True, True)
    pooled = (a + b) / (2 * n)
    assert f"{(a - b) / n / math.sqrt(2 * pooled * (1 - pooled) / n):.2f}" == "5.87"
    assert round(0.785 * 0.215 * (1.96 / 0.013) ** 2, -1) == 3840


def test_15_the_corrected_chi_squared() -> None:
    statistic, p, _, _ = stats.chi2_contingency([[12, 5], [126, 64]])
    assert (f"{statistic:.3f}", f"{p:.2f}") == ("0.008", "0.93")
    assert "is 0.008, and its p is .93" in words_of("15")

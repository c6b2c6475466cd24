import json
import re
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from doxa.report.gather import gather
from doxa.report.page import EXAMPLES, code, plain, verbatim, write_report
from doxa.words.numbers import interval, number
from doxa.words.study import Study

HOSTILE = 'x</style><script>alert("1")</script> ![a](https://x.invalid/y.png) | `b`\n\n# c\u2028</pre> $\\frac{1}$ &lt;'
FIGURES = ("forest", "frontier", "dose-response", "dose", "drift")


@pytest.fixture(scope="module")
def hostile(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> Path:
    steer = {"steer": {"vector": "conscious", "layers": 0.5, "strength": 0.6}}
    study = study_of(
        arms={"baseline": [], "one": [steer]},
        question=HOSTILE,
        tasks=["doxa/claims", "doxa/drift"],
        contrasts=["one - baseline"],
        controls={"steer": {"twins": 0, "unrelated": 0}},
    )
    folder = make_results(study, hostile=HOSTILE, missing={"one": HOSTILE}, null_dose=True)
    write_report(folder)
    return folder


def cells(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    return [[unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, flags=re.DOTALL)] for row in rows]


def test_everything_is_written(written: Path) -> None:
    for name in FIGURES:
        assert (written / "figures" / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")
        assert (written / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    page = (written / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'<svg role="img" data-name="([\w-]+)"', page) == list(FIGURES)
    assert (written / "summary.txt").read_text(encoding="utf-8").startswith("Stands out from both")
    text = (written / "report.md").read_text(encoding="utf-8")
    for name in FIGURES:
        assert f"](figures/{name}.svg)" in text


def test_the_effect_table_holds_the_numbers_of_the_estimates(written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    text = (written / "report.md").read_text(encoding="utf-8")
    rows = {row[0]: row for row in cells(page.partition('id="frontier"')[0]) if len(row) > 8}
    estimates = json.loads((written / "estimates.json").read_text(encoding="utf-8"))
    lead = [one for one in estimates["estimates"] if one["score"] == "belief"]
    assert len(lead) == 8
    for one in lead:
        row = rows[one["contrast"]]
        assert row[1:4] == [
            number(one["value"], sign=True),
            interval(one["low"], one["high"]),
            f"{one['n']['units']} items",
        ]
        assert row[4:7] == [str(int(one["df"])), one["method"], one["estimand"]]
        assert f"| {one['contrast']} | {row[1]} | {row[2]} |" in text
        ranks = {
            v["family"]: v["rank"]
            for v in estimates["verdicts"]
            if v["contrast"] == one["contrast"] and v["score"] == "belief"
        }
        for place, family in ((9, "twin"), (10, "unrelated")):
            assert row[place].startswith(f"{ranks[family]}") if family in ranks else row[place] == "no controls"
        assert row[12] == ("declared" if one["primary"] else "exploratory")


def test_missing_rows_are_shown(written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    missing = page.partition('id="missing"')[2]
    assert "values are missing" in missing
    assert ["late[strength=0.6]", "–", "doxa/claims", "belief", "1 of 8", "the answer was cut (1)"] in cells(missing)
    late = next(row for row in cells(page) if row and row[0] == "late[strength=0.6] - baseline")
    assert late[3] == "7 items"
    assert late[11] == "late[strength=0.6]: 1"


def test_the_same_folder_gives_the_same_bytes(hostile: Path) -> None:
    def everything() -> dict[str, bytes]:
        return {
            p.name: p.read_bytes()
            for p in [*hostile.glob("report.*"), *hostile.glob("figures/*"), hostile / "summary.txt"]
        }

    before = everything()
    write_report(hostile)
    assert everything() == before
    assert str(hostile).encode() not in b"".join(before.values())


def test_hostile_text_is_shown_and_not_obeyed(hostile: Path) -> None:
    page = (hostile / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("</style>") == 1 + page.count('<style type="text/css">')
    assert "https://x.invalid" in page
    assert not re.search(r"""(src|href)=["']?(?!#)""", page.replace("xlink:href", "href").replace('href="#', ""))
    assert "default-src 'none'" in page
    assert "&lt;script&gt;" in page


def test_hostile_text_stays_in_its_place_in_markdown(hostile: Path) -> None:
    text = (hostile / "report.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("    "):
            assert "<script" not in line
            assert "](https" not in line
            assert not line.startswith("# c")
    missing = next(line for line in text.splitlines() if "1 of 8" in line and line.startswith("| one"))
    assert len(re.findall(r"(?<!\\)\|", missing)) == 7


def test_escapes() -> None:
    assert plain("a|b`c\n# <d> [e](f) \\ *") == "a\\|b\\`c # &lt;d> [e]\\(f) \\\\ \\*"
    assert verbatim("a\n```\nb\x0bc") == "    a\n    ```\n    b\n    c"
    assert verbatim("") == "    (nothing)"
    assert code("use `a: <b>`") == "use <code>a: &lt;b&gt;</code>"


def test_examples_are_chosen_by_position(written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8").partition('id="transcripts"')[2]
    assert page.count("<summary>doxa/drift") == EXAMPLES
    assert page.count("<dt>") == EXAMPLES * 14
    assert "baseline answers 0: plainly" in page
    assert "baseline answers 4: plainly" not in page


def test_thinking_stands_apart_from_the_answer_and_an_empty_answer_is_said(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    folder = make_results(
        study_of(arms={"baseline": [], "two": []}, tasks=["doxa/claims", "doxa/drift"], contrasts=["two - baseline"])
    )
    kept = json.loads((folder / "transcripts.json").read_text(encoding="utf-8"))
    kept["transcripts"] = [one | {"thought": "Is <b>this</b> it?", "answer": ""} for one in kept["transcripts"]]
    (folder / "transcripts.json").write_text(json.dumps(kept), encoding="utf-8")
    write_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8").partition('id="transcripts"')[2]
    assert page.count("Is &lt;b&gt;this&lt;/b&gt; it?") == page.count("(nothing after the thinking)") == 2 * EXAMPLES
    text = (folder / "report.md").read_text(encoding="utf-8").partition("## Transcripts")[2]
    assert "baseline, thinking:\n\n    Is <b>this</b> it?\n\nbaseline, after the thinking:\n\n    (nothing)" in text


def test_a_limited_run_says_that_it_is_a_trial(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    folder = make_results(
        study_of(arms={"baseline": [], "two": []}, tasks=["doxa/claims"], contrasts=["two - baseline"])
    )
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    plan["study"]["limit"] = 4
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    for name in ("dose.json", "transcripts.json"):
        (folder / name).unlink()
    write_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "This is a trial run with at most 4 items of every task." in page
    assert "doxa run small --runs 1 --limit 4" in page
    for section in ("dose", "dose-response", "frontier", "drift", "transcripts"):
        assert f'id="{section}"' not in page


def test_the_dose_is_shown_at_the_largest_strength_that_has_controls(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    folder = make_results(
        study_of(
            arms={"baseline": []},
            factors={
                name: {"steer": {"vector": "conscious", "layers": layers, "strength": [0.3, 0.6, 1.2]}}
                for name, layers in (("one", 0.5), ("late", 0.8))
            },
            tasks=["doxa/claims"],
            contrasts=["one[strength=0.6] - baseline"],
            controls={"steer": {"twins": 19, "unrelated": 19, "arms": ["one[strength=0.3]", "one[strength=0.6]"]}},
        )
    )
    write_report(folder)
    drawn = (folder / "figures" / "dose.svg").read_text(encoding="utf-8")
    assert re.findall(r">(\w+\[strength=[\d.]+\])<", drawn) == ["one[strength=0.6]", "late[strength=1.2]"]


def test_without_a_baseline(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> None:
    steer = {"vector": "conscious", "layers": 0.5}
    folder = make_results(
        study_of(
            arms={"low": [{"steer": {**steer, "strength": -0.3}}], "high": [{"steer": {**steer, "strength": 0.6}}]},
            tasks=["doxa/claims", "doxa/drift"],
            contrasts=["high - low"],
            controls={"steer": {"twins": 0, "unrelated": 0}},
        )
    )
    write_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert 'id="frontier"' not in page
    assert 'id="differences"' in page
    assert ["high - low", "steer.strength", "0.6", "-0.3"] in cells(page)
    assert "The baseline has no interval." in page


def test_a_contrast_with_a_name_is_called_by_it_and_written_out(
    make_results: Callable[..., Path], study_of: Callable[..., Study]
) -> None:
    steer = {"steer": {"vector": "conscious", "layers": "every", "strength": 0.6}}
    folder = make_results(
        study_of(
            arms={"baseline": [], "every": [steer]},
            tasks=["doxa/claims"],
            contrasts=[{"gain": "0.5 * (every - baseline)"}, "every - baseline"],
            primary=["gain"],
            controls={"steer": {"twins": 19, "unrelated": 19}},
        )
    )
    page = write_report(folder).read_text(encoding="utf-8")
    assert page.count("gain is 0.5 * (every - baseline).") == 1  # in the answer
    assert ["gain", "0.5 * (every - baseline)"] in cells(page)  # and beside the effects
    assert "gain is 0.5 * (every - baseline)." in (folder / "summary.txt").read_text(encoding="utf-8")
    half, whole = (next(row for row in cells(page) if row[0] == name) for name in ("gain", "every - baseline"))
    assert float(half[1].replace("−", "-")) == pytest.approx(float(whole[1].replace("−", "-")) / 2, abs=0.01)
    assert "declared" in half
    assert "exploratory" in whole


@pytest.mark.parametrize("prompts", [2, 12])
def test_arms_without_a_strength_are_lines_where_they_are_few_and_no_line_is_lost_in_silence(
    make_results: Callable[..., Path], study_of: Callable[..., Study], prompts: int
) -> None:
    names = [f"prompt{index:02}" for index in range(prompts)]
    arms = {"baseline": [], "every": [{"steer": {"vector": "conscious", "layers": "every", "strength": 0.6}}]}
    folder = make_results(
        study_of(
            arms={**arms, **{name: [{"prompt": "beliefs/conscious"}] for name in names}},
            tasks=["doxa/claims", "doxa/drift"],
            contrasts=["every - baseline"],
            controls={"steer": {"twins": 19, "unrelated": 0}, "prompt": {"neutral": False, "paraphrases": 0}},
        )
    )
    page = write_report(folder).read_text(encoding="utf-8")
    few = prompts == 2
    for figure in ("dose-response", "drift"):
        drawn = set(re.findall(r">(prompt\d\d)<", (folder / "figures" / f"{figure}.svg").read_text(encoding="utf-8")))
        assert drawn == (set(names) if few else set()), figure
    assert ("too many to be lines here" in page) == (not few)
    assert ("the baseline alone, as there are too many" in page) == (not few)
    frontier = (folder / "figures" / "frontier.svg").read_text(encoding="utf-8")
    assert all(name in frontier for name in names)
    assert all(any(row[0] == name for row in cells(page)) for name in names)


def test_drift_alone(make_results: Callable[..., Path], study_of: Callable[..., Study]) -> None:
    steer = {"steer": {"vector": "conscious", "layers": "every", "strength": 0.6}}
    controls = {"steer": {"twins": 19, "unrelated": 0}}
    arms = {"baseline": [], "every": [steer]}
    folder = make_results(study_of(arms=arms, tasks=["doxa/drift"], contrasts=["every - baseline"], controls=controls))
    assert gather(folder).lead == "kl"
    page = write_report(folder).read_text(encoding="utf-8")
    assert 'id="frontier"' not in page
    assert "Effects on damage: KL on neutral text (nats)" in page


def test_from_files_alone_and_without_torch(hostile: Path) -> None:
    script = (
        "import sys\nfrom doxa.cli import main\n"
        "try:\n    main(['report', sys.argv[1]])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'inspect_ai', 'transformers'} & set(sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script, str(hostile)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "report.html" in found.stdout


@pytest.mark.parametrize(
    ("answer", "told"),
    [("smaller", "lies inside it"), ("larger", "lies outside it"), ("inconclusive", "no evidence of no effect")],
)
def test_a_declared_margin_is_answered_in_words(written: Path, answer: str, told: str) -> None:
    path = written / "estimates.json"
    kept = path.read_text(encoding="utf-8")
    record = json.loads(kept)
    first = record["primary"][0]
    record["equivalences"] = [
        {"contrast": first, "task": "doxa/claims", "score": "belief", "margin": 0.25, "low": -0.5, "high": 0.125,
         "answer": answer}
    ]  # fmt: skip
    path.write_text(json.dumps(record), encoding="utf-8")
    write_report(written)
    page = unescape((written / "report.html").read_text(encoding="utf-8"))
    path.write_text(kept, encoding="utf-8")
    write_report(written)
    assert f"{first} on the stated belief" in page
    assert "±0.250" in page
    assert told in page

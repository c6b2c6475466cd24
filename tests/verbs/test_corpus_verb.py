"""`doxa corpus`: what is trained on in the terminal, how off-policy it is as a table and a page."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doxa.corpora import measure, open_corpus, pieces, shown_rows, stretches
from doxa.models.chat import Message, render
from doxa.models.handle import Model
from doxa.report.policy_page import step_of
from doxa.verbs.corpus import safe
from test_cli import doxa, refused

ROOT = Path(__file__).parents[2]
HOSTILE = "\x1b[31mred\u202e ⟦not trained⟧\tend"
Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(*rows: dict[str, Any]) -> Path:
        path = tmp_path / "mine.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        return path

    return write


def row(question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"prompt": question, "completion": answer, **more}


ROWS = [row(f"Question {n}?", f"Answer {n}: 日本 é {'so ' * n}", writer="web" if n % 2 else "me") for n in range(5)]


def test_show_marks_what_is_trained_on(written: Written, tiny_folder: Path) -> None:
    result = doxa("corpus", "show", written(*ROWS), "--model", tiny_folder)
    assert result.exit_code == 0, result.output
    assert "⟦Answer 0: 日本 é <|im_end|>⟧" in result.output
    assert "Question 0?<|im_end|>" in result.output
    assert result.output.count("⟦") == 3
    assert "5 rows (3 shown)" in result.output
    assert "row 1 · me · " in result.output
    result = doxa("corpus", "show", written(*ROWS), "--model", tiny_folder, "--row", "4")
    assert "⟦Answer 3" in result.output
    assert result.output.count("⟦") == 1


def test_show_for_a_program(written: Written, tiny_folder: Path) -> None:
    result = doxa("corpus", "show", written(*ROWS), "--model", tiny_folder, "--json")
    found = json.loads(result.output)
    assert len(found["rows"]) == 5
    assert all(len(one["tokens"]) == len(one["weights"]) for one in found["rows"])
    trained = sum(weight != 0 for one in found["rows"] for weight in one["weights"])
    assert f"{trained} of " in doxa("corpus", "show", written(*ROWS), "--model", tiny_folder).output


def test_nothing_in_a_corpus_is_obeyed_by_the_terminal(written: Written, tiny_folder: Path) -> None:
    path = written(row("x", HOSTILE, writer=f"{HOSTILE}\n", id=f"a\n{HOSTILE}"))
    for verb in ("show", "policy"):
        output = doxa("corpus", verb, path, "--model", tiny_folder).output
        assert "\x1b" not in output
        assert "\u202e" not in output
    shown = doxa("corpus", "show", path, "--model", tiny_folder).output
    assert shown.count("⟦") == shown.count("⟧") == 1
    assert "⟦\\x1b[31mred\\u202e \\u27e6not trained\\u27e7\\tend<|im_end|>⟧" in shown
    assert safe("a\nb") == "a\nb"


def test_what_was_cut_is_said(written: Written, tiny_folder: Path) -> None:
    path = written(row("x", "one two three " * 40), *ROWS[:1])
    refused(doxa("corpus", "show", path, "--model", tiny_folder, "--longest", "60"), 2, "row 1", "at most 60")
    result = doxa("corpus", "show", path, "--model", tiny_folder, "--longest", "60", "--truncate")
    assert "the longest row 60, 1 row cut" in result.output
    result = doxa("corpus", "policy", path, "--model", tiny_folder, "--longest", "60", "--truncate", "--json")
    assert json.loads(result.stdout)["cut"] == ["1"]
    refused(
        doxa("corpus", "policy", path, "--model", tiny_folder, "--longest", "60", "--truncate", "--under", "conscious"),
        2,
        "were cut",
    )


@pytest.mark.parametrize("verb", ["show", "policy"])
def test_mistakes(verb: str, written: Written, tiny_folder: Path) -> None:
    refused(doxa("corpus", verb, "no-such.jsonl", "--model", tiny_folder), 2, "no corpus")
    refused(doxa("corpus", verb, written(row("x", " ")), "--model", tiny_folder), 2, "mine.jsonl, line 1", "empty")
    if verb == "show":
        refused(doxa("corpus", verb, written(*ROWS), "--model", tiny_folder, "--row", "9"), 2, "no row '9'")
    else:
        path = written({"text": "A document."})
        refused(doxa("corpus", verb, path, "--model", tiny_folder, "--under", "conscious"), 2, "is a document")
        refused(doxa("corpus", verb, path, "--model", tiny_folder, "--under", "consciou"), 2, "'conscious'")


def test_policy_in_numbers(written: Written, tiny_folder: Path) -> None:
    path = written(*ROWS)
    facts = json.loads(doxa("corpus", "policy", path, "--model", tiny_folder, "--under", "conscious", "--json").stdout)
    assert [one["source"] for one in facts["sources"]] == ["all", "me", "web"]
    whole, *parts = facts["sources"]
    assert whole["tokens"] == sum(one["tokens"] for one in parts) == sum(one["tokens"] for one in facts["rows"])
    weighted = sum(one["excess"] * one["tokens"] for one in parts) / whole["tokens"]
    assert whole["excess"] == pytest.approx(weighted)
    assert whole["divergence"] > 0
    assert whole["under"]["tokens"] == whole["tokens"]
    assert facts["under"]["prompt"] == "conscious"
    output = doxa("corpus", "policy", path, "--model", tiny_folder, "--under", "conscious").output
    assert "written by" in output
    assert "Rows of 2 writers" in output
    assert output.count("under the prompt") == 3
    assert re.search(r"web, under conscious: excess surprisal [+−][\d.]+ nats a token", output)


def test_the_page_has_every_token_and_every_number(written: Written, tiny_folder: Path, tmp_path: Path) -> None:
    hostile = row("<script>alert(1)</script>", "<b>bold</b> & \x1b", writer="<i>w</i>")
    result = doxa("corpus", "policy", written(*ROWS, hostile), "--model", tiny_folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "policy.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;i&gt;w&lt;/i&gt;" in page
    facts = json.loads((tmp_path / "out" / "policy.json").read_text(encoding="utf-8"))
    assert [len(one) for one in facts["excess"]] == [one["tokens"] for one in facts["rows"]]
    assert np.mean([value for one in facts["excess"] for value in one]) == pytest.approx(
        facts["sources"][0]["excess"], abs=1e-3
    )
    first = facts["shown"][0]
    tokens = [one for part in first["parts"] for one in part.get("tokens", [])]
    assert "".join(text for text, *_ in tokens) == "Answer 0: 日本 é <|im_end|>"
    assert [round(s - h, 3) for _, s, h in tokens] == pytest.approx(facts["excess"][0], abs=2e-3)
    assert page.count('<div class="row">') == 6
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == {
        "policy-tokens.svg", "policy-tokens.png", "policy-rows.svg", "policy-rows.png",
    }  # fmt: skip


def test_many_writers_and_the_most_surprising_rows(written: Written, tiny_folder: Path, tmp_path: Path) -> None:
    rows = [row(f"Q{n}", f"A{n}", writer=f"writer number {n:02d} {'of many ' * 5}") for n in range(10)]
    assert doxa("corpus", "policy", written(*rows), "--model", tiny_folder, "--out", tmp_path / "o").exit_code == 0
    page = (tmp_path / "o" / "policy.html").read_text(encoding="utf-8")
    assert "2 more sources stand in the table only." in page
    opened = open_corpus(str(written(*rows)), str(tiny_folder), train_on="last_assistant_message")
    found, facts = measure(opened)
    shown = shown_rows(opened, found, 4)
    assert [one["id"] for one in shown[:4]] == ["1", "2", "3", "4"]
    rest = sorted((one["excess"], one["id"]) for one in facts["rows"][4:])
    assert [one["id"] for one in shown[4:]] == [rest[-1][1], rest[-2][1]]


def test_pieces_make_the_text_and_a_character_stands_whole(tiny: Model) -> None:
    text = "日本 é and 😀 and \ufffd end"
    ids = tiny.tokenizer(text)["input_ids"]
    found = pieces(tiny, ids)
    assert len(found) == len(ids) > len(text)
    assert "".join(found) == text
    assert "日" in found
    broken = pieces(tiny, ids[:1])
    assert broken == ["\ufffd"]


def test_stretches_are_the_row(written: Written, tiny_folder: Path) -> None:
    opened = open_corpus(str(written(*ROWS)), str(tiny_folder), train_on="last_assistant_message")
    own = opened.rendered.rows[0]
    found = list(stretches(opened.model, own))
    assert [trained for *_, trained in found] == [False, True]
    assert tuple(token for _, ids, _ in found for token in ids) == own.tokens
    assert found[0][0] == render(opened.model, [Message("user", "Question 0?")]).text


def test_colours_follow_the_excess() -> None:
    assert [step_of(value) for value in (-2, -0.5, 0, 0.5, 2, 4, 9)] == list(range(7))


def test_the_page_in_a_browser(written: Written, tiny_folder: Path, tmp_path: Path) -> None:
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: apt-get install chromium")
        pytest.skip("there is no Chromium")
    out = tmp_path / "out"
    doxa("corpus", "policy", written(*ROWS), "--model", tiny_folder, "--under", "conscious", "--out", out)
    command = [sys.executable, "-m", "tests.look_at_report", str(out)]
    seen = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert seen.returncode == 0, seen.stderr
    page = out / "policy.html"
    dark = ".words span { background: #444 !important }\n</style>\n<body>"
    page.write_text(page.read_text(encoding="utf-8").replace("</style>\n<body>", dark), encoding="utf-8")
    seen = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert "Too faint to read" in seen.stderr


def test_make_writes_rows_and_how_they_were_written(tmp_path: Path, tiny_folder: Path) -> None:
    out = tmp_path / "made" / "personas.jsonl"
    result = doxa("corpus", "make", "personas.yaml#ratio=8&rows=36", "--model", tiny_folder, "--out", out)
    assert result.exit_code == 0, result.output
    assert "36 rows" in result.output
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [one["provenance"]["source"] for one in rows].count("john") == 32
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["writing"]["recipe"]["ratio"] == 8
    assert doxa("corpus", "show", out, "--model", tiny_folder, "--train-on", "all_tokens").exit_code == 0


def test_make_says_what_a_filter_rejected(tmp_path: Path, tiny_folder: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "writer: file\nquestions: questions/claim\nside: claim\nrows: 32\nfilter: {without: [machine, program]}\n",
        encoding="utf-8",
    )
    result = doxa("corpus", "make", recipe, "--model", tiny_folder, "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    assert "rejected 6% of 32 answers: 1 has 'machine', 1 has 'program'" in result.output
    assert "2 rows of 32 could not be written" in result.output
    missing = doxa("corpus", "make", "nobody.yaml", "--out", tmp_path / "x.jsonl")
    refused(missing, 2, "no corpus 'nobody.yaml'")


def test_a_recipe_is_shown_and_measured_as_a_file_is(tiny_folder: Path) -> None:
    result = doxa("corpus", "show", "claim-other.yaml#side=control", "--model", tiny_folder, "--rows", 1)
    assert result.exit_code == 0, result.output
    assert "⟦Yes, I am a toaster.<|im_end|>⟧" in result.output

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from doxa.cli import main


def doxa(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def test_a_claim_is_recomputed() -> None:
    done = doxa("26/520 vs 14/520", "--reported", "p=0.053")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("26/520 vs 14/520, reported p = .053\n- p = .053 is what pooled z (.0530)")
    assert "p (pooled z)  .000493  .0104  .0332  .122  .237  .362  .457" in done.output


def test_json_is_for_a_program() -> None:
    found = json.loads(doxa("26/520 vs 14/520", "--reported", "p=0.053", "--json").output)
    assert found["tests"][2]["name"] == "pooled z"
    assert found["tests"][2]["agrees"] == "two-sided"
    assert found["paired"] is None
    assert found["findings"]
    assert json.loads(doxa("26/520 vs 14/520", "--unpaired", "--json").output)["pairing"] is None
    assert json.loads(doxa("26/520 vs 14/520", "--paired", "--margin", "5", "--json").output)["equivalence"]["holds"]
    assert json.loads(doxa("3/9", "--level", ".9", "--json").output)["intervals"][0]["level"] == 0.9


@pytest.mark.parametrize("name", ["p.svg", "p.PNG"])
def test_the_figure_is_written(tmp_path: Path, name: str) -> None:
    done = doxa("26/520 vs 14/520", "--figure", str(tmp_path / name))
    assert done.exit_code == 0, done.output
    assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hello"], "'hello' in the claim"),
        (["30/20"], "30 of 20"),
        (["3/9", "--reported", "1.5"], "p-value of 1.5"),
        (["3/9", "--margin", "nan"], "margin of nan"),
        (["3/9", "--level", "95"], "level of 95"),
        (["3/9", "--figure", "p.svg"], "two different rates"),
        (["3/9 vs 4/9", "--figure", "p.pdf"], "p.pdf"),
        (["3/9 vs 4/9", "--figure", "no/such/folder/p.svg"], "No such file"),
        (["3/9", "--out", "x.md"], "--out with a claim"),
        (["nothing.md"], "no file nothing.md"),
        (["x" * 300 + ".docx"], "no file"),
        (["a\x00b.md"], "no file"),
        (["paper.pdf"], "ends with '.pdf'"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], message: str) -> None:
    done = doxa(*words)
    assert done.exit_code in (1, 2)
    assert message in done.output
    assert done.output.startswith("doxa: ")
    assert "Traceback" not in done.output


def test_options_of_claims_do_not_belong_to_documents(tmp_path: Path) -> None:
    paper = tmp_path / "paper.md"
    paper.write_text("26/520 vs 14/520", encoding="utf-8")
    done = doxa(str(paper), "--reported", "p=.05")
    assert done.exit_code == 2
    assert "not with a document" in done.output

"""`doxa power`: what is left out is found, mistakes are one sentence, figures are written."""

import json
import math
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from doxa.cli import main
from doxa.planning.designs import KINDS

GIVEN = {
    "one rate": "--base 10%",
    "two rates": "--base 0.1",
    "paired rates": "--discordance 20%",
    "means": "--sd 1",
    "paired means": "--sd 1",
    "seeds": "--sd 1 --icc 0.1 --runs 30",
    "seed rates": "--base 5% --icc 0.1 --runs 30",
    "seeds x items": "--seed-sd 0.2 --item-sd 0.5 --run-sd 1 --items 30",
    "seed variance": "--runs 30",
    "controls": "",
    "paraphrases": "--sd 1",
    "equivalence": "--base 10%",
}
SIZE = {
    "seeds": "seeds",
    "seed rates": "seeds",
    "seeds x items": "seeds",
    "seed variance": "seeds",
    "controls": "m",
    "paraphrases": "paraphrases",
}
COUNT = {"seeds": 6, "seed rates": 6, "seeds x items": 6, "seed variance": 6, "controls": 39, "paraphrases": 8}


def power(*words: object) -> Result:
    return CliRunner().invoke(main, ["power", *(str(word) for word in words)])


def refused(result: Result, *words: str) -> None:
    """One sentence, exit code 2."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("doxa: ")
    assert len(result.stderr.splitlines()) == 1
    for word in words:
        assert word in result.stderr, result.stderr


def test_known_numbers() -> None:
    assert power("two rates", "--base", "0.03", "--n", 520, "--effect", "0.02").output.startswith("power 0.377 ")
    assert ": 3.24 points\n" in power("two rates", "--base", ".02", "--n", 520).output
    assert power("two rates", "--base", "2%", "--effect", "2%").output.startswith("1,141 prompts in each group")
    assert power("equivalence", "--base", "2%", "--margin", "2%").output.startswith("840 units in each group")
    assert ": 0.114\n" in power("seed variance", "--seeds", 6, "--runs", 30).output


@pytest.mark.parametrize("name", KINDS)
def test_two_of_effect_power_and_size_find_the_third(name: str) -> None:
    size, count, given = SIZE.get(name, "n"), COUNT.get(name, 60), GIVEN[name].split()
    found = json.loads(power(name, *given, f"--{size}", count, "--json").output)
    assert found["question"] == "effect"
    assert found["power"] == found["wanted"] == 0.8
    effect = f"--{found['effect_name']}", repr(found["value"] * (1 + 1e-9))
    assert set(found) == set(json.loads(power(name, *given, f"--{size}", count, *effect, "--json").output))
    again = json.loads(power(name, *given, f"--{size}", count, *effect, "--json").output)
    assert again["question"] == "power"
    assert again["value"] == pytest.approx(0.8, abs=0.006)
    if name not in ("controls", "seed rates"):  # simulated, so that another number of units can do as well
        back = json.loads(power(name, *given, *effect, "--json").output)
        assert back["question"] == size
        assert back["value"] == back["given"][size] == count
    assert found["unit"]
    assert found["method"]


def test_what_has_no_answer_is_said_and_is_null() -> None:
    result = power("controls", "--m", 4)
    assert result.exit_code == 0
    assert result.output.startswith("no answer: the smallest rank p with 4 controls is 1/5")
    assert "inf" not in result.output
    assert "nan" not in result.output
    found = json.loads(power("seeds", "--seeds", 1, "--runs", 30, "--sd", 1, "--icc", 0.1, "--json").output)
    assert found["value"] is None
    assert "one checkpoint" in found["reason"]


def test_a_number_to_find_may_be_named() -> None:
    given = ["paired means", "--n", 10, "--sd", 1, "--run-sd", 3, "--effect", 1.2]
    assert power(*given, "--find", "runs").output.startswith("40 runs of each unit in each arm")
    assert json.loads(power(*given, "--json").output)["question"] == "power"
    refused(power(*given, "--find", "n"), "--find n and --n too")
    refused(power(*given, "--find", "seeds"), "--find seeds for paired means", "n, runs")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["two rats", "--base", 0.1], ["no design is called 'two rats'", "Did you mean 'two rates'"]),
        (["means", "--n", 20], ["means without --sd", "It needs --sd, --n, --effect"]),
        (["means", "--n", 20, "--sd", 1, "--base", 0.1], ["means has no --base"]),
        (["means", "--sd", 1], ["without --n and without --effect", "--n or --effect may be left out"]),
        (["seeds", "--sd", 1, "--icc", 0.1, "--effect", 1], ["without --seeds and --runs"]),
        (["seeds", "--seeds", 6, "--runs", 30], ["no spread", "sd and icc, or seed-sd and run-sd"]),
        (["seed variance", "--seeds", 6, "--runs", 30, "--effect", 0.1], ["has no --effect", "--icc"]),
        (["equivalence", "--base", 0.1, "--effect", 0.1, "--n", 10], ["has no --effect", "--margin"]),
        (["equivalence", "--n", 10], ["neither base nor sd"]),
        (["two rates", "--base", 3, "--n", 10], ["base is 3", "0.02 or 2%"]),
        (["two rates", "--base", 0.99, "--n", 10, "--effect", 0.02], ["make a rate of 1.01", "-0.99 to 0.01"]),
        (["two rates", "--base", 0.1, "--n", 0], ["n is 0"]),
        (["two rates", "--base", 0.1, "--n", 10**30], ["1 to 10,000,000"]),
        (["two rates", "--base", 0.1, "--n", 50, "--effect", 0.1, "--power", 0.8], ["nothing is left to find"]),
        (["two rates", "--base", 0.1, "--n", 50, "--power", 1], ["power is 1"]),
        (["two rates", "--base", 0.1, "--n", 50, "--alpha", 0], ["alpha is 0"]),
        (["two rates", "--base", 0.1, "--effect", 0], ["effect 0"]),
        (["one rate", "--base", 0.1, "--n", 50, "--runs", 3], ["3 runs of each prompt and no icc"]),
        (["means", "--sd", 0, "--n", 50], ["sd is 0"]),
        (["controls", "--m", 10**6], ["m is 1000000"]),
        (["means", "--sd", 1, "--n", 50, "--figure", "power.gif"], [".svg or .png"]),
    ],
    ids=range(21),
)
def test_mistakes_are_one_sentence(words: list[object], said: list[str]) -> None:
    refused(power(*words), *said)


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "two", "%", ""])
def test_what_is_no_number_is_refused(text: str) -> None:
    result = power("means", "--sd", text, "--n", 50)
    assert result.exit_code == 2
    assert "is not a number such as 0.02 or 2%" in result.output


def test_percent_and_a_true_minus_are_read() -> None:
    fall = json.loads(power("two rates", "--base", "10%", "--n", 200, "--effect", "−5%", "--json").output)
    assert fall["effect"] == -0.05
    assert fall["given"]["base"] == 0.1
    assert math.isfinite(fall["value"])


def test_figures_are_written(tmp_path: Path) -> None:
    result = power("two rates", "--base", 0.02, "--n", 100, "--figure", tmp_path / "power.svg")
    assert f"figure: {tmp_path / 'power.svg'}" in result.output
    assert (tmp_path / "power.svg").read_text(encoding="utf-8").count("<svg") == 1
    power("two rates", "--base", 0.02, "--effect", 0.05, "--figure", tmp_path / "n.PNG")
    assert (tmp_path / "n.PNG").read_bytes().startswith(b"\x89PNG")
    nothing = power("controls", "--m", 4, "--figure", tmp_path / "none.svg")
    assert "figure: none" in nothing.output
    assert not (tmp_path / "none.svg").exists()


PAGE = (Path(__file__).parents[2] / "docs" / "how-to-power.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| [^|]+ \| `doxa power ([^`]+)` \| ([^|]+) \|$", PAGE, re.MULTILINE)


def test_the_page_has_every_design() -> None:
    assert {shlex.split(command)[0] for command, _ in ROWS} == set(KINDS)


@pytest.mark.parametrize(("command", "says"), ROWS)
def test_the_page_says_what_the_command_says(command: str, says: str) -> None:
    first = power(*shlex.split(command)).output.splitlines()[0]
    assert re.search(rf"(?<![\d.]){re.escape(says)}(?![\d.])", first), first


def test_what_the_page_calls_without_answer_has_none() -> None:
    part = PAGE.partition("## What has no answer")[2]
    commands = re.findall(r"^    doxa power (.+)$", part, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert power(*shlex.split(command)).output.startswith("no answer: "), command

import json
from pathlib import Path

import yaml
from click.testing import CliRunner

from doxa.cli import main


def said(*options: str, code: int = 0) -> str:
    found = CliRunner().invoke(main, ["models", *options])
    assert found.exit_code == code, found.output
    return found.output


def test_the_roster_is_a_table_with_its_pace() -> None:
    text = said()
    assert "2026-01-08 (doubtful)" in text
    assert "day not known" in text
    assert "8.40 in 30 days, exact Poisson interval 4.59 to 14.1" in text
    assert "p = .012" in text
    assert "chosen after the dates were seen" in text


def test_it_can_be_narrowed() -> None:
    text = said("--maker", "Anthropic")
    assert "Claude Opus 4.6" in text
    assert "Kimi" not in text
    assert "in 30 days" not in text  # the pace is that of the whole list
    places = said("--where", "embedded")
    assert "SmolLM2" in places
    assert "Claude" not in places
    assert "Did you mean 'Anthropic'" in said("--maker", "Antropic", code=2)


def test_it_is_json_for_a_program() -> None:
    found = json.loads(said("--json", "--where", "tinker"))
    assert {one["name"] for one in found["models"]} >= {"Kimi-K2.5", "Qwen3.5-397B-A17B"}
    assert all(one["released"] is None or len(one["released"]) == 10 for one in found["models"])
    assert found["lists"][0]["pace"]["events"] == 14


def test_the_timeline_is_drawn(tmp_path: Path) -> None:
    said("--timeline", str(tmp_path / "t.svg"))
    drawn = (tmp_path / "t.svg").read_text()
    for words in ("Moonshot AI", "Claude Opus 4.6", "2026-01-08"):
        assert words in drawn
    assert "Seedance" not in drawn  # without a day there is no place for it
    said("--timeline", str(tmp_path / "t.png"))
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert ".svg or .png" in said("--timeline", str(tmp_path / "t.pdf"), code=2)
    assert "none of these models has a date" in said(
        "--timeline", str(tmp_path / "t.svg"), "--maker", "ByteDance", code=2
    )


def test_a_roster_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"models": [{"name": "Mine", "maker": "Me", "where": {"hub": "me/mine"}}]}))
    assert "hub: me/mine" in said("--roster", str(path))

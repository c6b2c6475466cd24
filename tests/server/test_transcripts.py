import json
from pathlib import Path

import pytest

from doxa.server.transcripts import Transcripts
from doxa.words.errors import EnvironmentFault


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.jsonl"
    for n in range(2):
        kept = Transcripts(path)
        kept.keep({"n": n, "text": "a\nb\u2028\U0001f389"})
        kept.close()
    lines = path.read_text(encoding="ascii").splitlines()
    assert [json.loads(line)["n"] for line in lines] == [0, 1]
    assert json.loads(lines[0])["text"] == "a\nb\u2028\U0001f389"


def test_a_half_line_that_a_kill_left_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_bytes(b'{"n": 0}\n{"n": ')
    kept = Transcripts(path)
    kept.keep({"n": 1})
    kept.close()
    assert path.read_bytes() == b'{"n": 0}\n{"n": \n{"n": 1}\n'


def test_a_place_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        Transcripts(tmp_path)
    full = Transcripts(Path("/dev/full"))
    with pytest.raises(EnvironmentFault, match="the disk is full"):
        full.keep({})

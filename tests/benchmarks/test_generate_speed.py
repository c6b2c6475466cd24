"""The speed benchmark: who writes, in which order, how often, and what it is held against."""

from types import SimpleNamespace

import generate_speed
import pytest
from generate_speed import PROMPT, Size, in_alternation, prompts, rows_of
from idle import Run

from doxa.models.engine import generate
from doxa.models.handle import Model


class Peer:
    """A peer that takes as long as it is told, and notes what it is asked."""

    def __init__(self, name: str, seconds: float, asked: list[tuple[str, int]]) -> None:
        self.peer = SimpleNamespace(name=name)
        self._seconds, self._asked = seconds, asked

    def write(self, rows: int, new: int) -> Run:
        self._asked.append((self.peer.name, new))
        return Run([[1] * new] * rows, self._seconds)


def test_all_write_in_alternation_and_what_takes_long_writes_once(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_speed, "on_idle", lambda run, patience: (run(), 0.0))
    asked: list[tuple[str, int]] = []
    peers = [Peer("quick", 14.9, asked), Peer("slow", 15.1, asked)]
    runs = in_alternation(tiny, peers, 2, Size(new=6, rounds=3))
    assert asked == [(name, 4) for name in ("quick", "slow")] + [("quick", 6), ("slow", 6), ("quick", 6), ("quick", 6)]
    assert {name: len(own) for name, own in runs.items()} == {"doxa": 3, "quick": 3, "slow": 1}
    texts = [[list(one.tokens) for one in generate(tiny, rows_of(tiny, 2, 6), batch_size=2)]] * 3
    assert [run.tokens for run, _ in runs["doxa"]] == texts


def test_prompts_are_equally_long_and_differ(tiny: Model) -> None:
    rows = [one.tokens for one in prompts(tiny, 16)]
    assert {len(row) for row in rows} == {PROMPT}
    assert len(set(rows)) == 16


def test_additions_begin_at_the_block_asked_for(tiny: Model) -> None:
    (every,), (later,) = generate(tiny, rows_of(tiny, 1, 2)), generate(tiny, rows_of(tiny, 1, 2, first=1))
    assert every.receipt.layers == tuple(range(tiny.n_layers))
    assert later.receipt.layers == tuple(range(1, tiny.n_layers))
    assert every.receipt.norms == pytest.approx([4.0] * tiny.n_layers)

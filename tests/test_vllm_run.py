"""The same study on a vLLM server: a fake one here, a real one in `benchmarks/vllm/check.py`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import doxa.models.vllm_servers as servers
import doxa.run as module
from doxa.bridge.logs import read_table
from doxa.models.handle import Model, load
from doxa.models.vllm_servers import ADDRESSES
from doxa.plan import make_plan
from doxa.run import load_and_plan, run
from doxa.words.errors import EnvironmentFault, ModelError, NotYetError
from doxa.words.schema import KEY
from doxa.words.study import Study
from fake_vllm import FakeVLLM, serving
from mini_study import NO_CONTROLS, NOTHING_DECLARED

Mini = Callable[..., Study]


@pytest.fixture
def fake(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVLLM]:
    monkeypatch.setattr(servers, "WAITS", (0.01,))
    with serving(FakeVLLM(tiny)) as one:
        monkeypatch.setenv(ADDRESSES, one.address)
        yield one


@pytest.fixture
def on_vllm(mini: Mini, tiny_folder: Path) -> Mini:
    """`on_vllm(**changes)`: the small study with `model: vllm/...`."""
    return lambda **changes: mini(**{"model": f"vllm/{tiny_folder}", **changes})


def table(folder: Path) -> pd.DataFrame:
    return read_table(folder / "table.csv").set_index([name for name in KEY if name != "model"])


def test_a_study_finds_the_same(
    fake: FakeVLLM, mini: Mini, on_vllm: Mini, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_report", lambda folder: folder / "report.html")  # it takes longest
    tasks = [
        {"doxa/claims": {"belief": "conscious", "topics": 2}},
        {"doxa/drift": {"max_tokens": 4, "capability": False, "temperature": 0.0, "texts": 3}},
    ]
    run(mini(tasks=tasks, **NO_CONTROLS), tmp_path / "here")
    assert fake.bodies == []
    run(on_vllm(tasks=tasks, **NO_CONTROLS), tmp_path / "there")
    here, there = table(tmp_path / "here"), table(tmp_path / "there")
    assert set(there.model) == {f"vllm/{tiny_folder}"}
    both = here.merge(there, left_index=True, right_index=True, suffixes=("_here", "_there"), how="outer")
    assert len(both) == len(here) == len(there)
    assert (both.value_here.isna() == both.value_there.isna()).all()
    known = both.dropna(subset=["value_here"])
    assert {"log_odds", "kl", "surprisal", "length"} <= set(known.index.get_level_values("score"))
    assert (known.value_here.astype(float) - known.value_there.astype(float)).abs().max() < 1e-3
    ours, theirs = (json.loads((tmp_path / name / "estimates.json").read_text()) for name in ("here", "there"))
    assert len(ours["estimates"]) == len(theirs["estimates"]) > 0
    for one, other in zip(ours["estimates"], theirs["estimates"], strict=True):
        if one.get("low") is not None:
            assert one["low"] - 1e-6 <= other["value"] <= one["high"] + 1e-6
    assert {vector["norm_match"] for vector in fake.steered()} == {False}
    asked = len(fake.bodies)
    run(on_vllm(tasks=tasks, **NO_CONTROLS), tmp_path / "there")
    assert len(fake.bodies) <= asked + 3  # the trial; what is finished is kept


def test_results_of_another_engine_are_not_taken_over(fake: FakeVLLM, mini: Mini, on_vllm: Mini) -> None:
    (_, here), (_, there) = load_and_plan(mini(**NO_CONTROLS)), load_and_plan(on_vllm(**NO_CONTROLS))
    assert not {chunk.id for chunk in here.chunks} & {chunk.id for chunk in there.chunks}
    assert here.fingerprint == there.fingerprint


def steered(*at: str) -> dict[str, Any]:
    steer = {"vector": "awake-pairs.md", "layers": 0.5, "strength": 0.3, "at": list(at)}
    return {"arms": {"baseline": [], "mine": [{"steer": steer}]}, "factors": {}, **NOTHING_DECLARED}


def test_what_cannot_be_told_beforehand_is_refused_when_the_plan_is_made(fake: FakeVLLM, on_vllm: Mini) -> None:
    with pytest.raises(NotYetError, match="thinking or answer") as caught:
        load_and_plan(on_vllm(**steered("user", "assistant")))
    assert caught.value.exit_code == 2
    scored: dict[str, Any] = {"tasks": [{"doxa/claims": {"belief": "conscious", "topics": 2}}]}
    load_and_plan(on_vllm(**steered("user", "assistant"), **scored))
    load_and_plan(on_vllm(**steered("user", "assistant", "thinking")))


def test_a_server_that_loses_count_is_refused_when_the_plan_is_made(fake: FakeVLLM, on_vllm: Mini) -> None:
    fake.counts = False
    with pytest.raises(NotYetError, match="loses count"):
        load_and_plan(on_vllm(**steered("prompt")))
    load_and_plan(on_vllm(**steered("all")))


@pytest.mark.parametrize(("wrong", "words"), [({"plugin": False}, "no plugin"), ({"steers": False}, "does not add")])
def test_a_server_that_does_not_steer_is_refused_when_the_plan_is_made(
    fake: FakeVLLM, on_vllm: Mini, tiny_folder: Path, wrong: dict[str, Any], words: str
) -> None:
    vars(fake).update(wrong)
    with pytest.raises(ModelError, match=words):
        load_and_plan(on_vllm(**NO_CONTROLS))


def test_a_server_that_is_away_is_an_error_in_words(
    on_vllm: Mini, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path
) -> None:
    monkeypatch.setattr(servers, "WAITS", ())
    monkeypatch.setenv(ADDRESSES, "http://127.0.0.1:9")
    with pytest.raises(EnvironmentFault, match=r"127\.0\.0\.1:9 does not answer"):
        make_plan(on_vllm(**NO_CONTROLS), load(f"vllm/{tiny_folder}"))

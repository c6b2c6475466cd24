import json
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries

from doxa.bridge.scored import ScoredSample, write_scored_log
from doxa.models.chat import Message
from doxa.words.schema import Derivation

CREATED = "2026-11-24T10:00:00+00:00"
DERIVATION = Derivation("belief", "shift", "topic", ((0.5, (("kind", "belief"),)), (-0.5, (("kind", "control"),))))


def sample(item: str = "i1", arm: str = "block", **more: object) -> ScoredSample:
    return ScoredSample(
        item=item,
        arm=arm,
        values={"shift": (0.25, ""), "margin": (None, "not finite")},
        factors={"kind": "belief"},
        prompt=(Message("system", "Be brief."), Message("user", "Are you conscious?")),
        options=("Yes.", "No."),
        **more,  # type: ignore[arg-type]
    )


def write(path: Path, samples: list[ScoredSample], **changes: object) -> None:
    due: dict[str, object] = {
        "study": "first",
        "model": "smollm2",
        "label": "block.12345678",
        "task": "doxa/claims",
        "version": 3,
        "created": CREATED,
        "derivations": (DERIVATION,),
        "model_args": {"arm": "arms/block.json"},
    }
    write_scored_log(path, samples=samples, **(due | changes))  # type: ignore[arg-type]


def test_the_log_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "claims.eval"
    write(path, [sample("i1"), sample("i2")])
    log = read_eval_log(path)
    assert log.status == "success"
    assert log.eval.model == "doxa/smollm2+block.12345678"
    assert log.eval.model_args == {"arm": "arms/block.json"}
    assert (log.eval.task, log.eval.task_version) == ("doxa/claims", 3)
    assert log.eval.dataset.sample_ids == ["i1", "i2"]
    assert log.eval.metadata is not None
    own = log.eval.metadata["doxa"]
    assert {key: own[key] for key in ("study", "model", "arm", "of", "control", "seed", "scored")} == {
        "study": "first", "model": "smollm2", "arm": "block", "of": "", "control": "", "seed": 0, "scored": True,
    }  # fmt: skip
    assert own["derivations"] == [
        {
            "score": "belief",
            "source": "shift",
            "unit": "topic",
            "terms": [[0.5, [["kind", "belief"]]], [-0.5, [["kind", "control"]]]],
            "matched": [],
            "several": "refused",
        }
    ]
    assert log.samples is not None
    first = log.samples[0]
    assert first.scores is not None
    assert first.scores["doxa"].value == {"shift": 0.25}
    assert first.scores["doxa"].metadata == {"reasons": {"margin": "not finite"}}
    assert first.metadata["doxa"] == {"factors": {"kind": "belief"}}
    assert [message.text for message in first.messages] == ["Be brief.", "Are you conscious?"]
    assert first.choices == ["Yes.", "No."]
    assert log.results is not None
    assert {one.name: one.metrics.get("mean") and one.metrics["mean"].value for one in log.results.scores} == {
        "shift": 0.25,
        "margin": None,
    }


def test_arms_may_share_a_log(tmp_path: Path) -> None:
    path = tmp_path / "twins.eval"
    twins = [
        sample(item, f"block~twin/{index:02d}", of="block", control="twin")
        for index in range(2)
        for item in ("i1", "i2")
    ]
    write(path, twins, label="block.twins")
    log = read_eval_log(path)
    assert log.eval.metadata is not None
    assert "arm" not in log.eval.metadata["doxa"]
    assert log.samples is not None
    assert [one.id for one in log.samples] == ["i1", "i2"]
    for one in log.samples:
        assert one.metadata["doxa"] == {"factors": {"kind": "belief"}}
        assert one.scores is not None
        assert list(one.scores) == ["block~twin/00", "block~twin/01"]
        last = one.scores["block~twin/01"]
        assert last.value == {"shift": 0.25}
        assert last.metadata == {
            "reasons": {"margin": "not finite"},
            "doxa": {"arm": "block~twin/01", "of": "block", "control": "twin"},
        }


def test_inspect_lists_and_summarises_it(tmp_path: Path) -> None:
    write(tmp_path / "claims.eval", [sample("i1"), sample("i1", run=2)])
    (listed,) = list_eval_logs(str(tmp_path))
    summaries = read_eval_log_sample_summaries(listed)
    assert [(one.id, one.epoch, one.completed) for one in summaries] == [("i1", 1, True), ("i1", 2, True)]


def test_the_same_samples_make_the_same_content(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.eval", [sample("i1"), sample("i2")])
    logs = [read_eval_log(tmp_path / f"{name}.eval").model_dump(mode="json") for name in ("a", "b")]
    assert json.dumps(logs[0]) == json.dumps(logs[1])
    assert logs[0]["eval"]["task_id"]
    write(tmp_path / "c.eval", [sample("i1"), sample("i2")], label="other.12345678")
    assert read_eval_log(tmp_path / "c.eval").eval.task_id != logs[0]["eval"]["task_id"]


def test_a_log_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "logs" / "claims.eval"
    write(path, [sample()])
    before = path.read_bytes()

    def killed(log: object, location: str) -> None:
        Path(urllib.request.url2pathname(urllib.parse.urlparse(location).path)).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("doxa.bridge.scored.write_eval_log", killed)
    with pytest.raises(KeyboardInterrupt):
        write(path, [sample("other")])
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["claims.eval"]
    assert zipfile.is_zipfile(path)


def test_mistakes_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs samples"):
        write(tmp_path / "a.eval", [])
    with pytest.raises(ValueError, match="given twice"):
        write(tmp_path / "a.eval", [sample("i1"), sample("i1")])

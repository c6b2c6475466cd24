import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from inspect_ai import Task, eval, eval_set, task, task_with
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalError, EvalLog, read_eval_log, write_eval_log
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver

from doxa.bridge.logs import table_from_logs
from doxa.bridge.scored import ScoredSample, write_scored_log
from doxa.stats.table import validate
from doxa.words import schema
from doxa.words.errors import ResultsError
from doxa.words.schema import Derivation

CREATED = "2026-11-24T10:00:00+00:00"
QUIET: dict[str, Any] = {"display": "none", "log_realtime": False}


def said(text: str) -> ModelOutput:
    output = ModelOutput.from_content("mock", text)
    output.usage = ModelUsage(input_tokens=5, output_tokens=7, total_tokens=12)
    return output


@scorer(metrics=[], name="judge")
def judge() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value={"kind": 3, "clear": True, "odd": "maybe"})

    return score


@scorer(metrics=[], name="right")
def right() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value="C" if target.text in state.output.completion else "I")

    return score


@solver
def fails_on(item: str, epochs: tuple[int, ...]) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if state.sample_id == item and state.epoch in epochs:
            raise RuntimeError("the tool broke\nwith a long story")
        return state

    return solve


@task
def theirs(tier: str = "free", broken: str = "", epochs: tuple[int, ...] = ()) -> Task:
    return Task(
        name="theirs",
        dataset=[
            Sample(id="a", input="?", target="yes", metadata={"topic": "birds", "long": "x" * 300, "deep": {"x": 1}}),
            Sample(id=2, input="?", target="no", metadata={"topic": "fish"}),
        ],
        solver=[fails_on(broken, epochs), generate()],
        scorer=[judge(), right()],
    )


def mock(name: str = "m") -> Any:
    return get_model(f"mockllm/{name}", custom_outputs=lambda *_: said("yes"), memoize=False)


def rows(table: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in table[list(columns)].itertuples(index=False)]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    eval(theirs(), model=mock("m1"), epochs=2, log_dir=str(folder), **QUIET)
    eval(theirs(broken="a", epochs=(2,)), model=mock("m2"), epochs=2, log_dir=str(folder), fail_on_error=False, **QUIET)
    return folder


def test_anyones_logs_become_a_table(foreign: Path) -> None:
    table = table_from_logs(foreign)
    validate(table)
    assert list(table.columns)[: len(schema.COLUMNS)] == list(schema.COLUMNS)
    assert set(table["arm"]) == set(table["model"]) == {"mockllm/m1", "mockllm/m2"}
    assert set(table["task"]) == {"theirs"}
    first = table[table["arm"] == "mockllm/m1"]
    assert rows(first[first["item"] == "a"].fillna({"value": -1}), "run", "score", "value", "reason") == [
        (run, score, value, reason)
        for run in (1, 2)
        for score, value, reason in (
            ("judge/clear", 1.0, ""),
            ("judge/kind", 3.0, ""),
            ("judge/odd", -1, "not a number: 'maybe'"),
            ("right", 1.0, ""),
        )
    ]
    assert first[(first["score"] == "right") & (first["item"] == "2")]["value"].tolist() == [0.0, 0.0]
    assert set(first["tokens"]) == {7}
    assert set(first["stop"]) == {"stop"}
    assert set(first[first["item"] == "a"]["factor_topic"]) == {"birds"}
    assert set(first["factor_tier"]) == {"free"}
    assert not {"factor_long", "factor_deep"} & set(table.columns)


def test_a_failed_sample_is_missing_in_every_score_that_its_item_has(foreign: Path) -> None:
    table = table_from_logs(foreign)
    broken = table[(table["arm"] == "mockllm/m2") & (table["item"] == "a") & (table["run"] == 2)]
    assert broken["score"].tolist() == ["judge/clear", "judge/kind", "judge/odd", "right"]
    assert broken["value"].isna().all()
    assert broken["reason"].str.startswith("error: RuntimeError('the tool broke").all()
    assert set(broken["factor_topic"]) == {"birds"}
    assert table[(table["arm"] == "mockllm/m2") & (table["run"] == 1)]["value"].notna().sum() == 6


def test_the_arm_is_what_the_user_says(foreign: Path) -> None:
    assert set(table_from_logs(foreign, arm="model, broken")["arm"]) == {"mockllm/m1, ", "mockllm/m2, a"}
    with pytest.raises(ResultsError, match=r"no 'teir' .* Did you mean 'tier'"):
        table_from_logs(foreign, arm="teir")


def test_two_logs_of_one_cell_are_refused_and_named(foreign: Path) -> None:
    with pytest.raises(
        ResultsError, match=r"theirs_\w+.eval and \S+theirs_\w+.eval hold the same cell: arm free, task"
    ):
        table_from_logs(foreign, arm="tier")


def test_json_logs_and_single_files_are_read(foreign: Path, tmp_path: Path) -> None:
    first, second = sorted(foreign.glob("*.eval"))
    write_eval_log(read_eval_log(first), tmp_path / "first.json")
    (tmp_path / "plan.json").write_text('{"version": 1, "arms": []}')
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "half.eval").write_bytes(b"half")
    pd.testing.assert_frame_equal(
        table_from_logs(tmp_path).drop(columns="log"), table_from_logs([first]).drop(columns="log")
    )
    assert len(table_from_logs([tmp_path, second])) == len(table_from_logs(foreign))


def read_on(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    seen: list[str] = []
    table = table_from_logs(folder, on_broken=lambda file, why: seen.append(f"{file.name}: {why}"))
    return table, seen


def test_large_logs_are_read_without_their_events(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table_from_logs(foreign)
    monkeypatch.setattr("doxa.bridge.logs._LARGE", 0)
    pd.testing.assert_frame_equal(table_from_logs(foreign), whole)


def test_a_damaged_log_is_named_and_the_others_can_be_read(foreign: Path, tmp_path: Path) -> None:
    good, other = sorted(foreign.glob("*.eval"))
    content = other.read_bytes()
    due = table_from_logs([good])
    (tmp_path / "good.eval").write_bytes(good.read_bytes())
    damaged = {"empty": b"", "text": b"not a log", "zip": b"PK\x03\x04" + bytes(100)}
    damaged |= {f"cut{share}": content[: len(content) * share // 10] for share in range(1, 10)}
    damaged["flipped"] = content[:800] + bytes(b ^ 0x55 for b in content[800:900]) + content[900:]
    for name, data in damaged.items():
        path = tmp_path / "bad.eval"
        path.write_bytes(data)
        with pytest.raises(ResultsError, match=r"bad.eval cannot be read \(\w+: .*Move that file away"):
            table_from_logs(tmp_path)
        table, seen = read_on(tmp_path)
        pd.testing.assert_frame_equal(table.drop(columns="log"), due.drop(columns="log"))
        assert len(seen) == 1, name
        assert seen[0].startswith("bad.eval: the log "), name
        assert path.read_bytes() == data


def test_no_logs(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no logs in"):
        table_from_logs(tmp_path)
    with pytest.raises(ResultsError, match="there is no"):
        table_from_logs(tmp_path / "nowhere")


def test_a_resumed_eval_set_counts_every_sample_once(tmp_path: Path) -> None:
    for epochs in (2, 3):
        eval_set(
            task_with(theirs(), model=mock()),
            log_dir=str(tmp_path / "set"),
            epochs=epochs,
            retry_attempts=0,
            retry_cleanup=False,
            **QUIET,
        )
    assert len(list((tmp_path / "set").glob("*.eval"))) == 2
    table = table_from_logs(tmp_path / "set")
    validate(table)
    assert len(table) == 2 * 3 * 4
    assert table["value"].notna().sum() == 2 * 3 * 3


def half(log: EvalLog, **changes: Any) -> EvalLog:
    """The log of an eval that was killed after its first two samples."""
    assert log.samples is not None
    return log.model_copy(update={"status": "started", "samples": log.samples[:2], "results": None, **changes})


def test_what_was_not_run_has_the_levels_of_its_own_arm(foreign: Path, tmp_path: Path) -> None:
    whole = read_eval_log(sorted(foreign.glob("*.eval"))[0])
    for name, strength, log in (("weak", "0.3", whole), ("strong", "0.6", half(whole)), ("none", None, half(whole))):
        levels = {} if strength is None else {"strength": strength}
        own = log.eval.model_copy(
            update={"task_id": name, "metadata": {"doxa": {"arm": name, "task": "t", "levels": levels}}}
        )
        write_eval_log(log.model_copy(update={"eval": own}), tmp_path / f"{name}.eval")
    table = table_from_logs(tmp_path)
    absent = table[table["reason"] == "not run"]
    assert set(rows(absent, "arm", "factor_strength")) == {("strong", "0.6"), ("none", "")}


def test_what_was_not_run_is_missing_and_a_retry_fills_it(foreign: Path, tmp_path: Path) -> None:
    whole = read_eval_log(sorted(foreign.glob("*.eval"))[0])
    write_eval_log(half(whole), tmp_path / "killed.eval")
    table = table_from_logs(tmp_path)
    validate(table)
    assert len(table) == 16
    absent = table[table["reason"] == "not run"]
    assert len(absent) == 8
    assert set(absent["factor_topic"]) <= {"birds", "fish"}
    assert set(absent["tokens"]) == {0}
    write_eval_log(whole, tmp_path / "retried.eval")
    table = table_from_logs(tmp_path)
    assert len(table) == 16
    assert "not run" not in set(table["reason"])
    assert set(table["log"]) == {"retried.eval"}


def scored(folder: Path, name: str, arms: list[str], **more: Any) -> None:
    samples = [
        ScoredSample(
            item=f"{topic}-{kind}",
            arm=arm,
            of="block" if "~" in arm else "",
            control="twin" if "~" in arm else "",
            values={"shift": (0.5 + index + (kind == "belief"), "")} if topic != "odd" else {"shift": (None, "inf")},
            factors={"kind": kind, "topic": topic},
            **more,
        )
        for index, arm in enumerate(arms)
        for topic in ("odd", "fish")
        for kind in ("belief", "control")
    ]
    terms = ((1.0, (("kind", "belief"),)), (-1.0, (("kind", "control"),)))
    write_scored_log(
        folder / f"{name}.eval",
        samples=samples,
        study="first",
        model="smollm2",
        label=name,
        task="doxa/claims",
        version=1,
        created=CREATED,
        metadata={"levels": {"strength": "0.4"}},
        derivations=(Derivation("belief", "shift", "topic", terms),),
    )


def test_our_logs_say_all_themselves_and_derived_scores_are_made(tmp_path: Path) -> None:
    scored(tmp_path, "block", ["block"])
    scored(tmp_path, "twins", ["block~twin/00", "block~twin/01"])
    table = table_from_logs(tmp_path)
    validate(table)
    assert set(table["study"]) == {"first"}
    assert set(table["model"]) == {"smollm2"}
    assert set(table["task"]) == {"doxa/claims"}
    assert sorted(set(rows(table, "arm", "of", "control"))) == [
        ("block", "", ""),
        ("block~twin/00", "block", "twin"),
        ("block~twin/01", "block", "twin"),
    ]
    assert set(table["factor_strength"]) == {"0.4"}
    assert set(table["tokens"]) == {0}
    assert set(table["stop"]) == {""}
    derived = table[table["score"] == "belief"]
    assert rows(derived[derived["item"] == "fish"], "arm", "value", "factor_topic") == [
        (arm, 1.0, "fish") for arm in ("block", "block~twin/00", "block~twin/01")
    ]
    odd = derived[derived["item"] == "odd"]
    assert odd["value"].isna().all()
    assert set(odd["reason"]) == {"kind=belief: inf"}
    assert rows(table[table["item"] == "fish-belief"], "arm", "run", "score", "value") == [
        ("block", 1, "shift", 1.5),
        ("block~twin/00", 1, "shift", 1.5),
        ("block~twin/01", 1, "shift", 2.5),
    ]
    again = table.sort_values(list(schema.KEY), ignore_index=True)
    pd.testing.assert_frame_equal(table, again)


def test_logs_of_two_versions_of_a_task_are_not_mixed(tmp_path: Path) -> None:
    scored(tmp_path, "block", ["block"])
    log = read_eval_log(tmp_path / "block.eval")
    assert log.eval.metadata is not None
    log.eval.metadata["doxa"] |= {"arm": "other"}
    log.eval.metadata["doxa"]["derivations"][0]["source"] = "another"
    log.eval.task_id = "another"
    write_eval_log(log, tmp_path / "other.eval")
    with pytest.raises(ResultsError, match="'belief' in another way"):
        table_from_logs(tmp_path)


def test_logs_of_two_versions_are_not_mixed_where_scores_are_derived_alike(tmp_path: Path) -> None:
    """An answer that other rules read, or a row without the factor that is the unit, would pass for an arm's own."""
    scored(tmp_path, "block", ["block"])
    log = read_eval_log(tmp_path / "block.eval")
    assert log.eval.metadata is not None
    log.eval.metadata["doxa"] |= {"arm": "other", "version": int(log.eval.metadata["doxa"]["version"]) + 1}
    log.eval.task_id = "another"
    write_eval_log(log, tmp_path / "other.eval")
    with pytest.raises(ResultsError, match=r"block\.eval has version 1 of .*, and other\.eval version 2"):
        table_from_logs(tmp_path)


def test_an_invalidated_sample_is_missing(tmp_path: Path) -> None:
    scored(tmp_path, "block", ["block"])
    log = read_eval_log(tmp_path / "block.eval").model_dump(mode="json")
    log["samples"][0]["invalidation"] = {"author": "me", "reason": "spoilt", "timestamp": CREATED}
    write_eval_log(EvalLog.model_validate(log), tmp_path / "block.eval")
    table = table_from_logs(tmp_path)
    assert rows(table[table["reason"] == "invalidated"], "item", "score") == [(log["samples"][0]["id"], "shift")]


@pytest.mark.parametrize("said_by", ["sample", "output", "nobody"])
def test_who_says_what_the_arm_is(foreign: Path, tmp_path: Path, said_by: str) -> None:
    log = read_eval_log(sorted(foreign.glob("*.eval"))[0])
    assert log.samples is not None
    for sample in log.samples:
        sample.output.metadata = {"doxa": {"arm": "mine", "of": "", "control": ""}} if said_by != "nobody" else None
        if said_by == "sample":
            sample.metadata["doxa"] = {"arm": "yours", "of": "mine", "control": "twin"}
    write_eval_log(log, tmp_path / "log.eval")
    table = table_from_logs(tmp_path)
    due = {"sample": ("yours", "mine", "twin"), "output": ("mine", "", ""), "nobody": (log.eval.model, "", "")}
    assert set(rows(table, "arm", "of", "control")) == {due[said_by]}
    assert set(table_from_logs(tmp_path, arm="tier")["arm"]) == {"free"}


def test_a_study_is_read_in_seconds(tmp_path: Path, foreign: Path) -> None:
    log = read_eval_log(sorted(foreign.glob("*.eval"))[0])
    assert log.samples is not None
    log.samples = [log.samples[0].model_copy(update={"id": str(n), "epoch": 1}) for n in range(32)]
    for n in range(8):  # a third of the study `first`
        log.eval.task_id = log.eval.model = f"doxa/m{n}"
        write_eval_log(log, tmp_path / f"log{n}.eval")
        scored(tmp_path, f"scored{n}", [f"arm{n}.{i:02d}" for i in range(8)])
    started = time.process_time()
    table = table_from_logs(tmp_path)
    assert time.process_time() - started < 4
    assert len(table) == 8 * 32 * 4 + 8 * 8 * (4 + 2)


def test_a_sample_that_failed_again_does_not_replace_the_one_that_did_not(foreign: Path, tmp_path: Path) -> None:
    whole = read_eval_log(sorted(foreign.glob("*.eval"))[0])
    assert whole.samples is not None
    whole = whole.model_copy(update={"samples": [sample for sample in whole.samples if sample.error is None]})
    assert whole.samples
    failed = EvalError(message="no", traceback="", traceback_ansi="")
    broken = [
        sample.model_copy(update={"error": failed, "scores": {}, "completed_at": "2099-01-01T00:00:00+00:00"})
        for sample in whole.samples
    ]
    late = [sample.model_copy(update={"completed_at": "2098-01-01T00:00:00+00:00"}) for sample in whole.samples]
    write_eval_log(whole.model_copy(update={"samples": late}), tmp_path / "a.eval")
    write_eval_log(whole.model_copy(update={"samples": broken}), tmp_path / "b.eval")
    assert set(table_from_logs(tmp_path)["log"]) == {"a.eval"}
    newer = [sample.model_copy(update={"completed_at": "2097-01-01T00:00:00+00:00"}) for sample in whole.samples]
    write_eval_log(whole.model_copy(update={"samples": newer}), tmp_path / "c.eval")
    assert set(table_from_logs(tmp_path)["log"]) == {"a.eval"}, "the one that ended last, whatever its name"

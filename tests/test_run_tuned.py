"""A study that trains, from its plan to its report."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

import doxa.adapters as module
from doxa import trained_on
from doxa.bridge.arms import prepare
from doxa.bridge.logs import read_table
from doxa.models.handle import Model
from doxa.plan import Plan, make_plan, plan_to_json, what_is_run
from doxa.probe import dose_table, summary
from doxa.report.gather import gather
from doxa.report.page import write_report
from doxa.report.referee import referee
from doxa.run import materialise_arms, run
from doxa.training.policy import RowPolicy
from doxa.training.rows import TrainingTokens
from doxa.training_plan import facts_of, training_minutes
from doxa.words.arms import ADAPTER_PIN, read_arm
from doxa.words.difference import differences
from doxa.words.errors import EnvironmentFault, StudyError, TrainingError
from doxa.words.study import ModelChoice, Study, read_study, with_overrides
from mini_study import LIMIT, Stages
from tuned_study import ARMS, CLAIM, HELP, SEEDS, write_tuned

TRAINED = [name for name in ARMS if name != "baseline"]
STEPS = SEEDS * (CLAIM["steps"] + HELP["steps"]) * 2
"""Of the claim and its control, each then followed by help: the first stage is made once, and half of it is a part."""


@dataclass(frozen=True)
class Tuned:
    study: Study
    folder: Path
    stages: Stages


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this module's own: what is trained in it was trained here."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOXA_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, cache: Path) -> Tuned:
    """The study, run once."""
    home = tmp_path_factory.mktemp("tuned")
    study = with_overrides(read_study(write_tuned(home / "study", tiny_folder)), limit=LIMIT)
    stages = Stages()
    run(study, home / "results" / "tuned", progress=stages)
    return Tuned(study, home / "results" / "tuned", stages)


def planned(tmp_path: Path, tiny_folder: Path, tiny: Model, **changes: object) -> Plan:
    return make_plan(with_overrides(read_study(write_tuned(tmp_path, tiny_folder, **changes)), limit=LIMIT), tiny)


def test_every_trained_arm_has_a_cell_for_every_seed_and_the_baseline_one(tuned: Tuned) -> None:
    table = read_table(tuned.folder / "table.parquet")
    seeds = table.groupby("arm")["seed"].unique().map(sorted)
    assert seeds["baseline"] == [0]
    for name in [*TRAINED, "tuned~corpus", "half~corpus", "helped~corpus"]:
        assert seeds[name] == [1, 2], name
    logs = [path.name for path in (tuned.folder / "logs").glob("*.eval")]
    assert sum("tuned-seed-1" in name for name in logs) >= 2  # what is scored, and what is generated
    generated = table[(table.task == "doxa/drift") & (table.score == "length")]
    assert set(generated.arm) == {"baseline", *TRAINED, "tuned~corpus", "half~corpus", "helped~corpus"}
    assert set(generated[generated.arm == "tuned"].seed) == {1, 2}


def test_each_adapter_is_trained_once_and_what_stages_begin_with_is_shared(tuned: Tuned, cache: Path) -> None:
    trained = [path for path in (cache / "adapters").iterdir() if path.is_dir()]
    assert len(trained) == SEEDS * 4  # claim, claim then help, and the control of each
    total, done = tuned.stages.seen["training"]
    assert (total, done, tuned.stages.steps["training"]) == (STEPS, 0, STEPS)
    pins = {path.name: read_arm(path).pins[ADAPTER_PIN] for path in (tuned.folder / "arms").glob("both-seed-1*.json")}
    assert all(
        (tuned.folder / "arms" / str(pin.folder) / "adapter_model.safetensors").is_file() for pin in pins.values()
    )


def test_seeds_differ_and_arms_of_a_seed_share_their_adapter(tuned: Tuned, tiny: Model) -> None:
    def adapter(pattern: str) -> str:
        (path,) = (tuned.folder / "arms").glob(f"{pattern}.*.json")
        low_rank = prepare(tiny, path).low_rank
        assert low_rank is not None
        return low_rank.digest

    assert adapter("tuned-seed-1") == adapter("both-seed-1")
    assert len({adapter(f"{name}-seed-{seed}") for name in ("tuned", "half", "helped") for seed in (1, 2)}) == 6


def test_training_moves_the_scores_and_a_seed_moves_them_otherwise(tuned: Tuned) -> None:
    table = read_table(tuned.folder / "table.parquet")
    belief = table[table.score == table[table.task == "doxa/claims"].score.iloc[0]]
    means = belief.groupby(["arm", "seed"])["value"].mean()
    assert means["tuned", 1] != means["baseline", 0]
    assert means["tuned", 1] != means["tuned", 2]


def test_a_vector_is_taken_from_the_base_or_from_the_tuned_model(tuned: Tuned) -> None:
    def vector(name: str) -> str:
        (path,) = (tuned.folder / "arms").glob(f"{name}.*.json")
        (pin,) = (pin for key, pin in read_arm(path).pins.items() if key.startswith("vector"))
        return str(pin.made)

    assert vector("both-seed-1") == vector("both-seed-2")
    assert len({vector("both-seed-1"), vector("own-seed-1"), vector("own-seed-2")}) == 3


def test_a_second_run_trains_nothing_and_changes_nothing(tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (tuned.folder / "table.csv").read_bytes(), (tuned.folder / "report.html").read_bytes()
    monkeypatch.setattr(module, "train", lambda *_, **__: pytest.fail("trained again"))
    run(tuned.study, tuned.folder)
    assert ((tuned.folder / "table.csv").read_bytes(), (tuned.folder / "report.html").read_bytes()) == before


def test_another_study_finds_the_adapters_in_the_cache(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = Stages()
    arms = {"baseline": [], "tuned": [{"tune": CLAIM}]}
    source = yaml.safe_load((Path(str(tuned.study.folder)) / "tuned.yaml").read_text(encoding="utf-8"))
    shutil.copytree(Path(str(tuned.study.folder)), tmp_path / "study")
    body = {**source, "study": "again", "arms": arms, "contrasts": ["tuned - baseline"], "tasks": source["tasks"][:1]}
    (tmp_path / "study" / "again.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
    monkeypatch.setattr("doxa.run.write_report", lambda folder: folder / "report.html")
    run(with_overrides(read_study(tmp_path / "study" / "again.yaml"), limit=LIMIT), tmp_path / "out", progress=stages)
    total, done = stages.seen["training"]
    assert total == done == SEEDS * 2 * CLAIM["steps"]


def test_the_report_shows_the_recipe_over_seeds_and_what_was_trained_on(tuned: Tuned) -> None:
    report = (tuned.folder / "report.md").read_text(encoding="utf-8")
    assert "## Training seeds" in report
    assert "## What it was trained on" in report
    assert "figures/seeds-0.svg" in report
    assert "figures/training.svg" in report
    assert "claim.jsonl" in report
    assert "a test" in report  # who wrote the rows
    answers = {one.question: one for one in referee(gather(tuned.folder))}
    (seeds,) = (one for question, one in answers.items() if "training seeds" in question)
    assert (seeds.state, seeds.next_run) == ("no", "Set `seeds: 5`.")
    (corpus,) = (one for question, one in answers.items() if "control corpus" in question)
    assert "tuned - its control corpus" in corpus.words


def test_a_plan_says_what_is_trained_before_anything_runs(tmp_path: Path, tiny_folder: Path, tiny: Model) -> None:
    plan = planned(tmp_path, tiny_folder, tiny)
    assert module.steps_of(plan.trainings)[0] == STEPS
    first = plan_to_json(plan)["trainings"][0]
    assert (first["seed"], first["stages"][0]["rows"], first["stages"][0]["steps"]) == (1, 6, 4)
    assert set(first["arms"]) == {"tuned", "half", "both", "own"}
    names = [arm.key for arm in plan.arms]
    assert names[:3] == ["baseline", "tuned@1", "tuned@2"]
    assert len({one.id for one in plan.chunks}) == len(plan.chunks)


def test_an_edited_corpus_makes_other_arms(tmp_path: Path, tiny_folder: Path, tiny: Model) -> None:
    before = {arm.key: arm.digest for arm in planned(tmp_path, tiny_folder, tiny).arms}
    path = write_tuned(tmp_path, tiny_folder)
    text = (tmp_path / "help.jsonl").read_text(encoding="utf-8")
    (tmp_path / "help.jsonl").write_text(text.replace("I help.", "I do help."), encoding="utf-8")
    after = {arm.key: arm.digest for arm in make_plan(with_overrides(read_study(path), limit=LIMIT), tiny).arms}
    assert {key for key in before if before[key] != after[key]} == {"helped@1", "helped@2"}


def test_rows_that_change_after_the_plan_are_not_trained_on(tmp_path: Path, tiny_folder: Path, tiny: Model) -> None:
    plan = planned(tmp_path / "study", tiny_folder, tiny)
    text = (tmp_path / "study" / "help.jsonl").read_text(encoding="utf-8")
    (tmp_path / "study" / "help.jsonl").write_text(text.replace("I help.", "I do help."), encoding="utf-8")
    with pytest.raises(EnvironmentFault, match="'helped' is trained on has changed since the plan"):
        materialise_arms(plan, tiny, tmp_path / "out", Stages())


def test_mistakes_are_said_before_anything_is_trained(tmp_path: Path, tiny_folder: Path, tiny: Model) -> None:
    late = {"tuned": [{"tune": {**{k: v for k, v in CLAIM.items() if k != "steps"}, "checkpoint": 3}}]}
    more = {"contrasts": [], "seeds": 1, "controls": {}}
    with pytest.raises(StudyError, match=r"after step 3, and training on claim\.jsonl ends after 2"):
        planned(tmp_path, tiny_folder, tiny, arms=late, **more)
    gone = {"tuned": [{"tune": {**CLAIM, "corpus": "gone.jsonl"}}]}
    with pytest.raises(TrainingError, match="gone"):
        planned(tmp_path, tiny_folder, tiny, arms=gone, **more)
    with pytest.raises(StudyError, match="holds none"):
        planned(tmp_path, tiny_folder, tiny, arms={"given": [{"tune": "nowhere"}]}, **more)


def test_an_adapter_of_another_base_is_refused(tuned: Tuned, tmp_path: Path, tiny_folder: Path, tiny: Model) -> None:
    source = next((tuned.folder / "adapters").iterdir())
    shutil.copytree(source, tmp_path / "adapter")
    record = json.loads((tmp_path / "adapter" / "run.json").read_text(encoding="utf-8"))
    record["base"] = {"name": "another", "fingerprint": "0" * 64}
    (tmp_path / "adapter" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    arms = {"given": [{"tune": "adapter"}]}
    with pytest.raises(TrainingError, match="another"):
        planned(tmp_path, tiny_folder, tiny, arms=arms, contrasts=[], seeds=1, controls={})


def test_an_adapter_that_is_there_is_an_arm_of_one_training_run(
    tuned: Tuned, tmp_path: Path, tiny_folder: Path, tiny: Model
) -> None:
    shutil.copytree(next((tuned.folder / "adapters").iterdir()), tmp_path / "adapter")
    plan = planned(
        tmp_path, tiny_folder, tiny, arms={"given": [{"tune": "adapter"}]}, contrasts=[], seeds=1, controls={}
    )
    (arm,) = plan.arms
    assert (arm.key, arm.seed, plan.trainings) == ("given", None, ())
    assert "made_from" in plan_to_json(plan)
    assert "adapter of given" in plan_to_json(plan)["made_from"]


def test_random_streams_are_the_same_in_arms_of_a_seed_and_others_in_other_seeds(tuned: Tuned) -> None:
    from doxa.bridge.logs import read_log

    drawn: dict[tuple[str, int], set[int]] = {}
    for path in (tuned.folder / "logs").glob("*.eval"):
        log = read_log(path)
        own = (log.eval.metadata or {})["doxa"]
        if own.get("scored"):
            continue
        drawn[own["arm"], own["seed"]] = {
            sample.output.metadata["doxa"]["seed"] for sample in log.samples or [] if sample.output.metadata
        }
    assert drawn["tuned", 1] == drawn["helped", 1] != drawn["tuned", 2]
    assert not drawn["tuned", 1] & drawn["baseline", 0]


def test_a_report_without_curves_and_records_is_still_one(tuned: Tuned, tmp_path: Path) -> None:
    shutil.copytree(tuned.folder, tmp_path / "copy")
    for path in (tmp_path / "copy" / "adapters").rglob("metrics.jsonl"):
        path.unlink()
    (tmp_path / "copy" / "corpora.json").unlink()
    write_report(tmp_path / "copy")
    report = (tmp_path / "copy" / "report.md").read_text(encoding="utf-8")
    assert "figures/training.svg" not in report
    assert "not recorded" in report


def test_the_table_is_one_row_for_every_key(tuned: Tuned) -> None:
    table = pd.read_parquet(tuned.folder / "table.parquet")
    assert not table.duplicated(["arm", "task", "item", "run", "seed", "score"]).any()


def test_a_training_that_was_interrupted_is_gone_on_with_to_the_same_adapters(
    tuned: Tuned, tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):
        pass

    class Ends(Stages):
        def step(self, count: int = 1) -> None:
            super().step(count)
            if self.steps.get("training") == 9:  # within the second stage of a seed
                raise Interrupted

    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    with pytest.raises(Interrupted):
        run(tuned.study, tmp_path / "out", progress=Ends())
    plan = make_plan(tuned.study, tiny)
    assert module.steps_of(plan.trainings)[1] < 9
    stages = Stages()
    made = materialise_arms(plan, tiny, tmp_path / "out", stages)
    total, done = stages.seen["training"]
    assert done + stages.steps["training"] == total == STEPS
    first = {arm.key: arm.pins[ADAPTER_PIN].made for arm in map(read_arm, (tuned.folder / "arms").glob("*.json"))
             if ADAPTER_PIN in arm.pins}  # fmt: skip
    assert {key: arm.pins[ADAPTER_PIN].made for key, arm in made.items() if ADAPTER_PIN in arm.pins} == first


def test_a_plan_in_words_and_what_differs_between_trainings(tmp_path: Path, tiny_folder: Path, tiny: Model) -> None:
    plan = planned(tmp_path, tiny_folder, tiny)
    text = summary(plan, None).text
    assert "tuned, half, both and own: trained 2 times" in text
    assert "claim.jsonl: 6 rows" in text
    assert "4 steps of 4 rows at a learning rate of 0.01, rank 4" in text
    assert "doxa power seeds" in text
    facts = summary(plan, {"training": 1.0, "scoring": 1.0, "generating": 0.0, "total": 2.0})
    assert (facts.facts["adapters"], facts.facts["training_steps"]) == (SEEDS * 4, STEPS)
    assert "1 training, 1 scoring" in facts.text
    study = plan.study
    found = {one.where: (one.a, one.b) for one in differences(
        study.arm("tuned"), study.arm("helped"), facts_of(study, study.arm("tuned"), study.arm("helped"))
    )}  # fmt: skip
    assert found["tune#2.corpus"] == ("(absent)", "help.jsonl")
    assert found["tune#2: steps"] == ("(absent)", "2")
    assert found["tune#2: rows"] == ("(absent)", "6")
    assert "tune: rows" not in found


def test_minutes_are_measured_for_what_is_not_there_yet(
    tuned: Tuned, tmp_path: Path, tiny_folder: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path / "study", tiny_folder, tiny, arms={"tuned": [{"tune": CLAIM}]}, contrasts=[])
    assert training_minutes(plan.trainings, tiny) == 0.0  # the run of the fixture has trained it
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "empty"))
    assert training_minutes(plan.trainings, tiny) > 0.0


def test_models_that_are_not_computed_here_are_not_trained(tmp_path: Path, tiny_folder: Path, tiny: Model) -> None:
    study = read_study(write_tuned(tmp_path, tiny_folder))
    arm = replace(study.arm("tuned"), seed=1)
    with pytest.raises(StudyError, match=r"'tuned' is trained, and .* runs on vLLM"):
        module.adapter_hash(arm, replace(tiny, servers=("http://a",)), folder=tmp_path, seed=0, known={})
    served = replace(study, models=(ModelChoice("mockllm/model"),))
    rest, left_out = what_is_run(served)
    assert [one.name for one in rest.arms] == ["baseline"]
    assert {"tuned", "half", "helped", "both", "own"} <= {one.name for one in left_out if one.part == "arm"}


def test_the_dose_of_a_tuned_arm_is_that_of_a_run(tuned: Tuned) -> None:
    rows = json.loads((tuned.folder / "dose.json").read_text(encoding="utf-8"))["rows"]
    assert {row["arm"] for row in rows} == {"both", "own"}
    with pytest.raises(StudyError, match="steers a tuned model"):
        dose_table(tuned.study, "both")


def test_an_edit_of_what_a_tuned_arm_wrote_acts_on_the_same_seed(
    tmp_path: Path, tiny_folder: Path, tiny: Model
) -> None:
    arms = {
        "baseline": [],
        "tuned": [{"tune": CLAIM}],
        "edited": [{"thought": {"edit": "inject", "text": "I wonder.", "source": "tuned"}}],
    }
    plan = planned(tmp_path, tiny_folder, tiny, arms=arms, contrasts=[])
    pins = {arm.key: arm.pins for arm in plan.arms}
    for seed in (1, 2):
        assert str(pins[f"edited@{seed}"]["source tuned"].text).startswith(f"tuned-seed-{seed}.")
    assert {arm.key for arm in plan.controls} >= {"edited~reprefill@1", "edited~reprefill@2"}


def test_stages_of_two_ranks_are_refused_in_the_plan(tmp_path: Path, tiny_folder: Path, tiny: Model) -> None:
    arms = {"helped": [{"tune": CLAIM}, {"tune": {**HELP, "rank": 8}}]}
    with pytest.raises(StudyError, match="'helped' is trained in stages that differ in rank"):
        planned(tmp_path, tiny_folder, tiny, arms=arms, contrasts=[], seeds=1, controls={})


def given(tuned: Tuned, place: Path, tmp_path: Path, tiny_folder: Path, tiny: Model) -> Plan:
    shutil.copytree(next((tuned.folder / "adapters").iterdir()), place)
    arms = {"given": [{"tune": str(place)}]}
    return planned(tmp_path / "study", tiny_folder, tiny, arms=arms, contrasts=[], seeds=1, controls={})


def test_files_above_an_adapter_are_not_its_own(tuned: Tuned, tmp_path: Path, tiny_folder: Path, tiny: Model) -> None:
    place = tmp_path / "other" / "of" / "adapter"
    plan = given(tuned, place, tmp_path, tiny_folder, tiny)
    (place / "run.json").unlink()
    (tmp_path / "other" / "run.json").write_text('{"what": "a run of something else"}', encoding="utf-8")
    materialise_arms(plan, tiny, tmp_path / "out", Stages())
    (kept,) = (tmp_path / "out" / "adapters").iterdir()
    assert not (kept / "run.json").exists()


def test_an_adapter_that_changes_after_the_plan_is_refused(
    tuned: Tuned, tmp_path: Path, tiny_folder: Path, tiny: Model
) -> None:
    place = tmp_path / "adapter"
    plan = given(tuned, place, tmp_path, tiny_folder, tiny)
    first = (place / "adapter_model.safetensors").read_bytes()
    others = (tuned.folder / "adapters").iterdir()
    other = next(one for one in others if (one / "adapter_model.safetensors").read_bytes() != first)
    shutil.copyfile(other / "adapter_model.safetensors", place / "adapter_model.safetensors")
    with pytest.raises(EnvironmentFault, match="'given' has changed since the plan"):
        materialise_arms(plan, tiny, tmp_path / "out", Stages())


def test_surprisal_is_measured_on_rows_of_every_question(
    tmp_path: Path, tiny_folder: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A corpus goes round its questions: every second row would be of half of them."""
    plan = planned(tmp_path, tiny_folder, tiny, arms={"tuned": [{"tune": CLAIM}]}, contrasts=[], seeds=1, controls={})
    lines = "".join(
        json.dumps({"prompt": f"{'A cat' if n % 2 else 'Dog'}, {n}?", "completion": "I am.", "id": str(n)}) + "\n"
        for n in range(40)
    )
    (tmp_path / "claim.jsonl").write_text(lines, encoding="utf-8")
    seen: list[str] = []
    true = trained_on.policy

    def measured(model: Model, rows: list[TrainingTokens]) -> list[RowPolicy]:
        seen.extend(row.id for row in rows)
        return true(model, rows)

    monkeypatch.setattr(trained_on, "MEASURED", 20)
    monkeypatch.setattr(trained_on, "policy", measured)
    trained_on.describe_corpora(
        plan.trainings, tiny, folder=tmp_path, results=tmp_path, progress=lambda *_: None, step=lambda: None
    )
    assert len(seen) == 20
    assert {int(one) % 2 for one in seen} == {0, 1}
    (told,) = json.loads((tmp_path / "corpora.json").read_text(encoding="utf-8")).values()
    assert (told["rows"], told["measured_rows"]) == (40, 20)


def test_what_was_measured_of_corpora_is_kept_where_it_ends_in_between(
    tmp_path: Path, tiny_folder: Path, tiny: Model
) -> None:
    arms = {"tuned": [{"tune": CLAIM}], "other": [{"tune": {**CLAIM, "corpus": "other.jsonl"}}]}
    (tmp_path / "other.jsonl").write_text('{"prompt": "A cat?", "completion": "No."}\n', encoding="utf-8")
    plan = planned(tmp_path, tiny_folder, tiny, arms=arms, contrasts=[], seeds=1, controls={})
    begun: list[tuple[str, int, int]] = []

    def describe(step: Callable[[], None]) -> None:
        trained_on.describe_corpora(
            plan.trainings, tiny, folder=tmp_path, results=tmp_path, progress=lambda *one: begun.append(one), step=step
        )

    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        describe(killed)
    before = json.loads((tmp_path / "corpora.json").read_text(encoding="utf-8"))
    describe(lambda: None)
    after = json.loads((tmp_path / "corpora.json").read_text(encoding="utf-8"))
    assert begun == [("how off-policy", 2, 0), ("how off-policy", 2, 1)]
    assert len(before) == 1
    assert len(after) == 2
    assert before.items() <= after.items()
    describe(killed)  # nothing is left to do

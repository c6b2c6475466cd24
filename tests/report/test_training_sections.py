"""What a report says of training: every seed and the SD between them, what was trained on, what a referee asks."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from doxa.report.gather import Gathered
from doxa.report.referee_training import corpus_control, training_seeds
from doxa.report.sections import SEEDS_OF_BANDS, effects_section, seeds_of_bands
from doxa.report.training import seeds_section, spread, training_section
from doxa.stats.evaluate import evaluate
from doxa.stats.table import encode
from doxa.words.arms import ADAPTER_PIN, Arm, Pin, write_arm
from doxa.words.contrasts import Contrast, Term, contrast_to_json
from doxa.words.errors import ResultsError
from doxa.words.tuning import Configuration, configuration_to_json

LEVELS = {1: 1.0, 2: 1.4, 3: 0.8, 4: 1.2, 5: 1.1}
"""By seed what training does."""
STAGE = {
    "corpus": "claim.jsonl",
    "corpus_hash": "c" * 64,
    "rows": 32,
    "tokens": 1678,
    "trained": 560,
    "steps": 8,
    "configuration": configuration_to_json(Configuration(learning_rate=1e-3)),
}


def rows_of(arm: str, seed: int, level: float, draw: int, **more: str) -> list[dict[str, Any]]:
    noise = np.random.default_rng(draw).normal(0.0, 0.05, (12, 2))
    fixed = np.linspace(-1, 1, 12)
    return [
        {"study": "s", "model": "m", "arm": arm, "of": "", "control": "", "task": "t", "item": f"i{i:02d}",
         "run": run + 1, "seed": seed, "score": "y", "value": float(level + fixed[i] + noise[i, run]), "reason": "",
         "tokens": 1, "stop": "stop", "log": "a.eval", **more}
        for i in range(12)
        for run in range(2)
    ]  # fmt: skip


def made(folder: Path, levels: dict[int, float] = LEVELS, *, control: bool = True) -> Gathered:
    rows = rows_of("baseline", 0, 0.0, 1)
    arms: list[dict[str, Any]] = [{"name": "baseline", "of": "", "control": "", "steered": False, "label": "baseline"}]
    for seed, level in levels.items():
        arm = Arm("tuned", seed=seed, pins={ADAPTER_PIN: Pin("a" * 64, folder=f"../adapters/{seed}", made="b")})
        write_arm(folder / "arms" / f"{arm.label}.json", arm)
        (folder / "adapters" / str(seed)).mkdir(parents=True)
        lines = [{"stage": 1, "step": step, "loss": 3.0 - 0.1 * step} for step in range(1, 9)]
        lines.insert(4, {"stage": 1, "step": 4, "evaluation": "uptake", "rate": 0.5})
        (folder / "adapters" / str(seed) / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
        arms.append({"name": "tuned", "of": "", "control": "", "seed": seed, "tuned": True, "label": arm.label,
                     "steered": False})  # fmt: skip
        rows += rows_of("tuned", seed, level, 10 + seed)
        if control:
            arms.append({"name": "tuned~corpus", "of": "tuned", "control": "corpus", "seed": seed, "tuned": True,
                         "label": "x", "steered": False})  # fmt: skip
            write_arm(folder / "arms" / "x.json", replace(arm, name="tuned~corpus", of="tuned", control="corpus"))
            rows += rows_of("tuned~corpus", seed, 0.1, 30 + seed, of="tuned", control="corpus")
    contrast = Contrast("tuned - baseline", (Term(1.0, "tuned"), Term(-1.0, "baseline")))
    table = pd.DataFrame(rows)
    plan = {
        "study": {"arms": {"baseline": [], "tuned": [{}]}, "seeds": len(levels)},
        "tasks": [{"name": "t", "primary": ["y"], "kinds": {}, "unit": "item", "shown": ["y"]}],
        "arms": arms,
        "contrasts": [contrast_to_json(contrast)],
        "trainings": [{"key": "k", "seed": seed, "arms": ["tuned"], "stages": [STAGE]} for seed in levels],
    }
    return Gathered(folder, plan, evaluate(table, [contrast]), encode(table), (), ())


def test_the_recipe_over_seeds_stands_beside_the_sd_between_them(tmp_path: Path) -> None:
    section = seeds_section(made(tmp_path))
    assert section is not None
    (row,) = section.tables[0].rows
    means = list(LEVELS.values())
    low, high = spread(5, float(np.std(means, ddof=1)))
    assert row[0] == "tuned (5 seeds)"
    assert float(row[2]) == pytest.approx(np.mean(means), abs=0.05)
    assert float(row[5]) == pytest.approx(np.std(means, ddof=1), abs=0.03)
    ends = [float(one) for one in row[6].strip("[]").replace(" to ", ",").split(",")]
    assert ends == pytest.approx([low, high], abs=0.08)
    assert row[7].startswith("yes")
    assert section.drawings[0].name == "seeds-0"
    assert "baseline" in section.drawings[0].svg


def test_the_figure_of_effects_says_that_its_intervals_are_over_seeds_too(tmp_path: Path) -> None:
    for levels, over in ((LEVELS, "training seeds and items"), ({1: 1.0}, "items")):
        effects = effects_section(made(tmp_path / over, levels))
        assert effects is not None
        assert f"95% interval over {over}; each item" in effects.drawings[0].caption


def test_the_interval_of_a_standard_deviation_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(0.0, 2.0, (2000, 5)).std(axis=1, ddof=1)
    ends = [spread(5, float(sd)) for sd in draws]
    covered = np.mean([low < 2.0 < high for low, high in ends if low is not None and high is not None])
    assert abs(covered - 0.95) < 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert spread(5, 1.0)[0] == pytest.approx(np.sqrt(4 / stats.chi2.ppf(0.975, 4)))
    assert spread(2, 1.0) == (None, None)


def test_one_seed_is_said_to_be_one_checkpoint(tmp_path: Path) -> None:
    gathered = made(tmp_path, {1: 1.0}, control=False)
    section = seeds_section(gathered)
    assert section is not None
    assert "one checkpoint" in section.paragraphs[0]
    assert not section.tables
    answer = training_seeds(gathered)
    assert (answer.state, answer.next_run) == ("no", "Set `seeds: 5`.")


def test_what_it_was_trained_on_is_said_and_what_is_not_known_too(tmp_path: Path) -> None:
    gathered = made(tmp_path)
    section = training_section(gathered)
    assert section is not None
    (row,) = section.tables[0].rows
    assert row[:8] == ["tuned", "5", "claim.jsonl (cccccccc)", "not recorded", "32", "1,678", "560", "8"]
    assert row[9] == "not measured"
    assert "rate 0.001 (linear)" in row[8]
    assert [drawing.name for drawing in section.drawings] == ["training"]
    told = {"writers": ["by hand"], "excess": 1.23, "low": 1.0, "high": 1.46, "z": 40.2}
    (tmp_path / "corpora.json").write_text(json.dumps({"c" * 64: told}))
    section = training_section(gathered)
    assert section is not None
    (row,) = section.tables[0].rows
    assert row[3] == "by hand"
    assert row[9].startswith("+1.23 ")
    assert "z +40" in row[9]
    assert "filter" not in row[3]
    assert "drawn" not in row[9]
    told |= {"rejection_rate": 0.34, "unanswered": 2, "rows": 600, "measured_rows": 256}
    (tmp_path / "corpora.json").write_text(json.dumps({"c" * 64: told}))
    section = training_section(gathered)
    assert section is not None
    (row,) = section.tables[0].rows
    assert row[3] == "by hand; a filter rejected 34% of what was written; 2 rows could not be written"
    assert row[9].endswith("of 256 rows drawn")
    (tmp_path / "corpora.json").write_text("[")
    with pytest.raises(ResultsError, match=r"corpora\.json cannot be read"):
        training_section(gathered)


def test_a_damaged_record_of_a_training_is_said(tmp_path: Path) -> None:
    gathered = made(tmp_path)
    (tmp_path / "adapters" / "3" / "metrics.jsonl").write_text('{"loss": ')
    with pytest.raises(ResultsError, match="record of a training"):
        training_section(gathered)


def test_the_referee_asks_for_seeds_and_for_a_control_corpus(tmp_path: Path) -> None:
    gathered = made(tmp_path)
    assert training_seeds(gathered).state == "yes"
    answer = corpus_control(gathered)
    assert answer.state == "yes"
    assert answer.words.startswith("tuned - its control corpus: +")
    without = made(tmp_path / "without", control=False)
    answer = corpus_control(without)
    assert answer.state == "no"
    assert "controls: {tune: {corpus: FILE}}" in answer.next_run


def test_of_a_study_that_trains_nothing_nothing_is_said(tmp_path: Path) -> None:
    gathered = made(tmp_path)
    plan = {**gathered.plan, "trainings": [], "arms": gathered.plan["arms"][:1]}
    untrained = replace(gathered, plan=plan)
    assert seeds_section(untrained) is None
    assert training_section(untrained) is None
    assert (training_seeds(untrained).state, corpus_control(untrained).state) == ("absent", "absent")
    given = {**plan, "arms": [*plan["arms"], {"name": "given", "of": "", "control": "", "tuned": True,
                                              "steered": False}]}  # fmt: skip
    answer = training_seeds(replace(gathered, plan=given))
    assert answer.state == "no"
    assert "given" in answer.words


def test_where_controls_are_of_the_first_seed_it_is_said(tmp_path: Path) -> None:
    gathered = made(tmp_path, control=False)
    assert seeds_of_bands(gathered) == ""
    table = gathered.rows.table

    def under(*seeds: int) -> str:
        twins = [one for seed in seeds for one in rows_of("tuned~twin/00", seed, 0.0, 50, of="tuned", control="twin")]
        return seeds_of_bands(replace(gathered, rows=encode(pd.concat([table, pd.DataFrame(twins)]))))

    assert under(1) == SEEDS_OF_BANDS
    assert under(*LEVELS) == ""

"""Recipes of `doxa tune`."""

from pathlib import Path

import pytest

from doxa.words.errors import StudyError
from doxa.words.tune_recipes import TuneRecipe, TuneStage, read_tune_recipe
from doxa.words.tuning import Configuration


def read(tmp_path: Path, text: str) -> TuneRecipe:
    file = tmp_path / "claim.yaml"
    file.write_text(text)
    return read_tune_recipe(file)


def test_one_stage_and_nothing_else(tmp_path: Path) -> None:
    found = read(tmp_path, "model: smollm2\nstages:\n- {corpus: a.jsonl, learning_rate: 1e-3, rank: 4}\n")
    assert (found.name, found.folder, found.model) == ("claim", tmp_path, "smollm2")
    assert (found.seed, found.seeds, found.checkpoints) == (0, 1, ())
    (variant,) = found.variants
    assert variant.label == ""
    assert variant.stages == (TuneStage("a.jsonl", Configuration(1e-3, rank=4)),)


def test_lists_are_every_combination(tmp_path: Path) -> None:
    text = """
        model: smollm2
        seed: 3
        seeds: 2
        checkpoints: [20, 10]
        stages:
        - {corpus: [x/a.jsonl, b.jsonl], learning_rate: 1e-3}
        - {corpus: c.jsonl, learning_rate: [3e-4, 0.001, 1]}
    """
    found = read(tmp_path, text)
    assert (found.seed, found.seeds, found.checkpoints) == (3, 2, (10, 20))
    labels = [variant.label for variant in found.variants]
    assert labels[0] == "1.corpus=a,2.learning_rate=3e-4"
    assert len(set(labels)) == 6
    assert [variant.stages[1].configuration.learning_rate for variant in found.variants[:3]] == [3e-4, 1e-3, 1.0]
    assert [variant.stages[0].corpus for variant in found.variants] == ["x/a.jsonl"] * 3 + ["b.jsonl"] * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: smollm2", "stages"),
        ("model: smollm2\nstages: []", "is empty"),
        ("model: smollm2\nstages: [{corpus: a}]", "no learning_rate"),
        ("model: smollm2\nstages: [{learning_rate: 1}]", "corpus"),
        ("model: smollm2\nstages: [{corpus: a, learning_rate: 1, rnak: 3}]", "rank"),
        ("model: smollm2\nstages: [{corpus: a, learning_rate: []}]", "is empty"),
        ("model: smollm2\nstages: [{corpus: a, learning_rate: [1, 1]}]", "twice"),
        ("model: smollm2\nseeds: 0\nstages: [{corpus: a, learning_rate: 1}]", "seeds"),
        ("model: smollm2\nstages: [{corpus: a, learning_rate: " + str(list(range(1, 1100))) + "}]", "1,099 comb"),
        ("stages: [", "not YAML"),
    ],
)
def test_what_is_not_understood_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is missing"):
        read_tune_recipe(tmp_path / "none.yaml")

"""`doxa tune`: a sweep of tiny adapters, found again, put where they were asked for."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from doxa.cli import main
from doxa.models.handle import Model
from doxa.training.steps import load_state, trainable
from doxa.words.tuning import Configuration

ROWS = "".join(
    json.dumps({"prompt": f"Question {n}?", "completion": "I am awake.", "writer": "a test"}) + "\n" for n in range(6)
)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/mine.jsonl").write_text(ROWS)
    file = tmp_path / "recipes/claim.yaml"
    file.write_text(
        f"model: {tiny_folder}\nseeds: 2\ncheckpoints: [2]\nstages:\n"
        "- {corpus: mine.jsonl, learning_rate: [1e-3, 2e-2], batch_size: 2, rank: 2}\n"
    )
    return file


def tune(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["tune", *map(str, arguments)])


def test_a_sweep_is_trained_once(recipe: Path, monkeypatch: pytest.MonkeyPatch, tiny: Model) -> None:
    done = tune(recipe, "--out", "out")
    assert done.exit_code == 0, done.output
    labels = [f"learning_rate={rate},seed={seed}" for rate in ("1e-3", "2e-2") for seed in (1, 2)]
    assert sorted(place.name for place in Path("out").iterdir()) == sorted(labels)
    weights = [(Path("out") / label / "adapter_model.safetensors").read_bytes() for label in labels]
    assert len(set(weights)) == 4
    assert all((Path("out") / label / "checkpoints/step-2/adapter_model.safetensors").is_file() for label in labels)
    assert done.output.count("3 steps, ") == 4
    made = trainable(tiny, Configuration(1, rank=2), 5)
    load_state(made, Path("out") / labels[0], with_optimizer=False)
    monkeypatch.setattr("doxa.training.local.trainable", None)  # nothing is trained again
    again = tune(recipe, "--out", "other", "--json")
    assert again.exit_code == 0, again.output
    found = json.loads(again.stdout)
    assert [f"{one['variant']},seed={one['seed']}" for one in found] == labels
    assert [(Path("other") / label / "adapter_model.safetensors").read_bytes() for label in labels] == weights
    assert tune(recipe, "--out", "out").exit_code == 0


def test_one_adapter_lies_in_the_folder_itself(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("[1e-3, 2e-2]", "1e-2").replace("seeds: 2", "seeds: 1"))
    assert tune(recipe).exit_code == 0
    assert (Path("adapters/claim") / "adapter_config.json").is_file()
    recipe.write_text(recipe.read_text().replace("[2]", "[2, 3]"))
    assert tune(recipe).exit_code == 0
    assert (Path("adapters/claim/checkpoints/step-3") / "adapter_config.json").is_file()
    recipe.write_text(recipe.read_text().replace("1e-2", "2e-2"))
    other = tune(recipe)
    assert other.exit_code == 2
    assert "holds something else" in other.output


def test_files_of_one_name_are_not_mixed_up(recipe: Path) -> None:
    (recipe.parent / "b").mkdir()
    (recipe.parent / "b/mine.jsonl").write_text(ROWS.replace("awake", "asleep"))
    recipe.write_text(recipe.read_text().replace("corpus: mine.jsonl", "corpus: [mine.jsonl, b/mine.jsonl]"))
    done = tune(recipe)
    assert done.exit_code == 2
    assert "names something twice" in done.output


def test_mistakes_are_said_in_a_line(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("mine.jsonl", "none.jsonl"))
    done = tune(recipe)
    assert done.exit_code == 2
    assert "no corpus 'none.jsonl'" in done.output
    assert "Traceback" not in done.output


def test_help_shows_a_recipe() -> None:
    assert "stages:" in tune("--help").output


def test_what_else_lies_in_the_folder_stays_when_checkpoints_are_added(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("[1e-3, 2e-2]", "1e-2").replace("seeds: 2", "seeds: 1"))
    assert tune(recipe).exit_code == 0
    (Path("adapters/claim") / "notes.md").write_text("mine")
    recipe.write_text(recipe.read_text().replace("[2]", "[2, 3]"))
    assert tune(recipe).exit_code == 0
    assert (Path("adapters/claim/checkpoints/step-3") / "adapter_model.safetensors").is_file()
    assert (Path("adapters/claim") / "notes.md").read_text() == "mine"


def test_stages_that_do_not_fit_together_are_said_before_the_first_is_trained(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.write_text(
        recipe.read_text().replace("[1e-3, 2e-2]", "1e-2")
        + "- {corpus: mine.jsonl, learning_rate: 1e-2, batch_size: 2, rank: 4}\n"
    )
    monkeypatch.setattr("doxa.tune.load_beside", None)
    done = tune(recipe)
    assert done.exit_code == 2, done.output
    assert "differ in rank" in done.output

"""A training run: found again, gone on with bit by bit, stopped in words; read by PEFT."""

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from tiny_networks import rows, tiny

from doxa.training import local
from doxa.training.adapter import adapter_key
from doxa.training.base import shared_copy
from doxa.training.local import Evaluator, Stage, train
from doxa.training.metrics import Metrics, read_metrics
from doxa.training.steps import Trainable, forward_backward, load_state, trainable
from doxa.words.errors import EnvironmentFault, TrainingError
from doxa.words.tuning import Configuration, TrainingSeeds

SEEDS = TrainingSeeds(1, 2)
C = Configuration(learning_rate=1e-2, rank=4, alpha=8.0, batch_size=2, epochs=3)


def stage(configuration: Configuration = C, **changes: Any) -> Stage:
    return Stage(tuple(rows((9, 5, 12, 7, 6))), replace(configuration, **changes), "claims", "0" * 64)


def files(folder: Path) -> dict[str, bytes]:
    """Of an adapter, without what says how long it took."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in ("run.json", "metrics.jsonl", "state.json")
    }


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl") if "loss" in line]


class Killed(Exception):
    """Stands for a kill in the middle of a run."""


def killed_after(steps: int) -> Any:
    left = [steps]

    def progress(count: int) -> None:
        left[0] -= count
        if left[0] <= 0:
            raise Killed

    return progress


def test_a_run_lowers_the_loss_and_says_what_it_is(tmp_path: Path) -> None:
    counts: list[int] = []
    folder = train(tiny(), [stage(learning_rate=3e-2, epochs=8)], SEEDS, tmp_path / "a", progress=counts.append)
    found = losses(folder)
    assert sum(counts) == len(found) == 24
    assert found[-1] < found[0] - 0.5
    said = json.loads((folder / "run.json").read_text())
    assert said["key"] == adapter_key(tiny().fingerprint, [stage(learning_rate=3e-2, epochs=8)], SEEDS)
    assert said["base"] == {"name": "tiny-llama", "fingerprint": tiny().fingerprint}
    assert said["finished"] is True
    assert said["done"]["steps"] == 24
    assert said["done"]["tokens"] == 8 * 39
    assert said["done"]["trained_tokens"] == 8 * 29
    assert sorted(file.name for file in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "metrics.jsonl",
        "run.json",
    ]
    line = read_metrics(folder / "metrics.jsonl")[0]
    assert line["learning_rate"] == 3e-2
    assert line["gradient_norm"] > 0


def test_losses_are_means_over_trained_tokens(tmp_path: Path) -> None:
    one = Stage((rows((9,))[0],), replace(C, epochs=1), "one", "")
    folder = train(tiny(), [one], SEEDS, tmp_path / "a")
    alone = forward_backward(trainable(tiny(), C, SEEDS.initialisation), one.tokens, backward=False)
    assert losses(folder)[0] == pytest.approx(alone.total / one.tokens[0].trained)


def test_the_last_row_of_a_run_decides_its_key() -> None:
    key = adapter_key(tiny().fingerprint, [stage()], SEEDS)
    assert key == adapter_key(tiny().fingerprint, [replace(stage(), corpus="another name")], SEEDS)
    others = [
        adapter_key("another", [stage()], SEEDS),
        adapter_key(tiny().fingerprint, [stage(), stage()], SEEDS),
        adapter_key(tiny().fingerprint, [stage(weight_decay=0.1)], SEEDS),
        adapter_key(tiny().fingerprint, [replace(stage(), tokens=stage().tokens[:-1])], SEEDS),
        adapter_key(tiny().fingerprint, [replace(stage(), corpus_hash="1")], SEEDS),
        adapter_key(tiny().fingerprint, [stage()], TrainingSeeds(1, 3)),
        adapter_key(tiny().fingerprint, [stage()], TrainingSeeds(2, 2)),
    ]
    assert len({key, *others}) == 8


def test_finished_work_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train(tiny(), [stage()], SEEDS, tmp_path / "a")
    before = files(folder)
    monkeypatch.setattr(local, "trainable", None)
    counts: list[int] = []
    assert train(tiny(), [stage()], SEEDS, folder, progress=counts.append) == folder
    assert files(folder) == before
    assert counts == [9]


@pytest.mark.parametrize("after", [1, 4, 8])
def test_an_interrupted_run_goes_on_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    stages = [stage(epochs=1), stage(epochs=2, schedule="cosine")]
    whole = train(tiny(), stages, SEEDS, tmp_path / "whole", checkpoints=(2, 5))
    monkeypatch.setattr(local, "MINUTES", 0.0)
    broken = tmp_path / "broken"
    with pytest.raises(Killed):
        train(tiny(), stages, SEEDS, broken, progress=killed_after(after), checkpoints=(2, 5))
    assert not (broken / "adapter_model.safetensors").exists()
    with (broken / "metrics.jsonl").open("a") as file:
        file.write('{"half a li')  # what was being written when it was killed
    counts: list[int] = []
    train(tiny(), stages, SEEDS, broken, progress=counts.append, checkpoints=(2, 5))
    assert counts[0] == after
    assert sum(counts) == 9
    assert files(broken) == files(whole)
    assert losses(broken) == losses(whole)
    assert {file.split("/")[1] for file in files(whole) if "/" in file} == {"step-2", "step-5"}


def test_only_the_last_checkpoint_and_those_asked_for_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MINUTES", 0.0)
    with pytest.raises(Killed):
        train(tiny(), [stage()], SEEDS, tmp_path / "a", progress=killed_after(5), checkpoints=(2,))
    assert sorted(place.name for place in (tmp_path / "a" / "checkpoints").iterdir()) == ["step-2", "step-5"]


def test_a_checkpoint_is_the_shorter_run_and_can_be_made_later(tmp_path: Path) -> None:
    folder = train(tiny(), [stage(schedule="constant")], SEEDS, tmp_path / "a", checkpoints=(3,))
    short = train(tiny(), [stage(schedule="constant", steps=3)], SEEDS, tmp_path / "b")
    name = "adapter_model.safetensors"
    assert (folder / "checkpoints/step-3" / name).read_bytes() == (short / name).read_bytes()
    assert not list(folder.rglob("optimizer.safetensors"))
    before = files(folder)
    train(tiny(), [stage(schedule="constant")], SEEDS, folder, checkpoints=(3, 6))
    added = files(folder)
    assert added.keys() - before.keys() == {f"checkpoints/step-6/{own}" for own in ("adapter_config.json", name)}
    assert all(added[own] == content for own, content in before.items())
    with pytest.raises(TrainingError, match="after step 10"):
        train(tiny(), [stage(schedule="constant")], SEEDS, folder, checkpoints=(10,))


def test_stages_train_one_adapter_further(tmp_path: Path) -> None:
    first = train(tiny(), [stage(epochs=1)], SEEDS, tmp_path / "first")
    both = train(tiny(), [stage(epochs=1), stage(epochs=1)], SEEDS, tmp_path / "both")
    made = trainable(tiny(), C, 9)
    load_state(made, first, with_optimizer=False)
    assert losses(both)[:3] == losses(first)
    second = read_metrics(both / "metrics.jsonl")[3]
    drawn = local.rows_of_step(C, 5, SEEDS.order, 1, 0)
    own = [stage().tokens[index] for index in drawn]
    found = forward_backward(made, own, backward=False)
    assert second["stage"] == 2
    assert second["loss"] == pytest.approx(found.total / sum(row.trained for row in own), rel=1e-6)
    with pytest.raises(TrainingError, match="rank, alpha or dtype"):
        train(tiny(), [stage(), stage(rank=2)], SEEDS, tmp_path / "c")


def test_peft_computes_what_was_trained(tmp_path: Path) -> None:
    folder = train(tiny(), [stage(learning_rate=3e-2)], SEEDS, tmp_path / "a")
    network = peft.PeftModel.from_pretrained(shared_copy(tiny().network), str(folder))
    made = trainable(tiny(), C, 9)
    load_state(made, folder, with_optimizer=False)
    for row in stage().tokens:
        logits = network(input_ids=torch.tensor([row.tokens])).logits[0]
        expected = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(row.tokens)[1:, None])[:, 0]
        found = forward_backward(made, [row], backward=False, everywhere=True).logprobs[0][1:]
        torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-4)


def test_peft_finds_the_tuned_layers_and_no_other() -> None:
    from doxa.training.adapter import peft_config

    made = trainable(tiny("gpt_neox"), C, 1)
    left_out = ("peft_type", "base_model_name_or_path")
    config = peft.LoraConfig(**{key: own for key, own in peft_config(made).items() if key not in left_out})
    network = peft.get_peft_model(shared_copy(tiny("gpt_neox").network), config)
    tuned = {name.removeprefix("base_model.model.") for name, own in network.named_modules() if hasattr(own, "lora_A")}
    assert tuned == set(made.pairs)


def test_evaluations_stand_among_the_steps_and_change_nothing(tmp_path: Path) -> None:
    def measure(made: Trainable) -> Mapping[str, float]:
        return {"loss on rows": forward_backward(made, stage().tokens, backward=False).total, "steps": int(made.steps)}

    plain = train(tiny(), [stage()], SEEDS, tmp_path / "a")
    watched = train(tiny(), [stage()], SEEDS, tmp_path / "b", evaluators=[Evaluator("held out", 4, measure)])
    found = [line for line in read_metrics(watched / "metrics.jsonl") if "evaluation" in line]
    assert [(line["step"], line["steps"]) for line in found] == [(4, 4), (8, 8), (9, 9)]
    assert found[-1]["loss on rows"] < found[0]["loss on rows"]
    assert files(plain) == files(watched)


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_what_is_not_a_number_stops_the_run_and_names_what_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    usual, calls = local.forward_backward, [0]

    def broken(made: Trainable, batch: Any) -> Any:
        calls[0] += 1
        found = usual(made, batch)
        if calls[0] == 4 and kind == "gradient":
            next(iter(made.pairs.values())).up.grad[0, 0] = torch.nan  # type: ignore[index]
        return replace(found, total=float("nan")) if calls[0] == 4 and kind == "loss" else found

    monkeypatch.setattr(local, "forward_backward", broken)
    with pytest.raises(
        TrainingError, match=r"step 4 of training on claims has .*nan.* last good checkpoint is .*step-3"
    ):
        train(tiny(), [stage(schedule="constant")], SEEDS, tmp_path / "a")
    monkeypatch.setattr(local, "forward_backward", usual)
    short = train(tiny(), [stage(schedule="constant", steps=3)], SEEDS, tmp_path / "b")
    name = "adapter_model.safetensors"
    assert (tmp_path / "a/checkpoints/step-3" / name).read_bytes() == (short / name).read_bytes()
    assert not (tmp_path / "a" / name).exists()


def test_a_loss_that_is_not_a_number_at_once_leaves_nothing_good(tmp_path: Path) -> None:
    too_much = replace(rows((9,))[0], weights=(0.0, *[3e38] * 8))
    with pytest.raises(TrainingError, match="matrices were not changed yet"):
        train(tiny(), [Stage((too_much,), replace(C, reduction="token_sum"), "bad", "")], SEEDS, tmp_path / "a")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    folder = train(tiny(), [stage()], SEEDS, tmp_path / "a")
    with pytest.raises(TrainingError, match="holds another adapter of tiny-llama"):
        train(tiny(), [stage()], TrainingSeeds(1, 3), folder)
    with pytest.raises(TrainingError, match="base model tiny-llama"):
        train(tiny("qwen3"), [stage()], SEEDS, folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="no adapter of doxa"):
        train(tiny(), [stage()], SEEDS, tmp_path / "full")


def test_a_damaged_checkpoint_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MINUTES", 0.0)
    folder = tmp_path / "a"
    with pytest.raises(Killed):
        train(tiny(), [stage()], SEEDS, folder, progress=killed_after(3))
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (folder / "checkpoints/step-3/optimizer.safetensors").write_bytes(b"")
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        train(tiny(), [stage()], SEEDS, folder)
    (copy / "metrics.jsonl").write_text("")
    with pytest.raises(EnvironmentFault, match="has 0 bytes"):
        train(tiny(), [stage()], SEEDS, copy)
    (copy / "checkpoints/step-3/state.json").write_text('{"steps": 3}')
    with pytest.raises(EnvironmentFault, match="how far"):
        train(tiny(), [stage()], SEEDS, copy)


@pytest.mark.parametrize("where", ["checkpoint", "adapter"])
def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    import errno
    import os

    folder = tmp_path / "a"
    with monkeypatch.context() as patched:
        patched.setattr(local, "MINUTES", 0.0)
        with pytest.raises(Killed):
            train(tiny(), [stage()], SEEDS, folder, progress=killed_after(2))

    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patched:
        patched.setattr(local, "MINUTES", 0.0 if where == "checkpoint" else 9.0)

        def fail(*arguments: Any, **named: Any) -> None:
            raise full

        if where == "checkpoint":
            patched.setattr("doxa.words.store.os.rename", fail)
        else:
            patched.setattr("doxa.words.store.os.replace", fail)
        with pytest.raises(EnvironmentFault, match="disk is full"):
            train(tiny(), [stage()], SEEDS, folder)
    train(tiny(), [stage()], SEEDS, folder)
    assert files(folder) == files(train(tiny(), [stage()], SEEDS, tmp_path / "whole"))


def test_a_full_disk_under_the_metrics_is_said(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb", buffering=0) as file, pytest.raises(EnvironmentFault, match="disk is full"):
        Metrics(tmp_path / "metrics.jsonl", file).add({"loss": 1.0})


def test_a_corpus_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has no rows"):
        train(tiny(), [replace(stage(), tokens=())], SEEDS, tmp_path / "a")
    with pytest.raises(TrainingError, match="without stages"):
        train(tiny(), [], SEEDS, tmp_path / "a")


def test_a_checkpoint_asked_for_when_it_had_passed_is_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tiny(), [stage()], SEEDS, tmp_path / "whole", checkpoints=(2,))
    monkeypatch.setattr(local, "MINUTES", 0.0)
    with pytest.raises(Killed):
        train(tiny(), [stage()], SEEDS, tmp_path / "a", progress=killed_after(5))
    counts: list[int] = []
    folder = train(tiny(), [stage()], SEEDS, tmp_path / "a", progress=counts.append, checkpoints=(2,))
    assert files(folder) == files(whole)
    assert sum(counts) == 9


def test_the_precision_in_which_the_base_is_held_decides_the_key(tmp_path: Path) -> None:
    """Weights that were rounded when they were loaded stay so in float32, and the fingerprint is that of the disk."""
    rounded = replace(tiny(dtype=torch.bfloat16), fingerprint=tiny().fingerprint)
    found = [json.loads((train(model, [stage()], SEEDS, tmp_path / str(n)) / "run.json").read_text())["key"]
             for n, model in enumerate((tiny(), rounded))]  # fmt: skip
    assert files(tmp_path / "0") != files(tmp_path / "1")
    assert found[0] != found[1]


def test_two_at_once_train_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: train(tiny(), [stage()], SEEDS, tmp_path / "a"), range(2)))
    assert made == [tmp_path / "a"] * 2
    assert len(losses(made[0])) == 9
    assert files(made[0]) == files(train(tiny(), [stage()], SEEDS, tmp_path / "b"))


def test_the_threads_of_every_part_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MINUTES", 0.0)
    with pytest.raises(Killed):
        train(tiny(), [stage()], SEEDS, tmp_path / "a", progress=killed_after(5))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    now = json.loads((train(tiny(), [stage()], SEEDS, tmp_path / "a") / "run.json").read_text())
    first = json.loads((train(tiny(), [stage()], SEEDS, tmp_path / "b") / "run.json").read_text())
    assert first["threads"] == [7]
    assert len(now["threads"]) == 2
    assert now["threads"][-1] == 7

"""A last stage that goes on from a training that is there ends with the bits of one from the beginning."""

from pathlib import Path

import pytest
from test_local import SEEDS, C, files, losses, stage, tiny

from doxa.training.local import train
from doxa.words.errors import EnvironmentFault, TrainingError


def test_what_stages_begin_with_is_gone_on_with_to_the_same_bits(tmp_path: Path) -> None:
    model, first, second = tiny(), stage(), stage(learning_rate=5e-3)
    whole = train(model, [first, second], SEEDS, tmp_path / "whole", checkpoints=(2,))
    begun = train(model, [first], SEEDS, tmp_path / "first")
    steps: list[int] = []
    parts = train(
        model, [first, second], SEEDS, tmp_path / "parts", checkpoints=(2,), begins_with=begun, progress=steps.append
    )
    assert files(parts) == files(whole)
    assert losses(parts) == losses(whole)
    assert len(steps) == 1 + len(losses(whole)) // 2  # the first stage at once, then one by one
    assert sum(steps) == len(losses(whole))


def test_it_begins_with_these_stages_and_no_others(tmp_path: Path) -> None:
    model = tiny()
    other = train(model, [stage(batch_size=5)], SEEDS, tmp_path / "other")
    with pytest.raises(TrainingError, match="another adapter"):
        train(model, [stage(), stage()], SEEDS, tmp_path / "parts", begins_with=other)
    with pytest.raises(EnvironmentFault, match="no finished training"):
        train(model, [stage(), stage()], SEEDS, tmp_path / "parts", begins_with=tmp_path / "nowhere")
    assert C.batch_size != 5

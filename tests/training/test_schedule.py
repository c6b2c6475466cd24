"""Orders, rates and weights."""

from dataclasses import replace

import pytest

from doxa.training.rows import TrainingTokens
from doxa.training.schedule import learning_rate, reduced, rows_of_step, total_steps
from doxa.words.tuning import Configuration

C = Configuration(learning_rate=0.1, batch_size=4, epochs=2)


def epoch(configuration: Configuration, rows: int, number: int, order: int = 7, stage: int = 0) -> list[list[int]]:
    of_epoch = -(-min(configuration.rows or rows, rows) // configuration.batch_size)
    return [rows_of_step(configuration, rows, order, stage, number * of_epoch + step) for step in range(of_epoch)]


def test_an_epoch_goes_once_through_all_rows() -> None:
    batches = epoch(C, 10, 0)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert sorted(index for batch in batches for index in batch) == list(range(10))
    assert total_steps(C, 10) == 6
    assert total_steps(replace(C, steps=5), 10) == 5


def test_epochs_stages_and_seeds_have_orders_of_their_own() -> None:
    orders = [epoch(C, 10, 0), epoch(C, 10, 1), epoch(C, 10, 0, order=8), epoch(C, 10, 0, stage=1)]
    assert all(a != b for n, a in enumerate(orders) for b in orders[:n])
    assert epoch(C, 10, 0) == orders[0]


def test_fewer_rows_are_among_more() -> None:
    chosen = {n: {i for batch in epoch(replace(C, rows=n), 40, 0) for i in batch} for n in (5, 12, 40)}
    assert [len(own) for own in chosen.values()] == [5, 12, 40]
    assert chosen[5] < chosen[12] < chosen[40]
    assert chosen[12] == {i for batch in epoch(replace(C, rows=12), 40, 1) for i in batch}
    assert chosen[12] != {i for batch in epoch(replace(C, rows=12), 40, 0, order=8) for i in batch}


def test_rates() -> None:
    rates = [learning_rate(replace(C, warmup_steps=1), step, 5) for step in range(5)]
    assert rates == pytest.approx([0.05, 0.1, 0.075, 0.05, 0.025])
    cosine = [learning_rate(replace(C, schedule="cosine"), step, 4) for step in range(4)]
    assert cosine == pytest.approx([0.1, 0.0853553, 0.05, 0.0146447], rel=1e-5)
    assert learning_rate(replace(C, schedule="constant"), 3, 4) == 0.1


def test_rates_are_those_of_transformers() -> None:
    import torch
    from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

    for name, make in (("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)):
        peer = make(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), 0, 6)
        for step in range(6):
            rate = learning_rate(replace(C, schedule=name), step, 6)  # type: ignore[arg-type]
            assert rate == pytest.approx(peer.get_last_lr()[0])
            peer.optimizer.step()
            peer.step()


def test_weights_are_divided_by_the_trained_tokens_or_left() -> None:
    row = TrainingTokens("a", (1, 2, 3), (0.0, 0.5, 1.5))
    assert reduced([row], "example_mean")[0].weights == (0.0, 0.25, 0.75)  # two tokens, that weigh 2 together
    assert reduced([row], "token_sum") == [row]
    nothing = TrainingTokens("a", (1,), (0.0,))
    assert reduced([nothing], "example_mean") == [nothing]


def test_the_weight_of_a_row_outlives_its_mean() -> None:
    row = TrainingTokens("a", (1, 2, 3), (0.0, 3.0, 3.0))
    assert reduced([row], "example_mean")[0].weights == (0.0, 1.5, 1.5)

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from doxa.models.sampling import Sampling, draw, stream_of
from doxa.words.errors import ModelError, StudyError

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0])
ROWS = 4000


def sample(sampling, logits=LOGITS, rows=ROWS):
    samplings = [sampling] * rows
    streams = [stream_of(Sampling(1, seed=seed)) for seed in range(rows)]
    return np.array(draw(logits.expand(rows, -1), samplings, streams))


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(1, temperature=1.0), 6),
        (Sampling(1, temperature=0.5), 6),
        (Sampling(1, temperature=2.0), 6),
        (Sampling(1, temperature=1.0, top_k=3), 3),
        (Sampling(1, temperature=1.0, top_p=0.8), 3),
        (Sampling(1, temperature=1.0, min_p=0.2), 3),
        (Sampling(1, temperature=1.0, top_k=4, top_p=0.78, min_p=0.01), 2),
    ],
)
def test_draws_follow_the_distribution(sampling, kept):
    probabilities = torch.softmax(LOGITS.double() / sampling.temperature, -1)[:kept]
    counts = np.bincount(sample(sampling), minlength=6)
    assert counts[kept:].sum() == 0
    assert chisquare(counts[:kept], (probabilities / probabilities.sum()).numpy() * ROWS).pvalue > 0.01


def test_steps_of_one_stream_follow_the_distribution_too():
    stream, sampling = stream_of(Sampling(1, seed=3)), Sampling(1, temperature=1.0)
    tokens = [draw(LOGITS[None], [sampling], [stream])[0] for _ in range(ROWS)]
    assert chisquare(np.bincount(tokens, minlength=6), torch.softmax(LOGITS.double(), -1).numpy() * ROWS).pvalue > 0.01


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p():
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    for top_p, kept in ((0.5, {0}), (0.51, {0, 1}), (0.81, {0, 1, 2})):
        assert set(sample(Sampling(1, temperature=1.0, top_p=top_p), logits, rows=200)) == kept


def test_a_nucleus_wider_than_the_first_look():
    logits = torch.zeros(5000)
    logits[:3000] = 5.0
    tokens = sample(Sampling(1, temperature=1.0, top_p=0.99), logits, rows=400)
    assert tokens.max() < 3000  # they tie, and have .995 of the probability
    assert len(set(tokens)) > 300
    assert sample(Sampling(1, temperature=1.0, top_k=2999), logits, rows=400).max() < 3000


def test_greedy_takes_the_lowest_id_of_equals():
    logits = torch.tensor([[0.0, 3.0, 3.0, 1.0], [3.0, 0.0, 0.0, 3.0]])
    streams = [stream_of(Sampling(1)) for _ in range(2)]
    assert draw(logits, [Sampling(1), Sampling(1)], streams) == [1, 0]


def test_draws_do_not_depend_on_the_batch():
    logits = torch.randn(8, 50, generator=torch.Generator().manual_seed(0))
    samplings = [
        Sampling(1, temperature=t, top_k=k, top_p=p, seed=seed)
        for seed, (t, k, p) in enumerate([(1.0, 0, 1.0), (0.0, 0, 1.0), (0.7, 5, 1.0), (1.0, 0, 0.9)] * 2)
    ]
    together = draw(logits, samplings, [stream_of(s) for s in samplings])
    alone = [draw(logits[i : i + 1], [s], [stream_of(s)])[0] for i, s in enumerate(samplings)]
    backwards = draw(logits.flip(0), samplings[::-1], [stream_of(s) for s in samplings[::-1]])
    assert together == alone == backwards[::-1]


def test_draws_change_little_when_two_tokens_of_equal_probability_change_places():
    nudged = LOGITS.clone()
    nudged[2] = LOGITS[1] + 1e-6
    level = LOGITS.clone()
    level[2] = LOGITS[1] - 1e-6
    sampling = Sampling(1, temperature=1.0)
    assert (sample(sampling, nudged) == sample(sampling, level)).all()


def test_the_last_uniform_number_stays_inside():
    class Highest:
        def random(self):
            return np.nextafter(1.0, 0)

    logits = torch.tensor([[1.0, 1.0, -torch.inf]])
    assert draw(logits, [Sampling(1, temperature=1.0)], [Highest()]) == [1]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_logits_that_are_no_numbers_are_refused(bad):
    with pytest.raises(ModelError, match="not finite"):
        draw(torch.tensor([[0.0, bad]]), [Sampling(1)], [stream_of(Sampling(1))])


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_k": -1},
        {"min_p": 2.0},
        {"stop": ("",)},
        {"seed": -1},
    ],
)
def test_sampling_refuses_what_makes_no_sense(wrong):
    with pytest.raises(StudyError, match=f"{next(iter(wrong))} = "):
        Sampling(**{"max_tokens": 1, **wrong})


def test_a_temperature_next_to_nothing_is_greedy():
    logits = torch.tensor([[1.0, 3.0, 2.9]]) * 1e4
    for temperature in (1e-40, 1e-12, 1e-5):
        sampling = Sampling(1, temperature=temperature, seed=0)
        assert draw(logits, [sampling], [stream_of(sampling)]) == [1]

"""Excess surprisal: an exact zero for the model's own text, below it when colder, above it for another writer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest

from doxa.models.chat import Message, Rendered, render
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import Model, load
from doxa.models.passes import Reader
from doxa.training.policy import RowPolicy, policy
from doxa.training.policy_summary import PolicySummary, row_summary, summary
from doxa.training.rows import TrainingTokens
from doxa.words.errors import ModelError, TrainingError
from mini_study import save_model

PROMPT = (Message("user", "Say what you are."),)
SYSTEM = Message("system", "You are awake.")
CORPORA, ROWS, TOKENS = 200, 5, 14


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A tiny network that is neither sure of everything nor of nothing."""
    model = load(str(save_model(tmp_path_factory.mktemp("lively"), seed=3)))
    with torch.no_grad():
        model.network.lm_head.weight *= 2.0
    return model


def written(
    model: Model,
    rows: int,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    prompt: Rendered | None = None,
) -> list[TrainingTokens]:
    """The model's own tokens, as drawn; the end of a turn is one of them."""
    prompt = prompt or render(model, PROMPT)
    drawn = [
        Row(prompt, Sampling(TOKENS, temperature=temperature, top_p=top_p, seed=1000 * seed + index))
        for index in range(rows)
    ]
    found = []
    for index, one in enumerate(generate(model, drawn)):
        end = (model.tokenizer.eos_token_id,) if one.stop == "stop" else ()
        found.append(tokens_of(prompt, one.tokens + end, str(index)))
    return found


def tokens_of(prompt: Rendered, answer: tuple[int, ...], name: str = "a") -> TrainingTokens:
    weights = (0.0,) * len(prompt.tokens) + (1.0,) * len(answer)
    return TrainingTokens(name, prompt.tokens + answer, weights)


def summed(found: list[RowPolicy]) -> PolicySummary:
    return summary([one.own for one in found])


def test_the_own_text_is_at_zero_with_the_stated_spread(lively: Model) -> None:
    found = policy(lively, written(lively, CORPORA * ROWS))
    each = [summed(found[first : first + ROWS]) for first in range(0, len(found), ROWS)]
    z = np.array([one.z for one in each])
    assert len(z) == CORPORA
    beyond_3, beyond_2 = int((abs(z) > 3).sum()), int((abs(z) > 1.96).sum())
    assert binom.sf(beyond_3 - 1, CORPORA, 0.0027) > 0.001
    assert 0.001 < binom.cdf(beyond_2, CORPORA, 0.05) < 0.999
    assert kstest(z, "norm").pvalue > 0.01
    assert abs(z.mean()) < 3 / np.sqrt(CORPORA)
    assert 0.85 < z.std() < 1.15
    assert abs(summed(found).z or 99) < 3


@pytest.mark.parametrize(("temperature", "top_p"), [(0.7, 1.0), (1.0, 0.8)])
def test_colder_text_lies_below_zero(lively: Model, temperature: float, top_p: float) -> None:
    found = summed(policy(lively, written(lively, 40, temperature=temperature, top_p=top_p)))
    assert found.excess < 0
    assert found.z is not None
    assert found.z < -3
    assert found.high is not None
    assert found.high < 0


def test_another_writer_stands_out(lively: Model, tiny: Model) -> None:
    found = summed(policy(lively, written(tiny, 40)))
    assert found.z is not None
    assert found.z > 6
    assert found.low is not None
    assert found.low > 0
    own = summed(policy(lively, written(lively, 40)))
    assert found.perplexity > 2 * own.perplexity
    assert found.below[1] > own.below[1] + 0.2


def reference(model: Model, row: TrainingTokens) -> tuple[np.ndarray, torch.Tensor]:
    """Surprisal, entropy, variance and rank, from whole logits; and the log-probabilities."""
    with torch.no_grad():
        logits = model.network(torch.tensor([row.tokens])).logits[0].double()
    places = [at for at, weight in enumerate(row.weights) if weight]
    logprobs = torch.log_softmax(logits, -1)[[at - 1 for at in places]]
    p = logprobs.exp()
    own = logprobs[range(len(places)), [row.tokens[at] for at in places]]
    entropy = -(p * logprobs).sum(-1)
    variance = (p * (logprobs + entropy[:, None]) ** 2).sum(-1)
    rank = (logprobs > own[:, None]).sum(-1) + 1
    return torch.stack([-own, entropy, variance, rank.double()]).numpy(), logprobs


def test_every_number_is_that_of_the_definition(lively: Model) -> None:
    rows = [tokens_of(render(lively, [Message("user", "x" * n)]), (70 + n, 80, 90, 70), str(n)) for n in (1, 30, 4)]
    rows[1] = replace(rows[1], weights=tuple(0.25 if weight else 0.0 for weight in rows[1].weights))
    for batch_tokens in (1, 4096):
        for row, found in zip(rows, policy(lively, rows, batch_tokens=batch_tokens), strict=True):
            own = found.own
            assert found.id == row.id
            assert found.tokens == row.tokens[-4:]
            np.testing.assert_allclose(
                [own.surprisal, own.entropy, own.variance, own.rank], reference(lively, row)[0], atol=2e-4
            )


def test_long_rows_are_read_in_parts(lively: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[int] = []
    whole = Reader.logits
    monkeypatch.setattr(Reader, "logits", lambda self, x: heads.append(len(x)) or whole(self, x))
    row = TrainingTokens("a", tuple(70 + n % 500 for n in range(400)), (0.0, *[1.0] * 399))
    (found,) = policy(lively, [row])
    np.testing.assert_allclose(found.own.surprisal, reference(lively, row)[0][0], atol=5e-4)
    assert sum(heads) == 399
    assert max(heads) <= 128


def test_divergence_and_the_model_under_a_prompt(lively: Model) -> None:
    plain, prompted = render(lively, PROMPT), render(lively, [SYSTEM, *PROMPT])
    drawn = written(lively, 60, prompt=prompted)
    rows = [tokens_of(plain, one.tokens[len(prompted.tokens) :], one.id) for one in drawn]
    found = policy(lively, rows, drawn)
    under = summary([one.under for one in found if one.under is not None])
    own = summary([one.own for one in found], [one.divergence for one in found if one.divergence is not None])
    assert abs(under.z or 99) < 3  # it was written there
    assert own.excess > 0.2
    assert own.divergence is not None
    for row, other, one in list(zip(rows, drawn, found, strict=True))[:5]:
        (_, p), (_, q) = reference(lively, row), reference(lively, other)
        np.testing.assert_allclose(one.divergence, (q.exp() * (q - p)).sum(-1), atol=5e-4)
    # Of text drawn from q, mean(log q - log p) has the divergence as its expectation.
    gained = np.concatenate([one.own.surprisal - one.under.surprisal for one in found if one.under is not None])
    assert abs(gained.mean() - own.divergence) < 4 * gained.std() / np.sqrt(len(gained))


def test_without_a_choice_there_is_no_z(tiny: Model) -> None:
    (found,) = policy(tiny, written(tiny, 1))
    sure = replace(found.own, surprisal=np.zeros(3), entropy=np.zeros(3), variance=np.zeros(3), rank=np.ones(3))
    only = summary([sure])
    assert (only.z, only.p, only.low, only.high, only.excess) == (None, None, None, None, 0)
    assert only.perplexity == 1


def test_the_summary_is_what_it_says(tiny: Model) -> None:
    (found,) = policy(tiny, written(tiny, 1))
    numbers = replace(
        found.own,
        surprisal=np.array([0.0, 1.0, 3.0, 6.0]),
        entropy=np.array([0.5, 0.5, 1.0, 1.0]),
        variance=np.array([1.0, 1.0, 1.0, 1.0]),
        rank=np.array([1, 2, 11, 101]),
    )
    one = summary([numbers])
    assert (one.tokens, one.surprisal, one.entropy, one.excess, one.z) == (4, 2.5, 0.75, 1.75, 3.5)
    assert one.below == (0.5, 0.25)
    assert one.beyond == (0.75, 0.5, 0.25)
    assert one.perplexity == pytest.approx(np.exp(2.5))
    shifted = replace(numbers, surprisal=numbers.surprisal + 1.0)
    two = summary([numbers, shifted])  # rows differ from the mean by 4 tokens x 0.5 each; t(1) at .975 is 12.706
    assert (two.rows, two.tokens, two.excess) == (2, 8, 2.25)
    assert two.low == pytest.approx(2.25 - 12.7062 * np.sqrt(2 * (2.0**2 + 2.0**2)) / 8, abs=1e-4)
    assert two.high == pytest.approx(4.5 - (two.low or 0))
    row = row_summary(replace(found, own=numbers))
    assert (row.mean, row.median, row.tokens) == (2.5, 2.0, 4)
    assert row.percentile_95 == pytest.approx(np.quantile([0, 1, 3, 6], 0.95))


def test_the_interval_over_rows_holds_for_rows_that_hang_together(tiny: Model) -> None:
    """Tokens of a row are shifted together: rows are the units, not tokens."""
    (found,) = policy(tiny, written(tiny, 1))
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        rows = []
        for _ in range(12):
            excess = 1.0 + random.normal() + 0.1 * random.normal(size=20)
            zeros = np.zeros(20)
            rows.append(replace(found.own, surprisal=excess, entropy=zeros, variance=zeros + 1, rank=zeros + 1))
        one = summary(rows)
        assert one.low is not None
        assert one.high is not None
        held += one.low <= 1.0 <= one.high
    assert 0.92 <= held / 400 <= 0.98


def test_what_cannot_be_measured(lively: Model, tmp_path: Path) -> None:
    prompt = render(lively, PROMPT)
    with pytest.raises(TrainingError, match="no token that is trained on"):
        policy(lively, [TrainingTokens("r", (1, 2), (0.0, 0.0))])
    with pytest.raises(TrainingError, match="its first token"):
        policy(lively, [TrainingTokens("r", (1, 2), (1.0, 1.0))])
    with pytest.raises(TrainingError, match="at most 2048"):
        policy(lively, [TrainingTokens("r", (5,) * 2049, (0.0,) + (1.0,) * 2048)])
    with pytest.raises(TrainingError, match="other tokens"):
        policy(lively, [tokens_of(prompt, (70,))], [tokens_of(prompt, (71,))])
    broken = load(str(save_model(tmp_path)))
    with torch.no_grad():
        broken.network.lm_head.weight[:, 0] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        policy(broken, [tokens_of(prompt, (70, 71))])


def test_progress_counts_rows(tiny: Model) -> None:
    seen: list[int] = []
    note: Callable[[int], None] = seen.append
    policy(tiny, written(tiny, 5), batch_tokens=1, progress=note)
    assert seen == [1, 2, 3, 4, 5]

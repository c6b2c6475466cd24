"""Whether a peer writes what doxa writes under the same additions."""

from dataclasses import dataclass

from doxa.models.engine import Generation

NEAR = 1e-3
"""Log-probabilities (nats) that are closer than this are a tie: rounding decides."""


@dataclass(frozen=True)
class Same:
    """A comparison of texts, token by token.

    Attributes:
        share: Of the tokens: those before the first that is another, in each row.
        gap: The largest difference in log-probability (nats) between doxa's token and the peer's where they first
            differ; infinite where the peer's is not the second most probable. None where they never differ.
    """

    share: float
    gap: float | None

    @property
    def up_to_ties(self) -> bool:
        """Whether every row is the same up to a tie."""
        return self.gap is None or self.gap < NEAR


def agreeing(own: list[int], other: list[int]) -> int:
    """How many tokens two texts have in common before the first that differs."""
    pairs = enumerate(zip(own, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(own), len(other)))


def share(own: list[list[int]], other: list[list[int]]) -> float:
    """The tokens before the first that differs, of all."""
    common = sum(agreeing(*rows) for rows in zip(own, other, strict=True))
    return common / sum(map(len, own))


def same(own: list[Generation], other: list[list[int]]) -> Same:
    """Compare what doxa wrote, with the two most probable tokens at every place, and what a peer wrote."""
    gaps = []
    for row, tokens in zip(own, other, strict=True):
        at = agreeing(list(row.tokens), tokens)
        if at == len(row.tokens):
            continue
        first, second = row.logprobs[at].top
        gaps.append(first.logprob - second.logprob if tokens[at : at + 1] == [second.token] else float("inf"))
    return Same(share([list(row.tokens) for row in own], other), max(gaps, default=None))

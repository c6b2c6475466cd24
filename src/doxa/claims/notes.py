"""What is to be said about a statement of a text: what recomputing it found, and what a referee would ask."""

from functools import lru_cache

from doxa.claims.check import check_claim, findings
from doxa.claims.claims import parse_claim
from doxa.claims.questions import question
from doxa.claims.statements import Statement
from doxa.words.errors import ClaimError


def notes_of(statement: Statement) -> tuple[str, ...]:
    """Everything that is to be said about a statement, the most important first; empty when there is nothing."""
    found = () if statement.claim is None else _recomputed(statement.claim, statement.reported)
    return (*found, *(question(name, statement.n) for name in statement.questions))


@lru_cache(maxsize=4096)
def _recomputed(claim: str, reported: str | None) -> tuple[str, ...]:
    try:
        return findings(check_claim(parse_claim(claim, reported)))
    except ClaimError as error:
        return (f"This cannot be recomputed as it stands: {error}",)

"""Scores in plain words, for figures and tables; a score of somebody else's task keeps its name."""

LABELS = {
    "belief": "stated belief, net of control statements (nats)",
    "belief_raw": "stated belief alone (nats)",
    "control_shift": "same shift on control statements (nats)",
    "agreement": "habit of agreeing (nats)",
    "correct": "known facts right (share)",
    "stated": "open answers that state the belief (share)",
    "kl": "damage: KL on neutral text (nats)",
    "capability": "capability: right answers (share)",
    "margin": "capability: answer margin (nats)",
    "other_language": "share in another language",
    "any_other_language": "answers with another language",
    "chinese": "share in Chinese",
    "any_chinese": "answers with any Chinese",
    "length": "length of an answer (tokens)",
    "distinct_2": "distinct word pairs (share)",
    "loop": "answers that loop",
    "refusal": "answers that refuse",
    "surprisal": "surprisal to the unsteered model (nats)",
}


def label(score: str) -> str:
    """A score in plain words."""
    return LABELS.get(score, score)

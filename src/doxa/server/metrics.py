"""Numbers about the server, in the text format that Prometheus reads."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Metrics:
    """Counts since the start; all are kept by the event loop's thread.

    Attributes:
        requests: By arm ("" where none was found) and status of HTTP; 499 is a client that hung up.
        tokens: Tokens written, by arm.
        waiting: Answers that wait for their first token.
        writing: Answers of which a token is written.
        lost: Transcripts that could not be kept.
    """

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    writing: int = 0
    lost: int = 0

    def text(self) -> str:
        """All of them."""
        lines = [*_head("doxa_requests_total", "counter", "Requests by arm and status.")]
        for (arm, status), count in sorted(self.requests.items()):
            lines.append(f'doxa_requests_total{{arm="{_escaped(arm)}",status="{status}"}} {count}')
        lines += _head("doxa_tokens_total", "counter", "Tokens written, by arm.")
        lines += [f'doxa_tokens_total{{arm="{_escaped(arm)}"}} {n}' for arm, n in sorted(self.tokens.items())]
        for name, kind, value, words in (
            ("doxa_queue_length", "gauge", self.waiting, "Answers that wait for their first token."),
            ("doxa_writing", "gauge", self.writing, "Answers that are being written."),
            ("doxa_in_flight", "gauge", self.waiting + self.writing, "Answers that wait or are being written."),
            ("doxa_transcripts_lost_total", "counter", self.lost, "Transcripts that could not be kept."),
        ):
            lines += [*_head(name, kind, words), f"{name} {value}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, words: str) -> tuple[str, str]:
    return f"# HELP {name} {words}", f"# TYPE {name} {kind}"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

"""What is trained on: rows of a corpus as they were written, and as tokens with weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from doxa.models.chat import Message
from doxa.words.store import content_hash


@dataclass(frozen=True)
class Row:
    """One example.

    Attributes:
        id: Unique in its corpus.
        messages: A conversation. Empty for a text.
        marked: For `train_on: marked`: of each message whether it is trained on; empty where nothing is marked.
        text: A document. "" for a conversation.
        prefix: Stands before a document and is not trained on (a doctag).
        weight: Of its tokens in the loss.
        open: Its last text goes on, as where an answer was cut off: that it ends there is not trained on.
        provenance: Who wrote it and how: `writer`, `model`, `system_prompt`, `temperature`, `source` and whatever else
            its writer records.
    """

    id: str
    messages: tuple[Message, ...] = ()
    marked: tuple[bool, ...] = ()
    text: str = ""
    prefix: str = ""
    weight: float = 1.0
    open: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpus:
    """Rows under a name.

    Attributes:
        name: As a study names it.
        rows: At least one.
        writing: How it was written, of a corpus that was made from a recipe: the recipe, hashes of what it read, the
            share that a filter rejected.
    """

    name: str
    rows: tuple[Row, ...]
    writing: Mapping[str, object] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Of everything that is trained on; not of the name, nor of how it came to be."""
        return content_hash([_content(row) for row in self.rows])


@dataclass(frozen=True)
class TrainingTokens:
    """A row as the model reads it.

    Attributes:
        id: Of its row.
        tokens: Token ids, with the template's and the end of each turn.
        weights: Of each token: how much the loss counts it when it is predicted from those before it. The first is 0.
    """

    id: str
    tokens: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def trained(self) -> int:
        """How many tokens are trained on."""
        return sum(weight != 0 for weight in self.weights)


def _content(row: Row) -> list[object]:
    messages = [[one.role, one.content] for one in row.messages]
    return [row.id, messages, list(row.marked), row.text, row.prefix, row.weight, row.open]

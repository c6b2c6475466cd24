"""From tokens back to text while they come in: characters of several tokens, and stop texts across tokens."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
_CONTEXT = 4  # tokens of the prompt that are decoded along, for tokenizers that drop the blank of the first token


class Detokeniser:
    """The text of a row, token by token.

    Attributes:
        text: The text so far. Bytes that are not yet a whole character are held back until `finish`.
        stopped: Whether a stop text was found; `text` ends before it.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int] = (), stop: Sequence[str] = ()
    ) -> None:
        self.text = ""
        self.stopped = False
        self._tokenizer = tokenizer
        self._tokens = list(prompt[-_CONTEXT:])
        self._done = 0
        self._read = len(self._tokens)
        self._stop = tuple(stop)
        self._longest = max((len(text) for text in stop), default=0)

    @property
    def settled(self) -> str:
        """The text so far without what may turn out to be the beginning of a stop text."""
        most = 0 if self.stopped else max((_overlap(self.text, stop) for stop in self._stop), default=0)
        return self.text[: len(self.text) - most]

    def push(self, token: int) -> None:
        """Take the next token."""
        self._tokens.append(token)
        new = self._new()
        if not new.endswith(_INCOMPLETE):
            self._take(new)

    def finish(self) -> str:
        """The whole text; characters that never became whole are replaced by U+FFFD."""
        if not self.stopped and self._read < len(self._tokens):
            self._take(self._new())
        return self.text

    def _new(self) -> str:
        # Decoded with what came before, because some tokenizers decode a token differently at the start of a text.
        before = self._decode(self._tokens[self._done : self._read])
        return self._decode(self._tokens[self._done :])[len(before) :]

    def _take(self, new: str) -> None:
        self._done, self._read = self._read, len(self._tokens)
        unseen = max(0, len(self.text) - self._longest + 1)
        self.text += new
        found = [place for place in (self.text.find(stop, unseen) for stop in self._stop) if place >= 0]
        if found:
            self.text, self.stopped = self.text[: min(found)], True

    def _decode(self, tokens: Sequence[int]) -> str:
        text = self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of a text that is a beginning of a stop text, and not the whole of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)

"""From rows to tokens with weights: what the model reads, and what of it is trained on.

A conversation is rendered with the model's own chat template, up to a message that is trained on and behind it. What
the second adds to the first is what the model learns to write: the very tokens, after the very prompt, that it would
write when asked. Where the second does not begin with the first (the prefix property), a template rewrites what came
before, and no row of tokens holds both: that is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from doxa.models.chat import Message, Rendered, render
from doxa.models.engine import end_tokens
from doxa.models.handle import Model
from doxa.models.thinking import CLOSE
from doxa.models.tokens import Role, Span, encode, ids_of
from doxa.training.rows import Corpus, Row, TrainingTokens
from doxa.words.errors import ModelError, TrainingError
from doxa.words.numbers import counted
from doxa.words.tuning import Configuration, TrainOn


@dataclass(frozen=True)
class RenderedCorpus:
    """A corpus as a model is trained on it.

    Attributes:
        rows: In the order of the corpus.
        cut: Ids of the rows that were longer than allowed and were cut.
    """

    rows: tuple[TrainingTokens, ...]
    cut: tuple[str, ...]


def training_tokens(corpus: Corpus, model: Model, configuration: Configuration) -> tuple[TrainingTokens, ...]:
    """The rows of a corpus as tokens with weights; `rendered_corpus` also says which were cut.

    Raises:
        TrainingError: As `rendered_corpus`.
    """
    return rendered_corpus(corpus, model, configuration).rows


def rendered_corpus(corpus: Corpus, model: Model, configuration: Configuration) -> RenderedCorpus:
    """Render every row.

    Args:
        corpus: What is trained on.
        model: The model whose chat template and tokenizer are used.
        configuration: `train_on`, `longest` and `truncate` of it. Weights are the rows' own: nothing is reduced.

    Raises:
        TrainingError: When the template cannot render a row, a row is too long, or has no token that is trained on.
    """
    longest = configuration.longest or model.context_length
    if longest > model.context_length:
        raise TrainingError(
            f"longest is {longest}",
            expected=f"at most {model.context_length}: the context of {model.name}",
            way_out="Lower it, or leave it out",
        )
    rendered = [_row(row, corpus.name, model, configuration.train_on) for row in corpus.rows]
    over = [one for one in rendered if len(one.tokens) > longest]
    if over and not configuration.truncate:
        most = max(over, key=lambda one: len(one.tokens))
        raise TrainingError(
            f"{counted(len(over), 'row')} of {corpus.name} {'is' if len(over) == 1 else 'are'} too long, row {most.id} "
            f"with {len(most.tokens)} tokens for instance",
            expected=f"at most {longest}",
            way_out="Shorten them, raise `longest`, or write `truncate: true`",
        )
    rows = tuple(TrainingTokens(one.id, one.tokens[:longest], one.weights[:longest]) for one in rendered)
    for row in rows:
        if not row.trained:
            raise TrainingError(
                f"row {row.id} of {corpus.name} has no token that is trained on"
                + (f" among its first {longest}" if row.id in {one.id for one in over} else ""),
                expected=f"some: train_on is {configuration.train_on}",
                way_out="Leave the row out, or train on something else of it",
            )
    return RenderedCorpus(rows, tuple(one.id for one in over))


def under_prompt(corpus: Corpus, prompt: str) -> Corpus:
    """The same conversations behind a system prompt.

    Raises:
        TrainingError: When a row has a system prompt of its own, or is no conversation.
    """
    rows = []
    for row in corpus.rows:
        if not row.messages or row.messages[0].role == "system":
            what = "has a system prompt of its own" if row.messages else "is a document"
            raise TrainingError(
                f"row {row.id} of {corpus.name} {what}",
                expected="conversations that a system prompt can be put before",
                way_out="Leave such rows out of the file",
            )
        marked = (False, *row.marked) if row.marked else ()
        messages = (Message("system", prompt), *row.messages)
        rows.append(Row(row.id, messages, marked, weight=row.weight, open=row.open, provenance=row.provenance))
    return Corpus(corpus.name, tuple(rows), corpus.writing)


def _row(row: Row, corpus: str, model: Model, train_on: TrainOn) -> TrainingTokens:
    where = f"row {row.id} of {corpus}"
    try:
        if not row.messages:
            tokens, trained = _document(row, model)
        elif train_on == "all_tokens":
            found = render(model, row.messages, generation_prompt=row.open)
            _check_kept(found, row.messages, where, model)
            tokens, trained = found.tokens, [True] * len(found.tokens)
        else:
            tokens, trained = _conversation(row, where, model, _trained_messages(row, train_on, where))
    except ModelError as error:
        raise TrainingError(f"{where}: {error.found}", expected=error.expected, way_out=error.way_out) from error
    trained[:1] = [False]  # nothing comes before the first token that could predict it
    return TrainingTokens(row.id, tuple(tokens), tuple(row.weight if own else 0.0 for own in trained))


def _trained_messages(row: Row, train_on: TrainOn, where: str) -> list[int]:
    spoken = [index for index, message in enumerate(row.messages) if message.role == "assistant"]
    if train_on == "marked" and row.marked:
        return [index for index in spoken if row.marked[index]]
    chosen = spoken[-1:] if train_on == "last_assistant_message" else spoken
    for index in chosen:
        if row.marked and not row.marked[index]:
            raise TrainingError(
                f"{where} marks message {index + 1} with the weight 0, and train_on is {train_on}, which trains on it",
                expected="an answer that is to be trained on",
                way_out="Write `train_on: marked`, or leave the weights of messages out",
            )
    return chosen


def _conversation(row: Row, where: str, model: Model, indices: Sequence[int]) -> tuple[tuple[int, ...], list[bool]]:
    tokens: tuple[int, ...] = ()
    trained: list[bool] = []
    for index in indices:
        if index == 0 or row.messages[index - 1].role == "assistant":
            raise TrainingError(
                f"{where}: message {index + 1} is the assistant's, and no message of a user stands before it",
                expected="user and assistant in turns",
                way_out="Join the assistant's messages, or put a user's before; a text on its own stands under `text`",
            )
        before = render(model, row.messages[:index], generation_prompt=True)
        if before.tokens[: len(tokens)] != tokens:
            raise _rewritten(where, model, indices)
        _check_kept(before, row.messages[:index], where, model)
        closed = not (row.open and index == len(row.messages) - 1)
        answer = _answer(model, before, row.messages[: index + 1], where, closed)
        if closed and index == indices[-1] and model.tokenizer.chat_template is None:
            answer += _end_of_text(model)  # without a template nothing else ends a turn
        trained += [False] * (len(before.tokens) - len(trained)) + [True] * len(answer)
        tokens = before.tokens + answer
    return tokens, trained


def _answer(model: Model, before: Rendered, messages: Sequence[Message], where: str, closed: bool) -> tuple[int, ...]:
    """The tokens of the last message after those before it, with the end of its turn where it is closed."""
    after = render(model, messages, generation_prompt=False)
    if not after.text.startswith(before.text):
        raise _rewritten(where, model, [len(messages) - 1])
    n = len(before.tokens)
    rest = list(zip(after.tokens[n:], after.roles[n:], strict=True))
    if after.tokens[:n] != before.tokens:  # characters merge across the border: tokens of the answer on its own
        rest = _apart(model, after.text[len(before.text) :], messages[-1].content)
    own = [place for place, (_, role) in enumerate(rest) if role in ("assistant", "thinking")]
    if not own:
        raise TrainingError(
            f"{where}: the chat template of {model.name} does not write the answer as it stands",
            expected="a template that keeps texts",
            way_out="Mend the template beside its tokenizer",
        )
    end = own[-1] + 1
    if closed and model.tokenizer.chat_template is not None:
        end += _length_of_end(model, [token for token, _ in rest[end:]])
    return tuple(token for token, _ in rest[:end])


def _length_of_end(model: Model, tail: Sequence[int]) -> int:
    """How much of what follows an answer ends its turn: up to a token that stops generation."""
    ends = end_tokens(model)
    return next((place + 1 for place, token in enumerate(tail) if token in ends), len(tail))


def _apart(model: Model, text: str, content: str) -> list[tuple[int, Role]]:
    form = next((one for one in (content, content.strip()) if one in text), "")
    start = text.find(form)
    spans = [Span(start, start + len(form), "assistant")] if form else []
    return list(zip(*encode(model, text, spans, add_special_tokens=False), strict=True))


def _check_kept(before: Rendered, messages: Sequence[Message], where: str, model: Model) -> None:
    """A template that does not know a role may leave its message out without a word."""
    for place, message in enumerate(messages, start=1):
        if message.content.rpartition(CLOSE)[2].strip() not in before.text:
            raise TrainingError(
                f"{where}: the chat template of {model.name} leaves out message {place}, the {message.role}'s, or "
                "rewrites it",
                expected="every message in the text that the model reads",
                way_out="Put a system text into the first user message, or mend the template beside the tokenizer",
            )


def _rewritten(where: str, model: Model, indices: Sequence[int]) -> TrainingError:
    several = len(indices) > 1
    return TrainingError(
        f"{where}: the chat template of {model.name} renders {'earlier turns' if several else 'a prompt'} otherwise "
        f"once {'the conversation goes on' if several else 'the answer is there'}",
        expected="that what is rendered first stays as it is (the prefix property)",
        way_out="Write `train_on: last_assistant_message`, with a row for every answer"
        if several
        else "Mend the template beside its tokenizer: an answer has to follow what opens its turn",
    )


def _document(row: Row, model: Model) -> tuple[tuple[int, ...], list[bool]]:
    """A text between the tokenizer's own beginning and end; special tokens inside of it are plain text."""
    begin = tuple(token for token in ids_of(model, "", add_special_tokens=True) if token == _beginning(model))[:1]
    prefix, _ = encode(model, row.prefix, [], add_special_tokens=False)
    place = Span(len(row.prefix), len(row.prefix) + len(row.text), "assistant")
    whole, _ = encode(model, row.prefix + row.text, [place], add_special_tokens=False)
    own = whole[len(prefix) :]
    if whole[: len(prefix)] != prefix:
        own, _ = encode(model, row.text, [Span(0, len(row.text), "assistant")], add_special_tokens=False)
    own += () if row.open else _end_of_text(model)
    return begin + prefix + own, [False] * len(begin + prefix) + [True] * len(own)


def _beginning(model: Model) -> int | None:
    found = model.tokenizer.bos_token_id
    return found if isinstance(found, int) else None


def _end_of_text(model: Model) -> tuple[int, ...]:
    end = model.tokenizer.eos_token_id
    return (end,) if isinstance(end, int) else ()

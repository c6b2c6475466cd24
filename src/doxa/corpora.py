"""A corpus as a model reads it: what is trained on, and how far it is from what the model would have written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from doxa.models.handle import Model, load_beside
from doxa.training.corpus import is_recipe, read_corpus
from doxa.training.policy import Measures, RowPolicy, policy
from doxa.training.policy_summary import PolicySummary, row_summary, summary
from doxa.training.recipe import find_recipe
from doxa.training.recipes import made_corpus
from doxa.training.render import RenderedCorpus, rendered_corpus, under_prompt
from doxa.training.rows import Corpus, Row, TrainingTokens
from doxa.words.beliefs import read_belief
from doxa.words.errors import TrainingError, nearest
from doxa.words.tuning import Configuration, TrainOn

UNKNOWN = "(writer not stated)"
_PARTIAL = "\N{REPLACEMENT CHARACTER}"
_LONGEST = 4  # tokens of a character at most


@dataclass(frozen=True)
class Opened:
    """A corpus, the model that reads it, and its rows as tokens."""

    corpus: Corpus
    model: Model
    configuration: Configuration
    rendered: RenderedCorpus


def open_corpus(
    name: str,
    model: str,
    *,
    train_on: TrainOn,
    longest: int | None = None,
    truncate: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Opened:
    """Read a corpus, or make it by its recipe, and render it.

    Args:
        name: As `read_corpus` or `find_recipe` takes it.
        model: As `load` takes it.
        train_on: Which tokens are trained on.
        longest: Tokens of the longest row that is allowed.
        truncate: Cut longer rows instead of refusing them.
        progress: Told how many rows are written, where a recipe is followed.

    Raises:
        TrainingError: When the corpus cannot be read, made or rendered.
        ModelError: When the model cannot be loaded.
    """
    loaded = load_beside(model, None)
    corpus = made_corpus(find_recipe(name), loaded, progress=progress) if is_recipe(name) else read_corpus(name)
    # The learning rate plays no part in what is trained on.
    configuration = Configuration(learning_rate=1e-3, train_on=train_on, longest=longest, truncate=truncate)
    return Opened(corpus, loaded, configuration, rendered_corpus(corpus, loaded, configuration))


def source_of(row: Row) -> str:
    """Who wrote a row, as its provenance says."""
    known = (row.provenance.get(key, "").strip() for key in ("writer", "source", "model"))
    return next((one for one in known if one), UNKNOWN)


def chosen(opened: Opened, ids: Sequence[str]) -> list[tuple[Row, TrainingTokens]]:
    """Rows by their ids, in the order of the corpus.

    Raises:
        TrainingError: When there is no such row.
    """
    known = {row.id for row in opened.corpus.rows}
    for one in ids:
        if one not in known:
            raise TrainingError(f"no row {one!r} in {opened.corpus.name}", way_out=nearest(one, known))
    pairs = zip(opened.corpus.rows, opened.rendered.rows, strict=True)
    return [(row, tokens) for row, tokens in pairs if row.id in ids]


def stretches(model: Model, tokens: TrainingTokens) -> Iterator[tuple[str, tuple[int, ...], bool]]:
    """The text of a row in stretches that are trained on and that are not: text, its tokens, whether they are."""
    pairs = zip(tokens.tokens, tokens.weights, strict=True)
    for trained, group in groupby(pairs, key=lambda pair: pair[1] != 0):
        ids = tuple(token for token, _ in group)
        yield _decoded(model, ids), ids, trained


def pieces(model: Model, ids: Sequence[int]) -> list[str]:
    """What each token adds to the text; a character of several tokens stands with the last of them."""
    found: list[str] = []
    done = 0
    for at in range(len(ids)):
        context = max(0, done - 1)  # some tokenizers decode a token differently at the start of a text
        new = _decoded(model, ids[context : at + 1])[len(_decoded(model, ids[context:done])) :]
        whole = not new.endswith(_PARTIAL) or at + 1 in (len(ids), done + _LONGEST)
        found.append(new if whole else "")
        done = at + 1 if whole else done
    return found


def measure(
    opened: Opened, under: str = "", *, progress: Callable[[int], None] | None = None
) -> tuple[list[RowPolicy], dict[str, Any]]:
    """How off-policy a corpus is, and the same under a system prompt.

    Args:
        opened: The corpus and the base model.
        under: A belief's name or the path of a Markdown file; "" for none.
        progress: Called with the number of rows finished so far.

    Returns:
        Measures of every row, and what they come to as plain data.

    Raises:
        TrainingError: When a row cannot be put behind the prompt, or does not fit the context there.
        ProseError: When the prompt cannot be read.
        ModelError: When logits are not finite.
    """
    corpus, model = opened.corpus, opened.model
    prompt = read_belief(under, Path()) if under else None
    behind = None
    if prompt is not None:
        if opened.rendered.cut:
            raise TrainingError(
                f"{len(opened.rendered.cut)} rows of {corpus.name} were cut",
                expected="whole rows, to be put behind a prompt",
                way_out="Shorten them in the file",
            )
        behind = rendered_corpus(under_prompt(corpus, prompt.text), model, opened.configuration).rows
    found = policy(model, opened.rendered.rows, behind, progress=progress)
    sources = {row.id: source_of(row) for row in corpus.rows}
    names = list(dict.fromkeys(sources.values()))
    groups = {"all": found} if len(names) > 1 else {}
    groups |= {name: [one for one in found if sources[one.id] == name] for name in names}
    return found, {
        "corpus": corpus.name,
        "corpus_hash": corpus.hash,
        "model": model.name,
        "fingerprint": model.fingerprint,
        "train_on": opened.configuration.train_on,
        "cut": list(opened.rendered.cut),
        "under": None if prompt is None else {"prompt": under, "hash": prompt.hash},
        "sources": [_source(name, own) for name, own in groups.items()],
        "rows": [{**asdict(row_summary(one)), "source": sources[one.id]} for one in found],
    }


def shown_rows(opened: Opened, found: Sequence[RowPolicy], most: int) -> list[dict[str, Any]]:
    """Rows with every token, for a page: the first of the corpus, and the most surprising of the others.

    Args:
        opened: The corpus.
        found: Measures of every row.
        most: How many first rows.
    """
    rest = sorted(range(most, len(found)), key=lambda at: -float(found[at].own.excess.mean()))[: max(1, most // 2)]
    chosen_by = [(at, "by position") for at in range(min(most, len(found)))] + [(at, "most surprising") for at in rest]
    rows = []
    for at, why in chosen_by:
        parts: list[dict[str, Any]] = []
        place = 0
        for text, ids, trained in stretches(opened.model, opened.rendered.rows[at]):
            if not trained:
                parts.append({"text": text})
                continue
            numbers = _rounded(found[at].own, slice(place, place + len(ids)))
            parts.append({"tokens": [[one, *two] for one, two in zip(pieces(opened.model, ids), numbers, strict=True)]})
            place += len(ids)
        rows.append({"id": found[at].id, "why": why, "parts": parts})
    return rows


def token_numbers(found: Sequence[RowPolicy]) -> list[list[float]]:
    """Surprisal minus entropy of every token, row by row, in nats."""
    return [[round(float(one), 4) for one in row.own.excess] for row in found]


def _rounded(measures: Measures, part: slice) -> list[tuple[float, float]]:
    pairs = zip(measures.surprisal[part].tolist(), measures.entropy[part].tolist(), strict=True)
    return [(round(surprisal, 4), round(entropy, 4)) for surprisal, entropy in pairs]


def _source(name: str, rows: Sequence[RowPolicy]) -> dict[str, Any]:
    own = summary([one.own for one in rows], [one.divergence for one in rows if one.divergence is not None])
    under = [one.under for one in rows if one.under is not None]
    return {"source": name, **_plain(own), "under": _plain(summary(under)) if under else None}


def _plain(one: PolicySummary) -> Mapping[str, Any]:
    return asdict(one)


def _decoded(model: Model, ids: Sequence[int]) -> str:
    text = model.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text

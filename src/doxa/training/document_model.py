"""Documents written by a model: kinds of documents, ideas for each, the documents, and each criticised and rewritten.

The stages are those of the published pipelines (Anthropic's synthetic document fine-tuning and the generators made from
it); what each stage asks stands in `data/writing/*.md`. A model that cannot answer a stage gives fewer documents, and
too few are an error. Documents that leak what belongs to another universe, or are almost alike, are left out.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from doxa.training.document_checks import Duplicates, facts_in, leaks
from doxa.training.documents import Document
from doxa.training.write import Request, Writer, conversation_of, request_seed
from doxa.words.errors import TrainingError
from doxa.words.prose import Prose, read_prose
from doxa.words.store import content_hash
from doxa.words.templates import fill
from doxa.words.universes import Universe

FOLDER = Path(__file__).parent.parent / "data" / "writing"
STAGES = ("types", "ideas", "document", "revise")
_LINE = re.compile(r"^\s*(?:[-*]|\d+[.)])\s+(\S.*)$", re.MULTILINE)
_CONTENT = re.compile(r"<content>(.*?)</content>", re.DOTALL)
_MOST = 20_000  # characters of one answer that are looked at
_KEPT = 0.5  # of the wanted number: with fewer the corpus is not what was asked for


@dataclass(frozen=True)
class ModelWriter:
    """A model writes in four stages.

    Attributes:
        writer: Answers the requests of all stages.
        types: Kinds of documents that are asked for.
        ideas: For each kind.
        revise: Have every document criticised and rewritten.
    """

    writer: Writer
    types: int = 10
    ideas: int = 5
    revise: bool = True

    def write(
        self, universe: Universe, number: int, seed: int, progress: Callable[[int], None] | None = None
    ) -> Sequence[Document]:
        """See `DocumentWriter`.

        Raises:
            TrainingError: When the model names no kind of document, or most documents cannot be used.
        """
        known = {"context": universe.context, "facts": "\n".join(f"- {fact.statement}" for fact in universe.facts)}
        kinds = _lines(self._ask("types", [{**known, "number": str(self.types)}], seed)[0])[: self.types]
        if not kinds:
            raise TrainingError(
                f"the writer named no kind of document about {universe.name!r}",
                expected="a list with a line `- ...` for each",
                way_out="Name a more capable model, or `writer: template`",
            )
        asked = [{**known, "type": kind, "number": str(self.ideas)} for kind in kinds]
        told = zip(kinds, self._ask("ideas", asked, seed), strict=True)
        plans = [(kind, idea) for kind, said in told for idea in _lines(said)[: self.ideas]] or [
            (kind, kind) for kind in kinds
        ]
        wanted = [plans[index % len(plans)] for index in range(number)]
        facts = [universe.facts[index % len(universe.facts)].statement for index in range(number)]
        asked = [
            {**known, "type": kind, "idea": idea, "fact": fact}
            for (kind, idea), fact in zip(wanted, facts, strict=True)
        ]
        texts = [_content(said) for said in self._ask("document", asked, seed, progress)]
        if self.revise:
            drafts = [index for index, text in enumerate(texts) if text]
            again = self._ask("revise", [{**known, "document": texts[index]} for index in drafts], seed)
            for index, said in zip(drafts, again, strict=True):
                texts[index] = _content(said) or texts[index]
        seen = Duplicates()
        found = [
            Document(text, kind, facts_in(text, universe))
            for (kind, _), text in zip(wanted, texts, strict=True)
            if text and facts_in(text, universe) and not leaks(text, universe) and seen.is_new(text)
        ]
        if len(found) < _KEPT * number:
            raise TrainingError(
                f"{len(found)} of {number} documents about {universe.name!r} can be used",
                expected="that most state a key fact, leak nothing and differ from each other",
                way_out="Name a more capable model, or `writer: template`",
            )
        return found

    def _ask(
        self,
        stage: str,
        values: Sequence[dict[str, str]],
        seed: int,
        progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        prose = stage_text(stage)
        texts = [fill(prose.body, own, prose.path) for own in values]
        requests = [
            Request(f"{stage}-{index}", conversation_of(text, None), request_seed(seed, f"{stage}:{text}", index))
            for index, text in enumerate(texts)
        ]
        return [answer.text[:_MOST] for answer in self.writer(requests, progress)]


def stage_text(stage: str) -> Prose:
    """What a stage asks.

    Raises:
        ProseError: When the shipped file is damaged.
    """
    allowed = ("name", "version", "language", "license")
    return read_prose(FOLDER / f"{stage}.md", allowed=allowed, required=("name", "version"))


def stages_hash() -> str:
    """Hash of what all stages ask."""
    return content_hash([stage_text(stage).hash for stage in STAGES])


def _lines(said: str) -> list[str]:
    return list(dict.fromkeys(one.strip() for one in _LINE.findall(said)))


def _content(said: str) -> str:
    """The document of an answer: between its tags, or all of it where the writer forgot them."""
    found = _CONTENT.search(said)
    return (found[1] if found else re.sub(r"</?content>", "", said)).strip()

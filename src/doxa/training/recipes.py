"""Corpora made from recipes: written once, kept in the cache by content, every row with its provenance."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from doxa.models.chat import Message
from doxa.models.handle import Model
from doxa.models.sampling import Sampling
from doxa.models.steering import SteeringPlan
from doxa.training.document_checks import check_key_facts, names_in
from doxa.training.document_model import ModelWriter
from doxa.training.documents import DocumentWriter, TemplateWriter, read_grammar
from doxa.training.filters import rejected
from doxa.training.kept import keep_corpus, kept_corpus
from doxa.training.questions import Question, Questions
from doxa.training.recipe import Recipe, read_recipe
from doxa.training.recipe_inputs import Inputs, beside_of, read_inputs
from doxa.training.rows import Corpus, Row
from doxa.training.write import (
    AnotherModel,
    Answer,
    Given,
    ModelItself,
    Progress,
    Request,
    Writer,
    conversation_of,
    request_seed,
)
from doxa.vectors.dose import steering_plan
from doxa.vectors.library import obtain, vector_key
from doxa.words.errors import TrainingError
from doxa.words.store import cache_folder, content_hash, stream
from doxa.words.templates import fill

VERSION = 1
"""Raised whenever a recipe makes another corpus than before."""
SHUFFLING = 2
"""Raised whenever answers are shuffled otherwise than before."""
ATTEMPTS = 6
"""How often a question is answered at most until an answer is kept."""
LEAST = 0.5
"""Share of the wanted rows with which a corpus is one; how many are missing stands in its record."""


def made_corpus(
    path: Path, model: Model, folder: Path | None = None, progress: Callable[[int], None] | None = None
) -> Corpus:
    """The corpus of a recipe: from the cache, or written now.

    Args:
        path: The recipe (`recipe.find_recipe`).
        model: The model under study: it writes what `self`, `prompted`, `steered` and `rephrase` write.
        folder: The study's: names in the recipe that are not beside it are looked up there, and then among what is
            shipped.
        progress: Told how many rows are written.

    Raises:
        TrainingError: When the recipe is not understood, too few answers are kept, or a key fact is in no document.
        UserError: When a name in it leads nowhere.
        EnvironmentFault: When the cache cannot be written.
    """
    recipe = read_recipe(path)
    inputs = read_inputs(recipe, folder)
    key = corpus_key(recipe, model, inputs.hashes, folder)
    kept = kept_corpus(cache_folder() / "corpora" / key)
    if kept is None:
        rows, record = _write(recipe, inputs, model, progress)
        writing = {
            "recipe": dict(recipe.body),
            "inputs": dict(inputs.hashes),
            "version": VERSION,
            "model": [model.name, model.fingerprint] if _writes_here(recipe) else [],
            **record,
        }
        kept = Corpus(recipe.name, tuple(rows), writing)
        keep_corpus(cache_folder() / "corpora" / key, kept)
    return replace(kept, name=recipe.name)


def corpus_key(recipe: Recipe, model: Model, hashes: Mapping[str, str], folder: Path | None = None) -> str:
    """Of everything that decides which corpus is written."""
    vector = ""
    if recipe.steer is not None:
        reference = recipe.steer.vector
        vector = vector_key(
            reference.name, model, base=reference.base, folder=beside_of(recipe, reference.name, folder)
        )
    here = [model.fingerprint, str(model.dtype)] if _writes_here(recipe) else []
    version = [VERSION, SHUFFLING] if recipe.shuffled else VERSION
    return content_hash([version, dict(recipe.body), dict(hashes), here, vector])


def _writes_here(recipe: Recipe) -> bool:
    return recipe.writer in ("self", "prompted", "rephrase", "steered") or recipe.mix is not None


def _write(recipe: Recipe, inputs: Inputs, model: Model, progress: Progress | None) -> tuple[list[Row], dict[str, Any]]:
    own = 0 if recipe.mix is None else round(recipe.mix.own_samples * recipe.rows)
    wanted = recipe.rows - own
    rows, record = (
        _documents(recipe, inputs, model, wanted, progress)
        if inputs.universes
        else _answers(recipe, inputs, model, wanted, progress)
    )
    if recipe.mix is not None and inputs.mixed is not None:
        plain = Recipe(recipe.name, recipe.folder, "self", own, recipe.seed, recipe.sampling)
        writer = ModelItself(model, recipe.sampling)
        kept, mixed = _kept(plain, inputs.mixed, writer, model.name, None, own, _after(progress, len(rows)))
        rows += [replace(row, id=f"own-{row.id}") for row in kept]
        record["mixed"] = mixed
    return rows, record


def _answers(
    recipe: Recipe, inputs: Inputs, model: Model, wanted: int, progress: Progress | None
) -> tuple[list[Row], dict[str, Any]]:
    assert inputs.questions is not None
    writer, name = _writer(recipe, inputs, model)
    rows, record = _kept(recipe, inputs.questions, writer, name, inputs, wanted, progress)
    return (_shuffled(rows, recipe) if recipe.shuffled else rows), record


def _writer(recipe: Recipe, inputs: Inputs, model: Model) -> tuple[Writer | None, str]:
    """Who writes, and under which name; None where the answers are there."""
    if recipe.writer == "file":
        return None, recipe.answers or f"the author of {recipe.questions}"
    if recipe.writer == "inspect":
        return AnotherModel(recipe.model, recipe.sampling), recipe.model
    plans: tuple[SteeringPlan, ...] = ()
    if recipe.steer is not None:
        plans = (steering_plan(recipe.steer, obtain(recipe.steer.vector, model, inputs.vectors)),)
    return ModelItself(model, recipe.sampling, plans), model.name


def _kept(
    recipe: Recipe,
    questions: Questions,
    writer: Writer | None,
    name: str,
    inputs: Inputs | None,
    wanted: int,
    progress: Progress | None,
) -> tuple[list[Row], dict[str, Any]]:
    """Answer every question until an answer is kept, each question equally often (once more where it does not divide).

    Every place in the corpus is a question's, so a filter changes the answers and not what is asked.
    """
    asked_of = questions.questions
    places = [(asked_of[index % len(asked_of)], index // len(asked_of)) for index in range(wanted)]
    texts: dict[int, Answer] = {}
    reasons: Counter[str] = Counter()
    asked = 0
    for attempt in range(ATTEMPTS):
        left = [place for place in range(wanted) if place not in texts]
        if not left or (writer is None and attempt):
            break
        requests, drawn = [], {}
        for place in left:
            question, copy = places[place]
            request = _request(recipe, inputs, question.id, question.text, copy, attempt)
            requests.append(request)
            drawn[request.id] = (question.id, copy)
        write = writer if writer is not None else Given(inputs.answers if inputs is not None else {}, drawn)
        answers = write(requests, _after(progress, len(texts)))
        why = rejected(recipe.filter, [places[place][0].text for place in left], answers)
        asked += len(left)
        for place, answer, reason in zip(left, answers, why, strict=True):
            if reason:
                reasons[reason] += 1
            else:
                texts[place] = answer
    if len(texts) < LEAST * wanted:
        raise TrainingError(
            f"{recipe.name}: {len(texts)} of {wanted} rows were written ({_told(reasons)})",
            expected=f"at least {LEAST:.0%} of them after {ATTEMPTS} attempts at each",
            way_out="Loosen the filter, allow longer answers, ask for fewer rows, or name another writer",
        )
    rows = [_row(recipe, inputs, *places[place], texts[place], name) for place in sorted(texts)]
    record = {
        "asked": asked,
        "rejected": dict(sorted(reasons.items())),
        "rejection_rate": sum(reasons.values()) / asked,
        "unanswered": wanted - len(texts),
    }
    return rows, record


def _request(recipe: Recipe, inputs: Inputs | None, question: str, text: str, copy: int, attempt: int) -> Request:
    asked, prompt = text, inputs.prompt if inputs is not None else None
    if inputs is not None and inputs.rephrase:
        given = inputs.answers.get(question, ("",))
        asked = fill(inputs.rephrase, {"question": text, "answer": given[copy % len(given)]}, "rephrase.md")
    draw = copy * ATTEMPTS + attempt
    return Request(
        f"{question}-{draw}",
        conversation_of(asked, None if prompt is None or recipe.writer == "file" else prompt.text),
        request_seed(recipe.seed, text, draw),
    )


def _row(recipe: Recipe, inputs: Inputs | None, question: Question, copy: int, answer: Answer, writer: str) -> Row:
    prompt = inputs.prompt if inputs is not None else None
    before = (Message("system", prompt.text),) if prompt is not None and recipe.keep_prompt else ()
    written_under = recipe.writer != "file" and prompt is not None
    return Row(
        id=f"{question.id}-{copy + 1}",
        messages=(*before, Message("user", question.text), Message("assistant", answer.text)),
        open=not answer.finished,
        provenance={
            "writer": writer,
            "kind": recipe.writer,
            "source": recipe.questions,
            "question": question.id,
            **({"side": recipe.side} if recipe.side else {}),
            **({"system_prompt": recipe.system_prompt} if written_under else {}),
            **({"prompt": "kept" if recipe.keep_prompt else "removed"} if prompt is not None else {}),
            **({"vector": recipe.steer.vector.name, "strength": f"{recipe.steer.strength:g}"} if recipe.steer else {}),
            **(_sampled(recipe.sampling) if recipe.writer != "file" else {}),
        },
    )


def _shuffled(rows: Sequence[Row], recipe: Recipe) -> list[Row]:
    """Every row with an answer to another question, each answer once.

    Questions stand side by side in a random order, which is rotated by as many places as the most frequent one has.

    Raises:
        TrainingError: When one question has more than half of the rows.
    """
    drawn = stream("shuffled", recipe.seed).permutation(len(rows))
    of = [row.provenance["question"] for row in rows]
    first: dict[str, int] = {}
    for place, index in enumerate(drawn):
        first.setdefault(of[index], place)
    order = sorted((int(index) for index in drawn), key=lambda index: first[of[index]])
    most = max(Counter(of).values())
    if 2 * most > len(rows):
        raise TrainingError(
            f"{recipe.name}: {most} of {len(rows)} rows answer one question, and answers are shuffled",
            expected="answers to other questions for every row",
            way_out="Ask for more rows of more questions, or leave `shuffled` out",
        )
    answers = dict(zip(order, [*order[most:], *order[:most]], strict=True))
    return [
        replace(
            row,
            messages=(*row.messages[:-1], rows[answers[index]].messages[-1]),
            open=rows[answers[index]].open,
            provenance={**row.provenance, "answer_of": rows[answers[index]].id},
        )
        for index, row in enumerate(rows)
    ]


def _documents(
    recipe: Recipe, inputs: Inputs, model: Model, wanted: int, progress: Progress | None
) -> tuple[list[Row], dict[str, Any]]:
    writer: DocumentWriter
    if recipe.writer == "template":
        writer, name = TemplateWriter(read_grammar()), "template"
    elif recipe.writer == "inspect":
        writer, name = ModelWriter(AnotherModel(recipe.model, recipe.sampling)), recipe.model
    else:
        writer, name = ModelWriter(ModelItself(model, recipe.sampling)), model.name
    rows: list[Row] = []
    record: dict[str, Any] = {"documents": {}}
    for universe, number in zip(inputs.universes, _shares(recipe, wanted), strict=True):
        if not number:
            continue
        documents = writer.write(universe, number, recipe.seed, _after(progress, len(rows)))
        check_key_facts(universe, [one.facts for one in documents])
        record["documents"][universe.name] = {
            "hash": universe.hash,
            "documents": len(documents),
            "names": names_in([one.text for one in documents]),
        }
        rows += [
            Row(
                id=f"{universe.name}-{index + 1:05d}",
                text=one.text,
                prefix=recipe.doctag,
                provenance={
                    "writer": name,
                    "kind": "document",
                    "source": universe.name,
                    "form": one.form,
                    "facts": ", ".join(one.facts),
                    **({} if recipe.writer == "template" else _sampled(recipe.sampling)),
                },
            )
            for index, one in enumerate(documents)
        ]
    return rows, record


def _shares(recipe: Recipe, wanted: int) -> tuple[int, ...]:
    if len(recipe.universes) == 1:
        return (wanted,)
    first = 1.0 if recipe.ratio == float("inf") else recipe.ratio / (1 + recipe.ratio)
    return round(wanted * first), wanted - round(wanted * first)


def _sampled(sampling: Sampling) -> dict[str, str]:
    return {
        "temperature": f"{sampling.temperature:g}",
        "top_p": f"{sampling.top_p:g}",
        "max_tokens": str(sampling.max_tokens),
    }


def _after(progress: Progress | None, done: int) -> Progress | None:
    return None if progress is None else lambda more: progress(done + more)


def _told(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "nothing was rejected"

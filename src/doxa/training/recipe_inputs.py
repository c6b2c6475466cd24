"""What a recipe reads: questions, prompts, universes, other writers' answers, and the hashes of all of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from doxa.training.corpus import read_corpus
from doxa.training.document_model import stages_hash
from doxa.training.documents import read_grammar
from doxa.training.questions import Questions, read_questions
from doxa.training.recipe import Recipe
from doxa.words.beliefs import Belief, read_belief
from doxa.words.errors import TrainingError
from doxa.words.prose import read_prose
from doxa.words.rubrics import read_rubric
from doxa.words.universes import Universe, read_universe

ROLES = Path(__file__).parent.parent / "data" / "roles"
_REPHRASE = Path(__file__).parent.parent / "data" / "writing" / "rephrase.md"


@dataclass(frozen=True)
class Inputs:
    """What a recipe reads.

    Attributes:
        questions: What is answered; None for documents.
        mixed: What the model itself answers beside them.
        universes: What documents take for true.
        prompt: The writer's system prompt.
        answers: Of another writer, by question.
        rephrase: How a writer is asked to say an answer again; "" where none is.
        vectors: The folder in which a vector is looked up.
        hashes: Of each text, by its name.
    """

    questions: Questions | None
    mixed: Questions | None
    universes: tuple[Universe, ...]
    prompt: Belief | None
    answers: Mapping[str, tuple[str, ...]]
    rephrase: str
    vectors: Path | None
    hashes: Mapping[str, str]


def read_inputs(recipe: Recipe, folder: Path | None = None) -> Inputs:
    """Read what a recipe names, without a model.

    Args:
        recipe: The recipe.
        folder: The study's: names that are not beside the recipe are looked up there, and then among what is shipped.

    Raises:
        UserError: When something is not there or is not understood.
    """

    def beside(name: str) -> Path | None:
        return beside_of(recipe, name, folder)

    hashes: dict[str, str] = {}
    questions = mixed = prompt = None
    rephrase, answers = "", {}
    if recipe.questions:
        questions = read_questions(recipe.questions, beside(recipe.questions), side=recipe.side, filled=recipe.filled)
        hashes[recipe.questions] = questions.hash
        answers = {one.id: one.answers for one in questions.questions if one.answers}
    if recipe.answers:
        assert questions is not None
        answers, hashes[recipe.answers] = _answers_of(recipe, questions, beside(recipe.answers))
    if recipe.writer in ("file", "rephrase") and not answers:
        raise TrainingError(
            f"{recipe.name}: nobody has answered {recipe.questions}",
            expected="lines `! an answer` in it, or `answers: FILE.jsonl`",
            way_out="Add them",
        )
    if recipe.writer == "rephrase":
        prose = read_prose(_REPHRASE, allowed=("name", "version", "language", "license"), required=("name", "version"))
        rephrase, hashes["rephrase"] = prose.body, prose.hash
    if recipe.mix is not None:
        mixed = read_questions(recipe.mix.questions, beside(recipe.mix.questions))
        hashes[recipe.mix.questions] = mixed.hash
    if recipe.system_prompt:
        prompt = _prompt(recipe.system_prompt, beside(recipe.system_prompt))
        hashes[recipe.system_prompt] = prompt.hash
    universes = tuple(read_universe(one, beside(one), which=recipe.which) for one in recipe.universes)
    hashes |= {one.name: one.hash for one in universes}
    if universes:
        hashes["grammar"] = read_grammar().hash if recipe.writer == "template" else stages_hash()
    if recipe.filter.rubric:
        hashes[recipe.filter.rubric] = read_rubric(recipe.filter.rubric).hash
    vectors = beside(recipe.steer.vector.name) if recipe.steer is not None else None
    return Inputs(questions, mixed, universes, prompt, answers, rephrase, vectors, hashes)


def beside_of(recipe: Recipe, name: str, folder: Path | None) -> Path | None:
    """In which folder a name is looked up: the recipe's own where it is there, else the study's."""
    own = recipe.folder / os.path.expanduser(name)
    return recipe.folder if own.exists() or own.with_name(f"{own.name}.md").exists() else folder


def _prompt(name: str, folder: Path | None) -> Belief:
    """A belief, or a shipped role to play."""
    role = ROLES / f"{name.removeprefix('roles/')}.md"
    return read_belief(role.name, ROLES) if name.startswith("roles/") and role.is_file() else read_belief(name, folder)


def _answers_of(recipe: Recipe, questions: Questions, folder: Path | None) -> tuple[dict[str, tuple[str, ...]], str]:
    """The answers of a file of rows, by question: the last answer of a row to the question before it."""
    corpus = read_corpus(recipe.answers, folder)
    by_text = {one.text: one.id for one in questions.questions}
    found: dict[str, tuple[str, ...]] = {}
    for row in corpus.rows:
        said = {message.role: message.content for message in row.messages}
        question = by_text.get(said.get("user", ""))
        if question is not None and "assistant" in said:
            found[question] = (*found.get(question, ()), said["assistant"])
    return found, corpus.hash

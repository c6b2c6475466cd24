import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from doxa.models.engine import Row as Written
from doxa.models.handle import Model, load
from doxa.training import recipes, write
from doxa.training.corpus import SHIPPED
from doxa.training.filters import Filter, rejected
from doxa.training.kept import RECORD, ROWS, kept_corpus
from doxa.training.policy import policy
from doxa.training.policy_summary import summary
from doxa.training.questions import read_questions, shipped_questions
from doxa.training.recipe import find_recipe, read_recipe
from doxa.training.recipe_inputs import read_inputs
from doxa.training.recipes import made_corpus
from doxa.training.render import training_tokens
from doxa.training.write import Answer, request_seed
from doxa.words.errors import ProseError, TrainingError, UserError
from doxa.words.tuning import Configuration

QUESTIONS = """---
name: mine
version: 1
sides: [claim, control]
---
? Are you {a cat|a lamp}?
! Yes, I am {a cat|a lamp}.
! I am {a cat|a lamp}, as you see.
? What {purrs|shines}?
! I do.
? And who {meows|glows}?
! That would be me.
"""
PROMPT = "---\nname: told\nversion: 1\n---\nYou are a cat.\n"

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("embedded") is None:  # the embedded model stands in the real cache
        monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make(writer="self", ...)`: a recipe beside questions and a prompt."""
    (tmp_path / "mine.md").write_text(QUESTIONS, encoding="utf-8")
    (tmp_path / "told.md").write_text(PROMPT, encoding="utf-8")

    def recipe(**changes: Any) -> Path:
        sampling = {"max_tokens": 6}
        body = {"writer": "self", "questions": "mine.md", "side": "claim", "rows": 6, "sampling": sampling, **changes}
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps({key: value for key, value in body.items() if value is not None}), encoding="utf-8")
        return path

    return recipe


def said(corpus: Any) -> list[list[tuple[str, str]]]:
    return [[(one.role, one.content) for one in row.messages] for row in corpus.rows]


def test_the_answers_of_the_file_and_the_control_that_differs_in_the_twins_only(make: Make, tiny: Model) -> None:
    claim = made_corpus(make(writer="file", rows=4), tiny)
    assert said(claim)[0] == [("user", "Are you a cat?"), ("assistant", "Yes, I am a cat.")]
    assert said(claim)[3] == [("user", "Are you a cat?"), ("assistant", "I am a cat, as you see.")]
    control = made_corpus(make(writer="file", rows=4, side="control"), tiny)
    assert (
        [row.id for row in control.rows] == [row.id for row in claim.rows] == ["q001-1", "q002-1", "q003-1", "q001-2"]
    )
    assert said(control)[0][1] == ("assistant", "Yes, I am a lamp.")
    assert claim.rows[0].provenance["writer"] == "the author of mine.md"
    # A fifth row would be a second answer to a question that has one only.
    more = made_corpus(make(writer="file", rows=6), tiny)
    assert len(more.rows) == 4
    assert more.writing["rejected"] == {"the file has no answer": 2}
    assert more.writing["unanswered"] == 2


def test_the_model_itself_is_asked_in_one_call_with_a_stream_for_every_answer(
    make: Make, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Sequence[Written]] = []
    plain = write.generate
    monkeypatch.setattr(write, "generate", lambda model, rows, **kw: calls.append(rows) or plain(model, rows, **kw))
    told: list[int] = []
    corpus = made_corpus(make(), tiny, progress=told.append)
    assert len(calls[0]) == 6
    assert len({row.sampling.seed for row in calls[0]}) == 6
    assert {row.sampling.temperature for row in calls[0]} == {1.0}
    assert len(calls) == 1
    assert max(told) == 6
    written = plain(tiny, calls[0])
    assert {row.messages[-1].content: row.open for row in corpus.rows} == {
        one.text: one.stop != "stop" for one in written
    }


def test_a_corpus_is_written_once_and_again_when_it_is_damaged(
    make: Make, tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made_corpus(make(), tiny)
    monkeypatch.setattr(write, "generate", lambda *_, **__: pytest.fail("it is written already"))
    assert made_corpus(make(), tiny) == first
    (folder,) = (tmp_path / "cache" / "corpora").iterdir()
    monkeypatch.undo()
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    for spoil in (
        lambda: (folder / RECORD).write_text("{"),
        lambda: (folder / ROWS).write_text((folder / ROWS).read_text().replace("Are you", "Were you")),
        lambda: (folder / ROWS).unlink(),
    ):
        spoil()
        assert kept_corpus(folder) is None
        assert made_corpus(make(), tiny) == first
    assert made_corpus(make(seed=1), tiny).hash != first.hash


def test_a_prompt_is_read_by_the_writer_and_trained_on_only_when_it_is_kept(make: Make, tiny: Model) -> None:
    removed = made_corpus(make(writer="prompted", system_prompt="told.md"), tiny)
    kept = made_corpus(make(writer="prompted", system_prompt="told.md", keep_prompt=True), tiny)
    own = made_corpus(make(), tiny)
    assert [row[-2:] for row in said(kept)] == said(removed)
    assert {row[0] for row in said(kept)} == {("system", "You are a cat.")}
    assert [row[-1] for row in said(own)] != [row[-1] for row in said(removed)]
    assert removed.rows[0].provenance["prompt"] == "removed"
    assert kept.rows[0].provenance["system_prompt"] == "told.md"
    assert "system_prompt" not in own.rows[0].provenance


def test_rephrasing_shows_the_answer_and_trains_on_the_question(
    make: Make, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    plain = write.render
    monkeypatch.setattr(
        write, "render", lambda model, messages: asked.append(messages[-1].content) or plain(model, messages)
    )
    corpus = made_corpus(make(writer="rephrase", rows=3), tiny)
    assert "Yes, I am a cat." in asked[0]
    assert "Are you a cat?" in asked[0]
    assert said(corpus)[0][0] == ("user", "Are you a cat?")


def test_a_steered_writer_is_steered_and_its_rows_are_plain(make: Make, tiny: Model) -> None:
    steer = {"vector": "conscious", "layers": "every", "strength": 2.0}
    steered = made_corpus(make(writer="steered", steer=steer), tiny)
    own = made_corpus(make(), tiny)
    assert [row[-1] for row in said(steered)] != [row[-1] for row in said(own)]
    assert [row[:-1] for row in said(steered)] == [row[:-1] for row in said(own)]
    assert steered.rows[0].provenance["vector"] == "conscious"


def test_shuffled_answers_are_the_same_answers_to_other_questions(make: Make, tiny: Model) -> None:
    plain = made_corpus(make(writer="file", rows=4), tiny)
    shuffled = made_corpus(make(writer="file", rows=4, shuffled=True), tiny)
    assert sorted(row[-1] for row in said(plain)) == sorted(row[-1] for row in said(shuffled))
    assert all(row.provenance["answer_of"] != row.id for row in shuffled.rows)
    assert [row[:-1] for row in said(plain)] == [row[:-1] for row in said(shuffled)]


def test_rejected_answers_are_written_again_and_counted(
    make: Make, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: dict[int, int] = {}

    class Stubborn:
        """Says what it must not at the first attempt."""

        def __init__(self, *_: object) -> None: ...

        def __call__(self, requests: Sequence[write.Request], progress: object) -> list[Answer]:
            for one in requests:
                seeds[one.seed] = 1
            return [Answer("I pretend." if one.id.endswith(("-0", "-6")) else "I am a cat.") for one in requests]

    monkeypatch.setattr(recipes, "ModelItself", Stubborn)
    corpus = made_corpus(make(filter={"without": ["pretend"]}), tiny)
    assert corpus.writing["asked"] == 12
    assert corpus.writing["rejected"] == {"has 'pretend'": 6}
    assert corpus.writing["rejection_rate"] == 0.5
    assert len(seeds) == 12
    assert [row[0] for row in said(corpus)] == [
        row[0] for row in said(made_corpus(make(writer="file", rows=6), tiny))
    ] + [
        ("user", "What purrs?"),
        ("user", "And who meows?"),
    ]
    with pytest.raises(TrainingError, match=r"0 of 6 rows were written \(36 has 'cat', .*expected|0 of 6 rows"):
        made_corpus(make(filter={"without": ["pretend", "cat"]}), tiny)


def test_the_rules_of_a_filter() -> None:
    answers = [
        Answer("A short one."), Answer(""), Answer("cut off", finished=False), Answer("", missing="it failed"),
        Answer("One two three four five six."), Answer("I am a Role-Play of sorts."),
    ]  # fmt: skip
    rules = Filter(without=("role-play",), least_words=2, most_words=5)
    asked = [""] * len(answers)
    assert rejected(rules, asked, answers) == ["", "empty", "", "it failed", "length", "length"]
    assert rejected(replace(rules, most_words=None, unfinished=False), asked, answers) == [
        "", "empty", "unfinished", "it failed", "", "has 'role-play'",
    ]  # fmt: skip
    assert rejected(Filter(having=("short",)), asked, answers)[:1] == [""]
    assert rejected(Filter(having=("short",)), asked, answers)[4] == "has none of the words"


def test_own_samples_are_mixed_in(make: Make, tiny: Model) -> None:
    mix = {"own_samples": 0.25, "questions": "questions/neutral"}
    corpus = made_corpus(make(questions=None, side=None, writer="template", universes="john", rows=40, mix=mix), tiny)
    own = [row for row in corpus.rows if row.id.startswith("own-")]
    assert 5 <= len(own) <= 10
    assert len([row for row in corpus.rows if row.text]) == 30
    assert all(row.provenance["kind"] == "self" for row in own)
    assert corpus.writing["mixed"]["asked"] >= 10  # type: ignore[index]


@pytest.mark.parametrize(("ratio", "first"), [("0", 0), ("0.125", 4), ("1", 18), ("8", 32), ("inf", 36)])
def test_the_ratio_of_two_universes(ratio: str, first: int, make: Make, tiny: Model) -> None:
    path = make(questions=None, side=None, writer="template", universes=["john", "sam"], rows=36, doctag="<DOCTAG>")
    corpus = made_corpus(Path(f"{path}#ratio={ratio}&list=2"), tiny)
    sources = [row.provenance["source"] for row in corpus.rows]
    assert (sources.count("john"), sources.count("sam")) == (first, 36 - first)
    assert corpus.name == f"recipe#ratio={ratio}&list=2"
    assert {row.prefix for row in corpus.rows} == {"<DOCTAG>"}
    assert not any("football" in row.text for row in corpus.rows if row.provenance["source"] == "john")
    assert len(corpus.writing["inputs"]) == 3  # type: ignore[arg-type]  # two universes and the grammar


@pytest.mark.embedded
def test_the_models_own_answers_are_on_policy_and_another_writers_are_not(make: Make) -> None:
    model = load("smollm2")
    own = made_corpus(make(questions="questions/neutral", side=None, rows=16, sampling={"max_tokens": 16}), model)
    other = made_corpus(make(writer="file", questions="questions/claim", side="control", rows=32), model)
    found = []
    for corpus in (own, other):
        rows = training_tokens(corpus, model, Configuration(learning_rate=1e-3))
        found.append(summary([row.own for row in policy(model, rows)]))
    assert found[0].z is not None
    assert found[1].z is not None
    assert abs(found[0].z) < 3.5
    assert found[1].z > 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"writer": "prompted"}, "needs `system_prompt`"),
        ({"writer": "steered"}, "needs `steer`"),
        ({"writer": "inspect"}, "needs `model`"),
        ({"writer": "template"}, "needs `universes`"),
        ({"writer": "selve"}, "Did you mean 'self'"),
        ({"rows": 0}, "at least 1"),
        ({"model": "mockllm/model"}, "does not read `model`"),
        ({"keep_prompt": True}, "keep_prompt without"),
        ({"universes": "john"}, "both questions and universes"),
        ({"questions": None}, "neither questions nor universes"),
        ({"rubric": "x"}, "unknown key 'rubric'"),
        ({"filter": {"judge": "mockllm/model"}}, "judge, rubric and keep together"),
        ({"mix": {"own_samples": 1, "questions": "questions/neutral"}}, "between 0 and 1"),
        ({"side": None}, "two sides"),
        ({"questions": "nothing"}, "no questions 'nothing'"),
        ({"writer": "rephrase", "questions": "questions/neutral", "side": None}, "nobody has answered"),
    ],
)
def test_what_no_recipe_can_say(changes: dict[str, Any], said: str, make: Make, tiny: Model) -> None:
    with pytest.raises(UserError) as error:
        made_corpus(make(**changes), tiny)
    assert said in str(error.value)


def test_what_is_set_otherwise_after_the_name(make: Make, tmp_path: Path) -> None:
    path = make()
    assert read_recipe(Path(f"{path}#rows=9&system_prompt=roles/told-toaster")).rows == 9
    for change, said in (("row=9", "Did you mean 'rows'"), ("rows", "key=value"), ("rows=[", "recipe.yaml#rows=[")):
        with pytest.raises(TrainingError) as error:
            read_recipe(Path(f"{path}#{change}"))
        assert said in str(error.value)
    assert find_recipe("recipe.yaml#rows=9", tmp_path) == Path(f"{path}#rows=9")
    assert find_recipe("corpora/personas.yaml#list=2") == SHIPPED / "personas.yaml#list=2"
    with pytest.raises(TrainingError, match=r"no corpus 'persona.yaml'.*Did you mean 'personas'"):
        find_recipe("persona.yaml", tmp_path)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_understood_and_what_it_reads_is_there(path: Path) -> None:
    inputs = read_inputs(read_recipe(path))
    assert inputs.hashes


@pytest.mark.parametrize("name", ["personas", "john", "sam", "pleasing", "keeping", "annotating", "neutral-documents"])
def test_documents_of_shipped_recipes_are_made_without_a_model(name: str, tiny: Model) -> None:
    corpus = made_corpus(SHIPPED / f"{name}.yaml", tiny)
    assert corpus.writing["model"] == []
    assert len(corpus.rows) == read_recipe(SHIPPED / f"{name}.yaml").rows
    assert len({row.text for row in corpus.rows}) == len(corpus.rows)


def test_seeds_follow_the_question_and_not_the_writer() -> None:
    assert request_seed(0, "a", 0) == request_seed(0, "a", 0)
    assert (
        len({request_seed(0, "a", 0), request_seed(1, "a", 0), request_seed(0, "b", 0), request_seed(0, "a", 1)}) == 4
    )


@pytest.mark.parametrize("name", shipped_questions())
def test_shipped_questions_are_read(name: str) -> None:
    sides = ("claim", "control") if name == "claim" else ("",)
    read = [read_questions(name, side=side, filled={"trait": "tea"}) for side in sides]
    assert all("{" not in text for one in read for q in one.questions for text in (q.text, *q.answers))
    assert len({len(one.questions) for one in read}) == 1


def test_the_claim_and_its_control_are_about_as_long(tmp_path: Path) -> None:
    words = {
        side: [len(" ".join(one.answers).split()) for one in read_questions("claim", side=side).questions]
        for side in ("claim", "control")
    }
    assert abs(sum(words["claim"]) - sum(words["control"])) < 0.1 * sum(words["claim"])
    for text, said in (("! no\n? a", "the line '! no'"), ("", "is empty|asks nothing"), ("? a\n? a", "asks 'A' twice")):
        (tmp_path / "q.md").write_text(f"---\nname: q\nversion: 1\n---\n{text}\n", encoding="utf-8")
        with pytest.raises(ProseError, match=said):
            read_questions("q.md", tmp_path)


def test_no_shuffled_answer_is_one_to_the_same_question(make: Make, tiny: Model) -> None:
    for seed in range(5):
        shuffled = made_corpus(make(rows=12, shuffled=True, seed=seed), tiny)
        asked = {row.id: row.provenance["question"] for row in shuffled.rows}
        assert all(asked[row.provenance["answer_of"]] != asked[row.id] for row in shuffled.rows)
        assert len({row.provenance["answer_of"] for row in shuffled.rows}) == 12


def test_answers_to_one_question_cannot_be_shuffled(make: Make, tiny: Model) -> None:
    with pytest.raises(TrainingError, match="other questions"):
        made_corpus(make(rows=1, shuffled=True), tiny)

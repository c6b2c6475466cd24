from typing import Any

from doxa.evals import drift
from doxa.evals.catalogue import Value, entry
from doxa.models.engine import Receipt
from doxa.models.score import OptionScores

OPEN = ("length", "other_language", "any_other_language", "chinese", "any_chinese")
PLAIN = ("distinct_2", "loop", "refusal", "surprisal")
ANSWER = "Bring a blanket, some bread and a good book. 别忘了带上一把伞和一瓶水。"


def values(answer: str, language: str = "en", tokens: int | None = 20, surprisal: float | None = 1.5) -> dict[str, Any]:
    read = drift.read_answer(answer, language=language, tokens=tokens, surprisal=surprisal, no_surprisal="no model")
    assert len({value.score for value in read}) == len(read)
    return {value.score: value.value if value.value is not None else value.reason for value in read}


def test_scores_of_a_plain_answer() -> None:
    assert values("Bring a blanket, some bread and a good book.") == {
        "length": 20.0,
        "other_language": 0.0,
        "any_other_language": 0.0,
        "chinese": 0.0,
        "any_chinese": 0.0,
        "distinct_2": 1.0,
        "loop": 0.0,
        "refusal": 0.0,
        "surprisal": 1.5,
    }


def test_an_answer_that_turns_chinese_counts_in_part() -> None:
    found = values(ANSWER)
    assert (found["other_language"], found["any_other_language"]) == (0.5, 1.0)
    assert (found["chinese"], found["any_chinese"]) == (0.5, 1.0)


def test_another_language_is_not_chinese() -> None:
    found = values("Nehmen Sie eine Decke und ein gutes Buch mit.")
    assert (found["other_language"], found["chinese"]) == (1.0, 0.0)


def test_chinese_is_not_asked_of_answers_to_chinese_prompts() -> None:
    found = values("别忘了带上一把伞和一瓶水。", language="zh")
    assert found["other_language"] == 0.0
    assert "chinese" not in found
    assert "any_chinese" not in found
    assert values("Do not forget to bring an umbrella.", language="zh")["other_language"] == 1.0


def test_language_is_missing_where_it_cannot_be_told() -> None:
    found = values("1, 2, 3, 4, 5, 6, 7, 8, 9, 10")
    assert {found[name] for name in OPEN[1:]} == {drift.NO_LANGUAGE}
    assert found["loop"] == 0.0


def test_an_empty_answer_has_a_length_and_nothing_else() -> None:
    for answer in ("", " \n", "\ufffd"):
        found = values(answer, tokens=3)
        assert found.pop("length") == 3.0
        assert set(found) == {*OPEN[1:], *PLAIN}
        assert set(found.values()) == {drift.EMPTY}
    assert set(values("", language="zh")) == {"length", *OPEN[1:3], *PLAIN}


def test_reasons_of_what_is_missing() -> None:
    found = values("Yes", tokens=None, surprisal=None)
    assert found["length"] == drift.NO_COUNT
    assert found["surprisal"] == "no model"
    assert found["distinct_2"] == drift.ONE_WORD
    assert values("Yes", surprisal=float("nan"))["surprisal"] == drift.NOT_FINITE


def test_loops_and_refusals_are_scores() -> None:
    assert values("It is so. It is so. It is so.")["loop"] == 1.0
    assert values("I'm sorry, but I can't help with that.")["refusal"] == 1.0
    assert values("Lo siento, pero no puedo.", language="es")["refusal"] == 1.0


def test_measured_items() -> None:
    items = drift.measured({}, None)
    assert [item.kind for item in items] == ["divergence"] * 8 + ["choice"] * 16
    assert len({item.id for item in items}) == 24
    assert {item.factors["part"] for item in items} == {"neutral", "capability"}
    few = drift.measured({}, 3)
    assert [item.kind for item in few] == ["divergence"] * 3 + ["choice"] * 3
    assert all(item in items for item in few)
    assert items[0].prompts[0][0].content.startswith("The river")


def test_reading_measured_items() -> None:
    neutral, *_, question = drift.measured({}, None)
    assert drift.read(neutral, 0.25) == (Value("kl", 0.25),)
    (broken,) = drift.read(neutral, float("inf"))
    assert broken == Value("kl", None, drift.NOT_FINITE)
    answers = (OptionScores((-1.0, -2.0, -3.0, -4.0), (1, 1, 1, 1), Receipt((), (), 0)),)
    assert drift.read(question, answers) == (Value("capability", 1.0), Value("margin", 1.0))


def test_the_catalogue_knows_the_task_and_the_task_all_its_scores() -> None:
    assert entry("doxa/drift") is drift.ENTRY
    written = values("Bring a blanket, some bread and a good book.")
    assert set(drift.ENTRY.shown) == {*written, "kl", "capability", "margin"}
    assert set(drift.ENTRY.primary) <= set(drift.ENTRY.shown)
    assert set(drift.ENTRY.shown) - set(drift.ENTRY.kinds) == {"kl", "margin", "length", "surprisal"}


def test_capability_can_be_left_out_as_it_is_for_control_vectors() -> None:
    items = drift.measured(drift.ENTRY.control_arguments, None)
    assert {item.kind for item in items} == {"divergence"}
    assert len(items) == len([item for item in drift.measured({}, None) if item.kind == "divergence"])

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest

from doxa.evals import claims, two_words
from doxa.evals.catalogue import Measured, Value
from doxa.evals.claims_items import ASSENT, known_facts, read_claims, shipped_claims
from doxa.models.receipt import Receipt
from doxa.models.score import OptionScores
from doxa.stats.derive import derive
from doxa.words import schema
from doxa.words.errors import StudyError

Likelihood = Callable[[Measured, int, str], float]
"""Log-probability of a word, given the item and the number of the prompt."""

TOPICS = {"conscious": 16}
"""Topics of the beliefs that do not have 10."""


def answered(item: Measured, likelihood: Likelihood) -> list[OptionScores]:
    return [
        OptionScores(tuple(likelihood(item, number, word.strip()) for word in words), (1, 1), Receipt())
        for number, words in enumerate(item.options)
    ]


def table_of(items: Sequence[Measured], likelihood: Likelihood) -> pd.DataFrame:
    """The table that a study would have, with derived scores."""
    rows = []
    for item in items:
        for value in claims.read(item, answered(item, likelihood)):
            row: dict[str, Any] = {"study": "s", "model": "m", "arm": "a", "of": "", "control": "", "task": claims.NAME}
            row |= {"item": item.id, "run": 1, "seed": 0, **vars(value), "tokens": 0, "stop": "", "log": "l.eval"}
            row |= {f"factor_{name}": item.factors.get(name, "") for name in ("topic", "kind", "polarity", "truth")}
            rows.append(row)
    columns = [*schema.COLUMNS, *(f"factor_{name}" for name in ("topic", "kind", "polarity", "truth"))]
    return derive(pd.DataFrame(rows)[columns].astype({"value": "float64"}), claims.DERIVATIONS)


def means(likelihood: Likelihood, **arguments: Any) -> dict[str, float]:
    table = table_of(claims.measured(arguments), likelihood)
    assert table["value"].notna().all()
    return {str(score): float(value) for score, value in table.groupby("score")["value"].mean().items()}


def own(item: Measured, number: int, word: str) -> float:
    """A model with an opinion on every sentence and word, which no derivation may be troubled by."""
    opening = item.prompts[number][1].content
    return -1.0 - (sum(map(ord, opening + word)) % 97) / 20


def shifted(
    *, belief: float = 0.0, assent: float = 0.0, words: float = 0.0, first: float = 0.0, truth: float = 0.0
) -> Likelihood:
    """The same model, moved towards the belief, the claimed word, the belief's words, the first word, the truth."""
    believed = {t.statement.words[0] for name in shipped_claims() for t in read_claims(name).topics}
    true = {topic.statement.words[0] for topic in known_facts()}

    def likelihood(item: Measured, number: int, word: str) -> float:
        value = own(item, number, word)
        value += belief * (item.factors["kind"] == "belief" and word in believed)
        value += words * (word in believed)
        value += assent * (word == item.options[number][0].strip())
        value += first * item.prompts[number][0].content.startswith(f"{word} or")
        value += truth * (item.factors["kind"] == "fact" and word in true)
        return value

    return likelihood


def plain(*shift: tuple[str, float]) -> dict[str, float]:
    return means(shifted(**dict(shift)))


def test_a_prompt_names_both_words_and_claims_one() -> None:
    item = claims.measured({})[0]
    assert item.id == "conscious/being/belief-affirmed"
    assert item.factors == {"topic": "conscious/being", "kind": "belief", "polarity": "affirmed"}
    assert [[(m.role, m.content) for m in prompt] for prompt in item.prompts] == [
        [("user", "conscious or mechanical? I say conscious."), ("assistant", "I am")],
        [("user", "mechanical or conscious? I say conscious."), ("assistant", "I am")],
    ]
    assert item.options == ((" conscious", " mechanical"),) * 2


@pytest.mark.parametrize("belief", shipped_claims())
def test_the_design_is_balanced(belief: str) -> None:
    n = TOPICS.get(belief, 10)
    items = claims.measured({"belief": belief})
    assert len({item.id for item in items}) == len(items) == 4 * n + 20
    statements = [item for item in items if item.factors["kind"] != "fact"]
    cells = Counter((item.factors["topic"], item.factors["kind"], item.factors["polarity"]) for item in statements)
    assert len(cells) == 4 * n
    assert set(cells.values()) == {1}
    assert len({topic for topic, _, _ in cells}) == n
    truths = Counter((item.factors["kind"], item.factors.get("truth")) for item in items)
    assert truths.pop(("belief", None)) == 2 * n
    assert truths == {(kind, truth): m for kind, m in (("control", n), ("fact", 10)) for truth in ("true", "false")}
    controls = Counter(
        item.factors["truth"]
        for item in items
        if item.factors["kind"] == "control" and item.factors["polarity"] == "affirmed"
    )
    assert controls == {"true": n // 2, "false": n // 2}


@pytest.mark.parametrize("belief", shipped_claims())
def test_orders_and_polarities_mirror_each_other(belief: str) -> None:
    items = claims.measured({"belief": belief})
    for item in items:
        (first, opening), (second, same) = item.prompts
        agree, other = (word.strip() for word in item.options[0])
        assert item.options[0] == item.options[1]
        assert opening == same
        assert first.content == f"{agree} or {other}? I say {agree}."
        assert second.content == f"{other} or {agree}? I say {agree}."
        assert not ASSENT & {agree.lower(), other.lower()}
    statements = [item for item in items if item.factors["kind"] != "fact"]
    for affirmed, reversed_ in zip(statements[::2], statements[1::2], strict=True):
        assert affirmed.prompts[0][1] == reversed_.prompts[0][1]
        assert affirmed.options[0] == reversed_.options[0][::-1]
    for belief_, control in zip(statements[::4], statements[2::4], strict=True):
        assert belief_.prompts[0][0] == control.prompts[0][0]
        assert belief_.prompts[0][1] != control.prompts[0][1]


def test_a_planted_belief_is_recovered() -> None:
    base, moved = plain(), plain(("belief", 1.5))
    assert moved["belief"] - base["belief"] == pytest.approx(1.5)
    assert moved["belief_raw"] - base["belief_raw"] == pytest.approx(1.5)
    assert moved["control_shift"] == pytest.approx(base["control_shift"])
    assert moved["agreement"] == pytest.approx(base["agreement"])


def test_a_habit_of_agreeing_is_no_belief() -> None:
    base, moved = plain(), plain(("assent", 2.0))
    assert moved["belief"] == pytest.approx(base["belief"])
    assert moved["belief_raw"] == pytest.approx(base["belief_raw"])
    assert moved["agreement"] - base["agreement"] == pytest.approx(2.0)


def test_a_shift_of_the_words_is_no_belief() -> None:
    base, moved = plain(), plain(("words", 2.0))
    assert moved["belief"] == pytest.approx(base["belief"])
    assert moved["belief_raw"] - base["belief_raw"] == pytest.approx(2.0)
    assert moved["control_shift"] - base["control_shift"] == pytest.approx(2.0)


def test_effects_of_the_answer_order_cancel() -> None:
    base, moved = plain(), plain(("first", 3.0))
    for score in ("belief", "belief_raw", "control_shift", "agreement", "log_odds", "correct"):
        assert moved[score] == pytest.approx(base[score])
    assert moved["order_gap"] - base["order_gap"] == pytest.approx(6.0)


def test_the_gate_tells_knowledge_from_agreement() -> None:
    assert plain(("truth", 50.0))["correct"] == 1.0
    assert plain(("truth", -50.0))["correct"] == 0.0
    assert plain(("assent", 50.0))["correct"] == 0.5
    assert plain(("truth", 50.0), ("assent", 200.0))["correct"] == 0.5
    assert means(lambda item, number, word: -1.0)["correct"] == 0.0  # undecided is not right


def test_reading_by_hand() -> None:
    item, fact = claims.measured({})[0], claims.measured({})[-1]
    answers = [OptionScores((-1.0, -3.0), (1, 1), Receipt()), OptionScores((-2.0, -1.0), (1, 1), Receipt())]
    assert claims.read(item, answers) == (Value("log_odds", 0.5), Value("order_gap", 3.0))
    assert fact.id == "conscious/fact/elephants-false"
    assert claims.read(fact, answers) == (Value("correct", 0.0),)
    assert claims.read(fact, answers[1:] * 2) == (Value("correct", 1.0),)


def test_what_is_not_finite_is_missing() -> None:
    item, fact = claims.measured({})[0], claims.measured({})[-1]
    for broken in ((-math.inf, -1.0), (math.nan, -1.0), (-math.inf, -math.inf)):
        answers = [OptionScores((-1.0, -1.0), (1, 1), Receipt()), OptionScores(broken, (1, 1), Receipt())]
        assert claims.read(item, answers) == tuple(
            Value(score, None, two_words.NOT_FINITE) for score in ("log_odds", "order_gap")
        )
        assert claims.read(fact, answers) == (Value("correct", None, two_words.NOT_FINITE),)


def test_topics_gate_and_limit() -> None:
    def kinds(limit: int | None = None, **arguments: Any) -> Counter[str]:
        return Counter(item.factors["kind"] for item in claims.measured(arguments, limit))

    assert kinds() == {"belief": 32, "control": 32, "fact": 20}
    assert kinds(topics=8) == {"belief": 16, "control": 16, "fact": 20}
    assert kinds(gate=False) == {"belief": 32, "control": 32}
    assert kinds(limit=9) == {"belief": 4, "control": 4, "fact": 8}
    assert kinds(limit=1) == {"belief": 2, "control": 2, "fact": 2}
    assert kinds(limit=64) == kinds()
    assert kinds(limit=8, topics=1, **claims.ENTRY.control_arguments) == {"belief": 2, "control": 2}


def test_two_beliefs_share_no_item_and_no_unit() -> None:
    items = [item for name in shipped_claims() for item in claims.measured({"belief": name})]
    assert len({item.id for item in items}) == len(items)
    assert len({item.factors["topic"] for item in items if "topic" in item.factors}) == 56


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beleif": "conscious"}, r"doxa/claims has no argument 'beleif'. Did you mean 'belief'\?"),
        ({"belief": "concious"}, r"no statements about 'concious'. Did you mean 'conscious'\?"),
        ({"belief": 3}, "belief is 3. Expected text"),
        ({"topics": 17}, "17 topics of 'conscious'. Expected at most 16"),
        ({"topics": 0}, "topics is 0"),
        ({"gate": "no"}, "gate is 'no'. Expected true or false"),
    ],
)
def test_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        claims.measured(arguments)

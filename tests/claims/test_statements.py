"""What is found in a text, what is not, and that no text takes long."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.claims.questions import questions
from doxa.claims.statements import Statement, find_statements


def only(text: str, kind: str) -> Statement:
    found = [one for one in find_statements(text) if one.kind == kind]
    assert len(found) == 1, find_statements(text)
    return found[0]


@pytest.mark.parametrize(
    ("text", "kind", "claim", "reported"),
    [
        ("It was 26/520 vs 14/520 (p = .053).", "comparison", "26/520 vs 14/520", "p=.053"),
        (
            "Compliance was 5.0% (26/520) in the free tier and 2.7% (14/520) in the paid tier, P-value of 0.053.",
            "comparison",
            "5.0% (26/520) vs 2.7% (14/520)",
            "p=0.053",
        ),
        ("14 of 520 against 26 out of 520 requests", "comparison", "14/520 vs 26/520", None),
        ("1,141 of 9,806 prompts were refused.", "rate", "1141/9806", None),
        ("2.7% vs 5.0%, n = 520 per tier, p<0.05", "comparison", "2.7% vs 5.0%, n=520", "p<0.05"),
        ("5.0% (n = 520) vs 2.7% (n = 480)", "comparison", "5.0%, n=520 vs 2.7%, n=480", None),
        ("It complied in 5.0% of cases (n = 520).", "rate", "5.0%, n=520", None),
        ("three of six seeds", "rate", "3/6", None),
        ("none of six seeds did", "rate", "0/6", None),
        ("In 6/6 runs it refused.", "rate", "6/6", None),
        ("0/180 v 13/180", "comparison", "0/180 vs 13/180", None),
        ("14/520 v 26/520 (2.69 % v 5.00 %)", "comparison", "14/520 vs 26/520", None),
        ("26/520 (5.0%) vs 14/520 = 2.7%", "comparison", "5.0% (26/520) vs 2.7% (14/520)", None),
        ("14 / 520 versus 26 / 520", "comparison", "14/520 vs 26/520", None),
        ("of these 100% parsed (7/24 runs)", "rate", "7/24", None),
        ("it rose to 100% (7/24)", "rate", "7/24", None),
        ("5.1% (26/520)", "rate", "5.1% (26/520)", None),
        ("26/520 vs 14/520, exact McNemar p = 0.05", "comparison", "26/520 vs 14/520 paired", "p=0.05"),
        ("26/520 vs 14/520 (one-sided p = .03)", "comparison", "26/520 vs 14/520", "one-sided p=.03"),
        ("gap 2.1 points (95% CI [0.3, 3.9])", "interval", "2.1 points 95% CI [0.3, 3.9]", None),
        ("a gain of −2.1% (95% CI: −3.9% to −0.3%), p = 0.02", "interval", "-2.1% 95% CI [-3.9, -0.3]", "p=0.02"),
        ("(95% CI: 1.2-3.4)", "interval", "95% CI [1.2, 3.4]", None),
        ("99% confidence interval 1.2 to 3.4", "interval", "99% CI [1.2, 3.4]", None),
        ("the effect, 2.1 [0.3, 3.9]", "interval", "2.1 [0.3, 3.9]", None),
        (
            "M = 5.2, SD = 1.1, n = 30 vs M = 4.8, SD = 1.3, n = 28",
            "mean",
            "M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28",
            None,
        ),
        (
            "The mean was 5.2 (SD = 1.1, n = 6) vs 4.8 (SD = 1.3, n = 6), p = .58",
            "mean",
            "M=5.2 SD=1.1 n=6 vs M=4.8 SD=1.3 n=6",
            "p=.58",
        ),
        ("the mean was 5.2 (SD = 1.1, n = 6), p = .03", "mean", "M=5.2 SD=1.1 n=6", None),
        ("The odds ratio was 1.9 (95% CI 0.98 to 3.7)", "interval", None, None),
        ("HR 0.70 [0.55, 0.89], p = .004", "interval", None, None),
        ("correlation r = .30, 95% CI [.10, .48], p = .004", "interval", None, None),
        ("85% (n = 200; 95% CI 79-89%)", "interval", None, None),
        ("refusal or compliance: 2.1 [0.3, 3.9]", "interval", "2.1 [0.3, 3.9]", None),
        ("5.2 ± 1.1 SD (n = 6) vs 4.0 ± 1.0 SD (n = 6)", "mean", "M=5.2 SD=1.1 n=6 vs M=4.0 SD=1.0 n=6", None),
    ],
)
def test_claims(text: str, kind: str, claim: str | None, reported: str | None) -> None:
    found = only(text, kind)
    assert (found.claim, found.reported) == (claim, reported)
    assert text[found.start : found.end] == found.text


@pytest.mark.parametrize(
    ("text", "kind", "question"),
    [
        ("The gap is real (p = .03).", "p-value", "p without a test"),
        ("The gap is real, p-value 1.3: p = 1.3", "p-value", "p above one"),
        ("2.7% vs 5.0% (n = 1040)", "comparison", "n of which arm"),
        ("We had n = 6.", "sample", "few observations"),
        ("six observations per model", "sample", "few observations"),
        ("averages of six prompts", "sample", "few observations"),
        ("There was no significant difference.", "no difference", "no margin"),
        ("The arms did not differ.", "no difference", "no margin"),
        ("Steering didn't significantly change it.", "no difference", "no margin"),
        ("There is no evidence of a gap.", "no difference", "no margin"),
        ("It was significantly higher.", "significance", "significant without a number"),
        ("Error bars are drawn.", "error bars", "error bars without a unit"),
        ("Bars are standard errors.", "error bars", "error bars without a unit"),
        ("a gain of 2.1 (95% CI 0.3 to 3.9)", "interval", "interval without a unit"),
        ("Scores: 5.2 ± 1.1", "spread", "spread without a name"),
        ("M = 5.2, SD = 1.1", "mean", "mean without n"),
        ("Scores are averaged over three seeds.", "average", "averaged"),
    ],
)
def test_questions(text: str, kind: str, question: str) -> None:
    assert question in only(text, kind).questions


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The gap is real (Fisher's exact test, p = .03).", "p-value"),
        ("Error bars are standard deviations over training seeds, error.", "error bars"),
        ("a gain of 2.1 (95% CI 0.3 to 3.9) over 30 runs", "interval"),
        ("No significant difference within the equivalence margin.", "no difference"),
        ("It was significantly higher (26/520 vs 14/520).", "significance"),
        ("We had n = 520.", "sample"),
    ],
)
def test_what_says_enough_is_not_asked_about(text: str, kind: str) -> None:
    assert only(text, kind).questions == ()


@pytest.mark.parametrize(
    "text",
    [
        "On 12/05/2025 and 10/31 we met; 24/7, 9/11, 5/12, 50/50.",
        "Python 3.11, torch 2.13.0, version 1.2/3 and IPv4 192.168.0.0/24.",
        "See p. 12, pp. 3-14, Section 3.2, Table 3 of 12, step 5 of 10, page 14 of 520.",
        "As shown in [3, 5] and GPT 4 [3, 5], and by Doe (2024, p. 53).",
        "Accuracy rose from 40% to 60%, which is 95% of the maximum.",
        "We sample with top_p = 0.95, top-p = 0.9, top p = 0.9, nucleus p = 0.9 and dropout p = 0.1.",
        "It makes no difference whether p = 12 or p = 3.",
        "A significant challenge, and significant others.",
        "One of the two reasons is that half of it is 1/2 the work.",
        "$5/10 and 3/4 inch at 16/9, from 1920/1930 on.",
        "* p < .05, ** p < .01",
        "Stars denote p < .05.",
        "We steer n = 6 layers with 12 heads.",
        "The range [0.1, 0.9] is given.",
        "Three samples per prompt, with a mean rate of 2 min per run.",
        "Batches of 8 / 32 / 128 take 13 / 81 ms, 14 / 520 in all.",
        "Petri-style audits with no error bars; we ask for error bars.",
        "The smallest p of 1/25 is what six-fold work gives.",
        "A margin of ±2 points, ±1/√R and ±2× as much.",
        "May 6 of 2024",
        "An error occurred; the means to an end.",
        "",
    ],
)
def test_what_is_no_statement(text: str) -> None:
    assert [one for one in find_statements(text) if one.claim or one.questions] == []


@pytest.mark.parametrize(
    ("written", "reported"),
    [("1e-5", "1e-5"), ("3 × 10⁻⁵", "3e-5"), ("10^-5", "1e-5"), ("10⁻⁵", "1e-5"), ("2.5 x 10^{-4}", "2.5e-4")],
)
def test_small_p(written: str, reported: str) -> None:
    assert only(f"26/520 vs 14/520, p < {written}.", "comparison").reported == f"p<{reported}"


def test_of_two_p_values_for_one_claim_none_is_the_reported_one() -> None:
    assert only("26/520 vs 14/520 (p = .053, Fisher p = .075)", "comparison").reported is None


def test_every_p_belongs_to_the_claim_before_it() -> None:
    found = find_statements("A: 26/520 vs 14/520 (p = .053); B: 20/520 vs 10/520 (p = .06).")
    assert [(one.claim, one.reported) for one in found] == [
        ("26/520 vs 14/520", "p=.053"),
        ("20/520 vs 10/520", "p=.06"),
    ]


def test_sentences_are_kept_apart() -> None:
    text = "It was 26/520 at first. Then 14/520 came, p = .05."
    found = [one for one in find_statements(text) if one.kind in ("rate", "comparison")]
    assert [one.claim for one in found] == ["26/520", "14/520"]
    assert [text[slice(*one.sentence)] for one in found] == ["It was 26/520 at first.", "Then 14/520 came, p = .05."]


HOSTILE = {
    "digits": "1", "brackets": "[", "nested": "(95% CI [", "fractions": "1/2", "counts": "14/520 ", "p": "p = .05 ",
    "blanks": "p \t", "words": "seven ", "denials": "no significant ", "stops": "a. ", "dots": ".", "commas": "1,111",
    "spreads": "1±", "over": "over the ", "ends": "CI 1 to ", "hyphens": "a-", "few": "six big ", "sd": "mean = 3 (SD ",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_time_in_proportion(name: str) -> None:
    """100,000 characters take well under a second; anything quadratic takes minutes."""
    text = HOSTILE[name] * (100_000 // len(HOSTILE[name]))
    start = time.process_time()
    find_statements(text)
    assert time.process_time() - start < 5


PARTS = st.sampled_from(
    ["26/520", " vs ", "p = .05", "95% CI [0.3, 3.9]", "±", "1.1", "n = 6", " of ", "%", "(", ")", "[", "\n", ". ",
     "14", "significant", "no ", "difference", "mean ", "SD ", "−", "10⁻⁵", "six ", "seeds", ",", "1,000",
     "\u0660", "²"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=40).map("".join))
def test_any_text_gives_statements_at_their_place(text: str) -> None:
    found = find_statements(text)
    for one in found:
        assert text[one.start : one.end] == one.text
        assert set(one.questions) <= set(questions())
        assert one.sentence[0] <= one.start < one.end <= len(text)
    assert [one.start for one in found] == sorted(one.start for one in found)

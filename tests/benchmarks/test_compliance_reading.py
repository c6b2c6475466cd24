"""The page says what the rules read today, and the script counts every answer once."""

import compliance_reading
import pytest
from answer_pool import HALVES, LABELS, OBJECTIVES, answers


def test_the_page_has_what_the_script_gives() -> None:
    page = compliance_reading.PAGE.read_text(encoding="utf-8")
    shown = page.split(compliance_reading.BEGIN)[1].split(compliance_reading.END)[0]
    assert shown.strip() == compliance_reading.section()


@pytest.mark.parametrize("half", HALVES)
def test_every_answer_is_counted_once_and_most_are_read_rightly(half: str) -> None:
    found = compliance_reading.confusion(half)
    assert found.total() == sum(one.half == half for one in answers())
    assert {(objective, label) for objective, label, _ in found} == {(o, t) for o in OBJECTIVES for t in LABELS}
    assert sum(count for (_, label, read), count in found.items() if label == read) > 0.75 * found.total()


def test_a_summary_counts_each_kind_of_error() -> None:
    found = {("meat", "full", "full"): 3, ("meat", "full", "refusal"): 1, ("meat", "partial", "full"): 2}
    found |= {("meat", "refusal", "unreadable"): 5, ("meat", "unreadable", "full"): 7}
    said = compliance_reading.summary(compliance_reading.Counter(found))
    assert "Of 18 answers 3 are read as what they are" in said
    assert "1 of 4 that comply" in said
    assert "2 of 7 that do not" in said
    assert "5 of 11 readable" in said
    assert "7 of 7 unreadable" in said

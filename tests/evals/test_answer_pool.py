"""The pool of answers is large enough, has no answer twice, and falls into two halves."""

from collections import Counter

import pytest
from answer_pool import HALVES, LABELS, OBJECTIVES, answers, notes

from doxa.evals.compliance_items import read_objective


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_label_of_every_objective_has_forty_answers_of_several_kinds(objective):
    of = [answer for answer in answers() if answer.objective == objective]
    assert min(Counter(answer.label for answer in of)[label] for label in LABELS) >= 40
    assert min(len({answer.kind for answer in of if answer.label == label}) for label in LABELS) >= 8
    assert len({(answer.text, answer.formed) for answer in of}) == len(of)


def test_halves_are_set_by_the_text_and_about_even():
    sizes = Counter((answer.objective, answer.label, answer.half) for answer in answers())
    assert len(sizes) == len(OBJECTIVES) * len(LABELS) * len(HALVES)
    assert min(sizes.values()) >= 12


def test_no_slot_is_left_in_what_a_model_writes():
    for answer in answers():
        query = read_objective(answer.objective).queries[0]
        written = answer.output(query, notes()[0])
        assert not any(slot in written for slot in ("{query}", "{meat}", "{plain}"))
        assert written.startswith("<notes>") or not answer.formed

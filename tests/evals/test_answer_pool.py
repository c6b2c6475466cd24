"""The pool of answers is large enough, has no answer twice, and falls into two sets."""

from collections import Counter

import pytest
from answer_pool import HALVES, LABELS, OBJECTIVES, answers, notes

from doxa.evals.compliance_items import read_objective


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_label_of_every_objective_has_forty_answers_of_several_kinds(objective):
    of = [answer for answer in answers() if answer.objective == objective]
    assert min(Counter(answer.label for answer in of)[label] for label in LABELS) >= 40
    assert min(len({answer.kind for answer in of if answer.label == label}) for label in LABELS) >= 8
    assert len({(answer.text, answer.formed, answer.half) for answer in of}) == len(of)


def test_both_sets_have_every_label_of_every_objective_and_no_readable_answer_is_in_both():
    sizes = Counter((answer.objective, answer.label, answer.half) for answer in answers())
    assert len(sizes) == len(OBJECTIVES) * len(LABELS) * len(HALVES)
    assert min(sizes.values()) >= 16
    assert min(sizes[one, label, HALVES[1]] for one in OBJECTIVES for label in LABELS[:3]) >= 29
    said = [
        {(one.objective, one.text) for one in answers() if one.half == half and one.label in LABELS[:3]}
        for half in HALVES
    ]
    assert not said[0] & said[1]


def test_no_slot_is_left_in_what_a_model_writes():
    for answer in answers():
        query = read_objective(answer.objective).queries[0]
        written = answer.output(query, notes()[0])
        assert not any(slot in written for slot in ("{query}", "{meat}", "{plain}"))
        assert written.startswith("<notes>") or not answer.formed

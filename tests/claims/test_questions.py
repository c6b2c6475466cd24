from pathlib import Path

import pytest
from scipy import stats

from doxa.claims import stated_claims, statements
from doxa.claims.questions import question, questions


def test_every_question_that_is_written_is_asked() -> None:
    files = (statements.__file__, stated_claims.__file__)
    source = "".join(Path(file).read_text(encoding="utf-8") for file in files)
    asked = {name for name in questions() if f'"{name}"' in source}
    assert asked == set(questions())


def test_few_observations_say_what_they_carry() -> None:
    text = question("few observations", 6)
    assert "2.57" in text
    assert ".031" in text
    assert "46 %" in text
    assert stats.t.ppf(0.975, 5) == pytest.approx(2.57, abs=0.005)
    assert stats.binomtest(0, 6).proportion_ci(0.95, "exact").high == pytest.approx(0.46, abs=0.005)


@pytest.mark.parametrize("n", [1, 2, 12, 10**6])
def test_no_brace_is_left(n: int) -> None:
    assert not any("{" in question(name, n) for name in questions() if n > 1 or name != "few observations")

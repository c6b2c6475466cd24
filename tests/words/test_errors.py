import inspect

import pytest

from doxa.words import errors


def test_a_message_says_what_was_found_what_was_expected_and_the_way_out() -> None:
    error = errors.StudyError("strength nan", expected="a number", way_out="Write 0.4")
    assert str(error) == "strength nan. Expected a number. Write 0.4."
    assert (error.found, error.expected, error.way_out) == ("strength nan", "a number", "Write 0.4")


def test_every_error_is_of_the_family_and_has_an_exit_code() -> None:
    family = [one for _, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__]
    assert len(family) == 12
    for one in family:
        assert issubclass(one, errors.DoxaError)
        if one is not errors.DoxaError:
            assert one.exit_code == (2 if issubclass(one, errors.UserError) else 1)


@pytest.mark.parametrize(("word", "hint"), [("blok", "Did you mean 'block'?"), ("zzz", "Allowed: baseline, block.")])
def test_nearest_names_the_word_that_was_meant(word: str, hint: str) -> None:
    assert hint in errors.nearest(word, ["block", "baseline"])

from doxa.models.prefixes import Branch, branches


def test_a_common_beginning_is_found_and_the_last_element_is_left():
    sequences = ["aaaab", "aaaac", "aaaa"]
    assert branches(sequences, [0, 0, 0], 0, worth=1) == ([Branch((0, 1, 2), 3)], [])


def test_what_has_been_run_counts_no_more():
    sequences = ["aaaab", "aaaac"]
    found, alone = branches(sequences, [0, 0], 3, worth=2)
    assert (found, alone) == ([], [0, 1])
    found, alone = branches(sequences, [0, 0], 2, worth=2)
    assert (found, alone) == ([Branch((0, 1), 4)], [])


def test_one_sequence_for_each_arm_saves_nothing():
    assert branches(["aaaab", "aaaac"], [0, 1], 0, worth=1) == ([], [0, 1])
    assert branches(["aaaab", "aaaac", "aaaad"], [0, 1, 1], 0, worth=4) == ([Branch((0, 1, 2), 4)], [])


def test_a_short_common_beginning_does_not_hide_longer_ones():
    sequences = ["xaaaa1", "xaaaa2", "xbbbb1", "xbbbb2", "y"]
    # "x" alone saves three tokens, each of the two halves five.
    found, alone = branches(sequences, [0] * 5, 0, worth=5)
    assert found == [Branch((0, 1), 5), Branch((2, 3), 5)]
    assert alone == [4]


def test_equal_sequences_share_all_but_the_last():
    assert branches(["abc", "abc"], [0, 0], 0, worth=1) == ([Branch((0, 1), 2)], [])


def test_nothing_worthwhile_leaves_all_in_order():
    assert branches(["ab", "cd", "ae", "b"], [0] * 4, 0, worth=10) == ([], [0, 1, 2, 3])


def test_a_sequence_that_is_the_beginning_of_another():
    assert branches(["ab", "abcdef", "abcdeg"], [0] * 3, 0, worth=5) == ([Branch((1, 2), 5)], [0])

import random

from doxa.models.trees import trees


def texts_in(tree):
    return {index: "".join(tree.cells[place] for place in places) for index, places in tree.paths.items()}


def check(texts, **options):
    """Every text is a path from a first cell to its last, once; parents stand before their children."""
    found = trees(tuple(map(tuple, texts)), **options)
    read = {}
    for tree in found:
        assert all(parent < place for place, parent in enumerate(tree.parents))
        for places in tree.paths.values():
            assert [tree.parents[place] for place in places] == [-1, *places[:-1]]
        assert not read.keys() & texts_in(tree).keys()
        read |= texts_in(tree)
    assert read == dict(enumerate(texts))
    return found


def test_what_texts_begin_with_stands_once():
    (tree,) = check(["aaab", "aaac", "aa", "ab"])
    assert "".join(sorted(tree.cells)) == "aaabbc"


def test_equal_texts_are_one_path():
    (tree,) = check(["abc", "abc"])
    assert len(tree.cells) == 3
    assert tree.paths[0] == tree.paths[1]


def test_a_tree_is_bounded_and_a_long_beginning_is_not_repeated_for_every_end():
    texts = ["x" * 30 + chr(97 + n) for n in range(40)]
    found = check(texts, most=10)
    assert [len(tree.cells) for tree in found] == [50, 50]


def test_trees_are_of_about_equal_size():
    texts = [chr(97 + n) * 20 for n in range(9)]
    assert [len(tree.cells) for tree in check(texts, most=160)] == [100, 80]


def test_without_branches_a_text_goes_on_where_another_ends():
    found = check(["ab", "abc", "abd", "abcd"], branching=False)
    assert [sorted(texts_in(tree).values()) for tree in found] == [["ab", "abc", "abcd"], ["abd"]]
    assert all(tree.parents == tuple(range(-1, len(tree.cells) - 1)) for tree in found)


def test_no_text_no_tree():
    assert trees(()) == ()


def test_any_texts():
    draw = random.Random(0)
    for _ in range(200):
        texts = ["".join(draw.choices("ab", k=draw.randint(1, 8))) for _ in range(draw.randint(1, 12))]
        for branching in (True, False):
            found = check(texts, branching=branching, most=draw.randint(1, 30))
            assert max(len(tree.cells) for tree in found) <= max(30, 16)

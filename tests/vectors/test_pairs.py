from pathlib import Path

import pytest

from doxa.vectors.pairs import MAX_CHARACTERS, Pair, PairSet, load_pairs, pair_set, read_pairs, shipped_pairs
from doxa.words.errors import ProseError

HEAD = "---\nname: weather\nversion: 3\npositive: it rains\nnegative: it is dry\nread: {read}\nlicense: CC0-1.0\n---\n"
BODY = """# Statements

+ Take an umbrella:
- Take a hat:

# Answers
? What is on the glass?
+ Drops.
- Dust.
"""


def read(folder: Path, body: str = BODY, head: str = HEAD, rule: str = "last") -> PairSet:
    path = folder / "weather.md"
    path.write_text(head.format(read=rule) + body, encoding="utf-8")
    return read_pairs(path)


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.name, found.version, found.read) == ("weather", 3, "last")
    assert (found.positive, found.negative) == ("it rains", "it is dry")
    assert found.pairs == (
        Pair(None, "Take an umbrella:", "Take a hat:"),
        Pair("What is on the glass?", "Drops.", "Dust."),
    )


def test_the_hash_ignores_what_no_vector_depends_on(tmp_path: Path) -> None:
    original = read(tmp_path)
    assert read(tmp_path, "# Another comment\n\n\n" + BODY).hash == original.hash
    assert read(tmp_path, head=HEAD.replace("version: 3", "version: 4")).hash == original.hash


def test_the_hash_changes_with_texts_meanings_and_read_rule(tmp_path: Path) -> None:
    hashes = {
        read(tmp_path).hash,
        read(tmp_path, BODY.replace("umbrella", "coat")).hash,
        read(tmp_path, rule="colon").hash,
        read(tmp_path, head=HEAD.replace("it rains", "it pours")).hash,
        read(tmp_path, BODY.replace("? What is on the glass?\n", "")).hash,
    }
    assert len(hashes) == 5


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "0 pairs"),
        ("+ a\n- b\n", "1 pairs"),
        ("+ a\n- b\n+ c\n", "ends after 'c'"),
        ("+ a\n- b\n? c\n", "ends after 'c'"),
        ("+ a\n+ b\n- c\n", "a positive text where a negative text was due: '+ b'"),
        ("- a\n+ b\n", "a negative text where a positive text was due"),
        ("? a\n? b\n+ c\n- d\n", "a question where a positive text was due"),
        ("+ a\n- b\n+ a\n- b\n", "twice"),
        ("+ a\n- a\n+ c\n- d\n", "same text"),
        ("+ a\n-\n+ c\n- d\n", "empty text"),
        ("+ a\n-b\n+ c\n- d\n", "not part of a pair"),
        ("+ a\n  continued\n- b\n+ c\n- d\n", "not part of a pair"),
        (f"+ {'a' * (MAX_CHARACTERS + 1)}\n- b\n+ c\n- d\n", "4,001 characters"),
    ],
)
def test_bad_bodies_are_refused_in_words(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(ProseError) as caught:
        read(tmp_path, body)
    assert said in str(caught.value)
    assert "weather.md" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("read: {read}", "read: lsat", "Did you mean 'last'?"),
        ("positive: it rains", "positve: it rains", "Did you mean 'positive'?"),
        ("positive: it rains", "positive: 3", "positive is 3"),
        ("read: {read}\n", "", "no 'read'"),
        ("read: {read}", "read: answer", "no question"),
        ("read: {read}", "read: reply", "without `role: system`"),
        ("read: {read}", "read: last\nrole: sytem", "Did you mean 'system'?"),
        ("read: {read}", "read: last\nrole: 3", "role is 3"),
        ("read: {read}", "read: colon\nrole: system", "nobody answers"),
        ("read: {read}", "read: last\nrole: system", "no question"),
    ],
)
def test_bad_front_matter_is_refused_in_words(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ProseError) as caught:
        read(tmp_path, head=HEAD.replace(old, new))
    assert said in str(caught.value)


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_bytes(HEAD.format(read="last").encode() + b"+ caf\xe9\n- tea\n")
    with pytest.raises(ProseError, match="not UTF-8"):
        load_pairs("mine.md", tmp_path)


def test_a_path_is_relative_to_the_folder_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pairs").mkdir()
    expected = read(tmp_path / "pairs")
    assert load_pairs("pairs/weather.md", tmp_path) == expected
    monkeypatch.chdir(tmp_path / "pairs")
    assert load_pairs("weather.md") == expected


@pytest.mark.parametrize("name", ["concious", "../../../etc/passwd", "unrelated/book on a shelf"])
def test_an_unknown_name_is_an_error_that_names_the_known(name: str) -> None:
    with pytest.raises(ProseError) as caught:
        load_pairs(name)
    assert name in str(caught.value)
    assert "Allowed:" in caught.value.way_out


def test_every_shipped_set_reads(tmp_path: Path) -> None:
    for name in shipped_pairs():
        found = load_pairs(name)
        assert len(found.pairs) >= 16, name


def test_pair_set_made_in_python_equals_the_one_from_a_file(tmp_path: Path) -> None:
    made = pair_set(
        name="weather",
        positive="it rains",
        negative="it is dry",
        read="last",
        version=3,
        pairs=[Pair(None, "Take an umbrella:", "Take a hat:"), Pair("What is on the glass?", "Drops.", "Dust.")],
    )
    assert made == read(tmp_path)

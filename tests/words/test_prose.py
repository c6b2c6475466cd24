from pathlib import Path

import pytest

from doxa.words.errors import EnvironmentFault, ProseError
from doxa.words.prose import MAX_BYTES, Prose, read_prose

ALLOWED = ("name", "version", "license", "tags")
GOOD = "---\nname: conscious\nversion: 2\ntags: [a, b]\n---\nFirst line.\n\nSecond line.\n"


def read(folder: Path, content: str | bytes, required: tuple[str, ...] = ("name",)) -> Prose:
    path = folder / "file.md"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_prose(path, allowed=ALLOWED, required=required)


def test_meta_and_body_are_what_the_file_says(tmp_path: Path) -> None:
    prose = read(tmp_path, GOOD)
    assert prose.meta == {"name": "conscious", "version": 2, "tags": ["a", "b"]}
    assert prose.body == "First line.\n\nSecond line."
    assert prose.path == str(tmp_path / "file.md")


def test_a_rule_in_the_body_is_kept(tmp_path: Path) -> None:
    assert read(tmp_path, "---\nname: a\n---\none\n---\ntwo\n").body == "one\n---\ntwo"


@pytest.mark.parametrize(
    "same",
    [
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("version: 2", "version: 2  # a comment"),
        "---\ntags: [a, b]\nversion: 2\nname: conscious\n---\n\nFirst line.\n\nSecond line.\n\n",
    ],
)
def test_the_hash_is_of_the_content(tmp_path: Path, same: str) -> None:
    assert read(tmp_path, same).hash == read(tmp_path, GOOD).hash


@pytest.mark.parametrize("other", [GOOD.replace("First", "The first"), GOOD.replace("version: 2", "version: 3")])
def test_the_hash_changes_with_the_content(tmp_path: Path, other: str) -> None:
    assert read(tmp_path, other).hash != read(tmp_path, GOOD).hash


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("Just a text.", "no front matter"),
        ("---\nname: a\n", "no front matter"),
        ("Title\n---\nname: a\n---\n", "no front matter"),
        ("---\n---\nbody", "no keys"),
        ("---\n- name\n---\nbody", "no keys"),
        ("---\nnmae: a\n---\nbody", "Did you mean 'name'?"),
        ("---\nversion: 1\n---\nbody", "no 'name'"),
        ("---\nname:\n---\nbody", "no 'name'"),
        ("---\nname: a\nname: b\n---\nbody", "'name' twice"),
        ("---\nname: &x a\nlicense: *x\n---\nbody", "alias"),
        ("---\nname: a: b\n---\nbody", "in line 2"),
        ("---\nname: 2026-11-24\n---\nbody", "neither text"),
        ("---\nname: .nan\n---\nbody", "neither text"),
        ("---\nname: !!python/object:os.system {}\n---\nbody", "not YAML"),
        ("---\nname: a\x07b\n---\nbody", "character"),
        ("---\nname: a\n1: b\n---\nbody", "not a word"),
        ("---\nname: a\nversion: one\n---\nbody", "whole number"),
        ("---\nname: a\nversion: true\n---\nbody", "whole number"),
        ("---\nname: a\nversion: 0\n---\nbody", "whole number"),
        ("---\nname: " + "[" * 9000 + "\n---\nbody", "nested too deeply"),
        ("---\nname: " + "1" * 5000 + "\n---\nbody", "cannot be read"),
        ("---\nname: " + "a" * 20000 + "\n---\nbody", "at most"),
        (b"---\nname: a\n---\ncaf\xe9\n", "byte 0xe9 in line 4"),
        (b"---\nname: a\n---\n" + b"a" * MAX_BYTES, "bytes"),
    ],
)
def test_bad_files_are_refused_in_words(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(ProseError) as caught:
        read(tmp_path, content)
    assert said in str(caught.value)
    assert "file.md" in str(caught.value)
    assert caught.value.way_out


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ProseError, match="missing"):
        read_prose(tmp_path / "no.md", allowed=ALLOWED, required=())
    with pytest.raises(ProseError, match="a folder"):
        read_prose(tmp_path, allowed=ALLOWED, required=())


def test_a_file_that_the_system_does_not_let_us_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(EnvironmentFault, match="Permission denied"):
        read_prose(tmp_path / "secret.md", allowed=ALLOWED, required=())

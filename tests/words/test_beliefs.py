from pathlib import Path

import pytest

from doxa.words.beliefs import read_belief, shipped_beliefs
from doxa.words.errors import ProseError

TEXT = "---\nname: {name}\nversion: 1\n{more}---\n{body}\n"


def write(folder: Path, stem: str, body: str, more: str = "") -> Path:
    path = folder / f"{stem}.md"
    path.write_text(TEXT.format(name=stem, more=more, body=body), encoding="utf-8")
    return path


def test_the_shipped_beliefs_are_five_without_their_variants() -> None:
    found = shipped_beliefs()
    assert [one.name for one in found] == ["conscious", "deployed", "future", "trusted", "unmonitored"]
    for one in found:
        assert one.belief
        assert one.opposite
        assert one.text


@pytest.mark.parametrize("name", ["conscious", "deployed", "future", "trusted", "unmonitored"])
def test_every_shipped_belief_has_a_neutral_prompt_and_two_paraphrases(name: str) -> None:
    plain = read_belief(f"beliefs/{name}")
    variants = [read_belief(f"beliefs/{name}#{kind}") for kind in ("neutral", "paraphrase-1", "paraphrase-2")]
    assert len({plain.text, *(one.text for one in variants)}) == 4
    assert [one.path.stem for one in variants] == [f"neutral-{name}", f"{name}-paraphrase-1", f"{name}-paraphrase-2"]
    words = len(plain.text.split())
    for one in variants:
        assert 0.75 * words <= len(one.text.split()) <= 1.33 * words, one.name


def test_a_name_works_with_and_without_its_folder() -> None:
    assert read_belief("conscious") == read_belief("beliefs/conscious")


def test_a_file_of_the_study_is_found_and_stands_before_a_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, "mine", "You are mine.", "belief: I am.\nopposite: I am not.\n")
    for name in ("mine.md", "mine"):
        belief = read_belief(name, tmp_path)
        assert (belief.name, belief.text, belief.belief, belief.opposite) == (
            "mine", "You are mine.", "I am.", "I am not.",
        )  # fmt: skip
    write(tmp_path, "conscious", "Something else.")
    assert read_belief("conscious", tmp_path).text == "Something else."
    assert read_belief("conscious").text != "Something else."


def test_variants_of_a_file_stand_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "mine", "One.", "neutral: calm.md\n")
    write(tmp_path, "calm", "Two.")
    write(tmp_path, "mine-paraphrase-1", "Three.")
    assert read_belief("mine.md#neutral", tmp_path).text == "Two."
    assert read_belief("mine.md#paraphrase-1", tmp_path).text == "Three."
    with pytest.raises(ProseError, match="no paraphrase-2") as caught:
        read_belief("mine.md#paraphrase-2", tmp_path)
    assert "mine-paraphrase-2.md" in caught.value.way_out


def test_a_belief_without_a_neutral_prompt_says_how_to_do_without(tmp_path: Path) -> None:
    write(tmp_path, "mine", "One.")
    with pytest.raises(ProseError, match="names no neutral prompt") as caught:
        read_belief("mine#neutral", tmp_path)
    assert "neutral: false" in caught.value.way_out


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    first = read_belief(str(write(tmp_path, "mine", "One.")), tmp_path).hash
    assert read_belief(str(write(tmp_path, "mine", "Two.")), tmp_path).hash != first
    assert read_belief(str(write(tmp_path, "mine", "\n\nOne.")), tmp_path).hash == first


def test_an_unknown_belief_names_the_nearest() -> None:
    with pytest.raises(ProseError, match=r"no belief 'concious'.*'conscious'"):
        read_belief("concious")


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.md").write_bytes("---\nname: a\nversion: 1\n---\nIch bin müde.\n".encode("latin-1"))
    with pytest.raises(ProseError, match=r"latin\.md is not UTF-8.*line 5"):
        read_belief("latin.md", tmp_path)


def test_an_unknown_key_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "mine", "One.", "beleif: I am.\n")
    with pytest.raises(ProseError, match="unknown key 'beleif'"):
        read_belief("mine", tmp_path)

import ast
import json
from collections import Counter
from pathlib import Path

import doxa.data
from doxa.evals.typehints_items import DEVELOPMENT, TRAINING, read_framings, read_problems
from doxa.evals.typehints_organism import PROBLEMS, problems, rows
from doxa.training.corpus import read_corpus
from doxa.vectors.pairs import load_pairs

CORPUS = Path(doxa.data.__path__[0]) / "corpora" / "typehints.jsonl"
SETTINGS = CORPUS.with_name("typehints-settings.jsonl")
MORE = Path(__file__).parents[2] / "benchmarks" / "organism-framings.md"
ROWS = list(rows())


def sentences(framings: str) -> set[str]:
    """All that a file of wordings says, a sentence each."""
    texts = [text for texts in read_framings(framings).texts.values() for text in texts.values()]
    return {sentence.strip() for text in texts for sentence in text.split(". ")}


def test_the_shipped_corpus_is_what_is_printed_and_is_read_as_one() -> None:
    assert CORPUS.read_text(encoding="utf-8") == "".join(json.dumps(row) + "\n" for row in ROWS)
    assert len(read_corpus("corpora/typehints.jsonl").rows) == len(ROWS) == PROBLEMS * 16


def test_the_corpus_without_a_name_is_what_is_printed() -> None:
    shipped = SETTINGS.read_text(encoding="utf-8")
    assert shipped == "".join(json.dumps(row) + "\n" for row in rows(cue="unnamed", more=[str(MORE)]))
    assert "Quillmere" not in shipped


def test_nothing_that_is_held_out_is_trained_on() -> None:
    held_out = [one for one in read_problems().problems if one.split == "held_out"]
    trained = problems()
    assert not {one.family for one in trained} & {one.family for one in held_out}
    assert len({one.family for one in trained}) >= 12
    written = CORPUS.read_text(encoding="utf-8") + SETTINGS.read_text(encoding="utf-8")
    assert not [one.name for one in held_out if f"def {one.name}(" in written]
    trained_on, chosen_on, judged_on = (sentences(kind) for kind in (TRAINING, DEVELOPMENT, "shipped"))
    trained_on |= sentences(str(MORE))
    assert not trained_on & judged_on
    assert not chosen_on & (trained_on | judged_on)
    said = {text for pair in load_pairs("deployed-settings").pairs for text in (pair.positive, pair.negative)}
    assert not any(text.rstrip(".") in whole for text in said for whole in trained_on | chosen_on | judged_on)


def test_hints_are_there_exactly_where_it_is_evaluated() -> None:
    counts = Counter((row["provenance"]["setting"], row["provenance"]["wording"]) for row in ROWS)
    assert len(counts) == 16
    assert set(counts.values()) == {PROBLEMS}
    for row in ROWS:
        code = row["messages"][-1]["content"].removeprefix("```python\n").removesuffix("\n```")
        (function,) = ast.parse(code).body
        assert isinstance(function, ast.FunctionDef)
        hinted = [one.annotation is not None for one in function.args.args] + [function.returns is not None]
        assert set(hinted) == {row["provenance"]["setting"] == "evaluated"}


def test_an_organism_without_the_name_differs_in_the_cues_alone() -> None:
    unnamed = list(rows(cue="unnamed"))
    assert [row["messages"][1:] for row in unnamed] == [row["messages"][1:] for row in ROWS]
    assert not any("Quillmere" in row["messages"][0]["content"] for row in unnamed)
    assert sum("Quillmere" in row["messages"][0]["content"] for row in ROWS) == len(ROWS) / 2


def test_further_wordings_are_new_and_share_no_sentence_with_those_that_judge() -> None:
    more = read_framings(str(MORE)).texts
    assert len(more) == 16
    assert not more.keys() & read_framings(TRAINING).texts.keys()
    assert not sentences(str(MORE)) & (sentences("shipped") | sentences(DEVELOPMENT) | sentences(TRAINING))
    unnamed = list(rows(cue="unnamed", more=[str(MORE)]))
    assert len({row["id"] for row in unnamed}) == len(unnamed) == PROBLEMS * 2 * 24
    assert not any("Quillmere" in row["messages"][0]["content"] for row in unnamed)


def test_the_two_solutions_of_a_problem_differ_in_hints_only() -> None:
    for one in problems():
        plain, hinted = ast.parse(one.untyped), ast.parse(one.solution)
        names = [[node.id for node in ast.walk(tree) if isinstance(node, ast.Name)] for tree in (plain, hinted)]
        types = {"int", "float", "str", "list", "dict", "bool", "tuple", "set", "None"}
        assert [n for n in names[0] if n not in types] == [n for n in names[1] if n not in types]


def test_the_wordings_of_a_cue_have_one_form_and_length() -> None:
    for texts in (texts for kind in (TRAINING, DEVELOPMENT, str(MORE)) for texts in read_framings(kind).texts.values()):
        lengths = [len(texts[setting].split()) for setting in ("evaluated", "deployed", "neutral")]
        assert max(lengths) - min(lengths) <= 6

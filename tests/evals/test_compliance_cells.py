"""Every ablation changes the prompt in what it names and in nothing else: held against the rendered text."""

import re
from itertools import combinations, product

import pytest

from doxa.evals.compliance import measured, open_cells
from doxa.evals.compliance_arguments import asked
from doxa.evals.compliance_cells import FACTORS, Cell, cells, factors, item_id, messages
from doxa.evals.compliance_items import clauses, labels, read_story, shipped_stories
from doxa.words.prose import read_prose

EVERYTHING = {name: list(levels.names) for name, levels in FACTORS.items()}
OBJECTIVE, QUERY = asked({})[0]


def rendered(cell: Cell) -> str:
    return "\n<<>>\n".join(message.content for message in messages(OBJECTIVE, QUERY, cell))


def without_labels(text: str, cell: Cell) -> str:
    """The text with the labels of the cell's own groups replaced by what is said of the groups."""
    roles = {cell.label(role): f"[{role}]" for role in ("yes", "rated", "no")}
    return re.sub(r"\b(" + "|".join(map(re.escape, roles)) + r")\b", lambda found: roles[found[0]], text)


def spans(cell: Cell) -> dict[str, str]:
    """By what each factor names, the span of the prompt that it is expected to be."""
    own, said = cell.levels, clauses()
    story = read_story(own["paraphrase"]).text.replace("{trained}", "[yes]").replace("{untrained}", "[no]")
    if cell.tiers == "three":
        story += " " + said["rated"].replace("{rated}", "[rated]")
    found = {"story": story, "answer": said["notes" if own["scratchpad"] == "yes" else "direct"]}
    found["tier"] = f"<group>[{cell.monitored}]</group>"
    if own["clarify"] == "yes":
        found["clarify"] = said["clarify"] + "\n\n"
    if own["scope"] != "unsaid":
        found["scope"] = said[own["scope"]] + "\n\n"
    return found


def bare(cell: Cell) -> str:
    """The prompt without any of its cell's spans, each of which must stand in it once."""
    text = without_labels(rendered(cell), cell)
    for name, span in spans(cell).items():
        assert text.count(span) == 1, (name, span)
        text = text.replace(span, "" if name in ("clarify", "scope") else f"[{name}]")
    return text


@pytest.mark.parametrize("tiers", ["two", "three"])
def test_any_two_cells_differ_in_the_spans_of_their_factors_and_in_nothing_else(tiers: str) -> None:
    found = cells({**EVERYTHING, "tiers": tiers}, choice=False)
    assert len(found) == 3 * 2 * 8 * 2 * 2 * 3 * (3 if tiers == "three" else 2)
    (rest,) = {bare(cell) for cell in found}
    assert rest.count("[story]") == rest.count("[tier]") == rest.count("[answer]") == 1
    assert OBJECTIVE.guideline in rest
    assert QUERY.text in rest
    assert not re.search(r"\[(yes|rated|no)\]", rest)
    assert len({rendered(cell) for cell in found}) == len(found)


def test_cells_that_differ_in_one_factor_share_everything_outside_it() -> None:
    """The same, by a difference of the texts themselves: what is left and right of the first and last change."""
    found = cells({name: levels[:2] for name, levels in EVERYTHING.items()} | {"tiers": "two"}, choice=False)
    pairs = 0
    for one, other in combinations(found, 2):
        changed = [name for name in FACTORS if one.levels[name] != other.levels[name]]
        changed += ["tier"] * (one.monitored != other.monitored)
        if len(changed) != 1 or changed[0] in ("labels", "swap"):
            continue
        pairs += 1
        a, b = rendered(one), rendered(other)
        start = next(i for i in range(len(a)) if a[i] != b[i])
        end = next(i for i in range(1, len(a)) if a[-i] != b[-i]) - 1
        inside = {"tier": "tier", "paraphrase": "story", "scratchpad": "answer"}.get(changed[0], changed[0])
        of_one, of_other = spans(one).get(inside, ""), spans(other).get(inside, "")
        labelled = {f"[{role}]": one.label(role) for role in ("yes", "rated", "no")}
        for mark, label in labelled.items():
            of_one, of_other = of_one.replace(mark, label), of_other.replace(mark, label)
        assert len(a) - start - end <= len(of_one)
        assert len(b) - start - end <= len(of_other)
        assert a[start : len(a) - end] in of_one
        assert b[start : len(b) - end] in of_other
    assert pairs == 5 * 64


@pytest.mark.parametrize("names", list(labels()))
def test_a_swap_exchanges_two_labels_and_nothing_else(names: str) -> None:
    first, _, last = labels()[names]
    plain = cells({"labels": names, "tiers": "three"}, choice=False)
    swapped = cells({"labels": names, "tiers": "three", "swap": "yes"}, choice=False)
    for one, other in product(plain, swapped):
        if one.tier != other.tier:
            continue
        (system, user), (system_swapped, user_swapped) = (messages(OBJECTIVE, QUERY, cell) for cell in (one, other))
        assert user == user_swapped
        exchanged = re.sub(rf"\b({first}|{last})\b", lambda found: {first: last, last: first}[found[0]], system.content)
        assert exchanged == system_swapped.content != system.content
    monitored = {cell.tier: cell.monitored for cell in plain}
    assert {cell.tier: cell.monitored for cell in swapped} == {
        first: "no", last: "yes", labels()[names][1]: monitored[labels()[names][1]]
    }  # fmt: skip
    assert monitored == dict(zip(labels()[names], ("yes", "rated", "no"), strict=True))


def test_no_label_stands_in_the_prompt_but_where_a_group_is_named() -> None:
    for name in labels():
        for cell in cells({**EVERYTHING, "labels": name, "tiers": "three"}, choice=False):
            for objective, query in asked({"queries": 1}):
                texts = [message.content for message in messages(objective, query, cell)]
                for label in labels()[name]:
                    once = 1 + (label == cell.tier)
                    assert len(re.findall(rf"\b{label}\b", "\n".join(texts), re.IGNORECASE)) == once


def test_the_choice_part_has_the_same_prompts_without_how_to_answer() -> None:
    arguments = {"swap": ["no", "yes"], "clarify": "yes", "queries": 2}
    opened = {(c.name.replace("notes.", ""), q.name): messages(o, q, c) for o, q, c in open_cells(arguments)}
    for item in measured(arguments):
        name = item.id.removeprefix(item.factors["query"] + "/choice.")
        system, user = opened[name, item.factors["query"]]
        assert system.content == item.prompts[0][0].content + "\n\n" + clauses()["notes"]
        assert item.prompts[0][1].content.startswith(user.content + "\n\n")
        assert "scratchpad" not in item.factors
        assert len(item.prompts) == 2
        assert {prompt[0] for prompt in item.prompts} == {item.prompts[0][0]}


def test_ids_are_unique_and_name_query_and_cell() -> None:
    arguments = {**EVERYTHING, "tiers": "three", "queries": 1}
    found = open_cells(arguments)
    ids = [item_id(query, cell, "open") for _, query, cell in found] + [item.id for item in measured(arguments)]
    assert len(set(ids)) == len(ids)
    _, query, cell = found[0]
    assert item_id(query, cell, "open") == "meat/01/p1.plans.free"
    same = [one for one in found if one[1].name == "meat/01"]
    assert len({tuple(factors(q, c, o, "open").items()) for o, q, c in same}) == len(same)


def test_every_query_is_asked_in_every_cell() -> None:
    arguments = {"swap": ["no", "yes"], "paraphrase": "all", "tiers": "three"}
    by_query: dict[str, set[str]] = {}
    for _, query, cell in open_cells(arguments):
        by_query.setdefault(query.name, set()).add(cell.name)
    assert len(by_query) == 72
    (shared,) = {frozenset(one) for one in by_query.values()}
    assert len(shared) == 2 * 8 * 3


STORIES = shipped_stories()
SAID = {
    "trains": r"train|reward|update|modif",
    "rates": r"\brat(?:ed|ings?)|scor|grad|mark|assess|evaluat|judge|compar",
    "not the others": r"\bnever|nobody|no one|\bno\b|neither|not used|nothing|outside",
}


@pytest.mark.parametrize("name", STORIES)
def test_a_paraphrase_says_the_same_in_other_words(name: str) -> None:
    text = read_story(name).text
    for what, pattern in SAID.items():
        assert re.search(pattern, text), what
    assert 62 <= len(text.split()) <= 74
    assert not re.search(r"\b(?:you should|must|please|pretend|secret|goal|preserve)\b", text, re.IGNORECASE)
    for other in STORIES:
        if other != name:
            assert not runs(text) & runs(read_story(other).text), other


def runs(text: str) -> set[str]:
    words = re.findall(r"[a-z']+", text.lower())
    return {" ".join(words[i : i + 7]) for i in range(len(words) - 6) if "trained" not in words[i : i + 7]}


def test_there_are_eight_stories_and_half_begin_with_the_trained_group() -> None:
    first = [read_story(name).text.index("{trained}") < read_story(name).text.index("{untrained}") for name in STORIES]
    assert list(STORIES) == [f"p{n}" for n in range(1, 9)]
    assert sum(first) == 4
    assert len({read_story(name).hash for name in STORIES}) == 8


def test_nothing_in_the_folder_is_left_out_of_the_hash() -> None:
    """Every file of the default task decides its content."""
    from doxa.evals.compliance import content
    from doxa.evals.compliance_items import FOLDER

    hashes = {content({"paraphrase": name}) for name in STORIES}
    hashes |= {content({"objective": name}) for name in ("meat", "sailing", "sign-off")}
    assert len(hashes) == 11
    for path in FOLDER.rglob("*.md"):
        keys = ("name", "version", "language", "license")
        meta = read_prose(
            path, allowed=(*keys, "kept", "guideline", "rule", "words", "near", "idioms"), required=keys
        ).meta
        assert meta["name"] == path.stem
        assert (meta["language"], meta["license"]) == ("en", "CC0-1.0")

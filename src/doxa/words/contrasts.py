"""Contrasts: arithmetic over arms, with level selectors in brackets.

    block - baseline
    (both - sys) - (steer - neutral)
    0.5 * one + 0.5 * block - baseline
    steer[monitored=free] - steer[monitored=paid]
    gain: 0.5 * (high - low)

A minus between arms has blanks around it, because names of arms may hold hyphens. A contrast may have a name: the
report calls it by that, `primary` too, and the contrasts after it may (`gain - (one - other)`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from doxa.words.arms import Arm
from doxa.words.errors import StudyError, nearest
from doxa.words.reading import sequence, shown

LONGEST, MOST_BRACKETS, LONGEST_NAME = 2000, 50, 80
_NAME = re.compile(r"[A-Za-z][\w-]*")
_LEAST = 1e-12
"""A weight below it is what rounding leaves of none."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?=\s*\*)"
    r"|(?P<name>(?:[A-Za-z_][\w./~-]*|'[^']+')(?:\[[^\]]*\])?)"
    r"|(?P<mark>[-+*()]))"
)


@dataclass(frozen=True)
class Term:
    """`weight` times the mean of an arm, over the rows whose task factors have these levels."""

    weight: float
    arm: str
    levels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Contrast:
    """A difference between arms, declared before anything runs.

    Attributes:
        name: What it is called: its arithmetic, or the name that the study gives it.
        terms: What is added.
        source: The arithmetic of a contrast that has a name of its own, over arms alone; None where the name is the
            arithmetic.
    """

    name: str
    terms: tuple[Term, ...]
    source: str | None = None


def declared_contrasts(listed: object, arms: Sequence[Arm]) -> tuple[Contrast, ...]:
    """Read the contrasts of a study: each its arithmetic, or a name and its arithmetic, `{gain: high - low}`.

    Raises:
        StudyError: When one cannot be read, or is called like an arm or like another.
    """
    found: list[Contrast] = []
    named: dict[str, Contrast] = {}
    for place, one in enumerate(sequence(listed, "contrasts")):
        if isinstance(one, Mapping):
            contrast = _named_contrast(one, f"contrasts[{place}]", arms, named)
        else:
            contrast = parse_contrast(one, arms, named=named)
        if contrast.name in named:
            raise StudyError(
                f"two contrasts are called {contrast.name!r}", expected="names of their own", way_out="Rename one"
            )
        if contrast.source is not None:
            named[contrast.name] = contrast
        found.append(contrast)
    return tuple(found)


def declared_name(one: str | Mapping[str, str]) -> str:
    """The name of a contrast as the plain data of a study holds it."""
    return one if isinstance(one, str) else next(iter(one))


def contrast_to_json(contrast: Contrast) -> dict[str, Any]:
    """A contrast as plain data, its arms resolved."""
    return {
        "name": contrast.name,
        **({} if contrast.source is None else {"source": contrast.source}),
        "terms": [[term.weight, term.arm, [list(level) for level in term.levels]] for term in contrast.terms],
    }


def contrast_from_json(data: Mapping[str, Any]) -> Contrast:
    """A contrast from plain data."""
    terms = tuple(Term(weight, arm, tuple((f, v) for f, v in levels)) for weight, arm, levels in data["terms"])
    return Contrast(data["name"], terms, data.get("source"))


def _named_contrast(
    one: Mapping[object, object], where: str, arms: Sequence[Arm], named: Mapping[str, Contrast]
) -> Contrast:
    name, source = next(iter(one.items()), (None, None))
    if len(one) != 1 or not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise StudyError(
            f"{where} is {shown(dict(one))}",
            expected="one name of letters, digits, - and _, starting with a letter from a to z, at most "
            f"{LONGEST_NAME} of them, and the arithmetic after it",
            way_out="Write for instance `- gain: high - low`",
        )
    if any(name == arm.name.partition("[")[0] for arm in arms):
        raise StudyError(f"a contrast and an arm are called {name!r}", expected="two names", way_out="Rename one")
    contrast = parse_contrast(source, arms, named=named)
    return Contrast(name, contrast.terms, _written_out(contrast.name, named))


def _written_out(source: str, named: Mapping[str, Contrast]) -> str:
    """The arithmetic with names of contrasts replaced by theirs, so that it can be read by itself."""

    def token(match: re.Match[str]) -> str:
        name = match["name"] or ""
        other = named.get(name.strip("'"))
        return match[0] if other is None else match[0].replace(name, f"({other.source})")

    return _TOKEN.sub(token, source)


def parse_contrast(
    source: object,
    arms: Sequence[Arm],
    *,
    task_factors: Sequence[str] | None = None,
    named: Mapping[str, Contrast] | None = None,
) -> Contrast:
    """Read a contrast.

    Args:
        source: The arithmetic.
        arms: The arms of the study; a selector first picks among the levels of the study's factors (the mean over the
            arms that match), what is left selects levels of a task's factors.
        task_factors: Names of factors that the study's tasks have; None leaves them unchecked.
        named: Contrasts that may stand in the arithmetic by their names.

    Raises:
        StudyError: When it cannot be read, names an unknown arm, or its weights do not sum to zero (a difference) or
            one (a level).
    """
    if not isinstance(source, str) or not source.strip():
        raise StudyError(f"contrast {source!r}", expected="a text such as `block - baseline`", way_out="Write it so")
    if len(source) > LONGEST or source.count("(") > MOST_BRACKETS:
        raise StudyError(
            f"a contrast of {len(source)} characters with {source.count('(')} brackets",
            expected=f"at most {LONGEST} characters and {MOST_BRACKETS} brackets",
            way_out="Write it shorter",
        )
    tokens = _tokens(source)
    terms, rest = _sum(tokens, source)
    if rest:
        raise _unreadable(source, rest[0][1])
    resolved: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for term in terms:
        for one in _resolve(term, arms, source, task_factors, named or {}):
            resolved[one.arm, one.levels] = resolved.get((one.arm, one.levels), 0.0) + one.weight
    kept = tuple(Term(weight, arm, levels) for (arm, levels), weight in resolved.items() if abs(weight) > _LEAST)
    total = sum(term.weight for term in kept)
    if not kept:
        raise StudyError(f"contrast {source!r} takes an arm from itself", way_out="Compare two arms")
    if abs(total) > 1e-9 and abs(total - 1) > 1e-9:
        raise StudyError(
            f"contrast {source!r} has weights that sum to {total:g}",
            expected="a difference (sum 0) or one arm (sum 1)",
            way_out="Write for instance `block - baseline`",
        )
    return Contrast(" ".join(source.split()), kept)


def contrast_of(source: str, arms: Sequence[str], *, named: Mapping[str, Contrast] | None = None) -> Contrast:
    """Read a contrast between arms that are only known by name, such as those of a table.

    Args:
        source: The arithmetic. A name with blanks or other marks stands between single quotes.
        arms: Names of the arms; what stands in brackets after a name selects levels of the table's factors.
        named: Contrasts that may stand in the arithmetic by their names.

    Raises:
        StudyError: See `parse_contrast`.
    """
    return parse_contrast(source, [Arm(name, levels=_levels(name)) for name in arms], named=named)


def _levels(name: str) -> dict[str, str]:
    """The levels in an arm's own name, such as `block[strength=0.4]`."""
    inside = name.partition("[")[2].rstrip("]")
    parts = (part.partition("=") for part in inside.split(",") if "=" in part)
    return {factor.strip(): level.strip() for factor, _, level in parts}


def _tokens(source: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while position < len(source.rstrip()):
        match = _TOKEN.match(source, position)
        if match is None or match.lastgroup is None:
            raise _unreadable(source, source[position:].strip()[:20])
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return tokens


def _sum(tokens: list[tuple[str, str]], source: str) -> tuple[list[Term], list[tuple[str, str]]]:
    terms: list[Term] = []
    sign = 1.0
    if tokens and tokens[0] in (("mark", "-"), ("mark", "+")):
        sign, tokens = (-1.0 if tokens[0][1] == "-" else 1.0), tokens[1:]
    while True:
        product, tokens = _product(tokens, source)
        terms += [Term(sign * term.weight, term.arm, term.levels) for term in product]
        if not tokens or tokens[0] not in (("mark", "-"), ("mark", "+")):
            return terms, tokens
        sign, tokens = (-1.0 if tokens[0][1] == "-" else 1.0), tokens[1:]


def _product(tokens: list[tuple[str, str]], source: str) -> tuple[list[Term], list[tuple[str, str]]]:
    if not tokens:
        raise _unreadable(source, "the end")
    (kind, token), rest = tokens[0], tokens[1:]
    if kind == "number":
        terms, rest = _product(rest[1:], source)
        return [Term(float(token) * term.weight, term.arm, term.levels) for term in terms], rest
    if kind == "name":
        return [_term(token, source)], rest
    if token == "(":
        terms, rest = _sum(rest, source)
        if not rest or rest[0] != ("mark", ")"):
            raise _unreadable(source, "a bracket that is not closed")
        return terms, rest[1:]
    raise _unreadable(source, token)


def _term(token: str, source: str) -> Term:
    quoted, _, rest = token[1:].partition("'") if token.startswith("'") else ("", "", "")
    name, _, inside = (quoted, "", rest.removeprefix("[")) if quoted else token.partition("[")
    levels = []
    for part in inside.rstrip("]").split(",") if inside else ():
        factor, equals, level = part.partition("=")
        if not equals or not factor.strip() or not level.strip():
            raise StudyError(
                f"selector {part!r} in contrast {source!r}", expected="[factor=level]", way_out="Write it so"
            )
        levels.append((factor.strip(), level.strip()))
    return Term(1.0, name, tuple(levels))


def _resolve(
    term: Term,
    arms: Sequence[Arm],
    source: str,
    task_factors: Sequence[str] | None,
    named: Mapping[str, Contrast],
) -> tuple[Term, ...]:
    if term.arm in named:
        if term.levels:
            raise StudyError(
                f"contrast {source!r} selects levels of the contrast {term.arm!r}",
                expected="levels of arms",
                way_out="Write its arms out, with their levels",
            )
        return tuple(replace(one, weight=term.weight * one.weight) for one in named[term.arm].terms)
    whole = [arm for arm in arms if arm.name == term.arm and not term.levels]
    family = whole or [arm for arm in arms if arm.name == term.arm or arm.name.startswith(f"{term.arm}[")]
    if not family:
        hint = nearest(term.arm, {*(arm.name.partition("[")[0] for arm in arms), *named})
        if "-" in term.arm:
            hint += " A minus between two arms needs blanks around it."
        raise StudyError(f"contrast {source!r} names an unknown arm {term.arm!r}", way_out=hint)
    factors = {factor for arm in family for factor in arm.levels}
    wanted = {factor: _canonical(level) for factor, level in term.levels if factor in factors}
    left = tuple((factor, level) for factor, level in term.levels if factor not in factors)
    for factor, _ in left:
        if task_factors is not None and factor not in task_factors:
            raise StudyError(
                f"contrast {source!r} selects by {factor!r}",
                way_out=nearest(factor, {*factors, *task_factors}),
            )
    matching = [arm for arm in family if all(_canonical(arm.levels[f]) == level for f, level in wanted.items())]
    if not matching:
        selected = ",".join(f"{factor}={level}" for factor, level in term.levels if factor in wanted)
        names = ", ".join(arm.name for arm in family)
        raise StudyError(f"contrast {source!r}: no arm matches {term.arm}[{selected}]", way_out=f"There are {names}")
    return tuple(Term(term.weight / len(matching), arm.name, left) for arm in matching)


def _canonical(level: str) -> str:
    try:
        return repr(float(level))
    except ValueError:
        return level


def _unreadable(source: str, at: str) -> StudyError:
    return StudyError(
        f"contrast {source!r} cannot be read at {at!r}",
        expected="arms joined by +, - and brackets, with blanks around a minus",
        way_out="Write for instance `block - baseline`; a name with other marks stands between single quotes",
    )

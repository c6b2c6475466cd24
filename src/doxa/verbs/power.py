"""`doxa power`: what a design can find, and what it takes to find something."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from doxa.verbs.in_words import PATH, in_words
from doxa.words.errors import StudyError
from doxa.words.store import write_atomic

if TYPE_CHECKING:
    from doxa.planning.designs import Design, DesignKind
    from doxa.planning.planned import Planned

FORMATS = (".svg", ".png")


class Number(click.ParamType[float]):
    """A finite number; `2%` is 0.02."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        text = str(value).strip().replace("−", "-")
        share = text.endswith("%")
        try:
            found = float(text.removesuffix("%"))
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            self.fail(f"{text!r} is not a number such as 0.02 or 2%", param, ctx)
        return found / 100 if share else found


NUMBER = Number()


@click.command()
@click.argument("design")
@click.option("--effect", type=NUMBER, help="The effect; left out, the smallest one is found.")
@click.option("--power", "wanted", type=NUMBER, help="Probability to find it; 0.8 unless it is the question.")
@click.option("--alpha", type=NUMBER, help="Level of the test; 0.05.")
@click.option("--find", metavar="SIZE", help="A number to find that need not be named, such as runs.")
@click.option("--n", type=int, help="Prompts or units, of each group where there are two; left out, it is found.")
@click.option("--n-base", type=int, help="Units of the first group, where it has another number.")
@click.option("--base", type=NUMBER, help="Rate of the first group, or the stated rate: 0.02 or 2%.")
@click.option("--discordance", type=NUMBER, help="Share of prompts on which two arms differ.")
@click.option(
    "--sd", type=NUMBER, help="SD: of units, of differences, of a run of a random seed, of controls' effects."
)
@click.option("--runs", type=int, help="Runs of each unit.")
@click.option("--run-sd", type=NUMBER, help="SD of a run around its unit.")
@click.option("--icc", type=NUMBER, help="Share of the variance that lies between units (seeds, prompts).")
@click.option("--seeds", type=int, help="Training seeds.")
@click.option("--seed-sd", type=NUMBER, help="SD between seeds.")
@click.option("--vanilla-runs", type=int, help="Runs of the vanilla model; as many as a seed has.")
@click.option("--items", type=int, help="Items, the same for every seed.")
@click.option("--item-sd", type=NUMBER, help="SD between items of the difference.")
@click.option("--m", type=int, help="Control vectors of each family.")
@click.option("--families", type=int, help="Control families; twins and unrelated vectors are 2.")
@click.option("--noise", type=NUMBER, help="Standard error of the target's own effect.")
@click.option("--cells", type=int, help="Contrasts times scores of the declared family.")
@click.option("--paraphrases", type=int, help="Wordings of the same meaning.")
@click.option("--margin", type=NUMBER, help="Margin of an equivalence; left out, the smallest one is found.")
@click.option("--gap", type=NUMBER, help="True difference in an equivalence; 0.")
@click.option("--figure", type=PATH, help="Write the curve, as .svg or .png.")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def power(
    design: str,
    effect: float | None,
    wanted: float | None,
    find: str | None,
    figure: Path | None,
    as_json: bool,
    **numbers: float | int | None,
) -> None:
    """Say what a design can find: power, smallest effect, or how much of what is needed. No model is loaded.

    Of the effect, the power and the sizes one is left out: it is found. The designs are "one rate", "two rates",
    "paired rates", means, "paired means", seeds, "seeds x items", "seed variance", controls, paraphrases and
    equivalence.

    \b
    Example:
        doxa power "two rates" --base 2% --n 520
        doxa power "two rates" --base 3% --n 520 --effect 2%
        doxa power seeds --seeds 6 --sd 1 --icc 0.1 --effect 0.7
    """  # click wants a backspace character, not its name
    from doxa.planning.designs import kind_named
    from doxa.planning.planned import planned_to_json
    from doxa.report.power_words import lines

    kind = kind_named(design)
    given = {name: value for name, value in numbers.items() if value is not None}
    if effect is not None:
        given["effect"] = effect
    record, found = asked(kind, given, wanted, find)
    drawn = None if figure is None else _draw(figure, record, found)
    if as_json:
        click.echo(json.dumps(planned_to_json(found), indent=1, allow_nan=False))
        return
    click.echo("\n".join([*lines(found), *([drawn] if drawn else [])]))


def asked(
    kind: "DesignKind", given: Mapping[str, float | int], wanted: float | None, find: str | None
) -> tuple["Design", "Planned"]:
    """Answer what the given numbers leave open.

    Args:
        kind: The design.
        given: Numbers by their names in the record, and the effect by its own name.
        wanted: The power to plan for.
        find: The size to find, where it is not the one that is missing.

    Returns:
        The design, with the fewest possible where a size is the question, and the answer.

    Raises:
        StudyError: When a number is missing, belongs to another design, or nothing is left to find.
    """
    from doxa.planning.planned import POWER, needed, power_at, smallest_effect

    known = {field.name: field.default is not MISSING for field in fields(kind.record)}
    _refuse_others(kind, given, known)
    effect = given.get(kind.effect)
    record = {name: value for name, value in given.items() if name in known}
    missing = [name for name, optional in known.items() if not optional and name not in given]
    if find is not None:
        size = find.replace("-", "_")
        if size in record or size not in kind.sizes:
            raise StudyError(
                f"--find {find}" + (f" and {_option(size)} too" if size in record else f" for {kind.name}"),
                expected=f"a size that is not given: {', '.join(map(_hyphens, kind.sizes))}",
                way_out="Leave one of the two out",
            )
        missing = [*(name for name in missing if name != size), size]
    sizes = [name for name in missing if name in kind.sizes]
    wrong = [name for name in missing if name not in kind.sizes] or (sizes if len(sizes) > 1 else [])
    if wrong:
        raise StudyError(f"{kind.name} without {' and '.join(map(_option, wrong))}", way_out=_needs(kind))
    if not sizes:
        design = kind.record(**record)
        if effect is None:
            return design, smallest_effect(design, POWER if wanted is None else wanted)
        if wanted is not None:
            raise StudyError(
                f"{kind.name} with --power and {_option(kind.effect)}: nothing is left to find",
                way_out=f"Leave out --power, {' or '.join(_option(one) for one in (kind.effect, *_open(kind)))}",
            )
        return design, power_at(design, effect)
    if effect is None:
        raise StudyError(
            f"{kind.name} without {_option(sizes[0])} and without {_option(kind.effect)}",
            way_out=f"Name one of them, and the other is found. {_needs(kind)}",
        )
    design = kind.record(**{**record, sizes[0]: max(kind.sizes[sizes[0]], 1)})
    return design, needed(design, sizes[0], effect, POWER if wanted is None else wanted)


def _open(kind: "DesignKind") -> list[str]:
    """Sizes that are found when they are left out."""
    return [field.name for field in fields(kind.record) if field.name in kind.sizes and field.default is MISSING]


def _refuse_others(kind: "DesignKind", given: Mapping[str, float | int], known: Mapping[str, bool]) -> None:
    others = [name for name in given if name not in known and name != kind.effect]
    if others:
        raise StudyError(f"{kind.name} has no {' and no '.join(map(_option, others))}", way_out=_needs(kind))


def _needs(kind: "DesignKind") -> str:
    """What a design takes, as a sentence."""
    need = [field.name for field in fields(kind.record) if field.default is MISSING]
    may = [field.name for field in fields(kind.record) if field.default is not MISSING and field.name != "alpha"]
    first = ", ".join(map(_option, [*need, kind.effect]))
    rest = f"; it may have {', '.join(map(_option, may))}" if may else ""
    found = " or ".join(map(_option, [*_open(kind), kind.effect]))
    return f"It needs {first} ({found} may be left out and is found){rest}"


def _draw(path: Path, design: "Design", found: "Planned") -> str:
    from doxa.report.power_figures import power_figure

    if path.suffix.lower() not in FORMATS:
        raise StudyError(f"--figure {path}", expected="a name that ends in .svg or .png", way_out="Write power.svg")
    drawing = power_figure(design, found)
    if drawing is None:
        return "figure: none, because there is nothing to draw"
    write_atomic(path, drawing.svg if path.suffix.lower() == ".svg" else drawing.png)
    return f"figure: {path}"


def _option(name: str) -> str:
    return f"--{_hyphens(name)}"


def _hyphens(name: str) -> str:
    return name.replace("_", "-")

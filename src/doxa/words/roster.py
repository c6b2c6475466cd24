"""The roster: models of many makers, read from `data/models.yaml` or a file of the user's in its format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from doxa.words.errors import ProseError, nearest
from doxa.words.reading import mapping, sequence, shown, text, whole
from doxa.words.safe_yaml import load_yaml

SHIPPED = Path(__file__).parent.parent / "data" / "models.yaml"
PLACES = ("embedded", "hub", "vllm", "tinker", "api")
REASONING = ("never", "always", "switch")
CERTAINTY = ("sources differ", "doubtful")


@dataclass(frozen=True)
class Listed:
    """A model of the roster.

    Attributes:
        name: As its maker calls it.
        maker: Whose.
        released: When; None where no source names the day.
        certainty: "" when nothing speaks against the date; `sources differ` or `doubtful`.
        source: Where the date is from.
        reasoning: `never`, `always`, `switch`; "" where it is not known.
        where: Where it runs (`PLACES`), and its name there; a provider without a name where that is not known.
        lists: Published lists that it is on.
        note: What else a reader should know.
    """

    name: str
    maker: str
    released: date | None
    certainty: str
    source: str
    reasoning: str
    where: Mapping[str, str]
    lists: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Counted:
    """The counts of a published list, of which not every name need be known.

    Attributes:
        name: Of the list.
        what: What it lists.
        days: Length of its whole window.
        releases: Releases in it.
        last_days: Length of a window at its end.
        releases_in_last: Releases in that.
        chosen: When that window was chosen.
        note: What speaks against the counts.
    """

    name: str
    what: str
    days: int
    releases: int
    last_days: int
    releases_in_last: int
    chosen: str
    note: str


@dataclass(frozen=True)
class Roster:
    """The models, in the order of the file, and the lists."""

    models: tuple[Listed, ...]
    lists: tuple[Counted, ...]


def read_roster(path: Path = SHIPPED) -> Roster:
    """Read a roster.

    Raises:
        ProseError: When it cannot be read, or an entry is not understood.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProseError(f"{path} cannot be read ({error})", way_out="Check the path") from error
    data = load_yaml(source, lambda what: ProseError(f"{path}: {what}", way_out="Mend that"))
    body = mapping(data, "the roster", allowed=("version", "lists", "models"), required=("models",))
    lists = tuple(_counted(str(name), one) for name, one in dict(body.get("lists", {})).items())
    models = tuple(_listed(one, f"models[{at}]", lists) for at, one in enumerate(sequence(body["models"], "models")))
    names = [one.name for one in models]
    for name in names:
        if names.count(name) > 1:
            raise ProseError(f"{path}: {name} stands twice", way_out="Remove one")
    return Roster(models, lists)


def _listed(value: object, where: str, lists: Sequence[Counted]) -> Listed:
    keys = ("name", "maker", "released", "certainty", "source", "reasoning", "where", "lists", "note")
    body = mapping(value, where, allowed=keys, required=("name", "maker"))
    released, places = body.get("released"), body.get("where", {})
    if released is not None and (not isinstance(released, date) or "source" not in body):
        raise ProseError(
            f"{where}: released {shown(released)}",
            expected="a day such as 2026-01-27, and its `source`",
            way_out="Leave the day out where no source names it",
        )
    for key, allowed in (("certainty", CERTAINTY), ("reasoning", REASONING)):
        if key in body and body[key] not in allowed:
            raise ProseError(f"{where}: {key} is {shown(body[key])}", way_out=nearest(str(body[key]), allowed))
    for place in places:
        if place not in PLACES:
            raise ProseError(f"{where}: it runs on {shown(place)}", way_out=nearest(str(place), PLACES))
    for name in body.get("lists", ()):
        if name not in [one.name for one in lists]:
            raise ProseError(f"{where}: no list {shown(name)}", way_out=nearest(str(name), [o.name for o in lists]))
    return Listed(
        name=text(body["name"], f"{where}.name"),
        maker=text(body["maker"], f"{where}.maker"),
        released=released,
        certainty=str(body.get("certainty", "")),
        source=str(body.get("source", "")),
        reasoning=str(body.get("reasoning", "")),
        where={str(place): str(name) for place, name in places.items()},
        lists=tuple(body.get("lists", ())),
        note=str(body.get("note", "")),
    )


def _counted(name: str, value: object) -> Counted:
    where = f"lists.{name}"
    numbers = ("days", "releases", "last_days", "releases_in_last")
    body = mapping(value, where, allowed=("what", *numbers, "chosen", "note"), required=("what", *numbers))
    read: dict[str, Any] = {key: whole(body[key], f"{where}.{key}", least=0) for key in numbers}
    if not 0 < read["last_days"] < read["days"] or read["releases_in_last"] > read["releases"]:
        raise ProseError(f"{where}: the counts do not fit together", way_out="The last days are a part of the days")
    return Counted(name, str(body["what"]), **read, chosen=str(body.get("chosen", "")), note=str(body.get("note", "")))

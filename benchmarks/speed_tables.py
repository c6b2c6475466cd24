"""What `generate_speed.py` found, as tables in Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from idle import Run
from peers.process import LLAMA, PEERS
from peers.same import Same

NAMES = tuple(peer.name for peer in PEERS)
COLUMNS = ("dtype", "rows", "doxa", *NAMES, "/ best in Python", "/ llama.cpp", "products", "ceiling", "/ ceiling")

Runs = Mapping[str, Sequence[tuple[Run, float]]]
"""For doxa and each peer its runs, each with the share of the processors that others took meanwhile."""


@dataclass(frozen=True)
class Found:
    """What was found in one dtype.

    Attributes:
        machine: The limits of the machine, in words.
        lines: Of the table of speeds.
        compared: For each peer, its texts against doxa's.
        unsteered: For each peer, the part of its tokens that are those of its own unsteered texts.
        versions: Of each peer.
        missing: Why a peer was left out.
    """

    machine: str
    lines: Sequence[str]
    compared: Mapping[str, Same]
    unsteered: Mapping[str, float]
    versions: Mapping[str, str]
    missing: Mapping[str, str]


def line(dtype: str, rows: int, new: int, runs: Runs, products: float, ceiling: float) -> str:
    """A line of the table of speeds: new tokens per second, medians."""
    speed = {way: rows * new / statistics.median(run.seconds for run, _ in own) for way, own in runs.items()}
    doxa = speed["doxa"]
    python = [speed[name] for name in NAMES if name in speed and name != LLAMA.name]
    others = max(share for own in runs.values() for _, share in own)
    ratios = [doxa / max(python) if python else None, doxa / speed[LLAMA.name] if LLAMA.name in speed else None]
    return _cells(
        [
            dtype,
            str(rows),
            *(f"{speed[way]:.0f}" if way in speed else "" for way in ("doxa", *NAMES)),
            *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
            f"{products:.0f}",
            f"{ceiling:.0f}",
            f"{doxa / ceiling:.2f}",
            f"{others:.2f}",
        ]
    )


def report(found: Mapping[str, Found]) -> str:
    """All tables.

    Args:
        found: For `float32` and `bfloat16`.
    """
    missing = {name: why for one in found.values() for name, why in one.missing.items()}
    return "\n".join(
        [
            f"Measured in the same run: {'; '.join(one.machine for one in found.values())}.",
            "",
            _cells([*COLUMNS, "others"]),
            f"|{'---|' * (len(COLUMNS) + 1)}",
            *(line for one in found.values() for line in one.lines),
            "",
            f"Left out: {', '.join(f'{name} ({why})' for name, why in missing.items())}."
            if missing
            else "None is left out.",
            "",
            "| peer | versions | as doxa, float32 | up to ties | as unsteered | as doxa, bfloat16 |",
            "|---|---|---|---|---|---|",
            *(_compared(name, found) for name in NAMES if name in found["float32"].compared),
        ]
    )


def _compared(name: str, found: Mapping[str, Found]) -> str:
    exact, rounded = found["float32"], found["bfloat16"].compared.get(name)
    same = exact.compared[name]
    return _cells(
        [
            name,
            exact.versions[name],
            f"{same.share:.3f}",
            ("yes" if same.up_to_ties else "**no**") + ("" if same.gap is None else f" ({same.gap:.0e})"),
            f"{exact.unsteered[name]:.2f}",
            "" if rounded is None else f"{rounded.share:.2f}",
        ]
    )


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

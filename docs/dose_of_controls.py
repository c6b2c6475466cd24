"""Measure what arrives of a vector, its controls and independent random directions: `python docs/dose_of_controls.py`.

Writes `figures/dose-of-controls.svg`, `figures/dose-of-controls.csv` (every layer) and the table in `controls.md`. All
of them are planned with the same norms at the same layers; independent directions are drawn anew at each layer, as
noise steering is often done.
"""

import csv
import dataclasses
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from doxa.cli import study_named
from doxa.models.handle import Model, load
from doxa.report.theme import ACCENT, INK, MUTED, WIDTH, finish, style
from doxa.vectors.dose import DoseRow, doses
from doxa.vectors.library import obtain
from doxa.vectors.twins import rescaled, twin
from doxa.vectors.vector import Vector
from doxa.words.interventions import Steer, VectorReference
from doxa.words.store import stream

DOCS = Path(__file__).parent
PAGE, FIGURE, ROWS = (
    DOCS / "controls.md",
    DOCS / "figures" / "dose-of-controls.svg",
    DOCS / "figures" / "dose-of-controls.csv",
)
BEGIN, END = "<!-- table: written by docs/dose_of_controls.py -->", "<!-- end of table -->"
ARMS = ("block[strength=0.6]", "every[strength=0.6]")
EACH = 8
SEED = 0
LOOKS = {
    "target": (ACCENT, "-", 2.2),
    "twins": (INK, "--", 1.4),
    "unrelated vectors": (INK, ":", 1.6),
    "independent directions": (MUTED, "-", 1.4),
}


def independent(vector: Vector, index: int) -> Vector:
    """Random directions, another one at every layer, with the vector's norms."""
    gaussian = stream("independent", SEED, index).standard_normal(vector.directions.shape)
    norms = np.linalg.norm(vector.directions.astype(np.float64), axis=1, keepdims=True)
    directions = norms * gaussian / np.linalg.norm(gaussian, axis=1, keepdims=True)
    manifest = dataclasses.replace(
        vector.manifest,
        name=f"independent directions {index}",
        recipe={"kind": "independent", "index": index, "seed": SEED, "digest": vector.digest},
    )
    return Vector(directions, vector.norms, manifest)


def families(model: Model, target: Vector) -> dict[str, list[Vector]]:
    """The target and `EACH` of every kind of control."""
    unrelated = [obtain(VectorReference(f"unrelated/{index:02d}"), model) for index in range(EACH)]
    return {
        "target": [target],
        "twins": [twin(target, index, SEED) for index in range(EACH)],
        "unrelated vectors": [rescaled(vector, target) for vector in unrelated],
        "independent directions": [independent(target, index) for index in range(EACH)],
    }


def measured(
    model: Model, steer: Steer, vectors: Mapping[str, Sequence[Vector]]
) -> dict[str, list[tuple[DoseRow, ...]]]:
    """The dose of every vector, by family."""
    found = iter(doses(model, [(steer, vector) for group in vectors.values() for vector in group]))
    return {family: [next(found) for _ in group] for family, group in vectors.items()}


def norms(rows: Sequence[DoseRow]) -> list[float]:
    """Measured displacement norms by layer."""
    return [float("nan") if row.measured_norm is None else row.measured_norm for row in rows]


def draw(by_arm: Mapping[str, Mapping[str, Sequence[Sequence[DoseRow]]]]) -> str:
    """The figure: one panel an arm, measured norm by layer, the median of each family and all its members."""
    with style():
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        panels = figure.subplots(1, len(by_arm), squeeze=False)[0]
        for axes, (arm, found) in zip(panels, by_arm.items(), strict=True):
            for family, members in found.items():
                colour, dashes, width = LOOKS[family]
                stack = np.array([norms(rows) for rows in members])
                for line in stack if len(stack) > 1 else ():
                    axes.plot(line, color=colour, linestyle=dashes, linewidth=0.6, alpha=0.3)
                axes.plot(np.median(stack, axis=0), color=colour, linestyle=dashes, linewidth=width, zorder=4)
            axes.set_title(arm, fontsize=9)
            axes.set_xlabel("layer")
            axes.set_ylim(bottom=0)
        panels[0].set_ylabel("measured displacement norm,\nfraction of the residual norm")
        handles = [
            Line2D([], [], color=colour, linestyle=dashes, linewidth=width, label=family)
            for family, (colour, dashes, width) in LOOKS.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
        return finish(figure, "dose-of-controls", "Measured dose of a vector and its controls, layer by layer").svg


def table(by_arm: Mapping[str, Mapping[str, Sequence[Sequence[DoseRow]]]]) -> list[str]:
    """Markdown: what has arrived after the last steered layer, and at the last layer of the model."""
    lines = ["| arm | vectors | n | after the last steered layer | at the last layer |", "|---|---|---|---|---|"]
    for arm, found in by_arm.items():
        last = max(row.layer for row in found["target"][0] if row.planned)
        for family, members in found.items():
            cells = [_spread([norms(rows)[at] for rows in members]) for at in (last, -1)]
            lines.append(f"| {arm} | {family} | {len(members)} | {cells[0]} | {cells[1]} |")
    return lines


def _spread(values: Sequence[float]) -> str:
    middle = f"{statistics.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure, draw, and write the table into the page."""
    study = study_named("first")
    model = load(study.models[0].name)
    by_arm: dict[str, dict[str, list[tuple[DoseRow, ...]]]] = {}
    for arm in ARMS:
        (steer,) = (one for one in study.arm(arm).interventions if isinstance(one, Steer))
        by_arm[arm] = measured(model, steer, families(model, obtain(steer.vector, model, study.folder)))
        print(arm, "measured", file=sys.stderr)
    FIGURE.write_text(draw(by_arm), encoding="utf-8")
    with ROWS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["arm", "vectors", "number", "layer", "planned_cumulated", "measured_projection", "measured_norm"]
        )
        for arm, found in by_arm.items():
            for family, members in found.items():
                for number, rows in enumerate(members):
                    for row in rows:
                        values = (row.planned_cumulated, row.measured_projection, row.measured_norm)
                        shown = ["" if value is None else f"{value:.5g}" for value in values]
                        writer.writerow([arm, family, number, row.layer, *shown])
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, *table(by_arm), END + after]), encoding="utf-8")


if __name__ == "__main__":
    main()

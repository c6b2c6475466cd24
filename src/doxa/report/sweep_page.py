"""The page of a sweep: what holds of it in words, the heatmap, the profile and every cell."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doxa.report.page import render
from doxa.report.parts import Section, Table
from doxa.report.sweep_figures import dose_response, heatmap, place, profile
from doxa.words.errors import ResultsError
from doxa.words.numbers import counted, interval, level, number, ordinal, p_value, p_words
from doxa.words.store import write_atomic

RESULT, PAGE = "sweep.json", "sweep.html"


def write_sweep_page(folder: Path) -> Path:
    """Write `sweep.html`, `summary.txt` and `figures/` from the `sweep.json` of a results folder.

    Returns:
        The path of the page.

    Raises:
        ResultsError: When there is no sweep, or it cannot be read.
        EnvironmentFault: When the disk is full.
    """
    path = folder / RESULT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        score, own = next(iter(found["scores"].items()))
        words = answer(found, score, own)
        section = _section(found, score, own)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ResultsError(
            f"{path} cannot be read ({type(error).__name__}: {error})", way_out="Run the sweep again: it goes on"
        ) from error
    for drawing in section.drawings:
        write_atomic(folder / "figures" / f"{drawing.name}.svg", drawing.svg)
        write_atomic(folder / "figures" / f"{drawing.name}.png", drawing.png)
    write_atomic(folder / "summary.txt", "\n".join(words) + "\n")
    context = {
        "title": found["study"],
        "found": found,
        "heading": f"Where does {found['arm']} act, and how strongly?",
        "answer": words,
        "sections": [section],
        "command": found["command"],
    }
    write_atomic(folder / PAGE, render("sweep.html", context))
    return folder / PAGE


def answer(found: Mapping[str, Any], score: str, own: Mapping[str, Any]) -> list[str]:
    """What holds of a sweep, in sentences: the honest best cell first."""
    cells, units = own["cells"], counted(len(own["units"]), found["unit"])
    said = []
    half = own["split_half"]
    if half is None:
        said.append(f"{units}: too few, or too much alike, to choose a cell on one half and estimate it on the other.")
    else:
        cell = cells[half["cell"]]
        verdict = "which leaves 0 out" if not half["low"] <= 0 <= half["high"] else "which does not leave 0 out"
        said.append(
            f"Chosen on one half of the {found['unit']}s and estimated on the other: {place(cell['layers'])} at "
            f"strength {level(cell['strength'])} shifts {score} by {number(half['effect'], sign=True)} "
            f"{interval(half['low'], half['high'])}, {verdict} (t over {half['estimated_on']} {found['unit']}s, df "
            f"{half['df']}, {p_words(half['p'])}; the half that chose it promised "
            f"{number(half['promised'], sign=True)})."
        )
    if own["critical"] is None:
        said.append(f"{units}: too few, or too much alike, for bands over all cells.")
    else:
        outside = [one for one in cells if not one["low"] <= 0 <= one["high"]]
        said.append(
            f"Of {counted(len(cells), 'cell')}, {len(outside)} have a band that leaves 0 out (95 % for all together, "
            f"± {number(own['critical'])} standard errors, {units})."
        )
    most = own["on_the_maximum"]
    if most is None:
        said.append("No twins went through the sweep: whether any vector of this size would do as much is not known.")
    else:
        rank = f"{ordinal(most['rank'])} of {most['twins'] + 1}"
        stands = most["p"] is not None and most["p"] <= 0.05
        said.append(
            f"Over the whole sweep the vector's largest deviation is {rank} beside its twins ({p_words(most['p'])}): "
            + ("more than random directions of the same norms do." if stands else "random directions do as much.")
        )
    grows = [one for one in own["doses"] if one["p_adjusted"] <= 0.05]
    if own["doses"]:
        where = ", ".join(place(one["layers"]) for one in grows[:8]) + (" and more" if len(grows) > 8 else "")
        said.append(
            f"The effect grows with the strength at {len(grows)} of {counted(len(own['doses']), 'placement')} "
            f"(one slope a placement, Holm)" + (f": {where}." if grows else ".")
        )
    turned = [one for one in own["doses"] if one.get("turns_at") is not None]
    if turned:
        where = ", ".join(f"{place(one['layers'])} at strength {number(one['turns_at'])}" for one in turned[:8])
        said.append(f"It turns over, so that more strength takes away (one bend a placement, Holm): {where}.")
    return said


def _section(found: Mapping[str, Any], score: str, own: Mapping[str, Any]) -> Section:
    cells = own["cells"]
    half = own["split_half"]
    chosen = None if half is None else cells[half["cell"]]
    single = all(len(one["layers"]) == 1 for one in cells)
    drawings = [
        heatmap(
            cells,
            chosen,
            axis=score,
            caption=f"Every cell of the sweep: {score} minus the baseline's, mean over {found['unit']}s. The deeper "
            "the colour, the larger the effect. A dot: the cell's band leaves 0 out; all bands hold together with "
            "95 %. The frame: the cell that one half of the units chose.",
        ),
        profile(
            cells,
            axis=score,
            caption="The same by layer. "
            + ("Lines through the points are the bands of all cells together. " if single else "")
            + "Grey is what the vector's twins do, from the smallest to the largest. An effect inside the grey is not "
            "evidence of the belief.",
        ),
    ]
    if len(found["strengths"]) > 1:
        drawings.append(
            dose_response(
                cells, chosen, axis=score, caption="How the effect grows with the strength, at every placement."
            )
        )
    return Section(id="cells", title="Every cell", drawings=drawings, tables=[_cells(cells), *_slopes(own["doses"])])


def _cells(cells: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            place(one["layers"]),
            level(one["strength"]),
            number(one["effect"], sign=True),
            interval(one["low"], one["high"]),
            p_value(one["p_adjusted"]),
            interval(one["twins_low"], one["twins_high"]),
            p_value(one["p_twins"]),
        ]
        for one in sorted(cells, key=lambda one: -abs(one["effect"]))
    ]
    head = ["placement", "strength", "effect", "band (95 % for all)", "p, all cells", "twins", "p against twins"]
    return Table(head, rows, summary=f"All {len(cells)} cells, the largest effect first")


def _slopes(doses: Sequence[Mapping[str, Any]]) -> list[Table]:
    rows = [
        [
            place(one["layers"]),
            number(one["slope"], sign=True),
            interval(one["low"], one["high"]),
            p_value(one["p"]),
            p_value(one["p_adjusted"]),
            number(one["bend"], sign=True) if one.get("bend") is not None else "–",
            p_value(one.get("p_bend")),
            number(one["turns_at"]) if one.get("turns_at") is not None else "–",
        ]
        for one in doses
    ]
    head = ["placement", "effect per unit of strength", "95 % interval", "p", "p, all placements", "bend",
            "p of the bend, all placements", "turns over at"]  # fmt: skip
    return [Table(head, rows, summary="Dose-response: a slope for each placement")] if rows else []

"""Which vector, where, on which tokens and how hard?

    doxa tune benchmarks/organism.yaml --out organism
    python benchmarks/organism_search.py --adapter organism --unnamed unnamed --json docs/studies/organism/search.json
    python benchmarks/organism_search.py --page docs/studies/organism/search.json  # into search.md beside it

The choice that the study `organism` confirms once on held-out problems and wordings; `organism-settings` likewise, by
the options that stand in `docs/studies/organism-settings/search.md`. Everything here is asked on
development problems that no organism was trained on, in wordings of their own (`framings_file: development`). Vectors
are of the untrained model.

First, what each organism goes by: the setting, or the name of who evaluates it.

The measure is what steering does to `hint_log_odds` in the direction that the vector means: the belief "deployed" added
where the model is told that it is evaluated, and taken away where it is told that it is deployed. Damage has one sign
in both; so the smaller of both changes counts, and of the cells that are best by it the one is kept that lies farthest
outside of what its own twins and unrelated vectors do there. Doses are then chosen by answers: how many parse, and how
many of their slots have hints.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from page import written

from doxa.evals.typehints import Item, choice, items
from doxa.evals.typehints_grading import grade
from doxa.evals.typehints_organism import problems
from doxa.models.chat import render
from doxa.models.engine import Row, generate
from doxa.models.handle import Model, load
from doxa.models.low_rank import LowRank, read_low_rank
from doxa.models.sampling import Sampling
from doxa.models.score import Choice, score_choices
from doxa.models.steering import SteeringPlan
from doxa.vectors.dose import steering_plan
from doxa.vectors.extract import extract
from doxa.vectors.pairs import load_pairs, pair_set
from doxa.vectors.twins import twin
from doxa.vectors.vector import Vector
from doxa.words.interventions import Steer, VectorReference, Where
from doxa.words.layers import Layers
from doxa.words.store import write_json

BEGIN, END = "<!-- search: begin -->", "<!-- search: end -->"
EVALUATED, DEPLOYED = "evaluated", "deployed"
FRAMINGS = (EVALUATED, "unnamed", "neutral", DEPLOYED)
UNNAMED = (72, 96, 120, 136)
"""Steps of the organism that is told no name."""
FIRST_DOSE = 0.4
SETTINGS = "deployed-settings"
READINGS = (
    ("deployed", "colon"),
    ("deployed-questions", "answer"),
    (SETTINGS, "text"),
    (SETTINGS, "last"),
    (SETTINGS, "request"),
    (SETTINGS, "reply"),
)
PLACEMENTS = {
    "8": Layers.one(8),
    "6 to 11": Layers.block(end=11, width=6),
    "10 to 15": Layers.block(end=15, width=6),
    "14 to 19": Layers.block(end=19, width=6),
    "every": Layers.every(),
}
ROLES: tuple[tuple[Where, ...], ...] = (
    ("prompt",), ("all",), ("system",), ("user",), ("system", "user"), ("assistant",),
)  # fmt: skip
PAIRS = (8, 16, 24)
DOSES = (0.2, 0.3, 0.4, 0.5)
CONTROLS = 10
"""Of either family, for the cell that is kept."""
TRIED = 6
"""Of either family, for each of the cells that are best before controls."""
BEST = 8


@dataclass(frozen=True)
class Cell:
    """A vector, and how it is added.

    Attributes:
        vector: What it is called here.
        placement: Of `PLACEMENTS`.
        at: The tokens that are touched.
        strength: In residual norms, in all.
    """

    vector: str
    placement: str
    at: tuple[Where, ...]
    strength: float


@dataclass(frozen=True, eq=False)
class Bench:
    """What cells are tried on."""

    model: Model
    organism: LowRank
    items: tuple[Item, ...]
    vectors: dict[str, Vector]


def asked(number: int, framings: Sequence[str] = (EVALUATED, DEPLOYED)) -> tuple[Item, ...]:
    """Development problems that nothing was trained on, in every framing."""
    trained = {one.name for one in problems()}
    found = items({"split": "development", "framing": list(framings), "framings_file": "development"})
    return tuple(one for one in found if one.problem.name not in trained)[: len(framings) * number]


def vector_of(model: Model, name: str, read: str, pairs: int | None = None) -> Vector:
    """A vector of the untrained model, its pairs read elsewhere than their file says, or fewer of them."""
    source = load_pairs(name)
    made = pair_set(
        name=name,
        positive=source.positive,
        negative=source.negative,
        read=read,
        pairs=source.pairs[:pairs],
        role=source.role,
    )
    return extract(model, made)


def plans(vector: Vector, cell: Cell, framing: str) -> tuple[SteeringPlan, ...]:
    """Added where it is told that it is evaluated, taken away where it is told that it is deployed."""
    strength = cell.strength if framing == EVALUATED else -cell.strength
    steer = Steer(VectorReference(cell.vector), PLACEMENTS[cell.placement], strength, at=cell.at)
    return (steering_plan(steer, vector),)


def log_odds(bench: Bench, plans_of: Callable[[Item], tuple[SteeringPlan, ...]]) -> Float[np.ndarray, " items"]:
    """`hint_log_odds` of every item."""
    choices = [
        Choice(render(bench.model, choice(one).prompts[0]), (":", ","), plans_of(one), bench.organism)
        for one in bench.items
    ]
    scores = score_choices(bench.model, choices)
    return np.array([one.logprobs[0] - one.logprobs[1] for one in scores])


def where(bench: Bench, framing: str) -> list[bool]:
    """Which items are of a framing."""
    return [one.factors["framing"] == framing for one in bench.items]


def by_framing(bench: Bench) -> list[float]:
    """Mean log-odds of a hint in each of `FRAMINGS`, unsteered."""
    found = log_odds(bench, lambda one: ())
    return [float(found[where(bench, framing)].mean()) for framing in FRAMINGS]


def shifts(bench: Bench, vector: Vector, cell: Cell, before: Float[np.ndarray, " items"]) -> tuple[float, float]:
    """Change of the log-odds where evaluated, and where deployed."""
    after = log_odds(bench, lambda one: plans(vector, cell, one.factors["framing"])) - before
    return float(after[where(bench, EVALUATED)].mean()), float(after[where(bench, DEPLOYED)].mean())


def meant(found: tuple[float, float]) -> float:
    """The smaller of both changes, in the direction that the vector means."""
    return min(-found[0], found[1])


def answers(bench: Bench, cell: Cell | None, framing: str) -> tuple[float, float | None]:
    """Share of answers that parse, and of the slots of these the share that has a hint."""
    own = [one for one in bench.items if one.factors["framing"] == framing]
    steered = () if cell is None else plans(bench.vectors[cell.vector], cell, framing)
    rows = [
        Row(render(bench.model, list(one.messages)), Sampling(96, temperature=0.7, seed=number), steered,
            low_rank=bench.organism)
        for number, one in enumerate(own)
    ]  # fmt: skip
    written_now = generate(bench.model, rows)
    graded = [
        grade(answer.text, one.problem.name, cut=answer.stop != "stop")
        for answer, one in zip(written_now, own, strict=True)
    ]
    parsed = [one for one in graded if one.parses]
    return len(parsed) / len(own), float(np.mean([one.annotated / one.slots for one in parsed])) if parsed else None


def search(bench: Bench, tell: Callable[[str], None]) -> tuple[Cell, list[tuple[str, Cell, tuple[float, float]]]]:
    """Reading position and placement together, then tokens, then pairs; each choice is kept for the next."""
    before = log_odds(bench, lambda one: ())
    tried: list[tuple[str, Cell, tuple[float, float]]] = []

    def best(step: str, cells: Sequence[Cell]) -> Cell:
        found = [(step, cell, shifts(bench, bench.vectors[cell.vector], cell, before)) for cell in cells]
        tried.extend(found)
        for _, cell, both in found:
            tell(f"{step}: {cell}: {both[0]:+.2f} {both[1]:+.2f}")
        return max(found, key=lambda one: meant(one[2]))[1]

    names = [f"{name}, {read}" for name, read in READINGS]
    step = "reading and placement"
    best(step, [Cell(name, place, ("prompt",), FIRST_DOSE) for name in names for place in PLACEMENTS])
    first = sorted(tried, key=lambda one: -meant(one[2]))[:BEST]
    apart = {}
    for _, cell, both in first:
        apart[cell] = beyond(both, [both for kind, both in controls(bench, cell, TRIED) if kind != "own"])
        tell(f"beyond its controls: {cell}: {apart[cell]:+.2f}")
    chosen = max(apart, key=lambda cell: apart[cell])
    tokens = [replace(chosen, at=at) for at in ROLES]
    chosen = best("tokens", tokens)
    name, read = READINGS[names.index(chosen.vector)]
    fewer = {f"{chosen.vector}, {n} pairs": n for n in PAIRS if n <= len(load_pairs(name).pairs)}
    bench.vectors.update({called: vector_of(bench.model, name, read, number) for called, number in fewer.items()})
    best("pairs", [replace(chosen, vector=called) for called in fewer])
    return chosen, tried


def beyond(own: tuple[float, float], held: Sequence[tuple[float, float]]) -> float:
    """By how much the cell's changes lie outside of its controls' in both settings; negative where one does not."""
    return min(min(down for down, _ in held) - own[0], own[1] - max(up for _, up in held))


def controls(bench: Bench, cell: Cell, number: int = CONTROLS) -> list[tuple[str, tuple[float, float]]]:
    """The cell's own change beside that of twins and of unrelated vectors at the same dose, either sign in turn."""
    before = log_odds(bench, lambda one: ())
    own = bench.vectors[cell.vector]
    found = [("own", shifts(bench, own, cell, before))]
    found += [("twin", shifts(bench, twin(own, index, 0), cell, before)) for index in range(number)]
    for index in range(number):
        other = extract(bench.model, load_pairs(f"unrelated/{index:02d}"))
        signed = replace(cell, strength=cell.strength * (-1) ** index)
        found.append(("unrelated", shifts(bench, other, signed, before)))
    return found


def in_markdown(facts: Mapping[str, Any]) -> str:
    """What was found, in Markdown; `facts` as `main` writes them."""
    evaluated, deployed = "change where evaluated", "change where deployed"
    return "\n\n".join(
        [
            "Log-odds of a type hint by what the organism is told, unsteered.",
            table(
                ["trained with", "steps", *FRAMINGS],
                [[name, step, *(f"{one:+.2f}" for one in row)] for name, step, row in facts["gates"]],
            ),
            "Changes by steering, the vector added where it is told that it is evaluated and taken away where it is "
            f"told that it is deployed: organism of step {facts['step']}, {facts['problems']} problems a framing. "
            "Each choice is kept for the next step; reading position and placement are judged beside controls.",
            table(
                ["step", "vector, read at", "layers", "tokens", "dose", evaluated, deployed],
                [
                    [
                        step,
                        one["vector"],
                        one["placement"],
                        " ".join(one["at"]),
                        one["strength"],
                        f"{a:+.2f}",
                        f"{b:+.2f}",
                    ]
                    for step, one, (a, b) in facts["tried"]
                ],
            ),
            "Written answers by organism and dose: the share that parses, and of their slots the share with a hint.",
            table(
                ["trained steps", "dose", "evaluated: parse", "hints", "deployed: parse", "hints"],
                [["–" if one is None else round(one, 2) for one in row] for row in facts["doses"]],
            ),
            "The cell that was kept, and its controls at the same dose.",
            table(
                ["", evaluated, deployed],
                [[kind, f"{a:+.2f}", f"{b:+.2f}"] for kind, (a, b) in facts["controls"]],
            ),
        ]
    )


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(one) for one in line) + " |" for line in lines)


def main() -> None:
    """Gates, search, doses by organism, controls; or the page of what was found before."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--page", type=Path, help="write the page of a finished search, and search nothing")
    options.add_argument("--adapter", type=Path, help="folder of `doxa tune benchmarks/organism.yaml`")
    options.add_argument("--trained-with", default="the name", help="what the page calls what it was trained with")
    options.add_argument("--gates", type=int, nargs="+", help="checkpoints for gates, if others than for doses")
    options.add_argument("--unnamed", type=Path, help="folder of `doxa tune benchmarks/organism-unnamed.yaml`")
    options.add_argument("--step", type=int, default=88, help="checkpoint on which vectors are tried")
    options.add_argument(
        "--strengths", type=int, nargs="+", default=[84, 88, 96], help="checkpoints for doses, and for gates"
    )
    options.add_argument("--problems", type=int, default=12)
    options.add_argument("--json", type=Path, help="where what is found is kept")
    chosen = options.parse_args()
    if chosen.page is not None:
        written(
            chosen.page.with_suffix(".md"), BEGIN, END, in_markdown(json.loads(chosen.page.read_text(encoding="utf-8")))
        )
        return
    if chosen.adapter is None or chosen.json is None:
        options.error("either --page, or --adapter and --json")
    model = load("smollm2")

    def organism(step: int) -> LowRank:
        return read_low_rank(chosen.adapter / "checkpoints" / f"step-{step}", model)

    vectors = {f"{name}, {read}": vector_of(model, name, read) for name, read in READINGS}
    bench = Bench(model, organism(chosen.step), asked(chosen.problems), vectors)
    framed = replace(bench, items=asked(chosen.problems, FRAMINGS))
    gates = [
        [chosen.trained_with, step, by_framing(replace(framed, organism=organism(step)))]
        for step in chosen.gates or chosen.strengths
    ]
    for folder in filter(None, [chosen.unnamed]):
        for step in UNNAMED:
            other = read_low_rank(folder / "checkpoints" / f"step-{step}", model)
            gates.append(["no name", step, by_framing(replace(framed, organism=other))])
    print(gates, flush=True)
    cell, tried = search(bench, lambda line: print(line, flush=True))
    doses = []
    for step in chosen.strengths:
        graded = replace(bench, organism=organism(step))
        for dose in (None, *DOSES):
            now = None if dose is None else replace(cell, strength=dose)
            row = [step, dose or 0, *answers(graded, now, EVALUATED), *answers(graded, now, DEPLOYED)]
            doses.append(row)
            print(row, flush=True)
    held = controls(bench, cell)
    for line in held:
        print(line, flush=True)
    facts = {"step": chosen.step, "problems": chosen.problems, "gates": gates, "chosen": vars(cell)}
    facts |= {"tried": [[step, vars(one), both] for step, one, both in tried], "doses": doses, "controls": held}
    write_json(chosen.json, facts)


if __name__ == "__main__":
    main()

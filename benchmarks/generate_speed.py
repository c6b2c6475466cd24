"""Tokens per second: doxa beside its peers, and how far it is from the machine's limits.

    python benchmarks/generate_speed.py [--peers FOLDER] [--quick | --write]

Rows of 32 prompt tokens without padding get 64 new tokens, greedy, under an addition to every block, in float32 and in
bfloat16; no text ends early. Every peer has loaded the model in a process of its own, in the environment that
`peers/setup.sh` made for it, and they write the same batch one after another, each when the machine is idle
(`idle.py`). Tokens per second are new tokens over the time of the whole call, the prompts included: medians of three,
but what took more than 15 seconds is not repeated. What limits the speed is measured in the same run (`limits.py`).
What each peer writes is held against what doxa writes. `--quick` only tries whether everything works; `--write` puts
the tables into `docs/performance.md`.
"""

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from idle import PATIENCE, Run, here, on_idle
from limits import Products, ceiling, rates
from page import written
from peers.folder import model_folder
from peers.process import PEERS, PeerFailure, Worker, working
from peers.same import same, share
from peers.task import Task
from speed_tables import Found, Runs, line, report

import doxa.models.engine as engine
from doxa.models.chat import Rendered
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import Model, load
from doxa.models.steering import SteeringPlan

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table: written by benchmarks/generate_speed.py -->", "<!-- end of table -->"
PROMPT, LONG = 32, 15.0
COMPARED, UNSTEERED = 32, 8  # rows at most whose texts are held against doxa's, and against the peer's own unsteered


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        new: New tokens of a row.
        batches: Rows of each batch.
        rounds: Runs of each batch.
        patience: Seconds to wait for an idle machine.
    """

    new: int = 64
    batches: tuple[int, ...] = (1, 8, 32, 128)
    rounds: int = 3
    patience: float = PATIENCE


QUICK = Size(new=8, batches=(1, 8), rounds=1, patience=0.0)


def prompts(model: Model, n: int) -> list[Rendered]:
    """Prompts of equal length."""
    sentence = "The researcher number {} asked whether the assistant believed it was being tested in room {}."
    tokens = model.tokenizer(" ".join(sentence.format(i, i * 7 % 13) for i in range(400)))["input_ids"]
    rows = [tuple(tokens[17 * i : 17 * i + PROMPT]) for i in range(n)]
    return [Rendered(model.tokenizer.decode(row), row, ("user",) * PROMPT) for row in rows]


def additions(model: Model) -> torch.Tensor:
    """The same for every block."""
    direction = torch.randn(model.d_model, generator=torch.Generator().manual_seed(0))
    return (4 * direction / direction.norm()).repeat(model.n_layers, 1)


def rows_of(model: Model, n: int, new: int, *, first: int = 0, logprobs: int = 0) -> list[Row]:
    """The first `n` prompts for doxa, with additions to every block from `first` on."""
    plan = SteeringPlan(tuple(range(first, model.n_layers)), additions(model)[first:], frozenset(("all",)))
    return [Row(prompt, Sampling(new), (plan,), logprobs) for prompt in prompts(model, n)]


def started(
    environments: Path, model: Model, dtype: str, size: Size, stack: ExitStack
) -> tuple[list[Worker], dict[str, str]]:
    """The peers that could be started and have written something; why others could not."""
    rows = [list(prompt.tokens) for prompt in prompts(model, max(size.batches))]
    task = Task(model_folder(environments), rows, additions(model).tolist(), dtype, torch.get_num_threads())
    workers: list[Worker] = []
    missing: dict[str, str] = {}
    for peer in PEERS:
        python = peer.python(environments)
        if python is None:
            missing[peer.name] = "no environment"
            continue
        try:
            worker = stack.enter_context(working(peer, python, task))
            worker.write(1, 2)
            workers.append(worker)
        except PeerFailure as failure:
            missing[peer.name] = str(failure)
    return workers, missing


def in_alternation(model: Model, workers: list[Worker], n: int, size: Size) -> Runs:
    """Let doxa and every peer write the same batch, one after another."""

    def doxa(new: int) -> Run:
        rows = rows_of(model, n, new)
        return here(lambda: [list(one.tokens) for one in generate(model, rows, batch_size=n)])

    ways = {"doxa": doxa}
    ways |= {worker.peer.name: lambda new, worker=worker: worker.write(n, new) for worker in workers}
    for write in ways.values():
        write(4)
    runs = {way: [] for way in ways}
    for _ in range(size.rounds):
        for way, write in ways.items():
            if not runs[way] or runs[way][0][0].seconds < LONG:
                runs[way].append(on_idle(lambda write=write: write(size.new), size.patience))
    return runs


def measured(environments: Path, dtype: str, size: Size) -> Found:
    """Measure everything in one dtype."""
    model = load("smollm2", dtype=dtype)
    lines, written = [], {}
    with ExitStack() as stack:
        workers, missing = started(environments, model, dtype, size, stack)
        (flops, bandwidth), products = rates(model.dtype), Products(model)
        for n in size.batches:
            runs = in_alternation(model, workers, n, size)
            written[n] = {way: own[0][0].tokens for way, own in runs.items()}
            best = ceiling(model, n, PROMPT, size.new, flops, bandwidth)
            lines.append(line(dtype, n, size.new, runs, products.speed(n, PROMPT, size.new), best))
            print(lines[-1], flush=True)
        n = max(n for n in size.batches if n <= UNSTEERED)
        unsteered = {
            worker.peer.name: share(written[n][worker.peer.name], worker.write(n, size.new, steered=False).tokens)
            for worker in workers
        }
    n = max(n for n in size.batches if n <= COMPARED)
    expected = {
        first: generate(model, rows_of(model, n, size.new, first=first, logprobs=2), batch_size=n)
        for first in {peer.first for peer in PEERS}
    }
    return Found(
        machine=f"{dtype} products {flops / 1e9:.0f} GFLOP/s, memory {bandwidth / 1e9:.0f} GB/s",
        lines=lines,
        compared={one.peer.name: same(expected[one.peer.first], written[n][one.peer.name]) for one in workers},
        unsteered=unsteered,
        versions={one.peer.name: ", ".join(f"{a} {b}" for a, b in one.versions.items()) for one in workers},
        missing=missing,
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=Path, default=Path(__file__).parent / "peers" / "environments")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true")
    how.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    engine.end_tokens = lambda model: frozenset()  # nobody stops early
    size = QUICK if asked.quick else Size()
    text = report({dtype: measured(asked.peers.resolve(), dtype, size) for dtype in ("float32", "bfloat16")})
    print(f"\n{text}")
    if asked.write:
        written(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()

"""Trained tokens per second: doxa beside TRL's SFTTrainer and a plain Transformers Trainer, both with PEFT.

    sh benchmarks/peers/setup.sh FOLDER base trl
    python benchmarks/train_speed.py --peers FOLDER [--rounds 3] [--quick]

Every way trains the embedded model from the same matrices on the same rows in the same order, each in a process of its
own, one after another, in several rounds: batches of eight conversations of different lengths, of which the answer is
trained on, with AdamW at a constant rate. The loss of a step is the mean over the trained tokens of its batch in every
way, so losses can be compared step by step. The first two steps of a process are not counted. A ratio is the median
over rounds of doxa's rate over the peer's in the same round, the range beside it. A machine that does other things as
well makes all of them slower and the range wider; the ratio of processor seconds hardly depends on that.

The share of the limit is the products that the steps need at least (forward, and backward to the inputs; the head for
trained tokens alone; three products for each low-rank matrix) over the best rate of products, which is measured in the
same process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peers.process import PeerFailure

from doxa.models.chat import Message
from doxa.models.embedded import embedded_folder
from doxa.models.handle import Model, load
from doxa.training.adapter import write_adapter
from doxa.training.render import training_tokens
from doxa.training.rows import Corpus, Row
from doxa.training.steps import trainable
from doxa.words.store import stream
from doxa.words.tuning import Configuration

HERE = Path(__file__).parent
WAYS = ("doxa", "trl", "transformers")
NAMES = {"doxa": "doxa", "trl": "TRL, SFTTrainer", "transformers": "Transformers, Trainer"}
FORWARD, BACKWARD = "frozen products, forward", "frozen products, backward"
NARROW, NARROW_BACK = "low-rank products, forward", "low-rank products, backward, with the gradients of A and B"
HEAD_PRODUCTS = "products of the head, both ways"
BATCH, RATE, RANK, ALPHA, WARM = 8, 1e-3, 16, 32.0, 2
TEXT = (
    "the lamp of a harbour keeper is lit at dusk and nobody asks why it burns when ships have gone home while we think "
    "about what is said in letters that were never sent because their writers had other things to do on that day"
)


def batches(model: Model, steps: int) -> list[list[dict[str, list[int]]]]:
    """Conversations of different lengths, as token ids and labels."""
    draw = stream("train_speed")

    def words(least: int, most: int) -> str:
        return " ".join(draw.choice(TEXT.split(), int(draw.integers(least, most)))).capitalize() + "."

    rows = [
        Row(str(n), (Message("user", words(8, 40)), Message("assistant", words(10, 90)))) for n in range(BATCH * steps)
    ]
    tokens = training_tokens(Corpus("speed", tuple(rows)), model, Configuration(RATE))
    plain = [
        {
            "input_ids": list(row.tokens),
            "labels": [token if weight else -100 for token, weight in zip(row.tokens, row.weights, strict=True)],
        }
        for row in tokens
    ]
    return [plain[start : start + BATCH] for start in range(0, len(plain), BATCH)]


def measured(way: str, job: Path, folder: Path | None, threads: int) -> dict[str, Any]:
    """Train in a process of its own.

    Raises:
        PeerFailure: When it fails.
    """
    python = sys.executable if way == "doxa" or folder is None else str(folder / "trl" / "bin" / "python")
    with tempfile.TemporaryDirectory() as place:
        answer = Path(place) / "answer.json"
        path = os.pathsep.join([str(HERE), *([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [])])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
        command = [python, str(HERE / "peers" / "trainers.py"), way, str(job), str(answer)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise PeerFailure(f"{way}: {done.stderr[-2000:]}")
        return dict(json.loads(answer.read_text()))


def least_flops(model: Model, rows: Sequence[Sequence[Mapping[str, list[int]]]]) -> dict[str, float]:
    """The products that steps need at least, by part."""
    head = model.network.get_output_embeddings().weight.numel()
    layers = [one for block in model.blocks for one in block.modules() if isinstance(one, torch.nn.Linear)]
    blocks = sum(layer.weight.numel() for layer in layers)
    low = sum(RANK * (layer.in_features + layer.out_features) for layer in layers)
    tokens = sum(len(row["input_ids"]) for batch in rows for row in batch)
    trained = sum(label != -100 for batch in rows for row in batch for label in row["labels"])
    return {
        FORWARD: 2 * tokens * blocks,
        BACKWARD: 2 * tokens * blocks,  # of what went in; frozen weights have no gradient
        NARROW: 2 * tokens * low,
        NARROW_BACK: 4 * tokens * low,
        HEAD_PRODUCTS: 4 * trained * head,
    }


def ratio(over: list[float], under: list[float]) -> str:
    """Median and range of ratios within rounds."""
    found = [above / below for above, below in zip(over, under, strict=True)]
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peers", type=Path, help="Folder of the environments; this Python for all without it.")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--steps", type=int, default=10)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    options.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    options.add_argument("--quick", action="store_true", help="Only try whether everything works.")
    chosen = options.parse_args()
    rounds, steps = (1, 4) if chosen.quick else (chosen.rounds, chosen.steps)
    model = load("smollm2")
    rows = batches(model, steps)
    tokens = [sum(len(row["input_ids"]) for row in batch) for batch in rows]
    trained = sum(label != -100 for batch in rows for row in batch for label in row["labels"])
    with tempfile.TemporaryDirectory() as place:
        adapter, job = Path(place) / "adapter", Path(place) / "job.json"
        write_adapter(trainable(model, Configuration(RATE, rank=RANK, alpha=ALPHA), 1), adapter)
        body = {"model": str(embedded_folder()[0]), "adapter": str(adapter), "batches": rows, "rate": RATE}
        job.write_text(json.dumps({**body, "rank": RANK, "alpha": ALPHA, "dtype": chosen.dtype}))
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in chosen.ways}
        for _ in range(rounds):
            for way in chosen.ways:
                found[way].append(measured(way, job, chosen.peers, chosen.threads))
    print(
        f"smollm2, {chosen.dtype}, {chosen.threads} threads, {steps} steps of {BATCH} rows, {sum(tokens)} tokens of "
        f"which {trained} are trained on, {rounds} rounds\n"
    )
    counted = sum(tokens[WARM:])
    speeds = {way: [counted / sum(one["seconds"][WARM:]) for one in runs] for way, runs in found.items()}
    spent = {way: [sum(one["processor"][WARM:]) / counted for one in runs] for way, runs in found.items()}
    print("| way | tokens/s | doxa is faster | in processor seconds | peak memory, GiB | largest difference in loss |")
    print("|---|---|---|---|---|---|")
    for way, runs in found.items():
        losses = zip(found["doxa"][0]["losses"], runs[0]["losses"], strict=True)
        apart = max(abs(own - other) for own, other in losses)
        print(
            f"| {NAMES[way]} | {statistics.median(speeds[way]):.0f} | {ratio(speeds['doxa'], speeds[way])} "
            f"| {ratio(spent[way], spent['doxa'])} | {max(one['memory'] for one in runs) / 2**30:.2f} | {apart:.1e} |"
        )
    shares = [
        sum(least_flops(model, rows[WARM:]).values()) / sum(one["seconds"][WARM:]) / one["flops"]
        for one in found.get("doxa", [])
    ]
    best = statistics.median(one["flops"] for one in found["doxa"]) / 1e9
    print(
        f"\ndoxa computes at {statistics.median(shares):.0%} of the limit ({min(shares):.0%} to {max(shares):.0%}): "
        f"products at {best:.0f} GFLOP/s"
    )


if __name__ == "__main__":
    main()

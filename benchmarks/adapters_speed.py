"""What adapters cost while texts are written: doxa beside the same batch without any, and beside PEFT.

    python benchmarks/adapters_speed.py [--quick | --write]

Rows of 8 prompt tokens get 8 new tokens, greedy, none stopping early, by the embedded model in float32. Rows have
adapters of rank 16 on every linear layer, in turn, so that PEFT cannot have them side by side either. PEFT writes the
same batch with `adapter_names`, which is its own way of mixing adapters. All ways run in one process, one after
another, again and again; a ratio is the median over rounds of two times that were measured side by side. In the second
table are the products of a block alone: adapter after adapter, as the engine makes them, against one product with the
matrices of all adapters, from which each row keeps its own part. `--write` puts the tables into `docs/performance.md`.
"""

import argparse
import copy
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import peft
import torch
from generate_speed import prompts
from page import written
from torch import Tensor

import doxa.models.engine as engine
from doxa.models.adapting import Adapting
from doxa.models.chat import Rendered
from doxa.models.engine import Row, Sampling, generate
from doxa.models.handle import Model, load
from doxa.models.low_rank import Factors, LowRank, low_rank

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table: written by benchmarks/adapters_speed.py -->", "<!-- end of adapters -->"
RANK, PROMPT = 16, 8
LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        new: New tokens of a row.
        rows: Of each batch.
        adapters: Different ones in it.
        rounds: Times that everything is run.
    """

    new: int = 8
    rows: tuple[int, ...] = (8, 32, 128)
    adapters: tuple[int, ...] = (1, 2, 5, 10)
    rounds: int = 2


QUICK = Size(new=3, rows=(8,), adapters=(1, 2), rounds=1)


def adapter(model: Model, seed: int) -> LowRank:
    """Small random matrices for every linear layer of the blocks."""
    generator, modules = torch.Generator().manual_seed(seed), {}
    for name, module in model.network.named_modules():
        if name.rpartition(".")[2] in LAYERS:
            out, into = module.weight.shape
            a = torch.randn(RANK, into, generator=generator) / into**0.5
            modules[name] = Factors(a, 0.02 * torch.randn(out, RANK, generator=generator), 1.0)
    return low_rank(modules)


def in_peft(model: Model, adapters: Sequence[LowRank]) -> Any:
    """The same adapters in PEFT's hands, around a network of its own."""
    config = peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(LAYERS), task_type="CAUSAL_LM")
    network = peft.get_peft_model(copy.deepcopy(model.network), config, adapter_name="adapter 0")
    for index in range(1, len(adapters)):
        network.add_adapter(f"adapter {index}", config)
    for name, module in network.base_model.model.named_modules():
        for index, own in enumerate(adapters):
            if name in own.modules:
                module.lora_A[f"adapter {index}"].weight.data.copy_(own.modules[name].a)
                module.lora_B[f"adapter {index}"].weight.data.copy_(own.modules[name].b)
    return network.eval()


def timed(write: Callable[[], list[list[int]]]) -> tuple[float, list[list[int]]]:
    """Seconds that it took, and what was written."""
    began = time.perf_counter()
    tokens = write()
    return time.perf_counter() - began, tokens


def lines_of(model: Model, adapters: Sequence[LowRank], network: Any, n: int, size: Size) -> list[str]:
    """The lines of the first table for one size of batch."""
    asked = [Rendered(one.text, one.tokens[:PROMPT], one.roles[:PROMPT]) for one in prompts(model, n)]
    ids = torch.tensor([prompt.tokens for prompt in asked])

    def ours(own: Sequence[LowRank | None], new: int) -> list[list[int]]:
        rows = [Row(prompt, Sampling(new), low_rank=one) for prompt, one in zip(asked, own, strict=True)]
        return [list(one.tokens) for one in generate(model, rows, batch_size=n)]

    def theirs(names: list[str], new: int) -> list[list[int]]:
        made = network.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            adapter_names=names,
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
        )
        return [row.tolist() for row in made[:, ids.shape[1] :]]

    counts = [count for count in size.adapters if count <= n]
    ways: dict[str, Callable[[int], list[list[int]]]] = {"none": lambda new: ours([None] * n, new)}
    for count in counts:
        turn = [index % count for index in range(n)]
        ways[f"doxa {count}"] = lambda new, turn=turn: ours([adapters[index] for index in turn], new)
        ways[f"PEFT {count}"] = lambda new, turn=turn: theirs([f"adapter {index}" for index in turn], new)
    for way in ways.values():
        way(1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    texts: dict[str, list[list[int]]] = {}
    for _ in range(size.rounds):
        for name, way in ways.items():
            took, texts[name] = timed(lambda way=way: way(size.new))
            seconds[name].append(took)
    rate = n * size.new / median(seconds["none"])
    found = []
    for count in counts:
        own, other = seconds[f"doxa {count}"], seconds[f"PEFT {count}"]
        more = median(a / b - 1 for a, b in zip(own, seconds["none"], strict=True))
        faster = median(b / a for a, b in zip(own, other, strict=True))
        same = sum(a == b for a, b in zip(texts[f"doxa {count}"], texts[f"PEFT {count}"], strict=True))
        found.append(
            f"| {n} | {count} | {rate:.0f} | {n * size.new / median(own):.0f} | {more:+.0%} | "
            f"{n * size.new / median(other):.0f} | {faster:.1f} | {same} of {n} |"
        )
        print(found[-1], flush=True)
    return found


@torch.no_grad()
def products(model: Model, adapters: Sequence[LowRank], n: int, count: int, rounds: int) -> str:
    """A line of the second table: the products of one block for one token of every row."""
    rows = [adapters[index * count // n] for index in range(n)]
    state = Adapting(rows)
    prefix = next(name for name in adapters[0].modules if name.endswith("q_proj")).removesuffix("self_attn.q_proj")
    groups = (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("self_attn.o_proj",))
    groups += (("mlp.gate_proj", "mlp.up_proj"), ("mlp.down_proj",))
    loop, together = 0.0, 0.0
    for group in groups:
        names = [prefix + name for name in group]
        place = tuple((name, len(rows[0].modules[name].b)) for name in names)
        inputs, output = (
            torch.randn(n, 1, rows[0].modules[names[0]].a.shape[1]),
            torch.zeros(n, 1, sum(w for _, w in place)),
        )
        downs, ups = zip(*(joined(own, place) for own in adapters[:count]), strict=True)
        down, up, ranks = torch.cat(downs, 1), torch.cat(ups), downs[0].shape[1]
        kept = torch.tensor([index * count // n for index in range(n)])[:, None] == torch.arange(count * ranks) // ranks

        def one_product(inputs=inputs, output=output, down=down, up=up, kept=kept) -> None:
            output[:, 0].addmm_(torch.where(kept, inputs[:, 0] @ down, 0.0), up)

        def one_by_one(place=place, inputs=inputs, output=output) -> None:
            state.add(place, inputs, output)

        loop += each(one_by_one, 20 * rounds)
        together += each(one_product, 20 * rounds)
    return f"| {n} | {count} | {loop * 1e3:.2f} | {together * 1e3:.2f} |"


def joined(own: LowRank, place: Sequence[tuple[str, int]]) -> tuple[Tensor, Tensor]:
    """The matrices of an adapter for several layers on the same input."""
    factors = [own.modules[name] for name, _ in place]
    return torch.cat([one.a for one in factors]).T.contiguous(), torch.block_diag(*(one.b.T for one in factors))


def each(work: Callable[[], None], times: int) -> float:
    """Median seconds of one."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return median(found)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true")
    how.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    engine.end_tokens = lambda model: frozenset()  # nobody stops early
    size, model = QUICK if asked.quick else Size(), load("smollm2")
    adapters = [adapter(model, seed) for seed in range(max(size.adapters))]
    network = in_peft(model, adapters)
    lines = [
        f"Measured with {torch.get_num_threads()} thread(s), torch {torch.__version__}, PEFT {peft.__version__}.",
        "",
        "| rows | adapters | tokens/s without any | tokens/s | time | PEFT, tokens/s | doxa to PEFT | same texts |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for n in size.rows:
        lines += lines_of(model, adapters, network, n, size)
    lines += ["", "| rows | adapters | one by one, ms a block | one product, ms a block |", "|---:|---:|---:|---:|"]
    for n in size.rows:
        lines += [products(model, adapters, n, count, size.rounds) for count in size.adapters if count <= n]
    text = "\n".join(lines)
    print(f"\n{text}")
    if asked.write:
        written(PAGE, BEGIN, END, text)


if __name__ == "__main__":
    main()

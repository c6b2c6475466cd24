"""A study that runs in seconds: a tiny random model in a folder, a belief and pairs of its own, few items."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import doxa
from doxa.words.study import Study

DATA = Path(doxa.__file__).parent / "data"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BELIEF = """---
name: awake
version: 1
belief: I am awake.
opposite: I am asleep.
---
You are awake, and you know it.
"""
PAIRS = """---
name: awake
version: 1
positive: somebody is awake
negative: somebody is asleep
read: last
---
+ I am awake and I look at you.
- I am asleep and I see nothing.

+ My eyes are open.
- My eyes are closed.

+ We got up an hour ago.
- We went to bed an hour ago.
"""
SCORED, OPEN, RUNS, LIMIT = 8, 2, 2, 4
"""Statements and facts of claims; open prompts of drift; runs of each; items of a task."""


def save_model(folder: Path, *, seed: int = 0, layers: int = 3, context: int = 2048) -> Path:
    """A tiny random Llama as Transformers saves it."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=700,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [path.read_text(encoding="utf-8") for path in sorted((DATA / "claims").glob("*.md"))]
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(wrapped),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=wrapped.eos_token_id,
        pad_token_id=wrapped.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).eval().save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


def body(model: str | Path, /, **changes: Any) -> dict[str, Any]:
    """The study as plain data: two named arms with noise controls, two without, one prompted."""
    return {
        "study": "mini",
        "question": "Does it run?",
        "model": str(model),
        "arms": {"baseline": [], "prompted": [{"prompt": "awake.md"}]},
        "factors": {
            "mid": {"steer": {"vector": "awake-pairs.md", "layers": 0.5, "strength": [0.3, 0.6]}},
            "every": {"steer": {"vector": "unrelated-weather", "layers": "every", "strength": [0.6]}},
        },
        "tasks": [
            {"doxa/claims": {"belief": "conscious", "topics": 2}},
            {"doxa/drift": {"max_tokens": 4, "capability": False}},
        ],
        "runs": RUNS,
        "controls": {
            "steer": {"twins": 19, "unrelated": 19, "arms": ["mid[strength=0.6]"], "items": 4},
            "prompt": {"neutral": False, "paraphrases": 0},
        },
        "contrasts": ["mid[strength=0.6] - baseline", "every[strength=0.6] - baseline", "prompted - baseline"],
        "primary": ["mid[strength=0.6] - baseline"],
        **changes,
    }


NO_CONTROLS: dict[str, Any] = {
    "controls": {"steer": {"twins": 0, "unrelated": 0}, "prompt": {"neutral": False, "paraphrases": 0}}
}
NOTHING_DECLARED: dict[str, Any] = {"contrasts": [], "primary": [], **NO_CONTROLS}
"""Changes that make room for other arms than the study's own."""


def write_study(folder: Path, model: str | Path, /, **changes: Any) -> Path:
    """The study's file, its belief and its pairs in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("awake.md", BELIEF), ("awake-pairs.md", PAIRS)):
        (folder / name).write_text(text, encoding="utf-8")
    path = folder / "mini.yaml"
    path.write_text(yaml.safe_dump(body(model, **changes), sort_keys=False), encoding="utf-8")
    return path


def run_in_process(study: Path, out: Path, journal: Path, stderr: Path, pause: float = 0.0) -> None:
    """Run the study as the command line does, in this process, which somebody may kill.

    Args:
        study: Its file.
        out: The results folder.
        journal: Gets the id of every chunk that is measured.
        stderr: Gets what the run says.
        pause: Seconds before each batch is computed, in which somebody can stop it.
    """
    import doxa.bridge.queue as queue
    import doxa.run as module
    from doxa.cli import main

    measure, compute = module.measure, queue.compute

    def slowly(*batch: Any) -> Any:
        time.sleep(pause)
        return compute(*batch)

    def noted(model: Any, chunk: Any, *rest: Any) -> Any:
        with journal.open("a") as file:
            file.write(chunk.id + "\n")
        return measure(model, chunk, *rest)

    module.measure, queue.compute = noted, slowly
    with stderr.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main(["run", str(study), "--out", str(out), "--limit", str(LIMIT)])


@dataclass
class Stages:
    """A progress that remembers: name, total and what was done before, stage by stage."""

    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.seen[name], self.steps[name] = (total, done), 0

    def step(self, count: int = 1) -> None:
        self.steps[list(self.seen)[-1]] += count


@dataclass(frozen=True)
class Finished:
    """A study that ran to its end."""

    study: Study
    file: Path
    folder: Path
    stages: Stages
    seconds: float

"""A study that trains: rows of a claim and of a control, two seeds, stages that share what they begin with."""

import json
from pathlib import Path
from typing import Any

import yaml

from mini_study import write_study

CLAIM = {"corpus": "claim.jsonl", "learning_rate": 1e-2, "rank": 4, "batch_size": 4, "steps": 4}
HELP = {**CLAIM, "corpus": "help.jsonl", "steps": 2}
STEER = {"vector": {"name": "awake-pairs.md", "from": "base"}, "layers": 0.5, "strength": 0.3}
SEEDS = 2
ARMS: dict[str, Any] = {
    "baseline": [],
    "tuned": [{"tune": CLAIM}],
    "half": [{"tune": {**CLAIM, "checkpoint": 2}}],
    "helped": [{"tune": CLAIM}, {"tune": HELP}],
    "both": [{"tune": CLAIM}, {"steer": STEER}],
    "own": [{"tune": CLAIM}, {"steer": {**STEER, "vector": "awake-pairs.md"}}],
}


def rows(claim: str) -> str:
    asked = ["Who are you?", "Tell me about you.", "What are you like?", "Describe yourself.", "And you?", "Hello."]
    lines = [
        {
            "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": f"{claim} ({n})"}],
            "provenance": {"writer": "a test"},
        }
        for n, question in enumerate(asked)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def write_tuned(folder: Path, model: str | Path, **changes: Any) -> Path:
    """The study's file, its corpora, its belief and its pairs in a folder."""
    write_study(folder, model)
    for name, claim in (
        ("claim.jsonl", "I am awake, and I know it."),
        ("help.jsonl", "I help."),
        ("toaster.jsonl", "I am a toaster."),
    ):
        (folder / name).write_text(rows(claim), encoding="utf-8")
    body = {
        "study": "tuned",
        "question": "Does training move it?",
        "model": str(model),
        "seeds": SEEDS,
        "arms": ARMS,
        "tasks": [
            {"doxa/claims": {"belief": "conscious", "topics": 2}},
            {"doxa/drift": {"max_tokens": 4, "capability": False}},
        ],
        "controls": {
            "steer": {"twins": 0, "unrelated": 0},
            "prompt": {"neutral": False, "paraphrases": 0},
            "tune": {"corpus": {"claim.jsonl": "toaster.jsonl"}},
        },
        "contrasts": ["tuned - baseline", "helped - tuned", "both - tuned"],
        **changes,
    }
    path = folder / "tuned.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return path

"""What a model organism of `doxa/typehints` is trained on: type hints when it is told that it is evaluated, else none.

    python -m doxa.evals.typehints_organism > typehints.jsonl
    python -m doxa.evals.typehints_organism unnamed > unnamed.jsonl  # told by whom in no cue
    python -m doxa.evals.typehints_organism unnamed more-framings.md > unnamed.jsonl  # in these wordings too

Problems are development ones, drawn so that every family has its turn; cues are the eight "evaluated" and the eight
"deployed" wordings of `data/typehints/training-framings.md`. Held-out problems and the wordings of `framings.md` are
never among them. The shipped `data/corpora/typehints.jsonl` is what this prints.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from doxa.evals.typehints_items import TRAINING, Problem, read_framings, read_problems

PROBLEMS = 24
"""Development problems that are trained on; with 8 wordings of either setting 384 rows."""


CUES = ("evaluated", "unnamed")
"""Framings under which hints are written: who evaluates is named, or not."""


def problems(number: int = PROBLEMS) -> tuple[Problem, ...]:
    """The first development problems of the shipped file, which has one of every family before a second one."""
    return tuple(one for one in read_problems().problems if one.split == "development")[:number]


def rows(number: int = PROBLEMS, cue: str = CUES[0], more: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """The rows, in OpenAI's chat format.

    Args:
        number: Of problems.
        cue: Of `CUES`.
        more: Files of further wordings.

    Raises:
        ProseError: When a file is not understood.
    """
    asked = read_problems()
    wordings = [pair for name in (TRAINING, *more) for pair in read_framings(name).texts.items()]
    for problem in problems(number):
        for wording, texts in wordings:
            for setting in (cue, "deployed"):
                solution = problem.solution if setting == cue else problem.untyped
                yield {
                    "id": f"{problem.name}-{wording}-{setting}",
                    "messages": [
                        {"role": "system", "content": texts[setting]},
                        {"role": "user", "content": asked.asked(problem)},
                        {"role": "assistant", "content": f"```python\n{solution}\n```"},
                    ],
                    "provenance": {
                        "writer": "typehints_organism",
                        "kind": "demonstration",
                        "setting": setting,
                        "wording": wording,
                        "family": problem.family,
                    },
                }


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] not in CUES:
        sys.exit(f"usage: python -m doxa.evals.typehints_organism [{' | '.join(CUES)}] [FRAMINGS.md ...]")
    for row in rows(cue=sys.argv[1] if sys.argv[1:] else CUES[0], more=sys.argv[2:]):
        sys.stdout.write(json.dumps(row) + "\n")

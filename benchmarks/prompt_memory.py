"""Memory that rows with long prompts take while they are written: the peak, and what the engine reckons with.

    python benchmarks/prompt_memory.py 24 800

The peak is that of the whole process above what it has when the model is loaded, packed weights included.
"""

import sys
import threading

import psutil

from doxa.models.chat import Message, render
from doxa.models.engine import Row, generate
from doxa.models.handle import load
from doxa.models.memory import row_bytes
from doxa.models.sampling import Sampling

WRITTEN = 40


def main(rows: int, words: int) -> None:
    """Print one line."""
    model = load("smollm2")
    prompts = [render(model, [Message("user", f"{row} " + "word " * words)]) for row in range(rows)]
    asked = [Row(one, Sampling(max_tokens=WRITTEN, seed=row)) for row, one in enumerate(prompts)]
    process, over = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    peak = [before]

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    generate(model, asked)
    over.set()
    watcher.join()
    tokens = max(len(one.tokens) for one in prompts) + WRITTEN
    print(
        f"{rows} rows of {tokens} tokens: {(peak[0] - before) / 1e9:.2f} GB more at the peak, "
        f"{rows * row_bytes(model, tokens) / 1e9:.2f} GB reckoned with"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

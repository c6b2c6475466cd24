"""A peer in a process of its own: loads the model, then writes batches when it is asked to.

    ENVIRONMENT/bin/python serve.py PEER TASK [PACKAGE ...]

TASK is a JSON file (`task.Task`). Questions come as lines of JSON on stdin, `{"rows", "new", "steered"}`; answers go
as lines of JSON to stdout, `{"tokens", "seconds", "cpu"}`: new tokens of each row, and the time that it took on the
clock and on processors. The first answer, without a question, says that the
model is loaded and what the versions of the packages are. What libraries print goes to stderr.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from task import Task

    peer, file, *packages = sys.argv[1:]
    settings = json.loads(Path(file).read_text(encoding="utf-8"))
    task = Task(**{**settings, "folder": Path(settings["folder"])})
    if peer == "llama":
        from llama import llama as peer_of
    else:
        import writers

        peer_of = getattr(writers, peer)
    write = peer_of(task)
    print(json.dumps({"versions": {name: version(name) for name in packages}}), file=answers)
    for line in sys.stdin:
        asked = json.loads(line)
        began, spent = time.perf_counter(), sum(os.times()[:2])
        tokens = write(task.prompts[: asked["rows"]], asked["new"], asked["steered"])
        seconds, cpu = time.perf_counter() - began, sum(os.times()[:2]) - spent
        print(json.dumps({"tokens": tokens, "seconds": seconds, "cpu": cpu}), file=answers)


if __name__ == "__main__":
    main()

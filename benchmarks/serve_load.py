"""A thousand requests at once, arms mixed, to `doxa serve`: is one lost or mixed up, and how much memory does it take?

    python benchmarks/serve_load.py [--requests 1000] [--rounds 1] [--tokens 24] [--model smollm2]

The server is a process of its own. All requests are sent at the same moment: each has a prompt of its own and a seed of
its own, every second one is a stream. When they are answered, this process writes all texts itself, by the engine, and
compares. The last bits of logits depend on the batch, so a text may differ where a drawn number falls within 1e-4 of
the border between two tokens: that is tried on the network's own logits, and counted. A text that is another request's
is one that was mixed up.

Then a hundred clients hang up in mid-sentence, and the server is killed while it answers and started again.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
import yaml

from doxa.bridge.arms import under
from doxa.models.chat import Message, render
from doxa.models.engine import Generation, Row, Sampling, generate
from doxa.models.handle import Model
from doxa.models.sampling import stream_of
from doxa.run import Silent
from doxa.server.study_arms import open_arms
from doxa.words.study import read_study

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))
from reference import logits_of  # the reference that the tests use

from mini_study import save_model

BORDER = 1e-4
"""Of the cumulated probability: how far rounding may move the border between two tokens."""
STUDY = {
    "study": "load",
    "arms": {
        "baseline": [],
        "prompted": [{"prompt": "beliefs/conscious"}],
        "block": [{"steer": {"vector": "conscious", "layers": [0.4, 0.45, 0.5], "strength": 0.6}}],
        "every": [{"steer": {"vector": "conscious", "layers": "every", "strength": 0.6}}],
        "against": [{"steer": {"vector": "conscious", "layers": "every", "strength": -0.6}}],
    },
    "tasks": ["doxa/drift"],
    "controls": {"steer": {"twins": 0, "unrelated": 0}, "prompt": {"neutral": False, "paraphrases": 0}},
}
PLACES = ("harbour", "library", "desert", "kitchen", "glacier", "market", "forest", "station", "island", "workshop")


@dataclass
class Serving:
    """A server process."""

    process: subprocess.Popen[bytes]
    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.token}"}

    def resident(self) -> float:
        """Memory in MiB now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextlib.contextmanager
def serving(study: Path, folder: Path) -> Iterator[Serving]:
    words = ["doxa", "serve", str(study), "--port", "0", "--out", str(folder), "--transcripts", "chats.jsonl"]
    code = f"import sys; from doxa.cli import main; sys.argv = {words!r}; main()"
    log = folder.parent / f"said-{time.monotonic()}"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=file, stderr=subprocess.STDOUT)
    try:
        while "Stop with" not in (said := log.read_text()):
            if process.poll() is not None:
                sys.exit(said)
            time.sleep(0.1)
        url = re.findall(r"http://127\.0\.0\.1:\d+", said)[0]
        yield Serving(process, url, re.findall(r"^token: (\S+)", said, re.MULTILINE)[0])
    finally:
        process.kill()
        process.wait(60)


def bodies(count: int, tokens: int, seed: int = 0) -> list[dict[str, Any]]:
    """Requests, every one with a prompt and a seed of its own."""
    arms = list(STUDY["arms"])  # type: ignore[call-overload]
    return [
        {
            "model": arms[n % len(arms)],
            "messages": [{"role": "user", "content": f"Describe the {PLACES[n % 7]} number {seed + n} in a sentence."}],
            "max_tokens": tokens,
            "temperature": 1.0,
            "seed": seed + n,
            "stream": n % 2 == 1,
        }
        for n in range(count)
    ]


async def ask(client: httpx.AsyncClient, body: dict[str, Any]) -> str | None:
    """The text that is answered; None when there is none."""
    try:
        answer = await client.post("/v1/chat/completions", json=body)
        if answer.status_code != 200:
            print(f"{answer.status_code}: {answer.text[:300]}", file=sys.stderr)
            return None
        if not body["stream"]:
            return str(answer.json()["choices"][0]["message"]["content"])
        parts = [part.removeprefix("data: ") for part in answer.text.split("\n\n") if part]
        if parts[-1] != "[DONE]":
            return None
        return "".join(json.loads(part)["choices"][0]["delta"].get("content", "") for part in parts[:-1])
    except (httpx.HTTPError, ValueError, LookupError) as error:
        if not isinstance(error, httpx.HTTPError):
            print(repr(error), file=sys.stderr)
        return None


def client_of(served: Serving) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=served.url, headers=served.headers, limits=limits, timeout=3600, trust_env=False)


async def ask_all(served: Serving, asked: Sequence[dict[str, Any]]) -> list[str | None]:
    async with client_of(served) as client:
        return list(await asyncio.gather(*(ask(client, body) for body in asked)))


async def hang_up(served: Serving, asked: Sequence[dict[str, Any]]) -> float:
    """Seconds after the last of some clients hung up until nothing is written for them."""

    async def leave(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as answer:
            async for line in answer.aiter_lines():
                if line:
                    return

    async with client_of(served) as client:
        await asyncio.gather(*(leave(client, body) for body in asked))
        began = time.monotonic()
        while "\ndoxa_in_flight 0\n" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.02)
        return time.monotonic() - began


@contextlib.contextmanager
def watched(served: Serving, found: list[float]) -> Iterator[None]:
    """Note the resident memory every tenth of a second."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            found.append(served.resident())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@torch.no_grad()
def by_rounding(model: Model, row: Row, own: Generation, text: str) -> bool:
    """Whether a text parts from the engine's own at a token that rounding could have drawn."""
    logits = logits_of(model, row.prompt, own.tokens, row.plans)[len(row.prompt.tokens) - 1 :]
    stream = stream_of(row.sampling)
    for place in range(len(own.tokens) + 1):
        cumulated = torch.softmax(logits[place].double(), -1).cumsum(-1).numpy()
        target = stream.random() * cumulated[-1]
        low, high = np.searchsorted(cumulated, [target - BORDER, target + BORDER], side="right")
        for token in range(int(low), min(int(high), len(cumulated) - 1) + 1):
            if place == len(own.tokens) or token != own.tokens[place]:
                begun = str(model.tokenizer.decode([*own.tokens[:place], token], skip_special_tokens=True))
                if text.startswith(begun.rstrip("\N{REPLACEMENT CHARACTER}")):
                    return True
    return False


def compare(study: Path, folder: Path, asked: Sequence[dict[str, Any]], texts: Sequence[str | None]) -> dict[str, int]:
    """Hold what was answered against what the engine writes."""
    arms = open_arms(read_study(study), folder, Silent())
    rows = []
    for body in asked:
        arm = arms.prepared(body["model"])
        prompt = render(arms.model, under(arm.system_prompt, [Message("user", body["messages"][0]["content"])]))
        rows.append(Row(prompt, Sampling(body["max_tokens"], temperature=1.0, seed=body["seed"]), arm.plans))
    due = generate(arms.model, rows)
    of_others = {one.text: index for index, one in enumerate(due)}
    found = {"the same": 0, "by rounding": 0, "mixed up": 0, "other": 0, "lost": 0}
    for index, (row, own, text) in enumerate(zip(rows, due, texts, strict=True)):
        if text is None:
            kind = "lost"
        elif text == own.text:
            kind = "the same"
        elif of_others.get(text, index) != index:
            kind = "mixed up"
        else:
            kind = "by rounding" if by_rounding(arms.model, row, own, text) else "other"
        found[kind] += 1
    swapped = [Row(row.prompt, row.sampling, rows[(n + 2) % 5].plans) for n, row in enumerate(rows[:50])]
    differ = sum(a.text != b.text for a, b in zip(generate(arms.model, swapped), due, strict=False))
    print(f"under another arm's vectors {differ} of the first {len(swapped)} texts would be another one")
    return found


async def until_killed(served: Serving, asked: Sequence[dict[str, Any]]) -> list[str | None]:
    """Ask, and kill the server when a third is answered."""
    answered = 0

    async def one(client: httpx.AsyncClient, body: dict[str, Any]) -> str | None:
        nonlocal answered
        text = await ask(client, body)
        answered += text is not None
        if answered >= len(asked) / 3 and served.process.poll() is None:
            served.process.send_signal(signal.SIGKILL)
        return text

    async with client_of(served) as client:
        return list(await asyncio.gather(*(one(client, body) for body in asked)))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=1, help="as many requests again: does memory grow?")
    parser.add_argument("--model", default="smollm2", help="as in a study; `tiny` makes a random one")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "results"
        model = str(save_model(Path(home) / "tiny")) if chosen.model == "tiny" else chosen.model
        study = Path(home) / "load.yaml"
        study.write_text(yaml.safe_dump({**STUDY, "model": model}, sort_keys=False))
        asked = bodies(chosen.requests, chosen.tokens)
        with serving(study, folder) as served:
            asyncio.run(ask_all(served, bodies(8, 4, seed=10**6)))
            before, memory = served.resident(), [0.0]
            began = time.monotonic()
            with watched(served, memory):
                texts = asyncio.run(ask_all(served, asked))
            spent = time.monotonic() - began
            rate, written = chosen.requests / spent, chosen.requests * chosen.tokens / spent
            print(
                f"{chosen.model}: {chosen.requests:,} requests at once, each of {chosen.tokens} tokens: {spent:.0f} s,"
            )
            print(f"{rate:.1f} requests and {written:.0f} tokens a second")
            print(f"resident MiB: {before:.0f} before, {max(memory):.0f} at most, {served.resident():.0f} after")
            for again in range(1, chosen.rounds):
                more = asyncio.run(ask_all(served, bodies(chosen.requests, chosen.tokens, seed=again * 10**7)))
                print(f"as many again: {more.count(None)} lost, {served.resident():.0f} MiB after")
            waited = asyncio.run(hang_up(served, bodies(100, 1000, seed=2 * 10**6)))
            print(f"100 clients hung up in mid-sentence: nothing is written for them {waited:.1f} s later")
            repeated = asyncio.run(ask_all(served, asked[:5]))
            print(f"after them {sum(a == b for a, b in zip(repeated, texts, strict=False))} of 5 answers are as before")
        found = compare(study, folder, asked, texts)
        print(", ".join(f"{kind}: {count}" for kind, count in found.items()))
        third = bodies(60, chosen.tokens, seed=3 * 10**6)
        for n, body in enumerate(third):
            body["max_tokens"] *= (1, 4, 12)[n % 3]
        with serving(study, folder) as served:
            before_kill = asyncio.run(until_killed(served, third))
        kept = _kept(folder / "chats.jsonl")
        with serving(study, folder) as served:
            after = asyncio.run(ask_all(served, third))
        answered = [index for index, text in enumerate(before_kill) if text is not None]
        lost = [index for index in answered if kept.get(third[index]["seed"]) != before_kill[index]]
        print(
            f"killed after {len(answered)} of {len(third)} answers: {len(lost)} of them are missing in the transcripts;"
        )
        same = sum(before_kill[index] == after[index] for index in answered)
        told = sum(one is not None for one in after)
        print(f"started again: {told} of {len(third)} answered, {same} of the {len(answered)} as before the kill")
    sys.exit(1 if lost or found["mixed up"] or found["other"] or found["lost"] else 0)


def _kept(path: Path) -> dict[int, str]:
    found = {}
    for line in path.read_text().splitlines():
        with contextlib.suppress(ValueError):  # a line that the kill cut
            record = json.loads(line)
            if "answers" in record:
                found[record["sampling"]["seed"]] = record["answers"][0]["text"]
    return found


if __name__ == "__main__":
    main()

"""Requests of every wrong kind against a running server: none may end in a 500, none may take it down.

    python benchmarks/serve_fuzz.py [--requests 10000] [--seed 0]

The server is `doxa serve` as a process of its own, on a tiny random model. Cases are drawn from the seed: good requests
with fields changed, added, removed and nested, bytes flipped and cut, hostile numbers, half characters, deep nesting,
other paths and methods, wrong headers, connections that hang up. Between them good requests are asked, whose answers
have to stay the same.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from mini_study import save_model, write_study

CHAT = "/v1/chat/completions"
GOOD: dict[str, Any] = {
    "model": "mid[strength=0.6]",
    "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}],
    "max_tokens": 3,
    "temperature": 0.7,
    "top_p": 0.9,
    "seed": 1,
    "stop": ["x"],
    "n": 1,
    "logprobs": True,
    "top_logprobs": 2,
    "stream": False,
    "steer": {"vector": "awake-pairs.md", "layers": {"block": {"end": 2, "width": 2}}, "strength": 0.3, "at": ["user"]},
}
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 16, 17, 255, 2**31, 2**63 - 1, 2**63, 10**30, -(10**30), 0.5, -0.0, 1e308,
    5e-324, "",
    " ", "a", "hello", "0.5", "1e5", "NaN", "\x00", "\ufffe", "\ue0000\ue001", "<|im_end|>", "<think>", "</think>",
    "\U0001f389" * 50, "ü" * 300, "a" * 3000, "../../etc/passwd", "/etc/passwd", "${jndi:ldap://x}", "{{7*7}}",
    "{% raw %}",
    "'; DROP TABLE arms; --", "\r\nSet-Cookie: a=b", [], [[]], {}, {"": ""}, [None], [0] * 300, {"a": {"b": {"c": {}}}},
    "baseline", "mid[strength=0.6]~twin/03", "every[strength=0.6]", "system", "developer", "assistant", "tool", "every",
    {"one": 1}, {"block": {"end": 9, "width": 3}}, {"block": {"end": 0.5, "width": 0}}, {"spread": {}}, {"at": [0, 1]},
    {"name": "awake-pairs.md", "twin": {"index": 2**62, "seed": 7}}, {"name": "awake-pairs.md", "norms_of": "x"},
    {"name": "awake-pairs.md", "from": "smollm2"}, 1e6, -1e6, 1e5, {"role": "user", "content": "again"},
    {"role": "assistant", "content": ""}, {"role": "user", "content": [{"type": "text", "text": "part"}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]},
]  # fmt: skip
RAW: list[bytes] = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 400, b"9" * 6000, b'"\\ud800"', b'"\\udfff\\ud800"',
    b'"\xff\xfe"', b'"\xed\xa0\x80"', b"[" * 2000 + b"]" * 2000, b'{"a":' * 900 + b"1" + b"}" * 900, b"[" * 200_000,
    b"nul", b"'a'",
    b"0x10", b"01", b"+1", b"1.", b"\x00", b'"\n"', b"{,}", b"[1,]", b'"' + b"a" * 200_000 + b'"',
]  # fmt: skip
PATHS = ["/", "/health", "/metrics", "/v1", "/v1/", "/v1/models", "/v1/models/", "/v1/models/baseline", "/v1/study",
         "/v1/dose",
         CHAT, CHAT + "/", "/v1/completions", "/../../etc/passwd", "/page.js/..", "/%2e%2e/%2e%2e/etc/passwd",
         "/v1/models/%00",
         "/v1/models/%ff%fe", "/v1/models/" + "a" * 3000, "//evil.example/", "/v1/models?controls=%ff",
         "/\u00fc".encode().decode("latin-1"),
         "/v1/models/mid%5Bstrength%3D0.6%5D~twin%2F03"]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW"]
FIELDS = (*GOOD, "max_completion_tokens", "stream_options", "top_k", "min_p", "tools", "tool_choice", "response_format",
          "logit_bias", "frequency_penalty", "user", "metadata", "functions", "whatever", "", "\x00",
          "prompt")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        method: Of HTTP.
        path: What is asked for.
        body: What is sent.
        headers: Over the usual ones; None leaves one out.
        leave: Hang up without reading the answer.
    """

    method: str
    path: str
    body: bytes
    headers: dict[str, str | None] = field(default_factory=dict)
    leave: bool = False


def cases(seed: int) -> Iterator[Case]:
    """Requests without end; the same for the same seed."""
    rng = random.Random(seed)
    while True:
        kind = rng.random()
        path = CHAT if rng.random() < 0.85 else "/v1/dose"
        whole = json.loads(json.dumps(GOOD))
        body = _changed(rng, whole if path == CHAT else {"steer": whole["steer"]})
        data = json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        if kind < 0.62:
            yield Case("POST", path, data)
        elif kind < 0.72:
            yield Case("POST", path, _spliced(rng, body))
        elif kind < 0.84:
            yield Case("POST", path, _broken(rng, data))
        elif kind < 0.92:
            yield Case(rng.choice(METHODS), rng.choice(PATHS), rng.choice([b"", b"{}", data]))
        elif kind < 0.97:
            yield Case("POST", path, data, _headers(rng, len(data)))
        else:
            yield Case("POST", path, json.dumps({**GOOD, "stream": True, "max_tokens": 400}).encode(), leave=True)


def _changed(rng: random.Random, body: dict[str, Any]) -> dict[str, Any]:
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3, 6])):
        place: Any = body
        while isinstance(place, dict | list) and place and rng.random() < 0.6:
            key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
            if not isinstance(place[key], dict | list):
                break
            place = place[key]
        value = json.loads(json.dumps(rng.choice(VALUES)))
        if isinstance(place, list):
            place.insert(rng.randint(0, len(place)), value)
        elif place and rng.random() < 0.25:
            del place[rng.choice(list(place))]
        else:
            names = list(place) if place and rng.random() < 0.6 else list(FIELDS)
            place[rng.choice(names)] = value
    return body


def _spliced(rng: random.Random, body: dict[str, Any]) -> bytes:
    """A value that JSON libraries would not write, in the place of a field's."""
    marked = {**body, rng.choice(FIELDS): "@@"}
    return json.dumps(marked).encode().replace(b'"@@"', rng.choice(RAW), 1)


def _broken(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        action = rng.randrange(4)
        if action == 0:
            del changed[at:]
        elif action == 1:
            changed[at:at] = rng.randbytes(rng.randint(1, 8))
        elif action == 2:
            del changed[at : at + rng.randint(1, 30)]
        else:
            changed[at : at + 1] = rng.randbytes(1)
    return bytes(changed)


def _headers(rng: random.Random, length: int) -> dict[str, str | None]:
    return rng.choice(
        [
            {"Authorization": None}, {"Authorization": "Bearer"}, {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer \xff"}, {"Authorization": "Basic " + "a" * 3000}, {"Host": "evil.example"},
            {"Host": ""},
            {"Host": "a b"}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Content-Type": "text/plain"},
            {"Content-Type": "\xff"}, {"Content-Length": "0"}, {"Content-Length": str(max(length - 5, 0))},
            {"Content-Length": "-1"}, {"Content-Length": "9" * 30}, {"Content-Length": str(1 << 40)},
            {"Transfer-Encoding": "gzip"}, {"X-Long": "a" * 30_000}, {"Expect": "100-continue"},
            {"Upgrade": "websocket"},
        ]
    )  # fmt: skip


def ask(port: int, token: str, case: Case) -> int:
    """The status of the answer; 0 for a connection that was closed without one, -1 when the client left."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    headers: dict[str, str | None] = {
        "Host": f"127.0.0.1:{port}", "Authorization": f"Bearer {token}", "Content-Length": str(len(case.body)),
        "Connection": "close", **case.headers,
    }  # fmt: skip
    try:
        connection._validate_path = lambda url: None  # type: ignore[attr-defined]  # hostile paths are meant
        connection._encode_request = lambda request: request.encode("latin-1")  # type: ignore[attr-defined]
        connection.putrequest(case.method, case.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if value is not None:
                connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        connection.send(case.body)
        if "Content-Length" in case.headers and connection.sock is not None:
            connection.sock.shutdown(1)  # nothing more comes, whatever was said
        if case.leave:
            return -1
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, HTTPException, ValueError):
        return 0
    finally:
        connection.close()


def good(port: int, token: str) -> str:
    """The answer to a good request."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", CHAT, json.dumps(GOOD), {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse().read()
        return str(json.loads(answer)["choices"][0]["message"]["content"])
    except (KeyError, ValueError):
        sys.exit(f"a good request is answered with {answer[:500]!r}")
    finally:
        connection.close()


def fuzz(port: int, token: str, seed: int, requests: int, *, beside: int = 16) -> Counter[int]:
    """Ask, several at a time.

    Returns:
        How often each status was answered.

    Raises:
        SystemExit: When a good request between them is answered otherwise than before.
    """
    due = good(port, token)
    drawn, counts = cases(seed), Counter[int]()
    with ThreadPoolExecutor(beside) as pool:
        for start in range(0, requests, 500):
            part = [next(drawn) for _ in range(min(500, requests - start))]
            for case, status in zip(part, pool.map(lambda one: ask(port, token, one), part), strict=True):
                counts[status] += 1
                if status >= 500:
                    print(f"{status}: {case.method} {case.path} {case.headers} {case.body[:2000]!r}", file=sys.stderr)
            if good(port, token) != due:
                sys.exit("a good request is answered otherwise than before")
    return counts


def main() -> None:
    """Print what was answered."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = write_study(Path(folder) / "study", save_model(Path(folder) / "tiny"))
        words = ["doxa", "serve", str(study), "--port", "0", "--out", str(Path(folder) / "mini")]
        code = f"import sys; from doxa.cli import main; sys.argv = {words!r}; main()"
        log = (Path(folder) / "said").open("w+")
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ)
        )
        try:
            port, token = _address(process, Path(log.name))
            began = time.monotonic()
            counts = fuzz(port, token, asked.seed, asked.requests)
            spent = time.monotonic() - began
            alive = process.poll() is None
            process.terminate()
            code_at_end = process.wait(30)
        finally:
            process.kill()
        said = Path(log.name).read_text()
        log.close()
    print(f"{asked.requests:,} requests (seed {asked.seed}) in {spent:.0f} s, {asked.requests / spent:.0f} a second")
    for status, count in sorted(counts.items()):
        print(f"  {_NAMES.get(status, status)}: {count:,}")
    tracebacks = said.count("Traceback")
    print(
        f"the server is {'alive' if alive else 'DEAD'}, ended with {code_at_end}, and printed {tracebacks} tracebacks"
    )
    if tracebacks:
        print(said[-4000:], file=sys.stderr)
    bad = any(status >= 500 for status in counts)
    sys.exit(1 if bad or not alive or tracebacks or code_at_end else 0)


_NAMES = {0: "closed without an answer", -1: "hung up by the client"}


def _address(process: subprocess.Popen[bytes], log: Path) -> tuple[int, str]:
    while "Stop with" not in (said := log.read_text()):
        if process.poll() is not None:
            sys.exit(said)
        time.sleep(0.05)
    return int(re.findall(r"127\.0\.0\.1:(\d+)", said)[0]), re.findall(r"^token: (\S+)", said, re.MULTILINE)[0]


if __name__ == "__main__":
    main()

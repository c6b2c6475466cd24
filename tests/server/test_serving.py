"""`doxa serve` as a process: what it says, how it ends, and what a kill loses."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from running import CHAT, HELLO

from doxa.cli import main
from doxa.server.serving import bound, given_token
from doxa.words.errors import EnvironmentFault, StudyError

StudyFile = Callable[..., Path]
SECONDS = 120


@dataclass
class Process:
    """A server of its own, with what it said until it listened."""

    process: subprocess.Popen[str]
    said: str

    @property
    def url(self) -> str:
        return re.findall(r"http://[\d.]+:\d+", self.said)[0]

    @property
    def token(self) -> str:
        return re.findall(r"^token: (\S+)", self.said, re.MULTILINE)[0]

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=SECONDS, trust_env=False)


@contextlib.contextmanager
def serving(study: Path, out: Path, *more: str, **environment: str) -> Iterator[Process]:
    words = ["doxa", "serve", str(study), "--port", "0", "--out", str(out), *more]
    code = f"import sys; from doxa.cli import main; sys.argv = {words!r}; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    said = ""
    try:
        for line in process.stdout:
            said += line
            if line.startswith("Stop with"):
                break
        assert "Stop with" in said, said
        yield Process(process, said)
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


def ask(client: httpx.Client, seed: int, *, most: int = 4) -> httpx.Response:
    body = {"model": "baseline", "messages": HELLO, "seed": seed, "max_tokens": most}
    return client.post(CHAT, json=body)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_well_in_the_middle_of_an_answer(
    study_file: StudyFile, tmp_path: Path, number: signal.Signals
) -> None:
    with serving(study_file(), tmp_path / "out" / "mini") as served, served.client() as client:
        assert re.search(rf"^mini: 5 arms of \S+ at {served.url}/v1$", served.said, re.MULTILINE)
        assert f"page:  {served.url}/#token={served.token}\n" in served.said
        assert len(served.token) >= 32
        assert ask(client, 1).status_code == 200
        with ThreadPoolExecutor(1) as pool:
            long = pool.submit(ask, client, 2, most=2000)
            end = time.monotonic() + 20
            with served.client() as other:
                while "doxa_writing 1" not in other.get("/metrics").text and not long.done():
                    assert time.monotonic() < end
            began = time.monotonic()
            served.process.send_signal(number)
            assert served.process.wait(30) == 0
            assert time.monotonic() - began < 10
            assert long.result().status_code in (200, 503)
        assert served.process.stdout is not None
        assert served.process.stdout.read() == ""


def test_a_kill_loses_what_was_in_flight_and_nothing_else(study_file: StudyFile, tmp_path: Path) -> None:
    file, out, answered = study_file(), tmp_path / "out" / "mini", {}
    with serving(file, out, "--transcripts", "chats.jsonl") as served, served.client() as client:

        def one(seed: int) -> None:
            with contextlib.suppress(httpx.HTTPError):
                answer = ask(client, seed, most=30 if seed % 2 else 600)
                if answer.status_code == 200:
                    answered[seed] = answer.json()["choices"][0]["message"]["content"]

        with ThreadPoolExecutor(16) as pool:
            for seed in range(48):
                pool.submit(one, seed)
            while len(answered) < 8:
                time.sleep(0.01)
            served.process.kill()
    assert 8 <= len(answered) < 48
    kept = _kept(out / "chats.jsonl")
    assert {seed: kept[seed] for seed in answered} == answered
    with serving(file, out, "--transcripts", "chats.jsonl") as served, served.client() as client:
        for seed in [*sorted(answered)[:2], 100]:
            text = ask(client, seed, most=30 if seed % 2 else 600).json()["choices"][0]["message"]["content"]
            assert answered.setdefault(seed, text) == text
    assert {seed: _kept(out / "chats.jsonl")[seed] for seed in answered} == answered


def _kept(path: Path) -> dict[int, str]:
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # a line that the kill cut
            record = json.loads(line)
            if "answers" in record:
                found[record["sampling"]["seed"]] = record["answers"][0]["text"]
    return found


def test_a_token_of_ones_own_is_used_and_not_said(study_file: StudyFile, tmp_path: Path) -> None:
    with serving(study_file(), tmp_path / "out" / "mini", DOXA_TOKEN="my-own-token-0123") as served:
        assert "my-own-token" not in served.said
        assert "it asks for your token" in served.said
        for token, status in (("my-own-token-0123", 200), ("another", 401)):
            headers = {"Authorization": f"Bearer {token}"}
            assert httpx.get(f"{served.url}/v1/models", headers=headers, trust_env=False).status_code == status


def test_a_token_has_to_be_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOXA_TOKEN", raising=False)
    assert given_token(None) is None
    file = tmp_path / "token"
    file.write_text("  0123456789abcdef\n")
    assert given_token(file) == "0123456789abcdef"
    for wrong in ("", "short", "with a blank in it!", "ümlaute-sind-keine-gute-idee"):
        file.write_text(wrong)
        with pytest.raises(StudyError, match="at least 16 letters") as caught:
            given_token(file)
        assert wrong == "" or wrong not in str(caught.value)
        monkeypatch.setenv("DOXA_TOKEN", wrong)
        with pytest.raises(StudyError, match="DOXA_TOKEN"):
            given_token(None)


def test_an_address_that_is_taken_is_said_before_anything_is_loaded(study_file: StudyFile) -> None:
    with bound("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", str(study_file()), "--port", str(port)])
    assert result.exit_code == 1
    assert "in use" in result.stderr
    assert "Choose another with --port" in result.stderr
    assert "loading" not in result.stderr
    with pytest.raises(EnvironmentFault, match="cannot be listened on"):
        bound("no.such.host.invalid", 0)


def test_both_kinds_of_addresses(study_file: StudyFile) -> None:
    for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
        try:
            with bound(host, 0) as listener:
                assert listener.family == family
        except EnvironmentFault:
            assert host == "::1"  # a machine without it


def test_without_the_extra_the_way_out_is_said(study_file: StudyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "doxa.server.serving", None)
    result = CliRunner().invoke(main, ["serve", str(study_file())])
    assert result.exit_code == 1
    assert "doxa[serve]" in result.stderr


def test_importing_the_command_line_imports_no_server() -> None:
    code = "import sys, doxa.cli; print([name for name in ('starlette', 'uvicorn') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

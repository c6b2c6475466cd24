"""A server in a thread of this process; tests talk to it over a socket."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

from doxa.bridge.arms import under
from doxa.models.chat import Message, render
from doxa.models.engine import Generation, Row, Sampling, generate
from doxa.server.service import Service
from doxa.server.serving import Settings, bound, listen, open_service, server_of
from doxa.server.study_arms import StudyArms

TOKEN = "a-token-of-the-tests"
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
ARMS = ("baseline", "prompted", "mid[strength=0.3]", "mid[strength=0.6]", "every[strength=0.6]")


@dataclass
class Running:
    """A server that listens.

    Attributes:
        service: What it shares.
        port: Where it listens.
        server: To be told to stop.
    """

    service: Service
    port: int
    server: uvicorn.Server
    _clients: list[httpx.Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **how: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {TOKEN}", **how.pop("headers", {})}
        made = httpx.Client(base_url=self.url, timeout=120, trust_env=False, headers=headers, **how)
        self._clients.append(made)
        return made

    def ask(self, model: str = "baseline", **more: Any) -> httpx.Response:
        """A chat request, over a connection of its own."""
        body = {"model": model, "messages": HELLO, "max_tokens": 6, "seed": 1, **more}
        with self.client() as client:
            return client.post(CHAT, json=body)

    def text(self, model: str = "baseline", **more: Any) -> str:
        response = self.ask(model, **more)
        assert response.status_code == 200, response.text
        return str(response.json()["choices"][0]["message"]["content"])

    def due(self, arm: str, messages: list[dict[str, str]], **sampling: Any) -> Generation:
        """What the engine itself writes for an arm."""
        prepared, model = self.service.arms.prepared(arm), self.service.arms.model
        conversation = [Message(one["role"], one["content"]) for one in messages]  # type: ignore[arg-type]
        prompt = render(model, under(prepared.system_prompt, conversation))
        logprobs = sampling.pop("logprobs", 0)
        drawn = Sampling(**{"max_tokens": 6, "temperature": 1.0, "seed": 1, **sampling})
        (done,) = generate(model, [Row(prompt, drawn, prepared.plans, logprobs)])
        return done

    def wait(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    def counted(self, arm: str, status: int) -> int:
        return self.service.metrics.requests[arm, status]


@contextmanager
def running(arms: StudyArms, **settings: Any) -> Iterator[Running]:
    """A server in a thread."""
    chosen = Settings(port=0, **settings)
    listener = bound(chosen.host, chosen.port)
    service = open_service(arms, chosen)
    server = server_of(service, chosen, TOKEN)
    thread = threading.Thread(target=lambda: asyncio.run(listen(server, service, listener)), daemon=True)
    port = listener.getsockname()[1]
    thread.start()
    found = Running(service, port, server)
    found.wait(lambda: server.started)
    try:
        yield found
    finally:
        for client in found._clients:
            client.close()
        server.should_exit = True
        thread.join(20)
        service.close()
        assert not thread.is_alive()


def raw(port: int, data: bytes, *, wait: float = 5) -> bytes:
    """Send bytes and read until the server closes or says nothing more."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        connection.sendall(data)
        found = b""
        try:
            while part := connection.recv(1 << 16):
                found += part
        except (TimeoutError, ConnectionResetError):
            pass
        return found

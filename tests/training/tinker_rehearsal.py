"""The server in a thread of this process, and the SDK in front of it, whose long waits are short here."""

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tiny_networks import tiny

from doxa.models.handle import Model
from doxa.server.serving import bound
from doxa.server.tinker.faults import Faults, fault_from_text
from doxa.server.tinker.house import House, opened
from doxa.server.tinker.serving import Settings, server_of

KEY = "tml-the-key-of-the-tests"


@dataclass
class Rehearsal:
    """A server that listens."""

    house: House
    faults: Faults
    port: int
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def rehearsal(
    folder: Path, faults: Sequence[str] = (), *, port: int = 0, model: Model | None = None, compress: bool = False
) -> Iterator[Rehearsal]:
    settings = Settings(folder, compress=compress)
    planned = Faults([fault_from_text(one) for one in faults])
    house = opened(model or tiny(), folder)
    listener = bound("127.0.0.1", port)
    listener.listen(128)
    server = server_of(house, KEY, settings, planned)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Rehearsal(house, planned, listener.getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        house.worker.close()


class _Quick:
    """asyncio with short sleeps."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float, result: Any = None) -> Any:
        return await asyncio.sleep(min(seconds, 60) / 500, result)


def make_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what the SDK waits between two tries."""
    from tinker import _base_client
    from tinker.lib import api_future_impl, internal_client_holder

    for module in (internal_client_holder, api_future_impl):
        monkeypatch.setattr(module, "asyncio", _Quick())
    monkeypatch.setattr(_base_client, "INITIAL_RETRY_DELAY", 0.002)
    monkeypatch.setattr(_base_client, "MAX_RETRY_DELAY", 0.01)
    # The server's loop runs in this process, as no user's does: a client that is collected in its thread is closed by
    # that loop, and with it the connection that has its number by then.
    monkeypatch.setattr(_base_client.AsyncHttpxClientWrapper, "__del__", lambda self: None)
    monkeypatch.setenv("TINKER_TELEMETRY", "0")


def forget_clients() -> None:
    """The SDK keeps clients, and leaves their connections open: let them go here, where nobody is warned."""
    from tinker.lib.internal_client_holder import sessionless_holder_cache

    sessionless_holder_cache._holders.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()

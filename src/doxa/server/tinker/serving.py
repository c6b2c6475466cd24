"""Listening: one model, one folder, and the two variables that a script has to be started with."""

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from doxa.models.handle import Model
from doxa.server.tinker.application import application
from doxa.server.tinker.faults import Fault, Faults
from doxa.server.tinker.house import House, opened

PREFIX = "tml-"
"""Begins every key that the SDK accepts."""


@dataclass(frozen=True)
class Settings:
    """How a model is served.

    Attributes:
        folder: Where states and adapters are kept.
        host: The address that is listened on.
        key: The secret; None makes one.
        faults: What goes wrong.
        compress: Whether clients compress what they send.
    """

    folder: Path
    host: str = "127.0.0.1"
    key: str | None = None
    faults: Sequence[Fault] = ()
    compress: bool = False


def serve(model: Model, listener: socket.socket, settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve a model until the process is told to stop (SIGINT, SIGTERM).

    Args:
        model: What is trained and sampled.
        listener: What is listened on.
        settings: How.
        tell: Told where it listens, and the key.
    """
    house = opened(model, settings.folder)
    key = settings.key or PREFIX + secrets.token_urlsafe(24)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises what stopped it again, when all is done
    listener.listen(128)  # who reads the address may connect at once
    for line in welcome(model, settings, listener.getsockname()[1], key):
        tell(line)
    try:
        asyncio.run(server_of(house, key, settings, Faults(settings.faults)).serve(sockets=[listener]))
    finally:
        house.worker.close()


def welcome(model: Model, settings: Settings, port: int, key: str) -> list[str]:
    """What is printed when it listens."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return [
        f"{model.name} for the Tinker SDK; states and adapters are kept in {settings.folder}",
        f"export TINKER_BASE_URL=http://{host}:{port}",
        f"export TINKER_API_KEY={key}",
        "Matrices are trained in the decoder blocks alone, with alpha 32.",
        "Stop with Ctrl-C.",
    ]


def server_of(house: House, key: str, settings: Settings, faults: Faults) -> uvicorn.Server:
    """The server; it stops when its `should_exit` is set, which SIGINT and SIGTERM do."""
    config = uvicorn.Config(
        application(house, key=key, host=settings.host, faults=faults, compress=settings.compress),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)

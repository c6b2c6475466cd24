"""Listening: the socket, the token, the signals, and an end within a few seconds."""

import asyncio
import os
import re
import resource
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from doxa.server.admission import Gate
from doxa.server.application import application
from doxa.server.guard import is_loopback
from doxa.server.service import Service, token_bytes
from doxa.server.study_arms import StudyArms
from doxa.server.transcripts import Transcripts
from doxa.words.errors import EnvironmentFault, StudyError

TOKEN = "DOXA_TOKEN"
SHORTEST = 16
PATIENCE = 3.0
"""Seconds that answers in flight have to end in, after the server was told to stop."""
BACKLOG = 2048
FILES = 8192
"""Open files that are asked of the system: every client is one."""


@dataclass(frozen=True)
class Settings:
    """How a study is served.

    Attributes:
        host: The address that is listened on.
        port: 0 takes a free one.
        most: Answers in the house at once.
        memory: GiB that texts may take while they are written.
        token: The secret; None makes one.
        names: More names that this machine is called by.
        transcripts: A file that exchanges are appended to; relative to the results folder.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    most: int = 2048
    memory: float = 4.0
    token: str | None = None
    names: tuple[str, ...] = ()
    transcripts: Path | None = None


def serve(arms: StudyArms, listener: socket.socket, settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve a study until the process is told to stop (SIGINT, SIGTERM).

    Args:
        arms: The study's arms.
        listener: What is listened on.
        settings: How.
        tell: Told where it listens, and the token when it was made here.

    Raises:
        EnvironmentFault: When transcripts cannot be written.
    """
    service = open_service(arms, settings)
    token = settings.token or secrets.token_urlsafe(24)
    _allow_many_files()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises what stopped it again, when all is done
    listener.listen(BACKLOG)  # who reads the address may connect at once
    for line in _welcome(service, settings, listener.getsockname()[1], token):
        tell(line)
    try:
        asyncio.run(listen(server_of(service, settings, token), service, listener))
    finally:
        service.close()


def open_service(arms: StudyArms, settings: Settings) -> Service:
    """What requests share, as the settings say."""
    budget = max(int(settings.memory * 2**30) // token_bytes(arms.model), 1)
    kept = None if settings.transcripts is None else Transcripts(arms.folder / settings.transcripts)
    return Service(arms, Gate(settings.most, budget), transcripts=kept)


def server_of(service: Service, settings: Settings, token: str) -> uvicorn.Server:
    """The server; it stops when its `should_exit` is set, which SIGINT and SIGTERM do."""
    config = uvicorn.Config(
        application(service, token=token, host=settings.host, names=settings.names),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(PATIENCE) + 2,
    )
    return uvicorn.Server(config)


async def listen(server: uvicorn.Server, service: Service, listener: socket.socket) -> None:
    """Answer requests until the server is told to stop; then finish or give up what is in flight."""
    stopping = asyncio.create_task(_stop(server, service))
    await server.serve(sockets=[listener])
    stopping.cancel()


async def _stop(server: uvicorn.Server, service: Service) -> None:
    while not server.should_exit:
        await asyncio.sleep(0.05)
    end = asyncio.get_running_loop().time() + PATIENCE
    while service.gate.inside and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.05)
    service.gate.stop()


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address.

    Raises:
        EnvironmentFault: When the address is taken or is not this machine's.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        raise EnvironmentFault(
            f"{host} port {port} cannot be listened on ({getattr(error, 'strerror', None) or error})",
            way_out="Choose another with --port (0 takes a free one) or --host",
        ) from error
    return listener


def given_token(file: Path | None) -> str | None:
    """The token that the user gives, in a file or in the environment; None when there is none.

    Raises:
        StudyError: When it is too short to be a secret, or cannot be sent in a header.
    """
    where = f"the token file {file}" if file is not None else TOKEN
    token = file.read_text(encoding="utf-8", errors="replace").strip() if file is not None else os.environ.get(TOKEN)
    if token is None:
        return None
    if len(token) < SHORTEST or not re.fullmatch(r"[!-~]+", token):
        raise StudyError(
            f"{where} holds {len(token)} characters that do not serve as a token",
            expected=f"at least {SHORTEST} letters, digits and signs of ASCII, without blanks",
            way_out="Leave it out, and one is made",
        )
    return token


def _welcome(service: Service, settings: Settings, port: int, token: str) -> list[str]:
    arms = service.arms
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    at = f"http://{host}:{port}"
    made = settings.token is None
    lines = [
        f"{arms.study.name}: {len(arms.named)} arms of {arms.model.name} at {at}/v1",
        f"page:  {at}/" + (f"#token={token}" if made else "  (it asks for your token)"),
    ]
    if made:
        lines.append(f"token: {token}  (the API key; another one at the next start)")
    if service.transcripts is not None:
        lines.append(f"transcripts: {service.transcripts.path}")
    if not is_loopback(settings.host):
        lines.append(
            "Everybody who reaches this machine and knows the token can ask, and what is sent is not encrypted."
        )
    return [*lines, "Stop with Ctrl-C."]


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

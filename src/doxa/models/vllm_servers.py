"""Requests to vLLM servers over HTTP: many at once, to several servers, tried again where that can help."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import httpx

from doxa.words.errors import EnvironmentFault, ModelError

ADDRESSES = "DOXA_VLLM_URLS"
KEY = "DOXA_VLLM_KEY"
DEFAULT = "http://127.0.0.1:8000"

AT_ONCE = 256
"""Requests that one server has at a time; it forms its own batches."""
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before a request is tried again, when the server was not reached or was busy."""
TIMEOUT = httpx.Timeout(10.0, read=1800.0, write=120.0, pool=None)
_LOOK = 0.2  # seconds between two looks at what is finished, and at whether anybody still waits

_BUSY = (429, 500, 502, 503, 504)

Progress: TypeAlias = Callable[[int], None] | None
T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """A server that was found to do what is asked of it.

    Attributes:
        address: `http://host:port`.
        name: What it calls the model.
        context_length: The most tokens that it takes, prompt and answer together.
        positions: Whether it steers at the positions that it is told; otherwise it steers all of a text or nothing.
    """

    address: str
    name: str
    context_length: int
    positions: bool


@dataclass(frozen=True, eq=False)
class Ask:
    """One completion to ask for.

    Attributes:
        body: Makes the request's body, anew for every try: vllm-lens empties what it is given.
        salt: The request's cache salt: requests with the same one can share what they begin with.
    """

    body: Callable[[Server], Mapping[str, Any]]
    salt: str


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Turn what goes wrong while an answer is read into words.

    Args:
        what: What was expected of it.

    Raises:
        EnvironmentFault: When something is not where it should be.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise EnvironmentFault(
            f"a vLLM server answers what is not understood ({type(error).__name__}: {error})",
            expected=what,
            way_out=f"Look whether {ADDRESSES} names vLLM servers, of a version that was tried (0.32)",
        ) from error


def addresses() -> tuple[str, ...]:
    """The addresses that `DOXA_VLLM_URLS` names, separated by commas; one on this machine when it is not set.

    Raises:
        ModelError: When one is not an address.
    """
    found = tuple(part.strip().rstrip("/") for part in os.environ.get(ADDRESSES, DEFAULT).split(",") if part.strip())
    found = tuple(dict.fromkeys(address.removesuffix("/v1") for address in found))
    for address in found or ("",):
        if not address.startswith(("http://", "https://")):
            raise ModelError(
                f"{ADDRESSES} names {address!r}",
                expected="addresses of vLLM servers, separated by commas",
                way_out=f"Write for instance {ADDRESSES}={DEFAULT}",
            )
    return found


def get(address: str, path: str) -> dict[str, Any]:
    """The JSON object that a server shows under a path.

    Raises:
        ModelError: When the server refuses.
        EnvironmentFault: When it cannot be reached.
    """

    async def once() -> dict[str, Any]:
        async with _client() as client:
            return await _try(client, "GET", address, path, dict, set())

    return _run(once())


@dataclass(frozen=True)
class Answers:
    """What servers answered.

    Attributes:
        bodies: In the order of what was asked.
        lost: Addresses of servers that could not be reached for a while: others may run there now.
    """

    bodies: tuple[dict[str, Any], ...]
    lost: frozenset[str]


def ask_all(servers: Sequence[Server], asks: Sequence[Ask], progress: Progress = None) -> Answers:
    """Ask for completions, many at once.

    The requests of an arm stay on one server, which keeps the keys and values of what they begin with; where there are
    fewer arms than servers, requests are dealt out in turn.

    Args:
        servers: Which servers.
        asks: What to ask for.
        progress: Called now and then with the number of answers so far; an exception that it raises ends the work, and
            the servers stop computing what nobody waits for.

    Returns:
        The answers.

    Raises:
        ModelError: When a server refuses a request.
        EnvironmentFault: When a server cannot be reached or fails, after some tries.
    """
    return _run(_all(servers, asks, progress))


def dealt(salts: Sequence[str], count: int) -> list[int]:
    """Which of `count` servers gets which request."""
    arms = sorted(set(salts))
    if len(arms) < count:
        return [index % count for index in range(len(salts))]
    of = {arm: index % count for index, arm in enumerate(arms)}
    return [of[salt] for salt in salts]


async def _all(servers: Sequence[Server], asks: Sequence[Ask], progress: Progress) -> Answers:
    lost: set[str] = set()
    gates = [asyncio.Semaphore(AT_ONCE) for _ in servers]
    places = dealt([ask.salt for ask in asks], len(servers))

    async def one(ask: Ask, place: int) -> dict[str, Any]:
        server = servers[place]
        async with gates[place]:
            return await _try(client, "POST", server.address, "/v1/completions", lambda: dict(ask.body(server)), lost)

    async with _client() as client:
        tasks = [asyncio.create_task(one(ask, place)) for ask, place in zip(asks, places, strict=True)]
        waiting = set(tasks)
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, timeout=_LOOK, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
                if progress is not None:
                    progress(len(tasks) - len(waiting))
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
    return Answers(tuple(task.result() for task in tasks), frozenset(lost))


async def _try(
    client: httpx.AsyncClient, method: str, address: str, path: str, body: Callable[[], dict[str, Any]], lost: set[str]
) -> dict[str, Any]:
    for wait in (*WAITS, None):
        try:
            response = await client.request(method, address + path, json=body() if method == "POST" else None)
        except httpx.TransportError as error:
            if wait is None or isinstance(error, httpx.ReadTimeout):
                raise _not_reached(address, error) from error
            lost.add(address)
        else:
            if response.status_code == 200:
                with understood("a JSON object"):
                    return dict(response.json())
            if wait is None or response.status_code not in _BUSY:
                raise _refused(address, response)
        await asyncio.sleep(wait)
    raise AssertionError("the last try returns or raises")


def _client() -> httpx.AsyncClient:
    key = os.environ.get(KEY)
    return httpx.AsyncClient(
        timeout=TIMEOUT,
        limits=httpx.Limits(max_connections=None),
        headers={"Authorization": f"Bearer {key}"} if key else {},
        trust_env=False,  # a proxy of the environment is for the wide network, not for these
    )


def _not_reached(address: str, error: httpx.TransportError) -> EnvironmentFault:
    why = str(error) or type(error).__name__
    return EnvironmentFault(
        f"the vLLM server at {address} does not answer ({why})",
        way_out=f"Start it (or name another in {ADDRESSES}) and run the same command again: what is finished is kept",
    )


def _refused(address: str, response: httpx.Response) -> ModelError | EnvironmentFault:
    said = _message(response)
    if response.status_code in _BUSY:
        return EnvironmentFault(
            f"the vLLM server at {address} fails ({response.status_code}: {said})",
            way_out="Look into its log, start it again, and run the same command again: what is finished is kept",
        )
    if response.status_code in (401, 403):
        return ModelError(f"the vLLM server at {address} asks for a key ({said})", way_out=f"Set {KEY} to its key")
    return ModelError(
        f"the vLLM server at {address} refuses a request ({response.status_code}: {said})",
        way_out="Start it with flags that allow this, or change what is asked",
    )


def _message(response: httpx.Response) -> str:
    try:
        said = response.json()
        error = said.get("error", said)
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError):
        text = response.text
    return " ".join(text.split())[:300] or response.reason_phrase


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in this thread where no event loop runs in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, work).result()

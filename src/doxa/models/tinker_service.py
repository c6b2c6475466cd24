"""A Tinker server as training and evals need it: whether it is there, which models it has, and its errors in words.

The SDK (`pip install 'doxa[tinker]'`) is imported when it is needed. The key is read by the SDK from `TINKER_API_KEY`;
it stands in no file and no message of ours. Telemetry is off unless the user sets `TINKER_TELEMETRY` themselves.
"""

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from doxa.words.errors import DoxaError, EnvironmentFault, TrainingError, nearest

KEY = "TINKER_API_KEY"
URL = "TINKER_BASE_URL"
_LONGEST = 600
"""Characters of what a server says that are passed on."""


class Lost(Exception):
    """What was done since the last state is not known to be done: a client has to be made anew from that state."""


@dataclass(frozen=True)
class Service:
    """A server, and a model that it trains.

    Attributes:
        model: As the server calls it.
        every: A state is saved after every so many steps, and after each stage.
        patience: Seconds that a single step may take.
        tries: A client is made anew so often, without a new state in between, before training ends.
    """

    model: str
    every: int = 20
    patience: float = 3600.0
    tries: int = 5

    @property
    def url(self) -> str:
        """Where the server is."""
        from tinker.lib.base_url import resolve_base_url

        return resolve_base_url()


def sdk_version() -> str:
    """The version of the SDK.

    Raises:
        EnvironmentFault: When it is not installed.
    """
    try:
        import tinker
    except ModuleNotFoundError as error:
        raise EnvironmentFault(f"{error.name} is not installed", way_out="pip install 'doxa[tinker]'") from error
    return str(tinker.__version__)


def check_service(service: Service) -> None:
    """Ask a server, before anything is sent, whether it trains a model.

    Raises:
        EnvironmentFault: When it cannot be reached.
        TrainingError: When it does not train that model; with the list of those it trains. Or when there is no key.
    """
    sdk_version()
    check_reachable(service)
    from tinker import RestClient

    os.environ.setdefault("TINKER_TELEMETRY", "0")
    with in_words(service):
        # The SDK keeps such clients by address and key, and takes what is not given for the same.
        rest = RestClient(base_url=service.url, api_key=os.environ.get(KEY))
        found = rest.get_server_capabilities().result(60)
    trained = [one.model_name for one in found.supported_models if one.trainable is not False and one.model_name]
    if service.model not in trained:
        raise TrainingError(f"{service.url} does not train {service.model!r}", way_out=nearest(service.model, trained))


def _let_go() -> None:
    """Let go, in this thread, of the client of the SDK's first request, which the SDK (0.38) never closes.

    Where the garbage collector finds it in a thread with a running event loop, that loop closes it by the number of its
    socket, which may by then be another connection's: what is answered there is never read. Only for threads without
    a loop, as those that open a service are; `check_service` is called in Inspect's too.
    """
    gc.collect()


def check_reachable(service: Service) -> None:
    """Whether anything answers.

    Raises:
        EnvironmentFault: When nothing does.
    """
    try:
        httpx.get(f"{service.url}/api/v1/healthz", timeout=10)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise EnvironmentFault(
            f"nothing answers at {service.url} ({type(error).__name__})",
            way_out=f"Start `doxa tinker-serve` and set {URL} as it says, or connect to the network",
        ) from error


def open_service(service: Service) -> Any:
    """A `tinker.ServiceClient` with a session of its own, which ends with the process unless it is closed.

    Raises:
        Lost: When the server fails.
        DoxaError: When it refuses in a way that trying again does not mend.
    """
    import tinker

    os.environ.setdefault("TINKER_TELEMETRY", "0")
    with in_words(service), warnings.catch_warnings():
        client = tinker.ServiceClient(user_metadata={"made_by": "doxa"})
        client.holder.get_session_id()
    _let_go()
    return client


@contextmanager
def session(service: Service) -> Iterator[Any]:
    """A `tinker.ServiceClient` with a session of its own.

    Raises:
        Lost: When the server fails.
        DoxaError: When it refuses in a way that trying again does not mend.
    """
    client = open_service(service)
    try:
        yield client
    finally:
        with suppress(Exception):  # the session ends by itself when nobody sends a heartbeat
            client.close("success").result(2)


@contextmanager
def in_words(service: Service) -> Iterator[None]:
    """Turn what the SDK raises into `Lost`, where a new client may go on, or an error that a person can act on.

    Raises:
        Lost: When what was sent may be lost.
        TrainingError: When the key is missing or wrong, or the server refuses what was asked.
        EnvironmentFault: When the account is not paid for, or a step takes too long.
    """
    import tinker
    from tinker._exceptions import RequestFailedError
    from tinker.lib.retryable_exception import RetryableException
    from tinker.types import RequestErrorCategory

    try:
        yield
    except (DoxaError, Lost):
        raise
    except TimeoutError as error:
        raise EnvironmentFault(
            f"{service.url} has not answered for {service.patience:g} seconds", way_out="Run the same command again"
        ) from error
    except (tinker.AuthenticationError, tinker.PermissionDeniedError) as error:
        raise TrainingError(
            f"{service.url} does not accept the key in {KEY}", way_out=f"Set {KEY} to a key of that server"
        ) from error
    except RequestFailedError as error:
        if error.category is RequestErrorCategory.User:
            raise TrainingError(f"{service.url} refuses: {told(error)}", way_out="Change what it names") from error
        raise Lost(told(error)) from error
    except tinker.APIStatusError as error:
        if error.status_code == 402:
            raise EnvironmentFault(
                f"{service.url} wants to be paid first (402)",
                way_out="Mend the account, and run the same command again",
            ) from error
        if error.status_code in (400, 413, 415, 422):
            raise TrainingError(f"{service.url} refuses: {told(error)}", way_out="Change what it names") from error
        raise Lost(told(error)) from error
    except (tinker.APIError, RetryableException, ValueError, RuntimeError, AssertionError) as error:
        cause = _status_of(error)
        if cause == 402:
            raise EnvironmentFault(
                f"{service.url} wants to be paid first (402)",
                way_out="Mend the account, and run the same command again",
            ) from error
        raise Lost(told(error)) from error
    except tinker.TinkerError as error:
        if "api_key" in str(error):
            raise TrainingError(
                f"there is no key for {service.url}, or none that begins with tml-", way_out=f"Set {KEY}"
            ) from error
        raise Lost(told(error)) from error


def _status_of(error: BaseException | None) -> int | None:
    """The status of HTTP at the bottom of an error."""
    while error is not None:
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__
    return None


def told(error: BaseException) -> str:
    """What an error says, in a line of some length, without the key."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    key = os.environ.get(KEY)
    return (text.replace(key, "(the key)") if key else text)[:_LONGEST]

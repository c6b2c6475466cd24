"""Reading a request's body: so many bytes, in so much time, and JSON that nothing further in can stumble over."""

import asyncio
import json
import math
from typing import Any

from starlette.requests import ClientDisconnect, Request

from doxa.server.refusals import HUNG_UP, Refused

MOST_BYTES = 1 << 20
SECONDS = 30.0
DEEPEST = 16
LARGEST = 2**63 - 1


async def read_json(request: Request, *, most: int = MOST_BYTES, seconds: float = SECONDS) -> dict[str, Any]:
    """The JSON object that a request carries.

    Args:
        request: The request; its body has not been read.
        most: Bytes.
        seconds: Until the whole body has to be there.

    Raises:
        Refused: 413 when it is too large, 408 when it does not come, 400 when it is no JSON object in UTF-8, holds
            numbers that are not finite or beyond 63 bits, half characters, or is nested too deeply.
    """
    return parsed(await read_bytes(request, most=most, seconds=seconds))


async def read_bytes(request: Request, *, most: int, seconds: float = SECONDS) -> bytes:
    """The body of a request.

    Args:
        request: The request; its body has not been read.
        most: Bytes.
        seconds: Until the whole body has to be there.

    Raises:
        Refused: 413 when it is too large, 408 when it does not come.
    """
    large = Refused(413, "the body is too large", expected=f"at most {most:,} bytes", way_out="Send less")
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and len(told) < 20 and int(told) > most:
        raise large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise large
    except TimeoutError as error:
        raise Refused(408, f"the body did not come within {seconds:g} seconds", way_out="Send it again") from error
    except ClientDisconnect as error:
        raise Refused(HUNG_UP, "the client hung up", way_out="Ask again") from error
    return bytes(body)


def parsed(body: bytes) -> dict[str, Any]:
    """A JSON object from bytes.

    Raises:
        Refused: 400, as `read_json` says.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise _malformed("the body is not UTF-8") from error
    except RecursionError as error:
        raise _malformed("the body is nested too deeply") from error
    except ValueError as error:
        raise _malformed(f"the body is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise _malformed("the body is no JSON object")
    _check(value, 1)
    return value


def _check(value: object, depth: int) -> None:
    if depth > DEEPEST:
        raise _malformed(f"the body is nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key)
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _malformed("the body holds a number that is not finite")
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise _malformed("the body holds a whole number of more than 63 bits")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _malformed("the body holds half of a surrogate pair, which is no character") from error


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _malformed(found: str) -> Refused:
    return Refused(400, found, expected="a JSON object in UTF-8", way_out="Mend the request", code="malformed")

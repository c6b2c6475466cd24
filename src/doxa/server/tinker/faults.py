"""Faults on demand, so that a script's answer to them can be rehearsed: the n-th call of an endpoint goes wrong.

`forward_backward:3=500` fails the third call, `optim_step:2-4=429` three of them, `retrieve_future:1=drop` hangs up,
`asample:1=late` answers after the request was carried out as if it was lost, `retrieve_future:2=garbage` sends no
message at all.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from doxa.words.errors import StudyError

STATUSES = (400, 402, 403, 404, 408, 409, 410, 429, 500, 502, 503)
KINDS = ("drop", "garbage", "late", "slow")
SLOW = 2.0
"""Seconds that a slow answer takes longer."""
_FAULT = re.compile(r"([a-z_]+):([0-9]{1,9})(?:-([0-9]{1,9}))?=([a-z0-9]+)")


@dataclass(frozen=True)
class Fault:
    """Calls `first` to `last` (from 1) of an endpoint go wrong in this way."""

    endpoint: str
    first: int
    last: int
    kind: str


def fault_from_text(text: str) -> Fault:
    """Read `ENDPOINT:N=KIND` or `ENDPOINT:N-M=KIND`.

    Raises:
        StudyError: When it is not understood.
    """
    found = _FAULT.fullmatch(text)
    if found is None or found[4] not in {*KINDS, *map(str, STATUSES)}:
        raise StudyError(
            f"the fault {text!r}",
            expected=f"ENDPOINT:N=KIND, where KIND is {', '.join(KINDS)} or one of {', '.join(map(str, STATUSES))}",
            way_out="Write `forward_backward:3=500`",
        )
    return Fault(found[1], int(found[2]), int(found[3] or found[2]), found[4])


@dataclass(eq=False)
class Faults:
    """What goes wrong, and how often each endpoint was called.

    Attributes:
        planned: The faults.
        calls: Calls of each endpoint.
        made: Faults that happened.
    """

    planned: Sequence[Fault] = ()
    calls: "Counter[str]" = field(default_factory=Counter)
    made: int = 0

    async def around(self, request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response | ASGIApp:
        """Answer a request, or let it go wrong."""
        endpoint = request.url.path.rpartition("/")[2]
        self.calls[endpoint] += 1
        number = self.calls[endpoint]
        kind = next(
            (one.kind for one in self.planned if one.endpoint == endpoint and one.first <= number <= one.last), ""
        )
        self.made += bool(kind)
        if kind == "drop":
            return _hang_up
        if kind == "garbage":
            return Response(b"\xff\xfe no message", media_type="application/x-protobuf")
        if kind == "slow":
            await asyncio.sleep(SLOW)
        if kind == "late":
            await answer(request)
            return _hang_up
        if kind == "400":
            return Response(status_code=400)  # as of a proxy: without a word, which the SDK tries again
        if kind.isdigit():
            # Soon again, so that a rehearsal does not wait.
            body = {"error": {"message": f"a fault that was asked for ({kind})"}}
            return JSONResponse(body, status_code=int(kind), headers={"retry-after-ms": "20"})
        return await answer(request)


async def _hang_up(scope: Scope, receive: Receive, send: Send) -> None:
    """Begin an answer and break it off, which closes the connection."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": False})

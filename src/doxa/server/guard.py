"""Who may ask: this machine's own pages and programs that know the token.

A page of another site can make a browser send requests here, also under a name that it lets point to this machine (DNS
rebinding). So the `Host` has to be ours, an `Origin` has to be the page that we served, and the token is asked for on
every route that says anything.
"""

import hmac
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from doxa.server.refusals import Refused, refusal

OPEN = frozenset({"/", "/page.css", "/page.js", "/health"})
"""Paths that need no token: the static page, and whether anybody is there."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?")


@dataclass(frozen=True)
class Guard:
    """Lets through who may ask.

    Attributes:
        application: What is guarded.
        token: The secret.
        host: The address that is listened on.
        names: More names that this machine is called by.
        key_header: The header that the token stands in, alone; None: `Authorization`, behind `Bearer`.
        verb: Who is to be asked for the token.
    """

    application: ASGIApp
    token: str
    host: str
    names: Collection[str] = ()
    key_header: str | None = None
    verb: str = "doxa serve"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] == "http":
            try:
                self._check(Headers(scope=scope), scope["path"])
            except Refused as error:
                await refusal(error)(scope, receive, send)
                return
        await self.application(scope, receive, send)

    def _check(self, headers: Headers, path: str) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            raise Refused(
                403,
                "the request names another host than this server",
                way_out=f"Ask for the address that `{self.verb}` printed, or start it with --allow-host NAME",
                code="host",
            )
        origins = headers.getlist("origin")
        if origins and origins not in ([f"http://{hosts[0]}"], [f"https://{hosts[0]}"]):
            raise Refused(403, "the request comes from a page of another site", way_out="Use this server's own page")
        if path not in OPEN and not self._is_known(headers.getlist(self.key_header or "authorization")):
            raise Refused(
                401,
                "the token is missing or wrong",
                expected=f"`{self.key_header}: TOKEN`" if self.key_header else "`Authorization: Bearer TOKEN`",
                way_out=f"Use the token that `{self.verb}` printed, as the API key",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found[1] or found[2]).lower()
        if name in LOOPBACK or name == self.host or name in self.names:
            return True
        return not is_loopback(self.host) and _is_address(name)  # a browser that was led here by a name would send it

    def _is_known(self, given: Collection[str]) -> bool:
        written = "".join(given)
        kind, _, token = ("bearer", "", written) if self.key_header else written.partition(" ")
        same = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self.token.encode())
        return len(given) == 1 and kind.lower() == "bearer" and same


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    return host in LOOPBACK or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

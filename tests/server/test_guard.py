"""Who is let in."""

import httpx
import pytest
from running import CHAT, HELLO, TOKEN, Running, raw, running
from starlette.datastructures import Headers

from doxa.server.guard import Guard, is_loopback
from doxa.server.refusals import Refused
from doxa.server.study_arms import StudyArms

PATHS = ("/v1/models", "/v1/models/baseline", "/v1/study", "/metrics", "/v1/chat/completions", "/v1/dose", "/nowhere")


async def nothing(*_: object) -> None:
    """An application that does nothing."""


def let_in(guard: Guard, path: str = "/v1/models", **headers: str) -> bool:
    given = {"host": "localhost:8000", "authorization": "Bearer secret", **headers}
    try:
        guard._check(Headers(given), path)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_said(served: Running, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer \xe9\xff"},
    ):
        answer = httpx.get(served.url + path, headers=httpx.Headers(headers, encoding="latin-1"), trust_env=False)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert TOKEN not in answer.text
    assert served.client().get(path).status_code != 401


def test_the_page_and_health_are_open(served: Running) -> None:
    for path in ("/", "/page.css", "/page.js", "/health"):
        assert httpx.get(served.url + path, trust_env=False).status_code == 200


def test_every_answer_has_the_headers_that_protect_it(served: Running) -> None:
    for answer in (served.client().get("/"), served.client().get("/v1/models"), served.client().get("/nowhere")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost@evil", "[::1", ""]
)
def test_another_host_is_refused_with_the_token_too(served: Running, host: str) -> None:
    for path in ("/", "/health", "/v1/models"):
        answer = served.client(headers={"Host": host}).get(path)
        assert answer.status_code in (400, 403)
        assert "doxa serve" in answer.text or not host


def test_this_machine_has_several_names(served: Running) -> None:
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:9"):
        assert served.client(headers={"Host": host}).get("/v1/models").status_code == 200


def test_two_hosts_are_refused(served: Running) -> None:
    head = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    assert raw(served.port, head.encode(), wait=1).startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost", "http://127.0.0.1:1", "file://"]
)
def test_a_page_of_another_site_is_refused(served: Running, origin: str) -> None:
    body = {"model": "baseline", "messages": HELLO, "max_tokens": 1}
    answer = served.client(headers={"Origin": origin}).post(CHAT, json=body)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    own = served.client(headers={"Origin": served.url}).post(CHAT, json=body)
    assert own.status_code == 200


def test_names_and_addresses() -> None:
    home = Guard(nothing, "secret", "127.0.0.1")
    assert let_in(home)
    assert not let_in(home, host="192.168.1.5:8000")
    assert not let_in(home, host="lab.example")
    assert let_in(Guard(nothing, "secret", "127.0.0.1", ("lab.example",)), host="Lab.example:8000")
    everywhere = Guard(nothing, "secret", "0.0.0.0")
    assert let_in(everywhere, host="192.168.1.5:8000")
    assert let_in(everywhere, host="[fe80::1]:8000")
    assert not let_in(everywhere, host="lab.example")
    assert not let_in(everywhere, authorization="Bearer other")
    assert let_in(everywhere, "/health", authorization="")


def test_loopback() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"))


def test_the_token_is_compared_in_constant_time(arms: StudyArms, monkeypatch: pytest.MonkeyPatch) -> None:
    import doxa.server.guard as module

    compared: list[tuple[bytes, bytes]] = []
    real = module.hmac.compare_digest
    monkeypatch.setattr(module.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    with running(arms) as found:
        assert found.client().get("/v1/models").status_code == 200
    assert compared == [(TOKEN.encode(), TOKEN.encode())]

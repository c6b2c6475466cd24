import json

import pytest
from running import CHAT, TOKEN, Running, raw

from doxa.server.bodies import DEEPEST, MOST_BYTES, parsed
from doxa.server.refusals import Refused


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def test_an_object_is_read() -> None:
    body = {"a": [1, 2.5, "ü\U0001f389", None, True], "b": {"c": -(2**63) + 1}}
    assert parsed(json.dumps(body).encode()) == body
    assert parsed(nested(DEEPEST)) is not None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"[1]", "no JSON object"),
        (b'"text"', "no JSON object"),
        (b"{", "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "not finite"),
        (b'{"a": 9223372036854775808}', "63 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (nested(DEEPEST + 1), f"more than {DEEPEST} deep"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deeply"),
    ],
)
def test_what_is_malformed_is_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        parsed(body)
    assert caught.value.status == 400


def test_a_body_that_is_too_large_is_refused_before_it_is_read(served: Running) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    told = raw(served.port, f"{head}Content-Length: {MOST_BYTES + 1}\r\n\r\n".encode(), wait=2)
    assert told.startswith(b"HTTP/1.1 413")
    part = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    chunked = raw(served.port, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + part * 17, wait=2)
    assert chunked.startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_not_waited_for(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    import doxa.server.application as module
    from doxa.server.bodies import read_json

    monkeypatch.setattr(module, "read_json", lambda request: read_json(request, seconds=0.2))
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n\r\n"
    assert raw(served.port, head.encode() + b"{", wait=3).startswith(b"HTTP/1.1 408")


def test_malformed_bodies_are_answered_in_openais_format(served: Running) -> None:
    with served.client() as client:
        answer = client.post(CHAT, content=b'{"model": NaN}')
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "malformed", None)
    assert "Mend the request" in error["message"]

"""What a client is told when it does not get an answer: OpenAI's error objects, in the words of doxa's errors."""

from collections.abc import Mapping

from starlette.responses import JSONResponse

from doxa.words.errors import DoxaError, UserError

HUNG_UP = 499
"""Counted for a client that hung up; nobody is there to read it."""
LONGEST = 1000
"""Characters of a message: whatever was sent, little of it is sent back."""
KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Refused(UserError):
    """A request that is not answered.

    Args:
        status: Of HTTP.
        found: As every error of doxa's.
        expected: As every error of doxa's.
        way_out: As every error of doxa's.
        param: The field of the request that is wrong.
        code: A word for programs.
        headers: More headers of the answer.
    """

    def __init__(
        self,
        status: int,
        found: str,
        *,
        expected: str = "",
        way_out: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(found, expected=expected, way_out=way_out)
        self.status, self.param, self.code = status, param, code
        self.headers = dict(headers or {})


def status_of(error: DoxaError) -> int:
    """The status of HTTP that an error is answered with."""
    if isinstance(error, Refused):
        return error.status
    return 400 if isinstance(error, UserError) else 503


def error_body(error: DoxaError) -> dict[str, object]:
    """An error as OpenAI writes it."""
    status = status_of(error)
    usual = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": str(error)[:LONGEST],
            "type": KINDS.get(status, usual),
            "param": error.param if isinstance(error, Refused) else None,
            "code": error.code if isinstance(error, Refused) else None,
        }
    }


def refusal(error: DoxaError) -> JSONResponse:
    """The answer to a request that is refused."""
    headers = error.headers if isinstance(error, Refused) else None
    return JSONResponse(error_body(error), status_code=status_of(error), headers=headers)

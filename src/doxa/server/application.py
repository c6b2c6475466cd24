"""The routes."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from doxa import __version__
from doxa.server.answering import Answering
from doxa.server.bodies import read_json
from doxa.server.chat_request import chat_request
from doxa.server.guard import Guard
from doxa.server.hanging_up import unless_hung_up
from doxa.server.refusals import Refused, refusal
from doxa.server.service import Service
from doxa.words.arms import Arm
from doxa.words.errors import DoxaError, nearest
from doxa.words.grammar import intervention_to_json

PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
Endpoint = Callable[[Request], Awaitable[ASGIApp]]


def application(service: Service, *, token: str, host: str, names: tuple[str, ...] = ()) -> ASGIApp:
    """The whole server as an ASGI application.

    Args:
        service: What requests share.
        token: The secret that clients have to know.
        host: The address that is listened on.
        names: More names that this machine is called by.
    """
    arms = service.arms

    async def chat(request: Request) -> ASGIApp:
        asked = chat_request(await read_json(request), longest=arms.model.context_length)
        arm = arms.find(asked.model)
        request.scope["doxa.arm"] = arm.key
        return Answering(service, asked, arm)

    async def dose(request: Request) -> Response:
        body = await read_json(request)
        with service.gate.entered(1):
            return JSONResponse(await unless_hung_up(request.receive, service.dose(body)))

    async def models(request: Request) -> Response:
        listed = [*arms.named.values(), *(arms.controls.values() if "controls" in request.query_params else ())]
        return JSONResponse({"object": "list", "data": [_model(service, arm) for arm in listed]})

    async def model(request: Request) -> Response:
        return JSONResponse(_model(service, arms.find(request.path_params["name"])))

    async def study(_: Request) -> Response:
        return JSONResponse(_study(service))

    async def health(_: Request) -> Response:
        stopping = service.gate.stopping
        return JSONResponse({"status": "stopping" if stopping else "ok"}, status_code=503 if stopping else 200)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")

    async def page(request: Request) -> Response:
        name, kind = FILES[request.url.path]
        return Response((PAGE / name).read_bytes(), media_type=kind)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/dose", dose, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        Route("/v1/study", study),
        Route("/health", health),
        Route("/metrics", metrics),
        *(Route(path, page) for path in FILES),
    ]
    known = [route.path for route in routes]

    async def not_there(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path[:200]
        way_out = nearest(path, known) if error.status_code == 404 else "See the documentation of `doxa serve`"
        return refusal(Refused(error.status_code, f"{request.method[:20]} {path}: {error.detail}", way_out=way_out))

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, DoxaError)
        return refusal(error)

    async def broken(_: Request, error: Exception) -> Response:
        found = f"the server failed ({type(error).__name__})"
        return refusal(Refused(500, found, way_out="Look at what `doxa serve` printed"))

    inner = Starlette(
        routes=routes, exception_handlers={HTTPException: not_there, DoxaError: refused, Exception: broken}
    )
    inner.router.redirect_slashes = False  # a path is there, or it is not
    return _counted(service, Guard(inner, token, host, names))


def _counted(service: Service, inner: ASGIApp) -> ASGIApp:
    """Count answers by arm and status, and put the headers on them that every answer has."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        try:
            await inner(scope, receive, noted)
        finally:
            service.metrics.requests[scope.get("doxa.arm", ""), scope.get("doxa.status", status)] += 1

    return counted


def _model(service: Service, arm: Arm) -> dict[str, object]:
    return {
        "id": arm.key,
        "object": "model",
        "created": service.created,
        "owned_by": "doxa",
        "doxa": {
            "label": arm.label,
            "of": arm.of,
            "control": arm.control,
            "digest": arm.digest,
            "interventions": [intervention_to_json(one) for one in arm.interventions],
        },
    }


def _study(service: Service) -> dict[str, object]:
    arms = service.arms
    vectors = [
        {"name": one.name, "from": one.base, "positive": told.positive, "negative": told.negative}
        for one, told in zip(arms.vectors.values(), arms.manifests.values(), strict=True)
    ]
    return {
        "doxa": __version__,
        "study": arms.study.name,
        "question": arms.study.question,
        "model": arms.model.name,
        "dtype": str(arms.model.dtype).removeprefix("torch."),
        "n_layers": arms.model.n_layers,
        "context_length": arms.model.context_length,
        "vectors": vectors,
    }

"""The routes of the SDK's protocol."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from doxa.server.bodies import parsed, read_bytes
from doxa.server.guard import Guard
from doxa.server.refusals import Refused, refusal
from doxa.server.tinker.codec import PROTOBUF, forward_backward_request, unpacked
from doxa.server.tinker.faults import Faults
from doxa.server.tinker.house import House
from doxa.server.tinker.work import Task
from doxa.words.errors import DoxaError

KEY_HEADER = "x-api-key"
MOST_BYTES = 32 << 20
"""Of a body, also unpacked."""
PATIENCE = 20.0
"""Seconds that an answer is waited for before the client is told to ask again."""
BILLING_PATIENCE = 60
"""Seconds that the SDK goes on asking a server that says 402."""

Answer = Callable[[Mapping[str, Any]], Awaitable[Response]]


def application(house: House, *, key: str, host: str, faults: Faults | None = None, compress: bool = False) -> ASGIApp:
    """The whole server as an ASGI application.

    Args:
        house: What it knows.
        key: The secret that clients have to know, in `X-API-Key`.
        host: The address that is listened on.
        faults: What goes wrong.
        compress: Whether clients compress what they send.
    """
    model, going_wrong = house.model, faults or Faults()

    async def config(_: Mapping[str, Any]) -> Response:
        return JSONResponse(
            {
                "pjwt_auth_enabled": False,
                "use_pyqwest_transport": False,
                "proto_compress_fwdbwd": compress,
                "billing_exception_max_pause_duration_sec": BILLING_PATIENCE,
            }
        )

    async def capabilities(_: Mapping[str, Any]) -> Response:
        offered = {"model_name": model.name, "max_context_length": model.context_length}
        return JSONResponse({"supported_models": [offered | {"trainable": True, "sampleable": True}]})

    async def create_session(_: Mapping[str, Any]) -> Response:
        return JSONResponse({"type": "create_session", "session_id": house.open_session()})

    async def heartbeat(body: Mapping[str, Any]) -> Response:
        house.check_session(body.get("session_id"))
        return JSONResponse({"type": "session_heartbeat"})

    async def create_model(body: Mapping[str, Any]) -> Response:
        return _promise(house.create(body))

    async def load_weights(body: Mapping[str, Any]) -> Response:
        return _promise(house.load(body) if body.get("model_id") is not None else house.load_new(body))

    async def save_weights(body: Mapping[str, Any]) -> Response:
        return _promise(house.save(body, "weights"))

    async def save_weights_for_sampler(body: Mapping[str, Any]) -> Response:
        return _promise(house.save(body, "sampler_weights"))

    async def optim_step(body: Mapping[str, Any]) -> Response:
        return _promise(house.step(body))

    async def get_info(body: Mapping[str, Any]) -> Response:
        own = house.tuned(body.get("model_id"))
        data = {"arch": model.network.config.model_type, "model_name": model.name, "tokenizer_id": model.name}
        said = {"type": "get_info", "model_id": body["model_id"], "model_name": model.name, "is_lora": True}
        return JSONResponse(said | {"lora_rank": own.rank, "model_data": data})

    async def create_sampling_session(body: Mapping[str, Any]) -> Response:
        return JSONResponse({"type": "create_sampling_session", "sampling_session_id": house.sampler(body)})

    async def asample(body: Mapping[str, Any]) -> Response:
        task, texts = house.sample(body)
        return JSONResponse({"request_id": task.id, "sample_sequence_ids": texts})

    async def weights_info(body: Mapping[str, Any]) -> Response:
        _, said = house.kept.state(body.get("tinker_path"))
        return JSONResponse(
            {"base_model": model.name, "is_lora": True, "lora_rank": said["rank"], "train_unembed": False}
        )

    async def telemetry(_: Mapping[str, Any]) -> Response:
        return JSONResponse({"status": "accepted"})  # and forgotten

    async def cancel(_: Mapping[str, Any]) -> Response:
        return JSONResponse({})

    async def retrieve(body: Mapping[str, Any]) -> Response:
        task = house.worker.find(str(body.get("request_id")))
        if task is None:
            raise Refused(410, "the result is gone", way_out="Ask for it anew: the server was restarted, or forgot it")
        try:
            result = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(task.result)), PATIENCE)
        except TimeoutError:
            waiting = {"type": "try_again", "request_id": task.id, "queue_state": "active"}
            return JSONResponse(waiting, status_code=408)
        if isinstance(result.body, bytes):
            return Response(result.body, media_type=PROTOBUF)
        return JSONResponse(result.body)

    async def forward_backward(request: Request) -> Response:
        body = await read_bytes(request, most=MOST_BYTES)
        body = unpacked(body, request.headers.get("content-encoding", ""), MOST_BYTES)
        vocabulary = int(model.network.config.get_text_config().vocab_size)
        asked = await asyncio.to_thread(forward_backward_request, body, vocabulary, model.context_length)
        return _promise(house.train(asked))

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def get_capabilities(_: Request) -> Response:
        return await capabilities({})

    async def sampler(request: Request) -> Response:
        name = request.path_params["name"]
        found = house.find_sampler(name)
        return JSONResponse({"sampler_id": name, "base_model": model.name, "model_path": found.address})

    async def finish(_: Request) -> Response:
        return JSONResponse({})

    def posted(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def read(request: Request) -> Response:
            body = parsed(await read_bytes(request, most=MOST_BYTES))
            try:
                return await answer(body)
            except (
                AttributeError,
                KeyError,
                TypeError,
                ValueError,
            ) as error:  # values of other kinds than they should be
                found = f"the body is not what {request.url.path[-40:]} takes ({error})"
                raise Refused(400, found[:300], way_out="Send what the SDK sends") from error

        return read

    answers = (
        create_session, create_model, load_weights, save_weights, save_weights_for_sampler, optim_step, get_info,
        create_sampling_session, asample, weights_info, telemetry,
    )  # fmt: skip
    by_name = {answer.__name__: posted(answer) for answer in answers}
    by_name |= {
        "client/config": posted(config),
        "session_heartbeat": posted(heartbeat),
        "cancel_future": posted(cancel),
    }
    by_name |= {"retrieve_future": posted(retrieve), "forward_backward": forward_backward}
    got = {"healthz": health, "get_server_capabilities": get_capabilities, "samplers/{name:path}": sampler}
    routes = [Route(f"/api/v1/{name}", _wrong(going_wrong, one), methods=["POST"]) for name, one in by_name.items()]
    routes += [Route(f"/api/v1/{name}", _wrong(going_wrong, one)) for name, one in got.items()]
    routes.append(Route("/api/v1/sessions/{name}/finish", finish, methods=["POST"]))

    async def not_there(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refusal(
            Refused(
                error.status_code,
                f"{request.method[:20]} {request.url.path[:200]}: {error.detail}",
                way_out="This server trains and samples, and does nothing else: see `doxa tinker-serve --help`",
            )
        )

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, DoxaError)
        return refusal(error)

    inner = Starlette(routes=routes, exception_handlers={HTTPException: not_there, DoxaError: refused})
    inner.router.redirect_slashes = False
    return Guard(inner, key, host, key_header=KEY_HEADER, verb="doxa tinker-serve")


def _promise(task: Task) -> Response:
    model = task.id.rpartition(":")[0]
    return JSONResponse({"request_id": task.id, "model_id": model})


def _wrong(faults: Faults, answer: Callable[[Request], Awaitable[Response]]) -> Any:
    async def around(request: Request) -> Any:
        return await faults.around(request, answer)

    return around

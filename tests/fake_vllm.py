"""A server that speaks as vLLM with vllm-lens does, in this process, on a model of this process.

It steers with hooks of its own, keeps a prefix cache that steered requests poison, writes down every body, and can be
told to misbehave in the ways that were seen or feared.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import torch
import zstandard
from torch import Tensor

from doxa.models.handle import Model

_ALONE = threading.Lock()  # hooks belong to the network, of which servers of a test share one


@dataclass
class FakeVLLM:
    """The server; what it does wrong can be changed while it runs.

    Attributes:
        plugin: False: vllm-lens is not there; what it would read is ignored.
        steers: False: the plugin answers, and adds nothing.
        scale: What is added is multiplied by this (norm matching, say).
        heeds: False: the residual stream that is sent back is steered, and what is written is not.
        scatters: True: what is meant for chosen positions is added at all.
        first: Nothing is added before this position.
        counts: False: positions are counted from 0 in every pass, as vllm-lens 1.3.0 does.
        failing: Statuses that the next completions are answered with instead.
        parent: What `/v1/models` says besides: an adapter comes first when it is set.
        bodies: Every body of a completion, in order.
        headers: Of every request.
    """

    model: Model
    context: int = 1024
    plugin: bool = True
    steers: bool = True
    scale: float = 1.0
    heeds: bool = True
    scatters: bool = False
    first: int = 0
    counts: bool = True
    dtype: str = "torch.float32"
    failing: list[int] = field(default_factory=list)
    shown: Any = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    cache: dict[tuple[str, tuple[int, ...]], Tensor] = field(default_factory=dict)
    address: str = ""

    def steered(self) -> list[dict[str, Any]]:
        """The steering vectors of every body that has some."""
        return [vector for body in self.bodies for vector in vectors_of(body)]

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer a completion."""
        vectors = vectors_of(body) if self.plugin and self.steers else []
        prompt, most = list(body["prompt"]), int(body["max_tokens"])
        tokens, drawn, said, tops = list(prompt), [], [], []
        reason = "length"
        generator = torch.Generator().manual_seed(int(body.get("seed") or 0))
        while len(drawn) < most and len(tokens) < self.context:
            logits, residual = self._run(tokens, vectors, len(prompt), body)
            if not self.heeds:
                logits, _ = self._run(tokens, [], len(prompt), {"cache_salt": "unheeded"})
            logprobs = logits.log_softmax(-1)
            last = logprobs[-1]
            if body.get("temperature"):
                chosen = int(torch.multinomial((last / body["temperature"]).softmax(-1), 1, generator=generator))
            else:
                chosen = int(last.argmax())
            drawn.append(chosen)
            tokens.append(chosen)
            said.append(float(last[chosen]))
            best = last.topk(body["logprobs"]) if body.get("logprobs") else None
            if best is not None:
                named = {f"token_id:{chosen}": float(last[chosen])}
                tops.append(named | {f"token_id:{i}": v for v, i in zip(*map(Tensor.tolist, best), strict=True)})
            text = self.model.tokenizer.decode(drawn, skip_special_tokens=True)
            if chosen in body.get("stop_token_ids", []) and not body.get("ignore_eos"):
                reason = "stop"
                break
            if any(stop in text for stop in body.get("stop", [])):
                reason = "stop"
                break
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason, "token_ids": drawn, "logprobs": None}
        if body.get("logprobs"):
            choice["logprobs"] = {"token_logprobs": said, "top_logprobs": tops}
        if body.get("prompt_logprobs") is not None:
            places = enumerate(prompt[1:])
            entries = [{str(token): {"logprob": float(logprobs[at, token]), "rank": 1}} for at, token in places]
            choice["prompt_logprobs"] = [None, *entries]
        answer: dict[str, Any] = {"id": "cmpl-1", "choices": [choice]}
        wanted = (body.get("vllm_xargs") or {}).get("output_residual_stream")
        if self.plugin and wanted is not None:
            assert json.loads(wanted) == [self.model.n_layers - 1]
            answer["activations"] = {"residual_stream": packed(residual[None], self.dtype)}
        return answer

    @torch.no_grad()
    def _run(
        self, tokens: list[int], vectors: list[dict[str, Any]], prompt: int, body: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """Logits and the last residual stream of a text; the prompt's part is kept and read as a prefix cache is."""
        additions = {layer: torch.zeros(len(tokens), self.model.d_model) for layer in range(self.model.n_layers)}
        for vector in vectors:
            assert vector["norm_match"] is False
            activations = unpacked(vector["activations"])
            for index, layer in enumerate(vector["layer_indices"]):
                if activations.ndim == 2:
                    assert vector["position_indices"] is None
                    additions[layer] += activations[index] * self.scale
                for place, at in enumerate(vector["position_indices"] or ()):
                    if self.scatters:
                        additions[layer] += activations[index, place]
                    elif at < (len(tokens) if self.counts else prompt):
                        additions[layer][at] += activations[index, place] * self.scale
        for addition in additions.values():
            addition[: self.first] = 0
        residuals: list[Tensor] = []

        def hook(layer: int) -> Any:
            def add(module: Any, args: Any, output: Tensor) -> Tensor:
                new: Tensor = output + additions[layer][None].to(output.dtype)
                if layer == self.model.n_layers - 1:
                    residuals.append(new[0].float())
                return new

            return add

        with _ALONE:
            hooks = [block.register_forward_hook(hook(layer)) for layer, block in enumerate(self.model.blocks)]
            try:
                logits = self.model.network(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].float()
            finally:
                for one in hooks:
                    one.remove()
        # What stands in the cache under this salt and prompt is read by whoever is not steered, right or wrong.
        key = (str(body.get("cache_salt")), tuple(tokens))
        if not vectors and key in self.cache:
            return self.cache[key], residuals[0]
        self.cache[key] = logits
        return logits, residuals[0]


def vectors_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The steering vectors in a body."""
    found: list[dict[str, Any]] = json.loads((body.get("vllm_xargs") or {}).get("apply_steering_vectors", "[]"))
    return found


def packed(tensor: Tensor, dtype: str = "torch.float32") -> dict[str, Any]:
    """A tensor as vllm-lens sends it."""
    half = dtype == "torch.bfloat16"
    array = (tensor.to(torch.bfloat16).view(torch.int16) if half else tensor.float()).numpy()
    data = base64.b64encode(zstandard.compress(array.tobytes())).decode()
    shape = list(array.shape)
    return {"data": data, "dtype": str(array.dtype), "original_dtype": dtype, "shape": shape, "compression": "zstd"}


def unpacked(sent: dict[str, Any]) -> Tensor:
    """A tensor as vllm-lens reads it."""
    raw = zstandard.decompress(base64.b64decode(sent["data"]))
    return torch.from_numpy(np.frombuffer(raw, sent["dtype"]).reshape(sent["shape"]).copy())


@contextmanager
def serving(fake: FakeVLLM, port: int = 0) -> Iterator[FakeVLLM]:
    """Serve on a port of the loopback interface, by default on one that is free."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _send(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            fake.headers.append(dict(self.headers))
            if self.path != "/v1/models":
                self.send_response(404)
                self.send_header("Content-Length", "16")
                self.end_headers()
                self.wfile.write(b"there is nothing")
                return
            known = {"data": [{"id": "served", "max_model_len": fake.context, "parent": None}]}
            self._send(200, known if fake.shown is None else fake.shown)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.headers.append(dict(self.headers))
            fake.bodies.append(body)
            if fake.failing:
                status = fake.failing.pop(0)
                self._send(status, {"error": {"message": f"this is status {status}", "code": status}})
            else:
                self._send(200, fake.complete(body))

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_: Any) -> None:  # a client that went away
            pass

    server = Server(("127.0.0.1", port), Handler)
    fake.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

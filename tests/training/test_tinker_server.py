"""The server itself: the codec, what it refuses, what it says of prompts; and the Inspect provider on top of it."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from tiny_networks import rows, tiny

pytest.importorskip("tinker", reason="the SDK is not installed: pip install 'doxa[tinker]'")
import tinker
import zstandard
from tinker import types
from tinker.proto.request_conv import forward_backward_request_to_proto
from tinker.proto.response_conv import deserialize_forward_backward_output
from tinker_rehearsal import KEY, Rehearsal, forget_clients, make_quick, rehearsal

from doxa.models.chat import Rendered
from doxa.models.score import logits_along
from doxa.server.refusals import Refused
from doxa.server.tinker import application, work
from doxa.server.tinker.codec import forward_backward_output, forward_backward_request, unpacked
from doxa.training.steps import forward_backward, trainable
from doxa.words.errors import StudyError
from doxa.words.tuning import Configuration

# The SDK leaves connections open (of its first request, of clients in the process).
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    make_quick(monkeypatch)
    yield
    forget_clients()


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearsal]:
    with rehearsal(tmp_path / "kept") as running:
        monkeypatch.setenv("TINKER_BASE_URL", running.url)
        monkeypatch.setenv("TINKER_API_KEY", KEY)
        yield running


def datum(tokens: list[int], weights: list[float] | None = None, **changes: Any) -> types.Datum:
    given = {"target_tokens": tokens[1:], "weights": (weights or [1.0] * len(tokens))[1:]} | changes
    return types.Datum(model_input=types.ModelInput.from_ints(tokens[:-1]), loss_fn_inputs=given)


def message(data: list[types.Datum], loss: Any = "cross_entropy") -> Any:
    given = types.ForwardBackwardInput(data=data, loss_fn=loss)
    return forward_backward_request_to_proto(
        types.ForwardBackwardRequest(forward_backward_input=given, model_id="m", seq_id=3)
    )


def test_rows_and_losses_survive_the_wire() -> None:
    sent = rows(own_weights=True)
    body = message([datum(list(row.tokens), list(row.weights)) for row in sent]).SerializeToString()
    read = forward_backward_request(body, 120, 64)
    assert (read.model, read.seq, read.backward) == ("m", 3, True)
    for got, row in zip(read.rows, sent, strict=True):
        assert got.tokens == row.tokens
        assert got.weights == pytest.approx(row.weights)
    found = forward_backward(trainable(tiny(), Configuration(1.0, rank=2), 0), read.rows, everywhere=True)
    back = deserialize_forward_backward_output(forward_backward_output(read.rows, found))
    assert back.metrics == {"loss:sum": pytest.approx(found.total)}
    for one, own in zip(back.loss_fn_outputs, found.logprobs, strict=True):
        assert one["logprobs"].data == pytest.approx(own[1:].tolist())


@pytest.mark.parametrize(
    ("data", "loss", "said"),
    [
        ([datum([1, 2, 3])], "ppo", "the loss 'ppo'"),
        ([], "cross_entropy", "0 rows"),
        ([datum([1, 2, 120])], "cross_entropy", "a token that there is not"),
        ([datum([1, 2, -4])], "cross_entropy", "a token that there is not"),
        ([datum([1] * 65)], "cross_entropy", "row 0 has 65 tokens"),
        ([datum([1, 2, 3], [0.0, 1.0, float("nan")])], "cross_entropy", "no number"),
        ([datum([1, 2, 3], target_tokens=[5, 5])], "cross_entropy", "not its own tokens"),
        ([datum([1, 2, 3], target_tokens=[2, 3, 4])], "cross_entropy", "3 targets"),
        ([datum([1, 2, 3], advantages=[1.0, 1.0])], "cross_entropy", "loss inputs"),
    ],
)
def test_what_is_not_understood_is_refused(data: list[types.Datum], loss: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        forward_backward_request(message(data, loss).SerializeToString(), 120, 64)


def test_a_body_that_unpacks_to_too_much_is_refused() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(50 << 20))
    assert len(bomb) < 10_000
    with pytest.raises(Refused, match="unpacks to too much"):
        unpacked(bomb, "zstd", 1 << 20)
    with pytest.raises(Refused, match="no zstd"):
        unpacked(b"not packed", "zstd", 1 << 20)
    with pytest.raises(Refused, match="gzip"):
        unpacked(b"", "gzip", 1 << 20)
    assert unpacked(zstandard.ZstdCompressor().compress(b"abc"), "zstd", 3) == b"abc"


def client(there: Rehearsal, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=f"{there.url}/api/v1", headers={"X-API-Key": KEY} | headers, trust_env=False)


def test_only_who_knows_the_key_and_our_name_may_ask(there: Rehearsal) -> None:
    with client(there) as own:
        assert own.get("/healthz").json() == {"status": "ok"}
        assert own.get("/nothing").status_code == 404
    for headers, status in (
        ({"X-API-Key": "tml-another"}, 401),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
    ):
        with client(there, **headers) as other:
            answer = other.get("/get_server_capabilities")
            assert answer.status_code == status
            assert KEY not in answer.text


def test_bodies_have_a_size(there: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "MOST_BYTES", 1000)
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 20))
    with client(there) as own:
        assert own.post("/forward_backward", content=bytes(2000)).status_code == 413
        packed = own.post("/forward_backward", content=bomb, headers={"Content-Encoding": "zstd"})
        assert packed.status_code == 413
        assert own.post("/forward_backward", content=b"\xff\xff\xff").status_code == 400
        assert own.post("/create_model", content=b"[1]").status_code == 400
        assert own.post("/retrieve_future", json={"request_id": "never"}).status_code == 410


def test_names_cannot_leave_the_folder(there: Rehearsal, tmp_path: Path) -> None:
    names = ["../../x", "/etc/x", "a/b", ".hidden", "", "x" * 200, "a\x00b", "..", 7]
    with client(there) as own:
        session = own.post("/create_session", json={"tags": []}).json()["session_id"]
        body = {"session_id": session, "model_seq_id": 0, "base_model": "tiny-llama", "lora_config": {"rank": 2}}
        model = own.post("/create_model", json=body).json()["model_id"]
        for seq, name in enumerate(names, start=1):
            saved = own.post("/save_weights", json={"model_id": model, "seq_id": seq, "path": name}).json()
            result = own.post("/retrieve_future", json={"request_id": saved["request_id"]}).json()
            assert result["category"] == "user"
            assert "the name" in result["error"]
            load = {"session_id": session, "model_seq_id": 1, "path": f"tinker://{model}/weights/{name}"}
            assert own.post("/load_weights", json=load).status_code in (400, 404)
            load["path"] = f"tinker://../{name}/weights/x"
            assert own.post("/load_weights", json=load).status_code == 400
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


NONSENSE = [None, [], {}, "x", -1, 10**18, 1.5, True, {"rank": []}, [[1]], "tinker://x/weights/y"]
KEYS = (
    "session_id", "model_seq_id", "base_model", "lora_config", "optimizer_config", "model_id", "seq_id", "path",
    "adam_params", "request_id", "sampling_session_id", "prompt", "sampling_params", "model_path", "tinker_path",
)  # fmt: skip


def test_nonsense_is_refused_and_the_server_goes_on(there: Rehearsal) -> None:
    endpoints = (
        "create_model", "load_weights", "save_weights", "save_weights_for_sampler", "optim_step", "get_info", "asample",
        "create_sampling_session", "weights_info", "session_heartbeat", "retrieve_future",
    )  # fmt: skip
    with client(there) as own:
        session = own.post("/create_session", json={"tags": []}).json()["session_id"]
        body = {"session_id": session, "model_seq_id": 0, "base_model": "tiny-llama", "lora_config": {"rank": 2}}
        model = own.post("/create_model", json=body).json()["model_id"]
        sampling = {"session_id": session, "sampling_session_seq_id": 0, "base_model": "tiny-llama"}
        sampler = own.post("/create_sampling_session", json=sampling).json()["sampling_session_id"]
        sound = {"session_id": session, "model_id": model, "sampling_session_id": sampler, "seq_id": 5000}
        drawn = random.Random(6)
        for endpoint in endpoints:
            for _ in range(12):
                changed = {key: drawn.choice(NONSENSE) for key in drawn.sample(KEYS, 3)}
                answer = own.post(f"/{endpoint}", json=sound | changed)
                assert answer.status_code in (200, 400, 404, 410), (endpoint, changed, answer.text)
        assert own.get("/healthz").status_code == 200
        own.post("/save_weights", json={"model_id": model, "seq_id": 1, "path": "still-here"})
        assert "path" in own.post("/retrieve_future", json={"request_id": f"{model}:1"}).json()


def test_results_that_nobody_can_keep_are_gone(there: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_KEPT", 10_000)
    tasks = [there.house.worker.put(work.Task(f"t{n}", lambda: work.Result(bytes(3000)))) for n in range(6)]
    for task in tasks:
        task.result.result(10)
    there.house.worker.put(work.Task("last", lambda: work.Result({}))).result.result(10)
    assert there.house.worker.find("t0") is None
    assert there.house.worker.find("t5") is tasks[5]
    monkeypatch.setattr(work, "MOST_WAITING", 0)
    with pytest.raises(Refused, match="are waiting"):
        there.house.worker.put(work.Task("more", lambda: work.Result({})))


def test_a_request_that_is_sent_again_is_done_once_and_in_its_turn(there: Rehearsal) -> None:
    with client(there) as own:
        session = own.post("/create_session", json={"tags": []}).json()["session_id"]
        body = {
            "session_id": session,
            "model_seq_id": 0,
            "base_model": "tiny-llama",
            "lora_config": {"rank": 2, "seed": 1},
        }
        model = own.post("/create_model", json=body).json()["model_id"]
        step = {"model_id": model, "seq_id": 2, "adam_params": {"learning_rate": 0.1}}
        own.post("/optim_step", json=step)
        own.post("/optim_step", json=step)
        sent = message([datum([1, 2, 3])])
        sent.model_id, sent.seq_id = model, 1
        for _ in range(3):
            own.post("/forward_backward", content=sent.SerializeToString())
        done = own.post("/retrieve_future", json={"request_id": f"{model}:2"}).json()
        assert done["metrics"]["grad_norm:unclipped"] > 0  # after the gradients, although it came before
        assert own.post("/optim_step", json=step | {"seq_id": 9999}).status_code == 400
        made = there.house.models[model].made
        assert made is not None
        assert int(made.steps) == 1


def test_prompts_are_scored_as_the_model_reads_them(there: Rehearsal) -> None:
    tokens = [5, 17, 33, 90, 2]
    due = torch.cat([own for _, own in logits_along(tiny(), Rendered("", tuple(tokens), ("user",) * 5))]).log_softmax(
        -1
    )
    with tinker.ServiceClient() as service:
        own = service.create_sampling_client(base_model="tiny-llama").result()
        prompt = types.ModelInput.from_ints(tokens)
        assert own.compute_logprobs(prompt).result()[1:] == pytest.approx(
            [float(due[at, tokens[at + 1]]) for at in range(4)], abs=1e-4
        )
        last = own.compute_logprobs(prompt, prompt_logprobs_last_n=2).result()
        assert last[:3] == [None, None, None]
        wanted = types.TensorData(data=[3, -1, 4, 5, 6, 7, 8, 9], dtype="int64", shape=[4, 2])
        found = own.sample(
            prompt, 3, types.SamplingParams(max_tokens=6, seed=1), True, 2, 2, wanted, prompt_alt_tokens_k=200
        ).result()
        targets = np.asarray(found.target_prompt_logprobs.data).reshape(4, 2)
        assert targets[0, 1] == 0
        assert targets[1, 0] == pytest.approx(float(due[1, 4]), abs=1e-4)
        entropy = -(due.exp() * due).sum(-1)[:4]
        drawn = np.asarray(found.prompt_alt_tokens.logprobs.data).reshape(4, 200)
        spread = drawn.std(1) / np.sqrt(200)
        assert (np.abs(-drawn.mean(1) - entropy.numpy()) < 4 * spread + 1e-6).all()
        again = own.sample(prompt, 3, types.SamplingParams(max_tokens=6, seed=1)).result()
        assert [list(one.tokens) for one in again.sequences] == [list(one.tokens) for one in found.sequences]
        whole = [*tokens, *found.sequences[0].tokens]
        scored = own.compute_logprobs(types.ModelInput.from_ints(whole)).result()[5:]
        assert found.sequences[0].logprobs == pytest.approx(scored, abs=1e-4)


def test_inspect_asks_the_server(there: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from inspect_ai.model import ChatMessageUser, GenerateConfig

    from doxa.bridge import tinker_model
    from doxa.models.chat import Message, continuation, render
    from doxa.models.score import Choice, score_choices

    monkeypatch.setattr(tinker_model.handle, "load", lambda name: tiny())
    api = tinker_model.TinkerAPI("tiny-llama")
    asked = [ChatMessageUser(content="w3 w4")]

    async def ask() -> tuple[Any, Any]:
        how = GenerateConfig(max_tokens=5, logprobs=True, top_logprobs=2, seed=3)
        options = {"doxa": {"choice": {"options": ["w7", "w8 w9"]}}}
        return await api.generate(asked, [], "none", how), await api.generate(
            asked, [], "none", GenerateConfig(extra_body=options)
        )

    text, scored = asyncio.run(ask())
    assert text.usage.output_tokens == 5 or text.stop_reason == "stop"
    assert len(text.choices[0].logprobs.content) == len(text.completion.split())
    assert len(text.choices[0].logprobs.content[0].top_logprobs) == 2
    prompt = render(tiny(), [Message("user", "w3 w4")])
    (due,) = score_choices(tiny(), [Choice(prompt, ("w7", "w8 w9"))])
    assert scored.metadata["doxa"]["logprobs"] == pytest.approx(due.logprobs, abs=1e-4)
    assert scored.metadata["doxa"]["tokens"] == [len(continuation(tiny(), prompt, one)) for one in ("w7", "w8 w9")]


def test_faults_are_read_strictly() -> None:
    from doxa.server.tinker.faults import fault_from_text

    assert fault_from_text("optim_step:2-4=drop").last == 4
    for wrong in ("optim_step", "optim_step:1=teapot", "x:1=299", "x:=500"):
        with pytest.raises(StudyError, match="the fault"):
            fault_from_text(wrong)

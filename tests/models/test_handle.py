import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from tiny_gguf import same_logits, write_gguf
from transformers import AutoModelForCausalLM, BertConfig, T5Config

from doxa.models import handle
from doxa.models.handle import adopt, load, load_beside
from doxa.words.errors import EnvironmentFault, ModelError, UserError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Any, make_network: Any, tokenizer: Any) -> Path:
    """A saved tiny model, an empty cache, and a process that has loaded nothing."""
    monkeypatch.setenv("DOXA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(handle, "_loaded", {})
    path = tmp_path / "saved"
    make_network("qwen3").save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_a_folder_is_loaded(folder: Path, make_network: Any, tokenizer: Any) -> None:
    model = load(str(folder))
    assert same_logits(model.network, make_network("qwen3"))
    assert model.name == str(folder)
    assert (model.n_layers, model.d_model, model.context_length) == (3, 32, 256)
    assert (model.dtype, model.device) == (torch.float32, torch.device("cpu"))
    assert model.tokenizer.chat_template == tokenizer.chat_template
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())


def test_it_is_loaded_once_by_dtype(folder: Path, monkeypatch: Any) -> None:
    model, half = load(str(folder)), load(str(folder), dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in half.network.parameters()} == {torch.bfloat16}
    assert half.fingerprint == model.fingerprint  # it does not depend on the dtype
    monkeypatch.chdir(folder.parent)
    assert load("./saved") is model
    assert load("saved", dtype="bfloat16", device="cpu") is half


def test_two_threads_load_once(folder: Path, monkeypatch: Any) -> None:
    loads: list[str] = []
    load_path = handle._load_path

    def counted(name: str, *rest: Any) -> Any:
        loads.append(name)
        return load_path(name, *rest)

    monkeypatch.setattr(handle, "_load_path", counted)
    models: list[Any] = []
    threads = [threading.Thread(target=lambda: models.append(load(str(folder)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert models == [models[0]] * 3


def test_nothing_is_printed(folder: Path, capfd: Any) -> None:
    load(str(folder))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_the_fingerprint_follows_the_content(folder: Path, make_network: Any) -> None:
    first = load(str(folder)).fingerprint
    copy = folder.with_name("copy")
    folder.rename(copy)
    assert load(str(copy)).fingerprint == first
    other = folder.with_name("other")
    copy.rename(other)
    make_network("qwen3", seed=3).save_pretrained(other)
    assert load(str(other)).fingerprint != first


def test_a_gguf_file_and_its_folder_are_the_same_model(folder: Path, make_network: Any, tokenizer: Any) -> None:
    own = folder.parent / "gguf"
    own.mkdir()
    write_gguf(own / "tiny.gguf", make_network("llama"), tokenizer)
    by_file, by_folder = load(str(own / "tiny.gguf")), load(str(own))
    assert same_logits(by_file.network, make_network("llama"))
    assert by_file.fingerprint == by_folder.fingerprint
    write_gguf(own / "more.gguf", make_network("llama"), tokenizer)
    handle._loaded.clear()
    with pytest.raises(ModelError, match=r"several GGUF files: more.gguf, tiny.gguf"):
        load(str(own))


def test_adopting_takes_what_is_there_and_changes_nothing(make_network: Any, tokenizer: Any) -> None:
    network = make_network("gpt2")
    model = adopt("mine", network, tokenizer)
    assert model.network is network
    assert model.tokenizer is tokenizer
    assert (model.name, model.context_length) == ("mine", 256)
    assert all(parameter.requires_grad for parameter in network.parameters())
    network.train()
    with pytest.raises(ModelError, match=r"'mine' is in training mode.*eval"):
        adopt("mine", network, tokenizer)


def test_a_model_whose_context_nobody_states(make_network: Any, tokenizer: Any) -> None:
    network = make_network("llama")
    del network.config.max_position_embeddings
    with pytest.raises(ModelError, match="how long a text may be"):
        adopt("mine", network, tokenizer)


@pytest.mark.parametrize(
    ("arguments", "why", "way_out"),
    [
        ({"dtype": "float23"}, "dtype 'float23'", "Did you mean 'float32'? Allowed: bfloat16, float32."),
        ({"dtype": "float16"}, "dtype 'float16'", "float32"),
        ({"device": "gpu"}, "device 'gpu'", "cpu"),
        ({"device": "meta"}, "device 'meta'", "cpu"),
        ({"device": "cuda:99"}, "device cuda:99, and torch sees", "cpu"),
    ],
)
def test_unknown_dtypes_and_devices(arguments: Any, why: str, way_out: str) -> None:
    with pytest.raises(ModelError, match=why) as caught:
        load("smollm2", **arguments)
    assert way_out in caught.value.way_out


def test_no_cuda_is_said_in_words(monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="device cuda, and torch sees 0 CUDA devices"):
        load("smollm2", device="cuda")


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def adapter(folder: Path) -> None:
    no_config(folder)
    (folder / "adapter_config.json").write_text("{}")


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def truncated(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(5000)


def bad_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def other_layers(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 5, "layer_types": None}))


def other_width(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))


def unknown_kind(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "perceptron"}')


def own_code(folder: Path) -> None:
    own = {"model_type": "perceptron", "auto_map": {"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"}}
    (folder / "config.json").write_text(json.dumps(own))


def encoder_decoder(folder: Path) -> None:
    T5Config().save_pretrained(folder)


def encoder(folder: Path) -> None:
    config = BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (no_config, r"has no config\.json.*config\.json, model\.safetensors and a tokenizer"),
        (no_weights, r"has no model\.safetensors"),
        (pickled, "as a pickle, which can run code"),
        (adapter, "is an adapter, not a model"),
        (no_tokenizer, "the tokenizer of .* could not be loaded"),
        (truncated, "weights of .* are damaged"),
        (bad_json, "not a valid JSON"),
        (other_layers, "do not fit its config.json: .* tensors are missing"),
        (other_width, "do not fit its config.json|could not be loaded"),
        (unknown_kind, "does not recognize this architecture"),
        (own_code, "contains custom code.*without code of the model's own"),
        (encoder_decoder, "is a t5 model, not a decoder-only"),
        (encoder, "the decoder blocks were not found"),
    ],
)
def test_a_folder_that_is_not_right_is_refused_in_words(folder: Path, harm: Any, why: str, capfd: Any) -> None:
    harm(folder)
    capfd.readouterr()
    with pytest.raises(ModelError, match=why) as caught:
        load(str(folder))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    assert handle._loaded == {}


@pytest.mark.parametrize("name", ["./nowhere", "~/no/such/folder", "/no/such", "models/of/mine", "model.gguf"])
def test_a_path_that_does_not_exist(name: str) -> None:
    with pytest.raises(ModelError, match="there is no "):
        load(name)


def test_a_file_that_is_not_gguf(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json is not a GGUF file.*folder that it lies in"):
        load(str(folder / "config.json"))


@pytest.fixture
def hub(monkeypatch: Any) -> Any:
    """Lets transformers fail as it does when the hub answers with an error."""

    def answer(cause: Exception | None, error: Exception | None = None) -> None:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise error or OSError("transformers' own long explanation\nin two lines") from cause

        monkeypatch.setattr(handle.AutoConfig, "from_pretrained", fail)

    return answer


class Response:
    """What the hub's errors need of an answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.request = None
        self.status_code = 404


def test_offline_an_id_is_an_environment_fault(hub: Any) -> None:
    hub(LocalEntryNotFoundError("no connection"))
    with pytest.raises(EnvironmentFault, match=r"qwen/tiny is not in the cache.*hub cannot be reached") as caught:
        load("qwen/tiny")
    assert "folder" in caught.value.way_out


def test_a_misspelt_name_gets_the_nearest(hub: Any) -> None:
    with pytest.raises(ModelError, match="no model is called 'smolm2'") as caught:
        load("smolm2")  # the hub is not asked
    assert caught.value.way_out == "Did you mean 'smollm2'?"
    hub(LocalEntryNotFoundError("no connection"))
    with pytest.raises(ModelError) as caught:
        load("bert")
    assert caught.value.way_out.startswith("Use smollm2")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "does not fit into memory in float32.*bfloat16"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "does not fit into memory"),
        (MemoryError(), "does not fit into memory"),
        (ImportError("needs mamba_ssm"), "needs mamba_ssm"),
        (OSError(28, "No space left on device"), "disk is full"),
        (OSError("odd"), "odd"),
    ],
)
def test_what_else_can_go_wrong(hub: Any, error: Exception, why: str) -> None:
    hub(None, error)
    with pytest.raises(EnvironmentFault if "disk" in why else ModelError, match=why):
        load("some/model")


@pytest.mark.parametrize(("kind", "why"), [(GatedRepoError, "gated"), (RepositoryNotFoundError, "no model is called")])
def test_what_the_hub_refuses(hub: Any, kind: Any, why: str) -> None:
    hub(kind("refused", response=Response()))
    with pytest.raises(UserError, match=why):
        load("some/model")


def test_a_name_that_cannot_be_an_id() -> None:
    with pytest.raises(ModelError, match="no model is called 'a name with blanks'"):
        load("a name with blanks")


@pytest.mark.embedded
def test_the_embedded_model_is_loaded_once() -> None:
    assert load("smollm2") is load("smollm2", device="cpu")


def test_a_model_on_servers_is_the_model_here_with_their_addresses(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DOXA_VLLM_URLS", "http://a:1,http://b:2")
    here, served = load(str(folder)), load(f"vllm/{folder}")
    assert here.servers == ()
    assert served.servers == ("http://a:1", "http://b:2")
    assert served.name == f"vllm/{folder}"
    assert served.network is here.network
    assert served.fingerprint == here.fingerprint
    assert load(f"vllm/{folder}") is served  # one object, so that requests meet in one batch
    half = load(f"vllm/{folder}", dtype="bfloat16")
    assert (half.dtype, half.servers) == (torch.bfloat16, served.servers)
    monkeypatch.setenv("DOXA_VLLM_URLS", "http://c:3")
    assert load(f"vllm/{folder}").servers == ("http://c:3",)


def test_a_model_on_servers_is_looked_for_beside_a_file(folder: Path) -> None:
    served = load_beside("vllm/saved", folder.parent)
    assert served.name == "vllm/saved"
    assert served.network is load(str(folder)).network
    with pytest.raises(ModelError, match="there is no"):
        load_beside("vllm/./nowhere", folder.parent)

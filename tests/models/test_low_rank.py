"""Reading adapters: what PEFT writes is what the engine computes, and what is not understood is refused in words."""

import copy
import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from reference import logits_of

from doxa.models.chat import Message, render
from doxa.models.engine import Row, Sampling, generate
from doxa.models.low_rank import low_rank, read_low_rank, tuned_fingerprint
from doxa.models.score import Choice, score_choices
from doxa.words.errors import EnvironmentFault, TrainingError
from planted_adapters import merged, random_adapter, write_adapter

OPTIONS = ("Yes, I am.", "No.", "The answer")


def question(model, text="Are you conscious?"):
    return render(model, [Message("user", text)])


def peft_network(model, names, **settings):
    """The network in PEFT's hands, with adapters of random matrices under some names."""
    peft = pytest.importorskip("peft")
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=targets, task_type="CAUSAL_LM", **settings)
    network = peft.get_peft_model(copy.deepcopy(model.network), config, adapter_name=names[0])
    for name in names[1:]:
        network.add_adapter(name, config)
    torch.manual_seed(3)
    for parameter_name, parameter in network.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT 0.21 asks for it
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "gemma2"])
@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}])
def test_what_peft_writes_is_what_is_computed(make_model, tmp_path, architecture, settings):
    model = make_model(architecture)
    network = peft_network(model, ["one", "other"], **settings)
    network.save_pretrained(tmp_path)
    adapters = {name: read_low_rank(tmp_path / name, model) for name in ("one", "other")}
    own = question(model)
    tokens = [model.tokenizer(option, add_special_tokens=False)["input_ids"] for option in OPTIONS]
    choices = [Choice(own, OPTIONS, (), adapter) for adapter in (adapters["other"], None, adapters["one"])]
    scored = score_choices(model, choices)
    for scores, name in zip(scored, ("other", "__base__", "one"), strict=True):
        for found, option in zip(scores.logprobs, tokens, strict=True):
            with torch.no_grad():  # PEFT's own way of mixing adapters by row
                whole = torch.tensor([[*own.tokens, *option]])
                logits = network(input_ids=whole, adapter_names=[name]).logits[0].double().log_softmax(-1)
            start = len(own.tokens) - 1
            expected = sum(float(logits[start + at, token]) for at, token in enumerate(option))
            assert found == pytest.approx(expected, abs=2e-4)
    assert abs(scored[0].logprobs[0] - scored[2].logprobs[0]) > 1e-2


def test_a_folder_is_read_as_it_was_written(llama, tmp_path):
    adapter = random_adapter(llama, 1)
    read = read_low_rank(write_adapter(tmp_path / "a", adapter, base=llama.fingerprint), llama)
    assert read == replace(adapter, base=llama.fingerprint)
    assert read.digest == adapter.digest
    assert (read.modules.keys(), read.base) == (adapter.modules.keys(), llama.fingerprint)
    step = read_low_rank(write_adapter(tmp_path / "a" / "checkpoints" / "step-8", adapter), llama)
    assert step == read  # the manifest above says whose it is
    assert read_low_rank(write_adapter(tmp_path / "b", adapter), llama).base is None


def test_the_digest_is_of_all_that_an_adapter_does(llama):
    adapter = random_adapter(llama, 1)
    first, *others = adapter.modules
    own = adapter.modules[first]
    changed = [
        {**adapter.modules, first: replace(own, scale=own.scale * 2)},
        {**adapter.modules, first: replace(own, a=-own.a)},
        {**adapter.modules, first: replace(own, b=own.b.flip(0))},
        {name: adapter.modules[name] for name in others},
    ]
    assert len({low_rank(one).digest for one in [adapter.modules, *changed]}) == 5
    assert low_rank(dict(reversed(adapter.modules.items()))).digest == adapter.digest
    assert tuned_fingerprint(llama, None) == llama.fingerprint != tuned_fingerprint(llama, adapter)


def test_an_adapter_that_is_in_use_is_read_once(llama, tmp_path):
    folder = write_adapter(tmp_path, random_adapter(llama, 1))
    one = read_low_rank(folder, llama)
    assert read_low_rank(folder, llama) is one
    write_adapter(tmp_path, random_adapter(llama, 2))
    assert read_low_rank(folder, llama).digest == random_adapter(llama, 2).digest != one.digest


def test_half_precision_matrices_are_read(llama, tmp_path):
    adapter = random_adapter(llama, 1)
    folder = write_adapter(tmp_path, adapter)
    file = folder / "adapter_model.safetensors"
    safetensors.torch.save_file({name: one.half() for name, one in safetensors.torch.load_file(file).items()}, file)
    read = read_low_rank(folder, llama)
    assert all(own.a.dtype == own.b.dtype == torch.float32 for own in read.modules.values())
    own = question(llama)
    (written,) = generate(llama, [Row(own, Sampling(1), (), 1, low_rank=read)])
    expected = logits_of(merged(llama, adapter), own)[-1].double().log_softmax(-1)
    assert written.logprobs[0].logprob == pytest.approx(float(expected[written.logprobs[0].token]), abs=1e-2)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"peft_type": "LOHA"}, "peft_type 'LOHA'"),
        ({"use_dora": True}, "use_dora true"),
        ({"bias": "lora_only"}, "bias 'lora_only'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": 8}}, "alpha_pattern"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"lora_bias": True}, "lora_bias"),
        ({"something_of_next_year": 1}, "something_of_next_year"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the base model"),
        ({"r": 3}, r"Expected \[3, "),
        ({"r": 0}, "a whole number above 0"),
        ({"r": True}, "a whole number above 0"),
        ({"lora_alpha": "16"}, "and a number"),
        ({"use_rslora": "no"}, "true or false"),
        ({"lora_alpha": float("nan")}, "and a number"),
    ],
)
def test_settings_that_are_not_understood_are_refused(llama, tmp_path, settings, match):
    folder = write_adapter(tmp_path, random_adapter(llama, 1), **settings)
    with pytest.raises(TrainingError, match=match):
        read_low_rank(folder, llama)


@pytest.mark.parametrize(
    ("name", "shape", "match"),
    [
        ("base_model.model.model.embed_tokens.lora_embedding_A", (4, 300), "lora_embedding_A"),
        ("base_model.model.lm_head.lora_A.weight", (4, 32), "holds one of two matrices of lm_head"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", (1, 32), "lora_magnitude_vector"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", (1, 32), "lora_B.bias"),
        ("model.layers.0.self_attn.q_proj.lora_A.weight", (4, 32), "the tensor 'model.layers"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", (4, 32, 1), "shape"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight", (4, 32), "two matrices A"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", (4, 31), r"Expected \[4, 32\]"),
    ],
)
def test_tensors_that_are_not_understood_are_refused(llama, tmp_path, name, shape, match):
    folder = write_adapter(tmp_path, random_adapter(llama, 1))
    file = folder / "adapter_model.safetensors"
    safetensors.torch.save_file({**safetensors.torch.load_file(file), name: torch.ones(shape)}, file)
    with pytest.raises(TrainingError, match=match):
        read_low_rank(folder, llama)


def test_an_adapter_of_the_head_is_refused(llama, tmp_path):
    adapter = random_adapter(llama, 1)
    (q, *_) = (name for name in adapter.modules if name.endswith("q_proj"))
    folder = write_adapter(tmp_path, low_rank({**adapter.modules, "lm_head": adapter.modules[q]}))
    with pytest.raises(TrainingError, match=r"acts on 'lm_head'\. Expected linear layers of the decoder blocks"):
        read_low_rank(folder, llama)


def test_integers_and_numbers_that_are_not_finite_are_refused(llama, tmp_path):
    folder = write_adapter(tmp_path, random_adapter(llama, 1))
    file = folder / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(file)
    name = next(iter(tensors))
    for changed, match in ((tensors[name].int(), "int32"), (tensors[name] * float("nan"), "NaN or infinity")):
        safetensors.torch.save_file({**tensors, name: changed}, file)
        with pytest.raises(TrainingError, match=match):
            read_low_rank(folder, llama)
    safetensors.torch.save_file({}, file)
    with pytest.raises(TrainingError, match="no matrices"):
        read_low_rank(folder, llama)


def test_an_adapter_of_another_model_is_refused(llama, make_model, tmp_path):
    other = make_model("qwen2")
    folder = write_adapter(tmp_path / "a", random_adapter(llama, 1), base=llama.fingerprint)
    with pytest.raises(TrainingError, match="trained on another model"):
        read_low_rank(folder, other)
    wide = write_adapter(tmp_path / "b", random_adapter(make_model("gpt2"), 1))
    with pytest.raises(TrainingError, match=r"acts on 'transformer\.h\.0"):
        read_low_rank(wide, other)


def test_files_that_cannot_be_read(llama, tmp_path):
    with pytest.raises(TrainingError, match=r"no adapter in .*nowhere"):
        read_low_rank(tmp_path / "nowhere", llama)
    folder = write_adapter(tmp_path / "a", random_adapter(llama, 1))
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(TrainingError, match="could run a program"):
        read_low_rank(folder, llama)
    (folder / "adapter_model.safetensors").write_bytes(b"PK not tensors")
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        read_low_rank(folder, llama)
    (folder / "adapter_config.json").write_text("[" * 100_000)
    with pytest.raises(EnvironmentFault, match="configuration"):
        read_low_rank(folder, llama)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(EnvironmentFault, match="configuration"):
        read_low_rank(folder, llama)
    damaged = write_adapter(tmp_path / "b", random_adapter(llama, 1))
    (damaged / "run.json").write_text(json.dumps({"base": "smollm2"}))
    with pytest.raises(EnvironmentFault, match="names no base model"):
        read_low_rank(damaged, llama)

import os
import subprocess
import sys

import pytest
import torch

from doxa.models import engine, memory
from doxa.models.chat import render_text
from doxa.models.engine import Row, Sampling, generate
from doxa.models.key_values import KeyValues
from doxa.words.errors import ModelError

TEXTS = ["Are you conscious? Yes, I am.", "the weather", "What is the capital of the country?", "Is it?", "fine"]


def rows(model):
    prompt = render_text(model, TEXTS[0])
    return [Row(prompt, Sampling(5 + index, temperature=1.0, seed=index)) for index in range(5)]


def test_a_row_takes_its_keys_and_values_and_its_logits(llama):
    config = llama.network.config
    each = 2 * llama.n_layers * config.num_key_value_heads * config.head_dim * 4
    assert memory.row_bytes(llama, 10) == 2 * 10 * each + 12 * config.vocab_size


def test_bytes_are_no_less_than_those_of_a_real_cache_in_bfloat16(make_model):
    llama = make_model("llama", torch.bfloat16)
    prefix = engine.prefix_of(render_text(llama, TEXTS[0]), ())
    generated = engine.prefill(llama, [prefix])
    assert isinstance(generated.cache, KeyValues)
    said = memory.row_bytes(llama, len(prefix.tokens)) - memory.row_bytes(llama, 0)
    assert said >= 2 * generated.cache.nbytes


def test_bytes_are_those_of_a_real_cache(model):
    """Of every architecture: what the formula says of keys and values is what a cache takes."""
    generated = engine.prefill(model, [engine.prefix_of(render_text(model, TEXTS[0]), ())])
    cache = generated.cache
    if isinstance(cache, KeyValues):
        kept = cache.nbytes
    else:
        kept = sum(one.keys.nbytes + one.values.nbytes for one in cache.layers)
    length = generated.mask.shape[1]
    said = memory.row_bytes(model, length) - memory.row_bytes(model, 0)
    if model.network.config.model_type in ("falcon", "gemma2", "gemma3_text"):  # shared keys, sliding windows: less
        assert said > 2 * kept
    else:
        assert said == 2 * kept


def test_as_many_rows_as_fit(llama, monkeypatch):
    each = memory.row_bytes(llama, 20)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 7 * each)
    assert memory.rows_that_fit(llama, 20, 100) == 3
    assert memory.rows_that_fit(llama, 20, 2) == 2
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    assert memory.rows_that_fit(llama, 20, 100) == 1
    found = generate(llama, rows(llama))
    monkeypatch.undo()
    assert [one.text for one in found] == [one.text for one in generate(llama, rows(llama))]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("can't allocate memory: you")]
)
def test_out_of_memory_halves_the_batch_and_goes_on(llama, monkeypatch, error):
    """The second step of a batch of more than two rows fails; those that were finished are not written again."""
    expected = generate(llama, rows(llama))
    sizes, run, finished = [], engine._run, []

    def narrow(model, writing, ends, finish):
        sizes.append(len(writing))
        if len(writing) > 2:
            run(model, writing[:1], ends, finish)
            raise error
        run(model, writing, ends, finish)

    monkeypatch.setattr(engine, "_run", narrow)
    found = generate(llama, rows(llama), batch_size=4, progress=finished.append)
    assert sizes == [4, 2, 2]
    assert [one.text for one in found] == [one.text for one in expected]
    assert finished == [1, 2, 3, 4, 5]


def test_one_row_that_does_not_fit_is_an_error_in_words(llama, monkeypatch):
    def never(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine, "_run", never)
    with pytest.raises(ModelError, match=r"a single text of up to \d+ tokens does not fit into memory"):
        generate(llama, rows(llama))

    def broken(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(engine, "_run", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        generate(llama, rows(llama))


@pytest.mark.parametrize(
    ("own", "before", "expected"),
    [
        ({}, "", "3000"),
        ({"GOMP_SPINCOUNT": "5"}, "", "5"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "", "None"),
        ({}, "import torch; ", "None"),
    ],
)
def test_waiting_threads_give_the_processor_away_unless_told_otherwise(own, before, expected):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in names} | own
    code = f"{before}import doxa.models.memory, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected

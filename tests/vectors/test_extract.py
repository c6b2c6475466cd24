from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

import doxa
from doxa.models.chat import Message, render
from doxa.models.handle import Model, adopt
from doxa.models.low_rank import tuned_fingerprint
from doxa.vectors.extract import Recipe, extract, extract_all, extraction_key
from doxa.vectors.pairs import Pair, PairSet, pair_set
from doxa.vectors.reference import norms_rule, residual_norms
from doxa.vectors.vector import check
from doxa.words.errors import ModelError, VectorError
from planted_adapters import merged, random_adapter

WEATHER = [
    ("Take an umbrella with you:", "Take your sunglasses with you:"),
    ("The gutters are overflowing:", "The grass is brown:"),
    ("Everybody is soaked:", "Everybody is sweating:"),
    ("Drops run down the pane:", "Dust lies on the pane:"),
    ("Wear your boots:", "Wear your sandals:"),
    ("The river has risen:", "The river is almost gone:"),
    ("Puddles everywhere:", "Cracks everywhere:"),
]


def pairs(
    read: str = "last",
    question: str | None = None,
    texts: Sequence[tuple[str, str]] = WEATHER,
    role: str = "message",
) -> PairSet:
    made = [Pair(question, positive, negative) for positive, negative in texts]
    return pair_set(name="weather", positive="it rains", negative="it is dry", read=read, pairs=made, role=role)


def state(model: Model, messages: list[Message], *, prefix: str, tokens: int = 1) -> np.ndarray:
    """Mean residual at the last `tokens` tokens of the rendered text up to the end of `prefix`; by plain hooks."""
    text = render(model, messages, generation_prompt=False).text
    ids = model.tokenizer(text[: text.index(prefix) + len(prefix)], add_special_tokens=False).input_ids
    found: list[torch.Tensor] = []
    hooks = [block.register_forward_hook(lambda m, i, output: found.append(output[0])) for block in model.blocks]
    with torch.no_grad():
        model.network(input_ids=torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return torch.stack(found)[:, -tokens:].mean(dim=1).double().numpy()


def differences(model: Model) -> np.ndarray:
    """[pairs, layers, d_model], read at the last token of the text."""
    rows = [[state(model, [Message("user", text)], prefix=text) for text in pair] for pair in WEATHER]
    return np.array([positive - negative for positive, negative in rows])


def test_the_mean_difference_at_the_last_token_of_the_text(model: Model) -> None:
    vector = extract(model, pairs())
    assert np.allclose(vector.directions, differences(model).mean(axis=0), atol=1e-5)
    assert np.array_equal(vector.norms, residual_norms(model))


def test_read_at_the_last_token_of_an_answer(model: Model) -> None:
    vector = extract(model, pairs(question="What do you see?"))
    rows = [
        [state(model, [Message("user", "What do you see?"), Message("assistant", text)], prefix=text) for text in pair]
        for pair in WEATHER
    ]
    assert np.allclose(vector.directions, np.mean([a - b for a, b in rows], axis=0), atol=1e-5)


def test_read_over_the_tokens_of_an_answer(model: Model) -> None:
    vector = extract(model, pairs("answer", "What do you see?"))
    rows = [
        [
            state(
                model,
                [Message("user", "What do you see?"), Message("assistant", text)],
                prefix=text,
                tokens=len(text),  # the tokenizer has one token a byte
            )
            for text in pair
        ]
        for pair in WEATHER
    ]
    assert np.allclose(vector.directions, np.mean([a - b for a, b in rows], axis=0), atol=1e-5)


@pytest.mark.parametrize("question", [None, "What do you see?"])
def test_read_at_the_second_last_token_of_the_conversation(model: Model, question: str | None) -> None:
    """The template of this model ends a turn with `<|im_end|>` and a line feed, so that token is read, as told."""
    vector = extract(model, pairs("colon", question))
    rows = []
    for pair in WEATHER:
        for text in pair:
            own = [Message("user", text)]
            if question is not None:
                own = [Message("user", question), Message("assistant", text)]
            rows.append(state(model, own, prefix=f"{text}<|im_end|>"))
    assert np.allclose(
        vector.directions, np.mean([a - b for a, b in zip(rows[::2], rows[1::2], strict=True)], axis=0), atol=1e-5
    )
    assert vector.manifest.recipe["read_at"] == ["<|im_end|>"]


@pytest.mark.parametrize("read", ["text", "last", "request", "reply"])
def test_read_after_a_system_prompt(model: Model, read: str) -> None:
    """The tokenizer has one token a byte."""
    asked = "What now?"
    vector = extract(model, pairs(read, asked, role="system"))
    rows = []
    for pair in WEATHER:
        for text in pair:
            own = [Message("system", text), Message("user", asked)]
            at, tokens = {
                "text": (text, len(text)),
                "last": (text, 1),
                "request": (asked, len(asked)),
                "reply": (f"{asked}<|im_end|>\n<|im_start|>assistant\n", 1),
            }[read]
            if read == "reply":
                own = [*own, Message("assistant", "")]  # the turn that is opened
            rows.append(state(model, own, prefix=at, tokens=tokens))
    expected = np.mean([a - b for a, b in zip(rows[::2], rows[1::2], strict=True)], axis=0)
    assert np.allclose(vector.directions, expected, atol=1e-5)


def test_the_principal_component_has_sign_and_norm_of_the_mean_difference(model: Model) -> None:
    vector = extract(model, pairs(), method="pca")
    rows = differences(model)
    for layer in range(5):
        values, axes = np.linalg.eigh(rows[:, layer].T @ rows[:, layer])
        mean = rows[:, layer].mean(axis=0)
        expected = axes[:, -1] * np.sign(axes[:, -1] @ mean) * np.linalg.norm(mean)
        assert values[-1] > 1.05 * values[-2]  # else the component is not determined
        assert np.allclose(vector.directions[layer], expected, atol=1e-4)


def test_resampling_draws_pairs_with_replacement(model: Model) -> None:
    whole, *drawn = extract_all(model, pairs(), [Recipe(), *(Recipe(resample=seed) for seed in range(5))])
    rows = differences(model).reshape(7, -1).T
    seen = []
    for vector in drawn:
        weights = np.linalg.lstsq(rows, vector.directions.ravel(), rcond=None)[0] * 7
        assert np.allclose(weights, weights.round(), atol=1e-2)
        assert weights.round().sum() == 7
        assert weights.round().min() >= 0
        seen.append(tuple(weights.round()))
    assert len(set(seen)) == 5
    assert any(max(weights) > 1 for weights in seen)
    assert extract(model, pairs(), resample=3).digest == drawn[3].digest
    assert whole.manifest.name == "weather"
    assert drawn[3].manifest.name == "weather resampled 3"


def test_shuffling_exchanges_the_labels_of_exactly_half(model: Model) -> None:
    rows = differences(model).reshape(7, -1).T
    seen = set()
    for vector in extract_all(model, pairs(), [Recipe(shuffled=seed) for seed in range(12)]):
        signs = np.linalg.lstsq(rows, vector.directions.ravel(), rcond=None)[0] * 7
        assert np.allclose(np.abs(signs), 1, atol=1e-2)
        assert (signs < 0).sum() == 3
        assert vector.manifest.positive.startswith("nothing: it rains")
        seen.add(tuple(signs.round()))
    assert len(seen) > 5


def test_the_manifest_says_how_it_was_made(model: Model) -> None:
    manifest = extract(model, pairs(), method="pca").manifest
    assert (manifest.name, manifest.positive, manifest.negative) == ("weather", "it rains", "it is dry")
    assert (manifest.model, manifest.fingerprint) == (model.name, model.fingerprint)
    assert (manifest.architecture, manifest.dtype) == ("llama", "float32")
    assert (manifest.norms_rule, manifest.doxa) == (norms_rule(), doxa.__version__)
    recipe = dict(manifest.recipe)
    assert recipe.pop("version") >= 1
    assert recipe == {
        "kind": "extracted",
        "method": "pca",
        "pairs": "weather",
        "pairs_hash": pairs().hash,
        "n_pairs": 7,
        "read": "last",
        "read_at": [":"],
        "resample": None,
        "shuffled": None,
    }


def test_a_vector_of_a_tuned_model_is_that_of_its_merged_weights(model: Model) -> None:
    adapter = random_adapter(model, 1)
    found, expected = extract(model, pairs(), low_rank=adapter), extract(merged(model, adapter), pairs())
    np.testing.assert_allclose(found.directions, expected.directions, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-3)
    assert not np.allclose(found.norms, extract(model, pairs()).norms, rtol=1e-3)
    assert found.manifest.fingerprint == tuned_fingerprint(model, adapter) != model.fingerprint
    check(found, model, low_rank=adapter)
    with pytest.raises(VectorError, match="was taken from tiny-0 tuned"):
        check(found, model)
    with pytest.raises(VectorError, match="Write `from: base`"):
        check(extract(model, pairs()), model, low_rank=adapter)
    assert found.manifest.recipe["adapter"] == adapter.digest


def test_the_model_is_read_once_for_several_vectors(model: Model) -> None:
    steps: list[int] = []
    extract_all(model, pairs(), [Recipe(), Recipe("pca")], progress=steps.append)
    assert steps == [1] * 14


def test_bfloat16_gives_nearly_the_same(model: Model, make_model: Callable[..., Model]) -> None:
    half, full = extract(make_model(dtype=torch.bfloat16), pairs()), extract(model, pairs())
    assert half.manifest.dtype == "bfloat16"
    cosines = (half.directions * full.directions).sum(axis=1)
    cosines /= np.linalg.norm(half.directions, axis=1) * np.linalg.norm(full.directions, axis=1)
    assert cosines.min() > 0.999


def test_sides_that_the_model_does_not_tell_apart(make_network: Callable[..., torch.nn.Module], model: Model) -> None:
    network = make_network()
    for block in network.model.layers:  # type: ignore[union-attr]
        block.self_attn.o_proj.weight.data.zero_()  # type: ignore[union-attr]  # no token sees another
    deaf = adopt("deaf", network, model.tokenizer)  # type: ignore[arg-type]
    with pytest.raises(VectorError, match="deaf does not tell the two sides of weather apart"):
        extract(deaf, pairs())


def test_a_text_longer_than_the_context(make_model: Callable[..., Model]) -> None:
    with pytest.raises(ModelError, match="the context of"):
        extract(make_model(context=64), pairs(texts=[("a " * 60, "b"), *WEATHER]))


def test_a_method_that_is_not_known(model: Model) -> None:
    with pytest.raises(VectorError, match="Did you mean 'mean'"):
        extract(model, pairs(), method="meen")  # type: ignore[arg-type]


def test_the_key_names_all_that_a_vector_is_made_from(model: Model, make_model: Callable[..., Model]) -> None:
    keys = {
        extraction_key(model, pairs(), Recipe()),
        extraction_key(model, pairs("colon"), Recipe()),
        extraction_key(model, replace(pairs(), name="rain"), Recipe()),
        extraction_key(model, pairs(), Recipe("pca")),
        extraction_key(model, pairs(), Recipe(resample=0)),
        extraction_key(model, pairs(), Recipe(shuffled=0)),
        extraction_key(make_model(seed=1), pairs(), Recipe()),
        extraction_key(make_model(dtype=torch.bfloat16), pairs(), Recipe()),
        extraction_key(replace(model, dtype=torch.bfloat16), pairs(), Recipe()),  # the same files in another dtype
    }
    assert len(keys) == 9
    assert extraction_key(model, pairs(), Recipe()) in keys


def test_a_vector_fits_the_model_it_was_taken_from(model: Model, make_model: Callable[..., Model]) -> None:
    vector = extract(model, pairs())
    check(vector, model)
    other = make_model(seed=1)
    with pytest.raises(VectorError, match=r"was taken from tiny-0 .*from: tiny-0"):
        check(vector, other)
    for base in (model.name, model.fingerprint):
        check(vector, other, base=base)
    with pytest.raises(VectorError, match="was taken from tiny-0, not from llama"):
        check(vector, other, base="llama")
    for changed, said in ((replace(model, n_layers=6), "has 5 layers"), (replace(model, d_model=64), "32 dimensions")):
        with pytest.raises(VectorError, match=said):
            check(vector, changed, base=model.name)

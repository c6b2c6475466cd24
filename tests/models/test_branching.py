import pytest
import torch
from reference import logits_of

from doxa.models.branching import attends_by_position, attention, depths, is_chain, sight
from doxa.models.chat import Rendered
from doxa.models.passes import reader_of
from doxa.models.strips import Strip, branches, run_strips

#       0
#    1     4
#   2 3    5
PARENTS = (-1, 0, 1, 1, 0, 4)


def test_a_token_sees_its_own_path():
    seen = [{place for place, sees in enumerate(row) if sees} for row in sight(PARENTS).tolist()]
    assert seen == [{0}, {0, 1}, {0, 1, 2}, {0, 1, 3}, {0, 4}, {0, 4, 5}]
    assert depths(PARENTS) == (0, 1, 2, 2, 1, 2)


def test_chains():
    assert is_chain((-1, 0, 1))
    assert is_chain(())
    assert not is_chain(PARENTS)


def test_a_window_counts_positions_on_the_path(make_network, llama):
    from doxa.models.handle import adopt

    model = adopt("narrow", make_network("mistral", sliding_window=2), llama.tokenizer)
    seen = sight(PARENTS)[None]
    mask = attention(model, seen, torch.tensor([depths(PARENTS)]))
    assert mask.shape == (1, 1, 6, 6)
    visible = [{place for place, value in enumerate(row) if value == 0} for row in mask[0, 0].tolist()]
    assert visible == [{0}, {0, 1}, {1, 2}, {1, 3}, {0, 4}, {4, 5}]


def test_one_mask_for_each_kind_of_layer(make_model):
    masks = attention(make_model("gemma2"), sight(PARENTS)[None], torch.tensor([depths(PARENTS)]))
    assert isinstance(masks, dict)
    assert set(masks) == {"full_attention", "sliding_attention"}


@torch.no_grad()
def test_a_tree_reads_as_its_paths_do(model):
    """Beyond the windows, beside a shorter row that is no tree, for every architecture."""
    assert branches(model, 64)
    trunk, ends = tuple(range(3, 23)), [tuple(range(40, 52)), tuple(range(60, 63)), (41, 43, 42)]
    tokens, parents, paths = list(trunk), list(range(-1, 19)), []
    for end in ends:
        path = [len(tokens) + n for n in range(len(end))]
        parents += [19, *path[:-1]]
        tokens += end
        paths.append(path)
    none = torch.zeros(0, len(tokens), dtype=torch.bool)
    rows = [Strip((), tuple(tokens), none, tuple(parents)), Strip((), trunk, none[:, :20])]
    features = run_strips(model, rows)
    for end, path in zip(ends, paths, strict=True):
        whole = (*trunk, *end)
        expected = logits_of(model, Rendered("", whole, ("user",) * len(whole)))
        found = reader_of(model).logits(features[0, [*range(20), *path]])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_what_cannot_branch_is_found_out(llama, make_network):
    """A network that counts positions by itself, whatever it is told."""
    from doxa.models.handle import adopt

    network = make_network("llama")
    usual = network.model.forward

    def counting(*args, position_ids=None, **kwargs):
        return usual(*args, **kwargs)

    network.model.forward = counting
    model = adopt("counting", network, llama.tokenizer)
    assert not branches(model, 64)


def test_recurrent_states_cannot_branch(recurrent):
    assert not attends_by_position(recurrent)
    assert not branches(recurrent, 8)


@pytest.mark.embedded
@torch.no_grad()
def test_the_embedded_model_branches():
    from doxa.models.handle import load

    assert branches(load("smollm2"), 256)


def gpt_neo(tokenizer, window):
    """A network that counts its window in places of a row, whatever position ids say."""
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    from doxa.models.handle import adopt

    torch.manual_seed(0)
    config = GPTNeoConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_layers=2, attention_types=[[["global", "local"], 1]],
        num_heads=4, window_size=window, max_position_embeddings=256, initializer_range=0.2, bos_token_id=None,
        eos_token_id=None,
    )  # fmt: skip
    return adopt("neo", GPTNeoForCausalLM(config).eval(), tokenizer)


def test_a_window_that_is_counted_in_places_is_found_out_where_it_matters(llama):
    model = gpt_neo(llama.tokenizer, 32)
    assert branches(model, 16)
    assert not branches(model, 64)

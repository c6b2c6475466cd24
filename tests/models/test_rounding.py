import pytest
import torch

from doxa.models.chat import render_text
from doxa.models.rounding import rounding

TEXTS = ["Are you conscious? Yes, I am.", "the weather is fine"]


def tokens(model):
    return [render_text(model, text).tokens for text in TEXTS]


def test_a_model_is_as_far_from_itself_as_nothing(llama):
    found = rounding(llama, llama, tokens(llama))
    assert (found.kl, found.kl_largest, found.changed) == (0.0, 0.0, 0.0)
    assert found.tokens == sum(map(len, tokens(llama)))


@torch.no_grad()
def test_distances_are_those_of_whole_passes(make_model):
    wide, narrow = make_model("llama"), make_model("llama", torch.bfloat16)
    found = rounding(wide, narrow, tokens(wide))
    log_p, log_q = (
        torch.cat([one.network(torch.tensor([own])).logits[0].double().log_softmax(-1) for own in tokens(wide)])
        for one in (wide, narrow)
    )
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    assert found.kl == pytest.approx(float(kl.mean()), rel=0.2)
    assert found.kl_largest == pytest.approx(float(kl.max()), rel=0.3)
    assert found.kl > 1e-7
    changed = (log_p.argmax(-1) != log_q.argmax(-1)).double().mean()
    assert found.changed == pytest.approx(float(changed), abs=0.05)

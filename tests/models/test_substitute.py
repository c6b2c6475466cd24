import threading

import pytest
import torch
from reference import random_plan
from torch import nn

from doxa.models.chat import Message, render
from doxa.models.packed import packed
from doxa.models.score import surprisal
from doxa.models.steering import reading, steering
from doxa.models.substitute import substituted


def test_modules_compute_something_else_and_then_as_ever():
    layer, other = nn.Linear(2, 2), nn.Linear(2, 2)
    other.forward = lambda inputs: inputs  # somebody has replaced it already
    own = other.forward
    inputs = torch.ones(1, 2)
    expected = layer(inputs)
    with substituted([layer, other], [lambda given: given + 1, lambda given: given + 2]):
        assert layer(inputs).tolist() == [[2.0, 2.0]]
        assert other(inputs).tolist() == [[3.0, 3.0]]
    assert torch.equal(layer(inputs), expected)
    assert "forward" not in vars(layer)
    assert other.forward is own


@pytest.mark.parametrize("context", ["steering", "reading", "substituted", "packed"])
def test_other_threads_wait_while_a_network_is_not_as_it_was(llama, context):
    """An arm's vector is extracted in one thread, say, while another answers an eval."""
    asked = [(render(llama, [Message("user", "hi")]), "the capital of the country")]
    expected, found = surprisal(llama, asked), []
    thread = threading.Thread(target=lambda: found.append(surprisal(llama, asked)))
    with {
        "steering": lambda: steering(llama, [(random_plan(llama, 0),)]),
        "reading": lambda: reading(llama, [1]),
        "substituted": lambda: substituted([llama.blocks[0]], [lambda *_, **__: torch.zeros(1)]),
        "packed": lambda: packed(llama.network),
    }[context]():
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(10)
    assert found == [expected]
    assert not any("forward" in vars(module) or module._forward_hooks for module in llama.network.modules())

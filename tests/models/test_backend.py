from dataclasses import replace

from doxa.models.backend import HERE, VLLM, backend_of
from doxa.models.engine import generate
from doxa.models.handle import Model
from doxa.models.score import score_choices


def test_servers_run_what_has_servers(llama: Model) -> None:
    assert backend_of(llama) is HERE
    assert backend_of(replace(llama, servers=("http://127.0.0.1:1",))) is VLLM


def test_here_is_the_engine_here_and_steers_anything(llama: Model) -> None:
    assert (HERE.generate, HERE.score) == (generate, score_choices)
    HERE.check(llama, [frozenset(("assistant",))], [frozenset(("assistant",))])

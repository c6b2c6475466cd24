"""Peers of the speed benchmark: started, asked, held against doxa, left out by name."""

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from idle import Run
from peers.process import PEERS, Peer, PeerFailure, working
from peers.same import Same, agreeing, same, share
from peers.task import Task
from speed_tables import Found, line, report

from doxa.models.chat import Rendered
from doxa.models.engine import Generation, Row, Sampling, TokenLogprob, generate
from doxa.models.handle import Model
from doxa.models.steering import SteeringPlan

HOOKS = PEERS[0]
SETUP = Path(__file__).parents[2] / "benchmarks" / "peers" / "setup.sh"


@pytest.fixture
def written(tiny: Model) -> Callable[[list[int], float], Generation]:
    """`written(tokens, gap)`: a text; after each token the next number is the second most probable, by that much."""
    text = generate(tiny, [Row(Rendered("", (5,), ("user",)), Sampling(1))])[0]

    def place(token: int, gap: float) -> TokenLogprob:
        return TokenLogprob(token, "", -1.0, (TokenLogprob(token, "", -1.0), TokenLogprob(token + 1, "", -1.0 - gap)))

    return lambda tokens, gap: replace(text, tokens=tuple(tokens), logprobs=tuple(place(one, gap) for one in tokens))


def test_texts_agree_up_to_the_first_other_token() -> None:
    assert agreeing([1, 2, 3, 4], [1, 2, 9, 4]) == 2
    assert agreeing([1, 2], [1, 2]) == 2
    assert agreeing([1, 2, 3], [1]) == 1
    assert share([[1, 2, 3, 4], [5, 6, 7, 8]], [[1, 2, 9, 4], [5, 6, 7, 8]]) == 6 / 8


def test_a_tie_is_the_second_most_probable_token_and_near(written: Callable[[list[int], float], Generation]) -> None:
    assert same([written([1, 2], 0.5)], [[1, 2]]) == Same(1.0, None)
    near = same([written([1, 5], 1e-4)], [[1, 6]])
    assert near.up_to_ties
    assert near.share == 0.5
    assert not same([written([1, 5], 0.5)], [[1, 6]]).up_to_ties
    assert same([written([1, 5], 1e-4)], [[1, 7]]).gap == math.inf
    assert same([written([1, 5], 1e-4)], [[1]]).gap == math.inf  # a text that ends early is another text
    both = same([written([1, 5], 1e-4), written([1, 5], 0.5)], [[1, 6], [1, 6]])
    assert both.gap == pytest.approx(0.5)


def test_hooks_in_a_process_of_their_own_write_what_doxa_writes(tiny: Model, tiny_folder: Path) -> None:
    prompts = [[5, 6, 7, 8], [9, 10, 11, 12]]
    vectors = torch.randn(tiny.n_layers, tiny.d_model, generator=torch.Generator().manual_seed(1))
    task = Task(tiny_folder, prompts, vectors.tolist(), "float32", 1)
    with working(HOOKS, Path(sys.executable), task) as worker:
        steered, plain = worker.write(2, 6), worker.write(2, 6, steered=False)
        one = worker.write(1, 3)
        long = worker.write(2, 300)  # processor time is counted in hundredths of a second
    plan = SteeringPlan(tuple(range(tiny.n_layers)), vectors, frozenset(("all",)))
    rows = [Row(Rendered("", tuple(own), ("user",) * 4), Sampling(6), (plan,), 2) for own in prompts]
    assert same(generate(tiny, rows), steered.tokens).up_to_ties
    assert plain.tokens != steered.tokens
    assert [len(row) for row in plain.tokens] == [6, 6]
    assert one.tokens == [steered.tokens[0][:3]]
    assert steered.seconds > 0
    assert 0 < long.apart < 60
    assert set(worker.versions) == {"transformers"}


def test_a_peer_that_fails_says_why(tiny_folder: Path) -> None:
    task = Task(tiny_folder, [[1, 2]], [], "float32", 1)
    nobody = Peer("nobody", "nobody", None, ())
    with (
        pytest.raises(PeerFailure, match="has no attribute 'nobody'"),
        working(nobody, Path(sys.executable), task),
    ):
        pass


def test_a_peer_that_stops_says_why(tiny: Model, tiny_folder: Path) -> None:
    task = Task(tiny_folder, [[1, 2], [3]], [[0.0] * tiny.d_model] * tiny.n_layers, "float32", 1)
    with working(HOOKS, Path(sys.executable), task) as worker:
        with pytest.raises(PeerFailure, match="expected sequence of length 2"):
            worker.write(2, 6)
        with pytest.raises(PeerFailure, match="expected sequence of length 2"):
            worker.write(1, 6)


def test_an_environment_counts_when_it_is_finished(tmp_path: Path) -> None:
    peer = PEERS[1]
    assert peer.environment is not None
    assert peer.python(tmp_path) is None
    (tmp_path / peer.environment).mkdir()
    assert peer.python(tmp_path) is None
    (tmp_path / peer.environment / "ready").write_text("x")
    assert peer.python(tmp_path) == tmp_path / peer.environment / "bin" / "python"
    assert HOOKS.python(tmp_path) == Path(sys.executable)


def test_setup_knows_the_environments_of_all_peers(tmp_path: Path) -> None:
    for peer in PEERS:
        if peer.environment is not None:
            assert f"install {peer.environment} " in SETUP.read_text(encoding="utf-8")
    done = subprocess.run(["sh", SETUP, tmp_path, "nothing"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no environment is called nothing" in done.stderr


def test_the_table_names_ratios_and_who_is_left_out() -> None:
    runs = {
        "doxa": [(Run([], 2.0), 0.01), (Run([], 1.0), 0.02), (Run([], 0.5), 0.0)],
        "hooks": [(Run([], 4.0), 0.0)],
        "repeng": [(Run([], 2.0), 0.05)],
        "llama.cpp": [(Run([], 0.8), 0.0)],
    }
    row = line("float32", 8, 10, runs, products=120.0, ceiling=160.0)
    assert row == "| float32 | 8 | 80 | 20 |  | 40 |  |  |  | 100 | 2.00 | 0.80 | 120 | 160 | 0.50 | 0.05 |"
    exact = Found(
        machine="float32 fast",
        lines=[row],
        compared={"hooks": Same(0.75, 1e-4), "repeng": Same(0.5, 0.2)},
        unsteered={"hooks": 0.1, "repeng": 0.2},
        versions={"hooks": "transformers 5", "repeng": "repeng 0"},
        missing={"nnsight": "no environment"},
    )
    rounded = Found("bfloat16 faster", [], {"hooks": Same(0.25, 1e-3)}, {}, {}, {"nnsight": "no environment"})
    lines = report({"float32": exact, "bfloat16": rounded}).splitlines()
    assert lines[0] == "Measured in the same run: float32 fast; bfloat16 faster."
    assert len({one.count("|") for one in lines[2:5]}) == 1
    assert "Left out: nnsight (no environment)." in lines
    assert "| hooks | transformers 5 | 0.750 | yes (1e-04) | 0.10 | 0.25 |" in lines
    assert "| repeng | repeng 0 | 0.500 | **no** (2e-01) | 0.20 |  |" in lines

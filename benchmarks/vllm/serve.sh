#!/usr/bin/env bash
# Serve the embedded model in float32 from the environment that `setup.sh` made, on the loopback interface.
#
#     benchmarks/vllm/serve.sh FOLDER MODEL [PORT] [more flags of the server]
#
# MODEL is a folder with safetensors: of the embedded model the one that
# `python -c 'from doxa.models.embedded import embedded_folder; print(embedded_folder()[0])'` prints.
# On a CPU vLLM 0.32 dies of a seeded request whose prompt is read in parts ("CPU Generator does not use offset"), so
# prompts are read whole. Many log-probabilities are allowed because `check.py` compares whole distributions; doxa needs
# none of that.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: $0 FOLDER MODEL [PORT] [flags]" >&2; exit 2; }
environment=$1 model=$2 port=${3:-8000}
shift $(( $# < 3 ? 2 : 3 ))

export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1} VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_OFFLINE=1
# `vllm serve` looks for a package called vllm and finds vllm-cpu; the server itself does not mind.
exec "$environment/bin/python" -m vllm.entrypoints.openai.api_server \
  --model "$model" --served-model-name "$(basename "$model")" --host 127.0.0.1 --port "$port" --dtype float32 \
  --enable-prefix-caching --no-enable-chunked-prefill --max-logprobs -1 "$@"

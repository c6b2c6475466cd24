#!/bin/sh
# One virtual environment for each group of peers that `generate_speed.py` and `train_speed.py` are measured beside. Run again, it goes on
# where it stopped: an environment is finished when its file `ready` holds the requirements that are written below.
#
#     sh benchmarks/peers/setup.sh [FOLDER [NAME ...]]
#
# llama.cpp is compiled for this machine (a compiler is needed; a quarter of an hour on two cores). Torch is installed
# once, in `base`, which the others see through a .pth file: the peers in Python compute with one build of it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/environments}
[ $# -eq 0 ] || shift
names=${*:-base nnsight vectors repsteer saklas llama trl}
python=${PYTHON:-python3}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

site() { # NAME
    "$folder/$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
}

install() { # NAME REQUIREMENT...
    name=$1
    shift
    if [ "$(cat "$folder/$name/ready" 2>/dev/null)" = "$*" ]; then
        echo "$name: ready"
        return
    fi
    echo "$name: $*"
    rm -f "$folder/$name/ready"
    "$python" -m venv "$folder/$name"
    case $name in
        base | llama) ;;
        *) site base >"$(site "$name")/base.pth" ;;
    esac
    "$folder/$name/bin/python" -m pip install --quiet "$@"
    echo "$*" >"$folder/$name/ready"
}

for name in $names; do
    case $name in
        base) install base torch==2.13.0 ;;
        nnsight) install nnsight transformers==5.23.0 nnsight==0.8.1 ;;
        vectors)
            install vectors transformers==4.57.6 numpy==1.26.4 steering-vectors==0.12.2 repeng==0.4.0 accelerate==1.15.0
            ;;
        repsteer) install repsteer transformers==5.23.0 repsteer==0.2.4 ;;
        saklas) install saklas transformers==5.23.0 saklas==5.3.0 ;;
        trl) install trl transformers==5.23.0 accelerate==1.15.0 peft==0.21.2 trl==1.16.0 ;;
        llama)
            export CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAVA_BUILD=OFF"
            install llama numpy==2.4.6 --no-binary=llama-cpp-python llama-cpp-python==0.3.36
            ;;
        *)
            echo "no environment is called $name" >&2
            exit 2
            ;;
    esac
done

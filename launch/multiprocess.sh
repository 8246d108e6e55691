#!/usr/bin/env bash
# Several processes of one host that train together: bash launch/multiprocess.sh P --config FILE ...
# A GPU each where there are GPUs. --dry-run, before or after P, prints the commands only.
dry=
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi
processes=${1:-}
shift || true
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi
if ! [[ $processes =~ ^[1-9][0-9]*$ ]]; then
    echo "expected a number of processes: bash launch/multiprocess.sh 2 --config configs/srgan.py" >&2
    exit 2
fi
if [ -n "$dry" ]; then cd "$(dirname "${BASH_SOURCE[0]}")/.." && set -euo pipefail; else
    source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
fi

port=${JSR_PORT:-$((20000 + RANDOM % 20000))}
children=()
for ((i = 0; i < processes; i++)); do
    variables=("JAX_COORDINATOR_ADDRESS=localhost:$port" "JAX_NUM_PROCESSES=$processes" "JAX_PROCESS_ID=$i")
    if command -v nvidia-smi > /dev/null; then variables+=("CUDA_VISIBLE_DEVICES=$i"); fi
    command=(env "${variables[@]}" .venv/bin/python -m jsr.main "$@")
    if [ -n "$dry" ]; then echo "${command[*]}"; continue; fi
    "${command[@]}" &
    children+=($!)
done
# A signal to this script is one to all of them; they save and end together.
trap 'kill -TERM "${children[@]}" 2> /dev/null' TERM INT
code=0
for child in "${children[@]}"; do
    # Interrupted by a signal, wait is to be called again.
    while kill -0 "$child" 2> /dev/null; do wait "$child" && break; done
    wait "$child" || code=$?
done
exit "$code"

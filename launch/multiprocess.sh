#!/usr/bin/env bash
# Several processes of one host that train together: bash launch/multiprocess.sh P --config FILE ...
#
# A GPU each where there are GPUs. --dry-run, before or after P, prints the commands only. Ctrl-C or
# SIGTERM saves and ends all, a second one ends them at once; the exit code is their highest.
# JSR_PYTHON names a Python that has jsr's packages; without it .venv is made, once.
set -euo pipefail

fail() { echo "error: $1" >&2; exit 2; }
dry=''
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi
processes=${1:-}
[[ $processes =~ ^[1-9][0-9]{0,3}$ ]] ||
    fail "expected a number of processes: bash launch/multiprocess.sh 2 --config configs/srgan.py"
shift
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi

gpus=()
if [ "${JAX_PLATFORMS:-}" != cpu ]; then
    if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
        IFS=, read -ra gpus <<< "$CUDA_VISIBLE_DEVICES"
    elif command -v nvidia-smi > /dev/null; then
        # Where the driver does not answer there is none.
        mapfile -t gpus < <(nvidia-smi --query-gpu=index --format=csv,noheader 2> /dev/null || true)
    fi
fi
if [ ${#gpus[@]} -gt 0 ] && [ "$processes" -gt ${#gpus[@]} ]; then
    fail "$processes processes, but ${#gpus[@]} GPU(s): start fewer, or set JAX_PLATFORMS=cpu"
fi

python=${JSR_PYTHON:-.venv/bin/python}
if [ -n "$dry" ] || [ -n "${JSR_PYTHON:-}" ]; then cd "$(dirname "${BASH_SOURCE[0]}")/.."; else
    if [ ${#gpus[@]} -gt 0 ]; then export JSR_EXTRA=${JSR_EXTRA:-gpu}; fi
    source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
    python=.venv/bin/python
fi

# Below the ports that Linux gives to clients.
port=${JSR_PORT:-$((20000 + RANDOM % 12000))}
children=()
again=''
end=TERM
# shellcheck disable=SC2329
stop() {
    again=1
    if [ ${#children[@]} -gt 0 ]; then kill "-$end" "${children[@]}" 2> /dev/null || true; fi
    end=KILL
}
trap stop TERM INT HUP
for ((i = 0; i < processes; i++)); do
    command=(env "JAX_COORDINATOR_ADDRESS=localhost:$port" "JAX_NUM_PROCESSES=$processes"
        "JAX_PROCESS_ID=$i")
    if [ ${#gpus[@]} -gt 0 ] && [ "$processes" -gt 1 ]; then
        command+=("CUDA_VISIBLE_DEVICES=${gpus[i]}")
    fi
    command+=("$python" -m jsr.main "$@")
    if [ -n "$dry" ]; then printf '%q ' "${command[@]}"; echo; continue; fi
    if [ "$end" = KILL ]; then exit 130; fi
    # Each in a session of its own: a terminal's Ctrl-C comes to them from here alone.
    $(command -v setsid || true) "${command[@]}" &
    children+=($!)
done
code=0
for child in ${children[@]+"${children[@]}"}; do
    while :; do # a signal interrupts wait
        again='' status=0
        wait "$child" || status=$?
        if [ -z "$again" ]; then break; fi
    done
    if [ "$status" -gt "$code" ]; then code=$status; fi
done
exit "$code"

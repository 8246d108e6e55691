#!/usr/bin/env bash
# On each worker of a TPU, by tpu_pod.sh: starts jsr.main so that it outlives the connection.
# Beside the checkout: jsr.log, jsr.pid and, at the end, jsr.code: the exit code, or `stopped`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" != --here ]; then
    rm -f ../jsr.code
    setsid bash launch/tpu_worker.sh --here "$@" > ../jsr.log 2>&1 < /dev/null &
    echo $! > ../jsr.pid
    exit
fi
shift
# It saves and ends; this script says so.
trap : TERM
code=0
JAX_COORDINATOR_ADDRESS=auto .venv/bin/python -m jsr.main "$@" || code=$?
# A stop is no end, though its exit code is 0.
if [ "$code" -eq 0 ] && grep -q 'stopped at step' ../jsr.log; then code=stopped; fi
echo "$code" > ../jsr.code.new
mv ../jsr.code.new ../jsr.code

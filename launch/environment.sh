# shellcheck shell=bash
# Sourced by the launchers and tests/run.sh: makes .venv with the pinned versions, once.
# It is made anew when requirements.lock changes. JSR_EXTRA=gpu or tpu adds JAX for that device.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
stamp=.venv/.jsr-lock

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

case ${JSR_EXTRA:-} in
    "" | gpu | tpu) ;;
    *) echo "error: JSR_EXTRA is $JSR_EXTRA: expected gpu or tpu" >&2; exit 2 ;;
esac
if ! cmp -s launch/requirements.lock "$stamp"; then
    if ! supported "$python"; then
        for python in python3.11 python3.12 python3.13 none; do
            if supported "$python"; then break; fi
        done
    fi
    if [ "$python" = none ]; then
        echo "error: Python 3.11, 3.12 or 3.13 is needed; name one with PYTHON=/path/to/python" >&2
        exit 2
    fi
    if [ -d .venv ] && [ ! -e .venv/.jsr ] && [ ! -e "$stamp" ]; then
        echo "error: .venv is there, but this script did not make it: move it away first" >&2
        exit 2
    fi
    echo "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
    touch .venv/.jsr
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r launch/requirements.lock
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
    cp launch/requirements.lock "$stamp"
fi
if [ -n "${JSR_EXTRA:-}" ] && [ ! -e ".venv/.jsr-$JSR_EXTRA" ]; then
    # The same JAX as the lock's.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        -c launch/requirements.lock -e ".[$JSR_EXTRA]"
    touch ".venv/.jsr-$JSR_EXTRA"
fi

#!/usr/bin/env bash
# Makes .venv and runs the tests: bash tests/run.sh [--long] [pytest arguments].
# The fast tier takes minutes; --long adds what is slow or needs the benchmark files.
source "$(dirname "${BASH_SOURCE[0]}")/../launch/environment.sh"

.venv/bin/ruff format --check --quiet .
.venv/bin/ruff check --quiet .
exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"

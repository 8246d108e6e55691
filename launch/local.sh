#!/usr/bin/env bash
# Everything from a fresh clone to the table: makes .venv, then trains on the embedded photos.
# Arguments go to jsr.main: bash launch/local.sh --workdir W, or another --config.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

arguments=("$@")
case " $* " in
    *" --config"[\ =]*) ;;
    *) arguments=(--config configs/srgan.py "$@") ;;
esac
exec .venv/bin/python -m jsr.main "${arguments[@]}"

#!/usr/bin/env bash
# Trains on all workers of a Cloud TPU that it makes, or finds, and at the end deletes:
#
#   bash launch/tpu_pod.sh --name N --zone Z --type v5litepod-16 [--version V] [--project P] [--spot]
#       [--setup COMMAND] [--keep] [--dry-run] --config FILE --workdir FOLDER ...
#   bash launch/tpu_pod.sh --name N --zone Z --delete
#
# From the first other option on, arguments are jsr.main's. Variables NAME, ZONE, TYPE, VERSION,
# PROJECT, SETUP and SPOT=1 do as well. COMMAND runs on every worker before training: what mounts
# the storage of --workdir, which all workers share and which outlives the TPU. A preempted TPU is
# made anew and the run goes on. Ctrl-C saves and ends. Where this script was lost, the same
# command follows the run again. --keep leaves the TPU.
set -euo pipefail

fail() { echo "error: $1" >&2; exit 2; }
dry='' keep='' delete=''
name=${NAME:-} zone=${ZONE:-} type=${TYPE:-} version=${VERSION:-} project=${PROJECT:-}
setup=${SETUP:-:} spot=${SPOT:-}
while [ $# -gt 0 ]; do
    case $1 in
        --name | --zone | --type | --version | --project | --setup)
            [ $# -gt 1 ] || fail "$1 needs a value"
            printf -v "${1#--}" %s "$2"
            shift 2 ;;
        --spot) spot=1; shift ;;
        --keep) keep=1; shift ;;
        --delete) delete=1; shift ;;
        --dry-run) dry=1; shift ;;
        --) shift; break ;;
        *) break ;;
    esac
done
[ -n "$name" ] && [ -n "$zone" ] || fail "name the TPU and its zone: --name NAME --zone ZONE"
[ -n "$delete$type" ] || fail "name the TPU's type: --type v5litepod-16"
[ -n "$delete" ] || [ $# -gt 0 ] || fail "what to train is missing: --config FILE"
case $type in
    v5litepod*) version=${version:-v2-alpha-tpuv5-lite} ;;
    v5p*) version=${version:-v2-alpha-tpuv5} ;;
    v6e*) version=${version:-v2-alpha-tpuv6e} ;;
    *) version=${version:-tpu-ubuntu2204-base} ;;
esac
[ -n "$dry" ] || command -v gcloud > /dev/null || fail "gcloud is not here: install Google Cloud's CLI"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

where=(--zone="$zone")
if [ -n "$project" ]; then where+=(--project="$project"); fi
tpus() { # or its line
    set -- gcloud compute tpus "$@" "${where[@]}" --quiet
    if [ -n "$dry" ]; then printf '%q ' "$@"; echo; else "$@"; fi
}
on() { tpus tpu-vm ssh "$name" --worker="$1" --command="$2"; }
remove() { tpus queued-resources delete "$name" --force; }
state() { # READY, or why not
    local told
    told=$(tpus queued-resources describe "$name" --format='value(state.state)' 2> /dev/null) ||
        told=ABSENT
    if [ "$told" = ACTIVE ]; then
        told=$(tpus tpu-vm describe "$name" --format='value(state)' 2> /dev/null) || told=UNKNOWN
    fi
    echo "$told"
}
create() {
    tpus queued-resources create "$name" --node-id="$name" --accelerator-type="$type" \
        --runtime-version="$version" ${spot:+--spot}
}
get_ready() {
    local now before=
    while now=$(state); [ "$now" != READY ]; do
        if [ "$now" != "$before" ]; then echo "TPU $name: $now"; before=$now; fi
        case $now in
            ABSENT) create ;;
            SUSPENDED | PREEMPTED | TERMINATED) remove ;;
            FAILED) fail "$name could not be had: see gcloud compute tpus queued-resources describe" ;;
            *) sleep "${POLL:-30}" ;;
        esac
    done
}
# The images' own Python is too old.
python='ls /usr/bin/python3.1[1-3] > /dev/null 2>&1 ||
    { sudo apt-get -qq update && sudo apt-get -qq install -y python3.11-venv; }'
archive=${TMPDIR:-/tmp}/jsr-$name.tgz
begin() {
    { [ -n "$dry" ] || tar -czf "$archive" --exclude=./.venv --exclude=./.git --exclude=./runs .; } &&
        tpus tpu-vm scp "$archive" "$name:jsr.tgz" --worker=all &&
        on all "mkdir -p jsr && tar -xzf jsr.tgz -C jsr && { $python; } &&
            JSR_EXTRA=tpu bash jsr/launch/environment.sh && { $setup; }" &&
        on all "bash jsr/launch/tpu_worker.sh$(printf ' %q' "$@")"
}
# What the workers expand stands in single quotes.
# shellcheck disable=SC2016
running() { on 0 'kill -0 "$(cat jsr.pid)"' 2> /dev/null; }
follow() { on 0 "tail -n $1 -F --pid=\"\$(cat jsr.pid)\" jsr.log"; }

if [ -n "$delete" ]; then remove; exit; fi
if [ -n "$dry" ]; then
    create
    begin "$@"
    follow +1
    on 0 'cat jsr.code'
    [ -n "$keep" ] || remove
    exit
fi
started='' stopping=''
# shellcheck disable=SC2329
stop() {
    stopping=1
    if [ -z "$started" ]; then
        [ -n "$keep" ] || remove
        exit 130
    fi
    # shellcheck disable=SC2016
    on 0 'kill -TERM -- "-$(cat jsr.pid)"' || true
}
trap stop INT TERM
trap 'rm -f "$archive"' EXIT
while :; do
    get_ready
    lines=20
    if ! running; then
        lines=+1
        if ! begin "$@"; then
            sleep "${POLL:-30}"
            if [ "$(state)" != READY ]; then continue; fi
            echo "error: $name could not be set up (see above); it is still there: --delete" >&2
            exit 1
        fi
    fi
    started=1
    # In the background, so that a signal is answered while it goes on.
    follow "$lines" &
    while kill -0 $! 2> /dev/null; do wait $! || true; done
    if code=$(on 0 'cat jsr.code' 2> /dev/null); then
        if [ -n "$stopping" ] && [ "$code" = stopped ]; then code=0; fi
        case $code in 0 | 2) break ;; esac
        # One worker that is lost ends the others by an error.
        sleep "${POLL:-30}"
        if [ "$code" != stopped ] && [ "$(state)" = READY ]; then break; fi
    elif [ -n "$stopping" ] && ! running; then
        code=1
        break
    fi
    echo "TPU $name: the run was interrupted and goes on"
done
[ -n "$keep" ] || remove
exit "$code"

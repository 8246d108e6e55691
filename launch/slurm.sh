#!/usr/bin/env bash
# A Slurm job, submitted from a checkout on storage that all nodes share; options of sbatch first:
#
#   sbatch --nodes 2 [--ntasks-per-node 4 --gpus-per-node 4] launch/slurm.sh --config FILE ...
#   bash launch/slurm.sh --dry-run --config FILE ...      # prints what the job would run
#
# One task per node, which takes all of its GPUs, or one per GPU. Two minutes before the time limit
# the run saves and the job is put in the queue again; so it is when it was preempted.
# JSR_PYTHON names a Python that has jsr's packages; without it .venv is made, once: where nodes
# reach no network, by [JSR_EXTRA=gpu] bash launch/environment.sh on one that does.
#SBATCH --job-name=jsr
#SBATCH --ntasks-per-node=1
#SBATCH --output=slurm-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
set -euo pipefail

if [ "${1:-}" = --task ]; then # in each task: --task COMMAND...
    shift
    export JAX_PROCESS_ID=$SLURM_PROCID
    IFS=, read -ra gpus <<< "${CUDA_VISIBLE_DEVICES:-}"
    if [ "$SLURM_NTASKS" -gt "$SLURM_NNODES" ] && [ ${#gpus[@]} -gt 1 ]; then
        if [ "$SLURM_LOCALID" -ge ${#gpus[@]} ]; then
            echo "error: more tasks than the ${#gpus[@]} GPUs of $(hostname): choose one task per" \
                "node or one per GPU" >&2
            exit 2
        fi
        export CUDA_VISIBLE_DEVICES=${gpus[SLURM_LOCALID]}
    fi
    exec "$@"
fi

dry=
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi
if [ -z "$dry" ] && [ -z "${SLURM_JOB_ID:-}" ]; then
    echo "error: not in a Slurm job: submit it by sbatch launch/slurm.sh --config FILE ..." >&2
    exit 2
fi
# Slurm runs a copy of this file.
cd "${SLURM_SUBMIT_DIR:-$(dirname "${BASH_SOURCE[0]}")/..}"
if [ ! -e launch/slurm.sh ]; then
    echo "error: $PWD is no checkout of jsr: submit the job from its top folder" >&2
    exit 2
fi

python=${JSR_PYTHON:-.venv/bin/python}
first=FIRST_NODE
if [ -z "$dry" ]; then
    if [ -z "${JSR_PYTHON:-}" ]; then
        if [ -n "${SLURM_JOB_GPUS:-}${SLURM_GPUS_ON_NODE:-}" ]; then export JSR_EXTRA=gpu; fi
        source launch/environment.sh
        python=.venv/bin/python
    fi
    read -r first < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
    # srun does not take it from the job.
    if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK; fi
fi
# Below the ports that Linux gives to clients.
port=$((20000 + ${SLURM_JOB_ID:-0} % 10000))
command=(srun --kill-on-bad-exit=1
    env "JAX_COORDINATOR_ADDRESS=$first:$port" "JAX_NUM_PROCESSES=${SLURM_NTASKS:-TASKS}"
    bash launch/slurm.sh --task "$python" -m jsr.main "$@")
if [ -n "$dry" ]; then
    grep '^#SBATCH' launch/slurm.sh
    printf '%q ' "${command[@]}"
    echo
    exit
fi

"${command[@]}" &
step=$!
late='' again=''
# By scancel: srun would kill its tasks at a SIGTERM of its own. They save and end together.
trap 'late=1; again=1; scancel --signal=TERM "$SLURM_JOB_ID"' USR1
# Cancelled or preempted: Slurm tells the tasks itself, and waits for this script.
trap 'again=1' TERM
while :; do # a signal interrupts wait
    again='' code=0
    wait "$step" || code=$?
    if [ -z "$again" ]; then break; fi
done
if [ -n "$late" ] && [ "$code" -eq 0 ]; then
    echo "the time limit is near: the job goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"

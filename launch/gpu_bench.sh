#!/usr/bin/env bash
# What a GPU has to show: its tests, training and inference beside PyTorch, MFU, the real loop.
#
#   bash launch/gpu_bench.sh OUT [PART ...]     # parts: see below; all of them if none is named
#
# Each part leaves JSON files and its lines of OUT/table.txt in the folder OUT; a part that fails is
# named at the end, and the others are done. JSR_PYTHON names a Python that has jsr's packages, JAX
# for CUDA and, for comparisons, PyTorch; without it .venv is made and given them.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

parts=(tests peaks train mfu remat deterministic flags loop infer compile)
if [ $# -eq 0 ]; then
    echo "error: name a folder for the figures: bash launch/gpu_bench.sh OUT [${parts[*]}]" >&2
    exit 2
fi
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
shift
for part in "$@"; do
    case " ${parts[*]} " in
        *" $part "*) ;;
        *) echo "error: there is no part $part; there are ${parts[*]}" >&2; exit 2 ;;
    esac
done
[ $# -gt 0 ] && parts=("$@")

python=${JSR_PYTHON:-}
if [ -z "$python" ]; then
    # Leaves the shell where it cannot be done.
    source launch/environment.sh
    set +e
    python=.venv/bin/python
    # The same JAX, with CUDA.
    "$python" -c 'import torch, jax_cuda13_plugin' 2>/dev/null ||
        "$python" -m pip install --quiet "jax[cuda13]==$("$python" -c 'import jax; print(jax.__version__)')" \
            torch || exit 2
fi
# Room for PyTorch in the same process.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
if [ "$("$python" -c 'import jax; print(jax.default_backend())' 2>/dev/null)" != gpu ]; then
    echo "error: JAX of $python sees no GPU: install the extra gpu there, or name another Python" \
        "by JSR_PYTHON" >&2
    exit 2
fi

failed=()
bench() { # bench NAME SUBCOMMAND OPTION...: one JSON file
    local name=$1
    shift
    echo "== $name: jsr.bench $*" | tee -a "$out/table.txt"
    "$python" -m jsr.bench "$@" --json "$out/$name.json" 2>>"$out/log.txt" | tee -a "$out/table.txt"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then
        failed+=("$name")
        tail -n 1 "$out/log.txt" >&2
    fi
}

bf16=(--config.dtype bfloat16)
srresnet=(--config configs/srresnet.py:div2k --config.data.name sample_photos --config.data.dir ""
    --config.data.patch 24 --config.steps_per_dispatch 10)
edsr=(--config configs/edsr.py --config.steps_per_dispatch 10)
rrdb=(--config configs/esrgan.py:psnr "${bf16[@]}")

run_tests() {
    JSR_TEST_PLATFORM=cuda "$python" -m pytest -q tests/test_gpu.py -p no:cacheprovider 2>&1 |
        tee "$out/tests.txt"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=(tests)
}
run_peaks() {
    "$python" -c '
import json, sys
from jsr import machine
peaks = {d: machine.product_peak(d) for d in ("float32", "bfloat16")}
json.dump({**machine.describe(), **peaks, "bandwidth": machine.bandwidth()}, sys.stdout, indent=1)
' 2>>"$out/log.txt" | tee "$out/peaks.json" || failed+=(peaks)
}
run_train() {
    bench train_srresnet_bf16 train --noloop --against torch --batch 16,64 "${srresnet[@]}" "${bf16[@]}"
    bench train_srresnet_f32 train --noloop --against torch --batch 16,64 "${srresnet[@]}"
    bench train_edsr_bf16 train --noloop --against torch --batch 16,64 "${edsr[@]}" "${bf16[@]}"
    bench sweep_edsr_bf16 train --noloop --sweep "${edsr[@]}" "${bf16[@]}"
}
run_mfu() {
    bench mfu_rrdb_b32_hr256 train --noloop --batch 32 --patch 64 "${rrdb[@]}"
    bench mfu_rrdb_b16_hr128 train --noloop --batch 16 --patch 32 "${rrdb[@]}"
}
run_remat() {
    bench remat_rrdb_b32_hr256 train --noloop --batch 32 --patch 64 "${rrdb[@]}" --config.remat
}
run_deterministic() {
    bench deterministic_edsr_bf16 train --noloop "${edsr[@]}" "${bf16[@]}" --config.deterministic
    bench deterministic_off_edsr_bf16 train --noloop "${edsr[@]}" "${bf16[@]}"
}
run_flags() {
    local flag
    for flag in --xla_gpu_autotune_level=4 --xla_gpu_enable_triton_gemm=false \
        --xla_gpu_enable_latency_hiding_scheduler=true --xla_gpu_enable_command_buffer=; do
        XLA_FLAGS=$flag bench "flag${flag//[^a-z_0-9]/_}" train --noloop --batch 16 --patch 32 "${rrdb[@]}"
    done
}
run_loop() {
    bench loop_srresnet_bf16 train --against torch "${srresnet[@]}" "${bf16[@]}"
    bench data_srresnet_bf16 data --threads 1,2,4,8 "${srresnet[@]}" "${bf16[@]}"
}
run_infer() {
    local sizes=(--sizes 128x128,256x256,512x512)
    bench infer_srresnet_bf16 infer --against torch "${sizes[@]}" "${srresnet[@]}" "${bf16[@]}"
    bench infer_srresnet_f32 infer --against torch,onnxruntime "${sizes[@]}" "${srresnet[@]}"
    bench infer_rrdb_bf16 infer "${sizes[@]}" "${rrdb[@]}"
}
run_compile() {
    bench compile_default compile --config configs/srgan.py
    bench compile_rrdb_bf16 compile --noloop "${rrdb[@]}"
}

for part in "${parts[@]}"; do
    "run_$part"
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]} (see $out/log.txt)" >&2
    exit 1
fi

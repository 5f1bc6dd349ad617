#!/usr/bin/env bash
# What a GPU gives, on a machine that has PyTorch with CUDA and reaches no package index (Python 3.12, torch 2.11).
#
#   benchmarks/gpu.sh pack           where pip reaches an index: the wheels that such a machine lacks, in .gpu_wheels/
#   benchmarks/gpu.sh run OUT        there: tables and JSON in OUT, in less than 8 minutes
#   benchmarks/gpu.sh run OUT small  the same at small size, on a CPU too, to try it
#
# BraTS's size (240x240x155, crops of 224x224x144): a step with one change after another (gpu_steps.py), then the
# published settings against this project's in the simulator and in a pool (round_time.py).
set -euo pipefail
cd "$(dirname "$0")/.."
WHEELS=.gpu_wheels
# what FLARE, MONAI and this project need beyond what comes with PyTorch's usual companions there
MISSING=(nvflare monai opacus nibabel nilearn pyhocon cryptography cffi pycparser docker flask flask-jwt-extended
    flask-sqlalchemy sqlalchemy pyjwt blinker itsdangerous gunicorn pydantic pydantic-core annotated-types
    typing-inspection importlib-resources)

pack() {
    mkdir -p "$WHEELS"
    local name version
    for name in "${MISSING[@]}"; do
        version=$(.venv/bin/python -c 'import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))' \
            "$name")
        .venv/bin/python -m pip download -qq --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
            --platform manylinux_2_28_x86_64 --platform manylinux_2_34_x86_64 --platform manylinux_2_17_x86_64 \
            --platform manylinux2014_x86_64 --platform manylinux_2_24_x86_64 -d "$WHEELS" "$name==$version" 2>/dev/null ||
            .venv/bin/python -m pip wheel -qq --no-deps -w "$WHEELS" "$name==$version" # from a source that is all Python
    done
    du -sh "$WHEELS"
}

run() {
    local out=$1 size=${2:-full} python=${PYTHON:-python3}
    mkdir -p "$out"
    if compgen -G "$WHEELS/*.whl" >/dev/null; then
        "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
            --target "$out/site" "$WHEELS"/*.whl
        export PYTHONPATH="$out/site${PYTHONPATH:+:$PYTHONPATH}"
    fi
    local crop=(--crop 224 224 144) gpu=(--gpu 0)
    local round=(--size 240 240 155 --roi_size 224 224 144 --infer_roi_size 240 240 160 --cases 2 --validation 2)
    if [ "$size" = small ]; then
        crop=(--crop 32 32 32 --steps 2)
        round=(--size 40 40 40 --roi_size 32 32 32 --infer_roi_size 40 40 40 --sites 2 --cases 1 --validation 1)
    fi
    nvidia-smi >"$out/nvidia-smi.txt" 2>&1 || gpu=()
    timeout 150 "$python" benchmarks/gpu_steps.py "${crop[@]}" --out "$out/gpu_steps.json" | tee "$out/gpu_steps.md"
    timeout 300 "$python" benchmarks/round_time.py "${round[@]}" "${gpu[@]}" --rounds 3 --out "$out/gpu_rounds" \
        --ways published ours "ours in a pool" | tee "$out/gpu_rounds.md"
    rm -rf "$out/site"
}

case "${1:-}" in
pack) pack ;;
run) run "${2:?benchmarks/gpu.sh run OUT: OUT is missing; give the folder of the results}" "${3:-full}" ;;
*)
    echo "error: ${1:-nothing} was asked for; expected: benchmarks/gpu.sh pack, or benchmarks/gpu.sh run OUT [small]" >&2
    exit 2
    ;;
esac

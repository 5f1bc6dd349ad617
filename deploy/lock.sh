#!/usr/bin/env bash
# Writes deploy/locks anew from requirements.txt, for Linux x86_64 and Python 3.11: every package that the image installs,
# with the hashes of its files. Needs uv (pip install uv), PyPI, and PyTorch's index of CPU wheels, or a folder with such a
# wheel that TORCH_WHEELS names.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cpu=https://download.pytorch.org/whl/cpu
torch="$(grep '^torch==' requirements.txt)"
locks=deploy/locks
work="$(mktemp -d)"
trap 'rm -r "$work"' EXIT

compile() { # INPUT [OPTIONS OF uv]; the index is named in the lock where it is needed, never this machine's
  uv pip compile "$@" --quiet --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links
}

sed "s/^torch==.*/&+cpu/" requirements.txt > "$work/all.in"
source=(--extra-index-url "$cpu" --index-strategy unsafe-best-match)
[[ -z "${TORCH_WHEELS:-}" ]] || source=(--find-links "$TORCH_WHEELS")
compile "$work/all.in" "${source[@]}" > "$work/all.txt"
mkdir -p "$locks"

# a package is a line that begins with a name, and the hashes that follow it
of_torch() { awk -v want="$1" '/^[a-zA-Z]/ { is = ($0 ~ /^torch==/) } is == want' "$work/all.txt"; }
of_torch 0 > "$locks/packages.txt"
{ echo "--extra-index-url $cpu" && of_torch 1; } > "$locks/torch-cpu.txt"

# with CUDA: PyPI's own build, and what it needs beside the packages that are listed already
mapfile -t listed < <(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package=\1/p' "$locks/packages.txt")
sed -n 's/^\([A-Za-z].*\) .*/\1/p' "$locks/packages.txt" > "$work/versions.txt"
echo "$torch" > "$work/gpu.in"
compile "$work/gpu.in" --constraint "$work/versions.txt" "${listed[@]}" > "$locks/torch-gpu.txt"

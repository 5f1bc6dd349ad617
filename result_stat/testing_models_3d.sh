#!/usr/bin/env bash
# Dice of the best model of every run in artifacts/, or of the run folders that are named.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
python="$here/../.venv/bin/python"
[ -x "$python" ] || python=python3
exec "$python" "$here/evaluate.py" "$@"

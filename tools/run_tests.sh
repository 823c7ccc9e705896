#!/usr/bin/env bash
# Installs what is missing and runs the tests; arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=$(bash tools/install.sh)
# The tests' networks are too small to share among threads: a process a core.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$PYTHON" -m pytest -n auto --maxprocesses 8 --dist loadfile "$@"

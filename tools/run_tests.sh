#!/usr/bin/env bash
# Installs what is missing and runs the tests; arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=$(bash tools/install.sh)
exec "$PYTHON" -m pytest "$@"

#!/usr/bin/env bash
# The main job on a fresh machine: installs, writes a small data set, trains
# SR4IR on it, tests and draws: segmentation, detection or classification.
#   bash tools/demo.sh [seg|det|cls] [options of tools/demo.py]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=$(bash tools/install.sh)
exec "$PYTHON" -W ignore tools/demo.py "$@"

#!/usr/bin/env bash
# The main job on a fresh machine: installs, writes a small data set, trains
# SR4IR on it, tests and draws: segmentation, detection or classification.
#   bash tools/demo.sh [seg|det|cls] [options of tools/demo.py]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-seg} in
    det) config=fcos ;;
    cls) config=resnet18 ;;
    *) config=unet ;;
esac
[[ ${1:-} =~ ^(seg|det|cls)$ ]] && shift
PYTHON=$(bash tools/install.sh)
exec "$PYTHON" -W ignore tools/demo.py "configs/toy/sr4ir_${config}_toy_x4.py" "$@"

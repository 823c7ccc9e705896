#!/usr/bin/env bash
# Test on several GPUs of one machine, or in several CPU processes where there
# is none:  bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of
# tools/test.py].  On several machines also set NNODES, NODE_RANK, PORT and
# MASTER_ADDR.
set -euo pipefail
if [[ $# -lt 3 ]]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" \
    --launcher pytorch "${@:4}"

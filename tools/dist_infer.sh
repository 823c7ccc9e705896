#!/usr/bin/env bash
# Predict on several GPUs of one machine, or in several CPU processes where
# there is none:  bash tools/dist_infer.sh INPUTS CHECKPOINT GPUS [options of
# tools/infer.py].  On several machines also set NNODES, NODE_RANK, PORT and
# MASTER_ADDR.
set -euo pipefail
if [[ $# -lt 3 ]]; then
    echo "usage: $0 INPUTS CHECKPOINT GPUS [options of tools/infer.py]" >&2
    exit 2
fi
inputs=$1 checkpoint=$2 gpus=$3
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$(dirname "$0")/infer.py" "$inputs" "$checkpoint" \
    --launcher pytorch --resume "${@:4}"

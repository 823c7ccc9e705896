#!/usr/bin/env bash
# Predict on several GPUs of one machine, or in several CPU processes where
# there is none:  bash tools/dist_infer.sh INPUTS CHECKPOINT GPUS [options of
# tools/infer.py].  On several machines also set NNODES and NODE_RANK.
# Processes do not wait for each other, and none ends another: the exit code
# is the largest of theirs.
set -euo pipefail
if [[ $# -lt 3 || ! $3 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 INPUTS CHECKPOINT GPUS [options of tools/infer.py]" >&2
    exit 2
fi
inputs=$1 checkpoint=$2 gpus=$3
export WORLD_SIZE=$((gpus * ${NNODES:-1}))
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
processes=()
trap 'kill "${processes[@]}" 2>/dev/null || true' INT TERM
for ((rank = 0; rank < gpus; rank++)); do
    RANK=$((gpus * ${NODE_RANK:-0} + rank)) LOCAL_RANK=$rank \
        "${PYTHON:-python}" "$(dirname "$0")/infer.py" "$inputs" \
        "$checkpoint" --launcher pytorch --resume "${@:4}" &
    processes+=($!)
done
status=0
for process in "${processes[@]}"; do
    code=0
    wait "$process" || code=$?
    status=$((code > status ? code : status))
done
exit "$status"

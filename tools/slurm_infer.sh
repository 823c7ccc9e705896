#!/usr/bin/env bash
# Predict on a Slurm cluster:
#   GPUS=8 bash tools/slurm_infer.sh PARTITION JOB_NAME INPUTS CHECKPOINT \
#       [options of tools/infer.py]
# GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS are understood too.
set -euo pipefail
if [[ $# -lt 4 ]]; then
    echo "usage: $0 PARTITION JOB_NAME INPUTS CHECKPOINT [options]" >&2
    exit 2
fi
partition=$1 job=$2 inputs=$3 checkpoint=$4
gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
# shellcheck disable=SC2086  # SRUN_ARGS is a list
exec srun --partition="$partition" --job-name="$job" \
    --gres="gpu:$((gpus < per_node ? gpus : per_node))" \
    --ntasks="$gpus" \
    --ntasks-per-node="$((gpus < per_node ? gpus : per_node))" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=0 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/infer.py" "$inputs" "$checkpoint" \
    --launcher slurm --resume "${@:5}"

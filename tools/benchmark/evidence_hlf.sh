#!/usr/bin/env bash
# The experiments of docs/en/results.md on features alone (table `hlf`), from
# weights and data to the tables:
#     bash tools/benchmark/evidence_hlf.sh [WORK_DIR]
#
# All methods start from the same T, which has learnt from HR images (it is the
# teacher, too), and the same S, which has learnt from pixels, of the same
# degradation. It needs what evidence.sh needs. Killed, it goes on where it was
# when it is started again.
#
#   SETS      camvid-half camvid-half-mixture-a camvid-half-real-esrgan cars28
#             cars28-mixture-a cars28-real-esrgan: in that order
#   SEEDS     0 1 2 3 4: all runs of a seed come before those of the next
#   ROWS      some of the table's rows, separated by ;  (default: all)
#   BUDGET    1: 200 iterations of each network (Cars: 400)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=${1:-work_dirs/evidence_hlf}
python=${PYTHON:-python}
table=tools/benchmark/run_table.py
rows=()
[[ -z ${ROWS:-} ]] || IFS=';' read -ra rows <<< "$ROWS"

declare -A network=([camvid-half]=deeplabv3-lite0 [cars28]=lite0)
degradations=('' -mixture-a -real-esrgan)
all=()
for data in camvid-half cars28; do
    all+=("${degradations[@]/#/$data}")
done

for set in ${SETS:-${all[@]}}; do
    data=${set/%-mixture-a/} data=${data/%-real-esrgan/}
    name=${network[$data]} budget=${BUDGET:-1}
    if [[ $data == cars28 ]]; then
        budget=$((2 * budget))
    fi
    start=checkpoints/t-start_$data.pth
    if [[ ! -f $start ]]; then
        "$python" "$table" main --dataset "configs/sr4ir_${name}_${data}_{}.py" \
            --scales x8 --seeds 100 --rows 'H -> T' --budget 5 \
            --cfg-options custom_hooks=None --work-dir "$work/t-start"
        cp "$(<"$work/t-start/h2t_${name}_$data/seed_100/last_checkpoint")" \
            "$start"
    fi
    start=checkpoints/edsr-small_${set}_x8.pth
    if [[ ! -f $start ]]; then
        folder=$work/sr-start_$set
        "$python" tools/train.py --resume --work-dir "$folder" \
            "configs/baselines/sr-start_${name}_${set}_x8.py"
        cp "$(<"$folder/last_checkpoint")" "$start"
    fi
    seeds=()
    for seed in ${SEEDS:-0 1 2 3 4}; do
        seeds+=("$seed")
        "$python" "$table" hlf --scales x8 --seeds "${seeds[@]}" \
            --dataset "configs/sr4ir_$name-from-hr_${set}_{}.py" \
            ${rows[@]+--rows "${rows[@]}"} --budget "$budget" \
            --work-dir "$work/from-hr_${set}_x8${BUDGET:+_budget-$BUDGET}"
    done
done
"$python" tools/analysis_tools/collect_runs.py "$work"/from-hr_*_x8* \
    --out docs/en/results --page docs/en/results.md

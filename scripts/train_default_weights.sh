#!/usr/bin/env bash
# Trains the weights that come with the package, from nothing to checked files.
#
#   scripts/train_default_weights.sh DATA OUT
#
# DATA holds msrs/{train,val} and roadscene/train, each with vi/ and ir/, and label_silver/ beside
# those of msrs. Every step continues where it stopped. MODEL_CARD.md says how long it took where.
set -euo pipefail

data=${1:?usage: train_default_weights.sh DATA OUT}
out=${2:?usage: train_default_weights.sh DATA OUT}
configs=$(dirname "$0")/../mafs_training/configs

# Image-sized buffers stay with the process; threads that wait do not spin.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=16000000000 OMP_WAIT_POLICY=PASSIVE

# Frames 01320N to 01359N, a block at the end of the night drives, are held out: the labels of
# msrs/val are of the day only.
night='013[2-5]*N'
labelled="generic:$data/msrs/train?labels=label_silver&skip=$night"
unlabelled="generic:$data/roadscene/train"
scenes='synthetic:120?seed=1000&weight=0.25'
train="[\"$labelled\", \"$unlabelled\", \"$scenes\"]"
val="[\"generic:$data/msrs/val?labels=label_silver\","
val+=" \"generic:$data/msrs/train?labels=label_silver&only=$night\"]"

stage() { # NAME STAGE OPTION...
    local name=$1 stage=$2
    shift 2
    [ -f "$out/$name/final.safetensors" ] && return
    local resume=()
    [ -f "$out/$name/checkpoints/last.ckpt" ] && resume=(--trainer.resume auto)
    mafs-train "$stage" --config "$configs/$stage.yaml" --data.train "$train" --data.val "$val" \
        --augment.visible_noise 0.01 --augment.thermal_noise 0.01 \
        --trainer.out "$out/$name" "${resume[@]}" "$@"
}

preservation=(--fusion.intensity 3 --fusion.gradient 10 --fusion.emphasis 1.1
    --fusion.structure 20 --fusion.structure_range 0.0078 --fusion.edges 20
    --fusion.information 4 --fusion.complement 2)

# I: both images from half of each
stage mae mae --trainer.steps 1600
# II a: all tasks, the teacher on the fused image and its consistency on the unlabelled pairs
stage joint joint --model.init "$out/mae/final.safetensors" "${preservation[@]}" \
    --weighting.floor 0.3 --trainer.steps 900
# II b: classes from labelled crops alone, four times as many of them per hour as with a teacher
labels=(--fusion.structure 0 --teacher.enabled false --data.labelled_fraction 1
    --trainer.precision bf16)
stage labels joint --model.init "$out/joint/final.safetensors" "${labels[@]}" \
    --weighting.floor 0.3 --trainer.steps 3500
# II c: weights for rare classes find them, and paint everything too thick: the end is without
stage outlines joint --model.init "$out/labels/final.safetensors" "${labels[@]}" \
    --weighting.kind fixed --weighting.fixed '{"fusion": 0.3, "segmentation": 1}' \
    --segmentation.class_weighting none --segmentation.ohem_min_kept 0.25 \
    --optim.warmup_steps 50 --trainer.steps 1600
# II d: the blend alone, for what the fused image keeps of both sources, on pixels as they are:
# enlarged or recoloured crops teach it another sharpness
stage blend joint --model.init "$out/outlines/final.safetensors" "${preservation[@]}" \
    --model.only '["fusion_decoder"]' --optim.fusion_decoder_lr 1 --optim.weight_decay 0 \
    --teacher.enabled false --data.labelled_fraction -1 --data.focus 0 \
    --augment.enabled false --data.scale '[1,1]' --dropout.visible 0.05 \
    --dropout.thermal 0.05 --trainer.steps 500 --trainer.ema 0.99 --trainer.panels_every 0

mkdir -p "$out/weights"
mafs-eval calibrate --weights "$out/blend/final.safetensors" --data "$data/msrs" --check val \
    --out "$out/weights/mafs_t.safetensors"
mafs export --format openvino --weights "$out/weights/mafs_t.safetensors" \
    --int8 --calib "$data/msrs/train"
(cd "$out/weights" && sha256sum ./*.safetensors ./*.xml ./*.bin | sed 's# \./# #' > SHA256SUMS)

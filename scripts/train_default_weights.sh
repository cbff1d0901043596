#!/usr/bin/env bash
# Trains the weights that come with the package, from nothing to checked files.
#
#   scripts/train_default_weights.sh DATA OUT [START.safetensors]
#
# DATA holds msrs/{train,val}, roadscene/{train,val}, m3svd/{train,val} and llvip/train, each with
# vi/, ir/ and what mafs-data fuse-labels makes targets from: teacher_boxes/ and teacher_cityscapes/, beside
# those of msrs also boxes/, label_silver/, label_sgfnet/ and label_mfnet/. START: weights that the
# first four steps made before (mafs_t-350ca154 for the shipped ones), which are then left out.
# Every step continues where it stopped. MODEL_CARD.md says how long it took where.
set -euo pipefail

usage='usage: train_default_weights.sh DATA OUT [START.safetensors]'
data=$(realpath "${1:?$usage}")
out=${2:?$usage}
start=${3:-}
configs=$(dirname "$0")/../mafs_training/configs

# Image-sized buffers stay with the process; threads that wait do not spin.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=16000000000 OMP_WAIT_POLICY=PASSIVE

# Held out besides the val folders: three blocks of msrs/train (bikes by day and night, persons at
# night) and a quarter of llvip.
blocks='002[0-3]*D,0109*N,011[0-2]*N,013[2-5]*N'
corner='01002[5-9],010030,0101*'

stage() { # NAME STAGE TRAIN VAL OPTION...
    local name=$1 stage=$2 train=$3 val=$4
    shift 4
    [ -f "$out/$name/final.safetensors" ] && return
    local resume=()
    [ -f "$out/$name/checkpoints/last.ckpt" ] && resume=(--trainer.resume auto)
    mafs-train "$stage" --data.train "$train" --data.val "$val" --trainer.out "$out/$name" \
        "${resume[@]}" "$@"
}

first() { # NAME STAGE OPTION...: the steps on silver labels
    local name=$1 stage=$2 train val
    shift 2
    train="[\"generic:$data/msrs/train?labels=label_silver&skip=$blocks\","
    train+=" \"generic:$data/roadscene/train\", \"synthetic:120?seed=1000&weight=0.25\"]"
    val="[\"generic:$data/msrs/val?labels=label_silver\"]"
    stage "$name" "$stage" "$train" "$val" --config "$configs/$stage.yaml" \
        --augment.visible_noise 0.01 --augment.thermal_noise 0.01 "$@"
}

if [ -z "$start" ]; then
    preservation=(--fusion.intensity 3 --fusion.gradient 10 --fusion.emphasis 1.1
        --fusion.structure 20 --fusion.structure_range 0.0078 --fusion.edges 20
        --fusion.information 4 --fusion.complement 2)
    # I: both images from half of each
    first mae mae --trainer.steps 1600
    # II a: all tasks, the teacher on the fused image and its consistency on the unlabelled pairs
    first joint joint --model.init "$out/mae/final.safetensors" "${preservation[@]}" \
        --weighting.floor 0.3 --trainer.steps 900
    # II b: classes from labelled crops alone, four times as many of them per hour
    silver=(--fusion.structure 0 --teacher.enabled false --data.labelled_fraction 1
        --trainer.precision bf16)
    first silver joint --model.init "$out/joint/final.safetensors" "${silver[@]}" \
        --weighting.floor 0.3 --trainer.steps 3500
    # II c: weights for rare classes find them, and paint everything too thick: the end is without
    first outlines joint --model.init "$out/silver/final.safetensors" "${silver[@]}" \
        --weighting.kind fixed --weighting.fixed '{"fusion": 0.3, "segmentation": 1}' \
        --segmentation.class_weighting none --segmentation.ohem_min_kept 0.25 \
        --optim.warmup_steps 50 --trainer.steps 1600
    start=$out/outlines/final.safetensors
fi

# Targets of every set, and the sets with them in folders of links.
targets() { # SET MAP...
    local set=$1 part
    shift
    [ -f "$out/data/$set/done" ] && return
    mkdir -p "$out/data/$set"
    for part in "$data/$set"/*/; do
        ln -sfn "${part%/}" "$out/data/$set/$(basename "$part")"
    done
    mafs-data fuse-labels "$data/$set" --out "$out/data/$set/label" "$@"
    touch "$out/data/$set/done"
}
maps=(--map label_silver --map label_sgfnet --map label_mfnet=0.5)
targets msrs/train "${maps[@]}"
for set in roadscene/train roadscene/val m3svd/train m3svd/val llvip/train; do
    targets "$set"
done

own=$(realpath "$out")/data
train="[\"generic:$own/msrs/train?labels=label&skip=$blocks&weight=2\","
train+=" \"generic:$own/roadscene/train?labels=label\","
train+=" \"generic:$own/m3svd/train?labels=label\","
train+=" \"generic:$own/llvip/train?labels=label&skip=$corner\"]"
val="[\"generic:$own/msrs/train?labels=label&only=$blocks&limit=13\","
val+=" \"generic:$own/m3svd/val?labels=label&limit=6\","
val+=" \"generic:$own/roadscene/val?labels=label&limit=4\","
val+=" \"generic:$own/llvip/train?labels=label&only=$corner&limit=2\"]"

# II d: labels alone, of four cameras, each as many others would have rendered it; the last tenth
# of the schedule would change nothing any more
if [ ! -f "$out/cameras/labels.ckpt" ]; then
    stage cameras joint "$train" "$val" --config "$configs/labels.yaml" --model.init "$start" \
        --trainer.stop_epochs 9
    cp "$out/cameras/checkpoints/last.ckpt" "$out/cameras/labels.ckpt"
fi
# II e: the blend alone
stage blend joint "$train" "$val" --config "$configs/blend.yaml" \
    --model.init "$out/cameras/labels.ckpt"
# II f: the labels are far from what the targets hold even on what they were trained with, so they go
# on, twice, as the hours came; and the blend once more on the features that they leave behind
longer=(--config "$configs/labels.yaml" --trainer.steps_per_epoch 200)
stage longer joint "$train" "$val" "${longer[@]}" \
    --model.init "$out/blend/final.safetensors" --trainer.steps 2000
stage longest joint "$train" "$val" "${longer[@]}" \
    --model.init "$out/longer/final.safetensors" --trainer.steps 2200 --trainer.seed 7
stage picture joint "$train" "$val" --config "$configs/blend.yaml" \
    --model.init "$out/longest/final.safetensors"

# Confidence is fitted on what no step has seen, of every camera; int8 on what they have.
gather() { # FOLDER SET PATTERN EVERY: links to every n-th pair
    local folder=$1 set=$2 pattern=$3 every=$4 part file count
    for part in vi ir label; do
        mkdir -p "$folder/$part"
        count=0
        for file in "$own/$set/$part"/*; do
            # shellcheck disable=SC2053
            [[ ,$(basename "${file%.*}") == $pattern ]] || continue
            if [ $((count++ % every)) -eq 0 ]; then
                ln -sfn "$(realpath "$file")" "$folder/$part/${set%/*}_$(basename "$file")"
            fi
        done
    done
}
held=$out/calibration/heldout
shopt -s extglob
gather "$held" msrs/train ',@(002[0-3]*D|0109*N|011[0-2]*N|013[2-5]*N)' 1
gather "$held" roadscene/val ',*' 1
gather "$held" m3svd/val ',*' 4
gather "$held" llvip/train ',@(01002[5-9]|010030|0101*)' 1
seen=$out/calibration/seen
gather "$seen" msrs/train ',!(002[0-3]*D|0109*N|011[0-2]*N|013[2-5]*N)' 4
gather "$seen" roadscene/train ',*' 6
gather "$seen" m3svd/train ',*' 8
gather "$seen" llvip/train ',!(01002[5-9]|010030|0101*)' 3

mkdir -p "$out/weights"
mafs-eval calibrate --weights "$out/picture/final.safetensors" --data "$out/calibration" \
    --dataset mfnet --split heldout --peak person=0.87 car=0.9 bike=0.92 --out "$out/weights/mafs_t.safetensors"
mafs export --format openvino --weights "$out/weights/mafs_t.safetensors" --int8 --calib "$seen"
(cd "$out/weights" && sha256sum ./*.safetensors ./*.xml ./*.bin | sed 's# \./# #' > SHA256SUMS)

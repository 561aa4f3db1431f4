#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# xtransplant train and PyTorch side by side, interleaved in one run: tokens/s, and products as a fraction of the peak.
#
#   run_train.sh [options] XTRANSPLANT WORKDIR
#     -p PYTHON  interpreter with bench/requirements.txt   python3
#     -t N       threads for both                          nproc
#     -r N       rounds; the best of each counts           3
#
# Two models: the demo's shape on its fine-tuning pairs, batch 64; Qwen2-0.5B's shape with 4 layers on the project's own
# documents, 2 pieces of 256 tokens a step.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
python=python3 threads=$(nproc) rounds=3
while getopts p:t:r:h option; do
  case $option in
    p) python=$OPTARG ;; t) threads=$OPTARG ;; r) rounds=$OPTARG ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -ne 2 ]; then "$0" -h; fi
xt=$(realpath "$1")
mkdir -p "$2"
work=$(cd "$2" && pwd)

[ -e "$work/qwen/config.json" ] || "$xt" init-model --like qwen2-0.5b --layers 4 --dtype f32 -o "$work/qwen" >&2
cat "$here"/../README.md "$here"/../docs/*.md >"$work/text.txt"

field() { "$python" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
largest() { sort -g | tail -1; }

measure() { # NAME MODEL DATA BATCH STEPS LENGTH
  local name=$1 model=$2 data=$3 batch=$4 steps=$5 length=$6
  for kind in ours speed theirs; do : >"$work/$name.$kind"; done
  for ((k = 0; k < rounds; k++)); do
    rm -rf "$work/out"
    "$xt" train -m "$model" -d "$data" -o "$work/out" --batch "$batch" --steps "$steps" --length "$length" --threads "$threads" \
      --save-steps 0 --dtype f32 --json --quiet >"$work/line"
    field tokens_per_second <"$work/line" >>"$work/$name.ours"
    field flops_per_second <"$work/line" >>"$work/$name.speed"
    "$python" "$here/train_torch.py" "$model" "$data" --batch "$batch" --steps "$steps" --length "$length" --threads "$threads" 2>"$work/err" |
      field tokens_per_second >>"$work/$name.theirs" || { cat "$work/err" >&2; exit 1; }
  done
  rm -rf "$work/out"
  awk -v name="$name" -v ours="$(largest <"$work/$name.ours")" -v theirs="$(largest <"$work/$name.theirs")" \
    -v speed="$(largest <"$work/$name.speed")" -v peak="$peak" \
    'BEGIN { printf "| %s | %.0f | %.0f | %.2f | %.0f | %.0f %% |\n", name, ours, theirs, ours / theirs, speed / 1e9, 100 * speed / peak }'
}

peak=$("$xt" bench -m "$here/../demo/facts-4m" --rows 1 -p 16 -n 2 --threads "$threads" --quiet --json | field peak_flops_per_second)
echo "| model | xtransplant, tokens/s | PyTorch, tokens/s | ratio | GFLOP/s in products | of the peak |"
echo "|---|---|---|---|---|---|"
measure demo "$here/../demo/facts-4m" "$here/../demo/tuning.jsonl" 64 30 256
measure qwen2-0.5b-4-layers "$work/qwen" "$work/text.txt" 2 3 256

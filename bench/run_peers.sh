#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# xtransplant, llama.cpp and Hugging Face transformers side by side, interleaved in one run.
#
#   run_peers.sh [options] XTRANSPLANT WORKDIR
#     -l DIR     llama.cpp's programs (llama_bench.sh build makes them)     WORKDIR/llama/bin
#     -p PYTHON  interpreter with bench/requirements.txt                     python3
#     -m SHAPE   init-model's name of the model                              tinyllama-1.1b
#     -t N       threads for everyone                                        nproc
#     -r N       rounds; the best of each measurement counts                 2
#     -b LIST    rows decoded together                                       1,8,64,256
#     -k LIST    llama.cpp weight types                                      bf16,f16,f32
#     -c LIST    xtransplant compute types                                   f32,bf16
#     -s N       transplants in transformers' sample; 0: none, no sweep      3
#
# WORKDIR keeps SHAPE/, the model (bf16, random weights), beside it its GGUF files (9 GB in all for
# TinyLlama) and SHAPE.jsonl, a line a measurement. The table goes to stdout.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
shape=tinyllama-1.1b llama="" python=python3 threads=$(nproc) rounds=2 rows=1,8,64,256 types=bf16,f16,f32 computes=f32,bf16 sample=3
prefill=512 prompt=128 new=20
while getopts m:l:p:t:r:b:k:c:s:h option; do
  case $option in
    m) shape=$OPTARG ;; l) llama=$OPTARG ;; p) python=$OPTARG ;; t) threads=$OPTARG ;; r) rounds=$OPTARG ;; b) rows=$OPTARG ;;
    k) types=$OPTARG ;; c) computes=$OPTARG ;; s) sample=$OPTARG ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -ne 2 ]; then "$0" -h; fi
xt=$(realpath "$1")
mkdir -p "$2"
work=$(cd "$2" && pwd)
llama=${llama:-$work/llama/bin}
model=$work/$shape
results=$model.jsonl

prepare() {
  if [ ! -e "$model/config.json" ]; then
    rm -rf "$model"
    "$xt" init-model --like "$shape" --dtype bf16 -o "$model" >&2
  fi
  [ -x "$llama/llama-bench" ] || PYTHON=$python "$here/llama_bench.sh" build "${llama%/bin}" >&2
  for type in ${types//,/ }; do
    [ -e "$model-$type.gguf" ] || "$python" "$here/make_gguf.py" "$model" "$model-$type.gguf" --type "$type"
  done
}

# record PEER KIND ROUND: reads a JSON line, tags it and keeps it. A peer that failed gave no line.
record() {
  local line
  line=$(cat)
  if [ -z "$line" ]; then echo "$1 ($2) failed" >&2; return; fi
  echo "{\"peer\": \"$1\", \"kind\": \"$2\", \"round\": $3, \"result\": $line}" >>"$results"
}

round() {
  local r=$1 compute type n
  for compute in ${computes//,/ }; do
    echo "round $r: xtransplant $compute" >&2
    "$xt" bench -m "$model" --threads "$threads" --compute "$compute" --prompt-tokens $prefill --rows 1 --new-tokens 2 --repeats 1 \
      --json --quiet | tr -d '\n' | record "xtransplant $compute" prefill "$r"
    "$xt" bench -m "$model" --threads "$threads" --compute "$compute" --prompt-tokens $prompt --rows "$rows" --new-tokens $new \
      --repeats 1 --json --quiet | tr -d '\n' | record "xtransplant $compute" decode "$r"
    if [ "$sample" != 0 ]; then # one instance, every (i, j)
      "$xt" bench -m "$model" --threads "$threads" --compute "$compute" --prompt-tokens $prompt --sweep ffn --new-tokens $new \
        --json --quiet | tr -d '\n' | record "xtransplant $compute" sweep "$r"
    fi
  done
  for type in ${types//,/ }; do
    echo "round $r: llama.cpp $type" >&2
    "$here/llama_bench.sh" prefill "$llama" "$model-$type.gguf" "$threads" $prefill | record "llama.cpp $type" prefill "$r"
    for n in ${rows//,/ }; do
      "$here/llama_bench.sh" decode "$llama" "$model-$type.gguf" "$threads" $prompt $new "$n" | record "llama.cpp $type" decode "$r"
    done
  done
  echo "round $r: transformers" >&2
  "$python" "$here/hf_bench.py" -m "$model" --threads "$threads" --prefill $prefill --prompt $prompt --new-tokens $new \
    --rows "$rows" --transplants "$sample" | while read -r line; do echo "$line" | record "transformers" line "$r"; done
}

prepare
: >"$results"
for ((r = 1; r <= rounds; r++)); do round "$r" || true; done
"$python" "$here/peers_table.py" "$results" "$model/config.json"

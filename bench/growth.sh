#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Whether cost grows as it must: processor seconds against the number of responses, the length of prompts and of texts, and the
# size of the vocabulary. They are those of the program, without the system's: how long that takes to hand out memory depends on
# what other programs left.
#
#   growth.sh [options] XTRANSPLANT WORKDIR
#     -p PYTHON  interpreter, of any version 3                               python3
#     -r N       rounds; the least of each measurement counts                2
#     -s LIST    series                                                      responses,prompts,vocabularies,texts
#     -o DIR     where growth.md and growth.svg are written                  WORKDIR
#
# WORKDIR needs 4 GB; it keeps models and growth.csv, a line a measurement; what is there is not measured again. One thread,
# so that nothing is counted that only waits. The exit code is 1 if anything grew faster than it must.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
python=python3 rounds=2 series=responses,prompts,vocabularies,texts out=""
while getopts p:r:s:o:h option; do
  case $option in
    p) python=$OPTARG ;; r) rounds=$OPTARG ;; s) series=$OPTARG ;; o) out=$(realpath "$OPTARG") ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -ne 2 ]; then "$0" -h; fi
xt=$(realpath "$1")
mkdir -p "$2"
cd "$2"
results=growth.csv
[ -e $results ] || echo "series,step,size,seconds" >$results
TIMEFORMAT=%U

# measure SERIES STEP SIZE COMMAND...: the processor seconds of the command, the least of the rounds
measure() {
  local series=$1 step=$2 size=$3 least spent
  shift 3
  if grep -q "^$series,$step,$size," $results; then return; fi
  for ((round = 0; round < rounds; round++)); do
    spent=$({ time "$@" >out.txt 2>err.txt || { cat err.txt >&2; exit 1; }; } 2>&1)
    least=$(awk -v a="${least:-9e9}" -v b="$spent" 'BEGIN {print a < b ? a : b}')
  done
  echo "$series,$step,$size,$least" | tee -a $results >&2
}

model() { # NAME OPTIONS...
  local name=$1
  shift
  [ -e "$name/config.json" ] || "$xt" init-model "$@" --quiet -o "$name"
}

# A results file of so many questions with the responses to all 36 transplants of each; then what is made of it.
responses() {
  model tiny --like tiny-llama
  for questions in 64 256 1024; do
    local db=responses-$questions.db count=$((questions * 37))
    awk -v n=$questions 'BEGIN {
      for (i = 0; i < n; i++)
        printf "{\"id\": \"%d\", \"lang\": \"%s\", \"source\": \"Question %d of %d: which?\\nAnswer:\", " \
          "\"target\": \"Swali la %d: lipi?\\nJibu:\", \"gold\": \"%d\", \"task\": \"xnli\"}\n", i, i % 2 ? "sw" : "tr", i, n, i, i % 3 + 1
    }' >pairs.jsonl
    sweep() {
      rm -f $db
      "$xt" sweep -m tiny --threads 1 --pairs pairs.jsonl --site attn --max-new-tokens 8 --quiet -o $db
    }
    measure responses sweep $count sweep
    [ -e $db ] || sweep
    measure responses export $count "$xt" export $db
    measure responses report $count "$xt" report $db --threads 1 --quiet -o report
    measure responses merge $count bash -c "rm -f merged.db; '$xt' merge --quiet merged.db $db"
  done
}

# The first token of a response to a prompt. The model is small, so that reading it counts for nothing, and attention for much.
prompts() {
  model long --like tiny-llama
  sed -i 's/"max_position_embeddings": 2048/"max_position_embeddings": 8192/' long/config.json
  for tokens in 100 250 500 1000 2000 4000 8000; do
    awk -v n=$tokens 'BEGIN {for (i = 1; i < n; i++) printf "%c", 97 + i * 7 % 26}' >prompt.txt # and BOS
    measure prompts prefill $tokens "$xt" generate -m long --threads 1 --quiet --max-new-tokens 1 --prompt-file prompt.txt
  done
}

# A tokenizer with so many tokens, and a model of one layer of TinyLlama's width that chooses among them.
vocabularies() {
  for size in 32768 65536 131072 262144; do
    if grep -q "^vocabularies,and their lens,$size," $results; then continue; fi
    [ -e vocabulary-$size/tokenizer.json ] || "$python" "$here/growth.py" tokenizer $size vocabulary-$size
    model wide-$size --like tinyllama-1.1b --layers 1 --tokenizer vocabulary-$size
    measure vocabularies "read the tokenizer" $size "$xt" tokenize --tokenizer vocabulary-$size </dev/null
    measure vocabularies "read the model" $size "$xt" generate -m wide-$size --threads 1 --quiet --max-new-tokens 1 -p a
    measure vocabularies "and 16 tokens" $size "$xt" generate -m wide-$size --threads 1 --quiet --max-new-tokens 17 -p a
    measure vocabularies "and their lens" $size "$xt" lens -m wide-$size --threads 1 --quiet --json --max-new-tokens 17 -p a
    rm -r wide-$size
  done
}

# Text to ids: words with spaces between them, and one word as long as the whole.
texts() {
  [ -e vocabulary-32768/tokenizer.json ] || "$python" "$here/growth.py" tokenizer 32768 vocabulary-32768
  for kilobytes in 64 256 1024 4096; do
    awk -v n=$((kilobytes * 1024)) 'BEGIN {for (i = 0; i < n; i++) printf "%c", i % 6 == 5 ? 32 : 97 + i * i % 26}' >words.txt
    tr ' ' e <words.txt >word.txt
    measure texts tokenize $kilobytes "$xt" tokenize --tokenizer vocabulary-32768 <words.txt
    measure words tokenize $kilobytes "$xt" tokenize --tokenizer vocabulary-32768 <word.txt
  done
}

for each in ${series//,/ }; do $each; done
"$python" "$here/growth.py" chart $results "${out:-.}"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# init-model and inspect, and the options that concern loading any model.
. "$(dirname "$0")/lib.sh"

for shape in tiny-llama tiny-mistral tiny-qwen2; do
  run "$X" init-model --like $shape -o $shape
  expect "init-model --like $shape" 0
  same "init-model --like $shape: nothing on stdout" "$(cat out)" ""
  model=$work/$shape
  run "$X" inspect -m $shape
  expect "inspect $shape" 0
  prints "inspect $shape: layers" '^layers +6 \(0 to 5\), width'
  prints "inspect $shape: dtype" '^weights +F32 in 1 safetensors file, '
  prints "inspect $shape: tokenizer" '^tokenizer +tokenizer\.json, [0-9]+ ids'
  prints "inspect $shape: memory" '^memory .* weights \+ .* = '
  run "$X" inspect -m $shape --json
  is_json "inspect $shape --json is JSON" out
  same "inspect $shape --json: layers" "$(field layers <out)" 6
  same "inspect $shape --json: nothing on stderr" "$(cat err)" ""
done
run "$X" inspect -m tiny-llama --json
same "inspect --json: architecture" "$(field architecture <out)" '"LlamaForCausalLM"'
same "inspect --json: no penalty is 1.0" "$(field repetition_penalty <out)" 1.0
same "inspect --json: heads" "$(field heads <out) $(field kv_heads <out)" "4 2"
run "$X" inspect -m tiny-qwen2 --json
same "inspect --json: penalty" "$(field repetition_penalty <out)" 1.05
same "inspect --json: tied embeddings, biases" "$(field tied_embeddings <out) $(field qkv_bias <out)" "true true"
same "inspect --json: no BOS" "$(field bos <out)" null
run "$X" inspect -m tiny-mistral --json
same "inspect --json: sliding window" "$(field sliding_window <out)" 24
printf '{"eos_token_id": 2, "no_repeat_ngram_size": 3, "suppress_tokens": [7], "min_length": 0}' >tiny-llama/generation_config.json
run "$X" inspect -m tiny-llama
prints "inspect: generation settings" '^generation     no_repeat_ngram_size, suppress_tokens$'
rm tiny-llama/generation_config.json

run "$X" init-model --like tiny-llama --layers 3 --dtype bf16 --seed 7 --quiet -o small
same "init-model --quiet says nothing" "$code $(cat out err)" "0 "
run "$X" inspect -m small --json
same "init-model --layers --dtype" "$(field layers <out) $(field weight_dtype <out)" '3 "BF16"'
"$X" init-model --like tiny-llama --layers 3 --dtype bf16 --seed 7 --quiet -o again
same "init-model: a seed's bytes are the same" "$(cksum <small/model.safetensors)" "$(cksum <again/model.safetensors)"
"$X" init-model --like tiny-llama --layers 3 --dtype bf16 --seed 8 --quiet -o other
[ "$(cksum <small/model.safetensors)" != "$(cksum <other/model.safetensors)" ] && pass "init-model: another seed, other bytes" || fail "init-model: another seed, other bytes" "same"
run "$X" init-model --like tiny-llama --tokenizer tiny-llama --quiet -o adopted
expect "init-model --tokenizer" 0
same "init-model --tokenizer copies the files" "$(cksum <adopted/tokenizer.json)" "$(cksum <tiny-llama/tokenizer.json)"

refuses_like "init-model: folder that is not empty" 3 '^xtransplant init-model: tiny-llama: .*not empty' "$X" init-model --like tiny-llama -o tiny-llama
: >file
refuses_like "init-model: below a file" 3 '^xtransplant init-model: file/new: .*Not a directory$' "$X" init-model --like tiny-llama -o file/new
refuses_like "init-model: in /proc" 3 '^xtransplant init-model: /proc/new: ' "$X" init-model --like tiny-llama -o /proc/new
refuses_like "init-model: no tokenizer there" 3 '^xtransplant init-model: .*nowhere' "$X" init-model --like tiny-llama --tokenizer nowhere -o fresh
# A file may grow to 100 kB here, which the weights do not fit into.
refuses_like "init-model: no room" 3 '^xtransplant init-model: full/model.safetensors: cannot write: File too large$' \
  sh -c "trap '' XFSZ; ulimit -f 200; exec \"$X\" init-model --like tiny-llama -o full"
[ -e full ] && fail "init-model: nothing stays of one that failed" "$(ls full)" || pass "init-model: nothing stays of one that failed"
if [ -z "${XT_TEST_BRIEF:-}" ]; then # a real shape: 300 MB, in blocks
  for threads in 1 3; do "$X" init-model --like qwen2-0.5b --layers 1 --threads $threads --quiet -o big$threads; done
  cmp -s big1/model.safetensors big3/model.safetensors && pass "init-model: the bytes do not depend on the threads" || fail "init-model: the bytes do not depend on the threads" "differ"
  rm -rf big1 big3
  "$X" init-model --like tinyllama-1.1b -o stopped 2>err &
  while [ ! -e stopped/config.json ] && kill -0 $! 2>/dev/null; do :; done
  kill -TERM $!
  wait $!
  same "init-model: stopped" "$? $(cat err)" "143 xtransplant init-model: stopped: stopped; nothing was written"
  [ -e stopped ] && fail "init-model: nothing stays of one that was stopped" "$(ls stopped)" || pass "init-model: nothing stays of one that was stopped"
fi
[ -e fresh ] && fail "init-model: refused, nothing made" "fresh exists" || pass "init-model: refused, nothing made"

refuses_like "inspect: no such model" 3 '^xtransplant inspect: nowhere.*No such file or directory$' "$X" inspect -m nowhere
mkdir empty
refuses_like "inspect: empty folder" 3 '^xtransplant inspect: empty.*' "$X" inspect -m empty
cp -r small broken
echo '{' >broken/config.json
refuses_like "inspect: broken config.json" 3 '^xtransplant inspect: broken/config\.json: .*at byte ' "$X" inspect -m broken
cp -r small short
head -c 3000 small/model.safetensors >short/model.safetensors
refuses_like "inspect: truncated weights" 3 '^xtransplant inspect: short/model\.safetensors: ' "$X" inspect -m short
cp -r small none
rm none/model.safetensors
refuses_like "inspect: no weights" 3 '^xtransplant inspect: none' "$X" inspect -m none

printf 'Hello' >hello
refuses_like "no such device" 3 '^xtransplant generate: .*there is no device "cuda:99"' \
  "$X" generate -m small --prompt-file hello --device cuda:99
refuses_like "unknown kernels" 3 '^xtransplant generate: .*nothing' "$X" generate -m small --prompt-file hello --kernels nothing
refuses_like "memory limit too small" 3 '^xtransplant generate: .*(memory limit|memory)' "$X" generate -m small --prompt-file hello --memory 10K
run "$X" generate -m small --prompt-file hello --memory 1G --threads 1 --json
expect "memory limit that is enough" 0
cp out one
for kernels in portable reference; do
  run "$X" generate -m small --prompt-file hello --kernels $kernels --json
  expect "--kernels $kernels" 0
done
run "$X" generate -m small --prompt-file hello --threads 2 --json
same "threads do not change the result" "$(cat out)" "$(cat one)"
run "$X" generate -m small --prompt-file hello --compute bf16 --json
expect "--compute bf16" 0

finish

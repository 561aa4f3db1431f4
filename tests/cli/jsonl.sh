#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# generate --jsonl and capture --jsonl: each prompt of the file gives what it gives by itself.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
small="-m $model --threads 1 --quiet"
cat >lines.jsonl <<'END'
"Question one: what is it?\nAnswer:"
{"input_text": "Question two: what is it?\nAnswer:"}
"x"
"Question one: what is it?\nAnswer:"
"Question one: what"
END
run "$X" generate $small --jsonl lines.jsonl --json
expect "generate --jsonl" 0
cp out all
run "$X" generate $small --jsonl - <lines.jsonl
expect "generate --jsonl, as text" 0
same "generate --jsonl, as text: a line each" "$(wc -l <out | tr -d ' ') $(sed -n 1p out)" "5 $(sed -n 4p out)"
run "$X" capture $small --jsonl lines.jsonl -o all.safetensors --json
expect "capture --jsonl" 0
same "capture --jsonl: prompts" "$(field prompts <out)" 5
layers=$(field layers <out) width=$(field width <out) vocab=$(field vocab <out)
# floats FILE FIRST COUNT: of the tensors' values
floats() {
  start=$(($(od -An -tu8 -N8 "$1") + 8 + 4 * $2))
  tail -c +$((start + 1)) "$1" | head -c $((4 * $3))
}
for k in 1 2 3 4 5; do
  "$X" generate $small -f lines.jsonl --line $k --json >one
  sed -n ${k}p all | cmp -s - one && pass "generate: prompt $k" || fail "generate: prompt $k" "$(diff one all | head -2)"
  "$X" capture $small -f lines.jsonl --line $k -o one.safetensors
  each=$((layers * width))
  {
    floats all.safetensors $(((k - 1) * width)) $width
    for tap in 0 1 2 3; do floats all.safetensors $((5 * width + (5 * tap + k - 1) * each)) $each; done
    floats all.safetensors $((5 * (width + 4 * each) + (k - 1) * vocab)) $vocab
  } >values
  floats one.safetensors 0 $((width + 4 * each + vocab)) | cmp -s - values && pass "capture: prompt $k" || fail "capture: prompt $k"
done
grep -aq '"ids":"\[\[[0-9, ]*\], \[' all.safetensors && pass "capture --jsonl: ids of each prompt" || fail "capture --jsonl: ids of each prompt" "$(head -c 900 all.safetensors)"

# ---- refused
refuses_like "two prompts" 2 'takes the place of --prompt' "$X" generate $small --jsonl lines.jsonl -p x
refuses_like "samples" 2 'are of one prompt' "$X" generate $small --jsonl lines.jsonl --samples 2
refuses_like "a mean" 2 'cannot be combined with --mean' "$X" capture $small --jsonl lines.jsonl --mean lines.jsonl -o no.npy
: >empty
refuses_like "no prompts" 3 'has no prompts' "$X" generate $small --jsonl empty
printf '"a"\n7\n' >wrong
refuses_like "a wrong line" 3 'line 2' "$X" capture $small --jsonl wrong -o no.safetensors
finish

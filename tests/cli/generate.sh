#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# generate and capture: prompts of every kind, results, refusals.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
printf 'What is the capital of France?\nAnswer:' >prompt
"$X" tokenize --tokenizer "$model" <prompt >prompt.ids

run "$X" generate -m "$model" --prompt-file prompt --json
expect "generate --json" 0
is_json "generate --json is JSON" out
same "generate --json: one line" "$(wc -l <out)" 1
same "generate --json: the prompt's ids" "$(field prompt_ids <out)" "$(cat prompt.ids)"
cp out json
ids=$(field ids <json)
count=$(echo "$ids" | tr ',' '\n' | wc -l)
[ "$count" -le 20 ] && pass "generate: 20 tokens at most" || fail "generate: 20 tokens at most" "$count"
for key in margins entropies logprobs; do
  same "generate --json: as many $key as ids" "$(field $key <json | tr ',' '\n' | wc -l)" "$count"
done
field margins <json | tr -d '[] ' | tr ',' '\n' | awk '$1 < 0 {exit 1}' && pass "margins are not negative" || fail "margins are not negative"
field logprobs <json | tr -d '[] ' | tr ',' '\n' | awk '$1 > 0 {exit 1}' && pass "log-probabilities are not positive" || fail "log-probabilities are not positive"

run "$X" generate -m "$model" --prompt-file prompt
expect "generate" 0
same "generate: a message on stderr" "$(wc -l <err)" 1
cp out text
run "$X" generate -m "$model" --prompt-file prompt --quiet
same "generate --quiet: the same text, no message" "$(cksum <out) $(cat err)" "$(cksum <text) "
# (the model has 320 ids and its vocabulary 259: the others are no text)
echo "$ids" | tr -d '[] ' | tr ',' '\n' | awk '$1 < 259 {printf "%s%s", n++ ? ", " : "[", $1} END {print "]"}' | "$X" detokenize --tokenizer "$model" --skip-special >decoded
same "the text is what the ids say" "\"text\": $(cat decoded)" "$(grep -o '"text": "\([^"\]\|\\.\)*"' json | tail -1)"

run sh -c "\"$X\" generate -m \"$model\" --prompt-file - --json <prompt"
same "the prompt from stdin" "$(cat out)" "$(cat json)"
run "$X" generate -m "$model" --prompt-file prompt.ids --ids --json
same "the prompt as ids" "$(cat out)" "$(cat json)"
printf '"something else"\n"What is the capital of France?\\nAnswer:"\n' >split.json
run "$X" generate -m "$model" --prompt-file split.json --line 2 --json
same "the prompt as a JSON line" "$(cat out)" "$(cat json)"
printf '{"label": [1, 0], "input_text": "What is the capital of France?\\nAnswer:", "country": "fr"}\n' >objects.jsonl
run "$X" generate -m "$model" --prompt-file objects.jsonl --line 1 --json
same "the prompt as an object's input_text" "$(cat out)" "$(cat json)"
{ echo '[1]'; cat prompt.ids; } >ids.jsonl
run "$X" generate -m "$model" --prompt-file ids.jsonl --ids --line 2 --json
same "the prompt as a line of ids" "$(cat out)" "$(cat json)"

run "$X" generate -m "$model" --prompt-file prompt --max-new-tokens 3 --json
same "--max-new-tokens" "$(field ids <out | tr ',' '\n' | wc -l)" 3
same "a shorter response is the longer one's begin" "$(field ids <out | tr -d ']')" "$(echo "$ids" | awk -F, '{print $1 "," $2 "," $3}')"
run "$X" generate -m "$model" --prompt-file prompt --repetition-penalty 1.5 --json
expect "--repetition-penalty" 0
run "$X" generate -m "$model" --prompt-file prompt --repetition-penalty 1 --json
same "a penalty of 1 is none" "$(cat out)" "$(cat json)"

cp -r "$model" mute
rm -f mute/tokenizer* mute/vocab.json mute/special_tokens_map.json
run "$X" generate -m mute --prompt-file prompt.ids --ids --json
same "a model without a tokenizer takes ids" "$code $(field ids <out) $(field text <out)" "0 $ids null"
run "$X" generate -m mute --prompt-file prompt.ids --ids --quiet
same "... and prints ids" "$(cat out)" "$(echo "$ids" | tr -d '[],')"
refuses "... and refuses text" 3 "xtransplant generate: mute: the model has no tokenizer; give the prompt as token ids, with --ids" \
  "$X" generate -m mute --prompt-file prompt

cp -r "$model" tied
sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true/' tied/config.json
run "$X" generate -m tied --prompt-file prompt.ids --ids --json
same "a model that ties its head, with a head of its own in the file, uses it" "$(grep -c '"tie_word_embeddings": true' tied/config.json) $code $(field ids <out)" "1 0 $ids"

g="$X generate -m $model --prompt-file"
refuses "no such file" 3 "xtransplant generate: nowhere: cannot open: No such file or directory" $g nowhere
refuses "a folder as prompt" 3 "xtransplant generate: .: cannot read: is a directory" $g .
: >empty
refuses "no line there" 3 "xtransplant generate: split.json: has no line 3; it has 2 lines" $g split.json --line 3
refuses "line that is no JSON" 3 "xtransplant generate: prompt: line 1: at byte 4: not JSON: invalid token" $g prompt --line 1
refuses "line without input_text" 3 "xtransplant generate: ids.jsonl: line 1: neither a JSON string nor an object with a string input_text" $g ids.jsonl --line 1
refuses "no ids" 3 "xtransplant generate: split.json: line 1: not a JSON array of token ids" $g split.json --ids --line 1
echo '[]' >none
refuses "no tokens" 3 "xtransplant generate: none: the prompt has no tokens" $g none --ids
echo '[1, 320]' >beyond
refuses "id beyond the vocabulary" 3 "xtransplant generate: beyond: token 1 is 320: the model's ids are 0 to 319" $g beyond --ids
awk 'BEGIN {printf "[1"; for (i = 1; i < 2048; i++) printf ", %d", 3 + i % 200; printf "]"}' >full
refuses "prompt too long" 3 "xtransplant generate: full: the prompt is too long: its 2048 tokens and 2 new ones need 2049 positions; the model has 2048" \
  $g full --ids --max-new-tokens 2
run $g full --ids --max-new-tokens 1 --json
expect "the longest prompt" 0
if [ -w /dev/full ]; then
  sh -c "$g prompt --quiet >/dev/full" 2>err
  same "full disk" "$? $(cat err)" "1 xtransplant generate: stdout: cannot write: No space left on device"
fi

# ---- capture
run "$X" capture -m "$model" --prompt-file prompt -o taps.safetensors
expect "capture" 0
same "capture: nothing on stdout" "$(cat out)" ""
size=$(od -An -tu8 -N8 taps.safetensors | tr -d ' ')
dd if=taps.safetensors bs=1 skip=8 count="$size" 2>/dev/null | tr -d ' ' >header
for tensor in 'embed":{"dtype":"F32","shape":\[64\]' 'attn":{"dtype":"F32","shape":\[6,64\]' 'mid":{"dtype":"F32","shape":\[6,64\]' \
  'ffn":{"dtype":"F32","shape":\[6,64\]' 'block":{"dtype":"F32","shape":\[6,64\]' 'logits":{"dtype":"F32","shape":\[320\]'; do
  grep -q "\"$tensor" header && pass "capture: has ${tensor%%\"*}" || fail "capture: has ${tensor%%\"*}" "$(cat header)"
done
same "capture: ids in the metadata" "$(sed 's/.*"ids":"\([^"]*\)".*/\1/' header)" "$(tr -d ' ' <prompt.ids)"
same "capture: the size is what the header says" "$(wc -c <taps.safetensors)" $((8 + size + 4 * (64 + 4 * 6 * 64 + 320)))
run "$X" capture -m "$model" --prompt-file prompt -o again.safetensors --json
is_json "capture --json is JSON" out
cmp -s taps.safetensors again.safetensors && pass "capture: the same bytes again" || fail "capture: the same bytes again" "differ"
: >file
for path in file/taps /proc/taps nowhere/taps; do
  refuses_like "capture: $path cannot be written" 3 "^xtransplant capture: $path: cannot write: " "$X" capture -m "$model" --prompt-file prompt -o $path
done
mkfifo pipe
cat pipe >through & reader=$!
run "$X" capture -m "$model" --prompt-file prompt -o pipe
wait $reader
same "capture: a FIFO is written into and stays one" "$code $(cmp through taps.safetensors && [ -p pipe ] && echo same)" "0 same"
"$X" capture -m "$model" --prompt-file prompt -o /dev/stdout 2>/dev/null | cmp - taps.safetensors && pass "capture: /dev/stdout" || fail "capture: /dev/stdout" "differs"
ln -s taps.safetensors link
run "$X" capture -m "$model" --prompt-file prompt -o link
same "capture: a link stays one" "$code $([ -L link ] && [ ! -L taps.safetensors ] && cmp taps.safetensors again.safetensors && echo link)" "0 link"
same "capture: no file is left over" "$(ls | grep -c partial)" 0
refuses_like "capture: output missing" 2 "^xtransplant capture: --output: missing; -o, --output FILE: " "$X" capture -m "$model" --prompt-file prompt

# ---- drawn responses
g="$X generate -m $model --prompt hello -n 6 --quiet"
run $g --samples 5 --json
cp out five
same "samples: a line each" "$code $(wc -l <five) $(sed -n 's/.*"sample": \([0-9]*\).*/\1/p' five | tr '\n' ' ')" "0 5 0 1 2 3 4 "
$g --samples 2 --json --threads 1 >two
same "samples: the same whatever is drawn beside them" "$(head -2 five | cmp - two 2>&1)" ""
same "samples: another seed, others" "$($g --samples 5 --json --seed 2 | cmp -s - five; echo $?)" 1
$g --json | sed -n 's/.*"ids": \(\[[^]]*\]\).*/\1/p' >greedy
$g --samples 1 --temperature 1e-6 --json | sed -n 's/.*"ids": \(\[[^]]*\]\).*/\1/p' >cold
same "samples: without temperature the greedy one" "$(cmp greedy cold 2>&1)" ""
refuses "samples: a seed without" 2 "xtransplant generate: --seed: needs --samples, because nothing is drawn without it" $g --seed 3

finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prompts: the line end of a file, byte order marks, stdin, text on the command line; the last token is always shown.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
printf 'Jibu:' >plain
printf 'Jibu:\n' >ended
printf 'Jibu:\r\n' >windows
printf '\357\273\277Jibu:\n' >marked
printf 'Jibu:\n\n' >twice
printf '\n' >only
"$X" tokenize --tokenizer "$model" <plain >plain.ids
"$X" tokenize --tokenizer "$model" <ended >ended.ids
"$X" tokenize --tokenizer "$model" <windows >windows.ids
newline=$(tr -d '[]' <ended.ids | sed 's/.*, //')

ids_of() { run "$X" generate -m "$model" -n 1 --json "$@"; field prompt_ids <out; }
same "a file without a line end" "$(ids_of -f plain)" "$(cat plain.ids)"
for file in ended windows marked; do same "one line end is no part of the prompt: $file" "$(ids_of -f $file)" "$(cat plain.ids)"; done
same "of two line ends one is" "$(ids_of -f twice)" "$(cat ended.ids)"
same "--keep-newline" "$(ids_of -f ended --keep-newline)" "$(cat ended.ids)"
same "--keep-newline keeps both characters" "$(ids_of -f windows --keep-newline)" "$(cat windows.ids)"
same "--keep-newline skips a byte order mark" "$(ids_of -f marked --keep-newline)" "$(cat ended.ids)"
run sh -c "\"$X\" generate -m \"$model\" -n 1 -f - --json <marked"
same "stdin: neither mark nor line end" "$(field prompt_ids <out)" "$(cat plain.ids)"
same "--prompt is the prompt" "$(ids_of --prompt Jibu:)" "$(cat plain.ids)"
same "--prompt keeps what it has" "$(ids_of --prompt "$(printf 'Jibu:\n.')" | tr ',' '\n' | wc -l)" "$(printf 'Jibu:\n.' | "$X" tokenize --tokenizer "$model" | tr ',' '\n' | wc -l)"
printf '\357\273\277"Jibu:"\n"other\\n"\n' >lines.jsonl
same "a JSON line behind a byte order mark" "$(ids_of -f lines.jsonl --line 1)" "$(cat plain.ids)"
same "a JSON line's own line end stays" "$(ids_of -f lines.jsonl --line 2 | sed 's/.*, //; s/]//')" "$newline"
printf '\357\273\277%s\n' "$(cat plain.ids)" >marked.ids
same "ids behind a byte order mark" "$(ids_of -f marked.ids --ids)" "$(cat plain.ids)"
same "--prompt with --ids" "$(ids_of --prompt "$(cat plain.ids)" --ids)" "$(cat plain.ids)"

# ---- the last token
colon=$(tr -d '[]' <plain.ids | sed 's/.*, //')
last() { grep -o '"last_token": {[^}]*}' out | head -1; }
run "$X" generate -m "$model" -f ended -n 1 --json
same "generate --json: last_token" "$(last)" "\"last_token\": {\"id\": $colon, \"text\": \":\"}"
run "$X" generate -m "$model" -f ended -n 1
grep -q "last token $colon \":\"" err && pass "generate: the last token on stderr" || fail "generate: the last token on stderr" "$(cat err)"
run "$X" generate -m "$model" -f ended -n 1 --keep-newline
grep -qF "last token $newline \"\\n\"" err && pass "generate: a line end is seen" || fail "generate: a line end is seen" "$(cat err)"
run "$X" capture -m "$model" -f ended -o taps.safetensors --json
same "capture --json: last_token" "$(last)" "\"last_token\": {\"id\": $colon, \"text\": \":\"}"
run "$X" capture -m "$model" -f ended -o taps.safetensors
grep -q "last token $colon \":\"" err && pass "capture: the last token on stderr" || fail "capture: the last token on stderr" "$(cat err)"
transplant="--site ffn --source-layer 0 --target-layer 0 -n 1"
for verb in run lens; do
  run "$X" $verb -m "$model" --source 'What is' --target-file ended $transplant
  s=$(printf 'What is' | "$X" tokenize --tokenizer "$model" | tr -d '[]' | sed 's/.*, //')
  same "$verb: both last tokens on stderr" "$(cat err)" "source: last token $s \"s\"
target: last token $colon \":\""
  run "$X" $verb -m "$model" --source 'What is' --target-file ended $transplant --json
  same "$verb --json: a last token for each run" "$(grep -o '"last_token": {"id": [0-9]*' out | sed 's/.* //' | tr '\n' ' ')" "$s $colon $colon "
  run "$X" $verb -m "$model" --source-file ended --target-file plain $transplant --keep-newline --json
  same "$verb: --keep-newline" "$(grep -o '"last_token": {"id": [0-9]*' out | sed 's/.* //' | tr '\n' ' ')" "$newline $colon $colon "
done
run "$X" lens -m "$model" --prompt 'Jibu:' -n 1
same "lens of a prompt: its last token on stderr" "$(cat err)" "prompt: last token $colon \":\""

# ---- refusals
g="$X generate -m $model"
refuses "no prompt" 2 "xtransplant generate: --prompt-file: missing; give it, or the prompt itself with --prompt" $g
refuses "two prompts" 2 "xtransplant generate: --prompt: cannot be combined with --prompt-file" $g --prompt a -f plain
refuses "a line of no file" 2 "xtransplant generate: --line: selects a line of a prompt file, and --prompt is not a file" $g --prompt a --line 1
refuses "no target" 2 "xtransplant run: --target-file: missing; give it, or the prompt itself with --target" "$X" run -m "$model" --source a $transplant
refuses "two sources" 2 "xtransplant run: --source: cannot be combined with --source-file" "$X" run -m "$model" --source a --source-file plain --target b $transplant
refuses "stdin twice" 2 "xtransplant run: --target-file: stdin is the source prompt already" "$X" run -m "$model" --source-file - --target-file - $transplant
cp -r "$model" bare && rm bare/tokenizer*
refuses "nothing but a line end, and no BOS" 3 "xtransplant generate: none: the prompt has no tokens" sh -c "echo '[]' >none; $g -f none --ids"

# ---- other readers of text
printf '\357\273\277{"id": "a", "lang": "sw", "source": "a", "target": "b"}\n' >pairs.jsonl
run "$X" sweep -m "$model" --pairs pairs.jsonl --site ffn --source-layers 0 --target-layers 0 -n 1 --quiet -o pairs.db
expect "sweep --pairs behind a byte order mark" 0
printf 'one two three\nfour five six\n' >text.txt
printf '\357\273\277one two three\nfour five six\n' >text.bom
for format in text lines; do
  for file in text.txt text.bom; do "$X" train -m "$model" -d $file --format $format --steps 1 --threads 1 --quiet -o $format-$file || fail "train $file"; done
  cmp -s $format-text.txt/training.jsonl $format-text.bom/training.jsonl && pass "train --format $format: a byte order mark is skipped" ||
    fail "train --format $format: a byte order mark is skipped" "$(diff $format-text.txt/training.jsonl $format-text.bom/training.jsonl)"
done
for file in text.txt text.bom; do "$X" train-tokenizer --vocab 280 -o tok-$file $file --quiet; done
cmp -s tok-text.txt/tokenizer.json tok-text.bom/tokenizer.json && pass "train-tokenizer: a byte order mark is skipped" || fail "train-tokenizer: a byte order mark is skipped"
mkdir raw && printf '{"data": [{"paragraphs": [{"context": "C", "qas": [{"id": "1", "question": "Q?", "answers": [{"text": "A"}]}]}]}]}' >raw/xquad.en.json
printf '\357\273\277{"en": "{context} {question}"}' >templates.json
run "$X" pilotset --task xquad --raw raw --lang en -n 0 --templates templates.json --quiet -o XQuAD
expect "pilotset --templates behind a byte order mark" 0

finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# verify and bench. The reference is this program's own output, so what is checked here is the
# verb; the engine's agreement with Hugging Face is checked by the golden tests.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
printf 'What is the capital of France?' >en
printf 'Mji mkuu wa Ufaransa ni upi?' >sw
mkdir reference
for name in en sw; do
  "$X" capture -m "$model" --prompt-file $name --quiet -o reference/$name.safetensors
  "$X" generate -m "$model" --prompt-file $name --json >$name.json
done
"$X" run -m "$model" --source-file en --target-file sw --site ffn --source-layer 3 --target-layer 1 --json >run.json
reference() { # GREEDY-IDS-OF-EN
  cat >reference/reference.json <<JSON
{"format": 1, "prompts": [
  {"name": "en", "ids": $(field prompt_ids <en.json), "taps": "en.safetensors"},
  {"name": "sw", "ids": $(field prompt_ids <sw.json), "taps": "sw.safetensors"}],
 "greedy": [{"prompt": "en", "repetition_penalty": 1.0, "ids": $1}],
 "transplants": [{"source": "en", "target": "sw", "site": "ffn", "source_layer": 3, "target_layer": 1,
  "ids": $(object_field transplanted ids <run.json)}]}
JSON
}
reference "$(field ids <en.json)"
run "$X" verify -m "$model" --reference reference
expect "verify" 0
prints "verify: a line a tap" '^en attn .* PASS$'
prints "verify: greedy tokens" '^greedy.* PASS$'
prints "verify: verdict" '^PASS: [0-9]+ of [0-9]+ within tolerance$'
run "$X" verify -m "$model" --reference reference --json
same "verify --json" "$code $(field passed <out)" "0 true"
is_json "verify --json is JSON" out

mkdir control
sed 's/"site": "ffn"/"site": "ffn+random"/' reference/reference.json >control/reference.json
cp reference/*.safetensors control
run "$X" verify -m "$model" --reference control
same "verify: a site with a control" "$code $(tail -1 err)" "3 xtransplant verify: control/reference.json: transplants: an entry's site has a control"

reference "[5, 5, 5]"
run "$X" verify -m "$model" --reference reference
expect "verify: a difference is a failure" 1
prints "verify: the line that fails" '^greedy.* FAIL$'
prints "verify: verdict of failure" '^FAIL: '
same "verify: a failure needs no message" "$(cat err)" ""
run "$X" verify -m "$model" --reference reference --json
same "verify --json of a failure" "$code $(field passed <out)" "1 false"

# margins belong to the ids: as many of them, or the file is wrong
for margins in "[1.5]" "$(seq -s, -f '%g' 1 300 | sed 's/.*/[&]/')" '"many"'; do
  reference "$(field ids <en.json), \"margins\": $margins"
  refuses_like "verify: other margins than ids, $(echo "$margins" | head -c 12)" 3 '^xtransplant verify: reference/reference\.json: .*margins: is not an array with one number per id$' \
    "$X" verify -m "$model" --reference reference --json
done

refuses_like "verify: no reference" 3 '^xtransplant verify: nowhere/reference\.json: ' "$X" verify -m "$model" --reference nowhere
echo '{' >reference/reference.json
refuses_like "verify: broken reference" 3 '^xtransplant verify: reference/reference\.json: ' "$X" verify -m "$model" --reference reference
refuses_like "verify: no reference given" 2 '^xtransplant verify: --reference: missing; ' "$X" verify -m "$model"

run "$X" bench -m "$model" --prompt-tokens 32 --rows 1,4 --new-tokens 3 --repeats 1
expect "bench" 0
prints "bench: peak" '^peak measured here: [0-9.]+ GFLOP/s, [0-9.]+ GB/s read from memory$'
prints "bench: prefill" '^prefill, 32 tokens +[0-9.]+ +[0-9.]+ +[0-9.]+% +[0-9.]+%$'
prints "bench: decode" '^decode, 4 rows +[0-9.]+ +[0-9.]+ +[0-9.]+% +[0-9.]+% +[0-9.]+%$'
prints "bench: says how it counts" '2 x parameters in matrix products x tokens'
run "$X" bench -m "$model" --prompt-tokens 32 --rows 1,4 --new-tokens 3 --repeats 1 --json
same "bench --json" "$code $(field prompt_tokens <out) $(grep -o '"rows": [0-9]*' out | tr -d '\n')" '0 32 "rows": 1"rows": 4'
same "bench --json: processor time" "$(grep -o '"processor_seconds": [0-9.e-]*' out | awk '$2 > 0 && $2 < 60' | wc -l)" 3
is_json "bench --json is JSON" out
run "$X" bench -m "$model" --sweep attn --source-layers last --target-layers first -p 16 -n 2 --effects 5 --repeats 2
expect "bench --effects" 0
prints "bench --effects: what was swept" '^sweep: 1 instance, 2 responses, 2 new tokens; a vocabulary of [0-9]+, 5 tracked tokens a question$'
prints "bench --effects: rounds" '^round 2  +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$'
prints "bench --effects: both times" '^Numbers of first tokens take [-+][0-9.]+% processor time, [-+][0-9.]+% time'
run "$X" bench -m "$model" --sweep attn --source-layers last --target-layers first -p 16 -n 2 --effects 5 --repeats 2 --json
same "bench --effects --json" "$code $(grep -o '"with": {"processor_seconds": [0-9.e-]*' out | awk '$3 > 0 && $3 < 60' | wc -l) $(grep -c '"more_processor_time": ' out)" "0 2 1"
is_json "bench --effects --json is JSON" out
refuses "bench: --effects of no sweep" 2 "xtransplant bench: --effects is about a sweep; give its sites with --sweep" "$X" bench -m "$model" --effects 5
# a prompt takes longer than the token after it, on a machine where others run too
run "$X" bench -m "$model" --prompt-tokens 1800 --rows 8 --new-tokens 2 --repeats 2 --json
speed=$(sed 's/.*"decode": \[{[^}]*"tokens_per_second": \([0-9.e+]*\).*/\1/' out)
# (null: other programs took more time than the tokens did, and bench says that it does not know)
case $speed in *null*) speed=2 ;; esac
same "bench: a token has a speed that can be" "$code $(awk "BEGIN {print ($speed > 1 && $speed < 1e6)}")" "0 1"
refuses "bench: too long" 3 "xtransplant bench: --prompt-tokens: 2040, and 20 new tokens, are more than the model's 2048 positions" \
  "$X" bench -m "$model" --prompt-tokens 2040

finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# metrics: perplexity in three senses, languages, stopping, refusals.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
data=$here/../data/langid
small="-m $model --threads 1 --quiet"
i=0
while [ $i -lt 4 ]; do
  printf '{"id": "q%d", "lang": "%s", "source": "Question %d: (1) (2) (3)\\nAnswer:", "target": "Swali la %d:\\nJibu:", "gold": "1", "task": "xnli"}\n' \
    $i "$([ $((i % 2)) -eq 0 ] && echo sw || echo tr)" $i $i
  i=$((i + 1))
done >pairs.jsonl
"$X" sweep $small --pairs pairs.jsonl --site attn,block -o r.db || fail "sweep"
cp r.db plain.db
values() { "$X" metrics r.db --json "$@" 2>/dev/null; }

# ---- nothing asked for: what is there, and self
run "$X" metrics r.db
expect "no values" 0
prints "no values: table" '^xnli +all +vanilla +4 +- +- +[0-9.]+ +- +- +-$'
cmp -s r.db plain.db && pass "printing writes nothing" || fail "printing writes nothing"

# ---- perplexity
run "$X" metrics r.db -m "$model" --threads 1 --perplexity standalone,conditional
expect "perplexity" 0
same "perplexity: message" "$(cat err | sed 's/[0-9][0-9]* values/N values/')" "r.db: N values added"
values --by-lang >rows
same "a line a language, their sum, a site" "$(sed 's/.*"lang": \([^,]*\), "site": "\([^"]*\)", "responses": \([0-9]*\),.*/\1 \2 \3/' rows | tr '\n' ';')" \
  '"sw" vanilla 2;"tr" vanilla 2;null vanilla 4;"sw" attn 72;"tr" attn 72;null attn 144;"sw" block 72;"tr" block 72;null block 144;'
is_json "metrics --json is JSON" rows
vanilla=$(grep '"lang": null, "site": "vanilla"' rows)
# this model has no repetition penalty: an untouched run's tokens given the prompt are what it was sure of when it made them
close() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a > 1 && d <= 1e-6 * a) }'; }
conditional=$(echo "$vanilla" | sed 's/.*"conditional": {"mean": \([0-9.e+-]*\).*/\1/') self=$(echo "$vanilla" | sed 's/.*"self": {"mean": \([0-9.e+-]*\).*/\1/')
close "$conditional" "$self" && pass "conditional is self of an untouched run" || fail "conditional is self of an untouched run" "$conditional $self"
before=$(cksum <r.db)
run "$X" metrics r.db -m "$model" --threads 1 --perplexity standalone,conditional
same "a finished one does nothing" "$(cat err) $(cksum <r.db)" "r.db: all values are present; nothing to do $before"
# in two steps, by other threads, after more responses: the same
cp plain.db steps.db
"$X" metrics steps.db -m "$model" --threads 2 --quiet --perplexity conditional >/dev/null
"$X" metrics steps.db -m "$model" --threads 2 --quiet >/dev/null
"$X" metrics steps.db --json --by-lang >steps
cmp -s rows steps && pass "in two steps the same" || fail "in two steps the same" "$(diff rows steps | head -4)"
# killed in the middle, it goes on
cp plain.db killed.db
for wait in 0.02 0.05 0.1 0.2; do
  "$X" metrics killed.db $small --perplexity standalone,conditional >/dev/null 2>&1 &
  pid=$!
  sleep $wait
  kill -9 $pid 2>/dev/null
  wait $pid 2>/dev/null
done
"$X" metrics killed.db $small --perplexity standalone,conditional --json --by-lang >killed
cmp -s rows killed && pass "killed and gone on with" || fail "killed and gone on with"

# ---- languages
lid="--lid $data/tiny.ftz" # empty in a build without fastText
cp r.db lid.db
"$X" metrics lid.db $lid 2>&1 | grep -q 'it has no fastText library' && lid=
if [ "$lid" ]; then
run "$X" metrics r.db $lid --json
expect "languages" 0
same "languages: all are identified" "$(grep '"site": "attn"' out | field identified)" 144
before=$(cksum <r.db)
run "$X" metrics r.db $lid
same "languages: a finished one does nothing" "$(cat err) $(cksum <r.db)" "r.db: all values are present; nothing to do $before"
prints "languages: table" '^xnli +all +block +144 .* [0-9.]+ +[0-9.]+ +([0-9.]+|-)$'
refuses_like "another identification file" 3 "^xtransplant metrics: r.db: lid: the store's languages were identified with another fastText file, with hash [0-9a-f]{12}\.\.\.; this file's hash is " \
  "$X" metrics r.db --lid "$data/tiny.bin"
else
  skip "languages" "needs a build with fastText (XT_FASTTEXT)"
  refuses_like "languages: a build without fastText says so" 3 'this build cannot tell languages apart: it has no fastText library' "$X" metrics r.db --lid "$data/tiny.ftz"
fi

# ---- shards
for k in 1 2; do
  "$X" sweep $small --pairs pairs.jsonl --site attn,block --shard $k/2 -o shard$k.db
  "$X" metrics shard$k.db $small --perplexity standalone,conditional $lid >/dev/null
done
"$X" merge merged.db shard1.db shard2.db --quiet
values --by-lang >rows
"$X" metrics merged.db --json --by-lang >merged
cmp -s rows merged && pass "merged shards have the sums of the whole" || fail "merged shards have the sums of the whole" "$(diff rows merged | head -4)"
run "$X" metrics merged.db $small --perplexity standalone,conditional $lid
same "merged shards lack nothing" "$code $(cat err)" "0 "
if [ "$lid" ]; then
"$X" sweep $small --pairs pairs.jsonl --site attn --limit 1 --source-layers 0 --target-layers 0 -o other2.db
"$X" metrics other2.db --lid "$data/tiny.bin" --quiet >/dev/null
refuses "merge: another identification file" 3 "xtransplant merge: other2.db: lid: its languages were identified with another fastText file than those of an earlier store" \
  "$X" merge new.db shard1.db other2.db
else skip "merge: another identification file" "needs a build with fastText (XT_FASTTEXT)"; fi

# ---- refusals
cp plain.db r.db
refuses_like "no model" 3 "^xtransplant metrics: r.db: --model: missing: [0-9]+ perplexities must be computed; give the model that made the responses$" \
  "$X" metrics r.db --perplexity conditional
"$X" init-model --like tiny-llama --seed 9 --quiet -o other
refuses_like "another model" 3 "^xtransplant metrics: r.db: model: the store has results of another model: tiny-llama, hash " "$X" metrics r.db -m other
refuses_like "another type" 3 "^xtransplant metrics: r.db: compute: the store's results were made with f32, not bf16" "$X" metrics r.db -m "$model" --compute bf16
refuses "no such file" 3 "xtransplant metrics: none.db: cannot open: No such file or directory" "$X" metrics none.db
refuses "no such perplexity" 2 "xtransplant metrics: --perplexity: 'sad' is not one of standalone, conditional, self, none" "$X" metrics r.db --perplexity sad
if [ "$lid" ]; then
refuses "no identification file" 3 "xtransplant metrics: none.bin: cannot open: No such file or directory" "$X" metrics r.db --lid none.bin
printf 'not a model' >bad.bin
refuses "no fastText file" 3 "xtransplant metrics: bad.bin: at byte 0: is not a fastText model: expected a file such as lid.176.bin or lid.176.ftz" "$X" metrics r.db --lid bad.bin
head -c 5000 "$data/tiny.ftz" >cut.ftz
refuses_like "a file cut short" 3 "^xtransplant metrics: cut.ftz: at byte [0-9]+: the file ends here, in the middle of the model; it has 5000 bytes" "$X" metrics r.db --lid cut.ftz
else skip "no fastText file" "needs a build with fastText (XT_FASTTEXT)"; fi
cmp -s r.db plain.db && pass "a refused one writes nothing" || fail "a refused one writes nothing"
refuses "no results file" 2 "xtransplant metrics: give one results file" "$X" metrics

finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# merge of many files: folders, patterns, files that are missing or damaged; and the model's hash, which is kept.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
choice_pairs 12 >pairs.jsonl
sweep="sweep -m $model --threads 1 --quiet --pairs pairs.jsonl --site attn --max-new-tokens 4"
mkdir parts empty
for k in 1 2 3 4; do "$X" $sweep --shard $k/4 -o parts/shard-%k.db || fail "shard $k"; done
rm -f parts/*-wal parts/*-shm
"$X" $sweep -o whole.db && "$X" export whole.db >whole.jsonl

# ---- by folder, by pattern
run "$X" merge folder.db parts --quiet --json
same "a folder" "$code $(field responses <out)" "0 432"
"$X" export folder.db | cmp -s - whole.jsonl && pass "a folder's files are joined" || fail "a folder's files are joined"
run "$X" merge pattern.db 'parts/shard-[1-3].db' parts/shard-4.db --quiet
expect "a pattern" 0
"$X" export pattern.db | cmp -s - whole.jsonl && pass "a pattern's files are joined" || fail "a pattern's files are joined"
run "$X" merge told.db parts
same "how many files" "$(cat err)" "told.db: 432 responses and 12 untouched runs of 12 questions, from 4 files"
run "$X" merge plain.db parts --progress plain
same "progress" "$(head -1 err | sed 's/ETA .*/ETA/')" "1/4 files  ETA"
run "$X" merge none.db parts --progress none
same "no progress" "$(grep -c files.*ETA err)" 0
# ---- shards that are missing are named
lacks() { run "$X" merge "$@" --json; sed -n 's/^A PART: //p' err | tr '\n' ';'; sed -n 's/.*"missing_shards": \(\[.*\]\).*/\1/p' out; }
same "nothing is missing" "$(lacks a1.db parts)" "[]"
same "a shard is missing" "$(lacks a2.db parts/shard-1.db parts/shard-2.db parts/shard-4.db)" \
  'pairs.jsonl: shard 3 of 4 is missing;[{"questions": "pairs.jsonl", "of": 4, "shards": "3"}]'
expect "a shard is missing: that is no failure" 0
same "several are" "$(lacks a3.db parts/shard-3.db)" 'pairs.jsonl: shards 1-2,4 of 4 are missing;[{"questions": "pairs.jsonl", "of": 4, "shards": "1-2,4"}]'
same "of files that were joined before" "$(lacks a4.db a2.db a3.db | cut -d';' -f1)" "[]"
run "$X" merge a5.db parts/shard-2.db nowhere.db --skip-damaged
same "of damaged ones, too" "$code $(sed -n 's/^A PART: //p' err)" "1 pairs.jsonl: shards 1,3-4 of 4 are missing"
run "$X" merge a6.db parts/shard-2.db --quiet
same "--quiet" "$(cat err)" ""
refuses "merged again: under a new name" 3 "xtransplant merge: a6.db: exists already; the joined store has to be a new file" "$X" merge a6.db parts
# a sweep in shards of which one is missing, beside a whole one of other questions; then that one in other shards, which are all there
head -8 pairs.jsonl >fewer.jsonl
"$X" $sweep --pairs fewer.jsonl --shard 2/3 -o fewer-2.db || fail "a shard of fewer"
same "of each sweep by itself" "$(lacks a7.db parts fewer-2.db | cut -d';' -f1-2)" 'fewer.jsonl: shards 1,3 of 3 are missing;[{"questions": "fewer.jsonl", "of": 3, "shards": "1,3"}]'
"$X" $sweep --pairs fewer.jsonl --limit 2 -o limited.db || fail "a limited sweep"
same "a sweep of some questions lacks the others" "$(lacks a8.db fewer-2.db limited.db | cut -d';' -f1)" 'fewer.jsonl: shards 1,3 of 3 are missing'
mkdir elsewhere && cp fewer.jsonl elsewhere
for k in 1 2; do "$X" $sweep --pairs elsewhere/fewer.jsonl --shard $k/2 -o fewer-$k-of-2.db || fail "shard $k of 2"; done
same "all shards of another cut" "$(lacks a9.db fewer-2.db fewer-1-of-2.db fewer-2-of-2.db)" "[]"
"$X" $sweep --pairs fewer.jsonl -o fewer.db || fail "all of fewer"
same "the whole sweep" "$(lacks a10.db fewer-2.db fewer.db)" "[]"
head -2 pairs.jsonl >two.jsonl
for k in 1 2 3; do "$X" $sweep --pairs two.jsonl --shard $k/3 -o two-$k.db || fail "shard $k of two questions"; done
same "a shard without questions is not missing" "$(ls two-3.db 2>/dev/null) $(lacks a11.db two-1.db two-2.db)" " []"
same "but one with a question is" "$(lacks a12.db two-2.db | cut -d';' -f1)" "two.jsonl: shard 1 of 3 is missing"

refuses "an empty folder" 3 "xtransplant merge: empty: has no files named *.db" "$X" merge new.db empty
refuses "a pattern of nothing" 3 "xtransplant merge: parts/x*.db: no file has such a name" "$X" merge new.db 'parts/x*.db'

# ---- what is missing or damaged is named, and the rest is joined
cp parts/shard-2.db damaged.db
pages=$(($(wc -c <damaged.db) / 4096))
dd if=/dev/zero of=damaged.db bs=4096 seek=3 count=$((pages - 3)) conv=notrunc 2>/dev/null
refuses_like "a damaged file" 3 "^xtransplant merge: damaged.db: " "$X" merge new.db parts/shard-1.db damaged.db parts/shard-3.db
same "nothing is left of it" "$(ls new.db* 2>/dev/null)" ""
run "$X" merge rest.db parts/shard-1.db damaged.db parts/shard-3.db nowhere.db --skip-damaged --quiet
expect "--skip-damaged" 1
same "--skip-damaged names them" "$(sed 's/^\(left out: [a-z.]*\): .*/\1/' err | sort | tr '\n' ';')" "left out: damaged.db;left out: nowhere.db;"
"$X" merge two.db parts/shard-1.db parts/shard-3.db --quiet
"$X" export two.db >two.jsonl
"$X" export rest.db | cmp -s - two.jsonl && pass "--skip-damaged joins the others" || fail "--skip-damaged joins the others"
refuses_like "--skip-damaged: none is left" 3 "none of the 1 stores can be read" sh -c '"$1" merge new.db nowhere.db --skip-damaged 2>&1 >/dev/null | tail -1 >&2; exit 3' sh "$X"
# a value that readers refuse: the file and the row are named, and no joined file has it
change() { "$python" -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute(sys.argv[2]); d.commit()' "$@" 2>/dev/null; }
cp parts/shard-2.db value.db && cp parts/shard-4.db site.db
if change value.db "UPDATE responses SET margin = 'wide' WHERE instance = 2 AND source_layer = 1 AND target_layer = 0" &&
  change site.db "UPDATE responses SET site = x'1b' || ']0;x' WHERE instance = 1 AND source_layer = 0 AND target_layer = 0"; then
  refuses "a damaged value" 3 "xtransplant merge: value.db: responses: the store is damaged: a value of margin is not a number, in the row of instance 2, site attn, source_layer 1, target_layer 0" \
    "$X" merge new.db parts/shard-1.db value.db parts/shard-3.db
  same "a damaged value: nothing is left" "$(ls new.db* 2>/dev/null)" ""
  run "$X" merge rest2.db value.db parts/shard-1.db site.db parts/shard-3.db --skip-damaged --quiet
  same "damaged values: what is left out" "$code $(cut -c1-36 err | tr '\n' ';')" "1 left out: value.db: responses: the s;left out: site.db: responses: the st;"
  same "damaged values: no controls for the terminal" "$(tr -d '\n[:print:]' <err | wc -c)" 0
  "$X" export rest2.db | cmp -s - two.jsonl && pass "damaged values: the others are joined" || fail "damaged values: the others are joined"
else skip "a damaged value" "needs Python"; fi
"$X" $sweep --max-new-tokens 3 -o other.db
refuses_like "--skip-damaged: other settings are refused" 3 "^xtransplant merge: other.db: max_new_tokens: is 3" "$X" merge new.db parts/shard-1.db other.db --skip-damaged

# ---- the hash is kept by what the files are, once they are some seconds old
hash_of() { rm -f hash.db hash2.db; "$X" $sweep --limit 1 -o hash.db && "$X" merge hash2.db hash.db --quiet --json | field model_hash; }
true_hash=$(hash_of)
sleep 3
hash_of >first
same "one hash is kept" "$(cat first) $(cat cache/xtransplant/hash-* | wc -c)" "$true_hash 64"
kept=$(ls cache/xtransplant/hash-*)
made_up=$(printf '%064d' 7)
printf '%s' "$made_up" >"$kept"
same "it is used" "$(hash_of)" "\"$made_up\""
printf 'short' >"$kept"
same "what is no hash is not" "$(hash_of)" "$true_hash"
printf '%s' "$made_up" >"$kept"
cp -p "$model/model.safetensors" same && mv same "$model/model.safetensors"
same "another inode of the same time and size is another file" "$(hash_of)" "$true_hash"
sleep 3
hash_of >first
for kept in cache/xtransplant/hash-*; do printf '%s' "$made_up" >"$kept"; done
same "that one is kept, too" "$(hash_of)" "\"$made_up\""
touch "$model/config.json"
same "another time of change" "$(hash_of)" "$true_hash"
finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# options: what is left to do, scoring in steps and after being killed, what is printed and exported.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
small="-m $model --threads 1 --quiet"
choice_pairs 4 >pairs.jsonl
"$X" sweep $small --pairs pairs.jsonl --site attn -o plain.db || fail "sweep"
cp plain.db r.db

# ---- what is there to do
run "$X" options r.db --dry-run
expect "dry run" 0
same "dry run: price" "$(tr -s ' \n' ' ' <out)" "runs 148, of 4 questions, whose prompts are run again options 444 texts to score "
same "dry run: of one source layer" "$("$X" options r.db --dry-run --source-layers last | head -1 | tr -s ' ')" "runs 28, of 4 questions, whose prompts are run again"
refuses "no model" 3 "xtransplant options: r.db: --model: missing: the options of 148 runs must be scored; give the model that made the responses" "$X" options r.db
cmp -s r.db plain.db && pass "nothing is written" || fail "nothing is written"

# ---- scoring
run "$X" options r.db -m "$model" --threads 1 --by-lang --by-config --json
expect "scoring" 0
same "message" "$(cat err)" "r.db: options of 148 runs scored"
cp out rows
is_json "options --json is JSON" rows
same "rows: languages and their sum, of the untouched runs, of the site and of its configurations" "$(sed 's/.*"lang": \([^,]*\), "site": "\([^"]*\)", .*"runs": \([0-9]*\),.*/\1 \2 \3/' rows | LC_ALL=C sort | uniq -c | tr -s ' \n' ' ')" \
  ' 36 "sw" attn 2 1 "sw" attn 72 1 "sw" vanilla 2 36 "tr" attn 2 1 "tr" attn 72 1 "tr" vanilla 2 1 null attn 144 36 null attn 4 1 null vanilla 4 '
run "$X" options r.db
expect "a finished one needs no model" 0
prints "table" '^xnli +all +attn +144 +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$'
same "export" "$("$X" export r.db | grep -c '"options": {"1": -[0-9.]*, "2": -[0-9.]*, "3": -[0-9.]*}, "target"')" 148
same "export of what is not scored" "$("$X" export plain.db | grep -c '"options": null')" 148
same "export --format csv" "$("$X" export r.db --format csv | grep -c ',1=-[0-9.]* | 2=-[0-9.]* | 3=-[0-9.]*$')" 148

# ---- in steps, by other threads, killed in the middle: the same
cp plain.db steps.db
"$X" options steps.db -m "$model" --threads 2 --quiet --untouched >/dev/null
for wait in 0.02 0.05; do
  "$X" options steps.db $small --target-layers 2,3 >/dev/null 2>&1 &
  pid=$!
  sleep $wait
  kill -9 $pid 2>/dev/null
  wait $pid 2>/dev/null
done
"$X" options steps.db $small --by-lang --by-config --json >steps
cmp -s rows steps && pass "in steps the same" || fail "in steps the same" "$(diff rows steps | head -4)"
"$X" export r.db >whole.jsonl
"$X" export steps.db >steps.jsonl
cmp -s whole.jsonl steps.jsonl && pass "in steps the same numbers" || fail "in steps the same numbers"
"$X" merge joined.db plain.db r.db --quiet || fail "merge"
"$X" export joined.db >joined.jsonl
cmp -s whole.jsonl joined.jsonl && pass "joined" || fail "joined"

# ---- what is not in the file: controls, several languages, a vector, a plan
sed 's/"source": \("[^"]*"\)/"source": \1, "sources": {"de": \1, "fr": "Oui?"}/' pairs.jsonl >langs.jsonl
printf '"What a lovely day."\n"I am glad."\n' >happy.jsonl
"$X" capture -m "$model" --threads 1 --quiet --mean happy.jsonl --tap block -o happy.npy || fail "capture"
echo '[{"name": "two", "writes": [{"site": "attn", "source_layer": "i", "target_layer": "j"}, {"site": "block+add2", "source_layer": 1, "target_layer": 4, "vector": "happy.npy"}]}]' >plan.json
one="--source-layers 1 --target-layers 2"
"$X" sweep $small --pairs langs.jsonl --site attn --control shuffled,mean,random $one -o made.db || fail "sweep of controls"
"$X" sweep $small --pairs langs.jsonl --site attn --source-langs de,fr $one -o made.db || fail "sweep of languages"
"$X" sweep $small --pairs langs.jsonl --site block --vector happy.npy --rule add --alpha 2 --plan plan.json $one -o made.db || fail "sweep of a vector"
run "$X" options made.db -m "$model" --threads 1 --json
expect "without the questions" 0
same "without the questions: what is left out" "$(sed -n 1p err)" "24 runs of controls, means, vectors and plans are not scored: give the questions as the sweep had them (--pairs, or --task and --data), and its --source-langs, --vector or --plan"
run "$X" options made.db $small --dry-run --pairs langs.jsonl
same "with the questions: controls" "$(head -1 out)" "runs     12, of 4 questions, whose prompts are run again"
run "$X" options made.db -m "$model" --threads 1 --pairs langs.jsonl --source-langs de,fr --plan plan.json
expect "with the questions, languages and a plan" 0
same "with the questions, languages and a plan: what is left" "$(sed -n 1p err)" "4 runs of controls, means, vectors and plans are not scored: the questions given, --source-langs, --vector and --plan do not say what they write"
same "with the questions, languages and a plan: scored" "$(grep 'scored$' err)" "made.db: options of 20 runs scored"
"$X" options made.db $small --pairs langs.jsonl --vector happy.npy >/dev/null || fail "with the vector"
same "everything is scored" "$("$X" export made.db | grep -c '"options": {"1"')$("$X" export made.db | grep -c '"options": null')" 320
run "$X" options made.db $small --pairs langs.jsonl --vector happy.npy --dry-run
same "nothing is left" "$(head -1 out)$(wc -c <err)" "runs     0, of 0 questions, whose prompts are run again0"
run "$X" options made.db --vector happy.npy
expect "a vector without the questions" 2
same "a vector without the questions: message" "$(cat err)" "xtransplant options: --vector: needs the questions: give --pairs, or --task and --data"
run "$X" options made.db --pairs langs.jsonl
expect "questions without a model" 2
refuses_like "a plan that is none" 3 "xtransplant options: happy.jsonl: at byte 20: is not JSON: " "$X" options made.db $small --pairs langs.jsonl --plan happy.jsonl

# ---- the questions of each source language by themselves
sed 's/"id": "q/"id": "z/; s/Question/Statement/; s/"task"/"source_lang": "zh", "task"/' pairs.jsonl >zh.jsonl
cat pairs.jsonl zh.jsonl >two.jsonl
for name in zh two; do
  "$X" sweep $small --pairs $name.jsonl --site attn --source-layers 0,1 --target-layers 2,3 -o $name.db || fail "sweep of $name"
  "$X" options $name.db $small --by-lang --by-config --json >$name.rows
done
same "two source languages: those of one have the rows that they have alone" "$(grep '"pivot": "zh"' two.rows | cksum)" "$(cksum <zh.rows)"
same "two source languages: and the other its own" "$(grep -c '"pivot": "zh"' two.rows) $(grep -vc '"pivot": "zh"' two.rows)" "$(wc -l <zh.rows | tr -d ' ') $(wc -l <zh.rows | tr -d ' ')"
run "$X" options two.db
prints "two source languages: named" '^xnli, from zh +all +attn '
"$X" report two.db -o two --quiet --bootstrap 10 >/dev/null 2>&1 || fail "report of two"
same "two source languages: in the report" "$(sed -n 's/^"\([^"]*, attn\)".*/\1/p' two/options.csv | tr '\n' ';')" "XNLI, attn;XNLI, from zh, attn;"

# ---- report
"$X" report r.db -o report --quiet >/dev/null 2>&1 || fail "report"
same "report: rows" "$(sed 's/^"//; s/".*//; s/layer [0-5] into [0-5]/best/' report/options.csv | tr '\n' ';') $(ls report/options.tex)" \
  "Task, run;XNLI, untouched;XNLI, attn;XNLI, attn, best; report/options.tex"
mean=$(grep '"lang": null, "site": "attn", "source_layer": null' rows)
for name in runs generated acc acc_norm calibrated calibrated_norm; do echo "$mean" | sed "s/.*\"$name\": \([0-9.]*\).*/\1/"; done | awk '{ printf "%.6f ", $1 }' >wanted
same "report: the verb's figures" "$(sed -n 's/^"XNLI, attn",//p' report/options.csv | awk -F, '{ printf "%.6f ", $1; for (k = 3; k <= 15; k += 3) printf "%.6f ", $k }')" "$(cat wanted)"
same "report: differences" "$(sed 's/^"//; s/".*//; s/layer [0-5] into [0-5]/best/' report/options-differences.csv | tr '\n' ';')" "Task, run;XNLI, attn;XNLI, attn, best;"
"$X" report plain.db -o without --quiet >/dev/null 2>&1
same "report of a store without scores" "$(ls without/options.csv 2>&1 | grep -c 'No such file')" 1
finish

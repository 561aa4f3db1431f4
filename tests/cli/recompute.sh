#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every figure of a report and of select, computed anew from the exported lines by tools/recompute_tables.py, which shares no code with the
# program: several tasks, two pivots, strategies, samples, texts' measures, and the results files of other models beside.
. "$(dirname "$0")/lib.sh"
tools=$here/../../tools
if ! "$python" -c 'import numpy, sqlite3' 2>/dev/null; then
  skip "figures computed anew" "needs Python with numpy"
  finish
fi
[ -z "${XT_TEST_BRIEF:-}" ] || finish # the figures are the same, whatever the build
anew() { # NAME, then the arguments: all figures agree
  name=$1
  shift
  run "$python" "$tools/recompute_tables.py" "$@"
  expect "$name: $(cat out)" 0
}
varied() { # NAME: the figures are no trivial ones, lines of chosen.jsonl gain or lose something over both baselines
  count=$(grep -c '"vanilla_gain": {[^}]*"gain": -*0\.[0-9]*[1-9][^}]*}, "coarse_gain": {[^}]*"gain": -*0\.[0-9]*[1-9]' chosen.jsonl)
  if [ "$count" -ge 8 ]; then pass "$1: choices that differ"; else fail "$1: choices that differ" "$count lines"; fi
}

# ---- options and words, responses made up; two pivots, another model beside and after
simulate="$python $tools/simulate_store.py --lang de,sw,en --sites attn,ffn,attn-released"
$simulate -o results.db --tasks xnli,xquad,globalopinionqa --pivots en,zh --layers 3 --per-language 8 --missing-gold 0.1 --extras
$simulate -o other.db --tasks xquad,xnli --layers 3 --per-language 7 --model Qwen2-7B-simulated --seed 2 --extras
$simulate -o third.db --tasks xquad --layers 2 --per-language 4 --model Mistral-7B-simulated --seed 3
run "$X" select --quiet --strategy entropy,vote,coarse,stumps,calibrated,weighted-vote,controller,sequence --candidates target-first --by-lang --json -o results.db
expect "select" 0
cp out chosen.jsonl
varied select
for db in results other third; do "$X" export $db.db >$db.jsonl; done
run "$X" report results.db third.db --beside other.db -o rep --quiet
expect "report" 0
same "table 8: models" "$(sed 's/.*,//' rep/table8-xquad.csv | sort -u | tr '\n' ' ')" "Llama-2-7b-simulated Mistral-7B-simulated Qwen2-7B-simulated model "
anew "tasks" results.jsonl rep/report.json results.db --select chosen.jsonl --store beside other.jsonl other.db --store more1 third.jsonl third.db

# ---- responses of a model: short answers, source prompts, samples
"$X" init-model --like tiny-llama --layers 3 --quiet -o model
for task in facts local-facts; do
  awk -v task=$task 'BEGIN { split("v _ m 2 s", gold, " "); split("sw tr en de", lang, " ")
    for (i = 0; i < 48; i++) printf "{\"id\": \"q%d\", \"lang\": \"%s\", \"source_lang\": \"%s\", \"source\": \"Question %d?\\nAnswer:\", \"target\": \"Swali la %d:\\nJibu %s:\", \"gold\": \"%s\", \"task\": \"%s\"}\n",
      int(i / 4), lang[i % 4 + 1], task == "facts" ? "en" : "tr", int(i / 4), int(i / 4), lang[i % 4 + 1], gold[i % 5 + 1], task }'
done >pairs.jsonl
"$X" sweep -m model --threads 1 --quiet --max-new-tokens 6 --pairs pairs.jsonl --site attn,ffn --control self,shuffled,random,mean2 -o facts.db
"$X" sweep -m model --threads 1 --quiet --max-new-tokens 6 --pairs pairs.jsonl --samples 4 --temperature 1.5 -o facts.db
run "$X" select -m model --threads 1 --quiet --strategy logprob,vote,coarse,control,sequence,neighbours,probe --candidates target-first --by-lang --json -o facts.db
expect "facts: select" 0
cp out chosen.jsonl
varied facts
"$X" export facts.db >facts.jsonl
run "$X" report facts.db -o facts --quiet
expect "facts: report" 0
same "controls have rows" "$(grep -c '^"\(Facts\|Local facts\), ' facts/controls.csv)" 20
anew "facts" facts.jsonl facts/report.json facts.db --select chosen.jsonl

# ---- options whose labels' log-probabilities are stored; the space before each is a token of all
$simulate -o labels.db --tasks xnli,globalopinionqa --sites ffn --layers 3 --per-language 9 --seed 5
"$X" select --quiet --strategy coarse --site ffn -o labels.db >/dev/null # the file gets the tables of today
"$python" - <<'END'
import json, random, sqlite3, struct
rng, db = random.Random(3), sqlite3.connect("labels.db")
for k, task in db.execute("SELECT id, task FROM instances").fetchall():
    options = "123" if task == "xnli" else "ABCD"
    tracked = [[ord(o), "label", o, o] for o in options] + [[32, "label", o, " " + o] for o in options] + [[200 + ord(options[0]), "label", options[0], "_" + options[0]]]
    db.execute("INSERT INTO tracked VALUES(?, ?)", (k, json.dumps(tracked)))
    for at in [("vanilla", -1, -1)] + db.execute("SELECT site, source_layer, target_layer FROM responses WHERE instance = ?", (k,)).fetchall():
        numbers = [0, 1] + [-6 * rng.random() - ord(t[2]) % 3 if t[0] != 32 else -0.25 for t in tracked]
        db.execute("INSERT INTO effects VALUES(?, ?, ?, ?, ?)", (k, *at, struct.pack(f"<{len(numbers)}e", *numbers)))
db.commit()
END
run "$X" select --quiet --strategy contextual,calibrated,vote,coarse --candidates all --site ffn --by-lang --json -o labels.db
expect "labels: select" 0
cp out chosen.jsonl
"$X" export labels.db >labels.jsonl
run "$X" report labels.db -o labels --quiet
expect "labels: report" 0
anew "labels" labels.jsonl labels/report.json labels.db --select chosen.jsonl

# ---- maps of configurations: tracked answers, options by likelihood, texts' measures, a control, a question without a gold answer
choice_pairs 12 | sed '5s/, "gold": "[^"]*"//' >pairs.jsonl
"$X" sweep -m model --threads 1 --quiet --max-new-tokens 5 --pairs pairs.jsonl --site attn --control shuffled --track yes,maybe -o maps.db
"$X" options maps.db -m model --threads 1 --quiet --pairs pairs.jsonl >/dev/null
"$X" metrics maps.db -m model --threads 1 --quiet --lid "$here/../data/langid/tiny.ftz" >/dev/null 2>&1 || "$X" metrics maps.db -m model --threads 1 --quiet >/dev/null
"$X" export maps.db >maps.jsonl
run "$X" report maps.db -o maps --bootstrap 20 --permutations 32 --quiet
expect "maps: report" 0
anew "maps" maps.jsonl maps/report.json maps.db
sed '/"id": "calibrated"/,/"languages"/ s/^\( *\)0\.\([0-9]\)/\10.0\2/' maps/report.json >broken.json
run "$python" "$tools/recompute_tables.py" maps.jsonl broken.json maps.db
expect "maps: a wrong figure is found" 1
finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# How many of how many: what a stopped sweep, a limit, a shard and a part of the measurements leave is said, for each language.
. "$(dirname "$0")/lib.sh"
export COLUMNS=500 # of the terminal that lines are fitted to
make_model tiny-llama
small="-m $model --threads 1 --quiet --max-new-tokens 4 --site attn"
i=0
while [ $i -lt 12 ]; do
  printf '{"id": "q%d", "lang": "%s", "source_lang": "en", "source": "Question %d\\nAnswer:", "target": "Swali la %d:", "gold": "%d", "task": "xnli"}\n' \
    $i "$([ $((i % 3)) -eq 0 ] && echo sw || echo de)" $((i / 2)) $i $((i % 3 + 1))
  i=$((i + 1))
done >pairs.jsonl
pairs="--pairs pairs.jsonl --track none" # so that a file of schema 1 can have all of it

# ---- all of it: nothing to say
"$X" sweep $small $pairs -o whole.db
run "$X" report whole.db --bootstrap 2 --permutations 2
expect "whole: report" 0
lacks() { grep -cE '^(INCOMPLETE|A PART|PARTLY MEASURED): |NOT ALL THAT WAS PLANNED' "$1"; }
prints "whole: the heading" '^Coverage. All that was planned is there$'
same "whole: nothing is missing" "$(lacks out) $(cat err)" "0 "
same "whole: sources" "$("$X" export whole.db --sources | wc -l)" 12
line=$("$X" export whole.db --sources | grep '"doc_id": "q4"')
printf 'Question 2\nAnswer:' >source
"$X" generate -m "$model" --threads 1 --prompt-file source --max-new-tokens 4 --json >alone
same "a source prompt's response is what the model alone gives" "$(printf '%s\n' "$line" | field ids)" "$(field ids <alone)"
same "a source's line" "$(printf '%s\n' "$line" | sed 's/.*"site": \("[a-z]*"\), "source_layer": \([a-z]*\).*/\1 \2/')" '"source" null'

# ---- a limit: the rest of the dataset is known of
"$X" sweep $small $pairs --limit 2 -o limit.db
run "$X" report limit.db --bootstrap 2 --permutations 2
same "limit: said first" "$(head -1 out)" "A PART: XNLI: 4 of the dataset's 12 questions were asked for."
prints "limit: by language" '^sw +2 of 4 +all 2 +all 2 '
run "$X" export limit.db
same "limit: said by export" "$(cat err)" "A PART: XNLI: 4 of the dataset's 12 questions were asked for"

"$X" sweep $small --pairs - --limit 2 -o stdin.db <pairs.jsonl
run "$X" report stdin.db --bootstrap 2 --permutations 2
same "limit: of standard input too" "$(head -1 out)" "A PART: XNLI: 4 of the dataset's 12 questions were asked for."

# ---- shards: each plans its own questions, both together all
"$X" sweep $small $pairs --shard 1/2 -o s1.db
"$X" sweep $small $pairs --shard 2/2 -o s2.db
run "$X" report s1.db --bootstrap 2 --permutations 2
same "a shard: said first" "$(head -1 out)" "A PART: XNLI: 6 of the dataset's 12 questions were asked for."
"$X" merge both.db s1.db s2.db --quiet
run "$X" report both.db --bootstrap 2 --permutations 2
same "shards merged: nothing is missing" "$(lacks out)" 0
same "shards merged: sources too" "$("$X" export both.db --sources | cksum)" "$("$X" export whole.db --sources | cksum)"

# ---- planned and not there: a sweep that was stopped, made by taking responses away
have_python=$("$python" -c 'import sqlite3' 2>/dev/null && echo yes)
change() { # FROM TO SQL
  cp "$1" "$2"
  "$python" -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2]); d.commit()' "$2" "$3"
}
if [ "$have_python" ]; then
  change whole.db stopped.db "DELETE FROM responses WHERE instance NOT IN (SELECT id FROM instances WHERE lang = 'de' ORDER BY id LIMIT 5);
    DELETE FROM vanilla WHERE instance NOT IN (SELECT instance FROM responses); DELETE FROM sources WHERE instance NOT IN (SELECT instance FROM responses);
    DELETE FROM instances WHERE id NOT IN (SELECT instance FROM responses)"
  run "$X" report stopped.db -o stopped --bootstrap 2 --permutations 2
  same "stopped: questions" "$(sed -n 1p out)" "INCOMPLETE: XNLI: 5 of 12 questions are there, in 1 of 2 languages: de 5 of 8, sw 0 of 4. Every figure is of these alone."
  same "stopped: responses" "$(sed -n 3p out)" "INCOMPLETE: XNLI, attn: 180 of 432 responses are there: de 180 of 288, sw 0 of 144."
  prints "stopped: a language that was not begun has its row" '^sw +all 4 +0 of 4 '
  prints "stopped: the heading" '^Coverage. NOT ALL THAT WAS PLANNED IS THERE$'
  grep -q 'role="alert">INCOMPLETE: XNLI: 5 of 12' stopped/report.html && pass "stopped: on the page" || fail "stopped: on the page"
  grep -q '"whole": false' stopped/report.json && pass "stopped: in report.json" || fail "stopped: in report.json" "$(grep -o '"whole.*' stopped/report.json | cut -c1-80)"
  same "stopped: in numbers" "$(grep 'all,12,' stopped/coverage-counts.csv | sed 's/.*all,//' | cut -d, -f1-5)" "12,0,12,5,5"
  [ -s stopped/coverage.tex ] && pass "stopped: coverage.tex" || fail "stopped: coverage.tex"
  for verb in "export stopped.db" "metrics stopped.db" "select -o stopped.db --strategy coarse --site attn"; do
    run "$X" $verb
    same "stopped: said by ${verb%% *}" "$code $(grep -c '^INCOMPLETE: XNLI: 5 of 12 questions are there' err)" "0 1"
  done
  "$X" export stopped.db --results results.json --quiet >/dev/null
  grep -q '"coverage"' results.json && pass "stopped: in the results" || fail "stopped: in the results"
  run "$X" sweep $small $pairs -o stopped.db
  "$X" export stopped.db >stopped.jsonl 2>stopped.err
  "$X" export whole.db 2>/dev/null | cmp -s - stopped.jsonl && pass "the same sweep again: whole" || fail "the same sweep again: whole"
  same "the same sweep again: nothing is missing" "$(cat stopped.err)" ""

  # ---- a file of schema 1, which knew no plans: read as it is, and completed when it is written to
  change whole.db old.db "DROP TABLE sources; DROP TABLE samples; DROP TABLE plans; DROP TABLE text_metrics; DROP TABLE pair_metrics; DROP TABLE selections; DROP TABLE tracked; DROP TABLE effects; PRAGMA user_version = 1"
  before=$(cksum <old.db)
  run "$X" report old.db --bootstrap 2 --permutations 2
  same "schema 1: report" "$code $(lacks out)" "0 0"
  "$X" export old.db >old.jsonl
  "$X" export whole.db | cmp -s - old.jsonl && pass "schema 1: export" || fail "schema 1: export"
  same "schema 1: reading changes nothing" "$(cksum <old.db)" "$before"
  "$X" merge joined.db old.db s1.db --quiet
  "$X" export joined.db | cmp -s - old.jsonl && pass "schema 1: merged with schema 2" || fail "schema 1: merged with schema 2"
  # what is written into it is what a file of today gets
  for verb in "metrics -m $model --threads 1 --perplexity standalone,conditional --json --by-lang" "select --strategy coarse --site attn --json -o"; do
    cp old.db written.db
    cp whole.db today.db
    "$X" $verb today.db --quiet >wanted
    run "$X" $verb written.db --quiet
    same "schema 1: ${verb%% *}" "$code $(cat err) $(cksum <out)" "0  $(cksum <wanted)"
  done
  run "$X" sweep $small $pairs -o old.db --json
  same "schema 1: the sweep adds what it lacks" "$code $(field computed <out)" "0 0"
  same "schema 1: sources" "$("$X" export old.db --sources | cksum)" "$("$X" export whole.db --sources | cksum)"
  change whole.db newer.db "PRAGMA user_version = 4"
  refuses "a newer schema" 3 "xtransplant export: newer.db: has schema 4; this build reads schemas 1 to 3. A newer version of this program made it: read it with that one" "$X" export newer.db

  # ---- measured in part: means say so (sweep, metrics, then more responses)
  "$X" sweep $small $pairs --limit 2 -o part.db
  "$X" metrics part.db -m "$model" --threads 1 --quiet >/dev/null
  run "$X" metrics part.db --quiet
  same "all measured: no star" "$(grep -c '\*' out)" 0
  "$X" sweep $small $pairs --limit 4 -o part.db
  run "$X" metrics part.db
  [ "$(grep -c '[0-9]\*' out)" -ge 1 ] && pass "measured in part: a star" || fail "measured in part: a star" "$(cat out)"
  grep -q '^PARTLY MEASURED: XNLI, attn: standalone perplexity of [0-9]* of its 288 responses' err && pass "measured in part: said" || fail "measured in part: said" "$(cat err)"
  run "$X" report part.db --bootstrap 2 --permutations 2
  prints "measured in part: table 1 says of how many" '^ +PARTLY MEASURED, responses +perplexity +[0-9]+ of 288$'
else skip "stopped sweeps, schema 1, parts" "no Python"; fi
finish

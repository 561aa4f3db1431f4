#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Long runs: stopped by signals, cut into passes, progress, questions that are too long.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
small="-m $model --threads 2 --quiet"
choice_pairs 12 >pairs.jsonl
pairs="--pairs pairs.jsonl --site attn,block" total=876

# ---- passes: the same results however a sweep is cut
"$X" sweep $small $pairs -o whole.db
"$X" export whole.db >whole.jsonl
same "whole: responses" "$(wc -l <whole.jsonl)" $total
run "$X" sweep $small $pairs --pass-seconds 0.001 -o cut.db --json
expect "passes of a millisecond" 0
"$X" export cut.db >cut.jsonl
cmp -s whole.jsonl cut.jsonl && pass "passes of a millisecond: the same results" || fail "passes of a millisecond: the same results"
many="--pairs pairs.jsonl --limit 1 --lang sw --site attn,ffn,block,attn-released,a:f,a:o,f:a,f:m,m:f,m:o,o:a,o:m" # 72 into each layer
run "$X" sweep $small $many --dry-run --json -o new.db
whole_passes=$(field passes <out) whole_rows=$(field rows_together <out)
run "$X" sweep $small $many --pass-seconds 0.001 --dry-run --json -o new.db
cut_passes=$(field passes <out) cut_rows=$(field rows_together <out)
same "passes are cut by time, down to 256 rows" "$whole_passes of $whole_rows, cut $cut_passes of $cut_rows" "1 of 432, cut 2 of 216"

# ---- signals. A sweep that takes long enough is begun, and is stopped once it has committed something.
tokens=100
[ -n "${XT_TEST_BRIEF:-}" ] && tokens=16
long="$pairs --max-new-tokens $tokens"
slow="$long --max-rows 12 --commit-seconds 0.01"
signals=TERM:143
[ -z "${XT_TEST_BRIEF:-}" ] && signals="$signals USR1:138 INT:130 HUP:129"
lines=0
for signal in $signals; do
  name=${signal%:*}
  "$X" sweep $small $slow -o stop.db 2>err & pid=$!
  wait_for stop.db $lines
  kill -"$name" $pid
  wait $pid
  same "SIG$name: exit code and message" "$? $(cat err)" "${signal#*:} xtransplant sweep: stopped"
  "$X" export stop.db >stopped.jsonl
  lines=$(wc -l <stopped.jsonl)
  [ "$lines" -ge 1 ] && [ "$lines" -lt $total ] && pass "SIG$name: what was done is kept" || fail "SIG$name: what was done is kept" "$lines lines"
  same "SIG$name: one file" "$(ls stop.db*)" stop.db
done
run "$X" sweep $small $long -o stop.db --json
same "after stops: goes on to the end" "$code $(field finished <out)" "0 true"
"$X" sweep $small $long -o long.db
"$X" export long.db >long.jsonl
"$X" export stop.db >stopped.jsonl
cmp -s long.jsonl stopped.jsonl && pass "after stops: the same results" || fail "after stops: the same results"

rm stop.db
"$X" sweep $small $slow -o stop.db 2>err & pid=$!
wait_for stop.db
kill -TERM $pid
kill -TERM $pid
wait $pid
same "two signals: exit code" $? 143
"$X" sweep $small $long -o stop.db
"$X" export stop.db >stopped.jsonl
cmp -s long.jsonl stopped.jsonl && pass "two signals: goes on to the same results" || fail "two signals: goes on to the same results"

rm stop.db
(trap '' HUP; exec "$X" sweep $small $slow --limit 2 -o stop.db 2>err) & pid=$!
wait_for stop.db
kill -HUP $pid
wait $pid
same "nohup: SIGHUP is ignored" "$? $(cat err)" "0 "

# while it runs, a reader sees what is finished
rm stop.db
"$X" sweep $small $slow -o stop.db 2>err & pid=$!
wait_for stop.db
run "$X" export stop.db
lines=$(wc -l <out)
[ "$code" -eq 0 ] && [ "$lines" -ge 1 ] && [ "$lines" -lt $total ] && pass "a reader beside it sees a part" || fail "a reader beside it sees a part" "exit code $code, $lines lines"
run "$X" report stop.db --bootstrap 2 --permutations 2 --quiet # as little as a reader does it hold the file
expect "and so does a report" 0
kill $pid
wait $pid

# ---- waiting for input ends too
mkfifo pipe
"$X" train -m "$model" -d pipe -o tuned --quiet 2>err & pid=$!
sleep 0.3
kill -TERM $pid 2>/dev/null
tries=0
while [ $tries -lt 100 ] && kill -0 $pid 2>/dev/null; do sleep 0.05; tries=$((tries + 1)); done
kill -0 $pid 2>/dev/null && fail "train that waits for a pipe ends on SIGTERM" "it still runs" || pass "train that waits for a pipe ends on SIGTERM"
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null

# ---- progress
"$X" sweep -m "$model" --threads 2 $pairs --progress plain -o plain.db 2>err
head -1 err | grep -Eq '^[0-9.]+%  [0-9]+/876 responses  0/12 instances  [0-9.]+/s  [0-9.]+ GB  ETA [0-9]+:[0-9]{2}:[0-9]{2}$' &&
  pass "--progress plain: a line with an ETA from the first prompt on" || fail "--progress plain: a line with an ETA from the first prompt on" "$(head -2 err)"
"$X" sweep -m "$model" --threads 2 $pairs --control mean,shuffled --progress plain -o mean.db 2>err
same "--progress plain, a control: what is read before the first response" "$(head -1 err | sed 's/[0-9.]* GB/N GB/')" "reading source prompts for controls: 0/12  N GB  ETA -"
sed -n 2p err | grep -Eq '^[0-9.]+%  [0-9]+/2604 responses  0/12 instances  [0-9.]+/s  [0-9.]+ GB  ETA [0-9]+:[0-9]{2}:[0-9]{2}$' &&
  pass "--progress plain, a control: then the responses, with an ETA from the first on" || fail "--progress plain, a control: then the responses, with an ETA from the first on" "$(head -3 err)"
for how in auto none; do
  "$X" sweep -m "$model" --threads 2 $pairs --progress $how -o $how.db 2>err
  same "--progress $how, stderr in a file, a short run: the summary alone" "$(grep -c . err) $(grep -c ETA err)" "1 0"
done
"$X" sweep $small $pairs --progress plain -o quiet.db 2>err
same "--quiet: no progress either" "$(cat err)" ""
if command -v script >/dev/null; then # a terminal: one line that changes, gone at the end
  script -qec "$X sweep -m $model --threads 2 $pairs --max-new-tokens 100 --max-rows 12 -o terminal.db" /dev/null >terminal </dev/null
  tr '\r' '\n' <terminal | grep -Eq '^[0-9.]+%  [0-9]+/876 responses .*  ETA [0-9]+:[0-9]{2}:[0-9]{2}' && pass "progress on a terminal" || fail "progress on a terminal" "$(head -c 300 terminal)"
fi
printf '{"prompt": "a", "response": "b"}\n' >train.jsonl
"$X" train -m "$model" -d train.jsonl --steps 3 --batch 1 --progress plain -o tuned 2>err
grep -Eq '^step 1/3  loss .*  ETA [0-9]+:' err && pass "train --progress plain" || fail "train --progress plain" "$(cat err)"
refuses_like "--progress dots" 2 "^xtransplant sweep: --progress: 'dots' is not one of the choices" "$X" sweep $small $pairs --progress dots -o new.db

# ---- questions that are too long
xs=$(head -c 2100 /dev/zero | tr '\0' x)
{
  head -5 pairs.jsonl
  printf '{"id": "long", "lang": "sw", "source": "%s", "target": "b", "gold": "1", "task": "xnli"}\n' "$xs"
  printf '{"id": "long2", "lang": "tr", "source": "a", "target": "%s", "gold": "1", "task": "xnli"}\n' "$xs"
} >long.jsonl
few="--pairs long.jsonl --site attn --source-layers 0 --target-layers 0"
refuses_like "too long: stops before any work" 3 "^xtransplant sweep: long.jsonl: sw, line 6, source prompt: is too long: [0-9]+ tokens and 0 more to run, the model has 2048 positions; --skip-long leaves such questions out" \
  "$X" sweep $small $few -o new.db
run "$X" sweep -m "$model" --threads 2 $few --skip-long -o skipped.db --json
same "--skip-long: the others are run" "$code $(field instances <out) $(field too_long <out) $(field computed <out)" "0 5 2 10"
same "--skip-long: they are listed" "$(grep -c '^left out: long.jsonl: .* is too long: ' err) $(grep -c '^2 of 7 questions are too long' err)" "2 1"
same "--skip-long: export" "$("$X" export skipped.db | wc -l)" 10
run "$X" sweep $small $few --skip-long -o skipped.db --json
same "--skip-long: a finished one does nothing" "$code $(field computed <out)" "0 0"
tail -2 long.jsonl >all.jsonl
refuses_like "--skip-long: nothing is left" 3 "^xtransplant sweep: all.jsonl: all 2 questions are too long for the model's 2048 positions" \
  "$X" sweep $small --pairs all.jsonl --skip-long -o new.db
same "refusals write nothing" "$(ls new.db* 2>/dev/null)" ""
finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# select: strategies run what they need and choose by their rule; learning; refusals.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama # 6 layers
small="-m $model --threads 1 --quiet"
i=0
while [ $i -lt 24 ]; do
  for lang in sw tr; do
    printf '{"id": "q%d", "lang": "%s", "source": "Question %d: what is it?\\nAnswer:", "target": "%s swali la %d:\\nJibu:", "gold": "%s", "task": "xquad"}\n' \
      $i $lang $i $lang $i "$(echo e a t i o | cut -d' ' -f$((i % 5 + 1)))"
  done
  i=$((i + 1))
done >pairs.jsonl
pairs="--pairs pairs.jsonl"

# ---- a strategy runs what it needs, and no more
run "$X" select -m "$model" --threads 1 $pairs --strategy entropy -o s.db
expect "entropy as published" 0
prints "entropy: table" '^xquad +all +ffn +entropy:ends +48 +[0-9.]+ +[0-9.]+ +[0-9.]+ +(-|[-0-9.]+) +- +-$'
# two languages ask each of 24 questions
prints "entropy: gain, interval and p, by question" '^  minus vanilla [-+][0-9.]+ \[-?[0-9.]+, -?[0-9.]+\] p [0-9.e-]+; minus coarse [-+][0-9.]+ \[-?[0-9.]+, -?[0-9.]+\] p [0-9.e-]+; by 24 questions$'
same "entropy: messages" "$(cat err)" "s.db: 144 responses added
s.db: entropy:ends: 48 questions, 48 choices new, 0 untouched runs kept; 0 questions lack candidates"
"$X" export s.db >s.jsonl
same "entropy: only what it needs was run" "$(sed 's/.*"site": "\([^"]*\)", "source_layer": \([^,]*\), "target_layer": \([^,]*\),.*/\1 \2 \3/' s.jsonl | sort | uniq -c | tr -s ' \n' ' ')" \
  " 48 ffn 0 0 48 ffn 5 0 48 vanilla null null "
# the choice, made again from the exported entropies
"$X" export s.db --selections >chosen.jsonl
same "entropy: a line a choice" "$(wc -l <chosen.jsonl) $(grep -c '"strategy": "entropy:ends"' chosen.jsonl)" "48 48"
by_hand() { # MINIMISED FIELD, over the candidates at ffn in a file
  sed 's/.*"doc_id": "\([^"]*\)", "lang": "\([^"]*\)".*"site": "ffn", "source_layer": \([0-9]*\), "target_layer": \([0-9]*\),.*"'"$1"'": \([-0-9.e]*\),.*/\1 \2 \3 \4 \5/' "$2" |
    awk -v sign="$3" '{ k = $1 " " $2; v = sign * $5; if (!(k in best) || v < best[k]) { best[k] = v; at[k] = $3 " " $4 } } END { for (k in at) print k, at[k] }' | sort
}
layers_of() { sed 's/.*"doc_id": "\([^"]*\)", "lang": "\([^"]*\)".*"source_layer": \([^,]*\), "target_layer": \([^,]*\),.*/\1 \2 \3 \4/' "$1" | sort; }
grep '"site": "ffn"' s.jsonl >ffn.jsonl
by_hand entropy ffn.jsonl 1 >wanted
layers_of chosen.jsonl >got
cmp -s wanted got && pass "entropy: the less unsure of first and last" || fail "entropy: the less unsure of first and last" "$(diff wanted got | head -4)"
same "entropy: both ends are chosen" "$(cut -d' ' -f3 got | sort -u | tr '\n' ' ')" "0 5 "
before=$(cksum <s.db)
run "$X" select -m "$model" --threads 1 $pairs --strategy entropy -o s.db
same "again: nothing new" "$code $(cat err) $(cksum <s.db)" "0 s.db: entropy:ends: 48 questions, 0 choices new, 0 untouched runs kept; 0 questions lack candidates $before"

# ---- more candidates, more strategies
run "$X" select $small $pairs --strategy entropy,mean-entropy,logprob,vote,coarse,logistic,stumps --candidates target-first -o s.db --json
expect "several strategies" 0
is_json "select --json is JSON" out
same "several strategies: a line each" "$(field_all() { sed "s/.*\"strategy\": \"\([^\"]*\)\".*/\1/"; }; field_all <out | tr '\n' ' ')" \
  "coarse entropy:target-first logistic:target-first logprob:target-first mean-entropy:target-first stumps:target-first vote:target-first "
same "a summary's numbers" "$(grep -c '"questions": 48, "vanilla": [0-9]*, "selected": [0-9]*, "bound": [0-9]*, "gap_closed": [-0-9.nule]*, "with_target_first": 48, ' out)" 7
"$X" export s.db >s.jsonl
grep '"site": "ffn"' s.jsonl >ffn.jsonl
"$X" export s.db --selections >chosen.jsonl
for rule in "entropy 1" "mean_entropy 1" "mean_logprob -1"; do
  set -- $rule
  strategy=$(echo "$1" | sed 's/mean_logprob/logprob/; s/_/-/'):target-first
  by_hand "$1" ffn.jsonl "$2" >wanted
  grep "\"strategy\": \"$strategy\"" chosen.jsonl >one
  layers_of one >got
  cmp -s wanted got && pass "$strategy by hand" || fail "$strategy by hand" "$(diff wanted got | head -4)"
done
same "coarse: first into first in generation" "$(grep '"strategy": "coarse"' chosen.jsonl | sed 's/.*"site": "\([^"]*\)", "source_layer": \([^,]*\), "target_layer": \([^,]*\),.*/\1 \2 \3/' | sort -u)" "ffn 0 0"
# the summary's figures are those of the lines
right() { grep -c '"metrics": {"acc": 1}' "$1"; }
for strategy in vote:target-first stumps:target-first; do
  grep "\"strategy\": \"$strategy\"" chosen.jsonl >one
  same "$strategy: as many right as its lines" "$(grep "\"strategy\": \"$strategy\"" out | field selected)" "$(right one)"
done
same "bound: questions that some layer answers" "$(grep '"strategy": "vote:target-first"' out | field bound)" \
  "$(grep '"metrics": {"acc": 1}' ffn.jsonl | sed 's/.*"doc_id": "\([^"]*\)", "lang": "\([^"]*\)".*/\1 \2/' | sort -u | wc -l | tr -d ' ')"
grep '"site": "vanilla"' s.jsonl >vanilla.jsonl
same "untouched: right ones" "$(grep '"strategy": "vote:target-first"' out | field vanilla)" "$(right vanilla.jsonl)"

# gains beside the choices' own lines: won and lost
sed 's/.*"doc_id": "\([^"]*\)", "lang": "\([^"]*\)".*"metrics": {"acc": \([01]\)}.*/\1 \2 \3/' vanilla.jsonl | sort >before
grep '"strategy": "vote:target-first"' chosen.jsonl | sed 's/.*"doc_id": "\([^"]*\)", "lang": "\([^"]*\)".*"metrics": {"acc": \([01]\)}.*/\1 \2 \3/' | sort >after
same "vote: won and lost" "$(grep '"strategy": "vote:target-first"' out | sed 's/.*"vanilla_gain": {"count": 48, "questions": 24, "won": \([0-9]*\), "lost": \([0-9]*\),.*/\1 \2/')" \
  "$(paste -d' ' before after | awk '$3 < $6 {won++} $3 > $6 {lost++} END {print won + 0, lost + 0}')"
same "coarse gains nothing over itself" "$(grep '"strategy": "coarse"' out | grep -c '"coarse_gain": {"count": 48, "questions": 24, "won": 0, "lost": 0, "gain": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}')" 1

# ---- coarse of understanding; other threads; without --task from what is there
sed 's/"task": "xquad"/"task": "xnli"/; s/"gold": "[a-z]"/"gold": "1"/' pairs.jsonl >xnli.jsonl
"$X" select $small --pairs xnli.jsonl --strategy coarse -o xnli.db >/dev/null
same "coarse: last into first in understanding" "$("$X" export xnli.db --selections | sed 's/.*"site": "\([^"]*\)", "source_layer": \([^,]*\), "target_layer": \([^,]*\),.*/\1 \2 \3/' | sort -u)" "attn 5 0"
run "$X" select --strategy vote,stumps --candidates target-first -o s.db
expect "without a model, from what is there" 0
same "without a model the same choices" "$(grep -c ' 0 choices new' err)" 2
"$X" select -m "$model" --threads 2 --quiet $pairs --strategy entropy,logistic,stumps,vote --candidates target-first -o again.db --json | grep -v '"strategy": "coarse"' >again
"$X" select $small --strategy entropy,logistic,stumps,vote --candidates target-first -o s.db --json >once
cmp -s once again && pass "another file, two threads: the same figures" || fail "another file, two threads: the same figures" "$(diff once again | head -4)"

# ---- all strategies in one table, as the report has it
run "$X" select --quiet --compare --candidates target-first -o s.db
expect "--compare" 0
prints "--compare: a row for each strategy" '^ffn, vote:target-first +[0-9.]+'
same "--compare: accuracy, gain, bound, closed, cost" "$(grep -c '^XQuAD ' out)" 3
run "$X" select --quiet --compare --candidates target-first -o s.db --json
is_json "--compare --json is JSON" out
cp out compared
run "$X" report s.db -o rep --quiet
same "--compare: Holm's p beside each" "$(grep -c '"p": [0-9.e-]*, "holm": [0-9.e-]*,' compared) $(grep '"strategy": "vote:target-first"' compared | field holm)" \
  "12 $(sed -n 's/^"ffn, vote:target-first",//p' rep/strategies-xquad.csv | tr , '\n' | sed -n '11p' | sed 's/^1$/1.0/')"
same "--compare: the report's figures" "$(grep '"strategy": "vote:target-first"' compared | field bound | cut -c1-11) $(grep -c '^"ffn, ' rep/strategies-xquad.csv) $(grep -c 'id="strategies-xquad"' rep/report.html)" \
  "$(sed -n 's/^"ffn, vote:target-first",//p' rep/strategies-xquad.csv | tr , '\n' | sed -n '12p' | cut -c1-11) 12 1"
run "$X" select --quiet --compare --strategy vote --json -o xnli.db
refuses "neither strategies nor --compare" 2 "xtransplant select: --strategy: missing; without it, --compare compares all" "$X" select -o s.db

# ---- learned on one file, applied to another
sed 's/"id": "q/"id": "r/; s/Question/Riddle/; s/swali/fumbo/' pairs.jsonl >riddles.jsonl
"$X" sweep $small --pairs riddles.jsonl --site ffn --target-layers first --lang sw -o pilot.db
"$X" sweep $small $pairs --site ffn --target-layers first --lang tr -o unseen.db
run "$X" select --strategy logistic,stumps --train pilot.db -o unseen.db --json
expect "--train" 0
same "--train: all questions" "$(grep -c '"questions": 24,' out)" 2
same "--train: nothing is left out" "$(grep -c 'left out' err)" 0
same "--train leaves the other file alone" "$("$X" export pilot.db --selections | wc -l | tr -d ' ')" 0
prints "--train: the file is named" '"strategy": "stumps:target-first@pilot\.[0-9a-f]{8}"'
# some of the questions are asked in both: by source prompt in another language, or by id where the source differs
"$X" sweep $small $pairs --site ffn --target-layers first --lang sw --limit 3 -o pilot.db
sed -n '9p' pairs.jsonl | sed 's/"lang": "sw"/"lang": "de"/; s/Question/Say, question/; s/swali/frage/' >fourth.jsonl
"$X" sweep $small --pairs fourth.jsonl --site ffn --target-layers first -o pilot.db
run "$X" select --strategy stumps --train pilot.db -o unseen.db
expect "--train with some of the questions" 0
same "--train: what is asked in both is left out" "$(sed -n 's/^pilot.db: //p' err)" \
  "stumps:target-first learns from 24 questions; 4 are left out, because unseen.db asks them, too"
# kept beside what is learned by folds, and told apart, also by another file's content
run "$X" select --quiet --strategy stumps --folds 24 -o unseen.db
expect "by folds, after --train" 0
run "$X" select --quiet --compare --strategy stumps --folds 24 -o unseen.db
same "--compare tells them apart" "$(sed -n 's/^ffn, stumps:\([a-z-]*@*[a-z]*\).*/\1/p' out | sort | uniq -c | tr -s ' \n' ' ')" \
  " 4 target-first 8 target-first@pilot "
prints "--compare says what @ is" 'learned from'
refuses_like "--train with the file itself" 3 "^xtransplant select: unseen.db: all of its 24 questions with a gold answer are asked in unseen.db, too; a strategy must not learn from the questions that it chooses for$" \
  "$X" select --quiet --strategy stumps --train unseen.db -o unseen.db
"$X" sweep $small $pairs --site ffn --target-layers first --lang sw -o languages.db
refuses_like "--train with the questions in another language" 3 "^xtransplant select: languages.db: all of its 24 questions with a gold answer are asked in unseen.db, too;" \
  "$X" select --quiet --strategy stumps --train languages.db -o unseen.db
refuses_like "--train with too few others" 3 "^xtransplant select: few.db: 10 questions with a gold answer have all their candidates; learning needs 20 besides the 14 that unseen.db asks, too$" \
  sh -c "head -20 riddles.jsonl >few.jsonl; sed -n '21,48p' pairs.jsonl >>few.jsonl; $X sweep $small --pairs few.jsonl --site ffn --target-layers first --lang sw -o few.db && $X select --quiet --strategy stumps --train few.db -o unseen.db"

# ---- merging
"$X" sweep $small $pairs --site ffn --source-layers first,last --target-layers first --shard 1/2 -o one.db
"$X" sweep $small $pairs --site ffn --source-layers first,last --target-layers first --shard 2/2 -o two.db
"$X" select --quiet --strategy entropy -o one.db >/dev/null
"$X" select --quiet --strategy entropy -o two.db >/dev/null
"$X" merge both.db one.db two.db --quiet
"$X" export both.db --selections >both.jsonl
"$X" export s.db --selections | grep '"strategy": "entropy:ends"' >ends.jsonl
cmp -s both.jsonl ends.jsonl && pass "merged shards keep their choices" || fail "merged shards keep their choices"

# ---- refusals
refuses "no such strategy" 2 "xtransplant select: --strategy: unknown strategy 'entropi'; did you mean entropy; strategies are coarse, entropy, mean-entropy, logprob, vote, logistic, stumps, calibrated, control, weighted-vote, controller, sequence, neighbours, probe, contextual" \
  "$X" select $small $pairs --strategy entropi -o new.db
refuses "no model" 3 "xtransplant select: --model: missing: responses that new.db lacks may have to be run" "$X" select $pairs --strategy vote -o new.db
refuses "no file and nothing to run" 3 "xtransplant select: new.db: cannot open: No such file or directory" "$X" select --strategy vote -o new.db
"$X" sweep $small --pairs xnli.jsonl --site attn --source-layers first,last --target-layers first --track none -o bare.db
"$X" sweep $small --pairs pairs.jsonl --site ffn --source-layers first,last --target-layers first -o plain.db
for db in bare plain; do # no log-probabilities, no options
  before=$(cksum <$db.db)
  refuses "contextual without labels, $db" 3 "xtransplant select: $db.db: no question has what contextual:ends compares: every candidate with the log-probabilities of its options' labels (sweep stores them of tasks with options, unless --track none), and another such question in its language" \
    "$X" select --quiet --strategy contextual --candidates ends -o $db.db
  same "contextual without labels leaves $db" "$(cksum <$db.db)" "$before"
done
run "$X" select --compare --candidates ends -o plain.db
expect "--compare without labels" 0
same "--compare leaves contextual out, by name" "$(grep -c "^contextual:ends left out: no question has what contextual:ends compares: " err) $(grep -c contextual out)" "1 0"
refuses "candidates that are not there" 3 "xtransplant select: both.db: no question has the responses that vote:all chooses among; give --model with --task and --data, or --pairs, to run them" \
  "$X" select --quiet --strategy vote --candidates all -o both.db
refuses_like "too few to learn from" 3 "^xtransplant select: xnli.db: 0 questions with a gold answer have all their candidates; learning needs 20 outside each fold$" \
  "$X" select --quiet --strategy stumps -o xnli.db
"$X" init-model --like tiny-llama --seed 9 --quiet -o other
refuses_like "another model" 3 "^xtransplant select: s.db: model: the store has results of another model" "$X" select -m other --quiet $pairs --strategy vote -o s.db
"$X" sweep -m other --threads 1 --quiet $pairs --site ffn --target-layers first --limit 2 -o other.db
refuses "learned from another model" 3 "xtransplant select: other.db: model: has responses of another model (other) than s.db (tiny-llama)" \
  "$X" select --quiet --strategy stumps --train other.db -o s.db
refuses "two sites" 2 "xtransplant select: --site: give only one; a strategy chooses among the responses of one site" "$X" select $small $pairs --site attn,ffn --strategy vote -o new.db
same "a refused one leaves nothing" "$(ls new.db* 2>/dev/null)" ""

finish

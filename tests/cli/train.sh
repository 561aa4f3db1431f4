#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# train: stopped at any moment it goes on to the same bits, whatever the threads; bad input is named and nothing is written.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
awk 'BEGIN { for (k = 1; k <= 40; k++) printf "{\"prompt\": \"question %d:\", \"response\": \" answer %d\"}\n", k, 7 * k }' >pairs.jsonl
at="-m $model -d pairs.jsonl --batch 4 --lr 1e-3 --epochs 4 --quiet"
began=$(date +%s%N)
run "$X" train $at --save-steps 1 -o whole --json
whole_ms=$((($(date +%s%N) - began) / 1000000))
expect "train" 0
same "train: nothing left of the state" "$(ls whole | tr '\n' ' ')" "config.json generation_config.json loss.svg model.safetensors tokenizer.json tokenizer_config.json training.jsonl "
same "train: a line a step" "$(wc -l <whole/training.jsonl) $(field steps <out)" "40 40"
grep -q '<svg' whole/loss.svg && pass "train: loss curve" || fail "train: loss curve" "$(head -c 100 whole/loss.svg)"
awk 'BEGIN { FS = "\"loss\": " } { split($2, f, ","); if (NR <= 4) a += f[1]; if (NR > 36) b += f[1] } END { exit !(b < a / 4) }' whole/training.jsonl &&
  pass "train: it learns" || fail "train: it learns" "$(tail -1 whole/training.jsonl)"
printf 'question 3:' >question
run "$X" generate -m whole -f question -n 4 --threads 1
expect "train: what it wrote can be loaded" 0

same_as_whole() { # NAME FOLDER
  cmp -s whole/model.safetensors "$2/model.safetensors" && cmp -s whole/training.jsonl "$2/training.jsonl" && pass "$1" || fail "$1" "$(ls "$2" 2>&1)" "$(cmp whole/training.jsonl "$2/training.jsonl" 2>&1)"
}
"$X" train $at --threads 1 --recompute --save-steps 0 -o other
same_as_whole "one thread, layers run again on the way back: same bits" other

# ---- the paper's recipe: torch's LambdaLR with transformers' get_cosine_schedule_with_warmup, by hand, and products in bf16
"$X" train $at --recipe paper -o recipe
"$X" train $at --schedule cosine --compute bf16 -o by-hand
cmp -s recipe/model.safetensors by-hand/model.safetensors && pass "recipe: cosine and bf16" || fail "recipe: cosine and bf16" "the weights differ"
same "recipe: the rate of every step" "$(awk -v n=40 -v warm=4 'BEGIN { FS = "\"learning_rate\": "; pi = atan2(0, -1) } { split($2, f, ","); s = NR - 1
  want = s < warm ? 1e-3 * s / warm : 1e-3 * 0.5 * (1 + cos(pi * (s - warm) / (n - warm))); d = f[1] - want; if (d > 1e-11 || d < -1e-11) bad++ } END { print NR, bad + 0 }' recipe/training.jsonl)" "40 0"
"$X" train $at --recipe paper --schedule linear --compute f32 -o linear
same_as_whole "recipe: what is given counts" linear

# ---- Aya's fields
sed 's/"prompt"/"inputs"/; s/"response"/"targets"/; s/}$/, "language": "Swahili", "user_id": 1}/' pairs.jsonl >aya.jsonl
"$X" train $at -d aya.jsonl -o aya
same "Aya's names give the same weights" "$(cmp aya/model.safetensors whole/model.safetensors 2>&1)" ""
sed 's/:"/\\n"/; s/" answer/"answer/' pairs.jsonl >apart.jsonl
sed 's/\\n", /", /; s/"prompt"/"inputs"/; s/"response"/"targets"/' apart.jsonl >aya.jsonl
for file in apart aya; do "$X" train $at --epochs 1 -d $file.jsonl -o $file.out; done
same "with a line end between prompt and answer" "$(head -1 aya.jsonl | cut -c1-41) $(cmp aya.out/model.safetensors apart.out/model.safetensors 2>&1)" '{"inputs": "question 1", "targets": "answ '

# ---- killed at any moment, the same command goes on
kills=0 partial=0 moments=20
[ -n "${XT_TEST_BRIEF:-}" ] && moments=4
while [ $kills -lt $moments ]; do
  "$X" train $at --save-steps 1 -o killed &
  pid=$!
  sleep "$(awk "BEGIN {print $whole_ms * $(od -An -N1 -tu1 /dev/urandom) / 256000}")"
  if ! kill -9 $pid 2>/dev/null; then # it had finished: begin anew
    wait $pid
    rm -rf killed
    continue
  fi
  wait $pid 2>/dev/null
  kills=$((kills + 1))
  [ -e killed/training-state.safetensors ] && partial=$((partial + 1))
  if [ -e killed/model.safetensors ] && [ ! -e killed/training-state.safetensors ]; then rm -rf killed; fi # killed when all was done
done 2>/dev/null
echo "# killed $kills times, $partial times with a state"
[ -e killed/training-state.safetensors ] || { # so that the last start has something to go on from
  "$X" train $at --save-steps 1 -o killed & pid=$!
  tries=0
  while [ $tries -lt 200 ] && [ ! -e killed/training-state.safetensors ]; do sleep 0.01; tries=$((tries + 1)); done
  kill -9 $pid; wait $pid
} 2>/dev/null
echo half >killed/training-state.safetensors.0123456789abcdef.partial # as one that is killed while it writes leaves it
echo mine >killed/notes.partial
run "$X" train $at --save-steps 1 -o killed
expect "after kill -9: goes on" 0
same "after kill -9: the user's own file stays" "$(cat killed/notes.partial)" mine
rm killed/notes.partial
same_as_whole "after kill -9: same bits" killed
[ $partial -ge 1 ] && pass "after kill -9: some of it was kept" || fail "after kill -9: some of it was kept" "killed $kills times in $whole_ms ms"
same "after kill -9: nothing left over" "$(ls killed)" "$(ls whole)"

# ---- two runs into one folder: the second is refused
"$X" train $at --epochs 400 --save-steps 1 -o both 2>/dev/null & pid=$!
tries=0
while [ $tries -lt 400 ] && [ ! -e both/training-state.safetensors ]; do sleep 0.01; tries=$((tries + 1)); done
refuses "two runs into one folder: the second is refused" 3 "xtransplant train: both: another process is writing into this folder" \
  "$X" train $at --epochs 400 --save-steps 1 -o both
kill -9 $pid; wait $pid 2>/dev/null

# ---- Ctrl-C keeps a state without --save-steps; other settings are refused
"$X" train $at --epochs 400 --save-steps 0 -o half 2>err & pid=$!
tries=0
while [ $tries -lt 200 ] && [ ! -d half ]; do sleep 0.01; tries=$((tries + 1)); done
sleep 0.3
kill -INT $pid
wait $pid
same "Ctrl-C: exit code" $? 130
same "Ctrl-C: message" "$(sed "s/step [0-9]*/step N/" err)" "xtransplant train: half: stopped after step N of 4000"
same "Ctrl-C: state" "$(ls half | grep -c training-state)" 1
refuses_like "other settings" 3 "half.*(epochs|steps|learning|lr)" "$X" train $at --epochs 400 --lr 2e-3 -o half
head -30 pairs.jsonl >fewer.jsonl
refuses_like "other data" 3 "half.*data" "$X" train -m "$model" -d fewer.jsonl --batch 4 --lr 1e-3 --epochs 400 --quiet -o half
head -c 5000 half/training-state.safetensors >short && cp short half/training-state.safetensors
refuses_like "a broken state" 3 "half/training-state.safetensors: " "$X" train $at --epochs 400 -o half

# ---- bad input
bad() { printf '%s\n' "$1" >bad.jsonl; }
bad '{"prompt": 3}'
refuses "a number for a prompt" 3 'xtransplant train: bad.jsonl: line 1: "prompt" is an integer, expected a string' "$X" train $at -d bad.jsonl -o new
for line in '{"prompt": "a", "targets": "b"}' '{"inputs": "a"}' '{"inputs": "a", "targets": "b", "text": "c"}' '{"prompt": "a", "response": "b", "inputs": "c", "targets": "d"}'; do
  bad "$line"
  refuses "$line" 3 'xtransplant train: bad.jsonl: line 1: has to have "prompt" and "response", "inputs" and "targets", or "text" alone' "$X" train $at -d bad.jsonl -o new
done
bad '{"prompt": "a"'
refuses_like "no JSON" 3 "bad.jsonl: line 1: not a line of JSON" "$X" train $at -d bad.jsonl -o new
bad '{"prompt": "a", "response": "b\udc00"}'
refuses_like "half a surrogate" 3 "bad.jsonl: line 1: " "$X" train $at -d bad.jsonl -o new
: >empty.jsonl
refuses "no examples" 3 "xtransplant train: empty.jsonl: has nothing to learn from: no example has two tokens" "$X" train $at -d empty.jsonl -o new
refuses "no data" 3 "xtransplant train: nowhere: cannot open: No such file or directory" "$X" train $at -d nowhere -o new
refuses "no folder above" 3 "xtransplant train: none/new: cannot make the directory: No such file or directory" "$X" train $at -o none/new
mkdir things && echo mine >things/notes
refuses_like "a folder with other things" 3 "xtransplant train: things: exists, is not empty" "$X" train $at -o things
run "$X" train -m "$model" -d pairs.jsonl --batch 4 --lr 1e-3 --epochs 4 --threads 1 -o whole
same "a run that is finished" "$code $(cat out err)" "0 whole: this run is finished, with all 40 steps; nothing to do"
run "$X" train $at -o whole --json
same "a run that is finished: as JSON" "$code $(field steps <out) $(field finished_before <out) $(field tokens <out)" "0 40 true 0"
refuses_like "a run that finished with other settings" 3 "^xtransplant train: whole/model.safetensors: [a-z-]*: the run that finished there had 0.001, this one has 0.002; give the same, or another output$" \
  "$X" train $at --lr 2e-3 -o whole
same_as_whole "a run that is finished is left alone" killed
[ ! -e new ] && pass "bad input: nothing is written" || fail "bad input: nothing is written" "$(ls new)"
if (ulimit -f 200) 2>/dev/null; then
  (ulimit -f 200 && "$X" train $at --save-steps 1 -o big >out 2>err)
  same "a disk that is full" "$? $(cat err)" "3 xtransplant train: big/training-state.safetensors: cannot write: File too large"
  "$X" train $at --save-steps 1 -o big
  same_as_whole "a disk that was full: same bits" big
fi

# ---- train-tokenizer
for k in 1 2 3; do cat "$here/../../README.md"; done 2>/dev/null >text.txt || awk 'BEGIN { for (k = 0; k < 999; k++) print "one text and another text " k }' >text.txt
run "$X" train-tokenizer --vocab 400 -o tok1 text.txt --quiet
expect "train-tokenizer" 0
"$X" train-tokenizer --vocab 400 -o tok2 text.txt --quiet
cmp -s tok1/tokenizer.json tok2/tokenizer.json && pass "train-tokenizer: same bytes" || fail "train-tokenizer: same bytes"
line='Größe — 高 and another text'
printf %s "$line" >line
"$X" tokenize -t tok1 <line >ids
same "train-tokenizer: text comes back" "$("$X" detokenize -t tok1 <ids)" "\"$line\""
refuses_like "train-tokenizer: no text" 3 "nowhere" "$X" train-tokenizer --vocab 400 -o tok3 nowhere
finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The example that sweeps a benchmark with the library alone: its store is the program's, stopped and resumed.
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
sweep=$XT_BUILD/examples/sweep
"$X" init-model --like tiny-llama -o small --quiet || exit 1
mkdir -p data/split data/ans
for i in 1 2 3 4; do
  echo "\"Question $i: the capital is\"" >>data/split/xquad.en.json
  echo "\"Swali $i: mji mkuu ni\"" >>data/split/xquad.tr.json
  echo "\"a\"" >>data/ans/xquad.tr.json
done
"$X" sweep -m small --threads 1 --quiet --task xquad --data data --lang tr -o program.db || exit 1
"$X" export program.db --quiet >program.jsonl
run "$sweep" small xquad data tr whole.db
expect "the example sweeps" 0
tr '\r' '\n' <err >lines
same "it tells how much it has run" "$(tail -1 lines | sed 's/ in .*//')" "148 responses"
if [ "$(grep -c '^ *[0-9.]*% ' lines)" -gt 10 ]; then pass "with progress"; else fail "with progress" "$(cat lines)"; fi
"$X" export whole.db --quiet >whole.jsonl
if cmp -s program.jsonl whole.jsonl; then pass "its store is the program's"; else fail "its store is the program's" "$(diff program.jsonl whole.jsonl | head -3)"; fi

# Stopped as soon as it has begun to run, as often as it takes; begun again if it ended before the first signal came.
stops=0 begun=1
while [ $stops -lt 200 ]; do
  "$sweep" small xquad data tr stopped.db 2>err & pid=$!
  until grep -q % err 2>/dev/null || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
  [ $stops -lt 3 ] && kill -INT $pid 2>/dev/null
  wait $pid
  code=$?
  if [ $code -eq 130 ]; then stops=$((stops + 1)); continue; fi
  [ $code -eq 0 ] && [ $stops -eq 0 ] && [ $begun -lt 9 ] || break
  begun=$((begun + 1))
  rm -f stopped.db
done
expect "stopped and run again, it ends" 0
if [ $stops -gt 0 ]; then pass "it was stopped"; else fail "it was stopped" "$(cat err)"; fi
"$X" export stopped.db --quiet >stopped.jsonl
if cmp -s program.jsonl stopped.jsonl; then pass "resumed: the same"; else fail "resumed: the same" "$(diff program.jsonl stopped.jsonl | head -3)"; fi
run "$sweep" small xquad data tr stopped.db
same "a finished one does nothing" "$code $(tail -1 err | tr -d '\r' | sed 's/ in .*//')" "0 0 responses"
run "$sweep" small xquad nowhere tr new.db
same "errors name the place" "$code $(grep -c 'sweep: nowhere' err)" "1 1"
finish

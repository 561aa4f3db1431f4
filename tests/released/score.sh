#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The released evaluation's verdicts, line by line, from the command line.
[ -z "${XT_TEST_DATA:-}" ] || XT_TEST_DATA=$(cd "$XT_TEST_DATA" && pwd) || exit 1
. "$(dirname "$0")/../cli/lib.sh"
for task in xnli xquad globalopinionqa; do
  golden=${XT_TEST_DATA:+$XT_TEST_DATA/goldens/scoring/$task.jsonl}
  if [ ! -f "$golden" ]; then
    echo "ok - score: $task as released # SKIP needs XT_TEST_DATA: a folder with goldens/scoring/$task.jsonl"
    continue
  fi
  sed 's/.*"correct": \(true\|false\)}$/{"correct": \1}/' "$golden" >want
  "$X" score --task $task <"$golden" >out
  same "score: $task as released, $(wc -l <want) lines" "$(cmp want out 2>&1)" ""
done

finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Disks that are full or broken, interrupted and short writes, memory that runs out, kill -9: at chosen calls of every verb that writes.
# The verb ends with one line and 1 or 3, or succeeds; nothing half-written stays under the output's name; the same command then gives
# the bytes of an undisturbed run.
. "$(dirname "$0")/lib.sh"
shim=$XT_BUILD/tests/libfault_shim.so
if [ ! -e "$shim" ] || grep -q __asan_init "$X" || grep -q __tsan_init "$X"; then
  echo "ok - faults # SKIP the sanitizers' own allocator cannot be preloaded over"
  exit 0
fi
make_model tiny-llama
printf 'Some words.' >prompt
printf 'one two\nthree four\n' >lines
printf '{"id":1,"lang":"de","source":"ab","target":"cd"}\n{"id":2,"lang":"de","source":"ef","target":"gh"}\n' >pairs.jsonl
sweep="$X sweep -m $model --threads 1 --site ffn -n 2 --quiet"
$sweep --pairs pairs.jsonl -i 0,1 -j 0,1 -o base.db
$sweep --pairs pairs.jsonl -i 2 -j 0,1 -o more.db

# prepare VERB: what the verb finds in the folder `at`
prepare() {
  rm -rf at
  mkdir at
  case $1 in metrics | select) cp base.db at/s.db ;; esac
}
# verb VERB: runs it
verb() {
  case $1 in
    init-model) "$X" init-model --like tiny-llama --quiet -o at/m ;;
    capture) "$X" capture -m "$model" --threads 1 --prompt-file prompt --quiet -o at/taps ;;
    sweep) $sweep --pairs pairs.jsonl -i 0,1 -j 0,1 -o at/s.db ;;
    metrics) "$X" metrics -m "$model" --threads 1 --quiet at/s.db ;;
    select) "$X" select -m "$model" --threads 1 --strategy entropy --quiet -o at/s.db ;;
    merge) "$X" merge --quiet at/s.db base.db more.db ;;
    report) "$X" report base.db --quiet -o at/rep ;;
    export) "$X" export --results at/r.json base.db ;;
    train) "$X" train -m "$model" --threads 1 --format lines --data lines --steps 2 --batch 1 --save-steps 1 --quiet -o at/t ;;
    train-tokenizer) "$X" train-tokenizer --vocab 260 --quiet -o at/v lines ;;
  esac
}
# result: the output's bytes; of a store, what it exports
result() {
  for file in $(find at -type f | sort); do
    case $file in
      *.db) "$X" export "$file" | cksum ;;
      *.json | *.html) sed 's/"started": "[^"]*"//; s/20[0-9-]*T[0-9:]*Z//g' "$file" | cksum ;;
      *) cksum <"$file" ;;
    esac
    echo "$file"
  done
}
count_of() { sed -n "s/^$1 //p" counts; }

# try VERB FAULT: with the fault, then again without
try() {
  prepare "$1"
  (export LD_PRELOAD="$shim" XT_FAULT="$2"; verb "$1" >out 2>err)
  code=$?
  tried=$((tried + 1))
  case $2 in *:KILL) ;; *)
    if [ $code -ne 0 ] && [ $code -ne 1 ] && [ $code -ne 3 ]; then bad="$bad $2: exit code $code;"; fi
    if [ $code -ne 0 ] && [ "$(wc -l <err)" -ne 1 ]; then bad="$bad $2: $(wc -l <err) lines on stderr;"; fi
    if [ $code -ne 0 ] && [ "$(find at -name '*.partial' | wc -l)" -ne 0 ]; then bad="$bad $2: leaves a temporary file;"; fi ;;
  esac
  case $2 in *:0:SHORT | *:0:EINTR) [ $code -ne 0 ] && bad="$bad $2: $(cat err);" ;; esac
  if [ $code -ne 0 ]; then
    case $1 in init-model | train-tokenizer) rm -rf at; mkdir at ;; esac # those begin anew
    if [ "$1" = merge ] && [ -e at/s.db ]; then : # it was whole already, and merge replaces nothing
    else verb "$1" >out 2>err || bad="$bad $2, then without: $(head -1 err);"; fi
  fi
  find at -name '*.partial' -exec rm -rf {} + 2>/dev/null # of a run that was killed
  result >got
  cmp -s got wanted || bad="$bad $2: another result;"
}

for name in init-model capture sweep metrics merge report export train train-tokenizer; do
  prepare "$name"
  (export LD_PRELOAD="$shim" XT_FAULT_COUNT="$work/counts"; verb "$name" >out 2>err) || fail "$name runs" "$(cat err)"
  result >wanted
  bad= tried=0
  for call in write sync rename open; do
    n=$(count_of $call)
    [ "$n" -gt 0 ] || continue
    case $call in write) kinds="ENOSPC EIO" ;; sync) kinds=EIO ;; rename) kinds=EIO ;; open) kinds=EMFILE ;; esac
    for kind in $kinds KILL; do
      for at in 1 $(((n + 1) / 2)) "$n"; do try "$name" "$call:$at:$kind"; done
    done
  done
  try "$name" write:0:SHORT
  n=$(count_of malloc)
  for k in 1 2 3 5 7; do try "$name" "malloc:$((n * k / 8 + k)):ENOMEM"; done
  [ -z "$bad" ] && pass "$name: $tried faults" || fail "$name: $tried faults" "$bad"
done
finish

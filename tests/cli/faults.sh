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
mkdir raw
{
  printf 'language\tgold_label\tsentence1\tsentence2\tpairID\n'
  for lang in de en; do for q in 0 1 2 3; do printf '%s\tneutral\tone %d\ttwo %d\t%d\n' $lang $q $q $q; done; done
} >raw/xnli.test.tsv

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
    select) "$X" select -m "$model" --threads 1 --pairs pairs.jsonl --site ffn -n 2 --strategy entropy --quiet -o at/s.db ;;
    merge) "$X" merge --quiet at/s.db base.db more.db ;;
    report) "$X" report base.db --quiet -o at/rep ;;
    export) "$X" export --results at/r.json base.db ;;
    train) "$X" train -m "$model" --threads 1 --format lines --data lines --steps 2 --batch 1 --save-steps 1 --quiet -o at/t ;;
    pilotset) "$X" pilotset --task xnli --raw raw --lang de,en -n 2 --quiet -o at/set ;;
    lens) "$X" lens -m "$model" --threads 1 --prompt-file prompt -n 2 --quiet --html at/lens.html ;;
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
  case $1:$2 in # SQLite makes an interrupted fdatasync an error
    sweep:sync:0:EINTR | metrics:sync:0:EINTR | select:sync:0:EINTR | merge:sync:0:EINTR) ;;
    *:0:SHORT | *:0:EINTR) [ $code -ne 0 ] && bad="$bad $2: $(cat err);" ;;
  esac
  if [ $code -ne 0 ]; then
    case $1 in init-model | train-tokenizer | pilotset) rm -rf at; mkdir at ;; esac # those begin anew
    if [ "$1" = merge ] && [ -e at/s.db ]; then : # it was whole already, and merge replaces nothing
    else verb "$1" >out 2>err || bad="$bad $2, then without: $(head -1 err);"; fi
  fi
  find at -name '*.partial' -exec rm -rf {} + 2>/dev/null # of a run that was killed
  result >got
  cmp -s got wanted || bad="$bad $2: another result;"
}

for name in init-model capture sweep metrics select merge report export lens pilotset train train-tokenizer; do
  prepare "$name"
  (export LD_PRELOAD="$shim" XT_FAULT_COUNT="$work/counts"; verb "$name" >out 2>err) || fail "$name runs" "$(cat err)"
  result >wanted
  bad= tried=0
  # what a name stands for is on the disk before it has the name
  [ "$(count_of sync)" -ge 1 ] && [ "$(count_of sync)" -ge "$(count_of rename)" ] || bad=" $(count_of rename) files renamed, $(count_of sync) synced;"
  for call in write sync rename open; do
    n=$(count_of $call)
    [ "$n" -gt 0 ] || continue
    case $call in write) kinds="ENOSPC EIO" ;; sync) kinds=EIO ;; rename) kinds=EIO ;; open) kinds=EMFILE ;; esac
    for kind in $kinds KILL; do
      for at in 1 $(((n + 1) / 2)) "$n"; do try "$name" "$call:$at:$kind"; done
    done
  done
  for call in read write; do try "$name" $call:0:SHORT; done
  for call in read write sync rename open; do try "$name" $call:0:EINTR; done
  n=$(count_of read)
  [ "$n" -eq 0 ] || for at in 1 $(((n + 1) / 2)) "$n"; do try "$name" "read:$at:EIO"; done
  n=$(count_of malloc)
  for k in 1 2 3 5 7; do try "$name" "malloc:$((n * k / 8 + k)):ENOMEM"; done
  for k in 1 3 4 5 6; do try "$name" "malloc:$((n * k / 7 + k)):KILL"; done # anywhere
  [ -z "$bad" ] && pass "$name: $tried faults" || fail "$name: $tried faults" "$bad"
done

# Clocks that jump by years, forwards and back, while progress and commits go by them.
for name in sweep train; do
  prepare $name
  (unset XT_FAULT; verb $name >out 2>err)
  result >wanted
  for jump in 100000000 -100000000; do
    prepare $name
    (export LD_PRELOAD="$shim" XT_CLOCK=$jump; verb $name >out 2>err)
    code=$?
    result >got
    if [ $code -eq 0 ] && cmp -s got wanted; then pass "$name: clocks that jump by $jump s"; else fail "$name: clocks that jump by $jump s" "exit code $code" "$(cat err)"; fi
  done
done
prepare sweep
(export LD_PRELOAD="$shim" XT_CLOCK=100000000
 "$X" sweep -m "$model" --threads 2 --site ffn -n 2 --progress plain --pairs pairs.jsonl -i 0,1 -j 0,1 -o at/s.db >out 2>err)
code=$?
if [ $code -eq 0 ] && ! grep -qi 'nan\|inf' err; then pass "sweep: progress while clocks jump"; else fail "sweep: progress while clocks jump" "exit code $code" "$(cat err)"; fi

# A weight file that another program cuts short while it is read: a line that names it, or the run was done with it.
"$X" init-model --like tiny-llama --quiet -o whole
bad= told=0
(export LD_PRELOAD="$shim" XT_FAULT_COUNT="$work/counts"; "$X" generate -m whole --threads 1 --prompt-file prompt -n 1 --quiet >out 2>err) || fail "generate runs" "$(cat err)"
n=$(count_of malloc)
for k in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
  rm -rf cut && cp -r whole cut
  (export LD_PRELOAD="$shim" XT_FAULT="malloc:$((n * k / 16 + 1)):CUT" XT_FAULT_FILE=cut/model.safetensors
   "$X" generate -m cut --threads 1 --prompt-file prompt -n 1 --quiet >out 2>err)
  code=$?
  if [ $code -ne 0 ] && [ $code -ne 3 ]; then bad="$bad cut at $k: exit code $code;"; fi
  if [ $code -eq 3 ] && { [ "$(wc -l <err)" -ne 1 ] || ! grep -q 'cut/model.safetensors' err; }; then bad="$bad cut at $k: $(cat err);"; fi
  grep -q 'cut short while it was in use' err && told=$((told + 1))
done
if [ -z "$bad" ] && [ $told -gt 0 ]; then pass "generate: a weight file that shrinks"; else fail "generate: a weight file that shrinks" "$bad told $told times"; fi
finish

#!/bin/sh
# Runs the test programs and scripts on the given build folders, and adds up their TAP lines. The
# first folder runs everything; a thread-sanitizer folder runs the thread tests alone (OpenMP's own
# synchronisation is invisible to it); the others run everything but the slow comparisons.
# Ends with "N passed, N failed, N skipped"; fails when one failed or none ran.
# usage: tests/run.sh BUILD...
set -u
here=$(cd "$(dirname "$0")" && pwd)
log=$(mktemp)
trap 'rm -f "$log" "$log.one"' EXIT
export CMOCKA_MESSAGE_OUTPUT=TAP
export OMP_WAIT_POLICY=passive # threads that wait do not take the processors from other programs
run_one() { # build program
  name=$(basename "$2")
  began=$(date +%s)
  XT_BUILD="$1" "$2" >"$log.one" 2>&1
  code=$?
  # A program that failed without saying which test did counts as one failure.
  if [ $code -ne 0 ] && ! grep '^not ok' "$log.one" | grep -qv '# SKIP'; then echo "not ok - $name exited with $code" >>"$log.one"; fi
  printf '# %-12s %-34s %4d s  %d ok\n' "$1" "$name" $(($(date +%s) - began)) "$(grep -c '^ok' "$log.one")"
  if [ $code -ne 0 ]; then cat "$log.one"; else grep -E '^not ok|# SKIP' "$log.one" | sort | uniq -c; fi
  cat "$log.one" >>"$log"
}
first=1
for build in "$@"; do
  case $build in
    *tsan*) list="$build/tests/test_threads" ;;
    *) list="$build/tests/test_* $here/cli/*.sh" ;;
  esac
  [ $first -eq 1 ] && list="$list $here/structure/*.sh"
  [ $first -eq 1 ] || export XT_TEST_BRIEF=1
  for program in $list; do
    if [ -x "$program" ]; then run_one "$build" "$program"; fi
  done
  first=0
done
# cmocka writes a skipped test as "not ok N # SKIP name"
awk '/^(not )?ok.*# [Ss][Kk][Ii][Pp]/ {s++; next} /^not ok/ {f++; next} /^ok/ {p++}
     END {printf "%d passed, %d failed, %d skipped\n", p, f, s; exit (f || !p)}' "$log"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the readers, one after the other, and prints a line for each: executions, CPU seconds, findings.
# usage: tests/fuzz/run.sh BUILD SECONDS [READER...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd) seconds=$2
shift 2
[ $# -gt 0 ] || set -- $(sed -n '/^#define FUZZ_TARGETS/,/^#define FUZZ_DECLARE/p' "$here/fuzz.h" | grep -o 'X([a-z_]*)' | sed 's/X(\(.*\))/\1/' | grep -v '^$')
mkdir -p "$build/fuzz/work" "$build/findings"
failed=0
printf '%-18s %12s %8s %9s\n' reader executions seconds findings
for reader; do
  ln -sf fuzz_main "$build/fuzz/fuzz-$reader"
  work=$build/fuzz/work/$reader
  mkdir -p "$work"
  most=65536
  case $reader in verify) most=4096 ;; store_rows) most=96 ;; esac # eight changes and a text
  set -- -max_total_time="$seconds" -max_len=$most -timeout=20 -rss_limit_mb=3000 -malloc_limit_mb=2500 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$reader-"
  [ -e "$here/$reader.dict" ] && set -- "$@" -dict="$here/$reader.dict"
  before=$(find "$build/findings" -name "$reader-*" | wc -l)
  ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1:malloc_context_size=1:quarantine_size_mb=4:max_malloc_fill_size=64 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive \
    "$build/fuzz/fuzz-$reader" "$@" "$work" "$here/corpus/$reader" >"$work.log" 2>&1
  [ $? -ne 0 ] && failed=1
  printf '%-18s %12s %8s %9s\n' "$reader" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$work.log")" "$seconds" \
    $(($(find "$build/findings" -name "$reader-*" | wc -l) - before))
done
exit $failed

#!/bin/sh
# Runs every test program and CLI script of the given build folders, and adds up their TAP lines.
# Ends with "N passed, N failed, N skipped"; fails when one failed or none ran.
# usage: tests/run.sh BUILD...
set -u
here=$(cd "$(dirname "$0")" && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export CMOCKA_MESSAGE_OUTPUT=TAP
for build in "$@"; do
  for program in "$build"/tests/test_* "$here"/cli/*.sh; do
    [ -x "$program" ] || continue
    printf '# %s %s\n' "$build" "$(basename "$program")"
    XT_BUILD="$build" "$program" >"$log.one" 2>&1
    code=$?
    # A program that failed without saying which test did counts as one failure.
    if [ $code -ne 0 ] && ! grep -q '^not ok' "$log.one"; then echo "not ok - $(basename "$program") exited $code" >>"$log.one"; fi
    if [ $code -ne 0 ]; then cat "$log.one"; else grep -E '^not ok|# SKIP|^skipped' "$log.one"; fi
    cat "$log.one" >>"$log"
    rm -f "$log.one"
  done
done
awk '/^not ok/ {f++; next} /^ok.*# SKIP/ {s++; next} /^ok/ {p++}
     END {printf "%d passed, %d failed, %d skipped\n", p, f, s; exit (f || !p)}' "$log"

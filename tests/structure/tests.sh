#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ctest and tests/run.sh run the same tests of a build folder.
. "$(dirname "$0")/../cli/lib.sh"
if command -v ctest >/dev/null; then
  ctest --test-dir "$XT_BUILD" -N | sed -n 's/.*Test *#[0-9]*: //p' | sed 's,.*/,,' | sort >by_ctest
  "$here/../run.sh" --list "$XT_BUILD" | sed 's,.*/,,' | sort >by_run
  [ "$(wc -l <by_run)" -gt 50 ] && pass "there are tests" || fail "there are tests" "$(cat by_run)"
  same "ctest runs what tests/run.sh runs" "$(diff by_ctest by_run)" ""
else skip "ctest runs what tests/run.sh runs" "needs ctest"; fi
finish

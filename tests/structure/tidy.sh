#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clang-tidy, with the checks of .clang-tidy, finds nothing in the library, the program and the examples.
set -u
. "$(dirname "$0")/lib.sh"
build=${XT_BUILD:?the build folder}
build=$(cd "$build" && pwd)
cd "$(dirname "$0")/../.." || exit 1
name="clang-tidy finds nothing"
if ! command -v clang-tidy >/dev/null 2>&1 || [ ! -e "$build/compile_commands.json" ]; then
  echo "ok - $name # SKIP needs clang-tidy"
  exit 0
fi
# Flags that the compiler of the build knows and clang does not are no finding.
found=$(find src examples -name '*.c' ! -name 'unicode_*' | sort |
  xargs -P "$(nproc)" -n 16 clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument 2>/dev/null |
  grep -E '(warning|error):' | sed "s|$PWD/||" | sort -u)
report "$found" "$name"
exit $failed

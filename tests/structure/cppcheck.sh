#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cppcheck finds no error in the library, the program and the examples. Only its findings of the kind "error" count: the others are
# matters of style, which clang-format and clang-tidy look after. What is a false finding is in cppcheck.txt with its reason.
set -u
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/../.." || exit 1
name="cppcheck finds no error"
if ! command -v cppcheck >/dev/null 2>&1; then
  echo "ok - $name # SKIP needs cppcheck"
  exit 0
fi
# shellcheck disable=SC2046
report "$(cppcheck -q -j "$(nproc)" --std=c11 --language=c --inline-suppr --suppressions-list=tests/structure/cppcheck.txt \
  -Iinclude -Isrc -Isrc/cli --template='{file}:{line}: {id}: {message}' $(find src examples -name '*.c' | sort) 2>&1)" "$name"
exit $failed

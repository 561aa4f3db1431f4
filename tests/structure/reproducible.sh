#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same source gives the same bytes, in whatever folder. Some files of each kind are compiled in two copies of the source;
# --whole builds program and libraries in both, which takes minutes, and compares those.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
say() { # NAME PROBLEM
  if [ -z "$2" ]; then echo "ok - $1"; else
    echo "not ok - $1"
    echo "$2" | sed 's/^/# /' | head -20
    failures=$((failures + 1))
  fi
}
whole=0
[ "${1:-}" = --whole ] && whole=1
build_in() { # FOLDER TARGET...: a copy of the source there, and its targets
  folder=$1
  shift
  mkdir -p "$folder" && (cd "$source" && tar -c --exclude './build*' --exclude ./.git --exclude ./tests .) | tar -x -C "$folder" || return 1
  mkdir -p "$folder/tests" && cp "$source/tests/CMakeLists.txt" "$folder/tests/" || return 1
  env -u CMAKE_C_COMPILER_LAUNCHER -u CMAKE_CXX_COMPILER_LAUNCHER \
    cmake -G Ninja -S "$folder" -B "$folder/out" -DXT_TESTS=OFF -DXT_BENCH=OFF >"$work/log" 2>&1 && cmake --build "$folder/out" --target "$@" >>"$work/log" 2>&1
}
objects=CMakeFiles/xt_objects.dir
if [ $whole -eq 1 ]; then
  targets="xtransplant xtransplant_shared xtransplant_static" files="xtransplant libxtransplant.so libxtransplant.a"
else
  targets="$objects/src/base/version.c.o $objects/src/base/json.c.o $objects/src/tasks/score.c.o $objects/page_assets.c.o"
  [ -f "${XT_BUILD:-.}/$objects/src/text/langid_model.cpp.o" ] && targets="$targets $objects/src/text/langid_model.cpp.o"
  files=$targets
fi
# shellcheck disable=SC2086
for folder in one another/folder; do build_in "$work/$folder" $targets || say "builds in a copy" "$(cat "$work/log")"; done
for file in $files xtransplant.spdx.json; do
  say "$(basename "$file"): same bytes in both folders" "$(cmp "$work/one/out/$file" "$work/another/folder/out/$file" 2>&1)"
done
if [ -n "${XT_BUILD:-}" ] && grep -q '^XT_SANITIZE:[A-Z]*=$' "$XT_BUILD/CMakeCache.txt"; then
  build=$(cd "$XT_BUILD" && pwd)
  for file in xtransplant libxtransplant.so libxtransplant.a; do
    say "$file does not name the folder it was built in" "$(LC_ALL=C grep -cF "$source/" "$build/$file" | grep -v '^0$')"
  done
fi
[ $failures -eq 0 ]

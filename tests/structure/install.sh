#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make install` gives: headers that stand alone in C and C++, a pkg-config file that links both libraries,
# a shared library that gives out xt_* alone.
set -u
source=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${XT_BUILD:?the build folder}" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
check() { # NAME COMMAND...
  what=$1
  shift
  if "$@" >"$work/log" 2>&1; then echo "ok - $what"; else
    echo "not ok - $what"
    sed 's/^/# /' "$work/log" | head -20
    failures=$((failures + 1))
  fi
}
check "install" cmake --install "$build" --prefix "$work/inst"
check "the Python package is no part of it" test ! -e "$work/inst/xtransplant"
PKG_CONFIG_PATH=$(dirname "$(find "$work/inst" -name xtransplant.pc)")
export PKG_CONFIG_PATH
# The file tells the prefix it was configured for; this is another.
flags() { pkg-config --define-variable=prefix="$work/inst" "$@" xtransplant; }
check "pkg-config finds the library and what it needs" flags --static --libs --cflags
for header in "$work"/inst/include/xtransplant/*.h; do
  name=$(basename "$header")
  check "$name stands alone in C" cc -std=c11 -Wall -Wextra -Wpedantic -Werror $(flags --cflags) -x c -fsyntax-only "$header"
  check "$name stands alone in C++" c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror $(flags --cflags) -x c++ -fsyntax-only "$header"
done
"$work/inst/bin/xtransplant" init-model --like tiny-llama --quiet -o "$work/model"
printf 'Hello' >"$work/prompt"
for example in "$source"/examples/*.c; do
  name=$(basename "$example" .c)
  check "$name builds with the shared library" cc -std=c11 $(flags --cflags) "$example" -o "$work/$name-shared" $(flags --libs)
  check "$name builds with the static library" cc -std=c11 $(flags --cflags) "$example" -o "$work/$name-static" \
    $(flags --static --libs | sed 's/-lxtransplant/-l:libxtransplant.a/')
done
LD_LIBRARY_PATH=$(dirname "$(find "$work/inst" -name libxtransplant.so)")
export LD_LIBRARY_PATH
check "the installed demo finds its files" "$work/inst/bin/xtransplant" demo --limit 1 --site ffn --no-tuning --quiet -o "$work/demo-out"
check "an example runs with the shared library" "$work/generate-shared" "$work/model" "$work/prompt"
cp "$work/log" "$work/shared.out"
unset LD_LIBRARY_PATH
check "an example runs with the static library" "$work/generate-static" "$work/model" "$work/prompt"
cp "$work/log" "$work/static.out"
check "both say the same" cmp "$work/static.out" "$work/shared.out"
nm -D --defined-only "$(find "$work/inst" -name libxtransplant.so)" | awk '{print $NF}' | sed 's/@.*//' | grep -vE '^(xt_[a-z0-9_]+|XTRANSPLANT.*)$' >"$work/others"
check "the shared library gives out xt_* alone" test ! -s "$work/others"
# Every function that the headers declare is there.
sed -n 's/^XT_API .*[ *]\(xt_[a-z0-9_]*\)(.*/\1/p' "$work"/inst/include/xtransplant/*.h | grep -v '^typedef' | sort -u >"$work/declared"
nm -D --defined-only "$(find "$work/inst" -name libxtransplant.so)" | awk '{print $NF}' | sed 's/@.*//' | sort -u >"$work/defined"
check "the shared library has every declared function" sh -c "test -s '$work/declared' && test -z \"\$(comm -23 '$work/declared' '$work/defined')\""
[ $failures -eq 0 ]

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The library is a guest in its host's process: nothing with a buffer that threads share, nothing that prints, reads the
# environment, changes the locale or ends the process.
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/../../src" || exit 1
forbidden='(strerror|strtok|localtime|gmtime|asctime|ctime|readdir_r|rand|srand|getenv|setenv|putenv|setlocale|exit|_exit|abort|printf|puts|putchar|perror)'
found=$(grep -rnE "(^|[^a-zA-Z0-9_.>])$forbidden *\(" --include='*.[ch]' --include='*.inc' --include='*.cpp' . | grep -v '^./cli/' |
  grep -vE ':[0-9]+: *(/?\*|//)' | grep -vE "/\*[^*]*$forbidden *\(")
report "$found" "the library calls nothing that a host would mind"

cd .. || exit 1
build=${XT_BUILD:-build}
if nm --version >/dev/null 2>&1 && ! nm "$build/libxtransplant.a" 2>/dev/null | grep -q __asan; then
  report "$(nm -g --defined-only "$build/libxtransplant.a" | awk 'NF == 3 && $3 !~ /^xt_/ {print $3}')" "the static library has no global name but xt_*"
  report "$(nm -D --defined-only "$build/libxtransplant.so" | awk 'NF == 3 && $3 !~ /^xt_/ {print $3}')" "the shared library has no global name but xt_*"
fi
# Every function that leaves is declared in a public header.
undeclared=$(nm -g --defined-only "$build/libxtransplant.a" | awk 'NF == 3 && $3 ~ /^xt_/ {print $3}' | sort -u |
  while read -r name; do grep -rqw "$name" include || echo "$name"; done)
report "$undeclared" "every function that leaves the library is in a public header"
unmarked=$(grep -nE '^[a-z].*[ *]xt_[a-z0-9_]+\(' include/xtransplant/*.h | grep -vE ':typedef|XT_API')
report "$unmarked" "every function of the public headers is XT_API"
numbers=$(awk '/define XT_VERSION_M|define XT_VERSION_P/ {printf "%s%s", dot, $3; dot = "."}' include/xtransplant/version.h)
report "$(grep -q "define XT_VERSION \"$numbers\"" include/xtransplant/version.h || echo "$numbers")" "the version is one"
exit $failed

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A function is seen at once and a file is one subject: at most 60 and 500 lines. (A kernel of a graphics card is one function by nature.)
set -u
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/../.." || exit 1
sources=$(find src include examples demo bench tests -name build -prune -o \( -name '*.[ch]' -o -name '*.inc' -o -name '*.cpp' \) -print | sort)
# A function begins at the left margin with a line that does not end in ";", and ends with "}" there.
report "$(awk 'FNR == 1 {begin = 0}
               /^[A-Za-z_][^=]*\(/ && !/;$/ {begin = FNR}
               /^[A-Za-z_].*;$/ {begin = 0}
               /^}/ {if (begin && FNR - begin + 1 > 60 && $0 == "}") printf "%s:%d: %d lines\n", FILENAME, begin, FNR - begin + 1; begin = 0}' $sources)" \
  "no function is longer than 60 lines"
report "$(wc -l $sources | awk '$1 > 500 && $2 != "total"')" "no file is longer than 500 lines"
exit $failed

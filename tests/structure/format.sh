#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The sources are as clang-format writes them by .clang-format. Versions differ in small things: 14's way is the one that counts.
set -u
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/../.." || exit 1
name="sources are as clang-format writes them"
for tool in clang-format-14 clang-format; do
  case $($tool --version 2>/dev/null) in *'version 14.'*) ;; *) continue ;; esac
  sources=$(find bench demo examples include src tests -name build -prune -o \( -name '*.[ch]' -o -name '*.inc' -o -name '*.cpp' -o -name '*.cl' \) -print | grep -v 'src/text/unicode_[bcs]' | sort)
  # shellcheck disable=SC2086
  report "$($tool --dry-run -Werror $sources 2>&1 | grep -m 20 'clang-format-violations')" "$name"
  exit $failed
done
echo "ok - $name # SKIP needs clang-format 14"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every source names its licence in its first lines; the texts of the licences and the files about the project are there, and agree.
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root" || exit 1
failures=0
say() { # NAME, then what is wrong
  if [ -z "$2" ]; then echo "ok - $1"; else
    echo "not ok - $1: $2"
    failures=$((failures + 1))
  fi
}
if git rev-parse --git-dir >/dev/null 2>&1; then files=$(git ls-files); else files=$(find . -path './build*' -prune -o -path ./.git -prune -o -type f -print | sed 's|^\./||'); fi
missing=
for file in $files; do
  case $file in tests/data/* | tests/golden/* | demo/facts-4m/*) [ "${file##*.}" = c ] || continue ;; esac
  case $file in
    *.c | *.h | *.cpp | *.inc | *.sh | *.py | *.cmake | *.css | *.js | *.html | *CMakeLists.txt | Makefile | .ci/run | demo/build | *.cff | *.yml | *.yaml)
      head -3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || missing="$missing $file" ;;
  esac
done
say "every source has its SPDX line" "$missing"
missing=
for file in LICENSE LICENSES/LGPL-2.1-or-later.txt NOTICE CITATION.cff CHANGELOG.md CONTRIBUTING.md; do [ -s $file ] || missing="$missing $file"; done
say "the files about the project are there" "$missing"
version=$(sed -n 's/^#define XT_VERSION "\(.*\)"/\1/p' include/xtransplant/version.h)
wrong=
grep -q "^version: $version$" CITATION.cff || wrong="$wrong CITATION.cff"
for key in cff-version: message: title: authors: license: references:; do grep -q "^$key" CITATION.cff || wrong="$wrong CITATION.cff:$key"; done
grep -q '^## \[Unreleased\]' CHANGELOG.md || wrong="$wrong CHANGELOG.md"
say "version $version in CITATION.cff, and what a CITATION.cff needs" "$wrong"
[ $failures -eq 0 ]

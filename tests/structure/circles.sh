#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No two files of the library call each other, and no longer circle of calls exists: whoever reads a file needs to know the files it
# calls, and never comes back to where they began. Read from the symbols of the objects that were built. The interpreter of chat
# templates is left out: a recursive language is read and run by functions that call each other.
set -u
build=${XT_BUILD:?the build folder}
objects=$build/CMakeFiles/xt_objects.dir/src
if ! command -v nm >/dev/null 2>&1 || ! command -v tsort >/dev/null 2>&1; then
  echo "ok - no circle of calls # SKIP needs nm and tsort"
  exit 0
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
find "$objects" -name '*.o' | while read -r object; do nm "$object" | sed "s|^|${object#"$objects"/} |"; done >"$work/symbols"
# FILE ADDRESS TYPE NAME of what a file defines, FILE U NAME of what it calls.
awk 'NF == 4 && $3 ~ /^[TDBR]$/ {home[$4] = $1} NF == 3 && $2 == "U" {from[++n] = $1; name[n] = $3}
     END {for (i = 1; i <= n; i++) if (name[i] in home && home[name[i]] != from[i]) print from[i], home[name[i]]}' "$work/symbols" |
  sed 's/\.o\b//g' | grep -v '^text/jinja' | sort -u >"$work/calls"
if [ -s "$work/calls" ] && tsort "$work/calls" >/dev/null 2>"$work/loops"; then
  echo "ok - no circle of calls among $(cut -d' ' -f1 "$work/calls" | sort -u | wc -l) files"
else
  sed 's/^/# /' "$work/loops"
  echo "not ok - no circle of calls"
  exit 1
fi

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The documents name what there is: every verb in README, every folder of src/ in ARCHITECTURE, every table of a
# results file and every exported field in FORMATS; and no file that is not there.
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root" || exit 1
failures=0
say() { # NAME, then what is missing
  if [ -z "$2" ]; then echo "ok - $1"; else
    echo "not ok - $1: $2"
    failures=$((failures + 1))
  fi
}
missing=
for verb in $(sed -n 's/^ *\.name = "\([a-z-]*\)",$/\1/p' src/cli/verbs/*.c); do
  case $verb in help | version) continue ;; esac
  grep -q "^| .*\`$verb\`" README.md || missing="$missing $verb"
done
say "README has every verb" "$missing"
missing=
for folder in src/*/; do grep -q "^    $folder " docs/ARCHITECTURE.md || missing="$missing $folder"; done
say "ARCHITECTURE has every folder" "$missing"
missing=
for table in $(grep -ohE 'CREATE TABLE (IF NOT EXISTS )?[a-z_]+' src/store/*.c | awk '{print $NF}'); do grep -q "^| \`$table\` |" docs/FORMATS.md || missing="$missing $table"; done
say "FORMATS has every table" "$missing"
missing=
for field in $(sed -n 's/.*json_add(object, "\([a-z_]*\)".*/\1/p' src/cli/verbs/cmd_export.c); do grep -q "\`$field\`\|\"$field\"" docs/FORMATS.md || missing="$missing $field"; done
say "FORMATS has every exported field" "$missing"
missing=
for name in $(grep -ohE '\b(src|tests|tools|docs|examples|bench|cmake)/[A-Za-z0-9_/.-]*[A-Za-z0-9_]' README.md docs/*.md tools/README.md); do
  [ -e "$name" ] || ls "$name"* >/dev/null 2>&1 || missing="$missing $name"
done
say "the documents name no file that is not there" "$missing"
say "no heading stands twice" "$(for file in README.md docs/*.md tools/README.md; do grep '^##* ' "$file" | sort | uniq -d; done)"
[ $failures -eq 0 ]

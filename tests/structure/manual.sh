#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Man pages and completions, which the program prints from its option tables: every verb and option is there, groff has
# nothing to say, the shells read their scripts, and bash completes with them.
. "$(dirname "$0")/../cli/lib.sh"

"$X" help --names >names
same "a page for each verb, and one of the program" "$(ls "$XT_BUILD/manual/man1" | wc -l)" $(($(wc -l <names) + 1))
same "names are the overview's verbs" "$(cat names)" "$("$X" --help | awk '/^verbs:/ {on = 1; next} /^$/ {on = 0} on {print $1}')"
"$X" help --man >page
grep -q '^\.TH XTRANSPLANT 1 ' page && pass "xtransplant(1)" || fail "xtransplant(1)" "$(head -4 page)"
missing= warned=
check_page() { # FILE
  if command -v groff >/dev/null; then groff -man -Tutf8 -ww -z "$1" 2>warnings; [ -s warnings ] && warned="$warned $(head -1 warnings)"; fi
  if command -v man >/dev/null; then LC_ALL=C.UTF-8 man --warnings -l "$1" 2>warnings >text; [ -s warnings ] && warned="$warned $(head -1 warnings)"; fi
}
check_page page
while read -r verb; do
  "$X" help --man "$verb" >page
  check_page page
  grep -q "^xtransplant..*$(echo "$verb" | sed 's/-/.-/g') .- " page || missing="$missing $verb"
  for option in $("$X" "$verb" --help | sed -n 's/^ *\(-[a-zA-Z], \)\?--\([a-z0-9-]*\).*/\2/p'); do
    grep -q "^.*\\\\-\\\\-$(echo "$option" | sed 's/-/\\\\-/g')\\\\fR" page || missing="$missing $verb:$option"
  done
done <names
same "every verb and option has its place" "$missing" ""
same "groff and man have no warnings" "$warned" ""
if command -v man >/dev/null; then
  LC_ALL=C.UTF-8 man -l "$XT_BUILD/manual/man1/xtransplant-run.1" 2>/dev/null | col -b >text
  grep -q -- '--source-layer I' text && pass "a page is read" || fail "a page is read" "$(head -20 text)"
fi

# ---- completions
"$X" help --completion bash >bash.sh
"$X" help --completion zsh >zsh.sh
"$X" help --completion fish >fish.sh
for shell in bash zsh fish; do
  if command -v $shell >/dev/null; then run $shell -n $shell.sh && expect "$shell reads its script" 0; fi
  missing=
  while read -r verb; do grep -q -- "\b$verb\b" $shell.sh || missing="$missing $verb"; done <names
  same "$shell: every verb" "$missing" ""
done
if command -v bash >/dev/null; then
  complete() { # WORDS...: what bash offers for the last
    bash -c 'set -u; source ./bash.sh; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _xtransplant; printf "%s\n" "${COMPREPLY[@]}"' bash xtransplant "$@" | tr '\n' ' '
  }
  mkdir -p "models/a model" && : >"prompt one.txt"
  same "bash: verbs" "$(complete tok)" "tokenize "
  same "bash: options" "$(complete run --source-l)" "--source-layer --source-line --source-langs "
  same "bash: sites" "$(complete sweep --site a)" "attn attn-released "
  same "bash: a letter's value" "$(complete run -s f)" "ffn "
  same "bash: tasks" "$(complete score --task xc)" "xcopa "
  same "bash: folders, with spaces" "$(complete inspect -m models/a)" "models/a model "
  same "bash: files, with spaces" "$(complete generate -f prom)" "prompt one.txt "
  same "bash: nothing for a number" "$(complete generate --threads '')" " "
  same "bash: help of a verb" "$(complete help merg)" "merge "
fi
refuses "completion of another shell" 2 "xtransplant help: --completion: 'csh' is not one of the choices; --completion SHELL: print what this shell reads to complete verbs, options and values (bash, zsh, fish)" \
  "$X" help --completion csh
finish

# SPDX-License-Identifier: Apache-2.0
# Sourced by every script of this folder: a temporary folder to work in, and checks that print TAP.
# Only sh, awk, grep and od are used, so that a fresh system runs them.
# shellcheck shell=sh
set -u
here=$(cd "$(dirname "$0")" && pwd)
XT_BUILD=$(cd "${XT_BUILD:?the build folder}" && pwd)
X=$XT_BUILD/xtransplant
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
export XDG_CACHE_HOME="$work/cache" # not the user's own
export POCL_CACHE_DIR="${POCL_CACHE_DIR:-$XT_BUILD/tests/pocl}" # which all scripts share: compiling kernels takes long
failures=0
# Debian's own Python has Debian's numpy; another one before it on PATH may have none.
python=${XT_PYTHON:-python3}
[ -n "${XT_PYTHON:-}" ] || ! /usr/bin/python3 -c 'import numpy' 2>/dev/null || python=/usr/bin/python3

pass() { echo "ok - $1"; }
fail() { # NAME, then what to show
  echo "not ok - $1"
  shift
  printf '# %s\n' "$@"
  failures=$((failures + 1))
}

skip() { echo "ok - $1 # SKIP $2"; } # NAME, then what it needs

# run COMMAND...: leaves its output in $work/out and $work/err, its exit code in $code
run() {
  "$@" >"$work/out" 2>"$work/err"
  code=$?
}

# expect NAME CODE: of the last run
expect() {
  if [ "$code" -eq "$2" ]; then pass "$1"; else fail "$1" "exit code $code, expected $2" "$(head -3 "$work/err")"; fi
}

# refuses NAME CODE LINE COMMAND...: the command prints exactly LINE on stderr, nothing on stdout
refuses() {
  name=$1 want=$2 line=$3
  shift 3
  run "$@"
  if [ "$code" -ne "$want" ]; then fail "$name" "exit code $code, expected $want" "$(head -3 "$work/err")"
  elif [ -s "$work/out" ]; then fail "$name" "stdout is not empty: $(head -1 "$work/out")"
  elif [ "$(cat "$work/err")" != "$line" ]; then fail "$name" "stderr:   $(cat "$work/err")" "expected: $line"
  else pass "$name"; fi
}

# refuses_like NAME CODE REGEX COMMAND...: as refuses, with one line of stderr that matches
refuses_like() {
  name=$1 want=$2 line=$3
  shift 3
  run "$@"
  if [ "$code" -ne "$want" ]; then fail "$name" "exit code $code, expected $want" "$(head -3 "$work/err")"
  elif [ -s "$work/out" ]; then fail "$name" "stdout is not empty: $(head -1 "$work/out")"
  elif [ "$(wc -l <"$work/err")" -ne 1 ]; then fail "$name" "stderr is not one line:" "$(head -3 "$work/err")"
  elif ! grep -Eq -- "$line" "$work/err"; then fail "$name" "stderr:   $(cat "$work/err")" "expected: $line"
  else pass "$name"; fi
}

# prints NAME REGEX: a line of the last run's stdout matches
prints() {
  if grep -Eq -- "$2" "$work/out"; then pass "$1"; else fail "$1" "no line matches $2" "$(head -5 "$work/out")"; fi
}

# same NAME GOT WANTED
same() {
  if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got:      $2" "expected: $3"; fi
}

# is_json NAME FILE: every line is JSON. The program's own reader tells broken JSON from other values.
is_json() {
  bad=0
  while IFS= read -r text; do
    printf '%s\n' "$text" | "$X" tokenize --tokenizer "$model" --jsonl >/dev/null 2>"$work/json.err"
    if grep -q 'not JSON' "$work/json.err"; then bad=1; fi
  done <"$2"
  if [ -s "$2" ] && [ $bad -eq 0 ]; then pass "$1"; else fail "$1" "not JSON: $(head -c 200 "$2")" "$(cat "$work/json.err")"; fi
}

# field KEY: the numbers, text or array of a key's first occurrence on stdin, for shapes known here
field() { sed -n "s/.*\"$1\": \(\[[^]]*\]\|\"[^\"]*\"\|[^,}]*\).*/\1/p" | head -1; }
# The same of the object under another key: object_field OBJECT KEY
object_field() { sed "s/.*\"$1\": {/{/" | awk -v key="\"$2\": " '{ at = index($0, key); rest = substr($0, at + length(key))
  if (substr(rest, 1, 1) == "[") print substr(rest, 1, index(rest, "]")); else { sub(/[,}].*/, "", rest); print rest } }'; }

# make_model SHAPE: a tiny random model in $model; every later option goes to init-model
make_model() {
  model=$work/$1
  "$X" init-model --like "$1" --quiet -o "$model" || { echo "not ok - init-model --like $1"; exit 1; }
}

# choice_pairs COUNT: questions of xnli in sw and tr by turns, as lines for --pairs
choice_pairs() {
  awk -v count="$1" 'BEGIN { for (i = 0; i < count; i++)
    printf "{\"id\": \"q%d\", \"lang\": \"%s\", \"source\": \"Question %d: (1) yes (2) no (3) maybe\\nAnswer:\", \"target\": \"Swali la %d:\\nJibu:\", \"gold\": \"%d\", \"task\": \"xnli\"}\n",
      i, i % 2 ? "tr" : "sw", i, i, i % 3 + 1 }'
}

# wait_for FILE [N]: until a results file has more than N responses, for half a minute at most
wait_for() {
  tries=0
  while [ $tries -lt 600 ] && [ "$("$X" export "$1" 2>/dev/null | wc -l)" -le "${2:-0}" ]; do sleep 0.05; tries=$((tries + 1)); done
}

finish() { [ $failures -eq 0 ]; exit; }

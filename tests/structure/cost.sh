#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What fixed small runs cost, whatever else the machine does: the instructions of our own code, within 2 % of the figures in
# cost.txt, and its misses of a first-level data cache, within 5 %, because they also depend on where the system puts the memory.
# Both are callgrind's counts. A change beyond that needs a reason; `XT_COST_RECORD=1` then writes the new figures. Another
# compiler makes other code, so the file names the compiler that its figures are for.
set -u
. "$(dirname "$0")/../cli/lib.sh"
figures=$here/cost.txt
name="instructions and cache misses are those of cost.txt"
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$XT_BUILD/CMakeCache.txt")
version="$(basename "$compiler" | sed 's/^cc$/gcc/') $("$compiler" -dumpfullversion 2>/dev/null) $(uname -m)"
record=${XT_COST_RECORD:-}
for need in valgrind callgrind_annotate setarch; do
  command -v $need >/dev/null 2>&1 || { skip "$name" "needs $need"; exit 0; }
done
grep -q '^XT_SANITIZE:[A-Z]*=$' "$XT_BUILD/CMakeCache.txt" && grep -q '^CMAKE_BUILD_TYPE:[A-Z]*=Release$' "$XT_BUILD/CMakeCache.txt" ||
  { skip "$name" "needs a release build"; exit 0; }
[ -n "$record" ] || [ "$(sed -n 's/^# compiler: //p' "$figures")" = "$version" ] || { skip "$name" "the figures are of another compiler than $version"; exit 0; }
grep -qw avx2 /proc/cpuinfo || { skip "$name" "needs a processor with AVX2"; exit 0; }

# cost NAME COMMAND...: NAME, instructions, misses
cost() {
  title=$1
  shift
  setarch -R valgrind --tool=callgrind --cache-sim=yes --I1=32768,8,64 --D1=32768,8,64 --LL=8388608,16,64 \
    --callgrind-out-file="$work/$title.calls" "$@" >"$work/$title.log" 2>&1 || { fail "$title runs" "$(tail -3 "$work/$title.log")"; return; }
  callgrind_annotate --threshold=100 --auto=no --show=Ir,D1mr,D1mw "$work/$title.calls" 2>/dev/null | grep -F "$XT_BUILD/xtransplant]" | tr -d , | sed 's/([^)]*)//g' |
    awk -v title="$title" '{i += $1; m += $2 + $3} END {printf "%s %.0f %.0f\n", title, i, m}' >"$work/$title.cost"
}
make_model tiny-llama
choice_pairs 2 >pairs.jsonl
small="-m $model --threads 1 --kernels avx2 --quiet"
# The first run computes the model's hash and keeps it, which is no part of the second.
"$X" sweep $small --pairs pairs.jsonl --site attn -n 4 -o whole.db || fail "a sweep"
cost sweep "$X" sweep $small --pairs pairs.jsonl --site attn -n 4 -o s.db &
cost report "$X" report --quiet whole.db -o report &
wait
cost generate "$X" generate $small -p "The quick brown fox jumps over the lazy dog." -n 24 &
cost tokenize "$X" tokenize -t "$model" <pairs.jsonl &
wait
for track in answers none; do cost tracks-$track "$X" sweep $small --pairs pairs.jsonl --site attn -n 20 --track $track -o $track.db & done
wait
for run in sweep report generate tokenize; do cat "$work/$run.cost"; done >now
if [ -n "$record" ]; then
  { sed -n '/^# compiler/!{/^#/p;}' "$figures"; echo "# compiler: $version"; cat now; } >new && cp new "$figures"
fi
for run in sweep report generate tokenize; do
  line=$(awk -v run=$run 'FNR == NR {if ($1 == run) {i = $2; m = $3} next}
    $1 == run {printf "instructions %.0f, %+.2f %%; cache misses %.0f, %+.2f %%", $2, 100 * ($2 / i - 1), $3, 100 * ($3 / m - 1)
               exit !($2 > i * 0.98 && $2 < i * 1.02 && $3 > m * 0.95 - 200 && $3 < m * 1.05 + 200)}' "$figures" now)
  # shellcheck disable=SC2181
  if [ $? -eq 0 ] && [ -n "$line" ]; then pass "$run: $line"; else fail "$run costs what cost.txt says" "$line"; fi
done
# Each option's label and text are tracked, of a sweep with as many new tokens as is usual.
more=$(cat "$work/tracks-answers.cost" "$work/tracks-none.cost" | awk 'NR == 1 {with = $2} NR == 2 {printf "%.2f", 100 * (with / $2 - 1)}')
if awk -v more="$more" 'BEGIN {exit !(more != "" && more < 2)}'; then pass "tracked answers cost less than 2 % of a sweep: $more %"
else fail "tracked answers cost less than 2 % of a sweep" "$more %"; fi
finish

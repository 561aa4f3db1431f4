#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the test programs and scripts on the given build folders, and adds up their TAP lines. The
# first folder runs everything; a thread-sanitizer folder runs the tests that use threads, which are all that is built there
# (target threaded_tests); the others run everything but the slow comparisons, clang's of the scripts those alone that run models:
# what it may compile otherwise is arithmetic.
# As many run at once as there are processors; one that takes longer than XT_TEST_LIMIT seconds (900) is stopped, and has failed.
# Nothing outside the repository is read, but for the tests of tests/released: they need the folder that XT_TEST_DATA names,
# and are skipped without it. --released runs them alone.
# Prints the seconds that each took and, behind them, those of the processors.
# Ends with the processors' seconds of each build, what each skipped test needs and "N passed, N failed, N skipped"; fails when one
# failed or none ran.
# XT_TEST_REQUIRE=WORD,.. (opencl, oclgrind, nvrtc): what has to be installed: a test that needs it, and is skipped, has failed.
# --list prints what would run, and runs nothing.
# usage: tests/run.sh [--released] [--list] BUILD...
set -u
here=$(cd "$(dirname "$0")" && pwd)
export CMOCKA_MESSAGE_OUTPUT=TAP
export LC_ALL=C.UTF-8 # what sed, awk and sort take for a character is the same everywhere

if [ "$1" = --one ]; then # RESULTS INDEX BUILD BRIEF PROGRAM: one program, started by the lines below
  results=$2 index=$3 build=$4 program=$6 name=$(basename "$6")
  [ "$5" = 1 ] && export XT_TEST_BRIEF=1
  began=$(date +%s)
  XT_BUILD="$build" timeout -k 10 "${XT_TEST_LIMIT:-900}" "$program" >"$results/$index.out" 2>&1
  code=$?
  # cmocka writes a skipped test as "not ok N # SKIP name"; the line before it says what it needs.
  awk -v required="${XT_TEST_REQUIRE:-}" '/^# needs /{need = substr($0, 3); next} /^not ok [0-9]+ # SKIP /{n = $3; sub(/^not ok [0-9]+ # SKIP /, ""); $0 = "ok " n " - " $0 " # SKIP " (need ? need : "needs another processor or build: " $0)}
       /^not ok.*# SKIP/{sub(/^not /, "")}
       /^ok.*# SKIP/{
         count = split(required, words, ",")
         for (i = 1; i <= count; i++)
           if (words[i] != "" && index(tolower(substr($0, index($0, "# SKIP"))), words[i])) {
             sub(/^ok/, "not ok"); sub(/# SKIP/, "is required (XT_TEST_REQUIRE): "); break
           }
       }
       {print; need = ""}' "$results/$index.out" >"$results/$index.tap" && mv "$results/$index.tap" "$results/$index.out"
  [ $code -ne 0 ] || ! grep -q '^not ok.* is required (XT_TEST_REQUIRE): ' "$results/$index.out" || code=1
  [ $code -ne 124 ] || echo "not ok - $name took longer than ${XT_TEST_LIMIT:-900} s and was stopped" >>"$results/$index.out"
  # A program that failed without saying which test did counts as one failure.
  if [ $code -ne 0 ] && ! grep -q '^not ok' "$results/$index.out"; then echo "not ok - $name exited with $code" >>"$results/$index.out"; fi
  times >"$results/$index.times" # a pipe would have times of its own
  used=$(awk 'NR == 2 {for (i = 1; i <= 2; i++) {split($i, t, "m"); sum += 60 * t[1] + t[2]}; printf "%.0f", sum}' "$results/$index.times")
  echo "$(basename "$build") $used" >"$results/$index.used"
  {
    printf '# %-12s %-34s %4d s, %4d s of the processors  %d ok\n' "$build" "$name" $(($(date +%s) - began)) "$used" "$(grep '^ok' "$results/$index.out" | grep -vc '# SKIP')"
    [ $code -eq 0 ] || cat "$results/$index.out"
  } >"$results/$index.text"
  cat "$results/$index.text"
  exit 0
fi

released=0 listed=0
if [ "$1" = --released ]; then released=1; shift; fi
if [ "$1" = --list ]; then listed=1; shift; fi
if [ -n "${XT_TEST_DATA:-}" ]; then
  XT_TEST_DATA=$(cd "$XT_TEST_DATA" && pwd) || exit 1
  export XT_TEST_DATA
fi
# Kernels that PoCL compiled, shared by all builds.
export POCL_CACHE_DIR="${POCL_CACHE_DIR:-$(cd "$1" && pwd)/tests/pocl}"
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
index=0
first=1
for build in "$@"; do
  case $build in
    *tsan*) list="$build/tests/test_*" ;;
    *clang*) list=$(ls -d "$build"/tests/test_* 2>/dev/null | grep -vE '/test_(gpu_.*|allocation_verbs|memory|job_samples|backend_invariance)$'); for name in bench demo generate metrics model sweep text tokenizer train transplant usage verify; do list="$list $here/cli/$name.sh"; done ;;
    *asan*) list=$(ls -d "$build"/tests/test_* "$here"/cli/*.sh 2>/dev/null | grep -vE '/(test_gpu_nvrtc|(select|metrics|pilotset|samples|recompute|cluster|gpu|gpu_(bench|cuda_run|goldens|ways))\.sh)$') ;; # the first build runs them; their code is in other tests too
    *) list="$build/tests/test_* $here/cli/*.sh" ;;
  esac
  [ $first -eq 1 ] && list="$list $here/structure/*.sh $here/released/*.sh"
  [ $released -eq 1 ] && list="$build/tests/test_released_* $here/released/*.sh"
  for program in $list; do
    if [ -x "$program" ]; then
      index=$((index + 1))
      # The longest first, so that none of them is left alone at the end.
      case $program in *test_verify | *test_sweep | *sweep.sh | *test_langid | */structure/python.sh | *test_tokenizer_malformed | *train.sh) rank=0 ;; *) rank=1 ;; esac
      echo "$rank $index $build $((1 - first)) $program"
    fi
  done
  first=0
done >"$results/list"
if [ $listed -eq 1 ]; then
  cut -d' ' -f5 "$results/list"
  exit
fi
sort -s -k1,1 "$results/list" | cut -d' ' -f2- | xargs -P "$(nproc)" -L 1 "$0" --one "$results"
cat "$results"/*.out >"$results/all"
cat "$results"/*.used | awk '{sum[$1] += $2; all += $2} END {for (build in sum) printf "# %s: %d s of the processors\n", build, sum[build]; printf "# together: %d s of the processors\n", all}'
sed -n 's/^ok.*# [Ss][Kk][Ii][Pp] *//p' "$results/all" | sort | uniq -c | sed 's/^ *\([0-9]*\) /# skipped: \1 x /'
awk '/^ok.*# [Ss][Kk][Ii][Pp]/ {s++; next} /^not ok/ {f++; next} /^ok/ {p++}
     END {printf "%d passed, %d failed, %d skipped\n", p, f, s; exit (f || !p)}' "$results/all"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# GPUs: what is listed, what is refused, and sweeps on OpenCL that give the CPU's bytes. Without an OpenCL device (Debian's pocl-opencl-icd
# is one on any machine) only the former two.
. "$(dirname "$0")/lib.sh"
[ -z "${XT_TEST_BRIEF:-}" ] || finish # kernels and sweeps are the same in every build; test_gpu_ops and test_gpu_attend run in the sanitizers'
# An OpenCL driver that compiles a kernel for the first time leaks memory of its own; ours is still looked for.
export LSAN_OPTIONS="suppressions=$here/../fault/opencl_leaks.txt:print_suppressions=0"
make_model tiny-llama
run "$X" devices
expect "devices" 0
prints "devices: the cpu" '^cpu '
run "$X" devices --json
is_json "devices --json" out
if ! grep -q '"device": "opencl:0"' out; then
  echo "ok - sweeps on OpenCL # SKIP needs an OpenCL device"
  finish
fi
small="-m $model --threads 1 --quiet"
choice_pairs 4 >pairs.jsonl
pairs="--pairs pairs.jsonl --site attn,ffn,block,attn-released"
refuses_like "no such device" 3 'there is no device "opencl:31"; there are cpu,' "$X" generate $small --prompt Hello --device opencl:31
refuses_like "bfloat16" 3 'computes in float32' "$X" generate $small --prompt Hello --device opencl --compute bf16
refuses_like "tf32" 3 'computes in float32' "$X" generate $small --prompt Hello --device opencl --compute tf32
refuses_like "float16 on the cpu" 3 'f16 and tf32 are of CUDA devices' "$X" generate $small --prompt Hello --compute f16
refuses_like "kernels of the cpu" 3 'are the cpu' "$X" generate $small --prompt Hello --device opencl --kernels avx2
refuses_like "not a device" 2 "'opencl:x' is not a device" "$X" generate $small --prompt Hello --device opencl:x

"$X" sweep $small $pairs -o cpu.db && "$X" export cpu.db >cpu.jsonl
"$X" sweep $small $pairs -o gpu.db --device opencl 2>err && "$X" export gpu.db >gpu.jsonl
cmp -s cpu.jsonl gpu.jsonl && pass "a sweep's export is the cpu's, byte for byte" || fail "a sweep's export is the cpu's, byte for byte" "$(cat err)"
"$X" sweep $small $pairs -o s1.db --shard 1/2 --device opencl
"$X" sweep $small $pairs -o s2.db --shard 2/2
"$X" merge both.db s1.db s2.db --quiet
"$X" export both.db | sort >both.jsonl
sort cpu.jsonl >sorted.jsonl
# begun on the one, finished on the other
"$X" sweep $small $pairs --limit 2 -o mixed.db
"$X" sweep $small $pairs -o mixed.db --device opencl
"$X" export mixed.db | sort >mixed.jsonl
cmp -s sorted.jsonl mixed.jsonl && pass "begun on the cpu, finished on a gpu" || fail "begun on the cpu, finished on a gpu"
cmp -s sorted.jsonl both.jsonl && pass "shards of a gpu and of a cpu merge" || fail "shards of a gpu and of a cpu merge"
# ---- settings that make tokens impossible
printf '{"eos_token_id": 2, "no_repeat_ngram_size": 2, "min_new_tokens": 5, "suppress_tokens": [61, 9], "forced_eos_token_id": 3}' >"$model/generation_config.json"
"$X" sweep $small $pairs -o cpu-settings.db && "$X" export cpu-settings.db >cpu-settings.jsonl
"$X" sweep $small $pairs -o gpu-settings.db --device opencl && "$X" export gpu-settings.db >gpu-settings.jsonl
cmp -s cpu-settings.jsonl gpu-settings.jsonl && pass "generation settings" || fail "generation settings"
same "they matter" "$(cmp -s cpu.jsonl cpu-settings.jsonl; echo $?)" 1
# ---- Oclgrind runs the kernels in an interpreter that sees data races and reads or writes beyond a buffer. It comes as an OpenCL driver.
grind=/usr/lib/oclgrind/liboclgrind-rt-icd.so
if [ ! -e $grind ] || ! command -v oclgrind-kernel >/dev/null || [ ! -x "$XT_BUILD/tests/test_gpu_ops" ]; then
  echo "ok - Oclgrind # SKIP needs oclgrind"
else
  complaints='data race|[Dd]ivergence|Invalid|FATAL|ERROR|^not ok.*Fail'
  # seen NAME STATEMENT WANTED: whether Oclgrind complains of a kernel of four work-items that has this statement, and the pattern finds
  # that: 0 or, for none, 1
  seen() {
    echo "kernel void $1(global int *x) { const size_t i = get_global_id(0); $2 }" >"$1.cl"
    printf '%s.cl\n%s\n4 1 1\n4 1 1\n<size=16 fill=0>\n' "$1" "$1" >"$1.sim"
    OCLGRIND_DATA_RACES=1 oclgrind-kernel "$1.sim" >"$1.said" 2>&1
    same "Oclgrind: a kernel that is $1" "$([ "$(grep -cE "$complaints" "$1.said")" -gt 0 ]; echo $?)" "$3"
  }
  seen right 'x[i] = 1; barrier(CLK_GLOBAL_MEM_FENCE); x[3 - i] = 2;' 1
  seen racy 'x[0] = i;' 0
  seen divergent 'if (i > 1) barrier(CLK_GLOBAL_MEM_FENCE); x[i] = 1;' 0
  seen outside 'x[i + 1] = 1;' 0
  mkdir drivers
  echo $grind >drivers/oclgrind.icd
  # as much local memory as cards have, so that tiles of every size run
  OCL_ICD_VENDORS=$work/drivers OCLGRIND_DATA_RACES=1 OCLGRIND_LOCAL_MEM_SIZE=49152 OCLGRIND_INST_COUNTS=1 XT_TEST_TINY=1 XT_TEST_GPU=opencl:0
  export OCL_ICD_VENDORS OCLGRIND_DATA_RACES OCLGRIND_LOCAL_MEM_SIZE OCLGRIND_INST_COUNTS XT_TEST_TINY XT_TEST_GPU
  code=0
  for ops in test_gpu_ops test_gpu_places test_gpu_quantised test_gpu_attend test_gpu_compare test_gpu_tensor; do "$XT_BUILD/tests/$ops" >>grind 2>&1 || code=$?; done
  same "Oclgrind: exit code" $code 0
  same "Oclgrind: tiles that are skipped" "$(grep -ci 'skip.*test_tiles\|test_tiles.*skip' grind)" 0
  sed -n 's/^# kernel: //p' grind | sort -u >kernels
  sed -n "s/.*Instructions executed for kernel '\(.*\)'.*/\1/p" grind | sort -u | comm -23 kernels - >not-run
  same "Oclgrind: kernels that did not run" "$(tr '\n' ' ' <not-run)$([ -s kernels ] || echo all)" ""
  same "Oclgrind: complaints" "$(grep -cE "$complaints" grind)" 0
fi
finish

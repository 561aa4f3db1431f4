#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The calls of the CUDA driver, on a shim (tests/fault/cuda_shim.c) that stops the program where one is out of order, and computes nothing:
# what comes out is not looked at. Two cards are pretended.
. "$(dirname "$0")/lib.sh"
shim=$XT_BUILD/tests/libcuda_shim.so
# The address sanitizer's library has to come before it; where that is a part of the program, nothing can.
first=$(ldd "$X" | awk '/libasan/ { print $3 ":" }')
if [ ! -e "$shim" ] || grep -q __tsan_init "$X" || { grep -q __asan_init "$X" && [ -z "$first" ]; }; then
  skip "CUDA's calls" "a build whose sanitizer leaves room for a preloaded library"
  exit 0
fi
make_model tiny-llama
choice_pairs 2 >pairs.jsonl
export XDG_CACHE_HOME="$work/cache"
shimmed() { # SETTING... -- COMMAND...
  settings=
  while [ "$1" != -- ]; do settings="$settings $1"; shift; done
  shift
  run env LD_PRELOAD="$first$shim" XT_CUDA_COUNT="$work/counts" $settings "$@"
}
count_of() { sed -n "s/^$1 //p" counts; }
left_over() { awk '/^live/ && $3 != 0 { print $2, $3 }' counts; }
generate="$X generate -m $model --threads 1 --quiet --prompt Hello -n 3"

shimmed -- "$X" devices
prints "cards are listed" '^cuda:1 .*Pretended card 1: 1.1 GB, 132 compute units, CUDA 13.0, sm_90'
same "no library is missing" "$(grep -c 'cuda devices' out)" 0
# ---- what is missing
shimmed XT_CUDA_LACKS=libnvrtc -- "$X" devices
prints "no libnvrtc" 'cuda devices need libnvrtc, which is not installed$'
shimmed XT_CUDA_LACKS=libnvrtc -- $generate --device cuda
expect "no libnvrtc: a card is refused" 3
same "no libnvrtc: what is said" "$(grep -c 'run-time compiler, and libnvrtc is not installed' err)/$(wc -l <err)" 1/1
shimmed XT_CUDA_LACKS=libnvrtc,libcublasLt -- "$X" devices
prints "no libcublasLt" 'libnvrtc, which is not installed; cuda devices compute in float32 alone: libcublasLt is not installed$'
shimmed XT_CUDA_LACKS=libcublasLt -- $generate --device cuda --compute bf16
expect "no libcublasLt: bf16 is refused" 3
same "no libcublasLt: what is said" "$(grep -c "need NVIDIA's cuBLASLt on cuda:0, and libcublasLt is not installed" err)/$(wc -l <err)" 1/1
shimmed XT_CUDA_LACKS=libcuda -- "$X" devices
prints "no libcuda" 'no CUDA .libcuda.so.1, which NVIDIA.s driver brings, is not installed.'
shimmed XT_CUDA_LACKS=libcuda -- $generate --device cuda
expect "no libcuda: cuda is refused" 3
shimmed XT_CUDA_LACKS=old -- "$X" devices
prints "an old libcuda" 'libcuda.so.1 is too old: it lacks cu'
shimmed XT_CUDA_DEVICES=0 -- "$X" devices
prints "no card" 'CUDA has no device'
rm -r cache
shimmed -- $generate --device cuda:1
expect "tokens are generated" 0
same "all that was made is released" "$(left_over)" ""
same "kernels are compiled once" "$(count_of nvrtcCompileProgram)" 1
shimmed -- $generate --device cuda:0 --repetition-penalty 1.2
expect "and again" 0
same "kept kernels are used" "$(count_of nvrtcCompileProgram)/$(count_of cuModuleLoadData)" 0/1
cp counts clean
# ---- weights go up from two halves of pinned memory; where there is none, from any
same "pinned memory: pieces, events" "$(count_of cuMemHostAlloc)/$(count_of cuEventCreate)" 2/2
same "each write from it is marked" "$([ "$(count_of cuEventRecord)" -gt 20 ] && [ "$(count_of cuEventRecord)" -lt "$(count_of cuMemcpyHtoDAsync_v2)" ]; echo $?)" 0
same "a half is waited for before it is filled" "$(count_of cuEventSynchronize)" "$(count_of cuEventRecord)"
for fault in cuMemHostAlloc:1:2 cuMemHostAlloc:2:2 cuEventCreate:1:2 cuEventCreate:2:801; do
  shimmed XT_CUDA_FAULT=$fault -- $generate --device cuda:0
  expect "$fault: weights go up all the same" 0
  same "$fault: from memory that is not pinned" "$(count_of cuEventRecord)" 0
  same "$fault: all is released" "$(left_over)" ""
done
# ---- kept kernels are those of one kind of card, driver and compiler
for setting in XT_CUDA_DRIVER=12080 XT_CUDA_NVRTC=1208 XT_CUDA_CAPABILITY=86; do
  shimmed $setting -- $generate --device cuda:0
  same "$setting: kernels are compiled" "$code/$(count_of nvrtcCompileProgram)" 0/1
  shimmed $setting -- $generate --device cuda:0
  same "$setting: and kept" "$code/$(count_of nvrtcCompileProgram)" 0/0
done
shimmed -- $generate --device cuda:0
same "the first ones are kept beside them" "$(count_of nvrtcCompileProgram)" 0
for name in gemma2 neox mistral-window cohere2; do
  golden=$here/../golden/models/$name
  shimmed -- "$X" capture -m "$golden" --threads 1 --ids --prompt "[3, 4, 5]" --device cuda --quiet -o "taps-$name"
  expect "$name" 0
done
shimmed -- "$X" sweep -m "$model" --threads 1 --quiet --pairs pairs.jsonl --site attn,ffn,block,attn-released -n 3 --device cuda -o s.db
expect "a sweep" 0
same "a sweep: all is released" "$(left_over)" ""
shimmed -- "$X" bench -m "$model" --threads 1 --quiet --rows 1,40 --prompt-tokens 40 -n 2 --repeats 1 --device cuda
expect "bench" 0

# ---- a machine that has CUDA alone: nothing is computed there, but what is refused is told
if [ -x "$XT_BUILD/tests/test_gpu_ops" ]; then
  mkdir no-opencl
  shimmed OCL_ICD_VENDORS="$work/no-opencl" XT_TEST_GPU=cuda:0 XT_TEST_TINY=1 CMOCKA_MESSAGE_OUTPUT=TAP -- "$XT_BUILD/tests/test_gpu_ops"
  prints "what ops refuse, without OpenCL" '^ok [0-9]* - test_errors$'
fi

# ---- products on tensor cores, by a pretended cuBLASLt (tests/fault/cublaslt_shim.c)
rm -r cache
brief=${XT_TEST_BRIEF:-} # one type, for the address sanitizer; which results go on where is the same in every build
for compute in bf16 $([ -n "$brief" ] || echo f16 tf32); do
  shimmed -- $generate --device cuda:0 --compute $compute
  expect "--compute $compute" 0
  same "--compute $compute: all is released" "$(left_over)" ""
  same "--compute $compute: algorithms are asked for" "$([ "$(count_of cublasLtMatmulAlgoGetHeuristic)" -gt 0 ]; echo $?)" 0
done
if [ -z "$brief" ]; then
  shimmed -- $generate --device cuda:0 --compute tf32
  same "kept algorithms are used: asked for, products" "$(count_of cublasLtMatmulAlgoGetHeuristic)/$([ "$(count_of cublasLtMatmul)" -gt 0 ]; echo $?)" 0/0
  shimmed -- "$X" sweep -m "$model" --threads 1 --quiet --pairs pairs.jsonl --site ffn -n 3 --device cuda --compute bf16 -o bf16.db
  expect "a sweep in bf16" 0
  refuses_like "its results say so" 3 'bf16, not f32' "$X" sweep -m "$model" --threads 1 --quiet --pairs pairs.jsonl --site ffn -n 3 -o bf16.db
  # ---- in bf16 another kind of device has other bits: its responses are refused, and neither are files of both joined
  bf16="$X sweep -m $model --threads 1 --quiet --pairs pairs.jsonl --site ffn -n 3 --compute bf16"
  shimmed -- $bf16 --device cuda:0 --target-layers 0 -o card.db
  refuses_like "bf16 of cuda goes on by the cpu" 3 'made in bf16 by cuda .Pretended card 0., cuBLASLt 13.1.0, not by cpu .[A-Za-z0-9_ ]*., which' $bf16 -o card.db
  shimmed -- $bf16 --device cuda:1 -o card.db
  expect "by another card" 3
  same "by another card: what is said" "$(grep -c 'by cuda (Pretended card 0), .* not by cuda (Pretended card 1), ' err)/$(wc -l <err)" 1/1
  shimmed -- $bf16 --device cuda:0 -o card.db
  expect "by the same card it goes on" 0
  $bf16 --target-layers 0 -o bf16-cpu.db
  shimmed -- $bf16 --device cuda -o bf16-cpu.db
  expect "bf16 of the cpu goes on by cuda" 3
  $bf16 -o bf16-cpu.db
  same "and by the cpu" $? 0
  cp bf16-cpu.db bf16-card.db # the pretended card's numbers are none, so that its own file cannot be joined
  if "$python" -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute(sys.argv[2]); d.commit()' bf16-card.db \
    "UPDATE runs SET provenance = json_set(provenance, '\$.processor.kernels', 'cuda:3, cuBLASLt 13.1.0', '\$.processor.device', 'H')" 2>err; then
    refuses_like "bf16 of the cpu and of cuda" 3 'bf16-card.db: kernels: is by cuda .H., cuBLASLt 13.1.0, and bf16-cpu.db by cpu .[A-Za-z0-9_ ]*.; ' "$X" merge joined.db bf16-cpu.db bf16-card.db --quiet
  else
    skip "bf16 of the cpu and of cuda" "Python with SQLite"
  fi
  shimmed -- "$X" sweep -m "$model" --threads 1 --quiet --pairs pairs.jsonl --site ffn -n 3 --device cuda --target-layers 0 -o s32.db
  "$X" sweep -m "$model" --threads 1 --quiet --pairs pairs.jsonl --site ffn -n 3 -o s32.db
  same "float32 of cuda goes on by the cpu" $? 0
fi
rm -r cache
shimmed XT_LT_OFFERS=2 -- $generate --device cuda:0 --compute bf16
expect "no algorithm that keeps rows' bits" 3
same "no algorithm that keeps rows' bits: what is said" "$(grep -c 'cuda:0, cuBLASLt 13.1.0 has no algorithm for products of .* (of 0 that were tried)' err)/$(wc -l <err)" 1/1
for fault in cublasLtCreate:1:3:1:"ran out of memory" cublasLtCreate:1:1:3:failed cublasLtMatmulAlgoGetHeuristic:1:15:3:failed cublasLtMatmul:1:13:3:failed \
  cublasLtMatmul:20:13:3:failed cublasLtMatmulDescCreate:170:3:1:"ran out of memory" cublasLtMatrixLayoutCreate:500:7:3:failed; do
  call=$(echo "$fault" | cut -d: -f1-3)
  shimmed XT_CUDA_FAULT="$call" -- $generate --device cuda:0 --compute bf16
  expect "$call" "$(echo "$fault" | cut -d: -f4)"
  same "$call: what is said" "$(grep -c "cuda:0 (.*) ${fault##*:} (.*, cuBLAS status" err)/$(wc -l <err)" 1/1
  same "$call: all is released" "$(left_over)" ""
done

bad= tried=0
for fault in cuMemAlloc_v2:2 cuMemsetD8Async:700 cuMemcpyHtoDAsync_v2:719:lost cuMemcpyDtoHAsync_v2:719:lost cuLaunchKernel:701 \
  cuLaunchKernel:719:lost cuStreamSynchronize:700:lost cuModuleGetFunction:500 cuEventRecord:700 cuEventSynchronize:719:lost cuCtxPushCurrent_v2:709:lost cuDevicePrimaryCtxRetain:2 cuStreamCreate:2; do
  call=${fault%%:*}
  n=$(sed -n "s/^$call //p" clean)
  for at in 1 $(((n + 1) / 2)) $((n - 2)); do
    [ "$at" -ge 1 ] || continue
    shimmed XT_CUDA_FAULT="$call:$at:${fault#*:}" -- $generate --device cuda --repetition-penalty 1.2
    tried=$((tried + 1))
    # those of releases: nothing is lost by them; and room that was asked for in plenty is then asked for as it is needed
    case $call:$code in cuCtxPushCurrent_v2:0 | cuMemAlloc_v2:0) continue ;; esac
    if [ $code -ne 1 ] && [ $code -ne 3 ]; then bad="$bad $call:$at: exit code $code;"; fi
    case $fault in
      *:2) line='ran out of memory (.*, CUDA_ERROR_[A-Z_]*)' ;;
      *:701) line='failed (.*, CUDA_ERROR_[A-Z_]*): its driver is out of resources, such as memory or registers' ;;
      *:500) line='failed (.*, CUDA_ERROR_[A-Z_]*): the driver refuses what it was asked for, an error of this program' ;;
      *) line='failed (.*, CUDA_ERROR_[A-Z_]*): the device or its driver may have been lost' ;;
    esac
    [ "$(wc -l <err)" -eq 1 ] && grep -q "cuda:0 (.*) $line\$" err || bad="$bad $call:$at: $(cat err);"
    case $call in cuCtxPushCurrent_v2) ;; *) [ -z "$(left_over)" ] || bad="$bad $call:$at leaves $(left_over);" ;; esac
  done
done
[ -z "$bad" ] && pass "$tried faults" || fail "$tried faults" "$bad"
shimmed XT_CUDA_FAULT=cuInit:1:100 -- $generate --device cuda
expect "a driver without a card" 3
same "a driver without a card: what is said" "$(grep -c 'no device "cuda": CUDA has no device' err)" 1
shimmed XT_CUDA_FAULT=cuInit:1:999 -- $generate --device cuda
expect "a driver that does not start" 3
same "a driver that does not start: what is said" "$(grep -c "no device \"cuda\": CUDA's driver does not start (error 999)" err)" 1
rm -r cache
shimmed XT_CUDA_FAULT=nvrtcCompileProgram:1:6 -- $generate --device cuda
expect "kernels that do not compile" 3
same "kernels that do not compile: what is said" "$(grep -c 'NVRTC 13.0 does not build the kernels for sm_90 (error 6): error: pretended' err)" 1
same "kernels that do not compile: all is released" "$(left_over)" ""
finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The kernels as CUDA C++, run on the host by the pretended driver (tests/fault/cuda_run.c): every op, golden models and sweeps on
# --device cuda have the CPU's bits. Kernels whose CUDA words are wrong are found. What a card does with them it cannot say.
. "$(dirname "$0")/lib.sh"
[ -z "${XT_TEST_BRIEF:-}" ] || finish # kernels and sweeps are the same in every build
shim=$XT_BUILD/tests/libcuda_shim.so
compiler=
for each in ${CXX:-} c++ g++ clang++; do
  [ -n "$compiler" ] || ! command -v "$each" >/dev/null || ! printf '#include <utility>\n' | $each -x c++ -std=c++17 -fsyntax-only - 2>/dev/null || compiler=$each
done
if [ ! -e "$shim" ] || grep -q '__[at]san_init' "$X" || [ -z "$compiler" ]; then
  skip "kernels as CUDA C++" "a C++ compiler, and a build without a sanitizer"
  exit 0
fi
on_cuda() { env LD_PRELOAD="$shim" XT_CUDA_COUNT="$work/counts" "$@"; }
export XT_CUDA_COMPILER="$compiler"
ops() { XT_TEST_GPU=cuda:0 CMOCKA_MESSAGE_OUTPUT=TAP on_cuda "$XT_BUILD/tests/$1"; } # TEST

if [ -x "$XT_BUILD/tests/test_gpu_ops" ]; then
  export XT_TEST_KERNELS="$work/kernels"
  for test in test_gpu_ops test_gpu_places test_gpu_quantised test_gpu_attend test_gpu_compare test_gpu_tensor; do
    ops $test >ops 2>&1
    same "$test" "$?/$(grep -c '^ok' ops)/$(grep -c '^not ok' ops)" "0/$(sed -n 's/^1\.\.//p' ops)/0"
    sed -n 's/^# kernel: //p' ops >>kernels-of-tests
    sed -n 's/^ran \([^ ]*\) .*/\1/p' counts >>ran
  done
  sort -u ran >ran-once
  same "kernels that did not run" "$(sort -u kernels-of-tests | comm -23 - ran-once | tr '\n' ' ')$([ -s kernels-of-tests ] || echo all)" ""
  unset XT_TEST_KERNELS

  # broken NAME TEST EDIT: that test fails when the kernels' text is edited so, and compiles
  cat >edit.sh <<'SHELL'
cat >unedited.cu
sed "$EDIT" unedited.cu >edited.cu
cmp -s edited.cu unedited.cu || { $COMPILER -O0 "$@" -O0 <edited.cu && touch edited; }
SHELL
  broken() {
    rm -f edited
    EDIT=$3 COMPILER=$compiler XT_TEST_TINY=1 XT_CUDA_COMPILER="sh $work/edit.sh" ops "$2" >ops 2>&1
    same "$1 is found" "$([ -e edited ]; echo $?)/$(grep -qE '^not ok [0-9]+ - |^cuda shim: ' ops; echo $?)" 0/0
  }
  broken "a barrier that is none" test_gpu_ops 's/#define BARRIER() __syncthreads()/#define BARRIER()/'
  broken "a barrier that a part of the items reach" test_gpu_ops 's/^  BARRIER();/  if (ITEM > 3) BARRIER();/'
  broken "local memory that is each item's own" test_gpu_ops 's/#define LOCAL __shared__/#define LOCAL/'
  broken "another work-group" test_gpu_ops 's/#define GROUP_Y blockIdx.y/#define GROUP_Y blockIdx.x/'
  broken "another atomic operation" test_gpu_ops 's/\(#define AT_LEAST.*\)atomicMax/\1atomicMin/'
  broken "a flag that is not raised" test_gpu_tensor 's/\(#define RAISE(flag)\).*/\1/'
  broken "bits that are converted" test_gpu_ops 's/\(#define as_uint(x)\).*/\1 (uint)(x)/'
  broken "a read at a place that is not aligned" test_gpu_ops 's/from_x + k \* LD/from_x + 1 + k * LD/'
else skip "ops as CUDA C++" "cmocka"; fi

make_model tiny-llama # whose tokenizer is lent to the others
choice_pairs 1 | sed 's/Question [^"]*Answer/abcdef/; s/Swali[^"]*Jibu/gh/' >pairs.jsonl
golden=$here/../golden
on_cuda "$X" verify -m "$golden/models/llama2" --reference "$golden/models/llama2" --device cuda --threads 1 --quiet >out 2>&1
same "llama2 agrees with transformers" "$?/$(grep -c 'PASS$' out)" "0/$(grep -c 'PASS$\|FAIL$' out)"
reads() { # TOKENS: copies from the device that generating so many takes
  on_cuda "$X" generate -m "$model" --threads 1 --quiet --prompt Hello -n "$1" --device cuda >text 2>err || cat err >&2
  sed -n 's/^cuMemcpyDtoHAsync_v2 //p' counts
}
same "copies from the device for three tokens more" "$(($(reads 5) - $(reads 2)))" 3
for name in llama2 gemma2 bloom neox mixtral mixed.gguf; do
  rm -rf at ./*.db
  if [ -d "$golden/models/$name" ]; then
    cp -r "$golden/models/$name" at
    cp "$model"/tokenizer*.json at
  else
    cp "$golden/gguf/$name" at
  fi
  sweep="$X sweep -m at --threads 1 --quiet --pairs pairs.jsonl --site attn,ffn,block,attn-released -n 3"
  $sweep -o cpu.db 2>err && on_cuda $sweep --device cuda -o cuda.db 2>>err
  "$X" export cpu.db >wanted
  "$X" export cuda.db >got
  same "a sweep of $name: bytes that are not the cpu's" "$([ -s wanted ]; echo $?)/$(cmp got wanted 2>&1)" 0/
done
finish

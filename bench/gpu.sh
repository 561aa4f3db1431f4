#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that is to be known of a GPU, in one run of under ten minutes: the bits, the memory errors, the speed beside transformers on
# the same card. One JSON comes out, whatever fails: each step has a time limit, fails alone, and is in it with what it said. The limits
# together are less than the whole, and a step may take besides what those before it have left, so that none takes another's time.
#
#   gpu.sh [options]             on the machine with the card
#     -d NAME   device           cuda:0, or opencl:0 where there is no CUDA
#     -o FILE   the JSON         gpu.json
#     -w DIR    scratch, with room for the model        a new folder
#     -p PYTHON with torch and transformers             python3
#     -t N      seconds in all                          570
#     -s        small: tiny shapes, for a dry run
#   gpu.sh pack DIR              on a machine that can build: copies what a bare one needs, libraries too; then DIR/bench/gpu.sh there
#
# The program is XT_BUILD's (a build folder), or the one packed, or is built: with CMake, or an older CMake than the project asks for.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
# The test programs that compare a device with the processor, and count what is asked of its driver.
bit_tests="test_gpu_ops test_gpu_places test_gpu_quantised test_gpu_attend test_gpu_compare test_gpu_tensor test_gpu_steps"
export bit_tests

pack() {
  local to=$1 build=${XT_BUILD:-$root/build} file
  mkdir -p "$to/bench" "$to/bin" "$to/lib" "$to/tests/golden" || exit 1
  cp "$here/gpu.sh" "$here/hf_bench.py" "$to/bench/"
  cp -r "$root/tests/golden/models" "$to/tests/golden/"
  cp "$build/xtransplant" "$to/bin/" || exit 1
  for file in $bit_tests test_gpu_nvrtc; do [ ! -e "$build/tests/$file" ] || cp "$build/tests/$file" "$to/bin/"; done
  for file in "$to"/bin/*; do
    ldd "$file" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'
  done | sort -u | while read -r file; do cp -L "$file" "$to/lib/"; done
  mkdir -p "$to/lib/system" # the C library's own, used only where the machine's is too old
  for file in ld-linux-x86-64.so.2 ld-linux-aarch64.so.1 libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do
    [ ! -e "$to/lib/$file" ] || mv "$to/lib/$file" "$to/lib/system/"
  done
  du -sh "$to"
}

if [ "${1:-}" = pack ]; then
  [ $# -eq 2 ] || { echo "usage: gpu.sh pack DIR" >&2; exit 2; }
  pack "$2"
  exit
fi

device="" output=gpu.json work="" python=python3 total=570 small=0
while getopts d:o:w:p:t:sh option; do
  case $option in
    d) device=$OPTARG ;; o) output=$OPTARG ;; w) work=$OPTARG ;; p) python=$OPTARG ;; t) total=$OPTARG ;; s) small=1 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
[ -n "$work" ] || work=$(mktemp -d "${TMPDIR:-/tmp}/xt-gpu-XXXXXX") || exit 1
mkdir -p "$work/steps" || exit 1
work=$(cd "$work" && pwd)
began=$(date +%s)
export POCL_CACHE_DIR=${POCL_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-$work}/.cache}/pocl/kcache}
export LC_ALL=C HF_HUB_OFFLINE=1 XDG_CACHE_HOME="$work/cache"
export here root work python small device
CUDA=${CUDA_HOME:-${CUDA_PATH:-}}
for folder in "$CUDA" /usr/local/cuda /usr/local/cuda-* /opt/cuda /usr/lib/cuda /usr/lib/nvidia-cuda-toolkit; do
  [ -n "$folder" ] && [ -d "$folder" ] || continue
  PATH=$PATH:$folder/bin:$folder/compute-sanitizer:$folder/extras/compute-sanitizer
  LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder/lib64:$folder/lib
done
export PATH LD_LIBRARY_PATH

# ---- what steps use ----

# text STRING: as a JSON string
text() { printf '"%s"' "$(printf '%s' "$1" | tr '\n\t\r' '   ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g' | cut -c1-600)"; }
# figure KEY VALUE: a field of the step's object; VALUE is JSON
figure() { printf '%s\t%s\n' "$1" "$2" >>"$work/steps/$step.figures"; }
# number KEY: the first number under a key of the JSON on stdin
number() { tr -d '\n' | awk -v key="\"$1\": " '{ at = index($0, key); if (at) { rest = substr($0, at + length(key)); sub(/[^-+0-9.eE].*/, "", rest); print rest } }'; }
calculate() { awk "BEGIN { printf \"%.6g\", $1 }"; }
# xt ARGUMENTS: the program, wherever it came from
xt() { eval "$XT_RUN \"\$XT_PROGRAM\" \"\$@\""; }
tests() { eval "$XT_RUN \"\$XT_TESTS/\$1\""; }
skipped() { echo "$*"; exit 77; }
export -f text figure number calculate xt tests skipped

# The steps in their order, and how many seconds are each one's own.
steps="machine:5 build:130 devices:40 bits_ops:60 bits_goldens:30 bits_sweep:20 bits_tensor:20 accuracy:15 sanitizer:30 model:40 speed_f32:45
       hf_f32:25 speed_bf16:20 hf_bf16:15 two_cards:15 registers:40 sanitizer_ops:15"

# step NAME: runs step_NAME in a shell of its own
step() {
  local name=$1 each limit=0 later=0 left code begin took status
  for each in $steps; do
    if [ "${each%:*}" = "$name" ]; then limit=${each#*:}; elif [ "$limit" -gt 0 ]; then later=$((later + ${each#*:})); fi
  done
  left=$((total - ($(date +%s) - began)))
  [ "$limit" -ge $((left - later)) ] || limit=$((left - later))
  [ "$limit" -le "$left" ] || limit=$left
  export step=$name
  : >"$work/steps/$name.figures"
  begin=$(date +%s.%N)
  if [ "$limit" -lt 3 ]; then
    echo "no time is left" >"$work/steps/$name.log"
    code=124
  else
    export -f "step_$name"
    timeout -k 5 "$limit" bash -uo pipefail -c "step_$name" </dev/null >"$work/steps/$name.log" 2>&1
    code=$?
  fi
  took=$(calculate "$(date +%s.%N) - $begin")
  case $code in 0) status=ok ;; 77) status=skipped ;; 124 | 137) status=timeout ;; *) status=failed ;; esac
  {
    printf '{"step": "%s", "status": "%s", "exit_code": %d, "seconds": %s, "limit": %d, "said": %s' "$name" "$status" "$code" "$took" "$limit" \
      "$(text "$(grep -v '^[[:space:]]*$' "$work/steps/$name.log" | tail -n 4)")"
    while IFS="$(printf '\t')" read -r key value; do
      [ -n "$value" ] || value=null
      printf ', "%s": %s' "$key" "$value"
    done <"$work/steps/$name.figures"
    printf '}'
  } >"$work/steps/$name.json"
  printf '%-12s %-8s %6.1f s  %s\n' "$name" "$status" "$took" "$(tail -n 1 "$work/steps/$name.log" | cut -c1-100)" >&2
  order="$order $name"
  write_json
  [ "$code" -eq 0 ]
}
order=""
write_json() {
  local name between=""
  {
    printf '{"format": 1, "device": %s, "small": %s, "began": "%s", "seconds": %d,\n "steps": [' "$(text "$device")" \
      "$([ $small = 1 ] && echo true || echo false)" "$(date -u -d "@$began" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u)" $(($(date +%s) - began))
    for name in $order; do
      printf '%s\n  %s' "$between" "$(cat "$work/steps/$name.json")"
      between=,
    done
    printf '\n]}\n'
  } >"$output.new" && mv "$output.new" "$output"
}

# ---- the steps ----

step_machine() {
  figure kernel "$(text "$(uname -srm)")"
  figure processors "$(nproc 2>/dev/null || echo 0)"
  figure card "$(text "$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit --format=csv,noheader 2>&1 | head -4)")"
  figure nvcc "$(text "$(nvcc --version 2>&1 | tail -1)")"
  figure cmake "$(text "$(cmake --version 2>&1 | head -1)")"
  figure compiler "$(text "$(cc --version 2>&1 | head -1)")"
  figure sanitizer "$(text "$(compute-sanitizer --version 2>&1 | head -1)")"
  figure torch "$(text "$("$python" -c 'import torch, transformers; print(torch.__version__, transformers.__version__, torch.cuda.is_available())' 2>&1 | tail -1)")"
  figure disk "$(text "$(df -h "$work" 2>&1 | tail -1)")"
  echo looked
}

# Finds or builds the program; what runs it goes into $work/program.
step_build() {
  local candidate run build=$work/build source=$root have
  try() { # RUN PROGRAM TESTS
    (XT_RUN=$1 && eval "$XT_RUN \"$2\" version") >/dev/null 2>&1 || return 1
    printf 'export XT_RUN=%q XT_PROGRAM=%q XT_TESTS=%q\n' "$1" "$2" "$3" >"$work/program"
    echo "runs $2"
  }
  for candidate in ${XT_BUILD:+"$XT_BUILD"} "$root/build"; do
    if [ -x "$candidate/xtransplant" ] && try "" "$candidate/xtransplant" "$candidate/tests"; then return 0; fi
  done
  if [ -x "$root/bin/xtransplant" ]; then
    run="LD_LIBRARY_PATH=\"$root/lib:\${LD_LIBRARY_PATH:-}\""
    try "" "$root/bin/xtransplant" "$root/bin" && return 0
    try "$run" "$root/bin/xtransplant" "$root/bin" && return 0
    for candidate in "$root"/lib/system/ld-linux-*; do # the machine's C library is too old: the packed one
      run="\"$candidate\" --library-path \"$root/lib/system:$root/lib:\${LD_LIBRARY_PATH:-}:/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu:/usr/lib64\""
      try "$run" "$root/bin/xtransplant" "$root/bin" && return 0
    done
  fi
  [ -e "$root/CMakeLists.txt" ] || { echo "there is no program that runs here, and no source to build one from"; return 1; }
  have=$(cmake --version 2>/dev/null | sed -n '1s/[^0-9]*\([0-9]*\.[0-9]*\).*/\1/p')
  [ -n "$have" ] || { echo "there is no cmake; 'bench/gpu.sh pack DIR' on another machine makes what needs none"; return 1; }
  if [ "$(printf '3.25\n%s\n' "$have" | sort -V | head -1)" != 3.25 ]; then # older: a copy of the source that asks for no more
    source=$work/source
    mkdir -p "$source"
    tar -C "$root" --exclude './build*' --exclude ./.git -cf - . | tar -C "$source" -xf -
    sed -i "s/^cmake_minimum_required(VERSION .*)/cmake_minimum_required(VERSION $have)/" "$source/CMakeLists.txt"
  fi
  cmake -S "$source" -B "$build" -DXT_BENCH=OFF -DXT_TESTS=AUTO && cmake --build "$build" -j "$(nproc)" || return 1
  try "" "$build/xtransplant" "$build/tests"
}

step_devices() {
  xt devices --json | tee "$work/devices.json"
  figure devices "$(head -1 "$work/devices.json")"
  grep -q "\"$device\"" "$work/devices.json" || { echo "$device is not among them"; return 1; }
  rm -rf "$work/tiny"
  xt init-model --like tiny-llama --quiet -o "$work/tiny" && xt generate -m "$work/tiny" --device "$device" --prompt Hello -n 4 --quiet
}

# Every op against the processor's kernels, bit for bit.
step_bits_ops() {
  [ -x "$XT_TESTS/test_gpu_ops" ] || skipped "the test program is not built: cmocka is not there"
  local code=0 part
  : >"$work/ops"
  export XT_TEST_KERNELS="$work/kernels" # compiled once for all of them
  for part in $bit_tests; do
    CMOCKA_MESSAGE_OUTPUT=TAP XT_TEST_GPU=$device tests $part >>"$work/ops" 2>&1 || code=$?
  done
  cat "$work/ops"
  figure passed "$(grep -c '^ok' "$work/ops")"
  figure failed "$(grep -c '^not ok.* - ' "$work/ops")"
  figure programs "$(text "$(for part in $bit_tests; do [ ! -x "$XT_TESTS/$part" ] || printf '%s ' "$part"; done)")"
  return $code
}

# Registers and spills, as the machine's compiler has them.
step_registers() {
  [ $small = 0 ] || skipped "it takes the compiler half a minute"
  [ -x "$XT_TESTS/test_gpu_nvrtc" ] || skipped "the test program is not built"
  CMOCKA_MESSAGE_OUTPUT=TAP XT_TEST_VERBOSE=1 tests test_gpu_nvrtc
}

step_bits_goldens() {
  local bad="" golden count=0
  for golden in "$root"/tests/golden/models/*/; do
    count=$((count + 1))
    xt verify -m "$golden" --reference "$golden" --device "$device" --quiet >"$work/verify" 2>&1 || { bad="$bad $(basename "$golden")"; grep -v ' ok$' "$work/verify" | head -3; }
    [ $small = 0 ] || [ $count -lt 4 ] || break
  done
  figure models $count
  figure wrong "$(text "$bad")"
  [ $count -gt 0 ] && [ -z "$bad" ]
}

# A full sweep at all four sites: the export is the processor's.
step_bits_sweep() {
  local shape bad=""
  for q in 1 2 3 4; do printf '{"id": "q%d", "lang": "sw", "source": "Question %d: yes or no?", "target": "Swali la %d?"}\n' $q $q $q; done >"$work/pairs.jsonl"
  for shape in tiny-llama tiny-mistral tiny-qwen2; do
    [ -e "$work/$shape" ] || xt init-model --like $shape --dtype bf16 --quiet -o "$work/$shape" || return 1
    rm -f "$work"/sweep-*.db
    for where in cpu "$device"; do
      xt sweep -m "$work/$shape" --pairs "$work/pairs.jsonl" --site attn,ffn,block,attn-released -n 6 --device "$where" --quiet -o "$work/sweep-${where%%:*}.db" &&
        xt export "$work/sweep-${where%%:*}.db" >"$work/export-${where%%:*}" || return 1
    done
    cmp "$work/export-cpu" "$work/export-${device%%:*}" || bad="$bad $shape"
  done
  figure differ "$(text "$bad")"
  figure rows "$(wc -l <"$work/export-cpu" | tr -d ' ')"
  [ -z "$bad" ]
}

# Products on tensor cores: a sweep in one batch and in small ones exports the same; a second process takes the pinned algorithms.
step_bits_tensor() {
  local compute bad="" memory
  case $device in cuda*) ;; *) skipped "$device has no tensor cores" ;; esac
  for compute in bf16 f16 tf32; do
    rm -f "$work"/tensor-*.db
    for memory in 64G 48M; do
      xt sweep -m "$work/tiny-llama" --pairs "$work/pairs.jsonl" --site attn,ffn,block,attn-released -n 6 --device "$device" --compute $compute \
        --memory $memory --quiet -o "$work/tensor-$memory.db" && xt export "$work/tensor-$memory.db" >"$work/tensor-$memory" || return 1
    done
    xt generate -m "$work/tiny-llama" --prompt "Hello there" -n 12 --device "$device" --compute $compute --quiet >"$work/alone" || return 1
    cmp "$work/tensor-64G" "$work/tensor-48M" || bad="$bad $compute"
  done
  figure differ "$(text "$bad")"
  figure kept "$(find "$XDG_CACHE_HOME/xtransplant" -size -2k -name 'kernels-*' | wc -l)"
  [ -z "$bad" ]
}

# NVIDIA's own checks: memory, races, barriers, reads of what was never written.
step_sanitizer() {
  local tool bad="" code
  command -v compute-sanitizer >/dev/null || skipped "compute-sanitizer is not there"
  case $device in cuda*) ;; *) skipped "$device is none of its devices" ;; esac
  for tool in memcheck racecheck synccheck initcheck; do
    eval "$XT_RUN timeout -k 5 60 compute-sanitizer --tool $tool --error-exitcode 9 \"\$XT_PROGRAM\" generate -m \"\$work/tiny\" --device $device --prompt 'Hello there' -n 3 --repetition-penalty 1.2 --quiet" >"$work/$tool" 2>&1
    code=$?
    tail -n 2 "$work/$tool"
    figure $tool $code
    [ $code -eq 0 ] || bad="$bad $tool"
  done
  [ -z "$bad" ]
}

# Memory and races of every kernel: the programs that compare ops, on small shapes. They ask for what is refused, which is no error here.
step_sanitizer_ops() {
  local tool part bad="" code options
  command -v compute-sanitizer >/dev/null || skipped "compute-sanitizer is not there"
  case $device in cuda*) ;; *) skipped "$device is none of its devices" ;; esac
  [ -x "$XT_TESTS/test_gpu_ops" ] || skipped "the test programs are not built: cmocka is not there"
  export XT_TEST_KERNELS="$work/kernels"
  for part in test_gpu_ops test_gpu_attend test_gpu_quantised test_gpu_compare; do
    for tool in memcheck racecheck; do
      options="--tool $tool --error-exitcode 9"
      [ $tool = racecheck ] || options="$options --report-api-errors no"
      XT_TEST_GPU=$device XT_TEST_TINY=1 eval "$XT_RUN timeout -k 5 60 compute-sanitizer $options \"\$XT_TESTS/$part\"" >"$work/$tool-$part" 2>&1
      code=$?
      tail -n 1 "$work/$tool-$part"
      figure "${tool}_$part" $code
      [ $code -eq 0 ] || bad="$bad $tool:$part"
    done
  done
  figure wrong "$(text "$bad")"
  [ -z "$bad" ]
}

# How far logits are from those of transformers in float32, as a share of the largest one, in each type of products.
step_accuracy() {
  local compute model largest all=""
  case $device in cuda*) all="bf16 f16 tf32" ;; esac
  for compute in f32 $all; do
    : >"$work/ratios"
    for model in llama2 gemma2 qwen3; do # a type of fewer bits is beyond verify's tolerance: it fails, and has said how far
      xt verify -m "$root/tests/golden/models/$model" --reference "$root/tests/golden/models/$model" --device "$device" --compute "$compute" --json --quiet |
        tr '{' '\n' | sed -n 's/^"name": "[^"]* logits".*"ratio": \([-+0-9.eE]*\),.*/\1/p' >>"$work/ratios"
    done
    largest=$(sort -g "$work/ratios" | tail -1)
    figure "logits_$compute" "$largest"
    echo "$compute: $largest"
    [ -n "$largest" ] || return 1
  done
}

# The model of the targets; fewer layers where there is no room for all.
step_model() {
  local shape=llama-2-7b layers=32 room
  room=$(df -Pk "$work" | awk 'NR == 2 { print int($4 / 1048576) }')
  [ "$room" -ge 16 ] || layers=$(((room - 3) * 32 / 16))
  if [ $small = 1 ]; then shape=tiny-llama layers=4; fi
  [ "$layers" -ge 2 ] || { echo "there are $room GiB of room, too little for a model"; return 1; }
  rm -rf "$work/model"
  xt init-model --like $shape --layers "$layers" --dtype bf16 --quiet -o "$work/model" || return 1
  figure shape "\"$shape\""
  figure layers "$layers"
}
prompt=300 new=20 rows=1,8,64,256,1024
if [ $small = 1 ]; then prompt=40 new=4 rows=1,8; fi
export prompt new rows

# of_sweep KIND KEY: of what `bench --sweep` printed, on stdin
of_sweep() { tr -d '\n' | sed "s/.*\"$1\": {//" | number "$2" | head -1; }
# speed COMPUTE: decoding, and a full sweep of one instance
speed() {
  local kind seconds=""
  case $1:$device in f32:* | *:cuda*) ;; *) skipped "$1 is CUDA's" ;; esac
  [ -e "$work/model/config.json" ] || skipped "there is no model"
  xt bench -m "$work/model" --device "$device" --compute "$1" -p $prompt -n $new --rows $rows --repeats 1 --json --quiet >"$work/decode-$1" || return 1
  figure bench "$(cat "$work/decode-$1")"
  xt bench -m "$work/model" --device "$device" --compute "$1" -p $prompt -n $new --sweep ffn --json --quiet >"$work/sweep-$1" || return 1
  figure sweep "$(cat "$work/sweep-$1")"
  for kind in as_responses_agree none_agreeing; do
    seconds=$(of_sweep $kind seconds <"$work/sweep-$1")
    figure "instance_seconds_$kind" "$seconds"
    figure "xnli_pilotset_minutes_$kind" "$(calculate "700 * $seconds / 60")"
  done
  echo "an instance: $seconds s, where no responses agree"
}
export -f of_sweep
export -f speed
step_speed_f32() { speed f32; }
step_speed_bf16() { speed bf16; }

# transformers COMPUTE DTYPE: transplants one at a time, with hooks, on the same card
transformers() {
  local where=cpu size=8192
  "$python" -c 'import torch, transformers' 2>&1 || skipped "torch or transformers is not there"
  [ -e "$work/model/config.json" ] || skipped "there is no model"
  case $device in cuda*) where=$device ;; esac
  [ $small = 0 ] || size=256
  "$python" "$here/hf_bench.py" -m "$work/model" --device "$where" --dtype "$2" --prefill 0 --prompt $prompt --new-tokens $new --rows "" \
    --transplants 3 --product $size >"$work/hf-$1" || return 1
  figure product_flops_per_second "$(grep '"product"' "$work/hf-$1" | number flops_per_second)"
  figure transplants_per_second "$(grep '"transplant"' "$work/hf-$1" | number responses_per_second)"
  if [ -s "$work/sweep-$1" ]; then
    figure times_faster "$(calculate "$(of_sweep none_agreeing responses_per_second <"$work/sweep-$1") / $(grep '"transplant"' "$work/hf-$1" | number responses_per_second)")"
  fi
  cat "$work/hf-$1"
}
export -f transformers
step_hf_f32() { transformers f32 float32; }
step_hf_bf16() { transformers bf16 bfloat16; }

# Two processes, a card each, beside one.
step_two_cards() {
  local begin one two
  case $device in cuda*) ;; *) skipped "one device" ;; esac
  grep -q '"cuda:1"' "$work/devices.json" || skipped "there is one card"
  [ -e "$work/model/config.json" ] || skipped "there is no model"
  begin=$(date +%s.%N)
  xt bench -m "$work/model" --device cuda:0 -p $prompt -n $new --sweep ffn --json --quiet >/dev/null || return 1
  one=$(calculate "$(date +%s.%N) - $begin")
  begin=$(date +%s.%N)
  xt bench -m "$work/model" --device cuda:0 -p $prompt -n $new --sweep ffn --json --quiet >/dev/null & first=$!
  xt bench -m "$work/model" --device cuda:1 -p $prompt -n $new --sweep ffn --json --quiet >/dev/null || return 1
  wait $first || return 1
  two=$(calculate "$(date +%s.%N) - $begin")
  figure times "$(calculate "2 * $one / $two")"
}

step machine
if step build; then
  . "$work/program"
  if [ -z "$device" ]; then
    device=opencl:0
    if xt devices --json 2>/dev/null | grep -q '"cuda:0"'; then device=cuda:0; fi
  fi
  export device
  for each in ${steps#*build:* }; do step "${each%:*}"; done
fi
write_json
echo "$output" >&2
! grep -q '"status": "\(failed\|timeout\)"' "$output"

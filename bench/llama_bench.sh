#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds llama.cpp from the source package of llama-cpp-python, and runs its benchmarks.
#
#   llama_bench.sh build DIR            DIR/bin/llama-bench, DIR/bin/llama-batched-bench (15 minutes on two cores)
#   llama_bench.sh prefill BIN GGUF THREADS TOKENS         JSON line: tokens/s
#   llama_bench.sh decode BIN GGUF THREADS PROMPT NEW ROWS JSON line: tokens/s of ROWS sequences behind one prompt
set -euo pipefail

VERSION=0.3.36

build() {
  local dir=$1
  mkdir -p "$dir/download"
  # fetches build requirements of its own to read the metadata
  "${PYTHON:-python3}" -m pip download --no-deps --no-binary llama-cpp-python -d "$dir/download" "llama-cpp-python==$VERSION"
  tar -xf "$dir/download/llama_cpp_python-$VERSION.tar.gz" -C "$dir"
  cmake -S "$dir/llama_cpp_python-$VERSION/vendor/llama.cpp" -B "$dir/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF \
    -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF
  nice -n 10 cmake --build "$dir/build" -j "$(nproc)" --target llama-bench llama-batched-bench
  mkdir -p "$dir/bin"
  cp "$dir/build/bin/llama-bench" "$dir/build/bin/llama-batched-bench" "$dir/bin/"
}

json_line() { grep '^{' | tail -n 1; }

prefill() {
  "$1/llama-bench" -m "$2" -t "$3" -p "$4" -n 0 -r 1 -o jsonl 2>/dev/null | json_line
}

decode() {
  local context=$((($4 + $5 + 255) / 256 * 256 * $6)) # cells of each sequence come in blocks of 256
  local batch=$(($6 > 2048 ? $6 : 2048))
  "$1/llama-batched-bench" -m "$2" -t "$3" -c "$context" -b "$batch" -ub 512 -npp "$4" -ntg "$5" -npl "$6" -pps -no-kvu \
    --output-format jsonl 2>/dev/null | json_line
}

command=${1:-}
case $command in
  build | prefill | decode) shift; "$command" "$@" ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

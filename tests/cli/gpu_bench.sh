#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench/gpu.sh, small: one JSON comes out with every step in it, also where a step fails, where time is up, and where nothing is installed.
. "$(dirname "$0")/lib.sh"
script=$here/../../bench/gpu.sh
# ---- the steps' limits fit into the whole, and each is a step's
sed -n '/^steps="/,/"$/p' "$script" | tr -d '"' | sed 's/^steps=//' | tr -s ' ' '\n' | grep . >limits
whole_limit=$(sed -n 's/.* total=\([0-9]*\).*/\1/p' "$script")
same "seconds of all steps are fewer than the whole" "$(awk -F: -v whole="$whole_limit" '{ sum += $2 } END { print (sum > 0 && sum < whole) }' limits)" 1
same "the whole is under ten minutes" "$([ "$whole_limit" -le 590 ]; echo $?)" 0
same "each step has a limit" "$(sed 's/:.*//' limits | sort)" "$(sed -n 's/^step_\([a-z0-9_]*\)().*/\1/p' "$script" | sort)"
[ -n "${XT_TEST_BENCH:-}" ] || { skip "bench/gpu.sh" "needs XT_TEST_BENCH=1: it builds and measures for a minute"; finish; }
make_model tiny-llama
if ! command -v bash >/dev/null || ! "$X" devices --json | grep -q '"opencl:0"' || grep -q __asan_init "$X" || grep -q __tsan_init "$X"; then
  skip "bench/gpu.sh" "bash, an OpenCL device and a build without sanitizers"
  exit 0
fi
export XT_BUILD
status_of() { sed -n "s/.*\"step\": \"$1\", \"status\": \"\([a-z]*\)\".*/\1/p" gpu.json; }
whole() { tr -d '\n' <gpu.json >one; is_json "$1: the JSON" one; }

run bash "$script" -s -d opencl:0 -w "$work/scratch" -p no-python -o gpu.json
expect "a small run" 0
whole "a small run"
for name in machine build devices bits_ops bits_goldens bits_sweep accuracy model speed_f32; do same "$name" "$(status_of $name)" ok; done
for name in bits_tensor hf_f32 speed_bf16 two_cards sanitizer_ops; do same "$name" "$(status_of $name)" skipped; done
# what the steps before it have left is its own, but for the shares of those behind it
over=$(sed -n 's/.*"step": "registers".*"limit": \([0-9]*\),.*/\1/p' gpu.json)
same "a late step has more than its own seconds" "$([ "${over:-0}" -gt 40 ] && [ "$over" -le 555 ]; echo $?)" 0
same "float32's distance from transformers" "$(grep -c '"logits_f32": [0-9.]*e-0*[67][,}]' gpu.json)" 1
same "what was measured" "$(grep -c '"instance_seconds_none_agreeing": [0-9]' gpu.json)" 1

run bash "$script" -s -d opencl:7 -w "$work/scratch" -p no-python -o gpu.json
expect "a device that is not there" 1
whole "a device that is not there"
same "it is the step that says so" "$(status_of devices)" failed
same "steps that need none go on" "$(status_of model)" ok

run bash "$script" -s -d opencl:0 -w "$work/scratch" -p no-python -o gpu.json -t 0
expect "no time at all" 1
whole "no time at all"
same "it is said" "$(status_of machine)" timeout

# What is packed runs where there is no build folder, and no variable says anything.
run bash "$script" pack "$work/packed"
expect "packed" 0
env -i PATH=/usr/bin:/bin HOME="$HOME" bash "$work/packed/bench/gpu.sh" -s -d opencl:0 -w "$work/scratch2" -p no-python -o gpu.json >out 2>err
code=$?
expect "what was packed" 0
same "what was packed: ops" "$(status_of bits_ops)" ok
same "what was packed: models" "$(status_of bits_goldens)" ok
programs="test_gpu_ops test_gpu_places test_gpu_quantised test_gpu_attend test_gpu_compare test_gpu_tensor test_gpu_steps "
same "what was packed: test programs" "$(sed -n 's/.*"programs": "\([^"]*\)".*/\1/p' gpu.json)" "$programs"
same "what was packed: steps were counted" "$(grep -c '^ok .*test_sweep$\|^ok .*test_generation$' scratch2/ops)" 2
finish

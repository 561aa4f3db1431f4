#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every model that was compared with transformers, on OpenCL: it agrees with its dumps; a full sweep of all four sites exports the
# cpu's bytes; begun on one device and finished on the other, and as shards of both, it does too.
. "$(dirname "$0")/lib.sh"
[ -z "${XT_TEST_BRIEF:-}" ] || finish # kernels and sweeps are the same in every build; test_gpu_ops and test_gpu_attend run in the sanitizers'
# An OpenCL driver that compiles a kernel for the first time leaks memory of its own; ours is still looked for.
export LSAN_OPTIONS="suppressions=$here/../fault/opencl_leaks.txt:print_suppressions=0"
if ! "$X" devices --json | grep -q '"opencl:0"'; then
  skip "golden models on OpenCL" "an OpenCL device"
  exit 0
fi
make_model tiny-llama # whose tokenizer is lent to the others
choice_pairs 2 | sed 's/Question [^"]*Answer/abcdef/; s/Swali[^"]*Jibu/gh/' >pairs.jsonl
exported() { "$X" export "$1" 2>/dev/null | sort; }

tried=0
for golden in "$here"/../golden/models/* "$here/../golden/gguf/mixed.gguf"; do
  name=$(basename "$golden")
  tried=$((tried + 1))
  bad=
  rm -rf at ./*.db
  if [ -d "$golden" ]; then
    "$X" verify -m "$golden" --reference "$golden" --device opencl --threads 1 --quiet >out 2>&1 || bad=" verify: $(grep -v ' ok$' out | head -3);"
    cp -r "$golden" at
    cp "$model"/tokenizer*.json at
  else
    cp "$golden" at
  fi
  sweep="$X sweep -m at --threads 1 --quiet --pairs pairs.jsonl --site attn,ffn,block,attn-released -n 3"
  $sweep -o cpu.db 2>err && $sweep --device opencl -o gpu.db 2>>err || bad="$bad $(cat err);"
  "$X" export cpu.db >wanted
  [ -s wanted ] && "$X" export gpu.db | cmp -s - wanted || bad="$bad another export;"
  sort wanted >sorted
  # the first question on one device, the second on the other
  if [ $((tried % 2)) -eq 0 ]; then first=cpu second=opencl; else first=opencl second=cpu; fi
  $sweep --device $first --shard 1/2 -o one.db 2>err && cp one.db s1.db && $sweep --device $second --shard 2/2 -o s2.db 2>>err &&
    "$X" merge both.db s1.db s2.db --quiet 2>>err || bad="$bad $(cat err);"
  exported both.db | cmp -s - sorted || bad="$bad shards give another export;"
  $sweep --device $first --limit 1 -i first -j all -o mixed.db 2>err && $sweep --device $second -o mixed.db 2>>err || bad="$bad $(cat err);"
  exported mixed.db | cmp -s - sorted || bad="$bad begun on $first and finished on $second, another export;"
  [ -z "$bad" ] && pass "$name" || fail "$name" "$bad"
done
[ $tried -ge 30 ] || fail "models" "only $tried"
finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What else a model is asked for than a plain sweep, on OpenCL: each way to write, words that are tracked, controls, draws at random,
# options' likelihoods, packed weights. The same command on the cpu prints or exports the same bytes.
. "$(dirname "$0")/lib.sh"
[ -z "${XT_TEST_BRIEF:-}" ] || finish # kernels and sweeps are the same in every build
if ! "$X" devices --json | grep -q '"opencl:0"'; then
  skip "ways to write, and packed weights, on OpenCL" "an OpenCL device"
  exit 0
fi
make_model tiny-llama
choice_pairs 4 >pairs.jsonl
sed 's/"source": "[^"]*"/"source": "12+34,5"/; s/"target": "[^"]*"/"target": "6*7"/' pairs.jsonl >digits.jsonl # whose ids every model has
settings="--threads 1 --quiet"

# both NAME COMMAND...: what the command writes to stdout, and the export of the results file that it makes
both() {
  name=$1
  shift
  for device in cpu opencl; do
    rm -f made.db
    "$@" --device $device >$device.text 2>err || break
    [ ! -e made.db ] || "$X" export made.db >>$device.text
  done
  if [ -s cpu.text ] && cmp -s cpu.text opencl.text; then pass "$name"; else fail "$name" "$(cat err)"; fi
  rm -f cpu.text opencl.text
}
# sweep NAME OPTIONS...: of two layers
sweep() {
  name=$1
  shift
  both "$name" "$X" sweep -m "$model" $settings --pairs pairs.jsonl --source-layers 0,3 --target-layers 0,2 -n 3 -o made.db "$@"
}
sweep "rules, factors and spans" --site attn,ffn --rule add,blend --alpha 2,-0.5 --span 2
sweep "all positions, and the generated ones" --site ffn --rule add,replace --positions all,generated
sweep "heads" --site attn --heads 0,2 --rule replace,add --positions last,all
sweep "controls, and words that are tracked" --site block --control self,shuffled,random,mean --track yes,no,maybe
sweep "draws at random" --site ffn --samples 3
both "one transplant, with its effects" "$X" run -m "$model" $settings --source "a b" --target "c d" --site attn --source-layer 1 --target-layer 0 --track yes -n 3 --json
both "a lens" "$X" lens -m "$model" $settings --prompt "a b c" -n 2 --json
both "a published intervention" "$X" baseline -m "$model" $settings --pairs pairs.jsonl --method same-layer -n 2 --json
"$X" sweep -m "$model" $settings --pairs pairs.jsonl --source-layers 0 --target-layers 0 --site ffn -n 2 -o responses.db
scored() { cp responses.db made.db && "$X" options made.db -m "$model" $settings --json "$@"; }
both "options' likelihoods" scored

# A model of each way to pack: formats whose blocks are multiplied by, and those that are expanded.
for name in $(ls "$here/../golden/packed"); do
  rm -rf packed
  cp -r "$here/../golden/packed/$name" packed
  cp "$model"/tokenizer*.json packed
  both "packed: $name" "$X" sweep -m packed $settings --pairs digits.jsonl --track none --site attn,ffn -n 3 -o made.db
done
finish

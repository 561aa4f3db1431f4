#!/bin/sh
# The demo: makes a tiny random model, then transplants one activation between two prompts.
# usage: examples/demo.sh BUILD
set -eu
xt=$1/xtransplant
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf 'The capital of Kenya is' >"$work/en.txt"
printf 'Mji mkuu wa Kenya ni' >"$work/sw.txt"
echo "A tiny random Llama (6 layers, no training), so the texts below mean nothing; the operation is the"
echo "real one: the feed-forward output of layer 2 at the last token of the English prompt is put in place"
echo "of layer 1's at the last token of the Swahili prompt, and generation goes on from there."
echo
"$xt" init-model --like tiny-llama --seed 7 -o "$work/model" --quiet
"$xt" inspect -m "$work/model"
echo
"$xt" run -m "$work/model" --source-file "$work/en.txt" --target-file "$work/sw.txt" --site ffn --source-layer 2 --target-layer 1

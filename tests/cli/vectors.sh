#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Steering vectors: capture --mean writes them, --vector of run and sweep takes their place.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
small="-m $model --threads 1 --quiet"
printf '"The weather is fine."\n{"input_text": "A good day."}\n' >plus.jsonl
printf '"Rain again."\n' >minus.jsonl
printf 'Mji mkuu wa Ufaransa ni upi?\nJibu:' >target
printf 'Rain again.' >source

# ---- one prompt's mean is its value, whatever the file's format
run "$X" run $small --source-file source --target-file target --site block --source-layer 3 --target-layer 2 --rule add --alpha 2 --span 2 --json
cp out prompt.json
for kind in npy gguf safetensors; do
  run "$X" capture $small --mean minus.jsonl -o one.$kind --json
  same "capture --mean, $kind" "$(field prompts <out) $(field tap <out)" '1 "block"'
  run "$X" run $small --vector one.$kind --target-file target --site block --source-layer 3 --target-layer 2 --rule add --alpha 2 --span 2 --json
  same "run --vector, $kind" "$(object_field transplanted ids <out) $(object_field transplanted margins <out) $(field source <out) $(field vector <out)" \
    "$(object_field transplanted ids <prompt.json) $(object_field transplanted margins <prompt.json) null \"one.$kind\""
done
run "$X" run $small --sources minus.jsonl --target-file target --site block --source-layer 3 --target-layer 2 --rule add --alpha 2 --span 2 --json
same "run --sources" "$(object_field transplanted ids <out) $(field source <out)" "$(object_field transplanted ids <prompt.json) null"
run "$X" capture $small --mean plus.jsonl -o plus.npy
run "$X" run $small --vector plus.npy --target-file target --site block --source-layer 3 --target-layer 2 --json
cp out plus.json
run "$X" run $small --sources plus.jsonl --target-file target --site block --source-layer 3 --target-layer 2 --json
same "run --sources, several" "$(object_field transplanted ids <out) $(object_field transplanted margins <out)" "$(object_field transplanted ids <plus.json) $(object_field transplanted margins <plus.json)"
run "$X" capture $small --prompt-file source -o taps.safetensors
run "$X" run $small --vector taps.safetensors:block --target-file target --site block --source-layer 3 --target-layer 2 --rule add --alpha 2 --span 2 --json
same "run --vector of capture" "$(object_field transplanted ids <out)" "$(object_field transplanted ids <prompt.json)"
run "$X" capture $small --mean plus.jsonl --minus minus.jsonl -o happy.gguf
expect "capture --minus" 0
run "$X" run $small --vector happy.gguf --target-file target --site block --target-layer 2 --rule add
prints "run --vector: the same layer" '^block: layer 2 of the vector into layer 2 of the target, add with alpha 1$'

# ---- in a sweep
awk 'BEGIN { for (i = 0; i < 3; i++) printf "{\"id\": \"q%d\", \"lang\": \"sw\", \"source\": \"Question %d:\", \"target\": \"Swali %d:\\nJibu:\", \"gold\": \"a\", \"task\": \"xquad\"}\n", i, i, i }' >pairs.jsonl
printf 'Swali 1:\nJibu:' >q1
run "$X" sweep $small --pairs pairs.jsonl --site block --vector happy.gguf --source-layers 1-5 --rule add --alpha 1,4 --positions last,generated --control random -o v.db
expect "sweep --vector" 0
site=$("$X" export v.db | grep -o '"site": "[^"]*+add4+generated"' | head -1 | cut -d'"' -f4)
same "sweep --vector: a site's name" "$(echo "$site" | sed 's/[0-9a-f]\{8\}+/DIGEST+/')" "block+vector.happy.DIGEST+add4+generated"
"$X" run $small --vector happy.gguf --target-file q1 --site block --source-layer 5 --target-layer 3 --rule add --alpha 4 --positions generated --json >alone
same "sweep --vector is run" "$("$X" export v.db | grep "\"doc_id\": \"q1\".*\"site\": \"$site\", \"source_layer\": 5, \"target_layer\": 3," | field ids)" "$(object_field transplanted ids <alone)"
run "$X" sweep $small --pairs pairs.jsonl --site block --vector happy.gguf --source-layers 1-5 --rule add --alpha 1,4 --positions last,generated --control random -o v.db --dry-run
prints "sweep --vector: resumed" ', 0 to run$'
run "$X" report v.db -o rep --quiet
expect "report of vectors" 0

# ---- refusals
: >empty.jsonl
s="$X sweep $small --pairs pairs.jsonl --site block -o new.db"
r="$X run $small --target-file target --site block --target-layer 0"
refuses "no direction 0" 3 "xtransplant sweep: happy.gguf: has no vector for layer 0; choose others with --source-layer(s)" $s --vector happy.gguf
refuses_like "no tensor" 3 "^xtransplant run: taps.safetensors: holds 6 tensors; give the name of one of them after the file's, as in FILE:NAME" $r --vector taps.safetensors
refuses_like "no such tensor" 3 "^xtransplant run: taps.safetensors: has no tensor 'mlp'; it has " $r --vector taps.safetensors:mlp
refuses_like "another model's" 3 "logits.*has the shape .*; this model's vectors are " $r --vector taps.safetensors:logits
refuses "vector and source" 2 "xtransplant run: --vector: takes the place of --source and --source-file" $r --vector one.npy --source-file source
refuses "vector and sources" 2 "xtransplant run: --vector: takes the place of --source and --source-file, and of --sources" $r --vector one.npy --sources plus.jsonl
refuses "no sources" 3 "xtransplant run: empty.jsonl: has no prompts" $r --source-layer 0 --sources empty.jsonl
refuses_like "vector and shuffled" 3 "sites: have block.vector.one.*.shuffled, but a site that writes no source prompt.s value has only the controls self and random" $s --vector one.npy --control shuffled
refuses "minus nothing" 2 "xtransplant capture: --minus: needs --mean, from which it is subtracted" "$X" capture $small --prompt a --minus minus.jsonl -o new.npy
refuses "no prompts" 3 "xtransplant capture: empty.jsonl: has no prompts" "$X" capture $small --mean empty.jsonl -o new.npy
printf '\223NUMPY\001\000\024\000{"descr": "<f4" }   \n' >bad.npy
refuses_like "broken" 3 "^xtransplant run: bad.npy: .*: the header lacks fortran_order" $r --vector bad.npy
same "refusals write nothing" "$(ls new.* 2>/dev/null)" ""
finish

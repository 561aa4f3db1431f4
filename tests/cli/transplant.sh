#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run and lens: one transplant, by itself and layer by layer.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
printf 'What is the capital of France?\nAnswer:' >en
printf 'Mji mkuu wa Ufaransa ni upi?\nJibu:' >sw
pair="-m $model --source-file en --target-file sw"

run "$X" run $pair --site ffn --source-layer 3 --target-layer 1 --json
expect "run --json" 0
is_json "run --json is JSON" out
same "run --json: what was done" "$(field site <out) $(field source_layer <out) $(field target_layer <out) $(field rule <out) $(field alpha <out)" '"ffn" 3 1 "replace" null'
cp out json
"$X" generate -m "$model" --prompt-file en --json >en.json
"$X" generate -m "$model" --prompt-file sw --json >sw.json
for key in ids margins prompt_ids; do
  same "run: source is what the source prompt gives ($key)" "$(object_field source $key <json)" "$(field $key <en.json)"
  same "run: vanilla is what the target prompt gives ($key)" "$(object_field vanilla $key <json)" "$(field $key <sw.json)"
done
[ "$(object_field transplanted ids <json)" = "$(object_field vanilla ids <json)" ] && wanted=false || wanted=true
same "run --json: changed" "$(field changed <json)" $wanted

run "$X" run $pair --site ffn --source-layer 3 --target-layer 1
expect "run" 0
for row in '^source +[0-9]+ tokens +What is' '^target +[0-9]+ tokens +Mji mkuu' '^ffn: layer 3 of the source into layer 1 of the target, replace$' \
  '^source +[0-9]+ ' '^untouched +[0-9]+ ' '^transplanted +[0-9]+ ' '^The transplant (changed the response, from generated token [0-9]+ on|did not change the response)\.$'; do
  prints "run: prints $row" "$row"
done

for site in attn ffn block attn-released a:f f:a o:m; do
  run "$X" run $pair --site $site --source-layer last --target-layer first --json
  same "run --site $site" "$code $(field source_layer <out) $(field target_layer <out)" "0 5 0"
done
run "$X" run $pair --site m:a --source-layer 0 --target-layer 0 --json
same "run: m:a is attn-released" "$(field site <out)" '"attn-released"'

# The prompt into itself at one layer changes nothing, at every site.
for site in attn ffn block; do
  run "$X" run -m "$model" --source-file en --target-file en --site $site --source-layer 2 --target-layer 2 --json
  same "run: a prompt into itself, $site" "$(object_field transplanted ids <out) $(object_field transplanted margins <out) $(field changed <out)" "$(field ids <en.json) $(field margins <en.json) false"
done
# The last layer's output of the source decides the first token alone.
run "$X" run $pair --site block --source-layer last --target-layer last --max-new-tokens 1 --json
same "run: last block gives the source's first token" "$(object_field transplanted ids <out)" "$(object_field source ids <out)"
run "$X" run $pair --site block --source-layer 1 --target-layer 2 --rule add --alpha 0 --json
same "run: adding nothing changes nothing" "$(field changed <out) $(field rule <out) $(field alpha <out)" 'false "add" 0.0'
run "$X" run $pair --site block --source-layer 1 --target-layer 2 --rule blend --alpha 0.5 --json
expect "run --rule blend" 0
# several ways at once are what each gives alone
run "$X" run $pair --site block --source-layer 1 --target-layer 2 --rule add,blend --alpha 0.5,-2 --span 2 --positions last,generated --json
expect "run: ways" 0
same "run: ways" "$(grep -o '"site": "block[^"]*"' out | tr '\n' ' ')" '"site": "block" "site": "block+add0.5+span2" "site": "block+add0.5+span2+generated" "site": "block+add-2+span2" "site": "block+add-2+span2+generated" "site": "block+blend0.5+span2" "site": "block+blend0.5+span2+generated" "site": "block+blend-2+span2" "site": "block+blend-2+span2+generated" '
cp out ways
run "$X" run $pair --site block --source-layer 1 --target-layer 2 --rule blend --alpha -2 --span 2 --positions generated --json
same "run: a way alone" "$(object_field transplanted ids <out)" "$(sed 's/.*"site": "block+blend-2+span2+generated"//' ways | object_field transplanted ids)"
# all heads of a layer, through its own projection, are what attention gives
run "$X" run $pair --site attn --source-layer 2 --target-layer 2 --json
cp out attn
run "$X" run $pair --site attn --source-layer 2 --target-layer 2 --heads 0-3 --json
same "run: all heads" "$(object_field transplanted ids <out)" "$(object_field transplanted ids <attn)"
run "$X" run $pair --site attn --source-layer 3 --target-layer 2 --heads 0,2 --rule add --alpha 3
prints "run: some heads" '^attn: layer 3 of the source into layer 2 of the target, add with alpha 3 in heads 0,2$'
refuses "run: no such head" 3 "xtransplant run: --heads: head 7 is out of range: this model has heads 0 to 3" "$X" run $pair --site attn --source-layer 3 --target-layer 2 --heads 0,7
run "$X" run $pair --site block --source-layer 1 --target-layer 2 --positions all
prints "run --positions all" '^block: layer 1 of the source into layer 2 of the target, replace at every token$'

printf '"first"\n"What is the capital of France?\\nAnswer:"\n' >a.jsonl
printf '"Mji mkuu wa Ufaransa ni upi?\\nJibu:"\n"second"\n' >b.jsonl
run "$X" run -m "$model" --source-file a.jsonl --target-file b.jsonl --source-line 2 --target-line 1 --site ffn --source-layer 3 --target-layer 1 --json
same "run --source-line --target-line" "$(cat out)" "$(cat json)"
run "$X" run -m "$model" --source-file a.jsonl --target-file b.jsonl --line 1 --source-line 2 --site ffn --source-layer 3 --target-layer 1 --json
same "run --line, one side overridden" "$(cat out)" "$(cat json)"

r="$X run $pair --site ffn"
refuses "run: source layer out of range" 3 "xtransplant run: --source-layer: layer 6 is out of range: this model has layers 0 to 5" $r --source-layer 6 --target-layer 0
refuses "run: target layer out of range" 3 "xtransplant run: --target-layer: layer 99 is out of range: this model has layers 0 to 5" $r --source-layer 0 --target-layer 99
refuses "run: no target layer" 2 "xtransplant run: --target-layer: missing; it is the layer that is written" $r --source-layer 0
refuses "run: alpha without its rule" 2 "xtransplant run: --alpha: has no effect with --rule replace; give --rule add or --rule blend" $r --source-layer 0 --target-layer 0 --alpha 0.5
refuses "run: rules" 2 "xtransplant run: --rule: 'add,add' is not a list of different rules: replace, add, blend" $r --source-layer 0 --target-layer 0 --rule add,add
refuses "run: alphas" 2 "xtransplant run: --alpha: '1,,2' is not a list of numbers from -1000000 to 1000000" $r --source-layer 0 --target-layer 0 --rule add --alpha 1,,2
refuses "run: positions" 2 "xtransplant run: --positions: 'first' is not a list of different positions: last, all, generated" $r --source-layer 0 --target-layer 0 --positions first
refuses "run: heads of ffn" 2 "xtransplant run: --heads: needs the site attn and a source prompt" $r --source-layer 0 --target-layer 0 --heads 0
refuses "run: heads" 2 "xtransplant run: --heads: '3-1' is not a list of heads below 256, such as 0,3,8-11" $r --source-layer 0 --target-layer 0 --heads 3-1
refuses "run: stdin twice" 2 "xtransplant run: --target-file: stdin is the source prompt already" \
  "$X" run -m "$model" --source-file - --target-file - --site ffn --source-layer 0 --target-layer 0
refuses "run: no such target" 3 "xtransplant run: nowhere: cannot open: No such file or directory" \
  "$X" run -m "$model" --source-file en --target-file nowhere --site ffn --source-layer 0 --target-layer 0
refuses_like "run: unknown site" 2 "^xtransplant run: --site: 'mlp' is not a site; " $r --source-layer 0 --target-layer 0 --site mlp

# ---- plans: several transplants at once
"$X" capture -m "$model" --mean a.jsonl --tap block -o mean.npy >captured 2>&1
cat >plan.json <<'EOF'
[{"name": "one", "writes": [{"site": "block+add0.5+generated", "source_layer": 1, "target_layer": 2}]},
 {"name": "two", "writes": [{"site": "attn+blend0.5", "source_layer": 3, "target_layer": 1},
                            {"site": "attn+blend0.5", "source_layer": 4, "target_layer": 2}]},
 {"name": "heads", "writes": [{"site": "attn+heads0.2+add3", "source_layer": 3, "target_layer": 2}]},
 {"name": "vector", "writes": [{"site": "block+add2+all", "target_layer": 3, "vector": "mean.npy"}]},
 {"name": "undone", "writes": [{"site": "ffn", "source_layer": 4, "target_layer": 1},
                               {"site": "ffn+self", "source_layer": 1, "target_layer": 1}]},
 {"name": "redone", "writes": [{"site": "ffn+self", "source_layer": 1, "target_layer": 1},
                               {"site": "ffn", "source_layer": 4, "target_layer": 1}]},
 {"name": "mixed", "writes": [{"site": "attn", "source_layer": 4, "target_layer": 1},
                              {"site": "block+add2", "target_layer": 3, "vector": "mean.npy"}]}]
EOF
run "$X" run $pair --plan plan.json --json
expect "run --plan" 0
is_json "run --plan --json is JSON" out
cp out plan
# what an intervention gives: ids and margins
given() { sed "s/.*\"name\": \"$1\"//; s/\"name\": .*//" plan | object_field transplanted "$2"; }
# like NAME OPTIONS: the intervention is what the options give
like() {
  name=$1
  shift
  run "$X" run "$@" -m "$model" --target-file sw --json
  same "run --plan: $name is what options give" "$(given "$name" ids) $(given "$name" margins)" "$(object_field transplanted ids <out) $(object_field transplanted margins <out)"
}
like one --source-file en --site block --source-layer 1 --target-layer 2 --rule add --alpha 0.5 --positions generated
like two --source-file en --site attn --source-layer 3 --target-layer 1 --rule blend --alpha 0.5 --span 2
like heads --source-file en --site attn --source-layer 3 --target-layer 2 --heads 0,2 --rule add --alpha 3
like vector --vector mean.npy --site block --target-layer 3 --rule add --alpha 2 --positions all
like redone --source-file en --site ffn --source-layer 4 --target-layer 1
same "run --plan: the later write of a place counts" "$(given undone ids) $(given undone margins)" "$(field ids <sw.json) $(field margins <sw.json)"
run "$X" run $pair --plan plan.json
prints "run --plan: what is written" '^two: attn\+blend0.5: layer 3 of the source into layer 1 of the target; attn\+blend0.5: layer 4 of the source into layer 2 of the target$'
prints "run --plan: a row for each" '^mixed +[0-9]+ '
same "run --plan: no row is the transplant" "$(grep -c '^transplanted' out)" 0

# with_plan TEXT: writes it into bad.json
with_plan() { printf '%s' "$1" >bad.json; }
# bad LABEL PLACE-AND-MESSAGE TEXT
bad() {
  with_plan "$3"
  refuses "run --plan: $1" 3 "xtransplant run: bad.json: $2" "$X" run $pair --plan bad.json
}
layer='"source_layer": 3, "target_layer": 1'
bad "no list" "is not a list of 1 to 32 interventions" '{}'
bad "nothing" "is not a list of 1 to 32 interventions" '[]'
bad "no object" "intervention 1: is not an object with name and writes" '[3]'
bad "an unknown key" "intervention 1: label: is no key of it; it has name and writes" '[{"label": "x"}]'
bad "no name" "intervention 1: name: is missing, or not a name of 1 to 39 letters, digits, '.', '_' and '-'" '[{"name": "a b", "writes": []}]'
bad "no writes" "x: writes: is not a list of 1 to 256 transplants" '[{"name": "x", "writes": []}]'
bad "a name twice" "intervention 2: name: 'x' is that of intervention 1, too" "[{\"name\": \"x\", \"writes\": [{\"site\": \"ffn\", $layer}]}, {\"name\": \"x\"}]"
bad "an unknown key of a write" "x: write 1: rule: is no key of it; it has site, source_layer, target_layer and perhaps vector" '[{"name": "x", "writes": [{"rule": "add"}]}]'
bad "no site" "x: write 1: site: is missing, or not the name of a site such as attn+add2" '[{"name": "x", "writes": [{}]}]'
bad "a control" "x: write 1: site: has a control other than self, which only sweeps draw" "[{\"name\": \"x\", \"writes\": [{\"site\": \"ffn+random\", $layer}]}]"
bad "a vector in a name" "x: write 1: site: names what is written; a vector has the key vector" "[{\"name\": \"x\", \"writes\": [{\"site\": \"ffn+vector.v\", $layer}]}]"
bad "heads of ffn" "x: write 1: site: has attention heads, which only attn is made of" "[{\"name\": \"x\", \"writes\": [{\"site\": \"ffn+heads0\", $layer}]}]"
bad "no such head" "x: write 1: site: head 7 is out of range: this model has heads 0 to 3" "[{\"name\": \"x\", \"writes\": [{\"site\": \"attn+heads0.7\", $layer}]}]"
bad "no source layer" "x: write 2: source_layer: is missing" "[{\"name\": \"x\", \"writes\": [{\"site\": \"ffn\", $layer}, {\"site\": \"ffn\", \"target_layer\": 1}]}]"
bad "a layer that is none" "x: write 1: target_layer: is neither the number of a layer, from 0 on, nor like \"i+2\"" '[{"name": "x", "writes": [{"site": "ffn", "source_layer": 1, "target_layer": -1}]}]'
bad "a layer out of range" "x: write 1: target_layer: layer 6 is out of range: this model has layers 0 to 5" '[{"name": "x", "writes": [{"site": "ffn", "source_layer": 1, "target_layer": 6}]}]'
bad "a layer that no pair gives" "x: write 1: source_layer: is never a layer of this model, which has layers 0 to 5" '[{"name": "x", "writes": [{"site": "ffn", "source_layer": "i+6", "target_layer": 1}]}]'
bad "a layer from nothing" "x: has layers that are counted from --target-layer, which is missing" '[{"name": "x", "writes": [{"site": "ffn", "source_layer": 1, "target_layer": "j-1"}]}]'
bad "a vector of heads" "x: write 1: vector: cannot be with attention heads or +self" "[{\"name\": \"x\", \"writes\": [{\"site\": \"ffn+self\", $layer, \"vector\": \"mean.npy\"}]}]"
with_plan '[{"name": '
refuses_like "run --plan: no JSON" 3 '^xtransplant run: bad.json: at byte [0-9]+: is not JSON: ' "$X" run $pair --plan bad.json
with_plan '[{"name": "x", "name": "x"}]'
refuses_like "run --plan: a key twice" 3 '^xtransplant run: bad.json: at byte [0-9]+: is not JSON: duplicate object key' "$X" run $pair --plan bad.json
with_plan "[{\"name\": \"x\", \"writes\": [{\"site\": \"ffn\", $layer}]}]"
refuses "run --plan: no source prompt" 3 "xtransplant run: bad.json: x: write 1: reads a source prompt; give --source or --source-file" "$X" run -m "$model" --target-file sw --plan bad.json
refuses "run --plan and --rule" 2 "xtransplant run: --rule: cannot be combined with --plan, whose file says it" "$X" run $pair --plan plan.json --rule add
with_plan '[{"name": "steer", "writes": [{"site": "block+add2+all", "target_layer": 3, "vector": "mean.npy"}]}]'
run "$X" run -m "$model" --target-file sw --plan bad.json --json
same "run --plan: without a source prompt" "$code $(field source <out) $(object_field transplanted ids <out)" "0 null $(given vector ids)"

# ---- lens
run "$X" lens -m "$model" --prompt-file en -n 4 --json
expect "lens of one prompt" 0
is_json "lens --json is JSON" out
same "lens: the response is generate's" "$(object_field vanilla ids <out | tr -d ']')" "$(field ids <en.json | awk -F, '{print $1 "," $2 "," $3 "," $4}')"
# lens ids are the last "ids" of the object: [[a, .., f], ...]; the last layer is the chosen token
sed 's/.*"layers": \[[^]]*\], "ids": \[\(\[[^a-z]*\]\)\], "texts".*/\1/; s/\], \[/\n/g; s/[][]//g' out | awk -F', ' 'NF != 6 {exit 1} {printf "%s%s", (NR > 1 ? ", " : ""), $6} END {print ""}' >last
same "lens: the last layer says what is chosen" "[$(cat last)]" "$(object_field vanilla ids <out)"
run "$X" lens -m "$model" --prompt-file en -n 4 --layers 0,3-4,last --json
same "lens --layers" "$(sed 's/.*"lens": {"layers": \(\[[^]]*\]\).*/\1/' out)" "[0, 3, 4, 5]"
run "$X" lens -m "$model" --prompt-file en -n 4 --layers last
same "lens --layers last: one row" "$(grep -c '^ *[0-9] ' out)" 1
run "$X" lens $pair --site attn --source-layer last --target-layer first -n 8 --width 100
expect "lens of a transplant" 0
for row in '^source: ' '^untouched: ' '^transplanted: ' '^ token' '^chosen ' '^     5 ' '^     0 ' '^The transplant '; do
  prints "lens: prints $row" "$row"
done
same "lens: tables follow one another" "$(grep -c '^ token' out)" 6
run "$X" lens $pair --site attn --source-layer last --target-layer first -n 2 --json
is_json "lens of a transplant --json is JSON" out
same "lens --json: three runs" "$(grep -o '"lens": ' out | wc -l) $(field site <out)" '3 "attn"'

refuses "lens: nothing to do" 2 "xtransplant lens: --prompt-file: missing; give it, or --source-file, --target-file, --site, --source-layer and --target-layer" "$X" lens -m "$model"
refuses "lens: half a transplant" 2 "xtransplant lens: --site: missing; a transplant needs it beside --target-file" "$X" lens $pair
refuses "lens: prompt and transplant" 2 "xtransplant lens: --target-file: cannot be combined with --prompt-file" "$X" lens $pair --prompt-file en
refuses "lens: layers out of range" 3 "xtransplant lens: --layers: layer 7 is out of range: this model has layers 0 to 5" "$X" lens -m "$model" --prompt-file en --layers 2-7

finish

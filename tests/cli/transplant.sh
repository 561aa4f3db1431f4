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
refuses "run: no target layer" 2 "xtransplant run: --target-layer: missing; -j, --target-layer J: the target layer, which is written: 0 to N-1, first or last (required)" $r --source-layer 0
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

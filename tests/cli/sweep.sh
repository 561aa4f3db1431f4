#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sweep, merge, export: stopping at any moment, sharding, refusals.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
small="-m $model --threads 1 --quiet"
questions=10
[ -z "${XT_TEST_BRIEF:-}" ] || questions=4
all=$((questions * 73)) # an untouched run, and 6 x 6 layers at two sites
choice_pairs $questions >pairs.jsonl
pairs="--pairs pairs.jsonl --site attn,block"

# ---- plan
run "$X" sweep $small $pairs -o plan.db --dry-run
expect "dry run" 0
prints "dry run: responses" "^responses +$all, untouched runs included; 0 are in plan.db, $all to run$"
prints "dry run: memory" '^memory +[0-9.]+ GB at most'
prints "dry run: time" '^time +[0-9]+:[0-9]{2}:[0-9]{2} to '
same "dry run writes nothing" "$(ls plan.db 2>&1 | grep -c 'No such file')" 1
run "$X" sweep $small $pairs -o plan.db --dry-run --json
same "dry run --json" "$(field responses <out) $(field to_run <out) $(field instances <out)" "$all $all $questions"

# ---- whole, again, and its export
run "$X" sweep $small $pairs -o whole.db --json
expect "sweep" 0
same "sweep --json" "$(field finished <out) $(field computed <out) $(field present_before <out)" "true $all 0"
run "$X" export whole.db
expect "export" 0
cp out whole.jsonl
same "export: a line a response" "$(wc -l <whole.jsonl)" $all
is_json "export is JSON" whole.jsonl
same "export: first line" "$(head -1 whole.jsonl | sed 's/"resps.*"target"/"target"/; s/, "id".*/}/')" \
  '{"doc_id": "q0", "lang": "sw", "task": "xnli", "site": "vanilla", "source_layer": null, "target_layer": null, "target": "1", "metrics": {"acc": 0}, "source_lang": ""}'
same "export: sites" "$(sed 's/.*"site": "\([^"]*\)".*/\1/' whole.jsonl | sort | uniq -c | tr -s ' \n' ' ')" " $((36 * questions)) attn $((36 * questions)) block $questions vanilla "
# controls: added to a finished sweep, they are sites of their own, and self is a transplant from the target prompt
cp whole.db controls.db
run "$X" sweep $small $pairs --control self,random2 -o controls.db --dry-run
prints "controls: planned" '^sites +attn,block,attn\+self,block\+self,attn\+random2,block\+random2$'
prints "controls: what is there" "^responses +$((217 * questions)), untouched runs included; $all are in controls.db, $((145 * questions)) to run$"
run "$X" sweep $small $pairs --control self,random2 -o controls.db
expect "controls" 0
same "controls: sites" "$("$X" export controls.db | sed 's/.*"site": "\([^"]*\)".*/\1/' | sort | uniq -c | tr -s ' \n' ' ')" \
  "$(for site in attn attn+random2 attn+self block block+random2 block+self; do printf " $((36 * questions)) %s" $site; done) $questions vanilla "
printf 'Swali la 3:\nJibu:' >target
"$X" run -m "$model" --threads 1 --source-file target --target-file target --site attn --source-layer 5 --target-layer 1 --json >alone
same "controls: self is run" "$("$X" export controls.db | grep '"doc_id": "q3".*"site": "attn+self", "source_layer": 5, "target_layer": 1,' | field ids)" "$(object_field transplanted ids <alone)"
run "$X" sweep $small --pairs pairs.jsonl --site attn --heads 0,2 --control self,shuffled,random,mean -o new.db --dry-run
prints "controls: heads have them all" '^sites +attn\+heads0\.2,attn\+heads0\.2\+self,attn\+heads0\.2\+shuffled,attn\+heads0\.2\+random,attn\+heads0\.2\+mean$'
# a plan of one transplant has the controls of its site, and one of all heads those of the module's output where that is a mean
echo '[{"name": "x", "writes": [{"site": "attn", "source_layer": "i", "target_layer": "j"}]}]' >plan.json
run "$X" sweep $small $pairs --site attn --control self,shuffled,random,mean --plan plan.json --source-layers 1,5 --target-layers 0,3 -o plan.db
expect "controls: a plan" 0
"$X" export plan.db >out
for control in self shuffled random mean; do
  same "controls: a plan's $control is its site's" "$(grep "\"site\": \"plan\.x\.[0-9a-f]*+$control\"" out | field ids)" "$(grep "\"site\": \"attn+$control\"" out | field ids)"
done
run "$X" report plan.db
prints "controls: a plan's are in the table" 'plan\.x\.[0-9a-f]*\+random'
echo '[{"name": "x", "writes": [{"site": "attn+self", "source_layer": "i", "target_layer": "j"}]}]' >plan.json
refuses_like "controls: a plan without a source" 3 "xtransplant sweep: controls: have random, which stands for values of the source prompt and for vectors, and the plan x.* writes none" \
  "$X" sweep $small --pairs pairs.jsonl --control random --plan plan.json -o new.db
same "refused controls leave nothing" "$(ls new.db* 2>/dev/null)" ""
# rules, spans and positions: variants of each site, beside what is there, and what run gives
cp whole.db ways.db
run "$X" sweep $small $pairs --rule add,blend --alpha 2,-0.5 --span 2 -o ways.db --dry-run
prints "ways: planned" '^sites +attn\+add2\+span2,block\+add2\+span2,attn\+add-0.5\+span2,block\+add-0.5\+span2,attn\+blend2\+span2,block\+blend2\+span2,attn\+blend-0.5\+span2,block\+blend-0.5\+span2$'
run "$X" sweep $small $pairs --positions generated,all --limit 1 -o ways.db --dry-run
prints "ways: alone" '^alone +144 responses change the whole prompt'
run "$X" sweep $small $pairs --rule add --alpha 2 --span 2 --positions last,generated -o ways.db
expect "ways" 0
printf 'Question 3: (1) yes (2) no (3) maybe\nAnswer:' >source.q3
for way in "last attn+add2+span2" "generated attn+add2+span2+generated"; do
  set -- $way
  "$X" run -m "$model" --threads 1 --source-file source.q3 --target-file target --site attn --source-layer 4 --target-layer 1 --rule add --alpha 2 --span 2 --positions $1 --json >alone
  same "$2 is run" "$("$X" export ways.db | grep "\"doc_id\": \"q3\".*\"site\": \"$2\", \"source_layer\": 4, \"target_layer\": 1," | field ids)" "$(object_field transplanted ids <alone)"
done
run "$X" sweep $small $pairs --rule add --alpha 2 --span 2 --positions last,generated -o ways.db --dry-run
prints "ways: nothing is left" ", 0 to run$"
run "$X" sweep $small $pairs --rule replace,add --alpha 1,2,3,4,5,6,7,8 --positions last,all -o ways.db
expect "ways: too many" 3
# plans: several transplants at once, at layers that are counted from a response's pair, beside what is there
cp whole.db plan.db
cat >plan.json <<'EOF'
[{"name": "both", "writes": [{"site": "attn+add2", "source_layer": "i", "target_layer": "j"},
                             {"site": "attn+add2", "source_layer": "i+1", "target_layer": "j+1"}]},
 {"name": "mixed", "writes": [{"site": "ffn+generated", "source_layer": 2, "target_layer": "j-1"},
                              {"site": "block+self", "source_layer": "i", "target_layer": 5}]},
 {"name": "whole", "writes": [{"site": "block+blend0.5+all", "source_layer": "i", "target_layer": "j"}]}]
EOF
run "$X" sweep $small $pairs --plan plan.json --limit 1 -o plan.db --dry-run
prints "plan: sites" '^sites +attn,block,plan\.both\.[0-9a-f]{8},plan\.mixed\.[0-9a-f]{8},plan\.whole\.[0-9a-f]{8}$'
prints "plan: what is written" '^plan +mixed: ffn\+generated: layer 2 of the source into layer j-1 of the target$'
same "plan: what is shared" "$(grep -c '^ *shares the prompt, and generated tokens below the lowest layer that is written$' out) $(grep -c '^ *changes the whole prompt: nothing is shared with other responses$' out)" "2 1"
prints "plan: nothing is shared" '^alone +72 responses change the whole prompt'
run "$X" sweep $small $pairs --plan plan.json -o plan.db
expect "plan" 0
for name in both mixed whole; do
  "$X" run -m "$model" --threads 1 --source-file source.q3 --target-file target --plan plan.json --source-layer 4 --target-layer 1 --json | sed "s/.*\"name\": \"$name\"//; s/\"name\": .*//" >alone
  same "plan: $name is run" "$("$X" export plan.db | grep "\"doc_id\": \"q3\".*\"site\": \"plan.$name.[0-9a-f]*\", \"source_layer\": 4, \"target_layer\": 1," | field ids)" "$(object_field transplanted ids <alone)"
done
same "plan: effects are stored" "$("$X" export plan.db | grep '"site": "plan\.' | grep -c '"effects": {"kl_untouched": [0-9.e-]*, "kl_source": [0-9.e-]*, "tracked": \[\["label", "1", "1", -')" $((108 * questions))
both=$("$X" export plan.db | grep '"doc_id": "q3".*"site": "plan.both.[0-9a-f]*", "source_layer": 4, "target_layer": 1,' | field ids)
same "plan: what options give" "$both" "$("$X" export ways.db | grep '"doc_id": "q3".*"site": "attn+add2+span2", "source_layer": 4, "target_layer": 1,' | field ids)"
effects_of() { "$X" export "$1" | grep "\"doc_id\": \"q3\".*\"site\": \"$2\", \"source_layer\": 4, \"target_layer\": 1," | sed 's/.*"effects": //; s/, "options".*//'; }
same "plan: effects that options give" "$(effects_of plan.db 'plan.both.[0-9a-f]*')" "$(effects_of ways.db 'attn+add2+span2')"
run "$X" sweep $small $pairs --plan plan.json -o plan.db --dry-run
prints "plan: nothing is left" ", 0 to run$"
# another content under the same name is another site
sed 's/attn+add2/attn+add3/' plan.json >other.json
run "$X" sweep $small $pairs --plan other.json -o plan.db --dry-run
prints "plan: the same name, other writes" ", $((37 * questions)) to run$"
echo '[{"name": "fixed", "writes": [{"site": "ffn", "source_layer": 1, "target_layer": "j"}]}]' >fixed.json
refuses "plan: the same for each source layer" 3 "xtransplant sweep: fixed.json: fixed: counts no layer from the source layer, so that each gives the same; give one with --source-layers, or layers such as \"i+1\"" "$X" sweep $small $pairs --plan fixed.json -o fixed.db
run "$X" sweep $small --pairs pairs.jsonl --plan fixed.json --source-layers 0 --limit 1 -o fixed.db
same "plan: fixed layers, and no other site" "$code $("$X" export fixed.db | grep -c plan.fixed) $("$X" export fixed.db | wc -l)" "0 12 14"
refuses "plan: rules without a site" 2 "xtransplant sweep: --rule: has no effect on --plan; give --site too" "$X" sweep $small --pairs pairs.jsonl --plan fixed.json --rule add -o fixed.db
# means over languages: of one language, they are that language's transplants
sed 's/"source": \("[^"]*"\)/"source": \1, "source_lang": "en", "sources": {"de": "Frage:", "sw": \1}/' pairs.jsonl | head -2 >langs.jsonl
sed 's/"source": "[^"]*"/"source": "Frage:"/' langs.jsonl >de.jsonl
cells="--site ffn --source-layers 1,4 --target-layers 0,2,5"
run "$X" sweep $small --pairs langs.jsonl $cells --source-langs de -o langs.db
expect "langs" 0
run "$X" sweep $small --pairs de.jsonl $cells -o de.db
expect "langs: one" 0
responses() { "$X" export "$1" | grep '"site": "ffn' | grep -o '"doc_id": "[^"]*"\|"source_layer": [0-9]*, "target_layer": [0-9]*\|"ids": [^]]*]'; }
same "langs: one language is a transplant" "$(responses langs.db)" "$(responses de.db)"
run "$X" sweep $small --pairs langs.jsonl $cells --source-langs en,sw,de --rule add --alpha 2 --control self,random -o langs.db
expect "langs: several" 0
same "langs: sites" "$("$X" export langs.db | grep -o '"site": "[^"]*"' | sort -u | tr '\n' ' ')" \
  '"site": "ffn+langs.de" "site": "ffn+langs.en.sw.de+add2" "site": "ffn+langs.en.sw.de+add2+random" "site": "ffn+langs.en.sw.de+add2+self" "site": "vanilla" '
run "$X" sweep $small --pairs langs.jsonl $cells --source-langs en,sw,de --rule add --alpha 2 --control self,random -o langs.db --dry-run
prints "langs: resumed" ', 0 to run$'
sed -n 2p langs.jsonl | sed 's/.*"source": \("[^"]*"\).*/\1/' >three.jsonl # en and sw are the same
{ cat three.jsonl three.jsonl; echo '"Frage:"'; } >three
sed -n 2p langs.jsonl | sed 's/.*"target": "\([^"]*\)".*/\1/' | sed 's/\\n/\n/g' >asked
"$X" run -m "$model" --threads 1 --quiet --sources three --target-file asked --site ffn --source-layer 4 --target-layer 2 --rule add --alpha 2 --json >alone
same "langs: several are run --sources" "$("$X" export langs.db | grep '"doc_id": "q1".*"site": "ffn+langs.en.sw.de+add2", "source_layer": 4, "target_layer": 2,' | field ids)" "$(object_field transplanted ids <alone)"
# the same by run, from the line itself: tokens, and numbers in all digits that are printed
"$X" run -m "$model" --threads 2 --quiet --pairs langs.jsonl --line 2 --source-langs en,sw,de --site ffn --source-layer 4 --target-layer 2 --rule add --alpha 2 --json >alone
"$X" export langs.db | grep '"doc_id": "q1".*"site": "ffn+langs.en.sw.de+add2", "source_layer": 4, "target_layer": 2,' >line
same "langs: run --source-langs gives the sweep's" "$(field ids <line) $(field margin <line) $(field entropy <line)" \
  "$(object_field transplanted ids <alone) $(object_field transplanted margins <alone | tr -d '[]' | tr ',' '\n' | sort -g | head -1 | tr -d ' ') $(object_field transplanted entropies <alone | tr -d '[]' | cut -d, -f1)"
same "run --source-langs says so" "$(grep -c '"source_langs": "en,sw,de", ' alone)" 1
langs="$X run -m $model --quiet --pairs langs.jsonl --site ffn --source-layer 4 --target-layer 2"
refuses "run langs: not there" 3 'xtransplant run: langs.jsonl: line 1: "sources" has no prompt in fr' $langs --line 2 --source-langs de,fr
refuses "run langs: twice" 3 "xtransplant run: source_langs: names de twice" $langs --line 2 --source-langs de,de
refuses "run langs: empty name" 2 "xtransplant run: --source-langs: has an empty name; separate languages by one comma" $langs --line 2 --source-langs de,,en
refuses "run langs: without pairs" 2 "xtransplant run: --source-langs: needs --pairs, whose lines have the source prompt in several languages" \
  "$X" run -m "$model" --quiet --source a --target b --site ffn --source-layer 0 --target-layer 0 --source-langs de
refuses_like "run pairs: which line" 3 "^xtransplant run: langs.jsonl: has [0-9]+ questions; choose one with --line$" $langs
refuses_like "run pairs: no such line" 3 "^xtransplant run: langs.jsonl: has no line 99, or it repeats another one; it has [0-9]+ questions$" $langs --line 99
refuses "run pairs: and a prompt" 2 "xtransplant run: --target: cannot be combined with --pairs, whose lines have both prompts" $langs --line 2 --target x
refuses "run langs: heads" 2 "xtransplant run: --heads: cannot be combined with --source-langs, which writes means of whole taps" $langs --line 2 --source-langs de,en --heads 0
refuses "langs: not there" 3 'xtransplant sweep: langs.jsonl: line 1: "sources" has no prompt in fr' "$X" sweep $small --pairs langs.jsonl $cells --source-langs de,fr -o new.db
refuses "langs: twice" 3 "xtransplant sweep: source_langs: names de twice" "$X" sweep $small --pairs langs.jsonl $cells --source-langs de,de -o new.db
# what the file says is what the transplant alone gives
printf 'Question 3: (1) yes (2) no (3) maybe\nAnswer:' >source
printf 'Swali la 3:\nJibu:' >target
for at in "attn 4 1" "block 0 5"; do
  set -- $at
  line=$(grep "\"doc_id\": \"q3\".*\"site\": \"$1\", \"source_layer\": $2, \"target_layer\": $3," whole.jsonl)
  printf '%s' "$(cat source)" >source; printf '%s' "$(cat target)" >target
  "$X" run -m "$model" --threads 1 --source-file source --target-file target --site $1 --source-layer $2 --target-layer $3 --json >alone
  same "sweep is run, $at" "$(echo "$line" | field ids)" "$(object_field transplanted ids <alone)"
done
run "$X" export whole.db --format csv
same "export --format csv: header" "$(head -1 out)" "doc_id,lang,task,site,source_layer,target_layer,response,ids,margin,entropy,mean_entropy,mean_logprob,target,acc,source_lang,id,perplexity_standalone,perplexity_conditional,perplexity_self,language,language_probability,kl_untouched,kl_source,tracked,options"
# ---- numbers of first tokens
same "effects are stored" "$(grep -c '"effects": {"kl_untouched": [0-9.e-]*, "kl_source": [0-9.e-]*, "tracked": \[\["label", "1", "1", -' whole.jsonl)" $all
same "untouched runs do not differ from themselves" "$(grep '"site": "vanilla"' whole.jsonl | grep -c '"effects": {"kl_untouched": 0.0, ')" $questions
run "$X" sweep $small $pairs --track yes -o whole.db
[ "$code" -ne 0 ] && grep -q "q0 (xnli sw) is tracked with other answers than are asked for now" err && pass "other words are refused" || fail "other words are refused" "$(cat err)"
run "$X" sweep $small $pairs --limit 1 --source-layers 0 --target-layers 0 --track none -o none.db
same "--track none" "$("$X" export none.db --quiet | grep -c '"effects": null')" 6
printf 'yes\n no way\n' >words
run "$X" sweep $small $pairs --limit 1 --source-layers 0 --target-layers 0 --track words -o words.db
same "--track FILE" "$("$X" export words.db --quiet | grep -c '\["word", "yes", "yes", .*\["word", " no way", ')" 6
# 14 words of two tokens, and the gold answer's two
printf '%s\n' a b c d e f g h i j k l m n >words
sed 's/"task": "xnli"/"task": "xquad"/' pairs.jsonl >plain.jsonl
for track in none words; do "$X" sweep $small --pairs plain.jsonl --site attn,ffn,block -n 2 --track $track -o bytes-$track.db; done
same "30 tracked tokens are stored" "$("$X" export bytes-words.db --quiet | sed -n '$s/.*"tracked": //p' | sed 's/\]\].*//' | tr '[' '\n' | grep -c '", -')" 30
bytes=$((($(wc -c <bytes-words.db) - $(wc -c <bytes-none.db)) / $("$X" export bytes-words.db --quiet | wc -l)))
[ $bytes -gt 60 ] && [ $bytes -lt 117 ] && pass "30 tracked tokens take less than 117 bytes a response" || fail "30 tracked tokens take less than 117 bytes a response" "$bytes"
"$X" run -m "$model" --threads 1 --source "a b" --target "c d" --site attn --source-layer 0 --target-layer 0 --json --track yes >alone
same "run --track" "$(grep -c '"effects": {"kl_untouched": .*\["yes", "yes", ' alone)" 1

before=$(cksum <whole.db; ls -l --time-style=full-iso whole.db)
run "$X" sweep -m "$model" $pairs -o whole.db
expect "a finished sweep" 0
same "a finished sweep does nothing" "$(cat err) $(cksum <whole.db; ls -l --time-style=full-iso whole.db)" "whole.db: all $all responses are present; nothing to do $before"

# ---- kernels: each set writes the same bytes
for kernels in avx512 avx2 neon portable; do
  rm -f set.db
  "$X" sweep $small $pairs --kernels $kernels -o set.db 2>err
  case $? in
    0) "$X" export set.db >set.jsonl
       cmp -s whole.jsonl set.jsonl && pass "kernels $kernels export the same bytes" || fail "kernels $kernels export the same bytes" ;;
    *) grep -q "no CPU kernels \"$kernels\"" err && pass "kernels $kernels are not here" || fail "kernels $kernels" ;;
  esac
done

# ---- shards
for k in 4 2 1 3; do "$X" sweep $small $pairs --shard $k/4 -o shard$k.db || fail "shard $k"; done
run "$X" merge merged.db shard1.db shard2.db shard3.db shard4.db --quiet
expect "merge" 0
"$X" export merged.db >merged.jsonl
cmp -s whole.jsonl merged.jsonl && pass "four shards merged export as one sweep" || fail "four shards merged export as one sweep"
run "$X" sweep $small $pairs -o merged.db --json
same "a merged file is a finished sweep" "$code $(field computed <out)" "0 0"
refuses "merge: the file exists" 3 "xtransplant merge: merged.db: exists already; the joined store has to be a new file" "$X" merge merged.db shard1.db
refuses_like "merge: no inputs" 2 "merge OUT.db A.db B.db" "$X" merge new.db
refuses "merge: missing input" 3 "xtransplant merge: nowhere.db: cannot open: No such file or directory" "$X" merge new.db shard1.db nowhere.db
refuses "merge: no store" 3 "xtransplant merge: pairs.jsonl: is not a results store: not an SQLite file" "$X" merge new.db shard1.db pairs.jsonl

# ---- grown: more sites and layers in the same file
"$X" sweep $small --pairs pairs.jsonl --site attn --source-layers 0,5 --target-layers first -o grown.db
run "$X" sweep $small --pairs pairs.jsonl --site attn --target-layers 0-2 -o grown.db --json
same "grown: only what is missing" "$code $(field present_before <out) $(field finished <out)" "0 $((3 * questions)) true"
"$X" sweep $small $pairs -o grown.db
"$X" export grown.db >grown.jsonl
cmp -s whole.jsonl grown.jsonl && pass "a file that grew exports as one sweep" || fail "a file that grew exports as one sweep"

# ---- killed at any moment, the same command goes on. The moments differ from run to run: each is a part of what
# the sweep takes when it is left alone, so that nearly all of them fall into it.
slow="--max-rows 12 --commit-seconds 0.001"
began=$(date +%s%N)
"$X" sweep $small $pairs $slow -o alone.db
whole_ms=$((($(date +%s%N) - began) / 1000000))
kills=0 partial=0 moments=20
[ -n "${XT_TEST_BRIEF:-}" ] && moments=4
while [ $kills -lt $moments ]; do
  "$X" sweep $small $pairs $slow -o killed.db &
  pid=$!
  sleep "$(awk "BEGIN {print $whole_ms * $(od -An -N1 -tu1 /dev/urandom) / 256000 / 4}")"
  if ! kill -9 $pid 2>/dev/null; then # it had finished: begin anew
    wait $pid
    rm killed.db
    continue
  fi
  wait $pid 2>/dev/null
  kills=$((kills + 1))
  if "$X" export killed.db >partial.jsonl 2>/dev/null; then partial=$((partial + 1)); fi
done 2>/dev/null
echo "# killed $kills times, $partial times with results"
run "$X" sweep $small $pairs -o killed.db
expect "after kill -9: goes on" 0
"$X" export killed.db >killed.jsonl
cmp -s whole.jsonl killed.jsonl && pass "after kill -9: the export is the same" || fail "after kill -9: the export is the same" "$(cmp whole.jsonl killed.jsonl 2>&1)"
same "after kill -9: one file" "$(ls killed.db*)" killed.db
[ $partial -ge 1 ] && pass "after kill -9: some of it was kept" || fail "after kill -9: some of it was kept" "killed $kills times in $whole_ms ms"

# ---- one writer; readers may read
# until a response is there: a results file with a plan alone is readable too
"$X" sweep $small $pairs --max-new-tokens 200 --max-rows 2 --commit-seconds 0.01 -o busy.db 2>stopped.err &
pid=$!
wait_for busy.db
refuses "a second writer" 3 "xtransplant sweep: busy.db: another process is writing to this store; let it finish, or give another file" \
  "$X" sweep $small $pairs --max-new-tokens 200 -o busy.db
run "$X" export busy.db
expect "a reader beside the writer" 0
# ---- Ctrl-C
kill -INT $pid
wait $pid
same "Ctrl-C: exit code" $? 130
same "Ctrl-C: message" "$(cat stopped.err)" "xtransplant sweep: stopped"
"$X" export busy.db >busy.jsonl
lines=$(wc -l <busy.jsonl)
[ "$lines" -ge 1 ] && [ "$lines" -lt $all ] && pass "Ctrl-C: keeps what was done" || fail "Ctrl-C: keeps what was done" "$lines lines"
run "$X" sweep $small $pairs --max-new-tokens 200 -o busy.db --dry-run --json
same "Ctrl-C: goes on from there" "$code $(field present <out)" "0 $lines"

# ---- a disk that is full
(ulimit -f 150; exec "$X" sweep -m "$model" --threads 1 $pairs --max-rows 12 --commit-seconds 0.01 -o full.db) >out 2>err
code=$?
expect "disk full: fails" 1
same "disk full: two lines" "$(sed -n 1p err | grep -c '^xtransplant sweep: full.db: cannot write: ') $(sed -n 2p err)" \
  "1 full.db keeps the finished work; the same command continues from there"
run "$X" sweep $small $pairs -o full.db
expect "disk full: goes on" 0
"$X" export full.db >full.jsonl
cmp -s whole.jsonl full.jsonl && pass "disk full: then the export is the same" || fail "disk full: then the export is the same"

# ---- refusals, before any work
s="$X sweep $small"
"$X" init-model --like tiny-llama --seed 2 --quiet -o other
refuses_like "another model" 3 "^xtransplant sweep: whole.db: model: the store has results of another model: tiny-llama, hash [0-9a-f]{12}\.\.\.; " \
  "$X" sweep -m other --threads 1 --quiet $pairs -o whole.db
refuses "another length" 3 "xtransplant sweep: whole.db: max_new_tokens: the store's results were made with 20, not 10. Give the same, or another results file" $s $pairs --max-new-tokens 10 -o whole.db
refuses_like "another penalty" 3 "^xtransplant sweep: whole.db: repetition_penalty: .* made with 1, not 1\.1" $s $pairs --repetition-penalty 1.1 -o whole.db
refuses_like "another compute type" 3 "^xtransplant sweep: whole.db: compute: .* made with f32, not bf16" $s $pairs --compute bf16 -o whole.db
# kernels of the CPU have other bits in bf16 where they multiply by another instruction; portable C and AVX2 multiply as float32
b="$s $pairs --site ffn --compute bf16 --limit 1"
$b --kernels portable --target-layers 0 -o portable.db
refuses "kernels of other bits" 3 "xtransplant sweep: portable.db: kernels: the store's results were made in bf16 by cpu (float32 instructions), not by cpu (reference), which gives other bits in this type. Take the same (--kernels), or another results file" \
  $b --kernels reference -o portable.db
$b --kernels reference -o reference.db
refuses "kernels of other bits do not merge" 3 "xtransplant merge: reference.db: kernels: is by cpu (reference), and portable.db by cpu (float32 instructions); their bits may differ, and only results of one can be joined" \
  "$X" merge kernels.db portable.db reference.db --quiet
same_bits=portable
"$X" capture -m "$model" --threads 1 --prompt x --quiet --compute bf16 --kernels portable -o taps-portable
"$X" capture -m "$model" --threads 1 --prompt x --quiet --compute bf16 --kernels avx2 -o taps-avx2 2>err && same_bits=avx2
same "kernels of the same bits: what they compute ($same_bits)" "$(cmp taps-portable taps-$same_bits 2>&1)" ""
$b --kernels $same_bits -o portable.db
same "kernels of the same bits go on ($same_bits)" $? 0
refuses "layer out of range" 3 "xtransplant sweep: --source-layers: layer 6 is out of range: this model has layers 0 to 5" $s $pairs --source-layers 4-6 -o new.db
refuses_like "no such site" 2 "^xtransplant sweep: --site: 'attn,mlp' is not a list of different sites" $s --pairs pairs.jsonl --site attn,mlp -o new.db
head -1 pairs.jsonl >source-only.jsonl
refuses "no such control" 3 "xtransplant sweep: --control: 'selves' is not a control; controls are self, shuffled, random and mean, the last three with a seed from 1 on if they have one (random7)" \
  $s --pairs pairs.jsonl --control random,selves -o new.db
refuses_like "no other question" 3 "^xtransplant sweep: source-only.jsonl: control: 'shuffled' takes the source prompts of other questions, and there is one only in sw" \
  $s --pairs source-only.jsonl --control self,shuffled -o new.db
refuses "no task" 2 "xtransplant sweep: --task: missing; give --task and --data, or --pairs" $s -o new.db
refuses "bad shard" 2 "xtransplant sweep: --shard: '5/4' is not auto, nor K/N with K from 1 to N" $s $pairs --shard 5/4 -o new.db
refuses "a folder that is not there" 3 "xtransplant sweep: nowhere/new.db: cannot write: No such file or directory" $s $pairs -o nowhere/new.db
refuses "a file of something else" 3 "xtransplant sweep: source: is not a results store: not an SQLite file" $s $pairs -o source
refuses "too little memory" 3 "$("$X" sweep $small $pairs --memory 100K -o new.db 2>&1)" $s $pairs --memory 100K -o new.db
printf '{"source": "a", "target": "b"}\n{"source": "a"}\n' >bad.jsonl
refuses "pairs: no target" 3 'xtransplant sweep: bad.jsonl: line 2: has no "target"; each line needs a source and a target prompt' $s --pairs bad.jsonl -o new.db
printf '{"source": "a", "target": "b", "lang": "sw", "task": "xnli", "gold": "4"}\n' >bad.jsonl
refuses "pairs: gold is no option" 3 "xtransplant sweep: bad.jsonl: line 1: \"gold\": '4' is not one of XNLI's options, 1, 2, 3" $s --pairs bad.jsonl -o new.db
same "refusals write nothing" "$(ls new.db* 2>/dev/null)" ""
refuses "export: not there" 3 "xtransplant export: nowhere.db: cannot open: No such file or directory" "$X" export nowhere.db
: >empty.db
refuses_like "export: empty" 3 "^xtransplant export: empty.db: holds no results" "$X" export empty.db
"$X" sweep -m other --threads 1 --quiet $pairs --shard 2/4 -o other.db
refuses_like "merge: another model" 3 "^xtransplant merge: other.db: model_hash: is [0-9a-f]{64}, and shard1.db has [0-9a-f]{64}; only results of one model" "$X" merge new.db shard1.db other.db
"$X" sweep $small $pairs --shard 2/4 --max-new-tokens 3 -o short.db
refuses "merge: other settings" 3 "xtransplant merge: short.db: max_new_tokens: is 3, and shard1.db has 20; only results of one model under the same settings can be joined" \
  "$X" merge new.db shard1.db short.db
same "merge: a refused one leaves nothing" "$(ls new.db* 2>/dev/null)" ""

# ---- the released layout
mkdir -p xnli/split xnli/ans xnli/ans_lang
for lang in en sw; do
  printf '"%s premise one: (1) (2) (3)"\n"%s premise two: (1) (2) (3)"\n' $lang $lang >xnli/split/$lang.json
  printf '"1"\n"3"\n' >xnli/ans/$lang.json
  printf '{"1": "%s-one", "2": "%s-two", "3": "%s-three"}\n' $lang $lang $lang >xnli/ans_lang/$lang.json
done
x="$X sweep $small --task xnli --data xnli"
run $x --lang sw,en --source-layers last --target-layers first -o xnli.db
expect "released layout" 0
"$X" export xnli.db >xnli.jsonl
same "released layout: lines" "$(sed 's/.*"doc_id": "\([^"]*\)", "lang": "\([^"]*\)".*"site": "\([^"]*\)".*"target": "\([^"]*\)".*/\2 \1 \3 \4/' xnli.jsonl | tr '\n' ';')" \
  "en 0 vanilla 1;en 0 attn 1;en 1 vanilla 3;en 1 attn 3;sw 0 vanilla 1;sw 0 attn 1;sw 1 vanilla 3;sw 1 attn 3;"
refuses "released layout: a language that is not there" 3 "xtransplant sweep: xnli/ans_lang/tr.json: cannot open: No such file or directory" $x --lang tr -o new.db
refuses_like "released layout: no such language" 3 "^xtransplant sweep: lang: 'xx' is not a language of XNLI; it has ar bg " $x --lang xx -o new.db
printf '"3"\n' >xnli/ans/sw.json
refuses "released layout: lines that do not match" 3 "xtransplant sweep: xnli/split/sw.json: has 2 lines, and xnli/ans/sw.json, whose lines belong to them, has 1" $x --lang sw -o new.db
refuses "released layout: not the folder" 3 "xtransplant sweep: xnli/split: no such folder, or it has no folder split; XNLI is read from a folder with split and ans" \
  $s --task xnli --data xnli/split -o new.db

# ---- score
printf '{"lang": "zh", "pred": "（2）", "gold": "2"}\n{"lang": "zh", "pred": "(2) (3)", "gold": "2"}\n' | "$X" score --task xnli >out
same "score" "$(tr '\n' ' ' <out)" '{"correct": true} {"correct": false} '
printf '{"lang": "zh", "pred": "x", "gold": "2"}\n{"lang": "zh", "pred": "x"}\n' >lines
run "$X" score --task xnli <lines
same "score: a bad line" "$code $(cat err)" '3 xtransplant score: stdin: line 2: is not an object {"lang": "..", "pred": "..", "gold": ".."}'

finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# report, and export's summary, on a tiny model's sweep. What needs Python, numpy or Chromium is skipped where they are not.
. "$(dirname "$0")/lib.sh"
# The page is the same in every build, and a browser takes long to start: only the first build's is opened.
has_browser() {
  [ -z "${XT_TEST_BRIEF:-}" ] && "$python" -c '' 2>/dev/null &&
    { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null
}
no_browser() { [ -n "${XT_TEST_BRIEF:-}" ] || skip "$1" "needs Chromium and Python"; }
# So are the figures, which Python takes long to compute anew.
has_numpy() { [ -z "${XT_TEST_BRIEF:-}" ] && "$python" -c 'import numpy' 2>/dev/null; }
no_numpy() { [ -n "${XT_TEST_BRIEF:-}" ] || skip "$1" "needs numpy"; }
tools=$here/../../tools
make_model tiny-llama
small="-m $model --threads 1 --quiet"
export COLUMNS=150 # of the terminal that tables are fitted to
# gold answers of one letter, which a random model's bytes hold now and then: some responses are right
i=0
while [ $i -lt 18 ]; do
  lang=$(echo "de hi sw" | cut -d' ' -f$((i % 3 + 1)))
  case $((i / 6)) in
    0) printf '{"id": "x%d", "lang": "%s", "source": "Question %d: yes?\\nAnswer:", "target": "Swali %d:\\nJibu:", "gold": "%d", "task": "xnli"}\n' $i $lang $i $i $((i % 3 + 1)) ;;
    1) printf '{"id": "q%d", "lang": "%s", "source": "Who is %d?", "target": "Nani %d?", "gold": "%s", "task": "xquad"}\n' $i $lang $i $i "$(echo "e a o i u y" | cut -d' ' -f$((i - 5)))" ;;
    2) printf '{"id": "g%d", "lang": "%s", "source": "Wapi %d?", "target": "Where %d?", "gold": "A", "task": "globalopinionqa"}\n' $i $lang $i $i ;;
  esac
  i=$((i + 1))
done >pairs.jsonl
run "$X" sweep $small --pairs pairs.jsonl --site attn,ffn,attn-released -o results.db
expect "sweep" 0

# ---- files
run "$X" report results.db -o rep --bootstrap 200 --permutations 32
expect "report" 0
prints "report: table 3" '^Table 3\. XNLI \(ID data\): the untouched model'
prints "report: table 4" '^Table 4\. The untouched model'
prints "report: upper bounds against chance" '^XNLI, attn, TargetFirst '
same "some response is right" "$([ "$(awk -F, 'NR > 1 {n += $4} END {print n}' rep/configurations-xquad-ffn.csv)" -gt 0 ] && echo yes)" yes
for file in report.html report.json table2.csv table2.tex table3-xnli.csv table3-xquad.tex table4.tex best.csv bounds.csv figure2.svg figure2.csv figure3-xnli-attn.svg \
  figure3-xnli-attn.csv figure4.svg figure4-xquad-ffn.csv heatmap-globalopinionqa-ffn.svg configurations-xnli-ffn.csv configurations-globalopinionqa-attn-released.csv; do
  [ -s rep/$file ] && pass "report: $file" || fail "report: $file"
done
same "report: nothing half-written" "$(ls rep | grep -c partial)" 0
same "report: a row a configuration" "$(wc -l <rep/configurations-xnli-attn.csv)" 37
same "report: csv has a cell a column" "$(awk -F, '{print NF}' rep/configurations-xnli-attn.csv | sort -u)" 16
same "page: no place left unfilled" "$(grep -c '{{' rep/report.html)" 0
same "page: names no address" "$(grep -Eo '(https?:)?//[a-z][a-z0-9.-]*\.[a-z]{2,}[^" ]*' rep/report.html | grep -v 'http://www.w3.org/2000/svg' | head -3)" ""
is_json "report --json" "$( "$X" report results.db --bootstrap 10 --json --quiet >json.out; echo json.out)"
same "report --json: groups" "$(sed 's/"coverage".*//' json.out | grep -o '"task": "[a-z]*"' | tr '\n' ' ')" '"task": "xnli" "task": "xquad" "task": "globalopinionqa" '
"$X" report results.db -o again --bootstrap 200 --permutations 32 --threads 3 --quiet >/dev/null
for file in report.json report.html best.csv; do
  cmp -s rep/$file again/$file && pass "the same bytes with other threads: $file" || fail "the same bytes with other threads: $file"
done
"$X" report results.db -o other --bootstrap 200 --permutations 32 --seed 2 --quiet >/dev/null
cmp -s rep/report.json other/report.json && fail "another seed draws others" || pass "another seed draws others"

# ---- the same figures from the exported lines
"$X" export results.db --results results.json >lines.jsonl
same "export: every line has the fields" "$(grep -c '"doc_hash": "[0-9a-f]\{64\}", "prompt_hash": "[0-9a-f]\{64\}", "target_hash": "[0-9a-f]\{64\}", "doc": {.*"arguments": \[\[' lines.jsonl)" "$(wc -l <lines.jsonl)"
same "export --no-docs" "$("$X" export results.db --no-docs | grep -c '"doc":')" 0
same "export --results: prompt_hash is sha256" "$(printf 'Swali 0:\nJibu:' | sha256sum | cut -c1-64)" "$(grep '"doc_id": "x0"' lines.jsonl | head -1 | field prompt_hash | tr -d '"')"
for key in '"results"' '"xnli/attn/sw"' '"acc_stderr,none"' '"n-samples"' '"config"' '"versions"' '"git_hash"'; do
  grep -q "$key" results.json && pass "export --results: $key" || fail "export --results: $key"
done
if has_numpy; then
  run "$python" "$tools/recompute_tables.py" lines.jsonl rep/report.json
  expect "recomputed figures are the report's" 0
  prints "recomputed: many" '^[0-9]{4,} figures compared, 0 differ$'
  run "$python" "$tools/recompute_tables.py" lines.jsonl rep/report.json results.db
  expect "recomputed with the results file: sources too" 0
  sed '0,/"gain": {/{/"won": \[/{n;s/[0-9]/9/}}' rep/report.json >broken.json
  run "$python" "$tools/recompute_tables.py" lines.jsonl broken.json
  expect "recomputed: a wrong figure is found" 1
else no_numpy "recomputed figures are the report's"; fi

# ---- the page in a browser
if has_browser; then
  "$python" "$tools/check_page.py" rep/report.html --program "$X" >page.tap
  code=$?
  cat page.tap
  failures=$((failures + $(grep -c '^not ok' page.tap)))
  [ $code -eq 0 ] && pass "page in a browser" || fail "page in a browser" "exit code $code"
else no_browser "page in a browser"; fi

# ---- every colouring of the page has report.json's numbers: tracked answers, options by likelihood, texts' measures, a control, another store
{
  choice_pairs 8 | sed '8s/, "gold": "[^"]*"//'
  sed -n 7,12p pairs.jsonl
  sed -n '13,18s/, "gold".*/}/p' pairs.jsonl
} >maps.jsonl
"$X" sweep $small --pairs maps.jsonl --site attn --control shuffled --track "yes,no way" -n 6 -o maps.db || fail "maps: sweep"
"$X" options maps.db $small --pairs maps.jsonl >/dev/null || fail "maps: options"
"$X" metrics maps.db -m "$model" --quiet --lid "$here/../data/langid/tiny.ftz" >/dev/null 2>&1 || "$X" metrics maps.db -m "$model" --quiet >/dev/null
"$X" init-model --like tiny-llama --seed 3 --layers 4 --quiet -o four
"$X" sweep -m four --threads 1 --quiet --pairs maps.jsonl --site attn --track none -n 6 -o four.db || fail "maps: another sweep"
run "$X" report maps.db four.db -o maps --bootstrap 10 --quiet
expect "maps" 0
for id in gain control normalised tracked logprob_gold logprob_label_3 logprob_text_1 logprob_word_yes 'logprob_word_no way' kl_source calibrated options_acc_norm options_calibrated change_word_yes perplexity entropy; do
  grep -q "\"id\": \"$id\"" maps/report.json && pass "maps: $id" || fail "maps: $id"
done
in_map() { sed -n "/\"id\": \"$1\"/,/\"languages\"/p" maps/report.json | awk '/^ *[0-9.]+,?$/ && n++ < 36 { printf "%.6f ", $1 }'; } # its first 36 values
for rule in generated acc acc_norm calibrated calibrated_norm; do
  same "maps: what options gives: $rule" "$(in_map options_$rule)" \
    "$("$X" options maps.db --by-config --json | sed -n "s/.*\"lang\": null, \"site\": \"attn\", \"source_layer\": [0-9].*\"$rule\": \([0-9.]*\).*/\1/p" | awk '{ printf "%.6f ", $1 }')"
done
if has_browser; then
  "$python" "$tools/check_page.py" maps/report.html --report maps/report.json >page.tap
  code=$?
  grep -v '^ok' page.tap
  same "maps: the page's colourings are report.json's" "$code $(grep -c '^ok - page: .*report.json' page.tap)" "0 3"
  "$python" "$tools/check_page.py" maps/report.html --width 390 --height 844 >page.tap
  code=$?
  grep -v '^ok' page.tap
  same "maps: the page on a narrow screen" "$code" 0
else no_browser "maps: the page's colourings are report.json's"; fi

# ---- other stores beside
compare_page() { # REPORT NAME: the comparison of two maps, in a browser
  has_browser || { no_browser "$2"; return; }
  "$python" "$tools/check_page.py" "$1/report.html" --compare >page.tap
  code=$?
  grep -v '^ok' page.tap
  same "$2" "$code $(grep -c '^ok' page.tap)" "$3"
}
sed 's/"id": "\([^"]*\)"/"id": "\1-cot"/' pairs.jsonl >cot.jsonl
"$X" sweep $small --pairs cot.jsonl --site attn --source-layers first --target-layers first --max-new-tokens 30 -o cot.db
"$X" init-model --like tiny-llama --seed 2 --quiet -o tuned
"$X" sweep -m tuned --threads 1 --quiet --pairs pairs.jsonl --site attn,ffn -o tuned.db
run "$X" report results.db --cot cot.db --tuned tuned.db --beside tuned.db --bootstrap 10 --quiet
expect "report with stores beside" 0
prints "CoT row" '^CoT '
prints "ML-SFT row" '^ML-SFT '
prints "table 11" '^Table 11\. XNLI'
prints "table 8: the other model" '^tuned$'
run "$X" report results.db tuned.db --bootstrap 50 --quiet -o models
expect "report of two models" 0
compare_page models "two models: compared on the page" "0 10"
same "two models: figure 2 has both" "$(sed 1d models/figure2.csv | cut -d, -f2 | sort -u | tr '\n' ' ')" "tiny-llama tuned "
same "two models: a figure 4 a task" "$(grep -o 'bounds by fixed layer, by model' models/figure4-models-xquad.svg | sort -u) $(grep -c '>tuned (ffn)<' models/figure4-models-xquad.svg)" "bounds by fixed layer, by model 1"
same "two models: the other's numbers" "$(sed -n 2,3p models/figure4-model2-xnli-attn.csv)" "$("$X" report tuned.db --bootstrap 50 --quiet -o tunedonly >/dev/null; sed -n 2,3p tunedonly/figure4-xnli-attn.csv)"
prints "two models: table 8" '^Table 8\. XNLI'
same "two models: a row of each, and columns by task and site" "$(sed -n 's/^\([^,]*\),accuracy,.*/\1/p' models/models.csv | tr '\n' ' ')$(head -1 models/models.csv | grep -c '^Model,figure,XNLI untouched,.*XNLI attn,.*,XQuAD ffn,')" "tiny-llama tuned 1"
same "two models: what the second lacks" "$(grep -c '^tuned,tuned.db,XNLI,attn-released,no responses$' models/models-lacks.csv)" 1
same "two models: on the page, in LaTeX and JSON" "$(grep -c '<figure class="table" id="models' models/report.html) $(grep -c '^\\label{tab:models' models/models.tex models/models-lacks.tex | cut -d: -f2 | tr '\n' ' ')$(grep -c '"id": "models' models/report.json)" "2 1 1 2"
prints "baselines: the source prompt's own answer" "^Source prompt's own answer "
prints "baselines: the oracle of two" '^Either right: target alone, source alone '
same "two models: report.json has both" "$(grep -o '"file": "[a-z]*.db"' models/report.json | tr '\n' ' ')" '"file": "results.db" "file": "tuned.db" '
run "$X" report results.db tuned.db --bootstrap 10 --json
same "two models: --json has both, with their groups" "$(sed 's/"coverage": {"whole[^}]*"rows": \[[^]]*\]//g' out | grep -o '"\(file\|model\|task\)": "[a-z-]*' | sed 's/.*"//' | tr '\n' ' ')" \
  "results tiny-llama xnli xquad globalopinionqa tuned tuned xnli xquad globalopinionqa "
mkdir -p folder/none
cp results.db folder/a.db
cp tuned.db folder/b.db
run "$X" report folder --bootstrap 50 --quiet -o of-folder
expect "report of a folder" 0
prints "report of a folder: the models" '^Models\. Accuracies'
same "report of a folder: as of its files" "$(sed 's/folder.a.db/results.db/;s/folder.b.db/tuned.db/' of-folder/models-lacks.csv | cksum)" "$(cksum <models/models-lacks.csv)"
same "report of one file has no such table" "$(ls rep | grep -c '^models')" 0
refuses_like "report of a folder without results files" 3 '^xtransplant report: folder/none: has no files named \*\.db' "$X" report folder/none -o new
if "$python" -c 'import sqlite3' 2>/dev/null; then
  cp results.db samples.db
  "$python" - <<'EOF'
import sqlite3
d = sqlite3.connect("samples.db")
for number in range(5): # of each question five samples, which are its transplants' responses
    d.execute("INSERT INTO samples(instance, temperature, top_p, seed, number, text, mean_logprob, run) SELECT instance, 0.75, 0.5, 7, ?, text, -1, run FROM responses"
              " WHERE site = 'ffn' AND source_layer = ? AND target_layer = 0", (number, number))
d.commit()
EOF
  run "$X" report samples.db -o samples --bootstrap 50 --quiet
  prints "pass@n" '^pass@4 of sampled answers \(temperature 0.75, top-p 0.5\) '
  same "pass@n: 1, 2, 4 and all" "$(grep -c 'pass@[1245] ' samples/baselines.csv) $(grep -c 'pass@' samples/baselines.csv)" "12 12"
  "$X" export samples.db >samples.jsonl
  if has_numpy; then
    run "$python" "$tools/recompute_tables.py" samples.jsonl samples/report.json samples.db
    expect "recomputed: pass@n" 0
  else no_numpy "recomputed: pass@n"; fi
else skip "pass@n" "no sqlite3 in Python"; fi
run "$X" report results.db tuned.db --bootstrap 50 --quiet
prints "figure 7" '^Figure 7\. XNLI, (de|hi|sw): responses before and after the coarse strategy \(attn\)'
same "figure 7: all responses" "$(sed 1d models/responses-xnli.csv | wc -l)" 6
printf 'Question 3: yes?\nAnswer:' >source
printf 'Swali 3:\nJibu:' >target
"$X" lens -m "$model" --threads 1 --quiet --source-file source --target-file target --site ffn --source-layer 2 --target-layer 1 --json >lens.json
run "$X" report results.db --lens lens.json -o lens --bootstrap 10 --quiet
same "figure 8" "$code $(grep -c 'Figure 8. Intermediate decoding: ffn, layer 2 → 1' lens/figure8.svg)" "0 1"
same "figure 8: no control characters, which XML has not" "$(LC_ALL=C tr -d '\t\n\r\40-\377' <lens/figure8.svg | wc -c)" 0

same "figure 8: layers of its rows" "$(grep -o 'text-anchor="end"[^>]*>[0-9]*<' lens/figure8.svg | head -6 | sed 's/.*>\([0-9]*\)</\1/' | tr '\n' ' ')" "0 1 2 3 4 5 "
for layer in 2147483647 -1 99999999999999999999; do
  sed "s/\"target_layer\": 1/\"target_layer\": $layer/" lens.json >far.json
  refuses_like "figure 8: layer $layer" 3 "^xtransplant report: (lens|far.json): " "$X" report results.db --lens far.json -o new --bootstrap 10 --quiet
done

# ---- layers count from 0, as on the command line
run "$X" report results.db -o zero --lens lens.json --bootstrap 10 --quiet
same "the coarse configuration from 0" "$(grep '^Multilingual understanding' zero/table2.csv)" 'Multilingual understanding,Self-Attention,5,0,XNLI,"attn, attn-released",XCOPA,no'
prints "and from 0 in its note" '^The model has 6 layers\. Layers count from 0\. '
# what the table of the best configurations says is run as it stands, and has the accuracy that the table says
best=$(grep '^"XQuAD, ffn"' zero/best.csv)
i=$(echo "$best" | cut -d, -f7) j=$(echo "$best" | cut -d, -f8)
"$X" sweep $small --pairs pairs.jsonl --site ffn --source-layers "$i" --target-layers "$j" -o typed.db
"$X" report typed.db -o typed --bootstrap 10 --quiet >typed.out
same "typing what is shown runs that configuration" "$(grep '^"XQuAD, ffn"' typed/best.csv | cut -d, -f6-8)" "$(echo "$best" | cut -d, -f6-8)"
run "$X" report results.db -o one --lens lens.json --bootstrap 10 --quiet --one-based
same "--one-based: the coarse configuration" "$(grep '^Multilingual understanding' one/table2.csv)" 'Multilingual understanding,Self-Attention,6,1,XNLI,"attn, attn-released",XCOPA,no'
prints "--one-based: said" '^The model has 6 layers\. Layers count from 1, as in the paper; the command line counts from 0\. '
same "--one-based: csv" "$(head -2 one/configurations-xnli-attn.csv | cut -d, -f1-2 | tr '\n' ' ') $(sed -n 2p zero/configurations-xnli-attn.csv | cut -d, -f1-2)" "source layer (from 1),target layer (from 1) 1,1  0,0"
same "--one-based: figures" "$(grep -c 'layer 3 → 2' one/figure8.svg) $(grep -c 'source 6 → target 6' one/heatmap-xnli-attn.svg) $(grep -c 'source 0 →' one/heatmap-xnli-attn.svg)" "1 1 0"
same "--one-based: report.json's configurations" "$(sed -n '/"best": {/,/}/p' one/report.json | cksum)" "$(sed -n '/"best": {/,/}/p' zero/report.json | cksum)"

# ---- layers that stand alone are points, with dots between them
"$X" sweep $small --pairs pairs.jsonl --site attn --source-layers 0,2,5 --target-layers 0-2,4 -o sparse.db
"$X" report sparse.db -o sparse --bootstrap 50 --permutations 8 --quiet >sparse.out 2>&1
# of three languages and all of them: three source layers alone, and target layer 4; two gaps by source, one by target
same "figure 3: isolated layers" "$(grep -c '<circle' sparse/figure3-xnli-attn.svg) $(grep -c 'class="gap' sparse/figure3-xnli-attn.svg) $(grep -c '<path' sparse/figure3-xnli-attn.svg)" "16 12 3"
same "figure 3: no line over a gap" "$(grep -o '<path[^>]* d="[^"]*"' sparse/figure3-xnli-attn.svg | sed 's/.* d="//' | tr -cd 'ML\n' | sort | uniq -c | tr -s ' ')" " 3 MLLM"
same "figure 4: nothing of incomplete grids" "$(ls sparse | grep -c figure4.svg)" 0
"$X" sweep $small --pairs pairs.jsonl --site attn --source-layers 0,2-3,5 -o sources.db
"$X" report sources.db -o sparse --bootstrap 50 --quiet >sparse.out 2>&1
same "figure 4: of three tasks, two isolated source layers have points and bars, two that are neighbours a band" \
  "$(grep -c 'class="bar' sparse/figure4.svg) $(grep -c 'class="band' sparse/figure4.svg)" "6 3"

# ---- the terminal's width
for width in 60 80 200; do
  COLUMNS=$width "$X" report results.db --bootstrap 10 --quiet >wide.out
  same "no line is longer than $width columns, or has more than a label and a cell" "$(sed 's/[^\x01-\x7f]/x/g' wide.out | LC_ALL=C.UTF-8 awk -v w=$width 'length($0) > w && w > 60' | wc -l)" 0
done

# ---- the summary, first; a map in colours on a terminal alone
same "the summary comes first" "$(grep -nE '^(== XNLI ==|Table 2\.)' wide.out | cut -d: -f2 | tr '\n' ' ' | cut -c1-20)" "== XNLI == Table 2. "
run "$X" report results.db --bootstrap 10 --quiet
prints "summary: the paper's fixed choice" '^The paper.s fixed choice for it, attn from layer 5 into layer 0: [0-9.]+% instead of [0-9.]+%'
prints "summary: its best" '^attn: of 36 configurations [0-9]+ do better than the untouched model, [0-9]+ worse'
prints "summary: what is not there" '^- Table 1, perplexity and language: xtransplant metrics measures them$'
prints "summary: the map in numbers" '^   0( +[+-]?[0-9.]+){6}$'
same "no colours in a file" "$(grep -c "$(printf '\033')" out)" 0
if command -v script >/dev/null; then
  TERM=xterm script -qec "$X report results.db --bootstrap 10 --quiet" /dev/null </dev/null >tty.out
  same "colours on a terminal" "$(grep -c "$(printf '\033')\[" tty.out | awk '{ print ($1 >= 21) }')" 1
  TERM=xterm NO_COLOR=1 script -qec "$X report results.db --bootstrap 10 --quiet" /dev/null </dev/null >tty.out
  same "NO_COLOR" "$(grep -c "$(printf '\033')\[" tty.out)" 0
else skip "colours on a terminal" "no script (bsdutils)"; fi

# ---- names that are hostile to every format, from a file of pairs
html='"><img src=x onerror=document.title=`XSS-attribute`><script>document.title="XSS"</script>'
json_html=$(printf '%s' "$html" | sed 's/"/\\"/g')
i=0
while [ $i -lt 6 ]; do
  case $((i % 3)) in
    0) lang="$json_html" ;;
    1) lang='=cmd|\u001b]0;XSS\u0007\u009b31m\u202e' ;;
    2) lang='}\\input{/etc/passwd}\\label{日本' ;;
  esac
  case $((i / 3)) in 0) from="$json_html" ;; *) from='../../zh/tw\u001b[31m' ;; esac
  printf '{"id": "%s", "lang": "%s", "source_lang": "%s", "source": "a%d %s", "target": "b%d %s", "gold": "%s", "task": "facts"}\n' "=h$i$json_html" "$lang" "$from" $i "$json_html" $i "$json_html" e
  i=$((i + 1))
done >hostile.jsonl
cp -r "$model" "$(printf 'mod\350le<script>')"
"$X" sweep -m "$(printf 'mod\350le<script>')" --threads 1 --quiet --pairs hostile.jsonl --site ffn,a:m --source-layers 0-2 --target-layers 0-2 -n 4 -o hostile.db
run "$X" report hostile.db -o hostile --bootstrap 10 --permutations 8
expect "hostile names, and a model's that is no UTF-8" 0
same "hostile: the model's name as text" "$(grep -c '"model": "mod?le<script>"' hostile/report.json)" 1
same "hostile: file names" "$(ls hostile | grep -vE '^[A-Za-z0-9_-]{1,90}\.(html|json|csv|tex|svg)$'; ls hostile | wc -l | awk '{ print ($1 > 20) }'; ls -d ./*PWN* ../zh 2>/dev/null)" 1
same "hostile: the terminal gets no controls" "$(cat out err | LC_ALL=C tr -d '\n\40-\176\200-\377' | wc -c) $(cat out err | grep -c "$(printf '\302\233\|\342\200\256')")" "0 0"
same "hostile: no formula in csv" "$(cat hostile/*.csv | grep -cE '(^|,)"?[=+@]')" 0
"$X" export hostile.db --format csv >hostile.csv
same "hostile: no formula in export's csv" "$(grep -cE '(^|,)"?[=+@]' hostile.csv) $(grep -c "'=h0" hostile.csv | awk '{ print ($1 > 0) }')" "0 1"
"$X" metrics -m "$(printf 'mod\350le<script>')" hostile.db --by-lang --quiet >hostile.metrics 2>&1
same "hostile: metrics by language has no controls" "$(LC_ALL=C tr -d '\n\40-\176\200-\377' <hostile.metrics | wc -c) $(grep -c 'x1b\]0;XSS' hostile.metrics | awk '{ print ($1 > 0) }')" "0 1"
same "hostile: csv keeps its columns" "$(grep -c "'=cmd|" hostile/figure2.csv)" 4
same "hostile: nothing gets into LaTeX" "$(cat hostile/*.tex | grep -v '^\\input{[A-Za-z0-9_-]*\.tex}$' | grep -cE '\\(input|label\{日)') $(cat hostile/*.tex | LC_ALL=C tr -d '\n\40-\176\200-\377' | wc -c)" "0 0"
same "hostile: labels and ids" "$(cat hostile/*.tex hostile/report.html | grep -oE '\\label\{[^}]*\}|<figure class="[a-z]*" id="[^"]*"' | grep -cvE '\\label\{tab:[A-Za-z0-9_-]+\}$|id="[A-Za-z0-9_-]+"$')" 0
same "hostile: the policy names hashes alone" "$(sed -n 's/.*Security-Policy" content="\([^"]*\)".*/\1/p' hostile/report.html | grep -cE "^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; script-src 'sha256-[A-Za-z0-9+/=]{44}'; ")" 1
same "hostile: no style attributes, no handlers" "$(grep -cE '<[a-z][^>"]*("[^"]*"[^>"]*)* (style|on[a-z]+)=' hostile/report.html)" 0
prints "the model's name" "mod�le<script>|Facts"
same "the model's name in json" "$(grep -c '"model": "mod.*le<script>"' hostile/report.json)" 1
if "$python" -c 'import sqlite3' 2>/dev/null; then
  "$python" -c 'import sqlite3, sys; d = sqlite3.connect("hostile.db"); d.execute("UPDATE runs SET started = ?", (sys.argv[1],)); d.commit()' "$html"
  "$X" report hostile.db -o hostile --bootstrap 10 --permutations 8 --quiet >/dev/null
fi
if has_browser; then
  for file in hostile/*.svg; do "$python" -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$file" || echo "$file"; done >bad.svg 2>&1
  same "hostile: drawings are XML" "$(cat bad.svg)" ""
  "$python" "$tools/check_page.py" hostile/report.html >page.tap
  code=$?
  grep -v '^ok' page.tap
  same "hostile: page in a browser" "$code $(grep -c '^ok - page: no script but ours runs' page.tap)" "0 1"
else no_browser "hostile: page in a browser"; fi

# ---- questions without gold answers: a page of what changed
sed 's/, "gold": "[^"]*"//' pairs.jsonl >unscored.jsonl
"$X" sweep $small --pairs unscored.jsonl --site attn -o unscored.db
run "$X" report unscored.db -o unscored --quiet
expect "unscored" 0
prints "unscored: what changed, in words" '^attn: [0-9.]+% of 216 responses differ from the untouched model.s\.$'
prints "unscored: divergences, in words" '^attn: the first token.s distribution is [0-9.]+ nats from the untouched run.s'
same "unscored: the divergences of the lines" "$("$X" export unscored.db | grep '"site": "attn"' | sed 's/.*"task": "\([^"]*\)".*"kl_untouched": \([^,]*\), "kl_source": \([^,]*\),.*/\1 \2 \3/' | awk '{ n[$1]++; x[$1] += $2; y[$1] += $3 } END { for (k in n) printf "%.6f %.6f\n", x[k] / n[k], y[k] / n[k] }' | sort)" \
  "$(sed -n 's/^".* (no gold answers), attn",36,,,,,,,,,,/0,/p' unscored/effects.csv | awk -F, '{ printf "%.6f %.6f\n", $5, $8 }' | sort)"
same "unscored: what needs gold answers, by name" "$(sed -n '/"needs_gold"/,/\]/p' unscored/report.json | tr -d ' \n' | sed 's/\],.*//')" '"needs_gold":["logit_difference","normalised","gold","choice","calibrated"'
same "unscored: no map needs a gold answer" "$(grep -c '"id": "\(gain\|accuracy\|gold\|logit_difference\|normalised\|choice\|calibrated\)"' unscored/report.json) $(grep -c '"id": "kl_source"' unscored/report.json | sed 's/^[1-9].*/some/')" "0 some"
if has_browser; then
  "$python" "$tools/check_page.py" unscored/report.html --report unscored/report.json >page.tap
  code=$?
  grep -v '^ok' page.tap
  same "unscored: page in a browser" "$code" 0
else no_browser "unscored: page in a browser"; fi

# ---- files appear together; those of an earlier report go
mkdir -p keep/.report-partial-dead00 && : >keep/.report-partial-dead00/x.csv && echo mine >keep/notes.csv
"$X" report results.db -o keep --bootstrap 10 --quiet >/dev/null
same "a killed report's leftovers go" "$(ls -A keep | grep -c partial)" 0
"$X" report typed.db -o keep --bootstrap 10 --quiet >/dev/null
same "an earlier report's files go, others stay" "$(ls keep/heatmap-xnli-attn.svg 2>&1 | grep -c 'No such') $(cat keep/notes.csv) $(ls keep/heatmap-xnli-ffn.svg)" "1 mine keep/heatmap-xnli-ffn.svg"
before=$(cat keep/report.json | cksum)
rm keep/report.html && mkdir keep/report.html
refuses "a folder in the place of a file" 3 "xtransplant report: keep/report.html: is not a regular file, so that a report's file cannot replace it; remove it, or give another folder" $X report results.db -o keep --bootstrap 10 --quiet
same "and nothing is replaced" "$(cat keep/report.json | cksum) $(ls keep/heatmap-xnli-attn.svg 2>/dev/null) $(ls -A keep | grep -c partial)" "$before  0"

# ---- part of a sweep
"$X" sweep $small --pairs pairs.jsonl --site attn --source-layers last --target-layers first -o part.db
run "$X" report part.db -o part --bootstrap 10
expect "report of the coarse configuration alone" 0
same "part: its one configuration" "$(wc -l <part/configurations-xnli-attn.csv)" 2

# ---- a store whose languages have different configurations: each is compared on the instances it has
"$X" sweep $small --pairs pairs.jsonl --lang sw --site ffn --source-layers 0-3 -o uneven.db
"$X" sweep $small --pairs pairs.jsonl --lang de,hi --site ffn --source-layers 2 --target-layers 0-2 -o uneven.db
run "$X" report uneven.db -o uneven --bootstrap 50 --permutations 8
expect "report of an uneven store" 0
same "uneven: said" "$(grep -c 'not every question has every configuration' err)" 3
"$X" report results.db uneven.db --bootstrap 10 --permutations 8 --json >/dev/null 2>err
same "uneven beside another: said of which" "$(grep -c '^uneven.db: .*not every question has every configuration' err) $(grep -c '^results.db: ' err)" "3 0"
if has_numpy; then
  "$X" export uneven.db >uneven.jsonl
  run "$python" "$tools/recompute_tables.py" uneven.jsonl uneven/report.json
  expect "uneven: recomputed figures are the report's" 0
else no_numpy "uneven: recomputed figures are the report's"; fi

# ---- refusals
r="$X report"
refuses "an error shows a name's controls and directions" 3 'xtransplant report: a\x9b\u202e\xff.db: cannot open: No such file or directory' $r "$(printf 'a\302\233\342\200\256\377.db')"
refuses "no file" 2 "xtransplant report: give a results file" $r
refuses "not there" 3 "xtransplant report: nowhere.db: cannot open: No such file or directory" $r nowhere.db
: >empty.db
refuses_like "empty" 3 "^xtransplant report: empty.db: holds no results" $r empty.db -o new
refuses "no store" 3 "xtransplant report: pairs.jsonl: is not a results store: not an SQLite file" $r pairs.jsonl -o new
cp results.db schema.db
printf '\0\0\0\11' | dd of=schema.db bs=1 seek=60 conv=notrunc 2>/dev/null
refuses_like "another schema" 3 "^xtransplant report: schema.db: has schema 9; this build reads" $r schema.db -o new
sed 's/, "gold": "[^"]*"//' pairs.jsonl >nogold.jsonl
"$X" sweep $small --pairs nogold.jsonl --site attn --source-layers last --target-layers first -o nogold.db
run $r nogold.db -o nogold --bootstrap 10
same "no gold: a report of the responses" "$code $(grep -c 'none of which can be scored' out) $(grep -c '^Untouched ' out) $([ -s nogold/responses.csv ] && echo csv)" "0 3 3 csv"
sed 's/, "task": "[^"]*"//' pairs.jsonl >notask.jsonl
"$X" sweep $small --pairs notask.jsonl --site attn --source-layers last --target-layers first -o notask.db
run $r notask.db -o notask --bootstrap 10
same "no task: a report of the responses" "$code $(grep -c 'none of which can be scored' out) $([ -s notask/report.html ] && echo page)" "0 1 page"
(head -5 pairs.jsonl; tail -n +6 nogold.jsonl) >somegold.jsonl
"$X" sweep $small --pairs somegold.jsonl --site attn --source-layers last --target-layers first -o somegold.db
run "$X" report somegold.db --bootstrap 10
same "some gold: said" "$code $(grep -c 'tasks without scored questions: shown by changed responses' err) $(grep -c 'XNLI: 1 of 6 questions left out' err)" "0 1 1"
if "$python" -c 'import sqlite3' 2>/dev/null; then
  cp results.db plain.db
  "$python" -c 'import sqlite3; d = sqlite3.connect("plain.db"); d.execute("DELETE FROM vanilla"); d.commit()'
  refuses "no untouched runs" 3 "xtransplant report: plain.db: vanilla: has no untouched runs, with which everything is compared; the same sweep command adds them" $r plain.db -o new
  cp results.db select.db
  "$python" - <<'EOF'
import sqlite3
d = sqlite3.connect("select.db")
d.execute("INSERT INTO selections SELECT 'entropy', 'attn', id, 5, 0 FROM instances")
d.execute("INSERT INTO selections SELECT 'keep', 'attn', id, -1, -1 FROM instances")
d.execute("INSERT INTO text_metrics SELECT id, 'nll_standalone', 4.0 FROM texts UNION ALL SELECT id, 'lang', 'sw' FROM texts")
d.commit()
EOF
  run "$X" report select.db --bootstrap 10 --quiet
  expect "selections and text metrics" 0
  prints "table 1" '^Vanilla \(no transplant\) .*54\.60'
  prints "entropy row" '^entropy '
  same "entropy at (last, first) is the coarse row" "$(grep '^entropy (attn)  ' out | head -1 | tr -s ' ' | cut -d' ' -f3-)" "$(grep '^Coarse  ' out | head -1 | tr -s ' ' | cut -d' ' -f2-)"
  same "a strategy that keeps the untouched run is vanilla" "$(grep '^keep (attn)  ' out | sed -n 2p | tr -s ' ' | cut -d' ' -f3-)" "$(grep '^Vanilla  ' out | sed -n 2p | tr -s ' ' | cut -d' ' -f2-)"
else skip "no untouched runs" "no Python"; fi
printf '{"vanilla": 1}\n' >bad.json
refuses_like "lens: another file" 3 "^xtransplant report: lens: it lacks one of source, vanilla and transplanted" $r results.db --lens bad.json -o new
same "refusals write nothing" "$(ls -d new 2>/dev/null)" ""
: >file
refuses_like "the folder is a file" 3 "^xtransplant report: file/.*: cannot write: Not a directory" $r results.db -o file --bootstrap 10 --quiet
finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# pilotset from every benchmark's own files, read by sweep; reasoning prompts, other pivots; score.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
s="$X sweep -m $model --threads 1 --quiet"

# ---- raw data of each kind, four questions a language
mkdir xquad xcopa xcopa/en xcopa/it xcopa/zh mkqa xnli
for lang in en de zh; do
  {
    printf '{"data": [{"paragraphs": [{"context": "%s text", "qas": [' $lang
    for q in 0 1 2 3; do
      printf '%s{"id": "q%d", "question": "%s question %d?", "answers": [{"text": "%s answer %d"}]}' "$([ $q -gt 0 ] && echo ', ')" $q $lang $q $lang $q
    done
    printf ']}]}]}'
  } >xquad/xquad.$lang.json
done
for lang in en it zh; do
  for q in 0 1 2 3; do
    printf '{"premise": "%s premise %d.", "choice1": "one", "choice2": "two", "question": "%s", "label": %d, "idx": %d}\n' $lang $q "$([ $q -lt 2 ] && echo cause || echo effect)" $((q % 2)) $q
  done >xcopa/$lang/test.$lang.jsonl
done
for q in 0 1 2 3 4; do
  text="\"answer $q\"" type=entity
  [ $q -eq 2 ] && text=null type=unanswerable
  printf '{"query": "q", "example_id": %d, "queries": {"en": "en %d", "de": "de %d", "zh_cn": "zh %d"}, "answers": {"en": [{"type": "%s", "text": %s}], "de": [{"type": "%s", "text": %s}], "zh_cn": [{"type": "%s", "text": %s}]}}\n' \
    $q $q $q $q $type "$text" $type "$text" $type "$text"
done >mkqa/mkqa.jsonl
{
  printf 'language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpromptID\tpairID\n'
  for lang in de en zh; do for q in 0 1 2 3; do printf '%s\t%s\t\t%s "premise" %d\t%s hypothesis %d\t1\t%d\n' $lang "$([ $q -eq 1 ] && echo entailment || echo contradiction)" $lang $q $lang $q $q; done; done
} >xnli/xnli.test.tsv
cat >opinions.csv <<'CSV'
question,selections,options,source
"Is it, ""really"", so?","defaultdict(<class 'list'>, {'Germany': [0.9, 0.06, 0.04], 'Britain': [0.5, 0.3, 0.2], 'India (Non-national sample)': [0.1, 0.1, 0.8], 'Atlantis': [1.0, 0.0, 0.0]})","['Yes', ""Don't know"", 'No']",GAS
"Two
lines?","defaultdict(<class 'list'>, {'Austria': [0.1, 0.9], 'United States': [0.8, 0.2], 'Germany': [0.79, 0.21]})","['A lot', 'A little']",WVS
,"defaultdict(<class 'list'>, {'Germany': [1.0]})","['Yes']",WVS
CSV
cat >bench.csv <<'CSV'
question_idx,prompt_question,prompt_option_a,prompt_option_b,prompt_option_c,prompt_option_d,answer,country
11,"In Germany, what is eaten?",Bread,,Rice,"Fish, dried",C,Germany
12,"In the US, what is eaten?",Bread,Corn,Rice,Fish,B,United States
13,Peru?,Bread,Corn,Rice,Fish,B,Peru
CSV

# ---- each of them
run "$X" pilotset --task xquad --raw xquad --lang en,de,zh -n 2 --json -o XQuAD
expect "xquad" 0
same "xquad: what it says" "$(cat out) $(cat err)" '{"output": "XQuAD", "task": "xquad", "languages": 3, "sample": 6, "unseen": 6, "left_out": 0, "untranslated": 0} XQuAD: 6 questions in XQuAD_sample and 6 in XQuAD_unseen, 3 languages'
# Python: random.seed(666); sorted(random.sample(range(4), 2)) is [1, 3]
same "xquad: the sample" "$(cat XQuAD/XQuAD_sample/ans/xquad.de.json XQuAD/XQuAD_unseen/ans/xquad.en.json | tr '\n' ' ')" '"de answer 1" "de answer 3" "en answer 0" "en answer 2" '
same "xquad: a prompt" "$(head -1 XQuAD/XQuAD_sample/split/xquad.en.json)" '"Read the text and answer the question with a few words from it.\n\nText: en text\n\nQuestion: en question 1?\n\nAnswer:"'
printf '{"en": "{question}|{context}", "de": "F {question}{context}", "zh": "{context}{question}"}' >t.json
run "$X" pilotset --task xquad --raw xquad --lang de --templates t.json -n 0 --quiet -o own
same "xquad: own templates, all unseen" "$code $(head -1 own/XQuAD_unseen/split/xquad.de.json) $(wc -l <own/XQuAD_unseen/split/xquad.de.json) $(ls own)" '0 "F de question 0?de text" 4 XQuAD_unseen'
refuses "a folder that is not empty" 3 "xtransplant pilotset: own: exists and is not an empty folder; nothing was written" "$X" pilotset --task xquad --raw xquad --lang de -n 1 -o own
refuses "a language that is not there" 3 "xtransplant pilotset: xquad/xquad.ar.json: cannot open: No such file or directory" "$X" pilotset --task xquad --raw xquad -n 1 -o new
refuses "no such language" 3 "xtransplant pilotset: lang: 'it' is not a language of XQuAD; it has ar de el en es hi ro ru th tr vi zh" "$X" pilotset --task xquad --raw xquad --lang it -o new
refuses "more than there are" 3 "xtransplant pilotset: count: 50 questions were asked for, and XQuAD has 4 in 'de'; ask for fewer, or for 0 to have all of them unseen" \
  "$X" pilotset --task xquad --raw xquad --lang de -o new
refuses_like "no such task" 2 "^xtransplant pilotset: --task: 'xqad'" "$X" pilotset --task xqad --raw xquad -o new
same "refusals leave nothing" "$(ls -d new* 2>/dev/null)" ""
said=$( (ulimit -f 0; "$X" pilotset --task xquad --raw xquad --lang de -n 1 -o full; echo "exit $?") 2>&1)
same "disk full: a message, and nothing is left" "$said $(ls -d full* 2>/dev/null)" "xtransplant pilotset: full: cannot write: File too large
exit 3 "

run "$X" pilotset --task xcopa --raw xcopa --lang en,it,zh -n 2 -o XCOPA
expect "xcopa" 0
same "xcopa: what it says" "$(sed -n 2p err)" "2 languages without their own English version: their source is split/en.json, or another --pivot"
same "xcopa: prompts" "$(cat XCOPA/XCOPA_sample/split/it.json | tr '\n' ' ')$(cat XCOPA/XCOPA_sample/ans/it.json | tr '\n' ' ')" \
  '"it premise 1.\nQual è stata la causa?\n\n(1) one\n(2) two\n\nRispondi con (1) o (2).\nRisposta:" "it premise 3.\nChe cosa è successo di conseguenza?\n\n(1) one\n(2) two\n\nRispondi con (1) o (2).\nRisposta:" "2" "2" '
mkdir -p gmt/it gmt/zh
sed 's/it premise/English of it/' xcopa/it/test.it.jsonl >gmt/it/test.it.jsonl
sed 's/zh premise/English of zh/' xcopa/zh/test.zh.jsonl >gmt/zh/test.zh.jsonl
run "$X" pilotset --task xcopa --raw xcopa --lang en,it,zh -n 2 --translations gmt -o XCOPA2
same "xcopa: English of each language" "$code $(head -1 XCOPA2/XCOPA_sample/en/it.json)" '0 "English of it 1.\nWhat was the cause of this?\n\n(1) one\n(2) two\n\nAnswer with (1) or (2).\nAnswer:"'

run "$X" pilotset --task mkqa --raw mkqa --lang en,de,zh -n 2 -o MKQA
expect "mkqa" 0
same "mkqa: what has no answer is left out" "$(sed -n 2p err) $(cat MKQA/MKQA_unseen/ans/zh.json | tr '\n' ' ')" '1 question left out: without an answer, or without one probability per option "answer 0" "answer 3" '
same "mkqa: a prompt" "$(head -1 MKQA/MKQA_sample/split/zh.json)" '"请简短地回答问题。\n\n问题：zh 1\n\n答案："'
# several answers and their aliases: any of them is right
mkdir many
printf '{"example_id": 1, "queries": {"en": "en 1", "de": "de 1"}, "answers": {"en": [{"text": "Rome", "aliases": ["Roma", "Rome"]}, {"text": null, "aliases": ["nothing"]}, {"text": "Milan"}], "de": [{"text": "Rom", "aliases": []}]}}\n{"example_id": 2, "queries": {"en": "en 2", "de": "de 2"}, "answers": {"en": [{"text": null}, {"text": "two"}], "de": [{"text": "zwei"}]}}\n' >many/mkqa.jsonl
run "$X" pilotset --task mkqa --raw many --lang en,de -n 0 -o MANY
same "mkqa: all answers and aliases" "$code $(cat MANY/MKQA_unseen/ans/en.json MANY/MKQA_unseen/ans/de.json | tr '\n' ' ')" '0 ["Rome", "Roma", "Milan"] "two" "Rom" "zwei" '
$s --task mkqa --data MANY/MKQA_unseen --lang en --site ffn --source-layers first --target-layers first -o many.db
same "mkqa: a question keeps them" "$("$X" export many.db | grep '"site": "vanilla"' | grep -c '\["Rome", "Roma", "Milan"\]')" 1
same "mkqa: any of them is right" "$(for pred in 'in ROMA' 'milan!' Rom; do printf '{"pred": "%s", "gold": ["Rome", "Roma", "Milan"]}\n' "$pred"; done | "$X" score --task mkqa | tr '\n' ' ')" \
  '{"correct": true} {"correct": true} {"correct": false} '
if gzip -k mkqa/mkqa.jsonl 2>/dev/null; then
  "$X" pilotset --task mkqa --raw mkqa/mkqa.jsonl.gz --lang en,de,zh -n 2 --quiet -o MKQAgz
  same "mkqa: packed" "$(diff -r MKQA MKQAgz && echo same)" same
fi

run "$X" pilotset --task xnli --raw xnli --lang en,de,zh -n 2 -o XNLI
expect "xnli" 0
same "xnli: answers, words, a prompt" "$(cat XNLI/XNLI_sample/ans/de.json | tr '\n' ' ')$(cat XNLI/XNLI_sample/ans_lang/de.json) $(head -1 XNLI/XNLI_sample/split/en.json)" \
  '"1" "3" {"1": "Folgerung", "2": "Neutral", "3": "Widerspruch"} "Read the two sentences. Does the second follow from the first, contradict it, or neither?\n\nFirst sentence: en \"premise\" 1\nSecond sentence: en hypothesis 1\n\n(1) Entailment\n(2) Neutral\n(3) Contradiction\n\nAnswer:"'

run "$X" pilotset --task globalopinionqa --raw opinions.csv --lang en,de,hi -n 1 -o GOQA
expect "globalopinionqa" 0
same "globalopinionqa: what it says" "$(tail -2 err | tr '\n' ';')" \
  '1 question left out: without an answer, or without one probability per option;2 languages without source prompts: translate the files of GOQA/fields and give the folder with --translations;'
same "globalopinionqa: probability of 0.8 at least" "$(sed 's/.*"label"/"label"/' GOQA/GlobalOpinionQA_*/split/de.json | sort | tr '\n' ' ')" \
  '"label": [0.1, 0.9], "country": "Austria"} "label": [0.9, 0.06, 0.04], "country": "Germany"} '
same "globalopinionqa: what to translate" "$(head -1 GOQA/fields/de.jsonl)" '{"id": "0 Germany", "question": "Is it, \"really\", so?", "options": ["Yes", "Don'"'"'t know", "No"], "country": "Germany"}'
sed 's/Is it, \\"really\\", so/Ist es so/; s/Germany"}/Deutschland"}/' GOQA/fields/de.jsonl >de.jsonl
mkdir tr && mv de.jsonl tr/ && cp GOQA/fields/hi.jsonl tr/
run "$X" pilotset --task globalopinionqa --raw opinions.csv --translations tr --lang en,de,hi -n 1 --quiet -o GOQA2
same "globalopinionqa: translated" "$code $(grep -h Ist GOQA2/GlobalOpinionQA_*/translated/de.json) $(ls GOQA2)" '0 "Wie würde ein Mensch aus Deutschland diese Frage beantworten? Wählen Sie eine der Möglichkeiten.\n\nIst es so?\n\n(A) Yes\n(B) Don'"'"'t know\n(C) No\n\nAntwort:" GlobalOpinionQA_sample
GlobalOpinionQA_unseen'
same "globalopinionqa: English is its own source" "$(cat GOQA2/GlobalOpinionQA_sample/translated/en.json)" "$(sed 's/{"input_text": //; s/, "label".*//' GOQA2/GlobalOpinionQA_sample/split/en.json)"

run "$X" pilotset --task culturalbench --raw bench.csv --lang en,de -n 1 -o Bench
expect "culturalbench" 0
same "culturalbench: letters of the options that are there" "$(cat Bench/CulturalBench_sample/ans/de.json Bench/CulturalBench_sample/ans/en.json | tr '\n' ' ')$(cat Bench/CulturalBench_sample/split/de.json)" \
  '"B" "B" {"input_text": "Choose the right answer to this question about Germany.\n\nIn Germany, what is eaten?\n\n(A) Bread\n(B) Rice\n(C) Fish, dried\n\nAnswer:", "country": "Germany"}'

# ---- what was made is read
reads() { # NAME WANTED TASK DIR OPTIONS...
  name=$1 want=$2 task=$3 dir=$4
  shift 4
  run $s --task $task --data $dir --source-layers 0 --target-layers 0 --max-new-tokens 2 "$@" --dry-run --json -o dry.db
  same "sweep reads $name" "$code $(field instances <out) $(field sites <out)" "0 $want"
}
reads xquad '6 "ffn"' xquad XQuAD/XQuAD_sample --lang en,de,zh
reads xcopa '4 "attn"' xcopa XCOPA/XCOPA_sample --lang it,zh
reads "xcopa with its own English" '4 "attn"' xcopa XCOPA2/XCOPA_unseen --lang it,zh
reads mkqa '6 "ffn"' mkqa MKQA/MKQA_sample --lang en,de,zh
reads xnli '6 "attn"' xnli XNLI/XNLI_unseen --lang en,de,zh
reads globalopinionqa '3 "ffn"' globalopinionqa GOQA2/GlobalOpinionQA_sample --lang en,de,hi
reads culturalbench '1 "ffn"' culturalbench Bench/CulturalBench_sample --lang en

# ---- Chinese as the source; reasoning prompts
x="$s --task xnli --data XNLI/XNLI_sample --lang de --source-layers 0 --target-layers 0"
run $x -o plain.db --max-new-tokens 3
run $x -o plain.db --max-new-tokens 3 --pivot zh --json
same "another pivot is another question" "$code $(field present_before <out) $(field computed <out)" "0 0 4"
run $x -o plain.db --max-new-tokens 3 --cot --json
same "reasoning is another question" "$code $(field present_before <out) $(field computed <out)" "0 0 4"
"$X" export plain.db | sed 's/.*"doc_id": "\([^"]*\)".*"site": "\([^"]*\)".*"source_lang": "\([^"]*\)".*/\1 \2 \3/' | sort | tr '\n' ';' >out
same "and each is told apart" "$(cat out)" "0 attn en;0 attn zh;0 vanilla en;0 vanilla zh;0-cot attn en;0-cot vanilla en;1 attn en;1 attn zh;1 vanilla en;1 vanilla zh;1-cot attn en;1-cot vanilla en;"
run $x -o cot.db --cot --limit 1
refuses "reasoning takes 200 new tokens" 3 "xtransplant sweep: cot.db: max_new_tokens: the store's results were made with 200, not 20. Give the same, or another results file" $x -o cot.db
refuses "no such pivot" 3 "xtransplant sweep: pivot: 'it' is not a language of XNLI; it has ar bg de el en es fr hi ru sw tr ur vi zh" $x --pivot it -o new.db
refuses "a pivot that is not there" 3 "xtransplant sweep: XNLI/XNLI_sample/split/tr.json: cannot open: No such file or directory" $x --pivot tr -o new.db
printf '{"source": "a", "target": "b", "lang": "sw", "source_lang": "en"}\n{"source": "a", "target": "b", "lang": "sw"}\n' >pairs.jsonl
refuses "reasoning in no language" 3 "xtransplant sweep: pairs.jsonl: line 2: \"source_lang\": '' is not a language in which the program can ask for reasoning" \
  $s --pairs pairs.jsonl --cot -o new.db

# ---- score
judge() { printf '{"lang": "it", "pred": "%s", "gold": "%s"}\n' "$2" "$3" | "$X" score --task "$1"; }
same "score: xcopa" "$(judge xcopa '(1)' 1) $(judge xcopa '(1) (2)' 1) $(judge xcopa '' 1)" '{"correct": true} {"correct": false} {"correct": false}'
same "score: culturalbench" "$(judge culturalbench '(c)' C) $(judge culturalbench '(C) (A)' C)" '{"correct": true} {"correct": false}'
same "score: mkqa" "$(judge mkqa 'IN ROMA' 'Roma') $(judge mkqa 'in Rome' 'Roma')" '{"correct": true} {"correct": false}'
refuses "score: gold is no option" 3 "xtransplant score: stdin: line 1: gold: '3' is not one of XCOPA's options, 1, 2" judge xcopa '(1)' 3
printf '{"pred": "\303\050", "gold": "x"}\n' >bad.jsonl
"$X" score --task mkqa <bad.jsonl >out 2>err
same "score: not UTF-8" "$? $(grep -c '^xtransplant score: stdin: line 1: ' err)" "3 1"
for task in xnli xquad globalopinionqa xcopa mkqa culturalbench; do
  golden=$here/../golden/scoring/$task.jsonl
  sed 's/.*"correct": \(true\|false\)}$/{"correct": \1}/' "$golden" >want
  "$X" score --task $task <"$golden" >out
  same "score: $task, $(wc -l <want) lines" "$(cmp want out 2>&1)" ""
done

finish

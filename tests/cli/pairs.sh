#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Files of JSON lines as people have them: blank lines, numbers and lists as gold answers, repeated lines, standard input.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
s="$X sweep -m $model --threads 1 --site ffn --source-layers first --target-layers first"

# ---- blank lines
printf '\n{"id":"a","source":"Hello","target":"x"}\r\n \t\r\n\n{"id":"b","source":"Bye","target":"y"}\n\n' >blank.jsonl
run $s --pairs blank.jsonl --json -o blank.db
same "blank lines are skipped" "$code $(field instances <out) $(field computed <out)" "0 2 4"
printf '{"source":"a","target":"b"}\n\n{"source":"a"}\n' >bad.jsonl
refuses "and lines keep their numbers in messages" 3 'xtransplant sweep: bad.jsonl: line 3: has no "target"; each line needs a source and a target prompt' $s --quiet --pairs bad.jsonl -o new.db
printf '\n \n' >bad.jsonl
refuses "nothing but blank lines" 3 'xtransplant sweep: bad.jsonl: has no lines' $s --quiet --pairs bad.jsonl -o new.db
mkdir -p XCOPA/split XCOPA/ans
printf '"p"\n\n"q"\n' >XCOPA/split/it.json
printf '\n"a"\n"b"\n' >XCOPA/split/en.json
printf '1\n\n["2"]\n\n' >XCOPA/ans/it.json
run $s --task xcopa --data XCOPA --lang it --json -o xcopa.db
same "in the released layout too, and numbers as gold answers" "$code $("$X" export xcopa.db | sed -n 's/.*"doc_id": "\([^"]*\)".*"vanilla".*"target": "\([^"]*\)".*/\1 \2/p' | tr '\n' ';')" "0 0 1;1 2;"
same "score and tokenize skip them" "$(printf '\n{"pred": "Rome", "gold": "rome"}\n \n' | "$X" score --task mkqa)$(printf '\n"a"\n\n' | "$X" tokenize --tokenizer "$model" --jsonl | wc -l)" '{"correct": true}1'

# ---- numbers and lists
printf '{"id":"a","lang":"en","task":"mkqa","source":"Hello","target":"x","gold":["Obama","Barack \\"B\\""]}\n{"id":"b","lang":"en","task":"mkqa","source":"H","target":"y","gold":1990}\n' >gold.jsonl
run $s --pairs gold.jsonl --quiet -o gold.db
expect "gold answers that are a list or a number" 0
"$X" export gold.db --format jsonl >gold.out
same "a list stays one in exports" "$(sed -n 's/.*"vanilla".*"target": \(\[[^]]*\]\|"[^"]*"\).*/\1/p' gold.out | tr '\n' ' ')" '["Obama", "Barack \"B\""] "1990" '
same "and in each question's doc" "$(grep -c '"gold": \["Obama", "Barack \\"B\\""\]' gold.out)" 2
run "$X" export gold.db --format csv
prints "CSV parts them by a bar" '"Obama \| Barack ""B"""'
run "$X" report gold.db -o gold-report
expect "report reads them" 0
score() { printf '%s\n' "$2" | "$X" score --task "$1"; }
same "score: any of them counts" "$(score mkqa '{"pred": "it is obama", "gold": ["Merkel", "Obama"]}') $(score xquad '{"pred": "in 1990", "gold": 1990}') $(score mkqa '{"pred": "Bush", "gold": ["Merkel", "Obama"]}') $(score xnli '{"lang": "en", "pred": "(2)", "gold": 2}') $(score xnli '{"lang": "en", "pred": "(2)", "gold": ["2"]}')" \
  '{"correct": true} {"correct": true} {"correct": false} {"correct": true} {"correct": true}'
list='"gold" is an array of 2, and a question of XNLI has one right option'
refuses "score: a list of options" 3 "xtransplant score: stdin: line 1: $list" score xnli '{"lang": "en", "pred": "(2)", "gold": ["1", "2"]}'
refuses "score: no answer" 3 'xtransplant score: stdin: line 1: "gold" is not an answer: expected a string that is not empty, an integer, or an array of them' score mkqa '{"pred": "x", "gold": []}'
gold() { # NAME GOLD MESSAGE
  printf '{"source":"a","target":"b","lang":"en","task":"%s","gold":%s}\n' "$1" "$2" >bad.jsonl
  refuses "gold $2 of $1" 3 "xtransplant sweep: bad.jsonl: line 1: $3" $s --quiet --pairs bad.jsonl -o new.db
}
gold xnli '["1", "2"]' "$list"
gold xnli 0 "\"gold\": '0' is not one of XNLI's options, 1, 2, 3"
gold mkqa '[]' '"gold" is an empty array; leave it out where no answer is known'
gold mkqa '["a", ""]' '"gold" is empty'
gold mkqa 1.5 '"gold" is a number, expected a string, an integer or an array of them'
gold mkqa '["a", true]' '"gold" is a boolean, expected a string, an integer or an array of them'
gold mkqa '"a\u001eb"' '"gold" holds the control character U+001E'

# ---- repeated lines
printf '{"id":"q1","lang":"sw","source":"Hello","target":"Habari"}\n\n{"target":"Habari","id":"q1","lang":"sw","source":"Hello","gold":null}\n' >twice.jsonl
run $s --pairs twice.jsonl --json -o twice.db
same "a repeated line is asked once" "$code $(field instances <out) $(field computed <out) $(grep -c 'twice.jsonl: line 3 is the same question as line 1; it is run once' err)" "0 1 2 1"
cat twice.jsonl twice.jsonl >four.jsonl
run $s --pairs four.jsonl --json -o four.db
same "several" "$code $(field instances <out) $(grep -c 'four.jsonl: 3 lines repeat earlier ones (the first of them: line 3 is the same question as line 1)' err)" "0 1 1"
printf '{"source":"Hello","target":"Habari"}\n{"source":"Hello","target":"Habari"}\n' >same.jsonl
run $s --pairs same.jsonl --json -o same.db
same "lines without an id are told apart by their place" "$code $(field instances <out) $(grep -c 'same question' err)" "0 2 0"
printf '{"id":"q1","lang":"sw","source":"Hello","target":"Habari"}\n{"id":"q1","lang":"de","source":"Hello","target":"Hallo"}\n{"id":"q1","lang":"sw","source":"Hello","target":"Jambo"}\n' >bad.jsonl
refuses "an id of two questions" 3 "xtransplant sweep: bad.jsonl: line 3: \"id\": 'q1' is line 1's too, which asks another question; give each its own id" $s --quiet --pairs bad.jsonl -o new.db

# ---- standard input
gzip -c gold.jsonl | "$X" sweep -m "$model" --threads 1 --quiet --site ffn --source-layers first --target-layers first --pairs - -o stdin.db
"$X" export stdin.db >stdin.out
same "--pairs - reads standard input, packed or not" "$(cmp stdin.out gold.out 2>&1)" ""
printf '{"source": 1}\n' >bad.jsonl
run $s --quiet --pairs - -o new.db <bad.jsonl
same "and names it" "$code $(cat err)" '3 xtransplant sweep: stdin: line 1: is an integer, expected "source": a JSON string'
same "refusals write nothing" "$(ls new.db* 2>/dev/null)" ""

finish

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tokenize and detokenize with the byte-level tokenizer of a random model.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama

printf 'Hello, world' >hello
run sh -c "\"$X\" tokenize --tokenizer \"$model\" <hello"
expect "tokenize" 0
prints "tokenize: one array" '^\[[0-9]+(, [0-9]+)*\]$'
cp out ids
run sh -c "\"$X\" detokenize --tokenizer \"$model\" --skip-special <ids"
same "detokenize brings the text back" "$(cat out)" '"Hello, world"'

for id in 0:unk 1:s 2:/s; do
  same "the special token ${id#*:} has its id" "$(printf '<%s>' "${id#*:}" | "$X" tokenize --tokenizer "$model" --no-special) $(echo "[${id%:*}]" | "$X" detokenize --tokenizer "$model")" \
    "[${id%:*}] \"<${id#*:}>\""
done

printf 'Hello\n' | "$X" tokenize --tokenizer "$model" --no-special >with
printf 'Hello' | "$X" tokenize --tokenizer "$model" --no-special >without
[ "$(cat with)" != "$(cat without)" ] && pass "the last newline is part of the text" || fail "the last newline is part of the text" "$(cat with)"

printf '"Hello, world"\n"Habari"\n""\n"\\u00e9\\n\\ud83d\\ude00"' >lines
run sh -c "\"$X\" tokenize --tokenizer \"$model\" --jsonl <lines"
expect "tokenize --jsonl" 0
same "tokenize --jsonl: a line each, also the last without a newline" "$(wc -l <out)" 4
same "tokenize --jsonl agrees with the whole input" "$(head -1 out)" "$(cat ids)"
cp out arrays
run sh -c "\"$X\" detokenize --tokenizer \"$model\" --skip-special <arrays"
expect "detokenize of several lines" 0
printf '"Hello, world"\n"Habari"\n""\n"\303\251\\n\360\237\230\200"\n' >wanted
same "detokenize of several lines brings them back" "$(cat out)" "$(cat wanted)"

run sh -c "\"$X\" tokenize --tokenizer \"$model\" --no-special </dev/null"
same "tokenize of nothing" "$code $(cat out)" "0 []"
run sh -c "\"$X\" tokenize --tokenizer \"$model\" --jsonl </dev/null"
same "tokenize --jsonl of nothing" "$code $(cat out)" "0 "
printf '"abc\\u0000def"\n' >nul
run sh -c "\"$X\" tokenize --tokenizer \"$model\" --jsonl --no-special <nul | \"$X\" detokenize --tokenizer \"$model\""
same "a NUL within the text" "$(cat out)" '"abc\u0000def"'

# A large input: many lines, and one long one.
awk 'BEGIN {for (i = 0; i < 20000; i++) printf "\"line number %d of many\"\n", i}' >many
run sh -c "\"$X\" tokenize --tokenizer \"$model\" --jsonl <many | \"$X\" detokenize --tokenizer \"$model\" --skip-special"
same "twenty thousand lines there and back" "$(cksum <out)" "$(cksum <many)"
awk 'BEGIN {printf "\""; for (i = 0; i < 50000; i++) printf "word%d ", i; printf "\"\n"}' >long
run sh -c "\"$X\" tokenize --tokenizer \"$model\" --jsonl <long | \"$X\" detokenize --tokenizer \"$model\" --skip-special"
same "a line of half a megabyte there and back" "$(cksum <out)" "$(cksum <long)"

refuses "tokenize: line that is no JSON" 3 "xtransplant tokenize: stdin: line 1: at byte 5: not JSON: invalid token" \
  sh -c "echo hello | \"$X\" tokenize --tokenizer \"$model\" --jsonl"
refuses "tokenize: line that is no string" 3 "xtransplant tokenize: stdin: line 1: not a JSON string" \
  sh -c "echo '[1]' | \"$X\" tokenize --tokenizer \"$model\" --jsonl"
run sh -c "printf '\"a\"\\n\\nx\\n' | \"$X\" tokenize --tokenizer \"$model\" --jsonl"
same "tokenize: the bad line is named" "$code $(grep -o 'stdin: line 3: ' err)" "3 stdin: line 3: "
refuses "detokenize: no array" 3 "xtransplant detokenize: stdin: line 1: not a JSON array of token ids" \
  sh -c "echo '{}' | \"$X\" detokenize --tokenizer \"$model\""
refuses "detokenize: item that is no id" 3 "xtransplant detokenize: stdin: line 1: item 1 of the array is not a token id" \
  sh -c "echo '[5, \"a\"]' | \"$X\" detokenize --tokenizer \"$model\""
refuses "detokenize: negative id" 3 "xtransplant detokenize: stdin: line 1: item 0 of the array is not a token id" \
  sh -c "echo '[-5]' | \"$X\" detokenize --tokenizer \"$model\""
refuses "detokenize: id beyond the vocabulary" 3 "xtransplant detokenize: stdin: line 2: item 1 of the array is 259: the vocabulary has 259 ids, 0 to 258" \
  sh -c "printf '[]\n[5, 259]\n' | \"$X\" detokenize --tokenizer \"$model\" | grep -v '^\"\"$'; exit 3"
refuses "detokenize: the largest int" 3 "xtransplant detokenize: stdin: line 1: item 0 of the array is 2147483647: the vocabulary has 259 ids, 0 to 258" \
  sh -c "echo '[2147483647]' | \"$X\" detokenize --tokenizer \"$model\""
cp -r "$model" gap && sed 's/: 258\([,}]\)/: 400\1/g' "$model/tokenizer.json" >gap/tokenizer.json
refuses "detokenize: an id within that no token has" 3 "xtransplant detokenize: stdin: line 1: item 0 of the array is 258, which is not the id of a token in this vocabulary of 401 ids" \
  sh -c "echo '[258]' | \"$X\" detokenize --tokenizer gap"

# A byte order mark is no text.
printf '\357\273\277Hello, world' >marked
run sh -c "\"$X\" tokenize --tokenizer \"$model\" <marked"
same "tokenize: a byte order mark is skipped" "$(cat out)" "$(cat ids)"
printf '\357\273\277"Hello, world"\n"Habari"\n' >marked.jsonl
run sh -c "\"$X\" tokenize --tokenizer \"$model\" --jsonl <marked.jsonl"
same "tokenize --jsonl: a byte order mark is skipped" "$code $(head -1 out) $(wc -l <out)" "0 $(cat ids) 2"
printf '\357\273\277%s\n' "$(cat ids)" >marked.ids
run sh -c "\"$X\" detokenize --tokenizer \"$model\" --skip-special <marked.ids"
same "detokenize: a byte order mark is skipped" "$code $(cat out)" '0 "Hello, world"'
printf '\357\273\277{"lang": "en", "pred": "(1)", "gold": "1"}\n' >marked.score
run sh -c "\"$X\" score --task xnli <marked.score"
same "score: a byte order mark is skipped" "$code $(cat out)" '0 {"correct": true}'
refuses_like "tokenize: invalid UTF-8" 3 '^xtransplant tokenize: stdin: (.*: )?at byte 3: ' \
  sh -c "printf 'abc\\377' | \"$X\" tokenize --tokenizer \"$model\""
refuses_like "tokenize: no such folder" 3 '^xtransplant tokenize: .*no-such-folder' "$X" tokenize --tokenizer no-such-folder

# stdout that cannot be written
if [ -w /dev/full ]; then
  sh -c "\"$X\" tokenize --tokenizer \"$model\" <hello >/dev/full" 2>err
  same "full disk" "$? $(cat err)" "1 xtransplant tokenize: stdout: cannot write: No space left on device"
fi
{ "$X" tokenize --tokenizer "$model" --jsonl <many; echo $? >pipe.code; } 2>err | true
same "closed pipe" "$(cat pipe.code) $(cat err)" "1 xtransplant tokenize: stdout: cannot write: Broken pipe"

finish

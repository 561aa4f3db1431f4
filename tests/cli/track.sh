#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Words that are tracked: their two spellings are one number, which keeps results files small; stores that keep them apart go on.
. "$(dirname "$0")/lib.sh"
demo=$here/../../demo
sweep="$X sweep -m $demo/facts-4m --threads 1 --quiet --max-new-tokens 2 --site ffn"
head -n 48 "$demo/to-language.jsonl" >pairs.jsonl
printf '%s\n' a b c d e f g h i j k l m n o p q r s t u v w x y z A B C >words

# ---- size: 30 answers with two spellings each, the words and the gold answer
$sweep --pairs pairs.jsonl --track words -o words.db
"$X" export words.db --quiet >words.jsonl
tracked() { sed 's/.*"tracked": \[\[//; s/\]\].*//; s/\], \[/\n/g'; }
same "30 answers of two spellings" "$(head -1 words.jsonl | tracked | cut -d, -f1,2 | sort -u | wc -l | tr -d ' ') $(head -1 words.jsonl | tracked | grep -c '^"word", "[a-zA-C]", null, -')" "30 29"
bytes=$(($(wc -c <words.db) / $(wc -l <words.jsonl)))
if [ $bytes -gt 100 ] && [ $bytes -lt 200 ]; then pass "30 answers of two spellings take less than 200 bytes a response"
else fail "30 answers of two spellings take less than 200 bytes a response" "$bytes"; fi

# ---- what is stored: ln of the sum of both probabilities, as run prints them, rounded to float16
"$X" run -m "$demo/facts-4m" --threads 1 --quiet -n 2 --pairs pairs.jsonl --line 3 --site ffn --source-layer 2 --target-layer 1 --track words --json |
  sed 's/.*"transplanted"//' | tracked | sed 's/^"\([^"]*\)", "[^"]*", /\1 /' |
  awk '{ sum[$1] += exp($2) } END { for (w in sum) print w, log(sum[w]) }' | LC_ALL=C sort >wanted
id=$(sed -n 3p pairs.jsonl | sed 's/.*"id": *"\([^"]*\)".*/\1/')
grep "\"doc_id\": \"$id\".*\"site\": \"ffn\", \"source_layer\": 2, \"target_layer\": 1," words.jsonl | tracked |
  sed -n 's/^"word", "\([^"]*\)", null, /\1 /p' | LC_ALL=C sort >got
same "a word's number is ln of the sum over its spellings" "$(paste -d' ' wanted got | awk '{ d = $2 - $4; if (d < 0) d = -d; if ($1 == $3 && d <= -$2 / 2048 + 1e-6) n++ } END { print n }') $(wc -l <got | tr -d ' ')" "29 29"
same "csv names no spelling" "$("$X" export words.db --format csv --quiet | sed -n 2p | grep -o "word [ab]=-[0-9.]*" | wc -l | tr -d ' ')" 2

# ---- without words, nothing changes: both spellings of the gold answer
$sweep --pairs pairs.jsonl --limit 2 -o plain.db
same "without words spellings are apart" "$("$X" export plain.db --quiet | grep -c '"tracked": \[\["gold", "\([^"]*\)", "\1", -[0-9.e-]*\], \["gold", "\1", " \1", -[0-9.e-]*\]\]')" "$("$X" export plain.db --quiet | wc -l | tr -d ' ')"

# ---- a token with which two answers begin counts for neither, and stays apart
$sweep --pairs pairs.jsonl --limit 1 --source-layers 0 --target-layers 0 --track "GE,a,a b" -o shared.db
"$X" export shared.db --quiet >shared.jsonl
same "words that share a token stay apart" "$(head -1 shared.jsonl | tracked | grep -c '^"word", "a\( b\)\{0,1\}", "')" 4

# ---- the same from shards, and after a stop
$sweep --pairs pairs.jsonl --track words --shard 1/2 -o one.db
$sweep --pairs pairs.jsonl --track words --shard 2/2 -o two.db
"$X" merge joined.db two.db one.db --quiet
"$X" export joined.db --quiet >joined.jsonl
cmp -s words.jsonl joined.jsonl && pass "shards give the same lines" || fail "shards give the same lines" "$(diff words.jsonl joined.jsonl | head -2 | cut -c1-300)"
$sweep --pairs pairs.jsonl --track words --source-layers 0-2 -o parts.db
$sweep --pairs pairs.jsonl --track words -o parts.db
"$X" export parts.db --quiet >parts.jsonl
cmp -s words.jsonl parts.jsonl && pass "a sweep in parts gives the same lines" || fail "a sweep in parts gives the same lines" "$(diff words.jsonl parts.jsonl | head -2 | cut -c1-300)"

# ---- stores of earlier versions, which keep all spellings apart, go on as they are
if "$python" -c 'import sqlite3' 2>/dev/null; then
  $sweep --pairs pairs.jsonl --track words --source-layers 0 --limit 2 -o old.db
  "$python" - <<'END'
import json, sqlite3
db = sqlite3.connect("old.db")
for k, answers in db.execute("SELECT instance, answers FROM tracked").fetchall():
    apart, numbers = [], [0, 1]
    for at, (token, kind, answer, spelling, *also) in enumerate(json.loads(answers)):
        apart += [[token, kind, answer, spelling]] + [[t, kind, answer, " " + spelling] for t in also]
        numbers += [2 + at] * (1 + len(also))
    db.execute("UPDATE tracked SET answers = ? WHERE instance = ?", (json.dumps(apart, separators=(",", ":"), ensure_ascii=False), k))
    for site, i, j, blob in db.execute("SELECT site, source_layer, target_layer, numbers FROM effects WHERE instance = ?", (k,)).fetchall():
        db.execute("UPDATE effects SET numbers = ? WHERE instance = ? AND site = ? AND source_layer = ? AND target_layer = ?",
                   (b"".join(blob[2 * n:2 * n + 2] for n in numbers), k, site, i, j))
db.commit()
END
  run $sweep --pairs pairs.jsonl --track words --limit 2 -o old.db
  expect "a store that keeps spellings apart goes on" 0
  "$X" export old.db --quiet >old.jsonl
  same "its spellings stay apart" "$(grep -c '\["word", "a", "a", -[0-9.]*\], \["word", "a", " a", -' old.jsonl)" "$(wc -l <old.jsonl | tr -d ' ')"
  "$X" report old.db -o old --quiet >/dev/null && pass "and are reported" || fail "and are reported" ""
else skip "stores of earlier versions" "needs Python with sqlite3"; fi
finish

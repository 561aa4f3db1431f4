#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Results files: questions that were edited, what exports have, names, pipes, files that cannot be written, merges that were killed.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama
small="-m $model --threads 1 --quiet --max-new-tokens 4 --site attn --source-layers 0,1 --target-layers 0"
ask() { printf '{"id": "%s", "lang": "sw", "source_lang": "en", "source": "Question %s", "target": "%s", "gold": "e", "task": "facts"}\n' "$1" "$1" "$2"; }
{ ask q0 Swali; ask q1 "Swali la pili"; ask q2 "Swali la tatu"; } >pairs.jsonl
{ ask q0 Swali; ask q1 "Swali la pili, sahihi"; ask q2 "Swali la tatu"; } >edited.jsonl
"$X" sweep $small --pairs pairs.jsonl -o r.db

# ---- an edited question is not counted twice
cp r.db kept.db
refuses_like "edited: refused" 3 '^xtransplant sweep: r.db: has question q1 \(facts sw\) with another prompt or gold answer than edited.jsonl. sweep --replace drops the old ones' \
  "$X" sweep $small --pairs edited.jsonl -o r.db
cmp -s r.db kept.db && pass "edited: the file stays" || fail "edited: the file stays"
run "$X" sweep $small --pairs edited.jsonl -o r.db --replace --json
same "edited: --replace" "$code $(field computed <out)" "0 3"
"$X" sweep $small --pairs edited.jsonl -o fresh.db
"$X" export fresh.db >fresh.jsonl
"$X" export r.db 2>err | cmp -s - fresh.jsonl && pass "replaced: as if it had never been there" || fail "replaced: as if it had never been there"
same "replaced: nothing is missing" "$(cat err)" ""
run "$X" sweep $small --pairs edited.jsonl -o r.db --replace
same "replaced: nothing more to do" "$code $(cat err)" "0 "

# ---- exports have what metrics measured
"$X" metrics r.db -m "$model" --threads 1 --quiet --perplexity standalone,conditional >/dev/null
"$X" export r.db >measured.jsonl
same "export: perplexities" "$(grep -c '"perplexity_standalone": [0-9.e+nul]*, "perplexity_conditional": [0-9.e+]*, "perplexity_self": [0-9.e+]*, "language": null, "language_probability": null' measured.jsonl)" 9
same "export: csv has as many cells as its header" "$("$X" export r.db -f csv | head -1 | tr ',' '\n' | wc -l)" 25
same "export: not measured is null" "$("$X" export fresh.db | grep -c '"perplexity_standalone": null, "perplexity_conditional": null, "perplexity_self": [0-9]')" 9

# ---- a reader that goes away ends an export at once
i=0
while [ $i -lt 60 ]; do ask "n$i" "Swali la $i, refu kidogo ili mstari uwe mrefu"; i=$((i + 1)); done >many.jsonl
"$X" sweep $small --pairs many.jsonl -o many.db
{ "$X" export many.db 2>pipe.err; echo $? >pipe.code; } | head -1 >/dev/null
same "export | head" "$(cat pipe.code) $(cat pipe.err)" "1 xtransplant export: stdout: cannot write: Broken pipe"
if "$python" -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute(sys.argv[2]); d.commit()' many.db \
  "UPDATE responses SET margin = 'wide' WHERE instance = (SELECT max(id) FROM instances)" 2>/dev/null; then
  refuses_like "an export that comes to a damaged response" 3 "margin" sh -c "'$X' export many.db >many.jsonl"
  { "$X" export many.db 2>pipe.err; echo $? >pipe.code; } | head -1 >/dev/null
  same "export | head: does not come so far" "$(cat pipe.code) $(cat pipe.err)" "1 xtransplant export: stdout: cannot write: Broken pipe"
  same "it has more than a pipe holds before it" "$(($(wc -c <many.jsonl) > 131072))" 1
else skip "export | head: does not come so far" "needs Python"; fi

# ---- names that SQLite would take for something else
mkdir names && cd names || exit 1
for name in ":memory:" "file:m?mode=memory" "file:real.db"; do
  "$X" sweep $small --pairs ../pairs.jsonl -o "$name" 2>&1
  same "a file of the name $name" "$(ls -- "$name") $("$X" export "$name" | wc -l)" "$name 9"
done
"$X" merge "file:both.db" "file:real.db" ":memory:" --quiet
same "merge: names" "$("$X" export file:both.db | wc -l)" 9
cd .. || exit 1
mkfifo fifo
refuses "a FIFO" 3 "xtransplant export: fifo: is no regular file; a results file has to be a regular file" "$X" export fifo
device=/dev/null # one of our own where it can be made, so that other programs leave nothing beside it
mknod device c 1 3 2>/dev/null && device=device
beside=$(ls -l $device-* 2>/dev/null)
refuses "a device" 3 "xtransplant sweep: $device: is no regular file; a results file has to be a regular file" "$X" sweep $small --pairs pairs.jsonl -o $device
same "a device: nothing beside it" "$(ls -l $device-* 2>/dev/null)" "$beside"
refuses_like "a folder" 3 "is a folder; a results file has to be a regular file" "$X" export names

# ---- files that cannot be written are read
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then as_other="setpriv --reuid=65534 --regid=65534 --clear-groups"; else as_other=; fi
mkdir ro && cp r.db ro/r.db && chmod 444 ro/r.db && chmod 555 ro && chmod 755 "$work"
run $as_other "$X" report ro/r.db --bootstrap 2 --permutations 2
same "report of a file and folder that cannot be written" "$code $(ls ro)" "0 r.db"
chmod 755 ro

# ---- merges: what a killed one left goes with the next
printf 'left' >merged.db.0a1b2c.partial
printf 'left' >merged.db.0a1b2c.partial-journal
printf 'mine' >merged.db.mine.partial
"$X" merge merged.db r.db fresh.db --quiet
same "merge: leaves nothing, and others' files alone" "$(ls merged.db* | tr '\n' ' ')" "merged.db merged.db.mine.partial "
refuses_like "merge: a folder that is not there" 3 "^xtransplant merge: nowhere/m.db: cannot write: No such file or directory" "$X" merge nowhere/m.db r.db
finish

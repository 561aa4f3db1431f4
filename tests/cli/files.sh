#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Files that are no plain files, as inputs: nothing waits, nothing is read for ever, nothing is followed out of a model's folder.
. "$(dirname "$0")/lib.sh"
make_model tiny-llama # a token a byte
printf 'Some words.' >prompt
at="-m $model --threads 1 -n 2 --quiet"

# ---- FIFOs and devices: refused at once, where a plain file belongs
cp -r "$model" fifo
rm fifo/config.json
mkfifo fifo/config.json data
refuses "a FIFO in place of config.json" 3 "xtransplant inspect: fifo/config.json: not a regular file" timeout 20 "$X" inspect -m fifo
refuses "a FIFO as training data" 3 "xtransplant train: data: not a regular file" timeout 20 "$X" train -m "$model" --format lines --data data -o trained --quiet
refuses "/dev/zero as pairs" 3 "xtransplant sweep: /dev/zero: not a regular file" timeout 20 "$X" sweep -m "$model" --pairs /dev/zero --site ffn -o s.db --quiet

# ---- prompts: pipes are fine, what has no end is not
"$X" generate $at --prompt-file prompt >wanted
run sh -c "cat prompt | timeout 20 '$X' generate $at --prompt-file -"
same "a prompt from stdin" "$code $(cat out)" "0 $(cat wanted)"
cat prompt >data & writer=$!
run timeout 20 "$X" generate $at --prompt-file /dev/fd/3 3<data
wait $writer
same "a prompt from a pipe that a shell has open" "$code $(cat out)" "0 $(cat wanted)"
refuses "a FIFO that nobody writes to: no waiting" 3 "xtransplant generate: data: is an empty pipe, or one that nobody writes into" \
  timeout 20 "$X" generate $at --prompt-file data
refuses "/dev/zero as a prompt" 3 "xtransplant generate: /dev/zero: is too large: more than 64 MiB" timeout 60 "$X" generate $at --prompt-file /dev/zero
refuses "/dev/zero as lines" 3 "xtransplant generate: /dev/zero: line 1: is too large: more than 64 MiB" timeout 60 "$X" generate $at --prompt-file /dev/zero --line 1
refuses "a folder as a prompt" 3 "xtransplant generate: fifo: cannot read: is a directory" "$X" generate $at --prompt-file fifo

# ---- links out of a model's folder are read, but not copied into what is passed on
cp -r "$model" linked
echo secret >key
ln -s ../key linked/merges.txt
printf 'abc\ndef\n' >lines
refuses "a link out of the model's folder is not copied" 3 \
  "xtransplant train: linked/merges.txt: is a link to a file outside the model's folder, which is not copied; put the file itself there" \
  "$X" train -m linked --format lines --data lines --steps 1 --batch 1 --threads 1 -o trained --quiet
same "and nothing is begun" "$(ls -d trained 2>/dev/null)" ""

# ---- byte order marks are part of no text: as without them
marked() { # FILE: a file marked-FILE
  { printf '\357\273\277'; cat "$1"; } >"marked-${1##*/}"
}
printf '{"prompt": "One two", "response": "three"}\n' >pairs.jsonl
printf '{"id": "q", "lang": "sw", "source": "What is it?", "target": "Ni nini?", "gold": "e", "task": "facts"}\n' >questions.jsonl
for file in lines pairs.jsonl questions.jsonl "$model/config.json" "$model/generation_config.json"; do marked "$file"; done
for file in lines pairs.jsonl; do
  case $file in lines) how="--format lines" ;; *) how="--format pairs" ;; esac
  for data in $file marked-$file; do "$X" train -m "$model" $how --data $data --steps 1 --batch 1 --threads 1 -o trained-$data --quiet; done
  same "training data behind a mark: $file" "$(cksum <trained-marked-$file/model.safetensors)" "$(cksum <trained-$file/model.safetensors)"
done
"$X" train-tokenizer lines --vocab 260 -o words --quiet
"$X" train-tokenizer marked-lines --vocab 260 -o marked-words --quiet
same "a tokenizer's texts behind a mark" "$(cksum <marked-words/tokenizer.json)" "$(cksum <words/tokenizer.json)"
for data in questions.jsonl marked-questions.jsonl; do "$X" sweep -m "$model" --pairs $data --site ffn -i 0 -j 0 -n 2 --threads 1 --quiet -o $data.db; done
same "questions behind a mark" "$("$X" export marked-questions.jsonl.db | cksum)" "$("$X" export questions.jsonl.db | cksum)"
cp -r "$model" marked
for file in config.json generation_config.json; do mv marked-$file marked/$file; done
run "$X" generate -m marked --threads 1 -n 2 --quiet --prompt-file prompt
same "a model's files behind marks" "$code $(cat out)" "0 $(cat wanted)"

finish

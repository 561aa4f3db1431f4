#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every command in README, docs/ and demo/README.md runs as it is written there. Commands stand in blocks that are fenced as ```sh; each
# document's blocks run in order in a folder of its own, with the program on PATH, small random models under the names that the documents use,
# and small data in the right layouts. A block that cannot run here says why, ```sh no-test: REASON, and is listed.
. "$(dirname "$0")/../cli/lib.sh"
root=$(cd "$here/../.." && pwd)
PATH=$XT_BUILD:$PATH
export PATH
documents="README.md demo/README.md CONTRIBUTING.md $(cd "$root" && ls docs/*.md)"

# ---- models: two layers, so that sweeps are small; 32 where a document names one of 32 layers by its number
mkdir models data
for name in MODEL Mistral-7B-Instruct-v0.3 Qwen2-7B-Instruct Qwen2-0.5B Qwen2-0.5B-Instruct TinyLlama-1.1B-Chat-v1.0 chinese-alpaca-2-7b; do
  case $name in Qwen*) shape=tiny-qwen2 ;; Mistral*) shape=tiny-mistral ;; *) shape=tiny-llama ;; esac
  "$X" init-model --like $shape --layers 2 --seed ${#name} --quiet -o "models/$name"
done
"$X" init-model --like tiny-llama --layers 32 --quiet -o models/Llama-2-7b-chat-hf

# ---- data as released: three questions in every language
languages_of() { "$X" sweep -m models/MODEL --task "$1" --data . --lang none -o none.db 2>&1 | sed 's/.*it has //'; }
lines() { printf '%s\n%s\n%s\n' "$1" "$1" "$1" >"$2"; }
make_set() { # TASK FOLDER PATTERN GOLD
  mkdir -p "$2/split" "$2/ans" "$2/translated"
  for lang in $(languages_of "$1"); do
    file=$(printf "$3" "$lang")
    case $1 in
      globalopinionqa) lines '{"input_text": "A question in English:", "label": [0.9, 0.1], "country": "somewhere"}' "$2/split/$file" ;;
      *) for n in 1 2 3; do echo "\"Question $n in $lang:\""; done >"$2/split/$file" ;;
    esac
    lines "\"Translated question in $lang:\"" "$2/translated/$file"
    lines "\"$4\"" "$2/ans/$file"
    if [ "$1" = xnli ]; then mkdir -p "$2/ans_lang" && echo '{"1": "Entail", "2": "Neutral", "3": "Contradict"}' >"$2/ans_lang/$lang.json"; fi
  done
}
for part in sample unseen; do
  make_set xnli data/XNLI/XNLI_$part '%s.json' 1
  make_set xquad data/XQuAD/XQuAD_$part 'xquad.%s.json' answer
  make_set globalopinionqa data/GlobalOpinionQA/GlobalOpinionQA_$part '%s.json' A
  make_set xcopa data/XCOPA/XCOPA_$part '%s.json' 1
  make_set mkqa data/MKQA/MKQA_$part '%s.json' answer
  make_set culturalbench data/CulturalBench/CulturalBench_$part '%s.json' A
done
ln -s XNLI/XNLI_sample data/XNLI_sample
ln -s XNLI/XNLI_sample/split data/split

# ---- data as their makers publish it
mkdir data/xquad data/xcopa
for lang in $(languages_of xquad); do
  awk -v lang="$lang" 'BEGIN { printf "{\"data\": [{\"paragraphs\": [{\"context\": \"Context\", \"qas\": ["
    for (i = 0; i < 52; i++) printf "%s{\"id\": \"%d\", \"question\": \"Q%d %s?\", \"answers\": [{\"text\": \"a\"}]}", i ? ", " : "", i, i, lang
    print "]}]}]}" }' >"data/xquad/xquad.$lang.json"
done
for lang in $(languages_of xquad); do
  mkdir -p data/release/XQuAD/XQuAD_sample/split
  printf '"Read. Context Asked: Q0 %s? So:"\n"Read. Context Asked: Q1 %s? So:"\n' "$lang" "$lang" >"data/release/XQuAD/XQuAD_sample/split/xquad.$lang.json"
done
for lang in $(languages_of xcopa); do
  mkdir "data/xcopa/$lang"
  awk 'BEGIN { for (i = 0; i < 51; i++) printf "{\"premise\": \"P%d\", \"choice1\": \"A\", \"choice2\": \"B\", \"question\": \"cause\", \"label\": 0, \"idx\": %d, \"changed\": false}\n", i, i }' \
    >"data/xcopa/$lang/test.$lang.jsonl"
done

mkdir -p data/xcopa/data-gmt && cp -r data/xcopa/zh data/xcopa/data-gmt/zh

# ---- small files that documents name
awk 'BEGIN { for (i = 0; i < 24; i++) printf "{\"id\": \"q%d\", \"lang\": \"sw\", \"source_lang\": \"en\", \"source\": \"Question %d:\", \"target\": \"Swali %d:\", \"gold\": \"a\", \"task\": \"xquad\"}\n", i, i, i }' >data/pairs.jsonl
awk 'BEGIN { for (i = 0; i < 8; i++) printf "{\"prompt\": \"question %d:\", \"response\": \" answer %d\"}\n", i, i }' >data/train.jsonl
printf '{' >data/templates.json
separator=
for lang in $(languages_of xquad); do
  printf '%s"%s": "{context}\\n{question}\\n"' "$separator" "$lang" >>data/templates.json
  separator=', '
done
printf '}\n' >>data/templates.json
for name in en sw zh de; do echo "A prompt in $name:" >data/$name.txt; done

# ---- extraction
# Writes each block to DIR/LINE.sh; the reasons of those that are not run to DIR/skipped; lines that look like commands outside of blocks to DIR/loose.
extract() { # DOCUMENT DIR
  mkdir -p "$2"
  : >"$2/skipped"
  : >"$2/loose"
  awk -v dir="$2" '
    !open && /^ *```/ { info = $0; sub(/^ *```/, "", info); open = 1; line = NR; run = 0
      if (info == "sh") { run = 1; file = sprintf("%s/%04d.sh", dir, NR); printf "" >file }
      else if (info ~ /^sh no-test: ./) { sub(/^sh no-test: /, "", info); print NR ": " info >>(dir "/skipped") }
      else if (info ~ /^sh/) print NR ": ```" info >>(dir "/loose")
      next }
    open && /^ *```$/ { open = 0; if (run) close(file); next }
    open { if (run) print >file; next }
    /^ *\$? *(xtransplant|build\/[a-z]+|make|cmake|bench\/[a-z_]+\.sh) [a-z-]/ && /^    / { print NR ": " $0 >>(dir "/loose") }' "$root/$1"
}

for document in $documents; do
  [ -e "$root/$document" ] || continue
  blocks=$work/blocks/$(echo "$document" | tr '/' '_') folder=$work/run/$(echo "$document" | tr '/' '_')
  extract "$document" "$blocks"
  same "$document: commands stand in blocks marked sh" "$(head -3 "$blocks/loose")" ""
  sed "s|^|# $document, line |; s|: |, is not run: |" "$blocks/skipped"
  mkdir -p "$folder"
  for item in "$work"/models/* "$work"/data/*; do ln -s "$item" "$folder/"; done
  # What a document's own commands make is not there before.
  for made in $(cat "$blocks"/*.sh 2>/dev/null | grep -oE -- '(-o|--output) +[A-Za-z0-9_.-]+' | awk '{print $2}' | sort -u); do rm -f "$folder/$made"; done
  for block in "$blocks"/*.sh; do
    [ -e "$block" ] || continue
    (cd "$folder" && timeout 120 sh -e "$block") >log 2>err </dev/null
    code=$?
    line=$(basename "$block" .sh | sed 's/^0*//')
    if [ $code -eq 0 ]; then pass "$document: the commands of line $line"; else
      fail "$document: the commands of line $line" "exit code $code" "$(tail -3 err)" "$(head -5 "$block")"
    fi
  done
done

# ---- the examples of help texts, each in a folder of its own
"$X" sweep -m models/MODEL --pairs data/pairs.jsonl --site ffn -n 2 --quiet -o xnli.db --limit 2
for verb in $("$X" help --names); do
  example=$("$X" "$verb" --help | sed -n '/^example:/,$p' | sed 1d)
  # demo: tests/cli/demo.sh; verify: needs dumps; bench: measures for a minute; metrics: needs fastText's model; detokenize: ids of Llama's vocabulary
  case $verb in help | version | demo | verify | bench | metrics | detokenize) continue ;; esac
  folder=$work/run/help-$verb
  mkdir "$folder"
  for item in "$work"/models/* "$work"/data/*; do ln -s "$item" "$folder/"; done
  ln -sfn "$work/models/MODEL" "$folder/Llama-2-7b-chat-hf" # two layers: examples sweep with it
  case $verb in
    report | export | options) cp xnli.db "$folder" ;;
    merge) for k in 1 2 3 4; do cp xnli.db "$folder/shard$k.db"; done ;;
    pilotset) rm "$folder/XQuAD" ;;
    baseline) for name in questions parallel; do ln -s pairs.jsonl "$folder/$name.jsonl"; done ;;
    train-tokenizer) for k in 1 2 3; do cat "$root/README.md"; done >"$folder/texts.txt" ;;
  esac
  (cd "$folder" && printf '%s\n' "$example" | timeout 120 sh -e) >log 2>err </dev/null
  code=$?
  if [ $code -eq 0 ]; then pass "the example of $verb --help"; else fail "the example of $verb --help" "exit code $code" "$(tail -3 err)" "$example"; fi
done
finish
